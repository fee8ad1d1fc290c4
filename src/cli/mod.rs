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

use clap::Parser;
use exit::Exit;
use flags::{Command, Flags};
use std::process::ExitCode;

/// Parses the command line, does what it says, and turns the outcome into an exit status.
pub(crate) fn main() -> ExitCode {
    let command = Flags::parse().command;
    let (interrupted, unsaid) = match command {
        Command::BisectStep(_) => (Exit::Interrupted, Exit::Untestable),
        _ => (Exit::Error, Exit::Error),
    };
    if let Err(error) = interrupt::watch(interrupted.status()) {
        say_error(&error);
        return interrupted.into();
    }
    let outcome = match command {
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
    };
    let exit = outcome.unwrap_or_else(|error| {
        say_error(&error);
        Exit::Error
    });
    output::judge(exit, unsaid).into()
}

/// Says what went wrong.
fn say_error(error: &anyhow::Error) {
    let label = anstyle::AnsiColor::Red.on_default().bold();
    let text = livediff::report::terminal::printable_lines(&format!("{error:#}"));
    output::tell(format_args!("{label}error{label:#}: {text}"));
}
