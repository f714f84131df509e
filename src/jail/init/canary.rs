//! Tries, in every jail, what the two walls that cannot be read back from outside must refuse.

use crate::plan::LANDLOCK_CANARY;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

/// Tests those of `walls` (names, with commas between) that have a canary.
///
/// # Errors
/// A clause that names the wall that does not stand.
pub(super) fn test(walls: &str) -> Result<(), String> {
    for wall in walls.split(',') {
        match wall {
            "landlock" => landlock()?,
            "seccomp" => seccomp()?,
            _ => {}
        }
    }
    Ok(())
}

/// A file that everybody may read, and that no rule allows.
fn landlock() -> Result<(), String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, LANDLOCK_CANARY, flags, Mode::empty()) {
        Err(Errno::ACCESS) => Ok(()),
        Ok(_) => {
            Err("the wall `landlock` does not stand: a file outside its rules was read".to_owned())
        }
        Err(errno) => Err(format!("cannot test the wall `landlock`: {LANDLOCK_CANARY}: {errno}")),
    }
}

/// A call that every policy refuses, and that does nothing with null pointers.
fn seccomp() -> Result<(), String> {
    match crate::sys::null_call(libc::SYS_io_uring_setup) {
        Some(Errno::PERM | Errno::NOSYS) => Ok(()),
        answer => Err(format!(
            "the wall `seccomp` does not stand: io_uring_setup reached the kernel ({answer:?})"
        )),
    }
}
