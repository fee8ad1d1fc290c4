//! An object that was prepared on the host: what libbpf asked of the kernel, for the guest to ask in its place.

use livediff_capture::{Loaded, MapShape};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// To the process that prepares objects on the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToPreparer {
    /// First message; the payload is the kernel's BTF.
    Hello {
        /// `uname -r` of the kernel.
        release: String,
        /// The text of its configuration, if that is known.
        config: Option<Bytes>,
    },
    /// The symbols of the running kernel: the payload is its `/proc/kallsyms`.
    Symbols,
    /// An object, as in [`super::ToGuest::Object`].
    Object { name: String, license: String, only: Option<Vec<String>> },
}

/// From the process that prepares objects on the host, one for each object.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromPreparer {
    /// It can be prepared without the kernel. The payload is a `Vec<Part>` for the guest.
    Prepared(Plan),
    /// Only with the symbols of the running kernel.
    WantsSymbols,
    /// It cannot, or might come out differently: the guest is to do it.
    ForTheGuest { reason: String },
}

/// What the host keeps of an object that it has prepared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// All programs of the object.
    pub(crate) names: Vec<String>,
    /// The programs that the guest is to load.
    pub(crate) programs: Vec<PlannedProgram>,
    /// By number: programs that cannot be given to the kernel, and why.
    pub(crate) not_loadable: Vec<(u32, String)>,
    /// The symbols of the running kernel went into it, so that it does for no other.
    pub(crate) symbols: bool,
}

/// What the host knows of a program before it is loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PlannedProgram {
    /// Place in the object.
    pub(crate) number: u32,
    /// What the verifier sees, but for the maps.
    pub(crate) loaded: Loaded,
    /// The maps, by their place in the part.
    pub(crate) maps: Vec<u32>,
    /// Place of the part that it belongs to.
    pub(crate) part: u32,
}

/// An object, or a part of one, for the guest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    /// What `BPF_BTF_LOAD` is given.
    pub(crate) btf: Option<Bytes>,
    pub(crate) license: String,
    /// In the order of their creation.
    pub(crate) maps: Vec<PartMap>,
    pub(crate) programs: Vec<PartProgram>,
}

/// A map to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartMap {
    /// The name in the object, where it is one of the object's maps.
    pub(crate) name: Option<String>,
    /// The shape of the maps inside, where the object declares one.
    pub(crate) inside: Option<MapShape>,
    /// `union bpf_attr` of `BPF_MAP_CREATE`.
    pub(crate) attributes: Bytes,
    /// It is created with the object's BTF.
    pub(crate) with_btf: bool,
    /// The map, by its place in the part, that the maps inside are to be like.
    pub(crate) template: Option<u32>,
    /// `BPF_MAP_UPDATE_ELEM`, in order.
    pub(crate) updates: Vec<Update>,
    /// `BPF_MAP_FREEZE` follows.
    pub(crate) frozen: bool,
}

/// One `BPF_MAP_UPDATE_ELEM`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Update {
    pub(crate) key: Bytes,
    pub(crate) value: Value,
    pub(crate) flags: u64,
}

/// What is put into a map.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Value {
    Bytes(Bytes),
    /// A map, by its place in the part.
    Map(u32),
}

/// A program to be loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartProgram {
    /// Place in the object.
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) prog_type: u32,
    pub(crate) expected_attach_type: u32,
    pub(crate) prog_flags: u32,
    pub(crate) attach_btf_id: u32,
    pub(crate) kernel_version: u32,
    /// 8 bytes each. Map loads are without their descriptor.
    pub(crate) insns: Bytes,
    /// The map loads, by the place of the instruction, and the map of each, by its place in the part.
    pub(crate) map_loads: Vec<(u32, u32)>,
    /// Lines of the verifier's table of instructions.
    pub(crate) lines: u32,
    /// The debug information goes with the program.
    pub(crate) with_btf: bool,
    pub(crate) functions: Bytes,
    pub(crate) line_info: Bytes,
}

/// Bytes that the encoder copies in one go.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}
