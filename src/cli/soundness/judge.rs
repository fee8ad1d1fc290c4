//! One program: analysed, and the answers held against what happens.

use livediff::{
    Dialect,
    assemble::Program,
    diff, guard,
    log::Silent,
    report::qualified,
    soundness::{self, Coverage, Finding, Limits, observed::Why},
    verifier::{self, Analysis, Stack},
};
use livediff_capture::{Loaded, Said, Verdict};

/// A program that is to be judged.
pub(super) struct Subject {
    pub(super) object: String,
    pub(super) program: String,
    /// The release of the kernel that it was loaded into, if it was.
    pub(super) kernel: Option<String>,
    /// The analysis.
    pub(super) dialect: Dialect,
    pub(super) loaded: Loaded,
    /// What the kernel said.
    pub(super) said: Option<Said>,
    /// The kernel is one that observes: what it said is held against the answers.
    pub(super) observed: bool,
    /// Of a random program, what it was made of.
    pub(super) random: Option<Program>,
    /// It is a random program.
    pub(super) invented: bool,
}

/// The kernel's words where it comes to a slot that its analysis has called dead.
const POISONED: &str = "slot poisoned by dead code elimination";
/// Lines of the log before them that are shown.
const WORDS: usize = 12;

/// What became of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Reads were checked, and all were called live.
    Clean,
    /// The analysis knows of no read of the stack, and none came.
    NoReads,
    /// Something that is read was called dead.
    Found,
    /// It reads the stack, as the analysis has it, and none of the paths came to a read.
    Unchecked,
    /// There is no answer to check.
    NotDecided,
}

impl Status {
    pub(super) const ALL: [Status; 5] =
        [Status::Clean, Status::NoReads, Status::Found, Status::Unchecked, Status::NotDecided];

    /// The name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Clean => "clean",
            Status::NoReads => "no_reads",
            Status::Found => "found",
            Status::Unchecked => "unchecked",
            Status::NotDecided => "not_decided",
        }
    }
}

/// Who found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Oracle {
    /// The interpreter, on a random path.
    Paths,
    /// A kernel that observes.
    Observed,
    /// The kernel itself came to a slot that its analysis had called dead.
    Poisoned,
    /// The kernel's analysis is not the model's.
    Differs,
}

impl Oracle {
    /// The name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Oracle::Paths => "paths",
            Oracle::Observed => "observed",
            Oracle::Poisoned => "poisoned",
            Oracle::Differs => "differs",
        }
    }
}

/// Opcodes of the reader and of the instruction before which it is dead, and how many frames lie between the slot and
/// its reader: findings alike in this have one cause, most likely.
pub(super) type Kind = (u8, u8, usize);

/// A finding in words.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) oracle: Oracle,
    /// In a few words.
    pub(super) short: String,
    pub(super) text: String,
    /// Of one of the interpreter's.
    pub(super) finding: Option<(Finding, Kind)>,
}

/// What an observing kernel saw, held against the answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Slots that were live.
    pub(super) slots: u64,
    /// Of them, those that were seen to be read.
    pub(super) reads: u64,
    /// Slots before instructions that are never reached, as the analysis has it.
    pub(super) unreachable: u64,
    /// Slots that are called dead for a reason.
    pub(super) explained: Vec<(Why, u64)>,
}

/// A program that was judged.
pub(super) struct Judged {
    pub(super) object: String,
    pub(super) program: String,
    pub(super) kernel: Option<String>,
    pub(super) dialect: Option<Dialect>,
    pub(super) insns: usize,
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) coverage: Coverage,
    pub(super) findings: Vec<Told>,
    pub(super) seen: Option<Seen>,
    /// The kernel's verdict, where the verification was run to its end.
    pub(super) verdict: Option<Verdict>,
    /// What was judged, where there are findings.
    pub(super) loaded: Option<Box<Loaded>>,
    pub(super) random: Option<Box<Program>>,
    pub(super) invented: bool,
    /// Why the kernel refused it, in the words of its log.
    pub(super) refusal: Option<String>,
}

impl Judged {
    pub(super) fn not_decided(
        object: String,
        program: String,
        kernel: Option<String>,
        reason: String,
    ) -> Judged {
        Judged {
            object,
            program,
            kernel,
            dialect: None,
            insns: 0,
            status: Status::NotDecided,
            reason: Some(reason),
            coverage: Coverage::default(),
            findings: Vec::new(),
            seen: None,
            verdict: None,
            loaded: None,
            random: None,
            invented: false,
            refusal: None,
        }
    }

    /// A finding of the kind.
    pub(super) fn told(&self, kind: Kind) -> Option<&Told> {
        self.findings.iter().find(|told| told.finding.as_ref().is_some_and(|(_, other)| *other == kind))
    }

    /// Object and program.
    pub(super) fn name(&self) -> String {
        qualified(&self.object, &self.program)
    }
}

/// Analyses and judges.
pub(super) fn judge(subject: Subject, limits: &Limits) -> Judged {
    let Subject { object, program, kernel, dialect, loaded, said, random, observed, invented } = subject;
    let mut judged = Judged::not_decided(object, program, kernel, String::new());
    judged.reason = None;
    judged.dialect = Some(dialect);
    judged.insns = loaded.insns.len();
    judged.invented = invented;
    judged.refusal = said.as_ref().filter(|said| said.verdict == Verdict::Rejected).map(refusal);
    judged.verdict = said.as_ref().map(|said| said.verdict).filter(|verdict| *verdict != Verdict::NotRun);
    let work = || match (&said, observed) {
        (Some(said), true) => of_observed(&mut judged, &loaded, said, dialect, limits),
        (said, _) => {
            let (findings, coverage, reads) = of_model(&loaded, dialect, limits)?;
            judged.status = match coverage.reads {
                1.. => Status::Clean,
                0 if reads => Status::Unchecked,
                0 => Status::NoReads,
            };
            judged.coverage = coverage;
            judged.findings = findings;
            let Some(said) = said else { return Ok(()) };
            let (told, silent) = of_kernel(&loaded, said, dialect);
            judged.findings.extend(told);
            silent.map_or(Ok(()), Err)
        }
    };
    judged.reason = guard::guarded(work).unwrap_or_else(|cause| Err(guard::broke_down(&cause))).err();
    // What was found stays found, whatever came after; what is not checked to its end is not clean.
    if !judged.findings.is_empty() {
        judged.status = Status::Found;
    } else if judged.reason.is_some() {
        judged.status = Status::NotDecided;
    }
    if judged.status == Status::Found {
        judged.loaded = Some(Box::new(loaded));
        judged.random = random.map(Box::new);
    }
    judged
}

/// What the kernel says that shows that an answer was wrong, or that its answers are not the model's; and why it does
/// not say enough, if so.
fn of_kernel(loaded: &Loaded, said: &Said, dialect: Dialect) -> (Vec<Told>, Option<String>) {
    let mut found = Vec::new();
    let told = |oracle, short: &str, text: String| Told { oracle, short: short.into(), text, finding: None };
    let lines: Vec<&str> = said.log.lines().collect();
    if let Some(at) = lines.iter().position(|line| line.contains(POISONED)) {
        let words = lines.get(at.saturating_sub(WORDS)..=at).unwrap_or_default().join("\n");
        found.push(told(
            Oracle::Poisoned,
            "the kernel reads a slot that it called dead",
            format!("{words}\n"),
        ));
    }
    let comparison = diff::judge(loaded, said, dialect);
    let silent = match comparison.status {
        diff::Status::Match => None,
        diff::Status::Mismatch => {
            let text = comparison.difference.map(|difference| difference.unified).unwrap_or_default();
            let text = comparison.reason.unwrap_or_default() + &text;
            found.push(told(Oracle::Differs, "the kernel's analysis is not the model's, see `diff`", text));
            None
        }
        other => Some(comparison.reason.unwrap_or_else(|| other.name().to_owned())),
    };
    // A kernel that was stopped behind its analysis has said all that was wanted.
    let cut = said.truncated && said.verdict != Verdict::NotRun;
    let cut = cut.then(|| "the kernel's log is not whole".to_owned());
    (found, silent.or(cut))
}

/// The kernel's last words before its statistics.
fn refusal(said: &Said) -> String {
    const STATISTICS: [&str; 6] =
        ["processed ", "verification time ", "stack depth ", "mark_precise: ", "cur state: ", "old state: "];
    let mut lines = said.log.lines().rev().map(str::trim);
    let last = lines.find(|line| !line.is_empty() && STATISTICS.iter().all(|word| !line.starts_with(word)));
    last.map_or_else(|| format!("without a word, errno {}", said.errno), str::to_owned)
}

/// Holds the answers against what an observing kernel said.
fn of_observed(
    judged: &mut Judged,
    loaded: &Loaded,
    said: &Said,
    dialect: Dialect,
    limits: &Limits,
) -> Result<(), String> {
    if said.truncated {
        return Err("the log of the path walk is not whole".into());
    }
    if said.verdict == Verdict::NotRun {
        return Err("the verification was not run to its end".into());
    }
    let analysis = analyze(loaded, dialect)?;
    let observed =
        soundness::observed::parse(&said.log).ok_or("the kernel cut a list of slots short in its log")?;
    let checked = soundness::observed::check(&analysis, &analysis, &observed);
    let mut seen = Seen {
        slots: checked.slots,
        reads: checked.reads,
        unreachable: checked.unreachable,
        explained: Why::ALL.map(|why| (why, 0)).to_vec(),
    };
    for missed in &checked.missed {
        match missed.why.and_then(|why| seen.explained.iter_mut().find(|(known, _)| *known == why)) {
            Some((_, count)) => *count += 1,
            None => {
                let slot = format!("fp{}-{}", missed.frame, 8 * (missed.slot + 1));
                let how = if missed.read_here { "reads it" } else { "is on the way to a read" };
                judged.findings.push(Told {
                    oracle: Oracle::Observed,
                    short: format!("{slot} before insn {}, which {how}", missed.insn),
                    text: soundness::describe_missed(&analysis.program, missed),
                    finding: None,
                });
            }
        }
    }
    judged.status = if checked.slots > 0 { Status::Clean } else { Status::NoReads };
    if checked.slots == 0 && has_reads(&analysis) {
        judged.status = Status::Unchecked;
    }
    judged.seen = Some(seen);
    if !judged.findings.is_empty() {
        // What a path shows too can be reduced.
        let (findings, coverage, _) = of_model(loaded, dialect, limits)?;
        judged.coverage = coverage;
        judged.findings.extend(findings);
    }
    Ok(())
}

fn analyze(loaded: &Loaded, dialect: Dialect) -> Result<Analysis<'_>, String> {
    let analysis = verifier::analyze(loaded, dialect, &mut Silent)
        .map_err(|error| format!("the verifier refuses it before there are answers: {error}"))?;
    match &analysis.stack {
        Stack::Observed => Err(format!("dialect {} has no static answers", dialect.id())),
        _ => Ok(analysis),
    }
}

/// The findings in the model's answers, what was done for them, and whether the analysis knows of reads.
pub(super) fn of_model(
    loaded: &Loaded,
    dialect: Dialect,
    limits: &Limits,
) -> Result<(Vec<Told>, Coverage, bool), String> {
    let analysis = analyze(loaded, dialect)?;
    let (findings, coverage) = soundness::check_paths(&analysis.program, &analysis, limits);
    let code = |insn: u32| loaded.insns.get(insn as usize).map_or(0, |insn| insn.code);
    let told = |finding: Finding| {
        let kind = (
            code(finding.read.insn),
            code(finding.dead.insn),
            finding.read.frames.len().saturating_sub(finding.frame + 1),
        );
        let slot = soundness::half_slot_name(finding.frame, finding.half_slot);
        Told {
            oracle: Oracle::Paths,
            short: format!("{slot} before insn {}, read at {}", finding.dead.insn, finding.read.insn),
            text: soundness::describe(&analysis.program, &finding),
            finding: Some((finding, kind)),
        }
    };
    let findings = findings.into_iter().map(told).collect();
    Ok((findings, coverage, has_reads(&analysis)))
}

/// The analysis knows of an instruction that may read the stack.
fn has_reads(analysis: &Analysis<'_>) -> bool {
    let insns = |start: u32, count: u32| start..start.saturating_add(count);
    match &analysis.stack {
        Stack::Observed => false,
        Stack::ByCallsite(instances) => instances.iter().any(|instance| {
            insns(instance.start, instance.insn_cnt).any(|insn| {
                (0..=instance.depth)
                    .any(|frame| instance.masks(frame, insn).is_some_and(|masks| !masks.may_read.is_empty()))
            })
        }),
        Stack::ByCallChain(chains) => chains.instances().iter().any(|instance| {
            insns(instance.start, instance.insn_cnt).any(|insn| {
                (0..16)
                    .any(|frame| instance.masks(frame, insn).is_some_and(|masks| !masks.may_read.is_empty()))
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livediff_capture::Insn;

    /// `r0 = 0; *(u64 *)(r10 - 8) = 0; r1 = *(u64 *)(r10 - 8); exit`
    fn subject(said: Option<Said>) -> Subject {
        let insn = |code, dst_reg, src_reg, off| Insn { code, dst_reg, src_reg, off, imm: 0 };
        let insns =
            vec![insn(0xb7, 0, 0, 0), insn(0x7a, 10, 0, -8), insn(0x79, 1, 10, -8), insn(0x95, 0, 0, 0)];
        Subject {
            object: "o".into(),
            program: "p".into(),
            kernel: None,
            dialect: Dialect::V7_2,
            loaded: Loaded { insns, prog_type: 1, ..Loaded::default() },
            said,
            observed: false,
            random: None,
            invented: false,
        }
    }

    fn status(said: Option<Said>) -> (Status, Option<String>) {
        let limits = Limits { seed: 0, paths: 1, steps: 10, findings: 1 };
        let judged = judge(subject(said), &limits);
        (judged.status, judged.reason)
    }

    #[test]
    fn a_kernel_that_says_nothing_leaves_nothing_clean() {
        assert_eq!(status(None), (Status::Clean, None));
        let said = |verdict, errno, log: &str| Said { verdict, errno, log: log.into(), truncated: false };
        let refused = |log, errno| said(Verdict::Rejected, errno, log);
        for said in [refused("", 4), refused("", 12), refused("unknown opcode ff\n", 22)] {
            let (status, reason) = status(Some(said.clone()));
            assert_eq!(status, Status::NotDecided, "{said:?}");
            assert!(reason.is_some_and(|reason| !reason.is_empty()), "{said:?}");
        }
        let section = livediff::log::section(&subject(None).loaded, Dialect::V7_2).text;
        let whole = said(Verdict::Accepted, 0, &section);
        assert_eq!(status(Some(whole.clone())), (Status::Clean, None));
        let recorded = Said { verdict: Verdict::NotRun, truncated: true, ..whole.clone() };
        assert_eq!(status(Some(recorded)), (Status::Clean, None));
        let (status, reason) = status(Some(Said { truncated: true, ..whole }));
        assert_eq!((status, reason.as_deref()), (Status::NotDecided, Some("the kernel's log is not whole")));
    }

    /// A pointer that an atomic instruction loads is lost: a kernel sees the read that goes through it, and so do paths.
    #[test]
    fn what_a_kernel_observed_is_looked_for_on_paths() {
        let insn = |code, dst_reg, src_reg, off, imm| Insn { code, dst_reg, src_reg, off, imm };
        let insns = vec![
            insn(0x7a, 10, 0, -8, 0),
            insn(0xbf, 1, 10, 0, 0),
            insn(0x07, 1, 0, 0, -8),
            insn(0x7b, 10, 1, -16, 0),
            insn(0xdb, 2, 10, -16, livediff_capture::insn::atomic::LOAD_ACQ),
            insn(0x79, 0, 2, 0, 0),
            insn(0x95, 0, 0, 0, 0),
        ];
        let log = "(0) frame 0 insn 5 +live -8 \n".to_owned();
        let said = Said { verdict: Verdict::Accepted, errno: 0, log, truncated: false };
        let subject = Subject { observed: true, ..subject(Some(said)) };
        let subject = Subject { loaded: Loaded { insns, ..subject.loaded }, ..subject };
        let judged = judge(subject, &Limits { seed: 0, paths: 4, steps: 10, findings: 4 });
        let oracles: Vec<Oracle> = judged.findings.iter().map(|told| told.oracle).collect();
        assert_eq!(oracles, [Oracle::Observed, Oracle::Paths, Oracle::Paths], "{:?}", judged.reason);
    }

    #[test]
    fn the_schema_knows_every_status_and_oracle() {
        let schema: serde_json::Value = serde_json::from_str(livediff::report::schema::SOUNDNESS).unwrap();
        let names = |pointer: &str| -> Vec<String> {
            let names = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
            serde_json::from_value(names.clone()).unwrap()
        };
        let program = "/properties/programs/items/properties";
        let statuses = Status::ALL.map(Status::name);
        assert_eq!(names(&format!("{program}/status/enum")), statuses);
        let mut totals = names("/properties/totals/required");
        assert_eq!(totals.pop().as_deref(), Some("findings"));
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        assert_eq!(sorted(totals), sorted(statuses.map(str::to_owned).to_vec()));
        let oracles = [Oracle::Paths, Oracle::Observed, Oracle::Poisoned, Oracle::Differs].map(Oracle::name);
        assert_eq!(names(&format!("{program}/findings/items/properties/oracle/enum")), oracles);
    }
}
