//! Opening and preparing an object so that no program or map can spoil it for the others.
//!
//! `bpf_object__prepare` does an object as a whole. When it fails, the part that libbpf names in its warnings
//! (a map that cannot be created, a program that cannot be relocated) is left out, the object opened again and
//! the rest tried; when libbpf names none, every program is tried in an object of its own. Kernel functions that are
//! missing are left out by [`externs`].

use super::{
    Request, btf, context,
    externs::{self, Functions},
    facts::MapFacts,
    libbpf::{self, Object},
};
use libbpf_sys as sys;
use livediff_capture::{Attach, MapShape};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::CString,
    os::fd::RawFd,
    sync::{Arc, Mutex},
};

/// An object that libbpf could open.
pub(super) struct Opened {
    object: Object,
}

/// A program that is ready to be loaded.
pub(super) struct Ready {
    /// Place in the object.
    pub(super) number: u32,
    /// For a `struct_ops` program: its structure's id in the kernel's BTF, and `type/member`.
    pub(super) struct_ops: Option<(u32, Attach)>,
}

/// An object, or a part of one, whose programs are relocated and whose maps exist.
pub(super) struct Prepared {
    pub(super) object: Object,
    pub(super) license: CString,
    pub(super) programs: Vec<Ready>,
    /// Programs that are not to be loaded for themselves: an extension may want to extend one of them.
    pub(super) targets: Vec<Ready>,
    /// By number: maps that were left out, and why.
    pub(super) left_out: HashMap<usize, String>,
    /// Kernel functions that are not there.
    pub(super) functions: Functions,
    /// By name: the shape of the maps inside.
    pub(super) inner: HashMap<String, MapShape>,
    /// By descriptor: what the kernel says of the maps in use, asked once.
    pub(super) maps: Mutex<HashMap<RawFd, Arc<MapFacts>>>,
    /// By the type id of a function: the callback that an `exception_callback:` tag on it names.
    pub(super) exception_callbacks: HashMap<u32, String>,
}

type Reasons = BTreeMap<u32, String>;

/// Opens the object. The error says why libbpf cannot.
pub(super) fn open(request: &Request) -> Result<Opened, String> {
    let object = open_object(request)?;
    let mut names = BTreeSet::new();
    // The host tells them apart by their names.
    let twice = object.programs().map(|program| program.name()).find(|name| !names.insert(name.clone()));
    match twice {
        Some(name) => Err(format!("it has two programs called `{name}`")),
        None => Ok(Opened { object }),
    }
}

fn open_object(request: &Request) -> Result<Object, String> {
    open_bytes(request, &request.bytes)
}

fn open_bytes(request: &Request, bytes: &[u8]) -> Result<Object, String> {
    let file = request.name.rsplit('/').next().unwrap_or_default();
    let name = file.split('.').next().unwrap_or_default();
    Object::open(bytes, if name.is_empty() { "object" } else { name })
}

impl Opened {
    pub(super) fn object(&self) -> &Object {
        &self.object
    }

    /// Every program's name, in the order by which programs are numbered.
    pub(super) fn program_names(&self) -> Vec<String> {
        self.object.programs().map(|program| program.name()).collect()
    }

    /// Prepares the programs wanted: the parts that are ready, and the programs that cannot be, with reasons.
    pub(super) fn prepare(self, request: &Request) -> (Vec<Prepared>, Vec<(u32, String)>) {
        let mut reasons = Reasons::new();
        let wanted = self.wanted(request, &mut reasons);
        let named: BTreeSet<u32> = wanted.iter().chain(reasons.keys()).copied().collect();
        let mut parts = Vec::new();
        if !wanted.is_empty() {
            let mut relocated = wanted.clone();
            relocated.extend(self.targets(&wanted));
            parts = self.prepare_wanted(request, relocated, &mut reasons);
        }
        // What is prepared only as a target has no result of its own.
        for part in &mut parts {
            let (programs, targets) = std::mem::take(&mut part.programs)
                .into_iter()
                .partition(|ready| wanted.contains(&ready.number));
            (part.programs, part.targets) = (programs, targets);
        }
        parts.retain(|part| !part.programs.is_empty());
        reasons.retain(|number, _| named.contains(number));
        (parts, reasons.into_iter().collect())
    }

    /// The programs that the extensions among those wanted may extend.
    fn targets(&self, wanted: &BTreeSet<u32>) -> Vec<u32> {
        let types =
            || (0..).zip(self.object.programs()).map(|(number, program)| (number, program.prog_type()));
        let is_extension = |prog_type| prog_type == sys::BPF_PROG_TYPE_EXT;
        if !types().any(|(number, prog_type)| wanted.contains(&number) && is_extension(prog_type)) {
            return Vec::new();
        }
        let can_be = |prog_type| !is_extension(prog_type) && prog_type != sys::BPF_PROG_TYPE_UNSPEC;
        types().filter(|(_, prog_type)| can_be(*prog_type)).map(|(number, _)| number).collect()
    }

    fn wanted(&self, request: &Request, reasons: &mut Reasons) -> BTreeSet<u32> {
        let skip: BTreeSet<u32> = request.skip.iter().copied().collect();
        let mut wanted = BTreeSet::new();
        for (number, program) in (0..).zip(self.object.programs()) {
            let named = request.only.as_ref().is_none_or(|only| only.contains(&program.name()));
            if !named || skip.contains(&number) {
                continue;
            }
            if program.prog_type() == sys::BPF_PROG_TYPE_UNSPEC && context::guess(&program).is_none() {
                let section = program.section();
                let reason = format!(
                    "libbpf knows no program type for the section `{section}`, and the program's argument names none"
                );
                reasons.insert(number, reason);
            } else {
                wanted.insert(number);
            }
        }
        wanted
    }

    fn prepare_wanted(
        self,
        request: &Request,
        mut wanted: BTreeSet<u32>,
        reasons: &mut Reasons,
    ) -> Vec<Prepared> {
        let mut without = Without::default();
        let mut object = self.object;
        loop {
            let failure = match Prepared::new(object, request, &wanted, &without) {
                Ok((prepared, unready)) => {
                    reasons.extend(unready);
                    return vec![prepared];
                }
                Err(failure) => failure,
            };
            let again =
                without.open(request).and_then(|again| match failure.weaken(&again, request, &mut without) {
                    true => without.open(request).map(|again| (again, true)),
                    false => Ok((again, false)),
                });
            let weakened;
            (object, weakened) = match again {
                Ok(again) => again,
                Err(reason) => {
                    reasons.extend(wanted.iter().map(|number| (*number, reason.clone())));
                    return Vec::new();
                }
            };
            if !weakened && !failure.leave_out(&object, &mut wanted, &mut without.maps, reasons) {
                return prepare_each(request, &wanted, &without, failure, reasons);
            }
            if wanted.is_empty() {
                return Vec::new();
            }
        }
    }
}

/// What an object is prepared without.
#[derive(Default)]
struct Without {
    /// By number: maps, and why.
    maps: HashMap<usize, String>,
    functions: Functions,
    /// The object to be opened, if not the one that was sent.
    bytes: Option<Vec<u8>>,
}

impl Without {
    fn open(&self, request: &Request) -> Result<Object, String> {
        open_bytes(request, self.bytes.as_ref().unwrap_or(&request.bytes))
    }
}

/// Every program in an object of its own.
fn prepare_each(
    request: &Request,
    wanted: &BTreeSet<u32>,
    without: &Without,
    failure: Failure,
    reasons: &mut Reasons,
) -> Vec<Prepared> {
    let mut parts = Vec::new();
    if wanted.len() == 1 {
        reasons.extend(wanted.iter().map(|number| (*number, failure.reason())));
        return parts;
    }
    for number in wanted {
        let alone = BTreeSet::from([*number]);
        let result = without
            .open(request)
            .and_then(|object| Prepared::new(object, request, &alone, without).map_err(|f| f.reason()));
        match result {
            Ok((prepared, unready)) => {
                reasons.extend(unready);
                parts.push(prepared);
            }
            Err(reason) => {
                reasons.insert(*number, reason);
            }
        }
    }
    parts
}

/// Why an object could not be prepared.
struct Failure {
    warnings: Vec<String>,
    errno: i32,
}

impl Failure {
    fn reason(&self) -> String {
        if self.warnings.iter().any(|warning| warning.contains("failed to open system Kconfig")) {
            return "it asks for values of the kernel's configuration (CONFIG_...), which is not known: the image does \
                    not hold it (CONFIG_IKCONFIG), and no file `config-RELEASE`, `config` or `.config` is beside it"
                .to_string();
        }
        let error = std::io::Error::from_raw_os_error(self.errno);
        match self.warnings.as_slice() {
            [] => format!("libbpf cannot prepare the object: {error}"),
            warnings => format!("libbpf cannot prepare the object: {} ({error})", warnings.join("; ")),
        }
    }

    /// If kernel functions are missing: goes on without them. False if that is not the trouble, or is done already.
    fn weaken(&self, object: &Object, request: &Request, without: &mut Without) -> bool {
        let missing = |warning: &String| warning.contains("extern (func ksym) '");
        let Some(btf) = object.btf().filter(|_| self.warnings.iter().any(missing)) else { return false };
        if without.bytes.is_some() {
            return false;
        }
        let is_function = |name: &str| btf.find(name, sys::BTF_KIND_FUNC).is_some();
        let Some(weakened) = externs::weaken(&request.bytes, is_function) else { return false };
        (without.bytes, without.functions) = (Some(weakened.bytes), weakened.functions);
        true
    }

    /// Leaves out the `struct_ops` maps whose structure the kernel does not have. False if that is not the trouble.
    fn leave_out_struct_ops(&self, object: &Object, left_out: &mut HashMap<usize, String>) -> bool {
        let named = |warning: &String| {
            let name = warning.strip_prefix("struct_ops init_kern: struct ")?;
            let name = name.strip_suffix(" is not found in kernel BTF")?;
            Some(name.strip_prefix("bpf_struct_ops_").unwrap_or(name).to_string())
        };
        let Some(structure) = self.warnings.iter().rev().find_map(named) else { return false };
        let maps = struct_ops_maps(object).into_iter().filter(|(_, name, ..)| *name == structure);
        let maps: Vec<usize> =
            maps.map(|(number, ..)| number).filter(|number| !left_out.contains_key(number)).collect();
        left_out
            .extend(maps.iter().map(|number| (*number, format!("the kernel has no `struct {structure}`"))));
        !maps.is_empty()
    }

    /// Leaves out the map or the program that the warnings name. False if they name none that is still in.
    fn leave_out(
        &self,
        object: &Object,
        wanted: &mut BTreeSet<u32>,
        left_out: &mut HashMap<usize, String>,
        reasons: &mut Reasons,
    ) -> bool {
        if self.leave_out_struct_ops(object, left_out) {
            return true;
        }
        // The warning that ended it comes last; those before may be about something that libbpf could live with.
        for warning in self.warnings.iter().rev() {
            if let Some(name) = quoted(warning, "prog '") {
                let number = (0..).zip(object.programs()).find(|(_, program)| program.name() == name);
                if let Some((number, _)) = number.filter(|(number, _)| wanted.remove(number)) {
                    reasons.insert(number, self.reason());
                    return true;
                }
            }
            if let Some(name) = quoted(warning, "map '") {
                let number = object.maps().position(|map| map.name() == name);
                if let Some(number) = number.filter(|number| !left_out.contains_key(number)) {
                    let error = std::io::Error::from_raw_os_error(self.errno);
                    left_out.insert(number, format!("{} ({error})", self.warnings.join("; ")));
                    return true;
                }
            }
        }
        false
    }
}

/// What stands in quotes after `kind`, whose last character is the opening quote.
fn quoted<'a>(warning: &'a str, kind: &str) -> Option<&'a str> {
    Some(warning.split_once(kind)?.1.split_once('\'')?.0)
}

impl Prepared {
    /// Prepares the programs `wanted`. Also says which of the programs cannot be
    /// loaded although the object is prepared.
    fn new(
        mut object: Object,
        request: &Request,
        wanted: &BTreeSet<u32>,
        without: &Without,
    ) -> Result<(Prepared, Reasons), Failure> {
        object.fix_maps();
        let programs = object.programs().len();
        for number in 0..programs {
            object.set_autoload(number, u32::try_from(number).is_ok_and(|number| wanted.contains(&number)));
        }
        for number in without.maps.keys() {
            object.set_autocreate(*number, false);
        }
        let inner = object
            .maps()
            .filter_map(|map| {
                let (key_size, value_size) = map.inner()?;
                Some((map.name(), MapShape { key_size, value_size }))
            })
            .collect();
        let members = struct_ops_members(&object);
        libbpf::take_warnings();
        if let Err(errno) = object.prepare() {
            return Err(Failure { warnings: libbpf::take_warnings(), errno });
        }
        let mut unready = Reasons::new();
        let mut programs = Vec::new();
        for (number, program) in (0..).zip(object.programs()) {
            if !wanted.contains(&number) {
                continue;
            }
            let struct_ops = if program.prog_type() == sys::BPF_PROG_TYPE_STRUCT_OPS {
                match struct_ops_target(members.get(&program.address()), program.autoload()) {
                    Ok(target) => Some(target),
                    Err(reason) => {
                        unready.insert(number, reason);
                        continue;
                    }
                }
            } else {
                None
            };
            programs.push(Ready { number, struct_ops });
        }
        let exception_callbacks = exception_callbacks(&object);
        let prepared = Prepared {
            object,
            license: CString::new(request.license.replace('\0', "")).unwrap_or_default(),
            programs,
            targets: Vec::new(),
            left_out: without.maps.clone(),
            functions: without.functions.clone(),
            inner,
            maps: Mutex::default(),
            exception_callbacks,
        };
        Ok((prepared, unready))
    }
}

/// The `struct_ops` maps: number, name and type id of the structure, and the shadow.
fn struct_ops_maps(object: &Object) -> Vec<(usize, String, u32, Vec<u64>)> {
    let Some(btf) = object.btf() else { return Vec::new() };
    let described = |(number, map): (usize, libbpf::Map<'_>)| {
        let (type_id, shadow) = map.struct_ops()?;
        // A name like `tcp_congestion_ops___v2` is a flavour of the structure before the three underscores.
        let name = btf.get(type_id)?.name.split("___").next().unwrap_or_default().to_string();
        Some((number, name, type_id, shadow))
    };
    object.maps().enumerate().filter_map(described).collect()
}

/// By a program's address: the structure and the member that a `struct_ops` map gives it.
fn struct_ops_members(object: &Object) -> HashMap<u64, (String, String)> {
    let mut found = HashMap::new();
    let Some(btf) = object.btf() else { return found };
    for (_, name, type_id, shadow) in struct_ops_maps(object) {
        for (member, offset) in btf.members(type_id) {
            let Some(address) = shadow.get(offset as usize / 64).filter(|_| offset % 64 == 0) else {
                continue;
            };
            if *address != 0 {
                found.entry(*address).or_insert_with(|| (name.clone(), member));
            }
        }
    }
    let programs: BTreeSet<u64> = object.programs().map(|program| program.address()).collect();
    found.retain(|address, _| programs.contains(address));
    found
}

fn struct_ops_target(member: Option<&(String, String)>, autoload: bool) -> Result<(u32, Attach), String> {
    let (structure, member) = member
        .ok_or("no struct_ops map of the object uses the program, so nothing says what it implements")?;
    let id = btf::find(structure, sys::BTF_KIND_STRUCT)?;
    if !autoload {
        return Err(format!("the map of `{structure}` does not load it (`{member}`)"));
    }
    Ok((id, Attach { name: format!("{structure}/{member}"), ..Attach::default() }))
}

/// By the type id of a function: the name in its `exception_callback:` tag.
fn exception_callbacks(object: &Object) -> HashMap<u32, String> {
    let mut found = HashMap::new();
    let Some(btf) = object.btf() else { return found };
    for id in 1..btf.type_count() {
        let Some(tag) = btf.get(id).filter(|tag| tag.kind == sys::BTF_KIND_DECL_TAG) else { continue };
        // The tag is on the function itself, not on one of its parameters.
        if tag.extra != Some(u32::MAX) {
            continue;
        }
        if let Some(name) = tag.name.strip_prefix("exception_callback:") {
            found.insert(tag.size_or_type, name.to_string());
        }
    }
    found
}

#[cfg(test)]
#[path = "../../../tests/support/elf.rs"]
mod elf;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_one_name_are_told() {
        let open = |names: [&str; 2]| {
            let mut file = elf::Elf::new(elf::BPF);
            for (section, name) in ["socket", "xdp"].into_iter().zip(names) {
                let section = file.section(section, elf::EXECUTABLE, vec![0x95, 0, 0, 0, 0, 0, 0, 0]);
                file.function(name, section, 0, 8);
            }
            let (name, license) = ("a.o".into(), String::new());
            let (only, skip, bytes) = (None, Vec::new(), file.bytes());
            super::open(&Request { id: 0, name, license, only, skip, bytes })
        };
        assert_eq!(open(["one", "two"]).map(|opened| opened.program_names()).unwrap(), ["one", "two"]);
        let told = open(["one", "one"]).err();
        assert_eq!(told.as_deref(), Some("it has two programs called `one`"));
    }
}
