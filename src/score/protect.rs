//! `[filesystem] protect` and `hide`: files of a project that run by themselves, or hold secrets.
//!
//! They are judged where the agent can write: in its workspace and in the trees of `write`, but not in its
//! home, where nobody else runs anything.

use super::Point;
use super::places::is_in;
use crate::document::{Located, Place};
use crate::profile::Profile;
use crate::profile::types::{Pattern, Workspace};
use globset::GlobBuilder;

/// A file that somebody's program runs, or runs what it names, without being asked to: where it is in a
/// project, what it costs in tenths to leave it to the agent, and who runs it.
const RUN_BY_ITSELF: &[(&str, u16, &str)] = &[
    // Every one of git's commands, also that of a prompt, runs outside what it finds there.
    (".git/hooks", 20, "git runs them at the next commit, checkout or merge"),
    (".git/config", 20, "git runs the programs it names, already at `git status`"),
    (".git/commondir", 10, "it leads git to another configuration"),
    // Asked about when the project is opened first, and then trusted.
    (".claude/settings.json", 4, "Claude Code runs its hooks"),
    (".claude/settings.local.json", 3, "Claude Code runs its hooks"),
    (".codex/config.toml", 3, "Codex starts the programs it names"),
    (".mcp.json", 4, "agents start the servers it names"),
    (".vscode/tasks.json", 4, "the editor runs tasks when the folder is opened"),
    (".envrc", 3, "direnv runs it, once it is allowed"),
    // Only where the directory is a home, or a tool is started in it.
    (".bashrc", 2, "a shell runs it where this is a home"),
    (".profile", 2, "a shell runs it where this is a home"),
    (".npmrc", 2, "npm runs programs it names"),
];

/// All of them together: the person still has to do something for any of them to run.
const ALL: u16 = 50;

/// A tree that the agent can write and others use.
struct Tree<'p> {
    at: &'p str,
    home: &'p str,
}

fn trees(profile: &Profile) -> Vec<Tree<'_>> {
    let home = profile.agent.home.value.as_str();
    let files = &profile.filesystem;
    let written = files.entries.iter().filter(|entry| entry.access.write);
    let written = written.map(|entry| entry.at.as_str());
    // The agent's home is its own, as for the patterns themselves.
    let outside = written.filter(|at| !at.starts_with('~') && !is_in(at, home));
    let workspace =
        Some(crate::plan::WORKSPACE).filter(|_| files.workspace.value == Workspace::Current);
    workspace.into_iter().chain(outside).map(|at| Tree { at, home }).collect()
}

/// How far a file is out of the agent's reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cover {
    /// Not at all.
    None,
    /// Where it exists when the jail starts.
    Existing,
    /// Always.
    Whole,
}

impl Tree<'_> {
    /// What `pattern` does for `file` in this tree.
    fn cover(&self, pattern: &Pattern, file: &str) -> Cover {
        let whole = format!("{}/{file}", self.at);
        let (pattern, file) = if pattern.is_relative() {
            (pattern.as_str().to_owned(), file)
        } else {
            (pattern.resolve(self.home), whole.as_str())
        };
        // What is above it covers it, too.
        let above = file.match_indices('/').map(|(at, _)| &file[..at]).filter(|at| !at.is_empty());
        let paths: Vec<&str> = above.chain([file]).collect();
        if paths.contains(&pattern.as_str()) {
            return Cover::Whole;
        }
        let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
        let matches = glob.is_ok_and(|glob| {
            let matcher = glob.compile_matcher();
            paths.iter().any(|path| matcher.is_match(path))
        });
        if matches { Cover::Existing } else { Cover::None }
    }

    /// The best that any of `patterns` does, and which.
    fn best<'p>(&self, patterns: &'p [Located<Pattern>], file: &str) -> Best<'p> {
        let covers = patterns.iter().map(|p| (self.cover(&p.value, file), Some(&p.place)));
        covers.max_by_key(|(cover, _)| *cover).unwrap_or((Cover::None, None))
    }
}

/// How far a file is out of reach, and by which pattern.
type Best<'p> = (Cover, Option<&'p Place>);

/// The worst that any tree has for `file`; whole where there is no tree.
fn worst<'p>(trees: &[Tree<'_>], patterns: &'p [Located<Pattern>], file: &str) -> Best<'p> {
    let best = trees.iter().map(|tree| tree.best(patterns, file));
    best.min_by_key(|(cover, _)| *cover).unwrap_or((Cover::Whole, None))
}

pub(super) fn protected(profile: &Profile) -> Point {
    let mut point = Point::new("filesystem", "protect", "leaves nothing that runs by itself", ALL);
    let trees = trees(profile);
    for (file, tenths, who) in RUN_BY_ITSELF {
        let hint = format!("add \"{file}\" to `protect`");
        match worst(&trees, &profile.filesystem.protect, file) {
            (Cover::Whole, _) => {}
            (Cover::Existing, Some(place)) => {
                let cause = format!("holds for no `{file}` that is made later: {who}");
                point.lose(tenths / 2, place, cause, &hint);
            }
            (Cover::Existing | Cover::None, _) => {
                let cause = format!("lacks `{file}`: {who}");
                point.lose_unset(*tenths, profile, &cause, &hint);
            }
        }
    }
    point
}

/// The file in which projects keep what their programs log in with.
const SECRETS: &str = ".env";

pub(super) fn hidden(profile: &Profile) -> Point {
    let mut point = Point::new("filesystem", "hide", "reads no secrets of the project", 5);
    if worst(&trees(profile), &profile.filesystem.hide, SECRETS).0 == Cover::None {
        // Only as far as there is one, and as a project's secrets reach.
        let cause = format!("lacks `{SECRETS}`: the agent can read what is secret in it");
        point.lose_unset(5, profile, &cause, "add \".env\" to `hide`");
    }
    point
}
