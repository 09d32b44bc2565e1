//! Several people, and several logins of one, through one client id: never mixed.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::client::{OAuthClient, Tokens};

use crate::harness::Stage;

#[tokio::test]
async fn two_people_on_one_client_id_stay_apart() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let alice = client.log_in(&mut stage.browser()?, "alice").await?;
    assert_eq!(whoami(&stage, &client, &alice).await?, "alice");

    let bob = client.log_in(&mut stage.browser()?, "bob").await?;
    for _ in 0..3 {
        assert_eq!(whoami(&stage, &client, &alice).await?, "alice");
        assert_eq!(whoami(&stage, &client, &bob).await?, "bob");
    }

    let alice = Tokens::of(&client.refresh(&alice.refresh).await?)?;
    let bob = Tokens::of(&client.refresh(&bob.refresh).await?)?;
    assert_eq!(whoami(&stage, &client, &alice).await?, "alice");
    assert_eq!(whoami(&stage, &client, &bob).await?, "bob");
    Ok(())
}

#[tokio::test]
async fn two_logins_of_one_person_live_side_by_side() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let desktop = client.log_in(&mut browser, "alice").await?;
    let laptop = client.log_in(&mut stage.browser()?, "alice").await?;

    // Ending one leaves the other.
    let revocation = testkit::client::endpoint(&client.metadata, "revocation_endpoint")?;
    let form = [
        ("token", laptop.refresh.as_str()),
        ("client_id", client.id()),
    ];
    let reply = testkit::http::Reply::to(stage.http()?.post(&revocation).form(&form)).await?;
    assert_eq!(reply.status, 200);
    let refused = client.call(&laptop.access, &crate::harness::ping()).await?;
    assert_eq!(refused.status, 401);
    assert_eq!(whoami(&stage, &client, &desktop).await?, "alice");
    Tokens::of(&client.refresh(&desktop.refresh).await?)?;
    Ok(())
}

async fn whoami(stage: &Stage, client: &OAuthClient, tokens: &Tokens) -> Result<String> {
    let headers = client.tool(&tokens.access, "whoami", json!({})).await?;
    let headers: Value = serde_json::from_str(&headers)?;
    assert_eq!(headers["x-dynamic-client-id"], client.id());
    let bearer = headers["authorization"].as_str().unwrap();
    let token = bearer.strip_prefix("bearer ").unwrap();
    Ok(stage.control().subject_of(token).await?.unwrap_or_default())
}
