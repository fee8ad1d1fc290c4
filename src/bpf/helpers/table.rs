//! Which helper a program gets: tables by program type, each as its differences from another.
use super::Prototype;

/// What decides between prototypes beside the program's type and the helper's id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    /// `enum bpf_attach_type`.
    pub(super) attach_type: u32,
    /// `BPF_F_SLEEPABLE` was given.
    pub(super) sleepable: bool,
    /// The LSM hook, iterator target or struct_ops member, without the kernel's prefix.
    pub(super) attached_to: &'a str,
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
    /// The first that fits the program decides.
    cases: &'static [Case],
    otherwise: Option<&'static Prototype>,
}

/// A condition on the program, and what it gets then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    attach_types: Option<&'static [u32]>,
    sleepable: Option<bool>,
    attached_to: Option<&'static [&'static str]>,
    gives: Option<&'static Prototype>,
}

impl Table {
    pub(super) const fn new(base: Option<&'static Table>, entries: &'static [Entry]) -> Table {
        Table { base, entries }
    }

    pub(super) fn find(&self, id: u32, asker: &Asker<'_>) -> Option<&'static Prototype> {
        let mut table = self;
        loop {
            if let Ok(at) = table.entries.binary_search_by_key(&id, |entry| entry.id) {
                return table.entries.get(at)?.find(asker);
            }
            table = table.base?;
        }
    }

    #[cfg(test)]
    pub(super) fn is_sorted(&self) -> bool {
        self.entries.is_sorted_by(|a, b| a.id < b.id) && self.base.is_none_or(Table::is_sorted)
    }
}

impl Entry {
    pub(super) const fn when(self, cases: &'static [Case]) -> Entry {
        Entry { cases, ..self }
    }

    pub(super) const fn gives(self, prototype: &'static Prototype) -> Entry {
        Entry { otherwise: Some(prototype), ..self }
    }

    pub(super) const fn refuses(self) -> Entry {
        Entry { otherwise: None, ..self }
    }

    fn find(&self, asker: &Asker<'_>) -> Option<&'static Prototype> {
        self.cases.iter().find(|case| case.fits(asker)).map_or(self.otherwise, |case| case.gives)
    }
}

/// An entry for helper `id`; without more it refuses.
pub(super) const fn helper(id: u32) -> Entry {
    Entry { id, cases: &[], otherwise: None }
}

/// A case that fits every program and refuses.
pub(super) const fn case() -> Case {
    Case { attach_types: None, sleepable: None, attached_to: None, gives: None }
}

impl Case {
    pub(super) const fn attach_type(self, attach_types: &'static [u32]) -> Case {
        Case { attach_types: Some(attach_types), ..self }
    }

    pub(super) const fn sleepable(self, sleepable: bool) -> Case {
        Case { sleepable: Some(sleepable), ..self }
    }

    pub(super) const fn attached_to(self, names: &'static [&'static str]) -> Case {
        Case { attached_to: Some(names), ..self }
    }

    pub(super) const fn gives(self, prototype: &'static Prototype) -> Case {
        Case { gives: Some(prototype), ..self }
    }

    pub(super) const fn refuses(self) -> Case {
        Case { gives: None, ..self }
    }

    fn fits(&self, asker: &Asker<'_>) -> bool {
        self.attach_types.is_none_or(|types| types.contains(&asker.attach_type))
            && self.sleepable.is_none_or(|sleepable| sleepable == asker.sleepable)
            && self.attached_to.is_none_or(|names| names.contains(&asker.attached_to))
    }
}
