//! How a jail lives and ends: statuses, signals, streams, what it starts, and others beside it.

use crate::harness::{self, Folder, cellblock, command, exec, finish, finish_with, start};
use crate::host;
use rustix::process::Signal;

#[test]
fn the_status_is_passed_on() {
    needs!("root", "cgroup2");
    let agent = "jt-status";
    let cases: &[(&[&str], i32)] = &[
        (&["true"], 0),
        (&["sh", "-c", "exit 3"], 3),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["sh", "-c", "kill -SEGV $$"], 139),
        (&["no-such-command"], 127),
        (&["/usr/bin/no-such-command"], 127),
        (&["/tmp/no-such-command"], 127),
        (&["/etc/passwd"], 126),
        (&["/usr/lib/os-release"], 126),
        (&["/usr/bin"], 126),
    ];
    let statuses = |words: &[&str]| exec(agent, &[], "demo", words).status;
    let wrong: Vec<_> = cases
        .iter()
        .map(|(words, expected)| (words, statuses(words), Some(*expected)))
        .filter(|(_, found, expected)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "words, found, expected: {wrong:#?}");
    exec(agent, &[], "no-such-profile", &["true"]).expect_refusal(125, &["no-such-profile"]);
    host::expect_nothing_left(agent);
}

/// Says the name of each signal that comes, and ends with the second.
const LISTENER: &str = "for s in HUP INT QUIT USR1 USR2 TERM; do trap \"echo got $s\" $s; done; \
    echo ready; while :; do sleep 0.02; done";

#[test]
fn signals_are_passed_on() {
    needs!("root", "cgroup2");
    let agent = "jt-signals";
    let command = &mut cellblock("exec", agent, &[], "demo", &["bash", "-c", LISTENER]);
    let running = start(command);
    running.says("ready");
    for (signal, name) in [
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::QUIT, "QUIT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
    ] {
        running.signal(signal);
        running.says(&format!("got {name}\n"));
    }
    // The third that asks it to end is not asked any more.
    running.signal(Signal::INT);
    running.wait(harness::DEADLINE).expect(137);
    host::expect_nothing_left(agent);
}

#[test]
fn a_signal_ends_what_does_not_listen() {
    needs!("root", "cgroup2");
    let command =
        &mut cellblock("exec", "jt-ended", &[], "demo", &["sh", "-c", "echo ready; exec sleep 60"]);
    let running = start(command);
    running.says("ready");
    running.signal(Signal::TERM);
    running.wait(harness::DEADLINE).expect(143);
    host::expect_nothing_left("jt-ended");
}

#[test]
fn streams_pass_through() {
    needs!("root", "cgroup2");
    let input: Vec<u8> =
        (0..10_000_000_u32).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
    let expected = String::from_utf8(input.clone()).unwrap();
    let cat = &mut cellblock("exec", "jt-streams", &[], "demo", &["cat"]);
    let ended = finish_with(cat, input.clone());
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert!(ended.out == expected, "{} bytes came back", ended.out.len());
    // Who reads no more is not waited for, on either side.
    let head = &mut cellblock("exec", "jt-streams", &[], "demo", &["head", "-c", "3"]);
    assert_eq!(finish_with(head, input).expect(0).out, "abc");
    let yes =
        exec("jt-streams", &[], "demo", &["bash", "-c", "yes | head -n 1; exit ${PIPESTATUS[0]}"]);
    assert_eq!(yes.expect(141).out, "y\n");
    let both = exec("jt-streams", &[], "demo", &["sh", "-c", "echo out; echo err >&2"]);
    assert!(both.expect(0).out == "out\n" && both.err.ends_with("err\n"), "{both:#?}");
    let words = format!(
        "{} exec --name jt-streams demo -- sh -c 'ls /proc/self/fd | wc -w' <&- 2>&-",
        harness::program()
    );
    assert_eq!(finish(command("/bin/sh").args(["-c", &words])).expect(0).out, "4\n");
    host::expect_nothing_left("jt-streams");
}

#[test]
fn what_was_started_ends_with_the_jail() {
    needs!("root", "cgroup2", "perl");
    let agent = "jt-orphans";
    let script = "nohup sleep 300 >/dev/null 2>&1 & setsid sleep 301 & \
        (setsid setsid sleep 302 &) ; perl -e 'fork and exit; POSIX->can(1); setpgrp; fork and exit; \
        $SIG{TERM} = $SIG{HUP} = \"IGNORE\"; sleep 303' & ";
    let script = format!("{script}{}; ls -d /proc/[0-9]* | wc -l", harness::rest(200));
    let ended = exec(agent, &[], "demo", &["bash", "-c", &script]);
    let count: u32 = ended.expect(0).out.trim().parse().unwrap();
    assert!(count >= 6, "they did not run: {ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn init_reaps_what_nobody_waits_for() {
    needs!("root", "cgroup2", "ps");
    // Orphans are init's children, as the script itself is: an init that does not reap is never left with one alone.
    let script = "for i in $(seq 100); do (sh -c : &) ; done; \
        until [ \"$(ps -o pid= --ppid 1 | wc -l)\" = 1 ]; do sleep 0.05; done; ps -eo stat= | grep -c Z";
    let ended = exec("jt-zombies", &[], "demo", &["sh", "-c", script]);
    assert_eq!(ended.expect(1).out, "0\n");
}

#[test]
fn agents_beside_each_other() {
    needs!("root", "cgroup2", "tmux");
    let script = format!("id -u; ps ax | wc -l; {}", harness::rest(300));
    let first = &mut cellblock("run", "jt-first", &[], "demo", &["sleep", "600"]);
    let first = start(first);
    let mut second = cellblock("run", "jt-second", &[], "demo", &["sh", "-c", &script]);
    harness::eventually("its record", || (!host::records("jt-first").is_empty()).then_some(()));
    let again = finish(&mut cellblock("run", "jt-first", &[], "demo", &["true"]));
    again.expect_refusal(125, &["jt-first", "running already", "--name"]);
    let second = finish(&mut second);
    second.expect(0);
    assert_ne!(host::uid_of("jt-first"), host::uid_of("jt-second"));
    let uid = host::uid_of("jt-second").unwrap().to_string();
    assert!(second.out.contains(&uid), "{second:#?}");
    // A command beside the session is another jail of the same agent.
    exec("jt-first", &[], "demo", &["true"]).expect(0);
    first.signal(Signal::TERM);
    let ended = first.wait(harness::DEADLINE);
    assert!(ended.expect(137).err.contains("stopped by SIGTERM"), "{ended:#?}");
    host::expect_nothing_left("jt-first");
    host::expect_nothing_left("jt-second");
}

#[test]
fn many_at_once() {
    needs!("root", "cgroup2");
    let agent = "jt-many";
    let jail = |index: i32| {
        let words = ["sh", "-c", &format!("sleep 0.05; exit {index}")].map(str::to_owned);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        start(&mut cellblock("exec", agent, &[], "demo", &words))
    };
    let running: Vec<_> = (0..24).map(|index| (index, jail(index))).collect();
    for (index, running) in running {
        running.wait(harness::DEADLINE).expect(index);
    }
    host::expect_nothing_left(agent);
}

#[test]
fn memory_and_tasks_are_bounded() {
    needs!("root", "cgroup2", "perl");
    let folder = Folder::new();
    let text = "extends = ['demo']\n[limits]\nmemory = '64M'\nmemory_high = '64M'\ntasks = 16\n";
    let profile = folder.profile("small", text);
    let eater = "my $x = 'x' x 300_000_000; sleep 5; print length $x";
    let eaten = exec("jt-limits", &[], &profile, &["perl", "-e", eater]);
    assert!(eaten.expect(137).err.contains("memory"), "{eaten:#?}");
    let forker = "my $n = 0; while (defined(my $p = fork)) { $p or sleep 600; $n++ } print $n, ' ', $!{EAGAIN} ? 'EAGAIN' : $!";
    let forked = exec("jt-limits", &[], &profile, &["perl", "-e", forker]);
    let (count, errno) = forked.out.split_once(' ').unwrap();
    assert!(count.parse::<u32>().unwrap() < 16 && errno == "EAGAIN", "{forked:#?}");
    host::expect_nothing_left("jt-limits");
}

/// A project of somebody's, without any of the files that the profile protects.
fn project(folder: &Folder) -> String {
    let project = folder.directory("project", 0o755);
    std::os::unix::fs::lchown(&project, Some(4242), Some(4242)).unwrap();
    project
}

#[test]
fn the_end_of_one_jail_takes_nothing_from_another_on_the_same_project() {
    needs!("root", "cgroup2");
    let folder = Folder::new();
    let project = project(&folder);
    let on = |agent: &str, words: &[&str]| {
        let mut words = cellblock("exec", agent, &["--workspace", &project], "demo", words);
        start(words.stdin(std::process::Stdio::piped()))
    };
    let mut first = on("jt-maker", &["sh", "-c", "echo inside; read line"]);
    first.says("inside");
    let script = "echo inside; read line; for f in .envrc .mcp.json .claude/settings.json .git/config; do \
        echo planted > $f; done; mkdir .git/hooks; ls -A";
    let mut second = on("jt-beside", &["sh", "-c", script]);
    second.says("inside");
    drop(first.child.stdin.take());
    first.wait(harness::DEADLINE);
    drop(second.child.stdin.take());
    let ended = second.wait(harness::DEADLINE);
    assert_eq!(ended.err.matches("Read-only file system").count(), 4, "{ended:#?}");
    let left: Vec<_> = std::fs::read_dir(&project).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_start_after_a_killed_launcher_works_on_the_same_project() {
    needs!("root", "cgroup2");
    let (agent, folder) = ("jt-again", Folder::new());
    let project = project(&folder);
    let options = ["--workspace", &project];
    let words = ["sh", "-c", "echo inside; exec sleep 30"];
    let mut running = start(&mut cellblock("exec", agent, &options, "demo", &words));
    running.says("inside");
    running.child.kill().unwrap();
    running.wait(harness::DEADLINE);
    exec(agent, &options, "demo", &["true"]).expect(0);
    assert_eq!(std::fs::read_dir(&project).unwrap().count(), 0);
    host::expect_nothing_left(agent);
}

#[test]
fn a_protected_file_with_a_second_name_is_refused() {
    needs!("root", "cgroup2");
    let (agent, folder) = ("jt-link", Folder::new());
    let project = project(&folder);
    folder.file("project/.envrc", "", 0o644);
    std::fs::hard_link(folder.path("project/.envrc"), folder.path("project/other")).unwrap();
    let ended = exec(agent, &["--workspace", &project], "demo", &["sh", "-c", "echo x > other"]);
    ended.expect_refusal(125, &["is another name of", ".envrc", "hard links"]);
    assert_eq!(std::fs::read_to_string(folder.path("project/.envrc")).unwrap(), "");
    host::expect_nothing_left(agent);
}

/// A second thread that takes 480 MiB in a second and a half, while the first has ended.
const LEADERLESS: &str = "use threads; $| = 1; threads->create(sub { my @kept; for (1 .. 30) { \
    push @kept, 'x' x (16 << 20); select undef, undef, undef, 0.05 } print qq(kept\\n); syscall(231, 5) }); \
    syscall(60, 0);";

#[test]
fn the_memory_of_a_process_whose_first_thread_has_ended_counts() {
    needs!("root", "cgroup2", "perl", "x86_64");
    let (agent, folder) = ("jt-leaderless", Folder::new());
    // Above memory_high the kernel would only slow it down, for minutes.
    let text = "extends = ['demo']\n[limits]\nmemory = '100M'\nmemory_high = '100M'\n";
    let profile = folder.profile("small", text);
    let ended = exec(agent, &[], &profile, &["/usr/bin/perl", "-e", LEADERLESS]);
    assert!(ended.expect(137).out.is_empty(), "{ended:#?}");
    host::expect_nothing_left(agent);
}
