use super::*;
use crate::log::LineKind;
#[path = "../../tests/support/program.rs"]
mod program;

use livediff_capture::{FuncInfo, Insn};
use program::insn;
pub(super) use program::program;

const DIALECT: Dialect = Dialect::V7_2;
const ADDRESS: &str = "0xff54af7fc013a000";
const WALK: &str = "0: R1=ctx() R10=fp0\n0: (bf) r6 = r10                      ; R6=fp0 R10=fp0\n";
const STATISTICS: &str =
    "processed 12 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0\n";

/// How many kinds of instructions [`program_of`] knows.
pub(super) const TEMPLATES: usize = 14;

/// A program of the instructions chosen, by kind, two registers and an offset in slots, and of a subprogram that some
/// of them call. Most are nothing that the path walk would take; the passes before it take them all.
pub(super) fn program_of(chosen: &[(usize, u8, u8, i16)]) -> Loaded {
    let length = chosen.len() as i32;
    let mut insns: Vec<Insn> = Vec::new();
    for (at, &(kind, dst, src, slot)) in chosen.iter().enumerate() {
        let (off, imm) = (slot * 8, i32::from(slot) * 8);
        // Forward to the exit, which lies behind all of them, or to the next.
        let to_exit = (length - at as i32 - 1) as i16;
        insns.push(match kind {
            0 => insn(0xbf, dst, 10, 0, 0),
            1 => insn(0xbf, dst, src, 0, 0),
            2 => insn(0x07, dst, 0, 0, imm),
            3 => insn(0x0f, dst, src, 0, 0),
            4 => insn(0x7b, 10, src, off, 0),
            5 => insn(0x7b, dst, src, off, 0),
            6 => insn(0x63, dst, src, off + 4, 0),
            7 => insn(0x79, dst, 10, off, 0),
            8 => insn(0x79, dst, src, off, 0),
            9 => insn(0x7a, dst, 0, off, imm),
            10 => insn(0x15, dst, 0, to_exit, imm),
            11 => insn(0x85, 0, 1, 0, to_exit.into()),
            12 => insn(0x85, 0, 0, 0, 5),
            _ => insn(0xdb, dst, src, off, 0),
        });
    }
    // A call of the subprogram leads behind the exit.
    for insn in insns.iter_mut().filter(|insn| insn.code == 0x85 && insn.src_reg == 1) {
        insn.imm += 1;
    }
    insns.extend([insn(0x95, 0, 0, 0, 0), insn(0x79, 0, 1, -8, 0), insn(0x95, 0, 0, 0, 0)]);
    if !insns.iter().any(|insn| insn.code == 0x85 && insn.src_reg == 1) {
        insns.truncate(chosen.len() + 1);
    }
    Loaded { insns, prog_type: 1, ..Loaded::default() }
}

/// A chain of calls in a circle: the kernel refuses it where it sorts the subprograms.
fn recursive() -> Loaded {
    Loaded {
        insns: vec![
            insn(0x85, 0, 1, 0, 1),
            insn(0x95, 0, 0, 0, 0),
            insn(0x85, 0, 1, 0, -1),
            insn(0x95, 0, 0, 0, 0),
        ],
        prog_type: 1,
        ..Loaded::default()
    }
}

fn said(verdict: Verdict, errno: i32, log: impl Into<String>) -> Said {
    Said { verdict, errno, log: log.into(), truncated: false }
}

/// What a kernel would print: the section with an address where one stands.
fn spoken(section: &Section) -> String {
    section.text.replace("<address>", ADDRESS)
}

fn status(loaded: &Loaded, said: &Said) -> Status {
    judge(loaded, said, DIALECT).status
}

#[test]
fn the_same_words_match() {
    let loaded = program();
    let section = log::section(&loaded, DIALECT);
    assert_eq!(section.end, End::Complete);
    assert!(spoken(&section).contains(ADDRESS));
    for (verdict, errno) in [(Verdict::Accepted, 0), (Verdict::Rejected, 13), (Verdict::NotRun, 11)] {
        for tail in ["", WALK, STATISTICS] {
            let said = said(verdict, errno, spoken(&section) + tail);
            let comparison = judge(&loaded, &said, DIALECT);
            assert_eq!(comparison.status, Status::Match, "{comparison:?}");
            assert_eq!(comparison.lines, section.origins.len());
        }
    }
}

/// Every way to alter a line that the tests try.
fn alterations(line: &str) -> Vec<String> {
    let mut all =
        vec![String::new(), format!("{line}\n{line}\n"), format!("{line} \n"), format!(" {line}\n")];
    for (at, digit) in line.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
        let other = if digit == '9' { '8' } else { char::from(digit as u8 + 1) };
        let mut altered = format!("{line}\n");
        altered.replace_range(at..=at, &other.to_string());
        all.push(altered);
    }
    all
}

#[test]
fn an_altered_line_of_any_kind_is_a_mismatch_at_its_instruction() {
    let loaded = program();
    let section = log::section(&loaded, DIALECT);
    let log = spoken(&section);
    let lines: Vec<&str> = log.lines().collect();
    let first_insn = |subprog| if subprog == Some(1) { 11 } else { 0 };

    let mut kinds: Vec<LineKind> = section.origins.iter().map(|origin| origin.kind).collect();
    kinds.dedup();
    for kind in [
        LineKind::Subprog,
        LineKind::TopoOrder,
        LineKind::Analyzing,
        LineKind::Transfer,
        LineKind::Join,
        LineKind::ListingHeader,
        LineKind::Listing,
        LineKind::InstanceHeader,
        LineKind::UseDef,
        LineKind::LiveRegsHeader,
        LineKind::LiveRegs,
    ] {
        assert!(kinds.contains(&kind), "the program has no line of kind {kind:?}");
    }

    for (at, origin) in section.origins.iter().enumerate() {
        for altered in alterations(lines[at]) {
            // The address itself is masked: a digit of it is no difference.
            if lines[at].contains(ADDRESS) && !altered.contains(ADDRESS) && altered.contains("= 0x") {
                continue;
            }
            let log = [&lines[..at], &[altered.trim_end_matches('\n')], &lines[at + 1..]].concat().join("\n")
                + "\n";
            let log =
                if altered.is_empty() { log.replace("\n\n", "\n").trim_start().to_owned() } else { log };
            for (verdict, errno, tail) in [
                (Verdict::Accepted, 0, STATISTICS),
                (Verdict::Accepted, 0, ""),
                (Verdict::Rejected, 13, WALK),
                (Verdict::Rejected, 13, ""),
                (Verdict::NotRun, 11, ""),
            ] {
                let said = said(verdict, errno, format!("{log}{tail}"));
                let comparison = compare(&loaded, &said, DIALECT, &section);
                let context = format!("line {at} {:?} made {altered:?}: {comparison:#?}", lines[at]);
                assert_eq!(comparison.status, Status::Mismatch, "{context}");
                let difference = comparison.difference.as_ref().expect(&context);
                let expected = origin.insn.unwrap_or(first_insn(origin.subprog));
                assert_eq!(
                    difference.place.insn.as_ref().map(|(insn, _)| *insn),
                    Some(expected),
                    "{context}"
                );
                assert!(difference.unified.contains("@@ -"), "{context}");
            }
        }
    }
}

#[test]
fn an_address_is_masked_only_where_one_stands() {
    let loaded = program();
    let section = log::section(&loaded, DIALECT);
    let other = section.text.replace("<address>", "0x1a2b0");
    assert_eq!(status(&loaded, &said(Verdict::Accepted, 0, other)), Status::Match);
    for text in ["0x", "0xffff_", "12", "0xff54af7fc013a0000"] {
        let other = section.text.replace("<address>", text);
        assert_eq!(status(&loaded, &said(Verdict::Accepted, 0, other)), Status::Mismatch, "{text}");
    }
    // The same bytes as a plain constant are compared.
    let mut constant = program();
    constant.insns[5].src_reg = 0;
    let section = log::section(&constant, DIALECT);
    let other = section.text.replace("r2 = 0x0", "r2 = 0xff54af7fc013a000");
    assert_ne!(other, section.text);
    assert_eq!(status(&constant, &said(Verdict::Accepted, 0, other)), Status::Mismatch);
}

#[test]
fn a_refusal_before_liveness_is_not_compared() {
    let loaded = program();
    let log = format!("func#0 @0\nfunc#1 @11\nunreachable insn 3\n{STATISTICS}");
    let comparison = judge(&loaded, &said(Verdict::Rejected, 22, log), DIALECT);
    assert_eq!(comparison.status, Status::RejectedEarly);
    assert_eq!(comparison.reason.as_deref(), Some("unreachable insn 3 (EINVAL)"));
    let comparison = judge(&loaded, &said(Verdict::Rejected, 1, ""), DIALECT);
    assert_eq!(comparison.reason.as_deref(), Some("EPERM, without a message"));
    // Without a refusal, a log without a section is no excuse.
    for verdict in [Verdict::Accepted, Verdict::NotRun] {
        assert_eq!(status(&loaded, &said(verdict, 0, STATISTICS)), Status::Mismatch);
    }
}

/// A kernel that lost the section is not mistaken for one that refused the program before it.
#[test]
fn a_walk_without_a_section_is_a_mismatch() {
    let loaded = program();
    let walk = "func#0 @0\n0: R1=ctx() R10=fp0\n0: (95) exit\nR0 !read_ok\n";
    for dialect in Dialect::ALL {
        let of = |log: &str| judge(&loaded, &said(Verdict::Rejected, 13, log), dialect).status;
        assert_eq!(of(walk), Status::Mismatch, "{}", dialect.id());
        assert_eq!(of("func#0 @0\nR0 !read_ok: Rabbit\n1: Rx\n"), Status::RejectedEarly, "{}", dialect.id());
    }
}

/// A log of which the beginning is missing shows the walk and no section, and does not accuse the kernel.
#[test]
fn an_interruption_counts_more_than_a_walk_without_a_section() {
    let loaded = program();
    let walk = "0: R1=ctx() R10=fp0\n0: (95) exit\n";
    assert_eq!(status(&loaded, &said(Verdict::Rejected, 13, walk)), Status::Mismatch);
    for errno in [4, 11, 12] {
        assert_eq!(status(&loaded, &said(Verdict::Rejected, errno, walk)), Status::NotLoadable, "{errno}");
    }
    let cut = Said { truncated: true, ..said(Verdict::Rejected, 28, walk) };
    assert_eq!(status(&loaded, &cut), Status::NotLoadable);
}

#[test]
fn a_refusal_by_liveness_is_compared() {
    let loaded = recursive();
    let section = log::section(&loaded, DIALECT);
    assert!(matches!(&section.end, End::Failed(error) if error.in_liveness()), "{section:?}");
    let rejected = |log: String| judge(&loaded, &said(Verdict::Rejected, 22, log), DIALECT);
    assert_eq!(rejected(format!("{}{STATISTICS}", section.text)).status, Status::Match);
    // Without the message the kernel's silence gives it away.
    assert_eq!(
        rejected(section.text.lines().take(2).map(|line| format!("{line}\n")).collect()).status,
        Status::Mismatch
    );
    assert_eq!(rejected("func#0 @0\nfunc#1 @2\nsomething else\n".into()).status, Status::RejectedEarly);
    let other = rejected(section.text.replace("() to", "() into"));
    assert_eq!(other.status, Status::Mismatch);
    assert!(
        other.difference.is_some_and(|difference| difference.place.to_string().contains("ends the analysis"))
    );

    // One of the two goes on where the other stops.
    let complete = program();
    let text = log::section(&complete, DIALECT).text;
    let stopped = &text[..text.find("subprog#1 callee:").expect("a listing")];
    let comparison = judge(
        &complete,
        &said(
            Verdict::Rejected,
            7,
            format!("{stopped}liveness analysis exceeded complexity limit (10001 calls)\n"),
        ),
        DIALECT,
    );
    assert_eq!(comparison.status, Status::Mismatch);
    assert!(
        comparison.reason.as_deref().is_some_and(|reason| reason.contains("10001 calls")),
        "{comparison:?}"
    );
    let goes_on = format!("{}Live regs before insn:\n", section.text.replace("recursive", "no"));
    assert_eq!(rejected(goes_on).status, Status::Mismatch);
}

#[test]
fn a_cut_log_is_never_a_match() {
    let loaded = program();
    let section = log::section(&loaded, DIALECT);
    let log = spoken(&section);
    let status = |said: &Said| compare(&loaded, said, DIALECT, &section).status;
    for end in 0..log.len() {
        let cut = Said { truncated: true, ..said(Verdict::Rejected, 28, &log[..end]) };
        let comparison = compare(&loaded, &cut, DIALECT, &section);
        assert_eq!(comparison.status, Status::NotLoadable, "cut at {end}: {comparison:?}");
        for errno in [4, 11, 12] {
            assert_eq!(status(&said(Verdict::Rejected, errno, &log[..end])), Status::NotLoadable);
        }
        // A beginning that is wrong is a mismatch all the same.
        if end > 20 {
            let wrong = Said { log: cut.log.replacen("func#1", "func#2", 1), ..cut };
            assert_eq!(status(&wrong), Status::Mismatch, "cut at {end}");
        }
    }
    let whole = Said { truncated: true, ..said(Verdict::Rejected, 28, format!("{log}{WALK}")) };
    assert_eq!(status(&whole), Status::Match);
}

#[test]
fn hostile_logs_end_in_a_status() {
    let loaded = program();
    let long = "func#0 @0\n".to_owned() + &"x".repeat(1 << 20);
    let comparison = judge(&loaded, &said(Verdict::Accepted, 0, long), DIALECT);
    assert!(comparison.difference.is_some_and(|difference| difference.unified.len() < 1 << 16));
    for log in [
        "\u{fffd}",
        "func#",
        "func#\n: : : \n",
        "topo_order[",
        "Live regs before insn:",
        "\n\n\n",
        "func#0\r\n",
    ] {
        assert_eq!(status(&loaded, &said(Verdict::Accepted, 0, log)), Status::Mismatch, "{log:?}");
    }
}

/// The work on two long logs that differ everywhere is bounded.
#[test]
fn long_differences_are_cut() {
    let loaded = program();
    let text = log::section(&loaded, DIALECT).text;
    let kernel: String = (0..200_000).map(|i| format!("{:3}: (bf) r6 = r{i}\n", i % 13)).collect();
    let started = std::time::Instant::now();
    let comparison = judge(&loaded, &said(Verdict::Accepted, 0, text.clone() + &kernel), DIALECT);
    assert_eq!(comparison.status, Status::Match);
    let log = text.replacen("topo_order[0]", "topo_order[1]", 1).replace("Live regs", &kernel);
    let comparison = judge(&loaded, &said(Verdict::Accepted, 0, log), DIALECT);
    let difference = comparison.difference.expect("they differ");
    assert!(difference.unified.lines().count() < 220, "{}", difference.unified.lines().count());
    assert_eq!(difference.line, 3);
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// A program of which a subprogram ends in `last`, behind a tail call.
pub(super) fn tail_call_before(last: Insn) -> Loaded {
    Loaded {
        insns: vec![
            insn(0x7b, 10, 1, -8, 0),
            insn(0xbf, 1, 10, 0, 0),
            insn(0x07, 1, 0, 0, -8),
            insn(0x85, 0, 1, 0, 1),
            insn(0x95, 0, 0, 0, 0),
            insn(0x79, 6, 1, 0, 0),
            insn(0x85, 0, 0, 0, 12),
            last,
        ],
        prog_type: 3,
        ..Loaded::default()
    }
}

/// The kernel gives a tail call an edge to the last exit of its subprogram, and to instruction 0 where there is none.
#[test]
fn what_the_kernel_reads_beside_its_masks_is_told() {
    let compared = |loaded: &Loaded, dialect: Dialect| {
        let words = spoken(&log::section(loaded, dialect));
        let same = judge(loaded, &said(Verdict::NotRun, 11, words.as_str()), dialect);
        assert_eq!((same.status, same.reason), (Status::Match, None));
        let other = words.replace("      4: 0.........", "      4: 01........");
        assert_ne!(words, other);
        let other = judge(loaded, &said(Verdict::NotRun, 11, other), dialect);
        assert_eq!(other.status, Status::Mismatch);
        other.reason
    };
    let without_exit = tail_call_before(insn(0x05, 0, 0, -2, 0));
    for dialect in [Dialect::Fed53dbcdb, Dialect::V7_1, Dialect::V7_2, Dialect::V7_3] {
        let told = compared(&without_exit, dialect).unwrap();
        assert!(told.starts_with("insn 6 may leave subprog#1, which has no exit: "), "{told}");
        assert_eq!(compared(&tail_call_before(insn(0x95, 0, 0, 0, 0)), dialect), None);
    }
    // Where the slots are observed, or there is no such edge.
    for dialect in [Dialect::Dynamic7_0, Dialect::Dynamic6_18] {
        assert_eq!(compared(&without_exit, dialect), None);
    }
}

/// A message is cut where the kernel's buffer ends, and loses the end of its line.
#[test]
fn a_message_with_long_names_is_cut_as_the_kernel_cuts_it() {
    for length in [400, 496, 497, 511] {
        let mut loaded = recursive();
        let name = |letter: &str| letter.repeat(length);
        loaded.func_info = [(0, name("a")), (2, name("b"))]
            .map(|(insn_off, name)| FuncInfo { insn_off, name, global: false })
            .to_vec();
        let whole = format!("recursive call from {}() to {}()\n", name("b"), name("b"));
        let cut = &whole[..whole.len().min(1023)];
        assert_eq!(log::section(&loaded, DIALECT).text, format!("func#0 @0\nfunc#1 @2\n{cut}"));
        let words = format!("func#0 @0\nfunc#1 @2\n{cut}{STATISTICS}");
        let judged = judge(&loaded, &said(Verdict::Rejected, 22, words.as_str()), DIALECT);
        assert_eq!(judged.status, Status::Match, "{length}: {judged:?}");
        let other = words.replacen('b', "c", 1);
        assert_eq!(status(&loaded, &said(Verdict::Rejected, 22, other)), Status::Mismatch);
    }
}
