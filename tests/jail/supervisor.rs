//! The supervisor: agents that outlive it, callers with roles, and what becomes of bad ones.

use crate::harness::{
    self, Ended, Running, command, eventually, finish, finish_with, program, start,
};
use crate::host;
use crate::installation::{COUNTS, Installation, STRANGER, as_user, connect, count};
use crate::pty::Person;
use cellblock::control::protocol::{Call, Request, VERSION};
use cellblock::wire;
use rustix::net::SendFlags;
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

#[test]
fn an_agent_is_started_shown_and_stopped() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-sv-life"], "[supervisor]\npatience = '5s'");
    assert!(supervisor.start("jt-sv-life", COUNTS).expect(0).out.contains("runs"));
    let screen = || count(&supervisor.ask("screen", &["jt-sv-life"]).expect(0).out);
    eventually("a count", screen);
    assert_eq!(supervisor.state("jt-sv-life"), "running");
    supervisor.start("jt-sv-life", "true").expect_refusal(125, &["is running already"]);
    let told =
        supervisor.ask("exec", &["--running", "jt-sv-life", "--", "sh", "-c", "id -un; exit 7"]);
    assert_eq!(told.expect(7).out, "jt-sv-life\n");
    supervisor.ask("exec", &["--running", "jt-sv-life", "--", "/nowhere"]).expect(127);
    let piped = &mut supervisor.verb("exec", &["--running", "jt-sv-life", "--", "cat"]);
    assert_eq!(finish_with(piped, b"through".to_vec()).expect(0).out, "through");
    supervisor.ask("freeze", &["jt-sv-life"]).expect(0);
    assert_eq!(supervisor.state("jt-sv-life"), "frozen");
    supervisor.ask("thaw", &["jt-sv-life"]).expect(0);
    let status = supervisor.ask("status", &["jt-sv-life", "--json"]);
    let status: Value = serde_json::from_str(&status.expect(0).out).unwrap();
    let uid = host::uid_of("jt-sv-life").unwrap();
    assert_eq!(status["shown"]["uid"], uid);
    supervisor.ask("restart", &["jt-sv-life"]).expect(0);
    assert_eq!(supervisor.state("jt-sv-life"), "running");
    supervisor.ask("rm", &["jt-sv-life"]).expect_refusal(125, &["runs"]);
    let stopped = supervisor.ask("stop", &["jt-sv-life"]);
    assert!(stopped.expect(0).out.contains("ended"), "{stopped:#?}");
    assert_eq!(supervisor.state("jt-sv-life"), "ended");
    let logs = supervisor.ask("logs", &["jt-sv-life", "-n", "100"]).expect(0).out.clone();
    for told in ["was started", "restarts", "stops", "ended"] {
        assert!(logs.contains(told), "no `{told}` in {logs}");
    }
    supervisor.ask("rm", &["jt-sv-life"]).expect(0);
    assert_eq!(supervisor.state("jt-sv-life"), "");
    supervisor.ask("status", &["jt-sv-life"]).expect_refusal(125, &["there is no agent"]);
}

#[test]
fn what_is_done_can_be_read_by_programs() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-sv-json"], "");
    let json = |ended: &Ended| serde_json::from_str::<Value>(&ended.out).unwrap();
    let words = ["--json", "--name", "jt-sv-json", "demo", "--", "sleep", "1000"];
    let started = json(supervisor.ask("start", &words).expect(0));
    assert_eq!(started["agent"], "jt-sv-json");
    assert_eq!(started["done"], true);
    let refused = json(supervisor.ask("start", &words).expect(125));
    assert_eq!(refused["done"], false, "{refused:#}");
    assert!(refused["cause"].as_str().unwrap().contains("jt-sv-json"), "{refused:#}");
    let several = supervisor.ask("stop", &["--json", "--now", "jt-sv-json", "jt-sv-nobody"]);
    let several = json(several.expect(125));
    assert_eq!(several[0]["told"][0], "jt-sv-json was ended");
    assert_eq!(several[1]["done"], false);
    assert!(several[1]["cause"].as_str().unwrap().contains("jt-sv-nobody"), "{several:#}");
    let all = json(supervisor.ask("up", &["--json"]).expect(0));
    assert_eq!(all["done"], true);
}

#[test]
fn the_shim_has_no_rights() {
    needs!("root", "cgroup2", "tmux", "landlock>=1");
    let supervisor = Installation::new(&["jt-sv-rights"], "");
    supervisor.start("jt-sv-rights", "sleep 1000").expect(0);
    let parents = || {
        let init = host::init_of(host::uid_of("jt-sv-rights").unwrap()).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{init}/status")).unwrap();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().to_owned()
        };
        let shim = field(&status, "PPid:");
        let text = std::fs::read_to_string(format!("/proc/{shim}/status")).unwrap();
        ["Uid:", "CapEff:", "CapPrm:", "CapBnd:", "NoNewPrivs:", "Seccomp:"]
            .map(|name| field(&text, name))
    };
    let [uid, effective, permitted, bounding, promise, filter] = parents();
    assert!(uid != "0" && uid != host::uid_of("jt-sv-rights").unwrap().to_string(), "{uid}");
    for set in [effective, permitted, bounding] {
        assert_eq!(set, "0000000000000000");
    }
    assert_eq!((promise.as_str(), filter.as_str()), ("1", "2"));
}

#[test]
fn agents_outlive_their_supervisor_and_the_next_one_knows_them() {
    needs!("root", "cgroup2", "tmux");
    let agents = ["jt-sv-on", "jt-sv-off"];
    let mut supervisor = Installation::new(&agents, "");
    supervisor.start("jt-sv-on", COUNTS).expect(0);
    supervisor.start("jt-sv-off", "sleep 0.5; exit 4").expect(0);
    let mut person = Person::start(&supervisor.verb("attach", &["jt-sv-on"]));
    person.sees("count ");
    let init = || host::init_of(host::uid_of("jt-sv-on").unwrap());
    let before = init();
    supervisor.dies();
    supervisor.ask("ls", &[]).expect_refusal(125, &["no supervisor runs"]);
    // The terminal of who is attached goes on, and so does the agent; the other one ends meanwhile.
    let shown = |person: &mut Person, what: &str| {
        person.sees(what);
    };
    shown(&mut person, "count ");
    let uid = host::uid_of("jt-sv-off").unwrap();
    eventually("the end of the other", || host::processes(uid).is_empty().then_some(()));
    supervisor.begin();
    assert_eq!(supervisor.state("jt-sv-on"), "running");
    supervisor.becomes("jt-sv-off", "ended");
    let off = supervisor.list().into_iter().find(|agent| agent["name"] == "jt-sv-off").unwrap();
    assert_eq!(off["how"], "jt-sv-off ended with exit status 4");
    assert_eq!(init(), before);
    shown(&mut person, "count ");
    person.types("\x1dd");
    person.ends().0.expect(0);
    let screen = supervisor.ask("screen", &["jt-sv-on"]);
    assert!(count(&screen.expect(0).out).is_some(), "{screen:#?}");
    supervisor.ask("stop", &["jt-sv-on"]).expect(0);
}

#[test]
fn several_people_attach_each_in_their_size() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-sv-people"], "");
    let shell = "PS1='$ ' exec bash --norc --noprofile";
    supervisor.start("jt-sv-people", shell).expect(0);
    let mut one = Person::start(&supervisor.verb("attach", &["jt-sv-people"]));
    one.sees("$ ");
    let mut reader = Person::start(&supervisor.verb("attach", &["--read-only", "jt-sv-people"]));
    reader.sees("$ ");
    one.types("echo from$((40 + 2))one\r");
    one.sees("from42one");
    reader.sees("from42one");
    reader.types("echo never$((1 + 1))\r");
    one.types("echo after$((2 + 2))\r");
    one.sees("after4");
    let screen = supervisor.ask("screen", &["jt-sv-people"]).expect(0).out.clone();
    assert!(screen.contains("after4") && !screen.contains("never"), "{screen}");
    let people = |count: u64| {
        let people = || supervisor.list()[0]["people"].as_u64() == Some(count);
        eventually(&format!("{count} people"), || people().then_some(()));
    };
    people(2);
    reader.types("\x1dd");
    reader.ends().0.expect(0);
    people(1);
    one.types("exit 3\r");
    one.ends().0.expect(3);
    supervisor.becomes("jt-sv-people", "ended");
}

#[test]
fn a_role_allows_what_it_is_for_and_nothing_else() {
    needs!("root", "cgroup2", "tmux");
    let roles = format!(
        "[supervisor]\ngroup = {STRANGER}\n[[roles]]\nrole = 'viewer'\nusers = [{STRANGER}]\nagents = ['jt-sv-seen']\n"
    );
    let supervisor = Installation::new(&["jt-sv-seen", "jt-sv-unseen"], &roles);
    supervisor.start("jt-sv-seen", "echo shown; sleep 1000").expect(0);
    supervisor.start("jt-sv-unseen", "sleep 1000").expect(0);
    let ask = |verb: &str, words: &[&str]| as_user(STRANGER, &supervisor.verb(verb, words));
    let listed = ask("ls", &[]);
    assert!(listed.expect(0).out.contains("jt-sv-seen"));
    assert!(!listed.out.contains("jt-sv-unseen"), "{listed:#?}");
    eventually("the screen", || ask("screen", &["jt-sv-seen"]).out.contains("shown").then_some(()));
    for (verb, words) in [
        ("stop", &["jt-sv-seen"][..]),
        ("freeze", &["jt-sv-seen"]),
        ("restart", &["jt-sv-seen"]),
        ("rm", &["jt-sv-seen"]),
        ("exec", &["--running", "jt-sv-seen", "--", "id"]),
        ("start", &["--name", "jt-sv-seen", "demo"]),
        ("screen", &["jt-sv-unseen"]),
        ("up", &[]),
        ("reload", &[]),
    ] {
        let refused = ask(verb, words);
        assert!(refused.err.contains(&format!("uid {STRANGER} ")), "{verb}: {refused:#?}");
        assert_eq!(refused.status, Some(125), "{verb}");
    }
    // The kernel keeps out who is not even in the group.
    as_user(STRANGER + 1, &supervisor.verb("ls", &[])).expect_refusal(125, &["Permission denied"]);
    let logs = supervisor.ask("logs", &["jt-sv-seen", "-n", "50"]).expect(0).out.clone();
    assert!(logs.contains("needs an operator"), "{logs}");
    assert_eq!(supervisor.state("jt-sv-seen"), "running");
}

#[test]
fn an_operator_starts_what_root_has_made_and_in_their_own_place() {
    needs!("root", "cgroup2", "tmux");
    let roles = format!(
        "[supervisor]\ngroup = {STRANGER}\n[[roles]]\nrole = 'operator'\nusers = [{STRANGER}]\n"
    );
    let supervisor = Installation::new(&["jt-sv-op"], &roles);
    let ask = |verb: &str, words: &[&str]| as_user(STRANGER, &supervisor.verb(verb, words));
    let own = supervisor.path("own.toml");
    std::fs::write(&own, "schema = 1\nextends = ['demo']\n").unwrap();
    let own = own.display().to_string();
    for (words, told) in [
        (&["--name", "jt-sv-op", &own][..], "for root alone"),
        (&["--name", "jt-sv-op", "--without", "landlock", "demo"], "only root takes walls away"),
        (&["--name", "jt-sv-op", "--workspace", "/root", "demo"], "hint"),
        (&["--name", "jt-sv-op", "--workspace", "/usr/share", "demo"], "is not yours"),
    ] {
        let refused = ask("start", words);
        assert!(refused.err.contains(told), "{words:?}: {refused:#?}");
        assert_eq!(refused.status, Some(125));
    }
    let project = supervisor.path("project");
    std::fs::create_dir(&project).unwrap();
    std::os::unix::fs::chown(&project, Some(STRANGER), Some(STRANGER)).unwrap();
    let project_text = project.display().to_string();
    let script = "touch /workspace/made; exec sleep 1000";
    let words =
        ["--name", "jt-sv-op", "--workspace", &project_text, "demo", "--", "sh", "-c", script];
    ask("start", &words).expect(0);
    let made = project.join("made");
    eventually("the file", || made.exists().then_some(()));
    let owner = std::os::unix::fs::MetadataExt::uid(&made.metadata().unwrap());
    assert_eq!(owner, STRANGER);
    ask("stop", &["--now", "jt-sv-op"]).expect(0);
}

#[test]
fn a_name_is_free_as_soon_as_its_start_was_refused() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-sv-refused"], "");
    for _ in 0..20 {
        let words = ["--name", "jt-sv-refused", "demo", "--", "no-such-program"];
        let refused = supervisor.ask("start", &words);
        assert!(refused.expect(127).err.contains("no-such-program"), "{refused:#?}");
    }
    supervisor.start("jt-sv-refused", "sleep 1000").expect(0);
}

#[test]
fn an_agent_that_ends_is_started_again_as_its_policy_says() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-sv-again"], "");
    let words =
        ["--restart", "always", "--name", "jt-sv-again", "demo", "--", "sh", "-c", "exit 2"];
    supervisor.ask("start", &words).expect(0);
    let restarts = || supervisor.list()[0]["restarts"].as_u64().filter(|count| *count >= 2);
    eventually("two restarts", restarts);
    // It rests longer and longer, and is not started any more once somebody stops it.
    supervisor.ask("stop", &["jt-sv-again"]).expect(0);
    supervisor.becomes("jt-sv-again", "ended");
    let known = supervisor.list()[0]["restarts"].clone();
    std::thread::sleep(harness::patient(Duration::from_millis(2500)));
    assert_eq!(
        (supervisor.state("jt-sv-again").as_str(), &supervisor.list()[0]["restarts"]),
        ("ended", &known)
    );
}

#[test]
fn a_killed_shim_takes_its_jail_with_it() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-sv-shim"], "");
    for whom in ["shim", "init"] {
        supervisor.start("jt-sv-shim", "trap '' HUP TERM; while :; do sleep 0.1; done").expect(0);
        let uid = host::uid_of("jt-sv-shim").unwrap();
        let init = host::init_of(uid).unwrap();
        let text = std::fs::read_to_string(format!("/proc/{init}/status")).unwrap();
        let parent = text.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        let victim = if whom == "init" { init } else { parent.trim().parse().unwrap() };
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(victim).unwrap(),
            Signal::KILL,
        )
        .unwrap();
        supervisor.becomes("jt-sv-shim", "ended");
        assert!(host::processes(uid).is_empty(), "{whom}");
        let how = supervisor.list()[0]["how"].as_str().unwrap().to_owned();
        let told = if whom == "init" { "was ended" } else { "kept it was killed" };
        assert!(how.contains(told), "{whom}: {how}");
    }
}

#[test]
fn what_is_no_call_is_answered_and_holds_nobody_up() {
    needs!("root", "cgroup2", "tmux");
    let supervisor = Installation::new(&["jt-sv-calls"], "");
    let control = supervisor.path("run/control");
    let say = |bytes: &[u8]| {
        let socket = connect(&control);
        rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL).unwrap();
        let answer = wire::receive_sealed::<Value>(&socket).unwrap();
        answer.map(|(answer, _)| answer["Failed"]["cause"].as_str().unwrap().to_owned())
    };
    let call = Call { version: VERSION, request: Request::List };
    let whole = serde_json::to_vec(&call).unwrap();
    let half = say(&whole[..whole.len() / 2]).unwrap();
    assert!(half.contains("not understood"), "{half}");
    let huge = say(&vec![b'x'; wire::LONGEST + 1]).unwrap();
    assert!(huge.contains("not understood"), "{huge}");
    let newer = say(b"{\"version\":99,\"request\":{\"Sing\":{}}}").unwrap();
    assert!(newer.contains("speaks version 1") && newer.contains("99"), "{newer}");
    let unknown = say(b"{\"version\":1,\"request\":{\"Sing\":{}}}").unwrap();
    assert!(unknown.contains("Sing"), "{unknown}");
    // Hundreds who say nothing, and one who asks again and again and reads no answer.
    let silent: Vec<_> = (0..500).map(|_| connect(&control)).collect();
    let deaf = connect(&control);
    for _ in 0..300 {
        if wire::say_now(&deaf, &call).is_err() {
            break;
        }
    }
    supervisor.start("jt-sv-calls", "sleep 1000").expect(0);
    assert_eq!(supervisor.state("jt-sv-calls"), "running");
    drop((silent, deaf));
}

#[test]
fn there_is_one_supervisor_and_it_leaves_a_newer_ones_files_alone() {
    needs!("root", "cgroup2");
    let mut supervisor = Installation::new(&[], "");
    let mut second = supervisor.verb("supervise", &[]);
    finish(&mut second).expect_refusal(125, &["a supervisor runs already"]);
    supervisor.dies();
    let newer = supervisor.path("state/new.json");
    std::fs::write(&newer, "{\"schema\":2,\"name\":\"new\"}").unwrap();
    finish(&mut second).expect_refusal(125, &["newer cellblock"]);
    assert!(newer.exists());
    std::fs::remove_file(&newer).unwrap();
    // One that is torn keeps nobody from the others.
    std::fs::write(supervisor.path("state/torn.json"), "{\"schema\":1,").unwrap();
    supervisor.begin();
    let told = supervisor.ask("start", &["--name", "torn", "demo", "--", "true"]);
    told.expect_refusal(125, &["cannot be read"]);
    assert!(supervisor.log().contains("cannot be read"), "{}", supervisor.log());
}

#[test]
fn killed_at_any_moment_it_loses_and_doubles_nothing() {
    needs!("root", "cgroup2", "tmux");
    const AGENTS: [&str; 3] = ["jt-sv-a", "jt-sv-b", "jt-sv-c"];
    let mut supervisor = Installation::new(&AGENTS, "");
    supervisor.start(AGENTS[0], COUNTS).expect(0);
    let steady = host::init_of(host::uid_of(AGENTS[0]).unwrap());
    let rounds = if harness::is_slow() { 4 } else { 20 };
    for round in 0..rounds {
        // In the middle of a start and a stop of the others.
        let mut calls: Vec<Running> = AGENTS[1..]
            .iter()
            .map(|name| {
                let words = ["--name", name, "demo", "--", "sleep", "1000"];
                let verb = supervisor.verb("start", &words);
                let stop = supervisor.verb("stop", &["--now", name]);
                start(&mut if (round / 2) % 2 == 0 { verb } else { stop })
            })
            .collect();
        std::thread::sleep(harness::patient(Duration::from_millis(round * 4)));
        supervisor.dies();
        for call in calls.drain(..) {
            call.wait(harness::DEADLINE);
        }
        supervisor.begin();
        for name in AGENTS {
            let settled = || {
                let state = supervisor.state(name);
                (["running", "ended", ""].contains(&state.as_str())).then_some(state)
            };
            let state = eventually(name, settled);
            let uid = host::uid_of(name);
            let inits = uid.map_or(0, |uid| {
                let all = host::processes(uid);
                all.iter().filter(|(_, name)| name.starts_with("cellblock")).count()
            });
            assert_eq!(inits, usize::from(state == "running"), "{name} is {state}, round {round}");
        }
        let now = host::init_of(host::uid_of(AGENTS[0]).unwrap());
        assert_eq!(now, steady, "round {round}");
    }
    AGENTS.iter().for_each(|name| drop(supervisor.ask("stop", &["--now", name])));
}

#[test]
fn a_session_is_recorded_out_of_the_agents_reach() {
    needs!("root", "cgroup2", "tmux");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let log = folder.path().join("log").display().to_string();
    let profile = folder.path().join("recorded.toml");
    std::fs::write(&profile, "schema = 1\nextends = ['demo']\n[terminal]\nrecord = true\n")
        .unwrap();
    let profile = profile.display().to_string();
    let supervisor = Installation::with_paths(&["jt-sv-record"], &format!("log = '{log}'"), "");
    let script = "echo to be kept$((1 + 1)); tmux detach-client -a; sleep 0.5; echo later$((2 + 2)); sleep 0.5";
    let words = ["--name", "jt-sv-record", &profile, "--", "bash", "-c", script];
    supervisor.ask("start", &words).expect(0);
    supervisor.becomes("jt-sv-record", "ended");
    let config = supervisor.path("config.toml").display().to_string();
    let play = |words: &[&str]| {
        let mut play = command(program());
        play.args(["play", "--config", &config]).args(words);
        finish(&mut play)
    };
    let text = play(&["--text", "jt-sv-record"]).expect(0).out.clone();
    assert!(text.contains("to be kept2") && text.contains("later4"), "{text}");
    let listed = play(&["--list", "--json", "jt-sv-record"]).expect(0).out.clone();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    // It is the shim's, and neither the agent's nor anybody's else.
    let at = Path::new(&log).join("recordings/jt-sv-record");
    let owner = std::os::unix::fs::MetadataExt::uid(&at.metadata().unwrap());
    assert!(owner != 0 && Some(owner) != host::uid_of("jt-sv-record"), "{owner}");
    let journal = std::fs::read_to_string(Path::new(&log).join("jt-sv-record.jsonl")).unwrap();
    assert!(journal.contains("was started"), "{journal}");
}

#[test]
fn a_full_disk_keeps_an_agent_from_starting_and_ends_none() {
    needs!("root", "cgroup2", "tmux");
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = disk.path().display().to_string();
    let run = |words: &[&str]| finish(command("/usr/bin/env").args(words));
    run(&["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", &at]).expect(0);
    {
        let state = format!("state = '{at}/state'");
        let supervisor = Installation::with_paths(&["jt-sv-full", "jt-sv-late"], &state, "");
        supervisor.start("jt-sv-full", COUNTS).expect(0);
        let filler = disk.path().join("filler");
        // Nothing is left, not even for one page.
        run(&["dd", "if=/dev/zero", &format!("of={}", filler.display()), "bs=4k"]).expect(1);
        supervisor
            .start("jt-sv-late", "true")
            .expect_refusal(125, &["cannot write", "No space left"]);
        assert_eq!(supervisor.state("jt-sv-late"), "");
        assert_eq!(supervisor.state("jt-sv-full"), "running");
        std::fs::remove_file(&filler).unwrap();
        supervisor.start("jt-sv-late", "sleep 1000").expect(0);
        supervisor.ask("stop", &["--now", "jt-sv-full", "jt-sv-late"]).expect(0);
    }
    run(&["umount", &at]).expect(0);
}

#[test]
fn a_restart_is_finished_by_the_next_supervisor() {
    needs!("root", "cgroup2", "tmux");
    let mut supervisor = Installation::new(&["jt-sv-re"], "[supervisor]\npatience = '4s'");
    supervisor.start("jt-sv-re", "trap '' TERM HUP; while :; do sleep 0.1; done").expect(0);
    let init = || host::init_of(host::uid_of("jt-sv-re")?);
    let before = init();
    let call = start(&mut supervisor.verb("restart", &["jt-sv-re"]));
    supervisor.becomes("jt-sv-re", "stopping");
    supervisor.dies();
    assert_eq!(call.wait(harness::DEADLINE).status, Some(125));
    supervisor.begin();
    let again = || init().filter(|now| Some(*now) != before);
    eventually("another one", again);
    supervisor.becomes("jt-sv-re", "running");
}

#[test]
fn the_longest_file_of_a_shim_is_what_it_sees_or_a_part_of_its_recording() {
    needs!("root", "cgroup2", "tmux");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let record = |size: &str| {
        let path = folder.path().join(format!("of-{}.toml", size.to_lowercase()));
        let terminal = format!("[terminal]\nrecord = true\nrecord_size = '{size}'\n");
        std::fs::write(&path, format!("schema = 1\nextends = ['demo']\n{terminal}")).unwrap();
        path.display().to_string()
    };
    let installation = Installation::new(&["jt-sv-longest"], "");
    let seen = cellblock::wire::LONGEST as u64 * 6 + (1 << 20) + 4096;
    for (profile, longest) in
        [("demo".to_owned(), seen), (record("64M"), 8 << 20), (record("1M"), seen)]
    {
        let words = ["--name", "jt-sv-longest", &profile, "--", "sleep", "1000"];
        installation.ask("start", &words).expect(0);
        let uid = host::uid_of("jt-sv-longest.shim").unwrap();
        let shim = host::processes(uid)[0].0;
        let limits = std::fs::read_to_string(format!("/proc/{shim}/limits")).unwrap();
        let limit = limits.lines().find(|line| line.starts_with("Max file size")).unwrap();
        let figures: Vec<&str> = limit.split_whitespace().skip(3).take(2).collect();
        assert_eq!(figures, [longest.to_string(), longest.to_string()], "{profile}: {limit}");
        installation.ask("stop", &["--now", "jt-sv-longest"]).expect(0);
    }
}
