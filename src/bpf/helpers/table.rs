//! Which helper a program gets: tables by program type, each as its differences from another.
use super::Prototype;
use crate::bpf::asker::{Asker, Cases, choose};

/// The tables of one dialect.
#[derive(Debug)]
pub(super) struct Tables {
    /// The tables of another dialect, which hold where these are silent.
    pub(super) based_on: Option<&'static Tables>,
    /// Names by id.
    pub(super) names: &'static [&'static str],
    /// `bpf_base_func_proto`.
    pub(super) base: &'static Table,
    /// By `enum bpf_prog_type`; what there is for struct_ops programs is for none of them.
    pub(super) prog_types: &'static [(u32, &'static Table)],
    /// Of struct_ops programs, by the name of the struct.
    pub(super) struct_ops: &'static [(&'static str, &'static Table)],
}

impl Tables {
    /// Every prototype that any program gets, some more than once.
    pub(super) fn prototypes(&self) -> Vec<&'static Prototype> {
        let tables = self.prog_types.iter().map(|(_, table)| *table);
        let tables = tables.chain(self.struct_ops.iter().map(|(_, table)| *table)).chain([self.base]);
        let mut found = self.based_on.map_or_else(Vec::new, Tables::prototypes);
        for entry in tables.flat_map(|table| table.entries) {
            found.extend(entry.cases.iter().map(|(_, outcome)| *outcome).chain([entry.otherwise]).flatten());
        }
        found
    }

    /// The table of a program type.
    pub(super) fn prog_type(&self, number: u32) -> Option<&'static Table> {
        let own = self.prog_types.iter().find(|(other, _)| *other == number).map(|(_, table)| *table);
        own.or_else(|| self.based_on?.prog_type(number))
    }

    /// The table of the struct_ops programs of a struct.
    pub(super) fn struct_ops(&self, name: &str) -> Option<&'static Table> {
        let own = self.struct_ops.iter().find(|(other, _)| *other == name).map(|(_, table)| *table);
        own.or_else(|| self.based_on?.struct_ops(name))
    }
}

/// The helpers of a program type.
#[derive(Debug)]
pub(super) struct Table {
    /// Decides the ids that have no entry. Without it they have no prototype.
    base: Option<&'static Table>,
    /// By id, ascending.
    entries: &'static [Entry],
}

/// One helper in a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    id: u32,
    cases: Cases<Option<&'static Prototype>>,
    otherwise: Option<&'static Prototype>,
}

impl Table {
    pub(super) const fn new(base: Option<&'static Table>, entries: &'static [Entry]) -> Table {
        Table { base, entries }
    }

    pub(super) fn find(&self, id: u32, asker: &Asker<'_>) -> Option<&'static Prototype> {
        let mut table = self;
        loop {
            if let Ok(at) = table.entries.binary_search_by_key(&id, |entry| entry.id) {
                let entry = table.entries.get(at)?;
                return choose(entry.cases, asker).unwrap_or(entry.otherwise);
            }
            table = table.base?;
        }
    }

    #[cfg(test)]
    pub(super) fn is_sorted(&self) -> bool {
        self.entries.is_sorted_by(|a, b| a.id < b.id) && self.base.is_none_or(Table::is_sorted)
    }
}

/// An entry for helper `id`; without more it refuses.
pub(super) const fn helper(id: u32) -> Entry {
    Entry { id, cases: &[], otherwise: None }
}

impl Entry {
    pub(super) const fn when(self, cases: Cases<Option<&'static Prototype>>) -> Entry {
        Entry { cases, ..self }
    }

    pub(super) const fn gives(self, prototype: &'static Prototype) -> Entry {
        Entry { otherwise: Some(prototype), ..self }
    }

    /// Refuses who has no case, as an entry does that nothing else is said of.
    pub(super) const fn refuses(self) -> Entry {
        self
    }
}
