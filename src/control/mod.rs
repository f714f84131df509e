//! How a verb of the command line reaches what keeps a running jail.

pub mod network;
