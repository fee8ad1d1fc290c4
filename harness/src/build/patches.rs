//! Patches, applied with git to copies of the files that they concern.

use super::{BuildError, hash_of, io_error, tree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A patch that was read.
#[derive(Debug)]
pub(super) struct Patch {
    /// Where, absolute.
    path: PathBuf,
    /// What it says.
    pub(super) text: Vec<u8>,
}

/// A file as the patches leave it.
#[derive(Debug)]
pub(super) struct Patched {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Of its content.
    pub(super) hash: u64,
}

/// The files that patches change or make, and those that they remove.
pub(super) type Staged = BTreeMap<PathBuf, Option<Patched>>;

/// Reads the patches.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Patch>, BuildError> {
    let read = |path: &PathBuf| {
        let text = fs::read(path).map_err(io_error("read the patch", path))?;
        let path = path.canonicalize().map_err(io_error("read the patch", path))?;
        Ok(Patch { path, text })
    };
    paths.iter().map(read).collect()
}

/// Applies the patches to copies of the tree's files in `work/staged`.
pub(super) fn apply(patches: &[Patch], tree: &Path, work: &Path) -> Result<Staged, BuildError> {
    let stage = work.join("staged");
    match fs::remove_dir_all(&stage) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error("remove", &stage)(error));
        }
        _ => {}
    }
    let mut staged = Staged::new();
    if patches.is_empty() {
        return Ok(staged);
    }
    fs::create_dir_all(&stage).map_err(io_error("make the folder", &stage))?;
    let mut concerned = BTreeSet::new();
    for patch in patches {
        concerned.extend(named_in(&patch.text));
    }
    for file in &concerned {
        let (from, to) = (tree.join(file), stage.join(file));
        if !fs::symlink_metadata(&from).is_ok_and(|about| about.is_file()) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(io_error("make the folder", folder))?;
        }
        fs::copy(&from, &to).map_err(io_error("copy a file of the source to", &to))?;
    }
    for patch in patches {
        let refused = |reason: String| BuildError::Patch { patch: patch.path.clone(), reason };
        let mut command = Command::new("git");
        command.args(["apply", "-p1", "--whitespace=nowarn"]).arg(&patch.path).current_dir(&stage);
        // Whatever repository the cache may be in is not meant.
        command.env("GIT_CEILING_DIRECTORIES", work).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
        command.env("LC_ALL", "C").stdin(Stdio::null());
        let output = command.output().map_err(io_error("run", Path::new("git")))?;
        if !output.status.success() {
            return Err(refused(complaint(&String::from_utf8_lossy(&output.stderr))));
        }
    }
    let mut left = Vec::new();
    tree::walk(&stage, Path::new(""), &mut left)?;
    for file in &left {
        let path = stage.join(file);
        let content = fs::read(&path).map_err(io_error("read", &path))?;
        if fs::read(tree.join(file)).is_ok_and(|old| old == content) {
            continue;
        }
        staged.insert(file.clone(), Some(Patched { path, hash: hash_of(&content) }));
    }
    let gone = concerned.into_iter().filter(|file| !stage.join(file).exists() && tree.join(file).exists());
    staged.extend(gone.map(|file| (file, None)));
    Ok(staged)
}

/// What git says, with each `patch failed: FILE:LINE` as the hunk that it is.
fn complaint(errors: &str) -> String {
    let mut said: Vec<String> = Vec::new();
    for line in errors.lines().map(|line| line.strip_prefix("error: ").unwrap_or(line).trim()) {
        if let Some((file, number)) = line.strip_prefix("patch failed: ").and_then(|it| it.rsplit_once(':')) {
            said.push(format!("its hunk at line {number} of {file} does not fit the source"));
        } else if !line.is_empty() && !line.ends_with(": patch does not apply") {
            said.push(line.to_owned());
        }
    }
    said.truncate(8);
    if said.is_empty() {
        return "git does not say why".to_owned();
    }
    said.join("; ")
}

/// The files that a patch may concern, with the first part of their names taken off. Lines of its text that only
/// look like names do no harm: such files are copied and found unchanged.
fn named_in(patch: &[u8]) -> BTreeSet<PathBuf> {
    let mut named = BTreeSet::new();
    for line in patch.split(|byte| *byte == b'\n') {
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes.trim_ascii_end()));
        if let Some(name) = line.strip_prefix(b"--- ").or_else(|| line.strip_prefix(b"+++ ")) {
            // `diff -u` puts a time behind a tab.
            let name = name.split(|byte| *byte == b'\t').next().unwrap_or_default();
            named.insert(path(name).components().skip(1).collect());
        } else if let Some(names) = line.strip_prefix(b"diff --git a/") {
            // Where a file is renamed or only its mode changes there is no other line with its name.
            let text = String::from_utf8_lossy(names);
            if let Some((old, new)) = text.trim_end().split_once(" b/") {
                named.extend([PathBuf::from(old), PathBuf::from(new)]);
            }
        }
    }
    named.retain(|path| tree::is_plain(path));
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: &str = "From: someone\nSubject: a change\n\n---\n a.c | 2 +-\n\n\
        diff --git a/kernel/a.c b/kernel/a.c\n--- a/kernel/a.c\n+++ b/kernel/a.c\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n\
        diff --git a/gone.c b/gone.c\ndeleted file mode 100644\n--- a/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n\
        diff --git a/new/n.c b/new/n.c\nnew file mode 100644\n--- /dev/null\n+++ b/new/n.c\n@@ -0,0 +1 @@\n+new\n\
        diff --git a/old.c b/moved.c\nsimilarity index 100%\nrename from old.c\nrename to moved.c\n";
    const AGAIN: &str = "--- x/kernel/a.c\t2026-01-01\n+++ y/kernel/a.c\t2026-01-01\n@@ -1,3 +1,3 @@\n one\n-TWO\n+2\n three\n";

    fn staged(patches: &[&str]) -> Result<Vec<(String, Option<String>)>, BuildError> {
        let folder = tempfile::tempdir().unwrap();
        let (tree, work) = (folder.path().join("tree"), folder.path().join("work"));
        fs::create_dir_all(tree.join("kernel")).unwrap();
        fs::create_dir_all(&work).unwrap();
        for (file, text) in [("kernel/a.c", "one\ntwo\nthree\n"), ("gone.c", "gone\n"), ("old.c", "old\n")] {
            fs::write(tree.join(file), text).unwrap();
        }
        let mut paths = Vec::new();
        for (index, text) in patches.iter().enumerate() {
            let path = folder.path().join(format!("{index}.patch"));
            fs::write(&path, text).unwrap();
            paths.push(path);
        }
        let staged = apply(&read(&paths)?, &tree, &work)?;
        assert_eq!(fs::read_to_string(tree.join("kernel/a.c")).unwrap(), "one\ntwo\nthree\n");
        let content = |patched: Patched| fs::read_to_string(patched.path).unwrap();
        Ok(staged.into_iter().map(|(path, it)| (path.display().to_string(), it.map(content))).collect())
    }

    #[test]
    fn patches_are_applied_in_order_to_copies() {
        let expected = |a: &str| {
            [
                ("gone.c", None),
                ("kernel/a.c", Some(a)),
                ("moved.c", Some("old\n")),
                ("new/n.c", Some("new\n")),
                ("old.c", None),
            ]
            .map(|(path, text)| (path.to_owned(), text.map(str::to_owned)))
        };
        assert!(staged(&[]).unwrap().is_empty());
        assert_eq!(staged(&[CHANGE]).unwrap(), expected("one\nTWO\nthree\n"));
        assert_eq!(staged(&[CHANGE, AGAIN]).unwrap(), expected("one\n2\nthree\n"));
    }

    #[test]
    fn a_patch_that_does_not_apply_names_its_hunk() {
        let said = staged(&[AGAIN]).unwrap_err().to_string();
        assert!(said.contains("0.patch") && said.contains("line 1 of kernel/a.c"), "{said}");
        let said = staged(&["nothing\n"]).unwrap_err().to_string();
        assert!(said.contains("No valid patches"), "{said}");
        let missing = CHANGE.replace("kernel/a.c", "kernel/b.c");
        let said = staged(&[&missing]).unwrap_err().to_string();
        assert!(said.contains("kernel/b.c"), "{said}");
    }

    #[test]
    fn a_patch_cannot_leave_the_tree() {
        let bad = "--- a/../../out.c\n+++ b/../../out.c\n@@ -0,0 +1 @@\n+x\n";
        assert!(named_in(bad.as_bytes()).is_empty());
        assert!(matches!(staged(&[bad]), Err(BuildError::Patch { .. })));
    }
}
