//! The kernel's text of the liveness section, byte for byte, but for kernel addresses, which are masked.

use std::fmt::Write;

use livediff_capture::Loaded;
use livediff_capture::insn::{MAX_BPF_REG, class, jmp};

use super::event::{Event, Listener, MaskKind, Place};
use crate::bpf::{disasm, kfunc};
use crate::verifier::{
    self, ArgTrack, CallChain, Dialect, Instance, LiveRegs, Program, SLOTS, STACK_ARGS, SlotMask, State,
};

/// Characters that fit into the kernel's formatting buffer (`TMP_STR_BUF_LEN` less the terminator).
pub(crate) const TMP_STR_LEN: usize = 319;
/// Characters of one message that the kernel prints at most, the end of its line included (`BPF_VERIFIER_TMP_LOG_SIZE`
/// less the terminator).
pub(crate) const MESSAGE_LEN: usize = 1023;
/// `BPF_LOG_MIN_ALIGNMENT` and `BPF_LOG_ALIGNMENT`: columns of what follows an instruction.
const MIN_ALIGNMENT: usize = 8;
const ALIGNMENT: usize = 40;

/// What stands between an instruction and the pointers before it.
const POINTERS: &str = " // ";

/// The line before the table of live registers, which ends the section: one line for each instruction follows.
pub const LIVE_REGS_HEADER: &str = "Live regs before insn:";

/// What a line of the section says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// `func#0 @0`
    Subprog,
    /// `invalid kernel function btf_id 0`
    InvalidKfunc,
    /// `topo_order[0] = main`
    TopoOrder,
    /// `subprog#0: analyzing (depth 0)...`
    Analyzing,
    /// `  0: (bf) r1 = r10` and, after a tab each, `r1: _ -> fp0+0`
    Transfer,
    /// `arg JOIN insn 1 -> 3 r1: fp0-8 + fp0-16 => fp0-16|fp0-8`
    Join,
    /// `subprog#0 main:`
    ListingHeader,
    /// `  0: (bf) r1 = r10` with ` // r1=fp0-8` where there are pointers
    Listing,
    /// `stack use/def subprog#0 main (d0,cs0):`
    InstanceHeader,
    /// `  0: (7b) *(u64 *)(r10 -8) = r1   ; def: fp0-8`
    UseDef,
    /// `(0) frame 0 insn 3 +live -8`
    MaskChange,
    /// `(0) live stack update done in 2 iterations`
    UpdateDone,
    /// `Live regs before insn:`
    LiveRegsHeader,
    /// `      0: .1........ (bf) r2 = r1`
    LiveRegs,
    /// Why the analysis gave up
    Error,
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What the line says.
    pub kind: LineKind,
    /// The subprogram that it speaks of.
    pub subprog: Option<u32>,
    /// The instruction that it speaks of; for a join the one that control comes from.
    pub insn: Option<u32>,
}

/// How the section ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With the whole table of live registers.
    Complete,
    /// Before it: the kernel refuses the program here.
    Failed(verifier::Error),
}

/// What the kernel prints of a program's liveness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The lines, each with its end. Kernel addresses are masked as [`disasm::ADDRESS`].
    pub text: String,
    /// Where each line comes from.
    pub origins: Vec<Origin>,
    /// How it ends.
    pub end: End,
}

/// Analyses a program and writes what the kernel prints meanwhile.
///
/// ```
/// use livediff::{Dialect, capture::{Insn, Loaded}, log::{self, End}};
///
/// let store = Insn { code: 0x7a, dst_reg: 10, src_reg: 0, off: -8, imm: 1 };
/// let exit = Insn { code: 0x95, ..Insn::default() };
/// let loaded = Loaded { insns: vec![store, exit], ..Loaded::default() };
/// let section = log::section(&loaded, Dialect::V7_2);
/// assert_eq!(section.end, End::Complete);
/// assert!(section.text.contains("  0: (7a) *(u64 *)(r10 -8) = 1         ; def: fp0-8\n"));
/// ```
pub fn section(loaded: &Loaded, dialect: Dialect) -> Section {
    let mut renderer = Renderer::default();
    let end = match verifier::analyze(loaded, dialect, &mut renderer) {
        Ok(_) => End::Complete,
        Err(error) => End::Failed(error),
    };
    if let End::Failed(verifier::Error { message: Some(message), .. }) = &end {
        let start = renderer.text.len();
        renderer.text.push_str(message);
        renderer.end_line(LineKind::Error, None, None);
        // It holds the names of two functions, of up to 511 characters each.
        renderer.text.truncate(renderer.text.floor_char_boundary(start + MESSAGE_LEN));
    }
    Section { text: renderer.text, origins: renderer.origins, end }
}

/// Writes events as the kernel's text.
#[derive(Clone, Debug, Default)]
pub struct Renderer {
    /// The lines so far, each with its end.
    pub text: String,
    /// Where each line comes from.
    pub origins: Vec<Origin>,
    /// The subprogram that is being analysed.
    subprog: Option<u32>,
}

impl Listener for Renderer {
    fn event(&mut self, program: &Program<'_>, event: Event<'_>) {
        match event {
            Event::Subprog { subprog, start } => {
                self.write(format_args!("func#{subprog} @{start}"));
                self.end_line(LineKind::Subprog, Some(subprog), Some(start));
            }
            Event::InvalidKfunc { insn } => {
                let id = program.insn(insn).imm;
                self.write(format_args!("invalid kernel function btf_id {id}"));
                let subprog = program.containing_subprog(insn).map(|subprog| subprog as u32);
                self.end_line(LineKind::InvalidKfunc, subprog, Some(insn));
            }
            Event::TopoOrder { position, subprog } => {
                let name = program.subprog_name(subprog as usize).unwrap_or_default();
                self.write(format_args!("topo_order[{position}] = {name}"));
                self.end_line(LineKind::TopoOrder, Some(subprog), None);
            }
            Event::Analyzing { subprog, depth } => {
                self.subprog = Some(subprog);
                self.write(format_args!("subprog#{subprog}: analyzing (depth {depth})..."));
                self.end_line(LineKind::Analyzing, self.subprog, None);
            }
            Event::Transfer { insn, before, after } => self.transfer(program, insn, before, after),
            Event::Join { insn, target, place, old, incoming, joined } => {
                self.write(format_args!("arg JOIN insn {insn} -> {target} "));
                self.place(place);
                self.arg_track(old);
                self.text.push_str(" + ");
                self.arg_track(incoming);
                self.text.push_str(" => ");
                self.arg_track(joined);
                self.end_line(LineKind::Join, self.subprog, Some(insn));
            }
            Event::SubprogArgs { subprog, states, .. } => self.listing(program, subprog, states),
            Event::Instance(instance) => self.instance(program, instance),
            Event::MaskChange { chain, frame, insn, kind, old, new } => {
                self.mask_change(chain, frame, insn, kind, old, new);
            }
            Event::UpdateDone { chain, iterations } => {
                self.chain(chain);
                self.write(format_args!(" live stack update done in {iterations} iterations"));
                self.end_line(LineKind::UpdateDone, self.subprog, None);
            }
            Event::LiveRegs(live_regs) => self.live_regs(program, live_regs),
        }
    }
}

impl Renderer {
    fn write(&mut self, args: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(args);
    }

    fn end_line(&mut self, kind: LineKind, subprog: Option<u32>, insn: Option<u32>) {
        self.text.push('\n');
        self.origins.push(Origin { kind, subprog, insn });
    }

    /// `bpf_verbose_insn` with its number, without the end of the line.
    fn insn(&mut self, program: &Program<'_>, idx: u32) {
        self.write(format_args!("{idx:3}: "));
        self.disasm(program, idx);
    }

    fn disasm(&mut self, program: &Program<'_>, idx: u32) {
        let name = |call: &_| kfunc::name(program.loaded, program.dialect, call);
        disasm::write_insn(&mut self.text, &program.insns, idx as usize, program.dialect, &name);
    }

    fn place(&mut self, place: Place) {
        match place {
            Place::Reg(reg) => self.write(format_args!("r{reg}: ")),
            Place::StackArg(slot) => self.write(format_args!("sa{slot}: ")),
            Place::Slot(slot) => self.write(format_args!("fp{:+}: ", -8 * (i32::from(slot) + 1))),
        }
    }

    /// `verbose_arg_track`.
    fn arg_track(&mut self, value: ArgTrack) {
        match value {
            ArgTrack::None => self.text.push('_'),
            ArgTrack::Imprecise(frames) => self.write(format_args!("IMP{frames:x}")),
            ArgTrack::Fp { frame, offsets } if offsets.is_unknown() => {
                self.write(format_args!("fp{frame} ?"))
            }
            ArgTrack::Fp { frame, offsets } => {
                for (i, off) in offsets.as_slice().iter().enumerate() {
                    let separator = if i > 0 { "|" } else { "" };
                    self.write(format_args!("{separator}fp{frame}{off:+}"));
                }
            }
        }
    }

    /// `arg_track_log`: what an instruction changes, on one line.
    fn transfer(&mut self, program: &Program<'_>, insn: u32, before: &State, after: &State) {
        if before == after {
            return;
        }
        self.insn(program, insn);
        let regs = before.regs.iter().zip(&after.regs).enumerate();
        let regs = regs.map(|(r, values)| (Place::of_tracked_reg(r), values));
        let slots = before.slots.iter().zip(after.slots.iter()).enumerate();
        let slots = slots.map(|(slot, values)| (Place::Slot(slot as u8), values));
        for (place, (old, new)) in regs.chain(slots).filter(|(_, (old, new))| old != new) {
            self.text.push('\t');
            self.place(place);
            self.arg_track(*old);
            self.text.push_str(" -> ");
            self.arg_track(*new);
        }
        self.end_line(LineKind::Transfer, self.subprog, Some(insn));
    }

    /// `fmt_callchain`.
    fn chain(&mut self, chain: &CallChain) {
        for (i, callsite) in chain.as_slice().iter().enumerate() {
            self.write(format_args!("{}{callsite}", if i > 0 { "," } else { "(" }));
        }
        self.text.push(')');
    }

    /// `log_mask_change`.
    fn mask_change(
        &mut self,
        chain: &CallChain,
        frame: u8,
        insn: u32,
        kind: MaskKind,
        old: SlotMask,
        new: SlotMask,
    ) {
        let label = match kind {
            MaskKind::Live => "live",
            MaskKind::Written => "written",
        };
        self.chain(chain);
        self.write(format_args!(" frame {frame} insn {insn} "));
        let (added, removed) = (new & !old, old & !new);
        if !added.is_empty() {
            self.write(format_args!("+{label} "));
            self.bare_slot_mask(added);
            self.text.push(' ');
        }
        if !removed.is_empty() {
            self.write(format_args!("-{label} "));
            self.bare_slot_mask(removed);
        }
        self.end_line(LineKind::MaskChange, self.subprog, Some(insn));
    }

    /// `bpf_fmt_spis_mask`: slots and half-slots without their frame.
    fn bare_slot_mask(&mut self, mask: SlotMask) {
        let start = self.text.len();
        for slot in 0..SLOTS as u32 {
            let (upper, lower) = (mask.contains(2 * slot), mask.contains(2 * slot + 1));
            if upper || lower {
                let comma = if self.text.len() > start { "," } else { "" };
                let off = -8 * (slot as i32 + 1) + if upper && !lower { 4 } else { 0 };
                self.write(format_args!("{comma}{off}{}", if upper && lower { "" } else { "h" }));
            }
        }
        self.cut(start);
    }

    /// `fmt_subprog`, cut where the kernel's buffer ends.
    fn subprog_label(&mut self, program: &Program<'_>, subprog: u32) {
        let start = self.text.len();
        self.write(format_args!("subprog#{subprog}"));
        let buffered = program.dialect.choices().subprog_label_is_buffered;
        match program.subprog_name(subprog as usize) {
            Some(name) => self.write(format_args!(" {name}")),
            None if buffered => {}
            None => self.text.push(' '),
        }
        if buffered {
            self.cut(start);
        }
    }

    fn cut(&mut self, start: usize) {
        let end = self.text.floor_char_boundary(start + TMP_STR_LEN);
        self.text.truncate(end);
    }

    /// `print_subprog_arg_access`.
    fn listing(&mut self, program: &Program<'_>, subprog: u32, states: &[Option<State>]) {
        self.subprog_label(program, subprog);
        self.text.push(':');
        self.end_line(LineKind::ListingHeader, Some(subprog), None);
        let start = program.subprogs.get(subprog as usize).map_or(0, |subprog| subprog.start);
        let mut i = 0;
        while let Some(state) = states.get(i) {
            let idx = start + i as u32;
            let insn = program.insn(idx);
            self.insn(program, idx);
            let accesses =
                matches!(insn.class(), class::LDX | class::STX) || insn.code == class::JMP | jmp::CALL;
            if let Some(state) = state.as_ref().filter(|_| accesses) {
                self.pointers(state);
            }
            self.end_line(LineKind::Listing, Some(subprog), Some(idx));
            i += insn.slots();
        }
    }

    /// The pointers before an instruction; r10 is left out.
    fn pointers(&mut self, state: &State) {
        let regs = (0..MAX_BPF_REG - 1).map(|r| (Place::Reg(r as u8), state.regs[r]));
        let stack_args = (0..STACK_ARGS).map(|i| (Place::StackArg(i as u8), state.regs[MAX_BPF_REG + i]));
        let slots = (0..SLOTS).map(|s| (Place::Slot(s as u8), state.slots[s]));
        let mut first = true;
        for (place, value) in regs.chain(stack_args).chain(slots).filter(|(_, value)| value.is_fp()) {
            if std::mem::take(&mut first) {
                self.text.push_str(POINTERS.trim_end());
            }
            match place {
                Place::Reg(reg) => self.write(format_args!(" r{reg}=")),
                Place::StackArg(slot) => self.write(format_args!(" sa{slot}=")),
                Place::Slot(slot) => self.write(format_args!(" fp{:+}=", -8 * (i32::from(slot) + 1))),
            }
            self.arg_track(value);
        }
    }

    /// `print_instance`.
    fn instance(&mut self, program: &Program<'_>, instance: &Instance) {
        self.text.push_str("stack use/def ");
        self.subprog_label(program, instance.subprog);
        self.write(format_args!(" (d{},cs{}):", instance.depth, instance.callsite));
        self.end_line(LineKind::InstanceHeader, Some(instance.subprog), None);
        let mut idx = instance.start;
        while idx - instance.start < instance.insn_cnt {
            let line = self.text.len();
            self.insn(program, idx);
            let pos = self.text.len() - line;
            let frames = (0..=instance.depth).rev();
            let masks = frames.filter_map(|frame| Some((frame, instance.masks(frame, idx)?)));
            let uses = |(frame, masks): (u8, &verifier::FrameMasks)| (frame, masks.may_read);
            let defs = |(frame, masks): (u8, &verifier::FrameMasks)| (frame, masks.must_write);
            let is_set = |(_, mask): &(u8, SlotMask)| !mask.is_empty();
            let mut separator = Some(column(pos) - pos - 1);
            for (label, sets) in [
                (" use: ", masks.clone().map(uses).filter(is_set).collect::<Vec<_>>()),
                (" def: ", masks.map(defs).filter(is_set).collect()),
            ] {
                if sets.is_empty() {
                    continue;
                }
                if let Some(width) = separator.take() {
                    self.write(format_args!("{:width$};", ' '));
                }
                self.text.push_str(label);
                for (i, (frame, mask)) in sets.into_iter().enumerate() {
                    self.slot_mask(frame, i == 0, mask);
                }
            }
            self.end_line(LineKind::UseDef, Some(instance.subprog), Some(idx));
            idx += program.insn(idx).slots() as u32;
        }
    }

    /// `fmt_spis_mask`: the half-slots of a set, whole slots and runs of three or more drawn together.
    fn slot_mask(&mut self, frame: u8, mut first: bool, mask: SlotMask) {
        let start = self.text.len();
        let halves = |slot: u32| (mask.contains(2 * slot), mask.contains(2 * slot + 1));
        let is_full = |slot: u32| halves(slot) == (true, true);
        let off = |slot: u32| -8 * (slot as i32 + 1);
        let mut slot = 0;
        while slot < SLOTS as u32 {
            let (upper, lower) = halves(slot);
            if upper || lower {
                let space = if std::mem::take(&mut first) { "" } else { " " };
                self.write(format_args!("{space}fp{frame}"));
            }
            if upper != lower {
                self.write(format_args!("{}h", off(slot) + if upper { 4 } else { 0 }));
            } else if upper && is_full(slot + 1) && is_full(slot + 2) {
                let run_start = slot;
                while is_full(slot + 1) {
                    slot += 1;
                }
                self.write(format_args!("{}..{}", off(run_start), off(slot)));
            } else if upper {
                self.write(format_args!("{}", off(slot)));
            }
            slot += 1;
        }
        self.cut(start);
    }

    /// The table of live registers, with the number of the strongly connected component in front.
    fn live_regs(&mut self, program: &Program<'_>, live_regs: &LiveRegs) {
        self.text.push_str(LIVE_REGS_HEADER);
        self.end_line(LineKind::LiveRegsHeader, None, None);
        let mut idx = 0;
        while let Some(live) = live_regs.before.get(idx as usize) {
            match program.scc.get(idx as usize) {
                Some(0) | None => self.text.push_str("    "),
                Some(scc) => self.write(format_args!("{scc:3} ")),
            }
            self.write(format_args!("{idx:3}: "));
            for reg in 0..10u8 {
                self.text.push(if live >> reg & 1 == 1 { char::from(b'0' + reg) } else { '.' });
            }
            self.text.push(' ');
            let start = self.text.len();
            self.disasm(program, idx);
            if live_regs.zext.get(idx as usize) == Some(&true) {
                let pos = self.text.len() - start;
                let width = column(pos) - pos - 1;
                self.write(format_args!("{:width$}; zext", ' '));
            }
            let subprog = program.containing_subprog(idx).map(|subprog| subprog as u32);
            self.end_line(LineKind::LiveRegs, subprog, Some(idx));
            idx += program.insn(idx).slots() as u32;
        }
    }
}

/// The slots of a frame as the kernel lists them: `fp0-8..-24 fp0-28h`; nothing for the empty set.
///
/// ```
/// use livediff::{log::slots_text, verifier::SlotMask};
///
/// // Half-slots 0 and 1 are the slot fp-8, half-slot 2 is the upper half of fp-16.
/// assert_eq!(slots_text(0, SlotMask::range(0, 2)), "fp0-8 fp0-12h");
/// ```
pub fn slots_text(frame: u8, mask: SlotMask) -> String {
    let mut renderer = Renderer::default();
    renderer.slot_mask(frame, true, mask);
    renderer.text
}

/// The pointers that registers, stack arguments and slots hold, as the listing has them: `r1=fp0-8 fp-16=fp0-24`;
/// nothing if there are none. r10 is left out.
#[cfg(feature = "cli")]
pub(crate) fn pointers_text(state: &State) -> String {
    let mut renderer = Renderer::default();
    renderer.pointers(state);
    renderer.text.strip_prefix(POINTERS).unwrap_or_default().to_owned()
}

/// The column after the text of an instruction that ends in column `pos` (`bpf_vlog_alignment`).
fn column(pos: usize) -> usize {
    (pos + MIN_ALIGNMENT / 2).max(ALIGNMENT).next_multiple_of(MIN_ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_text(frame: u8, bits: u128) -> String {
        slots_text(frame, SlotMask::from(bits))
    }

    #[test]
    fn slots_of_a_set_are_written_as_halves_wholes_and_runs() {
        assert_eq!(mask_text(0, 0b11), "fp0-8");
        assert_eq!(mask_text(0, 0b01), "fp0-4h");
        assert_eq!(mask_text(0, 0b10), "fp0-8h");
        assert_eq!(mask_text(2, 0b1111), "fp2-8 fp2-16");
        assert_eq!(mask_text(0, 0b111111), "fp0-8..-24");
        assert_eq!(mask_text(0, 0b1101111111), "fp0-8..-24 fp0-28h fp0-40");
        assert_eq!(mask_text(1, u128::MAX), "fp1-8..-512");
        assert_eq!(mask_text(0, 0b1111 << 124), "fp0-504 fp0-512");
        assert_eq!(mask_text(0, 1 << 126), "fp0-508h");
        assert_eq!(mask_text(0, 1 << 127), "fp0-512h");
    }

    #[test]
    fn a_set_is_cut_where_the_kernels_buffer_ends() {
        // 64 halves: 7, 8 or 9 characters each with the space before them.
        let halves = mask_text(0, u128::MAX / 3);
        assert_eq!(halves.len(), TMP_STR_LEN);
        assert!(halves.starts_with("fp0-4h fp0-12h "));
    }

    #[test]
    fn columns_are_those_of_the_kernel() {
        // round_up(max(pos + 4, 40), 8)
        assert_eq!(column(5), 40);
        assert_eq!(column(36), 40);
        assert_eq!(column(37), 48);
        assert_eq!(column(44), 48);
        assert_eq!(column(45), 56);
    }
}
