//! What most stories begin with: a provider, a recorder, and a proxy between them.

use anyhow::{Context as _, Result};
use testkit::{
    browser::{Browser, parameter},
    client::{OAuthClient, REDIRECT_URI, Tokens},
    http::{Http, Reply},
    provider::{Control, Provider, ProviderOptions},
    recorder::Recorder,
    wait,
    witness::Witness,
};
use url::Url;

use super::{Proxy, ProxyBuilder, SOON};

/// Provider, proxy, recorder, all running.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    pub(crate) provider: Provider,
    pub(crate) recorder: Recorder,
    pub(crate) witness: Witness,
}

/// A stage about to be set.
#[derive(Debug)]
pub(crate) struct StageBuilder {
    proxy: ProxyBuilder,
    witness: Witness,
    access_ttl: u64,
    auth_method: &'static str,
    server: Option<Url>,
}

// === impl StageBuilder ===

impl StageBuilder {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.proxy = self.proxy.env(name, value);
        self
    }

    /// Behind a router that ends TLS: only there do client addresses differ.
    pub(crate) fn behind_router(mut self) -> Result<Self> {
        self.proxy = self
            .proxy
            .behind_router("https://mcp.example")?
            .env("MCP_AUTH_PROXY_TRUSTED_PROXIES", "127.0.0.0/8");
        Ok(self)
    }

    /// Where the proxy will listen.
    pub(crate) fn port(&self) -> u16 {
        self.proxy.port()
    }

    /// Life of the provider's access tokens, in seconds.
    pub(crate) fn access_ttl(mut self, seconds: u64) -> Self {
        self.access_ttl = seconds;
        self
    }

    /// How the proxy proves itself to the provider, as the provider wants it.
    pub(crate) fn auth_method(mut self, method: &'static str) -> Self {
        self.auth_method = method;
        self
    }

    /// Another MCP server than the recorder.
    pub(crate) fn server(mut self, url: &Url) -> Self {
        self.server = Some(url.clone());
        self
    }

    pub(crate) async fn open(self) -> Result<Stage> {
        let recorder = Recorder::start().await?;
        let options = ProviderOptions {
            // Made from the base URL, as the product says it at each start.
            redirect_uri: self.proxy.redirect_uri(),
            access_ttl: self.access_ttl,
            auth_method: self.auth_method,
        };
        let provider = Provider::start(&options, &self.witness).await?;
        let server = self.server.as_ref().unwrap_or_else(|| recorder.url());
        let proxy = self
            .proxy
            .server(server)
            .provider(&provider)
            .start()
            .await?;
        Ok(Stage {
            proxy,
            provider,
            recorder,
            witness: self.witness,
        })
    }
}

// === impl Stage ===

impl Stage {
    pub(crate) async fn open() -> Result<Self> {
        Self::builder()?.open().await
    }

    pub(crate) fn builder() -> Result<StageBuilder> {
        let witness = Witness::default();
        Ok(StageBuilder {
            proxy: Proxy::builder(&witness)?,
            witness,
            access_ttl: 3600,
            auth_method: "client_secret_basic",
            server: None,
        })
    }

    /// The MCP endpoint, as clients know it.
    pub(crate) fn mcp(&self) -> Result<Url> {
        self.proxy.url("/mcp")
    }

    pub(crate) fn http(&self) -> Result<Http> {
        self.proxy.http()
    }

    /// The provider's switchboard.
    pub(crate) fn control(&self) -> &Control {
        self.provider.control()
    }

    /// A freshly registered public client.
    pub(crate) async fn client(&self) -> Result<OAuthClient> {
        OAuthClient::register(&self.http()?, &self.mcp()?, &self.witness).await
    }

    /// A person's browser without any cookie.
    pub(crate) fn browser(&self) -> Result<Browser> {
        self.browser_for(REDIRECT_URI)
    }

    /// The same, for a client that waits elsewhere.
    pub(crate) fn browser_for(&self, redirect: &str) -> Result<Browser> {
        Ok(Browser::new(self.http()?, redirect, self.witness.clone()))
    }

    /// The person's part of a login: open the address that the client shows, agree, log in, go back
    /// to where the client waits on this machine.
    pub(crate) async fn person_logs_in(&self, authorize: &Url, user: &str) -> Result<()> {
        let redirect = parameter(authorize, "redirect_uri").context("a redirect URI")?;
        let mut browser = self.browser_for(&redirect)?;
        let arrived = browser.log_in(authorize, user).await?;
        // Some begin to listen only when the browser has been opened.
        let page = wait::until("the client to take the person back", SOON, || async {
            Ok(Reply::to(Http::direct()?.get(&arrived)).await.ok())
        })
        .await?;
        assert_eq!(page.status, 200, "{}", page.text());
        Ok(())
    }

    /// A new client and a person's tokens for it.
    pub(crate) async fn logged_in(&self, user: &str) -> Result<(OAuthClient, Tokens)> {
        let client = self.client().await?;
        let tokens = client.log_in(&mut self.browser()?, user).await?;
        Ok((client, tokens))
    }

    /// Who the last request at the MCP server was made for.
    pub(crate) async fn subject_at_server(&self) -> Result<Option<String>> {
        let last = self.recorder.last();
        let header = last
            .as_ref()
            .and_then(|request| request.headers.get("authorization")?.to_str().ok())
            .unwrap_or_default();
        let token = header.split_once(' ').map_or("", |(_, token)| token);
        self.control().subject_of(token).await
    }
}
