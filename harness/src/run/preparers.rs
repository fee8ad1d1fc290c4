//! Processes that prepare objects on the host, ahead of the guest.
//!
//! Each is this very program, shut in without a kernel (`agent::prepare`), and served by a thread here. One that dies
//! of an object, takes too long over it or does not start costs that object its preparation and nothing else: the
//! guest gets the object itself.

use crate::{
    image::Image,
    process::die_with_parent,
    protocol::{self, Bytes, FromPreparer, PREPARER, Plan, ToPreparer},
};
use std::{
    collections::HashMap,
    io,
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How long a process may take over one object. libbpf takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);
/// How many processes in a row may fail before no more are started.
const FAILURES: usize = 20;

/// An object to be prepared.
pub(super) struct Request {
    pub(super) id: Id,
    pub(super) name: String,
    pub(super) license: String,
    pub(super) only: Option<Vec<String>>,
    pub(super) bytes: Arc<[u8]>,
    /// `/proc/kallsyms`, if they are known.
    pub(super) symbols: Option<Arc<[u8]>>,
}

/// Batch and number of an object.
pub(super) type Id = (usize, u32);

/// What an object came to.
pub(super) enum Preparation {
    /// The guest is to ask its kernel for this.
    Host { plan: Plan, parts: Arc<[u8]> },
    /// The host can do it once it knows the running kernel's symbols.
    WantsSymbols,
    /// The guest is to prepare it.
    Guest,
}

pub(super) struct Preparers {
    requests: Option<Sender<Request>>,
    /// Bounded: whoever has prepared something waits until it is taken.
    answers: Option<Receiver<(Id, Preparation)>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    /// Our ends of the sockets to the processes, by thread.
    ports: Mutex<HashMap<usize, UnixStream>>,
}

impl Preparers {
    /// As many processes as are wanted, for objects that go into the kernel of this image. None for a kernel that
    /// libbpf might treat as older than it is, because it was built without what libbpf tries.
    pub(super) fn start(image: &Image, processes: u32) -> Option<Preparers> {
        if std::env::var_os(PREPARER).is_some() {
            // A program that does not become the agent when it is started again would start itself for ever.
            return None;
        }
        let has = |name: &[u8]| {
            let name = [b"\0", name, b"\0"].concat();
            image.btf.windows(name.len()).any(|window| window == name)
        };
        if !has(b"bpf_probe_read_kernel") || !has(b"__cgroup_bpf_run_filter_sk") {
            return None;
        }
        let config = image.config.as_ref().map(|config| Bytes(config.to_vec()));
        let hello = ToPreparer::Hello { release: image.release.clone(), config };
        let hello = Arc::new((hello, image.btf.clone()));
        let (requests, receive) = mpsc::channel::<Request>();
        let receive = Arc::new(Mutex::new(receive));
        let (answer, answers) = mpsc::sync_channel(8);
        let shared = Arc::<Shared>::default();
        let threads = (0..processes as usize).map(|number| {
            let (hello, receive, answer) = (Arc::clone(&hello), Arc::clone(&receive), answer.clone());
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                let mut process =
                    Process { number, hello, running: None, has_symbols: false, failures: 0, shared };
                loop {
                    let request = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(request) = request else { break };
                    let preparation = process.prepare(&request);
                    if answer.send((request.id, preparation)).is_err() {
                        break;
                    }
                }
                process.end();
            })
        });
        Some(Preparers {
            requests: Some(requests),
            answers: Some(answers),
            threads: threads.collect(),
            shared,
        })
    }

    /// One that answers as it is told.
    #[cfg(test)]
    pub(super) fn for_tests(answers: fn(&Request) -> Preparation) -> Preparers {
        let (requests, receive) = mpsc::channel::<Request>();
        let (answer, receive_answers) = mpsc::sync_channel(8);
        let thread = std::thread::spawn(move || {
            for request in receive {
                if answer.send((request.id, answers(&request))).is_err() {
                    return;
                }
            }
        });
        let (answers, threads) = (Some(receive_answers), vec![thread]);
        Preparers { requests: Some(requests), answers, threads, shared: Arc::default() }
    }

    /// Puts an object in the queue.
    pub(super) fn ask(&self, request: Request) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(request);
        }
    }

    /// What has become ready within `limit`; nothing if nothing has.
    pub(super) fn answer(&self, limit: Duration) -> Option<(Id, Preparation)> {
        self.answers.as_ref()?.recv_timeout(limit).ok()
    }
}

impl Drop for Preparers {
    fn drop(&mut self) {
        (self.requests, self.answers) = (None, None);
        self.shared.ended.store(true, Ordering::Relaxed);
        // Whoever waits for an answer has it now.
        for port in self.shared.ports.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = port.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A process and how it fares.
struct Process {
    number: usize,
    hello: Arc<(ToPreparer, Vec<u8>)>,
    running: Option<(Child, UnixStream)>,
    /// It knows the running kernel's symbols.
    has_symbols: bool,
    failures: usize,
    shared: Arc<Shared>,
}

impl Process {
    fn prepare(&mut self, request: &Request) -> Preparation {
        if self.shared.ended.load(Ordering::Relaxed) || self.failures >= FAILURES {
            return Preparation::Guest;
        }
        match self.ask(request) {
            Ok((FromPreparer::Prepared(plan), parts)) => {
                self.failures = 0;
                Preparation::Host { plan, parts: parts.into() }
            }
            Ok((FromPreparer::WantsSymbols, _)) => Preparation::WantsSymbols,
            Ok((FromPreparer::ForTheGuest { .. }, _)) => {
                self.failures = 0;
                Preparation::Guest
            }
            Err(_) => {
                self.failures += 1;
                self.end();
                Preparation::Guest
            }
        }
    }

    fn ask(&mut self, request: &Request) -> io::Result<(FromPreparer, Vec<u8>)> {
        let (_, port) = match &mut self.running {
            Some(running) => running,
            none => {
                let (child, port) = start(&self.hello)?;
                let mut ports = self.shared.ports.lock().unwrap_or_else(PoisonError::into_inner);
                ports.insert(self.number, port.try_clone()?);
                none.insert((child, port))
            }
        };
        let Request { name, license, only, bytes, symbols, .. } = request;
        if let Some(symbols) = symbols.as_ref().filter(|_| !self.has_symbols) {
            protocol::write(port, &ToPreparer::Symbols, symbols)?;
            self.has_symbols = true;
        }
        let message = ToPreparer::Object { name: name.clone(), license: license.clone(), only: only.clone() };
        protocol::write(port, &message, bytes)?;
        protocol::read(port)
    }

    fn end(&mut self) {
        self.has_symbols = false;
        self.shared.ports.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a process. The thread that calls this must outlive it.
fn start((hello, btf): &(ToPreparer, Vec<u8>)) -> io::Result<(Child, UnixStream)> {
    let (mut port, theirs) = UnixStream::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .env(PREPARER, std::process::id().to_string())
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    die_with_parent(&mut command);
    let child = command.spawn()?;
    drop(command);
    port.set_read_timeout(Some(LIMIT))?;
    port.set_write_timeout(Some(LIMIT))?;
    match protocol::write(&mut port, hello, btf) {
        Ok(()) => Ok((child, port)),
        Err(error) => {
            let mut child = child;
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}
