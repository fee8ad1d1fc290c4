//! Helper functions: their names and, by program type, their prototypes.
mod v7_2;

use crate::Dialect;

/// The name of helper `id`, `bpf_` included, as the log prints it (`func_id_str`); nothing outside the table.
pub fn name(dialect: Dialect, id: i32) -> Option<&'static str> {
    let names = match dialect {
        Dialect::V7_2 => &v7_2::NAMES,
    };
    names.get(usize::try_from(id).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_the_table_ends() {
        assert_eq!(name(Dialect::V7_2, -1), None);
        assert_eq!(name(Dialect::V7_2, 0), Some("bpf_unspec"));
        assert_eq!(name(Dialect::V7_2, 1), Some("bpf_map_lookup_elem"));
        assert_eq!(name(Dialect::V7_2, 181), Some("bpf_loop"));
        assert_eq!(name(Dialect::V7_2, 211), Some("bpf_cgrp_storage_delete"));
        assert_eq!(name(Dialect::V7_2, 212), None);
        assert_eq!(name(Dialect::V7_2, i32::MIN), None);
    }
}
