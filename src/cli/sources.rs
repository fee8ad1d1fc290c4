//! Lines of sources: of objects, read when the first program of one asks for them, and of what reports point at.

use livediff::loader::lines::{Line, Lines};
use livediff_capture::Loaded;
use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Most bytes of an object that is read.
const MAX_OBJECT: u64 = 256 << 20;

/// Takes what it is asked for from any thread.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// By object.
    objects: Mutex<HashMap<String, Arc<Object>>>,
    /// By object, program and instruction.
    noted: Mutex<HashMap<(String, String, u32), Line>>,
}

impl Sources {
    /// Keeps the line that an instruction comes from, if that is known.
    pub(crate) fn note(&self, object: &str, program: &str, loaded: &Loaded, insn: u32) {
        if let Some(line) = self.of(object).lines().at(loaded, insn) {
            let key = (object.to_owned(), program.to_owned(), insn);
            self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(key, line.clone());
        }
    }

    /// What was kept.
    pub(crate) fn noted(&self, object: &str, program: &str, insn: u32) -> Option<Line> {
        let key = (object.to_owned(), program.to_owned(), insn);
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// The object at a path, which is not read before it is asked for its lines.
    pub(crate) fn of(&self, object: &str) -> Arc<Object> {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Object { path: object.to_owned(), lines: OnceLock::new() });
        objects.entry(object.to_owned()).or_insert_with(new).clone()
    }
}

/// An object whose lines are read once.
#[derive(Debug)]
pub(crate) struct Object {
    path: String,
    lines: OnceLock<Lines>,
}

impl Object {
    /// The lines that its instructions come from.
    pub(crate) fn lines(&self) -> &Lines {
        self.lines.get_or_init(|| read(&self.path))
    }
}

/// The lines of the object at a path. One that is not there, as that of a capture from elsewhere may be, has none; and
/// lines that are not those of what was loaded are never shown.
fn read(path: &str) -> Lines {
    let bytes = || {
        let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|of| of.is_file()))?;
        let mut bytes = Vec::new();
        file.take(MAX_OBJECT).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    bytes().and_then(|bytes| Lines::read(&bytes).ok()).unwrap_or_default()
}
