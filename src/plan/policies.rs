//! The policies that a profile names, read and checked.

use super::filter::Filter;
use crate::policy::network::Policy;

/// What is planned with besides profile, request and facts.
#[derive(Clone, Debug)]
pub struct Policies {
    /// The system call filter.
    pub filter: Filter,
    /// The network policies, in the order in which the profile names them.
    pub network: Vec<Policy>,
    /// Absolute paths of the files that the network policies were read from; the shipped ones have none.
    pub network_files: Vec<String>,
}

impl Policies {
    /// The files that decide over the agent.
    pub(super) fn files(&self) -> impl Iterator<Item = &String> {
        self.filter.files.iter().chain(&self.network_files)
    }
}

impl From<Filter> for Policies {
    /// Without any network policy.
    fn from(filter: Filter) -> Self {
        Self { filter, network: Vec::new(), network_files: Vec::new() }
    }
}
