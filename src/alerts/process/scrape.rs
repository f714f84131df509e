//! Shows figures to who collects them, by HTTP. They are asked for when somebody wants them: at rest nothing is counted up.
//!
//! Who collects is not trusted: what they send is bounded, they have a few seconds for each half, and where there are too many,
//! the oldest connection makes room.

use super::super::metrics::Figures;
use super::super::protocol::{Collecting, Report};
use super::line::Line;
use rustix::fd::OwnedFd;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;

/// The most connections at a time.
const MOST: usize = 16;
/// The longest request, in bytes.
const LONGEST: usize = 8 << 10;
/// How long somebody may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For so long figures are shown again: however many collect them, the supervisor is asked no more.
const FRESH: Duration = Duration::from_secs(1);
/// How long the supervisor may take.
const LATE: Duration = Duration::from_secs(5);
/// The pause where no connection can be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// The figures, and who waits for them.
pub(super) struct Collector {
    supervisor: Rc<Line>,
    known: RefCell<Option<(Instant, Rc<str>)>>,
    asked: Cell<Option<Instant>>,
    came: Notify,
}

impl Collector {
    pub(super) fn new(supervisor: Rc<Line>) -> Self {
        let (known, asked, came) = (RefCell::default(), Cell::default(), Notify::new());
        Self { supervisor, known, asked, came }
    }

    /// The supervisor has sent them.
    pub(super) fn come(&self, figures: &Figures) {
        self.known.replace(Some((Instant::now(), figures.text().into())));
        self.asked.set(None);
        self.came.notify_waiters();
    }

    fn fresh(&self) -> Option<Rc<str>> {
        let known = self.known.borrow();
        let fresh = known.as_ref().filter(|(since, _)| since.elapsed() < FRESH);
        fresh.map(|(_, text)| Rc::clone(text))
    }

    /// The text, or why there is none.
    async fn text(&self) -> Result<Rc<str>, String> {
        if let Some(text) = self.fresh() {
            return Ok(text);
        }
        let came = self.came.notified();
        if self.asked.get().is_none_or(|since| since.elapsed() >= LATE) {
            self.asked.set(Some(Instant::now()));
            if !self.supervisor.say(&Report::Wanted).await? {
                return Err("the supervisor has ended".to_owned());
            }
        }
        let silent = "the supervisor does not answer";
        timeout(LATE, came).await.map_err(|_| silent.to_owned())?;
        self.fresh().ok_or_else(|| silent.to_owned())
    }
}

/// Takes connections for ever.
pub(super) fn listen(
    how: Collecting,
    listener: OwnedFd,
    collector: Rc<Collector>,
) -> Result<AbortHandle, String> {
    let wrong = |error: std::io::Error| format!("cannot wait for who collects figures: {error}");
    rustix::io::ioctl_fionbio(&listener, true).map_err(|errno| wrong(errno.into()))?;
    let task = match how {
        Collecting::Unix => {
            let listener = UnixListener::from_std(listener.into()).map_err(wrong)?;
            spawn_local(async move {
                let mut all = Connections::default();
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => all.serve(stream, &collector),
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
            })
        }
        Collecting::Tcp => {
            let listener = TcpListener::from_std(listener.into()).map_err(wrong)?;
            spawn_local(async move {
                let mut all = Connections::default();
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => all.serve(stream, &collector),
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
            })
        }
    };
    Ok(task.abort_handle())
}

/// Those that are open, the oldest first. They end with who takes them.
#[derive(Default)]
struct Connections(VecDeque<AbortHandle>);

impl Connections {
    fn serve<S>(&mut self, stream: S, collector: &Rc<Collector>)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        self.0.retain(|open| !open.is_finished());
        if self.0.len() >= MOST
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        let collector = Rc::clone(collector);
        self.0.push_back(spawn_local(answer(stream, collector)).abort_handle());
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Answers one request.
async fn answer<S>(mut stream: S, collector: Rc<Collector>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asked = timeout(PATIENCE, head(&mut stream)).await;
    let Ok(Ok(head)) = asked else { return };
    let text = respond(&head, &collector).await;
    let told = timeout(PATIENCE, async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    });
    if let Ok(Err(error)) = told.await {
        tracing::debug!(%error, "who collects figures is gone");
    }
}

/// The head of a request; empty where it is too long.
async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut block = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut block).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&block[..count]);
        if head.len() > LONGEST {
            return Ok(Vec::new());
        }
    }
    Ok(head)
}

async fn respond(head: &[u8], collector: &Collector) -> String {
    let plain = |status: &str, text: &str| whole(status, "text/plain; charset=utf-8", text, true);
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let whole_head = request.parse(head).is_ok_and(|parsed| parsed.is_complete());
    let (Some(method), Some(path), true) = (request.method, request.path, whole_head) else {
        return plain("400 Bad Request", "the request is not understood\n");
    };
    let path = path.split('?').next().unwrap_or_default();
    match (method, path) {
        ("GET" | "HEAD", "/metrics") => match collector.text().await {
            Ok(text) => {
                let format = "text/plain; version=0.0.4; charset=utf-8";
                whole("200 OK", format, &text, method == "GET")
            }
            Err(cause) => plain("503 Service Unavailable", &format!("{cause}\n")),
        },
        ("GET" | "HEAD", _) => plain("404 Not Found", "figures are at /metrics\n"),
        (_, _) => plain("405 Method Not Allowed", "figures are only shown\n"),
    }
}

fn whole(status: &str, format: &str, text: &str, with_text: bool) -> String {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {format}\r\nContent-Length: {length}\r\n\
         Connection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    );
    if with_text { head + text } else { head }
}
