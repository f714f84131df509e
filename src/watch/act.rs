//! What is done about findings: processes are signalled, agents frozen.
//!
//! A process is signalled by a descriptor, and only after the kernel has said that it is still the one that was found, and of the
//! agent: a number may come to mean another process at any moment, a descriptor never does (pidfd_open(2)).
//!
//! While processes are ended the agent stands still, so that nothing new is started. However that goes, it goes on afterwards,
//! unless somebody wants it frozen.

use super::proc::{self, Place};
use super::state::State;
use super::tree::{AgentId, Moment, NodeId};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long those that are asked to end have for it. Those that were asked within a moment are ended together.
const TERM: Duration = Duration::from_secs(2);
const TOGETHER: Duration = Duration::from_millis(100);
/// How soon it is looked again whether all have ended, and how often.
const AGAIN: Duration = Duration::from_millis(20);
const MOST_ROUNDS: u32 = 100;
/// How long processes may take to stand still, and how often that is looked at.
const STILL: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_micros(200);

/// The hands of the watch at one agent.
#[derive(Debug)]
pub(super) struct Hands {
    /// Where its processes are.
    pub(super) place: Place,
    /// The file that freezes it.
    freezer: Option<OwnedFd>,
    /// Whether somebody wants it to stand still.
    is_frozen: bool,
    /// By when something is to be ended.
    ends: BTreeMap<Moment, End>,
}

/// Processes that are ended together.
#[derive(Debug, Default)]
struct End {
    /// When the first of them was asked to.
    asked: Moment,
    /// How often it was tried.
    rounds: u32,
    /// Their sessions, as far as nobody else is in them.
    sessions: BTreeSet<i32>,
    /// Those that were signalled: number and start.
    signalled: BTreeSet<(i32, u64)>,
}

impl Hands {
    /// At the agent at `place`, which `freezer` freezes.
    pub(super) fn new(place: Place, freezer: Option<OwnedFd>, is_frozen: bool) -> Self {
        Self { place, freezer, is_frozen, ends: BTreeMap::new() }
    }

    /// Somebody else has frozen it, or let it go on. What they want holds, whoever was quicker.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(super) fn set_frozen(&mut self, is_frozen: bool) -> Result<(), Errno> {
        self.is_frozen = is_frozen;
        self.write_freezer(is_frozen)
    }

    /// Whether somebody wants it to stand still.
    pub(super) fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    fn write_freezer(&self, is_frozen: bool) -> Result<(), Errno> {
        let freezer = self.freezer.as_ref().ok_or(Errno::NOENT)?;
        rustix::io::write(freezer, if is_frozen { b"1" } else { b"0" }).map(|_| ())
    }

    /// When something is to be ended.
    pub(super) fn next(&self) -> Option<Moment> {
        self.ends.keys().next().copied()
    }

    /// Asks a process and all that descend from it to end; how many were asked. They are ended by [`Hands::end`].
    pub(super) fn ask_to_end(&mut self, state: &mut State, now: Moment, top: NodeId) -> u64 {
        let by = together(now + TERM);
        let family = state.tree().family(top);
        let mut end = self.ends.remove(&by).unwrap_or_default();
        if end.signalled.is_empty() {
            end.asked = now;
        }
        let mut asked = 0;
        for id in &family {
            let Some(node) = state.tree_mut().get_mut(*id) else { continue };
            // Also where it has ended by now: what it had started before that, of which is told next, is ended with it.
            node.doomed = Some(node.doomed.map_or(by, |before| before.min(by)));
            let (pid, start) = (node.pid, node.start);
            let Some(look) = proc::look(pid).filter(|look| start.is_none_or(|it| it == look.start))
            else {
                continue;
            };
            if !self.signal(pid, look.start, &[Signal::TERM, Signal::CONT]) {
                continue;
            }
            asked += 1;
            end.signalled.insert((pid, look.start));
            if is_theirs(state, &family, look.session) {
                end.sessions.insert(look.session);
            }
            if let Some(node) = state.tree_mut().get_mut(*id) {
                node.start = Some(look.start);
            }
        }
        self.ends.insert(by, end);
        asked
    }

    /// Brings forward what is to be ended: from `now` on nobody tells any more who descends from whom.
    pub(super) fn hasten(&mut self, agent: AgentId, state: &mut State, now: Moment) {
        let ends = std::mem::take(&mut self.ends);
        if !ends.is_empty() {
            ends.into_values().for_each(|end| self.ends.entry(now).or_default().join(end));
            spare(agent, state, Moment::MAX, Some(now));
        }
    }

    /// Sends `signals` to the process that is the one that started at `start` and of this agent, and to no other.
    fn signal(&self, pid: i32, start: u64, signals: &[Signal]) -> bool {
        let Some(process) = Pid::from_raw(pid) else { return false };
        let Ok(process) = pidfd_open(process, PidfdFlags::empty()) else { return false };
        // After the descriptor was opened: what has this number now is what the descriptor means.
        proc::is_of(pid, start, &self.place)
            && signals.iter().all(|signal| pidfd_send_signal(&process, *signal).is_ok())
    }

    /// Has it stand still, so that nothing new is started. Who takes too long is ended all the same, in more rounds.
    fn hold(&self) {
        let Some(cgroup) = &self.place.cgroup else { return };
        if self.write_freezer(true).is_err() {
            return;
        }
        let until = Instant::now() + STILL;
        while Instant::now() < until {
            let events = crate::host::text::read(cgroup.join("cgroup.events")).unwrap_or_default();
            if events.lines().any(|line| line == "frozen 1") {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Lets it go on, unless somebody wants it to stand still.
    fn let_go(&self) -> Result<(), String> {
        if self.is_frozen || self.freezer.is_none() {
            return Ok(());
        }
        self.write_freezer(false).map_err(|errno| format!("cannot let an agent go on: {errno}"))
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
    ) -> Result<u64, String> {
        let due = self.ends.first_key_value().map(|(by, _)| *by).filter(|by| *by <= now);
        let Some((by, mut end)) = due.and_then(|by| Some((by, self.ends.remove(&by)?))) else {
            return Ok(0);
        };
        self.hold();
        catch_up(state);
        self.find_more(agent, state, by, &end);
        let left = self.kill(agent, state, by, &mut end);
        let freed = self.let_go();
        let ended = end.signalled.len() as u64;
        if left > 0 && end.rounds < MOST_ROUNDS {
            end.rounds += 1;
            let next = now + AGAIN;
            // What they start from now on belongs to the next round.
            spare(agent, state, by, Some(next));
            self.ends.entry(next).or_default().join(end);
            return freed.map(|()| 0);
        }
        // Who is left is nobody's business any more, or would never be looked at again.
        spare(agent, state, by, None);
        freed?;
        if left > 0 {
            return Err(format!("{left} processes of an agent do not end"));
        }
        Ok(ended)
    }

    /// Kills those whose time is over by `by`; how many were still there.
    fn kill(&self, agent: AgentId, state: &mut State, by: Moment, end: &mut End) -> usize {
        let all = state.tree().all_of(agent);
        let doomed = all.filter(|(_, node)| node.doomed.is_some_and(|doomed| doomed <= by));
        let doomed: Vec<_> = doomed.map(|(id, node)| (id, node.pid, node.start)).collect();
        let mut left = 0;
        for (id, pid, start) in doomed {
            let Some(look) = proc::look(pid) else { continue };
            if look.is_ended || start.is_some_and(|start| start != look.start) {
                continue;
            }
            if self.signal(pid, look.start, &[Signal::KILL]) {
                left += 1;
                end.signalled.insert((pid, look.start));
                state.tree_mut().get_mut(id).into_iter().for_each(|it| it.start = Some(look.start));
            }
        }
        left
    }

    /// Processes that no event has told of, or only that they are init's children: what descends from those that are ended, or is
    /// in a session of theirs, is one of them.
    fn find_more(&self, agent: AgentId, state: &mut State, by: Moment, end: &End) {
        let Some(there) = proc::members(&self.place) else { return };
        let is_new = |state: &State, pid: i32| {
            let node = state.tree().of(pid).and_then(|id| state.tree().get(id));
            node.is_none_or(|node| node.doomed.is_none() && node.born >= end.asked)
        };
        let new = there.into_iter().filter(|pid| is_new(state, *pid));
        let mut new: Vec<_> = new.filter_map(|pid| Some((pid, proc::look(pid)?))).collect();
        // Parents before children.
        new.sort_by_key(|(pid, look)| (look.start, *pid));
        for (pid, look) in new {
            let known = state.tree().of(pid);
            let found = known.or_else(|| state.tree_mut().find(agent, pid, look.parent, by));
            let is_theirs = end.sessions.contains(&look.session);
            if let Some(node) = found.and_then(|id| state.tree_mut().get_mut(id)) {
                node.start = Some(look.start);
                node.inside = look.inside;
                node.doomed = node.doomed.or(is_theirs.then_some(by));
            }
        }
    }
}

impl End {
    fn join(&mut self, other: Self) {
        self.asked =
            if self.signalled.is_empty() { other.asked } else { self.asked.min(other.asked) };
        self.rounds = self.rounds.max(other.rounds);
        self.sessions.extend(other.sessions);
        self.signalled.extend(other.signalled);
    }
}

/// Whether nobody else is in the session `session` of a process of `family`: its leader is one of them, or has ended.
fn is_theirs(state: &State, family: &[NodeId], session: i32) -> bool {
    match state.tree().of(session) {
        Some(leader) => family.contains(&leader),
        None => proc::look(session).is_none(),
    }
}

/// Moments that are near each other are one.
fn together(moment: Moment) -> Moment {
    let (millis, each) = (moment.as_millis(), TOGETHER.as_millis());
    Moment::from_millis(u64::try_from(millis.div_ceil(each) * each).unwrap_or(u64::MAX))
}

/// Those whose time was over by `by` have time until `until`, or are spared.
fn spare(agent: AgentId, state: &mut State, by: Moment, until: Option<Moment>) {
    let all = state.tree().all_of(agent);
    let doomed = all.filter(|(_, node)| node.doomed.is_some_and(|doomed| doomed <= by));
    let doomed: Vec<NodeId> = doomed.map(|(id, _)| id).collect();
    for id in doomed {
        state.tree_mut().get_mut(id).into_iter().for_each(|node| node.doomed = until);
    }
}
