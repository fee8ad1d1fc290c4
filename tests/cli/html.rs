//! The page that --html writes: in what is written always, and, where there is Chromium, in what a reader does with it.

use super::*;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
};

/// The JSON in one element of the page.
fn element(page: &str, id: &str) -> Value {
    let start = format!("<script type=\"application/json\" id=\"{id}\">");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no element {id}"));
    serde_json::from_str(rest.split_once("</script>").expect("the element ends").0).expect("it is JSON")
}

/// A run with a match, a mismatch in what one instruction writes, and a program that is refused early.
fn written(folder: &Path) -> PathBuf {
    put_match(folder, "good");
    let altered = section().text.replace("; use: fp0-8 fp0-16", "; use: fp0-8");
    assert_ne!(altered, section().text);
    put(folder, &capture("altered", Verdict::Accepted, 0, log_of(&altered)));
    put(folder, &capture("early", Verdict::Rejected, 22, "unreachable <b>insn</b> 3\n".into()));
    livediff(folder, &["diff", "--replay", ".", "--html", "out.html"]).exits(1);
    folder.join("out.html")
}

#[test]
fn the_page_holds_every_program_and_its_picture() {
    let folder = folder();
    let page = fs::read_to_string(written(folder.path())).unwrap();
    let index = element(&page, "index");
    let programs = index["programs"].as_array().unwrap();
    let names: Vec<_> = programs.iter().map(|program| program[2].as_str().unwrap()).collect();
    assert_eq!(names, ["altered", "early", "good"]);
    let drawn: Vec<_> = programs.iter().map(|program| program[5].as_bool().unwrap()).collect();
    assert_eq!(drawn, [true; 3]);
    assert!(element(&page, "details-0")["difference"]["unified"].as_str().unwrap().contains("use: fp0-8"));
    let kernels = |at| element(&page, at)["instances"].to_string().matches("\"kernel\"").count();
    assert_ne!(kernels("picture-0"), 0, "what the kernel says is in the picture of a mismatch");
    assert_eq!(kernels("picture-2"), 0);

    // A report on standard output is alone there.
    let done =
        livediff(folder.path(), &["diff", "--replay", ".", "--html", "-"]).exits(1).complains("Summary");
    assert_eq!(done.stdout, page);
    livediff(folder.path(), &["diff", "--replay", ".", "--html", "-", "--json", "-"])
        .exits(2)
        .complains("only one of --json, --junit, --html and --sarif");
    livediff(folder.path(), &["diff", "--replay", ".", "--html", "none/out.html"]).exits(2).complains("none");

    // Of merged parts there is the list without pictures, which the page says.
    livediff(folder.path(), &["diff", "--replay", ".", "--shard", "1/1", "--json", "1.json"]).exits(1);
    livediff(folder.path(), &["merge", "1.json", "--html", "merged.html"]).exits(1);
    let page = fs::read_to_string(folder.path().join("merged.html")).unwrap();
    let index = element(&page, "index");
    assert_eq!(index["programs"].as_array().unwrap().len(), 3);
    assert!(index["notes"].to_string().contains("no pictures"), "{}", index["notes"]);
}

#[test]
fn analyze_and_compare_write_pages_too() {
    let folder = folder();
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/frames/calls.bpf.o");
    livediff(folder.path(), &["analyze", object.to_str().unwrap(), "--html", "out.html"]).exits(0);
    let page = fs::read_to_string(folder.path().join("out.html")).unwrap();
    let index = element(&page, "index");
    assert_eq!((&index["subcommand"], &index["statuses"][0][0]), (&"analyze".into(), &"analyzed".into()));
    let count = index["programs"].as_array().unwrap().len();
    assert!(count > 1);
    for at in 0..count {
        assert_ne!(element(&page, &format!("picture-{at}"))["instances"], serde_json::json!([]));
    }

    // Reports that could not be written are refused before anything is done.
    let analyze = |args: &[&str]| {
        livediff(folder.path(), &[&["analyze", object.to_str().unwrap()], args].concat()).exits(2)
    };
    let done = analyze(&["--html", "-", "--json", "-"]);
    assert_eq!(done.complains("only one of --json and --html can go to standard output").stdout, "");
    let done = analyze(&["--json", "none/out.json"]);
    assert_eq!(done.complains("none/out.json: there is no folder none").stdout, "");

    written(folder.path());
    let mut other = capture("altered", Verdict::Accepted, 0, log_of(&section().text));
    other.kernel.release = "7.2.13+test".into();
    put(folder.path(), &other);
    let kernels = ["--kernel", "7.2.12", "--kernel", "7.2.13"];
    let args =
        [&["compare", "--replay", ".", "--html", "out.html", "--filter", "*/altered"], &kernels[..]].concat();
    livediff(folder.path(), &args).exits(1);
    let page = fs::read_to_string(folder.path().join("out.html")).unwrap();
    let index = element(&page, "index");
    assert_eq!((&index["subcommand"], &index["statuses"][0][0]), (&"compare".into(), &"changed".into()));
    assert!(element(&page, "details-0")["difference"]["unified"].is_string());
}

/// The picture in the terminal: as wide as is asked for, without escape sequences where there is no terminal, and with
/// signs that the locale has.
#[test]
fn analyze_draws_in_the_terminal() {
    let folder = folder();
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/frames/calls.bpf.o");
    let object = object.to_str().unwrap();
    let view = |more: &[&str], environment: &[(&str, &str)]| {
        let args = [&["analyze", object, "--program", "pass_five_args", "--view"], more].concat();
        let done = livediff_with(folder.path(), &args, environment).exits(0);
        assert_eq!(done.stderr, "");
        assert!(!done.stdout.contains('\u{1b}'), "{}", done.stdout);
        done.stdout
    };
    let plain = view(&[], &[("LC_ALL", "C")]);
    assert!(plain.is_ascii(), "{plain}");
    for line in [
        "subprog#0 pass_five_args (d0,cs0)\n",
        "    10 .12345.... (85) call pc+2 -> d1,cs10  RR .R .R\n",
        "subprog#1 five_args (d1,cs10)\n",
        "    14 ..2345.... (7a) *(u64 *)(r2 +0) = 1   .. WW .| .. .|\n",
        "R read, W written, X both, | live, . dead, for each half of a slot",
    ] {
        assert!(plain.contains(line), "no {line:?} in\n{plain}");
    }
    assert!(!plain.contains("func#"), "{plain}");
    let unicode = view(&[], &[("LC_ALL", "C.UTF-8")]);
    assert_eq!(unicode.replace('→', "->").replace('·', ".").replace(' ', ""), plain.replace(' ', ""));
    assert_eq!(view(&["--width", "0"], &[("LC_ALL", "C")]), plain);
    let narrow = view(&["--width", "46"], &[("LC_ALL", "C")]);
    assert!(narrow.contains("subprog#1 five_args (d1,cs10), slots 1 to 2 of 5\n"), "{narrow}");
    assert!(narrow.contains("~ stands where the text of "), "{narrow}");
    // A report on standard output is alone there.
    let args = ["analyze", object, "--view", "--json", "-"];
    let done = livediff(folder.path(), &args).exits(0).complains("subprog#1 five_args (d1,cs10)\n");
    serde_json::from_str::<Value>(&done.stdout).unwrap();
    livediff(folder.path(), &["analyze", object, "--width", "80"]).exits(2);
}

/// A browser, driven through chromedriver's HTTP interface (WebDriver).
struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// None, and a word on standard error, where there is no Chromium.
    fn start(profile: &Path) -> Option<Browser> {
        // No more than a file that can be run: a browser that is there and does not start is an error.
        let found = |name| {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
        };
        let (Some(driver), Some(chromium)) = (found("chromedriver"), found("chromium")) else {
            skipped("the page is not tried in a browser: chromium and chromedriver are not both in PATH");
            return None;
        };
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                let line = line.unwrap();
                let (_, rest) = line.split_once("started successfully on port ")?;
                rest.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says its port");
        // It stops where nobody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Browser { driver, port, session: String::new() };
        let profile = format!("--user-data-dir={}", profile.display());
        let mut args: Vec<&str> = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
             --window-size=1400,900"
            .split_whitespace()
            .collect();
        args.push(&profile);
        let options = serde_json::json!({"args": args, "binary": chromium});
        let capabilities =
            serde_json::json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = browser.call("POST", "/session", &capabilities);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(std::time::Duration::from_secs(120))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{method} {path} {body}: {value}");
        value
    }

    fn session(&self, path: &str, body: Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), &body)
    }

    fn open(&self, page: &Path) {
        self.session("/url", serde_json::json!({"url": format!("file://{}", page.display())}));
    }

    /// What a script in the page returns.
    fn run(&self, script: &str) -> Value {
        self.session("/execute/sync", serde_json::json!({"script": script, "args": []}))
    }

    /// Waits until a script returns a true value.
    #[track_caller]
    fn until(&self, script: &str) {
        for _ in 0..100 {
            if self.run(&format!("return Boolean({script})")) == true {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!(
            "never true: {script}; the page:\n{}",
            self.run("return document.body.innerText.slice(0, 3000)")
        );
    }

    /// Presses keys one after the other, as a keyboard does.
    fn press(&self, keys: &str) {
        let presses = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| serde_json::json!({"type": kind, "value": key})));
        let presses: Vec<Value> = presses.collect();
        let keyboard = serde_json::json!({"type": "key", "id": "keyboard", "actions": presses});
        self.session("/actions", serde_json::json!({"actions": [keyboard]}));
    }

    fn click(&self, selector: &str) {
        let found = self.session("/element", serde_json::json!({"using": "css selector", "value": selector}));
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        self.session(&format!("/element/{}/click", id.expect("an element")), serde_json::json!({}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session, not with the driver; a test that fails leaves none behind either.
        if !self.session.is_empty()
            && let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port))
        {
            let path = format!("/session/{}", self.session);
            let _ = write!(stream, "DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
            let _ = BufReader::new(stream).read_line(&mut String::new());
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

#[test]
fn a_reader_finds_opens_and_follows() {
    let (folder, profile) = (folder(), folder());
    let page = written(folder.path());
    let Some(browser) = Browser::start(profile.path()) else { return };
    browser.open(&page);
    let listed =
        "[...document.querySelectorAll('#list .item')].map((item) => item.children[1].textContent).join()";
    // What differs comes first.
    browser.until(&format!("{listed} === 'altered,early,good'"));

    // By status, and back.
    browser.click("#statuses [data-status=mismatch]");
    browser.until(&format!("{listed} === 'early,good'"));
    browser.click("#statuses [data-status=mismatch]");
    // By name, from the keyboard.
    browser.press("/good");
    browser.until(&format!("{listed} === 'good'"));
    browser.run("document.getElementById('search').value = ''; document.getElementById('search').dispatchEvent(new Event('input'))");
    browser.press(ESCAPE);
    browser.press("kk");
    browser.until("document.querySelector('#list [aria-selected=true]').textContent.includes('altered')");

    // The mismatch: its diff, the instruction where it begins, and both masks in one cell.
    browser.press(ENTER);
    browser.until("document.querySelector('#view h2')?.textContent.startsWith('altered')");
    browser.until("document.querySelector('pre.diff .minus') && document.querySelector('pre.diff .plus')");
    browser.until("document.querySelector('#grid .line.begins')?.dataset.insn === '8'");
    browser.until("document.querySelectorAll('#grid .line.begins .two').length === 2");
    browser.until("document.querySelector('#grid .line.begins .two').textContent === '–R'");

    // By keyboard to the call, and from it to the instance of the callee; what its pointers are.
    browser.press("kj");
    browser.until("document.querySelector('#grid .line.selected')?.dataset.insn === '8'");
    browser.press(ENTER);
    browser
        .until("document.querySelector('#instances [aria-current=true]')?.textContent === 'callee (d1,cs8)'");
    browser.until("document.querySelector('#grid .space .line')?.dataset.insn === '11'");
    browser.until("document.getElementById('detail').textContent.includes('r1=fp0-16|fp0-8')");
    // Back to where the call stands; then by mouse.
    browser.run("history.back()");
    browser.until("document.querySelector('#grid .line.selected')?.dataset.insn === '8'");
    browser.click("#grid [data-callee]");
    browser.until("document.querySelector('#grid .space .line')?.dataset.insn === '11'");

    // Words of a log are no markup.
    browser.press(ESCAPE);
    browser.press("j");
    browser.press(ENTER);
    browser.until("document.querySelector('#about p.neutral')?.textContent.includes('<b>insn</b>')");

    // Lines of the source stand before the instructions that come from them.
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/frames/calls.bpf.o");
    livediff(folder.path(), &["analyze", object.to_str().unwrap(), "--html", "analysed.html"]).exits(0);
    browser.open(&folder.path().join("analysed.html"));
    browser.until("document.querySelector('#list .item')");
    browser.press(ENTER);
    browser
        .until("/^calls[.]bpf[.]c:[0-9]+  [^ ]/.test(document.querySelector('#grid .source')?.textContent)");
    browser.until("document.querySelector('#grid .line.selected')?.dataset.insn === '0'");
    let rows = "document.querySelectorAll('#grid .space .line:not(.source)').length";
    let count = browser.run(&format!("return {rows}"));
    browser.press("jks");
    browser.until("!document.querySelector('#grid .source')");
    browser.until("document.querySelector('#grid .line.selected')?.dataset.insn === '0'");
    assert_eq!(browser.run(&format!("return {rows}")), count);
    browser.open(&page);
    browser.until("document.querySelector('#list .item')");

    let theme = || {
        browser.run(
            "return document.documentElement.dataset.theme + getComputedStyle(document.body).backgroundColor",
        )
    };
    let before = theme();
    browser.click("#theme");
    assert_ne!(theme(), before);
    browser.press("t");
    assert_eq!(theme(), before);
    // The page asked for nothing but itself.
    assert_eq!(browser.run("return performance.getEntriesByType('resource').length"), 0);
}
