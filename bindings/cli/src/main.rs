//! The `tidelog` command: import, ask and look after a store from a shell.
//!
//! Each command is a file of `commands/`; reading and printing rows are `input/` and `print/`.
//! Results go to stdout, everything else to stderr.

mod arguments;
mod commands;
mod error;
mod input;
mod print;
mod progress;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod test_rows;
mod time;

use arguments::Arguments;
use clap::Parser;
use error::Outcome;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_max_level(arguments.log.filter())
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    match commands::run(arguments) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(error::FOUND),
        // Whoever read our output has what they wanted.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            ExitCode::from(error.exit_code())
        }
    }
}
