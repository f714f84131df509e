//! Which walls stand. A wall that cannot stand ends the launch, unless the profile names it.

use super::refusal::Refusal;
use super::request::Request;
use super::types::{WallPlan, WallState};
use super::{disk, limits};
use crate::document::{Located, Problems};
use crate::host::{HostFacts, Kernel};
use crate::profile::types::Network;
use crate::profile::{Profile, Wall};

/// Walls that others rest on: (wall, what it needs).
const NEEDS: &[(Wall, Wall, &str)] = &[
    (
        Wall::Landlock,
        Wall::NoNewPrivs,
        "the kernel takes rules only from who gave up new privileges",
    ),
    (
        Wall::Seccomp,
        Wall::NoNewPrivs,
        "the kernel takes filters only from who gave up new privileges",
    ),
    (Wall::NestedNamespaces, Wall::User, "the setting would be the host's"),
    (Wall::MemfdExec, Wall::Pid, "the setting would be the host's"),
    (Wall::Memory, Wall::Cgroup, "the limit is the cgroup's"),
    (Wall::Tasks, Wall::Cgroup, "the limit is the cgroup's"),
    (Wall::Cpu, Wall::Cgroup, "the limit is the cgroup's"),
    (Wall::Io, Wall::Cgroup, "the limit is the cgroup's"),
    (
        Wall::Disk,
        Wall::User,
        "in the first user namespace the owner of a file may give it to another project",
    ),
    (Wall::Disk, Wall::Mount, "without a root of its own the agent writes in other places, too"),
];

/// What a host can do about a wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It can stand; the text says how.
    Stands(String),
    /// It cannot stand.
    Lacks {
        /// Why not.
        reason: String,
        /// What to do.
        cure: String,
    },
    /// This kernel does not have it, and no profile can ask for it; the text says since when it exists.
    NotInKernel(String),
}

/// What the host of `facts` can do about each wall.
#[must_use]
pub fn abilities(facts: &HostFacts) -> Vec<(Wall, Ability)> {
    Wall::ALL.into_iter().map(|wall| (wall, ability(wall, facts))).collect()
}

/// The state of every wall; refusals are those that cannot stand and were not named.
pub(super) fn resolve(
    profile: &Profile,
    request: &Request,
    facts: &HostFacts,
    problems: &mut Problems,
) -> (Vec<WallPlan>, Vec<Refusal>) {
    let mut refusals = Vec::new();
    let mut walls = Vec::new();
    for wall in Wall::ALL {
        let state = state(wall, profile, request, facts).unwrap_or_else(|refusal| {
            let reason = refusal.reason.clone();
            refusals.push(refusal);
            WallState::CannotStand(reason)
        });
        walls.push(WallPlan { wall, state });
    }
    refusals.extend(lost_ceilings(profile, request, facts));
    check_needs(&mut walls, request, problems);
    check_end(request, problems);
    (walls, refusals)
}

fn state(
    wall: Wall,
    profile: &Profile,
    request: &Request,
    facts: &HostFacts,
) -> Result<WallState, Refusal> {
    if let Some(named) = named(wall, &request.without) {
        return Ok(WallState::Without(format!("taken away by {}", named.place)));
    }
    if wall == Wall::Network && profile.network.value == Network::Host {
        let place = &profile.network.place;
        return Ok(WallState::Without(format!("the host's network, by {place}")));
    }
    if limits::is_limit(wall) && !limits::is_set(wall, &profile.limits) {
        return Ok(WallState::NotSet);
    }
    match ability_for(wall, profile, facts) {
        Ability::Stands(how) => Ok(WallState::Stands(how)),
        Ability::NotInKernel(since) => Ok(WallState::NotInKernel(since)),
        Ability::Lacks { reason, cure } => match named(wall, &profile.without) {
            Some(named) => {
                let place = &named.place;
                let stand_in = stand_in(wall, request, facts);
                Ok(WallState::Without(format!("{reason}; allowed by {place}; {stand_in}")))
            }
            None => Err(Refusal { wall, reason, cure }),
        },
    }
}

/// Ceilings that the admin wrote down and that this host cannot hold: an agent that does without the
/// wall does without them too, any other is not started.
fn lost_ceilings(profile: &Profile, request: &Request, facts: &HostFacts) -> Vec<Refusal> {
    let written = limits::written_ceilings(&request.config.slice).into_iter();
    let lost = written.filter_map(|(wall, place)| match limit(wall, facts) {
        Ability::Lacks { reason, cure } => Some((wall, format!("{place}: {reason}"), cure)),
        Ability::Stands(_) | Ability::NotInKernel(_) => None,
    });
    let kept = |wall: Wall| {
        named(wall, &profile.without).is_none() && named(wall, &request.without).is_none()
    };
    // Where the profile sets a limit of its own, the wall's refusal says it all.
    let told = |wall: Wall| limits::is_set(wall, &profile.limits);
    lost.filter(|(wall, ..)| kept(*wall) && !told(*wall))
        .map(|(wall, reason, cure)| Refusal { wall, reason, cure })
        .collect()
}

fn named(wall: Wall, names: &[Located<Wall>]) -> Option<&Located<Wall>> {
    names.iter().find(|named| named.value == wall)
}

/// Why nothing of `wall` stands, whatever the host could do: the command line took it away, or what it
/// rests on does not stand.
pub(super) fn off(wall: Wall, walls: &[WallPlan], request: &Request) -> Option<String> {
    if let Some(named) = named(wall, &request.without) {
        return Some(format!("taken away by {}", named.place));
    }
    let stands = |wall: Wall| {
        walls.iter().any(|plan| plan.wall == wall && matches!(plan.state, WallState::Stands(_)))
    };
    let gone = NEEDS.iter().find(|(known, footing, _)| *known == wall && !stands(*footing));
    gone.map(|(_, footing, why)| needs(*footing, why))
}

fn needs(footing: Wall, why: &str) -> String {
    format!("needs `{footing}`: {why}")
}

/// What stands in for a wall that a profile does without.
fn stand_in(wall: Wall, request: &Request, facts: &HostFacts) -> &'static str {
    let taken = |wall| named(wall, &request.without).is_some();
    let has_cgroup = !taken(Wall::Cgroup) && matches!(cgroup(facts), Ability::Stands(_));
    if wall == Wall::Tasks && !taken(Wall::Rlimits) {
        "RLIMIT_NPROC of its own uid stands in"
    } else if wall == Wall::Memory && has_cgroup {
        "a watch of its memory stands in"
    } else if wall == Wall::Disk {
        "trees on other file systems are bounded where they can be"
    } else {
        "nothing stands in"
    }
}

/// What the host can do about a wall for what `profile` asks of it.
fn ability_for(wall: Wall, profile: &Profile, facts: &HostFacts) -> Ability {
    let ability = ability(wall, facts);
    let wants_share = wall == Wall::Io && profile.limits.io_weight.is_some();
    if wants_share && matches!(ability, Ability::Stands(_)) && limits::has_no_io_weight(facts) {
        return lacks(
            "`io_weight` is set, and cgroups here have neither io.weight nor io.bfq.weight",
            "use a kernel with CONFIG_BLK_CGROUP_IOCOST or the disk scheduler BFQ, leave `io_weight` out, \
             or let the agent run without it: without = [\"io\"] in its profile, or --without io",
        );
    }
    ability
}

fn ability(wall: Wall, facts: &HostFacts) -> Ability {
    let kernel = &facts.kernel;
    match wall {
        Wall::User => namespace(kernel, "user", "a map of one id"),
        Wall::Mount => namespace(kernel, "mnt", "a root of its own"),
        Wall::Pid => namespace(kernel, "pid", "its own processes"),
        Wall::Network => namespace(kernel, "net", "only lo"),
        Wall::Ipc => namespace(kernel, "ipc", "its own queues and shared memory"),
        Wall::Uts => namespace(kernel, "uts", "its own host name"),
        Wall::Cgroup => cgroup(facts),
        Wall::Keyring if kernel.keyrings => Ability::Stands("a new session keyring".to_owned()),
        Wall::Keyring => Ability::NotInKernel("this kernel has no keyrings".to_owned()),
        Wall::Capabilities => Ability::Stands("all sets empty".to_owned()),
        Wall::NoNewPrivs => Ability::Stands("set".to_owned()),
        Wall::Landlock => landlock(kernel),
        Wall::Seccomp if kernel.seccomp => Ability::Stands("default-deny".to_owned()),
        Wall::Seccomp => {
            lacks("this kernel has no seccomp filters", "build it with CONFIG_SECCOMP_FILTER")
        }
        Wall::Rlimits => Ability::Stands("set on every process".to_owned()),
        Wall::Descriptors => Ability::Stands("all others closed".to_owned()),
        Wall::NestedNamespaces if kernel.max_user_namespaces => {
            Ability::Stands("user.max_user_namespaces = 0".to_owned())
        }
        Wall::NestedNamespaces => Ability::NotInKernel("exists since Linux 4.9".to_owned()),
        Wall::MemfdExec if kernel.memfd_noexec => Ability::Stands("vm.memfd_noexec = 2".to_owned()),
        Wall::MemfdExec => Ability::NotInKernel("exists since Linux 6.3".to_owned()),
        Wall::Memory | Wall::Tasks | Wall::Cpu | Wall::Io => limit(wall, facts),
        Wall::Disk => disk::ability(facts),
    }
}

fn lacks(reason: &str, cure: &str) -> Ability {
    Ability::Lacks { reason: reason.to_owned(), cure: cure.to_owned() }
}

fn namespace(kernel: &Kernel, name: &str, how: &str) -> Ability {
    if kernel.namespaces.contains(name) {
        return Ability::Stands(how.to_owned());
    }
    lacks(&format!("this kernel has no {name} namespaces"), "use a kernel that has all namespaces")
}

fn landlock(kernel: &Kernel) -> Ability {
    match kernel.landlock_abi {
        Some(abi) => Ability::Stands(format!("ABI {abi}")),
        None => lacks(
            "Landlock is missing or switched off",
            "use Linux 5.13 or later and put `landlock` into the boot parameter lsm=",
        ),
    }
}

fn cgroup(facts: &HostFacts) -> Ability {
    match &facts.cgroups.mount {
        Some(mount) => Ability::Stands(format!("below {}", mount.display())),
        None => lacks("cgroup v2 is not mounted", "mount -t cgroup2 none /sys/fs/cgroup"),
    }
}

fn limit(wall: Wall, facts: &HostFacts) -> Ability {
    let Some(controller) = limits::controller(wall) else {
        return Ability::NotInKernel(String::new());
    };
    let cgroups = &facts.cgroups;
    if cgroups.controllers.contains(controller) {
        return Ability::Stands(format!("cgroup v2 controller {controller}"));
    }
    let v1_name = if controller == "io" { "blkio" } else { controller };
    let cure = format!(
        "boot with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1), or let the agent run without \
         it: without = [\"{wall}\"] in its profile, or --without {wall}"
    );
    if cgroups.held_by_v1.contains(v1_name) {
        return Ability::Lacks {
            reason: format!(
                "cgroup v2 has no `{controller}` controller here: a version 1 hierarchy holds it"
            ),
            cure,
        };
    }
    Ability::Lacks { reason: format!("cgroup v2 has no `{controller}` controller here"), cure }
}

/// The pid namespace and the cgroup each see to it that nothing outlives the jail: one must stand.
fn check_end(request: &Request, problems: &mut Problems) {
    let both = [Wall::Pid, Wall::Cgroup].map(|wall| named(wall, &request.without));
    if let [Some(pid), Some(_)] = both {
        problems.push(pid.problem(
            "takes away `pid` and `cgroup`, without which nothing ends what the agent leaves behind",
            "leave one of the two",
        ));
    }
}

/// A wall whose footing was taken away does not stand; what the kernel would refuse is a problem.
fn check_needs(walls: &mut [WallPlan], request: &Request, problems: &mut Problems) {
    for (wall, footing, why) in NEEDS {
        let state_of = |walls: &[WallPlan], wall: Wall| {
            walls.iter().find(|plan| plan.wall == wall).map(|plan| plan.state.clone())
        };
        let gone = state_of(walls, *footing);
        let gone = matches!(gone, Some(WallState::Without(_) | WallState::CannotStand(_)));
        if !gone || !matches!(state_of(walls, *wall), Some(WallState::Stands(_))) {
            continue;
        }
        if *footing == Wall::NoNewPrivs {
            problems.0.extend(named(*footing, &request.without).map(|named| {
                let cause =
                    format!("takes away `{footing}`, without which `{wall}` cannot stand: {why}");
                named
                    .problem(cause, format!("take away both: --without {footing} --without {wall}"))
            }));
        } else if let Some(plan) = walls.iter_mut().find(|plan| plan.wall == *wall) {
            plan.state = WallState::Without(needs(*footing, why));
        }
    }
}
