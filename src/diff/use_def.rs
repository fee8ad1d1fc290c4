//! What a section's listings say that each instance of a subprogram reads and writes of the stack, as sets: for pictures
//! that show a kernel's words over the model's.

use super::{
    facts::InstanceId,
    heard::Heard,
    lines::{Reader, Says},
};
use crate::{bpf::Insn, log::LineKind, verifier::SlotMask};
use std::collections::BTreeMap;

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
    /// Instructions of which the listing says something that is no list of slots.
    pub unclear: Vec<u32>,
}

/// The listings in the liveness section of `log`, the log of a program of `insns`.
pub fn use_def(log: &str, insns: &[Insn]) -> BTreeMap<InstanceId, Listed> {
    let heard = Heard::new(log, insns);
    let mut reader = Reader::default();
    let mut instances: BTreeMap<InstanceId, Listed> = BTreeMap::new();
    for text in heard.text.lines() {
        let line = reader.read(text);
        let (Some(instance), Some(subprog)) = (line.instance, line.origin.subprog) else { continue };
        let listed = instances.entry(instance).or_default();
        listed.subprog = subprog;
        let (LineKind::UseDef, Some(insn), Says::UseDef { uses, defs, .. }) =
            (line.origin.kind, line.origin.insn, line.says)
        else {
            continue;
        };
        let (Ok(uses), Ok(defs)) = (uses, defs) else {
            listed.unclear.push(insn);
            continue;
        };
        for (frame, bits) in uses {
            listed.masks.entry((insn, frame)).or_default().uses = SlotMask::from(bits);
        }
        for (frame, bits) in defs {
            listed.masks.entry((insn, frame)).or_default().defs = SlotMask::from(bits);
        }
    }
    instances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read_as_sets() {
        let log = "func#0 @0\ntopo_order[0] = main\nstack use/def subprog#0 main (d0,cs0):\n  0: (7b) *(u64 *)(r10 -8) = r1      ; use: fp0-16 def: fp0-8\n  1: (95) exit\nLive regs before insn:\n";
        let read = use_def(log, &[]);
        let listed = &read[&InstanceId { callsite: 0, depth: 0 }];
        let both = UseDef { uses: SlotMask::from(0b1100), defs: SlotMask::from(0b11) };
        assert_eq!(listed.masks, BTreeMap::from([((0, 0), both)]));
        assert!(listed.unclear.is_empty());
        let unclear = use_def(&log.replace("fp0-16", "fp0-?"), &[]);
        assert_eq!(unclear[&InstanceId { callsite: 0, depth: 0 }].unclear, [0]);
    }
}
