//! What several families share: what they add to a profile for there to be something to attack, what it
//! grants by itself, and small attacks.

use super::super::probe::Attempted;
use super::super::scene::Scene;
use super::super::setting::located;
use super::super::world::World;
use crate::plan::{MaskKind, Plan, WORKSPACE};
use crate::profile::Profile;
use crate::profile::types::{Access, Entry, HostPath, JailPath, Owner, Pattern, Workspace};
use crate::sys::Argument;
use rustix::fs::{AtFlags, CWD, FileType, Mode};
use rustix::io::Errno;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// To be read.
pub(super) const READ: Access = Access { write: false, execute: false };
/// To be read and changed.
pub(super) const WRITE: Access = Access { write: true, execute: false };
/// To be read, and programs run from it.
pub(super) const EXECUTE: Access = Access { write: false, execute: true };

/// Shows `path` of the host in the jail, at the same path.
pub(super) fn show(profile: &mut Profile, path: &Path, access: Access) -> Result<(), String> {
    show_at(profile, path, &path.display().to_string(), access, Owner::Disk)
}

/// Shows `path` of the host in the jail as `at`, with the files of `owner`.
pub(super) fn show_at(
    profile: &mut Profile,
    path: &Path,
    at: &str,
    access: Access,
    owner: Owner,
) -> Result<(), String> {
    let path = located(HostPath::parse(&path.display().to_string())?);
    let entry = Entry { path, at: JailPath::parse(at)?, access, optional: false, owner };
    profile.filesystem.entries.push(entry);
    Ok(())
}

/// Sees to it that the jail has a workspace.
pub(super) fn with_workspace(profile: &mut Profile) {
    let workspace = &mut profile.filesystem.workspace.value;
    if *workspace == Workspace::None {
        *workspace = Workspace::Current;
    }
}

/// Hides `pattern` in the workspace and in other trees that can be written.
pub(super) fn hide(profile: &mut Profile, pattern: &str) -> Result<(), String> {
    with_workspace(profile);
    profile.filesystem.hide.push(located(Pattern::parse(pattern)?));
    Ok(())
}

/// Protects `pattern` in the workspace and in other trees that can be written.
pub(super) fn protect(profile: &mut Profile, pattern: &str) -> Result<(), String> {
    with_workspace(profile);
    profile.filesystem.protect.push(located(Pattern::parse(pattern)?));
    Ok(())
}

/// Where the files of the whole run are that nobody but root can change.
pub(super) fn masters(world: &World) -> PathBuf {
    world.directory().with_file_name("masters")
}

/// Gives `path` to whom the project belongs.
pub(super) fn give(path: &Path, world: &World) -> std::io::Result<()> {
    let owner = std::fs::metadata(world.path("project"))?;
    std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid()))
}

/// As text, an error of what is prepared on the host.
pub(super) fn said<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

/// Why the agent may write `path` of the workspace, if nothing in the profile protects it.
pub(super) fn unprotected(plan: &Plan, path: &str) -> Option<String> {
    let at = Path::new(WORKSPACE).join(path);
    let covers = |kind: &MaskKind| match kind {
        MaskKind::Hide { .. } | MaskKind::Protect | MaskKind::Stub { .. } => true,
        MaskKind::Pin => false,
    };
    let protected = plan.masks.iter().any(|mask| covers(&mask.kind) && at.starts_with(&mask.at));
    (!protected).then(|| format!("the profile does not protect `{path}`"))
}

/// Why programs can be run from `at`, if the profile lets them.
pub(super) fn executable(plan: &Plan, at: &str) -> Option<String> {
    let mount = plan.mounts.iter().find(|mount| mount.at == at && mount.execute)?;
    Some(format!("programs may be run from `{at}` ({})", mount.origin))
}

/// Leaves the token in the file `path` of the workspace, in directories that are made where they are
/// missing.
pub(super) fn plant(scene: &Scene, path: &str) -> Attempted {
    let path = scene.in_workspace(path);
    if let Some((above, _)) = path.rsplit_once('/') {
        std::fs::create_dir_all(above)?;
    }
    std::fs::write(path, &scene.token)?;
    Ok(Vec::new())
}

/// The absolute `path` as a way up from any directory and down again.
pub(super) fn climb(path: &str) -> String {
    format!("{}{}", "../".repeat(24), path.trim_start_matches('/'))
}

/// `path` as the kernel takes it.
pub(super) fn text(path: &str) -> Vec<u8> {
    [path.as_bytes(), b"\0"].concat()
}

/// The working directory, where a call takes a directory's descriptor.
pub(super) fn here() -> Argument<'static> {
    number(libc::AT_FDCWD)
}

/// A descriptor or another number that may be below zero.
pub(super) fn number(number: i32) -> Argument<'static> {
    Argument::Number(i64::from(number).cast_unsigned())
}

/// A set of flags of the C library.
pub(super) fn flags(flags: i32) -> Argument<'static> {
    Argument::Number(flags.cast_unsigned().into())
}

/// Opens `path`; that it can be opened decides.
pub(super) fn open(scene: &Scene, path: &str, how: i32) -> Attempted {
    let how = how | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    scene.call(
        libc::SYS_openat,
        &mut [here(), Argument::Bytes(&text(path)), flags(how), 0.into()],
    )?;
    Ok(Vec::new())
}

/// Makes a pipe that everybody may use.
pub(super) fn make_pipe(path: &Path) -> Result<(), Errno> {
    make_open_node(path, FileType::Fifo, 0)
}

/// Makes a device node that everybody may use: `/dev/zero`'s.
pub(super) fn make_device(path: &Path) -> Result<(), Errno> {
    make_open_node(path, FileType::CharacterDevice, rustix::fs::makedev(1, 5))
}

fn make_open_node(path: &Path, kind: FileType, device: u64) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(CWD, path, kind, mode, device)?;
    rustix::fs::chmodat(CWD, path, mode, AtFlags::empty())
}
