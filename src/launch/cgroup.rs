//! The agent's cgroup (Documentation/admin-guide/cgroup-v2.rst).
//!
//! ```text
//!  cellblock.slice                       the ceiling of all agents
//!  ├─ NAME.run                           the agent's processes and limits, where nobody keeps cgroups
//!  └─ cellblock-NAME-PID.scope           where systemd does: made by it, handed over
//!      ├─ launcher                       this process: a cgroup with children holds none itself
//!      └─ NAME.run                       the agent's processes and limits
//! ```

use super::error::{LaunchError, cannot};
use crate::host::{cgroups, text};
use crate::limits::processes;
use crate::plan::{CgroupPlan, Limit, Parent};
use crate::systemd;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the end of the last process is waited for: first in small steps, because a process that
/// was just reaped leaves its cgroup a few microseconds later, then in larger ones, 2 seconds in all.
const SHORT_PAUSE: Duration = Duration::from_micros(20);
const SHORT_WAITS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(5);
const WAITS: u32 = 450;

/// Where the cgroups of one launch are.
#[derive(Clone, Debug)]
pub(super) struct Location<'p> {
    plan: &'p CgroupPlan,
    /// What the agent's cgroup is called.
    name: String,
    /// The scope that systemd is asked for.
    scope: Option<String>,
}

impl<'p> Location<'p> {
    /// Of the jail called `name` of `agent`.
    pub(super) fn new(plan: &'p CgroupPlan, agent: &str, name: &str) -> Self {
        let scope = match plan.parent {
            // The number keeps it apart from one that ended a moment ago, and that systemd still knows.
            Parent::Scope => Some(scope(agent, std::process::id())),
            Parent::Slice | Parent::Delegated(_) => None,
        };
        Self { plan, name: name.to_owned(), scope }
    }

    /// The path of what holds the agent's cgroup, below the mount.
    fn parent(&self) -> String {
        match (&self.plan.parent, &self.scope) {
            (Parent::Delegated(path), _) => path.clone(),
            (Parent::Slice | Parent::Scope, Some(scope)) => {
                format!("/{}/{scope}", self.plan.slice)
            }
            (Parent::Slice | Parent::Scope, None) => format!("/{}", self.plan.slice),
        }
    }

    /// The path of the agent's cgroup below the mount.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.parent(), self.name)
    }

    /// Where the agent's cgroup is in the file system.
    pub(super) fn directory(&self) -> PathBuf {
        self.at(&self.path())
    }

    fn at(&self, path: &str) -> PathBuf {
        Path::new(&self.plan.mount).join(path.trim_start_matches('/'))
    }

    fn slice(&self) -> PathBuf {
        Path::new(&self.plan.mount).join(self.plan.slice)
    }

    /// Has systemd make the scope and puts this process into it.
    pub(super) fn enter_scope(&self, agent: &str) -> Result<(), LaunchError> {
        let Some(scope) = &self.scope else { return Ok(()) };
        let parent = self.parent();
        let entered = || own().is_ok_and(|own| own == parent);
        let description = format!("The jail of the agent {agent}");
        systemd::enter_scope(scope, self.plan.slice, &description, entered)?;
        // Afterwards: what launchers asked for that were killed since, systemd has done by now, too.
        self.remove_scopes_of_the_dead();
        Ok(())
    }

    /// Two things stay of launchers that were killed. Killed while systemd moves it, one leaves a scope: the
    /// kernel takes the move of a dead process for done, and systemd waits for the end of what never was in. And
    /// where systemd takes the cgroups of a scope away while a sweep removes the agent's out of them, it gives up,
    /// and knows the scope no more, whose cgroup stays. What cannot be removed is logged and left for the next
    /// launch.
    fn remove_scopes_of_the_dead(&self) {
        let of_the_dead = |scope: &PathBuf| {
            let launcher = scope.file_name().and_then(|name| launcher_of(name.to_str()?));
            launcher.is_some_and(|pid| !processes::is_running(pid)) && is_empty(scope)
        };
        for scope in children(&self.slice()).into_iter().filter(of_the_dead) {
            let name = scope.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let removed =
                systemd::stop(&name).map_err(LaunchError::from).and_then(|()| remove(&scope));
            match removed {
                Ok(()) => tracing::info!(scope = name, "removed what a killed launcher left"),
                Err(error) => tracing::warn!(scope = name, %error, "left for the next launch"),
            }
        }
    }

    /// Sees to it that all agents together have their ceiling.
    pub(super) fn hold_ceiling(&self) -> Result<(), LaunchError> {
        let slice = self.slice();
        if self.plan.parent == Parent::Slice {
            make_directory(&slice)?;
            enable(Path::new(&self.plan.mount), &self.plan.controllers)?;
        }
        let ceiling = &self.plan.ceiling;
        let missed: Vec<_> = ceiling.iter().filter(|limit| !holds(&slice, limit)).collect();
        if missed.is_empty() {
            return Ok(());
        }
        if self.plan.parent == Parent::Slice {
            missed.iter().try_for_each(|limit| write(&slice.join(limit.file), &limit.value))?;
        } else {
            let settings: Vec<_> = missed.iter().filter_map(|limit| setting(limit)).collect();
            systemd::set(self.plan.slice, &settings)?;
        }
        missed.into_iter().try_for_each(|limit| confirm(&slice, limit))
    }

    /// Makes the cgroup with its limits and opens it.
    pub(super) fn make(&self) -> Result<OwnedFd, LaunchError> {
        let parent = self.at(&self.parent());
        if self.plan.parent == Parent::Slice {
            make_directory(&parent)?;
            enable(Path::new(&self.plan.mount), &self.plan.controllers)?;
        } else if own()? == self.parent() {
            // A cgroup that hands controllers down to its children holds no process itself.
            let leaf = parent.join("launcher");
            make_directory(&leaf)?;
            write(&leaf.join("cgroup.procs"), "0")?;
        }
        // A controller works in a cgroup once every cgroup above it hands it down.
        enable(&parent, &self.plan.controllers)?;
        let path = self.directory();
        let shown = path.display().to_string();
        rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755)).map_err(cannot("make", &shown))?;
        set(&path, &self.plan.limits)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, Mode::empty()).map_err(cannot("open", &shown))
    }
}

/// The scope of the launcher `pid`.
fn scope(agent: &str, pid: u32) -> String {
    format!("cellblock-{agent}-{pid}.scope")
}

/// The launcher that a scope is called after.
fn launcher_of(scope: &str) -> Option<i32> {
    let name = scope.strip_prefix("cellblock-")?.strip_suffix(".scope")?;
    name.rsplit_once('-')?.1.parse().ok()
}

/// Whether no process is in the cgroup, nor in one below it.
fn is_empty(cgroup: &Path) -> bool {
    text::read(cgroup.join("cgroup.events"))
        .is_ok_and(|events| events.lines().any(|line| line == "populated 0"))
}

/// The cgroup of this process, below the mount.
fn own() -> Result<String, LaunchError> {
    let text = text::read("/proc/self/cgroup").map_err(cannot("read", "/proc/self/cgroup"))?;
    Ok(cgroups::path_in(&text).unwrap_or_default())
}

/// The setting of a systemd slice that writes the file of `limit` (systemd.resource-control(5)).
fn setting(limit: &Limit) -> Option<systemd::Setting> {
    let number = |text: &str| if text == "max" { Some(u64::MAX) } else { text.parse().ok() };
    let name = match limit.file {
        "memory.max" => "MemoryMax",
        "memory.high" => "MemoryHigh",
        "memory.swap.max" => "MemorySwapMax",
        "pids.max" => "TasksMax",
        "cpu.max" => {
            let (quota, period) = limit.value.split_once(' ')?;
            let per_second = |quota: u64| Some(quota.checked_mul(1_000_000)? / number(period)?);
            let quota = number(quota)?;
            let quota = if quota == u64::MAX { quota } else { per_second(quota)? };
            return Some(("CPUQuotaPerSecUSec", quota));
        }
        _ => return None,
    };
    Some((name, number(&limit.value)?))
}

/// Whether the cgroup at `path` has the setting. A file that is not there limits nothing.
fn holds(path: &Path, limit: &Limit) -> bool {
    match text::read(path.join(limit.file)) {
        Ok(found) => same(limit, &found),
        Err(_) => limit.is_none(),
    }
}

/// Reads a setting back.
fn confirm(path: &Path, limit: &Limit) -> Result<(), LaunchError> {
    let file = path.join(limit.file);
    let shown = file.display().to_string();
    if limit.is_none() && !file.exists() {
        return Ok(());
    }
    let found = text::read(&file).map_err(cannot("read", &shown))?;
    if same(limit, &found) {
        return Ok(());
    }
    let found = found.trim().to_owned();
    Err(LaunchError::NotAsPlanned { what: shown, expected: limit.value.clone(), found })
}

/// Whether the kernel, which counts memory in pages, tells of the setting as `found`.
fn same(limit: &Limit, found: &str) -> bool {
    let page = rustix::param::page_size() as u64;
    let number = |text: &str| text.parse::<u64>().ok();
    if let (true, Some(wanted)) = (limit.file.starts_with("memory."), number(&limit.value)) {
        let whole = wanted / page * page;
        return number(found.trim()).is_some_and(|found| found == wanted || found == whole);
    }
    // More may follow: what was not set, as in `max 100000`.
    let mut rests = found.lines().filter_map(|line| line.strip_prefix(limit.value.as_str()));
    rests.any(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn write(file: &Path, value: &str) -> Result<(), LaunchError> {
    let shown = file.display().to_string();
    let open = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(file, open, Mode::empty()).map_err(cannot("open", &shown))?;
    rustix::io::write(&file, value.as_bytes()).map_err(cannot("write", &shown))?;
    Ok(())
}

fn make_directory(path: &Path) -> Result<(), LaunchError> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(cannot("make", &path.display().to_string())(errno)),
    }
}

fn enable(cgroup: &Path, controllers: &[&str]) -> Result<(), LaunchError> {
    if controllers.is_empty() {
        return Ok(());
    }
    let file = cgroup.join("cgroup.subtree_control");
    let shown = file.display().to_string();
    let on = text::read(&file).map_err(cannot("read", &shown))?;
    for controller in controllers {
        if !on.split_whitespace().any(|known| known == *controller) {
            write(&file, &format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// What a file of the cgroup says, as it could be written to it.
pub(super) fn setting_of(path: &Path, file: &str) -> Result<String, LaunchError> {
    let file = path.join(file);
    let text = text::read(&file).map_err(cannot("read", &file.display().to_string()))?;
    Ok(text.trim().to_owned())
}

/// Changes settings of a cgroup that exists, and reads them back.
pub(super) fn set(path: &Path, limits: &[Limit]) -> Result<(), LaunchError> {
    for limit in limits {
        write(&path.join(limit.file), &limit.value)?;
        confirm(path, limit)?;
    }
    Ok(())
}

/// Files of a cgroup, held open: whoever has them needs no rights for what they do.
#[derive(Debug)]
pub struct Switches {
    kill: OwnedFd,
    freeze: OwnedFd,
}

impl Switches {
    pub(super) fn open(cgroup: &Path) -> Result<Self, LaunchError> {
        let open = |file: &str| {
            let path = cgroup.join(file);
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let shown = path.display().to_string();
            rustix::fs::open(&path, flags, Mode::empty()).map_err(cannot("open", &shown))
        };
        Ok(Self { kill: open("cgroup.kill")?, freeze: open("cgroup.freeze")? })
    }

    /// Ends every process in the cgroup.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn kill(&self) -> Result<(), Errno> {
        match rustix::io::write(&self.kill, b"1") {
            Ok(_) | Err(Errno::NODEV) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Freezes every process in the cgroup, or lets all go on.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn freeze(&self, frozen: bool) -> Result<(), Errno> {
        rustix::io::write(&self.freeze, if frozen { b"1" } else { b"0" }).map(|_| ())
    }

    /// All descriptors.
    #[must_use]
    pub fn descriptors(&self) -> [rustix::fd::BorrowedFd<'_>; 2] {
        use rustix::fd::AsFd as _;
        [self.kill.as_fd(), self.freeze.as_fd()]
    }
}

/// Ends every process in the cgroup (`cgroup.kill`, Linux 5.14).
///
/// # Errors
/// [`LaunchError::Call`].
pub fn kill(path: &Path) -> Result<(), LaunchError> {
    match write(&path.join("cgroup.kill"), "1") {
        Err(LaunchError::Call { errno: Errno::NOENT, .. }) => Ok(()),
        other => other,
    }
}

/// Ends every process in the cgroup and removes it with all below it.
pub(super) fn remove(path: &Path) -> Result<(), LaunchError> {
    let shown = path.display().to_string();
    for wait in 0..WAITS {
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(cannot("remove", &shown)(errno)),
        }
        if wait < SHORT_WAITS {
            std::thread::sleep(SHORT_PAUSE);
            continue;
        }
        if wait == SHORT_WAITS {
            kill(path)?;
        }
        children(path).iter().try_for_each(|child| remove(child))?;
        std::thread::sleep(PAUSE);
    }
    Err(cannot("remove, as processes do not end,", &shown)(Errno::BUSY))
}

fn children(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(file: &'static str, value: &str) -> Limit {
        Limit { file, value: value.to_owned(), origin: String::new() }
    }

    #[test]
    fn settings_are_read_back_as_the_kernel_writes_them() {
        assert!(same(&limit("memory.max", "100000000"), "99999744\n"));
        assert!(!same(&limit("memory.max", "100000000"), "99995648\n"));
        assert!(!same(&limit("memory.max", "100000000"), "max\n"));
        assert!(same(&limit("memory.high", "max"), "max\n"));
        assert!(same(&limit("cpu.max", "max"), "max 100000\n"));
        assert!(same(
            &limit("io.max", "8:0 rbps=1 wbps=1"),
            "8:0 rbps=1 wbps=1 riops=max wiops=max\n"
        ));
        assert!(!same(&limit("pids.max", "128"), "12\n"));
        assert!(!same(&limit("pids.max", "100"), "1000\n"));
        assert!(!same(&limit("io.weight", "default 10"), "default 100\n"));
        assert!(same(&limit("io.weight", "default 10"), "default 10\n8:0 20\n"));
    }

    #[test]
    fn a_scope_names_its_launcher() {
        assert_eq!(launcher_of(&scope("a-b", 4711)), Some(4711));
        let others = ["session-4.scope", "cellblock-7.scope", "cellblock-a-7.service", "a.run"];
        assert!(others.iter().all(|name| launcher_of(name).is_none()));
    }

    #[test]
    fn every_file_of_a_ceiling_has_a_setting_of_systemd() {
        assert_eq!(setting(&limit("memory.max", "1024")), Some(("MemoryMax", 1024)));
        assert_eq!(setting(&limit("memory.high", "max")), Some(("MemoryHigh", u64::MAX)));
        assert_eq!(setting(&limit("memory.swap.max", "0")), Some(("MemorySwapMax", 0)));
        assert_eq!(setting(&limit("pids.max", "9")), Some(("TasksMax", 9)));
        let quota = ("CPUQuotaPerSecUSec", 1_500_000);
        assert_eq!(setting(&limit("cpu.max", "150000 100000")), Some(quota));
        assert_eq!(setting(&limit("cpu.max", "max 100000")), Some((quota.0, u64::MAX)));
    }
}
