//! What the first process of a system has to do itself: file systems, and finding the port.

use crate::protocol::PORT;
use nix::mount::{MsFlags, mount};
use std::{
    fs::{self, File},
    io,
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant},
};

/// Has the allocator keep what it has: to give memory back interrupts all processors that the threads run on, which an
/// emulated machine is slow at.
#[allow(unsafe_code)]
pub(super) fn keep_memory() {
    use nix::libc;
    // SAFETY: plain calls, made before there are threads.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 512 << 20);
    }
}

/// Allows this process as many open files as it can have. Each map is one, and libbpf opens a second for each while it
/// prepares an object; a first process is allowed no more than 1024.
#[allow(unsafe_code)]
pub(super) fn allow_open_files() {
    use nix::libc;
    let most = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structures are valid during the calls. What is not allowed changes nothing.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut now) != 0 {
            return;
        }
        for most in [most.unwrap_or(now.rlim_max).max(now.rlim_max), now.rlim_max] {
            if libc::setrlimit(libc::RLIMIT_NOFILE, &libc::rlimit { rlim_cur: most, rlim_max: most }) == 0 {
                return;
            }
        }
    }
}

/// Mounts what libbpf and the agent look into. Only `/dev`, `/proc` and `/sys` must be there.
pub(super) fn mount_all() -> io::Result<()> {
    let attach = |kind: &str, at: &str| {
        mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)
            .map_err(|error| io::Error::other(format!("cannot mount {kind} at {at}: {error}")))
    };
    attach("devtmpfs", "/dev")?;
    attach("proc", "/proc")?;
    attach("sysfs", "/sys")?;
    let _ = attach("bpf", "/sys/fs/bpf");
    let _ = attach("tracefs", "/sys/kernel/tracing");
    // The boot was quiet. From now on the console is read when something goes wrong: a fault of this process is told
    // as information only.
    let _ = fs::write("/proc/sys/kernel/printk", "7");
    Ok(())
}

/// `uname -r`.
pub(super) fn release() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/osrelease")?.trim_end().to_string())
}

/// Puts the kernel's configuration where libbpf looks for it.
pub(super) fn put_config(release: &str, config: &[u8]) -> io::Result<()> {
    fs::create_dir_all("/boot")?;
    fs::write(Path::new("/boot").join(format!("config-{release}")), config)
}

/// The socket that an agent for the running kernel is given.
pub(super) fn standard_input() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Opens the port to the host, which the kernel may still be finding.
pub(super) fn open_port() -> io::Result<File> {
    let ports = Path::new("/sys/class/virtio-ports");
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        for entry in fs::read_dir(ports).into_iter().flatten().flatten() {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim_end() == PORT {
                let device = Path::new("/dev").join(entry.file_name());
                return File::options().read(true).write(true).open(&device);
            }
        }
        if Instant::now() > end {
            return Err(io::Error::other(
                "no virtio-serial port: the kernel needs CONFIG_VIRTIO_PCI and CONFIG_VIRTIO_CONSOLE built in",
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use nix::{
        libc,
        sys::wait::{WaitStatus, waitpid},
        unistd::{ForkResult, fork},
    };

    /// In a process of its own, whose limit is that of a first process.
    #[test]
    fn as_many_files_are_allowed_as_can_be() {
        // SAFETY: the child makes system calls only, and ends without running anything of the parent's.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            }
            ForkResult::Child => unsafe {
                let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
                limit.rlim_cur = 64;
                libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
                super::allow_open_files();
                let most = limit.rlim_max;
                libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
                let good = limit.rlim_cur >= most && limit.rlim_cur == limit.rlim_max;
                libc::_exit(i32::from(!good))
            },
        }
    }
}
