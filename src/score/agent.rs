//! `[agent]`: whose rights the agent has besides its own.

use super::Point;
use crate::document::Located;
use crate::host::uids;
use crate::profile::Profile;
use crate::profile::types::User;

pub(super) fn points(profile: &Profile) -> Vec<Point> {
    vec![user(profile), groups(profile), umask(profile)]
}

fn user(profile: &Profile) -> Point {
    let user = &profile.agent.user;
    let mut point = Point::new("agent", "user", "a uid that nobody else has", 20);
    let (tenths, cause) = match &user.value {
        User::Auto => (0, String::new()),
        // Set apart for agents: only another agent can have it.
        User::Uid(uid) if uids::RANGE.contains(*uid) => {
            (3, format!("is {uid}: `auto` may have given it to another agent"))
        }
        // In the trees it is shown the agent is that account, and outside its processes may trust it.
        User::Uid(uid) => (20, format!("is {uid}: whoever has this uid outside shares its files")),
        User::Name(name) => (
            20,
            format!("is `{name}`: the agent has the rights of this account to what it is shown"),
        ),
    };
    point.lose(tenths, &user.place, cause, "user = \"auto\"");
    point
}

/// What groups may do, by the names that distributions give them.
const GROUPS: &[(&[&str], u16, &str)] = &[
    // Their services do as root whatever a member asks for.
    (&["docker", "lxd", "incus", "incus-admin", "libvirt"], 30, "as good as root of the host"),
    // Below every file system there is.
    (&["disk", "kmem", "mem"], 30, "raw disks or memory of the host"),
    (&["shadow"], 20, "password hashes"),
    // No setuid program works in a jail; files and services still know the group.
    (
        &["sudo", "wheel", "admin", "staff"],
        10,
        "the right to become root, or to change its programs",
    ),
    (&["kvm", "input", "tty", "uucp", "dialout"], 10, "devices that see or type for others"),
    (&["adm", "systemd-journal", "utmp"], 10, "logs of the host, with what they hold by mistake"),
    (
        &["video", "render", "audio", "plugdev", "cdrom", "lp", "scanner"],
        5,
        "devices of the person",
    ),
    (&["users", "nogroup"], 2, "files that everybody shares"),
];

/// A group that no list names is somebody's own.
const ANY_GROUP: (u16, &str) = (5, "files that are shared with its members");
/// A number may be that of any of them.
const NUMBERED_GROUP: (u16, &str) = (10, "a number, which does not say what it may do");

fn groups(profile: &Profile) -> Point {
    let mut point = Point::new("agent", "groups", "rights of no group of the host", 100);
    for group in &profile.agent.groups {
        let (tenths, what) = judge(group);
        let cause = format!("has `{}`: {what}", group.value);
        point.lose(tenths, &group.place, cause, "take it out of `groups`");
    }
    point
}

fn judge(group: &Located<String>) -> (u16, &'static str) {
    let name = group.value.as_str();
    if name.parse::<u32>().is_ok() {
        return NUMBERED_GROUP;
    }
    let known = GROUPS.iter().find(|(names, ..)| names.contains(&name));
    known.map_or(ANY_GROUP, |(_, tenths, what)| (*tenths, what))
}

/// Rights that a mask leaves to others, each with what it costs.
const LEFT: [(u32, u16, &str); 3] = [
    (0o002, 3, "everybody may change"),
    (0o020, 2, "the group may change"),
    (0o004, 1, "everybody may read"),
];

fn umask(profile: &Profile) -> Point {
    let umask = &profile.agent.umask;
    let mut point = Point::new("agent", "umask", "what it makes is nobody else's to read", 6);
    for (bit, tenths, what) in LEFT {
        if umask.value & bit == 0 {
            let cause = format!("is {:03o}: {what} what it makes", umask.value);
            point.lose(tenths, &umask.place, cause, "umask = \"077\"");
        }
    }
    point
}
