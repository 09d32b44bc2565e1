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

    /// Clicks the first thing that fits, once it can be clicked.
    ///
    /// # Errors
    /// If there is none; a picture shows what there is.
    pub async fn click(&mut self, selector: &str) -> Result<()> {
        self.act("click", json!({ "selector": selector })).await
    }

    /// Fills in a field, once it is there.
    ///
    /// # Errors
    /// If there is none; a picture shows what there is.
    pub async fn fill(&mut self, selector: &str, text: &str) -> Result<()> {
        self.act("fill", json!({ "selector": selector, "text": text }))
            .await
    }

    /// Ticks a box, once it is there.
    ///
    /// # Errors
    /// If there is none; a picture shows what there is.
    pub async fn tick(&mut self, selector: &str) -> Result<()> {
        self.act("check", json!({ "selector": selector })).await
    }

    /// Waits until a text stands on the page.
    ///
    /// # Errors
    /// If it never does; a picture shows what there is.
    pub async fn see(&mut self, text: &str) -> Result<()> {
        self.act("wait_for_text", json!({ "text": text })).await
    }

    /// Waits until something that fits stands on the page.
    ///
    /// # Errors
    /// If it never does; a picture shows what there is.
    pub async fn appear(&mut self, selector: &str) -> Result<()> {
        self.act("appear", json!({ "selector": selector })).await
    }

    async fn act(&mut self, command: &str, parameters: Value) -> Result<()> {
        let acted = self.command(command, parameters).await;
        if acted.is_err() {
            let name = json!({ "name": format!("in-vain-{}", std::process::id()) });
            self.command("screenshot", name).await?;
        }
        acted.map(drop)
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
