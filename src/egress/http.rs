//! The requests of an HTTP/1 connection: whether each is for the host that the connection is allowed to.
//!
//! Decides: which bytes of the client may be passed on. A request is passed on only when it can be read in one way, for what
//! another reader takes for a second request would be one that nobody looked at. Never does: change a byte. Does not look
//! at: responses, which decide nothing here.
//!
//! Sources: RFC 9112 (sections 2.2, 3, 5, 6, 7, 11.2), RFC 9110 (section 7.2).

use crate::policy::network::Name;

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// The most fields of a head.
const MOST_FIELDS: usize = 128;

/// The most digits of a chunk's size.
const MOST_DIGITS: u32 = 15;

/// Methods whose requests have no body.
const BODILESS: [&str; 4] = ["GET", "HEAD", "DELETE", "TRACE"];

/// Fields that say whom a request is for, and where it ends.
const NEEDED: [&str; 3] = ["host", "content-length", "transfer-encoding"];

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It is no request of HTTP/1.
    #[error("the connection does not carry HTTP/1: {0}")]
    NotHttp(&'static str),
    /// It is for another host.
    #[error("a request is for `{0}`")]
    OtherHost(String),
    /// Two readers could take it for two different things.
    #[error("a request could be read in two ways: {0}")]
    Ambiguous(&'static str),
    /// It asks to speak something else from here on.
    #[error("a request asks for another protocol on the connection")]
    Upgrade,
}

/// The requests of one connection.
#[derive(Debug)]
pub struct Requests {
    name: Name,
    port: u16,
    state: State,
    /// What is there of a head or of the line of a chunk's size.
    gathered: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A head is being gathered.
    Head,
    /// So many bytes of a body are still to come.
    Body(u64),
    /// The line before a chunk is being gathered.
    Size,
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    /// The line end behind a chunk, or behind the last one.
    LineEnd {
        /// What stands there.
        seen: u8,
        /// Whether the body ends with it.
        last: bool,
    },
}

/// How the body of a request is told from the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked,
}

impl Requests {
    /// Those of a connection to `port` of `name`.
    #[must_use]
    pub fn new(name: Name, port: u16) -> Self {
        Self { name, port, state: State::Head, gathered: Vec::new() }
    }

    /// Takes `bytes`, the next ones of the client, and adds to `out` what may be passed on.
    ///
    /// # Errors
    /// [`HttpError`]; nothing more of the connection is to be passed on, what was added to `out` included.
    pub fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), HttpError> {
        while let Some((first, rest)) = bytes.split_first() {
            match self.state {
                State::Head => {
                    self.gathered.push(*first);
                    bytes = rest;
                    self.head(out)?;
                }
                State::Size => {
                    self.gathered.push(*first);
                    bytes = rest;
                    self.size(out)?;
                }
                State::Body(left) => bytes = self.pass(left, bytes, out),
                State::Chunk(left) => bytes = self.pass(left, bytes, out),
                State::LineEnd { seen, last } => {
                    out.push(*first);
                    bytes = rest;
                    self.line_end(seen, last, *first)?;
                }
            }
        }
        Ok(())
    }

    /// Passes on what belongs to a body or a chunk of which `left` bytes are to come.
    fn pass<'b>(&mut self, left: u64, bytes: &'b [u8], out: &mut Vec<u8>) -> &'b [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (now, later) = bytes.split_at(here);
        out.extend_from_slice(now);
        let left = left - here as u64;
        self.state = match (&self.state, left) {
            (State::Chunk(_), 0) => State::LineEnd { seen: 0, last: false },
            (State::Chunk(_), left) => State::Chunk(left),
            (_, 0) => State::Head,
            (_, left) => State::Body(left),
        };
        later
    }

    fn line_end(&mut self, seen: u8, last: bool, byte: u8) -> Result<(), HttpError> {
        self.state = match (seen, byte) {
            (0, b'\r') => State::LineEnd { seen: 1, last },
            (1, b'\n') if last => State::Head,
            (1, b'\n') => State::Size,
            (_, _) if last => return Err(HttpError::Ambiguous("fields behind the last chunk")),
            (_, _) => return Err(HttpError::Ambiguous("a chunk is longer than its size")),
        };
        Ok(())
    }

    fn size(&mut self, out: &mut Vec<u8>) -> Result<(), HttpError> {
        let wrong = Err(HttpError::Ambiguous("the size of a chunk"));
        let line = match self.gathered.as_slice() {
            [line @ .., b'\r', b'\n'] => line,
            line if line.len() > MOST_DIGITS as usize + 2 => return wrong,
            _ => return Ok(()),
        };
        if line.is_empty() || !line.iter().all(u8::is_ascii_hexdigit) {
            return wrong;
        }
        let digit =
            |sum: u64, byte: &u8| sum << 4 | u64::from(char::from(*byte).to_digit(16).unwrap_or(0));
        let size = line.iter().fold(0, digit);
        self.state =
            if size == 0 { State::LineEnd { seen: 0, last: true } } else { State::Chunk(size) };
        out.append(&mut self.gathered);
        Ok(())
    }

    fn head(&mut self, out: &mut Vec<u8>) -> Result<(), HttpError> {
        check_byte(&self.gathered)?;
        if !self.gathered.ends_with(b"\r\n\r\n") {
            let long = self.gathered.len() >= LONGEST_HEAD;
            return if long { Err(HttpError::NotHttp("its head has no end")) } else { Ok(()) };
        }
        let body = self.judge()?;
        self.state = match body {
            Body::Length(0) => State::Head,
            Body::Length(length) => State::Body(length),
            Body::Chunked => State::Size,
        };
        out.append(&mut self.gathered);
        Ok(())
    }

    /// Reads the head that was gathered: how its body ends, if it is for the right host.
    fn judge(&self) -> Result<Body, HttpError> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let whole = request.parse(&self.gathered).is_ok_and(|status| status.is_complete());
        let (Some(method), Some(target), Some(version)) =
            (request.method, request.path, request.version)
        else {
            return Err(HttpError::NotHttp("it is no request"));
        };
        if !whole {
            return Err(HttpError::NotHttp("it is no request"));
        }
        let fields = Fields(request.headers);
        self.check_target(method, target)?;
        let host = fields.one("host")?.ok_or(HttpError::Ambiguous("it has no Host"))?;
        self.check_host(host)?;
        if fields.one("upgrade")?.is_some() || method == "PRI" {
            return Err(HttpError::Upgrade);
        }
        fields.check_carriage()?;
        let body = fields.body(version)?;
        // Readers that expect none take it for the next request (RFC 9110, sections 9.3.1, 9.3.2 and 9.3.5).
        if BODILESS.contains(&method) && body != Body::Length(0) {
            return Err(HttpError::Ambiguous("a body where such a request has none"));
        }
        Ok(body)
    }

    /// The target has no host of its own, or the right one.
    fn check_target(&self, method: &str, target: &str) -> Result<(), HttpError> {
        if method == "CONNECT" {
            return Err(HttpError::OtherHost(target.to_owned()));
        }
        if !target.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
            return Err(HttpError::Ambiguous("the target"));
        }
        let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        match scheme {
            Some(_) => {
                let rest = &target[7..];
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                self.check_host(&rest.as_bytes()[..end])
            }
            None if target.starts_with('/') || (target == "*" && method == "OPTIONS") => Ok(()),
            None if method == "PRI" => Err(HttpError::Upgrade),
            None => Err(HttpError::Ambiguous("the target")),
        }
    }

    fn check_host(&self, host: &[u8]) -> Result<(), HttpError> {
        let other = || HttpError::OtherHost(String::from_utf8_lossy(host).into_owned());
        let text = core::str::from_utf8(host).map_err(|_| other())?;
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        // A port that is not written is the protocol's own, or left out by clients of other ports. One that is has one
        // spelling: with a zero before it another reader may take the whole for the name of another host.
        let right_port = port.is_none_or(|port| port == self.port.to_string());
        // With a final dot it is another host for some servers, as in a TLS hello.
        let right_name = Name::parse(name).is_ok_and(|name| name == self.name);
        if right_port && right_name && !name.ends_with('.') { Ok(()) } else { Err(other()) }
    }
}

/// The last byte of `head`, where its line would end for one reader and not for another.
fn check_byte(head: &[u8]) -> Result<(), HttpError> {
    match head {
        [b'\r' | b'\n' | b' ' | b'\t', ..] => Err(HttpError::NotHttp("it begins with a space")),
        [.., 0] => Err(HttpError::NotHttp("a NUL character")),
        [.., b'\r', last] if *last != b'\n' => {
            Err(HttpError::Ambiguous("a line end without a line feed"))
        }
        [.., before, b'\n'] if *before != b'\r' => {
            Err(HttpError::Ambiguous("a line feed without a carriage return"))
        }
        [.., b'\n', b' ' | b'\t'] => Err(HttpError::Ambiguous("a field over two lines")),
        [..] => Ok(()),
    }
}

/// The fields of a head.
struct Fields<'f>(&'f [httparse::Header<'f>]);

impl<'f> Fields<'f> {
    /// Nothing is asked of the connection that readers take in different ways.
    fn check_carriage(&self) -> Result<(), HttpError> {
        let waits = self.one("expect")?.unwrap_or(b"100-continue");
        if !waits.eq_ignore_ascii_case(b"100-continue") {
            return Err(HttpError::Ambiguous("what it expects"));
        }
        let named = self.0.iter().filter(|field| field.name.eq_ignore_ascii_case("connection"));
        let mut named = named.flat_map(|field| field.value.split(|byte| *byte == b','));
        // Who takes those away that are for this connection only would pass on another request.
        let is_needed = |name: &[u8]| {
            NEEDED.iter().any(|needed| name.trim_ascii().eq_ignore_ascii_case(needed.as_bytes()))
        };
        match named.any(is_needed) {
            true => Err(HttpError::Ambiguous("its length or host is for this connection only")),
            false => Ok(()),
        }
    }

    /// The value of the field `name`, which may stand there once.
    fn one(&self, name: &str) -> Result<Option<&'f [u8]>, HttpError> {
        let mut found = self.0.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let first = found.next().map(|field| field.value.trim_ascii());
        match found.next() {
            Some(_) => {
                Err(HttpError::Ambiguous("a field that may stand there once stands there twice"))
            }
            None => Ok(first),
        }
    }

    fn body(&self, version: u8) -> Result<Body, HttpError> {
        let length = self.one("content-length")?;
        let coding = self.one("transfer-encoding")?;
        match (length, coding) {
            (None, None) => Ok(Body::Length(0)),
            (Some(length), None) => {
                let text = core::str::from_utf8(length).ok();
                let number: Option<u64> = text.and_then(|text| text.parse().ok());
                // One spelling: a sign or a zero before it is read in one way here and in another there.
                let number = number.filter(|number| text == Some(&number.to_string()));
                number.map(Body::Length).ok_or(HttpError::Ambiguous("the length of the body"))
            }
            (None, Some(coding)) if version == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Body::Chunked)
            }
            (None, Some(_)) => Err(HttpError::Ambiguous("the coding of the body")),
            (Some(_), Some(_)) => Err(HttpError::Ambiguous("the body has a length and is chunked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn requests() -> Requests {
        Requests::new(Name::parse("a.test").unwrap(), 80)
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, HttpError> {
        let mut out = Vec::new();
        requests().take(bytes, &mut out).map(|()| out)
    }

    /// A request with these fields besides its `Host`.
    fn with(fields: &str, body: &str) -> String {
        format!("POST /x HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n{body}")
    }

    #[test]
    fn requests_for_the_host_pass_as_they_came() {
        let each = [
            "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(),
            "GET /x?y=1 HTTP/1.0\r\nhost:A.Test\r\nX-Y: z\r\n\r\n".to_owned(),
            "GET http://a.test/x HTTP/1.1\r\nHost: a.test:80\r\n\r\n".to_owned(),
            "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(),
            with("Content-Length: 5\r\n", "GET /"),
            with("Content-Length: 0\r\n", ""),
            with("Expect: 100-Continue\r\nContent-Length: 5\r\nConnection: close\r\n", "GET /"),
            "DELETE /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n".to_owned(),
            with("Transfer-Encoding: Chunked\r\n", "5\r\nhello\r\n0a\r\n0123456789\r\n0\r\n\r\n"),
        ];
        let all = each.concat();
        for request in each.iter().chain([&all]) {
            assert_eq!(read(request.as_bytes()), Ok(request.clone().into_bytes()), "{request}");
            let (mut gathering, mut out) = (requests(), Vec::new());
            for byte in request.as_bytes() {
                gathering.take(&[*byte], &mut out).unwrap();
            }
            assert_eq!(out, request.as_bytes());
            assert_eq!(gathering.state, State::Head);
        }
    }

    #[test]
    fn a_request_for_another_host_does_not_pass() {
        for request in [
            "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test:81\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test:080\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test:+80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n",
            "GET http://a.test./ HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test.b.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: b.test@a.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET http://a.test@b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "CONNECT b.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ] {
            let refused = read(request.as_bytes());
            assert!(matches!(refused, Err(HttpError::OtherHost(_))), "{request}: {refused:?}");
        }
        let second =
            format!("{}GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", with("Content-Length: 1\r\n", "x"));
        assert_eq!(read(second.as_bytes()), Err(HttpError::OtherHost("b.test".to_owned())));
    }

    #[test]
    fn what_could_be_read_in_two_ways_does_not_pass() {
        let hidden = "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n";
        for fields in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 05\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Expect: 100-continue, x\r\n",
            "Expect: x\r\n",
            "Connection: close, Content-Length\r\nContent-Length: 30\r\n",
            "Connection: x\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n",
            "Connection:host\r\n",
            "Host: a.test\r\n",
            "X: y\r\n Host: b.test\r\n",
            "X: y\nHost: b.test\r\n",
            "X: y\rHost: b.test\r\n",
            "X: y\0\r\n",
            ": y\r\n",
        ] {
            let refused = read(with(fields, hidden).as_bytes());
            let told = matches!(refused, Err(HttpError::Ambiguous(_) | HttpError::NotHttp(_)));
            assert!(told, "{fields:?}: {refused:?}");
        }
        for method in BODILESS {
            for framing in
                ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
            {
                let request = format!("{method} / HTTP/1.1\r\nHost: a.test\r\n{framing}");
                let refused = read(request.as_bytes());
                assert!(matches!(refused, Err(HttpError::Ambiguous(_))), "{request}: {refused:?}");
            }
        }
        for body in [
            "5;x=y\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "\r\nhello",
            "+5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "5\r\nhelloo\r\n0\r\n\r\n",
            "5\r\nhello\r\n0\r\nHost: b.test\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
        ] {
            let refused = read(with("Transfer-Encoding: chunked\r\n", body).as_bytes());
            assert!(matches!(refused, Err(HttpError::Ambiguous(_))), "{body:?}: {refused:?}");
        }
    }

    #[test]
    fn what_is_no_request_does_not_pass() {
        for bytes in [
            &b"\x16\x03\x01\x00\x05hello\r\n\r\n"[..],
            b"SSH-2.0-x\r\n\r\n",
            b"\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.test\r\nX: \xff\x00\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"GET a.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            read(bytes).unwrap_err();
        }
        assert_eq!(
            read(with("Upgrade: websocket\r\nConnection: upgrade\r\n", "").as_bytes()),
            Err(HttpError::Upgrade)
        );
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(LONGEST_HEAD));
        assert_eq!(read(endless.as_bytes()), Err(HttpError::NotHttp("its head has no end")));
        let many = with(&"X: y\r\n".repeat(MOST_FIELDS), "");
        assert_eq!(read(many.as_bytes()), Err(HttpError::NotHttp("it is no request")));
    }

    #[test]
    fn nothing_passes_before_it_was_judged() {
        assert_eq!(read(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r"), Ok(Vec::new()));
        let first = with("Content-Length: 3\r\n", "abc");
        let half = format!("{first}GET / HTTP/1.1\r\nHost: b.te");
        assert_eq!(read(half.as_bytes()), Ok(first.into_bytes()));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..80) {
            let mut broken = with("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n").into_bytes();
            let at = at.min(broken.len());
            broken.splice(at.., bytes);
            let once = read(&broken);
            let (mut gathering, mut out) = (requests(), Vec::new());
            let each = broken.iter().try_for_each(|byte| gathering.take(&[*byte], &mut out));
            prop_assert_eq!(each.map(|()| out), once);
        }
    }
}
