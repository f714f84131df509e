//! The only path resolution: without following symbolic links (openat2(2)).

use super::facts::{Kind, PathAnswer, PathFact};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::path::Path;

/// Opens `path` as a bare location (`O_PATH`), refusing symbolic links anywhere in it.
///
/// # Errors
/// `ELOOP` where a component is a symbolic link, else the kernel's answer.
pub fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)
}

/// Opens `path` below the directory `root`, refusing symbolic links and ways out.
///
/// # Errors
/// As [`open`]; `EXDEV` where the path leads out of `root`.
pub fn open_below(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

/// What stands at `path`.
#[must_use]
pub fn look(path: &str) -> PathAnswer {
    match open(Path::new(path)).and_then(|fd| rustix::fs::fstat(&fd)) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => link(path),
        Ok(stat) => PathAnswer::Found(fact(&stat)),
        Err(Errno::LOOP) => link(path),
        Err(Errno::NOENT | Errno::NOTDIR) => PathAnswer::Missing,
        Err(errno) => PathAnswer::Denied(errno.to_string()),
    }
}

/// Where the first symbolic link in `path` is and whether root alone decides where it leads.
fn link(path: &str) -> PathAnswer {
    let mut trusted = true;
    let above: Vec<_> = Path::new(path).ancestors().collect();
    for part in above.into_iter().rev() {
        let Ok(stat) = rustix::fs::statat(CWD, part, AtFlags::SYMLINK_NOFOLLOW) else { break };
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        trusted &= stat.st_uid == 0 && (is_link || stat.st_mode & 0o022 == 0);
        if is_link {
            let target = std::fs::read_link(part).unwrap_or_default().display().to_string();
            if part == Path::new(path) {
                return PathAnswer::Link { target, trusted };
            }
            return PathAnswer::LinkInside { at: part.display().to_string(), target };
        }
    }
    PathAnswer::Missing
}

/// The fact that `stat` states.
fn fact(stat: &Stat) -> PathFact {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::Socket => Kind::Socket,
        FileType::Fifo => Kind::Fifo,
        FileType::BlockDevice | FileType::CharacterDevice => Kind::Device,
        FileType::RegularFile | FileType::Symlink | FileType::Unknown => Kind::File,
    };
    PathFact {
        kind,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode & 0o7777,
        device: (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev)),
    }
}

/// Symbolic links in `/` to directories below it, such as `bin` to `usr/bin`, as (link, target).
#[must_use]
pub fn root_links() -> Vec<(String, String)> {
    let link = |name: &str| {
        let target = std::fs::read_link(Path::new("/").join(name)).ok()?;
        let target = target.to_str()?.to_owned();
        Some((format!("/{name}"), target))
    };
    ["bin", "sbin", "lib", "lib32", "lib64", "libx32"].into_iter().filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn tells_what_stands_at_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(at("real")).unwrap();
        std::fs::write(at("real/file"), "").unwrap();
        symlink("real", at("link")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();

        let is = |name: &str, kind| match look(&at(name)) {
            PathAnswer::Found(fact) => fact.kind == kind,
            PathAnswer::Link { .. } | PathAnswer::LinkInside { .. } => false,
            PathAnswer::Missing | PathAnswer::Denied(_) => false,
        };
        assert!(is("real", Kind::Directory));
        assert!(is("real/file", Kind::File));
        assert!(is("socket", Kind::Socket));
        assert_eq!(look(&at("none")), PathAnswer::Missing);
        assert!(matches!(look(&at("link")), PathAnswer::Link { target, .. } if target == "real"));
        let inside = PathAnswer::LinkInside { at: at("link"), target: "real".to_owned() };
        assert_eq!(look(&at("link/file")), inside);
    }

    #[test]
    fn a_link_below_a_shared_directory_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/etc", &link).unwrap();
        let answer = look(&link.display().to_string());
        assert!(matches!(answer, PathAnswer::Link { trusted: false, .. }), "{answer:?}");
    }
}
