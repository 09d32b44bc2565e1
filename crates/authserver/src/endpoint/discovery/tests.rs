use serde_json::Value;

use crate::testing::{Setup, TestServer, text};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

fn below_a_prefix(paths: &'static [&'static str]) -> TestServer {
    TestServer::with(&Setup {
        base_url: "https://proxy.example/team",
        paths,
        ..Setup::default()
    })
}

async fn resource_at(server: &TestServer, path: &str) -> Option<String> {
    let answer = server.get(path).await;
    if answer.status == 200 {
        return Some(text(&answer.json(), "resource"));
    }
    assert_eq!(answer.status, 404);
    assert_eq!(answer.error(), "invalid_request");
    None
}

async fn assert_resources(server: &TestServer, expected: &[(&str, Option<&str>)]) {
    for (path, resource) in expected {
        assert_eq!(
            resource_at(server, path).await.as_deref(),
            *resource,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_server_is_described_at_the_root() {
    let server = TestServer::start();
    let answer = server.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let metadata = answer.json();
    assert_eq!(text(&metadata, "issuer"), "https://proxy.example");
    assert_eq!(
        text(&metadata, "token_endpoint"),
        "https://proxy.example/token"
    );
    assert_eq!(
        metadata["code_challenge_methods_supported"],
        serde_json::json!(["S256"])
    );
    let scopes = serde_json::json!(["openid", "offline_access"]);
    assert_eq!(metadata["scopes_supported"], scopes);
    let algorithms = server.server.keys.current().algorithms();
    assert_eq!(
        metadata["id_token_signing_alg_values_supported"],
        Value::from(algorithms)
    );
    let openid = server.get("/.well-known/openid-configuration").await;
    assert_eq!(openid.json(), metadata);
}

#[tokio::test]
async fn an_issuer_with_a_path_is_described_in_every_form_that_clients_try() {
    let server = below_a_prefix(&["/mcp"]);
    for name in ["oauth-authorization-server", "openid-configuration"] {
        for path in [
            format!("/.well-known/{name}/team"),
            format!("/team/.well-known/{name}"),
            format!("/.well-known/{name}"),
        ] {
            let metadata = server.get(&path).await.json();
            assert_eq!(
                text(&metadata, "issuer"),
                "https://proxy.example/team",
                "{path}"
            );
            let endpoint = text(&metadata, "registration_endpoint");
            assert_eq!(endpoint, "https://proxy.example/team/reg");
        }
        let other = server.get(&format!("/.well-known/{name}/other")).await;
        assert_eq!(
            (other.status, other.error()),
            (404, "invalid_request".to_owned())
        );
    }
}

#[tokio::test]
async fn a_resource_is_named_as_it_was_asked_for() {
    let server = TestServer::start();
    assert_resources(
        &server,
        &[
            (WELL_KNOWN, Some("https://proxy.example/mcp")),
            (&format!("{WELL_KNOWN}/"), Some("https://proxy.example/mcp")),
            (
                &format!("{WELL_KNOWN}/mcp"),
                Some("https://proxy.example/mcp"),
            ),
            (
                &format!("{WELL_KNOWN}/mcp/"),
                Some("https://proxy.example/mcp/"),
            ),
            (
                &format!("{WELL_KNOWN}/mcp/a/b"),
                Some("https://proxy.example/mcp/a/b"),
            ),
            (
                &format!("{WELL_KNOWN}/mcp?a=b"),
                Some("https://proxy.example/mcp?a=b"),
            ),
            (&format!("{WELL_KNOWN}/mcp2"), None),
            (&format!("{WELL_KNOWN}/other"), None),
            (&format!("{WELL_KNOWN}//mcp"), None),
            (&format!("{WELL_KNOWN}/mcp/../other"), None),
            (&format!("{WELL_KNOWN}/mcp/%2e%2e/other"), None),
        ],
    )
    .await;
}

#[tokio::test]
async fn every_resource_named_is_accepted_at_the_token_endpoint() {
    let server = TestServer::start();
    for path in ["/mcp", "/mcp/", "/mcp/a/b", "/mcp?a=b"] {
        let resource = resource_at(&server, &format!("{WELL_KNOWN}{path}"))
            .await
            .unwrap();
        let indicator = std::iter::once(resource.as_str());
        let named = crate::flow::resource::requested(&server.server.settings.resources, indicator);
        assert!(named.unwrap().is_some(), "{resource}");
    }
}

#[tokio::test]
async fn a_prefix_stands_in_the_resource_and_not_twice() {
    let server = below_a_prefix(&["/mcp"]);
    let mcp = Some("https://proxy.example/team/mcp");
    assert_resources(
        &server,
        &[
            (WELL_KNOWN, mcp),
            (&format!("{WELL_KNOWN}/team/mcp"), mcp),
            (
                &format!("{WELL_KNOWN}/team/mcp/x"),
                Some("https://proxy.example/team/mcp/x"),
            ),
            (&format!("/team{WELL_KNOWN}"), mcp),
            (&format!("/team{WELL_KNOWN}/mcp"), mcp),
            (&format!("/team{WELL_KNOWN}/team/mcp"), None),
            (&format!("{WELL_KNOWN}/mcp"), None),
            (&format!("{WELL_KNOWN}/team"), None),
        ],
    )
    .await;
}

#[tokio::test]
async fn of_several_servers_each_has_its_document_and_the_root_has_none() {
    let server = TestServer::with(&Setup {
        paths: &["/a", "/a/b"],
        ..Setup::default()
    });
    assert_resources(
        &server,
        &[
            (WELL_KNOWN, None),
            (&format!("{WELL_KNOWN}/a"), Some("https://proxy.example/a")),
            (
                &format!("{WELL_KNOWN}/a/b"),
                Some("https://proxy.example/a/b"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_server_at_the_root_is_named_as_url_parsers_write_it() {
    let server = TestServer::with(&Setup {
        paths: &[""],
        ..Setup::default()
    });
    assert_resources(
        &server,
        &[
            (WELL_KNOWN, Some("https://proxy.example/")),
            (
                &format!("{WELL_KNOWN}/sse"),
                Some("https://proxy.example/sse"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_resource_tells_where_to_log_in_and_leaves_offline_access_out() {
    let server = TestServer::start();
    let metadata = server.get(&format!("{WELL_KNOWN}/mcp")).await.json();
    let expected = serde_json::json!({
        "resource": "https://proxy.example/mcp",
        "authorization_servers": ["https://proxy.example"],
        "scopes_supported": ["openid"],
        "bearer_methods_supported": ["header"],
    });
    assert_eq!(metadata, expected);
}

#[tokio::test]
async fn no_scopes_are_left_out_rather_than_empty() {
    let server = TestServer::with(&Setup {
        scopes: "offline_access",
        ..Setup::default()
    });
    let metadata = server.get(WELL_KNOWN).await.json();
    assert_eq!(metadata.get("scopes_supported"), None);
}

/// What is announced is served: each endpoint answers, and none with 404 or 405.
#[tokio::test]
async fn every_announced_endpoint_answers() {
    for base_url in ["https://proxy.example", "https://proxy.example/team"] {
        let server = TestServer::with(&Setup {
            base_url,
            ..Setup::default()
        });
        let metadata = server
            .get("/.well-known/oauth-authorization-server")
            .await
            .json();
        let endpoints = metadata
            .as_object()
            .unwrap()
            .iter()
            .filter_map(|(name, value)| {
                let is_endpoint = name.ends_with("_endpoint") || name == "jwks_uri";
                is_endpoint.then(|| (name.as_str(), value.as_str().unwrap()))
            });
        let mut names = Vec::new();
        for (name, url) in endpoints {
            let path = url.strip_prefix("https://proxy.example").unwrap();
            let answer = match name {
                "authorization_endpoint"
                | "end_session_endpoint"
                | "jwks_uri"
                | "userinfo_endpoint" => server.get(path).await,
                _ => server.post(path, &[]).await,
            };
            let status = match name {
                "jwks_uri" => 200,
                "introspection_endpoint" | "userinfo_endpoint" => 401,
                _ => 400,
            };
            assert_eq!(answer.status, status, "{name} {answer:?}");
            names.push(name);
        }
        assert_eq!(
            names,
            [
                "authorization_endpoint",
                "device_authorization_endpoint",
                "end_session_endpoint",
                "introspection_endpoint",
                "jwks_uri",
                "pushed_authorization_request_endpoint",
                "registration_endpoint",
                "revocation_endpoint",
                "token_endpoint",
                "userinfo_endpoint",
            ]
        );
    }
}

#[tokio::test]
async fn keys_are_published_without_their_private_halves() {
    let server = TestServer::start();
    let answer = server.get("/jwks").await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 2);
    for key in keys {
        assert!(!text(&key, "kid").is_empty());
        assert_eq!(key.get("d"), None);
    }
}
