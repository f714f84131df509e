//! A service of which the agent knows nothing but a socket: where it is, and how it knows the agent.

use super::target::Target;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An HTTP service, by the beginning of its URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Whether it is spoken to by TLS.
    pub tls: bool,
    /// Where it is.
    pub target: Target,
    /// On which port.
    pub port: u16,
}

/// What is wrong with the URL of a service that is none.
const SHAPE: &str = "is not https://NAME or https://NAME:PORT";

impl Upstream {
    /// Reads `https://NAME`, `https://NAME:PORT`, or `http://host:PORT`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = text.escape_debug();
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) | None => return Err(format!("`{shown}` {SHAPE}")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            // Not shown: it may be a password.
            return Err(format!("{SHAPE}: the credential stands in the file of `key`"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(format!("`{shown}` {SHAPE}: what follows is the agent's to say"));
        }
        let (target, port) = Target::with_port(rest)?;
        if matches!(&target, Target::Name(pattern) if pattern.is_wildcard()) {
            return Err(format!("`{shown}` names more than one host"));
        }
        if !tls && target != Target::Host {
            let rule = "the key would be readable on the way: only http://host:PORT, this machine, is safe without TLS";
            return Err(format!("`{shown}` has no TLS: {rule}"));
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, target, port })
    }

    /// The value of `Host` (RFC 9110, section 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let name = self.server();
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => name,
            (_, port) => format!("{name}:{port}"),
        }
    }

    /// The name or address that its certificate must be for.
    #[must_use]
    pub fn server(&self) -> String {
        match &self.target {
            Target::Host => "localhost".to_owned(),
            Target::Name(_) | Target::Address(_) => self.target.to_string(),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.tls { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.target)?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// The field of a request in which a credential stands, and the word before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The field's name, in lower case.
    pub field: String,
    /// What stands before the credential: a scheme such as `Bearer`, or nothing.
    pub scheme: String,
}

/// Fields that say how a request is carried: a credential there would not arrive (RFC 9110, section 7.6.1).
const CARRIAGE: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Credential {
    /// Reads `x-api-key` or `Authorization: Bearer`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (field, scheme) = text.split_once(':').unwrap_or((text, ""));
        let (field, scheme) = (field.trim().to_ascii_lowercase(), scheme.trim());
        // RFC 9110, section 5.6.2: a token.
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let shown = text.escape_debug();
        if field.is_empty() || !field.chars().all(token) || !scheme.chars().all(token) {
            return Err(format!(
                "`{shown}` is not a field of requests, such as `x-api-key` or `Authorization: Bearer`"
            ));
        }
        if CARRIAGE.contains(&field.as_str()) {
            return Err(format!(
                "`{shown}` says how a request is carried, and can hold no credential"
            ));
        }
        Ok(Self { field, scheme: scheme.to_owned() })
    }

    /// The field's value with `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> String {
        if self.scheme.is_empty() { key.to_owned() } else { format!("{} {key}", self.scheme) }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field)?;
        if self.scheme.is_empty() { Ok(()) } else { write!(f, ": {}", self.scheme) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_read_from_its_url() {
        for (text, shown, authority) in [
            ("https://api.test", "https://api.test", "api.test"),
            ("https://API.test/", "https://api.test", "api.test"),
            ("https://api.test:8443", "https://api.test:8443", "api.test:8443"),
            ("http://host:11434", "http://host:11434", "localhost:11434"),
            ("https://10.1.2.3", "https://10.1.2.3", "10.1.2.3"),
        ] {
            let read = Upstream::parse(text).unwrap();
            assert_eq!((&*read.to_string(), &*read.authority()), (shown, authority));
        }
        for (text, cause) in [
            ("api.test", "is not https://NAME"),
            ("ftp://api.test", "is not https://NAME"),
            ("https://api.test/v1", "the agent's to say"),
            ("https://user:secret@api.test", "in the file of `key`"),
            ("https://*.api.test", "more than one host"),
            ("http://api.test", "no TLS"),
            ("https://localhost", "`host`"),
            ("https://[::1]:8443", "no IPv6"),
            ("https://", ""),
        ] {
            let error = Upstream::parse(text).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }

    #[test]
    fn a_credential_has_a_field_of_its_own() {
        let value = |text: &str| {
            let read = Credential::parse(text).unwrap();
            (read.field.clone(), read.value("k"), read.to_string())
        };
        let all = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(value("X-Api-Key"), all("x-api-key", "k", "x-api-key"));
        assert_eq!(
            value("Authorization: Bearer"),
            all("authorization", "Bearer k", "authorization: Bearer")
        );
        for wrong in ["", ": Bearer", "x y", "Host", "Transfer-Encoding", "x: a b", "x\r\ny"] {
            assert!(Credential::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
