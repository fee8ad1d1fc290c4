//! The book says what is so: every command that it shows is run, every link leads somewhere.
//!
//! ```text
//! ```console      commands after `$ `, continued with `> `, and all that they print: run by sh in the folder of the
//!                 repository, with `livediff` the program under test and an empty cache. A line `...` stands for any
//!                 lines. Times `[0.1 s]` and blanks at ends do not count. Nothing in them may need a kernel.
//! ```console,live the same with the kernel of series 7.2 that tests use, where `--kernel 7.2` stands; skipped, loudly,
//!                 where there is none
//! ```sh           commands that need a kernel, without their output: that the subcommands and flags exist is checked
//! ```rust         compiled and run as a documentation test of the library (src/lib.rs)
//! ```text, ```c   no commands
//! ```
//! Output that changes makes a test fail, which shows what it is now.
//!
//! Of the other documents, README.md and so on, nothing is run; but subcommands and flags that they name must exist, and
//! so must files and what links lead to.

use livediff::{Dialect, capture::file, loader};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The examples, as `cargo run --example` would start them.
#[allow(dead_code)]
#[path = "../examples/compare_log.rs"]
mod compare_log;
#[allow(dead_code)]
#[path = "../examples/live_slots.rs"]
mod live_slots;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/skipped.rs"]
mod skipped;

const SRC: &str = "book/src";

/// A part of a chapter between two fences.
struct Block {
    /// The word after the fence.
    kind: String,
    /// The line of its first line, counted from 1.
    line: usize,
    lines: Vec<String>,
}

/// A command and what the book says that it prints.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    output: Vec<String>,
}

fn chapter(name: &str) -> String {
    read(&Path::new(SRC).join(name))
}

/// What else there is to read.
const OTHERS: [&str; 3] = ["README.md", "CONTRIBUTING.md", "corpus/README.md"];

/// The paths of all chapters and of the other documents.
fn documents() -> impl Iterator<Item = PathBuf> {
    let chapters = chapters().into_iter().map(|name| Path::new(SRC).join(name));
    chapters.chain(OTHERS.map(PathBuf::from))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of chapters, without their folder.
fn chapters() -> BTreeSet<String> {
    let entries = fs::read_dir(SRC).expect("the book is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect()
}

/// The blocks of a chapter, and its text without them.
fn blocks(text: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => {
                open = Some(Block { kind: kind.to_owned(), line: at + 2, lines: Vec::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    (blocks, prose)
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
            (Some(command), ..) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
            (None, Some(more), Some(step)) if step.output.is_empty() && step.command.ends_with('\\') => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            (None, _, Some(step)) => step.output.push(line.clone()),
            (None, _, None) => panic!("line {}: output before the first command", block.line),
        }
    }
    steps
}

/// A line with what may differ put aside: times, from run to run, and blanks at its end, which editors remove.
fn timeless(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        out.push('[');
        let time = after.split_once(" s]").filter(|(number, _)| number.parse::<f64>().is_ok());
        rest = match time {
            Some((_, after)) => {
                out.push_str("_ s]");
                after
            }
            None => after,
        };
    }
    (out + rest).trim_end().to_owned()
}

/// The lines are those that are shown, `...` standing for any. Empty lines at the end do not count.
fn fits(shown: &[String], said: &[String]) -> bool {
    fn until_last(lines: &[String]) -> &[String] {
        &lines[..lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1)]
    }
    fits_exactly(until_last(shown), until_last(said))
}

fn fits_exactly(shown: &[String], said: &[String]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=said.len()).any(|skipped| fits_exactly(rest, &said[skipped..]))
        }
        Some((line, rest)) => said
            .split_first()
            .is_some_and(|(first, others)| timeless(line) == timeless(first) && fits_exactly(rest, others)),
    }
}

/// Runs the commands of one block in one shell, and returns what each printed, on either output.
fn run(steps: &[Step], home: &Path, cache: &Path) -> Vec<Vec<String>> {
    const END: &str = "@@ end of a command @@";
    if let [Step { command, .. }] = steps
        && let Some(example) = command.strip_prefix("cargo run -q --example ")
    {
        return vec![run_example(example)];
    }
    let mut script = String::from("exec 2>&1\n");
    for step in steps {
        // What follows may ask for the status of what came before.
        script.push_str(&format!("{}\nstatus=$?; echo '{END}'; (exit $status)\n", step.command));
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_livediff")).parent().expect("a folder");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("HOME", home)
        .env("XDG_CACHE_HOME", cache)
        .env("TMPDIR", home)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    let said = String::from_utf8(output.stdout).expect("text");
    let mut outputs: Vec<Vec<String>> =
        said.split(&format!("{END}\n")).map(|said| said.lines().map(str::to_owned).collect()).collect();
    let rest = outputs.pop();
    assert_eq!(rest, Some(Vec::new()), "after the last command");
    outputs
}

fn run_example(command: &str) -> Vec<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let mut out = Vec::new();
    let failed = match words.as_slice() {
        ["live_slots", "--", args @ ..] => live_slots::run(args, &mut out).err(),
        ["compare_log", "--", args @ ..] => compare_log::run(args, &mut out).err(),
        _ => panic!("no such example: {command}"),
    };
    assert!(failed.is_none(), "{command}: {failed:?}");
    String::from_utf8(out).expect("text").lines().map(str::to_owned).collect()
}

/// Runs the blocks of a kind, with this folder for caches or an empty one, and with their commands altered so, and says what prints something else than is shown. Returns how
/// many commands were run.
fn check(kind: &str, cache: Option<&Path>, alter: &dyn Fn(&str) -> String) -> usize {
    let (mut wrong, mut checked) = (String::new(), 0);
    for name in chapters() {
        for block in blocks(&chapter(&name)).0.iter().filter(|block| block.kind == kind) {
            let home = tempfile::tempdir().expect("a temporary folder");
            let mut steps = steps(block);
            steps.iter_mut().for_each(|step| step.command = alter(&step.command));
            let empty = home.path().join(".cache");
            let outputs = run(&steps, home.path(), cache.unwrap_or(&empty));
            assert_eq!(steps.len(), outputs.len(), "{SRC}/{name}:{}", block.line);
            for (step, said) in std::iter::zip(&steps, outputs) {
                checked += 1;
                if !fits(&step.output, &said) {
                    let said = said.join("\n");
                    wrong.push_str(&format!("{SRC}/{name}:{}: $ {}\n{said}\n\n", block.line, step.command));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these print something else than the book shows:\n{wrong}");
    checked
}

#[test]
fn commands_print_what_the_book_shows() {
    let checked = check("console", None, &str::to_owned);
    assert!(checked >= 30, "only {checked} commands");
}

/// Of a kernel of series 7.2 that is there.
#[test]
fn commands_with_a_kernel_print_what_the_book_shows() {
    let Some(kernel) = kernel::kernel("the live part of the book") else { return };
    let path = kernel.to_str().expect("a path of text").replace('\'', r"'\''");
    // Where it is remembered whether guests can be run by the processor; to find out takes a while.
    let cache = livediff_harness::cache_root().expect("a cache");
    let checked = check("console,live", cache.parent(), &|command| {
        assert!(command.contains("--kernel 7.2"), "{command}");
        command.replace("--kernel 7.2", &format!("--kernel '{path}'"))
    });
    assert!(checked >= 2, "only {checked} commands");
}

/// The commands of livediff that a document names, in blocks and in the text.
fn commands(text: &str) -> Vec<String> {
    let (blocks, prose) = blocks(text);
    let mut found = Vec::new();
    for block in blocks.iter().filter(|block| block.kind != "rust" && block.kind != "c") {
        let all = block.kind == "sh" || block.kind == "yaml";
        found.extend(block.lines.iter().filter(|line| all || line.starts_with("$ ")).cloned());
    }
    // In the text a command may be broken into lines.
    let code =
        prose.split('`').skip(1).step_by(2).map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
    found.extend(code.filter(|code| PROGRAM.iter().any(|program| code.starts_with(program))));
    // One line may have several. What comes before or behind one, and comments, are no part of it.
    let of_line = |line: &String| -> Vec<String> {
        let line = line.replace(PROGRAM[1], PROGRAM[0]);
        let parts = line.split(" #").next().unwrap_or_default().split(PROGRAM[0]).skip(1);
        parts.map(|part| part.split([')', '|', ';', '>']).next().unwrap_or_default().to_owned()).collect()
    };
    found.iter().flat_map(of_line).collect()
}

/// What a command of livediff begins with.
const PROGRAM: [&str; 2] = ["livediff ", "cargo run --release -- "];

/// What needs a kernel cannot be run here, but that there is such a subcommand with such flags can be seen.
#[test]
fn commands_that_are_named_exist() {
    let help = |subcommand: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_livediff"));
        let output = program.args(subcommand).arg("--help").output().expect("the program runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut helps: BTreeMap<Vec<String>, Option<String>> = BTreeMap::new();
    let mut checked = 0;
    for path in documents() {
        for command in commands(&read(&path)) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let levels = match words.as_slice() {
                ["corpus", "import", ..] => 3,
                ["corpus" | "kernel", ..] => 2,
                _ => 1,
            };
            let is_name = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_');
            let subcommand: Vec<&str> = words
                .iter()
                .take(levels)
                .take_while(is_name)
                .filter(|word| !word.starts_with('-'))
                .copied()
                .collect();
            let key = subcommand.iter().map(|&word| word.to_owned()).collect();
            let help = helps.entry(key).or_insert_with(|| help(&subcommand));
            let Some(help) = help else { panic!("{}: `{command}`: no such subcommand", path.display()) };
            let known: BTreeSet<&str> =
                help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
            for flag in words.iter().filter(|word| word.starts_with('-') && **word != "-") {
                let flag = flag.split('=').next().unwrap_or_default();
                assert!(known.contains(flag), "{}: `{command}`: there is no {flag}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked >= 100, "only {checked} flags");
}

/// Every fence says what it is, so that no example is passed over by accident.
#[test]
fn every_block_is_of_a_known_kind() {
    for name in chapters() {
        for block in blocks(&chapter(&name)).0 {
            let known = ["console", "console,live", "sh", "rust", "text", "c"].contains(&block.kind.as_str());
            assert!(known, "{SRC}/{name}:{}: a block `{}`", block.line, block.kind);
            let has_commands = block.lines.iter().any(|line| line.starts_with("$ "));
            assert_eq!(has_commands, block.kind.starts_with("console"), "{SRC}/{name}:{}", block.line);
        }
    }
}

/// Rust blocks are compiled in one place, which must know each chapter that has some.
#[test]
fn every_chapter_with_rust_is_a_documentation_test() {
    let lib = fs::read_to_string("src/lib.rs").expect("the library");
    for name in chapters() {
        let has_rust = blocks(&chapter(&name)).0.iter().any(|block| block.kind == "rust");
        let included = lib.contains(&format!("include_str!(\"../{SRC}/{name}\")"));
        assert_eq!(has_rust, included, "{name}");
    }
}

/// The targets of `[text](target)` in a text without blocks.
fn links(prose: &str) -> Vec<String> {
    let after = prose.split("](").skip(1);
    after.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// How mdBook names the place of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(prose: &str) -> BTreeSet<String> {
    prose
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn the_summary_names_every_chapter_once() {
    let named = links(&chapter("SUMMARY.md"));
    let unique: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(named.len(), unique.len(), "a chapter is named twice: {named:?}");
    assert_eq!(unique, chapters());
}

#[test]
fn links_lead_somewhere() {
    let mut checked = 0;
    for document in documents().chain([Path::new(SRC).join("SUMMARY.md")]) {
        let shown = document.display();
        for link in links(&blocks(&read(&document)).1) {
            if link.starts_with("https://") {
                continue;
            }
            checked += 1;
            let (file, place) =
                link.split_once('#').map_or((link.as_str(), None), |(file, place)| (file, Some(place)));
            let target = if file.is_empty() { document.clone() } else { document.with_file_name(file) };
            assert!(target.exists(), "{shown}: {link}: there is no {}", target.display());
            // mdBook copies nothing from outside of its folder.
            assert!(!file.contains(".."), "{shown}: {link} leads out of the book");
            if let Some(place) = place {
                let places = anchors(&blocks(&read(&target)).1);
                assert!(places.contains(place), "{shown}: {link}: no such heading");
            }
        }
    }
    assert!(checked >= 20, "only {checked} links");
}

/// Files that documents name in code, such as `src/verifier/cfg.rs`, are there.
#[test]
fn files_that_are_named_are_there() {
    let mut checked = 0;
    for document in documents() {
        for code in blocks(&read(&document)).1.split('`').skip(1).step_by(2) {
            let folder = code.split('/').next().unwrap_or_default();
            let ours = [
                "src", "tests", "harness", "corpus", "book", "examples", "scripts", "benches", "fuzz",
                "contrib",
            ];
            // Names in capitals stand for others; `book/book` is what mdBook writes.
            let stands_for_others = ["THEME", "TARGET", "NAME"].iter().any(|word| code.contains(word));
            if !code.contains('/')
                || !ours.contains(&folder)
                || code.contains(['*', ' ', '<'])
                || stands_for_others
                || code.starts_with("book/book/")
            {
                continue;
            }
            checked += 1;
            assert!(Path::new(code).exists(), "{}: there is no {code}", document.display());
        }
    }
    assert!(checked >= 20, "only {checked} files");
}

/// What kernels said is of these very programs: of each, one kernel of every dialect.
#[test]
fn captures_are_of_the_programs_in_the_object() {
    const OBJECT: &str = "book/examples/story.bpf.o";
    let bytes = fs::read(OBJECT).expect("the object");
    let programs = loader::open(OBJECT, &bytes, None).expect("it can be opened");
    for program in &programs {
        let path = PathBuf::from(format!("book/captures/{}.capture", program.name));
        let captures = file::read(&path).expect("captures");
        let dialects: BTreeSet<&str> = captures.iter().map(|capture| &*capture.kernel.dialect).collect();
        assert_eq!(dialects, Dialect::ALL.iter().map(|dialect| dialect.id()).collect(), "{}", path.display());
        let broken = Path::new("book/broken").join(format!("{}.capture", program.name));
        let broken = if broken.exists() { file::read(&broken).expect("captures") } else { Vec::new() };
        for capture in captures.iter().chain(&broken) {
            assert_eq!((&*capture.object, &capture.program), (OBJECT, &program.name));
            let insns = program.loaded.as_ref().map(|loaded| &loaded.insns);
            assert_eq!(Ok(&capture.loaded.insns), insns, "{} in {}", program.name, capture.kernel.release);
        }
    }
    let files = fs::read_dir("book/captures").expect("the folder").count();
    assert_eq!((files, programs.len()), (programs.len(), 11));
    let log = fs::read_to_string("book/broken/pointer_or_none.log").expect("the log");
    let broken = file::read(Path::new("book/broken/pointer_or_none.capture")).expect("captures");
    assert_eq!(broken[0].said.log, log);
}

#[test]
fn a_changed_output_is_noticed() {
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let said = lines("one\ntwo\nSummary [9.1 s] 3 programs\nthree");
    assert!(fits(&said, &said));
    assert!(fits(&lines("one\n...\nSummary [0.0 s] 3 programs\n..."), &said));
    assert!(fits(&lines("one\n...\ntwo\nSummary [0.0 s] 3 programs\nthree"), &said), "`...` may be nothing");
    assert!(!fits(&lines("one\n...\nSummary [0.0 s] 4 programs\nthree"), &said));
    assert!(!fits(&lines("one\ntwo"), &said));
    assert!(!fits(&lines("one\n...\ntwo"), &said));
    assert!(!fits(&[], &said));
    assert!(fits(&lines("one\n\n"), &lines("one")) && !fits(&lines("\none"), &lines("one")));

    let home = tempfile::tempdir().expect("a temporary folder");
    let step = |command: &str| Step { command: command.into(), output: Vec::new() };
    let outputs = run(
        &[step("echo a; false"), step("echo $?"), step("livediff diff --replay none")],
        home.path(),
        home.path(),
    );
    assert_eq!(outputs[..2], [vec!["a".to_owned()], vec!["1".into()]]);
    assert!(outputs[2].iter().any(|line| line.contains("none")), "{outputs:?}");
}

#[test]
fn commands_and_outputs_are_told_apart() {
    let text = "# A\n\n```console\n$ livediff diff \\\n>     corpus/\nout\n> not a command\n$ echo\n```\nend [x](y.md#z)\n";
    let (blocks, prose) = blocks(text);
    assert_eq!((blocks.len(), blocks[0].kind.as_str(), blocks[0].line), (1, "console", 4));
    let output = vec!["out".to_owned(), "> not a command".into()];
    let first = Step { command: "livediff diff \\\n    corpus/".into(), output };
    assert_eq!(steps(&blocks[0]), [first, Step { command: "echo".into(), output: Vec::new() }]);
    assert_eq!(links(&prose), ["y.md#z"]);
    assert_eq!(anchor(" What is `compared`, and how"), "what-is-compared-and-how");
}
