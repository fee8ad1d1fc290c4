//! `BPF_PROG_LOAD` of one program, with a log that keeps its beginning and is as large as it has to be.

use super::{
    btf,
    context::{self, Guess},
    facts,
    libbpf::{self, LoadAnswer, LoadOptions, Program},
    object::{Prepared, Ready},
    stop::Stopper,
    trace::Thread,
};
use crate::protocol::Stop;
use libbpf_sys as sys;
use livediff_capture::{Attach, Loaded, Verdict, trace::Records};
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, OwnedFd},
};

/// Level 2 tells everything; `BPF_LOG_FIXED` (8) keeps the beginning when the buffer is full.
pub(super) const LOG_LEVEL: u32 = 2 | 8;
/// How much of a buffer is kept in memory from one load to the next, in bytes.
const KEPT: usize = 4 << 20;
/// How much of a log is sent beyond what is wanted, in bytes.
const SPARE: usize = 64 << 10;
const EAGAIN: i32 = 11;
const ENOSPC: i32 = 28;
/// Loads that are tried again on -EAGAIN, as often as libbpf's own loader does.
const ATTEMPTS: u32 = 4;

/// The buffer that the kernel writes the log of one thread's loads to.
pub(super) struct LogBuffer {
    /// As large as it may be: what no log has reached takes no memory.
    bytes: Vec<u8>,
    stopper: Option<Stopper>,
    /// The line before the last ones that are wanted.
    marker: Option<String>,
    /// Bytes of the last load's log.
    used: usize,
    /// Who reads the analysis of this thread's loads.
    tracing: Option<Thread>,
    /// What was read of the last load.
    traced: Option<Records>,
}

/// How a load went.
struct Load {
    result: Result<OwnedFd, i32>,
    /// It was told to stop, whether it did or not.
    told_to_stop: bool,
    /// The log did not fit.
    cut: bool,
}

impl LogBuffer {
    /// A buffer of the calling thread, of `size` bytes.
    pub(super) fn new(size: usize, stop: Option<Stop>) -> io::Result<LogBuffer> {
        let marker = stop.as_ref().map(|stop| stop.marker.clone());
        let stopper = stop.map(|stop| Stopper::new(stop.after)).transpose()?;
        Ok(LogBuffer {
            bytes: vec![0; size.max(1 << 16)],
            used: 0,
            stopper,
            marker,
            tracing: None,
            traced: None,
        })
    }

    /// From now on the analysis of each load is read too.
    pub(super) fn trace(&mut self, tracing: Thread) {
        self.tracing = Some(tracing);
    }

    /// What was read of the last load, if anything reads it. To be had once.
    pub(super) fn take_trace(&mut self) -> Option<Records> {
        self.traced.take()
    }

    /// Runs a load that is not stopped and says nothing, for what is traced of it.
    fn run_silently(&mut self, load: impl FnOnce() -> LoadAnswer) -> Result<OwnedFd, i32> {
        if let Some(tracing) = &mut self.tracing {
            tracing.begin();
        }
        let LoadAnswer { result, .. } = load();
        self.traced = self.tracing.as_ref().map(Thread::end);
        result
    }

    /// The log of the last load.
    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Gives back what an unusually long log needed.
    pub(super) fn shrink(&mut self) {
        if self.used > KEPT {
            let size = self.bytes.len();
            self.bytes = Vec::new();
            self.bytes = vec![0; size];
        }
        self.used = 0;
    }

    /// Runs a load into the buffer, with the stopper at its side if there is one and it `may_stop`.
    fn run(&mut self, may_stop: bool, load: impl FnOnce(&mut [u8]) -> LoadAnswer) -> Load {
        let bytes = &mut self.bytes;
        if let Some(tracing) = &mut self.tracing {
            tracing.begin();
        }
        let (LoadAnswer { result, log_true_size }, told_to_stop) = match &mut self.stopper {
            Some(stopper) if may_stop => stopper.run(|| load(bytes)),
            _ => (load(bytes), false),
        };
        self.traced = self.tracing.as_ref().map(Thread::end);
        self.set_used(log_true_size);
        Load { result, told_to_stop, cut: log_true_size > self.bytes.len() }
    }

    /// Where what is wanted of the log ends: behind the `lines` lines after the marker, if they are all there.
    fn wanted(&self, lines: usize) -> Option<usize> {
        end_of_lines(self.text(), self.marker.as_ref()?.as_bytes(), lines)
    }

    /// Forgets what lies [`SPARE`] bytes and more behind what is wanted. True if there was something.
    fn cut(&mut self, lines: usize) -> bool {
        if self.used <= SPARE {
            return false;
        }
        let Some(end) = self.wanted(lines) else { return false };
        let rest = self.text().get(end + SPARE..);
        let kept = rest.and_then(|rest| Some(rest.iter().position(|byte| *byte == b'\n')? + 1));
        match kept.map(|kept| end + SPARE + kept) {
            Some(kept) if kept < self.used => {
                self.used = kept;
                true
            }
            _ => false,
        }
    }

    /// Notes how much of the buffer is the log: up to the NUL behind it. Of `true_size` bytes the kernel has written, at
    /// times, more than it left standing.
    fn set_used(&mut self, true_size: usize) {
        let written = self.bytes.get(..true_size.min(self.bytes.len())).unwrap_or_default();
        self.used = CStr::from_bytes_until_nul(written).map_or(written.len(), CStr::count_bytes);
    }
}

/// Where the `lines` lines after the line with the marker end. The marker is looked for from the end: where a load was
/// stopped, little follows the lines.
fn end_of_lines(text: &[u8], marker: &[u8], lines: usize) -> Option<usize> {
    let first = marker.first()?;
    let mut before = text;
    let at = loop {
        let at = before.iter().rposition(|byte| byte == first)?;
        if text.get(at..)?.starts_with(marker) {
            break at;
        }
        before = before.get(..at)?;
    };
    let newlines = text.get(at..)?.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    newlines.map(|(offset, _)| at + offset + 1).nth(lines)
}

/// The kernel's answer, beside the log.
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    pub(super) errno: i32,
    pub(super) truncated: bool,
}

/// Loads the program. The error says why it cannot be given to the kernel at all.
pub(super) fn load(
    prepared: &Prepared,
    ready: &Ready,
    log: &mut LogBuffer,
) -> Result<(Loaded, Answer), String> {
    let program = prepared.object.program(ready.number as usize).ok_or("the object has no such program")?;
    let kind = Kind::resolve(prepared, ready, &program)?;
    let loaded = facts::loaded(prepared, &program, kind.given())?;
    let name = CString::new(program.name()).unwrap_or_default();
    let answer = ask(&kind.options(prepared, &program, &name), lines(&loaded), log);
    Ok((loaded, answer))
}

/// How many lines the verifier's tables of the program's instructions have: a 64-bit load takes two slots and one line.
pub(super) fn lines(loaded: &Loaded) -> usize {
    loaded.insns.len() - loaded.insns.iter().filter(|insn| insn.is_ldimm64()).count()
}

/// Asks the kernel to load a program of so many lines.
pub(super) fn ask(options: &LoadOptions<'_>, lines: usize, log: &mut LogBuffer) -> Answer {
    let (mut attempts, mut may_stop) = (ATTEMPTS, true);
    let (result, stopped, truncated) = loop {
        let Load { result, told_to_stop, cut } = log.run(may_stop, |bytes| libbpf::prog_load(options, bytes));
        match result {
            // Where the buffer was full before the load was stopped, its error hides the one of the stop.
            Err(EAGAIN | ENOSPC) if told_to_stop && log.wanted(lines).is_some() => break (result, true, cut),
            Err(EAGAIN) if told_to_stop && !cut => may_stop = false,
            Err(EAGAIN) if attempts > 0 => attempts -= 1,
            // The error is the log's, and hides the verdict.
            Err(ENOSPC) if cut => {
                break (ask_silently(options, log), false, cut);
            }
            _ => break (result, false, cut),
        }
    };
    let (result, stopped) = match stopped && log.tracing.is_some() {
        // The answers come during the walk, which is done again in silence: its words would take longer than it.
        true => (ask_silently(options, log), false),
        false => (result, stopped),
    };
    let (verdict, errno) = match result {
        _ if stopped => (Verdict::NotRun, EAGAIN),
        Ok(_) => (Verdict::Accepted, 0),
        Err(errno) => (Verdict::Rejected, errno),
    };
    let truncated = log.cut(lines) || truncated;
    Answer { verdict, errno, truncated }
}

/// Asks again, without a log and to the end.
fn ask_silently(options: &LoadOptions<'_>, log: &mut LogBuffer) -> Result<OwnedFd, i32> {
    let silent = LoadOptions { log_level: 0, ..*options };
    let mut attempts = ATTEMPTS;
    loop {
        match log.run_silently(|| libbpf::prog_load(&silent, &mut [])) {
            Err(EAGAIN) if attempts > 0 => attempts -= 1,
            result => return result,
        }
    }
}

/// As what a program is loaded.
pub(super) struct Kind {
    prog_type: u32,
    expected_attach_type: u32,
    prog_flags: u32,
    target: Target,
}

impl Kind {
    /// What is given to the kernel beside the program itself.
    pub(super) fn given(&self) -> facts::Given {
        facts::Given {
            prog_type: self.prog_type,
            expected_attach_type: self.expected_attach_type,
            prog_flags: self.prog_flags,
            attach: self.target.attach.clone(),
        }
    }

    /// Everything that is given to the kernel, with the whole log asked for.
    pub(super) fn options<'a>(
        &'a self,
        prepared: &'a Prepared,
        program: &Program<'a>,
        name: &'a CStr,
    ) -> LoadOptions<'a> {
        LoadOptions {
            name,
            prog_type: self.prog_type,
            expected_attach_type: self.expected_attach_type,
            prog_flags: self.prog_flags,
            attach_btf_id: self.target.btf_id,
            attach_prog_fd: self.target.program.as_ref().map(|program| program.as_raw_fd()),
            license: &prepared.license,
            kernel_version: prepared.object.kernel_version(),
            insns: program.insn_bytes(),
            debug_info: program.debug_info(),
            log_level: LOG_LEVEL,
        }
    }

    /// What the section says; else what the context of the program says.
    pub(super) fn resolve(prepared: &Prepared, ready: &Ready, program: &Program<'_>) -> Result<Kind, String> {
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
        let kind = Kind {
            prog_type: other.prog_type(),
            expected_attach_type: expected_attach_type(&other),
            prog_flags: other.flags() | section_flags(&other),
            target,
        };
        let name_of_other = CString::new(other.name()).unwrap_or_default();
        let options = LoadOptions {
            log_level: 0,
            attach_prog_fd: None,
            ..kind.options(prepared, &other, &name_of_other)
        };
        let Ok(fd) = libbpf::prog_load(&options, &mut []).result else { continue };
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
        let stop = Stop { marker: "Table:".into(), after: std::time::Duration::from_secs(1) };
        let mut buffer = LogBuffer::new(1 << 20, Some(stop)).unwrap();
        buffer.bytes[..log.len()].copy_from_slice(log.as_bytes());
        buffer.set_used(log.len() + 1);
        let cut = buffer.cut(lines);
        (cut, String::from_utf8(buffer.text().to_vec()).unwrap())
    }

    #[test]
    fn a_log_is_cut_behind_what_is_wanted() {
        super::super::stop::install().unwrap();
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
