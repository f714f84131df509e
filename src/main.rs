//! The program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Here, before the command line is looked at, the program that was started as `cellblock-init`
    // (PID 1 of a jail) goes its own way.
    cellblock::cli::main(std::env::args_os()).into()
}
