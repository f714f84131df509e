//! The author's claim: what a profile file says, with the place of every value.
//!
//! Decides which keys exist. Never interprets a value: a [`RawProfile`] is good for nothing but
//! [`super::inherit`] and [`super::validate`].

mod watch;

pub use watch::{RawBackground, RawCount, RawDetached, RawSpawns, RawWatch};

use crate::document::{Item, Located, Problem, Problems, Reader, TableReader};
use crate::policy::network::RawRule;

/// A profile file as written.
#[derive(Clone, Debug, Default)]
pub struct RawProfile {
    /// `schema`: must be 1.
    pub schema: Option<Located<i64>>,
    /// `description`.
    pub description: Option<Located<String>>,
    /// `extends`: profiles below this one.
    pub extends: Vec<Located<String>>,
    /// `[agent]`.
    pub agent: RawAgent,
    /// `[environment]`.
    pub environment: RawEnvironment,
    /// `[filesystem]`.
    pub filesystem: RawFilesystem,
    /// `[network]`.
    pub network: RawNetwork,
    /// `[limits]`.
    pub limits: RawLimits,
    /// `[seccomp] policy`.
    pub seccomp: Option<Located<String>>,
    /// `[terminal]`.
    pub terminal: RawTerminal,
    /// `[jobs]`.
    pub jobs: RawJobs,
    /// `[watch]`.
    pub watch: RawWatch,
    /// `[enforcement] without`.
    pub without: Vec<Located<String>>,
}

/// `[agent]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawAgent {
    /// `user`.
    pub user: Option<Located<String>>,
    /// `groups`.
    pub groups: Vec<Located<String>>,
    /// `command`.
    pub command: Option<Located<Vec<String>>>,
    /// `workdir`.
    pub workdir: Option<Located<String>>,
    /// `home`.
    pub home: Option<Located<String>>,
    /// `umask`.
    pub umask: Option<Located<String>>,
}

/// `[environment]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawEnvironment {
    /// `pass`.
    pub pass: Vec<Located<String>>,
    /// `set`.
    pub set: Vec<(String, Located<String>)>,
    /// `secrets`.
    pub secrets: Vec<(String, Located<String>)>,
}

/// `[filesystem]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawFilesystem {
    /// `read`.
    pub read: Vec<RawEntry>,
    /// `write`.
    pub write: Vec<RawEntry>,
    /// `execute`.
    pub execute: Vec<RawEntry>,
    /// `hide`.
    pub hide: Vec<Located<String>>,
    /// `protect`.
    pub protect: Vec<Located<String>>,
    /// `tmp_size`.
    pub tmp_size: Option<Located<String>>,
    /// `tmp_inodes`.
    pub tmp_inodes: Option<Located<i64>>,
    /// `tmp_execute`.
    pub tmp_execute: Option<Located<bool>>,
    /// `home_size`.
    pub home_size: Option<Located<String>>,
    /// `home_inodes`.
    pub home_inodes: Option<Located<i64>>,
    /// `home_execute`.
    pub home_execute: Option<Located<bool>>,
    /// `workspace`.
    pub workspace: Option<Located<String>>,
}

/// A path, or `{ path, at, optional, owner }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// `path`.
    pub path: Located<String>,
    /// `at`.
    pub at: Option<Located<String>>,
    /// `optional`.
    pub optional: Option<Located<bool>>,
    /// `owner`.
    pub owner: Option<Located<String>>,
}

/// `[network]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawNetwork {
    /// `mode`.
    pub mode: Option<Located<String>>,
    /// `policy`: network policies, by name.
    pub policies: Vec<Located<String>>,
    /// `allow`.
    pub allow: Vec<RawRule>,
    /// `deny`.
    pub deny: Vec<Located<String>>,
    /// `connections`.
    pub connections: Option<Located<i64>>,
    /// `rate`.
    pub rate: Option<Located<i64>>,
    /// `bytes`.
    pub bytes: Option<Located<String>>,
    /// `api`.
    pub api: Option<Located<RawApi>>,
}

/// `[network.api]` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawApi {
    /// `socket`.
    pub socket: Option<Located<String>>,
    /// `upstream`.
    pub upstream: Option<Located<String>>,
    /// `key`.
    pub key: Option<Located<String>>,
    /// `header`.
    pub header: Option<Located<String>>,
    /// `ca`.
    pub ca: Option<Located<String>>,
    /// `addresses`.
    pub addresses: Vec<Located<String>>,
}

/// `[limits]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawLimits {
    /// `memory`.
    pub memory: Option<Located<String>>,
    /// `memory_high`.
    pub memory_high: Option<Located<String>>,
    /// `swap`.
    pub swap: Option<Located<String>>,
    /// `oom`.
    pub oom: Option<Located<String>>,
    /// `tasks`.
    pub tasks: Option<Located<i64>>,
    /// `cpu`.
    pub cpu: Option<Located<String>>,
    /// `cpu_weight`.
    pub cpu_weight: Option<Located<i64>>,
    /// `io`.
    pub io: Option<Located<String>>,
    /// `io_weight`.
    pub io_weight: Option<Located<i64>>,
    /// `disk`.
    pub disk: Option<Located<String>>,
    /// `open_files`.
    pub open_files: Option<Located<i64>>,
    /// `file_size`.
    pub file_size: Option<Located<String>>,
    /// `core`.
    pub core: Option<Located<String>>,
}

/// `[jobs]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawJobs {
    /// `most`.
    pub most: Option<Located<i64>>,
    /// `longest`.
    pub longest: Option<Located<String>>,
    /// `notes`.
    pub notes: Option<Located<i64>>,
}

/// `[terminal]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawTerminal {
    /// `session`.
    pub session: Option<Located<String>>,
    /// `history`.
    pub history: Option<Located<i64>>,
    /// `size`.
    pub size: Option<Located<String>>,
    /// `own_config`.
    pub own_config: Option<Located<bool>>,
    /// `record`.
    pub record: Option<Located<bool>>,
    /// `record_size`.
    pub record_size: Option<Located<String>>,
}

impl RawProfile {
    /// Reads `text`, called `name` in messages.
    ///
    /// # Errors
    /// Every problem of syntax, type and unknown keys.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        let (profile, problems) = Self::parse_whole(name, text);
        problems.into_result(profile)
    }

    /// As [`RawProfile::parse`], with what could be read beside the problems.
    #[must_use]
    pub fn parse_whole(name: &str, text: &str) -> (Self, Problems) {
        Reader::read_whole(name, text, |reader, mut root| {
            let profile = Self::from_table(reader, &mut root);
            root.finish(reader);
            profile
        })
    }

    fn from_table(reader: &mut Reader, root: &mut TableReader<'_>) -> Self {
        let schema = root.integer(reader, "schema");
        let description = root.string(reader, "description");
        let extends = root.strings(reader, "extends");
        Self {
            schema,
            description,
            extends,
            agent: root.table(reader, "agent", RawAgent::from_table).unwrap_or_default(),
            environment: root
                .table(reader, "environment", RawEnvironment::from_table)
                .unwrap_or_default(),
            filesystem: root
                .table(reader, "filesystem", RawFilesystem::from_table)
                .unwrap_or_default(),
            network: root.table(reader, "network", RawNetwork::from_table).unwrap_or_default(),
            limits: root.table(reader, "limits", RawLimits::from_table).unwrap_or_default(),
            seccomp: root.table(reader, "seccomp", |r, t| t.string(r, "policy")).flatten(),
            terminal: root.table(reader, "terminal", RawTerminal::from_table).unwrap_or_default(),
            jobs: root.table(reader, "jobs", RawJobs::from_table).unwrap_or_default(),
            watch: root.table(reader, "watch", RawWatch::from_table).unwrap_or_default(),
            without: root
                .table(reader, "enforcement", |r, t| t.strings(r, "without"))
                .unwrap_or_default(),
        }
    }
}

impl RawAgent {
    fn from_table(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            user: table.scalar(reader, "user"),
            groups: table.strings(reader, "groups"),
            command: table.take("command").and_then(|item| command(reader, &item)),
            workdir: table.string(reader, "workdir"),
            home: table.string(reader, "home"),
            umask: table.string(reader, "umask"),
        }
    }
}

/// A command is one value: a profile that names one replaces the one it extends.
fn command(reader: &mut Reader, item: &Item<'_>) -> Option<Located<Vec<String>>> {
    let place = item.place(reader);
    let listed = item.is_list();
    let words = item.list(reader).iter().filter_map(|word| word.string(reader)).collect::<Vec<_>>();
    let value = words.into_iter().map(|word| word.value).collect();
    // What is no list is reported as such, and not once more as an empty one.
    listed.then_some(Located { value, place })
}

impl RawEnvironment {
    fn from_table(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            pass: table.strings(reader, "pass"),
            set: table.table(reader, "set", pairs).unwrap_or_default(),
            secrets: table.table(reader, "secrets", pairs).unwrap_or_default(),
        }
    }
}

fn pairs(reader: &mut Reader, table: &mut TableReader<'_>) -> Vec<(String, Located<String>)> {
    let names = table.remaining();
    let take = |name: &str| {
        let value = table.take_any(name)?.scalar(reader)?;
        Some((name.to_owned(), value))
    };
    names.into_iter().filter_map(take).collect()
}

impl RawFilesystem {
    fn from_table(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            read: entries(reader, table, "read"),
            write: entries(reader, table, "write"),
            execute: entries(reader, table, "execute"),
            hide: table.strings(reader, "hide"),
            protect: table.strings(reader, "protect"),
            tmp_size: table.scalar(reader, "tmp_size"),
            tmp_inodes: table.integer(reader, "tmp_inodes"),
            tmp_execute: table.boolean(reader, "tmp_execute"),
            home_size: table.scalar(reader, "home_size"),
            home_inodes: table.integer(reader, "home_inodes"),
            home_execute: table.boolean(reader, "home_execute"),
            workspace: table.string(reader, "workspace"),
        }
    }
}

fn entries(reader: &mut Reader, table: &mut TableReader<'_>, key: &'static str) -> Vec<RawEntry> {
    table.items(reader, key).iter().filter_map(|item| entry(reader, item)).collect()
}

fn entry(reader: &mut Reader, item: &Item<'_>) -> Option<RawEntry> {
    if !item.is_table() {
        let path = item.string(reader)?;
        return Some(RawEntry { path, at: None, optional: None, owner: None });
    }
    let mut table = item.table(reader)?;
    let path = table.string(reader, "path");
    let at = table.string(reader, "at");
    let optional = table.boolean(reader, "optional");
    let owner = table.string(reader, "owner");
    table.finish(reader);
    if path.is_none() {
        let place = item.place(reader);
        reader.report(Problem::new(&place, "has no `path`", "write { path = \"/…\" }"));
    }
    Some(RawEntry { path: path?, at, optional, owner })
}

impl RawNetwork {
    fn from_table(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            mode: table.string(reader, "mode"),
            policies: one_or_more(reader, table, "policy"),
            allow: table
                .items(reader, "allow")
                .iter()
                .filter_map(|item| RawRule::read(reader, item))
                .collect(),
            deny: table.strings(reader, "deny"),
            connections: table.integer(reader, "connections"),
            rate: table.integer(reader, "rate"),
            bytes: table.scalar(reader, "bytes"),
            api: api(reader, table),
        }
    }
}

fn api(reader: &mut Reader, table: &mut TableReader<'_>) -> Option<Located<RawApi>> {
    let item = table.take("api")?;
    let place = item.place(reader);
    let mut table = item.table(reader)?;
    let value = RawApi {
        socket: table.string(reader, "socket"),
        upstream: table.string(reader, "upstream"),
        key: table.string(reader, "key"),
        header: table.string(reader, "header"),
        ca: table.string(reader, "ca"),
        addresses: table.strings(reader, "addresses"),
    };
    table.finish(reader);
    Some(Located { value, place })
}

/// A string, or a list of them.
fn one_or_more(
    reader: &mut Reader,
    table: &mut TableReader<'_>,
    key: &'static str,
) -> Vec<Located<String>> {
    let Some(item) = table.take(key) else { return Vec::new() };
    if item.is_list() {
        return item.list(reader).iter().filter_map(|item| item.string(reader)).collect();
    }
    item.string(reader).into_iter().collect()
}

impl RawLimits {
    fn from_table(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            memory: table.scalar(reader, "memory"),
            memory_high: table.scalar(reader, "memory_high"),
            swap: table.scalar(reader, "swap"),
            oom: table.string(reader, "oom"),
            tasks: table.integer(reader, "tasks"),
            cpu: table.scalar(reader, "cpu"),
            cpu_weight: table.integer(reader, "cpu_weight"),
            io: table.scalar(reader, "io"),
            io_weight: table.integer(reader, "io_weight"),
            disk: table.scalar(reader, "disk"),
            open_files: table.integer(reader, "open_files"),
            file_size: table.scalar(reader, "file_size"),
            core: table.scalar(reader, "core"),
        }
    }
}

impl RawJobs {
    fn from_table(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            most: table.integer(reader, "most"),
            longest: table.scalar(reader, "longest"),
            notes: table.integer(reader, "notes"),
        }
    }
}

impl RawTerminal {
    fn from_table(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            session: table.string(reader, "session"),
            history: table.integer(reader, "history"),
            size: table.string(reader, "size"),
            own_config: table.boolean(reader, "own_config"),
            record: table.boolean(reader, "record"),
            record_size: table.scalar(reader, "record_size"),
        }
    }
}
