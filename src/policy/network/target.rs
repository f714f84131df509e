//! What a rule is about: a host by its name, an address, or the machine itself.

use super::name::Pattern;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name by which a jail reaches the loopback of the machine that it is on.
pub const HOST: &str = "host";

/// Whom a rule lets the agent reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    /// Hosts, by name.
    Name(Pattern),
    /// One address, by its number.
    Address(Ipv4Addr),
    /// The machine's own loopback.
    Host,
}

impl Target {
    /// Reads a name, a pattern, an IPv4 address in its one common form, or `host`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return usable(address).map(Self::Address);
        }
        if text.starts_with('[') || text.matches(':').count() > 1 {
            let rule = "a jail has no IPv6: name the host, and its IPv6 addresses are dialled too";
            return Err(format!("`{}` cannot be reached: {rule}", text.escape_debug()));
        }
        let pattern = Pattern::parse(text)?;
        match pattern.name().as_str().rsplit('.').next() {
            _ if pattern.name().as_str() == HOST => Ok(Self::Host),
            Some("localhost") => {
                Err("`localhost` is the jail itself; the machine's own loopback is `host`"
                    .to_owned())
            }
            Some(_) | None => Ok(Self::Name(pattern)),
        }
    }

    /// Reads a target and the port behind it, if there is one.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn with_port(text: &str) -> Result<(Self, Option<u16>), String> {
        if text.contains("://") || text.contains('/') {
            let rule = "a rule is NAME or NAME:PORT; what is asked of the host cannot be seen";
            return Err(format!("`{}` is not a rule: {rule}", text.escape_debug()));
        }
        match text.rsplit_once(':') {
            Some((target, port)) if !target.contains(':') => {
                Ok((Self::parse(target)?, Some(self::port(port)?)))
            }
            Some(_) | None => Ok((Self::parse(text)?, None)),
        }
    }
}

/// Reads a port.
fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if port > 0 && digits => Ok(port),
        Ok(_) | Err(_) => Err(format!("`{}` is not a port: 1 to 65535", text.escape_debug())),
    }
}

/// Addresses that a rule cannot mean.
fn usable(address: Ipv4Addr) -> Result<Ipv4Addr, String> {
    let why = if address.is_loopback() {
        "it is the jail itself; the machine's own loopback is `host`"
    } else if address.octets()[0] == 0 {
        "it means \"this host\""
    } else if matches!(address.octets(), [198, 18 | 19, ..]) {
        "the jail's own names have addresses in 198.18.0.0/15"
    } else if address.is_multicast() || address.octets()[0] >= 240 {
        "no connection can be made to it"
    } else {
        return Ok(address);
    };
    Err(format!("`{address}` cannot be allowed: {why}"))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(pattern) => write!(f, "{pattern}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Host => f.write_str(HOST),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Option<u16>), String> {
        Target::with_port(text).map(|(target, port)| (target.to_string(), port))
    }

    #[test]
    fn targets_are_names_addresses_and_the_host() {
        for (text, target, port) in [
            ("api.example.test", "api.example.test", None),
            ("*.Example.test:8443", "*.example.test", Some(8443)),
            ("10.1.2.3:8080", "10.1.2.3", Some(8080)),
            ("169.254.169.254:80", "169.254.169.254", Some(80)),
            ("HOST.:5432", "host", Some(5432)),
        ] {
            assert_eq!(read(text), Ok((target.to_owned(), port)), "{text}");
        }
        assert_eq!(Target::parse("host"), Ok(Target::Host));
        assert_eq!(Target::parse("host."), Ok(Target::Host));
    }

    #[test]
    fn what_cannot_be_reached_is_refused_with_its_reason() {
        for (text, why) in [
            ("https://a.test", "NAME:PORT"),
            ("a.test/path", "NAME:PORT"),
            ("a.test:0", "not a port"),
            ("a.test:+80", "not a port"),
            ("a.test:65536", "not a port"),
            ("a.test:", "not a port"),
            ("[::1]:80", "no IPv6"),
            ("fd00::1", "no IPv6"),
            ("localhost:80", "the jail itself"),
            ("a.localhost", "the jail itself"),
            ("127.0.0.1:80", "the jail itself"),
            ("0.0.0.0", "this host"),
            ("198.19.0.1", "198.18.0.0/15"),
            ("224.0.0.1", "no connection"),
            ("255.255.255.255", "no connection"),
            ("10.1.2.3.:80", "number"),
            ("0177.0.0.1", "number"),
        ] {
            let cause = read(text).unwrap_err();
            assert!(cause.contains(why), "{text}: {cause}");
        }
    }
}
