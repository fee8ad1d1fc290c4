//! What the fuzz targets do with their input: everything that reads what a stranger may have made.
//!
//! Each function takes arbitrary bytes and must return: no panic, no endless loop, no memory without bounds. Some also
//! check what must hold of any input. `cargo fuzz` runs them with coverage as its guide; the tests run them on the
//! inputs that were once found to be trouble.
#![forbid(unsafe_code)]
#![allow(missing_docs, unreachable_pub)]

use livediff::{
    Dialect,
    bpf::{Callable, btf::Btf},
    corpus::carve,
    diff::{self, Status},
    loader::{self, lines::Lines},
    log::{self, Event, Listener, Silent},
    report,
    verifier::{self, Program, Stack},
};
use livediff_capture::{
    Capture, FuncInfo, Insn, Kfunc, KfuncParam, KfuncPrototype, Loaded, Map, MapShape, file,
};
use livediff_harness::image::Image;
use std::{path::Path, sync::LazyLock};

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All targets. Each says whether it could make something of the input.
pub const TARGETS: [Target; 8] = [
    ("object", object),
    ("capture", capture),
    ("json", json),
    ("log", log),
    ("analysis", analysis),
    ("btf", btf),
    ("image", image),
    ("report", report),
];

/// A file that is taken for a BPF object, or for one that has BPF objects in it.
pub fn object(data: &[u8]) -> bool {
    // The object names the dialect of nothing: no kernel is needed where it has no CO-RE relocations.
    let mut opened = false;
    let lines = Lines::read(data).unwrap_or_default();
    if let Ok(programs) = loader::open("fuzz/object.bpf.o", data, None) {
        for loaded in programs.iter().filter_map(|program| program.loaded.as_ref().ok()) {
            let _ = log::section(loaded, Dialect::V7_2);
            let _ = lines.of(loaded);
            opened = true;
        }
    }
    for found in carve::scan(data).objects {
        assert!(!found.bytes.is_empty());
    }
    opened
}

/// A file of captures. What can be read is written and read again: it stays the same.
pub fn capture(data: &[u8]) -> bool {
    let Ok(captures) = file::decode(data) else { return false };
    for Capture { loaded, said, kernel, .. } in &captures {
        if let Some(dialect) = Dialect::from_id(&kernel.dialect) {
            let _ = diff::judge(loaded, said, dialect);
        }
    }
    let bytes = file::encode(&captures).expect("what was read can be written");
    assert_eq!(file::decode(&bytes).expect("what was written can be read"), captures);
    !captures.is_empty()
}

/// The same, as it stands in the file before it is packed: what is packed hardly any change leaves whole.
pub fn json(data: &[u8]) -> bool {
    let mut bytes = b"livediff capture 2\n".to_vec();
    bytes.extend(zstd::encode_all(data, 1).expect("memory can be packed"));
    capture(&bytes)
}

/// What kernels said of a program: see [`log`].
pub static CAPTURES: LazyLock<Vec<Capture>> = LazyLock::new(|| {
    let bytes =
        include_bytes!("../corpus/captures/corpus/joins/join.bpf.o/join_one_offset_with_none.capture");
    file::decode(bytes).expect("a capture of the corpus")
});

/// The words of a kernel on a program that is known: the first byte says which of [`CAPTURES`] the others stand in.
/// Whatever they are, no difference is taken for a match.
pub fn log(data: &[u8]) -> bool {
    let Some((choice, words)) = data.split_first() else { return false };
    let Some(capture) = CAPTURES.get(usize::from(*choice) % CAPTURES.len().max(1)) else { return false };
    let Some(dialect) = Dialect::from_id(&capture.kernel.dialect) else { return false };
    let mut said = capture.said.clone();
    said.log = String::from_utf8_lossy(words).into_owned();
    let section = log::section(&capture.loaded, dialect);
    let comparison = diff::compare(&capture.loaded, &said, dialect, &section);
    if comparison.status == Status::Match {
        assert_eq!(comparison.lines, section.text.lines().count());
        // Each line is there, one behind the other.
        let mut lines = said.log.lines();
        let masked = |line: &&str| line.contains("<address>");
        for wanted in section.text.lines().filter(|line| !masked(line)) {
            assert!(lines.any(|line| line == wanted), "a match without {wanted:?}");
        }
    }
    comparison.status.is_compared()
}

/// Arbitrary instructions with arbitrary surroundings. The analysis says the same to a listener and without one.
pub fn analysis(data: &[u8]) -> bool {
    let mut bytes = Bytes(data);
    let dialect = bytes.choose(&Dialect::ALL).unwrap_or(Dialect::V7_2);
    let loaded = bytes.loaded();
    let silent = verifier::analyze(&loaded, dialect, &mut Silent);
    let heard = verifier::analyze(&loaded, dialect, &mut Deaf);
    let analysed = silent.is_ok();
    match (silent, heard) {
        (Ok(silent), Ok(heard)) => {
            assert_eq!(silent.live_regs, heard.live_regs);
            match (&silent.stack, &heard.stack) {
                (Stack::ByCallsite(silent), Stack::ByCallsite(heard)) => assert_eq!(silent, heard),
                (Stack::ByCallChain(silent), Stack::ByCallChain(heard)) => {
                    assert_eq!(silent.instances(), heard.instances());
                }
                (Stack::Observed, Stack::Observed) => {}
                _ => panic!("the form depends on the dialect alone"),
            }
        }
        (Err(silent), Err(heard)) => assert_eq!(silent, heard),
        _ => panic!("a listener changes the outcome"),
    }
    let _ = log::section(&loaded, dialect);
    analysed
}

/// Takes every event and makes nothing of it.
struct Deaf;

impl Listener for Deaf {
    fn event(&mut self, _: &Program<'_>, _: Event<'_>) {}
}

/// The types of a kernel.
pub fn btf(data: &[u8]) -> bool {
    let Ok(btf) = Btf::parse(data) else { return false };
    for ty in btf.types() {
        let _ = btf.resolve_size(ty.id);
        let _ = btf.skip_modifiers(ty.id);
        let _ = btf.members(&ty).count() + btf.params(&ty).count();
    }
    let dialect = Dialect::detect(&btf).unwrap_or(Dialect::V7_2);
    let call = Insn { code: 0x85, src_reg: 2, imm: 1, ..Insn::default() };
    let mut loaded = Loaded { insns: vec![call; 2], prog_type: 5, ..Loaded::default() };
    Callable::new(&btf, dialect, &[]).fill(&mut loaded);
    assert_eq!(loaded.kfuncs.len(), 1, "each once");
    true
}

/// The image of a kernel.
pub fn image(data: &[u8]) -> bool {
    Image::parse(Path::new("/nonexistent/vmlinuz"), data).is_ok()
}

/// A report that is to be merged with others.
pub fn report(data: &[u8]) -> bool {
    let Ok(read) = report::from_json(data) else { return false };
    let mut bytes = Vec::new();
    report::to_json(&read, &mut bytes).expect("what was read can be written");
    let again = report::from_json(&bytes).expect("what was written can be read");
    let mut bytes_again = Vec::new();
    report::to_json(&again, &mut bytes_again).expect("and written again");
    assert_eq!(bytes, bytes_again);
    true
}

/// Input that is taken bit by bit.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = usize::from(self.byte());
        from.get(at % from.len().max(1)).copied()
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// What surrounds a program, then its instructions up to the end of the input.
    fn loaded(&mut self) -> Loaded {
        let mut loaded = Loaded {
            prog_type: (self.byte() % 33).into(),
            expected_attach_type: self.byte().into(),
            ..Loaded::default()
        };
        for _ in 0..self.byte() % 4 {
            let value_size = u32::from(self.byte());
            let rdonly = self.byte() % 2 == 1;
            loaded.maps.push(Map {
                map_type: (self.byte() % 36).into(),
                shape: MapShape { key_size: u32::from(self.byte()), value_size },
                frozen: rdonly,
                rdonly_value: rdonly.then(|| vec![self.byte(); value_size as usize]),
                insn_array: self
                    .byte()
                    .is_multiple_of(4)
                    .then(|| (0..self.byte() % 8).map(|_| self.byte().into()).collect()),
                ..Map::default()
            });
        }
        for _ in 0..self.byte() % 4 {
            let insn_off = self.byte().into();
            loaded.func_info.push(FuncInfo {
                insn_off,
                name: "function".into(),
                global: self.byte() % 2 == 1,
            });
        }
        for _ in 0..self.byte() % 3 {
            let params = (0..self.byte() % 8)
                .map(|_| {
                    let flags = self.byte();
                    KfuncParam {
                        pointer: flags & 1 != 0,
                        dynptr: flags & 2 != 0,
                        size_of_previous: flags & 4 != 0,
                        uninit: flags & 8 != 0,
                        pointee_size: (flags & 16 != 0).then(|| self.byte().into()),
                    }
                })
                .collect();
            let flags = self.byte();
            loaded.kfuncs.push(Kfunc {
                btf_id: i32::from(self.byte() % 4),
                name: "kfunc".into(),
                prototype: (flags & 1 == 0).then_some(KfuncPrototype {
                    params,
                    iter_new: flags & 2 != 0,
                    iter_next: flags & 4 != 0,
                }),
                calls_callback: flags & 8 != 0,
                ..Kfunc::default()
            });
        }
        loaded.exception_callback = (self.byte() % 8 == 7).then(|| self.byte().into());
        // Raw instructions are refused early, nearly all of them; so most are brought into range.
        let tame = !self.byte().is_multiple_of(8);
        while self.0.len() >= 8 {
            let (code, regs) = (self.byte(), self.byte());
            let off = i16::from_le_bytes([self.byte(), self.byte()]);
            let imm = self.word() as i32;
            let mut insn = Insn { code, dst_reg: regs & 15, src_reg: regs >> 4, off, imm };
            if tame {
                (insn.dst_reg, insn.src_reg) = (insn.dst_reg % 11, insn.src_reg % 11);
                let is_jump = matches!(code & 7, 5 | 6);
                if is_jump {
                    insn.off %= 16;
                    insn.imm %= 256;
                }
                if is_jump && code & 0xf0 == 0x80 {
                    insn.src_reg %= 3;
                }
            }
            loaded.insns.push(insn);
            if insn.is_ldimm64() && tame {
                loaded.insns.push(Insn::default());
            }
        }
        if tame {
            loaded.insns.push(Insn { code: 0x95, ..Insn::default() });
        }
        loaded
    }
}
