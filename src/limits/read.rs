//! Reads what a jail uses: from its cgroup, from its file systems in memory, from its processes.
//!
//! What cannot be read is left out: a figure that is missing must not end an agent.

use super::figures::{
    ALL_MEMORY, ALL_TASKS, DISK, Figures, Gauge, Pressure, Throttle, Traffic, Unit,
};
use super::processes;
use crate::host::{SLICE, paths, text};
use crate::jobs::ledger::Rules as JobRules;
use crate::sys;
use crate::watch::rules::Rules;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags, fstatfs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What must be known of a jail to read its figures; part of the record of its launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The agent's name.
    pub agent: String,
    /// The folder with its journal.
    pub log: PathBuf,
    /// The profile's name.
    pub profile: String,
    /// PID 1 of the jail, by its number outside.
    pub init: i32,
    /// The agent's uid.
    pub uid: u32,
    /// Whether tmux shows it.
    pub session: bool,
    /// Where its cgroup is, if it has one.
    pub cgroup: Option<PathBuf>,
    /// The same, as a path below the mount.
    pub cgroup_path: String,
    /// The trees in memory that the agent can write, by their paths in the jail.
    pub trees: Vec<String>,
    /// Trees on disk that are bounded.
    pub disks: Vec<KeptDisk>,
    /// Pseudo terminals at the most.
    pub terminals: Option<u64>,
    /// Descriptors of one process at the most (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Tasks at the most by `RLIMIT_NPROC`, where that stands in for the controller.
    pub rlimit_tasks: Option<u64>,
    /// Bytes at which the memory watch ends the agent, where it stands in for the controller.
    pub memory_watch: Option<u64>,
    /// What the watch is to find, and what is done then.
    pub watch: Rules,
    /// Which jobs and notes the agent may have.
    pub jobs: JobRules,
    /// In whose name the ways into jobs are opened: the shim's uid.
    pub jobs_opener: Option<u32>,
}

/// Trees on disk that a project quota bounds together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDisk {
    /// Their paths on the host.
    pub trees: Vec<PathBuf>,
    /// The number of the project.
    pub project: u32,
}

/// Where the figures of one jail are read.
#[derive(Debug)]
pub struct Source {
    kept: Kept,
    /// The trees in memory, held open: they can be asked also when the jail has ended.
    trees: Vec<(String, OwnedFd)>,
    pts: Option<OwnedFd>,
}

impl Source {
    /// Opens what is to be read of a jail that runs.
    #[must_use]
    pub fn open(kept: Kept) -> Self {
        let root = format!("/proc/{}/root", kept.init);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty()).ok();
        let below = |at: &str| {
            let root = root.as_ref()?;
            paths::open_below(root.as_fd(), at.trim_start_matches('/')).ok()
        };
        let trees = kept.trees.iter().filter_map(|at| Some((at.clone(), below(at)?))).collect();
        let pts = kept.terminals.and_then(|_| below("dev/pts"));
        Self { kept, trees, pts }
    }

    /// What the jail is.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The figures of this moment.
    #[must_use]
    pub fn read(&self) -> Figures {
        let mut figures = self.kept.cgroup.as_deref().map(of_cgroup).unwrap_or_default();
        let has = |figures: &Figures, name| figures.gauge(name).is_some();
        if !has(&figures, "memory") {
            figures.gauges.extend(self.watched_memory());
        }
        if !has(&figures, "tasks") {
            figures.gauges.extend(self.counted_tasks());
        }
        figures.gauges.extend(self.trees.iter().flat_map(|(at, tree)| of_tree(at, tree)));
        figures.gauges.extend(self.kept.disks.iter().filter_map(of_disk).flatten());
        figures.gauges.extend(self.of_terminals());
        figures.gauges.extend(self.of_descriptors());
        figures.gauges.extend(self.kept.cgroup.as_deref().map(of_ceiling).unwrap_or_default());
        figures
    }

    /// The processes of the jail.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        self.kept.cgroup.as_deref().map(processes::in_cgroup).unwrap_or_default()
    }

    /// Bytes that the jail holds, as far as the kernel tells without the controller: the memory of its
    /// processes, and its files in memory, also those without a name. What processes map of those files
    /// is counted once.
    #[must_use]
    pub fn held(&self) -> u64 {
        let pids = self.processes();
        let held = pids.iter().copied().filter_map(processes::held_memory);
        let (anonymous, shared) =
            held.fold((0, 0), |sum: (u64, u64), it| (sum.0 + it.anonymous, sum.1 + it.shared));
        let in_files = self.trees.iter().filter_map(|(_, tree)| fstatfs(tree).ok());
        let in_files = in_files.map(|stat| {
            let block = u64::try_from(stat.f_bsize).unwrap_or(0);
            stat.f_blocks.saturating_sub(stat.f_bfree) * block
        });
        let mut seen = BTreeSet::new();
        let nameless: u64 = pids.iter().map(|pid| processes::memory_files(*pid, &mut seen)).sum();
        anonymous + shared.max(in_files.sum::<u64>() + nameless)
    }

    /// Memory as far as the kernel tells without the controller.
    fn watched_memory(&self) -> Option<Gauge> {
        self.kept.cgroup.as_ref()?;
        let used = self.held();
        let mut gauge = Gauge::new("memory", Unit::Bytes, used, self.kept.memory_watch);
        gauge.held_by = self.kept.memory_watch.map(|_| "the memory watch");
        Some(gauge)
    }

    fn counted_tasks(&self) -> Option<Gauge> {
        self.kept.cgroup.as_ref()?;
        let used = self.processes().into_iter().filter_map(processes::threads).sum();
        let mut gauge = Gauge::new("tasks", Unit::Count, used, self.kept.rlimit_tasks);
        gauge.held_by = self.kept.rlimit_tasks.map(|_| "RLIMIT_NPROC");
        Some(gauge)
    }

    fn of_terminals(&self) -> Option<Gauge> {
        let pts = self.pts.as_ref()?;
        let listing = rustix::fs::openat(
            pts,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let entries = rustix::fs::Dir::read_from(listing.ok()?).ok()?.flatten();
        let number = |name: &std::ffi::CStr| name.to_bytes().iter().all(u8::is_ascii_digit);
        let used = entries.filter(|entry| number(entry.file_name())).count() as u64;
        Some(Gauge::new("terminals", Unit::Count, used, self.kept.terminals))
    }

    /// Of the process that has most of them open.
    fn of_descriptors(&self) -> Option<Gauge> {
        let counted = self
            .processes()
            .into_iter()
            .filter_map(|pid| Some((processes::descriptors(pid)?, pid)));
        let (used, pid) = counted.max()?;
        let mut gauge = Gauge::new("open_files", Unit::Count, used, self.kept.open_files);
        gauge.held_by = Some("each process alone");
        gauge.process = processes::named(pid);
        Some(gauge)
    }
}

/// The slice of all agents above a cgroup.
#[must_use]
pub fn slice(cgroup: &Path) -> Option<PathBuf> {
    let is_slice = |path: &&Path| path.file_name().is_some_and(|name| name == SLICE);
    cgroup.ancestors().find(is_slice).map(Path::to_owned)
}

/// Where the ceiling of all agents stands, if the cgroup at `path` is below one.
#[must_use]
pub fn of_ceiling(path: &Path) -> Vec<Gauge> {
    let Some(slice) = slice(path) else { return Vec::new() };
    let ceiling = of_cgroup(&slice);
    let shared = [("memory", ALL_MEMORY), ("tasks", ALL_TASKS)];
    let gauge = |(name, shown): (&str, &str)| {
        let gauge = ceiling.gauge(name).filter(|gauge| gauge.limit.is_some())?.clone();
        Some(Gauge { name: shown.to_owned(), ..gauge })
    };
    shared.into_iter().filter_map(gauge).collect()
}

/// A number in a file of the cgroup; `max` is none.
fn number(cgroup: &Path, file: &str) -> Option<u64> {
    text::read(cgroup.join(file)).ok()?.trim().parse().ok()
}

/// The number behind `name` in lines of a name and a number.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(known, _)| *known == name).and_then(|(_, number)| number.trim().parse().ok())
}

/// What the controllers of the cgroup at `path` tell (Documentation/admin-guide/cgroup-v2.rst).
#[must_use]
pub fn of_cgroup(path: &Path) -> Figures {
    let read = |file: &str| text::read(path.join(file)).unwrap_or_default();
    let memory_events = read("memory.events");
    let mut gauges = Vec::new();
    let mut add = |name: &str, unit, files: [&str; 3], hits: Option<u64>| {
        let [used, peak, limit] = files;
        let Some(used) = number(path, used) else { return };
        let mut gauge = Gauge::new(name, unit, used, number(path, limit));
        (gauge.peak, gauge.hits) = (number(path, peak), hits);
        gauges.push(gauge);
    };
    let memory = ["memory.current", "memory.peak", "memory.max"];
    add("memory", Unit::Bytes, memory, field(&memory_events, "max"));
    let high = ["memory.current", "memory.peak", "memory.high"];
    add("memory_high", Unit::Bytes, high, field(&memory_events, "high"));
    let swap = ["memory.swap.current", "memory.swap.peak", "memory.swap.max"];
    add("swap", Unit::Bytes, swap, field(&read("memory.swap.events"), "max"));
    let tasks = ["pids.current", "pids.peak", "pids.max"];
    add("tasks", Unit::Count, tasks, field(&read("pids.events"), "max"));
    // Where there is no second threshold, the row would only repeat the first.
    gauges.retain(|gauge| gauge.name != "memory_high" || gauge.limit.is_some());
    let resources = ["memory", "cpu", "io"];
    let pressure = resources.into_iter().filter_map(|name| {
        pressure(name, &text::read(path.join(format!("{name}.pressure"))).ok()?)
    });
    Figures {
        gauges,
        cpu: throttle(&read("cpu.stat"), &read("cpu.max")),
        pressure: pressure.collect(),
        io: traffic(&read("io.stat"), &read("io.max")),
        ooms: field(&memory_events, "oom").unwrap_or(0),
        oom_kills: field(&memory_events, "oom_kill").unwrap_or(0),
    }
}

/// What a list of many agents shows of the cgroup at `path`: memory, tasks, processor time and disk traffic, from a third of the
/// files that [`of_cgroup`] reads.
#[must_use]
pub fn brief_of_cgroup(path: &Path) -> Figures {
    let read = |file: &str| text::read(path.join(file)).unwrap_or_default();
    let gauge = |name: &str, unit, used, limit| {
        Some(Gauge::new(name, unit, number(path, used)?, number(path, limit)))
    };
    let memory = gauge("memory", Unit::Bytes, "memory.current", "memory.max");
    let tasks = gauge("tasks", Unit::Count, "pids.current", "pids.max");
    Figures {
        gauges: memory.into_iter().chain(tasks).collect(),
        cpu: throttle(&read("cpu.stat"), &read("cpu.max")),
        io: traffic(&read("io.stat"), &read("io.max")),
        ..Figures::default()
    }
}

/// The processor time that a cgroup has used (`cpu.stat`), from a file that stays open: it is asked for several times a second.
#[derive(Debug)]
pub struct ProcessorTime(OwnedFd);

impl ProcessorTime {
    /// Of the cgroup at this path; nothing where it cannot be read.
    #[must_use]
    pub fn open(cgroup: &Path) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(cgroup.join("cpu.stat"), flags, Mode::empty()).ok().map(Self)
    }

    /// In microseconds.
    #[must_use]
    pub fn used(&self) -> Option<u64> {
        // Its first line; the others are not needed.
        let mut text = [0; 256];
        let count = rustix::io::pread(&self.0, &mut text, 0).ok()?;
        field(&String::from_utf8_lossy(&text[..count]), "usage_usec")
    }
}

fn throttle(stat: &str, max: &str) -> Option<Throttle> {
    let of = |name| field(stat, name);
    let mut parts = max.split_whitespace().map(str::parse::<u64>);
    let mut next = || parts.next().and_then(Result::ok);
    let limit = next().zip(next());
    Some(Throttle {
        used_usec: of("usage_usec")?,
        limit_percent: limit.map(|(quota, period)| quota * 100 / period.max(1)),
        periods: of("nr_periods").unwrap_or(0),
        throttled: of("nr_throttled").unwrap_or(0),
        throttled_usec: of("throttled_usec").unwrap_or(0),
    })
}

/// The sums over all disks; the lowest limit of any of them.
fn traffic(stat: &str, max: &str) -> Option<Traffic> {
    let all = |text: &str, name: &str| -> Vec<u64> {
        let words = text.split_whitespace().filter_map(|word| word.strip_prefix(name));
        words.filter_map(|number| number.parse().ok()).collect()
    };
    let limits = all(max, "rbps=").into_iter().chain(all(max, "wbps="));
    let limit = limits.min();
    let sum = |name| all(stat, name).iter().sum();
    let traffic = Traffic { read: sum("rbytes="), written: sum("wbytes="), limit };
    (!stat.is_empty() || limit.is_some()).then_some(traffic)
}

/// The lines `some avg10=0.00 … total=0` and `full …`.
fn pressure(resource: &'static str, text: &str) -> Option<Pressure> {
    let value = |kind: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        line.split_whitespace().find_map(|word| word.strip_prefix(name)).map(str::to_owned)
    };
    let total = |kind| value(kind, "total=")?.parse::<u64>().ok();
    let average = value("some", "avg10=")?.replace('.', "").parse().ok();
    Some(Pressure {
        resource,
        some_usec: total("some")?,
        full_usec: total("full").unwrap_or(0),
        some_avg10: average.unwrap_or(0),
    })
}

/// Bytes and files of a tree in memory (statfs(2)).
fn of_tree(at: &str, tree: &OwnedFd) -> Vec<Gauge> {
    let Ok(stat) = fstatfs(tree) else { return Vec::new() };
    let block = u64::try_from(stat.f_bsize).unwrap_or(0);
    let gauge = |name: String, unit, total: u64, free: u64, each: u64| {
        Gauge::new(name, unit, total.saturating_sub(free) * each, Some(total * each))
    };
    vec![
        gauge(at.to_owned(), Unit::Bytes, stat.f_blocks, stat.f_bfree, block),
        gauge(format!("{at} (files)"), Unit::Count, stat.f_files, stat.f_ffree, 1),
    ]
}

/// Bytes and files of trees on disk, by the quota of their project (quotactl(2)).
fn of_disk(disk: &KeptDisk) -> Option<[Gauge; 2]> {
    let opened = paths::open(disk.trees.first()?).ok()?;
    let held = sys::project_use(&opened, disk.project).ok()?;
    let trees: Vec<_> = disk.trees.iter().map(|tree| tree.display().to_string()).collect();
    let name = format!("{DISK}{}", trees.join(", "));
    let gauge = |name, unit, used, limit| {
        let gauge = Gauge::new(name, unit, used, Some(limit).filter(|limit| *limit > 0));
        Gauge { held_by: Some("project quota"), ..gauge }
    };
    Some([
        gauge(name.clone(), Unit::Bytes, held.bytes, held.byte_limit),
        gauge(format!("{name} (files)"), Unit::Count, held.inodes, held.inode_limit),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(files: &[(&str, &str)]) -> Figures {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        of_cgroup(folder.path())
    }

    #[test]
    fn reads_what_the_controllers_write() {
        let figures = cgroup(&[
            ("memory.current", "4096\n"),
            ("memory.peak", "8192\n"),
            ("memory.max", "16384\n"),
            ("memory.high", "max\n"),
            ("memory.events", "low 0\nhigh 2\nmax 7\noom 1\noom_kill 3\noom_group_kill 0\n"),
            ("pids.current", "5\n"),
            ("pids.max", "max\n"),
            ("pids.events", "max 0\n"),
            ("cpu.stat", "usage_usec 900\nnr_periods 8\nnr_throttled 2\nthrottled_usec 50\n"),
            ("cpu.max", "150000 100000\n"),
            ("io.stat", "8:0 rbytes=10 wbytes=5 rios=1\n8:16 rbytes=1 wbytes=0\n"),
            ("io.max", "8:0 rbps=max wbps=1000 riops=max wiops=max\n"),
            (
                "memory.pressure",
                "some avg10=1.25 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
            ),
        ]);
        let memory = figures.gauge("memory").unwrap();
        assert_eq!((memory.used, memory.peak, memory.limit), (4096, Some(8192), Some(16384)));
        assert_eq!((memory.hits, figures.oom_kills), (Some(7), 3));
        let tasks = figures.gauge("tasks").unwrap();
        assert_eq!((tasks.used, tasks.peak, tasks.limit, tasks.hits), (5, None, None, Some(0)));
        assert!(figures.gauge("memory_high").is_none() && figures.gauge("swap").is_none());
        let cpu = figures.cpu.unwrap();
        assert_eq!((cpu.limit_percent, cpu.throttled, cpu.throttled_usec), (Some(150), 2, 50));
        assert_eq!(figures.io, Some(Traffic { read: 11, written: 5, limit: Some(1000) }));
        let [pressure] = &figures.pressure[..] else { panic!("{figures:?}") };
        assert_eq!((pressure.some_usec, pressure.full_usec, pressure.some_avg10), (77, 9, 125));
    }

    #[test]
    fn what_a_list_shows_is_as_in_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("memory.current", "4096\n"),
            ("memory.max", "16384\n"),
            ("pids.current", "5\n"),
            ("pids.max", "max\n"),
            ("cpu.stat", "usage_usec 900\n"),
            ("cpu.max", "150000 100000\n"),
            ("io.stat", "8:0 rbytes=10 wbytes=5\n"),
            ("io.max", "8:0 rbps=max wbps=1000\n"),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let (brief, whole) = (brief_of_cgroup(folder.path()), of_cgroup(folder.path()));
        assert_eq!(whole.gauges.len(), 2);
        for gauge in &whole.gauges {
            let shown = brief.gauge(&gauge.name).unwrap();
            assert_eq!((shown.used, shown.limit), (gauge.used, gauge.limit));
        }
        assert_eq!((brief.cpu, brief.io), (whole.cpu, whole.io));
    }

    #[test]
    fn a_cgroup_without_controllers_has_no_figures() {
        assert_eq!(cgroup(&[("cgroup.procs", "")]), Figures::default());
    }
}
