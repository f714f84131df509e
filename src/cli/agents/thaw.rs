//! `cellblock thaw`: what was frozen goes on.

use crate::control::protocol::Request;

const EXAMPLES: &str = "\
Examples:
  cellblock thaw reviewer";

super::each!(
    /// The arguments.
    Thaw,
    EXAMPLES,
    |agent| Request::Thaw { agent }
);
