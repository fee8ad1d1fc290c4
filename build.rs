//! Tells the program which commit it is built from, where that can be known: from the git checkout that this folder is
//! the root of, else from what `git archive` or `cargo package` wrote down when they made the archive.
//!
//! Only optimised builds are told. The others are built again and again while something is changed, and would be built
//! once more for every commit.

use std::{env, fs, path::Path, process::Command};

/// What the program consists of. A change in it makes the program another one than that of the commit.
const SOURCES: [&str; 7] =
    ["src", "harness", "scripts", "corpus/include", "Cargo.toml", "Cargo.lock", "build.rs"];

/// `git archive` puts the commit into it.
const ARCHIVED: &str = ".git-archive";
/// `cargo package` adds it.
const PACKAGED: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env!("CARGO_PKG_VERSION");
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&root);
    let of = if env::var("PROFILE").as_deref() != Ok("release") {
        "not optimised, commit not noted".to_owned()
    } else {
        for name in [ARCHIVED, PACKAGED].into_iter().chain(SOURCES).filter(|name| root.join(name).exists()) {
            println!("cargo::rerun-if-changed={name}");
        }
        checkout(root)
            .or_else(|| archived(&fs::read_to_string(root.join(ARCHIVED)).ok()?))
            .or_else(|| packaged(&fs::read_to_string(root.join(PACKAGED)).ok()?))
            .unwrap_or_else(|| "commit unknown: not built in a git checkout".to_owned())
    };
    println!("cargo::rustc-env=LIVEDIFF_VERSION={version} ({of})");
}

/// The commit that is checked out in `root`, and whether the sources are still its own. Nothing if `root` is not the
/// root of a checkout; it may lie in somebody else's.
fn checkout(root: &Path) -> Option<String> {
    let top = fs::canonicalize(git(root, &["rev-parse", "--show-toplevel"])?).ok()?;
    if top != fs::canonicalize(root).ok()? {
        return None;
    }
    // Grows with every change of what is checked out, in a worktree too.
    let head = git(root, &["rev-parse", "--git-path", "logs/HEAD"])?;
    if root.join(&head).exists() {
        println!("cargo::rerun-if-changed={head}");
    }
    let commit = git(root, &["show", "--no-patch", "--format=%H %cs", "HEAD"])?;
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(SOURCES);
    let changed = if git(root, &status)?.is_empty() { "" } else { ", with changes" };
    Some(format!("{}{changed}", named(&commit)?))
}

/// What git says, without the environment that hooks and `git rebase --exec` set for another repository.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    let output = command.args(arguments).current_dir(root).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The commit in the file that `git archive` fills.
fn archived(text: &str) -> Option<String> {
    named(text.strip_prefix("commit ")?.trim_end())
}

/// The commit in `{"git": {"sha1": "..."}, ..}`.
fn packaged(text: &str) -> Option<String> {
    let changed = if text.contains("\"dirty\": true") { ", with changes" } else { "" };
    let (_, rest) = text.split_once("\"sha1\": \"")?;
    Some(format!("{}{changed}", named(rest.split_once('"')?.0)?))
}

/// `1f2e3d4c5b6a` or `1f2e3d4c5b6a 2026-11-20` of a commit of full length, with or without its date.
fn named(commit: &str) -> Option<String> {
    let (hash, date) = commit.split_once(' ').unwrap_or((commit, ""));
    let is_hash = hash.len() >= 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = hash.get(..12).filter(|_| is_hash)?;
    Some(format!("{short} {date}").trim_end().to_owned())
}
