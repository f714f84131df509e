//! cellblock
pub mod document;
pub mod host;
pub mod jail;
pub mod plan;
pub mod policy;
pub mod profile;
pub mod sys;
pub mod terminal;
