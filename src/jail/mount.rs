//! Mounts, with the new mount API and from descriptors only (mount_setattr(2), move_mount(2)).

use super::error::{StepError, cannot};
use super::perform::Inside;
use crate::host::paths;
use crate::plan::{BLANK_DIRECTORY, BLANK_FILE};
use crate::sys::{self, TreeAttributes};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

/// Nothing mounted outside later appears inside, nor the other way round (mount_namespaces(7)).
pub(super) fn privatize() -> Result<(), StepError> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).map_err(cannot("make private", "all mounts"))
}

/// `path` in the jail relative to its root.
fn relative(path: &str) -> &str {
    let rest = path.trim_start_matches('/');
    if rest.is_empty() { "." } else { rest }
}

/// Opens `path` of the jail below its new root, following no symbolic link.
pub(super) fn place(inside: &Inside<'_>, path: &str) -> Result<OwnedFd, StepError> {
    paths::open_below(inside.root()?, relative(path)).map_err(cannot("open the place", path))
}

/// Attaches a tree that the parent made.
pub(super) fn attach(inside: &Inside<'_>, index: usize) -> Result<(), StepError> {
    let at = &inside.plan.mounts[index].at;
    if index == 0 {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        let root = inside.root()?;
        return rustix::mount::move_mount(root, "", CWD, inside.anchor, flags)
            .map_err(cannot("attach the new root to", inside.anchor));
    }
    let tree =
        inside.trees[index].as_ref().ok_or_else(|| cannot("find the tree of", at)(Errno::BADF))?;
    attach_to(tree.as_fd(), place(inside, at)?.as_fd()).map_err(cannot("mount", at))
}

/// Attaches `tree` to the place that `target` refers to.
pub(super) fn attach_to(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags)
}

/// A detached copy of what is mounted at `at`, with all below it.
pub(super) fn copy(at: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(at, "", flags)
}

/// Mounts `/proc` read-only and covers what is not about the jail's processes.
pub(super) fn mount_proc(inside: &mut Inside<'_>) -> Result<(), StepError> {
    let proc = new_proc().map_err(cannot("make", "/proc"))?;
    // Before the copy: what is attached nowhere cannot be copied before Linux 6.15.
    attach_to(proc.as_fd(), place(inside, "/proc")?.as_fd()).map_err(cannot("mount", "/proc"))?;
    // The two settings of the jail are written later, by way of a copy that stays writable.
    let writable = copy(proc.as_fd()).map_err(cannot("copy", "/proc"))?;
    let attributes = TreeAttributes { read_only: true, ..TreeAttributes::default() };
    sys::set_tree_attributes(proc.as_fd(), attributes)
        .map_err(cannot("make read-only", "/proc"))?;
    inside.settings = Some(writable);
    for name in &inside.plan.proc_masks {
        cover_proc(inside, proc.as_fd(), name)?;
    }
    Ok(())
}

/// A new view of the processes of this pid namespace (proc(5)).
pub(super) fn new_proc() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Covers `name` of `/proc`, unless this kernel does not have it or only root can open it anyway.
fn cover_proc(inside: &Inside<'_>, proc: BorrowedFd<'_>, name: &str) -> Result<(), StepError> {
    let target = match paths::open_below(proc, name) {
        Ok(target) => target,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(cannot("open /proc entry", name)(errno)),
    };
    let stat = rustix::fs::fstat(&target).map_err(cannot("look at /proc entry", name))?;
    if stat.st_mode & 0o077 == 0 {
        return Ok(());
    }
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    cover_blank(inside, target.as_fd(), directory).map_err(cannot("cover /proc entry", name))
}

/// Covers `target` with something empty that nobody can open.
pub(super) fn cover_blank(
    inside: &Inside<'_>,
    target: BorrowedFd<'_>,
    directory: bool,
) -> Result<(), Errno> {
    let blank = relative(if directory { BLANK_DIRECTORY } else { BLANK_FILE });
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let root = inside.root().map_err(|error| error.errno)?;
    let blank = rustix::mount::open_tree(root, blank, flags)?;
    attach_to(blank.as_fd(), target)
}

/// Makes the new root `/` and lets go of the old one (pivot_root(2), "pivot_root(".", ".")").
pub(super) fn pivot(inside: &Inside<'_>) -> Result<(), StepError> {
    rustix::process::fchdir(inside.root()?).map_err(cannot("enter", "the new root"))?;
    rustix::process::pivot_root(".", ".").map_err(cannot("pivot to", "the new root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(cannot("let go of", "the old root"))?;
    rustix::process::chdir("/").map_err(cannot("enter", "/"))
}
