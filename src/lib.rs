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

/// musl's own allocator gives memory back to the kernel at once and asks for it again a moment later;
/// a launch of two milliseconds spends a quarter of its time on that.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
