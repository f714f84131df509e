//! What tests of the supervisor share: an installation of their own, people who call it, an agent that shows that it lives.

use crate::harness::{self, Ended, Running, command, eventually, finish, program, start};
use crate::host;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A configuration of a test's own and the supervisor that has it, with what is its own in a folder.
pub(crate) struct Installation {
    folder: tempfile::TempDir,
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
        let at = folder.path().display();
        let state =
            if paths.contains("state") { String::new() } else { format!("state = '{at}/state'") };
        let text = format!(
            "schema = 1
[paths]
run = '{at}/run'
{state}
{paths}
{more}
"
        );
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        // Whoever is not root reaches the socket through it.
        std::fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let mut new = Self { folder, running: None, agents: agents.to_vec() };
        new.begin();
        new
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn verb(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = command("/usr/bin/env");
        command.args(["--default-signal", program(), verb, "--config"]);
        command.arg(self.path("config.toml")).args(words);
        command
    }

    pub(crate) fn begin(&mut self) {
        self.running = Some(start(&mut self.verb("supervise", &[])));
        let path = self.path("run/control");
        let answered = || finish(&mut self.verb("ls", &[])).status == Some(0);
        eventually("the supervisor", || (path.exists() && answered()).then_some(()));
    }

    pub(crate) fn dies(&mut self) {
        let running = self.running.take().unwrap();
        running.signal(Signal::KILL);
        running.wait(harness::DEADLINE);
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

/// `command` as the user `uid`.
pub(crate) fn of_user(uid: u32, command: &Command) -> Command {
    let mut user = harness::command("/usr/bin/setpriv");
    let number = uid.to_string();
    user.args(["--reuid", &number, "--regid", &number, "--clear-groups"]);
    user.arg(command.get_program()).args(command.get_args());
    user
}

/// As the user `uid`.
pub(crate) fn as_user(uid: u32, command: &Command) -> Ended {
    finish(&mut of_user(uid, command))
}

/// A connection on which anything can be said.
pub(crate) fn connect(path: &Path) -> rustix::fd::OwnedFd {
    let kind = SocketType::SEQPACKET;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}
