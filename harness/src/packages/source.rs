//! The packaged source of a kernel series: `linux-source-7.2`, kept in the cache as the tarball it holds.

use super::{
    NEW, Note, Store, StoreError, io_error, parse, remove_leftovers,
    version::{self, Wanted},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

impl Store {
    /// The tarball with the source of the series that `wanted` belongs to (`7.2` and `7.2.12`: 7.2), in the
    /// version that the packages offer; an error if a version is wanted and that is another. From the cache if one is
    /// there, else fetched: some 150 MB.
    pub fn source(&self, wanted: &str, progress: &dyn Fn(&str)) -> Result<PathBuf, StoreError> {
        let name = parse(wanted)?;
        let tarball = self.source_of_series(wanted, progress)?;
        let note = fs::read(tarball.with_file_name("package.json")).unwrap_or_default();
        let Ok(note) = serde_json::from_slice::<Note>(&note) else { return Ok(tarball) };
        let offered = version::upstream(&note.package_version);
        match name {
            Wanted::Version(version) if version != offered => Err(StoreError::OtherSource {
                package: note.package,
                offered: offered.to_string(),
                wanted: version,
            }),
            _ => Ok(tarball),
        }
    }

    fn source_of_series(&self, wanted: &str, progress: &dyn Fn(&str)) -> Result<PathBuf, StoreError> {
        let series: Vec<&str> = wanted.splitn(3, '.').take(2).collect();
        let package = format!("linux-source-{}", series.join("."));
        let sources = self.root.join("sources");
        let place = sources.join(&package);
        if let Some(tarball) = find_tarball(&place, &package) {
            return Ok(tarball);
        }
        let _lock = self.locked(progress)?;
        // Another run may have fetched it while this one waited for the lock.
        if let Some(tarball) = find_tarball(&place, &package) {
            return Ok(tarball);
        }
        fs::create_dir_all(&sources).map_err(io_error("make", &sources))?;
        remove_leftovers(&sources);
        let apt = self.apt()?;
        let update = || {
            progress("fetching the package index");
            apt.update()
        };
        let newest = || -> Result<Option<String>, StoreError> {
            Ok(apt.versions(&package)?.into_iter().max_by(|a, b| version::compare(a, b)))
        };
        let is_new = !apt.has_index();
        if is_new {
            update()?;
        }
        let mut package_version = newest()?;
        if package_version.is_none() && !is_new {
            update()?;
            package_version = newest()?;
        }
        let package_version =
            package_version.ok_or_else(|| StoreError::NoSource { package: package.clone() })?;
        let work = tempfile::Builder::new().prefix(NEW).tempdir_in(&sources);
        let work = work.map_err(io_error("make a folder in", &sources))?;
        progress(&format!("fetching {package} {package_version}"));
        let unpacked = apt.fetch(&package, &package_version, work.path())?;
        let inside = unpacked.join("usr/src");
        let tarball = find_tarball(&inside, &package).ok_or_else(|| StoreError::BadPackage {
            package: package.clone(),
            reason: "there is no tarball in it".to_string(),
        })?;
        let entry = work.path().join("entry");
        fs::create_dir(&entry).map_err(io_error("make", &entry))?;
        let file = entry.join(tarball.file_name().unwrap_or_default());
        fs::rename(&tarball, &file).map_err(io_error("move the source to", &file))?;
        let note = entry.join("package.json");
        let text = serde_json::to_vec_pretty(&Note { package: package.clone(), package_version, size: None });
        fs::write(&note, text.unwrap_or_default()).map_err(io_error("write", &note))?;
        if place.exists() {
            // Without a tarball, or it would have been used.
            fs::remove_dir_all(&place).map_err(io_error("remove", &place))?;
        }
        fs::rename(&entry, &place).map_err(io_error("make", &place))?;
        progress(&format!("{package} is in the cache"));
        Ok(place.join(file.file_name().unwrap_or_default()))
    }
}

/// `PACKAGE.tar.xz`, or however it is compressed, in the folder.
fn find_tarball(folder: &Path, package: &str) -> Option<PathBuf> {
    let prefix = format!("{package}.tar.");
    let mut paths = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    paths.find(|path| {
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        // A link could lead out of the package.
        named && fs::symlink_metadata(path).is_ok_and(|about| about.is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_source_is_used_without_apt() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open_at(place.path().to_owned()).unwrap();
        let folder = place.path().join("sources/linux-source-7.2");
        fs::create_dir_all(&folder).unwrap();
        let tarball = folder.join("linux-source-7.2.tar.xz");
        fs::write(&tarball, "").unwrap();
        for wanted in ["7.2", "7.2.12"] {
            assert_eq!(store.source(wanted, &|_| {}).unwrap(), tarball);
        }
        let note = Note {
            package: "linux-source-7.2".into(),
            package_version: "7.2.12-1~bpo13+1".into(),
            size: None,
        };
        fs::write(folder.join("package.json"), serde_json::to_vec(&note).unwrap()).unwrap();
        for wanted in ["7.2", "7.2.12"] {
            assert_eq!(store.source(wanted, &|_| {}).unwrap(), tarball);
        }
        // One version is not given for another.
        let error = store.source("7.2.13", &|_| {}).unwrap_err().to_string();
        assert_eq!(error, "the package linux-source-7.2 has the source of 7.2.12 and not of 7.2.13");
        assert!(matches!(store.source("seven", &|_| {}), Err(StoreError::BadName { .. })));
    }
}
