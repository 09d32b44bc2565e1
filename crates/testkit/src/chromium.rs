//! A person with a real browser: Chromium.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use url::Url;

use crate::{process::Conversation, tools::Tools};

/// How it is started.
#[derive(Clone, Copy, Debug)]
pub struct ChromiumOptions {
    /// `light` or `dark`.
    pub color_scheme: &'static str,
    /// Width of the window in CSS pixels.
    pub width: u32,
    /// Whether scripts run.
    pub script: bool,
}

/// A running browser with one window.
#[derive(Debug)]
pub struct Chromium {
    conversation: Conversation,
}

impl Default for ChromiumOptions {
    fn default() -> Self {
        Self {
            color_scheme: "light",
            width: 1024,
            script: true,
        }
    }
}

// === impl Chromium ===

impl Chromium {
    /// Starts a browser with a fresh profile.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(options: ChromiumOptions) -> Result<Self> {
        let tools = Tools::find()?;
        let settings = json!({
            "chromium": tools.chromium(),
            "screenshots": tools.screenshots()?,
            "color_scheme": options.color_scheme,
            "width": options.width,
            "script": options.script,
        });
        let mut command = tools.script("browser.mjs");
        command.arg(settings.to_string());
        let mut conversation = Conversation::start("Chromium", command)?;
        conversation.listen().await?;
        Ok(Self { conversation })
    }

    /// Gives a command (`browser.mjs` lists them).
    ///
    /// # Errors
    /// If it fails.
    pub async fn command(&mut self, command: &str, parameters: Value) -> Result<Value> {
        self.conversation.command(command, parameters, drop).await
    }

    /// Opens an address.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn open(&mut self, url: &Url) -> Result<Value> {
        self.command("goto", json!({ "url": url })).await
    }

    /// What a reader and a screen reader find on the page.
    ///
    /// # Errors
    /// If there is no page.
    pub async fn inspect(&mut self) -> Result<Value> {
        self.command("inspect", Value::Null).await
    }

    /// Where it is.
    ///
    /// # Errors
    /// If it is gone.
    pub async fn url(&mut self) -> Result<Url> {
        let url = self.command("url", Value::Null).await?;
        Ok(Url::parse(url.as_str().context("a URL")?)?)
    }
}
