//! Alerts: who is told, and when, that something happens to agents; and figures for who collects them.

#![forbid(unsafe_code)]

pub mod alert;
pub mod event;
pub mod metrics;
pub mod outbox;
pub mod process;
pub mod protocol;
pub mod rules;
pub mod runner;
