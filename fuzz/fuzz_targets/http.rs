//! Requests are read alike however they are cut into pieces, and what is passed on is what came, in order, for one host.

#![no_main]

use cellblock::egress::http::Requests;
use cellblock::policy::network::Name;
use libfuzzer_sys::fuzz_target;

fn new() -> Requests {
    Requests::new(Name::parse("a.test").expect("a name"), 80)
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let mut out = Vec::new();
    let whole = new().take(bytes, &mut out);
    let cut = usize::from(cut).min(bytes.len());
    let (mut requests, mut parts) = (new(), Vec::new());
    let ended = requests.take(&bytes[..cut], &mut parts);
    let ended = ended.and_then(|()| requests.take(&bytes[cut..], &mut parts));
    assert_eq!(whole, ended);
    if whole.is_ok() {
        assert_eq!(out, parts);
        assert!(bytes.starts_with(&out));
    }
    let (mut requests, mut single) = (new(), Vec::new());
    let ended = bytes.iter().try_for_each(|byte| requests.take(std::slice::from_ref(byte), &mut single));
    assert_eq!(whole, ended);
    if whole.is_ok() {
        assert_eq!(out, single);
    }
    // Another reader finds the same host in the first request that is passed on.
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut fields);
    if whole.is_ok() && !out.is_empty() {
        let read = request.parse(&out);
        assert!(matches!(read, Ok(httparse::Status::Complete(_))), "{read:?}");
        let hosts: Vec<_> =
            request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host")).collect();
        assert!(hosts.len() <= 1);
        for host in hosts {
            let host = host.value.to_ascii_lowercase();
            assert!([&b"a.test"[..], b"a.test:80"].contains(&host.as_slice()), "{host:?}");
        }
    }
});
