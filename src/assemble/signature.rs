//! Prototypes of kernel functions, as far as libbpf holds them against the kernel's.
//!
//! libbpf (`bpf_core_types_are_compat`) skips names and qualifiers and compares kinds: how many parameters there are,
//! and of each type whether it is an integer, a pointer and to what, a structure, and so on. A [`Type`] is just that.

use crate::bpf::btf::{Btf, Kind};
use thiserror::Error;

/// A type without names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `void`
    Void,
    /// An integer of so many bytes.
    Int(u32),
    /// An enumeration.
    Enum,
    /// A structure.
    Struct,
    /// A union.
    Union,
    /// A structure or union that is only declared.
    Forward,
    /// A pointer.
    Pointer(Box<Type>),
    /// An array of so many elements.
    Array(Box<Type>, u32),
    /// A function.
    Function(Box<Signature>),
}

/// A prototype.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// What it returns.
    pub returns: Type,
    /// What it takes.
    pub params: Vec<Type>,
}

/// Why the prototype of a function of the kernel cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// There is no function with that id.
    #[error("the kernel's BTF has no such function")]
    Missing,
    /// A type in it cannot be written in an object.
    #[error("its prototype has a type that cannot be declared")]
    Undeclarable,
}

/// References that libbpf follows.
const MAX_DEPTH: usize = 32;
/// Types in a prototype, those of functions that it points to included; real ones have a few dozen.
const MAX_TYPES: usize = 1000;

impl Signature {
    /// The prototype of the function `id` in a kernel's BTF.
    pub fn of_kernel(btf: &Btf<'_>, id: u32) -> Result<Signature, SignatureError> {
        let proto = btf.func_proto(id).ok_or(SignatureError::Missing)?;
        let mut left = MAX_TYPES;
        signature(btf, proto.id, 0, &mut left)
    }
}

/// `left` counts the types that may still come.
fn signature(btf: &Btf<'_>, proto: u32, depth: usize, left: &mut usize) -> Result<Signature, SignatureError> {
    let proto = btf.type_by_id(proto).ok_or(SignatureError::Missing)?;
    let params = btf.params(&proto).map(|param| {
        // The end of a list of variable length is no type.
        let variable = param.type_id == 0;
        if variable { Err(SignatureError::Undeclarable) } else { type_of(btf, param.type_id, depth, left) }
    });
    Ok(Signature {
        params: params.collect::<Result<_, _>>()?,
        returns: type_of(btf, proto.size_or_type, depth, left)?,
    })
}

fn type_of(btf: &Btf<'_>, id: u32, depth: usize, left: &mut usize) -> Result<Type, SignatureError> {
    *left = left.checked_sub(1).ok_or(SignatureError::Undeclarable)?;
    if depth > MAX_DEPTH {
        return Err(SignatureError::Undeclarable);
    }
    let ty = btf.skip_modifiers(id).ok_or(SignatureError::Undeclarable)?;
    Ok(match ty.kind {
        Kind::Void => Type::Void,
        Kind::Int => Type::Int(ty.size_or_type),
        Kind::Enum | Kind::Enum64 => Type::Enum,
        Kind::Struct => Type::Struct,
        Kind::Union => Type::Union,
        Kind::Fwd => Type::Forward,
        Kind::Ptr => Type::Pointer(Box::new(type_of(btf, ty.size_or_type, depth + 1, left)?)),
        Kind::Array => {
            let array = ty.array().ok_or(SignatureError::Undeclarable)?;
            Type::Array(Box::new(type_of(btf, array.type_id, depth + 1, left)?), array.nelems)
        }
        Kind::FuncProto => Type::Function(Box::new(signature(btf, ty.id, depth + 1, left)?)),
        _ => return Err(SignatureError::Undeclarable),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types as words: 1 int, 2 struct, 3 pointer to 2, 4 int *(struct *, int), 5 the function of 4, then pairs of a
    /// function of two parameters and a pointer to it, each of which takes the one before twice.
    fn btf(pairs: u32) -> Vec<u8> {
        let info = |kind: u32, vlen: u32| kind << 24 | vlen;
        let mut types = vec![1, info(1, 0), 4, 0x0100_0020, 1, info(4, 0), 0, 0, info(2, 0), 2];
        types.extend([0, info(13, 2), 6, 0, 3, 0, 1, 1, info(12, 1), 4]);
        types.extend([0, info(2, 0), 1]);
        for pair in 0..pairs {
            let before = 6 + 2 * pair;
            types.extend([0, info(13, 2), 0, 0, before, 0, before, 0, info(2, 0), before + 1]);
        }
        types.extend([1, info(12, 1), 5 + 2 * pairs]);
        crate::elf::btf(&types, b"\0x\0")
    }

    #[test]
    fn prototypes_are_kinds_without_names() {
        let bytes = btf(1);
        let btf = Btf::parse(&bytes).unwrap();
        let pointer = |to| Type::Pointer(Box::new(to));
        let first =
            Signature { returns: pointer(Type::Int(4)), params: vec![pointer(Type::Struct), Type::Int(4)] };
        assert_eq!(Signature::of_kernel(&btf, 5), Ok(first));
        let second =
            Signature { returns: Type::Void, params: vec![pointer(Type::Int(4)), pointer(Type::Int(4))] };
        assert_eq!(Signature::of_kernel(&btf, 9), Ok(second));
        for id in [0, 1, 4, 99] {
            assert_eq!(Signature::of_kernel(&btf, id), Err(SignatureError::Missing), "{id}");
        }
    }

    #[test]
    fn a_prototype_that_doubles_at_each_step_is_refused() {
        let bytes = btf(28);
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(Signature::of_kernel(&btf, btf.end_id() - 1), Err(SignatureError::Undeclarable));
    }
}
