//! A reader of BTF, the type information of kernels, modules and objects.
//!
//! ```text
//! header | types: { name_off u32, info u32, size or type u32, data by kind }* | strings: NUL-terminated
//! info = vlen (bits 0-23) | kind (bits 24-30) | kind_flag (bit 31)
//! ```
//!
//! [`Btf::parse`] walks the types once, checks that each lies inside its section, and keeps their offsets; everything
//! else is read on demand from the bytes given. What a type refers to may still not exist: the readers return
//! nothing then. Older BTF has 16 bits of `vlen` and 5 of `kind` in the same places and zeros between.
use std::ops::Range;

/// Magic number of BTF in the byte order of the reader.
const MAGIC: u16 = 0xeb9f;
/// Bytes of the smallest header: up to `str_len`.
const MIN_HEADER: usize = 24;
/// Bytes of the header that has a layout section.
const LAYOUT_HEADER: usize = 32;
/// Bytes of `struct btf_type`.
const TYPE_SIZE: usize = 12;
/// References that the kernel follows from one type (`MAX_RESOLVE_DEPTH`).
const MAX_RESOLVE_DEPTH: usize = 32;
/// Most bytes of the names of all types, each counted as often as it is used: a long one that all types share would be
/// read anew for each.
const MAX_NAMES: usize = 256 << 20;

/// BTF that cannot be read. Offsets are in bytes from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The header is cut short, or it is no BTF.
    #[error("no BTF header: {0}")]
    Header(&'static str),
    /// A section that the header names is not inside the data.
    #[error("the BTF {section} section, bytes {start} to {end}, is not inside the {size} bytes given")]
    Section {
        /// `type`, `string` or `layout`.
        section: &'static str,
        /// First byte.
        start: u64,
        /// Byte after the last.
        end: u64,
        /// Bytes that there are.
        size: usize,
    },
    /// The string section does not begin with an empty string, does not end in NUL, or is no UTF-8.
    #[error("BTF strings: {0}")]
    Strings(&'static str),
    /// A type is cut short by the end of its section.
    #[error("BTF type {id} at byte {offset} is cut short")]
    Cut {
        /// The type's id.
        id: u32,
        /// Where it begins.
        offset: usize,
    },
    /// A type is of a kind whose length is not known.
    #[error("BTF type {id} at byte {offset} is of unknown kind {kind}")]
    Kind {
        /// The type's id.
        id: u32,
        /// Where it begins.
        offset: usize,
        /// `BTF_INFO_KIND`.
        kind: u8,
    },
}

/// Kinds of types, as `BTF_KIND_*`. Kinds newer than these are [`Kind::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Void,
    Int,
    Ptr,
    Array,
    Struct,
    Union,
    Enum,
    Fwd,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Func,
    FuncProto,
    Var,
    Datasec,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
    /// A kind that this reader knows the length of and nothing else.
    Other(u8),
}

impl Kind {
    fn from_raw(raw: u8) -> Kind {
        match raw {
            0 => Kind::Void,
            1 => Kind::Int,
            2 => Kind::Ptr,
            3 => Kind::Array,
            4 => Kind::Struct,
            5 => Kind::Union,
            6 => Kind::Enum,
            7 => Kind::Fwd,
            8 => Kind::Typedef,
            9 => Kind::Volatile,
            10 => Kind::Const,
            11 => Kind::Restrict,
            12 => Kind::Func,
            13 => Kind::FuncProto,
            14 => Kind::Var,
            15 => Kind::Datasec,
            16 => Kind::Float,
            17 => Kind::DeclTag,
            18 => Kind::TypeTag,
            19 => Kind::Enum64,
            other => Kind::Other(other),
        }
    }

    /// Bytes after `struct btf_type`: once, and for each of its `vlen` elements.
    fn data_size(self) -> Option<(usize, usize)> {
        Some(match self {
            Kind::Int | Kind::Var | Kind::DeclTag => (4, 0),
            Kind::Array => (12, 0),
            Kind::Struct | Kind::Union | Kind::Datasec | Kind::Enum64 => (0, 12),
            Kind::Enum | Kind::FuncProto => (0, 8),
            Kind::Ptr
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Float
            | Kind::TypeTag => (0, 0),
            Kind::Void | Kind::Other(_) => return None,
        })
    }

    /// A kind that only qualifies the type that it refers to (`btf_type_is_modifier`).
    pub fn is_modifier(self) -> bool {
        matches!(self, Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag)
    }
}

/// One type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type<'a> {
    /// Its id; 0 is `void`.
    pub id: u32,
    /// Its kind.
    pub kind: Kind,
    /// Its name; empty where it has none.
    pub name: &'a str,
    /// Elements: members, enumerators, parameters; for a function its linkage.
    pub vlen: u32,
    /// `BTF_INFO_KFLAG`.
    pub kind_flag: bool,
    /// The size in bytes, or the id of the type referred to, as the kind has it.
    pub size_or_type: u32,
    /// What follows `struct btf_type`.
    data: &'a [u8],
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name; empty for an anonymous struct or union.
    pub name: &'a str,
    /// The id of its type.
    pub type_id: u32,
    /// Where it begins, in bits.
    pub bit_offset: u32,
    /// Its size in bits, if it is a bit-field.
    pub bitfield_size: Option<u32>,
}

/// A parameter of a function prototype. `type_id` 0 as the last one stands for `...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its name; empty where it has none.
    pub name: &'a str,
    /// The id of its type.
    pub type_id: u32,
}

/// An array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// The id of the elements' type.
    pub type_id: u32,
    /// How many elements.
    pub nelems: u32,
}

/// BTF, indexed by id. A module's stands on the kernel's: [`Btf::parse_split`].
#[derive(Clone, Debug)]
pub struct Btf<'a> {
    base: Option<&'a Btf<'a>>,
    /// Id of the first type in `offsets`.
    start_id: u32,
    /// Where each type begins in `types`.
    offsets: Vec<u32>,
    types: &'a [u8],
    /// Offset of the first string in `strings`, counted from the beginning of the base's.
    start_string: u32,
    strings: &'a str,
}

impl<'a> Btf<'a> {
    /// Reads BTF that stands alone, as a kernel's or an object's.
    pub fn parse(data: &'a [u8]) -> Result<Btf<'a>, BtfError> {
        Btf::parse_on(data, None)
    }

    /// Reads BTF that continues `base`, as a module's continues the kernel's.
    pub fn parse_split(data: &'a [u8], base: &'a Btf<'a>) -> Result<Btf<'a>, BtfError> {
        Btf::parse_on(data, Some(base))
    }

    fn parse_on(data: &'a [u8], base: Option<&'a Btf<'a>>) -> Result<Btf<'a>, BtfError> {
        if data.len() < MIN_HEADER {
            return Err(BtfError::Header("fewer than 24 bytes"));
        }
        let magic = [data[0], data[1]];
        if u16::from_le_bytes(magic) != MAGIC {
            let swapped = u16::from_be_bytes(magic) == MAGIC;
            return Err(BtfError::Header(if swapped { "big-endian data" } else { "wrong magic number" }));
        }
        if data[2] != 1 {
            return Err(BtfError::Header("version is not 1"));
        }
        let header_size = word(data, 4).unwrap_or(0) as usize;
        if header_size < MIN_HEADER || header_size > data.len() {
            return Err(BtfError::Header("impossible header length"));
        }
        let section = |name, at| section(data, header_size, name, at);
        let types_at = section("type", 8)?;
        let strings_at = section("string", 16)?;
        let layout = if header_size >= LAYOUT_HEADER { section("layout", 24)? } else { 0..0 };
        let layout = data.get(layout).unwrap_or_default();
        let types_start = types_at.start;
        let types = data.get(types_at).unwrap_or_default();
        let strings = data.get(strings_at).unwrap_or_default();
        if base.is_none() && strings.first() != Some(&0) {
            return Err(BtfError::Strings("the first is not empty"));
        }
        if strings.last().is_some_and(|last| *last != 0) {
            return Err(BtfError::Strings("the last does not end in NUL"));
        }
        let strings = std::str::from_utf8(strings).map_err(|_| BtfError::Strings("no UTF-8"))?;

        let (start_id, start_string) = match base {
            Some(base) => (
                base.end_id(),
                base.start_string.saturating_add(u32::try_from(base.strings.len()).unwrap_or(u32::MAX)),
            ),
            None => (1, 0),
        };
        let mut offsets = Vec::with_capacity(types.len() / 32);
        let mut names = 0_usize;
        let mut at = 0;
        while at < types.len() {
            // Sections lie inside 32-bit lengths, so neither number can overflow.
            let id = start_id.saturating_add(u32::try_from(offsets.len()).unwrap_or(u32::MAX));
            let cut = BtfError::Cut { id, offset: types_start + at };
            let info = word(types, at + 4).ok_or(cut.clone())?;
            let (kind, vlen) = (Kind::from_raw((info >> 24 & 0x7f) as u8), (info & 0xff_ffff) as usize);
            let (once, each) = kind.data_size().or_else(|| layout_size(layout, kind)).ok_or({
                BtfError::Kind { id, offset: types_start + at, kind: (info >> 24 & 0x7f) as u8 }
            })?;
            let end = at + TYPE_SIZE + once + each * vlen;
            if end > types.len() {
                return Err(cut);
            }
            let name = word(types, at).filter(|offset| *offset >= start_string);
            let name = name.and_then(|offset| strings.as_bytes().get((offset - start_string) as usize..));
            let length = name.and_then(|name| name.iter().position(|byte| *byte == 0)).unwrap_or(0);
            names = names.saturating_add(length);
            if names > MAX_NAMES {
                return Err(BtfError::Strings("the names of types have more than 256 MiB together"));
            }
            offsets.push(u32::try_from(at).map_err(|_| cut)?);
            at = end;
        }
        Ok(Btf { base, start_id, offsets, types, start_string, strings })
    }

    /// The id after the last.
    pub fn end_id(&self) -> u32 {
        self.start_id.saturating_add(u32::try_from(self.offsets.len()).unwrap_or(u32::MAX))
    }

    /// The type with this id (`btf_type_by_id`); 0 is `void`.
    pub fn type_by_id(&self, id: u32) -> Option<Type<'a>> {
        if id == 0 {
            let name = "";
            let (kind, vlen, kind_flag, size_or_type) = (Kind::Void, 0, false, 0);
            return Some(Type { id, kind, name, vlen, kind_flag, size_or_type, data: &[] });
        }
        if id < self.start_id {
            return self.base?.type_by_id(id);
        }
        let index = (id - self.start_id) as usize;
        let start = *self.offsets.get(index)? as usize;
        let end = self.offsets.get(index + 1).map_or(self.types.len(), |next| *next as usize);
        let bytes = self.types.get(start..end)?;
        let info = word(bytes, 4)?;
        Some(Type {
            id,
            kind: Kind::from_raw((info >> 24 & 0x7f) as u8),
            name: self.string(word(bytes, 0)?).unwrap_or(""),
            vlen: info & 0xff_ffff,
            kind_flag: info >> 31 != 0,
            size_or_type: word(bytes, 8)?,
            data: bytes.get(TYPE_SIZE..)?,
        })
    }

    /// Every type but `void`, by id; a split BTF's own types only.
    pub fn types(&self) -> impl Iterator<Item = Type<'a>> {
        (self.start_id..self.end_id()).filter_map(|id| self.type_by_id(id))
    }

    /// The string at an offset (`btf_name_by_offset`).
    pub fn string(&self, offset: u32) -> Option<&'a str> {
        if offset < self.start_string {
            return self.base?.string(offset);
        }
        let tail = self.strings.get((offset - self.start_string) as usize..)?;
        tail.split_once('\0').map(|(string, _)| string)
    }

    /// The id of the first type of that name and kind, in the base first (`btf_find_by_name_kind`).
    pub fn find(&self, name: &str, kind: Kind) -> Option<u32> {
        if let Some(found) = self.base.and_then(|base| base.find(name, kind)) {
            return Some(found);
        }
        self.types().find(|ty| ty.kind == kind && ty.name == name).map(|ty| ty.id)
    }

    /// The type that remains without typedefs, qualifiers and type tags (`btf_type_skip_modifiers`). Nothing if a
    /// reference leads nowhere or in a circle.
    pub fn skip_modifiers(&self, id: u32) -> Option<Type<'a>> {
        let mut ty = self.type_by_id(id)?;
        // The kernel takes no BTF with longer chains than this.
        for _ in 0..=MAX_RESOLVE_DEPTH {
            if !ty.kind.is_modifier() {
                return Some(ty);
            }
            ty = self.type_by_id(ty.size_or_type)?;
        }
        None
    }

    /// Bytes that a value of the type takes (`btf_resolve_size`). Nothing for a type without a size (`void`, a
    /// function, a forward declaration), for one that is too big, and after 32 references.
    pub fn resolve_size(&self, id: u32) -> Option<u32> {
        let mut ty = self.type_by_id(id)?;
        let mut nelems = 1_u32;
        for _ in 0..MAX_RESOLVE_DEPTH {
            let size = match ty.kind {
                Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Float | Kind::Enum64 => {
                    ty.size_or_type
                }
                Kind::Ptr => 8,
                Kind::Array => {
                    let array = ty.array()?;
                    nelems = nelems.checked_mul(array.nelems)?;
                    ty = self.type_by_id(array.type_id)?;
                    continue;
                }
                kind if kind.is_modifier() => {
                    ty = self.type_by_id(ty.size_or_type)?;
                    continue;
                }
                _ => return None,
            };
            return nelems.checked_mul(size);
        }
        None
    }

    /// The prototype of a function, given the function's id.
    pub fn func_proto(&self, func: u32) -> Option<Type<'a>> {
        let func = self.type_by_id(func).filter(|ty| ty.kind == Kind::Func)?;
        self.type_by_id(func.size_or_type).filter(|ty| ty.kind == Kind::FuncProto)
    }

    /// Parameters of a function prototype, `vlen` of them; none of another kind.
    pub fn params(&self, proto: &Type<'a>) -> impl Iterator<Item = Param<'a>> {
        elements::<8>(proto, &[Kind::FuncProto]).map(|bytes| Param {
            name: word(bytes, 0).and_then(|offset| self.string(offset)).unwrap_or(""),
            type_id: word(bytes, 4).unwrap_or(0),
        })
    }

    /// Members of a struct or union, in the order of declaration; none of another kind.
    pub fn members(&self, ty: &Type<'a>) -> impl Iterator<Item = Member<'a>> {
        let kind_flag = ty.kind_flag;
        elements::<12>(ty, &[Kind::Struct, Kind::Union]).map(move |bytes| {
            let offset = word(bytes, 8).unwrap_or(0);
            let bitfield_size = Some(offset >> 24).filter(|size| kind_flag && *size != 0);
            Member {
                name: word(bytes, 0).and_then(|offset| self.string(offset)).unwrap_or(""),
                type_id: word(bytes, 4).unwrap_or(0),
                bit_offset: if kind_flag { offset & 0xff_ffff } else { offset },
                bitfield_size,
            }
        })
    }
}

impl Type<'_> {
    /// The element type and count of an array.
    pub fn array(&self) -> Option<Array> {
        if self.kind != Kind::Array {
            return None;
        }
        Some(Array { type_id: word(self.data, 0)?, nelems: word(self.data, 8)? })
    }

    /// Of a declaration tag: the member or parameter that it stands at; -1 for the whole type.
    pub fn component_idx(&self) -> Option<i32> {
        if self.kind != Kind::DeclTag {
            return None;
        }
        word(self.data, 0).map(u32::cast_signed)
    }
}

/// The elements of `N` bytes of a type of one of these kinds.
fn elements<'a, const N: usize>(
    ty: &Type<'a>,
    kinds: &[Kind],
) -> impl Iterator<Item = &'a [u8]> + use<'a, N> {
    let data = if kinds.contains(&ty.kind) { ty.data } else { &[] };
    data.chunks_exact(N)
}

/// The little-endian word at byte `at`.
fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// A section whose offset, counted from the end of the header, and length stand at byte `at`.
fn section(
    data: &[u8],
    header_size: usize,
    section: &'static str,
    at: usize,
) -> Result<Range<usize>, BtfError> {
    let missing = BtfError::Header("fewer than 24 bytes");
    let offset = u64::from(word(data, at).ok_or(missing.clone())?);
    let length = u64::from(word(data, at + 4).ok_or(missing)?);
    // No overflow: a header's size is one of 32 bits as well.
    let start = header_size as u64 + offset;
    let end = start + length;
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if end <= data.len() => Ok(start..end),
        _ => Err(BtfError::Section { section, start, end, size: data.len() }),
    }
}

/// As [`Kind::data_size`], from the layout section, which tells it for kinds that are not known here.
fn layout_size(layout: &[u8], kind: Kind) -> Option<(usize, usize)> {
    let Kind::Other(raw) = kind else { return None };
    let entry = layout.chunks_exact(4).nth(raw.into())?;
    Some((usize::from(entry[0]), usize::from(entry[1])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds BTF: types are given as words, strings as they are.
    fn build(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let type_len = u32::try_from(types.len() * 4).unwrap();
        let header =
            [24, 0, type_len, type_len, u32::try_from(strings.len()).unwrap()].map(u32::to_le_bytes).concat();
        let mut data = vec![0x9f, 0xeb, 1, 0];
        data.extend(header);
        data.extend(types.iter().flat_map(|word| word.to_le_bytes()));
        data.extend(strings);
        data
    }

    fn info(kind: u32, vlen: u32) -> u32 {
        kind << 24 | vlen
    }

    const STRINGS: &[u8] = b"\0int\0pair\0a\0b\0f\0x__sz\0tag\0";

    /// 1 int, 2 const 1, 3 typedef 2, 4 array of 5 of 3, 5 struct pair { int a; const int *b }, 6 pointer to 5,
    /// 7 void *f(pair *a, int x__sz), 8 f, 9 tag "tag" at parameter 1 of f, 10 fwd, 11 array 0x40000000 of 1,
    /// 12 a typedef of itself, 13 array 0 of 11
    fn sample() -> Vec<u8> {
        let types = [
            &[1, info(1, 0), 4, 0x0100_0020][..],
            &[0, info(10, 0), 1],
            &[5, info(8, 0), 2],
            &[0, info(3, 0), 0, 3, 1, 5],
            &[5, info(4, 2), 16, 10, 1, 0, 12, 2, 64],
            &[0, info(2, 0), 5],
            &[0, info(13, 2), 6, 10, 6, 16, 1],
            &[14, info(12, 1), 7],
            &[22, info(17, 0), 8, 1],
            &[5, info(7, 0), 0],
            &[0, info(3, 0), 0, 1, 1, 0x4000_0000],
            &[5, info(8, 0), 12],
            &[0, info(3, 0), 0, 11, 1, 0],
        ]
        .concat();
        build(&types, STRINGS)
    }

    #[test]
    fn types_and_names() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        assert_eq!(btf.end_id(), 14);
        assert_eq!(btf.type_by_id(0).unwrap().kind, Kind::Void);
        assert_eq!(btf.type_by_id(14), None);
        assert_eq!(btf.type_by_id(u32::MAX), None);
        let pair = btf.type_by_id(5).unwrap();
        assert_eq!((pair.name, pair.kind, pair.size_or_type), ("pair", Kind::Struct, 16));
        assert_eq!((pair.vlen, pair.kind_flag), (2, false));
        let members: Vec<_> = btf.members(&pair).map(|m| (m.name, m.type_id, m.bit_offset)).collect();
        assert_eq!(members, [("a", 1, 0), ("b", 2, 64)]);
        assert_eq!(btf.find("f", Kind::Func), Some(8));
        assert_eq!(btf.find("pair", Kind::Typedef), Some(3));
        assert_eq!(btf.find("pair", Kind::Union), None);
        let proto = btf.func_proto(8).unwrap();
        let params: Vec<_> = btf.params(&proto).map(|p| (p.name, p.type_id)).collect();
        assert_eq!(params, [("a", 6), ("x__sz", 1)]);
        assert_eq!(btf.func_proto(5), None);
        assert_eq!(btf.params(&pair).count(), 0);
        assert_eq!(btf.type_by_id(9).unwrap().component_idx(), Some(1));
        assert_eq!(btf.type_by_id(8).unwrap().component_idx(), None);
        assert_eq!(btf.type_by_id(4).unwrap().array(), Some(Array { type_id: 3, nelems: 5 }));
    }

    #[test]
    fn modifiers_and_sizes() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        assert_eq!(btf.skip_modifiers(3).map(|ty| ty.id), Some(1));
        assert_eq!(btf.skip_modifiers(0).map(|ty| ty.id), Some(0));
        assert_eq!(btf.skip_modifiers(12), None);
        let sizes: Vec<_> = (0..15).map(|id| btf.resolve_size(id)).collect();
        assert_eq!(
            sizes,
            [
                None,
                Some(4),
                Some(4),
                Some(4),
                Some(20),
                Some(16),
                Some(8),
                None,
                None,
                None,
                None,
                // 4 GiB: more than 32 bits hold
                None,
                None,
                // no elements of anything
                Some(0),
                None
            ]
        );
    }

    #[test]
    fn bit_fields() {
        let strings = b"\0s\0m\0";
        // struct with kind_flag: an ordinary member at bit 8, a bit-field of 3 bits at bit 33
        let types = [1, info(4, 2) | 1 << 31, 8, 3, 0, 8, 3, 0, 3 << 24 | 33];
        let data = build(&types, strings);
        let btf = Btf::parse(&data).unwrap();
        let ty = btf.type_by_id(1).unwrap();
        assert_eq!((ty.vlen, ty.kind_flag), (2, true));
        let members: Vec<_> = btf.members(&ty).map(|m| (m.bit_offset, m.bitfield_size)).collect();
        assert_eq!(members, [(8, None), (33, Some(3))]);
    }

    #[test]
    fn split() {
        let data = sample();
        let base = Btf::parse(&data).unwrap();
        // 14 struct mod { pair *a }, 15 const 14
        let strings = b"mod\0";
        let own = u32::try_from(STRINGS.len()).unwrap();
        let module = build(&[own, info(4, 1), 8, 10, 6, 0, 0, info(10, 0), 14], strings);
        let btf = Btf::parse_split(&module, &base).unwrap();
        assert_eq!(btf.end_id(), 16);
        assert_eq!(btf.find("mod", Kind::Struct), Some(14));
        assert_eq!(btf.find("pair", Kind::Struct), Some(5));
        assert_eq!(btf.skip_modifiers(15).map(|ty| ty.name), Some("mod"));
        assert_eq!(btf.resolve_size(15), Some(8));
        let member = btf.members(&btf.type_by_id(14).unwrap()).next().unwrap();
        assert_eq!((member.name, btf.type_by_id(member.type_id).unwrap().kind), ("a", Kind::Ptr));
    }

    #[test]
    fn unknown_kinds_need_the_layout() {
        let types = [0, info(20, 3), 0, 7, 1, 2, 3, 1, info(1, 0), 4, 32];
        let data = build(&types, STRINGS);
        assert_eq!(Btf::parse(&data).unwrap_err(), BtfError::Kind { id: 1, offset: 24, kind: 20 });
        // The same with a header of 32 bytes and a layout: kind 20 has 4 bytes once and 4 for each element.
        let mut data = build(&types, STRINGS);
        let end = u32::try_from(types.len() * 4 + STRINGS.len()).unwrap();
        data[4] = 32;
        data.splice(24..24, [end.to_le_bytes(), 84_u32.to_le_bytes()].concat());
        data.extend([0; 80]);
        data.extend([4, 4, 0, 0]);
        let btf = Btf::parse(&data).unwrap();
        assert_eq!(btf.type_by_id(1).unwrap().kind, Kind::Other(20));
        assert_eq!(btf.type_by_id(2).unwrap().name, "int");
    }

    #[test]
    fn headers() {
        let error = |data: &[u8]| Btf::parse(data).unwrap_err();
        // Nothing but a header, which is as long as the data: what is wrong with it is that there is no string.
        let header = build(&[], b"");
        assert_eq!(header.len(), 24);
        assert_eq!(error(&header), BtfError::Strings("the first is not empty"));
        assert_eq!(error(&header[..23]), BtfError::Header("fewer than 24 bytes"));
        let data = sample();
        for length in [0, 23, data.len() + 1, usize::MAX] {
            let mut bad = data.clone();
            bad[4..8].copy_from_slice(&(length as u32).to_le_bytes());
            assert_eq!(error(&bad), BtfError::Header("impossible header length"), "{length}");
        }
    }

    #[test]
    fn sections_end_where_the_data_ends() {
        // A header of 32 bytes, one type of 12, two strings of 3 bytes in all, a layout of 4.
        let mut data = build(&[1, info(7, 0), 0], b"\0a\0");
        data[4] = 32;
        data.splice(24..24, [15_u32.to_le_bytes(), 4_u32.to_le_bytes()].concat());
        data.extend([0; 4]);
        assert_eq!(data.len(), 51);
        assert_eq!(Btf::parse(&data).unwrap().type_by_id(1).unwrap().name, "a");
        // The length of each section stands behind its offset; each begins at this byte of the data.
        for (section, length_at, start) in [("type", 12, 32_u8), ("string", 20, 44), ("layout", 28, 47)] {
            let mut long = data.clone();
            long[length_at] = 52 - start;
            let (start, end) = (u64::from(start), 52);
            assert_eq!(Btf::parse(&long).unwrap_err(), BtfError::Section { section, start, end, size: 51 });
        }
    }

    /// Names are counted as often as they are used, and those of the base are the base's.
    #[test]
    fn names_have_256_mib_together() {
        let base = sample();
        let base = Btf::parse(&base).unwrap();
        let first = u32::try_from(STRINGS.len()).unwrap();
        // A name of 16 MiB, then one of a single byte.
        let long: usize = 16 << 20;
        let mut strings = vec![b'n'; long];
        strings.extend(b"\0m\0");
        let second = first + u32::try_from(long).unwrap() + 1;
        let forward = |name| [name, info(7, 0), 0];
        let mut types = [forward(first); 16].concat();
        types.extend(forward(1));
        assert_eq!(Btf::parse_split(&build(&types, &strings), &base).unwrap().end_id(), 31);
        types.extend(forward(second));
        let error = Btf::parse_split(&build(&types, &strings), &base).unwrap_err();
        assert_eq!(error, BtfError::Strings("the names of types have more than 256 MiB together"));
    }

    #[test]
    fn hostile() {
        let data = sample();
        // Every prefix, and every byte changed in turn: an answer or an error, never a panic.
        for end in 0..data.len() {
            assert!(Btf::parse(&data[..end]).is_err(), "the first {end} bytes");
        }
        for at in 0..data.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bad = data.clone();
                bad[at] = value;
                let Ok(btf) = Btf::parse(&bad) else { continue };
                for id in 0..20 {
                    let _ = (btf.skip_modifiers(id), btf.resolve_size(id));
                    if let Some(ty) = btf.type_by_id(id) {
                        let _ = (btf.members(&ty).count(), btf.params(&ty).count(), ty.array());
                    }
                }
            }
        }
        let mut swapped = data.clone();
        swapped.swap(0, 1);
        assert_eq!(Btf::parse(&swapped).unwrap_err(), BtfError::Header("big-endian data"));
        let mut cut = data;
        // vlen of the prototype
        let offset = 24 + 4 * (4 + 3 + 3 + 6 + 9 + 3);
        cut[offset + 4 + 2] = 0xff;
        assert_eq!(Btf::parse(&cut).unwrap_err(), BtfError::Cut { id: 7, offset });
    }
}
