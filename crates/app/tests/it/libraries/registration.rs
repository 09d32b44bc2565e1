//! Registration by libraries where the operator has changed who may: management (RFC 7592), and an
//! initial access token (RFC 7591 §3).

use anyhow::Result;
use serde_json::{Value, json};
use testkit::oauth_library::Library;

use super::{SCOPE, begin, log_in, registered};
use crate::harness::Stage;

const INITIAL_ACCESS_TOKEN: &str = "who-knows-this-may-register-here";

#[tokio::test]
async fn a_client_reads_changes_and_takes_back_its_registration() -> Result<()> {
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_REGISTRATION_MANAGEMENT", "true")
        .open()
        .await?;
    let metadata = json!({
        "client_name": "Before", "token_endpoint_auth_method": "client_secret_post",
    });
    let mut client = registered(&stage, Library::Oauth4webapi, metadata).await?;
    log_in(&stage, &mut client, "alice", json!({ "scope": SCOPE })).await?;

    let read = json!({ "method": "GET" });
    let answer = client.command("manage", read.clone()).await?;
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(answer["registration"]["client_name"], "Before");

    let mut changed = answer["registration"].clone();
    changed["client_name"] = "After".into();
    // Members that a client must leave out (RFC 7592 §2.2).
    for member in [
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
    ] {
        changed.as_object_mut().unwrap().remove(member);
    }
    let change = json!({ "method": "PUT", "metadata": changed });
    let answer = client.command("manage", change).await?;
    assert_eq!(answer["status"], 200, "{answer}");
    let authorize = client.authorize(json!({ "scope": SCOPE })).await?;
    let page = stage.browser()?.page(&authorize).await?;
    assert!(page.text().contains("After"), "{}", page.text());

    let back = json!({ "method": "DELETE" });
    let answer = client.command("manage", back).await?;
    assert_eq!(answer, json!({ "status": 204, "registration": null }));
    let refused = client.refusal("manage", read).await?;
    assert!(refused.contains("invalid_token"), "{refused}");
    let refused = client.refusal("refresh", Value::Null).await?;
    assert!(refused.contains("invalid_client"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn only_who_shows_the_initial_access_token_registers() -> Result<()> {
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_REGISTRATION_TOKEN", INITIAL_ACCESS_TOKEN)
        .open()
        .await?;
    for library in [Library::Oauth4webapi, Library::OpenidClient] {
        let mut client = begin(&stage, library)?;
        client.command("discover", Value::Null).await?;
        let mut asked = json!({ "metadata": { "token_endpoint_auth_method": "none" } });
        client.refusal("register", asked.clone()).await?;
        asked["initial_access_token"] = "who-guesses-does-not".into();
        let refused = client.refusal("register", asked.clone()).await?;
        assert!(refused.contains("invalid_token"), "{library:?}: {refused}");
        asked["initial_access_token"] = INITIAL_ACCESS_TOKEN.into();
        client.command("register", asked).await?;
        log_in(&stage, &mut client, "alice", json!({ "scope": SCOPE })).await?;
    }
    Ok(())
}
