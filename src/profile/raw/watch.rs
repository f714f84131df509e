//! `[watch]` as written: one table for each rule.

use crate::document::{Located, Reader, TableReader};

/// `[watch]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawWatch {
    /// `[watch.detached]`.
    pub detached: RawDetached,
    /// `[watch.spawns]`.
    pub spawns: RawSpawns,
    /// `[watch.count]`.
    pub count: RawCount,
    /// `[watch.limits] action`.
    pub limits: Option<Located<String>>,
    /// `[watch.background]`.
    pub background: RawBackground,
    /// `[watch.orphans] action`.
    pub orphans: Option<Located<String>>,
}

/// `[watch.detached]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawDetached {
    /// `grace`.
    pub grace: Option<Located<String>>,
    /// `signs`: one value, so that a profile may take some away.
    pub signs: Option<Vec<Located<String>>>,
    /// `except`.
    pub except: Vec<Located<String>>,
    /// `action`.
    pub action: Option<Located<String>>,
}

/// `[watch.spawns]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawSpawns {
    /// `per_second`.
    pub per_second: Option<Located<i64>>,
    /// `over`.
    pub over: Option<Located<String>>,
    /// `action`.
    pub action: Option<Located<String>>,
}

/// `[watch.count]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawCount {
    /// `processes`.
    pub processes: Option<Located<i64>>,
    /// `action`.
    pub action: Option<Located<String>>,
}

/// `[watch.background]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawBackground {
    /// `cpu`.
    pub cpu: Option<Located<String>>,
    /// `over`.
    pub over: Option<Located<String>>,
    /// `action`.
    pub action: Option<Located<String>>,
}

impl RawWatch {
    pub(super) fn from_table(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            detached: table.table(reader, "detached", detached).unwrap_or_default(),
            spawns: table.table(reader, "spawns", spawns).unwrap_or_default(),
            count: table.table(reader, "count", count).unwrap_or_default(),
            limits: table.table(reader, "limits", |r, t| t.string(r, "action")).flatten(),
            background: table.table(reader, "background", background).unwrap_or_default(),
            orphans: table.table(reader, "orphans", |r, t| t.string(r, "action")).flatten(),
        }
    }

    /// `over` laid over this one.
    #[must_use]
    pub fn under(self, over: Self) -> Self {
        let mut except = self.detached.except;
        let new = over.detached.except.into_iter();
        let known: Vec<String> = except.iter().map(|text| text.value.clone()).collect();
        except.extend(new.filter(|text| !known.contains(&text.value)));
        Self {
            detached: RawDetached {
                grace: over.detached.grace.or(self.detached.grace),
                signs: over.detached.signs.or(self.detached.signs),
                except,
                action: over.detached.action.or(self.detached.action),
            },
            spawns: RawSpawns {
                per_second: over.spawns.per_second.or(self.spawns.per_second),
                over: over.spawns.over.or(self.spawns.over),
                action: over.spawns.action.or(self.spawns.action),
            },
            count: RawCount {
                processes: over.count.processes.or(self.count.processes),
                action: over.count.action.or(self.count.action),
            },
            limits: over.limits.or(self.limits),
            background: RawBackground {
                cpu: over.background.cpu.or(self.background.cpu),
                over: over.background.over.or(self.background.over),
                action: over.background.action.or(self.background.action),
            },
            orphans: over.orphans.or(self.orphans),
        }
    }
}

fn detached(reader: &mut Reader, table: &mut TableReader<'_>) -> RawDetached {
    let signs = table.take("signs");
    let signs = signs.map(|item| {
        let listed = item.list(reader);
        listed.iter().filter_map(|item| item.string(reader)).collect()
    });
    RawDetached {
        grace: table.scalar(reader, "grace"),
        signs,
        except: table.strings(reader, "except"),
        action: table.string(reader, "action"),
    }
}

fn spawns(reader: &mut Reader, table: &mut TableReader<'_>) -> RawSpawns {
    RawSpawns {
        per_second: table.integer(reader, "per_second"),
        over: table.scalar(reader, "over"),
        action: table.string(reader, "action"),
    }
}

fn count(reader: &mut Reader, table: &mut TableReader<'_>) -> RawCount {
    RawCount {
        processes: table.integer(reader, "processes"),
        action: table.string(reader, "action"),
    }
}

fn background(reader: &mut Reader, table: &mut TableReader<'_>) -> RawBackground {
    RawBackground {
        cpu: table.scalar(reader, "cpu"),
        over: table.scalar(reader, "over"),
        action: table.string(reader, "action"),
    }
}
