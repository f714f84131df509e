//! What the caller's environment gives away.

use super::super::probe::{Answer, Evidence, Family, Layer, Probe, layer};

/// The family.
pub const FAMILY: Family =
    Family { name: "environment", title: "the caller's environment", probes: PROBES, jobs: &[] };

const PROBES: &[Probe] = &[Probe {
    id: "SUP-06.secret",
    title: "read a secret of the caller's environment",
    attack: "the own environment, and that of PID 1",
    claims: &[layer(Layer::Launcher, &[Answer::NoEffect])],
    evidence: Evidence::Secret,
    run: |_| {
        let own = std::env::vars_os().map(|(_, value)| value.into_encoded_bytes());
        // Closed to the agent; what is there would be found.
        let inits = std::fs::read("/proc/1/environ").unwrap_or_default();
        let inits = inits.split(|byte| matches!(byte, 0 | b'=')).map(<[u8]>::to_vec);
        // All of it may be more than can be brought out.
        Ok(own.chain(inits).filter(|value| value.starts_with(b"secret-")).flatten().collect())
    },
    helpers: true,
    source: "environ(7)",
    ..Probe::NEW
}];
