//! Programs that verifiers accept, made of those that they do not.
//!
//! ```text
//! program -> what each register and slot may hold before each instruction -> what would be refused there is replaced,
//!            or something is put before it that sets its operands right
//! ```
//!
//! A value is described by the kinds that it may have on any path, and by hulls of the distances and numbers. Frames of
//! callers are known by how far up the chain they are, and subprograms are analysed once for all who call them. An
//! instruction stays if every kind that its operands may have is one that a verifier lets pass. Repairs are made while
//! the fixed point is sought: what went on from an instruction before it was repaired stays in what is known behind it,
//! which makes that wider and not wrong.

mod call;
mod effect;
mod rules;
mod site;
mod state;
#[cfg(test)]
mod tests;
mod value;
mod work;

use crate::assemble::{Operand, Program};
use crate::random::{Fnv, Random};
use effect::{effect, put};
use livediff_capture::insn::{class, func, jmp};
use rules::Rules;
use site::Site;
use state::State;
use std::{collections::BTreeSet, hash::Hasher};
use value::{CTX, UNINIT, Value};
use work::{Made, Place, Work};

/// Visits of an instruction before what grows is taken for anything.
const PATIENCE: u32 = 5;
/// Instructions before another one that set its operands right.
const REPAIRS: usize = 24;
/// Visits of all instructions.
const STEPS: usize = 50_000;

/// Rewrites a program so that a verifier accepts it, mostly: what it does to frames stays as far as that allows it.
pub fn lawful(program: &mut Program) {
    let mut hash = Fnv::default();
    for insn in program.insns() {
        hash.write(&[insn.insn.code, insn.insn.dst_reg, insn.insn.src_reg]);
        hash.write(&insn.insn.imm.to_le_bytes());
    }
    let mut random = Random::new(hash.finish());
    let mut rules = Rules::new(&program.section, program.functions.len(), &program.maps);
    let mut loops = 0;
    let functions =
        program.functions.iter().map(|function| Work::new(function, &rules, &mut random, &mut loops));
    let functions = functions.collect();
    rules.draw(&mut random);
    let mut repair = Repair { functions, rules, random, open: BTreeSet::new() };
    repair.run();
    program.maps = repair.rules.maps;
    for (function, work) in program.functions.iter_mut().zip(repair.functions) {
        work.write(function);
    }
    program.tidy();
}

struct Repair {
    functions: Vec<Work>,
    rules: Rules,
    random: Random,
    /// Functions, and places in them, before which more may be held than when they were last visited.
    open: BTreeSet<(usize, usize)>,
}

impl Repair {
    fn run(&mut self) {
        let frame = vec![Value::any_number(); (self.rules.limit / 8) as usize];
        let slots = vec![frame; self.functions.len()];
        let mut entry = State { regs: [Value::of(UNINIT); 10], slots };
        entry.set(1, Value::of(CTX));
        self.reach(0, 0, &entry);
        for _ in 0..STEPS {
            let Some((function, at)) = self.open.pop_first() else { return };
            self.visit(function, at);
        }
    }

    fn reach(&mut self, function: usize, at: usize, state: &State) {
        let work = self.functions.get_mut(function);
        let Some(place) = work.and_then(|work| work.places.get_mut(at)) else { return };
        let changed = match &mut place.state {
            Some(known) => known.join(state, place.visits > PATIENCE),
            None => {
                place.state = Some(state.clone());
                true
            }
        };
        if changed {
            place.visits += 1;
            self.open.insert((function, at));
        }
    }

    fn visit(&mut self, function: usize, at: usize) {
        let Some(work) = self.functions.get_mut(function) else { return };
        let Some(place) = work.places.get_mut(at) else { return };
        let Place { state: Some(known), made, before, .. } = place else { return };
        let mut site = Site {
            rules: &self.rules,
            random: &mut self.random,
            label: work.label,
            tables: &work.tables,
            state: known.clone(),
            before: std::mem::take(before),
        };
        let mut lawful = true;
        for made in &site.before {
            lawful &= put(&mut site.state, made);
        }
        lawful &= site.before.len() <= REPAIRS && site.mend(made);
        if !lawful {
            *made = (site.harmless(&made.0), Operand::None);
            site.state = known.clone();
            site.before.clear();
        }
        let Site { state, before: repairs, .. } = site;
        *before = repairs;
        let made = *made;
        self.go_on(function, at, state, &made);
    }

    fn go_on(&mut self, function: usize, at: usize, mut state: State, (insn, operand): &Made) {
        let jumps = matches!(insn.class(), class::JMP | class::JMP32);
        match insn.op() {
            _ if !jumps => effect(&mut state, &(*insn, *operand)),
            jmp::EXIT => return self.exit(function, state),
            jmp::CALL => match *operand {
                Operand::Call(label) => return self.call(function, at, state, label),
                _ => self.help(&mut state, insn.imm),
            },
            jmp::JA if insn.is_gotox() => {
                let work = self.functions.get(function);
                let targets = work.map(|work| work.tables.concat()).unwrap_or_default();
                return targets.into_iter().for_each(|to| self.reach(function, to, &state));
            }
            op => {
                if let Operand::Jump(to) = *operand {
                    self.reach(function, to as usize, &state);
                }
                if op == jmp::JA {
                    return;
                }
            }
        }
        self.reach(function, at + 1, &state);
    }

    fn exit(&mut self, function: usize, state: State) {
        let Some(work) = self.functions.get_mut(function) else { return };
        let changed = match &mut work.exit {
            Some(exit) => exit.join(&state, true),
            None => {
                work.exit = Some(state);
                true
            }
        };
        if changed {
            let label = work.label;
            self.callers(label);
        }
    }

    /// Whoever may call the function is looked at again.
    fn callers(&mut self, label: u32) {
        for (function, work) in self.functions.iter().enumerate() {
            for (at, Place { made: (insn, operand), state, .. }) in work.places.iter().enumerate() {
                let helper =
                    insn.is_helper_call() && matches!(insn.imm, func::LOOP | func::FOR_EACH_MAP_ELEM);
                if state.is_some() && (*operand == Operand::Call(label) || helper) {
                    self.open.insert((function, at));
                }
            }
        }
    }

    fn place(&self, label: u32) -> Option<usize> {
        self.functions.iter().position(|work| work.label == label)
    }

    fn call(&mut self, function: usize, at: usize, mut state: State, label: u32) {
        let Some(callee) = self.place(label) else { return };
        self.reach(callee, 0, &state.entered(state.args()));
        let Some(exit) = self.functions.get(callee).and_then(|work| work.exit.as_ref()) else { return };
        state.left(exit, false);
        state.called(Value::number(0));
        self.reach(function, at + 1, &state);
    }

    /// A helper is called, and may call others.
    fn help(&mut self, state: &mut State, helper: i32) {
        let Some(given) = call::given(helper, state) else {
            return call::helped(&self.rules, helper, state);
        };
        let callees: Vec<usize> = state.reg(2).labels().filter_map(|label| self.place(label)).collect();
        for exit in callees.iter().filter_map(|callee| self.functions.get(*callee)?.exit.as_ref()) {
            state.left(exit, true);
        }
        for callee in callees {
            self.reach(callee, 0, &state.entered(given));
        }
        state.called(Value::any_number());
    }
}
