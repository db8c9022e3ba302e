//! Parses the command line, starts the logs, runs one role, prints the error and its hint, and ends with an exit code.

use std::process::ExitCode;

use clap::Parser;
use hm::{cli::Cli, roles};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match roles::run(cli) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("hm: {}", roles::told(&error));
            roles::Exit::Failed.into()
        }
    }
}
