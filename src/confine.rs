//! What a process of cellblock outside of jails gives up before it hears a byte of one: the gate and the shim.
//!
//! The order is that of the calls: first what needs rights, then the rights, then Landlock and the filter of
//! system calls. All must stand, or the process does not go on; only a kernel that has no Landlock does without it.

#![forbid(unsafe_code)]

use crate::plan::Filter;
use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::fd::AsFd;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid};
use std::path::PathBuf;

/// What it may still use, for good (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open descriptors.
    pub descriptors: u64,
    /// Bytes of address space.
    pub memory: u64,
    /// Bytes of a file that it writes.
    pub file: u64,
}

/// Why a process cannot confine itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfineError {
    /// It may not have so many descriptors.
    #[error("cannot have {wanted} descriptors, and {most} are the most here (ulimit -Hn): {errno}")]
    Descriptors {
        /// How many it needs.
        wanted: u64,
        /// How many its caller may have.
        most: u64,
        /// The kernel's answer.
        errno: rustix::io::Errno,
    },
    /// Something else.
    #[error("cannot {what}: {cause}")]
    Call {
        /// What it cannot do.
        what: &'static str,
        /// Why.
        cause: String,
    },
}

fn cannot<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> ConfineError {
    move |error| ConfineError::Call { what, cause: error.to_string() }
}

/// Bounds this process, which needs rights only where a bound is above the caller's.
///
/// # Errors
/// [`ConfineError`].
pub fn bound(bounds: Bounds) -> Result<(), ConfineError> {
    let Bounds { descriptors, memory, file } = bounds;
    limit(Resource::Nofile, descriptors).map_err(|errno| {
        let most = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        ConfineError::Descriptors { wanted: descriptors, most, errno }
    })?;
    let others = [(Resource::As, memory), (Resource::Core, 0), (Resource::Fsize, file)];
    let mut others = others.into_iter();
    others.try_for_each(|(resource, most)| limit(resource, most)).map_err(cannot("limit itself"))
}

fn limit(resource: Resource, most: u64) -> Result<(), rustix::io::Errno> {
    rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}

/// Becomes `uid`, without groups and capabilities, for good. A process that `ends_with_parent` has the kernel end it
/// with its parent (PR_SET_PDEATHSIG(2const)).
///
/// # Errors
/// [`ConfineError`].
pub fn give_up_rights(uid: u32, ends_with_parent: bool) -> Result<(), ConfineError> {
    give_up_rights_but(uid, ends_with_parent, &[])
}

/// The same, and keeps the capabilities `kept`, which no program that it might start would have.
///
/// # Errors
/// [`ConfineError`].
pub fn give_up_rights_but(
    uid: u32,
    ends_with_parent: bool,
    kept: &[Capability],
) -> Result<(), ConfineError> {
    become_ids((uid, uid), kept)?;
    // Changing the uid has made the kernel forget it.
    let signal = ends_with_parent.then_some(Signal::KILL);
    rustix::process::set_parent_process_death_signal(signal)
        .map_err(cannot("end with its parent"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(cannot("close itself to others"))?;
    limit(Resource::Nproc, 0).map_err(cannot("limit itself"))?;
    rustix::thread::set_no_new_privs(true).map_err(cannot("give up new privileges"))
}

/// Becomes the user `uid` in the group `gid` and no other, without capabilities, for good; what it starts has no more. Unlike after
/// [`give_up_rights`], it may start programs.
///
/// # Errors
/// [`ConfineError`].
pub fn become_user(uid: u32, gid: u32) -> Result<(), ConfineError> {
    become_ids((uid, gid), &[])?;
    rustix::thread::set_no_new_privs(true).map_err(cannot("give up new privileges"))
}

fn become_ids((uid, gid): (u32, u32), kept: &[Capability]) -> Result<(), ConfineError> {
    rustix::thread::set_thread_groups(&[]).map_err(cannot("leave its groups"))?;
    caps::clear(None, CapSet::Bounding).map_err(cannot("empty its bounding set"))?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let keeps = !kept.is_empty();
    rustix::thread::set_keep_capabilities(keeps).map_err(cannot("keep its capabilities"))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(cannot("become its gid"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(cannot("become its uid"))?;
    let kept: CapsHashSet = kept.iter().copied().collect();
    let none = CapsHashSet::new();
    // Those that are kept are effective only after they are all that is permitted.
    for (set, left) in [
        (CapSet::Inheritable, &none),
        (CapSet::Effective, &none),
        (CapSet::Permitted, &kept),
        (CapSet::Effective, &kept),
    ] {
        caps::set(None, set, left).map_err(cannot("empty its capabilities"))?;
    }
    Ok(())
}

/// What may still be done in the file system.
#[derive(Debug)]
pub enum Reach<'f> {
    /// Files of these folders may be read.
    Read(&'f [PathBuf]),
    /// Files of these folders may be read and listed, and processes outside be signalled.
    Look(&'f [PathBuf]),
    /// Files of these open folders may be made, written, renamed and removed.
    Write(Vec<rustix::fd::BorrowedFd<'f>>),
    /// Files of the first may be read, and those of the others also written.
    Both(&'f [PathBuf], Vec<rustix::fd::BorrowedFd<'f>>),
}

/// Landlock, where `landlock` is set, then the filter of system calls called `filter`.
///
/// # Errors
/// [`ConfineError`].
pub fn restrict(filter: &str, landlock: bool, reach: &Reach<'_>) -> Result<(), ConfineError> {
    if landlock {
        restrict_files(reach)?;
    }
    let filter = Filter::shipped(filter);
    let filter = filter.ok_or_else(|| cannot("find its filter of system calls")(filter_name()))?;
    let filter = filter.program.to_sock_filters();
    seccompiler::apply_filter(&filter).map_err(cannot("restrict its system calls"))
}

fn filter_name() -> &'static str {
    "this program was built without it"
}

fn restrict_files(reach: &Reach<'_>) -> Result<(), ConfineError> {
    let newest = match crate::sys::landlock_abi() {
        None => return Err(cannot("restrict itself")("Landlock is missing")),
        Some(1) => ABI::V1,
        Some(2) => ABI::V2,
        Some(3) => ABI::V3,
        Some(4) => ABI::V4,
        Some(5) => ABI::V5,
        Some(_) => ABI::V6,
    };
    let failed = |error: landlock::RulesetError| cannot("restrict itself by Landlock")(error);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(newest))
        .map_err(failed)?;
    if newest >= ABI::V4 {
        // The gate opens connections, and takes none but those of the sockets that it is handed.
        rules = rules.handle_access(AccessNet::BindTcp).map_err(failed)?;
    }
    if newest >= ABI::V6 {
        let scopes = match reach {
            Reach::Look(_) => Scope::AbstractUnixSocket.into(),
            Reach::Read(_) | Reach::Write(_) | Reach::Both(..) => Scope::from_all(newest),
        };
        rules = rules.scope(scopes).map_err(failed)?;
    }
    let mut rules = rules.create().map_err(failed)?;
    let (reads, listed, writes) = match reach {
        Reach::Read(folders) => (*folders, BitFlags::EMPTY, &[][..]),
        Reach::Look(folders) => (*folders, AccessFs::ReadDir.into(), &[][..]),
        Reach::Write(folders) => (&[][..], BitFlags::EMPTY, &folders[..]),
        Reach::Both(reads, writes) => (*reads, BitFlags::EMPTY, &writes[..]),
    };
    for folder in reads {
        let place = PathFd::new(folder).map_err(cannot("open what it reads"))?;
        let rule = PathBeneath::new(place, listed | AccessFs::ReadFile);
        rules = rules.add_rule(rule).map_err(failed)?;
    }
    let mut written: BitFlags<AccessFs> = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::RemoveFile;
    written |= AccessFs::Truncate;
    let written = written & AccessFs::from_all(newest);
    for folder in writes {
        let rule = PathBeneath::new(folder.as_fd(), written);
        rules = rules.add_rule(rule).map_err(failed)?;
    }
    let status = rules.restrict_self().map_err(failed)?;
    if status.ruleset != RulesetStatus::FullyEnforced {
        return Err(cannot("restrict itself by Landlock")("it does not stand as a whole"));
    }
    Ok(())
}
