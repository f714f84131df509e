//! Hears what is to be told, and has each sink tell it, one alert after the other.

use super::super::protocol::{Done, Order, Report, SinkStart, Start, Tell, WayStart};
use super::command::Command;
use super::journald::Journald;
use super::line::Line;
use super::log::Log;
use super::queue::Queue;
use super::scrape::{self, Collector};
use super::webhook::{Webhook, World};
use super::{Failure, Given};
use rustix::fd::OwnedFd;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::{AbortHandle, spawn_local};

/// The pause before a sink is asked again; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(60);
/// How long it is told what there is, once the supervisor is gone.
const LAST: Duration = Duration::from_secs(5);
/// How much longer than the command itself the process may take that runs it.
const SLACK: Duration = Duration::from_secs(5);

/// A way to tell.
enum Sink {
    Log(Log),
    Journald(Journald),
    Command(Command),
    Webhook(Box<Webhook>),
    Broken(String),
}

impl Sink {
    async fn tell(&self, tell: &Tell) -> Result<(), Failure> {
        match self {
            Self::Log(log) => log.tell(&tell.alert),
            Self::Journald(journald) => journald.tell(&tell.alert),
            Self::Command(command) => command.tell(&tell.alert).await,
            Self::Webhook(webhook) => webhook.tell(&tell.alert).await,
            Self::Broken(cause) => Err(Failure::for_good(cause.clone())),
        }
    }
}

/// A sink, how long it may take, and how often it is asked.
struct Asked {
    name: String,
    sink: Sink,
    timeout: Duration,
    attempts: u32,
}

/// Works until the supervisor is gone.
pub(super) async fn keep(
    supervisor: &Rc<OwnedFd>,
    start: Start,
    given: Given,
) -> Result<(), String> {
    let line = Rc::new(Line::new(Rc::clone(supervisor))?);
    let collector = Rc::new(Collector::new(Rc::clone(&line)));
    let mut listening: Option<AbortHandle> = None;
    let folder = given.log.map(Rc::new);
    let world = Rc::new(World { proxy: start.proxy, ..World::default() });
    let mut commands = given.commands.into_iter();
    let mut queues: BTreeMap<String, Rc<Queue>> = BTreeMap::new();
    let mut working = Vec::new();
    for sink in start.sinks {
        let line_of = if sink.way == WayStart::Command { commands.next() } else { None };
        let asked = prepare(sink, (folder.as_ref(), line_of, &world));
        let queue = Rc::new(Queue::default());
        queues.insert(asked.name.clone(), Rc::clone(&queue));
        working.push(spawn_local(work(asked, queue, Rc::clone(&line))));
    }
    line.say(&Report::Ready).await?;
    while let Some((order, mut along)) = line.obey::<Order>().await? {
        match order {
            Order::Listen(how) => {
                let listener = along.pop().ok_or("nothing came that listens")?;
                let new = scrape::listen(how, listener, Rc::clone(&collector))?;
                listening.replace(new).into_iter().for_each(|old| old.abort());
            }
            Order::Tell(tell) => {
                hand_out(&queues, Rc::new(*tell), &line).await?;
                // A sink that is fast keeps up with many that come at once.
                tokio::task::yield_now().await;
            }
            Order::Figures(figures) => collector.come(&figures),
            Order::Start(_) => return Err("the supervisor said something out of turn".to_owned()),
        }
    }
    // The next one may listen at once.
    if let Some(listening) = listening {
        listening.abort();
    }
    finish(&queues).await;
    Ok(())
}

/// What is under way is told yet, for a while.
async fn finish(queues: &BTreeMap<String, Rc<Queue>>) {
    let idle = async {
        while queues.values().any(|queue| !queue.is_idle()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Those who are late are not told.
    if tokio::time::timeout(LAST, idle).await.is_err() {
        tracing::debug!("not everything was told");
    }
}

fn prepare(
    start: SinkStart,
    (folder, line, world): (Option<&Rc<OwnedFd>>, Option<OwnedFd>, &Rc<World>),
) -> Asked {
    let missing = || "what it needs did not come along".to_owned();
    let mut timeout = Duration::from_millis(start.timeout);
    let sink = match start.way {
        WayStart::Log => {
            let log = folder.map(|folder| Sink::Log(Log::new(Rc::clone(folder), &start.name)));
            log.ok_or_else(missing)
        }
        WayStart::Journald(path) => Journald::new(&path).map(Sink::Journald),
        WayStart::Command => {
            timeout += SLACK;
            line.ok_or_else(missing).and_then(Command::new).map(Sink::Command)
        }
        WayStart::Webhook { url, auth, roots } => {
            let webhook = Webhook::new(Rc::clone(world), url, auth, &roots);
            webhook.map(|webhook| Sink::Webhook(Box::new(webhook)))
        }
        WayStart::Broken(cause) => Err(cause),
    };
    let sink = sink.unwrap_or_else(Sink::Broken);
    Asked { name: start.name, sink, timeout, attempts: start.attempts }
}

/// Puts an alert into the queues of its sinks; what is given up for it is reported.
async fn hand_out(
    queues: &BTreeMap<String, Rc<Queue>>,
    tell: Rc<Tell>,
    line: &Line,
) -> Result<(), String> {
    for sink in &tell.to {
        let report = |number, cause: &str| {
            let failed = Some(cause.to_owned());
            Report::Done(Done { number, sink: sink.clone(), failed, attempts: 0, millis: 0 })
        };
        let report = match queues.get(sink).map(|queue| queue.put(Rc::clone(&tell))) {
            None => report(tell.number, "there is no such sink"),
            Some(Some(old)) => report(old.number, "too many alerts wait for it"),
            Some(None) => continue,
        };
        line.say(&report).await?;
    }
    Ok(())
}

/// Tells one alert after the other, and reports how that went.
async fn work(asked: Asked, queue: Rc<Queue>, line: Rc<Line>) {
    loop {
        let tell = queue.next().await;
        let begun = Instant::now();
        let (attempts, outcome) = insist(&asked, &tell).await;
        let report = Report::Done(Done {
            number: tell.number,
            sink: asked.name.clone(),
            failed: outcome.err(),
            attempts,
            millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        queue.rest();
        if let Err(cause) = line.say(&report).await {
            tracing::debug!(cause, "an alert is not reported");
        }
    }
}

/// Asks a sink again and again, so often at the most.
async fn insist(asked: &Asked, tell: &Tell) -> (u32, Result<(), String>) {
    let most = if tell.once { 1 } else { asked.attempts };
    let mut attempt = 1;
    loop {
        let telling = tokio::time::timeout(asked.timeout, asked.sink.tell(tell)).await;
        let late =
            || Failure::for_now(format!("it takes longer than {} s", asked.timeout.as_secs()));
        let failure = match telling.unwrap_or_else(|_| Err(late())) {
            Ok(()) => return (attempt, Ok(())),
            Err(failure) => failure,
        };
        if !failure.again || attempt >= most {
            return (attempt, Err(failure.cause));
        }
        tokio::time::sleep(pause(attempt, chance())).await;
        attempt += 1;
    }
}

/// The pause after so many attempts: between a half and the whole of what doubles each time, so that many who failed together do
/// not come back together. `chance` is any number.
fn pause(attempt: u32, chance: u32) -> Duration {
    let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = FIRST.saturating_mul(doubled).min(LONGEST);
    whole / 2 + whole.mul_f64(f64::from(chance) / f64::from(u32::MAX)) / 2
}

fn chance() -> u32 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => u32::from_ne_bytes(bytes),
        Err(_) => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_never_the_same_for_all() {
        let most: Vec<_> = (1..12).map(|attempt| pause(attempt, u32::MAX).as_millis()).collect();
        assert_eq!(most[..5], [1000, 2000, 4000, 8000, 16_000]);
        assert_eq!(most[10], 60_000);
        assert_eq!(pause(3, 0), Duration::from_secs(2));
        assert!(pause(99, 7) <= LONGEST);
    }
}
