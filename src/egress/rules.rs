//! All rules of one agent together: what they say of a name, and of a connection.

use crate::policy::network::{Denial, HOST, Name, Pattern, Rule, Target};
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The rules of one agent. What no rule allows is refused, and so is what one refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Those that allow.
    pub allow: Vec<Rule>,
    /// Those that refuse, whatever else allows.
    pub deny: Vec<Denial>,
}

/// A change of rules that hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What is allowed from now on.
    pub allow: Vec<Rule>,
    /// What is refused from now on.
    pub deny: Vec<Denial>,
    /// Whether the rules of the start hold again first.
    pub reset: bool,
}

/// Whom a connection is for, as the jail's side shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Peer {
    /// The host with this name.
    Name(Name),
    /// The host with this address.
    Address(Ipv4Addr),
    /// The machine's own loopback.
    Host,
}

impl Peer {
    /// Whom the name `name` stands for.
    #[must_use]
    pub fn named(name: Name) -> Self {
        if name.as_str() == HOST { Self::Host } else { Self::Name(name) }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Host => f.write_str(HOST),
        }
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.to_string()
    }
}

impl TryFrom<String> for Peer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => Name::parse(&text).map(Self::named),
        }
    }
}

/// What the rules say of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict<'r> {
    /// This rule allows it.
    Allowed(&'r Rule),
    /// This one refuses it.
    Denied(&'r Denial),
    /// No rule mentions it; this one comes nearest.
    Unlisted(Option<&'r Rule>),
}

impl Rules {
    /// What they say of a connection to `port` of `peer`. Of several that allow, the one that says most exactly whom.
    pub fn decide(&self, peer: &Peer, port: u16) -> Verdict<'_> {
        let denies = |denial: &&Denial| {
            covers(&denial.target, peer) && denial.port.is_none_or(|denied| denied == port)
        };
        if let Some(denial) = self.deny.iter().find(denies) {
            return Verdict::Denied(denial);
        }
        let allows = |rule: &&Rule| rule.port == port && covers(&rule.target, peer);
        // The first of equals: `max_by_key` gives the last.
        match self.allow.iter().rev().filter(allows).max_by_key(|rule| exactness(&rule.target)) {
            Some(rule) => Verdict::Allowed(rule),
            None => Verdict::Unlisted(self.nearest(peer, port)),
        }
    }

    /// Whether `peer` can be reached on some port: only then does its name have an address inside.
    ///
    /// # Errors
    /// What is said of its refusal.
    pub fn has(&self, peer: &Peer) -> Result<(), Verdict<'_>> {
        let denies = |denial: &&Denial| denial.port.is_none() && covers(&denial.target, peer);
        if let Some(denial) = self.deny.iter().find(denies) {
            return Err(Verdict::Denied(denial));
        }
        if self.allow.iter().any(|rule| covers(&rule.target, peer)) {
            return Ok(());
        }
        Err(Verdict::Unlisted(self.nearest(peer, crate::policy::network::DEFAULT_PORT)))
    }

    /// The same with `allow` and `deny`, said later: what is allowed now is taken out of what was refused by the same
    /// words, and what is refused now out of what was allowed by them.
    #[must_use]
    pub fn changed(&self, allow: &[Rule], deny: &[Denial]) -> Self {
        let allowed_again = |denial: &Denial| {
            // A denial of every port stays: taking it away would open the others, too.
            let same = |rule: &Rule| rule.target == denial.target && denial.port == Some(rule.port);
            allow.iter().any(same)
        };
        let refused_now = |rule: &Rule| {
            let same = |denial: &Denial| {
                rule.target == denial.target && denial.port.is_none_or(|port| port == rule.port)
            };
            deny.iter().any(same)
        };
        let kept = self.allow.iter().filter(|rule| !refused_now(rule));
        // What is allowed already stays as it is, with all that it says of addresses and of what is checked.
        let known = |rule: &Rule| {
            self.allow.iter().any(|known| (&known.target, known.port) == (&rule.target, rule.port))
        };
        let new = allow.iter().filter(|rule| !refused_now(rule) && !known(rule));
        let still = self.deny.iter().filter(|denial| !allowed_again(denial));
        let also = deny.iter().filter(|denial| !self.deny.contains(denial));
        Self {
            allow: new.chain(kept).cloned().collect(),
            deny: still.chain(also).cloned().collect(),
        }
    }

    /// What refuses all that `rule` would allow.
    #[must_use]
    pub fn refusing(&self, rule: &Rule) -> Option<&Denial> {
        let refuses = |denial: &&Denial| {
            covers_all(&denial.target, &rule.target)
                && denial.port.is_none_or(|port| port == rule.port)
        };
        self.deny.iter().find(refuses)
    }

    /// The ports on which something can be reached.
    #[must_use]
    pub fn ports(&self) -> BTreeSet<u16> {
        self.allow.iter().map(|rule| rule.port).collect()
    }

    /// The addresses that are reached by number, which the jail's kernel must take for its own.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        let address = |rule: &Rule| match rule.target {
            Target::Address(address) => Some(address),
            Target::Name(_) | Target::Host => None,
        };
        self.allow.iter().filter_map(address).collect()
    }

    /// The rule that comes nearest to what is refused: for the same host, else for one whose name is alike.
    fn nearest(&self, peer: &Peer, port: u16) -> Option<&Rule> {
        let near = |rule: &&Rule| nearness(&rule.target, peer) > 0;
        let of = |rule: &&Rule| (nearness(&rule.target, peer), rule.port == port);
        self.allow.iter().rev().filter(near).max_by_key(of)
    }
}

fn covers(target: &Target, peer: &Peer) -> bool {
    match (target, peer) {
        (Target::Name(pattern), Peer::Name(name)) => pattern.covers(name),
        (Target::Address(own), Peer::Address(address)) => own == address,
        (Target::Host, Peer::Host) => true,
        (Target::Name(_) | Target::Address(_) | Target::Host, _) => false,
    }
}

/// Whether `target` covers all that `other` does.
fn covers_all(target: &Target, other: &Target) -> bool {
    match (target, other) {
        (Target::Name(pattern), Target::Name(Pattern::Exact(name))) => pattern.covers(name),
        (Target::Name(Pattern::Below(_)), Target::Name(Pattern::Below(below))) => {
            target == other || covers(target, &Peer::Name(below.clone()))
        }
        (Target::Address(one), Target::Address(other)) => one == other,
        (Target::Host, Target::Host) => true,
        (Target::Name(_) | Target::Address(_) | Target::Host, _) => false,
    }
}

/// A name says more than a pattern, and a longer pattern more than a shorter one.
fn exactness(target: &Target) -> usize {
    match target {
        Target::Name(Pattern::Below(below)) => below.as_str().len(),
        Target::Name(Pattern::Exact(_)) | Target::Address(_) | Target::Host => usize::MAX,
    }
}

/// How many labels at the end of the name agree, two at least; a rule that covers it agrees in more than all.
fn nearness(target: &Target, peer: &Peer) -> usize {
    if covers(target, peer) {
        return usize::MAX;
    }
    let (Target::Name(pattern), Peer::Name(name)) = (target, peer) else { return 0 };
    let own = pattern.name().as_str().rsplit('.');
    let same = own.zip(name.as_str().rsplit('.')).take_while(|(own, other)| own == other).count();
    if same >= 2 { same } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Located, Place};
    use crate::policy::network::{Check, Policy, load};

    fn rules(allow: &str, deny: &str) -> Rules {
        let allow: Vec<_> = allow
            .split_whitespace()
            .map(|to| format!("{{ to = '{to}', reason = 'a test' }}"))
            .collect();
        let deny: Vec<_> = deny.split_whitespace().map(|to| format!("'{to}'")).collect();
        let text =
            format!("schema = 1\nallow = [{}]\ndeny = [{}]", allow.join(","), deny.join(","));
        let wanted = Located { value: "x".to_owned(), place: Place::outside("test", "") };
        let Policy { allow, deny, .. } = load(&wanted, &|_| Some(text.clone())).unwrap();
        Rules { allow, deny }
    }

    fn peer(text: &str) -> Peer {
        Peer::try_from(text.to_owned()).unwrap()
    }

    fn said(rules: &Rules, to: &str, port: u16) -> String {
        match rules.decide(&peer(to), port) {
            Verdict::Allowed(rule) => format!("allowed by {rule}"),
            Verdict::Denied(denial) => format!("denied by {denial}"),
            Verdict::Unlisted(None) => "unlisted".to_owned(),
            Verdict::Unlisted(Some(rule)) => format!("unlisted, near {rule}"),
        }
    }

    #[test]
    fn nothing_is_allowed_that_no_rule_names() {
        for port in [0, 53, 80, 443] {
            for to in ["a.test", "10.1.2.3", "host"] {
                assert_eq!(said(&Rules::default(), to, port), "unlisted");
                assert!(Rules::default().has(&peer(to)).is_err());
            }
        }
    }

    #[test]
    fn a_rule_is_for_its_name_and_its_port() {
        let rules = rules("a.test *.b.test:8443 10.1.2.3:80 host:5432", "");
        for (to, port, wanted) in [
            ("a.test", 443, "allowed by a.test:443"),
            ("a.test", 80, "unlisted, near a.test:443"),
            ("x.a.test", 443, "unlisted, near a.test:443"),
            ("evila.test", 443, "unlisted"),
            ("a.test.evil.test", 443, "unlisted"),
            ("x.b.test", 8443, "allowed by *.b.test:8443"),
            ("b.test", 8443, "unlisted, near *.b.test:8443"),
            ("10.1.2.3", 80, "allowed by 10.1.2.3:80"),
            ("10.1.2.4", 80, "unlisted"),
            ("host", 5432, "allowed by host:5432"),
            ("host", 22, "unlisted, near host:5432"),
            ("x.host", 5432, "unlisted"),
        ] {
            assert_eq!(said(&rules, to, port), wanted, "{to}:{port}");
        }
        assert_eq!(rules.ports().into_iter().collect::<Vec<_>>(), [80, 443, 5432, 8443]);
        assert_eq!(rules.addresses().into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(10, 1, 2, 3)]);
    }

    #[test]
    fn deny_wins() {
        let rules = rules("*.a.test x.a.test:80 10.1.2.3", "x.a.test *.y.a.test:443 10.1.2.3 host");
        for (to, port, wanted) in [
            ("x.a.test", 443, "denied by x.a.test"),
            ("x.a.test", 80, "denied by x.a.test"),
            ("z.y.a.test", 443, "denied by *.y.a.test:443"),
            ("y.a.test", 443, "allowed by *.a.test:443"),
            ("10.1.2.3", 443, "denied by 10.1.2.3"),
            ("host", 443, "denied by host"),
        ] {
            assert_eq!(said(&rules, to, port), wanted, "{to}:{port}");
        }
        assert!(matches!(rules.has(&peer("x.a.test")), Err(Verdict::Denied(_))));
        assert_eq!(rules.has(&peer("z.y.a.test")), Ok(()), "another port of it may be allowed");
    }

    #[test]
    fn a_rule_is_in_vain_where_all_of_it_is_refused() {
        for (deny, allow, refused) in [
            ("*.a.test", "*.a.test", true),
            ("*.a.test", "*.b.a.test", true),
            ("*.a.test", "x.a.test", true),
            ("a.test", "a.test", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("host", "host:5432", true),
            ("a.test", "*.a.test", false),
            ("x.a.test", "*.a.test", false),
            ("*.a.test", "a.test", false),
            ("*.a.test:80", "*.a.test", false),
            ("host:22", "host:5432", false),
        ] {
            let rules = rules(allow, deny);
            assert_eq!(rules.refusing(&rules.allow[0]).is_some(), refused, "{deny}, {allow}");
        }
    }

    #[test]
    fn what_is_allowed_already_stays_as_it_is() {
        let mut own = rules("a.test b.test", "");
        own.allow[0].check = Check::None;
        let again = rules("a.test c.test", "");
        let changed = own.changed(&again.allow, &[]);
        assert_eq!(said(&changed, "c.test", 443), "allowed by c.test:443");
        let checks = |rules: &Rules| match rules.decide(&peer("a.test"), 443) {
            Verdict::Allowed(rule) => rule.check,
            other @ (Verdict::Denied(_) | Verdict::Unlisted(_)) => panic!("{other:?}"),
        };
        assert_eq!((checks(&changed), changed.allow.len()), (Check::None, 3));
        // Said once more, nothing more is there.
        assert_eq!(changed.changed(&again.allow, &[]), changed);
    }

    #[test]
    fn the_most_exact_rule_decides_what_is_checked() {
        let mut rules = rules("*.a.test *.b.a.test x.b.a.test *.b.a.test", "");
        rules.allow[1].check = Check::None;
        let check = |to: &str| match rules.decide(&peer(to), 443) {
            Verdict::Allowed(rule) => rule.check,
            other @ (Verdict::Denied(_) | Verdict::Unlisted(_)) => panic!("{other:?}"),
        };
        assert_eq!(
            (check("y.a.test"), check("y.b.a.test"), check("x.b.a.test")),
            (Check::Tls, Check::None, Check::Tls)
        );
    }

    #[test]
    fn they_are_the_same_after_a_journey() {
        let rules = rules("a.test *.b.test:80 10.1.2.3 host:5432", "c.test *.d.test:80");
        let text = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<Rules>(&text).unwrap(), rules);
        for text in ["a.test", "10.1.2.3", "host"] {
            assert_eq!(peer(text).to_string(), text);
        }
        assert_eq!(peer("HOST."), Peer::Host);
    }
}
