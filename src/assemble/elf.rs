//! Programs as an ELF object, as clang would write it, for libbpf.

use super::{AssembleError, Function, Operand, Program, Signature, Type, identifier, types};
use crate::loader::tables;
use livediff_capture::{Insn, Map, MapShape, insn::pseudo};
use object::{
    Endianness,
    build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId},
    elf,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use types::{Linkage, Types};

/// The object that holds `programs`, whose names must differ.
///
/// Maps that are alike in all are one. Where there is more than one program, subprograms get symbols of their own.
pub fn object(programs: &[Program]) -> Result<Vec<u8>, AssembleError> {
    let mut writer = Writer::new();
    for program in programs {
        program.check()?;
        writer.program(program, programs.len() > 1)?;
    }
    writer.finish().map_err(|error| AssembleError::Elf(error.to_string()))
}

/// A map as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MapKind {
    /// Described by BTF in `.maps`.
    Defined,
    /// The variables of a section that programs cannot write, and what is in it.
    ReadOnly(Vec<u8>),
    /// The variables of a section.
    Data(u32),
}

/// A map that an object defines.
#[derive(Clone, Debug)]
pub(super) struct DefinedMap {
    pub(super) name: String,
    pub(super) kind: MapKind,
    pub(super) map: Map,
}

impl DefinedMap {
    /// The section of its variables.
    pub(super) fn section(&self) -> String {
        match self.kind {
            MapKind::Defined => ".maps".into(),
            MapKind::ReadOnly(_) => format!(".rodata.{}", self.name),
            MapKind::Data(_) => format!(".bss.{}", self.name),
        }
    }
}

/// The maps that programs use, each once, and under which number each program's map is found.
#[derive(Debug, Default)]
pub(super) struct UsedMaps {
    pub(super) maps: Vec<DefinedMap>,
    names: BTreeSet<String>,
}

impl UsedMaps {
    /// The number of a map that an instruction refers to; `value` if its value's address is loaded.
    pub(super) fn number(&mut self, map: &Map, value: bool) -> usize {
        let kind = match &map.rdonly_value {
            _ if !value => MapKind::Defined,
            Some(bytes) if map.frozen => MapKind::ReadOnly(bytes.clone()),
            _ => MapKind::Data(map.shape.value_size.max(1)),
        };
        let same = |other: &DefinedMap| other.kind == kind && other.map == *map;
        if let Some(number) = self.maps.iter().position(same) {
            return number;
        }
        let wanted = identifier(map.name.trim_start_matches('.'), "map_");
        // Not the name of a function, a macro or a keyword.
        let wanted = if wanted.starts_with("map_") { wanted } else { format!("map_{wanted}") };
        let mut name = wanted.clone();
        while !self.names.insert(name.clone()) {
            name = format!("{wanted}_{}", self.names.len());
        }
        self.maps.push(DefinedMap { name, kind, map: map.clone() });
        self.maps.len() - 1
    }
}

/// The members of a map's definition whose value is a number: name and number, those that are 0 left out.
pub(super) fn map_numbers(map: &Map) -> Vec<(&'static str, u32)> {
    let numbers = [
        ("type", map.map_type),
        ("key_size", if needs_types(map) { 0 } else { map.shape.key_size }),
        ("value_size", if needs_types(map) { 0 } else { map.shape.value_size }),
        ("max_entries", map.max_entries),
        ("map_flags", creation_flags(map)),
    ];
    numbers.into_iter().filter(|(_, number)| *number != 0).collect()
}

/// Maps that are created only with BTF of key and value: the storage of sockets, inodes, tasks and control groups.
pub(super) fn needs_types(map: &Map) -> bool {
    matches!(map.map_type, 24 | 28 | 29 | 32)
}

/// The maps inside an array or hash of maps. What type they are is not known; their sizes suit this one.
pub(super) fn inner_map(shape: MapShape) -> Map {
    const HASH: u32 = 1;
    const ARRAY: u32 = 2;
    const QUEUE: u32 = 22;
    const RINGBUF: u32 = 27;
    let (map_type, max_entries) = match (shape.key_size, shape.value_size) {
        (0, 0) => (RINGBUF, 4096),
        (0, _) => (QUEUE, 1),
        (4, _) => (ARRAY, 1),
        _ => (HASH, 1),
    };
    Map { map_type, shape, max_entries, ..Map::default() }
}

/// The flags to create a map with that has `map.map_flags` then.
fn creation_flags(map: &Map) -> u32 {
    const NUMA_NODE: u32 = 1 << 2;
    const RDONLY_PROG: u32 = 1 << 7;
    // The kernel makes maps of devices read-only by itself, and takes no order to do so.
    let own = if matches!(map.map_type, 14 | 25) { RDONLY_PROG } else { 0 };
    map.map_flags & !(NUMA_NODE | own)
}

/// `int f(void)`
pub(super) fn plain_signature() -> Signature {
    Signature { returns: Type::Int(4), params: Vec::new() }
}

/// Slots and what they refer to.
type Relocations = Vec<(usize, Target)>;

/// A section with code.
#[derive(Default)]
struct Code {
    insns: Vec<Insn>,
    relocations: Relocations,
    functions: Vec<[u32; 2]>,
    symbols: Vec<FunctionSymbol>,
}

struct FunctionSymbol {
    name: String,
    global: bool,
    start: usize,
    slots: usize,
}

/// What a relocation refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// The section of subprograms.
    Text,
    /// A global subprogram.
    Function(String),
    Map(usize),
    Kfunc(String),
    /// A jump table, by its place among those of the object.
    JumpTable(usize),
}

struct Writer {
    types: Types,
    maps: UsedMaps,
    /// By name, those of programs; subprograms are in `.text`.
    code: BTreeMap<String, Code>,
    kfuncs: BTreeMap<String, u32>,
    jump_tables: Vec<JumpTable>,
}

/// Where a jump table leads, in the words of its section: bytes from the begin of the code's section.
struct JumpTable {
    name: String,
    targets: Vec<u64>,
}

const TEXT: &str = ".text";

impl Writer {
    fn new() -> Writer {
        let code = BTreeMap::from([(TEXT.to_owned(), Code::default())]);
        Writer {
            types: Types::new(),
            maps: UsedMaps::default(),
            code,
            kfuncs: BTreeMap::new(),
            jump_tables: Vec::new(),
        }
    }

    fn program(&mut self, program: &Program, several: bool) -> Result<(), AssembleError> {
        let order = program.linked();
        let symbol = |function: &Function| match several {
            true => format!("{}__{}", program.name, function.name),
            false => function.name.clone(),
        };
        // Where subprograms will be, so that calls ahead can be written.
        let mut starts: HashMap<u32, (usize, Option<String>)> = HashMap::new();
        let mut at = self.code.get(TEXT).map_or(0, |text| text.insns.len());
        for function in order.iter().skip(1).filter_map(|place| program.functions.get(*place)) {
            let global = self.is_global(program, function);
            starts.insert(function.label, (at, global.then(|| symbol(function))));
            at += function.slots();
        }
        for (number, function) in order.iter().filter_map(|place| program.functions.get(*place)).enumerate() {
            let main = number == 0;
            let is_callback = Some(function.label) == program.exception_callback;
            let global = main || self.is_global(program, function);
            let symbol = if main { program.name.clone() } else { symbol(function) };
            // libbpf finds an exception callback by the name of its symbol.
            let name = if main || is_callback { &symbol } else { &function.name };
            let signature = match main {
                true => Signature { returns: Type::Void, params: Vec::new() },
                false => plain_signature(),
            };
            let linkage = if global { Linkage::Global } else { Linkage::Static };
            let type_id = self.types.function(name, linkage, &signature);
            if main
                && let Some(callback) = program.exception_callback.and_then(|label| starts.get(&label))
                && let (_, Some(callback)) = callback
            {
                self.types.tag(&format!("exception_callback:{callback}"), type_id);
            }
            let section = if main { program.section.clone() } else { TEXT.to_owned() };
            let start = self.code.get(&section).map_or(0, |code| code.insns.len());
            let (slots, relocations) = self.code_of(program, function, &starts, start)?;
            let code = self.code.entry(section).or_default();
            code.functions.push([u32::try_from(start * 8).unwrap_or(u32::MAX), type_id]);
            code.symbols.push(FunctionSymbol { name: symbol, global, start, slots: slots.len() });
            code.relocations.extend(relocations.into_iter().map(|(at, target)| (start + at, target)));
            code.insns.extend(slots);
        }
        Ok(())
    }

    /// An exception callback has to be global.
    fn is_global(&self, program: &Program, function: &Function) -> bool {
        function.global || Some(function.label) == program.exception_callback
    }

    /// The slots of a function, and what in them refers to what. `begin` is its first slot in its section.
    fn code_of(
        &mut self,
        program: &Program,
        function: &Function,
        starts: &HashMap<u32, (usize, Option<String>)>,
        begin: usize,
    ) -> Result<(Vec<Insn>, Relocations), AssembleError> {
        let mut slots = function.encode()?;
        // By number in the function, the place among those of the object.
        let mut tables: HashMap<usize, usize> = HashMap::new();
        let mut relocations = Vec::new();
        let mut at = 0;
        for insn in &function.insns {
            let dangling = |what| AssembleError::Dangling { function: function.name.clone(), what };
            let (target, imm, src_reg) = match insn.operand {
                Operand::None | Operand::High(_) | Operand::Jump(_) => {
                    at += insn.insn.slots();
                    continue;
                }
                Operand::Call(label) | Operand::Address(label) => {
                    let call = matches!(insn.operand, Operand::Call(_));
                    let (start, symbol) = starts.get(&label).ok_or_else(|| dangling("a function"))?;
                    let start = i32::try_from(*start).map_err(|_| dangling("a function"))?;
                    let src_reg = if call { pseudo::CALL } else { 0 };
                    match (symbol, call) {
                        (Some(symbol), true) => (Target::Function(symbol.clone()), -1, src_reg),
                        (Some(symbol), false) => (Target::Function(symbol.clone()), 0, src_reg),
                        (None, true) => (Target::Text, start - 1, src_reg),
                        (None, false) => (Target::Text, start.saturating_mul(8), src_reg),
                    }
                }
                Operand::Map(number) | Operand::MapValue(number, _) => {
                    let value = match insn.operand {
                        Operand::MapValue(_, offset) => Some(offset),
                        _ => None,
                    };
                    let map = program.maps.get(number).ok_or_else(|| dangling("a map"))?;
                    (Target::Map(self.maps.number(map, value.is_some())), value.unwrap_or(0), 0)
                }
                Operand::Kfunc(number) => {
                    let kfunc = program.kfuncs.get(number).ok_or_else(|| dangling("a kernel function"))?;
                    if !self.kfuncs.contains_key(&kfunc.name) {
                        let id = self.types.function(&kfunc.name, Linkage::Extern, &kfunc.signature);
                        self.kfuncs.insert(kfunc.name.clone(), id);
                    }
                    (Target::Kfunc(kfunc.name.clone()), -1, pseudo::CALL)
                }
                Operand::JumpTable(number) => {
                    let place = match tables.get(&number) {
                        Some(place) => *place,
                        None => {
                            let slots = function.table_slots(number)?;
                            let targets = slots.into_iter().map(|slot| (begin + slot) as u64 * 8).collect();
                            // As clang calls them: `BPF.JT.`, the function, the table.
                            let place = self.jump_tables.len();
                            self.jump_tables.push(JumpTable { name: format!("BPF.JT.{place}.0"), targets });
                            tables.insert(number, place);
                            place
                        }
                    };
                    (Target::JumpTable(place), 0, 0)
                }
            };
            if let Some(slot) = slots.get_mut(at) {
                (slot.imm, slot.src_reg) = (imm, src_reg);
            }
            if insn.insn.is_ldimm64()
                && let Some(second) = slots.get_mut(at + 1)
            {
                second.imm = 0;
            }
            relocations.push((at, target));
            at += insn.insn.slots();
        }
        Ok((slots, relocations))
    }

    fn finish(mut self) -> object::build::Result<Vec<u8>> {
        let mut file = File::new();
        let mut maps: Vec<(String, SectionId, u32, u32)> = Vec::new();
        let mut definitions = Vec::new();
        let mut size = 0;
        let mut places = Vec::new();
        for map in &self.maps.maps {
            match &map.kind {
                MapKind::Defined => {
                    let ty = definition(&mut self.types, &map.map);
                    let bytes = 8 * member_count(&map.map);
                    let variable = self.types.variable(&map.name, ty);
                    definitions.push([variable, size, bytes]);
                    places.push((None, size, bytes));
                    size += bytes;
                }
                MapKind::ReadOnly(bytes) => {
                    let section = file.section(
                        &map.section(),
                        elf::SHT_PROGBITS,
                        elf::SHF_ALLOC,
                        SectionData::Data(bytes.clone().into()),
                    );
                    places.push((Some(section), 0, u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
                }
                MapKind::Data(bytes) => {
                    let section = file.section(
                        &map.section(),
                        elf::SHT_NOBITS,
                        elf::SHF_ALLOC | elf::SHF_WRITE,
                        SectionData::UninitializedData((*bytes).into()),
                    );
                    places.push((Some(section), 0, *bytes));
                }
            }
        }
        if !definitions.is_empty() {
            self.types.section(".maps", size, &definitions);
            let section = file.section(
                ".maps",
                elf::SHT_PROGBITS,
                elf::SHF_ALLOC | elf::SHF_WRITE,
                SectionData::Data(vec![0; size as usize].into()),
            );
            places.iter_mut().for_each(|(place, ..)| _ = place.get_or_insert(section));
        }
        for (map, (section, offset, bytes)) in self.maps.maps.iter().zip(places) {
            if let Some(section) = section {
                maps.push((map.name.clone(), section, offset, bytes));
            }
        }
        if !self.kfuncs.is_empty() {
            let entries: Vec<[u32; 3]> = self.kfuncs.values().map(|id| [*id, 0, 0]).collect();
            self.types.section(".ksyms", 0, &entries);
        }
        file.section(
            "license",
            elf::SHT_PROGBITS,
            elf::SHF_ALLOC | elf::SHF_WRITE,
            SectionData::Data(b"GPL\0"[..].into()),
        );
        self.code.retain(|_, code| !code.insns.is_empty());
        let mut sections = BTreeMap::new();
        for (name, code) in &self.code {
            let bytes: Vec<u8> = code.insns.iter().flat_map(bytes_of).collect();
            let flags = elf::SHF_ALLOC | elf::SHF_EXECINSTR;
            let data = SectionData::Data(bytes.into());
            sections.insert(name.clone(), file.section(name, elf::SHT_PROGBITS, flags, data));
        }

        let text = sections
            .get(TEXT)
            .map(|text| file.symbol("", elf::STB_LOCAL, elf::STT_SECTION, Some((*text, 0, 0))));
        let jump_tables = file.jump_tables(&self.jump_tables);
        let mut symbols: HashMap<String, SymbolId> = HashMap::new();
        for global in [false, true] {
            for (name, code) in &self.code {
                let Some(section) = sections.get(name).copied() else { continue };
                for symbol in code.symbols.iter().filter(|symbol| symbol.global == global) {
                    let bind = if global { elf::STB_GLOBAL } else { elf::STB_LOCAL };
                    let place = (section, symbol.start as u64 * 8, symbol.slots as u64 * 8);
                    let id = file.symbol(&symbol.name, bind, elf::STT_FUNC, Some(place));
                    if global {
                        symbols.insert(symbol.name.clone(), id);
                    }
                }
            }
        }
        let map_symbols: Vec<SymbolId> = maps
            .iter()
            .map(|(name, section, offset, size)| {
                let place = (*section, u64::from(*offset), u64::from(*size));
                file.symbol(name, elf::STB_GLOBAL, elf::STT_OBJECT, Some(place))
            })
            .collect();
        for name in self.kfuncs.keys() {
            let id = file.symbol(name, elf::STB_WEAK, elf::STT_NOTYPE, None);
            symbols.insert(name.clone(), id);
        }
        let mut info = Vec::new();
        for (name, code) in &self.code {
            info.push((self.types.string(name), code.functions.clone()));
            let Some(section) = sections.get(name).copied() else { continue };
            let symbol = |target: &Target| match target {
                Target::Text => text,
                Target::Function(name) | Target::Kfunc(name) => symbols.get(name).copied(),
                Target::Map(number) => map_symbols.get(*number).copied(),
                Target::JumpTable(number) => jump_tables.get(*number).copied(),
            };
            let relocation = |(at, target): &(usize, Target)| {
                let load = code.insns.get(*at).is_some_and(Insn::is_ldimm64);
                Relocation {
                    r_offset: *at as u64 * 8,
                    symbol: symbol(target),
                    r_type: if load { elf::R_BPF_64_64 } else { elf::R_BPF_64_32 },
                    r_addend: 0,
                }
            };
            file.relocations(name, section, code.relocations.iter().map(relocation).collect());
        }
        file.section(
            ".BTF.ext",
            elf::SHT_PROGBITS,
            elf::SectionFlags(0),
            SectionData::Data(types::function_info(&info).into()),
        );
        file.section(
            ".BTF",
            elf::SHT_PROGBITS,
            elf::SectionFlags(0),
            SectionData::Data(self.types.into_bytes().into()),
        );
        file.write()
    }
}

/// Members of a map's definition.
fn member_count(map: &Map) -> u32 {
    let types = if needs_types(map) { 2 } else { 0 };
    u32::try_from(map_numbers(map).len()).unwrap_or(0) + types
}

/// The structure that defines a map.
fn definition(types: &mut Types, map: &Map) -> u32 {
    let int = types.int(4);
    let mut members = Vec::new();
    for (name, number) in map_numbers(map) {
        let array = types.array(int, number);
        members.push((name, types.pointer(array)));
    }
    if needs_types(map) {
        let byte = types.int(1);
        let bytes = types.array(byte, map.shape.value_size);
        let value = types.structure("value", map.shape.value_size, &[("bytes", bytes, 0)]);
        members.push(("key", types.pointer(int)));
        members.push(("value", types.pointer(value)));
    }
    let size = u32::try_from(8 * members.len()).unwrap_or(u32::MAX);
    if let Some(shape) = map.inner {
        let inner = definition(types, &inner_map(shape));
        let inner = types.pointer(inner);
        members.push(("values", types.array(inner, 0)));
    }
    let members: Vec<_> = (0..).step_by(8).zip(members).map(|(at, (name, ty))| (name, ty, at)).collect();
    types.structure("", size, &members)
}

/// An instruction as it stands in memory.
fn bytes_of(insn: &Insn) -> [u8; 8] {
    let [off0, off1] = insn.off.to_le_bytes();
    let [imm0, imm1, imm2, imm3] = insn.imm.to_le_bytes();
    [insn.code, insn.dst_reg & 0xf | insn.src_reg << 4, off0, off1, imm0, imm1, imm2, imm3]
}

/// The file.
struct File<'d> {
    builder: Builder<'d>,
    symbols: SectionId,
    /// Where the next section that is loaded begins.
    offset: u64,
}

impl<'d> File<'d> {
    fn new() -> File<'d> {
        let mut builder = Builder::new(Endianness::Little, true);
        builder.header.e_type = elf::ET_REL;
        builder.header.e_machine = elf::EM_BPF;
        let mut table = |name: &'static str, kind, data| {
            let section = builder.sections.add();
            section.name = name.as_bytes().into();
            section.sh_type = kind;
            section.sh_addralign = if kind == elf::SHT_SYMTAB { 8 } else { 1 };
            section.data = data;
            section.id()
        };
        table(".shstrtab", elf::SHT_STRTAB, SectionData::SectionString);
        let strings = table(".strtab", elf::SHT_STRTAB, SectionData::String);
        let symbols = table(".symtab", elf::SHT_SYMTAB, SectionData::Symbol);
        builder.sections.get_mut(symbols).sh_link_section = Some(strings);
        File { builder, symbols, offset: 64 }
    }

    fn section(
        &mut self,
        name: &str,
        kind: elf::SectionType,
        flags: elf::SectionFlags,
        data: SectionData<'d>,
    ) -> SectionId {
        let section = self.builder.sections.add();
        section.name = name.as_bytes().to_vec().into();
        section.sh_type = kind;
        section.sh_flags = flags;
        section.sh_addralign = 8;
        let length = match &data {
            SectionData::Data(bytes) => bytes.len() as u64,
            _ => 0,
        };
        if flags != elf::SectionFlags(0) {
            section.sh_offset = self.offset;
            self.offset = (self.offset + length).next_multiple_of(8);
        }
        section.data = data;
        section.id()
    }

    /// Section, offset and size of what it names; nothing for what the kernel has.
    fn symbol(
        &mut self,
        name: &str,
        bind: elf::SymbolBind,
        kind: elf::SymbolType,
        place: Option<(SectionId, u64, u64)>,
    ) -> SymbolId {
        let symbol = self.builder.symbols.add();
        symbol.name = name.as_bytes().to_vec().into();
        symbol.set_st_info(bind, kind);
        if let Some((section, offset, size)) = place {
            symbol.section = Some(section);
            (symbol.st_value, symbol.st_size) = (offset, size);
        }
        symbol.id()
    }

    /// The section of jump tables, if there are any, and the symbol of each, whose size tells where it ends.
    fn jump_tables(&mut self, jump_tables: &[JumpTable]) -> Vec<SymbolId> {
        if jump_tables.is_empty() {
            return Vec::new();
        }
        let targets = jump_tables.iter().flat_map(|table| &table.targets);
        let bytes: Vec<u8> = targets.flat_map(|target| target.to_le_bytes()).collect();
        let data = SectionData::Data(bytes.into());
        let section = self.section(tables::SECTION, elf::SHT_PROGBITS, elf::SHF_ALLOC, data);
        let mut at = 0;
        let symbol = |table: &JumpTable| {
            let size = table.targets.len() as u64 * tables::ENTRY;
            let behind = at + size;
            let place = (section, std::mem::replace(&mut at, behind), size);
            self.symbol(&table.name, elf::STB_LOCAL, elf::STT_OBJECT, Some(place))
        };
        jump_tables.iter().map(symbol).collect()
    }

    fn relocations(&mut self, name: &str, of: SectionId, relocations: Vec<Relocation>) {
        if relocations.is_empty() {
            return;
        }
        let symbols = self.symbols;
        let section = self.builder.sections.add();
        section.name = format!(".rel{name}").into_bytes().into();
        section.sh_type = elf::SHT_REL;
        section.sh_entsize = 16;
        section.sh_addralign = 8;
        section.sh_link_section = Some(symbols);
        section.sh_info_section = Some(of);
        section.data = SectionData::Relocation(relocations);
    }

    fn write(mut self) -> object::build::Result<Vec<u8>> {
        self.builder.set_section_sizes();
        let mut out = Vec::new();
        self.builder.write(&mut out)?;
        Ok(out)
    }
}
