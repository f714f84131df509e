//! Who may do what by the control socket.
//!
//! ```text
//!  [[roles]] ─ RoleEntry ─ Roles::resolve ─ Roles ─ allows(caller, verb, agent) ─ () or Refusal
//! ```
//!
//! Pure: the accounts of the host are asked for by a function that is handed in, and whoever asks is
//! described by a [`Caller`], which must be from the kernel (SO_PEERCRED, unix(7)), never from what was sent.
//! What nobody gave is refused: a caller without a role, and a name without an account, have no right.

use crate::config::{NamePattern, Principal, Role, RoleEntry};
use crate::document::{Located, Problem};
use std::collections::BTreeSet;

/// Everything that can be asked for by the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Which agents there are, as far as the caller has a role for them.
    List,
    /// How an agent is.
    Status,
    /// What its terminal shows.
    Screen,
    /// Its journal.
    Logs,
    /// The alerts about it, or about all agents that the caller has a role for.
    Alerts,
    /// Its terminal as it changes, without a way to type.
    Watch,
    /// Its terminal, to type.
    Attach,
    /// Start one.
    Start,
    /// End one.
    Stop,
    /// End one, and start it anew.
    Restart,
    /// Let it wait.
    Freeze,
    /// Let it go on.
    Thaw,
    /// Another command in its jail.
    Exec,
    /// Forget one that has ended.
    Remove,
    /// Start what the configuration names.
    Up,
    /// Read the configuration anew.
    Reload,
    /// Have the sinks of alerts told of one about nothing.
    TryAlerts,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::List,
        Self::Status,
        Self::Screen,
        Self::Logs,
        Self::Alerts,
        Self::Watch,
        Self::Attach,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Freeze,
        Self::Thaw,
        Self::Exec,
        Self::Remove,
        Self::Up,
        Self::Reload,
        Self::TryAlerts,
    ];

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// The weakest role that may do it.
    #[must_use]
    pub fn least(self) -> Role {
        match self {
            Self::List | Self::Status | Self::Screen | Self::Logs | Self::Alerts | Self::Watch => {
                Role::Viewer
            }
            Self::Attach
            | Self::Start
            | Self::Stop
            | Self::Restart
            | Self::Freeze
            | Self::Thaw
            | Self::Exec
            | Self::Remove => Role::Operator,
            Self::Up | Self::Reload | Self::TryAlerts => Role::Admin,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Status => "status",
            Self::Screen => "screen",
            Self::Logs => "logs",
            Self::Alerts => "alerts",
            Self::Watch => "watch",
            Self::Attach => "attach",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Exec => "exec",
            Self::Remove => "remove",
            Self::Up => "up",
            Self::Reload => "reload",
            Self::TryAlerts => "try-alerts",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The uid.
    pub uid: u32,
    /// The gids, the primary one among them.
    pub groups: Vec<u32>,
}

/// Where the host has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Among its users.
    Users,
    /// Among its groups.
    Groups,
}

/// What knows the number of a name; `None` where no account is called so.
pub type Lookup<'l> = dyn Fn(Register, &str) -> Option<u32> + 'l;

/// Who has which role, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    role: Role,
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
    /// All agents where there is no list.
    agents: Option<Vec<NamePattern>>,
}

impl Entry {
    fn is_of(&self, caller: &Caller) -> bool {
        self.uids.contains(&caller.uid) || caller.groups.iter().any(|gid| self.gids.contains(gid))
    }

    /// Whether it is about `agent`; without one, whether it is about all of them.
    fn is_about(&self, agent: Option<&str>) -> bool {
        match (&self.agents, agent) {
            (None, _) => true,
            (Some(patterns), Some(agent)) => patterns.iter().any(|pattern| pattern.matches(agent)),
            (Some(_), None) => false,
        }
    }
}

impl Roles {
    /// `entries` with the numbers of their accounts, and a problem for each name that no account has. Such a
    /// name gives nobody a role; the rest of its entry holds.
    #[must_use]
    pub fn resolve(entries: &[RoleEntry], lookup: &Lookup<'_>) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut ids = |principals: &[Located<Principal>], register| -> BTreeSet<u32> {
            let found = principals.iter().map(|principal| id(register, principal, lookup));
            found.filter_map(|id| id.map_err(|problem| problems.push(problem)).ok()).collect()
        };
        let entry = |entry: &RoleEntry| Entry {
            role: entry.role.value,
            uids: ids(&entry.users, Register::Users),
            gids: ids(&entry.groups, Register::Groups),
            agents: entry.agents.as_ref().map(|agents| {
                agents.iter().map(|pattern| pattern.value.clone()).collect::<Vec<_>>()
            }),
        };
        let entries = entries.iter().map(entry).collect();
        (Self { entries }, problems)
    }

    /// The strongest role that `caller` has for `agent`; without one, the strongest for all agents together.
    #[must_use]
    pub fn of(&self, caller: &Caller, agent: Option<&str>) -> Option<Role> {
        if caller.uid == 0 {
            return Some(Role::Admin);
        }
        let mine = self.entries.iter().filter(|entry| entry.is_of(caller) && entry.is_about(agent));
        mine.map(|entry| entry.role).max()
    }

    /// Whether `caller` may do `verb` to `agent`; without one, to all of them together. To list agents, or alerts, a role
    /// for some of them is enough: [`Roles::sees`] says which to show.
    ///
    /// # Errors
    /// [`Refusal`] says what is missing.
    pub fn allows(&self, caller: &Caller, verb: Verb, agent: Option<&str>) -> Result<(), Refusal> {
        let has = match (verb, agent) {
            (Verb::List | Verb::Alerts, None) => self.of(caller, None).max(self.of_any(caller)),
            _ => self.of(caller, agent),
        };
        if has >= Some(verb.least()) {
            return Ok(());
        }
        Err(Refusal { uid: caller.uid, verb, agent: agent.map(str::to_owned), has })
    }

    /// Whether `caller` may know that there is an agent called `agent`.
    #[must_use]
    pub fn sees(&self, caller: &Caller, agent: &str) -> bool {
        self.of(caller, Some(agent)).is_some()
    }

    fn of_any(&self, caller: &Caller) -> Option<Role> {
        self.entries.iter().filter(|entry| entry.is_of(caller)).map(|entry| entry.role).max()
    }
}

/// The number of `principal`.
///
/// # Errors
/// A problem at its place where no account is called so.
pub fn id(
    register: Register,
    principal: &Located<Principal>,
    lookup: &Lookup<'_>,
) -> Result<u32, Problem> {
    let name = match &principal.value {
        Principal::Id(id) => return Ok(*id),
        Principal::Name(name) => name,
    };
    let word = match register {
        Register::Users => "user",
        Register::Groups => "group",
    };
    lookup(register, name).ok_or_else(|| {
        principal.problem(
            format!("there is no {word} `{}` on this host", name.escape_debug()),
            format!("make the {word}, write its number, or take the name out"),
        )
    })
}

/// Why something is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct Refusal {
    /// Who asked.
    pub uid: u32,
    /// For what.
    pub verb: Verb,
    /// With which agent.
    pub agent: Option<String>,
    /// The role that they have.
    pub has: Option<Role>,
}

impl Refusal {
    fn words(&self) -> String {
        let Self { uid, verb, agent, has } = self;
        let (name, needs) = (verb.name(), verb.least().with_article());
        let agent = agent.as_ref().map(|agent| agent.escape_debug());
        match (has, agent) {
            (Some(role), Some(agent)) => {
                let role = role.with_article();
                format!("uid {uid} is {role} of `{agent}`, and `{name}` needs {needs}")
            }
            (Some(role), None) => {
                format!(
                    "uid {uid} is {} of all agents, and `{name}` needs {needs}",
                    role.with_article()
                )
            }
            (None, Some(agent)) => format!("uid {uid} has no role for `{agent}`"),
            (None, None) => {
                format!("uid {uid} has no role for all agents, and `{name}` needs {needs}")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let role = self.verb.least().word();
        format!("root gives roles in {}: [[roles]] role = \"{role}\"", crate::config::PATH)
    }
}

#[cfg(test)]
mod tests;
