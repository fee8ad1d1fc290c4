//! Calls of functions, helpers, kernel functions and callbacks: their arguments, in registers and on the stack.

use super::{Body, Content, insn};
use crate::{
    assemble::Operand,
    bpf::helpers::{self, ArgKind},
    fuzz::setting::{LAST_HELPER, calls_back},
};
use livediff_capture::insn::{REG_FP, REG_PARAMS, class, func, jmp, mode, pseudo, size};

impl Body<'_> {
    /// Something for r1 to r5 that the argument may be.
    fn argument(&mut self, reg: u8, kind: ArgKind) {
        match kind {
            ArgKind::None | ArgKind::Other => {}
            ArgKind::Map => {
                let held = self.holding(Content::Map, 30);
                match self.contents.holding(Content::Map, true).contains(&held) {
                    true => self.copy(reg, held),
                    // Two maps mostly have two sizes.
                    false if self.random.percent(25) => self.on_two_paths(|body| body.map_address(reg)),
                    false => self.map_address(reg),
                }
            }
            ArgKind::MemSize => match self.random.percent(85) {
                true => self.either(|body| body.size(reg)),
                false => self.constant(reg),
            },
            ArgKind::MapKey
            | ArgKind::MapValue
            | ArgKind::Mem
            | ArgKind::FixedMem(_)
            | ArgKind::Dynptr
            | ArgKind::Stack => match self.random.percent(75) {
                true => self.either(|body| body.pointer(reg)),
                false => {
                    let other = self.holding(Content::Pointer, 50);
                    self.copy(reg, other);
                }
            },
        }
    }

    pub(super) fn helper(&mut self) {
        let prog_type = self.setting.prog_type;
        let any = self.random.range(1, LAST_HELPER);
        let id = match self.random.below(10) {
            0..2 => self.random.of(&prog_type.on_maps, any),
            2..5 => self.random.of(&prog_type.on_memory, any),
            _ => any,
        };
        if calls_back(id) {
            return;
        }
        if let Some(prototype) = helpers::prototype(self.setting.dialect, &prog_type.example(), id) {
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

    pub(super) fn kfunc(&mut self) {
        for reg in 1..=5 {
            match self.random.below(4) {
                0 | 1 => self.either(|body| body.pointer(reg)),
                2 => self.either(|body| body.size(reg)),
                _ => {}
            }
        }
        let kfunc = self.random.below(self.setting.material.kfuncs.len());
        if let Some(reg) = self.setting.material.callback_of(kfunc) {
            let callee = self.random.of(self.callees, 0);
            if callee == 0 {
                return;
            }
            let address = insn(class::LD | mode::IMM | size::DW, reg, 0, 0, 0);
            self.refer(address, Operand::Address(callee));
        }
        self.refer(insn(class::JMP | jmp::CALL, 0, pseudo::KFUNC_CALL, 0, 0), Operand::Kfunc(kfunc));
    }

    /// A call, and sometimes another one with other arguments.
    pub(in crate::fuzz) fn call(&mut self, callee: u32) {
        let calls = if self.random.percent(20) { 2 } else { 1 };
        for _ in 0..calls {
            (1..=5).for_each(|reg| self.pass(reg));
            self.refer(insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 0), Operand::Call(callee));
        }
    }

    /// A call with a pointer: one that [`Body::keep`] kept, mostly, if it is still there, or into the own frame. Returns the register in which
    /// the callee finds it.
    pub(in crate::fuzz) fn pass_on(&mut self, callee: u32) -> u8 {
        let is_callback = self.random.percent(10);
        let (given, found) = if is_callback { (3, 2) } else { (1, 1) };
        let kept = !self.is_main && self.contents.holding(Content::Pointer, true).contains(&6);
        match kept && self.random.percent(70) {
            true => self.copy(given, 6),
            false => self.pointer(given),
        }
        if is_callback {
            self.refer(insn(class::LD | mode::IMM | size::DW, 2, 0, 0, 0), Operand::Address(callee));
            self.push(insn(class::JMP | jmp::CALL, 0, 0, 0, func::LOOP));
            return found;
        }
        for reg in 2..=5 {
            if self.random.percent(20) {
                self.pass(reg);
            }
        }
        self.refer(insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, 0), Operand::Call(callee));
        found
    }

    /// Something for a subprogram.
    pub(super) fn pass(&mut self, reg: u8) {
        match self.random.below(8) {
            0 | 1 => self.either(|body| body.pointer(reg)),
            2 => self.constant(reg),
            3 | 4 => {
                let other = self.holding(Content::Pointer, 70);
                self.copy(reg, other);
            }
            _ => {}
        }
    }

    pub(super) fn callback(&mut self) {
        let callee = self.random.of(self.callees, 0);
        if callee == 0 {
            return;
        }
        let helpers = [
            func::LOOP,
            func::LOOP,
            func::FOR_EACH_MAP_ELEM,
            func::FOR_EACH_MAP_ELEM,
            func::FIND_VMA,
            func::FIND_VMA,
            func::USER_RINGBUF_DRAIN,
            func::USER_RINGBUF_DRAIN,
            // It is called later, from nowhere.
            func::TIMER_SET_CALLBACK,
        ];
        let helper = self.random.of(&helpers, func::LOOP);
        let (callback, context) = if helper == func::FIND_VMA { (3, 4) } else { (2, 3) };
        let address = insn(class::LD | mode::IMM | size::DW, callback, 0, 0, 0);
        if self.random.percent(25) {
            // Perhaps another one, or not known which.
            self.on_two_paths(|body| {
                let callee = body.random.of(body.callees, callee);
                body.refer(address, Operand::Address(callee));
            });
        } else {
            self.refer(address, Operand::Address(callee));
        }
        match self.random.below(5) {
            0 => self.constant(context),
            1 => {}
            _ => self.either(|body| body.pointer(context)),
        }
        self.push(insn(class::JMP | jmp::CALL, 0, 0, 0, helper));
    }

    /// An outgoing argument, or, in a subprogram, an incoming one.
    pub(super) fn stack_argument(&mut self) {
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
}
