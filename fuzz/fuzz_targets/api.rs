//! Whatever request comes by the socket, the service hears its own name and one credential, each once.

#![no_main]

use cellblock::egress::api::Service;
use cellblock::policy::network::{Credential, Upstream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut read = httparse::Request::new(&mut fields);
    if !matches!(read.parse(bytes), Ok(httparse::Status::Complete(_))) {
        return;
    }
    let mut request = http::Request::builder().method(read.method.unwrap_or("")).uri(read.path.unwrap_or(""));
    for field in read.headers.iter() {
        request = request.header(field.name, field.value);
    }
    let Ok(request) = request.body(()) else { return };
    let upstream = Upstream::parse("https://api.test").expect("a service");
    for (header, length) in [("x-api-key", None), ("Authorization: Bearer", Some(0)), ("x-api-key", Some(5))] {
        let credential = Credential::parse(header).expect("a field");
        let service = Service::new(&upstream, &credential, "real").expect("a key");
        let Ok(head) = service.outward(request.clone().into_parts().0, length) else { continue };
        let all = |name: &str| head.headers.get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("host"), [b"api.test"]);
        let field = &*credential.field.to_ascii_lowercase();
        assert_eq!(all(field), [credential.value("real").as_bytes()]);
        for name in head.headers.keys().map(|name| name.as_str().replace('_', "-")).filter(|name| name != field) {
            for gone in ["authorization", "cookie", "x-api-key", "x-goog-api-key", "access-token"] {
                assert!(name != gone, "{name}");
            }
        }
        for gone in ["connection", "upgrade", "te", "expect", "trailer"] {
            assert!(all(gone).is_empty(), "{gone}");
        }
        assert_eq!(all("transfer-encoding"), vec![&b"chunked"[..]; usize::from(length.is_none())]);
        assert!(all("content-length").is_empty() || (length, all("content-length")) == (Some(0), vec![b"0"]));
        assert!(!["CONNECT", "TRACE", "TRACK"].contains(&head.method.as_str()));
        assert!(head.uri.path().starts_with('/') && head.uri.authority().is_none());
    }
});
