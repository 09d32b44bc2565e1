//! Devices (RFC 8628) by libraries, with the pages that a person meets.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::{
    browser::Landing,
    oauth_library::{Library, LibraryClient},
};
use url::Url;

use super::{SCOPE, assert_over, call, registered, text};
use crate::harness::Stage;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn device(stage: &Stage, library: Library) -> Result<(LibraryClient, Value)> {
    let metadata = json!({
        "token_endpoint_auth_method": "none",
        "grant_types": [GRANT, "refresh_token"],
    });
    let mut client = registered(stage, library, metadata).await?;
    let asked = json!({ "scope": SCOPE, "resource": stage.mcp()? });
    let codes = client.command("device_start", asked).await?;
    Ok((client, codes))
}

/// A person types the code and gets to the consent page.
async fn enter(stage: &Stage, codes: &Value) -> Result<(testkit::browser::Browser, Landing)> {
    let mut browser = stage.browser()?;
    let address = Url::parse(text(codes, "/verification_uri")?)?;
    let page = browser.page(&address).await?;
    let form = page.form_with("user_code")?;
    let code = [("user_code", text(codes, "/user_code")?)];
    let landing = browser.submit(&page, &form, &code, None).await?;
    Ok((browser, landing))
}

#[tokio::test]
async fn a_device_that_polls_gets_its_tokens() -> Result<()> {
    let stage = Stage::open().await?;
    let (mut client, codes) = device(&stage, Library::Oauth4webapi).await?;
    let waits = client.refusal("device_poll", Value::Null).await?;
    assert!(waits.contains("authorization_pending"), "{waits}");
    let hasty = client.refusal("device_poll", Value::Null).await?;
    assert!(hasty.contains("slow_down"), "{hasty}");

    let (mut browser, landing) = enter(&stage, &codes).await?;
    let login = browser.agree(&landing.page()?).await?.page()?;
    let done = browser.sign_in(&login, "alice", "any password").await?;
    let done = done.page()?.text();
    assert!(done.contains("Your device is connected"), "{done}");
    Ok(())
}

#[tokio::test]
async fn each_library_connects_a_device() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [Library::Oauth4webapi, Library::OpenidClient] {
        let (mut client, codes) = device(&stage, library).await?;
        let (mut browser, landing) = enter(&stage, &codes).await?;
        let login = browser.agree(&landing.page()?).await?.page()?;
        browser.sign_in(&login, "alice", "any password").await?;

        let answer = client.command("device_poll", Value::Null).await?;
        assert_eq!(text(&answer, "/claims/sub")?, "alice", "{library:?}");
        let access = text(&answer, "/tokens/access_token")?;
        let reply = call(&stage, access).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let subject = stage.subject_at_server().await?;
        assert_eq!(subject.as_deref(), Some("alice"));

        let refreshed = client.command("refresh", Value::Null).await?;
        let access = text(&refreshed, "/tokens/access_token")?;
        let token = text(&refreshed, "/tokens/refresh_token")?;
        client.command("revoke", json!({ "token": token })).await?;
        assert_over(&stage, &mut client, access).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_no_reaches_the_device() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [Library::Oauth4webapi, Library::OpenidClient] {
        let (mut client, codes) = device(&stage, library).await?;
        let (mut browser, landing) = enter(&stage, &codes).await?;
        let page = landing.page()?;
        let form = page.form_with("confirmed")?;
        browser.submit(&page, &form, &[], Some("Cancel")).await?;
        let refused = client.refusal("device_poll", Value::Null).await?;
        assert!(refused.contains("access_denied"), "{library:?}: {refused}");
    }
    Ok(())
}
