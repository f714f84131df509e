//! Whose a refusal of the kernel is, what it means, and how often it is told.
//!
//! Decides: which agent a refusal belongs to, by what the kernel says of it: no name or path, which an agent chooses. Pure.
//! Does not protect against: two agents with one uid, of whose processes one has ended before it was looked for. Then a refused
//! system call is nobody's, and what Landlock refused is known by who made its domain.

use super::audit::{Object, Refused, What};
use crate::denial::{Denial, LANDLOCK_CANARY, Process};
use crate::egress::rate::Bucket;
use crate::policy::seccomp::Arch;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What must be known of an agent's jail to tell what is its.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jail {
    /// PID 1 of the jail, by its number outside.
    pub init: i32,
    /// The agent's uid.
    pub uid: u32,
    /// The path of its cgroup below the mount, where it has one.
    pub cgroup: Option<String>,
}

/// Which of `jails` the refusal belongs to, by its index. `cgroup` is where the process that called is, while it runs.
#[must_use]
pub fn whose<'j>(
    refused: &Refused,
    jails: impl Iterator<Item = &'j Jail> + Clone,
    cgroup: Option<&str>,
) -> Option<usize> {
    if let What::Access { creator: Some(creator), .. } = &refused.what {
        // The rules bind from before init starts: who made the domain is init, or a process of the jail.
        let made = jails.clone().position(|it| (it.init, it.uid) == (creator.pid, creator.uid));
        if made.is_some() {
            return made;
        }
    }
    let by = refused.by.as_ref()?;
    let has_uid = |jail: &&Jail| jail.uid == by.uid;
    if let Some(cgroup) = cgroup {
        let holds = |jail: &Jail| {
            jail.uid == by.uid && jail.cgroup.as_deref().is_none_or(|own| is_in(cgroup, own))
        };
        return jails.clone().position(holds);
    }
    // It has ended. The uid is the agent's alone, unless several jails have it.
    let alone = jails.clone().filter(has_uid).count() == 1;
    jails.clone().position(|jail| alone && jail.uid == by.uid)
}

fn is_in(cgroup: &str, own: &str) -> bool {
    cgroup.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the refusal means; nothing where it is init's own test of the walls.
#[must_use]
pub fn denial(refused: &Refused, init: i32) -> Option<Denial> {
    let by = refused.by.as_ref();
    let is_init = by.is_some_and(|by| by.pid == init);
    let process = by.map(|by| Process { pid: by.pid, program: by.program.clone() });
    let (wall, action, object, rule) = match &refused.what {
        // Init makes no other call that a filter refuses.
        What::Call { .. } if is_init => return None,
        What::Call { arch, number } => {
            ("seccomp", "call", call(*arch, *number), "the system call policy".to_owned())
        }
        What::Access { object: Object::Path(path), .. } if is_init && path == LANDLOCK_CANARY => {
            return None;
        }
        What::Access { blockers, object, .. } => {
            let action = action(blockers);
            ("landlock", action, shown(object), blockers.join(","))
        }
    };
    let why = format!("{rule} does not allow it");
    Some(Denial {
        wall: wall.to_owned(),
        action: action.to_owned(),
        object,
        why,
        rule,
        process,
        times: 1,
        opening: None,
    })
}

/// The call's name, or its number where it is none of this machine's.
fn call(arch: u32, number: u32) -> String {
    let known = Arch::native().filter(|native| native.audit() == arch);
    let mut calls = known.into_iter().flat_map(Arch::calls);
    let name = calls.find(|(_, known)| *known == number).map(|(name, _)| name.to_owned());
    name.unwrap_or_else(|| match known {
        Some(_) => format!("number {number}"),
        None => format!("number {number} of another architecture ({arch:#x})"),
    })
}

/// Names of Landlock's rights, and what is done where they are missing: the first that is among them counts.
const ACTIONS: &[(&str, &str)] = &[
    ("fs.execute", "execute"),
    ("fs.make_", "make"),
    ("fs.remove_", "remove"),
    ("fs.refer", "move"),
    ("fs.truncate", "write"),
    ("fs.write_file", "write"),
    ("fs.ioctl_dev", "control"),
    ("fs.resolve_unix", "connect"),
    ("fs.change_topology", "mount"),
    ("fs.read_dir", "list"),
    ("fs.read_file", "read"),
    ("net.bind_", "bind"),
    ("net.connect_", "connect"),
    ("scope.abstract_unix_socket", "connect"),
    ("scope.signal", "signal"),
    ("ptrace", "trace"),
];

fn action(blockers: &[String]) -> &'static str {
    let has = |begin: &str| blockers.iter().any(|blocker| blocker.starts_with(begin));
    ACTIONS.iter().find(|(begin, _)| has(begin)).map_or("use", |(_, action)| action)
}

fn shown(object: &Object) -> String {
    match object {
        Object::Path(text) | Object::Address(text) => text.clone(),
        Object::Abstract(name) => format!("@{name}"),
        Object::Process { pid, program } => format!("{program} ({pid})"),
        Object::None => "something".to_owned(),
    }
}

/// How long the same denial is counted before it is told again.
const WINDOW: Duration = Duration::from_secs(1);

/// The most different denials of one agent that are told at once, and how many more each second; the others are counted.
const MOST: (u32, u32) = (50, 2);

/// The most agents that are told apart.
const AGENTS: usize = 4096;

/// Tells denials: the first of its kind at once, and how often it happened since at the end of a window.
#[derive(Debug, Default)]
pub struct Teller {
    agents: BTreeMap<String, Agent>,
}

#[derive(Debug)]
struct Agent {
    bucket: Bucket,
    /// What was told since `since`, and how often it happened again.
    told: Vec<Denial>,
    since: Instant,
    lost: u64,
}

impl Teller {
    /// What there is to tell now of `denial` of the jail called `jail`.
    pub fn add(&mut self, jail: &str, denial: Denial, now: Instant) -> Option<Denial> {
        if !self.agents.contains_key(jail) && self.agents.len() >= AGENTS {
            return None;
        }
        let agent = self.agents.entry(jail.to_owned()).or_insert_with(|| Agent {
            bucket: Bucket::holding(MOST.0, MOST.1, now),
            told: Vec::new(),
            since: now,
            lost: 0,
        });
        let same = |known: &&mut Denial| {
            (&known.wall, &known.action, &known.object)
                == (&denial.wall, &denial.action, &denial.object)
        };
        if let Some(known) = agent.told.iter_mut().find(same) {
            known.times += denial.times;
            return None;
        }
        if !agent.bucket.take(now) {
            agent.lost += denial.times;
            return None;
        }
        if agent.told.is_empty() {
            agent.since = now;
        }
        agent.told.push(Denial { times: 0, ..denial.clone() });
        Some(denial)
    }

    /// What happened again in windows that have ended, with the names of the jails.
    pub fn due(&mut self, now: Instant) -> Vec<(String, Denial)> {
        let mut due = Vec::new();
        for (jail, agent) in &mut self.agents {
            if agent.told.is_empty() || now.saturating_duration_since(agent.since) < WINDOW {
                continue;
            }
            let again = agent.told.drain(..).filter(|denial| denial.times > 0);
            due.extend(again.map(|denial| (jail.clone(), denial)));
        }
        due
    }

    /// When something is due, if anything is.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let open = self.agents.values().filter(|agent| !agent.told.is_empty());
        open.map(|agent| agent.since + WINDOW).min()
    }

    /// Forgets the jail called `jail`, which has ended, and gives what is still to be told of it, and how many denials never
    /// were.
    pub fn forget(&mut self, jail: &str) -> (Vec<Denial>, u64) {
        let Some(agent) = self.agents.remove(jail) else { return (Vec::new(), 0) };
        let rest = agent.told.into_iter().filter(|denial| denial.times > 0);
        (rest.collect(), agent.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::Caller;
    use super::*;

    fn caller(pid: i32, uid: u32) -> Caller {
        Caller { pid, uid, program: "x".to_owned() }
    }

    fn call_by(by: Option<Caller>) -> Refused {
        let what = What::Call { arch: Arch::native().unwrap().audit(), number: 3 };
        Refused { time: 1, by, what }
    }

    fn access(creator: Option<Caller>, blockers: &[&str], object: Object) -> Refused {
        let blockers = blockers.iter().map(|&blocker| blocker.to_owned()).collect();
        let what = What::Access { domain: 1, creator, blockers, object };
        Refused { time: 1, by: None, what }
    }

    fn jails() -> Vec<Jail> {
        let jail = |init, uid, cgroup: &str| Jail { init, uid, cgroup: Some(cgroup.to_owned()) };
        vec![
            jail(10, 70001, "/cellblock.slice/a.run"),
            jail(20, 70002, "/cellblock.slice/b.run"),
            jail(30, 70002, "/cellblock.slice/b.exec.7"),
        ]
    }

    #[test]
    fn a_refusal_is_whose_the_kernel_says() {
        let jails = jails();
        let of = |refused: &Refused, cgroup| whose(refused, jails.iter(), cgroup);
        let by = |pid, uid| call_by(Some(caller(pid, uid)));
        assert_eq!(of(&by(99, 70001), Some("/cellblock.slice/a.run")), Some(0));
        assert_eq!(of(&by(99, 70002), Some("/cellblock.slice/b.exec.7/x")), Some(2));
        // A number that means another process by now, and a cgroup whose name only begins like one.
        assert_eq!(of(&by(99, 70001), Some("/user.slice")), None);
        assert_eq!(of(&by(99, 70001), Some("/cellblock.slice/a.run2")), None);
        assert_eq!(of(&by(99, 0), Some("/cellblock.slice/a.run")), None, "not its uid");
        // It has ended: the uid counts where it is one jail's alone.
        assert_eq!(of(&by(99, 70001), None), Some(0));
        assert_eq!(of(&by(99, 70002), None), None);
        assert_eq!(of(&call_by(None), None), None);
        // Who made the domain is certain.
        let made = |pid, uid| access(Some(caller(pid, uid)), &["fs.read_file"], Object::None);
        assert_eq!(of(&made(30, 70002), None), Some(2));
        assert_eq!(of(&made(30, 70001), None), None);
    }

    #[test]
    fn a_refusal_is_told_by_what_was_done() {
        let path = || Object::Path("/srv/x".to_owned());
        for (blockers, object, expected) in [
            (&["fs.execute", "fs.read_file"][..], path(), "execute /srv/x"),
            (&["fs.remove_file", "fs.make_reg"], path(), "make /srv/x"),
            (&["fs.write_file", "fs.read_file"], path(), "write /srv/x"),
            (&["fs.read_dir"], path(), "list /srv/x"),
            (&["net.connect_tcp"], Object::Address("1.2.3.4:80".to_owned()), "connect 1.2.3.4:80"),
            (&["scope.abstract_unix_socket"], Object::Abstract("x".to_owned()), "connect @x"),
            (
                &["scope.signal"],
                Object::Process { pid: 7, program: "sh".to_owned() },
                "signal sh (7)",
            ),
            (&["fs.of_tomorrow"], Object::None, "use something"),
        ] {
            let denial = denial(&access(None, blockers, object), 10).unwrap();
            assert_eq!(format!("{} {}", denial.action, denial.object), expected);
            assert_eq!((&*denial.wall, denial.rule), ("landlock", blockers.join(",")));
        }
        let close = denial(&call_by(Some(caller(11, 1))), 10).unwrap();
        let number = Arch::native().unwrap().calls().find(|(_, number)| *number == 3);
        assert_eq!(close.object, number.unwrap().0);
        assert_eq!(call(0x4000_0003, 5), "number 5 of another architecture (0x40000003)");
    }

    #[test]
    fn what_init_tries_to_see_that_walls_stand_is_not_told() {
        assert_eq!(denial(&call_by(Some(caller(10, 1))), 10), None);
        let canary = |pid| Refused {
            by: Some(caller(pid, 1)),
            ..access(None, &["fs.read_file"], Object::Path(LANDLOCK_CANARY.to_owned()))
        };
        assert_eq!(denial(&canary(10), 10), None);
        assert!(denial(&canary(11), 10).is_some(), "the agent's own");
    }

    #[test]
    fn a_flood_is_told_once_and_then_with_its_count() {
        let now = Instant::now();
        let mut teller = Teller::default();
        let of = |object: &str| Denial {
            wall: "seccomp".to_owned(),
            object: object.to_owned(),
            times: 1,
            ..Denial::default()
        };
        assert!(teller.add("a", of("bpf"), now).is_some());
        for _ in 0..1000 {
            assert_eq!(teller.add("a", of("bpf"), now), None);
        }
        assert!(teller.add("b", of("bpf"), now).is_some(), "of another agent");
        assert!(teller.due(now).is_empty());
        assert_eq!(teller.deadline(), Some(now + WINDOW));
        let due = teller.due(now + WINDOW);
        assert_eq!(
            due.iter().map(|(jail, it)| (&**jail, it.times)).collect::<Vec<_>>(),
            [("a", 1000)]
        );
        assert_eq!(teller.deadline(), None);
        // Made up ones do not push the others out.
        let told = (0..1000).filter(|n| teller.add("b", of(&n.to_string()), now).is_some()).count();
        assert!((40..=50).contains(&told), "{told}");
        teller.add("b", of("1"), now);
        let (rest, lost) = teller.forget("b");
        assert_eq!(rest.iter().map(|denial| denial.times).collect::<Vec<_>>(), [1]);
        assert_eq!(lost, 1000 - u64::try_from(told).unwrap());
        assert_eq!(teller.forget("b"), (Vec::new(), 0));
    }
}
