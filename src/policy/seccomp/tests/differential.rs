//! The shipped policies, compiled by seccompiler too, allow the same.
//!
//! seccompiler knows one action for what matches and one for the rest. So a policy becomes two of its
//! filters: a list of what is allowed and a list of what is refused. The kernel runs all filters of a
//! process and takes the most restrictive answer, and so does this test.

use super::interpreter::Data;
use super::shipped::{arguments, policies, verdict_of};
use crate::policy::seccomp::{
    Action, Arch, Compare, Condition, Constant, Instruction, Policy, Rule, Width, compile,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// A condition as alternatives (outer) of conjunctions (inner), which is what seccompiler knows.
fn alternatives(condition: &Condition) -> Vec<Vec<SeccompCondition>> {
    let len = || match condition.width {
        Width::Bits32 => SeccompCmpArgLen::Dword,
        Width::Bits64 => SeccompCmpArgLen::Qword,
    };
    let index = condition.argument.index();
    let one = |op, value| SeccompCondition::new(index, len(), op, value).unwrap();
    let masked = |mask: u64, value: u64| one(SeccompCmpOp::MaskedEq(mask), value);
    let single_bits = |bits: u64| (0..64).map(|bit| 1 << bit).filter(move |bit| bits & bit != 0);
    let equal = |value: &Constant| match &condition.mask {
        Some(mask) => masked(mask.value, value.value),
        None => one(SeccompCmpOp::Eq, value.value),
    };
    match &condition.compare {
        Compare::OneOf(values) => values.iter().map(|value| vec![equal(value)]).collect(),
        Compare::NoneOf(values) => {
            assert_eq!(condition.mask, None, "seccompiler has no masked inequality");
            vec![values.iter().map(|value| one(SeccompCmpOp::Ne, value.value)).collect()]
        }
        Compare::Below(limit) => vec![vec![one(SeccompCmpOp::Lt, limit.value)]],
        Compare::AtLeast(limit) => vec![vec![one(SeccompCmpOp::Ge, limit.value)]],
        Compare::HasAny(bits) => {
            single_bits(bits.value).map(|bit| vec![masked(bit, bit)]).collect()
        }
        Compare::HasNone(bits) => vec![vec![masked(bits.value, 0)]],
    }
}

/// A rule's conditions, multiplied out.
fn conjunctions(rule: &Rule) -> Vec<Vec<SeccompCondition>> {
    rule.when.iter().map(alternatives).fold(vec![Vec::new()], |sofar, next| {
        let join = |a: &Vec<_>, b: &Vec<_>| a.iter().chain(b).cloned().collect();
        sofar.iter().flat_map(|a| next.iter().map(move |b| join(a, b))).collect()
    })
}

/// seccompiler's rules for the calls of `policy`, from the rules that `wanted` picks.
fn rules(
    policy: &Policy,
    arch: Arch,
    wanted: fn(Action) -> bool,
) -> BTreeMap<i64, Vec<SeccompRule>> {
    let mut all = BTreeMap::new();
    for (name, call) in &policy.calls {
        let Some(number) = arch.number(name) else { continue };
        let picked: Vec<_> = call.rules.iter().filter(|rule| wanted(rule.action)).collect();
        if picked.is_empty() {
            continue;
        }
        let always = picked.iter().any(|rule| rule.when.is_empty());
        let chains = picked.iter().flat_map(|rule| conjunctions(rule)).filter(|_| !always);
        let chains = chains.map(|chain| SeccompRule::new(chain).unwrap()).collect();
        all.insert(i64::from(number), chains);
    }
    all
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    arch: Arch,
    [matched, rest]: [SeccompAction; 2],
) -> Vec<Instruction> {
    let target = match arch {
        Arch::X86_64 => TargetArch::x86_64,
        Arch::Aarch64 => TargetArch::aarch64,
    };
    let filter = SeccompFilter::new(rules, rest, matched, target).unwrap();
    let program = BpfProgram::try_from(filter).unwrap();
    program.iter().map(|i| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

#[test]
fn seccompiler_allows_and_refuses_the_same() {
    for (policy, arch) in policies() {
        let (allow, refuse) = (SeccompAction::Allow, SeccompAction::Errno(1));
        let permitted = rules(&policy, arch, |action| action == Action::Allow);
        let permitted = filter(permitted, arch, [allow.clone(), refuse.clone()]);
        let forbidden = rules(&policy, arch, |action| action != Action::Allow);
        let forbidden = filter(forbidden, arch, [refuse, allow]);
        let program = compile(&policy, arch).unwrap();
        let mut seen = [0; 2];
        for number in 0..=512 {
            for arguments in arguments(&policy, arch, number) {
                let data = Data::new(arch, number, arguments);
                let allows = |program| verdict_of(program, &data) == Action::Allow;
                let found = allows(program.instructions());
                let expected = allows(&permitted) && allows(&forbidden);
                assert_eq!(found, expected, "{} {arch} {number} {arguments:x?}", policy.name);
                seen[usize::from(found)] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 300), "too few of one kind: {seen:?}");
    }
}
