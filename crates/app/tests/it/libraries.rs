//! OAuth and OpenID Connect libraries that others wrote, as clients: `oauth4webapi`,
//! `openid-client`, `authlib`. They judge every answer; what they refuse is wrong.

mod device;
mod logout;
mod pushed;
mod registration;
mod tokens;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::{
    browser::parameter,
    http::{Reply, Router},
    oauth_library::{Library, LibraryClient},
};
use url::Url;

use crate::harness::{Stage, ping};

/// The scopes of most stories.
const SCOPE: &str = "openid offline_access";
/// All that the provider can say about a person.
const ALL_SCOPES: &str = "openid profile email offline_access";

/// A client with a library, not registered.
fn begin(stage: &Stage, library: Library) -> Result<LibraryClient> {
    LibraryClient::start(library, &stage.proxy.url("")?, &stage.witness)
}

/// A registered client with a library.
async fn registered(stage: &Stage, library: Library, metadata: Value) -> Result<LibraryClient> {
    let mut client = begin(stage, library)?;
    client.register(metadata, None).await?;
    Ok(client)
}

/// The registration of a client that proves itself in this way.
fn by(method: &str) -> Value {
    json!({ "token_endpoint_auth_method": method })
}

/// A person logs in: `tokens` and the ID token's `claims`, judged.
async fn log_in(
    stage: &Stage,
    client: &mut LibraryClient,
    user: &str,
    parameters: Value,
) -> Result<Value> {
    let authorize = client.authorize(parameters).await?;
    let arrived = stage.browser()?.log_in(&authorize, user).await?;
    client.command("callback", json!({ "url": arrived })).await
}

/// A text in an answer.
fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("no {pointer}"))
}

/// A call at the MCP endpoint.
async fn call(stage: &Stage, access_token: &str) -> Result<Reply> {
    let request = stage.http()?.post(&stage.mcp()?).bearer_auth(access_token);
    let request = request.header("accept", "application/json, text/event-stream");
    Reply::to(request.json(&ping())).await
}

/// That the session is over: at the MCP endpoint, and for refreshes.
async fn assert_over(stage: &Stage, client: &mut LibraryClient, access_token: &str) -> Result<()> {
    let refused = call(stage, access_token).await?;
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("invalid_token"), "{challenge}");
    let refused = client.refusal("refresh", Value::Null).await?;
    assert!(refused.contains("invalid_grant"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn both_metadata_documents_are_sound() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [
        Library::Oauth4webapi,
        Library::OpenidClient,
        Library::Authlib,
    ] {
        let mut client = begin(&stage, library)?;
        let found = client.command("discover", Value::Null).await?;
        for document in ["oauth", "openid"] {
            let issuer = text(&found, &format!("/{document}/issuer"))?;
            assert_eq!(
                format!("{issuer}/mcp"),
                stage.mcp()?.as_str(),
                "{library:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn oauth4webapi_logs_in_by_each_method() -> Result<()> {
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    let algorithms = ["RS256", "PS256", "ES256", "Ed25519"];
    by_each_method(Library::Oauth4webapi, &methods, &algorithms).await
}

#[tokio::test]
async fn openid_client_logs_in_by_each_method() -> Result<()> {
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    let algorithms = ["RS256", "ES256"];
    by_each_method(Library::OpenidClient, &methods, &algorithms).await
}

#[tokio::test]
async fn authlib_logs_in_by_each_method() -> Result<()> {
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    let algorithms = ["RS256", "PS256", "ES256"];
    by_each_method(Library::Authlib, &methods, &algorithms).await
}

async fn by_each_method(library: Library, methods: &[&str], algorithms: &[&str]) -> Result<()> {
    let stage = Stage::open().await?;
    let ways = methods
        .iter()
        .map(|method| (by(method), None))
        .chain(algorithms.iter().map(|name| (json!({}), Some(*name))));
    for (metadata, algorithm) in ways {
        let way = format!("{metadata} {algorithm:?}");
        let mut client = begin(&stage, library)?;
        let registration = client.register(metadata, algorithm).await?;
        lives(&stage, &mut client, &registration)
            .await
            .context(way)?;
    }
    Ok(())
}

/// Login, call, refresh, call.
async fn lives(stage: &Stage, client: &mut LibraryClient, registration: &Value) -> Result<()> {
    let mcp = stage.mcp()?;
    let asked = json!({ "scope": SCOPE, "resource": mcp });
    let first = log_in(stage, client, "alice", asked).await?;
    assert_eq!(text(&first, "/tokens/scope")?, SCOPE);
    assert_eq!(
        first.pointer("/claims/aud"),
        registration.pointer("/client_id")
    );
    let second = client.command("refresh", Value::Null).await?;
    for answer in [&first, &second] {
        let reply = call(stage, text(answer, "/tokens/access_token")?).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let subject = stage.subject_at_server().await?;
        assert_eq!(subject.as_deref(), Some("alice"));
        assert_eq!(text(answer, "/claims/sub")?, "alice");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_insists_on_https_logs_in_through_a_router() -> Result<()> {
    let stage = Stage::builder()?.behind_router()?.open().await?;
    let router = Router {
        public: stage.proxy.url("")?,
        actual: Url::parse(&format!("http://127.0.0.1:{}", stage.proxy.port()))?,
        client: [203, 0, 113, 1].into(),
    };
    let mut client = LibraryClient::start_behind(&router, &stage.witness)?;
    let registration = client.register(json!({}), Some("ES256")).await?;
    lives(&stage, &mut client, &registration).await
}

#[tokio::test]
async fn what_a_client_asks_of_the_login_reaches_the_provider() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [Library::Oauth4webapi, Library::OpenidClient] {
        let mut client = registered(&stage, library, by("none")).await?;
        let asked = json!({
            "scope": SCOPE, "max_age": "3600", "login_hint": "alice@example.com", "prompt": "login",
        });
        // Both check auth_time against max_age.
        let answer = log_in(&stage, &mut client, "alice", asked).await?;
        assert!(answer["claims"]["auth_time"].is_u64(), "{library:?}");
        let seen = stage.control().seen().await?;
        let request = seen["authorizations"].as_array().unwrap().last().unwrap();
        assert_eq!(request["max_age"], "3600");
        assert_eq!(request["login_hint"], "alice@example.com");
        assert_eq!(request["prompt"], "login");
    }
    Ok(())
}

#[tokio::test]
async fn a_login_without_a_person_is_refused_as_the_libraries_expect() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [Library::Oauth4webapi, Library::OpenidClient] {
        let mut client = registered(&stage, library, by("none")).await?;
        let asked = json!({ "scope": SCOPE, "prompt": "none" });
        let authorize = client.authorize(asked).await?;
        let arrived = stage.browser()?.open(&authorize).await?.client()?;
        assert!(parameter(&arrived, "iss").is_some());
        let url = json!({ "url": arrived });
        let refused = client.refusal("callback", url).await?;
        assert!(refused.contains("login_required"), "{refused}");
    }
    Ok(())
}
