//! A program as the source of an object of the corpus: C with exact assembly, for `corpus build`.

use super::{
    AssembleError, Function, Instruction, Operand, Program, Signature, Type,
    elf::{MapKind, UsedMaps, inner_map, map_numbers, needs_types},
};
use crate::{Dialect, bpf::disasm};
use livediff_capture::{
    Insn, Map,
    insn::{alu, class, jmp, mode, size},
};
use std::{collections::BTreeSet, fmt::Write};

/// The source of the object that holds `program`, which begins with `comment`.
///
/// Instructions that the assembler's language does not have are written as numbers.
pub fn source(program: &Program, comment: &str) -> Result<String, AssembleError> {
    program.check()?;
    let mut out = String::from("/* SPDX-License-Identifier: GPL-2.0-only */\n/*\n");
    for line in comment.lines() {
        // A comment must not end before its end.
        let plain = |letter: &char| *letter == '\t' || !letter.is_control();
        let line: String = line.replace("*/", "* /").chars().filter(plain).collect();
        out.push_str(format!(" * {line}").trim_end());
        out.push('\n');
    }
    out.push_str(" */\n#include \"corpus.h\"\n");
    let order = program.linked();
    let functions: Vec<&Function> = order.iter().filter_map(|place| program.functions.get(*place)).collect();
    let mut maps = UsedMaps::default();
    let mut kfuncs = Vec::new();
    for insn in functions.iter().flat_map(|function| &function.insns) {
        match insn.operand {
            Operand::Map(number) | Operand::MapValue(number, _) => {
                let value = matches!(insn.operand, Operand::MapValue(..));
                let dangling = || AssembleError::Dangling { function: program.name.clone(), what: "a map" };
                maps.number(program.maps.get(number).ok_or_else(dangling)?, value);
            }
            Operand::Kfunc(number) if !kfuncs.contains(&number) => kfuncs.push(number),
            _ => {}
        }
    }
    for map in &maps.maps {
        let (name, section) = (&map.name, map.section());
        out.push('\n');
        // Writing to a string does not fail, here and below.
        let _ = match &map.kind {
            MapKind::Defined => writeln!(out, "{} {name} SEC(\".maps\");", definition(&map.map, "")),
            MapKind::Data(bytes) => writeln!(out, "volatile __u8 {name}[{bytes}] SEC(\"{section}\");"),
            MapKind::ReadOnly(bytes) => {
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
                let values: Vec<String> = bytes.iter().take(used).map(|byte| format!("{byte:#x}")).collect();
                let lines: Vec<String> = values.chunks(16).map(|line| line.join(", ")).collect();
                let length = bytes.len();
                let lines = lines.join(",\n\t");
                writeln!(out, "const volatile __u8 {name}[{length}] SEC(\"{section}\") = {{\n\t{lines}\n}};")
            }
        };
    }
    declare_kfuncs(program, &kfuncs, &mut out)?;
    for (number, function) in functions.iter().enumerate().rev() {
        let main = number == 0;
        let callback = Some(function.label) == program.exception_callback;
        out.push('\n');
        let name = if main { &program.name } else { &function.name };
        if main
            && let Some(label) = program.exception_callback
            && let Some(function) = program.function(label)
        {
            let _ = writeln!(out, "__tag(\"exception_callback:{}\")", function.name);
        }
        let section = program.section.replace(['"', '\\'], "_");
        let _ = match (main, function.global || callback) {
            (true, _) => writeln!(out, "PROG(\"{section}\", {name})"),
            (false, true) => writeln!(out, "GLOBAL({name})"),
            (false, false) => writeln!(out, "SUB({name})"),
        };
        body(program, function, if main { &section } else { ".text" }, &mut maps, &mut out)?;
    }
    out.push_str("\nLICENSE;\n");
    Ok(out)
}

/// The structure that defines a map.
fn definition(map: &Map, indent: &str) -> String {
    let mut out = "struct {\n".to_owned();
    for (name, number) in map_numbers(map) {
        let _ = writeln!(out, "{indent}\tint (*{name})[{number:#x}];");
    }
    if needs_types(map) {
        let _ = writeln!(out, "{indent}\tint *key;");
        let size = map.shape.value_size;
        let _ = writeln!(out, "{indent}\tstruct {{ __u8 bytes[{size}]; }} *value;");
    }
    if let Some(shape) = map.inner {
        let inner = definition(&inner_map(shape), &format!("{indent}\t"));
        let _ = writeln!(out, "{indent}\t{inner} *values[];");
    }
    out + indent + "}"
}

/// Declares the kernel functions, and makes clang describe them in BTF.
fn declare_kfuncs(program: &Program, numbers: &[usize], out: &mut String) -> Result<(), AssembleError> {
    if numbers.is_empty() {
        return Ok(());
    }
    out.push_str(
        "\n/* libbpf compares of the kernel's types what they are, not what they are called or hold. */\n\
         struct a_struct {\n};\nunion a_union {\n};\nenum an_enum { A_VALUE };\nstruct declared;\n\n",
    );
    let mut describe = String::new();
    for number in numbers {
        let dangling =
            || AssembleError::Dangling { function: program.name.clone(), what: "a kernel function" };
        let kfunc = program.kfuncs.get(*number).ok_or_else(dangling)?;
        let _ = writeln!(out, "extern {} __weak __ksym;", declared_function(&kfunc.signature, &kfunc.name));
        let _ = writeln!(describe, "\tasm volatile(\"\" ::\"r\"(&{}));", kfunc.name);
    }
    let _ = write!(
        out,
        "\n/* Never called: makes clang describe the kernel functions in BTF. */\n\
         static __used void describe(void)\n{{\n{describe}}}\n"
    );
    Ok(())
}

fn declared_function(signature: &Signature, name: &str) -> String {
    let params: Vec<String> = signature.params.iter().map(|ty| declared(ty, "")).collect();
    let params = if params.is_empty() { "void".to_owned() } else { params.join(", ") };
    declared(&signature.returns, &format!("{name}({params})"))
}

/// A declaration of `name` as C writes it, from the inside out.
fn declared(ty: &Type, name: &str) -> String {
    let plain = |text: &str| if name.is_empty() { text.to_owned() } else { format!("{text} {name}") };
    match ty {
        Type::Void => plain("void"),
        Type::Int(16) => plain("__int128"),
        Type::Int(bytes) => plain(match bytes {
            1 => "__u8",
            2 => "__u16",
            4 => "__u32",
            _ => "__u64",
        }),
        Type::Enum => plain("enum an_enum"),
        Type::Struct => plain("struct a_struct"),
        Type::Union => plain("union a_union"),
        Type::Forward => plain("struct declared"),
        Type::Pointer(to) => match **to {
            Type::Function(_) | Type::Array(..) => declared(to, &format!("(*{name})")),
            _ => declared(to, &format!("*{name}")),
        },
        Type::Array(of, nelems) => declared(of, &format!("{name}[{nelems}]")),
        Type::Function(signature) => declared_function(signature, name),
    }
}

/// The function's body, an instruction a line, behind its jump tables. It is in `section`.
fn body(
    program: &Program,
    function: &Function,
    section: &str,
    maps: &mut UsedMaps,
    out: &mut String,
) -> Result<(), AssembleError> {
    let mut targets: Vec<usize> = function
        .insns
        .iter()
        .filter_map(|insn| match insn.operand {
            Operand::Jump(label) => Some(function.place(label)),
            _ => None,
        })
        .collect();
    let used = function.insns.iter().filter_map(|insn| match insn.operand {
        Operand::JumpTable(table) => Some(table),
        _ => None,
    });
    let tables: BTreeSet<usize> = used.collect();
    let table = |number: usize| function.jump_tables.get(number).map_or(&[][..], Vec::as_slice);
    targets.extend(tables.iter().flat_map(|number| table(*number)).map(|label| function.place(*label)));
    targets.sort_unstable();
    targets.dedup();
    let number = |place: usize| targets.iter().position(|target| *target == place).map(|number| number + 1);
    let slots = function.encode()?;
    let mut at = 0;
    out.push_str("{\n\tASM(");
    for table_number in &tables {
        let name = table_name(function, *table_number);
        let table = table(*table_number);
        let entries = table.iter().filter_map(|label| number(function.place(*label)));
        let entries: String =
            entries.map(|number| format!(" .quad {number}f - \\\"{section}\\\";")).collect();
        let _ = write!(
            out,
            "\".pushsection .jumptables,\\\"\\\",@progbits; {name}:{entries}\"\n\t    \".size {name}, {}; .global {name}; \
             .popsection;\"\n\t    ",
            8 * table.len()
        );
    }
    for (place, insn) in function.insns.iter().enumerate() {
        if place > 0 {
            out.push_str("\n\t    ");
        }
        let label = number(place).map_or(String::new(), |number| format!("{number}: "));
        let operand = match insn.operand {
            Operand::Jump(to) => {
                let to = function.place(to);
                let side = if to > place { 'f' } else { 'b' };
                number(to).map(|number| format!("{number}{side}"))
            }
            Operand::Call(to) | Operand::Address(to) => {
                program.function(to).map(|callee| callee.name.clone())
            }
            Operand::Map(number) | Operand::MapValue(number, _) => {
                let value = matches!(insn.operand, Operand::MapValue(..));
                let map = program.maps.get(number).map(|map| maps.number(map, value));
                map.and_then(|map| maps.maps.get(map)).map(|map| map.name.clone())
            }
            Operand::Kfunc(number) => program.kfuncs.get(number).map(|kfunc| kfunc.name.clone()),
            Operand::JumpTable(number) => Some(table_name(function, number)),
            Operand::None | Operand::High(_) => Some(String::new()),
        };
        let dangling = || AssembleError::Dangling { function: function.name.clone(), what: "something" };
        let operand = operand.ok_or_else(dangling)?;
        match assembly(insn, &operand) {
            Some(text) => {
                let _ = write!(out, "\"{label}{text};\"");
            }
            None => {
                // A number has no room for a name.
                if !matches!(insn.operand, Operand::None | Operand::High(_) | Operand::Jump(_)) {
                    return Err(AssembleError::Unwritable { function: function.name.clone() });
                }
                let slot = slots.get(at).copied().unwrap_or_default();
                let Insn { code, dst_reg, src_reg, off, imm } = slot;
                if !label.is_empty() {
                    let _ = write!(out, "\"{label}\" ");
                }
                let _ = write!(out, "INSN({code:#x}, {dst_reg}, {src_reg}, {off}, {imm})");
                let _ = write!(out, " /* {} */", told(&slot));
                if let (true, Some(Insn { imm, .. })) = (slot.is_ldimm64(), slots.get(at + 1)) {
                    let _ = write!(out, " INSN(0, 0, 0, 0, {imm})");
                }
            }
        }
        at += insn.insn.slots();
    }
    out.push_str(");\n}\n");
    Ok(())
}

/// What a jump table is called. No identifier has a dot in it.
fn table_name(function: &Function, number: usize) -> String {
    format!("BPF.JT.{}.{number}", function.label)
}

/// The instruction as the verifier prints it.
fn told(insn: &Insn) -> String {
    let mut text = String::new();
    let dialect = Dialect::ALL.last().copied().unwrap_or(Dialect::V7_2);
    disasm::write_insn(&mut text, std::slice::from_ref(insn), 0, dialect, &|_| None);
    text.replace("*/", "* /")
}

/// The instruction in the assembler's language; nothing where it has no words for it, or where they mean something else.
fn assembly(insn: &Instruction, operand: &str) -> Option<String> {
    let Insn { code, dst_reg, src_reg, off, imm } = insn.insn;
    if dst_reg > 10 || src_reg > 10 {
        return None;
    }
    let offset = if off < 0 { format!("- {}", -i32::from(off)) } else { format!("+ {off}") };
    let wide = insn.insn.class() == class::ALU64 || insn.insn.class() == class::JMP;
    let prefix = if wide { 'r' } else { 'w' };
    let source = |prefix: char| match insn.insn.is_src_x() {
        true => format!("{prefix}{src_reg}"),
        false => imm.to_string(),
    };
    // Fields that the words leave 0.
    let unused = |fields: &[i64]| fields.iter().all(|field| *field == 0);
    let (src, off_field, imm_field) = (i64::from(src_reg), i64::from(off), i64::from(imm));
    let other = if insn.insn.is_src_x() { imm_field } else { src };
    Some(match insn.insn.class() {
        class::LD if insn.insn.is_ldimm64() => match insn.operand {
            Operand::High(high) => {
                let value = u64::from(high.cast_unsigned()) << 32 | u64::from(imm.cast_unsigned());
                if !unused(&[src, off_field]) {
                    return None;
                }
                format!("r{dst_reg} = {value:#x} ll")
            }
            Operand::MapValue(_, 0) | Operand::Map(_) | Operand::Address(_) | Operand::JumpTable(_) => {
                format!("r{dst_reg} = {operand} ll")
            }
            Operand::MapValue(_, at) => format!("r{dst_reg} = {operand} + {at} ll"),
            _ => return None,
        },
        class::ALU | class::ALU64 => {
            let sign = match insn.insn.op() {
                alu::MOV => "=",
                alu::ADD => "+=",
                alu::SUB => "-=",
                alu::MUL => "*=",
                alu::DIV => "/=",
                alu::OR => "|=",
                alu::AND => "&=",
                alu::LSH => "<<=",
                alu::RSH => ">>=",
                alu::XOR => "^=",
                alu::ARSH => "s>>=",
                alu::NEG if unused(&[src, off_field, imm_field]) && !insn.insn.is_src_x() => {
                    return Some(format!("{prefix}{dst_reg} = -{prefix}{dst_reg}"));
                }
                _ => return None,
            };
            if !unused(&[off_field, other]) {
                return None;
            }
            format!("{prefix}{dst_reg} {sign} {}", source(prefix))
        }
        class::LDX if insn.insn.mode() == mode::MEM && unused(&[imm_field]) => {
            format!("r{dst_reg} = *({} *)(r{src_reg} {offset})", sized(&insn.insn))
        }
        class::STX if insn.insn.mode() == mode::MEM && unused(&[imm_field]) => {
            let value = if insn.insn.size() == size::DW { 'r' } else { 'w' };
            format!("*({} *)(r{dst_reg} {offset}) = {value}{src_reg}", sized(&insn.insn))
        }
        class::ST if insn.insn.mode() == mode::MEM && unused(&[src]) => {
            format!("*({} *)(r{dst_reg} {offset}) = {imm}", sized(&insn.insn))
        }
        class::JMP | class::JMP32 => match (insn.insn.op(), insn.operand) {
            (jmp::EXIT, Operand::None)
                if code == class::JMP | jmp::EXIT && unused(&[src, off_field, imm_field]) =>
            {
                "exit".into()
            }
            (jmp::CALL, Operand::None) if insn.insn.is_helper_call() && unused(&[off_field]) => {
                format!("call {imm}")
            }
            (jmp::CALL, Operand::Call(_) | Operand::Kfunc(_)) => format!("call {operand}"),
            (jmp::JA, Operand::Jump(_)) if code == class::JMP | jmp::JA => format!("goto {operand}"),
            (jmp::JA, Operand::Jump(_)) if code == class::JMP32 | jmp::JA => format!("gotol {operand}"),
            (op, Operand::Jump(_)) => {
                let sign = match op {
                    jmp::JEQ => "==",
                    jmp::JNE => "!=",
                    jmp::JGT => ">",
                    jmp::JGE => ">=",
                    jmp::JLT => "<",
                    jmp::JLE => "<=",
                    jmp::JSGT => "s>",
                    jmp::JSGE => "s>=",
                    jmp::JSLT => "s<",
                    jmp::JSLE => "s<=",
                    jmp::JSET => "&",
                    _ => return may_goto(insn, operand),
                };
                if other != 0 {
                    return None;
                }
                format!("if {prefix}{dst_reg} {sign} {} goto {operand}", source(prefix))
            }
            _ => return None,
        },
        _ => return None,
    })
}

fn may_goto(insn: &Instruction, operand: &str) -> Option<String> {
    insn.insn.is_may_goto().then(|| format!("may_goto {operand}"))
}

fn sized(insn: &Insn) -> &'static str {
    match insn.size() {
        size::B => "u8",
        size::H => "u16",
        size::W => "u32",
        _ => "u64",
    }
}
