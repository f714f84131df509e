//! Children that have nothing of this process but what they are for.
//!
//! What others have sent is open here until a child closes it ([`super::partings`]). A child that was made for something else has
//! a copy of it, too, and would be the last who closes it, and wait, if it did that late. So nobody goes on before it has.

use crate::sys::{self, Cloned};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// A child that keeps the descriptors of these numbers, and does `work`; its status is what that gives, or 1 where it could not
/// close the others. It has closed them when this returns.
pub(super) fn start(kept: &[i32], work: impl FnOnce() -> i32) -> Result<Cloned, Errno> {
    let (closed, open) = pipe_with(PipeFlags::CLOEXEC)?;
    let child = sys::fork(|| if sys::close_all_but(kept).is_ok() { work() } else { 1 })?;
    drop(open);
    // The end of a pipe whose other end the child has closed with all else, or with its own end.
    while rustix::io::read(&closed, &mut [0; 1]) == Err(Errno::INTR) {}
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsRawFd as _;
    use rustix::process::{WaitOptions, waitpid};
    use std::ffi::OsString;

    #[test]
    fn it_has_closed_all_else_when_it_is_there() {
        let (go_on, go) = rustix::pipe::pipe().unwrap();
        let child = start(&[go_on.as_raw_fd()], || match rustix::io::read(&go_on, &mut [0; 1]) {
            Ok(_) => 7,
            Err(_) => 8,
        });
        let child = child.unwrap();
        let all = std::fs::read_dir(format!("/proc/{}/fd", child.pid.as_raw_nonzero())).unwrap();
        let number = |name: OsString| name.to_str().unwrap().parse::<i32>().unwrap();
        let mut all: Vec<i32> = all.map(|entry| number(entry.unwrap().file_name())).collect();
        all.retain(|number| *number > 2);
        assert_eq!(all, [go_on.as_raw_fd()]);
        drop(go);
        let (_, status) = waitpid(Some(child.pid), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(7));
    }
}
