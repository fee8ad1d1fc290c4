//! `livediff kernel`: list, fetch, build and inspect kernels.

use super::{
    build,
    exit::Exit,
    flags::{KernelCommand, KernelFlags},
    kernels::{self, Wanted},
};
use anyhow::{Context, Result, bail};
use livediff_harness::{image::Image, packages::Store};
use std::io::Write;

/// Does what the subcommand says.
pub(crate) fn run(flags: KernelFlags) -> Result<Exit> {
    let progress = |what: &str| anstream::eprintln!("{what}");
    let mut out = anstream::stdout();
    match flags.command {
        KernelCommand::List => {
            let kernels = Store::open().context("the cache of kernels")?.list()?;
            writeln!(out, "{:<12} {:<32} CACHED", "VERSION", "RELEASE")?;
            for kernel in kernels {
                let cached = kernel.cached.map(|path| path.display().to_string());
                writeln!(
                    out,
                    "{:<12} {:<32} {}",
                    kernel.version,
                    kernel.release,
                    cached.as_deref().unwrap_or("-")
                )?;
            }
        }
        KernelCommand::Fetch { kernel } => {
            let Wanted::Packaged(version) = Wanted::parse(&kernel)? else {
                bail!(
                    "{kernel} is a file already; `kernel fetch` takes a series (7.2) or a version (7.2.12)"
                );
            };
            // Unlike a run, this asks for what is newest now.
            let path = Store::open().context("the cache of kernels")?.fetch(&version, &progress)?;
            writeln!(out, "{}", path.display())?;
        }
        KernelCommand::Build(flags) => return build::run(flags),
        KernelCommand::Info { kernel } => {
            let path = Wanted::parse(&kernel)?.locate(&progress)?;
            let image = Image::open(&path)?;
            writeln!(out, "image    {}", image.path.display())?;
            writeln!(out, "release  {}", image.release)?;
            writeln!(out, "BTF      {} bytes", image.btf.len())?;
            let dialect = kernels::detect(&image).with_context(|| format!("Linux {}", image.release))?;
            writeln!(out, "dialect  {dialect}")?;
        }
    }
    Ok(Exit::Clean)
}
