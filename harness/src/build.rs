//! Builds a small kernel from source: x86-64, with everything built in that BPF programs and virtual machines ask for.
//!
//! Everything is kept in the cache, `builds/`:
//!
//! ```text
//! images/NAME/bzImage      a kernel that was built, and build.json: what of
//! pahole/                  where the system's pahole is too old
//! WORK/origin/             a packaged source, unpacked once
//! WORK/source/             what is compiled: a copy of the tree or of `origin`, with the patches applied
//! WORK/out/                what make writes
//! WORK/build.log           what make said last
//! ```
//!
//! There is one `WORK` for a tree and one for a package. Before each build `source` is made what it has to be, and
//! only files whose content differs are touched, so that make compiles only what a change or a patch concerns, and
//! a tree that is given is never written to, whether or not its owner builds in it.

mod config;
mod make;
mod mirror;
mod patches;
mod tools;
mod tree;

use crate::{
    cache,
    image::{Image, ImageError},
    packages::{Store, StoreError},
    run::Cancel,
};
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};
use std::{
    collections::hash_map::DefaultHasher,
    fs::{self, File, TryLockError},
    hash::{Hash, Hasher},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// What a build begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A kernel source tree. It is read and never written to.
    Tree(PathBuf),
    /// The packaged source of a series: `7.2` for the package `linux-source-7.2`.
    Package(String),
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Request {
    /// The source.
    pub source: Source,
    /// Patches (`-p1`), applied in this order to a copy.
    pub patches: Vec<PathBuf>,
    /// Compilers at a time.
    pub jobs: u32,
    /// What the image is called in the cache; `None`: after its source and its patches.
    pub name: Option<String>,
}

/// What goes on.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Something that takes a while begins, or is worth a line.
    Note(&'a str),
    /// make has begun with one more file: how many there were, and which.
    File(u32, &'a str),
}

/// A kernel that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The bzImage.
    pub image: PathBuf,
    /// `uname -r`.
    pub release: String,
}

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BuildError {
    #[error("interrupted; what was compiled so far is kept, and the next build goes on from there")]
    Cancelled,
    #[error("building a kernel needs {what}. On Debian and Ubuntu: apt-get install {packages}")]
    Tools { what: String, packages: String },
    #[error("{path} is not a Linux source tree: {reason}")]
    NotATree { path: PathBuf, reason: String },
    #[error(
        "{path} is no git checkout and a kernel was built in it ({found} is there), so its source cannot be told \
         from what was made of it. Run `make mrproper` in it, or name a clean copy"
    )]
    BuiltIn { path: PathBuf, found: String },
    #[error("the patch {patch} does not apply: {reason}")]
    Patch { patch: PathBuf, reason: String },
    #[error(
        "`{name}` cannot name a kernel: letters, digits and . _ + - are allowed, and no dot at the beginning"
    )]
    BadName { name: String },
    #[error(
        "the cache is in {path}, and the kernel's make takes no path with blanks or colons: set XDG_CACHE_HOME"
    )]
    BadCache { path: PathBuf },
    #[error(
        "this source cannot be configured as needed: make left out {missing}. Its dependencies differ from those of \
         the kernels that the configuration was written for"
    )]
    Config { missing: String },
    #[error("{what} failed ({status}). The end of {log}:\n{tail}")]
    Make { what: &'static str, status: String, log: PathBuf, tail: String, killed: bool },
    #[error(
        "the disk is full: {path} has {free} MiB left, and a build takes some {NEEDED_MIB} MiB. Free some space, or set XDG_CACHE_HOME"
    )]
    DiskFull { path: PathBuf, free: u64 },
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the kernel that was built cannot be used: {0}")]
    Image(#[from] ImageError),
}

/// What a first build takes on the disk.
const NEEDED_MIB: u64 = 4096;
/// Below this, the next build cannot end well either.
const LOW_MIB: u64 = 64;

/// What is noted beside an image.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
struct Note {
    /// The tree or the package.
    source: String,
    /// The names of the patches.
    patches: Vec<String>,
    release: String,
    /// Of everything that the image is made of, where that is known before the build.
    inputs: Option<u64>,
}

/// Builds a kernel, or only what has changed since the last build of the same source.
///
/// `sink` is called on this thread. When the function returns, no compiler is running any more.
pub fn build(request: &Request, cancel: &Cancel, sink: &dyn Fn(Step<'_>)) -> Result<Built, BuildError> {
    if let Some(name) = &request.name {
        check_name(name)?;
    }
    let root = cache::root().ok_or(StoreError::NoCache)?.join("builds");
    if root.to_string_lossy().contains([' ', ':', '\t', '\n']) {
        return Err(BuildError::BadCache { path: root });
    }
    fs::create_dir_all(&root).map_err(io_error("make the folder", &root))?;
    // What is quickly told to be wrong comes first.
    let patches = patches::read(&request.patches)?;
    if let Source::Tree(path) = &request.source {
        Origin::tree(path)?;
    }
    let tools =
        tools::find(&request.source, !request.patches.is_empty(), &root, &|text| sink(Step::Note(text)))?;
    let origin = match &request.source {
        Source::Tree(path) => Origin::tree(path)?,
        Source::Package(series) => {
            let tarball =
                Store::open()?.cancelled_by(cancel).source(series, &|text| sink(Step::Note(text)))?;
            Origin::package(series, tarball)?
        }
    };
    let contents: Vec<&[u8]> = patches.iter().map(|patch| patch.text.as_slice()).collect();
    let image_name = request.name.clone().unwrap_or_else(|| match contents.as_slice() {
        [] => origin.name.clone(),
        contents => format!("{}+{:08x}", origin.name, hash_of(&contents) as u32),
    });
    let place = root.join("images").join(&image_name);
    let inputs = origin
        .identity
        .as_ref()
        .map(|identity| hash_of(&(identity, &contents, config::FRAGMENT, &tools.identity)));
    if let Some(built) = inputs.and_then(|inputs| already_built(&place, inputs)) {
        sink(Step::Note("this kernel is in the cache already"));
        return Ok(built);
    }

    let work = root.join(&origin.name);
    fs::create_dir_all(&work).map_err(io_error("make the folder", &work))?;
    let lock = lock(&work, cancel, sink)?;
    let enough = if work.join("out/vmlinux").exists() { NEEDED_MIB / 8 } else { NEEDED_MIB };
    if free_mib(&work).is_some_and(|free| free < enough) {
        return Err(BuildError::DiskFull { free: free_mib(&work).unwrap_or(0), path: work });
    }
    let built = build_in(&work, &lock, &origin, &patches, &tools, request.jobs, cancel, sink);
    // The reasons that tools give for a full disk are many, and some give none.
    let bz_image = built.map_err(|error| match (&error, free_mib(&work)) {
        (BuildError::Make { .. } | BuildError::Io { .. }, Some(free)) if free < LOW_MIB => {
            BuildError::DiskFull { path: work.clone(), free }
        }
        _ => error,
    })?;
    let image = Image::open(&bz_image)?;
    let note = Note {
        source: origin.folder.as_ref().unwrap_or(&origin.path).display().to_string(),
        patches: request.patches.iter().map(|path| path.display().to_string()).collect(),
        release: image.release.clone(),
        inputs,
    };
    keep(&bz_image, &place, &note)?;
    drop(lock);
    Ok(Built { image: place.join("bzImage"), release: image.release })
}

/// The image that was built under that name, if there is one.
pub fn image(name: &str) -> Option<PathBuf> {
    check_name(name).ok()?;
    let image = images_folder()?.join(name).join("bzImage");
    image.is_file().then_some(image)
}

/// Every kernel that was built and is still there.
pub fn images() -> Vec<Built> {
    let entries = images_folder().and_then(|folder| fs::read_dir(folder).ok());
    let built = entries.into_iter().flatten().flatten().filter_map(|entry| {
        let note: Note = serde_json::from_slice(&fs::read(entry.path().join("build.json")).ok()?).ok()?;
        let image = Some(entry.path().join("bzImage")).filter(|image| image.is_file())?;
        Some(Built { image, release: note.release })
    });
    built.collect()
}

fn images_folder() -> Option<PathBuf> {
    Some(cache::root()?.join("builds/images"))
}

/// The part that happens in the working folder; returns the bzImage there.
#[allow(clippy::too_many_arguments)]
fn build_in(
    work: &Path,
    lock: &File,
    origin: &Origin,
    patches: &[patches::Patch],
    tools: &tools::Tools,
    jobs: u32,
    cancel: &Cancel,
    sink: &dyn Fn(Step<'_>),
) -> Result<PathBuf, BuildError> {
    let folder = match &origin.folder {
        Some(folder) => folder.clone(),
        None => tree::unpack(&origin.path, &work.join("origin"), lock, cancel, sink)?,
    };
    tree::check(&folder)?;
    let files = tree::files(&folder)?;
    let staged = patches::apply(patches, &folder, work)?;
    let source = work.join("source");
    if !source.exists() {
        sink(Step::Note("copying the source"));
    }
    mirror::update(&folder, &files, &staged, &source, origin.folder.is_none(), cancel)?;
    let make = make::Make::new(&source, work, lock, tools, jobs)?;
    let mut count = 0;
    sink(Step::Note("configuring"));
    config::configure(&make, &source, cancel, sink)?;
    sink(Step::Note("compiling"));
    make.run("the build of the kernel", &["bzImage"], cancel, &mut |file| {
        count += 1;
        sink(Step::File(count, file));
    })?;
    Ok(make.out().join("arch/x86/boot/bzImage"))
}

/// Where a source comes from.
#[derive(Debug)]
struct Origin {
    /// Of the working folder, and of the image if it is given no other.
    name: String,
    /// The tree, or the tarball.
    path: PathBuf,
    /// The tree; `None` while it is a tarball.
    folder: Option<PathBuf>,
    /// Changes whenever the source does; `None` if only reading all of it could tell.
    identity: Option<String>,
}

impl Origin {
    fn tree(path: &Path) -> Result<Origin, BuildError> {
        let path = path
            .canonicalize()
            .map_err(|error| BuildError::NotATree { path: path.into(), reason: error.to_string() })?;
        tree::check(&path)?;
        let stem: String = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
            .chars()
            .map(|letter| if is_name_letter(letter) { letter } else { '_' })
            .collect();
        let stem = stem.trim_start_matches('.');
        let name = format!("{stem}-{:08x}", hash_of(&path) as u32);
        Ok(Origin { name, folder: Some(path.clone()), path, identity: None })
    }

    fn package(series: &str, tarball: PathBuf) -> Result<Origin, BuildError> {
        let about = fs::metadata(&tarball).map_err(io_error("read", &tarball))?;
        let identity = tree::stamp_of(&tarball, &about);
        Ok(Origin {
            name: format!("linux-source-{series}"),
            path: tarball,
            folder: None,
            identity: Some(identity),
        })
    }
}

fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "._+-".contains(letter)
}

fn check_name(name: &str) -> Result<(), BuildError> {
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(is_name_letter) {
        return Err(BuildError::BadName { name: name.to_owned() });
    }
    Ok(())
}

/// The kernel at `place`, if it was built of just these inputs.
fn already_built(place: &Path, inputs: u64) -> Option<Built> {
    let note: Note = serde_json::from_slice(&fs::read(place.join("build.json")).ok()?).ok()?;
    let image = Image::open(&place.join("bzImage")).ok()?;
    (note.inputs == Some(inputs) && note.release == image.release)
        .then_some(Built { image: image.path, release: image.release })
}

/// Puts the image at its place. It is whole there or not there, and never beside the note of another.
fn keep(bz_image: &Path, place: &Path, note: &Note) -> Result<(), BuildError> {
    fs::create_dir_all(place).map_err(io_error("make the folder", place))?;
    let (image, about) = (place.join("bzImage"), place.join("build.json"));
    // Two builds may be given one name. Nothing is left of a lock of the folder itself, which some file systems have not.
    let lock = File::open(place).ok().filter(|folder| folder.lock().is_ok());
    if lock.is_some() {
        cache::remove_leftovers(place);
    }
    let new = tempfile::Builder::new().prefix(cache::NEW).tempdir_in(place);
    let new = new.map_err(io_error("make a folder in", place))?;
    let copy = new.path().join("bzImage");
    fs::copy(bz_image, &copy).map_err(io_error("copy the kernel to", &copy))?;
    match fs::remove_file(&about) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", &about)(error));
        }
        _ => {}
    }
    fs::rename(&copy, &image).map_err(io_error("make", &image))?;
    let text = serde_json::to_vec_pretty(note).unwrap_or_default();
    fs::write(&about, text).map_err(io_error("write", &about))
}

/// Waits until no other build uses the folder. What make is given as its standard input is this file, so the lock
/// is held as long as any of its processes lives, should this one be killed.
fn lock(work: &Path, cancel: &Cancel, sink: &dyn Fn(Step<'_>)) -> Result<File, BuildError> {
    let path = work.join("lock");
    let file =
        File::options().create(true).read(true).append(true).open(&path).map_err(io_error("open", &path))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
            Err(TryLockError::WouldBlock) if cancel.is_cancelled() => return Err(BuildError::Cancelled),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    sink(Step::Note("waiting for another build of the same source to end"));
                    told = true;
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Space left for us where `path` is, in MiB.
fn free_mib(path: &Path) -> Option<u64> {
    let about = statvfs(path).ok()?;
    Some(about.blocks_available().saturating_mul(about.fragment_size()) >> 20)
}

fn hash_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError + use<> {
    let path = path.to_path_buf();
    move |source| BuildError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for good in ["a", "linux-7.2+fix_1", "x..y"] {
            check_name(good).unwrap();
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a b", "ä"] {
            assert!(matches!(check_name(bad), Err(BuildError::BadName { .. })), "{bad}");
        }
    }

    #[test]
    fn an_image_is_only_reused_for_the_same_inputs() {
        let place = tempfile::tempdir().unwrap();
        assert!(already_built(place.path(), 1).is_none());
        let note = Note { source: "s".into(), patches: vec![], release: "7.2".into(), inputs: Some(1) };
        let bz_image = place.path().join("made");
        fs::write(&bz_image, "no kernel").unwrap();
        keep(&bz_image, &place.path().join("kept"), &note).unwrap();
        // The note fits and the image is none.
        assert!(already_built(&place.path().join("kept"), 1).is_none());
        assert_eq!(fs::read(place.path().join("kept/bzImage")).unwrap(), b"no kernel");

        // What a build that was killed has left goes with the next one.
        fs::create_dir(place.path().join("kept/.new-dead")).unwrap();
        fs::write(place.path().join("kept/.new-dead/bzImage"), "half").unwrap();
        keep(&bz_image, &place.path().join("kept"), &note).unwrap();
        let mut left: Vec<_> = fs::read_dir(place.path().join("kept"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["build.json", "bzImage"]);
    }

    #[test]
    fn one_build_at_a_time() {
        let work = tempfile::tempdir().unwrap();
        let cancel = Cancel::new();
        let held = lock(work.path(), &cancel, &|_| {}).unwrap();
        cancel.cancel();
        let second = lock(work.path(), &cancel, &|_| {});
        assert!(matches!(second, Err(BuildError::Cancelled)));
        drop(held);
        lock(work.path(), &Cancel::new(), &|_| {}).unwrap();
    }

    /// A tree in which everything takes no time. Its kernel says what it was made of.
    fn small_tree(folder: &Path) -> PathBuf {
        let tree = folder.join("tree");
        for (file, text) in [
            ("Kconfig", "config NETKIT\n"),
            ("kernel/bpf/verifier.c", "one\n"),
            ("arch/x86/Makefile", ""),
            (
                "Makefile",
                "VERSION = 7\nPATCHLEVEL = 2\nallnoconfig:\n\tgrep -v \"$$(cat lost)\" $(KCONFIG_ALLCONFIG) \
                 >$(O)/.config\nbzImage:\n\tmkdir -p $(O)/arch/x86/boot\n\tcp kernel/bpf/verifier.c \
                 $(O)/arch/x86/boot/bzImage\n",
            ),
            ("lost", "none of them\n"),
        ] {
            let path = tree.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    #[test]
    fn a_tree_is_built_with_and_without_a_patch_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let tree = small_tree(folder.path());
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        let patch = folder.path().join("a.patch");
        fs::write(
            &patch,
            "--- a/kernel/bpf/verifier.c\n+++ b/kernel/bpf/verifier.c\n@@ -1 +1 @@\n-one\n+two\n",
        )
        .unwrap();
        let origin = Origin::tree(&tree).unwrap();
        let tools = tools::Tools { pahole: "pahole".into(), identity: String::new() };
        let held = lock(&work, &Cancel::new(), &|_| {}).unwrap();
        let build = |patches: &[PathBuf]| {
            let patches = patches::read(patches)?;
            build_in(&work, &held, &origin, &patches, &tools, 1, &Cancel::new(), &|_| {})
        };
        let kernel = |patches: &[PathBuf]| fs::read_to_string(build(patches).unwrap()).unwrap();
        assert_eq!(kernel(&[]), "one\n");
        assert_eq!(kernel(std::slice::from_ref(&patch)), "two\n");
        assert_eq!(kernel(&[]), "one\n");
        assert_eq!(fs::read_to_string(tree.join("kernel/bpf/verifier.c")).unwrap(), "one\n");
        assert!(!tree.join(".config").exists());

        // An option that the source has must come through, one that it does not know need not.
        fs::write(tree.join("lost"), "NETKIT\n").unwrap();
        let said = build(&[]).unwrap_err().to_string();
        assert!(said.contains("left out CONFIG_NETKIT."), "{said}");
        fs::write(tree.join("lost"), "CONFIG_VETH\n").unwrap();
        build(&[]).unwrap();
        // But no kernel is of use without these.
        fs::write(tree.join("lost"), "BPF_SYSCALL\n").unwrap();
        assert!(matches!(build(&[]), Err(BuildError::Config { .. })));

        fs::write(tree.join("Makefile"), "PATCHLEVEL = 2\nallnoconfig:\n\techo a.c:1: error: no; exit 1\n")
            .unwrap();
        let said = build(&[]).unwrap_err().to_string();
        assert!(said.contains("a.c:1: error: no") && said.contains("build.log"), "{said}");
    }
}
