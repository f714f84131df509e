//! The walls by name.

use std::fmt;

/// A wall of the jail. The names are stable: profiles, `--without`, `doctor` and the logs use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wall {
    /// A user namespace with a map of exactly one id (user_namespaces(7)).
    User,
    /// A root file system of its own (mount_namespaces(7), pivot_root(2)).
    Mount,
    /// Its own processes only (pid_namespaces(7)).
    Pid,
    /// A network of its own (network_namespaces(7)).
    Network,
    /// System V IPC and POSIX message queues of its own (ipc_namespaces(7)).
    Ipc,
    /// A host name of its own (uts_namespaces(7)).
    Uts,
    /// A cgroup entered at birth, seen as the root of a cgroup namespace (cgroup_namespaces(7)).
    Cgroup,
    /// A new session keyring (session-keyring(7)).
    Keyring,
    /// Empty capability sets and bounding set, locked securebits (capabilities(7)).
    Capabilities,
    /// No privilege by exec (PR_SET_NO_NEW_PRIVS(2const)).
    NoNewPrivs,
    /// The file, network and scope rules of Landlock (landlock(7)).
    Landlock,
    /// The system call filter (seccomp(2)).
    Seccomp,
    /// Resource limits of each process (getrlimit(2)).
    Rlimits,
    /// No descriptor but those the jail needs (close_range(2)).
    Descriptors,
    /// No user namespace inside (`user.max_user_namespaces`, namespaces(7)).
    NestedNamespaces,
    /// No program run from memory (`vm.memfd_noexec`, sysctl/vm documentation).
    MemfdExec,
    /// A limit on memory (cgroup v2 `memory`).
    Memory,
    /// A limit on processes and threads (cgroup v2 `pids`).
    Tasks,
    /// A limit on processor time (cgroup v2 `cpu`).
    Cpu,
    /// A limit on disk traffic (cgroup v2 `io`).
    Io,
    /// A bound on what writable trees hold on disk (project quotas, quotactl(2)).
    Disk,
}

impl Wall {
    /// All walls, in the order in which they are told.
    pub const ALL: [Self; 21] = [
        Self::User,
        Self::Mount,
        Self::Pid,
        Self::Network,
        Self::Ipc,
        Self::Uts,
        Self::Cgroup,
        Self::Keyring,
        Self::Capabilities,
        Self::NoNewPrivs,
        Self::Landlock,
        Self::Seccomp,
        Self::Rlimits,
        Self::Descriptors,
        Self::NestedNamespaces,
        Self::MemfdExec,
        Self::Memory,
        Self::Tasks,
        Self::Cpu,
        Self::Io,
        Self::Disk,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mount",
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Keyring => "keyring",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivs => "no-new-privs",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Rlimits => "rlimits",
            Self::Descriptors => "descriptors",
            Self::NestedNamespaces => "nested-namespaces",
            Self::MemfdExec => "memfd-exec",
            Self::Memory => "memory",
            Self::Tasks => "tasks",
            Self::Cpu => "cpu",
            Self::Io => "io",
            Self::Disk => "disk",
        }
    }

    /// What it does for the agent's neighbours, in a few words.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Self::User => "one id of its own, no power over the host's namespaces",
            Self::Mount => "only the files its profile allows exist",
            Self::Pid => "sees and signals only its own processes",
            Self::Network => "no way out but the one its profile opens",
            Self::Ipc => "no shared memory or queues with others",
            Self::Uts => "a host name of its own",
            Self::Cgroup => "all its processes in one place, from birth",
            Self::Keyring => "no keys of the person who started it",
            Self::Capabilities => "no privileged operation",
            Self::NoNewPrivs => "no privilege from setuid programs",
            Self::Landlock => "the file allowlist a second time, by the kernel's LSM",
            Self::Seccomp => "only the system calls it needs",
            Self::Rlimits => "descriptors, core dumps and file sizes bounded",
            Self::Descriptors => "nothing open that was not given",
            Self::NestedNamespaces => "no user namespace of its own making",
            Self::MemfdExec => "no program run from memory",
            Self::Memory => "cannot take the machine's memory",
            Self::Tasks => "cannot fill the process table",
            Self::Cpu => "cannot take all processor time",
            Self::Io => "cannot take all disk time",
            Self::Disk => "cannot fill the disks of trees it may write",
        }
    }

    /// Finds a wall by name.
    ///
    /// # Errors
    /// A clause that lists the names.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|wall| wall.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|wall| wall.name()).collect();
            format!("`{}` is not a wall; the walls are {}", text.escape_debug(), names.join(", "))
        })
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
