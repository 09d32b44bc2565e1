//! The OpenID provider: npm `oidc-provider` behind a switchboard.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::{
    http::{Http, Reply},
    process::Process,
    tools::Tools,
    witness::Witness,
};

/// Id of the one static client.
pub const CLIENT_ID: &str = "story-proxy";
/// Its secret; reserved characters, so that a wrong encoding of `Basic` shows (RFC 6749 §2.3.1).
pub const CLIENT_SECRET: &str = "a secret: 100% of+the proxy/only";

/// How a provider is started.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// The proxy's callback.
    pub redirect_uri: String,
    /// Life of an access token, in seconds.
    pub access_ttl: u64,
    /// `client_secret_basic` or `client_secret_post`.
    pub auth_method: &'static str,
}

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    url: Url,
    control: Control,
    process: Process,
    _directory: TempDir,
}

/// The switchboard of a provider.
#[derive(Clone, Debug)]
pub struct Control {
    http: Http,
    url: Url,
}

// === impl Provider ===

impl Provider {
    /// Starts a provider; the secrets it issues or sees go to `witness`.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(options: &ProviderOptions, witness: &Witness) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let secrets = directory.path().join("secrets");
        let settings = json!({
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [options.redirect_uri],
            "access_ttl": options.access_ttl,
            "auth_method": options.auth_method,
            "secrets_file": secrets,
        });
        witness.remember(CLIENT_SECRET);
        witness.remember_file(&secrets);
        let mut command = Tools::find()?.script("provider.mjs");
        command.arg(settings.to_string());
        let output = directory.path().join("output");
        let mut process = Process::start("the identity provider", command, &output)?;
        let port = process.ready_port().await?;
        let url = Url::parse(&format!("http://localhost:{port}"))?;
        Ok(Self {
            control: Control::new(&url)?,
            url,
            process,
            _directory: directory,
        })
    }

    /// Its issuer, without a trailing slash.
    pub fn issuer(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    /// Its switchboard.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Where it tells who an access token belongs to.
    ///
    /// # Errors
    /// Never.
    pub fn userinfo(&self) -> Result<Url> {
        Ok(self.url.join("/me")?)
    }

    /// What it has written.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

// === impl Control ===

impl Control {
    pub(crate) fn new(url: &Url) -> Result<Self> {
        Ok(Self {
            http: Http::direct()?,
            url: url.clone(),
        })
    }

    /// What it has seen: `authorizations`, `tokens`, and counts.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn seen(&self) -> Result<Value> {
        self.ask("/control/seen", &json!({})).await
    }

    /// How many token requests of a grant type were answered with a status.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn token_requests(&self, grant_type: &str, status: u16) -> Result<usize> {
        let seen = self.seen().await?;
        let tokens = seen
            .get("tokens")
            .and_then(Value::as_array)
            .context("it counts token requests")?;
        Ok(tokens
            .iter()
            .filter(|token| {
                token.get("grant_type").and_then(Value::as_str) == Some(grant_type)
                    && token.get("status") == Some(&status.into())
            })
            .count())
    }

    /// How many refreshes succeeded.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn refreshes(&self) -> Result<usize> {
        self.token_requests("refresh_token", 200).await
    }

    /// Makes it fail, or stop failing: `down`, `token_down`, `delay_ms`, `form_post`,
    /// `refuse_refresh` (`{status, error}`); `access_ttl` changes the life of new tokens.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn set_faults(&self, faults: Value) -> Result<()> {
        self.ask("/control/faults", &faults).await?;
        Ok(())
    }

    /// Takes all grants of a person away.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn revoke(&self, subject: &str) -> Result<()> {
        self.ask("/control/revoke", &json!({ "subject": subject }))
            .await?;
        Ok(())
    }

    /// Signs with a new key from now on; the old one is gone.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn rotate_keys(&self) -> Result<()> {
        self.ask("/control/rotate-keys", &json!({})).await?;
        Ok(())
    }

    /// Who a token of this provider was issued to.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn subject_of(&self, token: &str) -> Result<Option<String>> {
        let answer = self
            .ask("/control/subject", &json!({ "token": token }))
            .await?;
        Ok(answer
            .get("subject")
            .and_then(Value::as_str)
            .map(str::to_owned))
    }

    async fn ask(&self, path: &str, parameters: &Value) -> Result<Value> {
        let request = self.http.post(&self.url.join(path)?).json(parameters);
        Reply::to(request).await?.json()
    }
}
