//! The pages in a real browser: keyboard alone, no script, narrow and dark, nothing refused.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::{
    chromium::{Chromium, ChromiumOptions},
    client::REDIRECT_URI,
    http::Reply,
    recorder::Answer,
};

use crate::harness::Stage;

#[tokio::test]
async fn a_person_without_a_mouse_logs_in() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut chromium = Chromium::start(ChromiumOptions::default()).await?;
    let authorization = client.authorization()?;
    chromium.open(&authorization.url()).await?;
    sound(&mut chromium).await?;
    shot(&mut chromium, "consent").await?;

    focus(&mut chromium, "input[name=confirmed]").await?;
    press(&mut chromium, "Space", false).await?;
    focus(&mut chromium, "button[type=submit]").await?;
    press(&mut chromium, "Enter", true).await?;
    // Over the hop page to the provider.
    wait_for(&mut chromium, &stage.provider.issuer()).await?;
    focus(&mut chromium, "input[name=login]").await?;
    chromium.command("type", json!({ "text": "alice" })).await?;
    focus(&mut chromium, "input[name=password]").await?;
    chromium.command("type", json!({ "text": "any" })).await?;
    press(&mut chromium, "Enter", false).await?;
    // Over the callback's hop page to the client, where nobody listens in this story.
    let arrived = arrival(&mut chromium, REDIRECT_URI).await?;
    let code = authorization.code(&arrived)?;
    let reply = client.redeem(&code, &authorization.verifier).await?;
    testkit::client::Tokens::of(&reply)?;
    no_complaints(&mut chromium, &stage).await
}

#[tokio::test]
async fn without_scripts_everything_works() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let options = ChromiumOptions {
        script: false,
        ..ChromiumOptions::default()
    };
    let mut chromium = Chromium::start(options).await?;
    chromium.open(&client.authorization()?.url()).await?;
    chromium
        .command("check", json!({ "selector": "input[name=confirmed]" }))
        .await?;
    chromium
        .command("click", json!({ "selector": "button[type=submit]" }))
        .await?;
    wait_for(&mut chromium, &stage.provider.issuer()).await?;
    Ok(())
}

#[tokio::test]
async fn cancel_works_by_hand() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut chromium = Chromium::start(ChromiumOptions::default()).await?;
    chromium.open(&client.authorization()?.url()).await?;
    chromium
        .command("click", json!({ "selector": "button:text-is('Cancel')" }))
        .await?;
    let arrived = arrival(&mut chromium, REDIRECT_URI).await?;
    assert!(
        arrived
            .query()
            .unwrap_or_default()
            .contains("error=access_denied")
    );
    no_complaints(&mut chromium, &stage).await
}

#[tokio::test]
async fn every_page_is_sound_light_dark_and_narrow() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut backgrounds = Vec::new();
    for (color_scheme, width) in [
        ("light", 1024),
        ("dark", 1024),
        ("light", 320),
        ("dark", 320),
    ] {
        let options = ChromiumOptions {
            color_scheme,
            width,
            script: true,
        };
        let mut chromium = Chromium::start(options).await?;
        for (name, url) in [
            ("consent", client.authorization()?.url()),
            (
                "unknown-client",
                client.authorization()?.with("client_id", "forgotten").url(),
            ),
            ("connect", stage.mcp()?),
            ("home", stage.proxy.url("/")?),
            (
                "error",
                stage
                    .proxy
                    .url("/interaction/identity/callback?state=x&code=y")?,
            ),
        ] {
            chromium.open(&url).await?;
            let page = sound(&mut chromium).await?;
            shot(&mut chromium, &format!("{name}-{color_scheme}-{width}")).await?;
            if name == "consent" && width == 1024 {
                backgrounds.push(page["background"].clone());
            }
        }
    }
    assert_ne!(backgrounds[0], backgrounds[1], "dark is dark");
    Ok(())
}

#[tokio::test]
async fn who_opens_the_base_url_finds_the_lines_for_their_client() -> Result<()> {
    let stage = Stage::open().await?;
    for color_scheme in ["light", "dark"] {
        let options = ChromiumOptions {
            color_scheme,
            width: 360,
            script: false,
        };
        let mut chromium = Chromium::start(options).await?;
        chromium.open(&stage.proxy.url("")?).await?;
        let home = sound(&mut chromium).await?;
        let mcp = stage.mcp()?;
        assert!(home["text"].as_str().unwrap().contains(mcp.as_str()));
        shot(&mut chromium, &format!("home-{color_scheme}-360")).await?;
        focus(&mut chromium, "a.button").await?;
        press(&mut chromium, "Enter", true).await?;
        let connect = sound(&mut chromium).await?;
        let line = format!("claude mcp add --transport http my-server {mcp}");
        assert!(connect["text"].as_str().unwrap().contains(&line));
    }
    Ok(())
}

/// A person at a phone connects the television in front of them.
#[tokio::test]
async fn a_device_is_connected_at_a_phone() -> Result<()> {
    let stage = Stage::open().await?;
    for color_scheme in ["light", "dark"] {
        let codes = device_codes(&stage).await?;
        let options = ChromiumOptions {
            color_scheme,
            width: 360,
            script: false,
        };
        let mut chromium = Chromium::start(options).await?;
        let complete = codes["verification_uri_complete"].as_str().unwrap();
        chromium.open(&complete.parse()?).await?;
        sound(&mut chromium).await?;
        shot(&mut chromium, &format!("device-prefilled-{color_scheme}")).await?;
        let page = codes["verification_uri"].as_str().unwrap();
        chromium.open(&page.parse()?).await?;
        focus(&mut chromium, "input[name=user_code]").await?;
        let user_code = codes["user_code"].as_str().unwrap().to_lowercase();
        chromium
            .command("type", json!({ "text": user_code }))
            .await?;
        shot(&mut chromium, &format!("device-{color_scheme}")).await?;
        press(&mut chromium, "Enter", true).await?;
        let consent = sound(&mut chromium).await?;
        let text = consent["text"].as_str().unwrap();
        assert!(
            text.contains("Television") && text.contains("127.0.0.1"),
            "{text}"
        );
        shot(&mut chromium, &format!("device-consent-{color_scheme}")).await?;
        chromium
            .command("click", json!({ "selector": "button:text-is('Cancel')" }))
            .await?;
        let refused = sound(&mut chromium).await?;
        assert!(
            refused["text"]
                .as_str()
                .unwrap()
                .contains("Nothing was allowed")
        );
        shot(&mut chromium, &format!("device-refused-{color_scheme}")).await?;
        no_complaints(&mut chromium, &stage).await?;
    }
    Ok(())
}

/// What a device gets that registers and asks.
async fn device_codes(stage: &Stage) -> Result<Value> {
    let metadata = json!({
        "client_name": "Television",
        "token_endpoint_auth_method": "none",
        "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
    });
    let url = stage.proxy.url("/reg")?;
    let request = stage.http()?.post(&url).json(&metadata);
    let client: Value = serde_json::from_slice(&Reply::to(request).await?.body)?;
    let url = stage.proxy.url("/device/auth")?;
    let form = [("client_id", client["client_id"].as_str().unwrap())];
    let request = stage.http()?.post(&url).form(&form);
    Ok(serde_json::from_slice(&Reply::to(request).await?.body)?)
}

#[tokio::test]
async fn the_consent_page_shows_what_is_decided() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut chromium = Chromium::start(ChromiumOptions::default()).await?;
    chromium.open(&client.authorization()?.url()).await?;
    let page = chromium.inspect().await?;
    let text = page["text"].as_str().unwrap();
    for shown in [
        "Story client",
        "localhost",
        "openid",
        "Use another account",
        "Cancel",
        "Login",
    ] {
        assert!(text.contains(shown), "{shown} is missing in:\n{text}");
    }
    Ok(())
}

#[tokio::test]
async fn pages_come_with_the_headers_that_protect_them() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let consent = browser.page(&client.authorization()?.url()).await?;
    let unknown = client.authorization()?.with("client_id", "forgotten").url();
    let unknown = Reply::to(stage.http()?.get(&unknown)).await?;
    for reply in [&consent.reply, &unknown] {
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("script-src 'unsafe-inline'"), "{policy}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(consent.reply.header("referrer-policy"), "same-origin");

    // A hostile client name stays text.
    let metadata = json!({
        "client_name": "<script>alert(1)</script><img src=x onerror=alert(2)>",
        "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none",
    });
    let hostile = testkit::client::OAuthClient::register_with(
        &stage.http()?,
        &stage.mcp()?,
        &stage.witness,
        &metadata,
    )
    .await?;
    let page = browser.page(&hostile.authorization()?.url()).await?;
    let tags = testkit::html::tags(&page.text());
    assert!(
        tags.iter()
            .all(|tag| tag.name != "script" && tag.name != "img")
    );
    Ok(())
}

#[tokio::test]
async fn a_client_in_a_browser_finds_its_way() -> Result<()> {
    let stage = Stage::open().await?;
    // A page of another loopback origin, as MCP Inspector is one.
    stage.recorder.answer(|_| {
        let headers = [("content-type", "text/html")];
        Answer::whole(200, &headers, "<!doctype html><title>Client</title>".into())
    });
    let mut chromium = Chromium::start(ChromiumOptions::default()).await?;
    chromium.open(stage.recorder.url()).await?;
    let script = r#"(async () => {
        const refusal = await fetch('MCP', {
            method: 'POST', body: '{}',
            headers: { 'content-type': 'application/json', 'mcp-protocol-version': '2025-11-25' },
        });
        const challenge = refusal.headers.get('www-authenticate');
        const resource = await (await fetch(/resource_metadata="([^"]+)"/.exec(challenge)[1])).json();
        const issuer = resource.authorization_servers[0];
        const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
        const registered = await fetch(metadata.registration_endpoint, {
            method: 'POST', headers: { 'content-type': 'application/json' },
            body: JSON.stringify({
                redirect_uris: [location.href], token_endpoint_auth_method: 'none',
            }),
        });
        const refused = await fetch(metadata.token_endpoint, {
            method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token' }),
        });
        return [refusal.status, registered.status, (await registered.json()).client_id !== undefined,
            (await refused.json()).error !== undefined];
    })()"#;
    let script = script.replace("MCP", stage.mcp()?.as_str());
    let seen = chromium
        .command("evaluate", json!({ "script": script }))
        .await?;
    assert_eq!(seen, json!([401, 201, true, true]));
    Ok(())
}

/// What must hold for every page; returns what was found.
async fn sound(chromium: &mut Chromium) -> Result<Value> {
    let page = chromium.inspect().await?;
    assert_eq!(page["lang"], "en", "{page}");
    assert_ne!(page["title"], "", "{page}");
    assert_eq!(page["headings"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["has_main"], true, "{page}");
    assert_eq!(page["unlabelled"], json!([]), "{page}");
    assert_eq!(page["nameless_buttons"], 0, "{page}");
    assert_eq!(page["scrolls_sideways"], false, "{page}");
    assert_eq!(page["inline_scripts"], 0, "{page}");
    Ok(page)
}

/// The browser complained about nothing (but that nobody listens at the client), and asked nobody
/// but us and the provider.
async fn no_complaints(chromium: &mut Chromium, stage: &Stage) -> Result<()> {
    let complaints = chromium.command("complaints", Value::Null).await?;
    let ours: Vec<&str> = complaints
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .filter(|text| !text.contains("ERR_CONNECTION_REFUSED"))
        // Browsers ask for it by themselves; there is one where the operator names one.
        .filter(|text| !text.ends_with("/favicon.ico"))
        .collect();
    assert!(ours.is_empty(), "{ours:#?}");
    let requested = chromium.command("requested", Value::Null).await?;
    let known = [stage.proxy.url("")?.to_string(), stage.provider.issuer()];
    for url in requested
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
    {
        let known = known.iter().any(|prefix| url.starts_with(prefix.as_str()));
        assert!(known || url.starts_with(REDIRECT_URI), "{url}");
    }
    Ok(())
}

async fn focus(chromium: &mut Chromium, selector: &str) -> Result<Value> {
    chromium
        .command("focus", json!({ "selector": selector }))
        .await
}

async fn press(chromium: &mut Chromium, key: &str, navigates: bool) -> Result<Value> {
    chromium
        .command("press", json!({ "key": key, "navigates": navigates }))
        .await
}

async fn wait_for(chromium: &mut Chromium, prefix: &str) -> Result<Value> {
    chromium
        .command("wait_for", json!({ "prefix": prefix }))
        .await
}

async fn arrival(chromium: &mut Chromium, prefix: &str) -> Result<url::Url> {
    let url = chromium
        .command("arrival", json!({ "prefix": prefix }))
        .await?;
    Ok(url::Url::parse(url.as_str().unwrap())?)
}

async fn shot(chromium: &mut Chromium, name: &str) -> Result<Value> {
    chromium
        .command("screenshot", json!({ "name": name }))
        .await
}
