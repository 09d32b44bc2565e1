//! A plain OAuth server: no discovery, no OpenID Connect.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::{
    process::Process,
    provider::{CLIENT_ID, CLIENT_SECRET, Control},
    tools::Tools,
    witness::Witness,
};

/// How it is started.
#[derive(Clone, Debug)]
pub struct PlainOptions {
    /// The proxy's callback.
    pub redirect_uri: String,
    /// Life of an access token in seconds; none is told where this is `None`.
    pub access_ttl: Option<u64>,
    /// Member of the token answer that names the person: `id`, `user_id`.
    pub user_member: Option<&'static str>,
    /// Whether there is a userinfo endpoint.
    pub userinfo: bool,
}

/// A running plain OAuth server.
#[derive(Debug)]
pub struct PlainOAuth {
    control: Control,
    metadata_file: PathBuf,
    _process: Process,
    _directory: TempDir,
}

// === impl PlainOAuth ===

impl PlainOAuth {
    /// Starts it and writes the metadata file that describes it.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(options: &PlainOptions, witness: &Witness) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let secrets = directory.path().join("secrets");
        witness.remember(CLIENT_SECRET);
        witness.remember_file(&secrets);
        let settings = json!({
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uri": options.redirect_uri,
            "access_ttl": options.access_ttl,
            "user_member": options.user_member,
            "userinfo": options.userinfo,
            "secrets_file": secrets,
        });
        let mut command = Tools::find()?.script("plain-oauth.mjs");
        command.arg(settings.to_string());
        let output = directory.path().join("output");
        let mut process = Process::start("the plain OAuth server", command, &output)?;
        let port = process.ready_port().await?;
        let url = Url::parse(&format!("http://localhost:{port}"))?;
        let metadata_file = directory.path().join("metadata.json");
        let metadata = metadata(url.as_str().trim_end_matches('/'), options.userinfo);
        std::fs::write(&metadata_file, metadata.to_string())?;
        Ok(Self {
            control: Control::new(&url)?,
            metadata_file,
            _process: process,
            _directory: directory,
        })
    }

    /// The file that describes it.
    pub fn metadata_file(&self) -> &Path {
        &self.metadata_file
    }

    /// Its switchboard; of the faults it knows `down` and `userinfo_down`.
    pub const fn control(&self) -> &Control {
        &self.control
    }
}

fn metadata(issuer: &str, userinfo: bool) -> Value {
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "scopes_supported": ["global", "identity", "read"],
    });
    if let (true, Some(members)) = (userinfo, metadata.as_object_mut()) {
        members.insert(
            "userinfo_endpoint".to_owned(),
            format!("{issuer}/userinfo").into(),
        );
    }
    metadata
}
