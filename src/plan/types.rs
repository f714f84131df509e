//! The plan as plain data.

use crate::config::Audit;
use crate::egress::proxy::Proxy;
use crate::egress::rules::Rules as EgressRules;
use crate::host::uids::UidRange;
use crate::jobs::ledger::Rules as JobRules;
use crate::policy::network::{Credential, Upstream};
use crate::policy::seccomp::Program;
use crate::profile::Wall;
use crate::profile::types::{Access, Network};
use crate::watch::rules::Rules;
use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// Every value of one jail.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The agent's name.
    pub agent: String,
    /// The profile's name.
    pub profile: String,
    /// `exec` or `run`.
    pub mode: super::Mode,
    /// Who the agent is.
    pub identity: Identity,
    /// What it runs.
    pub command: CommandPlan,
    /// Every wall and whether it stands.
    pub walls: Vec<WallPlan>,
    /// Mounts, parents before children; the first is the root.
    pub mounts: Vec<Mount>,
    /// What is hidden or protected inside mounts, performed after them.
    pub masks: Vec<Mask>,
    /// Paths below `/proc` that are covered, where the kernel has them.
    pub proc_masks: Vec<&'static str>,
    /// Landlock's rules.
    pub landlock: LandlockPlan,
    /// The network.
    #[serde(serialize_with = "network_word")]
    pub network: Network,
    /// Whom it may reach by the gate, where there is anybody.
    pub egress: Option<EgressPlan>,
    /// The system call filter.
    pub seccomp: SeccompPlan,
    /// The cgroup.
    pub cgroup: CgroupPlan,
    /// Limits of each process.
    pub rlimits: Vec<Rlimit>,
    /// What writable trees hold on disk.
    pub disk: DiskPlan,
    /// Bytes above which the memory watch ends the agent, where it stands in for the controller.
    pub memory_watch: Option<u64>,
    /// The environment.
    pub environment: Vec<Variable>,
    /// Which jobs and notes it may have, in `run`.
    pub jobs: Option<JobsPlan>,
    /// What the watch is to find at it, in `run`.
    pub watch: Option<WatchPlan>,
    /// The tmux session, in `run`.
    pub terminal: Option<TerminalPlan>,
    /// The folder of the host with the journals.
    pub log: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn network_word<S: Serializer>(network: &Network, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(network.word())
}

impl Plan {
    /// Whether `wall` stands in this jail.
    #[must_use]
    pub fn stands(&self, wall: Wall) -> bool {
        self.walls
            .iter()
            .any(|plan| plan.wall == wall && matches!(plan.state, WallState::Stands(_)))
    }
}

/// Which jobs and notes the agent may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobsPlan {
    /// How many, and how long.
    pub rules: JobRules,
    /// Where that comes from.
    pub origin: String,
}

/// What the watch is to find, and what is done then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WatchPlan {
    /// Every rule.
    pub rules: Rules,
    /// Where what is done about each comes from, by its name.
    pub origins: BTreeMap<&'static str, String>,
    /// Events of processes on the whole host that are read a second.
    pub events_per_second: u32,
    /// What becomes of the kernel's records of refusals.
    #[serde(serialize_with = "audit_word")]
    pub audit: Audit,
    /// From where it gets its uid.
    #[serde(skip)]
    pub uids: UidRange,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn audit_word<S: Serializer>(audit: &Audit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(audit.word())
}

/// Who the agent is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// uid, the same inside and outside.
    pub uid: u32,
    /// gid, the same inside and outside.
    pub gid: u32,
    /// Supplementary groups, numbers of the host.
    pub groups: Vec<u32>,
    /// User name inside.
    pub user: String,
    /// Home directory inside.
    pub home: String,
    /// File mode creation mask.
    pub umask: u32,
    /// Whether the uid was taken from the range for agents and is not yet in the book.
    pub new_uid: bool,
    /// Where the choice comes from.
    pub origin: String,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandPlan {
    /// Program and arguments.
    pub words: Vec<String>,
    /// Where it starts.
    pub workdir: String,
    /// Where the command comes from.
    pub origin: String,
}

/// One wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WallPlan {
    /// Which.
    #[serde(serialize_with = "wall_name")]
    pub wall: Wall,
    /// Whether it stands.
    pub state: WallState,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn wall_name<S: Serializer>(wall: &Wall, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(wall.name())
}

/// Whether a wall stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "detail", rename_all = "kebab-case")]
pub enum WallState {
    /// It stands; the text says how.
    Stands(String),
    /// It was named as one to do without; the text says by whom and what stands in.
    Without(String),
    /// This kernel does not have it, and no profile can ask for it; the text says since when it exists.
    NotInKernel(String),
    /// The profile sets no such limit.
    NotSet,
    /// It cannot stand here, and nobody named it: only in a [`super::Draft`], never in a plan that is
    /// launched. The text says why.
    CannotStand(String),
}

/// One mount of the jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it appears.
    pub at: String,
    /// What appears.
    pub source: Source,
    /// Whether it can be written.
    pub write: bool,
    /// Whether programs can be run from it.
    pub execute: bool,
    /// Where it comes from.
    pub origin: String,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Source {
    /// A directory or file of the host, with everything mounted below it.
    Host {
        /// Its path.
        path: String,
        /// Whether it is a directory.
        directory: bool,
        /// How owners are translated, if they are.
        idmap: Option<Idmap>,
    },
    /// A new file system in memory.
    Memory {
        /// Bytes.
        size: u64,
        /// Files and directories.
        inodes: u64,
        /// Permission bits of its root.
        mode: u32,
        /// Whether its root belongs to the agent.
        agent: bool,
        /// Whether device nodes work in it.
        devices: bool,
        /// What it holds at the start.
        nodes: Vec<Node>,
    },
    /// Pseudo terminals of its own.
    Pts {
        /// How many at the most.
        max: u32,
    },
    /// The processes of the jail.
    Proc,
}

/// Owners as they are on disk; inside they are the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idmap {
    /// uid on disk.
    pub uid: u32,
    /// gid on disk.
    pub gid: u32,
}

/// Something made in a file system in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Node {
    /// Path relative to the file system's root.
    pub path: String,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum Content {
    /// A directory; the bool says whether it belongs to the agent.
    Directory {
        /// Whether it belongs to the agent.
        agent: bool,
    },
    /// A file, readable by everybody.
    File(String),
    /// A symbolic link.
    Link(String),
    /// Something that nobody but root can open, to cover other things with.
    Blank {
        /// Whether it is a directory.
        directory: bool,
    },
    /// A character device.
    Device {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A socket that the gate listens on.
    Socket,
    /// A socket on which the agent asks for what its profile lets it have; the shim listens.
    Door,
}

/// Something hidden or protected inside a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    /// Where, in the jail.
    pub at: String,
    /// What is done there.
    pub kind: MaskKind,
    /// Where it comes from.
    pub origin: String,
}

/// What a mask does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MaskKind {
    /// Covered by an empty, unreadable file or directory.
    Hide {
        /// Whether it is a directory.
        directory: bool,
    },
    /// Covered by itself, read-only.
    Protect,
    /// Covered by itself, unchanged: a directory above a protected path, which thereby cannot be renamed.
    Pin,
    /// Does not exist: an empty stub is made on the host for the time of the jail, and covered read-only.
    Stub {
        /// The stub's path on the host.
        host: String,
        /// Whether it is a directory.
        directory: bool,
    },
}

/// Landlock's part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockPlan {
    /// The kernel's ABI.
    pub abi: u32,
    /// The rules.
    pub rules: Vec<LandlockRule>,
    /// Whether TCP is restricted (to nothing).
    pub restrict_tcp: bool,
    /// Whether signals and abstract sockets stay inside (ABI 6).
    pub scopes: bool,
    /// Whether the kernel records what is refused, where it audits.
    pub log: Log,
}

/// Whether the kernel records what a wall refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "records", content = "why", rename_all = "kebab-case")]
pub enum Log {
    /// It does.
    On,
    /// It does not; the text says why.
    Off(String),
}

impl Default for Log {
    fn default() -> Self {
        Self::Off(String::new())
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockRule {
    /// A path in the jail.
    pub path: String,
    /// What is allowed at it and below.
    pub rights: Rights,
}

/// Rights of a rule, as sets of Landlock's access rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rights {
    /// Directories can be listed, nothing else.
    List,
    /// Those of an entry of the profile.
    Tree(TreeRights),
    /// Device files: read, write, ioctl.
    Devices,
    /// A socket: connect.
    Socket,
}

/// Rights of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRights {
    /// Create, change, remove.
    pub write: bool,
    /// Run.
    pub execute: bool,
}

impl From<Access> for TreeRights {
    fn from(access: Access) -> Self {
        Self { write: access.write, execute: access.execute }
    }
}

/// Whom the agent may reach, and who carries its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EgressPlan {
    /// The process outside that carries them.
    pub gate: HelperPlan,
    /// Whether names are answered and connections taken in the jail's network.
    pub listens: bool,
    /// All its rules; none where it does not listen.
    pub rules: EgressRules,
    /// The service that it reaches by a socket.
    pub api: Option<ApiPlan>,
    /// Connections that are open at once.
    pub connections: u32,
    /// Connections that are opened in a second.
    pub rate: u32,
    /// Bytes that are sent and received together, as long as the jail lives.
    pub bytes: Option<u64>,
    /// The proxy of this host, by which it reaches the world.
    #[serde(serialize_with = "proxy_place")]
    pub proxy: Option<Proxy>,
    /// Where it comes from.
    pub origin: String,
}

/// A proxy is shown without its password.
#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn proxy_place<S: Serializer>(proxy: &Option<Proxy>, serializer: S) -> Result<S::Ok, S::Error> {
    proxy.as_ref().map(ToString::to_string).serialize(serializer)
}

/// A service by a socket in the jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiPlan {
    /// Where the socket is in the jail.
    pub socket: String,
    /// The service.
    #[serde(serialize_with = "shown")]
    pub upstream: Upstream,
    /// The file of the host that holds its credential; what is in it is no part of the plan.
    pub key: String,
    /// Where in a request the credential stands.
    #[serde(serialize_with = "shown")]
    pub header: Credential,
    /// The file of the host with the authorities that its certificate is checked by; the host's own where there is none.
    pub ca: Option<String>,
    /// Addresses that are refused else, and to which its name may lead.
    pub addresses: Vec<IpNet>,
    /// Where it comes from.
    pub origin: String,
}

fn shown<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Who a process of cellblock outside the jail is: its gate, or its shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HelperPlan {
    /// uid and gid, of this agent's alone.
    pub uid: u32,
    /// Whether the uid is not yet in the book.
    pub new_uid: bool,
}

/// The filter.
#[derive(Clone, Debug, Serialize)]
pub struct SeccompPlan {
    /// The policy's name.
    pub policy: String,
    /// Where the choice comes from.
    pub origin: String,
    /// Calls that are allowed, some only with certain arguments.
    pub allowed: usize,
    /// Whether the kernel records what it refuses and programs do not expect.
    pub log: Log,
    /// The program; not part of what is printed.
    #[serde(skip)]
    pub program: Program,
    /// The one by which that is recorded.
    #[serde(skip)]
    pub told: Option<Program>,
}

/// The cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CgroupPlan {
    /// Where cgroup v2 is mounted.
    pub mount: String,
    /// The slice of all agents, below the mount.
    pub slice: &'static str,
    /// Where in the slice the agent's cgroup is made.
    pub parent: Parent,
    /// Controllers that must be on for the settings.
    pub controllers: Vec<&'static str>,
    /// Settings of the slice: what all agents together may use.
    pub ceiling: Vec<Limit>,
    /// Settings of the agent's own cgroup.
    pub limits: Vec<Limit>,
}

/// Where the agent's cgroup is made. Each subtree has one writer: what systemd keeps, it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "path", rename_all = "kebab-case")]
pub enum Parent {
    /// In the slice itself, which cellblock makes.
    #[default]
    Slice,
    /// In a scope of its own that systemd makes in the slice and hands over.
    Scope,
    /// In this cgroup, which systemd has handed over already.
    Delegated(String),
}

/// One setting of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The interface file.
    pub file: &'static str,
    /// What is written to it.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

impl Limit {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.value == "max" || self.value.starts_with("max ")
    }
}

/// Bounds on what writable trees of the host hold on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskPlan {
    /// One for each file system that is bounded.
    pub bounds: Vec<DiskBound>,
    /// Every writable tree of the host, with what bounds it.
    pub trees: Vec<DiskTree>,
}

/// A bound on what the writable trees of one file system hold together, what is there at the start
/// counted: a project quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskBound {
    /// Major and minor number of the file system.
    pub device: (u32, u32),
    /// Its type.
    pub kind: String,
    /// The project's number: the agent's uid, or one far above those of persons, whose projects are the admin's.
    pub project: u32,
    /// Bytes.
    pub bytes: u64,
    /// Files, directories and all else that takes an inode.
    pub inodes: u64,
    /// The trees, none inside another.
    pub trees: Vec<String>,
    /// Where it comes from.
    pub origin: String,
}

/// A writable tree of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskTree {
    /// Where it appears.
    pub at: String,
    /// What bounds it.
    pub bound: TreeBound,
}

/// What bounds a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "bound", content = "detail", rename_all = "kebab-case")]
pub enum TreeBound {
    /// A project quota; the text says which.
    Quota(String),
    /// Nothing; the text says why.
    None(String),
}

/// A limit of each process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rlimit {
    /// Which.
    pub resource: RlimitName,
    /// Soft and hard limit alike.
    pub value: u64,
    /// Where it comes from.
    pub origin: String,
}

/// The limits that are used (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RlimitName {
    /// `RLIMIT_NOFILE`.
    OpenFiles,
    /// `RLIMIT_FSIZE`.
    FileSize,
    /// `RLIMIT_CORE`.
    Core,
    /// `RLIMIT_NPROC`, counted for each uid.
    Processes,
    /// `RLIMIT_MEMLOCK`.
    LockedMemory,
    /// `RLIMIT_MSGQUEUE`.
    MessageQueues,
    /// `RLIMIT_RTPRIO`.
    RealTime,
}

/// One variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, or where the value is.
    pub value: Value,
    /// Where it comes from.
    pub origin: String,
}

/// A variable's value.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Known and shown.
    Plain(String),
    /// Taken over from the caller: known and not shown.
    Passed(String),
    /// In a file that only root can read: read at the launch.
    Secret(String),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Value {
    /// What may be printed.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Passed(_) => "(passed from the caller)".to_owned(),
            Self::Secret(file) => format!("(secret in {file})"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

/// The tmux session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TerminalPlan {
    /// tmux in the jail.
    pub tmux: String,
    /// The session's name.
    pub session: String,
    /// The server's socket in the jail.
    pub socket: String,
    /// The configuration file in the jail.
    pub config: String,
    /// Columns and rows where no terminal is attached.
    pub size: (u16, u16),
    /// Who keeps it outside.
    pub shim: HelperPlan,
    /// What becomes of what the session shows; nothing where it is not recorded.
    pub record: Option<RecordPlan>,
}

/// The recordings of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordPlan {
    /// The directory that holds the agent's recordings, on the host and out of the agent's reach.
    pub folder: String,
    /// How much of them is kept, all of them together, in bytes.
    pub bound: u64,
    /// Where that they are made is from.
    pub origin: String,
}
