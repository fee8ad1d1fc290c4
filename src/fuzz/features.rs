//! What an analysis does, in classes that can be counted.

use crate::log::{Event, Listener, Place};
use crate::random::Fnv;
use crate::verifier::{self, ArgTrack, Dialect, Instance, LiveRegs, Program, Stack, State};
use livediff_capture::{
    Loaded,
    insn::{REG_FP, alu, class, jmp, mode},
};
use std::{
    collections::{BTreeSet, HashMap},
    hash::{Hash, Hasher},
    panic::{self, AssertUnwindSafe},
};

/// The classes of everything that happened in an analysis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    classes: BTreeSet<u64>,
    broken: bool,
}

impl Features {
    /// Analyses the program. One that the model refuses before liveness has a single class: that of its error. A model
    /// that breaks down on it, which is a defect, is told by [`Features::broken`].
    pub fn of(loaded: &Loaded, dialect: Dialect) -> Features {
        Features::guarded(|| {
            let mut listening = Listening::default();
            match verifier::analyze(loaded, dialect, &mut listening) {
                Ok(analysis) => {
                    if let Stack::ByCallsite(instances) = &analysis.stack {
                        listening.add(("instances", bucket(instances.len())));
                    }
                }
                Err(error) if error.in_liveness() => listening.add(("error", error.errno)),
                Err(error) => listening = Listening::refused(&error),
            }
            listening.found
        })
    }

    fn guarded(analyze: impl FnOnce() -> BTreeSet<u64>) -> Features {
        match panic::catch_unwind(AssertUnwindSafe(analyze)) {
            Ok(classes) => Features { classes, broken: false },
            Err(_) => Features { classes: BTreeSet::new(), broken: true },
        }
    }

    /// The model broke down on the program.
    pub fn broken(&self) -> bool {
        self.broken
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }
}

/// How often each class was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen(HashMap<u64, u32>);

impl Seen {
    /// Counts them.
    pub fn add(&mut self, features: &Features) {
        for feature in &features.classes {
            *self.0.entry(*feature).or_default() += 1;
        }
    }

    /// What these classes are worth: the rarer, the more. Nothing is worth more than a model that broke down.
    pub fn worth(&self, features: &Features) -> f64 {
        if features.broken {
            return f64::INFINITY;
        }
        let worth = |feature| 1.0 / f64::from(1 + self.0.get(feature).copied().unwrap_or(0));
        features.classes.iter().map(worth).sum()
    }

    /// Classes that were seen at all.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Default)]
struct Listening {
    found: BTreeSet<u64>,
    /// How often the subprogram behind each call was analysed at each depth.
    analyses: HashMap<(u32, u8), u32>,
}

/// 0, 1, 2, 3 to 4, 5 to 8, ...
fn bucket(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros() + u32::from(count > 0)
}

/// A value without its numbers.
fn shape(value: &ArgTrack, depth: u8) -> (u8, usize) {
    match value {
        ArgTrack::None => (0, 0),
        // Its own frame, its caller's, one further out.
        ArgTrack::Fp { frame, offsets } => {
            (1 + depth.saturating_sub(*frame).min(2), offsets.as_slice().len())
        }
        ArgTrack::Imprecise(frames) => (4, frames.count_ones() as usize),
    }
}

/// What constant folding knows of a register; of a constant, whether it is negative in 8 and in 32 bits.
fn known(program: &Program<'_>, insn: u32, reg: usize) -> u8 {
    let Some(regs) = program.const_regs.get(insn as usize) else { return 0 };
    match (regs.constant(reg), regs.map(reg), regs.subprog(reg)) {
        (Some(value), ..) => match ((value as i8) < 0, (value as i32) < 0) {
            (false, false) => 1,
            (true, false) => 2,
            (_, true) => 3,
        },
        (_, Some(_), _) => 4,
        (.., Some(_)) => 5,
        _ => 0,
    }
}

fn kind(place: &Place) -> u8 {
    match place {
        Place::Reg(_) => 0,
        Place::StackArg(_) => 1,
        Place::Slot(_) => 2,
    }
}

impl Listening {
    fn refused(error: &verifier::Error) -> Listening {
        let mut listening = Listening::default();
        listening.add(("refused", error.errno));
        listening
    }

    fn add(&mut self, class: impl Hash) {
        let mut hasher = Fnv::default();
        class.hash(&mut hasher);
        self.found.insert(hasher.finish());
    }

    fn transfer(&mut self, program: &Program<'_>, insn: u32, before: &State, after: &State, depth: u8) {
        let code = program.insn(insn).code;
        for (place, (before, after)) in before.regs.iter().zip(&after.regs).enumerate() {
            if before != after {
                self.add(("reg", code, place > 10, shape(before, depth), shape(after, depth)));
            }
        }
        for (before, after) in before.slots.iter().zip(after.slots.iter()) {
            if before != after {
                self.add(("slot", code, shape(before, depth), shape(after, depth)));
            }
        }
    }

    /// Branches that are decided, and what becomes of known values from each instruction to the next.
    fn constants(&mut self, program: &Program<'_>) {
        for idx in program.postorder.iter().copied() {
            let Some(loaded) = program.loaded.insns.get(idx as usize) else { continue };
            if loaded.is_cond_jump() {
                let now = program.insn(idx);
                self.add(("branch", loaded.class(), loaded.is_src_x(), now.code != loaded.code, now.off > 0));
            }
            let extends = if loaded.op() == alu::MOV && loaded.is_src_x() { loaded.off } else { 0 };
            for next in program.successors(idx).as_slice().iter().copied() {
                for reg in 0..usize::from(REG_FP) {
                    let (before, after) = (known(program, idx, reg), known(program, next, reg));
                    if before != after {
                        self.add(("known", loaded.code, extends, before, after));
                    }
                }
            }
        }
    }

    /// Of each instruction, which of the registers that it names, or takes without naming them, are live before and
    /// behind it.
    fn live_regs(&mut self, program: &Program<'_>, regs: &LiveRegs) {
        const PARAMS: u16 = 0x3e;
        let before = |idx: u32| regs.before.get(idx as usize).copied().unwrap_or(0);
        for idx in program.postorder.iter().copied() {
            let (insn, now) = (program.insn(idx), before(idx));
            let behind =
                program.successors(idx).as_slice().iter().fold(0, |behind, next| behind | before(*next));
            let live = |regs: u16, reg: u8| regs >> (reg & 0xf) & 1 == 1;
            let (dst, src) = (insn.dst_reg, insn.src_reg);
            let named = (live(now, dst), live(now, src), live(now, 0));
            let calls = insn.op() == jmp::CALL && matches!(insn.class(), class::JMP);
            // How many parameters, and of whose function.
            let params = calls.then(|| (src, (now & PARAMS).count_ones()));
            let zext = regs.zext.get(idx as usize);
            self.add(("live", insn.code, named, (live(behind, dst), live(behind, src)), params, zext));
            let atomic = insn.class() == class::STX && insn.mode() == mode::ATOMIC;
            if atomic || insn.op() == alu::MOV && insn.class() == class::ALU64 {
                self.add(("live, by operation", insn.code, insn.imm & 0xff, insn.off, named, zext));
            }
        }
        let most = regs.before.iter().map(|regs| regs.count_ones()).max();
        self.add(("live at once", most, bucket(regs.before.len())));
    }

    fn instance(&mut self, program: &Program<'_>, instance: &Instance) {
        let analyses = self.analyses.get(&(instance.callsite, instance.depth)).copied().unwrap_or(1).min(2);
        self.add(("instance", instance.depth, bucket(instance.insn_cnt as usize), analyses));
        for frame in 0..=instance.depth {
            let distance = instance.depth - frame;
            for insn in instance.start..instance.start.saturating_add(instance.insn_cnt) {
                let Some(masks) = instance.masks(frame, insn) else { break };
                let shape = |mask: verifier::SlotMask| bucket(mask.bits().count_ones() as usize);
                let (read, written) = (shape(masks.may_read), shape(masks.must_write));
                if read + written > 0 {
                    let code = program.insn(insn).code;
                    self.add(("use/def", code, distance.min(2), read, written, analyses));
                }
            }
        }
    }
}

impl Listener for Listening {
    fn event(&mut self, program: &Program<'_>, event: Event<'_>) {
        match event {
            Event::Transfer { insn, before, after } if before != after => {
                self.transfer(program, insn, before, after, own_depth(before));
            }
            Event::Join { place, old, incoming, joined, .. } => {
                let shape = |value: &ArgTrack| shape(value, 0);
                self.add(("join", kind(&place), shape(&old), shape(&incoming), shape(&joined)));
            }
            Event::TopoOrder { position: 0, .. } => self.constants(program),
            Event::Analyzing { depth, .. } => self.add(("depth", depth)),
            Event::SubprogArgs { depth, callsites: [.., callsite], .. } => {
                *self.analyses.entry((*callsite, depth)).or_default() += 1;
            }
            Event::InvalidKfunc { .. } => self.add("kernel function 0"),
            Event::Instance(instance) => self.instance(program, instance),
            Event::UpdateDone { iterations, .. } => self.add(("iterations", bucket(iterations as usize))),
            Event::MaskChange { kind, .. } => self.add(("mask", kind)),
            Event::LiveRegs(regs) => self.live_regs(program, regs),
            _ => {}
        }
    }
}

/// The depth of the subprogram that is at work: its frame pointer never moves.
fn own_depth(state: &State) -> u8 {
    match state.regs.get(10) {
        Some(ArgTrack::Fp { frame, .. }) => *frame,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livediff_capture::{Insn, insn::SRC_X};

    #[test]
    fn counts_fall_into_buckets() {
        assert_eq!([0, 1, 2, 3, 4, 5, 8, 9].map(bucket), [0, 1, 2, 3, 3, 4, 4, 5]);
    }

    #[test]
    fn what_was_seen_is_worth_less() {
        let mut seen = Seen::default();
        let features = Features { classes: [1, 2].into(), broken: false };
        assert_eq!(seen.worth(&features), 2.0);
        seen.add(&features);
        assert_eq!(seen.worth(&features), 1.0);
        assert_eq!(seen.len(), 2);
    }

    /// Up to 7.0 the table of registers is all that the analysis says.
    #[test]
    fn register_tables_are_told_apart() {
        let mov = |dst_reg, src_reg| Insn {
            code: class::ALU64 | alu::MOV | SRC_X,
            dst_reg,
            src_reg,
            ..Insn::default()
        };
        let exit = Insn { code: class::JMP | jmp::EXIT, ..Insn::default() };
        let call = Insn { code: class::JMP | jmp::CALL, imm: 5, ..Insn::default() };
        let of = |insns: &[Insn], dialect| {
            Features::of(&Loaded { insns: insns.to_vec(), ..Loaded::default() }, dialect).classes
        };
        let dynamic = |insns: &[Insn]| of(insns, Dialect::Dynamic7_0);
        let read = dynamic(&[mov(0, 1), exit]);
        assert!(read.len() >= 4, "{}", read.len());
        assert_ne!(read, dynamic(&[mov(2, 1), call, exit]));
        assert_ne!(dynamic(&[mov(2, 1), call, exit]), dynamic(&[mov(2, 1), exit]));
        // A half that is live, where halves are told.
        let half =
            |wide| Insn { code: if wide { class::ALU64 } else { class::ALU } | alu::MOV, ..Insn::default() };
        let halves = |wide| of(&[half(wide), exit], Dialect::V7_3);
        assert_ne!(halves(true), halves(false));
    }

    #[test]
    fn a_model_that_breaks_down_is_told_and_worth_more_than_anything() {
        let broken = Features::guarded(|| panic!("a model that breaks down, which this test wants"));
        assert!(broken.broken() && broken.is_empty());
        let mut seen = Seen::default();
        seen.add(&broken);
        assert_eq!(seen.len(), 0);
        let whole = Features::guarded(|| (0..1000).collect());
        assert!(!whole.broken() && seen.worth(&broken) > seen.worth(&whole));
    }
}
