//! The proxy of a host that has no direct way out (RFC 9110, section 9.3.6: `CONNECT`).
//!
//! Decides: who is asked for by it, and what is said to it. Never does: talk to it.

use super::rules::Peer;
use crate::policy::network::HOST;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::net::{IpAddr, Ipv4Addr};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The port of a proxy whose URL has none.
const PORT: u16 = 80;

/// The longest answer to `CONNECT`, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// A proxy, and who is reached without it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The value of `Proxy-Authorization`, where it wants one.
    authorization: Option<String>,
    /// Names, domains and addresses that are reached directly.
    direct: Vec<String>,
}

impl Proxy {
    /// Reads the values of `HTTPS_PROXY` and `NO_PROXY`, as curl understands them.
    ///
    /// # Errors
    /// A clause that says what is wrong; it does not repeat a password.
    pub fn parse(url: &str, direct: &str) -> Result<Self, String> {
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => {
                return Err(format!("is a proxy by `{scheme}`: only http is known"));
            }
            None => url,
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| "has no port that is a number")?),
            None => (place, PORT),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !host.chars().all(known) || port == 0 {
            return Err("is not http://HOST:PORT".to_owned());
        }
        let authorization = user.map(|user| {
            let plain = unescaped(user);
            format!("Basic {}", STANDARD.encode(plain))
        });
        let direct = direct
            .split([',', ' '])
            .map(|entry| entry.trim_start_matches("*.").trim_start_matches('.'));
        let direct =
            direct.filter(|entry| !entry.is_empty()).map(str::to_ascii_lowercase).collect();
        Ok(Self { host: host.to_owned(), port, authorization, direct })
    }

    /// Whether `port` of `peer` is asked for by the proxy.
    #[must_use]
    pub fn is_for(&self, peer: &Peer) -> bool {
        let named = match peer {
            Peer::Host => return false,
            Peer::Name(name) => name.as_str().to_owned(),
            // Its own networks a host reaches by itself.
            Peer::Address(address) if super::special::special(IpAddr::V4(*address)).is_some() => {
                return false;
            }
            Peer::Address(address) => address.to_string(),
        };
        let below = |entry: &String| {
            named
                .strip_suffix(entry.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let in_network =
            |entry: &String| match (entry.parse::<ipnet::Ipv4Net>(), named.parse::<Ipv4Addr>()) {
                (Ok(network), Ok(address)) => network.contains(&address),
                (_, _) => false,
            };
        !self.direct.iter().any(|entry| entry == "*" || below(entry) || in_network(entry))
            && named != HOST
    }

    /// What is said to it.
    #[must_use]
    pub fn request(&self, peer: &Peer, port: u16) -> Vec<u8> {
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(|value| format!("Proxy-Authorization: {value}\r\n"));
        format!(
            "CONNECT {peer}:{port} HTTP/1.1\r\nHost: {peer}:{port}\r\n{}\r\n",
            authorization.unwrap_or_default()
        )
        .into_bytes()
    }
}

/// Never with its password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// What a proxy says to `CONNECT`, as far as it has come: nothing yet, or where the head ends.
///
/// # Errors
/// What it says where it does not connect.
pub fn answer(heard: &[u8]) -> Result<Option<usize>, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(heard) {
        Ok(httparse::Status::Complete(end)) => match response.code {
            Some(200..=299) => Ok(Some(end)),
            code => Err(format!("the proxy says {}", code.unwrap_or_default())),
        },
        Ok(httparse::Status::Partial) if heard.len() < LONGEST_HEAD => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err("the proxy does not speak HTTP".to_owned()),
    }
}

/// Percent-encoding taken back (RFC 3986, section 2.1).
fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| core::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(code) if *byte == b'%' => {
                plain.push(code);
                at += 3;
            }
            Some(_) | None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn reads_what_curl_reads() {
        let proxy = Proxy::parse("http://me:s%40y@proxy.test:3128/", "").unwrap();
        assert_eq!(
            (proxy.to_string(), format!("{proxy:?}")),
            ("proxy.test:3128".into(), "Proxy(proxy.test:3128)".into())
        );
        let said = String::from_utf8(proxy.request(&peer("a.test"), 443)).unwrap();
        assert_eq!(
            said,
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Basic bWU6c0B5\r\n\r\n"
        );
        assert_eq!(Proxy::parse("10.0.0.1", "").unwrap().to_string(), "10.0.0.1:80");
        for wrong in
            ["", "http://", "socks5://a.test", "https://a.test", "http://a.test:x", "http://a test"]
        {
            assert!(Proxy::parse(wrong, "").is_err(), "{wrong}");
        }
        assert!(!Proxy::parse("https://me:secret@a.test", "").unwrap_err().contains("secret"));
    }

    #[test]
    fn some_are_reached_without_it() {
        let proxy = Proxy::parse("proxy.test:1", "direct.test, .below.test,*.star.test,8.8.0.0/16")
            .unwrap();
        for (to, asked) in [
            ("a.test", true),
            ("direct.test", false),
            ("x.direct.test", false),
            ("indirect.test", true),
            ("below.test", false),
            ("x.star.test", false),
            ("8.8.4.4", false),
            ("9.9.9.9", true),
            ("10.0.0.1", false),
            ("host", false),
        ] {
            assert_eq!(proxy.is_for(&peer(to)), asked, "{to}");
        }
        assert!(!Proxy::parse("proxy.test:1", "*").unwrap().is_for(&peer("a.test")));
    }

    #[test]
    fn its_answer_ends_where_its_head_ends() {
        let good = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nbanner";
        assert_eq!(answer(good), Ok(Some(good.len() - 6)));
        for length in 0..good.len() - 6 {
            assert_eq!(answer(&good[..length]), Ok(None), "{length}");
        }
        assert_eq!(answer(b"HTTP/1.1 407 Who\r\n\r\n"), Err("the proxy says 407".to_owned()));
        assert!(answer(b"SSH-2.0-x\r\n").is_err());
        assert!(answer(&[b"HTTP/1.1 200 ".as_slice(), &[b'x'; LONGEST_HEAD]].concat()).is_err());
    }
}
