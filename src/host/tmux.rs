//! The host's tmux, which jails show and use.

use super::facts::Tmux;
use std::path::Path;

/// Where it is looked for: what jails show as `/usr`, and nothing that the caller's `PATH` names.
const PLACES: &[&str] = &["/usr/local/bin/tmux", "/usr/bin/tmux", "/bin/tmux"];

/// Which tmux there is. The one program that cellblock starts outside a jail: it prints its version,
/// with no environment and no server.
#[must_use]
pub fn find() -> Option<Tmux> {
    let path = PLACES.iter().find(|path| Path::new(path).exists())?;
    let version = version(path).unwrap_or_default();
    Some(Tmux { path: (*path).to_owned(), number: number(&version), version })
}

#[allow(
    clippy::disallowed_methods,
    reason = "tmux tells its version in no other way; nothing of an agent's is reached by -V"
)]
fn version(path: &str) -> Option<String> {
    let output = std::process::Command::new(path).arg("-V").env_clear().output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().strip_prefix("tmux ").unwrap_or(text.trim()).to_owned())
}

/// `3.3a` is (3, 3); development versions are called `next-3.5`; `master` has no number.
fn number(version: &str) -> Option<(u32, u32)> {
    let version = version.strip_prefix("next-").unwrap_or(version);
    let (major, rest) = version.split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(number("3.3a"), Some((3, 3)));
        assert_eq!(number("next-3.5"), Some((3, 5)));
        assert_eq!(number("2.10-rc"), Some((2, 10)));
        assert_eq!(number("master"), None);
        assert_eq!(number(""), None);
    }
}
