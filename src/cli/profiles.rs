//! `cellblock profiles`: the profiles that can be named.

use super::output::{Output, Tone};
use crate::exit::Exit;
use crate::host;
use crate::planning;
use crate::profile::load::Listed;
use clap::Args;

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Profiles {}

const EXAMPLES: &str = "\
Profiles are looked for in ./profiles, ~/.config/cellblock/profiles,
/etc/cellblock/profiles and among the shipped ones; the first of a name counts.

Examples:
  cellblock profiles
  cellblock profiles | grep shipped";

impl Profiles {
    /// Prints name, description and place of each.
    pub fn perform(&self, out: &mut Output) -> Exit {
        let listed = planning::profiles(&host::probe::caller()).list();
        for profile in &listed {
            print(out, profile);
        }
        Exit::Success
    }
}

fn print(out: &mut Output, profile: &Listed) {
    let Listed { name, from, description } = profile;
    let (tone, said) = match description {
        Ok(description) => (Tone::Plain, description.clone()),
        Err(problems) => {
            let count = problems.0.len();
            (Tone::Bad, format!("cannot be used, {count} problem(s): cellblock check {name}"))
        }
    };
    let from = (Tone::Plain, format!("[{from}]"));
    out.cells(&[(Tone::Good, format!("{name:<16}")), (tone, said), from]);
}
