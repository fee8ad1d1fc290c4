//! Which helper a program gets: tables by program type, each as its differences from another.
use super::Prototype;
use crate::bpf::asker::{Asker, Cases, choose};

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

    pub(super) const fn refuses(self) -> Entry {
        Entry { otherwise: None, ..self }
    }
}
