//! The reports of all parts of a run, put together into the report of the whole.
//!
//! What comes out is what one run would have written, to the byte, but for what depends on the machine: how the guest
//! was run, and the words of a guest that died. Parts that are missing, that are there twice, or that do not belong
//! together are refused.

use super::{KernelRun, Report, Shard};
use std::collections::BTreeSet;

/// Why reports cannot be put together. Each is called by its name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum MergeError {
    #[error("no report was given")]
    Nothing,
    #[error("{name}: it is no part of a run: it was written without --shard")]
    Whole { name: String },
    #[error("{name}: it says that it is part {index} of {count}")]
    NoSuchPart { name: String, index: usize, count: usize },
    #[error("{name} is a part of {count}, and {first} one of {of}")]
    Count { name: String, count: usize, first: String, of: usize },
    #[error(
        "{name} and {first} are parts of different runs: other objects, another --filter, or other --costs were dealt out"
    )]
    Stranger { name: String, first: String },
    #[error("part {index} of {count} is there twice: {first} and {second}")]
    Twice { index: usize, count: usize, first: String, second: String },
    #[error("of {count} parts, these are missing: {missing}")]
    Missing { count: usize, missing: String },
    #[error("{name} and {first} are not of the same kernels: {theirs} and {ours}")]
    Kernels { name: String, theirs: String, first: String, ours: String },
    #[error("{program} is in {first} and in {second}, for kernel {kernel}: it must be in one part only")]
    Program { program: String, kernel: String, first: String, second: String },
}

/// Puts the reports of all parts of a run together, each given with the name under which errors speak of it.
///
/// An object that could not be opened has no programs, and every part that was to have some of them tells so: it is in
/// the result once.
pub fn merge(parts: Vec<(String, Report)>) -> Result<Report, MergeError> {
    let mut parts = in_order(parts)?.into_iter();
    let Some((first, whole)) = parts.next() else { return Err(MergeError::Nothing) };
    let mut merged: Vec<Merged> =
        whole.kernels.into_iter().map(|kernel| Merged::new(kernel, &first)).collect();
    let mut incomplete: Vec<String> = whole.incomplete.iter().map(|why| format!("{first}: {why}")).collect();
    for (name, report) in parts {
        if !std::iter::zip(&merged, &report.kernels).all(|(ours, theirs)| ours.is_same(theirs))
            || merged.len() != report.kernels.len()
        {
            let (ours, theirs) =
                (described(merged.iter().map(|merged| &merged.kernel)), described(&report.kernels));
            return Err(MergeError::Kernels { name, theirs, first, ours });
        }
        for (ours, theirs) in std::iter::zip(&mut merged, report.kernels) {
            ours.add(theirs, &name)?;
        }
        incomplete.extend(report.incomplete.iter().map(|why| format!("{name}: {why}")));
    }
    Ok(Report {
        kernels: merged.into_iter().map(Merged::into_kernel).collect(),
        shard: None,
        incomplete: (!incomplete.is_empty()).then(|| incomplete.join("; ")),
    })
}

/// The reports by their place; every part is there once.
fn in_order(mut parts: Vec<(String, Report)>) -> Result<Vec<(String, Report)>, MergeError> {
    let mut first: Option<(String, Shard)> = None;
    for (name, report) in &parts {
        let Some(shard) = &report.shard else { return Err(MergeError::Whole { name: name.clone() }) };
        if shard.index == 0 || shard.index > shard.count {
            let Shard { index, count, .. } = *shard;
            return Err(MergeError::NoSuchPart { name: name.clone(), index, count });
        }
        match &first {
            None => first = Some((name.clone(), shard.clone())),
            Some((first, of)) if of.count != shard.count => {
                let (name, first) = (name.clone(), first.clone());
                return Err(MergeError::Count { name, count: shard.count, first, of: of.count });
            }
            Some((first, of)) if of.of != shard.of => {
                return Err(MergeError::Stranger { name: name.clone(), first: first.clone() });
            }
            Some(_) => {}
        }
    }
    let Some((_, Shard { count, .. })) = first else { return Err(MergeError::Nothing) };
    let index = |report: &Report| report.shard.as_ref().map_or(0, |shard| shard.index);
    parts.sort_by_key(|(_, report)| index(report));
    for pair in parts.windows(2) {
        if let [(first, one), (second, other)] = pair
            && index(one) == index(other)
        {
            let (first, second) = (first.clone(), second.clone());
            return Err(MergeError::Twice { index: index(one), count, first, second });
        }
    }
    if parts.len() != count {
        let there: BTreeSet<usize> = parts.iter().map(|(_, report)| index(report)).collect();
        let missing = (1..=count).filter(|index| !there.contains(index)).map(|index| index.to_string());
        // Whoever writes such a number into a file is not to be answered at length.
        let mut missing: Vec<String> = missing.take(NAMED + 1).collect();
        if missing.len() > NAMED {
            missing.truncate(NAMED);
            missing.push(format!("{} more", count - there.len() - NAMED));
        }
        return Err(MergeError::Missing { count, missing: missing.join(", ") });
    }
    Ok(parts)
}

/// How many missing parts are named.
const NAMED: usize = 20;

/// A kernel, as far as it is put together.
struct Merged {
    kernel: KernelRun,
    /// By the place of the row: the part that it came from.
    from: Vec<String>,
    /// How guests were run, where any was.
    accels: BTreeSet<String>,
}

impl Merged {
    fn new(kernel: KernelRun, name: &str) -> Merged {
        let from = vec![name.to_owned(); kernel.rows.len()];
        let mut accels = BTreeSet::new();
        accels.extend(Some(kernel.accel.clone()).filter(|accel| !accel.is_empty()));
        Merged { kernel, from, accels }
    }

    fn is_same(&self, other: &KernelRun) -> bool {
        let identity = |kernel: &KernelRun| {
            let KernelRun { name, release, dialect, dialect_forced, .. } = kernel.clone();
            (name, release, dialect, dialect_forced)
        };
        identity(&self.kernel) == identity(other)
    }

    fn add(&mut self, other: KernelRun, name: &str) -> Result<(), MergeError> {
        self.accels.extend(Some(other.accel).filter(|accel| !accel.is_empty()));
        let there: std::collections::HashMap<(&str, &str), &String> =
            std::iter::zip(&self.kernel.rows, &self.from)
                .map(|(row, from)| ((row.object.as_str(), row.program.as_str()), from))
                .collect();
        let mut news = Vec::new();
        for row in other.rows {
            match there.get(&(row.object.as_str(), row.program.as_str())) {
                None => news.push(row),
                Some(_) if row.program.is_empty() => {}
                Some(first) => {
                    return Err(MergeError::Program {
                        program: row.name(),
                        kernel: self.kernel.name.clone(),
                        first: (*first).clone(),
                        second: name.to_owned(),
                    });
                }
            }
        }
        self.from.resize(self.from.len() + news.len(), name.to_owned());
        self.kernel.rows.append(&mut news);
        Ok(())
    }

    fn into_kernel(self) -> KernelRun {
        let accel = self.accels.into_iter().collect::<Vec<_>>().join("+");
        let mut kernel = KernelRun { accel, ..self.kernel };
        kernel.sort();
        kernel
    }
}

/// The kernels by name, release and dialect.
fn described<'k>(kernels: impl IntoIterator<Item = &'k KernelRun>) -> String {
    let shown: Vec<String> = kernels
        .into_iter()
        .map(|kernel| {
            let forced = if kernel.dialect_forced { ", forced" } else { "" };
            format!("{} (Linux {}, dialect {}{forced})", kernel.name, kernel.release, kernel.dialect)
        })
        .collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diff::Status,
        report::{Row, from_json, to_json, to_junit},
    };

    type Parts = Vec<(String, Report)>;

    fn kernel(name: &str, rows: Vec<Row>) -> KernelRun {
        KernelRun {
            name: name.into(),
            release: format!("{name}.1"),
            dialect: name.into(),
            accel: "tcg".into(),
            rows,
            ..KernelRun::default()
        }
    }

    /// Programs, and an object that cannot be opened.
    fn whole() -> Vec<KernelRun> {
        let rows = |status| {
            let programs =
                (0..20).map(|at| Row::not_loaded(&format!("{}.o", at / 7), &format!("p{at}"), status, "r"));
            programs.chain([Row::not_loaded("cut.o", "", Status::NotLoadable, "cut")]).collect()
        };
        let mut kernels =
            vec![kernel("7.2", rows(Status::Match)), kernel("7.1", rows(Status::RejectedEarly))];
        kernels.iter_mut().for_each(KernelRun::sort);
        kernels
    }

    fn parts(count: usize) -> Parts {
        let part = |index: usize| {
            let mut kernels = whole();
            for kernel in &mut kernels {
                let mut at = 0;
                kernel.rows.retain(|row| {
                    at += 1;
                    // An object that cannot be opened may be told of by several.
                    at % count == index - 1 || row.program.is_empty() && index % 2 == 1
                });
            }
            let shard = Shard { index, count, of: "x".into() };
            (format!("{index}.json"), Report { kernels, shard: Some(shard), incomplete: None })
        };
        (1..=count).map(part).collect()
    }

    fn bytes(report: &Report) -> (String, String) {
        let (mut json, mut junit) = (Vec::new(), Vec::new());
        to_json(report, &mut json).unwrap();
        to_junit(report, &mut junit).unwrap();
        (String::from_utf8(json).unwrap(), String::from_utf8(junit).unwrap())
    }

    #[test]
    fn the_parts_make_the_whole() {
        let whole = bytes(&Report { kernels: whole(), ..Report::default() });
        for count in [1, 2, 5, 21, 30] {
            let mut parts = parts(count);
            parts.reverse();
            // As they come from files.
            for (_, report) in &mut parts {
                *report = from_json(bytes(report).0.as_bytes()).unwrap();
            }
            // A part that had nothing to do booted nothing.
            let empty = parts.iter_mut().flat_map(|(_, report)| &mut report.kernels);
            empty.filter(|kernel| kernel.rows.is_empty()).for_each(|kernel| kernel.accel.clear());
            assert_eq!(bytes(&merge(parts).unwrap()), whole, "{count} parts");
        }
    }

    #[test]
    fn parts_that_do_not_make_a_whole_are_refused() {
        let refused = |alter: &dyn Fn(&mut Parts)| {
            let mut parts = parts(5);
            alter(&mut parts);
            merge(parts).unwrap_err().to_string()
        };
        assert_eq!(refused(&|parts| parts.clear()), "no report was given");
        assert_eq!(refused(&|parts| drop(parts.drain(1..3))), "of 5 parts, these are missing: 2, 3");
        let twice = refused(&|parts| parts[3] = ("again.json".into(), parts[1].1.clone()));
        assert_eq!(twice, "part 2 of 5 is there twice: 2.json and again.json");
        let shard = |parts: &mut Parts, alter: &dyn Fn(&mut Shard)| {
            alter(parts[4].1.shard.as_mut().unwrap());
        };
        assert_eq!(
            refused(&|parts| shard(parts, &|shard| shard.count = 6)),
            "5.json is a part of 6, and 1.json one of 5"
        );
        assert!(refused(&|parts| shard(parts, &|shard| shard.of = "y".into())).contains("different runs"));
        assert!(refused(&|parts| shard(parts, &|shard| shard.index = 6)).contains("part 6 of 5"));
        assert!(refused(&|parts| shard(parts, &|shard| shard.index = 0)).contains("part 0 of 5"));
        assert!(refused(&|parts| parts[2].1.shard = None).contains("without --shard"));
        let huge = refused(&|parts| {
            for (_, report) in parts {
                report.shard.as_mut().unwrap().count = usize::MAX;
            }
        });
        assert!(huge.contains("missing: 6, 7,") && huge.ends_with(" more"), "{huge}");
        let released = refused(&|parts| parts[4].1.kernels[1].release = "7.1.2".into());
        assert!(released.contains("7.1 (Linux 7.1.2, dialect 7.1)"), "{released}");
        assert!(released.contains("7.1 (Linux 7.1.1, dialect 7.1)"), "{released}");
        refused(&|parts| drop(parts[4].1.kernels.pop()));
        refused(&|parts| parts[4].1.kernels[0].dialect_forced = true);
        let both = refused(&|parts| {
            let row = parts[0].1.kernels[1].rows[0].clone();
            parts[4].1.kernels[1].rows.push(row);
        });
        assert_eq!(both, "0.o/p4 is in 1.json and in 5.json, for kernel 7.1: it must be in one part only");
    }

    #[test]
    fn what_one_part_did_not_do_the_whole_has_not() {
        let mut parts = parts(2);
        parts[1].1.incomplete = Some("the run was interrupted".into());
        parts[1].1.kernels[0].accel = "kvm".into();
        let merged = merge(parts).unwrap();
        assert_eq!(merged.incomplete.as_deref(), Some("2.json: the run was interrupted"));
        assert_eq!(merged.kernels[0].accel, "kvm+tcg");
    }
}
