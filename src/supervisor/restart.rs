//! Whether an agent that has ended is started again, and when. Pure.

use crate::config::Restart;
use std::time::Duration;

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(300);
/// Whoever ran so long did not fail at once.
const STEADY: Duration = Duration::from_secs(60);

/// How an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As it wanted to: with status 0.
    Well,
    /// In any other way that nobody asked for.
    Badly,
    /// Because somebody asked for it.
    Asked,
}

impl End {
    /// The word for it in events.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Badly => "badly",
            Self::Asked => "asked",
        }
    }
}

/// After which pause an agent is started again, and how many times in a row it then was; `None` where it is not.
///
/// `row` is how often it was started again in a row before, `ran` how long it ran this time.
pub(super) fn next(policy: Restart, end: End, ran: Duration, row: u32) -> Option<(Duration, u32)> {
    let again = match (policy, end) {
        (_, End::Asked) | (Restart::Never, _) | (Restart::OnFailure, End::Well) => false,
        (Restart::OnFailure, End::Badly) | (Restart::Always, End::Well | End::Badly) => true,
    };
    let row = if ran >= STEADY { 0 } else { row };
    let pause = FIRST.saturating_mul(1_u32.checked_shl(row.min(20)).unwrap_or(u32::MAX));
    again.then(|| (pause.min(LONGEST), row.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_after_which_ends() {
        let again = |policy, end| next(policy, end, Duration::ZERO, 0).is_some();
        let ends = [End::Well, End::Badly, End::Asked];
        assert_eq!(ends.map(|end| again(Restart::Never, end)), [false; 3]);
        assert_eq!(ends.map(|end| again(Restart::OnFailure, end)), [false, true, false]);
        assert_eq!(ends.map(|end| again(Restart::Always, end)), [true, true, false]);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_steady_run() {
        let (mut row, mut pauses) = (0, Vec::new());
        for _ in 0..40 {
            let (pause, next) = next(Restart::Always, End::Badly, Duration::ZERO, row).unwrap();
            pauses.push(pause.as_secs());
            row = next;
        }
        assert_eq!(pauses[..5], [1, 2, 4, 8, 16]);
        assert_eq!(pauses[39], 300);
        let steady = next(Restart::Always, End::Badly, STEADY, row).unwrap();
        assert_eq!(steady, (FIRST, 1));
        assert_eq!(next(Restart::Always, End::Well, STEADY, u32::MAX), Some((FIRST, 1)));
    }
}
