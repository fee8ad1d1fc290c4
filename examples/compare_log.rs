//! Compares a verifier log that you have already with what the analysis says of the program.
//!
//! ```text
//! cargo run --example compare_log -- CAPTURE LOG [DIALECT]
//! ```
//! The log must be one of level 2 that begins where the verifier began, such as that of `veristat -l2` or of a loader of
//! your own, from a kernel that was given the program of the capture. The first kernel in the capture tells the dialect if
//! `DIALECT` does not. Lines before the first `func#` line do not matter.
//!
//! The exit status is 0 if the liveness sections are equal, 1 if they differ, and 2 if nothing was compared.
#![forbid(unsafe_code)]

use livediff::{
    Dialect,
    capture::{Said, Verdict, file},
    diff::{self, Status},
};
use std::{env, error::Error, fs, io, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args, &mut io::stdout().lock()) {
        Ok(Status::Match) => ExitCode::SUCCESS,
        Ok(Status::Mismatch) => ExitCode::from(1),
        Ok(_) => ExitCode::from(2),
        Err(error) => {
            eprintln!("compare_log: {error}");
            ExitCode::from(2)
        }
    }
}

/// Does what the arguments, those after the program's name, say.
pub(crate) fn run(args: &[&str], out: &mut dyn io::Write) -> Result<Status, Box<dyn Error>> {
    let (capture, log, dialect) = match *args {
        [capture, log] => (capture, log, None),
        [capture, log, dialect] => (capture, log, Some(dialect)),
        _ => return Err("usage: compare_log CAPTURE LOG [DIALECT]".into()),
    };
    let capture = file::read(Path::new(capture))?.into_iter().next().ok_or("no capture")?;
    let dialect = dialect.unwrap_or(&capture.kernel.dialect);
    let dialect = Dialect::from_id(dialect).ok_or_else(|| format!("{dialect} is no dialect"))?;
    let log = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    // How the load ended is not known, and the log may be a part. So a section that is not whole is no proof of anything:
    // it is not compared, or it differs before its end.
    let said = Said { verdict: Verdict::Rejected, errno: 0, log, truncated: true };

    let comparison = diff::judge(&capture.loaded, &said, dialect);
    writeln!(out, "{}: {}, {} lines", capture.program, comparison.status, comparison.lines)?;
    if let Some(reason) = &comparison.reason {
        writeln!(out, "{reason}")?;
    }
    if let Some(difference) = &comparison.difference {
        writeln!(out, "line {}, column {}: {}", difference.line, difference.column, difference.place)?;
        write!(out, "{}", difference.unified)?;
    }
    Ok(comparison.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURE: &str = "corpus/captures/corpus/frames/calls.bpf.o/pass_five_args.capture";
    const DIALECT: &str = "7.2";

    /// The outcome for the log in the capture, altered.
    fn compared(alter: impl Fn(String) -> String) -> (Status, String) {
        let captures = file::read(Path::new(CAPTURE)).expect("captures");
        let capture = captures.into_iter().find(|capture| capture.kernel.dialect == DIALECT).expect("of 7.2");
        let log = tempfile::NamedTempFile::new().expect("a file");
        fs::write(log.path(), alter(capture.said.log)).expect("it is written");
        let path = log.path().to_str().expect("a path");
        let mut out = Vec::new();
        let status = run(&[CAPTURE, path, DIALECT], &mut out).expect("it is compared");
        (status, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn equal_words_match_whatever_comes_before() {
        let (status, out) = compared(|log| format!("libbpf: -- BEGIN PROG LOAD LOG --\n{log}"));
        assert_eq!(status, Status::Match, "{out}");
    }

    #[test]
    fn a_slot_that_the_log_lacks_is_a_mismatch() {
        let (status, out) = compared(|log| log.replacen("; use: fp0-8", "", 1));
        assert_eq!(status, Status::Mismatch, "{out}");
        assert!(out.contains("stack use/def"), "{out}");
    }

    #[test]
    fn a_log_without_a_whole_section_is_not_compared() {
        for kept in [0, 300] {
            let (status, out) = compared(|log| log.chars().take(kept).collect());
            assert_eq!(status, Status::NotLoadable, "{out}");
        }
    }
}
