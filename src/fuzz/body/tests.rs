use super::*;
use crate::{
    assemble::{Function, Program},
    fuzz::{generate::Material, setting::ProgramType},
    log::Silent,
    verifier::{self, Dialect},
};
use std::sync::Arc;

/// What a kernel says of a function that has a hidden exit and no other is nothing that it would say again.
#[test]
fn hidden_exits_have_an_exit_to_lead_to() {
    let (dialect, material) = (Dialect::V7_2, Material::without_kernel());
    let prog_type = ProgramType::new("socket", 1, dialect);
    let mut left_open = 0;
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let setting = Setting::new(&mut random, &material, &prog_type, dialect);
        let mut body = Body::new(&mut random, &setting, false, &[]);
        body.hidden_exit();
        body.jump_table();
        let next = body.here();
        left_open += usize::from(!body.jump_tables.concat().contains(&next));
        let (insns, jump_tables) = body.finish();
        let callee = Function { label: 1, name: "f1".into(), global: false, insns, jump_tables };
        let mut main = Body::new(&mut random, &setting, true, &[1]);
        main.call(1);
        let (insns, jump_tables) = main.finish();
        let main = Function { label: 0, name: "p".into(), global: true, insns, jump_tables };
        let mut program = Program {
            name: "p".into(),
            section: "socket".into(),
            functions: vec![main, callee],
            maps: Arc::clone(&material.maps),
            kfuncs: Arc::clone(&material.kfuncs),
            exception_callback: None,
        };
        program.tidy();
        let loaded = crate::fuzz::loaded(&program).unwrap();
        let analysis = verifier::analyze(&loaded, dialect, &mut Silent).unwrap();
        assert_eq!(analysis.program.hidden_exit_outside(), None, "{seed}");
    }
    assert!(left_open > 10, "{left_open}");
}
