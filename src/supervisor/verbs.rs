//! What callers ask for.

use super::agent::{Agent, Phase, Up, Wait, frozen_words};
use super::alerts::By;
use super::ends::{MAKE_ROOM, NOT_WRITTEN};
use super::errands::{self, For, Refusal};
use super::state::{Record, SCHEMA, boot};
use super::{SuperviseError, Supervisor};
use crate::alerts::event::{Event, Kind};
use crate::config::{AgentEntry, Restart};
use crate::control::protocol::{Answer, Looks, Request, Status, name_of};
use crate::control::roles::Caller;
use crate::host::{self, accounts, uids};
use crate::limits::Source;
use crate::limits::journal;
use crate::planning::Wanted;
use crate::profile::types::AgentName;
use crate::shim::ShimError;
use crate::shim::protocol::Looker;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is answered at once, with what comes along; `None` where the caller waits.
pub(super) type Answered = Option<(Answer, Vec<OwnedFd>)>;

/// Refused calls of an agent that are written down, in which time.
const REFUSALS: (u32, Duration) = (20, Duration::from_secs(60));
/// The newest events of a status, and the newest findings.
const EVENTS: usize = 10;
const FINDINGS: usize = 3;
/// Lines of a journal at the most.
const MOST_LINES: u32 = 10_000;
/// The longest patience that a caller may ask for.
const LONGEST: Duration = Duration::from_secs(600);

fn at_once(answer: Answer) -> Answered {
    Some((answer, Vec::new()))
}

pub(super) fn refused(cause: impl Into<String>, hint: &str) -> Answered {
    at_once(Answer::failed(cause, hint))
}

pub(super) fn failed(error: &ShimError) -> Answered {
    let (cause, hint, status) = (error.to_string(), error.hint(), error.status());
    at_once(Answer::Failed { cause, hint, status })
}

impl Supervisor {
    /// Does what `caller` asks for on the connection `number`, if they may.
    pub(super) fn perform(&mut self, number: u64, caller: &Caller, request: Request) -> Answered {
        let request = self.filled_in(request);
        let (verb, agent) = (request.verb(), request.agent());
        if let Err(refusal) = self.roles.allows(caller, verb, agent.as_deref()) {
            let told = refusal.to_string();
            self.note_refusal(caller, agent.as_deref(), told.clone());
            return at_once(Answer::failed(told, refusal.hint()));
        }
        match request {
            Request::List => at_once(self.list(caller)),
            Request::Up => {
                let (told, all) = self.up_all(false);
                at_once(if all { Answer::Done(told) } else { Answer::failed(told.join("; "), "") })
            }
            Request::Reload => {
                self.reload = true;
                self.reload_for.push(number);
                None
            }
            Request::Start { wanted, caller: person, restart } => {
                let person = person_of(caller, *person);
                self.start(number, person, *wanted, restart)
            }
            Request::Logs { agent, lines } => {
                self.logs((number, caller.uid), (&agent, &agent), lines)
            }
            Request::Denials { agent, lines } => {
                self.logs((number, caller.uid), (&agent, &journal::denials_of(&agent)), lines)
            }
            Request::Alerts { agent, lines } => self.alerts_of((number, caller), agent, lines),
            Request::TryAlerts { sinks } => self.try_sinks(number, caller.uid, &sinks),
            Request::Status { agent } => self.with(&agent, |this| {
                // Its gate is asked, and not waited for in the meantime.
                let asked = this.running(&agent).is_some_and(|up| up.owner.ask_for_network());
                if asked {
                    this.wait(number, &agent, Wait::Status)
                } else {
                    at_once(this.status(&agent))
                }
            }),
            Request::Screen { agent } => self.with(&agent, |this| this.screen(number, &agent)),
            Request::Attach { agent, types, size } => {
                self.with(&agent, |this| this.attach((number, caller), &agent, types, size))
            }
            Request::Exec { agent, words, terminals, size } => self
                .with(&agent, |this| this.exec((number, caller), &agent, (words, terminals, size))),
            Request::Stop { agent, patience } => {
                let patience = patience.map_or(self.patience(), Duration::from_millis).min(LONGEST);
                self.with(&agent, |this| this.stop(number, caller, &agent, patience))
            }
            Request::Restart { agent } => {
                self.with(&agent, |this| this.restart(number, caller, &agent))
            }
            Request::Jobs { agent } => self.with(&agent, |this| this.jobs(&agent)),
            Request::StopJob { agent, number: job } => {
                self.with(&agent, |this| this.stop_job(caller, &agent, job))
            }
            Request::Freeze { agent } => self.freeze(number, caller, &agent, true),
            Request::Thaw { agent } => self.freeze(number, caller, &agent, false),
            Request::Remove { agent } => self.with(&agent, |this| at_once(this.remove(&agent))),
        }
    }

    /// With what the configuration says where the caller says nothing: the agent's name may come of it.
    fn filled_in(&self, mut request: Request) -> Request {
        if let Request::Start { wanted, .. } = &mut request {
            let default = self.config.defaults.profile.as_ref();
            let default = default.filter(|_| wanted.profile.is_empty());
            // That it is the configuration's word is not the caller's to say.
            wanted.installed = default.is_some();
            default.into_iter().for_each(|it| wanted.profile.clone_from(&it.value));
        }
        request
    }

    fn note_refusal(&mut self, caller: &Caller, agent: Option<&str>, told: String) {
        // Only where there is such an agent: a caller makes no files by names of their choice.
        let known = agent.filter(|name| self.agents.contains_key(*name));
        let refused = Event::new(Kind::RefusedCall, known, &told);
        let Some(name) = known else { return self.alerts.teller.tell(refused) };
        let Some(agent) = self.agents.get_mut(name) else { return };
        // So many at the most: they must not push out of the journal what else happened.
        if agent.refusals.is_none_or(|(since, _)| since.elapsed() >= REFUSALS.1) {
            agent.refusals = Some((Instant::now(), 0));
        }
        let count = agent.refusals.as_mut().map_or(0, |(_, count)| {
            *count += 1;
            *count
        });
        if count <= REFUSALS.0 {
            self.write_down(refused, By { by_uid: Some(caller.uid) });
        } else {
            // It counts all the same.
            self.alerts.teller.tell(refused);
        }
    }

    /// Does `what` with an agent that there is.
    fn with(&mut self, agent: &str, what: impl FnOnce(&mut Self) -> Answered) -> Answered {
        if self.agents.contains_key(agent) {
            return what(self);
        }
        let shown = agent.escape_debug();
        refused(format!("there is no agent `{shown}`"), "cellblock ls shows those that there are")
    }

    pub(super) fn running(&mut self, agent: &str) -> Option<&mut Up> {
        match &mut self.agents.get_mut(agent)?.phase {
            Phase::Up(up) if up.until_up.is_none() => Some(up),
            Phase::Up(_)
            | Phase::Starting { .. }
            | Phase::Cleaning { .. }
            | Phase::Resting(_)
            | Phase::Ended => None,
        }
    }

    /// The newest lines of the journal `of` of the agent `name`, read by a child: they may be many.
    fn logs(
        &mut self,
        (number, uid): (u64, u32),
        (name, of): (&str, &str),
        lines: u32,
    ) -> Answered {
        // The name is somebody's word, and becomes the name of a file.
        if let Err(cause) = AgentName::parse(name) {
            return refused(cause, "");
        }
        let folder = self.log();
        let conn = self.conns.get(&number)?;
        let child = errands::start(conn.as_fd(), &[], || {
            let answered = conn.say(&read(&folder, (name, of), lines), &[]);
            let gone = |errno: Errno| Refusal::new(&errno.to_string(), "");
            (answered.map_err(gone), Vec::new())
        });
        match child {
            Ok(child) => {
                self.await_errand((number, uid), child, For::Answer);
                None
            }
            Err(errno) => {
                refused(format!("cannot make the process that reads the journal: {errno}"), "")
            }
        }
    }

    /// The newest alerts of `agent`, or of all that `caller` may know of, read by a child as [`Supervisor::logs`].
    fn alerts_of(
        &mut self,
        (number, caller): (u64, &Caller),
        agent: Option<String>,
        lines: u32,
    ) -> Answered {
        let agent = agent.as_deref();
        let folder = self.log();
        let conn = self.conns.get(&number)?;
        let roles = &self.roles;
        let is_meant = |line: &Value| match (line["agent"].as_str(), agent) {
            (Some(about), Some(agent)) => about == agent,
            (Some(about), None) => roles.sees(caller, about),
            (None, Some(_)) => false,
            // Of all agents together.
            (None, None) => roles.of(caller, None).is_some(),
        };
        let child = errands::start(conn.as_fd(), &[], || {
            let answered = conn.say(&read_alerts(&folder, lines, is_meant), &[]);
            let gone = |errno: Errno| Refusal::new(&errno.to_string(), "");
            (answered.map_err(gone), Vec::new())
        });
        match child {
            Ok(child) => {
                self.await_errand((number, caller.uid), child, For::Answer);
                None
            }
            Err(errno) => {
                refused(format!("cannot make the process that reads alerts: {errno}"), "")
            }
        }
    }

    fn list(&mut self, caller: &Caller) -> Answer {
        let roles = &self.roles;
        let seen = self.agents.iter_mut().filter(|(name, _)| roles.sees(caller, name));
        Answer::Agents(seen.map(|(_, agent)| agent.shown()).collect())
    }

    pub(super) fn status(&mut self, name: &str) -> Answer {
        let network = self.running(name).and_then(|up| up.owner.network());
        let (folder, sight) = (self.log(), self.watching.sight());
        let Some(agent) = self.agents.get_mut(name) else {
            return Answer::failed(format!("there is no agent `{name}`"), "");
        };
        let shown = agent.shown();
        let Record { wanted, restart, kept, .. } = &agent.record;
        let up = match &agent.phase {
            Phase::Up(up) => Some(up),
            Phase::Starting { .. } | Phase::Cleaning { .. } | Phase::Resting(_) | Phase::Ended => {
                None
            }
        };
        let again = match &agent.phase {
            Phase::Resting(until) => {
                Some(until.saturating_duration_since(Instant::now()).as_secs())
            }
            Phase::Up(_) | Phase::Starting { .. } | Phase::Cleaning { .. } | Phase::Ended => None,
        };
        let figures = kept.clone().filter(|_| up.is_some()).map(|kept| Source::open(kept).read());
        Answer::Status(Box::new(Status {
            shown,
            wanted: wanted.clone(),
            restart: restart.clone(),
            again,
            without: up.map(|up| up.owner.born().without.clone()).unwrap_or_default(),
            init: up.map(|up| up.owner.kept().init),
            people: agent.people.values().map(looks).collect(),
            figures: serde_json::to_value(figures).unwrap_or(Value::Null),
            network: serde_json::to_value(network).unwrap_or(Value::Null),
            events: journal::newest(&folder, name, &agent.jail(), EVENTS),
            watch: up.map(|_| sight),
            findings: journal::newest_of(&folder, name, (&agent.jail(), "finding"), FINDINGS),
        }))
    }

    fn jobs(&mut self, name: &str) -> Answered {
        let Some(up) = self.running(name) else { return not_running(name) };
        at_once(Answer::Jobs(up.owner.shown_jobs()))
    }

    fn stop_job(&mut self, caller: &Caller, name: &str, number: u32) -> Answered {
        let Some(up) = self.running(name) else { return not_running(name) };
        match up.owner.stop_job(number) {
            Ok(told) => {
                let uid = caller.uid;
                let noted = format!("uid {uid} ends job {number}");
                self.note(name, Kind::JobStopped, Some(uid), noted);
                at_once(Answer::Done(vec![told]))
            }
            Err((cause, hint)) => at_once(Answer::failed(cause, hint)),
        }
    }

    fn screen(&mut self, number: u64, name: &str) -> Answered {
        let Some(up) = self.running(name) else { return not_running(name) };
        if let Err(error) = up.owner.ask_for_screen() {
            return failed(&error);
        }
        self.wait(number, name, Wait::Screen)
    }

    fn wait(&mut self, number: u64, name: &str, wait: Wait) -> Answered {
        if let Some(agent) = self.agents.get_mut(name) {
            agent.waits.push((number, wait, Instant::now()));
        }
        None
    }

    fn start(
        &mut self,
        number: u64,
        caller: host::Caller,
        mut wanted: Wanted,
        restart: Option<String>,
    ) -> Answered {
        let name = name_of(&wanted);
        if let Err(cause) = AgentName::parse(&name) {
            return refused(cause, "give it a name with --name");
        }
        let restart =
            restart.unwrap_or_else(|| self.config.defaults.restart.value.word().to_owned());
        if let Err(cause) = Restart::parse(&restart) {
            return refused(cause, "");
        }
        if wanted.config.is_some() {
            return refused(
                "an agent has the configuration of its supervisor",
                "leave --config out",
            );
        }
        wanted.name = Some(name.clone());
        let uid = caller.person.uid;
        let record = Record { wanted, caller, restart, ..Record::default() };
        match self.start_new(&name, record) {
            Ok(()) => {
                self.note(&name, Kind::Start, Some(uid), format!("uid {uid} starts {name}"));
                self.wait(number, &name, Wait::Start)
            }
            Err(answer) => at_once(answer),
        }
    }

    /// Starts an agent that does not run; of one that has ended what was known is forgotten.
    fn start_new(&mut self, name: &str, record: Record) -> Result<(), Answer> {
        if self.unread.iter().any(|unread| unread == name) {
            let cause = format!("the file with the state of {name} cannot be read");
            let hint = "remove it from [paths] state of the configuration, once nothing of that agent runs";
            return Err(Answer::failed(cause, hint));
        }
        let known = self.agents.get(name);
        if known.is_some_and(Agent::is_active) {
            let hint = "give this one another name with --name";
            return Err(Answer::failed(
                format!("an agent named `{name}` is running already"),
                hint,
            ));
        }
        self.room_for(name).map_err(|(cause, hint)| Answer::failed(cause, hint))?;
        if record.caller.bound {
            self.take_name(record.caller.person.uid, name)?;
        }
        let record = Record { schema: SCHEMA, name: name.to_owned(), ..record };
        self.begin(record).map_err(|error: SuperviseError| {
            Answer::failed(format!("{name} is not started: {error}"), error.hint())
        })
    }

    /// Whether one more agent may run: that called `name`.
    pub(super) fn room_for(&self, name: &str) -> Result<(), (String, &'static str)> {
        let others =
            self.agents.iter().filter(|(other, agent)| *other != name && agent.is_active());
        let active = others.count();
        let most = self.config.supervisor.max_agents.value;
        if u32::try_from(active).unwrap_or(u32::MAX) < most {
            return Ok(());
        }
        let hint = "stop one, or raise max_agents in [supervisor] of the configuration";
        Err((format!("{active} agents run, and the most are {most}"), hint))
    }

    /// Whether there may be an agent called `name` because the person `uid` asks for it, who is not root; then it is written down
    /// that the name is theirs.
    fn take_name(&mut self, uid: u32, name: &str) -> Result<(), Answer> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (known, is_known) = (self.agents.len(), self.agents.contains_key(name));
        let bounds = &self.config.supervisor;
        if !is_known && count(known) >= bounds.max_known.value {
            let cause =
                format!("{known} agents are known, and the most are {}", bounds.max_known.value);
            let hint = "forget one that has ended: cellblock rm NAME; root may raise max_known in [supervisor]";
            return Err(Answer::failed(cause, hint));
        }
        let book = uids::book().map_err(|cause| {
            Answer::failed(format!("cannot see who has which name: {cause}"), "")
        })?;
        let counts = |name: &str| self.agents.contains_key(name) || uids::is_entered(&book, name);
        if counts(name) {
            return Ok(());
        }
        let (taken, most) = (self.names.of(uid, &counts), bounds.max_names.value);
        if count(taken) >= most {
            let cause = format!(
                "uid {uid} has given {taken} names to agents, and the most are {most}: each takes uids for ever"
            );
            let hint = "start an agent by one of those again, or have root raise max_names in [supervisor]";
            return Err(Answer::failed(cause, hint));
        }
        self.names.take(name, uid, &counts).map_err(|error| {
            Answer::failed(format!("{name} is not started: {error}"), error.hint())
        })
    }

    /// Starts what the configuration names and does not run; what there is to say about each. At the start of the supervisor
    /// those are left out that have ended, or were stopped, since the machine was started: it may only have been upgraded.
    /// And whether all of them were.
    pub(super) fn up_all(&mut self, at_start: bool) -> (Vec<String>, bool) {
        let boot = boot();
        let mut entries = self.config.agents.clone();
        entries.retain(|entry| {
            let known = self.agents.get(entry.name.value.as_str());
            let rests = |agent: &Agent| agent.record.boot == boot && !agent.is_active();
            !at_start || !known.is_some_and(rests)
        });
        if entries.is_empty() {
            return (vec!["the configuration names no agents to start".to_owned()], true);
        }
        let told: Vec<_> = entries.iter().map(|entry| self.up(entry)).collect();
        let all = told.iter().all(Result::is_ok);
        (told.into_iter().map(|told| told.unwrap_or_else(|cause| cause)).collect(), all)
    }

    fn up(&mut self, entry: &AgentEntry) -> Result<String, String> {
        let name = entry.name.value.as_str().to_owned();
        if self.agents.get(&name).is_some_and(Agent::is_active) {
            return Ok(format!("{name} runs already"));
        }
        let wanted = Wanted {
            profile: entry.profile.value.clone(),
            name: Some(name.clone()),
            workspace: entry.workspace.as_ref().map(|path| PathBuf::from(&path.value)),
            command: entry.command.as_ref().map(|it| it.value.clone()).unwrap_or_default(),
            without: entry.without.iter().map(|wall| wall.value.name().to_owned()).collect(),
            config: None,
            installed: true,
        };
        // An agent of the configuration has root's word, and nobody's directory.
        let caller = host::Caller { bound: false, ..bound(0, None) };
        let restart = entry.restart.value.word().to_owned();
        let record = Record { wanted, caller, restart, ..Record::default() };
        match self.start_new(&name, record) {
            Ok(()) => Ok(format!("{name} is started")),
            Err(Answer::Failed { cause, .. }) => Err(cause),
            Err(_) => Err(format!("{name} is not started")),
        }
    }

    fn stop(&mut self, number: u64, caller: &Caller, name: &str, patience: Duration) -> Answered {
        let Some(agent) = self.agents.get_mut(name) else { return not_running(name) };
        (agent.record.goes, agent.record.again) = (false, false);
        let (rests, told) = match agent.phase {
            // It may not have been written down when it ended.
            Phase::Ended => (false, format!("{name} does not run")),
            Phase::Resting(_) => (true, format!("{name} is not started again")),
            Phase::Up(_) | Phase::Starting { .. } | Phase::Cleaning { .. } => {
                (false, String::new())
            }
        };
        if rests {
            agent.phase = Phase::Ended;
        }
        let active = agent.is_active();
        let saved = self.try_save(name);
        if active || rests {
            let told = format!("uid {} stops {name}", caller.uid);
            self.note(name, Kind::Stop, Some(caller.uid), told);
        }
        if !active {
            let stopped = Answer::failed(format!("{name} was stopped"), "");
            self.answer_waits(name, &[Wait::Restart, Wait::Start], &stopped);
            return at_once(match saved {
                Ok(()) => Answer::Done(vec![told]),
                Err(cause) => {
                    Answer::failed(format!("{told}, but {NOT_WRITTEN}: {cause}"), MAKE_ROOM)
                }
            });
        }
        self.ask_to_end(name, patience);
        self.wait(number, name, Wait::End)
    }

    fn restart(&mut self, number: u64, caller: &Caller, name: &str) -> Answered {
        let told = format!("uid {} restarts {name}", caller.uid);
        self.note(name, Kind::Restart, Some(caller.uid), told);
        let Some(agent) = self.agents.get_mut(name) else { return not_running(name) };
        let active = agent.is_active();
        agent.waits.push((number, Wait::Restart, Instant::now()));
        if active {
            // It ends as if it were stopped, and begins again because somebody has asked for that.
            (agent.record.goes, agent.record.again) = (false, true);
            self.save(name);
            let patience = self.patience();
            self.ask_to_end(name, patience);
        } else {
            let record = agent.record.clone();
            self.try_begin(record);
        }
        None
    }

    fn freeze(&mut self, number: u64, caller: &Caller, name: &str, frozen: bool) -> Answered {
        self.with(name, |this| this.freeze_known(number, caller, name, frozen))
    }

    fn freeze_known(&mut self, number: u64, caller: &Caller, name: &str, frozen: bool) -> Answered {
        let Some(up) = self.running(name) else { return not_running(name) };
        if up.owner.kept().cgroup.is_none() {
            return refused(
                format!("{name} has no cgroup, which is what freezes"),
                "start it with the wall `cgroup`",
            );
        }
        if let Err(error) = up.owner.freeze(frozen) {
            return failed(&error);
        }
        let (event, does) = frozen_words(frozen);
        let told = format!("{name} {does}, says uid {}", caller.uid);
        self.note(name, event, Some(caller.uid), told);
        self.wait(number, name, Wait::Freeze(frozen))
    }

    fn remove(&mut self, name: &str) -> Answer {
        if self.agents.get(name).is_some_and(Agent::is_active) {
            return Answer::failed(format!("{name} runs"), "stop it first");
        }
        match self.folders.remove(name) {
            Ok(()) => {
                let forgotten = Answer::failed(format!("{name} was forgotten"), "");
                let waits = self.agents.get(name).map(|agent| agent.waits.iter());
                let waits: Vec<Wait> =
                    waits.into_iter().flatten().map(|(_, wait, _)| *wait).collect();
                self.answer_waits(name, &waits, &forgotten);
                self.agents.remove(name);
                self.alerts.forget(name);
                Answer::Done(vec![format!("{name} is forgotten; its journal stays")])
            }
            Err(error) => Answer::failed(error.to_string(), error.hint()),
        }
    }
}

fn looks(looker: &Looker) -> Looks {
    Looks { uid: looker.uid, verb: looker.verb.clone(), since: looker.since }
}

pub(super) fn not_running(name: &str) -> Answered {
    refused(format!("{name} does not run"), "cellblock start, or cellblock restart, starts it")
}

/// The newest lines of the journal `of` of the agent `name`.
fn read(folder: &Path, (name, of): (&str, &str), lines: u32) -> Answer {
    let most = usize::try_from(lines.min(MOST_LINES)).unwrap_or(usize::MAX);
    match journal::last(folder, of, most) {
        Ok(lines) => Answer::Logs(lines),
        Err(errno) => Answer::failed(format!("cannot read the journal of {name}: {errno}"), ""),
    }
}

/// The newest alerts, of those that are meant.
fn read_alerts(folder: &Path, lines: u32, is_meant: impl Fn(&Value) -> bool) -> Answer {
    let most = usize::try_from(lines.min(MOST_LINES)).unwrap_or(usize::MAX);
    match journal::last(folder, journal::ALERTS, usize::MAX) {
        Ok(mut lines) => {
            lines.retain(is_meant);
            lines.drain(..lines.len().saturating_sub(most));
            Answer::Logs(lines)
        }
        Err(errno) => Answer::failed(format!("cannot read the alerts: {errno}"), ""),
    }
}

/// For whom a jail is planned that `caller` asks for, who says to be `person`: root is believed, the person behind sudo
/// too. Who is not root is bound to what root has made.
fn person_of(caller: &Caller, person: host::Caller) -> host::Caller {
    if caller.uid == 0 {
        return host::Caller { euid: 0, bound: false, ..person };
    }
    bound(caller.uid, person.directory)
}

fn bound(uid: u32, directory: Option<String>) -> host::Caller {
    let person = host::Person { uid, home: accounts::home(uid) };
    host::Caller { euid: 0, person, directory, terminal: false, bound: true }
}
