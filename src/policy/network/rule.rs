//! One rule: whom the agent may reach, on which port, and how sure of it the gate must be.

use super::target::Target;
use crate::document::{Item, Located, Problem, Problems, Reader};
use core::net::IpAddr;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The port of a rule that names none.
pub const DEFAULT_PORT: u16 = 443;

/// The port on which requests are looked at for their `Host`.
const HTTP_PORT: u16 = 80;

/// What a connection must show before it is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A TLS hello for the rule's name.
    Tls,
    /// HTTP requests for the rule's name.
    Http,
    /// Nothing: name and port decide.
    None,
}

/// One rule that allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whom.
    pub target: Target,
    /// On which port.
    pub port: u16,
    /// What a connection must show.
    pub check: Check,
    /// Addresses that are refused else, and to which the name may lead.
    pub addresses: Vec<IpNet>,
    /// Why, in the words of its author; empty where a profile says nothing.
    pub reason: String,
    /// Where it stands.
    pub origin: String,
}

/// One rule that refuses, whatever else allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Whom.
    pub target: Target,
    /// On which port; every port where it names none.
    pub port: Option<u16>,
    /// Where it stands.
    pub origin: String,
}

impl Rule {
    /// Whether the rule names `address`, which is refused else.
    #[must_use]
    pub fn names(&self, address: IpAddr) -> bool {
        self.target.is_address(address) || self.addresses.iter().any(|net| net.contains(&address))
    }
}

impl Target {
    fn is_address(&self, address: IpAddr) -> bool {
        match self {
            Self::Address(own) => address == IpAddr::V4(*own),
            Self::Name(_) | Self::Host => false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.target, self.port)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.target),
            None => write!(f, "{}", self.target),
        }
    }
}

/// A rule as written: `"NAME:PORT"`, or a table with `to` and what else it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRule {
    /// `to`.
    pub to: Located<String>,
    /// `tls`.
    pub tls: Option<Located<String>>,
    /// `http`.
    pub http: Option<Located<String>>,
    /// `addresses`.
    pub addresses: Vec<Located<String>>,
    /// `reason`.
    pub reason: Option<Located<String>>,
}

impl RawRule {
    /// Reads one; what is wrong with its shape is reported.
    pub fn read(reader: &mut Reader, item: &Item<'_>) -> Option<Self> {
        if !item.is_table() {
            let to = item.string(reader)?;
            return Some(Self { to, tls: None, http: None, addresses: Vec::new(), reason: None });
        }
        let place = item.place(reader);
        let mut table = item.table(reader)?;
        let to = table.string(reader, "to");
        let tls = table.string(reader, "tls");
        let http = table.string(reader, "http");
        let addresses = table.strings(reader, "addresses");
        let reason = table.string(reader, "reason");
        table.finish(reader);
        if to.is_none() {
            reader.report(Problem::new(&place, "has no `to`", "write { to = \"NAME:PORT\" }"));
        }
        Some(Self { to: to?, tls, http, addresses, reason })
    }

    /// Checks it; what is wrong is added to `problems`.
    pub fn check(&self, problems: &mut Problems) -> Option<Rule> {
        let (target, port) = match Target::with_port(&self.to.value) {
            Ok(parts) => parts,
            Err(cause) => {
                problems.push(self.to.problem(cause, ""));
                return None;
            }
        };
        if target == Target::Host && port.is_none() {
            let hint = "as in host:5432; nothing else of the machine can be reached then";
            problems.push(self.to.problem("names no port of the machine", hint));
            return None;
        }
        let port = port.unwrap_or(DEFAULT_PORT);
        let check = self.what_is_checked(&target, port, problems)?;
        let addresses = self.networks(&target, problems)?;
        let reason = self.reason.as_ref().map(|reason| reason.value.clone()).unwrap_or_default();
        Some(Rule { target, port, check, addresses, reason, origin: self.to.place.to_string() })
    }

    fn what_is_checked(
        &self,
        target: &Target,
        port: u16,
        problems: &mut Problems,
    ) -> Option<Check> {
        let tls = by_name(self.tls.as_ref(), problems)?;
        let http = by_name(self.http.as_ref(), problems)?;
        let named = matches!(target, Target::Name(_));
        match (tls, http) {
            (Some(true), Some(true)) => {
                let hint = "a connection is one or the other: take one of them out";
                problems.push(self.to.problem("asks for the name in TLS and in HTTP", hint));
                None
            }
            (Some(true), _) | (_, Some(true)) if !named => {
                let hint = "only what is reached by name shows it";
                problems.push(self.to.problem("asks for a name where there is none", hint));
                None
            }
            (Some(true), _) => Some(Check::Tls),
            (_, Some(true)) => Some(Check::Http),
            (None, _) if named && port == DEFAULT_PORT => Some(Check::Tls),
            (_, None) if named && port == HTTP_PORT => Some(Check::Http),
            (Some(false) | None, Some(false) | None) => Some(Check::None),
        }
    }

    fn networks(&self, target: &Target, problems: &mut Problems) -> Option<Vec<IpNet>> {
        if let (Some(first), Target::Address(_) | Target::Host) = (self.addresses.first(), target) {
            problems
                .push(first.problem("means nothing for what is no name", "take `addresses` out"));
            return None;
        }
        let mut networks = Vec::new();
        for text in &self.addresses {
            match network(&text.value) {
                Ok(network) => networks.push(network),
                Err(cause) => {
                    problems.push(text.problem(cause, "as in \"10.0.0.0/8\" or \"fd00::/8\""))
                }
            }
        }
        (networks.len() == self.addresses.len()).then_some(networks)
    }
}

/// `name` asks for the name, `any` for nothing.
#[expect(clippy::option_option, reason = "wrong, not said, said")]
fn by_name(word: Option<&Located<String>>, problems: &mut Problems) -> Option<Option<bool>> {
    let Some(word) = word else { return Some(None) };
    match word.value.as_str() {
        "name" => Some(Some(true)),
        "any" => Some(Some(false)),
        other => {
            let cause = format!("`{}` is neither name nor any", other.escape_debug());
            problems
                .push(word.problem(cause, "name: it must show the rule's name; any: it need not"));
            None
        }
    }
}

/// One address or a network of them.
///
/// # Errors
/// A clause that says what is wrong.
pub fn network(text: &str) -> Result<IpNet, String> {
    let shown = text.escape_debug();
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => {
            text.parse::<IpNet>().map_err(|_| format!("`{shown}` is no address and no network"))?
        }
    };
    if network.trunc() != network {
        return Err(format!(
            "`{shown}` has bits beyond its length: it would be {}",
            network.trunc()
        ));
    }
    Ok(network)
}

/// Checks a denial: what a rule names, without a port for every port.
///
/// # Errors
/// The problem.
pub fn denial(text: &Located<String>) -> Result<Denial, Problem> {
    let (target, port) = Target::with_port(&text.value).map_err(|cause| text.problem(cause, ""))?;
    Ok(Denial { target, port, origin: text.place.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Rule>, Problems> {
        let text = format!("allow = [{text}]");
        let (raw, mut problems) = Reader::read_whole("x.toml", &text, |reader, mut root| {
            let items = root.items(reader, "allow");
            root.finish(reader);
            items.iter().filter_map(|item| RawRule::read(reader, item)).collect::<Vec<_>>()
        });
        let rules = raw.iter().filter_map(|raw| raw.check(&mut problems)).collect();
        problems.into_result(rules)
    }

    fn one(text: &str) -> Rule {
        read(text).unwrap().remove(0)
    }

    #[test]
    fn what_is_checked_follows_from_the_port_unless_it_is_said() {
        for (text, check) in [
            ("'a.test'", Check::Tls),
            ("'a.test:443'", Check::Tls),
            ("'a.test:80'", Check::Http),
            ("'a.test:22'", Check::None),
            ("'10.1.2.3'", Check::None),
            ("'host:443'", Check::None),
            ("{ to = 'a.test', tls = 'any' }", Check::None),
            ("{ to = 'a.test:80', http = 'any' }", Check::None),
            ("{ to = 'a.test:8443', tls = 'name' }", Check::Tls),
            ("{ to = 'a.test:8080', http = 'name' }", Check::Http),
            ("{ to = 'a.test:443', http = 'name', tls = 'any' }", Check::Http),
        ] {
            assert_eq!(one(text).check, check, "{text}");
        }
    }

    #[test]
    fn a_rule_names_addresses_by_networks() {
        let rule =
            one("{ to = 'db.test:5432', addresses = ['10.0.0.0/8', 'fd00::/8', '192.168.1.7'] }");
        for named in ["10.255.0.1", "fd12::1", "192.168.1.7"] {
            assert!(rule.names(named.parse().unwrap()), "{named}");
        }
        for other in ["11.0.0.1", "192.168.1.8", "::1"] {
            assert!(!rule.names(other.parse().unwrap()), "{other}");
        }
        assert!(one("'10.1.2.3:80'").names("10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn every_problem_has_its_place() {
        let problems = read(
            "'host', 'a b', { to = 'a.test', tls = 'no' }, { tls = 'any' }, { to = 'a.test', adresses = [] }, \
             { to = 'a.test', addresses = ['10.0.0.1/8', 'x'] }, { to = '10.1.2.3', tls = 'name' }, \
             { to = 'host:80', addresses = ['10.0.0.0/8'] }, { to = 'a.test', tls = 'name', http = 'name' }",
        )
        .unwrap_err()
        .to_string();
        for cause in [
            "names no port of the machine",
            "`a b` is not a host's name",
            "`no` is neither name nor any",
            "has no `to`",
            "allow[4].adresses: is not a known key",
            "it would be 10.0.0.0/8",
            "`x` is no address and no network",
            "asks for a name where there is none",
            "means nothing for what is no name",
            "asks for the name in TLS and in HTTP",
        ] {
            assert!(problems.contains(cause), "{cause}: {problems}");
        }
    }
}
