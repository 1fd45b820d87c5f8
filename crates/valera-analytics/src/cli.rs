//! The command line: one arm a command, each command's file holds its arguments and its work.
//!
//! It does not know what a command does.

use crate::commands;
use crate::config;
use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
To begin: `demo` shows everything on servers of its own; `up` keeps a system running.
Settings come from the environment or a .env file, flags stand over them: `<COMMAND> --help` names them.
Exit codes: 0 done, 1 failed or something differs, 2 wrong usage.";

/// Analytics of the Valera assistant: an event-sourced pipeline on NATS JetStream and Postgres.
#[derive(Debug, Parser)]
#[command(name = "valera-analytics", version, about, after_help = AFTER_HELP)]
#[command(propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(commands::demo::Demo),
    Up(Box<commands::up::Up>),
    Run(Box<commands::run::Run>),
    Migrate(commands::migrate::Migrate),
    Topology(commands::topology::Topology),
    Track(commands::track::Track),
    Import(commands::import::Import),
    Export(commands::export::Export),
    Validate(commands::validate::Validate),
    Funnel(commands::funnel::Funnel),
    Latency(commands::latency::Latency),
    Status(commands::status::Status),
    Verify(commands::verify::Verify),
    Rebuild(commands::rebuild::Rebuild),
    Replay(Box<commands::replay::Replay>),
    DeadLetters(commands::dead_letters::DeadLetters),
    Alerts(commands::alerts::Alerts),
    Catalogue(commands::catalogue::Catalogue),
    Completions(commands::completions::Completions),
}

impl Cli {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// Whatever made it fail, in words for whoever called it.
    pub fn run(self) -> anyhow::Result<()> {
        // What runs until it is stopped tells of itself; the others answer.
        config::log_to_stderr(!matches!(self.command, Command::Run(_) | Command::Up(_)));
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
            match self.command {
                Command::Demo(demo) => demo.run().await,
                Command::Up(up) => up.run().await,
                Command::Run(run) => run.run().await,
                Command::Migrate(migrate) => migrate.run().await,
                Command::Topology(topology) => topology.run().await,
                Command::Track(track) => track.run().await,
                Command::Import(import) => import.run().await,
                Command::Export(export) => export.run().await,
                Command::Validate(validate) => validate.run().await,
                Command::Funnel(funnel) => funnel.run().await,
                Command::Latency(latency) => latency.run().await,
                Command::Status(status) => status.run().await,
                Command::Verify(verify) => verify.run().await,
                Command::Rebuild(rebuild) => rebuild.run().await,
                Command::Replay(replay) => replay.run().await,
                Command::DeadLetters(letters) => letters.run().await,
                Command::Alerts(alerts) => alerts.run().await,
                Command::Catalogue(catalogue) => catalogue.run().await,
                Command::Completions(completions) => completions.run(),
            }
        })
    }
}
