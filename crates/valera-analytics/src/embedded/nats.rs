//! An embedded nats-server with JetStream, configured by the project's own `nats/server.conf`.
//!
//! The file is compiled in, so that the program needs no checkout, and what flags can say (address, port, store) is
//! said by flags: the demo, the tests and docker-compose run one configuration.
//!
//! It does not create streams or consumers.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Tools;
use super::home::{Home, is_free, until};
use super::server::Server;
use super::spawn::Signal;

const CONF: &str = include_str!("../../../../nats/server.conf");
const SYNC_ALWAYS: &str = "sync_interval: always";

/// What may differ from `nats/server.conf`. The default is the product's.
#[derive(Clone, Debug, Default)]
pub struct NatsOptions {
    /// The port on 127.0.0.1; `None` takes the previous run's, else any free one.
    pub port: Option<u16>,
    /// How often what is written reaches the disk; `None` is `always`, before each PubAck. For tests.
    pub sync_interval: Option<Duration>,
    /// What is appended to the configuration, as users. For tests.
    pub appended: &'static str,
}

/// A running nats-server; dropped, it is killed.
pub struct NatsServer {
    server: Server,
    binary: PathBuf,
    port: u16,
}

impl NatsServer {
    /// Starts a server whose store, log and port are in `dir`, and waits until it takes connections.
    ///
    /// # Errors
    /// When `dir` is in use or out of reach, the port is taken, or the server does not start; the text ends with its log.
    pub async fn start(tools: &Tools, dir: impl AsRef<Path>, options: NatsOptions) -> Result<Self> {
        let home = Home::open(dir.as_ref()).await?;
        let port = home.port(options.port)?;
        home.subdir("jetstream")?;
        let conf = home.dir.join("server.conf");
        std::fs::write(&conf, configuration(&options)).with_context(|| format!("writing {}", conf.display()))?;
        let binary = tools.nats_server.clone();
        let command = command(&binary, &home.dir, port);
        let mut server = Server::launch("nats-server", command, home).await?;
        server.ready(async || greeted(port).await).await?;
        Ok(Self { server, binary, port })
    }

    /// `nats://127.0.0.1:<port>`, the same after a restart.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where the server is, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Whether the process has not ended. A paused one is running.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// Lets the server close its store, for 20 s at most, and then kills it.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.stop(Signal::Terminate).await
    }

    /// SIGKILL, now.
    ///
    /// # Errors
    /// When it cannot be signalled or does not end.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.kill().await
    }

    /// Freezes the server: connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&mut self) -> Result<()> {
        self.server.pause()
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&mut self) -> Result<()> {
        self.server.resume()
    }

    /// Starts the server again on the same port and store, after stopping it if it runs.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let port = self.port;
        ensure!(
            until(Duration::from_secs(5), || is_free(port)).await,
            "port {port} was taken while nats-server was down"
        );
        let command = command(&self.binary, &self.server.home().dir, port);
        self.server.relaunch(command).await?;
        self.server.ready(async || greeted(port).await).await
    }
}

fn configuration(options: &NatsOptions) -> String {
    let conf = match options.sync_interval {
        None => CONF.to_owned(),
        Some(every) => CONF.replace(SYNC_ALWAYS, &format!("sync_interval: \"{}ms\"", every.as_millis())),
    };
    conf + options.appended
}

fn command(binary: &Path, dir: &Path, port: u16) -> Command {
    let mut command = Command::new(binary);
    command.arg("-c").arg(dir.join("server.conf")).arg("-sd").arg(dir.join("jetstream"));
    command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
    command
}

/// The server greets every client with a line; it does so only once JetStream has recovered.
async fn greeted(port: u16) -> Result<()> {
    let greeting = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut start = [0; 5];
        stream.read_exact(&mut start).await?;
        ensure!(&start == b"INFO ", "another service listens on port {port}");
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(1), greeting).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_waits_for_the_disk_and_a_test_need_not() {
        assert_eq!(CONF.matches(SYNC_ALWAYS).count(), 1);
        let relaxed = NatsOptions { sync_interval: Some(Duration::from_secs(2)), ..NatsOptions::default() };
        assert!(configuration(&NatsOptions::default()).contains(SYNC_ALWAYS));
        assert!(configuration(&relaxed).contains("sync_interval: \"2000ms\""));
    }
}
