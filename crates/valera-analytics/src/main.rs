//! `valera-analytics`: the analytics of the assistant, as one program.
//!
//! What each command does stands in `commands`; this only parses, runs, and says why it ended: exit 0 done, 1 failed or
//! differs, 2 usage.

use clap::Parser;
use std::process::ExitCode;
use valera_analytics::{cli::Cli, config, output};

fn main() -> ExitCode {
    match config::prepare().and_then(|()| Cli::parse().run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            output::complain(&cause);
            if cause.is::<output::WrongUsage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
