//! System call policies: which calls a jailed process may make, with which arguments, and why.
//!
//! [`load`] turns policy files into a [`Policy`] (plain data, for `explain` and `why`), and
//! [`compile`] turns a policy into a classic BPF [`Program`] for one [`Arch`].
//!
//! Decides: the verdict for each call, and the shape of the filter. Never does: install a filter.
//! Does not protect against: anything behind a pointer (a path, `struct clone_args`, `struct
//! open_how`), which a filter cannot read; such calls are allowed or refused as a whole.
//!
//! What is not mentioned is refused. See `docs/seccomp.md` for the format of the files.

mod arch;
mod assemble;
mod check;
mod compile;
mod condition;
mod constants;
mod errno;
mod load;
mod merge;
mod program;
mod raw;
mod rules;
mod shipped;
#[cfg(test)]
mod tests;
mod when;

pub use arch::Arch;
pub use compile::{CompileError, MAX_INSTRUCTIONS, compile, compile_told};
pub use condition::{Argument, Compare, Condition, Constant, Width};
pub use errno::Errno;
pub use load::load;
pub use program::{Instruction, Program};
pub use rules::{Action, Call, Decision, Policy, Rule, Verdict};
pub use shipped::{OWN, SHIPPED, shipped};
