//! The facts that differ between two sections: both are read back line by line, and what they say of each thing is
//! held side by side.
//!
//! A thing is, for example, what instruction 12 of the instance of call site 4 at depth 1 may read of frame 0. Each
//! side says something of it, or nothing, or several things one after another (a fixed point is printed as it goes).
//! Two sides that say different things of it differ in that fact. Whether two sections differ at all is never decided
//! here but by their bytes; what no fact explains is a difference in order, repetition or layout.

use super::kind::{Change, Frame, Kind, Site, What};
use super::lines::{Line, Reader, Says};
use crate::bpf::Insn;
use crate::log::slots_text;
use crate::verifier::SlotMask;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fmt,
};

/// Most facts that are kept of a program; all are counted.
pub const MAX_FACTS: usize = 1_000;

/// An analysis of a subprogram: by the call that leads to it, and its depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The call instruction; for depth 0 the subprogram's first.
    pub callsite: u32,
    /// Depth in the call chain, 0 for an entry.
    pub depth: u32,
}

/// A fact in which two sides differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What kind of fact, and how it changed.
    pub kind: Kind,
    /// The subprogram.
    pub subprog: Option<u32>,
    /// The instance of it, for what is said once for each.
    pub instance: Option<InstanceId>,
    /// The instruction.
    pub insn: Option<u32>,
    /// What holds the pointer, or the frame: `r1`, `fp-8`, `fp0`, `-> 4 r1` for a join.
    pub holder: String,
    /// What the first side says, if anything.
    pub first: Option<String>,
    /// What the second side says, if anything.
    pub second: Option<String>,
    /// Slots or registers that only the second side has, in words; empty for other facts.
    pub grown: String,
    /// Slots or registers that only the first side has.
    pub shrunk: String,
    /// The line, counted from 0 in either section, with which the difference begins.
    pub line: usize,
}

impl fmt::Display for Fact {
    /// `insn 12 (d1,cs4) use: of the caller's frame: +fp0-16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subprog) = self.subprog {
            write!(f, "subprog#{subprog} ")?;
        }
        if let Some(InstanceId { callsite, depth }) = self.instance {
            write!(f, "(d{depth},cs{callsite}) ")?;
        }
        if let Some(insn) = self.insn {
            write!(f, "insn {insn} ")?;
        }
        write!(f, "{}", self.kind.what)?;
        match self.kind.frame {
            Some(Frame::Own) => f.write_str(" of the own frame")?,
            Some(Frame::Caller) => f.write_str(" of the caller's frame")?,
            None if self.holder.is_empty() => {}
            None => write!(f, " {}", self.holder)?,
        }
        if matches!(self.kind.what, What::Order | What::Layout) {
            return Ok(());
        }
        f.write_str(": ")?;
        if !self.grown.is_empty() || !self.shrunk.is_empty() {
            let sign = |sign: &str, slots: &str| -> String {
                slots
                    .split(' ')
                    .filter(|slot| !slot.is_empty())
                    .map(|slot| format!(" {sign}{slot}"))
                    .collect()
            };
            let text = sign("+", &self.grown) + &sign("-", &self.shrunk);
            return f.write_str(text.trim_start());
        }
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".into());
        write!(f, "{} became {}", side(&self.first), side(&self.second))
    }
}

/// The facts in which two sections differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The first of them, in the order in which the differences begin.
    pub facts: Vec<Fact>,
    /// How many there are.
    pub total: usize,
    /// The kinds of all of them, each once: the first that differs first.
    pub kinds: Vec<Kind>,
}

impl Facts {
    /// The kind of the fact that differs first: what comes later may only follow from it.
    pub fn kind(&self) -> Option<Kind> {
        self.kinds.first().copied()
    }
}

/// What is said something of. The order of the fields is the order of facts that begin with the same line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    what: What,
    subprog: Option<u32>,
    instance: Option<InstanceId>,
    insn: Option<u32>,
    frame: Option<u32>,
    holder: String,
}

/// What is said of a thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    /// Half-slots of a frame, by [`SlotMask::bits`].
    Slots(u128),
    /// Registers, r0 in bit 0.
    Regs(u16),
    /// A pointer's places, and other words.
    Text(String),
}

/// What a section says of each thing, in order, with the lines.
type Said = BTreeMap<Thing, Vec<(Value, usize)>>;

/// The facts in which `first` and `second`, sections of a program of `insns`, differ.
///
/// None where the sections are the same bytes; at least one where they are not.
pub(super) fn find(first: &str, second: &str, insns: &[Insn]) -> Facts {
    if first == second {
        return Facts::default();
    }
    let said = (said(first), said(second));
    let mut facts: Vec<Fact> = Vec::new();
    let things: BTreeSet<&Thing> = said.0.keys().chain(said.1.keys()).collect();
    let has_instance = |side: &Said, thing: &Thing| {
        let header = Thing { what: What::Instances, insn: None, frame: None, ..thing.clone() };
        side.contains_key(&header)
    };
    for thing in things {
        let none = Vec::new();
        let values = (said.0.get(thing).unwrap_or(&none), said.1.get(thing).unwrap_or(&none));
        // What an instance says that only one side has follows from that.
        if matches!(thing.what, What::Use | What::Def)
            && has_instance(&said.0, thing) != has_instance(&said.1, thing)
        {
            continue;
        }
        facts.extend(fact(thing, values.0, values.1, insns));
    }
    if facts.is_empty() {
        facts.push(unexplained(first, second));
    }
    facts.sort_by_key(|fact| fact.line);
    let mut kinds = Vec::new();
    let mut seen = BTreeSet::new();
    for fact in &facts {
        if seen.insert(fact.kind) {
            kinds.push(fact.kind);
        }
    }
    let total = facts.len();
    facts.truncate(MAX_FACTS);
    Facts { facts, total, kinds }
}

/// Sections that say the same of everything and are not the same bytes.
fn unexplained(first: &str, second: &str) -> Fact {
    let sorted = |text: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        lines.join("\n")
    };
    let what = if sorted(first) == sorted(second) { What::Order } else { What::Layout };
    let line = std::iter::zip(first.lines(), second.lines()).take_while(|(a, b)| a == b).count();
    Fact {
        kind: Kind { what, frame: None, change: Change::Changed, site: None },
        subprog: None,
        instance: None,
        insn: None,
        holder: String::new(),
        first: None,
        second: None,
        grown: String::new(),
        shrunk: String::new(),
        line,
    }
}

/// The fact in which two sides differ, if they do in more than order and repetition.
fn fact(thing: &Thing, first: &[(Value, usize)], second: &[(Value, usize)], insns: &[Insn]) -> Option<Fact> {
    let values =
        |side: &[(Value, usize)]| side.iter().map(|(value, _)| value.clone()).collect::<BTreeSet<_>>();
    let (a, b) = (values(first), values(second));
    // That an instruction is not shown is told by what is not said of it.
    if a == b || thing.what == What::Insn && (a.is_empty() || b.is_empty()) {
        return None;
    }
    let same = std::iter::zip(first, second).take_while(|(a, b)| a.0 == b.0).count();
    let at = [first.get(same), second.get(same)].into_iter().flatten().map(|(_, line)| *line).min();
    let last = |side: &[(Value, usize)]| side.last().map(|(_, line)| *line);
    let line = at.or(last(first)).or(last(second)).unwrap_or_default();

    let only = |side: &BTreeSet<Value>, other: &BTreeSet<Value>| {
        let only: Vec<String> = side.difference(other).map(|value| value.text(thing)).collect();
        (!side.is_empty())
            .then(|| if only.is_empty() { "no more than that".to_owned() } else { only.join(" / ") })
    };
    let (extent_a, extent_b) = (Extent::of(thing.what, &a), Extent::of(thing.what, &b));
    let sized = matches!(thing.what, What::Use | What::Def | What::LiveRegs);
    let change = match (a.is_empty(), b.is_empty()) {
        (true, false) if sized => Change::Grew,
        (false, true) if sized => Change::Shrank,
        (true, _) => Change::Appeared,
        (_, true) => Change::Gone,
        _ => extent_a.change_to(&extent_b),
    };
    let (grown, shrunk) = match (&extent_a, &extent_b) {
        _ if !sized => Default::default(),
        (Extent::Bits(a), Extent::Bits(b)) => (bits_text(thing, b & !a), bits_text(thing, a & !b)),
        (Extent::Bits(a), _) => (String::new(), bits_text(thing, *a)),
        (_, Extent::Bits(b)) => (bits_text(thing, *b), String::new()),
        _ => Default::default(),
    };
    let frame = thing
        .frame
        .zip(thing.instance)
        .map(|(frame, instance)| if frame == instance.depth { Frame::Own } else { Frame::Caller });
    let insn = thing.insn.and_then(|insn| insns.get(usize::try_from(insn).ok()?));
    Some(Fact {
        kind: Kind { what: thing.what, frame, change, site: insn.map(Site::of) },
        subprog: thing.subprog,
        instance: thing.instance,
        insn: thing.insn,
        holder: thing.holder.clone(),
        first: only(&a, &b),
        second: only(&b, &a),
        grown,
        shrunk,
        line,
    })
}

impl Value {
    fn text(&self, thing: &Thing) -> String {
        match self {
            Value::Slots(bits) => bits_text(thing, *bits),
            Value::Regs(regs) => bits_text(thing, u128::from(*regs)),
            Value::Text(text) => text.clone(),
        }
    }
}

/// Slots or registers in words.
fn bits_text(thing: &Thing, bits: u128) -> String {
    if thing.what == What::LiveRegs {
        let regs: Vec<String> =
            (0..16).filter(|reg| bits >> reg & 1 == 1).map(|reg| format!("r{reg}")).collect();
        return regs.join(" ");
    }
    slots_text(thing.frame.and_then(|frame| u8::try_from(frame).ok()).unwrap_or(0), SlotMask::from(bits))
}

/// How much a side says of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Extent {
    /// Slots or registers.
    Bits(u128),
    /// Where a pointer may lead: how little is known of it (0: places of a frame, 1: of a frame, 2: no more than
    /// frames), and the places or frames.
    Pointer(u8, BTreeSet<String>),
    /// Something that has no extent.
    Other,
}

impl Extent {
    fn of(what: What, values: &BTreeSet<Value>) -> Extent {
        let mut extent = None;
        for value in values {
            let next = match value {
                Value::Slots(bits) => Extent::Bits(*bits),
                Value::Regs(regs) => Extent::Bits(u128::from(*regs)),
                Value::Text(text) if matches!(what, What::Transfer | What::Join | What::Pointers) => {
                    pointer(text)
                }
                Value::Text(_) => Extent::Other,
            };
            extent = Some(match (extent, next) {
                (None, next) => next,
                (Some(Extent::Bits(a)), Extent::Bits(b)) => Extent::Bits(a | b),
                (Some(Extent::Pointer(a, some)), Extent::Pointer(b, more)) => {
                    Extent::Pointer(a.max(b), some.union(&more).cloned().collect())
                }
                _ => Extent::Other,
            });
        }
        extent.unwrap_or(Extent::Other)
    }

    fn change_to(&self, other: &Extent) -> Change {
        match (self, other) {
            (Extent::Bits(a), Extent::Bits(b)) if a & !b == 0 && a != b => Change::Grew,
            (Extent::Bits(a), Extent::Bits(b)) if b & !a == 0 && a != b => Change::Shrank,
            (Extent::Pointer(a, _), Extent::Pointer(b, _)) if a < b => Change::Grew,
            (Extent::Pointer(a, _), Extent::Pointer(b, _)) if a > b => Change::Shrank,
            (Extent::Pointer(_, a), Extent::Pointer(_, b)) if a != b && a.is_subset(b) => Change::Grew,
            (Extent::Pointer(_, a), Extent::Pointer(_, b)) if a != b && b.is_subset(a) => Change::Shrank,
            _ => Change::Changed,
        }
    }
}

/// The extent of what a transfer, a join or a listing says of a pointer: of its result.
fn pointer(text: &str) -> Extent {
    let result = text.rsplit_once(" => ").or(text.rsplit_once(" -> ")).map_or(text, |(_, result)| result);
    match result {
        "_" => Extent::Pointer(0, BTreeSet::new()),
        _ if result.starts_with("IMP") => Extent::Pointer(2, BTreeSet::from([result.to_owned()])),
        _ if result.ends_with(" ?") => Extent::Pointer(1, BTreeSet::from([result.to_owned()])),
        _ => Extent::Pointer(0, result.split('|').map(str::to_owned).collect()),
    }
}

/// What a section says of each thing.
fn said(section: &str) -> Said {
    let mut said = Said::new();
    let mut reader = Reader::default();
    for (number, text) in section.lines().enumerate() {
        let line = reader.read(text);
        tell(&line, &mut |thing, value| match said.entry(thing) {
            Entry::Vacant(entry) => {
                entry.insert(vec![(value, number)]);
            }
            Entry::Occupied(mut entry) => entry.get_mut().push((value, number)),
        });
    }
    said
}

/// Takes a line apart into what it says of what.
fn tell(line: &Line<'_>, say: &mut dyn FnMut(Thing, Value)) {
    let thing = |what: What| Thing {
        what,
        subprog: line.origin.subprog,
        instance: line.instance,
        insn: line.origin.insn,
        frame: None,
        holder: String::new(),
    };
    let words = |text: &str| Value::Text(text.to_owned());
    // The text is that of the instruction wherever it stands.
    let insn_text = |text: &str, say: &mut dyn FnMut(Thing, Value)| {
        say(Thing { subprog: None, instance: None, ..thing(What::Insn) }, words(text));
    };
    match &line.says {
        Says::Subprog { start } => say(Thing { insn: None, ..thing(What::Subprograms) }, words(start)),
        Says::InvalidKfunc => say(thing(What::InvalidKfunc), words(line.text)),
        Says::TopoOrder { position, name } => {
            say(
                Thing { holder: format!("[{position}]"), subprog: None, ..thing(What::TopoOrder) },
                words(name),
            );
        }
        Says::Analyzing { depth } => {
            say(Thing { holder: format!("at depth {depth}"), ..thing(What::Analyzing) }, words("analysed"));
        }
        Says::Transfer { insn, changes } => {
            insn_text(insn, say);
            for (holder, change) in changes {
                say(Thing { holder: (*holder).to_owned(), ..thing(What::Transfer) }, words(change));
            }
        }
        Says::Join { target, holder, values } => {
            say(Thing { holder: format!("-> {target} {holder}"), ..thing(What::Join) }, words(values));
        }
        Says::ListingHeader => {}
        Says::Listing { insn, pointers } => {
            insn_text(insn, say);
            for (holder, value) in pointers {
                say(Thing { holder: (*holder).to_owned(), ..thing(What::Pointers) }, words(value));
            }
        }
        Says::InstanceHeader => say(thing(What::Instances), words("listed")),
        Says::UseDef { insn, uses, defs } => {
            insn_text(insn, say);
            for (what, slots) in [(What::Use, uses), (What::Def, defs)] {
                match slots {
                    Ok(frames) => {
                        for (frame, bits) in frames {
                            say(Thing { frame: Some(*frame), ..thing(what) }, Value::Slots(*bits));
                        }
                    }
                    Err(text) => say(thing(what), words(text)),
                }
            }
        }
        Says::MaskChange { chain, frame, change } => {
            let what = if change.contains("written") { What::Written } else { What::Live };
            say(Thing { holder: format!("of {chain} frame {frame}"), ..thing(what) }, words(change));
        }
        Says::UpdateDone { chain, iterations } => {
            say(Thing { holder: format!("of {chain}"), ..thing(What::Iterations) }, words(iterations));
        }
        Says::LiveRegsHeader => {
            say(Thing { holder: "table".into(), ..thing(What::LiveRegs) }, words("begun"))
        }
        Says::LiveRegs { component, regs, insn, zext } => {
            insn_text(insn, say);
            say(thing(What::LiveRegs), Value::Regs(*regs));
            if !component.is_empty() {
                say(thing(What::Component), words(component));
            }
            if *zext {
                say(thing(What::Zext), words("cleared"));
            }
        }
        Says::Other => say(Thing { subprog: None, insn: None, ..thing(What::Error) }, words(line.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "func#0 @0\nfunc#1 @3\ntopo_order[0] = callee\ntopo_order[1] = main\n";
    const EXIT: Insn = Insn { code: 0x95, dst_reg: 0, src_reg: 0, off: 0, imm: 0 };
    const CALL: Insn = Insn { code: 0x85, dst_reg: 0, src_reg: 1, off: 0, imm: 1 };
    const LOAD: Insn = Insn { code: 0x79, dst_reg: 1, src_reg: 1, off: 0, imm: 0 };

    fn found(first: &str, second: &str) -> Facts {
        let facts =
            find(&format!("{HEAD}{first}"), &format!("{HEAD}{second}"), &[CALL, LOAD, EXIT, LOAD, EXIT]);
        assert_eq!(facts.total, facts.facts.len());
        facts
    }

    /// The only fact, in words, and its kind.
    #[track_caller]
    fn one(first: &str, second: &str) -> (String, String) {
        let facts = found(first, second);
        let [fact] = facts.facts.as_slice() else { panic!("{facts:#?}") };
        (fact.to_string(), fact.kind.to_string())
    }

    fn words(fact: &str, kind: &str) -> (String, String) {
        (fact.to_owned(), kind.to_owned())
    }

    #[test]
    fn slots_that_are_used_grow_and_shrink_by_instance_and_frame() {
        let header = "stack use/def subprog#1 callee (d1,cs0):\n";
        let line = |slots: &str| format!("{header}  3: (79) r1 = *(u64 *)(r1 +0)    ; use: {slots}\n");
        assert_eq!(
            one(&line("fp1-8 fp0-8"), &line("fp1-8 fp0-8..-24 fp0-28h")),
            words(
                "subprog#1 (d1,cs0) insn 3 `use:` of the caller's frame: +fp0-16 +fp0-24 +fp0-28h",
                "`use:` of the caller's frame: grew, at loads and stores"
            )
        );
        assert_eq!(
            one(&line("fp1-8"), &format!("{header}  3: (79) r1 = *(u64 *)(r1 +0)\n")).1,
            "`use:` of the own frame: shrank, at loads and stores"
        );
        assert_eq!(
            one(&line("fp0-8"), &line("fp0-16")).1,
            "`use:` of the caller's frame: changed, at loads and stores"
        );
        let both = line("fp1-8 def: fp0-8");
        assert_eq!(
            one(&both, &line("fp1-8")),
            words(
                "subprog#1 (d1,cs0) insn 3 `def:` of the caller's frame: -fp0-8",
                "`def:` of the caller's frame: shrank, at loads and stores"
            )
        );
        // An instance that only one side has is one fact, whatever it says.
        assert_eq!(
            one(&both, ""),
            words(
                "subprog#1 (d1,cs0) the instances with a use/def listing: listed became nothing",
                "the instances with a use/def listing: gone"
            )
        );
    }

    #[test]
    fn pointers_grow_where_less_is_known_of_them() {
        let join = |result: &str| {
            format!(
                "subprog#1: analyzing (depth 0)...\narg JOIN insn 1 -> 3 r1: fp0-8 + fp0-16 => {result}\n"
            )
        };
        let change = |first: &str, second: &str| one(&join(first), &join(second)).1;
        let kind = |change: &str| format!("arg tracking, join: {change}, at loads and stores");
        assert_eq!(change("fp0-8", "fp0-16|fp0-8"), kind("grew"));
        assert_eq!(change("_", "fp0-8"), kind("grew"));
        assert_eq!(change("fp0-16|fp0-8", "fp0 ?"), kind("grew"));
        assert_eq!(change("IMP1", "fp0 ?"), kind("shrank"));
        assert_eq!(change("fp0-8", "fp0-16"), kind("changed"));
        assert_eq!(
            one(&join("fp0-8"), "subprog#1: analyzing (depth 0)...\n"),
            words(
                "subprog#1 insn 1 arg tracking, join -> 3 r1: fp0-8 + fp0-16 => fp0-8 became nothing",
                "arg tracking, join: gone, at loads and stores"
            )
        );

        let listing = |pointers: &str| {
            format!("subprog#1 callee:\n  3: (79) r1 = *(u64 *)(r1 +0){pointers}\n  4: (95) exit\n")
        };
        assert_eq!(
            one(&listing(" // r1=fp0-8"), &listing(" // r1=fp0-8 fp-8=fp0+0")),
            words(
                "subprog#1 insn 3 arg tracking, result fp-8: nothing became fp0+0",
                "arg tracking, result: appeared, at loads and stores"
            )
        );
        let transfer = |to: &str| format!("  0: (85) call pc+1\tr0: _ -> {to}\tr1: fp0-8 -> _\n");
        assert_eq!(
            one(&transfer("IMP1"), &transfer("fp0-8")),
            words(
                "insn 0 arg tracking, transfer r0: _ -> IMP1 became _ -> fp0-8",
                "arg tracking, transfer: shrank, at calls of subprograms"
            )
        );
    }

    #[test]
    fn the_table_of_live_registers() {
        let table = |line: &str| {
            format!("Live regs before insn:\n{line}\n      1: .......... (79) r1 = *(u64 *)(r1 +0)\n")
        };
        let line = table("  1   0: .1........ (85) call pc+1");
        assert_eq!(
            one(&line, &table("  1   0: .12.....8. (85) call pc+1")),
            words(
                "subprog#0 insn 0 live registers: +r2 +r8",
                "live registers: grew, at calls of subprograms"
            )
        );
        assert_eq!(
            one(&line, &table("  1   0: .......... (85) call pc+1")).1,
            "live registers: shrank, at calls of subprograms"
        );
        assert_eq!(
            one(&line, &table("      0: .1........ (85) call pc+1")).1,
            "strongly connected components: gone, at calls of subprograms"
        );
        assert_eq!(
            one(&line, &table("  1   0: .1........ (85) call pc+1     ; zext")).1,
            "`zext`: appeared, at calls of subprograms"
        );
        assert_eq!(
            one(&line, &table("  1   0: .1........ (85) call pc+2")),
            words(
                "insn 0 the text of instructions: (85) call pc+1 became (85) call pc+2",
                "the text of instructions: changed, at calls of subprograms"
            )
        );
    }

    #[test]
    fn order_and_layout_are_told_where_nothing_else_differs() {
        let (one_line, other) =
            ("  0: (85) call pc+1\tr0: _ -> IMP1\n", "  1: (79) r1 = *(u64 *)(r1 +0)\tr1: fp0-8 -> _\n");
        let order = words("order or repetition of the same lines", "order or repetition of the same lines");
        assert_eq!(one(&format!("{one_line}{other}"), &format!("{other}{one_line}")), order);
        assert_eq!(one(&format!("{one_line}{other}"), &format!("{one_line}{other}{one_line}")), order);
        assert_eq!(
            one("subprog#0 main:\n  0: (85) call pc+1\n", "subprog#0  main:\n  0: (85) call pc+1\n").1,
            "layout of the same facts"
        );
        assert_eq!(find("a\n", "a\n", &[]), Facts::default());
        assert_eq!(found("", "\n").total, 1);
    }

    #[test]
    fn errors_subprograms_and_their_order() {
        assert_eq!(
            one("", "recursive call from a() to b()\n").1,
            "the error that ends the analysis: appeared"
        );
        let facts = find(
            "func#0 @0\ntopo_order[0] = a\ntopo_order[1] = b\n",
            "func#0 @0\ntopo_order[0] = b\ntopo_order[1] = a\n",
            &[],
        );
        assert_eq!(facts.kinds.len(), 1);
        assert_eq!(facts.facts[0].to_string(), "topo_order [0]: a became b");
        let facts = find("func#0 @0\nfunc#1 @4\n", "func#0 @0\nfunc#1 @5\n", &[]);
        assert_eq!(facts.facts[0].to_string(), "subprog#1 the subprograms: 4 became 5");
    }

    #[test]
    fn the_first_difference_gives_the_kind() {
        let text = |join: &str, pointers: &str, uses: &str, regs: &str| {
            format!(
                "subprog#0: analyzing (depth 0)...\narg JOIN insn 0 -> 1 r1: fp0-8 + fp0-16 => {join}\nsubprog#0 main:\n  1: (79) r1 = *(u64 *)(r1 +0) // r1={pointers}\nstack use/def subprog#0 main (d0,cs0):\n  1: (79) r1 = *(u64 *)(r1 +0) ; use: {uses}\nLive regs before insn:\n      1: {regs} (79) r1 = *(u64 *)(r1 +0)\n"
            )
        };
        let facts = found(
            &text("fp0-16|fp0-8", "fp0-16|fp0-8", "fp0-8 fp0-16", ".1........"),
            &text("fp0-8", "fp0-8", "fp0-8", ".12......."),
        );
        let whats: Vec<What> = facts.kinds.iter().map(|kind| kind.what).collect();
        assert_eq!(whats, [What::Join, What::Pointers, What::Use, What::LiveRegs]);
        assert_eq!(facts.kind().map(|kind| (kind.what, kind.change)), Some((What::Join, Change::Shrank)));
        assert_eq!(facts.facts[0].line, 5);
    }

    #[test]
    fn facts_are_bounded_and_hostile_text_is_taken() {
        let table = |regs: &str| -> String {
            (0..5_000).map(|insn| format!("    {insn:3}: {regs} (95) exit\n")).collect()
        };
        let facts = find(
            &format!("Live regs before insn:\n{}", table("..........")),
            &format!("Live regs before insn:\n{}", table("0.........")),
            &[],
        );
        assert_eq!((facts.facts.len(), facts.total), (MAX_FACTS, 5_000));
        assert_eq!(facts.kinds.len(), 1);
        for text in [
            "\u{fffd}",
            "func#",
            "func#99999999999 @",
            "topo_order[",
            "arg JOIN insn",
            "arg JOIN insn 1 -> 2 r1: é",
            "stack use/def subprog#1",
            "stack use/def subprog#1 (d,cs):\n  1: x ; use: fp0-",
            "subprog#",
            "subprog#1:",
            "subprog#1: analyzing",
            "(1,",
            "(1) frame",
            "é: \t",
            "  1: \t\t:",
            "Live regs before insn:\n  1: é",
            "Live regs before insn:\n      1: 0........é (95) exit",
        ] {
            assert!(found("", text).total > 0, "{text}");
            assert!(found(text, "").total > 0, "{text}");
        }
    }
}
