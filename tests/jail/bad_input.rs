//! Bad input: a sentence that names it, a cure, the right status, and nothing left behind.

use crate::harness::{self, Ended, Folder, cellblock, command, exec, finish, program};
use crate::host;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;

/// A profile on top of `demo`, the status, and what its refusal must say.
struct Bad {
    name: &'static str,
    profile: &'static str,
    status: i32,
    says: &'static [&'static str],
}

const PROFILES: &[Bad] = &[
    Bad {
        name: "a path that does not exist",
        profile: "[filesystem]\nread = ['{dir}/none']",
        status: 125,
        says: &["bad.toml:4:", "filesystem.read", "{dir}/none", "does not exist", "optional"],
    },
    Bad {
        name: "a symbolic link",
        profile: "[filesystem]\nread = ['{dir}/link']",
        status: 125,
        says: &["bad.toml:4:", "{dir}/link", "symbolic link"],
    },
    Bad {
        name: "a path through a symbolic link",
        profile: "[filesystem]\nread = ['{dir}/linked/file']",
        status: 125,
        says: &["{dir}/linked", "symbolic link", "without the link"],
    },
    Bad {
        name: "a socket",
        profile: "[filesystem]\nread = ['{dir}/socket']",
        status: 125,
        says: &["{dir}/socket", "socket"],
    },
    Bad {
        name: "a directory with a socket in it",
        profile: "[filesystem]\nread = ['{dir}']",
        status: 125,
        says: &["{dir}", "unix socket", "{dir}/socket"],
    },
    Bad {
        name: "a directory to write with a socket in it",
        profile: "[filesystem]\nwrite = ['{dir}']",
        status: 125,
        says: &["unix socket", "{dir}/socket"],
    },
    Bad {
        name: "a device",
        profile: "[filesystem]\nread = ['/dev/mem']",
        status: 125,
        says: &["/dev"],
    },
    Bad {
        name: "a pipe",
        profile: "[filesystem]\nread = ['{dir}/pipe']",
        status: 125,
        says: &["{dir}/pipe"],
    },
    Bad {
        name: "a user that does not exist",
        profile: "[agent]\nuser = 'nobody-of-this-name'",
        status: 125,
        says: &["agent.user", "no user `nobody-of-this-name`", "auto"],
    },
    Bad {
        name: "root by number",
        profile: "[agent]\nuser = '0'",
        status: 125,
        says: &["agent.user", "root"],
    },
    Bad {
        name: "root by name",
        profile: "[agent]\nuser = 'root'",
        status: 125,
        says: &["agent.user", "root"],
    },
    Bad {
        name: "a group that does not exist",
        profile: "[agent]\ngroups = ['none-of-this-name']",
        status: 125,
        says: &["agent.groups", "none-of-this-name"],
    },
    Bad {
        name: "an impossible size",
        profile: "[filesystem]\ntmp_size = '12 potatoes'",
        status: 125,
        says: &["filesystem.tmp_size", "12 potatoes"],
    },
    Bad {
        name: "a size beyond numbers",
        profile: "[filesystem]\ntmp_size = '99999999999999999999T'",
        status: 125,
        says: &["filesystem.tmp_size"],
    },
    Bad {
        name: "a size of nothing",
        profile: "[limits]\nmemory = '0'",
        status: 125,
        says: &["limits.memory"],
    },
    Bad {
        name: "a working directory that does not exist",
        profile: "[agent]\nworkdir = '/tmp/none'",
        status: 125,
        says: &["/tmp/none", "No such file"],
    },
    Bad {
        name: "a working directory that is closed to the agent",
        profile: "[filesystem]\nread = ['{dir}/closed']\n[agent]\nworkdir = '{dir}/closed'",
        status: 125,
        says: &["{dir}/closed", "Permission denied"],
    },
    Bad {
        name: "a secret that others can read",
        profile: "[environment.secrets]\nKEY = '{dir}/file'",
        status: 125,
        says: &["KEY", "{dir}/file", "can be read by others"],
    },
    Bad {
        name: "a secret that does not exist",
        profile: "[environment.secrets]\nKEY = '{dir}/none'",
        status: 125,
        says: &["KEY", "{dir}/none"],
    },
    Bad {
        name: "a policy that does not exist",
        profile: "[seccomp]\npolicy = 'none-of-this-name'",
        status: 125,
        says: &["none-of-this-name"],
    },
    Bad {
        name: "an unknown wall",
        profile: "[enforcement]\nwithout = ['gravity']",
        status: 125,
        says: &["gravity"],
    },
    Bad {
        name: "an unknown key",
        profile: "[agent]\nusr = 'auto'",
        status: 125,
        says: &["bad.toml:4:", "usr"],
    },
];

/// How a cure begins: on a line of its own, or in the sentence where a value has few alternatives.
const CURES: &[&str] = &["hint:", "use \"auto\"", "the walls are"];

/// Things of the host that a profile could name.
fn things() -> (Folder, UnixListener) {
    let folder = Folder::new();
    folder.file("file", "text", 0o644);
    folder.directory("real", 0o755);
    folder.file("real/file", "text", 0o644);
    folder.directory("closed", 0o700);
    symlink(folder.path("file"), folder.path("link")).unwrap();
    symlink(folder.path("real"), folder.path("linked")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let socket = UnixListener::bind(folder.path("socket")).unwrap();
    (folder, socket)
}

/// What is missing in a refusal.
fn lacks(ended: &Ended, status: i32, says: &[String]) -> Vec<String> {
    let mut lacks: Vec<_> =
        says.iter().filter(|word| !ended.err.contains(*word)).cloned().collect();
    let cured = CURES.iter().any(|cure| ended.err.contains(cure));
    lacks.extend((!cured).then(|| "a cure".to_owned()));
    lacks.extend((ended.status != Some(status)).then(|| format!("status {status}")));
    lacks
}

#[test]
fn profiles_that_do_not_fit_are_refused() {
    needs!("root", "cgroup2");
    let agent = "jt-bad-profile";
    let (folder, _socket) = things();
    let dir = folder.text("").trim_end_matches('/').to_owned();
    let mut wrong = Vec::new();
    for bad in PROFILES {
        let fill = |text: &str| text.replace("{dir}", &dir);
        let text = format!("extends = ['demo']\n{}\n", fill(bad.profile));
        let profile = folder.profile("bad", &text);
        let ended = exec(agent, &[], &profile, &["true"]);
        let says: Vec<_> = bad.says.iter().map(|word| fill(word)).collect();
        let lacks = lacks(&ended, bad.status, &says);
        if !lacks.is_empty() {
            wrong.push(format!("{}: lacks {lacks:?} in {ended:#?}", bad.name));
        }
        wrong.extend(host::left_of(agent).into_iter().map(|left| format!("{}: {left}", bad.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn command_lines_that_make_no_sense_are_refused() {
    needs!("root", "cgroup2");
    let agent = "jt-bad-words";
    for name in ["a/b", "..", "", "x y", &"n".repeat(64), "A"] {
        let ended = exec(name, &[], "demo", &["true"]);
        assert_eq!(ended.status, Some(125), "{name}: {ended:#?}");
        assert!(ended.err.contains("--name"), "{ended:#?}");
    }
    let ended = exec(agent, &["--without", "gravity"], "demo", &["true"]);
    assert!(ended.expect(125).err.contains("gravity"), "{ended:#?}");
    let ended = exec(agent, &["--without", "no-new-privs"], "demo", &["true"]);
    ended.expect_refusal(125, &["landlock", "seccomp", "--without"]);
    let folder = Folder::new();
    let text = "extends = ['base']\n[enforcement]\nwithout = ['memory', 'tasks']\n";
    let nothing = folder.profile("nothing", text);
    exec(agent, &[], &nothing, &[]).expect_refusal(127, &["give one after `--`"]);
    exec(agent, &[], "demo", &["no-such-command"]).expect_refusal(127, &["no-such-command"]);
    host::expect_nothing_left(agent);
}

#[test]
fn a_strict_profile_starts_in_full_or_names_what_the_host_lacks() {
    needs!("root", "cgroup2");
    let (agent, folder) = ("jt-bad-host", Folder::new());
    let project = folder.directory("project", 0o755);
    std::os::unix::fs::lchown(&project, Some(4242), Some(4242)).unwrap();
    for profile in ["claude", "codex", "shell"] {
        let ended = exec(agent, &["--workspace", &project], profile, &["true"]);
        if host::has_controller("memory") && host::has_controller("pids") {
            assert_eq!(ended.expect(0).err, "", "a wall does not stand: {ended:#?}");
        } else {
            ended.expect_refusal(125, &["`memory`", "`tasks`", "without = [\"memory\"]"]);
        }
        host::expect_nothing_left(agent);
    }
}

#[test]
fn nobody_but_root_makes_jails() {
    needs!("root", "cgroup2");
    let folder = Folder::new();
    // The program itself may be where only root can go.
    std::fs::copy(program(), folder.path("cellblock")).unwrap();
    let mut cellblock = command(folder.path("cellblock"));
    let ended = finish(cellblock.args(["exec", "demo", "--", "true"]).uid(4242).gid(4242));
    ended.expect_refusal(125, &["root", "sudo"]);
}

#[test]
fn profiles_that_others_can_write_are_refused() {
    needs!("root", "cgroup2");
    let agent = "jt-bad-trust";
    let folder = Folder::new();
    let text = "schema = 1\nextends = ['demo']\n";
    let writable = folder.file("writable.toml", text, 0o666);
    exec(agent, &[], &writable, &["true"]).expect_refusal(125, &["can be written by others"]);
    let foreign = folder.file("foreign.toml", text, 0o644);
    std::os::unix::fs::chown(&foreign, Some(4242), None).unwrap();
    exec(agent, &[], &foreign, &["true"]).expect_refusal(125, &["can be written by others"]);
    folder.directory("open", 0o777);
    let replaced = folder.file("open/replaced.toml", text, 0o644);
    exec(agent, &[], &replaced, &["true"]).expect_refusal(125, &["can be written by others"]);
    symlink(folder.file("good.toml", text, 0o644), folder.path("link.toml")).unwrap();
    let link = folder.text("link.toml");
    exec(agent, &[], &link, &["true"]).expect_refusal(125, &["link.toml"]);
    host::expect_nothing_left(agent);
}

#[test]
fn a_full_tmp_is_the_agents_own_problem() {
    needs!("root", "cgroup2", "perl");
    let agent = "jt-bad-full";
    let folder = Folder::new();
    let text = "extends = ['demo']\n[filesystem]\ntmp_size = '1M'\ntmp_inodes = 64\n";
    let profile = folder.profile("small", text);
    let script = "head -c 2000000 /dev/zero > /tmp/big; echo \"status $?\"; stat -c %s /tmp/big; rm /tmp/big; \
        i=0; while : 2>/dev/null > /tmp/$i; do i=$((i + 1)); done; [ $i -lt 64 ] && echo few; echo lives";
    let ended = exec(agent, &[], &profile, &["bash", "-c", script]);
    assert!(ended.expect(0).out.starts_with("status 1\n"), "{ended:#?}");
    assert!(ended.out.ends_with("few\nlives\n"), "{ended:#?}");
    assert!(ended.err.contains("No space left on device"), "{ended:#?}");
    host::expect_nothing_left(agent);
}

#[test]
fn a_jail_without_tmux_keeps_no_session() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-bad-tmux";
    let folder = Folder::new();
    let dir = folder.text("").trim_end_matches('/').to_owned();
    let text = format!(
        "extends = ['demo']\n[environment.set]\nPATH = '/opt/none:/bin/none'\n\
         [filesystem]\nexecute = [{{ path = '{dir}', at = '/opt/none' }}]\n"
    );
    let profile = folder.profile("bare", &text);
    let run = |profile: &str, words: &[&str]| {
        let ended = finish(&mut cellblock("run", agent, &[], profile, words));
        host::expect_nothing_left(agent);
        ended
    };
    run(&profile, &["/usr/bin/true"]).expect_refusal(127, &["tmux", "execute"]);
    // One that is there and does not work.
    folder.file("tmux", "#!/bin/sh\necho 'tmux: wants something else' >&2\nexit 3\n", 0o755);
    let ended = run(&profile, &["/usr/bin/true"]);
    ended.expect_refusal(125, &["tmux", "wants something else", "UTF-8"]);
    run("demo", &["no-such-command"]).expect_refusal(127, &["no-such-command"]);
}

#[test]
fn a_session_needs_no_locale_of_the_caller() {
    needs!("root", "cgroup2", "tmux");
    let agent = "jt-bad-locale";
    let script = format!("printf 'gr\\303\\274n\\n'; echo $LANG; {}", harness::rest(300));
    let words = ["sh", "-c", &script];
    let mut run = cellblock("run", agent, &[], "demo", &words);
    let ended = finish(run.env_remove("LANG").env_remove("TERM"));
    assert!(ended.expect(0).out.contains("grün\nC.UTF-8"), "{ended:#?}");
    // A jail without any UTF-8 locale.
    let folder = Folder::new();
    let text = "extends = ['demo']\n[environment.set]\nLANG = 'C'\n";
    let profile = folder.profile("plain", text);
    let ended = finish(&mut cellblock("run", agent, &[], &profile, &["true"]));
    assert!(ended.status == Some(0) || ended.err.contains("UTF-8"), "{ended:#?}");
    host::expect_nothing_left(agent);
}
