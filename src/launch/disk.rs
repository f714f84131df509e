//! Bounds on what writable trees hold on disk: project quotas (quotactl(2), ext4(5), xfs_quota(8)).
//!
//! A bound is made in three parts: every file and directory of its trees is given to the agent's project,
//! the directories so that what is made in them belongs to it too; then the project gets its limit. In
//! the agent's user namespace the kernel lets nobody change a file's project (`fileattr_set_prepare` of
//! fs/ioctl.c), and the policy refuses the call. At the end the files are nobody's again.
//!
//! Never changes a file that belongs to another project. Projects with the numbers that agents have are
//! cellblock's alone, with their limits. What cannot be opened without an act (symbolic links, pipes, sockets) is left alone: it holds no data.

use super::error::{LaunchError, cannot};
use super::record::Made;
use super::trees::{self, Visited};
use crate::host::paths;
use crate::plan::{DiskBound, Plan};
use crate::profile::types::Bytes;
use crate::sys::{self, Project, ProjectUse};
use rustix::fd::OwnedFd;
use rustix::fs::{fstat, major, minor};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One bound, as the record tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Major and minor number of the file system.
    pub device: (u32, u32),
    /// The number of the project.
    pub project: u32,
    /// Bytes at the most.
    pub bytes: u64,
    /// Inodes at the most.
    pub inodes: u64,
    /// The trees.
    pub trees: Vec<PathBuf>,
}

/// Why a tree cannot be bounded, or let go.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file that belongs to somebody else's project.
    #[error("`{}` belongs to project {project}, which is not the agent's", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its project.
        project: u32,
    },
    /// Another agent has the tree.
    #[error("`{}` is bounded for a running agent ({launch})", .path.display())]
    Shared {
        /// The tree.
        path: PathBuf,
        /// The name of its launch.
        launch: String,
    },
    /// What is there is more than the bound.
    #[error(
        "`{}` holds {used} bytes in {inodes} files already, more than `disk` allows: {} and {most} files",
        .path.display(), Bytes(*.bytes)
    )]
    Full {
        /// The first tree.
        path: PathBuf,
        /// Bytes in all trees.
        used: u64,
        /// Inodes in all trees.
        inodes: u64,
        /// The bound in bytes.
        bytes: u64,
        /// The bound in inodes.
        most: u64,
    },
    /// Another file system, or another part of one, is mounted inside the tree.
    #[error("something is mounted at `{}`, and would not be bounded", .0.display())]
    Mounted(PathBuf),
    /// Directories were moved during the walk.
    #[error("`{}` was moved about while it was walked through", .0.display())]
    Moving(PathBuf),
}

impl DiskError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Foreign { path, .. } => format!(
                "if nobody needs that project: chattr -R -P -p 0 {} (of a whole tree; an agent that lost its \
                 launcher to a power failure takes back its own when it runs the next time)",
                path.display()
            ),
            Self::Shared { .. } => {
                "let that agent end, or give this one another directory".to_owned()
            }
            Self::Full { .. } => "make room, or raise `disk` in [limits]".to_owned(),
            Self::Mounted(_) => "unmount it, or let the profile write to less".to_owned(),
            Self::Moving(_) => "try again when nobody moves directories in it".to_owned(),
        }
    }
}

/// The bounds of `plan`, to be announced.
pub(super) fn bounds(plan: &Plan) -> Vec<Bound> {
    plan.disk.bounds.iter().map(bound).collect()
}

fn bound(planned: &DiskBound) -> Bound {
    let DiskBound { device, project, bytes, inodes, trees, .. } = planned;
    let trees = trees.iter().map(PathBuf::from).collect();
    Bound { device: *device, project: *project, bytes: *bytes, inodes: *inodes, trees }
}

/// Refuses trees in which another launch has its bound. Jails of the same agent share a project; they may
/// share its bound as well, if it is the same one.
///
/// # Errors
/// [`DiskError::Shared`].
pub(super) fn refuse_shared(mine: &[Bound], others: &[(String, Made)]) -> Result<(), LaunchError> {
    for (launch, made) in others {
        let clash = |mine: &Bound| made.disk.iter().find_map(|theirs| clash(mine, theirs));
        if let Some(path) = mine.iter().find_map(clash) {
            return Err(DiskError::Shared { path, launch: launch.clone() }.into());
        }
    }
    Ok(())
}

/// A tree of `mine` that cannot be bounded while `theirs` stands.
fn clash(mine: &Bound, theirs: &Bound) -> Option<PathBuf> {
    let same_project = (mine.project, mine.device) == (theirs.project, theirs.device);
    let same_limit = (mine.bytes, mine.inodes) == (theirs.bytes, theirs.inodes);
    if same_project && !same_limit {
        return mine.trees.first().cloned();
    }
    let clashes = |tree: &&PathBuf| {
        theirs.trees.iter().any(|other| {
            let overlap = tree.starts_with(other) || other.starts_with(tree);
            overlap && !(same_project && *tree == other)
        })
    };
    mine.trees.iter().find(clashes).cloned()
}

/// Gives the trees of `bound` to its project, and the project its limit.
///
/// # Errors
/// [`LaunchError::Disk`] or [`LaunchError::Call`]; what was done by then is undone with the record.
pub(super) fn make(bound: &Bound) -> Result<(), LaunchError> {
    let Some(first) = bound.trees.first() else { return Ok(()) };
    let (opened, _) = trees::open(first)?;
    let project = bound.project;
    for tree in &bound.trees {
        on_device(tree, bound.device)?;
        trees::walk(tree, &mut |file, visited| take(file, visited, project))?;
    }
    let used = used_of(&opened, first, project)?;
    if used.bytes > bound.bytes || used.inodes > bound.inodes {
        return Err(DiskError::Full {
            path: first.clone(),
            used: used.bytes,
            inodes: used.inodes,
            bytes: bound.bytes,
            most: bound.inodes,
        }
        .into());
    }
    sys::limit_project(&opened, project, bound.bytes, bound.inodes)
        .map_err(cannot("limit the project of", &first.display().to_string()))
}

fn used_of(opened: &OwnedFd, tree: &Path, project: u32) -> Result<ProjectUse, LaunchError> {
    let shown = tree.display().to_string();
    sys::project_use(opened, project).map_err(cannot("ask for the quota of", &shown))
}

/// The tree must be on the file system that it was planned for.
fn on_device(tree: &Path, device: (u32, u32)) -> Result<(), LaunchError> {
    let shown = tree.display().to_string();
    let place = paths::open(tree).map_err(cannot("open", &shown))?;
    let stat = fstat(&place).map_err(cannot("look at", &shown))?;
    if (major(stat.st_dev), minor(stat.st_dev)) == device {
        return Ok(());
    }
    Err(cannot("find the planned file system at", &shown)(Errno::STALE))
}

/// What is to be done about a file of `found` so that it belongs to `wanted`; an error is the foreign
/// project that it belongs to.
fn change(found: Project, wanted: Project) -> Result<Option<Project>, u32> {
    let free = found == Project::default();
    if !free && found.id != wanted.id {
        return Err(found.id);
    }
    Ok((found != wanted).then_some(wanted))
}

fn take(file: &OwnedFd, visited: Visited, project: u32) -> Result<(), LaunchError> {
    let shown = || trees::path_of(file);
    let failed = |errno| cannot("give to a project", &shown().display().to_string())(errno);
    let found = sys::project_of(file).map_err(failed)?;
    let wanted = Project { id: project, inherited: visited == Visited::Directory };
    let change = change(found, wanted)
        .map_err(|project| LaunchError::from(DiskError::Foreign { path: shown(), project }))?;
    let Some(wanted) = change else { return Ok(()) };
    // In two steps, because ext4 sets the flag before the number: should it fail or the power go in
    // between, no directory is left that hands down a project it has not got.
    sys::set_project(file, Project { inherited: found.inherited, ..wanted }).map_err(failed)?;
    if wanted.inherited { sys::set_project(file, wanted).map_err(failed) } else { Ok(()) }
}

/// Takes the files of `project` out of it, and leaves all others as they are.
fn let_go(file: &OwnedFd, project: u32) -> Result<(), LaunchError> {
    let failed = |errno| {
        cannot("take out of its project", &trees::path_of(file).display().to_string())(errno)
    };
    if sys::project_of(file).map_err(failed)?.id != project {
        return Ok(());
    }
    sys::set_project(file, Project::default()).map_err(failed)
}

/// Undoes [`make`], as far as no other launch of the same agent rests on it.
///
/// # Errors
/// [`LaunchError`] for the first thing that could not be undone.
pub(super) fn remove(bound: &Bound, others: &[(String, Made)]) -> Result<(), LaunchError> {
    let same = |other: &&Bound| (other.project, other.device) == (bound.project, bound.device);
    let others: Vec<_> = others.iter().flat_map(|(_, made)| &made.disk).filter(same).collect();
    for tree in &bound.trees {
        if others.iter().any(|other| other.trees.contains(tree)) {
            continue;
        }
        match on_device(tree, bound.device) {
            Ok(()) => trees::walk(tree, &mut |file, _| let_go(file, bound.project))?,
            // Removed, or something else by now: then nothing of it can be found.
            Err(LaunchError::Call { errno, .. }) if is_gone(errno) => {
                tracing::warn!(tree = %tree.display(), project = bound.project, "gone, and its project with it");
            }
            Err(error) => return Err(error),
        }
    }
    if others.is_empty() { unlimit(bound) } else { Ok(()) }
}

/// What the kernel says of a path that leads elsewhere by now, or nowhere.
fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE)
}

/// Takes the limit away: by a tree, or by the nearest directory above one that is on its file system.
fn unlimit(bound: &Bound) -> Result<(), LaunchError> {
    let mut places = bound.trees.iter().flat_map(|tree| tree.ancestors());
    let Some(place) = places.find(|place| on_device(place, bound.device).is_ok()) else {
        // Unmounted. Who mounts it again finds a limit of a project without files.
        tracing::warn!(project = bound.project, "its file system is gone, and the limit with it");
        return Ok(());
    };
    let shown = place.display().to_string();
    let opened = paths::open(place).map_err(cannot("open", &shown))?;
    sys::limit_project(&opened, bound.project, 0, 0)
        .map_err(cannot("take away the limit of a project on the file system of", &shown))
}

/// What the trees of `bound` hold now, and their limit.
fn used(bound: &Bound) -> Result<ProjectUse, LaunchError> {
    let Some(first) = bound.trees.first() else { return Ok(ProjectUse::default()) };
    let shown = first.display().to_string();
    let opened = paths::open(first).map_err(cannot("open", &shown))?;
    used_of(&opened, first, bound.project)
}

/// Reads the bounds of `plan` back from the file systems.
///
/// # Errors
/// [`LaunchError::NotAsPlanned`] with the first difference, or [`LaunchError::Call`].
pub(super) fn confirm(plan: &Plan) -> Result<(), LaunchError> {
    for bound in bounds(plan) {
        let limits = |bytes: u64, inodes: u64| format!("{bytes} bytes and {inodes} files");
        let found = used(&bound)?;
        let expected = limits(bound.bytes / 1024 * 1024, bound.inodes);
        compare("the disk limit", &expected, &limits(found.byte_limit, found.inode_limit))?;
        for tree in &bound.trees {
            let (opened, _) = trees::open(tree)?;
            let shown = tree.display().to_string();
            let project = sys::project_of(&opened).map_err(cannot("look at", &shown))?.id;
            let what = format!("the project of `{shown}`");
            compare(&what, &bound.project.to_string(), &project.to_string())?;
        }
    }
    Ok(())
}

fn compare(what: &str, expected: &str, found: &str) -> Result<(), LaunchError> {
    if expected == found {
        return Ok(());
    }
    Err(LaunchError::NotAsPlanned {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(project: u32, trees: &[&str]) -> Bound {
        let trees = trees.iter().map(PathBuf::from).collect();
        Bound { device: (253, 1), project, bytes: 1 << 30, inodes: 1000, trees }
    }

    #[test]
    fn a_tree_has_one_agents_bound_at_a_time() {
        let mine = bound(70_001, &["/srv/a", "/srv/b"]);
        let free = [bound(70_002, &["/srv/c"]), bound(70_002, &["/srv/ab"])];
        assert!(free.iter().all(|theirs| clash(&mine, theirs).is_none()));
        for theirs in ["/srv/b", "/srv/b/inside", "/srv", "/"] {
            assert!(clash(&mine, &bound(70_002, &[theirs])).is_some(), "{theirs}");
        }
        // The same agent's: the same tree, or another one; not a part of one.
        assert_eq!(clash(&mine, &bound(70_001, &["/srv/b", "/srv/c"])), None);
        assert!(clash(&mine, &bound(70_001, &["/srv/b/inside"])).is_some());
        let other_limit = Bound { bytes: 2 << 30, ..bound(70_001, &["/srv/z"]) };
        assert!(clash(&mine, &other_limit).is_some());
        let elsewhere = Bound { device: (253, 2), ..other_limit };
        assert_eq!(clash(&mine, &elsewhere), None);
    }

    #[test]
    fn what_belongs_to_another_project_is_left_alone() {
        let project = |id, inherited| Project { id, inherited };
        let wanted = project(70_001, true);
        assert_eq!(change(project(0, false), wanted), Ok(Some(wanted)));
        assert_eq!(change(project(70_001, false), wanted), Ok(Some(wanted)));
        assert_eq!(change(wanted, wanted), Ok(None));
        assert_eq!(change(project(7, true), wanted), Err(7));
        assert_eq!(change(project(7, false), wanted), Err(7));
        // Somebody wants what is made there to belong to nobody.
        assert_eq!(change(project(0, true), wanted), Err(0));
    }

    #[test]
    fn a_record_of_an_older_version_tells_of_no_bound() {
        let made: Made = serde_json::from_str("{\"cgroup\":null,\"stubs\":[]}").unwrap();
        assert_eq!(made.disk, []);
        let made = Made { disk: vec![bound(70_001, &["/srv/a"])], ..Made::default() };
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<Made>(&text).unwrap(), made);
    }
}
