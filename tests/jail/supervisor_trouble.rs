//! What goes wrong around a supervisor: full disks for what it writes beside its state, an init that is killed, a clock that
//! is set back.

use crate::disk_full::{SmallDisk, run};
use crate::harness::{cellblock, command, eventually, finish, start};
use crate::host;
use crate::installation::{COUNTS, Installation, count};

fn logs(supervisor: &Installation, name: &str) -> String {
    supervisor.ask("logs", &[name]).expect(0).out.clone()
}

#[test]
fn a_full_disk_for_journals_is_told_and_ends_nobody() {
    needs!("root", "cgroup2", "tmux");
    let disk = SmallDisk::new("64k");
    let paths = format!("log = '{}/log'", disk.path().display());
    let supervisor = Installation::with_paths(&["jt-st-log", "jt-st-log2"], &paths, "");
    supervisor.start("jt-st-log", COUNTS).expect(0);
    disk.fill();
    let shown = || count(&supervisor.ask("screen", &["jt-st-log"]).expect(0).out);
    let before = shown();
    supervisor.start("jt-st-log2", "sleep 1000").expect(0);
    eventually("a further count", || (shown() > before).then_some(()));
    eventually("the word of it", || {
        supervisor.log().contains("was not written down").then_some(())
    });
    assert!(!logs(&supervisor, "jt-st-log2").contains("was started"));
    disk.make_room();
    supervisor.ask("freeze", &["jt-st-log2"]).expect(0);
    assert!(logs(&supervisor, "jt-st-log2").contains("is frozen"));
    supervisor.ask("stop", &["--now", "jt-st-log", "jt-st-log2"]).expect(0);
}

#[test]
fn what_is_not_written_down_is_answered_so() {
    needs!("root", "cgroup2", "tmux");
    let disk = SmallDisk::new("64k");
    let paths = format!("state = '{}/state'", disk.path().display());
    let agents = ["jt-st-net", "jt-st-end"];
    let mut supervisor = Installation::with_paths(&agents, &paths, "");
    let profile = supervisor.path("allowlist.toml").display().to_string();
    let rules = "mode = 'allowlist'\nallow = ['a.test:7000']";
    std::fs::write(&profile, format!("schema = 1\nextends = ['demo']\n[network]\n{rules}\n"))
        .unwrap();
    let words = ["--name", agents[0], &profile, "--", "sleep", "1000"];
    supervisor.ask("start", &words).expect(0);
    supervisor.start(agents[1], "sleep 1000").expect(0);
    let network = |words: &[&str]| {
        finish(command(crate::harness::program()).args(["network", agents[0]]).args(words))
    };
    disk.fill();
    let holds = ["this holds now, but the next supervisor would not know of it", "No space"];
    network(&["--deny", "a.test:7000"]).expect_refusal(125, &holds);
    let ended = ["that is not written down", "No space", "make room"];
    supervisor.ask("stop", &["--now", agents[1]]).expect_refusal(125, &ended);
    assert_eq!(supervisor.state(agents[1]), "ended");
    disk.make_room();
    // The same once more is done, and known to the next one.
    network(&["--deny", "a.test:7000"]).expect(0);
    supervisor.ask("stop", &["--now", agents[1]]).expect(0);
    supervisor.dies();
    supervisor.begin();
    supervisor.becomes(agents[0], "running");
    assert_eq!(supervisor.state(agents[1]), "ended");
    let shown = network(&["--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.expect(0).out).unwrap();
    assert!(shown[0]["rules"]["deny"].to_string().contains("a.test"), "{shown:#?}");
}

#[test]
fn a_full_disk_for_a_recording_is_told_and_it_goes_on_when_there_is_room() {
    needs!("root", "cgroup2", "tmux");
    let disk = SmallDisk::new("1m");
    let paths = format!("log = '{}/log'", disk.path().display());
    let supervisor = Installation::with_paths(&["jt-st-rec"], &paths, "");
    let profile = supervisor.path("recorded.toml").display().to_string();
    std::fs::write(&profile, "schema = 1\nextends = ['demo']\n[terminal]\nrecord = true\n")
        .unwrap();
    let words = ["--name", "jt-st-rec", &profile, "--", "bash", "-c", COUNTS];
    supervisor.ask("start", &words).expect(0);
    disk.fill();
    // The journal is on the same disk: the supervisor's own log tells.
    eventually("the word of it", || {
        supervisor.log().contains("cannot record jt-st-rec").then_some(())
    });
    let shown = || count(&supervisor.ask("screen", &["jt-st-rec"]).expect(0).out);
    let before = shown();
    eventually("a further count", || (shown() > before).then_some(()));
    let text = || {
        let mut play = command(crate::harness::program());
        let config = supervisor.path("config.toml").display().to_string();
        play.args(["play", "--config", &config, "--text", "jt-st-rec"]);
        finish(&mut play).out
    };
    disk.make_room();
    let now = shown().unwrap();
    eventually("what came after", || (count(&text()) > Some(now)).then_some(()));
    supervisor.ask("stop", &["--now", "jt-st-rec"]).expect(0);
}

#[test]
fn an_init_that_is_killed_ends_its_jail_and_the_policy_decides() {
    needs!("root", "cgroup2", "tmux");
    const AGENTS: [&str; 2] = ["jt-st-init", "jt-st-init2"];
    let supervisor = Installation::new(&AGENTS, "");
    supervisor.start(AGENTS[0], "sleep 1000").expect(0);
    let again = ["--restart", "on-failure", "--name", AGENTS[1], "demo", "--", "sleep", "1000"];
    supervisor.ask("start", &again).expect(0);
    let init = |name: &str| {
        let told = supervisor.ask("status", &["--json", name]).expect(0).out.clone();
        serde_json::from_str::<serde_json::Value>(&told).unwrap()["init"].as_i64()
    };
    let before = AGENTS.map(|name| init(name).unwrap());
    for pid in before {
        run(&["kill", "-9", &pid.to_string()]).expect(0);
    }
    supervisor.becomes(AGENTS[0], "ended");
    host::expect_nothing_left(AGENTS[0]);
    let told = logs(&supervisor, AGENTS[0]);
    assert!(told.contains("jt-st-init was ended") || told.contains("signal 9"), "{told}");
    eventually("another one", || {
        (supervisor.state(AGENTS[1]) == "running" && init(AGENTS[1])? != before[1]).then_some(())
    });
    let agent = supervisor.list().into_iter().find(|agent| agent["name"] == AGENTS[1]).unwrap();
    assert_eq!(agent["restarts"], 1, "{agent:#?}");
}

#[test]
fn who_runs_a_name_without_the_supervisor_is_left_alone_by_it() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-st-own";
    let supervisor = Installation::new(&[agent], "");
    supervisor.start(agent, "sleep 1000").expect(0);
    supervisor.ask("stop", &["--now", agent]).expect(0);
    let running = start(&mut cellblock("run", agent, &[], "demo", &["sleep", "1000"]));
    let uid = host::uid_of(agent).unwrap();
    let sleeps = || host::processes(uid).into_iter().find(|(_, name)| name == "sleep");
    let before = eventually("the session", sleeps);
    // What the supervisor knows of its own jail is of one that was.
    let refused = supervisor.ask("restart", &[agent]);
    assert!(refused.expect(125).err.contains("running"), "{refused:#?}");
    supervisor.becomes(agent, "ended");
    assert_eq!(sleeps(), Some(before));
    running.signal(rustix::process::Signal::TERM);
    running.wait(crate::harness::DEADLINE);
}

/// The time of the machine's clock, in seconds since 1970.
fn clock() -> u64 {
    run(&["date", "+%s"]).expect(0).out.trim().parse().unwrap()
}

/// Sets the clock back to what it would be if nobody had touched it.
struct Clock {
    was: u64,
    since: std::time::Instant,
}

impl Clock {
    fn set_back(seconds: u64) -> Self {
        let clock = Self { was: clock(), since: std::time::Instant::now() };
        run(&["date", "-s", &format!("@{}", clock.was - seconds)]).expect(0);
        clock
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let now = self.was + self.since.elapsed().as_secs();
        let ended = run(&["date", "-s", &format!("@{now}")]);
        if !std::thread::panicking() {
            ended.expect(0);
        }
    }
}

#[test]
fn a_clock_that_is_set_back_changes_nothing_for_agents() {
    needs!("root", "cgroup2", "tmux", "disposable", "quiet");
    const AGENTS: [&str; 2] = ["jt-st-clock", "jt-st-clock2"];
    let mut supervisor = Installation::new(&AGENTS, "");
    supervisor.start(AGENTS[0], COUNTS).expect(0);
    let shown =
        |supervisor: &Installation| count(&supervisor.ask("screen", &[AGENTS[0]]).expect(0).out);
    let clock = Clock::set_back(86_400);
    assert!(self::clock() < clock.was - 80_000, "the clock was not set");
    // One whose pauses are counted while it is as it is.
    let words = ["--restart", "always", "--name", AGENTS[1], "demo", "--", "true"];
    supervisor.ask("start", &words).expect(0);
    let restarts = |supervisor: &Installation| {
        let agent = supervisor.list().into_iter().find(|agent| agent["name"] == AGENTS[1]);
        agent.unwrap()["restarts"].as_u64().unwrap()
    };
    eventually("two restarts", || (restarts(&supervisor) >= 2).then_some(()));
    // A next supervisor reads times that have not come yet.
    supervisor.dies();
    supervisor.begin();
    supervisor.becomes(AGENTS[0], "running");
    let table = supervisor.ask("ls", &[]).expect(0).out.clone();
    assert!(table.contains(AGENTS[0]), "{table}");
    let before = shown(&supervisor);
    eventually("a further count", || (shown(&supervisor) > before).then_some(()));
    supervisor.ask("restart", &[AGENTS[0]]).expect(0);
    supervisor.becomes(AGENTS[0], "running");
    drop(clock);
    supervisor.ask("stop", &["--now", AGENTS[0], AGENTS[1]]).expect(0);
}
