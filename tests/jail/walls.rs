//! Every wall, looked at from inside.

use crate::harness::{self, Folder, cellblock, command, exec, finish};
use crate::host;
use crate::refusals::PROBE;
use std::collections::BTreeMap;

/// What the issue asks to be shown, word by word.
const SHOWN: &str = "grep -E \"Uid|CapEff|CapBnd|NoNewPrivs|Seccomp:\" /proc/self/status; ls /; ls /dev; \
     cat /proc/net/dev; ps ax";

#[test]
fn the_walls_from_inside() {
    needs!("root", "cgroup2", "ps");
    let agent = "jt-walls";
    let shown = exec(agent, &[], "demo", &["sh", "-c", SHOWN]);
    shown.expect(0);
    let uid = host::uid_of(agent).unwrap();
    let lines: Vec<String> = shown
        .out
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let has = |line: &str| assert!(lines.iter().any(|known| known == line), "{line}: {shown:#?}");
    has(&format!("Uid: {uid} {uid} {uid} {uid}"));
    has("CapEff: 0000000000000000");
    has("CapBnd: 0000000000000000");
    has("NoNewPrivs: 1");
    has("Seccomp: 2");
    let root = lines.iter().skip_while(|line| !line.starts_with("Seccomp:")).skip(1);
    let root: Vec<_> = root.take_while(|line| *line != "fd").cloned().collect();
    for name in &root {
        let known = ["bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc"];
        let known = known.iter().chain(&["run", "sbin", "tmp", "usr", "var", "workspace"]);
        assert!(known.into_iter().any(|known| known == name), "/{name} is shown");
    }
    let devices = lines.iter().skip_while(|line| *line != "fd");
    let devices: Vec<_> = devices.take_while(|line| !line.starts_with("Inter-")).collect();
    let expected = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(devices, expected.split(' ').collect::<Vec<_>>());
    let interfaces: Vec<_> = lines.iter().filter(|line| line.contains(": 0 0")).collect();
    assert_eq!(interfaces.len(), 1, "{shown:#?}");
    assert!(interfaces[0].starts_with("lo:"));
    let processes: Vec<_> = lines.iter().skip_while(|line| !line.starts_with("PID")).collect();
    assert_eq!(processes.len(), 4, "heading, init, sh and ps: {shown:#?}");
    assert!(processes[1].starts_with("1 ") && processes[1].contains("cellblock-init"));
    host::expect_nothing_left(agent);
}

/// What one line of a script of `name: command` must answer.
type Reading = (&'static str, &'static str, &'static str);

/// Name, shell command, answer.
const READINGS: &[Reading] = &[
    ("groups", "sed -n 's/^Groups:[ \t]*//p' /proc/self/status", ""),
    ("inheritable", "sed -n 's/^CapInh:[ \t]*//p' /proc/self/status", "0000000000000000"),
    ("permitted", "sed -n 's/^CapPrm:[ \t]*//p' /proc/self/status", "0000000000000000"),
    ("ambient", "sed -n 's/^CapAmb:[ \t]*//p' /proc/self/status", "0000000000000000"),
    ("ids in the map", "awk '{ print $3 }' /proc/self/uid_map", "1"),
    ("lines of the map", "wc -l < /proc/self/uid_map", "1"),
    ("setgroups", "cat /proc/self/setgroups", "deny"),
    ("user namespaces", "cat /proc/sys/user/max_user_namespaces", "0"),
    ("cgroup", "sed -n 's/^0:://p' /proc/self/cgroup", "/"),
    ("umask", "umask", "0077"),
    ("core", "ulimit -c; ulimit -H -c", "0 0"),
    // What the caller may not exceed, the jail may not either.
    ("files", "[ $(ulimit -n) -le 65536 ] && echo bounded", "bounded"),
    ("files for good", "[ $(ulimit -n) = $(ulimit -H -n) ] && echo bounded", "bounded"),
    ("mounts not nosuid", "awk '$6 !~ /nosuid/' /proc/self/mountinfo | wc -l", "0"),
    (
        "mounts not nodev",
        "awk '$6 !~ /nodev/ && $5 != \"/dev\" && $5 !~ \"^/dev/pts\"' /proc/self/mountinfo | wc -l",
        "0",
    ),
    (
        "mounts that propagate",
        "grep -cE ' (shared|master|propagate_from):' /proc/self/mountinfo",
        "0",
    ),
    (
        "to write and to execute",
        "awk '$6 ~ /^rw/ && $6 !~ /noexec/ { print $5 }' /proc/self/mountinfo",
        "/workspace",
    ),
    (
        "proc is read-only",
        "awk '$5 == \"/proc\" { print substr($6, 1, 2) }' /proc/self/mountinfo",
        "ro",
    ),
    ("sockets of the host", "find / -xdev -type s 2>/dev/null | wc -l", "0"),
    ("tmux of outside", "echo \"$TMUX$TMUX_PANE\"", ""),
    ("descriptors", "sh -c 'ls /proc/$$/fd' | tr '\\n' ' '", "0 1 2"),
    ("session", "ps -o sid= -p $$ | tr -d ' '", "1"),
    (
        "whole root",
        "touch /x 2>/dev/null; touch /etc/x 2>/dev/null; ls /x /etc/x 2>/dev/null | wc -l",
        "0",
    ),
];

#[test]
fn readings_from_inside() {
    needs!("root", "cgroup2", "ps");
    let agent = "jt-readings";
    let script: String = READINGS
        .iter()
        .map(|(name, command, _)| {
            format!("printf '%s=' '{name}'; ({command}) | tr '\\n' ' '; echo\n")
        })
        .collect();
    let mut cellblock = cellblock("exec", agent, &[], "demo", &["sh", "-c", &script]);
    let read = finish(cellblock.env("TMUX", "/tmp/tmux-0/default,1,0").env("TMUX_PANE", "%1"));
    let found: BTreeMap<_, _> = read.out.lines().filter_map(|line| line.split_once('=')).collect();
    let mut wrong = Vec::new();
    for (name, _, expected) in READINGS {
        let found = found.get(name).map_or("(nothing)", |found| found.trim());
        if found != *expected {
            wrong.push(format!("{name}: `{found}`, not `{expected}`"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n{}", wrong.join("\n"), read.err);
    host::expect_nothing_left(agent);
}

#[test]
fn nothing_of_the_callers_environment_passes() {
    needs!("root", "cgroup2");
    let canary = harness::canary();
    let mut cellblock = cellblock("exec", "jt-environ", &[], "demo", &["env"]);
    for name in ["SECRET", "LD_PRELOAD_X", "SUDO_X", "PS4", "BASH_ENV", "TMUX", "SSH_AUTH_SOCK"] {
        cellblock.env(name, &canary);
    }
    let shown = finish(cellblock.env("TZ", "Europe/Vienna"));
    assert!(!shown.expect(0).out.contains(&canary), "{shown:#?}");
    let mut names: Vec<_> = shown.out.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    let expected = "HOME LANG LOGNAME PATH PS1 SHELL TERM TMPDIR TZ USER";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn a_secret_reaches_the_agent_and_nobody_else() {
    needs!("root", "cgroup2");
    let (folder, canary) = (Folder::new(), harness::canary());
    let secret = folder.file("secret", &format!("{canary}\n"), 0o600);
    let profile = folder.profile(
        "secret",
        &format!("extends = ['demo']\n[environment]\nsecrets = {{ KEY = '{secret}' }}\n"),
    );
    let shown = exec("jt-secret", &[], &profile, &["sh", "-c", "echo $KEY; cat /proc/1/cmdline"]);
    assert!(shown.expect(0).out.starts_with(&canary), "{shown:#?}");
    assert_eq!(shown.out.matches(&canary).count(), 1, "on a command line: {shown:#?}");
    assert!(!shown.err.contains(&canary));
    let explained = finish(command(harness::program()).args(["explain", &profile]));
    assert!(!explained.out.contains(&canary) && explained.out.contains("KEY="), "{explained:#?}");
}

#[test]
fn what_the_caller_has_open_does_not_count_for_the_agents_limit() {
    needs!("root", "cgroup2", "perl");
    let folder = Folder::new();
    let profile = folder.profile("small", "extends = ['demo']\n[limits]\nopen_files = 16\n");
    let cellblock = cellblock("exec", "jt-open", &[], &profile, &["sh", "-c", "ulimit -n"]);
    // `$^F`: what is opened up to that number stays open over exec.
    let opener = "$^F = 100; open($_, '<', '/dev/null') or die for @files[0 .. 59]; exec @ARGV";
    let mut perl = command("/usr/bin/perl");
    perl.args(["-e", opener]).arg(cellblock.get_program()).args(cellblock.get_args());
    assert_eq!(finish(&mut perl).expect(0).out, "16\n");
    host::expect_nothing_left("jt-open");
}

/// A wall around what the caller has: what the caller gives, what the probe asks, how it is given.
struct Gift {
    wall: &'static [&'static str],
    words: &'static [&'static str],
}

#[test]
fn nothing_of_the_callers_is_inherited() {
    needs!("root", "cgroup2", "perl");
    let (folder, canary) = (Folder::new(), harness::canary());
    let file = folder.file("secret", &canary, 0o600);
    let gifts = [
        // The key is asked for by a call that the filter refuses: that wall is away in both.
        (Gift { wall: &["keyring"], words: &["key", "jt-key"] }, &["--without", "seccomp"][..]),
        (Gift { wall: &["descriptors"], words: &["descriptor", "7"] }, &[]),
    ];
    for (gift, always) in gifts {
        for without in [&[][..], gift.wall] {
            let mut options = always.to_vec();
            options.extend(without.iter().flat_map(|wall| ["--without", wall]));
            let mut words = vec!["/usr/bin/perl", "-e", PROBE];
            words.extend(gift.words);
            let cellblock = cellblock("exec", "jt-gifts", &options, "demo", &words);
            let giver = "probe=$1 key=$2 file=$3; shift 3; exec 7< \"$file\"; exec perl -e \"$probe\" with_key jt-key \"$key\" \"$@\"";
            let mut sh = command("/bin/sh");
            sh.args(["-c", giver, "sh", PROBE, &canary, &file]);
            let ended = finish(sh.arg(cellblock.get_program()).args(cellblock.get_args()));
            let got = ended.out.contains(&canary);
            assert_eq!(
                got,
                !without.is_empty(),
                "{:?} without {without:?}: {ended:#?}",
                gift.words
            );
        }
    }
}

#[test]
fn shared_memory_and_host_name_are_its_own() {
    needs!("root", "cgroup2", "perl");
    let (agent, canary) = ("jt-ipc", harness::canary());
    exec(agent, &[], "demo", &["true"]).expect(0);
    let uid = host::uid_of(agent).unwrap();
    let key = (0x6a74_0000 + std::process::id() % 0xffff).to_string();
    let probe = |words: &[&str]| {
        use std::os::unix::process::CommandExt as _;
        finish(command("/usr/bin/perl").args(["-e", PROBE]).args(words).uid(uid).gid(uid))
    };
    probe(&["make_shm", &key, &canary]).expect(0);
    let inside = |options: &[&str], words: &[&str]| {
        let mut all = vec!["/usr/bin/perl", "-e", PROBE];
        all.extend(words);
        exec(agent, options, "demo", &all)
    };
    let full = inside(&[], &["shm", &key]);
    let bare = inside(&["--without", "ipc"], &["shm", &key]);
    probe(&["drop_shm", &key]).expect(0);
    assert_eq!(full.out, "refused ENOENT\n", "{full:#?}");
    assert!(bare.out.contains(&canary), "{bare:#?}");
    assert_eq!(inside(&[], &["host"]).out, format!("done {agent}\n"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let bare = inside(&["--without", "uts"], &["host"]);
    assert_eq!(bare.out, format!("done {host}"), "{bare:#?}");
}

/// An ELF program for x86_64 that asks for its pid by `int 0x80` and ends with the errno.
fn foreign_call() -> Vec<u8> {
    let code: &[u8] = &[
        0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0x31, 0xff, 0x85, 0xc0, 0x79, 4, 0x89, 0xc7, 0xf7, 0xdf,
        0xb8, 60, 0, 0, 0, 0x0f, 0x05,
    ];
    let base: u64 = 0x40_0000;
    let length = 120 + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    elf.extend((base + 120).to_le_bytes());
    elf.extend(64_u64.to_le_bytes());
    elf.extend([0; 12]);
    elf.extend([64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for number in [0, base, base, length, length, 0x1000] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(code);
    elf
}

#[test]
fn calls_of_another_architecture_are_refused() {
    needs!("root", "cgroup2", "x86_64", "ia32");
    let folder = Folder::new();
    std::fs::write(folder.path("foreign"), foreign_call()).unwrap();
    std::fs::set_permissions(
        folder.path("foreign"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let program = folder.text("foreign");
    finish(&mut command(&program)).expect(0);
    let text = format!("extends = ['demo']\n[filesystem]\nexecute = ['{program}']\n");
    let profile = folder.profile("foreign", &text);
    let refused = exec("jt-ia32", &[], &profile, &[&program]);
    assert!(matches!(refused.status, Some(1 | 38 | 159)), "{refused:#?}");
    exec("jt-ia32", &["--without", "seccomp"], &profile, &[&program]).expect(0);
}
