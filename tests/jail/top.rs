//! `cellblock top` on a real terminal, with real agents.

use crate::harness::{self, eventually};
use crate::installation::{COUNTS, Installation, STRANGER, command_of};
use crate::pty::Person;
use rustix::process::Signal;

/// A figure in the row of `agent`: what stands in the column `place`, counted from its name.
fn figure(screen: &str, agent: &str, place: usize) -> Option<String> {
    let row = screen.lines().find(|line| line.starts_with(&format!(" {agent} ")))?;
    row.split_whitespace().nth(place).map(str::to_owned)
}

/// Presses `keys` until the details are of `agent`.
fn select(person: &mut Person, agent: &str) {
    let selected = format!(" {agent}: ");
    for _ in 0..9 {
        if person.screen().contains(&selected) {
            return;
        }
        let before = person.screen();
        person.types("j");
        person.shows_so("another selection", |screen| (screen != before).then_some(()));
    }
    person.shows(&selected);
}

#[test]
fn agents_are_shown_with_figures_that_change_and_keys_act_on_them() {
    needs!("root", "cgroup2", "tmux");
    const AGENTS: [&str; 2] = ["jt-top-busy", "jt-top-calm"];
    let supervisor = Installation::new(&AGENTS, "[supervisor]\npatience = '5s'");
    supervisor.start(AGENTS[0], "while :; do :; done").expect(0);
    supervisor.start(AGENTS[1], "sleep 1000").expect(0);
    let mut person = Person::start(&supervisor.verb("top", &["--interval", "0.5"]));
    person.shows("2 agents, 2 running");
    for agent in AGENTS {
        person.shows(&format!(" {agent} "));
    }
    assert!(person.is_raw());
    let used = |screen: &str| {
        let cpu = figure(screen, AGENTS[0], 2)?;
        let number = cpu.split(['%', '/']).next()?.parse::<u64>().ok()?;
        (number > 0).then_some(number)
    };
    person.shows_so("processor time", used);
    // The bars of the details grow to the right with each look.
    select(&mut person, AGENTS[0]);
    let bars = |screen: &str| {
        let line = screen.lines().find(|line| line.starts_with(" cpu "))?;
        Some(line.chars().filter(|c| ('▁'..='█').contains(c)).count())
    };
    let before = person.shows_so("bars", bars);
    person.shows_so("more bars", |screen| bars(screen).filter(|now| *now > before + 1));
    // In another size, and back.
    person.resize(40, 10);
    person.shows_so("a smaller table", |screen| (!screen.contains("TASKS")).then_some(()));
    person.shows(" jt-top-calm");
    person.resize(80, 24);
    person.shows("TASKS");
    person.types("/calm");
    person.shows_so("one of them", |screen| {
        (!screen.contains(&format!(" {} ", AGENTS[0]))).then_some(())
    });
    person.types("\r");
    person.shows("only *calm*");
    person.types("f");
    supervisor.becomes(AGENTS[1], "frozen");
    person.shows("jt-top-calm is frozen");
    person.shows_so("that it is frozen", |screen| {
        (figure(screen, AGENTS[1], 1)? == "frozen").then_some(())
    });
    person.types("f");
    person.shows("jt-top-calm goes on");
    assert_eq!(supervisor.state(AGENTS[1]), "running");
    person.types("s");
    person.shows("stop jt-top-calm? y: yes");
    person.types("n");
    person.shows("jt-top-calm goes on");
    assert_eq!(supervisor.state(AGENTS[1]), "running");
    person.types("sy");
    supervisor.becomes(AGENTS[1], "ended");
    person.shows_so("its end", |screen| (figure(screen, AGENTS[1], 1)? == "ended").then_some(()));
    person.types("l");
    person.shows("uid 0 stops jt-top-calm");
    person.types("q?");
    person.shows("freeze it, or let a frozen one go on");
    person.types(" q");
    person.ends().0.expect(0);
    assert_eq!(supervisor.state(AGENTS[0]), "running");
}

#[test]
fn a_session_takes_the_place_of_the_list_and_gives_it_back() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-top-attach"], "");
    supervisor.start("jt-top-attach", "PS1='$ ' exec bash --norc --noprofile").expect(0);
    let mut person = Person::start(&supervisor.verb("top", &[]));
    person.shows(" jt-top-attach ");
    person.types("\r");
    person.shows_so("the session alone", |screen| {
        (screen.contains("$ ") && !screen.contains("cellblock top")).then_some(())
    });
    person.types("echo from$((40 + 2))here\r");
    person.shows("from42here");
    person.types("\x1dd");
    person.shows("cellblock top");
    person.types("r");
    person.shows("from42here");
    // Nothing of it reaches the agent.
    person.types("echo never$((1 + 1))\r");
    person.types("\x1dd");
    person.shows("cellblock top");
    person.types("a");
    person.shows("from42here");
    person.types("exit 3\r");
    person.shows("cellblock top");
    person.shows("jt-top-attach ended with exit status 3");
    person.types("q");
    let (ended, shown) = person.ends();
    ended.expect(0);
    assert!(!String::from_utf8_lossy(&shown).contains("never2"));
}

#[test]
fn the_terminal_is_as_before_whatever_ends_it_and_a_supervisor_is_found_again() {
    needs!("root", "cgroup2", "tmux");
    let mut supervisor = Installation::new(&["jt-top-again"], "");
    supervisor.start("jt-top-again", COUNTS).expect(0);
    let mut person = Person::start(&supervisor.verb("top", &["--interval", "0.5"]));
    person.shows("1 agent, 1 running");
    supervisor.dies();
    person.shows("trying again: no supervisor runs");
    // What it knew is still there to be looked at.
    person.shows(" jt-top-again ");
    person.types("f");
    person.shows("systemctl start cellblock");
    supervisor.begin();
    person.shows("1 agent, 1 running");
    person.running.as_ref().unwrap().signal(Signal::TERM);
    let (ended, shown) = person.ends();
    assert_eq!(ended.status, Some(143), "{ended:#?}");
    let shown = String::from_utf8_lossy(&shown).into_owned();
    let left = shown.rfind("\x1b[?1049l").unwrap();
    assert!(shown[left..].contains("\x1b[?25h") && !shown[left..].contains("\x1b[?1049h"));
    // Who cannot reach one at all is told so, on a terminal that was never taken.
    supervisor.dies();
    let mut person = Person::start(&supervisor.verb("top", &[]));
    let (ended, shown) = person.ends();
    ended.expect(125);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(shown.contains("no supervisor runs") && !shown.contains("\x1b[?1049h"), "{shown:?}");
    supervisor.begin();
}

#[test]
fn what_a_role_does_not_allow_is_told_and_the_list_goes_on() {
    needs!("root", "cgroup2", "tmux");
    let roles = format!(
        "[supervisor]\ngroup = {STRANGER}\n[[roles]]\nrole = 'viewer'\nusers = [{STRANGER}]\nagents = ['jt-top-seen']\n"
    );
    let supervisor = Installation::new(&["jt-top-seen", "jt-top-unseen"], &roles);
    supervisor.start("jt-top-seen", "sleep 1000").expect(0);
    supervisor.start("jt-top-unseen", "sleep 1000").expect(0);
    let top = command_of(STRANGER, STRANGER, &supervisor.verb("top", &["--interval", "0.5"]));
    let mut person = Person::start(&top);
    person.shows("1 agent, 1 running");
    assert!(!person.screen().contains("jt-top-unseen"));
    for keys in ["sy", "f", "a"] {
        person.types(keys);
        person.shows(&format!("uid {STRANGER} "));
        person.shows("needs an");
        // The next key takes it away.
        person.types("g");
        person.shows_so("no refusal", |screen| (!screen.contains("needs an")).then_some(()));
    }
    person.types("l");
    person.shows("needs an");
    person.types("q");
    eventually("still running", || (supervisor.state("jt-top-seen") == "running").then_some(()));
    person.types("q");
    person.ends().0.expect(0);
}

#[test]
fn what_the_gate_refuses_is_counted_and_shown() {
    needs!("root", "cgroup2", "tmux", "python3");
    let folder = harness::Folder::new();
    let profile = folder.profile(
        "walled",
        "extends = ['demo']\n[network]\nmode = 'allowlist'\nallow = ['allowed.test']\n",
    );
    let supervisor = Installation::new(&["jt-top-gate"], "");
    let script = "import socket, time\nwhile True:\n    try: socket.getaddrinfo('refused.test', 443)\n    except OSError: pass\n    time.sleep(0.2)";
    let words = ["--name", "jt-top-gate", &profile, "--", "/usr/bin/python3", "-c", script];
    supervisor.ask("start", &words).expect(0);
    let mut person = Person::start(&supervisor.verb("top", &["--interval", "0.5"]));
    person.shows("allowlist, 0 open");
    let refused = |screen: &str| {
        let line = screen.lines().find(|line| line.contains(" by the gate"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().filter(|count| *count > 0)
    };
    let before = person.shows_so("refusals", refused);
    person.shows_so("more refusals", |screen| refused(screen).filter(|now| *now > before));
    person.types("l");
    person.shows("refused.test was refused");
    let listed = supervisor.list();
    assert_eq!(listed[0]["network"], "allowlist");
    assert!(listed[0]["counts"]["refused"].as_u64() > Some(0), "{listed:?}");
    // Esc alone leads back, too.
    person.types("\x1b");
    person.shows("by the gate");
    person.types("\x03");
    person.ends().0.expect(0);
}
