//! Which registers may be read at or after each instruction before they are written.
//!
//! ```text
//! out[i] = U in[s] over the successors s of i
//! in[i]  = (out[i] less def[i]) u use[i]
//! ```

use livediff_capture::Insn;
use livediff_capture::insn::{alu, atomic, class, jmp, mode, size};

use super::program::Program;
use super::stack_access::{self, REG_ARGS};

/// r0 to r5, which a call leaves undefined.
const CALLER_SAVED: u16 = 0x3f;

/// Registers read and written by an instruction (`compute_insn_live_regs`): bit r for r`r`.
fn use_def(program: &Program<'_>, insn: &Insn) -> (u16, u16) {
    let bit = |reg: u8| 1u16.checked_shl(reg.into()).unwrap_or(0);
    let (src, dst) = (bit(insn.src_reg), bit(insn.dst_reg));
    let operand = if insn.is_src_x() { src } else { 0 };
    // What the kernel has no rule for reads everything and writes nothing.
    let unknown = (u16::MAX, 0);
    match insn.class() {
        class::LD if insn.mode() == mode::IMM && insn.size() == size::DW => (0, dst),
        class::LDX if matches!(insn.mode(), mode::MEM | mode::MEMSX) => (src, dst),
        class::ST if insn.mode() == mode::MEM => (dst, 0),
        class::STX => match insn.mode() {
            mode::MEM => (dst | src, 0),
            mode::ATOMIC => match insn.imm {
                atomic::CMPXCHG => (bit(0) | dst | src, bit(0)),
                atomic::LOAD_ACQ => (src, dst),
                atomic::STORE_REL => (dst | src, 0),
                imm if imm & atomic::FETCH != 0 => (dst | src, src),
                _ => (dst | src, 0),
            },
            _ => unknown,
        },
        class::ALU | class::ALU64 => match insn.op() {
            alu::END => (dst, dst),
            alu::MOV => (operand, dst),
            _ => (dst | operand, dst),
        },
        class::JMP | class::JMP32 => match insn.op() {
            jmp::JA => (if insn.is_src_x() { dst } else { 0 }, 0),
            jmp::JCOND => (0, 0),
            jmp::EXIT => (bit(0), 0),
            jmp::CALL => {
                let params = stack_access::num_params(program, insn).unwrap_or(REG_ARGS).min(REG_ARGS);
                ((1 << (params + 1)) - 2, CALLER_SAVED)
            }
            _ => (dst | operand, 0),
        },
        _ => unknown,
    }
}

/// The registers live before each instruction, bit r for r`r` (`bpf_compute_live_registers`).
pub(crate) fn compute_live_registers(program: &Program<'_>) -> Vec<u16> {
    let use_def: Vec<(u16, u16)> = program.insns.iter().map(|insn| use_def(program, insn)).collect();
    let mut live = vec![0u16; program.insns.len()];
    let mut changed = true;
    while std::mem::take(&mut changed) {
        for &idx in &program.postorder {
            let successors = program.successors(idx);
            let out = successors
                .as_slice()
                .iter()
                .filter_map(|successor| live.get(*successor as usize))
                .fold(0, |out, live| out | live);
            let idx = idx as usize;
            let (uses, defs) = use_def[idx];
            let before = out & !defs | uses;
            changed |= before != live[idx];
            live[idx] = before;
        }
    }
    live
}
