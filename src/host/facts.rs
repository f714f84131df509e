//! The facts as plain data.

use super::audit::Audit;
use super::uids::UidRange;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What the plan must know about this host.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    /// The agent's name, for the uid set apart for it.
    pub agent: String,
    /// Whether the agent has a gate, which needs a uid, too.
    pub gate: bool,
    /// Where new uids come from.
    pub uids: UidRange,
    /// Whether a shim keeps it, which needs one, too.
    pub shim: bool,
    /// A user to look up.
    pub user: Option<String>,
    /// Groups to look up.
    pub groups: Vec<String>,
    /// Host paths to look at, without following symbolic links.
    pub paths: BTreeSet<String>,
    /// Host paths of programs: whether they exist and can be run, links followed.
    pub programs: BTreeSet<String>,
    /// Environment variables to take over from the caller.
    pub variables: BTreeSet<String>,
    /// Writable trees of the host, whose file systems are to be looked at.
    pub disks: BTreeSet<String>,
    /// Directories to walk through, for sockets and for patterns.
    pub trees: BTreeSet<String>,
    /// Directories to walk through for sockets, but for those that are too large or cannot be read.
    pub shown: BTreeSet<String>,
    /// Host paths that are hidden or protected; what matches the patterns is so, too.
    pub masked: BTreeSet<String>,
    /// Globs to match below a directory of the host, as (directory, glob).
    pub patterns: BTreeSet<(String, String)>,
}

/// Everything a plan depends on besides the profile and the command line.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// The kernel.
    pub kernel: Kernel,
    /// The cgroup hierarchy.
    pub cgroups: Cgroups,
    /// Who calls.
    pub caller: Caller,
    /// The account that was asked for, if there is one.
    pub account: Option<Account>,
    /// Groups that were asked for, by name, and their gids.
    pub groups: BTreeMap<String, u32>,
    /// The uid set apart for the agent; an error says why there is none.
    pub auto_uid: AutoUid,
    /// The uid set apart for the agent's gate, if that was asked for.
    pub gate_uid: AutoUid,
    /// The uid set apart for the agent's shim, if that was asked for.
    pub shim_uid: AutoUid,
    /// The file of this program, where it still has a name.
    pub own_program: Option<String>,
    /// Answers to the paths that were asked for.
    pub paths: BTreeMap<String, PathAnswer>,
    /// The file systems of the trees asked for; an error says why one cannot be told. What does not exist
    /// is left out.
    pub disks: BTreeMap<String, Result<Disk, String>>,
    /// Those of the files `io.weight` and `io.bfq.weight` that cgroups below the root have; `None` where
    /// no cgroup shows it now.
    pub io_weights: Option<BTreeSet<String>>,
    /// Symbolic links in `/` to directories below it, as in `bin` to `usr/bin`.
    pub root_links: Vec<(String, String)>,
    /// Those of the programs asked for that exist and can be run.
    pub programs: BTreeSet<String>,
    /// Values of the variables asked for, where they are set.
    pub variables: BTreeMap<String, String>,
    /// The text of the host's `/etc/resolv.conf`, for a jail on the host's network.
    pub resolver: String,
    /// Files that are hidden or protected and have another name (a hard link) in a tree that was walked
    /// through, where it is neither; by path, the other name.
    pub twins: BTreeMap<String, String>,
    /// Unix sockets that somebody listens on now, by path; `None` where the kernel does not tell.
    pub live_sockets: Option<Vec<String>>,
    /// What was found in each directory walked through; an error says why it was not.
    pub walks: BTreeMap<String, Result<Walk, String>>,
}

/// What a walk through a directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Paths of unix sockets below it, relative.
    pub sockets: Vec<String>,
    /// For each glob asked for, the paths that match, relative, and whether each is a directory.
    pub matches: BTreeMap<String, Vec<(String, bool)>>,
}

/// The uid set apart for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AutoUid {
    /// It has had this one before.
    Assigned(u32),
    /// It would get this one.
    Next(u32),
    /// There is none; the text says why.
    None(String),
}

impl AutoUid {
    /// The uid, if there is one.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        match self {
            Self::Assigned(uid) | Self::Next(uid) => Some(*uid),
            Self::None(_) => None,
        }
    }
}

impl Default for AutoUid {
    fn default() -> Self {
        Self::None("nobody asked".to_owned())
    }
}

/// What the running kernel can enforce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Landlock's ABI version; `None` where it is missing or switched off.
    pub landlock_abi: Option<u32>,
    /// Whether filters can be installed.
    pub seccomp: bool,
    /// The namespaces it has, by their name in `/proc/self/ns`.
    pub namespaces: BTreeSet<String>,
    /// Whether `vm.memfd_noexec` exists (Linux 6.3).
    pub memfd_noexec: bool,
    /// Whether `user.max_user_namespaces` exists.
    pub max_user_namespaces: bool,
    /// Whether session keyrings exist.
    pub keyrings: bool,
    /// Machine memory in bytes.
    pub memory: u64,
    /// How many processes and threads there can be (`kernel.threads-max`, `kernel.pid_max`).
    pub tasks: u64,
}

impl Kernel {
    /// Major and minor number of the release.
    #[must_use]
    pub fn number(&self) -> Option<(u32, u32)> {
        let mut parts = self.release.split(|c: char| !c.is_ascii_digit());
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

/// What every jail needs besides walls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Essentials {
    /// The tmux that jails show, if there is one.
    pub tmux: Option<Tmux>,
    /// The UTF-8 locale that programs in a jail find.
    pub utf8: Option<String>,
    /// Whether `/dev/ptmx` exists.
    pub ptmx: bool,
    /// Whether the system bus can be reached.
    pub bus: bool,
    /// Whether the kernel tells how long processes wait for memory, processors and disks.
    pub pressure: bool,
    /// The file systems that the kernel has loaded.
    pub filesystems: BTreeSet<String>,
    /// What is known of the kernel's audit.
    pub audit: Audit,
    /// Whether what filters refuse is recorded where they ask for it.
    pub logs_seccomp: bool,
}

/// A tmux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmux {
    /// Where it is.
    pub path: String,
    /// Its version as it says it; empty where it does not run.
    pub version: String,
    /// The version's numbers, where it has any.
    pub number: Option<(u32, u32)>,
}

/// The slice that holds the cgroups of all agents, below the mount.
pub const SLICE: &str = "cellblock.slice";

/// The cgroup v2 hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// Where it is mounted; `None` where it is not.
    pub mount: Option<PathBuf>,
    /// Controllers it offers at its root.
    pub controllers: BTreeSet<String>,
    /// Controllers that a version 1 hierarchy holds instead.
    pub held_by_v1: BTreeSet<String>,
    /// Who keeps the hierarchy above the agents.
    pub keeper: Keeper,
}

/// Who keeps the cgroup hierarchy: each subtree has one writer, and it must be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keeper {
    /// Nobody: whoever is root makes cgroups.
    #[default]
    Nobody,
    /// systemd (sd_booted(3)).
    Systemd {
        /// The cgroup below the slice of all agents that systemd has handed over to this process or to
        /// one above it (`Delegate=`, systemd.resource-control(5)): its path below the mount.
        delegated: Option<String>,
    },
}

/// Who calls the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Effective uid of the process.
    pub euid: u32,
    /// The person behind it (behind `sudo`, where it was used).
    pub person: Person,
    /// The current directory, if it can be named.
    pub directory: Option<String>,
    /// Whether standard input and output are both a terminal.
    pub terminal: bool,
    /// Whether the person may only choose among what root has made: they have a role, and not root's rights.
    pub bound: bool,
}

/// A person with an account on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// uid.
    pub uid: u32,
    /// Home directory; empty where it is unknown.
    pub home: String,
}

/// An account of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// uid.
    pub uid: u32,
    /// Primary gid.
    pub gid: u32,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathAnswer {
    /// Something, reached without any symbolic link.
    Found(PathFact),
    /// A symbolic link.
    Link {
        /// Its text.
        target: String,
        /// Whether root owns the link and every directory above it.
        trusted: bool,
    },
    /// A component before the last is a symbolic link.
    LinkInside {
        /// The component.
        at: String,
        /// Its text.
        target: String,
    },
    /// Nothing.
    Missing,
    /// It cannot be looked at; the text says why.
    Denied(String),
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFact {
    /// Its type.
    pub kind: Kind,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Major and minor number of the device it is on.
    pub device: (u32, u32),
}

/// The file system that a tree is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Major and minor number of the file system (stat(2), `st_dev`).
    pub device: (u32, u32),
    /// The whole disk below it, as `io.max` wants it; `None` where there is no block device.
    pub block: Option<(u32, u32)>,
    /// Its type, as `ext4`.
    pub kind: String,
    /// What is mounted, as `/dev/sda1`; empty where it is not known.
    pub source: String,
    /// Where it is mounted; empty where it is not known.
    pub mount: String,
    /// What it does about projects.
    pub quota: ProjectQuota,
}

/// What a file system does about project quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectQuota {
    /// It holds projects to their limits.
    Enforced,
    /// It counts, and holds nobody to a limit.
    Counted,
    /// It does neither.
    None,
    /// The kernel cannot be asked.
    NotInKernel,
}

/// Type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A unix socket.
    Socket,
    /// A block or character device.
    Device,
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// The word for it in a sentence.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::File => "a file",
            Self::Socket => "a unix socket",
            Self::Device => "a device",
            Self::Fifo => "a named pipe",
        }
    }
}
