//! OAuth and OpenID Connect libraries of others as clients, each in a process of its own: what
//! they do not accept is wrong.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use url::Url;

use crate::{
    client::REDIRECT_URI, http::Router, process::Conversation, tools::Tools, witness::Witness,
};

/// Whose library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// npm `oauth4webapi`: low-level, strict.
    Oauth4webapi,
    /// npm `openid-client`: what applications use.
    OpenidClient,
    /// `PyPI` `authlib` with `joserfc`.
    Authlib,
}

/// A client that uses a library.
#[derive(Debug)]
pub struct LibraryClient {
    conversation: Conversation,
    witness: Witness,
}

// === impl LibraryClient ===

impl LibraryClient {
    /// Starts a client of an issuer; it waits at [`REDIRECT_URI`].
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(library: Library, issuer: &Url, witness: &Witness) -> Result<Self> {
        Self::start_with(library, issuer, &Value::Null, witness)
    }

    /// The same with `oauth4webapi`, of an issuer behind a router that ends TLS. It insists on https.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_behind(router: &Router, witness: &Witness) -> Result<Self> {
        let settings = json!({ "public": router.public, "actual": router.actual });
        Self::start_with(Library::Oauth4webapi, &router.public, &settings, witness)
    }

    fn start_with(
        library: Library,
        issuer: &Url,
        router: &Value,
        witness: &Witness,
    ) -> Result<Self> {
        let settings = json!({
            "issuer": issuer.as_str().trim_end_matches('/'),
            "redirect_uri": REDIRECT_URI,
            "router": router,
        });
        let tools = Tools::find()?;
        let mut command = match library {
            Library::Oauth4webapi => tools.script("oauth-client.mjs"),
            Library::OpenidClient => tools.script("openid-client.mjs"),
            Library::Authlib => tools.python_script("authlib_client.py"),
        };
        command.arg(settings.to_string());
        // Everything is on this machine.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        Ok(Self {
            conversation: Conversation::start(&format!("{library:?}"), command)?,
            witness: witness.clone(),
        })
    }

    /// Gives a command (`oauth-client.mjs` lists them). What is secret in the answer is remembered.
    ///
    /// # Errors
    /// If the library accepts no answer.
    pub async fn command(&mut self, command: &str, parameters: Value) -> Result<Value> {
        let answer = self.conversation.command(command, parameters, drop).await?;
        self.witness.remember_members(&answer);
        Ok(answer)
    }

    /// Gives a command that must fail: what the library says.
    ///
    /// # Errors
    /// If it succeeds.
    pub async fn refusal(&mut self, command: &str, parameters: Value) -> Result<String> {
        match self.command(command, parameters).await {
            Ok(_) => bail!("{command} is not refused"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// Discovers, and registers with this metadata; with an algorithm, by a key of its own.
    ///
    /// # Errors
    /// If the library accepts no answer.
    pub async fn register(&mut self, metadata: Value, algorithm: Option<&str>) -> Result<Value> {
        self.command("discover", Value::Null).await?;
        let mut parameters = json!({ "metadata": metadata });
        if let (Some(algorithm), Some(members)) = (algorithm, parameters.as_object_mut()) {
            members.insert("algorithm".to_owned(), algorithm.into());
        }
        self.command("register", parameters).await
    }

    /// The address that it opens in a person's browser.
    ///
    /// # Errors
    /// If it gives none.
    pub async fn authorize(&mut self, parameters: Value) -> Result<Url> {
        let answer = self.command("authorize", parameters).await?;
        let url = answer.get("url").and_then(Value::as_str);
        Ok(Url::parse(url.context("it gives an address")?)?)
    }
}
