//! What becomes of agents when their machine is restarted. Two tests, and a restart between them: `scripts/vm test` runs the
//! first last of all, restarts its machine as an admin does, and runs the second.

use crate::harness::{command, eventually, finish};
use crate::host;
use crate::service::{self, BINARY, run};
use serde_json::Value;

/// In the configuration.
const NAMED: &str = "jt-boot-named";
/// The same, and stopped by somebody before the restart.
const STOPPED: &str = "jt-boot-stopped";
/// Started by somebody, to be started again whenever it ends.
const ALWAYS: &str = "jt-boot-always";
/// Started by somebody.
const ONCE: &str = "jt-boot-once";
/// What the first test leaves for the second: on the disk.
const NOTES: &str = "/var/lib/jt-boot";

fn agents() -> Vec<Value> {
    let ended = finish(command(BINARY).args(["ls", "--json"]));
    serde_json::from_str(&ended.expect(0).out).unwrap()
}

fn shown(name: &str) -> Value {
    agents().into_iter().find(|agent| agent["name"] == name).unwrap_or_default()
}

fn becomes(name: &str, state: &str) {
    eventually(&format!("{name} {state}"), || (shown(name)["state"] == state).then_some(()));
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap()
}

#[test]
fn before_a_restart_of_the_machine_agents_run() {
    needs!("root", "cgroup2", "tmux", "systemd", "disposable", "quiet", "before-restart");
    let entry = |name: &str| {
        format!("[[agents]]\nname = '{name}'\nprofile = 'demo'\ncommand = ['sleep', '100000']\n")
    };
    service::install(&format!("schema = 1\n{}{}", entry(NAMED), entry(STOPPED)));
    service::runs_anew("0");
    let start = |name: &str, restart: &[&str]| {
        let mut words = vec![BINARY, "start", "--name", name];
        words.extend(restart);
        words.extend(["demo", "--", "sleep", "100000"]);
        run(&words);
    };
    start(ALWAYS, &["--restart", "always"]);
    start(ONCE, &[]);
    [NAMED, STOPPED, ALWAYS, ONCE].iter().for_each(|name| becomes(name, "running"));
    run(&[BINARY, "stop", "--now", STOPPED]);
    becomes(STOPPED, "ended");
    let uids = [NAMED, ALWAYS, ONCE].map(|name| host::uid_of(name).unwrap().to_string());
    std::fs::write(NOTES, format!("{}{}", boot_id(), uids.join(" "))).unwrap();
}

#[test]
fn after_a_restart_of_the_machine_agents_come_back_as_was_asked() {
    needs!("root", "cgroup2", "tmux", "systemd", "disposable", "quiet", "after-restart");
    let notes = std::fs::read_to_string(NOTES).unwrap();
    let (boot, uids) = notes.split_once('\n').unwrap();
    assert_ne!(boot, boot_id().trim(), "the machine was not restarted");
    service::runs_anew("0");
    [NAMED, STOPPED, ALWAYS].iter().for_each(|name| becomes(name, "running"));
    let once = shown(ONCE);
    assert_eq!(once["state"], "ended", "{once:#?}");
    let how = once["how"].as_str().unwrap();
    assert!(how.contains("the host was restarted"), "{how}");
    assert_eq!(
        [NAMED, ALWAYS, ONCE].map(|name| host::uid_of(name).unwrap().to_string()).join(" "),
        uids
    );
    assert!(host::processes(host::uid_of(ONCE).unwrap()).is_empty());
    // Each once, beside what other tests have left in the list.
    let all = agents();
    let own = all.iter().filter(|agent| agent["name"].as_str().unwrap().starts_with("jt-boot-"));
    assert_eq!(own.count(), 4, "{all:#?}");
    for name in [NAMED, STOPPED, ALWAYS] {
        run(&[BINARY, "stop", "--now", name]);
        host::expect_nothing_left(name);
    }
    service::remove();
    std::fs::remove_file(NOTES).unwrap();
}
