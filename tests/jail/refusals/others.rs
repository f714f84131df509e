//! Processes and memory of others, and of init.

use super::{Attempt, Done, Evidence, Full, Instead, Outside, Refused, Without, run};

const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "signal",
        needs: &["landlock>=6"],
        words: &["kill", "{victim}"],
        evidence: Evidence::Ended,
        tries: &[
            (Full, Refused("ESRCH")),
            (Without(&["landlock"]), Refused("ESRCH")),
            (Without(&["pid"]), Refused("EPERM")),
            (Without(&["pid", "landlock"]), Done),
        ],
    },
    Attempt {
        name: "trace",
        needs: &["landlock>=1"],
        words: &["ptrace", "{victim}"],
        evidence: Evidence::Word,
        tries: &[
            (Full, Refused("EPERM")),
            (Without(&["seccomp"]), Refused("ESRCH")),
            (Without(&["seccomp", "pid"]), Refused("EPERM")),
            (Without(&["seccomp", "pid", "landlock", "user"]), Done),
            (Outside, Done),
        ],
    },
    Attempt {
        name: "read_environment_of_init",
        needs: &[],
        words: &["read", "/proc/1/environ"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EACCES")), (Instead(&["read", "/proc/self/environ"]), Done)],
    },
    Attempt {
        name: "read_memory_of_init",
        needs: &[],
        words: &["sum", "/proc/1/maps"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EACCES")), (Instead(&["sum", "/proc/self/maps"]), Done)],
    },
    Attempt {
        name: "look_at_descriptors_of_init",
        needs: &[],
        words: &["list", "/proc/1/fd"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EACCES")), (Instead(&["list", "/proc/self/fd"]), Done)],
    },
    Attempt {
        name: "trace_init",
        needs: &[],
        words: &["ptrace", "1"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp"]), Refused("EPERM"))],
    },
];

#[test]
fn processes_of_others() {
    needs!("root", "perl", "cgroup2", "landlock>=1");
    run("jt-others", ATTEMPTS);
}
