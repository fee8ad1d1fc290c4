//! Captures as files: one program each, from one kernel or several, self-contained.
//!
//! ```text
//! file   = "livediff capture " version "\n" frame
//! frame  = one zstd frame of: (the JSON of a `Capture` "\n")+
//! ```
//!
//! Kernels see nearly the same of a program and say nearly the same, so that each one after the first costs little.
//! Version 1 had one `Capture` in a file, without the line's end.
//!
//! The first line is plain text, so that `head -1` tells a stranger what the file is and a reader of the wrong
//! version can say so before it decompresses anything. Instructions are JSON strings of 16 hexadecimal digits,
//! their 8 bytes in the order of `struct bpf_insn` on a little-endian machine.
//!
//! A capture may come from anybody. Reading is bounded in bytes and in instructions, and ends in an error that
//! names the file and the place; it does not panic.

use crate::Capture;
use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// The version that this crate writes; it reads the older ones too.
pub const VERSION: u32 = 2;
/// The extension of capture files.
pub const EXTENSION: &str = "capture";
/// Most bytes of JSON that a file may decompress to: the longest log that the kernel takes, four times over.
pub const MAX_JSON: u64 = 256 << 20;
/// Most captures in a file: kernels that one program was loaded into.
pub const MAX_CAPTURES: usize = 1000;
/// Most instruction slots of a program: the kernel refuses longer ones (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub const MAX_INSNS: usize = 1_000_000;

const MAGIC: &str = "livediff capture ";
/// Longest first line that is looked at.
const MAX_HEADER: usize = 64;
/// Captures are written once and kept in repositories.
const LEVEL: i32 = 19;

/// Why a capture could not be read or written.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file could not be opened, read, or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are no capture.
    #[error("{path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: FormatError,
    },
}

/// What is wrong with the bytes of a capture.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The first line is not that of a capture.
    #[error("not a capture: a capture begins with the line `{MAGIC}{VERSION}`")]
    Magic,
    /// Written by a newer or older program.
    #[error(
        "capture version {0}; this program reads up to version {VERSION}: record it again, or use the program that wrote \
         it"
    )]
    Version(u32),
    /// The compressed part is damaged or cut.
    #[error("damaged or cut short: decompression stopped after {at} bytes of text: {source}")]
    Compression {
        /// Bytes of JSON that came out before the damage.
        at: u64,
        /// What the decompressor said.
        source: io::Error,
    },
    /// The text, or the file itself, would exceed [`MAX_JSON`].
    #[error("longer than {MAX_JSON} bytes, the most that a file of captures may hold")]
    TooLong,
    /// The text is not the JSON of a capture.
    #[error("not the JSON of a capture: {0}")]
    Json(#[from] serde_json::Error),
    /// More instructions than any kernel takes.
    #[error("{0} instructions; no kernel takes more than {MAX_INSNS}")]
    TooManyInsns(usize),
    /// More kernels than there are.
    #[error("more than {MAX_CAPTURES} captures, the most that a file may hold")]
    TooMany,
    /// There is no capture in the file.
    #[error("no capture in it")]
    Empty,
    /// A file is about one program.
    #[error("captures of several programs: `{0}` and `{1}`")]
    Programs(String, String),
    /// Which one would count?
    #[error("two captures of one program from one kernel, {0}")]
    Twice(String),
}

/// Reads the captures of a program from bytes: at least one, each from another kernel.
pub fn decode(bytes: &[u8]) -> Result<Vec<Capture>, FormatError> {
    let head = &bytes[..bytes.len().min(MAX_HEADER)];
    let end = head.iter().position(|&byte| byte == b'\n').ok_or(FormatError::Magic)?;
    let line = head.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(FormatError::Magic)?;
    let version = line.strip_prefix(MAGIC).and_then(|text| text.parse().ok()).ok_or(FormatError::Magic)?;
    if !(1..=VERSION).contains(&version) {
        return Err(FormatError::Version(version));
    }

    let mut json = Vec::new();
    let frame = bytes.get(end + 1..).unwrap_or_default();
    let read =
        zstd::Decoder::new(frame).and_then(|decoder| decoder.take(MAX_JSON + 1).read_to_end(&mut json));
    if let Err(source) = read {
        return Err(FormatError::Compression { at: json.len() as u64, source });
    }
    if json.len() as u64 > MAX_JSON {
        return Err(FormatError::TooLong);
    }
    let mut captures: Vec<Capture> = Vec::new();
    for capture in serde_json::Deserializer::from_slice(&json).into_iter() {
        captures.push(capture?);
        // Not only at the end: what is too much should not take memory first.
        if captures.len() > MAX_CAPTURES {
            return Err(FormatError::TooMany);
        }
    }
    check(&captures)?;
    Ok(captures)
}

/// What holds of the captures in a file.
fn check(captures: &[Capture]) -> Result<(), FormatError> {
    let first = captures.first().ok_or(FormatError::Empty)?;
    if captures.len() > MAX_CAPTURES {
        return Err(FormatError::TooMany);
    }
    for (at, capture) in captures.iter().enumerate() {
        if capture.loaded.insns.len() > MAX_INSNS {
            return Err(FormatError::TooManyInsns(capture.loaded.insns.len()));
        }
        if (&capture.object, &capture.program) != (&first.object, &first.program) {
            let name = |capture: &Capture| format!("{}/{}", capture.object, capture.program);
            return Err(FormatError::Programs(name(first), name(capture)));
        }
        if captures.iter().skip(at + 1).any(|other| other.kernel.is_same(&capture.kernel)) {
            return Err(FormatError::Twice(capture.kernel.release.clone()));
        }
    }
    Ok(())
}

/// The bytes of a file of captures. The same captures give the same bytes. An error for what [`decode`] would not read.
pub fn encode(captures: &[Capture]) -> Result<Vec<u8>, FormatError> {
    encode_within(captures, MAX_JSON)
}

/// [`encode`], of at most `most` bytes of text.
fn encode_within(captures: &[Capture], most: u64) -> Result<Vec<u8>, FormatError> {
    check(captures)?;
    let mut json = Vec::new();
    for capture in captures {
        serde_json::to_writer(&mut json, capture)?;
        json.push(b'\n');
        if json.len() as u64 > most {
            return Err(FormatError::TooLong);
        }
    }
    compress(&json).map_err(|source| FormatError::Compression { at: 0, source })
}

fn compress(json: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = format!("{MAGIC}{VERSION}\n").into_bytes();
    let mut encoder = zstd::Encoder::new(&mut bytes, LEVEL)?;
    encoder.include_checksum(true)?;
    // Told the size, the compressor takes memory for it and not for the largest input.
    encoder.set_pledged_src_size(Some(json.len() as u64))?;
    encoder.write_all(json)?;
    encoder.finish()?;
    Ok(bytes)
}

/// Reads the captures in a file: at least one, all of one program, each from another kernel.
pub fn read(path: &Path) -> Result<Vec<Capture>, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(io)?.take(MAX_JSON + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_JSON {
        return Err(FileError::Format { path: path.to_owned(), source: FormatError::TooLong });
    }
    decode(&bytes).map_err(|source| FileError::Format { path: path.to_owned(), source })
}

/// Writes captures of one program to a file, which appears whole or not at all. Missing folders are made.
pub fn write(path: &Path, captures: &[Capture]) -> Result<(), FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let bytes = encode(captures).map_err(|source| FileError::Format { path: path.to_owned(), source })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(io)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".capture-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The default of temporary files is 0600; a capture is an ordinary file and leaves it to the umask.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(io)?;
    file.write_all(&bytes).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

/// Where `record` puts captures, relative to its output folder: `release/object/program.capture`, or without the
/// release where the captures of all kernels go into one file.
///
/// Names come from objects and kernels, so every component is made harmless: a component never is `..` and holds
/// only letters, digits, `.`, `_`, `-` and `+`.
pub fn relative_path(release: Option<&str>, object: &str, program: &str) -> PathBuf {
    let parts = object.split('/').filter(|part| !part.is_empty() && *part != ".");
    let mut path: PathBuf = release.into_iter().chain(parts).map(harmless).collect();
    path.push(format!("{}.{EXTENSION}", harmless(program)));
    path
}

fn harmless(component: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '_' };
    let name: String = component.chars().take(200).map(keep).collect();
    if name.trim_matches('.').is_empty() { "_".repeat(name.len().max(1)) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FuncInfo, Insn, Kernel, Loaded, Map, Said, Verdict};

    fn sample() -> Capture {
        Capture {
            object: "corpus/stack/spill.bpf.o".into(),
            program: "spill_fill".into(),
            kernel: Kernel {
                release: "7.2.12+deb13-cloud-amd64".into(),
                dialect: "7.2".into(),
                ..Kernel::default()
            },
            loaded: Loaded {
                insns: vec![
                    Insn { code: 0x7b, dst_reg: 10, src_reg: 1, off: -8, imm: 0 },
                    Insn { code: 0x18, dst_reg: 1, src_reg: 1, off: 0, imm: i32::MIN },
                    Insn::default(),
                    Insn { code: 0x95, ..Insn::default() },
                ],
                maps: vec![Map { rdonly_value: Some((0..=255).collect()), ..Map::default() }],
                func_info: vec![FuncInfo { insn_off: 0, name: "spill_fill".into(), global: true }],
                ..Loaded::default()
            },
            said: Said {
                verdict: Verdict::Accepted,
                errno: 0,
                log: "func#0 @0\n0: R1=ctx() \u{fffd}\n".into(),
                truncated: false,
            },
        }
    }

    /// The same program from two kernels.
    fn samples() -> [Capture; 2] {
        let mut other = sample();
        other.kernel = Kernel { release: "7.3".into(), dialect: "7.3".into(), dialect_forced: true };
        other.said.log.insert(0, 'x');
        [sample(), other]
    }

    fn framed(json: &[u8]) -> Vec<u8> {
        let mut bytes = format!("{MAGIC}{VERSION}\n").into_bytes();
        bytes.extend(zstd::encode_all(json, 1).unwrap());
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.capture");
        write(&path, &[sample()]).unwrap();
        assert_eq!(read(&path).unwrap(), [sample()]);
        // Writing again replaces the file and leaves nothing beside it.
        write(&path, &samples()).unwrap();
        assert_eq!(read(&path).unwrap(), samples());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn instructions_are_the_kernels_bytes() {
        let json = serde_json::to_string(&sample()).unwrap();
        assert!(
            json.contains(r#""7b1af8ff00000000","1811000000000080","0000000000000000","9500000000000000""#),
            "{json}"
        );
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = encode(&samples()).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "a capture cut to {length} bytes was read");
        }
    }

    #[test]
    fn every_flipped_byte_is_an_error_or_changes_nothing() {
        let bytes = encode(&samples()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x41;
            if let Ok(capture) = decode(&changed) {
                assert_eq!(capture, samples(), "byte {at}");
            }
        }
    }

    #[test]
    fn strangers_are_told_apart() {
        assert!(matches!(decode(b"#include <linux/bpf.h>\n"), Err(FormatError::Magic)));
        assert!(matches!(decode(&[0x7f; 4096]), Err(FormatError::Magic)));
        for version in [0, 3] {
            let bytes = format!("livediff capture {version}\nanything");
            assert!(matches!(decode(bytes.as_bytes()), Err(FormatError::Version(v)) if v == version));
        }
        assert!(matches!(
            decode(b"livediff capture 1\nanything"),
            Err(FormatError::Compression { at: 0, .. })
        ));
        assert!(matches!(decode(&framed(b"")), Err(FormatError::Empty)));
        let error = decode(&framed(br#"{"object": "a", "program": 7}"#)).unwrap_err();
        assert!(error.to_string().contains("column 28"), "{error}");
        let deep = "[".repeat(100_000);
        assert!(matches!(decode(&framed(deep.as_bytes())), Err(FormatError::Json(_))));
    }

    #[test]
    fn a_file_of_version_1_is_read() {
        let mut bytes = b"livediff capture 1\n".to_vec();
        bytes.extend(zstd::encode_all(&*serde_json::to_vec(&sample()).unwrap(), 1).unwrap());
        assert_eq!(decode(&bytes).unwrap(), [sample()]);
    }

    #[test]
    fn a_file_is_about_one_program_and_each_kernel_is_in_it_once() {
        let [first, second] = samples();
        let other = Capture { program: "other".into(), ..second.clone() };
        let json = |captures: &[&Capture]| {
            captures.iter().map(|capture| serde_json::to_string(capture).unwrap() + "\n").collect::<String>()
        };
        let read = |captures: &[&Capture]| decode(&framed(json(captures).as_bytes()));
        assert_eq!(read(&[&first, &second]).unwrap().len(), 2);
        assert!(matches!(read(&[&first, &other]), Err(FormatError::Programs(..))));
        assert!(matches!(read(&[&first, &second, &first]), Err(FormatError::Twice(_))));
        assert!(matches!(encode(&[first.clone(), other]), Err(FormatError::Programs(..))));
        assert!(matches!(encode(&[]), Err(FormatError::Empty)));
        // The whole file counts, also where its first capture is good.
        let damaged = json(&[&first]) + r#"{"object": 7}"#;
        assert!(matches!(decode(&framed(damaged.as_bytes())), Err(FormatError::Json(_))));
    }

    #[test]
    fn equal_instructions_cost_little() {
        let [mut first, mut second] = samples();
        // Nothing that could be compressed for itself.
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i32
        };
        first.loaded.insns = (0..4000).map(|_| Insn { imm: random(), ..Insn::default() }).collect();
        second.loaded.insns = first.loaded.insns.clone();
        let (one, both) = (encode(&[first.clone()]).unwrap().len(), encode(&[first, second]).unwrap().len());
        assert!(one > 16_000 && both < one + 500, "{one} bytes, both {both}");
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = framed(&vec![b' '; MAX_JSON as usize + 2]);
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(decode(&bomb), Err(FormatError::TooLong)));
    }

    /// What is written can be read: what could not is an error when it is written.
    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let captures = samples();
        let long: u64 =
            captures.iter().map(|capture| serde_json::to_string(capture).unwrap().len() as u64 + 1).sum();
        assert_eq!(decode(&encode_within(&captures, long).unwrap()).unwrap(), captures);
        assert!(matches!(encode_within(&captures, long - 1), Err(FormatError::TooLong)));
        let kernel = |at: usize| Kernel { release: at.to_string(), ..sample().kernel };
        let many: Vec<Capture> =
            (0..=MAX_CAPTURES).map(|at| Capture { kernel: kernel(at), ..sample() }).collect();
        assert!(matches!(encode(&many), Err(FormatError::TooMany)));
        assert!(encode(&many[1..]).is_ok());

        // A file with a hole: it takes no room on the disk.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.capture");
        fs::write(&path, encode(&captures).unwrap()).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(MAX_JSON + 1).unwrap();
        assert!(matches!(read(&path), Err(FileError::Format { source: FormatError::TooLong, .. })));
    }

    #[test]
    fn bad_instructions_are_refused() {
        for insn in ["", "7b1af8ff0000000", "7b1af8ff000000000", "7b1af8ff0000000g", "éééééééé"] {
            let json = serde_json::to_string(&sample()).unwrap().replace("7b1af8ff00000000", insn);
            let error = decode(&framed(json.as_bytes())).unwrap_err();
            assert!(error.to_string().contains("16 hexadecimal digits"), "{insn}: {error}");
        }
    }

    #[test]
    fn paths_stay_inside_the_folder() {
        let path = |object, program| {
            relative_path(Some("7.2.12+deb13"), object, program).to_string_lossy().into_owned()
        };
        assert_eq!(path("corpus/stack/a.bpf.o", "main"), "7.2.12+deb13/corpus/stack/a.bpf.o/main.capture");
        assert_eq!(path("/./../../etc/a.o", "../x"), "7.2.12+deb13/__/__/etc/a.o/.._x.capture");
        assert_eq!(path("a.o", ""), "7.2.12+deb13/a.o/_.capture");
        assert_eq!(relative_path(None, "/a/b.o", "p"), Path::new("a/b.o/p.capture"));
    }
}
