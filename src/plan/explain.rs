//! A plan in words: every value, where it comes from, and every step.

use super::resolve::Draft;
use super::steps::{Phase, steps};
use super::types::{
    ApiPlan, Content, DiskTree, EgressPlan, JobsPlan, Limit, Log, MaskKind, Mount, Plan,
    RecordPlan, Rlimit, SeccompPlan, Source, TreeBound, WallState,
};
use crate::document::{duration, one_line};
use crate::policy::network::Check;
use crate::profile::Wall;
use crate::profile::types::Bytes;
use crate::watch::rules::Rule;
use std::fmt::{self, Write as _};

/// The whole plan as text.
#[must_use]
pub fn explain(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a String never fails.
    if write_all(&mut text, plan).is_err() {
        text.push_str("(cut short)\n");
    }
    text
}

/// The plan of `draft` as text, with what keeps it from being launched here at its end.
#[must_use]
pub fn explain_draft(draft: &Draft) -> String {
    let mut text = explain(draft.preview());
    if !draft.hindrances().is_empty() {
        text.push_str("\ncannot be launched here; the above is without what is missing\n");
    }
    for line in draft.hindrances().iter().flat_map(|hindrance| lines(&hindrance.to_string())) {
        text.push_str(&line);
    }
    text
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn write_all(text: &mut String, plan: &Plan) -> fmt::Result {
    write_head(text, plan)?;
    write_walls(text, plan)?;
    write_files(text, plan)?;
    write_rules(text, plan)?;
    write_egress(text, plan)?;
    write_limits(text, plan)?;
    write_ceiling(text, plan)?;
    write_jobs(text, plan)?;
    write_watch(text, plan)?;
    write_environment(text, plan)?;
    write_steps(text, plan)
}

fn write_head(text: &mut String, plan: &Plan) -> fmt::Result {
    let identity = &plan.identity;
    writeln!(text, "agent {} by profile {}", plan.agent, plan.profile)?;
    let fresh = if identity.new_uid { ", new" } else { "" };
    writeln!(
        text,
        "  user      uid {} gid {} groups {:?} umask {:03o}{fresh}  [{}]",
        identity.uid, identity.gid, identity.groups, identity.umask, identity.origin
    )?;
    let words: Vec<_> =
        plan.command.words.iter().map(|word| word.escape_debug().to_string()).collect();
    writeln!(text, "  command   {}  [{}]", words.join(" "), plan.command.origin)?;
    writeln!(text, "  starts in {}", one_line(&plan.command.workdir))?;
    if let Some(terminal) = &plan.terminal {
        let (columns, rows) = terminal.size;
        writeln!(text, "  session   {} ({columns}x{rows} without a terminal)", terminal.session)?;
        writeln!(text, "  kept by   a shim as uid {}", terminal.shim.uid)?;
        if let Some(RecordPlan { folder, bound, origin }) = &terminal.record {
            let bound = Bytes(*bound);
            writeln!(text, "  recorded  in {}, the newest {bound}  [{origin}]", one_line(folder))?;
        }
    }
    Ok(())
}

fn write_walls(text: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(text, "\nwalls")?;
    for wall in &plan.walls {
        let (mark, detail) = match &wall.state {
            WallState::Stands(how) => ("stands", how.as_str()),
            WallState::Without(why) => ("WITHOUT", why.as_str()),
            WallState::NotInKernel(since) => ("not here", since.as_str()),
            WallState::NotSet => ("not set", "the profile sets no such limit"),
            WallState::CannotStand(why) => ("CANNOT STAND", why.as_str()),
        };
        writeln!(text, "  {:<18} {mark:<12} {detail}", wall.wall)?;
    }
    Ok(())
}

fn write_files(text: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(text, "\nfiles")?;
    if !plan.stands(Wall::Mount) {
        // None of the mounts below is made, nothing is covered, and the host's /proc is seen.
        return writeln!(text, "  all of the host's; what Landlock allows where it stands");
    }
    for mount in &plan.mounts {
        let rights = match (mount.write, mount.execute) {
            (false, false) => "r--",
            (true, false) => "rw-",
            (false, true) => "r-x",
            (true, true) => "rwx",
        };
        let at = one_line(&mount.at);
        writeln!(text, "  {rights} {at:<24} {}  [{}]", source(mount), mount.origin)?;
        write_nodes(text, mount)?;
    }
    for mask in &plan.masks {
        let verb = match &mask.kind {
            MaskKind::Hide { .. } => "hidden",
            MaskKind::Protect => "protected",
            MaskKind::Pin => "pinned, so that what is below stays protected",
            MaskKind::Stub { .. } => "protected by a stub, as it does not exist",
        };
        writeln!(text, "  --- {:<24} {verb}  [{}]", one_line(&mask.at), mask.origin)?;
    }
    writeln!(text, "  /proc without {}", plan.proc_masks.join(" "))
}

/// What a file system in memory holds at the start, besides places for other mounts.
fn write_nodes(text: &mut String, mount: &Mount) -> fmt::Result {
    let Source::Memory { nodes, .. } = &mount.source else { return Ok(()) };
    let told = nodes.iter().filter_map(|node| match &node.content {
        Content::Directory { .. } => None,
        // An empty file is a place for a mount, or a stub.
        Content::File(content) if content.is_empty() => None,
        Content::File(_)
        | Content::Blank { .. }
        | Content::Device { .. }
        | Content::Socket
        | Content::Door => Some(node.path.clone()),
        Content::Link(target) => Some(format!("{} → {target}", node.path)),
    });
    let told = told.collect::<Vec<_>>().join(", ");
    if told.is_empty() { Ok(()) } else { writeln!(text, "      with {}", one_line(&told)) }
}

fn source(mount: &Mount) -> String {
    match &mount.source {
        Source::Host { path, idmap: None, .. } => one_line(path).into_owned(),
        Source::Host { path, idmap: Some(idmap), .. } => {
            format!("{}, as uid {} gid {} on disk", one_line(path), idmap.uid, idmap.gid)
        }
        Source::Memory { size, inodes, .. } => {
            format!("memory, {} and {inodes} files", Bytes(*size))
        }
        Source::Pts { max } => format!("{max} terminals"),
        Source::Proc => "its own processes".to_owned(),
    }
}

/// What stands of the rules; where a wall does not stand, nothing is said to be refused.
fn write_rules(text: &mut String, plan: &Plan) -> fmt::Result {
    let landlock = &plan.landlock;
    writeln!(text, "\nrules")?;
    if plan.stands(Wall::Landlock) {
        let tcp = if landlock.restrict_tcp { "refused" } else { "not restricted" };
        let scopes = if landlock.scopes { "on" } else { "off" };
        let (abi, rules) = (landlock.abi, landlock.rules.len());
        writeln!(text, "  landlock  ABI {abi}, {rules} rules, TCP {tcp}, scopes {scopes}")?;
        write_log(text, &landlock.log, "what it refuses is audited while the host audits")?;
    } else {
        writeln!(text, "  landlock  none")?;
    }
    let SeccompPlan { policy, origin, allowed, log, .. } = &plan.seccomp;
    if plan.stands(Wall::Seccomp) {
        let rest = "all others refused";
        writeln!(text, "  seccomp   policy {policy}: {allowed} calls allowed, {rest}  [{origin}]")?;
        write_log(text, log, "what it refuses is audited, but for what programs do without")?;
    } else {
        writeln!(text, "  seccomp   none")?;
    }
    let own = plan.stands(Wall::Network);
    writeln!(text, "  network   {}", if own { plan.network.word() } else { "the host's" })
}

/// Whether what a wall refuses leaves a record.
fn write_log(text: &mut String, log: &Log, on: &str) -> fmt::Result {
    match log {
        Log::On => writeln!(text, "            {on}"),
        Log::Off(why) => writeln!(text, "            what it refuses is not audited: {why}"),
    }
}

fn write_egress(text: &mut String, plan: &Plan) -> fmt::Result {
    let Some(egress) = &plan.egress else { return Ok(()) };
    writeln!(text, "\nmay reach, by a gate as uid {}", egress.gate.uid)?;
    for rule in &egress.rules.allow {
        let check = match rule.check {
            Check::Tls => "by TLS with its name",
            Check::Http => "by HTTP with its name",
            Check::None => "whatever is said",
        };
        let addresses: Vec<_> = rule.addresses.iter().map(ToString::to_string).collect();
        let also = if addresses.is_empty() {
            String::new()
        } else {
            format!(", also at {}", addresses.join(", "))
        };
        writeln!(text, "  {:<40} {check}{also}  [{}]", rule.to_string(), rule.origin)?;
    }
    for denial in &egress.rules.deny {
        writeln!(text, "  not {denial}  [{}]", denial.origin)?;
    }
    write_api(text, egress)?;
    let bytes = egress.bytes.map_or("no bound on bytes".to_owned(), |most| Bytes(most).to_string());
    if let Some(proxy) = &egress.proxy {
        writeln!(text, "  by the proxy {proxy}  [the environment]")?;
    }
    let EgressPlan { connections, rate, origin, .. } = egress;
    writeln!(text, "  {connections} connections, {rate} new ones a second, {bytes}  [{origin}]")
}

/// A service by a socket; its key by the file that it is in.
fn write_api(text: &mut String, egress: &EgressPlan) -> fmt::Result {
    let Some(ApiPlan { socket, upstream, key, header, ca, addresses, origin }) = &egress.api else {
        return Ok(());
    };
    let socket = one_line(socket);
    writeln!(text, "  {:<40} by the socket {socket}  [{origin}]", upstream.to_string())?;
    writeln!(text, "      as `{header}`: the key in {}, which stays outside", one_line(key))?;
    if let Some(ca) = ca {
        writeln!(text, "      its certificate checked by {}", one_line(ca))?;
    }
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    if addresses.is_empty() {
        Ok(())
    } else {
        writeln!(text, "      also at {}", addresses.join(", "))
    }
}

fn write_limits(text: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(text, "\nlimits")?;
    let Plan { cgroup, .. } = plan;
    cgroup.limits.iter().try_for_each(|limit| write_limit(text, limit))?;
    for Rlimit { resource, value, origin } in &plan.rlimits {
        writeln!(text, "  {:<16} {value}  [{origin}]", format!("{resource:?}"))?;
    }
    write_disk(text, plan)?;
    if let Some(bytes) = plan.memory_watch {
        writeln!(text, "  {:<16} {}", "memory watch", Bytes(bytes))?;
    }
    Ok(())
}

/// What bounds each writable tree of the host. Without a root of its own the agent is not held to them.
fn write_disk(text: &mut String, plan: &Plan) -> fmt::Result {
    let origin = plan.disk.bounds.first().map(|bound| format!("  [{}]", bound.origin));
    let origin = origin.unwrap_or_default();
    for DiskTree { at, bound } in &plan.disk.trees {
        let at = one_line(at);
        match bound {
            TreeBound::Quota(how) => writeln!(text, "  {:<16} {at}: {how}{origin}", "disk")?,
            TreeBound::None(why) => writeln!(text, "  {:<16} {at}: not bounded: {why}", "disk")?,
        }
    }
    Ok(())
}

/// What all agents together may use, where this agent counts towards it.
fn write_ceiling(text: &mut String, plan: &Plan) -> fmt::Result {
    let mut ceiling = plan.cgroup.ceiling.iter().filter(|limit| !limit.is_none()).peekable();
    if ceiling.peek().is_none() {
        return Ok(());
    }
    writeln!(text, "\nlimits of all agents together, {}", plan.cgroup.slice)?;
    ceiling.try_for_each(|limit| write_limit(text, limit))
}

fn write_limit(text: &mut String, limit: &Limit) -> fmt::Result {
    writeln!(text, "  {:<16} {}  [{}]", limit.file, limit.value, limit.origin)
}

fn write_jobs(text: &mut String, plan: &Plan) -> fmt::Result {
    let Some(JobsPlan { rules, origin }) = &plan.jobs else { return Ok(()) };
    let longest = duration::shown(rules.longest);
    writeln!(
        text,
        "\njobs\n  {} at a time, {longest} each at the most; {} notes  [{origin}]",
        rules.most, rules.notes
    )
}

/// What the watch finds, a rule a line.
fn write_watch(text: &mut String, plan: &Plan) -> fmt::Result {
    let Some(watch) = &plan.watch else { return Ok(()) };
    writeln!(text, "\nwatch")?;
    for rule in Rule::ALL {
        let (seen, action) = (watch.rules.told(rule), watch.rules.action(rule));
        let origin = watch.origins.get(rule.name()).map(String::as_str).unwrap_or_default();
        writeln!(text, "  {rule:<16} {action}: {seen}  [{origin}]")?;
    }
    let except = &watch.rules.detached.except;
    let except: Vec<String> = except.iter().map(|it| it.escape_debug().to_string()).collect();
    if except.is_empty() { Ok(()) } else { writeln!(text, "      but {}", except.join(", ")) }
}

fn write_environment(text: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(text, "\nenvironment")?;
    for variable in &plan.environment {
        let value = variable.value.shown().escape_debug().to_string();
        writeln!(text, "  {}={value}  [{}]", variable.name, variable.origin)?;
    }
    Ok(())
}

fn write_steps(text: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(text, "\nsteps")?;
    for (index, step) in steps(plan).iter().enumerate() {
        let who = match step.phase() {
            Phase::Parent => "parent",
            Phase::Privileged => "child, root",
            Phase::Confined => "child",
            Phase::Opening => "parent",
        };
        writeln!(text, "  {:>3} {who:<12} {}", index + 1, step.told(plan))?;
    }
    Ok(())
}
