//! What the jail's file system shows, and what is hidden or protected in it.

use super::request::{Input, Request};
use super::tree::{HostTree, HostTrees, Paths, ancestors, below, is_glob, join};
use super::types::{Content, Identity, Idmap, Mask, MaskKind, Mount, Node, Source};
use crate::document::{Located, Place, Problem, Problems};
use crate::host::{HostFacts, Kind, PathAnswer, PathFact};
use crate::profile::Profile;
use crate::profile::types::{Access, Api, Owner, Workspace};
use crate::profile::validate::DEFAULT;

mod masks;
mod nodes;

/// Everything mounted in the jail.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) mounts: Vec<Mount>,
    pub(super) masks: Vec<Mask>,
}

/// The trees of the host that the profile and the request name.
pub(super) fn host_trees(
    profile: &Profile,
    paths: &Paths,
    workspace: Option<Located<String>>,
) -> HostTrees {
    let entries = profile.filesystem.entries.iter().map(|entry| HostTree {
        host: entry.path.value.resolve(&paths.person_home),
        at: entry.at.resolve(&paths.agent_home),
        access: entry.access,
        optional: entry.optional,
        owner: entry.owner,
        place: entry.path.place.clone(),
    });
    let workspace = workspace.map(|directory| HostTree {
        host: directory.value,
        at: super::WORKSPACE.to_owned(),
        access: Access { write: true, execute: true },
        optional: false,
        owner: Owner::Host,
        place: directory.place,
    });
    HostTrees::new(entries.chain(workspace).collect())
}

/// Decides every mount and mask.
pub(super) fn resolve(
    input: Input<'_>,
    identity: &Identity,
    trees: &HostTrees,
    problems: &mut Problems,
) -> Layout {
    let Input { profile, request, facts } = input;
    let (mounts, links) = (Vec::new(), Vec::new());
    let mut builder = Builder { facts, identity, trees, problems, mounts, links };
    builder.mounts = own_mounts(profile, request, identity, trees);
    for tree in &trees.0 {
        builder.add(tree);
    }
    builder.mounts.extend(own_program(request, facts));
    builder.mounts.sort_by(|a, b| a.at.cmp(&b.at));
    builder.make_places();
    builder.make_links();
    nodes::generated(&mut builder.mounts, input, identity);
    if let Some(api) = &profile.egress.api {
        builder.make_socket(api);
    }
    let paths =
        Paths { agent_home: identity.home.clone(), person_home: facts.caller.person.home.clone() };
    let masks = masks::resolve(profile, &paths, &mut builder);
    Layout { mounts: builder.mounts, masks }
}

/// What the jail has of its own: root, devices, processes, and trees in memory.
fn own_mounts(
    profile: &Profile,
    request: &Request,
    identity: &Identity,
    trees: &HostTrees,
) -> Vec<Mount> {
    let filesystem = &profile.filesystem;
    let free = |at: &str| !trees.0.iter().any(|tree| tree.at == at);
    let mut mounts =
        vec![nodes::root(), nodes::devices(), nodes::shared_memory(), nodes::processes()];
    mounts.push(nodes::pts());
    if free("/tmp") {
        mounts.push(nodes::tree("/tmp", &filesystem.tmp, 0o1777));
    }
    if free(&identity.home) {
        mounts.push(nodes::tree(&identity.home, &filesystem.home, 0o700));
    }
    let in_memory = filesystem.workspace.value == Workspace::Memory;
    if in_memory && free(super::WORKSPACE) {
        mounts.push(nodes::workspace(&filesystem.home, &filesystem.workspace.place));
    }
    if request.mode == super::Mode::Run {
        mounts.push(nodes::tmux_directory());
    }
    mounts
}

/// This program, by which the agent asks for what its profile lets it have.
fn own_program(request: &Request, facts: &HostFacts) -> Option<Mount> {
    let path = facts.own_program.clone().filter(|_| request.mode == super::Mode::Run)?;
    Some(Mount {
        at: format!("{}/cellblock", super::OWN_PROGRAMS),
        source: Source::Host { path, directory: false, idmap: None },
        write: false,
        execute: true,
        origin: DEFAULT.to_owned(),
    })
}

/// Builds the layout; problems gather on the way.
struct Builder<'a> {
    facts: &'a HostFacts,
    identity: &'a Identity,
    trees: &'a HostTrees,
    problems: &'a mut Problems,
    mounts: Vec<Mount>,
    links: Vec<(String, String)>,
}

impl Builder<'_> {
    fn report(&mut self, tree: &HostTree, cause: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(&tree.place, cause, hint));
    }

    /// Adds the mount of `tree`, or reports why it cannot be.
    fn add(&mut self, tree: &HostTree) {
        let path = &tree.host;
        match self.facts.paths.get(path) {
            Some(PathAnswer::Found(fact)) => {
                let fact = fact.clone();
                self.add_found(tree, &fact);
            }
            Some(PathAnswer::Link { target, trusted }) => self.add_link(tree, target, *trusted),
            Some(PathAnswer::LinkInside { at, target }) => self.report(
                tree,
                format!("`{path}` goes through the symbolic link `{at}`, which is not followed"),
                format!("`{at}` leads to `{target}`: write the path without the link"),
            ),
            Some(PathAnswer::Denied(_)) if self.facts.caller.euid != 0 => {
                self.mounts.push(mount_of(tree, true, None));
            }
            Some(PathAnswer::Denied(why)) => {
                self.report(tree, format!("cannot look at `{path}`: {why}"), "");
            }
            Some(PathAnswer::Missing) | None if tree.optional => {}
            Some(PathAnswer::Missing) | None => self.report(
                tree,
                format!("`{path}` does not exist on this host"),
                "correct the path, or write { path = …, optional = true } to leave it out where it is missing",
            ),
        }
    }

    fn add_found(&mut self, tree: &HostTree, fact: &PathFact) {
        let path = &tree.host;
        if !matches!(fact.kind, Kind::Directory | Kind::File) {
            return self.report(
                tree,
                format!("`{path}` is {}, and would be a way out of the jail", fact.kind.word()),
                "leave it out: sockets and devices of the host are never shown in a jail",
            );
        }
        self.refuse_sockets(tree);
        let idmap = self.idmap(tree, fact);
        self.mounts.push(mount_of(tree, fact.kind == Kind::Directory, idmap));
    }

    /// A socket reached through a mount is a way to whoever listens on it.
    fn refuse_sockets(&mut self, tree: &HostTree) {
        let inside = |path: &&String| below(path, &tree.host).is_some();
        let found: Vec<String> = match self.facts.walks.get(&tree.host) {
            Some(Ok(walk)) => walk.sockets.iter().map(|path| join(&tree.host, path)).collect(),
            Some(Err(cause)) => {
                let cause = format!("`{}` {cause}", tree.host);
                return self.report(tree, cause, "a tree that is not looked through is not shown");
            }
            None => match &self.facts.live_sockets {
                Some(live) => live.iter().filter(inside).cloned().collect(),
                None => {
                    let cause =
                        format!("cannot tell whether sockets of the host are in `{}`", tree.host);
                    return self.report(tree, cause, "/proc/net/unix must be readable");
                }
            },
        };
        let shown: Vec<_> = found.iter().take(3).map(|path| format!("`{path}`")).collect();
        if !shown.is_empty() {
            self.report(
                tree,
                format!("has {} unix socket(s) of the host in it: {}", found.len(), shown.join(", ")),
                "the agent could talk to whoever listens there: stop it or remove the socket, or show less",
            );
        }
    }

    fn idmap(&mut self, tree: &HostTree, fact: &PathFact) -> Option<Idmap> {
        if tree.owner == Owner::Disk || fact.uid == self.identity.uid {
            return None;
        }
        if fact.uid == 0 || fact.gid == 0 {
            self.report(
                tree,
                format!(
                    "`{}` belongs to root, and what the agent makes there would too",
                    tree.host
                ),
                "use a directory that belongs to a person: a project is not root's",
            );
        }
        Some(Idmap { uid: fact.uid, gid: fact.gid })
    }

    /// A link that only root can change, into something that the jail shows, is made again inside.
    fn add_link(&mut self, tree: &HostTree, target: &str, trusted: bool) {
        let absolute = absolute_target(&tree.host, target);
        let shown = absolute.as_deref().is_some_and(|path| self.is_shown(path));
        if trusted && shown {
            self.links.push((tree.at.clone(), target.to_owned()));
        } else if !(trusted && tree.optional) {
            self.report(
                tree,
                format!("`{}` is a symbolic link, which is not followed", tree.host),
                format!("it leads to `{target}`: write that path"),
            );
        }
    }

    fn is_shown(&self, path: &str) -> bool {
        self.trees.showing(path).is_some_and(|(tree, _)| {
            matches!(self.facts.paths.get(&tree.host), Some(PathAnswer::Found(_)))
        })
    }

    /// Sees to it that every mount has a place to stand on.
    fn make_places(&mut self) {
        for index in 1..self.mounts.len() {
            let at = self.mounts[index].at.clone();
            let file = matches!(&self.mounts[index].source, Source::Host { directory: false, .. });
            let content = if file {
                Content::File(String::new())
            } else {
                Content::Directory { agent: false }
            };
            if !nodes::place(&mut self.mounts, &at, content) {
                self.check_host_place(&at);
            }
        }
    }

    /// The place lies in a tree of the host, where nothing is made: it must exist.
    fn check_host_place(&mut self, at: &str) {
        let Some(tree) = self.trees.0.iter().find(|tree| tree.at == at).cloned() else { return };
        let Some((above, rest)) = self.trees.above(&tree) else { return };
        let place = join(&above.host, rest);
        if !matches!(self.facts.paths.get(&place), Some(PathAnswer::Found(_))) {
            let cause = format!("`{at}` is inside `{}`, which has no such place", above.at);
            self.report(&tree, cause, format!("make `{place}`, or choose another `at`"));
        }
    }

    /// The socket of the service. Nothing of the host may be in its place, and nothing else of the jail.
    fn make_socket(&mut self, api: &Api) {
        let at = api.socket.value.resolve(&self.identity.home);
        let taken = self.mounts.iter().any(|mount| mount.at == at || nodes::has(mount, &at));
        let cause = if taken {
            format!("`{at}` is something else in the jail")
        } else if !nodes::place(&mut self.mounts, &at, Content::Socket) {
            format!("`{at}` is in a tree of the host, where no socket is made")
        } else {
            return;
        };
        let hint = "choose another place, such as /run/api.sock";
        self.problems.push(Problem::new(&api.socket.place, cause, hint));
    }

    fn make_links(&mut self) {
        let shown = |(link, target): &(String, String)| {
            let absolute = absolute_target(link, target)?;
            self.is_shown(&absolute).then(|| (link.clone(), target.clone()))
        };
        let root: Vec<_> = self.facts.root_links.iter().filter_map(shown).collect();
        for (at, target) in self.links.drain(..).chain(root) {
            nodes::place(&mut self.mounts, &at, Content::Link(target));
        }
    }
}

fn mount_of(tree: &HostTree, directory: bool, idmap: Option<Idmap>) -> Mount {
    Mount {
        at: tree.at.clone(),
        source: Source::Host { path: tree.host.clone(), directory, idmap },
        write: tree.access.write,
        execute: tree.access.execute,
        origin: tree.place.to_string(),
    }
}

/// Where the link at `link` with text `target` leads, if that can be told without looking.
fn absolute_target(link: &str, target: &str) -> Option<String> {
    let start = if target.starts_with('/') { "" } else { link.rsplit_once('/')?.0 };
    let mut parts: Vec<&str> = start.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_targets() {
        assert_eq!(absolute_target("/bin", "usr/bin").unwrap(), "/usr/bin");
        assert_eq!(absolute_target("/etc/localtime", "/usr/share/x").unwrap(), "/usr/share/x");
        assert_eq!(absolute_target("/etc/a/b", "../c").unwrap(), "/etc/c");
        assert_eq!(absolute_target("/bin", "../../x"), None);
    }
}
