//! Lines of sources: of objects, read when the first program of one asks for them, and of what reports point at.

use super::inputs;
use livediff::loader::lines::{Line, Lines};
use livediff_capture::Loaded;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

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
    let path = Path::new(path);
    let bytes = path.is_file().then(|| inputs::read(path).ok()).flatten();
    bytes.and_then(|bytes| Lines::read(&bytes).ok()).unwrap_or_default()
}
