//! The Node.js predecessor, as far as it left records: npm `oidc-provider`, configured as it was, over
//! a Redis.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::{
    browser::{Browser, parameter},
    client::{REDIRECT_URI, Tokens, challenge, random_text},
    http::{Http, Reply},
    process::Process,
    provider::{CLIENT_ID, CLIENT_SECRET, Provider},
    redis::Redis,
    tools::Tools,
    witness::Witness,
};

/// The predecessor, running.
#[derive(Debug)]
pub struct Predecessor {
    http: Http,
    url: Url,
    process: Process,
    _directory: TempDir,
}

/// One of many whom nobody logs in for.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The id of the client.
    pub client: String,
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

// === impl Predecessor ===

impl Predecessor {
    /// Starts it over a Redis; the secrets it issues go to `witness`.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(redis: &Redis, witness: &Witness) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let secrets = directory.path().join("secrets");
        witness.remember_file(&secrets);
        let settings = json!({
            "redis_port": redis.port(),
            "prefix": "oidc:",
            "secrets_file": secrets,
        });
        let mut command = Tools::find()?.script("predecessor.mjs");
        command.arg(settings.to_string());
        let output = directory.path().join("output");
        let mut process = Process::start("the predecessor", command, &output)?;
        let port = process.ready_port().await?;
        Ok(Self {
            http: Http::direct()?,
            url: Url::parse(&format!("http://localhost:{port}"))?,
            process,
            _directory: directory,
        })
    }

    /// Registers a public client there; returns the answer.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn register(&self, name: &str) -> Result<Value> {
        let metadata = json!({
            "client_name": name,
            "redirect_uris": [REDIRECT_URI],
            "token_endpoint_auth_method": "none",
        });
        let request = self.http.post(&self.url.join("/reg")?).json(&metadata);
        let reply = Reply::to(request).await?;
        ensure!(reply.status == 201, "registration: {}", reply.text());
        reply.json()
    }

    /// Logs a person in there, with the identity tokens that they got at the provider.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn log_in(&self, registration: &Value, identity: &Value) -> Result<Tokens> {
        let client = registration.get("client_id").context("a client")?;
        let asked = json!({ "client_id": client, "identity": identity });
        let request = self.http.post(&self.url.join("/control/log-in")?);
        Tokens::of(&Reply::to(request.json(&asked)).await?).with_context(|| self.process.output())
    }

    /// Refreshes there.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn refresh(&self, registration: &Value, refresh_token: &str) -> Result<Tokens> {
        let client = registration.get("client_id").and_then(Value::as_str);
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", client.context("a client")?),
        ];
        let request = self.http.post(&self.url.join("/token")?).form(&form);
        Tokens::of(&Reply::to(request).await?)
    }

    /// Makes up so many clients, each with a user of its own.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn fill(&self, count: usize) -> Result<Vec<Filled>> {
        let request = self.http.post(&self.url.join("/control/fill")?);
        let answer = Reply::to(request.json(&json!({ "count": count }))).await?;
        let answer = answer.json()?;
        let filled = answer.get("filled").and_then(Value::as_array);
        let text = |of: &Value, name: &str| {
            let text = of.get(name).and_then(Value::as_str);
            text.map(str::to_owned).context("it says all of each")
        };
        filled
            .with_context(|| self.process.output())?
            .iter()
            .map(|one| {
                Ok(Filled {
                    client: text(one, "client_id")?,
                    access: text(one, "access_token")?,
                    refresh: text(one, "refresh_token")?,
                })
            })
            .collect()
    }
}

/// A login at the provider itself, as the predecessor did it, with the client that the proxy will
/// have: what the token endpoint answered, and the user's `id`.
///
/// # Errors
/// If the provider leads elsewhere.
pub async fn identity_of(
    provider: &Provider,
    redirect_uri: &str,
    user: &str,
    witness: &Witness,
) -> Result<Value> {
    let issuer = Url::parse(&provider.issuer())?;
    let verifier = random_text()?;
    let mut authorize = issuer.join("/auth")?;
    authorize.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", redirect_uri),
        ("scope", "openid profile email"),
        ("code_challenge", &challenge(&verifier)),
        ("code_challenge_method", "S256"),
    ]);
    let mut browser = Browser::new(Http::direct()?, redirect_uri, witness.clone());
    let login = browser.page(&authorize).await?;
    let arrived = browser
        .sign_in(&login, user, "any password")
        .await?
        .client()?;
    let code = parameter(&arrived, "code").context("the provider gave a code")?;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier.as_str()),
    ];
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let request = Http::direct()?
        .post(&issuer.join("/token")?)
        .basic_auth(encode(CLIENT_ID), Some(encode(CLIENT_SECRET)))
        .form(&form);
    let reply = Reply::to(request).await?;
    ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    let mut identity = reply.json()?;
    let members = identity.as_object_mut().context("an object")?;
    members.insert("id".to_owned(), user.into());
    Ok(identity)
}
