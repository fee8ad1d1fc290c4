use super::*;
use crate::{
    Dialect,
    diff::{Place, Status},
    loader::lines::Lines,
    report::{Beside, KernelRun, Row},
};
use livediff_capture::{FuncInfo, Insn, Loaded, Said};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const HOSTILE: &str = "</script><img src=x onerror=alert(1)><!-- <script> & \u{2028} \" ' \\ {{script}}";

/// `fp-8` is written by main, read by the subprogram that it calls with a pointer to it.
fn loaded(name: &str) -> Loaded {
    let insn = |code, dst_reg, src_reg, off, imm| Insn { code, dst_reg, src_reg, off, imm };
    let func = |insn_off, name: &str| FuncInfo { insn_off, name: name.into(), global: false };
    Loaded {
        insns: vec![
            insn(0x7a, 10, 0, -8, 1),
            insn(0xbf, 1, 10, 0, 0),
            insn(0x07, 1, 0, 0, -8),
            insn(0x85, 0, 1, 0, 1),
            insn(0x95, 0, 0, 0, 0),
            insn(0x79, 0, 1, 0, 0),
            insn(0x95, 0, 0, 0, 0),
        ],
        func_info: vec![func(0, name), func(5, "callee")],
        ..Loaded::default()
    }
}

fn elements(page: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for part in page.split("<script type=\"application/json\" id=\"").skip(1) {
        let (id, rest) = part.split_once("\">").unwrap();
        let (json, _) = rest.split_once("</script>").unwrap();
        assert!(found.insert(id.to_owned(), serde_json::from_str(json).unwrap()).is_none(), "{id} twice");
    }
    found
}

fn page(report: &Report) -> String {
    let mut bytes = Vec::new();
    to_html(report, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn kernel(rows: Vec<Row>) -> KernelRun {
    KernelRun {
        name: HOSTILE.into(),
        release: "r".into(),
        dialect: Dialect::V7_2.to_string(),
        accel: "replay".into(),
        rows,
        ..KernelRun::default()
    }
}

fn row(program: &str, status: Status) -> Row {
    let mut row = Row::not_loaded("a.o", program, status, HOSTILE);
    if status == Status::Mismatch {
        row.comparison.difference = Some(Difference {
            line: 3,
            place: Place { insn: Some((5, HOSTILE.into())), subprog: Some((1, None)), pass: None },
            unified: format!("@@ -1 +1 @@\n-{HOSTILE}\n"),
            ..Difference::default()
        });
    }
    row.insns = 7;
    row
}

#[test]
fn hostile_words_stay_words() {
    let mut row = row(HOSTILE, Status::Mismatch);
    row.picture = Some(Picture::new(&loaded(HOSTILE), Dialect::V7_2, Beside::Nothing, &Lines::default()));
    let report =
        Report { kernels: vec![kernel(vec![row])], incomplete: Some(HOSTILE.into()), ..Report::default() };
    let page = page(&report);
    assert!(!page.contains("<img"), "markup from data");
    // The page's own: as many elements end as begin, and no data ends one.
    assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    assert_eq!(page.matches("</script>").count(), 4, "index, details, picture and script");
    assert!(!page.contains("{{style}}") && !page.contains("{{data}}"));
    // The policy allows nothing to be loaded, and nothing asks for it.
    assert!(page.contains("default-src 'none'"));
    for asks in ["http://", "https://", "src=", "href=", "@import", "url(", "innerHTML", "eval("] {
        assert!(!PAGE.contains(asks) && !STYLE.contains(asks) && !SCRIPT.contains(asks), "{asks}");
    }
    // What was said is there to the letter.
    let found = elements(&page);
    assert_eq!(found["index"]["programs"][0][2], HOSTILE);
    assert_eq!(found["index"]["kernels"][0]["name"], HOSTILE);
    assert_eq!(found["details-0"]["reason"], HOSTILE);
    assert_eq!(found["details-0"]["difference"]["unified"], format!("@@ -1 +1 @@\n-{HOSTILE}\n"));
    assert_eq!(found["picture-0"]["subprogs"][0][2], HOSTILE);
}

#[test]
fn every_program_is_in_the_index() {
    let rows: Vec<Row> = Status::ALL.into_iter().map(|status| row(status.name(), status)).collect();
    let report = Report { kernels: vec![kernel(rows.clone()), kernel(rows)], ..Report::default() };
    let found = elements(&page(&report));
    let index = &found["index"];
    let programs = index["programs"].as_array().unwrap();
    assert_eq!(programs.len(), 2 * Status::ALL.len());
    for (at, program) in programs.iter().enumerate() {
        assert_eq!(program[0], at / Status::ALL.len(), "its kernel");
        assert_eq!(index["objects"][program[1].as_u64().unwrap() as usize], "a.o");
        let status = &index["statuses"][program[3].as_u64().unwrap() as usize];
        assert_eq!(status[0], program[2], "the status is the program's name here");
        assert!(found.contains_key(&format!("details-{at}")));
    }
    assert!(index["notes"][0].as_str().unwrap().contains("no pictures"));
}

#[test]
fn a_picture_has_masks_pointers_and_calls() {
    let picture = Picture::new(&loaded("main"), Dialect::V7_2, Beside::Nothing, &Lines::default());
    let found: Value = serde_json::from_str(picture.json.as_deref().unwrap()).unwrap();
    assert_eq!(found["subprogs"], json!([[0, 5, "main"], [5, 7, "callee"]]));
    assert_eq!(found["insns"].as_array().unwrap().len(), 7);
    assert_eq!(found["insns"][5], json!([5, "(79) r0 = *(u64 *)(r1 +0)", 2, 0, 1]));
    let (main, callee) = (&found["instances"][0], &found["instances"][1]);
    assert_eq!((&main["label"], &callee["label"]), (&json!("d0,cs0"), &json!("d1,cs3")));
    assert_eq!(main["calls"], json!([[3, 1]]));
    assert_eq!(
        main["frames"],
        json!([{"frame": 0, "use": [[3, "3"]], "def": [[0, "3"]], "live": [[1, "3"], [4, "0"]]}])
    );
    assert_eq!(
        callee["frames"],
        json!([{"frame": 0, "use": [[5, "3"]], "def": [], "live": [[5, "3"], [6, "0"]]}])
    );
    assert_eq!(main["pointers"], json!([[2, "r1=fp0+0"], [3, "r1=fp0-8"], [4, ""]]));
    assert_eq!(callee["pointers"][0], json!([5, "r1=fp0-8"]));
}

#[test]
fn a_kernels_masks_are_drawn_where_they_differ() {
    let loaded = loaded("main");
    let log = crate::log::section(&loaded, Dialect::V7_2).text;
    let said = |log: String| Said { verdict: Verdict::NotRun, errno: 0, truncated: false, log };
    let drawn = |log: String| -> Value {
        let picture = Picture::new(&loaded, Dialect::V7_2, Beside::Differing(&said(log)), &Lines::default());
        serde_json::from_str(picture.json.as_deref().unwrap()).unwrap()
    };
    let same = drawn(log.clone());
    assert!(
        same["instances"]
            .as_array()
            .unwrap()
            .iter()
            .all(|instance| instance["frames"][0].get("kernel").is_none())
    );
    let other = drawn(log.replace("def: fp0-8", "def: fp0-4h"));
    assert_eq!(other["instances"][0]["frames"][0]["kernel"], json!([[0, "0", "1"]]));
    // An instance that only one side lists.
    let only = |drawn: &Value| -> Vec<Value> {
        drawn["instances"].as_array().unwrap().iter().map(|instance| instance["only"].clone()).collect()
    };
    let other = drawn(log.replace("(d1,cs3)", "(d1,cs2)"));
    assert_eq!(only(&other), [Value::Null, json!("model"), json!("kernel")]);
    assert_eq!((&other["only_model"], &other["cut"]), (&json!(false), &json!(false)));

    // What was to come after the end of a log is not what only the model has: instances, and instructions.
    let (before, _) = log.rsplit_once("stack use/def").unwrap();
    assert!(before.contains("stack use/def"), "one listing is whole");
    let cut = drawn(before.to_owned());
    assert_eq!(only(&cut), [Value::Null, Value::Null]);
    assert_eq!((&cut["only_model"], &cut["cut"]), (&json!(false), &json!(true)));
    let (before, _) = log.split_once("use: fp0-8").unwrap();
    let cut = drawn(format!("{before}use: fp0-"));
    assert_eq!(cut["cut"], true);
    assert!(!cut.to_string().contains("\"kernel\""), "{cut}");
}

#[test]
fn a_picture_says_whose_it_is() {
    let drawn = |dialect, beside: Beside<'_>| -> Value {
        let picture = Picture::new(&loaded("main"), dialect, beside, &Lines::default());
        serde_json::from_str(picture.json.as_deref().unwrap()).unwrap()
    };
    let said =
        Said { verdict: Verdict::NotRun, errno: 0, truncated: false, log: "processed 1 insns\n".into() };
    for (beside, only_model) in
        [(Beside::Same, false), (Beside::Nothing, true), (Beside::Differing(&said), true)]
    {
        assert_eq!(drawn(Dialect::V7_2, beside)["only_model"], only_model, "{beside:?}");
    }
    // Nothing of the kernel's is drawn over what this generation says.
    assert_eq!(drawn(Dialect::Fed53dbcdb, Beside::Differing(&said))["only_model"], true);
}

#[test]
fn a_picture_that_fails_says_so() {
    let failed = Picture::of(Beside::Nothing, || panic!("{HOSTILE}"));
    let mut row = row("p", Status::Match);
    row.picture = Some(failed);
    let found = elements(&page(&Report { kernels: vec![kernel(vec![row])], ..Report::default() }));
    let missing = found["picture-0"]["missing"].as_str().unwrap();
    assert!(missing.contains("defect of livediff") && missing.ends_with(HOSTILE), "{missing}");
    assert_eq!(found["index"]["programs"][0][5], false);
    assert!(found["index"]["notes"][0].as_str().unwrap().contains("1 of 1 programs could not be made"));
}

/// Kernels may have the same release, and rows the same names.
#[test]
fn every_row_has_its_own_picture() {
    let kernels = ["first", "second"].map(|name| {
        let mut row = row("p", Status::Match);
        row.picture = Some(Picture::new(&loaded(name), Dialect::V7_2, Beside::Same, &Lines::default()));
        kernel(vec![row])
    });
    let found = elements(&page(&Report { kernels: kernels.into(), ..Report::default() }));
    let name = |at: &str| found[at]["subprogs"][0][2].clone();
    assert_eq!([name("picture-0"), name("picture-1")], ["first", "second"]);
}

#[test]
fn there_is_room_for_what_differs() {
    let picture = |differs| Picture {
        differs,
        ..Picture::new(&loaded("main"), Dialect::V7_2, Beside::Nothing, &Lines::default())
    };
    let kept = Kept { max: picture(false).len(), ..Kept::default() };
    let is_kept = |differs| kept.keep(picture(differs)).json.is_ok();
    assert_eq!([true, false, false, true].map(is_kept), [true, true, false, true]);
}

#[test]
fn tones_are_those_of_the_terminal() {
    use crate::diff::Class;
    assert_eq!(Tone::from(Class::LoadedDifferently), Tone::Neutral);
    for class in Class::ALL {
        assert_eq!(Tone::from(class) == Tone::Bad, class.is_difference(), "{class}");
    }
}

#[test]
fn what_does_not_fit_is_left_out_and_told() {
    let picture = Picture::new(&loaded("main"), Dialect::V7_2, Beside::Same, &Lines::default());
    let size = picture.len();
    let program = |program, differs, json: Result<(), Missing>| Program {
        kernel: 0,
        object: "a.o",
        program,
        status: "match",
        tone: Tone::Good,
        insns: 7,
        details: Details::default(),
        picture: Some(Picture { json: json.and_then(|()| picture.json.clone()), differs }),
    };
    let shown = |max, programs| {
        let mut page =
            Page { subcommand: "diff", sides: ["", ""], kernels: Vec::new(), programs, notes: Vec::new() };
        page.fit(max);
        let shown: Vec<bool> =
            page.programs.iter().map(|p| p.picture.as_ref().is_some_and(|p| p.json.is_ok())).collect();
        (shown, page.notes)
    };
    let (kept, notes) = shown(
        2 * size,
        vec![program("a", false, Ok(())), program("b", false, Ok(())), program("c", true, Ok(()))],
    );
    assert_eq!(kept, [true, false, true], "the one that differs comes first");
    assert!(matches!(&*notes, [note] if note.contains("1 of 3 programs were left out")), "{notes:?}");
    // Those that differ are there even if there is no room.
    let (kept, notes) = shown(
        size,
        vec![program("a", false, Ok(())), program("b", true, Ok(())), program("c", true, Ok(()))],
    );
    assert_eq!(kept, [false, true, true]);
    assert!(matches!(&*notes, [note] if note.contains("1 of 3 programs were left out")), "{notes:?}");
    // One that is too large by itself is not there for want of room.
    let (kept, notes) =
        shown(size, vec![program("a", false, Ok(())), program("b", true, Err(Missing::TooLong(1 << 20)))]);
    assert_eq!(kept, [true, false]);
    assert!(matches!(&*notes, [note] if note.contains("1 of 2 programs are not there")), "{notes:?}");
}
