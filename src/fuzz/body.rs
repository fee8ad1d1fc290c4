//! A function under construction: the instructions that each action makes.

mod calls;

use super::contents::{Content, Contents};
use super::generate::THROW;
use super::setting::{Action, Setting};
use crate::assemble::{Instruction, Operand};
use crate::random::Random;
use livediff_capture::{
    Insn, Map,
    insn::{MAY_GOTO, REG_FP, SRC_X, alu, atomic, class, func, jmp, mode, pseudo, size},
};

/// A function under construction. Labels are numbers of instructions, so that any can be jumped to.
pub(super) struct Body<'a> {
    random: &'a mut Random,
    setting: &'a Setting<'a>,
    is_main: bool,
    callees: &'a [u32],
    insns: Vec<Instruction>,
    jump_tables: Vec<Vec<u32>>,
    contents: Contents,
    /// What is being made lies on one of two paths that meet again.
    in_arms: bool,
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

/// Numbers whose sign, or whose upper bits, depend on how many bits are looked at.
const EDGES: [i32; 12] = [-1, -2, -8, -128, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, i32::MAX, i32::MIN];

fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

impl<'a> Body<'a> {
    /// An empty function that may call these.
    pub(super) fn new(
        random: &'a mut Random,
        setting: &'a Setting<'a>,
        is_main: bool,
        callees: &'a [u32],
    ) -> Body<'a> {
        let contents = Contents::at_entry(is_main);
        let mut body = Body {
            random,
            setting,
            is_main,
            callees,
            insns: Vec::new(),
            jump_tables: Vec::new(),
            contents,
            in_arms: false,
        };
        if !is_main && body.random.percent(50) {
            body.keep_parameters();
        }
        body
    }

    /// What a caller passed in `parameter` is in r6.
    pub(super) fn keep(&mut self, parameter: u8) {
        self.copy(6, parameter);
    }

    /// What a caller passed outlives calls in r6 to r9.
    fn keep_parameters(&mut self) {
        for _ in 0..self.random.range(1, 2) {
            let (reg, parameter) = (self.random.range(6, 9) as u8, self.random.range(1, 5) as u8);
            self.copy(reg, parameter);
        }
    }

    fn push(&mut self, insn: Insn) {
        self.refer(insn, Operand::None);
    }

    fn refer(&mut self, insn: Insn, operand: Operand) {
        let label = self.here();
        self.contents.note(&insn, operand);
        self.insns.push(Instruction { label, insn, operand });
    }

    /// The label of the next instruction.
    fn here(&self) -> u32 {
        self.insns.len() as u32
    }

    /// The jump leads to the next instruction.
    fn land(&mut self, jump: usize) {
        let here = self.here();
        if let Some(jump) = self.insns.get_mut(jump) {
            jump.operand = Operand::Jump(here);
        }
    }

    /// Two paths begin; one of them may never be taken. The jump has to [`Body::land`] where the second one begins.
    fn fork(&mut self) -> usize {
        let nowhere = Operand::Jump(0);
        match self.random.percent(25) {
            true => {
                // Not one that a call to come takes for an argument.
                let reg = self.random.range(6, 9) as u8;
                self.decided_branch(reg, nowhere);
            }
            false => self.open_branch(nowhere),
        }
        self.insns.len() - 1
    }

    /// The first path ends: a jump that has to [`Body::land`] where they meet again.
    fn goto(&mut self) -> usize {
        self.refer(insn(class::JMP | jmp::JA, 0, 0, 0, 0), Operand::Jump(0));
        self.insns.len() - 1
    }

    /// Two paths that do different things.
    fn arms(&mut self) {
        if std::mem::replace(&mut self.in_arms, true) {
            return;
        }
        let fork = self.fork();
        (0..self.random.range(0, 2)).for_each(|_| self.action());
        let over = self.goto();
        self.land(fork);
        (0..self.random.range(1, 2)).for_each(|_| self.action());
        self.land(over);
        self.in_arms = false;
    }

    /// Something that two paths make: mostly not in the same way.
    fn on_two_paths(&mut self, make: impl Fn(&mut Self)) {
        if std::mem::replace(&mut self.in_arms, true) {
            return make(self);
        }
        let fork = self.fork();
        let begin = self.insns.len();
        make(self);
        let end = self.insns.len();
        let over = self.goto();
        self.land(fork);
        if self.random.percent(25) {
            for made in self.insns.get(begin..end).unwrap_or_default().to_vec() {
                self.refer(made.insn, made.operand);
            }
        } else {
            make(self);
        }
        self.land(over);
        self.in_arms = false;
    }

    /// The same for some of what is asked for, the rest is made once.
    fn either(&mut self, make: impl Fn(&mut Self)) {
        if self.random.percent(self.setting.either) { self.on_two_paths(make) } else { make(self) }
    }

    /// A register that holds `content`, in so many of a hundred cases, if there is one; else any.
    fn holding(&mut self, content: Content, percent: usize) -> u8 {
        let any = self.reg();
        if !self.random.percent(percent) {
            return any;
        }
        self.random.of(&self.contents.holding(content, true), any)
    }

    /// r0 to r9.
    fn reg(&mut self) -> u8 {
        self.random.below(10) as u8
    }

    /// The frame pointer, or a register that may hold anything.
    fn base(&mut self) -> u8 {
        if self.random.percent(45) { REG_FP } else { self.holding(Content::Pointer, 50) }
    }

    /// An offset from the frame pointer: mostly a slot, sometimes one that was used or is near it, sometimes at the edges
    /// of slots, frames and numbers.
    fn frame_off(&mut self) -> i16 {
        let random = &mut *self.random;
        if random.percent(20)
            && let Some(used) = self.contents.used().get(random.below(self.contents.used().len()))
        {
            return used.saturating_add(random.of(&[0, 0, 0, 4, -4, 8, -8, 1, -1], 0));
        }
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
        match base {
            REG_FP => self.frame_off(),
            // A pointer often is the frame pointer itself, and nothing stands above it.
            _ => self.random.of(&[0, 0, 0, -8, -8, -8, -4, -16, -24, 8, 4, 16], 0),
        }
    }

    /// `reg = r10 + off`
    fn pointer(&mut self, reg: u8) {
        self.push(insn(class::ALU64 | alu::MOV | SRC_X, reg, REG_FP, 0, 0));
        if self.random.percent(85) {
            let off = self.frame_off().into();
            self.push(insn(class::ALU64 | alu::ADD, reg, 0, 0, off));
        }
    }

    fn copy(&mut self, reg: u8, other: u8) {
        self.push(insn(class::ALU64 | alu::MOV | SRC_X, reg, other, 0, 0));
    }

    /// A small number: sizes, offsets, and what may be either.
    fn size(&mut self, reg: u8) {
        let imm = self.random.of(&[0, 1, 4, 8, 16, 24, 48, -1, 64, 512, 100], 0);
        self.push(insn(class::ALU64 | alu::MOV, reg, 0, 0, imm));
    }

    /// A number, given or computed in a way that constant folding follows.
    fn constant(&mut self, reg: u8) {
        if self.random.percent(50) {
            return self.size(reg);
        }
        let imm = self.random.of(&EDGES, -1);
        match self.random.below(6) {
            0 | 1 => self.push(insn(class::ALU64 | alu::MOV, reg, 0, 0, imm)),
            2 | 3 => self.push(insn(class::ALU | alu::MOV, reg, 0, 0, imm)),
            4 => {
                let high = self.random.of(&[0, 0, -1, 1, i32::MIN], 0);
                self.refer(insn(class::LD | mode::IMM | size::DW, reg, 0, 0, imm), Operand::High(high));
            }
            _ => {
                self.read_only_address(reg);
                self.read_only_load(reg, reg);
            }
        }
        (0..self.random.range(0, 2)).for_each(|_| self.fold(reg));
    }

    /// What constant folding follows, if the register holds a constant.
    fn fold(&mut self, reg: u8) {
        let class = if self.random.percent(50) { class::ALU } else { class::ALU64 };
        let (imm, step) = (self.random.of(&EDGES, -1), self.random.of(&[1, -1, 8, 0x80, i32::MIN], 1));
        match self.random.below(6) {
            0 | 1 => self.sign_extend(reg, reg),
            2 => {
                let op = self.random.of(&[alu::ADD, alu::SUB], alu::ADD);
                self.push(insn(class | op, reg, 0, 0, step));
            }
            3 => self.push(insn(class | alu::AND, reg, 0, 0, imm)),
            4 => {
                let other = self.holding(Content::Constant, 90);
                self.push(insn(class | alu::AND | SRC_X, reg, other, 0, 0));
            }
            _ => {
                let other = self.holding(Content::Constant, 90);
                self.push(insn(class | alu::MOV | SRC_X, reg, other, 0, 0));
            }
        }
    }

    fn sign_extend(&mut self, reg: u8, other: u8) {
        let (class, bits) = match self.random.percent(70) {
            true => (class::ALU64, self.random.of(&[8, 8, 16, 32], 8)),
            false => (class::ALU, self.random.of(&[8, 8, 16], 8)),
        };
        self.push(insn(class | alu::MOV | SRC_X, reg, other, bits, 0));
    }

    fn map_address(&mut self, reg: u8) {
        let map = self.random.below(self.setting.material.maps.len());
        self.refer(insn(class::LD | mode::IMM | size::DW, reg, 0, 0, 0), Operand::Map(map));
    }

    /// An address in a map that nobody writes.
    fn read_only_address(&mut self, reg: u8) {
        let readable = |(at, map): (usize, &Map)| Some((at, map.rdonly_value.as_ref()?.len()));
        let maps: Vec<_> = self.setting.material.maps.iter().enumerate().filter_map(readable).collect();
        let Some((map, len)) = maps.get(self.random.below(maps.len())) else { return };
        let offset = self.random.below(*len);
        let offset = if self.random.percent(80) { offset / 8 * 8 } else { offset };
        let load = insn(class::LD | mode::IMM | size::DW, reg, 0, 0, 0);
        self.refer(load, Operand::MapValue(*map, offset as i32));
    }

    fn read_only_load(&mut self, reg: u8, base: u8) {
        let (mode, size) = match self.random.percent(40) {
            true => (mode::MEMSX, self.random.of(&[size::B, size::H, size::W], size::B)),
            false => (mode::MEM, self.random.of(&SIZES, size::DW)),
        };
        let off = self.random.of(&[0, 0, 0, 1, 4, -8], 0);
        self.push(insn(class::LDX | mode | size, reg, base, off, 0));
    }

    /// A jump that nothing decides, as far as that is known.
    fn open_branch(&mut self, target: Operand) {
        let reg = self.reg();
        let open = self.contents.holding(Content::Constant, false);
        let reg = if self.random.percent(80) { self.random.of(&open, reg) } else { reg };
        self.branch(reg, target);
    }

    /// A jump on something that constant folding may know: in `reg`, or in a register that holds such.
    fn decided_branch(&mut self, reg: u8, target: Operand) {
        let known = self.contents.holding(Content::Constant, true);
        let reg = if self.random.percent(50) { self.random.of(&known, reg) } else { reg };
        if !known.contains(&reg) {
            self.constant(reg);
        }
        self.branch(reg, target);
    }

    fn branch(&mut self, reg: u8, target: Operand) {
        let code = self.condition();
        match self.random.below(20) {
            0..7 => {
                let other = self.holding(Content::Constant, 30);
                self.refer(insn(code | SRC_X, reg, other, 0, 0), target);
            }
            7..15 => {
                let imm = self.random.of(&[0, 1, 2, 8, 16, -1, 512], 0);
                self.refer(insn(code, reg, 0, 0, imm), target);
            }
            _ => {
                let imm = self.random.of(&EDGES, 0);
                self.refer(insn(code, reg, 0, 0, imm), target);
            }
        }
    }

    /// A value of any kind.
    fn value(&mut self, reg: u8, content: Content) {
        match content {
            Content::Pointer => self.pointer(reg),
            Content::Constant => self.constant(reg),
            Content::Map => self.map_address(reg),
            Content::MapValue => self.read_only_address(reg),
            Content::Other => {
                let other = self.reg();
                self.copy(reg, other);
            }
        }
    }

    fn condition(&mut self) -> u8 {
        let class = if self.random.percent(30) { class::JMP32 } else { class::JMP };
        class | self.random.of(&CONDITIONS, jmp::JEQ)
    }

    /// The label of an instruction before or, more often, after this one.
    fn target(&mut self) -> Operand {
        Operand::Jump(self.label())
    }

    fn label(&mut self) -> u32 {
        let here = self.insns.len() as i32;
        let distance =
            if self.random.percent(75) { self.random.range(1, 12) } else { -self.random.range(0, 12) };
        (here + distance).max(0) as u32
    }

    /// An indirect jump through a table of its own, or one that the function has already.
    fn jump_table(&mut self) {
        let (address, index) = (self.reg(), self.reg());
        let index = if index == address { (index + 1) % 10 } else { index };
        let indexed = self.random.below(4);
        match indexed {
            0 => self.constant(index),
            1 => self.push(insn(class::ALU64 | alu::LSH, index, 0, 0, 3)),
            _ => {}
        }
        let known = self.jump_tables.len();
        let again = known > 0 && self.random.percent(20);
        let number = if again { self.random.below(known) } else { known };
        let load = insn(class::LD | mode::IMM | size::DW, address, 0, 0, 0);
        self.refer(load, Operand::JumpTable(number));
        if indexed < 3 {
            self.push(insn(class::ALU64 | alu::ADD | SRC_X, address, index, 0, 0));
        }
        let (reg, off) = (self.reg(), self.random.of(&[0, 0, 0, 8], 0));
        self.push(insn(class::LDX | mode::MEM | size::DW, reg, address, off, 0));
        self.push(insn(class::JMP | jmp::JA | SRC_X, reg, 0, 0, 0));
        if !again {
            let targets = (0..self.random.range(1, 4)).map(|_| self.label()).collect();
            self.jump_tables.push(targets);
        }
        // What comes next is mostly reached from here, and always where this must not be the last instruction.
        let next = self.here();
        if (self.random.percent(80) || !self.setting.dialect.choices().gotox_may_end)
            && let Some(table) = self.jump_tables.get_mut(number)
        {
            table.push(next);
        }
    }

    pub(super) fn action(&mut self) {
        match self.setting.choose(self.random) {
            Action::Pointer => {
                let reg = self.reg();
                self.pointer(reg);
            }
            Action::Move => {
                let (dst, src) = (self.reg(), self.reg());
                self.copy(dst, src);
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
                let (dst, src) = (self.holding(Content::Constant, 40), self.reg());
                let imm = if self.random.percent(50) { 0 } else { self.random.of(&EDGES, 0) };
                match self.random.percent(50) {
                    true => self.push(insn(class::ALU | op | SRC_X, dst, src, 0, 0)),
                    false => self.push(insn(class::ALU | op, dst, 0, 0, imm)),
                }
            }
            Action::Fold => {
                let reg = self.holding(Content::Constant, 85);
                self.fold(reg);
            }
            Action::SignExtend => {
                let (dst, src) = (self.reg(), self.holding(Content::Constant, 50));
                self.sign_extend(dst, src);
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
                let fills = base == REG_FP && self.random.percent(30);
                let off = if fills { self.random.of(self.contents.spilled(), off) } else { off };
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
                let (reg, target) = (self.reg(), self.target());
                self.branch(reg, target);
            }
            Action::DecidedBranch => {
                let (reg, target) = (self.reg(), self.target());
                self.decided_branch(reg, target);
            }
            Action::Arms => self.arms(),
            Action::Either => {
                let kinds = [
                    Content::Pointer,
                    Content::Pointer,
                    Content::Constant,
                    Content::Map,
                    Content::MapValue,
                    Content::Other,
                ];
                let (reg, content) = (self.reg(), self.random.of(&kinds, Content::Pointer));
                self.on_two_paths(|body| {
                    let alike = body.random.percent(60);
                    let content = if alike { content } else { body.random.of(&kinds, content) };
                    body.value(reg, content);
                });
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
            Action::JumpTable => self.jump_table(),
            Action::HiddenExit => self.hidden_exit(),
            Action::StackArgument => self.stack_argument(),
            Action::MapAddress => {
                let reg = self.reg();
                self.map_address(reg);
            }
            Action::ReadOnlyLoad => {
                let reg = self.reg();
                let base = self.holding(Content::MapValue, 50);
                if !self.contents.holding(Content::MapValue, true).contains(&base) {
                    self.read_only_address(base);
                }
                self.read_only_load(reg, base);
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

    /// What may end the function without an `exit`: a load from the packet, or a tail call.
    fn hidden_exit(&mut self) {
        // Only programs on packets may load.
        if self.random.percent(20) || !matches!(self.setting.prog_type.id, 1 | 3 | 8) {
            self.map_address(2);
            self.constant(3);
            return self.push(insn(class::JMP | jmp::CALL, 0, 0, 0, func::TAIL_CALL));
        }
        let size = self.random.of(&[size::B, size::H, size::W], size::B);
        match self.random.percent(50) {
            true => self.push(insn(class::LD | mode::ABS | size, 0, 0, 0, 4)),
            false => {
                let index = self.holding(Content::Constant, 30);
                self.push(insn(class::LD | mode::IND | size, 0, index, 0, 4));
            }
        }
    }

    /// `bpf_throw`, where the kernel has it.
    pub(super) fn throw(&mut self) {
        if let Some(kfunc) = self.setting.material.kfunc(THROW) {
            self.constant(1);
            self.refer(insn(class::JMP | jmp::CALL, 0, pseudo::KFUNC_CALL, 0, 0), Operand::Kfunc(kfunc));
        }
    }

    /// `r0 = 0; exit` at the end, and jumps that lead beyond it to it. The instructions, and the jump tables.
    pub(super) fn finish(mut self) -> (Vec<Instruction>, Vec<Vec<u32>>) {
        self.push(insn(class::ALU64 | alu::MOV, 0, 0, 0, 0));
        let end = self.insns.len() as u32 - 1;
        self.push(insn(class::JMP | jmp::EXIT, 0, 0, 0, 0));
        for insn in &mut self.insns {
            if let Operand::Jump(target) = &mut insn.operand {
                *target = (*target).min(end);
            }
        }
        // Where a function has a hidden exit and none that is reached, what a kernel says is what its memory happens to hold
        // beside the masks (`Program::hidden_exit_outside`).
        if self.insns.iter().any(|made| made.insn.is_abnormal_return()) {
            self.jump_tables.iter_mut().for_each(|table| table.push(end));
        }
        self.jump_tables.iter_mut().flatten().for_each(|target| *target = (*target).min(end));
        (self.insns, self.jump_tables)
    }
}

#[cfg(test)]
mod tests;
