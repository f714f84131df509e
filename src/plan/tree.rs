//! Trees of the host, by where they are and where they appear.

use crate::document::{Located, Place};
use crate::host::Caller;
use crate::profile::Profile;
use crate::profile::types::{Access, Owner, Pattern};
use std::collections::BTreeSet;

/// The two homes that `~` may mean.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    /// The agent's home in the jail.
    pub(super) agent_home: String,
    /// The home of the person who starts it, on the host.
    pub(super) person_home: String,
}

impl Paths {
    pub(super) fn new(profile: &Profile, caller: &Caller) -> Self {
        let agent_home = profile.agent.home.value.as_str().to_owned();
        Self { agent_home, person_home: caller.person.home.clone() }
    }
}

/// An entry of the profile, or the workspace, with both its paths.
#[derive(Clone, Debug)]
pub(super) struct HostTree {
    pub(super) host: String,
    pub(super) at: String,
    pub(super) access: Access,
    pub(super) optional: bool,
    pub(super) owner: Owner,
    pub(super) place: Place,
}

/// A pattern at one tree.
#[derive(Clone, Debug)]
pub(super) struct Anchored<'a> {
    pub(super) tree: &'a HostTree,
    /// Relative to the tree.
    pub(super) glob: String,
    pub(super) place: &'a Place,
}

/// All of them; the longest `at` comes first.
#[derive(Clone, Debug)]
pub(super) struct HostTrees(pub(super) Vec<HostTree>);

/// `path` relative to the directory `above`, if it lies in it; empty where it is the same.
pub(super) fn below<'p>(path: &'p str, above: &str) -> Option<&'p str> {
    if above == "/" {
        return path.strip_prefix('/');
    }
    let rest = path.strip_prefix(above)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// `path` below the directory `above`.
pub(super) fn join(above: &str, path: &str) -> String {
    if path.is_empty() {
        above.to_owned()
    } else {
        format!("{}/{path}", above.trim_end_matches('/'))
    }
}

/// The directories between a tree and `path`, relative to the tree, outermost first.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

impl HostTrees {
    pub(super) fn new(mut trees: Vec<HostTree>) -> Self {
        trees.sort_by_key(|tree| std::cmp::Reverse(tree.at.len()));
        Self(trees)
    }

    /// The tree that shows the jail's `path`, and the path in it.
    pub(super) fn showing<'p>(&self, path: &'p str) -> Option<(&HostTree, &'p str)> {
        self.0.iter().find_map(|tree| below(path, &tree.at).map(|rest| (tree, rest)))
    }

    /// Trees that must be walked through: those that the agent or a person writes, and those with patterns.
    pub(super) fn walked(&self, profile: &Profile, paths: &Paths) -> BTreeSet<String> {
        let written = self.0.iter().filter(|tree| tree.access.write || tree.owner == Owner::Host);
        let written = written.map(|tree| tree.host.clone());
        let patterns = self.globs(profile, paths).into_iter().map(|(directory, _)| directory);
        written.chain(patterns).collect()
    }

    /// Trees that others than the system's packages put files into.
    pub(super) fn strange(&self) -> BTreeSet<String> {
        let of_system = |tree: &&HostTree| SYSTEM.iter().any(|at| below(&tree.host, at).is_some());
        self.0.iter().filter(|tree| !of_system(tree)).map(|tree| tree.host.clone()).collect()
    }

    /// Trees that the agent may write.
    pub(super) fn written(&self) -> BTreeSet<String> {
        self.0.iter().filter(|tree| tree.access.write).map(|tree| tree.host.clone()).collect()
    }

    /// `pattern` at every tree that it applies to.
    pub(super) fn anchor<'a>(
        &'a self,
        pattern: &'a Located<Pattern>,
        paths: &Paths,
    ) -> Vec<Anchored<'a>> {
        let place = &pattern.place;
        if pattern.value.is_relative() {
            let glob = pattern.value.as_str();
            // The agent's home is its own: nobody else runs what it keeps there.
            let is_home = |tree: &HostTree| below(&tree.at, &paths.agent_home).is_some();
            let writable = self.0.iter().filter(|tree| tree.access.write && !is_home(tree));
            return writable.map(|tree| Anchored { tree, glob: glob.to_owned(), place }).collect();
        }
        let whole = pattern.value.resolve(&paths.agent_home);
        let literal = whole.split(['*', '?']).next().unwrap_or(&whole);
        let Some((tree, _)) = self.showing(literal.trim_end_matches('/')) else {
            return Vec::new();
        };
        let glob = below(&whole, &tree.at).unwrap_or_default().to_owned();
        vec![Anchored { tree, glob, place }]
    }

    /// The other trees that show what stands at `path` of `anchored`'s tree, with its path in each.
    pub(super) fn aliases(&self, anchored: &Anchored<'_>, path: &str) -> Vec<(&HostTree, String)> {
        let host = join(&anchored.tree.host, path);
        let others = self.0.iter().filter(|tree| tree.at != anchored.tree.at);
        let found = others.filter_map(|tree| Some((tree, below(&host, &tree.host)?.to_owned())));
        // What another tree is mounted over is not seen.
        let seen = |(tree, path): &(&HostTree, String)| {
            let at = join(&tree.at, path);
            self.showing(&at).is_some_and(|(showing, _)| showing.at == tree.at)
        };
        found.filter(seen).collect()
    }

    fn anchored<'a>(&'a self, profile: &'a Profile, paths: &Paths) -> Vec<Anchored<'a>> {
        let patterns = profile.filesystem.hide.iter().chain(&profile.filesystem.protect);
        patterns.flat_map(|pattern| self.anchor(pattern, paths)).collect()
    }

    /// The globs to match in each tree.
    pub(super) fn globs(&self, profile: &Profile, paths: &Paths) -> BTreeSet<(String, String)> {
        let globs = self.anchored(profile, paths).into_iter().filter(|a| is_glob(&a.glob));
        globs.map(|anchored| (anchored.tree.host.clone(), anchored.glob)).collect()
    }

    /// Host paths of what is hidden or protected by its name.
    pub(super) fn masked(&self, profile: &Profile, paths: &Paths) -> BTreeSet<String> {
        let named = self.anchored(profile, paths).into_iter().filter(|a| !is_glob(&a.glob));
        named.map(|anchored| join(&anchored.tree.host, &anchored.glob)).collect()
    }

    /// Host paths to look at besides the trees themselves: what is hidden or protected, with the
    /// directories above it, and the places inside a tree where another one is mounted.
    pub(super) fn places(&self, profile: &Profile, paths: &Paths) -> BTreeSet<String> {
        let mut places = BTreeSet::new();
        for anchored in self.anchored(profile, paths) {
            if !is_glob(&anchored.glob) {
                let tree = &anchored.tree.host;
                places.insert(join(tree, &anchored.glob));
                places.extend(ancestors(&anchored.glob).map(|above| join(tree, above)));
            }
        }
        for inner in &self.0 {
            places.extend(self.above(inner).map(|(tree, rest)| join(&tree.host, rest)));
        }
        places
    }

    /// The tree inside which `inner` is mounted, if there is one.
    pub(super) fn above<'a>(&'a self, inner: &'a HostTree) -> Option<(&'a HostTree, &'a str)> {
        let others = self.0.iter().filter(|tree| tree.at != inner.at);
        others.into_iter().find_map(|tree| below(&inner.at, &tree.at).map(|rest| (tree, rest)))
    }
}

/// What packages fill, as hier(7) says, and two package managers of their own: large, and no place for
/// sockets.
const SYSTEM: [&str; 11] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
];

/// Whether `pattern` is more than one literal path.
pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_compares_whole_components() {
        assert_eq!(below("/a/b", "/a"), Some("b"));
        assert_eq!(below("/a", "/a"), Some(""));
        assert_eq!(below("/ab", "/a"), None);
        assert_eq!(below("/a", "/"), Some("a"));
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
    }
}
