//! Launches leave nothing: not after many, not when systemd or a signal ends them, not without a bus.

use crate::burning::Watched;
use crate::harness::{self, command, eventually, exec, finish, patient};
use crate::host;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// What launches could leave on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Inventory {
    cgroups: u64,
    mounts: usize,
    networks: usize,
    launchers: usize,
    records: usize,
}

/// The number behind `name` in a file of names and numbers.
fn number(file: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().find_map(|word| word.parse().ok())
}

fn pids() -> Vec<u32> {
    let names = std::fs::read_dir("/proc").unwrap().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

impl Inventory {
    fn take() -> Self {
        let namespace = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let is_launcher = |pid: &&u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim() == "cellblock")
        };
        Self {
            cgroups: number(&host::slice().join("cgroup.stat"), "nr_descendants").unwrap_or(0),
            mounts: std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(),
            networks: pids().iter().filter_map(namespace).collect::<BTreeSet<_>>().len(),
            launchers: pids().iter().filter(is_launcher).count(),
            records: std::fs::read_dir("/run/cellblock/launches").unwrap().count(),
        }
    }
}

impl Inventory {
    /// Whether there is nothing that was not there `before`. What other tests left to the kernel may go
    /// in the meantime.
    fn is_within(&self, before: &Self) -> bool {
        self.cgroups <= before.cgroups
            && self.mounts <= before.mounts
            && self.networks <= before.networks
            && self.launchers <= before.launchers
            && self.records <= before.records
    }
}

/// Bytes that the kernel uses for itself and cannot take back, and bytes that are there for all.
fn memory() -> (u64, u64) {
    let of = |name: &str| number(Path::new("/proc/meminfo"), name).unwrap_or(0) << 10;
    let kernel = ["SUnreclaim:", "KernelStack:", "PageTables:", "Percpu:"].map(of);
    (kernel.iter().sum(), of("MemAvailable:"))
}

#[test]
fn many_launches_leave_nothing() {
    needs!("root", "cgroup2", "quiet");
    let agent = "jt-often";
    let emulated = patient(Duration::from_secs(1)) > Duration::from_secs(1);
    let rounds = if emulated { 100 } else { 1000 };
    // The first ones fill what is kept for the next.
    for _ in 0..10 {
        exec(agent, &[], "demo", &["true"]).expect(0);
    }
    host::expect_nothing_left(agent);
    let (before, (kernel, available), begun) = (Inventory::take(), memory(), Instant::now());
    for _ in 0..rounds {
        exec(agent, &[], "demo", &["true"]).expect(0);
    }
    let took = begun.elapsed();
    host::expect_nothing_left(agent);
    let mut last = Inventory::take();
    eventually("what was there before", || {
        last = Inventory::take();
        last.is_within(&before).then_some(())
    });
    let (kernel_now, available_now) = memory();
    let dying = number(&host::slice().join("cgroup.stat"), "nr_dying_descendants");
    println!("{rounds} launches in {took:?}: {before:?}, then {last:?}");
    println!("cgroups that are dying: {dying:?}; kernel memory {kernel} then {kernel_now} bytes");
    println!("available: {available} then {available_now} bytes");
    assert!(kernel_now.saturating_sub(kernel) < 64 << 20, "{kernel} then {kernel_now} bytes");
    // Others may use a host; nobody uses a machine that is thrown away.
    if std::env::var("CELLBLOCK_DISPOSABLE").is_ok() {
        assert!(
            available.saturating_sub(available_now) < 100 << 20,
            "{available}, {available_now}"
        );
    }
}

#[test]
fn a_scope_that_is_stopped_ends_its_agent() {
    needs!("root", "cgroup2", "tmux", "systemd");
    let agent = "jt-stopped-scope";
    for verb in ["exec", "run"] {
        let watched = Watched::start(verb, agent, "demo", &["sleep", "600"]);
        let scope = watched.cgroup.parent().unwrap().file_name().unwrap().to_str().unwrap();
        finish(command("systemctl").args(["stop", scope])).expect(0);
        let ended = watched.running.wait(harness::DEADLINE);
        println!("{verb}: {ended:?}");
        assert!(ended.status != Some(0), "{ended:#?}");
        host::expect_nothing_left(agent);
        exec(agent, &[], "demo", &["true"]).expect(0);
    }
}

#[test]
fn a_killed_launcher_leaves_no_scope_and_can_be_started_again_at_once() {
    needs!("root", "cgroup2", "tmux", "systemd");
    let agent = "jt-killed-scope";
    for round in 0..10 {
        let verb = if round % 2 == 0 { "run" } else { "exec" };
        let mut watched = Watched::start(verb, agent, "demo", &["sleep", "600"]);
        assert_eq!(host::scopes(agent).len(), 1);
        watched.running.child.kill().unwrap();
        watched.running.wait(harness::DEADLINE);
        let next = exec(agent, &[], "demo", &["echo", "again"]);
        assert_eq!(next.expect(0).out, "again\n", "round {round}");
        host::expect_nothing_left(agent);
    }
    // Without a next launch, too, but for its record.
    let mut watched = Watched::start("run", agent, "demo", &["sleep", "600"]);
    watched.running.child.kill().unwrap();
    watched.running.wait(harness::DEADLINE);
    let begun = Instant::now();
    eventually("the end of its scope", || host::scopes(agent).is_empty().then_some(()));
    println!("the scope ended {:?} after its launcher", begun.elapsed());
    eventually("that systemd forgets its unit", || {
        let list = ["list-units", "--all", "--plain", "cellblock-*"];
        let units = finish(command("systemctl").args(list)).out;
        (!units.contains(&format!("cellblock-{agent}-"))).then_some(())
    });
    exec(agent, &[], "demo", &["true"]).expect(0);
    host::expect_nothing_left(agent);
}

/// Has systemd make a scope for a process that has ended and that nobody has waited for.
fn scope_of_the_dead(agent: &str) -> (String, std::process::Child) {
    let dead = command("true").spawn().unwrap();
    let pid = dead.id().to_string();
    let ended = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ");
    eventually("its end", || ended().then_some(()));
    let scope = format!("cellblock-{agent}-{pid}.scope");
    let manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1"];
    let method = ["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))"];
    let properties = ["3", "Slice", "s", "cellblock.slice", "Delegate", "b", "true"];
    let pids = ["PIDs", "au", "1", &pid, "0"];
    let mut call = command("busctl");
    call.arg("call").args(manager).args(method).args([&scope, "fail"]).args(properties).args(pids);
    finish(&mut call).expect(0);
    (scope, dead)
}

#[test]
fn a_launcher_killed_while_systemd_moves_it_leaves_no_scope() {
    // Another test's launch would stop it.
    needs!("root", "cgroup2", "systemd", "quiet");
    let agent = "jt-dead-scope";
    exec(agent, &[], "demo", &["true"]).expect(0);
    let (scope, mut dead) = scope_of_the_dead(agent);
    let stands = || host::scopes(agent).contains(&scope);
    eventually("the scope", || stands().then_some(()));
    // It does not go by itself.
    std::thread::sleep(harness::patient(std::time::Duration::from_millis(200)));
    assert!(stands(), "systemd has found that it is empty: nothing is left to do");
    exec("jt-sweeper", &[], "demo", &["true"]).expect(0);
    eventually("its end", || (!stands()).then_some(()));
    dead.wait().unwrap();
    host::expect_nothing_left(agent);
}

#[test]
fn a_cgroup_of_a_scope_that_systemd_gave_up_is_removed() {
    // Another test's launch would remove it.
    needs!("root", "cgroup2", "systemd", "quiet");
    let agent = "jt-given-up";
    exec(agent, &[], "demo", &["true"]).expect(0);
    // Its own scope goes when systemd comes to it.
    host::expect_nothing_left(agent);
    let mut dead = command("true").spawn().unwrap();
    let scope = format!("cellblock-{agent}-{}.scope", dead.id());
    dead.wait().unwrap();
    for below in ["launcher", "jt-given-up.run/below"] {
        std::fs::create_dir_all(host::slice().join(&scope).join(below)).unwrap();
    }
    assert_eq!(host::scopes(agent), [scope]);
    exec("jt-sweeper", &[], "demo", &["true"]).expect(0);
    assert!(host::scopes(agent).is_empty());
}

/// The message bus is stopped until this is dropped.
struct NoBus;

impl NoBus {
    fn new() -> Self {
        finish(command("systemctl").args(["stop", "dbus.socket", "dbus.service"])).expect(0);
        Self
    }
}

impl Drop for NoBus {
    fn drop(&mut self) {
        finish(command("systemctl").args(["start", "dbus.socket"])).expect(0);
    }
}

#[test]
fn without_a_message_bus_nothing_starts() {
    needs!("root", "cgroup2", "tmux", "systemd", "disposable", "quiet");
    let agent = "jt-no-bus";
    exec(agent, &[], "demo", &["true"]).expect(0);
    host::expect_nothing_left(agent);
    let none = NoBus::new();
    let before = Inventory::take();
    for verb in ["exec", "run"] {
        let ended = finish(&mut harness::cellblock(verb, agent, &[], "demo", &["true"]));
        println!("{verb}: {}", ended.err);
        ended.expect_refusal(125, &["cannot reach systemd over the system bus", "start dbus"]);
        host::expect_nothing_left(agent);
        assert_eq!(Inventory::take(), before);
    }
    drop(none);
    exec(agent, &[], "demo", &["true"]).expect(0);
}
