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

impl Signature {
    /// The prototype of the function `id` in a kernel's BTF.
    pub fn of_kernel(btf: &Btf<'_>, id: u32) -> Result<Signature, SignatureError> {
        let proto = btf.func_proto(id).ok_or(SignatureError::Missing)?;
        signature(btf, proto.id, 0)
    }
}

fn signature(btf: &Btf<'_>, proto: u32, depth: usize) -> Result<Signature, SignatureError> {
    let proto = btf.type_by_id(proto).ok_or(SignatureError::Missing)?;
    let params = btf.params(&proto).map(|param| {
        // The end of a list of variable length is no type.
        let variable = param.type_id == 0;
        if variable { Err(SignatureError::Undeclarable) } else { type_of(btf, param.type_id, depth) }
    });
    Ok(Signature {
        params: params.collect::<Result<_, _>>()?,
        returns: type_of(btf, proto.size_or_type, depth)?,
    })
}

fn type_of(btf: &Btf<'_>, id: u32, depth: usize) -> Result<Type, SignatureError> {
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
        Kind::Ptr => Type::Pointer(Box::new(type_of(btf, ty.size_or_type, depth + 1)?)),
        Kind::Array => {
            let array = ty.array().ok_or(SignatureError::Undeclarable)?;
            Type::Array(Box::new(type_of(btf, array.type_id, depth + 1)?), array.nelems)
        }
        Kind::FuncProto => Type::Function(Box::new(signature(btf, ty.id, depth + 1)?)),
        _ => return Err(SignatureError::Undeclarable),
    })
}
