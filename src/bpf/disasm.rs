//! The text of an instruction, byte for byte as `print_bpf_insn` (`kernel/bpf/disasm.c`) writes it for a loader
//! that may see pointers, without the newline.
//!
//! One thing differs on purpose: where the verifier has put a kernel address into a 64-bit load, the address,
//! which no two runs share, is written as [`ADDRESS`]. [`mask_address`] does the same to the kernel's own text. Both
//! decide it from the instruction, never from how the text looks.

use super::insn::{Insn, MAY_GOTO, alu, atomic, class, jmp, mode, pseudo, size};
use super::{Dialect, helpers};
use std::borrow::Cow;
use std::fmt::{self, Write};

/// What stands for a kernel address.
pub const ADDRESS: &str = "<address>";

/// What `%s` prints for a null pointer: operations without a name.
const NULL: &str = "(null)";

/// `off` of the move that resolves an address of per-cpu memory.
const ADDR_PERCPU: i16 = -1;
/// `off` of the move between address spaces (`BPF_ADDR_SPACE_CAST`).
const ADDR_SPACE_CAST: i16 = 1;

/// Appends the text of the instruction at `idx` to `out`, without a newline.
///
/// `kfunc_name` gives the name of the kernel function that a call names, and is asked for such calls only; `None`
/// prints as `kernel-function`, as the kernel does for a function without a name. Any instructions are taken: a
/// 64-bit load whose second half is missing reads it as zero, and `idx` past the end writes nothing.
///
/// ```
/// use livediff::{Dialect, bpf::disasm, capture::Insn};
///
/// let load = Insn { code: 0x61, dst_reg: 0, src_reg: 10, off: -4, imm: 0 };
/// let mut text = String::new();
/// disasm::write_insn(&mut text, &[load], 0, Dialect::V7_2, &|_| None);
/// assert_eq!(text, "(61) r0 = *(u32 *)(r10 -4)");
/// ```
pub fn write_insn<'n>(
    out: &mut String,
    insns: &[Insn],
    idx: usize,
    dialect: Dialect,
    kfunc_name: &dyn Fn(&Insn) -> Option<&'n str>,
) {
    let Some(insn) = insns.get(idx) else { return };
    let high = idx.checked_add(1).and_then(|next| insns.get(next)).map_or(0, |second| second.imm);
    // Writing to a string does not fail.
    let _ = write(out, insn, high, dialect, kfunc_name);
}

/// Writes `insn`; `high` is the immediate of the slot after it.
fn write<'n>(
    out: &mut String,
    insn: &Insn,
    high: i32,
    dialect: Dialect,
    kfunc_name: &dyn Fn(&Insn) -> Option<&'n str>,
) -> fmt::Result {
    match insn.class() {
        class::ALU | class::ALU64 => write_alu(out, insn),
        class::STX => write_stx(out, insn),
        class::ST => write_st(out, insn),
        class::LDX => write_ldx(out, insn),
        class::LD => write_ld(out, insn, high),
        // Three bits: what is left is JMP and JMP32.
        _ => write_jmp(out, insn, dialect, kfunc_name),
    }
}

fn write_alu(out: &mut String, insn: &Insn) -> fmt::Result {
    let Insn { code, dst_reg: dst, src_reg: src, off, imm } = *insn;
    let is_64 = insn.class() == class::ALU64;
    let r = if is_64 { 'r' } else { 'w' };
    let mov_x_64 = code == class::ALU64 | alu::MOV | super::insn::SRC_X;
    let signed = matches!(insn.op(), alu::DIV | alu::MOD) && off == 1;
    let op = alu_symbol(insn.op(), signed);
    match insn.op() {
        alu::END if is_64 => write!(out, "({code:02x}) r{dst} = bswap{imm} r{dst}"),
        alu::END => {
            let order = if insn.is_src_x() { "be" } else { "le" };
            write!(out, "({code:02x}) r{dst} = {order}{imm} r{dst}")
        }
        alu::NEG => write!(out, "({code:02x}) {r}{dst} = -{r}{dst}"),
        _ if mov_x_64 && off == ADDR_SPACE_CAST => {
            // Two 16-bit address spaces share the immediate.
            let spaces = imm.cast_unsigned();
            let (to, from) = (spaces >> 16, spaces & 0xffff);
            write!(out, "({code:02x}) r{dst} = addr_space_cast(r{src}, {to}, {from})")
        }
        _ if mov_x_64 && off == ADDR_PERCPU => {
            write!(out, "({code:02x}) r{dst} = &(void __percpu *)(r{src})")
        }
        _ if insn.is_src_x() => {
            let extend = match (insn.op(), off) {
                (alu::MOV, 8) => "(s8)",
                (alu::MOV, 16) => "(s16)",
                (alu::MOV, 32) => "(s32)",
                _ => "",
            };
            write!(out, "({code:02x}) {r}{dst} {op} {extend}{r}{src}")
        }
        _ => write!(out, "({code:02x}) {r}{dst} {op} {imm}"),
    }
}

fn write_stx(out: &mut String, insn: &Insn) -> fmt::Result {
    let Insn { code, dst_reg: dst, src_reg: src, off, imm } = *insn;
    let ty = unsigned_type(insn.size());
    match insn.mode() {
        mode::MEM => return write!(out, "({code:02x}) *({ty} *)(r{dst} {off:+}) = r{src}"),
        mode::ATOMIC => {}
        _ => return write!(out, "BUG_{code:02x}"),
    }
    let wide = if insn.size() == size::DW { "64" } else { "" };
    if let Some((symbol, _)) = atomic_op(imm) {
        return write!(out, "({code:02x}) lock *({ty} *)(r{dst} {off:+}) {symbol} r{src}");
    }
    // Without the bit it is none of them, see above.
    if let Some((_, name)) = atomic_op(imm & !atomic::FETCH) {
        return write!(
            out,
            "({code:02x}) r{src} = atomic{wide}_fetch_{name}(({ty} *)(r{dst} {off:+}), r{src})"
        );
    }
    match imm {
        atomic::CMPXCHG => {
            write!(out, "({code:02x}) r0 = atomic{wide}_cmpxchg(({ty} *)(r{dst} {off:+}), r0, r{src})")
        }
        atomic::XCHG => {
            write!(out, "({code:02x}) r{src} = atomic{wide}_xchg(({ty} *)(r{dst} {off:+}), r{src})")
        }
        atomic::LOAD_ACQ => write!(out, "({code:02x}) r{dst} = load_acquire(({ty} *)(r{src} {off:+}))"),
        atomic::STORE_REL => write!(out, "({code:02x}) store_release(({ty} *)(r{dst} {off:+}), r{src})"),
        _ => write!(out, "BUG_{code:02x}"),
    }
}

fn write_st(out: &mut String, insn: &Insn) -> fmt::Result {
    let Insn { code, dst_reg: dst, off, imm, .. } = *insn;
    match insn.mode() {
        mode::MEM => {
            write!(out, "({code:02x}) *({} *)(r{dst} {off:+}) = {imm}", unsigned_type(insn.size()))
        }
        // BPF_NOSPEC, which only the verifier itself makes.
        mode::ATOMIC => write!(out, "({code:02x}) nospec"),
        _ => write!(out, "BUG_st_{code:02x}"),
    }
}

fn write_ldx(out: &mut String, insn: &Insn) -> fmt::Result {
    let Insn { code, dst_reg: dst, src_reg: src, off, .. } = *insn;
    let ty = match insn.mode() {
        mode::MEM => unsigned_type(insn.size()),
        mode::MEMSX => signed_type(insn.size()),
        _ => return write!(out, "BUG_ldx_{code:02x}"),
    };
    write!(out, "({code:02x}) r{dst} = *({ty} *)(r{src} {off:+})")
}

fn write_ld(out: &mut String, insn: &Insn, high: i32) -> fmt::Result {
    let Insn { code, dst_reg: dst, src_reg: src, imm, .. } = *insn;
    let ty = unsigned_type(insn.size());
    match insn.mode() {
        mode::ABS => write!(out, "({code:02x}) r0 = *({ty} *)skb[{imm}]"),
        mode::IND => write!(out, "({code:02x}) r0 = *({ty} *)skb[r{src} + {imm}]"),
        _ if insn.loads_kernel_address() => write!(out, "({code:02x}) r{dst} = {ADDRESS}"),
        _ if insn.is_ldimm64() => {
            let imm = u64::from(high.cast_unsigned()) << 32 | u64::from(imm.cast_unsigned());
            write!(out, "({code:02x}) r{dst} = {imm:#x}")
        }
        _ => write!(out, "BUG_ld_{code:02x}"),
    }
}

fn write_jmp<'n>(
    out: &mut String,
    insn: &Insn,
    dialect: Dialect,
    kfunc_name: &dyn Fn(&Insn) -> Option<&'n str>,
) -> fmt::Result {
    const GOTO: u8 = class::JMP | jmp::JA;
    const GOTOX: u8 = class::JMP | jmp::JA | super::insn::SRC_X;
    const GOTOL: u8 = class::JMP32 | jmp::JA;
    const JCOND: u8 = class::JMP | jmp::JCOND;
    const EXIT: u8 = class::JMP | jmp::EXIT;

    let Insn { code, dst_reg: dst, src_reg: src, off, imm } = *insn;
    // Either jump class and either source bit: the kernel looks at the operation alone.
    if insn.op() == jmp::CALL {
        let name = match src {
            pseudo::CALL => return write!(out, "({code:02x}) call pc{imm:+}"),
            0 => helpers::name(dialect, imm).unwrap_or("unknown"),
            pseudo::KFUNC_CALL => kfunc_name(insn).unwrap_or("kernel-function"),
            _ => "unknown",
        };
        return write!(out, "({code:02x}) call {name}#{imm}");
    }
    match code {
        GOTO => return write!(out, "({code:02x}) goto pc{off:+}"),
        GOTOX => return write!(out, "({code:02x}) gotox r{dst}"),
        JCOND if src == MAY_GOTO => return write!(out, "({code:02x}) may_goto pc{off:+}"),
        GOTOL => return write!(out, "({code:02x}) gotol pc{imm:+}"),
        EXIT => return write!(out, "({code:02x}) exit"),
        _ => {}
    }
    let r = if insn.class() == class::JMP32 { 'w' } else { 'r' };
    let op = jmp_symbol(insn.op());
    if insn.is_src_x() {
        write!(out, "({code:02x}) if {r}{dst} {op} {r}{src} goto pc{off:+}")
    } else {
        // `%x` has no prefix of its own, so zero is `0x0`.
        write!(out, "({code:02x}) if {r}{dst} {op} 0x{:x} goto pc{off:+}", imm.cast_unsigned())
    }
}

/// `bpf_alu_string`, and `bpf_alu_sign_string` where `signed`. NEG and END are written without their symbols.
fn alu_symbol(op: u8, signed: bool) -> &'static str {
    match op {
        alu::ADD => "+=",
        alu::SUB => "-=",
        alu::MUL => "*=",
        alu::DIV if signed => "s/=",
        alu::DIV => "/=",
        alu::OR => "|=",
        alu::AND => "&=",
        alu::LSH => "<<=",
        alu::RSH => ">>=",
        alu::MOD if signed => "s%=",
        alu::MOD => "%=",
        alu::XOR => "^=",
        alu::MOV => "=",
        alu::ARSH => "s>>=",
        _ => NULL,
    }
}

/// `bpf_jmp_string`. CALL is written without its symbol.
fn jmp_symbol(op: u8) -> &'static str {
    match op {
        jmp::JA => "jmp",
        jmp::JEQ => "==",
        jmp::JGT => ">",
        jmp::JLT => "<",
        jmp::JGE => ">=",
        jmp::JLE => "<=",
        jmp::JSET => "&",
        jmp::JNE => "!=",
        jmp::JSGT => "s>",
        jmp::JSLT => "s<",
        jmp::JSGE => "s>=",
        jmp::JSLE => "s<=",
        jmp::EXIT => "exit",
        _ => NULL,
    }
}

/// The symbol and the name of the atomic operations that have a fetching form.
fn atomic_op(imm: i32) -> Option<(&'static str, &'static str)> {
    const ADD: i32 = alu::ADD as i32;
    const AND: i32 = alu::AND as i32;
    const OR: i32 = alu::OR as i32;
    const XOR: i32 = alu::XOR as i32;
    match imm {
        ADD => Some(("+=", "add")),
        AND => Some(("&=", "and")),
        OR => Some(("|=", "or")),
        XOR => Some(("^=", "xor")),
        _ => None,
    }
}

/// `bpf_ldst_string`.
fn unsigned_type(size: u8) -> &'static str {
    match size {
        size::W => "u32",
        size::H => "u16",
        size::B => "u8",
        _ => "u64",
    }
}

/// `bpf_ldsx_string`. The kernel's table has no 64-bit entry; it refuses that opcode before it prints it.
fn signed_type(size: u8) -> &'static str {
    match size {
        size::W => "s32",
        size::H => "s16",
        size::B => "s8",
        _ => NULL,
    }
}

/// Replaces the kernel address in a line of the kernel's log by [`ADDRESS`].
///
/// `line` is any line that shows `insn`, whole or from the instruction's text on. If `insn` is a 64-bit load of a
/// kernel address, the operand of its text (`0x` and 1 to 16 hex digits) is replaced and everything around it kept.
/// A line that does not show `insn` that way comes back as it is, so that the comparison will see it.
pub fn mask_address<'l>(line: &'l str, insn: &Insn) -> Cow<'l, str> {
    if !insn.loads_kernel_address() {
        return Cow::Borrowed(line);
    }
    let text = format!("({:02x}) r{} = 0x", insn.code, insn.dst_reg);
    let Some((before, after)) = line.split_once(&text) else {
        return Cow::Borrowed(line);
    };
    let rest = after.trim_start_matches(|digit| matches!(digit, '0'..='9' | 'a'..='f'));
    if !(1..=16).contains(&(after.len() - rest.len())) {
        return Cow::Borrowed(line);
    }
    Cow::Owned(format!("{before}({:02x}) r{} = {ADDRESS}{rest}", insn.code, insn.dst_reg))
}

/// What stands for the BTF id of a kernel function.
pub const BTF_ID: &str = "<id>";

/// Replaces the BTF id of the kernel function that `insn` calls, which is another one in every kernel, by [`BTF_ID`] in
/// a line of the kernel's log that shows `insn`.
///
/// What follows the instruction stands in a column that depends on how many digits the id has: the blanks before it
/// become one. Everything else is kept, the name of the function above all; a line that does not show the call comes back
/// as it is.
pub fn mask_btf_id<'l>(line: &'l str, insn: &Insn) -> Cow<'l, str> {
    // Function 0 is none, in any kernel.
    if !insn.is_kfunc_call() || insn.imm == 0 {
        return Cow::Borrowed(line);
    }
    let call = format!("({:02x}) call ", insn.code);
    let Some(at) = line.find(&call).map(|at| at + call.len()) else { return Cow::Borrowed(line) };
    let (before, shown) = line.split_at(at);
    let name_ends = shown.find([' ', '\t', '#']).unwrap_or(shown.len());
    let (name, rest) = shown.split_at(name_ends);
    let Some(rest) = rest.strip_prefix(&format!("#{}", insn.imm)) else { return Cow::Borrowed(line) };
    if rest.starts_with(|digit: char| digit.is_ascii_digit()) {
        return Cow::Borrowed(line);
    }
    let comment = rest.trim_start_matches(' ');
    let rest = if comment.starts_with(';') && comment.len() < rest.len() {
        format!(" {comment}")
    } else {
        rest.to_owned()
    };
    Cow::Owned(format!("{before}{name}#{BTF_ID}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
        Insn { code, dst_reg, src_reg, off, imm }
    }

    fn text_at(insns: &[Insn], idx: usize) -> String {
        let mut out = String::new();
        write_insn(&mut out, insns, idx, Dialect::V7_2, &|_| None);
        out
    }

    fn text(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> String {
        text_at(&[insn(code, dst_reg, src_reg, off, imm)], 0)
    }

    #[test]
    fn alu() {
        assert_eq!(text(0xbf, 2, 10, 0, 0), "(bf) r2 = r10");
        assert_eq!(text(0xbc, 2, 3, 0, 0), "(bc) w2 = w3");
        assert_eq!(text(0xb7, 1, 0, 0, -1), "(b7) r1 = -1");
        assert_eq!(text(0x07, 2, 0, 0, -8), "(07) r2 += -8");
        assert_eq!(text(0x84, 4, 0, 0, 0), "(84) w4 = -w4");
        assert_eq!(text(0x87, 4, 0, 0, 0), "(87) r4 = -r4");
        assert_eq!(text(0xbf, 1, 2, 8, 0), "(bf) r1 = (s8)r2");
        assert_eq!(text(0xbc, 1, 2, 16, 0), "(bc) w1 = (s16)w2");
        assert_eq!(text(0xbf, 1, 2, 32, 0), "(bf) r1 = (s32)r2");
        // An immediate is never sign-extended in the text, and other offsets are not shown.
        assert_eq!(text(0xb7, 1, 0, 8, 5), "(b7) r1 = 5");
        assert_eq!(text(0xbf, 1, 2, 7, 0), "(bf) r1 = r2");
        assert_eq!(text(0x3f, 1, 2, 1, 0), "(3f) r1 s/= r2");
        assert_eq!(text(0x94, 1, 0, 1, 7), "(94) w1 s%= 7");
        assert_eq!(text(0x9c, 1, 2, 0, 0), "(9c) w1 %= w2");
        assert_eq!(text(0xc7, 3, 0, 0, 63), "(c7) r3 s>>= 63");
        assert_eq!(text(0xdc, 3, 0, 0, 16), "(dc) r3 = be16 r3");
        assert_eq!(text(0xd4, 3, 0, 0, 64), "(d4) r3 = le64 r3");
        assert_eq!(text(0xd7, 3, 0, 0, 32), "(d7) r3 = bswap32 r3");
        assert_eq!(text(0xbf, 1, 2, 1, 0x0001_ffff), "(bf) r1 = addr_space_cast(r2, 1, 65535)");
        assert_eq!(text(0xbf, 1, 2, 1, -0x1_0000), "(bf) r1 = addr_space_cast(r2, 65535, 0)");
        assert_eq!(text(0xbf, 1, 2, -1, 0), "(bf) r1 = &(void __percpu *)(r2)");
        assert_eq!(text(0xbc, 1, 2, -1, 0), "(bc) w1 = w2");
        assert_eq!(text(0xe7, 1, 0, 0, 3), "(e7) r1 (null) 3");
        assert_eq!(text(0xfc, 1, 2, 0, 3), "(fc) w1 (null) w2");
    }

    #[test]
    fn loads_and_stores() {
        assert_eq!(text(0x7b, 10, 1, -8, 0), "(7b) *(u64 *)(r10 -8) = r1");
        assert_eq!(text(0x7b, 11, 1, -8, 0), "(7b) *(u64 *)(r11 -8) = r1");
        assert_eq!(text(0x73, 1, 2, 0, 0), "(73) *(u8 *)(r1 +0) = r2");
        assert_eq!(text(0x62, 10, 0, -4, -5), "(62) *(u32 *)(r10 -4) = -5");
        assert_eq!(text(0xc2, 0, 0, 0, 0), "(c2) nospec");
        assert_eq!(text(0x02, 0, 0, 0, 0), "BUG_st_02");
        assert_eq!(text(0x69, 1, 10, -32768, 0), "(69) r1 = *(u16 *)(r10 -32768)");
        assert_eq!(text(0x81, 1, 10, 32767, 0), "(81) r1 = *(s32 *)(r10 +32767)");
        assert_eq!(text(0x99, 1, 10, 0, 0), "(99) r1 = *((null) *)(r10 +0)");
        assert_eq!(text(0x01, 1, 10, 0, 0), "BUG_ldx_01");
        assert_eq!(text(0x30, 0, 0, 0, 12), "(30) r0 = *(u8 *)skb[12]");
        assert_eq!(text(0x48, 0, 7, 0, -3), "(48) r0 = *(u16 *)skb[r7 + -3]");
        assert_eq!(text(0x00, 0, 0, 0, 0), "BUG_ld_00");
    }

    #[test]
    fn atomics() {
        assert_eq!(text(0xdb, 10, 1, -8, 0x00), "(db) lock *(u64 *)(r10 -8) += r1");
        assert_eq!(text(0xc3, 10, 1, -8, 0xa0), "(c3) lock *(u32 *)(r10 -8) ^= r1");
        assert_eq!(text(0xdb, 10, 1, -8, 0x01), "(db) r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)");
        assert_eq!(text(0xc3, 10, 1, -8, 0x41), "(c3) r1 = atomic_fetch_or((u32 *)(r10 -8), r1)");
        assert_eq!(text(0xdb, 10, 1, -8, 0xf1), "(db) r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)");
        assert_eq!(text(0xc3, 10, 1, -8, 0xe1), "(c3) r1 = atomic_xchg((u32 *)(r10 -8), r1)");
        assert_eq!(text(0xd3, 1, 10, -1, 0x100), "(d3) r1 = load_acquire((u8 *)(r10 -1))");
        assert_eq!(text(0xcb, 10, 1, -2, 0x110), "(cb) store_release((u16 *)(r10 -2), r1)");
        assert_eq!(text(0xdb, 10, 1, -8, 0x10), "BUG_db");
        assert_eq!(text(0xdb, 10, 1, -8, 0xe0), "BUG_db");
        assert_eq!(text(0x23, 10, 1, -8, 0), "BUG_23");
    }

    #[test]
    fn jumps() {
        assert_eq!(text(0x05, 0, 0, -3, 0), "(05) goto pc-3");
        assert_eq!(text(0x05, 0, 0, 0, 0), "(05) goto pc+0");
        assert_eq!(text(0x06, 0, 0, 0, 70000), "(06) gotol pc+70000");
        assert_eq!(text(0x0d, 4, 0, 0, 0), "(0d) gotox r4");
        assert_eq!(text(0xe5, 0, 0, 2, 0), "(e5) may_goto pc+2");
        assert_eq!(text(0xe5, 0, 1, 2, 0), "(e5) if r0 (null) 0x0 goto pc+2");
        assert_eq!(text(0x95, 0, 0, 0, 0), "(95) exit");
        assert_eq!(text(0x96, 0, 0, 0, 0), "(96) if w0 exit 0x0 goto pc+0");
        assert_eq!(text(0x15, 1, 0, 5, 0), "(15) if r1 == 0x0 goto pc+5");
        assert_eq!(text(0x56, 1, 0, -5, -1), "(56) if w1 != 0xffffffff goto pc-5");
        assert_eq!(text(0x6d, 1, 2, 1, 0), "(6d) if r1 s> r2 goto pc+1");
        assert_eq!(text(0x4e, 1, 2, 1, 0), "(4e) if w1 & w2 goto pc+1");
        assert_eq!(text(0x0e, 1, 2, 1, 0), "(0e) if w1 jmp w2 goto pc+1");
        assert_eq!(text(0xf5, 1, 2, 1, 0), "(f5) if r1 (null) 0x0 goto pc+1");
    }

    #[test]
    fn calls() {
        assert_eq!(text(0x85, 0, 0, 0, 1), "(85) call bpf_map_lookup_elem#1");
        assert_eq!(text(0x85, 0, 0, 0, 0), "(85) call bpf_unspec#0");
        assert_eq!(text(0x85, 0, 0, 0, 9999), "(85) call unknown#9999");
        assert_eq!(text(0x85, 0, 0, 0, -1), "(85) call unknown#-1");
        assert_eq!(text(0x85, 0, 1, 0, 7), "(85) call pc+7");
        assert_eq!(text(0x85, 0, 1, 0, -7), "(85) call pc-7");
        assert_eq!(text(0x85, 0, 3, 0, 1), "(85) call unknown#1");
        assert_eq!(text(0x85, 0, 2, 0, 123), "(85) call kernel-function#123");
        assert_eq!(text(0x8d, 3, 0, 0, 0), "(8d) call bpf_unspec#0");
        let mut out = String::from("7: ");
        let names: &dyn Fn(&Insn) -> Option<&'static str> =
            &|insn| (insn.imm == 123).then_some("bpf_iter_num_new");
        write_insn(&mut out, &[insn(0x85, 0, 2, 0, 123)], 0, Dialect::V7_2, names);
        assert_eq!(out, "7: (85) call bpf_iter_num_new#123");
    }

    #[test]
    fn wide_loads() {
        let wide = |src, low, high| text_at(&[insn(0x18, 1, src, 0, low), insn(0, 0, 0, 0, high)], 0);
        assert_eq!(wide(0, 0, 0), "(18) r1 = 0x0");
        assert_eq!(wide(0, -1, 0), "(18) r1 = 0xffffffff");
        assert_eq!(wide(0, 1, -1), "(18) r1 = 0xffffffff00000001");
        assert_eq!(wide(pseudo::FUNC, 5, 0), "(18) r1 = 0x5");
        for src in [pseudo::MAP_FD, pseudo::MAP_VALUE, pseudo::BTF_ID, pseudo::MAP_IDX, pseudo::MAP_IDX_VALUE]
        {
            assert_eq!(wide(src, 3, 4), "(18) r1 = <address>");
        }
    }

    #[test]
    fn hostile_positions() {
        assert_eq!(text_at(&[], 0), "");
        assert_eq!(text_at(&[insn(0x95, 0, 0, 0, 0)], usize::MAX), "");
        assert_eq!(text_at(&[insn(0x18, 1, 0, 0, 7)], 0), "(18) r1 = 0x7");
    }

    #[test]
    fn every_opcode_has_a_text() {
        for code in 0..=u8::MAX {
            for imm in [i32::MIN, -1, 0, 0x100, i32::MAX] {
                assert!(!text(code, 15, 15, i16::MIN, imm).is_empty());
            }
        }
    }

    #[test]
    fn mask_replaces_the_operand_only() {
        let map = insn(0x18, 1, pseudo::MAP_FD, 0, 0);
        let mask = |line| mask_address(line, &map).into_owned();
        assert_eq!(mask("(18) r1 = 0xff54af7fc013a000"), "(18) r1 = <address>");
        assert_eq!(mask("  3: .1........ (18) r1 = 0xff5\n"), "  3: .1........ (18) r1 = <address>\n");
        assert_eq!(
            mask("  3: (18) r1 = 0xff54af7fc013a000\tr1: fp0-8 -> none"),
            "  3: (18) r1 = <address>\tr1: fp0-8 -> none"
        );
        // Not this instruction's text: left alone.
        for line in ["(18) r2 = 0xff54af7fc013a000", "(18) r1 = 0x", "(18) r1 = 0x11112222333344445", "", "é"]
        {
            assert_eq!(mask(line), line);
        }
        // A plain constant that looks like an address is one.
        let constant = insn(0x18, 1, 0, 0, 0);
        let line = "(18) r1 = 0xff54af7fc013a000";
        assert_eq!(mask_address(line, &constant), line);
    }

    #[test]
    fn mask_and_text_agree() {
        let insns = [insn(0x18, 7, pseudo::MAP_VALUE, 0, 0), insn(0, 0, 0, 0, 16)];
        assert_eq!(mask_address("(18) r7 = 0xffffc90000abc010", &insns[0]), text_at(&insns, 0));
    }

    #[test]
    fn btf_ids_of_kernel_functions_are_masked() {
        let call = insn(0x85, 0, 2, 0, 1234);
        let masked = |line: &str| mask_btf_id(line, &call).into_owned();
        assert_eq!(masked("  1: (85) call bpf_x#1234\n"), "  1: (85) call bpf_x#<id>\n");
        assert_eq!(
            masked("  1: (85) call bpf_x#1234\tr0: _ -> IMP1\n"),
            "  1: (85) call bpf_x#<id>\tr0: _ -> IMP1\n"
        );
        assert_eq!(
            masked("  1: (85) call bpf_x#1234     ; use: fp0-8\n"),
            "  1: (85) call bpf_x#<id> ; use: fp0-8\n"
        );
        assert_eq!(
            masked("      1: .1........ (85) call kernel-function#1234"),
            "      1: .1........ (85) call kernel-function#<id>"
        );
        for line in [
            "  1: (85) call bpf_x#12345",
            "  1: (85) call bpf_x#1235",
            "  1: (85) call bpf_x",
            "  1: (95) exit",
            "  1: (85) call bpf_x #1234",
        ] {
            assert_eq!(masked(line), line);
        }
        // What is behind the id is kept, unless it is a comment in its column.
        for behind in ["", "\n", "   \n", "  x", "; x", " x ; y"] {
            let (line, expected) = (format!("call bpf_x#1234{behind}"), format!("call bpf_x#<id>{behind}"));
            assert_eq!(masked(&format!("(85) {line}")), format!("(85) {expected}"));
        }
        // Neither a helper's number nor function 0 depends on the kernel.
        for other in [insn(0x85, 0, 0, 0, 1234), insn(0x85, 0, 1, 0, 1234), insn(0x85, 0, 2, 0, 0)] {
            let line = format!("  1: (85) call bpf_x#{}", other.imm);
            assert_eq!(mask_btf_id(&line, &other), line);
        }
    }
}
