//! A process whose system calls are answered by itself.
//!
//! A seccomp filter lets through what touches nothing but the process's own memory and open files. Every other call
//! raises SIGSYS instead of reaching the kernel, and the handler of that signal puts the answer in the place of the
//! kernel's. The filter cannot be taken off again.

#![allow(unsafe_code)]

use nix::libc::{self, c_int, c_long, c_void, siginfo_t, sock_filter, sock_fprog, ucontext_t};
use std::{
    io, mem, ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// The answer to a system call with that number and these arguments: as the kernel's, negative for an error.
pub(super) type Answer = fn(c_long, [u64; 6]) -> i64;

static ANSWER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Calls that are let through.
const HARMLESS: [c_long; 33] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Of a descriptor: duplicates and flags.
    libc::SYS_fcntl,
    libc::SYS_getuid,
    // The C library sorts in memory if the machine has enough of it.
    libc::SYS_sysinfo,
];

/// How nice the process is to others.
const PRIORITY: c_int = 5;
/// Address space that an object may cost, in bytes.
const MEMORY_LIMIT: u64 = 4 << 30;
/// `AUDIT_ARCH_X86_64`.
const ARCH: u32 = 0xc000_003e;
/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const FOURTH_ARGUMENT_AT: u32 = 16 + 3 * 8;

/// Shuts the process in. To be called while it has one thread.
pub(super) fn enter(answer: Answer) -> io::Result<()> {
    ANSWER.store(answer as *mut (), Ordering::Relaxed);
    // SAFETY: the structure is valid during the call, and the handler has the signature that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = on_call as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        check(libc::sigaction(libc::SIGSYS, &action, ptr::null_mut()).into())?;
    }
    // The guest goes first. A process that cannot be made to wait does no harm.
    // SAFETY: a plain call.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY) };
    limit(libc::RLIMIT_AS, MEMORY_LIMIT)?;
    limit(libc::RLIMIT_CORE, 0)?;
    let mut program = filter();
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program is valid during the calls, and as long as is said.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
        check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program).into())
    }
}

fn limit(resource: libc::__rlimit_resource_t, limit: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the structure is valid during the call.
    check(unsafe { libc::setrlimit(resource, &limit) }.into())
}

fn check(result: c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The filter, in the language of packet filters.
fn filter() -> Vec<sock_filter> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let load = |at: u32| sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: at };
    let skip_unless = |what: u32, k: u32, skip: u8| sock_filter {
        code: (BPF_JMP | what | BPF_K) as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let end = |k: u32| sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k };
    let mut program = vec![
        load(ARCH_AT),
        // Another instruction set has other numbers: jump over the line below if it is ours.
        sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt: 1, jf: 0, k: ARCH },
        end(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_AT),
    ];
    for number in HARMLESS {
        program.extend([skip_unless(BPF_JEQ, number as u32, 1), end(libc::SECCOMP_RET_ALLOW)]);
    }
    // By this the C library asks for the size of an open file. Anything else would name one.
    program.extend([
        skip_unless(BPF_JEQ, libc::SYS_newfstatat as u32, 3),
        load(FOURTH_ARGUMENT_AT),
        skip_unless(BPF_JSET, libc::AT_EMPTY_PATH as u32, 1),
        end(libc::SECCOMP_RET_ALLOW),
        end(libc::SECCOMP_RET_TRAP),
    ]);
    program
}

/// Answers the call that the process is in.
extern "C" fn on_call(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the registers as they were at the call, and takes them back as they are then. What
    // was stored is an `Answer`.
    unsafe {
        let registers = &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs;
        let register = |at: c_int| registers[at as usize].cast_unsigned();
        let number = registers[libc::REG_RAX as usize];
        let arguments =
            [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX, libc::REG_R10, libc::REG_R8, libc::REG_R9];
        let answer = mem::transmute::<*mut (), Answer>(ANSWER.load(Ordering::Relaxed));
        let result = answer(number, arguments.map(register));
        registers[libc::REG_RAX as usize] = result;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter says of a call.
    fn decide(arch: u32, number: u32, fourth: u32) -> u32 {
        let program = filter();
        let (mut at, mut value) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            match u32::from(code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    value = match k {
                        NUMBER_AT => number,
                        ARCH_AT => arch,
                        FOURTH_ARGUMENT_AT => fourth,
                        other => panic!("{other}"),
                    }
                }
                code if code == libc::BPF_JMP | libc::BPF_JEQ => at += jump(value == k),
                code if code == libc::BPF_JMP | libc::BPF_JSET => at += jump(value & k != 0),
                code if code == libc::BPF_RET => return k,
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn only_what_is_harmless_reaches_the_kernel() {
        let allowed = |number: u32| HARMLESS.contains(&number.into());
        for number in 0..1000 {
            let expected = if allowed(number) { libc::SECCOMP_RET_ALLOW } else { libc::SECCOMP_RET_TRAP };
            assert_eq!(decide(ARCH, number, 0), expected, "{number}");
            // The same number of the instruction set of 32 bits, and of that of 32-bit pointers.
            assert_eq!(decide(0x4000_0003, number, 0), libc::SECCOMP_RET_KILL_PROCESS);
            assert_eq!(decide(ARCH, number | 0x4000_0000, 0), libc::SECCOMP_RET_TRAP);
        }
        let stat = libc::SYS_newfstatat as u32;
        assert_eq!(decide(ARCH, stat, libc::AT_EMPTY_PATH as u32), libc::SECCOMP_RET_ALLOW);
        for number in [
            libc::SYS_bpf,
            libc::SYS_openat,
            libc::SYS_open,
            libc::SYS_execve,
            libc::SYS_clone,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_ptrace,
            libc::SYS_kill,
            libc::SYS_unlink,
            libc::SYS_prctl,
            libc::SYS_io_uring_setup,
            libc::SYS_perf_event_open,
        ] {
            assert_eq!(decide(ARCH, number as u32, 0), libc::SECCOMP_RET_TRAP, "{number}");
        }
    }
}
