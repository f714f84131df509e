//! Whom the kernel ended when memory ran out: its log says so (Documentation/ABI/testing/dev-kmsg).

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

/// The kernel's log from the moment of opening on.
#[derive(Debug)]
pub struct KernelLog {
    device: OwnedFd,
}

/// The most records that are read at once; each is at most 8 KiB long.
const RECORDS: usize = 4096;
const LONGEST: usize = 8192;

impl KernelLog {
    /// Opens it at its end.
    ///
    /// # Errors
    /// The kernel's answer: without CAP_SYSLOG, or in a container, it may not be read.
    pub fn open() -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let device = rustix::fs::open("/dev/kmsg", flags, Mode::empty())?;
        rustix::fs::seek(&device, SeekFrom::End(0))?;
        Ok(Self { device })
    }

    /// The processes of `uid` that the kernel has ended since it was read last, in words.
    #[must_use]
    pub fn victims(&self, uid: u32) -> Vec<String> {
        let mut victims = Vec::new();
        let mut record = [0; LONGEST];
        for _ in 0..RECORDS {
            match rustix::io::read(&self.device, &mut record) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                    victims.extend(victim(&text, uid));
                }
                // Records were overwritten before they were read: go on with the oldest there is.
                Err(Errno::PIPE) => {}
                Err(_) => break,
            }
        }
        victims
    }
}

/// `…Killed process 123 (perl) total-vm:1kB, anon-rss:2kB, … UID:70001 pgtables:…`; a process chooses
/// its name, so what counts is read from behind it.
fn victim(record: &str, uid: u32) -> Option<String> {
    let (_, rest) = record.split_once("Killed process ")?;
    let (pid, rest) = rest.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") total-vm:")?;
    let value = |key: &str| {
        let (_, rest) = rest.split_once(key)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    if value("UID:")? != u64::from(uid) {
        return None;
    }
    let pid: u32 = pid.parse().ok()?;
    let held = super::hits::amount(super::Unit::Bytes, value("anon-rss:")? << 10);
    Some(format!("{} (pid {pid}, {held})", name.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "3,812,90,-;Memory cgroup out of memory: Killed process 123 (perl) total-vm:300000kB, \
        anon-rss:62464kB, file-rss:100kB, shmem-rss:0kB, UID:70001 pgtables:200kB oom_score_adj:600\n";

    #[test]
    fn the_victim_is_read_with_what_it_held() {
        assert_eq!(victim(RECORD, 70_001).as_deref(), Some("perl (pid 123, 61M)"));
        assert_eq!(victim(RECORD, 70_002), None);
        assert_eq!(victim("6,1,1,-;something else\n", 70_001), None);
    }

    #[test]
    fn a_name_cannot_pass_for_another_agents() {
        let record = RECORD.replace("(perl)", "(x) UID:70002 y)");
        assert_eq!(victim(&record, 70_002), None);
        assert_eq!(victim(&record, 70_001).as_deref(), Some("x) UID:70002 y (pid 123, 61M)"));
    }
}
