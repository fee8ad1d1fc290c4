//! Which half-slots of the stack are live before each instruction: what the log of no released kernel prints.
//!
//! ```text
//! cargo run --example live_slots -- FILE [PROGRAM] [DIALECT]
//! ```
//! `FILE` is a BPF object (`.o`), opened without a kernel, or a capture. Without `PROGRAM`, or with `all`, every program
//! in it is shown. `DIALECT` is 7.2 if it is not given, and for a capture that of its first kernel.
//!
//! The exit status is 0, or 2 if something could not be shown.
#![forbid(unsafe_code)]

use livediff::{
    Dialect,
    bpf::{disasm, kfunc},
    capture::{Loaded, file},
    loader,
    log::{Silent, slots_text},
    verifier::{self, Program, SlotMask, Stack},
};
use std::{env, error::Error, fs, io, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("live_slots: {error}");
            ExitCode::from(2)
        }
    }
}

/// Does what the arguments, those after the program's name, say.
pub(crate) fn run(args: &[&str], out: &mut dyn io::Write) -> Result<(), Box<dyn Error>> {
    let (path, wanted, dialect) = match *args {
        [path] => (path, "all", None),
        [path, wanted] => (path, wanted, None),
        [path, wanted, dialect] => (path, wanted, Some(dialect)),
        _ => return Err("usage: live_slots FILE [PROGRAM] [DIALECT]".into()),
    };
    let named = |id: &str| Dialect::from_id(id).ok_or_else(|| format!("{id} is no dialect"));
    let mut dialect = dialect.map(named).transpose()?;

    // Programs with what the verifier is given of each, or why that cannot be told.
    let mut programs: Vec<(String, Result<Loaded, String>)> = Vec::new();
    if path.ends_with(".o") {
        let opened = loader::open(path, &fs::read(path)?, None)?;
        programs.extend(opened.into_iter().map(|program| (program.name, program.loaded)));
    } else if let Some(capture) = file::read(Path::new(path))?.into_iter().next() {
        dialect = match dialect {
            None => Some(named(&capture.kernel.dialect)?),
            chosen => chosen,
        };
        programs.push((capture.program, Ok(capture.loaded)));
    }
    programs.retain(|(name, _)| wanted == "all" || name == wanted);
    if programs.is_empty() {
        return Err(format!("{path} has no program {wanted}").into());
    }
    for (name, loaded) in programs {
        let loaded = loaded.map_err(|reason| format!("{name}: {reason}"))?;
        show(&name, &loaded, dialect.unwrap_or(Dialect::V7_2), out)?;
    }
    Ok(())
}

/// One listing for each instance of each subprogram.
fn show(
    name: &str,
    loaded: &Loaded,
    dialect: Dialect,
    out: &mut dyn io::Write,
) -> Result<(), Box<dyn Error>> {
    let analysis = verifier::analyze(loaded, dialect, &mut Silent)?;
    let program = &analysis.program;
    match &analysis.stack {
        Stack::Observed => {
            return Err(format!(
                "{name}: kernels of dialect {dialect} do not compute it before the path walk"
            )
            .into());
        }
        Stack::ByCallsite(instances) => {
            for instance in instances {
                let title = format!("depth {}, call site {}", instance.depth, instance.callsite);
                let live = |frame, insn| instance.masks(frame, insn).map(|masks| masks.live_before);
                list(name, program, instance.subprog as usize, &title, instance.depth, &live, out)?;
            }
        }
        Stack::ByCallChain(chains) => {
            for instance in chains.instances() {
                let chain = instance.chain.as_slice();
                let title = format!("call chain {chain:?}");
                let depth = chain.len().saturating_sub(1) as u8;
                let live = |frame, insn| instance.masks(frame, insn).map(|masks| masks.live_before);
                list(name, program, instance.subprog as usize, &title, depth, &live, out)?;
            }
        }
    }
    Ok(())
}

fn list(
    name: &str,
    program: &Program<'_>,
    subprog: usize,
    title: &str,
    depth: u8,
    live: &dyn Fn(u8, u32) -> Option<SlotMask>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let function = program.subprog_name(subprog).unwrap_or("?");
    writeln!(out, "{name}: {function}, {title}")?;
    let Some(range) = program.subprogs.get(subprog) else { return Ok(()) };
    let mut idx = range.start;
    while idx < range.end {
        let mut text = String::new();
        let called = |call: &_| kfunc::name(program.loaded, program.dialect, call);
        disasm::write_insn(&mut text, &program.insns, idx as usize, program.dialect, &called);
        let frames = (0..=depth).filter_map(|frame| Some(slots_text(frame, live(frame, idx)?)));
        let slots: Vec<String> = frames.filter(|slots| !slots.is_empty()).collect();
        writeln!(out, "{}", format!("{idx:3}: {text:<36}  {}", slots.join(" ")).trim_end())?;
        // A 64-bit load takes two places.
        idx += program.insn(idx).slots() as u32;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(args: &[&str]) -> String {
        let mut out = Vec::new();
        run(args, &mut out).expect("it is shown");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_object_and_a_capture_of_it_show_the_same() {
        let object = shown(&["corpus/frames/calls.bpf.o", "pass_five_args"]);
        let capture = "corpus/captures/corpus/frames/calls.bpf.o/pass_five_args.capture";
        assert_eq!(object, shown(&[capture, "all", "7.2"]));
        assert!(object.contains("call pc+2                        fp0-8 fp0-24h fp0-40h\n"), "{object}");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let object = "corpus/frames/calls.bpf.o";
        for (args, complaint) in [
            (&[][..], "usage"),
            (&["corpus/none.bpf.o"], "No such file"),
            (&[object, "none"], "no program none"),
            (&[object, "pass_five_args", "9.9"], "no dialect"),
            (&[object, "pass_five_args", "dynamic-7.0"], "before the path walk"),
        ] {
            let error = run(args, &mut io::sink()).expect_err(complaint).to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
