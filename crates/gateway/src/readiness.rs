//! Whether the MCP server accepts connections.

use std::time::Duration;

use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use url::Url;

use crate::addresses;

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
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return false;
    };
    for address in addresses::of(&host, port).await.unwrap_or_default() {
        if let Ok(Ok(_)) = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            return true;
        }
    }
    false
}
