//! `cellblock freeze`: every process of an agent waits until it is thawed.

use crate::control::protocol::Request;

const EXAMPLES: &str = "\
A frozen agent keeps its memory and its connections and uses no processor time.

Examples:
  cellblock freeze reviewer
  cellblock freeze builder reviewer";

super::each!(
    /// The arguments.
    Freeze,
    EXAMPLES,
    |agent| Request::Freeze { agent }
);
