//! Landlock's rules: the same list as the mounts, so that the two cannot disagree.

use super::types::{LandlockPlan, LandlockRule, Mount, Rights, Source, TreeRights};
use crate::profile::types::Network;

/// The rules for what `mounts` show; where the jail has no root of its own, for the host's paths.
pub(super) fn resolve(
    abi: u32,
    mounts: &[Mount],
    own_root: bool,
    network: Network,
) -> LandlockPlan {
    let read = Rights::Tree(TreeRights { write: false, execute: false });
    let mut rules = vec![rule("/dev", Rights::Devices), rule("/proc", read)];
    if own_root {
        rules.push(rule("/", Rights::List));
        rules.push(rule("/etc", read));
        rules.push(rule(super::OWN, read));
    }
    for mount in mounts.iter().skip(1) {
        let rights = Rights::Tree(TreeRights { write: mount.write, execute: mount.execute });
        match &mount.source {
            Source::Memory { devices: false, .. } if own_root => {
                rules.push(rule(&mount.at, rights))
            }
            Source::Host { .. } if own_root => rules.push(rule(&mount.at, rights)),
            Source::Host { path, .. } => rules.push(rule(path, rights)),
            Source::Memory { .. } | Source::Pts { .. } | Source::Proc => {}
        }
    }
    LandlockPlan {
        abi,
        rules,
        restrict_tcp: abi >= 4 && network == Network::None,
        scopes: abi >= 6,
    }
}

fn rule(path: &str, rights: Rights) -> LandlockRule {
    LandlockRule { path: path.to_owned(), rights }
}
