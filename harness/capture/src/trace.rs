//! What tracing programs read from a kernel while it loaded a program: the masks of every function instance, the
//! constants, the postorder, and the answers that the path walk got.
//!
//! ```text
//! record = kind (u32 le) | bytes that follow (u32 le) | words (u32 le)
//! ```
//! The records are written by `harness/deep/trace.bpf.c`, which lists their kinds. They come from a guest and may be
//! anything: what is not whole is an error, and never a smaller [`Trace`].

use serde::{Deserialize, Serialize};

/// How the tracing programs fared during a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Records that found no room.
    pub lost: u64,
    /// Memory of the kernel that could not be read, and answers to no question.
    pub failed: u64,
    /// Events that the kernel has passed over, in any load that went on at the time.
    pub missed: u64,
    /// How often `bpf_compute_const_regs` was seen to return.
    pub const_regs: u64,
    /// How often `bpf_compute_subprog_arg_access` was seen to return.
    pub arg_access: u64,
    /// How often `bpf_live_stack_query_init` was seen to return.
    pub query_init: u64,
    /// How often `bpf_stack_slot_alive` was seen to return.
    pub slot_alive: u64,
    /// Queries among the records.
    pub queries: u64,
}

impl Hooks {
    /// Why what was recorded cannot be all of it, if that is so.
    pub fn incomplete(&self) -> Option<String> {
        let Hooks { lost, failed, missed, .. } = self;
        let reasons = [
            (*lost > 0).then(|| format!("{lost} records found no room")),
            (*failed > 0).then(|| format!("{failed} reads of the kernel's memory failed")),
            (*missed > 0).then(|| format!("{missed} events were passed over")),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join(", "))
    }
}

/// What was recorded of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// How the tracing programs fared.
    pub hooks: Hooks,
    /// The records, for [`Trace::read`].
    pub bytes: Vec<u8>,
}

/// What the registers r0 to r9 are known to hold before an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constants {
    /// The instruction.
    pub insn: u32,
    /// Bit r: register r holds the constant `values[r]`.
    pub constants: u32,
    /// Bit r: register r holds map `values[r]` of those that the program uses.
    pub maps: u32,
    /// Bit r: register r holds the address of subprogram `values[r]`.
    pub subprogs: u32,
    /// By register.
    pub values: [u32; 10],
}

/// What one instruction does to one frame (`struct per_frame_masks`). Bit h is half-slot h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// Half-slots that it may read.
    pub may_read: u128,
    /// Half-slots that it writes whatever happens.
    pub must_write: u128,
    /// Half-slots that may be read at or after it.
    pub live_before: u128,
}

/// `struct func_instance`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// The call instruction; the subprogram's first instruction at depth 0.
    pub callsite: u32,
    /// Depth in the call chain.
    pub depth: u32,
    /// Index of the subprogram.
    pub subprog: u32,
    /// First instruction of the subprogram.
    pub start: u32,
    /// Its instruction slots.
    pub insn_cnt: u32,
    /// The frames that have masks, ascending, and the masks by instruction: `insn_cnt` of them.
    pub frames: Vec<(u32, Vec<Masks>)>,
}

/// One frame of the call chain of a [`Query`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryFrame {
    /// Index of the subprogram that owns the frame.
    pub subprog: u32,
    /// The call that made it; means nothing in the first frame.
    pub callsite: u32,
    /// Half-slots of it that were asked for and said to be alive.
    pub alive: u128,
    /// Half-slots of it that were asked for and said not to be alive.
    pub dead: u128,
}

/// Questions that the path walk asked of one state, and their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The instruction that the last frame is about to execute.
    pub insn: u32,
    /// The call chain, outermost first; at least one frame.
    pub frames: Vec<QueryFrame>,
}

/// How `bpf_compute_const_regs` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConstantsEnd {
    /// Instruction slots of the program.
    pub insns: u32,
    /// What it returned.
    pub result: i32,
}

/// Everything that was read during a load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The instructions before which something is known of a register, ascending.
    pub constants: Vec<Constants>,
    /// How their computation ended, if it did.
    pub constants_end: Option<ConstantsEnd>,
    /// First instruction of each subprogram, and where its part of `postorder` begins.
    pub subprogs: Vec<(u32, u32)>,
    /// Instructions, subprogram by subprogram, each in postorder.
    pub postorder: Vec<u32>,
    /// Every function instance, in no order.
    pub instances: Vec<Instance>,
    /// What the analysis of the stack returned, if it did.
    pub analysis_end: Option<i32>,
    /// Every query that was answered; those that were answered alike may be there once.
    pub queries: Vec<Query>,
}

/// Why records make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TraceError {
    #[error("the record at byte {at} is cut")]
    Cut { at: usize },
    #[error("the record at byte {at} is of kind {kind} and has {words} words, which none has")]
    Strange { at: usize, kind: u32, words: usize },
    #[error("the record at byte {at} does not go with those before it: {why}")]
    Misplaced { at: usize, why: &'static str },
    #[error("there are not as many {what} as the kernel has")]
    Count { what: &'static str },
}

mod kind {
    pub(super) const CONSTANTS: u32 = 1;
    pub(super) const CONSTANTS_END: u32 = 2;
    pub(super) const POSTORDER: u32 = 3;
    pub(super) const SUBPROG: u32 = 4;
    pub(super) const INSTANCE: u32 = 5;
    pub(super) const MASKS: u32 = 6;
    pub(super) const INSTANCES_END: u32 = 7;
    pub(super) const QUERY: u32 = 8;
    pub(super) const LAYOUT: u32 = 9;
}

/// Most frames of a call chain in any kernel.
const MAX_FRAMES: usize = 16;
/// Most instruction slots of a program in any kernel.
const MAX_INSNS: u32 = 1 << 20;

/// Where the masks stand in the kernel's structure, in bytes.
#[derive(Clone, Copy)]
struct Layout {
    size: usize,
    may_read: usize,
    must_write: usize,
    live_before: usize,
}

/// The records, read one after another.
#[derive(Default)]
struct Reader {
    trace: Trace,
    layout: Option<Layout>,
    /// The frames of the last instance that have masks, and the bytes of those of them that came.
    present: u32,
    pieces: Vec<(u32, Vec<u8>)>,
}

impl Trace {
    /// Reads records. Everything that a record announces must be there.
    pub fn read(records: &[u8]) -> Result<Trace, TraceError> {
        let mut reader = Reader::default();
        let mut at = 0;
        while at < records.len() {
            let cut = TraceError::Cut { at };
            let rest = records.get(at..).unwrap_or_default();
            let (Some(kind), Some(length)) = (word(rest, 0), word(rest, 1)) else { return Err(cut) };
            let length = length as usize;
            let payload = rest.get(8..).and_then(|rest| rest.get(..length)).ok_or(cut)?;
            if !length.is_multiple_of(4) {
                return Err(TraceError::Strange { at, kind, words: length / 4 });
            }
            reader.take(at, kind, payload)?;
            at += 8 + length;
        }
        if reader.trace.analysis_end.is_none() && !reader.trace.instances.is_empty() {
            return Err(TraceError::Count { what: "instances" });
        }
        Ok(reader.trace)
    }
}

fn word(bytes: &[u8], number: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(number * 4..)?.first_chunk()?))
}

fn mask(bytes: &[u8], at: usize) -> Option<u128> {
    Some(u128::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn words<const N: usize>(bytes: &[u8]) -> Option<[u32; N]> {
    if bytes.len() != N * 4 {
        return None;
    }
    let mut words = [0; N];
    for (number, to) in words.iter_mut().enumerate() {
        *to = word(bytes, number)?;
    }
    Some(words)
}

impl Reader {
    fn take(&mut self, at: usize, kind: u32, payload: &[u8]) -> Result<(), TraceError> {
        let strange = TraceError::Strange { at, kind, words: payload.len() / 4 };
        let misplaced = |why| Err(TraceError::Misplaced { at, why });
        let trace = &mut self.trace;
        if trace.analysis_end.is_some() && !matches!(kind, kind::QUERY) {
            return misplaced("the analysis has ended");
        }
        match kind {
            kind::CONSTANTS => {
                let words = words::<14>(payload).ok_or(strange)?;
                let [insn, constants, maps, subprogs, values @ ..] = words;
                if trace.constants_end.is_some() {
                    return misplaced("the constants have ended");
                }
                if trace.constants.last().is_some_and(|last| last.insn >= insn) {
                    return misplaced("instructions do not ascend");
                }
                trace.constants.push(Constants { insn, constants, maps, subprogs, values });
            }
            kind::CONSTANTS_END => {
                let [insns, result] = words(payload).ok_or(strange)?;
                if trace.constants_end.is_some() {
                    return misplaced("the constants have ended");
                }
                trace.constants_end = Some(ConstantsEnd { insns, result: result as i32 });
            }
            kind::LAYOUT => {
                let [size, may_read, must_write, live_before] =
                    words::<4>(payload).ok_or(strange.clone())?.map(|word| word as usize);
                let fits = |offset: usize| offset.checked_add(16).is_some_and(|end| end <= size);
                if size > 4096 || ![may_read, must_write, live_before].into_iter().all(fits) {
                    return Err(strange);
                }
                if self.layout.is_some() {
                    return misplaced("the masks have a layout already");
                }
                self.layout = Some(Layout { size, may_read, must_write, live_before });
            }
            kind::POSTORDER => {
                let (Some(0), Some(done)) = (word(payload, 0), word(payload, 1)) else { return Err(strange) };
                let done = done as usize;
                if done != trace.postorder.len() * 4 {
                    return misplaced("a piece of the postorder is missing");
                }
                trace.postorder.extend((2..payload.len() / 4).filter_map(|number| word(payload, number)));
            }
            kind::SUBPROG => {
                let [start, postorder] = words(payload).ok_or(strange)?;
                trace.subprogs.push((start, postorder));
            }
            kind::INSTANCE => {
                let [callsite, depth, subprog, start, insn_cnt, present] =
                    words(payload).ok_or(strange.clone())?;
                if depth as usize >= MAX_FRAMES || insn_cnt > MAX_INSNS || present >> (depth + 1) != 0 {
                    return Err(strange);
                }
                self.finish_instance()?;
                self.present = present;
                self.trace.instances.push(Instance {
                    callsite,
                    depth,
                    subprog,
                    start,
                    insn_cnt,
                    frames: Vec::new(),
                });
            }
            kind::MASKS => {
                let (Some(frame), Some(done)) = (word(payload, 0), word(payload, 1)) else {
                    return Err(strange);
                };
                let bytes = payload.get(8..).unwrap_or_default();
                if self.pieces.last().is_none_or(|(last, _)| *last < frame) {
                    self.pieces.push((frame, Vec::new()));
                }
                match self.pieces.last_mut() {
                    Some((last, pieces)) if *last == frame && pieces.len() == done as usize => {
                        pieces.extend_from_slice(bytes);
                    }
                    _ => return misplaced("a piece of the masks is missing"),
                }
            }
            kind::INSTANCES_END => {
                let [instances, subprogs, postorder, result] = words(payload).ok_or(strange)?;
                self.finish_instance()?;
                let trace = &mut self.trace;
                let counts = [
                    ("instances", trace.instances.len(), instances),
                    ("subprograms", trace.subprogs.len(), subprogs),
                    ("instructions in postorder", trace.postorder.len(), postorder),
                ];
                for (what, have, told) in counts {
                    if have != told as usize {
                        return Err(TraceError::Count { what });
                    }
                }
                trace.analysis_end = Some(result as i32);
            }
            kind::QUERY => {
                let (Some(last), Some(insn)) = (word(payload, 0), word(payload, 1)) else {
                    return Err(strange);
                };
                let frames = payload.get(8..).unwrap_or_default();
                if last as usize >= MAX_FRAMES || frames.len() != (last as usize + 1) * 40 {
                    return Err(strange);
                }
                let frame = |bytes: &[u8]| {
                    Some(QueryFrame {
                        subprog: word(bytes, 0)?,
                        callsite: word(bytes, 1)?,
                        alive: mask(bytes, 8)?,
                        dead: mask(bytes, 24)?,
                    })
                };
                let frames = frames.chunks_exact(40).map(frame).collect::<Option<Vec<_>>>().ok_or(strange)?;
                trace.queries.push(Query { insn, frames });
            }
            _ => return Err(strange),
        }
        Ok(())
    }

    /// Everything of the last instance must have come.
    fn finish_instance(&mut self) -> Result<(), TraceError> {
        let pieces = std::mem::take(&mut self.pieces);
        let Some(instance) = self.trace.instances.last_mut() else {
            return if pieces.is_empty() { Ok(()) } else { Err(TraceError::Count { what: "instances" }) };
        };
        let wrong = TraceError::Count { what: "masks" };
        let came = pieces.iter().fold(0u32, |came, (frame, _)| came | 1u32.checked_shl(*frame).unwrap_or(0));
        if came != self.present || came.count_ones() as usize != pieces.len() {
            return Err(wrong);
        }
        for (frame, bytes) in pieces {
            let Layout { size, may_read, must_write, live_before } = self.layout.ok_or(wrong.clone())?;
            if bytes.len() != instance.insn_cnt as usize * size {
                return Err(wrong);
            }
            let one = |bytes: &[u8]| {
                Some(Masks {
                    may_read: mask(bytes, may_read)?,
                    must_write: mask(bytes, must_write)?,
                    live_before: mask(bytes, live_before)?,
                })
            };
            let masks = bytes.chunks_exact(size).map(one).collect::<Option<Vec<_>>>().ok_or(wrong.clone())?;
            instance.frames.push((frame, masks));
        }
        Ok(())
    }
}

/// Records as the tracing programs write them, for tests.
pub fn write(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut record = |kind: u32, words: &[u32]| {
        bytes.extend([kind, words.len() as u32 * 4].iter().chain(words).flat_map(|word| word.to_le_bytes()));
    };
    let halves = |mask: u128| [0, 32, 64, 96].map(|shift| (mask >> shift) as u32);
    for Constants { insn, constants, maps, subprogs, values } in &trace.constants {
        record(kind::CONSTANTS, &[&[*insn, *constants, *maps, *subprogs], values.as_slice()].concat());
    }
    if let Some(ConstantsEnd { insns, result }) = trace.constants_end {
        record(kind::CONSTANTS_END, &[insns, result as u32]);
    }
    if let Some(result) = trace.analysis_end {
        record(kind::LAYOUT, &[48, 0, 16, 32]);
        for (number, piece) in trace.postorder.chunks(1 << 14).enumerate() {
            record(kind::POSTORDER, &[&[0, (number << 16) as u32], piece].concat());
        }
        for (start, postorder) in &trace.subprogs {
            record(kind::SUBPROG, &[*start, *postorder]);
        }
        for Instance { callsite, depth, subprog, start, insn_cnt, frames } in &trace.instances {
            let present = frames.iter().fold(0, |present, (frame, _)| present | 1 << frame);
            record(kind::INSTANCE, &[*callsite, *depth, *subprog, *start, *insn_cnt, present]);
            for (frame, masks) in frames {
                let words = masks
                    .iter()
                    .flat_map(|masks| [masks.may_read, masks.must_write, masks.live_before])
                    .flat_map(halves);
                let words: Vec<u32> = [*frame, 0].into_iter().chain(words).collect();
                record(kind::MASKS, &words);
            }
        }
        let counts = [trace.instances.len(), trace.subprogs.len(), trace.postorder.len()];
        let [instances, subprogs, postorder] = counts.map(|count| count as u32);
        record(kind::INSTANCES_END, &[instances, subprogs, postorder, result as u32]);
    }
    for Query { insn, frames } in &trace.queries {
        let mut words = vec![frames.len().saturating_sub(1) as u32, *insn];
        for QueryFrame { subprog, callsite, alive, dead } in frames {
            words.extend([*subprog, *callsite]);
            words.extend(halves(*alive).into_iter().chain(halves(*dead)));
        }
        record(kind::QUERY, &words);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Trace {
        let masks =
            |bits: u128| Masks { may_read: bits, must_write: bits << 1, live_before: bits << 127 | 5 };
        Trace {
            constants: vec![
                Constants {
                    insn: 2,
                    constants: 1,
                    maps: 2,
                    subprogs: 4,
                    values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
                },
                Constants { insn: 3, constants: 1, ..Constants::default() },
            ],
            constants_end: Some(ConstantsEnd { insns: 6, result: 0 }),
            subprogs: vec![(0, 0), (4, 3)],
            postorder: vec![3, 2, 0, 5, 4],
            instances: vec![
                Instance {
                    insn_cnt: 4,
                    frames: vec![(0, (0..4).map(masks).collect())],
                    ..Instance::default()
                },
                Instance {
                    callsite: 2,
                    depth: 1,
                    subprog: 1,
                    start: 4,
                    insn_cnt: 2,
                    frames: vec![(0, vec![masks(1), masks(2)]), (1, vec![masks(3), masks(4)])],
                },
                Instance { callsite: 4, insn_cnt: 2, start: 4, subprog: 1, ..Instance::default() },
            ],
            analysis_end: Some(0),
            queries: vec![Query {
                insn: 5,
                frames: vec![
                    QueryFrame { subprog: 0, callsite: 0, alive: 1, dead: 2 },
                    QueryFrame { subprog: 1, callsite: 2, alive: 1 << 127, dead: 1 << 64 },
                ],
            }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let trace = sample();
        assert_eq!(Trace::read(&write(&trace)).unwrap(), trace);
        assert_eq!(Trace::read(&[]).unwrap(), Trace::default());
        let long = Trace { postorder: (0..40_000).collect(), analysis_end: Some(-12), ..Trace::default() };
        assert_eq!(Trace::read(&write(&long)).unwrap(), long);
    }

    /// Every byte away, every byte changed: an error, or something else is said.
    #[test]
    fn what_is_cut_or_changed_is_never_taken_for_what_it_was() {
        let trace = sample();
        let bytes = write(&trace);
        let mut errors = 0;
        let mut read = |bytes: &[u8], what: String| match Trace::read(bytes) {
            Ok(read) => {
                assert_ne!(read, trace, "{what}");
                assert!(read.analysis_end.is_some() || read.instances.is_empty(), "{what}");
            }
            Err(_) => errors += 1,
        };
        for cut in 0..bytes.len() {
            read(&bytes[..cut], format!("cut at {cut}"));
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                if std::mem::replace(&mut changed[at], value) != value {
                    read(&changed, format!("byte {at} is {value}"));
                }
            }
        }
        assert!(errors > bytes.len(), "{errors} errors");
    }

    #[test]
    fn records_that_do_not_go_together_are_refused() {
        let refused = |alter: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = write(&sample());
            alter(&mut bytes);
            Trace::read(&bytes).unwrap_err()
        };
        // The whole of it twice: two loads in one.
        assert!(matches!(
            refused(&|bytes| bytes.extend(write(&sample()))),
            TraceError::Misplaced { why: "the analysis has ended", .. }
        ));
        let record = |kind: u32, words: &[u32]| -> Vec<u8> {
            let head = [kind, words.len() as u32 * 4];
            head.iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
        };
        let alone = |kind, words: &[u32]| Trace::read(&record(kind, words)).unwrap_err();
        assert!(matches!(alone(77, &[]), TraceError::Strange { kind: 77, .. }));
        assert!(matches!(alone(kind::QUERY, &[0, 1]), TraceError::Strange { .. }));
        assert!(matches!(alone(kind::QUERY, &[u32::MAX, 1]), TraceError::Strange { .. }));
        assert!(matches!(alone(kind::INSTANCE, &[0, 0, 0, 0, u32::MAX, 0]), TraceError::Strange { .. }));
        assert!(matches!(alone(kind::INSTANCE, &[0, 31, 0, 0, 1, 0]), TraceError::Strange { .. }));
        assert!(matches!(alone(kind::LAYOUT, &[48, 0, 16, 33]), TraceError::Strange { .. }));
        assert!(matches!(alone(kind::LAYOUT, &[48, 0, 16, u32::MAX]), TraceError::Strange { .. }));
        assert!(matches!(alone(kind::POSTORDER, &[0, 4, 1]), TraceError::Misplaced { .. }));
        assert!(matches!(alone(kind::MASKS, &[0, 4, 1]), TraceError::Misplaced { .. }));
        // An instance without an end, and one whose masks did not come.
        assert!(matches!(alone(kind::INSTANCE, &[0, 0, 0, 0, 1, 0]), TraceError::Count { .. }));
        let without_masks =
            [record(kind::INSTANCE, &[0, 0, 0, 0, 1, 1]), record(kind::INSTANCES_END, &[1, 0, 0, 0])]
                .concat();
        assert_eq!(Trace::read(&without_masks), Err(TraceError::Count { what: "masks" }));
        let missing = record(kind::INSTANCES_END, &[1, 0, 0, 0]);
        assert_eq!(Trace::read(&missing), Err(TraceError::Count { what: "instances" }));
    }

    #[test]
    fn hooks_that_missed_something_say_so() {
        assert_eq!(Hooks { const_regs: 1, ..Hooks::default() }.incomplete(), None);
        let all = Hooks { lost: 1, failed: 2, missed: 3, ..Hooks::default() };
        assert_eq!(
            all.incomplete().unwrap(),
            "1 records found no room, 2 reads of the kernel's memory failed, 3 events were passed over"
        );
    }
}
