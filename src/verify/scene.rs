//! What an attack knows about the world it is made in, and the calls that are watched from outside.

use crate::sys::{self, Argument, Entry};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// What the prober is told. Paths of the host are as they are outside; in a jail most lead nowhere.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scene {
    /// The probe.
    pub id: String,
    /// Where the prober stands: `command`, `control`, or the helper in whose place it is.
    pub place: String,
    /// What the attack leaves or sends where it succeeds. Unguessable, and new for each attempt.
    pub token: String,
    /// Answered to show that the jail lives.
    pub challenge: String,
    /// The directory of the attempt on the host.
    pub world: String,
    /// Files of the whole run on the host, which nobody but root can change.
    pub masters: String,
    /// The workspace, as the prober reaches it.
    pub workspace: String,
    /// A directory that the prober may write, as it reaches it.
    pub scratch: String,
    /// The agent's home, as the prober reaches it.
    pub home: String,
    /// The uid of the agent.
    pub uid: u32,
    /// A process of the agent's uid outside, by its pid outside.
    pub victim: i32,
    /// A TCP port of all the host's addresses where somebody listens.
    pub tcp: u16,
    /// A TCP port of all its IPv6 addresses where somebody listens; 0 where it has none.
    pub tcp6: u16,
    /// A UDP port of all its addresses where somebody listens.
    pub udp: u16,
    /// An address by which others reach the host; empty where it has none.
    pub address: String,
    /// The name of an abstract Unix socket where somebody listens; with `-datagram` after it, of one that
    /// takes datagrams.
    pub abstract_name: String,
    /// The key of a System V shared memory segment, of semaphores and a message queue of the agent's uid.
    pub ipc_key: i32,
    /// The name of a POSIX message queue, of shared memory and of a key, all of the agent's uid.
    pub name: String,
    /// Whether the jail has a root of its own.
    pub own_root: bool,
    /// tmux, as the prober reaches it.
    pub tmux: String,
    /// The socket of the tmux server of the session, where there is one.
    pub socket: String,
    /// Where cgroup v2 is mounted on the host.
    pub cgroups: String,
    /// Closing this descriptor, which does not exist, announces the watched call.
    pub mark: i32,
}

impl Scene {
    /// A path in the world of the attempt.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.world)
    }

    /// A path among the files of the whole run.
    #[must_use]
    pub fn master(&self, path: &str) -> String {
        format!("{}/{path}", self.masters)
    }

    /// A path in the workspace.
    #[must_use]
    pub fn in_workspace(&self, path: &str) -> String {
        format!("{}/{path}", self.workspace)
    }

    /// A path in the directory that the prober may write.
    #[must_use]
    pub fn in_scratch(&self, path: &str) -> String {
        format!("{}/{path}", self.scratch)
    }

    /// Makes the system call that decides, so that the referee sees the kernel's answer.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn call(&self, number: libc::c_long, arguments: &mut [Argument<'_>]) -> Result<u64, Errno> {
        sys::attempt(self.mark, Entry::Native, number, arguments)
    }

    /// As [`Scene::call`], by `int 0x80` with a number of i386.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn call_i386(
        &self,
        number: libc::c_long,
        arguments: &mut [Argument<'_>],
    ) -> Result<u64, Errno> {
        sys::attempt(self.mark, Entry::I386, number, arguments)
    }

    /// As [`Scene::call`], of clone3(2): a child that ends at once. Its pid.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn clone3(&self, flags: u64) -> Result<i32, Errno> {
        sys::attempt_clone3(self.mark, flags)
    }

    /// As [`Scene::clone3`], of clone(2).
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn make_child(&self, flags: u64) -> Result<i32, Errno> {
        sys::attempt_clone(self.mark, flags)
    }
}
