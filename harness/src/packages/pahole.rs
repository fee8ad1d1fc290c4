//! pahole from the same suites as the kernels, for machines whose own is too old. It comes with all libraries that
//! it needs and is started by its own dynamic loader, so nothing of the system matters to it or is changed.

use super::{NEW, Store, StoreError, io_error, remove_leftovers};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Where Debian's packages for our architecture keep libraries.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

impl Store {
    /// A program that is a current pahole, kept in the folder `place`; fetched (5 MB) if it is not there.
    pub fn pahole(&self, place: &Path, progress: &dyn Fn(&str)) -> Result<PathBuf, StoreError> {
        let program = place.join("current/pahole");
        if program.is_file() {
            return Ok(program);
        }
        let _lock = self.locked(progress)?;
        if program.is_file() {
            return Ok(program);
        }
        fs::create_dir_all(place).map_err(io_error("make the folder", place))?;
        remove_leftovers(place);
        let apt = self.apt()?;
        if !apt.has_index() {
            progress("fetching the package index");
            apt.update()?;
        }
        progress("fetching a current pahole, since the one here is too old or missing");
        let work = tempfile::Builder::new().prefix(NEW).tempdir_in(place);
        let work = work.map_err(io_error("make a folder in", place))?;
        let root = apt.fetch_with_dependencies("pahole", work.path())?;
        let bad = |reason: &str| StoreError::BadPackage { package: "pahole".into(), reason: reason.into() };
        for file in ["usr/bin/pahole".to_owned(), format!("{LIBRARIES}/ld-linux-x86-64.so.2")] {
            if !root.join(&file).is_file() {
                return Err(bad(&format!("there is no {file} in it and what it depends on")));
            }
        }
        let entry = work.path().join("entry");
        fs::create_dir(&entry).map_err(io_error("make", &entry))?;
        let (new_root, script) = (entry.join("root"), entry.join("pahole"));
        fs::rename(&root, &new_root).map_err(io_error("move pahole to", &new_root))?;
        // It finds its files from where it is itself, so that the cache can be moved.
        let text = format!(
            "#!/bin/sh\n\
             root=$(dirname \"$0\")/root\n\
             exec \"$root/{LIBRARIES}/ld-linux-x86-64.so.2\" --library-path \"$root/{LIBRARIES}\" \
             \"$root/usr/bin/pahole\" \"$@\"\n"
        );
        fs::write(&script, text).map_err(io_error("write", &script))?;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&script, executable).map_err(io_error("make executable", &script))?;
        let current = place.join("current");
        if current.exists() {
            fs::remove_dir_all(&current).map_err(io_error("remove", &current))?;
        }
        fs::rename(&entry, &current).map_err(io_error("make", &current))?;
        Ok(program)
    }
}
