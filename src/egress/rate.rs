//! How often something may happen: a bucket that fills as time goes by.

use core::time::Duration;
use std::time::Instant;

/// A bucket that starts full.
#[derive(Clone, Debug)]
pub struct Bucket {
    each_second: f64,
    most: f64,
    holds: f64,
    since: Instant,
}

impl Bucket {
    /// One for `each_second` a second, at `now`, which holds as much as comes in a second.
    #[must_use]
    pub fn new(each_second: u32, now: Instant) -> Self {
        Self::holding(each_second, each_second, now)
    }

    /// One for `each_second` a second, at `now`, which holds `most`.
    #[must_use]
    pub fn holding(most: u32, each_second: u32, now: Instant) -> Self {
        let (most, each_second) = (f64::from(most), f64::from(each_second));
        Self { each_second, most: most.max(1.0), holds: most, since: now }
    }

    /// Takes one, if one is there at `now`.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        self.since = self.since.max(now);
        self.holds = (self.holds + passed.as_secs_f64() * self.each_second).min(self.most);
        let there = self.holds >= 1.0;
        if there {
            self.holds -= 1.0;
        }
        there
    }

    /// How long until one is there.
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_secs_f64(((1.0 - self.holds) / self.each_second).clamp(0.0, 60.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_come_in_a_second_and_no_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        let at = |millis: u64| start + Duration::from_millis(millis);
        assert_eq!((0..20).filter(|_| bucket.take(at(0))).count(), 10);
        assert!(!bucket.take(at(99)));
        assert!(bucket.wait() <= Duration::from_millis(2));
        assert!(bucket.take(at(101)) && !bucket.take(at(102)));
        assert_eq!((0..40).filter(|_| bucket.take(at(60_000))).count(), 10);
        assert!(!bucket.take(at(5)), "time that goes back fills nothing");
    }
}
