//! Who asks: the address and scheme that count, and an id for the log.

use std::{fmt::Write as _, net::IpAddr, sync::Arc};

use domain::random::Random;
use http::{HeaderMap, HeaderName};

use super::X_REQUEST_ID;
use crate::config::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is believed of how a request came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forwarded {
    address: IpAddr,
    https: bool,
    /// Whether a trusted proxy stands before us.
    is_trusted: bool,
}

// === impl Forwarded ===

impl Forwarded {
    /// Judges the forwarding headers by who sent them. They are read from the right: each proxy
    /// appends what it saw itself, all further left may be made up.
    pub(super) fn read(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies) -> Self {
        let peer = peer.to_canonical();
        let is_trusted = match trusted {
            TrustedProxies::None => false,
            TrustedProxies::LastHop => true,
            TrustedProxies::Networks(networks) => is_in(networks, peer),
        };
        if !is_trusted {
            return Self {
                address: peer,
                https: false,
                is_trusted,
            };
        }
        let address = match trusted {
            TrustedProxies::Networks(networks) => list(headers, &X_FORWARDED_FOR)
                .map(parse_address)
                // What cannot be read ends the chain of what can be believed.
                .take_while(Option::is_some)
                .flatten()
                .scan(true, |go_on, address| {
                    let this = go_on.then_some(address);
                    *go_on = is_in(networks, address);
                    this
                })
                .last(),
            TrustedProxies::LastHop | TrustedProxies::None => list(headers, &X_FORWARDED_FOR)
                .next()
                .and_then(parse_address),
        };
        let https = list(headers, &X_FORWARDED_PROTO)
            .next()
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        Self {
            address: address.unwrap_or(peer),
            https,
            is_trusted,
        }
    }

    /// The address that counts in limits and rules.
    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether the person or client came by HTTPS, as a trusted proxy says.
    pub(super) const fn is_https(&self) -> bool {
        self.https
    }
}

/// The id that a trusted router gave the request, where it is harmless to log; else a new one.
pub(super) fn request_id(
    headers: &HeaderMap,
    forwarded: &Forwarded,
    random: &dyn Random,
) -> Arc<str> {
    let given = headers
        .get(X_REQUEST_ID)
        .filter(|_| forwarded.is_trusted)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=64).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
    if let Some(given) = given {
        return Arc::from(given);
    }
    let bytes: [u8; 8] = random.bytes();
    let mut id = String::with_capacity(16);
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(id, "{byte:02x}");
    }
    Arc::from(id)
}

/// The members of a comma-separated header, the last one first, over all its lines.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| line.rsplit(','))
        .map(str::trim)
}

/// An address, perhaps with a port, as proxies write it.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_matches('"');
    bare.parse::<IpAddr>()
        .ok()
        .or_else(|| {
            bare.parse::<std::net::SocketAddr>()
                .ok()
                .map(|socket| socket.ip())
        })
        .or_else(|| bare.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(|address| address.to_canonical())
}

fn is_in(networks: &[ipnet::IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}
