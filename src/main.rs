//! The program: everything is in the library.

use cellblock::verify::prober;
use cellblock::{alerts, gate, jail, shim, watch};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().peekable();
    // PID 1 of a jail is the same program under another name, and goes its own way before the command
    // line is looked at.
    if words.peek().is_some_and(|name| name == jail::init::NAME) {
        return ExitCode::from(jail::init::main(words.collect(), prober::attack));
    }
    let words: Vec<OsString> = words.collect();
    if words.first().is_some_and(|name| name == gate::NAME) {
        return ExitCode::from(gate::main(&words));
    }
    if words.first().is_some_and(|name| name == alerts::process::NAME) {
        return ExitCode::from(alerts::process::main(&words));
    }
    if words.first().is_some_and(|name| name == alerts::runner::NAME) {
        return ExitCode::from(alerts::runner::main(&words));
    }
    if watch::is_meant(&words) {
        return ExitCode::from(watch::main(&words));
    }
    if shim::stay::is_meant(&words) {
        return ExitCode::from(shim::stay::main());
    }
    if prober::is_meant(&words) {
        return ExitCode::from(prober::main(&words));
    }
    cellblock::cli::main(words.into_iter()).into()
}
