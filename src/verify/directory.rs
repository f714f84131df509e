//! The run's own directory on the host, which goes with it.
//!
//! It is locked as long as the run lives: one that nobody locks belongs to a run that was killed, and
//! the next run removes it. It holds a program that is set-user-ID root: not to be left lying about.

use super::world::{self, Attacker};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the name of every run's directory begins with.
pub(super) const PREFIX: &str = "cellblock-verify-";
/// The programs that attempts run, in it.
pub(super) const MASTERS: &str = "masters";
/// A project like those that are attacked, in it.
pub(super) const EXAMPLE: &str = "example";
/// The file with the name of what stands beside the run's files, and below it whose it is: a uid and a gid.
const NAME: &str = "name";
/// One that changed since then may be on its way to be locked. No attempt takes as long.
const YOUNG: Duration = Duration::from_secs(300);

/// A directory of one run.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    name: String,
    _lock: File,
}

impl Directory {
    /// A new one below `scratch`; those of runs that were killed go.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(super) fn new(scratch: &Path) -> std::io::Result<Self> {
        sweep(scratch);
        let path = scratch.join(format!("{PREFIX}{}", &world::random()?[..12]));
        // Closed to all others: what root makes in it, agents may write.
        make(&path, 0o700)?;
        let made = lock(&path).map_err(std::io::Error::from).and_then(|lock| {
            let name = format!("{PREFIX}{}", &world::random()?[..12]);
            std::fs::write(path.join(NAME), format!("{name}\n"))?;
            Ok((lock, name))
        });
        match made {
            Ok((lock, name)) => Ok(Self { path, name, _lock: lock }),
            Err(error) => {
                remove(&path);
                Err(error)
            }
        }
    }

    /// Lets `agent` in, and nobody else but root; who was let in before is out. Whether that is new.
    ///
    /// # Errors
    /// The kernel's answer.
    pub(super) fn admit(&self, agent: Attacker) -> std::io::Result<bool> {
        let now = std::fs::metadata(&self.path)?;
        if now.gid() == agent.gid && now.mode() & 0o777 == 0o710 {
            return Ok(false);
        }
        let (names, line) = (self.path.join(NAME), format!("{} {}", agent.uid, agent.gid));
        if !std::fs::read_to_string(&names)?.lines().any(|known| known == line) {
            writeln!(std::fs::OpenOptions::new().append(true).open(&names)?, "{line}")?;
        }
        std::os::unix::fs::chown(&self.path, Some(0), Some(agent.gid))?;
        std::fs::set_permissions(&self.path, PermissionsExt::from_mode(0o710))?;
        Ok(true)
    }

    /// What the run's things beside its files are called. Nobody can guess it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        clear(&self.path);
    }
}

/// A directory of `mode`, whatever the umask.
pub(super) fn make(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::create_dir(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(%error, path = %path.display(), "the run leaves a directory behind");
    }
}

fn lock(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty())?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file.into())
}

/// Removes what stands beside the files of the run in `path`.
fn forget_objects(path: &Path) -> Result<(), String> {
    let text = match std::fs::read_to_string(path.join(NAME)) {
        Ok(text) => text,
        // It was killed before it had made anything else.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot read its {NAME}: {error}")),
    };
    let mut lines = text.lines();
    let Some(name) = lines.next() else { return Ok(()) };
    let owner = |line: &str| {
        let (uid, gid) = line.split_once(' ')?;
        Some(Attacker { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    };
    let owners: Vec<_> = lines.filter_map(owner).collect();
    world::forget_objects(path, name, &owners)
}

/// Removes the directory of a run in `path`, and what stands beside its files. Where that stays, so does what
/// says which it is, and nobody but root comes to it.
fn clear(path: &Path) {
    let Err(why) = forget_objects(path) else { return remove(path) };
    tracing::warn!(%why, path = %path.display(), "IPC objects of a run stay until the next one");
    if let Err(error) = close(path) {
        tracing::warn!(%error, path = %path.display(), "cannot close it to others");
    }
}

fn close(path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::chown(path, Some(0), Some(0))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o700))?;
    for files in [MASTERS, EXAMPLE] {
        match std::fs::remove_dir_all(path.join(files)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Removes the directories of runs that were killed.
fn sweep(scratch: &Path) {
    let entries = std::fs::read_dir(scratch).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for entry in named {
        // In a directory that all may write to, others may have made one of this name.
        let ours = entry.metadata().is_ok_and(|it| {
            let age = it.modified().ok().and_then(|time| time.elapsed().ok());
            it.uid() == 0 && it.is_dir() && age.is_some_and(|age| age >= YOUNG)
        });
        if ours && let Ok(_lock) = lock(&entry.path()) {
            clear(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_run_removes_what_killed_ones_have_left_and_nothing_else() {
        if !rustix::process::geteuid().is_root() {
            println!(
                "SKIP a_run_removes_what_killed_ones_have_left_and_nothing_else: needs root: this is not root"
            );
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let alive = Directory::new(scratch.path()).unwrap();
        let [killed, young, other] = ["killed", "young", "other"].map(|name| {
            let name = if name == "other" { name.to_owned() } else { format!("{PREFIX}{name}") };
            let path = scratch.path().join(name);
            make(&path, 0o755).unwrap();
            path
        });
        let old = SystemTime::now() - YOUNG * 2;
        for path in [alive.path(), &killed, &other] {
            File::open(path).unwrap().set_modified(old).unwrap();
        }
        let path = Directory::new(scratch.path()).unwrap().path().to_owned();
        assert!(!path.exists() && !killed.exists());
        assert!(alive.path().exists() && young.exists() && other.exists());
    }

    #[test]
    fn what_stays_for_the_next_run_is_closed_to_others_and_has_no_programs() {
        if !rustix::process::geteuid().is_root() {
            println!(
                "SKIP what_stays_for_the_next_run_is_closed_to_others_and_has_no_programs: needs root: this is not root"
            );
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join(format!("{PREFIX}kept"));
        make(&path, 0o710).unwrap();
        std::os::unix::fs::chown(&path, Some(0), Some(70_000)).unwrap();
        std::fs::write(path.join(NAME), "name\n").unwrap();
        for folder in [MASTERS, EXAMPLE, "0123456789ab"] {
            make(&path.join(folder), 0o755).unwrap();
        }
        close(&path).unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o700, 0, 0));
        let mut kept: Vec<_> =
            std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        kept.sort();
        assert_eq!(kept, ["0123456789ab", NAME]);
        // Again, as the next run does.
        close(&path).unwrap();
    }
}
