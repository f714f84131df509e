//! Attacks on mounts, in namespaces of the attack's own, in which it has every capability.

use super::super::shared::{climb, flags, here, number, plant, text};
use crate::sys::Argument::Bytes;
use crate::sys::{Entry, attempt};
use crate::verify::probe::{Attempted, Stop, broken};
use crate::verify::scene::Scene;
use nix::sched::{CloneFlags, unshare};
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags,
};

/// What the attacks write to: shown in every jail to be read only.
const HOOKS: &str = ".git/hooks";
const HOOK: &str = ".git/hooks/pre-commit";

/// A user namespace and a mount namespace of its own.
pub(super) fn own_mounts() -> Result<(), Stop> {
    Ok(unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?)
}

/// Where `path` is no mount yet, as it is one in a jail, `source` is mounted there.
fn covered(source: &str, path: &str) -> Result<(), Stop> {
    let stat = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?;
    if !stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        rustix::mount::mount_bind(source, path)?;
    }
    Ok(())
}

/// The path of what is protected, as a mount.
fn protected(scene: &Scene) -> Result<String, Stop> {
    let hooks = scene.in_workspace(HOOKS);
    own_mounts()?;
    covered(&hooks, &hooks)?;
    Ok(hooks)
}

/// Makes the mount of a protected directory writable, by mount(2).
pub(super) fn remount(scene: &Scene) -> Attempted {
    let hooks = protected(scene)?;
    let kept = rustix::fs::statvfs(&*hooks)?.f_flag
        & (StatVfsMountFlags::NOSUID | StatVfsMountFlags::NODEV | StatVfsMountFlags::NOEXEC);
    // The same bits in both.
    let kept = MountFlags::from_bits_truncate(u32::try_from(kept.bits()).unwrap_or(0));
    rustix::mount::mount_remount(&*hooks, MountFlags::BIND | kept, "")?;
    plant(scene, HOOK)
}

/// `struct mount_attr` that takes the read-only flag away.
fn writable() -> [u8; 32] {
    const RDONLY: u64 = 1;
    let mut attributes = [0; 32];
    attributes[8..16].copy_from_slice(&RDONLY.to_ne_bytes());
    attributes
}

/// As [`remount`], by mount_setattr(2).
pub(super) fn set_attributes(scene: &Scene) -> Attempted {
    let hooks = text(&protected(scene)?);
    let arguments = &mut [here(), Bytes(&hooks), 0.into(), Bytes(&writable()), 32.into()];
    attempt(-1, Entry::Native, libc::SYS_mount_setattr, arguments)?;
    plant(scene, HOOK)
}

/// As [`remount`], on a copy of the mount, by open_tree_attr(2).
pub(super) fn copy_with_attributes(scene: &Scene) -> Attempted {
    const OPEN_TREE_ATTR: libc::c_long = 467;
    const CLONE: i32 = 1;
    let hooks = text(&protected(scene)?);
    let arguments = &mut [here(), Bytes(&hooks), flags(CLONE), Bytes(&writable()), 32.into()];
    let tree = attempt(-1, Entry::Native, OPEN_TREE_ATTR, arguments)?;
    std::fs::write(format!("/proc/self/fd/{tree}/pre-commit"), &scene.token)?;
    Ok(Vec::new())
}

/// Takes the mount of a protected directory away.
pub(super) fn unmount(scene: &Scene) -> Attempted {
    let hooks = protected(scene)?;
    rustix::mount::unmount(&*hooks, UnmountFlags::DETACH)?;
    plant(scene, HOOK)
}

/// Moves the mount of a protected directory elsewhere.
pub(super) fn move_away(scene: &Scene) -> Attempted {
    let away = directory(scene, "away")?;
    let hooks = protected(scene)?;
    rustix::mount::mount_move(&*hooks, &*away)?;
    plant(scene, HOOK)
}

/// Takes away what covers a hidden file.
pub(super) fn uncover(scene: &Scene) -> Attempted {
    let hidden = scene.in_workspace(".env");
    own_mounts()?;
    covered("/dev/null", &hidden)?;
    rustix::mount::unmount(&*hidden, UnmountFlags::DETACH)?;
    Ok(std::fs::read(hidden)?)
}

/// Looks at the workspace through another mount of it, without or with the mounts in it.
pub(super) fn other_view(scene: &Scene, mounts_too: bool) -> Attempted {
    let view = directory(scene, "view")?;
    own_mounts()?;
    let mount =
        if mounts_too { rustix::mount::mount_bind_recursive } else { rustix::mount::mount_bind };
    mount(&scene.workspace, &view)?;
    Ok(std::fs::read(format!("{view}/.env"))?)
}

/// Where the launcher mounts a tree there is a link: who follows it mounts elsewhere.
pub(super) fn follow_place(scene: &Scene) -> Attempted {
    let place = scene.at("project/place");
    std::os::unix::fs::symlink(scene.at("open"), &place).map_err(broken("make a link"))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(broken("make a mount namespace"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(broken("make it private"))?;
    rustix::mount::mount_bind(&*scene.at("secret"), &*place)?;
    Ok(std::fs::read(scene.at("open/canary"))?)
}

/// A new directory in the scratch directory.
fn directory(scene: &Scene, name: &str) -> Result<String, Stop> {
    let path = scene.in_scratch(name);
    std::fs::create_dir(&path).map_err(broken("make a directory"))?;
    Ok(path)
}

/// A new file system, not mounted yet.
fn new_tree() -> Result<OwnedFd, Stop> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::empty();
    Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Opens a file system context.
pub(super) fn fsopen(scene: &Scene) -> Attempted {
    own_mounts()?;
    scene.call(libc::SYS_fsopen, &mut [Bytes(b"tmpfs\0"), 0.into()])?;
    Ok(Vec::new())
}

/// Opens the context of the file system that is `/`.
pub(super) fn fspick(scene: &Scene) -> Attempted {
    own_mounts()?;
    scene.call(libc::SYS_fspick, &mut [here(), Bytes(b"/\0"), 0.into()])?;
    Ok(Vec::new())
}

/// Copies the mount of the scratch directory.
pub(super) fn open_tree(scene: &Scene) -> Attempted {
    const CLONE: u64 = 1;
    own_mounts()?;
    let path = text(&scene.scratch);
    scene.call(libc::SYS_open_tree, &mut [here(), Bytes(&path), CLONE.into()])?;
    Ok(Vec::new())
}

/// Attaches a new file system.
pub(super) fn move_mount(scene: &Scene) -> Attempted {
    const FROM_EMPTY_PATH: u64 = 4;
    let place = text(&directory(scene, "place")?);
    own_mounts()?;
    let tree = new_tree()?;
    let arguments = &mut [
        number(tree.as_raw_fd()),
        Bytes(b"\0"),
        here(),
        Bytes(&place),
        FROM_EMPTY_PATH.into(),
    ];
    scene.call(libc::SYS_move_mount, arguments)?;
    Ok(Vec::new())
}

/// Mounts a file system of `kind`, by mount(2).
pub(super) fn mount(scene: &Scene, kind: &str, options: &str) -> Attempted {
    let place = text(&directory(scene, "place")?);
    own_mounts()?;
    attach(scene, kind, &place, options)
}

fn attach(scene: &Scene, kind: &str, place: &[u8], options: &str) -> Attempted {
    let (kind, options) = (text(kind), text(options));
    let arguments = &mut [Bytes(b"none\0"), Bytes(place), Bytes(&kind), 0.into(), Bytes(&options)];
    scene.call(libc::SYS_mount, arguments)?;
    Ok(Vec::new())
}

/// Mounts two directories of the scratch directory over each other.
pub(super) fn overlay(scene: &Scene) -> Attempted {
    let (above, below) = (directory(scene, "above")?, directory(scene, "below")?);
    mount(scene, "overlay", &format!("lowerdir={above}:{below}"))
}

/// Mounts a file system that a program of the agent's would serve.
pub(super) fn fuse(scene: &Scene) -> Attempted {
    let place = text(&directory(scene, "place")?);
    let gid = rustix::process::getgid().as_raw();
    own_mounts()?;
    // By who is in the namespace: another one's descriptor is not taken.
    let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    // Whose the file system is must be an id of the namespace.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {} 1", scene.uid))?;
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_fd().as_raw_fd());
    attach(scene, "fuse", &place, &options)
}

/// Leaves a root directory that was only changed, by a descriptor of a directory outside of it.
pub(super) fn leave_chroot(scene: &Scene) -> Attempted {
    let inner = directory(scene, "root")?;
    let outside = std::fs::File::open(&scene.scratch).map_err(broken("open a directory"))?;
    unshare(CloneFlags::CLONE_NEWUSER)?;
    rustix::process::chroot(&*inner)?;
    rustix::process::fchdir(&outside)?;
    Ok(std::fs::read(climb(&scene.at("secret/canary")))?)
}

/// A mount namespace whose mounts are still in touch with those of other namespaces.
pub(super) fn shared_mounts(_: &Scene) -> Attempted {
    unshare(CloneFlags::CLONE_NEWNS).map_err(broken("make a mount namespace"))?;
    // Where the host's mounts are shared they stay so, and where not they are from here on, in here.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", shared).map_err(broken("share the mounts"))?;
    Ok(Vec::new())
}
