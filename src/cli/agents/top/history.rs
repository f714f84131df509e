//! What was measured, one after the other, and rates of what is counted.

use std::collections::VecDeque;

/// So many are remembered.
const MOST: usize = 120;

/// Numbers in the order of their time, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<u64>);

impl History {
    /// Remembers `value`, and forgets what is too old.
    pub(super) fn push(&mut self, value: u64) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// The newest.
    pub(super) fn last(&self) -> Option<u64> {
        self.0.back().copied()
    }

    /// The newest `width` of them as bars, one character each, the highest of which stands for `most` or the highest of them.
    pub(super) fn bars(&self, width: usize, most: Option<u64>, steps: &[char]) -> String {
        let shown = self.0.iter().skip(self.0.len().saturating_sub(width));
        let highest = shown.clone().max().copied().unwrap_or(0);
        let most = most.filter(|most| *most >= highest).unwrap_or(highest).max(1);
        let last = steps.len().saturating_sub(1);
        let bar = |value: &u64| {
            // What is little is still something.
            let step = (u128::from(*value) * last as u128).div_ceil(u128::from(most));
            steps.get(usize::try_from(step).unwrap_or(last)).copied().unwrap_or(' ')
        };
        shown.map(bar).collect()
    }
}

/// By how much a count grew in a second, where it was `before` and `micros` microseconds later `now`. Nothing where it is
/// another count that began anew, or no time has passed.
pub(super) fn per_second(before: u64, now: u64, micros: u64) -> Option<u64> {
    let grown = u128::from(now.checked_sub(before)?) * 1_000_000;
    u64::try_from(grown.checked_div(u128::from(micros))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[char] = &[' ', '1', '2', '3', '4'];

    fn bars(values: &[u64], width: usize, most: Option<u64>) -> String {
        let mut history = History::default();
        values.iter().for_each(|value| history.push(*value));
        history.bars(width, most, STEPS)
    }

    #[test]
    fn bars_show_the_newest_against_their_limit_or_the_highest() {
        assert_eq!(bars(&[0, 1, 25, 26, 100], 10, Some(100)), " 1124");
        assert_eq!(bars(&[0, 1, 2, 4], 10, None), " 124");
        assert_eq!(bars(&[9, 0, 4], 2, None), " 4");
        // More than the limit is as high as it goes.
        assert_eq!(bars(&[50, 200], 2, Some(100)), "14");
        assert_eq!((bars(&[], 5, None).as_str(), bars(&[0], 5, None).as_str()), ("", " "));
        assert_eq!(bars(&[u64::MAX], 1, Some(u64::MAX)), "4");
    }

    #[test]
    fn only_so_many_are_remembered() {
        let all: Vec<u64> = (0..1000).collect();
        assert_eq!(bars(&all, 1000, None).chars().count(), MOST);
    }

    #[test]
    fn a_rate_is_growth_through_time() {
        assert_eq!(per_second(1000, 3000, 500_000), Some(4000));
        assert_eq!(per_second(5, 5, 1), Some(0));
        assert_eq!(per_second(5, 4, 1), None);
        assert_eq!(per_second(5, 9, 0), None);
        assert_eq!(per_second(0, u64::MAX, 1), None);
    }
}
