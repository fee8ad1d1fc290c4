//! An object that was prepared on the host: what libbpf asked of the kernel there is asked of the kernel here.
//!
//! Nothing is guessed. If the kernel does not say yes to all of it, the object is unfit for this, and the host sends
//! the object itself.

use super::{
    facts, libbpf,
    libbpf::{DebugInfo, LoadOptions},
    load::{self, Answer, LOG_LEVEL, LogBuffer},
};
use crate::protocol::{Part, PartMap, PartProgram, Value};
use livediff_capture::{Map, insn::pseudo};
use std::{
    ffi::CString,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// A part of an object, with all that its programs need.
pub(super) struct Replayed {
    btf: Option<OwnedFd>,
    /// The instructions name them.
    _maps: Vec<OwnedFd>,
    license: CString,
    pub(super) programs: Vec<Program>,
}

/// A program as it is given to the kernel.
pub(super) struct Program {
    pub(super) part: PartProgram,
    name: CString,
}

/// Makes everything that the part's programs need. Also says what the kernel says of the maps.
pub(super) fn replay(part: Part) -> Result<(Replayed, Vec<Map>), String> {
    let refused = |what: &str, errno: i32| format!("{what}: {}", std::io::Error::from_raw_os_error(errno));
    let load = |btf: &crate::protocol::Bytes| libbpf::btf_load(&btf.0).map_err(|e| refused("its BTF", e));
    let btf = part.btf.as_ref().map(load).transpose()?;
    let mut maps: Vec<OwnedFd> = Vec::new();
    let mut told = Vec::new();
    for map in part.maps {
        let made = make(&map, btf.as_ref(), &maps).map_err(|errno| {
            refused(&format!("the map `{}`", map.name.as_deref().unwrap_or_default()), errno)
        })?;
        told.push(
            facts::ask_kernel(made.as_raw_fd(), map.name, map.inside)
                .map_err(|errno| refused("what the kernel says of a map", errno))?,
        );
        maps.push(made);
    }
    let mut programs = part.programs;
    for program in &mut programs {
        put_descriptors(program, &maps).ok_or("an instruction or map that it names is not there")?;
    }
    let programs = programs
        .into_iter()
        .map(|part| Program { name: CString::new(part.name.as_str()).unwrap_or_default(), part })
        .collect();
    let license = CString::new(part.license.replace('\0', "")).unwrap_or_default();
    Ok((Replayed { btf, _maps: maps, license, programs }, told))
}

const EINVAL: i32 = 22;

fn make(map: &PartMap, btf: Option<&OwnedFd>, maps: &[OwnedFd]) -> Result<OwnedFd, i32> {
    let at = |place: u32| maps.get(place as usize).map(AsRawFd::as_raw_fd).ok_or(EINVAL);
    let template = map.template.map(at).transpose()?;
    let btf = btf.filter(|_| map.with_btf).map(AsRawFd::as_raw_fd);
    let made = libbpf::map_create(&map.attributes.0, btf, template)?;
    for update in &map.updates {
        let value = match &update.value {
            Value::Bytes(bytes) => bytes.0.clone(),
            Value::Map(place) => at(*place)?.to_ne_bytes().to_vec(),
        };
        libbpf::map_update(made.as_raw_fd(), &update.key.0, &value, update.flags)?;
    }
    if map.frozen {
        libbpf::map_freeze(made.as_raw_fd())?;
    }
    Ok(made)
}

/// Puts the descriptors of the maps into the instructions that load them.
fn put_descriptors(program: &mut PartProgram, maps: &[OwnedFd]) -> Option<()> {
    for (insn, map) in &program.map_loads {
        let fd: RawFd = maps.get(*map as usize)?.as_raw_fd();
        let insn = program.insns.0.get_mut(*insn as usize * 8..)?.first_chunk_mut::<8>()?;
        let source = insn[1] >> 4;
        if source != pseudo::MAP_FD && source != pseudo::MAP_VALUE {
            return None;
        }
        insn[4..].copy_from_slice(&fd.to_ne_bytes());
    }
    Some(())
}

impl Replayed {
    /// Asks the kernel to load the program.
    pub(super) fn load(&self, program: &Program, log: &mut LogBuffer) -> Answer {
        let Program { part, name } = program;
        let btf = self.btf.as_ref().filter(|_| part.with_btf);
        let options = LoadOptions {
            name: name.as_c_str(),
            prog_type: part.prog_type,
            expected_attach_type: part.expected_attach_type,
            prog_flags: part.prog_flags,
            attach_btf_id: part.attach_btf_id,
            attach_prog_fd: None,
            license: &self.license,
            kernel_version: part.kernel_version,
            insns: &part.insns.0,
            debug_info: btf.map(|btf| DebugInfo {
                btf: btf.as_raw_fd(),
                functions: &part.functions.0,
                lines: &part.line_info.0,
            }),
            log_level: LOG_LEVEL,
        };
        load::ask(&options, part.lines as usize, log)
    }
}
