//! What registers and stack slots hold, and what instructions compute of it.

use livediff_capture::{
    Insn,
    insn::{SRC_X, alu, class},
};

/// A value. Pointers are kept apart from numbers, as the verifier keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing was written: nobody may read it.
    Unwritten,
    /// A number.
    Scalar {
        /// The number.
        bits: u64,
        /// It is the same on every execution that comes this way, so that the verifier may know it too.
        known: bool,
    },
    /// Anything that is no pointer into a stack frame: a number from outside, a pointer to memory of the kernel, or
    /// null. The number tells one such value from others.
    Other(u32),
    /// A pointer into a stack frame.
    Stack {
        /// Serial number of the frame: no two frames of an execution have the same.
        frame: u32,
        /// The frame's place in the call chain.
        depth: usize,
        /// Distance from the frame pointer in bytes.
        off: i64,
        /// The verifier may know the distance: only known numbers were added.
        fixed: bool,
    },
    /// A map, by its place in what was loaded.
    Map(u32),
    /// The address of a map's value.
    MapValue {
        /// The map.
        map: u32,
        /// Offset in the value in bytes.
        off: i64,
    },
    /// The address of a subprogram.
    Func(u32),
}

impl Value {
    /// A number that the verifier may know.
    pub const fn known(bits: u64) -> Value {
        Value::Scalar { bits, known: true }
    }

    /// A number that depends on what comes from outside.
    pub const fn drawn(bits: u64) -> Value {
        Value::Scalar { bits, known: false }
    }
}

/// The operation of `insn` on two numbers of one width, which wraps; shifts take their count modulo the width.
macro_rules! operation {
    ($insn:expr, $dst:expr, $src:expr, $unsigned:ty, $signed:ty) => {{
        let (dst, src): ($unsigned, $unsigned) = ($dst, $src);
        // Wrapping shifts leave out what is above the width.
        let count = src as u32;
        let signed = $insn.off == 1;
        match $insn.op() {
            alu::ADD => dst.wrapping_add(src),
            alu::SUB => dst.wrapping_sub(src),
            alu::MUL => dst.wrapping_mul(src),
            alu::DIV if src == 0 => 0,
            alu::DIV if signed => (dst as $signed).wrapping_div(src as $signed) as $unsigned,
            alu::DIV => dst / src,
            alu::MOD if src == 0 => dst,
            alu::MOD if signed => (dst as $signed).wrapping_rem(src as $signed) as $unsigned,
            alu::MOD => dst % src,
            alu::OR => dst | src,
            alu::AND => dst & src,
            alu::XOR => dst ^ src,
            alu::LSH => dst.wrapping_shl(count),
            alu::RSH => dst.wrapping_shr(count),
            alu::ARSH => (dst as $signed).wrapping_shr(count) as $unsigned,
            alu::NEG => dst.wrapping_neg(),
            _ => return None,
        }
    }};
}

/// The result of an operation of the ALU classes on two numbers; `NEG` takes no notice of the second. Nothing for
/// moves, byte swaps, and codes that stand for no operation.
pub fn compute(insn: &Insn, dst: u64, src: u64) -> Option<u64> {
    Some(if insn.class() == class::ALU {
        operation!(insn, dst as u32, src as u32, u32, i32).into()
    } else {
        operation!(insn, dst, src, u64, i64)
    })
}

/// The result of a move of a number: its sign extended from `off` bits, if `off` is 8, 16 or 32.
pub fn moved(insn: &Insn, src: u64) -> u64 {
    let extended = match insn.off {
        8 => src as i8 as u64,
        16 => src as i16 as u64,
        32 => src as i32 as u64,
        _ => src,
    };
    if insn.class() == class::ALU { u64::from(extended as u32) } else { extended }
}

/// The result of a byte swap (`END`) of a number on a little-endian machine.
pub fn swapped(insn: &Insn, bits: u64) -> Option<u64> {
    // In the 64-bit class a swap is one whatever the machine's order; else the source bit says to which order.
    let swaps = insn.class() == class::ALU64 || insn.code & SRC_X != 0;
    Some(match (insn.imm, swaps) {
        (16, true) => (bits as u16).swap_bytes().into(),
        (32, true) => (bits as u32).swap_bytes().into(),
        (64, true) => bits.swap_bytes(),
        (16, false) => bits & 0xffff,
        (32, false) => bits & 0xffff_ffff,
        (64, false) => bits,
        _ => return None,
    })
}

/// Whether a conditional jump on two numbers is taken; nothing if the code stands for no condition.
pub fn is_taken(insn: &Insn, dst: u64, src: u64) -> Option<bool> {
    use livediff_capture::insn::jmp;
    let narrow = insn.class() == class::JMP32;
    let (a, b) = if narrow { (u64::from(dst as u32), u64::from(src as u32)) } else { (dst, src) };
    let signed = |bits: u64| if narrow { i64::from(bits as i32) } else { bits as i64 };
    let (c, d) = (signed(dst), signed(src));
    Some(match insn.op() {
        jmp::JEQ => a == b,
        jmp::JNE => a != b,
        jmp::JGT => a > b,
        jmp::JGE => a >= b,
        jmp::JLT => a < b,
        jmp::JLE => a <= b,
        jmp::JSGT => c > d,
        jmp::JSGE => c >= d,
        jmp::JSLT => c < d,
        jmp::JSLE => c <= d,
        jmp::JSET => a & b != 0,
        _ => return None,
    })
}

/// A load of `size` bytes as a number, its sign extended if the load does so.
pub fn loaded(bits: u64, size: usize, signed: bool) -> u64 {
    match (size, signed) {
        (1, true) => bits as i8 as u64,
        (2, true) => bits as i16 as u64,
        (4, true) => bits as i32 as u64,
        (1, false) => bits & 0xff,
        (2, false) => bits & 0xffff,
        (4, false) => bits & 0xffff_ffff,
        _ => bits,
    }
}
