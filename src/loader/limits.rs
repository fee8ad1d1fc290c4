//! What an object may ask of aya-obj, which bounds neither its memory nor its recursion.
//!
//! An ELF file can make a reader do far more than its length suggests: sections and functions that overlap are copied
//! once for each, names can share one long string, every program is given a copy of all that it calls, and BTF can
//! refer to itself. Real objects do none of it, so that what goes beyond these bounds is refused at the start. The
//! kernel takes no program of more than a million instructions and 256 functions.

use super::{
    OpenError,
    ext::{Part, records},
};
use crate::bpf::btf::{Btf, Kind, Type};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::collections::{HashMap, HashSet};

/// Most functions: aya-obj links them by recursion. With [`STACK`] for them all.
const MAX_FUNCTIONS: usize = 20_000;
/// Bytes of stack for whatever calls aya-obj, 13 KiB for each level that linking may be deep. It is memory only where
/// it is used.
pub(super) const STACK: usize = 256 << 20;
/// Most bytes of all sections that the file does not hold (`.bss`).
const MAX_BSS: u64 = 1 << 30;
/// Most bytes of the names of all symbols together, of all sections, and of what all relocations refer to.
pub(super) const MAX_NAMES: usize = 256 << 20;
/// Most bytes of the name of a section, which every program of it is given a copy of: a path and a symbol fit.
const MAX_SECTION_NAME: usize = 8192;
/// Most bytes of the name of a type or a member: the kernel takes no longer ones (`KSYM_NAME_LEN`).
pub(super) const MAX_TYPE_NAME: usize = 512;
/// Most things that are looked at or copied where each of one kind meets each of another.
const MAX_WORK: usize = 1 << 28;
/// Most symbols of the kernel that are used. Each is looked for among all types.
const MAX_EXTERNS: usize = 4096;
/// Most types that CO-RE relocations are about. Each is looked for among all types.
const MAX_CORE_TYPES: usize = 4096;
/// How deep prototypes and unnamed members may be nested in a kernel's BTF, and how many there may be in one when they
/// are counted as often as they are met.
const MAX_DEPTH: usize = 64;
const MAX_NESTED: usize = 1 << 20;

/// An object whose reading is bounded. `object` is the file, as long as `length` bytes.
pub(super) fn check<'d>(object: &impl Object<'d>, length: usize) -> Result<(), OpenError> {
    let refuse = |what: String| Err(OpenError::TooLarge(what));
    let (mut sections, mut held, mut bss, mut functions, mut code) = (0_usize, 0_u64, 0_u64, 0_usize, 0_u64);
    let mut section_names = 0_usize;
    for section in object.sections() {
        sections += 1;
        let name = section.name_bytes().map_or(0, <[u8]>::len);
        if name > MAX_SECTION_NAME {
            return refuse(format!("the name of a section has {name} bytes, more than {MAX_SECTION_NAME}"));
        }
        section_names = section_names.saturating_add(name);
        if section_names > MAX_NAMES {
            return refuse(format!("the names of its sections have more than {MAX_NAMES} bytes together"));
        }
        match section.kind() {
            SectionKind::UninitializedData => bss = bss.saturating_add(section.size()),
            _ => held = held.saturating_add(section.file_range().map_or(0, |(_, size)| size)),
        }
    }
    if held > length as u64 {
        return refuse(format!("its sections have {held} bytes, and the file has {length}: they overlap"));
    }
    if bss > MAX_BSS {
        return refuse(format!("its sections without contents (.bss) have {bss} bytes, more than {MAX_BSS}"));
    }
    let (mut symbols, mut names, mut externs) = (0_usize, 0_usize, 0_usize);
    for symbol in object.symbols() {
        symbols += 1;
        names = names.saturating_add(symbol.name_bytes().map_or(0, <[u8]>::len));
        if names > MAX_NAMES {
            return refuse(format!("the names of its symbols have more than {MAX_NAMES} bytes together"));
        }
        if symbol.kind() == SymbolKind::Text {
            functions += 1;
            code = code.saturating_add(symbol.size());
        }
        externs += usize::from(symbol.is_undefined() && symbol.is_global());
    }
    if functions > MAX_FUNCTIONS {
        return refuse(format!("it has {functions} functions, more than {MAX_FUNCTIONS}"));
    }
    // Some have two names.
    if code > 4 * length as u64 {
        return refuse(format!("its functions have {code} bytes, and the file has {length}: they overlap"));
    }
    if externs > MAX_EXTERNS {
        return refuse(format!("it uses {externs} symbols of the kernel, more than {MAX_EXTERNS}"));
    }
    let ext = object.section_by_name(".BTF.ext").map_or(0, |section| section.size());
    let records = usize::try_from(ext / 8).unwrap_or(usize::MAX);
    for (what, one, other) in [
        ("sections and symbols", sections, symbols),
        ("functions, and records about their lines", functions, records),
    ] {
        if one.saturating_mul(other) > MAX_WORK {
            return refuse(format!("it has too many {what} ({one} times {other})"));
        }
    }
    Ok(())
}

/// Linking gives every program all that it calls, at most everything; and where one program cannot be linked, each is
/// tried with a copy of the object.
pub(super) fn check_linking(object: &aya_obj::Object, symbols: usize) -> Result<(), OpenError> {
    let insns: usize = object.functions.values().map(|function| function.instructions.len()).sum();
    let programs = object.programs.len();
    if programs.saturating_mul(insns.saturating_add(symbols)) <= MAX_WORK {
        return Ok(());
    }
    Err(OpenError::TooLarge(format!(
        "it has {programs} programs, with {insns} instructions and {symbols} symbols between them"
    )))
}

/// `.BTF.ext` whose CO-RE relocations are about a number of types that can be looked for.
pub(super) fn check_core(ext: &[u8]) -> Result<(), OpenError> {
    let relocations = records(ext, Part::CoreRelocations).take(MAX_CORE_TYPES * 1024);
    let types = relocations.map(|(_, [_, ty, ..])| ty).collect::<HashSet<_>>().len();
    if types <= MAX_CORE_TYPES {
        // Damage is for aya-obj to tell.
        return Ok(());
    }
    Err(OpenError::TooLarge(format!(
        "its CO-RE relocations are about {types} types, more than {MAX_CORE_TYPES}"
    )))
}

/// A kernel's BTF in which prototypes that take functions, and structures in structures, come to an end: aya-obj follows
/// them by recursion.
pub(super) fn check_kernel(btf: &Btf<'_>) -> Result<(), OpenError> {
    let mut nesting = Nesting { btf, known: HashMap::new() };
    for ty in btf.types() {
        if matches!(ty.kind, Kind::FuncProto | Kind::Struct | Kind::Union) && nesting.size(&ty, 0).is_none() {
            let reason =
                format!("the kernel's BTF: type {} (`{:.100}`) is nested without end", ty.id, ty.name);
            return Err(OpenError::TooLarge(reason));
        }
    }
    Ok(())
}

struct Nesting<'a, 'b> {
    btf: &'a Btf<'b>,
    /// By type, how many types aya-obj may look at in it; 0 while that is being found out.
    known: HashMap<u32, usize>,
}

impl<'b> Nesting<'_, 'b> {
    /// Nothing if there is no end to it, or if it is too far.
    fn size(&mut self, ty: &Type<'_>, depth: usize) -> Option<usize> {
        if let Some(known) = self.known.get(&ty.id) {
            return Some(*known).filter(|known| *known > 0);
        }
        if depth > MAX_DEPTH {
            return None;
        }
        self.known.insert(ty.id, 0);
        let btf = self.btf;
        let inside: Vec<u32> = match ty.kind {
            Kind::FuncProto => btf.params(ty).map(|param| param.type_id).chain([ty.size_or_type]).collect(),
            _ => btf.members(ty).filter(|member| member.name.is_empty()).map(|m| m.type_id).collect(),
        };
        let mut size = 1_usize;
        for id in inside {
            let Some(inner) = self.behind(id, ty.kind == Kind::FuncProto) else { continue };
            size = size.saturating_add(self.size(&inner, depth + 1)?);
            if size > MAX_NESTED {
                return None;
            }
        }
        self.known.insert(ty.id, size);
        Some(size)
    }

    /// The prototype, or the structure, that a type comes down to. Longer chains are refused by aya-obj.
    fn behind(&self, mut id: u32, prototype: bool) -> Option<Type<'b>> {
        for _ in 0..64 {
            let ty = self.btf.skip_modifiers(id)?;
            match ty.kind {
                Kind::FuncProto if prototype => return Some(ty),
                Kind::Struct | Kind::Union if !prototype => return Some(ty),
                Kind::Ptr if prototype => id = ty.size_or_type,
                Kind::Array if prototype => id = ty.array()?.type_id,
                _ => return None,
            }
        }
        None
    }
}
