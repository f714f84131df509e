//! The figures of a supervisor, for who collects them: read when they are asked for, and never otherwise.

use super::Supervisor;
use crate::alerts::event::Kind;
use crate::alerts::metrics::{Figures, Id};
use crate::control::protocol::{Shown, State, Used};
use std::collections::BTreeMap;

/// All states, so that one that no agent is in is told as 0.
const STATES: [State; 6] =
    [State::Starting, State::Running, State::Frozen, State::Stopping, State::Waiting, State::Ended];

#[allow(clippy::cast_precision_loss, reason = "the format has no other numbers")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

impl Supervisor {
    /// All figures as they are now.
    pub(super) fn figures(&mut self) -> Figures {
        let mut figures = Figures::default();
        figures.count(Id::Build, &[("version", env!("CARGO_PKG_VERSION"))], 1);
        figures.count(Id::Started, &[], self.alerts.since);
        let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let own = std::time::Duration::try_from(own).unwrap_or_default();
        figures.add(Id::Cpu, &[], own.as_secs_f64());
        let shown: Vec<Shown> = self.agents.values_mut().map(super::agent::Agent::shown).collect();
        let mut states: BTreeMap<&str, u64> = STATES.map(|state| (state.word(), 0)).into();
        for agent in &shown {
            *states.entry(agent.state.word()).or_default() += 1;
        }
        for (state, count) in states {
            figures.count(Id::Agents, &[("state", state)], count);
        }
        shown.iter().for_each(|agent| of_agent(&mut figures, agent));
        self.events(&mut figures);
        self.sinks(&mut figures);
        figures
    }

    fn events(&self, figures: &mut Figures) {
        let counts = &self.alerts.counts;
        let mut by_kind: BTreeMap<(&str, Kind), u64> = BTreeMap::new();
        for ((agent, kind, by), count) in &counts.events {
            *by_kind.entry((agent, *kind)).or_default() += count;
            let counted = match kind {
                Kind::Limit => Some((Id::LimitHits, "limit")),
                Kind::Denial => Some((Id::Denials, "wall")),
                Kind::Finding => Some((Id::Findings, "rule")),
                Kind::Start
                | Kind::Started
                | Kind::Ended
                | Kind::Restarted
                | Kind::Stop
                | Kind::Restart
                | Kind::Frozen
                | Kind::Thawed
                | Kind::Attached
                | Kind::Detached
                | Kind::SentAway
                | Kind::Told
                | Kind::Trouble
                | Kind::Acted
                | Kind::JobStarted
                | Kind::JobStopped
                | Kind::JobEnded
                | Kind::Scheduled
                | Kind::Note
                | Kind::RefusedCall
                | Kind::AlertFailed
                | Kind::AuthFailure
                | Kind::Message
                | Kind::Spawn => None,
            };
            if let Some((id, label)) = counted {
                figures.count(id, &[("agent", agent), (label, by)], *count);
            }
        }
        for ((agent, kind), count) in by_kind {
            figures.count(Id::Events, &[("agent", agent), ("event", kind.name())], count);
        }
        figures.count(Id::RefusedCalls, &[], counts.refused_calls);
        for ((rule, severity), count) in &counts.alerts {
            let labels = [("rule", rule.as_str()), ("severity", severity.word())];
            figures.count(Id::Alerts, &labels, *count);
        }
    }

    fn sinks(&self, figures: &mut Figures) {
        let desk = &self.alerts.desk;
        for name in desk.names() {
            let counts = self.alerts.counts.sinks.get(name).copied().unwrap_or_default();
            let ids = [Id::SinkDelivered, Id::SinkFailed, Id::SinkLost];
            for (id, count) in ids.into_iter().zip(counts) {
                figures.count(id, &[("sink", name)], count);
            }
            figures.count(Id::SinkQueue, &[("sink", name)], desk.outbox.of(name) as u64);
        }
        figures.count(Id::SinkStarts, &[], desk.starts);
    }
}

fn of_agent(figures: &mut Figures, agent: &Shown) {
    let name = [("agent", agent.name.as_str())];
    let used = |figures: &mut Figures, [use_of, limit]: [Id; 2], used: Option<Used>| {
        let Some(used) = used else { return };
        figures.count(use_of, &name, used.used);
        used.limit.into_iter().for_each(|most| figures.count(limit, &name, most));
    };
    used(figures, [Id::Memory, Id::MemoryLimit], agent.memory);
    used(figures, [Id::Tasks, Id::TasksLimit], agent.tasks);
    used(figures, [Id::Disk, Id::DiskLimit], agent.disk);
    if let Some(cpu) = agent.cpu {
        figures.add(Id::CpuSeconds, &name, seconds(cpu));
    }
    if let Some(limit) = agent.cpu_limit {
        figures.add(Id::CpuLimit, &name, seconds(limit.saturating_mul(10_000)));
    }
    if let Some(io) = agent.io {
        figures.count(Id::DiskRead, &name, io.read);
        figures.count(Id::DiskWritten, &name, io.written);
    }
    figures.count(Id::People, &name, agent.people.into());
    figures.count(Id::Restarts, &name, agent.restarts.into());
    if let Some(counts) = agent.counts {
        figures.count(Id::GateOpen, &name, counts.open.into());
        figures.count(Id::GateOpened, &name, counts.opened);
        figures.count(Id::GateRefused, &name, counts.refused);
        figures.count(Id::GateSent, &name, counts.sent);
        figures.count(Id::GateReceived, &name, counts.received);
    }
}
