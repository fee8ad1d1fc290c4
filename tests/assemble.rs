//! Programs of the corpus, taken apart as a kernel was given them and written again: libbpf's view of what is written
//! must be what the kernel was given before.
//!
//! Kernel functions are looked up in the object's own BTF instead of a kernel's.

#[path = "support/files.rs"]
mod files;
#[path = "support/skipped.rs"]
mod skipped;

use files::files;
use livediff::{
    Dialect,
    assemble::{self, Program},
    bpf::{
        Callable,
        btf::{Btf, Kind},
    },
    loader::{self, Difference, Kernel},
};
use livediff_capture::{Capture, Loaded, file};
use object::{Object, ObjectSection};
use skipped::skipped;
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// Programs that are not the same again, by cause. Exact: one that is the same after all must be taken out.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    // What is written always has BTF.
    (
        "differs: func_info",
        &[
            "corpus/nobtf/plain.bpf.o/nameless_callback",
            "corpus/nobtf/plain.bpf.o/nameless_constant",
            "corpus/nobtf/plain.bpf.o/nameless_main",
            "corpus/nobtf/plain.bpf.o/nameless_recursion",
            "corpus/nobtf/plain.bpf.o/nameless_subprograms",
        ],
    ),
];

/// Clang takes a while for each source, so only one of so many is built.
const EVERY: usize = 9;

/// What a kernel of series 7.2 was given.
fn captures() -> Vec<Capture> {
    let paths = files(Path::new("corpus/captures"), file::EXTENSION);
    let all = paths.iter().flat_map(|path| file::read(path).expect("captures"));
    let captures: Vec<Capture> = all.filter(|capture| capture.kernel.dialect == Dialect::V7_2.id()).collect();
    assert!(captures.len() >= 300, "{} captures", captures.len());
    captures
}

fn btf_of(object: &str) -> Option<Vec<u8>> {
    let bytes = fs::read(object).expect("the object");
    let file = object::File::parse(&*bytes).expect("an ELF file");
    Some(file.section_by_name(".BTF")?.data().expect("its contents").to_vec())
}

const NO_BTF: &[u8] = &[0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

/// Gives kernel functions the ids that they have in `btf`.
fn renumber(loaded: &mut Loaded, btf: &Btf<'_>) {
    let ids: BTreeMap<i32, i32> = loaded
        .kfuncs
        .iter()
        .filter_map(|kfunc| Some((kfunc.btf_id, btf.find(&kfunc.name, Kind::Func)?.cast_signed())))
        .collect();
    for insn in loaded.insns.iter_mut().filter(|insn| insn.is_kfunc_call()) {
        insn.imm = ids.get(&insn.imm).copied().unwrap_or(insn.imm);
    }
    for kfunc in &mut loaded.kfuncs {
        kfunc.btf_id = ids.get(&kfunc.btf_id).copied().unwrap_or(kfunc.btf_id);
    }
}

/// The program taken apart, and what differs when it is opened again from `bytes`.
fn opened_again(bytes: &[u8], wanted: &Loaded, btf: &[u8]) -> Result<(), String> {
    let types = Btf::parse(btf).expect("BTF");
    let callable = Callable::new(&types, Dialect::V7_2, &[]);
    let kernel = Kernel::new(btf, &types, &callable).map_err(|error| error.to_string())?;
    let programs =
        loader::open("x.bpf.o", bytes, Some(&kernel)).map_err(|error| format!("opened: {error}"))?;
    let [program] = programs.as_slice() else { return Err(format!("{} programs", programs.len())) };
    let loaded = program.loaded.as_ref().map_err(|reason| format!("program: {reason}"))?;
    let same_type =
        ["prog_type", "expected_attach_type", "prog_flags", "attach", "kfuncs"].map(Difference::Field);
    // The section is another, so the type is; prototypes are the kernel's, not the object's.
    let mut differences = loader::differences(loaded, wanted);
    differences.retain(|difference| !same_type.contains(difference));
    match differences.first() {
        None => Ok(()),
        Some(difference) => Err(format!("differs: {difference}")),
    }
}

/// Calls `check` with every program, and holds what it says against the exceptions.
fn each(
    every: usize,
    check: impl Fn(&str, &Program, &Loaded, &[u8]) -> Result<(), String>,
) -> Vec<(String, String)> {
    let mut failures = Vec::new();
    for Capture { object, program, mut loaded, .. } in captures().into_iter().step_by(every) {
        let name = format!("{object}/{program}");
        let btf = btf_of(&object).unwrap_or_else(|| NO_BTF.to_vec());
        let types = Btf::parse(&btf).expect("BTF");
        renumber(&mut loaded, &types);
        let outcome = Program::import(&program, "socket", &loaded, &types)
            .map_err(|error| format!("import: {error}"))
            .and_then(|program| check(&name, &program, &loaded, &btf));
        if let Err(reason) = outcome {
            failures.push((name, reason));
        }
    }
    failures
}

fn is_exception(name: &str, reason: &str) -> bool {
    EXCEPTIONS.iter().any(|(cause, names)| reason.starts_with(cause) && names.contains(&name))
}

#[test]
fn objects_hold_what_was_taken_apart() {
    let failures = each(1, |_, program, loaded, btf| {
        let bytes = assemble::object(std::slice::from_ref(program)).map_err(|error| error.to_string())?;
        opened_again(&bytes, loaded, btf)
    });
    let new: Vec<_> = failures.iter().filter(|(name, reason)| !is_exception(name, reason)).collect();
    assert!(new.is_empty(), "{} programs: {new:#?}", new.len());
    let known: usize = EXCEPTIONS.iter().map(|(_, names)| names.len()).sum();
    assert_eq!(failures.len(), known, "an exception is none any more");
}

#[test]
fn sources_give_what_was_taken_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut written: BTreeMap<String, (String, Loaded, Vec<u8>)> = BTreeMap::new();
    let written_ref = std::cell::RefCell::new(&mut written);
    let failures = each(EVERY, |name, program, loaded, btf| {
        let text =
            assemble::source(program, "A program of the corpus.").map_err(|error| error.to_string())?;
        let mut written = written_ref.borrow_mut();
        let file = format!("s{}", written.len());
        fs::write(folder.path().join(format!("{file}.bpf.c")), text).expect("a file");
        written.insert(file, (name.to_owned(), loaded.clone(), btf.to_vec()));
        Ok(())
    });
    assert!(failures.is_empty(), "{failures:?}");
    let mut build = Command::new(env!("CARGO_BIN_EXE_livediff"));
    let built = build.args(["corpus", "build"]).arg(folder.path()).output().expect("livediff");
    let said = String::from_utf8_lossy(&built.stderr);
    if said.contains("no clang of version") {
        skipped("whether sources build needs clang 22 or later");
        return;
    }
    assert!(built.status.success(), "{said}");
    assert!(written.len() > 300 / EVERY);
    let mut failures = Vec::new();
    for (file, (name, loaded, btf)) in &written {
        let read = |ending: &str| fs::read(folder.path().join(format!("{file}{ending}"))).expect("a file");
        match opened_again(&read(".bpf.o"), loaded, btf) {
            Err(reason) if !is_exception(name, &reason) => {
                failures.push(format!("{name}: {reason}\n{}", String::from_utf8_lossy(&read(".bpf.c"))));
            }
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), written.len(), failures.join("\n"));
}
