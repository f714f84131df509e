//! Several people at once in front of one agent, each with a terminal of their size and a role of their own.

use crate::harness::{Folder, eventually, finish};
use crate::installation::{Installation, STRANGER, command_of, project};
use crate::pty::Person;
use std::process::Command;

/// Who reaches the control socket.
const GROUP: u32 = STRANGER;
const OPERATOR: u32 = STRANGER + 1;
const VIEWER: u32 = STRANGER + 2;
const UNLISTED: u32 = STRANGER + 3;
/// Of root, the operator and the viewer: columns and rows.
const SIZES: [(u16, u16); 3] = [(120, 40), (90, 28), (50, 12)];

/// Tells its size whenever that has changed, on the screen and in a file, and what is typed.
const TELLS: &str = "while :; do now=$(stty size); \
    [ \"$now\" = \"$last\" ] || { last=$now; echo \"size $now.\"; echo \"$now\" >>/workspace/sizes; }; \
    read -rt 0.1 line && echo \"heard $line.\"; done";

struct Crowd {
    agent: &'static str,
    supervisor: Installation,
    project: Folder,
}

impl Crowd {
    fn new(agent: &'static str) -> Self {
        let roles = format!(
            "[supervisor]\ngroup = {GROUP}\n\
             [[roles]]\nrole = 'operator'\nusers = [{OPERATOR}]\nagents = ['{agent}']\n\
             [[roles]]\nrole = 'viewer'\nusers = [{VIEWER}]\nagents = ['{agent}']\n"
        );
        let crowd = Self {
            agent,
            supervisor: Installation::new(&[agent], &roles),
            project: Folder::on_disk(),
        };
        let project = project(&crowd.project, "project");
        let words = ["--workspace", &project, "--name", agent, "demo", "--", "bash", "-c", TELLS];
        crowd.supervisor.ask("start", &words).expect(0);
        crowd
    }

    /// `cellblock VERB WORDS…`, as the user `uid`.
    fn by(&self, uid: u32, verb: &str, words: &[&str]) -> Command {
        let command = self.supervisor.verb(verb, words);
        if uid == 0 { command } else { command_of(uid, GROUP, &command) }
    }

    fn comes(&self, uid: u32, size: (u16, u16), verb: &str, words: &[&str]) -> Person {
        Person::start_in(&self.by(uid, verb, words), size)
    }

    fn refuses(&self, uid: u32, verb: &str, words: &[&str]) {
        let refused = finish(&mut self.by(uid, verb, words));
        refused.expect(125);
        assert!(refused.err.contains(&format!("uid {uid} ")), "{verb}: {refused:#?}");
    }

    /// The sizes that the agent had, one after the other.
    fn sizes(&self) -> String {
        std::fs::read_to_string(self.project.path("project/sizes")).unwrap()
    }
}

/// What the agent has for a window in a terminal of this size: tmux keeps a row for its status line.
fn window((columns, rows): (u16, u16)) -> String {
    format!("size {} {columns}.", rows - 1)
}

/// The size in which tmux draws: rows as it says them (DECSTBM), columns as its status line has them, from the name of the session
/// at the left to the last letter at the right.
fn drawn_in(shown: &str, agent: &str) -> (usize, usize) {
    let margins = shown.split("\x1b[1;").filter_map(|part| part[..part.find('r')?].parse().ok());
    let lines = shown.split("\x1b[").filter_map(|part| {
        let line = &part[part.find(&format!("[{agent}]"))?..];
        Some(line.split('\x1b').next()?.chars().count())
    });
    (lines.max().unwrap_or_default(), margins.max().unwrap_or_default())
}

/// What was typed, and the window in that size: the agent is told of both at once, and may tell of either first.
fn sees_both(person: &mut Person, heard: &str, size: (u16, u16)) {
    let both = |new: &str| (new.contains(heard) && new.contains(&window(size))).then_some(());
    person.draws("what was typed, and the size", both);
}

#[test]
fn three_people_look_at_once_each_in_their_size_and_by_their_role() {
    needs!("root", "cgroup2", "tmux");
    let crowd = Crowd::new("jt-three");
    let agent = crowd.agent;
    let mut root = crowd.comes(0, SIZES[0], "attach", &[agent]);
    root.sees(&window(SIZES[0]));
    let mut operator = crowd.comes(OPERATOR, SIZES[1], "attach", &[agent]);
    operator.sees(&window(SIZES[1]));
    let mut viewer = crowd.comes(VIEWER, SIZES[2], "attach", &["--read-only", agent]);
    let listed = || crowd.supervisor.list()[0]["people"].as_u64() == Some(3);
    eventually("three people", || listed().then_some(()));

    // Who types has the window in their size; who only looks neither types nor makes it smaller for the others.
    root.types("of root\r");
    sees_both(&mut root, "heard of root.", SIZES[0]);
    viewer.sees("heard of root.");
    viewer.types("of the viewer\r");
    operator.types("of the operator\r");
    sees_both(&mut operator, "heard of the operator.", SIZES[1]);
    for person in [&mut root, &mut viewer] {
        person.sees("heard of the operator.");
    }
    for (person, (columns, rows)) in [&root, &operator, &viewer].into_iter().zip(SIZES) {
        let drawn = drawn_in(&person.seen(), agent);
        assert_eq!(drawn, (columns.into(), rows.into()), "{:?}", person.seen());
    }
    assert!(!crowd.sizes().contains("11 50"), "{}", crowd.sizes());

    for (uid, (columns, rows)) in [(0, SIZES[0]), (OPERATOR, SIZES[1])] {
        let words = ["--running", agent, "--", "stty", "size"];
        let mut own = crowd.comes(uid, (columns, rows), "exec", &words);
        own.sees(&format!("{rows} {columns}"));
        own.ends().0.expect(0);
    }
    for uid in [0, OPERATOR, VIEWER] {
        let screen = finish(&mut crowd.by(uid, "screen", &[agent]));
        assert!(screen.expect(0).out.contains("heard of the operator."), "{screen:#?}");
        assert!(!screen.out.contains("of the viewer"), "{screen:#?}");
        let logs = finish(&mut crowd.by(uid, "logs", &["-n", "50", agent]));
        assert!(logs.expect(0).out.contains("was started"), "{logs:#?}");
    }
    viewer.types("\x1dd");
    viewer.ends().0.expect(0);

    // The same size of somebody who may type is everybody's, once they do.
    let mut small = crowd.comes(OPERATOR, SIZES[2], "attach", &[agent]);
    small.types("small\r");
    small.sees(&window(SIZES[2]));
    for mut person in [root, operator, small] {
        person.types("\x1dd");
        person.ends().0.expect(0);
    }
}

#[test]
fn a_viewer_only_looks_and_who_has_no_role_sees_no_agent() {
    needs!("root", "cgroup2", "tmux");
    let crowd = Crowd::new("jt-looked-at");
    let agent = crowd.agent;
    for (verb, words) in [
        ("attach", &[agent][..]),
        ("exec", &["--running", agent, "--", "id"]),
        ("stop", &[agent]),
        ("start", &["--name", agent, "demo"]),
        ("restart", &[agent]),
    ] {
        if verb == "attach" {
            let mut person = crowd.comes(VIEWER, SIZES[2], verb, words);
            let (refused, shown) = person.ends();
            let shown = String::from_utf8_lossy(&shown).into_owned();
            assert!(shown.contains(&format!("uid {VIEWER} ")), "{shown}");
            refused.expect(125);
        } else {
            crowd.refuses(VIEWER, verb, words);
        }
    }
    let listed = finish(&mut crowd.by(VIEWER, "ls", &["--json"]));
    assert!(listed.expect(0).out.contains(agent), "{listed:#?}");
    // Also where the kernel lets them reach the socket.
    crowd.refuses(UNLISTED, "ls", &[]);
    for verb in ["status", "screen", "logs"] {
        crowd.refuses(UNLISTED, verb, &[agent]);
    }
    let apart = finish(&mut command_of(UNLISTED, UNLISTED, &crowd.supervisor.verb("ls", &[])));
    apart.expect_refusal(125, &["Permission denied"]);
    assert_eq!(crowd.supervisor.state(agent), "running");
}
