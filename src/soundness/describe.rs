//! Findings in words.

use std::fmt::Write;

use super::{Finding, Step, observed::Missed};
use crate::bpf::{disasm, kfunc};
use crate::log::slots_text;
use crate::verifier::{Program, SlotMask};

/// The name of a half-slot, as the kernel prints it: `fp0-8h`.
pub fn half_slot_name(frame: usize, half_slot: u32) -> String {
    let mask = SlotMask::range(half_slot.into(), half_slot.into());
    slots_text(u8::try_from(frame).unwrap_or(u8::MAX), mask).trim().to_owned()
}

/// A finding as several lines: what is wrong, who wrote and who reads, and the path from the one to the other.
pub fn describe(program: &Program<'_>, finding: &Finding) -> String {
    let slot = half_slot_name(finding.frame, finding.half_slot);
    let top = 4 * (i64::from(finding.half_slot) + 1);
    let mut text = format!(
        "{slot} (bytes {} to {} of frame {}) is not live before insn {}, and insn {} reads it later\n",
        -top,
        3 - top,
        finding.frame,
        finding.dead.insn,
        finding.read.insn
    );
    let mut line = |label: &str, step: &Step| {
        let _ = writeln!(text, "  {label:<8} {}", at(program, step));
    };
    match &finding.written {
        Some(step) => line("written", step),
        None => {
            if let Some(first) = finding.path.first() {
                line("from", first);
            }
        }
    }
    line("dead", &finding.dead);
    line("read", &finding.read);
    let entry = program.subprog_name(finding.entry as usize).unwrap_or("the program");
    let _ = writeln!(text, "  path, in executions of {entry}:");
    let kept = finding.path.len();
    for (place, step) in finding.path.iter().enumerate() {
        if finding.left_out > 0 && place == super::paths::KEPT.0.min(kept) {
            let _ = writeln!(text, "    ... {} steps", finding.left_out);
        }
        let mark = if *step == finding.dead { '>' } else { ' ' };
        let _ = writeln!(text, "   {mark}{}", at(program, step));
    }
    text
}

/// A slot that was observed to be live and is called dead, in words.
pub fn describe_missed(program: &Program<'_>, missed: &Missed) -> String {
    let Missed { frames, insn, frame, slot, read_here, .. } = missed;
    let off = 8 * (slot + 1);
    let step = at(program, &Step { frames: frames.clone(), insn: *insn });
    let how = match read_here {
        true => "The path walk saw the instruction read it.",
        false => "The path walk saw it live there: it is read later.",
    };
    format!("fp{frame}-{off} (8 bytes of frame {frame}) is not live before insn {insn}\n  {step}\n  {how}\n")
}

/// A step: the calls that lead there, and the instruction.
fn at(program: &Program<'_>, step: &Step) -> String {
    let mut text = String::new();
    for frame in step.frames.iter().skip(1) {
        let _ = write!(text, "{},", frame.callsite);
    }
    let mut line = format!("{text:>8}{:4}: ", step.insn);
    let (loaded, dialect) = (program.loaded, program.dialect);
    let name = |call: &livediff_capture::Insn| kfunc::name(loaded, dialect, call);
    disasm::write_insn(&mut line, &loaded.insns, step.insn as usize, dialect, &name);
    line
}
