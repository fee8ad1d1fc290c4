//! The picture of a program in a terminal: for each instance of a subprogram a grid of stack slots by instruction.
//!
//! A slot has a column of two signs, its halves: that at the higher address (fp-4 of fp-8) comes first. Slots that no
//! instruction of the instance reads or writes and that are live nowhere in it have no column. Nothing is left out because
//! it is too wide: slots that have no room come in further grids below, which say so, and instructions that are cut end in
//! a sign of it, with their number and the width that they would need told at the end.

use super::{
    Beside,
    picture::{Drawn, DrawnInsn, DrawnInstance},
    terminal::{DIM, HEADING, printable},
};
use crate::{Dialect, loader::lines::Lines};
use anstyle::{AnsiColor, Style};
use livediff_capture::Loaded;
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// Columns before the text of an instruction: its number, whether it is reached, its live registers, and blanks.
const LEFT: usize = 6 + 1 + 10 + 1;
/// Least columns of the text of instructions.
const MIN_TEXT: usize = 20;
/// Blanks before the slots of a frame.
const BEFORE_FRAME: usize = 2;
/// Least columns that a grid is drawn for: a narrower terminal breaks the lines.
pub const MIN_WIDTH: usize = LEFT + MIN_TEXT + BEFORE_FRAME + 4;

/// What is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns; none where lines may be of any length.
    pub width: Option<usize>,
    /// Signs beyond ASCII can be shown.
    pub unicode: bool,
}

impl Look {
    fn sign(self, kind: Kind) -> char {
        match kind {
            Kind::Read => 'R',
            Kind::Written => 'W',
            Kind::Both => 'X',
            Kind::Live => '|',
            Kind::Dead if self.unicode => '·',
            Kind::Dead => '.',
        }
    }

    fn cut(self) -> char {
        if self.unicode { '…' } else { '~' }
    }

    fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }
}

/// What becomes of half a slot at an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Written,
    Both,
    Live,
    Dead,
}

impl Kind {
    fn style(self) -> Style {
        match self {
            Kind::Read => AnsiColor::Cyan.on_default().bold(),
            Kind::Written => AnsiColor::Yellow.on_default().bold(),
            Kind::Both => AnsiColor::Magenta.on_default().bold(),
            Kind::Live => AnsiColor::Green.on_default(),
            Kind::Dead => DIM,
        }
    }
}

/// The masks of a frame in an instance, and the slots that have a column.
struct Frame {
    number: u32,
    reads: BTreeMap<u32, u128>,
    writes: BTreeMap<u32, u128>,
    /// From that instruction on.
    live: BTreeMap<u32, u128>,
    slots: Vec<u32>,
}

impl Frame {
    fn kind(&self, insn: u32, half: u32) -> Kind {
        let is = |mask: Option<&u128>| mask.is_some_and(|mask| mask >> half & 1 == 1);
        let live = self.live.range(..=insn).next_back().map(|(_, mask)| mask);
        match (is(self.reads.get(&insn)), is(self.writes.get(&insn))) {
            (true, true) => Kind::Both,
            (true, false) => Kind::Read,
            (false, true) => Kind::Written,
            (false, false) if is(live) => Kind::Live,
            (false, false) => Kind::Dead,
        }
    }
}

/// The frames of an instance that it touches, its own first.
fn frames(instance: &DrawnInstance) -> Vec<Frame> {
    let masks = |runs: &[(u32, String)]| -> BTreeMap<u32, u128> {
        runs.iter().map(|(insn, mask)| (*insn, u128::from_str_radix(mask, 16).unwrap_or_default())).collect()
    };
    let frames = instance.frames.iter().rev().map(|drawn| {
        let (reads, writes, live) = (masks(&drawn.r#use), masks(&drawn.def), masks(&drawn.live));
        let touched = [&reads, &writes, &live].into_iter().flat_map(|masks| masks.values());
        let touched = touched.fold(0, |all, mask| all | mask);
        let slots = (0..64).filter(|slot| touched >> (2 * slot) & 3 != 0).collect();
        Frame { number: drawn.frame, reads, writes, live, slots }
    });
    frames.filter(|frame| !frame.slots.is_empty()).collect()
}

/// A part of the slots: of frames, by their place in a list, some of their slots.
type Band = Vec<(usize, Vec<u32>)>;

/// How wide things are.
struct Layout {
    text: usize,
    /// Of a slot, with the blank after it.
    pitch: usize,
    bands: Vec<Band>,
    /// Columns that would be enough for everything.
    enough: usize,
}

impl Layout {
    fn new(frames: &[Frame], longest: usize, look: Look) -> Layout {
        let slots = frames.iter().flat_map(|frame| &frame.slots);
        // 96 is the last offset of two digits.
        let pitch = if slots.clone().any(|slot| 8 * (slot + 1) > 99) { 4 } else { 3 };
        let wide = |frame: &Frame| BEFORE_FRAME + pitch * frame.slots.len();
        let all: usize = frames.iter().map(wide).sum();
        let enough = LEFT + longest + all;
        let whole = frames.iter().enumerate().map(|(at, frame)| (at, frame.slots.clone())).collect();
        let Some(width) = look.width.map(|width| width.max(MIN_WIDTH)).filter(|width| *width < enough) else {
            return Layout { text: longest, pitch, bands: vec![whole], enough };
        };
        if LEFT + MIN_TEXT.min(longest) + all <= width {
            return Layout { text: width - LEFT - all, pitch, bands: vec![whole], enough };
        }
        let text = longest.min(MIN_TEXT.max((width - LEFT) / 2)).min(width - LEFT - BEFORE_FRAME - pitch);
        let room = width - LEFT - text;
        let mut bands: Vec<Band> = vec![Vec::new()];
        let mut used = 0;
        for (at, frame) in frames.iter().enumerate() {
            for slot in &frame.slots {
                let same = bands.last().and_then(|band| band.last()).is_some_and(|(last, _)| *last == at);
                let more = if same { pitch } else { pitch + BEFORE_FRAME };
                if used + more > room {
                    bands.push(vec![(at, vec![*slot])]);
                    used = pitch + BEFORE_FRAME;
                    continue;
                }
                used += more;
                let Some(band) = bands.last_mut() else { continue };
                match band.last_mut() {
                    Some((_, slots)) if same => slots.push(*slot),
                    _ => band.push((at, vec![*slot])),
                }
            }
        }
        Layout { text, pitch, bands, enough }
    }
}

/// What did not fit.
#[derive(Default)]
struct Cut {
    insns: usize,
    enough: usize,
}

/// Analyses a program and draws it.
pub fn draw(loaded: &Loaded, dialect: Dialect, look: Look, out: &mut dyn Write) -> io::Result<()> {
    draw_all(&Drawn::of(loaded, dialect, Beside::Nothing, &Lines::default()), look, out)
}

fn draw_all(drawn: &Drawn, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut cut = Cut::default();
    for (at, instance) in drawn.instances.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        draw_instance(drawn, instance, look, &mut cut, out)?;
    }
    if !drawn.stack && drawn.failed.is_none() {
        writeln!(
            out,
            "Kernels of this dialect look at the stack while they walk paths: it is not computed."
        )?;
    }
    if cut.insns > 0 {
        let width = look.width.unwrap_or_default();
        let (sign, insns, enough) = (look.cut(), cut.insns, cut.enough);
        writeln!(
            out,
            "{sign} stands where the text of {insns} instructions was cut for {width} columns; {enough} show all"
        )?;
    }
    if let Some(width) = look.width.filter(|width| *width < MIN_WIDTH) {
        writeln!(out, "{width} columns are too few: the lines have up to {MIN_WIDTH}")?;
    }
    Ok(())
}

/// Writes what the signs mean.
pub fn legend(look: Look, out: &mut dyn Write) -> io::Result<()> {
    let kinds = [
        (Kind::Read, "read"),
        (Kind::Written, "written"),
        (Kind::Both, "both"),
        (Kind::Live, "live"),
        (Kind::Dead, "dead"),
    ];
    for (kind, word) in kinds {
        let style = kind.style();
        write!(out, "{style}{}{style:#} {word}, ", look.sign(kind))?;
    }
    writeln!(out, "for each half of a slot, the one at the higher address first; ! not reached")
}

fn name(drawn: &Drawn, instance: &DrawnInstance) -> String {
    let subprog = drawn.subprogs.get(instance.subprog as usize);
    let name = subprog.and_then(|(_, _, name)| name.as_deref()).map(|name| format!(" {}", printable(name)));
    let label =
        if instance.label.starts_with("subprog#") { String::new() } else { format!(" ({})", instance.label) };
    format!("subprog#{}{}{label}", instance.subprog, name.unwrap_or_default())
}

fn draw_instance(
    drawn: &Drawn,
    instance: &DrawnInstance,
    look: Look,
    cut: &mut Cut,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(&(start, end, _)) = drawn.subprogs.get(instance.subprog as usize) else { return Ok(()) };
    let rows: Vec<&DrawnInsn> = drawn.insns.iter().filter(|insn| (start..end).contains(&insn.0)).collect();
    let texts: Vec<String> = rows.iter().map(|row| text(drawn, instance, row, look)).collect();
    let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or_default();
    let frames = frames(instance);
    let layout = Layout::new(&frames, longest, look);
    let short = |text: &str| text.chars().count() > layout.text;
    cut.insns += texts.iter().filter(|text| short(text)).count();
    if texts.iter().any(|text| short(text)) {
        cut.enough = cut.enough.max(layout.enough);
    }

    let all: usize = frames.iter().map(|frame| frame.slots.len()).sum();
    let mut before = 0;
    for band in &layout.bands {
        let here: usize = band.iter().map(|(_, slots)| slots.len()).sum();
        let which = if layout.bands.len() > 1 {
            format!(", slots {} to {} of {all}", before + 1, before + here)
        } else if all == 0 && drawn.stack {
            ", no stack slot is touched".to_owned()
        } else {
            String::new()
        };
        if before > 0 {
            writeln!(out)?;
        }
        before += here;
        writeln!(out, "{HEADING}{}{HEADING:#}{which}", name(drawn, instance))?;
        header(out, &frames, band, &layout)?;
        for (row, text) in std::iter::zip(&rows, &texts) {
            write_row(out, row, text, &frames, band, &layout, look)?;
        }
    }
    Ok(())
}

/// The text of an instruction, and where a call leads to.
fn text(drawn: &Drawn, instance: &DrawnInstance, row: &DrawnInsn, look: Look) -> String {
    let (insn, text, _, _, flags) = row;
    let mut shown = printable(text);
    if flags & 2 != 0 {
        shown.push_str(" ; zext");
    }
    for (_, callee) in instance.calls.iter().filter(|(call, _)| call == insn) {
        if let Some(callee) = drawn.instances.get(*callee) {
            shown.push_str(&format!(" {} {}", look.arrow(), callee.label));
        }
    }
    shown
}

fn header(out: &mut dyn Write, frames: &[Frame], band: &Band, layout: &Layout) -> io::Result<()> {
    if band.is_empty() {
        return Ok(());
    }
    let left = LEFT + layout.text;
    let mut names = " ".repeat(left);
    let mut offsets = format!("{:>6} {:<10} ", "insn", "live regs");
    offsets.push_str(&" ".repeat(layout.text));
    for (at, slots) in band {
        let Some(frame) = frames.get(*at) else { continue };
        let wide = layout.pitch * slots.len();
        names.push_str(&" ".repeat(BEFORE_FRAME));
        let name = format!("fp{}", frame.number);
        names.push_str(&format!("{name:<wide$}"));
        offsets.push_str(&" ".repeat(BEFORE_FRAME));
        for slot in slots {
            let pitch = layout.pitch;
            offsets.push_str(&format!("{:<pitch$}", 8 * (slot + 1)));
        }
    }
    writeln!(out, "{DIM}{}{DIM:#}", names.trim_end())?;
    writeln!(out, "{DIM}{}{DIM:#}", offsets.trim_end())
}

fn write_row(
    out: &mut dyn Write,
    row: &DrawnInsn,
    text: &str,
    frames: &[Frame],
    band: &Band,
    layout: &Layout,
    look: Look,
) -> io::Result<()> {
    let (insn, _, live, _, flags) = *row;
    let reached = if flags & 1 == 0 { '!' } else { ' ' };
    let regs: String = (0..10u8)
        .map(|reg| if live >> reg & 1 == 1 { char::from(b'0' + reg) } else { look.sign(Kind::Dead) })
        .collect();
    let mut shown = text.to_owned();
    if text.chars().count() > layout.text {
        shown = text.chars().take(layout.text.saturating_sub(1)).collect();
        shown.push(look.cut());
    }
    let last = band.is_empty();
    let wide = if last { 0 } else { layout.text };
    write!(out, "{insn:>6}{reached}{regs} {shown:<wide$}")?;
    // Before a slot, so that no line ends in blanks.
    let mut blanks = 0;
    for (at, slots) in band {
        let Some(frame) = frames.get(*at) else { continue };
        blanks += BEFORE_FRAME;
        for slot in slots {
            write!(out, "{:blanks$}", "")?;
            blanks = layout.pitch - 2;
            for half in [2 * slot, 2 * slot + 1] {
                let kind = frame.kind(insn, half);
                let style = kind.style();
                write!(out, "{style}{}{style:#}", look.sign(kind))?;
            }
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader;

    const ASCII: Look = Look { width: None, unicode: false };

    fn drawn(object: &str, program: &str) -> Drawn {
        let path = format!("{}/corpus/{object}", env!("CARGO_MANIFEST_DIR"));
        let programs = loader::open(object, &std::fs::read(path).unwrap(), None).unwrap();
        let program = programs.into_iter().find(|found| found.name == program).unwrap();
        Drawn::of(&program.loaded.unwrap(), Dialect::V7_2, Beside::Nothing, &Lines::default())
    }

    fn text(drawn: &Drawn, look: Look) -> String {
        let mut bytes = Vec::new();
        draw_all(drawn, look, &mut bytes).unwrap();
        let plain = anstream::adapter::strip_bytes(&bytes).into_vec();
        String::from_utf8(plain).unwrap()
    }

    /// Every half-slot of a picture, by instance, frame, instruction and half.
    fn marks(drawn: &Drawn) -> Vec<(usize, u32, u32, u32, char)> {
        let mut marks = Vec::new();
        for (at, instance) in drawn.instances.iter().enumerate() {
            let (start, end, _) = drawn.subprogs[instance.subprog as usize];
            for frame in frames(instance) {
                for (insn, ..) in drawn.insns.iter().filter(|insn| (start..end).contains(&insn.0)) {
                    for half in frame.slots.iter().flat_map(|slot| [2 * slot, 2 * slot + 1]) {
                        marks.push((at, frame.number, *insn, half, ASCII.sign(frame.kind(*insn, half))));
                    }
                }
            }
        }
        marks
    }

    /// Reads a text back: which signs stand below which offset of which frame, grid by grid.
    fn read_back(drawn: &Drawn, text: &str) -> Vec<(usize, u32, u32, u32, char)> {
        let names: Vec<String> = drawn.instances.iter().map(|instance| name(drawn, instance)).collect();
        let (mut marks, mut instance, mut columns) = (Vec::new(), 0, Vec::new());
        let mut frames: Vec<(usize, u32)> = Vec::new();
        for line in text.lines() {
            if line.starts_with("subprog#") {
                let longest = |at: &usize| names[*at].len();
                let fits = (0..names.len()).filter(|at| {
                    line.split(", ").next() == Some(names[*at].split(", ").next().unwrap())
                        || line.starts_with(&names[*at])
                });
                instance = fits.max_by_key(longest).unwrap();
                columns.clear();
                frames.clear();
            } else if line.trim_start().starts_with("fp") {
                let at = |name: &str| line.find(&format!(" {name}")).unwrap() + 1;
                frames = line.split_whitespace().map(|name| (at(name), name[2..].parse().unwrap())).collect();
            } else if line.trim_start().starts_with("insn") {
                let mut begins = None;
                for (at, c) in line.char_indices().skip(LEFT).chain([(line.len(), ' ')]) {
                    match (c.is_ascii_digit(), begins) {
                        (true, None) => begins = Some(at),
                        (false, Some(start)) => {
                            let offset: u32 = line[start..at].parse().unwrap();
                            let frame = frames.iter().rev().find(|(at, _)| *at <= start).unwrap().1;
                            columns.push((start, frame, offset / 8 - 1));
                            begins = None;
                        }
                        _ => {}
                    }
                }
            } else if let Some(insn) = line.get(..6).and_then(|number| number.trim().parse::<u32>().ok()) {
                for (start, frame, slot) in &columns {
                    for half in 0..2 {
                        let sign = line.chars().nth(start + half as usize).unwrap();
                        marks.push((instance, *frame, insn, 2 * slot + half, sign));
                    }
                }
            }
        }
        marks
    }

    const PROGRAMS: [(&str, &str); 3] =
        [("frames/calls.bpf.o", ""), ("stack/access.bpf.o", ""), ("spills/spill.bpf.o", "")];

    fn all() -> Vec<Drawn> {
        let mut all = Vec::new();
        for (object, _) in PROGRAMS {
            let path = format!("{}/corpus/{object}", env!("CARGO_MANIFEST_DIR"));
            for program in loader::open(object, &std::fs::read(path).unwrap(), None).unwrap() {
                let Ok(loaded) = program.loaded else { continue };
                all.push(Drawn::of(&loaded, Dialect::V7_2, Beside::Nothing, &Lines::default()));
            }
        }
        assert!(all.len() > 30);
        all
    }

    /// At every width all half-slots of all instances are there, in their places, and no line is longer than was said.
    #[test]
    fn nothing_is_lost_at_any_width() {
        for drawn in all() {
            let mut wanted = marks(&drawn);
            wanted.sort_unstable();
            for width in [None, Some(1), Some(MIN_WIDTH), Some(60), Some(80), Some(97), Some(200)] {
                let text = text(&drawn, Look { width, ..ASCII });
                let mut found = read_back(&drawn, &text);
                found.sort_unstable();
                assert_eq!(found, wanted, "{width:?}\n{text}");
                let longest = text
                    .lines()
                    .filter(|line| line.get(..6).is_some_and(|number| number.trim().parse::<u32>().is_ok()));
                let longest = longest.map(|line| line.trim_end().chars().count()).max().unwrap();
                if let Some(width) = width {
                    assert!(longest <= width.max(MIN_WIDTH), "{longest} columns for {width}\n{text}");
                    assert_eq!(text.contains("columns are too few"), width < MIN_WIDTH);
                }
                let cut = text.lines().filter(|line| {
                    line.contains('~') && line.get(..6).is_some_and(|n| n.trim().parse::<u32>().is_ok())
                });
                let cut = cut.count();
                assert_eq!(cut > 0, text.contains("was cut for"), "{text}");
            }
        }
    }

    #[test]
    fn a_view_is_read_without_colours() {
        let drawn = drawn("stack/access.bpf.o", "store_u32_all_alignments");
        let text = text(&drawn, ASCII);
        let head = "subprog#0 store_u32_all_alignments (d0,cs0)\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("  1 ") && text.contains("W."), "{text}");
        assert!(!text.contains('\u{1b}'));
        let unicode = Look { unicode: true, ..ASCII };
        assert_eq!(super::tests::text(&drawn, unicode).replace('·', "."), text);
    }
}
