//! Kernel source trees: whether a folder is one, which of its files a build reads, and unpacking one.

use super::{BuildError, Step, io_error, make};
use crate::run::Cancel;
use std::{
    fs::{self, File, Metadata},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
};

/// Says why `folder` is no source tree that can be built.
pub(super) fn check(folder: &Path) -> Result<(), BuildError> {
    let not = |reason: String| BuildError::NotATree { path: folder.into(), reason };
    if !folder.is_dir() {
        return Err(not("it is no folder".into()));
    }
    for file in ["Makefile", "Kconfig", "kernel/bpf/verifier.c", "arch/x86/Makefile"] {
        if !folder.join(file).is_file() {
            return Err(not(format!("there is no {file} in it")));
        }
    }
    let makefile = folder.join("Makefile");
    let makefile = fs::read(&makefile).map_err(io_error("read", &makefile))?;
    if !makefile.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"PATCHLEVEL =")) {
        return Err(not("its Makefile names no version".into()));
    }
    Ok(())
}

/// The files of the tree that a build can need, as relative paths in order. Of a git checkout, those that git does
/// not ignore; so it does not matter whether a kernel was built in it.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut files = match listed_by_git(folder) {
        Some(files) => files,
        None => {
            for found in [".config", "include/config", "arch/x86/include/generated"] {
                if folder.join(found).exists() {
                    return Err(BuildError::BuiltIn { path: folder.into(), found: found.into() });
                }
            }
            let mut files = Vec::new();
            walk(folder, Path::new(""), &mut files)?;
            files
        }
    };
    files.retain(|path| is_plain(path) && is_needed(path));
    files.sort();
    files.dedup();
    Ok(files)
}

/// What git says is source; `None` if the folder is not the top of a checkout.
fn listed_by_git(folder: &Path) -> Option<Vec<PathBuf>> {
    if !folder.join(".git").exists() {
        return None;
    }
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    if !output.status.success() || output.stdout.is_empty() {
        return None;
    }
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Some(names.map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name))).collect())
}

/// Adds every file below `root/folder`, relative to `root`.
pub(super) fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    let path = root.join(folder);
    for entry in fs::read_dir(&path).map_err(io_error("read", &path))? {
        let entry = entry.map_err(io_error("read", &path))?;
        let relative = folder.join(entry.file_name());
        let kind = entry.file_type().map_err(io_error("read", &path))?;
        if kind.is_dir() {
            if relative != Path::new(".git") {
                walk(root, &relative, files)?;
            }
        } else {
            files.push(relative);
        }
    }
    Ok(())
}

/// Whether a path stays in the folder that it is relative to.
pub(super) fn is_plain(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Parts of the source that our configuration never compiles. Of these, only what describes the build is read.
const UNUSED: [&str; 11] = [
    "Documentation",
    "drivers/gpu",
    "drivers/media",
    "drivers/net/ethernet",
    "drivers/net/wireless",
    "drivers/scsi",
    "drivers/staging",
    "samples",
    "sound",
    "tools/perf",
    "tools/testing",
];

/// Whether a build of our configuration can read the file.
pub(super) fn is_needed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let describes = ["Kconfig", "Makefile", "Kbuild"].iter().any(|start| name.starts_with(start.as_bytes()));
    if let Ok(below) = path.strip_prefix("arch") {
        // Files of `arch` itself, and ours.
        return describes || below.starts_with("x86") || below.components().count() == 1;
    }
    describes || !UNUSED.iter().any(|unused| path.starts_with(unused))
}

/// Changes whenever the file does.
pub(super) fn stamp_of(path: &Path, about: &Metadata) -> String {
    let (inode, size) = (about.ino(), about.size());
    format!("{} {inode} {size} {}.{:09}", path.display(), about.mtime(), about.mtime_nsec())
}

/// The source in a tarball, unpacked into `place` unless it is there already.
pub(super) fn unpack(
    tarball: &Path,
    place: &Path,
    lock: &File,
    cancel: &Cancel,
    sink: &dyn Fn(Step<'_>),
) -> Result<PathBuf, BuildError> {
    let tree = place.join("tree");
    let stamp = place.join("stamp");
    let about = fs::metadata(tarball).map_err(io_error("read", tarball))?;
    let identity = stamp_of(tarball, &about);
    if fs::read_to_string(&stamp).is_ok_and(|text| text == identity) {
        return Ok(tree);
    }
    sink(Step::Note("unpacking the source"));
    if place.exists() {
        fs::remove_dir_all(place).map_err(io_error("remove", place))?;
    }
    fs::create_dir_all(&tree).map_err(io_error("make the folder", &tree))?;
    let mut command = Command::new("tar");
    command.arg("-xf").arg(tarball).arg("-C").arg(&tree);
    command.args(["--strip-components=1", "--no-same-owner", "--wildcards", "--wildcards-match-slash"]);
    for unused in UNUSED {
        // The rest of these folders is small.
        for suffix in ["[chS]", "rst", "yaml", "txt", "dts*", "json", "svg"] {
            command.arg(format!("--exclude=*/{unused}/*.{suffix}"));
        }
    }
    let log = place.join("tar.log");
    make::run_logged("unpacking the source", &mut command, lock, &log, cancel, &mut |_| {})?;
    check(&tree)?;
    fs::write(&stamp, identity).map_err(io_error("write", &stamp))?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_a_build_reads() {
        for needed in [
            "Makefile",
            "arch/Kconfig",
            "arch/x86/kernel/head64.c",
            "arch/arm/crypto/Kconfig",
            "Documentation/Kconfig",
            "drivers/gpu/drm/Kconfig.debug",
            "drivers/net/ethernet/Makefile",
            "drivers/virtio/virtio.c",
            "kernel/bpf/liveness.c",
            "tools/lib/bpf/btf.c",
        ] {
            assert!(is_needed(Path::new(needed)), "{needed}");
        }
        for other in [
            "arch/arm64/mm/mmu.c",
            "Documentation/bpf/index.rst",
            "drivers/gpu/drm/drm_drv.c",
            "samples/bpf/x.c",
        ] {
            assert!(!is_needed(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn paths_that_leave_the_folder_are_not_followed() {
        assert!(is_plain(Path::new("kernel/bpf/liveness.c")));
        for bad in ["", "../x", "a/../../x", "/etc/passwd"] {
            assert!(!is_plain(Path::new(bad)), "{bad}");
        }
    }

    fn make_tree(folder: &Path) {
        for file in ["Kconfig", "kernel/bpf/verifier.c", "arch/x86/Makefile"] {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(folder.join("Makefile"), "VERSION = 7\nPATCHLEVEL = 2\n").unwrap();
    }

    #[test]
    fn a_folder_that_is_no_tree_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = check(folder.path()).unwrap_err().to_string();
        assert!(said.contains("no Makefile"), "{said}");
        make_tree(folder.path());
        check(folder.path()).unwrap();
        fs::write(folder.path().join("Makefile"), "all:\n").unwrap();
        assert!(matches!(check(folder.path()), Err(BuildError::NotATree { .. })));
        assert!(matches!(check(&folder.path().join("Kconfig")), Err(BuildError::NotATree { .. })));
    }

    #[test]
    fn a_tree_that_was_built_in_is_only_read_with_git() {
        let folder = tempfile::tempdir().unwrap();
        make_tree(folder.path());
        assert_eq!(files(folder.path()).unwrap().len(), 4);
        fs::write(folder.path().join(".config"), "").unwrap();
        assert!(matches!(files(folder.path()), Err(BuildError::BuiltIn { .. })));
        let git = Command::new("git").args(["init", "-q"]).arg(folder.path()).status();
        if !git.is_ok_and(|status| status.success()) {
            // Not through eprintln!, which is kept back where a test passes.
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: what git knows of a tree needs git, which is not here");
            return;
        }
        fs::write(folder.path().join(".gitignore"), ".config\n").unwrap();
        let listed = files(folder.path()).unwrap();
        assert!(listed.contains(&"kernel/bpf/verifier.c".into()) && !listed.contains(&".config".into()));
    }
}
