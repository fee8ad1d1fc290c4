//! The agent: the guest's first process, or for the running kernel a child of the program. It takes objects from the
//! port, makes what the host has prepared (`replay`) or opens and prepares the object itself with libbpf
//! (`object`), loads every program wanted on all processors, and sends back what the verifier was given and said.
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
pub(crate) mod prepare;
mod replay;
mod stop;
mod system;
mod trace;

use crate::protocol::{self, FromGuest, LOCAL, MARKER, ToGuest, VERSION};
use livediff_capture::trace::Records;
use object::Prepared;
use replay::Replayed;
use std::{
    collections::VecDeque,
    fs::File,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize, atomic::Ordering},
};

/// True where this process is no program of its own: in the guest, as the first process of an initramfs of ours, and
/// in a child that was started to load into the running kernel, or to prepare objects for a guest.
pub fn is_guest() -> bool {
    std::process::id() == 1 && Path::new(MARKER).exists() || is_local() || prepare::is_preparer()
}

fn is_local() -> bool {
    is_child_for(LOCAL)
}

/// The variable in the environment names this process's parent.
fn is_child_for(variable: &str) -> bool {
    let parent = std::os::unix::process::parent_id().to_string();
    std::env::var_os(variable).is_some_and(|value| value == parent.as_str())
}

/// Serves the host until the virtual machine is switched off, or this process ended. To be called only where
/// [`is_guest`] says so.
pub fn main() -> ! {
    if prepare::is_preparer() {
        // The host sees that nothing more comes.
        std::process::exit(i32::from(prepare::serve().is_err()));
    }
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
        system::keep_memory();
        system::mount_all()?;
        system::open_port()?
    };
    system::allow_open_files();
    let port = Arc::new(port);
    let release = system::release()?;
    protocol::write(&mut &*port, &FromGuest::Hello { version: VERSION, release: release.clone() }, &[])?;
    let (hello, config) = protocol::read::<ToGuest>(&mut &*port)?;
    let ToGuest::Hello { version: VERSION, threads, log_limit, stop, trace } = hello else {
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
    let threads = threads.clamp(1, 64);
    let attach = || {
        let tracer = Arc::new(trace::Tracer::attach(threads as usize)?);
        trace::check(&tracer).map(|()| tracer)
    };
    let tracer = match trace.then(attach).transpose() {
        Ok(tracer) => tracer,
        Err(reason) => {
            protocol::write(&mut &*port, &FromGuest::NoTrace { reason }, &[])?;
            None
        }
    };
    let agent =
        Arc::new(Agent { port: Mutex::new(Arc::clone(&port)), work: Mutex::default(), more: Condvar::new() });
    for number in 0..threads {
        let (agent, stop, tracer) = (Arc::clone(&agent), stop.clone(), tracer.clone());
        std::thread::Builder::new().name(format!("loader {number}")).stack_size(1 << 20).spawn(
            move || {
                let tracer = tracer.as_ref().map(|tracer| (tracer, number as usize));
                if let Err(error) = agent.load_until_end(log_limit as usize, stop, tracer) {
                    eprintln!("livediff agent: {error}");
                    std::process::exit(1);
                }
            },
        )?;
    }
    loop {
        let (message, bytes) = protocol::read::<ToGuest>(&mut &*port)?;
        let request = match message {
            ToGuest::Object { id, name, license, only, skip } => {
                Sent::Whole(Request { id, name, license, only, skip, bytes })
            }
            ToGuest::Prepared { id, skip } => Sent::Prepared { id, skip, parts: bytes },
            ToGuest::Symbols => {
                let agent = Arc::clone(&agent);
                std::thread::Builder::new().name("symbols".into()).spawn(move || {
                    let symbols = std::fs::read("/proc/kallsyms").unwrap_or_default();
                    // A port that is closed ends the guest elsewhere.
                    let _ = agent.send(&FromGuest::Symbols, &symbols);
                })?;
                continue;
            }
            ToGuest::Hello { .. } => return Err(io::Error::other("the host greets twice")),
        };
        lock(&agent.work).objects.push_back(request);
        agent.more.notify_one();
    }
}

/// An object as the host sent it.
enum Sent {
    Whole(Request),
    Prepared {
        id: u32,
        skip: Vec<u32>,
        /// See [`protocol::decode_parts`].
        parts: Vec<u8>,
    },
}

/// An object as the user gave it.
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
    object: u32,
    from: From,
    /// Place among the programs of what it is from.
    program: usize,
    /// Jobs of the object, over all its parts, that have no result yet.
    left: Arc<AtomicUsize>,
}

/// Who has prepared an object.
#[derive(Clone)]
enum From {
    Here(Arc<Prepared>),
    Host(Arc<Replayed>),
}

#[derive(Default)]
struct Work {
    objects: VecDeque<Sent>,
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
        let port = lock(&self.port);
        match protocol::write(&mut &**port, message, payload) {
            // Nothing was sent of it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let reason = "what there is to tell of it is more than can be told".to_string();
                let instead = match message {
                    FromGuest::Opened { object, .. } => FromGuest::NotOpened { object: *object, reason },
                    FromGuest::Maps { object, .. } => FromGuest::Unfit { object: *object, reason },
                    FromGuest::Loaded { object, program, .. } => {
                        FromGuest::NotLoadable { object: *object, program: *program, reason }
                    }
                    _ => return Err(error),
                };
                protocol::write(&mut &**port, &instead, &[])
            }
            sent => sent,
        }
    }

    fn load_until_end(
        &self,
        log_limit: usize,
        stop: Option<protocol::Stop>,
        tracer: Option<(&Arc<trace::Tracer>, usize)>,
    ) -> io::Result<()> {
        let mut log = load::LogBuffer::new(log_limit, stop)?;
        if let Some((tracer, place)) = tracer {
            log.trace(trace::Thread::register(tracer, place)?);
        }
        loop {
            let (job, sent) = {
                let mut work = lock(&self.work);
                loop {
                    if let Some(job) = work.jobs.pop_front() {
                        break (Some(job), None);
                    }
                    if let Some(sent) = work.objects.pop_front() {
                        break (None, Some(sent));
                    }
                    work = self.more.wait(work).unwrap_or_else(PoisonError::into_inner);
                }
            };
            match (job, sent) {
                (Some(job), _) => self.load(job, &mut log)?,
                (None, Some(Sent::Whole(request))) => self.prepare(request)?,
                (None, Some(Sent::Prepared { id, skip, parts })) => self.replay(id, &skip, &parts)?,
                (None, None) => {}
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
        let jobs = parts.into_iter().flat_map(|part| {
            let programs = part.programs.len();
            let part = Arc::new(part);
            (0..programs).map(move |program| (From::Here(Arc::clone(&part)), program))
        });
        self.queue(id, jobs.collect())
    }

    /// Makes what the host has prepared and puts its programs in the queue.
    fn replay(&self, object: u32, skip: &[u32], parts: &[u8]) -> io::Result<()> {
        self.send(&FromGuest::Starting { object, program: None }, &[])?;
        let made: Result<Vec<_>, String> = match protocol::decode_parts(parts) {
            Ok(parts) => parts.into_iter().map(replay::replay).collect(),
            Err(error) => Err(error.to_string()),
        };
        let (parts, maps): (Vec<_>, Vec<_>) = match made {
            Ok(made) => made.into_iter().unzip(),
            Err(reason) => return self.send(&FromGuest::Unfit { object, reason }, &[]),
        };
        self.send(&FromGuest::Maps { object, maps }, &[])?;
        self.send(&FromGuest::Prepared { object }, &[])?;
        let mut jobs = Vec::new();
        for part in parts.into_iter().map(Arc::new) {
            let wanted = part.programs.iter().enumerate();
            let wanted = wanted.filter(|(_, program)| !skip.contains(&program.part.number));
            jobs.extend(wanted.map(|(place, _)| (From::Host(Arc::clone(&part)), place)));
        }
        self.queue(object, jobs)
    }

    fn queue(&self, object: u32, jobs: Vec<(From, usize)>) -> io::Result<()> {
        if jobs.is_empty() {
            return self.send(&FromGuest::Finished { object }, &[]);
        }
        let left = Arc::new(AtomicUsize::new(jobs.len()));
        let jobs =
            jobs.into_iter().map(|(from, program)| Job { object, from, program, left: Arc::clone(&left) });
        lock(&self.work).jobs.extend(jobs);
        self.more.notify_all();
        Ok(())
    }

    /// Sends what was traced of the load that has just ended, if anything traces.
    fn send_trace(&self, object: u32, program: u32, log: &mut load::LogBuffer) -> io::Result<()> {
        match log.take_trace() {
            Some(Records { hooks, bytes }) => {
                self.send(&FromGuest::Traced { object, program, hooks }, &bytes)
            }
            None => Ok(()),
        }
    }

    fn load(&self, job: Job, log: &mut load::LogBuffer) -> io::Result<()> {
        let object = job.object;
        match &job.from {
            From::Here(prepared) => {
                let Some(ready) = prepared.programs.get(job.program) else { return Ok(()) };
                let program = ready.number;
                self.send(&FromGuest::Starting { object, program: Some(program) }, &[])?;
                match load::load(prepared, ready, log) {
                    Ok((loaded, load::Answer { verdict, errno, truncated })) => {
                        self.send_trace(object, program, log)?;
                        let loaded = Box::new(loaded);
                        let message =
                            FromGuest::Loaded { object, program, loaded, verdict, errno, truncated };
                        self.send(&message, log.text())?;
                    }
                    Err(reason) => self.send(&FromGuest::NotLoadable { object, program, reason }, &[])?,
                }
            }
            From::Host(replayed) => {
                let Some(ready) = replayed.programs.get(job.program) else { return Ok(()) };
                let program = ready.part.number;
                self.send(&FromGuest::Starting { object, program: Some(program) }, &[])?;
                let load::Answer { verdict, errno, truncated } = replayed.load(ready, log);
                self.send_trace(object, program, log)?;
                let message = FromGuest::Answered { object, program, verdict, errno, truncated };
                self.send(&message, log.text())?;
            }
        }
        log.shrink();
        if job.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.send(&FromGuest::Finished { object }, &[])?;
        }
        Ok(())
    }
}
