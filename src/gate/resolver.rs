//! Looks names up, as the host does: its hosts file, then its name servers.

use super::confine::RESOLVER_FILES;
use super::servers::Servers;
use crate::policy::network::Name;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::OnceCell;

/// How long the host's files are taken to be as they were read.
const KEPT: Duration = Duration::from_secs(5);

/// The longest hosts file that is read, in bytes.
const LONGEST: u64 = 8 << 20;

/// How long an answer of a name server is kept at the most, whatever it says itself.
const LONGEST_KEPT: Duration = Duration::from_secs(60);

/// The most names whose answers are kept.
const MOST_KEPT: usize = 1024;

/// How the host resolves names. Many connections to one name at once are one question.
#[derive(Default)]
pub(crate) struct Resolver {
    known: RefCell<Option<Known>>,
    asked: RefCell<BTreeMap<Name, Rc<Asked>>>,
}

/// A question, and its answer when it has come.
type Asked = OnceCell<Answer>;

/// What the name servers said.
struct Answer {
    found: Result<Vec<IpAddr>, String>,
    holds_until: Instant,
}

fn holds(asked: &Asked) -> bool {
    asked.get().is_none_or(|answer| answer.holds_until > Instant::now())
}

/// What the host's files said when they were read.
#[derive(Clone)]
struct Known {
    read: Instant,
    changed: [Option<SystemTime>; 2],
    hosts: Rc<Vec<(String, IpAddr)>>,
    servers: Rc<Servers>,
}

impl Resolver {
    /// The addresses of `name`.
    ///
    /// # Errors
    /// A clause that says why it has none.
    pub(super) async fn look_up(&self, name: &Name) -> Result<Vec<IpAddr>, String> {
        let own = self.own(name.as_str())?;
        if !own.is_empty() {
            return Ok(own);
        }
        let servers = self.known()?.servers;
        let asked = self.asked(name);
        asked.get_or_init(|| ask(&servers, name)).await.found.clone()
    }

    /// The question about `name`: one that is on its way or whose answer still holds, or else a new one.
    fn asked(&self, name: &Name) -> Rc<Asked> {
        let mut all = self.asked.borrow_mut();
        if let Some(asked) = all.get(name).filter(|asked| holds(asked)) {
            return Rc::clone(asked);
        }
        if all.len() >= MOST_KEPT {
            all.retain(|_, asked| holds(asked));
        }
        let new = Rc::new(Asked::new());
        // Where so many hold, this one is asked without being found again.
        if all.len() < MOST_KEPT {
            all.insert(name.clone(), Rc::clone(&new));
        }
        new
    }

    /// The addresses of `name` in the host's own file: names such as `localhost`, too.
    ///
    /// # Errors
    /// A clause that says why it cannot be told.
    pub(super) fn own(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let known = self.known()?;
        let own = known.hosts.iter().filter(|(host, _)| host.eq_ignore_ascii_case(name));
        Ok(own.map(|(_, address)| *address).collect())
    }

    /// What the host's files say, read again where they have changed.
    fn known(&self) -> Result<Known, String> {
        let mut known = self.known.borrow_mut();
        if let Some(known) = known.as_mut() {
            if known.read.elapsed() < KEPT {
                return Ok(known.clone());
            }
            if changed() == known.changed {
                known.read = Instant::now();
                return Ok(known.clone());
            }
        }
        self.asked.borrow_mut().clear();
        let read = Known {
            read: Instant::now(),
            changed: changed(),
            hosts: Rc::new(hosts(&text(RESOLVER_FILES[1])?)),
            servers: Rc::new(Servers::new(&text(RESOLVER_FILES[0])?)),
        };
        Ok(known.insert(read).clone())
    }
}

fn changed() -> [Option<SystemTime>; 2] {
    RESOLVER_FILES.map(|file| std::fs::metadata(file).and_then(|meta| meta.modified()).ok())
}

/// The text of a file; a host without it has nothing in it.
fn text(file: &str) -> Result<String, String> {
    use std::io::{ErrorKind, Read as _};
    let failed = |error: std::io::Error| format!("the gate cannot read {file}: {error}");
    let opened = match std::fs::File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        other => other.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    let length = opened.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if length as u64 > LONGEST {
        return Err(format!("{file} is longer than {} MB", LONGEST >> 20));
    }
    // A comment in another encoding is no reason to know no name.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines of a hosts file (hosts(5)).
fn hosts(text: &str) -> Vec<(String, IpAddr)> {
    let of = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address: Option<IpAddr> = words.next().and_then(|word| word.parse().ok());
        let named = |name: &str| Some((name.to_ascii_lowercase(), address?));
        words.filter_map(named).collect::<Vec<_>>()
    };
    text.lines().flat_map(of).collect()
}

/// Asks, and tells how long the answer holds. One that names no address holds for nobody who asks later.
async fn ask(servers: &Servers, name: &Name) -> Answer {
    match servers.addresses(name).await {
        Ok((found, kept)) => {
            Answer { found: Ok(found), holds_until: Instant::now() + kept.min(LONGEST_KEPT) }
        }
        Err(why) => Answer { found: Err(why), holds_until: Instant::now() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_hosts_file() {
        let found =
            hosts("127.0.0.1 localhost\n# a\n10.0.0.1\tA.test b.test # c.test\nx y\n::1 a.test\n");
        let expected = [
            ("localhost", "127.0.0.1"),
            ("a.test", "10.0.0.1"),
            ("b.test", "10.0.0.1"),
            ("a.test", "::1"),
        ];
        let expected = expected.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
        assert_eq!(found, expected);
    }
}
