//! Walks through directories that are about to be shown in a jail.
//!
//! A unix socket reached through a bind mount is a way to whoever listens on it: neither a read-only
//! mount nor a network namespace stops connect(2) on it. So sockets are looked for before the jail is
//! made: in trees that somebody can write by a walk, in the rest (the system's own) by the kernel's
//! list of bound sockets.

use super::facts::Walk;
use globset::{GlobBuilder, GlobMatcher};
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// How many files and directories a walk looks at, at the most.
pub const MAX_ENTRIES: usize = 1_000_000;

/// Finds sockets and what matches `globs` below `tree`, not following symbolic links.
///
/// # Errors
/// A clause that says what could not be read, or that the tree is too large.
pub fn walk(tree: &str, globs: &[String]) -> Result<Walk, String> {
    let matchers = globs.iter().map(|glob| compile(glob)).collect::<Result<Vec<_>, _>>()?;
    let mut found = Walk::default();
    for glob in globs {
        found.matches.insert(glob.clone(), Vec::new());
    }
    let mut seen = 0;
    let mut left = vec![String::new()];
    while let Some(directory) = left.pop() {
        for (path, kind) in entries(tree, &directory)? {
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(format!("has more than {MAX_ENTRIES} files below it"));
            }
            note(&mut found, &matchers, &path, kind);
            if kind.is_dir() {
                left.push(path);
            }
        }
    }
    Ok(found)
}

fn compile(glob: &str) -> Result<(String, GlobMatcher), String> {
    let compiled = GlobBuilder::new(glob).literal_separator(true).build();
    let compiled = compiled.map_err(|error| format!("cannot use the pattern: {error}"))?;
    Ok((glob.to_owned(), compiled.compile_matcher()))
}

fn note(found: &mut Walk, matchers: &[(String, GlobMatcher)], path: &str, kind: FileType) {
    if kind.is_socket() {
        found.sockets.push(path.to_owned());
    }
    // A link is a name for something else: covering it would cover what it leads to.
    for (glob, matcher) in matchers {
        if !kind.is_symlink() && matcher.is_match(path) {
            found.matches.entry(glob.clone()).or_default().push((path.to_owned(), kind.is_dir()));
        }
    }
}

/// The entries of `directory` below `tree`, by path relative to `tree`.
fn entries(tree: &str, directory: &str) -> Result<Vec<(String, FileType)>, String> {
    let full = Path::new(tree).join(directory);
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", full.display());
    let reading = match std::fs::read_dir(&full) {
        Ok(reading) => reading,
        // Gone since its parent was read, or never a directory.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(cannot(error)),
    };
    let mut found = Vec::new();
    for entry in reading {
        let entry = entry.map_err(cannot)?;
        // A name that is no UTF-8 can match no pattern; a directory of that name is still walked into
        // by its lossy name only if that exists, so it is told instead of passed over.
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            if entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_socket()) {
                return Err(format!("{} has a name that is not UTF-8", entry.path().display()));
            }
            continue;
        };
        let path =
            if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        found.push((path, entry.file_type().map_err(cannot)?));
    }
    Ok(found)
}

/// Paths of the unix sockets that are bound in this network namespace (proc_pid_net(5)); `None` where
/// the kernel does not tell.
#[must_use]
pub fn live_sockets() -> Option<Vec<String>> {
    super::text::read("/proc/net/unix").ok().map(|text| parse_sockets(&text))
}

/// The pathnames in the text of `/proc/net/unix`; abstract names begin with `@`.
fn parse_sockets(text: &str) -> Vec<String> {
    let path = |line: &str| line.split_whitespace().nth(7).map(str::to_owned);
    text.lines().skip(1).filter_map(path).filter(|path| path.starts_with('/')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn finds_sockets_and_matches_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/.env"), "").unwrap();
        std::fs::write(at(".env"), "").unwrap();
        std::os::unix::fs::symlink("/etc", at("a/.env")).unwrap();
        let _socket = UnixListener::bind(at("a/s")).unwrap();
        let tree = folder.path().display().to_string();
        let globs = ["**/.env".to_owned(), "*.key".to_owned()];
        let found = walk(&tree, &globs).unwrap();
        assert_eq!(found.sockets, ["a/s"]);
        let mut matches = found.matches["**/.env"].clone();
        matches.sort();
        assert_eq!(matches, [(".env".to_owned(), false), ("a/b/.env".to_owned(), false)]);
        assert!(found.matches["*.key"].is_empty());
        assert!(live_sockets().unwrap().iter().any(|path| path.ends_with("/a/s")));
    }

    #[test]
    fn reads_the_kernels_list() {
        let text = "Num RefCount Protocol Flags Type St Inode Path\n\
            0: 2 0 10000 1 1 1234 /run/x.sock\n1: 2 0 10000 1 1 77 @abstract\n2: 3 0 0 1 3 88\n";
        assert_eq!(parse_sockets(text), ["/run/x.sock"]);
    }
}
