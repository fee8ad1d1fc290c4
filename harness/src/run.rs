//! Loading programs into a kernel in a virtual machine, whatever the kernel does to it.
//!
//! [`run`] boots the kernel with this very program as the agent, streams the objects in and hands every result
//! to the caller as it comes. When the guest dies, or a program takes too long, the guest is started anew and what
//! was being loaded is tried once more, each program alone: one with which it happens again is to blame. The rest
//! goes on. Every program wanted ends in exactly one [`Outcome`].
//!
//! [`run_batches`] does the same for objects that are not all known beforehand: the guest stays, and is given the next
//! objects when those before are done.

mod accel;
mod elf;
mod initramfs;
mod local;
mod preparers;
mod room;
mod supervisor;
mod vm;

use crate::image::Image;
pub use crate::protocol::Stop;
use livediff_capture::{Loaded, Said, trace::Records};
pub use local::check_local;
pub use room::Room;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How guest code is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accel {
    /// By the processor where a guest really answers with it, else emulated. The answer is remembered until
    /// the machine is rebooted.
    #[default]
    Auto,
    /// By the processor (KVM); an error where that does not work.
    Kvm,
    /// Emulated.
    Tcg,
    /// Not at all: programs are loaded into the running kernel. So it is for [`Image::running`], whatever was asked for.
    Native,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Accel::Auto => "auto",
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
            Accel::Native => "native",
        })
    }
}

/// How to run the guest.
#[derive(Clone, Debug)]
pub struct Options {
    /// How guest code is run.
    pub accel: Accel,
    /// How long one program may take from its `BPF_PROG_LOAD` to its result on the host. It may take up to five times
    /// as long where a busy host leaves the guest too little of its processors.
    pub timeout: Duration,
    /// Virtual processors, 1 to 64, and no more than the host has.
    pub vcpus: u32,
    /// Memory of the guest in MiB, at least 256 and no more than three quarters of what the host has free.
    pub memory_mib: u32,
    /// When a load is cut short; `None` to let every load come to its end.
    pub stop: Option<Stop>,
    /// Tracing programs read what the analysis finds of every program and what it answers the path walk. No load is
    /// cut short then; one that would have been is done again, silently.
    pub trace: bool,
    /// Objects are prepared on the host where that can be done without the kernel. What comes of it is the same, and
    /// an emulated guest is spared most of its work.
    pub prepare_on_host: bool,
    /// More of the kernel's command line, after what is always there.
    pub kernel_args: String,
    /// More arguments for QEMU, after those that are always there.
    pub qemu_args: Vec<String>,
}

impl Default for Options {
    /// As many processors as the host has, up to 8; 512 MiB and 512 MiB more for each; 60 seconds per program.
    fn default() -> Self {
        let vcpus = host_processors().min(8);
        Options {
            accel: Accel::Auto,
            timeout: Duration::from_secs(60),
            vcpus,
            memory_mib: Options::memory_for(vcpus),
            stop: None,
            trace: false,
            prepare_on_host: true,
            kernel_args: String::new(),
            qemu_args: Vec::new(),
        }
    }
}

impl Options {
    /// MiB for a guest with that many processors, each of which may be at work on a large program.
    pub fn memory_for(vcpus: u32) -> u32 {
        512 + 512 * vcpus
    }
}

fn host_processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
}

/// A BPF object file to be loaded.
#[derive(Clone, Debug)]
pub struct Object {
    /// The name under which events speak of it. No two objects of a run have the same.
    pub name: String,
    /// The ELF file.
    pub bytes: Arc<[u8]>,
    /// The programs wanted; `None` for all.
    pub only: Option<Vec<String>>,
}

/// What happens in a run, as it happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// The kernel is up and the agent answers.
    Booted {
        /// `uname -r` as the running kernel says it.
        release: String,
        /// How guest code is run: never [`Accel::Auto`].
        accel: Accel,
    },
    /// libbpf opened the object.
    Opened {
        /// [`Object::name`].
        object: String,
        /// All its programs, those too that are not wanted.
        programs: Vec<String>,
        /// It was prepared on the host, or is to be prepared in the guest.
        on_host: bool,
    },
    /// Nobody knows the object's programs, none of which gets an outcome: libbpf could not open it, or no guest lived to
    /// tell.
    NotOpened {
        /// [`Object::name`].
        object: String,
        /// What became of the opening: never [`Outcome::Loaded`].
        outcome: Outcome,
    },
    /// What the host had prepared of the object did not do for the guest's kernel, which prepares it now itself.
    Unfit {
        /// [`Object::name`].
        object: String,
        /// Why it did not.
        reason: String,
    },
    /// What was traced of a program ([`Options::trace`]). Comes before its outcome.
    Traced {
        /// [`Object::name`].
        object: String,
        /// Its name in the object.
        program: String,
        /// What was read.
        records: Records,
    },
    /// What became of a program. Sent once for every program wanted of an object that was opened.
    Program {
        /// [`Object::name`].
        object: String,
        /// Its name in the object.
        program: String,
        /// What became of it.
        outcome: Outcome,
    },
    /// The guest died or was stopped, perhaps before its agent answered, and a new one takes over.
    GuestRestarted {
        /// What ended the one before, which programs were in flight, and whether they are tried again.
        reason: String,
    },
}

/// What became of a program, or of the opening of an object.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The kernel was asked to load it, and took or refused it. `Loaded::kfuncs` is empty: the host knows the
    /// kernel's BTF and fills it in.
    Loaded(Box<(Loaded, Said)>),
    /// It could not be given to the kernel.
    NotLoadable {
        /// Why not.
        reason: String,
    },
    /// The guest died of it, and a second one when it was tried again alone.
    Crashed {
        /// The last lines of the guest's console.
        console: String,
    },
    /// It had no result within [`Options::timeout`], and none when it was tried again alone.
    Timeout {
        /// The last lines of the guest's console.
        console: String,
    },
    /// Nothing is known of it, and nothing is to be concluded: the agent gave no result, or guests died so often that
    /// the rest was given up.
    Lost {
        /// What happened.
        reason: String,
    },
}

/// A way to stop a run from another thread or a signal handler.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// One that has not been used.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops the run: it returns [`RunError::Cancelled`] within a fraction of a second.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a run could not be done, or not to its end.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error("cancelled")]
    Cancelled,
    #[error("{program} is not installed: it is in the package qemu-system-x86 (on Debian and Ubuntu)")]
    NoQemu { program: String },
    #[error("QEMU{version} ({qemu}) did not run the guest: {status}\n{words}\n{way_out}")]
    QemuFailed { version: String, qemu: String, status: String, words: String, way_out: &'static str },
    #[error("KVM was asked for and does not work here: {reason}. Use --accel tcg, or auto")]
    NoKvm { reason: String },
    #[error(
        "the kernel {release} ({path}) did not start: {reason}\n{console}\nIf the image is good, the kernel may lack \
         something built in: VIRTIO_PCI, VIRTIO_CONSOLE, BLK_DEV_INITRD, SERIAL_8250_CONSOLE, DEVTMPFS, BPF_SYSCALL. \
         A packaged cloud kernel has all of it"
    )]
    NoBoot { release: String, path: String, reason: String, console: String },
    #[error(
        "programs cannot be loaded into the running kernel: {reason}. Run this as root, or with CAP_BPF, CAP_PERFMON and \
         CAP_NET_ADMIN (or CAP_SYS_ADMIN), not in a container that takes them away"
    )]
    NotPermitted { reason: String },
    #[error("the agent for the running kernel did not start: {reason}\n{words}")]
    NoAgent { reason: String, words: String },
    #[error(
        "the kernel {release} ({path}) cannot be traced, so that nothing can be compared deep: {reason}. It needs \
         CONFIG_FUNCTION_TRACER, CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS and CONFIG_BPF_JIT, as packaged kernels and those \
         of `livediff kernel build` have; without --deep the log is compared alone"
    )]
    NoTrace { release: String, path: String, reason: String },
    #[error("cannot pack the agent for the guest: {reason}")]
    Initramfs { reason: String },
    #[error("cannot {action}: {source}")]
    Io { action: &'static str, source: std::io::Error },
}

/// Says whether guests can be run here at all: QEMU is installed.
pub fn check_qemu() -> Result<(), RunError> {
    vm::find_qemu().map(|_| ())
}

/// Loads every program wanted of `objects` into the kernel of `image`, and tells `sink` what happens. The kernel is
/// booted for it in a virtual machine, unless it is the one that is running ([`Image::running`]); then an agent that is a
/// child process is what is called the guest below.
///
/// `sink` is called on this thread. The virtual machine is gone when the function returns, however it returns,
/// and when this process dies. The order of results is that of their coming.
pub fn run(
    image: &Image,
    objects: Vec<Object>,
    options: &Options,
    cancel: &Cancel,
    sink: &mut dyn FnMut(Event),
) -> Result<(), RunError> {
    if objects.is_empty() {
        return Ok(());
    }
    run_batches(image, options, cancel, &mut OneBatch { objects, sink })
}

/// Work for a guest that is not all known beforehand.
pub trait Work {
    /// The next objects, whose names are unique among themselves; none ends the run. Called before the guest is
    /// started, and again whenever every program wanted of the objects before has its outcome. It may take its time,
    /// in which the guest waits, but must return when the run is cancelled.
    fn next(&mut self) -> Vec<Object>;

    /// What happens with the objects given last.
    fn event(&mut self, event: Event);
}

/// Loads every program wanted of the objects that `work` gives, batch by batch, into the kernel of `image`. One guest
/// does them all, unless it dies or has to be stopped; how often that may happen is counted anew for each batch.
///
/// `work` is called on this thread. For the rest as [`run`].
pub fn run_batches(
    image: &Image,
    options: &Options,
    cancel: &Cancel,
    work: &mut dyn Work,
) -> Result<(), RunError> {
    supervisor::Supervisor::new(image, options, cancel, work)?.run()
}

/// Everything at once.
struct OneBatch<'s> {
    objects: Vec<Object>,
    sink: &'s mut dyn FnMut(Event),
}

impl Work for OneBatch<'_> {
    fn next(&mut self) -> Vec<Object> {
        std::mem::take(&mut self.objects)
    }

    fn event(&mut self, event: Event) {
        (self.sink)(event);
    }
}
