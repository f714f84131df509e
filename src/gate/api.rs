//! The service by a socket: requests of the jail, passed on with a credential that only this process has.
//!
//! ```text
//!  jail │ /run/api.sock ─ hyper ─ Service::outward ─ dial ─ TLS ─ the service
//! ```
//!
//! Each connection of the jail has one of its own to the service, so that what one of them says can never become part of
//! what another one hears.

use super::connection::prepare;
use super::dial;
use super::listen::PAUSE;
use super::metered::Metered;
use super::protocol::{self, Refused};
use super::state::{End, Gate};
use crate::egress::api::{Service, inward};
use crate::egress::refusal::Refusal;
use crate::egress::rules::Peer;
use crate::policy::network::{Check, Rule, Target, Upstream};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::cell::RefCell;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, spawn_local};
use tokio_rustls::TlsConnector;

/// How long the service may take to agree on keys.
const TLS_PATIENCE: Duration = Duration::from_secs(30);

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// What is answered to the jail: what the service says, or why it was not asked.
type Answer = Response<Either<Incoming, Full<Bytes>>>;

/// A service, ready to be asked.
pub(super) struct Api {
    service: Service,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    peer: Peer,
    port: u16,
    rule: Rule,
}

impl Api {
    pub(super) fn new(api: protocol::Api) -> Result<Self, String> {
        let wrong =
            |cause: String| format!("the service {} cannot be asked: {cause}", api.upstream);
        let Upstream { tls, target, port } = &api.upstream;
        let service = Service::new(&api.upstream, &api.header, &api.key.0);
        let service = service.map_err(|cause| wrong(format!("of its key, {cause}")))?;
        let server = api.upstream.server();
        let tls = tls.then(|| secured(&api.roots, server)).transpose().map_err(wrong)?;
        let peer = Peer::try_from(target.to_string()).map_err(wrong)?;
        let rule = Rule {
            target: target.clone(),
            port: *port,
            check: Check::None,
            addresses: api.addresses.clone(),
            reason: String::new(),
            origin: String::new(),
        };
        Ok(Self { service, tls, peer, port: *port, rule })
    }

    fn refused(&self, refusal: &Refusal) -> Refused {
        let cure = match (refusal, &self.rule.target) {
            (Refusal::Special { address, .. }, Target::Name(_)) => {
                format!("addresses = [\"{address}\"] in [network.api]")
            }
            (_, _) => refusal.cure(&self.peer, self.port),
        };
        Refused {
            to: self.peer.to_string(),
            port: Some(self.port),
            word: refusal.word().to_owned(),
            why: refusal.to_string(),
            cure,
            from: None,
            times: 1,
        }
    }
}

/// TLS to `server`, whose certificate is checked by the authorities of `known`: DER in base64.
pub(crate) fn secured(
    known: &[String],
    server: String,
) -> Result<(TlsConnector, ServerName<'static>), String> {
    let mut roots = RootCertStore::empty();
    let decoded: Result<Vec<_>, _> = known.iter().map(|root| STANDARD.decode(root)).collect();
    let decoded = decoded.map_err(|error| error.to_string())?;
    // A host may have old certificates that no rule fits any more: the others count.
    let (known, _) = roots.add_parsable_certificates(decoded.into_iter().map(CertificateDer::from));
    if known == 0 {
        return Err("there is no authority to check its certificate by".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(server).map_err(|error| error.to_string())?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Accepts connections for ever.
pub(super) async fn accept(gate: Rc<Gate>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => take(&gate, stream),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // No descriptor or no memory is left: those that wait go on waiting.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn take(gate: &Rc<Gate>, stream: UnixStream) {
    let Some(api) = &gate.api else { return };
    match gate.place() {
        Ok(place) => {
            let gate = Rc::clone(gate);
            spawn_local(async move {
                let end = Rc::clone(&place.end);
                let Ok(gone) = gone(&stream) else { return };
                let refusal = tokio::select! {
                    () = serve(&gate, stream, &end) => return,
                    () = gone => return,
                    why = end.told() => why,
                };
                if let Some(api) = &gate.api {
                    gate.refuse(api.refused(&refusal));
                }
                drop(place);
            });
        }
        // The end of the connection is all that there is to say to a program that has not asked yet.
        Err(refusal) => gate.refuse(api.refused(&refusal)),
    }
}

/// Waits until nobody is left who could hear an answer. Whoever reads the requests does not see that while bytes wait to be
/// read, or to be written to the service.
fn gone(stream: &UnixStream) -> Result<impl Future<Output = ()> + use<>, std::io::Error> {
    // Registered by itself: what is cleared here, `stream` still sees.
    let end = UnixStream::from_std(stream.as_fd().try_clone_to_owned()?.into())?;
    Ok(async move {
        // Who has said all and still listens has closed one way only.
        while let Ok(ready) = end.ready(Interest::WRITABLE).await
            && !ready.is_write_closed()
        {
            let again = || Err::<(), _>(ErrorKind::WouldBlock.into());
            if end.try_io(Interest::WRITABLE, again).is_ok() {
                return;
            }
        }
    })
}

/// Answers the requests of one connection.
async fn serve(gate: &Rc<Gate>, stream: UnixStream, end: &Rc<End>) {
    let carrier = Carrier { gate, end, line: RefCell::default() };
    let answering =
        service_fn(|request| async { Ok::<_, Infallible>(carrier.answer(request).await) });
    // Nothing is given up for being idle: what it holds is one of the agent's own connections.
    let serving = Builder::new()
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), answering);
    if let Err(error) = serving.await {
        // What a program of the jail says wrong, it is told by hyper.
        tracing::debug!(%error, "a connection to the service by a socket");
    }
}

/// A connection to the service.
struct Line {
    sender: SendRequest<Incoming>,
    carries: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.carries.abort();
    }
}

/// What carries the requests of one connection.
struct Carrier<'g> {
    gate: &'g Rc<Gate>,
    end: &'g Rc<End>,
    line: RefCell<Option<Line>>,
}

impl Carrier<'_> {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let Some(api) = &self.gate.api else {
            return told(StatusCode::BAD_GATEWAY, "there is no service");
        };
        let (head, body) = request.into_parts();
        let length = body.size_hint().exact();
        let head = match api.service.outward(head, length) {
            Ok(head) => head,
            Err(error) => return told(error.status(), &error.to_string()),
        };
        match self.ask(api, Request::from_parts(head, body)).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                told(StatusCode::BAD_GATEWAY, "the service wants to speak another protocol")
            }
            Ok(response) => {
                let (head, body) = response.into_parts();
                Response::from_parts(inward(head), Either::Left(body))
            }
            Err(refusal) => {
                if let Err(spent) = self.gate.spend(0, 0) {
                    // The connection ends for that, and the reason is told there.
                    self.end.now(spent);
                    return std::future::pending().await;
                }
                self.gate.refuse(api.refused(&refusal));
                let why = format!("{}:{}: {refusal}", api.peer, api.port);
                told(StatusCode::BAD_GATEWAY, &why)
            }
        }
    }

    /// Asks on the line of before, or on a new one.
    async fn ask(
        &self,
        api: &Api,
        request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut request = request;
        let known = self.line.take();
        if let Some(mut line) = known
            && line.sender.ready().await.is_ok()
        {
            match line.sender.try_send_request(request).await {
                Ok(response) => {
                    self.line.replace(Some(line));
                    return Ok(response);
                }
                // The service has hung up meanwhile: what it has not heard is said again.
                Err(mut error) => match error.take_message() {
                    Some(unheard) => request = unheard,
                    None => return Err(broken(error.error())),
                },
            }
        }
        let mut line = self.connect(api).await?;
        let response = line.sender.send_request(request).await.map_err(|error| broken(&error))?;
        self.line.replace(Some(line));
        Ok(response)
    }

    async fn connect(&self, api: &Api) -> Result<Line, Refusal> {
        let (resolver, proxy) = (&self.gate.resolver, self.gate.proxy.as_ref());
        let (stream, said) = dial::dial(resolver, proxy, &api.peer, api.port, &api.rule).await?;
        if !said.is_empty() {
            return Err(Refusal::Unreachable("it speaks before it is asked".to_owned()));
        }
        prepare(&stream);
        let stream = Metered::new(stream, Rc::clone(self.gate), Rc::clone(self.end));
        let Some((connector, name)) = &api.tls else { return begin(stream).await };
        let agreed = connector.connect(name.clone(), stream);
        match tokio::time::timeout(TLS_PATIENCE, agreed).await {
            Ok(Ok(stream)) => begin(stream).await,
            Ok(Err(error)) => Err(Refusal::Unreachable(format!("by TLS: {error}"))),
            Err(_) => Err(Refusal::Unreachable("by TLS: it does not answer".to_owned())),
        }
    }
}

/// Begins to speak HTTP on `stream`.
async fn begin<S>(stream: S) -> Result<Line, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, carrying) =
        handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let carries = spawn_local(async {
        if let Err(error) = carrying.await {
            // Who waits for an answer is told of it there.
            tracing::debug!(%error, "a connection to the service");
        }
    });
    Ok(Line { sender, carries: carries.abort_handle() })
}

fn broken(error: &hyper::Error) -> Refusal {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    Refusal::Unreachable(format!("{error}{}", cause.unwrap_or_default()))
}

/// An answer of the gate's own.
fn told(status: StatusCode, why: &str) -> Answer {
    let mut answer =
        Response::new(Either::Right(Full::new(Bytes::from(format!("cellblock: {why}\n")))));
    *answer.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    answer
}
