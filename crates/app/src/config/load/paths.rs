//! Which place belongs to whom: to the proxy itself, to each MCP server, to everybody.

use domain::{base_url::is_loopback, metadata::path};

use crate::{
    config::{ServerConfig, reader::Reader},
    env::table as variable,
};

/// Below it others may have documents of their own, but nobody a whole MCP server.
const WELL_KNOWN: &str = "/.well-known";

/// Whether a path could be that of the login's callback: below [`path::INTERACTION`] lies the
/// usual one, all else of ours is taken.
pub(super) fn is_free_for_callback(asked: &str) -> bool {
    let bare = asked.trim_end_matches('/');
    let is_taken = own_paths()
        .filter(|own| *own != path::INTERACTION)
        .any(|own| overlap(own, asked));
    !is_taken && !bare.is_empty() && bare != path::INTERACTION
}

/// Notes where the paths of MCP servers, or their public ones, are somebody else's.
pub(super) fn check(reader: &mut Reader<'_>, servers: &[ServerConfig], callback_path: &str) {
    for (index, server) in servers.iter().enumerate() {
        check_own(reader, server, callback_path);
        let asked = server.url.path();
        let other = servers
            .iter()
            .take(index)
            .find(|other| overlap(other.url.path(), asked));
        if let Some(other) = other {
            reader.report(
                variable::MCP_SERVER_URL.name.to_owned(),
                server.url.as_str(),
                &format!(
                    "its path `{asked}` overlaps with that of the MCP server `{}`",
                    other.url
                ),
                "a path of its own for each MCP server, none below another",
            );
        }
        check_public(reader, server, servers, callback_path);
    }
}

/// A server that we start at our own address would take the port from us, or we from it.
pub(super) fn check_port(reader: &mut Reader<'_>, servers: &[ServerConfig], port: u16) {
    for server in servers {
        let is_ours = is_loopback(&server.url)
            && server.url.port_or_known_default() == Some(port)
            && port != 0;
        if is_ours {
            reader.report(
                variable::MCP_SERVER_URL.name.to_owned(),
                server.url.as_str(),
                &format!("port {port} is the proxy's own (PORT)"),
                "another port than the proxy's",
            );
        }
    }
}

fn check_own(reader: &mut Reader<'_>, server: &ServerConfig, callback_path: &str) {
    let asked = server.url.path();
    if asked == "/" {
        // At the root our own endpoints win; what is left is the server's.
        return;
    }
    let own = own_paths()
        .chain([callback_path])
        .find(|own| overlap(own, asked));
    if let Some(own) = own {
        reader.report(
            variable::MCP_SERVER_URL.name.to_owned(),
            server.url.as_str(),
            &format!("its path `{asked}` overlaps with the proxy's own endpoint `{own}`"),
            "a URL whose path is none of the proxy's, such as `/mcp`",
        );
    }
}

fn check_public(
    reader: &mut Reader<'_>,
    server: &ServerConfig,
    servers: &[ServerConfig],
    callback_path: &str,
) {
    for public in &server.public_paths {
        let is_own = path::OWN
            .into_iter()
            .chain([callback_path])
            .any(|own| is_at_or_below(public, own));
        let reason = if is_own {
            "the proxy itself answers there"
        } else if servers.iter().any(|any| is_open_door(public, any)) {
            "it would let in everybody at an MCP endpoint"
        } else {
            continue;
        };
        reader.report(
            variable::MCP_AUTH_PROXY_PUBLIC_PATHS.name.to_owned(),
            public,
            reason,
            variable::MCP_AUTH_PROXY_PUBLIC_PATHS.allowed,
        );
    }
}

/// Where the proxy itself answers, each with everything below it.
fn own_paths<'a>() -> impl Iterator<Item = &'a str> {
    [WELL_KNOWN].into_iter().chain(path::OWN)
}

fn is_open_door(public: &str, server: &ServerConfig) -> bool {
    match server.url.path() {
        "/" => public == "/",
        path => is_at_or_below(public, path),
    }
}

/// Whether two paths with everything below them have something in common.
fn overlap(left: &str, right: &str) -> bool {
    is_at_or_below(left, right) || is_at_or_below(right, left)
}

fn is_at_or_below(path: &str, base: &str) -> bool {
    let base = base.trim_end_matches('/');
    path.trim_end_matches('/')
        .strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
