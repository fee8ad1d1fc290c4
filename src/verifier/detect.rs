//! The dialect of a kernel, told from its BTF and never from its version: distributions backport.
//!
//! ```text
//! struct func_instance                     with                            dialect
//! callchain, must_write_dropped            no struct arg_track             dynamic, of which there are three:
//!                                          no struct bpf_iarray            6.18
//!                                          that, no struct bpf_kfunc_meta  6.19
//!                                          both                            7.0
//! callchain, must_write_dropped            struct arg_track                fed53dbcdb
//! must_write_initialized, frames[8]        struct insn_live_regs of u16    7.1
//! must_write_initialized, frames[16]       struct insn_live_regs of u16    7.2
//! must_write_initialized, frames[16]       struct insn_live_regs of u32    7.3
//! ```

use super::Dialect;
use crate::bpf::btf::{Btf, Kind, Type};

/// Why a kernel has no dialect that this library knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// There is no liveness analysis of the stack at all.
    #[error(
        "its BTF has no struct func_instance: the kernel is older than 6.18, or was built without the BPF verifier"
    )]
    None,
    /// Something else than any dialect has.
    #[error("its liveness analysis is of no generation that this program knows: {seen}")]
    Unknown {
        /// What the BTF shows.
        seen: String,
    },
}

impl Dialect {
    /// The dialect of the kernel that this BTF describes.
    pub fn detect(btf: &Btf<'_>) -> Result<Dialect, DetectError> {
        let evidence = Evidence::find(btf).ok_or(DetectError::None)?;
        match evidence {
            Evidence { callchain: true, arg_track: false, jump_tables, kfunc_meta, .. } => {
                Ok(match (jump_tables, kfunc_meta) {
                    (false, _) => Dialect::Dynamic6_18,
                    (true, false) => Dialect::Dynamic6_19,
                    (true, true) => Dialect::Dynamic7_0,
                })
            }
            Evidence { callchain: true, arg_track: true, .. } => Ok(Dialect::Fed53dbcdb),
            Evidence { must_write_initialized: true, frames: Some(8), live_regs: Some(2), .. } => {
                Ok(Dialect::V7_1)
            }
            Evidence { must_write_initialized: true, frames: Some(16), live_regs: Some(2), .. } => {
                Ok(Dialect::V7_2)
            }
            Evidence { must_write_initialized: true, frames: Some(16), live_regs: Some(4), .. } => {
                Ok(Dialect::V7_3)
            }
            _ => Err(DetectError::Unknown { seen: format!("{evidence:?}") }),
        }
    }
}

/// What tells the dialects apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Evidence {
    /// `func_instance.callchain` and `func_instance.must_write_dropped`.
    callchain: bool,
    /// `struct arg_track`.
    arg_track: bool,
    /// `struct bpf_iarray`.
    jump_tables: bool,
    /// `struct bpf_kfunc_meta`.
    kfunc_meta: bool,
    /// `func_instance.must_write_initialized`.
    must_write_initialized: bool,
    /// Elements of `func_instance.frames`.
    frames: Option<u32>,
    /// Bytes of the first member of `struct insn_live_regs`.
    live_regs: Option<u32>,
}

impl Evidence {
    fn find(btf: &Btf<'_>) -> Option<Evidence> {
        let structure = |name| btf.type_by_id(btf.find(name, Kind::Struct)?);
        let instance: Type<'_> = structure("func_instance")?;
        let member = |name| btf.members(&instance).find(|member| member.name == name);
        let frames = member("frames").and_then(|member| btf.skip_modifiers(member.type_id)?.array());
        let live_regs = structure("insn_live_regs").and_then(|live_regs| btf.members(&live_regs).next());
        Some(Evidence {
            callchain: member("callchain").is_some() && member("must_write_dropped").is_some(),
            arg_track: structure("arg_track").is_some(),
            jump_tables: structure("bpf_iarray").is_some(),
            kfunc_meta: structure("bpf_kfunc_meta").is_some(),
            must_write_initialized: member("must_write_initialized").is_some(),
            frames: frames.map(|array| array.nelems),
            live_regs: live_regs.and_then(|member| btf.resolve_size(member.type_id)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF of structs, each with members that are a u16 or u32 (ids 1 and 2), or an array of `count` of them.
    fn btf(structs: &[(&str, &[(&str, Member)])]) -> Vec<u8> {
        let mut strings = vec![0];
        let mut name = |text: &str| {
            let at = strings.len() as u32;
            strings.extend(text.bytes().chain([0]));
            at
        };
        let mut words = vec![name("u16"), 1 << 24, 2, 16, name("u32"), 1 << 24, 4, 32];
        let mut next_id = 3;
        for (_, members) in structs {
            for (_, member) in *members {
                if let Member::Array(count) = member {
                    words.extend([0, 3 << 24, 0, 1, 1, *count]);
                    next_id += 1;
                }
            }
        }
        let mut array = 3..next_id;
        for (text, members) in structs {
            words.extend([name(text), 4 << 24 | members.len() as u32, 64]);
            for (text, member) in *members {
                let id = match member {
                    Member::U16 => 1,
                    Member::U32 => 2,
                    Member::Array(_) => array.next().unwrap(),
                };
                words.extend([name(text), id, 0]);
            }
        }
        let types: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
        let header = [0x0001_eb9f, 24, 0, types_len, types_len, strings_len].map(u32::to_le_bytes).concat();
        [header, types, strings].concat()
    }

    #[derive(Clone, Copy)]
    enum Member {
        U16,
        U32,
        Array(u32),
    }

    fn detect(structs: &[(&str, &[(&str, Member)])]) -> Result<Dialect, DetectError> {
        Dialect::detect(&Btf::parse(&btf(structs)).unwrap())
    }

    #[test]
    fn generations_are_told_apart() {
        use Member::{Array, U16, U32};
        let arg_track = ("arg_track", &[("off", U16)][..]);
        let chains = ("func_instance", &[("callchain", U32), ("must_write_dropped", U16)][..]);
        let regs16 = ("insn_live_regs", &[("use", U16)][..]);
        let regs32 = ("insn_live_regs", &[("use", U32)][..]);
        let frames8 = ("func_instance", &[("frames", Array(8)), ("must_write_initialized", U16)][..]);
        let frames16 = ("func_instance", &[("must_write_initialized", U16), ("frames", Array(16))][..]);
        assert_eq!(detect(&[("other", &[])]), Err(DetectError::None));
        let jump_tables = ("bpf_iarray", &[("cnt", U32)][..]);
        assert_eq!(detect(&[chains, regs16]), Ok(Dialect::Dynamic6_18));
        let kfunc_meta = ("bpf_kfunc_meta", &[("id", U32)][..]);
        assert_eq!(detect(&[chains, jump_tables, regs16]), Ok(Dialect::Dynamic6_19));
        assert_eq!(detect(&[chains, jump_tables, kfunc_meta, regs16]), Ok(Dialect::Dynamic7_0));
        assert_eq!(detect(&[chains, arg_track, regs16]), Ok(Dialect::Fed53dbcdb));
        assert_eq!(detect(&[frames8, arg_track, regs16]), Ok(Dialect::V7_1));
        assert_eq!(detect(&[frames16, arg_track, regs16]), Ok(Dialect::V7_2));
        assert_eq!(detect(&[frames16, arg_track, regs32]), Ok(Dialect::V7_3));
        for other in
            [&[frames8, regs32][..], &[frames16], &[("func_instance", &[("frames", Array(32))]), regs16]]
        {
            assert!(matches!(detect(other), Err(DetectError::Unknown { .. })));
        }
    }
}
