//! Turns the text of a configuration into checked values, reporting every problem at once.

use super::{Config, RawConfig};
use crate::document::{Located, Place, Problem, Problems};

mod agents;
mod alerts;
mod roles;
mod slice;
mod supervisor;

/// The version of the configuration's format that this program reads.
const SCHEMA: i64 = 1;

/// Reads and checks the configuration `text`, called `name` in messages.
///
/// # Errors
/// Every problem of syntax, keys and values, in the order of lines.
pub fn parse(name: &str, text: &str) -> Result<Config, Problems> {
    let (raw, problems) = RawConfig::parse_whole(name, text);
    let mut check = Checker { problems };
    check.schema(name, raw.schema.as_ref());
    let defaults = supervisor::defaults(&mut check, &raw.defaults);
    let config = Config {
        slice: slice::slice(&mut check, &raw.slice),
        paths: supervisor::paths(&mut check, &raw.paths),
        supervisor: supervisor::supervisor(&mut check, &raw.supervisor),
        uids: supervisor::uids(&mut check, &raw.uids),
        watch: supervisor::watch(&mut check, &raw.watch),
        roles: raw.roles.iter().filter_map(|role| roles::entry(&mut check, role)).collect(),
        agents: agents::all(&mut check, &raw, &defaults),
        alerts: alerts::alerts(&mut check, &raw.alerts),
        metrics: alerts::metrics(&mut check, &raw.metrics),
        defaults,
    };
    agents::count(&mut check, &raw, &config.supervisor.max_agents);
    check.problems.into_result(config)
}

struct Checker {
    problems: Problems,
}

impl Checker {
    fn report(&mut self, place: &Place, cause: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(place, cause, hint));
    }

    fn schema(&mut self, name: &str, schema: Option<&Located<i64>>) {
        match schema {
            // That it is no number is told already.
            None if self.problems.0.iter().any(|problem| problem.place.key == "schema") => {}
            None => self.report(
                &Place::outside(name, "schema"),
                "is missing",
                "write `schema = 1` as the first line",
            ),
            Some(schema) if schema.value != SCHEMA => self.report(
                &schema.place,
                format!("is {}, and this program reads schema {SCHEMA}", schema.value),
                "write the configuration for schema 1, or use the release that knows its schema",
            ),
            Some(_) => {}
        }
    }

    /// Reports that the table at `place` has no `key`, unless it has one of another type: that is told already.
    fn missing(&mut self, place: &Place, key: &str, hint: &str) {
        if !self.is_told(place, key) {
            self.report(place, format!("has no `{key}`"), hint);
        }
    }

    fn is_told(&self, place: &Place, key: &str) -> bool {
        let key = format!("{}.{key}", place.key);
        self.problems.0.iter().any(|problem| problem.place.key == key)
    }

    /// What `parse` makes of the value; a problem is reported and gives `None`.
    fn one<T>(
        &mut self,
        raw: &Located<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Located<T>> {
        match parse(&raw.value) {
            Ok(value) => Some(raw.with(value)),
            Err(cause) => {
                self.report(&raw.place, cause, hint(&raw.place.key));
                None
            }
        }
    }

    fn maybe<T>(
        &mut self,
        raw: Option<&Located<String>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Located<T>> {
        raw.and_then(|raw| self.one(raw, parse))
    }

    /// The value, or `default` where it is not set (or wrong, and reported).
    fn or<T>(
        &mut self,
        raw: Option<&Located<String>>,
        parse: impl Fn(&str) -> Result<T, String>,
        default: Located<T>,
    ) -> Located<T> {
        self.maybe(raw, parse).unwrap_or(default)
    }
}

/// What may help with the value of the key at hand.
fn hint(key: &str) -> &'static str {
    match key {
        "slice.tasks" => {
            "write a number, a share of what the machine has as in \"50%\", or \"none\""
        }
        "slice.cpu" => "write processors, as in 2 or 1.5, or \"none\"",
        "supervisor.patience" => {
            "write a number with ms, s or m, as in \"10s\"; at most \"10m\", and \"0s\" for none"
        }
        _ if key.starts_with("alerts.") || key.starts_with("metrics.") => alerts::hint(key),
        _ if key.starts_with("slice.") => {
            "write a size as in \"12G\", a share of the machine's as in \"80%\", or \"none\""
        }
        _ if key.starts_with("paths.") => "write an absolute path, as in \"/srv/cellblock\"",
        _ => match key.rsplit('.').next().unwrap_or(key) {
            "workspace" => "write the absolute path of a directory, as in \"/srv/project\"",
            "profile" => {
                "write a profile's name, or the absolute path of its file: a supervisor has no \
                 directory of its own"
            }
            "role" => {
                "a viewer looks on, an operator starts, stops and uses agents, an admin changes which there are"
            }
            "audit" => "write audit = \"off\", \"read\" or \"enable\"",
            "restart" => "write restart = \"never\", \"on-failure\" or \"always\"",
            "name" => "write a name, as in name = \"reviewer\"",
            last if last.starts_with("agents[") => {
                "write a name of an agent, with `*` for any part of it and `?` for one character"
            }
            last if last.starts_with("without[") => "write names of walls, as in [\"landlock\"]",
            _ => "",
        },
    }
}

/// A path that is the same for every process.
fn absolute(text: &str) -> Result<String, String> {
    use crate::profile::types::HostPath;
    if !text.starts_with('/') {
        return Err(format!("`{}` is not an absolute path", text.escape_debug()));
    }
    match HostPath::parse(text)?.as_str() {
        "/" => Err("`/` would be the whole host".to_owned()),
        path => Ok(path.to_owned()),
    }
}

/// A profile as the command line names it, but for paths that depend on where one is.
fn profile(text: &str) -> Result<String, String> {
    use crate::profile::types::AgentName;
    if text.contains('/') || text.ends_with(".toml") {
        return absolute(text);
    }
    AgentName::parse(text).map(|name| name.as_str().to_owned())
}

#[cfg(test)]
mod tests;
