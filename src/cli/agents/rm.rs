//! `cellblock rm`: an agent that does not run is forgotten.

use crate::control::protocol::Request;

const EXAMPLES: &str = "\
Its journal and its recordings stay, and so does its uid.

Examples:
  cellblock rm reviewer";

super::each!(
    /// The arguments.
    Rm,
    EXAMPLES,
    |agent| Request::Remove { agent }
);
