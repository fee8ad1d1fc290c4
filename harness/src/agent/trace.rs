//! Reading the kernel's liveness analysis while it works: tracing programs (`harness/deep`) are attached once, and from
//! then on each thread that loads finds in a place of its own what they have read during its last load.
//!
//! The programs look at the loads of registered threads only, so that those of other threads, and of these programs
//! themselves, are not mixed in. A tracing program that is interrupted by itself is passed over by the kernel, and
//! the kernel counts that; each thread stays on a processor of its own in order that it does not happen.

#![allow(unsafe_code)]

use super::libbpf::{self, LoadOptions};
use libbpf_sys as sys;
use livediff_capture::trace::{Hooks, Records, Trace};
use nix::libc;
use std::{
    ffi::CStr,
    io,
    ptr::{self, NonNull},
    sync::Arc,
};

const OBJECT: &[u8] = include_bytes!("../../deep/trace.bpf.o");
/// `struct thread` of the programs: what stands before the records.
const HEAD: usize = 8 * 8 + 8 + 4 * 4 + FRAMES * FRAME + REMEMBERED * 8;
/// Where in it the number of the load stands, the mark of an open query, and the frames.
const LOAD: usize = 8 * 8;
const OPEN: usize = 9 * 8;
const FRAMES_AT: usize = OPEN + 4 * 4;
const FRAMES: usize = 16;
const FRAME: usize = 40;
const REMEMBERED: usize = 4096;
/// Bytes for records.
const ROOM: usize = (32 << 20) + (64 << 10) + 64;
const SIZE: usize = HEAD + ROOM;

/// The tracing programs, attached for as long as this lives.
pub(super) struct Tracer {
    object: NonNull<sys::bpf_object>,
    links: Vec<NonNull<sys::bpf_link>>,
    /// Descriptors of the programs, for what the kernel has counted of them.
    programs: Vec<i32>,
    tasks: i32,
    /// The places of all threads.
    memory: NonNull<u8>,
    threads: usize,
}

// SAFETY: nothing in it belongs to a thread. Through `&Tracer` only descriptors are used, and each place by the one
// `Thread` that has its number.
unsafe impl Send for Tracer {}
// SAFETY: as above.
unsafe impl Sync for Tracer {}

impl Tracer {
    /// Attaches the programs, for that many threads. The error says what the kernel lacks.
    pub(super) fn attach(threads: usize) -> Result<Tracer, String> {
        let cannot = |what: &str| {
            let errno = io::Error::last_os_error();
            libbpf::explain(what, &errno.to_string())
        };
        libbpf::take_warnings();
        let options = sys::bpf_object_open_opts {
            sz: size_of::<sys::bpf_object_open_opts>() as sys::size_t,
            object_name: c"livediff_trace".as_ptr(),
            ..Default::default()
        };
        // SAFETY: buffer and options are valid during the call.
        let object = unsafe {
            sys::bpf_object__open_mem(OBJECT.as_ptr().cast(), OBJECT.len() as sys::size_t, &options)
        };
        let object = NonNull::new(object).ok_or_else(|| cannot("the tracing programs cannot be opened"))?;
        let mut tracer = Tracer {
            object,
            links: Vec::new(),
            programs: Vec::new(),
            tasks: -1,
            memory: NonNull::dangling(),
            threads: 0,
        };
        let map = |name: &CStr| {
            // SAFETY: the object is valid and the name a C string.
            NonNull::new(unsafe { sys::bpf_object__find_map_by_name(object.as_ptr(), name.as_ptr()) })
                .ok_or("a map of the tracing programs is missing")
        };
        let (tasks, places) = (map(c"tasks")?, map(c"threads")?);
        // SAFETY: the maps belong to the object, which nobody else has; they are not created yet.
        unsafe {
            if sys::bpf_map__value_size(places.as_ptr()) as usize != SIZE {
                return Err("the tracing programs are not those of this agent".to_string());
            }
            sys::bpf_map__set_max_entries(places.as_ptr(), u32::try_from(threads.max(1)).unwrap_or(1));
        }
        // SAFETY: the object is valid.
        if unsafe { sys::bpf_object__load(object.as_ptr()) } != 0 {
            return Err(cannot("the kernel does not take the tracing programs"));
        }
        let mut program = ptr::null_mut();
        loop {
            // SAFETY: the object is valid, and `program` is null or one of its programs.
            program = unsafe { sys::bpf_object__next_program(object.as_ptr(), program) };
            let Some(found) = NonNull::new(program) else { break };
            // SAFETY: the program is loaded.
            let (link, fd) =
                unsafe { (sys::bpf_program__attach(found.as_ptr()), sys::bpf_program__fd(found.as_ptr())) };
            let link = NonNull::new(link).ok_or_else(|| {
                // SAFETY: the name lives as long as the program.
                let section = unsafe { CStr::from_ptr(sys::bpf_program__section_name(found.as_ptr())) };
                cannot(&format!("a tracing program cannot be attached ({})", section.to_string_lossy()))
            })?;
            tracer.links.push(link);
            tracer.programs.push(fd);
        }
        // SAFETY: both maps are created.
        let places = unsafe {
            tracer.tasks = sys::bpf_map__fd(tasks.as_ptr());
            sys::bpf_map__fd(places.as_ptr())
        };
        // SAFETY: a new mapping of as many bytes as the map has.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                SIZE * threads,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                places,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(cannot("the memory of the tracing programs cannot be mapped"));
        }
        tracer.memory = NonNull::new(memory.cast()).ok_or("the mapping has no address")?;
        tracer.threads = threads;
        Ok(tracer)
    }

    /// How many events the kernel has passed over because a program was interrupted by itself.
    fn missed(&self) -> Option<u64> {
        let missed = |fd: &i32| {
            let mut info = sys::bpf_prog_info::default();
            let mut length = size_of::<sys::bpf_prog_info>() as u32;
            // SAFETY: the structure is as long as is said; with its pointers null the kernel fills none of them.
            let result = unsafe { sys::bpf_prog_get_info_by_fd(*fd, &mut info, &mut length) };
            (result == 0).then_some(info.recursion_misses)
        };
        self.programs.iter().map(missed).sum()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // SAFETY: links and object are valid and nobody else's, and so is the mapping, if there is one.
        unsafe {
            for link in &self.links {
                sys::bpf_link__destroy(link.as_ptr());
            }
            if self.threads > 0 {
                libc::munmap(self.memory.as_ptr().cast(), SIZE * self.threads);
            }
            sys::bpf_object__close(self.object.as_ptr());
        }
    }
}

/// `*(u64 *)(r10 - 8) = r0 = 0; r0 = *(u64 *)(r10 - 8); if r0 == 0 goto +1; exit; exit`: at the jump, the path walk
/// asks for the halves of the slot.
const ASKING: [[u8; 8]; 6] = [
    [0xb7, 0, 0, 0, 0, 0, 0, 0],
    [0x7b, 0x0a, 0xf8, 0xff, 0, 0, 0, 0],
    [0x79, 0xa0, 0xf8, 0xff, 0, 0, 0, 0],
    [0x15, 0, 1, 0, 0, 0, 0, 0],
    [0x95, 0, 0, 0, 0, 0, 0, 0],
    [0x95, 0, 0, 0, 0, 0, 0, 0],
];

/// Loads a small program of which something is there to be traced everywhere. The error says what was not: a function
/// that the compiler has put into its callers as well can be attached to, and is never reached.
pub(super) fn check(tracer: &Arc<Tracer>) -> Result<(), String> {
    let insns = ASKING.as_flattened();
    let load = || -> Result<(), String> {
        // Another number than the loads that follow in this place have, so that their queries are not taken for known.
        let mut thread = Thread::register(tracer, 0).map_err(|error| error.to_string())?;
        thread.loads = 1 << 63;
        let mut outcome = Err(String::new());
        // Something may be missed once, where others load too.
        for _ in 0..4 {
            thread.begin();
            let options = LoadOptions {
                name: c"livediff_check",
                prog_type: sys::BPF_PROG_TYPE_SOCKET_FILTER,
                expected_attach_type: 0,
                prog_flags: 0,
                attach_btf_id: 0,
                attach_prog_fd: None,
                license: c"GPL",
                kernel_version: 0,
                insns,
                debug_info: None,
                log_level: 0,
            };
            let loaded = libbpf::prog_load(&options, &mut []).result;
            outcome = match loaded {
                Ok(_) => unreached(&thread.end()).map_or(Ok(()), Err),
                Err(errno) => Err(format!(
                    "a small program to trace is not loaded: {}",
                    io::Error::from_raw_os_error(errno)
                )),
            };
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    };
    // In a thread of its own, which alone is bound to a processor.
    std::thread::scope(|scope| {
        scope.spawn(load).join().unwrap_or_else(|_| Err("the thread that traces has panicked".to_string()))
    })
}

/// What was not seen of a load in which there was everything.
fn unreached(Records { hooks, bytes }: &Records) -> Option<String> {
    let all = [
        ("bpf_compute_const_regs", hooks.const_regs),
        ("bpf_compute_subprog_arg_access", hooks.arg_access),
        ("bpf_live_stack_query_init", hooks.query_init),
        ("bpf_stack_slot_alive", hooks.slot_alive),
    ];
    if all.iter().all(|(_, times)| *times == 0) {
        return Some(
            "everything is attached and nothing is reached, as in a PID namespace that is not the kernel's first".into(),
        );
    }
    if let Some((function, _)) = all.iter().find(|(_, times)| *times == 0) {
        return Some(format!("the hook {function} is attached and is never reached"));
    }
    if let Some(incomplete) = hooks.incomplete() {
        return Some(incomplete);
    }
    let trace = match Trace::read(bytes) {
        Ok(trace) => trace,
        Err(error) => return Some(format!("what is traced makes no sense: {error}")),
    };
    let answered =
        trace.queries.iter().flat_map(|query| &query.frames).any(|frame| frame.alive | frame.dead != 0);
    let whole = trace.analysis_end == Some(0) && !trace.instances.is_empty() && !trace.constants.is_empty();
    (!answered || !whole).then(|| "the hooks are reached and see no masks, constants or answers".into())
}

/// The place of one thread that loads.
pub(super) struct Thread {
    tracer: Arc<Tracer>,
    _task: Task,
    place: usize,
    loads: u64,
    missed: Option<u64>,
}

impl Thread {
    /// Registers the calling thread for the place of that number, which no other has.
    pub(super) fn register(tracer: &Arc<Tracer>, place: usize) -> io::Result<Thread> {
        if place >= tracer.threads {
            return Err(io::Error::other("there is no place for the thread"));
        }
        stay_on_processor(place);
        let task = nix::unistd::gettid().as_raw();
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        // SAFETY: key and value are as long as the map says.
        let result = unsafe {
            sys::bpf_map_update_elem(
                tracer.tasks,
                ptr::from_ref(&task).cast(),
                ptr::from_ref(&number).cast(),
                0,
            )
        };
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        let task = Task { tasks: tracer.tasks, task };
        Ok(Thread { tracer: Arc::clone(tracer), _task: task, place, loads: 0, missed: None })
    }

    /// The word at an offset of the place.
    fn word(&self, at: usize) -> *mut u64 {
        // SAFETY: `register` has checked the place, and offsets lie in its head.
        unsafe { self.tracer.memory.as_ptr().add(self.place * SIZE + at).cast() }
    }

    fn read(&self, at: usize) -> u64 {
        // SAFETY: the word lies in the mapping; only the kernel changes it, during a load of this thread.
        unsafe { self.word(at).read_volatile() }
    }

    /// Forgets what the last load left: to be called before a load.
    pub(super) fn begin(&mut self) {
        self.loads += 1;
        self.missed = self.tracer.missed();
        let head = self.word(0);
        // SAFETY: as in `read`; no load of this thread is going on.
        unsafe {
            for word in 0..8 {
                head.add(word).write_volatile(0);
            }
            self.word(LOAD).write_volatile(self.loads);
            self.word(OPEN).write_volatile(0);
        }
    }

    /// What was read during the load that has just ended.
    pub(super) fn end(&self) -> Records {
        let missed = match (self.missed, self.tracer.missed()) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => 1,
        };
        let used = usize::try_from(self.read(0)).unwrap_or(usize::MAX).min(ROOM);
        let mut bytes = Vec::with_capacity(used + 8 + 8 + FRAMES * FRAME);
        let copied = |from: usize, length: usize| {
            // SAFETY: the range lies in the place; no load of this thread is going on.
            unsafe { std::slice::from_raw_parts(self.word(0).cast::<u8>().add(from), length) }
        };
        bytes.extend_from_slice(copied(HEAD, used));
        let open = copied(OPEN, 16);
        let [is_open, insn, last, _] = [0, 4, 8, 12].map(|at| open.get(at..at + 4).unwrap_or_default());
        if is_open != [0; 4] {
            // The last query has no successor that would have closed it.
            let frames = (last.first().copied().unwrap_or(0) as usize + 1).min(FRAMES);
            let length = u32::try_from(8 + frames * FRAME).unwrap_or(0);
            bytes.extend_from_slice(&QUERY.to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(last);
            bytes.extend_from_slice(insn);
            bytes.extend_from_slice(copied(FRAMES_AT, frames * FRAME));
        }
        let [lost, failed, const_regs, arg_access, query_init, slot_alive, closed] =
            [1, 2, 3, 4, 5, 6, 7].map(|word| self.read(word * 8));
        let queries = closed + u64::from(is_open != [0; 4]);
        let hooks = Hooks { lost, failed, missed, const_regs, arg_access, query_init, slot_alive, queries };
        Records { hooks, bytes }
    }
}

/// A thread that is registered, for as long as this lives. The tracer lives longer.
struct Task {
    tasks: i32,
    task: i32,
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: the key is as long as the map says.
        unsafe { sys::bpf_map_delete_elem(self.tasks, ptr::from_ref(&self.task).cast()) };
    }
}

/// The kind of record that a query is.
const QUERY: u32 = 8;

/// Binds the calling thread to a processor, where there are enough. It is not needed for what is right, only in order
/// that nothing is missed.
fn stay_on_processor(number: usize) {
    // SAFETY: the set is a plain structure that lives through the calls.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if number < 1024 {
            libc::CPU_SET(number, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hook that is attached and never reached is no match with nothing to answer.
    #[test]
    fn a_hook_that_is_not_reached_is_named() {
        use livediff_capture::trace::{self, Constants, ConstantsEnd, Instance, Query, QueryFrame};
        let frame = QueryFrame { alive: 1, ..QueryFrame::default() };
        let whole = Trace {
            constants: vec![Constants { insn: 1, constants: 1, ..Constants::default() }],
            constants_end: Some(ConstantsEnd { insns: 6, result: 0 }),
            instances: vec![Instance { insn_cnt: 6, ..Instance::default() }],
            analysis_end: Some(0),
            queries: vec![Query { insn: 3, frames: vec![frame] }],
            ..Trace::default()
        };
        let hooks = Hooks { const_regs: 1, arg_access: 1, query_init: 1, slot_alive: 2, ..Hooks::default() };
        let told = |hooks, trace: &Trace| unreached(&Records { hooks, bytes: trace::write(trace) });
        assert_eq!(told(hooks, &whole), None);
        let inlined = told(Hooks { slot_alive: 0, ..hooks }, &whole).unwrap();
        assert_eq!(inlined, "the hook bpf_stack_slot_alive is attached and is never reached");
        assert!(told(Hooks { missed: 1, ..hooks }, &whole).unwrap().contains("passed over"));
        assert!(told(Hooks::default(), &Trace::default()).unwrap().contains("PID namespace"));
        let unanswered = Query { insn: 3, frames: vec![QueryFrame::default()] };
        for lacking in [
            Trace { queries: vec![unanswered], ..whole.clone() },
            Trace { instances: Vec::new(), ..whole.clone() },
            Trace { constants: Vec::new(), ..whole.clone() },
        ] {
            assert!(told(hooks, &lacking).is_some(), "{lacking:?}");
        }
    }

    /// The layout is written down here and in the source of the object.
    #[test]
    fn the_object_is_that_of_this_agent() {
        let object = libbpf::Object::open(OBJECT, "trace").unwrap();
        let programs: Vec<String> = object.programs().map(|program| program.section()).collect();
        assert_eq!(
            programs,
            [
                "fexit/bpf_compute_const_regs",
                "fexit/bpf_compute_subprog_arg_access",
                "fexit/bpf_live_stack_query_init",
                "fexit/bpf_stack_slot_alive"
            ]
        );
        let size = |name: &str| object.maps().find(|map| map.name() == name).unwrap().value_size();
        assert_eq!((size("threads") as usize, size("tasks")), (SIZE, 4));
        let btf = object.btf().unwrap();
        let offsets = |structure: &str| -> Vec<(String, usize)> {
            let members = btf.members(btf.find(structure, sys::BTF_KIND_STRUCT).unwrap());
            members.into_iter().map(|(name, bits)| (name, bits as usize / 8)).collect()
        };
        // In the order in which `end` reads the words, and the open query as it stands in a record.
        let words = ["used", "lost", "failed", "fired"].iter().enumerate();
        let expected = words.map(|(word, name)| (*name, word * 8)).chain([
            ("queries", 7 * 8),
            ("load", LOAD),
            ("open", OPEN),
            ("insn", OPEN + 4),
            ("last_frame", OPEN + 8),
            ("padding", OPEN + 12),
            ("frames", FRAMES_AT),
            ("remembered", FRAMES_AT + FRAMES * FRAME),
            ("data", HEAD),
        ]);
        let expected: Vec<(String, usize)> = expected.map(|(name, at)| (name.to_string(), at)).collect();
        assert_eq!(offsets("thread"), expected);
        let frame = [("subprog", 0), ("callsite", 4), ("alive", 8), ("dead", 24)];
        assert_eq!(offsets("frame"), frame.map(|(name, at)| (name.to_string(), at)));
    }
}
