//! The dialect of a kernel, told from its BTF and never from its version: distributions backport.
//!
//! ```text
//! struct func_instance                with                                              dialect
//! callchain, must_write_dropped       insn_live_regs of u16, no struct arg_track        dynamic, one of three:
//!                                         neither struct bpf_iarray nor bpf_kfunc_meta      6.18
//!                                         struct bpf_iarray, no struct bpf_kfunc_meta       6.19
//!                                         both                                              7.0
//! callchain, must_write_dropped       insn_live_regs of u16, struct arg_track           fed53dbcdb
//! must_write_initialized, frames[8]   insn_live_regs of u16, struct arg_track           7.1
//! must_write_initialized, frames[16]  insn_live_regs of u16, struct arg_track           7.2
//! must_write_initialized, frames[16]  insn_live_regs of u32, struct arg_track           7.3
//! ```

use super::Dialect;
use crate::bpf::btf::{Btf, Kind, Type};
use std::fmt;

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
        Evidence::find(btf).dialect()
    }
}

/// The members of `struct func_instance` that tell dialects apart.
const TELLING: [&str; 3] = ["callchain", "must_write_dropped", "must_write_initialized"];
/// Most letters that are shown of a name that a kernel may have chosen.
const SHOWN: usize = 64;

/// What a kernel's BTF shows of its liveness analysis: everything that a dialect is told by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Which of [`TELLING`] `struct func_instance` has as members; nothing where there is no such struct.
    instance: Option<[bool; TELLING.len()]>,
    /// Elements of `func_instance.frames`, if that is an array.
    frames: Option<u32>,
    /// There is a `struct arg_track`.
    arg_track: bool,
    /// Name, as much of it as is shown, and bytes of the first member of `struct insn_live_regs`.
    live_regs: Option<(String, u32)>,
    /// There is a `struct bpf_iarray`: jump tables.
    iarray: bool,
    /// There is a `struct bpf_kfunc_meta`.
    kfunc_meta: bool,
}

impl Evidence {
    /// Collects it.
    pub fn find(btf: &Btf<'_>) -> Evidence {
        let structure = |name| btf.type_by_id(btf.find(name, Kind::Struct)?);
        let instance = structure("func_instance");
        let telling = |ty: Type<'_>| {
            let mut has = [false; TELLING.len()];
            for member in btf.members(&ty) {
                for (has, name) in has.iter_mut().zip(TELLING) {
                    *has |= member.name == name;
                }
            }
            has
        };
        let frames = instance.and_then(|ty| btf.members(&ty).find(|member| member.name == "frames"));
        let live_regs = structure("insn_live_regs").and_then(|ty| btf.members(&ty).next());
        Evidence {
            instance: instance.map(telling),
            frames: frames.and_then(|frames| Some(btf.skip_modifiers(frames.type_id)?.array()?.nelems)),
            arg_track: structure("arg_track").is_some(),
            live_regs: live_regs.and_then(|first| {
                let name = first.name.chars().take(SHOWN).collect();
                Some((name, btf.resolve_size(first.type_id)?))
            }),
            iarray: structure("bpf_iarray").is_some(),
            kfunc_meta: structure("bpf_kfunc_meta").is_some(),
        }
    }

    /// The dialect that all of it fits. What fits none is never guessed.
    pub fn dialect(&self) -> Result<Dialect, DetectError> {
        let Some([callchain, must_write_dropped, sites]) = self.instance else {
            return Err(DetectError::None);
        };
        let chains = callchain && must_write_dropped;
        let live_regs = self.live_regs.as_ref().map(|(_, bytes)| *bytes);
        match (chains, sites, self.arg_track, self.frames, live_regs, self.iarray, self.kfunc_meta) {
            (true, false, false, _, Some(2), false, false) => Ok(Dialect::Dynamic6_18),
            (true, false, false, _, Some(2), true, false) => Ok(Dialect::Dynamic6_19),
            (true, false, false, _, Some(2), true, true) => Ok(Dialect::Dynamic7_0),
            (true, false, true, _, Some(2), ..) => Ok(Dialect::Fed53dbcdb),
            (false, true, true, Some(8), Some(2), ..) => Ok(Dialect::V7_1),
            (false, true, true, Some(16), Some(2), ..) => Ok(Dialect::V7_2),
            (false, true, true, Some(16), Some(4), ..) => Ok(Dialect::V7_3),
            _ => Err(DetectError::Unknown { seen: self.to_string() }),
        }
    }

    /// What was seen, one fact each.
    pub fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        match &self.instance {
            None => facts.push("no struct func_instance".to_owned()),
            Some(has) => {
                let those = |wanted: bool| -> Vec<&str> {
                    std::iter::zip(TELLING, has)
                        .filter(|(_, has)| **has == wanted)
                        .map(|(name, _)| name)
                        .collect()
                };
                let (with, without) = (those(true), those(false));
                let frames = match self.frames {
                    Some(count) => format!("frames[{count}]"),
                    None => "no array frames".to_owned(),
                };
                let named = |names: &[&str]| names.join(", ");
                let with = if with.is_empty() { frames } else { format!("{}, {frames}", named(&with)) };
                facts.push(format!("struct func_instance with {with}"));
                if !without.is_empty() {
                    facts.push(format!("struct func_instance without {}", named(&without)));
                }
            }
        }
        facts.push(match &self.live_regs {
            Some((name, bytes)) => format!("struct insn_live_regs with a {name} of {bytes} bytes"),
            None => "no struct insn_live_regs, or an empty one".to_owned(),
        });
        for (there, name) in
            [(self.arg_track, "arg_track"), (self.iarray, "bpf_iarray"), (self.kfunc_meta, "bpf_kfunc_meta")]
        {
            facts.push(if there { format!("struct {name}") } else { format!("no struct {name}") });
        }
        facts
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.facts().join("; "))
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
        crate::elf::btf(&words, &strings)
    }

    #[derive(Clone, Copy, Debug)]
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
        // Each of these differs from one above in one fact.
        let frames32 = ("func_instance", &[("must_write_initialized", U16), ("frames", Array(32))][..]);
        let no_frames = ("func_instance", &[("must_write_initialized", U16), ("frames", U32)][..]);
        let regs8 = ("insn_live_regs", &[][..]);
        let half = ("func_instance", &[("callchain", U32)][..]);
        for other in [
            &[frames8, arg_track, regs32][..],
            &[frames16, arg_track],
            &[frames16, arg_track, regs8],
            &[frames16, regs16],
            &[frames32, arg_track, regs16],
            &[no_frames, arg_track, regs16],
            &[half, arg_track, regs16],
            &[chains, regs32],
            &[chains],
            &[chains, kfunc_meta, regs16],
            &[chains, arg_track, regs32],
        ] {
            let Err(DetectError::Unknown { seen }) = detect(other) else { panic!("{other:?}") };
            assert!(seen.contains("struct func_instance with "), "{seen}");
        }
    }

    #[test]
    fn the_evidence_is_told() {
        let structs = [
            ("func_instance", &[("must_write_initialized", Member::U16), ("frames", Member::Array(16))][..]),
            ("insn_live_regs", &[("use", Member::U32)]),
            ("arg_track", &[]),
        ];
        let evidence = Evidence::find(&Btf::parse(&btf(&structs)).unwrap());
        assert_eq!(
            evidence.facts(),
            [
                "struct func_instance with must_write_initialized, frames[16]",
                "struct func_instance without callchain, must_write_dropped",
                "struct insn_live_regs with a use of 4 bytes",
                "struct arg_track",
                "no struct bpf_iarray",
                "no struct bpf_kfunc_meta",
            ]
        );
        // A name is anybody's, and no longer than can be shown.
        let name = "use".repeat(1000);
        let structs = [("insn_live_regs", &[(name.as_str(), Member::U32)][..])];
        let long = Evidence::find(&Btf::parse(&btf(&structs)).unwrap());
        assert_eq!(long.facts()[1], format!("struct insn_live_regs with a {} of 4 bytes", &name[..SHOWN]));
        let nothing = Evidence::find(&Btf::parse(&btf(&[])).unwrap());
        assert_eq!(nothing.facts()[0], "no struct func_instance");
        assert_eq!(nothing.dialect(), Err(DetectError::None));
    }
}
