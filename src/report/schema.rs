//! JSON Schemas (draft 2020-12) of the JSON reports, version 1 each. They promise what is there; later fields may be
//! added, so they forbid none.

/// That of `diff --json` and `merge --json`.
pub const DIFF: &str = include_str!("schema/diff.json");
/// That of `compare --json`.
pub const COMPARE: &str = include_str!("schema/compare.json");
/// That of `analyze --json`.
pub const ANALYZE: &str = include_str!("schema/analyze.json");
/// That of `soundness --json`.
pub const SOUNDNESS: &str = include_str!("schema/soundness.json");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::{Class, Status};
    use livediff_capture::Verdict;
    use serde_json::Value;

    fn names(schema: &str, pointer: &str) -> Vec<String> {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let names = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        serde_json::from_value(names.clone()).unwrap()
    }

    /// What reports can say is what the schemas promise, no more and no less.
    #[test]
    fn enumerations_are_those_of_the_program() {
        let statuses: Vec<&str> = Status::ALL.into_iter().map(Status::name).collect();
        assert_eq!(names(DIFF, "/$defs/program/properties/status/enum"), statuses);
        let classes: Vec<&str> = Class::ALL.into_iter().map(Class::name).collect();
        assert_eq!(names(COMPARE, "/$defs/program/properties/class/enum"), classes);
        assert_eq!(names(COMPARE, "/properties/totals/required"), classes);
        let verdicts = [Verdict::Accepted, Verdict::Rejected, Verdict::NotRun];
        let verdicts = verdicts.map(|verdict| serde_json::to_value(verdict).unwrap());
        for schema in [DIFF, COMPARE] {
            assert_eq!(names(schema, "/$defs/verdict/enum"), verdicts);
        }
    }
}
