//! Small calls: Landlock's version, descriptors, keyrings, the loopback interface.

use super::{last_errno, result};
use rustix::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// The ABI version of Landlock (landlock_create_ruleset(2)); `None` where it is missing or off.
#[must_use]
pub fn landlock_abi() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with LANDLOCK_CREATE_RULESET_VERSION the call takes a null pointer and a size of 0, and
    // writes nothing.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, VERSION) };
    u32::try_from(answer).ok().filter(|version| *version > 0)
}

/// Marks every descriptor from `first` on to be closed by exec (close_range(2), Linux 5.11).
///
/// # Errors
/// The kernel's answer.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    const CLOEXEC: libc::c_uint = 4;
    // SAFETY: the call takes three numbers; marking descriptors changes no memory, and whoever owns
    // one of them can still use it.
    result(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOEXEC) })?;
    Ok(())
}

/// Joins a new, empty, nameless session keyring (keyctl_join_session_keyring(3)).
///
/// # Errors
/// The kernel's answer; `ENOSYS` where it has no keyrings.
pub fn join_new_session_keyring() -> Result<(), Errno> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    let nameless = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name is what the call documents for a nameless keyring; it writes no memory.
    result(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, nameless) })?;
    Ok(())
}

/// Brings `lo` up in the caller's network namespace (netdevice(7)).
///
/// # Errors
/// The kernel's answer.
pub fn raise_loopback() -> Result<(), Errno> {
    // IFF_UP and IFF_RUNNING, which libc has as int and the request holds as short.
    const UP_AND_RUNNING: libc::c_short = 0x41;
    let socket: OwnedFd =
        socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: ifreq is plain data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l'.cast_signed() as libc::c_char;
    request.ifr_name[1] = b'o'.cast_signed() as libc::c_char;
    request.ifr_ifru.ifru_flags = UP_AND_RUNNING;
    let pointer = std::ptr::from_mut(&mut request);
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which `pointer` refers to for the whole call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, pointer) };
    if answer == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Makes system call `number` with six null arguments and returns the errno it ends with.
///
/// For asking whether a filter stands: a call that reaches the kernel with null pointers ends with
/// `EFAULT` or `EINVAL`, one that the filter stops with the filter's errno. Only for calls that do
/// nothing with null arguments.
#[must_use]
pub fn null_call(number: libc::c_long) -> Option<Errno> {
    // SAFETY: the callers pass calls that read through their arguments before they act; a null
    // pointer makes them fail with EFAULT in the kernel, and no memory of this process is written.
    let answer = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
    if answer < 0 { Some(last_errno()) } else { None }
}

/// The descriptor `number` that this process was started with.
///
/// # Errors
/// `EBADF` where there is none, or where it is one of the standard ones.
pub fn inherited(number: i32) -> Result<OwnedFd, Errno> {
    if number <= 2 {
        return Err(Errno::BADF);
    }
    // SAFETY: F_GETFD takes a number and touches no memory.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(last_errno());
    }
    // SAFETY: the descriptor is open; init calls this once, at its start, before anything else in the
    // process could own it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Binds the calling process by `filter`, and has the kernel record what that refuses (seccomp(2), `SECCOMP_FILTER_FLAG_LOG`,
/// Linux 4.14). The process must have given up new privileges.
///
/// # Errors
/// The kernel's answer; `EINVAL` where `filter` is empty or longer than the kernel takes.
pub fn install_logged_filter(filter: &[seccompiler::sock_filter]) -> Result<(), Errno> {
    let len = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    // `struct sock_filter` is laid out alike in both crates, and the kernel only reads it.
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut().cast() };
    let pointer = std::ptr::from_ref(&program);
    let (mode, log) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_LOG);
    // SAFETY: the kernel copies `len` instructions that `filter` holds for the whole call, and writes nothing.
    result(unsafe { libc::syscall(libc::SYS_seccomp, mode, log, pointer) })?;
    Ok(())
}
