//! The kernel's configuration: allnoconfig and a fragment of ours on top, then a check that nothing of it was lost.

use super::{BuildError, Step, io_error, make::Make};
use crate::run::Cancel;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// What we ask for.
pub(super) const FRAGMENT: &str = include_str!("fragment.config");

/// Without these a kernel does not boot here, or cannot be compared.
const ESSENTIAL: [&str; 12] = [
    "64BIT",
    "BLK_DEV_INITRD",
    "BPF_JIT",
    "BPF_SYSCALL",
    "DEBUG_INFO_BTF",
    "DEVTMPFS",
    "PCI",
    "PROC_FS",
    "SERIAL_8250_CONSOLE",
    "SYSFS",
    "VIRTIO_CONSOLE",
    "VIRTIO_PCI",
];

/// Writes `.config` and checks it.
pub(super) fn configure(
    make: &Make<'_>,
    source: &Path,
    cancel: &Cancel,
    sink: &dyn Fn(Step<'_>),
) -> Result<(), BuildError> {
    let fragment = make.out().join("livediff.config");
    fs::write(&fragment, FRAGMENT).map_err(io_error("write", &fragment))?;
    let all = format!("KCONFIG_ALLCONFIG={}", fragment.display());
    make.run("configuring the kernel", &[all.as_str(), "allnoconfig"], cancel, &mut |_| {})?;
    let config = make.out().join(".config");
    let config = fs::read_to_string(&config).map_err(io_error("read", &config))?;
    let lost = lost(FRAGMENT, &config);
    if lost.is_empty() {
        return Ok(());
    }
    let known = options_of(source);
    // A tree of another age may not have all of them yet, or any more; but what it has must have been set.
    let (refused, unknown): (Vec<&str>, Vec<&str>) =
        lost.into_iter().partition(|name| known.contains(*name) || ESSENTIAL.contains(name));
    let list =
        |names: &[&str]| names.iter().map(|name| format!("CONFIG_{name}")).collect::<Vec<_>>().join(", ");
    if !refused.is_empty() {
        return Err(BuildError::Config { missing: list(&refused) });
    }
    sink(Step::Note(&format!("this source has no {}; the kernel is built without", list(&unknown))));
    Ok(())
}

/// The options of `asked` that are not so in `config`, without `CONFIG_`.
fn lost<'a>(asked: &'a str, config: &str) -> Vec<&'a str> {
    let got: BTreeMap<&str, &str> = settings(config).collect();
    settings(asked)
        .filter(|(name, value)| got.get(name).copied().unwrap_or("n") != *value)
        .map(|(name, _)| name)
        .collect()
}

/// Names without `CONFIG_`, and values; `n` for what is not set.
fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| match line.strip_prefix("# CONFIG_") {
        Some(rest) => Some((rest.strip_suffix(" is not set")?, "n")),
        None => line.strip_prefix("CONFIG_")?.split_once('='),
    })
}

/// The names of the options that a source tree has.
fn options_of(source: &Path) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    let mut folders = vec![source.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with("Kconfig") {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes);
                let named = text.lines().filter_map(|line| {
                    let mut words = line.split_whitespace();
                    matches!(words.next(), Some("config" | "menuconfig")).then(|| words.next()).flatten()
                });
                options.extend(named.map(str::to_owned));
            }
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_fragment_asks_for_something_once() {
        let asks = |line: &&str| line.ends_with("is not set") || !line.is_empty() && !line.starts_with('#');
        let lines = FRAGMENT.lines().filter(asks).count();
        let names: BTreeSet<&str> = settings(FRAGMENT).map(|(name, _)| name).collect();
        assert_eq!(names.len(), lines);
        assert!(ESSENTIAL.iter().all(|name| names.contains(name)));
        assert!(settings(FRAGMENT).all(|(_, value)| value != "m"), "modules are not built");
    }

    #[test]
    fn an_option_that_did_not_survive_is_found() {
        let asked =
            "CONFIG_A=y\nCONFIG_B=\"bpf\"\nCONFIG_C=64\n# CONFIG_D is not set\n# about E\nCONFIG_F=y\n";
        let config = "CONFIG_A=y\nCONFIG_B=\"bpf\"\nCONFIG_C=64\nCONFIG_F=y\n";
        assert!(lost(asked, config).is_empty());
        assert_eq!(lost(asked, ""), ["A", "B", "C", "F"]);
        let changed = "# CONFIG_A is not set\nCONFIG_B=\"\"\nCONFIG_C=8\nCONFIG_D=y\nCONFIG_F=m\n";
        assert_eq!(lost(asked, changed), ["A", "B", "C", "D", "F"]);
    }

    #[test]
    fn options_are_found_where_they_are_defined() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("net")).unwrap();
        fs::write(tree.path().join("net/Kconfig.debug"), "config NET_X\n\tbool\nmenuconfig Y\n# config Z\n")
            .unwrap();
        assert_eq!(options_of(tree.path()), ["NET_X".to_owned(), "Y".to_owned()].into());
    }
}
