//! Where things that may be thrown away are kept: `$XDG_CACHE_HOME/livediff`, else `~/.cache/livediff`.

use std::path::PathBuf;

/// The cache folder, which may not exist yet; `None` where neither `XDG_CACHE_HOME` nor `HOME` is an absolute
/// path.
pub fn root() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("livediff"))
}
