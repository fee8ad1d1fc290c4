//! The flags as the user writes them.

use clap::{Args, Parser, Subcommand, ValueEnum};
use livediff::Dialect;
use std::path::PathBuf;

/// Holds the BPF verifier's liveness analysis against a model of it.
#[derive(Debug, Parser)]
#[command(version = livediff::VERSION, about, arg_required_else_help = true)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load every program into a kernel, analyse it, and compare what kernel and model say.
    Diff(DiffFlags),
    /// Load every program into two kernels and compare what they say: kernel against kernel.
    Compare(super::compare::CompareFlags),
    /// Find, among the packaged kernels between a good and a bad one, the first that is not like the good one.
    Bisect(super::bisect::BisectFlags),
    /// Judge a kernel source tree as one step of `git bisect run`: build it, boot it, compare.
    BisectStep(super::bisect_step::StepFlags),
    /// Print what the kernel would print of an object's programs, without a kernel and without root.
    Analyze(AnalyzeFlags),
    /// Run a kernel and write what it saw and said of every program to files, one capture each.
    Record(RecordFlags),
    /// Find the smallest program that still shows a discrepancy.
    Reduce(super::reduce::ReduceFlags),
    /// Make random programs, load them into a kernel, and compare what kernel and model say.
    Fuzz(super::fuzz::FuzzFlags),
    /// Execute random paths, and see whether every stack slot that is read was called live.
    Soundness(super::soundness::SoundnessFlags),
    /// Put the reports of all parts of a run (`diff --shard I/N --json FILE`) together.
    Merge(super::merge::MergeFlags),
    /// List, fetch, build and inspect kernels.
    Kernel(KernelFlags),
    /// Get programs to compare: carve them out of files, build the kernel's own.
    Corpus(CorpusFlags),
    /// Print the JSON Schema of a report.
    Schema(super::generate::SchemaFlags),
    /// Print a script that completes livediff's flags in a shell.
    Completions(super::generate::CompletionsFlags),
    /// Write the manual pages, one for each subcommand.
    Man(super::generate::ManFlags),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 no discrepancy, 1 at least one, 2 nothing was decided (usage, environment or input).
A run in which no program could be compared never exits with 0.")]
pub(crate) struct DiffFlags {
    /// BPF objects, captures, and folders to search for them [default: corpus/, if it is there].
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) live: LiveFlags,

    /// Compare with recorded captures only; boot nothing.
    #[arg(long)]
    pub(crate) replay: bool,

    /// Compare also what tracing programs read from the kernel while it loads each program: every mask of every function
    /// instance, the constants, the postorder, and every answer that the path walk gets. Verifications come to their end
    /// then. For kernels from 7.1 on; a program of which not everything could be read is not compared. One that kernel and
    /// model both refuse in the liveness analysis has nothing beyond its log.
    #[arg(long, conflicts_with = "replay")]
    pub(crate) deep: bool,

    /// Count every program that was not compared as an error, and every target of vmtest.toml that was not run. Captures
    /// never take a kernel's place.
    #[arg(long)]
    pub(crate) strict: bool,

    #[command(flatten)]
    pub(crate) reports: super::verdict::ReportFlags,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The object is opened and relocated by aya-obj instead of libbpf. These are errors, of the object or of one program, and \
nothing is printed for them:
- objects with CO-RE relocations, and programs that call kernel functions, where no kernel is named or cached;
- CO-RE relocations that ask whether types match (bpf_core_type_matches);
- functions of kernel modules, and symbols that the kernel does not have;
- addresses of kernel symbols without a type, and the kernel's configuration (__kconfig): only a running kernel has them;
- static maps, variables in an arena, and program arrays that name their programs;
- exception callbacks that nothing calls and that call functions themselves;
- an extension (freplace) of a program of another object.

Exit status: 0 every program asked for was analysed, 2 at least one was not.")]
pub(crate) struct AnalyzeFlags {
    /// The BPF object.
    #[arg(value_name = "OBJECT")]
    pub(crate) object: PathBuf,

    /// Only this program. Can be given more than once [default: all].
    #[arg(long = "program", value_name = "PROGRAM")]
    pub(crate) programs: Vec<String>,

    /// The kernel against whose types the object is relocated, and whose generation of the analysis is run: `7.2`,
    /// `7.2.12`, or the path of an image. It is not run [default: a cached kernel of series 7.2, or none].
    #[arg(long, value_name = "KERNEL")]
    pub(crate) kernel: Option<String>,

    /// The generation of the analysis, such as 7.2 [default: the kernel's].
    #[arg(long, value_name = "DIALECT", value_parser = super::kernels::dialect)]
    pub(crate) dialect: Option<Dialect>,

    /// Print pictures instead of the kernel's text: for each instance of a subprogram a grid of stack slots by
    /// instruction, as wide as the terminal. What has no room comes in further grids below.
    #[arg(long)]
    pub(crate) view: bool,

    /// Columns of the pictures; 0 for as many as they take [default: those of the terminal, else as many as they take].
    #[arg(long, value_name = "N", requires = "view")]
    pub(crate) width: Option<u16>,

    /// Write the outcome as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Draw the outcome, as one HTML file that browsers show from disk; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RecordFlags {
    /// BPF objects, and folders to search for them.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// The folder to write to: `DIR/<kernel release>/<object>/<program>.capture`.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Keep the captures of a program from all kernels in one file, `DIR/<object>/<program>.capture`, where equal parts
    /// take their place only once. In a file that is there already, only captures from the same kernels are replaced.
    #[arg(long)]
    pub(crate) together: bool,

    #[command(flatten)]
    pub(crate) live: LiveFlags,
}

/// What every subcommand takes that runs programs in kernels.
#[derive(Clone, Debug, Args)]
pub(crate) struct LiveFlags {
    /// A kernel: `7.2` (the newest packaged one of that series), `7.2.12` (that one), the path of a bzImage, vmlinuz or
    /// vmlinux, `target:NAME` (a target of vmtest.toml in this folder), or `local` (the running kernel, no VM). Can be
    /// given more than once [default: the targets of vmtest.toml, if it is there, else 7.2].
    #[arg(long = "kernel", value_name = "KERNEL")]
    pub(crate) kernels: Vec<String>,

    /// Only programs whose `object/program` matches; `*` also matches `/`.
    #[arg(long, value_name = "GLOB")]
    pub(crate) filter: Option<String>,

    #[command(flatten)]
    pub(crate) shard: super::shard::ShardFlags,

    #[command(flatten)]
    pub(crate) guest: GuestFlags,

    /// Let the verification of every program run to its end, for its verdict. Without this it is stopped once the
    /// liveness section is complete; by `record`, only if it takes longer than a second.
    #[arg(long)]
    pub(crate) verdict: bool,
}

/// How guests are run, and what their kernels are taken for.
#[derive(Clone, Debug, Args)]
pub(crate) struct GuestFlags {
    /// Take this dialect for every kernel, whatever its BTF says; what is reported says so.
    #[arg(long, value_name = "DIALECT", value_parser = super::kernels::dialect)]
    pub(crate) dialect: Option<Dialect>,

    /// Virtual processors of the guest, and threads that analyse [default: the number of processors].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    pub(crate) jobs: Option<u32>,

    /// How the guest is run.
    #[arg(long, value_enum, default_value_t = AccelFlag::Auto)]
    pub(crate) accel: AccelFlag,

    /// Seconds after which a program counts as hanging.
    #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

/// How the guest is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccelFlag {
    /// KVM where a guest really answers under it, else TCG.
    Auto,
    /// Hardware virtualisation.
    Kvm,
    /// Emulation: works everywhere, slower.
    Tcg,
}

#[derive(Debug, Args)]
pub(crate) struct KernelFlags {
    #[command(subcommand)]
    pub(crate) command: KernelCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KernelCommand {
    /// List the kernels that packages offer, which of them are in the cache, and the dialect of those, from their BTF.
    List,
    /// Fetch a packaged kernel into the cache and print the path of its image.
    Fetch {
        /// A series (`7.2`), a version (`7.2.12`), or a target (`target:NAME`), whose path in vmtest.toml is made a link
        /// to the kernel.
        kernel: String,

        /// Fetch nothing but the package index, and print PACKAGE=VERSION of what would be fetched: the key under which
        /// a CI system keeps it.
        #[arg(long)]
        dry_run: bool,
    },
    /// Build a small kernel from source and print the path of its image, for `--kernel`.
    #[command(after_help = "\
The kernel has BTF and, built in, what BPF programs and virtual machines ask for. The source is copied into the
cache and built there: a tree that is named is never written to, and building again after a change, or with another
patch, compiles only what that concerns.")]
    Build(BuildFlags),
    /// Print what a kernel image is: release, the dialect of its liveness analysis with the evidence, and which of the
    /// options are built in that guests and kinds of programs need. All of it is read from the image's BTF.
    ///
    /// Exits with 2 for a kernel that fits no dialect.
    Info {
        /// A series, a version, or the path of an image.
        kernel: String,

        /// Take this dialect, whatever the BTF says.
        #[arg(long, value_name = "DIALECT", value_parser = super::kernels::dialect)]
        dialect: Option<Dialect>,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct BuildFlags {
    /// A kernel source tree, in whatever state it is; of a git checkout, the files that git does not ignore.
    #[arg(long, value_name = "DIR", group = "what")]
    pub(crate) tree: Option<PathBuf>,

    /// The packaged source of a series: `linux-source-7.2`, or `7.2`. Fetched on first use.
    #[arg(long, value_name = "PACKAGE", group = "what")]
    pub(crate) package: Option<String>,

    /// A patch (`-p1`), applied to the copy that is built. Can be given more than once.
    #[arg(long = "patch", value_name = "FILE")]
    pub(crate) patches: Vec<PathBuf>,

    /// Compilers at a time [default: the number of processors].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) jobs: Option<u32>,

    /// What the image is called in the cache; an image of that name is replaced [default: after source and patches].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CorpusFlags {
    #[command(subcommand)]
    pub(crate) command: CorpusCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CorpusCommand {
    /// Find the BPF objects that programs, libraries and archives embed, and write each of them once.
    Carve {
        /// Files, and folders to search. Packages and compressed files have to be unpacked first.
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,

        /// The folder to write to: `DIR/<file>-<program>.bpf.o`.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Build objects from their sources: `NAME.bpf.c`, `NAME.bpf.o` beside it. Needs clang and LLVM 22 or later.
    #[command(after_help = "\
A source includes corpus.h, which is in the folder `include` of the folder that is named, or else comes with livediff.

Exit status: 0 done, or with --check all objects come from their sources, 1 one does not, 2 nothing was decided: a source \
does not build, or there is no clang, or for --check not the one that the corpus was built with.")]
    Build {
        /// Sources, and folders to search for them.
        #[arg(value_name = "PATH", default_value = "corpus")]
        paths: Vec<PathBuf>,

        /// Write nothing; compare what the sources give with the objects that are there, byte for byte.
        #[arg(long)]
        check: bool,
    },
    /// Build objects from sources of others.
    Import {
        #[command(subcommand)]
        what: ImportCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Build the BPF programs in the kernel's source: its selftests, schedulers, HID fixes and samples.
    ///
    /// Needs clang 19 or later, gcc, make, python3, libelf-dev and zlib1g-dev. What is up to date is not built
    /// again. DIR/IMPORT.json says of every file what was built, or why not.
    Selftests {
        /// The kernel whose types the programs are built against: a series (`7.2`), a version (`7.2.12`), or the
        /// path of an image.
        #[arg(long, value_name = "KERNEL", default_value = super::kernels::DEFAULT)]
        kernel: String,

        /// The kernel source: a folder, a tarball or a linux-source package [default: the packaged source of the
        /// kernel's series, fetched on first use].
        #[arg(long, value_name = "TREE")]
        source: Option<PathBuf>,

        /// The folder to write to: `DIR/<group>/<file>.bpf.o`.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,

        /// Which flavors of the BPF selftests to build, separated by commas: v3, cpuv4, no_alu32 [default: v3,cpuv4].
        #[arg(long, value_name = "LIST")]
        flavors: Option<String>,

        /// Compilers at a time [default: the number of processors].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
        jobs: Option<u32>,
    },
}
