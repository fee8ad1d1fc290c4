//! `livediff analyze`: what the kernel would print of an object's programs, from the object alone.

use super::{
    exit::Exit,
    flags::AnalyzeFlags,
    inputs, interrupt,
    kernels::{self, Kernel, Wanted},
    output::{self, Output},
};
use anyhow::{Context, Result, bail};
use livediff::{
    Dialect,
    bpf::{Callable, btf::Btf},
    guard,
    loader::{self, lines::Lines},
    log::{self, End},
    report::{
        Beside, Picture, html,
        terminal::{printable, printable_lines},
        view::{self, Look},
    },
};
use livediff_harness::packages::Store;
use serde::Serialize;
use std::path::PathBuf;

/// The outcome as JSON, version 1.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    object: &'a str,
    /// The kernel's release; nothing if there was none.
    kernel: Option<&'a str>,
    dialect: &'a str,
    programs: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    program: String,
    section: String,
    /// `analyzed`, `rejected` (the verifier refuses the program within or before the section), `not_loadable`, or
    /// `broke_down` (the model, on it).
    status: &'static str,
    /// Why it is not `analyzed`.
    reason: Option<String>,
    /// Instruction slots.
    insns: usize,
    /// What the kernel would print, kernel addresses masked.
    log: Option<String>,
}

/// Does what the subcommand says.
pub(crate) fn run(flags: AnalyzeFlags) -> Result<Exit> {
    let reports = [("--json", &flags.json), ("--html", &flags.html)];
    let output = Output::new(output::check_reports(&reports)?);
    let reports = [&flags.json, &flags.html].into_iter().flatten().map(PathBuf::as_path);
    output::spare_inputs(reports, [flags.object.as_path()])?;
    let kernel = kernel(&flags, &output)?;
    interrupt::at_once()?;
    let dialect =
        flags.dialect.unwrap_or_else(|| kernel.as_ref().map_or(Dialect::V7_2, |kernel| kernel.dialect));
    let name = flags.object.to_string_lossy();
    let bytes = inputs::read(&flags.object)?;

    let types = kernel.as_ref().map(|kernel| Btf::parse(&kernel.image.btf).context("the kernel's BTF"));
    let types = types.transpose()?;
    let callable = types
        .as_ref()
        .zip(kernel.as_ref())
        .map(|(types, kernel)| Callable::new(types, dialect, &kernel.image.btf_ids));
    let against = match (&kernel, &types, &callable) {
        (Some(kernel), Some(types), Some(callable)) => {
            Some(loader::Kernel::new(&kernel.image.btf, types, callable)?)
        }
        _ => None,
    };
    let mut programs =
        loader::open(&name, &bytes, against.as_ref()).with_context(|| format!("{name} cannot be opened"))?;
    for wanted in &flags.programs {
        if !programs.iter().any(|program| &program.name == wanted) {
            let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
            bail!("{name} has no program {wanted}; it has {}", names.join(", "));
        }
    }
    programs.retain(|program| flags.programs.is_empty() || flags.programs.contains(&program.name));
    if programs.is_empty() {
        bail!("{name} has no program; functions in .text are no programs");
    }
    let mut pictures: Vec<Option<Picture>> = Vec::new();
    if flags.html.is_some() {
        let loaded = programs.iter().map(|program| program.loaded.as_ref().ok());
        let lines = Lines::read(&bytes).unwrap_or_default();
        pictures =
            loaded.map(|loaded| Some(Picture::new(loaded?, dialect, Beside::Nothing, &lines))).collect();
    }
    let look = flags.view.then(|| Look {
        width: flags.width.map(usize::from).or_else(|| output.width()).filter(|width| *width > 0),
        unicode: output::shows_unicode(),
    });
    let mut rows: Vec<Row> = Vec::new();
    for program in programs {
        // One that breaks down has no view, and says so as a row.
        let view = look.zip(program.loaded.as_ref().ok()).and_then(|(look, loaded)| {
            guard::guarded(|| {
                let mut view = Vec::new();
                // Nothing that is written to memory fails.
                let _ = view::draw(loaded, dialect, look, &mut view);
                view
            })
            .ok()
        });
        let row = row(program, dialect);
        show(&output, &name, &row, view.as_deref());
        rows.push(row);
    }
    if let Some(look) = look {
        output.print(|out| view::legend(look, out));
    }
    let release = kernel.as_ref().map(|kernel| kernel.image.release.as_str());
    let html = flags.html.as_ref().map(|path| {
        let programs = std::iter::zip(&rows, pictures).map(|(row, picture)| html::Analyzed {
            program: &row.program,
            status: row.status,
            reason: row.reason.as_deref(),
            insns: row.insns,
            picture,
        });
        let programs = programs.collect();
        output::write_report(path, |out| html::analysis_to_html(&name, release, dialect.id(), programs, out))
    });
    let all = rows.iter().all(|row| row.log.is_some());
    let json = flags.json.as_ref().map(|path| {
        let report =
            Report { version: 1, object: &name, kernel: release, dialect: dialect.id(), programs: rows };
        output::write_report(path, |out| {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)
        })
    });
    output::all_written([html, json].into_iter().flatten(), false)?;
    Ok(if all { Exit::Clean } else { Exit::Error })
}

/// The kernel that was named, or a cached one of the default series.
fn kernel(flags: &AnalyzeFlags, output: &Output) -> Result<Option<Kernel>> {
    types(flags.kernel.as_deref(), flags.dialect, output)
}

/// The kernel that was named, or a cached one of the default series, for its types.
pub(super) fn types(
    named: Option<&str>,
    dialect: Option<Dialect>,
    output: &Output,
) -> Result<Option<Kernel>> {
    let wanted = match named {
        Some(text) => Wanted::parse(text)?,
        None => {
            let cached = Store::open().and_then(|store| store.cached()).unwrap_or_default();
            let of_series = |version: &str| {
                version.strip_prefix(kernels::DEFAULT).is_some_and(|rest| rest.starts_with('.'))
            };
            let newest = cached.into_iter().rev().find(|kernel| of_series(&kernel.version));
            match newest.and_then(|kernel| kernel.cached) {
                Some(path) => Wanted::Image(path),
                None => return Ok(None),
            }
        }
    };
    let task = output.task("kernel");
    Kernel::open(&wanted, dialect, &|what| task.notice(what)).map(Some)
}

fn row(program: loader::Program, dialect: Dialect) -> Row {
    let loader::Program { name: program, section, loaded } = program;
    match loaded {
        Err(reason) => {
            Row { program, section, status: "not_loadable", reason: Some(reason), insns: 0, log: None }
        }
        Ok(loaded) => {
            let insns = loaded.insns.len();
            let text = match guard::guarded(|| log::section(&loaded, dialect)) {
                Ok(text) => text,
                Err(cause) => {
                    let reason = Some(guard::broke_down(&cause));
                    return Row { program, section, status: "broke_down", reason, insns, log: None };
                }
            };
            let (status, reason) = match text.end {
                End::Complete => ("analyzed", None),
                End::Failed(error) => ("rejected", Some(error.to_string())),
            };
            Row { program, section, status, reason, insns, log: Some(text.text) }
        }
    }
}

fn show(output: &Output, object: &str, row: &Row, view: Option<&[u8]>) {
    output.print(|out| {
        writeln!(out, "{}/{} ({})", printable(object), printable(&row.program), printable(&row.section))?;
        if let Some(view) = view {
            out.write_all(view)?;
        } else if let Some(log) = &row.log {
            write!(out, "{}", printable_lines(log))?;
        }
        match (&row.reason, row.status) {
            (Some(reason), "rejected") => {
                writeln!(out, "the kernel refuses the program here: {}", printable_lines(reason))?;
            }
            (Some(reason), "broke_down") => writeln!(out, "{}", printable_lines(reason))?,
            (Some(reason), _) => writeln!(out, "not loadable: {}", printable_lines(reason))?,
            (None, _) => {}
        }
        writeln!(out)
    });
}
