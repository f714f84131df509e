//! What the gate gives up before it hears a byte of the jail.

use crate::confine::{self, Bounds, ConfineError, Reach};
use std::path::{Path, PathBuf};

/// Descriptors besides those of connections: sockets that listen, questions to name servers, pipes.
const OTHER_DESCRIPTORS: u64 = 1024;

/// Memory that the gate may take besides that of its connections, in bytes of address space.
const MEMORY: u64 = 1 << 30;

/// Address space for each connection.
const MEMORY_EACH: u64 = 128 << 10;

/// What is told of `error`, with the number of connections that would fit.
fn told(error: &ConfineError) -> String {
    let told = format!("the gate {error}");
    match error {
        ConfineError::Descriptors { wanted, most, .. } if most < wanted => {
            let fitting = most.saturating_sub(OTHER_DESCRIPTORS) / 6;
            format!("{told}\nhint: raise that, or set connections = {fitting} or less in [network]")
        }
        ConfineError::Descriptors { .. } | ConfineError::Call { .. } => told,
    }
}

/// Becomes `uid`, without any capability, for good; ends with its keeper.
pub(super) fn give_up_rights(uid: u32, connections: u32) -> Result<(), String> {
    let connections = u64::from(connections);
    let bounds = Bounds {
        // Two sockets, and four ends of pipes while bytes flow.
        descriptors: connections * 6 + OTHER_DESCRIPTORS,
        memory: MEMORY + connections * MEMORY_EACH,
        file: 0,
    };
    confine::bound(bounds).map_err(|error| told(&error))?;
    confine::give_up_rights(uid, true).map_err(|error| told(&error))
}

/// Nothing but reading what stands beside the resolver's files: they are replaced, never rewritten.
pub(super) fn restrict(landlock: bool) -> Result<(), String> {
    let folders = folders();
    confine::restrict("gate", landlock, &Reach::Read(&folders)).map_err(|error| told(&error))
}

/// Where the host says how names are resolved, links followed.
pub(super) const RESOLVER_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// The most links that are followed from one of those files.
const MOST_LINKS: u32 = 16;

/// The folders of the resolver's files and of what they lead to.
pub(crate) fn folders() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for file in RESOLVER_FILES.map(PathBuf::from) {
        let mut file = file;
        for _ in 0..MOST_LINKS {
            let Some(folder) = file.parent().map(Path::to_path_buf) else { break };
            let target = std::fs::read_link(&file).ok();
            let next = target.map(|target| folder.join(target));
            found.push(folder);
            let Some(next) = next else { break };
            file = next;
        }
    }
    found.retain(|folder| folder.is_dir());
    found.sort();
    found.dedup();
    found
}
