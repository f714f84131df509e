//! The watch against those who are quicker than it, and against its own end; and that it has no right but to signal.

use crate::bombs::compiled;
use crate::harness::{Folder, eventually, let_pass, managed, patient};
use crate::host;
use crate::installation::{COUNTS, Installation};
use crate::watch::{findings, installation, marked, profile, signal, start, watch_of};
use crate::watch_rules::{found, goes_on, leave};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Leaves something behind in an agent that runs.
#[track_caller]
fn leave_in(supervisor: &Installation, agent: &str, mark: &str) {
    let words = ["--running", agent, "--", "bash", "-c", &leave(mark)];
    supervisor.ask("exec", &words).expect(0);
}

/// Waits until a finding names `mark`.
#[track_caller]
fn names(supervisor: &Installation, agent: &str, mark: &str) {
    eventually(mark, || {
        let all = findings(supervisor, agent);
        let named = |it: &serde_json::Value| it["processes"].to_string().contains(mark);
        all.iter().any(named).then_some(())
    });
}

#[test]
fn what_was_left_behind_is_found_whether_the_watch_or_the_supervisor_was_killed() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-wx-killed";
    let mut supervisor = installation(&folder, &[agent]);
    let profile = profile(&folder, "[watch.detached]\ngrace = '300ms'\n");
    start(&supervisor, agent, &profile, COUNTS);
    leave_in(&supervisor, agent, "48801");
    names(&supervisor, agent, "48801");
    // While there is no watch, and after it.
    let first = watch_of(&supervisor);
    signal(first, Signal::KILL);
    leave_in(&supervisor, agent, "48802");
    let begun = Instant::now();
    let second =
        eventually("the next watch", || Some(watch_of(&supervisor)).filter(|pid| *pid != first));
    assert!(begun.elapsed() < patient(Duration::from_secs(5)), "{:?}", begun.elapsed());
    names(&supervisor, agent, "48802");
    leave_in(&supervisor, agent, "48803");
    names(&supervisor, agent, "48803");
    // The supervisor, and with it the watch.
    supervisor.dies();
    eventually("the end of the watch", || {
        (!std::path::Path::new(&format!("/proc/{second}")).exists()).then_some(())
    });
    supervisor.begin();
    supervisor.becomes(agent, "running");
    leave_in(&supervisor, agent, "48804");
    names(&supervisor, agent, "48804");
    goes_on(&supervisor, agent);
}

/// Forks twice in each generation, leads a session of its own, and passes over SIGTERM. Nobody sees one of them for long, so each
/// leaves a byte in the file that is named.
const CHAIN: &str = "#include <fcntl.h>\n#include <signal.h>\n#include <unistd.h>\n\
    int main(int count, char **words) {\n\
        int file = open(words[1], O_CREAT | O_WRONLY | O_APPEND, 0600);\n\
        signal(SIGTERM, SIG_IGN);\n\
        for (;;) {\n\
            pid_t child = fork();\n\
            if (child > 0) _exit(0);\n\
            if (child == 0) { setsid(); child = fork(); if (child > 0) _exit(0); }\n\
            if (write(file, \"x\", 1) != 1) _exit(1);\n\
        }\n\
    }\n";

/// That what `measure` tells of does not change any more, for a second.
#[track_caller]
fn rests<T: PartialEq>(what: &str, within: Duration, measure: impl Fn() -> T) {
    let begun = Instant::now();
    let (mut last, mut since) = (measure(), Instant::now());
    while since.elapsed() < patient(Duration::from_secs(1)) {
        assert!(begun.elapsed() < patient(within), "{what} does not end");
        std::thread::sleep(Duration::from_millis(10));
        let now = measure();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

#[test]
fn who_forks_faster_than_it_is_killed_ends_and_the_agent_goes_on() {
    needs!("root", "cgroup2", "tmux", "connector", "cc");
    let folder = Folder::new();
    let agent = "jt-wx-chain";
    let program = compiled(&folder, CHAIN);
    let watch = format!(
        "[watch.detached]\ngrace = '0s'\naction = 'signal'\n[filesystem]\nexecute = ['{}']\n",
        folder.text("built")
    );
    let supervisor = installation(&folder, &[agent]);
    start(&supervisor, agent, &profile(&folder, &watch), COUNTS);
    let init = host::init_of(host::uid_of(agent).unwrap()).unwrap();
    for mark in ["48901", "48902", "48903"] {
        let file = format!("/proc/{init}/root/tmp/{mark}");
        let generations = || std::fs::metadata(&file).map(|file| file.len()).unwrap_or(0);
        // From its first moment on: without a grace it is asked to end before it could say so itself.
        let passes = "trap '' TERM";
        let leave = format!("{passes}; {program} /tmp/{mark} >/dev/null 2>&1 </dev/null & exit 0");
        supervisor.ask("exec", &["--running", agent, "--", "sh", "-c", &leave]).expect(0);
        // The control: it goes on for as long as it is only asked to end.
        eventually("many generations", || (generations() > u64::from(managed(500))).then_some(()));
        rests(mark, Duration::from_secs(15), generations);
        println!("{} generations", generations());
    }
    goes_on(&supervisor, agent);
    assert_eq!(supervisor.state(agent), "running");
    found(&supervisor, agent, "detached");
}

#[test]
fn who_takes_its_own_place_again_and_again_is_found_when_the_grace_is_over() {
    needs!("root", "cgroup2", "tmux", "connector", "perl");
    let folder = Folder::new();
    let agent = "jt-wx-place";
    let supervisor = installation(&folder, &[agent]);
    let watch = "[watch.detached]\ngrace = '2s'\naction = 'signal'\n";
    start(&supervisor, agent, &profile(&folder, watch), COUNTS);
    // Each lives for a fifth of a second: none of them for as long as the grace.
    let chain = "exit 0 if fork; open STDOUT, '>/dev/null'; open STDERR, '>/dev/null'; for (;;) { select undef, undef, undef, 0.2; exit 0 if fork; }";
    let words = ["--running", agent, "--", "perl", "-e", chain, "48911"];
    supervisor.ask("exec", &words).expect(0);
    eventually("the chain", || (!marked(agent, "48911").is_empty()).then_some(()));
    names(&supervisor, agent, "48911");
    rests("the chain", Duration::from_secs(15), || marked(agent, "48911"));
    assert_eq!(marked(agent, "48911"), [0; 0]);
    goes_on(&supervisor, agent);
}

#[test]
fn who_freezes_an_agent_finds_it_frozen_whatever_the_watch_ends_meanwhile() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-wx-freeze";
    let supervisor = installation(&folder, &[agent]);
    let watch = "[watch.detached]\ngrace = '0s'\naction = 'signal'\n";
    start(&supervisor, agent, &profile(&folder, watch), COUNTS);
    let stubborn = |mark: &str| {
        let leave = format!("setsid -f bash -c 'trap \"\" TERM; sleep {mark}; :' >/dev/null 2>&1");
        supervisor.ask("exec", &["--running", agent, "--", "bash", "-c", &leave]).expect(0);
        names(&supervisor, agent, mark);
    };
    let stays_frozen = || {
        let until = Instant::now() + patient(Duration::from_secs(1));
        while Instant::now() < until {
            assert_eq!(supervisor.state(agent), "frozen");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    stubborn("48921");
    supervisor.ask("freeze", &[agent]).expect(0);
    // It ends in its sleep, and nothing wakes up.
    eventually("its end", || marked(agent, "48921").is_empty().then_some(()));
    stays_frozen();
    supervisor.ask("thaw", &[agent]).expect(0);
    goes_on(&supervisor, agent);
    // The watch that is started again knows who wants it frozen.
    stubborn("48922");
    supervisor.ask("freeze", &[agent]).expect(0);
    let first = watch_of(&supervisor);
    signal(first, Signal::KILL);
    eventually("the next watch", || Some(watch_of(&supervisor)).filter(|pid| *pid != first));
    eventually("its end", || marked(agent, "48922").is_empty().then_some(()));
    stays_frozen();
    supervisor.ask("thaw", &[agent]).expect(0);
    goes_on(&supervisor, agent);
}

#[test]
fn an_agent_that_stood_still_for_the_watch_goes_on_when_that_is_killed() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-wx-held";
    let mut supervisor = installation(&folder, &[agent]);
    start(&supervisor, agent, &profile(&folder, ""), COUNTS);
    goes_on(&supervisor, agent);
    // As the watch leaves it where it ends in the middle of killing.
    let freezer = host::own_cgroup(agent).join("cgroup.freeze");
    std::fs::write(&freezer, "1").unwrap();
    supervisor.becomes(agent, "frozen");
    signal(watch_of(&supervisor), Signal::KILL);
    supervisor.becomes(agent, "running");
    goes_on(&supervisor, agent);
    // Or where its supervisor was killed with it: the next one knows who wants what.
    std::fs::write(&freezer, "1").unwrap();
    supervisor.becomes(agent, "frozen");
    supervisor.dies();
    supervisor.begin();
    supervisor.becomes(agent, "running");
    goes_on(&supervisor, agent);
    supervisor.ask("freeze", &[agent]).expect(0);
    supervisor.dies();
    supervisor.begin();
    supervisor.becomes(agent, "frozen");
    let_pass(Duration::from_secs(1));
    assert_eq!(supervisor.state(agent), "frozen");
    supervisor.ask("thaw", &[agent]).expect(0);
}

/// The bit of the one capability that the watch keeps (linux/capability.h).
const CAP_KILL: u64 = 1 << 5;

#[test]
fn the_watch_may_signal_and_nothing_else() {
    needs!("root", "cgroup2", "tmux");
    let folder = Folder::new();
    let agent = "jt-wx-rights";
    let supervisor = installation(&folder, &[agent]);
    start(&supervisor, agent, &profile(&folder, ""), COUNTS);
    let watch = watch_of(&supervisor);
    let status = |name: &str| host::status(watch, name).unwrap();
    let ids: Vec<u32> = status("Uid").split(' ').map(|id| id.parse().unwrap()).collect();
    assert!(ids[0] >= 1000 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(Some(ids[0]), host::uid_of(agent));
    assert!(status("Gid").split(' ').all(|id| id == ids[0].to_string()));
    assert_eq!(status("Groups"), "");
    let set = |name: &str| u64::from_str_radix(&status(name), 16).unwrap();
    let sets = ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"].map(set);
    if cellblock::watch::proc::hides() {
        println!("this host hides processes: the watch may see them, too");
    } else {
        assert_eq!(sets, [CAP_KILL, CAP_KILL, 0, 0, 0]);
    }
    assert_eq!([status("NoNewPrivs"), status("Seccomp"), status("Threads")], ["1", "2", "1"]);
    // Nothing that can be written, but what freezes agents, sockets, and nowhere.
    let mut freezers = 0;
    for entry in std::fs::read_dir(format!("/proc/{watch}/fd")).unwrap().flatten() {
        let to = std::fs::read_link(entry.path()).unwrap().display().to_string();
        let number = entry.file_name().into_string().unwrap();
        let info = std::fs::read_to_string(format!("/proc/{watch}/fdinfo/{number}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        freezers += u32::from(to.ends_with("/cgroup.freeze"));
        let may = to.ends_with("/cgroup.freeze") || to.starts_with("socket:") || to == "/dev/null";
        assert!(flags & 3 == 0 || may, "{number}: {to}, {flags:o}");
    }
    assert_eq!(freezers, 1);
}
