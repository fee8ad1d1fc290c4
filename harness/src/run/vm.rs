//! One virtual machine: a QEMU process, the port to its agent, and its console.
//!
//! The process has a group of its own, so that a terminal's Ctrl-C does not reach it, and is killed by the
//! kernel when the thread that started it ends. What it needs is handed over in memory and through inherited
//! descriptors: nothing is left behind in the file system, however anybody dies.

use super::{Accel, RunError, initramfs};
use crate::{
    memory::MemoryFile,
    protocol::{self, FromGuest, PORT, ToGuest},
};
use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{BufReader, ErrorKind, Read},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// The program that runs guests.
const QEMU: &str = "qemu-system-x86_64";
/// What the kernel is told. An oops ends it like a panic, or a loading thread that is gone would look like a
/// slow program. Tests of the kernel's ciphers take a fifth of an emulated boot. The test of
/// the timer's interrupt takes a host that is busy for a board that is broken, and panics.
const COMMAND_LINE: &str =
    "console=ttyS0 quiet panic=-1 oops=panic mitigations=off cryptomgr.notests no_timer_check";
/// The processor of an emulated guest. What is left out asks for work at every entry into the kernel, every copy to or
/// from a program and every miss of the address cache, or makes the kernel clear and copy memory byte by byte, which is
/// fast in hardware only.
const EMULATED_PROCESSOR: &str = "max,-erms,-smap,-la57,-pku";
/// The port's controller. An emulated guest waits for every write: it is done at once where it would otherwise be left
/// to a thread that has to get a processor first.
const CONTROLLER: &str = "virtio-serial-pci";
const EMULATED_CONTROLLER: &str = "virtio-serial-pci,ioeventfd=off";
/// Bytes kept of a console.
const CONSOLE: usize = 16 << 10;
/// Lines shown of a console.
const CONSOLE_LINES: usize = 40;

/// Finds QEMU on the path.
pub(super) fn find_qemu() -> Result<PathBuf, RunError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(QEMU))
        .find(|file| file.is_file())
        .ok_or_else(|| RunError::NoQemu { program: QEMU.to_string() })
}

/// What a virtual machine is made from.
pub(super) struct Machine {
    pub(super) qemu: PathBuf,
    pub(super) kernel: PathBuf,
    pub(super) initramfs: MemoryFile,
    pub(super) vcpus: u32,
    pub(super) memory_mib: u32,
    /// More of the kernel's command line.
    pub(super) kernel_args: String,
    /// More arguments.
    pub(super) qemu_args: Vec<String>,
}

/// What comes from a virtual machine.
pub(super) enum FromVm {
    Message(Box<FromGuest>, Vec<u8>),
    /// The port is closed: the guest or QEMU has ended, or talks nonsense.
    Closed(String),
}

/// A running virtual machine, or an agent for the running kernel. Dropping it ends it.
pub(super) struct Vm {
    child: Option<Child>,
    port: UnixStream,
    to_guest: Option<Sender<(ToGuest, Arc<[u8]>)>>,
    from_guest: Option<Receiver<FromVm>>,
    console: Arc<Mutex<VecDeque<u8>>>,
    errors: Arc<Mutex<VecDeque<u8>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Machine {
    fn arguments(&self, accel: Accel) -> Vec<OsString> {
        let (accelerator, processor, controller) = match accel {
            Accel::Kvm => ("kvm", "host", CONTROLLER),
            _ => ("tcg,thread=multi", EMULATED_PROCESSOR, EMULATED_CONTROLLER),
        };
        let (memory, vcpus) = (format!("{}M", self.memory_mib), self.vcpus.to_string());
        let port = format!("virtserialport,chardev=port,name={PORT}");
        let command_line =
            format!("{COMMAND_LINE} LD_LIBRARY_PATH={} {}", initramfs::LIBRARIES, self.kernel_args);
        let mut arguments: Vec<OsString> = [
            ["-accel", accelerator],
            ["-cpu", processor],
            ["-smp", &vcpus],
            ["-m", &memory],
            ["-display", "none"],
            ["-chardev", "file,id=console,path=/dev/stdout"],
            ["-serial", "chardev:console"],
            // Standard input is our end of the port.
            ["-chardev", "socket,id=port,fd=0"],
            ["-device", controller],
            ["-device", &port],
            ["-append", command_line.trim_end()],
        ]
        .iter()
        .flatten()
        .map(OsString::from)
        .collect();
        arguments.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
        arguments.extend(["-kernel".into(), self.kernel.clone().into_os_string()]);
        arguments.extend(["-initrd".into(), self.initramfs.path().into_os_string()]);
        arguments.extend(self.qemu_args.iter().map(OsString::from));
        arguments
    }

    /// Starts QEMU. The thread that calls this must outlive the virtual machine.
    pub(super) fn start(&self, accel: Accel) -> Result<Vm, RunError> {
        let mut command = Command::new(&self.qemu);
        command.args(self.arguments(accel));
        start(command, "start QEMU")
    }
}

/// Starts a process that has its end of the port as its standard input. The thread that calls this must outlive it.
pub(super) fn start(mut command: Command, action: &'static str) -> Result<Vm, RunError> {
    let io = |action| move |source| RunError::Io { action, source };
    let (port, theirs) = UnixStream::pair().map_err(io("make a socket for the guest"))?;
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    die_with_parent(&mut command);
    let mut child = command.spawn().map_err(io(action))?;
    // Our copy of the guest's end must go, or the port would never close.
    drop(command);
    let pipe = |pipe: Option<OwnedFd>| pipe.map(std::fs::File::from);
    let stdout = pipe(child.stdout.take().map(OwnedFd::from));
    let stderr = pipe(child.stderr.take().map(OwnedFd::from));
    match Vm::over(port) {
        Ok(mut vm) => {
            for (pipe, tail) in [(stdout, &vm.console), (stderr, &vm.errors)] {
                vm.threads.extend(pipe.map(|pipe| keep_tail(pipe, tail)));
            }
            vm.child = Some(child);
            Ok(vm)
        }
        Err(source) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(RunError::Io { action: "talk to the guest", source })
        }
    }
}

/// Has the kernel kill the child when the thread that started it is gone.
#[allow(unsafe_code)]
pub(super) fn die_with_parent(command: &mut Command) {
    use nix::{
        sys::{prctl, signal::Signal},
        unistd::{getpid, getppid},
    };
    let parent = getpid();
    let prepare = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above.
        if getppid() == parent { Ok(()) } else { Err(std::io::Error::other("the parent has died")) }
    };
    // SAFETY: between fork and exec, `prepare` makes system calls only.
    unsafe { command.pre_exec(prepare) };
}

fn keep_tail(mut from: impl Read + Send + 'static, tail: &Arc<Mutex<VecDeque<u8>>>) -> JoinHandle<()> {
    let tail = Arc::clone(tail);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend(bytes.get(..count).unwrap_or_default());
            let excess = tail.len().saturating_sub(CONSOLE);
            tail.drain(..excess);
        }
    })
}

impl Vm {
    /// Talks to an agent at the other end of `port`; there is no process yet.
    pub(super) fn over(port: UnixStream) -> std::io::Result<Vm> {
        let mut reader = BufReader::with_capacity(1 << 16, port.try_clone()?);
        let mut writer = port.try_clone()?;
        let (to_guest, outgoing) = mpsc::channel::<(ToGuest, Arc<[u8]>)>();
        // Bounded: what nobody has taken yet waits in the guest.
        let (incoming, from_guest) = mpsc::sync_channel(64);
        let read = move || {
            loop {
                let (event, last) = match protocol::read::<FromGuest>(&mut reader) {
                    Ok((message, payload)) => (FromVm::Message(Box::new(message), payload), false),
                    Err(error) if error.kind() == ErrorKind::InvalidData => {
                        (FromVm::Closed(format!("the guest talks nonsense: {error}")), true)
                    }
                    Err(_) => (FromVm::Closed("the guest died".to_string()), true),
                };
                if incoming.send(event).is_err() || last {
                    return;
                }
            }
        };
        let write = move || {
            for (message, payload) in outgoing {
                if protocol::write(&mut writer, &message, &payload).is_err() {
                    return;
                }
            }
        };
        Ok(Vm {
            child: None,
            port,
            to_guest: Some(to_guest),
            from_guest: Some(from_guest),
            console: Arc::default(),
            errors: Arc::default(),
            threads: vec![std::thread::spawn(read), std::thread::spawn(write)],
        })
    }

    /// Puts a message in the queue to the guest. A guest that is gone is noticed by [`Vm::receive`].
    pub(super) fn send(&self, message: ToGuest, payload: Arc<[u8]>) {
        if let Some(to_guest) = &self.to_guest {
            let _ = to_guest.send((message, payload));
        }
    }

    /// What comes from the guest within `limit`; nothing if nothing comes.
    pub(super) fn receive(&self, limit: Duration) -> Option<FromVm> {
        let from_guest = self.from_guest.as_ref()?;
        match from_guest.recv_timeout(limit) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(FromVm::Closed("the guest died".to_string())),
        }
    }

    /// Processor time that the virtual machine has had, over all its processors.
    pub(super) fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.as_ref()?.id())).ok()?;
        // The name of the process, in parentheses, may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        // USER_HZ is 100 on x86.
        Some(Duration::from_millis(10 * (user + system)))
    }

    /// Ends the virtual machine, after a moment for one that is ending by itself, and returns the last lines
    /// of its console and of QEMU's own messages.
    pub(super) fn finish(mut self, patience: Duration) -> String {
        let end = Instant::now() + patience;
        let running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        while Instant::now() < end && self.child.as_mut().is_some_and(running) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.end();
        let (errors, console) = (last_lines(&self.errors), last_lines(&self.console));
        [errors, console].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn end(&mut self) {
        // The process is ours until it is waited for, so its number cannot be another's.
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.port.shutdown(Shutdown::Both);
        // Without these the threads would wait for us.
        self.to_guest = None;
        self.from_guest = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.end();
    }
}

fn last_lines(tail: &Mutex<VecDeque<u8>>) -> String {
    let bytes: Vec<u8> = tail.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    // What a terminal would obey has no place in a report.
    let plain = |c: char| if c == '\n' || c == '\t' || !c.is_control() { Some(c) } else { None };
    let text: String = text.chars().filter_map(plain).collect();
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(CONSOLE_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_the_process() {
        let mut vm = Vm::over(UnixStream::pair().unwrap().0).unwrap();
        assert_eq!(vm.processor_time(), None);
        vm.child = Some(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        while vm.processor_time().unwrap() < Duration::from_millis(30) {
            assert!(Instant::now() < end, "{:?}", vm.processor_time());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
