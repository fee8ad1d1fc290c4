//! Inputs that were once found to be trouble, given again to what they were trouble for, and small broken ones.
//!
//! The inputs are in `fuzz/regressions/TARGET/`; `scripts/fuzz` finds new ones.
#![forbid(unsafe_code)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::{fs, path::Path};

#[test]
fn inputs_that_were_found_by_fuzzing_do_no_harm_any_more() {
    let folder = Path::new("fuzz/regressions");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(targets::TARGETS.iter().any(|(target, _)| *target == name), "{name} is no target");
    }
    for (name, target) in targets::TARGETS {
        let Ok(inputs) = fs::read_dir(folder.join(name)) else { continue };
        for input in inputs {
            let input = input.unwrap().path();
            println!("{}", input.display());
            target(&fs::read(&input).unwrap());
        }
    }
}

/// Every prefix of something whole, and every byte of its beginning changed.
#[test]
fn cut_and_changed_inputs_do_no_harm() {
    let object = fs::read("corpus/nobtf/plain.bpf.o").unwrap();
    let capture =
        fs::read("corpus/captures/corpus/joins/join.bpf.o/join_one_offset_with_none.capture").unwrap();
    for (name, whole) in [("object", object), ("capture", capture.clone()), ("log", capture)] {
        let (_, target) = targets::TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
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
