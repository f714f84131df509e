//! `[filesystem]`: what of the host the agent sees and changes.

use super::{Point, places, protect};
use crate::document::Located;
use crate::profile::Profile;
use crate::profile::types::{Entry, Owner, Workspace};

pub(super) fn points(profile: &Profile) -> Vec<Point> {
    vec![
        read(profile),
        write(profile),
        execute(profile),
        owner(profile),
        tmp_execute(profile),
        home_execute(profile),
        workspace(profile),
        protect::protected(profile),
        protect::hidden(profile),
    ]
}

/// Whether anything that it writes is kept on the host.
pub(super) fn writes_to_disk(profile: &Profile) -> bool {
    let files = &profile.filesystem;
    let writes = files.entries.iter().any(|entry| entry.access.write);
    writes || files.workspace.value == Workspace::Current
}

fn entries(profile: &Profile, write: bool) -> impl Iterator<Item = &Entry> {
    profile.filesystem.entries.iter().filter(move |entry| entry.access.write == write)
}

fn read(profile: &Profile) -> Point {
    let mut point = Point::new("filesystem", "read", "nothing that others keep to themselves", 100);
    for entry in entries(profile, false) {
        let path = &entry.path;
        if let Some((tenths, what)) = places::cost(path.value.as_str(), false) {
            let cause = format!("`{}` can be read: {what}", path.value);
            point.lose(tenths, &path.place, cause, "name the files that it needs, or leave it out");
        }
    }
    point
}

/// A tree that the agent changes and others go on using.
const ANY_WRITE: u16 = 5;

fn write(profile: &Profile) -> Point {
    let mut point = Point::new("filesystem", "write", "changes nothing outside the workspace", 100);
    for entry in entries(profile, true) {
        let path = &entry.path;
        let (tenths, what) = places::cost(path.value.as_str(), true)
            .filter(|(tenths, _)| *tenths >= ANY_WRITE)
            .unwrap_or((ANY_WRITE, "it is outside the workspace"));
        let cause = format!("`{}` can be changed: {what}", path.value);
        point.lose(tenths, &path.place, cause, "put it into `read`, or leave it out");
    }
    point
}

fn execute(profile: &Profile) -> Point {
    let mut point = Point::new("filesystem", "execute", "runs nothing that it wrote there", 100);
    for entry in entries(profile, true).filter(|entry| entry.access.execute) {
        // The workspace gives it that anyway; here somebody else may run what it leaves, too.
        let cause = format!("`{}` can be written, and run from", entry.path.value);
        point.lose(3, &entry.path.place, cause, "leave it in one of `write` and `execute`");
    }
    point
}

fn owner(profile: &Profile) -> Point {
    let mut point = Point::new("filesystem", "owner", "files stay theirs to whom they belong", 100);
    let hosts = profile.filesystem.entries.iter().filter(|entry| entry.owner == Owner::Host);
    for entry in hosts {
        // Permissions of files, the second thing between the agent and them, then count for nothing.
        let (tenths, verb) = if entry.access.write { (5, "changed") } else { (3, "read") };
        let cause =
            format!("`{}` has owner = \"host\": is {verb} as if by its owner", entry.path.value);
        point.lose(tenths, &entry.path.place, cause, "owner = \"disk\"");
    }
    point
}

/// What can be run from memory, where nobody looks for programs: a download becomes one.
fn execute_in_memory(
    key: &'static str,
    meaning: &'static str,
    allowed: &Located<bool>,
    hint: &str,
) -> Point {
    let mut point = Point::new("filesystem", key, meaning, 2);
    let cause = "is true: what was downloaded there can be run";
    point.lose(2 * u16::from(allowed.value), &allowed.place, cause, hint);
    point
}

fn tmp_execute(profile: &Profile) -> Point {
    let allowed = &profile.filesystem.tmp.execute;
    execute_in_memory("tmp_execute", "runs nothing from /tmp", allowed, "tmp_execute = false")
}

fn home_execute(profile: &Profile) -> Point {
    let allowed = &profile.filesystem.home.execute;
    execute_in_memory("home_execute", "runs nothing from its home", allowed, "home_execute = false")
}

fn workspace(profile: &Profile) -> Point {
    let workspace = &profile.filesystem.workspace;
    let mut point = Point::new("filesystem", "workspace", "changes no directory of yours", 4);
    if workspace.value == Workspace::Current {
        // What an agent is for, mostly; what it must not change there is `protect`'s.
        let cause = "is `current`: the agent changes and runs what is in your directory";
        point.lose(4, &workspace.place, cause, "workspace = \"memory\", or \"none\"");
    }
    point
}
