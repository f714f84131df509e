//! Who the agent is.

use super::request::Request;
use super::types::{HelperPlan, Identity};
use crate::document::Problems;
use crate::host::{AutoUid, HostFacts};
use crate::profile::Profile;
use crate::profile::types::User;

/// The ids of the agent; problems are reported and give ids that are never used.
pub(super) fn resolve(
    profile: &Profile,
    request: &Request,
    facts: &HostFacts,
    problems: &mut Problems,
) -> Identity {
    let (uid, gid, new_uid) = ids(profile, facts, problems);
    let groups = profile.agent.groups.iter().filter_map(|group| {
        let gid = facts.groups.get(&group.value).copied();
        match gid {
            None => problems.push(group.problem(
                format!("there is no group `{}` on this host", group.value.escape_debug()),
                "groups are named as in /etc/group, or by number",
            )),
            Some(0) => problems.push(group.problem("is root's group", "leave it out")),
            Some(_) => {}
        }
        gid
    });
    Identity {
        uid,
        gid,
        groups: groups.collect(),
        user: user_name(request.agent.as_str()),
        home: profile.agent.home.value.as_str().to_owned(),
        umask: profile.agent.umask.value,
        new_uid,
        origin: profile.agent.user.place.to_string(),
    }
}

fn ids(profile: &Profile, facts: &HostFacts, problems: &mut Problems) -> (u32, u32, bool) {
    let user = &profile.agent.user;
    match (&user.value, &facts.account) {
        (User::Auto, _) => match &facts.auto_uid {
            AutoUid::Assigned(uid) => (*uid, *uid, false),
            AutoUid::Next(uid) => (*uid, *uid, true),
            AutoUid::None(cause) => {
                problems
                    .push(user.problem(cause.clone(), "set a uid of its own: user = \"70123\""));
                (u32::MAX, u32::MAX, false)
            }
        },
        (User::Name(_) | User::Uid(_), Some(account)) if account.uid == 0 => {
            problems.push(user.problem("is root: an agent is never root", "use user = \"auto\""));
            (u32::MAX, u32::MAX, false)
        }
        (User::Name(_) | User::Uid(_), Some(account)) => (account.uid, account.gid, false),
        (User::Uid(uid), None) => (*uid, *uid, false),
        (User::Name(name), None) => {
            problems.push(user.problem(
                format!("there is no user `{}` on this host", name.escape_debug()),
                "make the user, or use user = \"auto\" for a uid of its own",
            ));
            (u32::MAX, u32::MAX, false)
        }
    }
}

impl HelperPlan {
    /// Stands where there is none: such a plan is not launched.
    pub(super) const NOBODY: Self = Self { uid: u32::MAX, new_uid: false };

    /// With the uid set apart for it.
    pub(super) fn resolve(uid: &AutoUid) -> Result<Self, String> {
        match uid {
            AutoUid::Assigned(uid) => Ok(Self { uid: *uid, new_uid: false }),
            AutoUid::Next(uid) => Ok(Self { uid: *uid, new_uid: true }),
            AutoUid::None(cause) => Err(cause.clone()),
        }
    }
}

/// The agent's name as a user's.
fn user_name(agent: &str) -> String {
    agent.to_owned()
}
