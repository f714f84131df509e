//! What happens is written down here, counted by the rules of alerts, and told by processes of their own.
//!
//! ```text
//!  note, write_down ─┐
//!  meter, gatekeeper ┴─ Teller ─ rules ─ raise ─┬─ history: a journal of its own, written first
//!  figures of meters ───────────┘               └─ Outbox ─ Desk ─ the process that tells sinks
//! ```
//!
//! Nothing is waited for: who tells alerts is handed as much as fits, and what is too much is given up, counted and told.

use super::Supervisor;
use super::agent::Phase;
use super::desk::{Desk, Heard};
use super::verbs::{Answered, refused};
use crate::alerts::alert::Alert;
use crate::alerts::event::{Event, Kind, Label, Severity, Teller};
use crate::alerts::outbox::{Item, Lost};
use crate::alerts::protocol::Done;
use crate::alerts::rules::{Fired, Rules};
use crate::config::Config;
use crate::control::protocol::{Answer, SinkTold};
use crate::launch;
use crate::limits::journal::{self, Journal, now};
use rustix::process::Pid;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// So often it is looked again in a turn whether there is something new: to tell of alerts makes events, too.
const ROUNDS: u32 = 4;
/// Why an alert is lost that was handed over twice.
const TWICE: &str = "the process that tells alerts has ended twice over it";
/// How long who tries the sinks waits at the most.
const TRIED: Duration = Duration::from_secs(150);

/// Who has asked for an event.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct By {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by_uid: Option<u32>,
}

impl By {
    /// It happened by itself.
    pub(super) fn nobody() -> Self {
        Self { by_uid: None }
    }
}

/// What was counted since the supervisor began.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By agent, kind, and what the kind is counted by.
    pub(super) events: BTreeMap<(String, Kind, String), u64>,
    /// By rule and severity.
    pub(super) alerts: BTreeMap<(String, Severity), u64>,
    /// By sink: taken, failed, lost.
    pub(super) sinks: BTreeMap<String, [u64; 3]>,
    /// Of calls of nobody's agent, too.
    pub(super) refused_calls: u64,
}

/// Somebody who tries the sinks.
#[derive(Debug)]
struct Trial {
    conn: u64,
    until: Instant,
    open: BTreeSet<String>,
    told: Vec<SinkTold>,
}

/// Alerts of a supervisor.
#[derive(Debug)]
pub(super) struct Alerts {
    pub(super) teller: Teller,
    rules: Rules,
    begun: Instant,
    /// Since 1970-01-01 UTC, in seconds: what is numbered by one supervisor is not by another.
    pub(super) since: u64,
    host: String,
    last: u64,
    pub(super) counts: Counts,
    pub(super) desk: Desk,
    /// When the figures of each agent were compared last.
    looked: BTreeMap<String, Instant>,
    trials: BTreeMap<u64, Trial>,
}

/// By what events of a kind are counted, besides the agent.
fn counted_by(event: &Event) -> &str {
    let label = match event.kind {
        Kind::Limit => Some(Label::Limit),
        Kind::Denial => Some(Label::Wall),
        Kind::Finding => Some(Label::Finding),
        Kind::Start
        | Kind::Started
        | Kind::Ended
        | Kind::Restarted
        | Kind::Stop
        | Kind::Restart
        | Kind::Frozen
        | Kind::Thawed
        | Kind::Attached
        | Kind::Detached
        | Kind::SentAway
        | Kind::Told
        | Kind::Trouble
        | Kind::Acted
        | Kind::JobStarted
        | Kind::JobStopped
        | Kind::JobEnded
        | Kind::Scheduled
        | Kind::Note
        | Kind::RefusedCall
        | Kind::AlertFailed
        | Kind::AuthFailure
        | Kind::Message
        | Kind::Spawn => None,
    };
    label.and_then(|label| event.label(label)).unwrap_or_default()
}

impl Alerts {
    pub(super) fn new(config: &Config) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            teller: Teller::heard(),
            rules: Rules::new(config.alerts.rules()),
            begun: Instant::now(),
            since: now(),
            host,
            last: 0,
            counts: Counts::default(),
            desk: Desk::new(config),
            looked: BTreeMap::new(),
            trials: BTreeMap::new(),
        }
    }

    /// Nobody knows `agent` any more.
    pub(super) fn forget(&mut self, agent: &str) {
        self.rules.forget(agent);
        self.looked.remove(agent);
        self.counts.events.retain(|(known, ..), _| known != agent);
    }

    /// `agent` does not run any more.
    pub(super) fn ended(&mut self, agent: &str) {
        self.rules.ended(agent);
        self.looked.remove(agent);
    }

    fn count(&mut self, event: &Event) {
        if event.kind == Kind::RefusedCall {
            self.counts.refused_calls = self.counts.refused_calls.saturating_add(event.count);
        }
        let Some(agent) = &event.agent else { return };
        let key = (agent.clone(), event.kind, counted_by(event).to_owned());
        let count = self.counts.events.entry(key).or_default();
        *count = count.saturating_add(event.count);
    }

    /// An alert of what has `fired`.
    fn alert(&mut self, fired: Fired) -> Alert {
        let Fired { rule, severity, agent, about, count, told, .. } = fired;
        self.last += 1;
        Alert {
            id: format!("{}-{}", self.since, self.last),
            time: now(),
            host: self.host.clone(),
            rule,
            severity,
            agent,
            event: about,
            count,
            told,
            repeated: false,
            test: false,
        }
    }

    /// Until when nothing is to be done.
    pub(super) fn next(&self) -> Option<Instant> {
        let due = self.rules.next_due().map(|due| self.begun + due);
        let trials = self.trials.values().map(|trial| trial.until);
        due.into_iter().chain(trials).chain(self.desk.next()).min()
    }
}

impl Supervisor {
    /// Writes an event of `name` down.
    pub(super) fn note(&self, name: &str, kind: Kind, by_uid: Option<u32>, told: String) {
        self.write_down(Event::new(kind, Some(name), &told), By { by_uid });
    }

    /// Writes an event of an agent down, with what belongs to it. The one place where that is done, besides those that look at
    /// limits and gates by the same journal.
    pub(super) fn write_down(&self, event: Event, what: impl Serialize) {
        let Some(name) = event.agent.clone() else { return self.alerts.teller.tell(event) };
        let kind = event.kind;
        tracing::info!(agent = name, event = kind.name(), told = event.text, "agent");
        let jail = launch::session_of(&name);
        let journal = Journal::new(&self.log(), (&name, &jail), self.alerts.teller.clone());
        if let Err(errno) = journal.write(event, what) {
            tracing::warn!(%errno, agent = name, event = kind.name(), "an event was not written down");
        }
    }

    /// Compares the figures of `name`, where they are newer than what was compared before.
    pub(super) fn look_at(&mut self, name: &str) {
        let Some(agent) = self.agents.get(name) else { return };
        let Phase::Up(up) = &agent.phase else { return };
        let looked = up.owner.looked();
        let alerts = &mut self.alerts;
        // Of which the first is of nothing: it has not looked yet.
        let before = alerts.looked.get(name).copied();
        if before == Some(looked) {
            return;
        }
        alerts.looked.insert(name.to_owned(), looked);
        if before.is_some() {
            let fired = alerts.rules.look(alerts.begun.elapsed(), name, up.owner.figures());
            fired.into_iter().for_each(|fired| self.raise(fired));
        }
    }

    /// What was told in this turn, and what is due by the clock.
    pub(super) fn alert(&mut self) {
        for _ in 0..ROUNDS {
            let events = self.alerts.teller.take();
            let at = self.alerts.begun.elapsed();
            let mut fired = self.alerts.rules.due(at);
            for event in &events {
                self.alerts.count(event);
                fired.extend(self.alerts.rules.event(at, event));
            }
            if events.is_empty() && fired.is_empty() {
                break;
            }
            fired.into_iter().for_each(|fired| self.raise(fired));
        }
        self.hand_over();
        let now = Instant::now();
        let late = self.alerts.trials.iter().filter(|(_, trial)| trial.until <= now);
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        late.into_iter().for_each(|number| self.end_trial(number));
    }

    /// Tells an alert: it is written down first.
    fn raise(&mut self, fired: Fired) {
        let count = self.alerts.counts.alerts.entry((fired.rule.clone(), fired.severity));
        *count.or_default() += 1;
        let to = self.alerts.desk.sinks_for(fired.severity, fired.sinks.as_deref());
        let about_alerts = fired.about_alerts;
        let alert = self.alerts.alert(fired);
        let Alert { rule, severity, agent, told, .. } = &alert;
        tracing::warn!(rule, %severity, agent, told, "alert");
        if let Err(errno) = journal::write_line(&self.log(), journal::ALERTS, &alert) {
            tracing::error!(%errno, rule, "an alert was not written down");
        }
        let item = Item { alert, to, once: false, about_alerts };
        let number = self.alerts.last;
        let lost = self.alerts.desk.outbox.put(number, item);
        self.lost(lost.into_iter().collect(), "too many alerts wait");
    }

    /// Hands over what waits, as far as there is room, and sees to it that there is somebody to hand it to.
    fn hand_over(&mut self) {
        let log = self.log();
        let lost = self.alerts.desk.work(&self.config, &log);
        self.lost(lost, TWICE);
    }

    /// What the process that tells alerts says.
    pub(super) fn hear_desk(&mut self) {
        let (heard, lost) = self.alerts.desk.hear();
        self.lost(lost, TWICE);
        for heard in heard {
            match heard {
                Heard::Done(done) => self.told_by(done),
                Heard::Wanted => {
                    let figures = self.figures();
                    self.alerts.desk.give(figures);
                }
            }
        }
    }

    /// One of the processes that tell alerts has ended.
    pub(super) fn desk_ended(&mut self, pid: Pid) {
        // What they have said before that is heard first.
        self.hear_desk();
        if self.alerts.desk.has(pid) {
            let lost = self.alerts.desk.ended();
            self.lost(lost, TWICE);
        }
    }

    fn told_by(&mut self, done: Done) {
        let Done { number, sink, failed, attempts, millis } = done;
        let Some(item) = self.alerts.desk.outbox.done(number, &sink) else { return };
        let [delivered, refused, _] = self.alerts.counts.sinks.entry(sink.clone()).or_default();
        match &failed {
            None => *delivered += 1,
            Some(_) => *refused += 1,
        }
        if let Some(cause) = &failed {
            tracing::warn!(sink, rule = item.alert.rule, attempts, cause, "an alert was not told");
            self.fail(&item, &sink, cause);
        }
        let way = self.alerts.desk.way(&sink);
        self.tried(number, SinkTold { sink, way, failed, millis });
    }

    /// An alert that was given up is counted, and told of.
    fn lost(&mut self, all: Vec<Lost>, cause: &str) {
        for Lost { number, item } in all {
            for sink in &item.to {
                self.alerts.counts.sinks.entry(sink.clone()).or_default()[2] += 1;
                tracing::warn!(sink, rule = item.alert.rule, cause, "an alert is lost");
                self.fail(&item, sink, cause);
                let way = self.alerts.desk.way(sink);
                let failed = Some(cause.to_owned());
                self.tried(number, SinkTold { sink: sink.clone(), way, failed, millis: 0 });
            }
        }
    }

    /// What becomes of alerts about alerts is no event: else one would follow the other for ever.
    fn fail(&self, item: &Item, sink: &str, cause: &str) {
        if item.about_alerts || item.alert.test {
            return;
        }
        let told = format!("{sink} did not take the alert {}: {cause}", item.alert.rule);
        let event = Event::new(Kind::AlertFailed, None, &told).with(Label::Sink, sink);
        self.write_down(event, By::nobody());
    }

    /// Tries `sinks`, or all of them, for the caller on the connection `conn`.
    pub(super) fn try_sinks(&mut self, conn: u64, uid: u32, sinks: &[String]) -> Answered {
        let all = self.alerts.desk.sinks_for(Severity::Critical, None);
        if all.is_empty() {
            let hint =
                "write [[alerts.sinks]] into the configuration, and have it read: cellblock reload";
            return refused("there is no sink", hint);
        }
        if let Some(strange) = sinks.iter().find(|sink| !all.contains(*sink)) {
            let known = all.iter().cloned().collect::<Vec<_>>().join(", ");
            let cause = format!("there is no sink `{}`", strange.escape_debug());
            return refused(cause, &format!("there are: {known}"));
        }
        let to = if sinks.is_empty() { all } else { sinks.iter().cloned().collect() };
        let fired = Fired {
            rule: "test".to_owned(),
            severity: Severity::Info,
            agent: None,
            about: "test".to_owned(),
            count: 1,
            told: format!("uid {uid} tries the sinks of alerts: nothing has happened"),
            sinks: None,
            about_alerts: false,
        };
        let alert = Alert { test: true, ..self.alerts.alert(fired) };
        let number = self.alerts.last;
        let trial =
            Trial { conn, until: Instant::now() + TRIED, open: to.clone(), told: Vec::new() };
        self.alerts.trials.insert(number, trial);
        let item = Item { alert, to, once: true, about_alerts: false };
        let lost = self.alerts.desk.outbox.put(number, item);
        self.lost(lost.into_iter().collect(), "too many alerts wait");
        None
    }

    /// How it went with one sink that somebody tries.
    fn tried(&mut self, number: u64, told: SinkTold) {
        let Some(trial) = self.alerts.trials.get_mut(&number) else { return };
        if trial.open.remove(&told.sink) {
            trial.told.push(told);
        }
        if trial.open.is_empty() {
            self.end_trial(number);
        }
    }

    fn end_trial(&mut self, number: u64) {
        let Some(trial) = self.alerts.trials.remove(&number) else { return };
        let Trial { conn, open, mut told, .. } = trial;
        for sink in open {
            let way = self.alerts.desk.way(&sink);
            let failed = Some("nothing was heard of it".to_owned());
            told.push(SinkTold { sink, way, failed, millis: 0 });
        }
        told.sort_by(|a, b| a.sink.cmp(&b.sink));
        self.answer(conn, &Answer::Sinks(told), &[]);
    }

    /// The configuration was read anew.
    pub(super) fn alerts_read_anew(&mut self) {
        let rules = std::mem::take(&mut self.alerts.rules);
        self.alerts.rules = rules.replaced(self.config.alerts.rules());
        let lost = self.alerts.desk.read_anew(&self.config);
        self.lost(lost, "the sink is gone");
    }
}
