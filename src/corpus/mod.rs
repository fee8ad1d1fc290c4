//! Getting programs to compare: objects that others have built.

pub mod carve;
