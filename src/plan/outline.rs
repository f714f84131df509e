//! What is kept of a plan beside a running jail, to say why something is refused in it.
//!
//! A plan is made anew in a moment, and says what would hold now. The profile may have changed since the jail was launched,
//! and so may the host: what a running agent meets is in the outline of its launch.
//!
//! Never in it: what files in memory hold, variables, credentials.

use super::types::{Content, LandlockPlan, Log, Mask, Mount, Plan, RlimitName, Source};
use crate::egress::rules::Rules;
use crate::policy::seccomp::Program;
use crate::profile::Wall;
use crate::profile::types::Bytes;
use serde::{Deserialize, Serialize};

/// What is kept of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// The agent's name.
    pub agent: String,
    /// The profile's name.
    pub profile: String,
    /// The agent's uid.
    pub uid: u32,
    /// Its home in the jail.
    pub home: String,
    /// Where its command starts.
    pub workdir: String,
    /// The names of the walls that stand.
    pub walls: Vec<String>,
    /// The mounts, parents before children; files in memory are empty.
    pub mounts: Vec<Mount>,
    /// What is hidden or protected in them.
    pub masks: Vec<Mask>,
    /// What is covered below `/proc`.
    pub proc_masks: Vec<String>,
    /// Landlock's rules.
    pub landlock: LandlockPlan,
    /// The network's mode.
    pub network: String,
    /// Whom it may reach.
    pub egress: Option<OutlineEgress>,
    /// The system call filter.
    pub seccomp: OutlineSeccomp,
    /// Its limits.
    pub limits: Vec<OutlineLimit>,
}

/// Whom the agent may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineEgress {
    /// Whether connections are taken in the jail's network.
    pub listens: bool,
    /// Its rules.
    pub rules: Rules,
    /// Connections that are open at once.
    pub connections: u32,
    /// Connections that are opened in a second.
    pub rate: u32,
}

/// The system call filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineSeccomp {
    /// The policy's name.
    pub policy: String,
    /// Where the choice comes from.
    pub origin: String,
    /// A number that another filter has not, but by chance: a policy may have changed since.
    pub digest: u64,
    /// Whether the kernel audits what it refuses.
    pub log: Log,
}

/// One limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutlineLimit {
    /// Its key in `[limits]` of a profile.
    pub key: String,
    /// Its value, as a profile has it.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
    /// What holds it, where that is no controller of cgroups.
    pub by: String,
}

impl Outline {
    /// What is kept of `plan`.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let walls = plan.walls.iter().filter(|wall| plan.stands(wall.wall));
        let egress = plan.egress.as_ref().map(|egress| OutlineEgress {
            listens: egress.listens,
            rules: egress.rules.clone(),
            connections: egress.connections,
            rate: egress.rate,
        });
        Self {
            agent: plan.agent.clone(),
            profile: plan.profile.clone(),
            uid: plan.identity.uid,
            home: plan.identity.home.clone(),
            workdir: plan.command.workdir.clone(),
            walls: walls.map(|wall| wall.wall.name().to_owned()).collect(),
            mounts: plan.mounts.iter().map(emptied).collect(),
            masks: plan.masks.clone(),
            proc_masks: plan.proc_masks.iter().map(|&mask| mask.to_owned()).collect(),
            landlock: plan.landlock.clone(),
            network: plan.network.word().to_owned(),
            egress,
            seccomp: OutlineSeccomp {
                policy: plan.seccomp.policy.clone(),
                origin: plan.seccomp.origin.clone(),
                digest: digest(&plan.seccomp.program),
                log: plan.seccomp.log.clone(),
            },
            limits: limits(plan),
        }
    }

    /// Whether `wall` stands in this jail.
    #[must_use]
    pub fn stands(&self, wall: Wall) -> bool {
        self.walls.iter().any(|name| name == wall.name())
    }
}

/// The mount without what its files hold.
fn emptied(mount: &Mount) -> Mount {
    let mut mount = mount.clone();
    if let Source::Memory { nodes, .. } = &mut mount.source {
        for node in nodes {
            if let Content::File(text) = &mut node.content {
                text.clear();
            }
        }
    }
    mount
}

/// A number for a filter (FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>).
#[must_use]
pub fn digest(program: &Program) -> u64 {
    let bytes = program.instructions().iter().flat_map(|one| {
        let [c0, c1] = one.code.to_le_bytes();
        let [k0, k1, k2, k3] = one.k.to_le_bytes();
        [c0, c1, one.jt, one.jf, k0, k1, k2, k3]
    });
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn limits(plan: &Plan) -> Vec<OutlineLimit> {
    let bytes = |text: &str| text.parse().map_or(text.to_owned(), |bytes| Bytes(bytes).to_string());
    let own = plan.cgroup.limits.iter().filter(|limit| !limit.is_none());
    let own = own.filter_map(|limit| {
        let (key, value) = match limit.file {
            "memory.max" => ("memory", bytes(&limit.value)),
            "memory.high" => ("memory_high", bytes(&limit.value)),
            "memory.swap.max" => ("swap", bytes(&limit.value)),
            "pids.max" => ("tasks", limit.value.clone()),
            "cpu.max" => ("cpu", limit.value.clone()),
            "io.max" => ("io", limit.value.clone()),
            _ => return None,
        };
        Some(limit_of(key, value, &limit.origin, ""))
    });
    let watch = plan.memory_watch.map(|bytes| {
        limit_of("memory", Bytes(bytes).to_string(), "", "a watch that adds up its memory")
    });
    let each = plan.rlimits.iter().filter_map(|limit| {
        let (key, value, by) = match limit.resource {
            RlimitName::OpenFiles => ("open_files", limit.value.to_string(), "RLIMIT_NOFILE"),
            RlimitName::FileSize => ("file_size", Bytes(limit.value).to_string(), "RLIMIT_FSIZE"),
            RlimitName::Core => ("core", Bytes(limit.value).to_string(), "RLIMIT_CORE"),
            RlimitName::Processes => ("tasks", limit.value.to_string(), "RLIMIT_NPROC"),
            RlimitName::LockedMemory | RlimitName::MessageQueues | RlimitName::RealTime => {
                return None;
            }
        };
        Some(limit_of(key, value, &limit.origin, by))
    });
    let disk = plan.disk.bounds.iter().map(|bound| {
        limit_of("disk", Bytes(bound.bytes).to_string(), &bound.origin, "a project quota")
    });
    own.chain(watch).chain(each).chain(disk).collect()
}

fn limit_of(key: &str, value: String, origin: &str, by: &str) -> OutlineLimit {
    OutlineLimit { key: key.to_owned(), value, origin: origin.to_owned(), by: by.to_owned() }
}
