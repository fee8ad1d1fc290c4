//! The running kernel in the place of a guest's: the agent is a child process, so that a fault of libbpf costs what was
//! in flight and no more, as in a guest.

use super::{
    RunError,
    vm::{self, Vm},
};
use crate::protocol::LOCAL;
use std::{fs, process::Command};

/// Capabilities that loading programs of every type asks for, with their numbers; `CAP_SYS_ADMIN` stands for them all.
const NEEDED: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_NET_ADMIN", 12)];
const SYS_ADMIN: u32 = 21;

/// Says whether this process may load programs of every type into the running kernel. Loads nothing.
pub fn check_local() -> Result<(), RunError> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    let setting = read("/proc/sys/kernel/unprivileged_bpf_disabled");
    match lacking(effective, &read("/proc/self/uid_map"), setting.trim()) {
        None => Ok(()),
        Some(reason) => Err(RunError::NotPermitted { reason }),
    }
}

/// What a process with these capabilities, in a user namespace with this map, lacks.
fn lacking(effective: u64, uid_map: &str, unprivileged_bpf_disabled: &str) -> Option<String> {
    let has = |number: u32| effective & (1 << number) != 0;
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(_, number)| !has(*number)).map(|(name, _)| *name).collect();
    if !has(SYS_ADMIN) && !missing.is_empty() {
        let setting = match unprivileged_bpf_disabled {
            "" => String::new(),
            value => format!(" (kernel.unprivileged_bpf_disabled is {value})"),
        };
        return Some(format!("this process lacks {}{setting}", missing.join(", ")));
    }
    // The kernel asks for capabilities in the first user namespace, whose map is the identity.
    let first = uid_map.split_whitespace().eq(["0", "0", "4294967295"]);
    (!first && !uid_map.is_empty())
        .then(|| "this process is in a user namespace, where its capabilities do not count".to_owned())
}

/// Starts an agent. The thread that calls this must outlive it.
pub(super) fn start() -> Result<Vm, RunError> {
    let mut command = Command::new("/proc/self/exe");
    command.env(LOCAL, std::process::id().to_string());
    vm::start(command, "start the agent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        const FIRST: &str = "         0          0 4294967295\n";
        let bit = |number: u32| 1u64 << number;
        let all = NEEDED.iter().map(|(_, number)| bit(*number)).sum::<u64>();
        assert_eq!(lacking(all, FIRST, "2"), None);
        assert_eq!(lacking(bit(SYS_ADMIN), FIRST, "2"), None);
        assert_eq!(
            lacking(0, FIRST, "2").as_deref(),
            Some(
                "this process lacks CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN (kernel.unprivileged_bpf_disabled is 2)"
            )
        );
        assert_eq!(lacking(bit(39) | bit(12), FIRST, "").as_deref(), Some("this process lacks CAP_PERFMON"));
        let inside = lacking(u64::MAX, "         0       1000          1\n", "2").unwrap();
        assert!(inside.contains("user namespace"), "{inside}");
    }
}
