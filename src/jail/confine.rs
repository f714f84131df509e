//! From root of the host to the agent: descriptors, groups, ids, capabilities, filter, exec.

use super::error::{StepError, cannot};
use super::perform::Inside;
use super::settings;
use crate::plan::Plan;
use caps::{CapSet, CapsHashSet};
use rustix::fd::AsFd as _;
use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags};
use rustix::thread::{CapabilitiesSecureBits, Gid, LinkNameSpaceType, Uid};
use std::ffi::CStr;

/// Marks every descriptor above 2 to end with exec; the control socket alone is kept, at the exec.
pub(super) fn close_descriptors() -> Result<(), StepError> {
    crate::sys::close_on_exec_from(3).map_err(cannot("close", "all other descriptors"))
}

/// Puts the jail's terminal in the place of the caller's.
fn take_terminal(inside: &Inside<'_>) -> Result<(), StepError> {
    let Some(terminal) = &inside.terminal else { return Ok(()) };
    let put = [rustix::stdio::dup2_stdin, rustix::stdio::dup2_stdout, rustix::stdio::dup2_stderr];
    for (put, replaces) in put.into_iter().zip(terminal.replaces) {
        if replaces {
            put(terminal.slave.as_fd()).map_err(cannot("take", "the jail's terminal"))?;
        }
    }
    Ok(())
}

/// The profile's groups and no other (setgroups(2)).
pub(super) fn set_groups(plan: &Plan) -> Result<(), StepError> {
    let groups: Vec<Gid> = plan.identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    rustix::thread::set_thread_groups(&groups).map_err(cannot("set", "the groups"))
}

/// The namespace in which no id but the agent's exists (user_namespaces(7)).
pub(super) fn enter_user_namespace(inside: &Inside<'_>) -> Result<(), StepError> {
    let namespace = inside.user_namespace.as_ref();
    let namespace = namespace.ok_or_else(|| cannot("find", "the user namespace")(Errno::BADF))?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))
        .map_err(cannot("enter", "the user namespace"))
}

/// Nothing is ever gained back: no bounding set, and securebits that give uid 0 no meaning.
pub(super) fn drop_bounding() -> Result<(), StepError> {
    caps::clear(None, CapSet::Bounding).map_err(denied("empty", "the capability bounding set"))?;
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(bits).map_err(cannot("lock", "the securebits"))
}

/// uid and gid for good. The kernel forgets the death signal on the way, so it is asked for again.
pub(super) fn set_ids(inside: &Inside<'_>) -> Result<(), StepError> {
    let identity = &inside.plan.identity;
    let gid = Gid::from_raw(identity.gid);
    let uid = Uid::from_raw(identity.uid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(cannot("become", &format!("gid {}", identity.gid)))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(cannot("become", &format!("uid {}", identity.uid)))?;
    settings::die_with_launcher(inside.launcher)
}

/// Empties the sets of the process (capset(2)).
pub(super) fn drop_capabilities() -> Result<(), StepError> {
    let none = CapsHashSet::new();
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::set(None, set, &none).map_err(denied("empty", "the capability sets"))?;
    }
    Ok(())
}

/// The crate tells no errno: the call has only one way to fail here.
fn denied(verb: &'static str, object: &str) -> impl FnOnce(caps::errors::CapsError) -> StepError {
    move |_| cannot(verb, object)(Errno::PERM)
}

/// Goes where the command starts, with the agent's own rights.
pub(super) fn enter_workdir(plan: &Plan) -> Result<(), StepError> {
    rustix::process::umask(Mode::from_raw_mode(plan.identity.umask));
    let workdir = &plan.command.workdir;
    rustix::process::chdir(workdir.as_str()).map_err(cannot("start in", workdir))
}

/// Installs the filter (seccomp(2)).
pub(super) fn install_filter(filter: &[seccompiler::sock_filter]) -> Result<(), StepError> {
    seccompiler::apply_filter(filter).map_err(|error| {
        let errno = match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
                Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
            }
            seccompiler::Error::Backend(_)
            | seccompiler::Error::EmptyFilter
            | seccompiler::Error::ThreadSync(_) => Errno::INVAL,
        };
        cannot("install", "the system call filter")(errno)
    })
}

/// Installs the filter whose refusals the kernel records (seccomp(2), `SECCOMP_FILTER_FLAG_LOG`).
pub(super) fn log_refusals(filter: &[seccompiler::sock_filter]) -> Result<(), StepError> {
    crate::sys::install_logged_filter(filter)
        .map_err(cannot("have recorded", "what the system call filter refuses"))
}

/// Becomes PID 1's program, with memory of its own. Returns only if it cannot.
pub(super) fn exec_init(inside: &Inside<'_>) -> Result<(), StepError> {
    take_terminal(inside)?;
    rustix::io::fcntl_setfd(inside.control, FdFlags::empty())
        .map_err(cannot("keep", "the control socket"))?;
    let arguments: Vec<&CStr> = inside.arguments.iter().map(|word| word.as_c_str()).collect();
    let environment: Vec<&CStr> = inside.environment.iter().map(|word| word.as_c_str()).collect();
    let flags = nix::fcntl::AtFlags::AT_EMPTY_PATH;
    let Err(errno) = nix::unistd::execveat(inside.program, c"", &arguments, &environment, flags);
    Err(cannot("start", "init")(Errno::from_raw_os_error(errno as i32)))
}
