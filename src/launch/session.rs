//! The session of a jail that runs, as root reaches it from outside: its terminals, and who its tmux server is.

use super::confirm;
use super::error::{LaunchError, cannot};
use super::pts;
use crate::host::paths;
use crate::limits::Kept;
use crate::terminal::mode::Mode;
use crate::terminal::size::Size;
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Where the tmux server's socket is, below the jail's root.
const SOCKET: &str = "run/cellblock/tmux/server";
/// Where its terminals are.
const TERMINALS: &str = "dev/pts";

/// The session of one jail.
#[derive(Debug)]
pub struct Session {
    kept: Kept,
    /// The root of the jail's file system.
    root: OwnedFd,
}

impl Session {
    /// That of the jail of `kept`, which runs.
    ///
    /// # Errors
    /// [`LaunchError::Call`]; `ESRCH` where it has ended.
    pub fn open(kept: &Kept) -> Result<Self, LaunchError> {
        let path = format!("/proc/{}/root", kept.init);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, rustix::fs::Mode::empty())
            .map_err(cannot("open", &path))?;
        // Afterwards: by then the number could have become another process's.
        if kept.cgroup.is_some() && !confirm::is_in_cgroup(kept.init, &kept.cgroup_path)? {
            return Err(cannot("find", "the jail")(Errno::SRCH));
        }
        Ok(Self { kept: kept.clone(), root })
    }

    /// Proves that the tmux session is the agent's: the process that listens on the server's socket
    /// has the agent's uid and lives in the agent's cgroup, by the kernel's word. Gives its pid.
    ///
    /// # Errors
    /// [`LaunchError::NotAsPlanned`] where it is not, [`LaunchError::Call`] where nobody listens.
    pub fn prove(&self) -> Result<i32, LaunchError> {
        let kept = &self.kept;
        let peer = self.server().map_err(cannot("reach", "the tmux server of the jail"))?;
        let differs = |what: &str, expected: String, found: String| LaunchError::NotAsPlanned {
            what: what.to_owned(),
            expected,
            found,
        };
        let uid = peer.uid.as_raw();
        if uid != kept.uid {
            return Err(differs("the tmux server's uid", kept.uid.to_string(), uid.to_string()));
        }
        let pid = peer.pid.as_raw_nonzero().get();
        if kept.cgroup.is_some() && !confirm::is_in_cgroup(pid, &kept.cgroup_path)? {
            let found = format!("elsewhere (pid {pid})");
            return Err(differs("the tmux server's cgroup", kept.cgroup_path.clone(), found));
        }
        Ok(pid)
    }

    /// Who listens on the server's socket (unix(7), `SO_PEERCRED`). Nothing is sent or received, and
    /// nobody is waited for: whoever listens in there may leave its queue full for ever, and connect(2)
    /// would wait with it.
    fn server(&self) -> Result<rustix::net::UCred, Errno> {
        let place = paths::open_below(self.root.as_fd(), SOCKET)?;
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &address)?;
        rustix::net::sockopt::socket_peercred(&socket)
    }

    /// A new terminal of the jail's own, of this size and for a person who types so: its master, which does not block, and the
    /// end for a program inside.
    ///
    /// # Errors
    /// [`LaunchError::Call`]; `ENOSPC` where the jail has all the terminals that it may have.
    pub fn terminal(&self, size: Size, mode: Mode) -> Result<(OwnedFd, OwnedFd), LaunchError> {
        let tree = paths::open_below(self.root.as_fd(), TERMINALS)
            .map_err(cannot("find", "the terminals of the jail"))?;
        pts::open_for(&tree, size, mode)
    }
}
