//! The programs and headers that building a kernel takes.

use super::{BuildError, Source};
use crate::packages::Store;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The first pahole that the kernel takes at all: 1.22.
const OLDEST_PAHOLE: u32 = 122;
/// The first pahole that marks kfuncs in BTF. Without the marks, the kernel's build cannot hide the arguments that
/// the verifier adds to some kfuncs, and the kernel refuses programs that call those.
const GOOD_PAHOLE: u32 = 127;

/// What was found.
#[derive(Debug)]
pub(super) struct Tools {
    /// pahole.
    pub(super) pahole: PathBuf,
    /// The versions of what goes into a kernel.
    pub(super) identity: String,
}

/// Looks for everything that is needed; names all that is missing at once.
pub(super) fn find(
    source: &Source,
    patched: bool,
    root: &Path,
    note: &dyn Fn(&str),
) -> Result<Tools, BuildError> {
    let mut wanted = vec![
        ("gcc", "gcc"),
        ("ld", "binutils"),
        ("make", "make"),
        ("flex", "flex"),
        ("bison", "bison"),
        ("bc", "bc"),
        ("perl", "perl"),
        ("gzip", "gzip"),
    ];
    if patched {
        wanted.push(("git", "git"));
    }
    if matches!(source, Source::Package(_)) {
        wanted.extend([("tar", "tar"), ("xz", "xz-utils")]);
    }
    let mut missing: Vec<(String, &str)> = Vec::new();
    for (program, package) in wanted {
        if output(program, &["--version"]).is_none() {
            missing.push((program.to_owned(), package));
        }
    }
    if missing.iter().all(|(program, _)| program != "gcc") {
        for (header, package) in
            [("gelf.h", "libelf-dev"), ("zlib.h", "zlib1g-dev"), ("stdio.h", "libc6-dev")]
        {
            let include = ["-E", "-x", "c", "-include", header, "/dev/null"];
            if output("gcc", &include).is_none() {
                missing.push((format!("the header {header}"), package));
            }
        }
    }
    let here = output("pahole", &["--version"]).and_then(|text| version_of(&text));
    if !missing.is_empty() {
        // The packaged one is fetched where it is needed, if it can be.
        let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
        let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        packages.dedup();
        return Err(BuildError::Tools {
            what: format!("{}, and does not find {}", "a compiler and some tools", names.join(", ")),
            packages: packages.join(" "),
        });
    }
    let pahole = pahole(here, root, note)?;
    let gcc = output("gcc", &["--version"]).unwrap_or_default();
    let version = output(&pahole.to_string_lossy(), &["--version"]).unwrap_or_default();
    let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    Ok(Tools { identity: format!("{}; pahole {}", line(&gcc), line(&version)), pahole })
}

/// A pahole that is new enough: the system's, else a packaged one of our own, else what the kernel takes.
fn pahole(here: Option<u32>, root: &Path, note: &dyn Fn(&str)) -> Result<PathBuf, BuildError> {
    if here.is_some_and(|version| version >= GOOD_PAHOLE) {
        return Ok("pahole".into());
    }
    let fetched = Store::open().and_then(|store| store.pahole(&root.join("pahole"), note));
    let reason = match fetched {
        Ok(path) => {
            let version = output(&path.to_string_lossy(), &["--version"]).and_then(|text| version_of(&text));
            if version.is_some_and(|version| version >= GOOD_PAHOLE) {
                return Ok(path);
            }
            "the packaged one does not run here".to_owned()
        }
        Err(error) => error.to_string(),
    };
    if here.is_some_and(|version| version >= OLDEST_PAHOLE) {
        note(&format!(
            "pahole is older than 1.27 and a newer one cannot be had ({reason}): the kernel will refuse programs that \
             call kfuncs with hidden arguments"
        ));
        return Ok("pahole".into());
    }
    Err(BuildError::Tools {
        what: format!(
            "pahole 1.22 or later, better 1.27, which is not here and cannot be fetched ({reason})"
        ),
        packages: "dwarves".to_owned(),
    })
}

/// `127` of `v1.27`.
fn version_of(text: &str) -> Option<u32> {
    let (major, minor) = text.trim().trim_start_matches('v').split_once('.')?;
    let digits = minor.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(minor.len());
    let (major, minor) = (major.parse::<u32>().ok()?, minor.get(..digits)?.parse::<u32>().ok()?);
    (major < 100 && minor < 100).then_some(major * 100 + minor)
}

/// What a program prints; `None` if it cannot be run or fails.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, version) in
            [("v1.24\n", Some(124)), ("1.32", Some(132)), ("v1.9", Some(109)), ("v1.27.1", Some(127))]
        {
            assert_eq!(version_of(text), version, "{text}");
        }
        for text in ["", "pahole", "v1", "v1.x", "v99999999999.1"] {
            assert_eq!(version_of(text), None, "{text}");
        }
    }
}
