//! What is expected here was read off the kernel's source by hand.
use super::*;
use livediff_capture::{Attach, Insn};

/// BTF of a kernel with the functions named, ids in their order. Each takes its parameters from `PARAMS`.
struct Builder {
    types: Vec<u32>,
    strings: Vec<u8>,
    next: u32,
}

impl Builder {
    fn new() -> Builder {
        Builder { types: Vec::new(), strings: vec![0], next: 1 }
    }

    fn string(&mut self, string: &str) -> u32 {
        let at = u32::try_from(self.strings.len()).expect("short");
        self.strings.extend(string.bytes());
        self.strings.push(0);
        at
    }

    fn ty(&mut self, name: &str, kind: u32, vlen: u32, size_or_type: u32, data: &[u32]) -> u32 {
        let name = if name.is_empty() { 0 } else { self.string(name) };
        self.types.extend([name, kind << 24 | vlen, size_or_type]);
        self.types.extend(data);
        self.next += 1;
        self.next - 1
    }

    fn func(&mut self, name: &str, params: &[(&str, u32)]) -> u32 {
        let mut data = Vec::new();
        for (name, ty) in params {
            data.extend([self.string(name), *ty]);
        }
        let proto = self.ty("", 13, u32::try_from(params.len()).expect("few"), 0, &data);
        self.ty(name, 12, 1, proto, &[])
    }

    fn finish(self) -> Vec<u8> {
        let types: Vec<u8> = self.types.iter().flat_map(|word| word.to_le_bytes()).collect();
        let (type_len, string_len) = (types.len(), self.strings.len());
        let header = [24, 0, type_len, type_len, string_len].map(|word| u32::try_from(word).expect("short"));
        let mut data = vec![0x9f, 0xeb, 1, 0];
        data.extend(header.iter().flat_map(|word| word.to_le_bytes()));
        data.extend(types);
        data.extend(self.strings);
        data
    }
}

/// A kernel with a few functions, and their ids.
struct Sample {
    data: Vec<u8>,
    ids: HashMap<&'static str, u32>,
}

fn sample() -> Sample {
    let mut btf = Builder::new();
    let int = btf.ty("int", 1, 0, 4, &[32]);
    let dynptr = btf.ty("bpf_dynptr", 4, 0, 16, &[]);
    let const_dynptr = btf.ty("", 10, 0, dynptr, &[]);
    let dynptr_ptr = btf.ty("", 2, 0, const_dynptr, &[]);
    let void_ptr = btf.ty("", 2, 0, 0, &[]);
    let iter = btf.ty("bpf_iter_num", 4, 0, 8, &[]);
    let iter_ptr = btf.ty("", 2, 0, iter, &[]);
    let mut ids = HashMap::new();
    let mut func = |name: &'static str, params: &[(&str, u32)]| ids.insert(name, btf.func(name, params));
    func("bpf_iter_num_new", &[("it", iter_ptr), ("start", int), ("end", int)]);
    func(
        "bpf_dynptr_slice",
        &[("p", dynptr_ptr), ("offset", int), ("buffer__nullable", void_ptr), ("buffer__szk", int)],
    );
    func("bpf_rbtree_add", &[("root", void_ptr)]);
    func("bpf_rbtree_add_impl", &[("root", void_ptr), ("off", int)]);
    func("bpf_dynptr_from_skb", &[("s", void_ptr), ("flags", int), ("ptr__uninit", dynptr_ptr)]);
    func("bpf_kfree_skb", &[("skb", void_ptr)]);
    func("bpf_sock_destroy", &[("sock", void_ptr)]);
    func("bpf_get_file_xattr", &[("name__sz", int), ("__sz", int)]);
    func("scx_bpf_cid_override", &[("x", int)]);
    func("scx_bpf_cid_override_impl", &[("x", int), ("aux", void_ptr)]);
    func("scx_bpf_kick_cid", &[("x", int)]);
    func("bpf_iter_num_next", &[("it", iter_ptr)]);
    func("bpf_wq_set_callback", &[("wq", void_ptr)]);
    func("not_a_kfunc", &[]);
    func("bpf_list_add", &[("head", void_ptr)]);
    func("bpf_list_add_impl", &[("head", void_ptr), ("off", int)]);
    func("bpf_icmp_send", &[("ctx", void_ptr)]);
    func("bpf_ksock_send", &[("sock", void_ptr)]);
    func("bpf_iter_scx_dsq_new", &[("it", iter_ptr)]);
    func("bpf_iter_scx_dsq_new_impl", &[("it", iter_ptr), ("aux", void_ptr)]);
    func("bpf_dynptr_from_xdp", &[("x", void_ptr), ("flags", int), ("ptr__uninit", dynptr_ptr)]);
    Sample { data: btf.finish(), ids }
}

fn program(prog_type: u32, attach_type: u32, attached_to: &str, calls: &[i32]) -> Loaded {
    Loaded {
        prog_type,
        expected_attach_type: attach_type,
        attach: Some(Attach { name: attached_to.into(), ..Attach::default() }),
        insns: calls
            .iter()
            .map(|imm| Insn { code: 0x85, src_reg: 2, imm: *imm, ..Insn::default() })
            .collect(),
        ..Loaded::default()
    }
}

/// Can such a program call the function?
fn callable(name: &str, prog_type: u32, attach_type: u32, attached_to: &str) -> bool {
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = i32::try_from(sample.ids[name]).expect("small");
    let found = resolve(&btf, Dialect::V7_2, &program(prog_type, attach_type, attached_to, &[id]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, name);
    found[0].prototype.is_some()
}

const SOCKET_FILTER: u32 = 1;
const SCHED_CLS: u32 = 3;
const XDP: u32 = 6;
const CGROUP_SKB: u32 = 8;
const TRACING: u32 = 26;
const STRUCT_OPS: u32 = 27;
const EXT: u32 = 28;
const LSM: u32 = 29;
const SK_LOOKUP: u32 = 30;
const TRACE_ITER: u32 = 28;

#[test]
fn facts() {
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = |name| i32::try_from(sample.ids[name]).expect("small");
    let calls =
        [id("bpf_iter_num_new"), id("bpf_dynptr_slice"), id("bpf_iter_num_new"), id("bpf_rbtree_add")];
    let found = resolve(&btf, Dialect::V7_2, &program(XDP, 0, "", &calls));
    let names: Vec<_> = found.iter().map(|kfunc| kfunc.name.as_str()).collect();
    assert_eq!(names, ["bpf_iter_num_new", "bpf_dynptr_slice", "bpf_rbtree_add"]);
    assert_eq!(found.iter().map(|kfunc| kfunc.calls_callback).collect::<Vec<_>>(), [false, false, true]);

    let iter = found[0].prototype.as_ref().expect("allowed");
    assert!(iter.iter_new);
    let scalar = KfuncParam::default();
    let pointer = |size| KfuncParam { pointer: true, pointee_size: size, ..scalar.clone() };
    assert_eq!(iter.params, [pointer(Some(8)), scalar.clone(), scalar.clone()]);

    let slice = found[1].prototype.as_ref().expect("allowed");
    assert!(!slice.iter_new);
    let dynptr = KfuncParam { dynptr: true, ..pointer(Some(16)) };
    let size = KfuncParam { size_of_previous: true, ..scalar.clone() };
    assert_eq!(slice.params, [dynptr, scalar.clone(), pointer(None), size]);

    // KF_IMPLICIT_ARGS: the parameters of bpf_rbtree_add_impl.
    assert_eq!(found[2].prototype.as_ref().expect("allowed").params.len(), 2);
}

#[test]
fn flags() {
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = |name| i32::try_from(sample.ids[name]).expect("small");
    let calls = [id("bpf_iter_num_new"), id("bpf_iter_num_next"), id("bpf_wq_set_callback")];
    let found = resolve(&btf, Dialect::V7_2, &program(XDP, 0, "", &calls));
    let iter = |at: usize| found[at].prototype.as_ref().map(|proto| (proto.iter_new, proto.iter_next));
    assert_eq!([iter(0), iter(1)], [Some((true, false)), Some((false, true))]);
    assert_eq!(
        found.iter().map(|kfunc| kfunc.calls_async_callback).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert!(found.iter().all(|kfunc| !kfunc.calls_callback));
}

/// `KF_IMPLICIT_ARGS | KF_ITER_NEW`, the only ones of 7.1 and later that have both.
#[test]
fn an_iterator_may_begin_with_implicit_arguments() {
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = i32::try_from(sample.ids["bpf_iter_scx_dsq_new"]).expect("small");
    for dialect in [Dialect::V7_1, Dialect::V7_2, Dialect::V7_3] {
        let found = resolve(&btf, dialect, &program(STRUCT_OPS, 0, "sched_ext_ops/dispatch", &[id]));
        let prototype = found[0].prototype.as_ref().expect("allowed");
        assert_eq!((prototype.iter_new, prototype.params.len()), (true, 2), "{dialect}");
    }
}

#[test]
fn suffixes() {
    assert!(has_suffix("x__sz", "__sz"));
    // A name that is the suffix and nothing else has none.
    assert!(!has_suffix("__sz", "__sz"));
    assert!(!has_suffix("x__szk", "__sz"));
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = i32::try_from(sample.ids["bpf_get_file_xattr"]).expect("small");
    let found = resolve(&btf, Dialect::V7_2, &program(LSM, 27, "file_open", &[id]));
    let params = &found[0].prototype.as_ref().expect("allowed").params;
    assert_eq!(params.iter().map(|param| param.size_of_previous).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn hooks_and_filters() {
    // The common hook is everybody's, also of types without a hook of their own.
    assert!(callable("bpf_iter_num_new", SK_LOOKUP, 0, ""));
    assert!(!callable("bpf_rbtree_add", SK_LOOKUP, 0, ""));
    assert!(callable("bpf_rbtree_add", SCHED_CLS, 0, ""));
    assert!(!callable("bpf_rbtree_add", SOCKET_FILTER, 0, ""));
    assert!(!callable("not_a_kfunc", TRACING, 0, ""));
    // LSM programs share the hook of tracing programs, which may not call these.
    assert!(callable("bpf_get_file_xattr", LSM, 27, "file_open"));
    assert!(!callable("bpf_get_file_xattr", TRACING, 24, "f"));
    assert!(callable("bpf_sock_destroy", TRACING, TRACE_ITER, "bpf_iter_tcp"));
    assert!(!callable("bpf_sock_destroy", TRACING, 24, "f"));
    // bpf_dynptr_from_skb is registered for struct_ops by qdiscs, whose filter keeps others away.
    assert!(callable("bpf_dynptr_from_skb", STRUCT_OPS, 0, "Qdisc_ops/enqueue"));
    assert!(!callable("bpf_dynptr_from_skb", STRUCT_OPS, 0, "tcp_congestion_ops/init"));
    assert!(callable("bpf_dynptr_from_skb", SOCKET_FILTER, 0, ""));
    assert!(callable("scx_bpf_cid_override", STRUCT_OPS, 0, "sched_ext_ops/init"));
    // KF_IMPLICIT_ARGS without the function that takes them.
    assert!(!callable("scx_bpf_kick_cid", STRUCT_OPS, 0, "sched_ext_ops/init"));
}

#[test]
fn an_extension_calls_what_its_target_calls() {
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = i32::try_from(sample.ids["bpf_rbtree_add"]).expect("small");
    let mut loaded = program(EXT, 0, "handle", &[id]);
    let can = |loaded: &Loaded| resolve(&btf, Dialect::V7_2, loaded)[0].prototype.is_some();
    assert!(!can(&loaded));
    loaded.attach =
        Some(Attach { name: "handle".into(), target_prog_type: Some(XDP), target_attach_type: 0 });
    assert!(can(&loaded));
}

/// `resolve_prog_type` asks for the target of extensions alone: a tracing program may be attached to a program too.
#[test]
fn a_tracing_program_does_not_call_what_its_target_calls() {
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = i32::try_from(sample.ids["bpf_dynptr_from_xdp"]).expect("small");
    let can = |prog_type, attach_type| {
        let mut loaded = program(prog_type, attach_type, "handle", &[id]);
        let target_prog_type = (prog_type != XDP).then_some(XDP);
        loaded.attach = Some(Attach { name: "handle".into(), target_prog_type, target_attach_type: 0 });
        resolve(&btf, Dialect::V7_2, &loaded)[0].prototype.is_some()
    };
    assert!(can(XDP, 0) && can(EXT, 0));
    assert!(!can(TRACING, 24));
}

#[test]
fn modules_and_ids_from_nowhere() {
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = i32::try_from(sample.ids["bpf_rbtree_add"]).expect("small");
    let mut loaded = program(XDP, 0, "", &[id, -1, 0, i32::MAX, i32::MIN]);
    loaded.insns[0].off = 1;
    let found = resolve(&btf, Dialect::V7_2, &loaded);
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|kfunc| kfunc.prototype.is_none() && kfunc.name.is_empty()));
    // The id is compared without a look at the module.
    assert!(found[0].calls_callback && !found[1].calls_callback);
}

#[test]
fn the_image_has_the_last_word_on_flags() {
    let sample = sample();
    let btf = Btf::parse(&sample.data).expect("valid");
    let id = |name| sample.ids[name];
    let (new, slice) = (id("bpf_iter_num_new"), id("bpf_dynptr_slice"));
    let section = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let calls = [i32::try_from(new).expect("small"), i32::try_from(id("bpf_sock_destroy")).expect("small")];
    let loaded = program(TRACING, TRACE_ITER, "bpf_iter_tcp", &calls);
    let facts = |section: &[u8]| {
        let found = Kfuncs::new(&btf, Dialect::V7_2, Some(section)).resolve(&loaded);
        found.into_iter().map(|kfunc| kfunc.prototype.map(|prototype| prototype.iter_new)).collect::<Vec<_>>()
    };
    // An empty section says nothing.
    assert_eq!(facts(&[]), [Some(true), Some(false)]);
    // A list, then the common set, in which bpf_iter_num_new is no longer KF_ITER_NEW. The set of
    // bpf_sock_destroy is not there.
    assert_eq!(facts(&section(&[slice, 7, 2, 1, new, 0, slice, 4, 9])), [Some(false), None]);
    // Cut short, not sorted, one twice, no functions: no set.
    for words in [
        vec![2, 1, new, 0, slice],
        vec![2, 1, slice, 0, new, 0],
        vec![2, 1, new, 0, new, 0],
        vec![1, 1, 1, 0],
        vec![u32::MAX, 1],
    ] {
        assert_eq!(facts(&section(&words)), [Some(true), Some(false)]);
    }
}

/// Words that look like the beginning of a set may stand inside of one: each set is left only behind its last member.
#[test]
fn sets_of_an_image_stand_one_behind_the_other() {
    let mut btf = Builder::new();
    // Types 1 to 3, of a prototype that follows them.
    let ids = ["f", "g", "h"].map(|name| btf.ty(name, 12, 1, 4, &[]));
    btf.ty("", 13, 0, 0, &[]);
    assert_eq!(ids, [1, 2, 3]);
    let data = btf.finish();
    let btf = Btf::parse(&data).expect("valid");
    let sets = [vec![(1, 1)], vec![(1, 0), (2, 1)], vec![(3, 0x0403_0201)]];
    let words = [&[1, 1, 1, 1][..], &[2, 1, 1, 0, 2, 1], &[1, 1, 3, 0x0403_0201]].concat();
    let section: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    assert_eq!(tables::image_sets(&section, &btf), sets);
}

/// Of the members that either has, at least one half is in both.
#[test]
fn sets_are_the_same_if_they_share_one_half() {
    let known = [(1, 0), (2, 0), (3, 0), (4, 0)];
    let (half, less, other) = (vec![(1, 8), (2, 9)], vec![(1, 8), (9, 9)], vec![(7, 0), (8, 0), (9, 0)]);
    assert_eq!(same_set(&known, &[other.clone(), half.clone(), less.clone()]), half);
    for image in [&[][..], &[less], &[other], &[vec![]]] {
        assert!(same_set(&known, image).is_empty(), "{image:?}");
    }
    // Of two that are like it, the one that is more so; a set of many others is none.
    let most = vec![(2, 1), (3, 2), (4, 3)];
    assert_eq!(same_set(&known, &[most.clone(), half.clone()]), most);
    assert_eq!(same_set(&known, &[half.clone(), most.clone()]), most);
    let many: Vec<(u32, u32)> = (1..10).map(|id| (id, 0)).collect();
    assert!(same_set(&known, &[many]).is_empty());
}

#[test]
fn every_filter_ends_with_a_case_for_all() {
    let loaded = Loaded::default();
    let anybody = Asker::of(&loaded);
    for dialect in Dialect::ALL {
        for entry in tables(dialect).filtered {
            let ends = entry.allowed.last().is_some_and(|(when, _)| when.fits(&anybody));
            assert!(ends, "{dialect}: {:?}", entry.kfuncs);
        }
    }
}

#[test]
fn dialects_differ() {
    let each = |name, prog_type, attach_type, attached_to| {
        Dialect::ALL.map(|dialect| {
            let sample = sample();
            let btf = Btf::parse(&sample.data).expect("valid");
            let id = i32::try_from(sample.ids[name]).expect("small");
            let found = resolve(&btf, dialect, &program(prog_type, attach_type, attached_to, &[id]));
            found[0].prototype.is_some()
        })
    };
    // New in 7.2 and in 7.3, and there for cgroup programs and for sched_ext's init_cids instead of init.
    assert_eq!(each("bpf_list_add", SCHED_CLS, 0, ""), [false, false, false, false, false, true, true]);
    assert_eq!(each("bpf_icmp_send", CGROUP_SKB, 0, ""), [false, false, false, false, false, false, true]);
    let cid_override = |member| each("scx_bpf_cid_override", STRUCT_OPS, 0, member);
    assert_eq!(cid_override("sched_ext_ops_cid/init"), [false, false, false, false, false, true, false]);
    assert_eq!(cid_override("sched_ext_ops_cid/init_cids"), [false, false, false, false, false, false, true]);
    // In 7.3 to LSM programs, except on the hook that the function itself would come to.
    assert_eq!(
        each("bpf_ksock_send", LSM, 27, "bpf_lsm_file_open"),
        [false, false, false, false, false, false, true]
    );
    assert_eq!(each("bpf_ksock_send", LSM, 27, "bpf_lsm_socket_sendmsg"), [false; 7]);
    assert_eq!(each("bpf_ksock_send", TRACING, 24, "f"), [false; 7]);
    // What is the same everywhere comes through the differences.
    assert_eq!(each("bpf_iter_num_new", SK_LOOKUP, 0, ""), [true; 7]);
    assert_eq!(each("bpf_sock_destroy", TRACING, TRACE_ITER, "bpf_iter_tcp"), [true; 7]);
    assert_eq!(each("bpf_sock_destroy", TRACING, 24, "f"), [false; 7]);
}
