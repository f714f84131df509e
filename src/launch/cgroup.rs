//! The agent's cgroup (Documentation/admin-guide/cgroup-v2.rst).

use super::error::{LaunchError, cannot, cannot_io};
use crate::host::text;
use crate::plan::CgroupPlan;
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

/// Where the cgroup called `name` is.
pub(super) fn path(plan: &CgroupPlan, name: &str) -> PathBuf {
    Path::new(&plan.mount).join(&plan.slice).join(name)
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

/// Makes the cgroup with its limits and opens it.
pub(super) fn make(plan: &CgroupPlan, path: &Path) -> Result<OwnedFd, LaunchError> {
    let slice = Path::new(&plan.mount).join(&plan.slice);
    make_directory(&slice)?;
    // A controller works in a cgroup once every cgroup above it hands it down.
    for above in [Path::new(&plan.mount), &slice] {
        enable(above, &plan.controllers)?;
    }
    let shown = path.display().to_string();
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).map_err(cannot("make", &shown))?;
    for limit in &plan.limits {
        write(&path.join(limit.file), &limit.value)?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(cannot("open", &shown))
}

fn enable(cgroup: &Path, controllers: &[&str]) -> Result<(), LaunchError> {
    if controllers.is_empty() {
        return Ok(());
    }
    let file = cgroup.join("cgroup.subtree_control");
    let shown = file.display().to_string();
    let on = std::fs::read_to_string(&file).map_err(cannot_io("read", &shown))?;
    for controller in controllers {
        if !on.split_whitespace().any(|known| known == *controller) {
            write(&file, &format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// Ends every process in the cgroup (`cgroup.kill`, Linux 5.14).
pub(super) fn kill(path: &Path) -> Result<(), LaunchError> {
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

/// The processes in the cgroup.
pub(super) fn processes(path: &Path) -> Vec<i32> {
    let text = text::read(path.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
