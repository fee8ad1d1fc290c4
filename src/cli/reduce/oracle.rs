//! Candidates in objects, objects in guests, answers held against each other.

use super::finding::{self, Finding, Kind};
use crate::cli::{
    guest::{Answer, Guest},
    inputs::ObjectFile,
    output::{Output, Task},
};
use anyhow::{Error, Result};
use livediff::{
    assemble::{self, AssembleError, Operand, Program},
    reduce::{Oracle, Round},
};
use livediff_harness::run::{Cancel, Object};
use rayon::prelude::*;
use std::time::Instant;

/// Candidates in an object: opening one costs more than one more program in it.
const PACK: usize = 48;

/// Candidates in objects.
#[derive(Default)]
struct Packed {
    objects: Vec<Object>,
    /// Object, program, and place of the candidate.
    places: Vec<(String, String, usize)>,
    /// Places of candidates that cannot be written, and why.
    unwritten: Vec<(usize, AssembleError)>,
}

/// Asks kernels about candidates.
pub(in crate::cli) struct Asker<'a> {
    guests: Vec<Guest<'a>>,
    output: &'a Output,
    cancel: &'a Cancel,
    deadline: Instant,
    /// What candidates have to show.
    pub(super) target: Option<Kind>,
    /// Where the progress is told.
    pub(super) told: Option<&'a Task>,
    /// What kept a guest from answering.
    pub(super) failed: Option<Error>,
    rounds: usize,
    /// What guests trace is compared too.
    deep: bool,
}

impl<'a> Asker<'a> {
    pub(in crate::cli) fn new(
        guests: Vec<Guest<'a>>,
        output: &'a Output,
        cancel: &'a Cancel,
        deadline: Instant,
    ) -> Asker<'a> {
        Asker {
            guests,
            output,
            cancel,
            deadline,
            target: None,
            told: None,
            failed: None,
            rounds: 0,
            deep: false,
        }
    }

    /// Has what guests trace compared as well; their options have to say that they do.
    pub(in crate::cli) fn deep(self, deep: bool) -> Asker<'a> {
        Asker { deep, ..self }
    }

    /// What is found of a program as it stands in its object.
    pub(super) fn original(&mut self, object: &ObjectFile, program: &str) -> Result<Finding> {
        let objects = vec![Object {
            name: object.name.clone(),
            bytes: object.bytes.clone(),
            only: Some(vec![program.to_owned()]),
        }];
        let answers = self.ask(objects)?;
        let of = |answers: &'_ Vec<Answer>| {
            let fits = |answer: &Answer| answer.program == program || answer.program.is_empty();
            answers.iter().position(fits)
        };
        let answers: Vec<Option<&Answer>> =
            answers.iter().map(|answers| of(answers).and_then(|place| answers.get(place))).collect();
        Ok(self.compare(&answers))
    }

    /// Whether candidates show what is wanted.
    fn judge(&mut self, candidates: &[Program]) -> Result<Vec<bool>> {
        let findings = self.findings(candidates)?;
        Ok(findings.iter().map(|finding| self.is_wanted(finding)).collect())
    }

    /// It is what candidates have to show.
    pub(super) fn is_wanted(&self, finding: &Finding) -> bool {
        matches!(finding, Finding::Differs(_, found) if Some(&found.kind) == self.target.as_ref())
    }

    /// What is found of candidates.
    pub(in crate::cli) fn findings(&mut self, candidates: &[Program]) -> Result<Vec<Finding>> {
        self.rounds += 1;
        let Packed { objects, places, unwritten } = self.pack(candidates);
        let held = |answer: &Answer| -> Vec<usize> {
            let fits = |place: &&(String, String, usize)| {
                place.0 == answer.object && (answer.program.is_empty() || place.1 == answer.program)
            };
            places.iter().filter(fits).map(|place| place.2).collect()
        };
        let told = self.ask(objects)?;
        // By candidate, the answer of each kernel.
        let mut answers: Vec<Vec<Option<&Answer>>> = vec![vec![None; self.guests.len()]; candidates.len()];
        for (kernel, told) in told.iter().enumerate() {
            for answer in told {
                // What an object that cannot be opened is answered goes for all in it.
                for place in held(answer) {
                    if let Some(slot) = answers.get_mut(place).and_then(|answers| answers.get_mut(kernel)) {
                        *slot = Some(answer);
                    }
                }
            }
        }
        let kernels: Vec<_> = self.guests.iter().map(|guest| guest.kernel).collect();
        let deep = self.deep;
        let mut findings: Vec<Finding> =
            answers.par_iter().map(|answers| finding::compare(&kernels, answers, deep)).collect();
        for (place, error) in unwritten {
            if let Some(finding) = findings.get_mut(place) {
                *finding = Finding::NotCompared(error.to_string());
            }
        }
        Ok(findings)
    }

    fn compare(&self, answers: &[Option<&Answer>]) -> Finding {
        let kernels: Vec<_> = self.guests.iter().map(|guest| guest.kernel).collect();
        finding::compare(&kernels, answers, self.deep)
    }

    /// Objects that hold the candidates.
    fn pack(&self, candidates: &[Program]) -> Packed {
        let calls_kernel =
            |program: &Program| program.insns().any(|insn| matches!(insn.operand, Operand::Kfunc(_)));
        // For functions of the kernel, libbpf reads all of its BTF; that is not to be paid for the others.
        let (kfuncs, plain): (Vec<usize>, Vec<usize>) =
            (0..candidates.len()).partition(|place| candidates.get(*place).is_some_and(calls_kernel));
        let mut packed = Packed::default();
        for group in [plain, kfuncs] {
            // At least two objects, for two processors.
            for pack in group.chunks(PACK.min(group.len().div_ceil(2)).max(1)) {
                let name = format!("round-{}-{}.bpf.o", self.rounds, packed.objects.len());
                let mut programs = Vec::new();
                for place in pack {
                    let Some(candidate) = candidates.get(*place) else { continue };
                    let program = Program { name: format!("c{place}"), ..candidate.clone() };
                    match program.check() {
                        Ok(()) => {
                            packed.places.push((name.clone(), program.name.clone(), *place));
                            programs.push(program);
                        }
                        Err(error) => packed.unwritten.push((*place, error)),
                    }
                }
                if programs.is_empty() {
                    continue;
                }
                match assemble::object(&programs) {
                    Ok(bytes) => packed.objects.push(Object { name, bytes: bytes.into(), only: None }),
                    Err(error) => packed.unwritten.extend(pack.iter().map(|place| (*place, error.clone()))),
                }
            }
        }
        packed
    }

    /// Every guest's answers.
    fn ask(&mut self, objects: Vec<Object>) -> Result<Vec<Vec<Answer>>> {
        self.guests.iter().for_each(|guest| guest.give(objects.clone()));
        self.guests.iter_mut().map(|guest| guest.answers(self.output)).collect()
    }
}

impl Oracle for Asker<'_> {
    fn shows(&mut self, candidates: &[Program]) -> Option<Vec<bool>> {
        if self.cancel.is_cancelled() || Instant::now() >= self.deadline {
            return None;
        }
        match self.judge(candidates) {
            Ok(answers) => Some(answers),
            Err(error) => {
                if !self.cancel.is_cancelled() {
                    self.failed = Some(error);
                }
                None
            }
        }
    }

    fn improved(&mut self, best: &Program, round: Round) {
        if let Some(task) = self.told {
            task.doing(&format!("{} instructions left after {} rounds", best.len(), round.rounds));
        }
    }
}
