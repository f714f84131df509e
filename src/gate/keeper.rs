//! Who keeps the gate: where orders come from, and whom it tells.
//!
//! Decides: that only root gives orders and hears reports after the first. Must never: take an order from the process that
//! holds the gate of a session, which has no rights (`Orders::ByListener`); wait for a keeper that is not there.

use super::listen::PAUSE;
use super::protocol::{self, Order, Refused, Report};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::{UnixDatagram, UnixListener};

/// Refusals that are kept for the next keeper while there is none; more are counted alone.
const MOST_UNHEARD: usize = 1000;

/// A socket that leads to a keeper, and what waits for it.
pub(super) struct Line {
    socket: Rc<OwnedFd>,
    // Its messages are datagrams that come in order, whatever the type of the socket is called.
    events: UnixDatagram,
}

impl Line {
    pub(super) fn new(socket: Rc<OwnedFd>) -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("cannot wait for the keeper: {error}");
        let events = socket.try_clone().map_err(wrong)?;
        rustix::io::ioctl_fionbio(&events, true).map_err(|errno| wrong(errno.into()))?;
        let events = UnixDatagram::from_std(events.into()).map_err(wrong)?;
        Ok(Self { socket, events })
    }

    /// The next order and the sockets that come with it; nothing where the keeper is gone.
    pub(super) async fn hear(&self) -> Result<Option<(Order, Vec<OwnedFd>)>, String> {
        let heard = self.events.async_io(Interest::READABLE, || Ok(protocol::obey(&self.events)?));
        match heard.await {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::CONNRESET) => Ok(None),
            heard => heard.map_err(|error| format!("the keeper is not understood: {error}")),
        }
    }

    /// Tells the keeper what it has asked for and waits for: it is reading what was said before, so that there will be
    /// room. Gives whether it is still there.
    pub(super) async fn answer(&self, report: &Report) -> Result<bool, String> {
        let told = || Ok(protocol::report(&*self.socket, report)?);
        match self.events.async_io(Interest::WRITABLE, told).await {
            Ok(()) => Ok(true),
            Err(error) if is_gone(Errno::from_io_error(&error)) => Ok(false),
            Err(error) => Err(format!("cannot tell the keeper: {error}")),
        }
    }
}

fn is_gone(errno: Option<Errno>) -> bool {
    matches!(errno, Some(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN))
}

/// The next keeper that comes, by the kernel's word on who it is (unix(7), `SO_PEERCRED`): root, and nobody else.
pub(super) async fn next(listener: &UnixListener) -> Result<Line, String> {
    loop {
        let socket = match listener.accept().await.and_then(|(socket, _)| socket.into_std()) {
            Ok(socket) => OwnedFd::from(socket),
            // No descriptor or no memory is left: a keeper that waits goes on waiting.
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if sockopt::socket_peercred(&socket).is_ok_and(|peer| peer.uid.is_root()) {
            return Line::new(Rc::new(socket));
        }
    }
}

/// Whom refusals are told.
#[derive(Default)]
pub(super) struct Keeper {
    /// None while there is no keeper.
    socket: RefCell<Option<Rc<OwnedFd>>>,
    unheard: RefCell<VecDeque<Refused>>,
}

impl Keeper {
    /// From now on this one.
    pub(super) fn come(&self, line: &Line) {
        self.socket.replace(Some(Rc::clone(&line.socket)));
    }

    /// Nobody, until another one comes.
    pub(super) fn leave(&self) {
        self.socket.replace(None);
    }

    /// Tells of a refusal, or keeps it for the next keeper where there is none; gives how many refusals nobody will hear of.
    pub(super) fn tell(&self, refused: Refused) -> u64 {
        let times = u64::from(refused.times);
        let report = Report::Refused(Box::new(refused));
        let told = self.socket.borrow().as_deref().map(|socket| protocol::report(socket, &report));
        let Report::Refused(refused) = report else { return 0 };
        match told {
            Some(Ok(())) => return 0,
            // One that does not read finds the number that it missed.
            Some(Err(errno)) if !is_gone(Some(errno)) => return times,
            Some(Err(_)) | None => {}
        }
        let mut unheard = self.unheard.borrow_mut();
        if unheard.len() >= MOST_UNHEARD {
            return times;
        }
        unheard.push_back(*refused);
        0
    }

    /// Tells a new keeper what was kept for it.
    pub(super) async fn catch_up(&self, line: &Line) -> Result<(), String> {
        // One at a time: what a keeper that goes away meanwhile was not told is for the next one.
        while let Some(refused) = self.first_unheard() {
            if !line.answer(&Report::Refused(Box::new(refused))).await? {
                break;
            }
            self.unheard.borrow_mut().pop_front();
        }
        Ok(())
    }

    fn first_unheard(&self) -> Option<Refused> {
        self.unheard.borrow().front().cloned()
    }
}
