//! Routes of the jail's network (rtnetlink(7)).

use super::error::{LaunchError, cannot};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};
use std::net::Ipv4Addr;

/// The loopback interface is the first one of every network namespace.
const LO: u32 = 1;

const RTM_NEWROUTE: u16 = 24;
const NLMSG_ERROR: u16 = 2;
/// A request that is to be acknowledged, and that makes what is missing or takes its place.
const FLAGS: u16 = 0x1 | 0x4 | 0x400 | 0x100;
const AF_INET: u8 = 2;
/// Table `local`, protocol `static`, scope `host`, type `local`.
const LOCAL_TABLE: [u8; 4] = [255, 4, 254, 2];
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;

/// A socket for the routes of the caller's network.
pub(super) fn open() -> Result<OwnedFd, LaunchError> {
    let flags = SocketFlags::CLOEXEC;
    socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
        .map_err(cannot("open", "a socket for routes"))
}

/// Has the kernel take the addresses of `network` with `bits` bits for its own.
pub(super) fn add_local(socket: &OwnedFd, network: Ipv4Addr, bits: u8) -> Result<(), LaunchError> {
    let shown = format!("the addresses {network}/{bits}");
    let failed = |errno| cannot("take for the jail's own", &shown)(errno);
    send(socket, &request(network, bits), SendFlags::empty()).map_err(failed)?;
    let mut answer = [0; 4096];
    let (count, _) = recv(socket, &mut answer[..], RecvFlags::empty()).map_err(failed)?;
    acknowledged(&answer[..count]).map_err(failed)
}

/// The message (netlink(7)): header, route, destination, interface.
fn request(network: Ipv4Addr, bits: u8) -> Vec<u8> {
    let attribute = |kind: u16, value: [u8; 4]| {
        [&8_u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value].concat()
    };
    let [table, protocol, scope, kind] = LOCAL_TABLE;
    let route = [AF_INET, bits, 0, 0, table, protocol, scope, kind, 0, 0, 0, 0];
    let body =
        [&route[..], &attribute(RTA_DST, network.octets()), &attribute(RTA_OIF, LO.to_ne_bytes())]
            .concat();
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let sequence_and_port = [0; 8];
    [
        &length.to_ne_bytes()[..],
        &RTM_NEWROUTE.to_ne_bytes(),
        &FLAGS.to_ne_bytes(),
        &sequence_and_port,
        &body,
    ]
    .concat()
}

/// What the kernel says to it: an error message, whose number is 0 where all is well.
fn acknowledged(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let number = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, number) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(number)) => Err(Errno::from_raw_os_error(-number)),
        (_, _) => Err(Errno::PROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_understands_the_request() {
        let socket = open().unwrap();
        // Without the right to it, or in a network of its own as root of a test machine: never a malformed message.
        let bytes = request(Ipv4Addr::new(198, 18, 0, 0), 15);
        assert_eq!(bytes.len(), 44);
        assert_eq!(acknowledged(&[0; 3]), Err(Errno::PROTO));
        drop(socket);
    }
}
