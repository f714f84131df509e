//! Trees for the jail's mounts, made by descriptors and attached to nothing (open_tree(2), fsopen(2)).

use super::error::{LaunchError, cannot};
use super::memory;
use super::user_namespace::{self, OneId};
use crate::host::paths;
use crate::plan::{Identity, Mount, Source};
use crate::sys::{self, TreeAttributes};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use std::path::Path;

/// Sockets in the jail's own trees that somebody outside listens on.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Those of the gate.
    pub(super) gate: Vec<OwnedFd>,
    /// That of the shim.
    pub(super) door: Option<OwnedFd>,
}

/// Makes the tree of `mount` for the agent of `identity`; the sockets in it that listen are added to `listeners`.
pub(super) fn make(
    mount: &Mount,
    identity: &Identity,
    listeners: &mut Listeners,
) -> Result<OwnedFd, LaunchError> {
    match &mount.source {
        Source::Host { path, directory, idmap } => {
            let tree = copy(path, *directory)?;
            let namespace = match idmap {
                Some(idmap) => Some(user_namespace::make(
                    OneId { inside: idmap.uid, outside: identity.uid },
                    OneId { inside: idmap.gid, outside: identity.gid },
                )?),
                None => None,
            };
            restrict(&tree, mount, namespace.as_ref(), path)?;
            Ok(tree)
        }
        Source::Memory { .. } => memory::make(mount, identity, listeners),
        Source::Pts { max } => super::pts::make(*max, identity),
        // Made by the child: it shows the processes of who makes it.
        Source::Proc => Err(cannot("make outside", "/proc")(Errno::INVAL)),
    }
}

/// A detached copy of what is at `path`, with all mounted below it.
fn copy(path: &str, directory: bool) -> Result<OwnedFd, LaunchError> {
    let source = paths::open(Path::new(path)).map_err(cannot("open", path))?;
    let stat = fstat(&source).map_err(cannot("look at", path))?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if is_directory != directory {
        // Somebody exchanged it since it was looked at.
        return Err(cannot("find the planned kind of file at", path)(Errno::STALE));
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(&source, "", flags).map_err(cannot("copy the mount of", path))
}

fn restrict(
    tree: &OwnedFd,
    mount: &Mount,
    idmap: Option<&OwnedFd>,
    path: &str,
) -> Result<(), LaunchError> {
    let attributes = TreeAttributes {
        read_only: !mount.write,
        no_exec: !mount.execute,
        no_dev: true,
        no_suid: true,
        private: true,
        idmap: idmap.map(|namespace| namespace.as_fd()),
    };
    let verb = if idmap.is_some() { "translate the owners of" } else { "restrict the mount of" };
    sys::set_tree_attributes(tree.as_fd(), attributes).map_err(cannot(verb, path))
}
