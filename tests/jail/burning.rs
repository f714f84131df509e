//! Agents that are watched while they run: what the kernel counts of them, what cellblock tells of it.

use crate::harness::{self, Ended, Running, cellblock, command, exec, finish, program, start};
use crate::host;
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An agent that runs.
pub(crate) struct Watched {
    pub(crate) agent: String,
    pub(crate) running: Running,
    pub(crate) cgroup: PathBuf,
    /// PID 1 of the jail, by its number outside.
    pub(crate) init: i32,
}

/// The record of the newest launch of `agent` that runs.
fn record(agent: &str) -> Option<Value> {
    let name = host::records(agent).pop()?;
    let text = std::fs::read_to_string(Path::new("/run/cellblock/launches").join(name)).ok()?;
    let mut record: Value = serde_json::from_str(&text).ok()?;
    Some(record["kept"].take()).filter(|kept| kept["cgroup"].is_string())
}

impl Watched {
    /// Starts `cellblock VERB` and waits until its jail runs. What its journal held is forgotten.
    pub(crate) fn start(verb: &str, agent: &str, profile: &str, words: &[&str]) -> Self {
        Self::start_with(&mut cellblock(verb, agent, &[], profile, words), agent)
    }

    pub(crate) fn start_with(command: &mut std::process::Command, agent: &str) -> Self {
        forget_journal(agent);
        let mut running = start(command);
        let kept = harness::eventually("the record of its jail", || {
            let ended = running.child.try_wait().unwrap().is_some();
            record(agent).map(Some).or(ended.then_some(None))
        });
        let Some(kept) = kept else {
            panic!("{agent} did not start: {:#?}", running.wait(harness::DEADLINE));
        };
        let cgroup = PathBuf::from(kept["cgroup"].as_str().unwrap());
        let init = i32::try_from(kept["init"].as_i64().unwrap()).unwrap();
        Self { agent: agent.to_owned(), running, cgroup, init }
    }

    /// A file of its cgroup.
    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.cgroup.join(name)).unwrap().trim().to_owned()
    }

    /// A file of its cgroup that holds one number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.file(name).parse().unwrap()
    }

    /// A line of a file of its cgroup.
    pub(crate) fn field(&self, file: &str, name: &str) -> u64 {
        let text = self.file(file);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    }

    /// What `cellblock limits AGENT --json` tells; nothing once it has ended.
    pub(crate) fn limits(&self) -> Option<Value> {
        let ended = finish(command(program()).args(["limits", &self.agent, "--json"]));
        if ended.status != Some(0) {
            return None;
        }
        serde_json::from_str::<Value>(&ended.out).unwrap().as_array_mut()?.pop()
    }

    /// One gauge of [`Self::limits`].
    #[track_caller]
    pub(crate) fn gauge(&self, name: &str) -> Value {
        let limits = self.limits().unwrap();
        let gauges = limits["figures"]["gauges"].as_array().unwrap();
        let gauge = gauges.iter().find(|gauge| gauge["name"] == name);
        gauge.unwrap_or_else(|| panic!("no gauge {name} in {limits:#}")).clone()
    }

    /// Asks the launcher to end; how it ended, and how long it took until no process was left.
    #[track_caller]
    pub(crate) fn stop(self) -> (Ended, Duration) {
        let begun = Instant::now();
        self.running.signal(Signal::TERM);
        harness::eventually("its last process's end", || self.is_empty().then_some(()));
        let took = begun.elapsed();
        (self.running.wait(harness::DEADLINE), took)
    }

    fn is_empty(&self) -> bool {
        let events = std::fs::read_to_string(self.cgroup.join("cgroup.events"));
        events.map_or(true, |events| events.contains("populated 0"))
    }
}

/// The journal of `agent`.
fn journal(agent: &str) -> PathBuf {
    PathBuf::from(format!("/var/log/cellblock/{agent}.jsonl"))
}

fn forget_journal(agent: &str) {
    if journal(agent).exists() {
        std::fs::remove_file(journal(agent)).unwrap();
    }
}

/// What the journal of `agent` tells, line by line.
pub(crate) fn told_in_journal(agent: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(journal(agent)).unwrap_or_default();
    // The last line may be on its way.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How long the host and another agent take to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    host: Duration,
    agent: Duration,
}

impl Answers {
    /// Asks both.
    #[track_caller]
    pub(crate) fn ask() -> Self {
        let begun = Instant::now();
        finish(command("/bin/sh").args(["-c", "/bin/true"])).expect(0);
        let host = begun.elapsed();
        let begun = Instant::now();
        exec("jt-bystander", &[], "demo", &["true"]).expect(0);
        Self { host, agent: begun.elapsed() }
    }

    /// Fails where either takes much longer than it took `before`.
    #[track_caller]
    pub(crate) fn expect_not_far_from(&self, before: Self) {
        let most = |before: Duration| 5 * before + Duration::from_secs(2);
        let near = self.host <= most(before.host) && self.agent <= most(before.agent);
        assert!(near, "before {before:?}, now {self:?}");
    }
}
