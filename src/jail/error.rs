//! What went wrong in which step.

use rustix::io::Errno;

/// A step that failed: the call, what it was about, and the kernel's answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} {object}: {errno}")]
pub struct StepError {
    /// What was tried.
    pub verb: &'static str,
    /// On what.
    pub object: String,
    /// The kernel's answer.
    pub errno: Errno,
}

/// For `map_err`: a call on `object` failed.
pub(crate) fn cannot(verb: &'static str, object: &str) -> impl FnOnce(Errno) -> StepError {
    move |errno| StepError { verb, object: object.to_owned(), errno }
}
