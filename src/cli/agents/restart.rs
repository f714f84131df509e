//! `cellblock restart`: an agent is ended and started again as it was.

use crate::control::protocol::Request;

const EXAMPLES: &str = "\
One that has ended is started again with the same profile, workspace and command.

Examples:
  cellblock restart reviewer";

super::each!(
    /// The arguments.
    Restart,
    EXAMPLES,
    |agent| Request::Restart { agent }
);
