//! The kfunc tables against kernel images: their own sets, with their flags, are those of the source.
//!
//! `LIVEDIFF_KERNEL_IMAGE` names kernel images, separated as in `PATH`, of the configuration that Debian's cloud kernels
//! have and of series 7.1 to 7.3; without it nothing is compared, and the test says so.

#[path = "support/skipped.rs"]
mod skipped;

use livediff::Dialect;
use livediff::bpf::Insn;
use livediff::bpf::btf::{Btf, Kind};
use livediff::bpf::kfunc::Kfuncs;
use livediff_capture::{Attach, Loaded};
use livediff_harness::image::Image;
use skipped::skipped;
use std::path::Path;

/// Tagged as kernel functions for programs, and callable by none: programs are attached to the first three, and the
/// verifier alone puts calls of the others into a program.
const CALLED_BY_NONE: [&str; 5] = [
    "bpf_fentry_test1",
    "bpf_modify_return_test",
    "bpf_modify_return_test2",
    "bpf_qdisc_init_prologue",
    "bpf_qdisc_reset_destroy_epilogue",
];

/// Programs of every type, and of those kinds that the filters tell apart.
fn programs() -> Vec<Loaded> {
    let attached = [
        (0, ""),
        (28, "bpf_iter_tcp"),
        (56, ""),
        (58, ""),
        (0, "sched_ext_ops/init"),
        (0, "sched_ext_ops_cid/init_cids"),
        (0, "sched_ext_ops/enqueue"),
        (0, "sched_ext_ops/dispatch"),
        (0, "sched_ext_ops/cpu_release"),
        (0, "Qdisc_ops/enqueue"),
        (0, "Qdisc_ops/dequeue"),
        (0, "tcp_congestion_ops/init"),
    ];
    let of_type = |prog_type| {
        attached.map(|(expected_attach_type, name)| Loaded {
            prog_type,
            expected_attach_type,
            attach: Some(Attach { name: name.into(), ..Attach::default() }),
            ..Loaded::default()
        })
    };
    (1..33).flat_map(of_type).collect()
}

#[test]
fn the_sets_of_an_image_are_those_of_the_source() {
    let Some(path) = std::env::var_os("LIVEDIFF_KERNEL_IMAGE") else {
        skipped("no image was read. Set LIVEDIFF_KERNEL_IMAGE to kernel images of series 7.1 to 7.3.");
        return;
    };
    let paths: Vec<_> = std::env::split_paths(&path).collect();
    assert!(!paths.is_empty());
    for path in paths {
        compare(&path);
    }
}

fn compare(path: &Path) {
    let image = Image::open(path).expect("an image");
    assert!(!image.btf_ids.is_empty(), "the image has no .BTF_ids section");
    let btf = Btf::parse(&image.btf).expect("BTF");
    let dialect = Dialect::detect(&btf).expect("a dialect");
    let of_image = Kfuncs::new(&btf, dialect, Some(&image.btf_ids));
    let of_source = Kfuncs::new(&btf, dialect, None);

    let mut tagged: Vec<u32> = btf
        .types()
        .filter(|ty| ty.kind == Kind::DeclTag && ty.name == "bpf_kfunc")
        .map(|ty| ty.size_or_type)
        .collect();
    tagged.sort_unstable();
    tagged.dedup();
    assert!(tagged.len() > 200, "{} functions are tagged", tagged.len());

    let programs = programs();
    let mut called_by_none = Vec::new();
    for id in tagged {
        let call = Insn { code: 0x85, src_reg: 2, imm: id.cast_signed(), ..Insn::default() };
        let mut callable = false;
        for program in &programs {
            let loaded = Loaded { insns: vec![call], ..program.clone() };
            let found = of_image.resolve(&loaded);
            let expected = of_source.resolve(&loaded);
            assert_eq!(found, expected, "{dialect}: type {}, {:?}", loaded.prog_type, loaded.attach);
            callable |= found[0].prototype.is_some();
        }
        if !callable {
            called_by_none.push(btf.type_by_id(id).expect("a function").name);
        }
    }
    called_by_none.sort_unstable();
    assert_eq!(called_by_none, CALLED_BY_NONE, "{dialect}");

    // It is the section that is read: of its first half alone, later sets are missing and earlier ones are not.
    let half = image.btf_ids.get(..image.btf_ids.len() / 8 * 4).expect("half of it");
    let of_half = Kfuncs::new(&btf, dialect, Some(half));
    let xdp_calls = |name| {
        let id = btf.find(name, Kind::Func).expect("a function");
        let call = Insn { code: 0x85, src_reg: 2, imm: id.cast_signed(), ..Insn::default() };
        let loaded = Loaded { insns: vec![call], prog_type: 6, ..Loaded::default() };
        [&of_image, &of_half].map(|kfuncs| kfuncs.resolve(&loaded)[0].prototype.is_some())
    };
    assert_eq!(xdp_calls("bpf_iter_num_new"), [true, true]);
    assert_eq!(xdp_calls("bpf_dynptr_from_xdp"), [true, false]);
}
