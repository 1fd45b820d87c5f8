//! Signs a request as Standard Webhooks says (<https://www.standardwebhooks.com>), so that any of its libraries verifies it.
//!
//! What is signed is the id, the time and the body, so neither can be changed and an old request cannot be sent again much
//! later. A secret too short to be one is refused when it is read. It does not show its secret, not in `Debug` either.

use anyhow::{Context, ensure};
use data_encoding::{BASE64, BASE64_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes that a secret has at least.
const AT_LEAST: usize = 24;

/// The secret that sender and receiver share.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// Reads `whsec_` and base64, with or without padding.
    ///
    /// # Errors
    /// When it is another text, or of less than 24 bytes; without showing it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let make = "make one with: echo \"whsec_$(openssl rand -base64 32)\"";
        let text =
            text.trim().strip_prefix(PREFIX).with_context(|| format!("does not begin with {PREFIX}; {make}"))?;
        let bytes = BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes());
        let bytes = bytes.ok().with_context(|| format!("is no base64 after {PREFIX}; {make}"))?;
        ensure!(bytes.len() >= AT_LEAST, "has {} bytes, and a secret has at least {AT_LEAST}; {make}", bytes.len());
        Ok(Self(Hmac::new_from_slice(&bytes)?))
    }

    /// The value of `webhook-signature`; `timestamp` is in seconds.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_the_standard_says() {
        // The example of the standard's own libraries.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        // python3: hmac.new(bytes(range(32)), b"booking/ab/firing/1.1800000000.{}", "sha256")
        let secret = Secret::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
        assert_eq!(
            secret.sign("booking/ab/firing/1", 1_800_000_000, b"{}"),
            "v1,hFILkIbJ9l93sDWghVCog/SzLjYe6qpv5nBhrX1fydw="
        );
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_being_shown() {
        let short = format!("whsec_{}", BASE64.encode(&[7; 23]));
        let bare = BASE64.encode(&[7; 32]);
        for text in ["", "whsec_", "whsec_====", "whsec_%%%%", &short, &bare, "secret"] {
            let error = format!("{:#}", Secret::parse(text).unwrap_err());
            assert!(error.contains("openssl rand"), "{error}");
            assert!(text.len() < 8 || !error.contains(text.trim_start_matches("whsec_")), "{error}");
        }
        assert!(!format!("{:?}", Secret::parse(&format!("whsec_{bare}")).unwrap()).contains(&bare));
    }
}
