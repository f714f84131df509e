//! All that the supervisor and the process that tells alerts may say to each other, and that one and those that run commands.
//!
//! An order is a sealed file in memory, with the descriptors that it needs; a report is a datagram. Neither waits for the other
//! to read.

use super::alert::Alert;
use super::metrics::Figures;
use crate::config::{Auth, Url};
use crate::egress::proxy::Proxy;
use crate::gate::protocol::Key;
use serde::{Deserialize, Serialize};

/// What the supervisor tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Begin.
    Start(Box<Start>),
    /// What listens for those who collect figures comes along.
    Listen(Collecting),
    /// Tell this alert.
    Tell(Box<Tell>),
    /// These are the figures that were asked for.
    Figures(Figures),
}

/// What is told by which sinks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tell {
    /// The number by which it is reported.
    pub number: u64,
    /// The alert.
    pub alert: Alert,
    /// To which sinks.
    pub to: Vec<String>,
    /// Whether a sink that does not take it is not asked again.
    pub once: bool,
}

/// What there is to work with. Along come the folder of log files, where there are any, and the line to the process of each command,
/// in the order of the sinks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Who is told.
    pub sinks: Vec<SinkStart>,
    /// The proxy of the host.
    pub proxy: Option<Proxy>,
    /// Whether the kernel has Landlock.
    pub landlock: bool,
}

/// How figures are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Collecting {
    /// By a socket in the file system.
    Unix,
    /// By a port.
    Tcp,
}

/// A sink, with all that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStart {
    /// Its name.
    pub name: String,
    /// How long it may take, in milliseconds.
    pub timeout: u64,
    /// How often it is tried.
    pub attempts: u32,
    /// How it is told.
    pub way: WayStart,
}

/// How a sink is told, with all that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WayStart {
    /// A line in a file of its own.
    Log,
    /// A datagram to this socket of systemd's journal.
    Journald(String),
    /// By a process that runs the command.
    Command,
    /// A request.
    Webhook {
        /// To whom.
        url: Url,
        /// How it is shown who sends it.
        auth: Option<(Auth, Key)>,
        /// The certificates of the authorities that may speak for it: DER in base64.
        roots: Vec<String>,
    },
    /// It cannot be told, and this is why.
    Broken(String),
}

/// What the process that tells alerts reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// It works.
    Ready,
    /// It cannot go on.
    Failed {
        /// Why.
        cause: String,
    },
    /// A sink has taken an alert, or will not.
    Done(Done),
    /// Somebody wants figures.
    Wanted,
}

/// How it went with an alert and a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The number of the alert.
    pub number: u64,
    /// The sink.
    pub sink: String,
    /// Why it was not told; none where it was.
    pub failed: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// How long that took, in milliseconds.
    pub millis: u64,
}

/// What a process that runs a command is started with; it comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Program and arguments.
    pub words: Vec<String>,
    /// How long the command may take, in milliseconds.
    pub timeout: u64,
}

/// An alert for which the command is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// By which it is answered.
    pub number: u64,
    /// The alert.
    pub alert: Alert,
}

/// The command has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// For which job.
    pub number: u64,
    /// Why that went wrong, where it did.
    pub failed: Option<String>,
}
