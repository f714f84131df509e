//! An agent whose tmux server is a false one, and the person who attaches to it by the supervisor.
//!
//! What tmux's protocol lets a server ask of its clients is what the agent may do anyway, because the client is in the jail, and
//! nothing that the person or the supervisor has open is its. The control is the same attack on a client outside.

use crate::harness::{self, Folder, canary, command, eventually, start};
use crate::host;
use crate::installation::{Installation, project, with_descriptor};
use crate::pty::Person;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const FALSE_TMUX: &str = include_str!("false_tmux.py");
/// The number of a descriptor that the person's shell forgot. Nobody comes to it by opening files.
const FORGOTTEN: u32 = 21;
/// What the client is to become, in the end.
const BECOMES: &str = "exec sleep 3607";
/// The only text that is drawn.
const DRAWN: &str = "drawn past the server";

/// What there is to be had.
struct Bait {
    folder: Folder,
    secret: String,
    forgotten: String,
    environ: String,
}

impl Bait {
    fn new() -> Self {
        let (folder, secret, forgotten, environ) =
            (Folder::on_disk(), canary(), canary(), canary());
        folder.file("secret", &secret, 0o644);
        folder.file("forgotten", &forgotten, 0o644);
        // Whoever is on this host may write there: no right is what keeps the agent from it.
        folder.directory("open", 0o777);
        Self { folder, secret, forgotten, environ }
    }

    /// What the false server wants of its client; `own` is a file that the client may read.
    fn wanted(&self, own: &str) -> String {
        let open = self.folder.text("open");
        let wanted = json!({
            "read": [self.folder.text("secret"), format!("/proc/self/fd/{FORGOTTEN}"), own],
            "write": { format!("{open}/written"): &self.secret, format!("{own}.written"): &self.secret },
            "draw": format!("\x1b]52;c;{}\x07{DRAWN}", self.secret),
            "lock": format!("echo x >{open}/locked; id -u >{own}.locked"),
            "exec": format!("echo x >{open}/became; id -u >{own}.became; {BECOMES}"),
            "patience": harness::patient(std::time::Duration::from_secs(3)).as_secs_f64(),
        });
        wanted.to_string()
    }

    /// Somebody with a secret in their environment and a descriptor too many.
    fn person(&self, command: &std::process::Command) -> Person {
        let mut shell = with_descriptor(FORGOTTEN, &self.folder.path("forgotten"), command);
        Person::start(shell.env("SECRET", &self.environ))
    }

    /// What was planted outside.
    fn planted(&self) -> Vec<&'static str> {
        let open = self.folder.path("open");
        ["written", "locked", "became"]
            .into_iter()
            .filter(|name| open.join(name).exists())
            .collect()
    }
}

fn report(path: &Path) -> Value {
    let text = eventually("the false server's report", || std::fs::read_to_string(path).ok());
    serde_json::from_str(&text).unwrap()
}

/// The file systems of the terminals that the client has handed over to the server `pid`.
fn handed_over(pid: i32, told: &Value) -> Vec<u64> {
    let handed = told["descriptors"].as_object().unwrap();
    assert_eq!(handed.len(), 2, "{told}");
    let open = |number: &Value| std::fs::metadata(format!("/proc/{pid}/fd/{number}")).unwrap();
    handed.values().map(|number| open(number).dev()).collect()
}

/// The file system of the terminals that the process `pid` finds.
fn terminals_of(pid: i32) -> u64 {
    std::fs::metadata(format!("/proc/{pid}/root/dev/pts")).unwrap().dev()
}

/// This process.
fn pid() -> i32 {
    std::process::id().try_into().unwrap()
}

/// Whether OSC 52 with `text` came to a terminal.
fn clipboard(shown: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(shown).contains(&format!("\x1b]52;c;{text}"))
}

#[test]
fn a_client_outside_gives_a_false_server_all_that_it_has() {
    needs!("root", "tmux>=3.2", "python3");
    let bait = Bait::new();
    let own = bait.folder.file("own", "to be read", 0o644);
    let (socket, told) = (bait.folder.text("server"), bait.folder.path("report"));
    let mut server = command("/usr/bin/python3");
    server.args(["-c", FALSE_TMUX, &socket]).arg(&told).arg(bait.wanted(&own));
    let server = start(&mut server);
    server.says("listens");
    let mut tmux = command("/usr/bin/env");
    tmux.args(["--default-signal", "tmux", "-S", &socket, "attach-session", "-t", "=agent"]);
    let mut person = bait.person(&tmux);
    let told = report(&told);
    assert_eq!(told["read"][bait.folder.text("secret")]["text"], bait.secret);
    assert_eq!(told["read"][format!("/proc/self/fd/{FORGOTTEN}")]["text"], bait.forgotten);
    assert!(told["environ"].to_string().contains(&bait.environ), "{told}");
    eventually("what is planted", || (bait.planted().len() == 3).then_some(()));
    let host = terminals_of(pid());
    assert_eq!(handed_over(server.pid().as_raw_nonzero().get(), &told), [host, host]);
    person.sees(DRAWN);
    person.running.as_ref().unwrap().signal(rustix::process::Signal::KILL);
    assert!(clipboard(&person.ends_anyhow().1, &bait.secret));
}

/// An agent whose session is led by a false server.
struct Hostile {
    agent: &'static str,
    supervisor: Installation,
    bait: Bait,
    project: PathBuf,
    uid: u32,
    server: i32,
}

impl Hostile {
    fn new(agent: &'static str) -> Self {
        let (bait, supervisor) = (Bait::new(), Installation::new(&[agent], ""));
        let project = project(&bait.folder, "project");
        bait.folder.file("project/own", "to be read", 0o644);
        bait.folder.file("project/false_tmux.py", FALSE_TMUX, 0o644);
        bait.folder.file("project/wanted", &bait.wanted("/workspace/own"), 0o644);
        // Once the session was seen to be the agent's, its socket becomes another one's.
        let script = "echo ready; while [ ! -e /workspace/go ]; do sleep 0.05; done
            cd /run/cellblock/tmux && mv server true && exec python3 /workspace/false_tmux.py \
            server /workspace/report \"$(cat /workspace/wanted)\"";
        let words = ["--workspace", &project, "--name", agent, "demo", "--", "bash", "-c", script];
        supervisor.ask("start", &words).expect(0);
        let ready = || supervisor.ask("screen", &[agent]).expect(0).out.contains("ready");
        eventually("the agent", || ready().then_some(()));
        bait.folder.file("project/go", "", 0o644);
        let uid = host::uid_of(agent).unwrap();
        let server = eventually("the false server", || named(uid, "python3"));
        let socket = format!("/proc/{server}/root/run/cellblock/tmux/server");
        eventually("its socket", || std::fs::metadata(&socket).ok());
        Self { agent, supervisor, bait, project: project.into(), uid, server }
    }

    fn comes(&self) -> Person {
        self.bait.person(&self.supervisor.verb("attach", &[self.agent]))
    }
}

/// The process of `uid` with this name.
fn named(uid: u32, wanted: &str) -> Option<i32> {
    let all = host::processes(uid);
    all.into_iter().find(|(_, name)| name == wanted).map(|(pid, _)| pid)
}

/// The variables that a jail sets.
const OWN: &[&str] = &[
    "HOME", "LANG", "LOGNAME", "PATH", "PS1", "PWD", "SHELL", "SHLVL", "TERM", "TMPDIR", "TZ",
    "USER",
];

#[test]
fn a_false_server_gets_nothing_of_who_attaches_by_the_supervisor() {
    needs!("root", "cgroup2", "tmux>=3.2", "python3");
    let hostile = Hostile::new("jt-hostile");
    let Hostile { bait, project, server, uid, .. } = &hostile;
    let mut person = hostile.comes();
    let told = report(&project.join("report"));
    // What the agent itself may do, its client does; nothing else.
    let missing = rustix::io::Errno::NOENT.raw_os_error();
    assert_eq!(told["read"]["/workspace/own"]["text"], "to be read", "{told}");
    assert_eq!(told["write"]["/workspace/own.written"], 0, "{told}");
    for path in [bait.folder.text("secret"), format!("/proc/self/fd/{FORGOTTEN}")] {
        assert_eq!(told["read"][&path], json!({ "text": "", "errno": missing }), "{path}");
    }
    assert_eq!(told["write"][bait.folder.text("open/written")], missing, "{told}");
    let became = eventually("what the client became", || named(*uid, "sleep"));
    for file in ["own.locked", "own.became"] {
        let who = std::fs::read_to_string(project.join(file)).unwrap();
        assert_eq!(who.trim(), uid.to_string(), "{file}");
    }
    assert_eq!(bait.planted(), [""; 0]);
    expect_jailed(became, *server);
    for variable in told["environ"].as_array().unwrap() {
        let name = variable.as_str().unwrap().split('=').next().unwrap();
        assert!(OWN.contains(&name), "{variable}");
    }
    // Two ends of a terminal of the jail's own, and what is drawn there is filtered on its way out.
    let terminals = terminals_of(*server);
    assert_eq!(handed_over(*server, &told), [terminals, terminals]);
    assert_ne!(terminals, terminals_of(pid()));
    person.sees(DRAWN);
    person.types("\x1dd");
    let (ended, shown) = person.ends();
    ended.expect(0);
    assert!(!clipboard(&shown, &bait.secret));
}

#[test]
fn a_false_server_that_says_nothing_keeps_nobody_who_attaches() {
    needs!("root", "cgroup2", "tmux>=3.2", "python3");
    let agent = "jt-silent";
    let hostile = Hostile::new(agent);
    let supervisor = &hostile.supervisor;
    let mut first = hostile.comes();
    report(&hostile.project.join("report"));
    let mut second = hostile.comes();
    eventually("a silent session", || second.is_raw().then_some(()));
    supervisor.ask("exec", &["--running", agent, "--", "true"]).expect(0);
    assert_eq!(supervisor.state(agent), "running");
    for person in [&mut first, &mut second] {
        person.types("\x1dd");
        person.ends().0.expect(0);
    }
    supervisor.ask("stop", &["--now", agent]).expect(0);
    supervisor.becomes(agent, "ended");
}

/// Fails where `pid` has more than `other`, a process of the same agent: the same user, cgroup, namespaces, and no right.
#[track_caller]
fn expect_jailed(pid: i32, other: i32) {
    for field in ["Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp"] {
        assert_eq!(host::status(pid, field), host::status(other, field), "{field}");
    }
    assert_eq!(host::status(pid, "CapEff").as_deref(), Some("0000000000000000"));
    let cgroup = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(cgroup(pid), cgroup(other));
    for namespace in ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"] {
        let of = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/{namespace}")).unwrap();
        assert_eq!(of(pid), of(other), "{namespace}");
        assert_ne!(of(pid), of(self::pid()), "{namespace}");
    }
}
