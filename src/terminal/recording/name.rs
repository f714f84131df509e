//! What the file of a part is called: `AGENT.RECORDING.PART.cast`.
//!
//! Numbers and not times: a clock that was set back changes no order.

#![forbid(unsafe_code)]

use std::fmt;

/// The name of a part. The order is that in which parts are made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The agent's name.
    pub agent: String,
    /// Which recording of the agent, from 1.
    pub recording: u64,
    /// Which part of the recording, from 1.
    pub part: u64,
}

impl Name {
    /// Reads the name of a file; none where it is not that of a part of `agent`.
    #[must_use]
    pub fn parse(agent: &str, file: &str) -> Option<Self> {
        let numbers = file.strip_prefix(agent)?.strip_prefix('.')?.strip_suffix(".cast")?;
        let (recording, part) = numbers.split_once('.')?;
        let name =
            Self { agent: agent.to_owned(), recording: number(recording)?, part: number(part)? };
        // One file has one name: other ways to write the same numbers are somebody else's.
        (name.to_string() == file).then_some(name)
    }
}

/// A number of digits alone.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Such as `claude.000012.0003.cast`, which `ls` shows in order.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}.{:04}.cast", self.agent, self.recording, self.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_no_other_file_has_it() {
        for (recording, part) in [(1, 1), (999_999, 9999), (1_000_000, 12_345)] {
            let name = Name { agent: "a-1".to_owned(), recording, part };
            assert_eq!(Name::parse("a-1", &name.to_string()), Some(name));
        }
        for file in [
            "b.000001.0001.cast",
            "a-1.000001.0001.cast.old",
            "a-1.1.1.cast",
            "a-1.+00001.0001.cast",
            "a-1.new",
            "a-1.000001.0001.0001.cast",
            "a-12.000001.0001.cast",
            "a-1.99999999999999999999.0001.cast",
            "",
        ] {
            assert_eq!(Name::parse("a-1", file), None, "{file}");
        }
    }

    #[test]
    fn the_order_is_that_of_the_numbers() {
        let name = |recording, part| Name { agent: "a".to_owned(), recording, part };
        assert!(name(1, 10_000) > name(1, 9999));
        assert!(name(1_000_000, 1) > name(999_999, 5));
    }
}
