use http::uri::PathAndQuery;
use proptest::prelude::*;
use url::Url;

use super::*;

fn uri(server: &str, mount: &str, asked: &str) -> String {
    let target = Target::new(&Url::parse(server).unwrap(), mount);
    let asked: PathAndQuery = asked.parse().unwrap();
    let below = below(asked.path(), mount).unwrap().to_owned();
    target.uri(&asked, &below).unwrap().to_string()
}

#[test]
fn the_servers_place_is_kept_and_the_clients_rest_appended() {
    for (server, mount, asked, expected) in [
        ("http://s:1/mcp", "/mcp", "/mcp", "/mcp"),
        ("http://s:1/mcp", "/mcp", "/mcp/", "/mcp/"),
        ("http://s:1/mcp/", "/mcp", "/mcp", "/mcp/"),
        ("http://s:1/mcp/", "/mcp", "/mcp/", "/mcp/"),
        (
            "http://s:1/mcp",
            "/mcp",
            "/mcp/a%20b/c?x=1&y",
            "/mcp/a%20b/c?x=1&y",
        ),
        ("http://s:1/mcp?key=1", "/mcp", "/mcp", "/mcp?key=1"),
        (
            "http://s:1/mcp?key=1",
            "/mcp",
            "/mcp/a?b=2",
            "/mcp/a?key=1&b=2",
        ),
        ("http://s:1/mcp", "/p/mcp", "/p/mcp/a?b", "/mcp/a?b"),
        ("http://s:1/", "", "/", "/"),
        ("http://s:1/", "", "/a/b?c", "/a/b?c"),
        ("http://s:1/", "/p", "/p", "/"),
        ("http://s:1/", "/p", "/p/a", "/a"),
    ] {
        assert_eq!(
            uri(server, mount, asked),
            expected,
            "{server} {mount} {asked}"
        );
    }
}

#[test]
fn only_whole_segments_lie_below_a_mount() {
    assert_eq!(below("/mcp", "/mcp"), Some(""));
    assert_eq!(below("/mcp/", "/mcp"), Some("/"));
    assert_eq!(below("/mcp/a", "/mcp"), Some("/a"));
    assert_eq!(below("/mcpx", "/mcp"), None);
    assert_eq!(below("/MCP", "/mcp"), None);
    assert_eq!(below("/", ""), Some("/"));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for path in [
        "/mcp/../auth",
        "/mcp/./a",
        "/mcp/..",
        "/mcp/%2e%2E/a",
        "/mcp/a%2Fb",
        "/mcp/a%5cb",
        "/mcp/..;x/a",
        "/mcp/.;/a",
        "/mcp\\a",
        "/mcp/a%00",
    ] {
        assert_eq!(check(path), Err(AmbiguousPath), "{path}");
    }
    for path in [
        "/mcp",
        "/mcp/a.b/...x/..y",
        "/mcp/%20%41",
        "/mcp/a;b",
        "/mcp//a",
    ] {
        assert_eq!(check(path), Ok(()), "{path}");
    }
}

#[test]
fn our_own_endpoints_are_not_a_root_servers() {
    let callback = "/interaction/identity/callback";
    for path in [
        "/auth",
        "/token/revocation",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/openid-configuration",
        "/interaction/abc/confirm-login",
    ] {
        assert!(is_own_endpoint(path, callback), "{path}");
    }
    assert!(is_own_endpoint("/oauth/back", "/oauth/back"));
    for path in ["/", "", "/authx", "/.well-known/other", "/mcp"] {
        assert!(!is_own_endpoint(path, callback), "{path}");
        assert!(!is_own_endpoint(path, "/"), "{path}");
    }
}

#[test]
fn a_redirect_of_the_server_has_a_public_place() {
    let target = Target::new(&Url::parse("http://s:1/mcp/").unwrap(), "/p/mcp");
    assert_eq!(target.public_path("/mcp/"), Some("/p/mcp/".to_owned()));
    assert_eq!(target.public_path("/mcp/a"), Some("/p/mcp/a".to_owned()));
    assert_eq!(target.public_path("/elsewhere"), None);
}

proptest! {
    #[test]
    fn a_path_in_a_quoted_string_cannot_leave_it(path in ".{0,40}") {
        let quoted = quoted_path(&path);
        prop_assert!(quoted.bytes().all(|byte| matches!(byte, 0x21..=0x7e)));
        prop_assert!(!quoted.contains(['"', '\\', '<', '>']));
    }

    #[test]
    fn a_path_that_passes_names_one_place_however_it_is_read(path in "(/|\\.|%2[eEfF]|%5c|;|a|\\\\){0,12}") {
        let path = format!("/mcp/{path}");
        if check(&path).is_ok() {
            // A reader that decodes first and resolves dots then stays below the mount.
            let decoded = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/");
            let url = Url::parse(&format!("http://s{decoded}")).unwrap();
            prop_assert!(url.path().starts_with("/mcp/"));
        }
    }
}
