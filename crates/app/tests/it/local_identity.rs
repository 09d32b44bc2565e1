//! Users of our own: a login page instead of a provider, a JWT signed by us for the MCP server.

use anyhow::Result;
use argon2::PasswordHasher as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use testkit::{
    browser::{Browser, Landing, Page},
    client::{OAuthClient, REDIRECT_URI, Tokens},
    http::Reply,
    recorder::Recorder,
    witness::Witness,
};

use crate::harness::{Proxy, ping};

const PASSWORD: &str = "correct horse battery staple";

struct Local {
    proxy: Proxy,
    recorder: Recorder,
    witness: Witness,
}

#[tokio::test]
async fn a_local_user_logs_in_and_the_server_gets_a_jwt() -> Result<()> {
    let local = Local::open().await?;
    let client = local.client().await?;
    let (authorization, login, mut browser) = local.at_login(&client).await?;
    let arrived = browser.sign_in(&login, "alice", PASSWORD).await?.client()?;
    let code = authorization.code(&arrived)?;
    let tokens = Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);

    let arrived = local.recorder.last().unwrap();
    let bearer = arrived.headers["authorization"].to_str()?;
    let token = bearer.strip_prefix("bearer ").unwrap();
    local.witness.remember(token);
    let (header, claims) = (part(token, 0)?, part(token, 1)?);
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["email"], "alice@example.com");
    assert_eq!(claims["groups"], json!(["staff"]));
    assert_eq!(claims["aud"], local.recorder.url().as_str());
    let issuer = local.proxy.url("")?;
    assert_eq!(claims["iss"], issuer.as_str().trim_end_matches('/'));
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, 300);
    let keys = Reply::to(local.proxy.http()?.get(&local.proxy.url("/jwks")?))
        .await?
        .json()?;
    let published = keys["keys"].as_array().unwrap();
    assert!(published.iter().any(|key| key["kid"] == header["kid"]));
    assert!(published.iter().all(|key| key.get("d").is_none()));
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_brings_the_page_again() -> Result<()> {
    let local = Local::open().await?;
    let client = local.client().await?;
    let (_, login, mut browser) = local.at_login(&client).await?;
    let wrong = browser.sign_in(&login, "alice", "wrong").await?.page()?;
    let unknown = browser.sign_in(&wrong, "mallory", "wrong").await?.page()?;
    // Nothing says which of the two was wrong.
    let message = |page: &Page| {
        let text = page.text();
        text.split("role=\"alert\"")
            .nth(1)
            .map(|rest| rest.split("</p>").next().unwrap_or_default().to_owned())
    };
    assert!(message(&wrong).is_some());
    assert_eq!(message(&wrong), message(&unknown));
    browser
        .sign_in(&unknown, "alice", PASSWORD)
        .await?
        .client()?;
    Ok(())
}

#[tokio::test]
async fn guessing_is_slowed_down() -> Result<()> {
    let local = Local::open().await?;
    let client = local.client().await?;
    let (_, mut login, mut browser) = local.at_login(&client).await?;
    for attempt in 0..40 {
        match browser
            .sign_in(&login, "alice", &format!("guess {attempt}"))
            .await?
        {
            Landing::Client(_) => anyhow::bail!("guessed"),
            Landing::Page(page) if page.reply.status == 429 => {
                assert!(page.reply.header("retry-after").parse::<u32>().is_ok());
                // Another person is not locked out by it.
                let (_, login, mut other) = local.at_login(&client).await?;
                other.sign_in(&login, "bob", PASSWORD).await?.client()?;
                return Ok(());
            }
            Landing::Page(page) => login = page,
        }
    }
    anyhow::bail!("forty guesses were not slowed down")
}

#[tokio::test]
async fn a_local_session_survives_refreshes_and_restarts() -> Result<()> {
    let mut local = Local::open().await?;
    let client = local.client().await?;
    let (authorization, login, mut browser) = local.at_login(&client).await?;
    let arrived = browser.sign_in(&login, "bob", PASSWORD).await?.client()?;
    let code = authorization.code(&arrived)?;
    let tokens = Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    local.proxy.kill_and_restart().await?;
    let tokens = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    let arrived = local.recorder.last().unwrap();
    let bearer = arrived.headers["authorization"].to_str()?;
    assert_eq!(
        part(bearer.strip_prefix("bearer ").unwrap(), 1)?["sub"],
        "bob"
    );
    Ok(())
}

impl Local {
    async fn open() -> Result<Self> {
        let witness = Witness::default();
        witness.remember(PASSWORD);
        let recorder = Recorder::start().await?;
        let builder = Proxy::builder(&witness)?.server(recorder.url());
        let users = builder.directory().join("users.toml");
        let hash = argon2::Argon2::default()
            .hash_password(PASSWORD.as_bytes())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        std::fs::write(
            &users,
            format!(
                "[[users]]\nname = \"alice\"\npassword_hash = \"{hash}\"\nemail = \"alice@example.com\"\ngroups = [\"staff\"]\n\n[[users]]\nname = \"bob\"\npassword_hash = \"{hash}\"\n"
            ),
        )?;
        let proxy = builder
            .env("MCP_AUTH_PROXY_USERS_FILE", &users.display().to_string())
            .start()
            .await?;
        Ok(Self {
            proxy,
            recorder,
            witness,
        })
    }

    async fn client(&self) -> Result<OAuthClient> {
        let mcp = self.proxy.url("/mcp")?;
        OAuthClient::register(&self.proxy.http()?, &mcp, &self.witness).await
    }

    async fn at_login(
        &self,
        client: &OAuthClient,
    ) -> Result<(testkit::client::Authorization, Page, Browser)> {
        let mut browser = Browser::new(self.proxy.http()?, REDIRECT_URI, self.witness.clone());
        let authorization = client.authorization()?;
        let consent = browser.page(&authorization.url()).await?;
        let login = browser.agree(&consent).await?.page()?;
        Ok((authorization, login, browser))
    }
}

fn part(token: &str, number: usize) -> Result<Value> {
    let part = token.split('.').nth(number).unwrap();
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}
