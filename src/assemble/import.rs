//! What was given to the kernel, taken apart again: functions, labels, maps and kernel functions.

use super::{
    Function, Instruction, Kfunc, LDIMM64, Operand, Program, Signature, exit_insn, identifier, mov_imm,
};
use crate::bpf::btf::Btf;
use livediff_capture::{
    Insn, Loaded,
    insn::{class, jmp, pseudo},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use thiserror::Error;

/// Why a program cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum ImportError {
    #[error("the program has no instructions")]
    Empty,
    #[error("instruction {insn} is cut short")]
    Cut { insn: usize },
    #[error("instruction {insn} refers to {what} outside of what it may refer to")]
    Outside { insn: usize, what: &'static str },
}

/// `BPF_MAP_TYPE_ARENA` and `BPF_MAP_TYPE_INSN_ARRAY`.
const MAP_ARENA: u32 = 33;
const MAP_INSN_ARRAY: u32 = 34;

impl Program {
    /// Takes apart what was given to a kernel whose BTF is `btf`, as the program `name` of `section`.
    ///
    /// What an object cannot say is replaced by what comes closest: an indirect jump without a jump table of its function
    /// by an exit, the value of an arena by the arena, a call of a function of a kernel module by its result, 0. Kernel
    /// symbols, and functions that cannot be declared, keep the number that they have in this kernel; see
    /// [`Program::portable`].
    pub fn import(name: &str, section: &str, loaded: &Loaded, btf: &Btf<'_>) -> Result<Program, ImportError> {
        let insns = &loaded.insns;
        let starts = starts(loaded)?;
        let mut kfuncs: Vec<Kfunc> = Vec::new();
        let mut numbers: BTreeMap<i32, usize> = BTreeMap::new();
        for kfunc in &loaded.kfuncs {
            if kfunc.offset != 0 {
                continue;
            }
            // One that cannot be declared is called by its number.
            let Ok(signature) = Signature::of_kernel(btf, kfunc.btf_id.cast_unsigned()) else { continue };
            numbers.insert(kfunc.btf_id, kfuncs.len());
            kfuncs.push(Kfunc { name: kfunc.name.clone(), signature });
        }
        let mut functions = Vec::new();
        // How often each name was wanted.
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let ends = starts.iter().skip(1).copied().chain([insns.len()]);
        for (&start, end) in starts.iter().zip(ends) {
            let info = loaded.func_info.iter().find(|info| info.insn_off as usize == start);
            let wanted = match info {
                _ if start == 0 => identifier(name, "p"),
                Some(info) => identifier(&info.name, "f"),
                None => format!("subprog_{}", functions.len()),
            };
            let count = names.entry(wanted.clone()).or_default();
            *count += 1;
            let name = if *count == 1 { wanted } else { format!("{wanted}___{count}") };
            let (insns, jump_tables) = function(loaded, start, end, &starts, &numbers)?;
            functions.push(Function {
                label: u32::try_from(start).map_err(|_| ImportError::Empty)?,
                name,
                global: info.is_some_and(|info| info.global) && start != 0,
                insns,
                jump_tables,
            });
        }
        let mut program = Program {
            name: identifier(name, "p"),
            section: section.strip_prefix('?').unwrap_or(section).to_owned(),
            functions,
            maps: Arc::new(loaded.maps.clone()),
            kfuncs: Arc::new(kfuncs),
            exception_callback: loaded.exception_callback,
        };
        program.tidy();
        Ok(program)
    }
}

/// Where functions begin.
fn starts(loaded: &Loaded) -> Result<BTreeSet<usize>, ImportError> {
    if loaded.insns.is_empty() {
        return Err(ImportError::Empty);
    }
    let mut starts = BTreeSet::from([0]);
    let mut at = 0;
    while let Some(insn) = loaded.insns.get(at) {
        if insn.is_pseudo_call() || insn.is_pseudo_func() {
            let outside = || ImportError::Outside { insn: at, what: "a function" };
            let start = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(1 + i64::from(insn.imm));
            let start = usize::try_from(start).map_err(|_| outside())?;
            if start >= loaded.insns.len() {
                return Err(outside());
            }
            starts.insert(start);
        }
        at += insn.slots();
    }
    starts.extend(loaded.exception_callback.map(|start| start as usize));
    starts.extend(loaded.func_info.iter().map(|info| info.insn_off as usize));
    starts.retain(|start| *start < loaded.insns.len());
    Ok(starts)
}

/// The instructions `start..end`, labelled by place, and the jump tables that they use.
fn function(
    loaded: &Loaded,
    start: usize,
    end: usize,
    starts: &BTreeSet<usize>,
    kfuncs: &BTreeMap<i32, usize>,
) -> Result<(Vec<Instruction>, Vec<Vec<u32>>), ImportError> {
    let insns = &loaded.insns;
    let tables = jump_tables(loaded, start, end);
    // Operands of jumps are slots first, labels once all are known.
    let mut out: Vec<Instruction> = Vec::new();
    let mut labels: BTreeMap<usize, u32> = BTreeMap::new();
    let mut push = |insn, operand| {
        let label = u32::try_from(out.len()).unwrap_or(u32::MAX - 1);
        out.push(Instruction { label, insn, operand });
        label
    };
    let slot = |slot: usize| u32::try_from(slot).unwrap_or(u32::MAX);
    let mut at = start;
    while at < end {
        let Some(&insn) = insns.get(at) else { break };
        let outside = |what| ImportError::Outside { insn: at, what };
        let high = match insns.get(at + 1) {
            Some(second) if insn.is_ldimm64() && at + 1 < end => second.imm,
            _ if insn.is_ldimm64() => return Err(ImportError::Cut { insn: at }),
            _ => 0,
        };
        let target = |distance: i32| {
            let to = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(1 + i64::from(distance));
            let to = usize::try_from(to).ok().filter(|to| (start..end).contains(to));
            to.ok_or_else(|| outside("an instruction"))
        };
        let map = || {
            let number = usize::try_from(insn.imm).ok().filter(|number| *number < loaded.maps.len());
            number.ok_or_else(|| outside("a map"))
        };
        let callee = || -> Result<u32, ImportError> {
            let callee = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(1 + i64::from(insn.imm));
            let callee = usize::try_from(callee).ok().filter(|callee| starts.contains(callee));
            Ok(slot(callee.ok_or_else(|| outside("a function"))?))
        };
        let cleared = Insn { src_reg: 0, imm: 0, ..insn };
        let constant = |imm| Insn { code: LDIMM64, dst_reg: insn.dst_reg, imm, ..Insn::default() };
        let label = if insn.is_map_load() {
            let number = map()?;
            let map_type = loaded.maps.get(number).map_or(0, |map| map.map_type);
            match map_type {
                MAP_INSN_ARRAY => match tables.iter().position(|(map, _)| *map == number) {
                    Some(table) if high == 0 => push(cleared, Operand::JumpTable(table)),
                    _ => push(constant(0), Operand::High(0)),
                },
                MAP_ARENA => push(cleared, Operand::Map(number)),
                _ if matches!(insn.src_reg, pseudo::MAP_VALUE | pseudo::MAP_IDX_VALUE) => {
                    push(cleared, Operand::MapValue(number, high))
                }
                _ => push(cleared, Operand::Map(number)),
            }
        } else if insn.is_pseudo_func() {
            push(cleared, Operand::Address(callee()?))
        } else if insn.is_ldimm64() {
            push(insn, Operand::High(high))
        } else if insn.is_pseudo_call() {
            push(cleared, Operand::Call(callee()?))
        } else if insn.is_kfunc_call() {
            match kfuncs.get(&insn.imm) {
                _ if insn.off != 0 => push(mov_imm(0, 0), Operand::None),
                Some(number) => push(cleared, Operand::Kfunc(*number)),
                None => push(insn, Operand::None),
            }
        } else if insn.is_gotox() && tables.is_empty() {
            push(exit_insn(), Operand::None)
        } else if insn.is_cond_jump() {
            let to = target(insn.jmp_offset())?;
            push(Insn { off: 0, ..insn }, Operand::Jump(slot(to)))
        } else if insn.code == class::JMP | jmp::JA {
            push(Insn { off: 0, ..insn }, Operand::Jump(slot(target(insn.off.into())?)))
        } else if insn.code == class::JMP32 | jmp::JA {
            push(Insn { imm: 0, ..insn }, Operand::Jump(slot(target(insn.imm)?)))
        } else {
            push(insn, Operand::None)
        };
        labels.insert(at, label);
        at += insn.slots();
    }
    let label = |slot: u32| {
        let label = labels.get(&(slot as usize)).copied();
        label.ok_or(ImportError::Outside { insn: slot as usize, what: "half an instruction" })
    };
    for insn in &mut out {
        if let Operand::Jump(to) = &mut insn.operand {
            *to = label(*to)?;
        }
    }
    let labelled = |(_, table): &(usize, &[u32])| table.iter().map(|to| label(*to)).collect();
    let tables = tables.iter().map(labelled).collect::<Result<_, _>>()?;
    if out.is_empty() {
        out.push(Instruction::plain(0, mov_imm(0, 0)));
    }
    Ok((out, tables))
}

/// The instruction arrays that are jump tables of `start..end`: their maps, and the slots that they lead to.
fn jump_tables(loaded: &Loaded, start: usize, end: usize) -> Vec<(usize, &[u32])> {
    let arrays = loaded.maps.iter().enumerate();
    let arrays = arrays.filter_map(|(map, array)| Some((map, array.insn_array.as_deref()?)));
    let lies_inside = |table: &[u32]| table.iter().all(|to| (start..end).contains(&(*to as usize)));
    arrays.filter(|(_, table)| !table.is_empty() && lies_inside(table)).collect()
}
