//! An OAuth client of our own that shows every answer: for the stories in which a client, or
//! somebody who plays one, does what the SDKs never would.

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::Url;

use crate::{
    browser::{Browser, parameter},
    http::{Http, Reply},
    witness::Witness,
};

/// Where our clients wait. Nobody listens there: a [`Browser`] stops before it.
pub const REDIRECT_URI: &str = "http://localhost:8976/callback";

/// A registered client.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    http: Http,
    witness: Witness,
    mcp: Url,
    /// The authorization server's metadata, as it was found.
    pub metadata: Value,
    /// What the registration answered.
    pub registration: Value,
}

/// An authorization request about to be made.
#[derive(Clone, Debug)]
pub struct Authorization {
    endpoint: Url,
    parameters: Vec<(String, String)>,
    /// Its PKCE verifier.
    pub verifier: String,
    /// Its state.
    pub state: String,
}

/// What a login gave.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// The whole answer.
    pub answer: Value,
}

/// Fresh random text, as long as a PKCE verifier.
///
/// # Errors
/// If the system has no randomness.
pub fn random_text() -> Result<String> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

// === impl OAuthClient ===

impl OAuthClient {
    /// Discovers the authorization server of an MCP endpoint from its 401 alone, as clients do,
    /// and registers as a public client.
    ///
    /// # Errors
    /// If a step of that is not possible.
    pub async fn register(http: &Http, mcp: &Url, witness: &Witness) -> Result<Self> {
        let metadata = json!({
            "client_name": "Story client",
            "redirect_uris": [REDIRECT_URI],
            "token_endpoint_auth_method": "none",
        });
        Self::register_with(http, mcp, witness, &metadata).await
    }

    /// The same with other client metadata.
    ///
    /// # Errors
    /// If a step of that is not possible.
    pub async fn register_with(
        http: &Http,
        mcp: &Url,
        witness: &Witness,
        client_metadata: &Value,
    ) -> Result<Self> {
        let metadata = discover(http, mcp).await?;
        let endpoint = endpoint(&metadata, "registration_endpoint")?;
        let reply = Reply::to(http.post(&endpoint).json(client_metadata)).await?;
        ensure!(reply.status == 201, "registration: {}", reply.text());
        let registration = reply.json()?;
        witness.remember_members(&registration);
        Ok(Self {
            http: http.clone(),
            witness: witness.clone(),
            mcp: mcp.clone(),
            metadata,
            registration,
        })
    }

    /// A client that was registered elsewhere, as its registration was answered there.
    ///
    /// # Errors
    /// If the authorization server cannot be discovered.
    pub async fn known(
        http: &Http,
        mcp: &Url,
        witness: &Witness,
        registration: &Value,
    ) -> Result<Self> {
        Ok(Self {
            http: http.clone(),
            witness: witness.clone(),
            mcp: mcp.clone(),
            metadata: discover(http, mcp).await?,
            registration: registration.clone(),
        })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.registration
            .get("client_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Its secret, if it has one.
    pub fn secret(&self) -> Option<&str> {
        self.registration.get("client_secret")?.as_str()
    }

    /// The same client at another address of the network.
    #[must_use]
    pub fn at(&self, http: &Http) -> Self {
        Self {
            http: http.clone(),
            ..self.clone()
        }
    }

    /// A complete, correct authorization request.
    ///
    /// # Errors
    /// If the metadata names no endpoint.
    pub fn authorization(&self) -> Result<Authorization> {
        let (verifier, state) = (random_text()?, random_text()?);
        self.witness.remember(&verifier);
        self.witness.remember(&state);
        let parameters = [
            ("response_type", "code"),
            ("client_id", self.id()),
            ("redirect_uri", REDIRECT_URI),
            ("code_challenge", &challenge(&verifier)),
            ("code_challenge_method", "S256"),
            ("state", &state),
            ("resource", self.mcp.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Authorization {
            endpoint: endpoint(&self.metadata, "authorization_endpoint")?,
            parameters: parameters.to_vec(),
            verifier,
            state,
        })
    }

    /// A whole login of a person in their browser.
    ///
    /// # Errors
    /// If it does not succeed.
    pub async fn log_in(&self, browser: &mut Browser, user: &str) -> Result<Tokens> {
        let authorization = self.authorization()?;
        let arrived = browser.log_in(&authorization.url(), user).await?;
        let code = authorization.code(&arrived)?;
        Tokens::of(&self.redeem(&code, &authorization.verifier).await?)
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn redeem(&self, code: &str, verifier: &str) -> Result<Reply> {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", verifier),
        ])
        .await
    }

    /// Refreshes.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Reply> {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ])
        .await
    }

    /// Any token request, with this client's authentication.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn token(&self, form: &[(&str, &str)]) -> Result<Reply> {
        let endpoint = endpoint(&self.metadata, "token_endpoint")?;
        let method = self
            .registration
            .get("token_endpoint_auth_method")
            .and_then(Value::as_str);
        let mut form = form.to_vec();
        let mut request = self.http.post(&endpoint);
        match (method, self.secret()) {
            (Some("client_secret_basic"), Some(secret)) => {
                request = request.basic_auth(self.id(), Some(secret));
            }
            (_, secret) => {
                form.push(("client_id", self.id()));
                form.extend(secret.map(|secret| ("client_secret", secret)));
            }
        }
        let reply = Reply::to(request.form(&form)).await?;
        if let Ok(answer) = reply.json() {
            self.witness.remember_members(&answer);
        }
        Ok(reply)
    }

    /// Sends a JSON-RPC message to the MCP endpoint.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn call(&self, access_token: &str, message: &Value) -> Result<Reply> {
        Reply::to(self.calling(access_token, message)).await
    }

    /// The same, about to be sent.
    pub fn calling(&self, access_token: &str, message: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(&self.mcp)
            .bearer_auth(access_token)
            .header("accept", "application/json, text/event-stream")
            .json(message)
    }

    /// Calls a tool and returns the text it gave.
    ///
    /// # Errors
    /// If the call is refused or gives none.
    pub async fn tool(&self, access_token: &str, name: &str, arguments: Value) -> Result<String> {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": name, "arguments": arguments },
        });
        let reply = self.call(access_token, &message).await?;
        ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        let answer = reply.json()?;
        answer
            .pointer("/result/content/0/text")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .with_context(|| format!("no text in {answer}"))
    }
}

/// From the MCP endpoint's 401 over its protected resource metadata to the authorization server's.
///
/// # Errors
/// If a step is missing.
pub async fn discover(http: &Http, mcp: &Url) -> Result<Value> {
    let refusal = Reply::to(http.post(mcp).json(&json!({}))).await?;
    ensure!(refusal.status == 401, "no 401 but {}", refusal.status);
    let challenge = refusal.header("www-authenticate").to_owned();
    let resource = quoted(&challenge, "resource_metadata")
        .with_context(|| format!("no resource_metadata in `{challenge}`"))?;
    let resource = Reply::to(http.get(&Url::parse(&resource)?)).await?.json()?;
    ensure!(
        resource.get("resource").and_then(Value::as_str) == Some(mcp.as_str()),
        "the document is not about {mcp}: {resource}"
    );
    let issuer = resource
        .pointer("/authorization_servers/0")
        .and_then(Value::as_str)
        .context("an authorization server is named")?;
    let mut location = Url::parse(issuer)?;
    let path = format!(
        "/.well-known/oauth-authorization-server{}",
        location.path().trim_end_matches('/')
    );
    location.set_path(&path);
    let metadata = Reply::to(http.get(&location)).await?.json()?;
    ensure!(
        metadata.get("issuer").and_then(Value::as_str) == Some(issuer),
        "another issuer than {issuer}: {metadata}"
    );
    Ok(metadata)
}

/// A quoted parameter of a challenge (RFC 9110 §11.6.1).
pub fn quoted(challenge: &str, name: &str) -> Option<String> {
    let (_, after) = challenge.split_once(&format!("{name}=\""))?;
    let (value, _) = after.split_once('"')?;
    Some(value.to_owned())
}

/// An endpoint that metadata names.
///
/// # Errors
/// If it does not.
pub fn endpoint(metadata: &Value, name: &str) -> Result<Url> {
    let text = metadata
        .get(name)
        .and_then(Value::as_str)
        .with_context(|| format!("the metadata names no {name}"))?;
    Ok(Url::parse(text)?)
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

// === impl Authorization ===

impl Authorization {
    /// Sets a parameter, or changes it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a parameter out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self
    }

    /// The address that the client opens in a browser.
    pub fn url(&self) -> Url {
        let mut url = self.endpoint.clone();
        url.query_pairs_mut().extend_pairs(&self.parameters);
        url
    }

    /// The code in the address at which the browser arrived; checks state and issuer as a client
    /// must (RFC 9207).
    ///
    /// # Errors
    /// If something is missing or foreign.
    pub fn code(&self, arrived: &Url) -> Result<String> {
        ensure!(
            parameter(arrived, "state").as_deref() == Some(&self.state),
            "foreign state"
        );
        let issuer = parameter(arrived, "iss").context("no iss")?;
        ensure!(
            self.endpoint.as_str().starts_with(&issuer) && !issuer.ends_with('/'),
            "foreign issuer {issuer}"
        );
        parameter(arrived, "code")
            .with_context(|| format!("no code but {:?}", parameter(arrived, "error_description")))
    }
}

// === impl Tokens ===

impl Tokens {
    /// Reads a token answer.
    ///
    /// # Errors
    /// If it is an error.
    pub fn of(reply: &Reply) -> Result<Self> {
        ensure!(
            reply.status == 200,
            "no tokens: {} {}",
            reply.status,
            reply.text()
        );
        let answer = reply.json()?;
        let text = |name: &str| {
            answer
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("no {name}"))
        };
        Ok(Self {
            access: text("access_token")?,
            refresh: text("refresh_token")?,
            answer,
        })
    }
}
