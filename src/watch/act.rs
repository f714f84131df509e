//! What is done about findings: processes are signalled, agents frozen.
//!
//! A process is signalled by a descriptor, and only after the kernel has said that it is still the one that was found, and of the
//! agent: a number may come to mean another process at any moment, a descriptor never does (pidfd_open(2)).

use super::proc::{self, Place};
use super::state::State;
use super::tree::{AgentId, Moment, NodeId};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long those that are asked to end have for it.
const TERM: Duration = Duration::from_secs(2);
/// How soon it is looked again whether all have ended, and how often.
const AGAIN: Duration = Duration::from_millis(20);
const MOST_ROUNDS: u32 = 100;
/// How long processes may take to stand still, and how often that is looked at.
const STILL: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_micros(200);

/// The hands of the watch at one agent.
#[derive(Debug)]
pub(super) struct Hands {
    /// Where its processes are.
    pub(super) place: Place,
    /// The file that freezes it.
    freezer: Option<OwnedFd>,
    /// Whether it stands still for somebody else.
    is_frozen: bool,
    /// By when something is to be ended, and how often it was tried.
    ends: BTreeMap<Moment, u32>,
    /// Sessions of those that are ended, as far as nobody else is in them.
    sessions: BTreeSet<i32>,
    /// Those that were signalled: number and start.
    signalled: BTreeSet<(i32, u64)>,
}

impl Hands {
    /// At the agent at `place`, which `freezer` freezes.
    #[must_use]
    pub(super) fn new(place: Place, freezer: Option<OwnedFd>) -> Self {
        let (ends, sessions) = (BTreeMap::new(), BTreeSet::new());
        Self { place, freezer, is_frozen: false, ends, sessions, signalled: BTreeSet::new() }
    }

    /// Somebody else has frozen it, or let it go on. What they want holds, whoever was quicker.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(super) fn set_frozen(&mut self, is_frozen: bool) -> Result<(), Errno> {
        self.is_frozen = is_frozen;
        if is_frozen { self.write_freezer(true) } else { Ok(()) }
    }

    /// Freezes it, until somebody lets it go on.
    ///
    /// # Errors
    /// The kernel's answer; `ENOENT` where it has no cgroup.
    pub(super) fn freeze(&mut self) -> Result<(), Errno> {
        self.is_frozen = true;
        self.write_freezer(true)
    }

    fn write_freezer(&self, is_frozen: bool) -> Result<(), Errno> {
        let freezer = self.freezer.as_ref().ok_or(Errno::NOENT)?;
        rustix::io::write(freezer, if is_frozen { b"1" } else { b"0" }).map(|_| ())
    }

    /// When something is to be ended.
    #[must_use]
    pub(super) fn next(&self) -> Option<Moment> {
        self.ends.keys().next().copied()
    }

    /// Asks a process and all that descend from it to end; how many were asked. They are ended by [`Hands::end`].
    pub(super) fn ask_to_end(&mut self, state: &mut State, now: Moment, top: NodeId) -> u64 {
        let by = now + TERM;
        let family = state.tree().family(top);
        let mut asked = 0;
        for id in &family {
            let Some(node) = state.tree_mut().get_mut(*id) else { continue };
            node.doomed = Some(by);
            let pid = node.pid;
            let Some(look) = proc::look(pid) else { continue };
            // That which was found, or what it was before anybody looked.
            let is_same = *node.start.get_or_insert(look.start) == look.start;
            if is_same && self.signal(pid, look.start, &[Signal::TERM, Signal::CONT]) {
                asked += 1;
                let leader = state.tree().of(look.session);
                if leader.is_none_or(|leader| family.contains(&leader)) {
                    self.sessions.insert(look.session);
                }
            }
        }
        if asked > 0 {
            self.ends.insert(by, 0);
        }
        asked
    }

    /// Sends `signals` to the process that is the one that started at `start` and of this agent, and to no other.
    fn signal(&mut self, pid: i32, start: u64, signals: &[Signal]) -> bool {
        let Some(process) = Pid::from_raw(pid) else { return false };
        let Ok(process) = pidfd_open(process, PidfdFlags::empty()) else { return false };
        // After the descriptor was opened: what has this number now is what the descriptor means.
        if !proc::is_of(pid, start, &self.place) {
            return false;
        }
        let sent = signals.iter().all(|signal| pidfd_send_signal(&process, *signal).is_ok());
        if sent {
            self.signalled.insert((pid, start));
        }
        sent
    }

    /// Stands still, so that nothing new is started: whether it does.
    fn hold(&self) -> bool {
        let Some(cgroup) = &self.place.cgroup else { return false };
        if self.write_freezer(true).is_err() {
            return false;
        }
        let until = Instant::now() + STILL;
        loop {
            let events = crate::host::text::read(cgroup.join("cgroup.events")).unwrap_or_default();
            if events.lines().any(|line| line == "frozen 1") {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends those whose time is over. `catch_up` tells `state` of all that has happened by now. What is left to be done is due
    /// again a moment later.
    ///
    /// # Errors
    /// What could not be done, in a sentence.
    pub(super) fn end(
        &mut self,
        agent: AgentId,
        state: &mut State,
        now: Moment,
        catch_up: &mut dyn FnMut(&mut State),
    ) -> Result<Option<String>, String> {
        let Some((by, rounds)) = self.ends.first_key_value().map(|(by, n)| (*by, *n)) else {
            return Ok(None);
        };
        if by > now {
            return Ok(None);
        }
        self.ends.remove(&by);
        let is_held = self.hold();
        catch_up(state);
        self.find_more(agent, state, by);
        let all = state
            .tree()
            .all_of(agent)
            .filter(|(_, node)| node.doomed.is_some_and(|doomed| doomed <= by));
        let all: Vec<(NodeId, i32, Option<u64>)> =
            all.map(|(id, node)| (id, node.pid, node.start)).collect();
        let mut left = 0;
        for (id, pid, start) in all {
            let Some(look) = proc::look(pid) else { continue };
            if start.is_some_and(|start| start != look.start) {
                continue;
            }
            if let Some(node) = state.tree_mut().get_mut(id) {
                node.start = Some(look.start);
            }
            left += u64::from(!look.is_ended && self.signal(pid, look.start, &[Signal::KILL]));
        }
        let freed = if is_held && !self.is_frozen { self.write_freezer(false) } else { Ok(()) };
        freed.map_err(|errno| format!("cannot let the agent go on: {errno}"))?;
        if left > 0 {
            if rounds >= MOST_ROUNDS {
                return Err(format!("{left} processes do not end"));
            }
            self.ends.insert(now + AGAIN, rounds + 1);
            // What they start from now on belongs to the next round.
            self.delay(agent, state, by, now + AGAIN);
            return Ok(None);
        }
        self.sessions.clear();
        let ended = std::mem::take(&mut self.signalled).len();
        Ok((ended > 0).then(|| format!("{ended} processes were signalled, and have ended")))
    }

    fn delay(&self, agent: AgentId, state: &mut State, by: Moment, until: Moment) {
        let all: Vec<NodeId> = state.tree().all_of(agent).map(|(id, _)| id).collect();
        for id in all {
            if let Some(node) = state.tree_mut().get_mut(id)
                && node.doomed.is_some_and(|doomed| doomed <= by)
            {
                node.doomed = Some(until);
            }
        }
    }

    /// Processes that no event has told of: what descends from those that are ended, or is in a session of theirs, is one of
    /// them.
    fn find_more(&self, agent: AgentId, state: &mut State, by: Moment) {
        let Some(there) = proc::members(&self.place) else { return };
        let mut unknown: Vec<_> = there
            .iter()
            .filter(|pid| state.tree().of(**pid).is_none())
            .filter_map(|pid| Some((*pid, proc::look(*pid)?)))
            .collect();
        // Parents before children.
        unknown.sort_by_key(|(pid, look)| (look.start, *pid));
        for (pid, look) in unknown {
            let Some(id) = state.tree_mut().find(agent, pid, look.parent, by) else { continue };
            let is_theirs = self.sessions.contains(&look.session);
            if let Some(node) = state.tree_mut().get_mut(id) {
                node.start = Some(look.start);
                node.inside = look.inside;
                node.doomed = node.doomed.or(is_theirs.then_some(by));
            }
        }
    }
}
