//! Addresses that names have inside the jail, and nowhere else.
//!
//! They are taken from 198.18.0.0/15 (RFC 2544, set apart for measurements between two networks: no host has them), which the
//! jail's kernel takes for its own. A name keeps its address as long as the jail lives.

use crate::policy::network::Name;
use core::net::Ipv4Addr;
use std::collections::HashMap;

/// The first address of the range.
const FIRST: u32 = u32::from_be_bytes([198, 18, 0, 0]);

/// How many names can have an address: each takes memory of the gate as long as the jail lives.
pub const MOST_NAMES: usize = 65_536;

/// The names that have an address.
#[derive(Debug, Default)]
pub struct Pool {
    names: Vec<Name>,
    numbers: HashMap<Name, u32>,
}

impl Pool {
    /// The address of `name`, which gets one if it has none; nothing where none is left.
    pub fn address_of(&mut self, name: &Name) -> Option<Ipv4Addr> {
        if let Some(number) = self.numbers.get(name) {
            return Some(address(*number));
        }
        if self.names.len() >= MOST_NAMES {
            return None;
        }
        let number = u32::try_from(self.names.len()).ok()?;
        self.names.push(name.clone());
        self.numbers.insert(name.clone(), number);
        Some(address(number))
    }

    /// The name that has `address`.
    #[must_use]
    pub fn name_of(&self, address: Ipv4Addr) -> Option<&Name> {
        // The first address of the range is left out: some programs take it for the network's own.
        let number = u32::from(address).checked_sub(FIRST + 1)?;
        self.names.get(usize::try_from(number).ok()?)
    }

    /// How many names have an address.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no name has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST + 1 + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Name {
        Name::parse(&format!("n{number}.test")).unwrap()
    }

    #[test]
    fn a_name_keeps_its_address() {
        let mut pool = Pool::default();
        let first = pool.address_of(&name(1)).unwrap();
        let second = pool.address_of(&name(2)).unwrap();
        assert_ne!(first, second);
        assert_eq!(pool.address_of(&Name::parse("N1.Test.").unwrap()), Some(first));
        assert_eq!(pool.name_of(second), Some(&name(2)));
        for other in [
            "198.18.0.0",
            "198.18.0.3",
            "198.17.255.255",
            "127.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
        ] {
            assert_eq!(pool.name_of(other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn the_range_holds_65_000_names_and_has_an_end() {
        let mut pool = Pool::default();
        let all: Vec<_> =
            (0..MOST_NAMES).map(|number| pool.address_of(&name(number)).unwrap()).collect();
        let inside = |address: &Ipv4Addr| matches!(address.octets(), [198, 18 | 19, ..]);
        assert!(all.iter().all(inside));
        assert!(
            all.iter()
                .enumerate()
                .all(|(number, address)| pool.name_of(*address) == Some(&name(number)))
        );
        assert_eq!(pool.address_of(&name(MOST_NAMES)), None);
        assert_eq!(pool.address_of(&name(7)), Some(all[7]));
        assert_eq!(pool.len(), MOST_NAMES);
    }
}
