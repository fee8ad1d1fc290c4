//! The guest's file system: this program as `/init`, with the dynamic loader and the libraries that its ELF
//! headers name, and empty folders to mount on.
//!
//! The archive is not compressed: the guest would unpack it much more slowly than the host copies it.

use super::elf;
use crate::protocol::MARKER;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Folder of the libraries in the guest; the loader is told of it on the kernel's command line.
pub(super) const LIBRARIES: &str = "/lib";

/// Builds the archive around the running program.
pub(super) fn build() -> Result<Vec<u8>, String> {
    // The link, not the path behind it: the program may have been replaced or removed since it started.
    let program = fs::read("/proc/self/exe").map_err(|error| format!("cannot read this program: {error}"))?;
    let origin = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_path_buf()));
    let mut files = Files::default();
    files.add_with_libraries(program, origin.as_deref())?;
    let mut archive = Archive::default();
    let mut folders = BTreeSet::from(["dev", "proc", "sys"].map(PathBuf::from));
    for path in files.files.keys() {
        let parents = Path::new(path).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        folders.extend(parents.map(Path::to_path_buf));
    }
    for folder in folders {
        archive.add(&folder.to_string_lossy(), 0o040_755, (0, 0), &[]);
    }
    archive.add("dev/console", 0o020_600, (5, 1), &[]);
    archive.add(MARKER.trim_start_matches('/'), 0o100_444, (0, 0), &[]);
    for (path, bytes) in &files.files {
        archive.add(path, 0o100_755, (0, 0), bytes);
    }
    Ok(archive.finish())
}

/// Files by their path in the guest, without the slash at the start.
#[derive(Default)]
struct Files {
    files: BTreeMap<String, Vec<u8>>,
}

impl Files {
    fn add_with_libraries(&mut self, program: Vec<u8>, origin: Option<&Path>) -> Result<(), String> {
        let parse = |what: &str, bytes: &[u8]| {
            elf::dynamic(bytes).map_err(|error| format!("{what} is no ELF file that can be read: {error}"))
        };
        let dynamic = parse("this program", &program)?;
        let mut wanted: Vec<(String, Vec<PathBuf>)> = Vec::new();
        let folders = |dynamic: &elf::Dynamic, origin: Option<&Path>| -> Vec<PathBuf> {
            let origin = origin.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
            let replaced = |path: &String| path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin);
            dynamic.run_paths.iter().map(replaced).map(PathBuf::from).collect()
        };
        if let Some(interpreter) = &dynamic.interpreter {
            let bytes = read(Path::new(interpreter))?;
            // A library may name the loader as one of its own.
            if let Some(name) = Path::new(interpreter).file_name() {
                self.files.insert(in_libraries(&name.to_string_lossy()), bytes.clone());
            }
            self.files.insert(interpreter.trim_start_matches('/').to_string(), bytes);
        }
        let first = folders(&dynamic, origin);
        wanted.extend(dynamic.needed.into_iter().map(|name| (name, first.clone())));
        let standard = standard_folders();
        while let Some((name, mut own)) = wanted.pop() {
            if self.files.contains_key(&in_libraries(&name)) {
                continue;
            }
            own.extend(standard.iter().cloned());
            let path = find(&name, &own).ok_or_else(|| {
                format!("the library {name}, which this program needs, is in no folder of libraries")
            })?;
            let bytes = read(&path)?;
            let dynamic = parse(&path.to_string_lossy(), &bytes)?;
            let run_paths = folders(&dynamic, path.parent());
            wanted.extend(dynamic.needed.into_iter().map(|name| (name, run_paths.clone())));
            let bytes =
                elf::without_debug_information(bytes).map_err(|e| format!("{}: {e}", path.display()))?;
            self.files.insert(in_libraries(&name), bytes);
        }
        let program =
            elf::without_debug_information(program).map_err(|error| format!("this program: {error}"))?;
        self.files.insert("init".to_string(), program);
        Ok(())
    }
}

fn in_libraries(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    format!("{}/{name}", LIBRARIES.trim_start_matches('/'))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    // A library of another architecture may stand before ours.
    let fits = |path: &PathBuf| {
        let mut start = [0; 20];
        let read = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
        read.is_ok() && start.starts_with(b"\x7fELF\x02\x01") && start.ends_with(&[62, 0])
    };
    folders.iter().map(|folder| folder.join(name)).find(fits).or_else(|| {
        // What this process has loaded itself is right by definition.
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let paths = maps.lines().filter_map(|line| Some(PathBuf::from(line.get(line.find('/')?..)?)));
        paths
            .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)))
            .find(fits)
    })
}

/// Where the dynamic loader looks: `LD_LIBRARY_PATH`, what `/etc/ld.so.conf` names, and its own folders.
fn standard_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("LD_LIBRARY_PATH")
        .map(|paths| std::env::split_paths(&paths).collect())
        .unwrap_or_default();
    let mut configurations = vec![PathBuf::from("/etc/ld.so.conf")];
    let included =
        fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten().flatten().map(|entry| entry.path());
    configurations.extend(included);
    configurations.sort();
    for configuration in configurations {
        let text = fs::read_to_string(configuration).unwrap_or_default();
        folders.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    let own =
        ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
    folders.extend(own.map(PathBuf::from));
    folders
}

/// A cpio archive in the `newc` format (Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        let path = path.trim_start_matches('/');
        if path.is_empty() {
            return;
        }
        self.entries += 1;
        self.entry(path, mode, (major, minor), content);
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        // Inode, mode, owner, group, links, time, size, device, device of a node, length of the name, checksum.
        let fields: [usize; 13] = [
            self.entries as usize,
            mode as usize,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            major as usize,
            minor as usize,
            path.len() + 1,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path, mode and size of every entry.
    fn list(archive: &[u8]) -> Vec<(String, u32, usize)> {
        let mut entries = Vec::new();
        let mut at = 0;
        loop {
            assert_eq!(&archive[at..at + 6], b"070701");
            let field = |n: usize| {
                let text = std::str::from_utf8(&archive[at + 6 + 8 * n..at + 14 + 8 * n]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name) = (field(1), field(6) as usize, field(11) as usize);
            let path = String::from_utf8(archive[at + 110..at + 110 + name - 1].to_vec()).unwrap();
            if path == "TRAILER!!!" {
                return entries;
            }
            entries.push((path, mode, size));
            at = ((at + 110 + name).next_multiple_of(4) + size).next_multiple_of(4);
        }
    }

    #[test]
    fn holds_the_program_its_loader_and_its_libraries() {
        let entries = list(&build().unwrap());
        let has = |path: &str| entries.iter().any(|(entry, _, size)| entry == path && *size > 0);
        assert!(has("init"));
        assert!(has("lib/libc.so.6"), "{entries:?}");
        for name in elf::dynamic(&fs::read("/proc/self/exe").unwrap()).unwrap().needed {
            assert!(has(&in_libraries(&name)), "{name} is not in {entries:?}");
        }
        assert!(entries.iter().any(|(path, mode, _)| path == "dev/console" && mode & 0o170_000 == 0o020_000));
        assert!(entries.iter().any(|(path, ..)| path == MARKER.trim_start_matches('/')));
        // Every folder stands before what is in it.
        for (place, (path, ..)) in entries.iter().enumerate() {
            for parent in Path::new(path).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()) {
                let parent = parent.to_string_lossy();
                assert!(
                    entries[..place].iter().any(|(folder, ..)| *folder == parent),
                    "{parent} after {path}"
                );
            }
        }
    }

    #[test]
    fn a_program_is_packed_without_its_debug_information() {
        let whole = fs::read("/proc/self/exe").unwrap();
        let packed = elf::without_debug_information(whole.clone()).unwrap();
        assert!(packed.len() < whole.len());
        assert_eq!(elf::dynamic(&packed).unwrap().needed, elf::dynamic(&whole).unwrap().needed);
        assert!(object::File::parse(packed.as_slice()).is_ok());
    }
}
