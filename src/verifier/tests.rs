//! What the passes refuse before there is a liveness section: no log shows it, because the kernel says nothing of such a
//! program but why it refuses it.

use super::*;
use crate::log::Silent;
use error::errno;

const fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

const EXIT: Insn = insn(0x95, 0, 0, 0, 0);
const ZERO: Insn = insn(0xb7, 0, 0, 0, 0);

const fn call(distance: i32) -> Insn {
    insn(0x85, 0, 1, 0, distance)
}

/// The pass that refuses a program of these instructions.
fn refused_by(insns: &[Insn], dialect: Dialect) -> Option<Pass> {
    let loaded = Loaded { insns: insns.to_vec(), prog_type: 1, ..Loaded::default() };
    analyze(&loaded, dialect, &mut Silent).err().map(|error| error.pass)
}

fn refused(insns: &[Insn]) -> Option<Pass> {
    refused_by(insns, Dialect::V7_2)
}

#[test]
fn a_program_has_instructions_and_calls_what_is_in_it() {
    assert_eq!(refused(&[]), Some(Pass::AddSubprogs));
    assert_eq!(refused(&[call(1), EXIT, EXIT]), None);
    assert_eq!(refused(&[call(2), EXIT, EXIT]), Some(Pass::AddSubprogs));
    assert_eq!(refused(&[call(-2), EXIT]), Some(Pass::AddSubprogs));
}

#[test]
fn a_program_has_at_most_256_subprograms() {
    // One that calls each of the others once.
    let with = |subprogs: usize| {
        let others = subprogs - 1;
        let mut insns = vec![call(others as i32); others];
        insns.extend(vec![EXIT; others + 1]);
        insns
    };
    assert_eq!(refused(&with(256)), None);
    assert_eq!(refused(&with(257)), Some(Pass::AddSubprogs));
}

#[test]
fn no_way_leads_out_of_a_subprogram() {
    let jump = |off| insn(0x15, 0, 0, off, 0);
    let goto = |off| insn(0x05, 0, 0, off, 0);
    // 0: call 4; 1: the jump, whose range is 0 to 3
    let outer = |jump| refused(&[call(3), jump, ZERO, EXIT, ZERO, EXIT]);
    for off in [-2, 0, 1] {
        assert_eq!(outer(jump(off)), None, "{off}");
    }
    for off in [-3, 2, 3, i16::MAX] {
        assert_eq!(outer(jump(off)), Some(Pass::CheckSubprogs), "{off}");
    }
    // The subprogram's instructions are 2 to 5.
    let inner = |jump| refused(&[call(1), EXIT, ZERO, jump, ZERO, EXIT]);
    for off in [-2, 0, 1] {
        assert_eq!(inner(jump(off)), None, "{off}");
    }
    for off in [-3, -4, 2, i16::MIN] {
        assert_eq!(inner(jump(off)), Some(Pass::CheckSubprogs), "{off}");
    }
    assert_eq!(refused(&[ZERO]), Some(Pass::CheckSubprogs));
    assert_eq!(refused(&[call(1), ZERO, EXIT]), Some(Pass::CheckSubprogs));
    assert_eq!(refused(&[ZERO, goto(-2)]), None);
}

#[test]
fn registers_exist() {
    let (to, from) = (insn(0xb7, 11, 0, 0, 0), insn(0xbf, 0, 11, 0, 0));
    let (stored, stored_reg, loaded) =
        (insn(0x7a, 11, 0, -8, 0), insn(0x7b, 11, 1, -8, 0), insn(0x79, 0, 11, 8, 0));
    assert_eq!(refused(&[insn(0xbf, 9, 10, 0, 0), ZERO, EXIT]), None);
    // Before, the path walk was the first to look.
    for dialect in [Dialect::Dynamic6_18, Dialect::Dynamic6_19, Dialect::Dynamic7_0] {
        assert_eq!(refused_by(&[to, ZERO, EXIT], dialect), None);
        assert_eq!(refused_by(&[from, ZERO, EXIT], dialect), None);
    }
    for dialect in [Dialect::Fed53dbcdb, Dialect::V7_1, Dialect::V7_2, Dialect::V7_3] {
        for wrong in [to, from, insn(0xb7, 15, 0, 0, 0), insn(0x7a, 12, 0, -8, 0)] {
            assert_eq!(refused_by(&[wrong, ZERO, EXIT], dialect), Some(Pass::ResolveInsns), "{wrong:?}");
        }
        // Stack arguments, which are at r11, came with 7.2.
        let has_them = matches!(dialect, Dialect::V7_2 | Dialect::V7_3);
        let expected = (!has_them).then_some(Pass::ResolveInsns);
        for argument in [stored, stored_reg, loaded] {
            assert_eq!(refused_by(&[argument, ZERO, EXIT], dialect), expected, "{argument:?}");
        }
    }
}

#[test]
fn a_64_bit_load_is_whole() {
    let load = insn(0x18, 1, 0, 0, 7);
    assert_eq!(refused(&[load, Insn::default(), ZERO, EXIT]), None);
    assert_eq!(refused(&[load, ZERO, EXIT]), Some(Pass::ResolveInsns));
    for second in [insn(0, 1, 0, 0, 0), insn(0, 0, 1, 0, 0), insn(0, 0, 0, 1, 0)] {
        assert_eq!(refused(&[load, second, ZERO, EXIT]), Some(Pass::ResolveInsns), "{second:?}");
    }
}

/// The offset of a call of a module's function names the module; it leads nowhere.
#[test]
fn what_is_behind_a_call_is_its_only_successor() {
    let loaded = Loaded { insns: vec![insn(0x85, 0, 2, 3, 7), ZERO, EXIT, ZERO, EXIT], ..Loaded::default() };
    let program = Program::new(&loaded, Dialect::V7_2);
    assert_eq!(program.successors(0).as_slice(), [1]);
    assert_ne!(refused(&[insn(0x85, 0, 2, 300, 7), ZERO, EXIT]), Some(Pass::CheckSubprogs));
    assert!(!program.is_empty());
}

#[test]
fn errors_say_what_was_refused_and_whether_liveness_had_begun() {
    let early = Error::new(Pass::PruneDeadBranches, errno::EFAULT, "odd");
    assert_eq!((early.to_string().as_str(), early.in_liveness()), ("odd (errno 14)", false));
    let late = Error::silent(Pass::SortSubprogs, errno::EINVAL);
    assert!(late.in_liveness() && late.to_string().contains("SortSubprogs"));
}

#[test]
fn dialects_have_a_name_each_and_the_generations_that_are_shown() {
    let names = Dialect::ALL.map(|dialect| (dialect.id(), dialect.to_string()));
    let names = names.each_ref().map(|(id, shown)| (*id, shown.as_str()));
    assert_eq!(
        names,
        [
            ("dynamic-6.18", "dynamic"),
            ("dynamic-6.19", "dynamic"),
            ("dynamic-7.0", "dynamic"),
            ("fed53dbcdb", "fed53dbcdb"),
            ("7.1", "7.1"),
            ("7.2", "7.2"),
            ("7.3", "7.3"),
        ]
    );
    for dialect in Dialect::ALL {
        assert_eq!(Dialect::from_id(dialect.id()), Some(dialect));
    }
    assert_eq!(Dialect::from_id("dynamic"), None);
    // Function instances by call site and depth, which --deep compares, came with 7.1.
    let deep = Dialect::ALL.map(|dialect| crate::diff::deep::check(dialect).is_ok());
    assert_eq!(deep, [false, false, false, false, true, true, true]);
}

/// `find_callback_subprog` knows the callbacks of helpers only. What a kernel function's number would be as a distance is
/// of no account.
#[test]
fn the_callback_of_a_kernel_function_is_not_analysed_from_its_call() {
    // 0: call 5; 1: r1 = r10; 2: call of kernel function 2, as a distance also 5; 3: r0 = 0; 4: exit
    let insns = vec![call(4), insn(0xbf, 1, 10, 0, 0), insn(0x85, 0, 2, 0, 2), ZERO, EXIT, ZERO, EXIT];
    let kfuncs = vec![livediff_capture::Kfunc { btf_id: 2, calls_callback: true, ..Default::default() }];
    let loaded = Loaded { insns, kfuncs, ..Loaded::default() };
    let analysis = analyze(&loaded, Dialect::V7_2, &mut Silent).unwrap();
    let Stack::ByCallsite(instances) = &analysis.stack else { panic!("not by call site") };
    let reached: Vec<_> = instances.iter().map(|instance| (instance.callsite, instance.depth)).collect();
    assert_eq!(reached, [(0, 0), (5, 0)]);
}
