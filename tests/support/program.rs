//! A program as a kernel is given it.
#![allow(missing_docs, unreachable_pub)]

use livediff_capture::{FuncInfo, Insn, Loaded, Map};

pub fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

/// Two paths give r6 two offsets, both are written through it, and a subprogram reads through it: its section has a line
/// of every kind.
pub fn program() -> Loaded {
    Loaded {
        insns: vec![
            insn(0xbf, 6, 10, 0, 0),
            insn(0x07, 6, 0, 0, -8),
            insn(0x15, 1, 0, 1, 0),
            insn(0x07, 6, 0, 0, -8),
            insn(0x7a, 6, 0, 0, 1),
            insn(0x18, 2, 1, 0, 0),
            insn(0x00, 0, 0, 0, 0),
            insn(0xbf, 1, 6, 0, 0),
            insn(0x85, 0, 1, 0, 2),
            insn(0xb7, 0, 0, 0, 0),
            insn(0x95, 0, 0, 0, 0),
            insn(0x79, 0, 1, 0, 0),
            insn(0x95, 0, 0, 0, 0),
        ],
        maps: vec![Map { name: "map".into(), map_type: 2, ..Map::default() }],
        func_info: vec![
            FuncInfo { insn_off: 0, name: "main".into(), global: false },
            FuncInfo { insn_off: 11, name: "callee".into(), global: false },
        ],
        prog_type: 1,
        ..Loaded::default()
    }
}
