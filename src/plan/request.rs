//! What the caller wants, and what must be known to plan it.

use super::tree::{HostTrees, Paths};
use super::{command, egress, mounts, workspace};
use crate::config::Config;
use crate::document::Located;
use crate::host::{Caller, HostFacts, Questions};
use crate::profile::types::{AgentName, User};
use crate::profile::{Profile, Wall};
use serde::Serialize;

/// How the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One command, no tmux.
    Exec,
    /// In a tmux session of its own.
    Run,
}

/// What the caller wants besides the profile.
#[derive(Clone, Debug)]
pub struct Request {
    /// The agent's name.
    pub agent: AgentName,
    /// How it runs.
    pub mode: Mode,
    /// The directory for `/workspace`, absolute.
    pub workspace: Option<Located<String>>,
    /// The command instead of the profile's.
    pub command: Vec<String>,
    /// Walls taken away by the command line.
    pub without: Vec<Located<Wall>>,
    /// What the installation's admin set for all agents.
    pub config: Config,
}

/// All that a plan is made from, besides the policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    pub(super) profile: &'a Profile,
    pub(super) request: &'a Request,
    pub(super) facts: &'a HostFacts,
}

/// What must be known about the host to plan `profile` for `request`.
#[must_use]
pub fn questions(profile: &Profile, request: &Request, caller: &Caller) -> Questions {
    let paths = Paths::new(profile, caller);
    // One that is refused is not asked about; the plan tells why.
    let workspace = workspace::directory(profile, request, caller).ok().flatten();
    let trees = mounts::host_trees(profile, &paths, workspace);
    let user = match &profile.agent.user.value {
        User::Auto => None,
        User::Name(name) => Some(name.clone()),
        User::Uid(uid) => Some(uid.to_string()),
    };
    Questions {
        agent: request.agent.as_str().to_owned(),
        gate: egress::has_gate(profile),
        shim: request.mode == Mode::Run,
        uids: request.config.uids,
        user,
        groups: profile.agent.groups.iter().map(|group| group.value.clone()).collect(),
        paths: wanted_paths(profile, request, &trees, &paths),
        programs: command::candidates(profile, request, &trees),
        variables: variables(profile),
        disks: trees.written(),
        trees: trees.walked(profile, &paths),
        shown: trees.strange(),
        patterns: trees.globs(profile, &paths),
        masked: trees.masked(profile, &paths),
    }
}

/// Those that the agent gets, and those that name the proxy of its gate.
fn variables(profile: &Profile) -> std::collections::BTreeSet<String> {
    let gates = egress::PROXY.into_iter().chain(egress::NO_PROXY);
    let gates = gates.filter(|_| egress::has_gate(profile));
    let passed = profile.environment.pass.iter().map(|variable| variable.value.as_str());
    passed.chain(gates).map(str::to_owned).collect()
}

fn wanted_paths(
    profile: &Profile,
    request: &Request,
    trees: &HostTrees,
    paths: &Paths,
) -> std::collections::BTreeSet<String> {
    let own = trees.0.iter().map(|tree| tree.host.clone());
    let command = command::named(profile, request, trees);
    own.chain(trees.places(profile, paths)).chain(command).collect()
}
