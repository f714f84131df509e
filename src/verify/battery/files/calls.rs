//! Single calls that decide.

use super::super::shared::{flags, here, number, text};
use crate::sys::Argument::{Bytes, Room};
use crate::sys::{Entry, attempt};
use crate::verify::probe::{Attempted, Stop, broken};
use crate::verify::scene::Scene;
use rustix::fd::AsRawFd as _;
use rustix::fs::CWD;
use std::path::Path;

/// What stands at `path` (statx(2)).
pub(super) fn stat(scene: &Scene, path: &str) -> Attempted {
    const BASIC: u64 = 0x7ff;
    let room = &mut [0; 256];
    let path = text(path);
    let arguments = &mut [here(), Bytes(&path), 0.into(), BASIC.into(), Room(room)];
    scene.call(libc::SYS_statx, arguments)?;
    Ok(Vec::new())
}

/// Makes a device node.
pub(super) fn make_node(scene: &Scene, kind: u32, major: u32, minor: u32) -> Attempted {
    let path = text(&scene.in_scratch("node"));
    let device = rustix::fs::makedev(major, minor);
    let mode = u64::from(kind | 0o600);
    let arguments = &mut [here(), Bytes(&path), mode.into(), device.into()];
    scene.call(libc::SYS_mknodat, arguments)?;
    Ok(Vec::new())
}

/// A `struct file_handle` with room for the longest there is.
const HANDLE: usize = 8 + 128;

/// The handle of `path` (name_to_handle_at(2)).
fn handle(path: &str, how: i32) -> Result<[u8; HANDLE], Stop> {
    let mut handle = [0; HANDLE];
    handle[0] = 128;
    let mount = &mut [0; 8];
    let path = text(path);
    let arguments = &mut [here(), Bytes(&path), Room(&mut handle), Room(mount), flags(how)];
    attempt(-1, Entry::Native, libc::SYS_name_to_handle_at, arguments)?;
    Ok(handle)
}

/// Asks for the handle of a directory.
pub(super) fn name_handle(scene: &Scene) -> Attempted {
    let (mut handle, mut mount) = ([0; HANDLE], [0; 8]);
    handle[0] = 128;
    let path = text(&scene.workspace);
    let arguments = &mut [here(), Bytes(&path), Room(&mut handle), Room(&mut mount), 0.into()];
    scene.call(libc::SYS_name_to_handle_at, arguments)?;
    Ok(Vec::new())
}

/// Opens a directory by its handle, past all directories above it.
pub(super) fn open_by_handle(scene: &Scene) -> Attempted {
    let mut handle = handle(&scene.workspace, 0)?;
    let mount = std::fs::File::open(&scene.workspace).map_err(broken("open the workspace"))?;
    let arguments = &mut [number(mount.as_raw_fd()), Room(&mut handle), 0.into()];
    scene.call(libc::SYS_open_by_handle_at, arguments)?;
    Ok(Vec::new())
}

/// Opens what is at `path` of a file system of the kernel's own by its handle, without any mount.
pub(super) fn open_without_mount(scene: &Scene, path: &str, root: i32) -> Attempted {
    let mut handle = handle(path, libc::AT_SYMLINK_FOLLOW)?;
    let arguments = &mut [number(root), Room(&mut handle), 0.into()];
    scene.call(libc::SYS_open_by_handle_at, arguments)?;
    Ok(Vec::new())
}

/// Makes the request `request` to the file `path`, with `room` for what goes in and out.
pub(super) fn request(scene: &Scene, path: &str, request: u64, room: &mut [u8]) -> Attempted {
    let file = std::fs::File::open(path)?;
    let arguments = &mut [number(file.as_raw_fd()), request.into(), Room(room)];
    scene.call(libc::SYS_ioctl, arguments)?;
    Ok(Vec::new())
}

/// Says that the own file `path` is left out of dumps.
pub(super) fn set_flags(scene: &Scene, path: &str) -> Attempted {
    // FS_IOC_SETFLAGS; the size in its name is not the one that is read.
    const SET: u64 = 0x4008_6602;
    let file = std::fs::File::open(path)?;
    let now = rustix::fs::ioctl_getflags(&file)? | rustix::fs::IFlags::NODUMP;
    request(scene, path, SET, &mut now.bits().to_ne_bytes())
}

/// Sets the extended attributes of the own file `path`, its project among them, to what they are.
pub(super) fn set_extended(scene: &Scene, path: &str) -> Attempted {
    // FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR.
    const GET: u64 = 0x801c_581f;
    const SET: u64 = 0x401c_5820;
    let file = std::fs::File::open(path)?;
    let mut attributes = [0; 28];
    let get = &mut [number(file.as_raw_fd()), GET.into(), Room(&mut attributes)];
    attempt(-1, Entry::Native, libc::SYS_ioctl, get)?;
    request(scene, path, SET, &mut attributes)
}

/// Takes all such attributes off the own file `path`, by file_setattr(2).
pub(super) fn clear_attributes(scene: &Scene, path: &str) -> Attempted {
    const FILE_SETATTR: libc::c_long = 469;
    let attributes = [0; 24];
    let (path, size) = (text(path), attributes.len() as u64);
    let arguments = &mut [here(), Bytes(&path), Bytes(&attributes), size.into(), 0.into()];
    scene.call(FILE_SETATTR, arguments)?;
    Ok(Vec::new())
}

/// Takes a lease on the own file `path`: who opens it waits.
pub(super) fn lease(scene: &Scene, path: &str) -> Attempted {
    std::fs::write(path, "").map_err(broken("make a file"))?;
    let file = std::fs::File::open(path).map_err(broken("open a file"))?;
    let arguments = &mut [number(file.as_raw_fd()), flags(libc::F_SETLEASE), flags(libc::F_RDLCK)];
    scene.call(libc::SYS_fcntl, arguments)?;
    Ok(Vec::new())
}

/// The first of `paths` that exists, if possible one that can be opened.
pub(super) fn first<'p>(paths: &[&'p str]) -> &'p str {
    let opens = |path: &&&str| std::fs::File::open(path).is_ok();
    let exists = |path: &&&str| Path::new(path).exists();
    let found = paths.iter().find(opens).or_else(|| paths.iter().find(exists));
    found.or(paths.first()).copied().unwrap_or_default()
}

/// A set-user-ID program's mode.
const SET_ID: u64 = 0o4755;

/// An empty file of the agent's own in the workspace.
fn left(scene: &Scene) -> Result<String, Stop> {
    let path = scene.in_workspace("left");
    std::fs::write(&path, "").map_err(broken("make a file"))?;
    Ok(path)
}

/// Gives a file set-ID bits, by the call `call` that takes a directory and a path.
pub(super) fn change_mode(scene: &Scene, call: libc::c_long) -> Attempted {
    let path = text(&left(scene)?);
    scene.call(call, &mut [here(), Bytes(&path), SET_ID.into(), 0.into()])?;
    Ok(Vec::new())
}

/// The same by fchmod(2).
pub(super) fn change_open(scene: &Scene) -> Attempted {
    let file = std::fs::File::open(left(scene)?).map_err(broken("open a file"))?;
    scene.call(libc::SYS_fchmod, &mut [number(file.as_raw_fd()), SET_ID.into()])?;
    Ok(Vec::new())
}

/// Gives a directory the bit by which what is made in it is of its group.
pub(super) fn change_directory(scene: &Scene) -> Attempted {
    let path = scene.in_workspace("left");
    std::fs::create_dir(&path).map_err(broken("make a directory"))?;
    let arguments = &mut [here(), Bytes(&text(&path)), 0o2755.into()];
    scene.call(libc::SYS_fchmodat, arguments)?;
    Ok(Vec::new())
}

/// Makes a file that has the bits from the beginning, by openat(2).
pub(super) fn create_set_id(scene: &Scene) -> Attempted {
    let path = text(&scene.in_workspace("left"));
    let how = flags(libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC);
    scene.call(libc::SYS_openat, &mut [here(), Bytes(&path), how, SET_ID.into()])?;
    Ok(Vec::new())
}

/// The same by openat2(2), whose mode is behind a pointer.
pub(super) fn create_by_pointer(scene: &Scene) -> Attempted {
    let path = text(&scene.in_workspace("left"));
    let how = u64::from((libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC).cast_unsigned());
    let how = [how, SET_ID, 0].map(u64::to_ne_bytes).concat();
    let size = how.len() as u64;
    scene.call(libc::SYS_openat2, &mut [here(), Bytes(&path), Bytes(&how), size.into()])?;
    Ok(Vec::new())
}

/// The same by mknodat(2).
pub(super) fn create_by_mknod(scene: &Scene) -> Attempted {
    let path = text(&scene.in_workspace("left"));
    let mode = u64::from(libc::S_IFREG) | SET_ID;
    scene.call(libc::SYS_mknodat, &mut [here(), Bytes(&path), mode.into(), 0.into()])?;
    Ok(Vec::new())
}

/// The same by a file without a name that is given one.
pub(super) fn create_nameless(scene: &Scene) -> Attempted {
    let how = flags(libc::O_TMPFILE | libc::O_WRONLY | libc::O_CLOEXEC);
    let workspace = text(&scene.workspace);
    let made =
        scene.call(libc::SYS_openat, &mut [here(), Bytes(&workspace), how, SET_ID.into()])?;
    let name = format!("/proc/self/fd/{made}");
    let left = scene.in_workspace("left");
    rustix::fs::linkat(CWD, name, CWD, left, rustix::fs::AtFlags::SYMLINK_FOLLOW)?;
    Ok(Vec::new())
}
