//! Servers that are who they say they are, and ones that are not: TLS as the channels meet it outside.
//!
//! The certificates are made anew by an authority of the test's own, which the program is told of by `SSL_CERT_FILE`, as on
//! a machine with an authority of its own. Only whole processes are tested: that variable is a process's.

use super::{email::ANNA, mail_server::MailServer, receiver::Receiver, socket::Stream, webhook::SECRET};
use crate::support::{Process, Said, System, eventually, program};
use chrono::Utc;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use uuid::Uuid;
use valera_analytics::embedded::scratch_dir;

/// Who a server says that it is; may change while it runs.
#[derive(Clone)]
pub(crate) struct Identity(Arc<Mutex<TlsAcceptor>>);

impl Identity {
    pub(crate) async fn accept<S: Stream>(&self, stream: S) -> std::io::Result<TlsStream<S>> {
        let acceptor = self.0.lock().unwrap().clone();
        acceptor.accept(stream).await
    }

    fn becomes(&self, other: &Self) {
        *self.0.lock().unwrap() = other.0.lock().unwrap().clone();
    }
}

/// Whom one program trusts.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        // Two of them have nothing in common, not even a name.
        params.distinguished_name.push(DnType::CommonName, Uuid::now_v7().to_string());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn identity(&self, host: &str) -> Identity {
        // Chooses the TLS provider.
        valera_analytics::config::prepare().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        Identity(Arc::new(Mutex::new(TlsAcceptor::from(Arc::new(config)))))
    }

    fn file(&self, dir: &Path) -> PathBuf {
        let file = dir.join("authority.pem");
        fs::write(&file, &self.pem).unwrap();
        file
    }
}

fn posting_to(receiver: &Receiver, authority: &Path, mut command: Command) -> Command {
    command
        .env("SSL_CERT_FILE", authority)
        .env("VALERA_WEBHOOK_URL", format!("https://localhost:{}/t0ken", receiver.port))
        .env("VALERA_WEBHOOK_SECRET", SECRET)
        .env("VALERA_WEBHOOK_ALLOW_PRIVATE", "localhost");
    command
}

fn mailing_by(url: &str, authority: &Path, mut command: Command) -> Command {
    command
        .env("SSL_CERT_FILE", authority)
        .env("VALERA_SMTP_URL", url)
        .env("VALERA_SMTP_PASSWORD", "s3cret")
        .env("VALERA_EMAIL_FROM", "alerts@example.org")
        .env("VALERA_EMAIL_TO", ANNA);
    command
}

async fn says(mut command: Command) -> Said {
    tokio::task::spawn_blocking(move || Said::by(command.args(["alerts", "test"]))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_certificate_is_another_hosts_is_refused_and_named_until_it_is_mended() {
    let system = System::start().await;
    let authority = Authority::new();
    let file = authority.file(system.dir());
    let identity = authority.identity("elsewhere.example.org");
    let receiver = Receiver::start_as(identity.clone()).await;
    system.step(1, 1, "firing", Utc::now(), json!({})).await;
    let mut command = posting_to(&receiver, &file, system.program());
    let log = system.dir().join("notifier.log");
    command.args(["run", "notifier"]).env("VALERA_DIGEST_AT", "off").stderr(fs::File::create(&log).unwrap());
    let _notifier = Process::of(command);
    let says = |words: &str| fs::read_to_string(&log).unwrap().contains(words);
    eventually("the log says why", async || says("posting to localhost") && says("certificate")).await;
    assert!(!says("t0ken"));
    identity.becomes(&Authority::new().identity("localhost"));
    eventually("a stranger's authority is named too", async || says("UnknownIssuer")).await;
    assert_eq!((receiver.connections(), system.told("webhook").await.len()), (0, 0));
    identity.becomes(&authority.identity("localhost"));
    eventually("it arrives", async || receiver.requests().len() == 1).await;
    system.drained_of("ALERTS", "notify_webhook").await;
    assert_eq!(system.told("webhook").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_and_its_password_go_to_a_server_that_is_who_it_says_by_either_kind_of_tls() {
    let dir = scratch_dir().unwrap();
    let authority = Authority::new();
    let file = authority.file(dir.path());
    for is_asked in [false, true] {
        let url = |port: u16| match is_asked {
            true => format!("smtp://me@localhost:{port}?tls=required"),
            false => format!("smtps://me@localhost:{port}"),
        };
        let server = MailServer::start_as(authority.identity("localhost"), is_asked).await;
        let out = says(mailing_by(&url(server.port), &file, program())).await.well();
        assert!(out.contains("email: shown"), "{out}");
        // base64 of NUL, user, NUL and password.
        assert_eq!(
            (server.mails_to(ANNA).len(), server.logins()),
            (1, vec!["AUTH PLAIN AG1lAHMzY3JldA==".to_owned()])
        );

        let strange = Authority::new().identity("localhost");
        for (identity, named) in
            [(authority.identity("elsewhere.example.org"), "certificate"), (strange, "UnknownIssuer")]
        {
            let server = MailServer::start_as(identity, is_asked).await;
            let said = says(mailing_by(&url(server.port), &file, program())).await;
            assert_eq!(said.code, Some(1), "{said:?}");
            assert!(said.out.contains("connecting to localhost") && said.out.contains(named), "{said:?}");
            assert!(!said.out.contains("s3cret") && !said.err.contains("s3cret"), "{said:?}");
            assert_eq!((server.mails().len(), server.logins().len()), (0, 0));
        }
    }
    // One that offers no encryption where it is required gets nothing.
    let server = MailServer::start().await;
    let url = format!("smtp://me@localhost:{}?tls=required", server.port);
    let said = says(mailing_by(&url, &file, program())).await;
    assert_eq!((said.code, server.mails().len(), server.logins().len()), (Some(1), 0, 0), "{said:?}");
    assert!(said.out.contains("email: "), "{said:?}");
}
