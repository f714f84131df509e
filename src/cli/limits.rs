//! `cellblock limits`: what running agents use of each limit; changes limits of one that runs.

use super::error::CliError;
use super::output::{Output, Tone};
use crate::document::{Place, Problem, Problems};
use crate::exit::Exit;
use crate::host;
use crate::launch::{self, record::Running};
use crate::limits::change::{self, Change};
use crate::limits::hits::{amount, seconds};
use crate::limits::{Figures, Gauge, Source, journal, read};
use crate::planning;
use clap::Args;
use serde::Serialize;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Limits {
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Change a limit of the running agent; can be given more than once
    #[arg(long, value_name = "KEY=VALUE", requires = "name")]
    set: Vec<String>,
    /// The agent; all that run where it is not given
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

const EXAMPLES: &str = "\
The keys of --set are memory, memory_high, swap, tasks, cpu and cpu_weight, with values as in
[limits] of a profile. The change holds until the jail ends and does not change the profile.
A value above the ceiling of all agents ([slice] of the configuration) is refused, and so is
less memory than the agent uses.

Examples:
  sudo cellblock limits
  sudo cellblock limits reviewer
  sudo cellblock limits reviewer --set memory=3G --set memory_high=2560M
  sudo cellblock limits --json reviewer | jq '.[].figures.gauges'";

/// The newest events that are shown of each agent.
const EVENTS: usize = 5;

/// One jail, as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    jail: String,
    agent: String,
    profile: String,
    uid: u32,
    figures: Figures,
    /// The newest events at its limits, oldest first, as in the journal.
    events: Vec<serde_json::Value>,
}

impl Limits {
    /// Prints the figures, after the changes.
    ///
    /// # Errors
    /// Where it is not root, no such agent runs, or a change is refused.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let running = self.running()?;
        if !self.set.is_empty() {
            self.change(&running)?;
        }
        let shown: Vec<_> = running.into_iter().map(show).collect();
        if self.json {
            out.json(&shown);
            return Ok(Exit::Success);
        }
        if shown.is_empty() {
            out.line("no agent is running");
        }
        shown.iter().for_each(|jail| print(out, jail));
        Ok(Exit::Success)
    }

    fn running(&self) -> Result<Vec<Running>, CliError> {
        let mut running = launch::record::running()?;
        let Some(name) = &self.name else { return Ok(running) };
        running.retain(|jail| jail.kept.agent == *name || jail.name == *name);
        if running.is_empty() { Err(self.nobody()) } else { Ok(running) }
    }

    fn nobody(&self) -> CliError {
        let name = self.name.as_deref().unwrap_or_default();
        let cause = format!("no agent named `{}` is running", name.escape_debug());
        wrong("NAME", cause, "cellblock limits shows those that are").into()
    }

    /// Makes all changes of all jails of the agent, or none.
    fn change(&self, running: &[Running]) -> Result<(), CliError> {
        let parsed = self.set.iter().map(|text| change::parse(text));
        let mut problems = Problems::default();
        let mut changes: Vec<Change> = Vec::new();
        for change in parsed {
            match change {
                Ok(change) => changes.push(change),
                Err(cause) => problems.push(wrong("--set", cause, "as in --set memory=3G")),
            }
        }
        for jail in running {
            let objections = objections(jail, &changes).into_iter();
            problems.0.extend(
                objections
                    .map(|(cause, hint)| wrong("--set", format!("{}: {cause}", jail.name), hint)),
            );
        }
        problems.into_result(())?;
        let by = host::probe::caller().person.uid;
        let changed = launch::set_limits(running, &changes)?;
        if changed.is_empty() {
            // It has ended since it was looked for.
            return Err(self.nobody());
        }
        for jail in changed {
            let changed = changes.iter().map(|change| (change.key, change.value()));
            let folder = &jail.kept.log;
            journal::write_changes(folder, &jail.kept.agent, &jail.name, by, changed).map_err(
                |errno| CliError::Write {
                    path: journal::path(folder, &jail.kept.agent),
                    error: errno.into(),
                },
            )?;
        }
        Ok(())
    }
}

fn wrong(option: &str, cause: impl Into<String>, hint: impl Into<String>) -> Problem {
    Problem::new(&Place::outside(planning::COMMAND_LINE, option), cause, hint)
}

fn objections(jail: &Running, changes: &[Change]) -> Vec<(String, String)> {
    let Some(cgroup) = &jail.kept.cgroup else {
        let cause = "has no cgroup, and nothing that could be changed while it runs".to_owned();
        return vec![(cause, "start it with the wall `cgroup`".to_owned())];
    };
    let missing = changes.iter().filter(|change| !cgroup.join(change.file).exists());
    let missing: Vec<_> = missing
        .map(|change| {
            let cause = format!("{} is held by no cgroup controller here", change.key);
            (cause, "what stands in for it is set at the start: change the profile".to_owned())
        })
        .collect();
    if !missing.is_empty() {
        return missing;
    }
    let ceiling = read::slice(cgroup).map(|slice| read::of_cgroup(&slice)).unwrap_or_default();
    change::check(changes, &read::of_cgroup(cgroup), &ceiling)
}

fn show(jail: Running) -> Shown {
    let Running { name, kept } = jail;
    let (agent, profile, uid) = (kept.agent.clone(), kept.profile.clone(), kept.uid);
    let events = journal::newest(&kept.log, &agent, &name, EVENTS);
    Shown { jail: name, agent, profile, uid, figures: Source::open(kept).read(), events }
}

fn print(out: &mut Output, shown: &Shown) {
    let Shown { jail, profile, uid, figures, events, .. } = shown;
    out.cells(&[
        (Tone::Good, jail.clone()),
        (Tone::Plain, format!("(profile {profile}, uid {uid})")),
    ]);
    figures.gauges.iter().for_each(|gauge| print_gauge(out, gauge));
    if let Some(cpu) = figures.cpu {
        let limit = cpu.limit_percent.map_or("no limit".to_owned(), |limit| {
            format!("limit {limit}% of a processor, held back {}", seconds(cpu.throttled_usec))
        });
        out.line(&format!("  {:<20} {} used, {limit}", "cpu", seconds(cpu.used_usec)));
    }
    if let Some(io) = figures.io {
        let bytes = |number| amount(crate::limits::Unit::Bytes, number);
        let limit = io
            .limit
            .map_or("no limit".to_owned(), |limit| format!("limit {} a second", bytes(limit)));
        let (read, written) = (bytes(io.read), bytes(io.written));
        out.line(&format!("  {:<20} {read} read, {written} written, {limit}", "io"));
    }
    let waits = figures
        .pressure
        .iter()
        .map(|it| format!("{} {}.{:02}%", it.resource, it.some_avg10 / 100, it.some_avg10 % 100));
    let waits: Vec<_> = waits.collect();
    if !waits.is_empty() {
        out.line(&format!("  {:<20} {} of the last 10 s", "waiting for", waits.join(", ")));
    }
    for told in events.iter().filter_map(|event| event["told"].as_str()) {
        out.cells(&[(Tone::Warning, "  event".to_owned()), (Tone::Plain, told.to_owned())]);
    }
}

fn print_gauge(out: &mut Output, gauge: &Gauge) {
    let shown = |number| amount(gauge.unit, number);
    let limit = gauge.limit.map_or("no limit".to_owned(), |limit| format!("of {}", shown(limit)));
    let peak = gauge.peak.map(|peak| format!(", peak {}", shown(peak)));
    let hits = gauge.hits.filter(|hits| *hits > 0).map(|hits| format!(", reached {hits} times"));
    let about = gauge.process.as_ref().map(|process| format!(", most by {process}"));
    let held = gauge.held_by.map(|holder| format!(" ({holder})"));
    let rest: String = [peak, hits, about, held].into_iter().flatten().collect();
    let (tone, word) = if gauge.is_full() { (Tone::Bad, " FULL") } else { (Tone::Plain, "") };
    let name = (Tone::Plain, format!("  {:<20}", gauge.name));
    out.cells(&[name, (tone, format!("{} {limit}{word}{rest}", shown(gauge.used)))]);
}
