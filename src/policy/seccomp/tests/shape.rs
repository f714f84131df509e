//! The shape of filters: short paths, and nothing the kernel's cache cannot follow.

use super::interpreter::{Data, run};
use super::shipped::{arguments, policies};
use crate::document::Place;
use crate::policy::seccomp::{
    Action, Arch, Argument, Call, Compare, CompileError, Condition, Constant, Errno, Policy, Rule,
    Verdict, Width, compile,
};

#[test]
fn constant_calls_are_decided_without_arithmetic_within_14_steps() {
    for (policy, arch) in policies() {
        let program = compile(&policy, arch).unwrap();
        for (name, number) in arch.calls() {
            let Verdict::Always(decision) = policy.verdict(name) else { continue };
            let found = run(program.instructions(), &Data::new(arch, number, [0; 6]));
            assert_eq!(found.action, decision.action, "{name}");
            assert_eq!(found.steps_before_arguments, None, "{name}");
            assert!(!found.arithmetic, "{name}");
            assert!(found.steps <= 14, "{name} takes {} steps", found.steps);
        }
    }
}

#[test]
fn arguments_are_reached_within_14_steps() {
    for (policy, arch) in policies() {
        let program = compile(&policy, arch).unwrap();
        let mut reached = 0;
        for (_, number) in arch.calls() {
            for arguments in arguments(&policy, arch, number) {
                let found = run(program.instructions(), &Data::new(arch, number, arguments));
                assert!(found.steps_before_arguments.unwrap_or(0) <= 14);
                reached += usize::from(found.steps_before_arguments.is_some());
            }
        }
        assert!(reached > 100, "only {reached}");
    }
}

#[test]
fn shipped_filters_stay_small() {
    for (policy, arch) in policies() {
        let length = compile(&policy, arch).unwrap().instructions().len();
        println!("{} on {arch}: {length} instructions", policy.name);
        assert!(length <= 512, "{} on {arch}: {length} instructions", policy.name);
    }
}

#[test]
fn seccompiler_gets_the_same_instructions() {
    let (policy, arch) = policies().remove(0);
    let program = compile(&policy, arch).unwrap();
    let others = program.to_sock_filters();
    assert_eq!(others.len(), program.instructions().len());
    for (ours, theirs) in program.instructions().iter().zip(others) {
        assert_eq!(
            (ours.code, ours.jt, ours.jf, ours.k),
            (theirs.code, theirs.jt, theirs.jf, theirs.k)
        );
    }
}

/// A policy that allows `name` for each of the first `count` numbers in argument 0.
fn allows_numbers(name: &str, count: u64) -> Policy {
    let constants = (0..count).map(|value| Constant { text: value.to_string(), value });
    let when = vec![Condition {
        argument: Argument::new(0).unwrap(),
        width: Width::Bits64,
        mask: None,
        compare: Compare::OneOf(constants.collect()),
    }];
    let place = Place::outside("test", "");
    let rule = Rule { when, action: Action::Allow, log: false, reason: "a test".to_owned(), place };
    let call = Call { rules: vec![rule], otherwise: Errno::Eacces };
    Policy {
        name: "long".to_owned(),
        description: String::new(),
        default: Errno::Enosys,
        calls: [(name.to_owned(), call)].into(),
    }
}

#[test]
fn jumps_over_more_than_255_instructions_arrive() {
    let policy = allows_numbers("read", 900);
    let program = compile(&policy, Arch::X86_64).unwrap();
    for value in 0..1000 {
        let data = Data::new(Arch::X86_64, 0, [value, 0, 0, 0, 0, 0]);
        let expected = policy.decide("read", &data.arguments).action;
        assert_eq!(run(program.instructions(), &data).action, expected, "{value}");
    }
}

#[test]
fn too_long_a_filter_is_an_error() {
    let error = compile(&allows_numbers("read", 1100), Arch::X86_64).unwrap_err();
    assert!(matches!(error, CompileError::TooLong { length: 4097.., .. }), "{error}");
}

#[test]
fn a_filter_that_allows_nothing_is_an_error() {
    let policy = allows_numbers("open", 1);
    assert!(compile(&policy, Arch::X86_64).is_ok());
    let error = compile(&policy, Arch::Aarch64).unwrap_err();
    assert!(matches!(error, CompileError::AllowsNothing { arch: Arch::Aarch64, .. }), "{error}");
}
