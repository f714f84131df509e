//! Users and groups of the host, and the person behind the call.

use super::facts::{Account, Person};

/// The account called `name`.
#[must_use]
pub fn by_name(name: &str) -> Option<Account> {
    users::get_user_by_name(name).map(|user| account(&user))
}

/// The account with the number `uid`.
#[must_use]
pub fn by_uid(uid: u32) -> Option<Account> {
    users::get_user_by_uid(uid).map(|user| account(&user))
}

/// The gid of the group called `name`; a number stands for itself.
#[must_use]
pub fn group(name: &str) -> Option<u32> {
    name.parse().ok().or_else(|| users::get_group_by_name(name).map(|group| group.gid()))
}

/// The person behind a process of `uid`: the one who called `sudo`, where root was reached by it.
#[must_use]
pub fn person(uid: u32) -> Person {
    let sudo = || std::env::var("SUDO_UID").ok()?.parse().ok();
    let uid = if uid == 0 { sudo().unwrap_or(0) } else { uid };
    let home = users::get_user_by_uid(uid).map(|user| {
        use users::os::unix::UserExt as _;
        user.home_dir().display().to_string()
    });
    Person { uid, home: home.unwrap_or_default() }
}

fn account(user: &users::User) -> Account {
    Account {
        name: user.name().to_string_lossy().into_owned(),
        uid: user.uid(),
        gid: user.primary_group_id(),
    }
}
