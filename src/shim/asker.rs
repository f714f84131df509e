//! Which process of the jail a connection comes from, as far as /proc tells it in a moment.

use crate::egress::rate::Bucket;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long is looked: who asked may be gone already, and the jail's terminal waits meanwhile. An agent can make the tables
/// long, and its processes many.
const PATIENCE: Duration = Duration::from_millis(25);
/// The most looks in a second for all jails of this process: who has many of them has other things to do.
const LOOKS: u32 = 8;
/// What is left of those.
static LEFT: Mutex<Option<Bucket>> = Mutex::new(None);

/// Whether there is time for one more look.
fn is_time(now: Instant) -> bool {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.get_or_insert_with(|| Bucket::new(LOOKS, now)).take(now)
}

/// The process of the network of `init` that has the socket `from`: its name and its number outside. Nobody, where others were
/// looked for too often a moment ago.
pub(super) fn of(init: i32, uid: u32, from: SocketAddr) -> Option<String> {
    let now = Instant::now();
    if !is_time(now) {
        return None;
    }
    let until = now + PATIENCE;
    let tables = ["tcp", "udp", "tcp6", "udp6"];
    let inode = tables.iter().find_map(|table| {
        let table = read(&Path::new("/proc").join(format!("{init}/net/{table}")), until)?;
        inode_of(&table, from.port())
    })?;
    let wanted = PathBuf::from(format!("socket:[{inode}]"));
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    for process in processes.take_while(|_| Instant::now() < until) {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        // One that has ended meanwhile has no sockets.
        let owner = process.metadata().map(|meta| std::os::unix::fs::MetadataExt::uid(&meta));
        if owner.is_ok_and(|owner| owner == uid) && has(&process.path(), &wanted, until) {
            let name = read(&process.path().join("comm"), until).unwrap_or_default();
            return Some(format!("{} ({pid})", name.trim_end()));
        }
    }
    None
}

/// The text of a file, if it is there in time.
fn read(path: &Path, until: Instant) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut text = Vec::new();
    let mut block = [0; 16 << 10];
    while Instant::now() < until {
        match file.read(&mut block).ok()? {
            0 => return String::from_utf8(text).ok(),
            count => text.extend_from_slice(&block[..count]),
        }
    }
    None
}

fn has(process: &Path, socket: &Path, until: Instant) -> bool {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut in_time = descriptors.take_while(|_| Instant::now() < until);
    in_time.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == socket))
}

/// The inode of the socket whose own port is `port`, in a table as proc_net_tcp(5) has it.
fn inode_of(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let local = words.nth(1)?;
        let own = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        let inode = words.nth(7)?.parse().ok()?;
        // One that is closed already belongs to nobody.
        (own == port && inode != 0).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_socket_of_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 4711 1 0\n\
            \x20  1: 010012C6:C001 010012C6:01BB 01 00000000:00000000 00:00000000 00000000  1000 0 4712 1 0\n\
            \x20  2: 010012C6:C002 010012C6:01BB 06 00000000:00000000 00:00000000 00000000     0 0 0 1 0\n";
        assert_eq!(inode_of(table, 0xc001), Some(4712));
        assert_eq!(inode_of(table, 0xc002), None);
        assert_eq!(inode_of(table, 1), None);
    }
}
