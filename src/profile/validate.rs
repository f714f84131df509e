//! Turns a claim into a [`Profile`] of checked values, reporting every problem at once.
//!
//! Pure: what the host has is not looked at here.

mod watch;

use super::raw::{RawApi, RawEntry, RawFilesystem, RawLimits, RawNetwork, RawProfile};
use super::types::{
    Access, Agent, AgentName, Api, Bytes, Cpus, Egress, Entry, Environment, Filesystem, HostPath,
    JailPath, Limits, MemoryTree, Network, Oom, Owner, Pattern, SecretPlace, Terminal, User,
    VariableName, Workspace,
};
use super::{Profile, Wall};
use crate::document::{Located, Place, Problem, Problems};
use crate::policy::network::{self as rule, Credential, Upstream, denial};

/// The version of the profile format that this program reads.
pub const SCHEMA: i64 = 1;

/// The most connections of one agent: each takes two descriptors of the gate.
const MOST_CONNECTIONS: u64 = 100_000;

/// Where the built-in defaults are said to be from.
pub const DEFAULT: &str = "default";

/// Checks `raw`, the whole claim of the profile called `name`.
///
/// # Errors
/// Every problem of its values, in the order of files and lines.
pub fn profile(name: &str, raw: RawProfile) -> Result<Profile, Problems> {
    let mut check = Checker::default();
    check.name(name);
    let profile = Profile {
        name: name.to_owned(),
        description: raw.description.as_ref().map(|d| d.value.clone()).unwrap_or_default(),
        files: Vec::new(),
        agent: check.agent(&raw),
        environment: check.environment(&raw),
        filesystem: check.filesystem(&raw.filesystem),
        network: check.or_default(raw.network.mode.as_ref(), "network.mode", network, "none"),
        egress: check.egress(&raw.network),
        limits: check.limits(&raw.limits),
        seccomp: check.or_default(raw.seccomp.as_ref(), "seccomp.policy", policy_name, "agent"),
        terminal: check.terminal(&raw),
        jobs: watch::jobs(&mut check, &raw.jobs),
        watch: watch::watch(&mut check, &raw.watch),
        without: check.all(&raw.without, Wall::parse),
    };
    check.problems.into_result(profile)
}

/// What is wrong with the `schema` of the one file called `file`: each file states its own.
#[must_use]
pub fn schema(file: &str, raw: &RawProfile) -> Option<Problem> {
    match &raw.schema {
        None => Some(Problem::new(
            &Place::outside(file, "schema"),
            "is missing",
            "write `schema = 1` as the first line",
        )),
        Some(schema) if schema.value != SCHEMA => Some(schema.problem(
            format!("is {}, and this program reads schema {SCHEMA}", schema.value),
            "write the profile for schema 1, or use the release that knows its schema",
        )),
        Some(_) => None,
    }
}

/// Gathers problems while values are checked.
#[derive(Default)]
struct Checker {
    problems: Problems,
}

type Parse<T> = fn(&str) -> Result<T, String>;

impl Checker {
    fn report(&mut self, place: &Place, cause: impl Into<String>, hint: &str) {
        self.problems.push(Problem::new(place, cause, hint));
    }

    fn name(&mut self, name: &str) {
        if let Err(cause) = AgentName::parse(name) {
            self.report(
                &Place::outside(name, ""),
                cause,
                "the file's name is the profile's: rename it",
            );
        }
    }

    /// Parses one value; a problem is reported and gives `None`.
    fn one<T>(&mut self, raw: &Located<String>, parse: Parse<T>) -> Option<Located<T>> {
        match parse(&raw.value) {
            Ok(value) => Some(raw.with(value)),
            Err(cause) => {
                self.report(&raw.place, cause, hint_for(&raw.place.key));
                None
            }
        }
    }

    fn maybe<T>(&mut self, raw: Option<&Located<String>>, parse: Parse<T>) -> Option<Located<T>> {
        raw.and_then(|raw| self.one(raw, parse))
    }

    fn all<T>(&mut self, raw: &[Located<String>], parse: Parse<T>) -> Vec<Located<T>> {
        raw.iter().filter_map(|raw| self.one(raw, parse)).collect()
    }

    /// Parses a value, or the built-in default where it is not set (or wrong, and reported).
    fn or_default<T>(
        &mut self,
        raw: Option<&Located<String>>,
        key: &str,
        parse: Parse<T>,
        default: &str,
    ) -> Located<T> {
        if let Some(value) = self.maybe(raw, parse) {
            return value;
        }
        let place = Place::outside(DEFAULT, key);
        match parse(default) {
            Ok(value) => Located { value, place },
            Err(cause) => unreachable!("the default of {key} is not valid: {cause}"),
        }
    }

    fn number(&mut self, raw: Option<&Located<i64>>, least: i64) -> Option<Located<u64>> {
        let raw = raw?;
        match u64::try_from(raw.value) {
            Ok(value) if raw.value >= least => Some(raw.with(value)),
            Ok(_) | Err(_) => {
                self.report(&raw.place, format!("is {}, below the least, {least}", raw.value), "");
                None
            }
        }
    }

    fn number_or(&mut self, raw: Option<&Located<i64>>, key: &str, default: u64) -> Located<u64> {
        self.number(raw, 1)
            .unwrap_or_else(|| Located { value: default, place: Place::outside(DEFAULT, key) })
    }

    fn agent(&mut self, raw: &RawProfile) -> Agent {
        let agent = &raw.agent;
        if let Some(command) = &agent.command {
            self.command(command);
        }
        Agent {
            user: self.or_default(agent.user.as_ref(), "agent.user", user, "auto"),
            groups: agent.groups.clone(),
            command: agent.command.clone().filter(|command| !command.value.is_empty()),
            workdir: self.maybe(agent.workdir.as_ref(), JailPath::parse),
            home: self.or_default(agent.home.as_ref(), "agent.home", home, "/home/agent"),
            umask: self.or_default(agent.umask.as_ref(), "agent.umask", umask, "077"),
        }
    }

    fn command(&mut self, command: &Located<Vec<String>>) {
        if command.value.first().is_none_or(String::is_empty) {
            self.report(&command.place, "is empty", "write command = [\"program\", \"argument\"]");
        }
        if command.value.iter().any(|word| word.contains('\0')) {
            self.report(&command.place, "has a NUL character in it", "");
        }
    }

    fn environment(&mut self, raw: &RawProfile) -> Environment {
        let raw = &raw.environment;
        Environment {
            pass: self.all(&raw.pass, VariableName::parse),
            set: self.named(&raw.set, variable_value),
            secrets: self.named(&raw.secrets, SecretPlace::parse),
        }
    }

    fn named<T>(
        &mut self,
        raw: &[(String, Located<String>)],
        parse: Parse<T>,
    ) -> Vec<(VariableName, Located<T>)> {
        let mut values = Vec::new();
        for (name, value) in raw {
            let checked = self.one(&value.with(name.clone()), VariableName::parse);
            let parsed = self.one(value, parse);
            values.extend(checked.map(|name| name.value).zip(parsed));
        }
        values
    }

    fn filesystem(&mut self, raw: &RawFilesystem) -> Filesystem {
        Filesystem {
            entries: self.entries(raw),
            hide: self.all(&raw.hide, Pattern::parse),
            protect: self.all(&raw.protect, Pattern::parse),
            tmp: MemoryTree {
                size: self.or_default(raw.tmp_size.as_ref(), "tmp_size", memory_size, "256M"),
                inodes: self.number_or(raw.tmp_inodes.as_ref(), "tmp_inodes", 65_536),
                execute: no_unless(raw.tmp_execute.as_ref(), "tmp_execute"),
            },
            home: MemoryTree {
                size: self.or_default(raw.home_size.as_ref(), "home_size", memory_size, "256M"),
                inodes: self.number_or(raw.home_inodes.as_ref(), "home_inodes", 65_536),
                execute: no_unless(raw.home_execute.as_ref(), "home_execute"),
            },
            workspace: self.or_default(raw.workspace.as_ref(), "workspace", workspace, "none"),
        }
    }

    /// One entry a path: the rights of all lists that name it.
    fn entries(&mut self, raw: &RawFilesystem) -> Vec<Entry> {
        let lists = [
            (&raw.read, Access::default()),
            (&raw.write, Access { write: true, execute: false }),
            (&raw.execute, Access { write: false, execute: true }),
        ];
        let mut entries: Vec<Entry> = Vec::new();
        for (list, access) in lists {
            for raw in list {
                let Some(entry) = self.entry(raw, access) else { continue };
                match entries.iter_mut().find(|known| known.at == entry.at) {
                    Some(known) => self.join(known, &entry),
                    None => entries.push(entry),
                }
            }
        }
        entries
    }

    fn join(&mut self, known: &mut Entry, entry: &Entry) {
        if known.path.value != entry.path.value {
            let cause = format!(
                "puts `{}` at `{}`, where `{}` is already",
                entry.path.value, entry.at, known.path.value
            );
            self.report(&entry.path.place, cause, "give one of them another `at`");
        }
        known.access = known.access.union(entry.access);
        known.optional &= entry.optional;
        if entry.owner == Owner::Host {
            known.owner = Owner::Host;
        }
    }

    fn entry(&mut self, raw: &RawEntry, access: Access) -> Option<Entry> {
        let path = self.one(&raw.path, HostPath::parse)?;
        let at = match &raw.at {
            Some(at) => self.one(at, JailPath::parse)?.value,
            None => JailPath::parse(path.value.as_str()).ok()?,
        };
        if let Err(cause) = reserved(at.as_str()) {
            self.report(&path.place, cause, "choose another `at`");
        }
        let owner = match &raw.owner {
            Some(owner) => self.one(owner, owner_word)?.value,
            None => Owner::Disk,
        };
        let optional = raw.optional.as_ref().is_some_and(|optional| optional.value);
        Some(Entry { path, at, access, optional, owner })
    }

    fn egress(&mut self, raw: &RawNetwork) -> Egress {
        self.refuse_idle_rules(raw);
        let bound = |check: &mut Self, raw: Option<&Located<i64>>, key: &str, default| {
            let bound = check.number_or(raw, key, default);
            if bound.value > MOST_CONNECTIONS {
                let cause = format!("is {}, above the most, {MOST_CONNECTIONS}", bound.value);
                check.report(&bound.place, cause, "");
            }
            bound
        };
        Egress {
            allow: raw.allow.iter().filter_map(|rule| rule.check(&mut self.problems)).collect(),
            deny: raw
                .deny
                .iter()
                .filter_map(|text| denial(text).map_err(|problem| self.problems.push(problem)).ok())
                .collect(),
            policies: self.all(&raw.policies, policy_name),
            connections: bound(self, raw.connections.as_ref(), "network.connections", 1024),
            rate: bound(self, raw.rate.as_ref(), "network.rate", 200),
            bytes: self.maybe(raw.bytes.as_ref(), Bytes::parse),
            api: raw.api.as_ref().and_then(|api| self.api(api)),
        }
    }

    /// A service by a socket. Each of the three that it needs is asked for where it is missing.
    fn api(&mut self, raw: &Located<RawApi>) -> Option<Api> {
        let RawApi { socket, upstream, key, header, ca, addresses } = &raw.value;
        for (what, written, example) in [
            ("socket", socket, "socket = \"/run/api.sock\""),
            ("upstream", upstream, "upstream = \"https://api.example.com\""),
            ("key", key, "key = \"/etc/cellblock/keys/api\", a file that only root can read"),
        ] {
            if written.is_none() {
                self.report(&raw.place, format!("has no `{what}`"), example);
            }
        }
        let socket = self.maybe(socket.as_ref(), socket_path);
        let upstream = self.maybe(upstream.as_ref(), Upstream::parse);
        let key = self.maybe(key.as_ref(), SecretPlace::parse);
        let header =
            self.or_default(header.as_ref(), "network.api.header", Credential::parse, "x-api-key");
        let ca = self.maybe(ca.as_ref(), HostPath::parse);
        let addresses = self.all(addresses, rule::network);
        let addresses = addresses.into_iter().map(|address| address.value).collect();
        Some(Api { socket: socket?, upstream: upstream?, key: key?, header, ca, addresses })
    }

    /// Rules that nobody would look at. Those that a profile inherits, and does without, stay silent, but a
    /// denial is never left out.
    fn refuse_idle_rules(&mut self, raw: &RawNetwork) {
        let mode = raw.mode.as_ref();
        if mode.is_some_and(|mode| mode.value == Network::Allowlist.word()) {
            return;
        }
        let rules = raw.allow.iter().map(|rule| &rule.to.place);
        let policies = raw.policies.iter().map(|text| &text.place);
        let named_bounds = raw.bytes.iter().map(|text| &text.place);
        let bounds = raw.connections.iter().chain(&raw.rate).map(|number| &number.place);
        let own = |place: &&Place| mode.is_none_or(|mode| mode.place.file == place.file);
        let all_of_it = mode.is_some_and(|mode| mode.value == Network::Host.word());
        let denials = raw.deny.iter().map(|text| &text.place);
        let denials = denials.filter(|place| all_of_it || own(place));
        // A service by a socket is bounded like a connection.
        let bounds = named_bounds.chain(bounds).filter(|_| raw.api.is_none());
        let idle = rules.chain(policies).chain(bounds).filter(own).chain(denials);
        for place in idle {
            self.report(place, "means something only where mode = \"allowlist\"", "");
        }
    }

    fn limits(&mut self, raw: &RawLimits) -> Limits {
        let limits = Limits {
            memory: self.maybe(raw.memory.as_ref(), memory_size),
            memory_high: self.maybe(raw.memory_high.as_ref(), memory_size),
            swap: self.maybe(raw.swap.as_ref(), Bytes::parse),
            oom: self.maybe(raw.oom.as_ref(), oom),
            tasks: self.number(raw.tasks.as_ref(), 4),
            cpu: self.maybe(raw.cpu.as_ref(), Cpus::parse),
            cpu_weight: self.number(raw.cpu_weight.as_ref(), 1),
            io: self.maybe(raw.io.as_ref(), memory_size),
            io_weight: self.number(raw.io_weight.as_ref(), 1),
            disk: self.maybe(raw.disk.as_ref(), disk_size),
            open_files: self.number(raw.open_files.as_ref(), 16),
            file_size: self.maybe(raw.file_size.as_ref(), Bytes::parse),
            core: self.maybe(raw.core.as_ref(), Bytes::parse),
        };
        if let (Some(high), Some(max)) = (&limits.memory_high, &limits.memory)
            && high.value > max.value
        {
            let cause = format!("{} is above memory, {}", high.value, max.value);
            self.report(&high.place, cause, "memory_high slows down before memory stops");
        }
        let weights = [&limits.cpu_weight, &limits.io_weight].into_iter().flatten();
        for weight in weights.filter(|weight| weight.value > 10_000) {
            self.report(&weight.place, "is above the most, 10000", "the default is 100");
        }
        limits
    }

    fn terminal(&mut self, raw: &RawProfile) -> Terminal {
        let raw = &raw.terminal;
        let own_config = no_unless(raw.own_config.as_ref(), "terminal.own_config");
        let record = no_unless(raw.record.as_ref(), "terminal.record");
        let record_size = raw.record_size.as_ref();
        Terminal {
            session: self.or_default(
                raw.session.as_ref(),
                "terminal.session",
                AgentName::parse,
                "agent",
            ),
            history: self.number_or(raw.history.as_ref(), "terminal.history", 10_000),
            size: self.or_default(raw.size.as_ref(), "terminal.size", size, "100x30"),
            own_config,
            record,
            record_size: self.or_default(record_size, "terminal.record_size", disk_size, "64M"),
        }
    }
}

/// The value, or false where it is not set.
fn no_unless(raw: Option<&Located<bool>>, key: &str) -> Located<bool> {
    raw.cloned().unwrap_or_else(|| Located { value: false, place: Place::outside(DEFAULT, key) })
}

/// What may help with the key at hand.
fn hint_for(key: &str) -> &'static str {
    match key.rsplit('.').next().unwrap_or(key) {
        "memory" | "memory_high" | "swap" | "io" | "disk" | "bytes" | "file_size" | "core"
        | "tmp_size" | "home_size" | "record_size" => {
            "sizes are written 512M, 4G, 1T (powers of 1024), or in bytes"
        }
        "grace" | "over" | "longest" => "durations are written 500ms, 10s, 5m or 2h",
        "cpu" => "write processors, as in 2 or 1.5, or a percentage, as in 150%",
        _ => "",
    }
}

fn user(text: &str) -> Result<User, String> {
    if text == "auto" {
        return Ok(User::Auto);
    }
    match text.parse::<u32>() {
        Ok(0) => {
            Err("is 0, and an agent is never root: use \"auto\" for a uid of its own".to_owned())
        }
        Ok(u32::MAX) => Err("is not a uid: the kernel means \"no change\" by it".to_owned()),
        Ok(uid) => Ok(User::Uid(uid)),
        Err(_) if text == "root" => {
            Err("is root, and an agent is never root: use \"auto\" for a uid of its own".to_owned())
        }
        Err(_) if text.is_empty() || text.contains([':', '/', '\0', ' ']) => {
            Err(format!("`{}` is not a user's name", text.escape_debug()))
        }
        Err(_) => Ok(User::Name(text.to_owned())),
    }
}

fn home(text: &str) -> Result<JailPath, String> {
    let path = JailPath::parse(text)?;
    if !text.starts_with('/') || text == "/" {
        return Err("must be an absolute path below /".to_owned());
    }
    reserved(text)?;
    Ok(path)
}

/// A socket that a program can name (unix(7): 108 bytes with the final NUL).
fn socket_path(text: &str) -> Result<JailPath, String> {
    let path = home(text)?;
    if text.len() > LONGEST_SOCKET || text.ends_with('/') {
        return Err(format!("must be a file's path of {LONGEST_SOCKET} bytes at the most"));
    }
    Ok(path)
}

/// The longest path of a socket that this program makes, in bytes: some are used up on the way there.
const LONGEST_SOCKET: usize = 80;

/// Places that the jail makes itself.
fn reserved(at: &str) -> Result<(), String> {
    for own in ["/proc", "/dev", "/run/cellblock", "/workspace"] {
        if at == own || at.starts_with(&format!("{own}/")) {
            return Err(format!("`{at}` is where the jail has its own {own}"));
        }
    }
    if at == "/" {
        return Err("`/` would be the whole host".to_owned());
    }
    Ok(())
}

fn umask(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| format!("`{}` is not an octal mask such as \"077\"", text.escape_debug()))
}

fn network(text: &str) -> Result<Network, String> {
    match text {
        "none" => Ok(Network::None),
        "loopback" => Ok(Network::Loopback),
        "allowlist" => Ok(Network::Allowlist),
        "host" => Ok(Network::Host),
        _ => Err(format!("`{}` is not none, loopback, allowlist or host", text.escape_debug())),
    }
}

fn workspace(text: &str) -> Result<Workspace, String> {
    match text {
        "current" => Ok(Workspace::Current),
        "memory" => Ok(Workspace::Memory),
        "none" => Ok(Workspace::None),
        _ => Err(format!("`{}` is not current, memory or none", text.escape_debug())),
    }
}

fn owner_word(text: &str) -> Result<Owner, String> {
    match text {
        "disk" => Ok(Owner::Disk),
        "host" => Ok(Owner::Host),
        _ => Err(format!("`{}` is not disk or host", text.escape_debug())),
    }
}

fn oom(text: &str) -> Result<Oom, String> {
    match text {
        "offender" => Ok(Oom::Offender),
        "all" => Ok(Oom::All),
        _ => Err(format!("`{}` is not offender or all", text.escape_debug())),
    }
}

fn policy_name(text: &str) -> Result<String, String> {
    AgentName::parse(text).map(|name| name.as_str().to_owned())
}

fn memory_size(text: &str) -> Result<Bytes, String> {
    let bytes = Bytes::parse(text)?;
    if bytes.0 < 64 << 10 {
        return Err(format!("`{}` is less than the least, 64K", text.escape_debug()));
    }
    Ok(bytes)
}

fn disk_size(text: &str) -> Result<Bytes, String> {
    let bytes = Bytes::parse(text)?;
    if bytes.0 < 1 << 20 {
        return Err(format!("`{}` is less than the least, 1M", text.escape_debug()));
    }
    Ok(bytes)
}

fn variable_value(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("has a NUL character in it".to_owned());
    }
    Ok(text.to_owned())
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let error = || format!("`{}` is not a size such as \"100x30\"", text.escape_debug());
    let (columns, rows) = text.split_once('x').ok_or_else(error)?;
    let number = |part: &str| part.parse::<u16>().ok().filter(|n| (2..=1000).contains(n));
    number(columns).zip(number(rows)).ok_or_else(error)
}
