//! Requests for a service that the agent reaches by a socket: what of them the service hears.
//!
//! Decides: which requests are carried, and what of a request and of its answer is passed on. The service hears one
//! credential, the one from outside: one of the agent's own would let it send what it reads into an account of its choice.
//! Never does: read or write. Does not protect against: a service that repeats what it is sent, credential and all.

use crate::policy::network::{Credential, Upstream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, StatusCode, Uri, Version};
use std::fmt;

/// How the names of fields and of parameters end in which services look for a credential.
const CREDENTIALS: [&str; 14] = [
    "authorization",
    "cookie",
    "api-key",
    "apikey",
    "auth-key",
    "auth-token",
    "access-key",
    "access-token",
    "oauth-token",
    "security-token",
    "private-token",
    "job-token",
    "subscription-key",
    "functions-key",
];

/// Names of parameters that are a credential by themselves.
const PARAMETERS: [&str; 2] = ["key", "token"];

/// Methods that have the service repeat what it hears: the one of RFC 9110, section 9.3.8, and that of others.
const REPEATING: [&str; 2] = ["TRACE", "TRACK"];

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
    /// It asks to be repeated, with the credential that is put in.
    Repeated,
    /// A parameter of it is a credential.
    Credential,
}

impl ApiError {
    /// The status that says so.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Tunnel | Self::Repeated => StatusCode::METHOD_NOT_ALLOWED,
            Self::Credential => StatusCode::FORBIDDEN,
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
            Self::Repeated => "it asks the service to repeat it, credential and all",
            Self::Credential => {
                "a parameter of it is a credential, and the service hears one only, from outside"
            }
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

    /// The head of a request as the service hears it; its body has `length` bytes, or as many as come.
    ///
    /// # Errors
    /// [`ApiError`] where the request is not carried.
    pub fn outward(&self, mut head: Parts, length: Option<u64>) -> Result<Parts, ApiError> {
        if head.method == Method::CONNECT {
            return Err(ApiError::Tunnel);
        }
        if REPEATING.iter().any(|method| head.method.as_str().eq_ignore_ascii_case(method)) {
            return Err(ApiError::Repeated);
        }
        if head.uri.scheme().is_some() || head.uri.authority().is_some() {
            return Err(ApiError::Proxied);
        }
        let asked = head.uri.path_and_query().filter(|asked| asked.path().starts_with('/'));
        head.uri = asked.cloned().map(Uri::from).ok_or(ApiError::Pathless)?;
        if head.uri.query().is_some_and(has_credential) {
            return Err(ApiError::Credential);
        }
        head.version = Version::HTTP_11;
        // Nothing of one connection is passed on to the other.
        head.extensions.clear();
        strip_carriage(&mut head.headers);
        frame(&mut head.headers, length);
        let credentials: Vec<HeaderName> =
            head.headers.keys().filter(|field| self.is_credential(field)).cloned().collect();
        for field in credentials {
            head.headers.remove(field);
        }
        head.headers.insert(HOST, self.host.clone());
        head.headers.insert(self.field.clone(), self.value.clone());
        Ok(head)
    }

    /// Whether a service could take `field` for a credential, or for the one that is put in.
    fn is_credential(&self, field: &HeaderName) -> bool {
        let field = spelt(field.as_str());
        field == spelt(self.field.as_str()) || is_credential(&field)
    }
}

/// The head of an answer as the agent hears it. A session of the service is not the agent's to have.
#[must_use]
pub fn inward(mut head: http::response::Parts) -> http::response::Parts {
    // Of two lengths that one counts, and the other would be wrong.
    if head.headers.contains_key(TRANSFER_ENCODING) {
        head.headers.remove(CONTENT_LENGTH);
    }
    strip_carriage(&mut head.headers);
    head.headers.remove(SET_COOKIE);
    head.version = Version::HTTP_11;
    head
}

/// How the body's end is told. A length is found again from the body; what has none, even where such a request seldom has a
/// body, comes in chunks; and that nothing comes is said where the agent said it, for there are services that insist on it.
fn frame(headers: &mut HeaderMap, length: Option<u64>) {
    let said = headers.remove(CONTENT_LENGTH).is_some();
    match length {
        None => headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        Some(0) if said => headers.insert(CONTENT_LENGTH, HeaderValue::from(0)),
        Some(_) => None,
    };
}

/// As programs behind a gateway see the name of a field (RFC 3875, section 4.1.18): in capitals or not, and with `_` for `-`.
fn spelt(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a parameter of `query` is a credential. Some services take `;` for `&`.
fn has_credential(query: &str) -> bool {
    let parameters = query.split(';').flat_map(|part| form_urlencoded::parse(part.as_bytes()));
    parameters
        .map(|(name, _)| spelt(name.trim()))
        .any(|name| PARAMETERS.contains(&name.as_str()) || is_credential(&name))
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
        service(header).outward(request.body(()).unwrap().into_parts().0, Some(0))
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
            .header("X_Api_Key", "as a gateway spells it")
            .header("xi-api-key", "of another service")
            .header("Idempotency-Key", "is none")
            .header("anthropic-version", "2023-06-01");
        let head = outward("x-api-key", request).unwrap();
        assert_eq!(
            fields(&head),
            [
                "anthropic-version: 2023-06-01",
                "host: api.test:8443",
                "idempotency-key: is none",
                "x-api-key: real"
            ]
        );
        assert_eq!(head.uri.to_string(), "/v1/messages?beta=true");
        let request = Request::get("/").header("x-api-key", "of the agent");
        let head = outward("Authorization: Bearer", request).unwrap();
        assert_eq!(fields(&head), ["authorization: Bearer real", "host: api.test:8443"]);
        let request = Request::get("/").header("X_Own", "of the agent").header("x-own", "another");
        assert_eq!(
            fields(&outward("X-Own", request).unwrap()),
            ["host: api.test:8443", "x-own: real"]
        );
        let request = Request::get("/").header("X-Own", "of the agent");
        assert_eq!(
            fields(&outward("X_Own", request).unwrap()),
            ["host: api.test:8443", "x_own: real"]
        );
    }

    #[test]
    fn a_parameter_is_no_credential() {
        let to = |uri: &str| outward("x-api-key", Request::get(uri)).map(|_| ());
        for query in [
            "key=x",
            "a=b&KEY=x",
            "a=b;key",
            "api_key=x",
            "%6bey=x",
            "x-goog-api-key=x",
            "access%5Ftoken=x",
            "+key=x",
        ] {
            assert_eq!(to(&format!("/v1?{query}")), Err(ApiError::Credential), "{query}");
        }
        for query in ["beta=true", "pageToken=x", "keys=x", "a=key", "idempotency_key=x", ""] {
            assert_eq!(to(&format!("/v1?{query}")), Ok(()), "{query}");
        }
    }

    #[test]
    fn the_end_of_a_body_is_told_in_one_way() {
        let framed = |method: Method, length: Option<u64>, said: &[&str]| {
            let mut request = Request::builder().method(method).uri("/");
            for length in said {
                request = request.header("Content-Length", *length);
            }
            let head = request.body(()).unwrap().into_parts().0;
            let head = service("x-api-key").outward(head, length).unwrap();
            fields(&head).into_iter().filter(|field| !field.contains("api")).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(framed(Method::POST, Some(0), &["0"]), ["content-length: 0"]);
        assert_eq!(framed(Method::POST, Some(0), &[]), none);
        assert_eq!(framed(Method::POST, Some(5), &["5"]), none);
        assert_eq!(framed(Method::GET, None, &["5"]), ["transfer-encoding: chunked"]);
    }

    #[test]
    fn what_is_about_a_connection_stays_there() {
        let request = Request::post("/")
            .header("Connection", "close, X-Of-This-Hop")
            .header("X-Of-This-Hop", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Transfer-Encoding", "chunked")
            .header("TE", "trailers")
            .header("Upgrade", "websocket")
            .header("Expect", "100-continue");
        let head = outward("x-api-key", request.version(Version::HTTP_10)).unwrap();
        assert_eq!(fields(&head), ["host: api.test:8443", "x-api-key: real"]);
        assert_eq!(head.version, Version::HTTP_11);
        let answer = http::Response::builder()
            .version(Version::HTTP_10)
            .header("Connection", "close")
            .header("Set-Cookie", "session=1")
            .header("Transfer-Encoding", "chunked")
            .header("Content-Length", "3")
            .header("Content-Type", "text/plain");
        let answer = inward(answer.body(()).unwrap().into_parts().0);
        assert_eq!(answer.version, Version::HTTP_11);
        let answer = answer.headers;
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
        assert_eq!(to(Method::TRACE, "/"), Err(ApiError::Repeated));
        assert_eq!(to(Method::from_bytes(b"Track").unwrap(), "/"), Err(ApiError::Repeated));
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
