//! Who descends from whom: every process of every agent that is watched, by the kernel's events.
//!
//! Each event costs the same, however many processes there are. A process that has ended stays as long as two lines of its
//! descendants live, so that those of one that forks and ends, again and again, are still known to belong together, and no more
//! than twice as many are kept as live.
//!
//! Pure. Numbers of processes come again: whoever acts on one looks first whether it is still the same.

use std::collections::HashMap;
use std::time::Duration;

/// A moment, by a clock that never goes back: the time since that clock's zero.
pub type Moment = Duration;

/// An agent, by a number that its owner chose.
pub type AgentId = u32;

/// A process in the tree. It never comes to mean another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    index: u32,
    generation: u32,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number, as the host has it.
    pub pid: i32,
    /// Whose it is.
    pub agent: AgentId,
    /// When it was forked; where that was not seen, when it was found.
    pub born: Moment,
    /// Whether whoever started it had ended before it was seen, or has since.
    pub is_orphaned: bool,
    /// Since when it descends from somebody who was left behind: who forks and ends, again and again, does not begin anew.
    pub behind: Option<Moment>,
    /// Whether the first process of the jail has started it.
    pub is_of_init: bool,
    /// How often it has begun to run another program.
    pub execs: u32,
    /// When it is to be looked at next, if it is.
    pub due: Option<Moment>,
    /// By when it is ended, where it is. Its children are, too.
    pub doomed: Option<Moment>,
    /// When it started, in clock ticks since the boot, once somebody has looked.
    pub start: Option<u64>,
    /// Whether a rule has told of it.
    pub is_told: bool,
    /// Whether it descends from a job that was declared.
    pub is_job: bool,
    /// Whether a scan has found it, and no event told of it.
    pub is_found: bool,
    /// Its number in the jail, once somebody has looked; 0 before.
    pub inside: i32,
    lives: bool,
    parent: Option<u32>,
    first: Option<u32>,
    previous: Option<u32>,
    next: Option<u32>,
    children: u32,
}

impl Node {
    fn new(agent: AgentId, pid: i32, born: Moment) -> Self {
        Self {
            pid,
            agent,
            born,
            is_orphaned: false,
            behind: None,
            is_of_init: false,
            execs: 0,
            due: None,
            doomed: None,
            start: None,
            is_told: false,
            is_job: false,
            is_found: false,
            inside: 0,
            lives: true,
            parent: None,
            first: None,
            previous: None,
            next: None,
            children: 0,
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    node: Option<Node>,
}

/// All processes that are known.
#[derive(Debug, Default)]
pub struct Tree {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_pid: HashMap<i32, u32>,
    agents: HashMap<AgentId, Whole>,
}

/// An agent's processes together.
#[derive(Debug)]
struct Whole {
    init: NodeId,
    live: u64,
    /// Those of them that are in jobs.
    jobs: u64,
}

impl Tree {
    /// Watches an agent: its first process is `init`. One that is known by that number already is another's no more.
    pub fn add(&mut self, agent: AgentId, init: i32, now: Moment) {
        self.remove(agent);
        self.forget(init, now);
        let index = self.insert(Node::new(agent, init, now));
        let init = self.id(index);
        self.agents.insert(agent, Whole { init, live: 1, jobs: 0 });
    }

    /// Watches it no more.
    pub fn remove(&mut self, agent: AgentId) {
        if self.agents.remove(&agent).is_none() {
            return;
        }
        for index in 0..self.slots.len() {
            let Ok(index) = u32::try_from(index) else { return };
            if self.node(index).is_some_and(|node| node.agent == agent) {
                self.clear(index);
            }
        }
    }

    /// A process has forked; the new one, if it is of an agent.
    pub fn fork(&mut self, parent: i32, child: i32, now: Moment) -> Option<NodeId> {
        if let Some(id) = self.of(child).filter(|id| self.is_same(*id, now)) {
            // A scan was quicker: who its parent is, it saw itself.
            let of_init = self.is_init(parent);
            self.get_mut(id)?.is_of_init = of_init;
            return None;
        }
        // Its number is free again: the end of the last one was not told.
        self.forget(child, now);
        let parent = *self.by_pid.get(&parent)?;
        let of = self.node(parent)?;
        let (agent, doomed, is_job, behind) = (of.agent, of.doomed, of.is_job, of.behind);
        let is_of_init = self.agents.get(&agent)?.init == self.id(parent);
        let node = Node { is_of_init, doomed, is_job, behind, ..Node::new(agent, child, now) };
        Some(self.insert_below(node, parent))
    }

    /// A process of `agent` was found that no event had told of; its parent is `parent`, by the kernel's word. An agent whose
    /// first process has ended has none.
    pub fn find(&mut self, agent: AgentId, pid: i32, parent: i32, now: Moment) -> Option<NodeId> {
        self.forget(pid, now);
        let init = self.agents.get(&agent)?.init;
        self.get(init)?;
        let init = init.index;
        let known = self.by_pid.get(&parent).copied();
        let known = known.filter(|index| self.node(*index).is_some_and(|of| of.agent == agent));
        let above = known.unwrap_or(init);
        let of = self.node(above)?;
        let (doomed, is_job, behind) = (of.doomed, of.is_job, of.behind);
        let node = Node {
            is_orphaned: above == init,
            is_found: true,
            behind: behind.or((above == init).then_some(now)),
            doomed,
            is_job,
            ..Node::new(agent, pid, now)
        };
        Some(self.insert_below(node, above))
    }

    /// A process has ended at `at`; those that it leaves behind.
    pub fn exit(&mut self, pid: i32, at: Moment) -> Vec<NodeId> {
        let Some(index) = self.by_pid.remove(&pid) else { return Vec::new() };
        let mut left = Vec::new();
        let mut child = self.node(index).and_then(|node| node.first);
        while let Some(index) = child {
            child = self.node(index).and_then(|node| node.next);
            if let Some(node) = self.node_mut(index).filter(|node| node.lives && !node.is_orphaned)
            {
                node.is_orphaned = true;
                node.behind.get_or_insert(at);
                left.push(self.id(index));
            }
        }
        let Some(node) = self.node_mut(index) else { return left };
        node.lives = false;
        let (agent, is_job) = (node.agent, node.is_job);
        if let Some(whole) = self.agents.get_mut(&agent) {
            whole.live = whole.live.saturating_sub(1);
            whole.jobs = whole.jobs.saturating_sub(u64::from(is_job));
        }
        self.settle(index);
        left
    }

    /// The process of the number `pid`, if it is of an agent.
    #[must_use]
    pub fn of(&self, pid: i32) -> Option<NodeId> {
        self.by_pid.get(&pid).map(|index| self.id(*index))
    }

    /// A process, as long as it lives.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        let slot = self.slots.get(id.index as usize)?;
        slot.node.as_ref().filter(|node| node.lives && slot.generation == id.generation)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        let slot = self.slots.get_mut(id.index as usize)?;
        let (node, generation) = (slot.node.as_mut(), slot.generation);
        node.filter(|node| node.lives && generation == id.generation)
    }

    /// The number of the process that `pid` descends from, as long as that lives and nothing between has ended.
    #[must_use]
    pub fn parent_of(&self, pid: i32) -> Option<i32> {
        let node = self.node(*self.by_pid.get(&pid)?)?;
        let parent = self.node(node.parent?)?;
        (parent.lives && !node.is_orphaned).then_some(parent.pid)
    }

    /// How many of an agent's processes are in jobs.
    #[must_use]
    pub fn count_jobs(&self, agent: AgentId) -> u64 {
        self.agents.get(&agent).map_or(0, |whole| whole.jobs)
    }

    /// A process was seen in a job. What it starts from now on is in it, too.
    pub fn mark_job(&mut self, id: NodeId) {
        let Some(node) = self.get_mut(id) else { return };
        let (agent, was) = (node.agent, std::mem::replace(&mut node.is_job, true));
        if let (false, Some(whole)) = (was, self.agents.get_mut(&agent)) {
            whole.jobs += 1;
        }
    }

    /// How many processes an agent has.
    #[must_use]
    pub fn count(&self, agent: AgentId) -> u64 {
        self.agents.get(&agent).map_or(0, |whole| whole.live)
    }

    /// All that live of an agent, its first one too. Looks at all that are known: not for every event.
    pub fn all_of(&self, agent: AgentId) -> impl Iterator<Item = (NodeId, &Node)> {
        self.slots.iter().enumerate().filter_map(move |(index, slot)| {
            let node = slot.node.as_ref().filter(|node| node.lives && node.agent == agent)?;
            let id = NodeId { index: u32::try_from(index).ok()?, generation: slot.generation };
            Some((id, node))
        })
    }

    /// A process and all that descend from it and live.
    #[must_use]
    pub fn family(&self, id: NodeId) -> Vec<NodeId> {
        if self.get(id).is_none() {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut waiting = vec![id.index];
        while let Some(index) = waiting.pop() {
            let Some(node) = self.node(index) else { continue };
            if node.lives {
                found.push(self.id(index));
            }
            let mut child = node.first;
            while let Some(at) = child {
                waiting.push(at);
                child = self.node(at).and_then(|node| node.next);
            }
        }
        found
    }

    /// How many are kept, also of those that have ended.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether a process that was found at some time is the one that was forked at `at`, or before.
    #[must_use]
    pub fn is_same(&self, id: NodeId, at: Moment) -> bool {
        self.get(id).is_some_and(|node| node.is_found && node.born >= at)
    }

    fn is_init(&self, pid: i32) -> bool {
        let of = self.of(pid).and_then(|id| Some((id, self.get(id)?.agent)));
        of.is_some_and(|(id, agent)| self.agents.get(&agent).is_some_and(|it| it.init == id))
    }

    fn id(&self, index: u32) -> NodeId {
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        NodeId { index, generation }
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.slots.get(index as usize)?.node.as_ref()
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.slots.get_mut(index as usize)?.node.as_mut()
    }

    /// The end of a process that has the number `pid` no more.
    fn forget(&mut self, pid: i32, now: Moment) {
        if self.by_pid.contains_key(&pid) {
            self.exit(pid, now);
        }
    }

    fn insert(&mut self, node: Node) -> u32 {
        let pid = node.pid;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // More than this no kernel has.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.generation = slot.generation.wrapping_add(1);
            slot.node = Some(node);
        }
        self.by_pid.insert(pid, index);
        index
    }

    fn insert_below(&mut self, node: Node, parent: u32) -> NodeId {
        let (agent, is_job) = (node.agent, node.is_job);
        let index = self.insert(node);
        self.link(index, parent);
        if let Some(whole) = self.agents.get_mut(&agent) {
            whole.live += 1;
            whole.jobs += u64::from(is_job);
        }
        self.id(index)
    }

    fn link(&mut self, index: u32, parent: u32) {
        let Some(above) = self.node_mut(parent) else { return };
        let next = above.first.replace(index);
        above.children += 1;
        if let Some(next) = next.and_then(|next| self.node_mut(next)) {
            next.previous = Some(index);
        }
        if let Some(node) = self.node_mut(index) {
            (node.parent, node.previous, node.next) = (Some(parent), None, next);
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(node) = self.node_mut(index) else { return };
        let (parent, previous, next) = (node.parent.take(), node.previous.take(), node.next.take());
        if let Some(node) = previous.and_then(|at| self.node_mut(at)) {
            node.next = next;
        }
        if let Some(node) = next.and_then(|at| self.node_mut(at)) {
            node.previous = previous;
        }
        if let Some(above) = parent.and_then(|at| self.node_mut(at)) {
            above.children -= 1;
            if previous.is_none() {
                above.first = next;
            }
        }
    }

    /// One that has ended is kept only where it holds together at least two. Each step lets one go.
    fn settle(&mut self, index: u32) {
        let mut at = Some(index);
        while let Some(index) = at {
            let Some(node) = self.node(index).filter(|node| !node.lives) else { return };
            let (parent, children, only) = (node.parent, node.children, node.first);
            match (children, only, parent) {
                (0, _, _) => {
                    self.unlink(index);
                    self.clear(index);
                    at = parent;
                }
                (1, Some(only), Some(parent)) => {
                    self.unlink(only);
                    self.unlink(index);
                    self.clear(index);
                    self.link(only, parent);
                    at = None;
                }
                (_, _, _) => at = None,
            }
        }
    }

    fn clear(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        if let Some(node) = slot.node.take() {
            self.free.push(index);
            if self.by_pid.get(&node.pid) == Some(&index) {
                self.by_pid.remove(&node.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests;
