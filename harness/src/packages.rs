//! Packaged kernels: found and fetched with apt in a folder of our own, kept in the cache.
//!
//! The cache is `kernels/RELEASE/vmlinuz` with the kernel's `config` and a `package.json` beside it. An entry appears
//! in one step, so it is whole or not there, but for the configuration, which may come later or not at all; a lock
//! keeps two runs from fetching at once. What is cached is used without asking apt at all: which kernel is the newest
//! of a series is only asked when none of the series is cached or when fetching is asked for.

mod apt;
mod pahole;
mod source;
mod version;

use crate::{
    cache::{self, NEW, remove_leftovers},
    image::Image,
    run::Cancel,
};
use apt::Apt;
use serde::{Deserialize, Serialize};
use std::{
    cmp::Ordering,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use version::Wanted;

/// A packaged kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaged {
    /// The kernel's version: `7.2.12`, `7.3~rc7`.
    pub version: String,
    /// `uname -r`: `7.2.12+deb13-cloud-amd64`.
    pub release: String,
    /// The package with the image.
    pub package: String,
    /// The image, if it is in the cache.
    pub cached: Option<PathBuf>,
}

impl Packaged {
    /// Whether `wanted`, a series (`7.2`) or a version (`7.2.12`), names this kernel.
    pub fn is(&self, wanted: &str) -> bool {
        Wanted::parse(wanted).is_some_and(|wanted| wanted.fits(&self.version))
    }
}

/// Why a packaged kernel cannot be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error("interrupted")]
    Cancelled,
    #[error("there is no place for a cache: set XDG_CACHE_HOME or HOME to an absolute path")]
    NoCache,
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "`{wanted}` names no kernel: give a series like 7.2, a version like 7.2.12, or the path of an image"
    )]
    BadName { wanted: String },
    #[error("{reason}. {WAY_OUT}")]
    Apt { reason: String },
    #[error("no packaged kernel is {wanted}; there are {known}. {WAY_OUT}")]
    NotPackaged { wanted: String, known: String },
    #[error(
        "no package offers the source {package}. A kernel source tree that is already here can be given instead"
    )]
    NoSource { package: String },
    #[error("the package {package} has the source of {offered} and not of {wanted}")]
    OtherSource { package: String, offered: String, wanted: String },
    #[error("the package {package} is of no use: {reason}. {WAY_OUT}")]
    BadPackage { package: String, reason: String },
    #[error(
        "no package that apt knows has it: objects that ask for CONFIG_ values cannot be loaded. A file `config` beside \
         the image serves as well"
    )]
    NoConfig,
}

const WAY_OUT: &str = "A kernel image that is already here can be given with `--kernel PATH`";

/// How long another run is waited for without a word.
const SILENCE: Duration = Duration::from_secs(1);

/// What is noted beside a cached image.
#[derive(Serialize, Deserialize)]
struct Note {
    package: String,
    /// Of the package: `7.2.12-1~bpo13+1`.
    package_version: String,
    /// Bytes of the image. One that is shorter was being written when the machine went down.
    #[serde(default)]
    size: Option<u64>,
}

/// A kernel, with the version of its package.
#[derive(Clone, Debug)]
struct Known {
    packaged: Packaged,
    package_version: String,
}

/// The packaged kernels: those in the cache and those that apt knows.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    cancel: Cancel,
}

impl Store {
    /// The store in the user's cache folder, which is made if it is not there.
    pub fn open() -> Result<Store, StoreError> {
        Self::open_at(cache::root().ok_or(StoreError::NoCache)?)
    }

    fn open_at(root: PathBuf) -> Result<Store, StoreError> {
        let kernels = root.join("kernels");
        fs::create_dir_all(&kernels).map_err(io_error("make the cache folder", &kernels))?;
        Ok(Store { root, cancel: Cancel::new() })
    }

    /// The same store, whose fetching and waiting ends with [`StoreError::Cancelled`] when `cancel` is used.
    pub fn cancelled_by(self, cancel: &Cancel) -> Store {
        Store { cancel: cancel.clone(), ..self }
    }

    fn apt(&self) -> Result<Apt<'_>, StoreError> {
        Apt::open(&self.root, &self.cancel)
    }

    /// Every kernel that is cached or that the package index knows, oldest first. The index is fetched if it
    /// never was; where that fails the cached ones are listed and `progress` is told, or the reason is given if there
    /// are none.
    pub fn list(&self, progress: &dyn Fn(&str)) -> Result<Vec<Packaged>, StoreError> {
        let mut known = self.cached_known()?;
        match self.locked(progress).and_then(|_lock| self.index(false, progress)) {
            Ok((index, _)) => merge(&mut known, index),
            Err(error) if known.is_empty() || matches!(error, StoreError::Cancelled) => return Err(error),
            Err(error) => progress(&format!("warning: only kernels in the cache are known: {error}")),
        }
        sort(&mut known);
        Ok(known.into_iter().map(|known| known.packaged).collect())
    }

    /// The kernels in the cache, oldest first. Asks nobody.
    pub fn cached(&self) -> Result<Vec<Packaged>, StoreError> {
        let mut known = self.cached_known()?;
        sort(&mut known);
        Ok(known.into_iter().map(|known| known.packaged).collect())
    }

    /// The image of the kernel `wanted`: a series (`7.2`: its newest, a release candidate only if there is
    /// nothing else) or a version (`7.2.12`). From the cache if it or one of the series is there, else fetched.
    pub fn resolve(&self, wanted: &str, progress: &dyn Fn(&str)) -> Result<PathBuf, StoreError> {
        let name = parse(wanted)?;
        let cached = newest(self.cached_known()?, &name);
        if let Some((path, known)) = cached.and_then(|known| Some((known.packaged.cached.clone()?, known))) {
            self.complete(&known, false, progress);
            return Ok(path);
        }
        self.fetch_into_cache(wanted, &name, false, progress)
    }

    /// [`Store::resolve`], but asks the package index anew, so that a newer kernel of the series is seen. If
    /// that fails, a cached kernel that is wanted too is taken, and `progress` is told.
    pub fn fetch(&self, wanted: &str, progress: &dyn Fn(&str)) -> Result<PathBuf, StoreError> {
        let name = parse(wanted)?;
        self.fetch_into_cache(wanted, &name, true, progress).or_else(|error| {
            if matches!(error, StoreError::Cancelled) {
                return Err(error);
            }
            let known = newest(self.cached_known()?, &name);
            let Some((path, known)) = known.and_then(|known| Some((known.packaged.cached.clone()?, known)))
            else {
                return Err(error);
            };
            progress(&format!("{error}; using {} from the cache", known.packaged.release));
            Ok(path)
        })
    }

    /// The package that [`Store::fetch`] would take, as apt names it with its version:
    /// `linux-binary-7.2.13+deb14-cloud-amd64=7.2.13-1`. Asks the package index anew and fetches nothing else, so that
    /// what is kept of an earlier run can be told to be the newest.
    pub fn newest(&self, wanted: &str, progress: &dyn Fn(&str)) -> Result<String, StoreError> {
        let name = parse(wanted)?;
        let _lock = self.locked(progress)?;
        let mut known = Vec::new();
        merge(&mut known, self.index(true, progress)?.0);
        let chosen = choose(known, wanted, &name)?;
        Ok(format!("{}={}", chosen.packaged.package, chosen.package_version))
    }

    /// The image of a kernel of [`Store::list`], from the cache or fetched.
    pub fn obtain(&self, kernel: &Packaged, progress: &dyn Fn(&str)) -> Result<PathBuf, StoreError> {
        let is_it = |known: &Known| known.packaged.release == kernel.release;
        let _lock = self.locked(progress)?;
        if let Some(path) = self.cached_known()?.into_iter().find(is_it).and_then(|k| k.packaged.cached) {
            return Ok(path);
        }
        match self.index(false, progress)?.0.into_iter().find(is_it) {
            Some(known) => self.fetch_package(&known, progress),
            None => {
                Err(StoreError::NotPackaged { wanted: kernel.release.clone(), known: "others".to_string() })
            }
        }
    }

    fn fetch_into_cache(
        &self,
        wanted: &str,
        name: &Wanted,
        refresh: bool,
        progress: &dyn Fn(&str),
    ) -> Result<PathBuf, StoreError> {
        let lock = self.locked(progress)?;
        // Another run may have fetched it while this one waited for the lock.
        let mut known = self.cached_known()?;
        if let (false, Some(path)) = (refresh, newest(known.clone(), name).and_then(|k| k.packaged.cached)) {
            return Ok(path);
        }
        let (mut index, is_new) = self.index(refresh, progress)?;
        if !is_new && newest(index.clone(), name).is_none() {
            (index, _) = self.index(true, progress)?;
        }
        merge(&mut known, index);
        let chosen = choose(known, wanted, name)?;
        // Whoever asks anew may do so because what is there is damaged.
        let is_good = |path: &PathBuf| !refresh || Image::open(path).is_ok();
        match chosen.packaged.cached.clone().filter(is_good) {
            Some(path) => {
                drop(lock);
                self.complete(&chosen, refresh, progress);
                Ok(path)
            }
            None => self.fetch_package(&chosen, progress),
        }
    }

    /// Adds the configuration to an entry that has none, one that an older version of this program made. Where that
    /// fails it is not tried again, but `again`; where apt has no index yet it is not asked at all.
    fn complete(&self, known: &Known, again: bool, progress: &dyn Fn(&str)) {
        let entry = self.root.join("kernels").join(&known.packaged.release);
        let (config, failed) = (entry.join("config"), entry.join("no-config"));
        if config.is_file() || failed.is_file() && !again || !Apt::was_updated(&self.root) {
            return;
        }
        if let Err(error) = self.fetch_config(known, &config, progress) {
            progress(&format!("the configuration of {}: {error}", known.packaged.release));
            // Only what no other day would change is kept.
            if matches!(error, StoreError::NoConfig) {
                let _ = fs::write(&failed, format!("{error}\n"));
            }
        }
    }

    fn fetch_config(&self, known: &Known, place: &Path, progress: &dyn Fn(&str)) -> Result<(), StoreError> {
        let _lock = self.locked(progress)?;
        if place.is_file() {
            return Ok(());
        }
        let kernels = self.root.join("kernels");
        let work = tempfile::Builder::new().prefix(NEW).tempdir_in(&kernels);
        let work = work.map_err(io_error("make a folder in", &kernels))?;
        let found = config_from_packages(&self.apt()?, known, None, work.path())?;
        fs::rename(&found, place).map_err(io_error("move the configuration to", place))
    }

    /// Downloads and unpacks the package and puts its kernel into the cache.
    fn fetch_package(&self, chosen: &Known, progress: &dyn Fn(&str)) -> Result<PathBuf, StoreError> {
        let Packaged { release, package, .. } = &chosen.packaged;
        let kernels = self.root.join("kernels");
        remove_leftovers(&kernels);
        let work = tempfile::Builder::new().prefix(NEW).tempdir_in(&kernels);
        let work = work.map_err(io_error("make a folder in", &kernels))?;
        progress(&format!("fetching {package}"));
        let apt = self.apt()?;
        let unpacked = apt.fetch(package, &chosen.package_version, work.path())?;
        let bad = |reason: String| StoreError::BadPackage { package: package.clone(), reason };
        let found = find_vmlinuz(&unpacked).ok_or_else(|| bad("there is no vmlinuz in it".to_string()))?;
        let image = Image::open(&found).map_err(|error| bad(error.to_string()))?;
        if image.release != *release {
            progress(&format!("the kernel of {package} calls itself {}", image.release));
        }
        let entry = work.path().join("entry");
        fs::create_dir(&entry).map_err(io_error("make", &entry))?;
        let (file, note) = (entry.join("vmlinuz"), entry.join("package.json"));
        fs::rename(&found, &file).map_err(io_error("move the kernel to", &file))?;
        let size = fs::metadata(&file).ok().map(|about| about.len());
        let text = Note { package: package.clone(), package_version: chosen.package_version.clone(), size };
        let text = serde_json::to_vec_pretty(&text).unwrap_or_default();
        fs::write(&note, text).map_err(io_error("write", &note))?;
        match config_from_packages(&apt, chosen, Some(&unpacked), work.path()) {
            Ok(config) => {
                let file = entry.join("config");
                fs::rename(&config, &file).map_err(io_error("move the configuration to", &file))?;
            }
            Err(error) => progress(&format!("the configuration of {release}: {error}")),
        }
        let place = kernels.join(release);
        if place.exists() {
            // An entry that cannot be read, or it would have been used.
            fs::remove_dir_all(&place).map_err(io_error("remove", &place))?;
        }
        fs::rename(&entry, &place).map_err(io_error("make", &place))?;
        progress(&format!("{package} is in the cache"));
        Ok(place.join("vmlinuz"))
    }

    /// What apt knows, and whether it was asked anew: fetches its index if there is none or if `refresh` is asked for.
    fn index(&self, refresh: bool, progress: &dyn Fn(&str)) -> Result<(Vec<Known>, bool), StoreError> {
        let apt = self.apt()?;
        let refresh = refresh || !apt.has_index();
        if refresh {
            progress("fetching the package index");
            if let Some(failure) = apt.update()? {
                progress(&format!("the package index is not complete or not new: {failure}"));
            }
        }
        let packages = apt.packages()?;
        let known = packages.into_iter().filter_map(|(package, package_version)| {
            let release = release_of(&package)?.to_string();
            let version = version::upstream(&package_version).to_string();
            let packaged = Packaged { version, release, package, cached: None };
            Some(Known { packaged, package_version })
        });
        Ok((known.collect(), refresh))
    }

    fn cached_known(&self) -> Result<Vec<Known>, StoreError> {
        let kernels = self.root.join("kernels");
        let entries = fs::read_dir(&kernels).map_err(io_error("read", &kernels))?;
        let known = entries.flatten().filter_map(|entry| {
            let release = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
            let note: Note =
                serde_json::from_slice(&fs::read(entry.path().join("package.json")).ok()?).ok()?;
            let whole = |about: &fs::Metadata| {
                about.is_file() && about.len() > 0 && note.size.is_none_or(|size| size == about.len())
            };
            let image = entry.path().join("vmlinuz");
            image.metadata().ok().filter(whole)?;
            let packaged = Packaged {
                version: version::upstream(&note.package_version).to_string(),
                release,
                package: note.package,
                cached: Some(image),
            };
            Some(Known { packaged, package_version: note.package_version })
        });
        Ok(known.collect())
    }

    /// Waits until no other run fetches, and tells `progress` if that takes long. The lock is given back when the file is
    /// dropped.
    fn locked(&self, progress: &dyn Fn(&str)) -> Result<File, StoreError> {
        let (begun, mut told) = (Instant::now(), false);
        let path = self.root.join("lock");
        let file = File::options().create(true).append(true).open(&path).map_err(io_error("open", &path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if self.cancel.is_cancelled() => {
                    return Err(StoreError::Cancelled);
                }
                Err(TryLockError::WouldBlock) => {
                    if !told && begun.elapsed() >= SILENCE {
                        progress("waiting for another run that uses the cache");
                        told = true;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
            }
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_path_buf();
    move |source| StoreError::Io { action, path, source }
}

/// Whether the text has the form in which packaged kernels are asked for: a series (`7.2`) or a version (`7.2.12`,
/// `7.3~rc7`, `7.3-rc7`). There need not be such a kernel.
pub fn is_version(text: &str) -> bool {
    Wanted::parse(text).is_some()
}

fn parse(wanted: &str) -> Result<Wanted, StoreError> {
    Wanted::parse(wanted).ok_or_else(|| StoreError::BadName { wanted: wanted.to_string() })
}

/// The release in the name of a package that may hold a cloud kernel's image.
fn release_of(package: &str) -> Option<&str> {
    let release = package.strip_prefix("linux-binary-").or_else(|| package.strip_prefix("linux-image-"))?;
    let plain = release.chars().all(|c| c.is_ascii_alphanumeric() || ".+-~".contains(c));
    (plain && release.starts_with(|c: char| c.is_ascii_digit()) && release.ends_with("-cloud-amd64"))
        .then_some(release)
}

/// Adds what is not there yet. Of two packages for one release, the one called `linux-binary` has the image.
fn merge(known: &mut Vec<Known>, more: Vec<Known>) {
    for new in more {
        match known.iter_mut().find(|old| old.packaged.release == new.packaged.release) {
            None => known.push(new),
            Some(old) => {
                let better = new.packaged.package.starts_with("linux-binary-")
                    && !old.packaged.package.starts_with("linux-binary-");
                if old.packaged.cached.is_none() && better {
                    *old = new;
                }
            }
        }
    }
}

fn order(a: &Known, b: &Known) -> Ordering {
    version::compare(&a.package_version, &b.package_version)
        .then_with(|| a.packaged.release.cmp(&b.packaged.release))
}

fn sort(known: &mut [Known]) {
    known.sort_by(order);
}

/// The newest of those that are wanted; the error names those that are known.
fn choose(mut known: Vec<Known>, wanted: &str, name: &Wanted) -> Result<Known, StoreError> {
    newest(known.clone(), name).ok_or_else(|| {
        sort(&mut known);
        let versions: Vec<String> = known.into_iter().map(|known| known.packaged.version).collect();
        let known = if versions.is_empty() { "none".to_string() } else { versions.join(", ") };
        StoreError::NotPackaged { wanted: wanted.to_string(), known }
    })
}

fn newest(known: Vec<Known>, wanted: &Wanted) -> Option<Known> {
    known.into_iter().filter(|known| wanted.fits(&known.packaged.version)).max_by(order)
}

/// The kernel in an unpacked package: `usr/lib/modules/RELEASE/vmlinuz` or `boot/vmlinuz-RELEASE`.
fn find_vmlinuz(unpacked: &Path) -> Option<PathBuf> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let modules = ["usr/lib/modules", "lib/modules"].map(|folder| unpacked.join(folder));
    let in_modules = modules.into_iter().flat_map(entries).map(|folder| folder.join("vmlinuz"));
    let in_boot = entries(unpacked.join("boot"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")));
    // A link could lead out of the package.
    let is_file = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|about| about.is_file());
    in_modules.chain(in_boot).find(is_file)
}

/// The configuration in an unpacked package: `usr/lib/modules/RELEASE/config` or `boot/config-RELEASE`.
fn find_config(unpacked: &Path, release: &str) -> Option<PathBuf> {
    let modules =
        ["usr/lib/modules", "lib/modules"].map(|folder| unpacked.join(folder).join(release).join("config"));
    let boot = unpacked.join("boot").join(format!("config-{release}"));
    // A link could lead out of the package.
    let is_file = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|about| about.is_file());
    modules.into_iter().chain([boot]).find(is_file)
}

/// The configuration of a kernel: in the package of its image, which may be unpacked already, or in the one with its
/// base files. `work` is a folder to unpack in.
fn config_from_packages(
    apt: &Apt,
    known: &Known,
    unpacked: Option<&Path>,
    work: &Path,
) -> Result<PathBuf, StoreError> {
    let Packaged { release, package, .. } = &known.packaged;
    if let Some(config) = unpacked.and_then(|unpacked| find_config(unpacked, release)) {
        return Ok(config);
    }
    let base = format!("linux-base-{release}");
    let image = unpacked.is_none().then(|| package.clone());
    for package in std::iter::once(base).chain(image) {
        let versions = apt.versions(&package)?;
        let same = versions.iter().find(|version| **version == known.package_version);
        let Some(version) = same else { continue };
        let folder = work.join(&package);
        fs::create_dir(&folder).map_err(io_error("make", &folder))?;
        if let Some(config) = find_config(&apt.fetch(&package, version, &folder)?, release) {
            return Ok(config);
        }
    }
    Err(StoreError::NoConfig)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(package: &str, package_version: &str) -> Known {
        let packaged = Packaged {
            version: version::upstream(package_version).to_string(),
            release: release_of(package).unwrap().to_string(),
            package: package.to_string(),
            cached: None,
        };
        Known { packaged, package_version: package_version.to_string() }
    }

    fn some() -> Vec<Known> {
        let mut all = Vec::new();
        let index = [
            ("linux-image-7.2.9+deb13-cloud-amd64", "7.2.9-1~bpo13+1"),
            ("linux-binary-7.2.9+deb13-cloud-amd64", "7.2.9-1~bpo13+1"),
            ("linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            ("linux-binary-7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1"),
            ("linux-image-7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1"),
            ("linux-image-6.18.9+deb13-cloud-amd64", "6.18.9-1~bpo13+1"),
            ("linux-binary-7.3-cloud-amd64", "7.3~rc7-1~exp1"),
        ];
        merge(&mut all, index.map(|(package, version)| known(package, version)).to_vec());
        all
    }

    fn chosen(wanted: &str) -> Option<String> {
        newest(some(), &parse(wanted).unwrap()).map(|known| known.packaged.package)
    }

    #[test]
    fn a_series_is_its_newest_kernel() {
        assert_eq!(chosen("7.2").as_deref(), Some("linux-binary-7.2.13+deb14-cloud-amd64"));
        assert_eq!(chosen("7.2.9").as_deref(), Some("linux-binary-7.2.9+deb13-cloud-amd64"));
        assert_eq!(chosen("7.3").as_deref(), Some("linux-binary-7.3-cloud-amd64"));
        assert_eq!(chosen("6.18").as_deref(), Some("linux-image-6.18.9+deb13-cloud-amd64"));
        assert_eq!(chosen("7.2.1"), None);
        assert_eq!(chosen("7.20"), None);
        assert!(matches!(parse("latest"), Err(StoreError::BadName { .. })));
        assert!(matches!(parse("../../etc"), Err(StoreError::BadName { .. })));
    }

    fn put(store: &Store, release: &str, version: &str) -> PathBuf {
        let entry = store.root.join("kernels").join(release);
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join("vmlinuz"), "kernel").unwrap();
        let package = format!("linux-binary-{release}");
        let note = Note { package, package_version: version.to_string(), size: Some(6) };
        fs::write(entry.join("package.json"), serde_json::to_vec(&note).unwrap()).unwrap();
        entry.join("vmlinuz")
    }

    #[test]
    fn a_configuration_is_found_in_either_place() {
        let release = "7.2.12+deb13-cloud-amd64";
        for place in
            ["usr/lib/modules/7.2.12+deb13-cloud-amd64/config", "boot/config-7.2.12+deb13-cloud-amd64"]
        {
            let folder = tempfile::tempdir().unwrap();
            assert_eq!(find_config(folder.path(), release), None);
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "CONFIG_HZ=250\n").unwrap();
            assert_eq!(find_config(folder.path(), release), Some(path.clone()));
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
            assert_eq!(find_config(folder.path(), release), None);
        }
    }

    #[test]
    fn a_cached_kernel_is_used_without_apt() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_at(folder.path().to_path_buf()).unwrap();
        put(&store, "7.2.9+deb13-cloud-amd64", "7.2.9-1~bpo13+1");
        let newest = put(&store, "7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1");
        // Half an entry and the leftover of a killed run are none, nor is an image that was not written to its end.
        let cut = put(&store, "7.2.98+deb13-cloud-amd64", "7.2.98-1");
        fs::write(&cut, "kern").unwrap();
        let empty = put(&store, "7.2.97+deb13-cloud-amd64", "7.2.97-1");
        fs::write(&empty, "").unwrap();
        fs::create_dir_all(folder.path().join("kernels/7.2.99-cloud-amd64")).unwrap();
        fs::create_dir_all(folder.path().join("kernels/.new-abc")).unwrap();
        let silent = |text: &str| panic!("apt was asked: {text}");
        assert_eq!(store.resolve("7.2", &silent).unwrap(), newest);
        assert_eq!(store.resolve("7.2.12", &silent).unwrap(), newest);
        assert!(!folder.path().join("apt").exists());
        assert_eq!(store.cached().unwrap().len(), 2);
    }

    #[test]
    fn one_run_at_a_time_fetches_and_a_waiting_one_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open_at(folder.path().to_path_buf()).unwrap();
        let (first, cancel) = (open(), Cancel::new());
        let second = open().cancelled_by(&cancel);
        let silent = |text: &str| panic!("{text}");
        let lock = first.locked(&silent).unwrap();
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| second.locked(&silent).map(drop));
            std::thread::sleep(Duration::from_millis(200));
            assert!(!waiting.is_finished());
            cancel.cancel();
            assert!(matches!(waiting.join().unwrap(), Err(StoreError::Cancelled)));
            let third = open();
            // What takes long is told, once.
            let (send, told) = std::sync::mpsc::channel();
            let progress = move |text: &str| send.send(text.to_owned()).unwrap();
            let waiting = threads.spawn(move || third.locked(&progress).map(drop));
            let text = told.recv_timeout(Duration::from_secs(30)).unwrap();
            assert_eq!(text, "waiting for another run that uses the cache");
            drop(lock);
            waiting.join().unwrap().unwrap();
            assert!(told.recv().is_err());
        });
        // Whoever interrupts a fetch does not want what is there instead.
        put(&first, "7.2.9+deb13-cloud-amd64", "7.2.9-1~bpo13+1");
        let _lock = first.locked(&silent).unwrap();
        let told = open().cancelled_by(&cancel).fetch("7.2", &|text| panic!("{text}"));
        assert!(matches!(told, Err(StoreError::Cancelled)), "{told:?}");
    }
}
