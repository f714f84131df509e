//! The tmux session inside the jail.

use super::request::{Input, Request};
use super::types::{HelperPlan, RecordPlan, TerminalPlan};
use crate::profile::Profile;
use crate::terminal::recording;

/// Where the server's socket is.
const SOCKET: &str = "/run/cellblock/tmux/server";
/// Where its configuration is.
const CONFIG: &str = "/run/cellblock/tmux.conf";

/// The session of `profile`, kept by the tmux at `tmux` in the jail.
pub(super) fn resolve(input: Input<'_>, tmux: String, shim: HelperPlan) -> TerminalPlan {
    let Input { profile, request, .. } = input;
    TerminalPlan {
        tmux,
        session: profile.terminal.session.value.as_str().to_owned(),
        socket: SOCKET.to_owned(),
        config: CONFIG.to_owned(),
        size: profile.terminal.size.value,
        record: record(profile, request),
        shim,
    }
}

fn record(profile: &Profile, request: &Request) -> Option<RecordPlan> {
    let record = &profile.terminal.record;
    record.value.then(|| RecordPlan {
        folder: format!(
            "{}/{}/{}",
            request.config.paths.log.value,
            recording::FOLDER,
            request.agent
        ),
        bound: profile.terminal.record_size.value.0,
        origin: record.place.to_string(),
    })
}

/// The configuration of the server. `-q` keeps options that an older tmux does not know from failing.
pub(super) fn config(profile: &Profile, request: &Request) -> String {
    let terminal = &profile.terminal;
    let (columns, rows) = terminal.size.value;
    let own = if terminal.own_config.value { "source-file -q ~/.tmux.conf\n" } else { "" };
    format!(
        "# Made by cellblock for one jail.\n\
         set -gq default-size {columns}x{rows}\n\
         set -g history-limit {history}\n\
         set -gq default-terminal tmux-256color\n\
         set -g update-environment ''\n\
         set -s set-clipboard off\n\
         set -sq escape-time 20\n\
         set -gq allow-passthrough off\n\
         set -g set-titles off\n\
         # The agent's end is seen before its pane is gone; other windows close as usual.\n\
         set -g remain-on-exit on\n\
         set -gq remain-on-exit-format ''\n\
         set-hook -g after-new-window 'set-option -w remain-on-exit off'\n\
         set-hook -g after-split-window 'set-option -p remain-on-exit off'\n\
         set -g status-left '[{agent}] '\n\
         set -g status-left-length 40\n\
         set -g status-right 'cellblock'\n\
         set -g status-style 'fg=black,bg=green'\n\
         {own}",
        history = terminal.history.value,
        agent = request.agent,
    )
}
