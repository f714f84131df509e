//! Who is told of what, and who may see figures.

use super::Principal;
use crate::alerts::event::Severity;
use crate::alerts::rules::Rule;
use crate::document::Located;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// When somebody is told, where the file says anything of that: the shipped rules that are on are among them. The others are
    /// read where they are needed, which a launch has no time for.
    pub(in crate::config) rules: Option<Vec<Rule>>,
    /// Who is told.
    pub sinks: Vec<SinkEntry>,
}

/// Who is told of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkEntry {
    /// Its name; no other has it.
    pub name: Located<String>,
    /// How it is told.
    pub way: Way,
    /// The least severity that it is told of.
    pub least: Severity,
    /// How long it may take to take one.
    pub timeout: Duration,
    /// How often it is tried.
    pub attempts: u32,
}

/// How a sink is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A line in a file of its own in the folder of journals.
    Log,
    /// An entry of systemd's journal.
    Journald {
        /// The socket of the journal.
        socket: String,
    },
    /// A command is run.
    Command {
        /// Its program, an absolute path, and arguments.
        words: Vec<String>,
        /// As whom: never root.
        user: Located<Principal>,
    },
    /// A request over HTTP.
    Webhook {
        /// To whom.
        url: Url,
        /// How it is shown who sends it, and the file of the secret.
        auth: Option<(Auth, String)>,
        /// The file of the authorities that may speak for it, where those of the host do not.
        ca: Option<String>,
    },
}

impl Way {
    /// Where systemd's journal listens (systemd-journald.service(8)).
    pub const JOURNAL: &str = "/run/systemd/journal/socket";

    /// As whom it runs a command, where it does.
    #[must_use]
    pub fn user(&self) -> Option<&Located<Principal>> {
        match self {
            Self::Command { user, .. } => Some(user),
            Self::Log | Self::Journald { .. } | Self::Webhook { .. } => None,
        }
    }

    /// The word for it in the configuration.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Journald { .. } => "journald",
            Self::Command { .. } => "command",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// How a webhook is shown who sends an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// By the secret itself: `Authorization: Bearer SECRET`.
    Bearer,
    /// By an HMAC (SHA-256) of the time and the text.
    Hmac,
}

impl Auth {
    /// Finds one by its word.
    ///
    /// # Errors
    /// A clause that lists the words.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "bearer" => Ok(Self::Bearer),
            "hmac" => Ok(Self::Hmac),
            _ => Err(format!("`{}` is not hmac or bearer", text.escape_debug())),
        }
    }
}

/// The URL of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Url {
    /// Whether it is spoken to by TLS.
    pub tls: bool,
    /// A name, an address of IPv4, or `localhost`.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// What is asked for there, with the question.
    pub path: String,
}

impl Url {
    /// Reads `https://NAME[:PORT][/PATH]`, or the same with `http`.
    ///
    /// # Errors
    /// A clause that says what is wrong; it does not show what may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "is not https://NAME/PATH or http://NAME/PATH".to_owned();
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) | None => return Err(wrong()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        if place.contains('@') {
            return Err("has a user in it: a secret stands in the file of `secret`".to_owned());
        }
        let plain = |c: char| c.is_ascii_graphic() && c != '#';
        if !path.chars().all(plain) {
            return Err("has characters behind the name that a request cannot have".to_owned());
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (place, if tls { 443 } else { 80 }),
        };
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if host.is_empty() || port == 0 || !host.chars().all(named) {
            return Err(wrong());
        }
        let host = host.to_ascii_lowercase();
        let is_address = host.parse::<core::net::Ipv4Addr>().is_ok();
        if !is_address && host != "localhost" {
            crate::policy::network::Name::parse(&host)?;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { tls, host, port, path })
    }

    /// Whether nobody else can hear what is sent there.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.tls || self.is_here()
    }

    /// Whether it is this machine.
    #[must_use]
    pub fn is_here(&self) -> bool {
        let address = self.host.parse::<core::net::Ipv4Addr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// The value of `Host` (RFC 9110, section 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

/// Who may see figures, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where they are; nowhere by default.
    pub listen: Option<Located<Listen>>,
    /// The group whose members reach the socket; root alone where there is none.
    pub group: Option<Located<Principal>>,
}

/// Where figures are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A socket at this path.
    Unix(String),
    /// A port of this machine's own address.
    Loopback(SocketAddr),
}
