//! Walks through directories that are about to be shown in a jail.
//!
//! A unix socket reached through a bind mount is a way to whoever listens on it: neither a read-only
//! mount nor a network namespace stops connect(2) on it. So sockets are looked for before the jail is
//! made: by a walk, and in the system's own trees, and in those too large for one, by the kernel's list of
//! bound sockets. The list has the names alone that sockets were bound to.

use super::facts::Walk;
use globset::{GlobBuilder, GlobMatcher};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::FileType;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

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

/// Files at or below one of `masked` that have another name in one of `trees`, outside of all `masked`:
/// (the file, its other name). What cannot be read is passed over: a walk of the same trees has told.
pub fn twins<'t>(
    masked: &BTreeSet<String>,
    trees: impl IntoIterator<Item = &'t String>,
) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::new();
    for path in masked {
        gather_linked(Path::new(path), &mut wanted);
    }
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return found;
    }
    let is_masked = |path: &Path| {
        path.ancestors().any(|above| above.to_str().is_some_and(|above| masked.contains(above)))
    };
    for tree in trees {
        let mut all = BTreeMap::new();
        gather_linked(Path::new(tree), &mut all);
        for (inode, path) in &wanted {
            let others = all.get(inode).into_iter().flatten();
            let twin = others.filter(|twin| !is_masked(twin)).find_map(|twin| twin.to_str());
            if let (Some(twin), Some(file)) = (twin, path.first().and_then(|path| path.to_str())) {
                found.insert(file.to_owned(), twin.to_owned());
            }
        }
    }
    found
}

/// The files at or below `path` that have more than one name, by device and inode.
fn gather_linked(path: &Path, found: &mut BTreeMap<(u64, u64), Vec<PathBuf>>) {
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(stat) = path.symlink_metadata() else { continue };
        if stat.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()));
        } else if stat.is_file() && stat.nlink() > 1 {
            found.entry((stat.dev(), stat.ino())).or_default().push(path);
        }
    }
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
    // The path is the rest of the line: it may have spaces in it.
    let path = |line: &str| {
        let mut rest = line.trim_start();
        for _ in 0..7 {
            rest = rest.split_once(char::is_whitespace)?.1.trim_start_matches(' ');
        }
        Some(rest.to_owned())
    };
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
    fn a_second_name_of_a_masked_file_is_found_where_it_is_not_masked_too() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path).display().to_string();
        std::fs::create_dir_all(at("hooks/inner")).unwrap();
        std::fs::write(at("hooks/inner/one"), "").unwrap();
        let masked: BTreeSet<String> = [at("hooks")].into();
        let trees: BTreeSet<String> = [at("")].map(|tree| tree.trim_end_matches('/').into()).into();
        assert!(twins(&masked, &trees).is_empty());
        std::fs::hard_link(at("hooks/inner/one"), at("hooks/two")).unwrap();
        assert!(twins(&masked, &trees).is_empty(), "both names are masked");
        std::fs::hard_link(at("hooks/inner/one"), at("open")).unwrap();
        let found = twins(&masked, &trees);
        assert_eq!(found.into_values().collect::<Vec<_>>(), [at("open")]);
    }

    #[test]
    fn reads_the_kernels_list() {
        let text = "Num RefCount Protocol Flags Type St Inode Path\n\
            0: 2 0 10000 1 1 1234 /run/x.sock\n1: 2 0 10000 1 1 77 @abstract\n2: 3 0 0 1 3 88\n\
            00: 2 0 10000 0001 01    79 /run/a  b c\n";
        assert_eq!(parse_sockets(text), ["/run/x.sock", "/run/a  b c"]);
    }
}
