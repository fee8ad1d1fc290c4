//! The command line: flags become a configuration before any work begins, then one file per subcommand.
mod analyze;
mod bisect;
mod bisect_step;
mod build;
mod compare;
mod corpus;
mod diff;
mod exit;
mod flags;
mod fuzz;
mod generate;
mod guest;
mod inputs;
mod interrupt;
mod kernel;
mod kernels;
mod merge;
mod origins;
mod output;
mod record;
mod reduce;
mod session;
mod shard;
mod soundness;
mod sources;
mod targets;
mod verdict;
mod words;

use anyhow::{Result, anyhow};
use clap::Parser;
use exit::Exit;
use flags::{Command, Flags};
use livediff::guard::guarded;
use std::process::ExitCode;

/// Parses the command line, does what it says, and turns the outcome into an exit status.
pub(crate) fn main() -> ExitCode {
    let command = Flags::parse().command;
    let (interrupted, unsaid) = match command {
        Command::BisectStep(_) => (Exit::Interrupted, Exit::Untestable),
        _ => (Exit::Error, Exit::Error),
    };
    if let Err(error) = interrupt::watch(interrupted.status()) {
        output::complain(&error);
        return interrupted.into();
    }
    let exit = ended(|| match command {
        Command::Analyze(flags) => analyze::run(flags),
        Command::Diff(flags) => diff::run(flags),
        Command::Compare(flags) => compare::run(flags),
        Command::Bisect(flags) => bisect::run(flags),
        Command::BisectStep(flags) => Ok(bisect_step::run(flags)),
        Command::Record(flags) => record::run(flags),
        Command::Reduce(flags) => reduce::run(flags),
        Command::Fuzz(flags) => fuzz::run(flags),
        Command::Soundness(flags) => soundness::run(flags),
        Command::Merge(flags) => merge::run(flags),
        Command::Kernel(flags) => kernel::run(flags),
        Command::Corpus(flags) => corpus::run(flags),
        Command::Schema(flags) => generate::schema(flags),
        Command::Completions(flags) => generate::completions(flags),
        Command::Man(flags) => generate::man(flags),
    });
    output::judge(exit, unsaid).into()
}

/// How the work ends. An error is told, and so is a defect of this program, of which scripts know nothing but that nothing
/// was decided.
fn ended(work: impl FnOnce() -> Result<Exit>) -> Exit {
    let broke_down = |cause| Err(anyhow!("livediff broke down, which is a defect of it: {cause}"));
    guarded(work).unwrap_or_else(broke_down).unwrap_or_else(|error| {
        output::complain(&error);
        Exit::Error
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_goes_wrong_decides_nothing() {
        assert_eq!(ended(|| Ok(Exit::Discrepancy)), Exit::Discrepancy);
        assert_eq!(ended(|| Err(anyhow!("no such file"))), Exit::Error);
        assert_eq!(ended(|| panic!("the test breaks down here")), Exit::Error);
    }
}
