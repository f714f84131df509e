//! The rules of a running agent are changed at once and whole.

use super::world::World;
use crate::harness::{self, Ended, command, finish, program};
use crate::host;

fn network(agent: &str, words: &[&str]) -> Ended {
    finish(command(program()).args(["network", agent]).args(words))
}

#[test]
fn what_is_denied_ends_and_what_is_allowed_begins() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-change";
    let profile = world.profile(agent, "allow = ['a.test:7000', 'b.test:7000']");
    let script = "python3 /etc/client.py idle:a.test:7000:600; read line; \
                  python3 /etc/client.py tcp:a.test:7000:x tcp:b.test:7000:hello hear:b.test:7001 tcp:10.77.0.1:7000:hello; \
                  read line; python3 /etc/client.py tcp:a.test:7000:hello hear:b.test:7001";
    let cellblock = harness::cellblock("exec", agent, &[], &profile, &["sh", "-c", script]);
    let mut inside = world.inside(&cellblock);
    let mut running = harness::start(inside.stdin(std::process::Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    running.says("waiting");
    let changed = network(
        agent,
        &["--deny", "a.test", "--allow", "b.test:7001", "--allow", "10.77.0.1:7000"],
    );
    assert!(changed.expect(0).out.contains("deny  a.test"), "{changed:#?}");
    running.says("ECONNRESET");
    std::io::Write::write_all(&mut stdin, b"on\n").unwrap();
    running.says("gaierror");
    running.says("banner");
    harness::eventually("all of it", || {
        (running.out().matches("hello").count() == 2).then_some(())
    });
    network(agent, &["--reset"]).expect(0);
    std::io::Write::write_all(&mut stdin, b"on\n").unwrap();
    let ended = running.wait(harness::DEADLINE);
    // The new port's socket is still there, and nobody may be reached on it any more.
    let last: Vec<&str> = ended.expect(0).out.lines().rev().take(2).collect();
    assert!(last[0].starts_with("ECONNRESET") || last[0] == "b''", "{ended:#?}");
    assert_eq!(last[1], r"b'hello\n'", "{ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn a_change_that_is_none_is_refused() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-no-change";
    let profile = world.profile(agent, "allow = ['a.test:7000']\ndeny = ['*.wild.test']");
    let running = world.begin(agent, &profile, &["sh", "-c", "echo begun; sleep 600"]);
    running.says("begun");
    network(agent, &["--allow", "x.wild.test"])
        .expect_refusal(125, &["refused all the same", "*.wild.test"]);
    network(agent, &["--allow", "*.wild.test"]).expect_refusal(125, &["refused all the same"]);
    network(agent, &["--allow", "https://a.test/"]).expect(125);
    network(agent, &["--allow", "host"]).expect_refusal(125, &["names no port"]);
    network("jt-nobody", &[]).expect_refusal(125, &["no agent named `jt-nobody`"]);
    let shown = network(agent, &["--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.expect(0).out).unwrap();
    assert_eq!(shown[0]["rules"]["allow"].as_array().unwrap().len(), 1);
    running.signal(rustix::process::Signal::TERM);
    running.wait(harness::DEADLINE);
}

/// A jail whose gate is gone takes nothing from the others of its agent.
#[test]
fn a_change_reaches_each_jail_that_has_a_gate() {
    needs!("root", "cgroup2", "python3", "openssl", "ip");
    let world = World::new();
    let agent = "jt-change-two";
    let profile = world.profile(agent, "allow = ['a.test:7000']");
    let script = "python3 /etc/client.py idle:a.test:7000:600; sleep 600";
    let jails = [(); 2].map(|()| {
        let running = world.begin(agent, &profile, &["sh", "-c", script]);
        running.says("waiting");
        running
    });
    let uid = host::uid_of(&format!("{agent}.gate")).unwrap();
    let gates = host::processes(uid);
    let gate = rustix::process::Pid::from_raw(gates.first().unwrap().0).unwrap();
    rustix::process::kill_process(gate, rustix::process::Signal::KILL).unwrap();
    let broken = |count: usize| {
        // What became of it is said in a line of its own.
        let ended = |jail: &&harness::Running| jail.out().lines().count() == 2;
        harness::eventually("the ends of connections", || {
            (jails.iter().filter(ended).count() == count).then_some(())
        });
    };
    broken(1);
    let changed = network(agent, &["--deny", "a.test"]);
    changed.expect_refusal(125, &["the gate has ended"]);
    assert_eq!(changed.out.matches("deny  a.test").count(), 1, "{changed:#?}");
    broken(2);
    for jail in jails {
        jail.signal(rustix::process::Signal::TERM);
        jail.wait(harness::DEADLINE);
    }
    host::expect_nothing_left(agent);
}
