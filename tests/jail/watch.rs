//! The watch: each way of leaving a process behind is found and named, what agents do every day is not, and what is to be
//! ended is ended, whatever it does, and nothing else.

use crate::harness::{self, Folder, eventually, installed, let_pass, patient};
use crate::host;
use crate::installation::Installation;
use cellblock::watch::rules::Sign;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long somebody is left behind before he is told of, in these tests.
const GRACE: Duration = Duration::from_millis(700);

/// What an agent does, as it stands in the manual.
pub(crate) struct Pattern {
    pub(crate) told: &'static str,
    /// A script for bash; `MARK` in it is a number that no other process has among its words.
    pub(crate) script: String,
    /// What must be installed.
    needs: &'static [&'static str],
    /// The signs by which it is found; none where it is not.
    pub(crate) signs: &'static [Sign],
}

/// A shell that a tool of an agent starts, and that ends.
fn by_a_tool(script: &str) -> String {
    format!("bash -c '{script}'; exec sleep 1000")
}

fn pattern(
    told: &'static str,
    script: impl Into<String>,
    needs: &'static [&'static str],
    signs: &'static [Sign],
) -> Pattern {
    Pattern { told, script: script.into(), needs, signs }
}

const LINE: &[Sign] = &[Sign::Line];

/// Ways of leaving something behind.
pub(crate) fn ways() -> Vec<Pattern> {
    let daemon =
        "python3 -c \"import ctypes, time; ctypes.CDLL(None).daemon(0, 0); time.sleep(MARK)\"";
    let forever = "f() { while :; do sleep MARK; done; }; f &";
    vec![
        pattern(
            "`nohup x &`",
            "bash -c 'nohup sleep MARK >/dev/null 2>&1 & sleep 1000'",
            &[],
            &[Sign::Hangup],
        ),
        pattern(
            "`nohup x &`, whose shell has ended",
            by_a_tool("nohup sleep MARK >/dev/null 2>&1 &"),
            &[],
            &[Sign::Line, Sign::Hangup],
        ),
        pattern("`x &`, whose shell has ended", by_a_tool("sleep MARK &"), &[], LINE),
        pattern("`setsid x &`", by_a_tool("setsid sleep MARK &"), &["setsid"], LINE),
        pattern("`setsid -f x`", by_a_tool("setsid -f sleep MARK"), &["setsid"], LINE),
        pattern("a double fork: `(x &)`", "(sleep MARK &); exec sleep 1000", &[], LINE),
        pattern("`x & disown`", by_a_tool("set -m; sleep MARK & disown"), &[], LINE),
        pattern(
            "`trap '' HUP; x &`",
            "bash -c \"trap '' HUP; sleep MARK & wait\"",
            &[],
            &[Sign::Hangup],
        ),
        pattern("`daemon(3)`", format!("{daemon}; exec sleep 1000"), &["python3"], LINE),
        pattern(
            "`tmux new -d x`",
            "tmux new -d \"sleep MARK\"; exec sleep 1000",
            &[],
            &[Sign::Pane],
        ),
        pattern(
            "`tmux -L other new -d x`",
            "tmux -L other new -d \"sleep MARK\"; exec sleep 1000",
            &[],
            LINE,
        ),
        pattern(
            "`tmux run-shell -b x`",
            "tmux run-shell -b \"sleep MARK\"; exec sleep 1000",
            &[],
            LINE,
        ),
        pattern(
            "`script -c x &`",
            by_a_tool("script -qc \"sleep MARK\" /dev/null </dev/null >/dev/null 2>&1 &"),
            &["script"],
            LINE,
        ),
        pattern("a shell function in the background", by_a_tool(forever), &[], LINE),
    ]
}

/// What agents do every day.
fn usual() -> Vec<Pattern> {
    let pool = "import multiprocessing, time; multiprocessing.Pool(4).map(time.sleep, [1000] * 4)";
    let server = "import subprocess; subprocess.run([\"sleep\", \"1000\"], start_new_session=True)";
    let jobs = "printf \"all: a b c d\\na b c d:\\n\\tsleep 1000\\n\" > /tmp/m; make -j4 -f /tmp/m";
    let gc = "cd /tmp && git init -q g && cd g && git config gc.auto 1 && git config user.name x && \
              git config user.email x@example.com && for i in 1 2 3; do echo $i > f; git add f; \
              git commit -qm $i; done; git gc --auto --quiet; exec sleep 1000";
    let declared =
        "cellblock agent job start -- bash -c \"(setsid sleep 1000 &); nohup sleep 1000\"";
    vec![
        pattern("a declared job", format!("{declared}; exec sleep 1000"), &[], &[]),
        pattern("a build with `-j`", jobs, &["make"], &[]),
        pattern(
            "a test server in a pane",
            "tmux split-window -d \"sleep 1000\"; tmux new-window -d \"sleep 1000\"; exec sleep 1000",
            &[],
            &[],
        ),
        pattern("`git gc --auto`", gc, &["git"], &[]),
        pattern(
            "a language server that leads a session, over pipes",
            format!("python3 -c '{server}' < /dev/null | cat"),
            &["python3"],
            &[],
        ),
        pattern(
            "a tool's shell in a session of its own",
            "setsid -w bash -c 'sleep 1000'",
            &["setsid"],
            &[],
        ),
        pattern("watch mode", "while sleep 0.2; do :; done", &[], &[]),
        pattern("a pipeline that goes on", "tail -f /dev/null | grep x", &[], &[]),
        pattern("a job of a shell that lives", "sleep 1000 & wait", &[], &[]),
        pattern("workers of a test runner", format!("python3 -c '{pool}'"), &["python3"], &[]),
        pattern("`timeout` with a group of its own", "timeout 1000 sleep 1000", &["timeout"], &[]),
        pattern("a command that handles SIGHUP", "trap 'true' HUP; sleep 1000 & wait", &[], &[]),
    ]
}

/// The names of agents for patterns: the same in every run, as each takes uids for ever.
fn names(prefix: &str, count: usize) -> Vec<&'static str> {
    (0..count).map(|index| &*format!("jt-wa-{prefix}{index}").leak()).collect()
}

pub(crate) fn profile(folder: &Folder, watch: &str) -> String {
    let text = format!(
        "extends = ['demo']\n[enforcement]\nwithout = ['memory', 'tasks', 'cpu', 'io', 'disk']\n{watch}"
    );
    folder.profile("watched", &text)
}

/// With journals of its own: those of an earlier run tell of other processes.
pub(crate) fn installation(folder: &Folder, agents: &[&'static str]) -> Installation {
    Installation::with_paths(agents, &format!("log = '{}'", folder.text("log")), "")
}

/// The findings of an agent, by its journal.
pub(crate) fn findings(supervisor: &Installation, agent: &str) -> Vec<Value> {
    let logs = supervisor.ask("logs", &[agent, "--json", "-n", "1000"]).expect(0).out.clone();
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let all = lines.flat_map(|value| match value.as_array() {
        Some(all) => all.clone(),
        None => vec![value],
    });
    all.filter(|line| line["event"] == "finding").collect()
}

pub(crate) fn start(supervisor: &Installation, agent: &str, profile: &str, script: &str) {
    let words = ["--name", agent, profile, "--", "bash", "-c", script];
    supervisor.ask("start", &words).expect(0);
}

pub(crate) fn is_there(pattern: &Pattern) -> bool {
    pattern.needs.iter().all(|program| installed(&[program]).is_some())
}

#[test]
fn each_way_of_leaving_a_process_behind_is_found_and_named() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let grace = patient(GRACE).as_millis();
    let profile = profile(&folder, &format!("[watch.detached]\ngrace = '{grace}ms'\n"));
    let ways = ways();
    let agents = names("b", ways.len());
    let supervisor = installation(&folder, &agents);
    for (index, (agent, way)) in
        agents.iter().zip(&ways).enumerate().filter(|(_, (_, way))| is_there(way))
    {
        let script = way.script.replace("MARK", &format!("{}", 40_000 + index));
        start(&supervisor, agent, &profile, &script);
    }
    let mut rows = BTreeMap::new();
    for (index, (agent, way)) in agents.iter().zip(&ways).enumerate() {
        if !is_there(way) {
            println!("SKIP {}: {:?} are not installed", way.told, way.needs);
            continue;
        }
        let mark = format!("{}", 40_000 + index);
        let named = |finding: &&Value| {
            let processes = finding["processes"].as_array().unwrap();
            finding["rule"] == "detached"
                && processes.iter().any(|it| it["words"].as_str().unwrap().contains(&mark))
        };
        let found =
            eventually(way.told, || findings(&supervisor, agent).iter().find(named).cloned());
        let signs: Vec<&str> =
            found["signs"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        // It is told of by what has lasted first.
        let is_named = way.signs.iter().any(|sign| signs.contains(&sign.name()));
        assert!(is_named, "{}: {found:#}", way.told);
        rows.insert(
            index,
            format!(
                "| {} | {} |",
                way.told,
                way.signs.iter().map(|s| format!("`{}`", s.name())).collect::<Vec<_>>().join(", ")
            ),
        );
    }
    let rows: Vec<String> = rows.into_values().collect();
    in_the_manual(
        "| A way of leaving a process behind | The signs that find it |",
        &rows,
        ways.len(),
    );
}

#[test]
fn what_agents_do_every_day_is_not_told_of() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let grace = patient(GRACE).as_millis();
    let watch = format!(
        "[watch.detached]\ngrace = '{grace}ms'\nexcept = ['git gc *', 'git maintenance *', '*/git gc *', '*/git maintenance *']\n"
    );
    let profile = profile(&folder, &watch);
    let usual = usual();
    let agents = names("u", usual.len());
    let supervisor = installation(&folder, &agents);
    for (agent, pattern) in agents.iter().zip(&usual).filter(|(_, pattern)| is_there(pattern)) {
        start(&supervisor, agent, &profile, &pattern.script);
    }
    // A person who looks, and what they run beside it.
    let mut beside = supervisor.verb("exec", &["--running", agents[0], "--", "sleep", "1000"]);
    let beside = harness::start(&mut beside);
    std::thread::sleep(patient(GRACE * 5));
    let mut rows = Vec::new();
    for (agent, pattern) in agents.iter().zip(&usual) {
        if !is_there(pattern) {
            println!("SKIP {}: {:?} are not installed", pattern.told, pattern.needs);
            continue;
        }
        assert_eq!(supervisor.state(agent), "running", "{}", pattern.told);
        let found = findings(&supervisor, agent);
        assert!(found.is_empty(), "{}: {found:#?}", pattern.told);
        rows.push(format!("| {} |", pattern.told));
    }
    // The control: in the same agents something that is left behind is found.
    for agent in [agents[0], agents[5]] {
        let words = [
            "--running",
            agent,
            "--",
            "bash",
            "-c",
            "setsid -f sleep 49999 >/dev/null 2>&1 </dev/null",
        ];
        supervisor.ask("exec", &words).expect(0);
        eventually("what is left behind", || {
            (!findings(&supervisor, agent).is_empty()).then_some(())
        });
    }
    beside.signal(rustix::process::Signal::TERM);
    beside.wait(harness::DEADLINE);
    in_the_manual("| What agents do every day, and is not told of |", &rows, usual.len());
}

/// The table of the manual that begins with `head` has these `rows`; where all `count` were tried, no others.
#[track_caller]
fn in_the_manual(head: &str, rows: &[String], count: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/watch.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let (before, table) = manual.split_once(head).unwrap_or_else(|| panic!("no `{head}`"));
    let end = table.find("\n\n").unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        assert_eq!(rows.len(), count, "not everything was tried here");
        let columns = "---|".repeat(head.matches('|').count() - 1);
        let new = format!("{before}{head}\n|{columns}\n{}{}", rows.join("\n"), &table[end..]);
        std::fs::write(&path, new).unwrap();
        return;
    }
    let table = &table[..end];
    assert!(rows.iter().all(|row| table.lines().any(|line| line == row)), "{rows:#?}\n{table}");
    if rows.len() == count {
        assert_eq!(table.lines().skip(2).count(), count, "the manual has more");
    }
}

#[test]
fn what_is_left_behind_is_ended_where_the_profile_says_so() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let profile = profile(&folder, "[watch.detached]\ngrace = '0s'\naction = 'signal'\n");
    let agent = "jt-wa-signal";
    let supervisor = installation(&folder, &[agent]);
    // One that does as it is asked, one that ignores it, and one that is started again and again by what is ended.
    let stubborn = "trap \"\" TERM; while :; do sleep 1; done";
    let phoenix = "while :; do (setsid -f sleep 47003 &); sleep 0.05; done";
    let script = format!(
        "(sleep 47001 &); (bash -c '{stubborn}; : 47002' &); (bash -c '{phoenix}' &); while :; do echo alive; sleep 0.2; done"
    );
    start(&supervisor, agent, &profile, &script);
    // The agent's own command has the same words, and tmux's server.
    let left = || {
        let own = marked(agent, "alive");
        marked(agent, "4700").into_iter().filter(|pid| !own.contains(pid)).collect::<Vec<_>>()
    };
    let acted = || {
        let logs = supervisor.ask("logs", &[agent, "-n", "1000"]).expect(0).out.clone();
        (logs.contains("have ended") && left().is_empty()).then_some(())
    };
    eventually("the end of what was left behind", acted);
    // The agent itself goes on.
    assert_eq!(supervisor.state(agent), "running");
    let screen = supervisor.ask("screen", &[agent]).expect(0).out.clone();
    assert!(screen.contains("alive"), "{screen}");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert!(left().is_empty(), "{:?}", left());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The number of the watch of this supervisor.
pub(crate) fn watch_of(supervisor: &Installation) -> i32 {
    watch_below(supervisor.pid())
}

/// The number of the watch that the process `owner` has.
pub(crate) fn watch_below(owner: i32) -> i32 {
    let children = format!("/proc/{owner}/task/{owner}/children");
    eventually("the watch", || {
        let pids = std::fs::read_to_string(&children).unwrap();
        let pids = pids.split_whitespace().map(|pid| pid.parse::<i32>().unwrap());
        pids.into_iter().find(|pid| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.starts_with(b"cellblock-watch")
        })
    })
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Does `what` while the watch sees nothing.
pub(crate) fn while_blind<T>(supervisor: &Installation, what: impl FnOnce() -> T) -> T {
    struct Blind(i32);
    impl Drop for Blind {
        fn drop(&mut self) {
            signal(self.0, Signal::CONT);
        }
    }
    let watch = watch_of(supervisor);
    signal(watch, Signal::STOP);
    let _seeing = Blind(watch);
    what()
}

/// Processes of the agent `agent` whose words hold `mark`.
pub(crate) fn marked(agent: &str, mark: &str) -> Vec<i32> {
    let all = host::processes(host::uid_of(agent).unwrap()).into_iter().map(|(pid, _)| pid);
    let words = |pid: i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    all.filter(|pid| String::from_utf8_lossy(&words(*pid)).contains(mark)).collect()
}

#[test]
fn what_the_kernel_had_no_room_to_tell_is_found_and_counted() {
    needs!("root", "cgroup2", "tmux", "connector", "perl", "speed");
    let folder = Folder::new();
    let agent = "jt-wa-lost";
    let profile = profile(&folder, "[watch.detached]\ngrace = '100ms'\n");
    let supervisor = installation(&folder, &[agent]);
    start(&supervisor, agent, &profile, "while :; do sleep 1; done");
    let left = 40;
    while_blind(&supervisor, || {
        let storm = format!(
            "for (1..{left}) {{ unless (fork) {{ open STDOUT, '>/dev/null'; open STDERR, '>/dev/null'; exec 'setsid', '-f', 'sleep', '48001' }} wait }} \
             for (1..25000) {{ unless (fork) {{ POSIX::_exit(0) }} wait }}"
        );
        let words = ["--running", agent, "--", "perl", "-MPOSIX", "-e", &storm];
        let mut command = supervisor.verb("exec", &words);
        harness::start(&mut command).wait(patient(Duration::from_secs(120))).expect(0);
    });
    assert_eq!(marked(agent, "48001").len(), left);
    let counted = || {
        let all = findings(&supervisor, agent).into_iter();
        let all = all.filter(|finding| finding["rule"] == "detached");
        all.map(|finding| finding["count"].as_u64().unwrap()).sum::<u64>()
    };
    eventually("all of them", || (counted() >= left as u64).then_some(()));
    let_pass(Duration::from_millis(500));
    assert_eq!(counted(), left as u64);
    // That it was so many that some were lost is told.
    assert!(supervisor.log().contains("lost some"), "{}", supervisor.log());
}

/// Has a process of this test get the number `pid`, which is free.
fn take_number(pid: i32) -> Option<Child> {
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
    let mut child = harness::command("/usr/bin/sleep").arg("1000").spawn().unwrap();
    if child.id() == u32::try_from(pid).unwrap() {
        return Some(child);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// Leads a session of its own, goes on after SIGTERM, and tells that it came. It hears of it before it is left behind.
const ASKED: &str = "import os, signal, time\n\
    signal.signal(15, lambda *_: open('/tmp/asked', 'w').close())\n\
    os.setsid() if os.fork() == 0 else os._exit(0)\n\
    while True: time.sleep(1)\n";

/// A process that is to be ended ends by itself, and somebody else gets its number before the watch has seen that.
#[track_caller]
fn somebody_else_gets_the_number(agent: &'static str, config: &str) {
    let folder = Folder::new();
    let profile = profile(&folder, "[watch.detached]\ngrace = '500ms'\naction = 'signal'\n");
    let log = format!("log = '{}'", folder.text("log"));
    let supervisor = Installation::with_paths(&[agent], &log, config);
    start(&supervisor, agent, &profile, "while :; do sleep 1; done");
    // Without a child: one in its session would keep its number taken.
    let leave = format!("exec python3 -c \"{ASKED}\" 48002 >/dev/null 2>&1");
    let init = host::init_of(host::uid_of(agent).unwrap()).unwrap();
    let asked = format!("/proc/{init}/root/tmp/asked");
    let mut tried = 0;
    let innocent = loop {
        tried += 1;
        assert!(tried < 50, "its number was never free");
        let words = ["--running", agent, "--", "bash", "-c", &leave];
        supervisor.ask("exec", &words).expect(0);
        eventually("the watch to ask it to end", || Path::new(&asked).exists().then_some(()));
        let taken = while_blind(&supervisor, || {
            let [pid] = marked(agent, "48002")[..] else { return None };
            signal(pid, Signal::KILL);
            let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
            eventually("its end", gone);
            take_number(pid)
        });
        if let Some(innocent) = taken {
            break innocent;
        }
        eventually("its end", || marked(agent, "48002").is_empty().then_some(()));
        std::fs::remove_file(&asked).unwrap();
    };
    let mut innocent = innocent;
    // Longer than the watch waits before it kills, and tries again.
    let_pass(Duration::from_secs(4));
    assert_eq!(innocent.try_wait().unwrap(), None, "a process of somebody else was signalled");
    innocent.kill().unwrap();
    innocent.wait().unwrap();
    // The control: one that keeps its number is ended by the same watch.
    let words = ["--running", agent, "--", "bash", "-c", &leave];
    supervisor.ask("exec", &words).expect(0);
    eventually("it", || (!marked(agent, "48002").is_empty()).then_some(()));
    eventually("its end", || marked(agent, "48002").is_empty().then_some(()));
}

#[test]
fn a_number_that_has_come_to_mean_another_process_is_not_signalled() {
    needs!("root", "cgroup2", "tmux", "python3", "quiet");
    somebody_else_gets_the_number("jt-wa-number", "");
}

#[test]
fn nor_is_it_by_who_sees_no_events() {
    needs!("root", "cgroup2", "tmux", "python3", "quiet");
    somebody_else_gets_the_number("jt-wa-scans", "[watch]\nevents_per_second = 1");
}
