//! `vmtest.toml`: kernels that this program runs as well as the vmtest tool does.
//!
//! The file is that of vmtest (github.com/danobi/vmtest), version 0.18, and is read in the current folder. What it says
//! of a virtual machine holds for ours too, or is refused by name. What it says of the system inside is passed over,
//! because ours has a system of its own: `rootfs`, `vm.mounts`, and the `command` that is run there.
//!
//! vmtest wants a kernel as a file. So that a target can be a packaged kernel, or one that was built here, two paths
//! stand for such, and are made links into the cache when the target is used:
//!
//! ```text
//! .../packaged/VERSION/vmlinuz   as `--kernel VERSION`: fetched on first use
//! .../built/NAME/bzImage         what `kernel build` has built under that name
//! ```

use super::session::limit_vcpus;
use anyhow::{Context, Result, bail};
use livediff_harness::{build, cache_root, packages::is_version, run};
use std::{
    fs,
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};
use toml::{Table, Value};

/// The file, in the current folder.
pub(crate) const FILE: &str = "vmtest.toml";

/// The targets of the file. Each is looked into when it is asked for, so that one that cannot be run here does not
/// spoil the others.
#[derive(Debug)]
pub(crate) struct Targets(Vec<(String, Table)>);

impl Targets {
    /// The targets of the file; none if there is no file.
    pub(crate) fn read() -> Result<Option<Targets>> {
        match fs::read_to_string(FILE) {
            Ok(text) => Targets::parse(&text).context(FILE).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(FILE),
        }
    }

    fn parse(text: &str) -> Result<Targets> {
        let mut file: Table = text.parse()?;
        let list = match file.remove("target") {
            Some(Value::Array(list)) => list,
            Some(_) => bail!("`target` is no list: targets begin with [[target]]"),
            None => bail!("there is no [[target]] in it"),
        };
        if let Some(field) = file.keys().next() {
            bail!("it has a field `{field}`, which vmtest does not know");
        }
        let mut targets: Vec<(String, Table)> = Vec::new();
        for (number, target) in (1..).zip(list) {
            let Value::Table(target) = target else { bail!("target number {number} is no table") };
            let name = match target.get("name") {
                Some(Value::String(name)) if !name.is_empty() => name.clone(),
                _ => bail!("target number {number} has no name"),
            };
            if targets.iter().any(|(other, _)| *other == name) {
                bail!("two targets are called {name}");
            }
            targets.push((name, target));
        }
        if targets.is_empty() {
            bail!("there is no [[target]] in it");
        }
        Ok(Targets(targets))
    }

    /// The target called so.
    pub(crate) fn get(&self, name: &str) -> Result<Target> {
        let Some((_, fields)) = self.0.iter().find(|(other, _)| other == name) else {
            let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
            bail!("{FILE} has no target {name}; it has {}", names.join(", "));
        };
        Target::new(name, fields).with_context(|| format!("{FILE}: target {name}"))
    }

    /// All of them, in the order of the file.
    pub(crate) fn all(&self) -> Result<Vec<Target>> {
        self.0.iter().map(|(name, _)| self.get(name)).collect()
    }
}

/// A kernel, and what is particular about the virtual machine that it is run in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// The image, relative to the current folder.
    kernel: PathBuf,
    /// Put behind the command line that our guests have.
    kernel_args: String,
    /// Most processors.
    num_cpus: Option<u32>,
    memory_mib: Option<u32>,
    /// Put behind the arguments that QEMU is given.
    extra_args: Vec<String>,
}

/// Where the image of a target is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// In a file that somebody has put there.
    File,
    /// In a package.
    Packaged(String),
    /// In the cache, built.
    Built(PathBuf),
    /// Nowhere, and why.
    Missing(String),
}

impl Target {
    fn new(name: &str, fields: &Table) -> Result<Target> {
        let mut target = Target { name: name.to_owned(), ..Target::default() };
        for (field, value) in fields {
            match field.as_str() {
                "kernel" => target.kernel = text(field, value)?.into(),
                "kernel_args" => target.kernel_args = text(field, value)?.to_owned(),
                "arch" => {
                    let arch = text(field, value)?;
                    if arch != "x86_64" {
                        bail!("`arch` is {arch}; only x86_64 can be run");
                    }
                }
                "vm" => {
                    let Value::Table(vm) = value else { bail!("`vm` is no table") };
                    for (field, value) in vm {
                        target.machine(field, value)?;
                    }
                }
                "uefi" => match value {
                    Value::Boolean(false) => {}
                    _ => bail!("`uefi` cannot be honoured: kernels are started without firmware"),
                },
                "image" => {
                    bail!("`image` cannot be honoured: a kernel is needed, and no disk is looked into")
                }
                "qemu_command" => {
                    bail!("`qemu_command` cannot be honoured: qemu-system-x86_64 is what is run")
                }
                // What runs in vmtest's guest, and in what system. Ours has neither.
                "name" | "command" | "rootfs" => drop(text(field, value)?),
                other => bail!("the field `{other}` is not known"),
            }
        }
        if target.kernel.as_os_str().is_empty() {
            bail!("it names no `kernel`");
        }
        Ok(target)
    }

    /// A field of `vm`.
    fn machine(&mut self, field: &str, value: &Value) -> Result<()> {
        let full = format!("vm.{field}");
        match field {
            "num_cpus" => {
                let count = value.as_integer().and_then(|count| u32::try_from(count).ok());
                let count = count.filter(|count| (1..=255).contains(count));
                self.num_cpus = Some(count.with_context(|| format!("`{full}` is no number from 1 to 255"))?);
            }
            "memory" => {
                let text = text(&full, value)?;
                let mib = memory_mib(text).with_context(|| {
                    format!("`{full}` is `{text}`; it is written as 512M or 4G, and is 256M at least")
                })?;
                self.memory_mib = Some(mib);
            }
            "extra_args" => {
                let Value::Array(list) = value else { bail!("`{full}` is no list") };
                let texts = list.iter().map(|value| text(&full, value).map(str::to_owned));
                self.extra_args = texts.collect::<Result<_>>()?;
            }
            "bios" => bail!("`{full}` cannot be honoured: kernels are started without firmware"),
            // Folders of the host, for the command. vmtest itself mounts them in images only.
            "mounts" => {}
            _ => bail!("the field `{full}` is not known"),
        }
        Ok(())
    }

    /// The options of a run, with what is particular about this virtual machine.
    pub(crate) fn options(&self, options: &run::Options) -> run::Options {
        let mut options = options.clone();
        if let Some(most) = self.num_cpus {
            limit_vcpus(&mut options, most as usize);
        }
        options.memory_mib = self.memory_mib.unwrap_or(options.memory_mib);
        options.kernel_args.clone_from(&self.kernel_args);
        options.qemu_args.clone_from(&self.extra_args);
        options
    }

    /// The name by which `--kernel` takes it.
    pub(crate) fn kernel_name(&self) -> String {
        format!("target:{}", self.name)
    }

    fn place(&self) -> Place {
        let there = self.kernel.is_file();
        let ours = fs::read_link(&self.kernel)
            .is_ok_and(|to| !there || cache_root().is_some_and(|root| to.starts_with(root)));
        if there && !ours {
            return Place::File;
        }
        let mut parts = self.kernel.components().rev().filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        });
        let shown = self.kernel.display();
        match (parts.next(), parts.next(), parts.next()) {
            (Some("vmlinuz"), Some(version), Some("packaged")) if is_version(version) => {
                Place::Packaged(version.to_owned())
            }
            (Some("bzImage"), Some(name), Some("built")) => match build::image(name) {
                Some(image) => Place::Built(image),
                None => {
                    let source = if name.strip_prefix("linux-source-").is_some_and(is_version) {
                        format!("--package {name}")
                    } else {
                        format!("--name {name}")
                    };
                    Place::Missing(format!(
                        "its kernel {shown} has not been built (`livediff kernel build {source}` builds it)"
                    ))
                }
            },
            _ if there => Place::File,
            _ => Place::Missing(format!("its kernel {shown} is not there")),
        }
    }

    /// The series or version, if its kernel is a packaged one.
    pub(crate) fn packaged(&self) -> Option<String> {
        match self.place() {
            Place::Packaged(version) => Some(version),
            _ => None,
        }
    }

    /// Why it cannot be run as things are, if that is so.
    pub(crate) fn missing(&self) -> Option<String> {
        match self.place() {
            Place::Missing(why) => Some(why),
            _ => None,
        }
    }

    /// The path of the image. One that comes from a package is fetched first if need be, and the path in the file is
    /// made a link to it, so that vmtest finds it too.
    pub(crate) fn locate(&self, progress: &dyn Fn(&str)) -> Result<PathBuf> {
        let image = match self.place() {
            Place::File => return Ok(self.kernel.clone()),
            Place::Missing(why) => bail!("{why}"),
            Place::Built(image) => image,
            Place::Packaged(version) => super::kernels::store()?.resolve(&version, progress)?,
        };
        if let Err(error) = link(&self.kernel, &image) {
            progress(&format!(
                "{} could not be made a link to the kernel, so that vmtest will not find it: {error}",
                self.kernel.display()
            ));
        }
        Ok(image)
    }
}

/// Makes `place` a link to `image`, in one step.
fn link(place: &Path, image: &Path) -> std::io::Result<()> {
    if fs::read_link(place).is_ok_and(|to| to == image) {
        return Ok(());
    }
    let folder = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(folder)?;
    let link = new.path().join("link");
    std::os::unix::fs::symlink(image, &link)?;
    fs::rename(&link, place)
}

fn text<'v>(field: &str, value: &'v Value) -> Result<&'v str> {
    value.as_str().with_context(|| format!("`{field}` is no text"))
}

/// MiB of what QEMU takes for `-m`: `4G`, `512M`, or a number of MiB.
fn memory_mib(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let factor = match text.strip_prefix(digits)?.to_ascii_uppercase().as_str() {
        "" | "M" => 1,
        "G" => 1 << 10,
        "T" => 1 << 20,
        _ => return None,
    };
    u32::try_from(number.checked_mul(factor)?).ok().filter(|mib| *mib >= 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Targets {
        Targets::parse(text).unwrap()
    }

    fn refused(text: &str) -> String {
        let outcome = Targets::parse(text).and_then(|targets| targets.all());
        format!("{:#}", outcome.unwrap_err())
    }

    #[test]
    fn a_target_is_what_the_file_says() {
        let found = targets(
            r#"
            [[target]]
            name = "plain"
            kernel = "bzImage"
            command = "true"
            rootfs = "/"
            uefi = false
            [[target]]
            name = "full"
            kernel = "../x/vmlinuz"
            kernel_args = "nokaslr audit=0"
            arch = "x86_64"
            command = "true"
            [target.vm]
            num_cpus = 1
            memory = "4G"
            extra_args = ["-device", "virtio-rng-pci"]
            mounts."/data" = { host_path = "/data" }
            "#,
        );
        let [plain, full]: [Target; 2] = found.all().unwrap().try_into().unwrap();
        assert_eq!(plain, Target { name: "plain".into(), kernel: "bzImage".into(), ..Target::default() });
        assert_eq!(
            full,
            Target {
                name: "full".into(),
                kernel: "../x/vmlinuz".into(),
                kernel_args: "nokaslr audit=0".into(),
                num_cpus: Some(1),
                memory_mib: Some(4096),
                extra_args: vec!["-device".into(), "virtio-rng-pci".into()],
            }
        );
        assert_eq!(found.get("full").unwrap(), full);
        assert!(found.get("none").unwrap_err().to_string().contains("it has plain, full"));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let with = |line: &str| {
            refused(&format!("[[target]]\nname = \"t\"\nkernel = \"k\"\ncommand = \"c\"\n{line}\n"))
        };
        for (line, words) in [
            ("image = \"x.img\"", "`image`"),
            ("uefi = true", "`uefi`"),
            ("arch = \"aarch64\"", "`arch` is aarch64"),
            ("qemu_command = \"qemu\"", "`qemu_command`"),
            ("kernel_args = [\"a\"]", "`kernel_args` is no text"),
            ("rootsf = \"/\"", "`rootsf` is not known"),
            ("vm.bios = \"x.fd\"", "`vm.bios`"),
            ("vm.num_cpus = 0", "`vm.num_cpus`"),
            ("vm.num_cpus = \"2\"", "`vm.num_cpus`"),
            ("vm.memory = \"4 GB\"", "`vm.memory` is `4 GB`"),
            ("vm.memory = 4096", "`vm.memory` is no text"),
            ("vm.memory = \"128M\"", "256M at least"),
            ("vm.extra_args = \"-s\"", "`vm.extra_args` is no list"),
            ("vm.extra_args = [1]", "`vm.extra_args` is no text"),
            ("vm.disk = \"x\"", "`vm.disk` is not known"),
            ("vm = 3", "`vm` is no table"),
        ] {
            let said = with(line);
            assert!(said.starts_with("vmtest.toml: target t: ") && said.contains(words), "{line}: {said}");
        }
        assert!(refused("[[target]]\nname = \"t\"\ncommand = \"c\"").contains("no `kernel`"));
        assert!(refused("[[target]]\nkernel = \"k\"").contains("target number 1 has no name"));
        assert!(refused("[[target]]\nname = \"\"").contains("target number 1 has no name"));
        let twice = "[[target]]\nname = \"t\"\nkernel = \"k\"\n".repeat(2);
        assert!(refused(&twice).contains("two targets are called t"));
        assert!(refused("").contains("no [[target]]"));
        assert!(refused("target = []").contains("no [[target]]"));
        assert!(refused("target = 3").contains("`target` is no list"));
        assert!(refused("target = [3]").contains("target number 1 is no table"));
        assert!(refused("speed = 3\n[[target]]\nname = \"t\"").contains("`speed`"));
        assert!(refused("[[target]\n").contains("line 1"));
    }

    #[test]
    fn a_machine_is_as_the_target_says() {
        let options = run::Options { vcpus: 4, memory_mib: 2560, ..run::Options::default() };
        let given = |target: Target| target.options(&options);
        let plain = given(Target::default());
        assert_eq!((plain.vcpus, plain.memory_mib), (4, 2560));
        // More processors than there are for it are not to be had.
        assert_eq!(given(Target { num_cpus: Some(64), ..Target::default() }).vcpus, 4);
        let small = given(Target { num_cpus: Some(1), ..Target::default() });
        assert_eq!((small.vcpus, small.memory_mib), (1, run::Options::memory_for(1)));
        let full = given(Target {
            num_cpus: Some(1),
            memory_mib: Some(4096),
            kernel_args: "audit=0".into(),
            extra_args: vec!["-s".into()],
            ..Target::default()
        });
        assert_eq!((full.vcpus, full.memory_mib), (1, 4096));
        assert_eq!((full.kernel_args.as_str(), full.qemu_args), ("audit=0", vec!["-s".to_owned()]));
    }

    #[test]
    fn memory_is_that_of_qemu() {
        for (text, mib) in [("4G", 4096), ("512M", 512), ("512", 512), ("2g", 2048), ("1T", 1 << 20)] {
            assert_eq!(memory_mib(text), Some(mib), "{text}");
        }
        for text in ["", "G", "4K", "255M", "-1G", "4.5G", "4GB", "size=4G", "99999999T"] {
            assert_eq!(memory_mib(text), None, "{text}");
        }
    }

    fn place(kernel: &Path) -> Place {
        Target { kernel: kernel.into(), ..Target::default() }.place()
    }

    #[test]
    fn two_paths_stand_for_kernels_of_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        assert_eq!(place(&at("packaged/7.2/vmlinuz")), Place::Packaged("7.2".into()));
        assert_eq!(place(&at("packaged/7.2.13/vmlinuz")), Place::Packaged("7.2.13".into()));
        for path in
            ["packaged/x/vmlinuz", "packaged/7.2/bzImage", "7.2/vmlinuz", "built/../bzImage", "bzImage"]
        {
            assert!(matches!(place(&at(path)), Place::Missing(_)), "{path}");
        }
        let Place::Missing(why) = place(&at("built/no-such-name/bzImage")) else { panic!("it is there") };
        assert!(why.contains("kernel build --name no-such-name"), "{why}");
        let Place::Missing(why) = place(&at("built/linux-source-0.1/bzImage")) else { panic!("it is there") };
        assert!(why.contains("kernel build --package linux-source-0.1"), "{why}");

        // What somebody has put there is theirs, a link too, unless it leads nowhere.
        let own = at("packaged/7.2/vmlinuz");
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(&own, "kernel").unwrap();
        assert_eq!(place(&own), Place::File);
        fs::rename(&own, at("elsewhere")).unwrap();
        link(&own, &at("elsewhere")).unwrap();
        assert_eq!(place(&own), Place::File);
        link(&own, &at("nowhere")).unwrap();
        assert_eq!(place(&own), Place::Packaged("7.2".into()));
        assert_eq!(fs::read_dir(own.parent().unwrap()).unwrap().count(), 1, "something is left");
    }
}
