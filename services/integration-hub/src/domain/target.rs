//! Which addresses a provider may have. A tenant chooses the URL, so without this the platform's own network, and
//! the metadata service of its cloud, would be a request away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// How far a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Public addresses only: production.
    PublicOnly,
    /// Private and loopback addresses too: development, where the provider is a process beside us. Link-local and
    /// metadata addresses stay refused.
    AllowPrivate,
}

/// Why an address may not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Loopback, private or otherwise inside; development may allow it.
    #[error("{0} is a private address; only public ones may be called")]
    Private(IpAddr),
    /// Never: link-local (which holds the clouds' metadata services), multicast, broadcast, unspecified, reserved.
    #[error("{0} is a link-local, metadata or reserved address, which may never be called")]
    Forbidden(IpAddr),
}

impl AddressPolicy {
    /// Judges one address that a name has resolved to, or that stood in the URL itself.
    pub fn check(self, address: IpAddr) -> Result<(), Refusal> {
        match (reach(address), self) {
            (Reach::Public, _) | (Reach::Private, Self::AllowPrivate) => Ok(()),
            (Reach::Private, Self::PublicOnly) => Err(Refusal::Private(address)),
            (Reach::Forbidden, _) => Err(Refusal::Forbidden(address)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Forbidden,
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, d] = address.octets();
    if a == 0
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || a >= 240
        // Metadata services outside the link-local range: Alibaba, Oracle's older one.
        || [a, b, c, d] == [100, 100, 100, 200]
        || [a, b, c, d] == [192, 0, 0, 192]
    {
        return Reach::Forbidden;
    }
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = [a, b, c] == [192, 0, 0];
    let benchmarking = a == 198 && (b == 18 || b == 19);
    if address.is_private()
        || address.is_loopback()
        || address.is_documentation()
        || shared
        || protocol_assignments
        || benchmarking
    {
        return Reach::Private;
    }
    Reach::Public
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    // An IPv4 address in an IPv6 coat goes where the IPv4 address goes.
    if let Some(inner) = embedded_v4(address) {
        return reach_v4(inner);
    }
    // Amazon's metadata service by IPv6.
    let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    if address.is_unspecified()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || address == metadata
    {
        return Reach::Forbidden;
    }
    let [first, second, ..] = address.segments();
    let documentation = (first == 0x2001 && second == 0xdb8) || first == 0x3fff;
    let site_local = (first & 0xffc0) == 0xfec0;
    if address.is_loopback() || address.is_unique_local() || documentation || site_local {
        return Reach::Private;
    }
    // Global unicast is 2000::/3; everything else is unassigned.
    if (first & 0xe000) == 0x2000 { Reach::Public } else { Reach::Forbidden }
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(from(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(from(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str) -> Reach {
        reach(address.parse().expect("an address"))
    }

    #[test]
    fn public_addresses_are_public() {
        for address in ["8.8.8.8", "1.1.1.1", "100.63.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
        {
            assert_eq!(check(address), Reach::Public, "{address}");
        }
    }

    #[test]
    fn inside_addresses_are_private() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "::127.0.0.1",
        ] {
            assert_eq!(check(address), Reach::Private, "{address}");
        }
    }

    #[test]
    fn some_addresses_are_never_called() {
        for address in [
            "169.254.169.254",
            "169.254.1.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "4000::1",
        ] {
            assert_eq!(check(address), Reach::Forbidden, "{address}");
        }
    }

    #[test]
    fn development_allows_private_but_not_metadata() {
        let loopback: IpAddr = "127.0.0.1".parse().expect("an address");
        let metadata: IpAddr = "169.254.169.254".parse().expect("an address");
        assert_eq!(AddressPolicy::PublicOnly.check(loopback), Err(Refusal::Private(loopback)));
        assert_eq!(AddressPolicy::AllowPrivate.check(loopback), Ok(()));
        assert_eq!(AddressPolicy::AllowPrivate.check(metadata), Err(Refusal::Forbidden(metadata)));
    }
}
