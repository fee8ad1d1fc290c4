//! A guest that stays: objects go in, and what the kernel saw and said of their programs comes out, time after time.
//!
//! The guest runs on a thread of its own, so that several kernels can be asked the same at a time and the work of one
//! batch decides what the next one is.

use super::{kernels::Kernel, output::Output};
use anyhow::{Context, Result, anyhow};
use livediff::{
    bpf::{Callable, btf::Btf},
    report::terminal::printable_lines,
};
use livediff_capture::trace::Records;
use livediff_harness::run::{self, Cancel, Event, Object, Outcome, RunError, Work};
use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{Scope, ScopedJoinHandle},
    time::Duration,
};

/// How often a waiting guest looks whether it was cancelled.
const TICK: Duration = Duration::from_millis(50);

/// What became of a program, or of an object that could not be opened (`program` is empty).
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// [`Object::name`].
    pub(crate) object: String,
    /// The program's name.
    pub(crate) program: String,
    /// What became of it; kernel functions and helpers are filled in.
    pub(crate) outcome: Outcome,
    /// What was traced of it ([`run::Options::trace`]).
    pub(crate) records: Option<Records>,
}

/// A kernel that runs in a guest. The guest ends when this is dropped.
pub(crate) struct Guest<'g> {
    /// The kernel.
    pub(crate) kernel: &'g Kernel,
    batches: Sender<Vec<Object>>,
    told: Receiver<Told>,
    callable: Callable<'g>,
}

/// What a guest's thread says.
enum Told {
    Event(Event),
    /// Everything of the batch has come out.
    Done,
    /// It is over.
    Ended(Option<RunError>),
}

impl<'g> Guest<'g> {
    /// A guest on a thread of `scope`. The virtual machine is started with the first objects. `btf` is the kernel's.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        kernel: &'g Kernel,
        btf: &'g Btf<'g>,
        options: run::Options,
        cancel: &Cancel,
    ) -> Guest<'g>
    where
        'g: 'scope,
    {
        let (batches, receive) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let cancel = cancel.clone();
        let _: ScopedJoinHandle<'_, ()> = scope.spawn(move || {
            let mut work = Batches { receive, tell: tell.clone(), cancel: cancel.clone(), begun: false };
            let ended = run::run_batches(&kernel.image, &options, &cancel, &mut work);
            // Nobody listens any more where the guest was dropped.
            let _ = tell.send(Told::Ended(ended.err()));
        });
        let callable = Callable::new(btf, kernel.dialect, &kernel.image.btf_ids);
        Guest { kernel, batches, told, callable }
    }

    /// Gives the guest a batch. [`Guest::answers`] has to be called next.
    pub(crate) fn give(&self, objects: Vec<Object>) {
        // A guest that has ended says so when it is asked for its answers.
        let _ = self.batches.send(objects);
    }

    /// What became of the programs of the batch, in the order of their coming. What went wrong with the guest, but not
    /// with the run, is told to `output`.
    pub(crate) fn answers(&mut self, output: &Output) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        // Comes right before the outcome of the same program.
        let mut traced: Option<(String, String, Records)> = None;
        let name = || format!("kernel {}", self.kernel.name);
        loop {
            match self.told.recv() {
                Ok(Told::Event(event)) => match event {
                    Event::Booted { .. } | Event::Opened { .. } | Event::Unfit { .. } => {}
                    Event::Traced { object, program, records } => traced = Some((object, program, records)),
                    Event::NotOpened { object, outcome } => {
                        answers.push(Answer { object, program: String::new(), outcome, records: None });
                    }
                    Event::Program { object, program, outcome } => {
                        let of_it =
                            |(of, name, _): &(String, String, Records)| *of == object && *name == program;
                        let records = traced.take().filter(of_it).map(|(_, _, records)| records);
                        answers.push(Answer { object, program, outcome, records });
                    }
                    Event::GuestRestarted { reason } => {
                        let text = format!("[{}] guest restarted: {reason}", self.kernel.name);
                        output.line(&printable_lines(&text));
                    }
                },
                Ok(Told::Done) => break,
                Ok(Told::Ended(Some(error))) => return Err(anyhow::Error::new(error)).with_context(name),
                Ok(Told::Ended(None)) | Err(_) => {
                    return Err(anyhow!("{}: the guest has ended", name()));
                }
            }
        }
        for answer in &mut answers {
            if let Outcome::Loaded(pair) = &mut answer.outcome {
                self.callable.fill(&mut pair.0);
            }
        }
        Ok(answers)
    }
}

/// The work of a guest's thread.
struct Batches {
    receive: Receiver<Vec<Object>>,
    tell: Sender<Told>,
    cancel: Cancel,
    begun: bool,
}

impl Work for Batches {
    fn next(&mut self) -> Vec<Object> {
        if std::mem::replace(&mut self.begun, true) {
            let _ = self.tell.send(Told::Done);
        }
        loop {
            match self.receive.recv_timeout(TICK) {
                // An empty batch is done at once, and would end the run.
                Ok(batch) if batch.is_empty() => _ = self.tell.send(Told::Done),
                Ok(batch) => return batch,
                Err(RecvTimeoutError::Timeout) if !self.cancel.is_cancelled() => {}
                Err(_) => return Vec::new(),
            }
        }
    }

    fn event(&mut self, event: Event) {
        let _ = self.tell.send(Told::Event(event));
    }
}
