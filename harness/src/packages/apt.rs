//! apt in a state folder of our own, with suites that carry current kernels, on the mirror that the machine
//! uses. Nothing of the system is changed and root is not needed.

use super::{StoreError, io_error};
use crate::{process, run::Cancel};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Debian's suites with current kernels.
const SUITES: [&str; 3] = ["trixie-backports", "sid", "experimental"];
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// Bytes that the package indexes need while they are fetched and unpacked, and a kernel's package.
const UPDATE_SPACE: u64 = 256 << 20;
const FETCH_SPACE: u64 = 128 << 20;

/// apt with our configuration.
pub(super) struct Apt<'s> {
    folder: PathBuf,
    cancel: &'s Cancel,
}

impl<'s> Apt<'s> {
    /// Makes the state folder and its configuration. What is run ends when it is cancelled.
    pub(super) fn open(root: &Path, cancel: &'s Cancel) -> Result<Apt<'s>, StoreError> {
        let folder = root.join("apt");
        for name in ["lists/partial", "cache/archives/partial", "empty"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(io_error("make", &path))?;
        }
        let apt = Apt { folder, cancel };
        apt.write("status", "")?;
        apt.write("apt.conf", &apt.configuration()?)?;
        Ok(apt)
    }

    /// Whether [`Apt::update`] has succeeded before in the store at `root`.
    pub(super) fn was_updated(root: &Path) -> bool {
        root.join("apt/index-complete").is_file()
    }

    fn write(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(io_error("write", &path))
    }

    fn configuration(&self) -> Result<String, StoreError> {
        let folder = self.folder.to_str().filter(|path| !path.contains(['"', '\n', '\\']));
        let folder = folder.ok_or_else(|| StoreError::Apt {
            reason: format!(
                "apt cannot work in {}: the path has characters that it does not take",
                self.folder.display()
            ),
        })?;
        // `#clear`: what the system's configuration would run after an update is not for our folder. Without
        // the sandbox, apt run by root would want to become a user who may not write there.
        Ok(format!(
            "Dir::State \"{folder}\";\n\
             Dir::State::Lists \"{folder}/lists\";\n\
             Dir::State::status \"{folder}/status\";\n\
             Dir::Cache \"{folder}/cache\";\n\
             Dir::Cache::archives \"{folder}/cache/archives\";\n\
             Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
             Dir::Etc::sourceparts \"{folder}/empty\";\n\
             Dir::Etc::preferences \"{folder}/empty/none\";\n\
             Dir::Etc::preferencesparts \"{folder}/empty\";\n\
             #clear APT::Update::Pre-Invoke;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             #clear APT::Architectures;\n\
             APT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             APT::Update::Error-Mode \"any\";\n\
             Acquire::Check-Valid-Until \"false\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::PDiffs \"false\";\n\
             Acquire::Retries \"2\";\n\
             Acquire::http::Timeout \"30\";\n\
             Acquire::https::Timeout \"30\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";\n"
        ))
    }

    /// Whether [`Apt::update`] has succeeded before.
    pub(super) fn has_index(&self) -> bool {
        self.folder.join("index-complete").is_file()
    }

    /// Fetches the package indexes of the suites. Where an older index is there and a new one cannot be had,
    /// the older one stays and the reason is returned.
    pub(super) fn update(&self) -> Result<Option<StoreError>, StoreError> {
        let keyring =
            KEYRINGS.into_iter().find(|path| Path::new(path).is_file()).ok_or_else(|| StoreError::Apt {
                reason: "Debian's archive keys are not installed (package debian-archive-keyring)"
                    .to_string(),
            })?;
        self.check_space(UPDATE_SPACE)?;
        let mut failure = None;
        for mirror in mirrors(self.cancel)? {
            let sources: String = SUITES
                .iter()
                .map(|suite| format!("deb [signed-by={keyring}] {mirror} {suite} main\n"))
                .collect();
            self.write("sources.list", &sources)?;
            let updated = self.run("apt-get", ["update", "-q"], None);
            if self.cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            // A mirror without one of the suites makes apt fail though the others are there.
            if self.packages().is_ok_and(|packages| !packages.is_empty()) {
                self.write("index-complete", "")?;
                return Ok(updated.err());
            }
            failure = failure.or(updated.err());
        }
        Err(failure.unwrap_or_else(|| StoreError::Apt {
            reason: "the machine's package mirrors carry no Debian kernels (is this Debian?)".to_string(),
        }))
    }

    /// apt on a full disk may wait for ever, so it is not let near one.
    fn check_space(&self, needed: u64) -> Result<(), StoreError> {
        let about = nix::sys::statvfs::statvfs(&self.folder).map_err(|errno| {
            io_error("ask for the free space of", &self.folder)(std::io::Error::from(errno))
        })?;
        let free = about.blocks_available() * about.fragment_size();
        if free >= needed {
            return Ok(());
        }
        let reason = format!(
            "{} has only {} MiB free, and {} are needed; XDG_CACHE_HOME can name another place",
            self.folder.display(),
            free >> 20,
            needed >> 20
        );
        Err(StoreError::Apt { reason })
    }

    /// Packages that may hold a cloud kernel's image, with their versions.
    pub(super) fn packages(&self) -> Result<Vec<(String, String)>, StoreError> {
        let names = self.run("apt-cache", ["pkgnames", "linux-"], None)?;
        let mut arguments = vec!["madison"];
        arguments.extend(names.lines().filter(|name| super::release_of(name).is_some()));
        if arguments.len() == 1 {
            return Ok(Vec::new());
        }
        let table = self.run("apt-cache", arguments, None)?;
        let mut found = BTreeSet::new();
        for line in table.lines() {
            let mut columns = line.split('|').map(str::trim);
            if let (Some(package), Some(version)) = (columns.next(), columns.next()) {
                found.insert((package.to_string(), version.to_string()));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The versions that there are of one package.
    pub(super) fn versions(&self, package: &str) -> Result<Vec<String>, StoreError> {
        let table = self.run("apt-cache", ["madison", package], None)?;
        let column = |line: &str| Some(line.split('|').nth(1)?.trim().to_string());
        // Source packages of that name would be listed too.
        Ok(table.lines().filter(|line| line.trim_end().ends_with("Packages")).filter_map(column).collect())
    }

    /// Downloads one version of a package into the folder `work` and unpacks it; returns where.
    pub(super) fn fetch(&self, package: &str, version: &str, work: &Path) -> Result<PathBuf, StoreError> {
        self.check_space(FETCH_SPACE)?;
        self.run("apt-get", ["download", "-q", &format!("{package}={version}")], Some(work))?;
        let entries = fs::read_dir(work).map_err(io_error("read", work))?;
        let file = entries
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension() == Some(OsStr::new("deb")))
            .ok_or_else(|| StoreError::Apt { reason: format!("apt-get has not downloaded {package}") })?;
        let unpacked = work.join("unpacked");
        self.run("dpkg-deb", [OsStr::new("-x"), file.as_os_str(), unpacked.as_os_str()], None)?;
        fs::remove_file(&file).map_err(io_error("remove", &file))?;
        Ok(unpacked)
    }

    /// Downloads a package and all that it depends on into the folder `work` and unpacks them over each other, as if
    /// into an empty system; returns where.
    pub(super) fn fetch_with_dependencies(&self, package: &str, work: &Path) -> Result<PathBuf, StoreError> {
        self.check_space(FETCH_SPACE)?;
        let archives = work.join("archives");
        let partial = archives.join("partial");
        fs::create_dir_all(&partial).map_err(io_error("make", &partial))?;
        let place = format!("Dir::Cache::archives={}", archives.display());
        let install =
            ["install", "--download-only", "--no-install-recommends", "-y", "-q", "-o", &place, package];
        self.run("apt-get", install, None)?;
        let unpacked = work.join("unpacked");
        let entries = fs::read_dir(&archives).map_err(io_error("read", &archives))?;
        for file in entries.flatten().map(|entry| entry.path()) {
            if file.extension() == Some(OsStr::new("deb")) {
                self.run("dpkg-deb", [OsStr::new("-x"), file.as_os_str(), unpacked.as_os_str()], None)?;
            }
        }
        fs::remove_dir_all(&archives).map_err(io_error("remove", &archives))?;
        Ok(unpacked)
    }

    /// Runs a program and returns its output; its last words are the error.
    fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
        folder: Option<&Path>,
    ) -> Result<String, StoreError> {
        let mut command = Command::new(program);
        if program.starts_with("apt") {
            command.arg("-c").arg(self.folder.join("apt.conf"));
        }
        command.args(arguments).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        output(program, &mut command, self.cancel)
    }
}

fn output(program: &str, command: &mut Command, cancel: &Cancel) -> Result<String, StoreError> {
    let output = process::output(command.stdin(std::process::Stdio::null()), cancel).map_err(|error| {
        StoreError::Apt {
            reason: match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("there is no `{program}` here, and packaged kernels are fetched with it")
                }
                _ => format!("cannot run {program}: {error}"),
            },
        }
    })?;
    let output = output.ok_or(StoreError::Cancelled)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = errors.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(4)..).unwrap_or_default().join("; ");
    Err(StoreError::Apt { reason: format!("{program} failed ({}): {last}", output.status) })
}

/// The mirrors of Debian's main archive that the machine's own apt is set up with.
fn mirrors(cancel: &Cancel) -> Result<Vec<String>, StoreError> {
    let mut command = Command::new("apt-get");
    command
        .args(["indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"])
        .env("LC_ALL", "C");
    let listed = output("apt-get", &mut command, cancel)?;
    let labelled = |line: &str| Some(line.strip_prefix("Debian|")?.to_string());
    let mut mirrors: Vec<String> = listed.lines().filter_map(labelled).collect();
    // Where nothing was fetched yet, apt lists nothing.
    if mirrors.is_empty() {
        mirrors.extend(configured_uris().into_iter().filter(|uri| !uri.contains("security")));
    }
    let mut seen = BTreeSet::new();
    mirrors.retain(|uri| is_plain(uri) && seen.insert(uri.trim_end_matches('/').to_string()));
    mirrors.truncate(4);
    if mirrors.is_empty() {
        return Err(StoreError::Apt {
            reason: "no package mirror is set up on this machine (/etc/apt/sources.list, sources.list.d)"
                .to_string(),
        });
    }
    Ok(mirrors)
}

/// An address that can stand in a sources list as it is.
fn is_plain(uri: &str) -> bool {
    uri.contains(":/") && uri.chars().all(|c| c.is_ascii_graphic() && !"[]#".contains(c))
}

/// Addresses in the machine's sources, in either format.
fn configured_uris() -> Vec<String> {
    let parts =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let files = std::iter::once(PathBuf::from("/etc/apt/sources.list")).chain(parts);
    files.flat_map(|file| uris_in(&fs::read_to_string(file).unwrap_or_default())).collect()
}

fn uris_in(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    for line in text.lines().map(str::trim) {
        let words = match line.strip_prefix("deb ").or_else(|| line.strip_prefix("URIs:")) {
            Some(words) => words,
            None => continue,
        };
        let word = |word: &&str| word.contains("://") || word.starts_with("file:/");
        uris.extend(words.split_whitespace().filter(word).map(str::to_string));
    }
    uris
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_addresses_in_both_formats_of_sources() {
        let text = "# deb http://old.example/debian x main\n\
                    deb [signed-by=/usr/share/keyrings/a.gpg] http://one.example/debian bookworm main\n\
                    deb-src http://source.example/debian bookworm main\n\
                    Types: deb\nURIs: http://two.example/debian/ http://three.example/debian\nSuites: sid\n";
        let expected =
            ["http://one.example/debian", "http://two.example/debian/", "http://three.example/debian"];
        assert_eq!(uris_in(text), expected);
    }

    #[test]
    fn a_sources_line_cannot_be_broken_by_an_address() {
        assert!(is_plain("http://one.example/debian"));
        assert!(is_plain("file:/srv/mirror"));
        assert!(!is_plain("http://one.example/debian sid main\ndeb"));
        assert!(!is_plain("http://one.example/[trusted=yes]"));
        assert!(!is_plain("nothing"));
    }

    #[test]
    fn the_configuration_refuses_a_folder_that_it_cannot_name() {
        let folder = tempfile::Builder::new().prefix("a\"b").tempdir().unwrap();
        assert!(matches!(Apt::open(folder.path(), &Cancel::new()), Err(StoreError::Apt { .. })));
    }
}
