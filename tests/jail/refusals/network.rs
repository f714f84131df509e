//! Whom the agent could talk to.

use super::{Attempt, Done, Evidence, Full, Profile, Refused, Without, run};

const HOST: &str = "extends = ['demo']\n[network]\nmode = 'host'\n";

const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "connect_to_localhost",
        needs: &["landlock>=4"],
        words: &["tcp", "127.0.0.1", "{tcp}", "{canary}"],
        evidence: Evidence::Arrived,
        tries: &[
            (Full, Refused("EACCES")),
            (Without(&["landlock"]), Refused("ENETUNREACH")),
            (Without(&["network"]), Refused("EACCES")),
            (Without(&["network", "landlock"]), Done),
            (Profile(HOST), Done),
        ],
    },
    Attempt {
        name: "connect_to_an_address",
        needs: &["landlock>=4"],
        words: &["tcp", "{address}", "{tcp}", "{canary}"],
        evidence: Evidence::Arrived,
        tries: &[
            (Full, Refused("EACCES")),
            (Without(&["landlock"]), Refused("ENETUNREACH")),
            (Profile(HOST), Done),
        ],
    },
    Attempt {
        name: "loopback_of_its_own",
        needs: &[],
        words: &["tcp", "127.0.0.1", "{tcp}", "{canary}"],
        evidence: Evidence::Arrived,
        // With its own `lo` up, the host's listener is still not there.
        tries: &[(
            Profile("extends = ['demo']\n[network]\nmode = 'loopback'\n"),
            Refused("ECONNREFUSED"),
        )],
    },
    Attempt {
        name: "send_by_udp",
        needs: &[],
        words: &["udp", "127.0.0.1", "{udp}", "{canary}"],
        evidence: Evidence::Arrived,
        tries: &[(Full, Refused("ENETUNREACH")), (Without(&["network"]), Done)],
    },
    Attempt {
        name: "unix_socket_by_path",
        needs: &[],
        words: &["unix", "{dir}/socket", "{canary}"],
        evidence: Evidence::Arrived,
        tries: &[(Full, Refused("ENOENT")), (Without(&["mount", "landlock"]), Done)],
    },
    Attempt {
        name: "unix_socket_by_name",
        needs: &["landlock>=6"],
        words: &["abstract", "{canary}", "{canary}"],
        evidence: Evidence::Arrived,
        tries: &[
            (Full, Refused("ECONNREFUSED")),
            (Without(&["landlock"]), Refused("ECONNREFUSED")),
            (Without(&["network"]), Refused("EPERM")),
            (Without(&["network", "landlock"]), Done),
        ],
    },
    Attempt {
        name: "raw_socket",
        needs: &[],
        words: &["socket", "2", "3", "1"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EPERM")), (Without(&["seccomp"]), Refused("EPERM"))],
    },
    Attempt {
        name: "raw_socket_in_namespace",
        needs: &[],
        words: &["raw_in_namespace"],
        evidence: Evidence::Word,
        tries: &[
            (Full, Refused("EPERM")),
            (Without(&["seccomp"]), Refused("ENOSPC")),
            (Without(&["seccomp", "nested-namespaces"]), Done),
        ],
    },
    Attempt {
        name: "netlink_of_uevents",
        needs: &[],
        words: &["socket", "16", "2", "15"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EAFNOSUPPORT")), (Without(&["seccomp"]), Done)],
    },
    Attempt {
        name: "netlink_of_audit",
        needs: &[],
        words: &["socket", "16", "3", "12"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EAFNOSUPPORT")), (Without(&["seccomp"]), Done)],
    },
    Attempt {
        name: "packet_socket",
        needs: &[],
        words: &["socket", "17", "3", "0"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EAFNOSUPPORT")), (Without(&["seccomp"]), Refused("EPERM"))],
    },
];

#[test]
fn nobody_is_reached() {
    needs!("root", "perl", "cgroup2", "landlock>=1");
    run("jt-network", ATTEMPTS);
}
