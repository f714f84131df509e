//! `[seccomp] policy`: calls that it allows and the shipped policy `agent` refuses.
//!
//! Which these are is told by what the policies decide ([`super::beyond`]), never by a policy's name.

use super::Point;
use super::beyond::{Beyond, beyond_agent};
use crate::policy::seccomp::Policy;
use crate::profile::Profile;

/// Calls that are dangerous in the same way.
struct Group {
    key: &'static str,
    meaning: &'static str,
    calls: &'static [&'static str],
    /// What it costs if one of them is allowed, in tenths.
    tenths: u16,
    why: &'static str,
}

/// The reasons are those of `policies/seccomp/minimal.toml`, weighed.
const GROUPS: &[Group] = &[
    Group {
        key: "namespaces",
        meaning: "makes and enters no namespaces",
        calls: &["clone", "clone3", "unshare", "setns"],
        tenths: 20,
        why: "in a namespace of its own it has capabilities again, and reaches most of the kernel",
    },
    Group {
        key: "mounts",
        meaning: "changes no mounts",
        calls: &[
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "open_tree",
            "open_tree_attr",
            "move_mount",
            "mount_setattr",
            "statmount",
            "listmount",
        ],
        tenths: 20,
        why: "with a namespace of its own it takes covers off what is hidden and protected",
    },
    Group {
        key: "tracing",
        meaning: "reads no memory of other processes",
        calls: &[
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "process_madvise",
            "pidfd_getfd",
            "kcmp",
        ],
        tenths: 15,
        why: "it takes over helpers in the jail, and their descriptors",
    },
    Group {
        key: "io_uring",
        meaning: "makes no calls past the filter",
        calls: &["io_uring_setup", "io_uring_enter", "io_uring_register"],
        tenths: 20,
        why: "a ring performs calls that the filter never sees, and had many holes",
    },
    Group {
        key: "bpf",
        meaning: "loads no programs into the kernel",
        calls: &["bpf"],
        tenths: 20,
        why: "programs of its own in the kernel, whose checker had many holes",
    },
    Group {
        key: "perf",
        meaning: "measures no other programs",
        calls: &["perf_event_open"],
        tenths: 10,
        why: "a large interface with many holes, which also watches other processes",
    },
    Group {
        key: "userfaultfd",
        meaning: "cannot hold the kernel half-way",
        calls: &["userfaultfd"],
        tenths: 10,
        why: "it holds the kernel in the middle of a call, as exploits need",
    },
    Group {
        key: "keyrings",
        meaning: "uses no kernel keys",
        calls: &["keyctl", "add_key", "request_key"],
        tenths: 10,
        why: "keyrings are not bound to namespaces, and asking for a key starts a helper outside",
    },
    Group {
        key: "handles",
        meaning: "opens no files by number",
        calls: &["name_to_handle_at", "open_by_handle_at"],
        tenths: 15,
        why: "file handles walk around mounts",
    },
    Group {
        key: "modules",
        meaning: "loads no kernel code",
        calls: &[
            "init_module",
            "finit_module",
            "delete_module",
            "create_module",
            "query_module",
            "kexec_load",
            "kexec_file_load",
        ],
        tenths: 20,
        why: "nothing but missing capabilities then keeps code out of the kernel",
    },
    Group {
        key: "administration",
        meaning: "does not administer the host",
        calls: &[
            "reboot",
            "swapon",
            "swapoff",
            "acct",
            "quotactl",
            "quotactl_fd",
            "nfsservctl",
            "lookup_dcookie",
            "get_kernel_syms",
            "syslog",
            "vhangup",
            "sethostname",
            "setdomainname",
            "iopl",
            "ioperm",
        ],
        tenths: 10,
        why: "nothing but missing capabilities then keeps it from administering the host",
    },
    Group {
        key: "clocks",
        meaning: "sets no clocks",
        calls: &["settimeofday", "clock_settime", "clock_adjtime", "adjtimex"],
        tenths: 5,
        why: "the clocks belong to everybody",
    },
    Group {
        key: "sockets",
        meaning: "Unix and Internet sockets only",
        calls: &["socket", "socketpair"],
        tenths: 15,
        why: "other families (packets, netlink, vsock, crypto and more) are where many holes were",
    },
    Group {
        key: "messages",
        meaning: "plain messages, and plain options of sockets",
        calls: &["sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "setsockopt"],
        tenths: 5,
        why: "filters of its own, out-of-band bytes, or connecting past Landlock's rules",
    },
    Group {
        key: "set_id",
        meaning: "makes no setuid files and no devices",
        calls: &[
            "chmod",
            "fchmod",
            "fchmodat",
            "fchmodat2",
            "creat",
            "open",
            "openat",
            "openat2",
            "mknod",
            "mknodat",
        ],
        tenths: 15,
        why: "a setuid program in a shared directory runs outside with its owner's rights",
    },
    Group {
        key: "controls",
        meaning: "only the controls that tools need",
        calls: &[
            "ioctl",
            "fcntl",
            "prctl",
            "arch_prctl",
            "personality",
            "modify_ldt",
            "file_setattr",
        ],
        tenths: 10,
        why: "among them are typing into terminals, undoing mitigations, and files nobody can remove",
    },
    Group {
        key: "watches",
        meaning: "watches no whole file systems",
        calls: &["fanotify_init", "fanotify_mark"],
        tenths: 3,
        why: "it learns what others do on the same file system",
    },
    Group {
        key: "memory",
        meaning: "no tricks with pages",
        calls: &[
            "set_mempolicy",
            "get_mempolicy",
            "mbind",
            "set_mempolicy_home_node",
            "move_pages",
            "migrate_pages",
            "cachestat",
            "memfd_secret",
            "vmsplice",
        ],
        tenths: 5,
        why: "side channels to neighbours, and what exploits of the page cache need",
    },
];

/// Each call that no group knows: one more part of the kernel that can be reached.
const OTHERS: Group = Group {
    key: "others",
    meaning: "no other calls than coding agents need",
    calls: &[],
    tenths: 1,
    why: "more of the kernel can be reached than its tools need",
};

/// What the sum of those costs at most.
const ALL_OTHERS: u16 = 10;

pub(super) fn points(profile: &Profile, policy: &Policy) -> Vec<Point> {
    let beyond = beyond_agent(policy);
    let known = GROUPS.iter().map(|group| {
        let of_group = |beyond: &&Beyond<'_>| group.calls.contains(&beyond.name);
        let calls: Vec<_> = beyond.iter().filter(of_group).collect();
        point(profile, policy, group, group.tenths, &calls)
    });
    let grouped = |name: &str| GROUPS.iter().any(|group| group.calls.contains(&name));
    let others: Vec<_> = beyond.iter().filter(|beyond| !grouped(beyond.name)).collect();
    known.chain([point(profile, policy, &OTHERS, ALL_OTHERS, &others)]).collect()
}

/// The most calls that are named in one reason.
const NAMED: usize = 4;

fn point(
    profile: &Profile,
    policy: &Policy,
    group: &Group,
    most: u16,
    calls: &[&Beyond<'_>],
) -> Point {
    let mut point = Point::new("seccomp.policy", group.key, group.meaning, most);
    let Some(first) = calls.first() else { return point };
    let names: Vec<_> = calls.iter().take(NAMED).map(|call| call.to_string()).collect();
    let more = calls.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let cause = format!("`{}` allows {}{more}: {}", policy.name, names.join(", "), group.why);
    let place = first.decision.place.unwrap_or(&profile.seccomp.place);
    let tenths = u16::try_from(calls.len()).unwrap_or(most).saturating_mul(group.tenths);
    let hint = "take what allows it out of the policy, or write policy = \"agent\"";
    point.lose(tenths.min(most), place, cause, hint);
    point
}
