//! `BPF_PROG_LOAD` of one program, with a log that keeps its beginning and is as large as it has to be.

use super::{
    btf, facts,
    libbpf::{self, LoadAnswer, LoadOptions, Program},
    object::{Prepared, Ready},
};
use libbpf_sys as sys;
use livediff_capture::{Attach, Loaded, Verdict};
use std::os::fd::{AsRawFd, OwnedFd};

/// Level 2 tells everything; `BPF_LOG_FIXED` (8) keeps the beginning when the buffer is full.
const LOG_LEVEL: u32 = 2 | 8;
const FIRST_SIZE: usize = 4 << 20;
const ENOSPC: i32 = 28;

/// The buffer that the kernel writes the log of one thread's loads to.
pub(super) struct LogBuffer {
    bytes: Vec<u8>,
    limit: usize,
    used: usize,
}

impl LogBuffer {
    /// A buffer that grows up to `limit` bytes.
    pub(super) fn new(limit: usize) -> LogBuffer {
        let limit = limit.max(1 << 16);
        LogBuffer { bytes: vec![0; FIRST_SIZE.min(limit)], limit, used: 0 }
    }

    /// The log of the last load.
    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Gives back what an unusually long log needed.
    pub(super) fn shrink(&mut self) {
        self.used = 0;
        if self.bytes.len() > FIRST_SIZE {
            *self = LogBuffer::new(self.limit);
        }
    }

    /// Makes room for `needed` bytes; false if there is as much as there may be.
    fn grow(&mut self, needed: usize) -> bool {
        if self.bytes.len() >= self.limit {
            return false;
        }
        let size = needed.saturating_add(needed / 8).max(self.bytes.len() * 2).min(self.limit);
        self.bytes = Vec::new();
        self.bytes = vec![0; size];
        true
    }

    /// Notes how much of the buffer the kernel has written: up to the first NUL.
    fn set_used(&mut self, true_size: usize) {
        let written = self.bytes.get(..true_size.min(self.bytes.len())).unwrap_or_default();
        self.used = written.iter().position(|byte| *byte == 0).unwrap_or(written.len());
    }
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
    let target = Target::resolve(prepared, ready, &program)?;
    let prog_flags = program.flags() | section_flags(&program);
    let given = facts::Given {
        prog_type: program.prog_type(),
        expected_attach_type: expected_attach_type(&program),
        prog_flags,
        attach: target.attach,
    };
    let loaded = facts::loaded(prepared, &program, given)?;
    let options = LoadOptions {
        prog_type: program.prog_type(),
        expected_attach_type: loaded.expected_attach_type,
        prog_flags,
        attach_btf_id: target.btf_id,
        attach_prog_fd: target.program.as_ref().map(|program| program.as_raw_fd()),
        license: &prepared.license,
        log_level: LOG_LEVEL,
    };
    let (mut result, truncated) = loop {
        let LoadAnswer { result, log_true_size } = libbpf::prog_load(&program, &options, &mut log.bytes);
        if log_true_size > log.bytes.len() && log.grow(log_true_size) {
            continue;
        }
        log.set_used(log_true_size);
        break (result, log_true_size > log.bytes.len());
    };
    if truncated && result.as_ref().is_err_and(|errno| *errno == ENOSPC) {
        // The error is the log's, and hides the verdict.
        result = libbpf::prog_load(&program, &LoadOptions { log_level: 0, ..options }, &mut []).result;
    }
    let (verdict, errno) = match result {
        Ok(_) => (Verdict::Accepted, 0),
        Err(errno) => (Verdict::Rejected, errno),
    };
    Ok(Answer { loaded, verdict, errno, truncated })
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
