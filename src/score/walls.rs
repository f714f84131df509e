//! `[enforcement] without`: walls that the agent may run without.

use super::Point;
use super::filesystem::writes_to_disk;
use crate::profile::types::{Limits, Network};
use crate::profile::{Profile, Wall};

pub(super) fn points(profile: &Profile) -> Vec<Point> {
    Wall::ALL.into_iter().map(|wall| point(wall, profile)).collect()
}

fn point(wall: Wall, profile: &Profile) -> Point {
    let (tenths, why) = weight(wall);
    let mut point = Point::new("enforcement.without", wall.name(), wall.purpose(), tenths);
    let named = profile.without.iter().find(|named| named.value == wall);
    if let Some(named) = named.filter(|_| is_asked_for(wall, profile)) {
        let cause = format!("lets it start where `{wall}` cannot stand: {why}");
        point.lose(tenths, &named.place, cause, "take it out of `without`");
    }
    point
}

/// Whether the profile asks for the wall in the first place: what it does not ask for is counted where it
/// would, and cannot be lost twice.
fn is_asked_for(wall: Wall, profile: &Profile) -> bool {
    let Limits { memory, tasks, cpu, cpu_weight, io, io_weight, disk, .. } = &profile.limits;
    match wall {
        Wall::Network => profile.network.value != Network::Host,
        Wall::Memory => memory.is_some(),
        Wall::Tasks => tasks.is_some(),
        Wall::Cpu => cpu.is_some() || cpu_weight.is_some(),
        Wall::Io => (io.is_some() || io_weight.is_some()) && writes_to_disk(profile),
        Wall::Disk => disk.is_some() && writes_to_disk(profile),
        Wall::User
        | Wall::Mount
        | Wall::Pid
        | Wall::Ipc
        | Wall::Uts
        | Wall::Cgroup
        | Wall::Keyring
        | Wall::Capabilities
        | Wall::NoNewPrivs
        | Wall::Landlock
        | Wall::Seccomp
        | Wall::Rlimits
        | Wall::Descriptors
        | Wall::NestedNamespaces
        | Wall::MemfdExec => true,
    }
}

/// What it costs to do without a wall, in tenths, and why so much.
fn weight(wall: Wall) -> (u16, &'static str) {
    match wall {
        Wall::User => {
            (15, "ids of the host would be its ids, and a privilege that came back a real one")
        }
        Wall::Mount => (40, "every file of the host that its uid may read or write would be there"),
        Wall::Pid => {
            (15, "all processes of the host would be seen, and what it started could stay")
        }
        Wall::Network => {
            (20, "services of the host could be reached, by TCP unless `landlock` stands")
        }
        Wall::Ipc => (5, "shared memory and queues that others left open could be reached"),
        Wall::Uts => (1, "the host's name would be seen, and nothing else"),
        Wall::Cgroup => (20, "no limit on its memory, tasks or time would hold, nor a common end"),
        Wall::Keyring => (5, "keys of the person who starts it could be used"),
        Wall::Capabilities => (20, "whatever gave it uid 0 would give it privileges"),
        Wall::NoNewPrivs => {
            (20, "setuid programs would work, and `landlock` and `seccomp` rest on it")
        }
        Wall::Landlock => {
            (15, "files, signals and sockets would be behind one wall instead of two")
        }
        Wall::Seccomp => (40, "every interface of the kernel could be reached, with its holes"),
        Wall::Rlimits => {
            (3, "core dumps and descriptors would be bounded by the host's habits alone")
        }
        Wall::Descriptors => (10, "a file that somebody left open would be a way past all others"),
        Wall::NestedNamespaces => (10, "a namespace of its own would give capabilities back to it"),
        Wall::MemfdExec => (3, "programs could be run that stand in no file"),
        Wall::Memory => (10, "a watch stands in, five times a second, which may come too late"),
        Wall::Tasks => (8, "a limit on its uid stands in, which is counted less strictly"),
        Wall::Cpu => (1, "others get slower, and nothing worse"),
        Wall::Io => (1, "others wait for the disk, and nothing worse"),
        Wall::Disk => (2, "the file systems of what it writes could be filled"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{NO_MEMORY, NO_TASKS};
    use super::super::{HOSTS_NETWORK, LOOPBACK};
    use super::*;

    #[test]
    fn the_hosts_network_costs_more_than_a_network_that_may_be_missing() {
        assert!(weight(Wall::Network).0 + LOOPBACK <= HOSTS_NETWORK);
    }

    #[test]
    fn no_limit_costs_no_less_than_a_limit_that_may_not_hold() {
        assert!(weight(Wall::Memory).0 <= NO_MEMORY);
        assert!(weight(Wall::Tasks).0 <= NO_TASKS);
    }
}
