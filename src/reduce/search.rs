//! The search: which edits are tried when, and which of those that succeed are taken.

use super::{
    Cost, Oracle, cost,
    edit::{self, Edit, Place},
};
use crate::{
    assemble::Program,
    random::{Fnv, Random},
};
use livediff_capture::{Map, MapShape};
use std::{
    collections::{BTreeSet, HashMap},
    hash::{Hash, Hasher},
};

/// Most candidates, and most slots of all of them, that are judged in one round.
const ROUND: (usize, usize) = (256, 24_000);
/// Slots of all candidates that are made at a time, to see what they cost.
const LOOKED_AT: usize = 2_000_000;
/// Instructions of a program whose pairs are tried.
const PAIRS: usize = 24;
/// Unions that are tried of edits that succeed.
const UNIONS: usize = 24;

/// What the search came to.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// The cheapest program that still shows it.
    pub program: Program,
    /// How much work it was.
    pub round: Round,
    /// No edit is left that helps; else the oracle ended the search.
    pub minimal: bool,
}

/// How far the search is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Times that the oracle was asked.
    pub rounds: usize,
    /// Candidates that it judged.
    pub candidates: usize,
}

/// Makes `program`, which shows it, smaller. The same seed and the same answers give the same program.
pub fn reduce(program: Program, seed: u64, oracle: &mut dyn Oracle) -> Reduced {
    let cost = cost(&program);
    let random = Random::new(seed);
    let mut search =
        Search { best: program, cost, oracle, known: HashMap::new(), round: Round::default(), random };
    let minimal = search.run().is_some();
    Reduced { program: search.best, round: search.round, minimal }
}

struct Search<'o> {
    best: Program,
    cost: Cost,
    oracle: &'o mut dyn Oracle,
    /// Answers, by the program's fingerprint.
    known: HashMap<u64, bool>,
    round: Round,
    random: Random,
}

impl Search<'_> {
    /// All kinds of edits until none helps. Nothing if the oracle ends it.
    fn run(&mut self) -> Option<()> {
        loop {
            let before = self.cost;
            self.try_edits(edit::promotions)?;
            self.try_edits(edit::functions)?;
            self.try_edits(edit::shortcuts)?;
            self.try_edits(edit::ends)?;
            self.try_edits(edit::branches)?;
            self.try_ranges()?;
            self.try_edits(edit::copies)?;
            self.try_edits(edit::simpler)?;
            self.try_edits(edit::renames)?;
            self.try_edits(edit::sections)?;
            self.try_edits(edit::maps)?;
            if self.cost == before && self.best.len() <= PAIRS {
                self.try_edits(edit::pairs)?;
            }
            if self.cost == before {
                return Some(());
            }
        }
    }

    /// Ranges of instructions, from half of them to one. Several lengths at a time as long as they make few ranges.
    fn try_ranges(&mut self) -> Option<()> {
        let mut pieces = 2;
        loop {
            let length = self.best.len().div_ceil(pieces).max(1);
            let shift = self.random.below(length);
            let mut edits = edit::ranges(&self.best, length, shift);
            while edits.len() < 24 && length > 1 && pieces < self.best.len() {
                pieces *= 2;
                let length = self.best.len().div_ceil(pieces).max(1);
                let shift = self.random.below(length);
                edits.extend(edit::ranges(&self.best, length, shift));
            }
            let last = self.best.len().div_ceil(pieces) <= 1;
            self.improve(edits)?;
            if last {
                return Some(());
            }
            pieces = (pieces * 2).min(self.best.len().max(1));
        }
    }

    fn try_edits(&mut self, edits: fn(&Program) -> Vec<Edit>) -> Option<()> {
        let edits = edits(&self.best);
        self.improve(edits)
    }

    /// Tries edits of the best program, each alone and then those that help together, until none is left. What would
    /// cost least is asked for first: it is judged soonest, and where it helps the rest becomes cheaper to judge.
    fn improve(&mut self, mut edits: Vec<Edit>) -> Option<()> {
        while !edits.is_empty() {
            let mut open: Vec<(Cost, Edit, Program)> = Vec::new();
            let looked_at = (LOOKED_AT / self.best.slots().max(1)).clamp(1, edits.len());
            let waiting = edits.split_off(looked_at);
            for edit in edits.drain(..) {
                let candidate = self.edited(&[&edit]);
                let cost = cost(&candidate);
                if cost < self.cost && self.known.get(&fingerprint(&candidate)) != Some(&false) {
                    open.push((cost, edit, candidate));
                }
            }
            open.sort_by_key(|(cost, ..)| *cost);
            let fits = in_one_round(open.iter().map(|(.., candidate)| candidate));
            let left = open.split_off(fits.min(open.len()));
            let (tried, alone): (Vec<Edit>, Vec<Program>) =
                open.into_iter().map(|(_, edit, candidate)| (edit, candidate)).unzip();
            let answers = self.judge(&alone)?;
            // From the cheapest to the dearest.
            let helpful: Vec<usize> =
                answers.iter().enumerate().filter_map(|(place, shows)| shows.then_some(place)).collect();
            let mut taken = Vec::from_iter(helpful.first().copied());
            let mut best = taken.first().and_then(|place| alone.get(*place)).cloned();
            if helpful.len() > 1 {
                let unions = self.unions(&helpful);
                let of = |union: &Vec<usize>| {
                    let edits: Vec<&Edit> = union.iter().filter_map(|place| tried.get(*place)).collect();
                    self.edited(&edits)
                };
                let candidates: Vec<Program> = unions.iter().map(of).collect();
                let answers = self.judge(&candidates)?;
                let mut lowest = best.as_ref().map(cost);
                for ((union, candidate), shows) in unions.into_iter().zip(candidates).zip(answers) {
                    if shows && lowest.is_none_or(|lowest| cost(&candidate) < lowest) {
                        lowest = Some(cost(&candidate));
                        (taken, best) = (union, Some(candidate));
                    }
                }
            }
            if let Some(best) = best {
                self.take(best);
            }
            // What did not help alone will hardly help now; it has its turn again in the next cycle.
            let again = helpful.iter().filter(|place| !taken.contains(place));
            edits.extend(again.filter_map(|place| tried.get(*place).cloned()));
            edits.extend(left.into_iter().map(|(_, edit, _)| edit));
            edits.extend(waiting);
        }
        Some(())
    }

    /// Sets of edits that help alone, given from the best to the least: all of them, ever smaller beginnings, and the
    /// same of other orders.
    fn unions(&mut self, helpful: &[usize]) -> Vec<Vec<usize>> {
        let mut unions: Vec<Vec<usize>> = Vec::new();
        let mut order = helpful.to_vec();
        let mut orders = 0;
        while unions.len() < UNIONS && orders < 8 {
            let mut length = order.len();
            while length > 1 && unions.len() < UNIONS {
                let union: Vec<usize> = order.iter().take(length).copied().collect();
                if !unions.contains(&union) {
                    unions.push(union);
                }
                length = if orders == 0 { (length * 3 / 4).max(1) } else { length / 2 };
            }
            orders += 1;
            self.random.shuffle(&mut order);
        }
        unions
    }

    /// The best program with these edits, as many as do not get into each other's way.
    fn edited(&self, edits: &[&Edit]) -> Program {
        let mut program = self.best.clone();
        let mut replaced: BTreeSet<Place> = BTreeSet::new();
        for edit in edits {
            if edit.place().is_none_or(|place| replaced.insert(place)) {
                edit.apply(&mut program);
            }
        }
        program.tidy();
        program
    }

    fn take(&mut self, program: Program) {
        self.cost = cost(&program);
        self.best = program;
        self.oracle.improved(&self.best, self.round);
    }

    /// Which candidates are cheaper than the best and still show it.
    fn judge(&mut self, candidates: &[Program]) -> Option<Vec<bool>> {
        let prints: Vec<u64> = candidates.iter().map(fingerprint).collect();
        let mut open: Vec<&Program> = Vec::new();
        let mut asked: Vec<u64> = Vec::new();
        for (candidate, print) in candidates.iter().zip(&prints) {
            if cost(candidate) < self.cost && !self.known.contains_key(print) && !asked.contains(print) {
                open.push(candidate);
                asked.push(*print);
            }
        }
        let mut at = 0;
        while at < open.len() {
            let rest = open.iter().skip(at).copied();
            let batch: Vec<Program> = rest.clone().take(in_one_round(rest)).cloned().collect();
            let answers = self.oracle.shows(&batch)?;
            self.round.rounds += 1;
            self.round.candidates += batch.len();
            self.known.extend(asked.iter().skip(at).copied().zip(answers).take(batch.len()));
            at += batch.len().max(1);
        }
        let shows = |(candidate, print): (&Program, &u64)| {
            cost(candidate) < self.cost && self.known.get(print).copied().unwrap_or(false)
        };
        Some(candidates.iter().zip(&prints).map(shows).collect())
    }
}

/// How many of the candidates are judged in one round, at least one.
fn in_one_round<'p>(candidates: impl Iterator<Item = &'p Program>) -> usize {
    let mut slots = 0;
    let fits = candidates.take(ROUND.0).take_while(|candidate| {
        slots += candidate.slots();
        slots <= ROUND.1
    });
    fits.count().max(1)
}

/// Tells programs apart by all that a kernel or the model may go by.
pub(super) fn fingerprint(program: &Program) -> u64 {
    let mut hasher = Fnv::default();
    program.section.hash(&mut hasher);
    program.exception_callback.hash(&mut hasher);
    for function in &program.functions {
        (function.label, function.global, &function.insns).hash(&mut hasher);
    }
    for map in program.maps.iter() {
        let Map { name: _, map_type, shape, max_entries, map_flags, frozen, inner, rdonly_value, insn_array } =
            map;
        let shape_of = |shape: &MapShape| (shape.key_size, shape.value_size);
        (map_type, shape_of(shape), max_entries, map_flags, frozen).hash(&mut hasher);
        (inner.as_ref().map(shape_of), rdonly_value, insn_array).hash(&mut hasher);
    }
    hasher.finish()
}
