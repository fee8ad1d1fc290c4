//! What the program writes about itself: shell completions and manual pages, made from the same source as `--help`, and
//! the schemas of its JSON reports.

use super::{
    exit::Exit,
    flags::Flags,
    output::{self, Output},
};
use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, roman};
use livediff::{VERSION, report::schema};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const NAME: &str = "livediff";

#[derive(Debug, Args)]
#[command(after_help = "\
Where shells look for completions:
- bash: ~/.local/share/bash-completion/completions/livediff
- zsh: a file _livediff in a folder of $fpath
- fish: ~/.config/fish/completions/livediff.fish; it completes no flags of `corpus import selftests`")]
pub(crate) struct CompletionsFlags {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManFlags {
    /// The folder to write to, which is made if it is not there: DIR/livediff.1, DIR/livediff-diff.1 and so on.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaFlags {
    /// Whose report.
    #[arg(value_enum, value_name = "SUBCOMMAND")]
    pub(crate) of: SchemaOf,
}

/// A subcommand that writes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// `diff --json`, and `merge --json`.
    Diff,
    /// `compare --json`.
    Compare,
    /// `analyze --json`.
    Analyze,
    /// `soundness --json`.
    Soundness,
}

/// `livediff completions`.
pub(crate) fn completions(flags: CompletionsFlags) -> Result<Exit> {
    let script = script(flags.shell);
    Output::new(false).print(|out| out.write_all(&script));
    Ok(Exit::Clean)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Flags::command(), NAME, &mut script);
    script
}

/// `livediff man`.
pub(crate) fn man(flags: ManFlags) -> Result<Exit> {
    let folder = &flags.folder;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let pages = pages().context("the pages cannot be made")?;
    for (name, page) in &pages {
        output::write_report(&folder.join(name), |out| out.write_all(page))?;
    }
    let first = folder.join(format!("{NAME}.1"));
    Output::new(false).line(&format!("{} pages; man -l {}", pages.len(), shown(&first)));
    Ok(Exit::Clean)
}

fn shown(path: &Path) -> String {
    livediff::report::terminal::printable(&path.display().to_string())
}

/// A page for the program and one for each subcommand, with the names of their files.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Flags::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    let mut todo = vec![program];
    while let Some(command) = todo.pop() {
        todo.extend(command.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
        pages.push(page(command)?);
    }
    pages.sort();
    Ok(pages)
}

fn page(command: Command) -> io::Result<(String, Vec<u8>)> {
    let notes = command.get_after_help().map(|help| notes(&help.to_string())).unwrap_or_default();
    let man = clap_mangen::Man::new(command.after_help(None::<&str>));
    let man = man.source(format!("{NAME} {VERSION}")).manual("User Commands");
    let mut page = Vec::new();
    man.render(&mut page)?;
    notes.to_writer(&mut page)?;
    Ok((man.get_filename(), page))
}

/// What stands after the flags: paragraphs, lists of lines that begin with `- `, tables of lines that begin with two
/// blanks, and the exit status, which has a section of its own on every manual page.
fn notes(text: &str) -> Roff {
    let mut roff = Roff::new();
    let (mut begun, mut table) = (false, false);
    for line in text.lines() {
        if line.starts_with("Exit status") {
            let rest = line.strip_prefix("Exit status: ").unwrap_or(line);
            roff.control("SH", ["EXIT STATUS"]).text([roman(rest)]);
            begun = true;
            continue;
        }
        if !begun && !line.is_empty() {
            roff.control("SH", ["NOTES"]);
            begun = true;
        }
        if line.starts_with("  ") != table {
            table = !table;
            roff.control(if table { "nf" } else { "fi" }, []);
        }
        match line.strip_prefix("- ") {
            Some(item) => roff.control("IP", ["\\(bu", "2"]).text([roman(item)]),
            None if line.is_empty() => roff.control("PP", []),
            None => roff.text([roman(line)]),
        };
    }
    roff
}

/// `livediff schema`.
pub(crate) fn schema(flags: SchemaFlags) -> Result<Exit> {
    let text = match flags.of {
        SchemaOf::Diff => schema::DIFF,
        SchemaOf::Compare => schema::COMPARE,
        SchemaOf::Analyze => schema::ANALYZE,
        SchemaOf::Soundness => schema::SOUNDNESS,
    };
    Output::new(false).print(|out| out.write_all(text.as_bytes()));
    Ok(Exit::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::BTreeMap,
        io::Write,
        process::{self, Stdio},
    };

    /// Every command with the words that call it: `livediff`, `livediff kernel`, `livediff kernel list`.
    fn commands() -> Vec<(Vec<String>, Command)> {
        let mut program = Flags::command().disable_help_subcommand(true);
        program.build();
        let mut found = Vec::new();
        let mut todo = vec![(vec![NAME.to_owned()], program)];
        while let Some((words, command)) = todo.pop() {
            for inner in command.get_subcommands() {
                let inner_words = words.iter().cloned().chain([inner.get_name().to_owned()]).collect();
                todo.push((inner_words, inner.clone()));
            }
            found.push((words, command));
        }
        found
    }

    /// Text of a page without the marks of roff.
    fn plain(page: &[u8]) -> String {
        let text = String::from_utf8_lossy(page).replace("\\-", "-").replace("\\*(Aq", "'");
        ["\\fB", "\\fI", "\\fR", "\\&"].iter().fold(text, |text, mark| text.replace(mark, ""))
    }

    #[test]
    fn every_subcommand_has_a_page_with_all_its_flags() {
        let pages: BTreeMap<String, Vec<u8>> = pages().unwrap().into_iter().collect();
        let commands = commands();
        assert!(commands.len() >= 20, "only {} commands", commands.len());
        for (words, command) in &commands {
            let name = format!("{}.1", words.join("-"));
            let page = plain(pages.get(&name).unwrap_or_else(|| panic!("there is no page {name}")));
            let own = |arg: &&clap::Arg| !arg.is_hide_set() && arg.get_id() != "help";
            for arg in command.get_arguments().filter(own) {
                if let Some(long) = arg.get_long() {
                    assert!(page.contains(&format!("--{long}")), "{name} says nothing of --{long}");
                }
                // The first words of what `--help` says of it.
                let help = arg.get_help().map(|help| help.to_string()).unwrap_or_default();
                let first = help.split(['`', '\'', '.', '-']).next().unwrap_or_default();
                assert!(page.contains(first), "{name} does not say {first:?}");
            }
            assert!(page.contains(VERSION), "{name}");
            let after = command.get_after_help().map(|help| help.to_string()).unwrap_or_default();
            let words = after.split_whitespace().filter(|word| !["Exit", "status:", "-"].contains(word));
            for words in words {
                assert!(page.contains(words), "{name} does not say {words:?}");
            }
            assert_eq!(page.contains("SH \"EXIT STATUS\""), after.contains("Exit status"), "{name}");
        }
        assert_eq!(pages.len(), commands.len());
    }

    #[test]
    fn completions_know_every_subcommand() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = String::from_utf8(script(shell)).unwrap();
            for (words, command) in commands() {
                assert!(script.contains(words.last().unwrap()), "{shell}: {words:?}");
                // Those of fish end at the second subcommand, as `--help` says.
                let deep = shell == Shell::Fish && words.len() > 3;
                assert!(!deep || words.join(" ") == "livediff corpus import selftests", "{words:?}");
                for arg in command.get_arguments().filter_map(|arg| arg.get_long()).filter(|_| !deep) {
                    assert!(script.contains(arg), "{shell}: {words:?} --{arg}");
                }
            }
        }
    }

    /// Bash itself, as it does for a user who presses the tabulator key.
    #[test]
    fn bash_completes() {
        let asked = "\nCOMP_WORDS=(livediff kernel fe); COMP_CWORD=2; _livediff livediff fe kernel; echo \"=${COMPREPLY[*]}\"\n";
        let mut bash = process::Command::new("bash")
            .args(["--norc", "--noprofile"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash, which the scripts need too");
        let mut stdin = bash.stdin.take().unwrap();
        stdin.write_all(&script(Shell::Bash)).unwrap();
        stdin.write_all(asked.as_bytes()).unwrap();
        drop(stdin);
        let output = bash.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.lines().last(), Some("=fetch"), "{said}");
    }
}
