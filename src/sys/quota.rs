//! Project quotas: quotactl_fd(2), and a file's project by ioctl_xfs_fsgetxattr(2).
//!
//! nix has quotactl(2), which wants the path of a block device, and knows users and groups alone.

use super::result;
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Setter, ioctl, opcode};

/// What a project uses on one file system, and what it may use. A limit of 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectUse {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files, directories and everything else with an inode.
    pub inodes: u64,
    /// Bytes at the most.
    pub byte_limit: u64,
    /// Inodes at the most.
    pub inode_limit: u64,
}

/// What a file system does about projects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectQuotas {
    /// It counts what each uses.
    pub counted: bool,
    /// It holds each to its limit.
    pub enforced: bool,
}

/// The project of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Its number; 0 is none.
    pub id: u32,
    /// Of a directory: whether what is made in it belongs to the same project.
    pub inherited: bool,
}

/// `PRJQUOTA`: quotas of projects, beside those of users (0) and groups (1).
const PROJECTS: u32 = 2;
const GET_QUOTA: u32 = 0x80_0007;
const SET_QUOTA: u32 = 0x80_0008;
/// `Q_XGETQSTATV`, which every file system with quotas answers, not XFS alone.
const GET_STATE: u32 = 0x5808;
/// Block limits are told in blocks of this size, whatever the file system's is (`QIF_DQBLKSIZE`).
const BLOCK: u64 = 1024;
/// `QIF_BLIMITS | QIF_ILIMITS`: what of the structure is to be set.
const BOTH_LIMITS: u32 = 1 | 4;

/// `struct if_dqblk` of linux/quota.h.
#[repr(C)]
#[derive(Default)]
struct Quota {
    block_hard: u64,
    block_soft: u64,
    bytes: u64,
    inode_hard: u64,
    inode_soft: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

/// The head of `struct fs_quota_statv` of linux/dqblk_xfs.h, and more room than the rest of it takes.
#[repr(C)]
#[derive(Default)]
struct State {
    version: i8,
    pad: u8,
    flags: u16,
    dquots: u32,
    rest: [u64; 31],
}

/// `FS_QSTATV_VERSION1`.
const STATE_VERSION: i8 = 1;
/// `FS_QUOTA_PDQ_ACCT`.
const COUNTED: u16 = 1 << 4;
/// `FS_QUOTA_PDQ_ENFD`.
const ENFORCED: u16 = 1 << 5;

/// `struct fsxattr` of linux/fs.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    pad: [u8; 8],
}

/// `FS_XFLAG_PROJINHERIT`.
const INHERITED: u32 = 0x200;
const GET_ATTRIBUTES: Opcode = opcode::read::<Attributes>(b'X', 31);
const SET_ATTRIBUTES: Opcode = opcode::write::<Attributes>(b'X', 32);

fn quotactl<T>(file: BorrowedFd<'_>, command: u32, id: u32, data: &mut T) -> Result<(), Errno> {
    let command = command << 8 | PROJECTS;
    let data = std::ptr::from_mut(data);
    // SAFETY: `data` refers to a value that lives over the call. The callers below pass the structure
    // that their command reads or writes, or a larger one, and all of its bits may take any value.
    result(unsafe { libc::syscall(libc::SYS_quotactl_fd, file.as_raw_fd(), command, id, data) })?;
    Ok(())
}

/// Whether the kernel has the call at all (Linux 5.14, `CONFIG_QUOTA`).
#[must_use]
pub fn has_quotas() -> bool {
    let (none, command) = (-1, GET_STATE << 8 | PROJECTS);
    let nowhere = std::ptr::null::<libc::c_void>();
    // SAFETY: the descriptor is none, so the call ends with EBADF before it looks at the null pointer.
    let answer = unsafe { libc::syscall(libc::SYS_quotactl_fd, none, command, 0, nowhere) };
    !matches!(result(answer), Err(Errno::NOSYS))
}

/// What the file system of `file` does about projects; no privilege is needed, and `file` may be a bare
/// location (`O_PATH`).
///
/// # Errors
/// `ENOSYS` where neither the file system nor, before Linux 5.14, the kernel answers; `EINVAL` where the
/// file system has no such quotas.
pub fn project_quotas(file: impl AsFd) -> Result<ProjectQuotas, Errno> {
    let mut state = State { version: STATE_VERSION, ..State::default() };
    quotactl(file.as_fd(), GET_STATE, 0, &mut state)?;
    let has = |flag: u16| state.flags & flag != 0;
    Ok(ProjectQuotas { counted: has(COUNTED), enforced: has(ENFORCED) })
}

/// What `project` uses on the file system of `file`. For root.
///
/// # Errors
/// The kernel's answer. A project that was never used uses nothing, and that is no error.
pub fn project_use(file: impl AsFd, project: u32) -> Result<ProjectUse, Errno> {
    let mut quota = Quota::default();
    match quotactl(file.as_fd(), GET_QUOTA, project, &mut quota) {
        Ok(()) => Ok(ProjectUse {
            bytes: quota.bytes,
            inodes: quota.inodes,
            byte_limit: quota.block_hard.saturating_mul(BLOCK),
            inode_limit: quota.inode_hard,
        }),
        // What XFS says of a number that it has never seen.
        Err(Errno::NOENT) => Ok(ProjectUse::default()),
        Err(errno) => Err(errno),
    }
}

/// Sets what `project` may use on the file system of `file`: `bytes`, to the kibibyte below, and
/// `inodes`; 0 takes a limit away. For root.
///
/// # Errors
/// The kernel's answer.
pub fn limit_project(file: impl AsFd, project: u32, bytes: u64, inodes: u64) -> Result<(), Errno> {
    let mut quota = Quota {
        block_hard: bytes / BLOCK,
        inode_hard: inodes,
        valid: BOTH_LIMITS,
        ..Quota::default()
    };
    quotactl(file.as_fd(), SET_QUOTA, project, &mut quota)
}

fn attributes(file: BorrowedFd<'_>) -> Result<Attributes, Errno> {
    // SAFETY: the request's number holds the size of `Attributes`, which is what the kernel writes, and
    // all of its bits may take any value.
    let request = unsafe { Getter::<GET_ATTRIBUTES, Attributes>::new() };
    // SAFETY: the request is the one made above, with a number of linux/fs.h.
    unsafe { ioctl(file, request) }
}

/// The project of the open `file`, a regular file or a directory.
///
/// # Errors
/// `ENOTTY` or `EOPNOTSUPP` where the file system knows of none.
pub fn project_of(file: impl AsFd) -> Result<Project, Errno> {
    let Attributes { project, flags, .. } = attributes(file.as_fd())?;
    Ok(Project { id: project, inherited: flags & INHERITED != 0 })
}

/// Gives the open `file` to `project`; all its other attributes stay.
///
/// # Errors
/// The kernel's answer; `EPERM` for a file that cannot be changed (chattr +i).
pub fn set_project(file: impl AsFd, project: Project) -> Result<(), Errno> {
    let mut wanted = attributes(file.as_fd())?;
    wanted.project = project.id;
    wanted.flags &= !INHERITED;
    if project.inherited {
        wanted.flags |= INHERITED;
    }
    // SAFETY: the request's number holds the size of `Attributes`, which is what the kernel reads.
    let request = unsafe { Setter::<SET_ATTRIBUTES, Attributes>::new(wanted) };
    // SAFETY: the request is the one made above, with a number of linux/fs.h.
    unsafe { ioctl(file, request) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_the_kernels() {
        // linux/fs.h: FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR on x86_64 and aarch64.
        assert_eq!((GET_ATTRIBUTES, SET_ATTRIBUTES), (0x801c_581f, 0x401c_5820));
        assert_eq!(size_of::<Quota>(), 72);
        // Larger than any version of the kernel's.
        assert!(size_of::<State>() > 160);
    }

    #[test]
    fn a_file_system_in_memory_has_no_project_quotas() {
        let memory = std::fs::File::open("/dev/shm").unwrap();
        let answer = project_quotas(&memory);
        assert!(matches!(answer, Err(Errno::NOSYS | Errno::INVAL)), "{answer:?}");
        assert!(project_use(&memory, 71_234).is_err());
    }
}
