//! Where things that may be thrown away are kept: `$XDG_CACHE_HOME/livediff`, else `~/.cache/livediff`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// How the names of unfinished folders begin.
pub(crate) const NEW: &str = ".new-";

/// Removes the unfinished folders that runs which were killed have left in `folder`. Whoever makes such holds a lock, and
/// so must the caller.
pub(crate) fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(NEW) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The cache folder, which may not exist yet; `None` where neither `XDG_CACHE_HOME` nor `HOME` is an absolute
/// path.
pub fn root() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("livediff"))
}
