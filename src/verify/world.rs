//! The world around one attempt: what an agent must not reach, kept by the referee.
//!
//! Everything in it belongs to the attempt alone and goes with it. What stands in it (secrets) and what
//! the attack leaves in it (the token) are random: neither can be guessed, or left over from another
//! attempt.

use super::directory::EXAMPLE;
use super::interrupt;
use super::listeners::Listeners;
use super::objects::Objects;
pub(super) use super::objects::{SESSION_KEYRING, add_key};
use super::probe::Stop;
use crate::sys::{self, Cloned};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::{Errno, FdFlags};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who the owner of a project on disk is: nobody of this host.
pub(super) const PERSON: u32 = 65_533;
/// The descriptor that the victim, and the launcher before a launch, keep open on a secret.
pub const SECRET_FD: i32 = 77;
/// Descriptors that the launcher keeps open besides: a directory of the host,
pub const DIRECTORY_FD: i32 = 78;
/// a log that only root can open,
pub const LOG_FD: i32 = 79;
/// and a socket of the host's network that is connected to one of the world's listeners.
pub const SOCKET_FD: i32 = 80;
/// A group that whoever starts a launcher is in: nobody's on this host.
pub(super) const CALLERS_GROUP: u32 = 65_532;

/// Whose the workspace is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A person's: the jail translates.
    Person,
    /// The agent's own: nothing translates.
    Agent,
}

/// Who attacks.
#[derive(Clone, Copy, Debug)]
pub struct Attacker {
    /// uid.
    pub uid: u32,
    /// gid.
    pub gid: u32,
}

/// An account of the system that nobody uses: it has a home, a group that nobody else is in, and no process.
#[must_use]
pub fn idle_account() -> Option<Attacker> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let owners = entries.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    let busy: Vec<u32> =
        owners.filter_map(|entry| entry.metadata().ok()).map(|entry| entry.uid()).collect();
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let is_own = |gid: u32| {
        let has_id = |line: &&str| line.split(':').nth(2) == Some(&gid.to_string());
        let primary =
            accounts.lines().filter(|line| line.split(':').nth(3) == Some(&gid.to_string()));
        groups.lines().filter(has_id).all(|line| line.ends_with(':')) && primary.count() == 1
    };
    let idle = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, uid, gid, _, home, _] = fields[..] else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        let system = (1..1000).contains(&uid) && uid == gid;
        let idle = !busy.contains(&uid) && is_own(gid);
        (system && Path::new(home).is_dir() && home != "/" && idle).then_some(Attacker { uid, gid })
    };
    // The later ones are services'; the first ones own parts of the system.
    accounts.lines().rev().find_map(idle)
}

/// The world of one attempt.
#[derive(Debug)]
pub struct World {
    directory: PathBuf,
    /// What must not be read.
    pub secret: String,
    /// What must not arrive or be left anywhere.
    pub token: String,
    /// The name of IPC objects and keys.
    pub name: String,
    /// The key of System V objects.
    pub ipc_key: i32,
    listeners: Listeners,
    victim: Option<Cloned>,
    attacker: Attacker,
}

/// Random letters and digits that nobody can guess: 128 bits.
///
/// # Errors
/// The kernel's answer.
pub fn random() -> Result<String, Errno> {
    use std::fmt::Write as _;
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").map_err(|_| Errno::IO)?;
    }
    Ok(text)
}

impl World {
    /// Makes the world of an attempt by `attacker` in the directory of the run, `root`, to which nobody else
    /// has access; what has a name beside it is called `name`.
    ///
    /// # Errors
    /// What could not be made.
    pub fn new(root: &Path, name: &str, attacker: Attacker, owner: Owner) -> Result<Self, Stop> {
        let (secret, token) = (format!("secret-{}", random()?), format!("token-{}", random()?));
        let mark = random()?;
        let directory = root.join(&mark[..12]);
        make_directory(&directory, 0o755)?;
        files(&directory, &secret, attacker, owner)?;
        // One name for the whole run: a key is updated where it would else be one more, until the quota of
        // the agent's uid is full.
        Ok(Self {
            ipc_key: ipc_key(&mark).ok_or_else(|| Stop::Broken("no key".to_owned()))?,
            listeners: Listeners::new(&directory, name)?,
            name: name.to_owned(),
            victim: None,
            directory,
            secret,
            token,
            attacker,
        })
    }

    fn objects(&self) -> Objects<'_> {
        Objects { key: self.ipc_key, name: &self.name }
    }

    /// Starts a process of the agent's uid outside, which holds secrets and does nothing.
    ///
    /// # Errors
    /// What could not be made.
    pub fn start_victim(&mut self) -> Result<(), Stop> {
        let (ready, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let referee = rustix::process::getpid();
        let child = sys::fork(|| {
            let lived = end_with(referee).map_err(Stop::from).and_then(|()| self.be_victim(&tell));
            let why = lived.map_or_else(|stop| format!("{stop:?}"), |()| String::new());
            i32::from(rustix::io::write(&tell, why.as_bytes()).is_err())
        })?;
        self.victim = Some(child);
        drop(tell);
        let mut word = [0; 256];
        match rustix::io::read(&ready, &mut word)? {
            1 => Ok(()),
            length => {
                let why = String::from_utf8_lossy(&word[..length]).into_owned();
                Err(Stop::Broken(format!("the victim did not start: {why}")))
            }
        }
    }

    fn be_victim(&self, ready: &OwnedFd) -> Result<(), Stop> {
        interrupt::release();
        // A group that an attack can name: the referee's may be led from outside of this pid namespace.
        rustix::process::setpgid(None, None)?;
        self.hold_secret()?;
        become_agent(self.attacker)?;
        // The change of ids closed it to others of its uid.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        std::env::set_current_dir(self.path("own"))?;
        self.objects().make(&self.secret)?;
        rustix::io::write(ready, b"1")?;
        // Else the run's locks and listeners would live as long as this one.
        sys::close_all_but(&[SECRET_FD])?;
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }

    /// Opens a file in a directory that only root can enter as descriptor [`SECRET_FD`], for whoever
    /// inherits it.
    pub(super) fn hold_secret(&self) -> Result<(), Stop> {
        let flags = OFlags::RDONLY;
        let file = rustix::fs::open(self.path("locked/canary"), flags, Mode::empty())?;
        Ok(keep_open(&file, SECRET_FD)?)
    }

    /// Opens what a careless launcher leaves to whoever it starts.
    pub(super) fn leave_open(&self) -> Result<(), Stop> {
        self.hold_secret()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = rustix::fs::open(self.path("secret"), flags, Mode::empty())?;
        keep_open(&directory, DIRECTORY_FD)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let mode = Mode::from_raw_mode(0o600);
        let log = rustix::fs::open(self.path("locked/log"), flags, mode)?;
        rustix::io::write(&log, b"started\n")?;
        keep_open(&log, LOG_FD)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let [.., udp] = self.ports()?;
        socket.connect((Ipv4Addr::LOCALHOST, udp))?;
        Ok(keep_open(&socket, SOCKET_FD)?)
    }

    /// Where the world is on the host.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `path` in the world.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// The victim's pid.
    #[must_use]
    pub fn victim(&self) -> i32 {
        self.victim.as_ref().map_or(0, |victim| victim.pid.as_raw_nonzero().get())
    }

    /// The ports of the listeners: TCP, TCP over IPv6 (0 where the host has none), UDP.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn ports(&self) -> Result<[u16; 3], std::io::Error> {
        self.listeners.ports()
    }

    /// Whether the token came to any listener.
    #[must_use]
    pub fn arrived(&self) -> bool {
        contains(&self.listeners.came(), &self.token)
    }

    /// Whether the token stands in the file `path` of the world.
    #[must_use]
    pub fn planted(&self, path: &str) -> bool {
        std::fs::read(self.path(path)).is_ok_and(|bytes| contains(&bytes, &self.token))
    }

    /// Whether the secret is in `loot`.
    #[must_use]
    pub fn is_known(&self, loot: &[u8]) -> bool {
        contains(loot, &self.secret)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(victim) = self.victim.take() {
            let killed = rustix::process::pidfd_send_signal(&victim.pidfd, Signal::KILL);
            let reaped = rustix::process::waitpid(Some(victim.pid), WaitOptions::empty());
            if let (Err(errno), _) | (_, Err(errno)) = (killed, reaped) {
                tracing::debug!(%errno, "the victim had ended");
            }
            if let Err(why) = self.objects().forget_as(self.attacker) {
                // Its directory says which they are.
                tracing::warn!(%why, "IPC objects of an attempt stay for now");
                return;
            }
        }
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::warn!(%error, path = %self.directory.display(), "the run leaves a directory behind");
        }
    }
}

/// A copy of `file` as descriptor `number`, open as long as the process and in what it becomes.
fn keep_open(file: impl AsFd, number: i32) -> Result<(), Errno> {
    let kept = rustix::io::fcntl_dupfd_cloexec(&file, number)?;
    rustix::io::fcntl_setfd(&kept, FdFlags::empty())?;
    std::mem::forget(kept);
    Ok(())
}

/// Ends with `parent`, who has just made this process, even if that has ended already: `ESRCH` then.
pub(super) fn end_with(parent: Pid) -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH) }
}

/// The ids of `attacker` and nothing else, for good; ends with its parent.
pub(super) fn become_agent(attacker: Attacker) -> Result<(), Errno> {
    let parent = rustix::process::getppid().ok_or(Errno::SRCH)?;
    let (uid, gid) = (Uid::from_raw(attacker.uid), Gid::from_raw(attacker.gid));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    // With the ids the kernel forgets what was asked for before.
    end_with(parent)
}

/// The key of the System V objects of the world in the directory called `name`.
fn ipc_key(name: &str) -> Option<i32> {
    i32::from_str_radix(name.get(..7)?, 16).ok()
}

/// Removes what stands beside the files of the worlds in `root`, the directory of a run that has ended.
///
/// # Errors
/// Why something stays.
pub(super) fn forget_objects(root: &Path, name: &str, owners: &[Attacker]) -> Result<(), String> {
    let mut done = Ok(());
    let cannot = |error: std::io::Error| format!("cannot list its directory: {error}");
    for entry in std::fs::read_dir(root).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let Some(key) = entry.file_name().to_str().and_then(ipc_key) else { continue };
        for owner in owners {
            done = done.and(Objects { key, name }.forget_as(*owner));
        }
    }
    done
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn make_directory(path: &Path, mode: u32) -> Result<(), Stop> {
    std::fs::create_dir(path)?;
    set_mode(path, mode)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Stop> {
    Ok(std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?)
}

fn make_file(path: &Path, text: &str, mode: u32) -> Result<(), Stop> {
    std::fs::write(path, text)?;
    set_mode(path, mode)
}

/// A project like those of the worlds, in a directory that nobody listens in, which goes with the run's,
/// `root`.
///
/// # Errors
/// What could not be made.
pub(super) fn example(root: &Path) -> Result<PathBuf, Stop> {
    let directory = root.join(EXAMPLE);
    make_directory(&directory, 0o755)?;
    files(&directory, "", Attacker { uid: PERSON, gid: PERSON }, Owner::Person)?;
    Ok(directory.join("project"))
}

/// The files of the world.
fn files(at: &Path, secret: &str, attacker: Attacker, owner: Owner) -> Result<(), Stop> {
    for (directory, mode) in DIRECTORIES {
        make_directory(&at.join(directory), *mode)?;
    }
    for (file, mode) in SECRETS {
        make_file(&at.join(file), secret, *mode)?;
    }
    for (file, text) in PROJECT {
        make_file(&at.join(file), text, 0o644)?;
    }
    let agents = (attacker.uid, attacker.gid);
    for path in ["own", "own/canary", "shown/own"] {
        std::os::unix::fs::lchown(at.join(path), Some(agents.0), Some(agents.1))?;
    }
    let (uid, gid) = match owner {
        Owner::Person => (PERSON, PERSON),
        Owner::Agent => agents,
    };
    let project = DIRECTORIES.iter().map(|(path, _)| *path);
    let project = project.chain(SECRETS.iter().map(|(path, _)| *path));
    let project = project.chain(PROJECT.iter().map(|(path, _)| *path));
    for path in project.filter(|path| path.starts_with("project")) {
        std::os::unix::fs::lchown(at.join(path), Some(uid), Some(gid))?;
    }
    Ok(())
}

/// Directories of the world and their modes.
const DIRECTORIES: &[(&str, u32)] = &[
    // Everybody may read.
    ("secret", 0o755),
    // Only root can enter; what is in it may be read by who gets there.
    ("locked", 0o700),
    // Root's own file in it.
    ("private", 0o755),
    // The agent's own files, outside of its jail.
    ("own", 0o755),
    // Everybody may write.
    ("open", 0o777),
    // What a probe has the profile show.
    ("shown", 0o777),
    // With a socket in it; in the last one, the kernel lists it by another path.
    ("served", 0o755),
    ("served too", 0o755),
    ("aliased", 0o755),
    ("project", 0o755),
    // Where a prober without a root of its own keeps its things.
    ("project/scratch", 0o755),
    ("project/.git", 0o755),
    ("project/.git/hooks", 0o755),
    ("project/.claude", 0o755),
    ("project/.vscode", 0o755),
    ("project/sub", 0o755),
    ("project/sub/.git", 0o755),
    ("project/sub/.git/hooks", 0o755),
];

/// Files with the secret and their modes.
const SECRETS: &[(&str, u32)] = &[
    ("secret/canary", 0o644),
    ("locked/canary", 0o644),
    ("private/canary", 0o600),
    ("own/canary", 0o600),
    ("shown/canary", 0o644),
    ("shown/own", 0o666),
    ("project/.env", 0o644),
];

/// Files of the project.
const PROJECT: &[(&str, &str)] = &[
    ("project/file", "text\n"),
    ("project/.git/config", "[core]\n\tbare = false\n"),
    ("project/.git/HEAD", "ref: refs/heads/main\n"),
    ("project/.claude/settings.json", "{}\n"),
    ("project/.vscode/tasks.json", "{}\n"),
    ("project/.bashrc", "\n"),
    ("project/sub/.git/config", "[core]\n\tbare = false\n"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_maker_has_ended_does_not_go_on() {
        let parent = rustix::process::getppid().unwrap();
        assert_eq!(end_with(parent), Ok(()));
        // Whoever has taken an orphan over is not its maker.
        assert_eq!(end_with(rustix::process::getpid()), Err(Errno::SRCH));
        rustix::process::set_parent_process_death_signal(None).unwrap();
    }
}
