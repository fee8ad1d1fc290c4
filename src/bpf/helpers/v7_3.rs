// Written by scripts/gen-helpers from the kernel's source. Do not edit.
#![allow(non_upper_case_globals)] // the kernel's names

use super::table::Tables;
use super::v7_2;

/// The tables by program type, and those of struct_ops programs by the name of the struct.
#[rustfmt::skip]
pub(super) static TABLES: Tables = Tables {
    based_on: Some(&v7_2::TABLES),
    names: &v7_2::NAMES,
    base: &v7_2::BASE,
    prog_types: &[
    ],
    struct_ops: &[
        ("binfmt_misc_ops", &v7_2::BASE),
    ],
};
