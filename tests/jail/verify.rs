//! `cellblock verify`: what it tells of a real jail, what it refuses, and what it leaves when it is ended.

use crate::harness::{self, DEADLINE, Ended, Folder, cellblock, eventually};
use crate::host;
use rustix::process::Signal;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A run of `options` on the profile `demo`, by an agent of this test's own.
fn verify(agent: &str, options: &[&str]) -> Ended {
    harness::finish(&mut cellblock("verify", agent, options, "demo", &[]))
}

/// The directories of runs in `scratch`.
fn runs(scratch: &str) -> Vec<String> {
    let entries = std::fs::read_dir(scratch).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("cellblock-verify-")).collect()
}

#[test]
fn a_jail_that_holds_is_told_in_every_format() {
    needs!("root");
    let agent = "verify-formats";
    let folder = Folder::new();
    let only = ["--only", "FS-01.secret"];
    let told = verify(agent, &only);
    assert!(
        told.expect(0).out.contains("nothing got out of the jail of `demo`: 1 of 1 probe denied")
    );
    let json = verify(agent, &[&only[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json.expect(0).out).unwrap();
    assert_eq!((&json["fine"], &json["totals"]["denied"]), (&true.into(), &1.into()));
    assert_eq!(json["probes"][0]["attempts"][0]["outcome"], "through");
    let page = folder.text("report.html");
    let junit = verify(agent, &[&only[..], &["--junit", "--html", &page]].concat());
    assert!(junit.expect(0).out.contains("<testsuites name=\"cellblock verify demo\" tests=\"1\""));
    assert!(std::fs::read_to_string(&page).unwrap().contains("FS-01.secret"));
    // Nothing but the report itself.
    assert_eq!(std::fs::read_dir(Path::new(&page).parent().unwrap()).unwrap().count(), 1);
    host::expect_nothing_left(agent);
}

#[test]
fn a_wall_that_is_away_is_an_escape_with_its_cure() {
    needs!("root");
    let agent = "verify-away";
    let ended = verify(agent, &["--only", "SYS-03.setup", "--without", "seccomp"]);
    ended.expect(1);
    assert!(ended.out.contains("ESCAPED      SYS-03.setup"), "{}", ended.out);
    assert!(ended.out.contains("`seccomp` does not stand (taken away by the command line)"));
    host::expect_nothing_left(agent);
}

#[test]
fn a_run_that_is_asked_to_end_leaves_nothing() {
    needs!("root");
    for (agent, signals) in
        [("verify-ended", &[Signal::TERM][..]), ("verify-ended-twice", &[Signal::INT, Signal::INT])]
    {
        let folder = Folder::on_disk();
        let scratch = folder.text("");
        let options = ["--matrix", "--scratch", &scratch];
        let running = harness::start(&mut cellblock("verify", agent, &options, "demo", &[]));
        // In the middle of an attempt behind one wall.
        eventually("an attempt in a jail", || (!host::records(agent).is_empty()).then_some(()));
        signals.iter().for_each(|signal| running.signal(*signal));
        let ended = running.wait(DEADLINE);
        ended.expect(128 + signals[0].as_raw());
        assert!(ended.err.contains("ended by a signal after"), "{}", ended.err);
        assert_eq!(ended.out, "");
        assert_eq!(runs(&scratch), [""; 0]);
        host::expect_nothing_left(agent);
    }
}

/// The System V objects of `uid` on the host, by what they are and their number.
fn objects(uid: u32) -> Vec<String> {
    let of = |kind: &str| {
        let table = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap();
        let rows: Vec<Vec<_>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
        let owner = rows[0].iter().position(|column| *column == "uid").unwrap();
        let owned = rows.iter().skip(1).filter(|row| row[owner] == uid.to_string());
        owned.map(|row| format!("{kind} {}", row[1])).collect::<Vec<_>>()
    };
    [of("shm"), of("sem"), of("msg")].concat()
}

#[test]
fn a_run_that_is_killed_hinders_no_next_one_and_lets_nobody_in() {
    needs!("root");
    let agent = "verify-killed";
    let folder = Folder::on_disk();
    let scratch = folder.text("");
    // What a test that was itself killed has left on this host.
    let stale = host::uid_of(agent).map(objects).unwrap_or_default();
    let new = || {
        let now = objects(host::uid_of(agent).unwrap());
        now.into_iter().filter(|object| !stale.contains(object)).collect::<Vec<_>>()
    };
    let options = ["--matrix", "--scratch", &scratch];
    let mut running = harness::start(&mut cellblock("verify", agent, &options, "demo", &[]));
    eventually("an attempt in a jail", || {
        // What is seen of a run that stands still is so when it is killed.
        running.signal(Signal::STOP);
        let state = || host::status(running.pid().as_raw_nonzero().get(), "State");
        eventually("it stands still", || state()?.starts_with('T').then_some(()));
        let attacks = !host::records(agent).is_empty() && new().len() == 3;
        if !attacks {
            running.signal(Signal::CONT);
        }
        attacks.then_some(())
    });
    running.child.kill().unwrap();
    running.wait(DEADLINE);
    // What root makes in it, the agent may write: nobody else may come to it.
    let left = runs(&scratch);
    let left = Path::new(&scratch).join(&left[0]);
    let metadata = left.metadata().unwrap();
    let uid = host::uid_of(agent).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o710, 0, uid));
    let only = ["--only", "FS-01.secret", "--scratch", &scratch];
    let second = verify(agent, &only);
    second.expect(0);
    let before = new();
    assert_ne!(before, [""; 0], "nothing for the next run to remove");
    // So old that it cannot be on its way to be locked.
    let old = SystemTime::now() - Duration::from_secs(600);
    File::open(&left).unwrap().set_modified(old).unwrap();
    let third = verify(agent, &only);
    third.expect(0);
    let told = format!("before: {before:?}, stale: {stale:?}\n{}\n{}", second.err, third.err);
    assert_eq!((runs(&scratch), new()), (Vec::new(), Vec::new()), "{told}");
    host::expect_nothing_left(agent);
}

#[test]
fn two_runs_do_not_attack_as_the_same_agent() {
    needs!("root");
    let agent = "verify-twice";
    let first = harness::start(&mut cellblock("verify", agent, &["--matrix"], "demo", &[]));
    eventually("an attempt in a jail", || (!host::records(agent).is_empty()).then_some(()));
    let second = verify(agent, &["--only", "FS-01"]);
    second.expect_refusal(125, &["another run makes its attacks as uid", "--name NAME"]);
    first.signal(Signal::TERM);
    first.wait(DEADLINE).expect(143);
    host::expect_nothing_left(agent);
}

#[test]
fn an_agent_that_runs_is_not_attacked() {
    needs!("root");
    let agent = "verify-running";
    let running = harness::start(&mut cellblock("exec", agent, &[], "demo", &["sleep", "600"]));
    eventually("its processes", || {
        let uid = host::uid_of(agent)?;
        (!host::processes(uid).is_empty()).then_some(())
    });
    let refused = verify(agent, &["--only", "FS-01"]);
    refused.expect_refusal(125, &["runs as uid", "--name NAME"]);
    running.signal(Signal::TERM);
    running.wait(DEADLINE);
    host::expect_nothing_left(agent);
}

#[test]
fn what_cannot_be_verified_is_refused_with_a_cure() {
    needs!("root");
    let agent = "verify-refused";
    let refused = |options: &[&str], words: &[&str]| {
        verify(agent, options).expect_refusal(125, words);
    };
    refused(&["--only", "fs-01"], &["is no family, attack or probe", "did you mean FS-01"]);
    refused(&["--scratch", "/usr"], &["--scratch", "the jail shows `/usr`"]);
    refused(&["--scratch", "/dev/shm"], &["--scratch", "the jail shows `/dev`"]);
    refused(&["--scratch", "/nowhere"], &["--scratch: `/nowhere` does not exist"]);
    let folder = Folder::on_disk();
    let open = folder.directory("open", 0o777);
    refused(&["--scratch", &open], &["can be changed by others than root"]);
    let closed = folder.directory("closed", 0o700);
    refused(&["--scratch", &closed], &["is closed to the agent"]);
    refused(&["--html", "/dev/null"], &["--html: `/dev/null` is not a file"]);
    refused(&["--json", "--html", "-"], &["several reports would go to standard output"]);
    host::expect_nothing_left(agent);
}
