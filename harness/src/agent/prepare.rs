//! Preparing objects on the host, in a process that has no kernel.
//!
//! To open an object, to relocate its programs against the kernel's types and to look for kernel functions takes
//! libbpf most of the time that an emulated guest spends on an object, and none of it needs the kernel: what libbpf
//! asks of it is known beforehand. So the same libbpf does it here, at the full speed of the host, with a
//! `stand_in` for the kernel behind a `sandbox`, and the guest is told only what to ask the real kernel for.
//!
//! The process serves one host process through its standard input. It is not trusted: an object may be made to break
//! libbpf, and the process with it; then the guest gets the object.

mod sandbox;
mod stand_in;

use super::{
    Request,
    facts::{self, Seen},
    libbpf,
    load::{self, Kind},
    object::{self, Prepared},
    system,
};
use crate::protocol::{
    self, Bytes, FromPreparer, PREPARER, Part, PartMap, PartProgram, Plan, PlannedProgram, ToPreparer,
    Update, Value,
};
use libbpf_sys as sys;
use stand_in::Record;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    io,
    os::fd::RawFd,
};

/// True where this process was started to prepare objects.
pub(super) fn is_preparer() -> bool {
    super::is_child_for(PREPARER)
}

/// Prepares objects until the host has no more.
pub(super) fn serve() -> io::Result<()> {
    let port = system::standard_input()?;
    let (hello, btf) = protocol::read::<ToPreparer>(&mut &port)?;
    let ToPreparer::Hello { release, config } = hello else {
        return Err(io::Error::other("the host does not greet"));
    };
    // More than one object may need is no harm: where it is not enough, the guest prepares the object.
    system::allow_open_files();
    stand_in::enter(&btf, config.as_ref().map(|config| config.0.as_slice()), &release)?;
    drop(btf);
    libbpf::collect_warnings();
    loop {
        let (message, bytes) = match protocol::read::<ToPreparer>(&mut &port) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            message => message?,
        };
        let (name, license, only) = match message {
            ToPreparer::Object { name, license, only } => (name, license, only),
            ToPreparer::Symbols => {
                stand_in::set_symbols(&bytes)?;
                continue;
            }
            ToPreparer::Hello { .. } => return Err(io::Error::other("the host greets twice")),
        };
        let request = Request { id: 0, name, license, only, skip: Vec::new(), bytes };
        match prepare(&request) {
            Ok((plan, parts)) => {
                let parts = protocol::encode_parts(&parts)?;
                protocol::write(&mut &port, &FromPreparer::Prepared(plan), &parts)?;
            }
            Err(_) if stand_in::wants_symbols() => {
                protocol::write(&mut &port, &FromPreparer::WantsSymbols, &[])?;
            }
            Err(reason) => protocol::write(&mut &port, &FromPreparer::ForTheGuest { reason }, &[])?,
        }
    }
}

/// Prepares an object. The error says why the guest has to.
fn prepare(request: &Request) -> Result<(Plan, Vec<Part>), String> {
    stand_in::begin();
    let opened = object::open(request)?;
    if let Some(reason) = opened.needs_kernel(request) {
        return Err(reason);
    }
    let names = opened.program_names();
    let (prepared, not_loadable) = opened.prepare(request);
    let mut plan = Plan { names, programs: Vec::new(), not_loadable, symbols: false };
    let parts = (0..).zip(&prepared).map(|(place, prepared)| part(prepared, place, &mut plan));
    let parts = parts.collect::<Result<Vec<Part>, String>>()?;
    match stand_in::strange() {
        Some(what) => Err(format!("libbpf asked for {what}")),
        None => {
            plan.symbols = stand_in::has_read_symbols();
            Ok((plan, parts))
        }
    }
}

/// The part of the object for the guest; what the host is to know of its programs goes to the plan.
fn part(prepared: &Prepared, place: u32, plan: &mut Plan) -> Result<Part, String> {
    let maps = Maps::of(prepared)?;
    let mut programs = Vec::new();
    for ready in &prepared.programs {
        let number = ready.number;
        match program(prepared, ready, &maps) {
            Ok((seen, program)) => {
                let maps = seen.maps.iter().map(|fd| maps.place(*fd).ok_or("a map is not there"));
                plan.programs.push(PlannedProgram {
                    number,
                    maps: maps.collect::<Result<_, _>>()?,
                    loaded: seen.loaded,
                    part: place,
                });
                programs.push(program);
            }
            Err(reason) => plan.not_loadable.push((number, reason)),
        }
    }
    let btf = prepared.object.btf().and_then(|btf| btf.fd());
    let btf = btf.map(|fd| {
        let bytes = |record: &Record| match record {
            Record::Btf(bytes) => Some(Bytes(bytes.clone())),
            _ => None,
        };
        let number = stand_in::number(fd)?;
        stand_in::record(number, bytes).flatten().map(|bytes| (number, bytes))
    });
    let btf = match btf {
        None => None,
        Some(None) => return Err("its BTF is not there".into()),
        Some(Some(btf)) => Some(btf),
    };
    let maps = maps.parts(btf.as_ref().map(|(number, _)| *number))?;
    let license = prepared.license.to_string_lossy().into_owned();
    Ok(Part { btf: btf.map(|(_, bytes)| bytes), license, maps, programs })
}

fn program(prepared: &Prepared, ready: &object::Ready, maps: &Maps) -> Result<(Seen, PartProgram), String> {
    let program = prepared.object.program(ready.number as usize).ok_or("the object has no such program")?;
    let kind = Kind::resolve(prepared, ready, &program)?;
    let mut identity = |fd: RawFd| Ok(maps.place(fd).map(u64::from));
    let seen = facts::seen(prepared, &program, kind.given(), &mut identity)?;
    let name = CString::new(program.name()).unwrap_or_default();
    let options = kind.options(prepared, &program, &name);
    let mut map_loads = Vec::new();
    let mut at = 0;
    while let Some(insn) = seen.loaded.insns.get(at) {
        let map = usize::try_from(insn.imm).ok().and_then(|index| seen.maps.get(index));
        if let Some(fd) = map.filter(|_| insn.is_map_load()) {
            map_loads.push((at as u32, maps.place(*fd).ok_or("a map is not there")?));
        }
        at += insn.slots();
    }
    let debug_info = options.debug_info;
    let part = PartProgram {
        number: ready.number,
        name: program.name(),
        prog_type: options.prog_type,
        expected_attach_type: options.expected_attach_type,
        prog_flags: options.prog_flags,
        attach_btf_id: options.attach_btf_id,
        kernel_version: options.kernel_version,
        insns: Bytes(options.insns.to_vec()),
        map_loads,
        lines: u32::try_from(load::lines(&seen.loaded)).map_err(|_| "too many instructions")?,
        with_btf: debug_info.is_some(),
        functions: Bytes(debug_info.map_or(Vec::new(), |info| info.functions.to_vec())),
        line_info: Bytes(debug_info.map_or(Vec::new(), |info| info.lines.to_vec())),
    };
    Ok((seen, part))
}

/// The maps of a part, in the order of their making.
struct Maps {
    /// By number of the record: the place in the part.
    places: BTreeMap<u64, u32>,
    /// By number of the record: the map's name in the object.
    names: BTreeMap<u64, String>,
    inside: std::collections::HashMap<String, livediff_capture::MapShape>,
}

impl Maps {
    fn of(prepared: &Prepared) -> Result<Maps, String> {
        let maps = prepared.object.maps();
        let names: BTreeMap<u64, String> =
            maps.filter_map(|map| Some((stand_in::number(map.fd())?, map.name()))).collect();
        let mut wanted: BTreeSet<u64> = names.keys().copied().collect();
        // Jump tables have maps that the object does not list.
        let programs = prepared.programs.iter().filter_map(|p| prepared.object.program(p.number as usize));
        for program in programs {
            let loads = program.insns().iter().filter(|insn| insn.code == 0x18);
            wanted.extend(loads.filter_map(|insn| stand_in::number(insn.imm)));
        }
        let mut left: Vec<u64> = wanted.iter().copied().collect();
        while let Some(number) = left.pop() {
            let others = stand_in::record(number, |record| match record {
                Record::Map(map) => {
                    let inside = map.updates.iter().filter_map(|update| match update.value {
                        stand_in::Value::Map(number) => Some(number),
                        stand_in::Value::Bytes(_) => None,
                    });
                    Some(inside.chain(map.template).collect::<Vec<u64>>())
                }
                _ => None,
            });
            let Some(Some(others)) = others else {
                wanted.remove(&number);
                continue;
            };
            left.extend(others.into_iter().filter(|other| wanted.insert(*other)));
        }
        let places = wanted.into_iter().zip(0..).collect();
        Ok(Maps { places, names, inside: prepared.inner.clone() })
    }

    fn place(&self, fd: RawFd) -> Option<u32> {
        self.places.get(&stand_in::number(fd)?).copied()
    }

    /// The maps for the guest, in an object whose BTF has that number.
    fn parts(&self, btf: Option<u64>) -> Result<Vec<PartMap>, String> {
        let part = |number: &u64| {
            let name = self.names.get(number).cloned();
            let inside = name.as_ref().and_then(|name| self.inside.get(name)).copied();
            stand_in::record(*number, |record| self.map(record, btf, name, inside)).flatten()
        };
        let parts =
            self.places.keys().map(|number| part(number).ok_or("a map of another object is used".into()));
        parts.collect()
    }

    fn map(
        &self,
        record: &Record,
        btf: Option<u64>,
        name: Option<String>,
        inside: Option<livediff_capture::MapShape>,
    ) -> Option<PartMap> {
        let Record::Map(map) = record else { return None };
        if map.btf.is_some() && map.btf != btf {
            return None;
        }
        let place = |number: &u64| self.places.get(number).copied();
        let update = |update: &stand_in::Update| {
            let value = match &update.value {
                stand_in::Value::Bytes(bytes) => Value::Bytes(Bytes(bytes.clone())),
                stand_in::Value::Map(number) => Value::Map(place(number)?),
            };
            Some(Update { key: Bytes(update.key.clone()), value, flags: update.flags })
        };
        Some(PartMap {
            name,
            inside,
            attributes: Bytes(map.attributes.clone()),
            with_btf: map.btf.is_some(),
            template: match &map.template {
                Some(number) => Some(place(number)?),
                None => None,
            },
            updates: map.updates.iter().map(update).collect::<Option<_>>()?,
            frozen: map.frozen,
        })
    }
}

/// Values of `.kconfig` that libbpf takes from the running kernel and not from its configuration.
const OF_THE_RUNNING_KERNEL: [&str; 2] = ["LINUX_KERNEL_VERSION", "LINUX_HAS_SYSCALL_WRAPPER"];

impl object::Opened {
    /// Why the object cannot be prepared without the kernel, if something of it says so.
    fn needs_kernel(&self, request: &Request) -> Option<String> {
        if self.object().maps().any(|map| map.name().ends_with(".kconfig")) {
            let names = |name: &&&str| {
                let name = [name.as_bytes(), b"\0"].concat();
                request.bytes.windows(name.len()).any(|window| window == name)
            };
            if let Some(name) = OF_THE_RUNNING_KERNEL.iter().find(names) {
                return Some(format!("it asks for {name}"));
            }
        }
        let extends = self.object().programs().any(|program| program.prog_type() == sys::BPF_PROG_TYPE_EXT);
        extends.then(|| "a program of it extends another, which has to be loaded".into())
    }
}
