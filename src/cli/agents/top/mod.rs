//! `cellblock top`: the agents of a supervisor as they change, and keys to act on them.
//!
//! ```text
//!  supervisor ◁▷ link ─ Answer ─▷ model ─▷ view ─▷ backend ─▷ terminal::fullscreen
//!                 ◁─ Wish ─────── model ◁─ keys ◁───────────── terminal::fullscreen
//! ```
//!
//! [`model`], [`view`] and what they use are pure; this file alone waits and acts. One call brings the figures of all agents,
//! rates are the differences of two. Must never: wait for a supervisor or a terminal without hearing keys and signals, but
//! for the moment in which a session is opened, five seconds at the most.

mod backend;
mod columns;
mod history;
mod keys;
mod link;
mod model;
mod row;
mod view;

use super::{Supervisor, attach};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::control::protocol::{Answer, Request};
use crate::control::socket::ClientError;
use crate::exit::Exit;
use crate::limits::journal;
use crate::planning::wrong;
use crate::shim::client::Left;
use crate::shim::protocol::{End, Line};
use crate::shim::wait::Waiter;
use crate::terminal::filter::Charset;
use crate::terminal::fullscreen::{FullScreen, Typed};
use crate::terminal::size;
use backend::Ansi;
use clap::Args;
use keys::{Key, KeyReader};
use link::{Came, Link, Purpose};
use model::{Mode, Model, Wish};
use nix::sys::signal::Signal;
use ratatui::Terminal;
use rustix::termios::isatty;
use std::time::{Duration, Instant};

/// The shortest time between two looks, and the longest.
const SHORTEST: f64 = 0.5;
const LONGEST: f64 = 60.0;
/// How soon after Esc the rest of another key's bytes is there.
const REST_OF_KEY: Duration = Duration::from_millis(50);
/// Lines of a journal.
const LINES: u32 = 200;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Top {
    /// Seconds between two looks, from 0.5 to 60
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    #[command(flatten)]
    supervisor: Supervisor,
}

const EXAMPLES: &str = "\
Shown are the agents that you have a role for. Keys: up and down select one; a attaches to it (Ctrl-]
and then d comes back), r attaches to look, f freezes it or lets it go on, s stops it after a
question, l shows its journal and what was refused to it, / finds, < and > change the order, ? shows
all keys, q leaves. For programs, `cellblock ls --json` has the same figures.

Examples:
  cellblock top
  cellblock top --interval 5";

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (SHORTEST..=LONGEST).contains(seconds));
    let seconds = seconds.ok_or(format!("a number from {SHORTEST} to {LONGEST} is needed"))?;
    Ok(Duration::from_secs_f64(seconds))
}

impl Top {
    /// Shows them until somebody leaves.
    ///
    /// # Errors
    /// Where the supervisor is not reached in the beginning, this is no terminal, or it fails.
    pub fn perform(&self, out: &mut Output) -> Result<Exit, CliError> {
        if !isatty(rustix::stdio::stdin()) || !isatty(rustix::stdio::stdout()) {
            let hint = "cellblock ls prints the agents once, and cellblock ls --json all figures";
            return Err(wrong("top", "needs a terminal", hint).into());
        }
        let mut link = Link::new(self.supervisor.socket()?);
        // Who cannot reach it at all is told so on the terminal as it is.
        link.ask(Purpose::Agents, Request::List)?;
        let waiter = Waiter::new()?;
        let size = size::get(rustix::stdio::stdout())?.or_default();
        let charset = Charset::of_environment();
        let Ok(terminal) = Terminal::new(Ansi::new(size, charset, out.is_colored()));
        let mut session = Session {
            link,
            waiter,
            terminal,
            charset,
            model: Model::new(),
            keys: KeyReader::default(),
            escaped: None,
            stale: true,
            interval: self.interval,
            next: Instant::now() + self.interval,
        };
        session.run()
    }
}

/// A terminal, a supervisor, and what is between them.
struct Session {
    link: Link,
    waiter: Waiter,
    terminal: Terminal<Ansi>,
    charset: Charset,
    model: Model,
    keys: KeyReader,
    /// When a byte came that is Esc or the first one of another key.
    escaped: Option<Instant>,
    /// Whether something has changed since it was drawn.
    stale: bool,
    interval: Duration,
    /// When it is looked again.
    next: Instant,
}

impl Session {
    /// Shows the agents on the terminal until somebody leaves, and again each time a session was left.
    fn run(&mut self) -> Result<Exit, CliError> {
        loop {
            let mut screen = FullScreen::enter()?;
            let (agent, line) = loop {
                match self.turn(&mut screen)? {
                    Turned::On => {}
                    Turned::Attach { agent, line } => break (agent, line),
                    Turned::End(exit) => {
                        screen.leave()?;
                        return Ok(exit);
                    }
                }
            };
            screen.leave()?;
            if let Some(exit) = self.attach(&agent, line)? {
                return Ok(exit);
            }
        }
    }

    /// Draws, waits, and does what came.
    fn turn(&mut self, screen: &mut FullScreen) -> Result<Turned, CliError> {
        // A slow terminal gets fewer pictures, not later ones.
        if self.stale && screen.is_idle() {
            screen.show(self.draw().as_bytes());
            self.stale = false;
        }
        let (signal, typed, answers) = {
            let mut wanted = screen.interests();
            let of_screen = wanted.len();
            wanted.extend(self.link.interests());
            let (signal, mut came) = self.waiter.wait(&wanted, Some(self.patience()))?;
            let answers = came.split_off(of_screen.min(came.len()));
            (signal, came, answers)
        };
        match signal {
            Some(Signal::SIGWINCH) => self.fit()?,
            Some(Signal::SIGUSR1 | Signal::SIGUSR2) | None => {}
            Some(signal) => return Ok(Turned::End(Exit::Signal(number(signal)))),
        }
        for came in self.link.turn(&answers) {
            self.stale = true;
            self.hear(came);
        }
        self.look();
        match screen.turn(&typed)? {
            Typed::Keys(bytes) => {
                let keys = self.keys(&bytes);
                Ok(self.press(&keys))
            }
            Typed::Gone => Ok(Turned::End(Exit::Success)),
        }
    }

    fn draw(&mut self) -> String {
        let look = view::Look { charset: self.charset, now: journal::now() };
        let model = &self.model;
        let Ok(_) = self.terminal.draw(|frame| {
            let area = frame.area();
            view::draw(model, look, area, frame.buffer_mut());
        });
        self.terminal.backend_mut().take()
    }

    fn patience(&self) -> Duration {
        let left = self.next.saturating_duration_since(Instant::now());
        if self.escaped.is_some() { left.min(REST_OF_KEY) } else { left }
    }

    /// The terminal has another size.
    fn fit(&mut self) -> Result<(), CliError> {
        let size = size::get(rustix::stdio::stdout())?.or_default();
        self.terminal.backend_mut().fit(size);
        self.stale = true;
        Ok(())
    }

    /// The next picture is drawn whole.
    fn redraw(&mut self) {
        let Ok(()) = self.terminal.clear();
        self.stale = true;
    }

    /// Asks for what is to be shown, once it is time.
    fn look(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + self.interval;
        // At least how long ago things were has changed.
        self.stale = true;
        if let Err(error) = self.link.ask(Purpose::Agents, Request::List) {
            self.model.trouble = Some(error.to_string());
        } else if self.link.is_silent() {
            self.model.trouble = Some("the supervisor does not answer".to_owned());
        }
        if let Mode::Journal(journal) = &self.model.mode {
            let agent = journal.agent.clone();
            self.read(&agent);
        }
    }

    /// Asks for both journals of `agent`.
    fn read(&mut self, agent: &str) {
        for denials in [false, true] {
            let (agent, lines) = (agent.to_owned(), LINES);
            let purpose = Purpose::Journal { agent: agent.clone(), denials };
            let request = if denials {
                Request::Denials { agent, lines }
            } else {
                Request::Logs { agent, lines }
            };
            if let Err(error) = self.link.ask(purpose, request) {
                self.model.tell(error.to_string(), true);
            }
        }
    }

    fn hear(&mut self, (purpose, answer): Came) {
        match (purpose, answer) {
            (_, Ok(Answer::Agents(agents))) => self.model.update(agents),
            (Purpose::Journal { agent, denials }, Ok(Answer::Logs(lines))) => {
                self.model.read(&agent, &lines, denials);
            }
            (Purpose::Do, Ok(Answer::Done(told))) => {
                self.model.tell(told.join("; "), false);
                self.next = Instant::now();
            }
            (Purpose::Agents, Err(error)) => self.model.trouble = Some(error.to_string()),
            (Purpose::Journal { .. } | Purpose::Do, Err(error)) => {
                self.model.tell(with_hint(&error), true);
            }
            (_, Ok(_)) => self.model.tell(ClientError::Other.to_string(), true),
        }
    }

    fn keys(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys: Vec<Key> = bytes.iter().filter_map(|byte| self.keys.feed(*byte)).collect();
        if self.escaped.is_some_and(|since| bytes.is_empty() && since.elapsed() >= REST_OF_KEY) {
            keys.extend(self.keys.close());
        }
        let open = self.keys.is_open();
        self.escaped = open.then(|| self.escaped.unwrap_or_else(Instant::now));
        keys
    }

    /// Does what the keys ask for. What comes after one that leaves the screen is not for it any more.
    fn press(&mut self, keys: &[Key]) -> Turned {
        for key in keys {
            self.stale = true;
            match self.model.press(*key) {
                None => {}
                Some(Wish::Redraw) => self.redraw(),
                Some(Wish::Read(agent)) => self.read(&agent),
                Some(Wish::Ask(request)) => {
                    if let Err(error) = self.link.ask(Purpose::Do, request) {
                        self.model.tell(with_hint(&error), true);
                    }
                }
                Some(Wish::Attach { agent, types }) => {
                    let line = self.link.connect().map_err(CliError::from);
                    match line.and_then(|client| attach::open(&client, &agent, types)) {
                        Ok(line) => return Turned::Attach { agent, line },
                        Err(error) => self.model.tell(error.to_string(), true),
                    }
                }
                Some(Wish::Leave) => return Turned::End(Exit::Success),
            }
        }
        Turned::On
    }

    /// Shows a session on the terminal; the status where nothing is to be shown after it.
    fn attach(&mut self, agent: &str, line: Line) -> Result<Option<Exit>, CliError> {
        let left = attach::show(line, &self.waiter)?;
        self.redraw();
        self.fit()?;
        self.next = Instant::now();
        match left {
            Left::Signal(signal) => return Ok(Some(Exit::Signal(number(signal)))),
            Left::TerminalGone => return Ok(Some(Exit::Success)),
            Left::Detached | Left::End(_) | Left::Lost => {}
        }
        if let Some(told) = attach::told(agent, &left) {
            let lost = matches!(left, Left::Lost | Left::End(End::SentAway { .. }));
            self.model.tell(told, lost);
        }
        Ok(None)
    }
}

/// What comes of a turn.
enum Turned {
    On,
    /// The terminal is for a session now.
    Attach {
        agent: String,
        line: Line,
    },
    End(Exit),
}

fn number(signal: Signal) -> u8 {
    u8::try_from(signal as i32).unwrap_or(125)
}

fn with_hint(error: &ClientError) -> String {
    let hint = error.hint();
    if hint.is_empty() { error.to_string() } else { format!("{error}: {hint}") }
}
