//! How a verb of the command line reaches what keeps a running jail, and who may.
//!
//! [`roles`] decides, and acts on nothing: it is told who asks and which accounts there are.

pub mod agent;
pub mod handed;
pub mod network;
pub mod protocol;
pub mod roles;
pub mod socket;

use crate::host::accounts;

/// The number of the user or group called `name` on this host: what [`roles`] is told of its accounts.
#[must_use]
pub fn account(register: roles::Register, name: &str) -> Option<u32> {
    match register {
        roles::Register::Users => accounts::by_name(name).map(|account| account.uid),
        roles::Register::Groups => accounts::group(name),
    }
}
