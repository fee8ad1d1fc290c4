//! What real kernels said of the programs in `corpus/`, replayed: the model must say the same, and the comparison must
//! notice when it does not.
//!
//! A capture that fails is mended in the model. It is recorded again only if the program itself has changed.

#[path = "support/files.rs"]
mod files;

use files::files;
use livediff::{
    Dialect,
    diff::{self, Between, Class, Comparison, Side, Status},
    log::{self, LineKind, Section},
};
use livediff_capture::{Capture, Said, file};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::OnceLock,
};

const CAPTURES: &str = "corpus/captures";

/// A kernel of which there are captures.
struct Kernel {
    release: &'static str,
    dialect: Dialect,
    /// Programs that it cannot load, so that it said nothing of them.
    absent: usize,
    /// Programs that it refuses before its liveness analysis, so that there is nothing to compare.
    refused_early: usize,
}

const fn kernel(release: &'static str, dialect: Dialect, absent: usize, refused_early: usize) -> Kernel {
    Kernel { release, dialect, absent, refused_early }
}

/// Every dialect has at least one. Absent are: in 6.18, what needs jump tables; in 7.1.3, a small kernel built of the
/// sources of that release and the liveness.c of fed53dbcdb, programs for hooks of security modules, and extensions of
/// such. Refused early are: up to 7.1, a jump table of a subprogram; in the seed and 7.1, stack arguments; and calls of a
/// kernel function that no program may call.
const KERNELS: [Kernel; 7] = [
    kernel("6.18.15+deb13-cloud-amd64", Dialect::Dynamic6_18, 6, 0),
    kernel("6.19.14+deb13-cloud-amd64", Dialect::Dynamic6_19, 0, 1),
    kernel("7.0.13+deb13-cloud-amd64", Dialect::Dynamic7_0, 0, 1),
    kernel("7.1.3", Dialect::Fed53dbcdb, 7, 13),
    kernel("7.1.13+deb13-cloud-amd64", Dialect::V7_1, 0, 13),
    kernel("7.2.13+deb14-cloud-amd64", Dialect::V7_2, 0, 0),
    kernel("7.3-cloud-amd64", Dialect::V7_3, 0, 1),
];

/// All captures, those of a program one after another.
fn captures() -> &'static [Capture] {
    static CAPTURES_READ: OnceLock<Vec<Capture>> = OnceLock::new();
    CAPTURES_READ.get_or_init(|| {
        let paths = files(Path::new(CAPTURES), file::EXTENSION);
        assert!(paths.len() >= 100, "only {} files", paths.len());
        paths.iter().flat_map(|path| file::read(path).expect("captures")).collect()
    })
}

fn dialect(capture: &Capture) -> Dialect {
    Dialect::from_id(&capture.kernel.dialect).expect("a dialect")
}

fn name(capture: &Capture) -> String {
    format!("{}/{}", capture.object, capture.program)
}

#[test]
fn every_dialect_has_captures() {
    for dialect in Dialect::ALL {
        assert!(KERNELS.iter().any(|kernel| kernel.dialect == dialect), "{}", dialect.id());
    }
    for capture in captures() {
        let kernel = KERNELS.iter().find(|kernel| kernel.release == capture.kernel.release);
        assert_eq!(kernel.map(|kernel| kernel.dialect), Some(dialect(capture)), "{}", name(capture));
        assert!(!capture.kernel.dialect_forced, "{}", name(capture));
    }
}

/// So many programs that differ are enough to know; `livediff diff --replay corpus/captures` tells of all.
const SHOWN: usize = 20;

/// The outcome for each of [`captures`], found when it is asked for.
fn judged() -> impl Iterator<Item = (&'static Capture, &'static Comparison)> {
    static JUDGED: OnceLock<Vec<OnceLock<Comparison>>> = OnceLock::new();
    let judge = |capture: &Capture| diff::judge(&capture.loaded, &capture.said, dialect(capture));
    let outcomes = JUDGED.get_or_init(|| captures().iter().map(|_| OnceLock::new()).collect());
    std::iter::zip(captures(), outcomes)
        .map(move |(capture, outcome)| (capture, outcome.get_or_init(|| judge(capture))))
}

#[test]
fn the_model_says_what_the_kernels_said() {
    let mut differences = Vec::new();
    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (capture, comparison) in judged() {
        match comparison.status {
            Status::Match => {}
            Status::RejectedEarly => {
                let reason = comparison.reason.as_deref().unwrap_or_default();
                let text = format!("{}: {reason}", name(capture));
                refused.entry(&capture.kernel.release).or_default().push(text);
            }
            _ => {
                differences.push(format!("{} in {}: {comparison:#?}", name(capture), capture.kernel.release));
                if differences.len() == SHOWN {
                    break;
                }
            }
        }
    }
    assert!(differences.is_empty(), "{} or more differ:\n{}", differences.len(), differences.join("\n"));
    for Kernel { release, refused_early, .. } in KERNELS {
        let refused = refused.remove(release).unwrap_or_default();
        assert_eq!(refused.len(), refused_early, "{release} refused early: {refused:#?}");
    }
}

/// No program of the corpus is without a capture, but for those that a kernel cannot load.
#[test]
fn every_program_was_recorded() {
    let recorded: BTreeSet<(&str, &str, &str)> = captures()
        .iter()
        .map(|capture| (&*capture.object, &*capture.program, &*capture.kernel.release))
        .collect();
    let objects = files(Path::new("corpus"), "o");
    assert!(!objects.is_empty());
    let mut programs = BTreeSet::new();
    for path in objects {
        let bytes = fs::read(&path).expect("an object");
        let object = object::File::parse(&*bytes).expect("an ELF file");
        for symbol in object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            // libbpf takes every function for a program that does not stand in .text.
            let section = symbol.section_index().and_then(|index| object.section_by_index(index).ok());
            let in_text = |section: &object::Section<'_, '_>| section.name() == Ok(".text");
            if section.is_some_and(|section| section.kind() == SectionKind::Text && !in_text(&section)) {
                let name = symbol.name().unwrap_or_default();
                programs.insert((path.to_string_lossy().into_owned(), name.to_owned()));
            }
        }
    }
    for Kernel { release, absent, .. } in KERNELS {
        let missing: Vec<_> = programs
            .iter()
            .filter(|(object, program)| !recorded.contains(&(object, program, release)))
            .collect();
        assert_eq!(missing.len(), absent, "record these in {release} (see CONTRIBUTING.md): {missing:#?}");
    }
    let gone: Vec<_> = recorded
        .iter()
        .filter(|(object, program, _)| !programs.contains(&((*object).to_owned(), (*program).to_owned())))
        .collect();
    assert!(gone.is_empty(), "captures of programs that are gone: {gone:#?}");
}

/// What a capture is compared as between two kernels.
fn side(capture: &Capture) -> Side<'_> {
    Side { dialect: dialect(capture), loaded: &capture.loaded, said: &capture.said }
}

/// The captures of a program from two kernels, where both have one.
fn pairs(a: Dialect, b: Dialect) -> Vec<(&'static Capture, &'static Capture)> {
    let find = |name: &str, wanted: Dialect| {
        captures().iter().find(|other| dialect(other) == wanted && self::name(other) == name)
    };
    let firsts = captures().iter().filter(|capture| dialect(capture) == a);
    firsts.filter_map(|first| Some((first, find(&name(first), b)?))).collect()
}

/// Kernels of different dialects differ as their dialects do, and in what they accept.
#[test]
fn between_kernels_only_dialects_differ() {
    use Dialect::{Dynamic6_18, Fed53dbcdb, V7_1, V7_2, V7_3};
    // Programs by class, in the order of `Class::ALL`.
    for (a, b, expected) in [
        (V7_1, V7_2, [326, 3, 0, 0, 0, 13, 0]),
        (V7_2, V7_3, [249, 92, 0, 0, 1, 0, 0]),
        (Fed53dbcdb, V7_1, [6, 316, 0, 0, 0, 0, 13]),
        (Dynamic6_18, V7_2, [0, 332, 4, 0, 0, 0, 0]),
    ] {
        let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
        for (first, second) in pairs(a, b) {
            let between = diff::between(&side(first), &side(second));
            *classes.entry(between.class).or_default() += 1;
            let explained = match between.class {
                Class::Same | Class::Explained => true,
                // A kernel function that 6.18 does not have, or a member that it has at another place.
                Class::LoadedDifferently => between.as_model == Some([true; 2]) && a == Dynamic6_18,
                // A program that only one of them takes, or none.
                Class::OnlyInA | Class::OnlyInB | Class::NotCompared => between.reason.is_some(),
                _ => false,
            };
            let Between { class, reason, inputs, as_model, .. } = &between;
            let context = format!("{} between {} and {}", name(first), a.id(), b.id());
            assert!(explained, "{context}: {class}, {reason:?}, {inputs:?}, {as_model:?}");
        }
        let of = |class| classes.get(&class).copied().unwrap_or_default();
        let found = Class::ALL.map(of);
        assert_eq!(found, expected, "{} and {}: {classes:?}", a.id(), b.id());
    }
}

/// A kernel's words against themselves are the same, and with a line altered they are not: whatever the line.
#[test]
fn between_kernels_an_altered_line_is_noticed() {
    for capture in captures().iter().filter(|capture| dialect(capture) == Dialect::V7_2).step_by(3) {
        assert_eq!(diff::between(&side(capture), &side(capture)).class, Class::Same, "{}", name(capture));
        let section = log::section(&capture.loaded, Dialect::V7_2);
        let start = capture.said.log.find("func#").expect("a section");
        let lines: Vec<&str> = capture.said.log[start..].split_inclusive('\n').collect();
        for (at, kind) in last_of_each_kind(&section) {
            let log = [&lines[..at], &lines[at + 1..]].concat().concat();
            let said = Said { log, ..capture.said.clone() };
            let other = Side { said: &said, ..side(capture) };
            let between = diff::between(&side(capture), &other);
            let context = || format!("{}: without {kind:?} {:?}", name(capture), lines[at]);
            assert!(between.class.is_difference(), "{}", context());
            assert!(!between.kinds().is_empty() || between.class == Class::OnlyInA, "{}", context());
        }
    }
}

/// The last line of each kind in a capture of each program, left out, doubled, and with a digit changed. The kernels
/// take turns, because all captures would take long.
#[test]
fn an_altered_line_is_noticed() {
    let mut kinds = BTreeMap::<Dialect, BTreeSet<String>>::new();
    // First what there is to alter, so that what a kernel refused takes nobody's turn.
    let matching = judged().filter(|(_, comparison)| comparison.status == Status::Match);
    for (capture, _) in matching.step_by(KERNELS.len() - 1) {
        let dialect = dialect(capture);
        let section = log::section(&capture.loaded, dialect);
        let start = capture.said.log.find("func#").expect("a section");
        let lines: Vec<&str> = capture.said.log[start..].split_inclusive('\n').collect();
        for (at, kind) in last_of_each_kind(&section) {
            kinds.entry(dialect).or_default().insert(format!("{kind:?}"));
            let line = lines[at];
            let mut changed = line.to_owned();
            if let Some((at, digit)) = line.char_indices().find(|(_, c)| c.is_ascii_digit()) {
                changed.replace_range(at..=at, if digit == '3' { "4" } else { "3" });
            } else {
                changed.insert(0, ' ');
            }
            for altered in [String::new(), line.repeat(2), changed] {
                let log = [&lines[..at], &[altered.as_str()], &lines[at + 1..]].concat().concat();
                let said = Said { log, ..capture.said.clone() };
                let comparison = diff::compare(&capture.loaded, &said, dialect, &section);
                let context = || format!("{}/{}: {line:?} made {altered:?}", capture.object, capture.program);
                assert_eq!(comparison.status, Status::Mismatch, "{}", context());
                let difference = comparison.difference.unwrap_or_else(|| panic!("{}", context()));
                assert!(difference.unified.contains("@@ -"), "{}", context());
                assert!(difference.facts.kind().is_some(), "{}", context());
            }
        }
    }
    // Every kind of line that a dialect has was altered.
    for dialect in Dialect::ALL {
        let altered = kinds.remove(&dialect).unwrap_or_default();
        for kind in kinds_of(dialect) {
            assert!(
                altered.contains(&format!("{kind:?}")),
                "{}: {kind:?} is not in {altered:?}",
                dialect.id()
            );
        }
    }
}

/// The kinds of lines that most programs have in this dialect: all but complaints and errors.
fn kinds_of(dialect: Dialect) -> &'static [LineKind] {
    use LineKind::{
        Analyzing, InstanceHeader, Join, Listing, ListingHeader, LiveRegs, LiveRegsHeader, MaskChange,
        Subprog, TopoOrder, Transfer, UpdateDone, UseDef,
    };
    match dialect {
        Dialect::Dynamic6_18 | Dialect::Dynamic6_19 | Dialect::Dynamic7_0 => {
            &[Subprog, LiveRegsHeader, LiveRegs]
        }
        Dialect::Fed53dbcdb => &[
            Subprog,
            TopoOrder,
            Analyzing,
            Transfer,
            Join,
            ListingHeader,
            Listing,
            MaskChange,
            UpdateDone,
            LiveRegsHeader,
            LiveRegs,
        ],
        Dialect::V7_1 | Dialect::V7_2 | Dialect::V7_3 => &[
            Subprog,
            TopoOrder,
            Analyzing,
            Transfer,
            Join,
            ListingHeader,
            Listing,
            InstanceHeader,
            UseDef,
            LiveRegsHeader,
            LiveRegs,
        ],
    }
}

fn last_of_each_kind(section: &Section) -> Vec<(usize, LineKind)> {
    let mut last: Vec<(usize, LineKind)> = Vec::new();
    for (at, origin) in section.origins.iter().enumerate() {
        last.retain(|(_, kind)| *kind != origin.kind);
        last.push((at, origin.kind));
    }
    last
}
