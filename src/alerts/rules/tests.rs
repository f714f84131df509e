use super::*;
use crate::limits::figures::Throttle;
use proptest::prelude::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn counting(on: &[Kind], more_than: u32, within: u64) -> Counting {
    Counting {
        on: on.to_vec(),
        labels: Vec::new(),
        contains: Vec::new(),
        more_than,
        within: at(within),
        together: false,
    }
}

fn rule(when: When, again_after: u64) -> Rule {
    Rule {
        name: "r".to_owned(),
        agents: Vec::new(),
        when,
        severity: Severity::High,
        sinks: None,
        again_after: at(again_after),
    }
}

fn denials(more_than: u32, within: u64, again_after: u64) -> Rule {
    rule(When::Events(counting(&[Kind::Denial], more_than, within)), again_after)
}

fn denial(agent: &str, count: u64) -> Event {
    Event::new(Kind::Denial, Some(agent), "a.test was refused").times(count)
}

fn counts(fired: &[Fired]) -> Vec<u64> {
    fired.iter().map(|fired| fired.count).collect()
}

#[test]
fn more_than_so_many_within_a_time_is_told_and_no_fewer() {
    let mut rules = Rules::new(vec![denials(5, 60, 600)]);
    for second in 0..5 {
        assert!(rules.event(at(second), &denial("a", 1)).is_empty());
    }
    // The first is a minute old, and does not count any more.
    assert!(rules.event(at(60), &denial("a", 1)).is_empty());
    let fired = rules.event(at(60), &denial("a", 1));
    assert_eq!(counts(&fired), [6]);
    let told = "6 events of a within 1m, the last one denial: a.test was refused";
    assert_eq!((fired[0].told.as_str(), fired[0].agent.as_deref()), (told, Some("a")));
    assert_eq!((fired[0].about.as_str(), fired[0].severity), ("denial", Severity::High));
}

#[test]
fn a_storm_is_one_alert_and_then_its_count() {
    let mut rules = Rules::new(vec![denials(5, 60, 600)]);
    assert_eq!(counts(&rules.event(at(1), &denial("a", 900))), [900]);
    for _ in 0..1000 {
        assert!(rules.event(at(2), &denial("a", 1)).is_empty());
    }
    assert_eq!(rules.next_due(), Some(at(601)));
    assert!(rules.due(at(600)).is_empty());
    let fired = rules.due(at(601));
    assert_eq!(counts(&fired), [1000]);
    assert!(fired[0].told.contains("1000 events of a more since the last alert"), "{fired:?}");
    // Nothing more, and nothing is known of it in the end.
    assert!(rules.due(at(2000)).is_empty());
    assert_eq!((rules.next_due(), rules.states.len()), (None, 0));
}

#[test]
fn what_is_too_little_after_an_alert_is_not_told() {
    let mut rules = Rules::new(vec![denials(5, 60, 600)]);
    assert_eq!(counts(&rules.event(at(0), &denial("a", 6))), [6]);
    // Ten in ten minutes, never more than two in one.
    for minute in 1..10 {
        assert!(rules.event(at(minute * 60), &denial("a", 1)).is_empty());
    }
    assert!(rules.due(at(600)).is_empty());
}

#[test]
fn agents_are_counted_apart_or_together() {
    let apart = denials(1, 60, 600);
    let When::Events(counting) = apart.when.clone() else { panic!() };
    let together = When::Events(Counting { together: true, ..counting });
    let together = Rule { name: "all".to_owned(), when: together, ..apart.clone() };
    let mut rules = Rules::new(vec![apart, together]);
    assert!(rules.event(at(0), &denial("a", 1)).is_empty());
    let fired = rules.event(at(1), &denial("b", 1));
    assert_eq!((fired.len(), fired[0].rule.as_str(), &fired[0].agent), (1, "all", &None));
    assert_eq!(rules.event(at(1), &denial("b", 1))[0].rule, "r");
}

#[test]
fn a_rule_is_about_what_it_asks_for() {
    let mut hit = counting(&[Kind::Limit], 0, 60);
    hit.labels = vec![(Label::Limit, "disk*".to_owned()), (Label::Outcome, "full".to_owned())];
    hit.contains = vec!["nothing".to_owned(), "little".to_owned()];
    let only = NamePattern::parse("a-*").unwrap();
    let mut rules = Rules::new(vec![Rule { agents: vec![only], ..rule(When::Events(hit), 1) }]);
    let event = |agent: &str, limit: &str, outcome: &str, text: &str| {
        let event = Event::new(Kind::Limit, Some(agent), text).with(Label::Limit, limit);
        event.with(Label::Outcome, outcome)
    };
    let right = event("a-1", "disk /srv", "full", "nothing was left");
    for other in [
        event("b-1", "disk /srv", "full", "nothing was left"),
        event("a-1", "tasks", "full", "nothing was left"),
        event("a-1", "disk /srv", "refused", "nothing was left"),
        event("a-1", "disk /srv", "full", "refused"),
        Event::new(Kind::Denial, Some("a-1"), "nothing"),
        Event::new(Kind::Limit, None, "nothing"),
    ] {
        assert!(rules.event(at(1), &other).is_empty(), "{other:?}");
    }
    assert_eq!(rules.event(at(1), &right).len(), 1);
}

fn figures(tasks: u64, memory: u64) -> Figures {
    let gauge = |name: &str, unit, used, limit| crate::limits::Gauge::new(name, unit, used, limit);
    Figures {
        gauges: vec![
            gauge("tasks", Unit::Count, tasks, Some(512)),
            gauge("memory", Unit::Bytes, memory, Some(100 << 20)),
            gauge("disk /a", Unit::Bytes, 1 << 20, Some(8 << 20)),
            gauge("disk /b", Unit::Bytes, 7 << 20, Some(8 << 20)),
        ],
        ..Figures::default()
    }
}

fn above(gauge: Gauge, bound: Bound, lasting: u64) -> Rule {
    rule(When::Above(Above { gauge, bound, lasting: at(lasting) }), 600)
}

#[test]
fn a_figure_is_told_when_it_is_too_high_for_long_enough() {
    let mut rules = Rules::new(vec![above(Gauge::Memory, Bound::Percent(90), 120)]);
    assert!(rules.look(at(0), "a", &figures(0, 90 << 20)).is_empty(), "not above it");
    assert!(rules.look(at(10), "a", &figures(0, 95 << 20)).is_empty());
    assert!(rules.look(at(100), "a", &figures(0, 5 << 20)).is_empty(), "it begins anew");
    assert!(rules.look(at(110), "a", &figures(0, 95 << 20)).is_empty());
    assert!(rules.look(at(229), "a", &figures(0, 95 << 20)).is_empty());
    let fired = rules.look(at(230), "a", &figures(0, 95 << 20));
    assert_eq!(fired[0].told, "memory of a: 95M of 100M, above 90% for 2m");
    assert_eq!(fired[0].about, "memory");
    // Quiet for a while, and told again while it lasts.
    assert!(rules.look(at(700), "a", &figures(0, 95 << 20)).is_empty());
    assert_eq!(rules.look(at(830), "a", &figures(0, 95 << 20)).len(), 1);
    // One that has ended begins anew.
    rules.ended("a");
    assert!(rules.look(at(3000), "a", &figures(0, 95 << 20)).is_empty());
}

#[test]
fn amounts_disks_and_what_has_no_limit() {
    let mut rules = Rules::new(vec![
        above(Gauge::Tasks, Bound::Amount(100), 0),
        above(Gauge::Disk, Bound::Percent(80), 0),
        above(Gauge::Swap, Bound::Percent(1), 0),
    ]);
    let told = |fired: Vec<Fired>| fired.into_iter().map(|it| it.told).collect::<Vec<_>>();
    let disk = "disk of a: 7M of 8M, above 80%";
    assert_eq!(told(rules.look(at(1), "a", &figures(100, 1))), [disk]);
    assert_eq!(
        told(rules.look(at(2), "a", &figures(101, 1))),
        ["tasks of a: 101 of 512, above 100"]
    );
    let mut unlimited = figures(0, 0);
    unlimited.gauges.push(crate::limits::Gauge::new("swap", Unit::Bytes, 1 << 30, None));
    assert!(rules.look(at(3), "b", &unlimited).iter().all(|it| it.about != "swap"));
}

#[test]
fn processor_time_is_a_rate() {
    let mut rules = Rules::new(vec![above(Gauge::Cpu, Bound::Percent(90), 0)]);
    let at_work = |used_usec| Figures {
        cpu: Some(Throttle { used_usec, limit_percent: Some(200), ..Throttle::default() }),
        ..Figures::default()
    };
    let moment = |millis: u64| Duration::from_millis(millis);
    assert!(rules.look(moment(0), "a", &at_work(9_000_000)).is_empty(), "used before");
    assert!(rules.look(moment(50), "a", &at_work(9_500_000)).is_empty(), "too soon to tell");
    assert!(rules.look(moment(2000), "a", &at_work(12_000_000)).is_empty(), "1.5 of 2");
    let fired = rules.look(moment(4000), "a", &at_work(15_800_000));
    assert_eq!(fired[0].told, "cpu of a: 1.90 processors of 2.00 processors, above 90%");
}

#[test]
fn rules_that_stay_go_on_where_others_are_changed() {
    let (stays, goes) = (denials(5, 60, 600), Rule { name: "x".into(), ..denials(1, 60, 600) });
    let mut rules = Rules::new(vec![goes, stays.clone()]);
    assert_eq!(rules.event(at(0), &denial("a", 5)).len(), 1);
    let new = Rule { name: "y".into(), ..denials(2, 60, 600) };
    let mut rules = rules.replaced(vec![stays, new]);
    assert_eq!(rules.next_due(), None, "the one that was quiet is gone");
    assert_eq!(counts(&rules.event(at(1), &denial("a", 1))), [6], "and only that one counts on");
    rules.forget("a");
    assert!(rules.states.is_empty() && rules.next_due().is_none());
}

#[test]
fn an_alert_about_alerts_says_so() {
    let about = rule(When::Events(counting(&[Kind::AlertFailed], 0, 60)), 1);
    let mut rules = Rules::new(vec![about]);
    let fired = rules.event(at(0), &Event::new(Kind::AlertFailed, None, "pager: no"));
    assert!(fired[0].about_alerts);
    assert_eq!(fired[0].told, "pager: no");
}

/// The same, by looking at everything that happened each time.
#[derive(Default)]
struct Slow {
    events: Vec<(u64, u64)>,
    quiet: Option<u64>,
    since: u64,
    exceeded: bool,
}

impl Slow {
    fn too_many(&self, now: u64, rule: (u64, u64)) -> (bool, u64) {
        let inside = self.events.iter().filter(|(when, _)| now - when < rule.1);
        let sum: u64 = inside.map(|(_, count)| count).sum();
        (sum > rule.0, sum)
    }

    fn due(&mut self, now: u64, again: u64) -> Vec<u64> {
        let mut fired = Vec::new();
        while let Some(until) = self.quiet.filter(|until| *until <= now) {
            self.quiet = None;
            if self.exceeded {
                fired.push(self.since);
                self.events.clear();
                self.quiet = Some(until + again);
            }
            (self.since, self.exceeded) = (0, false);
        }
        fired
    }

    fn event(&mut self, now: u64, count: u64, rule: (u64, u64, u64)) -> Vec<u64> {
        let mut fired = self.due(now, rule.2);
        self.events.push((now, count));
        let (too_many, sum) = self.too_many(now, (rule.0, rule.1));
        if self.quiet.is_some() {
            self.since += count;
            self.exceeded |= too_many;
        } else if too_many {
            fired.push(sum);
            self.events.clear();
            self.quiet = Some(now + rule.2);
        }
        fired
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    /// Whatever happens when: the same alerts as by looking at everything, windows that stay short, pauses that are kept.
    #[test]
    fn counting_by_windows_is_counting(
        steps in proptest::collection::vec((0_u64..40, 0_u64..5), 1..200),
        more_than in 0_u32..12,
        within in 1_u64..60,
        again in 1_u64..120,
    ) {
        let mut rules = Rules::new(vec![denials(more_than, within, again)]);
        let mut slow = Slow::default();
        let rule = (u64::from(more_than), within, again);
        let (mut now, mut last) = (0, None);
        for (pause, count) in steps {
            now += pause;
            let fired = rules.event(at(now), &denial("a", count));
            prop_assert_eq!(counts(&fired), slow.event(now, count, rule));
            let longest = rules.states.values().map(|state| state.window.len()).max();
            prop_assert!(longest.unwrap_or(0) <= more_than as usize + 1, "{:?}", longest);
            if !fired.is_empty() {
                prop_assert!(last.is_none_or(|last| now - last >= again || fired.len() > 1));
                last = rules.next_due().map(|due| due.as_secs() - again);
            }
        }
    }
}
