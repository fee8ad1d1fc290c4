//! Finds the BPF objects that other files embed, and writes them out.
//!
//! Programs carry their BPF objects as plain bytes: a libbpf skeleton is a constant in an ELF file, Go embeds
//! the object's file, archives hold their members uncompressed. So an object is found by its ELF header
//! (64-bit, little-endian, relocatable, for BPF), wherever that stands, and ends where the last thing ends
//! that its headers point to. It is taken only if its section headers and section names are within it.
//!
//! Nothing in the files is trusted: every offset is checked, and the work is linear in the size of the file,
//! since objects that are taken do not overlap and the headers of those that are not are bounded in number.

use crate::random::Fnv;
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, SectionIndex, SymbolIndex, SymbolKind,
    read::elf::ElfFile64,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    hash::Hasher,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// The largest file that is searched, in bytes.
pub const MAX_FILE: u64 = 2 << 30;
/// Longest part of a name that comes from a file or a program, in bytes.
const MAX_NAME: usize = 96;
/// Size of an ELF header, and of a section header.
const HEADER: usize = 64;
/// Size of a program header.
const PROGRAM_HEADER: u64 = 56;
/// Section headers that are read beyond those which objects side by side could have.
const SPARE_SECTION_HEADERS: usize = 1 << 17;
const EM_BPF: u16 = 247;
const ET_REL: u16 = 1;
const SHT_NOBITS: u32 = 8;

/// A BPF object within the bytes searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Where it begins.
    pub offset: usize,
    /// All of it.
    pub bytes: &'a [u8],
}

/// What begins like a BPF object and is not a whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Where it begins.
    pub offset: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// What was found in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The objects, in the order in which they stand. They do not overlap.
    pub objects: Vec<Found<'a>>,
    /// What looks like an object and cannot be taken.
    pub damaged: Vec<Damaged>,
    /// How many objects for big-endian machines were passed over.
    pub big_endian: usize,
}

/// Searches `bytes` for BPF objects.
pub fn scan(bytes: &[u8]) -> Scan<'_> {
    let mut scan = Scan::default();
    let mut budget = bytes.len() / HEADER + SPARE_SECTION_HEADERS;
    let mut at = 0;
    while let Some(step) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0x7f)) {
        let offset = at + step;
        at = offset + 1;
        let rest = bytes.get(offset..).unwrap_or_default();
        match Header::read(rest) {
            None => {}
            Some(Header::BigEndian) => scan.big_endian += 1,
            Some(Header::LittleEndian(header)) => match header.extent(rest, &mut budget) {
                Ok(object) => {
                    scan.objects.push(Found { offset, bytes: object });
                    at = offset + object.len();
                }
                Err(reason) => scan.damaged.push(Damaged { offset, reason }),
            },
        }
    }
    scan
}

/// The header of a relocatable ELF object for BPF.
enum Header {
    BigEndian,
    LittleEndian(Fields),
}

/// What is wanted of an ELF header.
struct Fields {
    program_headers: u64,
    section_headers: u64,
    program_header_count: u16,
    section_header_size: u16,
    section_header_count: u16,
    names: u16,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let ident = bytes.get(..HEADER)?;
        // Magic; 64-bit; byte order; version.
        match ident {
            [0x7f, b'E', b'L', b'F', 2, 1, 1, ..] => {}
            [0x7f, b'E', b'L', b'F', 2, 2, 1, ..] => {
                let machine = u16_at(ident, 18)?.swap_bytes();
                let kind = u16_at(ident, 16)?.swap_bytes();
                return (machine == EM_BPF && kind == ET_REL).then_some(Header::BigEndian);
            }
            _ => return None,
        }
        if u16_at(ident, 16)? != ET_REL || u16_at(ident, 18)? != EM_BPF {
            return None;
        }
        Some(Header::LittleEndian(Fields {
            program_headers: u64_at(ident, 32)?,
            section_headers: u64_at(ident, 40)?,
            program_header_count: u16_at(ident, 56)?,
            section_header_size: u16_at(ident, 58)?,
            section_header_count: u16_at(ident, 60)?,
            names: u16_at(ident, 62)?,
        }))
    }
}

impl Fields {
    /// The object that this header begins, out of `rest`, which begins with the header. Takes the section
    /// headers that it reads from `budget`.
    fn extent<'a>(&self, rest: &'a [u8], budget: &mut usize) -> Result<&'a [u8], &'static str> {
        const OUTSIDE: &str = "its section headers lie outside the file: it is cut off, or no object";
        if usize::from(self.section_header_size) != HEADER {
            return Err("its section headers have an unknown size");
        }
        let table = usize::try_from(self.section_headers).map_err(|_| OUTSIDE)?;
        if table < HEADER {
            return Err("it has no section headers");
        }
        let first = section_header(rest, table, 0).ok_or(OUTSIDE)?;
        // From 0xff00 sections on, count and index of the names stand in the first section header.
        let count = match self.section_header_count {
            0 => usize::try_from(first.size).map_err(|_| OUTSIDE)?,
            count => usize::from(count),
        };
        let names = match self.names {
            0xffff => usize::try_from(first.link).map_err(|_| OUTSIDE)?,
            names => usize::from(names),
        };
        let table_end = count.checked_mul(HEADER).and_then(|size| size.checked_add(table)).ok_or(OUTSIDE)?;
        if table_end > rest.len() {
            return Err(OUTSIDE);
        }
        if names == 0 || names >= count {
            return Err("it has no section names");
        }
        *budget =
            budget.checked_sub(count).ok_or("the file has more broken section headers than are looked at")?;

        let program_headers_end = u64::from(self.program_header_count)
            .checked_mul(PROGRAM_HEADER)
            .and_then(|size| size.checked_add(self.program_headers))
            .filter(|_| self.program_header_count > 0)
            .unwrap_or(0);
        let mut end = (table_end as u64).max(program_headers_end);
        for index in 0..count {
            let section = section_header(rest, table, index).ok_or(OUTSIDE)?;
            // Section 0 describes no section: its fields are used otherwise, see above.
            if index > 0 && section.kind != SHT_NOBITS {
                let section_end = section.offset.checked_add(section.size);
                end = end.max(section_end.ok_or("one of its sections has an impossible size")?);
            }
        }
        let end = usize::try_from(end).ok().filter(|&end| end <= rest.len());
        end.and_then(|end| rest.get(..end)).ok_or("its sections reach beyond the file: it is cut off")
    }
}

/// What is wanted of a section header.
struct SectionHeader {
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

fn section_header(object: &[u8], table: usize, index: usize) -> Option<SectionHeader> {
    let begin = index.checked_mul(HEADER)?.checked_add(table)?;
    let bytes = object.get(begin..begin.checked_add(HEADER)?)?;
    Some(SectionHeader {
        kind: u32_at(bytes, 4)?,
        offset: u64_at(bytes, 24)?,
        size: u64_at(bytes, 32)?,
        link: u32_at(bytes, 40)?,
    })
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// Something worth telling while carving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// An object was written, or was there already with the same contents.
    Object {
        /// The file it was found in.
        from: PathBuf,
        /// The file it is in now.
        to: PathBuf,
        /// Its size in bytes.
        size: usize,
    },
    /// Something begins like an object and is none.
    Damaged {
        /// The file it is in.
        file: PathBuf,
        /// Where in the file.
        offset: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A file in a folder was not searched.
    Skipped {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What carving came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files searched.
    pub files: usize,
    /// Different objects found. All of them are in the output folder.
    pub objects: usize,
    /// Those of `objects` that were in the output folder before.
    pub already_there: usize,
    /// Objects found whose contents another one found has.
    pub duplicates: usize,
    /// Beginnings of objects that are not whole.
    pub damaged: usize,
    /// Objects for big-endian machines, which were passed over.
    pub big_endian: usize,
    /// Files that could not be read or are too large.
    pub skipped: usize,
}

/// Why carving cannot go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CarveError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is {size} bytes long, and files of up to {MAX_FILE} are searched: unpack it first")]
    TooLarge { path: PathBuf, size: u64 },
    #[error("{path} is neither a file nor a folder")]
    Special { path: PathBuf },
    #[error("cannot write to {path}: {source}; choose another folder with -o")]
    Write { path: PathBuf, source: io::Error },
}

/// Searches the files `paths`, and the files in those of them that are folders, for BPF objects, and writes
/// each one, once, to the folder `output`, which is made if it is not there.
///
/// An object is called `FILE-PROGRAM.bpf.o` after the file it was found in and the first program in it, or
/// `FILE.bpf.o` if the file is the object. Where two different objects would get one name, the second gets a
/// hash of its contents as well. The same files, carved into an empty folder, give the same names. Files
/// appear whole or not at all. Links in folders are not followed.
///
/// What was named and cannot be read is an error; what lies in a folder and cannot be read is told to `note`.
pub fn carve(paths: &[PathBuf], output: &Path, note: &mut dyn FnMut(Note)) -> Result<Summary, CarveError> {
    let mut carver = Carver::new(output, note)?;
    for path in paths {
        let read_error = |source| CarveError::Read { path: path.clone(), source };
        let metadata = fs::metadata(path).map_err(read_error)?;
        if metadata.is_dir() {
            carver.folder(path).map_err(|error| match error {
                FolderError::Read(source) => read_error(source),
                FolderError::Carve(error) => error,
            })?;
        } else {
            carver.file(path)?;
        }
    }
    Ok(carver.summary)
}

/// Why a folder was left: it cannot be listed, or what is wrong ends everything.
enum FolderError {
    Read(io::Error),
    Carve(CarveError),
}

/// The output folder, what is in it, and what was found so far.
struct Carver<'a> {
    output: &'a Path,
    note: &'a mut dyn FnMut(Note),
    /// The objects that were in the output folder before, by their contents.
    before: HashMap<Box<[u8]>, PathBuf>,
    /// Contents of the objects found.
    found: HashSet<Box<[u8]>>,
    summary: Summary,
}

impl<'a> Carver<'a> {
    fn new(output: &'a Path, note: &'a mut dyn FnMut(Note)) -> Result<Self, CarveError> {
        let failed = |source| CarveError::Write { path: output.to_owned(), source };
        fs::create_dir_all(output).map_err(failed)?;
        let mut before = HashMap::new();
        for entry in fs::read_dir(output).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.to_string_lossy().ends_with(".bpf.o") && path.is_file() {
                before.insert(read(&path)?.into(), path);
            }
        }
        Ok(Carver { output, note, before, found: HashSet::new(), summary: Summary::default() })
    }

    fn folder(&mut self, folder: &Path) -> Result<(), FolderError> {
        let mut entries: Vec<_> = fs::read_dir(folder)
            .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
            .map_err(FolderError::Read)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let done = match entry.file_type() {
                Err(error) => Err(FolderError::Read(error)),
                Ok(kind) if kind.is_dir() => self.folder(&path),
                Ok(kind) if kind.is_file() => self.file(&path).map_err(FolderError::Carve),
                Ok(_) => Ok(()),
            };
            let reason = match done {
                Ok(()) => continue,
                Err(FolderError::Carve(error @ CarveError::Write { .. })) => {
                    return Err(FolderError::Carve(error));
                }
                Err(FolderError::Carve(error)) => error.to_string(),
                Err(FolderError::Read(error)) => format!("cannot read {}: {error}", path.display()),
            };
            self.summary.skipped += 1;
            (self.note)(Note::Skipped { file: path, reason });
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), CarveError> {
        let bytes = read(path)?;
        self.summary.files += 1;
        let scan = scan(&bytes);
        for damaged in &scan.damaged {
            (self.note)(Note::Damaged {
                file: path.to_owned(),
                offset: damaged.offset,
                reason: damaged.reason,
            });
        }
        self.summary.damaged += scan.damaged.len();
        self.summary.big_endian += scan.big_endian;
        for object in &scan.objects {
            self.object(path, object)?;
        }
        Ok(())
    }

    fn object(&mut self, from: &Path, object: &Found<'_>) -> Result<(), CarveError> {
        if self.found.contains(object.bytes) {
            self.summary.duplicates += 1;
            return Ok(());
        }
        self.found.insert(object.bytes.into());
        self.summary.objects += 1;
        let mut written = |to: PathBuf| {
            (self.note)(Note::Object { from: from.to_owned(), to, size: object.bytes.len() });
        };
        if let Some(to) = self.before.get(object.bytes) {
            self.summary.already_there += 1;
            written(to.clone());
            return Ok(());
        }
        for name in names(from, object) {
            let to = self.output.join(&name);
            match write(self.output, &to, object.bytes) {
                Ok(()) => {
                    written(to);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(CarveError::Write { path: to, source }),
            }
        }
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "every name for an object is taken");
        Err(CarveError::Write { path: self.output.to_owned(), source })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CarveError> {
    let failed = |source| CarveError::Read { path: path.to_owned(), source };
    // A device or a pipe could be read for ever.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(CarveError::Special { path: path.to_owned() });
    }
    let too_large = |size| CarveError::TooLarge { path: path.to_owned(), size };
    if metadata.len() > MAX_FILE {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Writes a file in one step. An existing one stays, and is an error.
fn write(folder: &Path, to: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".carve-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist_noclobber(to).map_err(|error| error.error)?;
    Ok(())
}

/// Names for an object, the best one first.
fn names(from: &Path, object: &Found<'_>) -> [String; 3] {
    let file = from.file_name().unwrap_or_default().to_string_lossy();
    let file = file.strip_suffix(".o").map_or(&*file, |stem| stem.strip_suffix(".bpf").unwrap_or(stem));
    let file = printable(file);
    let whole = object.offset == 0;
    let stem = match first_program(object.bytes) {
        _ if whole => file,
        Some(program) => format!("{file}-{}", printable(&program)),
        None => format!("{file}-{:016x}", hash(object.bytes)),
    };
    [
        format!("{stem}.bpf.o"),
        format!("{stem}-{:08x}.bpf.o", hash(object.bytes) >> 32),
        format!("{stem}-{:016x}-{:x}.bpf.o", hash(object.bytes), object.bytes.len()),
    ]
}

/// The first function of the first section that has one, `.text` last: the first program, as far as the
/// symbols tell.
fn first_program(object: &[u8]) -> Option<String> {
    // Few names are looked at, since each can be as long as the whole string table.
    const SECTIONS: usize = 8;
    let elf = ElfFile64::<Endianness>::parse(object).ok()?;
    let mut first = BTreeMap::new();
    for symbol in elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_global()) {
        if let Some(section) = symbol.section_index() {
            let lowest = first.entry(section.0).or_insert((symbol.address(), symbol.index().0));
            *lowest = (*lowest).min((symbol.address(), symbol.index().0));
        }
    }
    let in_text = |section: usize| {
        elf.section_by_index(SectionIndex(section)).is_ok_and(|section| section.name() == Ok(".text"))
    };
    let mut sections = first.iter().take(SECTIONS);
    let chosen = sections.find(|&(&section, _)| !in_text(section)).or_else(|| first.iter().next())?;
    let name = elf.symbol_by_index(SymbolIndex(chosen.1.1)).ok()?.name().ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// `text` as a part of a file name: letters, digits and a few signs, of bounded length, not hidden.
fn printable(text: &str) -> String {
    let plain = |(index, letter): (usize, char)| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '+' => letter,
        '.' if index > 0 => letter,
        _ => '_',
    };
    let name: String = text.chars().take(MAX_NAME).enumerate().map(plain).collect();
    if name.is_empty() { "object".into() } else { name }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests;
