//! `run`: services in this process, each on its own durable consumer.

use super::stop;
use crate::config::ServiceArgs;
use clap::{Args, ValueEnum};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    consume::Watched,
    probe::NoProbe,
    service::{Environment, Service},
    supervise::Supervisor,
};

/// How long services may take to finish the batch in hand.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// Run services until Ctrl-C
#[derive(Debug, Args)]
pub struct Run {
    /// Which ones; several of a kind may run on one host, in processes of their own
    #[arg(required = true, value_enum)]
    services: Vec<Named>,
    #[command(flatten)]
    config: ServiceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Named {
    /// Stores raw events and dead letters
    Persister,
    /// Folds events into the rollup tables
    Rollups,
    /// All of them
    All,
}

impl Named {
    fn services(self) -> &'static [Service] {
        match self {
            Self::Persister => &[Service::Persister],
            Self::Rollups => &[Service::Rollups],
            Self::All => &Service::ALL,
        }
    }
}

impl Run {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let environment = self.config.environment()?;
        let shutdown = stop::on_signal()?;
        let mut services: Vec<Service> = Vec::new();
        for service in self.services.iter().flat_map(|named| named.services()) {
            if !services.contains(service) {
                services.push(*service);
            }
        }
        start(&services, &environment, &shutdown).0.wait(GRACE).await
    }
}

/// Starts services under one supervisor, and gives what can be seen of each.
pub(super) fn start(
    services: &[Service],
    environment: &Environment,
    shutdown: &CancellationToken,
) -> (Supervisor, Vec<Watched>) {
    let mut supervisor = Supervisor::new(shutdown.clone());
    let mut all_watched = Vec::new();
    for service in services {
        let watched = Watched::new(service.name());
        all_watched.push(watched.clone());
        let running = service.run(environment.clone(), watched, Arc::new(NoProbe), shutdown.clone());
        supervisor.start(service.name(), running);
    }
    (supervisor, all_watched)
}
