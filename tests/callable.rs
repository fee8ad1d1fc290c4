//! What programs may call, as the tables have it, against what a real kernel said.
//!
//! `tests/data/callable-7.2.12.txt` was written by `scripts/probe-callable`.
use livediff::Dialect;
use livediff::bpf::btf::Btf;
use livediff::bpf::{Insn, helpers, kfunc::Kfuncs};
use livediff_capture::{Attach, Loaded};
use std::collections::HashMap;

const SAID: &str = include_str!("data/callable-7.2.12.txt");

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
    let length = types.len() * 4;
    let header = [24, 0, length, length, strings.len()].map(|word| u32::try_from(word).expect("short"));
    let mut data = vec![0x9f, 0xeb, 1, 0];
    data.extend(header.iter().chain(&types).flat_map(|word| word.to_le_bytes()));
    data.extend(strings);
    (data, ids)
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

#[test]
fn the_tables_say_what_the_kernel_said() {
    let lines = || SAID.lines().filter_map(|line| line.split_once(' '));
    let named = |wanted| lines().filter(move |(word, _)| *word == wanted).map(|(_, name)| name);
    let kfuncs: Vec<&str> = named("kfunc").collect();
    let functions: Vec<&str> = named("kfunc").chain(named("function")).collect();
    let (data, ids) = btf_of(&functions);
    let btf = Btf::parse(&data).expect("valid");
    let index = Kfuncs::new(&btf, Dialect::V7_2, None);

    let mut programs: Vec<Loaded> = Vec::new();
    let mut answered = false;
    let mut decided = [0; 2];
    for (word, rest) in lines() {
        if word == "program" {
            if std::mem::take(&mut answered) {
                programs.clear();
            }
            programs.push(program(rest));
        }
        if word != "helpers" && word != "kfuncs" {
            continue;
        }
        answered = true;
        for loaded in &programs {
            for (at, said) in rest.chars().enumerate().filter(|(_, said)| *said != '?') {
                let (name, allowed) = if word == "helpers" {
                    let id = i32::try_from(at).expect("few");
                    let allowed = helpers::prototype(Dialect::V7_2, loaded, id).is_some();
                    (helpers::name(Dialect::V7_2, id).expect("a name"), allowed)
                } else {
                    let call = Insn { code: 0x85, src_reg: 2, imm: ids[kfuncs[at]], ..Insn::default() };
                    let found = index.resolve(&Loaded { insns: vec![call], ..loaded.clone() });
                    (kfuncs[at], found[0].prototype.is_some())
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
    // The file was read: this many answers of a kernel stand behind the tables.
    assert!(decided[0] > 40_000 && decided[1] > 50_000, "{decided:?}");
}
