//! The address a request came from, as the rules see it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// The network that a client's address stands for: an IPv4 address, or an IPv6 /64 (one household
/// or machine commonly holds a whole /64). IPv4-mapped IPv6 addresses count as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }

    /// The address, or the first of the /64.
    pub const fn address(self) -> IpAddr {
        self.0
    }

    /// The first of the wider network, a /48, that whoever rents IPv6 addresses commonly gets: 65,536
    /// networks of one hand. An IPv4 address has none.
    pub fn site(self) -> Option<IpAddr> {
        match self.0 {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Some(IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
            }
        }
    }

    /// Bytes that name the network, to be hashed with a key.
    pub fn to_bytes(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().get(..8).unwrap_or_default().to_vec(),
        }
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(formatter, "{address}"),
            IpAddr::V6(address) => write!(formatter, "{address}/64"),
        }
    }
}
