//! `[environment]`: what the caller's environment tells the agent.
//!
//! `LD_*` and `TMUX*` do not occur: no profile can name them.

use super::Point;
use crate::profile::Profile;

pub(super) fn points(profile: &Profile) -> Vec<Point> {
    vec![passed(profile), set(profile), secrets(profile)]
}

/// Variables that say no more than how things are to look.
const HARMLESS: &[&str] =
    &["TZ", "LANG", "LANGUAGE", "TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES"];

/// Variables that name a way to a service of the person's session.
const WAYS: &[&str] = &[
    "SSH_AUTH_SOCK",
    "SSH_CONNECTION",
    "GPG_AGENT_INFO",
    "XDG_RUNTIME_DIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DOCKER_HOST",
    "KRB5CCNAME",
];

/// Variables that change which programs run, and with what.
const STEERING: &[&str] = &[
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "PROMPT_COMMAND",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_TOOL_OPTIONS",
];

/// Last words of the names of secrets.
const SECRET: &[&str] =
    &["TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "PAT", "COOKIE"];

/// The least that each secret costs: it can leave by every way that the agent has, and by its answers.
const HELD: u16 = 4;
/// And where it is the caller's, nobody chose it for this agent.
const SECRET_PASSED: u16 = 8;

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let last = name.rsplit('_').next().unwrap_or(&name);
    SECRET.iter().any(|word| last.ends_with(word)) || name.starts_with("AWS_")
}

/// What passing the variable `name` costs, what may follow, and what to do instead.
fn judge(name: &str) -> (u16, &'static str, &'static str) {
    const LEAVE: &str = "take it out of `pass`";
    const WRITE: &str = "take it out of `pass`, or write its value into [environment.set]";
    if HARMLESS.contains(&name) || name.starts_with("LC_") {
        (0, "", "")
    } else if WAYS.contains(&name) || name.starts_with("DBUS_") {
        (10, "names a way to a service of yours", LEAVE)
    } else if is_secret(name) {
        let told = "looks like a secret of yours, which every process of the agent gets";
        let hint = "take it out of `pass`; a key made for the agent goes into a file that only root can \
                    read, named in [network.api] (the agent never has it) or [environment.secrets]";
        (SECRET_PASSED, told, hint)
    } else if STEERING.contains(&name) || name.starts_with("GIT_") {
        (3, "changes which programs run, as your shell happens to have it", WRITE)
    } else if name.to_ascii_lowercase().ends_with("_proxy") {
        (3, "names a proxy, often with its password", LEAVE)
    } else {
        // Whatever it holds at the start.
        (1, "has whatever value your shell happens to have", WRITE)
    }
}

fn passed(profile: &Profile) -> Point {
    let mut point = Point::new("environment", "pass", "nothing of your environment", 100);
    for name in &profile.environment.pass {
        let (tenths, what, hint) = judge(name.value.as_str());
        let cause = format!("`{}` {what}", name.value.as_str());
        point.lose(tenths, &name.place, cause, hint);
    }
    point
}

fn set(profile: &Profile) -> Point {
    let mut point = Point::new("environment", "set", "no secret in the text of the profile", 100);
    for (name, value) in &profile.environment.set {
        if is_secret(name.as_str()) && !value.value.is_empty() {
            let cause = format!(
                "`{}` looks like a secret: who reads the profile or `explain` has it",
                name.as_str()
            );
            let hint = "name a file that only root can read in [environment.secrets]";
            // As one that is passed, and known to more than the agent.
            point.lose(SECRET_PASSED + 2, &value.place, cause, hint);
        }
    }
    point
}

fn secrets(profile: &Profile) -> Point {
    let mut point = Point::new("environment", "secrets", "no secret to give away", 100);
    for (name, file) in &profile.environment.secrets {
        let cause = format!("every process of the agent has `{}`, and may tell it", name.as_str());
        let hint = "a key of an HTTP service: let the gate hold it, with [network.api]; else take it out, or make \
                    it a key that can do little and ends soon";
        point.lose(HELD, &file.place, cause, hint);
    }
    point
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_apart_by_their_names() {
        let costs = |names: &[&str]| names.iter().map(|name| judge(name).0).collect::<Vec<_>>();
        assert_eq!(costs(&["TZ", "LC_ALL", "NO_COLOR"]), [0, 0, 0]);
        assert_eq!(costs(&["SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY"]), [10, 10, 10]);
        assert_eq!(costs(&["GITHUB_TOKEN", "OPENAI_API_KEY", "PGPASSWORD", "AWS_PROFILE"]), [8; 4]);
        assert_eq!(costs(&["PATH", "GIT_SSH_COMMAND", "https_proxy"]), [3, 3, 3]);
        assert_eq!(costs(&["MAX_TOKENS", "KEYBOARD", "WORKERS"]), [1, 1, 1]);
    }
}
