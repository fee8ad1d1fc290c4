//! What stands in for the kernel while libbpf prepares an object on the host.
//!
//! Of the kernel's BTF it has the real thing. BTF and maps that libbpf hands in are kept, and a file in memory stands
//! for each, told from others by its number as a file. What libbpf finds out by trying, it finds as on every kernel
//! that has the analysis (6.18 and later). Whatever else is asked makes the object one for the guest: a wrong answer is
//! never given, but where none counts any more.

#![allow(unsafe_code)]

use super::sandbox;
use libbpf_sys as sys;
use nix::libc::{self, c_long};
use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_char},
    fs::File,
    io::{self, Seek, Write},
    mem::{size_of, zeroed},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd},
    ptr,
    sync::Mutex,
};

/// What libbpf handed in. Records are numbered in the order of their making.
pub(super) enum Record {
    Btf(Vec<u8>),
    Map(Map),
    /// A program that was only to be tried.
    Trial,
}

/// `BPF_MAP_CREATE` and what followed.
pub(super) struct Map {
    /// `union bpf_attr`, as long as libbpf gave it.
    pub(super) attributes: Vec<u8>,
    pub(super) btf: Option<u64>,
    pub(super) template: Option<u64>,
    pub(super) updates: Vec<Update>,
    pub(super) frozen: bool,
    key_size: usize,
    value_size: usize,
    holds_maps: bool,
}

/// `BPF_MAP_UPDATE_ELEM`.
pub(super) struct Update {
    pub(super) key: Vec<u8>,
    pub(super) value: Value,
    pub(super) flags: u64,
}

pub(super) enum Value {
    Bytes(Vec<u8>),
    Map(u64),
}

struct StandIn {
    btf: File,
    /// The kernel's configuration, if it is known.
    config: Option<File>,
    /// The running kernel's symbols, once they are known, and whether libbpf has read them for this object.
    symbols: (Option<File>, bool),
    release: String,
    /// By the number of the file that stands for it: the number of the record.
    numbers: HashMap<u64, u64>,
    records: Vec<Record>,
    /// The first thing that was asked and could not be answered.
    strange: Option<String>,
}

static STAND_IN: Mutex<Option<StandIn>> = Mutex::new(None);

/// A command that no kernel has, and an error that no kernel gives: whether it is the stand-in that answers.
const CANARY: c_long = 0x7fff_0001;
const CANARY_ERROR: i32 = libc::EDOTDOT;

const SYMBOLS: &str = "/proc/kallsyms";

const UNKNOWN: i64 = -(libc::EINVAL as i64);
const NO_FILE: i64 = -(libc::ENOENT as i64);

/// From here on this process has no other kernel.
pub(super) fn enter(btf: &[u8], config: Option<&[u8]>, release: &str) -> io::Result<()> {
    let file = |name, bytes: &[u8]| {
        let mut file = memory_file(name)?;
        file.write_all(bytes).map(|()| file)
    };
    let stand_in = StandIn {
        btf: file(c"vmlinux", btf)?,
        config: config.map(|config| file(c"config", config)).transpose()?,
        symbols: (None, false),
        release: release.to_owned(),
        numbers: HashMap::new(),
        records: Vec::new(),
        strange: None,
    };
    if let Ok(mut place) = STAND_IN.lock() {
        *place = Some(stand_in);
    }
    sandbox::enter(answer)?;
    // SAFETY: no kernel has the command, so the pointer is not looked at.
    let result = unsafe { libc::syscall(libc::SYS_bpf, CANARY, ptr::null_mut::<u8>(), 0) };
    if result == -1 && io::Error::last_os_error().raw_os_error() == Some(CANARY_ERROR) {
        return Ok(());
    }
    Err(io::Error::other("system calls are not answered by the process itself"))
}

/// The file again, as if it were just opened. It shares its position with the others of its kind: one is read at a time.
fn from_start(file: &File) -> io::Result<File> {
    let mut again = file.try_clone()?;
    again.rewind()?;
    Ok(again)
}

fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: the name is a C string; a descriptor that the kernel has just returned is nobody else's.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(File::from_raw_fd(fd)) }
    }
}

/// Forgets the object before.
pub(super) fn begin() {
    with(|stand_in| {
        stand_in.numbers.clear();
        stand_in.records.clear();
        stand_in.strange = None;
        stand_in.symbols.1 = false;
    });
}

/// From here on the running kernel's symbols are known.
pub(super) fn set_symbols(text: &[u8]) -> io::Result<()> {
    let mut file = memory_file(c"kallsyms")?;
    file.write_all(text)?;
    with(|stand_in| stand_in.symbols.0 = Some(file));
    Ok(())
}

/// The object asks for symbols that are not known.
pub(super) fn wants_symbols() -> bool {
    with(|stand_in| stand_in.symbols.0.is_none() && stand_in.strange.as_deref() == Some(SYMBOLS))
        .unwrap_or(false)
}

/// The symbols were read for the object.
pub(super) fn has_read_symbols() -> bool {
    with(|stand_in| stand_in.symbols.1).unwrap_or(true)
}

/// What was asked and could not be answered.
pub(super) fn strange() -> Option<String> {
    with(|stand_in| stand_in.strange.clone())
        .unwrap_or_else(|| Some("the stand-in for the kernel is gone".into()))
}

/// The number of the record that the descriptor stands for, if it stands for one.
pub(super) fn number(fd: RawFd) -> Option<u64> {
    let file = file_number(fd)?;
    with(|stand_in| stand_in.numbers.get(&file).copied()).flatten()
}

/// Does something with the record.
pub(super) fn record<R>(number: u64, with_record: impl FnOnce(&Record) -> R) -> Option<R> {
    with(|stand_in| stand_in.records.get(usize::try_from(number).ok()?).map(with_record)).flatten()
}

fn with<R>(work: impl FnOnce(&mut StandIn) -> R) -> Option<R> {
    STAND_IN.lock().ok()?.as_mut().map(work)
}

fn file_number(fd: RawFd) -> Option<u64> {
    // SAFETY: the structure is valid during the call, and all zeroes are one.
    unsafe {
        let mut about: libc::stat = zeroed();
        (libc::fstat(fd, &mut about) == 0).then_some(about.st_ino)
    }
}

/// The answer to a system call. It is made while libbpf waits in the call, so that pointers are those of this process.
fn answer(number: c_long, arguments: [u64; 6]) -> i64 {
    let Ok(mut place) = STAND_IN.try_lock() else { return UNKNOWN };
    let Some(stand_in) = place.as_mut() else { return UNKNOWN };
    let [first, second, third, ..] = arguments;
    match number {
        libc::SYS_bpf => stand_in.bpf(first, second, third),
        libc::SYS_open | libc::SYS_access => stand_in.file(number, first),
        libc::SYS_openat | libc::SYS_faccessat | libc::SYS_faccessat2 => stand_in.file(number, second),
        libc::SYS_uname => stand_in.uname(first),
        _ => stand_in.unknown(format!("the system call {number}"), -i64::from(libc::ENOSYS)),
    }
}

impl StandIn {
    fn unknown(&mut self, what: String, error: i64) -> i64 {
        self.strange.get_or_insert(what);
        error
    }

    fn file(&mut self, number: c_long, path: u64) -> i64 {
        // SAFETY: the C library passes a C string.
        let path = unsafe { CStr::from_ptr(path as *const c_char) }.to_string_lossy();
        let opens = matches!(number, libc::SYS_open | libc::SYS_openat);
        match &*path {
            "/sys/kernel/btf/vmlinux" if opens => match from_start(&self.btf) {
                Ok(file) => file.into_raw_fd().into(),
                Err(_) => self.unknown(path.into_owned(), NO_FILE),
            },
            "/sys/kernel/btf/vmlinux" => 0,
            config if opens && config.strip_prefix("/boot/config-") == Some(&self.release) => {
                match self.config.as_ref().map(from_start) {
                    Some(Ok(file)) => file.into_raw_fd().into(),
                    _ => self.unknown(path.into_owned(), NO_FILE),
                }
            }
            SYMBOLS if opens => match self.symbols.0.as_ref().map(from_start) {
                Some(Ok(file)) => {
                    self.symbols.1 = true;
                    file.into_raw_fd().into()
                }
                _ => self.unknown(path.into_owned(), NO_FILE),
            },
            // No token is given here, and the kernel is no Ubuntu's.
            "/sys/fs/bpf" | "/proc/version_signature" => NO_FILE,
            _ => self.unknown(path.into_owned(), NO_FILE),
        }
    }

    fn uname(&self, to: u64) -> i64 {
        let put = |field: &mut [c_char], text: &str| {
            let end = field.len() - 1;
            for (to, from) in field[..end].iter_mut().zip(text.bytes()) {
                *to = from.cast_signed();
            }
        };
        // SAFETY: the C library passes a structure of its own; all zeroes are a valid one.
        unsafe {
            let mut names: libc::utsname = zeroed();
            put(&mut names.sysname, "Linux");
            put(&mut names.release, &self.release);
            put(&mut names.machine, "x86_64");
            ptr::write(to as *mut libc::utsname, names);
        }
        0
    }

    fn bpf(&mut self, command: u64, attributes: u64, size: u64) -> i64 {
        if command == CANARY.cast_unsigned() {
            return -i64::from(CANARY_ERROR);
        }
        let size = usize::try_from(size).unwrap_or(0).min(size_of::<sys::bpf_attr>());
        let mut attr = sys::bpf_attr::default();
        // SAFETY: libbpf passes a structure of that size; no more is copied than ours holds.
        unsafe { ptr::copy_nonoverlapping(attributes as *const u8, ptr::from_mut(&mut attr).cast(), size) };
        match u32::try_from(command).unwrap_or(u32::MAX) {
            sys::BPF_MAP_CREATE => self.map_create(&attr, size),
            sys::BPF_MAP_UPDATE_ELEM => self.map_update(&attr),
            sys::BPF_MAP_FREEZE => {
                // SAFETY: integers, whatever was written.
                let fd = unsafe { attr.__bindgen_anon_2.map_fd };
                match self.map(fd) {
                    Some(map) => {
                        map.frozen = true;
                        0
                    }
                    None => self.unknown("to freeze what is no map".into(), UNKNOWN),
                }
            }
            sys::BPF_BTF_LOAD => {
                // SAFETY: as above; libbpf passes as many bytes as it says.
                let bytes = unsafe {
                    let load = attr.__bindgen_anon_7;
                    std::slice::from_raw_parts(load.btf as *const u8, load.btf_size as usize).to_vec()
                };
                self.keep(Record::Btf(bytes))
            }
            // Programs are loaded only to see whether the kernel can do something, and it can.
            sys::BPF_PROG_LOAD => self.keep(Record::Trial),
            // Modules are not loaded, so there is no BTF but the kernel's own.
            sys::BPF_BTF_GET_NEXT_ID => NO_FILE,
            // Asked of a trial only, to see whether the kernel knows the question.
            sys::BPF_OBJ_GET_INFO_BY_FD => {
                // SAFETY: as above.
                let fd = unsafe { attr.info.bpf_fd };
                match self.find(fd) {
                    Some((_, Record::Btf(_))) => 0,
                    _ => self.unknown("what the kernel knows of a map or program".into(), UNKNOWN),
                }
            }
            other => self.unknown(format!("the command {other} of bpf()"), UNKNOWN),
        }
    }

    fn map_create(&mut self, attr: &sys::bpf_attr, size: usize) -> i64 {
        // SAFETY: integers, whatever was written.
        let create = unsafe { attr.__bindgen_anon_1 };
        let holds_maps =
            matches!(create.map_type, sys::BPF_MAP_TYPE_ARRAY_OF_MAPS | sys::BPF_MAP_TYPE_HASH_OF_MAPS);
        if create.map_type == sys::BPF_MAP_TYPE_ARENA {
            return self.unknown("an arena".into(), UNKNOWN);
        }
        let special = create.map_ifindex != 0
            || create.excl_prog_hash != 0
            || create.map_token_fd != 0
            || create.map_flags & sys::BPF_F_VTYPE_BTF_OBJ_FD != 0;
        if special {
            return self.unknown("a map for one device, program or module".into(), UNKNOWN);
        }
        let mut number_of = |fd: u32, wanted: bool| match wanted {
            true => self.find(fd).map(|(number, _)| Some(number)),
            false => Some(None),
        };
        let btf = number_of(create.btf_fd, create.btf_fd != 0);
        let template = number_of(create.inner_map_fd, holds_maps);
        let (Some(btf), Some(template)) = (btf, template) else {
            return self.unknown("a map with BTF or a map inside that are not known".into(), UNKNOWN);
        };
        // SAFETY: the structure is that large.
        let attributes = unsafe { std::slice::from_raw_parts(ptr::from_ref(attr).cast::<u8>(), size) };
        self.keep(Record::Map(Map {
            attributes: attributes.to_vec(),
            btf,
            template,
            updates: Vec::new(),
            frozen: false,
            key_size: create.key_size as usize,
            value_size: create.value_size as usize,
            holds_maps,
        }))
    }

    fn map_update(&mut self, attr: &sys::bpf_attr) -> i64 {
        // SAFETY: integers, whatever was written.
        let (update, value) =
            unsafe { (attr.__bindgen_anon_2, attr.__bindgen_anon_2.__bindgen_anon_1.value) };
        let Some(map) = self.map(update.map_fd) else {
            return self.unknown("to put something into what is no map".into(), UNKNOWN);
        };
        // SAFETY: libbpf passes a key and a value of the sizes that it has created the map with.
        let (key, bytes) = unsafe {
            (
                std::slice::from_raw_parts(update.key as *const u8, map.key_size).to_vec(),
                std::slice::from_raw_parts(value as *const u8, map.value_size).to_vec(),
            )
        };
        let value = if map.holds_maps {
            let fd = bytes.first_chunk().map_or(u32::MAX, |fd| u32::from_ne_bytes(*fd));
            match self.find(fd) {
                Some((number, Record::Map(_))) => Value::Map(number),
                _ => return self.unknown("to put what is no map into a map of maps".into(), UNKNOWN),
            }
        } else {
            Value::Bytes(bytes)
        };
        match self.map(update.map_fd) {
            Some(map) => {
                map.updates.push(Update { key, value, flags: update.flags });
                0
            }
            None => UNKNOWN,
        }
    }

    fn find(&mut self, fd: u32) -> Option<(u64, &mut Record)> {
        let number = *self.numbers.get(&file_number(RawFd::try_from(fd).ok()?)?)?;
        Some((number, self.records.get_mut(usize::try_from(number).ok()?)?))
    }

    fn map(&mut self, fd: u32) -> Option<&mut Map> {
        match self.find(fd)?.1 {
            Record::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Keeps the record and returns a descriptor that stands for it.
    fn keep(&mut self, record: Record) -> i64 {
        // libbpf maps the memory of some maps, and might look into it.
        let size = match &record {
            Record::Map(map) => map.value_size.next_multiple_of(4096) as i64,
            _ => 0,
        };
        let file = CString::new("stand-in").ok().and_then(|name| memory_file(&name).ok());
        let number = file.as_ref().and_then(|file| file_number(file.as_raw_fd()));
        let (Some(file), Some(number)) = (file, number) else {
            return self.unknown("more open files than there may be".into(), -i64::from(libc::EMFILE));
        };
        // SAFETY: the descriptor is open.
        unsafe { libc::ftruncate(file.as_raw_fd(), size) };
        self.numbers.insert(number, self.records.len() as u64);
        self.records.push(record);
        file.into_raw_fd().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{
        sys::wait::{WaitStatus, waitpid},
        unistd::{ForkResult, fork},
    };

    /// Runs `inside` in a process of its own that has no kernel.
    fn without_kernel(inside: fn() -> bool) -> bool {
        // SAFETY: the child does little, and ends without running anything of the parent's.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0))),
            ForkResult::Child => {
                let good = enter(b"types", None, "7.2-test").is_ok() && inside();
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(i32::from(!good)) }
            }
        }
    }

    fn bpf(command: u32, attr: &mut sys::bpf_attr) -> c_long {
        // SAFETY: the structure is valid during the call.
        unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attr), size_of::<sys::bpf_attr>()) }
    }

    #[test]
    fn no_map_and_no_file_is_the_kernels() {
        assert!(without_kernel(|| {
            let mut attr = sys::bpf_attr::default();
            attr.__bindgen_anon_1 = sys::bpf_attr__bindgen_ty_1 {
                map_type: sys::BPF_MAP_TYPE_ARRAY,
                key_size: 4,
                value_size: 8,
                max_entries: 1,
                ..Default::default()
            };
            let fd = bpf(sys::BPF_MAP_CREATE, &mut attr);
            // The kernel's maps are no files that have a size.
            // SAFETY: the structure is valid during the call.
            let mut about: libc::stat = unsafe { zeroed() };
            let kept = unsafe { libc::fstat(fd as RawFd, &mut about) } == 0
                && about.st_mode & libc::S_IFMT == libc::S_IFREG
                && number(fd as RawFd) == Some(0)
                && record(0, |record| matches!(record, Record::Map(_))) == Some(true);
            // SAFETY: a C string, and a plain call.
            let file = unsafe { libc::open(c"/etc/passwd".as_ptr(), libc::O_RDONLY) };
            kept && file < 0 && strange().as_deref() == Some("/etc/passwd")
        }));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        assert!(without_kernel(|| {
            let told = |command| {
                begin();
                let error = bpf(command, &mut sys::bpf_attr::default());
                error < 0 && strange().is_some()
            };
            let mut attr = sys::bpf_attr::default();
            attr.__bindgen_anon_1.map_type = sys::BPF_MAP_TYPE_ARENA;
            let arena = bpf(sys::BPF_MAP_CREATE, &mut attr) < 0 && strange().is_some();
            // SAFETY: a plain call.
            let call = unsafe { libc::syscall(libc::SYS_getppid) } < 0;
            arena && call && [sys::BPF_MAP_LOOKUP_ELEM, sys::BPF_LINK_CREATE, 999].into_iter().all(told)
        }));
        assert!(without_kernel(|| strange().is_none()));
    }
}
