//! Requests for a service that the agent reaches by a socket: what of them the service hears.
//!
//! Decides: which requests are carried, and what of a request and of its answer is passed on. The service hears one
//! credential, the one from outside: one of the agent's own would let it send what it reads into an account of its choice.
//! Never does: read or write. Does not protect against: a service that repeats what it is sent, credential and all.

use crate::policy::network::{Credential, Upstream};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, StatusCode, Uri, Version};
use std::fmt;

/// Fields in which services look for a credential.
const CREDENTIALS: [HeaderName; 7] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("x-auth-token"),
];

/// Fields that are about one connection and not about the request (RFC 9110, section 7.6.1). Lengths are found again from
/// the body.
const CARRIAGE: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
    PROXY_AUTHENTICATE,
];

/// The service, and what it is told of who asks.
#[derive(Clone)]
pub struct Service {
    host: HeaderValue,
    field: HeaderName,
    value: HeaderValue,
}

/// Why a request is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// It asks for a tunnel.
    Tunnel,
    /// It is one for a proxy: it names a host in its first line.
    Proxied,
    /// It names no path.
    Pathless,
}

impl ApiError {
    /// The status that says so.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Tunnel => StatusCode::METHOD_NOT_ALLOWED,
            Self::Proxied => StatusCode::MISDIRECTED_REQUEST,
            Self::Pathless => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tunnel => "it asks for a tunnel, and the socket leads to one service",
            Self::Proxied => "it names a host as for a proxy, and the socket leads to one service",
            Self::Pathless => "it names no path",
        })
    }
}

/// Never with its credential.
impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({:?} by {})", self.host, self.field)
    }
}

impl Service {
    /// The service at `upstream`, which knows `key` in the field of `credential`.
    ///
    /// # Errors
    /// A clause that says what is wrong; it does not repeat the key.
    pub fn new(upstream: &Upstream, credential: &Credential, key: &str) -> Result<Self, String> {
        let host = HeaderValue::try_from(upstream.authority());
        let host = host.map_err(|_| format!("{upstream} names no host"))?;
        let field = HeaderName::try_from(credential.field.as_str());
        let field = field.map_err(|_| format!("{credential} is no field of requests"))?;
        let value = HeaderValue::try_from(credential.value(key));
        let mut value = value.map_err(|_| "it has characters that no field can hold".to_owned())?;
        value.set_sensitive(true);
        Ok(Self { host, field, value })
    }

    /// The head of a request as the service hears it.
    ///
    /// # Errors
    /// [`ApiError`] where the request is not carried.
    pub fn outward(&self, mut head: Parts) -> Result<Parts, ApiError> {
        if head.method == Method::CONNECT {
            return Err(ApiError::Tunnel);
        }
        if head.uri.scheme().is_some() || head.uri.authority().is_some() {
            return Err(ApiError::Proxied);
        }
        let asked = head.uri.path_and_query().filter(|asked| asked.path().starts_with('/'));
        head.uri = asked.cloned().map(Uri::from).ok_or(ApiError::Pathless)?;
        head.version = Version::HTTP_11;
        // Nothing of one connection is passed on to the other.
        head.extensions.clear();
        strip_carriage(&mut head.headers);
        head.headers.remove(CONTENT_LENGTH);
        for field in &CREDENTIALS {
            head.headers.remove(field);
        }
        head.headers.insert(HOST, self.host.clone());
        head.headers.insert(self.field.clone(), self.value.clone());
        Ok(head)
    }
}

/// The fields of an answer as the agent hears them. A session of the service is not the agent's to have.
pub fn inward(headers: &mut HeaderMap) {
    strip_carriage(headers);
    headers.remove(SET_COOKIE);
}

/// Takes away what is about one connection, also what the message itself says is.
fn strip_carriage(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named.iter().chain(&CARRIAGE) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn service(header: &str) -> Service {
        let upstream = Upstream::parse("https://api.test:8443").unwrap();
        Service::new(&upstream, &Credential::parse(header).unwrap(), "real").unwrap()
    }

    fn outward(header: &str, request: http::request::Builder) -> Result<Parts, ApiError> {
        service(header).outward(request.body(()).unwrap().into_parts().0)
    }

    fn fields(head: &Parts) -> Vec<String> {
        let field = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut fields: Vec<_> = head.headers.iter().map(field).collect();
        fields.sort_unstable();
        fields
    }

    #[test]
    fn the_service_hears_one_credential_and_its_own_name() {
        let request = Request::post("/v1/messages?beta=true")
            .header("Host", "localhost")
            .header("X-Api-Key", "of the agent")
            .header("x-api-key", "another")
            .header("Authorization", "Bearer of the agent")
            .header("Cookie", "session=1")
            .header("Proxy-Authorization", "Basic eDp5")
            .header("anthropic-version", "2023-06-01");
        let head = outward("x-api-key", request).unwrap();
        assert_eq!(
            fields(&head),
            ["anthropic-version: 2023-06-01", "host: api.test:8443", "x-api-key: real"]
        );
        assert_eq!(head.uri.to_string(), "/v1/messages?beta=true");
        let request = Request::get("/").header("x-api-key", "of the agent");
        let head = outward("Authorization: Bearer", request).unwrap();
        assert_eq!(fields(&head), ["authorization: Bearer real", "host: api.test:8443"]);
    }

    #[test]
    fn what_is_about_a_connection_stays_there() {
        let request = Request::post("/")
            .header("Connection", "close, X-Of-This-Hop")
            .header("X-Of-This-Hop", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Transfer-Encoding", "chunked")
            .header("Content-Length", "5")
            .header("TE", "trailers")
            .header("Upgrade", "websocket")
            .header("Expect", "100-continue");
        let head = outward("x-api-key", request.version(Version::HTTP_10)).unwrap();
        assert_eq!(fields(&head), ["host: api.test:8443", "x-api-key: real"]);
        assert_eq!(head.version, Version::HTTP_11);
        let mut answer = HeaderMap::new();
        for (name, value) in
            [("connection", "close"), ("set-cookie", "session=1"), ("content-type", "text/plain")]
        {
            answer.insert(name, HeaderValue::from_static(value));
        }
        inward(&mut answer);
        assert_eq!(answer.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
    }

    /// A field that `Connection` names is the hop's, but the credential is put in afterwards.
    #[test]
    fn no_request_takes_the_credential_or_the_name_away() {
        let request = Request::get("/").header("Connection", "x-api-key, host");
        let head = outward("x-api-key", request).unwrap();
        assert_eq!(fields(&head), ["host: api.test:8443", "x-api-key: real"]);
    }

    #[test]
    fn what_is_meant_for_a_proxy_is_not_carried() {
        let to = |method: Method, uri: &str| {
            outward("x-api-key", Request::builder().method(method).uri(uri)).map(|_| ())
        };
        assert_eq!(to(Method::CONNECT, "evil.test:443"), Err(ApiError::Tunnel));
        assert_eq!(to(Method::GET, "http://evil.test/"), Err(ApiError::Proxied));
        assert_eq!(to(Method::OPTIONS, "*"), Err(ApiError::Pathless));
        assert_eq!(to(Method::GET, "//evil.test/"), Ok(()));
    }

    #[test]
    fn a_key_is_never_shown() {
        let shown = format!("{:?}", service("x-api-key"));
        assert!(!shown.contains("real"), "{shown}");
        let upstream = Upstream::parse("https://api.test").unwrap();
        let header = Credential::parse("x-api-key").unwrap();
        let error = Service::new(&upstream, &header, "se\ncret").unwrap_err();
        assert!(!error.contains("cret"), "{error}");
    }
}
