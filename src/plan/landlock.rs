//! Landlock's rules: the same list as the mounts, so that the two cannot disagree.

use super::tree::join;
use super::types::{Content, LandlockPlan, LandlockRule, Log, Mount, Rights, Source, TreeRights};
use crate::config::Audit;
use crate::profile::types::Network;

/// The rules for what `mounts` show; where the jail has no root of its own, for the host's paths.
pub(super) fn resolve(
    abi: u32,
    mounts: &[Mount],
    own_root: bool,
    (network, audit): (Network, Audit),
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
    if abi >= SOCKETS {
        rules.extend(sockets(mounts).map(|path| rule(&path, Rights::Socket)));
    }
    LandlockPlan {
        abi,
        rules,
        restrict_tcp: abi >= 4 && network == Network::None,
        scopes: abi >= 6,
        log: log(abi, audit),
    }
}

/// The version of Landlock that records what it refuses (Linux 6.15).
pub const LOGS: u32 = 7;

fn log(abi: u32, audit: Audit) -> Log {
    match audit {
        Audit::Off => Log::Off(super::AUDIT_IS_OFF.to_owned()),
        Audit::Read | Audit::Enable if abi < LOGS => {
            Log::Off("Landlock is audited since Linux 6.15".to_owned())
        }
        Audit::Read | Audit::Enable => Log::On,
    }
}

/// The version of Landlock that knows of connections to sockets by their path.
const SOCKETS: u32 = 9;

/// The sockets in the jail's own trees that others listen on.
fn sockets(mounts: &[Mount]) -> impl Iterator<Item = String> {
    mounts.iter().flat_map(|mount| {
        let nodes = match &mount.source {
            Source::Memory { nodes, .. } => nodes.as_slice(),
            Source::Host { .. } | Source::Pts { .. } | Source::Proc => &[],
        };
        let sockets =
            nodes.iter().filter(|node| matches!(node.content, Content::Socket | Content::Door));
        sockets.map(|node| join(&mount.at, &node.path))
    })
}

fn rule(path: &str, rights: Rights) -> LandlockRule {
    LandlockRule { path: path.to_owned(), rights }
}
