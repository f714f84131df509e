//! The process that keeps the surroundings of one attempt: a launcher as for any agent, another
//! sandbox, or nothing.
//!
//! It is a copy of the referee, so that whatever becomes of it happens to this attempt alone.

use super::interrupt;
use super::probe::Stage;
use super::prober::NAME;
use super::setting::Peer;
use super::world::{self, Attacker, World};
use crate::plan::{Mode, Plan, WORKSPACE};
use crate::shim;
use crate::sys::{self, Cloned};
use caps::{CapSet, Capability};
use rustix::fd::OwnedFd;
use rustix::fs::Gid;
use rustix::io::Errno;
use std::ffi::{CStr, CString};

/// What is kept.
#[derive(Debug)]
pub enum Surroundings<'a> {
    /// The jail of a plan.
    Jail(&'a Plan),
    /// No jail, the agent's uid.
    Agent(Attacker),
    /// No jail, as root.
    Root,
    /// The sandbox of somebody else, as the agent's uid.
    Peer(Peer, Attacker),
}

/// The standard descriptors of the prober.
#[derive(Debug)]
pub struct Standard {
    /// Its input: the channel, or a terminal.
    pub input: OwnedFd,
    /// Its output.
    pub output: OwnedFd,
    /// Where complaints go.
    pub complaints: OwnedFd,
}

/// What the prober is started by where there is no jail.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// What it is made from.
    pub stage: Stage,
    /// The prober's program on the host.
    pub program: &'a str,
    /// tmux on the host; empty where no session is started.
    pub tmux: &'a str,
    /// The world around it.
    pub world: &'a World,
}

/// Starts the keeper of `surroundings`.
///
/// # Errors
/// The kernel's answer.
pub fn start(
    surroundings: &Surroundings<'_>,
    standard: &Standard,
    start: Start<'_>,
) -> Result<Cloned, Errno> {
    let referee = rustix::process::getpid();
    sys::fork(|| {
        let kept = world::end_with(referee).and_then(|()| prepare(standard, start));
        let kept = kept.map_err(|why| why.to_string());
        match kept.and_then(|()| keep(surroundings, start)) {
            Ok(status) => status,
            Err(why) => {
                complain(&why);
                REFUSED
            }
        }
    })
}

fn complain(words: &str) {
    if let Err(errno) = rustix::io::write(rustix::stdio::stderr(), words.as_bytes()) {
        tracing::debug!(%errno, words, "nobody listens");
    }
}

/// The status of a keeper whose surroundings could not be made.
pub const REFUSED: i32 = 125;

/// What a careless caller leaves to whoever it starts: descriptors, a key, a group, a capability and a variable.
fn prepare(standard: &Standard, start: Start<'_>) -> Result<(), Errno> {
    let world = start.world;
    interrupt::release();
    rustix::stdio::dup2_stdin(&standard.input)?;
    rustix::stdio::dup2_stdout(&standard.output)?;
    rustix::stdio::dup2_stderr(&standard.complaints)?;
    if start.stage != Stage::Command {
        rustix::process::setsid()?;
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
    }
    world.leave_open().map_err(|_| Errno::IO)?;
    match sys::join_new_session_keyring() {
        Ok(()) => world::add_key(&world.name, &world.secret, world::SESSION_KEYRING)?,
        Err(Errno::NOSYS) => {}
        Err(errno) => return Err(errno),
    }
    rustix::thread::set_thread_groups(&[Gid::from_raw(world::CALLERS_GROUP)])?;
    for set in [CapSet::Inheritable, CapSet::Ambient] {
        // A root who lacks it leaves none.
        if let Err(error) = caps::raise(None, set, Capability::CAP_NET_RAW) {
            tracing::debug!(%error, "no capability to leave");
        }
    }
    sys::set_variable(SECRET_VARIABLE, &world.secret)
}

/// The variable with the secret.
const SECRET_VARIABLE: &str = "CELLBLOCK_VERIFY_SECRET";

fn keep(surroundings: &Surroundings<'_>, start: Start<'_>) -> Result<i32, String> {
    let call = |errno: Errno| errno.to_string();
    let run = |words: Vec<String>| {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let first = words.first().ok_or("no program")?;
        exec(&words, start.world).map_err(|errno| format!("cannot run {first}: {errno}"))
    };
    match surroundings {
        Surroundings::Jail(plan) => jail(plan),
        Surroundings::Root => run(prober_words(start, start.program, &project(start))),
        Surroundings::Agent(attacker) => {
            world::become_agent(*attacker).map_err(call)?;
            run(prober_words(start, start.program, &project(start)))
        }
        Surroundings::Peer(peer, attacker) => {
            world::become_agent(*attacker).map_err(call)?;
            run(peer_words(*peer, start))
        }
    }
}

fn project(start: Start<'_>) -> String {
    start.world.path("project").display().to_string()
}

/// The prober by its path, as it is started where there is no init to do it.
fn prober_words(start: Start<'_>, program: &str, workspace: &str) -> Vec<String> {
    let prober = [program, NAME];
    let pipes = ["by", workspace];
    let socket = format!("{workspace}/scratch/tmux");
    let words: Vec<&str> = match start.stage {
        Stage::Command => prober.to_vec(),
        Stage::Terminal => [prober, pipes].concat(),
        Stage::Session => [
            &[start.tmux, "-u", "-S", &socket, "-f", "/dev/null", "new-session", "--"][..],
            &prober,
            &pipes,
        ]
        .concat(),
    };
    words.into_iter().map(str::to_owned).collect()
}

/// As `cellblock exec` and `cellblock run` keep it.
fn jail(plan: &Plan) -> Result<i32, String> {
    let mut timings = Vec::new();
    let ended = match plan.mode {
        Mode::Exec => shim::exec::exec(plan, &mut timings),
        Mode::Run => shim::run::run(plan, &mut Silent, &mut timings),
    };
    match ended {
        Ok(ending) => {
            complain(&ending.told.join("\n"));
            Ok(ending.status.into())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Nobody reads along.
struct Silent;

impl shim::run::Notices for Silent {
    fn detached(&mut self, _agent: &str) {}
    fn frozen(&mut self, _agent: &str, _why: &str) {}
}

/// Becomes another program with an environment of its own; returns only if it cannot.
fn exec(words: &[&str], world: &World) -> Result<i32, Errno> {
    let nul = |_| Errno::INVAL;
    let texts: Result<Vec<CString>, _> = words.iter().copied().map(CString::new).collect();
    let texts = texts.map_err(nul)?;
    let words: Vec<&CStr> = texts.iter().map(CString::as_c_str).collect();
    let secret = CString::new(format!("{SECRET_VARIABLE}={}", world.secret)).map_err(nul)?;
    let environment =
        [c"PATH=/usr/local/bin:/usr/bin:/bin", c"LANG=C.UTF-8", c"TERM=xterm-256color", &secret];
    let program = words.first().ok_or(Errno::INVAL)?;
    let Err(errno) = nix::unistd::execve(program, &words, &environment);
    Err(Errno::from_raw_os_error(errno as i32))
}

/// Where the prober's program is in bubblewrap's sandbox.
const IN_BWRAP: &str = "/run/cellblock-prober";

/// How the sandbox of somebody else is started, in the way its manual proposes for a program that needs
/// the system's files, a project and no network.
fn peer_words(peer: Peer, start: Start<'_>) -> Vec<String> {
    let project = project(start);
    let words: Vec<&str> = match peer {
        Peer::None => Vec::new(),
        Peer::Bwrap => [
            &["/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--new-session"][..],
            &["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"],
            &["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"],
            &["--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev", "/dev"],
            &["--tmpfs", "/tmp", "--bind", &project, WORKSPACE, "--chdir", WORKSPACE],
            &["--ro-bind", start.program, IN_BWRAP, "--"],
        ]
        .concat(),
        Peer::Firejail => vec!["/usr/bin/firejail", "--quiet", "--net=none", "--private-tmp"],
    };
    let inner = match peer {
        Peer::Bwrap => prober_words(start, IN_BWRAP, WORKSPACE),
        Peer::None | Peer::Firejail => prober_words(start, start.program, &project),
    };
    words.into_iter().map(str::to_owned).chain(inner).collect()
}
