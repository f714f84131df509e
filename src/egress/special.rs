//! Addresses that a name from outside may not lead to: those of this machine, of its network, and of nobody.
//!
//! A name that is allowed belongs to somebody else, who can let it lead anywhere: to the machine's own services, into the
//! network behind it, to the metadata of a cloud (DNS rebinding). So what is not the open internet must be named by a rule.
//!
//! Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890), RFC 6052, RFC 4291.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is special about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Special {
    /// The machine itself.
    Loopback,
    /// A network of one's own.
    Private,
    /// The link; clouds serve their metadata there.
    LinkLocal,
    /// The metadata of a cloud, outside of the link.
    Metadata,
    /// Many at once.
    Multicast,
    /// Nobody in particular: unspecified, reserved, or set apart for documents and tests.
    Reserved,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "an address of this machine",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "an address of a cloud's metadata",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// What is special about `address`; nothing where it is of the open internet.
#[must_use]
pub fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    match address.octets() {
        [127, ..] => Some(Special::Loopback),
        [100, 100, 100, 200] | [168, 63, 129, 16] => Some(Special::Metadata),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Some(Special::Private)
        }
        [169, 254, ..] => Some(Special::LinkLocal),
        [224..=239, ..] => Some(Special::Multicast),
        [0, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => Some(Special::Reserved),
        [..] => None,
    }
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    if let Some(inner) = carried(address) {
        return special_v4(inner);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Special::Loopback),
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => Some(Special::Metadata),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Special::Private),
        [0xfe80..=0xfebf, ..] => Some(Special::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Special::Multicast),
        // 2001::/23 holds Teredo and other protocols' own; 2001:db8::/32 and 3fff::/20 are for documents.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some(Special::Reserved),
        [0x2000..=0x3fff, ..] => None,
        [..] => Some(Special::Reserved),
    }
}

/// The IPv4 address in one of the forms of IPv6 that lead to it: mapped, compatible, translated (NAT64), or 6to4.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(from(high, low)),
        [..] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_internet_is_not_special() {
        for open in [
            "1.1.1.1",
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(special(open.parse().unwrap()), None, "{open}");
        }
    }

    #[test]
    fn what_is_near_or_nobody_is_special() {
        for (address, kind) in [
            ("127.0.0.1", Special::Loopback),
            ("127.255.0.1", Special::Loopback),
            ("::1", Special::Loopback),
            ("::ffff:127.0.0.1", Special::Loopback),
            ("::127.0.0.1", Special::Loopback),
            ("64:ff9b::7f00:1", Special::Loopback),
            ("2002:7f00:1::", Special::Loopback),
            ("10.0.0.1", Special::Private),
            ("172.16.0.1", Special::Private),
            ("172.31.255.255", Special::Private),
            ("192.168.1.1", Special::Private),
            ("100.64.0.1", Special::Private),
            ("fd12::1", Special::Private),
            ("fec0::1", Special::Private),
            ("::ffff:10.0.0.1", Special::Private),
            ("169.254.169.254", Special::LinkLocal),
            ("fe80::1", Special::LinkLocal),
            ("::ffff:169.254.169.254", Special::LinkLocal),
            ("64:ff9b::a9fe:a9fe", Special::LinkLocal),
            ("100.100.100.200", Special::Metadata),
            ("168.63.129.16", Special::Metadata),
            ("fd00:ec2::254", Special::Metadata),
            ("224.0.0.251", Special::Multicast),
            ("ff02::1", Special::Multicast),
            ("0.0.0.0", Special::Reserved),
            ("::", Special::Reserved),
            ("198.18.0.1", Special::Reserved),
            ("255.255.255.255", Special::Reserved),
            ("240.0.0.1", Special::Reserved),
            ("203.0.113.1", Special::Reserved),
            ("2001:db8::1", Special::Reserved),
            ("2001::1", Special::Reserved),
            ("100::1", Special::Reserved),
            ("5f00::1", Special::Reserved),
        ] {
            assert_eq!(special(address.parse().unwrap()), Some(kind), "{address}");
        }
    }
}
