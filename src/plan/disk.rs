//! What the writable trees of the host may hold on disk.
//!
//! The bound is a project quota: all files below the trees belong to one project, whose number is the
//! agent's uid or made of it, and the file system holds that project to a limit. One limit a file
//! system, for all the trees on it together. What is in memory has sizes of its own.

use super::request::Input;
use super::types::{DiskBound, DiskPlan, DiskTree, Identity, Mount, Source, TreeBound, WallPlan};
use super::walls::Ability;
use crate::host::{Disk, HostFacts, ProjectQuota};
use crate::profile::Wall;
use crate::profile::types::{Bytes, User};
use std::collections::BTreeMap;

/// How much of the bound stands for one file: a file with anything in it takes a block, and blocks are
/// of this size. Empty files take none, and a disk has only so many of them.
const BYTES_PER_FILE: u64 = 4096;
/// The file systems whose project quotas are known to hold: a file moved or linked into a tree, and one
/// made there, belong to the tree's project.
const KNOWN: [&str; 2] = ["ext4", "xfs"];

/// What can be done about the trees that `facts` tell of.
pub(super) fn ability(facts: &HostFacts) -> Ability {
    let mut places = Vec::new();
    for (tree, disk) in &facts.disks {
        match disk {
            Ok(disk) => match lack(tree, disk) {
                Some((reason, cure)) => {
                    return Ability::Lacks { reason, cure: with_way_out(&cure) };
                }
                None => places.push(format!("{} at {}", disk.kind, disk.mount)),
            },
            // Who is not root does not launch, and may not be allowed to look.
            Err(_) if facts.caller.euid != 0 => {}
            Err(why) => {
                let reason = format!("the file system of `{tree}` cannot be looked at: {why}");
                return Ability::Lacks { reason, cure: with_way_out("make it readable") };
            }
        }
    }
    places.dedup();
    if places.is_empty() {
        return Ability::Stands("no tree of the host can be written".to_owned());
    }
    Ability::Stands(format!("project quotas of {}", places.join(", ")))
}

fn with_way_out(cure: &str) -> String {
    format!(
        "{cure}; or let the agent run without it: without = [\"disk\"] in its profile, or --without disk"
    )
}

/// Why what `tree` holds cannot be bounded, and what to do.
fn lack(tree: &str, disk: &Disk) -> Option<(String, String)> {
    let Disk { kind, source, mount, quota, .. } = disk;
    let reason = |what: &str| format!("{what} on the file system of `{tree}` ({kind} at {mount})");
    let known = KNOWN.contains(&kind.as_str());
    match (quota, known) {
        (ProjectQuota::Enforced, true) => None,
        (ProjectQuota::NotInKernel, _) => Some((
            "this kernel cannot be asked for quotas by descriptor".to_owned(),
            "use Linux 5.14 or later with CONFIG_QUOTA".to_owned(),
        )),
        (_, false) => Some((
            reason("no project quotas that are known to hold"),
            "keep what the agent writes on ext4 or xfs with project quotas".to_owned(),
        )),
        (ProjectQuota::Counted, true) if kind == "ext4" => Some((
            reason("project quotas are counted and not enforced"),
            format!("mount it with `-o prjquota`, or quotaon -P {mount}"),
        )),
        (ProjectQuota::Counted | ProjectQuota::None, true) => {
            Some((reason("no project quotas"), cure(kind, source, mount)))
        }
    }
}

fn cure(kind: &str, source: &str, mount: &str) -> String {
    let is_root = mount == "/";
    match kind {
        "xfs" if is_root => "boot with rootflags=pquota".to_owned(),
        "xfs" => {
            format!("umount {mount} && mount -o pquota {source} {mount} (a remount is not enough)")
        }
        _ if is_root => format!(
            "tune2fs -O project,quota {source} from a rescue system, then boot with rootflags=prjquota"
        ),
        _ => format!(
            "umount {mount} && tune2fs -O project,quota {source} && mount -o prjquota {source} {mount}"
        ),
    }
}

/// Set in the projects of agents that have the uid of a person: admins number their own from below.
const FAR_ABOVE: u32 = 1 << 30;

/// The project of the agent with `uid`. Uids set apart for agents are cellblock's, also those from a range that
/// was another once; a person's uid may be the number of a project with files and a limit that the admin gave it.
fn project(input: Input<'_>, uid: u32) -> u32 {
    let set_apart = match input.profile.agent.user.value {
        User::Auto => true,
        User::Name(_) | User::Uid(_) => input.request.config.uids.contains(uid),
    };
    if set_apart { uid } else { uid ^ FAR_ABOVE }
}

/// The bounds of the jail, and for each writable tree of the host what bounds it.
pub(super) fn resolve(
    input: Input<'_>,
    identity: &Identity,
    walls: &[WallPlan],
    mounts: &[Mount],
) -> DiskPlan {
    // Not where only some file system lacks quotas and the profile can do without: what can be bounded is.
    let off = super::walls::off(Wall::Disk, walls, input.request);
    let mut bounds: BTreeMap<(u32, u32), DiskBound> = BTreeMap::new();
    let mut trees = Vec::new();
    for (at, path) in mounts.iter().filter_map(written) {
        let bound = match (&off, &input.profile.limits.disk, input.facts.disks.get(path)) {
            (_, None, _) => TreeBound::None("the profile sets no limit".to_owned()),
            (Some(why), Some(_), _) => TreeBound::None(why.clone()),
            (None, Some(_), None | Some(Err(_))) => {
                TreeBound::None("its file system cannot be looked at".to_owned())
            }
            (None, Some(limit), Some(Ok(disk))) => match lack(path, disk) {
                Some((reason, _)) => TreeBound::None(reason),
                None => {
                    let bound = bounds.entry(disk.device).or_insert_with(|| DiskBound {
                        device: disk.device,
                        kind: disk.kind.clone(),
                        project: project(input, identity.uid),
                        bytes: limit.value.0,
                        inodes: limit.value.0 / BYTES_PER_FILE,
                        trees: Vec::new(),
                        origin: limit.place.to_string(),
                    });
                    bound.trees.push(path.to_owned());
                    TreeBound::Quota(told(bound))
                }
            },
        };
        trees.push(DiskTree { at: at.to_owned(), bound });
    }
    let mut bounds: Vec<_> = bounds.into_values().collect();
    bounds.iter_mut().for_each(|bound| outermost(&mut bound.trees));
    DiskPlan { bounds, trees }
}

fn told(bound: &DiskBound) -> String {
    let DiskBound { kind, project, bytes, inodes, .. } = bound;
    format!("at most {} and {inodes} files, by project quota {project} of {kind}", Bytes(*bytes))
}

/// Where a mount that shows a writable tree of the host is, and the tree.
fn written(mount: &Mount) -> Option<(&str, &str)> {
    match &mount.source {
        Source::Host { path, .. } if mount.write => Some((&mount.at, path)),
        Source::Host { .. } | Source::Memory { .. } | Source::Pts { .. } | Source::Proc => None,
    }
}

/// Leaves out what lies inside another of `trees`: it is walked through with it.
fn outermost(trees: &mut Vec<String>) {
    trees.sort();
    trees.dedup();
    let all = trees.clone();
    let inside =
        |tree: &String, other: &String| other != tree && super::tree::below(tree, other).is_some();
    trees.retain(|tree| !all.iter().any(|other| inside(tree, other)));
}
