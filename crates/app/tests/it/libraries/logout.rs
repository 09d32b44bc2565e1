//! RP-initiated logout by libraries.

use anyhow::Result;
use serde_json::json;
use testkit::{
    browser::parameter,
    oauth_library::{Library, LibraryClient},
};
use url::Url;

use super::{SCOPE, assert_over, call, log_in, registered, text};
use crate::harness::Stage;

/// Beside the redirect URI, so that a browser stops there too.
const BYE: &str = "http://localhost:8976/callback/bye";

/// A person's session, with the client's address to end it.
async fn session(
    stage: &Stage,
    library: Library,
    back: &str,
) -> Result<(LibraryClient, String, Url)> {
    let metadata = json!({
        "client_name": "Story client",
        "token_endpoint_auth_method": "none",
        "post_logout_redirect_uris": [BYE],
    });
    let mut client = registered(stage, library, metadata).await?;
    let answer = log_in(stage, &mut client, "alice", json!({ "scope": SCOPE })).await?;
    let access = text(&answer, "/tokens/access_token")?.to_owned();
    assert_eq!(call(stage, &access).await?.status, 200);
    let asked = json!({ "post_logout_redirect_uri": back, "state": "a state &+=" });
    let url = client.command("logout_url", asked).await?;
    let url = Url::parse(url.as_str().unwrap_or_default())?;
    Ok((client, access, url))
}

#[tokio::test]
async fn a_person_who_agrees_is_logged_out_and_goes_back() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [Library::Oauth4webapi, Library::OpenidClient] {
        let (mut client, access, url) = session(&stage, library, BYE).await?;
        let mut browser = stage.browser()?;
        let page = browser.page(&url).await?;
        assert!(page.text().contains("Story client"), "{}", page.text());
        // Nothing ends before the person agrees.
        assert_eq!(call(&stage, &access).await?.status, 200);

        let form = page.form_with("id_token_hint")?;
        let left = browser.submit(&page, &form, &[], Some("Log out")).await?;
        let arrived = left.client()?;
        assert!(arrived.as_str().starts_with(BYE), "{arrived}");
        assert_eq!(parameter(&arrived, "state").as_deref(), Some("a state &+="));
        assert_over(&stage, &mut client, &access).await?;
    }
    Ok(())
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_was_not_registered() -> Result<()> {
    let stage = Stage::open().await?;
    let elsewhere = "http://localhost:8976/callback/elsewhere";
    let (_client, access, url) = session(&stage, Library::Oauth4webapi, elsewhere).await?;
    let page = stage.browser()?.page(&url).await?;
    assert_eq!(page.reply.status, 400);
    assert!(!page.text().contains("/elsewhere"), "{}", page.text());
    assert_eq!(call(&stage, &access).await?.status, 200);
    Ok(())
}
