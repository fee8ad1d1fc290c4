//! The formats that other programs read: JSON and its schemas, SARIF, completions, manual pages.

use super::*;
use jsonschema::Validator;
use serde_json::json;
use std::os::unix::fs::symlink;

/// A capture of the corpus, as the text of its path.
const CALLS: &str = "corpus/captures/corpus/frames/calls.bpf.o";

/// The schema that the program prints.
fn schema(of: &str) -> Value {
    let folder = folder();
    serde_json::from_str(&livediff(folder.path(), &["schema", of]).exits(0).stdout).unwrap()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// Makes a schema one that knows no later fields. A schema that others are made with would forbid theirs.
fn close(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type") == Some(&json!("object"))
                && fields.contains_key("properties")
                && name != "kind"
            {
                fields.insert("unevaluatedProperties".into(), false.into());
            }
            fields.iter_mut().for_each(|(name, inner)| close(inner, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| close(inner, "")),
        _ => {}
    }
}

/// Every place in a report, as pointers.
fn places(report: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match report {
        Value::Object(fields) => fields.iter().map(|(name, inner)| (name.clone(), inner)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, inner)| (at.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    // Of counts by what is counted, in words, nothing is promised.
    let in_words = at.ends_with("/ends") || at.ends_with("/explained");
    for (name, inner) in inner.into_iter().filter(|_| !in_words) {
        let place = format!("{at}/{name}");
        places(inner, &place, found);
        found.push(place);
    }
}

/// The report is what its schema promises, and has nothing that the schema does not know; and the schema refuses the
/// same report without one of its fields, or with a word that means nothing.
#[track_caller]
fn holds(of: &str, report: &Value) {
    let schema = schema(of);
    let promised = validator(&schema);
    let errors = |validator: &Validator, report: &Value| -> Vec<String> {
        validator.iter_errors(report).map(|error| format!("{}: {error}", error.instance_path())).collect()
    };
    assert_eq!(errors(&promised, report), Vec::<String>::new(), "{of}");
    let mut closed = schema.clone();
    close(&mut closed, "");
    assert_eq!(
        errors(&validator(&closed), report),
        Vec::<String>::new(),
        "{of}: fields that the schema lacks"
    );
    let mut more = report.clone();
    more["later"] = 1.into();
    assert!(promised.is_valid(&more) && !validator(&closed).is_valid(&more));

    const OPTIONAL: [&str; 6] =
        ["shard", "incomplete", "dialect_forced", "first", "subprog_name", "insn_text"];
    const WORDS: [&str; 11] = [
        "status", "verdict", "accel", "class", "what", "frame", "change", "site", "kind", "version", "oracle",
    ];
    let optional = |name: &str| OPTIONAL.contains(&name) && (of, name) != ("soundness", "incomplete");
    let mut all = Vec::new();
    places(report, "", &mut all);
    for place in all {
        let (outer, name) = place.rsplit_once('/').unwrap();
        if name.parse::<usize>().is_ok() {
            continue;
        }
        let mut without = report.clone();
        without.pointer_mut(outer).unwrap().as_object_mut().unwrap().remove(name);
        assert_eq!(promised.is_valid(&without), optional(name), "{of}: without {place}");
        let mut wrong = report.clone();
        *wrong.pointer_mut(&place).unwrap() = json!({"no": "sense"});
        assert!(!promised.is_valid(&wrong), "{of}: an object as {place}");
        if WORDS.contains(&name) {
            *wrong.pointer_mut(&place).unwrap() = json!("nonsense");
            assert!(!promised.is_valid(&wrong), "{of}: nonsense as {place}");
        }
    }
}

fn report(folder: &Path, file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join(file)).unwrap()).unwrap()
}

#[test]
fn the_report_of_diff_is_what_its_schema_says() {
    let folder = folder();
    put_match(folder.path(), "one");
    put(folder.path(), &capture("early", Verdict::Rejected, 22, "func#0 @0\nunreachable insn 3\n".into()));
    put(
        folder.path(),
        &capture("bad", Verdict::Accepted, 0, log_of(&section().text.replace("func#1", "func#7"))),
    );
    let mut other = capture("short", Verdict::Rejected, 22, "func#0 @0\n".into());
    other.kernel.release = "7.2.13+test".into();
    put(folder.path(), &other);
    livediff(folder.path(), &["diff", "--replay", ".", "--json", "out.json"]).exits(1);
    holds("diff", &report(folder.path(), "out.json"));
    let args = ["diff", "--replay", ".", "--dialect", "7.1", "--shard", "1/1", "--json", "part.json"];
    livediff(folder.path(), &args).exits(1);
    holds("diff", &report(folder.path(), "part.json"));
    livediff(folder.path(), &["merge", "part.json", "--json", "merged.json"]).exits(1);
    holds("diff", &report(folder.path(), "merged.json"));
    // Parts of machines that do not run guests alike.
    for (part, accel) in [("1/2", "tcg"), ("2/2", "kvm")] {
        let json = format!("{accel}.json");
        livediff(folder.path(), &["diff", "--replay", ".", "--shard", part, "--json", &json]);
        let text = fs::read_to_string(folder.path().join(&json)).unwrap();
        fs::write(folder.path().join(&json), text.replace("\"replay\"", &format!("\"{accel}\""))).unwrap();
    }
    livediff(folder.path(), &["merge", "tcg.json", "kvm.json", "--json", "merged.json"]).exits(1);
    let merged = report(folder.path(), "merged.json");
    assert_eq!(merged["kernels"][0]["accel"], "kvm+tcg");
    holds("diff", &merged);
}

#[test]
fn the_report_of_compare_is_what_its_schema_says() {
    let folder = folder();
    let section = section().text;
    let from = |release: &str, program: &str, section: &str| {
        let mut capture = capture(program, Verdict::Accepted, 0, log_of(section));
        capture.kernel.release = release.into();
        put(folder.path(), &capture)
    };
    for (program, in_b) in [
        ("one", section.replacen("; use: fp0-8 fp0-16", "; use: fp0-8", 1)),
        ("two", section.replacen("r6=fp0-8", "r6=fp0-16", 1)),
        ("three", section.clone()),
        ("four", section.replace("func#1", "func#7")),
    ] {
        from("7.2.12+test", program, &section);
        from("7.2.13+test", program, &in_b);
    }
    let mut refused = capture("five", Verdict::Rejected, 22, "func#0 @0\nR11 is invalid\n".into());
    from("7.2.12+test", "five", &section);
    refused.kernel.release = "7.2.13+test".into();
    refused.loaded.insns[2].imm = 1;
    put(folder.path(), &refused);
    from("7.2.12+test", "six", &section);
    livediff(folder.path(), &["compare", "7.2.12+test", "7.2.13+test", "--replay", "--json", "out.json"])
        .exits(1);
    let report = report(folder.path(), "out.json");
    assert!(report["programs"][1]["facts"].as_array().is_some(), "{report:#}");
    holds("compare", &report);
}

#[test]
fn the_report_of_analyze_is_what_its_schema_says() {
    let folder = folder();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    symlink(root.join("corpus"), folder.path().join("corpus")).unwrap();
    for (object, status) in [("corpus/frames/calls.bpf.o", 0), ("corpus/kfuncs/kfunc.bpf.o", 2)] {
        livediff(folder.path(), &["analyze", object, "--json", "out.json"]).exits(status);
        holds("analyze", &report(folder.path(), "out.json"));
    }
}

/// The standard's pattern of languages has a bracket too many, which not every reader of patterns takes.
fn without_language(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, pattern| {
                name != "pattern" || !pattern.as_str().is_some_and(|p| p.contains("{2}]?"))
            });
            fields.values_mut().for_each(without_language);
        }
        Value::Array(items) => items.iter_mut().for_each(without_language),
        _ => {}
    }
}

#[test]
fn the_report_of_soundness_is_what_its_schema_says() {
    let folder = folder();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unsound = root.join("tests/data/unsound.bpf.o");
    let args =
        ["soundness", unsound.to_str().unwrap(), "--dialect", "7.2", "--paths", "8", "--json", "out.json"];
    livediff(folder.path(), &args).exits(1);
    holds("soundness", &report(folder.path(), "out.json"));
    // With a kernel that observes.
    let captures = root.join(CALLS);
    let args = [
        "soundness",
        captures.to_str().unwrap(),
        "--replay",
        "--paths",
        "1",
        "--steps",
        "50",
        "--filter",
        "*args*",
    ];
    livediff(folder.path(), &[&args[..], &["--json", "out.json"]].concat()).exits(0);
    let report = report(folder.path(), "out.json");
    assert!(report["observed"].is_object(), "{report:#}");
    holds("soundness", &report);
}

/// SARIF's own schema is the standard's and not ours to hand on: `LIVEDIFF_SARIF_SCHEMA` names a copy. What stands in
/// for it is the part that we write.
#[track_caller]
fn is_sarif(log: &Value) {
    let subset: Value = serde_json::from_str(include_str!("../data/sarif-subset.json")).unwrap();
    let mut schemas = vec![subset];
    match std::env::var_os("LIVEDIFF_SARIF_SCHEMA") {
        Some(path) => {
            let mut standard = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            without_language(&mut standard);
            schemas.push(standard);
        }
        None => skipped(
            "SARIF was held against our part of its schema only. Set LIVEDIFF_SARIF_SCHEMA to the standard's",
        ),
    }
    for schema in &schemas {
        let validator = validator(schema);
        let errors = validator.iter_errors(log).map(|error| format!("{}: {error}", error.instance_path()));
        assert_eq!(errors.collect::<Vec<_>>(), Vec::<String>::new());
        let mut wrong = log.clone();
        wrong["runs"][0]["results"][0].as_object_mut().unwrap().remove("message");
        assert!(!validator.is_valid(&wrong));
    }
    for run in log["runs"].as_array().unwrap() {
        for result in run["results"].as_array().unwrap() {
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
        }
    }
}

#[test]
fn sarif_points_at_the_line_of_the_source() {
    let folder = folder();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    symlink(root.join("corpus"), folder.path().join("corpus")).unwrap();
    let mut files: Vec<PathBuf> =
        fs::read_dir(root.join(CALLS)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    // Of a program with calls, what the kernel said of the first access to a stack is altered.
    let (mut capture, insn) = files
        .iter()
        .flat_map(|path| file::read(path).unwrap())
        .filter(|capture| capture.kernel.dialect == "7.2")
        .find_map(|capture| {
            let line = capture.said.log.lines().find(|line| line.contains("; use: fp1-8"))?;
            let insn = line.trim_start().split(':').next()?.parse::<u64>().ok()?;
            Some((capture, insn))
        })
        .unwrap();
    capture.said.log = capture.said.log.replacen("; use: fp1-8", "; use: fp1-16", 1);
    let args = ["diff", "--replay", "bad.capture", "--sarif", "out.sarif", "--html", "out.html"];
    // The page has the lines, too; in it they are JSON.
    let lines_in_page =
        || fs::read_to_string(folder.path().join("out.html")).unwrap().contains("\"lines\":[[0,0,");
    file::write(&folder.path().join("bad.capture"), std::slice::from_ref(&capture)).unwrap();
    livediff(folder.path(), &args).exits(1);
    let log = report(folder.path(), "out.sarif");
    is_sarif(&log);
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["properties"]["insn"], insn);
    let physical = &result["locations"][0]["physicalLocation"];
    let file = physical["artifactLocation"]["uri"].as_str().unwrap();
    assert_eq!(file, "corpus/frames/calls.bpf.c");
    let line = physical["region"]["startLine"].as_u64().unwrap() as usize;
    let source = fs::read_to_string(root.join("corpus/frames/calls.bpf.c")).unwrap();
    let text = source.lines().nth(line - 1).unwrap().trim();
    assert_eq!(physical["region"]["snippet"]["text"], text);
    assert!(lines_in_page());
    let object = &result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(object, "corpus/frames/calls.bpf.o");

    // Kernel against kernel, and merged, where no source is known.
    let mut good = capture.clone();
    good.said.log = good.said.log.replacen("; use: fp1-16", "; use: fp1-8", 1);
    good.kernel.release = "7.2.99+test".into();
    file::write(&folder.path().join("good.capture"), &[good]).unwrap();
    livediff(folder.path(), &["compare", "--replay", "good.capture", "bad.capture", "--sarif", "two.sarif"])
        .exits(1);
    let two = report(folder.path(), "two.sarif");
    is_sarif(&two);
    let of_two = &two["runs"][0]["results"][0];
    assert_eq!(of_two["ruleId"], "changed");
    assert_eq!(of_two["locations"][0]["physicalLocation"]["region"]["startLine"], line);
    livediff(folder.path(), &["diff", "--replay", "bad.capture", "--shard", "1/1", "--json", "part.json"])
        .exits(1);
    livediff(folder.path(), &["merge", "part.json", "--sarif", "merged.sarif"]).exits(1);
    let merged = report(folder.path(), "merged.sarif");
    is_sarif(&merged);
    let physical = &merged["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(physical, &json!({"artifactLocation": {"uri": "corpus/frames/calls.bpf.o"}}));

    // An object that was built anew has other instructions, and no lines for these.
    fs::remove_file(folder.path().join("corpus")).unwrap();
    fs::create_dir_all(folder.path().join("corpus/frames")).unwrap();
    fs::copy(root.join("corpus/stack/access.bpf.o"), folder.path().join("corpus/frames/calls.bpf.o"))
        .unwrap();
    livediff(folder.path(), &args).exits(1);
    let physical =
        &report(folder.path(), "out.sarif")["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(physical.get("region"), None);
    assert!(!lines_in_page());
}

#[test]
fn the_program_tells_of_itself() {
    let folder = folder();
    livediff(folder.path(), &["--version"])
        .exits(0)
        .says(&format!("livediff {} (", env!("CARGO_PKG_VERSION")));
    livediff(folder.path(), &["completions", "bash"]).exits(0).says("complete -F _livediff");
    livediff(folder.path(), &["man", "a/man"]).exits(0).says("pages");
    let page = fs::read_to_string(folder.path().join("a/man/livediff-kernel-fetch.1")).unwrap();
    assert!(page.contains("dry\\-run"), "{page}");
    livediff(folder.path(), &["schema", "nothing"]).exits(2);
}
