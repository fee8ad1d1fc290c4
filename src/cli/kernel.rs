//! `livediff kernel`: list, fetch, build and inspect kernels.

use super::output::{self, tell};
use super::{
    build,
    exit::Exit,
    flags::{KernelCommand, KernelFlags},
    interrupt,
    kernels::{self, Wanted},
};
use anyhow::{Context, Result, bail};
use livediff::{
    Dialect,
    bpf::btf::{Btf, Kind},
    report::terminal::{counted, printable},
    verifier::Evidence,
};
use livediff_harness::image::Image;
use std::{collections::BTreeSet, io::Write};

/// Does what the subcommand says.
pub(crate) fn run(flags: KernelFlags) -> Result<Exit> {
    let progress = |what: &str| tell(what);
    let mut out = output::stdout();
    match flags.command {
        KernelCommand::List => list(&mut out)?,
        KernelCommand::Fetch { kernel, dry_run } => {
            let wanted = Wanted::parse(&kernel)?;
            let store = kernels::store()?;
            // Unlike a run, this asks for what is newest now.
            let path = match (wanted.packaged(), &wanted) {
                (Some(version), _) if dry_run => {
                    writeln!(out, "{}", printable(&store.newest(&version, &progress)?))?;
                    return Ok(Exit::Clean);
                }
                (Some(version), Wanted::Packaged(_)) => store.fetch(&version, &progress)?,
                (Some(version), _) => {
                    store.fetch(&version, &progress)?;
                    wanted.locate(&progress)?
                }
                // Nothing to fetch, but a link to make.
                (None, Wanted::Target(_)) if !dry_run => wanted.locate(&progress)?,
                _ => bail!(
                    "{kernel} is in no package; `kernel fetch` takes a series (7.2), a version (7.2.12) or a target"
                ),
            };
            writeln!(out, "{}", path.display())?;
        }
        KernelCommand::Build(flags) => return build::run(flags),
        KernelCommand::Info { kernel, dialect } => {
            return info(&Wanted::parse(&kernel)?.image(&progress)?, dialect, &mut out);
        }
    }
    Ok(Exit::Clean)
}

/// `kernel list`. The dialect of a kernel that is not here is not known.
fn list(out: &mut dyn Write) -> Result<()> {
    let kernels = kernels::store()?.list(&|what| tell(printable(what)))?;
    // Every image is unpacked.
    interrupt::at_once()?;
    writeln!(out, "{:<12} {:<32} {:<12} CACHED", "VERSION", "RELEASE", "DIALECT")?;
    for kernel in kernels {
        let dialect = kernel
            .cached
            .as_deref()
            .map(|path| -> Result<Dialect> { Ok(kernels::evidence(&Image::open(path)?)?.dialect()?) });
        let shown = match &dialect {
            None => "-",
            Some(Ok(dialect)) => dialect.id(),
            Some(Err(_)) => "unknown",
        };
        let cached = kernel.cached.map(|path| path.display().to_string());
        let (version, release, cached) = (&kernel.version, &kernel.release, cached.as_deref().unwrap_or("-"));
        writeln!(out, "{version:<12} {release:<32} {shown:<12} {cached}")?;
        if let Some(Err(error)) = dialect {
            tell(printable(&format!("{release}: {error:#}")));
        }
    }
    Ok(())
}

/// Options, each with a function that is in the BTF of a kernel in which it is built in.
type Options<'a> = &'a [(&'a str, &'a str)];

/// Without these no guest can be run.
const GUEST: Options<'_> = &[
    ("VIRTIO_PCI", "virtio_pci_probe"),
    ("VIRTIO_CONSOLE", "virtcons_probe"),
    ("SERIAL_8250_CONSOLE", "serial8250_console_setup"),
    ("DEVTMPFS", "devtmpfsd"),
    ("BLK_DEV_INITRD", "unpack_to_rootfs"),
];

/// Without these, programs of some kind cannot be loaded.
const PROGRAMS: Options<'_> = &[
    ("BPF_JIT", "bpf_int_jit_compile"),
    ("BPF_LSM", "bpf_lsm_file_open"),
    ("CGROUP_BPF", "cgroup_bpf_inherit"),
    ("FPROBE", "register_fprobe"),
    ("LWTUNNEL_BPF", "bpf_input"),
    ("NETFILTER_BPF_LINK", "nf_hook_run_bpf"),
    ("NET_SCH_BPF", "bpf_qdisc_init"),
    ("SCHED_CLASS_EXT", "bpf_scx_reg"),
];

/// `kernel info`.
fn info(image: &Image, forced: Option<Dialect>, out: &mut dyn Write) -> Result<Exit> {
    let btf = Btf::parse(&image.btf).with_context(|| format!("{}: its BTF", image.path.display()))?;
    let functions: BTreeSet<&str> =
        btf.types().filter(|ty| ty.kind == Kind::Func).map(|ty| ty.name).collect();
    let options = |options: Options<'_>, there: bool| {
        let names = options.iter().filter(|(_, function)| functions.contains(function) == there);
        let names: Vec<&str> = names.map(|(name, _)| *name).collect();
        if names.is_empty() { "none of those looked for".to_owned() } else { names.join(" ") }
    };
    let evidence = Evidence::find(&btf);
    let detected = evidence.dialect();

    writeln!(out, "image     {}", printable(&image.path.display().to_string()))?;
    writeln!(out, "release   {}", printable(&image.release))?;
    let shown = match (forced, &detected) {
        (Some(dialect), detected) => {
            format!("{} (forced; {})", dialect.id(), kernels::told(detected))
        }
        (None, Ok(dialect)) => dialect.id().to_owned(),
        (None, Err(_)) => "unknown".to_owned(),
    };
    writeln!(out, "dialect   {}", printable(&shown))?;
    for (at, fact) in evidence.facts().iter().enumerate() {
        let heading = if at == 0 { "evidence" } else { "" };
        writeln!(out, "{heading:<9} {}", printable(fact))?;
    }
    writeln!(out, "BTF       {} bytes, {}", image.btf.len(), counted(functions.len(), "function"))?;
    let both = [GUEST, PROGRAMS].concat();
    writeln!(out, "built in  {}", options(&both, true))?;
    writeln!(out, "not seen  {}", options(&both, false))?;
    let lacking = options(GUEST, false);
    if GUEST.iter().any(|(_, function)| !functions.contains(function)) {
        writeln!(out, "          a guest needs {lacking} built in: this kernel may not run in one")?;
    }
    if let (None, Err(error)) = (forced, detected) {
        return Err(error).with_context(|| {
            format!("Linux {}: the model for it can be forced with --dialect", image.release)
        });
    }
    Ok(Exit::Clean)
}
