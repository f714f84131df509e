//! The configuration as written, with the place of every value.

use crate::document::{Item, Located, Place, Problems, Reader, TableReader, Word};
use alerts::{RawAlerts, RawMetrics};

pub(super) mod alerts;

/// A configuration file as written.
#[derive(Clone, Debug, Default)]
pub struct RawConfig {
    /// `schema`: must be 1.
    pub schema: Option<Located<i64>>,
    /// `[slice]`.
    pub slice: RawSlice,
    /// `[paths]`.
    pub paths: RawPaths,
    /// `[supervisor]`.
    pub supervisor: RawSupervisor,
    /// `[watch]`.
    pub watch: RawWatch,
    /// `[uids]`.
    pub uids: RawUids,
    /// `[defaults]`.
    pub defaults: RawDefaults,
    /// `[[roles]]`.
    pub roles: Vec<RawRole>,
    /// `[[agents]]`.
    pub agents: Vec<RawAgent>,
    /// `[alerts]`.
    pub alerts: RawAlerts,
    /// `[metrics]`.
    pub metrics: RawMetrics,
}

/// `[slice]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawSlice {
    /// `memory`.
    pub memory: Option<Located<String>>,
    /// `memory_high`.
    pub memory_high: Option<Located<String>>,
    /// `swap`.
    pub swap: Option<Located<String>>,
    /// `tasks`.
    pub tasks: Option<Located<String>>,
    /// `cpu`.
    pub cpu: Option<Located<String>>,
}

/// `[paths]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawPaths {
    /// `run`.
    pub run: Option<Located<String>>,
    /// `state`.
    pub state: Option<Located<String>>,
    /// `log`.
    pub log: Option<Located<String>>,
}

/// `[supervisor]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawSupervisor {
    /// `group`.
    pub group: Option<Located<Word>>,
    /// `max_agents`.
    pub max_agents: Option<Located<i64>>,
    /// `max_known`.
    pub max_known: Option<Located<i64>>,
    /// `max_names`.
    pub max_names: Option<Located<i64>>,
    /// `patience`.
    pub patience: Option<Located<String>>,
}

/// `[watch]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawWatch {
    /// `events_per_second`.
    pub events_per_second: Option<Located<i64>>,
    /// `audit`.
    pub audit: Option<Located<String>>,
}

/// `[uids]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawUids {
    /// `first`.
    pub first: Option<Located<i64>>,
    /// `last`.
    pub last: Option<Located<i64>>,
}

/// `[defaults]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawDefaults {
    /// `restart`.
    pub restart: Option<Located<String>>,
    /// `profile`.
    pub profile: Option<Located<String>>,
}

/// One of `[[roles]]` as written.
#[derive(Clone, Debug)]
pub struct RawRole {
    /// Where it begins.
    pub place: Place,
    /// `role`.
    pub role: Option<Located<String>>,
    /// `users`.
    pub users: Option<Located<Vec<Located<Word>>>>,
    /// `groups`.
    pub groups: Option<Located<Vec<Located<Word>>>>,
    /// `agents`.
    pub agents: Option<Located<Vec<Located<String>>>>,
}

/// One of `[[agents]]` as written.
#[derive(Clone, Debug)]
pub struct RawAgent {
    /// Where it begins.
    pub place: Place,
    /// `name`.
    pub name: Option<Located<String>>,
    /// `profile`.
    pub profile: Option<Located<String>>,
    /// `workspace`.
    pub workspace: Option<Located<String>>,
    /// `command`.
    pub command: Option<Located<Vec<Located<String>>>>,
    /// `without`.
    pub without: Vec<Located<String>>,
    /// `restart`.
    pub restart: Option<Located<String>>,
}

impl RawConfig {
    /// Reads `text`, called `name` in messages, with what could be read beside the problems.
    #[must_use]
    pub fn parse_whole(name: &str, text: &str) -> (Self, Problems) {
        Reader::read_whole(name, text, |reader, mut root| {
            let config = Self {
                schema: root.integer(reader, "schema"),
                slice: root.table(reader, "slice", slice).unwrap_or_default(),
                paths: root.table(reader, "paths", paths).unwrap_or_default(),
                supervisor: root.table(reader, "supervisor", supervisor).unwrap_or_default(),
                uids: root.table(reader, "uids", uids).unwrap_or_default(),
                watch: root.table(reader, "watch", watch).unwrap_or_default(),
                defaults: root.table(reader, "defaults", defaults).unwrap_or_default(),
                roles: root.tables(reader, "roles", role),
                agents: root.tables(reader, "agents", agent),
                alerts: root.table(reader, "alerts", alerts::alerts).unwrap_or_default(),
                metrics: root.table(reader, "metrics", alerts::metrics).unwrap_or_default(),
            };
            root.finish(reader);
            config
        })
    }
}

fn slice(reader: &mut Reader, table: &mut TableReader<'_>) -> RawSlice {
    RawSlice {
        memory: table.scalar(reader, "memory"),
        memory_high: table.scalar(reader, "memory_high"),
        swap: table.scalar(reader, "swap"),
        tasks: table.scalar(reader, "tasks"),
        cpu: table.scalar(reader, "cpu"),
    }
}

fn paths(reader: &mut Reader, table: &mut TableReader<'_>) -> RawPaths {
    RawPaths {
        run: table.string(reader, "run"),
        state: table.string(reader, "state"),
        log: table.string(reader, "log"),
    }
}

fn supervisor(reader: &mut Reader, table: &mut TableReader<'_>) -> RawSupervisor {
    RawSupervisor {
        group: table.take("group").and_then(|item| item.word(reader)),
        max_agents: table.integer(reader, "max_agents"),
        max_known: table.integer(reader, "max_known"),
        max_names: table.integer(reader, "max_names"),
        patience: table.scalar(reader, "patience"),
    }
}

fn watch(reader: &mut Reader, table: &mut TableReader<'_>) -> RawWatch {
    RawWatch {
        events_per_second: table.integer(reader, "events_per_second"),
        audit: table.string(reader, "audit"),
    }
}

fn uids(reader: &mut Reader, table: &mut TableReader<'_>) -> RawUids {
    RawUids { first: table.integer(reader, "first"), last: table.integer(reader, "last") }
}

fn defaults(reader: &mut Reader, table: &mut TableReader<'_>) -> RawDefaults {
    RawDefaults {
        restart: table.string(reader, "restart"),
        profile: table.string(reader, "profile"),
    }
}

fn role(reader: &mut Reader, place: &Place, table: &mut TableReader<'_>) -> RawRole {
    RawRole {
        place: place.clone(),
        role: table.string(reader, "role"),
        users: table.words(reader, "users"),
        groups: table.words(reader, "groups"),
        agents: table.list_of(reader, "agents", Item::string),
    }
}

fn agent(reader: &mut Reader, place: &Place, table: &mut TableReader<'_>) -> RawAgent {
    RawAgent {
        place: place.clone(),
        name: table.string(reader, "name"),
        profile: table.string(reader, "profile"),
        workspace: table.string(reader, "workspace"),
        command: table.list_of(reader, "command", Item::string),
        without: table.strings(reader, "without"),
        restart: table.string(reader, "restart"),
    }
}
