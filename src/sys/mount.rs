//! mount_setattr(2), which rustix does not offer.

use super::result;
use rustix::fd::{AsRawFd as _, BorrowedFd};
use rustix::io::Errno;

/// What to set on a mount and all mounts below it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TreeAttributes<'a> {
    /// Read-only.
    pub read_only: bool,
    /// No programs are run from it.
    pub no_exec: bool,
    /// Device nodes do not work.
    pub no_dev: bool,
    /// Setuid bits and file capabilities do not work.
    pub no_suid: bool,
    /// Mounts made elsewhere later do not appear, nor those made here elsewhere.
    pub private: bool,
    /// The user namespace whose map translates owners (idmapped mount).
    pub idmap: Option<BorrowedFd<'a>>,
}

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const IDMAP: u64 = 0x0010_0000;

/// Sets `attributes` on the mount that `tree` refers to and, recursively, on all below it.
///
/// # Errors
/// The kernel's answer; `EINVAL` for an idmap on a file system that has none.
pub fn set_tree_attributes(
    tree: BorrowedFd<'_>,
    attributes: TreeAttributes<'_>,
) -> Result<(), Errno> {
    let flag = |on: bool, bit: u64| if on { bit } else { 0 };
    let request = libc::mount_attr {
        attr_set: flag(attributes.read_only, RDONLY)
            | flag(attributes.no_suid, NOSUID)
            | flag(attributes.no_dev, NODEV)
            | flag(attributes.no_exec, NOEXEC)
            | flag(attributes.idmap.is_some(), IDMAP),
        attr_clr: 0,
        propagation: if attributes.private { libc::MS_PRIVATE } else { 0 },
        userns_fd: attributes.idmap.map_or(0, |fd| fd.as_raw_fd().cast_unsigned().into()),
    };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is a literal that ends with NUL; `request` outlives the call, its size is
    // passed with it, and the kernel only reads it.
    result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&request),
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}
