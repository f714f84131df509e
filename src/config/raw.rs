//! The configuration as written, with the place of every value.

use crate::document::{Located, Problems, Reader, TableReader};

/// A configuration file as written.
#[derive(Clone, Debug, Default)]
pub struct RawConfig {
    /// `schema`: must be 1.
    pub schema: Option<Located<i64>>,
    /// `[slice] memory`.
    pub memory: Option<Located<String>>,
    /// `[slice] memory_high`.
    pub memory_high: Option<Located<String>>,
    /// `[slice] swap`.
    pub swap: Option<Located<String>>,
    /// `[slice] tasks`.
    pub tasks: Option<Located<String>>,
    /// `[slice] cpu`.
    pub cpu: Option<Located<String>>,
}

impl RawConfig {
    /// Reads `text`, called `name` in messages, with what could be read beside the problems.
    #[must_use]
    pub fn parse_whole(name: &str, text: &str) -> (Self, Problems) {
        Reader::read_whole(name, text, |reader, mut root| {
            let schema = root.integer(reader, "schema");
            let slice = root.table(reader, "slice", Self::slice).unwrap_or_default();
            root.finish(reader);
            Self { schema, ..slice }
        })
    }

    fn slice(reader: &mut Reader, table: &mut TableReader<'_>) -> Self {
        Self {
            schema: None,
            memory: table.scalar(reader, "memory"),
            memory_high: table.scalar(reader, "memory_high"),
            swap: table.scalar(reader, "swap"),
            tasks: table.scalar(reader, "tasks"),
            cpu: table.scalar(reader, "cpu"),
        }
    }
}
