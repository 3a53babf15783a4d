//! Addresses, as limits count them and settings name them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// A network, or a single address: `10.0.0.0/8`, `127.0.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Network(pub IpNet);

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse().or_else(|_| address());
        network
            .map(Network)
            .map_err(|_| format!("`{text}` is no address or network: write it like 127.0.0.1 or 10.0.0.0/8"))
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The address whose share a client counts against: an IPv6 client commands its whole /64, so that counts as one.
pub fn share_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// Whether an address is one that anyone can reach: no loopback, private, shared (CGNAT), link-local, multicast,
/// documentation or otherwise special one, nor a way around through IPv6.
///
/// Source: the IANA registries of special-purpose addresses.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let is_special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation();
            let is_reserved = matches!(
                (a, b, c),
                (0 | 224.., ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _)
            );
            !is_special && !is_reserved
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            // Of what is given out at all, without tunnels, which lead anywhere, and what is for documents.
            (0x2000..0x4000).contains(&a)
                && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8))
                && a != 0x2002
                && !(a == 0x3fff && b < 0x1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_address_is_a_network_too() {
        let network = |text: &str| text.parse::<Network>().map(|Network(net)| net.to_string());

        assert_eq!(network("127.0.0.1").unwrap(), "127.0.0.1/32");
        assert_eq!(network("::1").unwrap(), "::1/128");
        assert_eq!(network("10.0.0.0/8").unwrap(), "10.0.0.0/8");
        assert!(network("localhost").is_err());
    }

    #[test]
    fn inner_addresses_are_told_from_public_ones_in_every_guise() {
        let public = |address: &str| is_public(address.parse().unwrap());

        for address in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "223.255.255.1", "2606:4700::1111", "2001:4860::8888"] {
            assert!(public(address), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:0:1::",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_share_and_a_mapped_ipv4_address_is_its_own() {
        let share = |address: &str| share_of(address.parse().unwrap()).to_string();

        assert_eq!(share("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(share("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(share("192.0.2.7"), "192.0.2.7");
    }
}
