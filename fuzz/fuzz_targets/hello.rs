//! A hello is read alike however it is cut into pieces, and what it takes is bounded.

#![no_main]

use cellblock::egress::hello::Hello;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let whole = Hello::default().take(bytes).map(|end| end.map(|(name, rest)| (name, rest.to_vec())));
    let cut = usize::from(cut).min(bytes.len());
    let mut hello = Hello::default();
    let parts = match hello.take(&bytes[..cut]) {
        Ok(None) => hello.take(&bytes[cut..]).map(|end| end.map(|(name, rest)| (name, rest.to_vec()))),
        Ok(Some((name, rest))) => Ok(Some((name, [rest, &bytes[cut..]].concat()))),
        Err(error) => Err(error),
    };
    assert_eq!(whole, parts);
    let mut hello = Hello::default();
    let mut single = Ok(None);
    for (at, byte) in bytes.iter().enumerate() {
        single = hello.take(std::slice::from_ref(byte)).map(|end| {
            end.map(|(name, rest)| {
                assert!(rest.is_empty());
                (name, bytes[at + 1..].to_vec())
            })
        });
        if !matches!(single, Ok(None)) {
            break;
        }
    }
    assert_eq!(whole, single);
});
