//! The environment of the agent: nothing passes that is not named.

use super::types::{Identity, Value, Variable};
use crate::host::HostFacts;
use crate::profile::Profile;
use crate::profile::validate::DEFAULT;

/// Every variable, in the order of names.
pub(super) fn resolve(
    profile: &Profile,
    identity: &Identity,
    paths: &super::tree::Paths,
    facts: &HostFacts,
    has_own_program: bool,
) -> Vec<Variable> {
    let mut variables = own(identity);
    let asked = &profile.environment;
    for name in &asked.pass {
        let value = facts.variables.get(name.value.as_str());
        let origin = name.place.to_string();
        let passed = value.map(|value| Value::Passed(value.clone()));
        variables.extend(passed.map(|value| variable(name.value.as_str(), value, origin)));
    }
    for (name, value) in &asked.set {
        let origin = value.place.to_string();
        variables.push(variable(name.as_str(), Value::Plain(value.value.clone()), origin));
    }
    for (name, file) in &asked.secrets {
        let path = file.value.resolve(&paths.person_home);
        variables.push(variable(name.as_str(), Value::Secret(path), file.place.to_string()));
    }
    // Later ones win: what a profile sets goes before what the jail gives by itself.
    variables.reverse();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    variables.dedup_by(|later, first| later.name == first.name);
    if has_own_program {
        add_own_program(&mut variables);
    }
    variables
}

/// The agent finds this program, after all others.
fn add_own_program(variables: &mut [Variable]) {
    let path = variables.iter_mut().find(|variable| variable.name == "PATH");
    if let Some(Variable { value: Value::Plain(path), .. }) = path {
        path.push_str(&format!(":{}", super::OWN_PROGRAMS));
    }
}

fn own(identity: &Identity) -> Vec<Variable> {
    let plain =
        |name, value: &str| variable(name, Value::Plain(value.to_owned()), DEFAULT.to_owned());
    vec![
        plain("HOME", &identity.home),
        plain("LOGNAME", &identity.user),
        plain("PATH", super::command::DEFAULT_PATH),
        plain("LANG", "C.UTF-8"),
        plain("SHELL", "/bin/sh"),
        // What the output filter of the relay speaks; tmux sets its own inside a session.
        plain("TERM", "xterm-256color"),
        plain("TMPDIR", "/tmp"),
        plain("USER", &identity.user),
    ]
}

fn variable(name: &str, value: Value, origin: String) -> Variable {
    Variable { name: name.to_owned(), value, origin }
}
