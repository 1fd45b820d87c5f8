//! The mail server that takes our mails, and how it is spoken to.
//!
//! A password goes over an encrypted connection only, to another machine at least. Encryption that was asked for is
//! required: a server that offers none gets nothing. It does not decide what a refusal means.

use anyhow::{Context, bail, ensure};
use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, TlsParameters},
    extension::ClientId,
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;
use std::{fmt, net::IpAddr, time::Duration};

/// For one mail, to all its recipients.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(28);

/// How the connection is encrypted.
#[derive(Clone)]
enum Encryption {
    /// From its first byte.
    Tls(TlsParameters),
    /// After it was asked for.
    StartTls(TlsParameters),
    None,
}

/// A mail server.
#[derive(Clone)]
pub struct Relay {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<Credentials>,
    attempt_within: Duration,
}

impl Relay {
    /// Reads `smtps://user@host:465`, `smtp://user@host:587?tls=required` (STARTTLS) or `smtp://host:25`. The password may
    /// stand in the URL; `password` stands over it.
    ///
    /// # Errors
    /// When it is another URL, when only one of user and password is there, or they would be sent unencrypted.
    pub fn parse(url: &str, password: Option<&str>) -> anyhow::Result<Self> {
        let mut url = Url::parse(url.trim()).context("is no URL, as smtps://user@mail.example.org")?;
        let host = url.host_str().filter(|host| !host.is_empty()).context("names no host")?.to_owned();
        let tls: Vec<_> = url.query_pairs().map(|(key, value)| format!("{key}={value}")).collect();
        let parameters = || TlsParameters::new(bare(&host).to_owned()).context("reading the root certificates");
        let (encryption, port) = match (url.scheme(), tls.concat().as_str()) {
            ("smtps", "") => (Encryption::Tls(parameters()?), 465),
            ("smtp", "tls=required") => (Encryption::StartTls(parameters()?), 587),
            ("smtp", "") => (Encryption::None, 25),
            _ => bail!("is none of smtps://…, smtp://…?tls=required and smtp://…"),
        };
        if let Some(password) = password {
            // A percent sign in it is one.
            let password = utf8_percent_encode(password.trim(), NON_ALPHANUMERIC).to_string();
            ensure!(url.set_password(Some(&password)).is_ok(), "names no host");
        }
        let credentials = credentials(&url)?;
        ensure!(
            credentials.is_none() || !matches!(encryption, Encryption::None) || is_this_machine(&host),
            "would send the password unencrypted; use smtps://… or smtp://…?tls=required"
        );
        let port = url.port().unwrap_or(port);
        Ok(Self { host, port, encryption, credentials, attempt_within: ATTEMPT_WITHIN })
    }

    /// Gives up on an attempt after so long.
    #[must_use]
    pub fn attempting_within(self, attempt_within: Duration) -> Self {
        Self { attempt_within, ..self }
    }

    pub(super) fn attempt_within(&self) -> Duration {
        self.attempt_within
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Connects, encrypts and logs in. `hello` is whom it says hello as.
    pub(super) async fn connect(&self, hello: &ClientId) -> Result<AsyncSmtpConnection, Error> {
        let server = (bare(&self.host), self.port);
        let (wrapper, starttls) = match &self.encryption {
            Encryption::Tls(parameters) => (Some(parameters.clone()), None),
            Encryption::StartTls(parameters) => (None, Some(parameters.clone())),
            Encryption::None => (None, None),
        };
        let within = Some(self.attempt_within);
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, within, hello, wrapper, None).await?;
        if let Some(parameters) = starttls {
            connection.starttls(parameters, hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relay({}:{})", self.host, self.port)
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || bare(host).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn credentials(url: &Url) -> anyhow::Result<Option<Credentials>> {
    let decoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(String::from).context("has a user or password that is no UTF-8")
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) => bail!("names no user for the password, as smtps://user@mail.example.org"),
        (_, None) => bail!("names a user and no password; set VALERA_SMTP_PASSWORD_FILE"),
        (user, Some(password)) => Ok(Some(Credentials::new(decoded(user)?, decoded(password)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_sent_or_shown_in_the_clear() {
        let refused = |url: &str, password| {
            let relay = Relay::parse(url, password);
            relay.err().map(|cause| format!("{cause:#}")).unwrap_or_default()
        };
        for (url, password) in [
            ("smtps://me:s3cret@mail.example.org", None),
            ("smtps://me@mail.example.org:4650", Some("s3cret\n")),
            ("smtp://me%40example.org:s3cret@mail.example.org?tls=required", None),
            ("smtp://me:s3cret@127.0.0.1:2525", None),
            ("smtp://me:s3cret@[::1]", None),
            ("smtp://mail.example.org", None),
        ] {
            assert_eq!(refused(url, password), "", "{url}");
        }
        for (url, password) in [
            ("smtp://me:s3cret@mail.example.org", None),
            ("smtp://me@mail.example.org", Some("s3cret")),
            ("smtps://mail.example.org", Some("s3cret")),
            ("smtps://me@mail.example.org", None),
            ("smtp://me:s3cret@mail.example.org?tls=opportunistic", None),
            ("https://me:s3cret@mail.example.org", None),
            ("smtps://me:s3cret@", None),
            ("me:s3cret", None),
            ("", None),
        ] {
            let refused = refused(url, password);
            assert!(!refused.is_empty() && !refused.contains("s3cret"), "{url}: {refused}");
        }
        let relay = Relay::parse("smtps://me%40example.org:s3%2Fcret@mail.example.org", None).unwrap();
        assert_eq!(relay.credentials, Some(Credentials::new("me@example.org".into(), "s3/cret".into())));
        assert_eq!((relay.port, relay.host()), (465, "mail.example.org"));
        let relay = Relay::parse("smtps://me@mail.example.org", Some("per%cent\n")).unwrap();
        assert_eq!(relay.credentials, Some(Credentials::new("me".into(), "per%cent".into())));
    }
}
