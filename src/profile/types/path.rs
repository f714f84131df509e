//! Paths as profiles write them.

use std::fmt;

/// Declares a path that is absolute or below a home.
macro_rules! anchored_path {
    ($(#[$about:meta])* $name:ident, $(#[$resolve:meta])* resolve) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks `text`.
            ///
            /// # Errors
            /// A clause that says what is wrong.
            pub fn parse(text: &str) -> Result<Self, String> {
                anchored(text).map(Self)
            }

            $(#[$resolve])*
            #[must_use]
            pub fn resolve(&self, home: &str) -> String {
                expand(&self.0, home)
            }

            /// As written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

anchored_path!(
    /// A path of the host: absolute, or below the home of the person who starts the agent (`~/…`).
    HostPath,
    /// The absolute path for a person whose home is `home`.
    resolve
);
anchored_path!(
    /// A path inside the jail: absolute, or below the agent's home (`~` or `~/…`).
    JailPath,
    /// The absolute path for an agent whose home is `home`.
    resolve
);

/// How the name of a credential begins where a secret is named.
pub const CREDENTIAL: &str = "credential:";

/// Where a secret is: a file of the host, or a credential that the service manager has given to who starts the
/// agent (`LoadCredential=`, systemd.exec(5)).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretPlace {
    /// In this file.
    File(HostPath),
    /// In the credential of this name.
    Credential(String),
}

impl SecretPlace {
    /// Checks `text`.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_prefix(CREDENTIAL) else {
            return HostPath::parse(text).map(Self::File);
        };
        // The name is a file's in the directory of credentials, and must not lead out of it.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let fits = (1..=255).contains(&name.len()) && name.chars().all(allowed);
        if !fits || name.starts_with('.') {
            let rule = "a credential's name has letters, digits, `.`, `_` and `-`, and does not begin with `.`";
            return Err(format!("`{}`: {rule}", text.escape_debug()));
        }
        Ok(Self::Credential(name.to_owned()))
    }

    /// The absolute path for a person whose home is `home`, or `credential:` and the name.
    #[must_use]
    pub fn resolve(&self, home: &str) -> String {
        match self {
            Self::File(path) => path.resolve(home),
            Self::Credential(name) => format!("{CREDENTIAL}{name}"),
        }
    }
}

/// What `hide` and `protect` name: relative to each writable tree and the workspace, or absolute, or
/// below the agent's home; `*` and `?` within a component, `**` for any depth.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

/// Removes a final `/` and refuses what makes a path mean more than one place.
fn checked(text: &str) -> Result<String, String> {
    let shown = text.escape_debug();
    if text.is_empty() {
        return Err("is an empty path".to_owned());
    }
    if text.contains('\0') || text.contains('\n') {
        return Err(format!("`{shown}` has a character that no path here may have"));
    }
    let rest = text.strip_prefix('/').or_else(|| text.strip_prefix("~/")).unwrap_or(text);
    let trimmed = rest.strip_suffix('/').unwrap_or(rest);
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if !trimmed.is_empty() && trimmed.split('/').any(odd) {
        return Err(format!("`{shown}` has an empty, `.` or `..` component"));
    }
    let kept = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
    Ok(kept.to_owned())
}

fn anchored(text: &str) -> Result<String, String> {
    if text.starts_with('/') || text == "~" || text.starts_with("~/") {
        return checked(text);
    }
    Err(format!("`{}` must be absolute or begin with `~/`", text.escape_debug()))
}

/// `text` with a leading `~` replaced by `home`.
fn expand(text: &str, home: &str) -> String {
    match text.strip_prefix('~') {
        Some(rest) => format!("{}{rest}", home.strip_suffix('/').unwrap_or(home)),
        None => text.to_owned(),
    }
}

impl Pattern {
    /// Checks `text`; globs are checked where they are compiled.
    ///
    /// # Errors
    /// A clause that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains(['[', ']', '{', '}', '\\', '!']) {
            let shown = text.escape_debug();
            return Err(format!("`{shown}` uses a glob other than `*`, `?` and `**`"));
        }
        let odd = |part: &&str| part.contains("**") && *part != "**";
        if let Some(part) = text.split('/').find(odd) {
            return Err(format!("`{}`: `**` stands alone between slashes", part.escape_debug()));
        }
        checked(text).map(Self)
    }

    /// Whether it applies in every writable tree rather than at one place.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        !self.0.starts_with(['/', '~'])
    }

    /// Whether it names exactly one path below its anchor.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// The pattern with `~` resolved for an agent whose home is `home`.
    #[must_use]
    pub fn resolve(&self, home: &str) -> String {
        expand(&self.0, home)
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_one_place() {
        assert_eq!(HostPath::parse("/usr/").unwrap().as_str(), "/usr");
        assert_eq!(HostPath::parse("~/x").unwrap().resolve("/home/u"), "/home/u/x");
        assert_eq!(HostPath::parse("/").unwrap().as_str(), "/");
        for bad in ["", "usr", "./x", "/a/../b", "/a//b", "/a/./b", "~x", "/a\0"] {
            HostPath::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn a_credential_is_a_name_and_never_a_way_elsewhere() {
        let at = |text: &str| SecretPlace::parse(text).unwrap().resolve("/home/u");
        assert_eq!(at("credential:api.key_1-a"), "credential:api.key_1-a");
        assert_eq!((at("~/key").as_str(), at("/etc/key").as_str()), ("/home/u/key", "/etc/key"));
        let long = format!("credential:{}", "x".repeat(256));
        for bad in ["credential:", "credential:..", "credential:.x", "credential:a/b", &long, "key"]
        {
            SecretPlace::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn patterns_that_would_be_taken_literally_are_refused() {
        for good in [".env", "**/.env", ".git/hooks", "/etc/ssl/*.key", "~/.ssh"] {
            Pattern::parse(good).unwrap();
        }
        for bad in ["{a,b}", "[ab]", "a**", "!x", "../x", ""] {
            Pattern::parse(bad).unwrap_err();
        }
    }
}
