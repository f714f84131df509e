//! What a running jail uses of each limit, and what happens when it reaches one.
//!
//! ```text
//!  cgroup files, statfs, /proc ─ read ─ Figures ─┬─ cellblock limits      use against each limit
//!                                                └─ hits ─ Hit ─ journal  what was reached, with figures
//!  /proc/PID/stat ─ processes ─ ranks ─ oom_score_adj                     who ends first
//! ```
//!
//! [`hits`] and [`ranks`] are pure. [`meter`] is their clock: it looks when the kernel says that
//! something happened, and once a second. The limits themselves are the kernel's and hold without it.

pub mod change;
pub mod figures;
pub mod hits;
pub mod journal;
pub mod kernel_log;
pub mod meter;
pub mod processes;
pub mod ranks;
pub mod read;

pub use figures::{Figures, Gauge, Pressure, Throttle, Unit};
pub use hits::Hit;
pub use meter::Meter;
pub use read::{Kept, Source};
