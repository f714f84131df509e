//! Reads the walls back from outside and compares them with the plan.
//!
//! What the kernel tells about the jail's first process is what the jail is. [`expected`] is pure;
//! [`confirm`] reads. A difference ends the jail before anything of the agent has run.

use super::disk;
use super::error::{LaunchError, cannot, cannot_io};
use crate::host::{cgroups, text};
use crate::plan::Plan;
use crate::profile::Wall;
use rustix::io::Errno;
use std::collections::BTreeMap;

/// What is to be found under a name.
type Readings = BTreeMap<&'static str, String>;

/// The namespaces that are told apart from the launcher's.
const NAMESPACES: &[(Wall, &str)] = &[
    (Wall::User, "user"),
    (Wall::Mount, "mnt"),
    (Wall::Pid, "pid"),
    (Wall::Network, "net"),
    (Wall::Ipc, "ipc"),
    (Wall::Uts, "uts"),
    (Wall::Cgroup, "cgroup"),
];

/// The lines of `/proc/PID/status` that are compared (proc_pid_status(5)).
const STATUS: &[&str] = &[
    "Uid",
    "Gid",
    "Groups",
    "NSpid",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
];

const NO_CAPABILITY: &str = "0000000000000000";
/// Stands for a namespace other than the launcher's.
const ITS_OWN: &str = "its own";
const SHARED: &str = "the launcher's";

/// What must be read back for `plan`, in the cgroup `cgroup` (its path below the mount).
#[must_use]
pub fn expected(plan: &Plan, cgroup: Option<&str>) -> BTreeMap<&'static str, String> {
    let identity = &plan.identity;
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join(" ");
    let mut groups = identity.groups.clone();
    groups.sort_unstable();
    let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
    let mut readings = Readings::from([
        ("Uid", four(identity.uid)),
        ("Gid", four(identity.gid)),
        ("Groups", groups.join(" ")),
    ]);
    if plan.stands(Wall::User) {
        readings.insert("uid_map", format!("{0} {0} 1", identity.uid));
        readings.insert("gid_map", format!("{0} {0} 1", identity.gid));
    }
    if plan.stands(Wall::Capabilities) {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            readings.insert(set, NO_CAPABILITY.to_owned());
        }
    }
    if plan.stands(Wall::NoNewPrivs) {
        readings.insert("NoNewPrivs", "1".to_owned());
    }
    if plan.stands(Wall::Seccomp) {
        readings.insert("Seccomp", "2".to_owned());
    }
    if plan.stands(Wall::Pid) {
        readings.insert("NSpid", "1".to_owned());
    }
    for (wall, name) in NAMESPACES {
        let owner = if plan.stands(*wall) { ITS_OWN } else { SHARED };
        readings.insert(name_of(name), owner.to_owned());
    }
    readings.extend(cgroup.map(|path| ("cgroup path", path.to_owned())));
    readings
}

fn name_of(namespace: &'static str) -> &'static str {
    match namespace {
        "user" => "user namespace",
        "mnt" => "mount namespace",
        "pid" => "pid namespace",
        "net" => "network namespace",
        "ipc" => "ipc namespace",
        "uts" => "uts namespace",
        _ => "cgroup namespace",
    }
}

/// The first difference between what was expected and what was found.
///
/// # Errors
/// [`LaunchError::NotAsPlanned`].
fn compare(expected: &Readings, found: &Readings) -> Result<(), LaunchError> {
    for (what, expected) in expected {
        let found = found.get(what).map_or("", String::as_str);
        if found != expected {
            return Err(LaunchError::NotAsPlanned {
                what: (*what).to_owned(),
                expected: expected.clone(),
                found: found.to_owned(),
            });
        }
    }
    Ok(())
}

/// Compares the process `pid` with the plan.
///
/// # Errors
/// [`LaunchError::NotAsPlanned`] with the first difference, or [`LaunchError::Call`].
pub(super) fn confirm(pid: i32, plan: &Plan, cgroup: Option<&str>) -> Result<(), LaunchError> {
    let mut found = status(&read(pid, "status")?);
    if plan.stands(Wall::User) {
        found.insert("uid_map", words(&read(pid, "uid_map")?));
        found.insert("gid_map", words(&read(pid, "gid_map")?));
    }
    for (_, name) in NAMESPACES {
        let owner =
            if namespace(pid, name)? == namespace_of_self(name)? { SHARED } else { ITS_OWN };
        found.insert(name_of(name), owner.to_owned());
    }
    if cgroup.is_some() {
        found.insert("cgroup path", cgroup_path(&read(pid, "cgroup")?));
    }
    compare(&expected(plan, cgroup), &found)?;
    disk::confirm(plan)
}

fn read(pid: i32, file: &str) -> Result<String, LaunchError> {
    let path = format!("/proc/{pid}/{file}");
    text::read(&path).map_err(cannot("read", &path))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The compared lines of a status file; of `NSpid` the innermost number.
fn status(text: &str) -> Readings {
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let name = STATUS.iter().copied().find(|known| *known == name)?;
        let value = words(value);
        let last = || value.rsplit(' ').next().unwrap_or_default().to_owned();
        Some((name, if name == "NSpid" { last() } else { value.clone() }))
    };
    text.lines().filter_map(line).collect()
}

fn cgroup_path(text: &str) -> String {
    cgroups::path_in(text).unwrap_or_default()
}

fn namespace(pid: i32, name: &str) -> Result<std::path::PathBuf, LaunchError> {
    let path = format!("/proc/{pid}/ns/{name}");
    std::fs::read_link(&path).map_err(cannot_io("read", &path))
}

fn namespace_of_self(name: &str) -> Result<std::path::PathBuf, LaunchError> {
    let path = format!("/proc/self/ns/{name}");
    std::fs::read_link(&path).map_err(cannot_io("read", &path))
}

/// Whether the process `pid` is in the cgroup at `path` (below the mount).
///
/// # Errors
/// [`LaunchError::Call`].
pub(super) fn is_in_cgroup(pid: i32, path: &str) -> Result<bool, LaunchError> {
    match read(pid, "cgroup") {
        Ok(text) => Ok(cgroup_path(&text) == path),
        Err(LaunchError::Call { errno: Errno::NOENT | Errno::SRCH, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Name:\tx\nUid:\t70001\t70001\t70001\t70001\nGroups:\t \nNSpid:\t812\t1\n\
        CapEff:\t0000000000000000\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn reads_what_the_kernel_writes() {
        let found = status(TEXT);
        assert_eq!(found["Uid"], "70001 70001 70001 70001");
        assert_eq!(found["Groups"], "");
        assert_eq!(found["NSpid"], "1");
        assert_eq!(found["Seccomp"], "2");
        assert_eq!(
            cgroup_path("12:pids:/x\n0::/cellblock.slice/a.run\n"),
            "/cellblock.slice/a.run"
        );
    }

    #[test]
    fn every_single_difference_is_found() {
        let expected = status(TEXT);
        compare(&expected, &expected).unwrap();
        for what in expected.keys() {
            let mut found = expected.clone();
            found.insert(what, "something else".to_owned());
            let error = compare(&expected, &found).unwrap_err();
            assert!(matches!(&error, LaunchError::NotAsPlanned { what: w, .. } if w == what));
            found.remove(what);
            if !expected[what].is_empty() {
                compare(&expected, &found).unwrap_err();
            }
        }
    }
}
