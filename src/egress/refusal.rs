//! Why something was refused, in words that help.

use super::hello::HelloError;
use super::http::HttpError;
use super::rules::{Peer, Verdict};
use super::special::Special;
use core::net::IpAddr;
use std::fmt;

/// Why a question or a connection of an agent was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No rule names it.
    Unlisted {
        /// The rule that comes nearest.
        nearest: Option<String>,
    },
    /// A rule refuses it.
    Denied {
        /// The rule.
        rule: String,
        /// Where it stands.
        origin: String,
    },
    /// Its first bytes are no TLS hello for it.
    Hello(HelloError),
    /// Its hello names another host.
    OtherServer(String),
    /// One of its requests is not for it.
    Http(HttpError),
    /// Its first bytes did not come in time.
    Slow,
    /// Every address that its name leads to is one that a rule must name.
    Special {
        /// One of them.
        address: IpAddr,
        /// What is special about it.
        special: Special,
    },
    /// Its name leads nowhere.
    Unresolved(String),
    /// None of its addresses could be reached.
    Unreachable(String),
    /// So many connections are open already.
    Connections(u32),
    /// So many connections are opened in a second already.
    Rate(u32),
    /// The agent has sent and received all that it may.
    Spent(u64),
    /// So many names have an address already.
    Names(usize),
    /// The rules were changed while it was open.
    Changed,
}

impl Refusal {
    /// What the rules said, as a refusal; nothing where they allow.
    #[must_use]
    pub fn of(verdict: Verdict<'_>) -> Option<Self> {
        match verdict {
            Verdict::Allowed(_) => None,
            Verdict::Denied(denial) => {
                Some(Self::Denied { rule: denial.to_string(), origin: denial.origin.clone() })
            }
            Verdict::Unlisted(nearest) => {
                Some(Self::Unlisted { nearest: nearest.map(ToString::to_string) })
            }
        }
    }

    /// A word for programs; stable.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unlisted { .. } => "unlisted",
            Self::Denied { .. } => "denied",
            Self::Hello(_) => "tls-hello",
            Self::OtherServer(_) => "tls-name",
            Self::Http(HttpError::OtherHost(_)) => "http-host",
            Self::Http(_) => "http",
            Self::Slow => "slow",
            Self::Special { .. } => "address",
            Self::Unresolved(_) => "unresolved",
            Self::Unreachable(_) => "unreachable",
            Self::Connections(_) => "connections",
            Self::Rate(_) => "rate",
            Self::Spent(_) => "bytes",
            Self::Names(_) => "names",
            Self::Changed => "changed",
        }
    }

    /// What to write into the profile to allow it; empty where nothing can be written, or it is not a matter of rules.
    #[must_use]
    pub fn cure(&self, peer: &Peer, port: u16) -> String {
        match self {
            Self::Unlisted { .. } | Self::Changed => format!("allow = [\"{peer}:{port}\"]"),
            Self::Denied { rule, origin } => format!("take \"{rule}\" out of `deny` ({origin})"),
            Self::Hello(_) | Self::OtherServer(_) => {
                format!("allow = [{{ to = \"{peer}:{port}\", tls = \"any\" }}]")
            }
            Self::Http(_) => format!("allow = [{{ to = \"{peer}:{port}\", http = \"any\" }}]"),
            Self::Special { address, .. } => {
                format!("allow = [{{ to = \"{peer}:{port}\", addresses = [\"{address}\"] }}]")
            }
            Self::Connections(most) => format!("connections = {}", u64::from(*most) * 2),
            Self::Rate(most) => format!("rate = {}", u64::from(*most) * 2),
            Self::Spent(_) => "a larger `bytes`, or none".to_owned(),
            Self::Slow | Self::Unresolved(_) | Self::Unreachable(_) | Self::Names(_) => {
                String::new()
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted { nearest: None } => f.write_str("no rule names it"),
            Self::Unlisted { nearest: Some(rule) } => {
                write!(f, "no rule names it; the nearest is {rule}")
            }
            Self::Denied { rule, origin } => write!(f, "{rule} is denied ({origin})"),
            Self::Hello(error) => write!(f, "{error}"),
            Self::OtherServer(name) => write!(f, "its TLS hello is for {name}"),
            Self::Http(error) => write!(f, "{error}"),
            Self::Slow => f.write_str("its first bytes did not come in time"),
            Self::Special { address, special } => {
                write!(f, "it leads to {address}, {special} that no rule names")
            }
            Self::Unresolved(cause) => write!(f, "its name leads nowhere: {cause}"),
            Self::Unreachable(cause) => write!(f, "it cannot be reached: {cause}"),
            Self::Connections(most) => write!(f, "{most} connections are open already"),
            Self::Rate(most) => write!(f, "more than {most} connections a second"),
            Self::Spent(bytes) => write!(f, "the agent has sent and received its {bytes} bytes"),
            Self::Names(most) => write!(f, "{most} names have an address already"),
            Self::Changed => f.write_str("the rules were changed, and allow it no more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_says_how_to_allow_it() {
        let peer = Peer::try_from("a.test".to_owned()).unwrap();
        for (refusal, word, told, cure) in [
            (
                Refusal::Unlisted { nearest: Some("b.test:443".to_owned()) },
                "unlisted",
                "no rule names it; the nearest is b.test:443",
                "allow = [\"a.test:443\"]",
            ),
            (
                Refusal::Special {
                    address: "10.0.0.1".parse().unwrap(),
                    special: Special::Private,
                },
                "address",
                "it leads to 10.0.0.1, a private address that no rule names",
                "allow = [{ to = \"a.test:443\", addresses = [\"10.0.0.1\"] }]",
            ),
            (
                Refusal::Hello(HelloError::Nameless),
                "tls-hello",
                "its TLS hello names no server",
                "allow = [{ to = \"a.test:443\", tls = \"any\" }]",
            ),
        ] {
            assert_eq!(
                (refusal.word(), &*refusal.to_string(), &*refusal.cure(&peer, 443)),
                (word, told, cure)
            );
        }
    }
}
