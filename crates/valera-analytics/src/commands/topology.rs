//! `topology`: makes the streams and consumers of `nats/`, or says where a server differs from them.

use crate::{config::NatsArgs, output};
use anyhow::bail;
use async_nats::jetstream;
use clap::{Args, Subcommand};
use valera_pipeline::{consume::Link, topology};

/// Make the streams and consumers, or compare them
#[derive(Debug, Args)]
pub struct Topology {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create or update what this program owns; deletes nothing
    Apply(NatsArgs),
    /// Say what differs; exit 1 when anything does
    Diff(NatsArgs),
}

impl Topology {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (Action::Apply(nats) | Action::Diff(nats)) = &self.action;
        let client = Link::new(&nats.nats_url, "valera-topology").connect().await?;
        topology::require_server(&client)?;
        let context = jetstream::new(client);
        match self.action {
            Action::Apply(_) => {
                for change in topology::apply(&context).await? {
                    output::print(&format!("{change}\n"))?;
                }
                Ok(())
            }
            Action::Diff(_) => {
                let differences = topology::diff(&context).await?;
                for difference in &differences {
                    output::print(&format!("{difference}\n"))?;
                }
                match differences.len() {
                    0 => output::print("the server has what this program needs\n"),
                    count => {
                        bail!("{count} differences; `valera-analytics topology apply` mends what can be changed")
                    }
                }
            }
        }
    }
}
