//! From the name of a kernel to an image that can be booted and whose dialect is known.

use anyhow::{Context, Result, bail};
use livediff::{Dialect, bpf::btf::Btf};
use livediff_harness::{image::Image, packages::Store};
use std::path::PathBuf;

/// The series that is run where no kernel is named.
pub(crate) const DEFAULT: &str = "7.2";

/// A kernel as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A packaged kernel: a series (`7.2`) or a version (`7.2.12`).
    Packaged(String),
    /// An image on this machine.
    Image(PathBuf),
}

impl Wanted {
    /// Tells a version from a path. A path must exist.
    pub(crate) fn parse(text: &str) -> Result<Wanted> {
        if is_version(text) {
            return Ok(Wanted::Packaged(text.to_owned()));
        }
        let path = PathBuf::from(text);
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                bail!("{text}: a folder; name the image in it (bzImage, vmlinuz or vmlinux)")
            }
            Ok(_) => Ok(Wanted::Image(path)),
            Err(error) => bail!(
                "{text}: neither a version such as 7.2 or 7.2.12 nor a file ({error}); \
                 `livediff kernel list` shows the versions that packages offer"
            ),
        }
    }

    /// The name as the user gave it.
    pub(crate) fn name(&self) -> String {
        match self {
            Wanted::Packaged(version) => version.clone(),
            Wanted::Image(path) => path.display().to_string(),
        }
    }

    /// The path of the image, fetched first if need be. `progress` hears of what takes time.
    pub(crate) fn locate(&self, progress: &dyn Fn(&str)) -> Result<PathBuf> {
        match self {
            Wanted::Image(path) => Ok(path.clone()),
            Wanted::Packaged(version) => {
                let store = Store::open().context("the cache of kernels")?;
                Ok(store.resolve(version, progress)?)
            }
        }
    }
}

/// `7.2` or `7.2.12`.
fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    matches!(parts.len(), 2 | 3)
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.len() < 6 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A kernel that can be run.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// As the user named it.
    pub(crate) name: String,
    /// Its image.
    pub(crate) image: Image,
    /// The generation of its liveness analysis.
    pub(crate) dialect: Dialect,
}

impl Kernel {
    /// Opens the image of a kernel and finds its dialect.
    pub(crate) fn open(wanted: &Wanted, progress: &dyn Fn(&str)) -> Result<Kernel> {
        let name = wanted.name();
        let path = wanted.locate(progress).with_context(|| format!("kernel {name}"))?;
        let image = Image::open(&path).with_context(|| format!("kernel {name}"))?;
        let dialect = detect(&image).with_context(|| format!("kernel {name}, Linux {}", image.release))?;
        Ok(Kernel { name, image, dialect })
    }
}

/// The dialect of a kernel, from its BTF.
pub(crate) fn detect(image: &Image) -> Result<Dialect> {
    if image.btf.is_empty() {
        bail!(
            "it has no BTF, so its liveness analysis cannot be told; build it with CONFIG_DEBUG_INFO_BTF=y"
        );
    }
    let btf = Btf::parse(&image.btf).context("its BTF cannot be read")?;
    Ok(Dialect::detect(&btf)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_paths() {
        for version in ["7.2", "7.2.12", "6.18"] {
            assert_eq!(Wanted::parse(version).unwrap(), Wanted::Packaged(version.into()));
        }
        for text in ["7", "7.2.12.1", "7.", "v7.2", "", "7.2-rc1", "no/such/file", "."] {
            assert!(Wanted::parse(text).is_err(), "{text}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        assert_eq!(Wanted::parse(path.to_str().unwrap()).unwrap(), Wanted::Image(path));
    }
}
