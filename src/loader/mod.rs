//! Opening a BPF object on the host: for each of its programs what libbpf would give to the kernel, without a kernel.
//!
//! aya-obj reads the object, relocates it against a kernel's types (CO-RE), and links programs with the functions that
//! they call. Around it, this module does what aya-obj does not: calls and variables of the kernel (`__ksym`), the
//! program types of all sections that libbpf knows, jump tables, exception callbacks that nothing calls, and the facts of
//! maps as libbpf creates them.
//!
//! What cannot be had here is an error of the object ([`OpenError`]) or of one program ([`Program::loaded`]), never a
//! guess:
//! - the address of a kernel symbol without a type, and the kernel's configuration (`__kconfig`): only a running kernel
//!   has them;
//! - functions of kernel modules;
//! - static maps, variables in an arena, program arrays that name their programs, and CO-RE relocations that ask whether
//!   types match: aya-obj does not know them;
//! - exception callbacks that call other functions: they are linked here, because aya-obj leaves them out;
//! - an extension of a program that is not in the same object.

mod compare;
mod elf;
mod ext;
mod limits;
pub mod lines;
mod sections;
pub(crate) mod tables;

pub use compare::{Difference, differences};

use crate::{
    bpf::{
        Callable,
        btf::{Btf, Kind},
        prog_type,
    },
    guard,
};
use aya_obj::generated::bpf_insn;
use elf::{Facts, Left};
use livediff_capture::{Attach, FuncInfo, Insn, Loaded, Map, MapShape, insn::pseudo};
use sections::SectionKind;
use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    os::fd::RawFd,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    thread,
};
use thiserror::Error;

/// Why an object cannot be opened at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Its ELF file or its BTF is damaged.
    #[error("the object cannot be read: {0}")]
    Elf(String),
    /// aya-obj refuses it.
    #[error("aya-obj cannot open it: {0}")]
    Aya(String),
    /// Relocation against a kernel's types failed.
    #[error("aya-obj cannot relocate it against the kernel's types: {0}")]
    Core(String),
    /// Reading it, or the kernel's BTF, would take more memory or time than any honest file asks for.
    #[error("it is refused, because {0}: no compiler makes such a file")]
    TooLarge(String),
    /// It has CO-RE relocations, and no kernel was given.
    #[error("it is to be relocated against a kernel's types (CO-RE), so name a kernel with --kernel")]
    NeedsKernel,
}

/// The kernel that objects are opened for.
pub struct Kernel<'a> {
    btf: &'a Btf<'a>,
    types: aya_obj::btf::Btf,
    callable: &'a Callable<'a>,
}

impl<'a> Kernel<'a> {
    /// A kernel from its BTF (`bytes`, and the same read) and what can be called in it.
    pub fn new(bytes: &[u8], btf: &'a Btf<'a>, callable: &'a Callable<'a>) -> Result<Kernel<'a>, OpenError> {
        limits::check_kernel(btf)?;
        // The host's byte order; only little-endian hosts are supported.
        let types = guarded(|| aya_obj::btf::Btf::parse(bytes, Default::default()))
            .map_err(|reason| OpenError::Aya(format!("the kernel's BTF: {reason}")))?;
        Ok(Kernel { btf, types, callable })
    }
}

/// A program of an object.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// The name of its section.
    pub section: String,
    /// What libbpf would give to the kernel, or why that cannot be told.
    pub loaded: Result<Loaded, String>,
}

/// Opens an object for a kernel. `name` is its path; libbpf names maps after it. Programs come in libbpf's order.
///
/// What the object asks for is bounded, see `limits`; the work is done on a thread with a stack for it.
///
/// ```
/// use livediff::{Dialect, loader, log};
///
/// let name = "corpus/frames/calls.bpf.o";
/// let programs = loader::open(name, &std::fs::read(name)?, None)?;
/// let program = programs.iter().find(|program| program.name == "pass_five_args").ok_or("no such program")?;
/// let section = log::section(program.loaded.as_ref().map_err(String::as_str)?, Dialect::V7_2);
/// assert!(section.text.contains("topo_order[1] = pass_five_args"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open(name: &str, bytes: &[u8], kernel: Option<&Kernel<'_>>) -> Result<Vec<Program>, OpenError> {
    thread::scope(|threads| {
        let opener = thread::Builder::new().name("loader".into()).stack_size(limits::STACK);
        let opened = opener.spawn_scoped(threads, || open_here(name, bytes, kernel));
        let opened =
            opened.map_err(|error| OpenError::Aya(format!("there is no thread to do it on: {error}")))?;
        // A panic is one of this crate's own.
        opened.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

fn open_here(name: &str, bytes: &[u8], kernel: Option<&Kernel<'_>>) -> Result<Vec<Program>, OpenError> {
    let btf_bytes = section(bytes, ".BTF")?;
    let btf = match &btf_bytes {
        Some(bytes) => Some(Btf::parse(bytes).map_err(|error| OpenError::Elf(error.to_string()))?),
        None => None,
    };
    let (accepted, facts) = elf::accepted(bytes, btf.as_ref())?;
    if let Some(ext) = section(bytes, ".BTF.ext")? {
        limits::check_core(&ext)?;
    }
    let mut object = guarded(|| aya_obj::Object::parse(&accepted)).map_err(OpenError::Aya)?;
    limits::check_linking(&object, facts.symbols)?;
    match kernel {
        Some(kernel) => {
            guarded(|| object.relocate_btf(&kernel.types)).map_err(OpenError::Core)?;
        }
        None if object.has_btf_relocations() => return Err(OpenError::NeedsKernel),
        None => {}
    }
    let texts: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let mut maps: Vec<(String, aya_obj::Map)> = object.maps.clone().into_iter().collect();
    maps.sort_by(|(a, _), (b, _)| a.cmp(b));
    let numbered = || (0..).zip(&maps).map(|(number, (name, map))| (name.as_str(), number as RawFd, map));
    guarded(|| object.relocate_maps(numbered(), &texts)).map_err(OpenError::Aya)?;
    let (reasons, uses) = settle(&mut object, &facts, btf.as_ref(), kernel, maps.len());
    let jump_tables = section(bytes, tables::SECTION)?.unwrap_or_default();
    let callbacks = exception_callbacks(btf.as_ref());
    let alone = link_callbacks(&object, &facts, &callbacks, &texts);

    let mut opener = Opener {
        name,
        btf,
        facts,
        kernel,
        maps,
        reasons,
        uses,
        jump_tables,
        callbacks,
        alone,
        linked: Vec::new(),
    };
    let mut programs: Vec<(String, (usize, u64))> =
        object.programs.iter().map(|(name, program)| (name.clone(), program.function_key())).collect();
    programs.sort_by_key(|(_, key)| *key);
    let mut whole = object.clone();
    if guarded(|| whole.relocate_calls(&texts)).is_ok() {
        for (name, key) in &programs {
            opener.linked.push((name.clone(), key.0, function(&whole, key)));
        }
    } else {
        // One that cannot be linked must not take the others with it.
        for (name, key) in &programs {
            let mut alone = object.clone();
            alone.programs.retain(|other, _| other == name);
            let linked = guarded(|| alone.relocate_calls(&texts));
            let linked = linked.map_err(|reason| format!("aya-obj cannot link it: {reason}"));
            opener.linked.push((name.clone(), key.0, linked.and_then(|()| function(&alone, key))));
        }
    }
    Ok(opener.programs())
}

fn function(object: &aya_obj::Object, key: &(usize, u64)) -> Result<aya_obj::Function, String> {
    object.functions.get(key).cloned().ok_or_else(|| "aya-obj lost it".to_owned())
}

/// By the type id of a function: the name in its `exception_callback:` tag.
fn exception_callbacks(btf: Option<&Btf<'_>>) -> HashMap<u32, String> {
    let tags = btf.into_iter().flat_map(Btf::types);
    let tags = tags.filter(|ty| ty.kind == Kind::DeclTag && ty.component_idx() == Some(-1));
    tags.filter_map(|tag| Some((tag.size_or_type, tag.name.strip_prefix("exception_callback:")?.to_owned())))
        .collect()
}

/// The exception callbacks by themselves: each as if it were a program, or why it cannot be had. aya-obj gives a program
/// the functions that an instruction of it refers to, and no instruction needs to refer to a callback.
fn link_callbacks(
    object: &aya_obj::Object,
    facts: &Facts,
    callbacks: &HashMap<u32, String>,
    texts: &HashSet<usize>,
) -> HashMap<String, Result<aya_obj::Function, String>> {
    let names: HashSet<&String> = callbacks.values().collect();
    let Some(model) = object.programs.values().next().filter(|_| !names.is_empty()) else {
        return HashMap::new();
    };
    let found: Vec<_> = object
        .functions
        .iter()
        .filter(|(key, function)| !facts.programs.contains_key(&key.0) && names.contains(&function.name))
        .collect();
    let mut alone = object.clone();
    alone.programs = found
        .iter()
        .map(|((section_index, address), function)| {
            let (section_index, address) = (*section_index, *address);
            (function.name.clone(), aya_obj::Program { section_index, address, ..model.clone() })
        })
        .collect();
    let linked = guarded(|| alone.relocate_calls(texts));
    let found = found.into_iter().map(|(key, whole)| {
        let one = linked.clone().map_err(|reason| format!("aya-obj cannot link it: {reason}"));
        let one = one.and_then(|()| function(&alone, key)).and_then(|one| {
            if one.instructions.len() == whole.instructions.len() {
                return Ok(one);
            }
            Err(format!(
                "its exception callback `{}` calls functions, with which it is not linked here",
                one.name
            ))
        });
        (whole.name.clone(), one)
    });
    found.collect()
}

fn section(bytes: &[u8], name: &str) -> Result<Option<Vec<u8>>, OpenError> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(bytes).map_err(|error| OpenError::Elf(error.to_string()))?;
    let Some(section) = file.section_by_name(name) else { return Ok(None) };
    let data = section.data().map_err(|error| OpenError::Elf(error.to_string()))?;
    Ok(Some(data.to_vec()))
}

/// Opcode, which no instruction has, of one that could not be relocated; `imm` counts the reasons.
const UNSETTLED: u8 = 0xf5;
/// `off` of the same.
const UNSETTLED_OFF: i16 = 0x5eaf;
/// What libbpf puts in place of a call of a weak function that the kernel does not have, plus the extern's number.
const MISSING_KFUNC: i32 = 2_002_000_000;

/// Does the relocations that aya-obj does not; marks the instructions of those that cannot be done, and returns why, and
/// the uses of jump tables, which are numbered after the `maps` maps.
fn settle(
    object: &mut aya_obj::Object,
    facts: &Facts,
    btf: Option<&Btf<'_>>,
    kernel: Option<&Kernel<'_>>,
    maps: usize,
) -> (Vec<String>, Vec<tables::Use>) {
    let (mut reasons, mut uses) = (Vec::new(), Vec::new());
    let mut symbols = Symbols { object: btf, kernel, known: HashMap::new() };
    for ((section, offset), left) in &facts.left {
        let function = object.functions.range_mut((*section, 0)..=(*section, *offset)).next_back();
        let Some((_, function)) = function else { continue };
        let Some(at) = offset.checked_sub(function.section_offset as u64) else { continue };
        let Some(insns) = usize::try_from(at / 8).ok().and_then(|at| function.instructions.get_mut(at..))
        else {
            continue;
        };
        let outcome = match left {
            Left::Refused(reason) => Err(reason.clone()),
            Left::JumpTable { start, size } => {
                let insn = offset / 8;
                let number = maps.saturating_add(uses.len());
                uses.push(tables::Use { start: *start, size: *size, insn });
                settle_jump_table(insns, number)
            }
            Left::Extern { name, weak } => settle_extern(insns, name, *weak, facts, &mut symbols),
        };
        if let (Err(reason), Some(first)) = (outcome, insns.first_mut()) {
            first.code = UNSETTLED;
            first.off = UNSETTLED_OFF;
            first.imm = i32::try_from(reasons.len()).unwrap_or(i32::MAX);
            reasons.push(reason);
        }
    }
    (reasons, uses)
}

/// Makes a load of a jump table's address one of the map with that number.
fn settle_jump_table(insns: &mut [bpf_insn], number: usize) -> Result<(), String> {
    let first = insns.first_mut().filter(|first| first.code == 0x18);
    let first = first.ok_or("an instruction refers to a jump table and does not load its address")?;
    first.set_src_reg(pseudo::MAP_VALUE);
    first.off = 0;
    first.imm = i32::try_from(number).map_err(|_| "too many uses of jump tables")?;
    Ok(())
}

/// Finds symbols of the kernel, each once: an object may use one a million times, and all types are looked through.
struct Symbols<'a> {
    object: Option<&'a Btf<'a>>,
    kernel: Option<&'a Kernel<'a>>,
    /// By whether it is looked for in the kernel and whether as a function, and by name.
    known: HashMap<(bool, bool, String), Option<u32>>,
}

impl Symbols<'_> {
    /// The variable of that name in the object's BTF.
    fn variable(&mut self, name: &str) -> Option<u32> {
        let object = self.object?;
        *self.known.entry((false, false, name.to_owned())).or_insert_with(|| object.find(name, Kind::Var))
    }

    /// The function or variable in the kernel's BTF; nothing at all if there is no kernel.
    fn in_kernel(&mut self, name: &str, kind: Kind) -> Option<Option<u32>> {
        let btf = self.kernel?.btf;
        let key = (true, kind == Kind::Func, name.to_owned());
        Some(*self.known.entry(key).or_insert_with(|| btf.find(name, kind)))
    }
}

/// Resolves the use of a kernel symbol (`bpf_object__resolve_externs`).
fn settle_extern(
    insns: &mut [bpf_insn],
    name: &str,
    weak: bool,
    facts: &Facts,
    symbols: &mut Symbols<'_>,
) -> Result<(), String> {
    let plain = name.split("___").next().filter(|plain| !plain.is_empty()).unwrap_or(name);
    let needs = || format!("it uses `{name}` of the kernel, so name a kernel with --kernel");
    let missing = || format!("the kernel's BTF has no `{name}`; modules are not looked at");
    let first = insns.first_mut().ok_or("a relocation lies outside of its function")?;
    if first.code == 0x85 {
        let id = symbols.in_kernel(plain, Kind::Func).ok_or_else(needs)?;
        match id {
            Some(id) => {
                first.set_src_reg(pseudo::KFUNC_CALL);
                first.imm = id.cast_signed();
                first.off = 0;
            }
            None if weak => {
                let number =
                    facts.externs.binary_search_by(|other| other.as_str().cmp(name)).unwrap_or_default();
                first.set_dst_reg(0);
                first.set_src_reg(0);
                first.off = 0;
                first.imm = MISSING_KFUNC.saturating_add(i32::try_from(number).unwrap_or_default());
            }
            None => return Err(missing()),
        }
        return Ok(());
    }
    if name.starts_with("CONFIG_") || name.starts_with("LINUX_") {
        return Err(format!("it asks the running kernel for its configuration (`{name}`)"));
    }
    let variable = symbols.variable(name);
    let kind = if variable.is_some() { Kind::Var } else { Kind::Func };
    if let Some(id) = variable {
        // Without a type, libbpf puts in the address.
        let variable = symbols.object.and_then(|btf| btf.type_by_id(id));
        let typed = variable.and_then(|variable| symbols.object?.skip_modifiers(variable.size_or_type));
        if typed.is_none_or(|ty| ty.kind == Kind::Void) {
            return Err(format!("it uses the address of `{name}`, which only a running kernel has"));
        }
    }
    let id = symbols.in_kernel(plain, kind).ok_or_else(needs)?;
    let (src, imm) = match id {
        Some(id) => (pseudo::BTF_ID, id.cast_signed()),
        None if weak => (0, 0),
        None => return Err(missing()),
    };
    first.set_src_reg(src);
    first.imm = imm;
    if let Some(second) = insns.get_mut(1) {
        second.imm = 0;
    }
    Ok(())
}

const F_RDONLY_PROG: u32 = 1 << 7;
const F_MMAPABLE: u32 = 1 << 10;
const LINKAGE_GLOBAL: u32 = 1;

/// An object that is relocated and linked.
struct Opener<'a> {
    name: &'a str,
    btf: Option<Btf<'a>>,
    facts: Facts,
    kernel: Option<&'a Kernel<'a>>,
    maps: Vec<(String, aya_obj::Map)>,
    reasons: Vec<String>,
    uses: Vec<tables::Use>,
    /// The contents of their section.
    jump_tables: Vec<u8>,
    /// By the type id of a function: its exception callback.
    callbacks: HashMap<u32, String>,
    /// By name: exception callbacks by themselves.
    alone: HashMap<String, Result<aya_obj::Function, String>>,
    linked: Vec<(String, usize, Result<aya_obj::Function, String>)>,
}

impl Opener<'_> {
    fn programs(&self) -> Vec<Program> {
        let program = |(name, section, function): &(String, usize, Result<aya_obj::Function, String>)| {
            let section = self.facts.programs.get(section).cloned().unwrap_or_default();
            let loaded = function.clone().and_then(|function| {
                let mut loaded = self.loaded(name, &section, &function)?;
                if let Some(kernel) = self.kernel {
                    kernel.callable.fill(&mut loaded);
                }
                Ok(loaded)
            });
            let section = section.strip_prefix('?').unwrap_or(&section).to_owned();
            Program { name: name.clone(), section, loaded }
        };
        self.linked.iter().map(program).collect()
    }

    fn loaded(&self, name: &str, section: &str, function: &aya_obj::Function) -> Result<Loaded, String> {
        let kind = sections::kind(section)
            .ok_or_else(|| format!("libbpf knows no program type for the section `{section}`"))?;
        let mut loaded = Loaded {
            insns: function.instructions.iter().map(insn).collect(),
            prog_type: kind.prog_type,
            expected_attach_type: kind.attach_type,
            prog_flags: kind.flags,
            func_info: self.func_info(function)?,
            ..Loaded::default()
        };
        if let Some(callback) =
            function.func_info.func_info.first().and_then(|info| self.callbacks.get(&info.type_id))
        {
            let found = loaded.func_info.iter().find(|info| &info.name == callback).map(|info| info.insn_off);
            let begins = found.map_or_else(|| self.append(callback, &mut loaded), Ok)?;
            loaded.exception_callback = Some(begins);
        }
        self.number_maps(&mut loaded)?;
        (loaded.expected_attach_type, loaded.attach) = match kind.prog_type {
            prog_type::EXT => (kind.attach_type, Some(self.extended(name, named(&kind, section)?)?)),
            _ => self.attached(name, &kind, section)?,
        };
        Ok(loaded)
    }

    /// What a program that is no extension attaches to, and its `expected_attach_type`.
    fn attached(
        &self,
        name: &str,
        kind: &SectionKind<'_>,
        section: &str,
    ) -> Result<(u32, Option<Attach>), String> {
        let to = |name: String| Some(Attach { name, ..Attach::default() });
        match kind.prog_type {
            prog_type::TRACING | prog_type::LSM => {
                let target = named(kind, section)?;
                self.check_attach(target, kind.attach_type)?;
                Ok((kind.attach_type, to(target.to_owned())))
            }
            prog_type::STRUCT_OPS => {
                let (structure, member) = self.facts.members.get(name).ok_or(
                    "no struct_ops map of the object uses the program, so nothing says what it implements",
                )?;
                Ok((self.member_number(structure, member)?, to(format!("{structure}/{member}"))))
            }
            _ => Ok((kind.attach_type, None)),
        }
    }

    /// Appends an exception callback that nothing refers to (`bpf_prog_assign_exc_cb`); where it begins.
    fn append(&self, callback: &str, loaded: &mut Loaded) -> Result<u32, String> {
        let missing = || format!("there is no function for its exception callback `{callback}`");
        let function = self.alone.get(callback).ok_or_else(missing)?.as_ref().map_err(String::clone)?;
        let insn_off = u32::try_from(loaded.insns.len()).map_err(|_| "it is too long")?;
        let info = self.func_info(function)?.into_iter().next().ok_or_else(missing)?;
        if !info.global {
            return Err(format!(
                "its exception callback `{callback}` is static or hidden, which libbpf refuses"
            ));
        }
        loaded.insns.extend(function.instructions.iter().map(insn));
        loaded.func_info.push(FuncInfo { insn_off, ..info });
        Ok(insn_off)
    }

    /// Puts places in [`Loaded::maps`] where aya-obj has put our numbers, and says what could not be relocated.
    fn number_maps(&self, loaded: &mut Loaded) -> Result<(), String> {
        // Whether it is a jump table, and the number of a map or where the table begins.
        let mut order: Vec<(bool, u64)> = Vec::new();
        let (mut at, mut entries) = (0, 0_usize);
        while let Some(insn) = loaded.insns.get_mut(at) {
            if insn.code == UNSETTLED && insn.off == UNSETTLED_OFF {
                let reason = usize::try_from(insn.imm).ok().and_then(|number| self.reasons.get(number));
                return Err(reason.cloned().unwrap_or_else(|| "an instruction cannot be relocated".into()));
            }
            if insn.is_map_load() {
                let strange = "an instruction names a map that does not exist";
                let number = usize::try_from(insn.imm).map_err(|_| strange)?;
                let table = number.checked_sub(self.maps.len());
                let table = table.map(|table| self.uses.get(table).ok_or(strange)).transpose()?;
                let key = table.map_or((false, number as u64), |table| (true, table.start));
                let place = match order.iter().position(|known| *known == key) {
                    Some(place) => place,
                    None => {
                        let map = match (table, self.maps.get(number)) {
                            (Some(table), _) => table.map(&self.jump_tables, at)?,
                            (None, Some((name, map))) => self.map(name, map),
                            (None, None) => return Err(strange.into()),
                        };
                        entries = entries.saturating_add(map.insn_array.as_ref().map_or(0, Vec::len));
                        if entries > tables::MAX_ENTRIES {
                            return Err(
                                "its jump tables have more entries than it can have instructions".into()
                            );
                        }
                        order.push(key);
                        loaded.maps.push(map);
                        order.len() - 1
                    }
                };
                insn.imm = i32::try_from(place).map_err(|_| "too many maps")?;
            }
            at += insn.slots();
        }
        Ok(())
    }

    /// A map as libbpf creates it.
    fn map(&self, name: &str, map: &aya_obj::Map) -> Map {
        use aya_obj::EbpfSectionKind as Section;
        let data = matches!(map.section_kind(), Section::Data | Section::Rodata | Section::Bss);
        let rodata = map.section_kind() == Section::Rodata;
        let mut flags = map.map_flags();
        if rodata {
            flags |= F_RDONLY_PROG;
        }
        if data && self.facts.mappable.contains(&map.section_index()) {
            flags |= F_MMAPABLE;
        }
        Map {
            name: if data { self.data_map_name(name) } else { name.to_owned() },
            map_type: map.map_type(),
            shape: MapShape { key_size: map.key_size(), value_size: map.value_size() },
            max_entries: max_entries(map.map_type(), map.max_entries()),
            map_flags: flags,
            frozen: rodata,
            inner: map
                .inner()
                .map(|inner| MapShape { key_size: inner.key_size(), value_size: inner.value_size() }),
            rdonly_value: rodata.then(|| map.data().to_vec()),
            insn_array: None,
        }
    }

    /// `internal_map_name`: what of the object's name fits before the section's in 15 characters.
    fn data_map_name(&self, section: &str) -> String {
        if section.get(1..).is_some_and(|rest| rest.contains('.')) {
            return section.to_owned();
        }
        let file = self.name.rsplit('/').next().unwrap_or_default();
        let stem = file.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or("object");
        let room = 15usize.saturating_sub(section.len().max(7));
        let stem = stem.chars().take(room);
        let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' };
        stem.chain(section.chars()).map(allowed).collect()
    }

    fn func_info(&self, function: &aya_obj::Function) -> Result<Vec<FuncInfo>, String> {
        let Some(btf) = &self.btf else { return Ok(Vec::new()) };
        let record = |info: &aya_obj::generated::bpf_func_info| {
            let ty =
                btf.type_by_id(info.type_id).ok_or("a function record names a type that does not exist")?;
            let hidden = self.facts.hidden.contains(ty.name);
            Ok(FuncInfo {
                insn_off: info.insn_off,
                name: ty.name.to_owned(),
                global: ty.vlen == LINKAGE_GLOBAL && !hidden,
            })
        };
        function.func_info.func_info.iter().map(record).collect()
    }

    /// Whether the kernel has what a tracing or LSM program attaches to (`find_kernel_btf_id`).
    fn check_attach(&self, target: &str, attach_type: u32) -> Result<(), String> {
        let Some(kernel) = self.kernel else { return Ok(()) };
        let target = target.strip_prefix("vmlinux:").unwrap_or(target);
        let (prefix, kind) = match attach_type {
            // BPF_TRACE_RAW_TP; BPF_LSM_MAC, BPF_LSM_CGROUP; BPF_TRACE_ITER.
            23 => ("btf_trace_", Kind::Typedef),
            27 | 43 => ("bpf_lsm_", Kind::Func),
            28 => ("bpf_iter_", Kind::Func),
            _ => ("", Kind::Func),
        };
        let name = format!("{prefix}{target}");
        let found = kernel.btf.find(&name, kind);
        found.map(|_| ()).ok_or_else(|| format!("the kernel has no `{name}` to attach to"))
    }

    /// The program of the same object that an extension replaces a function of.
    fn extended(&self, program: &str, name: &str) -> Result<Attach, String> {
        for (other, section, function) in &self.linked {
            let section = self.facts.programs.get(section).map_or("", String::as_str);
            let (Some(kind), Ok(function)) = (sections::kind(section), function) else { continue };
            let has = |info: &[FuncInfo]| info.iter().any(|info| info.name == name);
            if other == program
                || kind.prog_type == prog_type::EXT
                || !self.func_info(function).is_ok_and(|info| has(&info))
            {
                continue;
            }
            // What cannot be loaded itself is no target.
            let Ok((target_attach_type, _)) = self.attached(other, &kind, section) else { continue };
            return Ok(Attach {
                name: name.to_owned(),
                target_prog_type: Some(kind.prog_type),
                target_attach_type,
            });
        }
        Err(format!(
            "it replaces `{name}` of another program, and no program of this object has such a function"
        ))
    }

    /// The place of a member among those of a structure of the kernel, or of the object where no kernel was given.
    fn member_number(&self, structure: &str, member: &str) -> Result<u32, String> {
        let missing = || format!("the kernel has no `{structure}` with a member `{member}`");
        let btf = self.kernel.map(|kernel| kernel.btf).or(self.btf.as_ref()).ok_or_else(missing)?;
        let number = || {
            let ty = btf.type_by_id(btf.find(structure, Kind::Struct)?)?;
            (0..).zip(btf.members(&ty)).find(|(_, found)| found.name == member).map(|(number, _)| number)
        };
        number().ok_or_else(missing)
    }
}

/// What the section of a program says that it attaches to.
fn named<'n>(kind: &SectionKind<'n>, section: &str) -> Result<&'n str, String> {
    kind.target.ok_or_else(|| format!("the section `{section}` does not say what the program attaches to"))
}

fn insn(raw: &bpf_insn) -> Insn {
    Insn { code: raw.code, dst_reg: raw.dst_reg(), src_reg: raw.src_reg(), off: raw.off, imm: raw.imm }
}

/// The number of entries with which the agent creates a map: at least one, where the type has a size at all, and
/// whole pages in numbers that are powers of two for ring buffers (`adjust_ringbuf_sz`).
fn max_entries(map_type: u32, entries: u32) -> u32 {
    const PAGE: u32 = 4096;
    match map_type {
        unsized_type if livediff_capture::has_no_entries(unsized_type) => entries,
        // Ring buffers, both ways.
        27 | 31 => {
            let entries = entries.max(1);
            if entries.is_power_of_two() && entries.is_multiple_of(PAGE) {
                return entries;
            }
            (0..20).map(|shift| PAGE << shift).find(|size| *size > entries).unwrap_or(entries)
        }
        _ => entries.max(1),
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls aya-obj, which panics on some objects: a panic becomes an error, and nothing is printed.
fn guarded<T, E: std::error::Error>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                hook(info);
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    QUIET.set(false);
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                let more = error.to_string();
                if !text.contains(&more) {
                    text.push_str(": ");
                    text.push_str(&more);
                }
                source = error.source();
            }
            Err(text)
        }
        Err(panic) => Err(format!("it panics: {}", guard::words(&*panic))),
    }
}
