//! Which alerts are on their way to which sinks.
//!
//! ```text
//!  put ─ waiting ─ hand ─ handed ─ done
//!           ▲                │ the process that tells them has ended
//!           └── repeated ────┘ once; a second time it is lost
//! ```
//!
//! Pure. Bounded: where too much waits, the oldest is given up. Every alert that was put ends for each of its sinks in one
//! of three ways, and is counted there once: told, failed, or lost.

#![forbid(unsafe_code)]

use super::alert::Alert;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most alerts that wait to be handed over, and that are handed over and not told yet.
pub const MOST: usize = 256;

/// An alert on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The alert.
    pub alert: Alert,
    /// The sinks that have not taken it yet.
    pub to: BTreeSet<String>,
    /// Whether a sink that does not take it is not asked again.
    pub once: bool,
    /// Whether it is about alerts that were not taken.
    pub about_alerts: bool,
}

/// What will not be told: to which sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The number of the alert.
    pub number: u64,
    /// The alert.
    pub item: Item,
}

/// The alerts that are on their way.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<(u64, Item)>,
    handed: BTreeMap<u64, Item>,
}

impl Outbox {
    /// Takes one more, with its number; gives what is given up for it.
    #[must_use]
    pub fn put(&mut self, number: u64, item: Item) -> Option<Lost> {
        if item.to.is_empty() {
            return None;
        }
        self.waiting.push_back((number, item));
        if self.waiting.len() <= MOST {
            return None;
        }
        self.waiting.pop_front().map(|(number, item)| Lost { number, item })
    }

    /// The next one to be handed over, where any may be.
    #[must_use]
    pub fn next(&self) -> Option<(u64, &Item)> {
        let first = self.waiting.front().filter(|_| self.handed.len() < MOST);
        first.map(|(number, item)| (*number, item))
    }

    /// The next one was handed over.
    pub fn hand(&mut self) {
        if let Some((number, item)) = self.waiting.pop_front() {
            self.handed.insert(number, item);
        }
    }

    /// `sink` has taken the alert of that number, or will not: whether that was still open.
    pub fn done(&mut self, number: u64, sink: &str) -> Option<Item> {
        let item = self.handed.get_mut(&number)?;
        if !item.to.remove(sink) {
            return None;
        }
        let done = item.clone();
        if item.to.is_empty() {
            self.handed.remove(&number);
        }
        Some(done)
    }

    /// Who was to tell them has ended: what was handed over is handed over once more, and says so; what was that already is
    /// lost.
    #[must_use]
    pub fn ended(&mut self) -> Vec<Lost> {
        let mut lost = Vec::new();
        for (number, mut item) in std::mem::take(&mut self.handed).into_iter().rev() {
            if item.alert.repeated || item.once {
                lost.push(Lost { number, item });
            } else {
                item.alert.repeated = true;
                self.waiting.push_front((number, item));
            }
        }
        while self.waiting.len() > MOST {
            lost.extend(self.waiting.pop_front().map(|(number, item)| Lost { number, item }));
        }
        lost
    }

    /// Only sinks that `is_known` says are there any more; gives what is lost by that.
    #[must_use]
    pub fn keep(&mut self, is_known: impl Fn(&str) -> bool) -> Vec<Lost> {
        let mut lost = Vec::new();
        for (number, item) in &mut self.waiting {
            let (to, gone) = item.to.iter().cloned().partition(|sink| is_known(sink));
            item.to = to;
            let gone: BTreeSet<String> = gone;
            if !gone.is_empty() {
                lost.push(Lost { number: *number, item: Item { to: gone, ..item.clone() } });
            }
        }
        self.waiting.retain(|(_, item)| !item.to.is_empty());
        lost
    }

    /// How many are on their way to `sink`.
    #[must_use]
    pub fn of(&self, sink: &str) -> usize {
        let all = self.waiting.iter().map(|(_, item)| item).chain(self.handed.values());
        all.filter(|item| item.to.contains(sink)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::alert::example;
    use super::*;
    use proptest::prelude::*;

    fn item(to: &[&str]) -> Item {
        let to = to.iter().map(|it| (*it).to_owned()).collect();
        Item { alert: example(), to, once: false, about_alerts: false }
    }

    #[test]
    fn one_is_done_when_all_its_sinks_are() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.put(1, item(&["a", "b"])), None);
        assert_eq!(outbox.put(2, item(&[])), None, "for nobody");
        assert_eq!(outbox.next().map(|(number, _)| number), Some(1));
        assert!(outbox.done(1, "a").is_none(), "not handed over yet");
        outbox.hand();
        assert!(outbox.next().is_none());
        assert!(outbox.done(1, "a").is_some() && outbox.done(1, "a").is_none());
        assert_eq!((outbox.of("a"), outbox.of("b")), (0, 1));
        assert!(outbox.done(1, "b").is_some() && outbox.handed.is_empty());
    }

    #[test]
    fn too_much_gives_up_the_oldest() {
        let mut outbox = Outbox::default();
        for number in 0..MOST as u64 {
            assert_eq!(outbox.put(number, item(&["a"])), None);
        }
        assert_eq!(outbox.put(999, item(&["a"])).unwrap().number, 0);
        for _ in 0..MOST {
            outbox.hand();
        }
        assert_eq!(outbox.put(1000, item(&["a"])), None);
        assert!(outbox.next().is_none(), "no more are handed over than may be");
    }

    #[test]
    fn what_was_handed_to_one_that_ended_is_repeated_once_in_its_order() {
        let mut outbox = Outbox::default();
        for number in 1..=3 {
            assert_eq!(outbox.put(number, item(&["a", "b"])), None);
        }
        outbox.hand();
        outbox.hand();
        outbox.done(1, "a").unwrap();
        assert!(outbox.ended().is_empty());
        let (number, first) = outbox.next().unwrap();
        assert_eq!((number, first.alert.repeated, first.to.len()), (1, true, 1));
        for _ in 0..3 {
            outbox.hand();
        }
        let lost: Vec<_> = outbox.ended().into_iter().map(|lost| lost.number).collect();
        assert_eq!(lost, [2, 1], "the third was handed over once");
        assert_eq!(outbox.next().map(|(number, _)| number), Some(3));
    }

    #[test]
    fn a_sink_that_is_gone_gets_nothing_more() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.put(1, item(&["a", "b"])), None);
        assert_eq!(outbox.put(2, item(&["b"])), None);
        let lost = outbox.keep(|sink| sink == "a");
        assert_eq!(
            lost.iter().map(|lost| (lost.number, lost.item.to.len())).collect::<Vec<_>>(),
            [(1, 1), (2, 1)]
        );
        assert_eq!((outbox.of("a"), outbox.of("b")), (1, 0));
        assert_eq!(outbox.waiting.len(), 1);
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        /// Whatever happens in which order: nothing is counted twice, and nothing is forgotten.
        #[test]
        fn every_alert_ends_once_for_each_sink(steps in proptest::collection::vec((0_u8..5, 0_u64..600, 0_u8..2), 0..1500)) {
            let mut outbox = Outbox::default();
            let (mut put, mut ended, mut number) = (0_usize, 0_usize, 0);
            let of = |lost: &Lost| lost.item.to.len();
            for (step, which, sink) in steps {
                let sink = if sink == 0 { "a" } else { "b" };
                match step {
                    0 | 1 => {
                        number += 1;
                        put += 2;
                        ended += outbox.put(number, item(&["a", "b"])).as_ref().map_or(0, of);
                    }
                    2 if outbox.next().is_some() => outbox.hand(),
                    3 => ended += usize::from(outbox.done(which, sink).is_some()),
                    4 if which < 20 => ended += outbox.ended().iter().map(of).sum::<usize>(),
                    _ => {}
                }
                prop_assert!(outbox.waiting.len() <= MOST && outbox.handed.len() <= MOST);
                prop_assert_eq!(put, ended + outbox.of("a") + outbox.of("b"));
            }
        }
    }
}
