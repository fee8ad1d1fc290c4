//! What is needed of ELF files on the host: a program's loader and libraries, a program without what only
//! debuggers read, an object's licence.

use object::{
    LittleEndian as Le, Object, ObjectSection,
    elf::{self, FileHeader64},
    read::elf::{Dyn, FileHeader, ProgramHeader},
};

/// What the dynamic loader reads of a program or library.
#[derive(Debug, Default)]
pub(super) struct Dynamic {
    /// `PT_INTERP`: the dynamic loader.
    pub(super) interpreter: Option<String>,
    /// `DT_NEEDED`: libraries.
    pub(super) needed: Vec<String>,
    /// `DT_RUNPATH` and `DT_RPATH`: folders, `$ORIGIN` not replaced.
    pub(super) run_paths: Vec<String>,
}

/// Reads the dynamic section of a 64-bit little-endian file.
pub(super) fn dynamic(file: &[u8]) -> object::Result<Dynamic> {
    let header = FileHeader64::<Le>::parse(file)?;
    let endian = header.endian()?;
    let mut found = Dynamic::default();
    let segments = header.program_headers(endian, file)?;
    let at_address = |address: u64| {
        let holds = |segment: &&elf::ProgramHeader64<Le>| {
            segment.data_range(endian, file, address, 1).is_ok_and(|bytes| bytes.is_some())
        };
        segments.iter().find(holds).map(|segment| (segment.p_offset(endian), segment.p_vaddr(endian)))
    };
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, file)? {
            found.interpreter = Some(String::from_utf8_lossy(interpreter).into_owned());
        }
        let Some(entries) = segment.dynamic(endian, file)? else { continue };
        let value = |tag: elf::DynamicTag| {
            entries.iter().filter(move |entry| entry.tag(endian) == tag).map(|entry| entry.val(endian))
        };
        let Some(strings) = value(elf::DT_STRTAB).next() else { continue };
        let Some((offset, start)) = at_address(strings) else { continue };
        let strings = usize::try_from(strings.saturating_sub(start).saturating_add(offset))
            .ok()
            .and_then(|at| file.get(at..))
            .unwrap_or_default();
        let text = |at: u64| {
            let bytes = usize::try_from(at).ok().and_then(|at| strings.get(at..)).unwrap_or_default();
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
            String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
        };
        found.needed.extend(value(elf::DT_NEEDED).map(text));
        let paths = value(elf::DT_RUNPATH).chain(value(elf::DT_RPATH)).map(text);
        for paths in paths {
            found.run_paths.extend(paths.split(':').filter(|path| !path.is_empty()).map(str::to_string));
        }
    }
    Ok(found)
}

/// The file as far as the loader reads it: sections that are in no segment (symbols, debug information) stand
/// at the end and are cut off.
pub(super) fn without_debug_information(mut file: Vec<u8>) -> object::Result<Vec<u8>> {
    let header = FileHeader64::<Le>::parse(file.as_slice())?;
    let endian = header.endian()?;
    let headers_end =
        header.e_phoff(endian) + u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
    let segments = header.program_headers(endian, file.as_slice())?;
    let ends =
        segments.iter().map(|segment| segment.p_offset(endian).saturating_add(segment.p_filesz(endian)));
    let end = ends.max().unwrap_or(0).max(headers_end).max(size_of::<FileHeader64<Le>>() as u64);
    file.truncate(usize::try_from(end).unwrap_or(usize::MAX));
    // e_shoff, and e_shentsize to e_shstrndx: there is no section table any more.
    for range in [0x28..0x30, 0x3a..0x40] {
        if let Some(bytes) = file.get_mut(range) {
            bytes.fill(0);
        }
    }
    Ok(file)
}

/// The text of a BPF object's `license` section, cut where libbpf cuts it; empty if there is none.
pub(super) fn license(file: &[u8]) -> String {
    let section = || object::File::parse(file).ok()?.section_by_name("license")?.data().ok();
    let bytes = section().unwrap_or_default();
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text.get(..63).unwrap_or(text)).into_owned()
}
