//! Inside a jail: asks by the agent's own socket, and starts what is a job.

use crate::control::agent::{Answer, Call, Request, SOCKET, VERSION};
use crate::sys;
use crate::wire;
use nix::unistd::execvp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::ffi::{CStr, CString};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the supervisor has for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something was not asked for, or not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// There is no such socket: this is no jail of a session.
    #[error("this is not an agent's session: {SOCKET} is not there")]
    Outside,
    /// Nobody has answered in time.
    #[error("cannot reach the supervisor: nobody answers within {} s", PATIENCE.as_secs())]
    Unheard,
    /// A call failed.
    #[error("cannot {what}: {errno}")]
    Call {
        /// What.
        what: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// It was refused.
    #[error("{cause}")]
    Refused {
        /// Why.
        cause: String,
        /// What to do about it.
        hint: String,
    },
    /// The command of a job could not be started.
    #[error("cannot run {program}: {errno}")]
    NotRun {
        /// The program.
        program: String,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl AgentError {
    /// What to do about it; empty where there is nothing to add.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Outside => {
                "it is for agents of `cellblock run` and of the supervisor; outside, `cellblock job` shows jobs".to_owned()
            }
            Self::Unheard => {
                "processes of this agent may hold every connection, or have sent descriptors on them: each of those has one to its end".to_owned()
            }
            Self::Refused { hint, .. } => hint.clone(),
            Self::Call { .. } | Self::NotRun { .. } => String::new(),
        }
    }

    /// The exit status that says so.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::NotRun { errno: Errno::NOENT, .. } => 127,
            Self::NotRun { .. } => 126,
            Self::Outside | Self::Unheard | Self::Call { .. } | Self::Refused { .. } => 125,
        }
    }
}

fn cannot(what: &str) -> impl FnOnce(Errno) -> AgentError {
    move |errno| AgentError::Call { what: what.to_owned(), errno }
}

/// Asks for something; the answer, and what comes along.
///
/// # Errors
/// [`AgentError`].
pub fn ask(request: Request) -> Result<(Answer, Vec<OwnedFd>), AgentError> {
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .map_err(cannot("make a socket"))?;
    let address = SocketAddrUnix::new(SOCKET).map_err(cannot("reach the supervisor"))?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE)).map_err(cannot("make a socket"))?;
    match connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(AgentError::Outside),
        // More wait than may.
        Err(Errno::AGAIN) => return Err(AgentError::Unheard),
        Err(errno) => return Err(cannot("reach the supervisor")(errno)),
    }
    wire::say(&socket, &Call { version: VERSION, request })
        .map_err(cannot("ask the supervisor"))?;
    let until = Instant::now() + PATIENCE;
    loop {
        match wire::take::<Answer>(&socket) {
            Ok(Some((Answer::Failed { cause, hint }, _))) => {
                return Err(AgentError::Refused { cause, hint });
            }
            Ok(Some(answered)) => return Ok(answered),
            Ok(None) => return Err(cannot("hear the supervisor")(Errno::CONNRESET)),
            Err(Errno::AGAIN) => {
                let mut waited = [PollFd::new(&socket, PollFlags::IN)];
                let left = until.saturating_duration_since(Instant::now());
                let left = Timespec::try_from(left).unwrap_or_default();
                match poll(&mut waited, Some(&left)) {
                    Ok(0) => return Err(AgentError::Unheard),
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(cannot("wait for the supervisor")(errno)),
                }
            }
            Err(errno) => return Err(cannot("understand the supervisor")(errno)),
        }
    }
}

/// Starts `words` as a process of the job that `door` leads into, with nothing to read and what it says in the file `output`.
///
/// The caller must have no second thread.
///
/// # Errors
/// [`AgentError`]; nothing runs then.
pub fn start(words: &[String], door: &OwnedFd, output: &Path) -> Result<(), AgentError> {
    let program = words.first().cloned().unwrap_or_default();
    let nul = |_| cannot("start a command with a NUL in it")(Errno::INVAL);
    let words = words.iter().map(|word| CString::new(word.as_str()));
    let words: Vec<CString> = words.collect::<Result<_, _>>().map_err(nul)?;
    let shown = output.display().to_string();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    let output = rustix::fs::open(output, flags, Mode::from_raw_mode(0o600))
        .map_err(cannot(&format!("write {shown}")))?;
    let nothing = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(cannot("open /dev/null"))?;
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (failed, fails) = pipe.map_err(cannot("make a pipe"))?;
    let child = sys::fork(|| {
        let Err((stage, errno)) = become_job(&words, (door, &nothing, &output));
        let told = [stage, u8::try_from(errno.raw_os_error()).unwrap_or(0)];
        i32::from(rustix::io::write(&fails, &told).is_ok()) + 1
    });
    child.map_err(cannot("make a process"))?;
    drop(fails);
    let mut told = [0; 2];
    match rustix::io::read(&failed, &mut told) {
        // Closed by exec.
        Ok(0) => Ok(()),
        Ok(_) => {
            let errno = Errno::from_raw_os_error(told[1].into());
            if told[0] == EXEC {
                return Err(AgentError::NotRun { program, errno });
            }
            Err(cannot("enter the job")(errno))
        }
        Err(errno) => Err(cannot("start the job")(errno)),
    }
}

const ENTER: u8 = 0;
const EXEC: u8 = 1;

/// Returns only if it cannot.
fn become_job(
    words: &[CString],
    (door, nothing, output): (&OwnedFd, &OwnedFd, &OwnedFd),
) -> Result<std::convert::Infallible, (u8, Errno)> {
    let enter = || -> Result<(), Errno> {
        // First: whatever it starts is born in the job. The number 0 is whoever writes it (cgroups(7)).
        rustix::io::write(door, b"0")?;
        rustix::process::setsid()?;
        rustix::stdio::dup2_stdin(nothing)?;
        rustix::stdio::dup2_stdout(output)?;
        rustix::stdio::dup2_stderr(output.as_fd())
    };
    enter().map_err(|errno| (ENTER, errno))?;
    let words: Vec<&CStr> = words.iter().map(CString::as_c_str).collect();
    let program = words.first().copied().unwrap_or(c"");
    let Err(errno) = execvp(program, &words);
    Err((EXEC, Errno::from_raw_os_error(errno as i32)))
}
