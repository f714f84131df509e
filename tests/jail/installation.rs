//! What tests of the supervisor share: an installation of their own, people who call it, an agent that shows that it lives.

use crate::harness::{self, Ended, Folder, Running, command, eventually, finish, program, start};
use crate::host;
use cellblock::control::protocol::{Call, Request, VERSION};
use cellblock::wire;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sendmsg,
};
use rustix::process::Signal;
use serde_json::Value;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A configuration of a test's own and the supervisor that has it, with what is its own in a folder.
pub(crate) struct Installation {
    folder: tempfile::TempDir,
    paths: String,
    running: Option<Running>,
    agents: Vec<&'static str>,
}

impl Installation {
    /// With `more` in its configuration; it is the one of `agents`.
    pub(crate) fn new(agents: &[&'static str], more: &str) -> Self {
        Self::with_paths(agents, "", more)
    }

    /// The same, with `paths` in the table of that name.
    pub(crate) fn with_paths(agents: &[&'static str], paths: &str, more: &str) -> Self {
        let folder =
            tempfile::Builder::new().prefix("cellblock-sv").tempdir_in("/var/tmp").unwrap();
        // Whoever is not root reaches the socket through it.
        std::fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let (agents, paths) = (agents.to_vec(), paths.to_owned());
        let mut new = Self { folder, paths, running: None, agents };
        new.configure(more);
        new.begin();
        new
    }

    /// Writes its configuration anew, with `more` in it; the supervisor has not read that yet.
    pub(crate) fn configure(&self, more: &str) {
        let (at, paths) = (self.folder.path().display(), &self.paths);
        let state =
            if paths.contains("state") { String::new() } else { format!("state = '{at}/state'") };
        let text = format!("schema = 1\n[paths]\nrun = '{at}/run'\n{state}\n{paths}\n{more}\n");
        std::fs::write(self.path("config.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One such as `ls`, or `job ls`.
    pub(crate) fn verb(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = command("/usr/bin/env");
        command.args(["--default-signal", program()]).args(verb.split(' '));
        command.arg("--config").arg(self.path("config.toml")).args(words);
        command
    }

    pub(crate) fn begin(&mut self) {
        let mut supervise = self.verb("supervise", &[]);
        self.begin_by(&mut supervise);
    }

    /// The same, by a command that becomes the supervisor.
    pub(crate) fn begin_by(&mut self, supervise: &mut Command) {
        // In a directory with nothing that it looks for.
        self.running = Some(start(supervise.current_dir(self.folder.path())));
        let path = self.path("run/control");
        let answered = || finish(&mut self.verb("ls", &[])).status == Some(0);
        eventually("the supervisor", || (path.exists() && answered()).then_some(()));
    }

    /// The supervisor's process.
    pub(crate) fn pid(&self) -> i32 {
        self.running.as_ref().unwrap().pid().as_raw_nonzero().get()
    }

    pub(crate) fn dies(&mut self) {
        let running = self.running.take().unwrap();
        running.signal(Signal::KILL);
        running.wait(harness::DEADLINE);
    }

    /// Does `what` while the supervisor hears nothing.
    pub(crate) fn while_deaf(&self, what: impl FnOnce()) {
        let running = self.running.as_ref().unwrap();
        running.signal(Signal::STOP);
        what();
        running.signal(Signal::CONT);
    }

    /// What a verb ends with.
    pub(crate) fn ask(&self, verb: &str, words: &[&str]) -> Ended {
        finish(&mut self.verb(verb, words))
    }

    /// Starts a shell script as the agent `name`.
    pub(crate) fn start(&self, name: &str, script: &str) -> Ended {
        self.ask("start", &["--name", name, "demo", "--", "bash", "-c", script])
    }

    pub(crate) fn list(&self) -> Vec<Value> {
        let ended = self.ask("ls", &["--json"]);
        serde_json::from_str(&ended.expect(0).out).unwrap()
    }

    pub(crate) fn state(&self, name: &str) -> String {
        let all = self.list();
        let found = all.iter().find(|agent| agent["name"] == name);
        found.map_or_else(String::new, |agent| agent["state"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    pub(crate) fn becomes(&self, name: &str, state: &str) {
        eventually(&format!("{name} {state}"), || (self.state(name) == state).then_some(()));
    }

    pub(crate) fn log(&self) -> String {
        self.running.as_ref().map(|running| running.said()).unwrap_or_default()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for agent in &self.agents {
            finish(&mut self.verb("stop", &["--now", agent]));
        }
        if let Some(running) = self.running.take() {
            running.signal(Signal::TERM);
            let ended = running.wait(harness::DEADLINE);
            if !std::thread::panicking() {
                ended.expect(0);
                self.agents.iter().for_each(|agent| host::expect_nothing_left(agent));
            }
        }
    }
}

/// Says a higher number again and again, for [`count`].
pub(crate) const COUNTS: &str = "i=0; while :; do i=$((i + 1)); echo count $i; sleep 0.1; done";

/// The number that a counting agent shows last.
pub(crate) fn count(screen: &str) -> Option<u64> {
    let last = screen.lines().rev().find_map(|line| line.strip_prefix("count "))?;
    last.trim().parse().ok()
}

/// Somebody without an account on any host.
pub(crate) const STRANGER: u32 = 54_321;

/// `command` for the user `uid` in the group `gid` and no other.
pub(crate) fn command_of(uid: u32, gid: u32, command: &Command) -> Command {
    let mut user = harness::command("/usr/bin/setpriv");
    user.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
    user.arg(command.get_program()).args(command.get_args());
    user
}

/// A directory of theirs in `folder`: a project is not root's.
pub(crate) fn project(folder: &Folder, name: &str) -> String {
    let path = folder.directory(name, 0o755);
    std::os::unix::fs::chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
    path
}

/// As the user `uid`.
pub(crate) fn as_user(uid: u32, command: &Command) -> Ended {
    finish(&mut command_of(uid, uid, command))
}

/// As [`connect`], for the user `uid` in the group of that number.
pub(crate) fn connect_as(uid: u32, path: &Path) -> OwnedFd {
    use rustix::process::{Gid, Uid};
    let path = path.to_owned();
    // The ids of a thread are its own.
    let connected = std::thread::spawn(move || {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        connect(&path)
    });
    connected.join().unwrap()
}

/// `command` with the descriptor `number` open on `file`, as who starts it may have forgotten one.
pub(crate) fn with_descriptor(number: u32, file: &Path, command: &Command) -> Command {
    let mut shell = harness::command("/usr/bin/bash");
    shell.args(["-c", &format!("exec {number}<\"$0\"; exec \"$@\"")]).arg(file);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

/// A connection on which anything can be said.
pub(crate) fn connect(path: &Path) -> OwnedFd {
    let kind = SocketType::SEQPACKET;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

/// That the stranger may connect, and is a `role` of the agents that `agents` names.
pub(crate) fn role(role: &str, agents: &str) -> String {
    let user = format!("users = [{STRANGER}]");
    format!("[supervisor]\ngroup = {STRANGER}\n[[roles]]\nrole = '{role}'\n{user}\n{agents}\n")
}

/// Says `bytes` on `socket`, with what comes along.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    send_by(socket, bytes, descriptors, SendFlags::empty()).unwrap();
}

/// The same, with these flags.
pub(crate) fn send_by(
    socket: &OwnedFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<usize, rustix::io::Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags | SendFlags::NOSIGNAL)
}

/// A call, as it is said.
pub(crate) fn call(request: Request) -> Vec<u8> {
    serde_json::to_vec(&Call { version: VERSION, request }).unwrap()
}

/// Why what was asked for on `socket` was not done.
pub(crate) fn refusal(socket: &OwnedFd) -> String {
    sockopt::set_socket_timeout(socket, Timeout::Recv, Some(harness::patient(harness::DEADLINE)))
        .unwrap();
    let (answer, _) = wire::receive_sealed::<Value>(socket).unwrap().unwrap();
    answer["Failed"]["cause"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}
