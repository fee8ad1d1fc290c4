//! The BTF of an object: what libbpf needs to create maps, find kernel functions and tell the kernel about functions.

use super::{Signature, Type};
use std::collections::HashMap;

/// BTF under construction; every type that is asked for twice is there once.
#[derive(Debug)]
pub(super) struct Types {
    types: Vec<u8>,
    count: u32,
    strings: Vec<u8>,
    offsets: HashMap<String, u32>,
    /// By their bytes.
    known: HashMap<Vec<u8>, u32>,
}

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;

/// Linkage of a function or variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linkage {
    Static = 0,
    Global = 1,
    Extern = 2,
}

/// A member of a structure: its name, type and offset in bytes.
pub(super) type Member<'n> = (&'n str, u32, u32);

impl Types {
    pub(super) fn new() -> Types {
        Types {
            types: Vec::new(),
            count: 0,
            strings: vec![0],
            offsets: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// The offset of a string.
    pub(super) fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(offset) = self.offsets.get(text) {
            return *offset;
        }
        let offset = u32::try_from(self.strings.len()).unwrap_or(u32::MAX);
        self.strings.extend(text.bytes().filter(|byte| *byte != 0));
        self.strings.push(0);
        self.offsets.insert(text.to_owned(), offset);
        offset
    }

    fn add(&mut self, name: &str, kind: u32, vlen: usize, size_or_type: u32, data: &[u32]) -> u32 {
        let name = self.string(name);
        let info = kind << 24 | u32::try_from(vlen).unwrap_or(0xffff) & 0xffff;
        let words = [name, info, size_or_type].into_iter().chain(data.iter().copied());
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        if let Some(id) = self.known.get(&bytes) {
            return *id;
        }
        self.count += 1;
        self.types.extend_from_slice(&bytes);
        self.known.insert(bytes, self.count);
        self.count
    }

    /// A signed integer of so many bytes.
    pub(super) fn int(&mut self, bytes: u32) -> u32 {
        let bytes = bytes.clamp(1, 16).next_power_of_two();
        let name = if bytes == 4 { "int".to_owned() } else { format!("int{}", bytes * 8) };
        self.add(&name, INT, 0, bytes, &[(1 << 24) | (bytes * 8)])
    }

    pub(super) fn pointer(&mut self, to: u32) -> u32 {
        self.add("", PTR, 0, to, &[])
    }

    pub(super) fn array(&mut self, of: u32, nelems: u32) -> u32 {
        let index = self.int(4);
        self.add("", ARRAY, 0, 0, &[of, index, nelems])
    }

    pub(super) fn structure(&mut self, name: &str, size: u32, members: &[Member<'_>]) -> u32 {
        let data: Vec<u32> = members
            .iter()
            .flat_map(|(name, ty, offset)| [self.string(name), *ty, offset.saturating_mul(8)])
            .collect();
        self.add(name, STRUCT, members.len(), size, &data)
    }

    pub(super) fn variable(&mut self, name: &str, ty: u32) -> u32 {
        self.add(name, VAR, 0, ty, &[Linkage::Global as u32])
    }

    /// A section of variables or functions: type, offset and size of each.
    pub(super) fn section(&mut self, name: &str, size: u32, entries: &[[u32; 3]]) -> u32 {
        self.add(name, DATASEC, entries.len(), size, &entries.concat())
    }

    pub(super) fn function(&mut self, name: &str, linkage: Linkage, signature: &Signature) -> u32 {
        let proto = self.prototype(signature);
        self.add(name, FUNC, linkage as usize, proto, &[])
    }

    /// A tag on a whole type.
    pub(super) fn tag(&mut self, text: &str, on: u32) -> u32 {
        self.add(text, DECL_TAG, 0, on, &[u32::MAX])
    }

    fn prototype(&mut self, signature: &Signature) -> u32 {
        let returns = self.of(&signature.returns);
        let params: Vec<u32> = signature.params.iter().flat_map(|ty| [0, self.of(ty)]).collect();
        self.add("", FUNC_PROTO, signature.params.len(), returns, &params)
    }

    fn of(&mut self, ty: &Type) -> u32 {
        match ty {
            Type::Void => 0,
            Type::Int(bytes) => self.int(*bytes),
            Type::Enum => self.add("an_enum", ENUM, 0, 4, &[]),
            Type::Struct => self.structure("a_struct", 0, &[]),
            Type::Union => self.add("a_union", UNION, 0, 0, &[]),
            Type::Forward => self.add("declared", FWD, 0, 0, &[]),
            Type::Pointer(to) => {
                let to = self.of(to);
                self.pointer(to)
            }
            Type::Array(of, nelems) => {
                let of = self.of(of);
                self.array(of, *nelems)
            }
            Type::Function(signature) => self.prototype(signature),
        }
    }

    /// The contents of `.BTF`.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (types, strings) = (length(&self.types), length(&self.strings));
        let mut out = header(24);
        out.extend([0, types, types, strings].into_iter().flat_map(u32::to_le_bytes));
        out.extend(self.types);
        out.extend(self.strings);
        out
    }
}

/// The contents of `.BTF.ext`: for each section (offset of its name) where functions begin, in bytes, and their types.
pub(super) fn function_info(sections: &[(u32, Vec<[u32; 2]>)]) -> Vec<u8> {
    let mut info: Vec<u32> = vec![8];
    for (name, functions) in sections {
        info.extend([*name, u32::try_from(functions.len()).unwrap_or(u32::MAX)]);
        info.extend(functions.iter().flatten());
    }
    let length = u32::try_from(info.len() * 4).unwrap_or(u32::MAX);
    let mut out = header(24);
    // Functions, and no lines.
    out.extend([0, length, length, 0].into_iter().flat_map(u32::to_le_bytes));
    out.extend(info.into_iter().flat_map(u32::to_le_bytes));
    out
}

/// Magic number, version 1, no flags, and the header's length.
fn header(length: u32) -> Vec<u8> {
    let mut out = vec![0x9f, 0xeb, 1, 0];
    out.extend(length.to_le_bytes());
    out
}
