//! Whom a jail reaches through its gate, and whom it does not: against servers, name servers and a capture of the tests'
//! own, in namespaces that they made.

mod addresses;
mod allowed;
mod api;
mod bounds;
mod change;
mod claude;
mod first_bytes;
mod flow;
mod hostile;
mod proxy;
mod refused;
mod tools;
mod world;
