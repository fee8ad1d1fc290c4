//! Full disks, and caches that are half written or used twice at once.

use super::*;

/// Runs a script with a full file system, of its own, at `full`. Nothing where that is not allowed.
fn with_full_disk(place: &Place, script: &str) -> Option<Done> {
    fs::create_dir_all(place.path("full")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=777 none full || exit 99\n{script}\nstatus=$?\n\
         echo \"left: $(cd full && find . -type f | sort | tr '\\n' ' ')\"\nexit $status\n"
    );
    let mut command = place.command("unshare");
    let path =
        std::env::join_paths([place.path("bin"), "/usr/bin".into(), "/bin".into(), "/usr/sbin".into()]);
    let command = command.env("PATH", path.unwrap()).args(["-rm", "sh", "-c", &script]);
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            skipped(&format!("no file system can be mounted here: unshare: {error}"));
            return None;
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let done =
        Done { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
    if done.status == Some(99) || done.stderr.starts_with("unshare:") {
        skipped(&format!("no file system can be mounted here: {}", done.stderr));
        return None;
    }
    Some(done)
}

#[test]
fn a_disk_that_is_full_costs_what_was_to_be_written_and_no_more() {
    let livediff = env!("CARGO_BIN_EXE_livediff");
    let words = [hello(), opened(&["one"]), told(0, &right()), frame(11, 0u32, "")];
    let place = Place::with_guest(&words, "exec sleep 300");
    let fill = "dd if=/dev/zero of=full/fill bs=1k 2>/dev/null";
    // A report: the older one stays.
    let script =
        format!("echo old > full/out.json; {fill}; {livediff} {} full/out.json", DIFF[..9].join(" "));
    let Some(done) = with_full_disk(&place, &script) else { return };
    let done = done.exits(2).complains("the report cannot be written to full/out.json: No space left");
    done.says("left: ./fill ./out.json \n");
    place.left_are_only(&["full"]);
    // A capture: likewise, and the run does not pass for a good one.
    let record =
        format!("{livediff} record a.o --kernel kernel --dialect 7.2 --accel tcg --verdict -o full/c");
    let script = format!(
        "{record} >&2 && sum=$(cat full/c/*/a.o/*) && {fill}; {record}; s=$?\n\
                          [ \"$sum\" = \"$(cat full/c/*/a.o/*)\" ] || echo CHANGED; (exit $s)"
    );
    let done = with_full_disk(&place, &script)
        .unwrap()
        .exits(2)
        .complains("1 capture could not be written to full/c");
    assert!(!done.stdout.contains("CHANGED"), "{}", done.stdout);
    done.says("one: full/c").says(&format!("left: ./c/{RELEASE}/a.o/one.capture ./fill \n"));
    // What is temporary, and the cache.
    let script = format!("{fill}; TMPDIR=$PWD/full XDG_CACHE_HOME=$PWD/full {livediff} {}", DIFF.join(" "));
    let done = with_full_disk(&place, &script).unwrap();
    assert_eq!(done.status, Some(0), "{}", done.stderr);
    done.says("left: ./fill \n");
    place.left_are_only(&["full", "out.json"]);
    // No kernel can be fetched there.
    place.program("apt-get", "echo 'Debian|http://mirror.test/debian'\n");
    let script = format!("{fill}; XDG_CACHE_HOME=$PWD/full {livediff} kernel fetch 7.2");
    let done = with_full_disk(&place, &script).unwrap().exits(2);
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

/// A mirror with one kernel. Each download adds a line to `downloads`, and takes as long as `slowly` says.
fn with_mirror(slowly: &str) -> Option<Place> {
    if !["gpg", "pgp"]
        .iter()
        .any(|end| Path::new(&format!("/usr/share/keyrings/debian-archive-keyring.{end}")).is_file())
    {
        skipped("the package debian-archive-keyring is not installed");
        return None;
    }
    let place = Place::new();
    let package = format!("linux-binary-{RELEASE}");
    let folder = place.0.path().display();
    place.program(
        "apt-get",
        &format!(
            "case \"$*\" in\n*indextargets*) echo 'Debian|http://mirror.test/debian' ;;\n\
             *download*) echo one >> {folder}/downloads; {slowly}\n: > kernel.deb ;;\nesac\n"
        ),
    );
    place.program(
        "apt-cache",
        &format!(
            "case \"$*\" in\n*pkgnames*) echo {package} ;;\n\
             *linux-binary*) echo '{package} | 7.2.99-1 | http://mirror.test/debian sid/main amd64 Packages' ;;\nesac\n"
        ),
    );
    place.program(
        "dpkg-deb",
        &format!("d=\"$3/usr/lib/modules/{RELEASE}\"; /bin/mkdir -p \"$d\"; /bin/cp {folder}/kernel \"$d/vmlinuz\"; : > \"$d/config\"\n"),
    );
    Some(place)
}

impl Place {
    fn downloads(&self) -> usize {
        fs::read_to_string(self.path("downloads")).unwrap_or_default().lines().count()
    }

    /// The cache has the kernel, whole, and nothing unfinished.
    #[track_caller]
    fn cache_is_good(&self) {
        let kernels = self.path("cache/livediff/kernels");
        assert_eq!(names_in(&kernels), [RELEASE]);
        let kernel = fs::read(kernels.join(RELEASE).join("vmlinuz")).unwrap();
        assert!(kernel == fs::read(self.path("kernel")).unwrap());
        self.left_are_only(&["downloads"]);
    }
}

#[test]
fn two_runs_at_once_on_one_cache_fetch_once() {
    let Some(place) = with_mirror("/bin/sleep 0.3") else { return };
    let fetch = || place.spawn(&["kernel", "fetch", "7.2"]);
    let running = [fetch(), fetch(), fetch()];
    for done in running.map(Running::done) {
        done.exits(0).says(&format!("kernels/{RELEASE}/vmlinuz\n"));
    }
    assert_eq!(place.downloads(), 1);
    place.cache_is_good();
}

/// Not with a new index either.
#[test]
fn a_kernel_that_is_in_no_package_is_looked_for_once() {
    let Some(place) = with_mirror("") else { return };
    let index = |done: &Done| done.stderr.matches("fetching the package index").count();
    for args in [["kernel", "fetch", "9.9"], ["kernel", "info", "9.9"]] {
        let done = place.run(&args).exits(2).complains("no packaged kernel is 9.9; there are 7.2.99");
        assert_eq!(index(&done), 1, "{args:?}: {}", done.stderr);
        fs::remove_dir_all(place.path("cache")).unwrap();
    }
    // One that is older may lack it.
    place.run(&["kernel", "list"]).exits(0);
    let done = place.run(&["kernel", "info", "9.9"]).exits(2);
    assert_eq!(index(&done), 1, "{}", done.stderr);
}

#[test]
fn a_fetch_that_is_interrupted_leaves_nothing_and_one_that_is_killed_no_harm() {
    let Some(place) = with_mirror("[ -e ../../../../slow ] && exec /bin/sleep 300") else {
        return;
    };
    let slow = place.path("slow");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        fs::write(&slow, "").unwrap();
        let running = place.spawn(&["kernel", "fetch", "7.2"]);
        running.wait_for("downloads");
        let waiting = place.spawn(&["kernel", "fetch", "7.2"]);
        thread::sleep(Duration::from_millis(200));
        running.signal(signal);
        let done = running.done();
        fs::remove_file(&slow).unwrap();
        if signal == Signal::SIGKILL {
            assert_eq!(done.status, None);
        } else {
            done.exits(2).complains("interrupted");
        }
        // Another run takes over, with nothing of the first.
        waiting.done().exits(0);
        place.cache_is_good();
        fs::remove_dir_all(place.path("cache")).unwrap();
        fs::remove_file(place.path("downloads")).unwrap();
    }
    // One that waits for another can be interrupted too.
    fs::write(&slow, "").unwrap();
    let running = place.spawn(&["kernel", "fetch", "7.2"]);
    running.wait_for("downloads");
    let waiting = place.spawn(&["kernel", "fetch", "7.2"]);
    thread::sleep(Duration::from_millis(200));
    waiting.signal(Signal::SIGTERM);
    waiting.done().exits(2).complains("interrupted");
    running.signal(Signal::SIGTERM);
    running.done().exits(2);
    fs::remove_file(&slow).unwrap();
    assert_eq!(names_in(&place.path("cache/livediff/kernels")), Vec::<String>::new());
}

#[test]
fn a_cache_that_is_half_written_is_made_whole() {
    let Some(place) = with_mirror("") else { return };
    let fetch = |args: &[&str]| place.run(args).exits(0);
    fetch(&["kernel", "fetch", "7.2"]);
    let entry = place.path("cache/livediff/kernels").join(RELEASE);
    let image = entry.join("vmlinuz");
    let whole = fs::read(&image).unwrap();
    let info = ["kernel", "info", "7.2", "--dialect", "7.2"];
    for (number, damage) in [whole[..whole.len() / 2].to_vec(), Vec::new()].into_iter().enumerate() {
        fs::write(&image, damage).unwrap();
        fetch(&info).says(RELEASE);
        assert_eq!(place.downloads(), number + 2);
        place.cache_is_good();
    }
    for file in ["package.json", "vmlinuz"] {
        fs::remove_file(entry.join(file)).unwrap();
        fetch(&info);
        place.cache_is_good();
    }
    fs::write(entry.join("package.json"), "{\"package\":").unwrap();
    fetch(&info);
    place.cache_is_good();
    // Of the right length and damaged: that is seen when it is used, and how it is mended is said.
    fs::write(&image, vec![0; whole.len()]).unwrap();
    place.run(&info).exits(2).complains("vmlinuz is no kernel image");
    fetch(&["kernel", "fetch", "7.2"]);
    place.cache_is_good();
    // What is remembered of the machine is only a hint.
    fs::write(place.path("cache/livediff/accel.json"), "{\"mach").unwrap();
    let words = [hello(), opened(&["one"]), told(0, &right()), frame(11, 0u32, "")].concat();
    fs::write(place.path("words"), words).unwrap();
    let script = format!("/bin/cat {} >&0\nexec /bin/sleep 300\n", place.path("words").display());
    place.program("qemu-system-x86_64", &script);
    fetch(&["diff", "a.o", "--kernel", "7.2", "--dialect", "7.2"]);
}
