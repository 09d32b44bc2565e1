//! Where a demo listens.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    ops::RangeInclusive,
};

use anyhow::{Result, bail};

/// Where a demo listens if it can.
pub(super) const PREFERRED: u16 = 3001;

const LOOPBACKS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// How many ports are tried after the preferred one.
const TRIES: u16 = 100;

/// The port to listen at: the one that was told, else the preferred one, else the next that is
/// free, on both loopbacks. `taken` is kept for the MCP server.
///
/// # Errors
/// If the port that was told is in use, or none is free.
pub(super) fn choose(told: Option<u16>, taken: Option<u16>) -> Result<u16> {
    if let Some(port) = told {
        if Some(port) == taken {
            bail!("port {port} is the MCP server's; say another one");
        }
        if port != 0 && !is_free(port) {
            bail!(
                "port {port} is in use; stop what listens there, or say no port to get the next \
                 free one"
            );
        }
        if port != 0 {
            return Ok(port);
        }
    }
    let last = PREFERRED + TRIES;
    match next(PREFERRED..=last, taken, is_free) {
        Some(port) => Ok(port),
        None => bail!("no port from {PREFERRED} to {last} is free; say one with --port"),
    }
}

fn next(
    mut ports: RangeInclusive<u16>,
    taken: Option<u16>,
    is_free: impl Fn(u16) -> bool,
) -> Option<u16> {
    ports.find(|port| Some(*port) != taken && is_free(*port))
}

/// Clients try both families for `localhost`, so both must be ours; a machine may lack one.
fn is_free(port: u16) -> bool {
    LOOPBACKS
        .iter()
        .all(|address| match TcpListener::bind((*address, port)) {
            Ok(_) => true,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
            ),
        })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{choose, is_free, next};

    #[test]
    fn a_port_that_was_told_is_taken_or_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = choose(Some(port), None).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
        drop(listener);
        assert_eq!(choose(Some(port), None).unwrap(), port);
        assert!(choose(Some(port), Some(port)).is_err());
    }

    #[test]
    fn a_port_in_use_or_of_the_server_is_passed_over() {
        assert_eq!(next(1..=9, None, |_| true), Some(1));
        assert_eq!(next(1..=9, Some(1), |_| true), Some(2));
        assert_eq!(next(1..=9, Some(4), |port| port > 3), Some(5));
        assert_eq!(next(1..=9, None, |_| false), None);
    }

    #[test]
    fn a_port_is_free_only_if_it_is_on_both_loopbacks() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else {
                continue; // a machine without that family
            };
            assert!(!is_free(listener.local_addr().unwrap().port()));
        }
    }
}
