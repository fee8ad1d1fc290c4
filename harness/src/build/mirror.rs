//! The copy of a source that is compiled. It is brought up to date by touching only files whose content changes, so
//! that make sees just those as new; what is changed back counts as changed, too.

use super::{BuildError, io_error, patches::Staged};
use crate::run::Cancel;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// What a file of the copy was made of: the origin's file, or the patched one.
#[derive(Serialize, Deserialize, PartialEq, Eq, Clone, Debug)]
enum Stamp {
    Origin { inode: u64, size: u64, time: i64, nanoseconds: i64 },
    Patched(u64),
}

/// What is known of a copy that was finished. Missing, nothing is known, and contents are compared.
type Manifest = BTreeMap<PathBuf, Stamp>;

/// Makes `copy` what `origin` is in the given files, with those of `staged` instead of the origin's. `ours` says that
/// the origin is never changed in place, so its files need not be copied at first.
pub(super) fn update(
    origin: &Path,
    files: &[PathBuf],
    staged: &Staged,
    copy: &Path,
    ours: bool,
    cancel: &Cancel,
) -> Result<(), BuildError> {
    let manifest_path = copy.with_extension("json");
    let before: Option<Manifest> =
        fs::read(&manifest_path).ok().and_then(|it| serde_json::from_slice(&it).ok());
    // From here to the end, the manifest would not be true.
    match fs::remove_file(&manifest_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", &manifest_path)(error));
        }
        _ => {}
    }
    fs::create_dir_all(copy).map_err(io_error("make the folder", copy))?;
    let (mut after, mut plan) = (Manifest::new(), Vec::new());
    let all = files.iter().filter(|file| !staged.contains_key(*file)).map(|file| (file, None));
    for (file, patched) in all.chain(staged.iter().map(|(file, patched)| (file, Some(patched)))) {
        let (from, stamp) = match patched {
            // The patch removes it.
            Some(None) => continue,
            Some(Some(patched)) => (patched.path.clone(), Stamp::Patched(patched.hash)),
            None => {
                let from = origin.join(file);
                let about = match fs::symlink_metadata(&from) {
                    Ok(about) => about,
                    // git lists what is deleted and not committed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(io_error("read", &from)(error)),
                };
                if about.is_dir() {
                    // A repository inside the repository.
                    continue;
                }
                let (inode, size) = (about.ino(), about.size());
                (from, Stamp::Origin { inode, size, time: about.mtime(), nanoseconds: about.mtime_nsec() })
            }
        };
        let known = before.as_ref().is_some_and(|before| before.get(file) == Some(&stamp));
        if !known || fs::symlink_metadata(copy.join(file)).is_err() {
            plan.push((from, copy.join(file), ours && patched.is_none()));
        }
        after.insert(file.clone(), stamp);
    }
    // First what is gone: a folder may take the name of a file.
    let there = match before {
        Some(before) => before.into_keys().collect(),
        None => listed(copy)?,
    };
    for file in there.iter().filter(|file| !after.contains_key(*file)) {
        let path = copy.join(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &path)(error));
            }
            _ => {}
        }
    }
    for (from, to, may_link) in plan {
        if cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        put(&from, &to, may_link)?;
    }
    let text = serde_json::to_vec(&after).unwrap_or_default();
    fs::write(&manifest_path, text).map_err(io_error("write", &manifest_path))
}

/// Makes `to` what `from` is, with the present as its time, unless it is that already.
fn put(from: &Path, to: &Path, may_link: bool) -> Result<(), BuildError> {
    let about = fs::symlink_metadata(from).map_err(io_error("read", from))?;
    let old = fs::symlink_metadata(to).ok();
    if about.is_symlink() {
        let target = fs::read_link(from).map_err(io_error("read", from))?;
        if fs::read_link(to).is_ok_and(|old| old == target) {
            return Ok(());
        }
        make_room(to, old.is_some())?;
        return symlink(&target, to).map_err(io_error("make", to));
    }
    if !about.is_file() {
        return Ok(());
    }
    if let Some(old) = &old {
        let same = old.is_file()
            && old.size() == about.size()
            && old.permissions().mode() == about.permissions().mode()
            && same_content(from, to).map_err(io_error("read", from))?;
        if same {
            return Ok(());
        }
    }
    make_room(to, old.is_some())?;
    // A file that was here before needs a new time, which a link would not have.
    if may_link && old.is_none() && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).map(|_| ()).map_err(io_error("copy a file of the source to", to))
}

/// Removes what is there, never writing through a link, and makes the folder.
fn make_room(to: &Path, there: bool) -> Result<(), BuildError> {
    if to.is_dir() && !to.is_symlink() {
        // All that was in it is gone from the origin.
        return fs::remove_dir_all(to).map_err(io_error("replace", to));
    }
    if there {
        return fs::remove_file(to).map_err(io_error("replace", to));
    }
    match to.parent() {
        Some(folder) if !folder.is_dir() => {
            fs::create_dir_all(folder).map_err(io_error("make the folder", folder))
        }
        _ => Ok(()),
    }
}

fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (fs::File::open(a)?, fs::File::open(b)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    a.read_to_end(&mut left)?;
    b.read_to_end(&mut right)?;
    Ok(left == right)
}

/// Every file below a folder, as relative paths.
fn listed(root: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(io_error("read", &folder))? {
            let entry = entry.map_err(io_error("read", &folder))?;
            let path = entry.path();
            if entry.file_type().map_err(io_error("read", &path))?.is_dir() {
                folders.push(path);
            } else if let Ok(file) = path.strip_prefix(root) {
                files.push(file.to_path_buf());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::patches::Patched;
    use super::*;
    use std::time::SystemTime;

    struct Setup {
        folder: tempfile::TempDir,
    }

    impl Setup {
        fn new() -> Setup {
            let setup = Setup { folder: tempfile::tempdir().unwrap() };
            fs::create_dir_all(setup.origin().join("a")).unwrap();
            setup.write("a/one.c", "one");
            setup.write("two.c", "two");
            setup
        }

        fn origin(&self) -> PathBuf {
            self.folder.path().join("origin")
        }

        fn copy(&self) -> PathBuf {
            self.folder.path().join("copy")
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.origin().join(file);
            let _ = fs::remove_file(&path);
            fs::write(path, text).unwrap();
        }

        fn update(&self, files: &[&str], staged: &Staged, ours: bool) {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            update(&self.origin(), &files, staged, &self.copy(), ours, &Cancel::new()).unwrap();
        }

        fn read(&self, file: &str) -> Option<String> {
            fs::read_to_string(self.copy().join(file)).ok()
        }

        fn time(&self, file: &str) -> SystemTime {
            fs::metadata(self.copy().join(file)).unwrap().modified().unwrap()
        }

        /// A time long ago for every file, to see which are touched.
        fn age(&self, files: &[&str]) {
            for file in files {
                let open = fs::File::options().append(true).open(self.copy().join(file)).unwrap();
                open.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
        }
    }

    const BOTH: [&str; 2] = ["a/one.c", "two.c"];

    #[test]
    fn only_what_differs_is_touched() {
        for ours in [false, true] {
            let setup = Setup::new();
            setup.update(&BOTH, &Staged::new(), ours);
            assert_eq!(
                (setup.read("a/one.c").as_deref(), setup.read("two.c").as_deref()),
                (Some("one"), Some("two"))
            );
            setup.age(&BOTH);
            setup.write("two.c", "TWO");
            // The same text in a new file is no change.
            setup.write("a/one.c", "one");
            setup.update(&BOTH, &Staged::new(), ours);
            assert_eq!(setup.read("two.c").as_deref(), Some("TWO"));
            assert!(setup.time("two.c") > SystemTime::UNIX_EPOCH);
            assert_eq!(setup.time("a/one.c"), SystemTime::UNIX_EPOCH);
            setup.update(&["two.c"], &Staged::new(), ours);
            assert_eq!(setup.read("a/one.c"), None);
        }
    }

    #[test]
    fn a_patch_comes_and_goes_and_the_origin_stays() {
        let setup = Setup::new();
        setup.update(&BOTH, &Staged::new(), true);
        let patched = setup.folder.path().join("patched");
        fs::write(&patched, "ONE").unwrap();
        let staged = Staged::from([
            (PathBuf::from("a/one.c"), Some(Patched { path: patched, hash: 1 })),
            (PathBuf::from("two.c"), None),
        ]);
        setup.update(&BOTH, &staged, true);
        assert_eq!((setup.read("a/one.c").as_deref(), setup.read("two.c")), (Some("ONE"), None));
        assert_eq!(fs::read_to_string(setup.origin().join("a/one.c")).unwrap(), "one");
        setup.age(&["a/one.c"]);
        setup.update(&BOTH, &Staged::new(), true);
        assert_eq!(
            (setup.read("a/one.c").as_deref(), setup.read("two.c").as_deref()),
            (Some("one"), Some("two"))
        );
        assert!(setup.time("a/one.c") > SystemTime::UNIX_EPOCH, "make would not see it");
    }

    #[test]
    fn a_file_becomes_a_folder_and_a_file_again() {
        let setup = Setup::new();
        setup.update(&BOTH, &Staged::new(), false);
        fs::remove_file(setup.origin().join("two.c")).unwrap();
        fs::create_dir(setup.origin().join("two.c")).unwrap();
        setup.write("two.c/x", "x");
        setup.update(&["a/one.c", "two.c/x"], &Staged::new(), false);
        assert_eq!(setup.read("two.c/x").as_deref(), Some("x"));
        fs::remove_dir_all(setup.origin().join("two.c")).unwrap();
        setup.write("two.c", "two");
        setup.update(&BOTH, &Staged::new(), false);
        assert_eq!(setup.read("two.c").as_deref(), Some("two"));
    }

    #[test]
    fn an_update_that_was_broken_off_is_made_good() {
        let setup = Setup::new();
        setup.update(&BOTH, &Staged::new(), false);
        fs::remove_file(setup.copy().with_extension("json")).unwrap();
        fs::write(setup.copy().join("two.c"), "t").unwrap();
        fs::write(setup.copy().join("three.c"), "left over").unwrap();
        setup.age(&["a/one.c"]);
        setup.update(&BOTH, &Staged::new(), false);
        assert_eq!((setup.read("two.c").as_deref(), setup.read("three.c")), (Some("two"), None));
        assert_eq!(setup.time("a/one.c"), SystemTime::UNIX_EPOCH);
    }
}
