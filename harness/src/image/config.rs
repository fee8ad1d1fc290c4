//! A kernel's configuration: the text from which `CONFIG_` values of BPF objects are resolved.
//!
//! It is in the image where that was built with IKCONFIG, else in a file beside it. A file whose name does not say
//! which kernel it belongs to is only taken if its first lines name the same series.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Largest configuration, in bytes; that of a distribution has some 300 thousand.
const LIMIT: u64 = 4 << 20;
/// How many times the mark of the beginning is looked at.
const TRIALS: usize = 16;
/// What stands before and after the gzip file that the kernel's build puts into `.rodata`.
const START: &[u8] = b"IKCFG_ST";
const END: &[u8] = b"IKCFG_ED";

/// The configuration in a section's data.
pub(super) fn inside(data: &[u8]) -> Option<Vec<u8>> {
    let mut rest = data;
    for _ in 0..TRIALS {
        rest = rest.get(super::find(rest, START)? + START.len()..)?;
        // Code that looks for the marker has it too.
        let Some(end) = super::find(rest, END) else { continue };
        let mut text = Vec::new();
        let packed = rest.get(..end)?;
        let read = flate2::bufread::GzDecoder::new(packed).take(LIMIT + 1).read_to_end(&mut text);
        if read.is_ok() && is_configuration(&text) {
            return Some(text);
        }
    }
    None
}

/// The configuration in a file beside the image, or in the folder where it was built.
pub(super) fn beside(image: &Path, release: &str) -> Option<Vec<u8>> {
    let image = fs::canonicalize(image).ok()?;
    let folder = image.parent()?;
    let own = read(&folder.join(format!("config-{release}")));
    own.or_else(|| {
        let mut places = vec![folder.join("config"), folder.join(".config")];
        places.extend(built_in(folder).map(|root| root.join(".config")));
        places.iter().filter_map(|place| read(place)).find(|text| same_series(text, release))
    })
}

/// The root of the build whose `arch/x86/boot` the folder is.
fn built_in(folder: &Path) -> Option<PathBuf> {
    let root = folder.ancestors().nth(3)?;
    let inside = folder.strip_prefix(root).ok()?;
    ["arch/x86/boot", "arch/x86_64/boot"].iter().any(|path| inside == Path::new(path)).then(|| root.into())
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|about| about.is_file()))?;
    let mut text = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut text).ok()?;
    is_configuration(&text).then_some(text)
}

/// What libbpf's parser is to be given.
fn is_configuration(text: &[u8]) -> bool {
    text.len() as u64 <= LIMIT
        && !text.contains(&0)
        && text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"CONFIG_"))
}

/// Whether the configuration's heading (`# Linux/x86 7.2.12 Kernel Configuration`) names the release's series.
fn same_series(text: &[u8], release: &str) -> bool {
    let heading = text.split(|byte| *byte == b'\n').take(8).find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        line.strip_prefix("# Linux/")?.strip_suffix(" Kernel Configuration")?.split_once(' ')
    });
    heading.is_some_and(|(_, version)| series(version).is_some() && series(version) == series(release))
}

/// The first two numbers.
fn series(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const TEXT: &str = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 7.2.12 Kernel Configuration\n#\n\
                        CONFIG_HZ=250\n# CONFIG_KASAN is not set\n";

    fn packed(text: &str) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn is_found_in_an_image() {
        let data = [b"code IKCFG_ST", &START[..4], START, &packed(TEXT), END, b"more"].concat();
        assert_eq!(inside(&data).as_deref(), Some(TEXT.as_bytes()));
        for cut in 0..data.len() - END.len() - 4 {
            assert_eq!(inside(&data[..cut]), None, "cut at {cut}");
        }
        assert_eq!(inside(&[START, &packed("no configuration"), END].concat()), None);
        // Each mark is followed to the end, so there is an end to that.
        let marks = |count| [START.repeat(count), packed(TEXT), END.to_vec()].concat();
        assert_eq!(inside(&marks(TRIALS)).as_deref(), Some(TEXT.as_bytes()));
        assert_eq!(inside(&marks(TRIALS + 1)), None);
        let bomb = packed(&"CONFIG_X=y\n".repeat(1 << 20));
        assert_eq!(inside(&[START, &bomb, END].concat()), None);
    }

    #[test]
    fn is_found_beside_an_image() {
        let release = "7.2.12+deb13-cloud-amd64";
        let found = |image: &str, file: &str, text: &str| {
            let folder = tempfile::tempdir().unwrap();
            for path in [image, file] {
                fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
            }
            fs::write(folder.path().join(image), "kernel").unwrap();
            fs::write(folder.path().join(file), text).unwrap();
            beside(&folder.path().join(image), release).is_some()
        };
        assert!(found("vmlinuz", "config", TEXT));
        assert!(found("vmlinuz", ".config", TEXT));
        assert!(found("linux/arch/x86/boot/bzImage", "linux/.config", TEXT));
        assert!(!found("linux/any/other/place/bzImage", "linux/.config", TEXT));
        // The name says whose it is, or the text.
        assert!(found("vmlinuz", "config-7.2.12+deb13-cloud-amd64", "CONFIG_HZ=250\n"));
        assert!(!found("vmlinuz", "config-7.2.13+deb14-cloud-amd64", TEXT));
        assert!(!found("vmlinuz", "config", "CONFIG_HZ=250\n"));
        assert!(!found("vmlinuz", "config", &TEXT.replace("7.2.12", "7.1.3")));
        assert!(!found("vmlinuz", "config", "# Linux/x86 7.2.12 Kernel Configuration\n"));
    }

    #[test]
    fn a_series_is_the_first_two_numbers() {
        assert_eq!(series("7.3.0-rc7"), Some((7, 3)));
        assert_eq!(series("7.3-cloud-amd64"), Some((7, 3)));
        assert_eq!(series("seven"), None);
    }
}
