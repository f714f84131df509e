//! How agents begin and go on: what the supervisor does about each in a turn.

use super::agent::{Agent, Phase, Up, Wait, frozen_words};
use super::ends::{due, end_by_root, end_maker, killed};
use super::people::MOST_PEOPLE;
use super::reach::{adopted, reach};
use super::state::{Outcome, Record, Stage, boot};
use super::{SuperviseError, Supervisor};
use crate::alerts::event::Kind;
use crate::control::protocol::Answer;
use crate::control::roles::Verb;
use crate::control::socket;
use crate::jail::protocol::Report as Said;
use crate::jobs::Told;
use crate::launch::LaunchError;
use crate::limits::journal::now;
use crate::planning::Wanted;
use crate::shim::ShimError;
use crate::shim::owner::{Heard, Starting};
use crate::shim::protocol::{Ask, Report};
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How long a session may take to come up.
pub(super) const UP: Duration = Duration::from_secs(60);
/// How long a shim may take to say whether there is a jail.
pub(super) const BORN: Duration = Duration::from_secs(120);
/// How soon it is looked again whose session it is.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Troubles of an agent that are written down; they must not push out of the journal what else happened.
const TROUBLES: u32 = 50;
/// The longest trouble, in characters.
const TROUBLE: usize = 300;

impl Supervisor {
    /// Writes down what is known of `name`. Where that is not done the log tells of it: what was written before is as good.
    pub(super) fn save(&self, name: &str) {
        if self.try_save(name).is_err() {
            tracing::debug!(agent = name, "goes on with what was written before");
        }
    }

    /// The same for what somebody is answered: or why it was not done, which the log tells, too.
    pub(super) fn try_save(&self, name: &str) -> Result<(), String> {
        let saved = self.agents.get(name).map(|agent| self.folders.save(&agent.record));
        saved.unwrap_or(Ok(())).map_err(|error| {
            tracing::error!(%error, agent = name, "what is known of it is not written down");
            error.to_string()
        })
    }

    /// Starts the agent of `record`, which does not run. Its file is written before anything is done.
    pub(super) fn begin(&mut self, mut record: Record) -> Result<(), SuperviseError> {
        let name = record.name.clone();
        record.stage = Stage::Starting;
        (record.goes, record.again) = (true, false);
        record.boot = boot();
        record.since = now();
        (record.gate, record.ledger, record.frozen) = (None, None, false);
        // One that lives is nobody's to replace: its owner comes back to it.
        let path = self.folders.socket(&name);
        if reach(&path).is_ok() {
            return Err(SuperviseError::Socket { path, errno: Errno::ADDRINUSE });
        }
        // First: what an earlier one has seen is not this one's.
        self.folders.forget_seen(&name)?;
        self.folders.save(&record)?;
        let shim = match self.spawn(&record) {
            Ok(shim) => shim,
            Err(error) => {
                // Nothing was started: the next supervisor must not look for it.
                self.folders.save(&Record { stage: Stage::Ended, goes: false, ..record })?;
                return Err(error);
            }
        };
        let before = self.agents.remove(&name).map(|agent| (agent.waits, agent.findings));
        let (waits, findings) = before.unwrap_or_default();
        let until = Instant::now() + BORN;
        let agent = Agent::new(record, Phase::Starting { shim: Some(shim), until });
        self.agents.insert(name, Agent { waits, findings, ..agent });
        Ok(())
    }

    fn spawn(&self, record: &Record) -> Result<Starting, SuperviseError> {
        let path = self.folders.socket(&record.name);
        let listener = socket::open(&path, None);
        let listener = listener.map_err(|errno| SuperviseError::Socket { path, errno })?;
        let seen = self.folders.new_seen(&record.name)?;
        // All agents have the configuration of their supervisor.
        let wanted = Wanted { config: self.named.clone(), ..record.wanted.clone() };
        let ask = Ask { wanted, caller: record.caller.clone() };
        Ok(Starting::spawn(&record.name, &ask, listener, seen.into())?)
    }

    /// Takes over the agent of `record`, whose shim may have outlived its owner.
    pub(super) fn come_back(&mut self, record: Record) {
        let name = record.name.clone();
        if record.stage == Stage::Ended {
            let goes = record.goes || record.again;
            let phase = if goes { Phase::Resting(Instant::now()) } else { Phase::Ended };
            self.agents.insert(name, Agent::new(record, phase));
            return;
        }
        if let Ok(link) = reach(&self.folders.socket(&name)) {
            let phase = adopted(&name, link);
            self.agents.insert(name, Agent::new(record, phase));
            return;
        }
        let rebooted = record.boot != boot();
        let seen = self.folders.end_of(&name).filter(|_| !rebooted);
        // Written down and not done: no shim was asked, or it ended before it had anything to tell.
        if record.stage == Stage::Starting && record.goes && seen.is_none() && !rebooted {
            self.agents.insert(name, Agent::new(record, Phase::Resting(Instant::now())));
            return;
        }
        let end = seen.unwrap_or_else(|| {
            let how = format!("{name} was ended: the host was restarted");
            if rebooted { Outcome { how, status: 137 } } else { killed(&name) }
        });
        let ran = Duration::from_secs(now().saturating_sub(record.since));
        let mut agent = Agent::new(record, Phase::Ended);
        agent.ended_as(end);
        self.agents.insert(name.clone(), agent);
        // What it had made ended with the machine.
        if rebooted { self.ended(&name, ran) } else { self.clean(&name, ran) }
    }

    /// What came for the agent `name` on those of its descriptors that are waited for.
    pub(super) fn turn_agent(&mut self, name: &str, came: &[PollFlags]) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let any = came.iter().any(|flags| !flags.is_empty());
        match &mut agent.phase {
            Phase::Starting { shim, .. } if any => {
                if let Some(shim) = shim.take() {
                    self.born(name, shim);
                }
            }
            Phase::Up(up) => match up.owner.turn(came) {
                Ok(heard) => self.react(name, heard),
                Err(error) => self.lose(name, &error),
            },
            Phase::Starting { .. } | Phase::Cleaning { .. } | Phase::Resting(_) | Phase::Ended => {}
        }
    }

    /// A shim has said whether there is a jail.
    fn born(&mut self, name: &str, shim: Starting) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let taken_over = shim.is_adopted();
        let ledger = agent.record.ledger.clone().filter(|_| taken_over);
        match shim.wait_with((agent.record.gate.as_ref(), ledger), &self.alerts.teller) {
            Ok(mut owner) => {
                agent.record.kept = Some(owner.kept().clone());
                // Its word, as everything about those who look is: it has their lines.
                let people = owner.take_people().into_iter();
                let people = people.filter(|(_, looker)| Verb::named(&looker.verb).is_some());
                agent.people = people.take(MOST_PEOPLE).collect();
                agent.sent_away.clear();
                // Roles may have changed since they came.
                agent.recheck |= taken_over;
                let until_up = (!owner.born().up).then(|| Instant::now() + UP);
                let up = Up {
                    owner: Box::new(owner),
                    since: Instant::now(),
                    until_up,
                    prove_at: None,
                    stopping: None,
                    said: None,
                    ended_for: None,
                    endings: 0,
                    troubles: 0,
                };
                agent.phase = Phase::Up(up);
                self.watch(name);
                self.save(name);
                if taken_over {
                    self.catch_up(name);
                    self.let_go_on(name);
                }
                self.send_away(name);
                if self.agents.get(name).is_some_and(|agent| !agent.record.goes) {
                    self.ask_to_end(name, self.patience());
                }
            }
            Err(error) => {
                let told = with_hint(error.to_string(), &error.hint());
                let said = Outcome { how: told, status: error.status() };
                // It may have written down why, before anybody came.
                let silent = matches!(error, ShimError::NoShim);
                let seen = self.folders.end_of(name).filter(|_| silent);
                let said = if silent && taken_over { killed(name) } else { said };
                agent.ended_as(seen.unwrap_or(said));
                let ran = now().saturating_sub(agent.record.since);
                self.clean(name, Duration::from_secs(if taken_over { ran } else { 0 }));
            }
        }
    }

    /// Hears what a shim has seen while it had no owner.
    fn catch_up(&mut self, name: &str) {
        let seen = self.folders.read_seen(name);
        if let Err(error) = self.folders.forget_seen(name) {
            tracing::warn!(%error, agent = name, "is heard again by the next supervisor");
        }
        let reports: Vec<Report> = seen.into_iter().flatten().map(|seen| seen.report).collect();
        if let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get_mut(name) {
            // Its session is there, whoever was told so.
            if up.owner.born().session {
                self.prove(name);
            }
        }
        let reports =
            reports.into_iter().filter(|report| !matches!(report, Report::Said(Said::Up)));
        self.react(name, Heard { reports: reports.collect(), ..Heard::default() });
    }

    fn react(&mut self, name: &str, heard: Heard) {
        let mut over = None;
        for report in heard.reports {
            match report {
                Report::Said(Said::Up) => self.come_up(name),
                Report::Said(Said::Screen(text)) => self.show_screen(name, text),
                // The owner has answered it.
                Report::Asked { .. } => {}
                Report::Said(Said::Typed { note, done }) => self.typed(name, note, done),
                Report::Said(said @ (Said::Own(_) | Said::Panes(_))) => {
                    self.watch_said(name, said);
                }
                Report::Said(said) => {
                    if let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get_mut(name) {
                        up.said = Some(said);
                    }
                }
                Report::ViewOver { view } => self.left(name, view),
                Report::Over { status } => over = Some(status),
                Report::Trouble(cause) => self.trouble(name, &cause),
                Report::NotRecorded => self.record_again(name),
                Report::Frozen { frozen, cause } => {
                    if cause.is_none() {
                        self.watch_frozen(name, frozen);
                    }
                    let done = Answer::Done(vec![format!("{name} {}", frozen_words(frozen).1)]);
                    let answer = cause.map_or(done, |cause| Answer::failed(cause, ""));
                    self.answer_waits(name, &[Wait::Freeze(frozen)], &answer);
                }
            }
        }
        if let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get_mut(name)
            && heard.watched.is_some()
        {
            up.ended_for = Some("the memory watch ended it".to_owned());
        }
        self.watch_limits(name, heard.limits);
        self.watch_jobs(name, heard.jobs);
        self.keep_ledger(name, heard.told);
        self.answer_network(name);
        match (over, heard.gone) {
            (Some(status), _) => self.over(name, Some(status)),
            (None, true) => self.gone(name),
            (None, false) => {}
        }
    }

    /// What happened with its jobs and notes is written down, and which it has.
    fn keep_ledger(&mut self, name: &str, told: Vec<Told>) {
        for (event, told) in told {
            self.note(name, event, None, told);
        }
        let Some(Agent { record, phase: Phase::Up(up), .. }) = self.agents.get_mut(name) else {
            return;
        };
        if let Some(ledger) = up.owner.take_ledger() {
            record.ledger = Some(ledger);
            self.save(name);
        }
    }

    fn typed(&self, name: &str, note: u32, done: bool) {
        let told = if done { "was typed" } else { "could not be typed" };
        self.note(name, Kind::Note, None, format!("note {note} {told}"));
    }

    /// Answers who waits for the gate of `name`. A change of its rules is written down first.
    fn answer_network(&mut self, name: &str) {
        let Some(Agent { record, phase: Phase::Up(up), .. }) = self.agents.get_mut(name) else {
            return;
        };
        let memory = up.owner.take_gate_memory();
        let changed = memory.is_some();
        if changed {
            record.gate = memory;
        }
        let saved = if changed { self.try_save(name) } else { Ok(()) };
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get_mut(name) else { return };
        up.owner.answer_network(saved.err().as_deref());
        if !up.owner.waits_for_network() {
            self.answer_status(name);
        }
    }

    /// Answers who waits to hear how `name` is.
    pub(super) fn answer_status(&mut self, name: &str) {
        let Some(agent) = self.agents.get(name) else { return };
        if agent.waits.iter().any(|(_, wait, _)| *wait == Wait::Status) {
            let status = self.status(name);
            self.answer_waits(name, &[Wait::Status], &status);
        }
    }

    /// What a shim complains of, so often at the most.
    fn trouble(&mut self, name: &str, cause: &str) {
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get_mut(name) else { return };
        up.troubles += 1;
        if up.troubles <= TROUBLES {
            self.note(name, Kind::Trouble, None, cause.chars().take(TROUBLE).collect());
        }
    }

    /// Its shim does not speak to this owner any more: it has ended, or it was lost over something else.
    fn gone(&mut self, name: &str) {
        let link = reach(&self.folders.socket(name));
        let Some(agent) = self.agents.get_mut(name) else { return };
        let Ok(link) = link else { return self.over(name, None) };
        if !agent.may_be_taken_over() {
            let ended = end_by_root(name, agent);
            tracing::error!(agent = name, ended, "its shim hangs up again and again");
            return self.over(name, None);
        }
        tracing::warn!(agent = name, "its shim is taken over again");
        agent.phase = adopted(name, link);
    }

    /// The session is there, says the shim; it says so once.
    fn come_up(&mut self, name: &str) {
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get(name) else { return };
        if up.until_up.is_some() {
            self.prove(name);
        }
    }

    /// The session is there: it must be the agent's.
    fn prove(&mut self, name: &str) {
        let Some(Agent { record, phase: Phase::Up(up), .. }) = self.agents.get_mut(name) else {
            return;
        };
        up.prove_at = None;
        match up.owner.prove() {
            Ok(()) => {}
            // It is another one's.
            Err(error @ ShimError::Launch(LaunchError::NotAsPlanned { .. })) => {
                return self.lose(name, &error);
            }
            Err(error) => {
                tracing::warn!(%error, agent = name, "its session cannot be looked at");
                up.prove_at = Some(Instant::now() + LOOK_AGAIN);
                return;
            }
        }
        let first = up.until_up.take().is_some() && record.stage != Stage::Running;
        record.stage = Stage::Running;
        let recorded = if up.owner.born().recording { Ok(()) } else { up.owner.record() };
        let (goes, restarts) = (record.goes, record.restarts);
        self.watch_session(name);
        if first {
            let Some(Agent { record, .. }) = self.agents.get_mut(name) else { return };
            record.since = now();
            self.save(name);
            let again = match restarts {
                0 => String::new(),
                times => format!(" again, for the {times}. time"),
            };
            self.note(name, Kind::Started, None, format!("{name} was started{again}"));
        }
        if let Err(error) = recorded {
            self.trouble(name, &format!("{name} is not recorded: {error}"));
        }
        if goes {
            let runs = Answer::Done(vec![format!("{name} runs")]);
            self.answer_waits(name, &[Wait::Start, Wait::Restart], &runs);
        }
    }

    /// The client that records was ended.
    fn record_again(&mut self, name: &str) {
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get_mut(name) else { return };
        if let Err(error) = up.owner.record_again() {
            self.trouble(name, &format!("{name} is not recorded: {error}"));
        }
    }

    /// As [`Supervisor::begin`]; what hinders it is the agent's end, told to who waits.
    pub(super) fn try_begin(&mut self, record: Record) {
        let name = record.name.clone();
        let room = self.room_for(&name).map_err(|(cause, hint)| with_hint(cause, hint));
        let begun = room.and_then(|()| {
            self.begin(record).map_err(|error| with_hint(error.to_string(), &error.hint()))
        });
        if let Err(told) = begun {
            self.answer_waits(
                &name,
                &[Wait::Restart, Wait::Start],
                &Answer::failed(told.clone(), ""),
            );
            if let Some(agent) = self.agents.get_mut(&name) {
                agent.ended_as(Outcome { how: told, status: 125 });
                self.ended(&name, Duration::ZERO);
            }
        }
    }

    /// What is due by the clock.
    pub(super) fn clock(&mut self) {
        let names: Vec<String> = self.agents.keys().cloned().collect();
        let now = Instant::now();
        self.watch_clock(now);
        for name in names {
            let Some(agent) = self.agents.get_mut(&name) else { continue };
            match &mut agent.phase {
                Phase::Resting(until) if *until <= now => {
                    let record = agent.record.clone();
                    if record.row > 0 {
                        let row = record.row;
                        let told = format!("{name} is started again, for the {row}. time in a row");
                        self.note(&name, Kind::Restarted, None, told);
                    }
                    self.try_begin(record);
                }
                Phase::Starting { shim: Some(shim), until } if *until <= now => {
                    *until = now + BORN;
                    if !shim.is_adopted() {
                        end_maker(&name, shim);
                    } else if !end_by_root(&name, agent) {
                        tracing::warn!(agent = name, "its shim says nothing");
                    }
                }
                Phase::Up(up) => {
                    let prove = up.prove_at.is_some_and(|at| at <= now);
                    due(&name, up, now);
                    if prove {
                        self.prove(&name);
                    }
                }
                Phase::Resting(_)
                | Phase::Starting { .. }
                | Phase::Cleaning { .. }
                | Phase::Ended => {}
            }
            self.send_away(&name);
            self.answer_late(&name, now);
        }
    }

    /// Whoever waits too long for a screen, or for a shim.
    fn answer_late(&mut self, name: &str, now: Instant) {
        let Some(agent) = self.agents.get(name) else { return };
        let late = |(_, wait, since): &(u64, Wait, Instant)| {
            let waited = now.saturating_duration_since(*since);
            wait.patience().is_some_and(|patience| waited >= patience)
        };
        let late: Vec<Wait> =
            agent.waits.iter().filter(|wait| late(wait)).map(|(_, wait, _)| *wait).collect();
        for wait in late {
            let silent = |who| Answer::failed(format!("the {who} of {name} does not answer"), "");
            let answer = match wait {
                // With what is known without the gate.
                Wait::Status => self.status(name),
                Wait::Screen => silent("tmux server"),
                Wait::Freeze(_) | Wait::Start | Wait::End | Wait::Restart => silent("shim"),
            };
            self.answer_waits(name, &[wait], &answer);
        }
    }

    fn show_screen(&mut self, name: &str, text: Option<String>) {
        let answer = match text {
            Some(text) => Answer::Screen(text),
            None => Answer::failed(format!("the tmux server of {name} does not answer"), ""),
        };
        self.answer_waits(name, &[Wait::Screen], &answer);
    }
}

fn with_hint(told: String, hint: &str) -> String {
    if hint.is_empty() { told } else { format!("{told}\n  hint: {hint}") }
}
