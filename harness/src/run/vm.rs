//! One virtual machine: a QEMU process, the port to its agent, and its console.
//!
//! The process has a group of its own, so that a terminal's Ctrl-C does not reach it, and is killed by the
//! kernel when the thread that started it ends. What it needs is handed over in memory and through inherited
//! descriptors: nothing is left behind in the file system, however anybody dies.

use super::{Accel, Room, RunError, initramfs};
use crate::{
    memory::MemoryFile,
    process::{die_with_parent, has_ended, kill_group},
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
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
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
/// slow program. Tests of the kernel's ciphers take a fifth of an emulated boot, and to look up the bounds of what is
/// copied to a program a twentieth of what is done after it: a log is copied line by line. The test of
/// the timer's interrupt takes a host that is busy for a board that is broken, and panics.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 oops=panic mitigations=off hardened_usercopy=off cryptomgr.notests no_timer_check";
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
/// Bytes of messages that may wait to be taken; a longer one waits alone. What is not read stays in the guest.
const WAITING_LIMIT: usize = 64 << 20;
/// The oldest QEMU that can be handed a socket that is open already (`-chardev socket,fd=`).
const OLDEST_QEMU: (u32, u32) = (2, 12);
/// How long QEMU may take to tell its version, and the console's reader to end with its process.
const MOMENT: Duration = Duration::from_secs(3);

/// Finds QEMU on the path.
pub(super) fn find_qemu() -> Result<PathBuf, RunError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(QEMU))
        .find(|file| file.is_file())
        .ok_or_else(|| RunError::NoQemu { program: QEMU.to_string() })
}

/// The version of QEMU, and whether it is too old; nothing if it does not tell.
pub(super) fn version(qemu: &Path) -> Option<(String, bool)> {
    let mut command = Command::new(qemu);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    die_with_parent(command.process_group(0));
    let mut child = command.spawn().ok()?;
    let mut stdout = child.stdout.take()?;
    let (send, receive) = mpsc::channel();
    // Detached: what does not end is killed, and whoever holds its output otherwise is not waited for.
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.by_ref().take(4096).read_to_end(&mut text);
        let _ = send.send(text);
    });
    let text = receive.recv_timeout(MOMENT);
    kill_group(&mut child);
    parse_version(&String::from_utf8_lossy(&text.ok()?))
}

fn parse_version(text: &str) -> Option<(String, bool)> {
    let (_, rest) = text.lines().next()?.split_once("version ")?;
    let version = rest.split([' ', '(', ',']).next().filter(|version| !version.is_empty())?;
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let version_of_two = (numbers.next()??, numbers.next()??);
    Some((version.chars().take(40).collect(), version_of_two < OLDEST_QEMU))
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

/// What a process has had of the processors, over all its threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// The time for which it ran.
    pub(super) used: Duration,
    /// The time for which it could have run and waited for a processor; nothing where the kernel does not tell.
    pub(super) waited: Option<Duration>,
    /// Somebody has stopped it.
    pub(super) is_stopped: bool,
}

/// The time for which the threads of a process have waited for a processor, from the second number of their `schedstat`.
fn waited(process: &str) -> Option<Duration> {
    let mut nanoseconds = None::<u64>;
    for thread in std::fs::read_dir(format!("{process}/task")).ok()?.flatten() {
        // A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else { continue };
        let waited: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
        nanoseconds = Some(nanoseconds.unwrap_or(0).saturating_add(waited));
    }
    nanoseconds.map(Duration::from_nanos)
}

/// A running virtual machine, or an agent for the running kernel. Dropping it ends it.
pub(super) struct Vm {
    child: Option<Child>,
    port: UnixStream,
    to_guest: Option<Sender<(ToGuest, Arc<[u8]>)>>,
    from_guest: Option<Receiver<(FromVm, usize)>>,
    /// Bytes of messages that were read and not taken.
    waiting: Arc<Room>,
    console: Arc<Mutex<VecDeque<u8>>>,
    errors: Arc<Mutex<VecDeque<u8>>>,
    /// Those that talk over the port.
    threads: Vec<JoinHandle<()>>,
    /// Those that listen to the process.
    listeners: Vec<JoinHandle<()>>,
}

/// How a virtual machine ended.
pub(super) struct Ended {
    /// The last lines of its console and of QEMU's own messages.
    pub(super) console: String,
    /// The process's status, if it ended by itself.
    pub(super) status: Option<ExitStatus>,
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
                vm.listeners.extend(pipe.map(|pipe| keep_tail(pipe, tail)));
            }
            vm.child = Some(child);
            Ok(vm)
        }
        Err(source) => {
            kill_group(&mut child);
            Err(RunError::Io { action: "talk to the guest", source })
        }
    }
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
        // Bounded, in number and in bytes: what nobody has taken yet waits in the guest.
        let (incoming, from_guest) = mpsc::sync_channel(64);
        let waiting = Arc::new(Room::of(WAITING_LIMIT));
        let count = Arc::clone(&waiting);
        let read = move || {
            loop {
                let mut counted = Counted { from: &mut reader, bytes: 0 };
                let (event, last) = match protocol::read::<FromGuest>(&mut counted) {
                    Ok((message, payload)) => (FromVm::Message(Box::new(message), payload), false),
                    Err(error) if error.kind() == ErrorKind::InvalidData => {
                        (FromVm::Closed(format!("the guest talks nonsense: {error}")), true)
                    }
                    // Between two messages or in the middle of one.
                    Err(_) => (FromVm::Closed("the guest died".to_string()), true),
                };
                let bytes = counted.bytes;
                count.take(bytes);
                if incoming.send((event, bytes)).is_err() || last {
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
            waiting,
            console: Arc::default(),
            errors: Arc::default(),
            threads: vec![std::thread::spawn(read), std::thread::spawn(write)],
            listeners: Vec::new(),
        })
    }

    /// The same with a process that does something else.
    #[cfg(test)]
    pub(super) fn over_beside(port: UnixStream, child: Child) -> std::io::Result<Vm> {
        let mut vm = Vm::over(port)?;
        vm.child = Some(child);
        Ok(vm)
    }

    /// Puts a message in the queue to the guest. A guest that is gone is noticed by [`Vm::receive`].
    pub(super) fn send(&self, message: ToGuest, payload: Arc<[u8]>) {
        if let Some(to_guest) = &self.to_guest {
            let _ = to_guest.send((message, payload));
        }
    }

    /// What came from the guest and was not taken yet, if anything did.
    pub(super) fn take(&self) -> Option<FromVm> {
        let (event, bytes) = self.from_guest.as_ref()?.try_recv().ok()?;
        self.waiting.give_back(bytes);
        Some(event)
    }

    /// What comes from the guest within `limit`; nothing if nothing comes.
    pub(super) fn receive(&self, limit: Duration) -> Option<FromVm> {
        match self.from_guest.as_ref()?.recv_timeout(limit) {
            Ok((event, bytes)) => {
                self.waiting.give_back(bytes);
                Some(event)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(FromVm::Closed("the guest died".to_string())),
        }
    }

    /// What the virtual machine has had of the processors; nothing where that is not known.
    pub(super) fn usage(&self) -> Option<Usage> {
        let process = format!("/proc/{}", self.child.as_ref()?.id());
        let stat = std::fs::read_to_string(format!("{process}/stat")).ok()?;
        // The name of the process, in parentheses, may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let is_stopped = matches!(fields.next()?, "T" | "t");
        let mut fields = fields.skip(10);
        let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        // USER_HZ is 100 on x86.
        let used = Duration::from_millis(10 * (user + system));
        Some(Usage { used, waited: waited(&process), is_stopped })
    }

    /// Ends the virtual machine, after a moment for one that is ending by itself.
    pub(super) fn finish(mut self, patience: Duration) -> Ended {
        let end = Instant::now() + patience;
        while Instant::now() < end && self.child.as_ref().is_some_and(|child| !has_ended(child)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.end();
        let (errors, console) = (last_lines(&self.errors), last_lines(&self.console));
        let texts = [errors, console].into_iter().filter(|text| !text.is_empty());
        Ended { console: texts.collect::<Vec<_>>().join("\n"), status }
    }

    /// Ends everything; returns the status of a process that had ended by itself.
    fn end(&mut self) -> Option<ExitStatus> {
        let status = self.child.take().and_then(|mut child| kill_group(&mut child));
        let _ = self.port.shutdown(Shutdown::Both);
        // Without these the threads would wait for us.
        self.to_guest = None;
        self.from_guest = None;
        self.waiting.give_back(usize::MAX);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        // Something that left the group, started by what stands for QEMU, may hold the console open: it is not waited for.
        let end = Instant::now() + MOMENT;
        for listener in self.listeners.drain(..) {
            while !listener.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        status
    }
}

/// Counts what is read.
struct Counted<'r, R> {
    from: &'r mut R,
    bytes: usize,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.bytes = self.bytes.saturating_add(count);
        Ok(count)
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

    fn shell(script: &str) -> Vm {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        start(command, "start a shell").unwrap()
    }

    #[test]
    fn the_version_says_whether_it_is_too_old() {
        let told = |text: &str| parse_version(text);
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003-2022";
        assert_eq!(told(debian), Some(("7.2.22".into(), false)));
        assert_eq!(told("QEMU emulator version 2.5.0, Copyright"), Some(("2.5.0".into(), true)));
        assert_eq!(told("QEMU emulator version 2.5.0"), Some(("2.5.0".into(), true)));
        assert_eq!(told("QEMU emulator version 2.12.0"), Some(("2.12.0".into(), false)));
        assert_eq!(told("QEMU emulator version 10.1.50 (v10)"), Some(("10.1.50".into(), false)));
        assert_eq!(told("something else"), None);
        // Neither what never ends nor what says nothing of use keeps anybody waiting.
        let begun = Instant::now();
        assert_eq!(version(Path::new("/bin/cat")), None);
        assert_eq!(version(Path::new("/there/is/none")), None);
        assert!(begun.elapsed() < MOMENT + Duration::from_secs(2));
    }

    #[test]
    fn a_console_without_end_is_kept_in_little_memory() {
        let vm = shell("while :; do echo line line line line line line line line line line; done");
        std::thread::sleep(Duration::from_millis(300));
        assert!(vm.console.lock().unwrap().capacity() <= 4 * CONSOLE);
        let begun = Instant::now();
        let Ended { console, status } = vm.finish(Duration::from_millis(50));
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert_eq!((console.lines().count(), status), (CONSOLE_LINES, None));
    }

    #[test]
    fn nothing_that_was_started_is_left() {
        let vm = shell("sleep 301 & sleep 302 & echo $! >&2; wait");
        let end = Instant::now() + Duration::from_secs(20);
        while vm.errors.lock().unwrap().is_empty() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
        let Ended { console, status } = vm.finish(Duration::ZERO);
        assert_eq!(status, None);
        let stat = format!("/proc/{}/stat", console.trim());
        let alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        let end = Instant::now() + Duration::from_secs(20);
        while alive() {
            assert!(Instant::now() < end, "{stat}");
            std::thread::sleep(Duration::from_millis(5));
        }
        // One that ended by itself is told from one that was killed.
        let Ended { status, .. } = shell("exit 7").finish(Duration::from_secs(20));
        assert_eq!(status.and_then(|status| status.code()), Some(7));
    }

    #[test]
    fn processor_time_is_that_of_the_process() {
        let mut vm = Vm::over(UnixStream::pair().unwrap().0).unwrap();
        assert!(vm.usage().is_none());
        vm.child = Some(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        while vm.usage().unwrap().used < Duration::from_millis(30) {
            assert!(Instant::now() < end, "{:?}", vm.usage());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!vm.usage().unwrap().is_stopped);
        // Where the kernel tells of this thread how long it has waited, it tells of those too.
        assert_eq!(vm.usage().unwrap().waited.is_some(), Path::new("/proc/thread-self/schedstat").exists());
        let pid = vm.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().is_ok_and(|status| status.success()));
        while !vm.usage().unwrap().is_stopped {
            assert!(Instant::now() < end, "{:?}", vm.usage());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
