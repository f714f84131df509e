//! `[alerts]` and `[metrics]` as written.

use crate::document::{Item, Located, Place, Reader, TableReader, Word};

/// `[alerts]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawAlerts {
    /// `[[alerts.rules]]`.
    pub rules: Vec<RawRule>,
    /// `[[alerts.sinks]]`.
    pub sinks: Vec<RawSink>,
}

/// A list of strings, and where it stands.
pub(crate) type Strings = Option<Located<Vec<Located<String>>>>;

/// One of `[[alerts.rules]]` as written.
#[derive(Clone, Debug)]
pub struct RawRule {
    /// Where it begins.
    pub place: Place,
    /// `name`.
    pub name: Option<Located<String>>,
    /// `enabled`.
    pub enabled: Option<Located<bool>>,
    /// `on`.
    pub on: Strings,
    /// `agents`.
    pub agents: Strings,
    /// `limit`, `finding`, `action`, `wall`, `outcome` and `sink`, each with its name.
    pub labels: Vec<(&'static str, Located<String>)>,
    /// `contains`.
    pub contains: Strings,
    /// `more_than`.
    pub more_than: Option<Located<i64>>,
    /// `within`.
    pub within: Option<Located<String>>,
    /// `by`.
    pub by: Option<Located<String>>,
    /// `gauge`.
    pub gauge: Option<Located<String>>,
    /// `above`.
    pub above: Option<Located<String>>,
    /// `for`.
    pub lasting: Option<Located<String>>,
    /// `severity`.
    pub severity: Option<Located<String>>,
    /// `sinks`.
    pub sinks: Strings,
    /// `again_after`.
    pub again_after: Option<Located<String>>,
}

/// The keys of a rule that ask for what an event tells.
pub(crate) const LABELS: [&str; 6] = ["limit", "finding", "action", "wall", "outcome", "sink"];

impl RawRule {
    /// With what `shipped` says where this says nothing.
    #[must_use]
    pub fn over(self, shipped: Self) -> Self {
        let mut labels = self.labels;
        let more = shipped.labels.into_iter();
        let more: Vec<_> =
            more.filter(|(key, _)| !labels.iter().any(|(known, _)| known == key)).collect();
        labels.extend(more);
        Self {
            place: self.place,
            name: self.name,
            enabled: self.enabled.or(shipped.enabled),
            on: self.on.or(shipped.on),
            agents: self.agents.or(shipped.agents),
            labels,
            contains: self.contains.or(shipped.contains),
            more_than: self.more_than.or(shipped.more_than),
            within: self.within.or(shipped.within),
            by: self.by.or(shipped.by),
            gauge: self.gauge.or(shipped.gauge),
            above: self.above.or(shipped.above),
            lasting: self.lasting.or(shipped.lasting),
            severity: self.severity.or(shipped.severity),
            sinks: self.sinks.or(shipped.sinks),
            again_after: self.again_after.or(shipped.again_after),
        }
    }
}

/// One of `[[alerts.sinks]]` as written.
#[derive(Clone, Debug)]
pub struct RawSink {
    /// Where it begins.
    pub place: Place,
    /// `name`.
    pub name: Option<Located<String>>,
    /// `kind`.
    pub kind: Option<Located<String>>,
    /// `least`.
    pub least: Option<Located<String>>,
    /// `timeout`.
    pub timeout: Option<Located<String>>,
    /// `attempts`.
    pub attempts: Option<Located<i64>>,
    /// `command`.
    pub command: Strings,
    /// `user`.
    pub user: Option<Located<Word>>,
    /// `url`.
    pub url: Option<Located<String>>,
    /// `auth`.
    pub auth: Option<Located<String>>,
    /// `secret`.
    pub secret: Option<Located<String>>,
    /// `ca`.
    pub ca: Option<Located<String>>,
    /// `socket`.
    pub socket: Option<Located<String>>,
}

/// `[metrics]` as written.
#[derive(Clone, Debug, Default)]
pub struct RawMetrics {
    /// `listen`.
    pub listen: Option<Located<String>>,
    /// `group`.
    pub group: Option<Located<Word>>,
}

pub(super) fn alerts(reader: &mut Reader, table: &mut TableReader<'_>) -> RawAlerts {
    RawAlerts {
        rules: table.tables(reader, "rules", rule),
        sinks: table.tables(reader, "sinks", sink),
    }
}

fn rule(reader: &mut Reader, place: &Place, table: &mut TableReader<'_>) -> RawRule {
    let labels = LABELS.into_iter().filter_map(|key| Some((key, table.string(reader, key)?)));
    let labels = labels.collect();
    RawRule {
        place: place.clone(),
        name: table.string(reader, "name"),
        enabled: table.boolean(reader, "enabled"),
        on: table.list_of(reader, "on", Item::string),
        agents: table.list_of(reader, "agents", Item::string),
        labels,
        contains: table.list_of(reader, "contains", Item::string),
        more_than: table.integer(reader, "more_than"),
        within: table.string(reader, "within"),
        by: table.string(reader, "by"),
        gauge: table.string(reader, "gauge"),
        above: table.scalar(reader, "above"),
        lasting: table.string(reader, "for"),
        severity: table.string(reader, "severity"),
        sinks: table.list_of(reader, "sinks", Item::string),
        again_after: table.string(reader, "again_after"),
    }
}

fn sink(reader: &mut Reader, place: &Place, table: &mut TableReader<'_>) -> RawSink {
    RawSink {
        place: place.clone(),
        name: table.string(reader, "name"),
        kind: table.string(reader, "kind"),
        least: table.string(reader, "least"),
        timeout: table.string(reader, "timeout"),
        attempts: table.integer(reader, "attempts"),
        command: table.list_of(reader, "command", Item::string),
        user: table.take("user").and_then(|item| item.word(reader)),
        url: table.string(reader, "url"),
        auth: table.string(reader, "auth"),
        secret: table.string(reader, "secret"),
        ca: table.string(reader, "ca"),
        socket: table.string(reader, "socket"),
    }
}

pub(super) fn metrics(reader: &mut Reader, table: &mut TableReader<'_>) -> RawMetrics {
    RawMetrics {
        listen: table.string(reader, "listen"),
        group: table.take("group").and_then(|item| item.word(reader)),
    }
}
