//! `cellblock limits`: what is shown, what can be changed and what cannot, and by whom.

use crate::burning::{Watched, told_in_journal};
use crate::harness::{self, Ended, Folder, command, eventually, finish, program};
use crate::host;

fn limits(words: &[&str]) -> Ended {
    finish(command(program()).arg("limits").args(words))
}

/// An agent that holds 24 MiB, half of it as the constant that perl makes of it, and little else.
fn holder(agent: &str) -> Watched {
    let folder = Folder::new();
    let text = "extends = ['demo']\n[limits]\nmemory = '64M'\nmemory_high = '64M'\ntasks = 32\ncpu = '50%'\n";
    let profile = folder.profile("small", text);
    let script = "$| = 1; my $x = 'x' x (12 << 20); print qq(ready\\n); sleep 600";
    let holder = Watched::start("exec", agent, &profile, &["perl", "-e", script]);
    holder.running.says("ready");
    holder
}

#[test]
fn limits_are_shown_with_what_is_used_of_them() {
    needs!("root", "cgroup2:memory", "cgroup2:pids", "cgroup2:cpu", "perl");
    let agent = "jt-shown";
    let holder = holder(agent);
    let memory = holder.gauge("memory");
    let used = memory["used"].as_u64().unwrap();
    assert!(used > 24 << 20 && memory["limit"] == 64 << 20, "{memory}");
    assert!(used <= holder.number("memory.peak"));
    let tasks = holder.gauge("tasks");
    assert_eq!((tasks["used"].as_u64(), tasks["limit"].as_u64()), (Some(2), Some(32)));
    let shown = limits(&[agent]);
    for word in [agent, "of 64M", "2 of 32", "limit 50% of a processor", "/tmp", "waiting for"] {
        assert!(shown.expect(0).out.contains(word), "no `{word}` in {shown:#?}");
    }
    assert!(limits(&[]).expect(0).out.contains(agent));
    holder.stop();
    host::expect_nothing_left(agent);
}

#[test]
fn limits_of_a_running_agent_can_be_changed() {
    needs!("root", "cgroup2:memory", "cgroup2:pids", "cgroup2:cpu", "perl");
    let agent = "jt-changed";
    let holder = holder(agent);
    let set = |words: &[&str]| {
        let words: Vec<_> = words.iter().flat_map(|word| ["--set", word]).collect();
        limits(&[&[agent], &words[..]].concat())
    };
    set(&["memory=80M", "tasks=40", "cpu=1.5"]).expect(0);
    assert_eq!((holder.number("memory.max"), holder.number("pids.max")), (80 << 20, 40));
    assert_eq!(holder.file("cpu.max"), "150000 100000");
    assert_eq!(holder.gauge("memory")["limit"], 80 << 20);
    set(&["memory_high=48M", "tasks=20"]).expect(0);
    assert_eq!((holder.number("memory.high"), holder.number("pids.max")), (48 << 20, 20));
    set(&["memory=48M"]).expect(0);
    let changes: Vec<_> = told_in_journal(agent)
        .into_iter()
        .filter(|line| line["event"] == "limit-changed")
        .map(|line| format!("{} {}", line["limit"], line["to"]).replace('"', ""))
        .collect();
    let expected = [
        format!("memory {}", 80 << 20),
        "tasks 40".to_owned(),
        "cpu 150000 100000".to_owned(),
        format!("memory_high {}", 48 << 20),
        "tasks 20".to_owned(),
        format!("memory {}", 48 << 20),
    ];
    assert_eq!(changes, expected);
    holder.stop();
    host::expect_nothing_left(agent);
}

#[test]
fn changes_that_cannot_be_are_refused() {
    needs!("root", "cgroup2:memory", "cgroup2:pids", "perl");
    let agent = "jt-refused";
    let holder = holder(agent);
    let cases: &[(&[&str], &[&str])] = &[
        (&[agent, "--set", "memory=100T"], &["memory=100T", "above the ceiling of all agents"]),
        (&[agent, "--set", "tasks=4000000000"], &["tasks=4000000000", "above the ceiling"]),
        (&[agent, "--set", "memory=16M"], &["memory=16M", "below what the agent uses"]),
        (&[agent, "--set", "memory=40M"], &["memory_high", "would be above memory"]),
        (&[agent, "--set", "uid=0"], &["`uid` cannot be changed", "memory_high"]),
        (&[agent, "--set", "memory"], &["`memory` is not KEY=VALUE"]),
        (&[agent, "--set", "tasks=many"], &["`many` is not a number"]),
        // One that cannot be keeps the others from being made.
        (&[agent, "--set", "tasks=20", "--set", "cpu=0"], &["processors"]),
        (&["jt-nobody", "--set", "tasks=20"], &["no agent named `jt-nobody`", "cellblock limits"]),
        (&["jt-nobody"], &["no agent named `jt-nobody`"]),
    ];
    for (words, says) in cases {
        let ended = limits(words);
        println!("{words:?}: {:?} {}", ended.status, ended.err);
        ended.expect_refusal(ended.status.filter(|status| *status != 0).unwrap_or(125), says);
        assert_eq!((holder.number("memory.max"), holder.number("pids.max")), (64 << 20, 32));
    }
    assert!(told_in_journal(agent).iter().all(|line| line["event"] != "limit-changed"));
    holder.stop();
    host::expect_nothing_left(agent);
}

#[test]
fn ordinary_users_are_shown_no_limits() {
    needs!("root", "cgroup2");
    for words in [&["limits"][..], &["limits", "jt-any", "--set", "memory=1G"]] {
        let ids = ["--reuid=65534", "--regid=65534", "--clear-groups", program()];
        let ended = finish(command("setpriv").args(ids).args(words));
        ended.expect_refusal(125, &["shown to root alone", "sudo"]);
    }
}

/// Takes memory that cannot be taken back, far more slowly than without the threshold.
const THRASH: &str = "push @x, 'x' x (1 << 16) while 1";

#[test]
fn waiting_for_memory_is_told() {
    needs!("root", "cgroup2:memory", "perl", "quiet");
    let (agent, folder) = ("jt-thrash", Folder::new());
    let text = "extends = ['demo']\n[limits]\nmemory = '512M'\nmemory_high = '32M'\n";
    let profile = folder.profile("small", text);
    let thrash = Watched::start("exec", agent, &profile, &["perl", "-e", THRASH]);
    let told = || {
        let journal = told_in_journal(agent);
        journal.into_iter().find(|line| line["limit"] == "memory pressure")
    };
    let told = eventually("an event", told);
    let half_a_second = || {
        let pressure = thrash.file("memory.pressure");
        let waited = pressure.lines().next()?.rsplit_once("total=")?.1.parse::<u64>().ok()?;
        (waited > 500_000).then_some(pressure)
    };
    println!("{told}; {}", eventually("half a second of waiting", half_a_second));
    let (ended, took) = thrash.stop();
    println!("empty {took:?} after");
    assert!(ended.err.contains("memory pressure: processes waited "), "{ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn waiting_is_harmless_where_there_is_enough() {
    needs!("root", "cgroup2:memory", "perl", "quiet");
    let agent = "jt-no-thrash";
    let script = "push @x, 'x' x (1 << 20) for 1 .. 64";
    let calm = Watched::start("exec", agent, "demo", &["perl", "-e", script]);
    let ended = calm.running.wait(harness::DEADLINE);
    assert!(!ended.expect(0).err.contains("memory pressure"), "{ended:#?}");
    host::expect_nothing_left(agent);
}
