//! How fast the analyzer is, and how its cost grows.
//!
//! ```text
//! cargo bench --bench analyzer                         both tables, the throughput over corpus/captures
//! cargo bench --bench analyzer -- throughput PATH...   programs, instructions and log bytes per second over captures
//! cargo bench --bench analyzer -- growth               time and memory against size, with fitted exponents
//! cargo bench --bench analyzer -- silent PATH...       one line: what one pass over captures takes, events off
//! ```
//!
//! `scripts/bench` runs it beside what else there is; with `silent`, in a guest.
//!
//! Times are medians over repeated runs, taken in turn, because a machine that does other work besides slows all of
//! them alike. Memory is the peak of a process of its own for each size, less what it held before the analysis.
#![forbid(unsafe_code)]

use livediff::{
    Dialect,
    log::{self, Silent},
    verifier::{self, Stack},
};
use livediff_capture::{
    Capture, Insn, Loaded, file,
    insn::{SRC_X, alu, class, jmp, mode, pseudo, size},
};
use std::{
    env, fs,
    hint::black_box,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// Runs of each measurement.
const RUNS: usize = 5;
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    // cargo adds --bench of its own accord.
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [] => throughput(&[PathBuf::from("corpus/captures")]).and_then(|()| growth()),
        ["throughput", paths @ ..] if !paths.is_empty() => {
            throughput(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
        }
        ["growth"] => growth(),
        ["silent", paths @ ..] if !paths.is_empty() => {
            silent(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
        }
        ["one", shape, size] => one(shape, size),
        _ => Err("usage: analyzer [throughput PATH... | growth | silent PATH...]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("analyzer: {error}");
            ExitCode::from(2)
        }
    }
}

fn median<T: Ord + Copy>(mut of: Vec<T>) -> Option<T> {
    of.sort_unstable();
    of.get(of.len() / 2).copied()
}

/// A program as a kernel of a dialect saw it.
type Input = (Loaded, Dialect);

/// The programs of all captures in the paths that the model can analyse. What a kernel refused before liveness tells
/// nothing about liveness.
fn programs(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut programs = Vec::new();
    for path in paths {
        collect(path, &mut programs)?;
    }
    programs.retain(|(loaded, dialect)| is_measured(loaded, *dialect));
    if programs.is_empty() {
        return Err("there are no captures that the model can analyse".into());
    }
    Ok(programs)
}

/// Analyses every program once, without events.
fn analyze_all(programs: &[Input]) -> Duration {
    let started = Instant::now();
    for (loaded, dialect) in programs {
        black_box(verifier::analyze(loaded, *dialect, &mut Silent).is_ok());
    }
    started.elapsed()
}

/// Prints what all programs take without events, for `scripts/bench` to read. Once the programs were analysed to see
/// whether they can be, so nothing is done for the first time.
fn silent(paths: &[PathBuf]) -> Result<()> {
    let programs = programs(paths)?;
    let insns: usize = programs.iter().map(|(loaded, _)| loaded.insns.len()).sum();
    let elapsed = median((0..RUNS).map(|_| analyze_all(&programs)).collect()).unwrap_or_default();
    println!("silent {} programs {insns} insns {} ns", programs.len(), elapsed.as_nanos());
    Ok(())
}

/// Analyses every capture in the paths, with and without events.
fn throughput(paths: &[PathBuf]) -> Result<()> {
    let programs = programs(paths)?;
    let insns: usize = programs.iter().map(|(loaded, _)| loaded.insns.len()).sum();
    let (mut off, mut on, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        off.push(analyze_all(&programs));
        let started = Instant::now();
        bytes = programs
            .iter()
            .map(|(loaded, dialect)| black_box(log::section(loaded, *dialect)).text.len())
            .sum();
        on.push(started.elapsed());
    }
    println!(
        "{} programs, {insns} instructions, {bytes} bytes of log; medians of {RUNS} runs",
        programs.len()
    );
    println!("{:<12}{:>14}{:>14}{:>14}", "events", "programs/s", "insns/s", "log MB/s");
    for (name, times, bytes) in [("off", off, 0), ("on", on, bytes)] {
        let seconds = median(times).unwrap_or_default().as_secs_f64();
        let rate = |count: usize| count as f64 / seconds;
        println!("{name:<12}{:>14.0}{:>14.0}{:>14.1}", rate(programs.len()), rate(insns), rate(bytes) / 1e6);
    }
    Ok(())
}

/// What a kernel refused before liveness tells nothing about liveness, nor does a generation of which only live registers
/// are computed: both would be counted as fast.
fn is_measured(loaded: &Loaded, dialect: Dialect) -> bool {
    verifier::analyze(loaded, dialect, &mut Silent)
        .is_ok_and(|analysis| !matches!(analysis.stack, Stack::Observed))
}

fn collect(path: &Path, programs: &mut Vec<Input>) -> Result<()> {
    let name = || path.display().to_string();
    if path.is_dir() {
        let mut entries = fs::read_dir(path)
            .map_err(|error| format!("{}: {error}", name()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        for entry in entries {
            let is_capture = entry.extension().is_some_and(|extension| extension == file::EXTENSION);
            if entry.is_dir() || is_capture {
                collect(&entry, programs)?;
            }
        }
        return Ok(());
    }
    // What the kernel said is not kept: it is much.
    let input = |capture: Capture| Some((capture.loaded, Dialect::from_id(&capture.kernel.dialect)?));
    programs.extend(file::read(path)?.into_iter().filter_map(input));
    Ok(())
}

/// What one process of [`growth`] found.
#[derive(Clone, Copy)]
struct Cost {
    nanoseconds: u64,
    bytes: u64,
}

/// Prints time and memory for each instruction, for each shape and size.
fn growth() -> Result<()> {
    println!(
        "\ncost of one instruction by size (events off; medians of {RUNS} runs), and the exponent e of size^e"
    );
    println!("{:<16}{:>12}{:>12}{:>12}{:>12}{:>8}", "shape", "1,000", "10,000", "100,000", "1,000,000", "e");
    for (name, _) in SHAPES {
        let mut runs: [Vec<Cost>; SIZES.len()] = Default::default();
        for _ in 0..RUNS {
            for (costs, size) in runs.iter_mut().zip(SIZES) {
                costs.push(measured(name, size)?);
            }
        }
        let of = |cost: fn(&Cost) -> u64| -> Vec<f64> {
            let medians = runs.iter().map(|costs| median(costs.iter().map(cost).collect()).unwrap_or(0));
            medians.map(|cost| cost as f64).collect()
        };
        for (what, costs) in [("ns", of(|cost| cost.nanoseconds)), ("bytes", of(|cost| cost.bytes))] {
            print!("{:<16}", format!("{name}, {what}"));
            for (cost, size) in costs.iter().zip(SIZES) {
                print!("{:>12.0}", cost / size as f64);
            }
            println!("{:>8.2}", exponent(&costs));
        }
    }
    Ok(())
}

/// The slope of log(cost) over log(size), by least squares. The smallest size is left out: there the program's own
/// start counts.
fn exponent(costs: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> = SIZES
        .iter()
        .zip(costs)
        .skip(1)
        .map(|(size, cost)| ((*size as f64).ln(), cost.max(1.0).ln()))
        .collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    covariance / variance
}

fn measured(shape: &str, size: usize) -> Result<Cost> {
    let output = Command::new(env::current_exe()?).args(["one", shape, &size.to_string()]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut words = said.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(nanoseconds)), Some(Ok(bytes))) if output.status.success() => {
            Ok(Cost { nanoseconds, bytes })
        }
        _ => Err(format!("{shape}, {size}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Analyses one program and prints the nanoseconds and the bytes that it took.
fn one(shape: &str, size: &str) -> Result<()> {
    let (_, make) = SHAPES.iter().find(|(name, _)| *name == shape).ok_or("no such shape")?;
    let loaded = Loaded { insns: make(size.parse()?), prog_type: 1, ..Loaded::default() };
    let before = memory("VmRSS")?;
    let started = Instant::now();
    let analysis =
        verifier::analyze(&loaded, Dialect::V7_2, &mut Silent).map_err(|error| error.to_string())?;
    let elapsed: Duration = started.elapsed();
    black_box(&analysis);
    println!("{} {}", elapsed.as_nanos(), memory("VmHWM")?.saturating_sub(before));
    Ok(())
}

/// Bytes, from the process's own status.
fn memory(field: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: u64 =
        line.and_then(|line| line.split_whitespace().next()).ok_or("no memory figures")?.parse()?;
    Ok(kib * 1024)
}

type Shape = fn(usize) -> Vec<Insn>;

const SHAPES: [(&str, Shape); 4] = [
    ("straight line", straight_line),
    ("nested loops", nested_loops),
    ("call chains", call_chains),
    ("many spills", many_spills),
];

const fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst_reg, src_reg, off, imm }
}

const EXIT: Insn = insn(class::JMP | jmp::EXIT, 0, 0, 0, 0);

fn mov(dst: u8, imm: i32) -> Insn {
    insn(class::ALU64 | alu::MOV, dst, 0, 0, imm)
}

fn mov_reg(dst: u8, src: u8) -> Insn {
    insn(class::ALU64 | alu::MOV | SRC_X, dst, src, 0, 0)
}

fn add(dst: u8, imm: i32) -> Insn {
    insn(class::ALU64 | alu::ADD, dst, 0, 0, imm)
}

fn store(off: i16, src: u8) -> Insn {
    insn(class::STX | mode::MEM | size::DW, 10, src, off, 0)
}

fn load(dst: u8, off: i16) -> Insn {
    insn(class::LDX | mode::MEM | size::DW, dst, 10, off, 0)
}

/// The offset of a slot that changes with `i`.
fn slot(i: usize) -> i16 {
    -8 * (1 + (i % 64) as i16)
}

/// `size` instructions: `unit`, over and over, with what is left filled up, and the exit.
fn repeated(size: usize, start: &[Insn], unit: impl Fn(usize) -> Vec<Insn>) -> Vec<Insn> {
    let mut insns = start.to_vec();
    for i in 0.. {
        let unit = unit(i);
        if insns.len() + unit.len() + 2 > size {
            break;
        }
        insns.extend(unit);
    }
    insns.resize(size.saturating_sub(1), mov(0, 0));
    insns.push(EXIT);
    insns
}

fn straight_line(size: usize) -> Vec<Insn> {
    repeated(size, &[mov(0, 0), mov(1, 1)], |i| {
        vec![store(slot(i), 1), add(1, 3), load(2, slot(i)), mov(3, 4)]
    })
}

/// Nests of eight loops, one after another.
fn nested_loops(size: usize) -> Vec<Insn> {
    repeated(size, &[mov(0, 0), mov(1, 1)], |i| {
        const DEPTH: usize = 8;
        let mut unit = vec![mov_reg(2, 10)];
        let mut heads = Vec::new();
        for level in 0..DEPTH {
            heads.push(unit.len());
            unit.extend([add(2, -8), store(slot(i + level), 1)]);
        }
        while let Some(head) = heads.pop() {
            unit.push(load(3, slot(i + heads.len())));
            let back = head as i64 - unit.len() as i64 - 1;
            unit.push(insn(class::JMP | jmp::JNE, 1, 0, back as i16, unit.len() as i32));
        }
        unit
    })
}

/// As many subprograms as a call chain may have, each of which gets a pointer into the first one's frame.
fn call_chains(size: usize) -> Vec<Insn> {
    const FRAMES: usize = 15;
    let each = size / FRAMES;
    let mut insns = Vec::new();
    for depth in 0..FRAMES {
        let last = depth == FRAMES - 1;
        let entry = if depth == 0 { mov_reg(1, 10) } else { mov_reg(6, 1) };
        let mut subprog = repeated(each, &[entry, mov(0, 0), mov(7, 1)], |i| {
            vec![store(slot(i), 7), add(7, 3), load(2, slot(i))]
        });
        // In the place of the first filler: the call of the subprogram that follows.
        if let (false, Some(call)) = (last, subprog.get_mut(1)) {
            *call = insn(class::JMP | jmp::CALL, 0, pseudo::CALL, 0, each as i32 - 2);
        }
        insns.extend(subprog);
    }
    insns
}

/// Pointers into the frame, spilled and filled.
fn many_spills(size: usize) -> Vec<Insn> {
    repeated(size, &[mov(0, 0)], |i| {
        vec![mov_reg(1, 10), add(1, slot(i).into()), store(slot(i * 7), 1), load(2, slot(i * 7))]
    })
}
