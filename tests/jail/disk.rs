//! Bounds on disks: writes beyond them fail, nobody gets round them, and nothing is left of them.
//!
//! Where the host has project quotas the bounds are real; elsewhere it is shown that they are refused.

use crate::harness::{self, Folder, cellblock, command, eventually, exec, finish, start};
use crate::host;
use cellblock::sys::{self, Project, ProjectUse};
use std::fs::File;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The person whose the project is.
const PERSON: u32 = 4242;
const MIB: usize = 1 << 20;

/// A project on a disk, and a profile that bounds it to 8M.
fn project() -> (Folder, String, String) {
    let folder = Folder::on_disk();
    let project = folder.directory("project", 0o755);
    folder.directory("project/src/deep", 0o755);
    folder.file("project/src/deep/file", "text\n", 0o644);
    for name in ["project", "project/src", "project/src/deep", "project/src/deep/file"] {
        lchown(folder.path(name), Some(PERSON), Some(PERSON)).unwrap();
    }
    let profile = folder.profile("bounded", "extends = ['demo']\n[limits]\ndisk = '8M'\n");
    (folder, project, profile)
}

/// Every file and directory below `root`, `root` with them.
fn all(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut next) = (vec![root.to_owned()], 0);
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() {
            found.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

fn project_of(path: impl AsRef<Path>) -> Project {
    sys::project_of(File::open(path).unwrap()).unwrap()
}

fn used(folder: &Folder, project: u32) -> ProjectUse {
    sys::project_use(File::open(folder.path("")).unwrap(), project).unwrap()
}

/// Fails where something of the bound of `agent` is left on the project.
#[track_caller]
fn expect_no_bound(folder: &Folder, agent: &str) {
    for path in all(&folder.path("project")) {
        assert_eq!(project_of(&path), Project::default(), "{}", path.display());
    }
    // Of files that were removed, xfs gives back the inodes a moment later.
    harness::eventually("the end of its quota", || {
        let left = host::uid_of(agent).map(|uid| used(folder, uid)).unwrap_or_default();
        assert_eq!((left.byte_limit, left.inode_limit), (0, 0), "the limit of {agent}");
        (left == ProjectUse::default()).then_some(())
    });
    host::expect_nothing_left(agent);
}

/// Starts a jail that waits for the end of its input, when it has said that it runs.
fn waiting(agent: &str, project: &str, profile: &str) -> harness::Running {
    let words = ["sh", "-c", "echo inside; read line; exit 0"];
    let mut cellblock = cellblock("exec", agent, &["--workspace", project], profile, &words);
    let running = start(cellblock.stdin(Stdio::piped()));
    running.says("inside");
    running
}

fn let_end(mut running: harness::Running) {
    drop(running.child.stdin.take());
    running.wait(harness::DEADLINE).expect(0);
}

#[test]
fn a_bound_that_nothing_can_hold_is_refused() {
    needs!("root", "cgroup2");
    // A file system in memory has no quotas of projects.
    let (agent, folder) = ("jt-unbounded", Folder::in_memory());
    let tree = folder.directory("tree", 0o777);
    let profile = |name: &str, rest: &str| {
        let text = format!(
            "extends = ['demo']\n[filesystem]\nwrite = [{{ path = '{tree}', at = '/srv/tree' }}]\n{rest}"
        );
        folder.profile(name, &text)
    };
    let bounded = profile("bounded", "[limits]\ndisk = '8M'\n");
    let refused = exec(agent, &[], &bounded, &["true"]);
    let words = ["the wall `disk` cannot stand", "--without disk", "`disk`"];
    refused.expect_refusal(125, &words);
    let told = |profile: &str| {
        let words = ["explain", "--verb", "exec", profile, "--", "true"];
        finish(command(harness::program()).args(words)).expect(0).out.clone()
    };
    let not_bounded = "/srv/tree: not bounded: ";
    assert!(told(&bounded).contains(not_bounded), "{}", told(&bounded));
    let unlimited = profile("unlimited", "");
    let unset = format!("{not_bounded}the profile sets no limit");
    assert!(told(&unlimited).contains(&unset), "{}", told(&unlimited));
    // A profile that can do without says so at the start.
    let rest = "[limits]\ndisk = '8M'\n[enforcement]\nwithout = ['disk']\n";
    let ended = exec(agent, &[], &profile("either", rest), &["true"]);
    assert!(ended.expect(0).err.contains("without the wall `disk`"), "{ended:#?}");
    host::expect_nothing_left(agent);
}

/// Writes 6M twice and says how each went: in the full tree there is no room for words.
const FILL: &str = "for f in a b; do dd if=/dev/zero of=$f bs=1M count=6 2> /tmp/said || cat /tmp/said; done; \
    stat -c %s a";

/// What is said of a write beyond the bound: by ext4, by xfs.
const REFUSED: [&str; 2] = ["Disk quota exceeded", "No space left on device"];

fn refusals(said: &str) -> usize {
    REFUSED.iter().map(|refused| said.matches(refused).count()).sum()
}

#[test]
fn writes_beyond_the_bound_fail_and_the_host_goes_on() {
    needs!("root", "cgroup2", "prjquota");
    let (agent, (folder, project, profile)) = ("jt-bounded", project());
    let options = ["--workspace", &project];
    let script = format!("{FILL}; echo inside; read line; exit 0");
    let words = ["sh", "-c", &script];
    let mut bounded = cellblock("exec", agent, &options, &profile, &words);
    let mut running = start(bounded.stdin(Stdio::piped()));
    running.says("inside");
    // Beside the tree there is room, for the person and for root.
    std::fs::write(folder.path("beside"), vec![1; 16 * MIB]).unwrap();
    let uid = host::uid_of(agent).unwrap();
    let now = used(&folder, uid);
    assert_eq!((now.byte_limit, now.inode_limit), (8 << 20, 2048));
    assert!(now.bytes >= 7 << 20 && now.bytes <= 8 << 20, "{now:?}");
    drop(running.child.stdin.take());
    let ended = running.wait(harness::DEADLINE);
    ended.expect(0);
    assert_eq!(refusals(&ended.out), 1, "{ended:#?}");
    assert!(ended.out.contains(&format!("{}\n", 6 * MIB)), "the first fits: {ended:#?}");
    assert!(ended.err.contains("disk /"), "the end says nothing of it: {ended:#?}");
    let length = |name: &str| std::fs::metadata(folder.path(name)).unwrap().len();
    assert!(length("project/b") < 2 * MIB as u64, "{}", length("project/b"));
    expect_no_bound(&folder, agent);
    for name in ["a", "b"] {
        std::fs::remove_file(folder.path("project").join(name)).unwrap();
    }
    // The same writes go through without the wall.
    let free =
        exec(agent, &["--workspace", &project, "--without", "disk"], &profile, &["sh", "-c", FILL]);
    assert_eq!(refusals(&free.expect(0).out), 0, "{free:#?}");
    assert_eq!(length("project/b"), 6 * MIB as u64);
    expect_no_bound(&folder, agent);
}

#[test]
fn empty_files_are_bounded_too() {
    needs!("root", "cgroup2", "prjquota", "perl");
    let (agent, (folder, project, profile)) = ("jt-inodes", project());
    let script = "my $n = 0; for (1 .. 3000) { open(my $f, '>', \"e$_\") or last; $n++ } \
        print \"$n made, $!\\n\"; unlink map { \"e$_\" } 1 .. 3000";
    let words = ["perl", "-e", script];
    let made = |without: &[&str]| {
        let options = [&["--workspace", &project], without].concat();
        exec(agent, &options, &profile, &words).expect(0).out.clone()
    };
    let bounded = made(&[]);
    let count: u32 = bounded.split(' ').next().unwrap().parse().unwrap();
    assert!(count < 2048 && refusals(&bounded) == 1, "{bounded}");
    assert!(made(&["--without", "disk"]).starts_with("3000 made"));
    expect_no_bound(&folder, agent);
}

/// Takes a file out of its project, as its owner may: FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR.
const LEAVE: &str = "open(my $f, '<', $ARGV[0]) or die $!; my $x = \"\\0\" x 28; ioctl($f, 0x801c581f, $x) or die $!; \
    substr($x, 12, 4) = pack('L', $ARGV[1]); print ioctl($f, 0x401c5820, $x) ? \"left\\n\" : \"refused $!\\n\"";

/// Keeps what is made in a directory out of its project, as chattr -P does: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS.
const DISOWN: &str = "open(my $f, '<', $ARGV[0]) or die $!; my $x = pack('L', 0); ioctl($f, 0x80086601, $x) or die $!; \
    $x = pack('L', unpack('L', $x) & ~0x20000000); print ioctl($f, 0x40086602, $x) ? \"left\\n\" : \"refused $!\\n\"";

#[test]
fn nobody_leaves_the_project_from_inside() {
    needs!("root", "cgroup2", "prjquota", "perl");
    let (agent, (folder, project, profile)) = ("jt-leaves", project());
    let inside = |without: &[&str], words: [&str; 3]| {
        let options = [&["--workspace", &project], without].concat();
        let script = "echo x > mine; mkdir -p own; exec perl -e \"$@\"";
        let all = [&["sh", "-c", script, "sh"], &words[..]].concat();
        exec(agent, &options, &profile, &all).expect(0).out.clone()
    };
    let tries = [
        [LEAVE, "mine", "0"],
        [LEAVE, "mine", "70000"],
        [LEAVE, ".", "0"],
        [LEAVE, "src/deep/file", "0"],
        [DISOWN, ".", ""],
        [DISOWN, "own", ""],
    ];
    for words in tries {
        assert_eq!(inside(&[], words), "refused Operation not permitted\n", "{words:?}");
        // The kernel itself refuses it in a user namespace: the filter is the second wall.
        let bare = inside(&["--without", "seccomp"], words);
        assert_eq!(bare, "refused Invalid argument\n", "{words:?}");
    }
    // Outside, the owner may.
    let mut outside = command("perl");
    std::os::unix::process::CommandExt::uid(&mut outside, PERSON);
    let file = folder.text("project/src/deep/file");
    assert_eq!(finish(outside.args(["-e", LEAVE, &file, "7"])).expect(0).out, "left\n");
    assert_eq!(project_of(&file).id, 7);
    sys::set_project(File::open(&file).unwrap(), Project::default()).unwrap();
    expect_no_bound(&folder, agent);
}

#[test]
fn a_killed_launcher_leaves_no_bound_to_the_next_start() {
    // No other test's start may come before this one's next.
    needs!("root", "cgroup2", "prjquota", "quiet");
    let (agent, (folder, project, profile)) = ("jt-bound-killed", project());
    let mut running = waiting(agent, &project, &profile);
    let uid = host::uid_of(agent).unwrap();
    for path in all(&folder.path("project")) {
        let expected = Project { id: uid, inherited: path.is_dir() };
        assert_eq!(project_of(&path), expected, "{}", path.display());
    }
    running.child.kill().unwrap();
    running.wait(harness::DEADLINE);
    assert_eq!(project_of(&project).id, uid);
    exec("jt-sweeper", &[], "demo", &["true"]).expect(0);
    expect_no_bound(&folder, agent);
}

#[test]
fn a_tree_has_one_agents_bound_at_a_time() {
    needs!("root", "cgroup2", "prjquota");
    let (folder, project, profile) = project();
    let first = waiting("jt-bound-a", &project, &profile);
    let uid = host::uid_of("jt-bound-a").unwrap();
    let inner = folder.text("project/src");
    for workspace in [&project, &inner] {
        let refused = exec("jt-bound-b", &["--workspace", workspace], &profile, &["true"]);
        refused.expect_refusal(125, &["bounded for a running agent", "jt-bound-a"]);
    }
    assert_eq!(project_of(&project), Project { id: uid, inherited: true });
    // Another jail of the same agent shares the bound, and does not take it away at its end.
    let words = ["sh", "-c", "dd if=/dev/zero of=big bs=1M count=12 2>&1; rm big"];
    let second = exec("jt-bound-a", &["--workspace", &project], &profile, &words);
    assert_eq!(refusals(&second.expect(0).out), 1, "{second:#?}");
    assert_eq!(project_of(&project), Project { id: uid, inherited: true });
    assert_eq!(used(&folder, uid).byte_limit, 8 << 20);
    let_end(first);
    expect_no_bound(&folder, "jt-bound-a");
    exec("jt-bound-b", &["--workspace", &project], &profile, &["true"]).expect(0);
    expect_no_bound(&folder, "jt-bound-b");
}

#[test]
fn a_foreign_project_is_refused_and_left_as_it_was() {
    needs!("root", "cgroup2", "prjquota");
    let (agent, (folder, project, profile)) = ("jt-foreign-project", project());
    let options = ["--workspace", &project];
    for (name, inherited) in [("project/src/deep/file", false), ("project/src", true)] {
        let theirs = Project { id: 4711, inherited };
        sys::set_project(File::open(folder.path(name)).unwrap(), theirs).unwrap();
        let refused = exec(agent, &options, &profile, &["true"]);
        refused.expect_refusal(125, &["belongs to project 4711", "chattr", name]);
        assert_eq!(project_of(folder.path(name)), theirs, "{name}");
        sys::set_project(File::open(folder.path(name)).unwrap(), Project::default()).unwrap();
        expect_no_bound(&folder, agent);
    }
    exec(agent, &options, &profile, &["true"]).expect(0);
}

#[test]
fn a_persons_own_project_is_the_admins() {
    needs!("root", "cgroup2", "prjquota");
    let (agent, (folder, project, _)) = ("jt-person", project());
    let text = "extends = ['demo']\n[agent]\nuser = '4343'\n[limits]\ndisk = '8M'\n";
    let profile = folder.profile("person", text);
    // The admin's project of that number, with a file and a limit.
    let (theirs, on) = (4343, File::open(folder.path("")).unwrap());
    folder.file("theirs", "text", 0o644);
    let file = File::open(folder.path("theirs")).unwrap();
    sys::set_project(&file, Project { id: theirs, inherited: false }).unwrap();
    sys::limit_project(&on, theirs, 1 << 30, 1000).unwrap();
    let options = ["--workspace", &project];
    let waiting = waiting(agent, &project, &profile);
    // Another jail of the agent shares its bound; what stays behind of one does not keep the next from starting.
    for name in ["one", "two"] {
        let script =
            format!("ln -s nowhere {name}; dd if=/dev/zero of=big bs=1M count=12 2>&1; rm big");
        let ended = exec(agent, &options, &profile, &["sh", "-c", &script]);
        assert_eq!(refusals(&ended.expect(0).out), 1, "{ended:#?}");
    }
    let_end(waiting);
    exec(agent, &options, &profile, &["true"]).expect(0);
    assert_eq!(used(&folder, theirs).byte_limit, 1 << 30);
    assert_eq!(project_of(folder.path("theirs")).id, theirs);
    sys::limit_project(&on, theirs, 0, 0).unwrap();
    // xfs frees what was removed a moment later.
    eventually("the agent's project has two links and no limit", || {
        let agents = used(&folder, theirs + (1 << 30));
        ((agents.inodes, agents.byte_limit, agents.inode_limit) == (2, 0, 0)).then_some(())
    });
    for name in ["one", "two"] {
        std::fs::remove_file(folder.path("project").join(name)).unwrap();
    }
    expect_no_bound(&folder, agent);
}

#[test]
fn what_is_there_counts_and_may_be_too_much() {
    needs!("root", "cgroup2", "prjquota");
    let (agent, (folder, project, profile)) = ("jt-full", project());
    std::fs::write(folder.path("project/large"), vec![1; 12 * MIB]).unwrap();
    let refused = exec(agent, &["--workspace", &project], &profile, &["true"]);
    refused.expect_refusal(125, &["more than `disk` allows", "make room"]);
    expect_no_bound(&folder, agent);
}

#[test]
fn files_come_into_a_bounded_tree_by_copies_alone() {
    needs!("root", "cgroup2", "prjquota");
    let (agent, (folder, project, profile)) = ("jt-moves", project());
    folder.file("outside", "text", 0o644);
    let (from, to) = (folder.path("outside"), folder.path("project/moved"));
    let running = waiting(agent, &project, &profile);
    let cross = |done: std::io::Result<()>| done.unwrap_err().kind();
    let crosses = std::io::ErrorKind::CrossesDevices;
    assert_eq!(cross(std::fs::rename(&from, &to)), crosses);
    assert_eq!(cross(std::fs::hard_link(&from, &to)), crosses);
    std::fs::copy(&from, &to).unwrap();
    assert_eq!(project_of(&to).id, host::uid_of(agent).unwrap(), "it counts");
    // Within the tree everything moves as ever.
    std::fs::rename(&to, folder.path("project/src/deep/moved")).unwrap();
    let_end(running);
    std::fs::rename(&from, &to).unwrap();
    expect_no_bound(&folder, agent);
}

#[test]
fn links_and_pipes_in_a_bounded_tree_are_left_alone() {
    needs!("root", "cgroup2", "prjquota");
    let (agent, (folder, project, profile)) = ("jt-bound-links", project());
    folder.file("outside", "text", 0o644);
    std::os::unix::fs::symlink("../outside", folder.path("project/link")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, folder.path("project/pipe"), fifo, mode, 0).unwrap();
    let running = waiting(agent, &project, &profile);
    assert_eq!(project_of(folder.path("outside")), Project::default(), "a link was followed");
    let_end(running);
    std::fs::remove_file(folder.path("project/pipe")).unwrap();
    expect_no_bound(&folder, agent);
}
