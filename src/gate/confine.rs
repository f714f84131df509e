//! What the gate gives up before it hears a byte of the jail.

use crate::plan::Filter;
use caps::{CapSet, CapsHashSet};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid};
use std::path::{Path, PathBuf};

/// Descriptors besides those of connections: sockets that listen, questions to name servers, pipes.
const OTHER_DESCRIPTORS: u64 = 1024;

/// Memory that the gate may take besides that of its connections, in bytes of address space.
const MEMORY: u64 = 1 << 30;

/// Address space for each connection.
const MEMORY_EACH: u64 = 128 << 10;

fn cannot<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("the gate cannot {what}: {error}")
}

/// Why it cannot have so many `descriptors`, where its caller may have `most`.
fn too_many(error: &str, descriptors: u64, most: u64) -> String {
    if most >= descriptors {
        return error.to_owned();
    }
    let fitting = most.saturating_sub(OTHER_DESCRIPTORS) / 6;
    format!(
        "{error}: it needs {descriptors} descriptors for its connections, and {most} are the most here (ulimit -Hn)\n\
         hint: raise that, or set connections = {fitting} or less in [network]"
    )
}

/// Becomes `uid`, without any capability, for good.
pub(super) fn give_up_rights(uid: u32, connections: u32) -> Result<(), String> {
    let connections = u64::from(connections);
    let limit = |resource, most| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit).map_err(cannot("limit itself"))
    };
    // Two sockets, and four ends of pipes while bytes flow.
    let descriptors = connections * 6 + OTHER_DESCRIPTORS;
    limit(Resource::Nofile, descriptors).map_err(|error| {
        let most = rustix::process::getrlimit(Resource::Nofile).maximum;
        too_many(&error, descriptors, most.unwrap_or(u64::MAX))
    })?;
    limit(Resource::As, MEMORY + connections * MEMORY_EACH)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    rustix::thread::set_thread_groups(&[]).map_err(cannot("leave its groups"))?;
    caps::clear(None, CapSet::Bounding).map_err(cannot("empty its bounding set"))?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(cannot("become its gid"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(cannot("become its uid"))?;
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::set(None, set, &CapsHashSet::new()).map_err(cannot("empty its capabilities"))?;
    }
    // Changing the uid has made the kernel forget it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(cannot("end with its keeper"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(cannot("close itself to others"))?;
    limit(Resource::Nproc, 0)?;
    rustix::thread::set_no_new_privs(true).map_err(cannot("give up new privileges"))
}

/// Landlock, then the filter of system calls. Both must stand, but for a kernel that has no Landlock.
pub(super) fn restrict(landlock: bool) -> Result<(), String> {
    if landlock {
        restrict_files()?;
    }
    let filter = Filter::shipped("gate").ok_or("the gate has no filter of system calls")?;
    let filter = filter.program.to_sock_filters();
    seccompiler::apply_filter(&filter).map_err(cannot("restrict its system calls"))
}

/// Where the host says how names are resolved, links followed.
pub(super) const RESOLVER_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Nothing but reading what stands beside those files: they are replaced, never rewritten.
fn restrict_files() -> Result<(), String> {
    let newest = match crate::sys::landlock_abi() {
        None => return Err("the gate cannot restrict itself: Landlock is missing".to_owned()),
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
        // It opens connections and takes none but those of the sockets that it is handed.
        rules = rules.handle_access(AccessNet::BindTcp).map_err(failed)?;
    }
    if newest >= ABI::V6 {
        rules = rules.scope(Scope::from_all(newest)).map_err(failed)?;
    }
    let mut rules = rules.create().map_err(failed)?;
    for folder in folders() {
        let place = PathFd::new(&folder).map_err(cannot("open where names are resolved"))?;
        rules = rules.add_rule(PathBeneath::new(place, AccessFs::ReadFile)).map_err(failed)?;
    }
    let status = rules.restrict_self().map_err(failed)?;
    if status.ruleset != RulesetStatus::FullyEnforced {
        return Err("the gate cannot restrict itself fully by Landlock".to_owned());
    }
    Ok(())
}

/// The most links that are followed from one of those files.
const MOST_LINKS: u32 = 16;

/// The folders of the resolver's files and of what they lead to.
fn folders() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for file in RESOLVER_FILES.map(PathBuf::from) {
        let mut file = file;
        for _ in 0..MOST_LINKS {
            let Some(folder) = file.parent().map(Path::to_path_buf) else { break };
            let target = std::fs::read_link(&file).ok();
            let next = target.map(|target| folder.join(target));
            found.push(folder);
            let Some(next) = next else { break };
            file = next;
        }
    }
    found.retain(|folder| folder.is_dir());
    found.sort();
    found.dedup();
    found
}
