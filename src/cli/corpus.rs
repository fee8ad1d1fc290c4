//! `livediff corpus`: get programs to compare from elsewhere.

use super::output::{self, tell};
use super::{
    exit::Exit,
    flags::{CorpusCommand, CorpusFlags, ImportCommand},
    kernels::Wanted,
};
use anyhow::{Context, Result, bail};
use livediff::{
    corpus::carve::{self, Note},
    report::terminal::printable,
};
use livediff_harness::process;
use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds the kernel's BPF programs; a program of its own, since make and clang do the work.
const IMPORT_SELFTESTS: &str = include_str!("../../scripts/import-selftests");
/// Builds objects from sources with clang; a program of its own, since the corpus is built with it where livediff is not.
const BUILD: &str = include_str!("../../scripts/corpus-build");
/// What sources of the corpus include.
const INCLUDE: [(&str, &str); 2] = [
    ("corpus.h", include_str!("../../corpus/include/corpus.h")),
    ("helpers.h", include_str!("../../corpus/include/helpers.h")),
];
/// How many damaged objects and skipped files are named.
const NAMED: usize = 20;

/// Does what the subcommand says.
pub(crate) fn run(flags: CorpusFlags) -> Result<Exit> {
    match flags.command {
        CorpusCommand::Carve { paths, output } => carve(&paths, &output),
        CorpusCommand::Build { paths, check } => Ok(match build(&paths, check)? {
            Built::Done => Exit::Clean,
            Built::Differs => Exit::Discrepancy,
            Built::Failed | Built::NoCompiler => Exit::Error,
        }),
        CorpusCommand::Import {
            what: ImportCommand::Selftests { kernel, source, output, flavors, jobs },
        } => import_selftests(&kernel, source, &output, flavors.as_deref(), jobs),
    }
}

/// `corpus carve`.
fn carve(paths: &[PathBuf], output: &Path) -> Result<Exit> {
    let mut out = output::stdout();
    let mut complaints = 0;
    let mut complain = |text: String| {
        complaints += 1;
        if complaints <= NAMED {
            tell(printable(&text));
        }
    };
    let summary = carve::carve(paths, output, &mut |note| match note {
        Note::Object { from, to, size } => {
            let text = format!("{}  {size} bytes, from {}", to.display(), from.display());
            // A reader that went away is no reason to stop writing objects.
            let _ = writeln!(out, "{}", printable(&text));
        }
        Note::Damaged { file, offset, reason } => {
            complain(format!("{}: at {offset:#x} a BPF object begins, but {reason}", file.display()));
        }
        Note::Skipped { file, reason } => complain(format!("{}: skipped: {reason}", file.display())),
    })?;
    if complaints > NAMED {
        tell(format_args!("... and {} more", complaints - NAMED));
    }
    let mut text = format!("{} objects in {} files", summary.objects, summary.files);
    for (count, what) in [
        (summary.already_there, "there already"),
        (summary.duplicates, "duplicates left out"),
        (summary.damaged, "damaged"),
        (summary.big_endian, "for big-endian machines left out"),
        (summary.skipped, "files skipped"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    tell(text);
    if summary.objects == 0 {
        bail!(
            "no BPF object found; compressed files and packages have to be unpacked first (dpkg-deb -x, tar, zstd -d)"
        );
    }
    Ok(Exit::Clean)
}

/// How building objects ended. Unless it is done, the reason was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Built {
    /// All are built, or all are what their sources give.
    Done,
    /// An object is not what its source gives.
    Differs,
    /// A source does not build.
    Failed,
    /// There is no clang, or not the one that the objects were built with; nothing was done.
    NoCompiler,
}

/// `corpus build`: builds the sources `*.bpf.c` among and below `paths`, or compares what they give with the objects
/// that are there.
pub(super) fn build(paths: &[PathBuf], check: bool) -> Result<Built> {
    let work = tempfile::tempdir().context("a temporary folder")?;
    let put = |name: &str, text: &str| -> Result<PathBuf> {
        let path = work.path().join(name);
        std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
        Ok(path)
    };
    let script = put("corpus-build", BUILD)?;
    for (name, text) in INCLUDE {
        put(name, text)?;
    }
    let mut command = Command::new("sh");
    command.arg(&script).arg("--include").arg(work.path());
    if check {
        command.arg("--check");
    }
    let status = process::status(command.arg("--").args(paths), &super::interrupt::cancel_next());
    let Some(status) = status.context("sh cannot be run")? else { bail!("interrupted") };
    match status.code() {
        Some(0) => Ok(Built::Done),
        Some(1) => Ok(Built::Differs),
        Some(2) => Ok(Built::Failed),
        Some(77) => Ok(Built::NoCompiler),
        _ => bail!("building the objects ended with {status}"),
    }
}

/// `corpus import selftests`.
fn import_selftests(
    kernel: &str,
    source: Option<PathBuf>,
    output: &Path,
    flavors: Option<&str>,
    jobs: Option<u32>,
) -> Result<Exit> {
    let progress = |what: &str| tell(what);
    let wanted = Wanted::parse(kernel)?;
    let image = wanted.image(&progress).with_context(|| format!("kernel {kernel}"))?;
    if image.btf.is_empty() {
        bail!("kernel {kernel} has no BTF to make vmlinux.h of; build it with CONFIG_DEBUG_INFO_BTF=y");
    }
    let source = match source {
        Some(source) => source,
        None => {
            let version = version_of(&image.release).with_context(|| {
                format!(
                    "which source belongs to Linux {} cannot be told; name it with --source",
                    image.release
                )
            })?;
            super::kernels::store()?.source(version, &progress)?
        }
    };
    let work = tempfile::tempdir().context("a temporary folder")?;
    let put = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = work.path().join(name);
        std::fs::write(&path, bytes).with_context(|| format!("{}", path.display()))?;
        Ok(path)
    };
    let script = put("import-selftests", IMPORT_SELFTESTS.as_bytes())?;
    let btf = put("vmlinux.btf", &image.btf)?;
    let mut command = Command::new("python3");
    command.arg(&script).args([OsStr::new("--source"), source.as_os_str()]);
    command.args([OsStr::new("--btf"), btf.as_os_str(), OsStr::new("--out"), output.as_os_str()]);
    if let Some(flavors) = flavors {
        command.args(["--flavors", flavors]);
    }
    if let Some(jobs) = jobs {
        command.args(["--jobs", &jobs.to_string()]);
    }
    let status = process::status(&mut command, &super::interrupt::cancel());
    let status = status.context("python3 cannot be run, and the import is written in it")?;
    let Some(status) = status else { bail!("the import was interrupted; run it again to have all of it") };
    // Status 2 has said why already; anything else is a surprise.
    match status.code() {
        Some(0) => Ok(Exit::Clean),
        Some(2) => Ok(Exit::Error),
        _ => bail!("the import ended with {status}"),
    }
}

/// The numbers that a release begins with: `7.2.12` of `7.2.12+deb13-cloud-amd64`.
fn version_of(release: &str) -> Option<&str> {
    let end = release.find(|letter: char| letter != '.' && !letter.is_ascii_digit()).unwrap_or(release.len());
    let version = release.get(..end)?.trim_end_matches('.');
    version.contains('.').then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_begin_releases() {
        assert_eq!(version_of("7.2.12+deb13-cloud-amd64"), Some("7.2.12"));
        assert_eq!(version_of("7.3-rc7"), Some("7.3"));
        assert_eq!(version_of("7.3.-x"), Some("7.3"));
        assert_eq!(version_of("next"), None);
        assert_eq!(version_of("7"), None);
    }
}
