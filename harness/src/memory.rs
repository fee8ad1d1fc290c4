//! Files that exist in memory only.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsRawFd,
    path::PathBuf,
};

/// A file of this process that has no name in the file system and is gone with its last user.
#[derive(Debug)]
pub(crate) struct MemoryFile(File);

impl MemoryFile {
    /// A file with these bytes; `name` is for whoever looks at the process's descriptors.
    pub(crate) fn new(name: &str, bytes: &[u8]) -> io::Result<MemoryFile> {
        use nix::sys::memfd::{MFdFlags, memfd_create};
        let mut file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?);
        file.write_all(bytes)?;
        Ok(MemoryFile(file))
    }

    /// A path by which other processes of the same user can open it while this one lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()))
    }
}
