//! What programs may call, as the tables have it, against what real kernels said.
//!
//! The files `tests/data/callable-*.txt` were written by `scripts/probe-callable`. Kernels of which no file is kept can
//! be held against the tables too: `LIVEDIFF_CALLABLE` names a file of one, and `LIVEDIFF_CALLABLE_DIALECT` its dialect.
#[path = "support/elf.rs"]
mod elf;
#[path = "support/skipped.rs"]
mod skipped;

use livediff::Dialect;
use livediff::bpf::btf::Btf;
use livediff::bpf::{Callable, Insn, helpers};
use livediff_capture::{Attach, Loaded};
use skipped::skipped;
use std::collections::HashMap;

/// BTF with functions of these names that take nothing, and the id of each.
fn btf_of<'n>(names: &[&'n str]) -> (Vec<u8>, HashMap<&'n str, i32>) {
    let (mut types, mut strings, mut ids) = (Vec::new(), vec![0_u8], HashMap::new());
    // Type 1: a prototype without parameters.
    types.extend([0, 13 << 24, 0_u32]);
    for (at, name) in names.iter().enumerate() {
        types.extend([u32::try_from(strings.len()).expect("short"), 12 << 24 | 1, 1]);
        strings.extend(name.bytes());
        strings.push(0);
        ids.insert(*name, i32::try_from(at + 2).expect("few"));
    }
    (elf::btf(&types, &strings), ids)
}

/// The program of a `program` line.
fn program(fields: &str) -> Loaded {
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| fields[at].parse().expect("a number");
    Loaded {
        prog_type: number(0),
        expected_attach_type: number(1),
        prog_flags: number(2),
        attach: (fields[3] != "-").then(|| Attach { name: fields[3].into(), ..Attach::default() }),
        ..Loaded::default()
    }
}

/// The function of a helper that every kernel has.
const ALWAYS_THERE: &str = "bpf_map_lookup_elem";

/// Holds the tables of a dialect against what a kernel said, and returns how often it had said something: of helpers,
/// and of kernel functions.
fn hold(said: &str, dialect: Dialect) -> [usize; 2] {
    let lines = || said.lines().filter_map(|line| line.split_once(' '));
    let named = |wanted| lines().filter(move |(word, _)| *word == wanted).map(|(_, name)| name);
    let kfuncs: Vec<&str> = named("kfunc").collect();
    let absent: Vec<&str> = named("absent").collect();
    let all = (0..).map_while(|id| helpers::name(dialect, id));
    let functions: Vec<&str> = named("kfunc").chain(named("function")).collect();
    let (data, ids) = btf_of(&functions);
    let btf = Btf::parse(&data).expect("valid");
    let kfuncs_of = Callable::new(&btf, dialect, &[]);
    let there = helpers::implementations(dialect);
    let there: Vec<&str> = there.into_iter().filter(|name| !absent.contains(name)).collect();
    assert!(there.contains(&ALWAYS_THERE));
    let (helper_data, _) = btf_of(&there);
    let helper_btf = Btf::parse(&helper_data).expect("valid");
    let helpers_of = Callable::new(&helper_btf, dialect, &[]);
    let all: Vec<Insn> = all.zip(0..).map(|(_, imm)| Insn { code: 0x85, imm, ..Insn::default() }).collect();

    let mut programs: Vec<Loaded> = Vec::new();
    let mut answered = false;
    let mut decided = [0; 2];
    for (word, rest) in lines() {
        if word == "program" {
            if std::mem::take(&mut answered) {
                programs.clear();
            }
            let mut loaded = Loaded { insns: all.clone(), ..program(rest) };
            helpers_of.fill(&mut loaded);
            programs.push(loaded);
        }
        if word != "helpers" && word != "kfuncs" {
            continue;
        }
        answered = true;
        for loaded in &programs {
            for (at, said) in rest.chars().enumerate().filter(|(_, said)| *said != '?') {
                let (name, allowed) = if word == "helpers" {
                    let id = i32::try_from(at).expect("few");
                    let allowed = helpers::prototype(dialect, loaded, id).is_some();
                    (helpers::name(dialect, id).expect("a name"), allowed)
                } else {
                    let call = Insn { code: 0x85, src_reg: 2, imm: ids[kfuncs[at]], ..Insn::default() };
                    let mut calls = Loaded { insns: vec![call], ..loaded.clone() };
                    kfuncs_of.fill(&mut calls);
                    (kfuncs[at], calls.kfuncs[0].prototype.is_some())
                };
                let Loaded { prog_type, expected_attach_type, prog_flags, attach, .. } = loaded;
                assert_eq!(
                    allowed,
                    said == '1',
                    "{name}: the kernel said {said} to a program of type {prog_type}, attach type \
                     {expected_attach_type}, flags {prog_flags:#x}, attached to {attach:?}"
                );
                decided[usize::from(word == "kfuncs")] += 1;
            }
        }
    }
    decided
}

/// As [`hold`], of a file that is kept: this many answers stand behind the tables.
fn hold_all(said: &str, dialect: Dialect) {
    let decided = hold(said, dialect);
    assert!(decided[0] > 30_000 && decided[1] > 40_000, "{decided:?}");
}

#[test]
fn linux_7_1() {
    hold_all(include_str!("data/callable-7.1.13.txt"), Dialect::V7_1);
}

#[test]
fn linux_7_2() {
    hold_all(include_str!("data/callable-7.2.12.txt"), Dialect::V7_2);
}

#[test]
fn linux_7_3() {
    hold_all(include_str!("data/callable-7.3-rc7.txt"), Dialect::V7_3);
}

/// A kernel of a small configuration, in which helpers and kernel functions are missing.
#[test]
fn linux_7_1_small() {
    hold_all(include_str!("data/callable-7.1.3-small.txt"), Dialect::Fed53dbcdb);
}

#[test]
fn another_kernel() {
    let Some(path) = std::env::var_os("LIVEDIFF_CALLABLE") else {
        skipped("no further kernel. Set LIVEDIFF_CALLABLE to what scripts/probe-callable wrote.");
        return;
    };
    let name = std::env::var("LIVEDIFF_CALLABLE_DIALECT").expect("LIVEDIFF_CALLABLE_DIALECT is set too");
    let dialect = Dialect::from_id(&name).expect("a dialect");
    let said = std::fs::read_to_string(path).expect("what a kernel said");
    let decided = hold(&said, dialect);
    assert!(decided[0] > 10_000, "{decided:?}");
}
