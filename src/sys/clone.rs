//! clone3(2) in the manner of vfork: the child shares the parent's memory until it execs or ends.
//!
//! Nothing is copied, which is what makes a launch fast, and what the child finds out (which step
//! failed, and why) it simply writes where the parent reads it. The price: until then the parent
//! sleeps in the kernel, and the child must not return from the function that called it.

use super::{last_errno, result};
use rustix::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::Pid;

/// Namespaces of the child, as `CLONE_NEW*` bits (namespaces(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloneFlags(pub u64);

/// A child that has begun to run a program of its own, or has ended.
#[derive(Debug)]
pub struct Cloned {
    /// Its number in the caller's pid namespace.
    pub pid: Pid,
    /// A descriptor that refers to it for ever (pidfd_open(2)).
    pub pidfd: OwnedFd,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_NEWUSER: u64 = 0x1000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Bytes of stack for the child: parsing is done by then, but Landlock's and the logger's frames count.
const STACK: usize = 256 << 10;

/// What the kernel reads (clone3(2), `struct clone_args`).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Runs `child` in a new process in new namespaces and, if given, in the cgroup of `cgroup`.
///
/// The caller sleeps until the child execs or ends; what `child` returns becomes its exit status.
/// The caller must have no other thread: the child uses its allocator and its thread-local data.
///
/// # Errors
/// The kernel's answer.
pub fn clone_into(
    namespaces: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    child: &mut dyn FnMut() -> i32,
) -> Result<Cloned, Errno> {
    let into = if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let arguments = CloneArguments {
        flags: namespaces.0 | into,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd().cast_unsigned().into()),
        ..CloneArguments::default()
    };
    vfork_with(arguments, child)
}

/// A process, already ended and not yet reaped, that holds a new user namespace whose maps can still
/// be written; reaping it ends the namespace unless somebody holds a descriptor of it.
///
/// # Errors
/// The kernel's answer.
pub fn user_namespace_holder() -> Result<Cloned, Errno> {
    let arguments = CloneArguments { flags: CLONE_NEWUSER, ..CloneArguments::default() };
    vfork_with(arguments, &mut || 0)
}

fn vfork_with(
    mut arguments: CloneArguments,
    child: &mut dyn FnMut() -> i32,
) -> Result<Cloned, Errno> {
    let mut pidfd: libc::c_int = -1;
    let stack = Stack::new()?;
    let mut entry: *mut dyn FnMut() -> i32 = child;
    arguments.flags |= CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
    arguments.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    arguments.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    arguments.stack = stack.0 as u64;
    arguments.stack_size = STACK as u64;
    // SAFETY: `arguments` describes a stack of STACK bytes that stays mapped until this function
    // returns, which is after the child has left it (CLONE_VFORK); `entry` points to a pointer that
    // lives as long.
    let answer = unsafe { clone3(&arguments, (&raw mut entry).cast()) };
    let pid = i32::try_from(result(answer)?).ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
    // SAFETY: the kernel has stored a new descriptor, owned by nobody else, with CLONE_PIDFD.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned { pid, pidfd })
}

/// Memory for the child's stack.
struct Stack(*mut libc::c_void);

impl Stack {
    fn new() -> Result<Self, Errno> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), STACK, access, kind, -1, 0) };
        if start == libc::MAP_FAILED { Err(last_errno()) } else { Ok(Self(start)) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this size, and the child has left it.
        let answer = unsafe { libc::munmap(self.0, STACK) };
        debug_assert_eq!(answer, 0, "the stack was mapped");
    }
}

/// Where the child begins: calls the closure and ends the process without running any handler.
extern "C" fn begin(entry: *mut *mut dyn FnMut() -> i32) -> ! {
    // SAFETY: `entry` is the address that `vfork_with` passed, of a pointer in its frame; the caller
    // sleeps until the child execs or ends.
    let closure = unsafe { *entry };
    // SAFETY: the pointer was made there from the only reference to the closure, which lives as long.
    let child = unsafe { &mut *closure };
    let status = child();
    // SAFETY: _exit ends the process at once; nothing of the shared memory is torn down.
    unsafe { libc::_exit(status) }
}

/// The call itself; the child goes on in [`begin`] on its own stack and never returns here.
///
/// # Safety
/// `arguments` must describe a stack that stays mapped, and `entry` must be what [`begin`] expects,
/// both until the child execs or ends.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(arguments: &CloneArguments, entry: *mut libc::c_void) -> libc::c_long {
    let mut answer: libc::c_long = libc::SYS_clone3;
    // SAFETY: in the parent only the registers that the kernel's convention names are changed. In
    // the child rsp is the new stack's end, aligned to 16 bytes as a call wants it, and r12 and r13
    // keep their values over the call.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") answer,
            in("rdi") std::ptr::from_ref(arguments),
            in("rsi") size_of::<CloneArguments>(),
            in("r12") entry,
            in("r13") begin as extern "C" fn(*mut *mut dyn FnMut() -> i32) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    errno_style(answer)
}

/// As above, for aarch64.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(arguments: &CloneArguments, entry: *mut libc::c_void) -> libc::c_long {
    let mut answer: libc::c_long = 0;
    // SAFETY: as above, with the registers of this architecture.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") std::ptr::from_ref(arguments) => answer,
            in("x1") size_of::<CloneArguments>(),
            in("x20") entry,
            in("x21") begin as extern "C" fn(*mut *mut dyn FnMut() -> i32) -> !,
        );
    }
    errno_style(answer)
}

/// A raw answer as libc gives it: -1 and `errno`.
fn errno_style(answer: libc::c_long) -> libc::c_long {
    if (-4095..0).contains(&answer) {
        let number = i32::try_from(-answer).unwrap_or(libc::EINVAL);
        nix::errno::Errno::set(nix::errno::Errno::from_raw(number));
        return -1;
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitOptions, waitpid};

    #[test]
    fn the_child_shares_memory_and_ends_before_the_caller_goes_on() {
        let mut seen = 0;
        let mut child = || {
            seen = 42;
            7
        };
        let cloned = clone_into(CloneFlags::default(), None, &mut child).unwrap();
        let (_, status) = waitpid(Some(cloned.pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(7));
        assert_eq!(seen, 42);
    }
}
