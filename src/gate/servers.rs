//! Asks the host's name servers: one after the other, as resolv.conf(5) says, until one has an answer.

use crate::policy::network::Name;
use domain::base::Rtype;
use domain::base::iana::Rcode;
use domain::base::name::Name as DnsName;
use domain::rdata::{A, Aaaa};
use domain::resolv::StubResolver;
use domain::resolv::stub::Answer;
use domain::resolv::stub::conf::{ResolvConf, ServerConf, Transport};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long one server is asked at the most, whatever `options timeout` says.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long the other kind of addresses is waited for where one is there (RFC 8305, section 3, has less: an answer is kept, and
/// one without the preferred kind with it).
const GRACE: Duration = Duration::from_secs(1);

/// The most rounds of all servers.
const MOST_ROUNDS: usize = 5;

/// A name's addresses, and how long they may be kept.
type Found = (Vec<IpAddr>, Duration);

/// The name servers of the host, the first one first.
pub(super) struct Servers {
    /// One for each: of several together, the library asks any, and takes what it says first.
    each: Vec<StubResolver>,
    rounds: usize,
}

impl Servers {
    /// Those that resolv.conf(5) with this `text` names, this machine's own where it names none.
    pub(super) fn new(text: &str) -> Self {
        let mut conf = ResolvConf::new();
        for setting in text.lines().flat_map(settings) {
            // What is not understood is passed over, as the host's own resolver does.
            let mut with = conf.clone();
            match with.parse(&mut setting.as_bytes()) {
                Ok(()) => conf = with,
                Err(error) => tracing::debug!(%error, setting, "in resolv.conf"),
            }
        }
        conf.finalize();
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for server in &conf.servers {
            if !addresses.contains(&server.addr) {
                addresses.push(server.addr);
            }
        }
        Self::at(&addresses, &conf)
    }

    fn at(addresses: &[SocketAddr], conf: &ResolvConf) -> Self {
        let alone = |address: &SocketAddr| {
            let mut conf = conf.clone();
            conf.servers = vec![ServerConf::new(*address, Transport::UdpTcp)];
            conf.options.timeout = conf.options.timeout.min(PATIENCE);
            StubResolver::from_conf(conf)
        };
        Self {
            each: addresses.iter().map(alone).collect(),
            rounds: conf.options.attempts.clamp(1, MOST_ROUNDS),
        }
    }

    /// The addresses of `name`, those of IPv6 first.
    ///
    /// # Errors
    /// A clause that says why it has none.
    pub(super) async fn addresses(&self, name: &Name) -> Result<Found, String> {
        let question = DnsName::<Vec<u8>>::from_chars(name.as_str().chars());
        let question = question.map_err(|error| error.to_string())?;
        let six = self.of_kind(&question, Rtype::AAAA);
        let four = self.of_kind(&question, Rtype::A);
        let (mut six, mut four) = (std::pin::pin!(six), std::pin::pin!(four));
        let (six, four) = tokio::select! {
            six = &mut six => {
                let four = other(&six, four).await;
                (Some(six), four)
            }
            four = &mut four => (other(&four, six).await, Some(four)),
        };
        let mut found = Vec::new();
        let mut kept = Duration::MAX;
        let mut why = None;
        for kind in [four, six].into_iter().flatten() {
            match kind {
                Ok((addresses, for_time)) => {
                    found.splice(0..0, addresses);
                    kept = kept.min(for_time);
                }
                Err(cause) => why = why.or(Some(cause)),
            }
        }
        if found.is_empty() { Err(why.unwrap_or_default()) } else { Ok((found, kept)) }
    }

    /// The addresses of one kind.
    async fn of_kind(&self, question: &DnsName<Vec<u8>>, kind: Rtype) -> Result<Found, String> {
        let answer = self.answer(question, kind).await?;
        let records = answer.answer().map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        let mut kept = Duration::MAX;
        for record in records.limit_to::<Aaaa>().flatten() {
            kept = kept.min(record.ttl().into_duration());
            found.push(IpAddr::V6(record.data().addr()));
        }
        for record in records.limit_to::<A>().flatten() {
            kept = kept.min(record.ttl().into_duration());
            found.push(IpAddr::V4(record.data().addr()));
        }
        if found.is_empty() { Err(said(answer.header().rcode())) } else { Ok((found, kept)) }
    }

    /// What the first server says that says something. One that says that it cannot tell is passed over; who says nothing is
    /// asked again, for a datagram may be lost.
    async fn answer(&self, question: &DnsName<Vec<u8>>, kind: Rtype) -> Result<Answer, String> {
        let mut why = "no name server is there".to_owned();
        for _ in 0..self.rounds {
            let mut silent = false;
            for server in &self.each {
                match server.query((question, kind)).await {
                    Ok(answer) if !cannot_tell(answer.header().rcode()) => return Ok(answer),
                    Ok(answer) => why = said(answer.header().rcode()),
                    Err(error) => {
                        silent = true;
                        why = error.to_string();
                    }
                }
            }
            if !silent {
                break;
            }
        }
        Err(why)
    }
}

/// What `line` says of servers, one thing each: of other words, and of comments behind, the host's own resolver takes no notice.
/// Names are asked for as they are, so that nothing is searched.
fn settings(line: &str) -> Vec<String> {
    let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
    match words.next() {
        Some("nameserver") => words.take(1).map(|word| format!("nameserver {word}")).collect(),
        Some("options") => words.map(|word| format!("options {word}")).collect(),
        Some(_) | None => Vec::new(),
    }
}

/// What becomes of the other kind, where `one` has been told.
async fn other(
    one: &Result<Found, String>,
    other: impl Future<Output = Result<Found, String>>,
) -> Option<Result<Found, String>> {
    if one.is_ok() { tokio::time::timeout(GRACE, other).await.ok() } else { Some(other.await) }
}

fn cannot_tell(code: Rcode) -> bool {
    [Rcode::SERVFAIL, Rcode::NOTIMP, Rcode::REFUSED].contains(&code)
}

/// What a name server says of a name without an address.
fn said(code: Rcode) -> String {
    match code {
        Rcode::NOERROR => "it has no address".to_owned(),
        Rcode::NXDOMAIN => "it does not exist".to_owned(),
        other => format!("the name server says {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::iana::Class;
    use domain::base::{Message, MessageBuilder, Ttl};
    use std::net::UdpSocket;
    use std::time::Instant;

    /// A name server: what it says to the question with this number, counted by kind.
    fn server(says: impl Fn(Rtype, usize) -> Option<Rcode> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            let mut asked = [0, 0];
            loop {
                let (length, from) = socket.recv_from(&mut bytes).unwrap();
                let question = Message::from_octets(bytes[..length].to_vec()).unwrap();
                let one = question.sole_question().unwrap();
                let count = &mut asked[usize::from(one.qtype() == Rtype::AAAA)];
                *count += 1;
                let Some(code) = says(one.qtype(), *count) else { continue };
                let mut answer = MessageBuilder::new_vec().start_answer(&question, code).unwrap();
                if code == Rcode::NOERROR && one.qtype() == Rtype::A {
                    let address = A::new([127, 0, 0, 7].into());
                    answer.push((one.qname(), Class::IN, Ttl::from_secs(9), address)).unwrap();
                }
                socket.send_to(&answer.finish(), from).unwrap();
            }
        });
        address
    }

    /// What is found by these servers, of which some are silent, and how long that took.
    fn found(servers: &[SocketAddr]) -> (Result<Found, String>, Duration) {
        found_within(servers, Duration::from_millis(500))
    }

    /// The same where a server may take `timeout` to answer, as one on a slow machine does.
    fn found_within(
        servers: &[SocketAddr],
        timeout: Duration,
    ) -> (Result<Found, String>, Duration) {
        let mut conf = ResolvConf::new();
        conf.options.timeout = timeout;
        conf.options.attempts = 5;
        let servers = Servers::at(servers, &conf);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let begun = Instant::now();
        let asking = async { servers.addresses(&Name::parse("a.test").unwrap()).await };
        (runtime.enable_all().build().unwrap().block_on(asking), begun.elapsed())
    }

    fn seven() -> Result<Found, String> {
        Ok((vec![IpAddr::from([127, 0, 0, 7])], Duration::from_secs(9)))
    }

    #[test]
    fn a_server_that_cannot_tell_is_passed_over() {
        for code in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTIMP] {
            let broken = server(move |_, _| Some(code));
            let fine = server(|_, _| Some(Rcode::NOERROR));
            assert_eq!(found_within(&[broken, fine], PATIENCE).0, seven());
            assert_eq!(found_within(&[broken], PATIENCE).0, Err(said(code)));
        }
    }

    #[test]
    fn what_the_first_one_says_is_not_asked_of_the_next() {
        let first = server(|_, _| Some(Rcode::NXDOMAIN));
        let next = server(|_, _| Some(Rcode::NOERROR));
        for _ in 0..40 {
            let found = found_within(&[first, next], PATIENCE).0;
            assert_eq!(found, Err("it does not exist".to_owned()));
        }
    }

    #[test]
    fn one_that_is_silent_or_away_is_passed_over_and_a_lost_question_asked_again() {
        let silent = server(|_, _| None);
        let fine = server(|_, _| Some(Rcode::NOERROR));
        let forgetful = server(|_, asked| (asked > 1).then_some(Rcode::NOERROR));
        let away: SocketAddr = "[2001:db8::1]:53".parse().unwrap();
        for servers in [&[silent, fine][..], &[forgetful], &[away, fine]] {
            assert_eq!(found(servers).0, seven(), "{servers:?}");
        }
        assert!(found(&[silent]).0.is_err());
    }

    #[test]
    fn addresses_of_one_kind_do_not_wait_long_for_the_other() {
        let half = server(|kind, _| (kind == Rtype::A).then_some(Rcode::NOERROR));
        let (found, took) = found_within(&[half], PATIENCE);
        assert_eq!(found, seven());
        // The other kind would be waited for longer than that at its first question alone.
        assert!(took < GRACE + Duration::from_secs(1), "{took:?}");
    }

    #[test]
    fn a_line_that_is_not_understood_is_passed_over() {
        let text = "  # a comment\nstrange words\nsearch ..\nnameserver 127.0.0.9\n nameserver ::1 # x\n\
                    options timeout:1 attempts:4 strange:\n";
        let servers = Servers::new(text);
        let addresses = |servers: &Servers| servers.each.len();
        assert_eq!((addresses(&servers), servers.rounds), (2, 4));
        assert_eq!(addresses(&Servers::new("")), 1);
    }
}
