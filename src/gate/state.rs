//! What the gate remembers.

use super::api::Api;
use super::keeper::Keeper;
use super::protocol::{Counts, Start};
use super::relay::Direction;
use super::resolver::Resolver;
use super::tell::Teller;
use crate::egress::pool::{MOST_NAMES, Pool};
use crate::egress::proxy::Proxy;
use crate::egress::rate::Bucket;
use crate::egress::refusal::Refusal;
use crate::egress::rules::{Peer, Rules, Verdict};
use crate::policy::network::{Name, Rule};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::Notify;

/// Characters that are told of what an agent said.
const MOST_TOLD: usize = 400;

/// One gate. Everything runs on one thread, so that nothing here is ever waited for.
pub(super) struct Gate {
    rules: RefCell<Rc<Rules>>,
    pool: RefCell<Pool>,
    most_connections: u32,
    rate: u32,
    new: RefCell<Bucket>,
    most_bytes: Option<u64>,
    counts: Cell<Counts>,
    open: RefCell<BTreeMap<u64, Open>>,
    pub(super) resolver: Resolver,
    /// The proxy of the host.
    pub(super) proxy: Option<Proxy>,
    /// The service by a socket.
    pub(super) api: Option<Api>,
    pub(super) teller: Teller,
    /// Held by each connection that asks for names.
    pub(super) asking: Rc<()>,
}

/// A connection that is open.
struct Open {
    /// Whom it is for, and on which port; none where that is no matter of rules.
    to: Option<(Peer, u16)>,
    /// Told to end, and why.
    end: Rc<End>,
}

/// How a connection is told to end.
#[derive(Default)]
pub(super) struct End {
    notify: Notify,
    why: RefCell<Option<Refusal>>,
}

impl End {
    pub(super) fn now(&self, why: Refusal) {
        *self.why.borrow_mut() = Some(why);
        self.notify.notify_one();
    }

    /// Waits until the connection is to end.
    pub(super) async fn told(&self) -> Refusal {
        loop {
            if let Some(why) = self.why.borrow_mut().take() {
                return why;
            }
            self.notify.notified().await;
        }
    }
}

/// A place among the connections of a gate; given back when it is dropped.
pub(super) struct Place {
    gate: Rc<Gate>,
    number: u64,
    pub(super) end: Rc<End>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.open.borrow_mut().remove(&self.number);
        self.gate.count(|counts| counts.open -= 1);
    }
}

impl Gate {
    pub(super) fn new(start: Start) -> Result<Rc<Self>, String> {
        let api = start.api.map(Api::new).transpose()?;
        Ok(Rc::new(Self {
            rules: RefCell::new(Rc::new(start.rules)),
            pool: RefCell::default(),
            most_connections: start.connections,
            rate: start.rate,
            new: RefCell::new(Bucket::new(start.rate, Instant::now())),
            most_bytes: start.bytes,
            counts: Cell::default(),
            open: RefCell::default(),
            resolver: Resolver::default(),
            proxy: start.proxy,
            api,
            teller: Teller::default(),
            asking: Rc::default(),
        }))
    }

    /// Whom it tells of refusals.
    pub(super) fn keeper(&self) -> &Keeper {
        self.teller.keeper()
    }

    /// What was counted so far.
    pub(super) fn counts(&self) -> Counts {
        let names = u32::try_from(self.pool.borrow().len()).unwrap_or(u32::MAX);
        Counts { names, lost: self.teller.lost(), ..self.counts.get() }
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// The rules that hold now.
    pub(super) fn rules(&self) -> Rc<Rules> {
        Rc::clone(&self.rules.borrow())
    }

    /// From now on `rules` hold; what is open and does not fit them any more is ended.
    pub(super) fn change(&self, rules: Rules) {
        for open in self.open.borrow().values() {
            let fits = |(peer, port): &(Peer, u16)| {
                matches!(rules.decide(peer, *port), Verdict::Allowed(_))
            };
            if !open.to.as_ref().is_none_or(fits) {
                open.end.now(Refusal::Changed);
            }
        }
        *self.rules.borrow_mut() = Rc::new(rules);
    }

    /// The address that `peer`, which some rule allows, has in the jail.
    pub(super) fn address_of(&self, peer: &Peer) -> Result<Ipv4Addr, Refusal> {
        let name = match peer {
            Peer::Address(address) => return Ok(*address),
            Peer::Host => Name::host(),
            Peer::Name(name) => name.clone(),
        };
        let address = self.pool.borrow_mut().address_of(&name);
        address.ok_or(Refusal::Names(MOST_NAMES))
    }

    /// Whom a connection to `address` is for.
    pub(super) fn peer_at(&self, address: Ipv4Addr) -> Peer {
        match self.pool.borrow().name_of(address) {
            Some(name) => Peer::named(name.clone()),
            None => Peer::Address(address),
        }
    }

    /// A place for a connection to `port` of `peer`, with the rule that allows it.
    pub(super) fn admit(self: &Rc<Self>, peer: &Peer, port: u16) -> Result<(Place, Rule), Refusal> {
        // What is refused costs the gate as much as what is not.
        self.take_turn()?;
        let rules = self.rules();
        let rule = match rules.decide(peer, port) {
            Verdict::Allowed(rule) => rule.clone(),
            verdict @ (Verdict::Denied(_) | Verdict::Unlisted(_)) => {
                return Err(Refusal::of(verdict).unwrap_or(Refusal::Changed));
            }
        };
        let place = self.seat(Some((peer.clone(), port)))?;
        Ok((place, rule))
    }

    /// A place for a connection that is no matter of rules.
    pub(super) fn place(self: &Rc<Self>) -> Result<Place, Refusal> {
        self.take_turn()?;
        self.seat(None)
    }

    fn take_turn(&self) -> Result<(), Refusal> {
        if self.new.borrow_mut().take(Instant::now()) {
            Ok(())
        } else {
            Err(Refusal::Rate(self.rate))
        }
    }

    /// A place within the bounds; `to` is looked at again where the rules change.
    fn seat(self: &Rc<Self>, to: Option<(Peer, u16)>) -> Result<Place, Refusal> {
        if self.counts.get().open >= self.most_connections {
            return Err(Refusal::Connections(self.most_connections));
        }
        self.spend(0, 0)?;
        self.count(|counts| {
            counts.open += 1;
            counts.opened += 1;
        });
        let number = self.counts.get().opened;
        let end = Rc::new(End::default());
        let open = Open { to, end: Rc::clone(&end) };
        self.open.borrow_mut().insert(number, open);
        Ok(Place { gate: Rc::clone(self), number, end })
    }

    /// Counts bytes that flowed.
    pub(super) fn spend(&self, sent: u64, received: u64) -> Result<(), Refusal> {
        self.count(|counts| {
            counts.sent += sent;
            counts.received += received;
        });
        let counts = self.counts.get();
        match self.most_bytes {
            Some(most) if counts.sent + counts.received >= most => Err(Refusal::Spent(most)),
            Some(_) | None => Ok(()),
        }
    }

    /// Counts bytes that flowed this way.
    pub(super) fn spend_one_way(&self, count: usize, direction: Direction) -> Result<(), Refusal> {
        match direction {
            Direction::Sent => self.spend(count as u64, 0),
            Direction::Received => self.spend(0, count as u64),
        }
    }

    /// Tells of a refusal, and counts it.
    pub(super) fn refuse(&self, refused: super::protocol::Refused) {
        self.count(|counts| counts.refused += 1);
        // What an agent says may be long, and a report is not.
        let short = |text: String| text.chars().take(MOST_TOLD).collect();
        let (to, why, cure) = (short(refused.to), short(refused.why), short(refused.cure));
        self.teller.refused(super::protocol::Refused { to, why, cure, ..refused });
    }
}
