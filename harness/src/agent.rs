//! The agent: the guest's first process, or for the running kernel a child of the program. It takes objects from the port, opens each once with libbpf, loads
//! every program wanted on all processors, and sends back what the verifier was given and what it said.
//!
//! Whatever goes wrong with a program is an answer about that program. What goes wrong with the agent itself
//! ends it, which panics the kernel, which ends the virtual machine: the host sees the port close and has the
//! last words on the console.

mod btf;
mod context;
mod externs;
mod facts;
mod libbpf;
mod load;
mod object;
mod stop;
mod system;

use crate::protocol::{self, FromGuest, LOCAL, MARKER, ToGuest, VERSION};
use object::Prepared;
use std::{
    collections::VecDeque,
    fs::File,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize, atomic::Ordering},
};

/// True where this process is the agent: in the guest, as the first process of an initramfs of ours, and in a child
/// that was started to load into the running kernel.
pub fn is_guest() -> bool {
    std::process::id() == 1 && Path::new(MARKER).exists() || is_local()
}

fn is_local() -> bool {
    let parent = std::os::unix::process::parent_id().to_string();
    std::env::var_os(LOCAL).is_some_and(|value| value == parent.as_str())
}

/// Serves the host until the virtual machine is switched off, or this process ended. To be called only where [`is_guest`] says so.
pub fn main() -> ! {
    if let Err(error) = serve() {
        eprintln!("livediff agent: {error}");
    }
    // The end of the first process is a kernel panic, and `panic=-1` ends the virtual machine.
    std::process::exit(1)
}

fn serve() -> io::Result<()> {
    let port = if is_local() {
        system::standard_input()?
    } else {
        system::mount_all()?;
        system::open_port()?
    };
    let port = Arc::new(port);
    let release = system::release()?;
    protocol::write(&mut &*port, &FromGuest::Hello { version: VERSION, release: release.clone() }, &[])?;
    let (hello, config) = protocol::read::<ToGuest>(&mut &*port)?;
    let ToGuest::Hello { version: VERSION, threads, log_limit, stop } = hello else {
        return Err(io::Error::other(format!("the host speaks another protocol: {hello:?}")));
    };
    if !config.is_empty() {
        system::put_config(&release, &config)?;
    }
    libbpf::collect_warnings();
    stop::install()?;
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A thread that is gone would leave its program without a result.
        tell(panic);
        std::process::exit(1);
    }));
    let agent =
        Arc::new(Agent { port: Mutex::new(Arc::clone(&port)), work: Mutex::default(), more: Condvar::new() });
    for number in 0..threads.clamp(1, 64) {
        let (agent, stop) = (Arc::clone(&agent), stop.clone());
        std::thread::Builder::new().name(format!("loader {number}")).stack_size(1 << 20).spawn(
            move || {
                if let Err(error) = agent.load_until_end(log_limit as usize, stop) {
                    eprintln!("livediff agent: {error}");
                    std::process::exit(1);
                }
            },
        )?;
    }
    loop {
        let (message, bytes) = protocol::read::<ToGuest>(&mut &*port)?;
        let ToGuest::Object { id, name, license, only, skip } = message else {
            return Err(io::Error::other("the host greets twice"));
        };
        lock(&agent.work).objects.push_back(Request { id, name, license, only, skip, bytes });
        agent.more.notify_one();
    }
}

/// An object as the host sent it.
pub(crate) struct Request {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) license: String,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) skip: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// One program of an object that is ready.
struct Job {
    object: Arc<Prepared>,
    /// Place in [`Prepared::programs`].
    program: usize,
    /// Jobs of the object, over all its parts, that have no result yet.
    left: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Work {
    objects: VecDeque<Request>,
    jobs: VecDeque<Job>,
}

struct Agent {
    port: Mutex<Arc<File>>,
    work: Mutex<Work>,
    more: Condvar,
}

/// A thread that panicked ends the agent, so a poisoned lock is never seen with anything half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Agent {
    fn send(&self, message: &FromGuest, payload: &[u8]) -> io::Result<()> {
        protocol::write(&mut &**lock(&self.port), message, payload)
    }

    fn load_until_end(&self, log_limit: usize, stop: Option<protocol::Stop>) -> io::Result<()> {
        let mut log = load::LogBuffer::new(log_limit, stop)?;
        loop {
            let (job, request) = {
                let mut work = lock(&self.work);
                loop {
                    if let Some(job) = work.jobs.pop_front() {
                        break (Some(job), None);
                    }
                    if let Some(request) = work.objects.pop_front() {
                        break (None, Some(request));
                    }
                    work = self.more.wait(work).unwrap_or_else(PoisonError::into_inner);
                }
            };
            if let Some(job) = job {
                self.load(job, &mut log)?;
            } else if let Some(request) = request {
                self.prepare(request)?;
            }
        }
    }

    /// Opens and prepares an object and puts its programs in the queue.
    fn prepare(&self, request: Request) -> io::Result<()> {
        let id = request.id;
        self.send(&FromGuest::Starting { object: id, program: None }, &[])?;
        let opened = match object::open(&request) {
            Ok(opened) => opened,
            Err(reason) => return self.send(&FromGuest::NotOpened { object: id, reason }, &[]),
        };
        self.send(&FromGuest::Opened { object: id, programs: opened.program_names() }, &[])?;
        let (parts, not_loadable) = opened.prepare(&request);
        self.send(&FromGuest::Prepared { object: id }, &[])?;
        for (program, reason) in not_loadable {
            self.send(&FromGuest::NotLoadable { object: id, program, reason }, &[])?;
        }
        let jobs = parts.iter().map(|part| part.programs.len()).sum();
        if jobs == 0 {
            return self.send(&FromGuest::Finished { object: id }, &[]);
        }
        let left = Arc::new(AtomicUsize::new(jobs));
        let mut work = lock(&self.work);
        for part in parts {
            let object = Arc::new(part);
            for program in 0..object.programs.len() {
                work.jobs.push_back(Job { object: Arc::clone(&object), program, left: Arc::clone(&left) });
            }
        }
        drop(work);
        self.more.notify_all();
        Ok(())
    }

    fn load(&self, job: Job, log: &mut load::LogBuffer) -> io::Result<()> {
        let Some(program) = job.object.programs.get(job.program) else { return Ok(()) };
        let (object, number) = (job.object.id, program.number);
        self.send(&FromGuest::Starting { object, program: Some(number) }, &[])?;
        match load::load(&job.object, program, log) {
            Ok(load::Answer { loaded, verdict, errno, truncated }) => {
                let loaded = Box::new(loaded);
                let message =
                    FromGuest::Loaded { object, program: number, loaded, verdict, errno, truncated };
                self.send(&message, log.text())?;
            }
            Err(reason) => self.send(&FromGuest::NotLoadable { object, program: number, reason }, &[])?,
        }
        log.shrink();
        if job.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.send(&FromGuest::Finished { object }, &[])?;
        }
        Ok(())
    }
}
