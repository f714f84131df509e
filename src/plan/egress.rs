//! Whom the agent may reach, by all its rules together; the gate that carries its connections.

use super::policies::Policies;
use super::request::Input;
use super::types::{EgressPlan, GatePlan};
use crate::document::{Place, Problem, Problems};
use crate::egress::proxy::Proxy;
use crate::egress::rules::Rules;
use crate::host::AutoUid;
use crate::profile::types::{Egress, Network};

/// The most rules of one agent: each connection may look at all of them.
const MOST_RULES: usize = 10_000;

/// The most ports of one agent: each has a listening socket, and all are handed over in one message, which takes 253
/// (unix(7), `SCM_RIGHTS`).
pub const MOST_PORTS: usize = 200;

/// The rules of the profile and of the policies that it names.
pub(super) fn resolve(
    input: Input<'_>,
    policies: &Policies,
    problems: &mut Problems,
) -> Option<EgressPlan> {
    let Input { profile, facts, .. } = input;
    if profile.network.value != Network::Allowlist {
        return None;
    }
    let Egress { allow, deny, connections, rate, bytes, .. } = &profile.egress;
    // Those of the profile first: of two rules that say the same, the first one is told of.
    let network = &policies.network;
    let rules = Rules {
        allow: allow.iter().chain(network.iter().flat_map(|one| &one.allow)).cloned().collect(),
        deny: deny.iter().chain(network.iter().flat_map(|one| &one.deny)).cloned().collect(),
    };
    let mut report = |cause: String, hint: &str| {
        problems.push(Problem::new(&profile.network.place, cause, hint));
    };
    let (count, ports) = (rules.allow.len() + rules.deny.len(), rules.ports().len());
    if count > MOST_RULES {
        report(format!("has {count} rules, and the most are {MOST_RULES}"), "use wildcards");
    }
    if ports > MOST_PORTS {
        report(format!("has rules for {ports} ports, and the most are {MOST_PORTS}"), "");
    }
    let (uid, new_uid) = match &facts.gate_uid {
        AutoUid::Assigned(uid) => (*uid, false),
        AutoUid::Next(uid) => (*uid, true),
        AutoUid::None(cause) => {
            report(format!("needs a uid for the gate: {cause}"), "");
            (u32::MAX, false)
        }
    };
    let bound = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Some(EgressPlan {
        gate: GatePlan { uid, new_uid },
        rules,
        connections: bound(connections.value),
        rate: bound(rate.value),
        bytes: bytes.as_ref().map(|bytes| bytes.value.0),
        proxy: proxy(input, problems),
        origin: profile.network.place.to_string(),
    })
}

/// The variables by which a host names its proxy, the first one first.
pub(super) const PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
/// Those by which it names who is reached without it.
pub(super) const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy of the host, if its environment names one.
fn proxy(input: Input<'_>, problems: &mut Problems) -> Option<Proxy> {
    let of = |names: [&'static str; 2]| {
        let set = names.into_iter().filter_map(|name| {
            Some((name, input.facts.variables.get(name).filter(|value| !value.is_empty())?))
        });
        set.into_iter().next()
    };
    let (name, url) = of(PROXY)?;
    let direct = of(NO_PROXY).map_or("", |(_, value)| value.as_str());
    match Proxy::parse(url, direct) {
        Ok(proxy) => Some(proxy),
        Err(cause) => {
            let place = Place::outside("the environment", name);
            problems.push(Problem::new(&place, cause, "as in http://proxy.example.com:3128"));
            None
        }
    }
}
