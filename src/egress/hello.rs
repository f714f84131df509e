//! The TLS ClientHello: which server the client asks for.
//!
//! Decides: whether the first bytes of a connection are a hello, and for whom. Never does: answer it, or change it. What it
//! was made of is passed on as it came. Does not protect against: what the client asks of the server behind the hello.
//!
//! Sources: RFC 8446 (sections 4.1.2, 4.2, 5.1), RFC 6066 (section 3), the hello's encryption RFC 9849.

use crate::policy::network::Name;

/// The longest hello that is read, in bytes: post-quantum keys make one of 2 KB, and nothing known makes one of 8 KB.
const LONGEST: usize = 16 << 10;

/// The most bytes that a hello may be spread over, records' headers counted.
const MOST_RAW: usize = 32 << 10;

/// The most bytes that a record may hold (RFC 8446, section 5.1).
const LONGEST_RECORD: usize = 1 << 14;

/// A record that holds handshake messages.
const HANDSHAKE: u8 = 22;

/// The handshake message that a client begins with.
const CLIENT_HELLO: u8 = 1;

/// The extension that names the server.
const SERVER_NAME: u16 = 0;

/// The extensions that hide another hello inside: the final one, and the draft that was in use before it.
const HIDDEN: [u16; 2] = [0xfe0d, 0xffce];

/// What is wrong with a hello.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The connection is not TLS.
    #[error("the connection does not begin with TLS")]
    NotTls,
    /// It is TLS, and no hello that could be read.
    #[error("its TLS hello is malformed: {0}")]
    Malformed(&'static str),
    /// It is longer than any hello.
    #[error("its TLS hello is longer than {} KB", LONGEST >> 10)]
    TooLong,
    /// It hides whom it asks for.
    #[error(
        "its TLS hello is encrypted or says that it may be (ECH), so that it may be for another host"
    )]
    Hidden,
    /// It names nobody.
    #[error("its TLS hello names no server")]
    Nameless,
    /// It names something that is no host.
    #[error("its TLS hello names a server that is no host's name: {0}")]
    NoName(String),
}

/// Gathers a hello from the bytes of a connection.
#[derive(Debug, Default)]
pub struct Hello {
    /// Handshake bytes of whole and broken records, without their headers.
    message: Vec<u8>,
    /// The header of the record that is being read.
    header: [u8; 5],
    /// How much of the header is there.
    header_length: usize,
    /// How much of the record is still to come.
    rest: usize,
    /// All bytes that were taken.
    raw: usize,
}

impl Hello {
    /// Takes `bytes`, the next ones of the connection; gives the server's name once the hello is whole, and those of
    /// `bytes` that stand behind it. It ends with a record.
    ///
    /// # Errors
    /// [`HelloError`]; the connection is not to be carried then.
    pub fn take<'b>(
        &mut self,
        mut bytes: &'b [u8],
    ) -> Result<Option<(Name, &'b [u8])>, HelloError> {
        self.raw += bytes.len();
        while !bytes.is_empty() {
            if self.rest == 0 {
                bytes = self.take_header(bytes)?;
                continue;
            }
            let (now, later) = bytes.split_at(self.rest.min(bytes.len()));
            self.message.extend_from_slice(now);
            self.rest -= now.len();
            bytes = later;
            if let Some(body) = self.whole()? {
                if self.rest > 0 || self.message.len() > 4 + body.len() {
                    return Err(HelloError::Malformed("bytes behind it in its record"));
                }
                return parse(body).map(|name| Some((name, bytes)));
            }
        }
        // What is whole was judged above, however much of the next messages came with it.
        if self.raw > MOST_RAW { Err(HelloError::TooLong) } else { Ok(None) }
    }

    /// Takes bytes of a record's header; each is looked at as soon as it is there.
    fn take_header<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], HelloError> {
        let wanted = self.header.len() - self.header_length;
        let (now, later) = bytes.split_at(wanted.min(bytes.len()));
        self.header[self.header_length..self.header_length + now.len()].copy_from_slice(now);
        self.header_length += now.len();
        let [kind, major, _, high, low] = self.header;
        if kind != HANDSHAKE || (self.header_length > 1 && major != 3) {
            return Err(HelloError::NotTls);
        }
        if self.header_length == self.header.len() {
            self.rest = usize::from(u16::from_be_bytes([high, low]));
            self.header_length = 0;
            if self.rest == 0 || self.rest > LONGEST_RECORD {
                return Err(HelloError::Malformed("the length of a record"));
            }
        }
        Ok(later)
    }

    /// The body of the hello, if it is all there.
    fn whole(&self) -> Result<Option<&[u8]>, HelloError> {
        if self.message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(HelloError::Malformed("the connection begins with another message"));
        }
        let Some(([_, high, middle, low], rest)) = self.message.split_first_chunk() else {
            return Ok(None);
        };
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        if length > LONGEST {
            return Err(HelloError::TooLong);
        }
        Ok(rest.get(..length))
    }
}

/// A part of a message, read from its beginning.
struct Part<'m>(&'m [u8]);

impl<'m> Part<'m> {
    fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'m [u8], HelloError> {
        let (now, later) = self.0.split_at_checked(count).ok_or(HelloError::Malformed(what))?;
        self.0 = later;
        Ok(now)
    }

    fn number(&mut self, width: usize, what: &'static str) -> Result<usize, HelloError> {
        Ok(self.bytes(width, what)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    /// What stands behind a length of `width` bytes.
    fn vector(&mut self, width: usize, what: &'static str) -> Result<Part<'m>, HelloError> {
        let length = self.number(width, what)?;
        self.bytes(length, what).map(Part)
    }

    fn end(&self, what: &'static str) -> Result<(), HelloError> {
        if self.0.is_empty() { Ok(()) } else { Err(HelloError::Malformed(what)) }
    }
}

/// The server's name in the hello's `body`.
fn parse(body: &[u8]) -> Result<Name, HelloError> {
    let mut hello = Part(body);
    hello.bytes(2, "the version")?;
    hello.bytes(32, "the random bytes")?;
    hello.vector(1, "the session's id")?;
    hello.vector(2, "the cipher suites")?;
    hello.vector(1, "the compression methods")?;
    if hello.0.is_empty() {
        return Err(HelloError::Nameless);
    }
    let mut extensions = hello.vector(2, "the extensions")?;
    hello.end("bytes behind the extensions")?;
    let mut seen = [0_u64; 1024];
    let mut name = None;
    let mut hidden = false;
    while !extensions.0.is_empty() {
        let kind = u16::try_from(extensions.number(2, "an extension")?).unwrap_or_default();
        let content = extensions.vector(2, "an extension's length")?;
        let (word, bit) = (usize::from(kind / 64), 1 << (kind % 64));
        if seen[word] & bit != 0 {
            return Err(HelloError::Malformed("an extension stands there twice"));
        }
        seen[word] |= bit;
        hidden |= HIDDEN.contains(&kind);
        if kind == SERVER_NAME {
            name = Some(server_name(content)?);
        }
    }
    if hidden {
        return Err(HelloError::Hidden);
    }
    name.ok_or(HelloError::Nameless)
}

/// The one name of the extension.
fn server_name(mut content: Part<'_>) -> Result<Name, HelloError> {
    let mut list = content.vector(2, "the list of names")?;
    content.end("bytes behind the list of names")?;
    let kind = list.number(1, "the kind of a name")?;
    let name = list.vector(2, "the length of a name")?;
    if kind != 0 {
        return Err(HelloError::Malformed("a name of an unknown kind"));
    }
    list.end("more than one name")?;
    let text = core::str::from_utf8(name.0)
        .map_err(|_| HelloError::NoName("it is not ASCII".to_owned()))?;
    // RFC 6066: no final dot. A server may take such a name for another one.
    if text.ends_with('.') {
        return Err(HelloError::NoName(format!("`{}` ends with a dot", text.escape_debug())));
    }
    Name::parse(text).map_err(HelloError::NoName)
}

#[cfg(test)]
pub(crate) mod testing {
    /// A hello for `name`, with `more` extensions, in one record.
    pub(crate) fn hello(name: Option<&str>, more: &[(u16, &[u8])]) -> Vec<u8> {
        let mut extensions = Vec::new();
        let mut extension = |kind: u16, content: &[u8]| {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(sized(2, content));
        };
        if let Some(name) = name {
            let entry = [&[0][..], &sized(2, name.as_bytes())].concat();
            extension(0, &sized(2, &entry));
        }
        for (kind, content) in more {
            extension(*kind, content);
        }
        message(&sized(2, &extensions))
    }

    /// A hello with these `extensions`, their length first, in one record.
    pub(crate) fn message(extensions: &[u8]) -> Vec<u8> {
        let body = [
            &[3, 3][..],
            &[7; 32],
            &sized(1, &[9; 32]),
            &sized(2, &[0x13, 0x01]),
            &sized(1, &[0]),
            extensions,
        ]
        .concat();
        record(&[&[1][..], &sized(3, &body)].concat())
    }

    /// `content` in one record.
    pub(crate) fn record(content: &[u8]) -> Vec<u8> {
        [&[22, 3, 1][..], &sized(2, content)].concat()
    }

    /// `content` behind its length in `width` bytes.
    pub(crate) fn sized(width: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - width..], content].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{hello, message, record, sized};
    use super::*;

    /// The name alone.
    fn take(hello: &mut Hello, bytes: &[u8]) -> Result<Option<Name>, HelloError> {
        hello.take(bytes).map(|found| found.map(|(name, _)| name))
    }
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Option<Name>, HelloError> {
        take(&mut Hello::default(), bytes)
    }

    fn name(text: &str) -> Option<Name> {
        Some(Name::parse(text).unwrap())
    }

    /// The same hello in records of one byte each.
    fn shattered(hello: &[u8]) -> Vec<u8> {
        hello[5..].iter().flat_map(|byte| record(&[*byte])).collect()
    }

    #[test]
    fn the_name_is_found_however_the_hello_comes() {
        let whole = hello(Some("API.example.test"), &[(43, &[2, 3, 4]), (0x0a0a, &[])]);
        assert_eq!(read(&whole), Ok(name("api.example.test")));
        for bytes in [whole.clone(), shattered(&whole)] {
            let mut gathering = Hello::default();
            let (last, before) = bytes.split_last().unwrap();
            for byte in before {
                assert_eq!(take(&mut gathering, &[*byte]), Ok(None));
            }
            assert_eq!(take(&mut gathering, &[*last]), Ok(name("api.example.test")));
        }
    }

    #[test]
    fn what_names_nobody_or_hides_it_is_refused() {
        assert_eq!(read(&hello(None, &[(43, &[2, 3, 4])])), Err(HelloError::Nameless));
        assert_eq!(read(&message(&[])), Err(HelloError::Nameless));
        for kind in HIDDEN {
            assert_eq!(
                read(&hello(Some("a.test"), &[(kind, &[1, 2, 3])])),
                Err(HelloError::Hidden)
            );
        }
        for text in ["a.test.", "1.2.3.4", "a b", "a\0.test", "", "bücher.test", "[::1]"] {
            let refused = read(&hello(Some(text), &[]));
            assert!(matches!(refused, Err(HelloError::NoName(_))), "{text}: {refused:?}");
        }
    }

    #[test]
    fn what_is_no_hello_is_refused_at_its_first_byte() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"SSH-2.0-x\r\n",
            &[0x80, 0x2e, 1, 3, 1],
            &[21],
            &[22, 2],
            &[23, 3, 3],
        ] {
            assert_eq!(read(bytes), Err(HelloError::NotTls), "{bytes:?}");
        }
        let other = |bytes: &[u8]| matches!(read(bytes), Err(HelloError::Malformed(_)));
        assert!(
            other(&record(&[2, 0, 0, 1, 0]))
                && other(&[22, 3, 1, 0, 0])
                && other(&[22, 3, 1, 0x40, 1])
        );
    }

    #[test]
    fn a_hello_that_says_two_things_is_refused() {
        let twice =
            hello(Some("a.test"), &[(0, &sized(2, &[&[0][..], &sized(2, b"b.test")].concat()))]);
        let entry = |text: &[u8]| [&[0][..], &sized(2, text)].concat();
        let two = sized(2, &[entry(b"a.test"), entry(b"b.test")].concat());
        let behind = [sized(2, &entry(b"a.test")), vec![0]].concat();
        let extension =
            |content: &[u8]| message(&sized(2, &[&[0, 0][..], &sized(2, content)].concat()));
        let more = message(&[sized(2, &[]), vec![0]].concat());
        for bytes in [twice, extension(&two), extension(&behind), more] {
            assert!(matches!(read(&bytes), Err(HelloError::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_hello_has_an_end() {
        let long = hello(Some("a.test"), &[(21, &vec![0; LONGEST])]);
        let in_two: Vec<u8> = long[5..].chunks(9000).flat_map(record).collect();
        assert_eq!(read(&in_two[..4096]), Err(HelloError::TooLong));
        let fine = vec![0; 12_000];
        assert_eq!(read(&hello(Some("a.test"), &[(21, &fine)])), Ok(name("a.test")));
        let mut gathering = Hello::default();
        let endless = shattered(&hello(Some("a.test"), &[(21, &fine)]));
        assert_eq!(take(&mut gathering, &endless[..MOST_RAW]), Ok(None));
        assert_eq!(
            take(&mut gathering, &endless[MOST_RAW..MOST_RAW + 6]),
            Err(HelloError::TooLong)
        );
    }

    #[test]
    fn a_hello_cut_anywhere_is_not_whole() {
        let whole = hello(Some("a.test"), &[(43, &[2, 3, 4])]);
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), Ok(None), "{end}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..200) {
            let mut broken = hello(Some("a.test"), &[(43, &[2, 3, 4])]);
            let at = at.min(broken.len() - 1);
            broken.splice(at.., bytes.iter().copied());
            let once = read(&broken);
            let mut gathering = Hello::default();
            let each = broken.iter().map(|byte| take(&mut gathering, &[*byte])).find(|said| *said != Ok(None));
            // In one piece or byte by byte: the same answer, but that a byte may come after the answer.
            prop_assert_eq!(each.unwrap_or(Ok(None)), once);
        }
    }
}
