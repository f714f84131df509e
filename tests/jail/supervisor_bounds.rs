//! What callers of the supervisor cannot do: use up what others need, see what is not theirs, stay when they may not.

use crate::harness::{self, Ended, canary, command, eventually, finish, program, start};
use crate::installation::{
    COUNTS, Installation, STRANGER, as_user, call, command_of, connect, connect_as, refusal, role,
    send,
};
use crate::pty::Person;
use cellblock::control::protocol::Request;
use cellblock::terminal::size::Size;
use cellblock::wire;
use rustix::fd::OwnedFd;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn one_user_opens_so_many_lines_and_is_told() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-bounds-lines"], &role("viewer", ""));
    supervisor.start("jt-bounds-lines", "sleep 1000").expect(0);
    let watch = |socket: &OwnedFd| {
        let agent = "jt-bounds-lines".to_owned();
        send(socket, &call(Request::Attach { agent, types: false, size: Size::DEFAULT }), &[]);
    };
    let stranger = connect_as(STRANGER, &supervisor.path("run/control"));
    let lines: Vec<_> = (0..16)
        .map(|_| {
            watch(&stranger);
            wire::receive_sealed::<Value>(&stranger).unwrap().unwrap()
        })
        .collect();
    assert!(lines.iter().all(|(answer, line)| answer == "Line" && line.len() == 2));
    watch(&stranger);
    let cause = refusal(&stranger);
    let expected = format!("uid {STRANGER} has 16 sessions and commands of jt-bounds-lines open");
    assert!(cause.contains(&expected), "{cause}");
    // Others have room.
    let root = connect(&supervisor.path("run/control"));
    watch(&root);
    assert_eq!(wire::receive_sealed::<Value>(&root).unwrap().unwrap().0, "Line");
}

/// A name that no agent of this host ever had.
fn fresh() -> &'static str {
    String::leak(format!("jt-new-{}", &canary()[..16]))
}

#[test]
fn names_that_a_person_has_taken_count_when_they_are_forgotten_and_after_a_restart() {
    needs!("root", "cgroup2", "tmux");
    let (own, other) = (fresh(), fresh());
    let roles = role("operator", "").replace("[[roles]]", "max_names = 1\n[[roles]]");
    let mut supervisor = Installation::new(&["jt-bounds-known", own], &roles);
    let project = supervisor.path("project");
    std::fs::create_dir(&project).unwrap();
    std::os::unix::fs::chown(&project, Some(STRANGER), Some(STRANGER)).unwrap();
    let project = project.display().to_string();
    let start = |supervisor: &Installation, name: &str| {
        let words = ["--name", name, "--workspace", &project, "demo", "--", "sleep", "1000"];
        let ended = as_user(STRANGER, &supervisor.verb("start", &words));
        as_user(STRANGER, &supervisor.verb("stop", &["--now", name]));
        ended
    };
    start(&supervisor, own).expect(0);
    let bounded = |supervisor: &Installation| {
        let told = [&format!("uid {STRANGER} has given 1 names"), "the most are 1"];
        start(supervisor, other).expect_refusal(125, &told);
    };
    bounded(&supervisor);
    as_user(STRANGER, &supervisor.verb("rm", &[own])).expect(0);
    bounded(&supervisor);
    supervisor.dies();
    supervisor.begin();
    bounded(&supervisor);
    // Their own is theirs, and one that root has made costs nothing.
    start(&supervisor, own).expect(0);
    supervisor.start("jt-bounds-known", "true").expect(0);
    supervisor.becomes("jt-bounds-known", "ended");
    start(&supervisor, "jt-bounds-known").expect(0);
    supervisor.configure(&roles.replace("max_names = 1", "max_names = 2"));
    supervisor.ask("reload", &[]).expect(0);
    let words = ["--name", other, "--workspace", "/usr/share", "demo"];
    as_user(STRANGER, &supervisor.verb("start", &words)).expect_refusal(125, &["is not yours"]);
}

#[test]
fn agents_that_are_known_are_bounded_and_forgetting_one_makes_room() {
    needs!("root");
    let roles = role("operator", "").replace("[[roles]]", "max_known = 2\n[[roles]]");
    let supervisor = Installation::new(&[], &roles);
    let start = |name: &str| {
        let words = ["--name", name, "--workspace", "/usr/share", "demo"];
        as_user(STRANGER, &supervisor.verb("start", &words))
    };
    // None of them comes so far that it takes a uid.
    let [one, two, three] = [fresh(), fresh(), fresh()];
    start(one).expect_refusal(125, &["is not yours"]);
    start(two).expect_refusal(125, &["is not yours"]);
    start(three).expect_refusal(125, &["2 agents are known, and the most are 2", "cellblock rm"]);
    start(two).expect_refusal(125, &["is not yours"]);
    as_user(STRANGER, &supervisor.verb("rm", &[one])).expect(0);
    start(three).expect_refusal(125, &["is not yours"]);
    // It is none for root.
    let words = ["--name", one, "--workspace", "/none", "demo"];
    supervisor.ask("start", &words).expect_refusal(125, &["does not exist"]);
}

#[test]
fn a_workspace_that_a_person_cannot_see_is_not_told_of() {
    needs!("root");
    use std::os::unix::fs::PermissionsExt as _;
    // A user whom every host has, with a group of the same number.
    const DAEMON: u32 = 1;
    assert_eq!(cellblock::host::accounts::groups_of(DAEMON).first(), Some(&DAEMON));
    let roles = format!(
        "[supervisor]\ngroup = {DAEMON}\n[[roles]]\nrole = 'operator'\nusers = [{DAEMON}]\n"
    );
    let supervisor = Installation::new(&[], &roles);
    let directory = |name: &str, mode: u32| {
        let path = supervisor.path(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let [hidden, shared] = ["hidden", "shared"].map(|name| directory(name, 0o710));
    std::os::unix::fs::chown(&shared, Some(0), Some(DAEMON)).unwrap();
    for folder in ["hidden", "shared"] {
        directory(&format!("{folder}/real"), 0o777);
        let link = supervisor.path(&format!("{folder}/link"));
        std::os::unix::fs::symlink("/root/secret", link).unwrap();
    }
    let told = |by_root: bool, folder: &Path, name: &str| {
        let place = folder.join(name).display().to_string();
        let words = ["--name", "jt-bounds-sees", "--workspace", &place, "demo"];
        let verb = supervisor.verb("start", &words);
        let ended = if by_root {
            finish(&mut supervisor.verb("explain", &words))
        } else {
            as_user(DAEMON, &verb)
        };
        ended.err.replace(&place, "PLACE")
    };
    let unseen = ["real", "none", "link"].map(|name| told(false, &hidden, name));
    assert!(unseen[0].contains("cannot look at `PLACE`: Permission denied"), "{unseen:?}");
    assert_eq!((&unseen[1], &unseen[2]), (&unseen[0], &unseen[0]));
    assert!(!unseen[0].contains("secret"), "{unseen:?}");
    // What their group lets them see they are told of, and root of both.
    for (by_root, folder) in [(false, &shared), (true, &hidden)] {
        let [real, none, link] = ["real", "none", "link"].map(|name| told(by_root, folder, name));
        assert_eq!(real.contains("is not yours"), !by_root, "{real}");
        assert!(none.contains("does not exist"), "{none}");
        assert!(link.contains("/root/secret"), "{link}");
    }
}

#[test]
fn who_loses_a_role_loses_the_lines_that_it_opened() {
    needs!("root", "cgroup2", "tmux");
    const OTHER: u32 = STRANGER + 1;
    let roles = |names: &str| {
        format!(
            "[supervisor]\ngroup = {STRANGER}\n[[roles]]\nrole = 'operator'\nusers = [{names}]\n"
        )
    };
    let both = roles(&format!("{STRANGER}, {OTHER}"));
    let mut supervisor = Installation::new(&["jt-bounds-role"], &both);
    supervisor.start("jt-bounds-role", COUNTS).expect(0);
    let by = |uid: u32, command: &Command| command_of(uid, STRANGER, command);
    let attach = |supervisor: &Installation, uid: u32| {
        let verb = supervisor.verb("attach", &["--read-only", "jt-bounds-role"]);
        let mut person = Person::start(&by(uid, &verb));
        person.sees("count ");
        person
    };
    let exec = |supervisor: &Installation, uid: u32| {
        let script = "trap '' HUP TERM; echo runs; while :; do sleep 0.1; done";
        let words = ["--running", "jt-bounds-role", "--", "sh", "-c", script];
        let running = start(&mut by(uid, &supervisor.verb("exec", &words)));
        running.says("runs");
        running
    };
    let sent_away = |ended: &Ended, shown: &str| {
        assert_eq!(ended.status, Some(125), "{ended:#?}");
        assert!(shown.contains("you may not look any more"), "{shown}");
    };
    let (mut leaves, command) = (attach(&supervisor, STRANGER), exec(&supervisor, STRANGER));
    let (mut stays, other) = (attach(&supervisor, OTHER), exec(&supervisor, OTHER));
    supervisor.configure(&roles(&OTHER.to_string()));
    supervisor.ask("reload", &[]).expect(0);
    let (ended, shown) = leaves.ends();
    sent_away(&ended, &String::from_utf8_lossy(&shown));
    let ended = command.wait(harness::DEADLINE);
    sent_away(&ended, &ended.err);
    stays.sees("count ");
    let people = |supervisor: &Installation| supervisor.list()[0]["people"].as_u64();
    eventually("two people", || (people(&supervisor) == Some(2)).then_some(()));
    let logs = supervisor.ask("logs", &["jt-bounds-role", "-n", "50"]).expect(0).out.clone();
    assert!(
        logs.contains(&format!("uid {STRANGER} may not look at jt-bounds-role any more")),
        "{logs}"
    );
    // The next supervisor knows who they are, and whether they may.
    supervisor.dies();
    supervisor.begin();
    supervisor.becomes("jt-bounds-role", "running");
    eventually("two people", || (people(&supervisor) == Some(2)).then_some(()));
    supervisor.ask("reload", &[]).expect(0);
    stays.sees("count ");
    assert_eq!(people(&supervisor), Some(2));
    supervisor.configure(&roles("1"));
    supervisor.ask("reload", &[]).expect(0);
    let (ended, shown) = stays.ends();
    sent_away(&ended, &String::from_utf8_lossy(&shown));
    let ended = other.wait(harness::DEADLINE);
    sent_away(&ended, &ended.err);
    assert_eq!(supervisor.state("jt-bounds-role"), "running");
}

#[test]
fn who_reaches_the_socket_is_changed_by_a_reload() {
    needs!("root");
    let supervisor = Installation::new(&[], "");
    let ls = || as_user(STRANGER, &supervisor.verb("ls", &[]));
    ls().expect_refusal(125, &["Permission denied"]);
    supervisor.configure(&role("viewer", ""));
    supervisor.ask("reload", &[]).expect(0);
    ls().expect(0);
    let before = connect_as(STRANGER, &supervisor.path("run/control"));
    send(&before, &call(Request::List), &[]);
    let (answer, _) = wire::receive_sealed::<Value>(&before).unwrap().unwrap();
    assert!(answer["Agents"].is_array(), "{answer}");
    supervisor.configure("");
    supervisor.ask("reload", &[]).expect(0);
    ls().expect_refusal(125, &["Permission denied"]);
    // A connection that was there is ended, with a word.
    assert!(refusal(&before).contains("may not call any more"));
    supervisor.ask("ls", &[]).expect(0);
}

#[test]
fn a_default_profile_names_the_agent_that_a_role_is_about() {
    needs!("root");
    let roles = role("operator", "agents = ['demo']");
    let default = "[defaults]\nprofile = 'demo'\n";
    let supervisor = Installation::new(&[], &format!("{default}{roles}"));
    let start = |words: &[&str]| as_user(STRANGER, &supervisor.verb("start", words));
    start(&["--workspace", "/usr/share", ""]).expect_refusal(125, &["is not yours"]);
    start(&["--name", "jt-bounds-not", ""])
        .expect_refusal(125, &["has no role for `jt-bounds-not`"]);
}

#[test]
fn what_the_configuration_names_is_looked_for_among_installed_profiles_alone() {
    needs!("root");
    let name = fresh();
    let entry = format!("[[agents]]\nname = '{name}'\nprofile = '{name}'\n");
    let supervisor = Installation::new(&[], &entry);
    // It is in the directory of who asks, where `run` finds it.
    let folder = supervisor.path("profiles");
    std::fs::create_dir(&folder).unwrap();
    let text = "schema = 1\nextends = ['demo']\n[limits]\ntasks = 'few'\n";
    std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    let here = supervisor.path("");
    let in_folder = |verb: &mut Command| finish(verb.current_dir(&here));
    let config = supervisor.path("config.toml").display().to_string();
    let unknown = format!("there is no profile `{name}`");
    let mut check = command(program());
    let checked = in_folder(check.args(["check", "--config", &config]));
    assert!(checked.out.contains(&unknown), "{checked:#?}");
    in_folder(&mut supervisor.verb("up", &[])).expect(0);
    supervisor.becomes(name, "ended");
    let how = || supervisor.list()[0]["how"].as_str().unwrap().to_owned();
    assert!(how().contains(&unknown), "{}", how());
    // Found, and refused for what is in it: by `start` as by `run`.
    let found = "limits.tasks";
    for verb in ["start", "explain"] {
        let ended = in_folder(&mut supervisor.verb(verb, &["--name", name, name]));
        let told = format!("{}{}", ended.out, ended.err);
        assert!(told.contains(found) && !told.contains(&unknown), "{verb}: {told}");
    }
    let elsewhere = supervisor.ask("start", &["--name", name, name]);
    elsewhere.expect_refusal(125, &[&unknown]);
}
