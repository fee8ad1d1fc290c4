//! `livediff bisect`: over the packaged kernels between a good and a bad one, the first that is not like the good one.
//!
//! What a kernel makes of a program is its outcome: the liveness section, if there is one, else that it was refused
//! before, could not be loaded, or that the guest died on it. Two kernels are alike if every program's outcome is the
//! same; sections are compared as by `compare`, so that what dialects explain is no difference. A program that gave no
//! answer, because of the time limit or a cut log, is not known to have the same outcome.

use super::{
    exit::Exit,
    flags::{GuestFlags, LiveFlags},
    inputs::{Inputs, ObjectFile},
    kernels::{self, Kernel, Wanted},
    output::{Output, tell},
    session::Session,
    shard::{Shard, ShardFlags},
    words::{self, Word, Words},
};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use livediff::{
    diff::Class,
    report::{
        between::{self, Report, Row},
        terminal::{counted, printable},
    },
};
use livediff_harness::{
    packages::{Packaged, Store},
    run::{self, RunError},
};
use std::{collections::BTreeSet, path::PathBuf, time::Instant};

#[derive(Debug, Args)]
#[command(after_help = "\
The good kernel's outcome for the programs is what good means: the liveness section, or that the program was refused
before it, could not be loaded, or that the guest died on it. What kernels of different dialects say is compared by what
the models of their dialects say. A kernel whose outcome is neither the good one's nor the bad one's counts as bad, and is
told; one that cannot be had or run, or that gives no answer for a program (the time limit, a cut log), is skipped, and
is told. A program without an answer from one of the two ends is not looked at, and is told.

Exit status: 0 the two kernels say the same, so that there is nothing to look for; 1 the first kernel that is not like the
good one was found; 2 nothing was decided (usage, environment or input, or neither kernel analyses any of the programs).")]
pub(crate) struct BisectFlags {
    /// The kernel that is right: a series (`7.1`, its newest packaged kernel) or a version (`7.1.13`). It may be newer
    /// than the bad one: then the search goes back in time.
    #[arg(long, value_name = "KERNEL")]
    pub(crate) good: String,

    /// The kernel that is wrong.
    #[arg(long, value_name = "KERNEL")]
    pub(crate) bad: String,

    #[command(flatten)]
    pub(crate) what: WhatFlags,
}

/// One object, or one program of it, and how guests are run.
#[derive(Debug, Args)]
pub(crate) struct WhatFlags {
    /// The BPF object.
    #[arg(value_name = "OBJECT")]
    pub(crate) object: PathBuf,

    /// Only this program [default: all].
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: Option<String>,

    #[command(flatten)]
    pub(crate) guest: GuestFlags,
}

impl WhatFlags {
    /// The object, and a session that wants the program. From here on, Ctrl-C ends the run in good order.
    pub(crate) fn session(&self) -> Result<(Session, Vec<ObjectFile>)> {
        let name = self.object.display().to_string();
        if self.object.is_dir() {
            bail!("{name}: a folder; name one object");
        }
        let inputs = Inputs::collect(std::slice::from_ref(&self.object))?;
        let [object] = inputs.objects.as_slice() else { bail!("{name}: no BPF object") };
        let live = LiveFlags {
            kernels: Vec::new(),
            guest: self.guest.clone(),
            filter: self
                .program
                .as_ref()
                .map(|program| format!("{}/{}", globset::escape(&object.name), globset::escape(program))),
            // Whatever the environment says of parts.
            shard: ShardFlags { shard: Some(Shard { index: 1, count: 1 }), costs: None },
            verdict: false,
        };
        Ok((Session::new(&live)?, inputs.objects))
    }
}

/// Runs both ends, then searches between them.
pub(crate) fn run(flags: BisectFlags) -> Result<Exit> {
    let started = Instant::now();
    let (session, objects) = flags.what.session()?;
    let output = Output::new(false);
    let store = kernels::store()?;
    let known = by_version(store.list(&|what| tell(printable(what)))?);
    let search = Ends::find(&known, &flags.good, &flags.bad)?;
    run::check_qemu()?;
    let bisection = Bisection { session: &session, objects: &objects, output: &output, store: &store };

    let good = bisection.outcome(search.good).with_context(|| format!("the good kernel, {}", flags.good))?;
    bisection.say("good", search.good, &good);
    let bad = bisection.outcome(search.bad).with_context(|| format!("the bad kernel, {}", flags.bad))?;
    bisection.say("bad", search.bad, &bad);
    let none = BTreeSet::new();
    let rows = words::pair(&session.pool, &good, &bad);
    match alike(&rows, &good, &bad, &none) {
        Alike::Yes if !rows.iter().any(|row| row.between.class.is_compared()) => {
            bail!("nothing could be compared: neither of the two kernels analyses any of the programs")
        }
        Alike::Yes => {
            output.line(&format!(
                "Nothing to bisect: {} and {} make the same of {}.",
                search.good.version,
                search.bad.version,
                flags.what.object.display()
            ));
            return Ok(Exit::Clean);
        }
        Alike::Unknown(why) => bail!("the good kernel and the bad one cannot be compared: {why}"),
        Alike::No => {}
    }
    let aside = undecided(&rows, &good, &bad);
    for (object, program) in &aside {
        let name = format!("{object}/{program}");
        output.line(&printable(&format!("not looked at: {name}: one of the two kernels gave no answer")));
    }

    let names: Vec<&str> = search.between.iter().map(|kernel| kernel.version.as_str()).collect();
    output.line(&match names.len() {
        0 => "There is no packaged kernel between them.".to_owned(),
        count => format!("Between them: {} ({})", names.join(", "), counted(count, "kernel")),
    });
    let mut ends = (good, bad);
    let found = bisect(search.between.len(), &mut |at| {
        let kernel = search.between.get(at).copied().ok_or_else(|| anyhow!("no kernel {at}"))?;
        let words = match bisection.outcome(kernel) {
            Ok(words) => words,
            Err(error) if session.cancel.is_cancelled() => return Err(error),
            Err(error) => {
                output.line(&printable(&format!("skipped {}: {error:#}", kernel.version)));
                return Ok(Step::Skip);
            }
        };
        match bisection.alike(&ends.0, &words, &aside) {
            Alike::Yes => {
                bisection.say("like the good one:", kernel, &words);
                ends.0 = words;
                Ok(Step::Good)
            }
            Alike::No => {
                let what = match bisection.alike(&ends.1, &words, &aside) {
                    Alike::Yes => "like the bad one:",
                    _ => "neither like the good one nor like the bad one, so bad:",
                };
                bisection.say(what, kernel, &words);
                ends.1 = words;
                Ok(Step::Bad)
            }
            Alike::Unknown(why) => {
                output.line(&printable(&format!("skipped {}: {why}", kernel.version)));
                Ok(Step::Skip)
            }
        }
    })?;

    let name = |at: Option<usize>, end: &'_ Packaged| -> String {
        at.and_then(|at| search.between.get(at)).map_or(&end.version, |kernel| &kernel.version).clone()
    };
    let (last_good, first_bad) = (name(found.good, search.good), name(found.bad, search.bad));
    output.line("");
    let rows = words::pair(&session.pool, &ends.0, &ends.1);
    let report = Report { kernels: [ends.0.kernel, ends.1.kernel], rows, incomplete: None };
    output.print(|out| between::to_terminal(&report, started.elapsed(), out));
    output.line("");
    if found.skipped.is_empty() {
        output.line(&format!(
            "{first_bad} is the first kernel that is not like the good one; {last_good} is the last that is."
        ));
    } else {
        let skipped: Vec<&str> = found.skipped.iter().filter_map(|at| names.get(*at)).copied().collect();
        output.line(&format!(
            "The first kernel that is not like the good one is {first_bad} or one that was skipped: {}; {last_good} is the \
             last that is.",
            skipped.join(", ")
        ));
    }
    Ok(Exit::Discrepancy)
}

/// One kernel for each version, oldest first: of several the one that is cached, else the last.
fn by_version(known: Vec<Packaged>) -> Vec<Packaged> {
    let mut kernels: Vec<Packaged> = Vec::new();
    for kernel in known {
        match kernels.last_mut().filter(|last| last.version == kernel.version) {
            Some(last) if last.cached.is_none() => *last = kernel,
            Some(_) => {}
            None => kernels.push(kernel),
        }
    }
    kernels
}

/// Where the search begins and what it goes over.
#[derive(Debug)]
struct Ends<'k> {
    good: &'k Packaged,
    bad: &'k Packaged,
    /// From good to bad, both excluded.
    between: Vec<&'k Packaged>,
}

impl<'k> Ends<'k> {
    fn find(known: &'k [Packaged], good: &str, bad: &str) -> Result<Ends<'k>> {
        let newest = |wanted: &str| {
            known.iter().rposition(|kernel| kernel.is(wanted)).with_context(|| match Wanted::parse(wanted) {
                Ok(Wanted::Packaged(_)) => {
                    let versions: Vec<&str> = known.iter().map(|kernel| kernel.version.as_str()).collect();
                    format!("no packaged kernel is {wanted}; there are {}", versions.join(", "))
                }
                _ => format!(
                    "{wanted}: the ends of a bisection are packaged kernels, such as 7.2 or 7.2.12, which have others \
                     between them; `livediff compare` compares any two"
                ),
            })
        };
        let (from, to) = (newest(good)?, newest(bad)?);
        if from == to {
            bail!("{good} and {bad} are the same kernel, {}", known[from].version);
        }
        let mut between: Vec<&Packaged> = known[from.min(to) + 1..from.max(to)].iter().collect();
        if from > to {
            between.reverse();
        }
        Ok(Ends { good: &known[from], bad: &known[to], between })
    }
}

/// What is the same for all steps.
struct Bisection<'b> {
    session: &'b Session,
    objects: &'b [ObjectFile],
    output: &'b Output,
    store: &'b Store,
}

/// Whether two kernels make the same of every program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Alike {
    Yes,
    No,
    /// Nobody knows: none differs, and of one at least there is no answer, which is this one and why.
    Unknown(String),
}

impl Bisection<'_> {
    /// Fetches and runs a kernel.
    fn outcome(&self, kernel: &Packaged) -> Result<Words> {
        let path = {
            let task = self.output.task(&format!("fetching {}", kernel.release));
            self.store.obtain(kernel, &|what| task.notice(what))?
        };
        let mut opened = Kernel::open(&Wanted::Image(path), self.session.dialect, &|_| {})?;
        opened.name.clone_from(&kernel.version);
        gather_one(self.session, &opened, self.objects, self.output)
    }

    fn say(&self, what: &str, kernel: &Packaged, words: &Words) {
        let between::Kernel { release, dialect, .. } = &words.kernel;
        let outcome = outcome(words);
        let text = format!("{what} {}: Linux {release} (dialect {dialect}): {outcome}", kernel.version);
        self.output.line(&printable(&text));
    }

    fn alike(&self, a: &Words, b: &Words, aside: &BTreeSet<Name>) -> Alike {
        alike(&words::pair(&self.session.pool, a, b), a, b, aside)
    }
}

/// An object and a program of it.
type Name = (String, String);

/// Whether two kernels make the same of every program but those of `aside`. `rows` are the [`words::pair`] of the two.
/// One difference is enough, and without it one program of which nobody knows.
pub(crate) fn alike(rows: &[Row], a: &Words, b: &Words, aside: &BTreeSet<Name>) -> Alike {
    let (mut told, mut unknown) = (false, None);
    for row in rows.iter().filter(|row| !aside.contains(&name_of(row))) {
        match one_alike(row, a, b) {
            Alike::No => return Alike::No,
            Alike::Yes => told = true,
            Alike::Unknown(why) => unknown = Some(why),
        }
    }
    match unknown {
        None if told => Alike::Yes,
        why => Alike::Unknown(why.unwrap_or_else(|| "there is no program".to_owned())),
    }
}

/// Programs of which nobody knows whether two kernels make the same of them.
fn undecided(rows: &[Row], a: &Words, b: &Words) -> BTreeSet<Name> {
    rows.iter().filter(|row| matches!(one_alike(row, a, b), Alike::Unknown(_))).map(name_of).collect()
}

fn name_of(row: &Row) -> Name {
    (row.object.clone(), row.program.clone())
}

fn one_alike(row: &Row, a: &Words, b: &Words) -> Alike {
    let status = |words: &Words| words::find(words, &name_of(row)).and_then(Word::wordless);
    match row.between.class {
        class if class.is_difference() => Alike::No,
        Class::NotCompared => match (status(a), status(b)) {
            (Some(one), Some(other)) if one == other => Alike::Yes,
            (Some(_), Some(_)) => Alike::No,
            _ => {
                let why = row.between.reason.as_deref().unwrap_or("it cannot be compared");
                Alike::Unknown(format!("{}/{}: {why}", row.object, row.program))
            }
        },
        _ => Alike::Yes,
    }
}

/// Runs the wanted programs of the objects in one kernel. A run that did not come to its end is an error.
pub(crate) fn gather_one(
    session: &Session,
    kernel: &Kernel,
    objects: &[ObjectFile],
    output: &Output,
) -> Result<Words> {
    let mut turns = session.each_kernel(std::slice::from_ref(kernel), &|kernel, options| {
        let task = output.task(&format!("Linux {}", kernel.image.release));
        words::gather(session, kernel, objects, options, (output, &task))
    });
    if session.cancel.is_cancelled() {
        return Err(RunError::Cancelled.into());
    }
    if let Some(error) = turns.ended_by {
        return Err(error);
    }
    match turns.done.pop().flatten() {
        _ if !turns.incomplete.is_empty() => bail!("{}", turns.incomplete.join("; ")),
        Some(words) if !words.programs.is_empty() => Ok(words),
        _ => bail!("the object has no such program"),
    }
}

/// How many programs came to what.
fn outcome(words: &Words) -> String {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for word in words.programs.values() {
        let what = match (word.wordless(), word) {
            (Some(status), _) => status.name().replace('_', " "),
            (None, Word::Said(_)) => "analysed".to_owned(),
            (None, Word::Not { .. }) => "without an answer".to_owned(),
        };
        *counts.entry(what).or_default() += 1;
    }
    let parts: Vec<String> = counts.into_iter().map(|(what, count)| format!("{count} {what}")).collect();
    parts.join(", ")
}

/// What is known of a kernel between the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Good,
    Bad,
    Skip,
}

/// How a search ended. Indexes are those of the kernels between the ends; an end itself has none.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// The last good one.
    good: Option<usize>,
    /// The first bad one.
    bad: Option<usize>,
    /// What lies between the two and could not be judged.
    skipped: Vec<usize>,
}

/// Finds where good becomes bad among `count` kernels between a good one and a bad one. Where the middle cannot be
/// judged the nearest to it is asked.
fn bisect(count: usize, judge: &mut dyn FnMut(usize) -> Result<Step>) -> Result<Found> {
    let (mut good, mut bad) = (None, None);
    let mut skipped = Vec::new();
    loop {
        let (from, to) = (good.map_or(0, |at: usize| at + 1), bad.unwrap_or(count));
        let middle = from + to.saturating_sub(from) / 2;
        let left = (from..to).filter(|at| !skipped.contains(at));
        let Some(at) = left.min_by_key(|at| at.abs_diff(middle)) else {
            skipped.retain(|at| (from..to).contains(at));
            skipped.sort_unstable();
            return Ok(Found { good, bad, skipped });
        };
        match judge(at)? {
            Step::Good => good = Some(at),
            Step::Bad => bad = Some(at),
            Step::Skip => skipped.push(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livediff::Dialect;

    /// A search over kernels of which those from `first_bad` on are bad, without those that are skipped.
    fn search(count: usize, first_bad: usize, skip: &[usize]) -> (Found, usize) {
        let mut asked = 0;
        let found = bisect(count, &mut |at| {
            asked += 1;
            assert!(at < count && asked <= count, "asked too often");
            Ok(match at {
                at if skip.contains(&at) => Step::Skip,
                at if at >= first_bad => Step::Bad,
                _ => Step::Good,
            })
        });
        (found.unwrap(), asked)
    }

    #[test]
    fn the_pair_is_found_wherever_it_is() {
        for count in 0..20 {
            for first_bad in 0..=count {
                let (found, asked) = search(count, first_bad, &[]);
                let expected = Found {
                    good: first_bad.checked_sub(1),
                    bad: (first_bad < count).then_some(first_bad),
                    skipped: Vec::new(),
                };
                assert_eq!(found, expected, "{count} {first_bad}");
                assert!(asked <= count.checked_ilog2().map_or(0, |log| log as usize + 1), "{count}: {asked}");
            }
        }
    }

    #[test]
    fn what_is_skipped_is_told_if_it_matters() {
        let (found, _) = search(9, 5, &[4, 1]);
        assert_eq!(found, Found { good: Some(3), bad: Some(5), skipped: vec![4] });
        let (found, _) = search(9, 5, &[1, 7]);
        assert_eq!(found, Found { good: Some(4), bad: Some(5), skipped: vec![] });
        let (found, asked) = search(3, 0, &[0, 1, 2]);
        assert_eq!((found, asked), (Found { good: None, bad: None, skipped: vec![0, 1, 2] }, 3));
        let mut cancelled = |_| bail!("cancelled");
        assert!(bisect(3, &mut cancelled).is_err());
    }

    fn packaged(version: &str, revision: &str, cached: bool) -> Packaged {
        Packaged {
            version: version.into(),
            release: format!("{version}+{revision}"),
            package: String::new(),
            cached: cached.then(PathBuf::new),
        }
    }

    #[test]
    fn ends_are_the_newest_of_what_is_named() {
        let versions = ["7.1.3", "7.1.13", "7.2.6", "7.2.9", "7.2.12", "7.3~rc7"];
        let known: Vec<Packaged> = versions.iter().map(|version| packaged(version, "deb13", false)).collect();
        let ends = |good: &str, bad: &str| {
            let ends = Ends::find(&known, good, bad)?;
            let between: Vec<&str> = ends.between.iter().map(|kernel| kernel.version.as_str()).collect();
            anyhow::Ok((ends.good.version.clone(), ends.bad.version.clone(), between.join(" ")))
        };
        let of = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(ends("7.1", "7.2").unwrap(), of("7.1.13", "7.2.12", "7.2.6 7.2.9"));
        assert_eq!(ends("7.2", "7.1.3").unwrap(), of("7.2.12", "7.1.3", "7.2.9 7.2.6 7.1.13"));
        assert_eq!(ends("7.2.12", "7.3").unwrap(), of("7.2.12", "7.3~rc7", ""));
        let fails = |good: &str, bad: &str| format!("{:#}", ends(good, bad).unwrap_err());
        assert!(fails("7.2", "7.2.12").contains("the same kernel, 7.2.12"));
        assert!(fails("7.0", "7.2").contains("no packaged kernel is 7.0; there are 7.1.3, 7.1.13"));
        assert!(fails("/x", "7.2").contains("packaged kernels"));
    }

    #[test]
    fn each_version_counts_once() {
        let known = vec![
            packaged("7.2.12", "a", true),
            packaged("7.2.12", "b", false),
            packaged("7.2.13", "a", false),
            packaged("7.2.13", "b", false),
        ];
        let releases: Vec<String> = by_version(known).into_iter().map(|kernel| kernel.release).collect();
        assert_eq!(releases, ["7.2.12+a", "7.2.13+b"]);
    }

    #[test]
    fn outcomes_are_alike_or_not_or_nobody_knows() {
        use livediff::diff::Status;
        use livediff_capture::{Capture, Insn, Kernel, Loaded, Said, Verdict};
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let exit = Insn { code: 0x95, ..Insn::default() };
        let loaded = Loaded { insns: vec![exit], prog_type: 1, ..Loaded::default() };
        let name = |program: &str| ("a.o".to_owned(), program.to_owned());
        let words =
            |word: Word| Words { kernel: between::Kernel::default(), programs: [(name("p"), word)].into() };
        let said = |verdict, errno, log: &str| {
            let said = Said { verdict, errno, log: log.into(), truncated: errno == 28 };
            let (object, program, kernel) = ("a.o".into(), "p".into(), Kernel::default());
            let capture = Capture { object, program, kernel, loaded: loaded.clone(), said };
            words(Word::captured(capture, Dialect::V7_2).unwrap())
        };
        let not = |status, reported| words(Word::Not { status, reason: "why".into(), reported });
        let section = livediff::log::section(&loaded, Dialect::V7_2).text;
        let analysed = || said(Verdict::Accepted, 0, &section);
        let other = said(Verdict::Accepted, 0, &section.replace("func#0", "func#1"));
        let refused = |why: &str| said(Verdict::Rejected, 22, &format!("func#0 @0\n{why}\n"));
        let cut = said(Verdict::Rejected, 28, &section[..section.len() / 2]);
        let none = BTreeSet::new();
        let of = |a: &Words, b: &Words| alike(&words::pair(&pool, a, b), a, b, &none);

        assert_eq!(of(&analysed(), &analysed()), Alike::Yes);
        assert_eq!(of(&analysed(), &other), Alike::No);
        assert_eq!(of(&analysed(), &refused("no")), Alike::No);
        assert_eq!(of(&refused("one"), &refused("other")), Alike::Yes);
        assert_eq!(of(&refused("one"), &not(Status::NotLoadable, true)), Alike::No);
        assert_eq!(of(&not(Status::NotLoadable, true), &not(Status::NotLoadable, true)), Alike::Yes);
        assert_eq!(of(&analysed(), &not(Status::Crashed, true)), Alike::No);
        for unknown in [&cut, &not(Status::Timeout, true), &not(Status::NotLoadable, false)] {
            for known in [analysed(), refused("no")] {
                assert!(matches!(of(&known, unknown), Alike::Unknown(_)), "{unknown:?}");
            }
        }

        // Two programs: a difference is enough, and without it one that nobody knows of is.
        let two = |mut p: Words, mut q: Words| {
            p.programs.insert(name("q"), q.programs.remove(&name("p")).unwrap());
            p
        };
        let timeout = || not(Status::Timeout, true);
        let good = two(analysed(), analysed());
        assert_eq!(of(&good, &two(analysed(), analysed())), Alike::Yes);
        assert_eq!(of(&good, &two(refused("no"), timeout())), Alike::No);
        assert_eq!(of(&good, &two(timeout(), refused("no"))), Alike::No);
        for undecided in [two(analysed(), timeout()), two(timeout(), analysed())] {
            for (a, b) in [(&good, &undecided), (&undecided, &good), (&undecided, &undecided)] {
                assert!(matches!(of(a, b), Alike::Unknown(_)), "{a:?} {b:?}");
            }
        }

        // What one end did not decide is put aside, whatever becomes of it between them.
        let (good, bad) = (two(analysed(), timeout()), two(refused("no"), analysed()));
        let aside = undecided(&words::pair(&pool, &good, &bad), &good, &bad);
        assert_eq!(aside, [name("q")].into());
        let of = |a: &Words, b: &Words| alike(&words::pair(&pool, a, b), a, b, &aside);
        for q in [timeout(), analysed(), refused("no")] {
            assert_eq!(of(&good, &two(analysed(), q)), Alike::Yes);
        }
        assert_eq!(of(&good, &two(refused("no"), timeout())), Alike::No);
        assert!(matches!(of(&good, &two(timeout(), analysed())), Alike::Unknown(_)));
    }
}
