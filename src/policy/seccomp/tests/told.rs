//! The filter that has refusals recorded: together with the other one it refuses what that one refuses alone.

use super::interpreter::{Data, run};
use super::shipped::{arguments, policies, policy};
use crate::policy::seccomp::{Action, Arch, Errno, Instruction, Policy, compile, compile_told};

/// What the kernel does with two filters, of which `last` was installed last, and whether it records that: of equal
/// actions, whatever their errors, the one that was installed last counts (`seccomp_run_filters`, kernel/seccomp.c).
pub(super) fn together(first: &[Instruction], last: &[Instruction], data: &Data) -> (Action, bool) {
    match (run(first, data).action, run(last, data).action) {
        (_, Action::Refuse(errno)) => (Action::Refuse(errno), true),
        (refused @ Action::Refuse(_), Action::Allow) => (refused, false),
        (Action::Allow, Action::Allow) => (Action::Allow, false),
    }
}

/// The call called `name` on x86_64.
fn call(policy: &Policy, name: &str, arguments: [u64; 6]) -> (Action, bool) {
    let arch = Arch::X86_64;
    let data = Data::new(arch, arch.number(name).unwrap(), arguments);
    let (first, last) = (compile(policy, arch).unwrap(), compile_told(policy, arch).unwrap());
    together(first.instructions(), last.instructions(), &data)
}

#[test]
fn both_filters_refuse_exactly_what_the_one_does() {
    for (policy, arch) in policies() {
        let (one, told) = (compile(&policy, arch).unwrap(), compile_told(&policy, arch).unwrap());
        let (one, told) = (one.instructions(), told.instructions());
        let mut seen = [0; 3];
        let strange = [0x3fff_ffff, 0x4000_0000, 0x4000_0101, 0x7fff_ffff, u32::MAX];
        for number in (0..=1024).chain(strange) {
            for arguments in arguments(&policy, arch, number) {
                let data = Data::new(arch, number, arguments);
                let alone = run(one, &data).action;
                let (both, recorded) = together(one, told, &data);
                assert_eq!(both, alone, "{} {arch} {number} {arguments:x?}", policy.name);
                seen[usize::from(alone != Action::Allow) + usize::from(recorded)] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 300), "too few of one kind: {seen:?}");
        for audit in [0, 0x4000_0003, 0x4000_0028, u32::MAX] {
            let data = Data { number: 1, audit, arguments: [0; 6] };
            let expected = (Action::Refuse(Errno::Enosys), true);
            assert_eq!(together(one, told, &data), expected, "{audit:#x}");
        }
    }
}

#[test]
fn what_programs_ask_for_and_do_without_is_not_recorded() {
    let agent = policy("agent");
    let refused = |name, arguments| {
        let (action, recorded) = call(&agent, name, arguments);
        assert_ne!(action, Action::Allow, "{name}");
        recorded
    };
    for quiet in ["clone3", "openat2", "io_uring_setup", "vmsplice", "memfd_secret"] {
        assert!(!refused(quiet, [0; 6]), "{quiet}");
    }
    for told in ["mount", "ptrace", "bpf", "unshare", "keyctl", "init_module"] {
        assert!(refused(told, [0; 6]), "{told}");
    }
    assert!(refused("ioctl", [0, libc::TIOCSTI, 0, 0, 0, 0]));
    assert!(!refused("ioctl", [0, 0x4b3a, 0, 0, 0, 0]), "a keyboard map");
    let socket = |family| refused("socket", [family, 3, 0, 0, 0, 0]);
    assert!(socket(17) && socket(40), "packets, and virtual machines");
    let unmentioned = |(name, _): &(&str, u32)| !agent.calls.contains_key(*name);
    let unmentioned: Vec<_> = Arch::X86_64.calls().filter(unmentioned).collect();
    assert!(!unmentioned.is_empty());
    assert!(unmentioned.iter().all(|(name, _)| refused(name, [0; 6])), "{unmentioned:?}");
    assert_eq!(call(&agent, "read", [0; 6]), (Action::Allow, false));
}

#[test]
fn a_file_says_what_is_recorded() {
    let text = |log: &str| {
        format!(
            "schema = 1\n[[allow]]\ncalls = ['read']\nreason = 'r'\n[[refuse]]\ncalls = ['sync']\n\
             errno = 'EPERM'\nreason = 'r'\n{log}[[refuse]]\ncalls = ['pause']\nerrno = 'EINVAL'\nreason = 'r'\n{log}"
        )
    };
    let recorded = |log: &str| {
        let policy = crate::policy::seccomp::load("a", &|_| Some(text(log))).unwrap();
        ["sync", "pause"].map(|name| call(&policy, name, [0; 6]).1)
    };
    assert_eq!(recorded(""), [true, false]);
    assert_eq!(recorded("log = false\n"), [false, false]);
    assert_eq!(recorded("log = true\n"), [true, true]);
}

/// It is run by calls whose arguments count, in addition to the other one.
#[test]
fn it_is_small_and_looks_at_few_arguments() {
    for (policy, arch) in policies() {
        let told = compile_told(&policy, arch).unwrap();
        let length = told.instructions().len();
        println!("{} on {arch}: {length} instructions", policy.name);
        assert!(length <= 320, "{} on {arch}: {length} instructions", policy.name);
        let looks = |name: &str| {
            let Some(number) = arch.number(name) else { return false };
            let data = Data::new(arch, number, [0; 6]);
            run(told.instructions(), &data).steps_before_arguments.is_some()
        };
        for quiet in ["read", "write", "fcntl", "sendmsg", "recvmsg", "mmap", "futex"] {
            assert!(!looks(quiet), "{quiet}");
        }
    }
}
