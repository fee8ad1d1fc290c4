//! Opcode fields and predicates on instructions, named as in `include/uapi/linux/bpf.h` and
//! `include/linux/bpf_verifier.h`.
//!
//! ```text
//! code = class (3 bits) | op (4 bits) << 4 | src (1 bit) << 3      for ALU and JMP classes
//! code = class (3 bits) | size (2 bits) << 3 | mode (3 bits) << 5  for LD, LDX, ST and STX
//! ```

use serde::{Deserialize, Serialize};

/// Instruction classes, `code & 7`.
pub mod class {
    #![allow(missing_docs)]
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
}

/// Operations of the ALU classes, `code & 0xf0`.
pub mod alu {
    #![allow(missing_docs)]
    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
    pub const END: u8 = 0xd0;
}

/// Operations of the JMP classes, `code & 0xf0`.
pub mod jmp {
    #![allow(missing_docs)]
    pub const JA: u8 = 0x00;
    pub const JEQ: u8 = 0x10;
    pub const JGT: u8 = 0x20;
    pub const JGE: u8 = 0x30;
    pub const JSET: u8 = 0x40;
    pub const JNE: u8 = 0x50;
    pub const JSGT: u8 = 0x60;
    pub const JSGE: u8 = 0x70;
    pub const CALL: u8 = 0x80;
    pub const EXIT: u8 = 0x90;
    pub const JLT: u8 = 0xa0;
    pub const JLE: u8 = 0xb0;
    pub const JSLT: u8 = 0xc0;
    pub const JSLE: u8 = 0xd0;
    pub const JCOND: u8 = 0xe0;
}

/// Access sizes, `code & 0x18`.
pub mod size {
    #![allow(missing_docs)]
    pub const W: u8 = 0x00;
    pub const H: u8 = 0x08;
    pub const B: u8 = 0x10;
    pub const DW: u8 = 0x18;
}

/// Access modes, `code & 0xe0`.
pub mod mode {
    #![allow(missing_docs)]
    pub const IMM: u8 = 0x00;
    pub const ABS: u8 = 0x20;
    pub const IND: u8 = 0x40;
    pub const MEM: u8 = 0x60;
    pub const MEMSX: u8 = 0x80;
    pub const ATOMIC: u8 = 0xc0;
    pub const PROBE_ATOMIC: u8 = 0xe0;
}

/// `imm` of atomic instructions.
pub mod atomic {
    #![allow(missing_docs)]
    pub const FETCH: i32 = 0x01;
    pub const XCHG: i32 = 0xe0 | FETCH;
    pub const CMPXCHG: i32 = 0xf0 | FETCH;
    pub const LOAD_ACQ: i32 = 0x100;
    pub const STORE_REL: i32 = 0x110;
}

/// Pseudo source registers of 64-bit immediate loads and calls.
pub mod pseudo {
    #![allow(missing_docs)]
    pub const MAP_FD: u8 = 1;
    pub const MAP_VALUE: u8 = 2;
    pub const BTF_ID: u8 = 3;
    pub const FUNC: u8 = 4;
    pub const MAP_IDX: u8 = 5;
    pub const MAP_IDX_VALUE: u8 = 6;
    pub const CALL: u8 = 1;
    pub const KFUNC_CALL: u8 = 2;
}

/// `BPF_K` and `BPF_X`: the operand is the immediate, or the source register.
pub const SRC_X: u8 = 0x08;
/// The frame pointer, r10.
pub const REG_FP: u8 = 10;
/// `BPF_REG_PARAMS`, r11: base register of stack arguments.
pub const REG_PARAMS: u8 = 11;
/// `MAX_BPF_REG`: r0 to r10.
pub const MAX_BPF_REG: usize = 11;
/// `src_reg` of `may_goto`.
pub const MAY_GOTO: u8 = 0;

/// Helper ids that the verifier's passes know by name.
pub mod func {
    #![allow(missing_docs)]
    pub const TAIL_CALL: i32 = 12;
    pub const FOR_EACH_MAP_ELEM: i32 = 164;
    pub const TIMER_SET_CALLBACK: i32 = 170;
    pub const FIND_VMA: i32 = 180;
    pub const LOOP: i32 = 181;
    pub const USER_RINGBUF_DRAIN: i32 = 209;
}

/// One BPF instruction slot of 8 bytes. A 64-bit immediate load takes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Insn {
    /// Opcode.
    pub code: u8,
    /// Destination register, 0 to 15.
    pub dst_reg: u8,
    /// Source register or pseudo source, 0 to 15.
    pub src_reg: u8,
    /// Signed 16-bit offset.
    pub off: i16,
    /// Signed 32-bit immediate.
    pub imm: i32,
}

impl Insn {
    /// `BPF_CLASS`.
    pub fn class(&self) -> u8 {
        self.code & 0x07
    }

    /// `BPF_OP`.
    pub fn op(&self) -> u8 {
        self.code & 0xf0
    }

    /// `BPF_SIZE`.
    pub fn size(&self) -> u8 {
        self.code & 0x18
    }

    /// `BPF_MODE`.
    pub fn mode(&self) -> u8 {
        self.code & 0xe0
    }

    /// `BPF_SRC(code) == BPF_X`: the operand is `src_reg`.
    pub fn is_src_x(&self) -> bool {
        self.code & SRC_X != 0
    }

    /// Bytes accessed: 1, 2, 4 or 8 (`bpf_size_to_bytes`).
    pub fn size_bytes(&self) -> i32 {
        match self.size() {
            size::B => 1,
            size::H => 2,
            size::W => 4,
            _ => 8,
        }
    }

    /// First half of a 64-bit immediate load (`bpf_is_ldimm64`).
    pub fn is_ldimm64(&self) -> bool {
        self.code == class::LD | mode::IMM | size::DW
    }

    /// Slots that the instruction takes: 2 for a 64-bit immediate load, else 1.
    pub fn slots(&self) -> usize {
        if self.is_ldimm64() { 2 } else { 1 }
    }

    fn is_call(&self) -> bool {
        self.code == class::JMP | jmp::CALL
    }

    /// Call of a helper by id (`bpf_helper_call`).
    pub fn is_helper_call(&self) -> bool {
        self.is_call() && self.src_reg == 0
    }

    /// Call of a subprogram (`bpf_pseudo_call`).
    pub fn is_pseudo_call(&self) -> bool {
        self.is_call() && self.src_reg == pseudo::CALL
    }

    /// Call of a kernel function by BTF id (`bpf_pseudo_kfunc_call`).
    pub fn is_kfunc_call(&self) -> bool {
        self.is_call() && self.src_reg == pseudo::KFUNC_CALL
    }

    /// Load of a subprogram's address (`bpf_pseudo_func`).
    pub fn is_pseudo_func(&self) -> bool {
        self.is_ldimm64() && self.src_reg == pseudo::FUNC
    }

    /// Load of a map or of the address of a map's value.
    pub fn is_map_load(&self) -> bool {
        self.is_ldimm64()
            && matches!(
                self.src_reg,
                pseudo::MAP_FD | pseudo::MAP_IDX | pseudo::MAP_VALUE | pseudo::MAP_IDX_VALUE
            )
    }

    /// Load whose operand the verifier replaces by a kernel address: a map, a map's value or a kernel symbol.
    pub fn loads_kernel_address(&self) -> bool {
        self.is_map_load() || self.is_ldimm64() && self.src_reg == pseudo::BTF_ID
    }

    /// `LD_ABS` or `LD_IND`.
    pub fn is_ld_abs_ind(&self) -> bool {
        self.class() == class::LD && matches!(self.mode(), mode::ABS | mode::IND)
    }

    /// May leave its subprogram other than by an `exit`: a packet load that fails, a tail call that succeeds
    /// (`visit_abnormal_return_insn`).
    pub fn is_abnormal_return(&self) -> bool {
        self.is_ld_abs_ind() || self.is_helper_call() && self.imm == func::TAIL_CALL
    }

    /// Indirect jump (`insn_is_gotox`).
    pub fn is_gotox(&self) -> bool {
        self.class() == class::JMP && self.op() == jmp::JA && self.is_src_x()
    }

    /// `bpf_is_may_goto_insn`.
    pub fn is_may_goto(&self) -> bool {
        self.code == class::JMP | jmp::JCOND && self.src_reg == MAY_GOTO
    }

    /// Conditional jump, `may_goto` included (`bpf_insn_is_cond_jump`).
    pub fn is_cond_jump(&self) -> bool {
        match self.class() {
            class::JMP32 => self.op() != jmp::JA,
            class::JMP => !matches!(self.op(), jmp::JA | jmp::EXIT | jmp::CALL),
            _ => false,
        }
    }

    /// Distance of a jump, counted from the next instruction (`bpf_jmp_offset`).
    pub fn jmp_offset(&self) -> i32 {
        if self.code == class::JMP32 | jmp::JA { self.imm } else { self.off.into() }
    }

    fn is_stack_arg(&self, class: u8, base: u8) -> bool {
        self.code == class | mode::MEM | size::DW && base == REG_PARAMS && self.off % 8 == 0
    }

    /// Load of an incoming stack argument (`is_stack_arg_ldx`).
    pub fn is_stack_arg_ldx(&self) -> bool {
        self.is_stack_arg(class::LDX, self.src_reg) && self.off > 0
    }

    /// Store of an immediate to an outgoing stack argument (`is_stack_arg_st`).
    pub fn is_stack_arg_st(&self) -> bool {
        self.is_stack_arg(class::ST, self.dst_reg) && self.off < 0
    }

    /// Store of a register to an outgoing stack argument (`is_stack_arg_stx`).
    pub fn is_stack_arg_stx(&self) -> bool {
        self.is_stack_arg(class::STX, self.dst_reg) && self.off < 0
    }

    /// Register that an atomic instruction loads from memory (`bpf_atomic_load_reg`).
    pub fn atomic_load_reg(&self) -> Option<u8> {
        if self.class() != class::STX || !matches!(self.mode(), mode::ATOMIC | mode::PROBE_ATOMIC) {
            return None;
        }
        match self.imm {
            atomic::LOAD_ACQ => Some(self.dst_reg),
            atomic::CMPXCHG => Some(0),
            imm if imm & atomic::FETCH != 0 => Some(self.src_reg),
            _ => None,
        }
    }
}
