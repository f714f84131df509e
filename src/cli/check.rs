//! `cellblock check`: every problem of profiles, and how much they give up, without asking what this host
//! can do; every problem of a configuration, with the accounts, profiles and directories that it names.

use super::output::{Output, Tone};
use super::score as printed;
use crate::config::Config;
use crate::control;
use crate::control::roles::{self, Register, Roles};
use crate::document::{Located, Place, Problem, Problems};
use crate::exit::Exit;
use crate::host::{self, Caller, Kind, PathAnswer};
use crate::planning;
use crate::profile::load::ASKED as PROFILE;
use crate::profile::types::Bytes;
use crate::profile::{Profile, Wall};
use crate::score::{self, Exposure, Score};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Grade what each profile gives up, from 0.0 (nothing) to 10.0 (everything)
    #[arg(long, requires = "files")]
    score: bool,
    /// Fail where the exposure of a profile is above this
    #[arg(long, value_name = "N", requires = "score", value_parser = Exposure::parse)]
    threshold: Option<Exposure>,
    /// Check an installation's configuration too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Names of profiles, or paths of their files (with a `/`, or ending in `.toml`)
    #[arg(required_unless_present = "config", value_name = "FILE")]
    files: Vec<String>,
}

const EXAMPLES: &str = "\
Warnings do not fail the check. Whether this host can build the jail: see `cellblock explain`.
A score says how far an agent of the profile is let out, on any host: below 1.0 safe, 3.0 ok,
5.0 medium, 7.5 exposed, else unsafe.

Examples:
  cellblock check claude
  cellblock check --score ./reviewer.toml
  cellblock check --score --threshold 3.0 profiles/*.toml
  cellblock check --score --json claude | jq '.[].score.points[] | select(.kept | not)'
  cellblock check --json profiles/*.toml
  cellblock check --config /etc/cellblock/config.toml
  cellblock check ./reviewer.toml && cellblock explain ./reviewer.toml";

/// What is known of a command: below these limits it does not work.
struct Need {
    command: &'static str,
    tasks: u64,
    memory: Bytes,
}

/// Measured; the tools that an agent starts need more.
const NEEDS: &[Need] = &[
    Need { command: "claude", tasks: 20, memory: Bytes(256 << 20) },
    Need { command: "codex", tasks: 49, memory: Bytes(305 << 20) },
    Need { command: "gemini", tasks: 27, memory: Bytes(355 << 20) },
];

/// The result for one profile.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    ok: bool,
    problems: Vec<Told<'a>>,
    warnings: Vec<Told<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<printed::Told<'a>>,
}

/// A problem as JSON; line and column are 0 where it stands in no file.
#[derive(Serialize)]
struct Told<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    key: &'a str,
    cause: &'a str,
    hint: &'a str,
}

impl<'a> From<&'a Problem> for Told<'a> {
    fn from(problem: &'a Problem) -> Self {
        let Place { file, line, column, key } = &problem.place;
        let Problem { cause, hint, .. } = problem;
        Self { file, line: *line, column: *column, key, cause, hint }
    }
}

#[derive(Default)]
struct Checked {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Where it is asked for, and nothing is wrong.
    score: Option<Score>,
}

impl Check {
    /// Prints the result for each profile.
    pub fn perform(&self, out: &mut Output) -> Exit {
        let config = self.config.as_deref().map(|path| (path.display().to_string(), path));
        let config = config.map(|(file, path)| (file, check_config(path)));
        let profiles = self.files.iter().map(|file| (file.clone(), self.check(file)));
        let checked: Vec<_> = config.into_iter().chain(profiles).collect();
        if self.json {
            out.json(
                &checked.iter().map(|(file, checked)| report(file, checked)).collect::<Vec<_>>(),
            );
        } else {
            self.print(out, &checked);
        }
        let fine = checked.iter().all(|(_, checked)| checked.problems.is_empty());
        let mut scores = checked.iter().filter_map(|(_, checked)| checked.score.as_ref());
        let above = |score: &Score| self.threshold.is_some_and(|most| score.exposure() > most);
        if fine && !scores.any(above) { Exit::Success } else { Exit::FoundProblems }
    }

    fn check(&self, file: &str) -> Checked {
        let caller = host::probe::caller();
        let profile = match planning::profiles(&caller).load(file) {
            Ok(profile) => profile,
            Err(Problems(problems)) => return Checked { problems, ..Checked::default() },
        };
        match planning::policies(&caller).load(&profile.seccomp.value) {
            Ok(policy) => Checked {
                problems: Vec::new(),
                warnings: warnings(&profile),
                score: self.score.then(|| score::score(&profile, &policy)),
            },
            Err(Problems(problems)) => {
                Checked { problems, warnings: warnings(&profile), score: None }
            }
        }
    }

    fn print(&self, out: &mut Output, checked: &[(String, Checked)]) {
        for (index, (file, checked)) in checked.iter().enumerate() {
            if self.score && index > 0 {
                out.line("");
            }
            print(out, file, checked);
            if let Some(score) = &checked.score {
                printed::print(out, score, self.threshold);
            }
        }
        let scores: Vec<_> =
            checked.iter().filter_map(|(_, checked)| checked.score.as_ref()).collect();
        if scores.len() > 1 {
            printed::print_together(out, &scores);
        }
    }
}

fn check_config(path: &Path) -> Checked {
    let caller = host::probe::caller();
    match planning::config(Some(path), &caller) {
        Ok(config) => {
            let problems = accounts(&config).into_iter().chain(agents(&config, &caller)).collect();
            let warnings = idle_roles(&config).into_iter().collect();
            Checked { problems: Problems(problems).sorted().0, warnings, ..Checked::default() }
        }
        Err(Problems(problems)) => Checked { problems, ..Checked::default() },
    }
}

/// Roles of people who cannot connect.
fn idle_roles(config: &Config) -> Option<Problem> {
    let first = config.roles.first().filter(|_| config.supervisor.group.is_none())?;
    let cause = "gives nobody anything: without a group of [supervisor] root alone may connect";
    Some(first.role.problem(cause, "write group = \"cellblock\" in [supervisor]"))
}

/// Names that no account of this host has.
fn accounts(config: &Config) -> Vec<Problem> {
    let (_, mut problems) = Roles::resolve(&config.roles, &control::account);
    let group = config.supervisor.group.as_ref();
    let group = group.map(|group| roles::id(Register::Groups, group, &control::account));
    problems.extend(group.and_then(Result::err));
    let group = config.metrics.group.as_ref();
    let group = group.map(|group| roles::id(Register::Groups, group, &control::account));
    problems.extend(group.and_then(Result::err));
    let users = config.alerts.sinks.iter().filter_map(|sink| sink.way.user());
    let users = users.map(|user| roles::id(Register::Users, user, &control::account));
    problems.extend(users.filter_map(Result::err));
    problems
}

/// What keeps the supervisor from starting its agents: of profiles, as it would find them, and of workspaces.
fn agents(config: &Config, caller: &Caller) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut tried = BTreeSet::new();
    for agent in &config.agents {
        // One profile of many agents is told once, and where all of them have it from.
        if tried.insert((agent.profile.value.clone(), agent.profile.place.to_string())) {
            problems.extend(profile(&agent.profile, caller));
        }
        problems.extend(agent.workspace.as_ref().and_then(|named| workspace(named, caller)));
    }
    problems
}

/// The problems of the profile and its policies, and that of naming it.
fn profile(named: &Located<String>, caller: &Caller) -> Vec<Problem> {
    let asked = Place::outside(PROFILE, &named.value);
    let here = |problem: Problem| match problem.place == asked {
        true => Problem { place: named.place.clone(), ..problem },
        false => problem,
    };
    let profile = match planning::installed_profiles(caller).load(&named.value) {
        Ok(profile) => profile,
        Err(Problems(problems)) => return problems.into_iter().map(here).collect(),
    };
    let policies = planning::installed_policies(caller);
    let calls = policies.load(&profile.seccomp.value).map(drop);
    let networks = profile.egress.policies.iter().map(|name| policies.network(name).map(drop));
    let failed = std::iter::once(calls).chain(networks).filter_map(Result::err);
    failed.flat_map(|problems| problems.0).collect()
}

fn workspace(named: &Located<String>, caller: &Caller) -> Option<Problem> {
    match host::paths::look(&named.value) {
        PathAnswer::Found(fact) if fact.kind != Kind::Directory => {
            let cause = format!("is {}, and a workspace is a directory", fact.kind.word());
            Some(named.problem(cause, "name the directory that it is in"))
        }
        // Only root can tell; the supervisor is root.
        PathAnswer::Denied(_) if caller.euid != 0 => None,
        PathAnswer::Found(_)
        | PathAnswer::Link { .. }
        | PathAnswer::LinkInside { .. }
        | PathAnswer::Missing
        | PathAnswer::Denied(_) => {
            let problem = planning::directory("workspace", Path::new(&named.value)).err()?;
            Some(Problem { place: named.place.clone(), ..problem })
        }
    }
}

/// What is valid, and not what its author will have meant.
fn warnings(profile: &Profile) -> Vec<Problem> {
    let mut warnings = low_limits(profile);
    let idle = profile.without.iter().filter(|named| STANDS_EVERYWHERE.contains(&named.value));
    warnings.extend(idle.map(|named| {
        let cause = format!("has no effect: every host can stand `{}`", named.value);
        named.problem(cause, format!("leave it out; for one start: --without {}", named.value))
    }));
    warnings
}

/// Walls that need nothing of a host: a profile that may do without them never does.
const STANDS_EVERYWHERE: [Wall; 4] =
    [Wall::Capabilities, Wall::NoNewPrivs, Wall::Rlimits, Wall::Descriptors];

/// Limits that the command is known not to work with.
fn low_limits(profile: &Profile) -> Vec<Problem> {
    let words = profile.agent.command.iter().flat_map(|command| command.value.first());
    let name = words.last().map(|word| word.rsplit('/').next().unwrap_or(word));
    let Some(need) = NEEDS.iter().find(|need| Some(need.command) == name) else {
        return Vec::new();
    };
    let (command, limits) = (need.command, &profile.limits);
    let few = limits.tasks.as_ref().filter(|tasks| tasks.value < need.tasks);
    let tasks = few.map(|few| {
        let cause = format!("is {}, and `{command}` needs at least {}", few.value, need.tasks);
        few.problem(cause, "its tools need dozens more: 512 is a sensible limit")
    });
    let little = [&limits.memory, &limits.memory_high].into_iter().flatten();
    let memory = little.filter(|memory| memory.value < need.memory).map(|memory| {
        let cause = format!("is {}, and `{command}` needs at least {}", memory.value, need.memory);
        memory.problem(cause, "its tools need more: 4G is a sensible limit")
    });
    memory.chain(tasks).collect()
}

fn print(out: &mut Output, file: &str, checked: &Checked) {
    for problem in &checked.problems {
        print_one(out, Tone::Bad, "problem", problem);
    }
    for warning in &checked.warnings {
        print_one(out, Tone::Warning, "warning", warning);
    }
    if checked.problems.is_empty() {
        out.cells(&[(Tone::Good, "OK".to_owned()), (Tone::Plain, file.to_owned())]);
    }
}

fn print_one(out: &mut Output, tone: Tone, word: &str, problem: &Problem) {
    let text = problem.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    out.cells(&[(tone, format!("{word}:")), (Tone::Plain, first)]);
    lines.for_each(|line| out.line(line));
}

fn report<'a>(file: &'a str, checked: &'a Checked) -> Report<'a> {
    Report {
        file,
        ok: checked.problems.is_empty(),
        problems: checked.problems.iter().map(Told::from).collect(),
        warnings: checked.warnings.iter().map(Told::from).collect(),
        score: checked.score.as_ref().map(printed::Told::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::raw::RawProfile;
    use crate::profile::validate;

    fn warned(command: &str, limits: &str) -> Vec<String> {
        let text = format!("[agent]\ncommand = ['{command}']\n[limits]\n{limits}");
        let raw = RawProfile::parse("x", &text).unwrap();
        let profile = validate::profile("x", raw).unwrap();
        warnings(&profile).into_iter().map(|warning| warning.place.key).collect()
    }

    #[test]
    fn too_little_for_a_known_command_is_told() {
        let little = "tasks = 19\nmemory = '255M'\nmemory_high = '128M'";
        assert_eq!(
            warned("claude", little),
            ["limits.memory", "limits.memory_high", "limits.tasks"]
        );
        assert_eq!(warned("/opt/claude/claude", "tasks = 19"), ["limits.tasks"]);
        assert_eq!(warned("claude", "tasks = 20\nmemory = '256M'"), [""; 0]);
        assert_eq!(warned("true", little), [""; 0]);
    }
}
