//! Hosts: what the network, the gate's rules and Landlock say of them.

use super::Answer;
use crate::denial::{Denial, Opening, Refusal as Said};
use crate::egress::refusal::Refusal;
use crate::egress::rules::{Peer, Verdict};
use crate::plan::outline::{Outline, OutlineEgress};
use crate::policy::network::{Check, DEFAULT_PORT};
use crate::profile::Wall;

const CONNECT: &str = "connect";

/// What the plan says of a connection to `peer`, on port 443 where none is given.
#[must_use]
pub fn host(outline: &Outline, peer: &Peer, port: Option<u16>) -> Answer {
    let port = port.unwrap_or(DEFAULT_PORT);
    let asked = Asked { outline, peer, port, object: format!("{peer}:{port}") };
    if is_own(peer) {
        return asked.own();
    }
    if !outline.stands(Wall::Network) {
        return asked.hosts_network();
    }
    match &outline.egress {
        Some(egress) if egress.listens => asked.by_rules(egress),
        Some(_) | None => asked.no_way_out(),
    }
}

/// Whether `peer` is the jail itself.
fn is_own(peer: &Peer) -> bool {
    match peer {
        Peer::Address(address) => address.is_loopback(),
        Peer::Name(name) => name.as_str() == "localhost" || name.as_str().ends_with(".localhost"),
        Peer::Host => false,
    }
}

struct Asked<'o> {
    outline: &'o Outline,
    peer: &'o Peer,
    port: u16,
    object: String,
}

impl Asked<'_> {
    fn allowed(&self, rule: impl Into<String>, origin: &str) -> Answer {
        Answer::allowed(CONNECT, &self.object, rule, origin)
    }

    fn no_tcp(&self) -> Answer {
        let rule = "Landlock refuses all of TCP where the mode is `none`";
        let opening = Opening::line("network", "mode = \"host\"".to_owned());
        self.allowed(rule, "").refused(("landlock", "EACCES"), opening)
    }

    /// Its own loopback.
    fn own(&self) -> Answer {
        let none = self.outline.network == "none" && self.outline.stands(Wall::Network);
        if none {
            let opening = Opening::line("network", "mode = \"loopback\"".to_owned());
            let rule = "the mode is `none`: not even the interface lo is up";
            return self.allowed(rule, "").refused(("network", "ENETUNREACH"), opening);
        }
        if self.tcp_is_refused() {
            return self.no_tcp();
        }
        self.allowed("the jail's own loopback", "")
    }

    fn tcp_is_refused(&self) -> bool {
        self.outline.landlock.restrict_tcp && self.outline.stands(Wall::Landlock)
    }

    fn hosts_network(&self) -> Answer {
        if self.tcp_is_refused() {
            return self.no_tcp();
        }
        self.allowed("the jail has the host's network", "")
    }

    fn by_rules(&self, egress: &OutlineEgress) -> Answer {
        let verdict = egress.rules.decide(self.peer, self.port);
        if let Verdict::Allowed(rule) = verdict {
            let check = match rule.check {
                Check::Tls => "by TLS with its name",
                Check::Http => "by HTTP with its name",
                Check::None => "whatever is said",
            };
            let answer = self.allowed(format!("{rule}: {check}"), &rule.origin);
            let bounds =
                format!("at most {} connections, {} a second", egress.connections, egress.rate);
            return answer.note(bounds).note(
                "its addresses are looked at when it is dialled: those of this machine and of private networks are refused \
                 unless the rule names them",
            );
        }
        let Some(refusal) = Refusal::of(verdict) else { return self.no_way_out() };
        let origin =
            if let Refusal::Denied { origin, .. } = &refusal { origin.as_str() } else { "" };
        let (why, cure) = (refusal.to_string(), refusal.cure(self.peer, self.port));
        let to = self.peer.to_string();
        let said = Said { to: &to, port: Some(self.port), why: &why, cure: &cure };
        let opening = Denial::of_gate(&said).opening;
        let opening = opening.unwrap_or_else(|| Opening::nothing(""));
        // A name that no rule is about has no address; another port of one that has refuses.
        let errno =
            if egress.rules.has(self.peer).is_ok() { "ECONNREFUSED" } else { "no such name" };
        self.allowed(&why, origin).refused(("gate", errno), opening)
    }

    fn no_way_out(&self) -> Answer {
        let mode = &self.outline.network;
        let line = format!("mode = \"allowlist\"\nallow = [\"{}\"]", self.object);
        let rule = format!("the mode is `{mode}`: the jail's network has no way out");
        let opening = Opening::line("network", line);
        self.allowed(rule, "").refused(("network", "ENETUNREACH"), opening)
    }
}
