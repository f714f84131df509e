//! The rules that come with cellblock, each with what it is for and with what it is not.

use super::super::event::{Event, Kind, Label};
use super::*;
use crate::config::Config;
use crate::limits::figures::Throttle;

/// All of them, and those of a configuration with `text`.
fn rules_with(text: &str) -> Rules {
    let config = crate::config::parse("c", &format!("schema = 1\n{text}"));
    Rules::new(config.unwrap_or_else(|problems| panic!("{problems}")).alerts.rules())
}

fn shipped() -> Rules {
    Rules::new(Config::default().alerts.rules())
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The names of the rules that fire where `event` happens so often, a tenth of a second apart.
fn after(rules: &mut Rules, event: &Event, times: u64) -> Vec<String> {
    let fired = (0..times).flat_map(|step| rules.event(Duration::from_millis(step * 100), event));
    fired.map(|fired| fired.rule).collect()
}

fn of(kind: Kind) -> Event {
    Event::new(kind, Some("a"), "something happened")
}

/// Whether `rule` fires after so many events and not after one less.
#[track_caller]
fn fires_at(rule: &str, event: &Event, times: u64) {
    assert_eq!(after(&mut shipped(), event, times - 1), [""; 0], "{rule}");
    assert_eq!(after(&mut shipped(), event, times), [rule]);
}

#[test]
fn more_than_five_failed_authentications_a_minute() {
    fires_at("auth-failures", &of(Kind::AuthFailure), 6);
    fires_at("auth-failures", &of(Kind::RefusedCall), 6);
    // Of whomever, and also where it is about no agent.
    let mut rules = shipped();
    let mut fired = Vec::new();
    for agent in [None, Some("a"), Some("b"), Some("c"), None, None] {
        fired.extend(rules.event(at(5), &Event::new(Kind::RefusedCall, agent, "refused")));
    }
    assert_eq!((fired.len(), fired[0].severity, fired[0].count), (1, Severity::High, 6));
    // Slower than that is nobody who guesses.
    let mut rules = shipped();
    let slow = |minute: u64| at(minute * 13);
    assert!((0..100).all(|it| rules.event(slow(it), &of(Kind::RefusedCall)).is_empty()));
}

#[test]
fn messages_with_what_a_shell_would_act_on_where_that_is_switched_on() {
    let message = |text: &str| Event::new(Kind::Message, Some("a"), text);
    assert!(shipped().event(at(1), &message("a; b")).is_empty());
    let on = "[[alerts.rules]]\nname = 'command-injection'\nenabled = true\n";
    for bad in ["a; b", "a && b", "a || b", "a | b", "$HOME", "`id`"] {
        let fired = rules_with(on).event(at(1), &message(bad));
        assert_eq!((fired.len(), fired[0].severity), (1, Severity::Critical), "{bad}");
    }
    assert!(rules_with(on).event(at(1), &message("please look at the tests")).is_empty());
}

#[test]
fn spikes_of_messages_sessions_and_agents_that_start_agents() {
    fires_at("message-spike", &of(Kind::Message), 61);
    fires_at("new-sessions", &of(Kind::Started), 21);
    fires_at("spawn-spike", &of(Kind::Spawn), 11);
}

#[test]
fn more_than_a_hundred_processes_of_an_agent() {
    let tasks = |used| Figures {
        gauges: vec![crate::limits::Gauge::new("tasks", Unit::Count, used, Some(512))],
        ..Figures::default()
    };
    let rules = |used| {
        let mut rules = shipped();
        let fired = (0..70).flat_map(|second| rules.look(at(second), "a", &tasks(used)));
        fired.map(|fired| (fired.rule, fired.severity)).collect::<Vec<_>>()
    };
    assert_eq!(rules(100), []);
    assert_eq!(rules(101), [("process-count".to_owned(), Severity::High)]);
    let near = rules(480).into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
    assert_eq!(near, ["tasks-high", "process-count"]);
}

#[test]
fn what_the_watch_asks_to_be_told() {
    let finding =
        |action| of(Kind::Finding).with(Label::Finding, "detached").with(Label::Action, action);
    fires_at("findings", &finding("alert"), 1);
    assert_eq!(after(&mut shipped(), &finding("log"), 500), [""; 0]);
    fires_at("watch-acted", &of(Kind::Acted), 1);
}

#[test]
fn errors_and_refusals() {
    fires_at("denial-spike", &of(Kind::Denial).with(Label::Wall, "gate"), 51);
    fires_at("restart-loop", &of(Kind::Restarted), 4);
    fires_at("error-rate", &of(Kind::Trouble), 11);
    fires_at("failed-agent", &of(Kind::Ended).with(Label::Outcome, "badly"), 1);
    for fine in ["well", "asked"] {
        assert_eq!(after(&mut shipped(), &of(Kind::Ended).with(Label::Outcome, fine), 99), [""; 0]);
    }
    fires_at("undelivered", &Event::new(Kind::AlertFailed, None, "pager: no"), 1);
}

#[test]
fn resources_that_run_out() {
    let hit = |limit: &str, outcome: &str| {
        of(Kind::Limit).with(Label::Limit, limit).with(Label::Outcome, outcome)
    };
    fires_at("out-of-memory", &hit("memory", "ended"), 1);
    fires_at("out-of-memory", &hit("memory", "ended-by-watch"), 1);
    fires_at("refused-at-limit", &hit("tasks", "refused"), 51);
    fires_at("full", &hit("/tmp", "full"), 1);
    fires_at("memory-pressure", &hit("memory pressure", "waited"), 6);
    // Memory that is full of caches is taken back all day.
    assert_eq!(after(&mut shipped(), &hit("memory", "reached"), 3000), [""; 0]);
    let figures = |second: u64| Figures {
        gauges: vec![crate::limits::Gauge::new("disk /srv", Unit::Bytes, 95, Some(100))],
        cpu: Some(Throttle {
            used_usec: second * 1_990_000,
            limit_percent: Some(200),
            ..Throttle::default()
        }),
        ..Figures::default()
    };
    let mut rules = shipped();
    let fired = (0..2000).flat_map(|second| rules.look(at(second), "a", &figures(second)));
    let fired: Vec<_> = fired.map(|fired| (fired.rule, fired.severity)).collect();
    let expected = [("disk-high", Severity::Warning), ("cpu-high", Severity::Info)];
    assert_eq!(fired, expected.map(|(rule, severity)| (rule.to_owned(), severity)));
}

#[test]
fn each_can_be_changed_and_switched_off_by_its_name() {
    let off = "[[alerts.rules]]\nname = 'failed-agent'\nenabled = false\n";
    let ended = of(Kind::Ended).with(Label::Outcome, "badly");
    assert_eq!(after(&mut rules_with(off), &ended, 9), [""; 0]);
    let other = "[[alerts.rules]]\nname = 'denial-spike'\nmore_than = 2\nseverity = 'critical'\n";
    let mut rules = rules_with(other);
    let fired = (0..3).flat_map(|it| rules.event(at(it), &of(Kind::Denial))).collect::<Vec<_>>();
    assert_eq!((fired.len(), fired[0].severity), (1, Severity::Critical));
    assert_eq!(rules_with(other).rules.len(), shipped().rules.len());
}
