//! cellblock
pub mod document;
pub mod host;
pub mod profile;
pub mod sys;
