//! Whom the agent may reach, by all its rules together; the gate that carries its connections.

use super::policies::Policies;
use super::request::Input;
use super::tree::Paths;
use super::types::{ApiPlan, EgressPlan, HelperPlan, WallPlan, WallState};
use crate::document::{Place, Problem, Problems};
use crate::egress::proxy::Proxy;
use crate::egress::rules::Rules;
use crate::host::HostFacts;
use crate::profile::types::{Api, Egress, Network};
use crate::profile::{Profile, Wall};

/// The most rules of one agent: each connection may look at all of them.
const MOST_RULES: usize = 10_000;

/// The most ports of one agent: each has a listening socket, and all are handed over in one message, which takes 253
/// (unix(7), `SCM_RIGHTS`).
pub const MOST_PORTS: usize = 200;

/// Whom the agent of a profile may reach, and what carries it there.
pub(super) fn resolve(
    input: Input<'_>,
    policies: &Policies,
    walls: &[WallPlan],
    problems: &mut Problems,
) -> Option<EgressPlan> {
    let Input { profile, facts, .. } = input;
    if !has_gate(profile) {
        return None;
    }
    let Egress { connections, rate, bytes, api, .. } = &profile.egress;
    // Without a network of its own there is nothing in the jail that a gate could hold.
    let listens = profile.network.value == Network::Allowlist && stands(walls, Wall::Network);
    let api = api.as_ref().map(|api| service(api, profile, facts));
    if let (Some(api), false) = (&profile.egress.api, stands(walls, Wall::Mount)) {
        let cause = "needs the wall `mount`: only in a root of its own can a jail have a socket";
        problems.push(Problem::new(&api.socket.place, cause, "do not take that wall away"));
    }
    if !listens && api.is_none() {
        return None;
    }
    let rules = if listens { rules(profile, policies, problems) } else { Rules::default() };
    let gate = HelperPlan::resolve(&facts.gate_uid).unwrap_or_else(|cause| {
        let cause = format!("needs a uid for the gate: {cause}");
        problems.push(Problem::new(&profile.network.place, cause, ""));
        HelperPlan::NOBODY
    });
    let bound = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Some(EgressPlan {
        gate,
        listens,
        rules,
        api,
        connections: bound(connections.value),
        rate: bound(rate.value),
        bytes: bytes.as_ref().map(|bytes| bytes.value.0),
        proxy: proxy(input, problems),
        origin: profile.network.place.to_string(),
    })
}

/// Whether the agent of `profile` has a gate, as far as its walls stand.
pub(super) fn has_gate(profile: &Profile) -> bool {
    profile.network.value == Network::Allowlist || profile.egress.api.is_some()
}

fn stands(walls: &[WallPlan], wall: Wall) -> bool {
    walls.iter().any(|plan| plan.wall == wall && matches!(plan.state, WallState::Stands(_)))
}

fn service(api: &Api, profile: &Profile, facts: &HostFacts) -> ApiPlan {
    let Paths { agent_home, person_home } = Paths::new(profile, &facts.caller);
    ApiPlan {
        socket: api.socket.value.resolve(&agent_home),
        upstream: api.upstream.value.clone(),
        key: api.key.value.resolve(&person_home),
        header: api.header.value.clone(),
        ca: api.ca.as_ref().map(|file| file.value.resolve(&person_home)),
        addresses: api.addresses.clone(),
        origin: api.socket.place.to_string(),
    }
}

/// Those of the profile and of the policies that it names.
fn rules(profile: &Profile, policies: &Policies, problems: &mut Problems) -> Rules {
    let Egress { allow, deny, .. } = &profile.egress;
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
    rules
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
