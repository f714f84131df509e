//! The steps of a launch, in their order.
//!
//! The order is the security of it, so it stands here as data: what is printed by `explain` is what
//! `launch` (before the clone) and `jail` (after it) perform. A wall that does not stand leaves its
//! steps out, and nothing else changes.

use super::types::{Limit, MaskKind, Parent, Plan, Source};
use crate::document::one_line;
use crate::profile::Wall;
use crate::profile::types::{Bytes, Network};
use std::fmt;

/// Who performs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The parent, before the child exists: as root of the host, with no agent's process alive.
    Parent,
    /// The child, as root of the host in its own namespaces.
    Privileged,
    /// The child, in its user namespace, on its way to the agent's ids.
    Confined,
    /// The parent, when the child has become init, which still waits to be told to start.
    Opening,
}

/// One privileged action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Has systemd make a scope for this process, below which the agent's cgroup will be.
    EnterScope,
    /// Sees to it that the slice of all agents has its ceiling.
    HoldCeiling,
    /// Makes the agent's cgroup with its limits.
    MakeCgroup,
    /// Makes the user namespace that the jail will enter last, with a map of one id.
    HoldUserNamespace,
    /// Gives the trees of the bound with this index to the agent's project, and the project its limit.
    BoundDisk(usize),
    /// Makes the mount with this index, attached to nothing.
    MakeTree(usize),
    /// Starts the gate, which gives up every right and waits.
    StartGate,
    /// Makes the child in its namespaces, born in its cgroup.
    Clone(Vec<&'static str>),
    /// Dies when the launcher dies, also if that was a moment ago.
    DieWithLauncher,
    /// The cgroup it was born in becomes the root of what it sees.
    EnterCgroupNamespace,
    /// Nothing mounted later outside appears inside, nor the other way round.
    PrivatizeMounts,
    /// Attaches the mount with this index.
    Attach(usize),
    /// Mounts the jail's own `/proc`, read-only, and covers what is not about its processes.
    MountProc,
    /// Hides or protects the mask with this index.
    Cover(usize),
    /// The new root becomes `/`; the old one is gone.
    PivotRoot,
    /// No program is run from memory.
    ForbidMemfdExec,
    /// `lo` is up.
    RaiseLoopback,
    /// The host name.
    SetHostname,
    /// Builds the Landlock ruleset, while every path can still be opened.
    BuildRuleset,
    /// Every other descriptor ends with exec.
    CloseDescriptors,
    /// No groups but the profile's.
    SetGroups,
    /// The user namespace, in which no id but the agent's exists.
    EnterUserNamespace,
    /// No user namespace below it.
    ForbidUserNamespaces,
    /// The agent's uid and gid, for good.
    SetIds,
    /// No keys of the caller.
    JoinKeyring,
    /// No capability can come back: the bounding set is empty, the securebits are locked.
    DropBounding,
    /// No capability in any set.
    DropCapabilities,
    /// No privilege by exec.
    SetNoNewPrivs,
    /// Where the command starts, reached with the agent's own rights.
    EnterWorkdir,
    /// The ruleset binds.
    RestrictLandlock,
    /// Limits of each process.
    SetRlimits,
    /// The filter binds.
    InstallSeccomp,
    /// What the filter refuses and programs do not expect is recorded from here on.
    LogRefusals,
    /// PID 1 of the jail: the same binary, with memory of its own.
    ExecInit,
    /// In the jail's network: the addresses of its names, and the sockets that the gate listens on.
    OpenGate,
}

/// All steps of `plan`.
#[must_use]
pub fn steps(plan: &Plan) -> Vec<Step> {
    let mut steps = Vec::new();
    before_clone(plan, &mut steps);
    file_system(plan, &mut steps);
    privileged(plan, &mut steps);
    confined(plan, &mut steps);
    // Last, and before anything of the agent runs: init waits for the launcher's word.
    push_if(&mut steps, plan.egress.is_some(), Step::OpenGate);
    steps
}

fn before_clone(plan: &Plan, steps: &mut Vec<Step>) {
    let cgroup = plan.stands(Wall::Cgroup);
    push_if(steps, cgroup && plan.cgroup.parent == Parent::Scope, Step::EnterScope);
    // After the scope: systemd makes the slice with the first unit in it.
    push_if(steps, cgroup && !plan.cgroup.ceiling.is_empty(), Step::HoldCeiling);
    push_if(steps, cgroup, Step::MakeCgroup);
    push_if(steps, plan.stands(Wall::User), Step::HoldUserNamespace);
    // Before anybody can write: what is made later belongs to the project by inheritance.
    steps.extend((0..plan.disk.bounds.len()).map(Step::BoundDisk));
    if plan.stands(Wall::Mount) {
        let made = |mount: &super::Mount| !matches!(mount.source, Source::Proc);
        let indices = (0..plan.mounts.len()).filter(|index| made(&plan.mounts[*index]));
        steps.extend(indices.map(Step::MakeTree));
    }
    // Before the jail exists: the gate inherits nothing of it.
    push_if(steps, plan.egress.is_some(), Step::StartGate);
    steps.push(Step::Clone(namespaces(plan)));
    // First of all in the child: from here on the launcher may be killed at any moment.
    steps.push(Step::DieWithLauncher);
}

/// The namespaces made with the child. The cgroup namespace is entered afterwards: its root is the
/// cgroup of who makes it, and that must be the child. The user namespace comes last.
fn namespaces(plan: &Plan) -> Vec<&'static str> {
    let all = [
        (Wall::Mount, "mnt"),
        (Wall::Pid, "pid"),
        (Wall::Network, "net"),
        (Wall::Ipc, "ipc"),
        (Wall::Uts, "uts"),
    ];
    all.into_iter().filter(|(wall, _)| plan.stands(*wall)).map(|(_, name)| name).collect()
}

fn file_system(plan: &Plan, steps: &mut Vec<Step>) {
    push_if(steps, plan.stands(Wall::Cgroup), Step::EnterCgroupNamespace);
    if !plan.stands(Wall::Mount) {
        return;
    }
    // Before the first mount: a shared parent would show the host what the jail mounts.
    steps.push(Step::PrivatizeMounts);
    // Parents before children: the list is sorted by path.
    for (index, mount) in plan.mounts.iter().enumerate() {
        steps.push(match mount.source {
            Source::Proc => Step::MountProc,
            Source::Host { .. } | Source::Memory { .. } | Source::Pts { .. } => Step::Attach(index),
        });
    }
    // After all mounts: a mount made later would uncover what is covered.
    steps.extend((0..plan.masks.len()).map(Step::Cover));
    steps.push(Step::PivotRoot);
}

fn privileged(plan: &Plan, steps: &mut Vec<Step>) {
    // While it still has power over its pid namespace.
    push_if(steps, plan.stands(Wall::MemfdExec), Step::ForbidMemfdExec);
    let loopback = plan.stands(Wall::Network)
        && matches!(plan.network, Network::Loopback | Network::Allowlist);
    push_if(steps, loopback, Step::RaiseLoopback);
    push_if(steps, plan.stands(Wall::Uts), Step::SetHostname);
    push_if(steps, plan.stands(Wall::Landlock), Step::BuildRuleset);
    push_if(steps, plan.stands(Wall::Descriptors), Step::CloseDescriptors);
    // Before the user namespace: in it no group can be set any more.
    steps.push(Step::SetGroups);
}

fn confined(plan: &Plan, steps: &mut Vec<Step>) {
    push_if(steps, plan.stands(Wall::User), Step::EnterUserNamespace);
    // Before the ids: the setting needs a capability in the new namespace.
    push_if(steps, plan.stands(Wall::NestedNamespaces), Step::ForbidUserNamespaces);
    // Before the ids: without a user namespace the capability for it goes with uid 0.
    push_if(steps, plan.stands(Wall::Capabilities), Step::DropBounding);
    steps.push(Step::SetIds);
    // After the ids: the keyring belongs to who joins it.
    push_if(steps, plan.stands(Wall::Keyring), Step::JoinKeyring);
    push_if(steps, plan.stands(Wall::Capabilities), Step::DropCapabilities);
    push_if(steps, plan.stands(Wall::NoNewPrivs), Step::SetNoNewPrivs);
    steps.push(Step::EnterWorkdir);
    push_if(steps, plan.stands(Wall::Landlock), Step::RestrictLandlock);
    // After all that opens anything: the limit of descriptors is the agent's, and the descriptors
    // that stay open until init's start are the launcher's.
    push_if(steps, plan.stands(Wall::Rlimits), Step::SetRlimits);
    // Last: the filter refuses most of the calls made above.
    push_if(steps, plan.stands(Wall::Seccomp), Step::InstallSeccomp);
    // Second: of two filters that refuse, the kernel acts on the newer one, and that one is recorded.
    let logged = plan.stands(Wall::Seccomp) && plan.seccomp.told.is_some();
    push_if(steps, logged, Step::LogRefusals);
    steps.push(Step::ExecInit);
}

fn push_if(steps: &mut Vec<Step>, condition: bool, step: Step) {
    if condition {
        steps.push(step);
    }
}

impl Step {
    /// Who performs it.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::EnterScope
            | Self::HoldCeiling
            | Self::MakeCgroup
            | Self::HoldUserNamespace
            | Self::BoundDisk(_)
            | Self::MakeTree(_)
            | Self::StartGate
            | Self::Clone(_) => Phase::Parent,
            Self::DieWithLauncher
            | Self::EnterCgroupNamespace
            | Self::PrivatizeMounts
            | Self::Attach(_)
            | Self::MountProc
            | Self::Cover(_)
            | Self::PivotRoot
            | Self::ForbidMemfdExec
            | Self::RaiseLoopback
            | Self::SetHostname
            | Self::BuildRuleset
            | Self::CloseDescriptors
            | Self::SetGroups => Phase::Privileged,
            Self::EnterUserNamespace
            | Self::ForbidUserNamespaces
            | Self::SetIds
            | Self::JoinKeyring
            | Self::DropBounding
            | Self::DropCapabilities
            | Self::SetNoNewPrivs
            | Self::EnterWorkdir
            | Self::RestrictLandlock
            | Self::SetRlimits
            | Self::InstallSeccomp
            | Self::LogRefusals
            | Self::ExecInit => Phase::Confined,
            Self::OpenGate => Phase::Opening,
        }
    }

    /// The step in words, with the values of `plan`.
    #[must_use]
    pub fn told<'a>(&'a self, plan: &'a Plan) -> Told<'a> {
        Told { step: self, plan }
    }
}

/// A step to be printed.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    step: &'a Step,
    plan: &'a Plan,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, plan } = self;
        let Plan { identity, .. } = plan;
        match step {
            Step::EnterScope => write!(f, "enter a scope of systemd's in {}", plan.cgroup.slice),
            Step::HoldCeiling => tell_ceiling(f, plan),
            Step::MakeCgroup => tell_cgroup(f, plan),
            Step::HoldUserNamespace => {
                write!(f, "make a user namespace in which only uid {} exists", identity.uid)
            }
            Step::BoundDisk(index) => tell_bound(f, plan, *index),
            Step::MakeTree(index) => {
                write!(f, "make the tree for {}", one_line(&plan.mounts[*index].at))
            }
            Step::Clone(names) => {
                write!(f, "clone into the cgroup and new {} namespaces", names.join(", "))
            }
            Step::StartGate => {
                let uid = plan.egress.as_ref().map_or(0, |egress| egress.gate.uid);
                write!(f, "start the gate as uid {uid}, behind walls of its own")
            }
            Step::DieWithLauncher => f.write_str("die with the launcher"),
            Step::EnterCgroupNamespace => f.write_str("enter a cgroup namespace"),
            Step::PrivatizeMounts => f.write_str("make all mounts private"),
            Step::Attach(index) => tell_attach(f, plan, *index),
            Step::MountProc => {
                write!(f, "mount /proc read-only and cover {} paths in it", plan.proc_masks.len())
            }
            Step::Cover(index) => tell_cover(f, plan, *index),
            Step::PivotRoot => f.write_str("pivot_root, old root gone"),
            Step::ForbidMemfdExec => f.write_str("vm.memfd_noexec = 2"),
            Step::RaiseLoopback => f.write_str("lo up"),
            Step::SetHostname => write!(f, "host name {}", plan.agent),
            Step::BuildRuleset => write!(f, "build {} Landlock rules", plan.landlock.rules.len()),
            Step::CloseDescriptors => f.write_str("close all other descriptors"),
            Step::SetGroups => write!(f, "{} supplementary groups", identity.groups.len()),
            Step::EnterUserNamespace => f.write_str("enter the user namespace"),
            Step::ForbidUserNamespaces => f.write_str("user.max_user_namespaces = 0"),
            Step::SetIds => write!(f, "uid {}, gid {}", identity.uid, identity.gid),
            Step::JoinKeyring => f.write_str("join a new session keyring"),
            Step::DropBounding => f.write_str("empty capability bounding set, locked securebits"),
            Step::DropCapabilities => f.write_str("empty capability sets"),
            Step::SetNoNewPrivs => f.write_str("no_new_privs"),
            Step::EnterWorkdir => write!(f, "go to {}", one_line(&plan.command.workdir)),
            Step::RestrictLandlock => f.write_str("restrict by Landlock"),
            Step::SetRlimits => write!(f, "{} resource limits", plan.rlimits.len()),
            Step::LogRefusals => f.write_str("have the kernel audit what the filter refuses"),
            Step::InstallSeccomp => write!(f, "restrict by the filter `{}`", plan.seccomp.policy),
            Step::ExecInit => f.write_str("exec init"),
            Step::OpenGate => tell_gate(f, plan),
        }
    }
}

fn tell_gate(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    let Some(egress) = &plan.egress else { return Ok(()) };
    let ports: Vec<_> = egress.rules.ports().iter().map(ToString::to_string).collect();
    let names = egress.listens.then(|| format!("names, and ports {}", ports.join(", ")));
    let socket = egress.api.as_ref().map(|api| format!("the socket {}", one_line(&api.socket)));
    let opened: Vec<_> = names.into_iter().chain(socket).collect();
    write!(f, "open the gate: {}", opened.join(", and "))
}

fn tell_bound(f: &mut fmt::Formatter<'_>, plan: &Plan, index: usize) -> fmt::Result {
    let bound = &plan.disk.bounds[index];
    let trees = bound.trees.iter().map(|tree| one_line(tree)).collect::<Vec<_>>().join(", ");
    write!(f, "give {trees} to project {} and limit it to {}", bound.project, Bytes(bound.bytes))
}

fn tell_ceiling(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    write!(f, "hold the ceiling of {}:", plan.cgroup.slice)?;
    let mut separator = "";
    for Limit { file, value, .. } in plan.cgroup.ceiling.iter().filter(|limit| !limit.is_none()) {
        write!(f, "{separator} {file} {value}")?;
        separator = ",";
    }
    if separator.is_empty() { f.write_str(" none") } else { Ok(()) }
}

fn tell_cgroup(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    match &plan.cgroup.parent {
        Parent::Slice => write!(f, "make a cgroup in {}/{}", plan.cgroup.mount, plan.cgroup.slice),
        Parent::Scope => f.write_str("make a cgroup in that scope"),
        Parent::Delegated(path) => write!(f, "make a cgroup in {}{path}", plan.cgroup.mount),
    }
}

fn tell_attach(f: &mut fmt::Formatter<'_>, plan: &Plan, index: usize) -> fmt::Result {
    let mount = &plan.mounts[index];
    write!(f, "attach {} ({})", one_line(&mount.at), if mount.write { "rw" } else { "ro" })
}

fn tell_cover(f: &mut fmt::Formatter<'_>, plan: &Plan, index: usize) -> fmt::Result {
    let mask = &plan.masks[index];
    let verb = match mask.kind {
        MaskKind::Hide { .. } => "hide",
        MaskKind::Protect => "protect",
        MaskKind::Pin => "pin",
        MaskKind::Stub { .. } => "make a stub for and protect",
    };
    write!(f, "{verb} {}", one_line(&mask.at))
}
