//! Inputs that were once found to be trouble, given again to what they were trouble for, a whole one for each target, and
//! small broken ones.
//!
//! The inputs are in `fuzz/regressions/TARGET/`; `scripts/fuzz` finds new ones.
#![forbid(unsafe_code)]

#[path = "support/elf.rs"]
mod elf;
#[path = "../fuzz/targets.rs"]
mod targets;

use elf::{BPF, EXECUTABLE, Elf, Section, Symbol};
use livediff::{
    Dialect,
    bpf::{Callable, btf::Btf},
    loader::{self, OpenError},
    log,
};
use livediff_capture::file::{self, FormatError};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use std::{
    fs,
    io::Write,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

/// The tests take turns, because what is measured is the time of the whole process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn inputs_that_were_found_by_fuzzing_do_no_harm_any_more() {
    let _turn = turn();
    let folder = Path::new("fuzz/regressions");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(targets::TARGETS.iter().any(|(target, _)| *target == name), "{name} is no target");
    }
    for (name, target) in targets::TARGETS {
        // One at least is whole, or nothing would be known of what a target does with one.
        let mut whole = 0;
        for input in fs::read_dir(folder.join(name)).expect("a folder for every target") {
            let input = input.unwrap().path();
            println!("{}", input.display());
            whole += usize::from(target(&fs::read(&input).unwrap()));
        }
        assert!(whole > 0, "no input of {name} is whole");
    }
}

/// Whatever keeps `cargo fuzz` from saying what there is must not pass for nothing found.
#[test]
fn fuzzing_that_knows_no_target_fails() {
    let folder = tempfile::tempdir().unwrap();
    let cargo = folder.path().join("cargo");
    fs::write(&cargo, "#!/bin/sh\n[ \"$2\" = --version ]\n").unwrap();
    fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::join_paths([folder.path(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
    let status = std::process::Command::new("scripts/fuzz").arg("1").env("PATH", path).status().unwrap();
    assert!(!status.success());
}

/// What a kernel said of a program, as the target of logs takes it.
fn a_log() -> Vec<u8> {
    let (at, capture) = targets::CAPTURES.iter().enumerate().next_back().unwrap();
    [&[u8::try_from(at).unwrap()], capture.said.log.as_bytes()].concat()
}

/// The target of logs comes as far as comparing, or it could not find anything.
#[test]
fn logs_are_compared() {
    let _turn = turn();
    let log = a_log();
    assert!(targets::log(&log), "a match");
    let line = log.len() - log.iter().rev().skip(1).position(|byte| *byte == b'\n').unwrap() - 1;
    assert!(targets::log(&[&log[..line], b"processed 1 insns\n"].concat()), "other words behind the section");
    assert!(!targets::log(&[0]), "no words");
}

/// Every prefix of something whole, and every byte of its beginning changed.
#[test]
fn cut_and_changed_inputs_do_no_harm() {
    let _turn = turn();
    let object = fs::read("corpus/nobtf/plain.bpf.o").unwrap();
    let capture =
        fs::read("corpus/captures/corpus/joins/join.bpf.o/join_one_offset_with_none.capture").unwrap();
    let json = serde_json::to_vec(targets::CAPTURES.last().unwrap()).unwrap();
    for (name, whole) in [("object", object), ("capture", capture), ("json", json), ("log", a_log())] {
        let (_, target) = targets::TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
        assert!(target(&whole), "the {name} is whole");
        let step = (whole.len() / 200).max(1);
        for cut in (0..whole.len()).step_by(step) {
            target(&whole[..cut]);
        }
        for at in (0..whole.len()).step_by(step) {
            for value in [0, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                target(&changed);
            }
        }
    }
}

#[test]
fn arbitrary_programs_are_analysed_alike_with_and_without_a_listener() {
    let _turn = turn();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for length in (0..3_000).map(|i| i % 600) {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                // xorshift: the same bytes on every machine.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        targets::analysis(&bytes);
    }
}

/// How long a debug build may keep a processor busy: what is quadratic takes minutes. Not by the clock, which tells more
/// of what else the machine does.
const LIMIT: TimeVal = TimeVal::new(30, 0);

/// How long the threads of this process have kept processors busy. All of them: objects are opened on one of their own.
fn busy() -> TimeVal {
    busy_of(UsageWho::RUSAGE_SELF)
}

fn busy_of(who: UsageWho) -> TimeVal {
    let usage = getrusage(who).unwrap();
    usage.user_time() + usage.system_time()
}

#[test]
fn what_another_thread_does_counts() {
    let _turn = turn();
    let begun = busy();
    let work = TimeVal::new(0, 100_000);
    thread::spawn(move || while busy_of(UsageWho::RUSAGE_THREAD) < work {}).join().unwrap();
    assert!(busy() - begun >= work, "{}", busy() - begun);
}

/// Most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The object is refused as too large, for this reason, and soon.
#[track_caller]
fn refused(elf: &Elf, reason: &str) {
    let bytes = elf.bytes();
    let begun = busy();
    let error = loader::open("hostile.bpf.o", &bytes, None).expect_err("it is refused");
    assert!(busy() - begun < LIMIT, "{}", busy() - begun);
    assert!(matches!(&error, OpenError::TooLarge(why) if why.contains(reason)), "{error}");
}

const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

/// A program that calls the first of a chain of functions.
fn chain(length: usize) -> Elf {
    let mut elf = Elf::new(BPF);
    // A call of the function behind this one, and an exit.
    let call = [0x85, 0x10, 0, 0, 1, 0, 0, 0];
    let text = [call, EXIT].concat().repeat(length - 1);
    let text = elf.section("socket", EXECUTABLE, [text, EXIT.to_vec()].concat());
    for number in 0..length {
        let size = if number + 1 == length { 8 } else { 16 };
        elf.function(&format!("f{number}"), text, number as u64 * 16, size);
    }
    elf
}

#[test]
fn what_an_object_asks_for_is_bounded() {
    let _turn = turn();
    // Real ones pass.
    let programs = loader::open("chain.bpf.o", &chain(2).bytes(), None).unwrap();
    assert_eq!(programs[0].loaded.as_ref().map(|loaded| loaded.insns.len()), Ok(3));

    refused(&chain(20_001), "20001 functions");
    // Each of a number of programs would be given a copy of all of them.
    refused(&chain(20_000), "20000 programs");

    let mut elf = chain(1);
    elf.section(".data", 3, vec![0; 1 << 20]);
    elf.sections.swap(0, 1);
    elf.symbols[0].section = 2;
    elf.overlap = 60_000;
    refused(&elf, "they overlap");

    let mut elf = chain(1);
    elf.sections[0].data = EXIT.repeat(10_000);
    elf.symbols = (0..10_000).map(|_| Symbol { size: 80_000, ..elf.symbols[0] }).collect();
    refused(&elf, "they overlap");

    let mut elf = chain(1);
    elf.names.extend(vec![b'x'; 1 << 20]);
    elf.names.push(0);
    elf.symbols.extend((0..1000).map(|at| Symbol { name: 10 + at, section: 1, ..Symbol::default() }));
    refused(&elf, "names of its symbols");

    let mut elf = chain(1);
    elf.section("x".repeat(9000).leak(), EXECUTABLE, EXIT.to_vec());
    refused(&elf, "the name of a section has 9000 bytes");

    let mut elf = chain(1);
    elf.sections
        .insert(0, Section { name: "x".repeat(8000).leak(), kind: elf::PROGBITS, flags: 0, data: vec![] });
    elf.symbols[0].section = 2;
    elf.overlap = 60_000;
    refused(&elf, "names of its sections");

    // Every relocation is against one symbol with a long name.
    let mut elf = chain(1);
    elf.function(&"x".repeat(1 << 20), 0, 0, 0);
    let relocation = [0u64.to_le_bytes(), (2u64 << 32 | 10).to_le_bytes()].concat();
    let section = elf.section(".relsocket", 0, relocation.repeat(1000));
    elf.relocations = Some((section, 1));
    refused(&elf, "what its relocations refer to");

    let mut elf = chain(1);
    for _ in 0..3 {
        elf.section(".bss", 3, Vec::new());
    }
    elf.sections.iter_mut().filter(|section| section.name == ".bss").for_each(|bss| bss.kind = elf::NOBITS);
    elf.bss = 1 << 29;
    refused(&elf, "without contents");

    let mut elf = chain(1);
    for number in 0..5000 {
        elf.function(&format!("kfunc{number}"), 0, 0, 0);
        elf.symbols.last_mut().unwrap().info = 1 << 4;
    }
    refused(&elf, "5000 symbols of the kernel");

    let mut elf = chain(1);
    for _ in 0..5000 {
        elf.section("x", 0, Vec::new());
    }
    elf.symbols.resize(1_000_000, Symbol::default());
    refused(&elf, "too many sections and symbols");
    assert!(peak() < 2 << 30, "{} bytes of memory", peak());
}

/// A million symbols and thousands of sections are many, and no reason to refuse an object.
#[test]
fn many_symbols_and_sections_are_read_soon() {
    let _turn = turn();
    let mut elf = chain(1);
    elf.symbols.resize(1_000_000, Symbol { section: 1, ..Symbol::default() });
    for _ in 0..200 {
        elf.section("x", 0, Vec::new());
    }
    let bytes = elf.bytes();
    let begun = busy();
    let programs = loader::open("many.bpf.o", &bytes, None).unwrap();
    assert_eq!(programs.len(), 1);
    assert!(busy() - begun < LIMIT, "{}", busy() - begun);
}

/// A structure of functions with as many relocations as there are variables and members to look for.
#[test]
fn members_of_struct_ops_are_found_soon() {
    let _turn = turn();
    const MANY: u32 = 60_000;
    let mut elf = chain(1);
    let (int, structure, var) = (1 << 24, 4 << 24, 14 << 24);
    let mut types = vec![1, int, 8, 64, 1, structure | MANY, MANY * 8];
    types.extend((0..MANY).flat_map(|member| [1, 1, member * 64]));
    types.extend([5, var, 2, 1]);
    elf.section(".BTF", 0, elf::btf(&types, b"\0ops\0mine\0"));
    let ops = elf.section(".struct_ops", 3, vec![0; MANY as usize * 8]);
    // Others, of which none is it.
    let other = Symbol { info: 1 << 4 | 1, section: ops, ..Symbol::default() };
    elf.symbols.extend((0..MANY).map(|_| other));
    let name = elf.name("mine");
    elf.symbols.push(Symbol { name, info: 1 << 4 | 1, section: ops, value: 0, size: u64::from(MANY) * 8 });
    let relocations = (0..u64::from(MANY)).flat_map(|at| [at * 8, 1 << 32 | 1].map(u64::to_le_bytes));
    let section = elf.section(".rel.struct_ops", 0, relocations.flatten().collect());
    elf.relocations = Some((section, ops));
    let bytes = elf.bytes();
    let begun = busy();
    // What aya-obj makes of it is of no account here.
    let opened = loader::open("members.bpf.o", &bytes, None);
    assert!(busy() - begun < LIMIT, "{}: {opened:?}", busy() - begun);
    assert!(!matches!(opened, Err(OpenError::Elf(_) | OpenError::TooLarge(_))), "not looked for: {opened:?}");
}

/// aya-obj links by recursion, and the analysis has to bear whatever comes of it.
#[test]
fn a_long_chain_of_calls_does_not_overflow_the_stack() {
    let _turn = turn();
    let mut elf = chain(19_000);
    // One program; the others are what it calls.
    elf.sections[0].name = ".text";
    let call = [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let program = elf.section("socket", EXECUTABLE, [call, EXIT].concat());
    elf.function("program", program, 0, 16);
    // A call of the first function, by a relocation against it (R_BPF_64_32).
    let index = 1u64 << 32 | 10;
    let mut relocation = 0u64.to_le_bytes().to_vec();
    relocation.extend(index.to_le_bytes());
    let section = elf.section(".relsocket", 0, relocation);
    elf.relocations = Some((section, program));
    let programs = loader::open("deep.bpf.o", &elf.bytes(), None).unwrap();
    let [program] = programs.as_slice() else { panic!("{} programs", programs.len()) };
    let loaded = program.loaded.as_ref().unwrap();
    assert_eq!(loaded.insns.len(), 2 + 19_000 * 2 - 1);
    for dialect in Dialect::ALL {
        let _ = log::section(loaded, dialect);
    }
}

/// The BTF of a kernel may be anybody's too.
#[test]
fn a_kernel_whose_types_have_no_end_is_refused() {
    let _turn = turn();
    let (fn_proto, ptr, structure) = (13, 2, 4);
    let kernel = |types: &[u32]| {
        let bytes = elf::btf(types, b"\0name\0");
        let btf = Btf::parse(&bytes).unwrap();
        let callable = Callable::new(&btf, Dialect::V7_2, &[]);
        loader::Kernel::new(&bytes, &btf, &callable).map(drop)
    };
    let header = |kind: u32, vlen: u32, size_or_type: u32| [0, kind << 24 | vlen, size_or_type];
    // A function that takes a pointer to itself.
    let circle = [&header(fn_proto, 1, 0)[..], &[0, 2], &header(ptr, 0, 1)].concat();
    // A structure in itself, without a name.
    let inside = [&header(structure, 1, 8)[..], &[0, 1, 0]].concat();
    // Each takes the next twice: as many as there are atoms.
    let tree: Vec<u32> =
        (1..60).flat_map(|id| [&header(fn_proto, 2, 0)[..], &[0, id + 1, 0, id + 1]].concat()).collect();
    let tree = [tree, header(fn_proto, 0, 0).to_vec()].concat();
    // The same through structures.
    let nest: Vec<u32> = (1..60)
        .flat_map(|id| [&header(structure, 2, 8)[..], &[0, id + 1, 0, 0, id + 1, 0]].concat())
        .collect();
    let nest = [nest, header(structure, 0, 8).to_vec()].concat();
    for types in [circle, inside, tree, nest] {
        let error = kernel(&types).unwrap_err();
        assert!(matches!(&error, OpenError::TooLarge(why) if why.contains("nested without end")), "{error}");
    }
    // A structure that points to itself is what lists are made of.
    let list = [&header(structure, 1, 8)[..], &[1, 2, 0], &header(ptr, 0, 1)].concat();
    assert_eq!(kernel(&list), Ok(()));
}

/// What a few bytes of a capture unpack to.
#[test]
fn captures_that_unpack_to_too_much_are_refused() {
    let _turn = turn();
    let packed = |text: &mut dyn Iterator<Item = Vec<u8>>| {
        let mut bytes = b"livediff capture 2\n".to_vec();
        let mut encoder = zstd::Encoder::new(&mut bytes, 1).unwrap();
        text.for_each(|part| encoder.write_all(&part).unwrap());
        encoder.finish().unwrap();
        bytes
    };
    let begun = busy();
    let bomb = packed(&mut (0..600).map(|_| vec![b' '; 1 << 20]));
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(file::decode(&bomb), Err(FormatError::TooLong)));
    let deep = packed(&mut std::iter::once(vec![b'['; 1 << 20]));
    assert!(matches!(file::decode(&deep), Err(FormatError::Json(_))));
    let path = "corpus/captures/corpus/joins/join.bpf.o/join_one_offset_with_none.capture";
    let capture = file::read(Path::new(path)).unwrap().remove(0);
    let many = packed(&mut (0..2000).map(|_| serde_json::to_vec(&capture).unwrap()));
    assert!(matches!(file::decode(&many), Err(FormatError::TooMany)));
    assert!(busy() - begun < LIMIT, "{}", busy() - begun);
    assert!(peak() < 2 << 30, "{} bytes of memory", peak());
}
