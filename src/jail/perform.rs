//! Performs the child's steps, each by the file of its mechanism.

use super::error::{StepError, cannot};
use super::{confine, cover, landlock, mount, settings};
use crate::plan::{Plan, Step};
use ::landlock::RulesetCreated;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::ffi::CString;

/// What the child works with. Made by the parent before the clone; the child shares its memory.
#[derive(Debug)]
pub struct Inside<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// A descriptor of the launcher, which is readable once the launcher is gone.
    pub launcher: BorrowedFd<'a>,
    /// The trees made for the mounts of the plan, by index.
    pub trees: Vec<Option<OwnedFd>>,
    /// A directory of the host on which the new root is attached for a moment.
    pub anchor: &'a str,
    /// The user namespace to enter last.
    pub user_namespace: Option<OwnedFd>,
    /// The program that becomes PID 1.
    pub program: BorrowedFd<'a>,
    /// Its arguments.
    pub arguments: Vec<CString>,
    /// Its environment, which the agent inherits.
    pub environment: Vec<CString>,
    /// Its end of the control socket, the only descriptor above 2 that it keeps.
    pub control: BorrowedFd<'a>,
    /// A terminal of the jail to take the place of those standard descriptors that are one.
    pub terminal: Option<Terminal>,
    /// The filter.
    pub filter: Vec<seccompiler::sock_filter>,
    /// The one by which refusals are recorded.
    pub told: Vec<seccompiler::sock_filter>,
    /// The ruleset, between its building and its use.
    pub(super) ruleset: Option<RulesetCreated>,
    /// A writable view of the jail's `/proc` for its two settings.
    pub(super) settings: Option<OwnedFd>,
}

/// The other end of the pty whose master the launcher holds.
#[derive(Debug)]
pub struct Terminal {
    /// The descriptor.
    pub slave: OwnedFd,
    /// Which of the descriptors 0, 1 and 2 it replaces.
    pub replaces: [bool; 3],
}

/// What the parent hands over; the rest of [`Inside`] is the child's own.
impl<'a> Inside<'a> {
    /// Gathers what the child works with.
    #[must_use]
    pub fn new(
        plan: &'a Plan,
        launcher: BorrowedFd<'a>,
        program: BorrowedFd<'a>,
        control: BorrowedFd<'a>,
        anchor: &'a str,
    ) -> Self {
        Self {
            plan,
            launcher,
            trees: Vec::new(),
            anchor,
            user_namespace: None,
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            control,
            terminal: None,
            filter: Vec::new(),
            told: Vec::new(),
            ruleset: None,
            settings: None,
        }
    }

    /// Lets go, in the parent, of descriptors that the child opened: their numbers mean something only
    /// in the child, whose memory this is too.
    pub fn forget_childs_own(&mut self) {
        std::mem::forget(self.settings.take());
        std::mem::forget(self.ruleset.take());
    }

    /// The root of the jail's file system.
    pub(super) fn root(&self) -> Result<BorrowedFd<'_>, StepError> {
        let root = self.trees.first().and_then(Option::as_ref).map(OwnedFd::as_fd);
        root.ok_or_else(|| cannot("find", "the new root")(Errno::BADF))
    }
}

/// Performs `step` in the child.
///
/// # Errors
/// [`StepError`] with the call that failed; the child must then end.
pub fn perform(step: &Step, inside: &mut Inside<'_>) -> Result<(), StepError> {
    match step {
        Step::EnterScope
        | Step::HoldCeiling
        | Step::MakeCgroup
        | Step::HoldUserNamespace
        | Step::BoundDisk(_)
        | Step::MakeTree(_)
        | Step::StartGate
        | Step::Clone(_)
        | Step::OpenGate => {
            Err(cannot("perform in the child", "a step of the parent")(Errno::INVAL))
        }
        Step::DieWithLauncher => settings::die_with_launcher(inside.launcher),
        Step::EnterCgroupNamespace => settings::enter_cgroup_namespace(),
        Step::PrivatizeMounts => mount::privatize(),
        Step::Attach(index) => mount::attach(inside, *index),
        Step::MountProc => mount::mount_proc(inside),
        Step::Cover(index) => cover::cover(inside, *index),
        Step::PivotRoot => mount::pivot(inside),
        Step::ForbidMemfdExec => settings::forbid_memfd_exec(inside),
        Step::RaiseLoopback => {
            crate::sys::raise_loopback().map_err(cannot("bring up", "the interface lo"))
        }
        Step::SetHostname => settings::set_hostname(&inside.plan.agent),
        Step::BuildRuleset => landlock::build(inside),
        Step::CloseDescriptors => confine::close_descriptors(),
        Step::SetGroups => confine::set_groups(inside.plan),
        Step::EnterUserNamespace => {
            settings::prepare(inside)?;
            confine::enter_user_namespace(inside)
        }
        Step::ForbidUserNamespaces => settings::forbid_user_namespaces(inside),
        Step::DropBounding => confine::drop_bounding(),
        Step::SetIds => confine::set_ids(inside),
        Step::JoinKeyring => {
            crate::sys::join_new_session_keyring().map_err(cannot("join", "a new session keyring"))
        }
        Step::DropCapabilities => confine::drop_capabilities(),
        Step::SetNoNewPrivs => {
            rustix::thread::set_no_new_privs(true).map_err(cannot("set", "no_new_privs"))
        }
        Step::EnterWorkdir => confine::enter_workdir(inside.plan),
        Step::RestrictLandlock => landlock::restrict(inside),
        Step::SetRlimits => settings::set_rlimits(inside.plan),
        Step::LogRefusals => confine::log_refusals(&inside.told),
        Step::InstallSeccomp => confine::install_filter(&inside.filter),
        Step::ExecInit => confine::exec_init(inside),
    }
}
