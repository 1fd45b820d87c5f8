//! `completions`: a shell's completion script on standard output.

use crate::{cli::Cli, output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a completion script for your shell
#[derive(Debug, Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "valera-analytics", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}
