//! What is smaller on an older kernel is told, and nothing else is missing on a host that has everything.

use crate::harness::{command, exec, finish, program};
use crate::host;

/// The rows of `doctor`, as name, state and detail.
fn doctor() -> Vec<(String, String, String)> {
    let ended = finish(command(program()).args(["doctor", "--json"]).current_dir("/var/tmp"));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&ended.out).unwrap();
    let word = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter().map(|row| (word(row, "name"), word(row, "state"), word(row, "detail"))).collect()
}

fn kernel() -> (u32, u32) {
    let release = rustix::system::uname().release().to_str().unwrap().to_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_host_that_has_everything_is_all_green() {
    needs!("root", "systemd", "cgroup2:memory", "cgroup2:pids", "cgroup2:cpu", "prjquota", "tmux");
    for (name, state, detail) in doctor() {
        // Whether it is on is the admin's choice, and no wall rests on it.
        if name == "(audit)" {
            assert!(["stands", "lacking"].contains(&&*state), "{name}: {detail}");
            continue;
        }
        let not_in_kernel = (name == "memfd-exec" && kernel() < (6, 3))
            || (name == "(landlock audit)" && kernel() < (6, 15));
        let expected = if not_in_kernel { "not-in-kernel" } else { "stands" };
        assert_eq!(state, expected, "{name}: {detail}");
    }
}

#[test]
fn the_landlock_of_this_kernel_is_told() {
    needs!("root", "landlock>=1");
    let rows = doctor();
    let (_, state, detail) = rows.iter().find(|(name, ..)| name == "landlock").unwrap();
    assert_eq!(state, "stands");
    let abi: u32 = detail.strip_prefix("ABI ").unwrap().parse().unwrap();
    // What docs/kernels.md says of these.
    let least = [((6, 12), 6), ((6, 10), 5), ((6, 7), 4), ((6, 2), 3), ((5, 19), 2), ((5, 13), 1)];
    let (_, least) = least.iter().find(|(since, _)| kernel() >= *since).unwrap();
    assert!(abi >= *least, "{abi} on {:?}", kernel());
    if kernel() < (6, 2) {
        assert_eq!(abi, *least);
    }
}

#[test]
fn settings_are_made_where_other_walls_are_missing() {
    needs!("root", "cgroup2");
    let without = ["--without", "mount", "--without", "memfd-exec"];
    exec("jt-settings", &without, "demo", &["true"]).expect(0);
    host::expect_nothing_left("jt-settings");
}
