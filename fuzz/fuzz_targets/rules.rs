//! A rule that can be read says the same when it is read again, and names nobody but whom it says.

#![no_main]

use cellblock::egress::rules::{Peer, Rules, Verdict};
use cellblock::policy::network::{Check, Name, Rule, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, u16)| {
    let (text, asked, port) = input;
    if let Ok(name) = Name::parse(text) {
        assert_eq!(Name::parse(name.as_str()).as_ref(), Ok(&name));
        assert!(name.as_str().bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
    }
    let Ok((target, named)) = Target::with_port(text) else { return };
    let again = named.map_or_else(|| target.to_string(), |port| format!("{target}:{port}"));
    assert_eq!(Target::with_port(&again), Ok((target.clone(), named)));
    let rule = Rule {
        target: target.clone(),
        port: named.unwrap_or(443),
        check: Check::None,
        addresses: Vec::new(),
        reason: String::new(),
        origin: String::new(),
    };
    let rules = Rules { allow: vec![rule.clone()], deny: Vec::new() };
    let Ok(peer) = Peer::try_from(asked.to_owned()) else { return };
    let allowed = matches!(rules.decide(&peer, port), Verdict::Allowed(_));
    let shown = peer.to_string();
    let meant = match target.to_string().strip_prefix("*") {
        Some(below) => shown.ends_with(below) && shown.len() > below.len() && shown.parse::<std::net::Ipv4Addr>().is_err(),
        None => shown == target.to_string(),
    };
    assert_eq!(allowed, meant && port == rule.port, "{rule} and {shown}:{port}");
});
