//! What the processes of a supervised agent have open, read outside in `/proc/PID/fd`: what they are for, and nothing of who
//! started the supervisor, of who attached, or of the supervisor itself.

use crate::harness::{self, Folder, Running, canary, eventually, start};
use crate::host;
use crate::installation::{Installation, with_descriptor};
use crate::pty::Person;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const AGENT: &str = "jt-lent";
/// The number of a descriptor that somebody forgot to close.
const FORGOTTEN: u32 = 21;

/// A descriptor: what its link says, and which file of the kernel it is (file system and number there).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    link: String,
    file: (u64, u64),
}

/// What a process has open, by number.
type All = BTreeMap<u32, Open>;

fn open(pid: i32) -> All {
    let one = |path: PathBuf| {
        let link = std::fs::read_link(&path).ok()?.display().to_string();
        let meta = std::fs::metadata(&path).ok()?;
        let number = path.file_name()?.to_str()?.parse().ok()?;
        Some((number, Open { link, file: (meta.dev(), meta.ino()) }))
    };
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    entries.filter_map(|entry| one(entry.path())).collect()
}

/// What the descriptors are, in order: the ends of links, without the numbers of sockets and pipes.
fn kinds(all: &All) -> Vec<String> {
    let kind = |open: &Open| {
        let link = &open.link;
        let end = link.rsplit('/').next().unwrap_or_default();
        let is_terminal = link.starts_with("/dev/pts/") && end != "ptmx";
        let kept = if is_terminal { "terminal" } else { end };
        let counted = kept.starts_with("socket:[") || kept.starts_with("pipe:[");
        kept.split(':').next().filter(|_| counted).unwrap_or(kept).to_owned()
    };
    let mut kinds: Vec<_> = all.values().map(kind).collect();
    kinds.sort();
    kinds
}

/// Waits until what `pid` has open is of these kinds, and no other.
#[track_caller]
fn expect_kinds(who: &str, pid: i32, expected: &[&str]) {
    let told = || (kinds(&open(pid)) == expected).then_some(());
    eventually(&format!("{who} with {expected:?}, not {:#?}", open(pid)), told);
}

/// What both of two have open. Every process may open /dev/null, and what is anonymous is one file for all.
fn common(one: &All, other: &All) -> Vec<String> {
    let own = |all: &All| -> BTreeSet<_> {
        let told = |open: &&Open| open.link != "/dev/null" && !open.link.starts_with("anon_inode:");
        all.values().filter(told).map(|open| (open.link.clone(), open.file)).collect()
    };
    own(one).intersection(&own(other)).map(|(link, _)| link.clone()).collect()
}

/// An agent with a person attached and a further command, all of whom have a descriptor too many.
struct Lenders {
    supervisor: Installation,
    forgotten: PathBuf,
    _folder: Folder,
}

impl Lenders {
    fn new() -> Self {
        let folder = Folder::on_disk();
        let forgotten = PathBuf::from(folder.file("forgotten", &canary(), 0o644));
        let mut supervisor = Installation::new(&[AGENT], "");
        supervisor.dies();
        let mut supervise =
            with_descriptor(FORGOTTEN, &forgotten, &supervisor.verb("supervise", &[]));
        supervisor.begin_by(&mut supervise);
        Self { supervisor, forgotten, _folder: folder }
    }

    fn by(&self, verb: &str, words: &[&str]) -> Command {
        with_descriptor(FORGOTTEN, &self.forgotten, &self.supervisor.verb(verb, words))
    }

    /// Whether somebody has what was forgotten.
    fn has(&self, all: &All) -> bool {
        all.values().any(|open| Path::new(&open.link) == self.forgotten)
    }
}

fn pid(running: &Running) -> i32 {
    running.pid().as_raw_nonzero().get()
}

/// The process of the agent called `name`, whose first descriptor is `first`.
fn process(uid: u32, name: &str, first: &str) -> i32 {
    eventually(name, || {
        let named = host::processes(uid).into_iter().filter(|(_, known)| known == name);
        let mut first = named
            .filter(|(pid, _)| open(*pid).get(&0).is_some_and(|open| open.link.starts_with(first)));
        first.next().map(|(pid, _)| pid)
    })
}

#[test]
fn nobody_who_starts_or_attaches_lends_an_agent_a_descriptor() {
    needs!("root", "cgroup2", "tmux");
    let lenders = Lenders::new();
    let words = ["--name", AGENT, "demo", "--", "sleep", "1000"];
    start(&mut lenders.by("start", &words)).wait(harness::DEADLINE).expect(0);
    let mut person = Person::start(&lenders.by("attach", &[AGENT]));
    // What tmux draws last: its client has all that it will have.
    person.sees(&format!("[{AGENT}]"));
    let mut job = lenders.by("exec", &["--running", AGENT, "--", "sleep", "1001"]);
    let job = start(job.stdin(Stdio::piped()));

    let uid = host::uid_of(AGENT).unwrap();
    let further = process(uid, "sleep", "pipe:");
    let client = process(uid, "tmux: client", "/dev/pts/");
    let init = host::init_of(uid).unwrap();
    let shim: i32 = host::status(init, "PPid").unwrap().parse().unwrap();
    let outside = [
        ("the supervisor", open(lenders.supervisor.pid())),
        ("the person", open(pid(person.running.as_ref().unwrap()))),
        ("who runs a further command", open(pid(&job))),
    ];
    // The controls: what was forgotten is seen where it is, and what is given is.
    for (who, all) in &outside {
        assert!(lenders.has(all), "{who} {all:#?}");
    }
    assert_eq!(common(&open(further), &outside[2].1).len(), 3);

    let terminals =
        |pid: i32| std::fs::metadata(format!("/proc/{pid}/root/dev/pts")).unwrap().dev();
    assert_ne!(terminals(init), terminals(shim));
    let agents = host::processes(uid).into_iter().filter(|(pid, _)| *pid != further);
    for (pid, name) in agents.chain([(shim, "the shim".to_owned())]) {
        let all = open(pid);
        assert!(!lenders.has(&all), "{name} {all:#?}");
        for (who, theirs) in &outside {
            assert_eq!(common(&all, theirs), [""; 0], "{name} and {who}");
        }
        for open in all.values().filter(|open| open.link.starts_with("/dev/pts/")) {
            assert_eq!(open.file.0, terminals(init), "{name} {open:?}");
        }
    }
    assert!(!lenders.has(&open(further)));

    // Its terminal, the socket to the agent's server, and a pipe of its own by which libevent hears of signals.
    expect_kinds(
        "the client",
        client,
        &["pipe", "pipe", "socket", "terminal", "terminal", "terminal"],
    );
    // Nothing three times, whose end it waits for, the ends of children, what tmux said, the socket to the shim.
    let nothing = ["null", "null", "null"];
    let own = ["anon_inode:[pidfd]", "anon_inode:[signalfd]"];
    expect_kinds("init", init, &[&own[..], &nothing, &["pipe", "socket"]].concat());
    // Init, the switches of its cgroup, its record and what it has seen; a master for the person; sockets to init, to the
    // supervisor and for the next one, the agent's own, and two for the person and for the further command.
    let own = ["anon_inode:[pidfd]", "cgroup.freeze", "cgroup.kill", "jt-lent.run", "jt-lent.seen"];
    expect_kinds("the shim", shim, &[&own[..], &nothing, &["ptmx"], &["socket"; 8]].concat());

    person.types("\x1dd");
    person.ends().0.expect(0);
    lenders.supervisor.ask("stop", &["--now", AGENT]).expect(0);
    job.wait(harness::DEADLINE);
}
