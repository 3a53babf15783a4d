//! Clients' addresses, as limits count them.

use std::net::{IpAddr, Ipv6Addr};

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
    fn an_ipv6_network_of_64_bits_is_one_share_and_a_mapped_ipv4_address_is_its_own() {
        let share = |address: &str| share_of(address.parse().unwrap()).to_string();

        assert_eq!(share("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(share("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(share("192.0.2.7"), "192.0.2.7");
    }
}
