//! `run`: services in this process, each on its own durable consumer.

use super::stop;
use crate::{
    config::{DeliveryArgs, GatewayArgs, RulesArgs, ServiceArgs},
    gateway::{self, Gateway},
};
use clap::{Args, ValueEnum};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::info;
use valera_pipeline::{
    alerts::{
        self,
        delivery::{Configured, Notifier},
        digest,
    },
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
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Named {
    /// Stores raw events and dead letters
    Persister,
    /// Folds events into the rollup tables
    Rollups,
    /// Finds in the events what a person should know at once; one active at a time, others stand by
    Alerts,
    /// Brings alerts to people, on every channel that is configured; of several instances one sends
    Notifier,
    /// Takes events by HTTP, from clients with a token
    Gateway,
    /// All of them; the gateway where its tokens are given
    All,
}

/// What is to be run, each with what it needs.
#[derive(Default)]
pub(super) struct Plan {
    /// On Postgres.
    pub(super) services: Vec<(Service, Environment)>,
    pub(super) alerts: Option<alerts::Settings>,
    pub(super) notifier: Option<(Notifier, Vec<Configured>)>,
    /// What it tells of each morning.
    pub(super) digest: Option<digest::Settings>,
    pub(super) gateway: Option<Gateway>,
}

impl Plan {
    /// Everything on one system but delivery.
    pub(super) fn all(environment: &Environment, alerts: alerts::Settings) -> Self {
        let services = Service::ALL.map(|service| (service, environment.clone()));
        Self { services: services.into(), alerts: Some(alerts), ..Self::default() }
    }
}

impl Run {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut plan = self.plan()?;
        let all = self.services.contains(&Named::All) && self.gateway.tokens_file.is_some();
        if all || self.services.contains(&Named::Gateway) {
            plan.gateway = Some(Gateway::bind(self.gateway.settings(&self.config)?).await?);
        }
        let shutdown = stop::on_signal()?;
        start(plan, &shutdown).0.wait(GRACE).await
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let wanted = |named: Named| self.services.contains(&named) || self.services.contains(&Named::All);
        let mut plan = Plan::default();
        for (named, service) in [(Named::Persister, Service::Persister), (Named::Rollups, Service::Rollups)] {
            if wanted(named) {
                plan.services.push((service, self.config.environment()?));
            }
        }
        let ServiceArgs { nats, zone, .. } = &self.config;
        if wanted(Named::Alerts) {
            plan.alerts = Some(self.rules.settings(&nats.nats_url, zone.time_zone.as_deref())?);
        }
        if wanted(Named::Notifier) {
            let zone = zone.time_zone.as_deref();
            let notifier = self.delivery.notifier(&nats.nats_url, zone)?;
            plan.digest = match &self.config.database_url {
                Some(database_url) => self.delivery.digest(&nats.nats_url, database_url, zone)?,
                None => {
                    info!("without DATABASE_URL there is no morning message");
                    None
                }
            };
            plan.notifier = Some((notifier, self.delivery.channels()?));
        }
        Ok(plan)
    }
}

/// Starts services under one supervisor, and gives what can be seen of each.
pub(super) fn start(plan: Plan, shutdown: &CancellationToken) -> (Supervisor, Vec<Watched>) {
    let mut supervisor = Supervisor::new(shutdown.clone());
    let mut all_watched = Vec::new();
    for (service, environment) in plan.services {
        let watched = Watched::new(service.name());
        all_watched.push(watched.clone());
        supervisor.start(service.name(), service.run(environment, watched, Arc::new(NoProbe), shutdown.clone()));
    }
    if let Some(settings) = plan.alerts {
        let watched = Watched::new(alerts::NAME);
        all_watched.push(watched.clone());
        supervisor.start(alerts::NAME, settings.run(watched, Arc::new(NoProbe), shutdown.clone()));
    }
    let (notifier, channels) = plan.notifier.unzip();
    if let Some(settings) = plan.digest {
        let watched = Watched::new(digest::Settings::NAME);
        all_watched.push(watched.clone());
        supervisor.start(digest::Settings::NAME, settings.run(watched, shutdown.clone()));
    }
    for (notifier, channel) in notifier.iter().cycle().zip(channels.into_iter().flatten()) {
        let name = Notifier::durable(channel.name());
        let watched = Watched::of_channel(&name);
        all_watched.push(watched.clone());
        supervisor.start(&name, notifier.clone().run(channel, watched, Arc::new(NoProbe), shutdown.clone()));
    }
    if let Some(gateway) = plan.gateway {
        supervisor.start(gateway::NAME, gateway.run(shutdown.clone()));
    }
    (supervisor, all_watched)
}
