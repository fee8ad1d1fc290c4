//! Dealing the programs of a run out to several machines that know nothing of each other.
//!
//! Each computes the same deal from the same inputs and keeps its own part. Objects are dealt whole where that comes
//! out even, because opening one is a good part of the work; an object that is larger than a fair share, or the
//! largest where there are fewer objects than parts, is split by its programs. The costliest goes first, to the part
//! that has least. So no part is empty as long as there are as many programs as parts.

use super::inputs;
use anyhow::{Context, Result, bail};
use clap::Args;
use livediff::{
    diff::Status,
    report::{self, Row},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    str::FromStr,
};

/// The flags, for every subcommand that runs programs in kernels.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ShardFlags {
    /// Only the I-th of N parts of the programs, I from 1 to N. Every program is in exactly one part, the same on every
    /// machine. `livediff merge` puts the reports together [default: JOB_COMPLETION_INDEX, counted from 0, and
    /// JOB_COMPLETIONS in the environment, else everything].
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,

    /// Balance the parts by what the programs cost in an earlier run: its JSON report, the same one for every part.
    /// Programs that are not in it, and all without it, count by their size.
    #[arg(long, value_name = "FILE")]
    pub(crate) costs: Option<PathBuf>,
}

impl ShardFlags {
    /// For a subcommand whose reports cannot be put together: parts that are asked for are an error, and those of the
    /// environment are not looked at.
    pub(crate) fn refuse(&mut self, subcommand: &str) -> Result<()> {
        if self.shard.is_some() || self.costs.is_some() {
            bail!(
                "`{subcommand}` does everything at once: there is no --shard and no --costs, because `livediff merge` \
                 puts reports of `diff` together only"
            );
        }
        self.shard = Some(Shard { index: 1, count: 1 });
        Ok(())
    }

    /// The part that is wanted, and what parts are balanced by; nothing if everything is.
    pub(crate) fn part(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<(Shard, Costs)>> {
        let shard = Shard::find(self.shard, environment)?;
        match (shard, self.costs.as_deref().map(Costs::read).transpose()?) {
            (None, Some(_)) => bail!("--costs balances the parts of --shard, and there is no --shard"),
            (shard, costs) => Ok(shard.map(|shard| (shard, costs.unwrap_or_default()))),
        }
    }
}

/// Which part of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 1 to `count`.
    pub(crate) index: usize,
    pub(crate) count: usize,
}

/// Most parts.
const MOST: usize = 100_000;

impl Shard {
    fn new(index: usize, count: usize) -> Result<Shard, String> {
        match (index, count) {
            (_, 0) => Err("there must be at least one part".to_owned()),
            (_, count) if count > MOST => Err(format!("there can be {MOST} parts at most")),
            (index, count) if index == 0 || index > count => {
                Err(format!("of {count} parts, I is from 1 to {count}"))
            }
            (index, count) => Ok(Shard { index, count }),
        }
    }

    /// What the flag says, else what the environment of a Kubernetes Indexed Job says, else none.
    fn find(flag: Option<Shard>, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Shard>> {
        const INDEX: &str = "JOB_COMPLETION_INDEX";
        const COUNT: &str = "JOB_COMPLETIONS";
        let (index, count) = match (flag, environment(INDEX), environment(COUNT)) {
            (Some(shard), ..) => return Ok(Some(shard)),
            (None, None, None) => return Ok(None),
            (None, Some(index), Some(count)) => (index, count),
            (None, Some(_), None) => bail!(
                "{INDEX} is in the environment and {COUNT} is not: set it to the number of parts, or give --shard I/N"
            ),
            (None, None, Some(_)) => {
                bail!("{COUNT} is in the environment and {INDEX} is not: give --shard I/N")
            }
        };
        let number = |name: &str, text: &str| -> Result<usize> {
            text.parse().with_context(|| format!("{name} in the environment is no number: `{text}`"))
        };
        let (from_0, count) = (number(INDEX, &index)?, number(COUNT, &count)?);
        let shard = Shard::new(from_0.saturating_add(1), count).map_err(|reason| {
            anyhow::anyhow!("{INDEX} is {from_0}, counted from 0, and {COUNT} is {count}: {reason}")
        })?;
        Ok(Some(shard))
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (index, count) = numbers.ok_or("it is written I/N, such as 2/5")?;
        Shard::new(index, count)
    }
}

/// What programs cost, counted in lines of the log: printing and comparing them is most of the work.
#[derive(Debug, Default)]
pub(crate) struct Costs(HashMap<(String, String), u64>);

/// What a program costs beside its log.
const PROGRAM: u64 = 64;
/// What opening an object costs, and how many bytes of it cost one more.
const OPENING: u64 = 256;
const OPENING_BYTES: u64 = 128;
/// A program that the guest dies on is tried twice, with a new guest each time; one that hangs takes the time limit
/// twice.
const CRASHED: u64 = 100_000;
const TIMEOUT: u64 = 2_000_000;

impl Costs {
    /// The costs in the report of an earlier run, added up over its kernels.
    pub(crate) fn read(path: &Path) -> Result<Costs> {
        let what = || format!("--costs {}", path.display());
        let bytes = inputs::read_bounded(path).with_context(what)?;
        Ok(Costs::of(
            report::from_json(&bytes).with_context(what)?.kernels.iter().flat_map(|kernel| &kernel.rows),
        ))
    }

    fn of<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Costs {
        let mut costs = HashMap::<_, u64>::new();
        for row in rows {
            let more = match row.comparison.status {
                Status::Crashed => CRASHED,
                Status::Timeout => TIMEOUT,
                _ => 0,
            };
            let lines = u64::try_from(row.insns.saturating_add(row.comparison.lines)).unwrap_or(u64::MAX);
            let cost = costs.entry((row.object.clone(), row.program.clone())).or_default();
            *cost = cost.saturating_add(PROGRAM).saturating_add(lines).saturating_add(more);
        }
        Costs(costs)
    }

    /// What the program cost; if nobody knows, by its size in bytes: an instruction takes eight, and the log has about
    /// seven lines for each.
    fn program(&self, object: &str, program: &str, size: u64) -> u64 {
        let recorded = || self.0.get(&(object.to_owned(), program.to_owned())).copied();
        let known = if self.0.is_empty() { None } else { recorded() };
        // Bounded, so that sums do not overflow.
        known.unwrap_or(PROGRAM.saturating_add(size)).min(1 << 40)
    }
}

/// Something that can be dealt out: an object, or a file of captures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    /// Its path. No two have the same.
    pub(crate) name: String,
    /// Bytes in it.
    pub(crate) size: u64,
    /// Changes with its contents.
    pub(crate) contents: u64,
    /// The functions that may be programs, with their sizes in bytes; none if it cannot be split.
    pub(crate) programs: Vec<(String, u64)>,
}

/// What has been dealt to one of several machines.
#[derive(Debug)]
pub(crate) struct Share {
    shard: Shard,
    units: BTreeMap<String, Owners>,
    of: String,
}

/// To which parts a unit was dealt, counted from 1.
#[derive(Debug)]
struct Owners {
    /// The part that has all that is not named in `programs`.
    home: usize,
    programs: BTreeMap<String, usize>,
}

/// What a part has of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Nothing,
    Some,
    All,
}

impl Share {
    /// Deals the units out and keeps the part of `shard`.
    pub(crate) fn deal(shard: Shard, units: &[Unit], costs: &Costs) -> Share {
        let dealt = deal(units, shard.count, costs);
        let mut hash = Fnv::default();
        hash.number(shard.count as u64);
        for (unit, owners) in std::iter::zip(units, &dealt) {
            hash.text(&unit.name);
            hash.number(unit.contents);
            hash.number(owners.home as u64);
            for (program, owner) in &owners.programs {
                hash.text(program);
                hash.number(*owner as u64);
            }
        }
        let units = std::iter::zip(units, dealt).map(|(unit, owners)| (unit.name.clone(), owners)).collect();
        Share { shard, units, of: format!("{:016x}", hash.0) }
    }

    /// For the report.
    pub(crate) fn described(&self) -> report::Shard {
        report::Shard { index: self.shard.index, count: self.shard.count, of: self.of.clone() }
    }

    /// The program is in this part. What was not dealt out, which should not be, is in the first.
    pub(crate) fn has(&self, unit: &str, program: &str) -> bool {
        let owner = self.units.get(unit).map(|owners| owners.programs.get(program).unwrap_or(&owners.home));
        owner.copied().unwrap_or(1) == self.shard.index
    }

    /// What this part has of the unit.
    pub(crate) fn extent(&self, unit: &str) -> Extent {
        let Some(owners) = self.units.get(unit) else {
            return if self.shard.index == 1 { Extent::All } else { Extent::Nothing };
        };
        let mut all = owners.programs.values().chain([&owners.home]).map(|owner| *owner == self.shard.index);
        match (all.clone().all(|ours| ours), all.any(|ours| ours)) {
            (true, _) => Extent::All,
            (false, true) => Extent::Some,
            (false, false) => Extent::Nothing,
        }
    }

    /// This part has nothing.
    fn is_empty(&self) -> bool {
        self.units.keys().all(|unit| self.extent(unit) == Extent::Nothing)
    }

    /// Why this part has nothing, if that is so and others have something.
    pub(crate) fn why_empty(&self) -> Option<String> {
        let why = || format!("part {} is empty: there are fewer programs than parts", self.shard);
        (self.is_empty() && !self.units.is_empty()).then(why)
    }

    /// What people are told at the beginning, so that nobody takes a part for the whole.
    pub(crate) fn announced(&self) -> String {
        format!("Part {} of the programs; the others are for other machines.", self.shard)
    }
}

/// A piece of a unit: its cost, its programs, and the place of the unit.
struct Piece {
    cost: u64,
    unit: usize,
    programs: Vec<usize>,
}

fn deal(units: &[Unit], count: usize, costs: &Costs) -> Vec<Owners> {
    let opening = |unit: &Unit| OPENING + unit.size / OPENING_BYTES;
    let programs: Vec<Vec<u64>> = units
        .iter()
        .map(|unit| unit.programs.iter().map(|(name, size)| costs.program(&unit.name, name, *size)).collect())
        .collect();
    let whole: Vec<u64> = std::iter::zip(units, &programs)
        .map(|(unit, programs)| opening(unit) + programs.iter().sum::<u64>())
        .collect();
    let fair = (whole.iter().sum::<u64>() / count as u64).max(1);

    // How many pieces each unit is in.
    let most = |unit: usize| programs.get(unit).map_or(1, Vec::len).clamp(1, count);
    let mut pieces: Vec<usize> = whole
        .iter()
        .enumerate()
        .map(|(unit, cost)| usize::try_from(cost.div_ceil(fair)).unwrap_or(usize::MAX).clamp(1, most(unit)))
        .collect();
    while pieces.iter().sum::<usize>() < count {
        let size = |unit: usize, pieces: usize| whole.get(unit).map_or(0, |cost| cost / pieces as u64);
        let splittable = pieces.iter().enumerate().filter(|(unit, pieces)| **pieces < most(*unit));
        let Some((largest, _)) =
            splittable.max_by_key(|(unit, pieces)| (size(*unit, **pieces), Reverse(*unit)))
        else {
            break;
        };
        if let Some(pieces) = pieces.get_mut(largest) {
            *pieces += 1;
        }
    }

    let mut all: Vec<Piece> = Vec::new();
    for (unit, (number, programs)) in std::iter::zip(pieces, &programs).enumerate() {
        let opening = units.get(unit).map_or(0, opening);
        let bins = spread(programs, number);
        all.extend(bins.into_iter().map(|bin| {
            let cost = opening + bin.iter().filter_map(|at| programs.get(*at)).sum::<u64>();
            Piece { cost, unit, programs: bin }
        }));
    }
    let dealt = spread(&all.iter().map(|piece| piece.cost).collect::<Vec<_>>(), count);
    let mut owners: Vec<Owners> =
        units.iter().map(|_| Owners { home: 0, programs: BTreeMap::new() }).collect();
    for (part, pieces) in (1..).zip(dealt) {
        for piece in pieces.into_iter().filter_map(|at| all.get(at)) {
            let (Some(owners), Some(unit)) = (owners.get_mut(piece.unit), units.get(piece.unit)) else {
                continue;
            };
            // Its first piece is where it is at home, so that every unit is somewhere.
            if piece.programs.contains(&0) || piece.programs.is_empty() {
                owners.home = part;
            }
            let names = piece.programs.iter().filter_map(|at| unit.programs.get(*at));
            owners.programs.extend(names.map(|(name, _)| (name.clone(), part)));
        }
    }
    owners
}

/// The places of `costs` in `count` bins, of which as few as can be are empty: the costliest first, into the bin that
/// has least, of several the first.
fn spread(costs: &[u64], count: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by_key(|at| (costs.get(*at).copied().map(Reverse), *at));
    let mut bins: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut least: std::collections::BinaryHeap<Reverse<(u64, usize)>> =
        (0..count).map(|bin| Reverse((0, bin))).collect();
    for at in order {
        let Some(Reverse((load, bin))) = least.pop() else { break };
        if let Some(bin) = bins.get_mut(bin) {
            bin.push(at);
        }
        // Something that costs nothing takes its place all the same.
        least.push(Reverse((load + costs.get(at).copied().unwrap_or(0).max(1), bin)));
    }
    bins
}

/// FNV-1a with 64 bits: the same everywhere and always, which the hashes of the standard library do not promise.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(&[0]);
    }
}

/// A number that changes with the bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = Fnv::default();
    hash.bytes(bytes);
    hash.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_part_is_written_and_counted_from_1() {
        assert_eq!("2/5".parse(), Ok(Shard { index: 2, count: 5 }));
        assert_eq!("1/1".parse(), Ok(Shard { index: 1, count: 1 }));
        for wrong in ["0/5", "6/5", "5", "1/0", "a/b", "1/5/2", "-1/5", "", "1/99999999999"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_environment_counts_from_0_and_the_flag_wins() {
        let find = |flag: Option<&str>, index: Option<&str>, count: Option<&str>| {
            let environment = |name: &str| match name {
                "JOB_COMPLETION_INDEX" => index.map(str::to_owned),
                "JOB_COMPLETIONS" => count.map(str::to_owned),
                _ => None,
            };
            let shard = Shard::find(flag.map(|flag| flag.parse().unwrap()), environment);
            shard.map(|shard| shard.map(|shard| shard.to_string())).map_err(|error| error.to_string())
        };
        assert_eq!(find(None, None, None), Ok(None));
        assert_eq!(find(None, Some("0"), Some("3")), Ok(Some("1/3".into())));
        assert_eq!(find(None, Some("2"), Some("3")), Ok(Some("3/3".into())));
        assert_eq!(find(Some("1/4"), Some("2"), Some("3")), Ok(Some("1/4".into())));
        assert_eq!(find(Some("1/4"), Some("nonsense"), None), Ok(Some("1/4".into())));
        // Half of it, or nonsense, is not to be taken for a whole run.
        for (index, count) in [
            (Some("1"), None),
            (None, Some("3")),
            (Some("3"), Some("3")),
            (Some("0"), Some("0")),
            (Some("x"), Some("3")),
        ] {
            assert!(find(None, index, count).is_err(), "{index:?} {count:?}");
        }
    }

    #[test]
    fn who_has_no_parts_ignores_the_environment() {
        // What Kubernetes sets in every Indexed Job.
        let environment = |name: &str| (name == "JOB_COMPLETION_INDEX").then(|| "1".to_owned());
        let mut flags = ShardFlags::default();
        assert!(flags.part(environment).is_err());
        flags.refuse("compare").unwrap();
        assert_eq!(flags.part(environment).unwrap().map(|(shard, _)| shard.count), Some(1));
        let asked = ShardFlags { shard: Some(Shard { index: 1, count: 2 }), ..ShardFlags::default() };
        assert!(asked.clone().refuse("compare").is_err());
        assert!(asked.part(environment).unwrap().is_some());
        let mut costs = ShardFlags { costs: Some("costs.json".into()), ..ShardFlags::default() };
        assert!(costs.refuse("compare").is_err());
    }

    fn unit(name: &str, sizes: &[u64]) -> Unit {
        let programs = sizes.iter().enumerate().map(|(at, size)| (format!("p{at}"), *size)).collect();
        Unit { name: name.into(), size: 4096, contents: hash(name.as_bytes()), programs }
    }

    fn some() -> Vec<Unit> {
        let mut units: Vec<Unit> =
            (0..9).map(|at| unit(&format!("{at}.o"), &vec![at * 80; at as usize])).collect();
        units.push(unit("large.o", &[800; 100]));
        units.push(unit("broken.o", &[]));
        units
    }

    fn shares(units: &[Unit], count: usize, costs: &Costs) -> Vec<Share> {
        (1..=count).map(|index| Share::deal(Shard { index, count }, units, costs)).collect()
    }

    #[test]
    fn every_program_is_in_exactly_one_part() {
        let units = some();
        let pieces: usize = units.iter().map(|unit| unit.programs.len().max(1)).sum();
        for count in [1, 2, 3, 5, 17, 100, pieces, pieces + 1, 1000] {
            let shares = shares(&units, count, &Costs::default());
            let of: BTreeSet<String> = shares.iter().map(|share| share.described().of).collect();
            assert_eq!(of.len(), 1, "all parts are of one deal");
            for unit in &units {
                let names = unit.programs.iter().map(|(name, _)| name.as_str());
                // Names that nobody knew of are somewhere too.
                for program in names.chain(["", "unheard of"]) {
                    let owners = shares.iter().filter(|share| share.has(&unit.name, program)).count();
                    assert_eq!(owners, 1, "{}/{program} of {count} parts", unit.name);
                }
                for share in &shares {
                    let some = unit.programs.iter().any(|(name, _)| share.has(&unit.name, name));
                    assert_eq!(
                        share.extent(&unit.name) != Extent::Nothing,
                        some || share.has(&unit.name, "")
                    );
                }
            }
            let empty = shares.iter().filter(|share| share.is_empty()).count();
            assert_eq!(empty, count.saturating_sub(pieces), "{count} parts");
        }
    }

    /// The cost of each part, openings included.
    fn loads(units: &[Unit], shares: &[Share], costs: &Costs) -> Vec<u64> {
        let load = |share: &Share| -> u64 {
            let of_unit = |unit: &Unit| {
                let ours = unit.programs.iter().filter(|(name, _)| share.has(&unit.name, name));
                let programs: u64 = ours.map(|(name, size)| costs.program(&unit.name, name, *size)).sum();
                let opened = share.extent(&unit.name) != Extent::Nothing;
                programs + if opened { OPENING + unit.size / OPENING_BYTES } else { 0 }
            };
            units.iter().map(of_unit).sum()
        };
        shares.iter().map(load).collect()
    }

    #[test]
    fn parts_cost_about_the_same() {
        let units = some();
        for count in [2, 3, 5, 8] {
            let loads = loads(&units, &shares(&units, count, &Costs::default()), &Costs::default());
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            assert!(most * 10 <= least * 12, "{count} parts: {loads:?}");
        }
        // Objects that are dealt whole where that is even are opened once.
        let even: Vec<Unit> = (0..10).map(|at| unit(&format!("{at}.o"), &[100; 20])).collect();
        let shares = shares(&even, 5, &Costs::default());
        for share in &shares {
            assert!(even.iter().all(|unit| share.extent(&unit.name) != Extent::Some));
        }
    }

    #[test]
    fn what_was_recorded_counts_more_than_sizes() {
        let units = vec![unit("a.o", &[80; 4]), unit("b.o", &[80; 4])];
        let row = |object: &str, program: &str, status| {
            let mut row = Row::not_loaded(object, program, status, "");
            row.insns = 10;
            row
        };
        // One program hangs: it is alone in its part.
        let rows = [
            row("a.o", "p1", Status::Timeout),
            row("a.o", "p2", Status::Match),
            row("b.o", "p0", Status::Match),
        ];
        let costs = Costs::of(&rows);
        assert_eq!(costs.program("a.o", "p2", 9999), PROGRAM + 10);
        assert_eq!(costs.program("a.o", "p3", 80), PROGRAM + 80);
        let shares = shares(&units, 2, &costs);
        let with = shares.iter().position(|share| share.has("a.o", "p1")).unwrap();
        let others = [("a.o", "p0"), ("a.o", "p2"), ("a.o", "p3"), ("b.o", "p0"), ("b.o", "p3")];
        assert!(others.iter().all(|(object, program)| !shares[with].has(object, program)));
        let by_size = Share::deal(Shard { index: 1, count: 2 }, &units, &Costs::default());
        assert_ne!(by_size.described().of, shares[0].described().of, "another deal is another run");
    }

    #[test]
    fn other_inputs_are_another_deal() {
        let of = |units: &[Unit]| {
            Share::deal(Shard { index: 1, count: 2 }, units, &Costs::default()).described().of
        };
        let units = some();
        let mut other = some();
        other[3].contents += 1;
        assert_ne!(of(&units), of(&other));
        other = some();
        other[3].programs[0].0 = "q".into();
        assert_ne!(of(&units), of(&other));
        assert_eq!(of(&units), of(&some()));
    }
}
