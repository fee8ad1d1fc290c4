//! What is drawn of one program: its instructions, and for each instance of a subprogram what every instruction reads
//! and writes of the stack and what is live before it. It is kept as compact JSON until the page is written.

use crate::{
    Dialect,
    bpf::{disasm, kfunc},
    diff::{self, InstanceId, Listed, Listings, UseDef},
    guard,
    loader::lines::Lines,
    log::{self, Event, Listener},
    verifier::{self, Analysis, Program, SlotMask, Stack, State},
};
use livediff_capture::{Insn, Loaded, Said};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

/// Most bytes of the picture of a program in which kernel and model differ.
const MAX_DIFFERING: usize = 16 << 20;
/// Most bytes of any other picture.
const MAX: usize = 2 << 20;

/// What stands beside the model's words in a picture.
#[derive(Clone, Copy, Debug)]
pub enum Beside<'s> {
    /// A kernel's, which are the same.
    Same,
    /// A kernel's, which differ: they are drawn over the model's.
    Differing(&'s Said),
    /// Nothing: there was no kernel, or it said nothing of liveness.
    Nothing,
}

/// The picture of a program.
#[derive(Clone, Debug)]
pub struct Picture {
    /// JSON, or why there is none.
    pub(super) json: Result<Arc<str>, Missing>,
    /// Kernel and model differ in the program.
    pub(super) differs: bool,
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It would have been longer than that many bytes.
    TooLong(usize),
    /// There was no room for it beside others.
    LeftOut,
    /// The model broke down; what it said.
    Failed(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::TooLong(max) => {
                write!(f, "There is no picture of this program: it would be larger than {} MiB.", max >> 20)
            }
            Missing::LeftOut => {
                f.write_str("The picture of this program was left out to keep the page small.")
            }
            Missing::Failed(words) => write!(
                f,
                "There is no picture of this program: making it failed, which is a defect of livediff: {words}"
            ),
        }
    }
}

impl Picture {
    /// Analyses the program once more and keeps what can be drawn of it.
    pub fn new(loaded: &Loaded, dialect: Dialect, beside: Beside<'_>, lines: &Lines) -> Picture {
        Picture::of(beside, || Drawn::of(loaded, dialect, beside, lines))
    }

    /// What `draw` draws, as far as it can.
    pub(super) fn of(beside: Beside<'_>, draw: impl FnOnce() -> Drawn) -> Picture {
        let differs = matches!(beside, Beside::Differing(_));
        let max = if differs { MAX_DIFFERING } else { MAX };
        let json = guard::guarded(|| serde_json::to_string(&draw()).map_err(|error| error.to_string()));
        let json = json.and_then(|json| json).map_err(Missing::Failed);
        let json = json.and_then(|json| (json.len() <= max).then_some(json).ok_or(Missing::TooLong(max)));
        Picture { json: json.map(Arc::from), differs }
    }

    pub(super) fn len(&self) -> usize {
        self.json.as_ref().map_or(0, |json| json.len())
    }

    /// Takes it away to save room, if it is there.
    pub(super) fn leave_out(&mut self) {
        if self.json.is_ok() {
            self.json = Err(Missing::LeftOut);
        }
    }
}

/// Changes of a text from one instruction to the next.
type Runs = Vec<(u32, String)>;

/// The pointers before each instruction, by subprogram and the calls that lead to it. Of analyses of the same, the last.
#[derive(Default)]
struct Pointers(HashMap<(u32, Vec<u32>), Runs>);

impl Listener for Pointers {
    fn event(&mut self, program: &Program<'_>, event: Event<'_>) {
        let Event::SubprogArgs { subprog, depth: _, callsites, states } = event else { return };
        let start = program.subprogs.get(subprog as usize).map_or(0, |subprog| subprog.start);
        let text = |state: &Option<State>| state.as_ref().map(log::pointers_text).unwrap_or_default();
        let texts = states.iter().enumerate().map(|(at, state)| (start + at as u32, text(state)));
        self.0.insert((subprog, callsites.to_vec()), runs(texts, String::new()));
    }
}

/// The values that differ from the one before; `first` stands before all.
fn runs<T: PartialEq + Clone>(values: impl Iterator<Item = (u32, T)>, first: T) -> Vec<(u32, T)> {
    let mut last = first;
    let mut runs = Vec::new();
    for (at, value) in values {
        if value != last {
            runs.push((at, value.clone()));
            last = value;
        }
    }
    runs
}

#[derive(Serialize)]
pub(super) struct Drawn {
    pub(super) insns: Vec<DrawnInsn>,
    /// First instruction, one past the last, name.
    pub(super) subprogs: Vec<(u32, u32, Option<String>)>,
    pub(super) instances: Vec<DrawnInstance>,
    /// The stack is known: not of dialects that look at it while they walk paths.
    pub(super) stack: bool,
    /// Why the verifier refuses the program.
    pub(super) failed: Option<String>,
    /// Nothing that a kernel said is part of the picture.
    only_model: bool,
    /// The kernel's section ends early: where nothing of it is drawn, it is not known what the kernel would have said.
    cut: bool,
    /// The files that `lines` are of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<String>,
    /// The lines of the source: the instruction that one begins at, the file, the number of the line and its text. The
    /// number 0 stands where from then on the line is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<(u32, usize, u32, String)>,
}

/// Index, text, live registers (bit r for r`r`), strongly connected component, and whether it is reached (1) and must
/// clear the upper half of a register (2).
pub(super) type DrawnInsn = (u32, String, u16, u32, u8);

#[derive(Default, Serialize)]
pub(super) struct DrawnInstance {
    pub(super) subprog: u32,
    depth: u32,
    /// The calls that lead to it, or the last of them, as the log names it: `d1,cs4`.
    pub(super) label: String,
    /// Whose it is where the other side has none: `kernel` or `model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<&'static str>,
    /// Call instructions, and the instances that they lead to.
    pub(super) calls: Vec<(u32, usize)>,
    pub(super) frames: Vec<DrawnFrame>,
    /// By instruction, where they differ from those of the instruction before.
    pointers: Runs,
    /// The calls through which the instance has these pointers, where several chains of calls end in its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointers_of: Option<Vec<u32>>,
}

#[derive(Default, Serialize)]
pub(super) struct DrawnFrame {
    pub(super) frame: u32,
    /// By instruction, where it is not empty. Masks are hexadecimal: bit 0 is fp-4, bit 1 fp-8, bit 127 fp-512.
    pub(super) r#use: Runs,
    pub(super) def: Runs,
    /// By instruction, where it differs from that of the instruction before.
    pub(super) live: Runs,
    /// Where the kernel says something else: its use and def.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kernel: Vec<(u32, String, String)>,
}

/// may_read, must_write and live_before.
type Masks = [SlotMask; 3];

/// An instance of either form.
struct Known<'a> {
    subprog: u32,
    start: u32,
    insn_cnt: u32,
    label: String,
    /// The calls that lead to it, as far as they are part of its name.
    depth: u32,
    callsite: u32,
    chain: Option<&'a [u32]>,
    masks: Box<dyn Fn(u8, u32) -> Option<Masks> + 'a>,
}

fn hex(mask: SlotMask) -> String {
    format!("{:x}", mask.bits())
}

impl Drawn {
    /// Analyses a program and draws it. `lines` are those of its object.
    pub(super) fn of(loaded: &Loaded, dialect: Dialect, beside: Beside<'_>, lines: &Lines) -> Drawn {
        let mut pointers = Pointers::default();
        let mut drawn = match verifier::analyze(loaded, dialect, &mut pointers) {
            Ok(analysis) => Drawn::new(&analysis, &pointers, beside),
            Err(error) => Drawn::failed(loaded, dialect, &error, beside),
        };
        drawn.add_lines(loaded, lines);
        drawn
    }

    /// Notes where lines begin. Several that follow each other and differ in their columns only are one.
    fn add_lines(&mut self, loaded: &Loaded, lines: &Lines) {
        let mut last = None;
        let mut files: HashMap<&str, usize> = HashMap::new();
        for (insn, line) in lines.of(loaded) {
            let place = line.map(|line| (&*line.file, line.line));
            if place == last {
                continue;
            }
            last = place;
            let Some(line) = line else {
                self.lines.push((insn, 0, 0, String::new()));
                continue;
            };
            let file = *files.entry(&line.file).or_insert_with(|| {
                self.files.push(line.file.to_string());
                self.files.len() - 1
            });
            self.lines.push((insn, file, line.line, line.text.to_string()));
        }
    }

    /// A program that the model's verifier refuses; of a kernel that does not, its own listings are drawn.
    fn failed(loaded: &Loaded, dialect: Dialect, error: &verifier::Error, beside: Beside<'_>) -> Drawn {
        let insns = insns(loaded, dialect, &loaded.insns, |_| (0, 0, 1));
        let starts = loaded.func_info.iter().map(|info| info.insn_off);
        let ends = starts.skip(1).chain([loaded.insns.len() as u32]);
        let mut subprogs: Vec<_> = std::iter::zip(&loaded.func_info, ends)
            .map(|(info, end)| (info.insn_off, end, Some(info.name.clone())))
            .collect();
        if subprogs.is_empty() {
            subprogs.push((0, loaded.insns.len() as u32, None));
        }
        let mut instances = Vec::new();
        let mut cut = false;
        if let Beside::Differing(said) = beside {
            let kernel = diff::use_def(&said.log, &loaded.insns);
            cut = kernel.cut && !kernel.instances.is_empty();
            only_kernel(&kernel, &BTreeMap::new(), &mut instances);
        }
        if instances.is_empty() {
            instances.extend((0..subprogs.len() as u32).map(|subprog| DrawnInstance {
                subprog,
                label: format!("subprog#{subprog}"),
                ..DrawnInstance::default()
            }));
        }
        let failed = Some(error.to_string());
        let (files, lines) = (Vec::new(), Vec::new());
        Drawn { insns, subprogs, instances, stack: false, failed, only_model: false, cut, files, lines }
    }

    fn new(analysis: &Analysis<'_>, pointers: &Pointers, beside: Beside<'_>) -> Drawn {
        let program = &analysis.program;
        let mut reached = vec![false; program.insns.len()];
        for &insn in &program.postorder {
            if let Some(reached) = reached.get_mut(insn as usize) {
                *reached = true;
            }
        }
        let insns = insns(program.loaded, program.dialect, &program.insns, |idx| {
            let at = |flags: &[bool]| flags.get(idx as usize).copied().unwrap_or_default();
            let live = analysis.live_regs.before.get(idx as usize).copied().unwrap_or_default();
            let scc = program.scc.get(idx as usize).copied().unwrap_or_default();
            (live, scc, u8::from(at(&reached)) | u8::from(at(&analysis.live_regs.zext)) << 1)
        });
        let name = |subprog| program.subprog_name(subprog).map(str::to_owned);
        let subprogs = program.subprogs.iter().enumerate().map(|(i, s)| (s.start, s.end, name(i))).collect();

        let known = known(analysis);
        let mut instances: Vec<DrawnInstance> = known.iter().map(|known| drawn(known, pointers)).collect();
        calls(program, &known, &mut instances);
        let (mut only_model, mut cut) = (!matches!(beside, Beside::Same), false);
        if let (Beside::Differing(said), Stack::ByCallsite(_)) = (beside, &analysis.stack) {
            let kernel = diff::use_def(&said.log, &program.loaded.insns);
            if !kernel.instances.is_empty() {
                (only_model, cut) = (false, kernel.cut);
                overlay(program, &known, &kernel, &mut instances);
            }
        }
        let stack = !matches!(analysis.stack, Stack::Observed);
        let (files, lines) = (Vec::new(), Vec::new());
        Drawn { insns, subprogs, instances, stack, failed: None, only_model, cut, files, lines }
    }
}

fn insns(
    loaded: &Loaded,
    dialect: Dialect,
    insns: &[Insn],
    facts: impl Fn(u32) -> (u16, u32, u8),
) -> Vec<DrawnInsn> {
    let name = |call: &_| kfunc::name(loaded, dialect, call);
    let mut drawn = Vec::new();
    let mut idx = 0;
    while let Some(insn) = insns.get(idx) {
        let mut text = String::new();
        disasm::write_insn(&mut text, insns, idx, dialect, &name);
        let (live, scc, flags) = facts(idx as u32);
        drawn.push((idx as u32, text, live, scc, flags));
        idx += insn.slots();
    }
    drawn
}

/// The instances in the form of the dialect; where it has none, the subprograms.
fn known<'a>(analysis: &'a Analysis<'_>) -> Vec<Known<'a>> {
    match &analysis.stack {
        Stack::ByCallsite(instances) => instances
            .iter()
            .map(|instance| Known {
                subprog: instance.subprog,
                start: instance.start,
                insn_cnt: instance.insn_cnt,
                label: format!("d{},cs{}", instance.depth, instance.callsite),
                depth: instance.depth.into(),
                callsite: instance.callsite,
                chain: None,
                masks: Box::new(|frame, insn| {
                    let masks = instance.masks(frame, insn)?;
                    Some([masks.may_read, masks.must_write, masks.live_before])
                }),
            })
            .collect(),
        Stack::ByCallChain(chains) => chains
            .instances()
            .iter()
            .map(|instance| {
                let (_, callsites) = instance.chain.as_slice().split_last().unwrap_or((&0, &[]));
                let names: Vec<String> = instance.chain.as_slice().iter().map(u32::to_string).collect();
                Known {
                    subprog: instance.subprog,
                    start: instance.start,
                    insn_cnt: instance.insn_cnt,
                    label: names.join(","),
                    depth: callsites.len() as u32,
                    callsite: callsites.last().copied().unwrap_or(instance.start),
                    chain: Some(callsites),
                    masks: Box::new(|frame, insn| {
                        let masks = instance.masks(frame, insn)?;
                        Some([masks.may_read, masks.must_write, masks.live_before])
                    }),
                }
            })
            .collect(),
        Stack::Observed => std::iter::zip(0.., &analysis.program.subprogs)
            .map(|(subprog, range)| Known {
                subprog,
                start: range.start,
                insn_cnt: range.end.saturating_sub(range.start),
                label: format!("subprog#{subprog}"),
                depth: 0,
                callsite: range.start,
                chain: None,
                masks: Box::new(|_, _| None),
            })
            .collect(),
    }
}

fn drawn(known: &Known<'_>, pointers: &Pointers) -> DrawnInstance {
    let range = known.start..known.start.saturating_add(known.insn_cnt);
    let frames = (0..=known.depth).filter_map(|frame| {
        let number = u8::try_from(frame).ok()?;
        (known.masks)(number, known.start)?;
        let of = |which: usize| {
            let mask = move |insn| (known.masks)(number, insn).and_then(|masks| masks.get(which).copied());
            range.clone().map(move |insn| (insn, mask(insn).unwrap_or_default()))
        };
        let set = |which| of(which).filter(|(_, mask)| !mask.is_empty()).map(|(i, m)| (i, hex(m))).collect();
        let live = runs(of(2), SlotMask::EMPTY).into_iter().map(|(insn, mask)| (insn, hex(mask))).collect();
        Some(DrawnFrame { frame, r#use: set(0), def: set(1), live, kernel: Vec::new() })
    });
    let frames = frames.collect();
    let is_its = |callsites: &[u32]| match known.chain {
        Some(chain) => callsites == chain,
        None => {
            callsites.len() as u32 == known.depth
                && (known.depth == 0 || callsites.last() == Some(&known.callsite))
        }
    };
    let is_its = |key: &&(u32, Vec<u32>)| key.0 == known.subprog && is_its(&key.1);
    let several = pointers.0.keys().filter(is_its).count() > 1;
    let key = pointers.0.keys().filter(is_its).min().cloned();
    let pointers_of = key.as_ref().filter(|_| several).map(|(_, callsites)| callsites.clone());
    let pointers = key.and_then(|key| pointers.0.get(&key)).cloned().unwrap_or_default();
    DrawnInstance {
        subprog: known.subprog,
        depth: known.depth,
        label: known.label.clone(),
        frames,
        pointers,
        pointers_of,
        ..DrawnInstance::default()
    }
}

/// Finds which instance each call leads to.
fn calls(program: &Program<'_>, known: &[Known<'_>], instances: &mut [DrawnInstance]) {
    let mut by_depth: HashMap<(u32, u32), Vec<usize>> = HashMap::new();
    for (at, caller) in known.iter().enumerate() {
        by_depth.entry((caller.subprog, caller.depth)).or_default().push(at);
    }
    for (at, callee) in known.iter().enumerate().filter(|(_, callee)| callee.depth > 0) {
        let Some(subprog) = program.containing_subprog(callee.callsite) else { continue };
        for &caller in by_depth.get(&(subprog as u32, callee.depth - 1)).into_iter().flatten() {
            let leads = match (callee.chain, known[caller].chain) {
                (Some(chain), Some(outer)) => chain.split_last().is_some_and(|(_, rest)| rest == outer),
                _ => true,
            };
            if leads {
                instances[caller].calls.push((callee.callsite, at));
            }
        }
    }
    instances.iter_mut().for_each(|instance| instance.calls.sort_unstable());
}

/// Adds what the kernel's listings say otherwise than the model's. Both are read from text, so that what the kernel cuts
/// of a long list is cut of both.
fn overlay(
    program: &Program<'_>,
    known: &[Known<'_>],
    kernel: &Listings,
    instances: &mut Vec<DrawnInstance>,
) {
    let model = log::section(program.loaded, program.dialect).text;
    let model = diff::use_def(&model, &program.loaded.insns);
    let nothing = Listed::default();
    let mut known_ids = BTreeMap::new();
    for (at, known) in known.iter().enumerate() {
        known_ids.insert(InstanceId { callsite: known.callsite, depth: known.depth }, at);
    }
    for (id, at) in &known_ids {
        match kernel.instances.get(id) {
            Some(listed) if Some(&listed.subprog) == known.get(*at).map(|known| &known.subprog) => {
                merge(&mut instances[*at], listed, model.instances.get(id).unwrap_or(&nothing), kernel.cut);
            }
            // It may have been to come.
            None if kernel.cut => {}
            _ => instances[*at].only = Some("model"),
        }
    }
    only_kernel(kernel, &known_ids, instances);
}

/// Adds the instances that only the kernel lists.
fn only_kernel(kernel: &Listings, known: &BTreeMap<InstanceId, usize>, instances: &mut Vec<DrawnInstance>) {
    for (id, listed) in kernel.instances.iter().filter(|(id, _)| !known.contains_key(id)) {
        let mut instance = DrawnInstance {
            subprog: listed.subprog,
            depth: id.depth,
            label: format!("d{},cs{}", id.depth, id.callsite),
            only: Some("kernel"),
            ..DrawnInstance::default()
        };
        merge(&mut instance, listed, &Listed::default(), kernel.cut);
        instances.push(instance);
    }
}

/// Adds where the kernel's listing of an instance says something else; of one that was cut, up to where it goes.
fn merge(instance: &mut DrawnInstance, kernel: &Listed, model: &Listed, cut: bool) {
    let keys: BTreeSet<_> = kernel.masks.keys().chain(model.masks.keys()).collect();
    for key in keys {
        let (insn, frame) = *key;
        let of = |listed: &Listed| listed.masks.get(key).copied().unwrap_or_default();
        let (UseDef { uses, defs }, theirs) = (of(kernel), of(model));
        if (UseDef { uses, defs }) == theirs
            || kernel.unclear.contains(&insn)
            || model.unclear.contains(&insn)
            || cut && !kernel.insns.contains(&insn)
        {
            continue;
        }
        let at = instance.frames.iter().position(|drawn| drawn.frame == frame).unwrap_or_else(|| {
            instance.frames.push(DrawnFrame { frame, ..DrawnFrame::default() });
            instance.frames.len() - 1
        });
        instance.frames[at].kernel.push((insn, hex(uses), hex(defs)));
    }
    instance.frames.sort_by_key(|drawn| drawn.frame);
}
