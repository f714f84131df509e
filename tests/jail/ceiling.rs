//! The ceiling of all agents together, though their own limits add up to three times as much.

use crate::burning::Watched;
use crate::harness::{self, Ended, Folder, cellblock, command, eventually, exec, finish};
use crate::host;
use std::io::Write as _;
use std::process::Stdio;

const AGENTS: usize = 10;

fn of_slice(file: &str) -> String {
    std::fs::read_to_string(host::slice().join(file)).unwrap().trim().to_owned()
}

fn number_of_slice(file: &str) -> u64 {
    of_slice(file).parse().unwrap()
}

/// Forgets what the slice counted for the tests before.
fn fresh_slice() {
    finish(command("systemctl").args(["stop", "cellblock.slice"])).expect(0);
    eventually("the end of the slice", || (!host::slice().exists()).then_some(()));
}

fn name(index: usize) -> String {
    format!("jt-ten{index}")
}

/// Starts ten agents under `ceiling`, each with `limits`; when all run, each runs `script` of perl,
/// which says `there` when it has what it can get, and goes on until its standard input ends.
fn ten(ceiling: &str, limits: &str, script: &str) -> Vec<Ended> {
    let folder = Folder::new();
    let config = folder.file("config.toml", &format!("schema = 1\n[slice]\n{ceiling}\n"), 0o644);
    let profile = folder.profile("one", &format!("extends = ['demo']\n[limits]\n{limits}\n"));
    let script =
        format!("$| = 1; print qq(ready\\n); <STDIN>; {script} print qq(there\\n); <STDIN>");
    let start = |index| {
        let words = ["perl", "-e", &script];
        let mut one = cellblock("exec", &name(index), &["--config", &config], &profile, &words);
        let one = Watched::start_with(one.stdin(Stdio::piped()), &name(index));
        one.running.says("ready");
        one
    };
    let mut all: Vec<_> = (0..AGENTS).map(start).collect();
    for one in &mut all {
        writeln!(one.running.child.stdin.as_mut().unwrap(), "go").unwrap();
    }
    for one in &mut all {
        eventually("its share", || {
            let there = one.running.out().contains("there");
            (there || one.running.child.try_wait().unwrap().is_some()).then_some(())
        });
    }
    let end = |mut one: Watched| {
        drop(one.running.child.stdin.take());
        one.running.wait(harness::DEADLINE)
    };
    all.into_iter().map(end).collect()
}

/// Ends with the ceiling that is there without a configuration.
#[track_caller]
fn expect_default_again(file: &str, before: u64, ceiling: u64) {
    assert_eq!(number_of_slice(file), ceiling);
    exec("jt-bystander", &[], "demo", &["true"]).expect(0);
    assert_eq!(number_of_slice(file), before);
    (0..AGENTS).for_each(|index| host::expect_nothing_left(&name(index)));
}

#[test]
fn ten_agents_share_the_memory_of_one_ceiling() {
    needs!("root", "cgroup2:memory", "systemd", "perl", "disposable", "quiet");
    exec("jt-bystander", &[], "demo", &["true"]).expect(0);
    fresh_slice();
    // Something must run in the slice, or it has no files to read.
    let keeper = Watched::start("exec", "jt-keeper", "demo", &["sleep", "600"]);
    let before = number_of_slice("memory.max");
    let script = "push @all, 'x' x (1 << 20) for 1 .. 75;";
    let limits = "memory = '90M'\nmemory_high = '90M'";
    let ended = ten("memory = '300M'", limits, script);
    let (peak, kills) = (number_of_slice("memory.peak"), of_slice("memory.events"));
    println!("the slice's peak: {peak}; {}", kills.replace('\n', ", "));
    assert!(peak <= 300 << 20, "{peak}");
    let killed: Vec<_> = ended.iter().filter(|one| one.status == Some(137)).collect();
    let others = ended.iter().filter(|one| one.status == Some(0)).count();
    println!("{} of {AGENTS} were ended, {others} were not", killed.len());
    assert!(!killed.is_empty() && killed.len() + others == AGENTS, "{ended:#?}");
    for one in &killed {
        assert!(one.err.contains("not for the agent's own limit"), "{one:#?}");
    }
    expect_default_again("memory.max", before, 300 << 20);
    keeper.stop();
    host::expect_nothing_left("jt-keeper");
}

#[test]
fn ten_agents_share_the_tasks_of_one_ceiling() {
    needs!("root", "cgroup2:pids", "systemd", "perl", "disposable", "quiet");
    exec("jt-bystander", &[], "demo", &["true"]).expect(0);
    fresh_slice();
    let keeper = Watched::start("exec", "jt-keeper", "demo", &["sleep", "600"]);
    let before = number_of_slice("pids.max");
    let script = "$n = 0; $n++ while $n < 18 && (defined($p = fork) ? ($p or sleep 600) : 0); print qq(got $n\\n);";
    let ended = ten("tasks = 64", "tasks = 20", script);
    let (peak, refused) = (number_of_slice("pids.peak"), of_slice("pids.events"));
    let got = |one: &Ended| -> u32 {
        let count = one.expect(0).out.lines().find_map(|line| line.strip_prefix("got "));
        count.unwrap().parse().unwrap()
    };
    let got: Vec<_> = ended.iter().map(got).collect();
    println!("the slice's peak: {peak}; {refused}; children of each: {got:?}");
    assert!(peak <= 64, "{peak}");
    assert!(got.iter().any(|count| *count < 18), "{got:?}");
    expect_default_again("pids.max", before, 64);
    keeper.stop();
    host::expect_nothing_left("jt-keeper");
}

#[test]
fn no_agent_starts_where_all_agents_have_all_tasks() {
    needs!("root", "cgroup2:pids", "systemd", "perl", "disposable", "quiet");
    let (agent, folder) = ("jt-full-slice", Folder::new());
    let config = folder.file("config.toml", "schema = 1\n[slice]\ntasks = 16\n", 0o644);
    let options = ["--config", &config];
    let script =
        "$| = 1; 1 while defined($p = fork) && ($p or sleep 600); print qq(full\n); sleep 600";
    let mut full = cellblock("exec", agent, &options, "demo", &["perl", "-e", script]);
    let full = Watched::start_with(&mut full, agent);
    full.running.says("full");
    let next = exec("jt-next", &options, "demo", &["true"]);
    println!("{}", next.err);
    next.expect_refusal(125, &["Resource temporarily unavailable", "[slice] tasks"]);
    host::expect_nothing_left("jt-next");
    // The host has tasks, and raising the ceiling is enough.
    exec("jt-next", &[], "demo", &["true"]).expect(0);
    full.stop();
    host::expect_nothing_left(agent);
}
