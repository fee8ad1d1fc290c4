//! From which file the capture of a program and a kernel comes. Two say twice what may not be the same, and nobody can
//! tell which of them counts.

use anyhow::{Result, anyhow};
use livediff::report::qualified;
use livediff_capture::Kernel;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::{Path, PathBuf},
};

/// An object and a program, and the release and the dialect of a kernel, as they were recorded.
type Key = ((String, String), (String, String));

/// The files that captures come from.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    first: BTreeMap<Key, PathBuf>,
    /// Those that several files have, with all of the files.
    several: BTreeMap<Key, BTreeSet<PathBuf>>,
}

impl Origins {
    /// Notes that `path` has a capture of the program, an object and its name, from the kernel. False if another file
    /// has one too.
    pub(crate) fn add(&mut self, program: (String, String), kernel: &Kernel, path: &Path) -> bool {
        let key = (program, (kernel.release.clone(), kernel.dialect.clone()));
        match self.first.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(path.to_owned());
                true
            }
            Entry::Occupied(entry) => {
                let paths = self.several.entry(entry.key().clone()).or_default();
                paths.extend([entry.get().clone(), path.to_owned()]);
                false
            }
        }
    }

    /// An error that names two files, if there are two captures of one program from one kernel.
    pub(crate) fn twice(&self) -> Option<anyhow::Error> {
        let (((object, program), (release, _)), paths) = self.several.first_key_value()?;
        let paths: Vec<String> = paths.iter().take(2).map(|path| path.display().to_string()).collect();
        let more = match self.several.len() - 1 {
            0 => String::new(),
            count => format!("; and so it is with {count} more"),
        };
        Some(anyhow!(
            "two captures of {} from kernel {release}: {}; name only what one run has recorded{more}",
            qualified(object, program),
            paths.join(" and ")
        ))
    }

    /// An error if [`Origins::twice`] has one.
    pub(crate) fn check(&self) -> Result<()> {
        self.twice().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_are_named_whichever_came_first() {
        let kernel = |release: &str| Kernel { release: release.into(), ..Kernel::default() };
        let name = |program: &str| ("a.o".to_owned(), program.to_owned());
        let told = |paths: [&str; 3]| {
            let mut origins = Origins::default();
            assert!(origins.add(name("p"), &kernel("7.2"), Path::new(paths[0])));
            assert!(origins.add(name("p"), &kernel("7.3"), Path::new(paths[0])));
            assert!(origins.add(name("q"), &kernel("7.2"), Path::new(paths[0])));
            assert!(origins.check().is_ok());
            assert!(!origins.add(name("p"), &kernel("7.2"), Path::new(paths[1])));
            assert!(!origins.add(name("p"), &kernel("7.2"), Path::new(paths[2])));
            origins.check().unwrap_err().to_string()
        };
        let expected = "two captures of a.o/p from kernel 7.2: a and b; name only what one run has recorded";
        assert_eq!(told(["a", "b", "c"]), expected);
        assert_eq!(told(["c", "b", "a"]), expected);
    }
}
