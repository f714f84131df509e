//! Real jails: what is refused in them, how they live and end, and what is left of them.
//!
//! Each test names what it needs of the host. Where that is missing it prints a line `SKIP` with the
//! reason and proves nothing; where `CELLBLOCK_REQUIRE` lists the need, that is a failure. `all` there is
//! every need but those that `CELLBLOCK_REQUIRE_EXCEPT` lists.
//! What an attempt achieved is judged from outside, by a text that cannot be guessed.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[macro_use]
mod harness;

mod alerts;
mod alerts_bad;
mod attach_ends;
mod bad_input;
mod battery;
mod bombs;
mod burning;
mod ceiling;
mod cgroup;
mod claude;
mod denials;
mod descriptors;
mod disk;
mod disk_full;
mod egress;
mod exec_running;
mod gate_orders;
mod held_up;
mod host;
mod hostile_session;
mod installation;
mod jobs;
mod kernels;
mod killed;
mod lifetime;
mod limits;
mod memory_runs_out;
mod nothing_left;
mod people;
mod pty;
mod refusals;
mod restarted;
mod service;
mod session;
mod supervisor;
mod supervisor_bounds;
mod supervisor_proofs;
mod supervisor_trouble;
mod top;
mod verify;
mod walls;
mod watch;
mod watch_races;
mod watch_rules;
mod workspace;
