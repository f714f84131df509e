//! What is hidden or protected inside trees.
//!
//! Protecting a path that exists covers it with itself, read-only. Every directory between it and the
//! tree's root becomes a mount point as well: a mount point cannot be renamed, so nobody can move the
//! directory away and make another in its place. A path that does not exist gets a stub, because the
//! kernel mounts only on what exists; the stub stands at the first component that is missing.

use super::super::tree::{Anchored, HostTree, below};
use super::{
    Builder, Content, Kind, Mask, MaskKind, PathAnswer, PathFact, Paths, Profile, ancestors,
    is_glob, join, nodes,
};
use std::collections::BTreeSet;

pub(super) fn resolve(profile: &Profile, paths: &Paths, builder: &mut Builder<'_>) -> Vec<Mask> {
    let mut masks = Masks::default();
    let trees = builder.trees;
    for pattern in &profile.filesystem.protect {
        for anchored in trees.anchor(pattern, paths) {
            for path in expand(&anchored, builder) {
                masks.protect(&anchored, &path, builder);
                // Where it is shown to be read, nobody changes it.
                for (alias, path) in trees.aliases(&anchored, &path) {
                    if alias.access.write {
                        masks.cover(alias, &path, MaskKind::Protect, &anchored.place.to_string());
                    }
                }
            }
        }
        masks.protect_in_memory(pattern.value.as_str(), &pattern.place.to_string(), builder);
    }
    for pattern in &profile.filesystem.hide {
        for anchored in trees.anchor(pattern, paths) {
            for path in expand(&anchored, builder) {
                let Some(kind) = masks.hide(&anchored, &path, builder) else { continue };
                for (alias, path) in trees.aliases(&anchored, &path) {
                    masks.cover(alias, &path, kind.clone(), &anchored.place.to_string());
                }
            }
        }
    }
    refuse_twins(builder);
    masks.list.sort_by(|a, b| a.at.cmp(&b.at));
    masks.list
}

/// A mask covers a name, not a file: what has another name is reached by that.
fn refuse_twins(builder: &mut Builder<'_>) {
    for (file, twin) in &builder.facts.twins {
        let shows = |tree: &&HostTree| below(twin, &tree.host).is_some();
        let Some(tree) = builder.trees.0.iter().find(shows) else { continue };
        builder.report(
            tree,
            format!("`{twin}` is another name of `{file}`, which is hidden or protected"),
            "remove one of the two hard links, or copy the file",
        );
    }
}

/// The paths that a pattern names in its tree.
fn expand(anchored: &Anchored<'_>, builder: &Builder<'_>) -> Vec<String> {
    if !is_glob(&anchored.glob) {
        return vec![anchored.glob.clone()];
    }
    let walk = builder.facts.walks.get(&anchored.tree.host).and_then(|walk| walk.as_ref().ok());
    let matches = walk.and_then(|walk| walk.matches.get(&anchored.glob));
    matches.into_iter().flatten().map(|(path, _)| path.clone()).collect()
}

#[derive(Default)]
struct Masks {
    list: Vec<Mask>,
    taken: BTreeSet<String>,
}

impl Masks {
    /// A path is covered once; what protects more was asked for first.
    fn add(&mut self, at: String, kind: MaskKind, origin: &str) {
        if self.taken.insert(at.clone()) {
            self.list.push(Mask { at, kind, origin: origin.to_owned() });
        } else if let Some(pin) =
            self.list.iter_mut().find(|m| m.at == at && m.kind == MaskKind::Pin)
        {
            pin.kind = kind;
        }
    }

    fn protect(&mut self, anchored: &Anchored<'_>, path: &str, builder: &mut Builder<'_>) {
        let origin = anchored.place.to_string();
        let tree = anchored.tree;
        for part in ancestors(path).chain([path]) {
            let host = join(&tree.host, part);
            let at = join(&tree.at, part);
            let last = part == path;
            // Found by the walk, a path exists; a literal one was asked for.
            match builder.facts.paths.get(&host) {
                Some(PathAnswer::Missing) if tree.access.write => {
                    let directory = !last;
                    return self.add(at, MaskKind::Stub { host, directory }, &origin);
                }
                Some(PathAnswer::Missing) => return,
                Some(PathAnswer::Link { .. } | PathAnswer::LinkInside { .. }) => {
                    return builder.report(
                        tree,
                        format!("`{host}` is a symbolic link and cannot be protected"),
                        "replace the link by what it leads to, or take it out of `protect`",
                    );
                }
                // Nothing can be below a file, as where `.git` is the file of a worktree.
                Some(PathAnswer::Found(fact)) if !last && fact.kind == Kind::File => {
                    return self.add(at, MaskKind::Protect, &origin);
                }
                Some(PathAnswer::Found(PathFact {
                    kind: kind @ (Kind::Fifo | Kind::Socket | Kind::Device),
                    ..
                })) => {
                    return builder.report(
                        tree,
                        format!("`{host}` is {} and cannot be protected", kind.word()),
                        "remove it, or take it out of `protect`: where it is read-only it can still be written to",
                    );
                }
                Some(PathAnswer::Found(_) | PathAnswer::Denied(_)) | None => {
                    let kind = if last { MaskKind::Protect } else { MaskKind::Pin };
                    self.add(at, kind, &origin);
                }
            }
        }
    }

    /// Covers what stands at `path` of `tree`, and keeps the directories above it from being moved.
    fn cover(&mut self, tree: &HostTree, path: &str, kind: MaskKind, origin: &str) {
        for above in ancestors(path) {
            self.add(join(&tree.at, above), MaskKind::Pin, origin);
        }
        self.add(join(&tree.at, path), kind, origin);
    }

    /// The same for a workspace in memory: the stub is made there, and nobody else sees it.
    fn protect_in_memory(&mut self, pattern: &str, origin: &str, builder: &mut Builder<'_>) {
        let workspace = super::super::WORKSPACE;
        let in_memory = |mount: &super::Mount| {
            mount.at == workspace && matches!(mount.source, super::Source::Memory { .. })
        };
        let relative = !pattern.starts_with(['/', '~']) && !is_glob(pattern);
        if !relative || !builder.mounts.iter().any(in_memory) {
            return;
        }
        let first = pattern.split('/').next().unwrap_or(pattern);
        let at = join(workspace, first);
        let content = if first == pattern {
            Content::File(String::new())
        } else {
            Content::Directory { agent: true }
        };
        nodes::place(&mut builder.mounts, &at, content);
        self.add(at, MaskKind::Protect, origin);
    }

    /// Hides what stands at `path`, if something does, and tells how.
    fn hide(
        &mut self,
        anchored: &Anchored<'_>,
        path: &str,
        builder: &mut Builder<'_>,
    ) -> Option<MaskKind> {
        let tree = anchored.tree;
        let host = join(&tree.host, path);
        let directory = match builder.facts.paths.get(&host) {
            Some(PathAnswer::Found(fact)) => fact.kind == Kind::Directory,
            Some(PathAnswer::Link { .. } | PathAnswer::LinkInside { .. }) => {
                builder.report(
                    tree,
                    format!("`{host}` is a symbolic link and cannot be hidden"),
                    "hide what it leads to, or replace the link",
                );
                return None;
            }
            Some(PathAnswer::Denied(_)) => false,
            Some(PathAnswer::Missing) => return None,
            None => self.is_directory(anchored, path, builder),
        };
        let kind = MaskKind::Hide { directory };
        self.cover(tree, path, kind.clone(), &anchored.place.to_string());
        Some(kind)
    }

    fn is_directory(&self, anchored: &Anchored<'_>, path: &str, builder: &Builder<'_>) -> bool {
        let walk = builder.facts.walks.get(&anchored.tree.host).and_then(|walk| walk.as_ref().ok());
        let matches = walk.and_then(|walk| walk.matches.get(&anchored.glob));
        matches.into_iter().flatten().any(|(found, directory)| found == path && *directory)
    }
}
