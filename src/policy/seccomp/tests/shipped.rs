//! What the shipped policies allow and refuse, tried on the compiled filters.

use super::interpreter::{Data, run};
use crate::policy::seccomp::{
    Action, Arch, Compare, Errno, Instruction, Policy, Program, SHIPPED, compile, load, shipped,
};
use std::sync::LazyLock;

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
    policy: Policy,
    arch: Arch,
    program: Program,
}

/// All of them, made once.
static FILTERS: LazyLock<Vec<Filter>> = LazyLock::new(|| {
    let make = |(policy, arch)| {
        let program = compile(&policy, arch).unwrap();
        Filter { policy, arch, program }
    };
    policies().into_iter().map(make).collect()
});

impl Filter {
    /// The filters of these policies on every architecture.
    fn all(names: &[&str]) -> impl Iterator<Item = &'static Self> {
        FILTERS.iter().filter(move |filter| names.contains(&filter.policy.name.as_str()))
    }

    /// What happens to a call; none where this architecture lacks it.
    fn action(&self, call: &str, arguments: &[u64]) -> Option<Action> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let number = self.arch.number(call)?;
        let action = verdict_of(self.program.instructions(), &Data::new(self.arch, number, all));
        // What the program itself tells of its filter.
        assert_eq!(self.program.permits(self.arch, number, all), action == Action::Allow);
        Some(action)
    }
}

/// One call, its arguments, and what must happen.
pub(super) type Case<'a> = (&'a str, &'a [u64], Action);

pub(super) const EPERM: Action = Action::Refuse(Errno::Eperm);
const ENOSYS: Action = Action::Refuse(Errno::Enosys);

pub(super) fn check(names: &[&str], cases: &[Case<'_>]) {
    for (call, arguments, expected) in cases {
        let mut tried = 0;
        for filter in Filter::all(names) {
            let Some(found) = filter.action(call, arguments) else { continue };
            let (name, arch) = (&filter.policy.name, filter.arch);
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

/// Calls that must be refused whatever their arguments.
const NEVER: &str = "
    io_uring_setup io_uring_enter io_uring_register ptrace process_vm_readv process_vm_writev
    pidfd_getfd process_madvise kcmp keyctl add_key request_key bpf perf_event_open userfaultfd
    mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree open_tree_attr
    move_mount mount_setattr statmount listmount unshare setns name_to_handle_at open_by_handle_at
    kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct
    quotactl quotactl_fd settimeofday clock_settime clock_adjtime adjtimex iopl ioperm modify_ldt
    fanotify_init fanotify_mark syslog lookup_dcookie vhangup nfsservctl set_mempolicy get_mempolicy
    mbind move_pages migrate_pages cachestat sethostname setdomainname
";

#[test]
fn calls_no_jail_may_make_are_refused() {
    for call in NEVER.split_whitespace() {
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
fn every_rule_of_the_minimum_holds_for_the_agent() {
    let (minimal, agent) = (policy("minimal"), policy("agent"));
    for (name, call) in &minimal.calls {
        for rule in &call.rules {
            assert!(agent.calls[name].rules.contains(rule), "{name}: {}", rule.reason);
        }
    }
}
