//! From the name of a kernel to an image that can be booted and whose dialect is known.

use anyhow::{Context, Result, bail};
use livediff::{
    Dialect,
    bpf::btf::Btf,
    verifier::{DetectError, Evidence},
};
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
    /// The dialect was given with `--dialect`, and this is what the BTF shows instead.
    pub(crate) forced: Option<String>,
}

impl Kernel {
    /// Opens the image of a kernel and finds its dialect, or takes the one that is forced upon it.
    pub(crate) fn open(wanted: &Wanted, forced: Option<Dialect>, progress: &dyn Fn(&str)) -> Result<Kernel> {
        let name = wanted.name();
        let path = wanted.locate(progress).with_context(|| format!("kernel {name}"))?;
        let image = Image::open(&path).with_context(|| format!("kernel {name}"))?;
        let evidence = evidence(&image).with_context(|| format!("kernel {name}, Linux {}", image.release))?;
        let detected = evidence.dialect();
        let (dialect, forced) = match forced {
            Some(dialect) => (dialect, Some(told(&detected))),
            None => {
                let dialect = detected.with_context(|| {
                    format!("kernel {name}, Linux {}: --dialect D forces one of {}", image.release, ids())
                })?;
                (dialect, None)
            }
        };
        Ok(Kernel { name, image, dialect, forced })
    }

    /// `dialect 7.2`, and if it is forced, what else the BTF tells.
    pub(crate) fn described(&self) -> String {
        match &self.forced {
            None => format!("dialect {}", self.dialect),
            Some(told) => format!("dialect {}, forced; {told}", self.dialect.id()),
        }
    }
}

/// What the BTF tells, as part of a sentence.
pub(crate) fn told(detected: &Result<Dialect, DetectError>) -> String {
    match detected {
        Ok(dialect) => format!("its BTF says {}", dialect.id()),
        Err(error) => error.to_string(),
    }
}

/// What the BTF of an image shows of its liveness analysis.
pub(crate) fn evidence(image: &Image) -> Result<Evidence> {
    Ok(Evidence::find(&Btf::parse(&image.btf).context("its BTF cannot be read")?))
}

/// The dialect called `text`.
pub(crate) fn dialect(text: &str) -> Result<Dialect, String> {
    Dialect::from_id(text).ok_or_else(|| format!("the dialects are {}", ids()))
}

/// The names of all dialects.
fn ids() -> String {
    Dialect::ALL.map(Dialect::id).join(", ")
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
