//! The liveness section in a kernel's log: where it begins and ends, and how far the kernel came.

use crate::bpf::{
    Insn,
    disasm::{mask_address, mask_btf_id},
};
use crate::log::{LIVE_REGS_HEADER as TABLE, MESSAGE_LEN};
use std::borrow::Cow;

/// How the message begins that ends the analysis before anything else of it is printed.
const RECURSION: &str = "recursive call from ";
/// Most lines, and most characters of each, that are quoted of the kernel's last words.
const LAST_WORDS: (usize, usize) = (3, 300);

/// How far the kernel's words show that it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing of the liveness analysis: it stopped before the subprograms were sorted.
    Nothing,
    /// Into the sorting of subprograms or further, but the table is not whole.
    Liveness,
    /// To the end of the table.
    Table,
}

/// What the kernel said of liveness.
#[derive(Debug)]
pub(super) struct Heard<'l> {
    /// The section, addresses masked: to the end of the table, or where that is not whole, to the statistics.
    pub(super) text: Cow<'l, str>,
    /// How far the kernel came.
    pub(super) reach: Reach,
    /// Everything that the kernel printed, but for the statistics at the end.
    log: &'l str,
}

impl<'l> Heard<'l> {
    /// Finds the section in `log`, the log of a program of `insns`.
    pub(super) fn new(log: &'l str, insns: &[Insn]) -> Heard<'l> {
        let without_statistics = strip_statistics(log);
        let Some(start) = section_start(log) else {
            return Heard { text: Cow::Borrowed(""), reach: Reach::Nothing, log: without_statistics };
        };
        let section = &log[start..];
        let (text, reach) = match table_end(section, insns) {
            Some(end) => (&section[..end], Reach::Table),
            None => {
                let text = without_statistics.get(start..).unwrap_or(section);
                // Linux 7.3 explains a refusal after an empty line; the section itself has none.
                let text = text.find("\n\n").map_or(text, |at| &text[..=at]);
                let in_liveness = |line: &str| {
                    line.starts_with("topo_order[") || line.starts_with(TABLE) || line.contains(RECURSION)
                };
                let text = without_what_follows_a_cut_message(text);
                (text, if text.lines().any(in_liveness) { Reach::Liveness } else { Reach::Nothing })
            }
        };
        Heard { text: masked(text, insns), reach, log: without_statistics }
    }

    /// The text without a last line that has no end.
    pub(super) fn whole_lines(&self) -> &str {
        &self.text[..self.text.rfind('\n').map_or(0, |at| at + 1)]
    }

    /// The table of live registers was begun.
    pub(super) fn table_begun(&self) -> bool {
        self.text.lines().any(|line| line == TABLE)
    }

    /// The kernel walked the program's paths, which it does last of all: it printed the registers at an instruction.
    pub(super) fn paths_walked(&self) -> bool {
        self.log.lines().any(|line| {
            line.split_once(": R").is_some_and(|(insn, registers)| {
                !insn.is_empty()
                    && insn.bytes().all(|byte| byte.is_ascii_digit())
                    && registers.starts_with(|c: char| c.is_ascii_digit())
            })
        })
    }

    /// The last lines that are a message and no part of the section's beginning, joined. What Linux 7.3 explains after
    /// an empty line is none.
    pub(super) fn last_words(&self) -> String {
        last_words(self.log.find("\n\n").map_or(self.log, |at| &self.log[..=at]))
    }

    /// The last lines of all, joined.
    pub(super) fn very_last_words(&self) -> String {
        last_words(self.log)
    }
}

/// The log holds the section whole, to the end of the table.
pub(super) fn has_table(log: &str, insns: &[Insn]) -> bool {
    section_start(log).is_some_and(|start| table_end(&log[start..], insns).is_some())
}

/// Where the section begins. A log that lacks its `func#` lines is not mistaken for one without a section.
fn section_start(log: &str) -> Option<usize> {
    let begins =
        |at: &usize| ["func#", "topo_order[", TABLE].iter().any(|start| log[*at..].starts_with(start));
    line_starts(log).find(begins)
}

/// The last lines of `log` that are no part of the section's beginning, joined.
fn last_words(log: &str) -> String {
    let (lines, chars) = LAST_WORDS;
    let mut words: Vec<String> = log
        .lines()
        .rev()
        .take_while(|line| !line.starts_with("func#") && !line.starts_with("topo_order["))
        .map(|line| line.trim().chars().take(chars).collect::<String>())
        .filter(|line| !line.is_empty())
        .take(lines)
        .collect();
    words.reverse();
    words.join("; ")
}

/// Byte offsets of the beginnings of lines.
fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1))
}

/// Where the table of live registers ends in `section`, if it is whole: one line for each instruction, a 64-bit load
/// taking one. Lines in excess that look like the table's belong to it, so that the comparison sees them.
fn table_end(section: &str, insns: &[Insn]) -> Option<usize> {
    let header = line_starts(section).find(|&at| section[at..].lines().next() == Some(TABLE))?;
    let mut lines = section[header..].split_inclusive('\n');
    let mut end = header + lines.next()?.len();
    let mut idx = 0;
    while let Some(insn) = insns.get(idx) {
        let line = lines.next()?;
        if !line.ends_with('\n') || !is_table_line(line) {
            return None;
        }
        end += line.len();
        idx += insn.slots();
    }
    for line in lines.take_while(|line| is_table_line(line)) {
        end += line.len();
    }
    Some(end)
}

/// `SCC or blanks, index: ten registers instruction`, as the kernel prints no other line.
fn is_table_line(line: &str) -> bool {
    let Some((numbers, rest)) = line.split_once(": ") else { return false };
    let registers = rest.as_bytes().get(..10).unwrap_or_default();
    numbers.len() >= 4
        && numbers.bytes().all(|byte| byte == b' ' || byte.is_ascii_digit())
        && registers.len() == 10
        && registers.iter().all(|&byte| byte == b'.' || byte.is_ascii_digit())
}

/// `text` without what stands on the line of a message that was too long for the kernel, and so has no end of line.
fn without_what_follows_a_cut_message(text: &str) -> &str {
    let message = line_starts(text).find(|at| text[*at..].starts_with(RECURSION));
    let cut = message.filter(|at| text[*at..].find('\n').is_none_or(|end| end >= MESSAGE_LEN));
    cut.map_or(text, |at| &text[..text.floor_char_boundary(at + MESSAGE_LEN)])
}

/// The log without the lines on the verification as a whole that the kernel prints last.
fn strip_statistics(log: &str) -> &str {
    const STATISTICS: [&str; 4] = ["processed ", "insns processed ", "stack depth ", "verification time "];
    let mut rest = log;
    loop {
        let body = rest.strip_suffix('\n').unwrap_or(rest);
        let last = body.rfind('\n').map_or(0, |at| at + 1);
        if body.is_empty() || !STATISTICS.iter().any(|start| body[last..].starts_with(start)) {
            return rest;
        }
        rest = &rest[..last];
    }
}

/// `text`, a section whose addresses are masked, with what else is another in every kernel masked: the BTF ids of kernel
/// functions, in the lines that show a call of one.
pub(super) fn without_btf_ids<'t>(text: &'t str, insns: &[Insn]) -> Cow<'t, str> {
    if !insns.iter().any(Insn::is_kfunc_call) {
        return Cow::Borrowed(text);
    }
    each_insn(text, insns, mask_btf_id)
}

/// `text` with the address in each line that shows an instruction which loads one masked.
fn masked<'t>(text: &'t str, insns: &[Insn]) -> Cow<'t, str> {
    if !insns.iter().any(Insn::loads_kernel_address) {
        return Cow::Borrowed(text);
    }
    each_insn(text, insns, mask_address)
}

/// `text` with each line that shows an instruction masked.
fn each_insn<'t>(
    text: &str,
    insns: &[Insn],
    mask: impl for<'l> Fn(&'l str, &Insn) -> Cow<'l, str>,
) -> Cow<'t, str> {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match shown_insn(line).and_then(|idx| insns.get(idx)) {
            Some(insn) => out.push_str(&mask(line, insn)),
            None => out.push_str(line),
        }
    }
    Cow::Owned(out)
}

/// The index of the instruction that a line shows: the number before the line's first `: `, after the number of a
/// strongly connected component in the table.
pub(super) fn shown_insn(line: &str) -> Option<usize> {
    let (numbers, _) = line.split_once(": ")?;
    let blank_or_digit = |byte: u8| byte == b' ' || byte.is_ascii_digit();
    if !numbers.bytes().all(blank_or_digit) {
        return None;
    }
    numbers.split_ascii_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: Insn = Insn { code: 0x18, dst_reg: 1, src_reg: 1, off: 0, imm: 0 };
    const EXIT: Insn = Insn { code: 0x95, dst_reg: 0, src_reg: 0, off: 0, imm: 0 };

    #[test]
    fn the_section_ends_with_the_table() {
        let log = "noise\nfunc#0 @0\ntopo_order[0] = main\nLive regs before insn:\n      0: .......... (18) r1 = 0xff00\n  1   2: 0......... (95) exit\n0: R1=ctx() R10=fp0\nprocessed 1 insns (limit 1000000)\n";
        let heard = Heard::new(log, &[MAP, Insn::default(), EXIT]);
        assert_eq!(heard.reach, Reach::Table);
        assert_eq!(
            heard.text,
            "func#0 @0\ntopo_order[0] = main\nLive regs before insn:\n      0: .......... (18) r1 = <address>\n  1   2: 0......... (95) exit\n"
        );
    }

    #[test]
    fn a_cut_table_is_not_whole() {
        let log = "func#0 @0\ntopo_order[0] = main\nLive regs before insn:\n      0: .......... (95) exit\n";
        assert_eq!(Heard::new(log, &[EXIT]).reach, Reach::Table);
        assert!(has_table(log, &[EXIT]));
        for end in log.find("Live").unwrap_or(0)..log.len() {
            let heard = Heard::new(&log[..end], &[EXIT]);
            assert_eq!(heard.reach, Reach::Liveness, "{:?}", &log[..end]);
            assert!(!has_table(&log[..end], &[EXIT]));
        }
    }

    #[test]
    fn statistics_are_no_part_of_it() {
        let all =
            "verification time 7 usec\nstack depth 0+8\ninsns processed 7\nprocessed 0 insns (limit 1)\n";
        assert_eq!(strip_statistics(all), "");
        let log = format!("processed alike\nlast words\n{all}");
        assert_eq!(strip_statistics(&log), "processed alike\nlast words\n");
        assert_eq!(strip_statistics("words\nprocessed 0 insns"), "words\n");
        assert_eq!(strip_statistics(""), "");
        assert_eq!(strip_statistics("\n"), "\n");
    }

    #[test]
    fn instructions_are_found_in_lines() {
        assert_eq!(shown_insn("  3: (bf) r2 = r10\tr2: none -> fp0+0\n"), Some(3));
        assert_eq!(shown_insn(" 12   3: .......... (95) exit\n"), Some(3));
        assert_eq!(shown_insn("1234: (95) exit"), Some(1234));
        for line in ["func#0 @0", "subprog#0 main:", "arg JOIN insn 3 -> 4 r1: fp0", "", ": ", "é: "] {
            assert_eq!(shown_insn(line), None, "{line}");
        }
    }
}
