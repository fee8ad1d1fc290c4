//! What real kernels said of the programs in `corpus/`, replayed: the model must say the same, and the comparison must
//! notice when it does not.
//!
//! A capture that fails is mended in the model. It is recorded again only if the program itself has changed.

use livediff::{
    Dialect,
    diff::{self, Status},
    log::{self, LineKind, Section},
};
use livediff_capture::{Capture, Said, file};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const CAPTURES: &str = "corpus/captures";

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn captures() -> Vec<Capture> {
    let mut paths = Vec::new();
    files(Path::new(CAPTURES), file::EXTENSION, &mut paths);
    let captures: Vec<Capture> = paths.iter().flat_map(|path| file::read(path).expect("captures")).collect();
    assert!(captures.len() >= 100, "only {} captures", captures.len());
    captures
}

fn dialect(capture: &Capture) -> Dialect {
    Dialect::from_id(&capture.kernel.dialect).expect("a dialect")
}

#[test]
fn the_model_says_what_the_kernels_said() {
    let mut differences = Vec::new();
    for capture in captures() {
        let comparison = diff::judge(&capture.loaded, &capture.said, dialect(&capture));
        if comparison.status != Status::Match {
            differences.push(format!("{}/{}: {comparison:#?}", capture.object, capture.program));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// No program of the corpus is without a capture.
#[test]
fn every_program_was_recorded() {
    let recorded: BTreeSet<(String, String)> =
        captures().into_iter().map(|capture| (capture.object, capture.program)).collect();
    let mut objects = Vec::new();
    files(Path::new("corpus"), "o", &mut objects);
    assert!(!objects.is_empty());
    let mut missing = Vec::new();
    for path in objects {
        let bytes = fs::read(&path).expect("an object");
        let object = object::File::parse(&*bytes).expect("an ELF file");
        for symbol in object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            // libbpf takes every function for a program that does not stand in .text.
            let section = symbol.section_index().and_then(|index| object.section_by_index(index).ok());
            let in_text = |section: &object::Section<'_, '_>| section.name() == Ok(".text");
            if section.is_some_and(|section| section.kind() == SectionKind::Text && !in_text(&section)) {
                let program =
                    (path.to_string_lossy().into_owned(), symbol.name().unwrap_or_default().to_owned());
                if !recorded.contains(&program) {
                    missing.push(program);
                }
            }
        }
    }
    assert!(missing.is_empty(), "record these (see CONTRIBUTING.md): {missing:?}");
}

/// The last line of each kind in each capture, left out, doubled, and with a digit changed.
#[test]
fn an_altered_line_is_noticed() {
    let mut kinds = BTreeSet::new();
    for capture in captures() {
        let dialect = dialect(&capture);
        let section = log::section(&capture.loaded, dialect);
        let start = capture.said.log.find("func#").expect("a section");
        let lines: Vec<&str> = capture.said.log[start..].split_inclusive('\n').collect();
        for (at, kind) in last_of_each_kind(&section) {
            kinds.insert(format!("{kind:?}"));
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
            }
        }
    }
    // Every kind of line that there is was altered somewhere.
    assert!(kinds.len() >= 11, "only {kinds:?}");
}

fn last_of_each_kind(section: &Section) -> Vec<(usize, LineKind)> {
    let mut last: Vec<(usize, LineKind)> = Vec::new();
    for (at, origin) in section.origins.iter().enumerate() {
        last.retain(|(_, kind)| *kind != origin.kind);
        last.push((at, origin.kind));
    }
    last
}
