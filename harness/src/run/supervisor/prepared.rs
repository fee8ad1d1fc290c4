//! Who prepares which object, the host or the guest.
//!
//! The host is asked first, for all objects at once, and works through them while the guest boots and loads. What it
//! cannot do without the kernel, and what the guest's kernel does not like, the guest does.

use super::Supervisor;
use crate::{
    protocol::PlannedProgram,
    run::preparers::{Preparation, Request},
};
use livediff_capture::Map;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Bytes of prepared objects that are kept for the guest; the host prepares no more while there are so many.
const KEPT_LIMIT: usize = 256 << 20;

/// Where an object is prepared.
pub(super) enum Prepared {
    /// Not decided: the host can be asked to.
    Open,
    /// The host was asked to.
    Asked,
    OnHost(Box<OnHost>),
    /// On the host, once it knows the running kernel's symbols.
    WantsSymbols,
    InGuest,
}

impl Prepared {
    /// Bytes that are kept for the guest.
    pub(super) fn size(&self) -> usize {
        match self {
            Prepared::OnHost(prepared) => prepared.parts.len(),
            _ => 0,
        }
    }
}

/// The running kernel's symbols, as objects ask for them that use symbols without a type. Another guest may have other
/// addresses, and is not asked.
pub(super) enum Symbols {
    Unknown,
    Asked,
    /// `/proc/kallsyms`
    Known(Arc<[u8]>),
    Gone,
}

/// An object that the host has prepared.
pub(super) struct OnHost {
    /// All its programs, until they are told.
    pub(super) names: Option<Vec<String>>,
    /// By number: what is known of the programs that have no outcome.
    pub(super) programs: HashMap<u32, PlannedProgram>,
    pub(super) not_loadable: Vec<(u32, String)>,
    /// It does only for the kernel that runs.
    pub(super) symbols: bool,
    /// For the guest.
    pub(super) parts: Arc<[u8]>,
    /// By part: what the guest's kernel says of the maps.
    pub(super) maps: Vec<Vec<Map>>,
}

impl Supervisor<'_> {
    /// Has the object prepared on the host, unless it is decided where that is done.
    pub(super) fn have_prepared(&mut self, object: u32) {
        let Some(entry) = self.entries.get_mut(object as usize) else { return };
        let Some(preparers) = self.preparers.as_ref().filter(|_| matches!(entry.prepared, Prepared::Open))
        else {
            return;
        };
        entry.prepared = Prepared::Asked;
        preparers.ask(Request {
            id: (self.batch, object),
            name: entry.object.name.clone(),
            license: entry.license.clone(),
            only: entry.object.only.clone(),
            bytes: Arc::clone(&entry.object.bytes),
            symbols: match &self.symbols {
                Symbols::Known(symbols) => Some(Arc::clone(symbols)),
                _ => None,
            },
        });
    }

    /// Decides where the object is prepared.
    pub(super) fn set_prepared(&mut self, object: u32, prepared: Prepared) {
        let Some(entry) = self.entries.get_mut(object as usize) else { return };
        self.kept = self.kept.saturating_sub(entry.prepared.size()) + prepared.size();
        entry.prepared = prepared;
    }

    /// Takes in the running kernel's symbols. With another guest they are gone, and with them what was made of them.
    pub(super) fn set_symbols(&mut self, symbols: Symbols) {
        let known = matches!(symbols, Symbols::Known(_));
        self.symbols = symbols;
        for object in (0..).take(self.entries.len()) {
            match self.entries.get(object as usize).map(|entry| &entry.prepared) {
                Some(Prepared::WantsSymbols) if known => {
                    self.set_prepared(object, Prepared::Open);
                    self.have_prepared(object);
                }
                Some(Prepared::WantsSymbols) => self.set_prepared(object, Prepared::InGuest),
                Some(Prepared::OnHost(prepared)) if prepared.symbols => {
                    self.set_prepared(object, Prepared::InGuest);
                }
                _ => {}
            }
        }
    }

    /// Takes in what has been prepared on the host, and waits for something within `limit`.
    pub(super) fn take_prepared(&mut self, mut limit: Duration) {
        while self.kept < KEPT_LIMIT {
            let answer = self.preparers.as_ref().and_then(|preparers| preparers.answer(limit));
            let Some(((batch, object), preparation)) = answer else { return };
            limit = Duration::ZERO;
            let entry = self.entries.get(object as usize);
            let asked = entry.is_some_and(|entry| matches!(entry.prepared, Prepared::Asked));
            if batch != self.batch || !asked {
                continue;
            }
            let prepared = match (preparation, &self.symbols) {
                (Preparation::Guest, _) => Prepared::InGuest,
                (Preparation::WantsSymbols, Symbols::Unknown | Symbols::Asked) => Prepared::WantsSymbols,
                (Preparation::WantsSymbols, Symbols::Known(_)) => Prepared::Open,
                (Preparation::WantsSymbols, Symbols::Gone) => Prepared::InGuest,
                (Preparation::Host { plan, .. }, Symbols::Gone) if plan.symbols => Prepared::InGuest,
                (Preparation::Host { plan, parts }, _) => Prepared::OnHost(Box::new(OnHost {
                    names: Some(plan.names),
                    programs: plan.programs.into_iter().map(|program| (program.number, program)).collect(),
                    not_loadable: plan.not_loadable,
                    symbols: plan.symbols,
                    parts,
                    maps: Vec::new(),
                })),
            };
            self.symbols_wanted |= matches!(prepared, Prepared::WantsSymbols);
            self.set_prepared(object, prepared);
            self.have_prepared(object);
        }
    }

    pub(super) fn on_host(&mut self, object: u32) -> Option<&mut OnHost> {
        match &mut self.entries.get_mut(object as usize)?.prepared {
            Prepared::OnHost(prepared) => Some(prepared),
            _ => None,
        }
    }
}
