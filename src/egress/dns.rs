//! Questions about names, and the answers to them.
//!
//! Decides: what is answered. A name that is allowed has an address of the jail's own; every other one does not exist, and is
//! never asked of anybody. Never does: look a name up.
//!
//! Sources: RFC 1035 (section 4), RFC 2308 (section 2.2: a name without records of a type), RFC 6891 (section 7), RFC 6761.

use core::net::Ipv4Addr;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, StaticCompressor};
use domain::base::{Message, MessageBuilder, ToName as _, Ttl};
use domain::rdata::A;

/// How long an answer may be kept. A name keeps its address as long as the jail lives; a change of the rules is to show soon.
const KEPT: Ttl = Ttl::from_secs(60);

/// The most bytes of an answer by UDP that are said to be taken (RFC 6891, section 6.2.3).
const MOST_UDP: u16 = 1232;

/// What there is at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// An address.
    Address(Ipv4Addr),
    /// Nothing: it does not exist.
    Nothing,
    /// An address for which there is no room.
    NoRoom,
}

/// Whether `query` is to be answered at all, and how; `look` is asked for the name, at most once.
pub fn reply(query: &[u8], look: impl FnOnce(&str) -> Found) -> Option<Vec<u8>> {
    let message = Message::from_octets(query).ok()?;
    if message.header().qr() {
        return None;
    }
    if message.header().opcode() != Opcode::QUERY {
        return header_only(&message, Rcode::NOTIMP);
    }
    let Ok(question) = message.sole_question() else {
        return header_only(&message, Rcode::FORMERR);
    };
    // Nothing stands before it that its name could point to but the header's own bytes.
    if question.qname().as_flat_slice().is_none() {
        return header_only(&message, Rcode::FORMERR);
    }
    if question.qclass() != Class::IN {
        return finish(&message, Rcode::REFUSED, None);
    }
    match look(&question.qname().to_string()) {
        Found::Address(address) => {
            let wanted = matches!(question.qtype(), Rtype::A | Rtype::ANY);
            finish(&message, Rcode::NOERROR, wanted.then_some(address))
        }
        Found::Nothing => finish(&message, Rcode::NXDOMAIN, None),
        Found::NoRoom => finish(&message, Rcode::SERVFAIL, None),
    }
}

/// The answer to `query`, with its question, and `address` for it.
fn finish(query: &Message<&[u8]>, code: Rcode, address: Option<Ipv4Addr>) -> Option<Vec<u8>> {
    let answer = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).ok()?;
    let mut answer = answer.start_answer(query, code).ok()?;
    answer.header_mut().set_ra(true);
    if let (Some(address), Ok(question)) = (address, query.sole_question()) {
        answer.push((question.qname(), Class::IN, KEPT, A::new(address))).ok()?;
    }
    let additional = answer.additional();
    Some(with_opt(query, code, additional)?.finish().into_target())
}

/// Who asks with EDNS is answered with it (RFC 6891, section 7).
fn with_opt(
    query: &Message<&[u8]>,
    code: Rcode,
    mut additional: AdditionalBuilder<StaticCompressor<Vec<u8>>>,
) -> Option<AdditionalBuilder<StaticCompressor<Vec<u8>>>> {
    if query.opt().is_some() {
        let opt = |opt: &mut domain::base::message_builder::OptBuilder<'_, _>| {
            opt.set_udp_payload_size(MOST_UDP);
            opt.set_rcode(OptRcode::from(code));
            Ok(())
        };
        additional.opt(opt).ok()?;
    }
    Some(additional)
}

/// An answer without the question: what cannot be read is not repeated, nor what may be many questions.
fn header_only(query: &Message<&[u8]>, code: Rcode) -> Option<Vec<u8>> {
    let mut answer = MessageBuilder::new_vec();
    let header = answer.header_mut();
    header.set_id(query.header().id());
    header.set_opcode(query.header().opcode());
    header.set_qr(true);
    header.set_rd(query.header().rd());
    header.set_rcode(code);
    Some(answer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::Name;
    use proptest::prelude::*;
    use std::str::FromStr as _;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 7);

    fn query(name: &str, kind: Rtype) -> Vec<u8> {
        let mut query = MessageBuilder::new_vec();
        query.header_mut().set_id(0x1234);
        query.header_mut().set_rd(true);
        let mut query = query.question();
        query.push((Name::<Vec<u8>>::from_str(name).unwrap(), kind)).unwrap();
        query.finish()
    }

    fn look(name: &str) -> Found {
        match name.to_ascii_lowercase().as_str() {
            "a.test" => Found::Address(ADDRESS),
            "full.test" => Found::NoRoom,
            _ => Found::Nothing,
        }
    }

    /// Code, addresses, and whether the question is there.
    fn read(answer: &[u8]) -> (Rcode, Vec<Ipv4Addr>, usize) {
        let message = Message::from_octets(answer).unwrap();
        assert!(message.header().qr());
        let records = message.answer().unwrap().limit_to::<A>();
        let addresses = records.map(|record| record.unwrap().data().addr());
        let all = usize::from(message.header_counts().ancount());
        assert_eq!(message.answer().unwrap().limit_to::<A>().count(), all);
        (message.header().rcode(), addresses.collect(), message.question().count())
    }

    #[test]
    fn names_that_are_allowed_have_an_address_and_nothing_else() {
        for (name, kind, wanted) in [
            ("a.test.", Rtype::A, (Rcode::NOERROR, vec![ADDRESS], 1)),
            ("A.Test.", Rtype::ANY, (Rcode::NOERROR, vec![ADDRESS], 1)),
            ("a.test.", Rtype::AAAA, (Rcode::NOERROR, vec![], 1)),
            ("a.test.", Rtype::HTTPS, (Rcode::NOERROR, vec![], 1)),
            ("a.test.", Rtype::TXT, (Rcode::NOERROR, vec![], 1)),
            ("b.test.", Rtype::A, (Rcode::NXDOMAIN, vec![], 1)),
            ("b.test.", Rtype::TXT, (Rcode::NXDOMAIN, vec![], 1)),
            ("full.test.", Rtype::A, (Rcode::SERVFAIL, vec![], 1)),
            (".", Rtype::NS, (Rcode::NXDOMAIN, vec![], 1)),
        ] {
            assert_eq!(read(&reply(&query(name, kind), look).unwrap()), wanted, "{name} {kind}");
        }
        let answer = reply(&query("a.test.", Rtype::A), look).unwrap();
        assert_eq!(&answer[..2], [0x12, 0x34]);
        assert!(answer.len() < 512);
    }

    #[test]
    fn the_name_is_given_as_it_was_asked_for_and_nothing_in_it_means_something_else() {
        let mut asked = String::new();
        let strange = [
            &[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
            b"\x05a\0b.c\x04test\0",
            &[0, 1, 0, 1],
        ]
        .concat();
        let keep = |name: &str| {
            asked = name.to_owned();
            Found::Nothing
        };
        assert_eq!(read(&reply(&strange, keep).unwrap()).0, Rcode::NXDOMAIN);
        assert_eq!(asked, "a\\000b\\.c.test");
    }

    #[test]
    fn who_asks_with_edns_is_answered_with_it() {
        let mut asked = MessageBuilder::new_vec().question();
        asked.push((Name::<Vec<u8>>::from_str("a.test.").unwrap(), Rtype::A)).unwrap();
        let mut asked = asked.additional();
        asked
            .opt(|opt| {
                opt.set_udp_payload_size(4096);
                Ok(())
            })
            .unwrap();
        let answer = reply(&asked.finish(), look).unwrap();
        let message = Message::from_octets(answer.as_slice()).unwrap();
        assert_eq!(message.opt().unwrap().udp_payload_size(), MOST_UDP);
        assert_eq!(read(&answer).1, [ADDRESS]);
    }

    #[test]
    fn what_is_no_question_gets_no_name_looked_up() {
        let never = |name: &str| -> Found { panic!("asked for {name}") };
        let whole = query("a.test.", Rtype::A);
        // Cut off in the middle.
        for end in 0..whole.len() {
            let answer = reply(&whole[..end], never);
            assert_eq!(answer.is_some(), end >= 12, "{end}");
            assert!(
                answer.is_none_or(|answer| read(&answer) == (Rcode::FORMERR, vec![], 0)),
                "{end}"
            );
        }
        // An answer; another operation; another class; no question; two of them.
        let changed = |at: usize, byte: u8| {
            let mut changed = whole.clone();
            changed[at] = byte;
            reply(&changed, never)
        };
        assert_eq!(changed(2, 0x81), None);
        assert_eq!(read(&changed(2, 0x28).unwrap()), (Rcode::NOTIMP, vec![], 0));
        // However many questions it says to hold: each would be longer in the answer.
        let pointers = [0xc0, 4, 0, 1, 0, 1].repeat(10_000);
        let many = [&whole[..2], &[0x28, 0, 0xff, 0xff], &whole[6..], &pointers].concat();
        assert_eq!(reply(&many, never).unwrap().len(), 12);
        assert_eq!(read(&changed(whole.len() - 1, 3).unwrap()).0, Rcode::REFUSED);
        assert_eq!(read(&changed(5, 0).unwrap()).0, Rcode::FORMERR);
        assert_eq!(read(&changed(5, 2).unwrap()).0, Rcode::FORMERR);
        // A name that leads to itself, one that leads ahead, and one that is too long.
        for name in [
            &[0xc0, 12][..],
            &[0xc0, 14, 0xc0, 12],
            &[1, b'a', 0xc0, 12],
            &[0xc0, 200],
            &[0x40, 0],
            // The upper half of the number of questions, which is the end of a name.
            &[1, b'a', 0xc0, 4],
            &[63; 300],
        ] {
            let looped = [&whole[..12], name, &[0, 1, 0, 1]].concat();
            assert_eq!(read(&reply(&looped, never).unwrap()).0, Rcode::FORMERR, "{name:?}");
        }
    }

    /// Who asks without EDNS takes 512 bytes (RFC 1035, section 4.2.1).
    #[test]
    fn the_longest_name_is_answered_shortly() {
        let label = |length: usize| "a".repeat(length);
        let longest = [label(63), label(63), label(63), label(61)].join(".");
        let answer = reply(&query(&longest, Rtype::A), |_| Found::Address(ADDRESS)).unwrap();
        assert_eq!(read(&answer).1, [ADDRESS]);
        assert_eq!(answer.len(), 12 + 255 + 4 + 16);
    }

    #[test]
    fn a_question_of_64_kilobytes_is_answered_like_another() {
        let mut long = query("a.test.", Rtype::A);
        long.resize(65_535, 0xff);
        assert_eq!(read(&reply(&long, look).unwrap()).1, [ADDRESS]);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..40) {
            let mut broken = query("a.test.", Rtype::A);
            let at = at.min(broken.len());
            broken.splice(at.., bytes);
            if let Some(answer) = reply(&broken, look) {
                prop_assert!(answer.len() < 512);
                prop_assert_eq!(&answer[..2], &broken[..2]);
            }
        }
    }
}
