//! What the shipped policies allow and refuse, tried on the compiled filters.

use super::interpreter::{Data, run};
use crate::policy::seccomp::{
    Action, Arch, Compare, Errno, Instruction, Policy, Program, SHIPPED, compile, load, shipped,
};

pub(super) fn policy(name: &str) -> Policy {
    let find = |name: &str| shipped(name).map(str::to_owned);
    load(name, &find).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Every shipped policy on every architecture.
pub(super) fn policies() -> Vec<(Policy, Arch)> {
    let on_each = |name: &&str| Arch::ALL.map(|arch| (policy(name), arch));
    SHIPPED.iter().flat_map(on_each).collect()
}

pub(super) fn verdict_of(program: &[Instruction], data: &Data) -> Action {
    run(program, data).action
}

/// Arguments worth trying with the call `number`: each value its rules name in its argument, alone, one
/// off, and with a dirty upper half; and all pairs of these for two arguments.
pub(super) fn arguments(policy: &Policy, arch: Arch, number: u32) -> Vec<[u64; 6]> {
    let named = arch.calls().find(|(_, known)| *known == number);
    let rules = named.and_then(|(name, _)| policy.calls.get(name)).map(|call| &call.rules);
    let mut interesting: [Vec<u64>; 6] = std::array::from_fn(|_| vec![0, u64::MAX]);
    for condition in rules.into_iter().flatten().flat_map(|rule| &rule.when) {
        let values = match &condition.compare {
            Compare::OneOf(values) | Compare::NoneOf(values) => values.as_slice(),
            Compare::Below(value)
            | Compare::AtLeast(value)
            | Compare::HasAny(value)
            | Compare::HasNone(value) => std::slice::from_ref(value),
        };
        let of_argument = &mut interesting[usize::from(condition.argument.index())];
        for value in values.iter().map(|constant| constant.value) {
            of_argument.extend([value, value ^ 1, value | (0xdead_beef << 32), value | 0x80000]);
        }
    }
    let mut all = vec![[0; 6], [u64::MAX; 6]];
    for first in 0..6 {
        for second in first..6 {
            for a in &interesting[first] {
                for b in &interesting[second] {
                    let mut arguments = [0; 6];
                    arguments[first] = *a;
                    arguments[second] = *b;
                    all.push(arguments);
                }
            }
        }
    }
    all
}

/// A filter, and the policy it was made from.
struct Filter {
    name: &'static str,
    arch: Arch,
    program: Program,
}

impl Filter {
    fn all(names: &[&'static str]) -> Vec<Self> {
        let make = |name: &&'static str| {
            Arch::ALL.map(|arch| Self {
                name,
                arch,
                program: compile(&policy(name), arch).unwrap(),
            })
        };
        names.iter().flat_map(make).collect()
    }

    /// What happens to a call; none where this architecture lacks it.
    fn action(&self, call: &str, arguments: &[u64]) -> Option<Action> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let data = Data::new(self.arch, self.arch.number(call)?, all);
        Some(verdict_of(self.program.instructions(), &data))
    }
}

/// One call, its arguments, and what must happen.
type Case<'a> = (&'a str, &'a [u64], Action);

const EPERM: Action = Action::Refuse(Errno::Eperm);
const ENOSYS: Action = Action::Refuse(Errno::Enosys);
const ENOTTY: Action = Action::Refuse(Errno::Enotty);
const EINVAL: Action = Action::Refuse(Errno::Einval);
const EOPNOTSUPP: Action = Action::Refuse(Errno::Eopnotsupp);
const EAFNOSUPPORT: Action = Action::Refuse(Errno::Eafnosupport);

fn check(names: &[&'static str], cases: &[Case<'_>]) {
    for (call, arguments, expected) in cases {
        let mut tried = 0;
        for filter in Filter::all(names) {
            let Some(found) = filter.action(call, arguments) else { continue };
            let Filter { name, arch, .. } = filter;
            assert_eq!(found, *expected, "{call} {arguments:x?} with {name} on {arch}");
            tried += 1;
        }
        assert!(tried > 0, "no architecture has {call}");
    }
}

#[test]
fn calls_that_end_agents_when_refused_are_allowed() {
    for call in [
        "timerfd_create",
        "eventfd2",
        "getrandom",
        "madvise",
        "rseq",
        "membarrier",
        "restart_syscall",
        "rt_sigreturn",
        "execve",
        "futex",
        "openat",
        "mmap",
        "landlock_create_ruleset",
        "seccomp",
        "vfork",
        "fork",
        "inotify_init1",
        "pidfd_open",
        "newfstatat",
        "exit_group",
    ] {
        check(&SHIPPED, &[(call, &[], Action::Allow)]);
    }
}

#[test]
fn calls_no_jail_may_make_are_refused() {
    for call in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_getfd",
        "process_madvise",
        "kcmp",
        "keyctl",
        "add_key",
        "request_key",
        "bpf",
        "perf_event_open",
        "userfaultfd",
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
        "unshare",
        "setns",
        "name_to_handle_at",
        "open_by_handle_at",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "reboot",
        "swapon",
        "swapoff",
        "acct",
        "quotactl",
        "quotactl_fd",
        "settimeofday",
        "clock_settime",
        "clock_adjtime",
        "adjtimex",
        "iopl",
        "ioperm",
        "modify_ldt",
        "fanotify_init",
        "fanotify_mark",
        "syslog",
        "lookup_dcookie",
        "vhangup",
        "nfsservctl",
        "set_mempolicy",
        "get_mempolicy",
        "mbind",
        "move_pages",
        "migrate_pages",
        "cachestat",
        "sethostname",
        "setdomainname",
    ] {
        check(&SHIPPED, &[(call, &[], EPERM), (call, &[u64::MAX; 6], EPERM)]);
    }
}

#[test]
fn callers_that_can_fall_back_are_told_to() {
    for call in
        ["clone3", "openat2", "memfd_secret", "vmsplice", "remap_file_pages", "io_setup", "uselib"]
    {
        check(&SHIPPED, &[(call, &[], ENOSYS)]);
    }
}

#[test]
fn numbers_beyond_the_known_ones_are_refused() {
    for filter in Filter::all(&SHIPPED) {
        for number in
            (470..2000).chain([0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x4000_0101, u32::MAX])
        {
            let data = Data::new(filter.arch, number, [0; 6]);
            assert_eq!(verdict_of(filter.program.instructions(), &data), ENOSYS, "{number:#x}");
        }
    }
}

#[test]
fn i386_and_32_bit_arm_are_refused() {
    const I386: u32 = 0x4000_0003;
    const ARM: u32 = 0x4000_0028;
    for filter in Filter::all(&SHIPPED) {
        for audit in [I386, ARM, 0, u32::MAX] {
            for number in 0..512 {
                let data = Data { number, audit, arguments: [0; 6] };
                assert_eq!(verdict_of(filter.program.instructions(), &data), ENOSYS);
            }
        }
    }
}

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

#[test]
fn every_rule_of_the_minimum_holds_for_the_agent() {
    let (minimal, agent) = (policy("minimal"), policy("agent"));
    for (name, call) in &minimal.calls {
        for rule in &call.rules {
            assert!(agent.calls[name].rules.contains(rule), "{name}: {}", rule.reason);
        }
    }
}
