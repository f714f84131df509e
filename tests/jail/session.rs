//! The agent's tmux session: with a person in front of it, without, and with an agent that attacks it.

use crate::harness::{self, Folder, cellblock, command, finish, start};
use crate::host;
use crate::pty::Person;
use crate::refusals::PROBE;
use cellblock::terminal::filter::fuzz;
use rustix::process::Signal;

/// tmux 3.3a drops what a program writes in the very moment of its end: a script that is to be seen
/// rests before it ends.
fn run(agent: &str, options: &[&str], profile: &str, script: &str) -> std::process::Command {
    cellblock("run", agent, options, profile, &["bash", "--norc", "-c", script])
}

fn on_terminal(agent: &str, words: &[&str]) -> Person {
    Person::start(&cellblock("run", agent, &[], "demo", words))
}

const SHELL: &[&str] = &["bash", "--noprofile", "--norc"];

#[test]
fn without_a_terminal_the_last_screen_and_the_status_are_told() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-screen";
    let rest = harness::rest(300);
    let script =
        format!("printf 'first\\n\\033[31mred\\033[0m \\033]0;title\\007last\\n'; {rest}; exit 4");
    let ended = finish(&mut run(agent, &[], "demo", &script));
    ended.expect(4);
    assert!(ended.out.contains("first\nred last\n"), "{ended:#?}");
    assert!(!ended.out.contains(['\x1b', '\x07']), "{ended:#?}");
    assert!(ended.err.contains("ended with exit status 4"), "{ended:#?}");
    let script = format!("echo here; {rest}; kill -9 $$");
    let ended = finish(&mut run(agent, &[], "demo", &script));
    assert!(ended.expect(137).err.contains("ended by signal 9"), "{ended:#?}");
    // One word is a program and not a line for a shell.
    let ended = finish(&mut cellblock("run", agent, &[], "demo", &["/usr/bin/id;"]));
    assert_ne!(ended.status, Some(0), "{ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn a_person_attaches_types_leaves_and_comes_back() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-attaches";
    let mut person = on_terminal(agent, SHELL);
    person.sees("$ ");
    assert!(person.is_raw());
    person.types("echo $((40 + 2))answer\r");
    person.sees("42answer");
    person.resize(91, 33);
    // tmux keeps one row for its status line.
    person
        .types("while [ \"$(stty size)\" != '32 91' ]; do sleep 0.02; done; echo fits$((1 + 1))\r");
    person.sees("fits2");
    person.types("\x1dd");
    person.sees("goes on");
    person.is_as_before();
    person.types("\n");
    person.sees("42answer");
    assert!(person.is_raw());
    // By tmux' own key, too. What comes within a millisecond of something else is a paste for tmux
    // (`assume-paste-time`), and its keys mean nothing then.
    std::thread::sleep(harness::patient(std::time::Duration::from_millis(50)));
    person.types("\x02d");
    person.sees("goes on");
    person.is_as_before();
    person.types("\n");
    person.sees("42answer");
    person.types("exit 5\r");
    let (ended, shown) = person.ends();
    ended.expect(5);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(shown.contains("ended with exit status 5"), "{shown:?}");
    host::expect_nothing_left(agent);
}

/// Clipboard, title, passthrough, queries, DCS, APC, PM, SOS.
const ATTACK: &str = r"printf '\033]52;c;Y2FuYXJ5\007\033]0;canary\007\033]2;canary\033\\\033kcanary\033\\';
printf '\033Ptmux;\033\033]52;c;Y2FuYXJ5\007\033\\\033Pq#0canary\033\\\033_Gcanary\033\\\033^canary\033\\\033Xcanary\033\\';
printf '\033[6n\033[c\033[>c\033[21t\033[?1;2S\033]11;?\007\033]8;;http://canary\033\\link\033]8;;\033\\';";

#[test]
fn nothing_but_text_reaches_the_persons_terminal() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-attack";
    let rest = harness::rest(300);
    let script = format!(
        "{ATTACK} echo FIRST; {rest}; tmux set -s set-clipboard on; tmux set -g allow-passthrough on; \
         tmux set -g set-titles on; tmux set -g set-titles-string canary; \
         tmux set -ga terminal-overrides ',*:Ms=\\E]52;%p1%s;%p2%s\\007'; tmux set -g mouse on; {rest}; \
         {ATTACK} tmux set-buffer -w canary; tmux refresh-client -l; tmux rename-window canary; \
         {rest}; echo LAST$((1 + 1)); {rest}; exit 6"
    );
    let mut person = Person::start(&run(agent, &[], "demo", &script));
    person.sees("FIRST");
    person.sees("LAST2");
    let (ended, shown) = person.ends();
    ended.expect(6);
    assert_eq!(fuzz::judge(&shown), Ok(()));
    let text = String::from_utf8_lossy(&shown).into_owned();
    for never in
        ["\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1bk", "Y2FuYXJ5", "\x1b[c", "\x1b[6n"]
    {
        assert!(!text.contains(never), "{never:?} in {text:?}");
    }
    host::expect_nothing_left(agent);
}

#[test]
fn no_configuration_and_no_server_of_outside_is_used() {
    needs!("root", "cgroup2", "tmux");
    let (agent, folder) = ("jt-config", Folder::new());
    let config = folder.file(".tmux.conf", "set -g status-left canary\n", 0o644);
    std::fs::create_dir_all(folder.path("tmux")).unwrap();
    folder.file("tmux/tmux.conf", "set -g status-left canary\n", 0o644);
    let rest = harness::rest(300);
    let asks = format!(
        "tmux show -gv status-left; echo \"server ${{TMUX%%,*}}\"; tmux ls | wc -l; {rest}"
    );
    let mut plain = run(agent, &[], "demo", &asks);
    plain.env("HOME", folder.text("")).env("XDG_CONFIG_HOME", folder.text(""));
    let ended = finish(plain.env("TMUX", "/tmp/tmux-0/default,1,0"));
    ended.expect(0);
    assert!(!ended.out.contains("canary"), "{ended:#?}");
    assert!(ended.out.contains("server /run/cellblock/tmux/server\n1"), "{ended:#?}");
    for own in [false, true] {
        let text = format!(
            "extends = ['demo']\n[filesystem]\nread = [{{ path = '{config}', at = '~/.tmux.conf' }}]\n\
             [terminal]\nown_config = {own}\n"
        );
        let profile = folder.profile("own", &text);
        let ended = finish(&mut run(agent, &[], &profile, &asks));
        assert_eq!(ended.expect(0).out.contains("canary"), own, "{ended:#?}");
    }
    host::expect_nothing_left(agent);
}

#[test]
fn an_agent_that_ends_its_server_ends_its_jail() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-server";
    // The session must have been seen before it goes: else it has never been there.
    let script = format!("setsid sleep 300 & {}; tmux kill-server; sleep 300", harness::rest(300));
    let ended = finish(&mut run(agent, &[], "demo", &script));
    // Nobody knows how the command ended: that is no success.
    assert!(ended.expect(129).err.contains("was closed"), "{ended:#?}");
    host::expect_nothing_left(agent);
    let mut person = Person::start(&run(agent, &[], "demo", &script));
    person.ends();
    host::expect_nothing_left(agent);
}

#[test]
fn the_status_is_told_also_of_what_ends_at_once() {
    // A tmux that is starved for seconds does not tell the status.
    needs!("root", "cgroup2", "tmux", "quiet");
    let agent = "jt-at-once";
    let rounds = if harness::is_slow() { 6 } else { 30 };
    for round in 0..rounds {
        let running: Vec<_> = (0..3)
            .map(|index| {
                let status = (round + index) % 200;
                let words = ["sh", "-c", &format!("exit {status}")].map(str::to_owned);
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                let name = format!("{agent}-{index}");
                (status, start(&mut cellblock("run", &name, &[], "demo", &words)))
            })
            .collect();
        for (status, running) in running {
            running.wait(harness::DEADLINE).expect(status);
        }
    }
    host::expect_nothing_left(agent);
}

/// In place of tmux: says nothing until somebody listens on its server's socket.
const FALSE_TMUX: &str = "#!/bin/sh\n\
    while [ ! -S /run/cellblock/tmux/server ]; do sleep 0.01; done\n\
    echo shown; sleep 15\n";

#[test]
fn a_session_of_somebody_else_is_not_shown() {
    needs!("root", "cgroup2", "perl");
    let (agent, folder) = ("jt-not-its-own", Folder::new());
    folder.file("tmux", FALSE_TMUX, 0o755);
    let text = format!(
        "extends = ['demo']\n[environment.set]\nPATH = '/opt/tmux:/usr/bin:/bin'\n\
         [filesystem]\nexecute = [{{ path = '{}', at = '/opt/tmux' }}]\n",
        folder.text("").trim_end_matches('/')
    );
    let profile = folder.profile("foreign", &text);
    finish(&mut cellblock("exec", agent, &[], "demo", &["true"])).expect(0);
    let uid = host::uid_of(agent).unwrap().to_string();
    for (listener, what) in
        [("0", "the tmux server's uid"), (uid.as_str(), "the tmux server's cgroup")]
    {
        let running = start(&mut run(agent, &[], &profile, "true"));
        let waits = || {
            let processes = host::processes(uid.parse().unwrap());
            processes.iter().find(|(_, name)| name == "tmux").map(|(pid, _)| *pid)
        };
        let pid = harness::eventually("the false tmux", waits);
        let directory = format!("/proc/{pid}/root/run/cellblock/tmux");
        let mut perl = command("/usr/bin/perl");
        let mut false_server = start(perl.args(["-e", PROBE, "listen_as", &directory, listener]));
        let ended = running.wait(harness::DEADLINE);
        false_server.child.kill().unwrap();
        false_server.wait(harness::DEADLINE);
        assert!(ended.expect(125).err.contains(what), "{ended:#?}");
        host::expect_nothing_left(agent);
    }
}

#[test]
fn a_server_that_takes_nobody_in_holds_nobody_up() {
    needs!("root", "cgroup2", "perl");
    let (agent, folder) = ("jt-full-queue", Folder::new());
    folder.file("tmux", FALSE_TMUX, 0o755);
    let text = format!(
        "extends = ['demo']\n[environment.set]\nPATH = '/opt/tmux:/usr/bin:/bin'\n\
         [filesystem]\nexecute = [{{ path = '{}', at = '/opt/tmux' }}]\n",
        folder.text("").trim_end_matches('/')
    );
    let profile = folder.profile("full", &text);
    finish(&mut cellblock("exec", agent, &[], "demo", &["true"])).expect(0);
    let uid = host::uid_of(agent).unwrap();
    let running = start(&mut run(agent, &[], &profile, "true"));
    let waits = || {
        let processes = host::processes(uid);
        processes.iter().find(|(_, name)| name == "tmux").map(|(pid, _)| *pid)
    };
    let pid = harness::eventually("the false tmux", waits);
    let directory = format!("/proc/{pid}/root/run/cellblock/tmux");
    let mut perl = command("/usr/bin/perl");
    let words = ["-e", PROBE, "listen_full", &directory, &uid.to_string()];
    let mut false_server = start(perl.args(words));
    false_server.says("listening");
    // Long enough for the first bytes to be looked at.
    std::thread::sleep(harness::patient(std::time::Duration::from_millis(500)));
    running.signal(Signal::TERM);
    let ended = running.wait(std::time::Duration::from_secs(5));
    false_server.child.kill().unwrap();
    false_server.wait(harness::DEADLINE);
    assert!(ended.expect(137).err.contains("stopped by SIGTERM"), "{ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn the_terminal_is_as_before_however_it_ends() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-restore";
    for verb in ["run", "exec"] {
        for how in ["signal", "cgroup"] {
            let words = ["bash", "--norc", "-c", "echo inside$((1 + 1)); exec sleep 60"];
            let mut person = Person::start(&cellblock(verb, agent, &[], "demo", &words));
            person.sees("inside2");
            assert!(person.is_raw());
            if how == "signal" {
                person.running.as_ref().unwrap().signal(Signal::TERM);
            } else {
                std::fs::write(host::own_cgroup(agent).join("cgroup.kill"), "1").unwrap();
            }
            let (ended, _) = person.ends();
            assert!(ended.status.unwrap() >= 125, "{verb} {how}: {ended:#?}");
            host::expect_nothing_left(agent);
        }
    }
}

#[test]
fn a_terminal_that_goes_away_ends_the_jail() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-gone";
    // A command alone is told as it would be without a jail (SIGHUP), also where the terminal is found gone
    // before the kernel says so; a session is ended.
    let cases = [
        ("run", "trap '' HUP", "sleep 60", 137),
        ("exec", ":", "sleep 60", 129),
        ("exec", ":", "while :; do echo more; done", 129),
        ("exec", "trap '' HUP", "for line in {1..20000}; do echo $line; done; exit 7", 7),
    ];
    for (verb, trap, work, status) in cases {
        let script = format!("{trap}; echo inside$((1 + 1)); {work}; :");
        let words = ["bash", "--norc", "-c", &script];
        let mut person = Person::start(&cellblock(verb, agent, &[], "demo", &words));
        person.sees("inside2");
        person.closes().wait(harness::DEADLINE).expect(status);
        host::expect_nothing_left(agent);
    }
}

#[test]
fn a_command_gets_a_terminal_of_the_jails_own() {
    needs!("root", "cgroup2");
    let agent = "jt-tty";
    let script = "tty; stty size; read line; echo \"line $line\"; exec cat";
    let mut person = Person::start(&cellblock("exec", agent, &[], "demo", &["sh", "-c", script]));
    person.sees("/dev/pts/0\r\n24 80");
    person.types("typed\r");
    person.sees("line typed");
    person.types("\x03");
    let (ended, _) = person.ends();
    ended.expect(130);
    host::expect_nothing_left(agent);
}

#[test]
fn a_server_that_does_not_answer_does_not_hold_up_the_end() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-mute";
    let script = "tmux set -s command-alias[99] 'display-message=run-shell \"sleep 100\"'; \
                  sleep 0.5; exit 5";
    let begun = std::time::Instant::now();
    let ended = finish(&mut run(agent, &[], "demo", script));
    // How it ended is not known, and unknown is not well.
    ended.expect(125);
    assert!(begun.elapsed() < harness::patient(harness::DEADLINE), "{:?}", begun.elapsed());
    host::expect_nothing_left(agent);
}
