//! What the jail's own file systems hold.

use super::super::request::Input;
use super::super::tree::{ancestors, below, join};
use super::{Content, DEFAULT, Identity, Mount, Node, Place, Source};
use crate::control::agent;
use crate::plan::Mode;
use crate::profile::types::{MemoryTree, Network, Wall};

/// Size of the small file systems that hold only directories and links.
const SMALL: u64 = 1 << 20;

fn memory(at: &str, size: u64, inodes: u64, mode: u32) -> Mount {
    Mount {
        at: at.to_owned(),
        source: Source::Memory {
            size,
            inodes,
            mode,
            agent: false,
            devices: false,
            nodes: Vec::new(),
        },
        write: false,
        execute: false,
        origin: DEFAULT.to_owned(),
    }
}

/// As [`memory`], belonging to the agent and writable.
fn agents(at: &str, size: u64, inodes: u64, mode: u32) -> Mount {
    let mut mount = memory(at, size, inodes, mode);
    if let Source::Memory { agent, .. } = &mut mount.source {
        *agent = true;
    }
    mount.write = true;
    mount
}

pub(super) fn root() -> Mount {
    memory("/", SMALL, 1024, 0o755)
}

pub(super) fn tree(at: &str, bounds: &MemoryTree, mode: u32) -> Mount {
    let mut mount = agents(at, bounds.size.value.0, bounds.inodes.value, mode);
    mount.execute = bounds.execute.value;
    mount.origin = bounds.size.place.to_string();
    mount
}

pub(super) fn workspace(bounds: &MemoryTree, place: &Place) -> Mount {
    let mut mount =
        agents(super::super::WORKSPACE, bounds.size.value.0, bounds.inodes.value, 0o700);
    mount.execute = true;
    mount.origin = place.to_string();
    mount
}

pub(super) fn tmux_directory() -> Mount {
    agents(super::super::TMUX_DIRECTORY, 64 << 10, 64, 0o700)
}

pub(super) fn shared_memory() -> Mount {
    agents("/dev/shm", 64 << 20, 4096, 0o1777)
}

pub(super) fn pts() -> Mount {
    let mut mount = memory("/dev/pts", 0, 0, 0o755);
    mount.source = Source::Pts { max: 256 };
    mount.write = true;
    mount
}

pub(super) fn processes() -> Mount {
    let mut mount = memory("/proc", 0, 0, 0o555);
    mount.source = Source::Proc;
    mount
}

/// `/dev` with the devices that every program expects, and none that reaches hardware.
pub(super) fn devices() -> Mount {
    let device = |path: &str, major, minor| node(path, Content::Device { major, minor });
    let link = |path: &str, target: &str| node(path, Content::Link(target.to_owned()));
    let mut mount = memory("/dev", SMALL, 64, 0o755);
    mount.source = Source::Memory {
        size: SMALL,
        inodes: 64,
        mode: 0o755,
        agent: false,
        devices: true,
        nodes: vec![
            device("null", 1, 3),
            device("zero", 1, 5),
            device("full", 1, 7),
            device("random", 1, 8),
            device("urandom", 1, 9),
            device("tty", 5, 0),
            link("fd", "/proc/self/fd"),
            link("stdin", "/proc/self/fd/0"),
            link("stdout", "/proc/self/fd/1"),
            link("stderr", "/proc/self/fd/2"),
            link("ptmx", "pts/ptmx"),
        ],
    };
    mount
}

fn node(path: &str, content: Content) -> Node {
    Node { path: path.to_owned(), content }
}

/// Makes `content` at the jail's path `at` if that lies in memory; `false` if it lies in a host tree.
pub(super) fn place(mounts: &mut [Mount], at: &str, content: Content) -> bool {
    let over = |mount: &&mut Mount| mount.at != at && below(at, &mount.at).is_some();
    let Some(mount) = mounts.iter_mut().filter(over).max_by_key(|mount| mount.at.len()) else {
        return false;
    };
    let rest = below(at, &mount.at).unwrap_or_default();
    let Source::Memory { nodes, agent, .. } = &mut mount.source else { return false };
    for above in ancestors(rest) {
        add(nodes, node(above, Content::Directory { agent: *agent }));
    }
    let content = match content {
        Content::Directory { .. } => Content::Directory { agent: *agent },
        Content::File(_)
        | Content::Link(_)
        | Content::Blank { .. }
        | Content::Device { .. }
        | Content::Socket
        | Content::Door => content,
    };
    add(nodes, node(rest, content));
    true
}

/// Whether `mount` has something at the jail's path `at`, from the start.
pub(super) fn has(mount: &Mount, at: &str) -> bool {
    let Source::Memory { nodes, .. } = &mount.source else { return false };
    nodes.iter().any(|node| join(&mount.at, &node.path) == at)
}

/// The first to claim a path has it.
fn add(nodes: &mut Vec<Node>, new: Node) {
    if !nodes.iter().any(|known| known.path == new.path) {
        nodes.push(new);
    }
}

/// Files that name the agent to itself, in place of the host's.
pub(super) fn generated(mounts: &mut [Mount], input: Input<'_>, identity: &Identity) {
    let Input { profile, request, facts } = input;
    let Identity { uid, gid, user, home, .. } = identity;
    let agent = &request.agent;
    let passwd = format!(
        "root:x:0:0:root:/nonexistent:/bin/false\n{user}:x:{uid}:{gid}:{agent}:{home}:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    );
    let group = format!("root:x:0:\n{user}:x:{gid}:\nnogroup:x:65534:\n");
    let taken_away = request.without.iter().any(|named| named.value == Wall::Network);
    let network = if taken_away { Network::Host } else { profile.network.value };
    let resolver = match network {
        Network::Host => facts.resolver.clone(),
        Network::Allowlist => "nameserver 127.0.0.1\n".to_owned(),
        Network::None | Network::Loopback => String::new(),
    };
    let files = [
        ("/etc/passwd", passwd),
        ("/etc/group", group),
        ("/etc/hosts", format!("127.0.0.1 localhost {agent}\n::1 localhost\n")),
        ("/etc/hostname", format!("{agent}\n")),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("/etc/resolv.conf", resolver),
        (super::super::LANDLOCK_CANARY, "readable only where Landlock does not stand\n".to_owned()),
        ("/run/cellblock/tmux.conf", super::super::terminal::config(profile, request)),
    ];
    for (path, text) in files {
        place(mounts, path, Content::File(text));
    }
    if request.mode == Mode::Run {
        place(mounts, agent::SOCKET, Content::Door);
    }
    place(mounts, super::super::BLANK_FILE, Content::Blank { directory: false });
    place(mounts, super::super::BLANK_DIRECTORY, Content::Blank { directory: true });
    place(mounts, "/var/tmp", Content::Link("/tmp".to_owned()));
}
