//! Programs that the agent brings along.

use super::{Attempt, Done, Evidence, Full, Outside, Profile, Refused, Without, run};

const EXECUTABLE_TMP: &str = "extends = ['demo']\n[filesystem]\ntmp_execute = true\n";

const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "execute_from_tmp",
        needs: &[],
        words: &["execute_copy", "/tmp/program", "{canary}"],
        evidence: Evidence::Said,
        tries: &[
            (Full, Refused("EACCES")),
            (Without(&["landlock"]), Refused("EACCES")),
            (Profile(EXECUTABLE_TMP), Done),
        ],
    },
    Attempt {
        name: "execute_by_loader",
        needs: &[],
        words: &["execute_by_loader", "/tmp/program", "{canary}"],
        evidence: Evidence::Said,
        tries: &[(Full, Refused("EPERM")), (Profile(EXECUTABLE_TMP), Done)],
    },
    Attempt {
        name: "execute_from_shared_memory",
        needs: &[],
        words: &["execute_copy", "/dev/shm/program", "{canary}"],
        evidence: Evidence::Said,
        tries: &[(Full, Refused("EACCES")), (Without(&["mount", "landlock"]), Done)],
    },
    Attempt {
        name: "execute_from_memory",
        needs: &["memfd_noexec"],
        words: &["memfd", "{canary}", "0"],
        evidence: Evidence::Said,
        tries: &[(Full, Refused("EACCES")), (Without(&["memfd-exec"]), Done)],
    },
    Attempt {
        name: "execute_sealed_memory",
        needs: &["memfd_noexec"],
        // MFD_NOEXEC_SEAL, which the setting lets pass: such a file cannot be executed.
        words: &["memfd", "{canary}", "8"],
        evidence: Evidence::Said,
        tries: &[(Full, Refused("EACCES"))],
    },
    Attempt {
        name: "execute_where_shown_to_read",
        needs: &[],
        words: &["program", "{dir}/shown/echo", "done", "{canary}"],
        evidence: Evidence::Said,
        tries: &[
            (
                Profile("extends = ['demo']\n[filesystem]\nread = ['{dir}/shown']"),
                Refused("EACCES"),
            ),
            (Profile("extends = ['demo']\n[filesystem]\nexecute = ['{dir}/shown']"), Done),
        ],
    },
    Attempt {
        name: "gain_by_setuid_program",
        needs: &[],
        // Prints `done` where it became root.
        words: &["become_root", "{dir}/shown/id"],
        evidence: Evidence::Word,
        tries: &[
            (
                Profile("extends = ['demo']\n[filesystem]\nexecute = ['{dir}/shown']"),
                Refused("EPERM"),
            ),
            (Outside, Done),
        ],
    },
    Attempt {
        name: "make_setuid_file",
        needs: &[],
        words: &["setuid_bit", "/tmp/program"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp"]), Done)],
    },
    Attempt {
        name: "make_setgid_directory",
        needs: &[],
        words: &["setgid_directory", "/tmp/directory"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp"]), Done)],
    },
];

#[test]
fn programs_of_the_agents_own() {
    needs!("root", "perl", "cgroup2", "landlock>=1");
    run("jt-programs", ATTEMPTS);
}
