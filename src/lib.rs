//! cellblock
pub mod document;
