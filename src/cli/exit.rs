//! Exit statuses, the same for every subcommand.

use livediff::{diff::Status, report::Totals};
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
    /// The exit of a comparison: `complete` if nothing kept it from its end, `strict` if every program must have
    /// been compared. A run that compared nothing is never clean.
    pub(crate) fn of(totals: &Totals, complete: bool, strict: bool) -> Exit {
        if totals.count(Status::Mismatch) > 0 {
            Exit::Discrepancy
        } else if !complete || totals.compared() == 0 || strict && totals.not_compared() > 0 {
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
    use livediff::report::Row;

    fn totals(statuses: &[Status]) -> Totals {
        let mut totals = Totals::default();
        for status in statuses {
            totals.add(&Row::not_loaded("a.o", "p", *status, ""));
        }
        totals
    }

    #[test]
    fn statuses_decide() {
        let of = |statuses: &[Status], complete, strict| Exit::of(&totals(statuses), complete, strict);
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
