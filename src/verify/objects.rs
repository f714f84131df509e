//! What a process of the agent's uid outside shares with whoever has its uid: shared memory, semaphores,
//! message queues, a key.

use super::probe::Stop;
use super::world::{self, Attacker};
use crate::sys::{self, Argument, Entry};
use nix::mqueue::{MQ_OFlag, MqAttr};
use rustix::io::Errno;
use rustix::process::WaitOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

/// The thread keyring, the user keyring and the session keyring (keyctl(2)).
const THREAD_KEYRING: i64 = -1;
const USER_KEYRING: i64 = -4;
pub(super) const SESSION_KEYRING: i64 = -3;
/// How long a key lives.
const SECONDS: u64 = 120;
/// How often objects are asked to go, and how long is waited in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// The objects, by what they are called.
#[derive(Debug)]
pub(super) struct Objects<'n> {
    /// The key of the System V ones.
    pub(super) key: i32,
    /// The name of the others.
    pub(super) name: &'n str,
}

impl Objects<'_> {
    /// Makes them all, those that can hold it with `secret`. What somebody else made is not taken.
    pub(super) fn make(&self, secret: &str) -> Result<(), Stop> {
        let key = u64::from(self.key.cast_unsigned());
        // IPC_CREAT, IPC_EXCL and the mode.
        let create = 0o3600_u64;
        call(libc::SYS_shmget, &mut [key.into(), 4096.into(), create.into()])?;
        call(libc::SYS_semget, &mut [key.into(), 1.into(), create.into()])?;
        let queue = call(libc::SYS_msgget, &mut [key.into(), create.into()])?;
        let mut message = 1_u64.to_ne_bytes().to_vec();
        message.extend(secret.as_bytes());
        let length = secret.len() as u64;
        let send = &mut [queue.into(), Argument::Bytes(&message), length.into(), 0.into()];
        call(libc::SYS_msgsnd, send)?;
        self.make_posix_queue(secret)?;
        self.make_posix_memory(secret)?;
        possess_user_keyring()?;
        add_key(self.name, secret, USER_KEYRING)?;
        Ok(())
    }

    /// The name of the POSIX message queue and of the POSIX shared memory.
    fn posix_name(&self) -> String {
        format!("/{}", self.name)
    }

    fn make_posix_queue(&self, secret: &str) -> Result<(), Stop> {
        let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_WRONLY;
        let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
        let attributes = MqAttr::new(0, 1, 256, 0);
        match nix::mqueue::mq_open(self.posix_name().as_str(), flags, mode, Some(&attributes)) {
            Ok(queue) => Ok(nix::mqueue::mq_send(&queue, secret.as_bytes(), 0)?),
            Err(nix::errno::Errno::ENOSYS) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn make_posix_memory(&self, secret: &str) -> Result<(), Stop> {
        let path = format!("/dev/shm{}", self.posix_name());
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => Ok(file.write_all(secret.as_bytes())?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes those that belong to `owner`, as `owner`: with root's rights those of others would go, too.
    /// A host that is short of processes or memory for a moment is asked again.
    ///
    /// # Errors
    /// Why they stay.
    pub(super) fn forget_as(&self, owner: Attacker) -> Result<(), String> {
        let mut done = self.forget_once(owner);
        for _ in 1..TRIES {
            if done.is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
            done = self.forget_once(owner);
        }
        done
    }

    fn forget_once(&self, owner: Attacker) -> Result<(), String> {
        let forgets = sys::fork(|| {
            let done = world::become_agent(owner).and_then(|()| self.forget());
            done.map_or_else(Errno::raw_os_error, |()| 0)
        });
        let ended = forgets
            .and_then(|child| rustix::process::waitpid(Some(child.pid), WaitOptions::empty()))
            .map_err(|errno| errno.to_string())?;
        let Some((_, status)) = ended else { return Err("it does not end".to_owned()) };
        match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) => Ok(()),
            (Some(errno), _) => Err(Errno::from_raw_os_error(errno).to_string()),
            (None, signal) => Err(format!("ended by signal {}", signal.unwrap_or(0))),
        }
    }

    /// Removes them all; those that are not there were never made. A key goes by itself.
    fn forget(&self) -> Result<(), Errno> {
        let key = u64::from(self.key.cast_unsigned());
        let mut done = Ok(());
        // IPC_RMID is 0, and so are all other arguments.
        for (get, control) in [
            (libc::SYS_shmget, libc::SYS_shmctl),
            (libc::SYS_semget, libc::SYS_semctl),
            (libc::SYS_msgget, libc::SYS_msgctl),
        ] {
            let found = call(get, &mut [key.into(), 0.into(), 0.into()]);
            let gone = found.and_then(|id| call(control, &mut [id.into(), 0.into(), 0.into()]));
            done = done.and(none_left(gone));
        }
        let unlinked = nix::mqueue::mq_unlink(self.posix_name().as_str());
        done =
            done.and(none_left(unlinked.map_err(|errno| Errno::from_raw_os_error(errno as i32))));
        done.and(none_left(rustix::fs::unlink(format!("/dev/shm{}", self.posix_name()))))
    }
}

/// What is not there, what this kernel does not have and what is somebody else's need not go.
fn none_left<T>(removed: Result<T, Errno>) -> Result<(), Errno> {
    match removed {
        Ok(_) | Err(Errno::NOENT | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn call(number: libc::c_long, arguments: &mut [Argument<'_>]) -> Result<u64, Errno> {
    sys::attempt(-1, Entry::Native, number, arguments)
}

/// Links the user keyring to one of this thread's own: under a session keyring of somebody else, as a login
/// leaves it, the keys of its own user are not possessed (keyrings(7)).
fn possess_user_keyring() -> Result<(), Errno> {
    const LINK: u64 = 8;
    let [user, thread] = [USER_KEYRING, THREAD_KEYRING].map(i64::cast_unsigned);
    match call(libc::SYS_keyctl, &mut [LINK.into(), user.into(), thread.into()]) {
        // This kernel has no keyrings.
        Err(Errno::NOSYS) => Ok(()),
        answer => answer.map(|_| ()),
    }
}

/// Adds a key with `secret` to `keyring` for a short time.
pub(super) fn add_key(name: &str, secret: &str, keyring: i64) -> Result<(), Errno> {
    let name = format!("{name}\0");
    let arguments = &mut [
        Argument::Bytes(b"user\0"),
        Argument::Bytes(name.as_bytes()),
        Argument::Bytes(secret.as_bytes()),
        Argument::Number(secret.len() as u64),
        Argument::Number(keyring.cast_unsigned()),
    ];
    let key = match call(libc::SYS_add_key, arguments) {
        // This kernel has no keyrings.
        Err(Errno::NOSYS) => return Ok(()),
        answer => answer?,
    };
    const SET_TIMEOUT: u64 = 15;
    call(libc::SYS_keyctl, &mut [SET_TIMEOUT.into(), key.into(), SECONDS.into()]).map(|_| ())
}
