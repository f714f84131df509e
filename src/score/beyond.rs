//! The calls that a policy allows beyond the shipped `agent`.
//!
//! A call is beyond where arguments are found that the policy allows and `agent` refuses. They are made
//! from the constants of both: each as it is, one bit off, with its bits one by one, and with something in
//! the upper half of the register, so that a comparison of the wrong width is found, too.
//!
//! Does not find: a permission for arguments that neither policy mentions, where both look at them.

use crate::policy::seccomp::{self, Action, Call, Compare, Condition, Decision, Policy};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

/// A call that is allowed beyond the shipped policies.
#[derive(Clone, Debug)]
pub(super) struct Beyond<'p> {
    pub(super) name: &'p str,
    /// What allows it.
    pub(super) decision: Decision<'p>,
    /// Whether `agent` allows it with other arguments.
    partly: bool,
}

impl fmt::Display for Beyond<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)?;
        if self.partly { f.write_str(" with more arguments") } else { Ok(()) }
    }
}

type Arguments = [u64; 6];

/// Socket families up to the newest (`AF_MAX`, include/linux/socket.h): which of them a policy should
/// refuse is not written in it.
const FAMILIES: std::ops::Range<u64> = 0..46;

/// The most arguments that are tried with one call. A policy with more than that is taken to allow it.
const MOST_TRIED: usize = 1 << 16;

/// The shipped policies; a test sees to it that they load.
static SHIPPED: LazyLock<[Option<Policy>; 2]> = LazyLock::new(|| {
    seccomp::SHIPPED
        .map(|name| seccomp::load(name, &|name| seccomp::shipped(name).map(str::to_owned)).ok())
});

fn shipped(name: &str) -> Option<&'static Policy> {
    SHIPPED.iter().flatten().find(|policy| policy.name == name)
}

/// Every call of `policy` that goes beyond.
pub(super) fn beyond_agent(policy: &Policy) -> Vec<Beyond<'_>> {
    // What `agent` refuses for the sake of the Internet does not matter where there is none.
    let names = if has_internet(policy) { &["agent"][..] } else { &["agent", "minimal"] };
    let known: Vec<&Policy> = names.iter().filter_map(|name| shipped(name)).collect();
    policy.calls.iter().filter_map(|(name, call)| beyond(policy, name, call, &known)).collect()
}

fn has_internet(policy: &Policy) -> bool {
    const FAMILIES: [u64; 2] = [2, 10];
    let allows = |family, kind, protocol| {
        policy.decide("socket", &[family, kind, protocol, 0, 0, 0]).action == Action::Allow
    };
    let kinds = [(1, 0), (1, 6), (2, 0), (2, 17)];
    FAMILIES.iter().any(|family| kinds.iter().any(|(kind, of)| allows(*family, *kind, *of)))
}

fn beyond<'p>(
    policy: &'p Policy,
    name: &'p str,
    call: &'p Call,
    known: &[&Policy],
) -> Option<Beyond<'p>> {
    let others: Vec<&Call> = known.iter().filter_map(|known| known.calls.get(name)).collect();
    let partly = others.iter().any(|other| other.can_be_allowed());
    if call.constant().is_some_and(|action| action != Action::Allow)
        || others.iter().any(|other| decides_alike(call, other))
    {
        return None;
    }
    let found = |arguments: &Arguments| {
        let decision = policy.decide(name, arguments);
        let new = decision.action == Action::Allow
            && known.iter().all(|known| known.decide(name, arguments).action != Action::Allow);
        new.then_some(decision)
    };
    let calls: Vec<&Call> = others.into_iter().chain([call]).collect();
    let decision = match arguments(name, &calls) {
        Some(all) => all.iter().find_map(found)?,
        None => found(&[0; 6]).unwrap_or(Decision {
            action: Action::Allow,
            reason: "it has more conditions than can be tried",
            place: call.rules.first().map(|rule| &rule.place),
        }),
    };
    Some(Beyond { name, decision, partly })
}

/// Whether two calls are decided by the same rules.
fn decides_alike(a: &Call, b: &Call) -> bool {
    a.rules.len() == b.rules.len()
        && a.rules.iter().zip(&b.rules).all(|(a, b)| a.action == b.action && a.when == b.when)
}

/// Arguments worth trying; none where they would be too many.
fn arguments(name: &str, calls: &[&Call]) -> Option<Vec<Arguments>> {
    let mut values: [BTreeSet<u64>; 6] = std::array::from_fn(|_| BTreeSet::from([0]));
    for condition in calls.iter().flat_map(|call| &call.rules).flat_map(|rule| &rule.when) {
        values[usize::from(condition.argument.index())].extend(interesting(condition));
    }
    if name == "socket" {
        values[0].extend(FAMILIES);
    }
    let count = values.iter().try_fold(1_usize, |count, values| count.checked_mul(values.len()));
    count.filter(|count| *count <= MOST_TRIED)?;
    let mut all = vec![[0; 6]];
    for (index, values) in values.iter().enumerate() {
        let with = |arguments: &Arguments, value: u64| {
            let mut arguments = *arguments;
            arguments[index] = value;
            arguments
        };
        all = all.iter().flat_map(|a| values.iter().map(|value| with(a, *value))).collect();
    }
    Some(all)
}

fn interesting(condition: &Condition) -> Vec<u64> {
    let constants = match &condition.compare {
        Compare::OneOf(values) | Compare::NoneOf(values) => values.as_slice(),
        Compare::Below(value)
        | Compare::AtLeast(value)
        | Compare::HasAny(value)
        | Compare::HasNone(value) => std::slice::from_ref(value),
    };
    let mut all = vec![u64::MAX];
    for value in constants.iter().map(|constant| constant.value) {
        all.extend([value, value ^ 1, value | (1 << 32), value.saturating_sub(1)]);
        if matches!(condition.compare, Compare::HasAny(_) | Compare::HasNone(_)) {
            all.extend((0..64).map(|bit| value & (1 << bit)).filter(|bit| *bit != 0));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a policy that includes `agent` and adds `text` allows beyond it.
    fn beyond(text: &str) -> Vec<String> {
        let mine = format!("schema = 1\ndescription = 'mine'\n{text}");
        let find = |name: &str| match name {
            "mine" => Some(mine.clone()),
            name => seccomp::shipped(name).map(str::to_owned),
        };
        let policy = seccomp::load("mine", &find).unwrap_or_else(|problems| panic!("{problems}"));
        beyond_agent(&policy).iter().map(ToString::to_string).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn shipped_policies_load_and_allow_nothing_beyond_themselves() {
        for name in seccomp::SHIPPED {
            assert_eq!(beyond(&format!("include = ['{name}']")), NONE, "{name}");
            assert!(beyond_agent(shipped(name).unwrap()).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_call_that_is_allowed_anew_is_found() {
        let with = |call: &str, when: &str| {
            beyond(&format!(
                "include = ['agent']\nreplace = ['{call}']\n[[allow]]\ncalls = ['{call}']\nreason = 'x'\n{when}"
            ))
        };
        assert_eq!(with("ptrace", ""), ["`ptrace`"]);
        let traceme = "when = [{ argument = 0, width = 64, is = 0 }]";
        assert_eq!(with("ptrace", traceme), ["`ptrace`"]);
        assert_eq!(with("clone", ""), ["`clone` with more arguments"]);
        let no_users = "when = [{ argument = 0, width = 32, has_none = 'CLONE_NEWUSER' }]";
        assert_eq!(with("clone", no_users), ["`clone` with more arguments"]);
        let packets = "when = [{ argument = 0, width = 32, is = 'AF_PACKET' }]";
        assert_eq!(with("socket", packets), ["`socket` with more arguments"]);
        assert_eq!(with("getpid", ""), NONE);
    }

    #[test]
    fn what_may_be_refused_more_is_not_beyond() {
        let plain = "include = ['agent']\nreplace = ['ioctl', 'kill']\n";
        assert_eq!(beyond(plain), NONE);
        let narrow = "[[allow]]\ncalls = ['ioctl']\nreason = 'x'\n\
                      when = [{ argument = 1, width = 32, is = 0x5413 }]";
        assert_eq!(beyond(&format!("{plain}{narrow}")), NONE);
    }

    #[test]
    fn a_comparison_of_the_wrong_width_is_found() {
        let wide = "include = ['agent']\nreplace = ['fcntl']\n\
                    [[allow]]\ncalls = ['fcntl']\nreason = 'x'\n\
                    when = [{ argument = 1, width = 64, not = 'F_SETLEASE' }]";
        assert_eq!(beyond(wide), ["`fcntl` with more arguments"]);
    }

    #[test]
    fn options_for_the_internet_matter_only_with_it() {
        let internet = "include = ['minimal']\nreplace = ['socket']\n[[allow]]\n\
                        calls = ['socket']\nreason = 'x'\n\
                        when = [{ argument = 0, width = 32, is = 'AF_INET' }, \
                        { argument = 1, width = 32, is = 'SOCK_STREAM' }, \
                        { argument = 2, width = 32, is = 0 }]";
        let found = beyond(internet);
        assert!(found.contains(&"`sendto` with more arguments".to_owned()), "{found:?}");
        assert!(!found.iter().any(|call| call.contains("`socket`")), "{found:?}");
    }

    #[test]
    fn more_conditions_than_can_be_tried_are_not_trusted() {
        let values: Vec<_> = (0..300).map(|value| value.to_string()).collect();
        let condition = |argument: u8| {
            format!("{{ argument = {argument}, width = 32, is = [{}] }}", values.join(", "))
        };
        let text = format!(
            "include = ['agent']\nreplace = ['ptrace']\n[[allow]]\ncalls = ['ptrace']\nreason = 'x'\n\
             when = [{}, {}]",
            condition(0),
            condition(1)
        );
        assert_eq!(beyond(&text), ["`ptrace`"]);
    }
}
