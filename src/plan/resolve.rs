//! From profile, facts and request to a plan.

use super::mounts::Layout;
use super::policies::Policies;
use super::refusal::{PlanError, Refusal};
use super::request::{Input, Mode, Request};
use super::tree::{HostTree, HostTrees, Paths, below};
use super::types::{
    CommandPlan, EgressPlan, HelperPlan, Identity, JobsPlan, Log, Plan, SeccompPlan, TerminalPlan,
    WallPlan, WallState, WatchPlan,
};
use super::{
    command, disk, egress, environ, identity, landlock, limits, mounts, terminal, walls, workspace,
};
use crate::config::Audit;
use crate::document::{Located, Place, Problem, Problems};
use crate::host::{HostFacts, PathAnswer};
use crate::policy::seccomp::{Arch, Program};
use crate::profile::types::Jobs;
use crate::profile::{Profile, Wall};
use crate::watch::rules::Rule;
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

/// A plan, and what keeps it from being launched here. Walls that cannot stand are planned without.
///
/// `explain` shows it; a [`Plan`] to launch comes out of it only where nothing hinders.
#[derive(Debug)]
#[must_use]
pub struct Draft {
    plan: Plan,
    hindrances: Vec<PlanError>,
}

impl Draft {
    /// The plan as it would be without the walls that cannot stand. Not to be launched.
    #[must_use]
    pub fn preview(&self) -> &Plan {
        &self.plan
    }

    /// What keeps it from being launched here.
    #[must_use]
    pub fn hindrances(&self) -> &[PlanError] {
        &self.hindrances
    }

    /// The plan, if nothing hinders.
    ///
    /// # Errors
    /// The first hindrance.
    pub fn into_plan(self) -> Result<Plan, PlanError> {
        match self.hindrances.into_iter().next() {
            Some(hindrance) => Err(hindrance),
            None => Ok(self.plan),
        }
    }

    /// The plan with `words` as its command, which the launcher brings along: whether the jail has the
    /// profile's own does not matter.
    ///
    /// # Errors
    /// The first hindrance.
    pub fn into_plan_with(mut self, words: Vec<String>) -> Result<Plan, PlanError> {
        let own = std::mem::replace(&mut self.plan.command.words, words);
        self.hindrances.retain(|hindrance| match hindrance {
            PlanError::NoCommand { command, .. } | PlanError::CannotRun { command, .. } => {
                own.first() != Some(command)
            }
            PlanError::Problems(_) | PlanError::Refused(..) => true,
        });
        self.into_plan()
    }
}

/// Decides every value of the jail.
///
/// # Errors
/// [`PlanError`]: all problems and all walls that cannot stand, or a command that is not there.
pub fn resolve(
    profile: &Profile,
    request: &Request,
    facts: &HostFacts,
    policies: impl Into<Policies>,
) -> Result<Plan, PlanError> {
    draft(profile, request, facts, policies)?.into_plan()
}

/// As [`resolve`], as far as it can be decided where the host lacks a wall or the command.
///
/// # Errors
/// [`PlanError`]: all problems, with all walls that cannot stand.
pub fn draft(
    profile: &Profile,
    request: &Request,
    facts: &HostFacts,
    policies: impl Into<Policies>,
) -> Result<Draft, PlanError> {
    let input = Input { profile, request, facts };
    let policies = policies.into();
    let mut problems = Problems::default();
    let workspace = workspace(input, &mut problems);
    let (walls, refusals) = walls::resolve(profile, request, facts, &mut problems);
    let identity = identity::resolve(profile, request, facts, &mut problems);
    let paths = Paths::new(profile, &facts.caller);
    let trees = mounts::host_trees(profile, &paths, workspace);
    refuse_own_judge(profile, &policies, &trees, &mut problems);
    let layout = mounts::resolve(input, &identity, &trees, &mut problems);
    refuse_empty_io(profile, facts, &walls, &layout, &mut problems);
    let egress = egress::resolve(input, &policies, &walls, &mut problems);
    let shim = shim(input, &mut problems);
    let mut hindrances = hindered(problems, refusals)?;
    let (command, missing) = command::resolve(profile, request, &trees, facts);
    hindrances.extend(missing);
    let terminal = match request.mode {
        Mode::Run => Some(session((input, shim), &trees, &mut hindrances)),
        Mode::Exec => None,
    };
    let seccomp = seccomp(input, policies.filter);
    let decided = Decided { identity, command, walls, layout, egress, terminal, seccomp };
    Ok(Draft { plan: decided.plan(input, &paths), hindrances })
}

/// What the first half of the planning decided.
struct Decided {
    identity: Identity,
    command: CommandPlan,
    walls: Vec<WallPlan>,
    layout: Layout,
    egress: Option<EgressPlan>,
    terminal: Option<TerminalPlan>,
    seccomp: SeccompPlan,
}

impl Decided {
    /// The rest follows from it.
    fn plan(self, input: Input<'_>, paths: &Paths) -> Plan {
        let Input { profile, request, facts } = input;
        let Self { identity, mut command, walls, layout, egress, terminal, seccomp } = self;
        let Layout { mounts, masks } = layout;
        let standing = standing(&walls);
        let own_root = standing.contains(&Wall::Mount);
        if !own_root {
            "/".clone_into(&mut command.workdir);
        }
        let has_own_program = own_root && facts.own_program.is_some() && request.mode == Mode::Run;
        let audit = request.config.watch.audit.value;
        let abi = facts.kernel.landlock_abi.unwrap_or(0);
        Plan {
            agent: request.agent.to_string(),
            profile: profile.name.clone(),
            mode: request.mode,
            environment: environ::resolve(profile, &identity, paths, facts, has_own_program),
            landlock: landlock::resolve(abi, &mounts, own_root, (profile.network.value, audit)),
            network: profile.network.value,
            egress,
            cgroup: limits::cgroup(input, &mounts, &standing),
            rlimits: limits::rlimits(profile, &standing),
            disk: disk::resolve(input, &identity, &walls, &mounts),
            memory_watch: memory_watch(input, &standing),
            jobs: (request.mode == Mode::Run).then(|| jobs(profile)),
            watch: (request.mode == Mode::Run).then(|| watch(profile, request)),
            proc_masks: PROC_MASKS.to_vec(),
            identity,
            command,
            walls,
            mounts,
            masks,
            seccomp,
            terminal,
            log: request.config.paths.log.value.clone(),
        }
    }
}

fn jobs(profile: &Profile) -> JobsPlan {
    let Jobs { rules, origin } = &profile.jobs;
    JobsPlan { rules: rules.clone(), origin: origin.to_string() }
}

fn watch(profile: &Profile, request: &Request) -> WatchPlan {
    let origins = Rule::ALL.into_iter().map(|rule| (rule.name(), profile.watch.origin(rule)));
    WatchPlan {
        rules: profile.watch.rules.clone(),
        origins: origins.collect(),
        events_per_second: request.config.watch.events_per_second.value,
        audit: request.config.watch.audit.value,
        uids: request.config.uids,
    }
}

fn standing(walls: &[WallPlan]) -> BTreeSet<Wall> {
    let stands = |plan: &&WallPlan| matches!(plan.state, WallState::Stands(_));
    walls.iter().filter(stands).map(|plan| plan.wall).collect()
}

/// The session; a tmux that is not there is a hindrance.
fn session(
    (input, shim): (Input<'_>, HelperPlan),
    trees: &HostTrees,
    hindrances: &mut Vec<PlanError>,
) -> TerminalPlan {
    let tmux = command::tmux(input.profile, trees, input.facts).unwrap_or_else(|missing| {
        hindrances.push(missing);
        "tmux".to_owned()
    });
    terminal::resolve(input, tmux, shim)
}

/// Who keeps the session; only a session is kept by a process that has no rights.
fn shim(input: Input<'_>, problems: &mut Problems) -> HelperPlan {
    if input.request.mode == Mode::Exec {
        return HelperPlan::NOBODY;
    }
    HelperPlan::resolve(&input.facts.shim_uid).unwrap_or_else(|cause| {
        let place = &input.profile.agent.user.place;
        problems.push(Problem::new(place, format!("needs a uid for the shim: {cause}"), ""));
        HelperPlan::NOBODY
    })
}

fn workspace(input: Input<'_>, problems: &mut Problems) -> Option<Located<String>> {
    let Input { profile, request, facts } = input;
    let directory = workspace::directory(profile, request, &facts.caller);
    let directory = directory.map_err(|problem| problems.push(problem)).ok()??;
    if let Some(PathAnswer::Found(fact)) = facts.paths.get(&directory.value) {
        problems.0.extend(workspace::objection(&directory, fact));
    }
    Some(directory)
}

/// An agent must not be able to write what decides over it: not in this run, nor for the next.
fn refuse_own_judge(
    profile: &Profile,
    policies: &Policies,
    trees: &HostTrees,
    problems: &mut Problems,
) {
    for file in profile.files.iter().chain(policies.files()) {
        let holds = |tree: &&HostTree| tree.access.write && below(file, &tree.host).is_some();
        let Some(tree) = trees.0.iter().find(holds) else { continue };
        problems.push(Problem::new(
            &Place::outside(file, ""),
            format!(
                "is inside `{}`, which the agent can write: it could rewrite its own rules",
                tree.host
            ),
            "keep profiles and policies elsewhere, as in ~/.config/cellblock or /etc/cellblock",
        ));
    }
}

/// A limit on disk traffic that names no disk would limit nothing.
fn refuse_empty_io(
    profile: &Profile,
    facts: &HostFacts,
    walls: &[WallPlan],
    layout: &Layout,
    problems: &mut Problems,
) {
    let Some(io) = &profile.limits.io else { return };
    if standing(walls).contains(&Wall::Io) && limits::disks(facts, &layout.mounts).is_empty() {
        problems.push(io.problem(
            "limits nothing: no writable tree of this jail is on a disk that the kernel can limit",
            "leave `io` out, or write to a directory on a file system with a disk of its own",
        ));
    }
}

/// Problems end the planning, as nothing sensible follows from them; refusals only hinder.
fn hindered(problems: Problems, refusals: Vec<Refusal>) -> Result<Vec<PlanError>, PlanError> {
    match (problems.0.is_empty(), refusals.is_empty()) {
        (true, true) => Ok(Vec::new()),
        (true, false) => Ok(vec![PlanError::Refused(refusals, problems)]),
        (false, true) => Err(PlanError::Problems(problems.sorted())),
        (false, false) => Err(PlanError::Refused(refusals, problems.sorted())),
    }
}

fn seccomp(input: Input<'_>, filter: super::Filter) -> SeccompPlan {
    let Input { profile, request, .. } = input;
    let (log, told) = log(request.config.watch.audit.value, &filter.program, filter.told);
    SeccompPlan {
        log,
        told,
        policy: profile.seccomp.value.clone(),
        origin: profile.seccomp.place.to_string(),
        allowed: filter.allowed,
        program: filter.program,
    }
}

/// `SECCOMP_SET_MODE_FILTER` and `SECCOMP_FILTER_FLAG_LOG` (seccomp(2)).
const SET_MODE_FILTER: u64 = 1;
const FLAG_LOG: u64 = 2;

/// The filter by which refusals are recorded is installed by a process that is bound by the first one.
fn log(audit: Audit, program: &Program, told: Option<Program>) -> (Log, Option<Program>) {
    let call = Arch::native().and_then(|arch| Some((arch, arch.number("seccomp")?)));
    let arguments = [SET_MODE_FILTER, FLAG_LOG, 1, 0, 0, 0];
    let may = call.is_some_and(|(arch, number)| program.permits(arch, number, arguments));
    match (audit, told) {
        (Audit::Off, _) => (Log::Off(super::AUDIT_IS_OFF.to_owned()), None),
        (Audit::Read | Audit::Enable, Some(told)) if may => (Log::On, Some(told)),
        (Audit::Read | Audit::Enable, _) => {
            let why = "its policy does not allow `seccomp`, by which that is asked for";
            (Log::Off(why.to_owned()), None)
        }
    }
}

/// The watch stands in where the profile allows the controller to be missing. It looks at the processes
/// of the cgroup, so there must be one; a wall that the command line took away has no stand-in.
fn memory_watch(input: Input<'_>, standing: &BTreeSet<Wall>) -> Option<u64> {
    let limit = input.profile.limits.memory.as_ref()?;
    let taken = input.request.without.iter().any(|named| named.value == Wall::Memory);
    let needed = !standing.contains(&Wall::Memory) && standing.contains(&Wall::Cgroup) && !taken;
    needed.then_some(limit.value.0)
}
