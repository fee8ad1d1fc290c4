//! `BPF_PROG_LOAD` of one program, with a log that keeps its beginning and is as large as it has to be.

use super::{
    btf,
    context::{self, Guess},
    facts,
    libbpf::{self, LoadAnswer, LoadOptions, Program},
    object::{Prepared, Ready},
    watch::{self, Watcher},
};
use crate::protocol::Stop;
use libbpf_sys as sys;
use livediff_capture::{Attach, Loaded, Verdict};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

/// Level 2 tells everything; `BPF_LOG_FIXED` (8) keeps the beginning when the buffer is full.
const LOG_LEVEL: u32 = 2 | 8;
const FIRST_SIZE: usize = 4 << 20;
/// How much of a log is sent beyond what is wanted, in bytes.
const SPARE: usize = 64 << 10;
const EAGAIN: i32 = 11;
const ENOSPC: i32 = 28;
/// Loads that are tried again on -EAGAIN, as often as libbpf's own loader does.
const ATTEMPTS: u32 = 4;

/// The buffer that the kernel writes the log of one thread's loads to.
pub(super) struct LogBuffer {
    /// All zero beyond what the last load wrote.
    bytes: Vec<u8>,
    watcher: Option<Watcher>,
    /// The line before the last ones that are wanted.
    marker: Option<String>,
    limit: usize,
    used: usize,
    /// Bytes that the last load may have written: the longest that its log was, and the NUL behind it.
    written: usize,
}

impl LogBuffer {
    /// A buffer of the calling thread that grows up to `limit` bytes.
    pub(super) fn new(limit: usize, stop: Option<Stop>) -> io::Result<LogBuffer> {
        let limit = limit.max(1 << 16);
        let marker = stop.as_ref().map(|stop| stop.marker.clone());
        let watcher = stop.map(Watcher::start).transpose()?;
        Ok(LogBuffer { bytes: vec![0; FIRST_SIZE.min(limit)], limit, used: 0, written: 0, watcher, marker })
    }

    /// The log of the last load.
    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Gives back what an unusually long log needed.
    pub(super) fn shrink(&mut self) {
        if self.bytes.len() > FIRST_SIZE {
            self.bytes = vec![0; FIRST_SIZE.min(self.limit)];
            self.written = 0;
        }
        self.clear();
    }

    /// Makes room for `needed` bytes; false if there is as much as there may be.
    fn grow(&mut self, needed: usize) -> bool {
        if self.bytes.len() >= self.limit {
            return false;
        }
        let size = needed.saturating_add(needed / 8).max(self.bytes.len() * 2).min(self.limit);
        self.bytes = Vec::new();
        self.bytes = vec![0; size];
        self.written = 0;
        true
    }

    /// Runs a load into the empty buffer; also tells whether it was cut short because the log has enough.
    fn watched<R>(&mut self, lines: usize, load: impl FnOnce(&mut [u8]) -> R) -> (R, bool) {
        self.clear();
        match &self.watcher {
            Some(watcher) => watcher.run(&mut self.bytes, lines, load),
            None => (load(&mut self.bytes), false),
        }
    }

    /// Forgets what lies [`SPARE`] bytes and more behind the `lines` lines after the marker. True if there was
    /// something.
    fn cut(&mut self, lines: usize) -> bool {
        let Some(marker) = self.marker.as_ref().filter(|_| self.used > SPARE) else { return false };
        let text = self.bytes.get(..self.used).unwrap_or_default();
        let Some(end) = end_of_lines(text, marker.as_bytes(), lines) else { return false };
        let kept =
            text.get(end + SPARE..).and_then(|rest| Some(rest.iter().position(|byte| *byte == b'\n')? + 1));
        match kept.map(|kept| end + SPARE + kept) {
            Some(kept) if kept < self.used => {
                self.used = kept;
                true
            }
            _ => false,
        }
    }

    /// Zeroes what the load before has written.
    fn clear(&mut self) {
        let written = self.written.min(self.bytes.len());
        self.bytes[..written].fill(0);
        self.written = 0;
        self.used = 0;
    }

    /// Notes how much of the buffer the kernel has written: up to the first NUL.
    fn set_used(&mut self, true_size: usize) {
        let written = self.bytes.get(..true_size.min(self.bytes.len())).unwrap_or_default();
        self.used = written.iter().position(|byte| *byte == 0).unwrap_or(written.len());
    }
}

/// Where the `lines` lines after the line with the marker end.
fn end_of_lines(text: &[u8], marker: &[u8], lines: usize) -> Option<usize> {
    let at = watch::find(text, marker)?;
    let newlines = text.get(at..)?.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    newlines.map(|(offset, _)| at + offset + 1).nth(lines)
}

/// The kernel's answer, beside the log.
pub(super) struct Answer {
    pub(super) loaded: Loaded,
    pub(super) verdict: Verdict,
    pub(super) errno: i32,
    pub(super) truncated: bool,
}

/// Loads the program. The error says why it cannot be given to the kernel at all.
pub(super) fn load(prepared: &Prepared, ready: &Ready, log: &mut LogBuffer) -> Result<Answer, String> {
    let number = ready.number as usize;
    let program = prepared.object.program(number).ok_or("the object has no such program")?;
    let Kind { prog_type, expected_attach_type, prog_flags, target } =
        Kind::resolve(prepared, ready, &program)?;
    let given = facts::Given { prog_type, expected_attach_type, prog_flags, attach: target.attach };
    let loaded = facts::loaded(prepared, &program, given)?;
    // A 64-bit load takes two slots and one line.
    let lines = loaded.insns.len() - loaded.insns.iter().filter(|insn| insn.is_ldimm64()).count();
    let options = LoadOptions {
        prog_type,
        expected_attach_type,
        prog_flags,
        attach_btf_id: target.btf_id,
        attach_prog_fd: target.program.as_ref().map(|program| program.as_raw_fd()),
        license: &prepared.license,
        log_level: LOG_LEVEL,
    };
    let mut attempts = ATTEMPTS;
    let (result, stopped, truncated) = loop {
        let (LoadAnswer { mut result, log_true_size }, enough) =
            log.watched(lines, |bytes| libbpf::prog_load(&program, &options, bytes));
        let cut = log_true_size > log.bytes.len();
        log.written = log_true_size.saturating_add(1);
        let (interrupted, full) =
            (result.as_ref().err() == Some(&EAGAIN), result.as_ref().err() == Some(&ENOSPC));
        if enough && (interrupted || full) {
            // Where the buffer was full before the load was stopped, its error hides the one of the stop.
            log.set_used(log_true_size);
            break (result, true, cut);
        }
        if interrupted && attempts > 0 {
            attempts -= 1;
            continue;
        }
        if cut && log.grow(log_true_size) {
            continue;
        }
        if cut && full {
            // The error is the log's, and hides the verdict.
            let silent = LoadOptions { log_level: 0, ..options };
            result = libbpf::prog_load(&program, &silent, &mut []).result;
        }
        log.set_used(log_true_size);
        break (result, false, cut);
    };
    let (verdict, errno) = match result {
        _ if stopped => (Verdict::NotRun, EAGAIN),
        Ok(_) => (Verdict::Accepted, 0),
        Err(errno) => (Verdict::Rejected, errno),
    };
    let truncated = log.cut(lines) || truncated;
    Ok(Answer { loaded, verdict, errno, truncated })
}

/// As what a program is loaded.
struct Kind {
    prog_type: u32,
    expected_attach_type: u32,
    prog_flags: u32,
    target: Target,
}

impl Kind {
    /// What the section says; else what the context of the program says.
    fn resolve(prepared: &Prepared, ready: &Ready, program: &Program<'_>) -> Result<Kind, String> {
        let prog_type = program.prog_type();
        let guessed = |Guess { prog_type, expected_attach_type }| Kind {
            prog_type,
            expected_attach_type,
            prog_flags: program.flags(),
            target: Target::default(),
        };
        if prog_type == sys::BPF_PROG_TYPE_UNSPEC {
            return context::guess(program)
                .map(guessed)
                .ok_or("nothing says the type of the program".to_string());
        }
        let target = match Target::resolve(prepared, ready, program) {
            Ok(target) => target,
            Err(reason) if prog_type == sys::BPF_PROG_TYPE_EXT => {
                return context::guess(program).map(guessed).ok_or(reason);
            }
            Err(reason) => return Err(reason),
        };
        let prog_flags = program.flags() | section_flags(program);
        Ok(Kind { prog_type, expected_attach_type: expected_attach_type(program), prog_flags, target })
    }
}

/// The flags that libbpf takes from a section's name (`SEC_SLEEPABLE`, `SEC_XDP_FRAGS`).
fn section_flags(program: &Program<'_>) -> u32 {
    let section = program.section();
    let kind = section.split('/').next().unwrap_or_default();
    let mut flags = 0;
    if kind == "syscall" || kind.ends_with(".s") {
        flags |= sys::BPF_F_SLEEPABLE;
    }
    if kind == "xdp.frags" {
        flags |= sys::BPF_F_XDP_HAS_FRAGS;
    }
    flags
}

/// The attach type that libbpf gives; for USDT programs it changes the one of the section to that of links to
/// several probes, where the kernel has them.
fn expected_attach_type(program: &Program<'_>) -> u32 {
    let section = program.section();
    match section.split('/').next() {
        Some("usdt" | "usdt.s") => sys::BPF_TRACE_UPROBE_MULTI,
        _ => program.expected_attach_type(),
    }
}

/// What a program attaches to, as `BPF_PROG_LOAD` wants it.
#[derive(Default)]
struct Target {
    btf_id: u32,
    program: Option<OwnedFd>,
    attach: Option<Attach>,
}

impl Target {
    fn resolve(prepared: &Prepared, ready: &Ready, program: &Program<'_>) -> Result<Target, String> {
        if let Some((btf_id, attach)) = &ready.struct_ops {
            return Ok(Target { btf_id: *btf_id, program: None, attach: Some(attach.clone()) });
        }
        let section = program.section();
        let target = section.split_once('/').map(|(_, target)| target).filter(|target| !target.is_empty());
        let named =
            || target.ok_or(format!("the section `{section}` does not say what the program attaches to"));
        match program.prog_type() {
            sys::BPF_PROG_TYPE_TRACING | sys::BPF_PROG_TYPE_LSM => {
                let name = named()?;
                let btf_id = btf::find_attach_target(name, program.expected_attach_type())?;
                let attach = Attach { name: name.to_string(), ..Attach::default() };
                Ok(Target { btf_id, program: None, attach: Some(attach) })
            }
            sys::BPF_PROG_TYPE_EXT => extended(prepared, program, named()?),
            _ => Ok(Target::default()),
        }
    }
}

/// The program that an extension replaces a function of: the first of the same object that has the function
/// and that the kernel takes.
fn extended(prepared: &Prepared, program: &Program<'_>, name: &str) -> Result<Target, String> {
    for ready in prepared.programs.iter().chain(&prepared.targets) {
        let Some(other) = prepared.object.program(ready.number as usize) else { continue };
        let extends = other.prog_type() == sys::BPF_PROG_TYPE_EXT || other.address() == program.address();
        if extends || !facts::has_function(prepared, &other, name) {
            continue;
        }
        let Ok(target) = Target::resolve(prepared, ready, &other) else { continue };
        let options = LoadOptions {
            prog_type: other.prog_type(),
            expected_attach_type: expected_attach_type(&other),
            prog_flags: other.flags() | section_flags(&other),
            attach_btf_id: target.btf_id,
            attach_prog_fd: None,
            license: &prepared.license,
            log_level: 0,
        };
        let Ok(fd) = libbpf::prog_load(&other, &options, &mut []).result else { continue };
        let Some(btf_id) = libbpf::prog_btf_function(&fd, name) else { continue };
        let attach = Attach {
            name: name.to_string(),
            target_prog_type: Some(other.prog_type()),
            target_attach_type: expected_attach_type(&other),
        };
        return Ok(Target { btf_id, program: Some(fd), attach: Some(attach) });
    }
    Err(format!("it replaces `{name}` of another program, and no program of this object has such a function"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(log: &str, lines: usize) -> (bool, String) {
        let stop = Stop { marker: "Table:".into(), grace: std::time::Duration::from_secs(1) };
        let mut buffer = LogBuffer::new(1 << 20, Some(stop)).unwrap();
        buffer.bytes[..log.len()].copy_from_slice(log.as_bytes());
        buffer.set_used(log.len() + 1);
        let cut = buffer.cut(lines);
        (cut, String::from_utf8(buffer.text().to_vec()).unwrap())
    }

    #[test]
    fn a_log_is_cut_behind_what_is_wanted() {
        super::watch::install().unwrap();
        let wanted = "func#0 @0\nTable:\n0: a\n1: b\n";
        let walk = "x".repeat(99) + "\n";
        assert_eq!(cut(wanted, 2), (false, wanted.to_string()));
        let long = wanted.to_string() + &walk.repeat(1000);
        let (was_cut, kept) = cut(&long, 2);
        assert!(was_cut && long.starts_with(&kept) && kept.ends_with('\n'));
        assert!((SPARE..SPARE + 100).contains(&(kept.len() - wanted.len())), "{}", kept.len());
        // A table that is not whole may go on anywhere.
        assert_eq!(cut(&long, 2000), (false, long.clone()));
        assert!(!cut(&walk.repeat(1000), 2).0);
        // One byte more than is kept, but not a line more.
        let short = wanted.to_string() + &"x".repeat(SPARE) + "\n";
        assert_eq!(cut(&short, 2), (false, short.clone()));
    }
}
