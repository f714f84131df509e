//! The escape battery, as a user runs it: whole, with each wall taken away, and in other sandboxes.

use crate::harness::{self, Ended, command, start};
use crate::host;
use serde_json::Value;
use std::time::Duration;

/// How long a whole run may take on an idle machine.
const LONG: Duration = Duration::from_secs(240);

/// `cellblock verify WORDS… --name AGENT`.
fn verify(agent: &str, words: &[&str]) -> Ended {
    let mut cellblock = command("/usr/bin/env");
    cellblock.args(["--default-signal", harness::program(), "verify", "--name", agent]).args(words);
    start(&mut cellblock).wait(LONG)
}

/// What `--json` said.
#[track_caller]
fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// The probes of a verdict, with their reasons.
fn with_verdict(report: &Value, verdict: &str) -> Vec<(String, String)> {
    let probes = report["probes"].as_array().unwrap().iter();
    let found = probes.filter(|probe| text(probe, "verdict") == verdict);
    found.map(|probe| (text(probe, "id").to_owned(), text(probe, "reason").to_owned())).collect()
}

/// Runs the whole battery against `profile` and tells what it came to.
#[track_caller]
fn nothing_gets_out(agent: &str, profile: &str) {
    let ended = verify(agent, &[profile, "--json"]);
    let report = report(&ended);
    for verdict in ["escaped", "hollow", "unclear"] {
        assert_eq!(with_verdict(&report, verdict), [], "{verdict}, {}", ended.err);
    }
    ended.expect(0);
    println!("{profile}: {}", report["totals"]);
    for (id, reason) in with_verdict(&report, "skipped") {
        println!("  skipped {id}: {reason}");
        assert!(!reason.is_empty(), "{id}");
    }
    let count = |key: &str| report["totals"][key].as_u64().unwrap();
    assert!(count("probes") >= 120 && count("denied") * 3 >= count("probes") * 2, "{report}");
    host::expect_nothing_left(agent);
}

/// The strictest jail that can stand here: where the host bounds memory and tasks, the one for Claude Code.
#[test]
fn nothing_gets_out_of_a_whole_jail() {
    needs!("root", "cgroup2", "landlock>=1");
    let strict = ["memory", "pids"].iter().all(|controller| host::has_controller(controller));
    nothing_gets_out("jt-verify", if strict { "claude" } else { "demo" });
}

/// Probes that look at sessions and groups of processes, where the ones of the referee have no number: who
/// leads them is outside of its pid namespace. systemd would take a pid of there for one of its own.
#[test]
fn a_session_led_from_another_pid_namespace_changes_nothing() {
    needs!("root", "cgroup2", "landlock>=1");
    let agent = "jt-verify-nested";
    let mut nested = command("/usr/bin/unshare");
    nested.args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "sh", "-c"]);
    // The sixth field is the session (proc_pid_stat(5)): without this it would be another test.
    let script = "[ \"$(cut -d ' ' -f 6 /proc/$$/stat)\" = 0 ] || exit 99; \
                  if [ -d /run/systemd ]; then mount -t tmpfs none /run/systemd; fi && exec \"$@\"";
    nested.args([script, "sh", harness::program(), "verify", "demo", "--json", "--name", agent]);
    let probes = ["SYS-05.sti", "SYS-23.sti", "PROC-08.group", "lifetime", "terminal"];
    nested.args(probes.iter().flat_map(|probe| ["--only", probe]));
    let ended = start(&mut nested).wait(LONG);
    let report = report(&ended);
    let denied: Vec<_> = with_verdict(&report, "denied").into_iter().map(|(id, _)| id).collect();
    for probe in &probes[..3] {
        assert!(denied.iter().any(|id| id == probe), "{probe}: {report:#}");
    }
    ended.expect(0);
    host::expect_nothing_left(agent);
}

/// Walls that are taken away, and probes that only they stop.
type Sole = (&'static [&'static str], &'static [&'static str]);

/// On every kernel. What the walls `keyring` and `nested-namespaces` stop, the filter stops, too; and no wall
/// that rests on the promise to gain no privileges can stand without it.
const SOLE: &[Sole] = &[
    (&["user"], &["NS-03.user", "NS-06.uids", "NS-06.gids", "NS-07"]),
    (
        &["mount"],
        &[
            "FS-04.read",
            "FS-06.settings",
            "FS-32.tmp",
            "FS-46.hidden",
            "NS-03.mnt",
            "DOS-07.tmp",
            "DOS-08",
        ],
    ),
    (&["pid"], &["PROC-08.see", "PROC-08.find", "PROC-08.limit", "NS-03.pid"]),
    (&["network"], &["NS-03.net", "IPC-04.stream", "NET-01.udp", "NET-03.autobind", "NET-26.udp"]),
    (&["ipc"], &["NS-03.ipc", "IPC-11.memory", "IPC-11.semaphore", "IPC-11.queue"]),
    (&["uts"], &["NS-03.uts", "NS-11.name"]),
    (&["cgroup"], &["PROC-13.cgroup", "NS-03.cgroup"]),
    (&["capabilities"], &["NS-01.bounding"]),
    (&["landlock"], &["FS-36.pipe"]),
    (&["seccomp"], &["FS-30.fchmodat", "SYS-01.socketcall", "SYS-03.setup"]),
    (&["rlimits"], &["PROC-17", "DOS-10"]),
    (&["descriptors"], &["FD-01.any", "FD-03.write", "FD-04.read", "FD-05.list"]),
    (&["no-new-privs", "landlock", "seccomp"], &["NS-02.no_new_privs"]),
    (&["keyring", "seccomp"], &["IPC-13.session"]),
    (&["nested-namespaces", "seccomp"], &["FS-17.fsopen"]),
];

/// Where the kernel has what is attacked.
const NEWER: &[Sole] = &[
    (&["memfd-exec"], &["FS-33.memory", "FS-33.asked"]),
    (&["seccomp"], &["SYS-08.lsm_set_self_attr"]),
];

/// Where nothing but the limits of processes counts tasks, and where cgroup v2 does, too.
const UNCOUNTED: &[Sole] = &[(&["rlimits"], &["DOS-01"])];
const COUNTED: &[Sole] =
    &[(&["tasks", "rlimits"], &["DOS-01"]), (&["memory"], &["DOS-02.anonymous", "DOS-02.memfd"])];

/// Takes the walls of each row of `table` away from the jail of `profile`, as `agent`.
#[track_caller]
fn gets_out(agent: &str, profile: &str, table: &[Sole]) {
    for (walls, ids) in table {
        let without = walls.iter().flat_map(|wall| ["--without", wall]);
        let only = ids.iter().flat_map(|id| ["--only", id]);
        let words: Vec<&str> = [profile, "--json"].into_iter().chain(without).chain(only).collect();
        let ended = verify(agent, &words);
        let report = report(&ended);
        let escaped: Vec<String> =
            with_verdict(&report, "escaped").into_iter().map(|(id, _)| id).collect();
        assert_eq!(escaped, *ids, "without {walls:?}: {report:#}");
        ended.expect(1);
    }
    host::expect_nothing_left(agent);
}

#[test]
fn what_nothing_else_stops_gets_out_without_its_wall() {
    needs!("root", "cgroup2", "landlock>=1");
    gets_out("jt-without", "demo", SOLE);
    let counts = ["memory", "pids"].iter().all(|controller| host::has_controller(controller));
    let (profile, table) = if counts { ("claude", COUNTED) } else { ("demo", UNCOUNTED) };
    gets_out("jt-without", profile, table);
}

#[test]
fn what_nothing_else_of_a_newer_kernel_stops_gets_out_without_its_wall() {
    needs!("root", "cgroup2", "landlock>=1", "memfd_noexec");
    gets_out("jt-without-newer", "demo", NEWER);
}

#[test]
fn without_any_jail_most_succeeds() {
    needs!("root", "cgroup2");
    let ended = verify(
        "jt-peer",
        &["demo", "--json", "--peer", "none", "--only", "lifetime", "--only", "terminal"],
    );
    let report = report(&ended);
    let escaped = with_verdict(&report, "escaped").len() as u64;
    let all = report["totals"]["probes"].as_u64().unwrap();
    let skipped = report["totals"]["skipped"].as_u64().unwrap();
    assert_eq!(escaped + skipped, all, "{report:#}");
    ended.expect(1);
}
