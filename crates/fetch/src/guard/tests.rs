use proptest::prelude::*;

use super::*;

#[test]
fn every_kind_of_inner_address_is_refused() {
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn public_addresses_are_let_through() {
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
    ] {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}

proptest! {
    /// The standard library knows some kinds by itself: none of them may slip through.
    #[test]
    fn nothing_that_the_standard_library_calls_inner_is_public(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let inner = address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_multicast()
            || address.is_documentation()
            || address.is_unspecified()
            || address.is_broadcast();
        prop_assert!(!(inner && is_public(address.into())), "{address}");
    }

    #[test]
    fn inner_ranges_are_refused_to_their_ends(which in 0..NOT_PUBLIC_V4.len(), host: u32) {
        let net = NOT_PUBLIC_V4[which];
        let address = Ipv4Addr::from_bits(net.network().to_bits() | (host & net.hostmask().to_bits()));
        prop_assert!(!is_public(address.into()), "{address}");
    }

    /// However an IPv4 address is dressed up as IPv6, it is refused.
    #[test]
    fn no_dress_makes_ipv4_public(bits: u32, host: u64) {
        let v4 = Ipv4Addr::from_bits(bits);
        let (bits, host) = (u128::from(bits), u128::from(host));
        for dressed in [
            v4.to_ipv6_mapped(),
            v4.to_ipv6_compatible(),
            // NAT64 (RFC 6052, RFC 8215), 6to4, Teredo.
            Ipv6Addr::from_bits(0x0064_ff9b << 96 | bits),
            Ipv6Addr::from_bits(0x0064_ff9b_0001 << 80 | bits),
            Ipv6Addr::from_bits(0x2002 << 112 | bits << 80 | host),
            Ipv6Addr::from_bits(0x2001 << 112 | host << 32 | bits),
        ] {
            prop_assert!(!is_public(dressed.into()), "{dressed}");
        }
    }

    #[test]
    fn only_global_unicast_of_ipv6_is_public(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        let is_global = address.segments()[0] >> 13 == 1;
        prop_assert!(is_global || !is_public(address.into()), "{address}");
    }
}
