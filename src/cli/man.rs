//! `cellblock man`: the manual, for packagers.

use super::error::CliError;
use super::output::Output;
use crate::exit::Exit;
use clap::Args;
use std::io;
use std::path::{Path, PathBuf};

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Man {
    /// Where the pages are written; without it the first is printed
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cellblock man | man -l -
  cellblock man /usr/local/share/man/man1";

impl Man {
    /// Prints or writes the pages.
    ///
    /// # Errors
    /// [`CliError::Write`] names the page that was not written.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        let whole = super::command().disable_help_subcommand(true);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| CliError::Write { path, error }
        };
        let Some(directory) = &self.directory else {
            out.generated(&page(whole).map_err(failed(Path::new("the manual")))?);
            return Ok(Exit::Success);
        };
        let verbs = whole.get_subcommands().filter(|verb| !verb.is_hide_set());
        let verbs = verbs.map(|verb| verb.clone().name(format!("cellblock-{}", verb.get_name())));
        for command in std::iter::once(whole.clone()).chain(verbs) {
            let path = directory.join(format!("{}.1", command.get_name()));
            let text = page(command).map_err(failed(&path))?;
            std::fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(Exit::Success)
    }
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(text)
}
