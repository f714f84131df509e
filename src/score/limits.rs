//! `[limits]`: how much of the machine one agent can take from all others.
//!
//! `oom`, `memory_high`, the shares and the size of one file are not graded: they decide how an agent ends
//! or slows down, and nobody else is worse off without them.

use super::Point;
use super::filesystem::writes_to_disk;
use crate::profile::Profile;
use crate::profile::types::Limits;

/// Tasks above which one agent has a good part of the process table: pid_max is 32768 on small hosts.
const MANY_TASKS: u64 = 4096;
/// What processes get where the profile says nothing.
const OPEN_FILES: u64 = 65_536;

/// What it costs that nothing at all bounds the memory: never less than a weaker bound.
pub(super) const NO_MEMORY: u16 = 15;
pub(super) const NO_TASKS: u16 = 12;

pub(super) fn points(profile: &Profile) -> Vec<Point> {
    let limits = &profile.limits;
    vec![
        memory(profile, limits),
        swap(profile, limits),
        tasks(profile, limits),
        cpu(profile, limits),
        io(profile, limits),
        disk(profile, limits),
        open_files(limits),
        core(limits),
    ]
}

fn memory(profile: &Profile, limits: &Limits) -> Point {
    let mut point = Point::new("limits", "memory", "cannot take the machine's memory", NO_MEMORY);
    if limits.memory.is_none() {
        // The machine stands still, or the kernel ends whatever is largest.
        let cause = "is not set: the agent can take all memory, and services of the host end";
        point.lose_unset(NO_MEMORY, profile, cause, "memory = \"4G\"");
    }
    point
}

fn swap(profile: &Profile, limits: &Limits) -> Point {
    let mut point = Point::new("limits", "swap", "cannot fill the swap", 3);
    if limits.swap.is_none() {
        // Beyond its memory it goes on there, and everybody waits for the disk.
        let cause =
            "is not set: beyond `memory` the agent goes on in the swap, and all wait for the disk";
        point.lose_unset(3, profile, cause, "swap = \"0\"");
    }
    point
}

fn tasks(profile: &Profile, limits: &Limits) -> Point {
    let mut point = Point::new("limits", "tasks", "cannot fill the process table", NO_TASKS);
    match &limits.tasks {
        None => {
            // Nobody can start anything any more, root included.
            let cause =
                "is not set: a fork bomb fills the process table, and nobody can start anything";
            point.lose_unset(NO_TASKS, profile, cause, "tasks = 512");
        }
        Some(tasks) if tasks.value > MANY_TASKS => {
            let cause = format!("is {}, a good part of the process table", tasks.value);
            point.lose(4, &tasks.place, cause, "tasks = 512 is plenty for builds");
        }
        Some(_) => {}
    }
    point
}

fn cpu(profile: &Profile, limits: &Limits) -> Point {
    let mut point = Point::new("limits", "cpu", "cannot take all processor time", 2);
    let cause = "is not set: the agent can use all processors as long as nobody else wants them";
    // The scheduler shares out anyway; a weight says by how much.
    match (&limits.cpu, &limits.cpu_weight) {
        (Some(_), _) => {}
        (None, Some(weight)) => point.lose(1, &weight.place, cause, "cpu = \"2\""),
        (None, None) => point.lose_unset(2, profile, cause, "cpu = \"2\", or cpu_weight = 50"),
    }
    point
}

fn io(profile: &Profile, limits: &Limits) -> Point {
    let mut point = Point::new("limits", "io", "cannot take all disk time", 2);
    let cause = "is not set: the agent can keep the disks of what it writes busy";
    // As for processors; in memory there is no disk to keep busy.
    match (&limits.io, &limits.io_weight) {
        (None, Some(weight)) if writes_to_disk(profile) => {
            point.lose(1, &weight.place, cause, "io = \"50M\"");
        }
        (None, None) if writes_to_disk(profile) => {
            point.lose_unset(2, profile, cause, "io = \"50M\", or io_weight = 50");
        }
        (Some(_), _) | (None, _) => {}
    }
    point
}

fn disk(profile: &Profile, limits: &Limits) -> Point {
    let mut point = Point::new("limits", "disk", "cannot fill the disks", 3);
    if limits.disk.is_none() && writes_to_disk(profile) {
        // Others on the same file system can write nothing any more.
        let cause = "is not set: the agent can fill the file systems of what it writes";
        let hint = "disk = \"10G\", where the file system has project quotas";
        point.lose_unset(3, profile, cause, hint);
    }
    point
}

fn open_files(limits: &Limits) -> Point {
    let mut point = Point::new("limits", "open_files", "cannot open files without end", 1);
    for files in limits.open_files.iter().filter(|files| files.value > OPEN_FILES) {
        // The kernel's tables for them are in memory, which is bounded by itself.
        let cause = format!("is {}, more than any tool needs", files.value);
        point.lose(1, &files.place, cause, "open_files = 65536");
    }
    point
}

fn core(limits: &Limits) -> Point {
    let mut point = Point::new("limits", "core", "leaves no memory dumps", 2);
    for core in limits.core.iter().filter(|core| core.value.0 > 0) {
        // Secrets of its environment then stand in a file.
        let cause = "is not 0: a crash writes memory, with its secrets, to where it works";
        point.lose(2, &core.place, cause, "core = \"0\"");
    }
    point
}
