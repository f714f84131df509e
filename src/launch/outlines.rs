//! What is kept of the plan of each jail that runs, for those who ask why something is refused in it.
//!
//! A file of its own beside the record: each launch reads the records of all others, and has no use for this.

use super::RUN;
use super::error::{LaunchError, cannot, cannot_io};
use crate::plan::{Outline, Plan};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn path(jail: &str) -> PathBuf {
    Path::new(RUN).join("outlines").join(jail)
}

/// Keeps what is kept of `plan` for the jail called `jail`, where only root reads it.
pub(super) fn write(jail: &str, plan: &Plan) -> Result<(), LaunchError> {
    let path = path(jail);
    let shown = path.display().to_string();
    let text = serde_json::to_vec(&Outline::of(plan))
        .map_err(|error| LaunchError::Unusable(format!("cannot write {shown}: {error}")))?;
    let mut file = open(&path).map_err(cannot("make", &shown))?;
    file.write_all(&text).map_err(cannot_io("write", &shown))
}

fn open(path: &Path) -> Result<File, Errno> {
    if let Some(folder) = path.parent() {
        match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).map(File::from)
}

/// What is kept of the plan of the jail called `jail`, which runs. Only root may look.
///
/// # Errors
/// [`LaunchError::Call`] where it has ended, or what is kept is not whole.
pub fn outline(jail: &str) -> Result<Outline, LaunchError> {
    let path = path(jail);
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(cannot_io("read", &shown))?;
    serde_json::from_str(&text).map_err(|_| cannot("understand", &shown)(Errno::PROTO))
}

/// Removes it, where there is any.
pub(super) fn remove(jail: &Path) -> Result<(), LaunchError> {
    let Some(name) = jail.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    let path = path(name);
    match rustix::fs::unlink(&path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(cannot("remove", &path.display().to_string())(errno)),
    }
}
