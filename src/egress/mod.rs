//! Whom an agent may reach: everything about it that is decided, and nothing that is done.
//!
//! ```text
//!  question ─ dns ─ Rules::has_name ─ pool ─ address of the name in the jail, or a refusal
//!  connection ─ pool ─ name ─ Rules::decide ─ hello or http ─ resolved outside ─ special ─ dialled, or a refusal
//! ```
//!
//! Never does: open, read or write anything. The gate does that, and asks here before each thing it does.
//! Does not protect against: what an allowed host does with what it is sent.

#![forbid(unsafe_code)]

pub mod api;
pub mod dns;
pub mod hello;
pub mod http;
pub mod pool;
pub mod proxy;
pub mod rate;
pub mod refusal;
pub mod rules;
pub mod special;
