//! The liveness section of the verifier's log: what the analysis says, as types and as the kernel's text.

mod event;
mod render;

pub use event::{Event, Listener, MaskKind, Place, Silent};
pub(crate) use render::MESSAGE_LEN;
#[cfg(test)]
pub(crate) use render::TMP_STR_LEN;
#[cfg(feature = "cli")]
pub(crate) use render::pointers_text;
pub use render::{End, LIVE_REGS_HEADER, LineKind, Origin, Renderer, Section, section, slots_text};
