//! A profile whose every value is checked: the only kind that `plan` accepts.

use crate::document::Located;
use crate::policy::network::{Credential, Denial, Rule, Upstream};
use ipnet::IpNet;
use std::fmt;

mod name;
mod path;
mod quantity;
mod wall;
mod watch;

pub use name::{AgentName, VariableName};
pub use path::{CREDENTIAL, HostPath, JailPath, Pattern, SecretPlace};
pub use quantity::{Bytes, Cpus};
pub use wall::Wall;
pub use watch::{Jobs, Watch};

/// A validated profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The name it is known by; the default name of its agent.
    pub name: String,
    /// One sentence for `ls` and `explain`.
    pub description: String,
    /// Absolute paths of the files it was read from; the shipped ones have none.
    pub files: Vec<String>,
    /// Who the agent is and what it runs.
    pub agent: Agent,
    /// What its environment holds.
    pub environment: Environment,
    /// What it may read, write and execute.
    pub filesystem: Filesystem,
    /// Whom it may talk to.
    pub network: Located<Network>,
    /// Whom it may reach by name, where `network` says so.
    pub egress: Egress,
    /// What it may use.
    pub limits: Limits,
    /// Name of the seccomp policy.
    pub seccomp: Located<String>,
    /// The tmux session.
    pub terminal: Terminal,
    /// Which jobs and notes it may have.
    pub jobs: Jobs,
    /// What the watch is to find.
    pub watch: Watch,
    /// The walls it may run without, as its author named them.
    pub without: Vec<Located<Wall>>,
}

/// Who the agent is.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Whose uid it gets.
    pub user: Located<User>,
    /// Supplementary groups, by name or number.
    pub groups: Vec<Located<String>>,
    /// The command and its arguments.
    pub command: Option<Located<Vec<String>>>,
    /// Where the command starts, inside the jail.
    pub workdir: Option<Located<JailPath>>,
    /// The home directory inside the jail.
    pub home: Located<JailPath>,
    /// File mode creation mask.
    pub umask: Located<u32>,
}

/// How the agent's uid is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// A stable uid of its own, from the range that is set apart for agents.
    Auto,
    /// A user of the host, by name.
    Name(String),
    /// A number.
    Uid(u32),
}

/// The environment: nothing passes that is not named.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Variables taken over from the caller, where they are set.
    pub pass: Vec<Located<VariableName>>,
    /// Variables with a fixed value.
    pub set: Vec<(VariableName, Located<String>)>,
    /// Variables whose value is read from a file that only root can read.
    pub secrets: Vec<(VariableName, Located<SecretPlace>)>,
}

/// What the agent may reach in the file system.
#[derive(Clone, Debug)]
pub struct Filesystem {
    /// Allowed trees, in the order written; one entry a path.
    pub entries: Vec<Entry>,
    /// What is hidden inside allowed trees.
    pub hide: Vec<Located<Pattern>>,
    /// What is read-only inside writable trees, existing or not.
    pub protect: Vec<Located<Pattern>>,
    /// Size of `/tmp`, in memory.
    pub tmp: MemoryTree,
    /// Size of the home directory, where it is in memory.
    pub home: MemoryTree,
    /// What stands at `/workspace`.
    pub workspace: Located<Workspace>,
}

/// Bounds of a tree kept in memory.
#[derive(Clone, Debug)]
pub struct MemoryTree {
    /// Bytes.
    pub size: Located<Bytes>,
    /// Files and directories.
    pub inodes: Located<u64>,
    /// Whether programs can be run from it.
    pub execute: Located<bool>,
}

/// What an entry allows. Reading is always part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// Create, change, remove.
    pub write: bool,
    /// Run programs and map code.
    pub execute: bool,
}

impl Access {
    /// Both rights of `self` and `other`.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { write: self.write || other.write, execute: self.execute || other.execute }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.write, self.execute) {
            (false, false) => "read",
            (true, false) => "read, write",
            (false, true) => "read, execute",
            (true, true) => "read, write, execute",
        })
    }
}

/// One allowed tree or file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is on the host.
    pub path: Located<HostPath>,
    /// Where it appears in the jail.
    pub at: JailPath,
    /// What may be done there.
    pub access: Access,
    /// Whether it is left out where the host does not have it.
    pub optional: bool,
    /// Whose files they are.
    pub owner: Owner,
}

/// Whose the files of an entry are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// As on disk: the agent's rights are those of its own uid.
    Disk,
    /// The agent's inside, the person's on disk: an idmapped mount.
    Host,
}

/// What stands at `/workspace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workspace {
    /// The directory given by `--workspace`, else the current one.
    Current,
    /// The directory given by `--workspace`, else an empty one in memory.
    Memory,
    /// Nothing.
    None,
}

/// Whom the agent may talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Nobody: a network of its own in which even `lo` is down.
    None,
    /// Itself: a network of its own with `lo` up.
    Loopback,
    /// Those whom its rules name: a network of its own, out of which every connection goes by the gate.
    Allowlist,
    /// Everybody: the host's own network. A relaxation.
    Host,
}

impl Network {
    /// The word for it in a profile.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Loopback => "loopback",
            Self::Allowlist => "allowlist",
            Self::Host => "host",
        }
    }
}

/// Whom the agent may reach by name, and how much of it.
#[derive(Clone, Debug)]
pub struct Egress {
    /// Rules of the profile itself.
    pub allow: Vec<Rule>,
    /// What it refuses, whatever else allows.
    pub deny: Vec<Denial>,
    /// The network policies whose rules it has, too.
    pub policies: Vec<Located<String>>,
    /// Connections that are open at once.
    pub connections: Located<u64>,
    /// Connections that are opened in a second.
    pub rate: Located<u64>,
    /// Bytes that are sent and received together, as long as the jail lives.
    pub bytes: Option<Located<Bytes>>,
    /// A service that it reaches by a socket, whatever its network.
    pub api: Option<Api>,
}

/// An HTTP service by a socket in the jail, with a credential that never comes into it.
#[derive(Clone, Debug)]
pub struct Api {
    /// Where the socket is in the jail.
    pub socket: Located<JailPath>,
    /// The service.
    pub upstream: Located<Upstream>,
    /// Where the credential is on the host.
    pub key: Located<SecretPlace>,
    /// Where in a request the credential stands.
    pub header: Located<Credential>,
    /// Authorities by which the service's certificate is checked, in place of the host's own.
    pub ca: Option<Located<HostPath>>,
    /// Addresses that are refused else, and to which its name may lead.
    pub addresses: Vec<IpNet>,
}

/// What the agent may use. A limit that is not set is not enforced.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Hard memory limit (`memory.max`).
    pub memory: Option<Located<Bytes>>,
    /// Memory above which the agent is slowed down (`memory.high`).
    pub memory_high: Option<Located<Bytes>>,
    /// Swap (`memory.swap.max`).
    pub swap: Option<Located<Bytes>>,
    /// Who ends where memory runs out (`memory.oom.group`).
    pub oom: Option<Located<Oom>>,
    /// Processes and threads (`pids.max`).
    pub tasks: Option<Located<u64>>,
    /// Processors' worth of time (`cpu.max`).
    pub cpu: Option<Located<Cpus>>,
    /// Share of the processors under contention, 1 to 10000 (`cpu.weight`).
    pub cpu_weight: Option<Located<u64>>,
    /// Bytes a second, read and write each, on the disks of writable trees (`io.max`).
    pub io: Option<Located<Bytes>>,
    /// Share of the disks under contention, 1 to 10000 (`io.weight`).
    pub io_weight: Option<Located<u64>>,
    /// Bytes that the writable trees of one file system hold together (project quota).
    pub disk: Option<Located<Bytes>>,
    /// Open descriptors of one process (`RLIMIT_NOFILE`).
    pub open_files: Option<Located<u64>>,
    /// Size of one file (`RLIMIT_FSIZE`).
    pub file_size: Option<Located<Bytes>>,
    /// Size of a core dump (`RLIMIT_CORE`).
    pub core: Option<Located<Bytes>>,
}

/// Who ends where an agent's memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oom {
    /// The process that uses too much; the session last.
    Offender,
    /// Every process of the agent.
    All,
}

/// The tmux session.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Its name.
    pub session: Located<AgentName>,
    /// Lines of history of each pane.
    pub history: Located<u64>,
    /// Columns and rows where no terminal is attached.
    pub size: Located<(u16, u16)>,
    /// Whether the agent's own `~/.tmux.conf` is read after the shipped configuration.
    pub own_config: Located<bool>,
    /// Whether what the session shows is recorded.
    pub record: Located<bool>,
    /// How much of the agent's recordings is kept, all of them together.
    pub record_size: Located<Bytes>,
}
