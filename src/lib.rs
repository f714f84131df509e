//! cellblock
pub mod document;
pub mod policy;
