//! What programs are made of: actions, their weights, and the instructions that they make.

use super::generate::Material;
use crate::assemble::{Instruction, Operand};
use crate::bpf::helpers::{self, ArgKind};
use crate::random::Random;
use crate::verifier::Dialect;
use livediff_capture::{
    Insn, Loaded, Map,
    insn::{MAY_GOTO, REG_FP, REG_PARAMS, SRC_X, alu, atomic, class, func, jmp, mode, pseudo, size},
};

/// What a program is made of. Each makes one to a few instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Pointer,
    Move,
    Add,
    AluRegister,
    AluImmediate,
    Alu32,
    SignExtend,
    AddressCast,
    Swap,
    Constant,
    Store,
    StoreImmediate,
    Load,
    LoadSigned,
    Atomic,
    SpillAndFill,
    Helper,
    Kfunc,
    Call,
    Callback,
    Branch,
    DecidedBranch,
    MayGoto,
    Goto,
    LoadAbs,
    StackArgument,
    MapAddress,
    ReadOnlyLoad,
}

/// Actions and how often they are taken where nothing speaks for or against them.
const ACTIONS: [(Action, usize); 28] = [
    (Action::Pointer, 14),
    (Action::Move, 6),
    (Action::Add, 6),
    (Action::AluRegister, 3),
    (Action::AluImmediate, 3),
    (Action::Alu32, 2),
    (Action::SignExtend, 1),
    (Action::AddressCast, 1),
    (Action::Swap, 1),
    (Action::Constant, 5),
    (Action::Store, 14),
    (Action::StoreImmediate, 5),
    (Action::Load, 13),
    (Action::LoadSigned, 2),
    (Action::Atomic, 5),
    (Action::SpillAndFill, 5),
    (Action::Helper, 8),
    (Action::Kfunc, 2),
    (Action::Call, 8),
    (Action::Callback, 4),
    (Action::Branch, 10),
    (Action::DecidedBranch, 2),
    (Action::MayGoto, 1),
    (Action::Goto, 1),
    (Action::LoadAbs, 1),
    (Action::StackArgument, 2),
    (Action::MapAddress, 1),
    (Action::ReadOnlyLoad, 1),
];

/// The weights of one program.
pub(super) struct Weights(Vec<(Action, usize)>);

impl Weights {
    /// A factor for each action at random: what is left out makes room for what is rarely met otherwise.
    pub(super) fn new(random: &mut Random, material: &Material, dialect: Dialect) -> Weights {
        let kfuncs = !material.kfuncs.is_empty() && random.percent(25);
        let mut weights = ACTIONS.to_vec();
        for (action, weight) in &mut weights {
            *weight *= random.of(&[0, 1, 2, 2, 3, 8], 1);
            let offered = match action {
                Action::Kfunc => kfuncs,
                Action::StackArgument => dialect.choices().stack_args,
                _ => true,
            };
            if !offered {
                *weight = 0;
            }
        }
        Weights(weights)
    }

    fn choose(&self, random: &mut Random) -> Action {
        let mut at = random.below(self.0.iter().map(|(_, weight)| weight).sum());
        for (action, weight) in &self.0 {
            if at < *weight {
                return *action;
            }
            at -= weight;
        }
        Action::Pointer
    }
}

/// A function under construction. Labels are numbers of instructions, so that any can be jumped to.
pub(super) struct Body<'a> {
    pub(super) random: &'a mut Random,
    pub(super) weights: &'a Weights,
    pub(super) material: &'a Material,
    pub(super) dialect: Dialect,
    pub(super) prog_type: u32,
    pub(super) is_main: bool,
    pub(super) callees: &'a [u32],
    pub(super) insns: Vec<Instruction>,
}

const SIZES: [u8; 6] = [size::B, size::H, size::W, size::DW, size::DW, size::DW];
const CONDITIONS: [u8; 11] = [
    jmp::JEQ,
    jmp::JNE,
    jmp::JGT,
    jmp::JGE,
    jmp::JLT,
    jmp::JLE,
    jmp::JSGT,
    jmp::JSGE,
    jmp::JSLT,
    jmp::JSLE,
    jmp::JSET,
];

fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

impl Body<'_> {
    fn push(&mut self, insn: Insn) {
        self.refer(insn, Operand::None);
    }

    fn refer(&mut self, insn: Insn, operand: Operand) {
        let label = self.insns.len() as u32;
        self.insns.push(Instruction { label, insn, operand });
    }

    /// r0 to r9.
    fn reg(&mut self) -> u8 {
        self.random.below(10) as u8
    }

    /// The frame pointer, or a register that may hold anything.
    fn base(&mut self) -> u8 {
        if self.random.percent(45) { REG_FP } else { self.reg() }
    }

    /// An offset from the frame pointer: mostly a slot, sometimes at the edges of slots, frames and numbers.
    fn frame_off(&mut self) -> i16 {
        let random = &mut *self.random;
        let off = match random.below(100) {
            0..55 => -8 * random.range(1, 12),
            55..75 => -4 * random.range(1, 24),
            75..88 => -random.range(1, 80),
            88..96 => random.of(&[-512, -508, -504, -516, -520, 0, 8, 4, -1, -513], -8),
            _ => random.of(&[-32768, 32767, -32760, -600, 100], -8),
        };
        off as i16
    }

    /// An offset from a base.
    fn off(&mut self, base: u8) -> i16 {
        if base == REG_FP { self.frame_off() } else { self.random.of(&[0, 0, 0, -8, 8, -4, 4, 16, -16], 0) }
    }

    /// `reg = r10 + off`
    fn pointer(&mut self, reg: u8) {
        self.push(insn(class::ALU64 | alu::MOV | SRC_X, reg, REG_FP, 0, 0));
        if self.random.percent(85) {
            let off = self.frame_off().into();
            self.push(insn(class::ALU64 | alu::ADD, reg, 0, 0, off));
        }
    }

    fn constant(&mut self, reg: u8) {
        let imm = self.random.of(&[0, 1, 4, 8, 16, 24, 48, -1, 64, 512, 100], 0);
        self.push(insn(class::ALU64 | alu::MOV, reg, 0, 0, imm));
    }

    fn condition(&mut self) -> u8 {
        let class = if self.random.percent(30) { class::JMP32 } else { class::JMP };
        class | self.random.of(&CONDITIONS, jmp::JEQ)
    }

    /// The label of an instruction before or, more often, after this one.
    fn target(&mut self) -> Operand {
        let here = self.insns.len() as i32;
        let distance =
            if self.random.percent(75) { self.random.range(1, 12) } else { -self.random.range(0, 12) };
        Operand::Jump((here + distance).max(0) as u32)
    }

    pub(super) fn action(&mut self) {
        match self.weights.choose(self.random) {
            Action::Pointer => {
                let reg = self.reg();
                self.pointer(reg);
            }
            Action::Move => {
                let (dst, src) = (self.reg(), self.reg());
                self.push(insn(class::ALU64 | alu::MOV | SRC_X, dst, src, 0, 0));
            }
            Action::Add => {
                let op = self.random.of(&[alu::ADD, alu::SUB], alu::ADD);
                let steps = [8, -8, 16, 4, 1, -1, 40_000, -40_000, 32_760, -512, 65_536, i32::MAX, i32::MIN];
                let (reg, imm) = (self.reg(), self.random.of(&steps, 8));
                self.push(insn(class::ALU64 | op, reg, 0, 0, imm));
            }
            Action::AluRegister => {
                let ops =
                    [alu::ADD, alu::SUB, alu::MUL, alu::DIV, alu::OR, alu::AND, alu::MOD, alu::XOR, alu::LSH];
                let op = self.random.of(&ops, alu::ADD);
                let (dst, src) = (self.reg(), self.base());
                self.push(insn(class::ALU64 | op | SRC_X, dst, src, 0, 0));
            }
            Action::AluImmediate => {
                let ops = [alu::AND, alu::OR, alu::MUL, alu::LSH, alu::RSH, alu::ARSH, alu::XOR];
                let op = self.random.of(&ops, alu::AND);
                let (reg, imm) = (self.reg(), self.random.of(&[0, 1, 7, 8, 31], 0));
                self.push(insn(class::ALU64 | op, reg, 0, 0, imm));
            }
            Action::Alu32 => {
                let op = self.random.of(&[alu::ADD, alu::SUB, alu::AND, alu::MOV, alu::XOR], alu::MOV);
                let (dst, src) = (self.reg(), self.reg());
                match self.random.percent(50) {
                    true => self.push(insn(class::ALU | op | SRC_X, dst, src, 0, 0)),
                    false => self.push(insn(class::ALU | op, dst, 0, 0, 0)),
                }
            }
            Action::SignExtend => {
                let (dst, src, bits) = (self.reg(), self.reg(), self.random.of(&[8, 16, 32], 8));
                self.push(insn(class::ALU64 | alu::MOV | SRC_X, dst, src, bits, 0));
            }
            Action::AddressCast => {
                let (dst, src, imm) = (self.reg(), self.reg(), self.random.of(&[1, 65_536], 1));
                self.push(insn(class::ALU64 | alu::MOV | SRC_X, dst, src, 1, imm));
            }
            Action::Swap => {
                let swaps = [class::ALU | alu::END, class::ALU | alu::END | SRC_X, class::ALU64 | alu::END];
                let (code, reg) = (self.random.of(&swaps, swaps[0]), self.reg());
                let bits = self.random.of(&[16, 32, 64], 16);
                self.push(insn(code, reg, 0, 0, bits));
            }
            Action::Constant => {
                let reg = self.reg();
                self.constant(reg);
            }
            Action::Store => {
                let (base, size) = (self.base(), self.random.of(&SIZES, size::DW));
                let value = if self.random.percent(30) { REG_FP } else { self.reg() };
                let off = self.off(base);
                self.push(insn(class::STX | mode::MEM | size, base, value, off, 0));
            }
            Action::StoreImmediate => {
                let (base, size) = (self.base(), self.random.of(&SIZES, size::DW));
                let off = self.off(base);
                self.push(insn(class::ST | mode::MEM | size, base, 0, off, 1));
            }
            Action::Load => {
                let (base, size) = (self.base(), self.random.of(&SIZES, size::DW));
                let (reg, off) = (self.reg(), self.off(base));
                self.push(insn(class::LDX | mode::MEM | size, reg, base, off, 0));
            }
            Action::LoadSigned => {
                let (base, size) = (self.base(), self.random.of(&[size::B, size::H, size::W], size::B));
                let (reg, off) = (self.reg(), self.off(base));
                self.push(insn(class::LDX | mode::MEMSX | size, reg, base, off, 0));
            }
            Action::Atomic => self.atomic(),
            Action::SpillAndFill => {
                let (reg, other, off) = (self.reg(), self.reg(), self.frame_off());
                self.pointer(reg);
                self.push(insn(class::STX | mode::MEM | size::DW, REG_FP, reg, off, 0));
                self.push(insn(class::LDX | mode::MEM | size::DW, other, REG_FP, off, 0));
            }
            Action::Helper => self.helper(),
            Action::Kfunc => self.kfunc(),
            Action::Call => {
                let callee = self.random.of(self.callees, 0);
                if callee != 0 {
                    self.call(callee);
                }
            }
            Action::Callback => self.callback(),
            Action::Branch => {
                let (code, dst, target) = (self.condition(), self.reg(), self.target());
                let (src, imm) = (self.reg(), self.random.of(&[0, 1, 2, 8, 16, -1, 512], 0));
                match self.random.percent(35) {
                    true => self.refer(insn(code | SRC_X, dst, src, 0, 0), target),
                    false => self.refer(insn(code, dst, 0, 0, imm), target),
                }
            }
            Action::DecidedBranch => {
                let reg = self.reg();
                self.constant(reg);
                let (code, target) = (self.condition(), self.target());
                let imm = self.random.of(&[0, 1, 8, -1], 0);
                self.refer(insn(code, reg, 0, 0, imm), target);
            }
            Action::MayGoto => {
                let target = self.target();
                self.refer(insn(class::JMP | jmp::JCOND, 0, MAY_GOTO, 0, 0), target);
            }
            Action::Goto => {
                let far = if self.random.percent(50) { class::JMP32 } else { class::JMP };
                let target = Operand::Jump(self.insns.len() as u32 + 1 + self.random.below(3) as u32);
                self.refer(insn(far | jmp::JA, 0, 0, 0, 0), target);
            }
            Action::LoadAbs => {
                // Only programs on packets may, and only where they return an integer.
                if self.is_main && matches!(self.prog_type, 1 | 3 | 8) {
                    let size = self.random.of(&[size::B, size::H, size::W], size::B);
                    self.push(insn(class::LD | mode::ABS | size, 0, 0, 0, 4));
                }
            }
            Action::StackArgument => self.stack_argument(),
            Action::MapAddress => {
                let (reg, map) = (self.reg(), self.random.below(self.material.maps.len()));
                self.refer(insn(class::LD | mode::IMM | size::DW, reg, 0, 0, 0), Operand::Map(map));
            }
            Action::ReadOnlyLoad => {
                let readable = |map: &Map| map.rdonly_value.is_some();
                let Some(map) = self.material.maps.iter().position(readable) else { return };
                let (reg, other) = (self.reg(), self.reg());
                let offset = 8 * self.random.range(0, 7);
                let load = insn(class::LD | mode::IMM | size::DW, reg, 0, 0, 0);
                self.refer(load, Operand::MapValue(map, offset));
                let size = self.random.of(&SIZES, size::DW);
                self.push(insn(class::LDX | mode::MEM | size, other, reg, 0, 0));
            }
        }
    }

    fn atomic(&mut self) {
        const OPERATIONS: [i32; 10] = [
            alu::ADD as i32,
            alu::AND as i32,
            alu::OR as i32,
            alu::XOR as i32,
            alu::ADD as i32 | atomic::FETCH,
            alu::OR as i32 | atomic::FETCH,
            atomic::XCHG,
            atomic::CMPXCHG,
            atomic::LOAD_ACQ,
            atomic::STORE_REL,
        ];
        let operation = self.random.of(&OPERATIONS, atomic::XCHG);
        let (base, other) = (self.base(), self.reg());
        let off = self.off(base);
        let ordered = matches!(operation, atomic::LOAD_ACQ | atomic::STORE_REL);
        let sizes: &[u8] = if ordered { &SIZES } else { &[size::W, size::DW] };
        let code = class::STX | mode::ATOMIC | self.random.of(sizes, size::DW);
        let (dst, src) = if operation == atomic::LOAD_ACQ { (other, base) } else { (base, other) };
        self.push(insn(code, dst, src, off, operation));
    }

    /// Something for r1 to r5 that the argument may be.
    fn argument(&mut self, reg: u8, kind: ArgKind) {
        match kind {
            ArgKind::None | ArgKind::Other => {}
            ArgKind::Map => {
                let map = self.random.below(self.material.maps.len());
                self.refer(insn(class::LD | mode::IMM | size::DW, reg, 0, 0, 0), Operand::Map(map));
            }
            ArgKind::MemSize => self.constant(reg),
            ArgKind::MapKey
            | ArgKind::MapValue
            | ArgKind::Mem
            | ArgKind::FixedMem(_)
            | ArgKind::Dynptr
            | ArgKind::Stack => match self.random.percent(75) {
                true => self.pointer(reg),
                false => {
                    let other = self.reg();
                    self.push(insn(class::ALU64 | alu::MOV | SRC_X, reg, other, 0, 0));
                }
            },
        }
    }

    fn helper(&mut self) {
        let id = self.random.range(1, 211);
        if self.calls_back(id) {
            return;
        }
        let like = Loaded { prog_type: self.prog_type, ..Loaded::default() };
        if let Some(prototype) = helpers::prototype(self.dialect, &like, id) {
            for (reg, arg) in (1..=5).zip(&prototype.args) {
                if self.random.percent(85) {
                    self.argument(reg, arg.kind);
                }
            }
        } else if self.random.percent(80) {
            // One that the program may not call is refused late, and analysed all the same; but seldom of interest.
            return;
        }
        self.push(insn(class::JMP | jmp::CALL, 0, 0, 0, id));
    }

    fn calls_back(&self, id: i32) -> bool {
        matches!(
            id,
            func::LOOP
                | func::FOR_EACH_MAP_ELEM
                | func::FIND_VMA
                | func::USER_RINGBUF_DRAIN
                | func::TAIL_CALL
        )
    }

    fn kfunc(&mut self) {
        for reg in 1..=5 {
            match self.random.below(4) {
                0 | 1 => self.pointer(reg),
                2 => self.constant(reg),
                _ => {}
            }
        }
        let kfunc = self.random.below(self.material.kfuncs.len());
        self.refer(insn(class::JMP | jmp::CALL, 0, pseudo::KFUNC_CALL, 0, 0), Operand::Kfunc(kfunc));
    }

    pub(super) fn call(&mut self, callee: u32) {
        for reg in 1..=5 {
            match self.random.below(6) {
                0 | 1 => self.pointer(reg),
                2 => self.constant(reg),
                3 => {
                    let other = self.reg();
                    self.push(insn(class::ALU64 | alu::MOV | SRC_X, reg, other, 0, 0));
                }
                _ => {}
            }
        }
        self.refer(insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 0), Operand::Call(callee));
    }

    fn callback(&mut self) {
        let callee = self.random.of(self.callees, 0);
        if callee == 0 {
            return;
        }
        let helpers = [func::LOOP, func::FOR_EACH_MAP_ELEM, func::FIND_VMA, func::USER_RINGBUF_DRAIN];
        let helper = self.random.of(&helpers, func::LOOP);
        let (callback, context) = if helper == func::FIND_VMA { (3, 4) } else { (2, 3) };
        let address = insn(class::LD | mode::IMM | size::DW, callback, 0, 0, 0);
        self.refer(address, Operand::Address(callee));
        if self.random.percent(20) {
            // Perhaps another one.
            let (code, reg, target) =
                (self.condition(), self.reg(), Operand::Jump(self.insns.len() as u32 + 2));
            self.refer(insn(code, reg, 0, 0, 0), target);
            let callee = self.random.of(self.callees, callee);
            self.refer(address, Operand::Address(callee));
        }
        match self.random.below(5) {
            0 => self.constant(context),
            1 => {}
            _ => self.pointer(context),
        }
        self.push(insn(class::JMP | jmp::CALL, 0, 0, 0, helper));
    }

    /// An outgoing argument, or, in a subprogram, an incoming one.
    fn stack_argument(&mut self) {
        let slot = 8 * self.random.range(1, 8) as i16;
        match self.random.below(if self.is_main { 2 } else { 3 }) {
            0 => {
                let value = if self.random.percent(40) { REG_FP } else { self.reg() };
                self.push(insn(class::STX | mode::MEM | size::DW, REG_PARAMS, value, -slot, 0));
            }
            1 => self.push(insn(class::ST | mode::MEM | size::DW, REG_PARAMS, 0, -slot, 1)),
            _ => {
                let reg = self.reg();
                self.push(insn(class::LDX | mode::MEM | size::DW, reg, REG_PARAMS, slot, 0));
            }
        }
    }

    /// `r0 = 0; exit` at the end, and jumps that lead beyond it to it.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.push(insn(class::ALU64 | alu::MOV, 0, 0, 0, 0));
        let end = self.insns.len() as u32 - 1;
        self.push(insn(class::JMP | jmp::EXIT, 0, 0, 0, 0));
        for insn in &mut self.insns {
            if let Operand::Jump(target) = &mut insn.operand {
                *target = (*target).min(end);
            }
        }
        self.insns
    }
}
