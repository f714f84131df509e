//! The program: everything is in the library.

use cellblock::jail;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().peekable();
    // PID 1 of a jail is the same program under another name, and goes its own way before the command
    // line is looked at.
    if words.peek().is_some_and(|name| name == jail::init::NAME) {
        return ExitCode::from(jail::init::main(words.collect()));
    }
    cellblock::cli::main(words).into()
}
