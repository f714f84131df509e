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
    for header in ["x-api-key", "Authorization: Bearer"] {
        let credential = Credential::parse(header).expect("a field");
        let service = Service::new(&upstream, &credential, "real").expect("a key");
        let Ok(head) = service.outward(request.clone().into_parts().0) else { continue };
        let all = |name: &str| head.headers.get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("host"), [b"api.test"]);
        let (own, other) = match header {
            "x-api-key" => (all("x-api-key"), all("authorization")),
            _ => (all("authorization"), all("x-api-key")),
        };
        assert_eq!((own, other), (vec![credential.value("real").as_bytes()], vec![]));
        for gone in ["cookie", "proxy-authorization", "connection", "transfer-encoding", "content-length", "upgrade", "te"] {
            assert!(all(gone).is_empty(), "{gone}");
        }
        assert!(head.uri.path().starts_with('/') && head.uri.authority().is_none());
    }
});
