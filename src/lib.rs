//! cellblock
pub mod document;
pub mod terminal;
