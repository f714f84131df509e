//! `cellblock why`: whether an agent may do something, by which rule, and the line that would allow it.

use super::denials::{journal_of, print_denial};
use super::error::CliError;
use super::options::Choice;
use super::output::{Output, Tone};
use crate::denial::{Opening, Told};
use crate::egress::rules::Peer;
use crate::exit::Exit;
use crate::host::{self, Caller};
use crate::launch;
use crate::plan::why::{self, Access, Answer, LIMITS, Question, Verdict};
use crate::plan::{self, Mode, Outline};
use crate::planning::{self, Wanted, policies::PolicySearch, wrong};
use crate::policy::seccomp::Policy;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Why {
    /// Ask whether the path may be read
    #[arg(long, help_heading = "For a path")]
    read: bool,
    /// Ask whether it may be created, changed or removed
    #[arg(long, help_heading = "For a path")]
    write: bool,
    /// Ask whether programs may be run from it
    #[arg(long, help_heading = "For a path")]
    execute: bool,
    /// What TARGET is, where that is not seen from it
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// The profile to plan by where no such agent runs; NAME where it is not given
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// The directory at /workspace, where no such agent runs
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// Plan anew also where the agent runs: what would hold after its next start
    #[arg(long)]
    planned: bool,
    /// Print the answers as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choice: Choice,
    /// The agent, or a profile
    #[arg(value_name = "NAME")]
    name: String,
    /// A path in the jail, a host with or without :PORT, a system call, or a limit
    #[arg(value_name = "TARGET")]
    target: String,
}

const EXAMPLES: &str = "\
A TARGET that begins with /, ~, ./ or ../ is a path, in the jail or of the host; the name of a limit
or of a system call is one; anything else is a host, on port 443 where none is given. Of a path all
three uses are told, and the status is that of reading, unless others are asked for. Root is told
what holds in the jail that runs; else it is planned now, which needs no root. What the plan allows
may still be refused by the permissions of files.

Ends with status 0 where it is allowed, or depends on what is told, and with 1 where it is refused.

Examples:
  cellblock why claude /etc/shadow
  cellblock why claude ~/.cache --write
  cellblock why claude pypi.org
  cellblock why claude db.example.com:5432
  cellblock why claude ptrace
  cellblock why claude tasks
  sudo cellblock why reviewer /srv/data --read --write --json | jq '.answers[].opening'";

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A path.
    Path,
    /// A host.
    Host,
    /// A system call.
    Syscall,
    /// A limit.
    Limit,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    agent: &'a str,
    profile: &'a str,
    /// The jail that runs; none where it is planned now.
    jail: Option<&'a str>,
    answers: &'a [Answer],
    notes: &'a [String],
    /// The newest denials that are about it, oldest first.
    denials: &'a [Told],
}

/// How long the outline of a jail that was launched just now is waited for.
const MOMENT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// The newest denials that are shown.
const DENIALS: usize = 5;

impl Why {
    /// Answers.
    ///
    /// # Errors
    /// Where there is no such agent and no such profile, or the target is none.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let questions = self.questions()?;
        let known = Known::of(&self.subject())?;
        let of = |question| why::answer(&known.outline, &known.policy, question);
        let answers: Vec<_> = questions.iter().map(of).collect();
        let denials = known.denials(self.choice.config.as_deref(), &answers);
        let asked = answers.iter().zip(self.asked(answers.len()));
        let refused = asked.into_iter().any(|(it, asked)| asked && it.verdict == Verdict::Refused);
        if self.json {
            out.json(&Shown {
                agent: &known.outline.agent,
                profile: &known.outline.profile,
                jail: known.jail.as_deref(),
                answers: &answers,
                notes: &known.notes,
                denials: &denials,
            });
        } else {
            answers.iter().for_each(|answer| print(out, answer));
            known.notes.iter().for_each(|note| out.line(&format!("  note      {note}")));
            denials.iter().for_each(|denial| print_denial(out, denial));
        }
        Ok(if refused { Exit::FoundProblems } else { Exit::Success })
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            name: &self.name,
            profile: self.profile.as_deref(),
            workspace: self.workspace.as_deref(),
            without: &self.choice.without,
            config: self.choice.config.as_deref(),
            planned: self.planned,
        }
    }

    fn uses(&self) -> [(Access, bool); 3] {
        [(Access::Read, self.read), (Access::Write, self.write), (Access::Execute, self.execute)]
    }

    /// Which of so many answers the status is about.
    fn asked(&self, answers: usize) -> Vec<bool> {
        let named = self.uses().iter().any(|(_, named)| *named);
        (0..answers).map(|index| named || index == 0).collect()
    }

    fn questions(&self) -> Result<Vec<Question>, CliError> {
        let named = self.uses().iter().any(|(_, named)| *named);
        let kind = self.kind.unwrap_or_else(|| kind_of(&self.target));
        if named && kind != Kind::Path {
            let cause = "--read, --write and --execute are for paths";
            return Err(no_target(cause, "a path begins with /, ~, ./ or ../, or say --kind path"));
        }
        let target = self.target.clone();
        Ok(match kind {
            Kind::Path => {
                let uses = self.uses().into_iter().filter(|(_, asked)| *asked || !named);
                uses.map(|(access, _)| Question::Path(target.clone(), access)).collect()
            }
            Kind::Host => vec![self.host()?],
            Kind::Syscall if why::is_call(&target) => vec![Question::Call(target)],
            Kind::Syscall => {
                let cause = format!("`{}` is no system call", target.escape_debug());
                return Err(no_target(cause, "the kernel's name is wanted, see syscalls(2)"));
            }
            Kind::Limit if LIMITS.contains(&target.as_str()) => vec![Question::Limit(target)],
            Kind::Limit => {
                let cause = format!("`{}` is no limit", target.escape_debug());
                return Err(no_target(cause, format!("one of {}", LIMITS.join(", "))));
            }
        })
    }

    fn host(&self) -> Result<Question, CliError> {
        let hint = "write NAME, NAME:PORT, ADDRESS:PORT or host:PORT; a path begins with /";
        let (to, port) = match self.target.rsplit_once(':') {
            Some((to, port)) => {
                let port = port.parse::<u16>().ok().filter(|port| *port > 0);
                let Some(port) = port else {
                    return Err(no_target("has no port behind its `:`", hint));
                };
                (to, Some(port))
            }
            None => (self.target.as_str(), None),
        };
        let peer = Peer::try_from(to.to_owned()).map_err(|cause| no_target(cause, hint))?;
        Ok(Question::Host(peer, port))
    }
}

fn no_target(cause: impl Into<String>, hint: impl Into<String>) -> CliError {
    CliError::from(wrong("TARGET", cause, hint))
}

/// What `target` is, seen from it.
fn kind_of(target: &str) -> Kind {
    if ["/", "~", "./", "../"].iter().any(|begin| target.starts_with(begin)) {
        Kind::Path
    } else if LIMITS.contains(&target) {
        Kind::Limit
    } else if why::is_call(target) {
        Kind::Syscall
    } else {
        Kind::Host
    }
}

/// Of whom something is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'s> {
    /// An agent, or a profile.
    pub(super) name: &'s str,
    /// The profile to plan by.
    pub(super) profile: Option<&'s str>,
    /// The directory at `/workspace`.
    pub(super) workspace: Option<&'s Path>,
    /// Walls that are taken away.
    pub(super) without: &'s [String],
    /// The installation's configuration instead of the usual one.
    pub(super) config: Option<&'s Path>,
    /// Whether it is planned anew where the agent runs.
    pub(super) planned: bool,
}

/// What is known of an agent's jail.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) outline: Outline,
    pub(super) policy: Policy,
    /// The jail that runs.
    jail: Option<String>,
    notes: Vec<String>,
}

impl Known {
    /// From the jail that runs, else planned.
    pub(super) fn of(subject: &Subject<'_>) -> Result<Self, CliError> {
        let caller = host::probe::caller();
        let running = if subject.planned { None } else { running(subject.name)? };
        let mut notes = Vec::new();
        let (jail, outline) = match running {
            Some((jail, outline)) => (Some(jail), outline),
            None => {
                notes.push("as planned now".to_owned());
                (None, planned(subject, &caller)?)
            }
        };
        let policy = policy(&outline, &caller, &mut notes)?;
        Ok(Self { outline, policy, jail, notes })
    }

    /// The newest denials that are about one of the answers; none where the journal cannot be read.
    fn denials(&self, config: Option<&Path>, answers: &[Answer]) -> Vec<Told> {
        let about = |told: &Told| {
            let denial = &told.denial;
            answers.iter().any(|answer| {
                denial.object == answer.object
                    || denial.wall == answer.object
                    || (answer.action == "connect" && is_of(&denial.object, &answer.object))
            })
        };
        let agent = &self.outline.agent;
        journal_of(agent, config, DENIALS, about).unwrap_or_default()
    }
}

/// Whether what was looked up is the host of `connection`.
fn is_of(looked_up: &str, connection: &str) -> bool {
    connection.rsplit_once(':').is_some_and(|(host, _)| host == looked_up)
}

/// The jail of the agent that runs, its session before others; only root may look.
fn running(name: &str) -> Result<Option<(String, Outline)>, CliError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let mut running = launch::record::running()?;
    running.retain(|jail| jail.kept.agent == name || jail.name == name);
    running.sort_by_key(|jail| !jail.kept.session);
    let jails: Vec<_> = running.into_iter().map(|jail| jail.name).collect();
    let begun = Instant::now();
    loop {
        let known = jails.iter().find_map(|jail| Some((jail.clone(), launch::outline(jail).ok()?)));
        // It is written a moment after the command was started. One that has ended meanwhile has none, nor has one that an
        // earlier version launched.
        if known.is_some() || jails.is_empty() || begun.elapsed() > MOMENT {
            return Ok(known);
        }
        std::thread::sleep(PAUSE);
    }
}

fn planned(subject: &Subject<'_>, caller: &Caller) -> Result<Outline, CliError> {
    let Subject { name, profile, workspace, without, config, .. } = *subject;
    let mut wanted = Wanted {
        profile: profile.unwrap_or(name).to_owned(),
        workspace: workspace.map(Path::to_owned),
        without: without.to_vec(),
        config: config.map(Path::to_owned),
        ..Wanted::default()
    };
    let configured = planning::config(config, caller)?.agents.into_iter();
    let entry = configured.into_iter().find(|entry| entry.name.value.as_str() == name);
    if let (Some(entry), None) = (entry, profile) {
        wanted.profile = entry.profile.value;
        wanted.workspace =
            wanted.workspace.or(entry.workspace.map(|workspace| workspace.value.into()));
        wanted.without.extend(entry.without.iter().map(|wall| wall.value.to_string()));
        wanted.installed = true;
    }
    if profile.is_some() || wanted.installed {
        wanted.name = Some(name.to_owned());
    }
    let draft = planning::draft(&wanted, Mode::Run, caller)?;
    Ok(Outline::of(draft.preview()))
}

/// The policy of the outline: of those by its name, the one that makes the filter of the launch.
fn policy(outline: &Outline, caller: &Caller, notes: &mut Vec<String>) -> Result<Policy, CliError> {
    let name = &outline.seccomp.policy;
    let same = |search: &PolicySearch| {
        let filter = search.filter(name);
        filter.is_ok_and(|filter| plan::digest(&filter.program) == outline.seccomp.digest)
    };
    let searches = [planning::policies(caller), planning::installed_policies(caller)];
    if let Some(search) = searches.iter().find(|search| same(search)) {
        return Ok(search.load(name)?);
    }
    let note = format!(
        "the policy `{name}` is not as it was at the launch: calls are answered by today's"
    );
    notes.push(note);
    let [first, _] = &searches;
    Ok(first.load(name)?)
}

fn print(out: &mut Output, answer: &Answer) {
    let (tone, word) = match answer.verdict {
        Verdict::Allowed => (Tone::Good, "allowed"),
        Verdict::Depends => (Tone::Warning, "depends"),
        Verdict::Refused => (Tone::Bad, "REFUSED"),
    };
    let by = match (answer.wall.as_str(), answer.errno.as_str()) {
        ("", _) => String::new(),
        (wall, "") => format!(" by {wall}"),
        (wall, errno) => format!(" by {wall} ({errno})"),
    };
    let asked = format!("{} {}", answer.action, answer.object);
    out.cells(&[(Tone::Plain, format!("{asked}:")), (tone, format!("{word}{by}"))]);
    let origin = match answer.origin.as_str() {
        "" => String::new(),
        origin => format!("  [{origin}]"),
    };
    out.line(&format!("  why       {}{origin}", answer.rule));
    answer.notes.iter().for_each(|note| out.line(&format!("  note      {note}")));
    if let Some(opening) = &answer.opening {
        print_opening(out, opening, "  to allow  ");
    }
}

/// What would allow something, behind `lead`; a policy with its file.
pub(super) fn print_opening(out: &mut Output, opening: &Opening, lead: &str) {
    let text = opening.to_string();
    let indent = " ".repeat(lead.chars().count());
    for (index, line) in text.lines().enumerate() {
        let before = if index == 0 { lead } else { &indent };
        out.line(format!("{before}{line}").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_is_is_seen_from_it() {
        for (target, kind) in [
            ("/etc/passwd", Kind::Path),
            ("~/x", Kind::Path),
            ("~", Kind::Path),
            ("../x", Kind::Path),
            ("pypi.org", Kind::Host),
            ("10.1.2.3:80", Kind::Host),
            ("host", Kind::Host),
            ("ptrace", Kind::Syscall),
            ("socket", Kind::Syscall),
            ("tasks", Kind::Limit),
            ("memory", Kind::Limit),
        ] {
            assert_eq!(kind_of(target), kind, "{target}");
        }
    }
}
