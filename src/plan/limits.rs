//! What the agent may use: settings of its cgroup and of each process.

use super::request::Input;
use super::types::{CgroupPlan, Limit, Mount, Parent, Rlimit, RlimitName, Source};
use crate::config::{Ceiling, Share, Slice};
use crate::document::{Located, Place};
use crate::host::{HostFacts, Keeper, SLICE};
use crate::profile::types::{Bytes, Cpus, Limits, Oom};
use crate::profile::validate::DEFAULT;
use crate::profile::{Profile, Wall};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

/// What an interface file holds where there is no limit.
const NONE: &str = "max";
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
            let together = limits.oom.as_ref().is_some_and(|oom| oom.value == Oom::All);
            let limits = [&limits.memory, &limits.memory_high, &limits.swap];
            together || limits.iter().any(|limit| limit.is_some())
        }
        Some("pids") => limits.tasks.is_some(),
        Some("cpu") => limits.cpu.is_some() || limits.cpu_weight.is_some(),
        Some("io") => limits.io.is_some() || limits.io_weight.is_some(),
        Some(_) => false,
        None => wall == Wall::Disk && limits.disk.is_some(),
    }
}

/// The cgroup with the settings of those walls that `stand`, and the ceiling of the slice above it.
pub(super) fn cgroup(input: Input<'_>, mounts: &[Mount], stand: &BTreeSet<Wall>) -> CgroupPlan {
    if !stand.contains(&Wall::Cgroup) {
        return CgroupPlan::default();
    }
    let Input { profile, request, facts } = input;
    let own = own_settings(&profile.limits, stand);
    let io = profile.limits.io.as_ref().filter(|_| stand.contains(&Wall::Io));
    let io = io.into_iter().flat_map(|io| traffic(io, facts, mounts));
    let ceiling = ceiling(&request.config.slice, facts);
    let weight = profile.limits.io_weight.as_ref().filter(|_| stand.contains(&Wall::Io));
    let weight = weight.into_iter().flat_map(|weight| share(weight, facts));
    let limits: Vec<_> = own.into_iter().chain(io).chain(weight).collect();
    let mount = facts.cgroups.mount.as_deref().unwrap_or(Path::new(""));
    CgroupPlan {
        mount: mount.display().to_string(),
        slice: SLICE,
        parent: parent(&facts.cgroups.keeper),
        controllers: controllers(limits.iter().chain(&ceiling), facts),
        ceiling,
        limits,
    }
}

fn parent(keeper: &Keeper) -> Parent {
    match keeper {
        Keeper::Nobody => Parent::Slice,
        Keeper::Systemd { delegated: None } => Parent::Scope,
        Keeper::Systemd { delegated: Some(path) } => Parent::Delegated(path.clone()),
    }
}

/// The controllers of the interface files that are written, each once; and `cpu`, where there is one:
/// with it each agent, and what keeps it, gets its share of the processors however many tasks another has.
fn controllers<'l>(
    limits: impl Iterator<Item = &'l Limit>,
    facts: &HostFacts,
) -> Vec<&'static str> {
    let limits = limits.filter(|limit| !limit.is_none());
    let names = limits.filter_map(|limit| limit.file.split_once('.')).map(|(name, _)| name);
    let shared = ["cpu"].into_iter().filter(|name| facts.cgroups.controllers.contains(*name));
    names.chain(shared).collect::<BTreeSet<_>>().into_iter().collect()
}

fn own_settings(limits: &Limits, stand: &BTreeSet<Wall>) -> Vec<Limit> {
    let mut plan = Settings::default();
    if stand.contains(&Wall::Memory) {
        plan.add("memory.max", limits.memory.as_ref().map(|l| l.with(l.value.0)));
        plan.add("memory.high", limits.memory_high.as_ref().map(|l| l.with(l.value.0)));
        plan.add("memory.swap.max", limits.swap.as_ref().map(|l| l.with(l.value.0)));
        let together = limits.oom.as_ref().filter(|oom| oom.value == Oom::All);
        plan.add("memory.oom.group", together.map(|oom| oom.with(1)));
    }
    if stand.contains(&Wall::Tasks) {
        plan.add("pids.max", limits.tasks.clone());
    }
    if stand.contains(&Wall::Cpu) {
        plan.add("cpu.max", limits.cpu.as_ref().map(|l| l.with(quota(l.value))));
        plan.add("cpu.weight", limits.cpu_weight.clone());
    }
    plan.0
}

/// Processor time of each period, as `cpu.max` takes it.
fn quota(cpus: Cpus) -> String {
    format!("{} {CPU_PERIOD}", u64::from(cpus.0) * CPU_PERIOD / 100)
}

fn traffic(io: &Located<Bytes>, facts: &HostFacts, mounts: &[Mount]) -> Vec<Limit> {
    let value = |(major, minor)| format!("{major}:{minor} rbps={0} wbps={0}", io.value.0);
    let values = disks(facts, mounts).into_iter().map(value);
    let limit = |value| Limit { file: "io.max", value, origin: io.place.to_string() };
    values.map(limit).collect()
}

fn share(weight: &Located<u64>, facts: &HostFacts) -> Vec<Limit> {
    let limit = |(file, value)| Limit {
        file,
        value: format!("default {value}"),
        origin: weight.place.to_string(),
    };
    io_weights(facts, weight.value).into_iter().map(limit).collect()
}

/// What all agents together may use, as far as this host has the controllers.
fn ceiling(slice: &Slice, facts: &HostFacts) -> Vec<Limit> {
    let kernel = &facts.kernel;
    let bytes = |share: Share<Bytes>| match share {
        Share::Amount(bytes) => Some(bytes.0),
        Share::Percent(percent) => part(kernel.memory, percent),
    };
    let tasks = |share: Share<u64>| match share {
        Share::Amount(tasks) => Some(tasks),
        Share::Percent(percent) => part(kernel.tasks, percent),
    };
    let mut plan = Settings::default();
    // What has no ceiling by now may have had one before.
    plan.add("memory.max", Some(at(&slice.memory, bytes)));
    plan.add("memory.high", Some(at(&slice.memory_high, bytes)));
    plan.add("memory.swap.max", Some(at(&slice.swap, bytes)));
    plan.add("pids.max", Some(at(&slice.tasks, tasks)));
    let none = |value: String| if value == NONE { format!("{NONE} {CPU_PERIOD}") } else { value };
    let cpu = at(&slice.cpu, |cpus| Some(quota(cpus)));
    plan.add("cpu.max", Some(cpu.with(none(cpu.value.clone()))));
    let offered = |limit: &Limit| {
        limit.file.split_once('.').is_some_and(|(name, _)| facts.cgroups.controllers.contains(name))
    };
    plan.0.retain(offered);
    plan.0
}

/// The ceilings that somebody wrote down, each with the wall whose controller holds it.
pub(super) fn written_ceilings(slice: &Slice) -> Vec<(Wall, &Place)> {
    fn of<T>(wall: Wall, ceiling: &Located<Ceiling<T>>) -> Option<(Wall, &Place)> {
        let written = ceiling.place.line > 0 && !matches!(ceiling.value, Ceiling::None);
        written.then_some((wall, &ceiling.place))
    }
    let memory = [&slice.memory, &slice.memory_high, &slice.swap];
    let memory = memory.into_iter().find_map(|ceiling| of(Wall::Memory, ceiling));
    [memory, of(Wall::Tasks, &slice.tasks), of(Wall::Cpu, &slice.cpu)]
        .into_iter()
        .flatten()
        .collect()
}

/// The ceiling as its interface file takes it.
fn at<T: Copy, U: Display>(
    ceiling: &Located<Ceiling<T>>,
    value: impl Fn(T) -> Option<U>,
) -> Located<String> {
    let most = match ceiling.value {
        Ceiling::None => None,
        Ceiling::At(most) => value(most),
    };
    ceiling.with(most.map_or(NONE.to_owned(), |most| most.to_string()))
}

/// So many hundredths of what the machine has; nothing where it does not tell how much that is.
fn part(whole: u64, percent: u64) -> Option<u64> {
    let part = u64::try_from(u128::from(whole) * u128::from(percent) / 100).ok()?;
    Some(part).filter(|part| *part > 0)
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
