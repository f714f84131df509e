//! From events to findings: what is known of each agent, and when which of its processes is to be looked at.
//!
//! ```text
//!  events ─ Tree ─ who is due ─ Question ─▷ /proc ─▷ Look ─ signs ─ Suspect ─▷ /proc ─▷ Process ─ Finding
//!         └ rates, counts ──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Pure: it asks, and whoever drives it looks. Events say when to look; what is found rests on what `/proc` said at that moment.
//!
//! Does not protect against: a process that takes the words of one that is excepted, and one that stays below every bound.

use super::findings::{Finding, LONGEST_WORDS, Process};
use super::rules::{Action, Rule, Rules, Sign};
use super::tree::{AgentId, Moment, Node, NodeId, Tree};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Processes of an agent that wait to be looked at, at the most. Beyond that all are looked at by the next scan.
const MOST_DUE: usize = 100_000;
/// How long init may take to ask tmux something.
const QUESTION: Duration = Duration::from_secs(8);
/// Who was found by a scan is judged no sooner: what init has started itself it tells a moment later. Nor is a child of the tmux
/// server: it has yet to become the first process of a pane.
const FOUND: Duration = Duration::from_secs(1);
/// How soon it is asked again which panes the session has, and how seldom where tmux does not answer: init waits for it.
const ASK_AGAIN: Duration = Duration::from_secs(4);
const ASK_SELDOM: Duration = Duration::from_secs(120);
/// Processes of an agent that are looked at in one turn.
const MOST_LOOKS: usize = 256;
/// Those left behind whose processor time is added up.
const MOST_BEHIND: usize = 64;

/// What the kernel tells (connector/cn_proc.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process has a child.
    Fork {
        /// Who.
        parent: i32,
        /// The child.
        child: i32,
    },
    /// It runs another program.
    Exec {
        /// Who.
        pid: i32,
    },
    /// It leads a session.
    Session {
        /// Who.
        pid: i32,
    },
    /// It has ended.
    Exit {
        /// Who.
        pid: i32,
        /// Whether by SIGKILL.
        killed: bool,
    },
}

/// A process that is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose it is.
    pub agent: AgentId,
    /// Which.
    pub id: NodeId,
    /// Its number.
    pub pid: i32,
}

/// What `/proc` tells of a process (proc_pid_stat(5), proc_pid_status(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// When it started, in clock ticks since the boot.
    pub start: u64,
    /// Its parent.
    pub parent: i32,
    /// Its session.
    pub session: i32,
    /// Whether it has a terminal.
    pub has_terminal: bool,
    /// Whether it has ended, and nobody has waited for it.
    pub is_ended: bool,
    /// Whether it ignores SIGHUP.
    pub ignores_hangup: bool,
    /// Whether its parent does.
    pub parent_ignores_hangup: bool,
    /// The session of its parent.
    pub parent_session: i32,
    /// Its number in the jail.
    pub inside: i32,
}

/// A process by which something was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Whose it is.
    pub agent: AgentId,
    /// Which.
    pub id: NodeId,
    /// Its number.
    pub pid: i32,
    /// Its number in the jail.
    pub inside: i32,
    /// When it started, in clock ticks since the boot.
    pub start: u64,
    /// What was seen.
    pub signs: Vec<Sign>,
}

/// Processor time of what was left behind, since a moment.
#[derive(Clone, Debug)]
struct Behind {
    process: Process,
    since: Moment,
    /// What it was when it was looked at last, and by how much it has grown since that moment: those who end take theirs along.
    ticks: Option<u64>,
    used: u64,
}

/// What init says of the programs that it has started itself, by their numbers inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Those that show the session.
    pub clients: Vec<i32>,
    /// Further commands.
    pub commands: Vec<i32>,
    /// The first process of the agent's pane, once it is looked after.
    pub pane: Option<i32>,
}

/// One agent.
#[derive(Debug)]
struct Watched {
    rules: Rules,
    except: GlobSet,
    init: i32,
    /// The tmux server. Before it is known nobody can be told from the session.
    server: Option<i32>,
    /// The programs that init has started itself, by their numbers inside.
    own: BTreeSet<i32>,
    /// Those of them that show the session: they run one program, and no other.
    clients: BTreeSet<i32>,
    /// The first process of the agent's own pane, by its number inside.
    pane: Option<i32>,
    /// Those of all panes of its session, as it was at that moment or later.
    panes: Option<(Moment, BTreeSet<i32>)>,
    /// When that was asked for last, and when first without an answer since.
    asked: Option<Moment>,
    unanswered: Option<Moment>,
    /// Those about whom that must be known.
    waiting: BTreeSet<NodeId>,
    /// How long an answer is waited for before it is asked again.
    patience: Duration,
    /// By when they are due, each once.
    due: BTreeSet<(Moment, NodeId)>,
    /// Those to be looked at now.
    again: BTreeSet<NodeId>,
    /// Where more were due than are kept: until when scans look at all, as the last of those is due then.
    judge_until: Option<Moment>,
    spawns: Rate,
    /// Whether the number of its processes was told.
    is_many: bool,
    behind: BTreeMap<NodeId, Behind>,
    /// Since its command has ended: what was there, and how many of those were killed.
    leftovers: Option<Leftovers>,
}

#[derive(Debug)]
struct Leftovers {
    there: BTreeSet<i32>,
    processes: Vec<Process>,
    killed: u64,
}

/// All agents.
#[derive(Debug, Default)]
pub struct State {
    tree: Tree,
    agents: BTreeMap<AgentId, Watched>,
    found: Vec<(AgentId, Finding)>,
    /// Agents whose panes must be known.
    panes: BTreeSet<AgentId>,
    /// Agents whose command has just ended.
    ended: BTreeSet<AgentId>,
    /// Agents that seem to have too many processes.
    crowded: BTreeSet<AgentId>,
}

impl State {
    /// Watches the agent whose first process is `init`.
    ///
    /// # Errors
    /// A pattern of `rules` that is none.
    pub fn add(
        &mut self,
        now: Moment,
        agent: AgentId,
        init: i32,
        rules: Rules,
    ) -> Result<(), String> {
        let except = patterns(&rules.detached.except)?;
        let most = rules.spawns.per_second.saturating_mul(rules.spawns.over.as_secs().max(1));
        let spawns = Rate::new(rules.spawns.over, most);
        self.tree.add(agent, init, now);
        let watched = Watched {
            rules,
            except,
            init,
            server: None,
            own: BTreeSet::new(),
            clients: BTreeSet::new(),
            pane: None,
            panes: None,
            asked: None,
            unanswered: None,
            waiting: BTreeSet::new(),
            patience: ASK_AGAIN,
            due: BTreeSet::new(),
            again: BTreeSet::new(),
            judge_until: None,
            spawns,
            is_many: false,
            behind: BTreeMap::new(),
            leftovers: None,
        };
        self.agents.insert(agent, watched);
        Ok(())
    }

    /// Watches it no more.
    pub fn remove(&mut self, agent: AgentId) {
        self.tell_leftovers(agent);
        self.tree.remove(agent);
        self.agents.remove(&agent);
    }

    /// Its tmux server is `pid`.
    pub fn set_server(&mut self, agent: AgentId, pid: i32) {
        if let Some(watched) = self.agents.get_mut(&agent) {
            watched.server = Some(pid);
            // Whoever started it has ended, as was meant: nobody is left behind by that.
            for id in self.tree.of(pid).map(|id| self.tree.family(id)).unwrap_or_default() {
                self.tree.get_mut(id).into_iter().for_each(|node| node.behind = None);
            }
        }
    }

    /// What its init says of the programs that it has started itself.
    pub fn set_own(&mut self, agent: AgentId, own: &Own) {
        if let Some(watched) = self.agents.get_mut(&agent) {
            watched.own = own.commands.iter().chain(&own.clients).copied().collect();
            watched.clients = own.clients.iter().copied().collect();
            watched.pane = own.pane.or(watched.pane);
        }
    }

    /// Whether the first process of its pane is known by its number inside alone: who it is, or that it has ended already, is to
    /// be looked for.
    #[must_use]
    pub fn seeks_pane(&self, agent: AgentId) -> bool {
        let Some(watched) = self.agents.get(&agent) else { return false };
        watched.leftovers.is_none()
            && watched
                .pane
                .is_some_and(|pane| self.tree.all_of(agent).all(|(_, node)| node.inside != pane))
    }

    /// Those whose numbers inside are not known.
    #[must_use]
    pub fn nameless(&self, agent: AgentId) -> Vec<i32> {
        let nameless = self.tree.all_of(agent).filter(|(_, node)| node.inside == 0);
        nameless.map(|(_, node)| node.pid).collect()
    }

    /// What the number inside of the process `pid` is.
    pub fn named(&mut self, pid: i32, look: &Look) {
        if let Some(node) = self.tree.of(pid).and_then(|id| self.tree.get_mut(id)) {
            (node.start, node.inside) = (Some(look.start), look.inside);
        }
    }

    /// The first process of its pane is not there any more: its command has ended.
    pub fn pane_ended(&mut self, agent: AgentId) {
        self.ended.insert(agent);
    }

    /// The first processes of the panes of its session, by the word of its tmux server; nothing where that does not answer. They
    /// are those of when it was asked.
    pub fn set_panes(&mut self, agent: AgentId, panes: Option<BTreeSet<i32>>) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        let said = watched.panes.as_ref().map(|(said, _)| *said);
        // An answer that comes late is one to the first question.
        let Some(said) = watched.unanswered.or(said) else { return };
        match panes {
            Some(panes) => {
                watched.unanswered = None;
                watched.panes = Some((said, panes));
                watched.patience = ASK_AGAIN;
                watched.again.extend(std::mem::take(&mut watched.waiting));
            }
            None => watched.patience = (watched.patience * 2).min(ASK_SELDOM),
        }
    }

    /// The rules of an agent.
    #[must_use]
    pub fn rules(&self, agent: AgentId) -> Option<&Rules> {
        self.agents.get(&agent).map(|watched| &watched.rules)
    }

    /// The processes, for what is done about findings.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The same, to be changed.
    pub fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// The kernel told of `event`, which was at `at`.
    pub fn event(&mut self, at: Moment, event: Event) {
        match event {
            Event::Fork { parent, child } => {
                // The end of the last one of that number was not told.
                if self.tree.of(child).is_some_and(|id| !self.tree.is_same(id, at)) {
                    self.exited(at, child, false);
                }
                if let Some(id) = self.tree.fork(parent, child, at) {
                    self.spawned(at, id, 1);
                }
            }
            Event::Exec { pid } => {
                let id = self.tree.of(pid);
                if let Some(node) = id.and_then(|id| self.tree.get_mut(id)) {
                    node.execs = node.execs.saturating_add(1);
                }
                self.changed(at, pid, |detached| {
                    detached.signs.iter().any(|sign| matches!(sign, Sign::Hangup | Sign::Line))
                });
            }
            Event::Session { pid } => self.changed(at, pid, |detached| {
                detached.signs.iter().any(|sign| matches!(sign, Sign::Terminal))
            }),
            Event::Exit { pid, killed } => self.exited(at, pid, killed),
        }
    }

    /// A new process, and how many numbers were given since the last.
    fn spawned(&mut self, at: Moment, id: NodeId, count: u64) {
        let Some(agent) = self.tree.get(id).map(|node| node.agent) else { return };
        self.is_due(agent, id, at);
        if self.tree.get(id).is_some_and(|node| !node.is_job) {
            self.count_spawns(at, agent, count);
        }
        if self.crowd(agent).is_some() {
            self.crowded.insert(agent);
        }
    }

    /// How many processes an agent has, where that is more than it may and was not told yet.
    fn crowd(&self, agent: AgentId) -> Option<u64> {
        let watched = self.agents.get(&agent)?;
        let total = self.tree.count(agent).saturating_sub(self.tree.count_jobs(agent));
        let rule = &watched.rules.count;
        let is_new = !watched.is_many && rule.action != Action::Off;
        (is_new && total > rule.processes).then_some(total)
    }

    /// Agents that seem to have too many processes. No event tells that one has gone into a job: once it is known who is in
    /// one, [`State::confirm_crowd`] says whether they have.
    pub fn take_crowded(&mut self) -> BTreeSet<AgentId> {
        std::mem::take(&mut self.crowded)
    }

    /// Those who are in jobs are known.
    pub fn confirm_crowd(&mut self, agent: AgentId) {
        let total = self.crowd(agent);
        let (Some(total), Some(watched)) = (total, self.agents.get_mut(&agent)) else { return };
        watched.is_many = true;
        let rule = &watched.rules.count;
        let seen = format!("{total} processes, more than {}", rule.processes);
        self.found.push((agent, about(Rule::Count, rule.action, seen, total)));
    }

    /// `count` new processes of an agent.
    pub fn count_spawns(&mut self, at: Moment, agent: AgentId, count: u64) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        let action = watched.rules.spawns.action;
        if watched.spawns.add(at, count) && action != Action::Off {
            let (sum, over) = (watched.spawns.sum, watched.rules.spawns.over.as_secs().max(1));
            let most = watched.rules.spawns.per_second;
            let seen = format!("{sum} new processes within {over} s, more than {most} a second");
            self.found.push((agent, about(Rule::Spawns, action, seen, sum)));
        }
    }

    /// A process that may have become one to tell of.
    fn changed(&mut self, at: Moment, pid: i32, counts: fn(&super::rules::Detached) -> bool) {
        let Some(id) = self.tree.of(pid) else { return };
        let Some(node) = self.tree.get(id) else { return };
        let (agent, born) = (node.agent, node.born);
        let Some(watched) = self.agents.get(&agent) else { return };
        // A young one is due anyway.
        let grace = watched.rules.detached.grace;
        if counts(&watched.rules.detached) && (grace.is_zero() || born + grace <= at) {
            self.is_due(agent, id, at);
        }
    }

    fn exited(&mut self, at: Moment, pid: i32, killed: bool) {
        let Some(id) = self.tree.of(pid) else { return };
        let Some(node) = self.tree.get(id) else { return };
        // Found after this, it is another one of the same number.
        if node.is_found && node.born > at {
            return;
        }
        let (agent, inside) = (node.agent, node.inside);
        for left in self.tree.exit(pid, at) {
            self.is_due(agent, left, at);
        }
        let total = self.tree.count(agent).saturating_sub(self.tree.count_jobs(agent));
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        watched.behind.remove(&id);
        watched.is_many &= total * 4 > watched.rules.count.processes * 3;
        if let Some(leftovers) = &mut watched.leftovers {
            leftovers.killed += u64::from(killed && leftovers.there.contains(&pid));
        } else if inside != 0 && watched.pane == Some(inside) {
            self.ended.insert(agent);
        }
        if watched.init == pid {
            self.tell_leftovers(agent);
        }
    }

    fn is_due(&mut self, agent: AgentId, id: NodeId, at: Moment) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        let Some(least) = self.tree.get(id).map(|node| watched.least(&self.tree, node)) else {
            return;
        };
        let Some(node) = self.tree.get_mut(id) else { return };
        // Also where nothing is done about it: what runs in the background is told of by another rule.
        let grace = watched.rules.detached.grace;
        let due = match node.behind {
            Some(since) if node.is_orphaned => (since + grace).max(at + least),
            Some(_) | None => at + grace.max(least),
        };
        if watched.due.len() >= MOST_DUE {
            watched.judge_until = watched.judge_until.max(Some(due));
            return;
        }
        // Each once, and as soon as it must.
        match node.due {
            Some(before) if before <= due => {}
            Some(before) => {
                watched.due.remove(&(before, id));
                watched.due.insert((due, id));
                node.due = Some(due);
            }
            None => {
                watched.due.insert((due, id));
                node.due = Some(due);
            }
        }
    }

    /// When somebody is to be looked at.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        let ready = self.agents.values().filter(|watched| watched.server.is_some());
        let next = ready.filter_map(|watched| {
            let first = watched.due.first().map(|(due, _)| *due);
            let asks = watched.asked.filter(|_| !watched.waiting.is_empty());
            let next = first.into_iter().chain(asks.map(|it| it + watched.patience)).min();
            if watched.again.is_empty() { next } else { Some(Moment::ZERO) }
        });
        next.min()
    }

    /// Those who are to be looked at by now.
    pub fn due(&mut self, now: Moment) -> Vec<Question> {
        let mut questions = Vec::new();
        for (agent, watched) in &mut self.agents {
            if watched.server.is_none() {
                continue;
            }
            if watched.asked.is_none_or(|asked| asked + watched.patience <= now) {
                watched.again.extend(std::mem::take(&mut watched.waiting));
            }
            let mut ids = std::mem::take(&mut watched.again);
            while let Some((_, id)) = watched.due.first().copied().filter(|(due, _)| *due <= now) {
                watched.due.pop_first();
                ids.insert(id);
            }
            for id in &ids {
                self.tree.get_mut(*id).into_iter().for_each(|node| node.due = None);
            }
            // The others in the next turn: orders and events come between.
            let late = ids.iter().copied().skip(MOST_LOOKS).collect();
            watched.again = late;
            let ids = ids.into_iter().take(MOST_LOOKS);
            let alive = ids.filter_map(|id| Some((id, self.tree.get(id)?)));
            let alive =
                alive.filter(|(_, node)| !node.is_told && !node.is_job && node.doomed.is_none());
            questions.extend(alive.map(|(id, node)| Question { agent: *agent, id, pid: node.pid }));
        }
        questions
    }

    /// What was seen of a process; the suspicion, if there is one.
    pub fn looked(&mut self, now: Moment, question: Question, look: &Look) -> Option<Suspect> {
        let Question { agent, id, pid } = question;
        let node = self.tree.get_mut(id)?;
        if *node.start.get_or_insert(look.start) != look.start {
            // Its number means another one by now, of which is told or which a scan finds.
            return None;
        }
        node.inside = look.inside;
        let watched = self.agents.get_mut(&agent)?;
        let is_own = watched.is_own(node, look);
        if is_own {
            node.behind = None;
        }
        let node = node.clone();
        let of_parent = self.tree.parent_of(look.parent);
        if look.is_ended || pid == watched.init || Some(pid) == watched.server {
            return None;
        }
        // It was due before it was known whose child it is: what the server has just forked is no pane yet.
        if now < node.born + watched.least(&self.tree, &node) {
            self.is_due(agent, id, node.born);
            return None;
        }
        if watched.is_question(now, &node, look) && !is_own {
            self.is_due(agent, id, now + FOUND);
            return None;
        }
        let mut signs = Vec::new();
        let grace = watched.rules.detached.grace;
        let lasts = node.behind.is_none_or(|since| since + grace <= now);
        // One that was due for another reason a moment ago.
        let is_early = watched.has_no_line(&node, look) && !lasts;
        if watched.has_no_line(&node, look) && lasts {
            signs.push(Sign::Line);
        }
        match watched.is_foreign_pane(pid, &node, look) {
            Some(true) => signs.push(Sign::Pane),
            Some(false) => {}
            None => {
                // Nobody has said since it is there.
                watched.waiting.insert(id);
                if watched.asked.is_none_or(|asked| asked + watched.patience <= now) {
                    watched.asked = Some(now);
                    watched.unanswered.get_or_insert(now);
                    self.panes.insert(agent);
                }
            }
        }
        let is_first = Some(look.parent) == watched.server;
        // What a pane's own process ignores, all that it starts ignores, too: those are told of, and it is not.
        let is_second = watched.server.is_some() && of_parent == watched.server;
        let ignores = look.ignores_hangup && (!look.parent_ignores_hangup || is_second);
        if ignores && !is_own && !is_first {
            signs.push(Sign::Hangup);
        }
        let leads = look.session == pid && !look.has_terminal;
        if leads && look.parent_session != look.session && !is_own {
            signs.push(Sign::Terminal);
        }
        if is_early {
            watched.due.extend(node.behind.map(|since| (since + grace, id)));
        }
        let wanted = &watched.rules.detached.signs;
        let counts = signs.iter().any(|sign| wanted.contains(sign));
        let (inside, start) = (look.inside, look.start);
        counts.then_some(Suspect { agent, id, pid, inside, start, signs })
    }

    /// It is a process of the agent, and has these words.
    pub fn confirmed(&mut self, now: Moment, suspect: &Suspect, words: String) {
        let Suspect { agent, id, pid, inside, signs, .. } = suspect;
        let Some(watched) = self.agents.get_mut(agent) else { return };
        let Some(node) = self.tree.get_mut(*id) else { return };
        // What it starts from now on is told of no sooner than anything else: one finding, or none, stands for all.
        node.behind = None;
        if node.is_told || watched.except.is_match(&words) {
            return;
        }
        node.is_told = true;
        let count = self.tree.family(*id).len() as u64;
        let words: String = words.chars().take(LONGEST_WORDS).collect();
        let process = Process { pid: *pid, inside: *inside, words };
        let behind = Behind { process: process.clone(), since: now, ticks: None, used: 0 };
        watched.behind.insert(*id, behind);
        let action = watched.rules.detached.action;
        if action == Action::Off {
            return;
        }
        let seen: Vec<&str> = signs.iter().map(|sign| in_words(*sign)).collect();
        let finding = Finding {
            signs: signs.clone(),
            processes: vec![process],
            top: Some(*id),
            ..about(Rule::Detached, action, seen.join(", "), count)
        };
        self.found.push((*agent, finding));
    }

    /// A limit of an agent was reached, says its owner.
    pub fn limit_reached(&mut self, agent: AgentId, told: String) {
        let Some(watched) = self.agents.get(&agent) else { return };
        let action = watched.rules.limits;
        if action != Action::Off {
            self.found.push((agent, about(Rule::Limits, action, told, 0)));
        }
    }

    /// All processes of an agent, as a scan has found them: those that no event had told of, with their parents.
    pub fn scanned(
        &mut self,
        now: Moment,
        agent: AgentId,
        there: &BTreeSet<i32>,
        unknown: &[(i32, Look)],
    ) {
        let gone: Vec<i32> = self
            .tree
            .all_of(agent)
            .filter(|(_, node)| !there.contains(&node.pid))
            .map(|(_, node)| node.pid)
            .collect();
        for pid in gone {
            self.exited(now, pid, false);
        }
        let server = self.agents.get(&agent).and_then(|watched| watched.server);
        for (pid, look) in unknown {
            // The number of one whose end was not told.
            self.exited(now, *pid, false);
            if let Some(id) = self.tree.find(agent, *pid, look.parent, now) {
                if let Some(node) = self.tree.get_mut(id) {
                    (node.start, node.inside) = (Some(look.start), look.inside);
                    node.behind = node.behind.filter(|_| Some(*pid) != server);
                }
                self.spawned(now, id, 0);
            }
        }
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        if let Some(until) = watched.judge_until {
            watched.judge_until = Some(until).filter(|until| *until > now);
            self.judge_all(now, agent);
        }
    }

    /// Looks at all processes of an agent once more: what they do about SIGHUP no event tells.
    pub fn judge_all(&mut self, now: Moment, agent: AgentId) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        let grace = watched.rules.detached.grace;
        let old = self.tree.all_of(agent);
        let is_old = |node: &Node| node.born + grace.max(watched.least(&self.tree, node)) <= now;
        let old = old.filter(|(_, node)| !node.is_told && is_old(node));
        let old: Vec<NodeId> = old.map(|(id, _)| id).collect();
        watched.again.extend(old);
    }

    /// Those left behind, whose processor time is to be told by [`State::used`].
    #[must_use]
    pub fn left_behind(&self, agent: AgentId) -> Vec<(NodeId, Vec<i32>)> {
        let Some(watched) = self.agents.get(&agent) else { return Vec::new() };
        if watched.rules.background.action == Action::Off {
            return Vec::new();
        }
        let pids = |id| {
            let family = self.tree.family(id);
            family.into_iter().filter_map(|id| Some(self.tree.get(id)?.pid)).collect()
        };
        watched.behind.keys().take(MOST_BEHIND).map(|id| (*id, pids(*id))).collect()
    }

    /// Processor time of one left behind and of all that descend from it, in hundredths of a second.
    pub fn used(&mut self, now: Moment, agent: AgentId, id: NodeId, ticks: u64) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        let rule = &watched.rules.background;
        let Some(behind) = watched.behind.get_mut(&id) else { return };
        let Some(before) = behind.ticks.replace(ticks) else {
            behind.since = now;
            return;
        };
        behind.used += ticks.saturating_sub(before);
        let passed = now.saturating_sub(behind.since);
        if passed < rule.over || passed.is_zero() {
            return;
        }
        behind.since = now;
        let used = u128::from(std::mem::take(&mut behind.used)) * 1000;
        let percent = used / (passed.as_millis() / 10).max(1) / 10;
        let percent = u64::try_from(percent).unwrap_or(u64::MAX);
        if percent > rule.percent {
            let seen = format!(
                "{}.{:02} processors for {} s in the background, more than {}.{:02}",
                percent / 100,
                percent % 100,
                passed.as_secs(),
                rule.percent / 100,
                rule.percent % 100,
            );
            let finding = Finding {
                processes: vec![behind.process.clone()],
                top: Some(id),
                ..about(Rule::Background, rule.action, seen, 1)
            };
            self.found.push((agent, finding));
        }
    }

    /// Agents whose command has just ended: what else they have is to be named by [`State::leftovers`].
    pub fn take_ended(&mut self) -> Vec<(AgentId, Vec<i32>)> {
        let ended = std::mem::take(&mut self.ended);
        let of = |agent| {
            let watched = self.agents.get(&agent)?;
            let others = self.tree.all_of(agent).filter(|(_, node)| {
                let base = node.pid == watched.init || Some(node.pid) == watched.server;
                !base && !node.is_job && !node.is_of_init && !watched.own.contains(&node.inside)
            });
            Some((agent, others.map(|(_, node)| node.pid).collect()))
        };
        ended.into_iter().filter_map(of).collect()
    }

    /// What an agent had when its command ended, and some of those by their words.
    pub fn leftovers(&mut self, agent: AgentId, there: &[i32], processes: Vec<Process>) {
        if let Some(watched) = self.agents.get_mut(&agent) {
            let there = there.iter().copied().collect();
            watched.leftovers = Some(Leftovers { there, processes, killed: 0 });
        }
    }

    fn tell_leftovers(&mut self, agent: AgentId) {
        let Some(watched) = self.agents.get_mut(&agent) else { return };
        let Some(Leftovers { processes, killed, .. }) = watched.leftovers.take() else { return };
        let action = watched.rules.orphans;
        if killed > 0 && action != Action::Off {
            let seen = "ran on when the agent's command ended, and were ended".to_owned();
            let finding = Finding { processes, ..about(Rule::Orphans, action, seen, killed) };
            self.found.push((agent, finding));
        }
    }

    /// What was found since the last time.
    pub fn take_found(&mut self) -> Vec<(AgentId, Finding)> {
        std::mem::take(&mut self.found)
    }

    /// Agents whose panes are to be asked for.
    pub fn take_asks(&mut self) -> BTreeSet<AgentId> {
        std::mem::take(&mut self.panes)
    }
}

impl Watched {
    /// How old it must be at least: before that it may still become what is no sign.
    fn least(&self, tree: &Tree, node: &Node) -> Duration {
        let is_of_server = self.server.is_some() && tree.parent_of(node.pid) == self.server;
        let waits = node.is_found || node.is_of_init || is_of_server;
        if waits { FOUND } else { Duration::ZERO }
    }

    /// Whether init has started it, by init's own word: a process may have another one's parent made its child's
    /// (clone(2), `CLONE_PARENT`). What shows the session runs nothing else.
    fn is_own(&self, node: &Node, look: &Look) -> bool {
        let is_client = self.clients.contains(&look.inside);
        self.own.contains(&look.inside) && !(is_client && node.execs > 1)
    }

    /// Whether it may be one that init has started to ask tmux something: that takes a moment, and is not told of.
    fn is_question(&self, now: Moment, node: &Node, look: &Look) -> bool {
        // Whoever was started by somebody else is none, whosever child it is now.
        let may_be = node.is_of_init || node.is_found;
        may_be
            && look.parent == self.init
            && look.session == self.init
            && now < node.born + QUESTION
    }

    fn has_no_line(&self, node: &Node, look: &Look) -> bool {
        if look.parent == self.init {
            return !self.is_own(node, look);
        }
        // What tmux starts besides panes is nobody's.
        Some(look.parent) == self.server && !(look.session == node.pid && look.has_terminal)
    }

    /// Whether it is the first process of a pane of another session; nothing where that is not known.
    fn is_foreign_pane(&self, pid: i32, node: &Node, look: &Look) -> Option<bool> {
        let is_pane = Some(look.parent) == self.server && look.session == pid && look.has_terminal;
        if !is_pane || !self.rules.detached.signs.contains(&Sign::Pane) {
            return Some(false);
        }
        let (said, panes) = self.panes.as_ref()?;
        (*said >= node.born).then(|| !panes.contains(&look.inside))
    }
}

fn in_words(sign: Sign) -> &'static str {
    match sign {
        Sign::Line => "whoever started it has ended",
        Sign::Pane => "its pane is not of the agent's session",
        Sign::Hangup => "it ignores SIGHUP",
        Sign::Terminal => "it leads a session without a terminal",
    }
}

fn about(rule: Rule, action: Action, seen: String, count: u64) -> Finding {
    Finding {
        rule,
        action,
        signs: Vec::new(),
        seen,
        count,
        processes: Vec::new(),
        times: 1,
        top: None,
    }
}

/// Patterns of whole command lines.
///
/// # Errors
/// What is wrong with one.
pub fn patterns(texts: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        let glob = GlobBuilder::new(text).literal_separator(false).build();
        set.add(glob.map_err(|error| error.to_string())?);
    }
    set.build().map_err(|error| error.to_string())
}

/// How many in the last seconds.
#[derive(Debug)]
struct Rate {
    second: u64,
    seconds: VecDeque<u64>,
    length: usize,
    sum: u64,
    most: u64,
    is_told: bool,
}

impl Rate {
    fn new(over: Duration, most: u64) -> Self {
        let length = usize::try_from(over.as_secs().max(1)).unwrap_or(usize::MAX);
        let seconds = VecDeque::new();
        Self { second: 0, seconds, length, sum: 0, most, is_told: false }
    }

    /// Adds `count`; true where that is too much, once until it is less than half of that.
    fn add(&mut self, at: Moment, count: u64) -> bool {
        let second = at.as_secs().max(self.second);
        let passed = usize::try_from(second - self.second).unwrap_or(usize::MAX);
        if passed >= self.length {
            self.seconds.clear();
        } else {
            (0..passed).for_each(|_| self.seconds.push_back(0));
        }
        while self.seconds.len() > self.length {
            self.seconds.pop_front();
        }
        if self.seconds.is_empty() {
            self.seconds.push_back(0);
        }
        self.second = second;
        self.sum = self.seconds.iter().sum();
        // Before the new ones: they may be many at once.
        self.is_told &= self.sum > self.most / 2;
        if let Some(last) = self.seconds.back_mut() {
            *last += count;
        }
        self.sum += count;
        let told = self.is_told;
        self.is_told |= self.sum > self.most;
        self.is_told && !told
    }
}

#[cfg(test)]
mod tests;
