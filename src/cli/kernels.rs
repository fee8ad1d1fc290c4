//! From the name of a kernel to an image that can be booted and whose dialect is known.

use super::{
    interrupt,
    output::{Output, tell},
    targets::{self, Target, Targets},
};
use anyhow::{Context, Result, bail};
use livediff::{
    Dialect,
    bpf::btf::Btf,
    report::terminal::printable,
    verifier::{DetectError, Evidence},
};
use livediff_harness::{
    build,
    image::Image,
    packages::{Store, is_version},
    run,
};
use std::path::PathBuf;

/// The series that is run where no kernel is named.
pub(crate) const DEFAULT: &str = "7.2";

/// A kernel as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A packaged kernel: a series (`7.2`) or a version (`7.2.12`, `7.3~rc7`).
    Packaged(String),
    /// An image on this machine.
    Image(PathBuf),
    /// A target of `vmtest.toml`.
    Target(Box<Target>),
    /// The kernel that is running here.
    Local,
}

/// What names the running kernel.
const LOCAL: &str = "local";
/// What stands before the name of a target.
const TARGET: &str = "target:";

impl Wanted {
    /// Tells the ways to name a kernel from each other. A path must exist, and a target be in `vmtest.toml`.
    pub(crate) fn parse(text: &str) -> Result<Wanted> {
        if is_version(text) {
            return Ok(Wanted::Packaged(text.to_owned()));
        }
        if text == LOCAL {
            return Ok(Wanted::Local);
        }
        if let Some(name) = text.strip_prefix(TARGET) {
            let targets = Targets::read()?;
            let targets =
                targets.with_context(|| format!("{text}: there is no {} in this folder", targets::FILE))?;
            return Ok(Wanted::Target(Box::new(targets.get(name)?)));
        }
        let path = PathBuf::from(text);
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                bail!("{text}: a folder; name the image in it (bzImage, vmlinuz or vmlinux)")
            }
            Ok(_) => Ok(Wanted::Image(path)),
            Err(error) => bail!(
                "{text}: neither a version such as 7.2 or 7.2.12, nor a file ({error}), nor `local`, nor target:NAME; \
                 `livediff kernel list` shows the versions that packages offer"
            ),
        }
    }

    /// The kernel that is run where none is named and one is needed: of [`Wanted::default`] the only one.
    pub(crate) fn only_default() -> Result<Wanted> {
        let mut kernels = Wanted::default()?;
        match (kernels.pop(), kernels.len()) {
            (Some(kernel), 0) => Ok(kernel),
            (_, others) => {
                bail!("there are {} targets in {}: name the kernel with --kernel", others + 1, targets::FILE)
            }
        }
    }

    /// The name as the user gave it.
    pub(crate) fn name(&self) -> String {
        match self {
            Wanted::Packaged(version) => version.clone(),
            Wanted::Image(path) => path.display().to_string(),
            Wanted::Target(target) => target.kernel_name(),
            Wanted::Local => LOCAL.to_owned(),
        }
    }

    /// The series or version, if it is a packaged kernel.
    pub(crate) fn packaged(&self) -> Option<String> {
        match self {
            Wanted::Packaged(version) => Some(version.clone()),
            Wanted::Target(target) => target.packaged(),
            Wanted::Image(_) | Wanted::Local => None,
        }
    }

    /// The image, fetched first if need be. `progress` hears of what takes time.
    pub(crate) fn image(&self, progress: &dyn Fn(&str)) -> Result<Image> {
        match self {
            Wanted::Local => Ok(Image::running(&kept_images())?),
            _ => Ok(Image::open(&self.locate(progress)?)?),
        }
    }

    /// The path of the image, fetched first if need be. `progress` hears of what takes time.
    pub(crate) fn locate(&self, progress: &dyn Fn(&str)) -> Result<PathBuf> {
        match self {
            Wanted::Image(path) => Ok(path.clone()),
            Wanted::Packaged(version) => Ok(store()?.resolve(version, progress)?),
            Wanted::Target(target) => target.locate(progress),
            Wanted::Local => bail!("the running kernel is in no file"),
        }
    }

    /// The kernels that are run where none is named: the targets of `vmtest.toml` if there is one in the current
    /// folder, but for those whose kernel is not there and cannot be fetched, which are complained about; else the
    /// packaged one of the default series.
    pub(crate) fn default() -> Result<Vec<Wanted>> {
        Ok(Wanted::defaults()?.0)
    }

    /// [`Wanted::default`], and which targets are left out, each with the reason.
    pub(crate) fn defaults() -> Result<(Vec<Wanted>, Vec<String>)> {
        let Some(targets) = Targets::read()? else {
            return Ok((vec![Wanted::Packaged(DEFAULT.into())], Vec::new()));
        };
        let mut wanted = Vec::new();
        let mut missing = Vec::new();
        for target in targets.all()? {
            match target.missing() {
                None => wanted.push(Wanted::Target(Box::new(target))),
                Some(why) => missing.push(format!("target {}: {why}", target.name)),
            }
        }
        if wanted.is_empty() {
            bail!(
                "{}: no target can be run: {}; --kernel names another kernel",
                targets::FILE,
                missing.join("; ")
            );
        }
        for missing in &missing {
            tell(format_args!("warning: {}: left out: {}", targets::FILE, printable(missing)));
        }
        Ok((wanted, missing))
    }
}

/// Says whether kernels can be run here at all: QEMU is there, or for the running kernel the capabilities.
pub(crate) fn check(wanted: &[Wanted]) -> Result<()> {
    if wanted.contains(&Wanted::Local) {
        run::check_local().context("kernel local")?;
    }
    if wanted.iter().any(|wanted| *wanted != Wanted::Local) {
        run::check_qemu()?;
    }
    Ok(())
}

/// Opens the kernels that are to be run, each with `open`, which is also given whom to tell what takes time: all of them
/// before anything is run, since a name that is wrong should not end a run that has gone on for long.
pub(crate) fn open_all(
    wanted: &[Wanted],
    output: &Output,
    open: impl Fn(&Wanted, &dyn Fn(&str)) -> Result<Kernel>,
) -> Result<Vec<Kernel>> {
    check(wanted)?;
    let task = output.task("kernels");
    wanted.iter().map(|wanted| open(wanted, &|what| task.notice(what))).collect()
}

/// The cache of kernels, whose fetching a signal ends.
pub(crate) fn store() -> Result<Store> {
    Ok(Store::open().context("the cache of kernels")?.cancelled_by(&interrupt::cancel()))
}

/// Images in the cache that may be that of the running kernel.
fn kept_images() -> Vec<PathBuf> {
    let running = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let packaged = Store::open().and_then(|store| store.cached()).unwrap_or_default().into_iter();
    let packaged = packaged.filter_map(|kernel| Some((kernel.release, kernel.cached?)));
    let built = build::images().into_iter().map(|built| (built.release, built.image));
    packaged.chain(built).filter(|(release, _)| release == running.trim()).map(|(_, image)| image).collect()
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
    /// What is particular about the virtual machine, if it is a target.
    target: Option<Target>,
}

impl Kernel {
    /// Opens the image of a kernel and finds its dialect, or takes the one that is forced upon it.
    pub(crate) fn open(wanted: &Wanted, forced: Option<Dialect>, progress: &dyn Fn(&str)) -> Result<Kernel> {
        let name = wanted.name();
        let image = wanted.image(progress).with_context(|| format!("kernel {name}"))?;
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
        let target = match wanted {
            Wanted::Target(target) => Some((**target).clone()),
            _ => None,
        };
        Ok(Kernel { name, image, dialect, forced, target })
    }

    /// How to run it: as the others, but for what is particular about it.
    pub(crate) fn options(&self, options: &run::Options) -> run::Options {
        self.target.as_ref().map_or_else(|| options.clone(), |target| target.options(options))
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
        assert_eq!(Wanted::parse("local").unwrap(), Wanted::Local);
        for version in ["7.2", "7.2.12", "6.18", "7.3~rc7", "7.3-rc7"] {
            assert_eq!(Wanted::parse(version).unwrap(), Wanted::Packaged(version.into()));
        }
        for text in ["7", "7.2.12.1", "7.", "v7.2", "", "7.2-rc", "no/such/file", "."] {
            assert!(Wanted::parse(text).is_err(), "{text}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        assert_eq!(Wanted::parse(path.to_str().unwrap()).unwrap(), Wanted::Image(path));
    }
}
