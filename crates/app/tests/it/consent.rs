//! The person decides: cancel, not ticked, no at the provider; every time anew; in one browser.

use anyhow::Result;
use testkit::{
    browser::{Landing, parameter},
    client::{OAuthClient, REDIRECT_URI},
};
use url::Url;

use crate::harness::Stage;

#[tokio::test]
async fn cancel_tells_the_client_and_nobody_else() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let authorization = client.authorization()?;
    let consent = browser.page(&authorization.url()).await?;
    let form = consent.form_with("confirmed")?;
    let arrived = browser
        .submit(&consent, &form, &[], Some("Cancel"))
        .await?
        .client()?;
    assert_eq!(
        parameter(&arrived, "error").as_deref(),
        Some("access_denied")
    );
    assert_eq!(parameter(&arrived, "state"), Some(authorization.state));
    let issuer = stage
        .proxy
        .url("")?
        .as_str()
        .trim_end_matches('/')
        .to_owned();
    assert_eq!(parameter(&arrived, "iss"), Some(issuer));
    assert!(asked_at_provider(&stage).await?.is_empty());

    // Nothing of the cancelled login remains usable.
    let reply = browser.get(&consent.url).await?;
    assert!(reply.status.is_client_error(), "{}", reply.status);
    let again = browser.submit(&consent, &form, &[("confirmed", "true")], Some("Login"));
    assert!(again.await?.page()?.reply.status.is_client_error());
    assert!(asked_at_provider(&stage).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn without_the_tick_the_page_comes_again() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let consent = browser.page(&client.authorization()?.url()).await?;
    let form = consent.form_with("confirmed")?;
    let again = browser
        .submit(&consent, &form, &[], Some("Login"))
        .await?
        .page()?;
    again.form_with("confirmed")?;
    assert!(asked_at_provider(&stage).await?.is_empty());
    let login = browser.agree(&again).await?.page()?;
    browser.sign_in(&login, "alice", "any").await?.client()?;
    Ok(())
}

#[tokio::test]
async fn a_no_at_the_provider_is_told_to_the_client() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let authorization = client.authorization()?;
    let arrived = browser.log_in(&authorization.url(), "nobody").await?;
    assert_eq!(
        parameter(&arrived, "error").as_deref(),
        Some("access_denied")
    );
    assert_eq!(parameter(&arrived, "state"), Some(authorization.state));
    assert_eq!(parameter(&arrived, "code"), None);
    Ok(())
}

#[tokio::test]
async fn consent_is_asked_every_time_and_before_the_provider() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    client.log_in(&mut browser, "alice").await?;
    let before = asked_at_provider(&stage).await?.len();
    // The same client, the same browser, the same person: a page, not a code.
    let page = browser.page(&client.authorization()?.url()).await?;
    page.form_with("confirmed")?;
    assert_eq!(asked_at_provider(&stage).await?.len(), before);
    Ok(())
}

#[tokio::test]
async fn another_account_asks_the_provider_for_its_login() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    client.log_in(&mut browser, "alice").await?;
    let authorization = client.authorization()?;
    let consent = browser.page(&authorization.url()).await?;
    let form = consent.form_with("confirmed")?;
    let login = browser
        .submit(
            &consent,
            &form,
            &[("confirmed", "true")],
            Some("Use another account"),
        )
        .await?
        .page()?;
    let asked = asked_at_provider(&stage).await?;
    let prompt = asked.last().unwrap()["prompt"].as_str();
    assert!(
        matches!(prompt, Some("login" | "select_account")),
        "{prompt:?}"
    );
    // The provider ends the other person's session first, by a form that sends itself.
    let ending = browser.sign_in(&login, "bob", "any").await?.page()?;
    let form = &ending.forms()[0];
    let arrived = browser.submit(&ending, form, &[], None).await?.client()?;
    let code = authorization.code(&arrived)?;
    let tokens =
        testkit::client::Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    client.call(&tokens.access, &crate::harness::ping()).await?;
    assert_eq!(stage.subject_at_server().await?.as_deref(), Some("bob"));
    Ok(())
}

#[tokio::test]
async fn a_login_begun_in_one_browser_is_nothing_in_another() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut owner = stage.browser()?;
    let mut stranger = stage.browser()?;
    let consent = owner.page(&client.authorization()?.url()).await?;

    let page = stranger.page(&consent.url).await?;
    assert!(page.reply.status.is_client_error(), "{}", page.reply.status);
    let form = consent.form_with("confirmed")?;
    let page = stranger
        .submit(&consent, &form, &[("confirmed", "true")], Some("Login"))
        .await?
        .page()?;
    assert!(page.reply.status.is_client_error(), "{}", page.reply.status);
    assert!(asked_at_provider(&stage).await?.is_empty());

    // The owner goes on undisturbed.
    let login = owner.agree(&consent).await?.page()?;
    owner.sign_in(&login, "alice", "any").await?.client()?;
    Ok(())
}

#[tokio::test]
async fn a_form_sent_from_another_origin_is_refused() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let consent = browser.page(&client.authorization()?.url()).await?;
    let form = consent.form_with("confirmed")?;
    let target = consent.url.join(&form.action)?;
    let fields = [("confirmed".to_owned(), "true".to_owned())];
    for origin in ["https://evil.example", "null"] {
        let reply = browser.post(&target, origin, &fields).await?;
        assert!(reply.status.is_client_error(), "{origin}: {}", reply.status);
    }
    assert!(asked_at_provider(&stage).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn two_windows_of_one_browser_do_not_disturb_each_other() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let (first, second) = (client.authorization()?, client.authorization()?);
    let first_page = browser.page(&first.url()).await?;
    let second_page = browser.page(&second.url()).await?;
    for (authorization, page) in [(&second, second_page), (&first, first_page)] {
        let arrived = match browser.agree(&page).await? {
            Landing::Client(arrived) => arrived,
            Landing::Page(login) => browser.sign_in(&login, "alice", "any").await?.client()?,
        };
        redeem(&client, authorization, &arrived).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_app_is_led_back_by_its_own_scheme() -> Result<()> {
    let stage = Stage::open().await?;
    let redirect = "cursor://anysphere.cursor-mcp/oauth/callback";
    let metadata = serde_json::json!({
        "client_name": "Cursor", "redirect_uris": [redirect], "token_endpoint_auth_method": "none",
    });
    let (http, mcp) = (stage.http()?, stage.mcp()?);
    let client = OAuthClient::register_with(&http, &mcp, &stage.witness, &metadata).await?;
    let authorization = client.authorization()?.with("redirect_uri", redirect);
    let mut browser = stage.browser_for(redirect)?;
    let arrived = browser.log_in(&authorization.url(), "alice").await?;
    let code = authorization.code(&arrived)?;
    let reply = client
        .token(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", redirect),
            ("code_verifier", &authorization.verifier),
        ])
        .await?;
    testkit::client::Tokens::of(&reply)?;
    Ok(())
}

#[tokio::test]
async fn prompt_none_is_always_login_required() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    client.log_in(&mut browser, "alice").await?;
    for (prompt, error) in [
        ("none", "login_required"),
        ("none login", "invalid_request"),
    ] {
        let authorization = client.authorization()?.with("prompt", prompt);
        let arrived = browser.open(&authorization.url()).await?.client()?;
        assert!(arrived.as_str().starts_with(REDIRECT_URI));
        assert_eq!(parameter(&arrived, "error").as_deref(), Some(error));
    }
    Ok(())
}

async fn redeem(
    client: &OAuthClient,
    authorization: &testkit::client::Authorization,
    arrived: &Url,
) -> Result<()> {
    let code = authorization.code(arrived)?;
    let reply = client.redeem(&code, &authorization.verifier).await?;
    testkit::client::Tokens::of(&reply)?;
    Ok(())
}

async fn asked_at_provider(stage: &Stage) -> Result<Vec<serde_json::Value>> {
    let seen = stage.control().seen().await?;
    Ok(seen["authorizations"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}
