//! The watch and the supervisor: agents are told to it, and what it finds is written down.

use super::Supervisor;
use super::agent::{Agent, Phase, is_frozen};
use crate::control::protocol::Sight;
use crate::jail::protocol::Report as Said;
use crate::launch::{self, LaunchError};
use crate::limits::journal;
use crate::watch::findings::Finding;
use crate::watch::keeper::{Heard, Keeper};
use crate::watch::protocol::Report;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
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
        let keeper = Keeper::start(config.uids, config.watch.events_per_second.value.into())?;
        Ok(Self { keeper: Some(keeper), again: None, sees: None })
    }

    /// By what it is heard.
    pub(super) fn link(&self) -> Option<BorrowedFd<'_>> {
        self.keeper.as_ref().map(Keeper::link)
    }

    /// How it sees processes.
    pub(super) fn sight(&self) -> Sight {
        match &self.sees {
            Some(Ok(())) => Sight::Events,
            Some(Err(cause)) => Sight::Scans { why: cause.clone() },
            None => Sight::Nothing,
        }
    }

    /// When it is to be started again.
    pub(super) fn again(&self) -> Option<Instant> {
        self.again
    }
}

impl Supervisor {
    /// Has it do something; who does not take it is started anew, and told everything.
    fn tell_watch(&mut self, tell: impl FnOnce(&mut Keeper) -> Result<(), Errno>) {
        let told = self.watching.keeper.as_mut().map(tell);
        if let Some(Err(errno)) = told {
            tracing::warn!(%errno, "the watch does not hear");
            self.lose_watch();
        }
    }

    fn lose_watch(&mut self) {
        self.watching.keeper = None;
        self.watching.sees = None;
        self.watching.again.get_or_insert(Instant::now() + AGAIN);
        // It may have ended while an agent stood still for it, and for nobody else.
        for (name, agent) in &mut self.agents {
            if let Phase::Up(up) = &mut agent.phase
                && !up.frozen
                && is_frozen(&up.owner)
                && let Err(error) = up.owner.freeze(false)
            {
                tracing::warn!(%error, agent = name, "does not go on");
            }
        }
    }

    /// Has the agent `name` watched, whose jail stands.
    pub(super) fn watch(&mut self, name: &str) {
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get(name) else { return };
        let jail = up.owner.jail().to_owned();
        let kept = up.owner.kept().clone();
        let (own, pane) = (up.owner.born().own.clone(), up.owner.born().pane);
        let (server, is_frozen) = (up.owner.server(), up.frozen);
        self.tell_watch(|keeper| {
            keeper.add(&jail, &kept)?;
            if is_frozen {
                keeper.frozen(&jail, true)?;
            }
            keeper.own(&jail, own.into_iter().collect(), pane)?;
            server.map_or(Ok(()), |server| keeper.server(&jail, server))
        });
    }

    /// Its session was proved to be the agent's: from now on it can be told who is not of it.
    pub(super) fn watch_session(&mut self, name: &str) {
        let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get(name) else { return };
        let (jail, server) = (up.owner.jail().to_owned(), up.owner.server());
        self.tell_watch(|keeper| server.map_or(Ok(()), |server| keeper.server(&jail, server)));
    }

    /// What its init says of the processes inside.
    pub(super) fn watch_said(&mut self, name: &str, said: Said) {
        let jail = launch::session_of(name);
        match said {
            Said::Own { pids, pane } => {
                self.tell_watch(|keeper| keeper.own(&jail, pids.into_iter().collect(), pane));
            }
            Said::Panes(Some(panes)) => {
                self.tell_watch(|keeper| keeper.panes(&jail, panes.into_iter().collect()));
            }
            Said::Panes(None)
            | Said::Failed { .. }
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

    /// It was frozen, or let go on.
    pub(super) fn watch_frozen(&mut self, name: &str, is_frozen: bool) {
        self.stands_still(name, is_frozen);
        let jail = launch::session_of(name);
        self.tell_watch(|keeper| keeper.frozen(&jail, is_frozen));
    }

    fn stands_still(&mut self, name: &str, is_frozen: bool) {
        if let Some(Agent { phase: Phase::Up(up), .. }) = self.agents.get_mut(name) {
            up.frozen = is_frozen;
        }
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
            (Report::Acted(_, told), Some(name)) => {
                self.note(&name, "acted", None, format!("the watch: {told}"));
            }
            (Report::Froze(_), Some(name)) => {
                self.stands_still(&name, true);
                let told = format!("the watch froze it: cellblock thaw {name} lets it go on");
                self.note(&name, "frozen", None, told);
            }
            (Report::Stop(_, told), Some(name)) => {
                self.note(&name, "acted", None, format!("the watch has it stopped: {told}"));
                self.stop_for(&name, format!("the watch stopped it: {told}"));
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
            (Report::Trouble(told), _) => tracing::warn!(told, "the watch"),
            (Report::Failed(cause), _) => tracing::error!(cause, "there is no watch"),
            // Of an agent that it was told to forget a moment ago.
            (
                Report::Found(..)
                | Report::Acted(..)
                | Report::Froze(_)
                | Report::Stop(..)
                | Report::AskPanes(..),
                None,
            )
            | (Report::Forgotten(_), _) => {}
        }
    }

    fn found(&mut self, name: &str, finding: &Finding) {
        if let Some(agent) = self.agents.get_mut(name) {
            agent.was_found(journal::now());
        }
        let told = finding.told();
        tracing::info!(agent = name, rule = finding.rule.name(), told, "finding");
        let (folder, jail) = (self.log(), launch::session_of(name));
        let written = journal::write_event(&folder, name, (&jail, "finding"), finding, told);
        if let Err(errno) = written {
            tracing::warn!(%errno, agent = name, "a finding was not written down");
        }
    }

    /// The watch is started again, where it has ended.
    pub(super) fn watch_clock(&mut self, now: Instant) {
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
