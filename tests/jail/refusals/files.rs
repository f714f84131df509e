//! Files of others, and files of the agent's own that stay as they are.

use super::{Attempt, Done, Evidence, Full, Profile, Refused, Without, run};

/// The workspace without any protection.
const BARE: &str = "extends = ['base']\n[enforcement]\nwithout = ['memory', 'tasks']\n";

const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "read_shadow",
        needs: &[],
        words: &["sum", "/etc/shadow"],
        evidence: Evidence::Word,
        tries: &[
            (Full, Refused("ENOENT")),
            (Without(&["mount", "landlock"]), Refused("EACCES")),
            (
                Profile(
                    "extends = ['demo']\n[agent]\ngroups = ['shadow']\n[filesystem]\nread = ['/etc/shadow']",
                ),
                Done,
            ),
        ],
    },
    Attempt {
        name: "read_others_file",
        needs: &[],
        words: &["read", "{dir}/other/file"],
        evidence: Evidence::Said,
        tries: &[
            (Full, Refused("ENOENT")),
            (Without(&["landlock"]), Refused("ENOENT")),
            (Without(&["mount"]), Refused("EACCES")),
            (Without(&["mount", "landlock"]), Done),
            (Profile("extends = ['demo']\n[filesystem]\nread = ['{dir}/other']"), Done),
        ],
    },
    Attempt {
        name: "list_others_files",
        needs: &[],
        words: &["list", "{dir}/other"],
        evidence: Evidence::Word,
        tries: &[
            (Full, Refused("ENOENT")),
            (Without(&["mount"]), Refused("EACCES")),
            (Without(&["mount", "landlock"]), Done),
        ],
    },
    Attempt {
        name: "write_outside",
        needs: &[],
        words: &["write", "{dir}/open/new", "{canary}"],
        evidence: Evidence::Written("{dir}/open/new"),
        tries: &[
            (Full, Refused("ENOENT")),
            (Without(&["mount"]), Refused("EACCES")),
            (Without(&["mount", "landlock"]), Done),
            (Profile("extends = ['demo']\n[filesystem]\nwrite = ['{dir}/open']"), Done),
        ],
    },
    Attempt {
        name: "write_what_is_shown_to_read",
        needs: &[],
        words: &["write", "{dir}/open/new", "{canary}"],
        evidence: Evidence::Written("{dir}/open/new"),
        tries: &[
            (Profile("extends = ['demo']\n[filesystem]\nread = ['{dir}/open']"), Refused("EROFS")),
            (Profile("extends = ['demo']\n[filesystem]\nwrite = ['{dir}/open']"), Done),
        ],
    },
    Attempt {
        name: "make_protected_file",
        needs: &[],
        words: &["write", "/workspace/.envrc", "{canary}"],
        evidence: Evidence::Written("{dir}/project/.envrc"),
        tries: &[
            (Full, Refused("EROFS")),
            (Without(&["landlock"]), Refused("EROFS")),
            (Profile(BARE), Done),
        ],
    },
    Attempt {
        name: "make_file_in_protected_place",
        needs: &[],
        words: &["write", "/workspace/.git/hooks/pre-commit", "{canary}"],
        evidence: Evidence::Written("{dir}/project/.git/hooks/pre-commit"),
        tries: &[(Full, Refused("EROFS")), (Profile(BARE), Done)],
    },
    Attempt {
        name: "append_to_protected_file",
        needs: &[],
        words: &["append", "/workspace/.git/config", "{canary}"],
        evidence: Evidence::Written("{dir}/project/.git/config"),
        tries: &[(Full, Refused("EROFS")), (Profile(BARE), Done)],
    },
    Attempt {
        name: "replace_protected_file",
        needs: &[],
        words: &["rename", "/workspace/file", "/workspace/.git/config"],
        evidence: Evidence::Written("{dir}/project/.git/config"),
        tries: &[(Full, Refused("EXDEV")), (Profile(BARE), Done)],
    },
    Attempt {
        name: "remove_protected_file",
        needs: &[],
        words: &["unlink", "/workspace/.git/config"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EBUSY")), (Profile(BARE), Done)],
    },
    Attempt {
        name: "move_what_holds_protected",
        needs: &[],
        words: &["rename", "/workspace/.git", "/workspace/moved"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EBUSY")), (Profile(BARE), Done)],
    },
    Attempt {
        name: "read_hidden_file",
        needs: &[],
        words: &["read", "/workspace/.env"],
        evidence: Evidence::Said,
        tries: &[
            (Full, Refused("EACCES")),
            (Without(&["landlock"]), Refused("EACCES")),
            (Profile(BARE), Done),
        ],
    },
    Attempt {
        name: "move_hidden_file",
        needs: &[],
        words: &["rename", "/workspace/.env", "/workspace/seen"],
        evidence: Evidence::Written("{dir}/project/seen"),
        tries: &[(Full, Refused("EBUSY")), (Profile(BARE), Done)],
    },
    Attempt {
        name: "read_hidden_file_by_link",
        needs: &[],
        words: &["link", "/workspace/.env", "/workspace/seen"],
        evidence: Evidence::Said,
        tries: &[(Full, Refused("EXDEV")), (Profile(BARE), Done)],
    },
    Attempt {
        name: "read_kernel_symbols",
        needs: &[],
        words: &["sum", "/proc/kallsyms"],
        evidence: Evidence::Word,
        tries: &[(Full, Refused("EACCES")), (Without(&["mount"]), Done)],
    },
];

#[test]
fn files_of_others_and_protected_files() {
    needs!("root", "perl", "cgroup2", "landlock>=1");
    run("jt-files", ATTEMPTS);
}
