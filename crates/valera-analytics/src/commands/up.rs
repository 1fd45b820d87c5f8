//! `up`: a complete local system on one command, kept until Ctrl-C and found again the next time.

use super::{run, stop};
use crate::{
    config::{DeliveryArgs, RulesArgs, ZoneArgs},
    embedded::{Tools, data_dir},
    gateway::Gateway,
    local::{LocalSystem, Options},
    output,
};
use clap::Args;
use std::path::PathBuf;
use valera_pipeline::alerts::{Rules, Settings, delivery::Configured};

/// Run a complete local system: nats-server, Postgres and every service
#[derive(Debug, Args)]
pub struct Up {
    /// Only the servers, schema and topology; run services yourself
    #[arg(long)]
    servers_only: bool,
    /// Where data, keys and the file `env` are kept
    #[arg(long, default_value = ".valera/up", value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    zone: ZoneArgs,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

impl Up {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // Looked at before anything is started: a fault in the rules is no reason to have started half a system.
        let rules = self.rules.load()?;
        self.delivery.texts(self.zone.time_zone.as_deref())?;
        let channels = self.delivery.channels()?;
        let shutdown = stop::on_signal()?;
        let with_gateway = !self.servers_only;
        let options = Options { time_zone: self.zone.time_zone, with_gateway, ..Options::default() };
        let dir = data_dir(&self.data_dir)?;
        let mut system = LocalSystem::start(&Tools::locate()?, &dir, options).await?;
        let mut plan =
            if self.servers_only { run::Plan::default() } else { plan(&system, rules, &self.delivery, channels)? };
        if with_gateway {
            let gateway = Gateway::bind(system.gateway()?).await?;
            system.announce_gateway(&gateway.url())?;
            plan.gateway = Some(gateway);
        }
        output::print(&welcome(&system, plan.gateway.as_ref()))?;
        let (supervisor, _) = run::start(plan, &shutdown);
        let services = async {
            if self.servers_only {
                shutdown.cancelled().await;
            }
            supervisor.wait(run::GRACE).await
        };
        tokio::pin!(services);
        let ended = tokio::select! {
            ended = &mut services => ended,
            lost = system.lost_server() => {
                shutdown.cancel();
                match services.await {
                    Ok(()) => Err(lost),
                    Err(cause) => Err(cause.context(lost)),
                }
            }
        };
        ended.and(system.stop().await)
    }
}

fn plan(
    system: &LocalSystem,
    rules: Rules,
    delivery: &DeliveryArgs,
    channels: Vec<Configured>,
) -> anyhow::Result<run::Plan> {
    let environment = &system.environment;
    let zone = environment.time_zone.as_deref();
    let alerts = Settings::new(&environment.nats_url, rules, zone)?;
    let notifier = delivery.notifier(&environment.nats_url, zone)?;
    let digest = delivery.digest(&environment.nats_url, &environment.database_url, zone)?;
    Ok(run::Plan { digest, notifier: Some((notifier, channels)), ..run::Plan::all(environment, alerts) })
}

fn welcome(system: &LocalSystem, gateway: Option<&Gateway>) -> String {
    let environment = &system.environment;
    let env = system.dir().join("env");
    let gateway = gateway.map(|gateway| format!(", gateway at {}", gateway.url())).unwrap_or_default();
    format!(
        "ready: NATS at {}, Postgres at {}{gateway}, days cut in {}\n\
         to use it from another shell:  . {}\n\
         Ctrl-C stops everything; the data stays in {}\n",
        environment.nats_url,
        environment.database_url,
        environment.time_zone.as_deref().unwrap_or("UTC"),
        env.display(),
        system.dir().display(),
    )
}
