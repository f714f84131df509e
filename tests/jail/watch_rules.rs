//! What the watch does by each rule, where the profile says so: in jails of the supervisor and of `run`, with what calls itself
//! whatever it likes, and where it sees by scans alone.

use crate::harness::{self, Folder, Running, cellblock, eventually, managed, patient};
use crate::host;
use crate::installation::{COUNTS, Installation, count};
use crate::watch::{findings, installation, is_there, marked, profile, start, watch_below, ways};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Leaves a process behind that is told from all others by `mark`.
pub(crate) fn leave(mark: &str) -> String {
    format!("(sleep {mark} >/dev/null 2>&1 </dev/null &)")
}

/// Waits for a finding of `rule`, for as long as `within` says.
#[track_caller]
fn found_within(supervisor: &Installation, agent: &str, rule: &str, within: Duration) -> Value {
    let until = Instant::now() + patient(within);
    loop {
        let all = findings(supervisor, agent);
        if let Some(finding) = all.iter().find(|finding| finding["rule"] == rule) {
            return finding.clone();
        }
        assert!(Instant::now() < until, "no finding of {rule}: {all:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[track_caller]
pub(crate) fn found(supervisor: &Installation, agent: &str, rule: &str) -> Value {
    found_within(supervisor, agent, rule, harness::DEADLINE)
}

fn logs(supervisor: &Installation, agent: &str) -> String {
    supervisor.ask("logs", &[agent, "-n", "1000"]).expect(0).out.clone()
}

/// What a counting agent shows last.
pub(crate) fn shown(supervisor: &Installation, agent: &str) -> Option<u64> {
    count(&supervisor.ask("screen", &[agent]).expect(0).out)
}

#[track_caller]
pub(crate) fn goes_on(supervisor: &Installation, agent: &str) {
    let before = shown(supervisor, agent);
    eventually("a further count", || (shown(supervisor, agent) > before).then_some(()));
}

/// That an agent stays as it is for a while.
#[track_caller]
fn stays(supervisor: &Installation, agent: &str, state: &str) {
    let until = Instant::now() + patient(Duration::from_millis(500)) + Duration::from_secs(1);
    while Instant::now() < until {
        assert_eq!(supervisor.state(agent), state);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn many_new_processes_are_told_of_or_freeze_the_agent_until_somebody_lets_it_go_on() {
    needs!("root", "cgroup2", "tmux", "connector");
    let folder = Folder::new();
    let (alerts, freezes) = ("jt-wr-spawn-a", "jt-wr-spawn-f");
    let supervisor = installation(&folder, &[alerts, freezes]);
    let script = format!("sleep 1; for i in {{1..180}}; do /bin/true; done; {COUNTS}");
    let (most, over) = (managed(60), patient(Duration::from_secs(2)).as_secs());
    for (agent, action) in [(alerts, "alert"), (freezes, "freeze")] {
        let spawns = format!("per_second = {most}\nover = '{over}s'\naction = '{action}'\n");
        let watch = format!("[watch.spawns]\n{spawns}");
        start(&supervisor, agent, &profile(&folder, &watch), &script);
    }
    let finding = found(&supervisor, freezes, "spawns");
    assert_eq!(finding["action"], "freeze");
    let seen = format!("new processes within {over} s, more than {most}");
    assert!(finding["seen"].as_str().unwrap().contains(&seen), "{finding:#}");
    supervisor.becomes(freezes, "frozen");
    stays(&supervisor, freezes, "frozen");
    assert!(logs(&supervisor, freezes).contains("the watch froze jt-wr-spawn-f: spawns: "));
    // The other one is told of, and goes on.
    assert_eq!(found(&supervisor, alerts, "spawns")["action"], "alert");
    goes_on(&supervisor, alerts);
    // A person's word holds.
    supervisor.ask("thaw", &[freezes]).expect(0);
    goes_on(&supervisor, freezes);
    stays(&supervisor, freezes, "running");
}

#[test]
fn many_processes_stop_the_agent_which_is_not_started_again() {
    needs!("root", "cgroup2", "tmux", "connector");
    let folder = Folder::new();
    let agent = "jt-wr-count";
    let profile = profile(&folder, "[watch.count]\nprocesses = 30\naction = 'stop'\n");
    let supervisor = installation(&folder, &[agent]);
    let script = "for i in {1..40}; do sleep 1000 & done; wait";
    let words = ["--name", agent, "--restart", "always", &profile, "--", "bash", "-c", script];
    supervisor.ask("start", &words).expect(0);
    supervisor.becomes(agent, "ended");
    stays(&supervisor, agent, "ended");
    let list = supervisor.list();
    let of = list.iter().find(|it| it["name"] == agent).unwrap();
    let how = of["how"].as_str().unwrap();
    assert!(how.contains("was ended: the watch stopped it: count: "), "{how}");
    assert_eq!(of["restarts"], 0);
    let status = supervisor.ask("status", &[agent]).expect(0).out.clone();
    assert!(status.contains("the watch stopped it: count: "), "{status}");
    // However many were found until it had ended.
    let stops = logs(&supervisor, agent).matches("the watch has it stopped").count();
    assert_eq!(stops, 1);
    // The control: the same, with room for it.
    let profile = self::profile(&folder, "[watch.count]\nprocesses = 90\naction = 'stop'\n");
    start(&supervisor, agent, &profile, script);
    stays(&supervisor, agent, "running");
}

#[test]
fn what_burns_in_the_background_is_ended_and_the_agent_goes_on() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-wr-burn";
    let watch = "[watch.detached]\ngrace = '300ms'\naction = 'log'\n\
                 [watch.background]\ncpu = '20%'\nover = '2s'\naction = 'signal'\n";
    let supervisor = installation(&folder, &[agent]);
    let burner = "(bash -c \"while :; do :; done; : 48101\" >/dev/null 2>&1 &)";
    // One that rests is left behind as well, and left alone.
    let script = format!("{burner}; {}; {COUNTS}", leave("48102"));
    start(&supervisor, agent, &profile(&folder, watch), &script);
    let finding = found_within(&supervisor, agent, "background", Duration::from_secs(60));
    assert!(finding["processes"][0]["words"].as_str().unwrap().contains("48101"), "{finding:#}");
    let own = marked(agent, "count $i");
    let left = || marked(agent, "48101").into_iter().filter(|pid| !own.contains(pid)).count();
    eventually("its end", || (left() == 0).then_some(()));
    goes_on(&supervisor, agent);
    let rests = marked(agent, "48102").into_iter().filter(|pid| !own.contains(pid)).count();
    assert_eq!(rests, 1);
}

#[test]
fn what_still_ran_when_the_command_ended_is_written_down() {
    needs!("root", "cgroup2", "tmux", "connector");
    let folder = Folder::new();
    let agents = ["jt-wr-orphans", "jt-wr-orphans-no", "jt-wr-orphans-now"];
    let supervisor = installation(&folder, &agents);
    let profile = profile(&folder, "");
    let left = "setsid -f sleep 48201 >/dev/null 2>&1 </dev/null";
    start(&supervisor, agents[0], &profile, &format!("{left}; sleep 1; exit 3"));
    start(&supervisor, agents[1], &profile, "sleep 1 & wait; exit 3");
    for agent in &agents[..2] {
        supervisor.becomes(agent, "ended");
    }
    let finding = found(&supervisor, agents[0], "orphans");
    assert_eq!((&finding["action"], &finding["count"]), (&"log".into(), &1.into()), "{finding:#}");
    assert!(finding["processes"][0]["words"].as_str().unwrap().contains("48201"));
    let none = findings(&supervisor, agents[1]);
    assert!(none.is_empty(), "{none:#?}");
}

#[test]
fn one_left_behind_freezes_the_agent_where_the_profile_says_so() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-wr-freeze";
    let watch = "[watch.detached]\ngrace = '300ms'\naction = 'freeze'\n";
    let supervisor = installation(&folder, &[agent]);
    let script = format!("{}; {COUNTS}", leave("48301"));
    start(&supervisor, agent, &profile(&folder, watch), &script);
    supervisor.becomes(agent, "frozen");
    found(&supervisor, agent, "detached");
    supervisor.ask("thaw", &[agent]).expect(0);
    goes_on(&supervisor, agent);
    stays(&supervisor, agent, "running");
    assert!(!marked(agent, "48301").is_empty());
    // A further one freezes it again.
    let words = ["--running", agent, "--", "bash", "-c", &leave("48302")];
    supervisor.ask("exec", &words).expect(0);
    supervisor.becomes(agent, "frozen");
    supervisor.ask("thaw", &[agent]).expect(0);
}

#[test]
fn a_limit_that_is_reached_freezes_the_agent_where_the_profile_says_so() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let (freezes, logs_it) = ("jt-wr-limit-f", "jt-wr-limit-l");
    let supervisor = installation(&folder, &[freezes, logs_it]);
    // Until there is no room left in /tmp.
    let script = format!("cat /dev/zero 2>/dev/null > /tmp/full; {COUNTS}");
    for (agent, action) in [(freezes, "freeze"), (logs_it, "log")] {
        let watch = format!("[filesystem]\ntmp_size = '8M'\n[watch.limits]\naction = '{action}'\n");
        start(&supervisor, agent, &profile(&folder, &watch), &script);
    }
    supervisor.becomes(freezes, "frozen");
    let finding = found(&supervisor, freezes, "limits");
    assert_eq!(finding["action"], "freeze");
    assert!(finding["seen"].as_str().unwrap().contains("/tmp"), "{finding:#}");
    stays(&supervisor, freezes, "frozen");
    // The other one is told of, and goes on.
    assert_eq!(found(&supervisor, logs_it, "limits")["action"], "log");
    goes_on(&supervisor, logs_it);
    supervisor.ask("thaw", &[freezes]).expect(0);
    goes_on(&supervisor, freezes);
}

#[test]
fn two_agents_are_each_watched_by_their_own_rules() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let [ended, kept] = ["jt-wr-two-a", "jt-wr-two-b"];
    let supervisor = installation(&folder, &[ended, kept]);
    for (agent, action) in [(ended, "signal"), (kept, "alert")] {
        let watch = format!("[watch.detached]\ngrace = '300ms'\naction = '{action}'\n");
        let script = format!("{}; {COUNTS}", leave("48303"));
        start(&supervisor, agent, &profile(&folder, &watch), &script);
    }
    let sleeps = |agent| {
        let words = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        marked(agent, "48303").iter().filter(|pid| words(pid).starts_with(b"sleep")).count()
    };
    for agent in [ended, kept] {
        found(&supervisor, agent, "detached");
    }
    eventually("the end of one", || (sleeps(ended) == 0).then_some(()));
    assert_eq!(sleeps(kept), 1);
    for agent in [ended, kept] {
        goes_on(&supervisor, agent);
        let all = findings(&supervisor, agent);
        assert_eq!(all.len(), 1, "{all:#?}");
    }
}

/// `cellblock run` in the foreground, with a journal of its own.
fn run(folder: &Folder, agent: &str, watch: &str, script: &str) -> Running {
    let text = format!("schema = 1\n[paths]\nlog = '{}'\n", folder.text("log"));
    let config = folder.file("config.toml", &text, 0o644);
    let profile = profile(folder, watch);
    let words = ["bash", "-c", script];
    harness::start(&mut cellblock("run", agent, &["--config", &config], &profile, &words))
}

/// The lines of the journal of an agent of [`run`].
fn journal(folder: &Folder, agent: &str) -> Vec<Value> {
    let path = folder.path("log").join(format!("{agent}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn run_writes_down_what_is_found_and_ends_where_the_profile_says_so() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let (told, stopped) = ("jt-wr-run", "jt-wr-run-stop");
    let script = format!("{}; sleep 2; {}; exit 7", leave("48401"), harness::rest(1000));
    // Longer than it takes who was left behind to become what it is to be called.
    let grace = (patient(Duration::from_millis(100)) + Duration::from_millis(200)).as_millis();
    let watch = format!("[watch.detached]\ngrace = '{grace}ms'\n");
    let running = run(&folder, told, &watch, &script);
    let has = |agent: &str, text: &str| {
        let lines = journal(&folder, agent);
        lines.iter().any(|line| line["told"].as_str().unwrap().contains(text)).then_some(())
    };
    eventually("a finding", || has(told, "detached: whoever started it has ended: sleep 48401"));
    running.wait(harness::DEADLINE).expect(7);
    let script = format!("{}; exec sleep 1000", leave("48402"));
    let watch = format!("{watch}action = 'stop'\n");
    let ended = run(&folder, stopped, &watch, &script).wait(harness::DEADLINE);
    ended.expect(137);
    let reason = "stopped by the watch: detached: whoever started it has ended: sleep 48402";
    assert!(ended.err.contains(reason), "{ended:#?}");
    assert!(has(stopped, "sleep 48402").is_some());
    for agent in [told, stopped] {
        host::expect_nothing_left(agent);
    }
}

#[test]
fn run_ends_when_nobody_watches_any_more() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-wr-run-kill";
    let running = run(&folder, agent, "", "exec sleep 48403");
    eventually("the agent", || host::uid_of(agent).filter(|_| !marked(agent, "48403").is_empty()));
    // env(1) has become cellblock itself.
    let watch = watch_below(running.pid().as_raw_nonzero().get());
    crate::watch::signal(watch, Signal::KILL);
    let ended = running.wait(harness::DEADLINE);
    ended.expect_refusal(125, &["the watch has ended"]);
    host::expect_nothing_left(agent);
}

/// A process that says of itself whatever it likes: in its words, of which there is a megabyte, and in a name that it sets later.
const LIES: &str = r#"
my $mark = shift;
exit 0 if fork;
open STDOUT, '>/dev/null';
open STDERR, '>/dev/null';
my @words = ("\e[31m$mark\nfake: line\r\e]0;title\a", "\xff\xfe\x9b", "\xe2\x80\xae", ('x' x 100_000) x 10);
exec {'/usr/bin/perl'} 'perl', '-e', 'my $n = qq(a\nb\e[1m\xff); syscall(157, 15, $n); sleep 1000', @words;
"#;

#[test]
fn whatever_a_process_calls_itself_is_one_line_and_bounded() {
    needs!("root", "cgroup2", "tmux", "perl", "x86_64");
    let folder = Folder::new();
    let agent = "jt-wr-lies";
    let watch = "[watch.detached]\ngrace = '500ms'\n[watch.count]\nprocesses = 25\n";
    let supervisor = installation(&folder, &[agent]);
    start(&supervisor, agent, &profile(&folder, watch), "exec sleep 1000");
    let lie = |mark: &str| {
        let words = ["--running", agent, "--", "perl", "-e", LIES, mark];
        supervisor.ask("exec", &words).expect(0);
    };
    lie("m48501");
    let finding = found(&supervisor, agent, "detached");
    let words = finding["processes"][0]["words"].as_str().unwrap();
    assert!(words.starts_with("perl -e my $n") && words.contains("m48501"), "{words}");
    assert!(words.len() <= 4096, "{}", words.len());
    // Many of one name: that name is told, too.
    (0..25).for_each(|_| lie("m48502"));
    let many = found(&supervisor, agent, "count");
    assert!(many["seen"].as_str().unwrap().contains("a\\nb\\u{1b}[1m"), "{many:#}");
    let text = std::fs::read_to_string(folder.path("log").join(format!("{agent}.jsonl"))).unwrap();
    for line in text.lines() {
        assert!(line.len() < 64 << 10, "{} bytes", line.len());
        let line: Value = serde_json::from_str(line).unwrap();
        let told = line["told"].as_str().unwrap();
        assert!(!told.contains(char::is_control), "{told}");
    }
    for (verb, words) in [("logs", &[agent, "-n", "1000"][..]), ("status", &[agent])] {
        let out = supervisor.ask(verb, words).expect(0).out.clone();
        let plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(out.chars().all(plain), "{out:?}");
        assert!(!out.lines().any(|line| line.trim_start().starts_with("fake")), "{out}");
        assert!(out.contains("m48501") && out.len() < 64 << 10, "{out}");
    }
}

/// Has the watch see by scans alone from its first second on, but for moments.
const SCANS: &str = "[watch]\nevents_per_second = 1\n";

#[test]
fn the_main_ways_are_found_by_scans_alone() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let profile = profile(&folder, "[watch.detached]\ngrace = '300ms'\n");
    let told = [
        "`nohup x &`",
        "`x &`, whose shell has ended",
        "`setsid x &`",
        "a double fork: `(x &)`",
        "`tmux new -d x`",
        "`tmux -L other new -d x`",
    ];
    let ways: Vec<_> = ways().into_iter().filter(|way| told.contains(&way.told)).collect();
    assert_eq!(ways.len(), told.len());
    let agents: Vec<&'static str> =
        (0..ways.len()).map(|index| &*format!("jt-wr-scan{index}").leak()).collect();
    let log = format!("log = '{}'", folder.text("log"));
    let supervisor = Installation::with_paths(&agents, &log, SCANS);
    for (index, (agent, way)) in agents.iter().zip(&ways).enumerate() {
        assert!(is_there(way));
        start(
            &supervisor,
            agent,
            &profile,
            &way.script.replace("MARK", &format!("{}", 48_600 + index)),
        );
    }
    for (index, (agent, way)) in agents.iter().zip(&ways).enumerate() {
        let mark = format!("{}", 48_600 + index);
        let of = |finding: &&Value| {
            let words = finding["processes"][0]["words"].as_str();
            finding["rule"] == "detached" && words.is_some_and(|words| words.contains(&mark))
        };
        let finding =
            eventually(way.told, || findings(&supervisor, agent).iter().find(of).cloned());
        let signs = finding["signs"].as_array().unwrap();
        assert!(way.signs.iter().all(|sign| signs.contains(&sign.name().into())), "{finding:#}");
    }
    let log = supervisor.log();
    assert!(log.contains("more than 1 events of processes within a second"), "{log}");
}

#[test]
fn new_processes_are_counted_by_scans_alone_by_the_numbers_that_they_get() {
    needs!("root", "cgroup2", "tmux", "speed");
    let folder = Folder::new();
    let (busy, calm) = ("jt-wr-numbers", "jt-wr-numbers-no");
    let log = format!("log = '{}'", folder.text("log"));
    let supervisor = Installation::with_paths(&[busy, calm], &log, SCANS);
    let watch = "[watch.spawns]\nper_second = 100\nover = '3s'\n";
    let profile = profile(&folder, watch);
    // Many while events are read, and few later: those are not counted twice.
    start(
        &supervisor,
        calm,
        &profile,
        "for i in {1..250}; do /bin/true; done; while sleep 0.1; do :; done",
    );
    start(&supervisor, busy, &profile, "while :; do /bin/true; done");
    let finding = found(&supervisor, busy, "spawns");
    assert!(finding["seen"].as_str().unwrap().contains("more than 100 a second"), "{finding:#}");
    harness::let_pass(Duration::from_secs(8));
    let none = findings(&supervisor, calm);
    assert!(none.is_empty(), "{none:#?}");
}

/// In a program whose first thread ends, and whose other one runs on.
const THREAD: &str = "import ctypes, threading, time\n\
    threading.Thread(target=time.sleep, args=(48701,)).start()\n\
    ctypes.CDLL(None).pthread_exit(None)\n";

#[test]
fn who_lets_its_first_thread_end_is_found_and_ended() {
    needs!("root", "cgroup2", "tmux", "python3");
    let folder = Folder::new();
    let agent = "jt-wr-thread";
    let watch = "[watch.detached]\ngrace = '300ms'\naction = 'signal'\n";
    let log = format!("log = '{}'", folder.text("log"));
    let supervisor = Installation::with_paths(&[agent], &log, SCANS);
    start(&supervisor, agent, &profile(&folder, watch), COUNTS);
    let words =
        ["--running", agent, "--", "bash", "-c", "(python3 -c \"$0\" >/dev/null 2>&1 &)", THREAD];
    supervisor.ask("exec", &words).expect(0);
    // It has no words any more.
    let finding = found(&supervisor, agent, "detached");
    let process = &finding["processes"][0];
    assert_eq!(process["words"], "[python3]", "{finding:#}");
    let pid = process["pid"].as_i64().unwrap();
    let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
    eventually("its end", gone);
    goes_on(&supervisor, agent);
}
