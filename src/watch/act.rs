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
/// Those whose time is over within this are ended together: a storm of them is no storm of freezing.
const TOGETHER: Duration = Duration::from_millis(250);
/// How soon it is looked again whether all have ended. After so many rounds it is told, and tried less and less often.
const AGAIN: Duration = Duration::from_millis(20);
const MANY_ROUNDS: u32 = 100;
const LEAST_OFTEN: Duration = Duration::from_secs(64);
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
    /// Whether it stands still for somebody else.
    is_frozen: bool,
    /// By when something is to be ended.
    ends: BTreeMap<Moment, End>,
}

/// Some that are ended together.
#[derive(Debug, Default)]
struct End {
    /// When the first of them was asked to.
    asked: Option<Moment>,
    /// How often it was tried.
    rounds: u32,
    /// Their sessions, as far as nobody else is in them.
    sessions: BTreeSet<i32>,
    /// Those that were signalled: number and start.
    signalled: BTreeSet<(i32, u64)>,
}

/// What has become of those whose time was over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// How many were signalled, and have all ended.
    pub(super) ended: u64,
    /// What could not be done, in a sentence.
    pub(super) trouble: Option<String>,
}

impl Hands {
    /// At the agent at `place`, which `freezer` freezes.
    #[must_use]
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

    /// Freezes it, until somebody lets it go on; whether it went on before.
    ///
    /// # Errors
    /// The kernel's answer; `ENOENT` where it has no cgroup.
    pub(super) fn freeze(&mut self) -> Result<bool, Errno> {
        let goes_on = !std::mem::replace(&mut self.is_frozen, true);
        self.write_freezer(true).map(|()| goes_on)
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
        let by = together(now + TERM);
        let family = state.tree().family(top);
        let mut end = End { asked: Some(now), ..End::default() };
        for id in &family {
            let Some(node) = state.tree_mut().get_mut(*id) else { continue };
            node.doomed = Some(by);
            let pid = node.pid;
            let Some(look) = proc::look(pid) else { continue };
            // That which was found, or what it was before anybody looked.
            let is_same = *node.start.get_or_insert(look.start) == look.start;
            if is_same && self.signal(pid, look.start, &[Signal::TERM, Signal::CONT]) {
                end.signalled.insert((pid, look.start));
                if is_theirs(state, &family, look.session) {
                    end.sessions.insert(look.session);
                }
            }
        }
        let asked = end.signalled.len() as u64;
        // Also where all have ended by now: what they had started before that, of which is told next, is ended with them.
        if !family.is_empty() {
            self.add(by, end);
        }
        asked
    }

    fn add(&mut self, by: Moment, end: End) {
        let known = self.ends.entry(by).or_default();
        known.asked = known.asked.into_iter().chain(end.asked).min();
        known.rounds = known.rounds.max(end.rounds);
        known.sessions.extend(end.sessions);
        known.signalled.extend(end.signalled);
    }

    /// Sends `signals` to the process that is the one that started at `start` and of this agent, and to no other.
    fn signal(&self, pid: i32, start: u64, signals: &[Signal]) -> bool {
        let Some(process) = Pid::from_raw(pid) else { return false };
        let Ok(process) = pidfd_open(process, PidfdFlags::empty()) else { return false };
        // After the descriptor was opened: what has this number now is what the descriptor means.
        if !proc::is_of(pid, start, &self.place) {
            return false;
        }
        signals.iter().all(|signal| pidfd_send_signal(&process, *signal).is_ok())
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
    pub(super) fn end(
        &mut self,
        agent: AgentId,
        state: &mut State,
        now: Moment,
        catch_up: &mut dyn FnMut(&mut State),
    ) -> Ends {
        let Some(entry) = self.ends.first_entry().filter(|entry| *entry.key() <= now) else {
            return Ends::default();
        };
        let (by, mut end) = entry.remove_entry();
        let is_held = self.hold();
        catch_up(state);
        self.find_more(agent, state, by, &end);
        let left = self.kill(agent, state, by);
        end.signalled.extend(&left);
        let mut ends = Ends::default();
        // Also where it does not stand still yet: it would a moment later.
        if self.freezer.is_some() && !self.is_frozen {
            let told = |errno| format!("cannot let the agent go on: {errno}");
            ends.trouble = self.write_freezer(false).map_err(told).err();
        }
        if left.is_empty() {
            // Whoever there still is was none of theirs, and is looked at as any other.
            self.delay(agent, state, by, None);
            ends.ended = end.signalled.len() as u64;
            return ends;
        }
        if end.rounds == MANY_ROUNDS {
            let held = if is_held { "" } else { ", and the agent does not stand still" };
            ends.trouble = Some(format!("{} processes do not end{held}", left.len()));
        }
        let again = now + pause(end.rounds);
        end.rounds = end.rounds.saturating_add(1);
        self.add(again, end);
        // What they start from now on belongs to the next round.
        self.delay(agent, state, by, Some(again));
        ends
    }

    /// Kills those of `agent` whose time is over; who there still was.
    fn kill(&self, agent: AgentId, state: &mut State, by: Moment) -> Vec<(i32, u64)> {
        let all = state
            .tree()
            .all_of(agent)
            .filter(|(_, node)| node.doomed.is_some_and(|doomed| doomed <= by));
        let all: Vec<(NodeId, i32, Option<u64>)> =
            all.map(|(id, node)| (id, node.pid, node.start)).collect();
        let mut left = Vec::new();
        for (id, pid, start) in all {
            let Some(look) = proc::look(pid) else { continue };
            if start.is_some_and(|start| start != look.start) {
                continue;
            }
            if let Some(node) = state.tree_mut().get_mut(id) {
                node.start = Some(look.start);
            }
            if !look.is_ended && self.signal(pid, look.start, &[Signal::KILL]) {
                left.push((pid, look.start));
            }
        }
        left
    }

    /// Brings forward what is to be ended: from `now` on nobody tells any more who descends from whom.
    pub(super) fn hasten(&mut self, agent: AgentId, state: &mut State, now: Moment) {
        let ends = std::mem::take(&mut self.ends);
        if ends.is_empty() {
            return;
        }
        ends.into_values().for_each(|end| self.add(now, end));
        self.delay(agent, state, Moment::MAX, Some(now));
    }

    /// Those who were to be ended by `by` are, by `until`, or are not.
    fn delay(&self, agent: AgentId, state: &mut State, by: Moment, until: Option<Moment>) {
        let all: Vec<NodeId> = state.tree().all_of(agent).map(|(id, _)| id).collect();
        for id in all {
            if let Some(node) = state.tree_mut().get_mut(id)
                && node.doomed.is_some_and(|doomed| doomed <= by)
            {
                node.doomed = until;
            }
        }
    }

    /// Processes that no event has told of, or only as children of somebody else (clone(2), `CLONE_PARENT`): what descends from
    /// those that are ended, or is in a session of theirs, is one of them.
    fn find_more(&self, agent: AgentId, state: &mut State, by: Moment, end: &End) {
        let Some(there) = proc::members(&self.place) else { return };
        let is_new = |state: &State, pid: i32| {
            let node = state.tree().of(pid).and_then(|id| state.tree().get(id));
            node.is_none_or(|node| node.doomed.is_none() && Some(node.born) >= end.asked)
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

/// Whether nobody else is in the session `session` of a process of `family`: its leader is one of them, or has ended.
fn is_theirs(state: &State, family: &[NodeId], session: i32) -> bool {
    match state.tree().of(session) {
        Some(leader) => family.contains(&leader),
        None => proc::look(session).is_none(),
    }
}

/// The next moment at which something is ended.
fn together(at: Moment) -> Moment {
    let step = TOGETHER.as_nanos();
    let nanos = at.as_nanos().div_ceil(step).saturating_mul(step);
    Moment::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How long it is waited after so many rounds.
fn pause(rounds: u32) -> Duration {
    match rounds.checked_sub(MANY_ROUNDS) {
        None => AGAIN,
        Some(more) => Duration::from_secs(1 << more.min(6)).min(LEAST_OFTEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{cgroups, text};
    use crate::watch::rules::Rules;
    use rustix::fs::{Mode, OFlags};
    use rustix::process::{WaitOptions, waitpid};

    fn at(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_due_at_about_the_same_time_is_ended_at_once() {
        assert_eq!([1, 250, 251].map(|it| together(at(it))), [at(250), at(250), at(500)]);
        assert_eq!(together(Moment::MAX), Moment::from_nanos(u64::MAX));
        let rounds = [0, 99, 100, 101, 105, 106, 107, u32::MAX];
        let seconds = [1, 2, 32, 64, 64, 64].map(Duration::from_secs);
        assert_eq!(rounds.map(pause)[..2], [AGAIN, AGAIN]);
        assert_eq!(rounds.map(pause)[2..], seconds);
    }

    /// A child that passes over SIGTERM.
    fn stubborn() -> i32 {
        let mut set = nix::sys::signal::SigSet::empty();
        set.add(nix::sys::signal::Signal::SIGTERM);
        set.thread_block().unwrap();
        let child = crate::sys::fork(|| {
            std::thread::sleep(Duration::from_secs(60));
            0
        });
        set.thread_unblock().unwrap();
        child.unwrap().pid.as_raw_nonzero().get()
    }

    #[test]
    fn an_agent_that_does_not_stand_still_in_time_goes_on_all_the_same() {
        let own = text::read("/proc/self/cgroup").unwrap_or_default();
        let Some(cgroup_path) = cgroups::path_in(&own) else {
            println!(
                "SKIP an_agent_that_does_not_stand_still_in_time_goes_on_all_the_same: needs cgroup2: it was never mounted"
            );
            return;
        };
        // In the place of its cgroup's folder files that nobody answers.
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        file("cgroup.freeze", "");
        file("cgroup.events", "populated 1\nfrozen 0\n");
        file("cgroup.procs", "");
        let written = || std::fs::read_to_string(folder.path().join("cgroup.freeze")).unwrap();
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let freezer = rustix::fs::open(folder.path().join("cgroup.freeze"), flags, Mode::empty());
        let cgroup = Some(folder.path().to_owned());
        let mut hands =
            Hands::new(Place { cgroup, cgroup_path, uid: 0, init: 1 }, freezer.ok(), false);
        let mut state = State::default();
        state.add(at(0), 1, 1, Rules::default()).unwrap();
        let child = stubborn();
        let top = state.tree_mut().fork(1, child, at(0)).unwrap();
        assert_eq!(hands.ask_to_end(&mut state, at(0), top), 1);
        assert_eq!(hands.next(), Some(at(2000)));
        assert_eq!(hands.end(1, &mut state, at(1999), &mut |_| {}), Ends::default());
        assert_eq!(written(), "");
        assert_eq!(hands.end(1, &mut state, at(2000), &mut |_| {}), Ends::default());
        assert_eq!(written(), "10");
        assert_eq!(hands.next(), Some(at(2000) + AGAIN));
        let child = rustix::process::Pid::from_raw(child);
        waitpid(child, WaitOptions::empty()).unwrap();
        // Somebody wants it to stand still meanwhile.
        hands.set_frozen(true).unwrap();
        let ends = Ends { ended: 1, trouble: None };
        assert_eq!(hands.end(1, &mut state, at(2100), &mut |_| {}), ends);
        assert_eq!((written().as_str(), hands.next()), ("1011", None));
        assert_eq!(hands.freeze(), Ok(false));
        hands.set_frozen(false).unwrap();
        assert_eq!(hands.freeze(), Ok(true));
    }
}
