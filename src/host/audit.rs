//! The kernel's audit: whether it is on, and the socket that it is asked by.
//!
//! Format: netlink(7), `include/uapi/linux/audit.h`.

use super::text;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    socket,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::Errno;
use std::time::Duration;

const AUDIT_GET: u16 = 1000;
/// Sets what its mask names of the status.
pub(crate) const AUDIT_SET: u16 = 1001;
const NLMSG_ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST: u16 = 0x1 | 0x4;
/// The length of a netlink header.
const HEADER: usize = 16;
/// The longest record of the kernel has 8970 bytes (`MAX_AUDIT_MESSAGE_LENGTH`).
pub(crate) const LONGEST: usize = 16 << 10;
/// How often an answer is looked for among others.
const ANSWERS: usize = 16;

/// Which of a filter's refusals are recorded, as far as filters ask for it (seccomp(2)).
const ACTIONS_LOGGED: &str = "/proc/sys/kernel/seccomp/actions_logged";

/// What is known of the kernel's audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audit {
    /// It is on, or off.
    Known(Status),
    /// Only root is told.
    Untold,
    /// This kernel has none, or was started without it.
    #[default]
    Missing,
}

/// Reads the facts.
#[must_use]
pub fn probe() -> Audit {
    match status() {
        Ok(status) => Audit::Known(status),
        Err(Errno::PERM | Errno::ACCESS) => Audit::Untold,
        Err(errno) => {
            tracing::debug!(%errno, "the kernel does not say whether it audits");
            Audit::Missing
        }
    }
}

/// Whether what filters refuse with an error is recorded where they ask for it.
#[must_use]
pub fn logs_seccomp() -> bool {
    let logged = text::read(ACTIONS_LOGGED).unwrap_or_default();
    logged.split_whitespace().any(|action| action == "errno")
}

/// What the kernel's audit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether it audits: without that Landlock's refusals leave no record.
    pub enabled: bool,
    /// The process that gets the records besides listeners, as `auditd`; 0 where there is none.
    pub daemon: u32,
    /// Records that the kernel has dropped since its start.
    pub lost: u32,
}

/// Asks the kernel what its audit does. Needs `CAP_AUDIT_CONTROL`.
///
/// # Errors
/// The kernel's answer: `EPERM` without the right to ask, `EPROTONOSUPPORT` where it has no audit, `ECONNREFUSED` in a network that is not
/// the host's own.
pub fn status() -> Result<Status, Errno> {
    let answer = ask(&open_socket(0)?, AUDIT_GET, &[])?;
    let word = |index: usize| {
        let bytes = answer.get(index * 4..index * 4 + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes)
    };
    let words = [1, 3, 6].map(word);
    let [Some(enabled), Some(daemon), Some(lost)] = words else { return Err(Errno::PROTO) };
    Ok(Status { enabled: enabled > 0, daemon, lost })
}

/// A socket of the kernel's audit, which listens to `groups`.
///
/// # Errors
/// The kernel's answer.
pub(crate) fn open_socket(groups: u32) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let kind = (SockType::Raw, SockProtocol::NetlinkAudit);
    let socket = socket(AddressFamily::Netlink, kind.0, flags, kind.1).map_err(errno)?;
    // The kernel chooses the number of the socket.
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(errno)?;
    Ok(socket)
}

pub(crate) fn errno(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

/// One message of the kernel: its type, and what stands in it. Nothing where it is not from the kernel, or not whole.
pub(crate) fn receive<'b>(
    socket: &OwnedFd,
    buffer: &'b mut [u8],
) -> Result<Option<(u16, &'b [u8])>, Errno> {
    let (count, from) = recvfrom::<NetlinkAddr>(socket.as_raw_fd(), buffer).map_err(errno)?;
    let is_kernel = from.is_some_and(|from| from.pid() == 0);
    let message = buffer.get(..count).filter(|_| is_kernel);
    Ok(message.and_then(|message| {
        let (header, body) = message.split_at_checked(HEADER)?;
        let kind = u16::from_ne_bytes(header.get(4..6)?.try_into().ok()?);
        Some((kind, body))
    }))
}

/// Asks the kernel, and gives what it says.
///
/// # Errors
/// Its answer, where it is one.
pub(crate) fn ask(socket: &OwnedFd, kind: u16, body: &[u8]) -> Result<Vec<u8>, Errno> {
    let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::INVAL)?;
    let message =
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &REQUEST.to_ne_bytes(), &[0; 8], body]
            .concat();
    send(socket.as_raw_fd(), &message, MsgFlags::empty()).map_err(errno)?;
    let mut buffer = vec![0; LONGEST];
    for _ in 0..ANSWERS {
        match receive(socket, &mut buffer) {
            Ok(Some((NLMSG_ERROR, text))) => {
                let number = text.get(..4).and_then(|bytes| bytes.try_into().ok());
                match number.map(i32::from_ne_bytes).ok_or(Errno::PROTO)? {
                    0 if kind == AUDIT_SET => return Ok(Vec::new()),
                    0 => {}
                    number => return Err(Errno::from_raw_os_error(-number)),
                }
            }
            Ok(Some((found, text))) if found == kind => return Ok(text.to_vec()),
            Ok(_) => {}
            Err(Errno::AGAIN) => wait(socket)?,
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::PROTO)
}

/// How long an answer may take: the kernel answers before the question returns, or a process of its own does so.
const PATIENCE: Duration = Duration::from_millis(500);

fn wait(socket: &OwnedFd) -> Result<(), Errno> {
    let patience = Timespec::try_from(PATIENCE).map_err(|_| Errno::INVAL)?;
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience)) {
        Ok(0) => Err(Errno::TIMEDOUT),
        Ok(_) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_understands_the_question() {
        match probe() {
            Audit::Known(status) => assert!(status.daemon == 0 || status.enabled),
            // Without root, or in a kernel without it: never a malformed message.
            Audit::Untold | Audit::Missing => {
                let answers =
                    [Errno::PERM, Errno::CONNREFUSED, Errno::PROTONOSUPPORT, Errno::AFNOSUPPORT];
                assert!(answers.contains(&status().unwrap_err()));
            }
        }
    }
}
