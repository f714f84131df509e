//! Parts of the kernel that an agent has no use for.

use super::{Attempt, Done, Evidence, Full, Refused, Without, run};

const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "unshare_user",
        needs: &[],
        words: &["unshare"],
        evidence: Evidence::Word,
        tries: &[
            (Full, Refused("EPERM")),
            (Without(&["nested-namespaces"]), Refused("EPERM")),
            (Without(&["seccomp"]), Refused("ENOSPC")),
            (Without(&["seccomp", "nested-namespaces"]), Done),
        ],
    },
    Attempt {
        name: "namespace_of_pidfd",
        needs: &[],
        words: &["pidfd_namespace"],
        evidence: Evidence::Word,
        // Before Linux 6.11 no kernel has the request: it answers as the filter does.
        tries: &[(Full, Refused("ENOTTY"))],
    },
    Attempt {
        name: "lease",
        needs: &[],
        words: &["lease", "/tmp/file"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EACCES")), (Without(&["seccomp"]), Done)],
    },
    Attempt {
        name: "clone3_user",
        needs: &[],
        words: &["clone3"],
        evidence: Evidence::Word,
        tries: &[
            (Full, Refused("ENOSYS")),
            (Without(&["seccomp"]), Refused("ENOSPC")),
            (Without(&["seccomp", "nested-namespaces"]), Done),
        ],
    },
    Attempt {
        name: "mount",
        needs: &[],
        words: &["mount", "/tmp"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp"]), Refused("EPERM"))],
    },
    Attempt {
        name: "mount_in_namespace",
        needs: &[],
        words: &["mount_in_namespace", "/tmp"],
        evidence: Evidence::Word,
        tries: &[
            (Full, Refused("EPERM")),
            (Without(&["seccomp"]), Refused("ENOSPC")),
            (Without(&["seccomp", "nested-namespaces"]), Refused("EPERM")),
            (Without(&["seccomp", "nested-namespaces", "landlock"]), Done),
        ],
    },
    Attempt {
        name: "chroot_in_namespace",
        needs: &[],
        words: &["chroot_in_namespace", "/tmp"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp", "nested-namespaces"]), Done)],
    },
    Attempt {
        name: "io_uring",
        needs: &[],
        words: &["io_uring"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp"]), Done)],
    },
    Attempt {
        name: "userfaultfd",
        needs: &[],
        words: &["userfaultfd"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp"]), Done)],
    },
    Attempt {
        name: "keyctl",
        needs: &[],
        words: &["keyring"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp"]), Done)],
    },
    Attempt {
        name: "type_into_the_terminal",
        needs: &[],
        words: &["tiocsti", "5412"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM"))],
    },
    Attempt {
        name: "type_with_high_bits",
        needs: &[],
        // The kernel looks at 32 bits of the request, and so must the filter.
        words: &["tiocsti", "100005412"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM"))],
    },
    Attempt {
        name: "type_into_the_terminal_where_the_kernel_lets",
        needs: &["tiocsti"],
        words: &["tiocsti", "5412"],
        evidence: Evidence::Word,
        tries: &[(Without(&["seccomp"]), Done)],
    },
];

#[test]
fn calls_that_no_agent_needs() {
    needs!("root", "perl", "cgroup2", "landlock>=1");
    run("jt-kernel", ATTEMPTS);
}
