//! Exit statuses, the same for every subcommand.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and no discrepancy: 0.
    Clean,
    /// At least one discrepancy: 1.
    Discrepancy,
    /// Usage, environment or input is at fault, and nothing was decided: 2.
    Error,
    /// `bisect-step` alone: this step cannot be judged, and git should take another: 125.
    Untestable,
    /// `bisect-step` alone: interrupted. Above 127, so that git ends the bisection: 130.
    Interrupted,
}

impl Exit {
    /// The exit of a comparison, from how many programs differ, were compared, and were not: `complete` if nothing kept
    /// it from its end, `strict` if every program must have been compared. A run that compared nothing is never clean.
    pub(crate) fn of(
        (differing, compared, not_compared): (usize, usize, usize),
        complete: bool,
        strict: bool,
    ) -> Exit {
        if differing > 0 {
            Exit::Discrepancy
        } else if !complete || compared == 0 || strict && not_compared > 0 {
            Exit::Error
        } else {
            Exit::Clean
        }
    }
}

impl Exit {
    /// The number.
    pub(crate) fn status(self) -> u8 {
        match self {
            Exit::Clean => 0,
            Exit::Discrepancy => 1,
            Exit::Error => 2,
            Exit::Untestable => 125,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livediff::{
        diff::Status,
        report::{KernelRun, Report, Row},
    };

    #[test]
    fn statuses_decide() {
        let of = |statuses: &[Status], complete: bool, strict| {
            let rows = statuses.iter().map(|status| Row::not_loaded("a.o", "p", *status, "")).collect();
            let incomplete = (!complete).then(|| "why".to_owned());
            let kernels = vec![KernelRun { rows, ..KernelRun::default() }];
            crate::cli::verdict::exit(&Report { kernels, incomplete, ..Report::default() }, strict)
        };
        use Status::{Crashed, Match, Mismatch, NotLoadable, RejectedEarly, Timeout};
        assert_eq!(of(&[Match], true, true), Exit::Clean);
        assert_eq!(of(&[Match], false, false), Exit::Error);
        assert_eq!(of(&[], true, false), Exit::Error);
        assert_eq!(of(&[Match, Mismatch], true, false), Exit::Discrepancy);
        assert_eq!(of(&[Mismatch], false, true), Exit::Discrepancy);
        for status in [RejectedEarly, NotLoadable, Crashed, Timeout] {
            assert_eq!(of(&[status], true, false), Exit::Error, "{status}");
            assert_eq!(of(&[Match, status], true, false), Exit::Clean, "{status}");
            assert_eq!(of(&[Match, status], true, true), Exit::Error, "{status}");
        }
    }
}
