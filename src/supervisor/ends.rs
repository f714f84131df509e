//! How agents end: asked to, by themselves, or lost; and what is done about what is left of them.

use super::agent::{Agent, Phase, Up, Wait, outcome};
use super::alerts::By;
use super::life::UP;
use super::reach::{adopted, has_left, reach};
use super::restart::{self, End};
use super::state::{Outcome, Stage};
use super::{Supervisor, apart};
use crate::alerts::event::{Event, Kind, Label};
use crate::config::Restart;
use crate::control::protocol::Answer;
use crate::launch::{self, record};
use crate::limits::journal::now;
use crate::shim::ShimError;
use crate::shim::owner::Starting;
use std::time::{Duration, Instant};

/// How often everything of an agent is ended before its shim is.
const ENDINGS: u32 = 3;
/// How often what is left of an agent is tried to be removed again.
const CLEANINGS: u32 = 3;
/// How long the end of everything may take before root itself ends what is in the cgroup.
const LAST: Duration = Duration::from_secs(5);
/// What is said where an agent does not run, and its file may say that it does.
pub(super) const NOT_WRITTEN: &str =
    "that is not written down, and the next supervisor may start it again";
/// What to do about that.
pub(super) const MAKE_ROOM: &str =
    "make room on the disk of `[paths] state`, and stop it once more";

impl Supervisor {
    /// It cannot be kept: all of it is ended.
    pub(super) fn lose(&mut self, name: &str, error: &ShimError) {
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get_mut(name) else { return };
        tracing::error!(%error, agent = name, "is ended");
        up.ended_for.get_or_insert(error.to_string());
        up.stopping = Some(Instant::now());
        if let Err(error) = up.owner.kill() {
            tracing::warn!(%error, agent = name, "its shim does not hear");
        }
    }

    /// Its jail has ended, with this status where its shim has said so.
    pub(super) fn over(&mut self, name: &str, status: Option<u8>) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let Phase::Up(up) = std::mem::replace(&mut agent.phase, Phase::Ended) else { return };
        let mut end = match status {
            Some(status) => outcome(name, up.said.as_ref(), status),
            None => killed(name),
        };
        if let Some(why) = up.ended_for {
            end.how = format!("{name} was ended: {why}");
        }
        // The shim, which waits until its last figures are read, ends now; children are reaped in every turn.
        let (told, _) = up.owner.finish();
        agent.people.clear();
        agent.sent_away.clear();
        agent.ended_as(end);
        let ran = up.since.elapsed();
        self.watch_no_more(name);
        for told in told {
            self.note(name, Kind::Told, None, told);
        }
        self.clean(name, ran);
    }

    /// Has what is left of the jail removed by a child: that may take as long as its processes take to end.
    pub(super) fn clean(&mut self, name: &str, ran: Duration) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let jail = agent.jail();
        let path = self.folders.socket(name);
        let child =
            apart::start(&[], || i32::from(!has_left(&path) || record::finish(&jail).is_err()));
        match child {
            Ok(child) => agent.phase = Phase::Cleaning { child, ran },
            Err(errno) => {
                tracing::error!(%errno, agent = name, "what is left of it is removed by the next start");
                self.ended(name, ran);
            }
        }
    }

    /// What was left of its jail is removed, where that was `done`.
    pub(super) fn cleaned(&mut self, name: &str, ran: Duration, done: bool) {
        if !done {
            // It was given up too early, and lives.
            if let Ok(link) = reach(&self.folders.socket(name))
                && let Some(agent) = self.agents.get_mut(name)
            {
                tracing::warn!(agent = name, "its shim lives, and is taken over again");
                agent.phase = adopted(name, link);
                return;
            }
            // Its shim may keep it for nobody: a jail whose processes have ended is kept by none.
            if let Some(agent) = self.agents.get_mut(name)
                && agent.cleanings < CLEANINGS
                && end_by_root(name, agent)
            {
                agent.cleanings += 1;
                return self.clean(name, ran);
            }
            let told = format!("something of {name} is left; its next start removes it");
            self.note(name, Kind::Trouble, None, told);
        }
        self.ended(name, ran);
    }

    /// Nothing is left of it: it rests, or stays ended.
    pub(super) fn ended(&mut self, name: &str, ran: Duration) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        self.alerts.ended(name);
        let record = &mut agent.record;
        let end = record.outcome.clone().unwrap_or_default();
        let asked = record.again;
        let policy = Restart::parse(&record.restart).unwrap_or(Restart::Never);
        let kind = match (record.goes, end.status) {
            (false, _) => End::Asked,
            (true, 0) => End::Well,
            (true, _) => End::Badly,
        };
        record.stage = Stage::Ended;
        record.since = now();
        let next = restart::next(policy, kind, ran, record.row);
        agent.phase = match next {
            Some((pause, row)) => {
                (record.row, record.restarts) = (row, record.restarts.saturating_add(1));
                Phase::Resting(Instant::now() + pause)
            }
            None => {
                (record.goes, record.row) = (false, 0);
                if asked { Phase::Resting(Instant::now()) } else { Phase::Ended }
            }
        };
        let again =
            next.map(|(pause, _)| format!("; it is started again in {} s", pause.as_secs()));
        let how = end.how.clone();
        let saved = self.try_save(name);
        let told = format!("{how}{}", again.unwrap_or_default());
        let ended = Event::new(Kind::Ended, Some(name), &told).with(Label::Outcome, kind.word());
        self.write_down(ended, By::nobody());
        let done = saved.map_or_else(
            |cause| Answer::failed(format!("{how}, but {NOT_WRITTEN}: {cause}"), MAKE_ROOM),
            |()| Answer::Done(vec![how.clone()]),
        );
        self.answer_waits(name, &[Wait::End], &done);
        let failed = Answer::Failed { cause: how, hint: String::new(), status: end.status.max(1) };
        let for_running = [Wait::Start, Wait::Screen, Wait::Freeze(true), Wait::Freeze(false)];
        self.answer_waits(name, &for_running, &failed);
        self.answer_status(name);
        if !asked {
            self.answer_waits(name, &[Wait::Restart], &failed);
        }
    }

    /// The watch has the agent stopped, for the reason `why`: it is not started again by itself.
    pub(super) fn stop_for(&mut self, name: &str, why: String) {
        let Some(Agent { record, phase: Phase::Up(up), .. }) = self.agents.get_mut(name) else {
            return;
        };
        up.ended_for.get_or_insert(why);
        (record.goes, record.again) = (false, false);
        self.save(name);
        self.ask_to_end(name, self.patience());
    }

    /// Asks the agent to end; after `patience` everything of it is ended.
    pub(super) fn ask_to_end(&mut self, name: &str, patience: Duration) {
        let Some(agent) = self.agents.get_mut(name) else { return };
        let up = match &mut agent.phase {
            Phase::Up(up) => up,
            // Its jail is only being made, and nothing of the agent runs: its maker ends.
            Phase::Starting { shim: Some(shim), .. } if !shim.is_adopted() => {
                return end_maker(name, shim);
            }
            // It was taken over and has not said anything yet: what it keeps is known.
            Phase::Starting { shim: Some(_), .. } => {
                if !end_by_root(name, agent) {
                    tracing::warn!(agent = name, "nothing of it is known that root could end");
                }
                return;
            }
            Phase::Starting { shim: None, .. }
            | Phase::Cleaning { .. }
            | Phase::Resting(_)
            | Phase::Ended => return,
        };
        let asked = if patience.is_zero() {
            up.owner.kill()
        } else {
            // A frozen agent hears nothing.
            up.owner.freeze(false).and_then(|()| up.owner.stop())
        };
        // Who asks for more time does not take away what another one has asked for.
        let until = Instant::now() + patience;
        up.stopping = Some(up.stopping.map_or(until, |before| before.min(until)));
        if let Err(error) = asked {
            tracing::warn!(%error, agent = name, "its shim does not hear");
        }
    }
}

/// What is due of an agent that has a jail.
pub(super) fn due(name: &str, up: &mut Up, now: Instant) {
    if up.until_up.is_some_and(|until| until <= now) && up.stopping.is_none() {
        up.ended_for = Some(format!("its session was not there after {} s", UP.as_secs()));
        up.stopping = Some(now);
    }
    if up.stopping.is_some_and(|until| until <= now) {
        end_now(name, up);
        up.endings += 1;
        up.stopping = Some(now + LAST);
    }
}

pub(super) fn end_maker(name: &str, shim: &Starting) {
    if let Err(error) = shim.end() {
        tracing::warn!(%error, agent = name, "its shim does not end");
    }
}

/// Everything that is in the agent's cgroup ends, whatever its shim does. Nothing, and false, where the jail of that name is not
/// the agent's any more: somebody may run one without the supervisor, in a cgroup at the same place.
pub(super) fn end_by_root(name: &str, agent: &Agent) -> bool {
    let Some(kept) = &agent.record.kept else { return false };
    if !record::kept(&agent.jail()).is_ok_and(|(now, _)| now.init == kept.init) {
        return false;
    }
    if let Some(Err(error)) = kept.cgroup.as_deref().map(launch::end_all) {
        tracing::warn!(%error, agent = name, "what is in its cgroup does not end");
    }
    true
}

/// By the shim, and by root itself where the shim does not: it may have been stopped.
fn end_now(name: &str, up: &Up) {
    let killed = up.owner.kill();
    let cgroup = up.owner.kept().cgroup.as_deref();
    let ended = cgroup.map_or(Ok(()), launch::end_all);
    if up.endings >= ENDINGS
        && let Err(error) = up.owner.end_shim()
    {
        tracing::warn!(%error, agent = name, "its shim does not end");
    }
    if let Err(error) = killed {
        tracing::warn!(%error, agent = name, "its shim does not hear");
    }
    if let Err(error) = ended {
        tracing::warn!(%error, agent = name, "not everything of it has ended");
    }
}

/// The end of an agent whose shim has ended and said nothing.
pub(super) fn killed(name: &str) -> Outcome {
    let how = format!("{name} was ended: the process that kept it was killed");
    Outcome { how, status: 137 }
}
