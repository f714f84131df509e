//! The launcher is killed at any moment: after the next start nothing is left.

use crate::harness::{self, Folder, cellblock, command, exec, finish, program, start};
use crate::host;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const AGENT: &str = "jt-killed";
const ROUNDS: u64 = 200;
/// As many where `CELLBLOCK_TEST_PATIENCE` says that the machine is slow: a round takes a second there.
const SLOW_ROUNDS: u64 = 50;
/// The owner of the project.
const PERSON: u32 = 4242;

/// Numbers that look random, the same for the same seed (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A project without any of the files that the profile protects: stubs are made for all of them.
fn project(folder: &Folder) -> String {
    let project = folder.directory("project", 0o755);
    folder.file("project/file", "", 0o644);
    for name in ["project", "project/file"] {
        std::os::unix::fs::lchown(folder.path(name), Some(PERSON), Some(PERSON)).unwrap();
    }
    project
}

fn entries(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path("project")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// How far it had come, by what is there after its end; another test's start may have swept already.
fn phase(ended: &harness::Ended, stubs: usize) -> &'static str {
    if ended.signal.is_none() {
        "ended by itself"
    } else if ended.out.contains("inside") {
        "command runs"
    } else if !host::cgroups(AGENT).is_empty() {
        "cgroup made, jail on its way"
    } else if stubs > 1 {
        "stubs made"
    } else if !host::records(AGENT).is_empty() {
        "record made"
    } else {
        "nothing made"
    }
}

/// How long a launch takes from its beginning to its end, in microseconds.
fn took(project: &str) -> u64 {
    let begun = Instant::now();
    finish(&mut cellblock("exec", AGENT, &["--workspace", project], "demo", &["true"])).expect(0);
    u64::try_from(begun.elapsed().as_micros()).unwrap()
}

#[test]
fn a_killed_launcher_leaves_nothing_to_the_next_start() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let project = project(&folder);
    let seed = u64::from(std::process::id());
    let whole = (0..5).map(|_| took(&project)).min().unwrap();
    let mut numbers = Numbers(seed);
    let mut phases: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for round in 0..(if harness::is_slow() { SLOW_ROUNDS } else { ROUNDS }) {
        let verb = if round % 2 == 0 { "exec" } else { "run" };
        let options = if round % 4 < 2 { vec!["--workspace", &project] } else { Vec::new() };
        // Most during the launch, some when the command runs already.
        let range = if round % 8 == 0 { 4 * whole } else { whole };
        let delay = Duration::from_micros(numbers.below(range).min(numbers.below(range)));
        let words = ["sh", "-c", "echo inside; exec sleep 30"];
        let mut running = start(&mut cellblock(verb, AGENT, &options, "demo", &words));
        std::thread::sleep(delay);
        running.child.kill().unwrap();
        let ended = running.wait(harness::DEADLINE);
        let reached = phase(&ended, entries(&folder).len());
        *phases.entry((verb, reached)).or_default() += 1;
        exec("jt-sweeper", &[], "demo", &["true"]).expect(0);
        let mut left = host::left_of(AGENT);
        left.extend(entries(&folder).into_iter().filter(|name| name != "file"));
        assert!(
            left.is_empty(),
            "seed {seed}, round {round} after {delay:?}, {reached}: {left:#?}"
        );
    }
    for ((verb, reached), count) in phases {
        println!("{verb:<5} {reached:<30} {count:>3}");
    }
}

#[test]
fn a_killed_launcher_takes_the_agent_with_it() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-orphaned";
    for (verb, words) in [("exec", ["sleep", "60"]), ("run", ["sleep", "60"])] {
        let mut running = start(&mut cellblock(verb, agent, &[], "demo", &words));
        let sleeps = || {
            let processes = host::processes(host::uid_of(agent)?);
            processes.iter().any(|(_, name)| name == "sleep").then_some(())
        };
        harness::eventually("the agent", sleeps);
        running.child.kill().unwrap();
        let ended = running.wait(harness::DEADLINE);
        assert_eq!(ended.signal, Some(9));
        let uid = host::uid_of(agent).unwrap();
        // Without any further start.
        harness::eventually("its end", || host::processes(uid).is_empty().then_some(()));
        exec("jt-sweeper", &[], "demo", &["true"]).expect(0);
        host::expect_nothing_left(agent);
    }
}

#[test]
fn a_stopped_launcher_loses_nothing() {
    needs!("root", "cgroup2");
    let agent = "jt-stopped";
    let words = ["sh", "-c", "echo inside; read line; exit 4"];
    let mut cellblock = cellblock("exec", agent, &[], "demo", &words);
    let mut running = start(cellblock.stdin(std::process::Stdio::piped()));
    running.says("inside");
    running.signal(Signal::STOP);
    // Its record is locked all the same: nobody sweeps it away.
    exec("jt-sweeper", &[], "demo", &["true"]).expect(0);
    assert_eq!(host::records(agent).len(), 1);
    running.signal(Signal::CONT);
    drop(running.child.stdin.take());
    running.wait(harness::DEADLINE).expect(4);
    host::expect_nothing_left(agent);
    // The program itself is left alone, too.
    finish(command(program()).arg("--version")).expect(0);
}
