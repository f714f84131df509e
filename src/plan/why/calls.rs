//! System calls: what the policy says of them.

use super::{Answer, Verdict};
use crate::denial::Opening;
use crate::plan::outline::Outline;
use crate::policy::seccomp::{Action, Arch, Call, Policy, Rule, Verdict as Said};
use crate::profile::Wall;

const CALL: &str = "call";
const SECCOMP: &str = "seccomp";

/// The call by which every jail tests at its start that its filter stands.
const CANARY: &str = "io_uring_setup";

/// What the plan, with its policy, says of the system call `name`.
#[must_use]
pub fn call(outline: &Outline, policy: &Policy, name: &str) -> Answer {
    let allowed = |rule: &str, origin: &str| Answer::allowed(CALL, name, rule, origin);
    if !outline.stands(Wall::Seccomp) {
        return allowed("the wall `seccomp` does not stand", "");
    }
    let answer = match policy.verdict(name) {
        Said::Always(said) => {
            let origin = said.place.map(ToString::to_string).unwrap_or_default();
            match said.action {
                Action::Allow => allowed(said.reason, &origin),
                Action::Refuse(errno) => allowed(said.reason, &origin)
                    .refused((SECCOMP, errno.name()), opening(outline, policy, name)),
            }
        }
        Said::Depends(call) => depends(outline, policy, (name, call)),
    };
    let native = Arch::native();
    if native.is_some_and(|arch| arch.number(name).is_none()) {
        let note =
            "this machine has no such call: its kernel answers ENOSYS, whatever the policy says";
        return answer.note(note);
    }
    let decides =
        "the filter decides by registers alone; what it lets through, other walls may refuse";
    if answer.verdict == Verdict::Refused { answer } else { answer.note(decides) }
}

/// Each rule, with its conditions.
fn depends(outline: &Outline, policy: &Policy, (name, call): (&str, &Call)) -> Answer {
    let told = |rule: &Rule| {
        let when: Vec<_> = rule.when.iter().map(ToString::to_string).collect();
        let when = if when.is_empty() { "else".to_owned() } else { when.join(" and ") };
        format!("{} where {when}: {} ({})", rule.action, rule.reason, rule.place)
    };
    let always = call.rules.iter().any(|rule| rule.when.is_empty());
    let rest = (!always).then(|| format!("refused with {} in all other cases", call.otherwise));
    let mut answer = Answer::allowed(CALL, name, "it depends on its arguments", "");
    answer.notes = call.rules.iter().map(told).chain(rest).collect();
    answer.verdict = Verdict::Depends;
    SECCOMP.clone_into(&mut answer.wall);
    let refuses = call.rules.iter().any(|rule| rule.action != Action::Allow) || !always;
    answer.opening = refuses.then(|| opening(outline, policy, name));
    answer
}

/// A policy of one's own that allows it.
fn opening(outline: &Outline, policy: &Policy, name: &str) -> Opening {
    if name == CANARY {
        return Opening::nothing(
            "every jail tests its filter by this call, and does not start where it is allowed",
        );
    }
    let own = own_name(&outline.seccomp.policy, name);
    let replace = if policy.calls.contains_key(name) {
        format!("replace = [\"{name}\"]\n")
    } else {
        String::new()
    };
    let text = format!(
        "schema = 1\ndescription = \"{base}, and {name}\"\ninclude = [\"{base}\"]\n{replace}\n\
         # Whatever its arguments are; with `when` for some of them.\n[[allow]]\n\
         calls = [\"{name}\"]\nreason = \"say who needs it\"\n",
        base = policy.name,
    );
    Opening::Policy {
        file: format!("policies/seccomp/{own}.toml"),
        text,
        table: SECCOMP.to_owned(),
        line: format!("policy = \"{own}\""),
    }
}

/// A name that no shipped policy has.
fn own_name(base: &str, call: &str) -> String {
    format!("{base}-{}", call.to_ascii_lowercase())
}
