//! cellblock
pub mod document;
pub mod host;
pub mod jail;
pub mod launch;
pub mod plan;
pub mod policy;
pub mod profile;
pub mod shim;
pub mod sys;
pub mod terminal;
