//! `cellblock verify`: attempts to get out of a profile's jail, judged from outside.
//!
//! `shown` is what a person reads, `progress` what stands on the terminal meanwhile, `target` where
//! a report goes; what the reports say is decided in [`crate::verify::report`].

mod progress;
mod shown;
mod target;

use super::error::CliError;
use super::options::{Choice, Options};
use super::output::Output;
use super::run::tell_relaxations;
use crate::document::{self, Problem};
use crate::exit::Exit;
use crate::host::{self, Questions};
use crate::launch::{LaunchError, record};
use crate::plan::{Mode, Plan, Source};
use crate::planning::{self, wrong};
use crate::policy::seccomp::Policy;
use crate::score;
use crate::verify::battery;
use crate::verify::campaign::{self, CampaignError, Wish};
use crate::verify::interrupt;
use crate::verify::referee::Referee;
use crate::verify::report::{self, Danger, Header, Matrix, Report};
use crate::verify::setting::{Peer, Subject};
use clap::Args;
use progress::Progress;
use rustix::fs::StatVfsMountFlags;
use serde::Serialize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};
use target::Target;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Verify {
    /// A profile's name, or the path of its file (with a `/`, or ending in `.toml`)
    #[arg(value_name = "PROFILE", required_unless_present = "list")]
    profile: Option<String>,
    /// Only this family, attack or probe; can be given more than once
    #[arg(long, value_name = "FAMILY|ID")]
    only: Vec<String>,
    /// Try every probe behind every single wall, and tell what each wall alone stops
    #[arg(long)]
    matrix: bool,
    /// Show the probes there are, and make none
    #[arg(long, conflicts_with_all = ["matrix", "junit", "sarif", "html", "markdown", "peer"])]
    list: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Print the report as XML in the way of JUnit
    #[arg(long, conflicts_with = "json")]
    junit: bool,
    /// Print the report as SARIF 2.1.0
    #[arg(long, conflicts_with_all = ["json", "junit"])]
    sarif: bool,
    /// Write the report as one HTML page; `-` is standard output
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report as tables in Markdown; `-` is standard output
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Make the probes in another sandbox instead of the jail
    #[arg(long, value_enum, value_name = "SANDBOX", conflicts_with_all = ["matrix", "without"])]
    peer: Option<Peer>,
    /// Where the run keeps its files while it lasts; the profile must not show it [default: /var/tmp,
    /// with firejail, which hides that one, /srv]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// The name of the agent that attacks: it has a uid of its own
    #[arg(long, value_name = "NAME", default_value = "verify")]
    name: String,
    #[command(flatten)]
    choice: Choice,
}

const EXAMPLES: &str = "\
Every probe is tried without a jail, where it must succeed; behind each single wall that is said
to stop it; and in the jail. What came of it is seen from outside. What each verdict means:
  denied   the jail stops it, and so does every wall alone that is said to
  ESCAPED  it succeeded in the jail
  HOLLOW   the jail stops it, but a wall that is said to stop it alone does not
  UNCLEAR  the attempt shows nothing, or was stopped by an error that none of its walls gives
  granted  it succeeded: the profile allows it, or this kernel lacks what stops it
  skipped  there is nothing to try: on this host it fails without a jail, too

Attempts are bounded and harmless, and made on files, processes and sockets of the run's own; of the
host's devices and services it is only seen whether they can be opened and reached.
Nothing of it is left at the end, nor where Ctrl-C ends it.

Exit status: 0 where nothing escaped, was hollow or unclear, else 1; 125 where cellblock failed
or refused; 128 + n where signal n ended it.

Examples:
  cellblock verify --list
  sudo cellblock verify claude
  sudo cellblock verify --only network --only FS-01 demo
  sudo cellblock verify --matrix --html report.html demo
  sudo cellblock verify --without landlock --json demo | jq .totals
  sudo cellblock verify --junit ./reviewer.toml > cellblock.xml
  sudo cellblock verify --peer bwrap demo";

impl Verify {
    /// Makes the attempts and tells what they came to.
    ///
    /// # Errors
    /// Every problem of the profile and the command line, every wall that cannot stand, and what
    /// keeps attempts from being made.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let mut wish = self.wish()?;
        if self.list {
            self.list(&wish, out);
            return Ok(Exit::Success);
        }
        if !rustix::process::geteuid().is_root() {
            return Err(LaunchError::NotRoot.into());
        }
        let mut targets = self.targets()?;
        let subject = self.subject()?;
        let policy = planning::policies(&subject.caller).load(&subject.profile.seccomp.value)?;
        wish.without = subject.request.without.iter().map(|named| named.value).collect();
        let scratch = self.scratch()?;
        let (started, date) = (Instant::now(), date(seconds_of_day_one()));
        let (verb, object) = ("catch", "signals".to_owned());
        interrupt::catch().map_err(|errno| LaunchError::Call { verb, object, errno })?;
        if let Err(error) = record::sweep() {
            tracing::debug!(%error, "what others left behind stays for now");
        }
        let referee = Referee::new(&subject, &scratch)?;
        refuse_shown(referee.plan(), &scratch)?;
        if self.peer.is_none() {
            tell_relaxations(referee.plan(), out);
        }
        tell_mount(&scratch, out);
        let mut progress = Progress::new(out, self.prints_for_programs());
        let ran = campaign::run(&referee, &wish, |at| progress.tell(&at));
        progress.end();
        let header = self.header(referee.plan(), (&subject, &policy), date, started);
        drop(referee);
        let findings = match ran {
            Ok(findings) => findings,
            Err(error) => return interrupted(&error, out),
        };
        let report = Report { header: &header, findings: &findings };
        for target in &mut targets {
            target.write(&report)?;
        }
        // Who does not read on may be left.
        interrupt::release();
        self.print(&report, out)
    }

    /// What is asked for, every name of which must mean something.
    fn wish(&self) -> Result<Wish, Problem> {
        let (only, matrix, peer) = (self.only.clone(), self.matrix, self.peer);
        let wish = Wish { only, matrix, peer, ..Wish::default() };
        match wish.probes() {
            Ok(_) => Ok(wish),
            Err(name) => Err(unknown(&name)),
        }
    }

    fn subject(&self) -> Result<Subject, CliError> {
        if let Some(program) = self.peer.and_then(Peer::program)
            && !Path::new(program.path).exists()
        {
            let cause = format!("there is no {}", program.path);
            let hint = format!("install it: apt-get install {}", program.package);
            return Err(wrong("--peer", cause, hint).into());
        }
        let options = Options {
            profile: self.profile.clone().unwrap_or_default(),
            name: Some(self.name.clone()),
            choice: self.choice.clone(),
            ..Options::default()
        };
        Ok(planning::subject(&options.wanted(), Mode::Exec, host::probe::caller())?)
    }

    /// Where the run keeps its files: nobody but root may be able to exchange them.
    fn scratch(&self) -> Result<PathBuf, Problem> {
        let usual = if self.peer == Some(Peer::Firejail) { "/srv" } else { "/var/tmp" };
        let named = self.scratch.as_deref().unwrap_or(Path::new(usual));
        let found = planning::directory("--scratch", named)?;
        let path = PathBuf::from(found.value);
        if !path.is_dir() {
            let cause = format!("`{}` is no directory", path.display());
            return Err(wrong("--scratch", cause, "name a directory, such as /var/tmp"));
        }
        let hint = "name another directory, such as /var/tmp";
        for above in path.ancestors() {
            let (owner, mode) = above.metadata().map_or((0, 0), |it| (it.uid(), it.mode()));
            let shown = above.display();
            if owner != 0 || (mode & 0o022 != 0 && mode & 0o1000 == 0) {
                let cause = format!("`{shown}` can be changed by others than root");
                return Err(wrong("--scratch", cause, hint));
            }
            if mode & 0o001 == 0 {
                let cause =
                    format!("`{shown}` is closed to the agent, who attacks from there, too");
                return Err(wrong("--scratch", cause, hint));
            }
        }
        Ok(path)
    }

    /// Whether standard output is for a program.
    fn prints_for_programs(&self) -> bool {
        let is_output = |file: &Option<PathBuf>| file.as_deref().is_some_and(target::is_output);
        let report = is_output(&self.html) || is_output(&self.markdown);
        self.json || self.junit || self.sarif || report
    }

    /// The files that are written, each of which can be: known before minutes are spent on a report.
    fn targets(&self) -> Result<Vec<Target>, CliError> {
        let printed = [self.json, self.junit, self.sarif].into_iter().filter(|it| *it).count();
        let files = [("--html", &self.html), ("--markdown", &self.markdown)];
        let named = files.into_iter().filter_map(|(option, file)| Some((option, file.as_ref()?)));
        let (outputs, files): (Vec<_>, Vec<_>) =
            named.partition(|(_, file)| target::is_output(file));
        if printed + outputs.len() > 1 {
            let cause = "several reports would go to standard output";
            return Err(wrong("-", cause, "name a file for all but one").into());
        }
        if let [(_, first), (_, second)] = files[..]
            && first == second
        {
            let cause = format!("`{}` is named for --html, too", second.display());
            return Err(wrong("--markdown", cause, "name another file").into());
        }
        files.into_iter().map(|(option, file)| Target::open(option, file)).collect()
    }

    fn header(
        &self,
        plan: &Plan,
        (subject, policy): (&Subject, &Policy),
        date: String,
        started: Instant,
    ) -> Header {
        let facts = host::probe(&Questions::default(), &subject.caller);
        Header {
            profile: subject.profile.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: facts.kernel.release,
            machine: std::env::consts::ARCH.to_owned(),
            landlock_abi: facts.kernel.landlock_abi,
            date,
            took: started.elapsed(),
            walls: if self.peer.is_none() { plan.walls.clone() } else { Vec::new() },
            without: subject.request.without.iter().map(|named| named.value).collect(),
            peer: self.peer,
            only: self.only.clone(),
            matrix: self.matrix,
            dangers: if self.peer.is_none() { dangers(subject, policy) } else { Vec::new() },
        }
    }

    fn print(&self, report: &Report<'_>, out: &mut Output) -> Result<Exit, CliError> {
        let matrix = Matrix::new(report);
        if self.json {
            out.json(&report::json::document(report, &matrix));
        } else if self.sarif {
            out.json(&report::sarif::log(report));
        } else if self.junit {
            let failed = |error| CliError::Write { path: "the report".into(), error };
            out.generated(report::junit::text(report).map_err(failed)?.as_bytes());
        } else if self.html.as_deref().is_some_and(target::is_output) {
            out.generated(report::html::page(report).as_bytes());
        } else if self.markdown.as_deref().is_some_and(target::is_output) {
            out.generated(report::markdown::text(report).as_bytes());
        } else {
            shown::print(report, &matrix, out);
        }
        Ok(if report.totals().is_fine() { Exit::Success } else { Exit::FoundProblems })
    }

    /// The probes that are asked for.
    fn list(&self, wish: &Wish, out: &mut Output) {
        let probes = wish.probes().unwrap_or_default();
        if !self.json {
            return shown::list(&probes, out);
        }
        let listed = probes.iter().map(|(family, probe)| Listed {
            id: probe.id,
            family: family.name,
            title: probe.title,
            attack: probe.attack,
            source: probe.source,
            layers: probe.claims.iter().map(|claim| claim.layer.name()).collect(),
        });
        out.json(&listed.collect::<Vec<_>>());
    }
}

/// A probe as `--list --json` prints it.
#[derive(Serialize)]
struct Listed {
    id: &'static str,
    family: &'static str,
    title: &'static str,
    attack: &'static str,
    source: &'static str,
    /// What is said to stop it alone.
    layers: Vec<&'static str>,
}

/// What the profile gives away by itself.
fn dangers(subject: &Subject, policy: &Policy) -> Vec<Danger> {
    let score = score::score(&subject.profile, policy);
    let told = |finding: score::Finding<'_>| {
        let Problem { place, cause, hint } = &finding.loss.problem;
        let place = format!("{place}: {}", place.key);
        let (cause, hint) = (cause.clone(), hint.clone());
        Danger { grade: finding.grade.name(), place, cause, hint }
    };
    score::findings(&score).into_iter().map(told).collect()
}

/// What `--only` may have meant.
fn unknown(name: &str) -> Problem {
    let cause = format!("`{}` is no family, attack or probe", name.escape_debug());
    let families: Vec<_> = battery::FAMILIES.iter().map(|family| family.name).collect();
    let upper = name.to_uppercase();
    let alike = |id: &&str| !upper.is_empty() && id.to_uppercase().starts_with(&upper);
    let ids = || battery::all().map(|(_, probe)| probe.id);
    let mut near: Vec<&str> = ids().filter(alike).take(6).collect();
    if near.is_empty() {
        let entries = battery::all().map(|(_, probe)| probe.entry());
        let known: Vec<_> = families.iter().copied().chain(ids()).chain(entries).collect();
        near.extend(document::nearest(name, &known).or(document::nearest(&upper, &known)));
    }
    let families = format!("the families are {}", families.join(", "));
    let hint = match near.as_slice() {
        [] => format!("{families}; `cellblock verify --list` shows all"),
        near => format!("did you mean {}? {families}", near.join(", ")),
    };
    wrong("--only", cause, hint)
}

/// What the jail shows of the host would show the attempts' own things, too.
fn refuse_shown(plan: &Plan, scratch: &Path) -> Result<(), Problem> {
    let covers = |path: &&str| scratch.starts_with(path);
    let shown = plan.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Host { path, .. } => Some(path.as_str()),
        Source::Memory { .. } | Source::Pts { .. } | Source::Proc => None,
    });
    // Also a jail without a root of its own has these.
    let Some(entry) = shown.chain(["/dev", "/proc"]).find(covers) else { return Ok(()) };
    let cause = format!("the jail shows `{entry}`, and `{}` with it", scratch.display());
    Err(wrong("--scratch", cause, "name a directory that it does not show: --scratch DIR"))
}

/// Says what the file system of `scratch` keeps from being tried.
fn tell_mount(scratch: &Path, out: &mut Output) {
    let Ok(stat) = rustix::fs::statvfs(scratch) else { return };
    let hint = "name a directory on another file system: --scratch DIR";
    for (flag, word, kept) in [
        (StatVfsMountFlags::NOSUID, "nosuid", "set-user-ID programs and file capabilities"),
        (StatVfsMountFlags::NOEXEC, "noexec", "programs started from a file"),
    ] {
        if stat.f_flag.contains(flag) {
            let place = scratch.display();
            out.complain(&format_args!(
                "{place} is mounted {word}: probes with {kept} are skipped\n  hint: {hint}"
            ));
        }
    }
}

/// A run that gave no findings.
fn interrupted(error: &CampaignError, out: &mut Output) -> Result<Exit, CliError> {
    match error {
        CampaignError::Unknown(name) => Err(unknown(name).into()),
        CampaignError::Interrupted { signal, .. } => {
            out.complain(error);
            Ok(Exit::Signal(u8::try_from(*signal).unwrap_or(u8::MAX)))
        }
    }
}

/// Seconds since 1970-01-01 UTC.
fn seconds_of_day_one() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time in UTC as RFC 3339 has it; `seconds` are those since 1970-01-01.
pub(super) fn date(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(date(1_787_227_199), "2026-08-20T11:59:59Z");
        assert_eq!(date(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_name_that_is_near_to_one_is_found() {
        let hint = |name: &str| unknown(name).hint;
        assert!(hint("fs-01").starts_with("did you mean FS-01"), "{}", hint("fs-01"));
        assert!(hint("fils").starts_with("did you mean files?"), "{}", hint("fils"));
        assert!(hint("").starts_with("the families are files"), "{}", hint(""));
    }
}
