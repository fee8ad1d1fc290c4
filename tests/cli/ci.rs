//! What CI systems use: parts of a run, and their reports put together.

use super::*;

/// Captures of two kernels, matches and a mismatch.
fn captures(folder: &Path) {
    for at in 0..7 {
        let good = capture(&format!("p{at}"), Verdict::Accepted, 0, log_of(&section().text));
        let mut other = good.clone();
        other.kernel.release = "7.2.13+test".into();
        put(folder, &good);
        if at % 2 == 0 {
            put(folder, &other);
        }
    }
    put(folder, &capture("early", Verdict::Rejected, 22, "func#0 @0\nunreachable insn 3\n".into()));
    put(folder, &capture("bad", Verdict::Accepted, 0, log_of(&section().text.replace("func#1", "func#7"))));
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_reports_of_all_parts_make_that_of_the_whole() {
    let folder = folder();
    captures(folder.path());
    let whole = livediff(
        folder.path(),
        &["diff", "--replay", "7.2.12+test", "7.2.13+test", "--json", "whole.json", "--junit", "whole.xml"],
    )
    .exits(1);
    // The table, without the time that it took.
    let table =
        |text: &str| text[text.find("\nkernel ").unwrap()..text.find("\nSummary").unwrap()].to_owned();
    for count in [1, 2, 5] {
        let mut merge =
            ["merge", "--json", "merged.json", "--junit", "merged.xml"].map(str::to_owned).to_vec();
        for index in 1..=count {
            let (shard, json) = (format!("{index}/{count}"), format!("{index}-of-{count}.json"));
            let part = ["diff", "--replay", "7.2.12+test", "7.2.13+test", "--shard", &shard, "--json", &json];
            let part = livediff(folder.path(), &part);
            assert!(matches!(part.status, Some(0 | 1)), "{}", part.stderr);
            merge.push(json);
        }
        let merge: Vec<&str> = merge.iter().map(String::as_str).collect();
        let merged = livediff(folder.path(), &merge).exits(1).says("func#7");
        assert_eq!(table(&merged.stdout), table(&whole.stdout));
        assert_eq!(read(folder.path(), "merged.json"), read(folder.path(), "whole.json"), "{count} parts");
        assert_eq!(read(folder.path(), "merged.xml"), read(folder.path(), "whole.xml"), "{count} parts");
    }
    let merge = |files: &[&str]| livediff(folder.path(), &[&["merge"], files].concat());
    merge(&["1-of-2.json"]).exits(2).complains("of 2 parts, these are missing: 2");
    merge(&["1-of-2.json", "2-of-2.json", "1-of-2.json"]).exits(2).complains("is there twice");
    merge(&["1-of-2.json", "2-of-5.json"]).exits(2).complains("a part of 5");
    merge(&["whole.json"]).exits(2).complains("without --shard");
    merge(&["whole.xml"]).exits(2).complains("whole.xml").complains("no report");
    merge(&["missing.json"]).exits(2).complains("missing.json");
    // A part of something else.
    livediff(folder.path(), &["diff", "--replay", "7.2.12+test", "--shard", "2/2", "--json", "2-of-2.json"]);
    merge(&["1-of-2.json", "2-of-2.json"]).exits(2).complains("parts of different runs");
}

#[test]
fn a_part_says_which_it_is_and_an_empty_one_is_no_success() {
    let folder = folder();
    put_match(folder.path(), "one");
    put_match(folder.path(), "two");
    let diff = |more: &[&str], environment: &[(&str, &str)]| {
        let args = [&["diff", "--replay", ".", "--json", "out.json"], more].concat();
        livediff_with(folder.path(), &args, environment)
    };
    let shard = || serde_json::from_str::<Value>(&read(folder.path(), "out.json")).unwrap()["shard"].clone();
    let job = [("JOB_COMPLETION_INDEX", "1"), ("JOB_COMPLETIONS", "2")];
    diff(&[], &job).exits(0).says("Part 2/2 of the programs").says("1 program: 1 match");
    assert_eq!((&shard()["index"], &shard()["count"]), (&2.into(), &2.into()));
    diff(&["--shard", "1/1"], &job).exits(0).says("2 programs: 2 match");
    assert_eq!((&shard()["index"], &shard()["count"]), (&1.into(), &1.into()));
    let whole = diff(&[], &[]).exits(0);
    assert!(shard().is_null() && !whole.stdout.contains("Part "), "{}", whole.stdout);
    diff(&[], &job[..1]).exits(2).complains("JOB_COMPLETIONS is not");
    diff(&["--shard", "3/2"], &[]).exits(2).complains("I is from 1 to 2");
    diff(&["--costs", "out.json"], &[]).exits(2).complains("there is no --shard");
    diff(&["--costs", "none.json", "--shard", "1/2"], &[]).exits(2).complains("none.json");

    // More parts than programs: the whole is right all the same.
    for index in ["1", "2", "3"] {
        let (shard, json) = (format!("{index}/3"), format!("{index}.json"));
        let part = livediff(folder.path(), &["diff", "--replay", ".", "--shard", &shard, "--json", &json]);
        if index == "3" {
            part.exits(2).complains("part 3/3 is empty");
        } else {
            part.exits(0);
        }
    }
    livediff(folder.path(), &["merge", "3.json", "1.json", "2.json"]).exits(0).says("2 programs: 2 match");
}

#[test]
fn what_a_part_did_not_come_to_is_not_done() {
    let folder = folder();
    put_match(folder.path(), "one");
    put_match(folder.path(), "two");
    for index in ["1", "2"] {
        let (shard, json) = (format!("{index}/2"), format!("{index}.json"));
        livediff(folder.path(), &["diff", "--replay", ".", "--shard", &shard, "--json", &json]).exits(0);
    }
    let mut report: Value = serde_json::from_str(&read(folder.path(), "2.json")).unwrap();
    report["incomplete"] = "the run was interrupted".into();
    fs::write(folder.path().join("2.json"), report.to_string()).unwrap();
    livediff(folder.path(), &["merge", "1.json", "2.json"])
        .exits(2)
        .complains("2.json: the run was interrupted")
        .says("2 programs: 2 match");
}

/// The heading says what the exit status says.
#[test]
fn the_summary_of_a_job_agrees_with_the_exit_status() {
    let folder = folder();
    put_match(folder.path(), "one");
    put(folder.path(), &capture("early", Verdict::Rejected, 22, "func#0 @0\nunreachable insn 3\n".into()));
    let there = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")];
    let heading = |args: &[&str], status: i32| {
        let _ = fs::remove_file(folder.path().join("summary.md"));
        livediff_with(folder.path(), args, &there).exits(status);
        read(folder.path(), "summary.md").lines().next().unwrap_or_default().to_owned()
    };
    let diff = ["diff", "--replay", "."];
    assert_eq!(heading(&diff, 0), "### livediff: no difference");
    assert_eq!(heading(&[&diff[..], &["--strict"]].concat(), 2), "### livediff: not decided");
    assert_eq!(heading(&[&diff[..], &["--filter", "*/early"]].concat(), 2), "### livediff: not decided");
    livediff(folder.path(), &["diff", "--replay", ".", "--shard", "1/1", "--json", "part.json"]).exits(0);
    assert_eq!(heading(&["merge", "part.json"], 0), "### livediff: no difference");
    assert_eq!(heading(&["merge", "part.json", "--strict"], 2), "### livediff: not decided");
}

#[test]
fn github_is_told_where_it_runs_the_program() {
    let folder = folder();
    put_match(folder.path(), "one");
    put(
        folder.path(),
        &capture("bad", Verdict::Accepted, 0, log_of(&section().text.replace("func#1", "func#7"))),
    );
    let annotation =
        "\n::error file=stack/spill.bpf.o,title=mismatch of stack/spill.bpf.o/bad in 7.2.12+test::line 2: ";
    let there = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")];
    let diff = |more: &[&str], environment: &[(&str, &str)]| {
        livediff_with(folder.path(), &[&["diff", "--replay", "."], more].concat(), environment).exits(1)
    };
    diff(&[], &there).says(annotation).says("%0Akernel: func#7 @");
    assert!(read(folder.path(), "summary.md").contains("| stack/spill.bpf.o/bad | 7.2.12+test | mismatch |"));
    diff(&[], &there);
    assert_eq!(read(folder.path(), "summary.md").matches("### livediff").count(), 2, "steps add to it");

    // What goes to standard output for a machine is alone there.
    let done = diff(&["--json", "-"], &there).complains(annotation);
    serde_json::from_str::<Value>(&done.stdout).unwrap();
    let done = diff(&["--junit", "-"], &there);
    assert!(done.stdout.starts_with("<?xml") && !done.stdout.contains("::error"), "{}", done.stdout);

    for environment in [&[][..], &[("GITHUB_ACTIONS", "false")]] {
        let done = diff(&[], environment);
        assert!(!done.stdout.contains("::error") && !done.stderr.contains("::error"), "{}", done.stdout);
    }
    // A summary that cannot be written changes nothing.
    let done = diff(&[], &[there[0], ("GITHUB_STEP_SUMMARY", "no/such/folder/summary.md")]);
    done.complains("GITHUB_STEP_SUMMARY").says(annotation);

    // Of a run in parts, the merge tells.
    let part = diff(&["--shard", "1/1", "--json", "part.json"], &there);
    assert!(!part.stdout.contains("::error"), "{}", part.stdout);
    let args = ["merge", "part.json", "--json", "-"];
    let done = livediff_with(folder.path(), &args, &there).exits(1).complains(annotation);
    serde_json::from_str::<Value>(&done.stdout).unwrap();
    assert_eq!(read(folder.path(), "summary.md").matches("### livediff").count(), 5);
}
