//! Bytes, their ends and their breaks pass the gate as on one connection.

use super::world::World;
use crate::harness::{self, eventually};
use crate::host;

const RULES: &str =
    "allow = ['a.test:7000', 'a.test:7002', 'a.test:7003', 'a.test:7004', 'a.test:9']";

#[test]
fn ends_and_breaks_are_passed_on() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-flow";
    let said = world.client(
        agent,
        RULES,
        &[
            "half:a.test:7002:5000000",
            "drain:a.test:7003",
            "tcp:a.test:7004:x",
            "tcp:a.test:9:x",
            "many:a.test:7000:150",
        ],
    );
    assert_eq!((&*said[0], &*said[1], &*said[4]), ("5000000", "67108864", "150"), "{said:?}");
    assert!(said[2].starts_with("ECONNRESET") || said[2].starts_with("EPIPE"), "{said:?}");
    // Nobody listens there: the gate cannot know before it has called.
    assert!(said[3].starts_with("ECONNRESET") || said[3].starts_with("EPIPE"), "{said:?}");
    // The control: the same without a gate.
    let bare =
        world.bare_client(&["half:a.test:7002:5000000", "tcp:a.test:7004:x", "tcp:a.test:9:x"]);
    assert_eq!(bare[0], "5000000");
    assert!(bare[1].starts_with("ECONNRESET") && bare[2].starts_with("ECONNREFUSED"), "{bare:?}");
    host::expect_nothing_left(agent);
}

/// A question for each would be more than the name servers of some hosts take at once.
#[test]
fn many_connections_to_one_name_are_one_question() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let (agent, many) = ("jt-questions", "many:kept.test:7000:150");
    assert_eq!(world.client(agent, "allow = ['kept.test:7000']", &[many]), ["150"]);
    // One for each kind of address.
    assert_eq!(world.questions(), 2);
    // An answer that does not hold longer is asked for again.
    world.forget();
    let twice = ["tcp:a.test:7000:x", "tcp:a.test:7000:y"];
    assert_eq!(world.client(agent, RULES, &twice), [r"b'x\n'", r"b'y\n'"]);
    assert_eq!(world.questions(), 4);
}

#[test]
fn a_gate_that_ends_takes_the_network_and_nothing_else() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-gateless";
    let profile = world.profile(agent, RULES);
    let script = "python3 /etc/client.py idle:a.test:7000:60; python3 /etc/client.py name:a.test; echo goes on";
    let running = world.begin(agent, &profile, &["sh", "-c", script]);
    running.says("waiting");
    let uid = host::uid_of(&format!("{agent}.gate")).unwrap();
    let gate = eventually("the gate", || host::processes(uid).first().map(|(pid, _)| *pid));
    let pid = rustix::process::Pid::from_raw(gate).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let ended = running.wait(harness::DEADLINE);
    assert!(ended.expect(0).out.ends_with("goes on\n"), "{ended:#?}");
    assert!(ended.out.contains("gaierror"), "{ended:#?}");
    assert!(ended.err.contains("had no network"), "{ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn the_gate_has_no_rights() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-gate-rights";
    let profile = world.profile(agent, RULES);
    let running = world.begin(agent, &profile, &["sh", "-c", "echo begun; sleep 60"]);
    running.says("begun");
    let uid = host::uid_of(&format!("{agent}.gate")).unwrap();
    let (gate, _) = host::processes(uid)[0].clone();
    let status = |name: &str| host::status(gate, name).unwrap();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(set), "0000000000000000", "{set}");
    }
    assert_eq!(
        (status("NoNewPrivs"), status("Seccomp"), status("Groups")),
        ("1".into(), "2".into(), String::new())
    );
    assert_ne!(host::uid_of(agent), Some(uid));
    running.signal(rustix::process::Signal::TERM);
    running.wait(harness::DEADLINE);
    eventually("its end", || host::processes(uid).is_empty().then_some(()));
}
