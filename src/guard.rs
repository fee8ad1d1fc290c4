//! Work that may break down on what strangers made: a panic costs what it was about, and no more.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
};

/// What a panic said.
pub fn words(panic: &(dyn Any + Send)) -> &str {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Does `work`. If it panics, what the panic said; what `work` was changing is then not to be used any more.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(&*panic).to_owned())
}

/// In words that the model panicked on a program; `cause` is what the panic said.
pub fn broke_down(cause: &str) -> String {
    format!("the model broke down, which is a defect of livediff: {cause}")
}
