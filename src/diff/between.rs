//! Kernel against kernel: what two kernels say of one program, without a model in between.
//!
//! Two sections are the same if their bytes are, once kernel addresses and the BTF ids of kernel functions are masked
//! where the instruction says that one stands. The model is asked in two cases only, and never whether they are the
//! same: where the kernels are of different dialects, and where they were not given the same (CO-RE relocations, weak
//! symbols, prototypes of kernel functions). If there each kernel says what the model says of that kernel, the
//! difference is that of the dialects, or of what was loaded, and none between two analyses.
//!
//! ```text
//! A printed        B printed        and                                                class
//! a section        a section        the same bytes                                     same
//!                                   differ, and only in the text of instructions       loaded_differently
//!                                     that were loaded differently
//!                                   differ, loaded alike, same dialect                 changed
//!                                   differ, each as the model of its own dialect       explained, or
//!                                                                                      loaded_differently
//!                                   differ, and one not as the model of its dialect    changed
//! a section        refused early                                                       only_in_a
//! refused early    a section                                                           only_in_b
//! a beginning      a section        the beginning is the same                          not_compared
//!                                   it is not                                          as two sections
//! refused early    no section, and not refused early                                   changed
//! no section in either, but for that                                                   not_compared
//! ```
//!
//! A log that was interrupted is a beginning, whatever else is in it: what it lacks says nothing of the kernel.
//!
//! A refusal by the liveness analysis itself, with its message, is a section. What a guest could not load in one of
//! the kernels has no words at all: [`alone`] is for that.

use super::{
    Status,
    difference::{self, Difference, Words},
    facts,
    heard::{Heard, Reach, without_btf_ids},
    interrupted, judge,
    kind::Kind,
    lines::{Reader, Says},
    refusal, undefined,
};
use crate::{
    Dialect,
    bpf::{Insn, prog_type},
    log,
};
use livediff_capture::{Kfunc, Loaded, Said, Verdict};
use serde::Serialize;
use std::{borrow::Cow, collections::BTreeSet, fmt};

/// What one kernel saw and said of a program.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The dialect of the kernel.
    pub dialect: Dialect,
    /// What it saw.
    pub loaded: &'a Loaded,
    /// What it said.
    pub said: &'a Said,
}

/// What became of a program between two kernels, A and B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Both say the same.
    Same,
    /// They say what their dialects say: no difference.
    Explained,
    /// They were not given the same, and what differs follows from that: no difference of the analyses.
    LoadedDifferently,
    /// They differ.
    Changed,
    /// A analysed the program; B refused it before, could not load it, or died on it.
    OnlyInA,
    /// B analysed the program; A refused it before, could not load it, or died on it.
    OnlyInB,
    /// There are no two things to compare.
    NotCompared,
}

impl Class {
    /// Every class, in the order of reports.
    pub const ALL: [Class; 7] = [
        Class::Same,
        Class::Explained,
        Class::LoadedDifferently,
        Class::Changed,
        Class::OnlyInA,
        Class::OnlyInB,
        Class::NotCompared,
    ];

    /// It is a difference between the kernels.
    pub fn is_difference(self) -> bool {
        matches!(self, Class::Changed | Class::OnlyInA | Class::OnlyInB)
    }

    /// The kernels were held against each other.
    pub fn is_compared(self) -> bool {
        self != Class::NotCompared
    }

    /// The name in JSON: `only_in_a`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Same => "same",
            Class::Explained => "explained",
            Class::LoadedDifferently => "loaded_differently",
            Class::Changed => "changed",
            Class::OnlyInA => "only_in_a",
            Class::OnlyInB => "only_in_b",
            Class::NotCompared => "not_compared",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The outcome for one program between two kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Between {
    /// What became of it.
    pub class: Class,
    /// Lines of A's section that were compared; 0 where none were.
    pub lines: usize,
    /// Why it was not compared, or what the class does not say.
    pub reason: Option<String>,
    /// In what the kernels were given different things.
    pub inputs: Vec<Input>,
    /// Whether A and B say what the models of their dialects say; nothing where no model was asked.
    pub as_model: Option<[bool; 2]>,
    /// Where the sections differ, if they do: A is `-`, B is `+`.
    pub difference: Option<Difference>,
}

impl Between {
    /// A program that was not compared.
    pub fn not_compared(reason: impl Into<String>) -> Between {
        Between::without_texts(Class::NotCompared, Some(reason.into()))
    }

    /// A program of which only one kernel has words: A if `class` is [`Class::OnlyInA`].
    fn only_in(class: Class, reason: impl Into<String>) -> Between {
        Between::without_texts(class, Some(reason.into()))
    }

    fn without_texts(class: Class, reason: Option<String>) -> Between {
        Between { class, lines: 0, reason, inputs: Vec::new(), as_model: None, difference: None }
    }

    /// The kind of discrepancy that shows first, of a program that is changed: what a smaller program for the same
    /// cause keeps.
    pub fn kind(&self) -> Option<Kind> {
        self.kinds().first().copied()
    }

    /// All kinds of discrepancy that a changed program shows, each once.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.class != Class::Changed {
            return Vec::new();
        }
        match &self.difference {
            Some(difference) => difference.facts.kinds.clone(),
            None => vec![Kind::END],
        }
    }
}

/// Something that two kernels were given differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Input {
    /// What it is.
    pub kind: InputKind,
    /// What differs, in words.
    pub text: String,
}

/// What two kernels can be given differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// Instructions: CO-RE relocations, weak symbols.
    Insns,
    /// Maps: sizes, flags, or the bytes of a map whose loads are folded into constants.
    Maps,
    /// Kernel functions that the program calls: their prototypes and flags.
    Kfuncs,
    /// Helpers that a kernel was built without.
    Helpers,
    /// Function information, program type, attach point.
    Program,
}

impl InputKind {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            InputKind::Insns => "instructions (CO-RE relocations, weak symbols)",
            InputKind::Maps => "maps",
            InputKind::Kfuncs => "prototypes of kernel functions",
            InputKind::Helpers => "helpers",
            InputKind::Program => "program type, flags, attach point or functions",
        }
    }
}

/// What a kernel's log amounts to.
#[derive(Debug)]
enum Outcome<'s> {
    /// A whole section, or one that ends in the analysis's own refusal.
    Section(Cow<'s, str>),
    /// The beginning of one, cut by something else than the program.
    Beginning(Cow<'s, str>, &'static str),
    /// The program was refused before its liveness analysis.
    Refused(String),
    /// It was not, and there is no section all the same.
    Silent,
}

impl<'s> Outcome<'s> {
    fn of(side: &Side<'s>) -> (Outcome<'s>, Reach) {
        let heard = Heard::new(&side.said.log, &side.loaded.insns);
        let (reach, refused) = (heard.reach, side.said.verdict == Verdict::Rejected);
        let outcome = match (reach, interrupted(side.said)) {
            (Reach::Table, _) | (Reach::Liveness, None) => Outcome::Section(normalised(heard.text, side)),
            (_, Some(cause)) => Outcome::Beginning(
                Cow::Owned(normalised(heard.whole_lines().into(), side).into_owned()),
                cause,
            ),
            (Reach::Nothing, None) if refused && !heard.paths_walked() => {
                Outcome::Refused(refusal(side.said, &heard))
            }
            (Reach::Nothing, None) => Outcome::Silent,
        };
        (outcome, reach)
    }
}

/// A section without what is another in every kernel. Addresses are masked already.
fn normalised<'t>(text: Cow<'t, str>, side: &Side<'_>) -> Cow<'t, str> {
    match without_btf_ids(&text, &side.loaded.insns) {
        Cow::Owned(masked) => Cow::Owned(masked),
        Cow::Borrowed(_) => text,
    }
}

/// Compares what two kernels say of one program.
pub fn between(a: &Side<'_>, b: &Side<'_>) -> Between {
    use Outcome::{Beginning, Refused, Section, Silent};
    let ((said_a, reach_a), (said_b, reach_b)) = (Outcome::of(a), Outcome::of(b));
    const SILENT: &str = "did not refuse the program, and its log holds no liveness section";
    let not_compared = |a: &str, b: &str| Between::not_compared(format!("A: {a}; B: {b}"));
    match (&said_a, &said_b) {
        (Refused(one), Refused(other)) if one == other => {
            Between::not_compared(format!("both refuse it before their liveness analysis: {one}"))
        }
        (Refused(one), Refused(other)) => Between::not_compared(format!(
            "both refuse it before their liveness analysis: A: {one}; B: {other}"
        )),
        (Section(_), Refused(reason)) => Between::only_in(Class::OnlyInA, refused_by("B", b, reason)),
        (Refused(reason), Section(_)) => Between::only_in(Class::OnlyInB, refused_by("A", a, reason)),
        (Silent, Silent) => Between::not_compared(format!("each kernel {SILENT}")),
        // Only one of them takes the program as far as its analysis, though there is no section to show for it.
        (Refused(reason), Silent) => {
            let reason = format!("{}; B {SILENT}", refused_by("A", a, reason));
            Between::without_texts(Class::Changed, Some(reason))
        }
        (Silent, Refused(reason)) => {
            let reason = format!("A {SILENT}; {}", refused_by("B", b, reason));
            Between::without_texts(Class::Changed, Some(reason))
        }
        (Refused(reason), Beginning(_, cause)) => not_compared(reason, cause),
        (Beginning(_, cause), Refused(reason)) => not_compared(cause, reason),
        (Silent, Beginning(_, cause)) => not_compared(SILENT, cause),
        (Beginning(_, cause), Silent) => not_compared(cause, SILENT),

        (Section(one), Section(other)) => {
            // Two analyses that give up say why, and return an error.
            let end = |reach, side: &Side<'_>| (reach != Reach::Table).then_some(side.said.errno);
            let reason = (end(reach_a, a) != end(reach_b, b)).then(|| {
                let ends = |reach, side: &Side<'_>| match end(reach, side) {
                    Some(errno) => format!("ends with {}", super::errno_name(errno)),
                    None => "completes".to_owned(),
                };
                format!("in A the analysis {}, in B it {}", ends(reach_a, a), ends(reach_b, b))
            });
            sections(a, b, one, other, reason)
        }
        (Section(one), Silent) => sections(a, b, one, "", Some(format!("B {SILENT}"))),
        (Silent, Section(other)) => sections(a, b, "", other, Some(format!("A {SILENT}"))),
        (Beginning(begun, cause), Section(whole)) => {
            cut(a, b, (begun, whole), (begun, whole), &format!("A: {cause}"))
        }
        (Section(whole), Beginning(begun, cause)) => {
            cut(a, b, (whole, begun), (begun, whole), &format!("B: {cause}"))
        }
        (Beginning(one, why_a), Beginning(other, why_b)) => {
            let longer = if one.len() < other.len() { (one, other) } else { (other, one) };
            cut(a, b, (one, other), (longer.0, longer.1), &format!("A: {why_a}; B: {why_b}"))
        }
    }
}

/// Why the kernel refused the program before its liveness analysis, if it did.
pub fn refused_early(side: &Side<'_>) -> Option<String> {
    match Outcome::of(side).0 {
        Outcome::Refused(reason) => Some(reason),
        _ => None,
    }
}

/// A program that only one kernel was given, because the other could not load it, died on it, or gave no answer.
///
/// `class` is the class if that kernel analysed the program: [`Class::OnlyInA`] or [`Class::OnlyInB`]; `status` and
/// `reason` tell what became of it in the other. A kernel that gave no answer in time is not known to refuse.
pub fn alone(side: &Side<'_>, class: Class, status: Status, reason: &str) -> Between {
    let (here, there) = if class == Class::OnlyInA { ("A", "B") } else { ("B", "A") };
    let reason = format!("{there}: {status}: {reason}");
    match Outcome::of(side).0 {
        Outcome::Section(_) if status == Status::Timeout => Between::not_compared(reason),
        Outcome::Section(_) => Between::only_in(class, reason),
        Outcome::Beginning(_, cause) => Between::not_compared(format!("{here}: {cause}; {reason}")),
        Outcome::Refused(refusal) => Between::not_compared(format!("{here}: {refusal}; {reason}")),
        Outcome::Silent => Between::not_compared(reason),
    }
}

/// Why a kernel alone has nothing to say, and whether its model agrees.
fn refused_by(which: &str, side: &Side<'_>, reason: &str) -> String {
    let expected = match log::section(side.loaded, side.dialect).end {
        log::End::Failed(error) if !error.in_liveness() => {
            format!("; so does the model of dialect {}", side.dialect.id())
        }
        _ => String::new(),
    };
    format!("{which} refuses it before its liveness analysis: {reason}{expected}")
}

/// Compares two sections of which one or both were cut short by something else than the program. What was printed
/// before must be the same all the same.
fn cut(
    a: &Side<'_>,
    b: &Side<'_>,
    (one, other): (&str, &str),
    (shorter, longer): (&str, &str),
    cause: &str,
) -> Between {
    if longer.starts_with(shorter) {
        let lines = shorter.lines().count();
        return Between::not_compared(format!(
            "{cause} after {lines} lines of the liveness section, which agree"
        ));
    }
    let between = sections(a, b, one, other, Some(cause.to_owned()));
    match between.class {
        Class::Changed => between,
        // The part that is missing was not compared, whatever explains the rest.
        _ => Between { class: Class::NotCompared, ..between },
    }
}

/// Compares two sections. `reason` is what sets the kernels apart whatever the sections say.
fn sections(a: &Side<'_>, b: &Side<'_>, one: &str, other: &str, reason: Option<String>) -> Between {
    let lines = one.lines().count();
    let same =
        Between { class: Class::Same, lines, reason, inputs: Vec::new(), as_model: None, difference: None };
    if one == other && same.reason.is_none() {
        return same;
    }
    let (first, second) = (Words { text: one, whose: "A" }, Words { text: other, whose: "B" });
    let mut reader = Reader::default();
    let origins: Vec<log::Origin> = other.lines().map(|line| reader.read(line).origin).collect();
    let mut difference = difference::find(first, second, &origins, b.loaded, b.dialect);

    let inputs = inputs(a, b);
    if !inputs.is_empty() {
        let others = differing_insns(a.loaded, b.loaded);
        if a.loaded.insns.len() == b.loaded.insns.len() && !others.is_empty() {
            // What differs besides the text of the instructions that were not the same to begin with.
            let (one, other) = (without_insns(one, &others), without_insns(other, &others));
            if one == other && same.reason.is_none() {
                return Between { class: Class::LoadedDifferently, inputs, difference, ..same };
            }
            if let Some(difference) = &mut difference {
                difference.facts = facts::find(&one, &other, &b.loaded.insns);
            }
        }
    }
    if inputs.is_empty() && a.dialect == b.dialect {
        let reason = same.reason.clone().or_else(|| undefined(b.loaded, b.dialect));
        return Between { class: Class::Changed, difference, reason, ..same };
    }
    let says_as_model =
        |side: &Side<'_>| judge(side.loaded, side.said, side.dialect).status != Status::Mismatch;
    let as_model = [says_as_model(a), says_as_model(b)];
    let class = match as_model {
        [true, true] if inputs.is_empty() => Class::Explained,
        [true, true] => Class::LoadedDifferently,
        _ => Class::Changed,
    };
    Between { class, inputs, as_model: Some(as_model), difference, ..same }
}

/// In what two kernels were given different things, as far as an analysis may depend on it.
fn inputs(a: &Side<'_>, b: &Side<'_>) -> Vec<Input> {
    let mut inputs = Vec::new();
    let mut differs = |kind: InputKind, text: String| inputs.push(Input { kind, text });
    let (one, other) = (a.loaded, b.loaded);
    let insns = differing_insns(one, other);
    if one.insns.len() != other.insns.len() {
        differs(
            InputKind::Insns,
            format!("{} instructions in A, {} in B", one.insns.len(), other.insns.len()),
        );
    } else if let (Some(first), count) = (insns.first(), insns.len()) {
        differs(
            InputKind::Insns,
            format!("{count} of {} instructions are not the same, the first is {first}", one.insns.len()),
        );
    }
    let maps = std::iter::zip(&one.maps, &other.maps).filter(|(one, other)| one != other);
    let names: Vec<&str> = maps.map(|(map, _)| map.name.as_str()).collect();
    if one.maps.len() != other.maps.len() {
        differs(InputKind::Maps, format!("{} maps in A, {} in B", one.maps.len(), other.maps.len()));
    } else if !names.is_empty() {
        differs(InputKind::Maps, format!("not the same sizes, flags or constants: {}", names.join(", ")));
    }
    // What a kernel lets programs call is part of its dialect.
    if a.dialect == b.dialect {
        let facts = |kfunc: &Kfunc| Kfunc { btf_id: 0, offset: 0, ..kfunc.clone() };
        let pairs =
            std::iter::zip(&one.kfuncs, &other.kfuncs).filter(|(one, other)| facts(one) != facts(other));
        let names: Vec<&str> = pairs.map(|(kfunc, _)| kfunc.name.as_str()).collect();
        if one.kfuncs.len() != other.kfuncs.len() || !names.is_empty() {
            differs(InputKind::Kfuncs, format!("not the same prototype or flags: {}", names.join(", ")));
        }
        if one.helpers_missing != other.helpers_missing {
            differs(
                InputKind::Helpers,
                format!("helpers missing: {:?} in A, {:?} in B", one.helpers_missing, other.helpers_missing),
            );
        }
    }
    let program = |loaded: &Loaded| {
        // The number of the member, whose name is compared: another one in every kernel.
        let attach_type = loaded.expected_attach_type * u32::from(loaded.prog_type != prog_type::STRUCT_OPS);
        (loaded.prog_type, attach_type, loaded.prog_flags, loaded.exception_callback)
    };
    if program(one) != program(other) || one.attach != other.attach || one.func_info != other.func_info {
        differs(InputKind::Program, "not the same program type, flags, attach point or functions".to_owned());
    }
    inputs
}

/// The indexes of the instructions that are not the same, what is another in every kernel apart; of programs of
/// different lengths nothing.
fn differing_insns(one: &Loaded, other: &Loaded) -> BTreeSet<usize> {
    if one.insns.len() != other.insns.len() {
        return BTreeSet::new();
    }
    let name = |loaded: &Loaded, call: &Insn| {
        let is_called = |kfunc: &&Kfunc| kfunc.btf_id == call.imm && kfunc.offset == call.off;
        loaded.kfuncs.iter().find(is_called).map(|kfunc| kfunc.name.clone())
    };
    let mut differing = BTreeSet::new();
    let mut symbol = false;
    for (idx, (a, b)) in std::iter::zip(&one.insns, &other.insns).enumerate() {
        let without_imm = |insn: &Insn| Insn { imm: 0, ..*insn };
        let same = if a.is_kfunc_call() && b.is_kfunc_call() {
            // The id, and for a module's function the place of the module among the program's.
            (a.off == 0) == (b.off == 0) && (a.imm == 0) == (b.imm == 0) && name(one, a) == name(other, b)
        } else if symbol {
            // The second half of a load of a kernel symbol: the module that it is in, by file descriptor.
            without_imm(a) == without_imm(b)
        } else if is_symbol(a) && is_symbol(b) {
            without_imm(a) == without_imm(b)
        } else {
            a == b
        };
        symbol = !symbol && is_symbol(a) && is_symbol(b);
        if !same {
            differing.insert(idx);
        }
    }
    differing
}

/// A load of the address of a kernel symbol, named by its BTF id.
fn is_symbol(insn: &Insn) -> bool {
    insn.loads_kernel_address() && !insn.is_map_load()
}

/// A section with the text of these instructions masked, and the blanks after it, whose number depends on it.
fn without_insns(section: &str, insns: &BTreeSet<usize>) -> String {
    let mut out = String::with_capacity(section.len());
    let mut reader = Reader::default();
    for line in section.lines() {
        let read = reader.read(line);
        let insn = match &read.says {
            Says::Transfer { insn, .. }
            | Says::Listing { insn, .. }
            | Says::UseDef { insn, .. }
            | Says::LiveRegs { insn, .. } => Some(*insn),
            _ => None,
        };
        let idx = read.origin.insn.and_then(|idx| usize::try_from(idx).ok());
        match insn
            .filter(|_| idx.is_some_and(|idx| insns.contains(&idx)))
            .and_then(|insn| line.split_once(insn))
        {
            Some((before, after)) => {
                let rest = after.trim_start_matches(' ');
                let blank = if rest.len() < after.len() { " " } else { "" };
                for part in [before, "<instruction>", blank, rest] {
                    out.push_str(part);
                }
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
