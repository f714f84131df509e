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

/// The gids that the host's lists give the user `uid`, the primary one first; none for a uid without an account.
/// Whoever is put into a group, or taken out, has what follows from it at once, not with the next login.
#[must_use]
pub fn groups_of(uid: u32) -> Vec<u32> {
    let Some(account) = by_uid(uid) else { return Vec::new() };
    let Ok(name) = std::ffi::CString::new(account.name) else { return vec![account.gid] };
    let primary = nix::unistd::Gid::from_raw(account.gid);
    match nix::unistd::getgrouplist(&name, primary) {
        Ok(groups) => {
            let others = groups.into_iter().map(nix::unistd::Gid::as_raw);
            let others = others.filter(|gid| *gid != account.gid);
            std::iter::once(account.gid).chain(others).collect()
        }
        Err(errno) => {
            tracing::warn!(uid, %errno, "cannot read which groups a user is in");
            vec![account.gid]
        }
    }
}

/// The home directory of the user `uid`; empty where it is unknown.
#[must_use]
pub fn home(uid: u32) -> String {
    use users::os::unix::UserExt as _;
    let user = users::get_user_by_uid(uid);
    user.map(|user| user.home_dir().display().to_string()).unwrap_or_default()
}

/// The person behind a process of `uid`: the one who called `sudo`, where root was reached by it.
#[must_use]
pub fn person(uid: u32) -> Person {
    let sudo = || std::env::var("SUDO_UID").ok()?.parse().ok();
    let uid = if uid == 0 { sudo().unwrap_or(0) } else { uid };
    Person { uid, home: home(uid) }
}

fn account(user: &users::User) -> Account {
    Account {
        name: user.name().to_string_lossy().into_owned(),
        uid: user.uid(),
        gid: user.primary_group_id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_user_begin_with_the_primary_one() {
        assert_eq!(groups_of(0).first(), Some(&0));
        // The lists of the host name members; what they say of one is what is told.
        let text = std::fs::read_to_string("/etc/group").unwrap();
        let named = text.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let [_, _, gid, members] = fields[..] else { return None };
            let member = members.split(',').find_map(by_name)?;
            Some((member, gid.parse::<u32>().ok()?))
        });
        if let Some((member, gid)) = named {
            assert!(groups_of(member.uid).contains(&gid), "{member:?} {gid}");
        }
        assert_eq!(groups_of(u32::MAX - 7), [0_u32; 0]);
    }
}
