//! What the shipped policies say to the arguments of calls.

use super::shipped::{EPERM, check};
use crate::policy::seccomp::{Action, Errno, SHIPPED};

const ENOTTY: Action = Action::Refuse(Errno::Enotty);
const EINVAL: Action = Action::Refuse(Errno::Einval);
const EOPNOTSUPP: Action = Action::Refuse(Errno::Eopnotsupp);
const EAFNOSUPPORT: Action = Action::Refuse(Errno::Eafnosupport);

#[test]
fn terminal_injection_is_refused_whatever_stands_in_the_upper_half() {
    const DIRT: u64 = 0xdead_beef << 32;
    for request in [0x5412, 0x541c, 0x5423, 0x541d, 0x5437, 0x4008_6602, 0xc004_5877] {
        check(&SHIPPED, &[("ioctl", &[0, request], EPERM), ("ioctl", &[0, request | DIRT], EPERM)]);
    }
    for request in [0x4b4e, 0x5607, 0xb702, 0x5000_940e_u64] {
        check(
            &SHIPPED,
            &[("ioctl", &[0, request], ENOTTY), ("ioctl", &[0, request | DIRT], ENOTTY)],
        );
    }
    // TCGETS, TIOCGWINSZ, TIOCSCTTY, TIOCSPTLCK, FIONREAD, FIONBIO, FICLONE.
    for request in [0x5401, 0x5413, 0x540e, 0x4004_5431, 0x541b, 0x5421, 0x4004_9409] {
        check(&SHIPPED, &[("ioctl", &[0, request], Action::Allow)]);
    }
}

#[test]
fn no_clone_makes_a_namespace() {
    // What glibc's fork and pthread_create ask for.
    check(
        &SHIPPED,
        &[("clone", &[0x0120_0011], Action::Allow), ("clone", &[0x003d_0f00], Action::Allow)],
    );
    for flag in
        [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]
    {
        check(
            &SHIPPED,
            &[("clone", &[flag | 17], EPERM), ("clone", &[flag | 17 | (1 << 32)], EPERM)],
        );
    }
}

#[test]
fn no_call_makes_a_set_id_file_or_a_device() {
    for bits in [0o4755, 0o2755, 0o6000, 0o4000 | (1 << 40)] {
        check(
            &SHIPPED,
            &[
                ("chmod", &[0, bits], EPERM),
                ("fchmod", &[3, bits], EPERM),
                ("fchmodat", &[3, 0, bits], EPERM),
                ("fchmodat2", &[3, 0, bits], EPERM),
                ("creat", &[0, bits], EPERM),
                ("open", &[0, 0o101, bits], EPERM),
                ("openat", &[3, 0, 0o101, bits], EPERM),
                ("openat", &[3, 0, 0o2020_0002, bits], EPERM),
                ("openat", &[3, 0, 0, bits], Action::Allow),
                ("mknod", &[0, bits], EPERM),
                ("mknodat", &[3, 0, bits | 0o10_0000], EPERM),
            ],
        );
    }
    for (kind, expected) in [
        (0, Action::Allow),
        (0o1_0000, Action::Allow),
        (0o14_0000, Action::Allow),
        (0o10_0000, Action::Allow),
        (0o2_0000, EPERM),
        (0o6_0000, EPERM),
        (0o12_0000, EPERM),
    ] {
        check(
            &SHIPPED,
            &[
                ("mknodat", &[3, 0, kind | 0o644], expected),
                ("mknod", &[0, kind | 0o644], expected),
            ],
        );
    }
    check(
        &SHIPPED,
        &[("chmod", &[0, 0o1777], Action::Allow), ("fchmodat", &[3, 0, 0o755], Action::Allow)],
    );
}

#[test]
fn sockets_are_of_the_named_kinds_only() {
    const CLOEXEC: u64 = 0o200_0000;
    let stream = 1 | CLOEXEC;
    for (family, agent, minimal) in [
        (1, Action::Allow, Action::Allow),
        (2, Action::Allow, EAFNOSUPPORT),
        (10, Action::Allow, EAFNOSUPPORT),
    ] {
        check(&["agent"], &[("socket", &[family, stream, 0], agent)]);
        check(&["minimal"], &[("socket", &[family, stream, 0], minimal)]);
    }
    for family in (0..64).filter(|family| ![1, 2, 10, 16].contains(family)) {
        for kind in 1..=10 {
            check(&SHIPPED, &[("socket", &[family, kind | CLOEXEC, 0], EAFNOSUPPORT)]);
        }
    }
    let protocol_not_supported = Action::Refuse(Errno::Eprotonosupport);
    check(
        &["agent"],
        &[
            ("socket", &[2, 3 | CLOEXEC, 255], EPERM),
            ("socket", &[10, 3, 0], EPERM),
            ("socket", &[2, 10, 0x300], EPERM),
            ("socket", &[2, stream, 262], protocol_not_supported),
            ("socket", &[2, stream, 132], EAFNOSUPPORT),
            ("socket", &[2, 2, 1], EAFNOSUPPORT),
            ("socket", &[2, 2 | CLOEXEC, 17], Action::Allow),
        ],
    );
}

#[test]
fn netlink_is_for_routes_only() {
    check(&["agent"], &[("socket", &[16, 3 | 0o200_0000, 0], Action::Allow)]);
    for protocol in 1..32 {
        check(&SHIPPED, &[("socket", &[16, 3, protocol], EAFNOSUPPORT)]);
    }
    check(&["minimal"], &[("socket", &[16, 3, 0], EAFNOSUPPORT)]);
    check(
        &SHIPPED,
        &[("socketpair", &[2, 1, 0], EAFNOSUPPORT), ("socketpair", &[1, 1, 0], Action::Allow)],
    );
}

#[test]
fn out_of_band_bytes_are_refused() {
    for flags in [1, 0x4001, 1 | (1 << 32)] {
        check(
            &SHIPPED,
            &[
                ("sendto", &[3, 0, 0, flags], EOPNOTSUPP),
                ("recvfrom", &[3, 0, 0, flags], EOPNOTSUPP),
                ("sendmsg", &[3, 0, flags], EOPNOTSUPP),
                ("recvmsg", &[3, 0, flags], EOPNOTSUPP),
            ],
        );
        check(
            &["agent"],
            &[
                ("sendmmsg", &[3, 0, 1, flags], EOPNOTSUPP),
                ("recvmmsg", &[3, 0, 1, flags], EOPNOTSUPP),
            ],
        );
    }
    // MSG_NOSIGNAL, and MSG_FASTOPEN, which connects.
    check(&SHIPPED, &[("sendto", &[3, 0, 0, 0x4000], Action::Allow)]);
    check(&["agent"], &[("sendto", &[3, 0, 0, 0x2000_4000], EOPNOTSUPP)]);
}

#[test]
fn options_of_prctl_and_personality_are_chosen() {
    check(
        &SHIPPED,
        &[
            ("prctl", &[15], Action::Allow),
            ("prctl", &[22, 2], Action::Allow),
            ("prctl", &[38, 1], Action::Allow),
            ("prctl", &[35], EPERM),
            ("prctl", &[35 | (1 << 32)], EPERM),
            ("prctl", &[0x5961_6d61], EPERM),
            ("prctl", &[28], EPERM),
            ("prctl", &[47, 1], Action::Allow),
            ("prctl", &[47, 2], EINVAL),
            ("prctl", &[1000], EINVAL),
            ("personality", &[0], Action::Allow),
            ("personality", &[0xffff_ffff], Action::Allow),
            ("personality", &[u64::MAX], Action::Allow),
            ("personality", &[0x004_0000], EPERM),
            ("arch_prctl", &[0x1002], Action::Allow),
            ("arch_prctl", &[0x1012], EINVAL),
        ],
    );
}
