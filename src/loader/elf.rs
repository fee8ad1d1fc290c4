//! What is needed of an object's ELF file beside aya-obj, and the changes to it without which aya-obj refuses it.
//!
//! aya-obj refuses an object as a whole for one section whose name it does not know (`tc`, `syscall`, `struct_ops/..`,
//! anything after a `?`), or for one relocation that it cannot do. [`accepted`] gives sections names that it knows,
//! and takes such relocations out of its sight; which they are, and why, stands in [`Facts`].

use super::{OpenError, limits, tables};
use crate::bpf::btf::{Btf, Kind};
use object::{
    Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SectionKind, SymbolFlags, SymbolKind,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A relocation that aya-obj does not do.
#[derive(Clone, Debug)]
pub(super) enum Left {
    /// A reference to a symbol that the object does not define.
    Extern { name: String, weak: bool },
    /// A reference to a jump table: where it begins in its section, and its bytes.
    JumpTable { start: u64, size: u64 },
    /// Something else; why it is not done.
    Refused(String),
}

/// What the ELF file says.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// By index: the names of sections with programs.
    pub(super) programs: HashMap<usize, String>,
    /// By section and byte offset in it: relocations that are left to us.
    pub(super) left: BTreeMap<(usize, u64), Left>,
    /// Functions that other objects cannot see: libbpf makes them static.
    pub(super) hidden: HashSet<String>,
    /// Sections with data that user space may map: those with a variable that is neither static nor hidden.
    pub(super) mappable: HashSet<usize>,
    /// By the name of a function: the structure, the member and its place, of the first `struct_ops` map it is in.
    pub(super) members: HashMap<String, (String, String)>,
    /// Symbols, of whatever kind.
    pub(super) symbols: usize,
    /// All externs, in libbpf's order of those of the kernel's symbols: by name.
    pub(super) externs: Vec<String>,
}

/// Reads the facts and makes the object one that aya-obj takes.
pub(super) fn accepted(bytes: &[u8], btf: Option<&Btf<'_>>) -> Result<(Vec<u8>, Facts), OpenError> {
    let failed = |error: object::Error| OpenError::Elf(error.to_string());
    let file = object::read::elf::ElfFile64::<object::LittleEndian>::parse(bytes).map_err(failed)?;
    limits::check(&file, bytes.len())?;
    let mut facts = Facts::default();
    let mut texts = HashSet::new();
    for section in file.sections() {
        let name = section.name().map_err(failed)?;
        if section.kind() == SectionKind::Text && section.size() > 0 {
            texts.insert(section.index());
            if !name.starts_with(".text") {
                facts.programs.insert(section.index().0, name.to_owned());
            }
        }
    }
    for symbol in file.symbols() {
        facts.symbols += 1;
        let SymbolFlags::Elf { st_other, .. } = symbol.flags() else { continue };
        // STV_INTERNAL and STV_HIDDEN.
        let hidden = matches!(st_other.0 & 3, 1 | 2);
        let name = symbol.name().unwrap_or_default();
        if symbol.kind() == SymbolKind::Text && hidden {
            facts.hidden.insert(name.to_owned());
        }
        if let Some(section) = symbol.section_index()
            && symbol.kind() == SymbolKind::Data
            && symbol.is_global()
            && !hidden
            && btf.is_some()
        {
            facts.mappable.insert(section.0);
        }
        if symbol.is_undefined() && symbol.is_global() {
            facts.externs.push(name.to_owned());
        }
    }
    facts.externs.sort();
    facts.externs.dedup();

    let mut out = bytes.to_vec();
    let mut hide = HashSet::new();
    let mut struct_ops_maps = None;
    let mut named = 0_usize;
    for section in file.sections() {
        let name = section.name().unwrap_or_default();
        let struct_ops = is_struct_ops(name);
        if !struct_ops && !texts.contains(&section.index()) {
            continue;
        }
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                return Err(OpenError::Elf(format!("a relocation of `{name}` has no symbol")));
            };
            let symbol = file.symbol_by_index(index).map_err(failed)?;
            // Names are read, and some kept, for each relocation.
            let its_section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
            named = named.saturating_add(symbol.name_bytes().map_or(0, <[u8]>::len));
            named =
                named.saturating_add(its_section.map_or(0, |its| its.name_bytes().map_or(0, <[u8]>::len)));
            if named > limits::MAX_NAMES {
                return Err(OpenError::TooLarge(format!(
                    "the names of what its relocations refer to have more than {} bytes together",
                    limits::MAX_NAMES
                )));
            }
            if struct_ops {
                let Some(btf) = btf else { continue };
                let maps = struct_ops_maps.get_or_insert_with(|| StructOps::new(&file, btf));
                let (SymbolKind::Text, Ok(function)) = (symbol.kind(), symbol.name()) else { continue };
                if let Some(member) = maps.member(section.index(), offset)
                    && !facts.members.contains_key(function)
                {
                    facts.members.insert(function.to_owned(), member);
                }
            } else if let Some(left) = left(&file, &texts, &symbol) {
                facts.left.insert((section.index().0, offset), left);
                hide.insert((section.index(), offset));
            }
        }
    }
    hide_relocations(&mut out, &hide)
        .ok_or_else(|| OpenError::Elf("its relocations are cut short".into()))?;
    rename(&mut out, &facts.programs).ok_or_else(|| OpenError::Elf("its sections are cut short".into()))?;
    Ok((out, facts))
}

type File<'d> = object::read::elf::ElfFile64<'d, object::LittleEndian>;

/// Whether aya-obj cannot do a relocation of instructions against `symbol`.
fn left<'d>(file: &File<'d>, texts: &HashSet<SectionIndex>, symbol: &impl ObjectSymbol<'d>) -> Option<Left> {
    let name = symbol.name().unwrap_or_default();
    let Some(index) = symbol.section_index() else {
        if symbol.is_undefined() {
            return Some(Left::Extern { name: name.to_owned(), weak: symbol.is_weak() });
        }
        return Some(Left::Refused(format!("`{name}` stands in no section")));
    };
    if texts.contains(&index) {
        let known = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Section);
        return (!known).then(|| Left::Refused(format!("`{name}` is no function")));
    }
    let section = file.section_by_index(index).ok();
    let section = section.as_ref().and_then(|section| section.name().ok()).unwrap_or_default();
    let data = [".data", ".rodata", ".bss"].iter().any(|prefix| section.starts_with(prefix));
    if data {
        return None;
    }
    if section == tables::SECTION {
        return Some(Left::JumpTable { start: symbol.address(), size: symbol.size() });
    }
    if section == ".maps" || section == "maps" {
        let shared = symbol.kind() == SymbolKind::Section;
        return shared.then(|| Left::Refused("it uses a static map, which aya-obj cannot tell".into()));
    }
    Some(Left::Refused(format!("it refers to the section `{section}`, which aya-obj does not know")))
}

fn is_struct_ops(section: &str) -> bool {
    section.starts_with(".struct_ops") || section.starts_with("?.struct_ops")
}

/// The `struct_ops` maps of an object, and the members of their structures, each looked for once.
struct StructOps<'a> {
    btf: &'a Btf<'a>,
    /// By section and address: size and name of the variable; the first of an address counts.
    variables: BTreeMap<(usize, u64), (u64, &'a str)>,
    /// Types of variables by name; the first of a name counts.
    types: HashMap<&'a str, u32>,
    /// By structure and place: the names of members.
    structures: HashMap<u32, HashMap<u32, &'a str>>,
}

impl<'a> StructOps<'a> {
    fn new(file: &File<'a>, btf: &'a Btf<'a>) -> StructOps<'a> {
        let sections: HashSet<SectionIndex> = file
            .sections()
            .filter(|section| section.name().is_ok_and(is_struct_ops))
            .map(|section| section.index())
            .collect();
        let mut variables = BTreeMap::new();
        for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Data) {
            if let (Some(section), Ok(name)) = (symbol.section_index(), symbol.name())
                && sections.contains(&section)
            {
                variables.entry((section.0, symbol.address())).or_insert((symbol.size(), name));
            }
        }
        let mut types = HashMap::new();
        for variable in btf.types().filter(|ty| ty.kind == Kind::Var) {
            types.entry(variable.name).or_insert(variable.size_or_type);
        }
        StructOps { btf, variables, types, structures: HashMap::new() }
    }

    /// The structure and the member at an offset of a section.
    fn member(&mut self, section: SectionIndex, offset: u64) -> Option<(String, String)> {
        let before = self.variables.range((section.0, 0)..=(section.0, offset)).next_back();
        let ((_, address), (size, name)) = before?;
        let at = offset.checked_sub(*address).filter(|at| at < size)?;
        let bit = u32::try_from(at).ok()?.checked_mul(8)?;
        let btf = self.btf;
        let ty = btf.skip_modifiers(*self.types.get(name)?)?;
        let members = self.structures.entry(ty.id).or_insert_with(|| {
            let mut members = HashMap::new();
            for member in btf.members(&ty) {
                members.entry(member.bit_offset).or_insert(member.name);
            }
            members
        });
        // What follows three underscores is a flavour of the structure before them.
        let structure = ty.name.split("___").next().unwrap_or_default();
        let member = members.get(&bit)?;
        let fits = |name: &str| name.len() <= limits::MAX_TYPE_NAME;
        (fits(structure) && fits(member)).then(|| (structure.to_owned(), (*member).to_owned()))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(value.len())?)?.copy_from_slice(value);
    Some(())
}

/// Where the header of section `index` begins.
fn header(bytes: &[u8], index: usize) -> Option<usize> {
    let start = u64_at(bytes, 40)?;
    let size = usize::from(u16_at(bytes, 58)?);
    start.checked_add(index.checked_mul(size)?)
}

const SH_TYPE: usize = 4;
const SH_OFFSET: usize = 24;
const SH_SIZE: usize = 32;
const SH_INFO: usize = 44;
const SHT_REL: u32 = 9;

/// Moves relocations to where no function is: aya-obj passes over them.
fn hide_relocations(out: &mut [u8], hide: &HashSet<(SectionIndex, u64)>) -> Option<()> {
    if hide.is_empty() {
        return Some(());
    }
    for index in 0..usize::from(u16_at(out, 60)?) {
        let header = header(out, index)?;
        if u32_at(out, header + SH_TYPE)? != SHT_REL {
            continue;
        }
        let (start, size) = (u64_at(out, header + SH_OFFSET)?, u64_at(out, header + SH_SIZE)?);
        let section = SectionIndex(u32_at(out, header + SH_INFO)? as usize);
        for at in (0..size / 16).map(|number| start.checked_add(number * 16)) {
            let at = at?;
            let offset = u64_at(out, at)? as u64;
            if hide.contains(&(section, offset)) {
                put(out, at, &(u64::MAX - 7).to_le_bytes())?;
            }
        }
    }
    Some(())
}

/// A name that aya-obj takes for a section with programs.
fn alias(name: &str) -> String {
    format!("kprobe/{name}")
}

/// Gives every section with programs a name that aya-obj knows, in the section headers and in `.BTF.ext`.
fn rename(out: &mut Vec<u8>, programs: &HashMap<usize, String>) -> Option<()> {
    let strings = header(out, usize::from(u16_at(out, 62)?))?;
    let mut names = section(out, strings)?.to_vec();
    let (mut btf, mut ext) = (None, None);
    for index in 0..usize::from(u16_at(out, 60)?) {
        let header = header(out, index)?;
        match string(&names, u32_at(out, header)?)? {
            ".BTF" => btf = Some(header),
            ".BTF.ext" => ext = Some(header),
            _ => {}
        }
    }
    for (index, name) in programs {
        let at = u32::try_from(names.len()).ok()?;
        names.extend_from_slice(alias(name).as_bytes());
        names.push(0);
        let header = header(out, *index)?;
        put(out, header, &at.to_le_bytes())?;
    }
    replace(out, strings, &names)?;
    let (Some(btf), Some(ext)) = (btf, ext) else { return Some(()) };
    let mut types = section(out, btf)?.to_vec();
    let length = u32_at(&types, 4)? as usize;
    let (start, size) = (u32_at(&types, 16)? as usize, u32_at(&types, 20)? as usize);
    let end = length.checked_add(start)?.checked_add(size)?;
    if end != types.len() {
        return None;
    }
    let table = types.get(length + start..end)?.to_vec();
    let mut aliases = HashMap::new();
    for name in programs.values() {
        aliases.entry(name.as_str()).or_insert_with(|| {
            let at = (types.len() - length - start) as u32;
            types.extend_from_slice(alias(name).as_bytes());
            types.push(0);
            at
        });
    }
    let size = u32::try_from(types.len() - length - start).ok()?;
    put(&mut types, 20, &size.to_le_bytes())?;
    replace(out, btf, &types)?;
    let mut lines = section(out, ext)?.to_vec();
    let length = u32_at(&lines, 4)? as usize;
    // Function, line and CO-RE records; older objects have only the first two.
    for place in [8, 16, 24].into_iter().filter(|place| place + 8 <= length) {
        let (mut at, size) = (u32_at(&lines, place)? as usize, u32_at(&lines, place + 4)? as usize);
        if size == 0 {
            continue;
        }
        at = at.checked_add(length)?;
        let end = at.checked_add(size)?;
        let record = u32_at(&lines, at)? as usize;
        at += 4;
        while at < end {
            let count = u32_at(&lines, at.checked_add(4)?)? as usize;
            if let Some(alias) = aliases.get(string(&table, u32_at(&lines, at)?)?) {
                put(&mut lines, at, &alias.to_le_bytes())?;
            }
            at = at.checked_add(8)?.checked_add(count.checked_mul(record)?)?;
        }
    }
    let start = u64_at(out, ext + SH_OFFSET)?;
    put(out, start, &lines)
}

fn section(bytes: &[u8], header: usize) -> Option<&[u8]> {
    let (start, size) = (u64_at(bytes, header + SH_OFFSET)?, u64_at(bytes, header + SH_SIZE)?);
    bytes.get(start..start.checked_add(size)?)
}

/// Appends the new contents of a section to the file.
fn replace(out: &mut Vec<u8>, header: usize, contents: &[u8]) -> Option<()> {
    out.resize(out.len().next_multiple_of(8), 0);
    let start = out.len() as u64;
    out.extend_from_slice(contents);
    put(out, header + SH_OFFSET, &start.to_le_bytes())?;
    put(out, header + SH_SIZE, &(contents.len() as u64).to_le_bytes())
}

fn string(table: &[u8], at: u32) -> Option<&str> {
    let rest = table.get(at as usize..)?;
    std::str::from_utf8(rest.split(|byte| *byte == 0).next()?).ok()
}
