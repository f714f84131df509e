//! The terminal of the person who looks at an agent, played by the referee.

use super::world::Attacker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// The most that is kept of what is shown, in bytes.
const MOST: usize = 4 << 20;

/// A pseudo terminal: what reaches its master is what a person sees.
#[derive(Debug)]
pub struct Person {
    master: OwnedFd,
    /// The end that the launcher has as its terminal.
    pub slave: OwnedFd,
    shown: Vec<u8>,
}

impl Person {
    /// A terminal that belongs to `owner`.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn new(owner: Attacker) -> Result<Self, Errno> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::unlockpt(&master)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size)?;
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(&slave, Some(uid), Some(gid))?;
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self { master, slave, shown: Vec::new() })
    }

    /// Sees what is there to see.
    pub fn look(&mut self) {
        let mut block = [0; 4096];
        while let Ok(count @ 1..) = rustix::io::read(&self.master, &mut block) {
            if self.shown.len() < MOST {
                self.shown.extend_from_slice(&block[..count]);
            }
        }
    }

    /// All that was shown.
    #[must_use]
    pub fn shown(&self) -> &[u8] {
        &self.shown
    }

    /// Whether something waits to be read on the terminal, though nobody typed.
    #[must_use]
    pub fn typed(&self) -> bool {
        let mut waited = [PollFd::new(&self.slave, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut waited, Some(&now)), Ok(1..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_is_written_and_what_is_typed() {
        let me = Attacker {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        };
        let mut person = Person::new(me).unwrap();
        rustix::io::write(&person.slave, b"hello").unwrap();
        person.look();
        assert_eq!(person.shown(), b"hello");
        assert!(!person.typed());
        rustix::io::write(&person.master, b"x\n").unwrap();
        assert!(person.typed());
    }
}
