//! Hides and protects things inside mounts.

use super::error::{StepError, cannot};
use super::mount::{attach_to, copy, cover_blank, place};
use super::perform::Inside;
use crate::plan::MaskKind;
use crate::sys::{self, TreeAttributes};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::FileType;
use rustix::io::Errno;

/// What cannot be done to a file with two names.
const HIDE_LINKED: &str = "hide, as it has a second name (a hard link),";
const PROTECT_LINKED: &str = "protect, as it has a second name (a hard link),";

/// Performs one mask.
pub(super) fn cover(inside: &Inside<'_>, index: usize) -> Result<(), StepError> {
    let mask = &inside.plan.masks[index];
    let target = place(inside, &mask.at)?;
    match mask.kind {
        MaskKind::Hide { directory } => {
            refuse_second_name(target.as_fd(), HIDE_LINKED, &mask.at)?;
            cover_blank(inside, target.as_fd(), directory).map_err(cannot("hide", &mask.at))
        }
        MaskKind::Protect | MaskKind::Stub { .. } => {
            refuse_second_name(target.as_fd(), PROTECT_LINKED, &mask.at)?;
            cover_by_itself(target.as_fd(), true).map_err(cannot("protect", &mask.at))
        }
        MaskKind::Pin => cover_by_itself(target.as_fd(), false).map_err(cannot("pin", &mask.at)),
    }
}

/// A mount covers one name of a file. Through another name the file would still be read or written.
fn refuse_second_name(
    target: BorrowedFd<'_>,
    verb: &'static str,
    at: &str,
) -> Result<(), StepError> {
    let stat = rustix::fs::fstat(target).map_err(cannot("look at", at))?;
    let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if file && stat.st_nlink > 1 {
        return Err(cannot(verb, at)(Errno::MLINK));
    }
    Ok(())
}

/// Mounts what is there over itself: a mount point can be neither renamed nor removed.
fn cover_by_itself(target: BorrowedFd<'_>, read_only: bool) -> Result<(), Errno> {
    let tree = copy(target)?;
    if read_only {
        let attributes = TreeAttributes { read_only: true, ..TreeAttributes::default() };
        sys::set_tree_attributes(tree.as_fd(), attributes)?;
    }
    attach_to(tree.as_fd(), target)
}
