//! The arguments of every verb that has a jail in mind.

use crate::planning::Wanted;
use clap::Args;
use std::path::PathBuf;

/// Which jail.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// A profile's name, or the path of its file (with a `/`, or ending in `.toml`)
    #[arg(value_name = "PROFILE")]
    pub profile: String,
    /// The agent's name; the profile's where it is not given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The directory that appears at /workspace
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// What can be chosen of every jail.
    #[command(flatten)]
    pub choice: Choice,
    /// The command instead of the profile's
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What can be chosen of every jail, whoever is in it.
#[derive(Args, Clone, Debug, Default)]
pub struct Choice {
    /// Take this wall away; can be given more than once
    #[arg(long, value_name = "WALL")]
    pub without: Vec<String>,
    /// The installation's configuration instead of /etc/cellblock/config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Options {
    /// The same in the words of the planning.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        Wanted {
            profile: self.profile.clone(),
            name: self.name.clone(),
            workspace: self.workspace.clone(),
            command: self.command.clone(),
            without: self.choice.without.clone(),
            config: self.choice.config.clone(),
            installed: false,
        }
    }
}
