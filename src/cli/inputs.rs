//! What the paths on the command line stand for: objects, captures, and files that are neither.

use super::interrupt;
use anyhow::{Context, Result, anyhow, bail};
use livediff::report::terminal::{counted, printable};
use livediff_capture::file;
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where programs are looked for if no path is given.
const CORPUS: &str = "corpus";
/// Most bytes of a file that are read; the largest object of the kernel's own tests has a few million.
const MAX_FILE: u64 = 256 << 20;
/// What a capture begins with.
const CAPTURE: &[u8] = b"livediff capture ";

/// A BPF object.
#[derive(Clone, Debug)]
pub(crate) struct ObjectFile {
    /// Its path, as the user named it.
    pub(crate) name: String,
    /// Its contents.
    pub(crate) bytes: Arc<[u8]>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// BPF objects, in the order given, folders sorted.
    pub(crate) objects: Vec<ObjectFile>,
    /// BPF objects in folders that cannot be whole, and why.
    pub(crate) broken: Vec<(String, String)>,
    /// Captures that were named.
    pub(crate) captures: Vec<PathBuf>,
    /// Captures that lie in the folders that were named.
    pub(crate) found_captures: Vec<PathBuf>,
    /// What is in folders and is called `*.o` and no BPF object, or is called like a capture and no file, and why.
    strangers: Vec<(String, String)>,
    seen: BTreeSet<PathBuf>,
}

/// The paths that are looked at where none is given: the corpus, if it is there. Else an error that says what is `missing`.
pub(crate) fn corpus(missing: &str) -> Result<Vec<PathBuf>> {
    if !Path::new(CORPUS).is_dir() {
        bail!("{missing}, and there is no folder {CORPUS}/ here; name objects, captures or folders");
    }
    Ok(vec![PathBuf::from(CORPUS)])
}

impl Inputs {
    /// What was found and passed over because it is not what it is called, ` (ignored: ...)`, or nothing.
    pub(crate) fn ignored(&self) -> String {
        match self.strangers.as_slice() {
            [] => String::new(),
            all @ [(name, reason), ..] => {
                let objects = if all.iter().all(|(name, _)| name.ends_with(".o")) { " *.o" } else { "" };
                let name = printable(name);
                format!(" (ignored: {}{objects}, such as {name}: {reason})", counted(all.len(), "file"))
            }
        }
    }

    /// Why there is nothing to work with, where neither an object nor a capture was found in `paths`.
    pub(crate) fn nothing(&self, paths: &[PathBuf]) -> anyhow::Error {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        anyhow!(
            "no BPF object (*.o) and no capture (*.{}) in {}{}; `clang -O2 -g -target bpf -c x.bpf.c -o x.bpf.o` \
             builds an object",
            file::EXTENSION,
            paths.join(", "),
            self.ignored()
        )
    }

    /// The same as a line for people, where there is something to say.
    pub(crate) fn not_looked_at(&self) -> Option<String> {
        (!self.strangers.is_empty()).then(|| format!("Not looked at{}.", self.ignored()))
    }

    /// Every file that was looked at.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.seen.iter().map(PathBuf::as_path)
    }

    /// An error if a capture was named, for what takes none.
    pub(crate) fn refuse_captures(&self, instead: &str) -> Result<()> {
        match self.captures.as_slice() {
            [] => Ok(()),
            [first, ..] => bail!("{}: a capture; {instead}", first.display()),
        }
    }

    /// Looks at every path. A file that was named and is neither object nor capture is an error. While this goes on, a
    /// signal ends the program at once: what is named may be a pipe that nobody writes to.
    pub(crate) fn collect(paths: &[PathBuf]) -> Result<Inputs> {
        let _waiting = interrupt::reading()?;
        let mut inputs = Inputs::default();
        for path in paths {
            let metadata = fs::metadata(path).with_context(|| format!("{}", path.display()))?;
            if metadata.is_dir() {
                inputs.folder(path)?;
            } else {
                inputs.named(path)?;
            }
        }
        Ok(inputs)
    }

    fn named(&mut self, path: &Path) -> Result<()> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        let bytes = read(path)?;
        if bytes.starts_with(CAPTURE) {
            if let Some(what) = no_file(path) {
                bail!(
                    "{}: a capture in {what}, and captures are read more than once: name a file",
                    path.display()
                );
            }
            self.captures.push(path.to_owned());
            return Ok(());
        }
        match check(&bytes) {
            Ok(()) => self.objects.push(ObjectFile { name: name(path), bytes: bytes.into() }),
            Err(Fault::Stranger(reason)) => bail!(
                "{}: {reason}; livediff takes BPF objects (clang -target bpf -c), captures, and folders of them",
                path.display()
            ),
            Err(Fault::Broken(reason)) => {
                bail!("{}: {reason}; build or copy the object again", path.display())
            }
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> Result<()> {
        let list = || -> std::io::Result<Vec<PathBuf>> {
            let mut paths: Vec<_> = fs::read_dir(folder)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<std::io::Result<_>>()?;
            paths.sort();
            Ok(paths)
        };
        for path in list().with_context(|| format!("{}", folder.display()))? {
            let extension = path.extension().and_then(|extension| extension.to_str());
            // Links to folders are not followed: they can lead in circles.
            if path.is_dir() {
                if !path.is_symlink() {
                    self.folder(&path)?;
                }
            } else if [Some("o"), Some(file::EXTENSION)].contains(&extension)
                && let Some(what) = no_file(&path)
            {
                // Reading it may have no end.
                if self.seen.insert(path.clone()) {
                    self.strangers.push((name(&path), format!("{what}, and no file")));
                }
            } else if extension == Some(file::EXTENSION) {
                if self.seen.insert(path.clone()) {
                    self.found_captures.push(path);
                }
            } else if extension == Some("o") && self.seen.insert(path.clone()) {
                let bytes = read(&path)?;
                let name = name(&path);
                match check(&bytes) {
                    Ok(()) => self.objects.push(ObjectFile { name, bytes: bytes.into() }),
                    Err(Fault::Stranger(reason)) => self.strangers.push((name, reason)),
                    Err(Fault::Broken(reason)) => self.broken.push((name, reason)),
                }
            }
        }
        Ok(())
    }
}

/// What something is that is there and is neither a file nor a folder.
fn no_file(path: &Path) -> Option<&'static str> {
    let kind = path.metadata().ok()?.file_type();
    if kind.is_file() || kind.is_dir() {
        None
    } else if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The bytes of a file that anybody may have made: an object, a capture or a report.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    read_bounded(path).with_context(|| format!("{}", path.display()))
}

/// As [`read`], with an error that does not name the file.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        let text = format!("longer than {MAX_FILE} bytes, the most that is read of a file");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Why bytes are no BPF object.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// They never were one.
    Stranger(String),
    /// They are the beginning of one.
    Broken(String),
}

/// Whether the bytes are an ELF object for BPF on a little-endian machine, as far as the header tells.
fn check(bytes: &[u8]) -> Result<(), Fault> {
    const EM_BPF: u16 = 247;
    let stranger = |reason: &str| Err(Fault::Stranger(reason.into()));
    if !bytes.starts_with(b"\x7fELF") {
        return stranger("no ELF file");
    }
    let Some(header) = bytes.first_chunk::<64>() else {
        return Err(Fault::Broken(format!(
            "an ELF file cut short: {} bytes, its header alone has 64",
            bytes.len()
        )));
    };
    let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if header[4] != 2 || header[5] != 1 {
        return stranger("no ELF file of 64 bits in little-endian order");
    }
    if u16_at(18) != EM_BPF {
        return stranger("an ELF file for another machine than BPF");
    }
    let mut section_headers = [0; 8];
    section_headers.copy_from_slice(&header[40..48]);
    let length = u64::from(u16_at(58)) * u64::from(u16_at(60));
    let end = u64::from_le_bytes(section_headers).saturating_add(length);
    if end > bytes.len() as u64 {
        return Err(Fault::Broken(format!(
            "a BPF object cut short: it has {} bytes, its section headers end at byte {end}",
            bytes.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(machine: u16, section_headers: u64, count: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[40..48].copy_from_slice(&section_headers.to_le_bytes());
        bytes[58..60].copy_from_slice(&64u16.to_le_bytes());
        bytes[60..62].copy_from_slice(&count.to_le_bytes());
        bytes
    }

    #[test]
    fn objects_are_told_by_their_header() {
        assert_eq!(check(&header(247, 0, 1)), Ok(()));
        assert!(matches!(check(&header(62, 0, 1)), Err(Fault::Stranger(_))));
        assert!(matches!(check(b"#!/bin/sh\n"), Err(Fault::Stranger(_))));
        assert!(matches!(check(b""), Err(Fault::Stranger(_))));
        assert!(matches!(check(&header(247, 0, 2)), Err(Fault::Broken(_))));
        assert!(matches!(check(&header(247, u64::MAX, 2)), Err(Fault::Broken(_))));
        for length in 4..64 {
            assert!(matches!(check(&header(247, 0, 1)[..length]), Err(Fault::Broken(_))), "{length}");
        }
    }

    #[test]
    fn folders_are_searched_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put("b/two.bpf.o", &header(247, 0, 1));
        put("a/one.bpf.o", &header(247, 0, 1));
        put("a/cut.o", &header(247, 4096, 9));
        put("host.o", &header(62, 0, 1));
        put("readme.md", b"no object");
        put("a/x.capture", b"livediff capture 1\n");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/circle")).unwrap();
        let inputs = Inputs::collect(&[folder.path().to_owned(), folder.path().join("b/two.bpf.o")]).unwrap();
        let last = |name: &str| name.rsplit('/').next().unwrap().to_owned();
        let names = |of: &[(String, String)]| of.iter().map(|(name, _)| last(name)).collect::<Vec<_>>();
        let objects: Vec<_> = inputs.objects.iter().map(|object| last(&object.name)).collect();
        assert_eq!(objects, ["one.bpf.o", "two.bpf.o"]);
        assert_eq!(names(&inputs.broken), ["cut.o"]);
        assert_eq!(names(&inputs.strangers), ["host.o"]);
        assert_eq!(inputs.found_captures.len(), 1);
        assert!(inputs.captures.is_empty());

        assert!(Inputs::collect(&[folder.path().join("readme.md")]).is_err());
        assert!(Inputs::collect(&[folder.path().join("missing")]).is_err());
        assert_eq!(Inputs::collect(&[folder.path().join("a/x.capture")]).unwrap().captures.len(), 1);
    }
}
