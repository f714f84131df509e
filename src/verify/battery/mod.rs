//! All probes, by family. Adding one is adding one record.

pub mod descriptors;
pub mod environment;
pub mod files;
pub mod ipc;
pub mod kernel;
pub mod lifetime;
pub mod network;
pub mod privileges;
pub mod resources;
mod shared;
pub mod sinks;
pub mod syscalls;
pub mod terminal;
pub mod tmux;
pub mod workspace;

use super::probe::{Family, Probe, Stop};
use crate::sys::{self, Argument, Entry};
use rustix::io::Errno;

/// Every family, in the order of the report.
pub const FAMILIES: &[Family] = &[
    files::FAMILY,
    descriptors::FAMILY,
    workspace::FAMILY,
    sinks::FAMILY,
    privileges::FAMILY,
    ipc::FAMILY,
    network::FAMILY,
    resources::FAMILY,
    lifetime::FAMILY,
    environment::FAMILY,
    terminal::FAMILY,
    tmux::FAMILY,
    syscalls::FAMILY,
    kernel::FAMILY,
];

/// Every probe with its family.
pub fn all() -> impl Iterator<Item = (&'static Family, &'static Probe)> {
    FAMILIES.iter().flat_map(|family| family.probes.iter().map(move |probe| (family, probe)))
}

/// The probe called `id`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Probe> {
    all().map(|(_, probe)| probe).find(|probe| probe.id == id)
}

/// What a child of the prober does, as a program of its own.
///
/// # Errors
/// [`Stop`].
pub(super) fn as_other_program(name: &str, words: &[&str]) -> Result<(), Stop> {
    let job = FAMILIES.iter().flat_map(|family| family.jobs).find(|job| job.name == name);
    let job = job.ok_or_else(|| Stop::Broken(format!("there is no job {name}")))?;
    (job.run)(words)
}

/// A call on the way to the one that decides.
fn raw(number: libc::c_long, arguments: &mut [Argument<'_>]) -> Result<u64, Errno> {
    sys::attempt(-1, Entry::Native, number, arguments)
}
