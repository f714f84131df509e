//! Gathers the facts.

use super::facts::{Caller, HostFacts, Kernel, Questions};
use super::{accounts, cgroups, disks, paths, uids, walk};
use crate::sys;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::Path;

/// Answers `questions` of `caller` about this host. Needs no privilege; where one is lacking, an answer says so.
#[must_use]
pub fn probe(questions: &Questions, caller: &Caller) -> HostFacts {
    let cgroups = cgroups::probe();
    let walks = walks(questions);
    let matches = walks.iter().filter_map(|(tree, walk)| Some((tree, walk.as_ref().ok()?)));
    let matches = matches.flat_map(|(tree, walk)| {
        walk.matches.values().flatten().map(move |(path, _)| format!("{tree}/{path}"))
    });
    let masked = matches.chain(questions.masked.iter().cloned()).collect();
    let account = questions.user.as_deref().and_then(account);
    let auto_uid = uids::of(&questions.agent, questions.uids);
    let agents = [auto_uid.number(), account.as_ref().map(|account| account.uid)];
    let gate_uid = questions
        .gate
        .then(|| uids::of_helper(&uids::gate_of(&questions.agent), questions.uids, &agents));
    let gate_uid = gate_uid.unwrap_or_default();
    let shim_uid = questions.shim.then(|| {
        let others = [agents[0], agents[1], gate_uid.number()];
        uids::of_helper(&uids::shim_of(&questions.agent), questions.uids, &others)
    });
    HostFacts {
        twins: walk::twins(&masked, questions.trees.union(&questions.shown)),
        kernel: kernel(),
        io_weights: cgroups.mount.as_deref().and_then(disks::weight_files),
        cgroups,
        caller: caller.clone(),
        account,
        groups: groups(&questions.groups),
        auto_uid,
        gate_uid,
        shim_uid: shim_uid.unwrap_or_default(),
        own_program: own_program(),
        paths: questions.paths.iter().map(|path| (path.clone(), paths::look(path))).collect(),
        disks: disks::probe(&questions.disks),
        root_links: paths::root_links(),
        programs: questions.programs.iter().filter(|path| runnable(path)).cloned().collect(),
        variables: questions.variables.iter().filter_map(variable).collect(),
        resolver: std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        live_sockets: walk::live_sockets(),
        walks,
    }
}

/// One that was replaced while it ran has no name any more.
fn own_program() -> Option<String> {
    let path = std::fs::read_link("/proc/self/exe").ok()?;
    path.is_file().then(|| path.to_str().map(str::to_owned))?
}

/// The caller alone: needed before the questions can be asked.
#[must_use]
pub fn caller() -> Caller {
    let euid = rustix::process::geteuid().as_raw();
    let directory = std::env::current_dir().ok();
    Caller {
        euid,
        person: accounts::person(euid),
        directory: directory.and_then(|path| path.to_str().map(str::to_owned)),
        terminal: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        bound: false,
    }
}

/// What the running kernel can enforce.
#[must_use]
pub fn kernel() -> Kernel {
    let exists = |path: &str| Path::new(path).exists();
    let info = rustix::system::sysinfo();
    Kernel {
        release: rustix::system::uname().release().to_string_lossy().into_owned(),
        landlock_abi: sys::landlock_abi(),
        seccomp: exists("/proc/sys/kernel/seccomp/actions_avail"),
        namespaces: namespaces(),
        memfd_noexec: exists("/proc/sys/vm/memfd_noexec"),
        max_user_namespaces: exists("/proc/sys/user/max_user_namespaces"),
        keyrings: exists("/proc/sys/kernel/keys"),
        memory: info.totalram.saturating_mul(u64::from(info.mem_unit)),
        tasks: tasks(),
    }
}

/// The lower one of the two bounds; 0 where the kernel tells neither.
fn tasks() -> u64 {
    let number = |name: &str| -> Option<u64> {
        super::text::read(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok()
    };
    let bounds = ["threads-max", "pid_max"].into_iter().filter_map(number);
    bounds.min().unwrap_or(0)
}

fn namespaces() -> BTreeSet<String> {
    let names = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];
    // The link itself: following it would make the kernel set up a handle on the namespace.
    let has = |name: &&str| Path::new("/proc/self/ns").join(name).symlink_metadata().is_ok();
    names.into_iter().filter(has).map(str::to_owned).collect()
}

fn walks(questions: &Questions) -> std::collections::BTreeMap<String, Result<super::Walk, String>> {
    let globs = |tree: &String| {
        let mine = questions.patterns.iter().filter(|(directory, _)| directory == tree);
        mine.map(|(_, glob)| glob.clone()).collect::<Vec<_>>()
    };
    let asked = questions.trees.iter().map(|tree| (tree.clone(), walk::walk(tree, &globs(tree))));
    let shown = questions.shown.difference(&questions.trees);
    let shown = shown.map(|tree| (tree.clone(), walk::walk(tree, &[])));
    asked.chain(shown.filter(|(_, walk)| walk.is_ok())).collect()
}

fn account(wanted: &str) -> Option<super::Account> {
    wanted.parse().ok().and_then(accounts::by_uid).or_else(|| accounts::by_name(wanted))
}

fn groups(names: &[String]) -> std::collections::BTreeMap<String, u32> {
    names.iter().filter_map(|name| Some((name.clone(), accounts::group(name)?))).collect()
}

/// Whether a program can be run by somebody, links followed.
fn runnable(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn variable(name: &String) -> Option<(String, String)> {
    std::env::var(name).ok().map(|value| (name.clone(), value))
}
