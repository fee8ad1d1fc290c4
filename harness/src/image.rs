//! A kernel image on the host: what is known of a kernel without booting it.
//!
//! A bzImage or vmlinuz is a boot sector and set-up code around a compressed `vmlinux`; the boot header says
//! where the compressed part is. The `vmlinux` is an ELF file with the kernel's BTF.

mod config;
mod unpack;

use crate::memory::MemoryFile;
use object::{
    Architecture, LittleEndian as Le, Object, ObjectSection, ReadCache, ReadRef,
    elf::NoteType,
    read::elf::{ElfFile64, ProgramHeader},
};
use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Largest image read and largest `vmlinux` unpacked, in bytes.
const LIMIT: u64 = 512 << 20;
/// The BTF of the running kernel.
const RUNNING_BTF: &str = "/sys/kernel/btf/vmlinux";

/// A kernel image, opened and read.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it is.
    pub path: PathBuf,
    /// `uname -r` of the kernel, as it stands in the image.
    pub release: String,
    /// The `.BTF` section.
    pub btf: Vec<u8>,
    /// The `.BTF_ids` section; empty if there is none.
    pub btf_ids: Vec<u8>,
    /// The text of its configuration (`.config`), where that is in the image or in a file beside it: `config-RELEASE`,
    /// `config` or `.config`. For an image in a build folder, that of the build.
    pub config: Option<Arc<[u8]>>,
    unpacked: Option<Arc<MemoryFile>>,
    running: bool,
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ImageError {
    #[error("cannot read the kernel image {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is no kernel image: {found}. Give a bzImage, vmlinuz or vmlinux for x86-64")]
    NotAnImage { path: PathBuf, found: String },
    #[error(
        "the kernel in {path} cannot be unpacked: {reason}. The file may be damaged: fetch or build it again"
    )]
    Unpack { path: PathBuf, reason: String },
    #[error(
        "the kernel in {path}{release} has no BTF: build it with CONFIG_DEBUG_INFO_BTF=y, or take a packaged kernel"
    )]
    NoBtf { path: PathBuf, release: String },
    #[error(
        "the running kernel, Linux {release}, does not tell its BTF ({RUNNING_BTF}: {source}): it needs CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoRunningBtf { release: String, source: io::Error },
    #[error("the kernel in {path} does not say its release (there is no `Linux version` in it)")]
    NoRelease { path: PathBuf },
}

impl Image {
    /// Reads the kernel at `path`: bzImage, vmlinuz or vmlinux.
    pub fn open(path: &Path) -> Result<Image, ImageError> {
        let read = |source| ImageError::Read { path: path.into(), source };
        let mut file = File::open(path).map_err(read)?;
        if !file.metadata().map_err(read)?.is_file() {
            return Err(read(io::Error::other("it is not a file")));
        }
        let mut start = Vec::new();
        file.by_ref().take(4).read_to_end(&mut start).map_err(read)?;
        if start == b"\x7fELF" {
            // It may be as large as its debug information: only what is needed is read.
            return Self::read_elf(path, None, &ReadCache::new(file)).map(|(image, _)| image);
        }
        Self::parse(path, &read_bounded(start, file).map_err(read)?)
    }

    /// Reads a kernel from the bytes of a bzImage, vmlinuz or vmlinux. `path` is where errors and QEMU look for it.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Image, ImageError> {
        if bytes.starts_with(b"\x7fELF") {
            return Self::read_elf(path, None, bytes).map(|(image, _)| image);
        }
        let boot = BootHeader::find(bytes)
            .ok_or_else(|| ImageError::NotAnImage { path: path.into(), found: describe(bytes) })?;
        let vmlinux = unpack::unpack(boot.payload, LIMIT)
            .map_err(|reason| ImageError::Unpack { path: path.into(), reason })?;
        let (mut image, pvh) = Self::read_elf(path, boot.release, vmlinux.as_slice())?;
        if pvh {
            image.unpacked = MemoryFile::new("vmlinux", &vmlinux).ok().map(Arc::new);
        }
        Ok(image)
    }

    /// The kernel that is running here. What is in no file of its own is taken from its image, if that is among `images`
    /// or where distributions keep it: its `.BTF_ids`, and it is this kernel's image only if the BTF is the same to the
    /// byte. The configuration is for the agent to find, where libbpf looks for it.
    pub fn running(images: &[PathBuf]) -> Result<Image, ImageError> {
        let path = PathBuf::from("/proc/sys/kernel/osrelease");
        let release = std::fs::read_to_string(&path).map_err(|source| ImageError::Read { path, source })?;
        let release = release.trim().to_owned();
        let btf = File::open(RUNNING_BTF)
            .and_then(|file| read_bounded(Vec::new(), file))
            .map_err(|source| ImageError::NoRunningBtf { release: release.clone(), source })?;
        let usual = [
            format!("/boot/vmlinuz-{release}"),
            format!("/usr/lib/modules/{release}/vmlinuz"),
            format!("/lib/modules/{release}/build/vmlinux"),
        ];
        let places = images.iter().cloned().chain(usual.map(PathBuf::from)).filter(|path| path.is_file());
        let mut candidates = places.filter_map(|path| Image::open(&path).ok());
        let btf_ids = candidates.find(|image| image.release == release && image.btf == btf);
        let btf_ids = btf_ids.map(|image| image.btf_ids).unwrap_or_default();
        let path = PathBuf::from(RUNNING_BTF);
        Ok(Image { path, release, btf, btf_ids, config: None, unpacked: None, running: true })
    }

    /// Whether it is that of [`Image::running`]: there is nothing to boot.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// One that nothing can be done with.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Image {
        let path = PathBuf::from("/nonexistent/vmlinuz");
        Image {
            path,
            release: "7.2-test".into(),
            btf: Vec::new(),
            btf_ids: Vec::new(),
            config: None,
            unpacked: None,
            running: false,
        }
    }

    /// Has the image booted as it stands in the file, by its own set-up code, although it is unpacked here.
    pub fn boot_as_it_is(&mut self) {
        self.unpacked = None;
    }

    /// The file to boot: the unpacked kernel where it can be entered directly, which spares the guest the
    /// unpacking; else the image.
    pub(crate) fn bootable(&self) -> PathBuf {
        self.unpacked.as_ref().map_or_else(|| self.path.clone(), |file| file.path())
    }

    /// Reads a `vmlinux`; also says whether it can be entered without a boot loader (PVH).
    fn read_elf<'data, R: ReadRef<'data>>(
        path: &Path,
        boot_release: Option<String>,
        data: R,
    ) -> Result<(Image, bool), ImageError> {
        let not_an_image = |found: String| ImageError::NotAnImage { path: path.into(), found };
        let elf = ElfFile64::<Le, R>::parse(data)
            .map_err(|error| not_an_image(format!("what is in it is no ELF file for 64 bits ({error})")))?;
        if elf.architecture() != Architecture::X86_64 {
            return Err(not_an_image(format!("it is an ELF file for {:?}", elf.architecture())));
        }
        let section = |name: &str| -> Option<Vec<u8>> {
            let section = elf.section_by_name(name).filter(|section| section.size() <= LIMIT)?;
            section.data().ok().filter(|data| !data.is_empty()).map(<[u8]>::to_vec)
        };
        let release = boot_release.or_else(|| release_in(&elf));
        let btf = section(".BTF").ok_or_else(|| ImageError::NoBtf {
            path: path.into(),
            release: release.as_ref().map(|release| format!(" ({release})")).unwrap_or_default(),
        })?;
        let btf_ids = section(".BTF_ids").unwrap_or_default();
        let release = release.ok_or_else(|| ImageError::NoRelease { path: path.into() })?;
        let config = section(".rodata").and_then(|data| config::inside(&data));
        let config = config.or_else(|| config::beside(path, &release)).map(Arc::from);
        let image =
            Image { path: path.into(), release, btf, btf_ids, config, unpacked: None, running: false };
        Ok((image, has_pvh_entry(&elf)))
    }
}

/// A note of Xen's says where to enter the kernel (`XEN_ELFNOTE_PHYS32_ENTRY`).
fn has_pvh_entry<'data, R: ReadRef<'data>>(elf: &ElfFile64<'data, Le, R>) -> bool {
    const PHYS32_ENTRY: NoteType = NoteType(18);
    elf.elf_program_headers().iter().any(|segment| {
        let Ok(Some(mut notes)) = segment.notes(Le, elf.data()) else { return false };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == b"Xen" && note.n_type(Le) == PHYS32_ENTRY {
                return true;
            }
        }
        false
    })
}

fn read_bounded(mut bytes: Vec<u8>, rest: File) -> io::Result<Vec<u8>> {
    rest.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(io::Error::other("it is larger than any kernel (512 MiB)"));
    }
    Ok(bytes)
}

/// What a file that is no kernel looks like, for the message.
fn describe(bytes: &[u8]) -> String {
    let found = match bytes {
        [] => "it is empty",
        [0x1f, 0x8b, ..] => "it is a gzip file",
        [b'!', b'<', b'a', b'r', ..] => "it is an archive (a package? unpack it first)",
        [b'M', b'Z', ..] => "it starts like a bootable image but has no x86 boot header",
        _ if bytes.iter().take(512).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            "it is a text file"
        }
        _ => "it has neither an ELF nor an x86 boot header",
    };
    found.to_string()
}

/// The parts of the x86 boot protocol's header (Documentation/arch/x86/boot.rst) that lead to the kernel.
struct BootHeader<'a> {
    payload: &'a [u8],
    release: Option<String>,
}

impl BootHeader<'_> {
    fn find(bytes: &[u8]) -> Option<BootHeader<'_>> {
        let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        if bytes.get(0x202..0x206)? != b"HdrS" || u16_at(0x206)? < 0x208 {
            return None;
        }
        let setup_sectors = match bytes.get(0x1f1)? {
            0 => 4,
            sectors => usize::from(*sectors),
        };
        let start = (setup_sectors + 1) * 512 + usize::try_from(u32_at(0x248)?).ok()?;
        let payload = bytes.get(start..start.checked_add(usize::try_from(u32_at(0x24c)?).ok()?)?)?;
        let release = Some(usize::from(u16_at(0x20e)?)).filter(|offset| *offset != 0).and_then(|offset| {
            let text = bytes.get(offset + 0x200..)?;
            first_word(text)
        });
        Some(BootHeader { payload, release })
    }
}

/// The release in `Linux version RELEASE (`, looked for where a kernel keeps its constants.
fn release_in<'data, R: ReadRef<'data>>(elf: &ElfFile64<'data, Le, R>) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    [".rodata", ".init.rodata", ".data"].into_iter().find_map(|name| {
        let section = elf.section_by_name(name).filter(|section| section.size() <= LIMIT)?;
        let data = section.data().ok()?;
        let mut from = 0;
        while let Some(at) = find(data.get(from..)?, BANNER) {
            from += at + BANNER.len();
            // The format string of the banner is there too: `Linux version %s`.
            if let Some(release) = first_word(data.get(from..)?) {
                return Some(release);
            }
        }
        None
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        from += haystack.get(from..)?.iter().position(|byte| *byte == first)?;
        if haystack.get(from..)?.starts_with(needle) {
            return Some(from);
        }
        from += 1;
    }
}

/// The word at the start, if it can be a release.
fn first_word(text: &[u8]) -> Option<String> {
    let end = text.iter().take(128).position(|byte| matches!(byte, b' ' | b'\0' | b'\n'))?;
    let word: Cow<'_, str> = String::from_utf8_lossy(text.get(..end)?);
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || ".+-_~".contains(c));
    (plain && word.starts_with(|c: char| c.is_ascii_digit())).then(|| word.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn open(bytes: &[u8]) -> Result<Image, ImageError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Image::open(file.path())
    }

    fn message(bytes: &[u8]) -> String {
        open(bytes).expect_err("it is no kernel").to_string()
    }

    /// A boot sector that says the payload is all that follows the set-up code.
    fn boot(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[0x1f1] = 1;
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
        bytes[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn says_what_it_found_instead_of_a_kernel() {
        assert!(message(b"").contains("it is empty"));
        assert!(message(b"hello, world\n").contains("it is a text file"));
        assert!(message(b"\x1f\x8b\x08\0").contains("gzip"));
        assert!(message(b"\x7fELF\x02\x01\x01").contains("no ELF file"));
        let missing = Image::open(Path::new("/nonexistent/vmlinuz")).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/vmlinuz"), "{missing}");
        assert!(Image::open(Path::new("/")).unwrap_err().to_string().contains("not a file"));
    }

    #[test]
    fn follows_the_boot_header_to_every_kind_of_payload() {
        use flate2::{Compression, write::GzEncoder};
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"not an ELF file").unwrap();
        let text = message(&boot(&gzip.finish().unwrap()));
        assert!(text.contains("no ELF file"), "{text}");
        let zstd = zstd::encode_all(&b"not an ELF file"[..], 1).unwrap();
        assert!(message(&boot(&zstd)).contains("no ELF file"));
        // The kernel's build appends the unpacked size.
        assert!(message(&boot(&[zstd, vec![15, 0, 0, 0]].concat())).contains("no ELF file"));
        assert!(message(&boot(b"garbage")).contains("unknown compression"));
        assert!(message(&boot(&[0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3])).contains("cannot be unpacked"));
    }

    #[test]
    fn a_header_that_points_outside_is_no_header() {
        let mut bytes = boot(b"payload");
        bytes[0x248..0x24c].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(message(&bytes).contains("is no kernel image"));
        for cut in [0x1f0, 0x204, 0x208, 0x24a, 0x24f] {
            assert!(message(&bytes[..cut]).contains("is no kernel image"));
        }
    }

    #[test]
    fn a_release_is_a_plain_word_that_starts_with_a_digit() {
        assert_eq!(first_word(b"7.2.12+deb13-cloud-amd64 (x@y)"), Some("7.2.12+deb13-cloud-amd64".into()));
        assert_eq!(first_word(b"%s (%s)"), None);
        assert_eq!(first_word(b"7.2"), None);
    }
}
