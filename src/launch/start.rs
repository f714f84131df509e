//! Performs the plan: parent's steps, clone, child's steps, read-back, start.

use super::cgroup::Location;
use super::error::{LaunchError, cannot, cannot_io};
use super::gate::{Gate, GateBorn};
use super::jail::Jail;
use super::record::{self, Record};
use super::stubs::Stub;
use super::tree::Listeners;
use super::user_namespace::OneId;
use super::{
    book, confirm, disk, orders, outlines, program, pts, secrets, stubs, tree, user_namespace,
};
use crate::host::text;
use crate::jail::protocol::Order;
use crate::jail::{Inside, StepError, Terminal, perform};
use crate::limits::read::{Kept, KeptDisk};
use crate::plan::{Mask, MaskKind, Mode, Mount, Phase, Plan, RlimitName, Source, Step, steps};
use crate::policy::seccomp::Program;
use crate::profile::Wall;
use crate::sys::{self, CloneFlags, Cloned};
use crate::terminal::mode::Mode as Typing;
use crate::terminal::size::Size;
use crate::wire;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::Mode as FileMode;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What becomes of the standard descriptors.
#[derive(Clone, Copy, Debug)]
pub enum Standard {
    /// The command gets the caller's.
    Inherit,
    /// A terminal of the jail, of this size, takes the place of some of them.
    Terminal {
        /// Which of 0, 1 and 2.
        replaces: [bool; 3],
        /// Its size.
        size: Size,
    },
}

/// How long each step took, in the order of the steps.
pub type Timings = Vec<(String, Duration)>;

/// What the jail of an agent's session is called after the agent's name, in its record and its cgroup.
pub const SESSION: &str = ".run";

/// What the jail of an agent's session is called.
#[must_use]
pub fn session_of(agent: &str) -> String {
    format!("{agent}{SESSION}")
}

/// Makes the jail of `plan` and starts its command.
///
/// The caller must be root and must have no second thread: the child shares its memory until it execs. A caller that
/// ends with the process `with` says so: nobody takes the agent for one that runs when both are gone.
///
/// # Errors
/// [`LaunchError`]; nothing is left behind.
pub fn launch(
    plan: &Plan,
    standard: Standard,
    with: Option<Pid>,
    timings: &mut Timings,
) -> Result<Jail, LaunchError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LaunchError::NotRoot);
    }
    let name = match plan.mode {
        Mode::Run => session_of(&plan.agent),
        Mode::Exec => format!("{}.exec.{}", plan.agent, rustix::process::getpid().as_raw_nonzero()),
    };
    let mut clock = Clock { since: Instant::now(), timings };
    // What is made has the modes of the plan, whatever the caller's mask; the child sets its own.
    let mask = rustix::process::umask(FileMode::empty());
    let made = make(plan, (&name, with), standard, &mut clock);
    rustix::process::umask(mask);
    made
}

/// Makes the jail whose name is `name`; what was made of one that failed is removed again.
fn make(
    plan: &Plan,
    (name, with): (&str, Option<Pid>),
    standard: Standard,
    clock: &mut Clock<'_>,
) -> Result<Jail, LaunchError> {
    let location =
        plan.stands(Wall::Cgroup).then(|| Location::new(&plan.cgroup, &plan.agent, name));
    let record = announce(plan, (name, with), location.as_ref())?;
    clock.lap("record");
    let mut launcher = Launcher {
        plan,
        location,
        record: Some(record),
        cgroup: None,
        gate: None,
        listeners: Listeners::default(),
        child: None,
    };
    let made = launcher.make(standard, clock);
    if made.is_err() {
        launcher.give_up();
    }
    made
}

struct Clock<'t> {
    since: Instant,
    timings: &'t mut Timings,
}

impl Clock<'_> {
    fn lap(&mut self, what: &str) {
        let now = Instant::now();
        self.timings.push((what.to_owned(), now - self.since));
        self.since = now;
    }
}

/// Opens the record, says in it what will be made on the host, and makes what other jails may share.
fn announce(
    plan: &Plan,
    (name, with): (&str, Option<Pid>),
    location: Option<&Location<'_>>,
) -> Result<Record, LaunchError> {
    let all = record::lock()?;
    book::enter(plan, &all)?;
    let mut record = all.open(name, &plan.agent)?;
    let cgroup = location.map(Location::directory);
    // Without a root of its own the jail covers nothing, and a stub would protect nothing.
    let covers = plan.stands(Wall::Mount);
    let stubs = if covers { stubs_of(plan, &all.stubs_of_others(&record)) } else { Vec::new() };
    let disk = disk::bounds(plan);
    let takes_orders = plan.egress.is_some() && plan.mode == Mode::Run;
    let orders = takes_orders.then(|| orders::path(name));
    let announced = disk::refuse_shared(&disk, &all.others(&record)).and_then(|()| {
        record.announce(&all, |made| {
            made.cgroup = cgroup;
            made.stubs = stubs;
            made.disk = disk;
            made.orders = orders;
            made.with = with.map(|pid| pid.as_raw_nonzero().get());
        })
    });
    // Still under the lock: a jail that stands on the same stubs would else put its own into a directory
    // that is not given away yet.
    let made = announced.and_then(|()| record.made().stubs.iter().try_for_each(stubs::make));
    match made {
        Ok(()) => Ok(record),
        Err(error) => {
            drop(all);
            close_or_warn(record);
            Err(error)
        }
    }
}

/// The stubs that the jail stands on: those that it makes, and those of other jails that it found in
/// their place. What is removed on the host loses its protection in every jail, so a stub stays as
/// long as any jail covers it. The caller holds the lock over all records.
fn stubs_of(plan: &Plan, others: &[Stub]) -> Vec<Stub> {
    let stub = |mask: &Mask| match &mask.kind {
        MaskKind::Stub { host, directory } => {
            Some(Stub { path: PathBuf::from(host), directory: *directory })
        }
        MaskKind::Protect | MaskKind::Pin => {
            let stub =
                Stub { path: on_host(plan, &mask.at)?, directory: mask.kind == MaskKind::Pin };
            // One that is gone by now was the stub of a jail that ended in between.
            let gone = || matches!(rustix::fs::lstat(&stub.path), Err(Errno::NOENT));
            (others.contains(&stub) || gone()).then_some(stub)
        }
        MaskKind::Hide { .. } => None,
    };
    plan.masks.iter().filter_map(stub).collect()
}

/// Where the jail's path `at` is on the host, if a tree of the host shows it.
fn on_host(plan: &Plan, at: &str) -> Option<PathBuf> {
    let shows = |mount: &&Mount| Path::new(at).starts_with(&mount.at);
    let mount = plan.mounts.iter().filter(shows).max_by_key(|mount| mount.at.len())?;
    let Source::Host { path, .. } = &mount.source else { return None };
    Some(Path::new(path).join(Path::new(at).strip_prefix(&mount.at).ok()?))
}

fn close_or_warn(record: Record) {
    if let Err(error) = record.close() {
        tracing::warn!(%error, "the next launch will remove it");
    }
}

/// A launch on its way.
struct Launcher<'p> {
    plan: &'p Plan,
    record: Option<Record>,
    location: Option<Location<'p>>,
    cgroup: Option<OwnedFd>,
    gate: Option<Gate>,
    /// Sockets in the jail's own trees.
    listeners: Listeners,
    child: Option<Cloned>,
}

/// What the child tells by memory: the step it was at, how long each took, and what failed.
#[derive(Default)]
struct Outcome {
    at: usize,
    error: Option<StepError>,
    laps: Vec<Instant>,
}

impl<'p> Launcher<'p> {
    fn make(&mut self, standard: Standard, clock: &mut Clock<'_>) -> Result<Jail, LaunchError> {
        let plan = self.plan;
        let program = program::open()?;
        let (control, inner) = wire::pair().map_err(cannot("make", "the control socket"))?;
        let me = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
            .map_err(cannot("open", "a descriptor of this process"))?;
        let anchor = Path::new(super::RUN).display().to_string();
        let mut inside = Inside::new(plan, me.as_fd(), program.as_fd(), inner.as_fd(), &anchor);
        inside.environment = secrets::environment(plan)?;
        inside.arguments = program::arguments(plan, &inner)?;
        inside.filter = plan.seccomp.program.to_sock_filters();
        inside.told = plan.seccomp.told.as_ref().map(Program::to_sock_filters).unwrap_or_default();
        clock.lap("prepare");
        let steps = steps(plan);
        let (before, steps): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| step.phase() == Phase::Parent);
        let (last, after): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| step.phase() == Phase::Opening);
        let mut namespaces = CloneFlags::default();
        for step in &before {
            self.perform(step, &mut inside, &mut namespaces)?;
            clock.lap(&step.told(plan).to_string());
        }
        let master = open_terminal(standard, &mut inside)?;
        self.child(&after, &mut inside, namespaces, clock)?;
        drop(inside);
        drop(inner);
        let child = self.child.as_ref().ok_or_else(no_child)?;
        let pid = child.pid.as_raw_nonzero().get();
        level_oom_score(pid)?;
        confirm::confirm(pid, plan, self.location.as_ref().map(Location::path).as_deref())?;
        clock.lap("confirm");
        for step in &last {
            self.finish_with(step, pid)?;
            clock.lap(&step.told(plan).to_string());
        }
        let kept = self.kept(pid);
        let gate = self.gate_born();
        let record = self.record.as_mut().ok_or_else(no_child)?;
        record.announce(&record::lock_alone()?, |made| {
            (made.kept, made.gate) = (Some(kept), gate);
        })?;
        clock.lap("record the jail");
        wire::say(&control, &Order::Start).map_err(cannot("tell", "init to start"))?;
        // The command starts meanwhile.
        outlines::write(self.record.as_ref().map(Record::name).unwrap_or_default(), plan)?;
        clock.lap("keep the outline");
        self.finish(control, master)
    }

    /// What must be known to keep the jail's gate.
    fn gate_born(&self) -> Option<GateBorn> {
        let (gate, egress) = (self.gate.as_ref()?, self.plan.egress.as_ref()?);
        let (listens, rules) = (egress.listens, egress.rules.clone());
        Some(GateBorn { kept: gate.kept(), listens, rules })
    }

    fn location(&self) -> Result<&Location<'p>, LaunchError> {
        self.location.as_ref().ok_or_else(no_child)
    }

    /// What must be known to read the figures of the jail whose init is `init`.
    fn kept(&self, init: i32) -> Kept {
        let plan = self.plan;
        let rlimit = |name: RlimitName| {
            plan.rlimits.iter().find(|limit| limit.resource == name).map(|limit| limit.value)
        };
        let own_root = plan.stands(Wall::Mount);
        let mounts = plan.mounts.iter().filter(|_| own_root);
        let in_memory = |mount: &&Mount| matches!(mount.source, Source::Memory { agent: true, .. });
        let terminals = |mount: &Mount| match mount.source {
            Source::Pts { max } => Some(u64::from(max)),
            Source::Host { .. } | Source::Memory { .. } | Source::Proc => None,
        };
        let disks = self.record.iter().flat_map(|record| &record.made().disk);
        Kept {
            agent: plan.agent.clone(),
            log: PathBuf::from(&plan.log),
            profile: plan.profile.clone(),
            init,
            uid: plan.identity.uid,
            session: plan.mode == Mode::Run,
            cgroup: self.location.as_ref().map(Location::directory),
            cgroup_path: self.location.as_ref().map(Location::path).unwrap_or_default(),
            trees: mounts.clone().filter(in_memory).map(|mount| mount.at.clone()).collect(),
            disks: disks
                .map(|bound| KeptDisk { trees: bound.trees.clone(), project: bound.project })
                .collect(),
            terminals: mounts.clone().find_map(terminals),
            open_files: rlimit(RlimitName::OpenFiles),
            rlimit_tasks: rlimit(RlimitName::Processes),
            memory_watch: plan.memory_watch,
            jobs: plan.jobs.as_ref().map(|jobs| jobs.rules.clone()).unwrap_or_default(),
            jobs_opener: plan.terminal.as_ref().map(|terminal| terminal.shim.uid),
            watch: plan.watch.as_ref().map(|watch| watch.rules.clone()).unwrap_or_default(),
        }
    }

    /// Performs a step of the parent.
    fn perform(
        &mut self,
        step: &Step,
        inside: &mut Inside<'_>,
        namespaces: &mut CloneFlags,
    ) -> Result<(), LaunchError> {
        let identity = &self.plan.identity;
        match step {
            Step::EnterScope => self.location()?.enter_scope(&self.plan.agent)?,
            Step::HoldCeiling => self.location()?.hold_ceiling()?,
            Step::MakeCgroup => self.cgroup = Some(self.location()?.make()?),
            Step::HoldUserNamespace => {
                let same = |id| OneId { inside: id, outside: id };
                let made = user_namespace::make(same(identity.uid), same(identity.gid))?;
                inside.user_namespace = Some(made);
            }
            Step::BoundDisk(index) => {
                let announced = self.record.as_ref().and_then(|r| r.made().disk.get(*index));
                disk::make(announced.ok_or_else(no_child)?)?;
            }
            Step::MakeTree(index) => {
                let mount = &self.plan.mounts[*index];
                let made = tree::make(mount, identity, &mut self.listeners)?;
                inside.trees.resize_with(self.plan.mounts.len(), || None);
                inside.trees[*index] = Some(made);
            }
            Step::StartGate => {
                self.gate = Some(Gate::start(self.plan, inside.program)?);
            }
            Step::Clone(names) => *namespaces = flags(names),
            Step::DieWithLauncher
            | Step::EnterCgroupNamespace
            | Step::PrivatizeMounts
            | Step::Attach(_)
            | Step::MountProc
            | Step::Cover(_)
            | Step::PivotRoot
            | Step::ForbidMemfdExec
            | Step::RaiseLoopback
            | Step::SetHostname
            | Step::SetRlimits
            | Step::BuildRuleset
            | Step::CloseDescriptors
            | Step::SetGroups
            | Step::EnterUserNamespace
            | Step::ForbidUserNamespaces
            | Step::DropBounding
            | Step::SetIds
            | Step::JoinKeyring
            | Step::DropCapabilities
            | Step::SetNoNewPrivs
            | Step::EnterWorkdir
            | Step::RestrictLandlock
            | Step::InstallSeccomp
            | Step::LogRefusals
            | Step::ExecInit
            | Step::OpenGate => {
                return Err(LaunchError::Unusable(format!("{step:?} is not a step of the parent")));
            }
        }
        Ok(())
    }

    /// Performs a step that comes when the child has become init, `pid`.
    fn finish_with(&mut self, step: &Step, pid: i32) -> Result<(), LaunchError> {
        match (step, &mut self.gate, &self.plan.egress) {
            (Step::OpenGate, Some(gate), Some(egress)) => {
                gate.open(pid, egress, std::mem::take(&mut self.listeners.gate))
            }
            (_, _, _) => Err(LaunchError::Unusable(format!("{step:?} is not a last step"))),
        }
    }

    /// Lets the child do the rest; it has become init when this returns without an error.
    fn child(
        &mut self,
        steps: &[Step],
        inside: &mut Inside<'_>,
        namespaces: CloneFlags,
        clock: &mut Clock<'_>,
    ) -> Result<(), LaunchError> {
        let mut outcome = Outcome { laps: Vec::with_capacity(steps.len()), ..Outcome::default() };
        let (record, program) = (&mut self.record, inside.program);
        let mut child = || {
            if let Some(Err(errno)) = record.as_mut().map(|record| record.leave_to_parent(program))
            {
                outcome.error =
                    Some(StepError { verb: "leave", object: "the record".into(), errno });
                return 1;
            }
            for (index, step) in steps.iter().enumerate() {
                outcome.at = index;
                if let Err(error) = perform(step, inside) {
                    outcome.error = Some(error);
                    return 1;
                }
                outcome.laps.push(Instant::now());
            }
            1
        };
        let cgroup = self.cgroup.as_ref().map(OwnedFd::as_fd);
        let cloned = sys::clone_into(namespaces, cgroup, &mut child);
        inside.forget_childs_own();
        self.child = Some(cloned.map_err(cannot("make", "the process of the jail"))?);
        for (step, lap) in steps.iter().zip(&outcome.laps) {
            let what = step.told(self.plan).to_string();
            clock.timings.push((what, lap.saturating_duration_since(clock.since)));
            clock.since = *lap;
        }
        clock.lap("exec init");
        self.judge(steps, outcome)
    }

    fn judge(&mut self, steps: &[Step], outcome: Outcome) -> Result<(), LaunchError> {
        let step = steps.get(outcome.at).map(|step| step.told(self.plan).to_string());
        let step = step.unwrap_or_default();
        if let Some(error) = outcome.error {
            return Err(LaunchError::Step { step, error });
        }
        if outcome.at + 1 < steps.len() {
            return Err(LaunchError::Died { how: "a signal".to_owned(), step });
        }
        Ok(())
    }

    fn finish(&mut self, control: OwnedFd, master: Option<OwnedFd>) -> Result<Jail, LaunchError> {
        let child = self.child.take().ok_or_else(no_child)?;
        let record = self.record.take().ok_or_else(no_child)?;
        Ok(Jail {
            process: child,
            control: control.into(),
            master,
            door: self.listeners.door.take(),
            gate: self.gate.take(),
            record: Some(record),
            silent: Cell::new(false),
        })
    }

    /// Ends what was begun and removes what was made.
    fn give_up(&mut self) {
        if let Some(child) = self.child.take() {
            let killed =
                rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
            let reaped = rustix::process::waitpid(Some(child.pid), WaitOptions::empty());
            if let (Err(errno), _) | (_, Err(errno)) = (killed, reaped) {
                tracing::debug!(%errno, "the child had ended already");
            }
        }
        if let Some(record) = self.record.take() {
            close_or_warn(record);
        }
    }
}

/// An agent that inherits a score below zero from its launcher would outlive the host's own services
/// when memory runs out.
fn level_oom_score(init: i32) -> Result<(), LaunchError> {
    let file = format!("/proc/{init}/oom_score_adj");
    let score = text::read(&file).map_err(cannot("read", &file))?;
    if score.trim().starts_with('-') {
        std::fs::write(&file, "0").map_err(cannot_io("write", &file))?;
    }
    Ok(())
}

fn no_child() -> LaunchError {
    LaunchError::Unusable("the launch lost track of its own steps".to_owned())
}

/// `CLONE_NEW*` for the namespaces by name (namespaces(7)).
fn flags(names: &[&str]) -> CloneFlags {
    let flag = |name: &&str| match *name {
        "mnt" => libc::CLONE_NEWNS,
        "pid" => libc::CLONE_NEWPID,
        "net" => libc::CLONE_NEWNET,
        "ipc" => libc::CLONE_NEWIPC,
        "uts" => libc::CLONE_NEWUTS,
        _ => 0,
    };
    CloneFlags(names.iter().map(flag).fold(0, |all, one| all | u64::from(one.cast_unsigned())))
}

/// Opens a terminal of the jail, if there is to be one, before the instance is attached.
fn open_terminal(
    standard: Standard,
    inside: &mut Inside<'_>,
) -> Result<Option<OwnedFd>, LaunchError> {
    let Standard::Terminal { replaces, size } = standard else { return Ok(None) };
    let pts = |mount: &crate::plan::Mount| matches!(mount.source, Source::Pts { .. });
    let index = inside.plan.mounts.iter().position(pts);
    let made = index.and_then(|index| inside.trees.get(index).and_then(Option::as_ref));
    let identity = &inside.plan.identity;
    let typing = Typing::of(replaces);
    let (master, slave) = match made {
        Some(tree) => pts::open_for(tree, size, typing)?,
        // Without a root of its own the jail still gets terminals that nobody else has.
        None => pts::open_for(&pts::make(16, identity)?, size, typing)?,
    };
    inside.terminal = Some(Terminal { slave, replaces });
    Ok(Some(master))
}
