//! For any policy, the filter decides as the policy does.

use super::interpreter::{Data, run};
use super::told::together;
use crate::document::Place;
use crate::policy::seccomp::{
    Action, Arch, Argument, Call, Compare, Condition, Constant, Errno, Policy, Rule, Width,
    compile, compile_told,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Numbers that come near to each other, in both halves, so that comparisons often hold.
fn number() -> impl Strategy<Value = u64> {
    let half = || prop_oneof![0..4_u64, Just(0x5412), Just(0x7fff_ffff), Just(0xffff_ffff)];
    (half(), half()).prop_map(|(high, low)| (high << 32) | low)
}

fn constant(width: Width) -> impl Strategy<Value = Constant> {
    number().prop_map(move |value| {
        let value = value & width.mask();
        Constant { text: format!("{value:#x}"), value }
    })
}

fn compare(width: Width) -> impl Strategy<Value = Compare> {
    prop_oneof![
        vec(constant(width), 1..4).prop_map(Compare::OneOf),
        vec(constant(width), 1..4).prop_map(Compare::NoneOf),
        constant(width).prop_map(Compare::Below),
        constant(width).prop_map(Compare::AtLeast),
        constant(width).prop_map(Compare::HasAny),
        constant(width).prop_map(Compare::HasNone),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![Just(Width::Bits32), Just(Width::Bits64)].prop_flat_map(|width| {
        (0..6_u8, proptest::option::of(constant(width)), compare(width)).prop_map(
            move |(index, mask, compare)| Condition {
                argument: Argument::new(index).unwrap(),
                width,
                mask,
                compare,
            },
        )
    })
}

fn errno() -> impl Strategy<Value = Errno> {
    proptest::sample::select(Errno::ALL.to_vec())
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Allow), errno().prop_map(Action::Refuse)]
}

fn call() -> impl Strategy<Value = Call> {
    let rule = |conditions| {
        (vec(condition(), conditions), action(), any::<bool>()).prop_map(|(when, action, log)| {
            Rule {
                when,
                action,
                log,
                reason: "a test".to_owned(),
                place: Place::outside("test", ""),
            }
        })
    };
    let rules = prop_oneof![vec(rule(0..1), 1), vec(rule(0..4), 0..5)];
    (rules, errno()).prop_map(|(rules, otherwise)| Call { rules, otherwise })
}

fn policy(arch: Arch) -> impl Strategy<Value = Policy> {
    let names: Vec<String> = arch.calls().map(|(name, _)| name.to_owned()).collect();
    (btree_map(proptest::sample::select(names), call(), 1..120), errno()).prop_map(
        |(calls, default)| Policy {
            name: "random".to_owned(),
            description: String::new(),
            default,
            calls,
        },
    )
}

/// What the policy itself says to a number: the model.
fn expected(policy: &Policy, arch: Arch, data: &Data, names: &BTreeMap<u32, &str>) -> Action {
    let Data { number, arguments, .. } = data;
    if arch == Arch::X86_64 && number & 0xc000_0000 != 0 {
        return Action::Refuse(Errno::Enosys);
    }
    let name = names.get(number).copied().unwrap_or("not a call");
    policy.decide(name, arguments).action
}

const BOUNDARIES: [u32; 7] =
    [0x3fff_ffff, 0x4000_0000, 0x4000_0101, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_filter_decides_as_the_policy_does(
        (arch, policy) in prop_oneof![Just(Arch::X86_64), Just(Arch::Aarch64)]
            .prop_flat_map(|arch| (Just(arch), policy(arch))),
        arguments in vec([number(), number(), number(), number(), number(), number()], 4),
    ) {
        prop_assume!(policy.calls.values().any(Call::can_be_allowed));
        let program = compile(&policy, arch).unwrap();
        let told = compile_told(&policy, arch).unwrap();
        let names = arch.calls().map(|(name, number)| (number, name)).collect();
        for number in (0..=1024).chain(BOUNDARIES) {
            for arguments in &arguments {
                let data = Data::new(arch, number, *arguments);
                let found = run(program.instructions(), &data);
                let expected = expected(&policy, arch, &data, &names);
                prop_assert_eq!(found.action, expected, "{} {:?}", number, arguments);
                let (both, _) = together(program.instructions(), told.instructions(), &data);
                prop_assert_eq!(both, expected, "with what is recorded: {} {:?}", number, arguments);
            }
        }
    }

    #[test]
    fn another_architecture_is_refused(
        policy in policy(Arch::X86_64), number in 0..512_u32, audit in any::<u32>(),
    ) {
        prop_assume!(policy.calls.values().any(Call::can_be_allowed));
        prop_assume!(audit != Arch::X86_64.audit());
        let program = compile(&policy, Arch::X86_64).unwrap();
        let data = Data { number, audit, arguments: [0; 6] };
        let found = run(program.instructions(), &data);
        prop_assert_eq!(found.action, Action::Refuse(Errno::Enosys));
        prop_assert!(found.steps <= 3);
    }
}
