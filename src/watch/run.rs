//! The process of the watch: waits for events, orders and the clock, and says what it finds.

use super::act::Hands;
use super::connector::Connector;
use super::denied::Jail;
use super::findings::{Finding, Folds, NAMED, Process, TOGETHER};
use super::hearing::{Came, Hearing};
use super::proc::{self, Part};
use super::protocol::{Agent, Bounds, Order, Report};
use super::rules::{Action, Rule};
use super::state::{Event, Question, State};
use super::tree::{AgentId, Moment};
use crate::wire;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How often all processes are looked at: beside events, and without.
const CROSS_CHECK: Duration = Duration::from_secs(10);
const SCAN: Duration = Duration::from_secs(1);
/// A scan takes no more than one of so many parts of a processor.
const SCAN_SHARE: u32 = 20;
/// How long events are not read after there were too many, at first and at the most.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Batches of events that are read in a turn, and orders that are taken.
const BATCHES: u32 = 64;
const ORDERS: u32 = 64;
/// Reports that wait for an owner who is slow.
const MOST_UNSENT: usize = 4096;
/// Losses within [`CROSS_CHECK`] that are made good by a scan each.
const MOST_LOSSES: usize = 3;
/// An exit of a process that lives longer than this is looked at: its first thread may have ended alone.
const SHORT: Duration = Duration::from_millis(100);
/// With more events a second than this they are read together, once in so long: to wake for each costs more than to read it.
const MANY: u64 = 2000;
const TOGETHER_READ: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
/// How long it is looked for who goes into a new job: what they start is born in it, and known by that.
const ENTERS: Duration = Duration::from_secs(10);
/// Processes that are looked at to say what most of an agent's are.
const MOST_COUNTED: usize = 256;

/// How it sees processes.
#[derive(Debug)]
enum Sight {
    /// By the kernel's events.
    Events(Connector),
    /// By scans, for there were too many events, until that moment; how long the pause is.
    Paused(Connector, Moment, Duration),
    /// By scans alone.
    Scans,
}

/// An agent.
#[derive(Debug)]
struct Watched {
    hands: Hands,
    /// PID 1 of its jail, by its number outside.
    init: i32,
    /// When all its processes are looked at.
    next: Moment,
    /// The processor time that it had used then, in microseconds.
    used: Option<u64>,
    /// The highest number that a process of it had inside.
    highest: i32,
    /// Whether it is about to be stopped.
    is_stopping: bool,
    /// What was done, and not told yet.
    acted: Acted,
    /// Jobs in which nobody was seen yet, and until when somebody may come.
    jobs: BTreeMap<u32, Moment>,
}

/// Processes that were ended, to be told of together.
#[derive(Debug, Default)]
struct Acted {
    ended: u64,
    told: Option<Moment>,
}

/// The watch.
pub(super) struct Watch {
    link: OwnedFd,
    sight: Sight,
    bounds: Bounds,
    hearing: Hearing,
    state: State,
    agents: BTreeMap<AgentId, Watched>,
    folds: Folds,
    unsent: VecDeque<Report>,
    lost: u64,
    /// Events in this second.
    second: (u64, u64),
    /// Until when there are many.
    busy: Moment,
    /// When events were lost of late.
    losses: Vec<Moment>,
    /// Before this all are not scanned again: a scan takes its share and no more.
    rests: Moment,
    /// When it was told that events were lost.
    loss_told: Option<Moment>,
    /// When events were read again, and how long they had not been.
    resumed: Option<(Moment, Duration)>,
}

/// These are in jobs.
fn mark_jobs(state: &mut State, there: &BTreeSet<i32>) {
    for id in there.iter().filter_map(|pid| state.tree().of(*pid)).collect::<Vec<_>>() {
        state.tree_mut().mark_job(id);
    }
}

/// The time since the boot, without what the machine slept: as events have it.
fn now() -> Moment {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

impl Watch {
    /// Watches for who is at the other end of `link`, with what was opened with rights.
    pub(super) fn new(
        link: OwnedFd,
        (connector, (hearing, hears)): (Result<Connector, String>, (Hearing, Result<(), String>)),
        bounds: Bounds,
    ) -> Self {
        let (sight, sees) = match connector {
            Ok(connector) => (Sight::Events(connector), Ok(())),
            Err(cause) => (Sight::Scans, Err(cause)),
        };
        let mut watch = Self {
            link,
            sight,
            bounds,
            hearing,
            state: State::default(),
            agents: BTreeMap::new(),
            folds: Folds::default(),
            unsent: VecDeque::new(),
            lost: 0,
            second: (0, 0),
            busy: Moment::ZERO,
            losses: Vec::new(),
            rests: Moment::ZERO,
            loss_told: None,
            resumed: None,
        };
        watch.say(Report::Sees(sees));
        watch.say(Report::Hears(hears));
        watch
    }

    /// Watches until its owner is gone.
    pub(super) fn run(mut self) -> Result<(), Errno> {
        while self.turn()? {}
        Ok(())
    }

    fn turn(&mut self) -> Result<bool, Errno> {
        let [orders, events, audit] = self.wait()?;
        if orders && !self.obey()? {
            return Ok(false);
        }
        if events {
            self.read_events();
        }
        self.see_jobs();
        self.look();
        self.hear(audit);
        self.by_the_clock();
        self.flush();
        Ok(true)
    }

    /// Whether there are orders, events, and records of what was refused.
    fn wait(&self) -> Result<[bool; 3], Errno> {
        self.let_events_gather()?;
        let patience = self.patience();
        let flags =
            if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut fds = vec![PollFd::new(&self.link, flags)];
        let events = match &self.sight {
            Sight::Events(connector) => Some(connector.as_fd()),
            Sight::Paused(..) | Sight::Scans => None,
        };
        let (sees, hears) = (events.is_some(), self.hearing.fd());
        let both = events.into_iter().chain(hears);
        fds.extend(both.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, patience.and_then(|it| Timespec::try_from(it).ok()).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let other = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let ready = |index: usize| fds.get(index).is_some_and(|fd| fd.revents().intersects(other));
        Ok([ready(0), sees && ready(1), hears.is_some() && ready(1 + usize::from(sees))])
    }

    /// Orders are not waited with.
    fn let_events_gather(&self) -> Result<(), Errno> {
        if self.busy < now() || !matches!(self.sight, Sight::Events(_)) {
            return Ok(());
        }
        match poll(&mut [PollFd::new(&self.link, PollFlags::IN)], Some(&TOGETHER_READ)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn patience(&self) -> Option<Duration> {
        let resumes = match &self.sight {
            Sight::Paused(_, until, _) => Some(*until),
            Sight::Events(_) | Sight::Scans => None,
        };
        let scans = self.agents.values().map(|agent| agent.next);
        let ends = self.agents.values().filter_map(|agent| agent.hands.next());
        let acted = self.agents.values().filter(|agent| agent.acted.ended > 0);
        let acted = acted.filter_map(|agent| Some(agent.acted.told? + TOGETHER));
        let all = scans.chain(ends).chain(acted).chain(self.state.next()).chain(self.folds.next());
        let next = all.chain(resumes).min().map(|next| next.saturating_sub(now()));
        next.into_iter().chain(self.hearing.patience()).min()
    }

    fn obey(&mut self) -> Result<bool, Errno> {
        for _ in 0..ORDERS {
            match wire::take::<Order>(&self.link) {
                Ok(Some((order, descriptors))) => self.perform(order, descriptors),
                Ok(None) | Err(Errno::CONNRESET) => return Ok(false),
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::PROTO) => {
                    self.trouble("an order is not understood".to_owned());
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }

    fn perform(&mut self, order: Order, descriptors: Vec<OwnedFd>) {
        match order {
            Order::Add(agent) => self.add(*agent, descriptors),
            Order::Server(agent, pid) => self.state.set_server(agent, pid),
            Order::Own(agent, own) => {
                self.state.set_own(agent, &own);
                self.seek_pane(agent);
            }
            Order::Panes(agent, panes) => self.state.set_panes(agent, panes),
            Order::Ping => self.say(Report::Pong),
            Order::Limit(agent, told) => self.state.limit_reached(agent, told),
            Order::Job(agent, number) => {
                if let Some(watched) = self.agents.get_mut(&agent) {
                    watched.jobs.insert(number, now() + ENTERS);
                }
            }
            Order::Frozen(agent, frozen) => {
                let hands = self.agents.get_mut(&agent).map(|agent| &mut agent.hands);
                if let Some(Err(errno)) = hands.map(|hands| hands.set_frozen(frozen)) {
                    self.trouble(format!("cannot keep an agent frozen: {errno}"));
                }
            }
            Order::Forget(agent) => self.forget(agent),
        }
    }

    fn add(&mut self, agent: Agent, descriptors: Vec<OwnedFd>) {
        let place = agent.place();
        let number = agent.number;
        if let Err(cause) = self.state.add(now(), number, agent.init, agent.rules) {
            return self.trouble(format!("cannot watch an agent: {cause}"));
        }
        let freezer = descriptors.into_iter().next();
        let hands = Hands::new(place, freezer, agent.is_frozen);
        let watched = Watched {
            hands,
            init: agent.init,
            next: now(),
            used: None,
            highest: 0,
            is_stopping: false,
            acted: Acted::default(),
            jobs: BTreeMap::new(),
        };
        self.agents.insert(number, watched);
    }

    /// The first process of the agent's pane is known by its number inside: it is looked for now, as it may have ended before
    /// there is another reason to look at it.
    fn seek_pane(&mut self, agent: AgentId) {
        if !self.state.seeks_pane(agent) {
            return;
        }
        self.read_events();
        self.scan(agent);
        let Some(watched) = self.agents.get(&agent) else { return };
        for pid in self.state.nameless(agent) {
            if let Some(look) = proc::look(pid)
                && proc::whose(pid, look.start, &watched.hands.place).is_some()
            {
                self.state.named(pid, &look);
            }
        }
        if self.state.seeks_pane(agent) {
            self.state.pane_ended(agent);
        }
        self.name_leftovers();
    }

    fn forget(&mut self, agent: AgentId) {
        // How its processes ended the kernel has told already.
        self.read_events();
        self.state.remove(agent);
        self.tell_found();
        for finding in self.folds.rest(agent) {
            self.say(Report::Found(agent, Box::new(finding)));
        }
        // What was refused to it a moment ago may be on its way.
        self.hear(true);
        let (rest, lost) = self.hearing.forget(agent);
        for denial in rest {
            self.say(Report::Denied(agent, Box::new(denial)));
        }
        if lost > 0 {
            self.trouble(format!("{lost} denials of an agent were not told: there were too many"));
        }
        self.agents.remove(&agent);
        self.say(Report::Forgotten(agent));
    }

    fn read_events(&mut self) {
        let mut lost = false;
        for _ in 0..BATCHES {
            let Sight::Events(connector) = &mut self.sight else { return };
            let came = connector.read();
            lost |= came.lost;
            let count = came.events.len();
            for (at, event) in came.events {
                if let Event::Exit { pid, .. } = event
                    && self.goes_on(at, pid)
                {
                    continue;
                }
                self.state.event(at, event);
                if matches!(event, Event::Exit { .. }) {
                    self.name_leftovers();
                }
            }
            self.count(count);
            if !came.more {
                break;
            }
        }
        if lost {
            self.lose();
        }
    }

    /// Events were lost. Where that happens again and again there are too many: it scans for a while.
    fn lose(&mut self) {
        let at = now();
        self.losses.retain(|loss| *loss + CROSS_CHECK > at);
        self.losses.push(at);
        self.tell_loss();
        if self.losses.len() > MOST_LOSSES {
            self.losses.clear();
            return self.pause();
        }
        self.scan_all_now();
    }

    /// Once in a while: it is told what the kernel lost, and not how often.
    fn tell_loss(&mut self) {
        if self.loss_told.is_none_or(|told| told + CROSS_CHECK <= now()) {
            self.loss_told = Some(now());
            let told = "the kernel had more events than it keeps, and lost some: all processes are looked at";
            self.trouble(told.to_owned());
        }
    }

    /// Whether a process goes on whose first thread has ended, or has run another program from a thread: the kernel tells of both
    /// as of an end. Only for those that have lived a moment: it costs a look.
    fn goes_on(&self, at: Moment, pid: i32) -> bool {
        let tree = self.state.tree();
        let node = tree.of(pid).and_then(|id| tree.get(id));
        let Some(node) = node.filter(|node| node.born + SHORT < at) else { return false };
        let same = |look: &super::state::Look| node.start.is_none_or(|start| start == look.start);
        proc::look(pid).is_some_and(|look| !look.is_ended && same(&look))
    }

    /// With too many events it stops to read them: the host has other work.
    fn count(&mut self, events: usize) {
        let second = now().as_secs();
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += events as u64;
        if self.second.1 > MANY {
            self.busy = now() + Duration::from_secs(1);
        }
        if self.second.1 > self.bounds.events_per_second {
            self.second.1 = 0;
            self.pause();
        }
    }

    fn pause(&mut self) {
        let agents = self.agents.iter_mut();
        agents.for_each(|(agent, it)| it.hands.hasten(*agent, &mut self.state, now()));
        self.end_doomed();
        let sight = std::mem::replace(&mut self.sight, Sight::Scans);
        let (Sight::Events(connector) | Sight::Paused(connector, ..)) = sight else { return };
        if let Err(errno) = connector.pause(true) {
            self.trouble(format!("cannot stop reading events: {errno}"));
            self.sight = Sight::Events(connector);
            return;
        }
        // Soon again, it is longer.
        let pause = match self.resumed {
            Some((at, pause)) if now() < at + LONGEST_PAUSE => (pause * 2).min(LONGEST_PAUSE),
            Some(_) | None => PAUSE,
        };
        self.sight = Sight::Paused(connector, now() + pause, pause);
        // What was started while events told of it is not counted twice.
        self.agents.values_mut().for_each(|agent| agent.highest = 0);
        let most = self.bounds.events_per_second;
        let why = format!("this host had more than {most} events of processes within a second");
        self.say(Report::Sees(Err(why)));
        self.scan_all_now();
    }

    /// Reads events again. Where there are too many at once, the next pause is longer.
    fn resume(&mut self) {
        let Sight::Paused(_, until, _) = &self.sight else { return };
        if *until > now() {
            return;
        }
        let Sight::Paused(mut connector, _, pause) =
            std::mem::replace(&mut self.sight, Sight::Scans)
        else {
            return;
        };
        // What came before is not read.
        while connector.read().more {}
        let longer = (pause * 2).min(LONGEST_PAUSE);
        if let Err(errno) = connector.pause(false) {
            self.trouble(format!("cannot read events again: {errno}"));
            self.sight = Sight::Paused(connector, now() + longer, longer);
            return;
        }
        self.resumed = Some((now(), pause));
        self.sight = Sight::Events(connector);
        self.say(Report::Sees(Ok(())));
        self.scan_all_now();
    }

    fn scan_all_now(&mut self) {
        let at = self.rests.max(now());
        self.agents.values_mut().for_each(|agent| agent.next = agent.next.min(at));
    }

    /// Whoever has gone into a new job.
    fn see_jobs(&mut self) {
        let at = now();
        for watched in self.agents.values_mut() {
            let place = &watched.hands.place;
            watched.jobs.retain(|number, until| {
                let there = proc::in_job(place, *number);
                mark_jobs(&mut self.state, &there);
                there.is_empty() && *until > at
            });
        }
    }

    /// Looks at those who are due.
    fn look(&mut self) {
        for question in self.state.due(now()) {
            self.ask(question);
        }
        self.tell_found();
    }

    fn ask(&mut self, question: Question) {
        let Question { agent, pid, .. } = question;
        let Some(look) = proc::look(pid) else { return };
        let Some(suspect) = self.state.looked(now(), question, &look) else { return };
        let Some(watched) = self.agents.get(&agent) else { return };
        let words = proc::words(pid);
        match (proc::whose(pid, suspect.start, &watched.hands.place), words) {
            (Some(Part::Session), Some(words)) => self.state.confirmed(now(), &suspect, words),
            (Some(Part::Job), _) => self.state.tree_mut().mark_job(suspect.id),
            (_, _) => {}
        }
    }

    /// Does what is to be done about findings, and tells of them.
    fn tell_found(&mut self) {
        for agent in self.state.take_crowded() {
            let place = self.agents.get(&agent).map(|watched| &watched.hands.place);
            let there = place.map(proc::in_jobs).unwrap_or_default();
            mark_jobs(&mut self.state, &there);
            self.state.confirm_crowd(agent);
        }
        for (agent, mut finding) in self.state.take_found() {
            let is_told = self.folds.is_told_now(agent, finding.rule);
            if is_told && matches!(finding.rule, Rule::Spawns | Rule::Count) {
                finding.seen.push_str(&self.most_common(agent));
            }
            self.act(agent, &finding);
            if let Some(finding) = self.folds.put(now(), agent, finding) {
                self.say(Report::Found(agent, Box::new(finding)));
            }
        }
        for agent in self.state.take_asks() {
            self.say(Report::AskPanes(agent));
        }
    }

    fn most_common(&self, agent: AgentId) -> String {
        let pids = self.state.tree().all_of(agent).map(|(_, node)| node.pid);
        let pids: Vec<i32> = pids.take(MOST_COUNTED).collect();
        let most = proc::most_common(&pids);
        most.map_or(String::new(), |(name, count)| {
            format!("; of {} that were looked at {count} are {name}", pids.len())
        })
    }

    fn act(&mut self, agent: AgentId, finding: &Finding) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        match finding.action {
            Action::Off | Action::Log | Action::Alert => {}
            Action::Signal => {
                if let Some(top) = finding.top {
                    watched.hands.ask_to_end(&mut self.state, now(), top);
                }
            }
            Action::Freeze if watched.hands.is_frozen() => {}
            Action::Freeze => match watched.hands.set_frozen(true) {
                Ok(()) => self.say(Report::Froze(agent, finding.told())),
                Err(errno) => self.trouble(format!("cannot freeze an agent: {errno}")),
            },
            Action::Stop if watched.is_stopping => {}
            Action::Stop => {
                watched.is_stopping = true;
                self.say(Report::Stop(agent, finding.told()));
            }
        }
    }

    /// Tells what the kernel has refused to agents, where something `came` or is due.
    fn hear(&mut self, came: bool) {
        if !came && self.hearing.patience().is_none_or(|patience| !patience.is_zero()) {
            return;
        }
        let jail = |watched: &Watched, init| {
            let place = &watched.hands.place;
            let cgroup = place.cgroup.as_ref().map(|_| place.cgroup_path.clone());
            Jail { init, uid: place.uid, cgroup }
        };
        let jails = self.agents.iter().map(|(number, it)| (*number, jail(it, it.init)));
        let jails: Vec<_> = jails.collect();
        let Came { denials, trouble } = self.hearing.hear(&jails);
        for (agent, denial) in denials {
            self.say(Report::Denied(agent, Box::new(denial)));
        }
        trouble.into_iter().for_each(|told| self.trouble(told));
    }

    fn by_the_clock(&mut self) {
        self.resume();
        self.end_doomed();
        self.scan_due();
        self.look();
        for (agent, finding) in self.folds.due(now()) {
            self.say(Report::Found(agent, Box::new(finding)));
        }
        self.tell_acted();
    }

    /// How many were ended, at most once in a while.
    fn tell_acted(&mut self) {
        let at = now();
        let mut all = Vec::new();
        for (agent, watched) in &mut self.agents {
            let is_due = watched.acted.told.is_none_or(|told| told + TOGETHER <= at);
            if watched.acted.ended > 0 && is_due {
                let ended = std::mem::take(&mut watched.acted.ended);
                watched.acted.told = Some(at);
                all.push((*agent, format!("{ended} processes were signalled, and have ended")));
            }
        }
        all.into_iter().for_each(|(agent, told)| self.say(Report::Acted(agent, told)));
    }

    fn end_doomed(&mut self) {
        let due = now();
        let agents = self
            .agents
            .iter()
            .filter(|(_, watched)| watched.hands.next().is_some_and(|next| next <= due));
        let agents: Vec<AgentId> = agents.map(|(agent, _)| *agent).collect();
        for agent in agents {
            let Some(mut watched) = self.agents.remove(&agent) else { continue };
            let Self { state, sight, .. } = self;
            let mut lost = false;
            let mut catch_up = |state: &mut State| lost = catch_up(sight, state);
            let ended = watched.hands.end(agent, state, now(), &mut catch_up);
            if lost {
                watched.next = Moment::ZERO;
            }
            if let Ok(ended) = ended {
                watched.acted.ended += ended;
            }
            self.agents.insert(agent, watched);
            ended.err().into_iter().for_each(|trouble| self.trouble(trouble));
        }
    }

    /// Looks at all processes of those agents whose time it is.
    fn scan_due(&mut self) {
        let begun = now();
        let due: Vec<AgentId> = self
            .agents
            .iter()
            .filter(|(_, watched)| watched.next <= begun)
            .map(|(agent, _)| *agent)
            .collect();
        if due.is_empty() {
            return;
        }
        for agent in &due {
            self.scan(*agent);
        }
        let took = now().saturating_sub(begun);
        let pause = match &self.sight {
            Sight::Events(_) => CROSS_CHECK,
            Sight::Paused(..) | Sight::Scans => SCAN,
        };
        self.rests = now() + took * SCAN_SHARE;
        let next = self.rests.max(now() + pause);
        for agent in due {
            if let Some(watched) = self.agents.get_mut(&agent) {
                watched.next = next;
            }
        }
    }

    fn scan(&mut self, agent: AgentId) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        let place = watched.hands.place.clone();
        let used = proc::used(&place);
        let rests = used.is_some() && used == watched.used;
        watched.used = used;
        let Some(there) = proc::members(&place) else { return };
        let unknown: Vec<i32> =
            there.iter().copied().filter(|pid| !self.is_known(agent, *pid, rests)).collect();
        let mut unknown: Vec<_> =
            unknown.into_iter().filter_map(|pid| Some((pid, proc::look(pid)?))).collect();
        // Parents before children: of the same tick, by number.
        unknown.sort_by_key(|(pid, look)| (look.start, *pid));
        self.state.scanned(now(), agent, &there, &unknown);
        mark_jobs(&mut self.state, &proc::in_jobs(&place));
        self.count_numbers(agent, unknown.iter().map(|(_, look)| look.inside).max());
        // What nobody tells of is looked for at those that did something.
        if !rests {
            self.state.judge_all(now(), agent);
            for (id, pids) in self.state.left_behind(agent) {
                self.state.used(now(), agent, id, proc::ticks(&pids));
            }
        }
        self.name_leftovers();
    }

    /// Whether `pid` is the process that is known by that number. Where the agent has done nothing, it is.
    fn is_known(&self, agent: AgentId, pid: i32, rests: bool) -> bool {
        let tree = self.state.tree();
        let node = tree.of(pid).and_then(|id| tree.get(id)).filter(|node| node.agent == agent);
        node.is_some_and(|node| {
            rests || node.start.is_none_or(|start| proc::start(pid).is_none_or(|it| it == start))
        })
    }

    /// Without events new processes are counted by their numbers inside, which are given one after the other.
    fn count_numbers(&mut self, agent: AgentId, highest: Option<i32>) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        let Some(highest) = highest else { return };
        // Numbers that begin anew are a new beginning here, too.
        let before = std::mem::replace(&mut watched.highest, highest);
        if before > 0 && highest > before && !matches!(self.sight, Sight::Events(_)) {
            let new = u64::try_from(highest - before).unwrap_or(0);
            self.state.count_spawns(now(), agent, new);
        }
    }

    /// Whose command has just ended: what else there is has a moment left.
    fn name_leftovers(&mut self) {
        for (agent, pids) in self.state.take_ended() {
            let named = pids.iter().filter_map(|pid| {
                let inside = proc::look(*pid)?.inside;
                Some(Process { pid: *pid, inside, words: proc::words(*pid)? })
            });
            let named = named.take(NAMED).collect();
            self.state.leftovers(agent, &pids, named);
        }
    }

    fn trouble(&mut self, told: String) {
        self.say(Report::Trouble(told));
    }

    fn say(&mut self, report: Report) {
        if self.unsent.len() >= MOST_UNSENT {
            self.lost += 1;
            return;
        }
        self.unsent.push_back(report);
        self.flush();
    }

    /// Says what the owner takes now. That it has lost something it is told as soon as it takes more.
    fn flush(&mut self) {
        while let Some(report) = self.unsent.front() {
            match wire::say_now(&self.link, report) {
                // Its end is heard of.
                Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => {}
                Err(_) => return,
            }
            self.unsent.pop_front();
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.unsent.push_back(Report::Trouble(format!("{lost} reports were lost")));
        }
    }
}

/// Reads all events that there are; whether some were lost.
fn catch_up(sight: &mut Sight, state: &mut State) -> bool {
    let Sight::Events(connector) = sight else { return false };
    let mut lost = false;
    loop {
        let came = connector.read();
        lost |= came.lost;
        came.events.into_iter().for_each(|(at, event)| state.event(at, event));
        if !came.more {
            return lost;
        }
    }
}
