//! From profile, facts and request to a plan.

use super::filter::Filter;
use super::mounts::Layout;
use super::refusal::PlanError;
use super::request::{Mode, Request};
use super::tree::Paths;
use super::types::{Plan, SeccompPlan, WallState};
use super::{command, environ, identity, landlock, limits, mounts, terminal, walls, workspace};
use crate::document::{Located, Problems};
use crate::host::{HostFacts, PathAnswer};
use crate::profile::{Profile, Wall};
use std::collections::BTreeSet;

/// Below `/proc`: what tells about or reaches into the kernel, and belongs to no process.
const PROC_MASKS: &[&str] = &[
    "acpi",
    "asound",
    "bus",
    "config.gz",
    "driver",
    "dynamic_debug",
    "fs",
    "interrupts",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "modules",
    "pressure",
    "sched_debug",
    "schedstat",
    "scsi",
    "slabinfo",
    "sysrq-trigger",
    "sysvipc",
    "timer_list",
    "vmallocinfo",
];

/// Decides every value of the jail.
///
/// # Errors
/// [`PlanError`]: all problems and all walls that cannot stand, or a command that is not there.
pub fn resolve(
    profile: &Profile,
    request: &Request,
    facts: &HostFacts,
    filter: Filter,
) -> Result<Plan, PlanError> {
    let mut problems = Problems::default();
    let workspace = workspace::directory(profile, request, &facts.caller);
    check_workspace(workspace.as_ref(), facts, &mut problems);
    let (walls, refusals) = walls::resolve(profile, request, facts, &mut problems);
    let standing: BTreeSet<Wall> = walls
        .iter()
        .filter(|plan| matches!(plan.state, WallState::Stands(_)))
        .map(|plan| plan.wall)
        .collect();
    let identity = identity::resolve(profile, request, facts, &mut problems);
    let paths = Paths::new(profile, &facts.caller);
    let trees = mounts::host_trees(profile, &paths, workspace);
    let layout = mounts::resolve(profile, request, &identity, &trees, facts, &mut problems);
    refuse(problems, refusals)?;
    let mut command = command::resolve(profile, request, &trees, facts)?;
    let own_root = standing.contains(&Wall::Mount);
    if !own_root {
        "/".clone_into(&mut command.workdir);
    }
    let terminal = match request.mode {
        Mode::Run => Some(terminal::resolve(profile, command::tmux(profile, &trees, facts)?)),
        Mode::Exec => None,
    };
    let Layout { mounts, masks } = layout;
    let abi = facts.kernel.landlock_abi.unwrap_or(0);
    Ok(Plan {
        agent: request.agent.to_string(),
        profile: profile.name.clone(),
        mode: request.mode,
        environment: environ::resolve(profile, &identity, &paths, facts),
        landlock: landlock::resolve(abi, &mounts, own_root, profile.network.value),
        network: profile.network.value,
        seccomp: seccomp(profile, filter),
        cgroup: limits::cgroup(profile, facts, &mounts, &standing),
        rlimits: limits::rlimits(profile, &standing),
        memory_watch: memory_watch(profile, &standing),
        proc_masks: PROC_MASKS.to_vec(),
        identity,
        command,
        walls,
        mounts,
        masks,
        terminal,
    })
}

fn check_workspace(
    workspace: Option<&Located<String>>,
    facts: &HostFacts,
    problems: &mut Problems,
) {
    let Some(directory) = workspace else { return };
    if let Some(PathAnswer::Found(fact)) = facts.paths.get(&directory.value) {
        problems.0.extend(workspace::objection(directory, fact, &facts.caller));
    }
}

fn refuse(problems: Problems, refusals: Vec<super::Refusal>) -> Result<(), PlanError> {
    if !refusals.is_empty() {
        return Err(PlanError::Refused(refusals, problems));
    }
    problems.into_result(()).map_err(PlanError::Problems)
}

fn seccomp(profile: &Profile, filter: Filter) -> SeccompPlan {
    SeccompPlan {
        policy: profile.seccomp.value.clone(),
        origin: profile.seccomp.place.to_string(),
        allowed: filter.allowed,
        program: filter.program,
    }
}

/// The watch stands in where a memory limit is set and its controller does not enforce it.
fn memory_watch(profile: &Profile, standing: &BTreeSet<Wall>) -> Option<u64> {
    let limit = profile.limits.memory.as_ref()?;
    (!standing.contains(&Wall::Memory)).then_some(limit.value.0)
}
