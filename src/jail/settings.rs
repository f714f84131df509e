//! Settings of namespaces and processes.

use super::error::{StepError, cannot};
use super::mount;
use super::perform::Inside;
use crate::plan::{Plan, RlimitName};
use crate::profile::Wall;
use nix::sched::CloneFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal};

/// Dies when the launcher dies (PR_SET_PDEATHSIG(2const)), also if that was before the call.
pub(super) fn die_with_launcher(launcher: BorrowedFd<'_>) -> Result<(), StepError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(cannot("ask for", "the death signal"))?;
    let mut watched = [PollFd::new(&launcher, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut watched, Some(&now)).map_err(cannot("look for", "the launcher"))? {
        0 => Ok(()),
        _ => Err(cannot("find", "the launcher, which is gone")(Errno::SRCH)),
    }
}

/// The cgroup it was born in becomes the root of what it sees (cgroup_namespaces(7)).
pub(super) fn enter_cgroup_namespace() -> Result<(), StepError> {
    nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP)
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))
        .map_err(cannot("enter", "a cgroup namespace"))
}

/// Makes the view of `/proc` by which settings are written, where they will be and there is none yet: in
/// the jail's user namespace no file system can be made any more.
pub(super) fn prepare(inside: &mut Inside<'_>) -> Result<(), StepError> {
    if inside.plan.stands(Wall::NestedNamespaces) { settings(inside).map(|_| ()) } else { Ok(()) }
}

/// The writable view of the jail's `/proc`; made for this where the jail has no root of its own.
fn settings<'i>(inside: &'i mut Inside<'_>) -> Result<&'i OwnedFd, StepError> {
    if inside.settings.is_none() {
        inside.settings = Some(mount::new_proc().map_err(cannot("make", "/proc"))?);
    }
    inside.settings.as_ref().ok_or_else(|| cannot("find", "/proc")(Errno::BADF))
}

fn write_setting(inside: &mut Inside<'_>, path: &str, value: &[u8]) -> Result<(), StepError> {
    let proc = settings(inside)?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, path, flags, Mode::empty())
        .map_err(cannot("open /proc entry", path))?;
    rustix::io::write(&file, value).map_err(cannot("write /proc entry", path))?;
    Ok(())
}

/// `memfd_create` makes no executable memory (sysctl `vm.memfd_noexec`, Linux 6.3).
pub(super) fn forbid_memfd_exec(inside: &mut Inside<'_>) -> Result<(), StepError> {
    write_setting(inside, "sys/vm/memfd_noexec", b"2")
}

/// No user namespace can be made below this one (sysctl `user.max_user_namespaces`, namespaces(7)).
pub(super) fn forbid_user_namespaces(inside: &mut Inside<'_>) -> Result<(), StepError> {
    write_setting(inside, "sys/user/max_user_namespaces", b"0")
}

pub(super) fn set_hostname(name: &str) -> Result<(), StepError> {
    rustix::system::sethostname(name.as_bytes()).map_err(cannot("set the host name", name))
}

/// Sets each limit, soft and hard alike; one that the launcher itself must obey is not exceeded.
pub(super) fn set_rlimits(plan: &Plan) -> Result<(), StepError> {
    for rlimit in &plan.rlimits {
        let resource = resource(rlimit.resource);
        let most = rustix::process::getrlimit(resource).maximum;
        let value = most.map_or(rlimit.value, |most| most.min(rlimit.value));
        let both = Rlimit { current: Some(value), maximum: Some(value) };
        let name = format!("{:?}", rlimit.resource);
        rustix::process::setrlimit(resource, both).map_err(cannot("set the limit", &name))?;
    }
    Ok(())
}

fn resource(name: RlimitName) -> Resource {
    match name {
        RlimitName::OpenFiles => Resource::Nofile,
        RlimitName::FileSize => Resource::Fsize,
        RlimitName::Core => Resource::Core,
        RlimitName::Processes => Resource::Nproc,
        RlimitName::LockedMemory => Resource::Memlock,
        RlimitName::MessageQueues => Resource::Msgqueue,
        RlimitName::RealTime => Resource::Rtprio,
    }
}
