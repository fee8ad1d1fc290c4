//! Starting a guest, and greeting its agent.

use super::{Supervisor, TICK};
use crate::{
    protocol::{FromGuest, ToGuest, VERSION},
    run::{
        Accel, Event, RunError, accel,
        vm::{self, Ended, FromVm, Vm},
    },
};
use std::{
    process::ExitStatus,
    time::{Duration, Instant},
};

/// How long a guest may take until its agent answers: emulated, and by a processor that is known to work.
pub(super) const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// The same where it is not known whether the processor can do it.
const KVM_TRIAL: Duration = Duration::from_secs(6);
/// How often an emulated kernel may die before its agent answers. One that is broken dies every time; a good one can
/// die of the emulation, where a processor runs code that another is patching, and the next start is fine. It can also
/// hang before its first word, which is tried again once: a broken one takes as long every time.
const BOOT_TRIALS: usize = 3;
/// Longest release that is believed; the kernel's own has 64 characters at most.
pub(super) const RELEASE_LIMIT: usize = 128;

impl Supervisor<'_> {
    /// Starts a guest and waits until its agent answers.
    pub(super) fn boot(&mut self) -> Result<Vm, RunError> {
        let trials: Vec<(Accel, Duration)> = match (self.accel, self.wanted_accel) {
            (Some(accel), _) => vec![(accel, self.boot_limit)],
            (None, Accel::Tcg) => vec![(Accel::Tcg, self.boot_limit)],
            (None, Accel::Native) => vec![(Accel::Native, self.boot_limit)],
            (None, Accel::Kvm) => match accel::unusable() {
                Some(reason) => return Err(RunError::NoKvm { reason }),
                None => vec![(Accel::Kvm, self.boot_limit.min(KVM_TRIAL * 2))],
            },
            (None, Accel::Auto) => match (accel::unusable(), accel::remembered(&self.qemu)) {
                (Some(_), _) | (None, Some(false)) => vec![(Accel::Tcg, self.boot_limit)],
                (None, _) => vec![(Accel::Kvm, KVM_TRIAL), (Accel::Tcg, self.boot_limit)],
            },
        };
        let trials = trials.into_iter().flat_map(|(accel, limit)| {
            std::iter::repeat_n((accel, limit), if accel == Accel::Tcg { BOOT_TRIALS } else { 1 })
        });
        let mut trials = trials.peekable();
        let mut failure = (String::new(), Ended { console: String::new(), status: None });
        let (mut not_by_kvm, mut hung) = (false, false);
        while let Some((accel, limit)) = trials.next() {
            let begun = Instant::now();
            let vm = (self.start)(accel)?;
            let reason = match self.greet(&vm, limit)? {
                Ok(release) => {
                    if self.accel.is_none() {
                        self.remember(accel, not_by_kvm);
                        self.accel = Some(accel);
                        self.work.event(Event::Booted { release, accel });
                    }
                    return Ok(vm);
                }
                Err(reason) => reason,
            };
            let late = begun.elapsed() >= limit;
            let ended = vm.finish(Duration::from_millis(500));
            let silent = ended.console.is_empty();
            failure = (reason, ended);
            not_by_kvm |= accel == Accel::Kvm;
            if accel == Accel::Tcg {
                if late && (hung || !silent) {
                    break;
                }
                hung |= late;
                if trials.peek().is_some() {
                    let words = if silent { ", and its console stayed empty" } else { "" };
                    let reason = format!("{}{words}; trying again", failure.0);
                    self.work.event(Event::GuestRestarted { reason });
                }
            }
        }
        let (reason, Ended { console, status }) = failure;
        if self.wanted_accel == Accel::Native {
            return Err(RunError::NoAgent { reason, words: console });
        }
        if self.wanted_accel == Accel::Kvm && self.accel.is_none() {
            return Err(RunError::NoKvm {
                reason: format!("{reason}: {}", console.lines().last().unwrap_or_default()),
            });
        }
        // A guest that ends, even by a panic of its kernel, is a success to QEMU.
        if let Some(status) = status.filter(|status| !status.success()) {
            return Err(self.qemu_failed(status, &console));
        }
        Err(RunError::NoBoot {
            release: self.image.release.clone(),
            path: self.image.path.display().to_string(),
            reason: format!("{reason}{}", self.given),
            console: if console.is_empty() { "Its console stayed empty.".to_string() } else { console },
        })
    }

    /// Keeps for the next run whether the processor can do it. That it cannot is only known from a guest that starts
    /// without it: of one that never starts, the image is to blame. What this guest was given is nothing to hold against
    /// the machine either.
    fn remember(&self, accel: Accel, not_by_kvm: bool) {
        if self.wanted_accel == Accel::Auto && accel == Accel::Kvm {
            accel::remember(&self.qemu, true);
        } else if not_by_kvm && self.given.is_empty() {
            accel::remember(&self.qemu, false);
        }
    }

    /// QEMU did not run its guest to an end: the error says what it said, and the way out.
    fn qemu_failed(&self, status: ExitStatus, words: &str) -> RunError {
        use std::os::unix::process::ExitStatusExt;
        let version = vm::version(&self.qemu);
        let way_out = match (&version, status.signal()) {
            (Some((_, true)), _) => "It is too old: 2.12 is the oldest that can do it",
            (_, Some(9)) => {
                "Somebody killed it, as the system does when the machine runs out of memory: --jobs 1 makes the guest the \
                 smallest"
            }
            _ if !self.given.is_empty() => "See whether the arguments are right",
            _ => "See whether `qemu-system-x86_64` on the PATH is a whole and current QEMU",
        };
        RunError::QemuFailed {
            version: version.map(|(version, _)| format!(" {version}")).unwrap_or_default(),
            qemu: self.qemu.display().to_string(),
            status: format!("{status}{}", self.given),
            words: if words.is_empty() { "It said nothing.".to_string() } else { words.to_string() },
            way_out,
        }
    }

    /// The agent's hello and ours. The inner error says why there was none.
    fn greet(&self, vm: &Vm, limit: Duration) -> Result<Result<String, String>, RunError> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            self.check_cancelled()?;
            match vm.receive(TICK) {
                None => {}
                Some(FromVm::Message(message, _)) => match *message {
                    FromGuest::Hello { version: VERSION, mut release } => {
                        if let Some((end, _)) = release.char_indices().nth(RELEASE_LIMIT) {
                            release.truncate(end);
                        }
                        let log_limit = (u64::from(self.memory_mib) << 20) / (4 * u64::from(self.vcpus));
                        let hello = ToGuest::Hello {
                            version: VERSION,
                            threads: self.vcpus,
                            log_limit: u32::try_from(log_limit).unwrap_or(u32::MAX).min(256 << 20),
                            stop: self.stop.clone(),
                            trace: self.trace,
                        };
                        vm.send(hello, self.image.config.clone().unwrap_or_default());
                        return Ok(Ok(release));
                    }
                    other => {
                        let other: String = format!("{other:?}").chars().take(200).collect();
                        return Ok(Err(format!("its agent says something strange: {other}")));
                    }
                },
                Some(FromVm::Closed(reason)) => return Ok(Err(reason)),
            }
        }
        Ok(Err(format!("its agent did not answer within {} s", limit.as_secs_f32())))
    }
}
