//! Who ends first when an agent's memory runs out: a tool before the agent's command, the command
//! before the session that shows it.
//!
//! The kernel ends the process with the highest score: its share of the memory at issue, in
//! thousandths, and what `oom_score_adj` adds to it (proc_pid_oom_score_adj(5)).

use super::processes::Process;

// What is added for each rank, in thousandths of the agent's memory.

/// What shows the session: it goes last.
pub const SESSION: i32 = 0;
/// The agent's command: it goes before the session.
pub const COMMAND: i32 = 300;
/// Whatever the command starts: it goes before the command, unless that uses a third more of the
/// memory than it.
pub const TOOL: i32 = 600;

/// The fixed points of a jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// PID 1 of the jail.
    pub init: i32,
    /// The tmux server, where there is one.
    pub server: Option<i32>,
}

/// The rank of each of `processes`, all that are in the jail.
///
/// init leads a session of its own, in which only the tmux client lives besides it. Without tmux the
/// command lives there, and all that it starts.
#[must_use]
pub fn ranks(session: Session, processes: &[Process]) -> Vec<(i32, i32)> {
    let parent = session.server.unwrap_or(session.init);
    let first =
        processes.iter().filter(|it| it.parent == parent).min_by_key(|it| (it.start, it.pid));
    let of_session = processes.iter().find(|it| it.pid == session.init).map(|init| init.session);
    let rank = |process: &Process| {
        let shown = session.server.is_some() && Some(process.session) == of_session;
        if process.pid == session.init || Some(process.pid) == session.server || shown {
            SESSION
        } else if Some(process) == first {
            COMMAND
        } else {
            TOOL
        }
    };
    processes.iter().map(|process| (process.pid, rank(process))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, session: i32, start: u64) -> Process {
        Process { pid, parent, session, start }
    }

    #[test]
    fn in_a_session_tools_go_first_and_tmux_last() {
        let processes = [
            process(10, 1, 10, 100),  // init
            process(11, 10, 10, 101), // the tmux client
            process(12, 10, 12, 102), // the tmux server
            process(13, 12, 13, 103), // the command
            process(14, 13, 13, 104), // a tool
            process(15, 12, 15, 105), // another pane's shell
            process(16, 10, 16, 106), // an orphan
        ];
        let ranks = ranks(Session { init: 10, server: Some(12) }, &processes);
        let expected = [SESSION, SESSION, SESSION, COMMAND, TOOL, TOOL, TOOL];
        assert_eq!(ranks.iter().map(|(_, rank)| *rank).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_tmux_the_first_child_of_init_is_the_command() {
        let processes = [
            process(10, 1, 10, 100),
            process(12, 10, 10, 102), // an orphan, though of a lower number than the command's child
            process(11, 10, 10, 101), // the command
            process(13, 11, 10, 103),
        ];
        let ranks = ranks(Session { init: 10, server: None }, &processes);
        assert_eq!(ranks, [(10, SESSION), (12, TOOL), (11, COMMAND), (13, TOOL)]);
    }
}
