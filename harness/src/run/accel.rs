//! Whether guests can be run by the processor: only a guest that answers proves it. `/dev/kvm` may be there
//! and no guest start. The answer is kept until the machine is rebooted or QEMU changes.

use crate::cache;
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

#[derive(Serialize, Deserialize)]
struct Answer {
    machine: String,
    kvm: bool,
}

/// Why KVM need not be tried, if `/dev/kvm` cannot be used at all.
pub(super) fn unusable() -> Option<String> {
    let device = Path::new("/dev/kvm");
    if !device.exists() {
        return Some("there is no /dev/kvm".to_string());
    }
    let error = access(device, AccessFlags::R_OK | AccessFlags::W_OK).err()?;
    Some(format!("/dev/kvm cannot be opened ({error}); is the user in the group kvm?"))
}

/// What was found earlier on this machine with this QEMU.
pub(super) fn remembered(qemu: &Path) -> Option<bool> {
    let answer: Answer = serde_json::from_slice(&fs::read(file()?).ok()?).ok()?;
    (answer.machine == machine(qemu)).then_some(answer.kvm)
}

/// Keeps the answer. Failing to is no harm: it is found again.
pub(super) fn remember(qemu: &Path, kvm: bool) {
    let keep = || -> Option<()> {
        let file = file()?;
        let folder = file.parent()?;
        fs::create_dir_all(folder).ok()?;
        let mut new = tempfile::NamedTempFile::new_in(folder).ok()?;
        serde_json::to_writer(&mut new, &Answer { machine: machine(qemu), kvm }).ok()?;
        new.persist(&file).ok()?;
        Some(())
    };
    let _ = keep();
}

fn file() -> Option<PathBuf> {
    Some(cache::root()?.join("accel.json"))
}

/// This boot of this machine, this `/dev/kvm` and this QEMU.
fn machine(qemu: &Path) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let identity = |path: &Path| {
        let about = fs::metadata(path).ok()?;
        Some(format!("{}:{}:{}:{}", about.dev(), about.ino(), about.size(), about.mtime()))
    };
    let (device, qemu) = (identity(Path::new("/dev/kvm")), identity(qemu));
    format!("{} {} {}", boot.trim(), device.unwrap_or_default(), qemu.unwrap_or_default())
}
