//! A plan in words: every value, where it comes from, and every step.

use super::resolve::Draft;
use super::steps::{Phase, steps};
use super::types::{MaskKind, Mount, Plan, Source, WallState};
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
    write_rest(text, plan)?;
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
    writeln!(text, "  starts in {}", plan.command.workdir)?;
    if let Some(terminal) = &plan.terminal {
        let (columns, rows) = terminal.size;
        writeln!(text, "  session   {} ({columns}x{rows} without a terminal)", terminal.session)?;
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
    for mount in &plan.mounts {
        let rights = match (mount.write, mount.execute) {
            (false, false) => "r--",
            (true, false) => "rw-",
            (false, true) => "r-x",
            (true, true) => "rwx",
        };
        writeln!(text, "  {rights} {:<24} {}  [{}]", mount.at, source(mount), mount.origin)?;
    }
    for mask in &plan.masks {
        let verb = match &mask.kind {
            MaskKind::Hide { .. } => "hidden",
            MaskKind::Protect => "protected",
            MaskKind::Pin => "pinned, so that what is below stays protected",
            MaskKind::Stub { .. } => "protected by a stub, as it does not exist",
        };
        writeln!(text, "  --- {:<24} {verb}  [{}]", mask.at, mask.origin)?;
    }
    writeln!(text, "  /proc without {}", plan.proc_masks.join(" "))
}

fn source(mount: &Mount) -> String {
    match &mount.source {
        Source::Host { path, idmap: None, .. } => path.clone(),
        Source::Host { path, idmap: Some(idmap), .. } => {
            format!("{path}, as uid {} gid {} on disk", idmap.uid, idmap.gid)
        }
        Source::Memory { size, inodes, .. } => {
            format!("memory, {} and {inodes} files", crate::profile::types::Bytes(*size))
        }
        Source::Pts { max } => format!("{max} terminals"),
        Source::Proc => "its own processes".to_owned(),
    }
}

fn write_rest(text: &mut String, plan: &Plan) -> fmt::Result {
    let landlock = &plan.landlock;
    writeln!(text, "\nrules")?;
    writeln!(
        text,
        "  landlock  ABI {}, {} rules, TCP {}, scopes {}",
        landlock.abi,
        landlock.rules.len(),
        if landlock.restrict_tcp { "refused" } else { "not restricted" },
        if landlock.scopes { "on" } else { "off" }
    )?;
    writeln!(
        text,
        "  seccomp   policy {}: {} calls allowed, all others refused  [{}]",
        plan.seccomp.policy, plan.seccomp.allowed, plan.seccomp.origin
    )?;
    writeln!(text, "  network   {}", plan.network.word())?;
    writeln!(text, "\nlimits")?;
    for limit in &plan.cgroup.limits {
        writeln!(text, "  {:<16} {}  [{}]", limit.file, limit.value, limit.origin)?;
    }
    for rlimit in &plan.rlimits {
        writeln!(
            text,
            "  {:<16} {}  [{}]",
            format!("{:?}", rlimit.resource),
            rlimit.value,
            rlimit.origin
        )?;
    }
    if let Some(bytes) = plan.memory_watch {
        writeln!(text, "  {:<16} {bytes}", "memory watch")?;
    }
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
        };
        writeln!(text, "  {:>3} {who:<12} {}", index + 1, step.told(plan))?;
    }
    Ok(())
}
