//! What a section's listings say that each instance of a subprogram reads and writes of the stack, as sets: for pictures
//! that show a kernel's words over the model's.

use super::{
    facts::InstanceId,
    heard::{Heard, Reach},
    lines::{Reader, Says},
};
use crate::{bpf::Insn, log::LineKind, verifier::SlotMask};
use std::collections::{BTreeMap, BTreeSet};

/// What one instruction of an instance reads and writes of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UseDef {
    /// After `use:`.
    pub uses: SlotMask,
    /// After `def:`.
    pub defs: SlotMask,
}

/// A listing of one instance (`stack use/def subprog#0 main (d0,cs0):`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Index of the subprogram.
    pub subprog: u32,
    /// By instruction and frame; what is neither read nor written is not in it.
    pub masks: BTreeMap<(u32, u32), UseDef>,
    /// Instructions of which the listing says something.
    pub insns: BTreeSet<u32>,
    /// Instructions of which the listing says something that is no list of slots.
    pub unclear: BTreeSet<u32>,
}

/// The listings in a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listings {
    /// By instance.
    pub instances: BTreeMap<InstanceId, Listed>,
    /// The section ends before its table does, so that what is not listed may have been to come.
    pub cut: bool,
}

/// The listings in the liveness section of `log`, the log of a program of `insns`.
pub fn use_def(log: &str, insns: &[Insn]) -> Listings {
    let heard = Heard::new(log, insns);
    let cut = heard.reach != Reach::Table;
    // Of a line that was cut nobody knows how it went on.
    let section = if cut { heard.whole_lines() } else { &heard.text };
    let mut reader = Reader::default();
    let mut instances: BTreeMap<InstanceId, Listed> = BTreeMap::new();
    for text in section.lines() {
        let line = reader.read(text);
        let (Some(instance), Some(subprog)) = (line.instance, line.origin.subprog) else { continue };
        let listed = instances.entry(instance).or_default();
        listed.subprog = subprog;
        let (LineKind::UseDef, Some(insn), Says::UseDef { uses, defs, .. }) =
            (line.origin.kind, line.origin.insn, line.says)
        else {
            continue;
        };
        listed.insns.insert(insn);
        let (Ok(uses), Ok(defs)) = (uses, defs) else {
            listed.unclear.insert(insn);
            continue;
        };
        for (frame, bits) in uses {
            listed.masks.entry((insn, frame)).or_default().uses = SlotMask::from(bits);
        }
        for (frame, bits) in defs {
            listed.masks.entry((insn, frame)).or_default().defs = SlotMask::from(bits);
        }
    }
    Listings { instances, cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read_as_sets() {
        let log = "func#0 @0\ntopo_order[0] = main\nstack use/def subprog#0 main (d0,cs0):\n  0: (7b) *(u64 *)(r10 -8) = r1      ; use: fp0-16 def: fp0-8\n  1: (95) exit\nLive regs before insn:\n";
        let read = use_def(log, &[]);
        assert!(!read.cut);
        let listed = &read.instances[&InstanceId { callsite: 0, depth: 0 }];
        let both = UseDef { uses: SlotMask::from(0b1100), defs: SlotMask::from(0b11) };
        assert_eq!(listed.masks, BTreeMap::from([((0, 0), both)]));
        assert!(listed.unclear.is_empty());
        assert_eq!(listed.insns, BTreeSet::from([0, 1]));
        let unclear = use_def(&log.replace("fp0-16", "fp0-?"), &[]);
        assert_eq!(unclear.instances[&InstanceId { callsite: 0, depth: 0 }].unclear, BTreeSet::from([0]));
        // A line that was cut is not half a list.
        let cut = use_def(&log[..log.find(" def:").unwrap()], &[]);
        assert!(cut.cut);
        assert_eq!(cut.instances[&InstanceId { callsite: 0, depth: 0 }].insns, BTreeSet::new());
    }
}
