//! Whether the MCP server accepts connections.

use std::{io, time::Duration};

use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use url::Url;

use crate::addresses;

const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Why no address of the URL's host accepts a connection now, as the system says; `None` if one
/// does. Each gets `within`.
pub async fn obstacle(url: &Url, within: Duration) -> Option<io::Error> {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Some(io::ErrorKind::InvalidInput.into());
    };
    let addresses = match addresses::of(&host, port).await {
        Ok(addresses) => addresses,
        Err(error) => return Some(error),
    };
    let mut last = io::ErrorKind::NotFound.into();
    for address in addresses {
        match timeout(within, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return None,
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Some(last)
}

/// Returns once a connection to the URL's host and port was accepted.
pub(crate) async fn until_accepts(url: &Url) {
    let mut pause = FIRST_PAUSE;
    while !accepts(url).await {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether a connection to the URL's host and port is accepted now, by any of its addresses.
pub(crate) async fn accepts(url: &Url) -> bool {
    obstacle(url, CONNECT_WITHIN).await.is_none()
}
