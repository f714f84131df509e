//! `cellblock check`: every problem of profiles, without asking what this host can do.

use super::output::{Output, Tone};
use super::planning;
use crate::document::{Place, Problem, Problems};
use crate::exit::Exit;
use crate::host;
use crate::profile::Profile;
use crate::profile::types::Bytes;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Check an installation's configuration too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Names of profiles, or paths of their files (with a `/`, or ending in `.toml`)
    #[arg(required_unless_present = "config", value_name = "FILE")]
    files: Vec<String>,
}

const EXAMPLES: &str = "\
Warnings do not fail the check. Whether this host can build the jail: see `cellblock explain`.

Examples:
  cellblock check claude
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

struct Checked {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Check {
    /// Prints the result for each profile.
    pub fn perform(&self, out: &mut Output) -> Exit {
        let config = self.config.as_deref().map(|path| (path.display().to_string(), path));
        let config = config.map(|(file, path)| (file, check_config(path)));
        let profiles = self.files.iter().map(|file| (file.clone(), check(file)));
        let checked: Vec<_> = config.into_iter().chain(profiles).collect();
        if self.json {
            out.json(
                &checked.iter().map(|(file, checked)| report(file, checked)).collect::<Vec<_>>(),
            );
        } else {
            for (file, checked) in &checked {
                print(out, file, checked);
            }
        }
        let fine = checked.iter().all(|(_, checked)| checked.problems.is_empty());
        if fine { Exit::Success } else { Exit::FoundProblems }
    }
}

fn check_config(path: &Path) -> Checked {
    let config = planning::config(Some(path), &host::probe::caller());
    let problems = config.map_or_else(|problems| problems.0, |_| Vec::new());
    Checked { problems, warnings: Vec::new() }
}

fn check(file: &str) -> Checked {
    let caller = host::probe::caller();
    let profile = match planning::profiles(&caller).load(file) {
        Ok(profile) => profile,
        Err(Problems(problems)) => return Checked { problems, warnings: Vec::new() },
    };
    let policy = planning::policies(&caller).load(&profile.seccomp.value);
    let problems = policy.map_or_else(|problems| problems.0, |_| Vec::new());
    Checked { problems, warnings: warnings(&profile) }
}

/// Limits below what the command is known to need.
fn warnings(profile: &Profile) -> Vec<Problem> {
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
