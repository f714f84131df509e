//! A sink that is told by a request over HTTP: JSON, one connection for each alert, no redirects.

use super::super::alert::Alert;
use super::{Failure, json};
use crate::config::{Auth, Url};
use crate::egress::proxy::Proxy;
use crate::egress::rules::Peer;
use crate::gate::protocol::Key;
use crate::gate::{Resolver, dial, secured};
use crate::policy::network::{Check, Pattern, Rule, Target};
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// The field with the signature: `t=SECONDS,v1=HEX`, an HMAC (SHA-256) of the seconds, a dot and the body.
const SIGNATURE: &str = "cellblock-signature";

/// How names are found, and the proxy of the host: what all webhooks share.
#[derive(Default)]
pub(super) struct World {
    pub(super) resolver: Resolver,
    pub(super) proxy: Option<Proxy>,
}

/// A receiver.
pub(super) struct Webhook {
    world: Rc<World>,
    url: Url,
    auth: Option<(Auth, Key)>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    peer: Peer,
    rule: Rule,
}

impl Webhook {
    pub(super) fn new(
        world: Rc<World>,
        url: Url,
        auth: Option<(Auth, Key)>,
        roots: &[String],
    ) -> Result<Self, String> {
        let tls = url.tls.then(|| secured(roots, url.host.clone())).transpose()?;
        let peer = match url.host.as_str() {
            "localhost" => Peer::Host,
            host => Peer::try_from(host.to_owned())?,
        };
        let everywhere = ["0.0.0.0/0", "::/0"].map(str::parse);
        let addresses = everywhere.into_iter().collect::<Result<_, _>>();
        let rule = Rule {
            target: match &peer {
                Peer::Name(_) => Target::Name(Pattern::parse(&url.host)?),
                Peer::Address(address) => Target::Address(*address),
                Peer::Host => Target::Host,
            },
            port: url.port,
            check: Check::None,
            // Whom root names may be anywhere, on this machine and beside it, too.
            addresses: addresses.map_err(|error: ipnet::AddrParseError| error.to_string())?,
            reason: String::new(),
            origin: String::new(),
        };
        Ok(Self { world, url, auth, tls, peer, rule })
    }

    /// Sends `alert`; whoever is silent for too long is given up by who calls.
    pub(super) async fn tell(&self, alert: &Alert) -> Result<(), Failure> {
        let body = json(alert)?;
        let request = self.request(alert, body)?;
        let (resolver, proxy) = (&self.world.resolver, self.world.proxy.as_ref());
        let dialled = dial(resolver, proxy, &self.peer, self.url.port, &self.rule).await;
        let (stream, said) = dialled.map_err(|why| Failure::for_now(why.to_string()))?;
        if !said.is_empty() {
            return Err(Failure::for_now("it speaks before it is asked"));
        }
        match &self.tls {
            None => ask(stream, request).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                let failed = |error| Failure::for_now(format!("by TLS: {error}"));
                ask(stream.map_err(failed)?, request).await
            }
        }
    }

    fn request(&self, alert: &Alert, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Failure> {
        let wrong = |error: http::Error| Failure::for_good(format!("cannot be asked: {error}"));
        let agent = concat!("cellblock/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::post(&self.url.path)
            .header(header::HOST, self.url.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, agent)
            .header(header::CONNECTION, "close")
            // One that comes twice has the same.
            .header("idempotency-key", &alert.id);
        if let Some((auth, Key(key))) = &self.auth {
            let (name, value) = match auth {
                Auth::Bearer => ("authorization", format!("Bearer {key}")),
                Auth::Hmac => {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH);
                    let now = now.map_or(0, |now| now.as_secs());
                    (SIGNATURE, signature(key, now, &body))
                }
            };
            // It is not shown, as it may be part of what is wrong.
            let mut value = http::HeaderValue::try_from(value)
                .map_err(|_| Failure::for_good("its secret cannot stand in a request"))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        request.body(Full::new(Bytes::from(body))).map_err(wrong)
    }
}

/// What shows a receiver who knows the secret that this is from somebody who does, and when it was sent.
fn signature(key: &str, now: u64, body: &[u8]) -> String {
    use ring::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{now}.").as_bytes());
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now},v1={hex}")
}

/// Asks on a connection of its own, which ends with the head of the answer: nothing else of it is of interest.
async fn ask<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let broken = |error: hyper::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Failure::for_now(format!("{error}{}", cause.unwrap_or_default()))
    };
    let shaken = Builder::new().max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, carrying) = shaken.map_err(broken)?;
    let mut carrying = std::pin::pin!(carrying);
    let mut asking = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut asking => answer,
        ended = &mut carrying => {
            ended.map_err(broken)?;
            asking.await
        }
    };
    judge(answer.map_err(broken)?.status())
}

fn judge(status: StatusCode) -> Result<(), Failure> {
    let said = format!("it answers {status}");
    let passing =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if status.is_success() {
        Ok(())
    } else if status.is_redirection() {
        Err(Failure::for_good(format!("{said}, and redirects are not followed")))
    } else if status.is_client_error() && !passing.contains(&status) {
        Err(Failure::for_good(said))
    } else {
        Err(Failure::for_now(said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_the_secret_can_check_the_signature() {
        // As `printf '5.{}' | openssl dgst -sha256 -hmac key` says.
        let expected = "t=5,v1=9be615aec64f0d044b5ad6854ab1d893ec88617fb728d2149dcd3a3428e8c45d";
        assert_eq!(signature("key", 5, b"{}"), expected);
        assert_ne!(signature("other", 5, b"{}"), expected);
        assert_ne!(signature("key", 6, b"{}"), expected);
    }

    #[test]
    fn an_answer_says_whether_to_ask_again() {
        let again =
            |status: u16| judge(StatusCode::from_u16(status).unwrap()).map_err(|it| it.again);
        assert_eq!([200, 204].map(again), [Ok(()), Ok(())]);
        assert_eq!([301, 302, 307, 400, 401, 404, 413].map(again), [Err(false); 7]);
        assert_eq!([408, 429, 500, 502, 503, 101].map(again), [Err(true); 6]);
    }
}
