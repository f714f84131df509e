//! Jobs and notes of agents: what is declared runs beside the session and ends in time, what is noted is typed, and who speaks
//! on the agent's own socket gets no further than that.

use crate::harness::{
    self, Ended, Folder, Running, cellblock, eventually, finish, let_pass, patient, start,
};
use crate::host;
use crate::installation::{COUNTS, Installation, STRANGER, command_of, role};
use crate::pty::Person;
use crate::watch::{findings, installation, marked, profile};
use crate::watch_rules::{found, goes_on};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

const ASKS: &str = include_str!("asks.py");

/// What an agent asks for inside its jail, to its end.
fn inside(supervisor: &Installation, agent: &str, words: &[&str]) -> Ended {
    let all = [&["--running", agent, "--", "cellblock", "agent"], words].concat();
    supervisor.ask("exec", &all)
}

/// Starts a job that is a script for bash; its number.
#[track_caller]
fn job(supervisor: &Installation, agent: &str, lease: &str, script: &str) -> u64 {
    let words = ["job", "start", "--json", "--for", lease, "--", "bash", "-c", script];
    let ended = inside(supervisor, agent, &words);
    let told: Value = serde_json::from_str(&ended.expect(0).out).unwrap();
    told["number"].as_u64().unwrap()
}

/// Its jobs, as they are seen from outside.
fn jobs(supervisor: &Installation, agent: &str) -> Vec<Value> {
    serde_json::from_str(&supervisor.ask("job ls", &["--json", agent]).expect(0).out).unwrap()
}

fn logs(supervisor: &Installation, agent: &str) -> String {
    supervisor.ask("logs", &[agent, "-n", "1000"]).expect(0).out.clone()
}

/// Something of the agent that speaks on its socket by itself.
fn asks(supervisor: &Installation, agent: &str, words: &[&str]) -> Running {
    let all = [&["--running", agent, "--", "python3", "-c", ASKS], words].concat();
    start(&mut supervisor.verb("exec", &all))
}

/// Processes of `agent` with `mark` among their words, but for the agent's command and its tmux.
fn left(agent: &str, mark: &str) -> Vec<i32> {
    let own = marked(agent, "count $i");
    marked(agent, mark).into_iter().filter(|pid| !own.contains(pid)).collect()
}

/// The seconds that `text` tells behind `before`, where `behind` stands after them.
fn seconds(text: &str, before: &str, behind: &str) -> Option<u64> {
    let (number, _) = text.split_once(before)?.1.split_once(behind)?;
    number.parse().ok()
}

/// What was set a second ago, as far as this machine keeps the second.
#[track_caller]
fn is_of_a_second_ago(told: u64) {
    assert!((1..=patient(Duration::from_secs(1)).as_secs()).contains(&told), "{told} s ago");
}

fn cgroup_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

fn begin(supervisor: &Installation, agent: &str, profile: &str) {
    let words = ["--name", agent, profile, "--", "bash", "-c", COUNTS];
    supervisor.ask("start", &words).expect(0);
}

#[test]
fn a_job_is_no_finding_and_is_counted_apart() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-jb-apart";
    let supervisor = installation(&folder, &[agent]);
    let watch = "[watch.detached]\ngrace = '500ms'\nsigns = ['line', 'hangup', 'terminal']\n\
                 [watch.count]\nprocesses = 30\n";
    begin(&supervisor, agent, &profile(&folder, watch));
    let many = "echo said; for i in {1..40}; do (sleep 48501 &); done; nohup setsid sleep 48501";
    let number = job(&supervisor, agent, "1h", many);
    eventually("its processes", || (left(agent, "48501").len() >= 41).then_some(()));
    let_pass(Duration::from_secs(3));
    let none = findings(&supervisor, agent);
    assert!(none.is_empty(), "{none:#?}");
    let all = jobs(&supervisor, agent);
    assert_eq!((all.len(), &all[0]["number"]), (1, &number.into()));
    assert!(all[0]["processes"].as_u64().unwrap() >= 41, "{all:#?}");
    assert_eq!(all[0]["words"][2], many);
    // The agent sees the same, and what the job has said.
    let seen = inside(&supervisor, agent, &["job", "ls", "--json"]);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&seen.expect(0).out).unwrap().len(), 1);
    assert_eq!(inside(&supervisor, agent, &["job", "log", "1"]).expect(0).out, "said\n");
    // The control: the same without a declaration.
    let words = ["--running", agent, "--", "bash", "-c"];
    let same = "for i in {1..40}; do (sleep 48502 >/dev/null 2>&1 &); done";
    supervisor.ask("exec", &[&words[..], &[same]].concat()).expect(0);
    found(&supervisor, agent, "count");
    let finding = found(&supervisor, agent, "detached");
    let processes = finding["processes"].as_array().unwrap();
    assert!(processes.iter().all(|it| it["words"] == "sleep 48502"), "{finding:#}");
}

#[test]
fn a_job_ends_when_its_time_is_over_whatever_it_has_become() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-jb-over";
    let supervisor = installation(&folder, &[agent]);
    begin(&supervisor, agent, &profile(&folder, "[jobs]\nlongest = '1m'\n"));
    let stubborn = "trap '' TERM HUP; setsid -f sleep 48511; (setsid sleep 48511 &); sleep 48511";
    let number = job(&supervisor, agent, "3s", &format!("{stubborn}; sleep 48511"));
    let undeclared = "setsid -f sleep 48512 >/dev/null 2>&1";
    supervisor.ask("exec", &["--running", agent, "--", "bash", "-c", undeclared]).expect(0);
    eventually("its processes", || (left(agent, "48511").len() >= 4).then_some(()));
    eventually("its end", || left(agent, "48511").is_empty().then_some(()));
    assert_eq!(left(agent, "48512").len(), 1);
    let over = format!("job {number} was ended: its time was over");
    eventually("the journal", || logs(&supervisor, agent).contains(&over).then_some(()));
    assert!(jobs(&supervisor, agent).is_empty());
    assert!(!host::own_cgroup(agent).join(format!("job.{number}")).exists());
    goes_on(&supervisor, agent);
    // One that ends by itself is forgotten as well.
    let number = job(&supervisor, agent, "1m", "exit 3");
    let ended = format!("job {number} has ended");
    eventually("the journal", || logs(&supervisor, agent).contains(&ended).then_some(()));
    // One whose program is not there never was.
    let words = ["job", "start", "--", "/no/such/program"];
    inside(&supervisor, agent, &words).expect_failure(127, "cannot run /no/such/program");
    eventually("no job", || jobs(&supervisor, agent).is_empty().then_some(()));
}

#[test]
fn jobs_are_ended_by_who_may_and_their_places_are_free_again() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-jb-stop";
    let viewer = role("viewer", &format!("agents = ['{agent}']"));
    let log = format!("log = '{}'", folder.text("log"));
    let supervisor = Installation::with_paths(&[agent], &log, &viewer);
    begin(&supervisor, agent, &profile(&folder, "[jobs]\nmost = 1\nlongest = '1m'\n"));
    let number = job(&supervisor, agent, "1m", "exec sleep 48521");
    let refused = |words: &[&str], cause: &str| {
        inside(&supervisor, agent, words).expect_refusal(125, &[cause, "[jobs]"]);
    };
    refused(&["job", "start", "--", "true"], "the most are 1");
    // Who may only look sees it, and ends nothing.
    let as_viewer = |verb: &str, words: &[&str]| {
        finish(&mut command_of(STRANGER, STRANGER, &supervisor.verb(verb, words)))
    };
    assert!(as_viewer("job ls", &[agent]).expect(0).out.contains("exec sleep 48521"));
    let one = number.to_string();
    assert_ne!(as_viewer("job stop", &[agent, &one]).status, Some(0));
    assert_eq!(left(agent, "48521").len(), 1);
    supervisor.ask("job stop", &[agent, &one]).expect(0);
    eventually("its end", || left(agent, "48521").is_empty().then_some(()));
    let second = || {
        let words = ["job", "start", "--json", "--", "sleep", "48522"];
        let ended = inside(&supervisor, agent, &words);
        (ended.status == Some(0)).then_some(ended.out)
    };
    let second: Value = serde_json::from_str(&eventually("a place", second)).unwrap();
    inside(&supervisor, agent, &["job", "stop", &second["number"].to_string()]).expect(0);
    eventually("its end", || left(agent, "48522").is_empty().then_some(()));
    eventually("its place", || jobs(&supervisor, agent).is_empty().then_some(()));
    refused(&["job", "start", "--for", "2m", "--", "true"], "1m at the most");
    inside(&supervisor, agent, &["job", "stop", "77"])
        .expect_refusal(125, &["there is no job 77", "job ls"]);
    supervisor.ask("job stop", &[agent, "77"]).expect_refusal(125, &["there is no job 77"]);
}

#[test]
fn jobs_and_notes_outlive_the_supervisor() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-jb-lives";
    let mut supervisor = installation(&folder, &[agent]);
    begin(&supervisor, agent, &profile(&folder, ""));
    let lease =
        format!("{}s", (patient(Duration::from_secs(3)) + Duration::from_secs(12)).as_secs());
    let number = job(&supervisor, agent, &lease, "exec sleep 48531");
    let words = ["schedule", "2s", "remember me"];
    inside(&supervisor, agent, &words).expect(0);
    // Somebody inside asks while nobody is there who could answer.
    let when = "echo begun; until [ -e /tmp/go ]; do sleep 0.05; done; \
                cellblock agent job ls >/tmp/asked 2>&1; echo status $? >>/tmp/asked; exec sleep 1000";
    let waits = ["--running", agent, "--", "bash", "-c", when];
    let waits = start(&mut supervisor.verb("exec", &waits));
    waits.says("begun");
    let init = host::init_of(host::uid_of(agent).unwrap()).unwrap();
    let in_the_jail = |name: &str| format!("/proc/{init}/root/tmp/{name}");
    supervisor.dies();
    std::fs::write(in_the_jail("go"), "").unwrap();
    let asked = eventually("a refusal", || {
        let asked = std::fs::read_to_string(in_the_jail("asked")).unwrap_or_default();
        asked.contains("status").then_some(asked)
    });
    assert!(asked.contains("no supervisor runs now"), "{asked}");
    assert!(asked.contains("status 125"), "{asked}");
    // Longer than the note waits.
    let_pass(Duration::from_secs(2));
    supervisor.begin();
    // The control: it is answered again.
    inside(&supervisor, agent, &["job", "ls"]).expect(0);
    drop(waits);
    assert_eq!(jobs(&supervisor, agent)[0]["number"], number);
    assert_eq!(left(agent, "48531").len(), 1);
    eventually("the note", || {
        let screen = supervisor.ask("screen", &[agent]).expect(0).out.clone();
        (screen.contains("[note ") && screen.contains("] remember me")).then_some(())
    });
    eventually("its end", || left(agent, "48531").is_empty().then_some(()));
    let over = format!("job {number} was ended: its time was over");
    eventually("the journal", || logs(&supervisor, agent).contains(&over).then_some(()));
    // With the agent everything ends.
    job(&supervisor, agent, "1h", "trap '' TERM HUP; setsid -f sleep 48532; sleep 48532");
    eventually("its processes", || (left(agent, "48532").len() >= 2).then_some(()));
    supervisor.ask("stop", &["--now", agent]).expect(0);
    assert_eq!(host::processes(host::uid_of(agent).unwrap()), []);
}

/// The descriptor `number` of the process `pid`.
fn descriptor_of(pid: i32, number: i32) -> OwnedFd {
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).unwrap()
}

/// Where a process of `agent` is that has written 0 to `door`, which somebody handed to it; the kernel's answer, if it did
/// not let it in.
#[track_caller]
fn enters(supervisor: &Installation, agent: &str, door: OwnedFd) -> (String, String) {
    let script = "echo 0 || exit 9; cat /proc/self/cgroup >&2; echo pid >&2; exec sleep 48541";
    let words = ["--running", agent, "--", "bash", "-c", script];
    let mut exec = supervisor.verb("exec", &words);
    let running = start(exec.stdout(Stdio::from(door)));
    let said = eventually("an answer", || {
        let said = running.said();
        (said.contains("pid") || said.contains("write error")).then_some(said)
    });
    let at = marked(agent, "48541").first().map(|pid| cgroup_of(*pid)).unwrap_or_default();
    running.signal(rustix::process::Signal::TERM);
    running.wait(harness::DEADLINE);
    (at, said)
}

#[test]
fn a_way_into_a_job_lets_in_processes_of_its_own_agent_alone() {
    needs!("root", "cgroup2", "tmux", "python3");
    let folder = Folder::new();
    let [own, other] = ["jt-jb-own", "jt-jb-other"];
    let supervisor = installation(&folder, &[own, other]);
    let profile = profile(&folder, "");
    for agent in [own, other] {
        begin(&supervisor, agent, &profile);
    }
    let holds = asks(&supervisor, own, &["hold"]);
    holds.says("door ");
    let said = holds.out();
    let numbers: Vec<i32> = said.split_whitespace().skip(1).map(|it| it.parse().unwrap()).collect();
    let [number, job] = numbers[..] else { panic!("{said}") };
    let holder = marked(own, "hold").into_iter().max().unwrap();
    let door = || descriptor_of(holder, number);
    let (at, told) = enters(&supervisor, own, door());
    assert!(at.contains(&format!("{own}.run/job.{job}")), "{at} {told}");
    let (at, told) = enters(&supervisor, other, door());
    assert!(told.contains("Permission denied"), "{at} {told}");
    // The control: opened by root as root, the same file lets in everybody.
    let file = host::own_cgroup(own).join(format!("job.{job}/cgroup.procs"));
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let roots = rustix::fs::open(&file, flags, Mode::empty()).unwrap();
    let (at, told) = enters(&supervisor, other, roots);
    assert!(at.contains(&format!("{own}.run/job.{job}")), "{at} {told}");
    // Where the job was, nothing leads any more.
    supervisor.ask("job stop", &[own, &job.to_string()]).expect(0);
    eventually("its end", || jobs(&supervisor, own).is_empty().then_some(()));
    let (at, told) = enters(&supervisor, own, door());
    assert!(told.contains("No such device"), "{at} {told}");
}

#[test]
fn numbers_that_are_written_there_are_those_of_the_jail() {
    needs!("root", "cgroup2", "tmux", "python3");
    let folder = Folder::new();
    let agent = "jt-jb-bring";
    let supervisor = installation(&folder, &[agent]);
    begin(&supervisor, agent, &profile(&folder, ""));
    // A process of the host, and its supervisor, by their numbers outside.
    let mut innocent = harness::command("/usr/bin/sleep").arg("1000").spawn().unwrap();
    let pids = [i32::try_from(innocent.id()).unwrap(), supervisor.pid()];
    let before = pids.map(cgroup_of);
    let words: Vec<String> = pids.iter().map(i32::to_string).collect();
    let words: Vec<&str> = ["bring"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let brings = asks(&supervisor, agent, &words);
    brings.says("refused 2");
    assert_eq!(pids.map(cgroup_of), before);
    // The control: a child of its own, by its number inside, is in the job.
    assert_eq!(jobs(&supervisor, agent)[0]["processes"], 1, "{}", brings.out());
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[test]
fn who_fills_the_agents_own_socket_holds_up_nobody_else() {
    needs!("root", "cgroup2", "tmux", "python3");
    let folder = Folder::new();
    let [agent, neighbour] = ["jt-jb-crowd", "jt-jb-beside"];
    let supervisor = installation(&folder, &[agent, neighbour]);
    let profile = profile(&folder, "");
    for agent in [agent, neighbour] {
        begin(&supervisor, agent, &profile);
    }
    for (what, told) in [("crowd", "crowded 64"), ("flood", "floods")] {
        let crowd = asks(&supervisor, agent, &[what]);
        crowd.says(told);
        goes_on(&supervisor, agent);
        inside(&supervisor, neighbour, &["whoami"]).expect(0);
        let mut person = Person::start(&supervisor.verb("attach", &[agent]));
        person.sees("count ");
        person.types("\x1dd");
        person.ends().0.expect(0);
        // With who holds them, the places are free again.
        crowd.signal(rustix::process::Signal::TERM);
        crowd.wait(harness::DEADLINE);
        eventually("its end", || left(agent, "asks.py WHAT").is_empty().then_some(()));
        assert!(inside(&supervisor, agent, &["whoami"]).expect(0).out.contains(agent));
    }
}

#[test]
fn descriptors_that_are_sent_cost_the_agent_its_places_and_nobody_else_anything() {
    needs!("root", "cgroup2", "tmux", "python3");
    let folder = Folder::new();
    let agent = "jt-jb-spoilt";
    let supervisor = installation(&folder, &[agent]);
    begin(&supervisor, agent, &profile(&folder, ""));
    // The control: until then it is answered.
    inside(&supervisor, agent, &["whoami"]).expect(0);
    let shim = host::init_of(host::uid_of(agent).unwrap()).unwrap();
    let shim = host::status(shim, "PPid").unwrap();
    let open = || std::fs::read_dir(format!("/proc/{shim}/fd")).unwrap().count();
    let before = open();
    for _ in 0..2 {
        let spoils = asks(&supervisor, agent, &["spoil"]).wait(harness::DEADLINE);
        assert!(spoils.expect(0).out.contains("unheard"), "{spoils:#?}");
    }
    let more = open() - before;
    assert!((16..20).contains(&more), "{more} more");
    let refused = inside(&supervisor, agent, &["whoami"]);
    refused.expect_refusal(125, &["nobody answers within", "sent descriptors"]);
    goes_on(&supervisor, agent);
    supervisor.ask("job ls", &[agent]).expect(0);
}

#[test]
fn an_agent_asks_no_more_than_its_owner_can_answer_beside_others() {
    needs!("root", "cgroup2", "tmux", "python3");
    let folder = Folder::new();
    let agent = "jt-jb-paced";
    let supervisor = installation(&folder, &[agent]);
    let most = "[jobs]\nmost = 100\nnotes = 100\n";
    begin(&supervisor, agent, &profile(&folder, most));
    let paced = asks(&supervisor, agent, &["pace"]).wait(harness::DEADLINE);
    let took = paced.expect(0).out.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
    // One came and asked 160 times: 64 of those at once.
    assert!(took >= 30 * (161 - 64), "{took} ms");
    let large = asks(&supervisor, agent, &["large"]).wait(harness::DEADLINE * 2);
    assert!(large.expect(0).out.starts_with("has 100 "), "{large:#?}");
    goes_on(&supervisor, agent);
    // Jobs to which nobody came have ended by then.
    let place = || jobs(&supervisor, agent).len() < 100;
    eventually("a place", || place().then_some(()));
    job(&supervisor, agent, "1m", &format!("sleep 48561; : {}", "x".repeat(5000)));
    assert!(inside(&supervisor, agent, &["job", "ls"]).expect(0).out.contains("xxx…"));
}

#[test]
fn what_is_no_call_gets_no_further_than_the_socket() {
    needs!("root", "cgroup2", "tmux", "python3");
    let folder = Folder::new();
    let agent = "jt-jb-rubbish";
    let supervisor = installation(&folder, &[agent]);
    begin(&supervisor, agent, &profile(&folder, ""));
    let rubbish = asks(&supervisor, agent, &["rubbish"]).wait(harness::DEADLINE);
    assert!(rubbish.expect(0).out.contains("answered 12"), "{rubbish:#?}");
    for told in ["speaks version 1", "needs a command", "control characters"] {
        assert!(rubbish.out.contains(told), "no `{told}` in {rubbish:#?}");
    }
    goes_on(&supervisor, agent);
    assert!(jobs(&supervisor, agent).is_empty());
    assert_eq!(inside(&supervisor, agent, &["schedule", "--list"]).expect(0).out, "no notes\n");
}

#[test]
fn a_note_is_typed_as_one_that_is_pasted_also_while_somebody_scrolls() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-jb-note";
    let supervisor = installation(&folder, &[agent]);
    let script = "stty -icanon -icrnl -echo; printf '\\033[?2004h'; echo ready; exec cat -v";
    let words = ["--name", agent, &profile(&folder, ""), "--", "bash", "-c", script];
    supervisor.ask("start", &words).expect(0);
    // What the agent was given, over all its lines.
    let shown = |text: &str| {
        eventually(text, || {
            let screen = supervisor.ask("screen", &[agent]).expect(0).out.replace('\n', "");
            screen.contains(text).then_some(screen)
        })
    };
    shown("ready");
    inside(&supervisor, agent, &["schedule", "1s", "first; $(x) `y` #{pane_id} \\;"]).expect(0);
    let screen = shown("s ago] first; $(x) `y` #{pane_id} \\; ^[[201~^M");
    let ago = seconds(&screen, "^[[200~[note 1, set ", "s ago] first; ");
    is_of_a_second_ago(ago.unwrap_or_else(|| panic!("{screen}")));
    // Enter is a key of tmux while somebody scrolls, and the marks are missing.
    let mut person = Person::start(&supervisor.verb("attach", &[agent]));
    person.sees("ready");
    // Keys that come at once are a paste for tmux (assume-paste-time), and no command of its.
    person.types("\x02");
    std::thread::sleep(patient(Duration::from_millis(50)));
    person.types("[");
    person.shows("[0/");
    inside(&supervisor, agent, &["schedule", "1s", "second"]).expect(0);
    shown("] second^[[201~^M");
    person.types("\x1dd");
    person.ends().0.expect(0);
    // One that is cancelled is not typed.
    let cancelled = inside(&supervisor, agent, &["schedule", "--json", "2s", "third"]);
    let note: Value = serde_json::from_str(&cancelled.expect(0).out).unwrap();
    let number = note["number"].to_string();
    inside(&supervisor, agent, &["schedule", "--cancel", &number]).expect(0);
    inside(&supervisor, agent, &["schedule", "3s", "fourth"]).expect(0);
    assert!(!shown("fourth").contains("third"));
    inside(&supervisor, agent, &["schedule", "--cancel", &number])
        .expect_failure(125, "there is no note");
}

#[test]
fn the_agent_of_a_run_has_jobs_as_well() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-jb-run";
    let profile = profile(&folder, "[watch.detached]\ngrace = '300ms'\naction = 'stop'\n");
    let lease = patient(Duration::from_secs(2));
    let script = "cellblock agent job start --for LEASE -- sleep 48551; cellblock agent job ls; \
                  cellblock agent schedule 1s 'for later'; read line; echo \"got <$line>\"; \
                  while cellblock agent job ls | grep -q 48551; do sleep 0.2; done; \
                  echo over; sleep 1; exit 6";
    let script = script.replace("LEASE", &format!("{}s", lease.as_secs()));
    let words = ["bash", "-c", &script];
    let begun = Instant::now();
    let mut person = Person::start(&cellblock("run", agent, &[], &profile, &words));
    let left = person.draws("the lease", |new| seconds(new, "ends in ", "s"));
    assert!((1..=lease.as_secs()).contains(&left), "ends in {left} s");
    let got = |new: &str| seconds(new, "got <[note 2, set ", "s ago] for later>");
    is_of_a_second_ago(person.draws("the note", got));
    person.sees("over");
    assert!(begun.elapsed() > lease);
    person.ends().0.expect(6);
    host::expect_nothing_left(agent);
    // Without a session there is no socket to ask on.
    let words = ["/run/cellblock/bin/cellblock", "agent", "whoami"];
    let alone = harness::exec(agent, &[], "demo", &words);
    assert_ne!(alone.status, Some(0), "{alone:#?}");
    let outside = finish(harness::command(harness::program()).args(["agent", "whoami"]));
    outside.expect_refusal(125, &["not an agent's session", "/run/cellblock/agent"]);
}
