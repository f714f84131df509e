//! `[alerts]` and `[metrics]`: who is told of what.

use super::roles::principal;
use super::{Checker, absolute};
use crate::alerts::event::{Kind, Label, Severity};
use crate::alerts::rules::{Above, Bound, Counting, Gauge, Rule, When};
use crate::config::raw::alerts::{LABELS, RawAlerts, RawMetrics, RawRule, RawSink, Strings};
use crate::config::{Alerts, Auth, Listen, Metrics, NamePattern, RawConfig, SinkEntry, Url, Way};
use crate::document::Located;
use crate::profile::types::{Bytes, CREDENTIAL, Cpus};
use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::time::Duration;

/// The rules that come with cellblock.
pub(super) const SHIPPED: &str = include_str!("../../../policies/alerts/shipped.toml");

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// A window holds so many events at the most, and one more.
const MOST_COUNTED: i64 = 1000;
/// Each is looked at for every event of its kinds.
const MOST_RULES: usize = 200;
/// Each has a queue, and a command a process.
const MOST_SINKS: usize = 16;
/// How long a name may be: it stands in lines, labels and variables.
const LONGEST_NAME: usize = 40;

impl Alerts {
    /// When somebody is told: the shipped rules that are on, and those of the file.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        self.rules.clone().unwrap_or_else(|| {
            let (raw, problems) = RawConfig::parse_whole("shipped", SHIPPED);
            // A test sees that there are none.
            let mut check = Checker { problems };
            rules(&mut check, raw.alerts.rules, &[])
        })
    }
}

pub(super) fn alerts(check: &mut Checker, raw: &RawAlerts) -> Alerts {
    let sinks: Vec<_> = sinks(check, &raw.sinks);
    let names: Vec<String> = sinks.iter().map(|sink| sink.name.value.clone()).collect();
    if raw.rules.is_empty() {
        return Alerts { rules: None, sinks };
    }
    let (shipped, _) = RawConfig::parse_whole("shipped", SHIPPED);
    let own = raw.rules.iter().cloned();
    let mut shipped: Vec<RawRule> = shipped.alerts.rules;
    let mut all = Vec::new();
    for rule in own {
        let same = shipped.iter().position(|shipped| named(shipped) == named(&rule));
        let same = same.filter(|_| rule.name.is_some());
        all.push(match same {
            Some(at) => rule.over(shipped.remove(at)),
            None => rule,
        });
    }
    shipped.append(&mut all);
    if let Some(rule) = raw.rules.get(MOST_RULES) {
        let cause = format!("is one more than the {MOST_RULES} rules that there may be");
        check.report(&rule.place, cause, "take some out, or have one rule count several kinds");
    }
    Alerts { rules: Some(rules(check, shipped, &names)), sinks }
}

fn named(rule: &RawRule) -> Option<&str> {
    rule.name.as_ref().map(|name| name.value.as_str())
}

/// A name in lines, labels and variables.
fn name_of(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > LONGEST_NAME || !text.chars().all(fits) {
        let shown = text.escape_debug();
        return Err(format!("`{shown}` is not a name: 1 to {LONGEST_NAME} of a-z, 0-9 and `-`"));
    }
    Ok(text.to_owned())
}

/// The name of one, which no other has.
fn unique(
    check: &mut Checker,
    raw: Option<&Located<String>>,
    known: &mut BTreeMap<String, String>,
) -> Option<Located<String>> {
    let name = check.one(raw?, name_of)?;
    if let Some(first) = known.get(&name.value) {
        let cause = format!("is `{}`, as the one at {first} is", name.value);
        check.report(&name.place, cause, "give each a name of its own");
    }
    known.insert(name.value.clone(), name.place.to_string());
    Some(name)
}

fn rules(check: &mut Checker, raw: Vec<RawRule>, sinks: &[String]) -> Vec<Rule> {
    let mut known = BTreeMap::new();
    let mut all = Vec::new();
    for raw in &raw {
        if raw.name.is_none() {
            check.missing(&raw.place, "name", "write a name, as in name = \"many-denials\"");
        }
        let name = unique(check, raw.name.as_ref(), &mut known);
        let rule = rule(check, raw, sinks);
        let on = raw.enabled.as_ref().is_none_or(|enabled| enabled.value);
        if let (Some(name), Some(rule), true) = (name, rule, on) {
            all.push(Rule { name: name.value, ..rule });
        }
    }
    all
}

fn rule(check: &mut Checker, raw: &RawRule, sinks: &[String]) -> Option<Rule> {
    let agents = strings(check, &raw.agents, NamePattern::parse);
    let severity = check.maybe(raw.severity.as_ref(), Severity::parse);
    let again = check.maybe(raw.again_after.as_ref(), |text| duration(text, SECOND, 7 * DAY));
    let to = raw.sinks.as_ref().map(|_| strings(check, &raw.sinks, |text| known(text, sinks)));
    let when = match (&raw.on, &raw.gauge) {
        (Some(on), None) => counting(check, raw, on).map(When::Events),
        (None, Some(gauge)) => above(check, raw, gauge).map(When::Above),
        (Some(_), Some(gauge)) => {
            let cause = "stands beside `on`, and a rule counts events or looks at a figure";
            check.report(&gauge.place, cause, "make two rules of it");
            None
        }
        (None, None) => {
            // One that is wrong is told already.
            if !check.is_told(&raw.place, "on") && !check.is_told(&raw.place, "gauge") {
                let cause = "says neither what it counts nor at what it looks";
                check.report(&raw.place, cause, "write on = [\"denial\"], or gauge = \"memory\"");
            }
            None
        }
    };
    Some(Rule {
        name: String::new(),
        agents,
        when: when?,
        severity: severity.map_or(Severity::Warning, |severity| severity.value),
        sinks: to,
        again_after: again.map_or(10 * MINUTE, |again| again.value),
    })
}

fn known(text: &str, sinks: &[String]) -> Result<String, String> {
    if sinks.iter().any(|sink| sink == text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no sink of [[alerts.sinks]]", text.escape_debug()))
}

fn counting(
    check: &mut Checker,
    raw: &RawRule,
    on: &Located<Vec<Located<String>>>,
) -> Option<Counting> {
    for (key, place) in [("above", &raw.above), ("for", &raw.lasting)] {
        if let Some(raw) = place {
            let cause = format!("is for a `gauge`, and `{key}` means nothing for events");
            check.report(&raw.place, cause, "write `more_than` and `within` in its place");
        }
    }
    if on.value.is_empty() {
        check.report(&on.place, "is empty", "name kinds of events, as in on = [\"denial\"]");
    }
    let kinds: Vec<_> = on.value.iter().filter_map(|kind| check.one(kind, Kind::parse)).collect();
    let labels = labels(check, raw, &kinds);
    let contains = strings(check, &raw.contains, |text| match text {
        "" => Err("is empty, and every text has that".to_owned()),
        text => Ok(text.to_owned()),
    });
    let more_than = raw.more_than.as_ref().and_then(|raw| {
        let fits = (0..=MOST_COUNTED).contains(&raw.value);
        if !fits {
            let cause = format!("is {}, and not from 0 to {MOST_COUNTED}", raw.value);
            check.report(&raw.place, cause, "count within a shorter time");
        }
        u32::try_from(raw.value).ok().filter(|_| fits)
    });
    let within = check.maybe(raw.within.as_ref(), |text| duration(text, SECOND, DAY));
    let by = check.maybe(raw.by.as_ref(), |text| match text {
        "agent" => Ok(false),
        "all" => Ok(true),
        _ => Err(format!("`{}` is not agent or all", text.escape_debug())),
    });
    Some(Counting {
        on: kinds.into_iter().map(|kind| kind.value).collect(),
        labels,
        contains,
        more_than: more_than.unwrap_or(0),
        within: within.map_or(MINUTE, |within| within.value),
        together: by.is_some_and(|by| by.value),
    })
}

fn labels(check: &mut Checker, raw: &RawRule, kinds: &[Located<Kind>]) -> Vec<(Label, String)> {
    let all =
        [Label::Limit, Label::Finding, Label::Action, Label::Wall, Label::Outcome, Label::Sink];
    let mut found = Vec::new();
    for (key, value) in &raw.labels {
        let Some(label) = all.into_iter().find(|label| label.name() == *key) else { continue };
        let without = kinds.iter().find(|kind| !kind.value.labels().contains(&label));
        match without {
            Some(kind) => {
                let cause = format!("is nothing that events of the kind {} tell", kind.value);
                check.report(&value.place, cause, "make a rule of its own for those that do");
            }
            None => found.push((label, value.value.clone())),
        }
    }
    found
}

fn above(check: &mut Checker, raw: &RawRule, gauge: &Located<String>) -> Option<Above> {
    let strange = LABELS.iter().filter_map(|key| {
        raw.labels.iter().find(|(known, _)| known == key).map(|(_, value)| &value.place)
    });
    let strange: Vec<_> = strange
        .chain(raw.contains.as_ref().map(|it| &it.place))
        .chain(raw.more_than.as_ref().map(|it| &it.place))
        .chain(raw.within.as_ref().map(|it| &it.place))
        .chain(raw.by.as_ref().map(|it| &it.place))
        .cloned()
        .collect();
    for place in strange {
        let cause = "is for events, and means nothing for a `gauge`";
        check.report(&place, cause, "write `above` and `for` in its place");
    }
    let gauge = check.one(gauge, Gauge::parse)?;
    if raw.above.is_none() {
        check.missing(&raw.place, "above", "write above = \"90%\", or an amount");
    }
    let bound = check.maybe(raw.above.as_ref(), |text| bound(gauge.value, text))?;
    let lasting = check.maybe(raw.lasting.as_ref(), |text| duration(text, Duration::ZERO, DAY));
    let lasting = lasting.map_or(Duration::ZERO, |lasting| lasting.value);
    Some(Above { gauge: gauge.value, bound: bound.value, lasting })
}

fn bound(gauge: Gauge, text: &str) -> Result<Bound, String> {
    if let Some(part) = text.strip_suffix('%') {
        let part = part.parse().ok().filter(|part| (1..=100).contains(part));
        let wrong = || format!("`{}` is not from 1% to 100%", text.escape_debug());
        return part.map(Bound::Percent).ok_or_else(wrong);
    }
    let amount = match gauge {
        Gauge::Tasks | Gauge::OpenFiles => {
            text.parse().map_err(|_| format!("`{}` is not a number", text.escape_debug()))?
        }
        Gauge::Memory | Gauge::Swap | Gauge::Disk => Bytes::parse(text)?.0,
        Gauge::Cpu => u64::from(Cpus::parse(text)?.0),
    };
    Ok(Bound::Amount(amount))
}

/// A time with its unit.
fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    use crate::document::duration::{parse, shown};
    let duration = parse(text)?;
    if duration < least || duration > most {
        return Err(format!("`{text}` is not from {} to {}", shown(least), shown(most)));
    }
    Ok(duration)
}

fn strings<T>(
    check: &mut Checker,
    raw: &Strings,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let Some(raw) = raw else { return Vec::new() };
    let all = raw.value.iter().filter_map(|text| check.one(text, &parse));
    all.map(|found| found.value).collect()
}

fn sinks(check: &mut Checker, raw: &[RawSink]) -> Vec<SinkEntry> {
    if let Some(one) = raw.get(MOST_SINKS) {
        let cause = format!("is one more than the {MOST_SINKS} sinks that there may be");
        check.report(&one.place, cause, "have one sink pass on what it is told");
    }
    let mut known = BTreeMap::new();
    raw.iter().filter_map(|raw| sink(check, raw, &mut known)).collect()
}

fn sink(
    check: &mut Checker,
    raw: &RawSink,
    known: &mut BTreeMap<String, String>,
) -> Option<SinkEntry> {
    if raw.name.is_none() {
        check.missing(&raw.place, "name", "write a name, as in name = \"pager\"");
    }
    if raw.kind.is_none() {
        let hint = "write kind = \"log\", \"journald\", \"command\" or \"webhook\"";
        check.missing(&raw.place, "kind", hint);
    }
    let name = unique(check, raw.name.as_ref(), known);
    let least = check.maybe(raw.least.as_ref(), Severity::parse);
    let timeout = check.maybe(raw.timeout.as_ref(), |text| duration(text, SECOND, 2 * MINUTE));
    let attempts = raw.attempts.as_ref().and_then(|raw| {
        let fits = (1..=10).contains(&raw.value);
        if !fits {
            let cause = format!("is {}, and not from 1 to 10", raw.value);
            check.report(&raw.place, cause, "write how often an alert is tried to be told");
        }
        u32::try_from(raw.value).ok().filter(|_| fits)
    });
    let kind = raw.kind.as_ref()?;
    let way = way(check, raw, kind);
    Some(SinkEntry {
        name: name?,
        way: way?,
        least: least.map_or(Severity::Info, |least| least.value),
        timeout: timeout.map_or(Duration::from_secs(10), |timeout| timeout.value),
        attempts: attempts.unwrap_or(5),
    })
}

fn way(check: &mut Checker, raw: &RawSink, kind: &Located<String>) -> Option<Way> {
    let (command, webhook) = (kind.value == "command", kind.value == "webhook");
    let strange = [
        ("command", raw.command.as_ref().map(|it| &it.place), command),
        ("user", raw.user.as_ref().map(|it| &it.place), command),
        ("url", raw.url.as_ref().map(|it| &it.place), webhook),
        ("auth", raw.auth.as_ref().map(|it| &it.place), webhook),
        ("secret", raw.secret.as_ref().map(|it| &it.place), webhook),
        ("ca", raw.ca.as_ref().map(|it| &it.place), webhook),
        ("socket", raw.socket.as_ref().map(|it| &it.place), kind.value == "journald"),
    ];
    for (key, place, fits) in strange {
        if let Some(place) = place.filter(|_| !fits) {
            let cause = format!("means nothing for a sink of kind `{}`", kind.value.escape_debug());
            check.report(place, cause, format!("leave `{key}` out"));
        }
    }
    match kind.value.as_str() {
        "log" => Some(Way::Log),
        "journald" => {
            let socket = check.maybe(raw.socket.as_ref(), absolute);
            let socket = socket.map_or_else(|| Way::JOURNAL.to_owned(), |socket| socket.value);
            Some(Way::Journald { socket })
        }
        "command" => of_command(check, raw),
        "webhook" => of_webhook(check, raw),
        other => {
            let cause = format!("`{}` is no kind of sink", other.escape_debug());
            let hint = "write kind = \"log\", \"journald\", \"command\" or \"webhook\"";
            check.report(&kind.place, cause, hint);
            None
        }
    }
}

fn of_command(check: &mut Checker, raw: &RawSink) -> Option<Way> {
    if raw.command.is_none() {
        let hint = "write command = [\"/usr/local/bin/tell\", \"argument\"]";
        check.missing(&raw.place, "command", hint);
    }
    if raw.user.is_none() {
        let hint = "write user = \"alerts\": an account that has no rights but those that it needs";
        check.missing(&raw.place, "user", hint);
    }
    let user = raw.user.as_ref().and_then(|user| principal(check, user));
    if let Some(user) = user.as_ref().filter(|user| super::roles::is_root(&user.value)) {
        let cause = "is root, and no command of a sink runs as root";
        check.report(&user.place, cause, "name an account that has the rights that it needs");
    }
    let raw = raw.command.as_ref()?;
    let words: Vec<String> = raw.value.iter().map(|word| word.value.clone()).collect();
    let program = words.first().map(String::as_str).unwrap_or_default();
    if let Err(cause) = absolute(program) {
        let hint = "write the absolute path of the program first: no shell looks for it";
        check.report(&raw.place, cause, hint);
        return None;
    }
    if words.iter().any(|word| word.contains('\0')) {
        check.report(&raw.place, "has a NUL character in it", "leave it out");
        return None;
    }
    Some(Way::Command { words, user: user? })
}

fn of_webhook(check: &mut Checker, raw: &RawSink) -> Option<Way> {
    if raw.url.is_none() {
        check.missing(&raw.place, "url", "write url = \"https://hooks.example.com/cellblock\"");
    }
    let url = check.maybe(raw.url.as_ref(), Url::parse);
    let auth = check.maybe(raw.auth.as_ref(), Auth::parse);
    let secret = check.maybe(raw.secret.as_ref(), |text| match text.strip_prefix(CREDENTIAL) {
        Some(name) if !name.is_empty() && !name.contains('/') => Ok(text.to_owned()),
        _ => absolute(text),
    });
    let ca = check.maybe(raw.ca.as_ref(), absolute).map(|ca| ca.value);
    if raw.auth.is_some() != raw.secret.is_some() {
        let place = raw.auth.as_ref().or(raw.secret.as_ref()).map(|it| &it.place);
        let cause = "stands alone: `auth` says how the `secret` is used";
        let hint = "write both, as in auth = \"hmac\" and secret = \"/etc/cellblock/keys/hook\"";
        place.into_iter().for_each(|place| check.report(place, cause, hint));
    }
    if let (Some(url), Some(auth)) = (&url, &auth)
        && auth.value == Auth::Bearer
        && !url.value.is_safe()
    {
        let cause = "is bearer, and without TLS everybody on the way could read the secret";
        check.report(&auth.place, cause, "write an https:// URL, or auth = \"hmac\"");
    }
    let auth = auth.map(|auth| auth.value).zip(secret.map(|secret| secret.value));
    Some(Way::Webhook { url: url?.value, auth, ca })
}

pub(super) fn metrics(check: &mut Checker, raw: &RawMetrics) -> Metrics {
    let listen = check.maybe(raw.listen.as_ref(), listen);
    let group = raw.group.as_ref().and_then(|group| principal(check, group));
    if let (Some(group), Some(listen)) = (&group, &listen)
        && matches!(listen.value, Some(Listen::Loopback(_)))
    {
        let cause = "means nothing for a port: every user of this machine reaches it";
        check.report(&group.place, cause, "write listen = \"unix:/run/cellblock/metrics.sock\"");
    }
    let listen = listen.and_then(|listen| {
        let place = listen.place;
        listen.value.map(|value| Located { value, place })
    });
    Metrics { listen, group }
}

fn listen(text: &str) -> Result<Option<Listen>, String> {
    if text == "off" {
        return Ok(None);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let path = absolute(path)?;
        if path.len() > 100 {
            return Err(format!("is {} bytes long, and a socket's path can have 100", path.len()));
        }
        return Ok(Some(Listen::Unix(path)));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() && address.port() > 0 => {
            Ok(Some(Listen::Loopback(address)))
        }
        Ok(address) if address.port() == 0 => Err(format!("`{text}` has no port")),
        Ok(_) => Err(format!("`{text}` is not an address of this machine alone")),
        Err(_) => Err(format!("`{}` is no place to listen at", text.escape_debug())),
    }
}

/// What may help with the value of a key of these tables.
pub(super) fn hint(key: &str) -> &'static str {
    let last = key.rsplit('.').next().unwrap_or(key);
    match last {
        "name" => "write a name, as in name = \"pager\"",
        "severity" | "least" => "write info, warning, high or critical",
        "within" | "for" | "again_after" | "timeout" => {
            "write a number with ms, s, m or h, as in \"10m\""
        }
        "by" => "write by = \"agent\", or by = \"all\" to count those of all agents together",
        "gauge" => "write gauge = \"memory\"",
        "above" => "write a part of the limit as in \"90%\", or an amount as in 100 or \"2G\"",
        "url" => "write url = \"https://hooks.example.com/cellblock\"",
        "auth" => "write auth = \"hmac\" or auth = \"bearer\"",
        "secret" => "write the absolute path of a file, or \"credential:NAME\"",
        "ca" | "socket" => "write an absolute path",
        "listen" => "write \"unix:/run/cellblock/metrics.sock\", \"127.0.0.1:9617\" or \"off\"",
        _ if last.starts_with("on[") => "docs/alerts.md lists the kinds of events",
        _ if last.starts_with("agents[") => {
            "write a name of an agent, with `*` for any part of it and `?` for one character"
        }
        _ if last.starts_with("sinks[") => "write the name of one of [[alerts.sinks]]",
        _ if last.starts_with("contains[") => "write a part of a text",
        _ => "",
    }
}
