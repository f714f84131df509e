//! The tree against a naive model of it: a list of all processes that there ever were.

use super::*;
use proptest::prelude::*;

/// A process of the model, for ever.
#[derive(Clone, Debug)]
struct Known {
    id: NodeId,
    pid: i32,
    agent: AgentId,
    /// Who it descends from, by its place in the list.
    parent: Option<usize>,
    born: Moment,
    lives: bool,
    is_found: bool,
    is_orphaned: bool,
    behind: Option<Moment>,
    is_of_init: bool,
    is_job: bool,
    doomed: Option<Moment>,
}

#[derive(Debug, Default)]
struct Model {
    all: Vec<Known>,
    /// The first process of each agent that is watched, by its place in the list.
    inits: HashMap<AgentId, usize>,
    clock: Moment,
}

/// What happens. Numbers of processes are few, so that they come again and again.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add {
        agent: AgentId,
        pid: i32,
    },
    Remove {
        agent: AgentId,
    },
    /// `late` is an event that was on its way while a scan was quicker.
    Fork {
        parent: i32,
        child: i32,
        late: u64,
    },
    Exit {
        pid: i32,
    },
    Find {
        agent: AgentId,
        pid: i32,
        parent: i32,
    },
    Doom {
        pid: i32,
    },
    Job {
        pid: i32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (pid, agent) = (1..24_i32, 1..4_u32);
    prop_oneof![
        1 => (agent.clone(), pid.clone()).prop_map(|(agent, pid)| Step::Add { agent, pid }),
        1 => agent.clone().prop_map(|agent| Step::Remove { agent }),
        24 => (pid.clone(), pid.clone(), 0..4_u64)
            .prop_map(|(parent, child, late)| Step::Fork { parent, child, late }),
        12 => pid.clone().prop_map(|pid| Step::Exit { pid }),
        6 => (agent, pid.clone(), pid.clone())
            .prop_map(|(agent, pid, parent)| Step::Find { agent, pid, parent }),
        2 => pid.clone().prop_map(|pid| Step::Doom { pid }),
        2 => pid.prop_map(|pid| Step::Job { pid }),
    ]
}

impl Model {
    fn live(&self, pid: i32) -> Option<usize> {
        self.all.iter().position(|it| it.pid == pid && it.lives)
    }

    /// Those that its end leaves behind.
    fn end(&mut self, pid: i32, now: Moment) -> Vec<NodeId> {
        let Some(at) = self.live(pid) else { return Vec::new() };
        self.all[at].lives = false;
        let left = self.all.iter_mut().filter(|it| it.parent == Some(at) && it.lives);
        let left = left.filter_map(|it| {
            let is_new = !std::mem::replace(&mut it.is_orphaned, true);
            if is_new {
                it.behind.get_or_insert(now);
            }
            is_new.then_some(it.id)
        });
        left.collect()
    }

    fn forget_agent(&mut self, agent: AgentId) {
        if self.inits.remove(&agent).is_some() {
            self.all.iter_mut().filter(|it| it.agent == agent).for_each(|it| it.lives = false);
        }
    }

    /// One more, whose place in the tree was just made.
    fn enter(&mut self, tree: &Tree, pid: i32, agent: AgentId, parent: Option<usize>) {
        let above = parent.map(|at| &self.all[at]);
        let known = Known {
            id: tree.of(pid).expect("it is there"),
            pid,
            agent,
            born: self.clock,
            lives: true,
            is_found: false,
            is_orphaned: false,
            is_of_init: parent.is_some() && parent == self.inits.get(&agent).copied(),
            behind: above.and_then(|it| it.behind),
            is_job: above.is_some_and(|it| it.is_job),
            doomed: above.and_then(|it| it.doomed),
            parent,
        };
        self.all.push(known);
    }

    /// Does the same in the tree.
    fn perform(&mut self, tree: &mut Tree, step: Step) -> Result<(), TestCaseError> {
        self.clock += Duration::from_secs(1);
        let now = self.clock;
        match step {
            Step::Add { agent, pid } => {
                tree.add(agent, pid, now);
                self.forget_agent(agent);
                self.end(pid, now);
                self.enter(tree, pid, agent, None);
                self.inits.insert(agent, self.all.len() - 1);
            }
            Step::Remove { agent } => {
                tree.remove(agent);
                self.forget_agent(agent);
            }
            Step::Fork { parent, child, late } => self.fork(tree, (parent, child), late)?,
            Step::Exit { pid } => {
                let sorted = |mut ids: Vec<NodeId>| {
                    ids.sort();
                    ids
                };
                prop_assert_eq!(sorted(tree.exit(pid, now)), sorted(self.end(pid, now)));
            }
            Step::Find { agent, pid, parent } => self.find(tree, agent, pid, parent)?,
            Step::Doom { pid } => {
                if let Some(node) = tree.of(pid).and_then(|id| tree.get_mut(id)) {
                    node.doomed = Some(now);
                }
                self.live(pid).into_iter().for_each(|at| self.all[at].doomed = Some(now));
            }
            Step::Job { pid } => {
                tree.of(pid).into_iter().for_each(|id| tree.mark_job(id));
                self.live(pid).into_iter().for_each(|at| self.all[at].is_job = true);
            }
        }
        Ok(())
    }

    fn fork(
        &mut self,
        tree: &mut Tree,
        (parent, child): (i32, i32),
        late: u64,
    ) -> Result<(), TestCaseError> {
        let at = self.clock.saturating_sub(Duration::from_secs(late));
        let new = tree.fork(parent, child, at);
        let known = self.live(child);
        if let Some(known) = known.filter(|it| self.all[*it].is_found && self.all[*it].born >= at) {
            prop_assert_eq!(new, None);
            let parent = self.live(parent);
            self.all[known].is_of_init = self.inits.values().any(|init| Some(*init) == parent);
            return Ok(());
        }
        self.end(child, at);
        let above = self.live(parent);
        prop_assert_eq!(new.is_some(), above.is_some());
        if let Some(above) = above {
            let agent = self.all[above].agent;
            self.enter(tree, child, agent, Some(above));
            self.all.last_mut().expect("it is there").born = at;
        }
        Ok(())
    }

    fn find(
        &mut self,
        tree: &mut Tree,
        agent: AgentId,
        pid: i32,
        parent: i32,
    ) -> Result<(), TestCaseError> {
        let now = self.clock;
        let new = tree.find(agent, pid, parent, now);
        self.end(pid, now);
        let init = self.inits.get(&agent).copied().filter(|init| self.all[*init].lives);
        prop_assert_eq!(new.is_some(), init.is_some());
        let Some(init) = init else { return Ok(()) };
        let above = self.live(parent).filter(|above| self.all[*above].agent == agent);
        let above = above.unwrap_or(init);
        self.enter(tree, pid, agent, Some(above));
        let known = self.all.last_mut().expect("it is there");
        (known.is_found, known.is_of_init) = (true, false);
        known.is_orphaned = above == init;
        known.behind = known.behind.or((above == init).then_some(now));
        Ok(())
    }

    fn descends(&self, mut at: usize, from: usize) -> bool {
        loop {
            if at == from {
                return true;
            }
            let Some(parent) = self.all[at].parent else { return false };
            at = parent;
        }
    }

    /// The tree knows the same.
    fn compare(&self, tree: &Tree) -> Result<(), TestCaseError> {
        for (at, known) in self.all.iter().enumerate() {
            let node = tree.get(known.id);
            prop_assert_eq!(node.is_some(), known.lives, "{:?}", known);
            let Some(node) = node else { continue };
            prop_assert_eq!(tree.of(known.pid), Some(known.id));
            prop_assert_eq!(
                (node.pid, node.agent, node.born),
                (known.pid, known.agent, known.born)
            );
            prop_assert_eq!((node.doomed, node.is_job), (known.doomed, known.is_job));
            prop_assert_eq!((node.is_orphaned, node.behind), (known.is_orphaned, known.behind));
            prop_assert_eq!(node.is_of_init, known.is_of_init, "{:?}", known);
            let parent = known.parent.map(|at| &self.all[at]).filter(|it| it.lives);
            let parent = parent.filter(|_| !known.is_orphaned).map(|it| it.pid);
            prop_assert_eq!(tree.parent_of(known.pid), parent);
            let family = self.all.iter().enumerate();
            let family = family.filter(|(of, it)| it.lives && self.descends(*of, at));
            let mut family: Vec<NodeId> = family.map(|(_, it)| it.id).collect();
            let mut found = tree.family(known.id);
            family.sort();
            found.sort();
            prop_assert_eq!(found, family, "{:?}", known);
        }
        for agent in 0..5 {
            let live = self.all.iter().filter(|it| it.lives && it.agent == agent);
            prop_assert_eq!(tree.count(agent), live.clone().count() as u64);
            let jobs = live.clone().filter(|it| it.is_job).count() as u64;
            prop_assert_eq!(tree.count_jobs(agent), jobs);
            let (mut all, mut found): (Vec<NodeId>, Vec<NodeId>) =
                (live.map(|it| it.id).collect(), tree.all_of(agent).map(|(id, _)| id).collect());
            all.sort();
            found.sort();
            prop_assert_eq!(found, all);
        }
        let live = self.all.iter().filter(|it| it.lives).count();
        prop_assert!(tree.kept() <= 2 * live + self.inits.len(), "{} of {live}", tree.kept());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn it_knows_what_a_list_of_all_that_ever_happened_knows(
        steps in prop::collection::vec(step(), 1..160),
        removes in any::<bool>(),
    ) {
        let (mut tree, mut model) = (Tree::default(), Model::default());
        // Something to begin with: most steps need an agent.
        for (agent, pid) in [(1, 1), (2, 2)] {
            model.perform(&mut tree, Step::Add { agent, pid })?;
        }
        for step in steps {
            model.perform(&mut tree, step)?;
            model.compare(&tree)?;
        }
        // Nothing is left of those that have ended, or are watched no more.
        if removes {
            (1..4).for_each(|agent| tree.remove(agent));
        } else {
            (1..24).for_each(|pid| drop(tree.exit(pid, at(999))));
        }
        prop_assert_eq!(tree.kept(), 0);
        prop_assert!(tree.by_pid.is_empty());
    }
}

fn at(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

#[test]
fn a_process_that_is_found_after_the_first_one_has_ended_is_nobodys_child() {
    let mut tree = Tree::default();
    tree.add(1, 10, at(1));
    assert!(tree.exit(10, at(1)).is_empty());
    // Takes the place of what has ended.
    tree.add(2, 20, at(2));
    let of = tree.of(20).unwrap();
    tree.get_mut(of).unwrap().doomed = Some(at(9));
    assert_eq!(tree.find(1, 30, 999, at(3)), None);
    assert_eq!((tree.count(1), tree.family(of)), (0, vec![of]));
}

#[test]
fn generations_that_end_one_after_the_other_leave_no_trace_and_stay_one_family() {
    let mut tree = Tree::default();
    tree.add(1, 1, at(0));
    let top = tree.fork(1, 2, at(1)).unwrap();
    for generation in 3..100_000 {
        assert!(tree.fork(generation - 1, generation, at(2)).is_some());
        if generation > 3 {
            assert_eq!(tree.exit(generation - 1, at(2)).len(), 1);
        }
        assert!(tree.kept() <= 4);
    }
    assert_eq!(tree.family(top), [top, tree.of(99_999).unwrap()]);
    assert_eq!(tree.count(1), 3);
}
