//! That no kernel refuses a program for what its type may not do.

use super::lawful;
use crate::{
    assemble::{Operand, Program},
    fuzz::{Generator, Material},
    verifier::Dialect,
};
use livediff_capture::{
    Insn,
    insn::{class, mode, size},
};

fn programs(seed: u64, count: u64) -> Vec<Program> {
    let mut generator = Generator::new(seed, Dialect::V7_2, Material::without_kernel());
    let made = generator.batch(0..count, |numbers, make| numbers.into_iter().map(make).collect());
    made.into_iter().map(|(program, _)| program).collect()
}

/// "Sleepable programs can only use array, hash, ringbuf and local storage maps", and "BPF_LD_[ABS|IND] instructions not
/// allowed for this program type".
#[test]
fn a_program_has_the_maps_and_the_loads_from_packets_that_its_type_may() {
    let (mut sleeping, mut with_queues, mut loading) = (0, 0, 0);
    for mut program in programs(4, 100) {
        let function = program.functions.first_mut().unwrap();
        let any = function.insns.iter_mut().find(|made| made.insn.class() == class::ALU64).unwrap();
        let code = class::LD | mode::ABS | size::W;
        (any.insn, any.operand) = (Insn { code, imm: 4, ..Insn::default() }, Operand::None);
        lawful(&mut program);
        let section = program.section.as_str();
        let queues = program.maps.iter().filter(|map| map.shape.key_size == 0).count();
        let loads = program.insns().filter(|made| made.insn.is_ld_abs_ind()).count();
        assert!(queues == 0 || section != "syscall", "{}", program.name);
        assert!(loads == 0 || matches!(section, "socket" | "tc"), "{} of {section}", program.name);
        sleeping += usize::from(section == "syscall" && !program.maps.is_empty());
        with_queues += usize::from(queues > 0);
        loading += usize::from(loads > 0);
    }
    let counts = [sleeping, with_queues, loading];
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
