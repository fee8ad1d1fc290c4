//! The comparison beyond the log: every mask of every function instance, the constants, the postorder, and every answer
//! that the path walk got, as tracing programs read them from the kernel, against the model's.
//!
//! The model is given what was loaded and the questions, and nothing of the answers.
//!
//! ```text
//! status by the log    what was traced                            outcome
//! not compared         anything                                   as by the log
//! match                whole, and the same                        match
//! match                whole or with its end lost, and different  mismatch
//! match                with its end lost, and not different       not_loadable, with the reason
//! match                with events missed or reads failed         not_loadable, with the reason
//! match, as refused    the refusal, and no masks                  match, with nothing compared deep
//! mismatch             anything                                   mismatch
//! ```
//!
//! What finds no room is lost together with all that follows it, so that what came before can be compared. Where events
//! were missed or reads failed, anything among the records may be wrong, and nothing of it is.

use super::{Comparison, Difference, Place, Status, difference, undefined};
use crate::{
    Dialect,
    log::{Silent, slots_text},
    verifier::{Analysis, CallFrame, Instance, SlotMask, Stack, analyze},
};
use livediff_capture::{
    Loaded, Said, Verdict,
    insn::{class, jmp},
    trace::{Constants, ConstantsEnd, Instance as KernelInstance, Masks, Query, QueryFrame, Records, Trace},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most differences that are told.
const MAX_TOLD: usize = 100;
/// Instructions of a postorder that are told around the place where it differs.
const NEAR: usize = 4;

/// How much of a program was compared beyond its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deep {
    /// Function instances.
    pub instances: u64,
    /// Masks of them: may_read, must_write and live_before of each instruction for each frame.
    pub masks: u64,
    /// Registers that kernel or model know to hold a constant, a map or a subprogram before an instruction.
    pub constants: u64,
    /// Instructions in postorder.
    pub postorder: u64,
    /// Different questions that the path walk asked, each with its answer.
    pub answers: u64,
    /// Of all these, those that differ.
    pub differing: u64,
}

impl Deep {
    /// Adds what was compared of another program.
    pub fn add(&mut self, other: &Deep) {
        self.instances += other.instances;
        self.masks += other.masks;
        self.constants += other.constants;
        self.postorder += other.postorder;
        self.answers += other.answers;
        self.differing += other.differing;
    }
}

/// Says whether kernels of a dialect keep what is compared.
///
/// # Errors
/// Why not.
pub fn check(dialect: Dialect) -> Result<(), String> {
    if dialect.choices().deep {
        return Ok(());
    }
    Err(format!(
        "--deep compares function instances by call site and depth, as kernels from 7.1 on keep them; dialect {dialect} \
         has none"
    ))
}

/// Takes what was traced of a program into its comparison by the log. `None` stands for a program of which nothing was
/// traced. Also says how much was compared; nothing where the log was not.
pub fn deepen(
    by_log: Comparison,
    loaded: &Loaded,
    said: &Said,
    dialect: Dialect,
    records: Option<&Records>,
) -> (Comparison, Option<Deep>) {
    if !by_log.status.is_compared() {
        return (by_log, None);
    }
    let mut findings = Findings::default();
    let missing = match analyze(loaded, dialect, &mut Silent) {
        Ok(analysis) => findings.compare(&analysis, loaded, said, records).into(),
        Err(_) => findings.refused(records),
    };
    let Findings { deep, told, .. } = findings;
    let mut comparison = by_log;
    if deep.differing > 0 {
        let log = if comparison.status == Status::Match { "the log agrees" } else { "the log differs too" };
        let beyond = format!("read from the kernel's memory: {} differ; {log}", deep.differing);
        comparison.status = Status::Mismatch;
        let reason = comparison.reason.take().or_else(|| undefined(loaded, dialect));
        comparison.reason = Some(reason.map_or(beyond.clone(), |reason| format!("{reason}; {beyond}")));
        let beyond = difference_of(told, deep.differing);
        match (&mut comparison.difference, beyond) {
            (Some(by_log), Some(beyond)) => {
                if !by_log.unified.is_empty() && !by_log.unified.ends_with('\n') {
                    by_log.unified.push('\n');
                }
                by_log.unified.push_str(&beyond.unified);
            }
            (by_log, beyond) => *by_log = by_log.take().or(beyond),
        }
        return (comparison, Some(deep));
    }
    let reason = match missing {
        Missing::Nothing => return (comparison, Some(deep)),
        Missing::Refused => "refused by both: there is nothing beyond the log".to_owned(),
        Missing::Something(missing) if comparison.status == Status::Match => {
            let reason = format!("not compared deep, though the log agrees: {missing}");
            return (Comparison::not_compared(Status::NotLoadable, reason), None);
        }
        Missing::Something(missing) => format!("not compared deep: {missing}"),
    };
    comparison.reason =
        Some(comparison.reason.map_or(reason.clone(), |before| format!("{before}; {reason}")));
    (comparison, None)
}

/// What keeps records without differences from being all that there is to compare.
enum Missing {
    Nothing,
    /// Model and kernel refuse the program where its liveness is analysed, so that there is nothing to compare.
    Refused,
    /// The reason.
    Something(String),
}

impl From<Option<String>> for Missing {
    fn from(reason: Option<String>) -> Missing {
        reason.map_or(Missing::Nothing, Missing::Something)
    }
}

/// What is traced of a kernel that computes what the model does, and whose path walk asks for every half-slot of the
/// last frame of these call chains before these instructions: for tests.
#[doc(hidden)]
pub fn expected(analysis: &Analysis<'_>, questions: &[(Vec<CallFrame>, u32)]) -> Trace {
    let program = &analysis.program;
    let constants = (0..).zip(&program.const_regs).map(|(insn, known)| {
        let mut constants = Constants { insn, ..Constants::default() };
        for (reg, to) in constants.values.iter_mut().enumerate() {
            for (value, mask) in [
                (known.constant(reg), &mut constants.constants),
                (known.map(reg), &mut constants.maps),
                (known.subprog(reg), &mut constants.subprogs),
            ] {
                *to = value.unwrap_or(*to);
                *mask |= u32::from(value.is_some()) << reg;
            }
        }
        constants
    });
    let instances = match &analysis.stack {
        Stack::ByCallsite(instances) => instances.as_slice(),
        Stack::Observed | Stack::ByCallChain(_) => &[],
    };
    let instance = |model: &Instance| {
        let masks = |frame: u8| {
            let masks = (0..model.insn_cnt).map(|number| {
                model.masks(frame, model.start + number).map(|masks| Masks {
                    may_read: masks.may_read.bits(),
                    must_write: masks.must_write.bits(),
                    live_before: masks.live_before.bits(),
                })
            });
            Some((u32::from(frame), masks.collect::<Option<Vec<_>>>()?))
        };
        KernelInstance { frames: (0..=model.depth).filter_map(masks).collect(), ..without_masks(model) }
    };
    let query = |(frames, insn): &(Vec<CallFrame>, u32)| {
        let last = frames.len().saturating_sub(1);
        let frame = |(at, frame): (usize, &CallFrame)| {
            let alive = analysis.stack_slots_alive(frames, *insn, at).bits();
            let asked = if at == last { u128::MAX } else { 0 };
            QueryFrame {
                subprog: frame.subprog,
                callsite: frame.callsite,
                alive: alive & asked,
                dead: !alive & asked,
            }
        };
        Query { insn: *insn, frames: frames.iter().enumerate().map(frame).collect() }
    };
    Trace {
        constants: constants.filter(|known| known.constants | known.maps | known.subprogs != 0).collect(),
        constants_end: Some(ConstantsEnd { insns: program.len(), result: 0 }),
        subprogs: program
            .subprogs
            .iter()
            .map(|subprog| (subprog.start, u32::try_from(subprog.postorder.start).unwrap_or(u32::MAX)))
            .collect(),
        postorder: program.postorder.clone(),
        instances: instances.iter().map(instance).collect(),
        analysis_end: Some(0),
        queries: questions.iter().map(query).collect(),
    }
}

/// A difference: where it is, and what each side has there.
struct Told {
    place: Place,
    minus: Option<String>,
    plus: Option<String>,
}

fn difference_of(told: Vec<Told>, differing: u64) -> Option<Difference> {
    let mut unified = String::new();
    for Told { minus, plus, .. } in &told {
        for (sign, line) in [('-', minus), ('+', plus)] {
            if let Some(line) = line {
                unified.push(sign);
                unified.push_str(line);
                unified.push('\n');
            }
        }
    }
    if differing > told.len() as u64 {
        unified.push_str(&format!("[the first {} of {differing} differences]\n", told.len()));
    }
    let first = told.into_iter().next()?;
    let alike = |a: &str, b: &str| std::iter::zip(a.bytes(), b.bytes()).take_while(|(a, b)| a == b).count();
    let column = 1 + alike(first.minus.as_deref().unwrap_or(""), first.plus.as_deref().unwrap_or(""));
    Some(Difference {
        line: 1,
        column,
        place: first.place,
        minus: first.minus,
        plus: first.plus,
        unified,
        ..Difference::default()
    })
}

/// The calls that lead to a state, and the instruction that it is about to execute: what a question is about.
type Chain = (u32, Vec<(u32, u32)>);

#[derive(Default)]
struct Findings {
    deep: Deep,
    told: Vec<Told>,
}

impl Findings {
    fn differs(&mut self, tell: impl FnOnce() -> Told) {
        self.deep.differing += 1;
        if self.told.len() < MAX_TOLD {
            self.told.push(tell());
        }
    }

    /// The model refuses the program, and so does the kernel, as the log says. Returns what is missing.
    fn refused(&mut self, records: Option<&Records>) -> Missing {
        let Some(records) = records else { return Missing::Something("nothing was traced".into()) };
        if let Some(incomplete) = records.hooks.incomplete() {
            return Missing::Something(incomplete);
        }
        match Trace::read(&records.bytes) {
            Err(error) => Missing::Something(format!("what was traced makes no sense: {error}")),
            // The kernel refuses before these, or in them.
            Ok(trace) if trace.analysis_end == Some(0) => {
                self.differs(|| Told {
                    place: Place { pass: Some("stack liveness".into()), ..Place::default() },
                    minus: Some("the analysis was completed".into()),
                    plus: Some("the program is refused".into()),
                });
                Missing::Nothing
            }
            Ok(trace) if trace.constants_end.is_none() => {
                Missing::Something("bpf_compute_const_regs was not seen to return".into())
            }
            Ok(_) => Missing::Refused,
        }
    }

    /// Compares everything. Returns what is missing, if something is.
    fn compare(
        &mut self,
        analysis: &Analysis<'_>,
        loaded: &Loaded,
        said: &Said,
        records: Option<&Records>,
    ) -> Option<String> {
        let Some(records) = records else { return Some("nothing was traced".into()) };
        if records.hooks.missed > 0 || records.hooks.failed > 0 {
            return records.hooks.incomplete();
        }
        let trace = match Trace::read(&records.bytes) {
            Ok(trace) => trace,
            Err(error) => {
                let incomplete = records.hooks.incomplete();
                return Some(
                    incomplete.unwrap_or_else(|| format!("what was traced makes no sense: {error}")),
                );
            }
        };
        let names = Names { loaded, dialect: analysis.program.dialect };
        // What came before the end was lost is compared all the same. Where the constants could not be computed, the
        // kernel's are all empty.
        if matches!(trace.constants_end, Some(ConstantsEnd { result: 0, .. })) {
            self.constants(analysis, &names, &trace.constants);
        }
        if trace.analysis_end == Some(0) {
            self.postorder(analysis, &names, &trace);
            self.instances(analysis, &names, &trace.instances);
        }
        self.answers(analysis, &names, &trace.queries);
        records.hooks.incomplete().or_else(|| missing(&trace, records, loaded, said))
    }

    fn constants(&mut self, analysis: &Analysis<'_>, names: &Names<'_>, kernel: &[Constants]) {
        let kernel: BTreeMap<u32, &Constants> = kernel.iter().map(|known| (known.insn, known)).collect();
        let beyond = kernel.keys().copied().filter(|insn| *insn >= analysis.program.len());
        let insns: BTreeSet<u32> = (0..analysis.program.len()).chain(beyond).collect();
        for insn in insns {
            let theirs = kernel.get(&insn);
            let ours = analysis.program.const_regs.get(insn as usize);
            for reg in 0..10 {
                let theirs = theirs.map_or(Known::default(), |known| Known::kernel(known, reg));
                let ours = ours.map_or(Known::default(), |known| Known {
                    constant: known.constant(reg),
                    map: known.map(reg),
                    subprog: known.subprog(reg),
                });
                if theirs == Known::default() && ours == Known::default() {
                    continue;
                }
                self.deep.constants += 1;
                if theirs != ours {
                    self.differs(|| {
                        let line = |known: Known| format!("insn {insn}: r{reg} = {}", known.text(names));
                        Told {
                            place: names.place("constants", None, Some(insn)),
                            minus: Some(line(theirs)),
                            plus: Some(line(ours)),
                        }
                    });
                }
            }
        }
    }

    fn postorder(&mut self, analysis: &Analysis<'_>, names: &Names<'_>, trace: &Trace) {
        let ours = &analysis.program.postorder;
        let theirs = &trace.postorder;
        self.deep.postorder += theirs.len().max(ours.len()) as u64;
        if let Some(at) = (0..theirs.len().max(ours.len())).find(|at| theirs.get(*at) != ours.get(*at)) {
            self.differs(|| {
                let line = |order: &[u32]| {
                    let near = order.iter().skip(at.saturating_sub(NEAR)).take(2 * NEAR + 1);
                    let near: Vec<String> = near.map(u32::to_string).collect();
                    format!(
                        "postorder from {}, {} in all: {}",
                        at.saturating_sub(NEAR),
                        order.len(),
                        near.join(" ")
                    )
                };
                Told {
                    place: names.place("postorder", None, theirs.get(at).or(ours.get(at)).copied()),
                    minus: Some(line(theirs)),
                    plus: Some(line(ours)),
                }
            });
        }
        let subprogs: Vec<(u32, u32)> = analysis
            .program
            .subprogs
            .iter()
            .map(|subprog| (subprog.start, u32::try_from(subprog.postorder.start).unwrap_or(u32::MAX)))
            .collect();
        for at in 0..subprogs.len().max(trace.subprogs.len()) {
            let (theirs, ours) = (trace.subprogs.get(at), subprogs.get(at));
            if theirs != ours {
                self.differs(|| {
                    let line = |subprog: Option<&(u32, u32)>| {
                        subprog.map(|(start, postorder)| {
                            format!("subprog#{at} begins at insn {start}, its postorder at {postorder}")
                        })
                    };
                    Told {
                        place: names.place("postorder", u32::try_from(at).ok(), None),
                        minus: line(theirs),
                        plus: line(ours),
                    }
                });
            }
        }
    }

    fn instances(&mut self, analysis: &Analysis<'_>, names: &Names<'_>, kernel: &[KernelInstance]) {
        let ours: &[Instance] = match &analysis.stack {
            Stack::ByCallsite(instances) => instances,
            Stack::Observed | Stack::ByCallChain(_) => &[],
        };
        let mut theirs: BTreeMap<(u32, u32), Vec<&KernelInstance>> = BTreeMap::new();
        for instance in kernel {
            theirs.entry((instance.callsite, instance.depth)).or_default().push(instance);
        }
        let mut ours: BTreeMap<(u32, u32), &Instance> =
            ours.iter().map(|instance| ((instance.callsite, u32::from(instance.depth)), instance)).collect();
        for (key, found) in theirs {
            self.deep.instances += found.len() as u64;
            let model = ours.remove(&key);
            for (number, kernel) in found.into_iter().enumerate() {
                match model.filter(|_| number == 0) {
                    Some(model) if same_place(kernel, model) => self.masks(names, kernel, model),
                    model => self.differs(|| Told {
                        place: names.place("function instances", Some(kernel.subprog), Some(kernel.start)),
                        minus: Some(instance_text(kernel)),
                        plus: model.map(|model| instance_text(&without_masks(model))),
                    }),
                }
            }
        }
        for model in ours.into_values() {
            self.deep.instances += 1;
            self.differs(|| Told {
                place: names.place("function instances", Some(model.subprog), Some(model.start)),
                minus: None,
                plus: Some(instance_text(&without_masks(model))),
            });
        }
    }

    /// The masks of an instance that both sides have.
    fn masks(&mut self, names: &Names<'_>, kernel: &KernelInstance, model: &Instance) {
        let frames: BTreeMap<u32, &[Masks]> =
            kernel.frames.iter().map(|(frame, masks)| (*frame, masks.as_slice())).collect();
        for frame in 0..=kernel.depth {
            let theirs = frames.get(&frame).copied();
            for number in 0..kernel.insn_cnt {
                let insn = kernel.start.saturating_add(number);
                let theirs = theirs.and_then(|masks| masks.get(number as usize)).copied().unwrap_or_default();
                let ours = u8::try_from(frame).ok().and_then(|frame| model.masks(frame, insn));
                let ours = ours.map_or(Masks::default(), |ours| Masks {
                    may_read: ours.may_read.bits(),
                    must_write: ours.must_write.bits(),
                    live_before: ours.live_before.bits(),
                });
                self.deep.masks += 3;
                for (what, theirs, ours) in [
                    ("may_read", theirs.may_read, ours.may_read),
                    ("must_write", theirs.must_write, ours.must_write),
                    ("live_before", theirs.live_before, ours.live_before),
                ] {
                    if theirs != ours {
                        self.differs(|| {
                            let KernelInstance { callsite, depth, .. } = kernel;
                            let line = |has: u128, other: u128| {
                                let only = has & !other;
                                let only = match only {
                                    0 => String::new(),
                                    only => format!(" (only here: {})", slots(frame, only)),
                                };
                                format!(
                                    "(d{depth},cs{callsite}) insn {insn} {what}: {}{only}",
                                    slots(frame, has)
                                )
                            };
                            Told {
                                place: names.place(what, Some(kernel.subprog), Some(insn)),
                                minus: Some(line(theirs, ours)),
                                plus: Some(line(ours, theirs)),
                            }
                        });
                    }
                }
            }
        }
    }

    fn answers(&mut self, analysis: &Analysis<'_>, names: &Names<'_>, queries: &[Query]) {
        let mut by_chain: BTreeMap<Chain, Vec<(u128, u128)>> = BTreeMap::new();
        for query in queries {
            // The first frame was called by nobody.
            let chain = query.frames.iter().enumerate();
            let chain = chain.map(|(at, frame)| (frame.subprog, if at == 0 { 0 } else { frame.callsite }));
            let answers = by_chain
                .entry((query.insn, chain.collect()))
                .or_insert_with(|| vec![(0, 0); query.frames.len()]);
            for ((alive, dead), frame) in std::iter::zip(answers, &query.frames) {
                *alive |= frame.alive;
                *dead |= frame.dead;
            }
        }
        for ((insn, chain), answers) in by_chain {
            let frames: Vec<CallFrame> = chain
                .iter()
                .map(|(subprog, callsite)| CallFrame { subprog: *subprog, callsite: *callsite })
                .collect();
            for (frame, (alive, dead)) in answers.into_iter().enumerate() {
                if alive | dead == 0 {
                    continue;
                }
                self.deep.answers += u64::from((alive | dead).count_ones());
                let ours = analysis.stack_slots_alive(&frames, insn, frame).bits();
                // What was answered both ways is wrong one way.
                let wrong = alive & !ours | dead & ours;
                for half_slot in (0..128u32).filter(|half_slot| wrong >> half_slot & 1 == 1) {
                    self.differs(|| {
                        let bit = 1u128 << half_slot;
                        let frame_number = u32::try_from(frame).unwrap_or(u32::MAX);
                        let line = |answer: &str| {
                            format!(
                                "insn {insn} of {}: {} is {answer}",
                                chain_text(&chain),
                                slots(frame_number, bit)
                            )
                        };
                        let theirs = match (alive & bit != 0, dead & bit != 0) {
                            (true, true) => "alive, and not alive when asked again",
                            (true, false) => "alive",
                            _ => "not alive",
                        };
                        let subprog = chain.last().map(|(subprog, _)| *subprog);
                        Told {
                            place: names.place("answers to the path walk", subprog, Some(insn)),
                            minus: Some(line(theirs)),
                            plus: Some(line(if ours & bit != 0 { "alive" } else { "not alive" })),
                        }
                    });
                }
            }
        }
    }
}

/// What keeps a trace without differences from being all that there is to compare.
fn missing(trace: &Trace, records: &Records, loaded: &Loaded, said: &Said) -> Option<String> {
    let hooks = &records.hooks;
    let seen =
        |what: &str, times: u64| (times != 1).then(|| format!("{what} was seen to return {times} times"));
    if let Some(wrong) = seen("bpf_compute_const_regs", hooks.const_regs)
        .or_else(|| seen("bpf_compute_subprog_arg_access", hooks.arg_access))
    {
        return Some(wrong);
    }
    match trace.constants_end {
        Some(ConstantsEnd { insns, result: 0 }) if insns as usize == loaded.insns.len() => {}
        Some(ConstantsEnd { insns, result: 0 }) => {
            return Some(format!(
                "the constants are those of {insns} instructions, and {} were loaded",
                loaded.insns.len()
            ));
        }
        Some(ConstantsEnd { result, .. }) => {
            return Some(format!("bpf_compute_const_regs returned {result}"));
        }
        None => return Some("no constants came".into()),
    }
    match trace.analysis_end {
        Some(0) => {}
        Some(result) => return Some(format!("bpf_compute_subprog_arg_access returned {result}")),
        None => return Some("no masks came".into()),
    }
    if trace.queries.len() as u64 != hooks.queries || trace.queries.is_empty() && hooks.slot_alive > 0 {
        return Some(format!(
            "{} queries came of {}, with {} answers",
            trace.queries.len(),
            hooks.queries,
            hooks.slot_alive
        ));
    }
    match said.verdict {
        Verdict::NotRun => Some("the verification did not come to its end".into()),
        Verdict::Accepted if hooks.query_init == 0 && must_ask(loaded) => {
            Some("the path walk was done, and was not seen to ask for the liveness of a state".into())
        }
        Verdict::Rejected if matches!(said.errno, 4 | 11 | 12) => {
            Some(format!("the verification was ended by {}", super::errno_name(said.errno)))
        }
        Verdict::Accepted | Verdict::Rejected => None,
    }
}

/// The path walk of a program that is accepted comes to a conditional jump, where it cleans its state.
fn must_ask(loaded: &Loaded) -> bool {
    let mut insn = 0usize;
    for _ in 0..loaded.insns.len() {
        let Some(at) = loaded.insns.get(insn) else { return false };
        let jumps = matches!(at.class(), class::JMP | class::JMP32);
        match at.op() {
            _ if !jumps => insn += at.slots(),
            jmp::EXIT | jmp::CALL | jmp::JA | 0xe0 | 0xf0 => return false,
            _ => return true,
        }
    }
    false
}

/// What is known of a register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    constant: Option<u32>,
    map: Option<u32>,
    subprog: Option<u32>,
}

impl Known {
    fn kernel(known: &Constants, reg: usize) -> Known {
        let value = |mask: u32| (mask >> reg & 1 == 1).then(|| known.values.get(reg).copied().unwrap_or(0));
        Known { constant: value(known.constants), map: value(known.maps), subprog: value(known.subprogs) }
    }

    fn text(self, names: &Names<'_>) -> String {
        let map = |map: u32| match names.loaded.maps.get(map as usize) {
            Some(known) => format!("map {map} ({})", known.name),
            None => format!("map {map}"),
        };
        let parts = [
            self.constant.map(|constant| constant.to_string()),
            self.map.map(map),
            self.subprog.map(|subprog| format!("subprog#{subprog}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "unknown".into() } else { parts.join(" and ") }
    }
}

/// What things are called.
struct Names<'l> {
    loaded: &'l Loaded,
    dialect: Dialect,
}

impl Names<'_> {
    fn place(&self, pass: &str, subprog: Option<u32>, insn: Option<u32>) -> Place {
        let name = |subprog: u32| Some(self.loaded.func_info.get(subprog as usize)?.name.clone());
        let insn = insn.filter(|insn| (*insn as usize) < self.loaded.insns.len());
        Place {
            pass: Some(pass.to_owned()),
            subprog: subprog.map(|subprog| (subprog, name(subprog))),
            insn: insn.map(|insn| (insn, difference::text(self.loaded, self.dialect, insn as usize))),
        }
    }
}

/// Half-slots by name; `-` for none.
fn slots(frame: u32, bits: u128) -> String {
    match bits {
        0 => "-".into(),
        bits => slots_text(u8::try_from(frame).unwrap_or(u8::MAX), SlotMask::from(bits)),
    }
}

/// `subprog#0, called at 5 subprog#1`
fn chain_text(chain: &[(u32, u32)]) -> String {
    let frames = chain.iter().enumerate().map(|(at, (subprog, callsite))| match at {
        0 => format!("subprog#{subprog}"),
        _ => format!("called at {callsite} subprog#{subprog}"),
    });
    frames.collect::<Vec<_>>().join(", ")
}

fn same_place(kernel: &KernelInstance, model: &Instance) -> bool {
    (kernel.subprog, kernel.start, kernel.insn_cnt) == (model.subprog, model.start, model.insn_cnt)
}

fn without_masks(model: &Instance) -> KernelInstance {
    KernelInstance {
        callsite: model.callsite,
        depth: model.depth.into(),
        subprog: model.subprog,
        start: model.start,
        insn_cnt: model.insn_cnt,
        frames: Vec::new(),
    }
}

fn instance_text(instance: &KernelInstance) -> String {
    let KernelInstance { callsite, depth, subprog, start, insn_cnt, .. } = instance;
    format!("(d{depth},cs{callsite}) subprog#{subprog}, {insn_cnt} instructions from {start}")
}

#[cfg(test)]
mod tests;
