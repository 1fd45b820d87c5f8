//! Where a webhook goes: an address that was judged when it was configured, and is judged again at every connection.
//!
//! The HTTP client asks a resolver for names and connects to literal addresses without asking; so names are judged in the
//! resolver, which hands on the very addresses that it judged, and literals when the URL is read. No redirect is followed
//! and no proxy of the environment used, for either would connect past both. A URL may hold a secret in its path, as those
//! of chats do: only its host is ever shown.

use super::addresses::{Allowed, Forbidden};
use anyhow::{Context, bail};
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// For a connection, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// For an answer, from the start.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// A URL that may be sent to.
#[derive(Clone)]
pub struct Target {
    url: Url,
    allowed: Allowed,
    answer_within: Duration,
}

impl Target {
    /// Reads the receiver's URL.
    ///
    /// # Errors
    /// When it is none of https (or of http, where private addresses are allowed), or names a forbidden address in any
    /// spelling.
    pub fn parse(url: &str, allowed: Allowed) -> anyhow::Result<Self> {
        let url = Url::parse(url.trim()).context("is no URL, as https://example.org/alerts")?;
        match url.scheme() {
            "https" => {}
            "http" if allowed != Allowed::default() => {}
            "http" => bail!("has to be https://, or everybody on the way could read it"),
            other => bail!("is {other}:// and has to be https://"),
        }
        let target = Self { url, allowed, answer_within: ANSWER_WITHIN };
        let host = target.host();
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            target.allowed.vet(host, address, target.is_https())?;
        }
        Ok(target)
    }

    /// Gives up on an answer after so long.
    #[must_use]
    pub fn answering_within(self, answer_within: Duration) -> Self {
        Self { answer_within, ..self }
    }

    /// What may be shown of it.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// A client that connects to nothing else than what was judged.
    ///
    /// # Errors
    /// When there are no root certificates on this machine.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let judge = Judge { allowed: Arc::new(self.allowed.clone()), is_https: self.is_https() };
        let client = Client::builder()
            .dns_resolver(Arc::new(judge))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(self.answer_within)
            .user_agent(concat!("valera-analytics/", env!("CARGO_PKG_VERSION")));
        client.build().context("making an HTTP client; are there root certificates (ca-certificates)?")
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.host())
    }
}

/// Resolves names and judges what they lead to.
struct Judge {
    allowed: Arc<Allowed>,
    is_https: bool,
}

impl Resolve for Judge {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, is_https) = (self.allowed.clone(), self.is_https);
        Box::pin(async move {
            let host = name.as_str();
            let addresses: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            // One that is forbidden forbids all: which of them is connected to would be chance.
            for address in &addresses {
                allowed.vet(host, address.ip(), is_https)?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The judge's verdict, when it is why a request failed.
pub(super) fn forbidden(failure: &reqwest::Error) -> Option<&Forbidden> {
    let mut cause = failure.source();
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref() {
            return Some(forbidden);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, allowed: &str) -> String {
        let target = Target::parse(url, allowed.parse().unwrap());
        target.err().map(|cause| format!("{cause:#}")).unwrap_or_default()
    }

    #[test]
    fn a_private_address_is_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "0",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "10.0.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:7f00:0001]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::7f00:1]",
            "[fd00::1]",
            "[fe80::1]",
            "１２７.0.0.1",
            "127%2e0.0.1",
            "user:word@127.0.0.1",
        ] {
            for rest in ["", ":8443", "/path?query#fragment"] {
                let url = format!("https://{host}{rest}");
                assert!(refused(&url, "").contains("private address"), "{url}: {}", refused(&url, ""));
                assert_eq!(refused(&url, "true"), "", "{url}");
            }
        }
    }

    #[test]
    fn only_https_is_spoken_to_the_public_and_a_url_is_never_shown() {
        assert_eq!(refused("https://hooks.example.org/s3cret", ""), "");
        assert_eq!(refused("https://8.8.8.8/s3cret", ""), "");
        for (url, allowed) in [
            ("http://hooks.example.org/s3cret", ""),
            ("http://8.8.8.8/s3cret", "true"),
            ("ftp://example.org/s3cret", ""),
            ("hooks.example.org/s3cret", ""),
            ("https:///", ""),
            ("https://[fe80::1%25eth0]/s3cret", ""),
            ("", ""),
            ("https://1.2.3.4.5/s3cret", ""),
            ("https://256.1.1.1/s3cret", "true"),
            ("unix:/s3cret", "true"),
        ] {
            let refused = refused(url, allowed);
            assert!(!refused.is_empty() && !refused.contains("s3cret"), "{url}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let judge = |allowed: &str| Judge { allowed: Arc::new(allowed.parse().unwrap()), is_https: true };
        for name in ["localhost", "LOCALHOST"] {
            let Err(refused) = judge("").resolve(name.parse().unwrap()).await else { panic!("{name} is allowed") };
            assert!(refused.is::<Forbidden>(), "{name}: {refused}");
            assert!(judge("localhost").resolve(name.parse().unwrap()).await.is_ok());
        }
    }
}
