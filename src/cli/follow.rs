//! Lists that go on with what comes: what is new is what was not there when it was last looked.

use super::error::CliError;
use super::output::Output;
use std::time::Duration;

/// How often is looked for more.
const PERIOD: Duration = Duration::from_millis(500);
/// Among how many of the newest ones.
const FOLLOWED: usize = 1000;

/// Shows the `lines` newest of a list, and where it `goes_on` what comes, until nobody reads that any more. `newest` gives so many
/// at most, oldest first. How many were shown first.
///
/// # Errors
/// Those of `newest`.
pub(super) fn list<T: Clone + PartialEq>(
    out: &mut Output,
    lines: usize,
    goes_on: bool,
    newest: impl Fn(usize) -> Result<Vec<T>, CliError>,
    show: impl Fn(&mut Output, Vec<T>),
) -> Result<usize, CliError> {
    let mut known = newest(if goes_on { lines.max(FOLLOWED) } else { lines })?;
    let first = known[known.len().saturating_sub(lines)..].to_vec();
    let shown = first.len();
    show(out, first);
    while goes_on && !out.has_failed() {
        std::thread::sleep(PERIOD);
        let now = newest(FOLLOWED)?;
        show(out, beyond(&known, &now));
        known = now;
    }
    Ok(shown)
}

/// Those of `now` that are not in `before`; of the same ones, those that are more than before.
fn beyond<T: Clone + PartialEq>(before: &[T], now: &[T]) -> Vec<T> {
    let mut known: Vec<&T> = before.iter().collect();
    let is_new = |it: &&T| match known.iter().position(|known| known == it) {
        Some(at) => {
            known.remove(at);
            false
        }
        None => true,
    };
    now.iter().filter(is_new).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_told_once_wherever_it_stands_and_however_often_it_was_the_same() {
        // One was cut off, one came between, and one came once more.
        assert_eq!(beyond(&[1, 2, 2], &[2, 3, 2, 2]), [3, 2]);
        assert_eq!(beyond(&[2, 3, 2, 2], &[2, 3, 2, 2]), [0; 0]);
        assert_eq!(beyond(&[], &[1, 2]), [1, 2]);
    }
}
