//! A safe face on the part of libbpf that the agent uses.
//!
//! An [`Object`] owns its `struct bpf_object`; programs and maps are borrowed from it. libbpf changes an object
//! only in calls that take `&mut Object` here, so that what is prepared can be read from several threads.
#![allow(unsafe_code)]

use libbpf_sys as sys;
use nix::libc;
use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int, c_void},
    mem::size_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr::{self, NonNull},
};

thread_local! {
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" {
    fn vsnprintf(
        to: *mut c_char,
        size: usize,
        format: *const c_char,
        arguments: *mut sys::__va_list_tag,
    ) -> c_int;
}

/// Called by libbpf for every message; keeps the warnings of the calling thread.
unsafe extern "C" fn keep(
    level: sys::libbpf_print_level,
    format: *const c_char,
    arguments: *mut sys::__va_list_tag,
) -> c_int {
    if level != sys::LIBBPF_WARN {
        return 0;
    }
    // A warning may hold a whole log of the kernel's, and what matters stands at its end.
    let mut text = vec![0u8; 256 << 10];
    // SAFETY: libbpf passes a format and its arguments as printf wants them; the buffer's size is given.
    unsafe { vsnprintf(text.as_mut_ptr().cast(), text.len(), format, arguments) };
    let text = CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy();
    let text = condensed(text.trim_end().trim_start_matches("libbpf: "));
    WARNINGS.with_borrow_mut(|warnings| {
        if warnings.len() < 64 && !text.is_empty() {
            warnings.push(text);
        }
    });
    0
}

/// The warning; of one with many lines the last that say something.
fn condensed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with("-- ")).collect();
    match lines.as_slice() {
        [.., before, last] if lines.len() > 3 => format!("... {before} {last}"),
        lines => lines.join(" "),
    }
}

/// Lets libbpf's warnings be had from [`take_warnings`] instead of appearing on the console.
pub(super) fn collect_warnings() {
    // SAFETY: `keep` has the signature that libbpf asks for and lives as long as the program.
    unsafe { sys::libbpf_set_print(Some(keep)) };
}

/// The warnings that libbpf has given on this thread since the last call.
pub(super) fn take_warnings() -> Vec<String> {
    WARNINGS.take()
}

fn error_text(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

fn text(of: *const c_char) -> String {
    if of.is_null() {
        return String::new();
    }
    // SAFETY: libbpf's names are C strings that live as long as the object, which the caller borrows.
    unsafe { CStr::from_ptr(of) }.to_string_lossy().into_owned()
}

/// What a call of libbpf that returns 0 or a negative error number says.
fn check(result: c_int) -> Result<(), i32> {
    if result < 0 { Err(-result) } else { Ok(()) }
}

/// `struct bpf_object`.
pub(super) struct Object {
    object: NonNull<sys::bpf_object>,
    programs: Vec<NonNull<sys::bpf_program>>,
    maps: Vec<NonNull<sys::bpf_map>>,
}

// SAFETY: nothing in an object belongs to a thread.
unsafe impl Send for Object {}
// SAFETY: the calls behind `&Object` only read fields of the object, which nobody changes meanwhile.
unsafe impl Sync for Object {}

impl Object {
    /// `bpf_object__open_mem`. The error is libbpf's own words.
    pub(super) fn open(bytes: &[u8], name: &str) -> Result<Object, String> {
        take_warnings();
        let name = CString::new(name.replace('\0', "")).unwrap_or_default();
        let options = sys::bpf_object_open_opts {
            sz: size_of::<sys::bpf_object_open_opts>() as sys::size_t,
            object_name: name.as_ptr(),
            ..Default::default()
        };
        // SAFETY: buffer and options are valid during the call, and libbpf copies what it keeps.
        let object =
            unsafe { sys::bpf_object__open_mem(bytes.as_ptr().cast(), bytes.len() as sys::size_t, &options) };
        let errno = std::io::Error::last_os_error();
        let object = NonNull::new(object)
            .ok_or_else(|| explain("libbpf cannot open the object", &errno.to_string()))?;
        let mut this = Object { object, programs: Vec::new(), maps: Vec::new() };
        let (mut program, mut map) = (ptr::null_mut(), ptr::null_mut());
        loop {
            // SAFETY: the object is valid, and `program` is null or one of its programs.
            program = unsafe { sys::bpf_object__next_program(object.as_ptr(), program) };
            let Some(found) = NonNull::new(program) else { break };
            this.programs.push(found);
        }
        loop {
            // SAFETY: as above, with maps.
            map = unsafe { sys::bpf_object__next_map(object.as_ptr(), map) };
            let Some(found) = NonNull::new(map) else { break };
            this.maps.push(found);
        }
        Ok(this)
    }

    /// `bpf_object__prepare`: maps created, programs relocated, nothing loaded.
    pub(super) fn prepare(&mut self) -> Result<(), i32> {
        // SAFETY: the object is valid and borrowed alone.
        check(unsafe { sys::bpf_object__prepare(self.object.as_ptr()) })
    }

    /// The programs that can be entered, in libbpf's order. Subprograms are not among them.
    pub(super) fn programs(&self) -> impl ExactSizeIterator<Item = Program<'_>> {
        self.programs.iter().map(|program| Program { program: *program, object: self })
    }

    pub(super) fn program(&self, number: usize) -> Option<Program<'_>> {
        Some(Program { program: *self.programs.get(number)?, object: self })
    }

    pub(super) fn maps(&self) -> impl ExactSizeIterator<Item = Map<'_>> {
        self.maps.iter().map(|map| Map { map: *map, _object: self })
    }

    pub(super) fn map(&self, number: usize) -> Option<Map<'_>> {
        Some(Map { map: *self.maps.get(number)?, _object: self })
    }

    /// The object's BTF, if it has any.
    pub(super) fn btf(&self) -> Option<Btf<'_>> {
        // SAFETY: the object is valid; the BTF lives as long as it.
        let btf = unsafe { sys::bpf_object__btf(self.object.as_ptr()) };
        Some(Btf { btf: NonNull::new(btf)?, _object: Some(self) })
    }

    /// `bpf_object__kversion`.
    pub(super) fn kernel_version(&self) -> u32 {
        // SAFETY: the object is valid.
        unsafe { sys::bpf_object__kversion(self.object.as_ptr()) }
    }

    pub(super) fn set_autoload(&mut self, number: usize, autoload: bool) {
        if let Some(program) = self.programs.get(number) {
            // SAFETY: the program belongs to the object, which is borrowed alone.
            unsafe { sys::bpf_program__set_autoload(program.as_ptr(), autoload) };
        }
    }

    pub(super) fn set_autocreate(&mut self, number: usize, autocreate: bool) {
        if let Some(map) = self.maps.get(number) {
            // SAFETY: the map belongs to the object, which is borrowed alone.
            unsafe { sys::bpf_map__set_autocreate(map.as_ptr(), autocreate) };
        }
    }

    /// Changes what would keep a map from being made here and says nothing of the programs: nothing is pinned,
    /// and a size that is only known at run time is 1.
    pub(super) fn fix_maps(&mut self) {
        for map in &self.maps {
            let map = map.as_ptr();
            // SAFETY: the maps belong to the object, which is borrowed alone.
            unsafe {
                sys::bpf_map__set_pin_path(map, ptr::null());
                let sized = !livediff_capture::has_no_entries(sys::bpf_map__type(map));
                if sized && sys::bpf_map__max_entries(map) == 0 {
                    sys::bpf_map__set_max_entries(map, 1);
                }
            }
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: the object is valid, and no program or map of it is borrowed any more.
        unsafe { sys::bpf_object__close(self.object.as_ptr()) };
    }
}

/// `what: warnings (error)` in one line.
pub(super) fn explain(what: &str, error: &str) -> String {
    let warnings = take_warnings();
    if warnings.is_empty() {
        format!("{what}: {error}")
    } else {
        format!("{what}: {} ({error})", warnings.join("; "))
    }
}

/// [`explain`] with an error number.
pub(super) fn explain_errno(what: &str, errno: i32) -> String {
    explain(what, &error_text(errno))
}

/// `struct bpf_program`.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    program: NonNull<sys::bpf_program>,
    object: &'a Object,
}

impl<'a> Program<'a> {
    pub(super) fn object(&self) -> &'a Object {
        self.object
    }

    pub(super) fn name(&self) -> String {
        // SAFETY: the program is valid as long as the object is borrowed; so in every call below.
        text(unsafe { sys::bpf_program__name(self.program.as_ptr()) })
    }

    /// The section's name without the `?` of an optional program.
    pub(super) fn section(&self) -> String {
        // SAFETY: see `name`.
        let section = text(unsafe { sys::bpf_program__section_name(self.program.as_ptr()) });
        section.strip_prefix('?').map(str::to_string).unwrap_or(section)
    }

    pub(super) fn prog_type(&self) -> u32 {
        // SAFETY: see `name`.
        unsafe { sys::bpf_program__type(self.program.as_ptr()) }
    }

    pub(super) fn expected_attach_type(&self) -> u32 {
        // SAFETY: see `name`.
        unsafe { sys::bpf_program__expected_attach_type(self.program.as_ptr()) }
    }

    pub(super) fn flags(&self) -> u32 {
        // SAFETY: see `name`.
        unsafe { sys::bpf_program__flags(self.program.as_ptr()) }
    }

    pub(super) fn autoload(&self) -> bool {
        // SAFETY: see `name`.
        unsafe { sys::bpf_program__autoload(self.program.as_ptr()) }
    }

    /// The instructions as they stand now: relocated once the object is prepared.
    pub(super) fn insns(&self) -> &'a [sys::bpf_insn] {
        // SAFETY: libbpf gives the start and the number of the program's instructions, and changes them only
        // through calls that need the object alone.
        unsafe {
            let start = sys::bpf_program__insns(self.program.as_ptr());
            let count = sys::bpf_program__insn_cnt(self.program.as_ptr()) as usize;
            if start.is_null() { &[] } else { std::slice::from_raw_parts(start, count) }
        }
    }

    pub(super) fn func_info(&self) -> &'a [sys::bpf_func_info] {
        // SAFETY: as for `insns`. libbpf keeps the records in the size that the object gave them and only
        // accepts the size that it knows through this call.
        unsafe {
            let start = sys::bpf_program__func_info(self.program.as_ptr());
            let count = sys::bpf_program__func_info_cnt(self.program.as_ptr()) as usize;
            if start.is_null() { &[] } else { std::slice::from_raw_parts(start, count) }
        }
    }

    /// The program's line records, and its function records as bytes; none where the kernel has not taken the
    /// object's BTF.
    pub(super) fn debug_info(&self) -> Option<DebugInfo<'a>> {
        let btf = self.object.btf()?.fd()?;
        let functions = self.func_info();
        // SAFETY: the records are plain integers without padding, and as many as libbpf says; of the lines as of
        // the functions in `func_info`.
        unsafe {
            let lines = sys::bpf_program__line_info(self.program.as_ptr()).cast::<u8>();
            let count = sys::bpf_program__line_info_cnt(self.program.as_ptr()) as usize;
            Some(DebugInfo {
                btf,
                functions: std::slice::from_raw_parts(functions.as_ptr().cast(), size_of_val(functions)),
                lines: if lines.is_null() {
                    &[]
                } else {
                    std::slice::from_raw_parts(lines, count * size_of::<sys::bpf_line_info>())
                },
            })
        }
    }

    /// [`Program::insns`] as bytes, 8 each.
    pub(super) fn insn_bytes(&self) -> &'a [u8] {
        let insns = self.insns();
        // SAFETY: instructions are plain integers without padding.
        unsafe { std::slice::from_raw_parts(insns.as_ptr().cast(), size_of_val(insns)) }
    }

    /// The address that identifies the program within its object, as found in the shadow of a `struct_ops` map.
    pub(super) fn address(&self) -> u64 {
        self.program.as_ptr() as u64
    }
}

/// `struct bpf_map`.
#[derive(Clone, Copy)]
pub(super) struct Map<'a> {
    map: NonNull<sys::bpf_map>,
    _object: &'a Object,
}

impl Map<'_> {
    pub(super) fn name(&self) -> String {
        // SAFETY: the map is valid as long as the object is borrowed; so in every call below.
        text(unsafe { sys::bpf_map__name(self.map.as_ptr()) })
    }

    /// The map's descriptor, negative before it is created.
    pub(super) fn fd(&self) -> RawFd {
        // SAFETY: see `name`.
        unsafe { sys::bpf_map__fd(self.map.as_ptr()) }
    }

    pub(super) fn map_type(&self) -> u32 {
        // SAFETY: see `name`.
        unsafe { sys::bpf_map__type(self.map.as_ptr()) }
    }

    #[cfg(test)]
    pub(super) fn value_size(&self) -> u32 {
        // SAFETY: see `name`.
        unsafe { sys::bpf_map__value_size(self.map.as_ptr()) }
    }

    /// Key and value size of the map inside, where the object declares one. Gone once the map is created.
    pub(super) fn inner(&self) -> Option<(u32, u32)> {
        // SAFETY: see `name`; the inner map lives as long as its map.
        unsafe {
            let inner = NonNull::new(sys::bpf_map__inner_map(self.map.as_ptr()))?.as_ptr();
            Some((sys::bpf_map__key_size(inner), sys::bpf_map__value_size(inner)))
        }
    }

    /// For a `struct_ops` map: the type id of its structure and the words of its shadow, in which a function
    /// pointer is the address of a program.
    pub(super) fn struct_ops(&self) -> Option<(u32, Vec<u64>)> {
        if self.map_type() != sys::BPF_MAP_TYPE_STRUCT_OPS {
            return None;
        }
        let mut size: sys::size_t = 0;
        // SAFETY: see `name`; libbpf returns `size` bytes that live as long as the map.
        unsafe {
            let start = sys::bpf_map__initial_value(self.map.as_ptr(), &mut size).cast::<u8>();
            if start.is_null() {
                return None;
            }
            let bytes = std::slice::from_raw_parts(start, size as usize);
            let words =
                bytes.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?)));
            Some((sys::bpf_map__btf_value_type_id(self.map.as_ptr()), words.collect()))
        }
    }
}

/// `struct btf`.
pub(super) struct Btf<'a> {
    btf: NonNull<sys::btf>,
    /// The object that owns it; `None` if it is the kernel's and freed at the end.
    _object: Option<&'a Object>,
}

// SAFETY: nothing in a BTF belongs to a thread; sharing is left to a lock.
unsafe impl Send for Btf<'static> {}

/// What the agent needs of one BTF type.
pub(super) struct Type {
    /// `BTF_KIND_*`.
    pub(super) kind: u32,
    pub(super) name: String,
    /// Members, parameters or linkage (`BTF_INFO_VLEN`).
    pub(super) vlen: u32,
    /// `size` or `type`.
    pub(super) size_or_type: u32,
    /// The word that follows the type, where its kind has one.
    pub(super) extra: Option<u32>,
}

impl Btf<'_> {
    /// The running kernel's BTF.
    pub(super) fn vmlinux() -> Result<Btf<'static>, String> {
        // SAFETY: a plain call.
        let btf = unsafe { sys::btf__load_vmlinux_btf() };
        let error = std::io::Error::last_os_error();
        let btf = NonNull::new(btf)
            .ok_or_else(|| explain("the kernel's BTF cannot be read", &error.to_string()))?;
        Ok(Btf { btf, _object: None })
    }

    /// The descriptor under which the kernel has it, once loaded.
    pub(super) fn fd(&self) -> Option<RawFd> {
        // SAFETY: the BTF is valid; so in every call below.
        let fd = unsafe { sys::btf__fd(self.btf.as_ptr()) };
        (fd >= 0).then_some(fd)
    }

    pub(super) fn find(&self, name: &str, kind: u32) -> Option<u32> {
        let name = CString::new(name).ok()?;
        // SAFETY: see `fd`.
        let id = unsafe { sys::btf__find_by_name_kind(self.btf.as_ptr(), name.as_ptr(), kind) };
        u32::try_from(id).ok().filter(|id| *id != 0)
    }

    /// One more than the highest type id.
    pub(super) fn type_count(&self) -> u32 {
        // SAFETY: see `fd`.
        unsafe { sys::btf__type_cnt(self.btf.as_ptr()) }
    }

    pub(super) fn get(&self, id: u32) -> Option<Type> {
        // SAFETY: see `fd`; the type returned lives as long as the BTF, and libbpf has checked that the words
        // which its kind asks for follow it.
        unsafe {
            let found = sys::btf__type_by_id(self.btf.as_ptr(), id).as_ref()?;
            let kind = (found.info >> 24) & 0x1f;
            let vlen = found.info & 0xffff;
            let followed = matches!(kind, sys::BTF_KIND_DECL_TAG | sys::BTF_KIND_INT | sys::BTF_KIND_VAR);
            Some(Type {
                kind,
                name: text(sys::btf__name_by_offset(self.btf.as_ptr(), found.name_off)),
                vlen,
                size_or_type: found.__bindgen_anon_1.size,
                extra: followed.then(|| *ptr::from_ref(found).add(1).cast::<u32>()),
            })
        }
    }

    /// The type of the parameter of a function's prototype that has exactly one.
    pub(super) fn only_parameter(&self, id: u32) -> Option<u32> {
        // SAFETY: see `get`; a prototype is followed by `vlen` parameters.
        unsafe {
            let found = sys::btf__type_by_id(self.btf.as_ptr(), id).as_ref()?;
            if (found.info >> 24) & 0x1f != sys::BTF_KIND_FUNC_PROTO || found.info & 0xffff != 1 {
                return None;
            }
            Some((*ptr::from_ref(found).add(1).cast::<sys::btf_param>()).type_)
        }
    }

    /// The members of a structure: name and offset in bits.
    pub(super) fn members(&self, id: u32) -> Vec<(String, u32)> {
        // SAFETY: see `get`; a structure is followed by `vlen` members.
        unsafe {
            let Some(found) = sys::btf__type_by_id(self.btf.as_ptr(), id).as_ref() else { return Vec::new() };
            if (found.info >> 24) & 0x1f != sys::BTF_KIND_STRUCT {
                return Vec::new();
            }
            let first = ptr::from_ref(found).add(1).cast::<sys::btf_member>();
            let members = std::slice::from_raw_parts(first, (found.info & 0xffff) as usize);
            let bitfields = found.info >> 31 != 0;
            members
                .iter()
                .map(|member| {
                    let name = text(sys::btf__name_by_offset(self.btf.as_ptr(), member.name_off));
                    (name, if bitfields { member.offset & 0xff_ffff } else { member.offset })
                })
                .collect()
        }
    }
}

impl Drop for Btf<'_> {
    fn drop(&mut self) {
        if self._object.is_none() {
            // SAFETY: it was loaded by `vmlinux` and belongs to nobody else.
            unsafe { sys::btf__free(self.btf.as_ptr()) };
        }
    }
}

/// Everything that `BPF_PROG_LOAD` is given, but for the log.
#[derive(Clone, Copy)]
pub(super) struct LoadOptions<'a> {
    pub(super) name: &'a CStr,
    pub(super) prog_type: u32,
    pub(super) expected_attach_type: u32,
    pub(super) prog_flags: u32,
    pub(super) attach_btf_id: u32,
    pub(super) attach_prog_fd: Option<RawFd>,
    pub(super) license: &'a CStr,
    pub(super) kernel_version: u32,
    /// 8 bytes each.
    pub(super) insns: &'a [u8],
    /// None where the kernel has not taken the object's BTF.
    pub(super) debug_info: Option<DebugInfo<'a>>,
    pub(super) log_level: u32,
}

/// What BTF tells of a program.
#[derive(Clone, Copy)]
pub(super) struct DebugInfo<'a> {
    pub(super) btf: RawFd,
    /// Records of `struct bpf_func_info`.
    pub(super) functions: &'a [u8],
    /// Records of `struct bpf_line_info`.
    pub(super) lines: &'a [u8],
}

/// How the kernel answered `BPF_PROG_LOAD`.
pub(super) struct LoadAnswer {
    pub(super) result: Result<OwnedFd, i32>,
    /// Bytes that the whole log takes, its final NUL included.
    pub(super) log_true_size: usize,
}

/// `bpf_prog_load`, once: -EAGAIN is the caller's to deal with.
pub(super) fn prog_load(options: &LoadOptions<'_>, log: &mut [u8]) -> LoadAnswer {
    let mut opts = sys::bpf_prog_load_opts {
        sz: size_of::<sys::bpf_prog_load_opts>() as sys::size_t,
        expected_attach_type: options.expected_attach_type,
        prog_flags: options.prog_flags,
        kern_version: options.kernel_version,
        attach_btf_id: options.attach_btf_id,
        attach_prog_fd: options.attach_prog_fd.and_then(|fd| u32::try_from(fd).ok()).unwrap_or(0),
        log_level: options.log_level,
        attempts: 1,
        ..Default::default()
    };
    if options.log_level != 0 {
        opts.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
        opts.log_buf = log.as_mut_ptr().cast();
    }
    if let Some(DebugInfo { btf, functions, lines }) = options.debug_info {
        let count = |records: &[u8], size| u32::try_from(records.len() / size).unwrap_or(0);
        opts.prog_btf_fd = u32::try_from(btf).unwrap_or(0);
        if !functions.is_empty() {
            opts.func_info = functions.as_ptr().cast();
            opts.func_info_cnt = count(functions, size_of::<sys::bpf_func_info>());
            opts.func_info_rec_size = size_of::<sys::bpf_func_info>() as u32;
        }
        if !lines.is_empty() {
            opts.line_info = lines.as_ptr().cast();
            opts.line_info_cnt = count(lines, size_of::<sys::bpf_line_info>());
            opts.line_info_rec_size = size_of::<sys::bpf_line_info>() as u32;
        }
    }
    // SAFETY: every pointer is to memory that is valid during the call and as large as is said beside it. The kernel
    // copies from them, whatever their alignment.
    let fd = unsafe {
        sys::bpf_prog_load(
            options.prog_type,
            options.name.as_ptr(),
            options.license.as_ptr(),
            options.insns.as_ptr().cast(),
            (options.insns.len() / size_of::<sys::bpf_insn>()) as sys::size_t,
            &mut opts,
        )
    };
    // SAFETY: a descriptor that libbpf has just returned is nobody else's.
    let result = if fd >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) } else { Err(-fd) };
    LoadAnswer { result, log_true_size: opts.log_true_size as usize }
}

/// `BPF_BTF_LOAD`.
pub(super) fn btf_load(btf: &[u8]) -> Result<OwnedFd, i32> {
    let mut opts = sys::bpf_btf_load_opts {
        sz: size_of::<sys::bpf_btf_load_opts>() as sys::size_t,
        ..Default::default()
    };
    // SAFETY: the bytes are as many as is said.
    let fd = unsafe { sys::bpf_btf_load(btf.as_ptr().cast(), btf.len() as sys::size_t, &mut opts) };
    check(fd)?;
    // SAFETY: as in `prog_load`.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `BPF_MAP_CREATE` as libbpf asked for it, with these descriptors in the place of its own.
pub(super) fn map_create(
    attributes: &[u8],
    btf: Option<RawFd>,
    inner: Option<RawFd>,
) -> Result<OwnedFd, i32> {
    let mut attr = sys::bpf_attr::default();
    let size = attributes.len().min(size_of::<sys::bpf_attr>());
    // SAFETY: no more is copied than the structure holds; any bytes are a valid one, and so are its integers.
    unsafe {
        ptr::copy_nonoverlapping(attributes.as_ptr(), ptr::from_mut(&mut attr).cast::<u8>(), size);
        let fd = |fd: Option<RawFd>| fd.and_then(|fd| u32::try_from(fd).ok()).unwrap_or(0);
        attr.__bindgen_anon_1.btf_fd = fd(btf);
        attr.__bindgen_anon_1.inner_map_fd = fd(inner);
    }
    // SAFETY: the structure is valid during the call and at least as large as is said; it holds no pointer.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, sys::BPF_MAP_CREATE, ptr::from_mut(&mut attr), size) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    // SAFETY: as in `prog_load`; the kernel gives descriptors that fit.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// `bpf_map_update_elem`; key and value have at least the sizes that the map has.
pub(super) fn map_update(map: RawFd, key: &[u8], value: &[u8], flags: u64) -> Result<(), i32> {
    // SAFETY: key and value are valid during the call; whoever sends them sends what the map's creation said.
    check(unsafe { sys::bpf_map_update_elem(map, key.as_ptr().cast(), value.as_ptr().cast(), flags) })
}

/// `bpf_map_freeze`.
pub(super) fn map_freeze(map: RawFd) -> Result<(), i32> {
    // SAFETY: a plain call.
    check(unsafe { sys::bpf_map_freeze(map) })
}

/// `bpf_map_get_info_by_fd`.
pub(super) fn map_info(fd: RawFd) -> Result<sys::bpf_map_info, i32> {
    let mut info = sys::bpf_map_info::default();
    let mut length = size_of::<sys::bpf_map_info>() as u32;
    // SAFETY: the structure is as long as is said.
    check(unsafe { sys::bpf_map_get_info_by_fd(fd, &mut info, &mut length) })?;
    Ok(info)
}

/// `bpf_map_lookup_elem` of an array's entry of `size` bytes, as user space sees it.
pub(super) fn array_entry(fd: RawFd, index: u32, size: usize) -> Result<Vec<u8>, i32> {
    // The kernel copies the value's size rounded up to 8.
    let mut value = vec![0; size.next_multiple_of(8)];
    // SAFETY: key and value are as long as the map says.
    check(unsafe {
        sys::bpf_map_lookup_elem(fd, ptr::from_ref(&index).cast(), value.as_mut_ptr().cast::<c_void>())
    })?;
    value.truncate(size);
    Ok(value)
}

/// The BTF of a loaded program and the id of one of its functions, for an extension of it.
pub(super) fn prog_btf_function(program: &OwnedFd, name: &str) -> Option<u32> {
    let mut info = sys::bpf_prog_info::default();
    let mut length = size_of::<sys::bpf_prog_info>() as u32;
    // SAFETY: the structure is as long as is said; with its pointers null the kernel fills none of them.
    check(unsafe { sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &mut info, &mut length) }).ok()?;
    // SAFETY: a plain call.
    let btf = NonNull::new(unsafe { sys::btf__load_from_kernel_by_id(info.btf_id) })?;
    Btf { btf, _object: None }.find(name, sys::BTF_KIND_FUNC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_the_end_is_kept() {
        assert_eq!(condensed("map 'a': failed to create: -EINVAL"), "map 'a': failed to create: -EINVAL");
        let log = "-- BEGIN BTF LOAD LOG ---\nmagic: 0xeb9f\nversion: 1\n[3] VAR x\nInvalid type\n-- END BTF LOAD LOG --";
        assert_eq!(condensed(log), "... [3] VAR x Invalid type");
        assert_eq!(condensed(""), "");
    }
}
