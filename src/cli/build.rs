//! `livediff kernel build`: a kernel from source.

use super::{
    exit::Exit,
    flags::BuildFlags,
    interrupt,
    output::{self, tell},
};
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use livediff::report::terminal::printable;
use livediff_harness::{
    build::{self, BuildError, Built, Request, Source, Step},
    run::Cancel,
};
use std::{io::Write, thread, time::Duration};

/// Builds, and prints the path of the image as the only line of standard output.
pub(crate) fn run(flags: BuildFlags) -> Result<Exit> {
    let source = match (flags.tree, flags.package) {
        (Some(tree), _) => Source::Tree(tree),
        (None, Some(package)) => {
            let series = package.strip_prefix("linux-source-").unwrap_or(&package).to_owned();
            Source::Package(series)
        }
        (None, None) => bail!("name a source: --tree DIR or --package linux-source-7.2"),
    };
    let processors = thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let jobs = flags.jobs.unwrap_or(processors);
    let request = Request { source, patches: flags.patches, jobs, name: flags.name };

    let built = with_progress(&request, &interrupt::cancel())?;
    tell(format_args!("Linux {}, built", printable(&built.release)));
    writeln!(output::stdout(), "{}", built.image.display())?;
    Ok(Exit::Clean)
}

/// Builds, and shows on standard error what goes on.
pub(super) fn with_progress(request: &Request, cancel: &Cancel) -> Result<Built, BuildError> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {msg} [{elapsed}] {prefix}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(120));
    let built = build::build(request, cancel, &|step| match step {
        // Where there is no terminal, lines.
        Step::Note(text) if bar.is_hidden() => tell(printable(text)),
        Step::Note(text) => {
            bar.set_message(printable(text).to_string());
            bar.set_prefix(String::new());
        }
        Step::File(count, file) => bar.set_prefix(format!("{count} {}", printable(file))),
    });
    bar.finish_and_clear();
    built
}
