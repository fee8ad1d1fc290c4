//! What the host makes of objects, held against what libbpf gave to a real kernel.
//!
//! Over the corpus this runs no kernel. Without the types of one, the programs that use its functions cannot be told, and
//! are listed; with those of the kernel that the captures are from, every program is what libbpf made of it, and what
//! the model says of it what the kernel said. With `LIVEDIFF_CAPTURES` (a folder that `livediff record` wrote) and
//! `LIVEDIFF_KERNEL` (the image of the same kernel), every capture there is held against the object that it names, and a
//! table of what differs is printed.

#[path = "support/elf.rs"]
mod elf;
#[path = "support/files.rs"]
mod files;
#[path = "support/skipped.rs"]
mod skipped;

use files::files;
use livediff::{
    Dialect,
    bpf::{Callable, btf::Btf},
    diff::{self, Status},
    loader::{self, Kernel, Program},
    log,
};
use livediff_capture::{Capture, file};
use livediff_harness::{image::Image, packages::Store};
use skipped::skipped;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// The programs of the corpus that the host does not see as the kernel did, by cause. Exact: one that is equal after
/// all must be taken out.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    // The place of the member in the kernel's structure is another than in the object's.
    (
        "differs: expected_attach_type",
        &[
            "corpus/helpers/attached.bpf.o/by_type_struct_ops",
            "corpus/helpers/extension.bpf.o/extended_struct_ops",
        ],
    ),
    ("differs: attach", &["corpus/helpers/extension.bpf.o/extension_of_struct_ops"]),
    // A call of function 0 is one that no kernel has; without a kernel none is resolved.
    ("differs: kfuncs", &["corpus/kfuncs/kfunc.bpf.o/kfunc_id_zero"]),
    // Functions and variables of the kernel.
    (
        "program: it uses _ of the kernel, so name a kernel with --kernel",
        &[
            "corpus/kfuncs/kfunc.bpf.o/dynptr_arguments",
            "corpus/kfuncs/kfunc.bpf.o/iterator_bits",
            "corpus/kfuncs/kfunc.bpf.o/iterator_num",
            "corpus/kfuncs/kfunc.bpf.o/kernel_variable",
            "corpus/kfuncs/kfunc.bpf.o/kfunc_arguments_imprecise",
            "corpus/kfuncs/kfunc.bpf.o/kfunc_in_no_set",
            "corpus/kfuncs/kfunc.bpf.o/kfunc_missing",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_cgroup_skb",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_connect4",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_fentry",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_kprobe",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_lsm",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_lwt_xmit",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_netfilter",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_perf_event",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_setsockopt",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_sk_skb",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_socket",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_sockops",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_syscall",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_tc",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_tracepoint",
            "corpus/kfuncs/kfunc.bpf.o/kfuncs_in_xdp",
            "corpus/kfuncs/kfunc.bpf.o/not_a_pointer",
            "corpus/kfuncs/kfunc.bpf.o/pointee_sizes",
            "corpus/kfuncs/kfunc.bpf.o/rbtree_callback",
            "corpus/kfuncs/kfunc.bpf.o/sized_buffer_constant",
            "corpus/kfuncs/kfunc.bpf.o/sized_buffer_unknown",
            "corpus/kfuncs/kfunc.bpf.o/throw_default",
            "corpus/kfuncs/kfunc.bpf.o/throw_with_callback",
            "corpus/kfuncs/kfunc.bpf.o/wq_callback",
        ],
    ),
];

#[derive(Default)]
struct Table {
    programs: usize,
    insns_equal: usize,
    equal: usize,
    log_equal: usize,
    /// Programs whose section a kernel printed, and those of which the host says the same as it.
    analysed: usize,
    as_kernel: usize,
    causes: BTreeMap<String, Vec<String>>,
}

impl Table {
    fn add(&mut self, cause: String, capture: &Capture) {
        self.causes.entry(cause).or_default().push(format!("{}/{}", capture.object, capture.program));
    }

    fn print(&self) {
        println!(
            "{} programs, instructions equal in {}, everything in {}, log section in {}; what the kernel said in {} of {}",
            self.programs, self.insns_equal, self.equal, self.log_equal, self.as_kernel, self.analysed
        );
        for (cause, programs) in &self.causes {
            let shown: Vec<&str> = programs.iter().take(3).map(String::as_str).collect();
            println!("{:>6}  {cause}: {}", programs.len(), shown.join(", "));
        }
    }
}

/// The part of a reason that tells its kind: what is quoted in it varies.
fn kind_of(reason: &str) -> String {
    let mut kind = String::new();
    for (number, part) in reason.split(['`', '"']).enumerate() {
        kind.push_str(if number % 2 == 0 { part } else { "_" });
    }
    kind.split_whitespace()
        .map(|word| if word.bytes().any(|byte| byte.is_ascii_digit()) { "N" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Holds every capture that is from a wanted kernel against the object that it names.
fn table(
    paths: &[PathBuf],
    kernel: Option<&Kernel<'_>>,
    wanted: &dyn Fn(&livediff_capture::Kernel) -> bool,
) -> Table {
    let mut table = Table::default();
    let mut opened: HashMap<String, Result<Vec<Program>, String>> = HashMap::new();
    let read = |path: &PathBuf| file::read(path).expect("captures");
    for capture in paths.iter().flat_map(read).filter(|capture| wanted(&capture.kernel)) {
        let programs = opened.entry(capture.object.clone()).or_insert_with(|| {
            let bytes = fs::read(&capture.object).expect("the object of a capture");
            loader::open(&capture.object, &bytes, kernel).map_err(|error| error.to_string())
        });
        table.programs += 1;
        let dialect = Dialect::from_id(&capture.kernel.dialect).expect("a dialect");
        let says = |loaded| diff::judge(loaded, &capture.said, dialect).status;
        let analysed = says(&capture.loaded) == Status::Match;
        table.analysed += usize::from(analysed);
        let program = match programs {
            Ok(programs) => programs.iter().find(|program| program.name == capture.program),
            Err(reason) => {
                let cause = format!("object: {}", kind_of(reason));
                table.add(cause, &capture);
                continue;
            }
        };
        let host = match program.map(|program| &program.loaded) {
            None => {
                table.add("program: not found".into(), &capture);
                continue;
            }
            Some(Err(reason)) => {
                let cause = format!("program: {}", kind_of(reason));
                table.add(cause, &capture);
                continue;
            }
            Some(Ok(host)) => host,
        };
        let differences = loader::differences(host, &capture.loaded);
        table.insns_equal += usize::from(!differences.iter().any(|difference| difference.is_of_insns()));
        table.equal += usize::from(differences.is_empty());
        let as_kernel = says(host) == Status::Match;
        table.as_kernel += usize::from(as_kernel);
        if as_kernel != analysed {
            table.add("the kernel says something else".into(), &capture);
        }
        let same = log::section(host, dialect).text == log::section(&capture.loaded, dialect).text;
        table.log_equal += usize::from(same);
        if !same {
            table.add("the log section differs".into(), &capture);
        }
        for difference in &differences {
            table.add(format!("differs: {}", difference.class()), &capture);
            if difference.is_of_insns() && std::env::var_os("LIVEDIFF_VERBOSE").is_some() {
                println!("{}/{}: {difference}", capture.object, capture.program);
            }
        }
    }
    table
}

#[test]
fn the_host_loads_the_corpus_as_libbpf_does() {
    let paths = files(Path::new("corpus/captures"), file::EXTENSION);
    assert!(paths.len() >= 100, "only {} captures", paths.len());
    // What libbpf makes of an object depends on the kernel; the exceptions are those of one.
    let table = table(&paths, None, &|kernel| kernel.dialect == "7.2");
    assert!(table.programs >= 100, "only {} captures of 7.2", table.programs);
    table.print();
    let found: BTreeSet<(String, &str)> = table
        .causes
        .iter()
        .flat_map(|(cause, programs)| programs.iter().map(move |program| (cause.clone(), program.as_str())))
        .collect();
    let listed: BTreeSet<(String, &str)> = EXCEPTIONS
        .iter()
        .flat_map(|(cause, programs)| programs.iter().map(|program| ((*cause).to_owned(), *program)))
        .collect();
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "not listed: {new:#?}\nlisted, but equal: {gone:#?}");
    // All but those that use the kernel's functions and variables.
    let unknown = EXCEPTIONS.iter().filter(|(cause, _)| cause.starts_with("program: "));
    let unknown: usize = unknown.map(|(_, programs)| programs.len()).sum();
    assert_eq!(table.as_kernel, table.analysed - unknown);
}

/// The image that `LIVEDIFF_KERNEL` names, or a cached one, of a kernel that the captures of the corpus are from.
fn recorded_image(paths: &[PathBuf]) -> Option<Image> {
    let recorded: BTreeSet<String> = paths
        .iter()
        .flat_map(|path| file::read(path).expect("captures"))
        .map(|it| it.kernel.release)
        .collect();
    let images: Vec<PathBuf> = match std::env::var_os("LIVEDIFF_KERNEL") {
        Some(image) => vec![image.into()],
        None => {
            let cached = Store::open().and_then(|store| store.cached()).unwrap_or_default();
            let is_recorded = |version: &str| recorded.iter().any(|release| release.starts_with(version));
            cached
                .into_iter()
                .filter(|kernel| is_recorded(&kernel.version))
                .filter_map(|it| it.cached)
                .collect()
        }
    };
    let mut images = images.iter().map(|path| Image::open(path).expect("a kernel image"));
    images.find(|image| recorded.contains(&image.release))
}

#[test]
fn with_the_types_of_a_kernel_the_host_says_what_it_said() {
    let paths = files(Path::new("corpus/captures"), file::EXTENSION);
    let Some(image) = recorded_image(&paths) else {
        skipped(
            "the corpus was not opened with the types of a kernel that its captures are from. `livediff kernel fetch` \
             one, or set LIVEDIFF_KERNEL.",
        );
        return;
    };
    let btf = Btf::parse(&image.btf).expect("its BTF");
    let dialect = Dialect::detect(&btf).expect("its dialect");
    let callable = Callable::new(&btf, dialect, &image.btf_ids);
    let kernel = Kernel::new(&image.btf, &btf, &callable).expect("its types");
    let table = table(&paths, Some(&kernel), &|of| of.release == image.release);
    table.print();
    assert!(table.programs >= 100, "only {} captures of {}", table.programs, image.release);
    assert_eq!(table.causes, BTreeMap::new(), "not as Linux {} had it", image.release);
    assert_eq!((table.equal, table.as_kernel), (table.programs, table.analysed));
}

/// What a program calls is looked up in the kernel that it is opened for: functions, and helpers that it lacks.
#[test]
fn helpers_that_a_kernel_lacks_are_told() {
    const KTIME_GET_NS: u8 = 5;
    let mut object = elf::Elf::new(elf::BPF);
    let call = [0x85, 0, 0, 0, KTIME_GET_NS, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    let text = object.section("socket", elf::EXECUTABLE, call.to_vec());
    object.function("main", text, 0, 16);
    let missing = |functions: &[&str]| {
        let (mut types, mut strings) = (vec![0, 13 << 24, 0], vec![0]);
        for name in functions {
            types.extend([strings.len() as u32, 12 << 24, 1]);
            strings.extend(name.bytes().chain([0]));
        }
        let bytes = elf::btf(&types, &strings);
        let btf = Btf::parse(&bytes).expect("BTF");
        let callable = Callable::new(&btf, Dialect::V7_2, &[]);
        let kernel = Kernel::new(&bytes, &btf, &callable).expect("a kernel");
        let programs = loader::open("a.bpf.o", &object.bytes(), Some(&kernel)).expect("an object");
        programs[0].loaded.clone().expect("a program").helpers_missing
    };
    assert_eq!(missing(&["bpf_map_lookup_elem", "bpf_ktime_get_ns"]), [0; 0]);
    assert_eq!(missing(&["bpf_map_lookup_elem"]), [i32::from(KTIME_GET_NS)]);
}

#[test]
fn the_host_loads_named_captures_as_libbpf_did() {
    let (Some(folder), Some(image)) =
        (std::env::var_os("LIVEDIFF_CAPTURES"), std::env::var_os("LIVEDIFF_KERNEL"))
    else {
        skipped("no captures were held against their objects. Set LIVEDIFF_CAPTURES and LIVEDIFF_KERNEL.");
        return;
    };
    let image = Image::open(Path::new(&image)).expect("a kernel image");
    let btf = Btf::parse(&image.btf).expect("its BTF");
    let dialect = Dialect::detect(&btf).expect("its dialect");
    let callable = Callable::new(&btf, dialect, &image.btf_ids);
    let kernel = Kernel::new(&image.btf, &btf, &callable).expect("its types");
    let paths = files(Path::new(&folder), file::EXTENSION);
    assert!(!paths.is_empty(), "no captures");
    let table = table(&paths, Some(&kernel), &|of| of.release == image.release);
    assert!(table.programs > 0, "no captures of Linux {}", image.release);
    table.print();
    // What the host cannot tell is an error that says so; where it has a program, it is the one that libbpf gave.
    let is_told = |cause: &str| {
        cause.starts_with("object: ") || cause.starts_with("program: ") && cause != "program: not found"
    };
    let wrong: Vec<_> = table.causes.iter().filter(|(cause, _)| !is_told(cause)).collect();
    assert!(wrong.is_empty(), "not as libbpf did: {wrong:#?}");
    assert!(table.equal * 2 > table.programs, "most programs of the host are none");
}
