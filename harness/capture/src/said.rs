use serde::{Deserialize, Serialize};

/// How the load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The verifier took the program.
    Accepted,
    /// The verifier refused it.
    Rejected,
    /// The path walk was cut short once the liveness section was complete.
    NotRun,
}

/// What the verifier said of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// How the load ended.
    pub verdict: Verdict,
    /// The error number of the load, positive; 0 if it was accepted.
    pub errno: i32,
    /// The log at level 2 from its beginning. Bytes that are no UTF-8 are replaced by U+FFFD.
    pub log: String,
    /// The end of the log is missing: it did not fit, or was not wanted. The beginning is always there.
    pub truncated: bool,
}
