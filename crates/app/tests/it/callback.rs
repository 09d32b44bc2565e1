//! The way back from the provider: forged, replayed, from another browser, by POST.

use anyhow::Result;
use serde_json::json;
use testkit::{
    browser::{Browser, Page, parameter},
    client::{Authorization, OAuthClient, Tokens},
    html,
};
use url::Url;

use crate::harness::Stage;

#[tokio::test]
async fn the_provider_is_asked_with_the_operators_parameters_too() -> Result<()> {
    let stage = Stage::builder()?
        .env(
            "MCP_AUTH_PROXY_AUTHORIZE_PARAMETERS",
            "access_type=offline&prompt=consent&state_hint=a%26b",
        )
        .open()
        .await?;
    stage.logged_in("alice").await?;
    let seen = stage.control().seen().await?;
    let asked = &seen["authorizations"][0];
    for (name, value) in [
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("state_hint", "a&b"),
        ("response_type", "code"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_forged_callback_gives_nothing() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let (_, login) = at_the_provider(&client, &mut browser).await?;
    let state = sent_state(&stage).await?;
    for query in [
        "code=made-up&state=made-up".to_owned(),
        "code=made-up".to_owned(),
        String::new(),
        format!("state={state}"),
    ] {
        let mut url = stage.proxy.url("/interaction/identity/callback")?;
        url.set_query(Some(&query));
        let page = stage.browser()?.page(&url).await?;
        assert!(
            page.reply.status.is_client_error(),
            "{query}: {}",
            page.reply.status
        );
        assert_eq!(page.reply.header("cache-control"), "no-store");
    }
    // The rightful login is not harmed by what strangers tried.
    browser.sign_in(&login, "alice", "any").await?.client()?;
    Ok(())
}

#[tokio::test]
async fn a_callback_is_good_once() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let authorization = client.authorization()?;
    let arrived = browser.log_in(&authorization.url(), "alice").await?;
    let callback = callback_of(&browser);
    let again = browser.page(&callback).await?;
    assert!(!again.text().contains("code="), "{}", again.text());
    assert_eq!(html::refresh_target(&again.text()), None);
    let exchanged = stage
        .control()
        .token_requests("authorization_code", 200)
        .await?;
    assert_eq!(exchanged, 1);
    // The login it already gave goes on.
    let code = authorization.code(&arrived)?;
    Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_callback_in_another_browser_gives_nothing() -> Result<()> {
    // The attacker logs in up to the last step and lets the victim's browser do that one.
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut attacker = stage.browser()?;
    let (_, login) = at_the_provider(&client, &mut attacker).await?;
    let callback = stop_before_callback(&stage, &mut attacker, &login).await?;
    for mut victim in [
        stage.browser()?,
        with_a_login_of_its_own(&stage, &client).await?,
    ] {
        let page = victim.page(&callback).await?;
        assert!(page.reply.status.is_client_error(), "{}", page.reply.status);
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let (_, login) = at_the_provider(&client, &mut browser).await?;
    let mut callback = stop_before_callback(&stage, &mut browser, &login).await?;
    let others: Vec<(String, String)> = callback
        .query_pairs()
        .filter(|(name, _)| name != "iss")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    callback
        .query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair("iss", "https://evil.example");
    let landing = browser.open(&callback).await?;
    if let testkit::browser::Landing::Client(arrived) = &landing {
        assert_eq!(parameter(arrived, "code"), None);
    }
    let exchanged = stage
        .control()
        .token_requests("authorization_code", 200)
        .await?;
    assert_eq!(exchanged, 0);
    Ok(())
}

#[tokio::test]
async fn consenting_again_voids_the_older_state() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let authorization = client.authorization()?;
    let consent = browser.page(&authorization.url()).await?;
    let first = browser.agree(&consent).await?.page()?;
    let callback = stop_before_callback(&stage, &mut browser, &first).await?;
    let mut fresh = stage.browser()?;
    // The provider remembers the person: the second walk goes through without a form.
    let second = browser.agree(&consent).await?.client();
    let arrived = second?;
    authorization.code(&arrived)?;
    assert!(fresh.page(&callback).await?.reply.status.is_client_error());
    let old = browser.page(&callback).await?;
    assert!(!old.text().contains("code="));
    Ok(())
}

#[tokio::test]
async fn a_provider_may_answer_by_form_post() -> Result<()> {
    let stage = Stage::open().await?;
    stage
        .control()
        .set_faults(json!({ "form_post": true }))
        .await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let (authorization, login) = at_the_provider(&client, &mut browser).await?;
    let page = browser.sign_in(&login, "alice", "any").await?.page()?;
    let form = page.form_with("code")?;
    let target = page.url.join(&form.action)?;
    assert_eq!(target, stage.proxy.url("/interaction/identity/callback")?);
    let fields: Vec<(String, String)> = form
        .inputs
        .iter()
        .filter(|input| !input.name.is_empty())
        .map(|input| (input.name.clone(), input.value.clone()))
        .collect();
    // A POST of another site comes without the SameSite=Lax cookie; the GET that follows has it.
    let bare = stage
        .browser()?
        .post(&target, &stage.provider.issuer(), &fields)
        .await?;
    assert_eq!(bare.status, 303);
    let next = target.join(bare.header("location"))?;
    assert_eq!(next.path(), target.path());
    let arrived = browser.open(&next).await?.client()?;
    let code = authorization.code(&arrived)?;
    Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_new_signing_key_of_the_provider_is_found() -> Result<()> {
    let stage = Stage::open().await?;
    stage.logged_in("alice").await?;
    stage.control().rotate_keys().await?;
    stage.logged_in("bob").await?;
    Ok(())
}

#[tokio::test]
async fn the_token_request_names_the_bare_redirect_uri() -> Result<()> {
    let stage = Stage::open().await?;
    stage.logged_in("alice").await?;
    let seen = stage.control().seen().await?;
    let request = &seen["tokens"][0];
    let callback = stage.proxy.url("/interaction/identity/callback")?;
    assert_eq!(request["parameters"]["redirect_uri"], callback.as_str());
    assert_eq!(request["has_verifier"], true);
    assert_eq!(request["basic"], true);
    // What is ours stays here.
    assert_eq!(seen["authorizations"][0]["resource"], json!(null));
    Ok(())
}

async fn with_a_login_of_its_own(stage: &Stage, client: &OAuthClient) -> Result<Browser> {
    let mut browser = stage.browser()?;
    at_the_provider(client, &mut browser).await?;
    Ok(browser)
}

async fn at_the_provider(
    client: &OAuthClient,
    browser: &mut Browser,
) -> Result<(Authorization, Page)> {
    let authorization = client.authorization()?;
    let consent = browser.page(&authorization.url()).await?;
    let login = browser.agree(&consent).await?.page()?;
    Ok((authorization, login))
}

/// Logs in at the provider and returns the callback that the browser would open next.
async fn stop_before_callback(stage: &Stage, browser: &mut Browser, login: &Page) -> Result<Url> {
    let form = &login.forms()[0];
    let fields = [("login".to_owned(), "alice".to_owned())];
    let mut url = login.url.join(&form.action)?;
    let mut reply = browser
        .post(&url, &stage.provider.issuer(), &fields)
        .await?;
    loop {
        let next = url.join(reply.header("location"))?;
        if next.path() == "/interaction/identity/callback" {
            return Ok(next);
        }
        reply = browser.get(&next).await?;
        url = next;
    }
}

fn callback_of(browser: &Browser) -> Url {
    browser
        .visited
        .iter()
        .rfind(|url| url.path() == "/interaction/identity/callback")
        .cloned()
        .unwrap()
}

async fn sent_state(stage: &Stage) -> Result<String> {
    let seen = stage.control().seen().await?;
    Ok(seen["authorizations"][0]["state"]
        .as_str()
        .unwrap()
        .to_owned())
}
