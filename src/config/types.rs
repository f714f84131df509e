//! A configuration whose every value is checked.

use crate::document::{Located, Place};
use crate::profile::types::{Bytes, Cpus};

/// What the admin of an installation sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What all agents together may use.
    pub slice: Slice,
}

/// The ceiling of all agents together: settings of the slice that holds their cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Memory (`memory.max`).
    pub memory: Located<Ceiling<Share<Bytes>>>,
    /// Memory above which all agents are slowed down (`memory.high`).
    pub memory_high: Located<Ceiling<Share<Bytes>>>,
    /// Swap (`memory.swap.max`).
    pub swap: Located<Ceiling<Share<Bytes>>>,
    /// Processes and threads (`pids.max`).
    pub tasks: Located<Ceiling<Share<u64>>>,
    /// Processors' worth of time (`cpu.max`).
    pub cpu: Located<Ceiling<Cpus>>,
}

/// A ceiling, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling<T> {
    /// No ceiling but the machine's.
    None,
    /// At most this.
    At(T),
}

/// A part of what the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share<T> {
    /// So much.
    Amount(T),
    /// So many hundredths of what the machine has, 1 to 100.
    Percent(u64),
}

/// What is left to everything else on the machine where nobody says otherwise.
const MEMORY: u64 = 80;
const TASKS: u64 = 50;

impl Default for Config {
    fn default() -> Self {
        fn default<T>(key: &str, value: T) -> Located<T> {
            Located { value, place: Place::outside("default", key) }
        }
        Self {
            slice: Slice {
                memory: default("slice.memory", Ceiling::At(Share::Percent(MEMORY))),
                memory_high: default("slice.memory_high", Ceiling::None),
                swap: default("slice.swap", Ceiling::None),
                tasks: default("slice.tasks", Ceiling::At(Share::Percent(TASKS))),
                cpu: default("slice.cpu", Ceiling::None),
            },
        }
    }
}
