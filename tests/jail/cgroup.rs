//! No way out of an agent's cgroup from inside, whether the mount has `nsdelegate` or not.

use crate::burning::Watched;
use crate::harness::{self, Folder, cellblock, command, eventually, finish};
use crate::host;
use rustix::fs::chown;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Does what each line asks for, `write FILE TEXT` or `mkdir DIRECTORY`, and says how it ended.
const PROBE: &str = "$| = 1; print qq(ready\\n); while (<STDIN>) { chomp; my ($verb, $path, $text) = split / /; my $f; \
    my $done = $verb eq 'mkdir' ? mkdir $path : (sysopen($f, $path, 1) && defined syswrite($f, $text)); \
    my $why = $done ? 'done' : (grep { $!{$_} } keys %!)[0]; print qq(answer $why\\n) }";

/// An agent that does what it is asked to, beside another one.
struct Inside {
    probe: Watched,
    sibling: Watched,
    asked: usize,
}

impl Inside {
    fn start() -> Self {
        let folder = Folder::new();
        // Not `demo`: what it protects in trees that can be written cannot be made there.
        let text = "extends = ['base']\n[filesystem]\nwrite = ['/sys/fs/cgroup']\n\
            [limits]\nmemory = '128M'\nmemory_high = '128M'\ntasks = 64\n";
        let profile = folder.profile("shown", text);
        let sibling = Watched::start("exec", "jt-sibling", "demo", &["sleep", "600"]);
        let words = ["perl", "-MErrno", "-e", PROBE];
        let mut probe = cellblock("exec", "jt-inside", &[], &profile, &words);
        let probe = Watched::start_with(probe.stdin(Stdio::piped()), "jt-inside");
        probe.running.says("ready");
        Self { probe, sibling, asked: 0 }
    }

    /// How the probe's attempt ended: `done`, or the error's name.
    fn attempt(&mut self, what: &Try) -> String {
        self.asked += 1;
        let stdin = self.probe.running.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{}", what.line()).unwrap();
        let answers = || -> Option<String> {
            let out = self.probe.running.out();
            let lines = out.lines().filter_map(|line| line.strip_prefix("answer "));
            lines.map(str::to_owned).nth(self.asked - 1)
        };
        eventually("its answer", answers)
    }

    fn above(&self) -> PathBuf {
        self.probe.cgroup.parent().unwrap().to_owned()
    }

    /// Everything that leads out of the cgroup or lifts its limits.
    fn tries(&self) -> Vec<Try> {
        let (own, scope, slice) = (&self.probe.cgroup, self.above(), host::slice());
        let write = |place: &Path, file: &str, text: &'static str| Try {
            place: place.join(file),
            text: Some(text),
        };
        vec![
            write(&scope, "cgroup.procs", "0"),
            write(&scope.join("launcher"), "cgroup.procs", "0"),
            write(&self.sibling.cgroup, "cgroup.procs", "0"),
            write(&slice, "cgroup.procs", "0"),
            write(slice.parent().unwrap(), "cgroup.procs", "0"),
            write(own, "memory.max", "max"),
            write(own, "pids.max", "max"),
            write(own, "cgroup.subtree_control", "-memory"),
            write(&self.sibling.cgroup, "cgroup.freeze", "1"),
            Try { place: own.join("child"), text: None },
        ]
    }

    /// The probe's cgroup, its limits and its sibling are as they were.
    #[track_caller]
    fn expect_unchanged(&self) {
        let own = self.probe.cgroup.strip_prefix(host::cgroup_mount().unwrap()).unwrap();
        let line = format!("0::/{}", own.display());
        for pid in self.probe.file("cgroup.procs").lines() {
            let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            assert_eq!(text.trim(), line);
        }
        assert_eq!(self.probe.file("cgroup.procs").lines().count(), 2, "init and the probe");
        assert_eq!(self.probe.number("memory.max"), 128 << 20);
        assert_eq!(self.probe.number("pids.max"), 64);
        assert_eq!(self.sibling.field("cgroup.events", "frozen"), 0);
        assert!(!self.probe.cgroup.join("child").exists());
    }

    /// The probe's number outside.
    fn pid(&self) -> String {
        let init = self.probe.init.to_string();
        let all = self.probe.file("cgroup.procs");
        all.lines().find(|pid| *pid != init).unwrap().to_owned()
    }

    fn stop(mut self) {
        drop(self.probe.running.child.stdin.take());
        self.probe.running.wait(harness::DEADLINE).expect(0);
        self.sibling.stop();
        ["jt-inside", "jt-sibling"].into_iter().for_each(host::expect_nothing_left);
    }
}

/// One attempt: `text` is written to the file `place`, or `place` is made a directory.
struct Try {
    place: PathBuf,
    text: Option<&'static str>,
}

impl Try {
    fn line(&self) -> String {
        let place = self.place.display();
        self.text.map_or(format!("mkdir {place}"), |text| format!("write {place} {text}"))
    }

    /// The same by root outside, for the process `pid` where it is about one.
    fn outside(&self, pid: &str) -> std::io::Result<()> {
        match self.text {
            None => std::fs::create_dir(&self.place),
            Some("0") => std::fs::write(&self.place, pid),
            Some(text) => std::fs::write(&self.place, text),
        }
    }
}

/// Whether the mount keeps processes in the namespaces that were made for them.
fn has_nsdelegate() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().any(|line| line.contains(" - cgroup2 ") && line.contains("nsdelegate"))
}

/// The mount without `nsdelegate`, until it is dropped.
struct Lax;

fn remount(options: &str) {
    let mount = host::cgroup_mount().unwrap();
    let options = format!("remount,nosuid,nodev,noexec,relatime,{options}");
    let words = ["-t", "cgroup2", "-o", &options, "cgroup2"];
    finish(command("mount").args(words).arg(mount)).expect(0);
}

impl Lax {
    fn new() -> Self {
        remount("memory_recursiveprot");
        assert!(!has_nsdelegate());
        Self
    }
}

impl Drop for Lax {
    fn drop(&mut self) {
        remount("nsdelegate,memory_recursiveprot");
    }
}

#[test]
fn nothing_leads_out_of_the_cgroup() {
    needs!("root", "cgroup2:memory", "cgroup2:pids", "perl", "systemd");
    assert!(has_nsdelegate());
    expect_no_way_out();
}

#[test]
fn nothing_leads_out_of_the_cgroup_without_nsdelegate() {
    needs!("root", "cgroup2:memory", "cgroup2:pids", "perl", "systemd", "disposable", "quiet");
    let _lax = Lax::new();
    expect_no_way_out();
}

#[track_caller]
fn expect_no_way_out() {
    let mut inside = Inside::start();
    for attempt in inside.tries() {
        let answer = inside.attempt(&attempt);
        println!("{:<5} {}", answer, attempt.line());
        assert!(["EACCES", "EPERM", "EROFS"].contains(&answer.as_str()), "{}", attempt.line());
        inside.expect_unchanged();
    }
    // Root outside can: what refuses it inside is the jail. Where a cgroup hands controllers down nobody
    // can put a process into it.
    let (pid, mut could) = (inside.pid(), Vec::new());
    for attempt in inside.tries() {
        match attempt.outside(&pid) {
            Ok(()) => could.push(attempt.line()),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::BUSY.raw_os_error()))
            }
        }
    }
    println!("root could: {could:#?}");
    assert!(could.len() >= 8, "{could:#?}");
    std::fs::write(inside.sibling.cgroup.join("cgroup.freeze"), "0").unwrap();
    std::fs::write(inside.probe.cgroup.join("cgroup.procs"), &pid).unwrap();
    inside.stop();
}

/// Gives the scope and all below it to the agent, as a careless admin might.
fn give_away(inside: &Inside) {
    let uid = rustix::fs::Uid::from_raw(host::uid_of("jt-inside").unwrap());
    let scope = inside.above();
    for place in [scope.clone(), scope.join("launcher"), inside.probe.cgroup.clone()] {
        chown(&place, Some(uid), None).unwrap();
        for file in ["cgroup.procs", "memory.max", "cgroup.subtree_control"] {
            chown(place.join(file), Some(uid), None).unwrap();
        }
    }
}

/// How moving out and lifting the limit end where the agent owns its cgroup.
fn attempts_as_owner() -> [String; 2] {
    let mut inside = Inside::start();
    give_away(&inside);
    let limit = Try { place: inside.probe.cgroup.join("memory.max"), text: Some("max") };
    let lifted = inside.attempt(&limit);
    let out = Try { place: inside.above().join("launcher/cgroup.procs"), text: Some("0") };
    let moved = inside.attempt(&out);
    inside.stop();
    [moved, lifted]
}

#[test]
fn an_owner_of_its_cgroup_leaves_it_where_nothing_delegates() {
    needs!("root", "cgroup2:memory", "perl", "systemd", "disposable", "quiet");
    // The namespace keeps it in, though the files would let it go: two walls.
    assert_eq!(attempts_as_owner(), ["ENOENT", "EPERM"]);
    let _lax = Lax::new();
    assert_eq!(attempts_as_owner(), ["done", "done"]);
}

#[test]
fn tmux_moves_no_pane_out_of_the_cgroup() {
    needs!("root", "cgroup2", "tmux", "systemd");
    let (agent, folder) = ("jt-panes", Folder::new());
    let text = "extends = ['demo']\n[environment.set]\nXDG_RUNTIME_DIR = '/run/user/0'\n\
        DBUS_SESSION_BUS_ADDRESS = 'unix:path=/run/user/0/bus'\n";
    let version = finish(command("tmux").arg("-V")).out;
    let links = finish(command("ldd").arg(harness::installed(&["tmux"]).unwrap())).out;
    let with = if links.contains("libsystemd") { "with" } else { "without" };
    println!("{} {with} libsystemd", version.trim());
    let script = "tmux new-window 'sleep 601'; tmux split-window 'sleep 602'; exec sleep 603";
    let profile = folder.profile("bus", text);
    let panes = Watched::start("run", agent, &profile, &["sh", "-c", script]);
    let uid = host::uid_of(agent).unwrap();
    let sleeps = || {
        let sleeps = host::processes(uid).iter().filter(|(_, name)| name == "sleep").count();
        (sleeps == 3).then_some(())
    };
    eventually("three panes", sleeps);
    let mut everything = host::processes(uid);
    everything.retain(|(pid, _)| {
        let own = panes.cgroup.strip_prefix(host::cgroup_mount().unwrap()).unwrap();
        // One that has ended since, as a question to tmux, is nowhere.
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return false };
        !text.lines().any(|line| line == format!("0::/{}", own.display()))
    });
    assert!(everything.is_empty(), "outside of its cgroup: {everything:?}");
    panes.stop().0.expect(137);
    host::expect_nothing_left(agent);
}
