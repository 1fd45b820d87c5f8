//! Which addresses a webhook may be sent to: public ones, and those that the operator has named.
//!
//! The process may reach what its receiver's owner may not: the metadata service of a cloud, a database, NATS itself. So an
//! address is judged by number, after every spelling and every name has become one, and by what it embeds where that is
//! where packets go. Whatever of IPv6 is no global unicast is refused as a whole: it cannot be forgotten when it is given a
//! use. It does not resolve names and opens nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A block of addresses: those that share so many leading bits. An IPv4 address counts as the IPv6 one it is mapped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    bits: u128,
    prefix: u32,
}

const fn v4(a: u8, b: u8, c: u8, prefix: u32) -> Block {
    Block { bits: Ipv4Addr::new(a, b, c, 0).to_ipv6_mapped().to_bits(), prefix: 96 + prefix }
}

const fn v6(a: u16, b: u16, c: u16, prefix: u32) -> Block {
    Block { bits: Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_bits(), prefix }
}

/// Those of IPv4, and those of IPv6's global unicast, that lead to no public host (IANA's special-purpose registries).
const PRIVATE: [Block; 19] = [
    v4(0, 0, 0, 8),
    v4(10, 0, 0, 8),
    v4(100, 64, 0, 10),
    v4(127, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 0, 0, 24),
    v4(192, 0, 2, 24),
    v4(192, 88, 99, 24),
    v4(192, 168, 0, 16),
    v4(198, 18, 0, 15),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    v4(224, 0, 0, 4),
    v4(240, 0, 0, 4),
    // Teredo and other protocols' own, documentation, 6to4, documentation again.
    v6(0x2001, 0, 0, 23),
    v6(0x2001, 0xdb8, 0, 32),
    v6(0x2002, 0, 0, 16),
    v6(0x3fff, 0, 0, 20),
];
const GLOBAL_UNICAST: Block = v6(0x2000, 0, 0, 3);
const MAPPED: Block = v4(0, 0, 0, 0);
/// Where a gateway puts IPv4 (RFC 6052): packets go to the address in the last 32 bits.
const TRANSLATED: Block = v6(0x64, 0xff9b, 0, 96);

impl Block {
    fn holds(self, bits: u128) -> bool {
        let differing = (self.bits ^ bits).leading_zeros();
        differing >= self.prefix
    }
}

/// The address that packets go to, as an IPv6 one.
fn effective(address: IpAddr) -> u128 {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    if TRANSLATED.holds(bits) { MAPPED.bits | (bits & u128::from(u32::MAX)) } else { bits }
}

/// Whether an address leads to a host that anybody can reach.
pub(crate) fn is_public(address: IpAddr) -> bool {
    let bits = effective(address);
    let may_be = MAPPED.holds(bits) || GLOBAL_UNICAST.holds(bits);
    may_be && !PRIVATE.iter().any(|block| block.holds(bits))
}

impl FromStr for Block {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let own = if address.is_ipv4() { 32 } else { 128 };
        let prefix = if prefix.is_empty() { own } else { prefix.parse().map_err(|_| ())? };
        if prefix > own {
            return Err(());
        }
        Ok(Self { bits: effective(address), prefix: prefix + 128 - own })
    }
}

/// Which private addresses the operator has allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    everything: bool,
    blocks: Vec<Block>,
    /// In lower case.
    hosts: Vec<String>,
}

impl Allowed {
    /// Whether a private address may be connected to as this host.
    fn allows(&self, host: &str, address: IpAddr) -> bool {
        self.everything
            || self.blocks.iter().any(|block| block.holds(effective(address)))
            || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host.trim_end_matches('.')))
    }

    /// Judges the address that a host leads to. Over `http` the body is readable on the way, so it goes to allowed private
    /// addresses only.
    ///
    /// # Errors
    /// With the reason, when it is not to be connected to.
    pub(crate) fn vet(&self, host: &str, address: IpAddr, is_https: bool) -> Result<(), Forbidden> {
        let reason = match is_public(address) {
            true if is_https => return Ok(()),
            false if self.allows(host, address) => return Ok(()),
            true => "is a public address, and https:// is required for those",
            false => "is a private address; name it in VALERA_WEBHOOK_ALLOW_PRIVATE if it is the receiver's",
        };
        let is_literal = host.trim_start_matches('[').trim_end_matches(']').parse() == Ok(address);
        let leads = if is_literal { String::new() } else { format!("{host} leads to ") };
        let which = if is_literal { "" } else { ", which" };
        Err(Forbidden(format!("{leads}{address}{which} {reason}")))
    }
}

impl FromStr for Allowed {
    type Err = String;

    /// `true`, `false`, or a list of addresses, blocks as `10.0.0.0/8`, and names of hosts.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut allowed = Self::default();
        for part in text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty()) {
            match part.to_ascii_lowercase().as_str() {
                "true" => allowed.everything = true,
                "false" => {}
                name if is_host_name(name) => allowed.hosts.push(name.trim_end_matches('.').to_owned()),
                block => allowed.blocks.push(block.parse().map_err(|()| {
                    format!("{part:?} is no address, no block as 10.0.0.0/8 and no name of a host; true allows all")
                })?),
            }
        }
        Ok(allowed)
    }
}

fn is_host_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let text = text.trim_end_matches('.');
    // The last label of a name is never a number; that of an address always is.
    let last = text.rsplit('.').next().unwrap_or_default();
    text.split('.').all(is_part) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Why an address is not connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forbidden(pub(crate) String);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Forbidden {}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn private_addresses_are_known_in_every_form() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:a9fe:a9fe",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "5f00::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_not_taken_for_private_ones() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2606:4700::1111",
            "2a00:1450:4010::1",
            "2001:4860:4860::8888",
            "3ffe::1",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn an_operator_allows_what_he_names_and_nothing_beside_it() {
        let allowed: Allowed = "10.1.0.0/16, hooks.internal fd00::/8".parse().unwrap();
        let vets = |host: &str, text: &str, is_https: bool| allowed.vet(host, address(text), is_https).is_ok();
        assert!(vets("other", "10.1.2.3", true) && vets("other", "::ffff:10.1.2.3", false));
        assert!(!vets("other", "10.2.0.1", true));
        assert!(vets("Hooks.Internal.", "192.168.7.7", false) && !vets("internal", "192.168.7.7", false));
        assert!(vets("other", "fd12::1", false) && !vets("other", "fe80::1", false));
        // Over http to private ones only, or everybody on the way could read it.
        assert!(vets("other", "8.8.8.8", true) && !vets("other", "8.8.8.8", false));
        let all: Allowed = "true".parse().unwrap();
        assert!(
            all.vet("x", address("127.0.0.1"), false).is_ok() && all.vet("x", address("8.8.8.8"), false).is_err()
        );
        assert_eq!("false".parse(), Ok(Allowed::default()));
        for text in ["10.0.0.0/33", "10.0.0/8", "*", "http://x", "::/129"] {
            assert!(text.parse::<Allowed>().unwrap_err().contains(text), "{text}");
        }
    }
}
