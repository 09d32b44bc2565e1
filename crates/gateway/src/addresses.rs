//! The addresses at which a server is reached.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::lookup_host;
use url::Host;

/// All addresses of a host, in the order in which they are to be tried.
///
/// # Errors
/// If the resolver does not know the name.
pub(crate) async fn of<S: AsRef<str>>(host: &Host<S>, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<IpAddr> = match host {
        // Not left to the resolver: some systems name only one family, and servers bind either.
        Host::Domain(name) if name.as_ref().eq_ignore_ascii_case("localhost") => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Host::Domain(name) => return Ok(lookup_host((name.as_ref(), port)).await?.collect()),
        Host::Ipv4(address) => vec![(*address).into()],
        Host::Ipv6(address) => vec![(*address).into()],
    };
    Ok(addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect())
}
