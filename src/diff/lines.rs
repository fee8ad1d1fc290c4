//! What the lines of a section say, read back from the text.
//!
//! The text may come from any kernel, so that nothing is taken for granted: a line that is none of those that the
//! analysis prints is [`Says::Other`], and nothing of a line is dropped silently, since the bytes decide what is the
//! same and this only tells what differs.

use super::facts::InstanceId;
use super::heard::shown_insn;
use crate::log::{LIVE_REGS_HEADER, LineKind, Origin};
use std::collections::BTreeMap;

/// A line, where it belongs, and what it says.
#[derive(Debug)]
pub(super) struct Line<'t> {
    /// The whole line, without its end.
    pub(super) text: &'t str,
    /// Kind, subprogram and instruction, as far as the text tells.
    pub(super) origin: Origin,
    /// The instance, for the header and the lines of a use/def listing.
    pub(super) instance: Option<InstanceId>,
    /// What it says.
    pub(super) says: Says<'t>,
}

/// Slots by frame, as [`crate::verifier::SlotMask::bits`]; the text itself where it is no list of slots.
pub(super) type Slots<'t> = Result<BTreeMap<u32, u128>, &'t str>;

/// What a line says, besides what its origin tells.
#[derive(Debug)]
pub(super) enum Says<'t> {
    /// `func#1 @11`
    Subprog { start: &'t str },
    /// `invalid kernel function btf_id 0`
    InvalidKfunc,
    /// `topo_order[0] = main`
    TopoOrder { position: &'t str, name: &'t str },
    /// `subprog#0: analyzing (depth 0)...`
    Analyzing { depth: u32 },
    /// `  0: (bf) r1 = r10` and, after a tab each, `r1: _ -> fp0+0`
    Transfer { insn: &'t str, changes: Vec<(&'t str, &'t str)> },
    /// `arg JOIN insn 1 -> 3 r1: fp0-8 + fp0-16 => fp0-16|fp0-8`
    Join { target: &'t str, holder: &'t str, values: &'t str },
    /// `subprog#0 main:`
    ListingHeader,
    /// `  0: (79) r1 = *(u64 *)(r1 +0) // r1=fp0-8`
    Listing { insn: &'t str, pointers: Vec<(&'t str, &'t str)> },
    /// `stack use/def subprog#0 main (d0,cs0):`
    InstanceHeader,
    /// `  0: (7b) *(u64 *)(r10 -8) = r1   ; use: fp0-16 def: fp0-8`
    UseDef { insn: &'t str, uses: Slots<'t>, defs: Slots<'t> },
    /// `(0) frame 0 insn 3 +live -8`
    MaskChange { chain: &'t str, frame: &'t str, change: &'t str },
    /// `(0) live stack update done in 2 iterations`
    UpdateDone { chain: &'t str, iterations: &'t str },
    /// `Live regs before insn:`
    LiveRegsHeader,
    /// `  1   0: .1........ (bf) r2 = r1   ; zext`
    LiveRegs { component: &'t str, regs: u16, insn: &'t str, zext: bool },
    /// Anything else, such as why the analysis gave up.
    Other,
}

/// What the lines that show instructions belong to.
#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Tracking,
    Listing(u32),
    Instance(u32, InstanceId),
    Table,
}

/// Reads a section line by line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    part: Part,
    /// The subprogram whose arguments are being tracked.
    analyzing: Option<u32>,
    /// First instructions of the subprograms.
    starts: BTreeMap<u32, u32>,
}

impl Reader {
    /// Reads the next line, which comes without its end.
    pub(super) fn read<'t>(&mut self, text: &'t str) -> Line<'t> {
        self.known(text).unwrap_or(Line {
            text,
            origin: Origin { kind: LineKind::Error, subprog: None, insn: None },
            instance: None,
            says: Says::Other,
        })
    }

    fn known<'t>(&mut self, text: &'t str) -> Option<Line<'t>> {
        let line = |kind, subprog, insn, says| {
            Some(Line { text, origin: Origin { kind, subprog, insn }, instance: None, says })
        };
        if let Some(rest) = text.strip_prefix("func#") {
            let (subprog, start) = rest.split_once(" @")?;
            let (subprog, first) = (number(subprog)?, number(start)?);
            self.starts.insert(first, subprog);
            return line(LineKind::Subprog, Some(subprog), Some(first), Says::Subprog { start });
        }
        if let Some(rest) = text.strip_prefix("topo_order[") {
            let (position, name) = rest.split_once("] = ")?;
            return line(LineKind::TopoOrder, None, None, Says::TopoOrder { position, name });
        }
        if text.starts_with("invalid kernel function btf_id ") {
            return line(LineKind::InvalidKfunc, None, None, Says::InvalidKfunc);
        }
        if let Some(rest) = text.strip_prefix("subprog#") {
            let (subprog, rest) = leading_number(rest)?;
            if let Some(rest) = rest.strip_prefix(": analyzing (depth ") {
                let depth = number(rest.strip_suffix(")...")?)?;
                (self.part, self.analyzing) = (Part::Tracking, Some(subprog));
                return line(LineKind::Analyzing, Some(subprog), None, Says::Analyzing { depth });
            }
            rest.strip_suffix(':')?;
            self.part = Part::Listing(subprog);
            return line(LineKind::ListingHeader, Some(subprog), None, Says::ListingHeader);
        }
        if let Some(rest) = text.strip_prefix("stack use/def subprog#") {
            let (subprog, rest) = leading_number(rest)?;
            let (_, id) = rest.strip_suffix("):")?.rsplit_once("(d")?;
            let (depth, callsite) = id.split_once(",cs")?;
            let instance = InstanceId { callsite: number(callsite)?, depth: number(depth)? };
            self.part = Part::Instance(subprog, instance);
            let origin = Origin { kind: LineKind::InstanceHeader, subprog: Some(subprog), insn: None };
            return Some(Line { text, origin, instance: Some(instance), says: Says::InstanceHeader });
        }
        if let Some(rest) = text.strip_prefix("arg JOIN insn ") {
            let (from, rest) = rest.split_once(" -> ")?;
            let (target, rest) = rest.split_once(' ')?;
            let (holder, values) = rest.split_once(": ")?;
            let says = Says::Join { target, holder, values };
            return line(LineKind::Join, self.analyzing, Some(number(from)?), says);
        }
        if text == LIVE_REGS_HEADER {
            self.part = Part::Table;
            return line(LineKind::LiveRegsHeader, None, None, Says::LiveRegsHeader);
        }
        if text.starts_with('(') {
            let (chain, rest) = text.split_at(text.find(") ")? + 1);
            if let Some(rest) = rest.strip_prefix(" live stack update done in ") {
                let iterations = rest.strip_suffix(" iterations")?;
                return line(
                    LineKind::UpdateDone,
                    self.analyzing,
                    None,
                    Says::UpdateDone { chain, iterations },
                );
            }
            let (frame, rest) = rest.strip_prefix(" frame ")?.split_once(" insn ")?;
            let (insn, change) = rest.split_once(' ')?;
            let says = Says::MaskChange { chain, frame, change };
            return line(LineKind::MaskChange, self.analyzing, Some(number(insn)?), says);
        }
        self.insn(text)
    }

    /// A line that shows an instruction.
    fn insn<'t>(&self, text: &'t str) -> Option<Line<'t>> {
        let idx = u32::try_from(shown_insn(text)?).ok()?;
        let (numbers, rest) = text.split_once(": ")?;
        let line = |kind, subprog, says| {
            Some(Line { text, origin: Origin { kind, subprog, insn: Some(idx) }, instance: None, says })
        };
        if let Some((insn, changes)) = rest.split_once('\t') {
            let changes = changes.split('\t').map(|change| change.split_once(": ").unwrap_or(("", change)));
            let says = Says::Transfer { insn, changes: changes.collect() };
            return line(LineKind::Transfer, self.analyzing, says);
        }
        match self.part {
            Part::Tracking => None,
            Part::Listing(subprog) => {
                let (insn, pointers) = rest.split_once(" // ").unwrap_or((rest, ""));
                let says = Says::Listing { insn, pointers: listed(pointers) };
                line(LineKind::Listing, Some(subprog), says)
            }
            Part::Instance(subprog, instance) => {
                let (insn, facts) = rest.split_once("; ").unwrap_or((rest, ""));
                let (uses, defs) = match facts.split_once("def: ") {
                    Some((uses, defs)) => (uses, defs),
                    None => (facts, ""),
                };
                let uses = uses.strip_prefix("use: ").unwrap_or(uses).trim_end();
                let says = Says::UseDef { insn: insn.trim_end(), uses: slots(uses), defs: slots(defs) };
                let origin = Origin { kind: LineKind::UseDef, subprog: Some(subprog), insn: Some(idx) };
                Some(Line { text, origin, instance: Some(instance), says })
            }
            Part::Table => {
                let (regs, insn) = rest.split_once(' ')?;
                let regs =
                    regs.bytes().filter(u8::is_ascii_digit).fold(0, |set, reg| set | 1 << (reg - b'0'));
                let (insn, zext) = match insn.strip_suffix("; zext") {
                    Some(insn) => (insn.trim_end(), true),
                    None => (insn, false),
                };
                let component = numbers.rsplit_once(' ').map_or("", |(component, _)| component.trim());
                let subprog = self.starts.range(..=idx).next_back().map(|(_, subprog)| *subprog);
                line(LineKind::LiveRegs, subprog, Says::LiveRegs { component, regs, insn, zext })
            }
        }
    }
}

/// `r1=fp0-8|fp0-16 r2=fp0 ? fp-8=fp0+0` by holder.
fn listed(pointers: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    // An unknown offset stands behind a blank, so that blanks alone do not divide.
    let mut rest = pointers;
    while let Some((holder, after)) = rest.split_once('=') {
        let end = after.find('=').and_then(|next| after[..next].rfind(' ')).unwrap_or(after.len());
        found.push((holder, &after[..end]));
        rest = after[end..].trim_start();
    }
    if !rest.is_empty() {
        found.push(("", rest));
    }
    found
}

/// `fp0-8..-24 fp0-28h fp1-8` by frame, or the text where it is none of that.
fn slots(text: &str) -> Slots<'_> {
    let mut frames = BTreeMap::new();
    for word in text.split_ascii_whitespace() {
        let (frame, bits) = slot_bits(word).ok_or(text)?;
        *frames.entry(frame).or_default() |= bits;
    }
    Ok(frames)
}

/// The frame and the half-slots of `fp0-8`, `fp0-8..-24`, `fp0-4h`.
fn slot_bits(word: &str) -> Option<(u32, u128)> {
    let (frame, offsets) = word.strip_prefix("fp")?.split_once('-')?;
    // Offsets below the frame's top, positive.
    let whole = |text: &str| {
        let off = number(text)?;
        (off % 8 == 0 && (8..=512).contains(&off)).then(|| off / 8 - 1)
    };
    let bits = if let Some((from, to)) = offsets.split_once("..-") {
        let (from, to) = (whole(from)?, whole(to)?);
        (from..=to).fold(0, |bits, slot| bits | 0b11 << (2 * slot))
    } else if let Some(half) = offsets.strip_suffix('h') {
        let off = number(half)?;
        // Byte -4 begins the upper half of the first slot, byte -8 the lower.
        (off % 4 == 0 && (4..=512).contains(&off)).then(|| 1 << (off / 4 - 1))?
    } else {
        0b11 << (2 * whole(offsets)?)
    };
    Some((number(frame)?, bits))
}

/// A plain number of decimal digits.
fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A number, and what follows it.
fn leading_number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((number(&text[..digits])?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::TEMPLATES;
    use crate::{log, verifier::SlotMask};

    #[test]
    fn slots_are_read_as_they_are_written() {
        let sets = [
            0b11,
            0b01,
            0b10,
            0b111111,
            0b1101111111,
            0b1111 << 124,
            1 << 126,
            1 << 127,
            u128::MAX,
            0x1234_5678_9abc,
        ];
        for bits in sets {
            let text = log::slots_text(3, SlotMask::from(bits));
            assert_eq!(slots(&text), Ok(BTreeMap::from([(3, bits)])), "{text}");
        }
        assert_eq!(slots(""), Ok(BTreeMap::new()));
        for text in [
            "fp",
            "fp0",
            "fp0-",
            "fp0-3",
            "fp0-520",
            "fp0-6h",
            "fp0-8..",
            "fp0-8..-12",
            "fp-8",
            "x",
            "fp0--8",
            "fp0-8 ?",
        ] {
            assert_eq!(slots(text), Err(text));
        }
    }

    proptest::proptest! {
        /// Sets of runs, as accesses make them: those that the kernel's buffer does not cut.
        #[test]
        fn any_slots_are_read_as_they_are_written(
            frame in 0..16_u8,
            runs in proptest::collection::vec((0..128_i64, 0..24_i64), 1..8),
        ) {
            let ranges = runs.into_iter().map(|(first, length)| SlotMask::range(first, first + length));
            let set = ranges.fold(SlotMask::EMPTY, |set, range| set | range);
            let text = log::slots_text(frame, set);
            proptest::prop_assume!(text.len() < log::TMP_STR_LEN);
            assert_eq!(slots(&text), Ok(BTreeMap::from([(frame.into(), set.bits())])), "{text}");
        }

        /// Programs of pointers into the frame, spills, fills, branches and calls.
        #[test]
        fn lines_of_any_program_are_read_as_they_are_written(
            chosen in proptest::collection::vec((0..TEMPLATES, 0..10_u8, 0..11_u8, -66..2_i16), 1..24),
        ) {
            lines_of_are_read_back(&crate::diff::tests::program_of(&chosen), &mut Default::default());
        }
    }

    /// Whatever the renderer writes is read back, with where it comes from.
    #[test]
    fn lines_are_read_as_they_are_written() {
        let mut kinds = std::collections::HashSet::new();
        lines_of_are_read_back(&crate::diff::tests::program(), &mut kinds);
        assert!(kinds.len() >= 13, "only {kinds:?}");
    }

    fn lines_of_are_read_back(
        loaded: &livediff_capture::Loaded,
        kinds: &mut std::collections::HashSet<LineKind>,
    ) {
        for dialect in crate::Dialect::ALL {
            let section = log::section(loaded, dialect);
            let mut reader = Reader::default();
            for (text, written) in section.text.lines().zip(&section.origins) {
                let line = reader.read(text);
                // The text does not tell the number of the subprogram.
                let told = written.kind != LineKind::TopoOrder;
                let expected = Origin { subprog: written.subprog.filter(|_| told), ..*written };
                assert_eq!(line.origin, expected, "{}: {text}", dialect.id());
                assert!(!matches!(line.says, Says::Other), "{text}");
                if let Says::UseDef { uses, defs, .. } = &line.says {
                    assert!(uses.is_ok() && defs.is_ok(), "{text}");
                    assert_eq!(
                        text.contains("use:"),
                        uses.as_ref().is_ok_and(|uses| !uses.is_empty()),
                        "{text}"
                    );
                    assert_eq!(
                        text.contains("def:"),
                        defs.as_ref().is_ok_and(|defs| !defs.is_empty()),
                        "{text}"
                    );
                }
                kinds.insert(written.kind);
            }
        }
    }

    #[test]
    fn pointers_are_listed_by_holder() {
        assert_eq!(
            listed("r1=fp0-8|fp0-16 r2=fp0 ? sa0=IMP3 fp-8=fp1+0"),
            [("r1", "fp0-8|fp0-16"), ("r2", "fp0 ?"), ("sa0", "IMP3"), ("fp-8", "fp1+0")]
        );
        assert_eq!(listed(""), []);
        assert_eq!(listed("odd"), [("", "odd")]);
        assert_eq!(listed("r1="), [("r1", "")]);
    }
}
