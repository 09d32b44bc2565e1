//! Whether the MCP server accepts connections.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{sleep, timeout},
};
use url::{Host, Url};

const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Returns once a connection to the URL's host and port was accepted.
pub(super) async fn until_accepts(url: &Url) {
    let mut pause = FIRST_PAUSE;
    while !accepts(url).await {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether a connection to the URL's host and port is accepted now, by any of its addresses.
pub(super) async fn accepts(url: &Url) -> bool {
    for address in addresses(url).await {
        if let Ok(Ok(_)) = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            return true;
        }
    }
    false
}

async fn addresses(url: &Url) -> Vec<SocketAddr> {
    let Some(port) = url.port_or_known_default() else {
        return Vec::new();
    };
    match url.host() {
        None => Vec::new(),
        Some(Host::Ipv4(address)) => vec![(IpAddr::from(address), port).into()],
        Some(Host::Ipv6(address)) => vec![(IpAddr::from(address), port).into()],
        // Not left to the resolver: some systems name only one family, and servers listen at either.
        Some(Host::Domain("localhost")) => vec![
            (IpAddr::from(Ipv4Addr::LOCALHOST), port).into(),
            (IpAddr::from(Ipv6Addr::LOCALHOST), port).into(),
        ],
        Some(Host::Domain(name)) => match lookup_host((name, port)).await {
            Ok(found) => found.collect(),
            Err(_) => Vec::new(),
        },
    }
}
