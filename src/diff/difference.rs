//! Where two sections differ: the place of the first difference and a unified diff of bounded length.

use super::{
    facts::{self, Facts},
    heard::shown_insn,
};
use crate::{
    Dialect,
    bpf::{disasm, kfunc},
    log::{LineKind, Origin},
};
use livediff_capture::{Insn, Loaded};
use similar::{Algorithm, ChangeTag, DiffOp, capture_diff_slices_deadline, group_diff_ops};
use std::{
    fmt::{self, Write},
    time::{Duration, Instant},
};

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// Lines after the first difference, on each side, among which changes are looked for.
const WINDOW: usize = 2_000;
/// Most lines of a diff.
const MAX_LINES: usize = 200;
/// Most characters of a line in a diff; a line of a real log is far shorter.
const MAX_CHARS: usize = 1_000;
/// Time after which the search for the shortest diff settles for any.
const DEADLINE: Duration = Duration::from_millis(300);

/// Where two sections differ: the kernel's (`-`) and the model's (`+`), or those of two kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Line of the first difference, counted from 1 at the first `func#` line.
    pub line: usize,
    /// Column in bytes of the first difference, counted from 1.
    pub column: usize,
    /// What that line is about.
    pub place: Place,
    /// The first side's line there; none if its words end before.
    pub minus: Option<String>,
    /// The second side's line there; none if its words end before.
    pub plus: Option<String>,
    /// A unified diff from the first side (`-`) to the second (`+`), cut where it becomes long.
    pub unified: String,
    /// The facts in which the sides differ, and of what kinds they are.
    pub facts: Facts,
}

impl Difference {
    /// The instruction at which the sections begin to differ.
    pub fn insn(&self) -> Option<u32> {
        self.place.insn.as_ref().map(|(insn, _)| *insn)
    }
}

/// What a line of the section is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The pass that prints the line.
    pub pass: Option<String>,
    /// The subprogram and its name, if it has one.
    pub subprog: Option<(u32, Option<String>)>,
    /// The instruction and its text.
    pub insn: Option<(u32, String)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pass.as_deref().unwrap_or("after the last line"))?;
        if let Some((subprog, name)) = &self.subprog {
            write!(f, ", subprog#{subprog}")?;
            if let Some(name) = name {
                write!(f, " {name}")?;
            }
        }
        if let Some((insn, text)) = &self.insn {
            write!(f, ", insn {insn}: {text}")?;
        }
        Ok(())
    }
}

/// One of two sections, masked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'s> {
    /// The section.
    pub(super) text: &'s str,
    /// Whose it is, for a sentence: `the kernel`.
    pub(super) whose: &'s str,
}

/// The difference between two sections of the program `loaded`; none if they are the same bytes. `origins` are those of
/// the second section's lines.
pub(super) fn find(
    first: Words<'_>,
    second: Words<'_>,
    origins: &[Origin],
    loaded: &Loaded,
    dialect: Dialect,
) -> Option<Difference> {
    if first.text == second.text {
        return None;
    }
    let facts = facts::find(first.text, second.text, &loaded.insns);
    let minus: Vec<&str> = first.text.split_inclusive('\n').collect();
    let plus: Vec<&str> = second.text.split_inclusive('\n').collect();
    let same = std::iter::zip(&minus, &plus).take_while(|(minus, plus)| minus == plus).count();

    // Everything before the window is the same on both sides, so positions in it are positions there plus `start`.
    let start = same.saturating_sub(CONTEXT);
    let window = |lines: &[&str]| -> usize { lines.len().min(same + WINDOW) };
    let ops = capture_diff_slices_deadline(
        Algorithm::Patience,
        &minus[start..window(&minus)],
        &plus[start..window(&plus)],
        Some(Instant::now() + DEADLINE),
    );

    // The line that tells where: the second side's, if it has one that the first lacks; else the first's.
    let (line, origin, spoken) = match ops.iter().find(|op| !matches!(op, DiffOp::Equal { .. })) {
        Some(&DiffOp::Delete { old_index, .. }) => {
            let line = start + old_index;
            (line, nearest(origins, line.saturating_sub(1)), minus.get(line))
        }
        Some(&(DiffOp::Insert { new_index, .. } | DiffOp::Replace { new_index, .. })) => {
            let line = start + new_index;
            (line, origins.get(line), None)
        }
        _ => (same, nearest(origins, same), None),
    };
    let place = place(origins, origin, spoken.copied(), loaded, dialect);

    let (minus_line, plus_line) = (minus.get(line), plus.get(line));
    let alike = |a: &str, b: &str| std::iter::zip(a.bytes(), b.bytes()).take_while(|(a, b)| a == b).count();
    let column = 1 + alike(minus_line.unwrap_or(&""), plus_line.unwrap_or(&""));
    let lengths = format!(
        "the section of {} has {} lines, that of {} {}",
        first.whose,
        minus.len(),
        second.whose,
        plus.len()
    );
    Some(Difference {
        line: line + 1,
        column,
        place,
        minus: minus_line.map(|line| shown(line)),
        plus: plus_line.map(|line| shown(line)),
        unified: unified(&ops, start, &minus, &plus, &lengths),
        facts,
    })
}

/// The origin of a line, or of the last line before it that has one.
fn nearest(origins: &[Origin], line: usize) -> Option<&Origin> {
    origins.get(line).or(origins.last())
}

/// What `origin` is about. `spoken` is a line that only the first side has: the instruction that it shows counts. A line
/// that speaks of a subprogram or the program as a whole points at its first instruction.
fn place(
    origins: &[Origin],
    origin: Option<&Origin>,
    spoken: Option<&str>,
    loaded: &Loaded,
    dialect: Dialect,
) -> Place {
    let Some(origin) = origin else { return Place::default() };
    let name = |subprog: u32| Some(loaded.func_info.get(usize::try_from(subprog).ok()?)?.name.clone());
    let first = || {
        if origin.kind == LineKind::LiveRegsHeader {
            return Some(0);
        }
        let begins = |line: &&Origin| line.kind == LineKind::Subprog && line.subprog == origin.subprog;
        origins.iter().find(begins).and_then(|line| line.insn)
    };
    let shown = spoken.and_then(shown_insn).and_then(|idx| u32::try_from(idx).ok());
    let insn = shown.or(origin.insn).or_else(first).filter(|&idx| loaded.insns.len() > idx as usize);
    Place {
        pass: Some(pass(origin.kind).to_owned()),
        subprog: origin.subprog.map(|subprog| (subprog, name(subprog))),
        insn: insn.map(|idx| (idx, text(loaded, dialect, idx as usize))),
    }
}

/// The pass that prints lines of a kind, in words.
fn pass(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Subprog => "subprograms",
        LineKind::InvalidKfunc => "the call of a kernel function",
        LineKind::TopoOrder => "topological order",
        LineKind::Analyzing | LineKind::Transfer => "arg tracking",
        LineKind::Join => "arg tracking, join",
        LineKind::ListingHeader | LineKind::Listing => "arg tracking, result",
        LineKind::InstanceHeader | LineKind::UseDef => "stack use/def",
        LineKind::MaskChange | LineKind::UpdateDone => "live stack update",
        LineKind::LiveRegsHeader | LineKind::LiveRegs => "live registers",
        LineKind::Error => "the error that ends the analysis",
    }
}

pub(super) fn text(loaded: &Loaded, dialect: Dialect, idx: usize) -> String {
    let name = |call: &Insn| kfunc::name(loaded, dialect, call);
    let mut out = String::new();
    disasm::write_insn(&mut out, &loaded.insns, idx, dialect, &name);
    out
}

/// A line as it is shown: without its end, and cut if it is absurdly long.
fn shown(line: &str) -> String {
    let line = line.strip_suffix('\n').unwrap_or(line);
    match line.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{} [cut: {} bytes]", &line[..at], line.len()),
        None => line.to_owned(),
    }
}

/// The changes in the window with their context, then how much of each side follows that is not shown.
fn unified(ops: &[DiffOp], start: usize, minus: &[&str], plus: &[&str], lengths: &str) -> String {
    let mut out = String::new();
    let mut lines = 0;
    for group in group_diff_ops(ops.to_vec(), CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (old, new) =
            (first.old_range().start..last.old_range().end, first.new_range().start..last.new_range().end);
        // Writing to a string does not fail, here and below.
        let _ = writeln!(
            out,
            "@@ -{},{} +{},{} @@",
            start + old.start + 1,
            old.len(),
            start + new.start + 1,
            new.len()
        );
        for op in &group {
            for change in op.iter_changes(&minus[start..], &plus[start..]) {
                if lines == MAX_LINES {
                    let _ = writeln!(out, "[cut after {MAX_LINES} lines; {lengths}]");
                    return out;
                }
                lines += 1;
                let sign = match change.tag() {
                    ChangeTag::Equal => ' ',
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                };
                let value = change.value();
                let _ = writeln!(out, "{sign}{}", shown(value));
                if !value.ends_with('\n') {
                    out.push_str("\\ No newline at end of section\n");
                }
            }
        }
    }
    if minus.len().max(plus.len()) > start + WINDOW + CONTEXT {
        let _ = writeln!(out, "[looked at {WINDOW} lines from the first difference; {lengths}]");
    }
    out
}
