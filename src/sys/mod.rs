//! The only unsafe code: thin wrappers of system calls that no crate of the tree offers.
//!
//! Each wrapper is a safe function whose arguments cannot break memory safety, and says which manual
//! page it stands for. What the calls mean for the jail is decided elsewhere.

#![allow(unsafe_code, reason = "the one place where system calls are made by hand")]

mod attempt;
mod clone;
mod kernel;
mod mount;
mod netlink;
mod process;
mod quota;

pub use attempt::{Argument, Entry, attempt, attempt_clone, attempt_clone3};
pub use clone::{CloneFlags, Cloned, clone_into, user_namespace_holder};
pub use kernel::{
    close_on_exec_from, inherited, install_logged_filter, join_new_session_keyring, landlock_abi,
    null_call, raise_loopback,
};
pub use mount::{TreeAttributes, set_tree_attributes};
pub use netlink::{Instruction, MOST_AT_ONCE, attach_filter, receive_many};
pub use process::{
    CallStop, call_stop, close_all_but, fork, ignore_signal, lead_session_of, reset_signals,
    set_variable,
};
pub use quota::{
    Project, ProjectQuotas, ProjectUse, has_quotas, limit_project, project_of, project_quotas,
    project_use, set_project,
};

use rustix::io::Errno;

/// The result of a raw system call.
fn result(value: libc::c_long) -> Result<libc::c_long, Errno> {
    if value >= 0 { Ok(value) } else { Err(last_errno()) }
}

fn last_errno() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
