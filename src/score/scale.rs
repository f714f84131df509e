//! The scale: exposures, their words, and the grades of findings.

use std::fmt;
use std::iter::Sum;

/// How much is given up: 0.0 (nothing) to 10.0 (everything), in tenths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposure(u16);

impl Exposure {
    /// Everything.
    pub const MOST: Self = Self(100);

    /// `tenths` tenths, at most [`Exposure::MOST`].
    #[must_use]
    pub const fn tenths(tenths: u16) -> Self {
        if tenths < Self::MOST.0 { Self(tenths) } else { Self::MOST }
    }

    /// Reads a number as it is printed: `4`, `4.5`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || format!("`{}` is not a number from 0.0 to 10.0", text.escape_debug());
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
        if tenth.len() != 1 || whole.len() > 2 || !digits(whole) || !digits(tenth) {
            return Err(error());
        }
        let number = |part: &str| part.parse::<u16>().map_err(|_| error());
        let tenths = number(whole)? * 10 + number(tenth)?;
        if tenths > Self::MOST.0 { Err(error()) } else { Ok(Self(tenths)) }
    }

    /// As a number.
    #[must_use]
    pub fn number(self) -> f64 {
        f64::from(self.0) / 10.0
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> Word {
        let reached = Word::SCALE.into_iter().rev().find(|(least, _)| *least <= self);
        reached.map_or(Word::Safe, |(_, word)| word)
    }
}

impl Sum for Exposure {
    fn sum<I: Iterator<Item = Self>>(exposures: I) -> Self {
        Self::tenths(exposures.fold(0, |sum, exposure| exposure.0.saturating_add(sum)))
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.0 / 10, self.0 % 10))
    }
}

/// An exposure in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// Nothing that matters is given up.
    Safe,
    /// What an agent needs for its work, and small things.
    Ok,
    /// Something large: one of the walls around the host's network or resources.
    Medium,
    /// Several of them, or ways to have code run outside.
    Exposed,
    /// The jail keeps little from an agent that wants out.
    Unsafe,
}

impl Word {
    /// Each with the least exposure it is said of.
    pub const SCALE: [(Exposure, Self); 5] = [
        (Exposure::tenths(0), Self::Safe),
        (Exposure::tenths(10), Self::Ok),
        (Exposure::tenths(30), Self::Medium),
        (Exposure::tenths(50), Self::Exposed),
        (Exposure::tenths(75), Self::Unsafe),
    ];

    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Ok => "ok",
            Self::Medium => "medium",
            Self::Exposed => "exposed",
            Self::Unsafe => "unsafe",
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How dangerous a loss is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// A step on a way out, or a nuisance to others.
    Low,
    /// Something of the person's or the machine's is at stake.
    Medium,
    /// A way out, or something that stood between the agent and one.
    High,
}

impl Grade {
    /// The grade of a loss that costs `exposure`; below half a point there is no danger to tell.
    #[must_use]
    pub fn of(exposure: Exposure) -> Option<Self> {
        match exposure.0 {
            20.. => Some(Self::High),
            10.. => Some(Self::Medium),
            5.. => Some(Self::Low),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_they_are_printed() {
        for tenths in 0..=100 {
            let exposure = Exposure::tenths(tenths);
            assert_eq!(Exposure::parse(&exposure.to_string()), Ok(exposure));
        }
        assert_eq!(Exposure::parse("7"), Ok(Exposure::tenths(70)));
        for bad in ["", "-1", "+1", "4.55", "4.", ".5x", "10.1", "50", "4,5", "1e1", "nan"] {
            Exposure::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn words_begin_where_the_scale_says() {
        let word = |tenths| Exposure::tenths(tenths).word().name();
        assert_eq!([0, 9, 10, 29, 30].map(word), ["safe", "safe", "ok", "ok", "medium"]);
        assert_eq!(
            [49, 50, 74, 75, 999].map(word),
            ["medium", "exposed", "exposed", "unsafe", "unsafe"]
        );
        assert!(Word::SCALE.is_sorted());
    }

    #[test]
    fn grades_begin_at_half_a_point() {
        let grade = |tenths| Grade::of(Exposure::tenths(tenths)).map_or("", Grade::name);
        assert_eq!([0, 4, 5, 10, 20].map(grade), ["", "", "low", "medium", "high"]);
    }

    #[test]
    fn sums_end_at_the_most() {
        let sum: Exposure = [60, 60].map(Exposure::tenths).into_iter().sum();
        assert_eq!((sum, sum.to_string().as_str()), (Exposure::MOST, "10.0"));
    }
}
