//! The watch and the supervisor: agents are told to it, and what it finds is written down.

use super::Supervisor;
use super::agent::{Agent, Phase, is_frozen};
use crate::alerts::event::{Event, Kind, Label};
use crate::control::protocol::Sight;
use crate::denial::Denial;
use crate::jail::protocol::Report as Said;
use crate::launch::{self, LaunchError};
use crate::limits::journal::{self, Journal};
use crate::watch::findings::Finding;
use crate::watch::keeper::{Heard, Keeper};
use crate::watch::protocol::Report;
use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How soon a watch that has ended is started again.
const AGAIN: Duration = Duration::from_secs(2);

/// The watch over all agents.
#[derive(Debug, Default)]
pub(super) struct Watching {
    keeper: Option<Keeper>,
    /// When it is started again.
    again: Option<Instant>,
    /// How it sees processes, as it said last.
    sees: Option<Result<(), String>>,
}

impl Watching {
    /// Starts it.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub(super) fn start(config: &crate::config::Config) -> Result<Self, LaunchError> {
        let watch = &config.watch;
        let events = watch.events_per_second.value.into();
        let keeper = Keeper::start(config.uids, events, watch.audit.value)?;
        Ok(Self { keeper: Some(keeper), again: None, sees: None })
    }

    /// By what it is heard, and what is to be waited for there.
    pub(super) fn link(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.keeper.as_ref().map(|keeper| (keeper.link(), keeper.wants()))
    }

    /// How it sees processes.
    pub(super) fn sight(&self) -> Sight {
        match &self.sees {
            Some(Ok(())) => Sight::Events,
            Some(Err(cause)) => Sight::Scans { why: cause.clone() },
            None => Sight::Nothing,
        }
    }

    /// When it is to be started again, or asked whether it is there.
    pub(super) fn next(&self) -> Option<Instant> {
        let asks = self.keeper.as_ref().map(|keeper| Instant::now() + keeper.patience());
        self.again.into_iter().chain(asks).min()
    }
}

impl Supervisor {
    fn tell_watch(&mut self, tell: impl FnOnce(&mut Keeper)) {
        if let Some(keeper) = &mut self.watching.keeper {
            tell(keeper);
        }
    }

    /// It is started anew, and told everything. Who stands still only because it had something to end goes on.
    fn lose_watch(&mut self) {
        self.watching.keeper = None;
        self.watching.sees = None;
        self.watching.again.get_or_insert(Instant::now() + AGAIN);
        let names: Vec<String> = self.agents.keys().cloned().collect();
        names.iter().for_each(|name| self.let_go_on(name));
    }

    /// A watch that was killed may have left it standing still, which nobody wants.
    pub(super) fn let_go_on(&self, name: &str) {
        let Some(Agent { record, phase: Phase::Up(up), .. }) = self.agents.get(name) else {
            return;
        };
        if !record.frozen
            && is_frozen(&up.owner)
            && let Err(error) = up.owner.freeze(false)
        {
            tracing::warn!(%error, agent = name, "its shim does not hear");
        }
    }

    /// Has the agent `name` watched, whose jail stands.
    pub(super) fn watch(&mut self, name: &str) {
        let Some(Agent { record, phase: Phase::Up(up), .. }) = self.agents.get(name) else {
            return;
        };
        let Some(keeper) = &mut self.watching.keeper else { return };
        let jail = up.owner.jail();
        if let Err(errno) = keeper.add(jail, up.owner.kept(), record.frozen) {
            let told = format!("{name} is not watched: its cgroup cannot be opened: {errno}");
            return self.note(name, Kind::Trouble, None, told);
        }
        keeper.own(jail, up.owner.born().own.clone());
        up.owner.server().into_iter().for_each(|server| keeper.server(jail, server));
    }

    /// Its session was proved to be the agent's: from now on it can be told who is not of it.
    pub(super) fn watch_session(&mut self, name: &str) {
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get(name) else { return };
        let Some(keeper) = &mut self.watching.keeper else { return };
        up.owner.server().into_iter().for_each(|server| keeper.server(up.owner.jail(), server));
    }

    /// What its init says of the processes inside.
    pub(super) fn watch_said(&mut self, name: &str, said: Said) {
        let jail = launch::session_of(name);
        match said {
            Said::Own(own) => self.tell_watch(|keeper| keeper.own(&jail, own)),
            Said::Panes(panes) => self.tell_watch(|keeper| keeper.panes(&jail, panes)),
            Said::Failed { .. }
            | Said::Up
            | Said::NoSession { .. }
            | Said::Detached { .. }
            | Said::Screen(_)
            | Said::JobEnded { .. }
            | Said::Typed { .. }
            | Said::Ended { .. }
            | Said::ServerGone => {}
        }
    }

    /// It has reached limits.
    pub(super) fn watch_limits(&mut self, name: &str, limits: Vec<String>) {
        let jail = launch::session_of(name);
        for told in limits {
            self.tell_watch(|keeper| keeper.limit(&jail, told));
        }
    }

    /// It has new jobs.
    pub(super) fn watch_jobs(&mut self, name: &str, jobs: Vec<u32>) {
        let jail = launch::session_of(name);
        jobs.into_iter().for_each(|job| self.tell_watch(|keeper| keeper.job(&jail, job)));
    }

    /// It was frozen, or let go on.
    pub(super) fn watch_frozen(&mut self, name: &str, is_frozen: bool) {
        let was = self
            .agents
            .get_mut(name)
            .map(|agent| std::mem::replace(&mut agent.record.frozen, is_frozen));
        if was.is_some_and(|was| was != is_frozen) {
            self.save(name);
        }
        let jail = launch::session_of(name);
        self.tell_watch(|keeper| keeper.frozen(&jail, is_frozen));
    }

    /// It has ended.
    pub(super) fn watch_no_more(&mut self, name: &str) {
        let jail = launch::session_of(name);
        self.tell_watch(|keeper| keeper.forget(&jail));
    }

    /// Hears what the watch says.
    pub(super) fn hear_watch(&mut self) {
        let Some(keeper) = &mut self.watching.keeper else { return };
        let Heard { reports, gone } = keeper.hear();
        for (jail, report) in reports {
            let name = jail.as_deref().and_then(|jail| jail.strip_suffix(launch::SESSION));
            self.heed(name.map(str::to_owned), report);
        }
        if gone {
            tracing::error!("the watch has ended, and is started again");
            self.lose_watch();
        }
    }

    fn heed(&mut self, name: Option<String>, report: Report) {
        match (report, name) {
            (Report::Found(_, finding), Some(name)) => self.found(&name, &finding),
            (Report::Denied(_, denial), Some(name)) => self.denied(&name, &denial),
            (Report::Acted(_, told), Some(name)) => {
                self.note(&name, Kind::Acted, None, format!("the watch: {told}"));
            }
            (Report::Stop(_, told), Some(name)) => {
                self.note(&name, Kind::Acted, None, format!("the watch has it stopped: {told}"));
                self.stop_for(&name, format!("the watch stopped it: {told}"));
            }
            (Report::Froze(_, told), Some(name)) => {
                self.note(&name, Kind::Frozen, None, format!("the watch froze {name}: {told}"));
                // It stands still already; the shim keeps it so, and says when somebody lets it go on.
                if let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get(&name)
                    && let Err(error) = up.owner.freeze(true)
                {
                    tracing::warn!(%error, agent = name, "its shim does not hear");
                }
            }
            (Report::AskPanes(_), Some(name)) => {
                if let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get(&name)
                    && let Err(error) = up.owner.ask_for_panes()
                {
                    tracing::warn!(%error, agent = name, "its shim does not hear");
                }
            }
            (Report::Sees(sees), _) => {
                match &sees {
                    Ok(()) => tracing::info!("the watch sees processes as they start"),
                    Err(cause) => tracing::warn!(cause, "the watch only scans"),
                }
                self.watching.sees = Some(sees);
            }
            (Report::Hears(hears), _) => {
                if let Err(cause) = hears {
                    tracing::info!(cause, "the watch does not hear all that is refused");
                }
            }
            (Report::Trouble(told), _) => tracing::warn!(told, "the watch"),
            (Report::Failed(cause), _) => tracing::error!(cause, "there is no watch"),
            // Of an agent that it was told to forget a moment ago.
            (
                Report::Found(..)
                | Report::Denied(..)
                | Report::Acted(..)
                | Report::Stop(..)
                | Report::Froze(..)
                | Report::AskPanes(..),
                None,
            )
            | (Report::Forgotten(_) | Report::Pong, _) => {}
        }
    }

    fn found(&mut self, name: &str, finding: &Finding) {
        if let Some(agent) = self.agents.get_mut(name) {
            agent.was_found(journal::now());
        }
        let found = Event::new(Kind::Finding, Some(name), &finding.told()).times(finding.times);
        let found = found.with(Label::Finding, finding.rule.name());
        self.write_down(found.with(Label::Action, finding.action.name()), finding);
    }

    /// What the kernel refused to it is written down.
    fn denied(&mut self, name: &str, denial: &Denial) {
        let jail = launch::session_of(name);
        let event = Event::new(Kind::Denial, Some(name), &denial.told());
        let event = event.times(denial.times).with(Label::Wall, denial.wall.clone());
        let journal = Journal::new(&self.log(), (name, &jail), self.alerts.teller.clone());
        if let Err(errno) = journal.write_denial(event, denial) {
            tracing::warn!(%errno, agent = name, "a denial was not written down");
        }
    }

    /// The watch is started again, where it has ended.
    pub(super) fn watch_clock(&mut self, now: Instant) {
        if self.watching.keeper.as_mut().is_some_and(Keeper::is_lost) {
            tracing::error!("the watch does not answer, and is started again");
            self.lose_watch();
        }
        if self.watching.again.is_none_or(|again| again > now) {
            return;
        }
        self.watching.again = None;
        match Watching::start(&self.config) {
            Ok(watching) => {
                self.watching = watching;
                let names: Vec<String> = self.agents.keys().cloned().collect();
                names.iter().for_each(|name| self.watch(name));
            }
            Err(error) => {
                tracing::error!(%error, "there is no watch");
                self.watching.again = Some(now + AGAIN);
            }
        }
    }
}
