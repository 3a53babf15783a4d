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
    fn an_ipv6_network_of_64_bits_is_one_share_and_a_mapped_ipv4_address_is_its_own() {
        let share = |address: &str| share_of(address.parse().unwrap()).to_string();

        assert_eq!(share("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(share("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(share("192.0.2.7"), "192.0.2.7");
    }
}
