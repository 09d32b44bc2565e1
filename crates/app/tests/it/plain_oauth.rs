//! A plain OAuth server by metadata file: no discovery, no ID token, no userinfo.

use anyhow::Result;
use serde_json::json;
use testkit::{
    browser::Browser,
    client::{OAuthClient, REDIRECT_URI, Tokens},
    plain_oauth::{PlainOAuth, PlainOptions},
    provider::{CLIENT_ID, CLIENT_SECRET},
    recorder::Recorder,
    wait,
    witness::Witness,
};

use crate::harness::{Proxy, ProxyBuilder, SOON, ping};

struct Plain {
    proxy: Proxy,
    provider: PlainOAuth,
    recorder: Recorder,
    witness: Witness,
}

#[tokio::test]
async fn the_person_is_named_by_the_token_answer() -> Result<()> {
    for user_member in ["id", "user_id"] {
        let plain = Plain::open(Some(3600), Some(user_member), false).await?;
        let (client, alice) = plain.logged_in("alice").await?;
        let bob = client.log_in(&mut plain.browser()?, "bob").await?;
        for (tokens, user) in [(&alice, "alice"), (&bob, "bob")] {
            assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
            assert_eq!(plain.subject().await?.as_deref(), Some(user));
        }
        let arrived = plain.recorder.last().unwrap();
        // It names no scope: what was asked counts as granted.
        assert_eq!(arrived.headers["x-authorization-scope"], "global");
    }
    Ok(())
}

#[tokio::test]
async fn the_person_is_named_by_userinfo() -> Result<()> {
    let plain = Plain::open(Some(3600), None, true).await?;
    let (client, tokens) = plain.logged_in("alice").await?;
    client.call(&tokens.access, &ping()).await?;
    assert_eq!(plain.subject().await?.as_deref(), Some("alice"));
    Ok(())
}

#[tokio::test]
async fn failing_userinfo_is_an_error_and_no_other_person() -> Result<()> {
    let plain = Plain::open(Some(3600), Some("id"), true).await?;
    let faults = json!({ "userinfo_down": true });
    plain.provider.control().set_faults(faults).await?;
    let client = plain.client().await?;
    let walked = client.log_in(&mut plain.browser()?, "alice").await;
    assert!(walked.is_err());
    Ok(())
}

#[tokio::test]
async fn its_tokens_are_refreshed() -> Result<()> {
    let plain = Plain::open(Some(1), Some("id"), false).await?;
    let (client, tokens) = plain.logged_in("alice").await?;
    wait::until("a refresh", SOON, || async {
        let reply = client.call(&tokens.access, &ping()).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let refreshes = plain.provider.control().refreshes().await?;
        Ok((refreshes > 0).then_some(()))
    })
    .await?;
    assert_eq!(plain.subject().await?.as_deref(), Some("alice"));
    Ok(())
}

#[tokio::test]
async fn a_token_without_an_end_is_used() -> Result<()> {
    let plain = Plain::open(None, Some("id"), false).await?;
    let (client, tokens) = plain.logged_in("alice").await?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    assert_eq!(plain.subject().await?.as_deref(), Some("alice"));
    Ok(())
}

impl Plain {
    async fn open(
        access_ttl: Option<u64>,
        user_member: Option<&'static str>,
        userinfo: bool,
    ) -> Result<Self> {
        let witness = Witness::default();
        let recorder = Recorder::start().await?;
        let builder: ProxyBuilder = Proxy::builder(&witness)?.server(recorder.url());
        let options = PlainOptions {
            redirect_uri: builder.redirect_uri(),
            access_ttl,
            user_member,
            userinfo,
        };
        let provider = PlainOAuth::start(&options, &witness).await?;
        let metadata = provider.metadata_file().display().to_string();
        let proxy = builder
            .env("IDENTITY_SERVER_METADATA_FILE", &metadata)
            .env("IDENTITY_CLIENT_ID", CLIENT_ID)
            .env("IDENTITY_CLIENT_SECRET", CLIENT_SECRET)
            .env("IDENTITY_SCOPE", "global")
            .start()
            .await?;
        Ok(Self {
            proxy,
            provider,
            recorder,
            witness,
        })
    }

    fn browser(&self) -> Result<Browser> {
        let http = self.proxy.http()?;
        Ok(Browser::new(http, REDIRECT_URI, self.witness.clone()))
    }

    async fn client(&self) -> Result<OAuthClient> {
        let mcp = self.proxy.url("/mcp")?;
        OAuthClient::register(&self.proxy.http()?, &mcp, &self.witness).await
    }

    async fn logged_in(&self, user: &str) -> Result<(OAuthClient, Tokens)> {
        let client = self.client().await?;
        let tokens = client.log_in(&mut self.browser()?, user).await?;
        Ok((client, tokens))
    }

    async fn subject(&self) -> Result<Option<String>> {
        let arrived = self.recorder.last().unwrap();
        let bearer = arrived.headers["authorization"].to_str()?;
        let token = bearer.strip_prefix("bearer ").unwrap();
        self.provider.control().subject_of(token).await
    }
}
