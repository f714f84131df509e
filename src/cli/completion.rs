//! `cellblock completion`: completion scripts for shells.

use super::output::Output;
use crate::exit::Exit;
use clap::Args;
use clap_complete::Shell;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Completion {
    /// The shell
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  cellblock completion bash > /etc/bash_completion.d/cellblock
  cellblock completion zsh > /usr/local/share/zsh/site-functions/_cellblock
  cellblock completion fish > ~/.config/fish/completions/cellblock.fish";

impl Completion {
    /// Prints the script.
    pub fn perform(&self, out: &mut Output) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "cellblock", &mut script);
        out.generated(&script);
        Exit::Success
    }
}
