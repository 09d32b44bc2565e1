use bytes::Bytes;
use domain::resource::Resource;
use url::Url;

use super::*;

fn servers(base: &str, url: &str, path: &str, public: &[&str]) -> Servers {
    let base_url = BaseUrl::parse(base).unwrap();
    let settings = McpServer {
        url: Url::parse(url).unwrap(),
        path: path.to_owned(),
        resource: Resource::at(&base_url, path),
        resource_metadata: "https://p.example/.well-known/oauth-protected-resource/mcp".to_owned(),
        connect_page: Bytes::new(),
        connect_page_csp: "not\na header".to_owned(),
        public_paths: public.iter().map(|path| (*path).to_owned()).collect(),
    };
    let trust = Trust::new(&[]).unwrap();
    let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
    let server = Server::new(settings, &base_url, &trust, &tasks, &closing);
    Servers::new(vec![server], &base_url, "/back".to_owned())
}

#[test]
fn a_server_is_served_at_its_path_and_below() {
    let servers = servers("https://p.example", "http://s:1/mcp", "/mcp", &[]);
    for path in ["/mcp", "/mcp/", "/mcp/a", "/mcp/../x"] {
        assert!(servers.serves(path), "{path}");
    }
    for path in [
        "/",
        "/mcpx",
        "/auth",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        assert!(!servers.serves(path), "{path}");
    }
}

#[test]
fn a_server_at_the_root_gets_all_but_our_endpoints() {
    for (base, path, prefix) in [
        ("https://p.example", "", ""),
        ("https://p.example/p", "/p", "/p"),
    ] {
        let servers = servers(base, "http://s:1/", path, &[]);
        for path in ["/", "/a", "/sse"] {
            assert!(servers.serves(&format!("{prefix}{path}")), "{prefix}{path}");
        }
        for path in [
            "/auth",
            "/token",
            "/back",
            "/.well-known/openid-configuration",
        ] {
            assert!(
                !servers.serves(&format!("{prefix}{path}")),
                "{prefix}{path}"
            );
        }
    }
}

#[test]
fn public_paths_are_exact_and_only_read() {
    let public = ["/.well-known/openai-apps-challenge", "/mcp/icon"];
    let servers = servers("https://p.example", "http://s:1/mcp", "/mcp", &public);
    let find = |path: &'static str, method| servers.find(path, &method);
    assert!(matches!(find(public[0], Method::GET), Ok(Route::Public(_))));
    assert!(matches!(
        find(public[1], Method::HEAD),
        Ok(Route::Public(_))
    ));
    // Below the endpoint, another method is an ordinary call.
    assert!(matches!(
        find(public[1], Method::POST),
        Ok(Route::Protected(_, "/icon"))
    ));
    assert!(matches!(
        find(public[0], Method::POST),
        Err(Refusal::Method("GET, HEAD"))
    ));
    assert!(!servers.serves("/.well-known/openai-apps-challenge/x"));
    assert!(matches!(
        find("/elsewhere", Method::GET),
        Err(Refusal::NotFound)
    ));
    assert!(matches!(
        find("/mcp/%2e%2e/x", Method::GET),
        Err(Refusal::AmbiguousPath)
    ));
}

#[test]
fn a_challenge_points_at_the_document_of_the_path_asked() {
    let servers = servers("https://p.example", "http://s:1/mcp", "/mcp", &[]);
    let server = &servers.all[0];
    for (below, tail) in [
        ("", "/mcp"),
        ("/", "/mcp/"),
        ("/a/b", "/mcp/a/b"),
        ("/\"x", "/mcp/%22x"),
    ] {
        let place = server.place(below, ScopeSet::default());
        assert!(place.resource_metadata.ends_with(tail), "{below}");
    }
    assert_eq!(server.connect_page().policy, STRICT_POLICY);
}

#[test]
fn the_log_names_a_server_without_its_secrets() {
    let servers = servers("https://p.example", "http://u:p@s:1/mcp?key=1", "/mcp", &[]);
    assert_eq!(servers.all[0].name(), "http://s:1/mcp");
}
