//! The supervisor as systemd's service, installed from the files that ship. Only on a machine that is thrown away.

use crate::harness::{self, command, eventually, finish, program};
use crate::host;
use std::path::Path;

const FILES: [(&str, &str); 3] = [
    (
        include_str!("../../packaging/systemd/cellblock.service"),
        "/etc/systemd/system/cellblock.service",
    ),
    (include_str!("../../packaging/systemd/cellblock.sysusers"), "/etc/sysusers.d/cellblock.conf"),
    (include_str!("../../packaging/systemd/cellblock.tmpfiles"), "/etc/tmpfiles.d/cellblock.conf"),
];

pub(crate) fn run(words: &[&str]) -> String {
    finish(command("/usr/bin/env").args(words)).expect(0).out.clone()
}

fn main_pid() -> Option<String> {
    let shown = run(&["systemctl", "show", "-P", "MainPID", "cellblock.service"]);
    Some(shown.trim().to_owned()).filter(|pid| pid != "0")
}

/// Waits until the service runs as another process than `before`.
pub(crate) fn runs_anew(before: &str) -> String {
    eventually("the service", || {
        let pid = main_pid().filter(|pid| pid != before)?;
        let answered = finish(command(BINARY).arg("ls"));
        (answered.status == Some(0)).then_some(pid)
    })
}

/// Installs the service as the documentation says, with this configuration, and starts it.
pub(crate) fn install(config: &str) {
    std::fs::copy(program(), BINARY).unwrap();
    for (text, to) in FILES {
        std::fs::create_dir_all(Path::new(to).parent().unwrap()).unwrap();
        std::fs::write(to, text).unwrap();
    }
    run(&["systemd-sysusers"]);
    run(&["systemd-tmpfiles", "--create"]);
    std::fs::create_dir_all("/etc/cellblock").unwrap();
    std::fs::write("/etc/cellblock/config.toml", config).unwrap();
    run(&["systemctl", "daemon-reload"]);
    run(&["systemctl", "enable", "--now", "cellblock.service"]);
}

/// Takes it away again.
pub(crate) fn remove() {
    run(&["systemctl", "disable", "--now", "cellblock.service"]);
    std::fs::remove_file("/etc/cellblock/config.toml").unwrap();
    for (_, file) in FILES {
        std::fs::remove_file(file).unwrap();
    }
    std::fs::remove_file(BINARY).unwrap();
    run(&["systemctl", "daemon-reload"]);
}

pub(crate) const BINARY: &str = "/usr/bin/cellblock";
const AGENT: &str = "jt-service";

#[test]
fn agents_outlive_a_restart_and_a_kill_of_the_service() {
    needs!("root", "cgroup2", "tmux", "systemd", "disposable", "quiet");
    let text = format!(
        "schema = 1\n[[agents]]\nname = '{AGENT}'\nprofile = 'demo'\ncommand = ['sleep', '100000']\n"
    );
    install(&text);
    let first = runs_anew("0");
    // The agent of the configuration has been started with the service.
    let running = || finish(command(BINARY).arg("ls")).out.contains("running").then_some(());
    eventually("the agent", running);
    let init = || host::init_of(host::uid_of(AGENT).unwrap());
    let before = init();
    assert!(before.is_some());
    assert!(!host::scopes(AGENT).is_empty(), "the shim has a scope of its own");
    run(&["systemctl", "restart", "cellblock.service"]);
    let second = runs_anew(&first);
    assert_eq!(init(), before, "after a restart");
    eventually("the agent", running);
    run(&["kill", "-9", &second]);
    runs_anew(&second);
    assert_eq!(init(), before, "after a kill");
    eventually("the agent", running);
    // Stopped by somebody, it is not started by a restart of the service.
    run(&[BINARY, "stop", "--now", AGENT]);
    let third = main_pid().unwrap();
    run(&["systemctl", "restart", "cellblock.service"]);
    runs_anew(&third);
    std::thread::sleep(harness::patient(std::time::Duration::from_millis(500)));
    assert!(init().is_none());
    host::expect_nothing_left(AGENT);
    remove();
}
