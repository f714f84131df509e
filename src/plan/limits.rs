//! What the agent may use: settings of its cgroup and of each process.

use super::types::{CgroupPlan, Limit, Mount, Rlimit, RlimitName, Source};
use crate::document::Located;
use crate::host::HostFacts;
use crate::profile::types::Limits;
use crate::profile::validate::DEFAULT;
use crate::profile::{Profile, Wall};
use std::collections::BTreeSet;
use std::fmt::Display;

/// The slice of all agents, below the cgroup mount.
const SLICE: &str = "cellblock.slice";
/// Length of the period in which processor time is counted, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// A cgroup's share of the disks, by the controller's cost model.
const IO_WEIGHT: &str = "io.weight";
/// The same, by the scheduler BFQ.
const BFQ_WEIGHT: &str = "io.bfq.weight";

/// The controller that a wall needs.
pub(super) fn controller(wall: Wall) -> Option<&'static str> {
    [(Wall::Memory, "memory"), (Wall::Tasks, "pids"), (Wall::Cpu, "cpu"), (Wall::Io, "io")]
        .into_iter()
        .find(|(known, _)| *known == wall)
        .map(|(_, controller)| controller)
}

/// Whether `wall` is there only where the profile sets a limit.
pub(super) fn is_limit(wall: Wall) -> bool {
    wall == Wall::Disk || controller(wall).is_some()
}

/// Whether the profile sets a limit that `wall` enforces.
pub(super) fn is_set(wall: Wall, limits: &Limits) -> bool {
    match controller(wall) {
        Some("memory") => {
            limits.memory.is_some() || limits.memory_high.is_some() || limits.swap.is_some()
        }
        Some("pids") => limits.tasks.is_some(),
        Some("cpu") => limits.cpu.is_some() || limits.cpu_weight.is_some(),
        Some("io") => limits.io.is_some() || limits.io_weight.is_some(),
        Some(_) => false,
        None => wall == Wall::Disk && limits.disk.is_some(),
    }
}

/// The cgroup with the settings of those `walls` that stand.
pub(super) fn cgroup(
    profile: &Profile,
    facts: &HostFacts,
    mounts: &[Mount],
    walls: &BTreeSet<Wall>,
) -> CgroupPlan {
    if !walls.contains(&Wall::Cgroup) {
        return CgroupPlan::default();
    }
    let limits = &profile.limits;
    let mut plan = Settings::default();
    if walls.contains(&Wall::Memory) {
        plan.add("memory.max", limits.memory.as_ref().map(|l| l.with(l.value.0)));
        plan.add("memory.high", limits.memory_high.as_ref().map(|l| l.with(l.value.0)));
        plan.add("memory.swap.max", limits.swap.as_ref().map(|l| l.with(l.value.0)));
    }
    if walls.contains(&Wall::Tasks) {
        plan.add("pids.max", limits.tasks.clone());
    }
    if walls.contains(&Wall::Cpu) {
        let quota =
            |hundredths: u32| format!("{} {CPU_PERIOD}", u64::from(hundredths) * CPU_PERIOD / 100);
        plan.add("cpu.max", limits.cpu.as_ref().map(|l| l.with(quota(l.value.0))));
        plan.add("cpu.weight", limits.cpu_weight.clone());
    }
    if let Some(io) = limits.io.as_ref().filter(|_| walls.contains(&Wall::Io)) {
        for (major, minor) in disks(facts, mounts) {
            let value = format!("{major}:{minor} rbps={0} wbps={0}", io.value.0);
            plan.add("io.max", Some(io.with(value)));
        }
    }
    if let Some(weight) = limits.io_weight.as_ref().filter(|_| walls.contains(&Wall::Io)) {
        for (file, value) in io_weights(facts, weight.value) {
            plan.add(file, Some(weight.with(format!("default {value}"))));
        }
    }
    let controllers =
        Wall::ALL.into_iter().filter(|wall| walls.contains(wall)).filter_map(controller);
    CgroupPlan {
        mount: facts
            .cgroups
            .mount
            .as_deref()
            .unwrap_or(std::path::Path::new(""))
            .display()
            .to_string(),
        slice: SLICE.to_owned(),
        controllers: controllers.collect(),
        limits: plan.0,
    }
}

/// The files that give a share of the disks, with what to write to them. Where no cgroup shows which
/// there are, the controller's own is tried, and the launch tells.
fn io_weights(facts: &HostFacts, weight: u64) -> Vec<(&'static str, u64)> {
    let has = |file: &str| facts.io_weights.as_ref().is_none_or(|files| files.contains(file));
    let bfq = facts.io_weights.is_some() && has(BFQ_WEIGHT);
    let own = has(IO_WEIGHT).then_some((IO_WEIGHT, weight));
    own.into_iter().chain(bfq.then(|| (BFQ_WEIGHT, bfq_weight(weight)))).collect()
}

/// A weight of 1 to 10000 as BFQ wants it, 1 to 1000; 100 is the default of both.
fn bfq_weight(weight: u64) -> u64 {
    if weight <= 100 { weight } else { 100 + (weight - 100) * 900 / 9900 }
}

/// Whether cgroups here are known to have no share of the disks.
pub(super) fn has_no_io_weight(facts: &HostFacts) -> bool {
    io_weights(facts, 100).is_empty()
}

#[derive(Default)]
struct Settings(Vec<Limit>);

impl Settings {
    fn add<T: Display>(&mut self, file: &'static str, value: Option<Located<T>>) {
        self.0.extend(value.map(|located| Limit {
            file,
            value: located.value.to_string(),
            origin: located.place.to_string(),
        }));
    }
}

/// The disks under the writable trees of the host. A file system without a block device has none.
pub(super) fn disks(facts: &HostFacts, mounts: &[Mount]) -> BTreeSet<(u32, u32)> {
    let device = |mount: &Mount| match &mount.source {
        Source::Host { path, .. } if mount.write => facts.disks.get(path)?.as_ref().ok()?.block,
        Source::Host { .. } | Source::Memory { .. } | Source::Pts { .. } | Source::Proc => None,
    };
    mounts.iter().filter_map(device).collect()
}

/// Limits of each process; `RLIMIT_NPROC` only where it stands in for the controller.
pub(super) fn rlimits(profile: &Profile, walls: &BTreeSet<Wall>) -> Vec<Rlimit> {
    if !walls.contains(&Wall::Rlimits) {
        return Vec::new();
    }
    let limits = &profile.limits;
    let mut rlimits = vec![
        limit(RlimitName::Core, limits.core.as_ref().map(|l| l.with(l.value.0)), 0),
        limit(RlimitName::OpenFiles, limits.open_files.clone(), 65_536),
        limit(RlimitName::LockedMemory, None, 8 << 20),
        limit(RlimitName::MessageQueues, None, 819_200),
        limit(RlimitName::RealTime, None, 0),
    ];
    if let Some(size) = &limits.file_size {
        rlimits.push(limit(RlimitName::FileSize, Some(size.with(size.value.0)), 0));
    }
    if let Some(tasks) = limits.tasks.clone().filter(|_| !walls.contains(&Wall::Tasks)) {
        rlimits.push(limit(RlimitName::Processes, Some(tasks), 0));
    }
    rlimits
}

fn limit(resource: RlimitName, value: Option<Located<u64>>, default: u64) -> Rlimit {
    let origin = value.as_ref().map_or(DEFAULT.to_owned(), |located| located.place.to_string());
    Rlimit { resource, value: value.map_or(default, |located| located.value), origin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bfq_gets_its_own_scale() {
        assert_eq!([1, 50, 100, 10_000].map(bfq_weight), [1, 50, 100, 1000]);
    }

    #[test]
    fn a_share_is_written_to_the_files_there_are() {
        let with = |files: Option<&[&str]>| {
            let files = files.map(|files| files.iter().map(|file| (*file).to_owned()).collect());
            let facts = HostFacts { io_weights: files, ..HostFacts::default() };
            let told = (io_weights(&facts, 200), has_no_io_weight(&facts));
            (told.0.into_iter().map(|(file, _)| file).collect::<Vec<_>>(), told.1)
        };
        assert_eq!(with(None), (vec![IO_WEIGHT], false));
        assert_eq!(with(Some(&[])), (vec![], true));
        assert_eq!(with(Some(&[BFQ_WEIGHT])), (vec![BFQ_WEIGHT], false));
        assert_eq!(with(Some(&[IO_WEIGHT, BFQ_WEIGHT])), (vec![IO_WEIGHT, BFQ_WEIGHT], false));
    }
}
