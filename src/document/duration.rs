//! Durations as people write them.

use std::time::Duration;

/// Reads `500ms`, `10s`, `5m` or `2h`.
///
/// # Errors
/// A clause that says what is wrong.
pub fn parse(text: &str) -> Result<Duration, String> {
    let error = || format!("`{}` is not a duration", text.escape_debug());
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| error())?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs).ok_or_else(error);
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "" => Err(format!("`{number}` has no unit")),
        _ => Err(error()),
    }
}

/// The same the other way, in the largest unit that is exact.
#[must_use]
pub fn shown(duration: Duration) -> String {
    let millis = duration.as_millis();
    match duration.as_secs() {
        seconds if !millis.is_multiple_of(1000) => {
            format!("{}ms", u128::from(seconds) * 1000 + millis % 1000)
        }
        seconds if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_shown() {
        for text in ["500ms", "1500ms", "10s", "5m", "2h", "0s", "90s"] {
            assert_eq!(shown(parse(text).unwrap()), text);
        }
        for (text, cause) in [
            ("10", "`10` has no unit"),
            ("soon", "`soon` is not a duration"),
            ("1d", "`1d` is not a duration"),
            ("-1s", "`-1s` is not a duration"),
            ("99999999999999999999s", "is not a duration"),
            ("18446744073709551615h", "is not a duration"),
        ] {
            assert!(parse(text).unwrap_err().contains(cause), "{text}");
        }
    }
}
