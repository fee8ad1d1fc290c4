//! Which registers may be read at or after each instruction before they are written.
//!
//! ```text
//! out[i] = U in[s] over the successors s of i
//! in[i]  = (out[i] less def[i]) u use[i]
//! ```
//! From Linux 7.3 on the two halves of a register are tracked for themselves. What reads the upper half reads both, and
//! what defines one half defines both: a register is live if its lower half is. An instruction that defines the lower
//! half only, of a register whose upper half is live after it, is one after which some machines must clear the upper
//! half.

use livediff_capture::Insn;
use livediff_capture::insn::{alu, atomic, class, jmp, mode, size};

use super::program::Program;
use super::stack_access::{self, REG_ARGS};

/// r0 to r5, which a call leaves undefined.
const CALLER_SAVED: u16 = 0x3f;
/// `BPF_MAP_TYPE_ARENA`.
const MAP_TYPE_ARENA: u32 = 33;
/// `BPF_F_NO_USER_CONV`.
const MAP_NO_USER_CONV: u32 = 1 << 18;

/// The live registers of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveRegs {
    /// The registers live before each instruction: bit r for r`r`.
    pub before: Vec<u16>,
    /// Whether the instruction defines the lower half of a register whose upper half is live after it; empty for
    /// dialects that do not track halves.
    pub zext: Vec<bool>,
}

/// A set of registers by halves: bit r for the lower half of r`r`, bit 16 + r for the upper one.
type Halves = u32;

fn lower(regs: Halves) -> Halves {
    regs & 0xffff
}

fn whole(regs: u16) -> Halves {
    Halves::from(regs) | Halves::from(regs) << 16
}

/// Registers read and written by an instruction (`compute_insn_live_regs`).
///
/// Without halves the kernel's rules are the same with every half taken for the whole.
fn use_def(program: &Program<'_>, insn: &Insn) -> (Halves, Halves) {
    let bit = |reg: u8| whole(1u16.checked_shl(reg.into()).unwrap_or(0));
    let (src, dst, r0) = (bit(insn.src_reg), bit(insn.dst_reg), bit(0));
    let sized = |regs: Halves, is_wide: bool| if is_wide { regs } else { lower(regs) };
    let operand = if insn.is_src_x() { src } else { 0 };
    // What the kernel has no rule for reads everything and writes nothing.
    let unknown = (Halves::MAX, 0);
    match insn.class() {
        class::LD if insn.mode() == mode::IMM && insn.size() == size::DW => (0, dst),
        class::LDX if matches!(insn.mode(), mode::MEM | mode::MEMSX) => (src, dst),
        class::ST if insn.mode() == mode::MEM => (dst, 0),
        class::STX => {
            let value = |regs| sized(regs, insn.size() == size::DW);
            match insn.mode() {
                mode::MEM => (dst | value(src), 0),
                mode::ATOMIC => match insn.imm {
                    atomic::CMPXCHG => (value(r0) | dst | value(src), r0),
                    atomic::LOAD_ACQ => (src, dst),
                    imm if imm & atomic::FETCH != 0 => (dst | value(src), src),
                    // STORE_REL among them.
                    _ => (dst | value(src), 0),
                },
                _ => unknown,
            }
        }
        class::ALU | class::ALU64 => {
            let value = |regs| sized(regs, insn.class() == class::ALU64);
            match insn.op() {
                alu::END => (dst, dst),
                alu::MOV => (value(operand), dst),
                _ => (value(dst | operand), dst),
            }
        }
        class::JMP | class::JMP32 => match insn.op() {
            jmp::JA => (if insn.is_src_x() { dst } else { 0 }, 0),
            jmp::JCOND => (0, 0),
            jmp::EXIT => (r0, 0),
            jmp::CALL => {
                let param_regs = program.dialect.choices().param_regs;
                let params = stack_access::num_params(program, insn).unwrap_or(REG_ARGS).min(param_regs);
                (whole((1u16 << (params + 1)) - 2), whole(CALLER_SAVED))
            }
            _ => (sized(dst | operand, insn.class() == class::JMP), 0),
        },
        _ => unknown,
    }
}

/// Computes the live registers (`bpf_compute_live_registers`).
pub(crate) fn compute_live_registers(program: &Program<'_>) -> LiveRegs {
    let by_halves = program.dialect.choices().register_halves;
    let use_def = program.insns.iter().map(|insn| {
        let (uses, defs) = use_def(program, insn);
        if by_halves { (uses, defs) } else { (lower(uses), lower(defs)) }
    });
    let use_def: Vec<(Halves, Halves)> = use_def.collect();
    let mut live: Vec<Halves> = vec![0; program.insns.len()];
    let out = |live: &[Halves], idx: u32| {
        let successors = program.successors(idx);
        let live = successors.as_slice().iter().filter_map(|successor| live.get(*successor as usize));
        live.fold(0, |out, live| out | live)
    };
    let mut changed = true;
    while std::mem::take(&mut changed) {
        for &idx in &program.postorder {
            let out = out(&live, idx);
            let idx = idx as usize;
            let (uses, defs) = use_def[idx];
            let before = out & !defs | uses;
            changed |= before != live[idx];
            live[idx] = before;
        }
    }
    let before = live.iter().map(|live| *live as u16).collect();
    let mut zext = Vec::new();
    if by_halves {
        zext.resize(program.insns.len(), false);
        for &idx in &program.postorder {
            let defined = defined_lower_half(program, &program.insn(idx));
            zext[idx as usize] = defined.is_some_and(|reg| out(&live, idx) >> (16 + reg) & 1 == 1);
        }
    }
    LiveRegs { before, zext }
}

/// The register of which the instruction defines the lower half only (`bpf_insn_def32`).
fn defined_lower_half(program: &Program<'_>, insn: &Insn) -> Option<u8> {
    let is_dw = insn.size() == size::DW;
    match insn.class() {
        class::ALU | class::ALU64 if insn.op() == alu::END => (insn.imm != 64).then_some(insn.dst_reg),
        class::ALU => Some(insn.dst_reg),
        class::ALU64 => is_addr_space_cast32(program, insn).then_some(insn.dst_reg),
        class::LDX => (insn.mode() == mode::MEM && !is_dw).then_some(insn.dst_reg),
        class::STX => insn.atomic_load_reg().filter(|_| !is_dw),
        class::LD => insn.is_ld_abs_ind().then_some(insn.dst_reg),
        _ => None,
    }
}

/// `is_addr_space_cast32`: a cast that is done in 32 bits.
fn is_addr_space_cast32(program: &Program<'_>, insn: &Insn) -> bool {
    if insn.op() != alu::MOV || !insn.is_src_x() || insn.off != 1 {
        return false;
    }
    let is_arena = |map: &&livediff_capture::Map| map.map_type == MAP_TYPE_ARENA;
    let arena = program.loaded.maps.iter().find(is_arena);
    insn.imm == 1 || insn.imm == 1 << 16 && arena.is_some_and(|arena| arena.map_flags & MAP_NO_USER_CONV != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;
    use livediff_capture::Loaded;

    /// What no rule is for cannot be loaded, and an exit names no register. The rules hold all the same.
    #[test]
    fn what_has_no_rule_reads_everything_and_an_exit_reads_r0() {
        let loaded = Loaded::default();
        let program = Program::new(&loaded, Dialect::V7_3);
        let uses =
            |code, dst_reg, src_reg| use_def(&program, &Insn { code, dst_reg, src_reg, off: 0, imm: 0 });
        let unknown = (Halves::MAX, 0);
        for code in [
            class::LDX | mode::ATOMIC | size::DW,
            class::ST | mode::ATOMIC | size::DW,
            class::STX | mode::MEMSX | size::DW,
            class::LD | mode::IMM | size::W,
            class::LD | mode::MEM | size::DW,
        ] {
            assert_eq!(uses(code, 1, 2), unknown, "{code:#x}");
        }
        assert_eq!(uses(class::LD | mode::IMM | size::DW, 1, 0), (0, whole(2)));
        assert_eq!(uses(class::JMP | jmp::EXIT, 5, 6), (whole(1), 0));
        assert_eq!(uses(class::JMP | jmp::JCOND, 5, 0), (0, 0));
    }

    /// `GENMASK(num_params, 1)` up to 7.1, where only kernel functions have more than five; the rest is on the stack since.
    #[test]
    fn a_call_reads_a_register_for_each_parameter() {
        let called = |dialect, params| {
            let prototype = livediff_capture::KfuncPrototype {
                params: vec![livediff_capture::KfuncParam::default(); params],
                ..Default::default()
            };
            let kfunc =
                livediff_capture::Kfunc { btf_id: 7, prototype: Some(prototype), ..Default::default() };
            let loaded = Loaded { kfuncs: vec![kfunc], ..Loaded::default() };
            let call = Insn { code: class::JMP | jmp::CALL, src_reg: 2, imm: 7, ..Insn::default() };
            use_def(&Program::new(&loaded, dialect), &call)
        };
        for dialect in [Dialect::V7_1, Dialect::V7_2] {
            assert_eq!(called(dialect, 0), (0, whole(0b11_1111)));
            assert_eq!(called(dialect, 5), (whole(0b11_1110), whole(0b11_1111)));
        }
        assert_eq!(called(Dialect::V7_1, 7).0, whole(0b1111_1110));
        assert_eq!(called(Dialect::V7_2, 7).0, whole(0b11_1110));
    }

    /// `is_addr_space_cast32`: one opcode, one offset; into the kernel's address space always, out of it by a flag of the
    /// arena.
    #[test]
    fn some_casts_between_address_spaces_define_the_lower_half_only() {
        const CAST: Insn = Insn { code: class::ALU64 | alu::MOV | 8, dst_reg: 3, src_reg: 4, off: 1, imm: 1 };
        let defined = |insn: Insn, arena_flags: Option<u32>| {
            let arena = |map_flags| livediff_capture::Map {
                map_type: MAP_TYPE_ARENA,
                map_flags,
                ..livediff_capture::Map::default()
            };
            let maps = arena_flags.map(arena).into_iter().collect();
            let loaded = Loaded { maps, ..Loaded::default() };
            defined_lower_half(&Program::new(&loaded, Dialect::V7_3), &insn)
        };
        assert_eq!(defined(CAST, None), Some(3));
        for imm in [0, 2, 1 << 16 | 1] {
            assert_eq!(defined(Insn { imm, ..CAST }, Some(MAP_NO_USER_CONV)), None, "{imm:#x}");
        }
        for code in [class::ALU64 | alu::MOV, class::ALU64 | alu::ADD | 8, class::ALU64 | alu::DIV] {
            assert_eq!(defined(Insn { code, ..CAST }, None), None, "{code:#x}");
        }
        for off in [0, -1, 8] {
            assert_eq!(defined(Insn { off, ..CAST }, None), None, "{off}");
        }
        let out = Insn { imm: 1 << 16, ..CAST };
        assert_eq!(
            [None, Some(0), Some(MAP_NO_USER_CONV)].map(|flags| defined(out, flags)),
            [None, None, Some(3)]
        );
    }
}
