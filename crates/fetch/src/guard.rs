//! Which addresses are on the public internet.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What of IPv4 is not the public internet: the special-purpose registry of IANA (RFC 6890 and
/// its updates), multicast, and one public address at which a cloud serves its machines' secrets.
const NOT_PUBLIC_V4: &[Ipv4Net] = &[
    // This network.
    v4([0, 0, 0, 0], 8),
    // Private.
    v4([10, 0, 0, 0], 8),
    // Carrier-grade NAT; also a cloud's metadata service.
    v4([100, 64, 0, 0], 10),
    // Loopback.
    v4([127, 0, 0, 0], 8),
    // Azure's platform endpoint, reachable from within only.
    v4([168, 63, 129, 16], 32),
    // Link-local, with the metadata services of most clouds.
    v4([169, 254, 0, 0], 16),
    // Private.
    v4([172, 16, 0, 0], 12),
    // IETF protocol assignments.
    v4([192, 0, 0, 0], 24),
    // Documentation.
    v4([192, 0, 2, 0], 24),
    // AS112, AMT.
    v4([192, 31, 196, 0], 24),
    v4([192, 52, 193, 0], 24),
    // 6to4 relays.
    v4([192, 88, 99, 0], 24),
    // Private.
    v4([192, 168, 0, 0], 16),
    // AS112.
    v4([192, 175, 48, 0], 24),
    // Benchmarks.
    v4([198, 18, 0, 0], 15),
    // Documentation.
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Multicast; then what is reserved, and broadcast.
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// All that is assigned as global unicast in IPv6. Outside of it lie loopback, the unspecified
/// address, IPv4 in any dress (mapped, compatible, translated: `64:ff9b::/96`), unique local,
/// link-local, site-local and multicast addresses.
const GLOBAL_V6: Ipv6Net = v6(0x2000_0000_0000_0000, 3);

/// What of [`GLOBAL_V6`] is not the public internet.
const NOT_PUBLIC_V6: &[Ipv6Net] = &[
    // IETF protocol assignments, with Teredo, which carries an IPv4 address.
    v6(0x2001_0000_0000_0000, 23),
    // Documentation.
    v6(0x2001_0db8_0000_0000, 32),
    // 6to4 carries an IPv4 address.
    v6(0x2002_0000_0000_0000, 16),
    // AS112.
    v6(0x2620_004f_8000_0000, 48),
    // Documentation.
    v6(0x3fff_0000_0000_0000, 20),
];

/// Whether an address is on the public internet, so that nothing is there which trusts us more
/// than anybody else. An IPv4 address in IPv6 dress is never taken for public: no name needs it.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|net| net.contains(&address))
        }
    }
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// By its first four groups.
const fn v6(groups: u64, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_bits((groups as u128) << 64), prefix)
}
