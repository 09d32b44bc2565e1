//! How a conversation is written down.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// What one client says and insists on. Texts may hold placeholders, see
/// [`super::names::Names`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    /// Its name.
    pub(super) client: String,
    /// Where its behaviour is published.
    pub(super) sources: Vec<Url>,
    /// When that was read, as year and month.
    pub(super) read: String,
    /// What was filled in where the sources are silent.
    #[serde(default)]
    pub(super) assumed: Option<String>,
    /// Whether it comes over the internet, and so through a router that ends TLS.
    #[serde(default)]
    pub(super) cloud: bool,
    /// Settings that the proxy needs for it.
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    /// What it publishes, by path. Its real host is stood in for by one on this machine.
    #[serde(default)]
    pub(super) documents: BTreeMap<String, Value>,
    /// How it proves itself by `{assertion}`, its RS256 keys being `{keys}`.
    #[serde(default)]
    pub(super) assertion: Option<Assertion>,
    /// Whether it ends at a page that tells a person why it cannot connect.
    #[serde(default)]
    pub(super) ends_at_a_page: bool,
    /// What happens, in order.
    pub(super) steps: Vec<Step>,
}

/// A client assertion (RFC 7523 §3).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Assertion {
    /// `iss` and `sub`.
    pub(super) client_id: String,
    /// `aud`.
    pub(super) audience: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// The client asks.
    Call(Call),
    /// The client opens a browser, in which a person agrees and logs in.
    Login(Login),
    /// The client opens a browser, and the person gets no further than a page.
    Page(Page),
    /// The client calls a tool, and the MCP server sees who for.
    Tool(Tool),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    /// What it is for.
    pub(super) what: String,
    /// GET where there is neither `json` nor `form`, else POST.
    #[serde(default)]
    pub(super) method: Option<String>,
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) json: Option<Value>,
    #[serde(default)]
    pub(super) form: Option<BTreeMap<String, String>>,
    /// From which of the client's addresses, where it comes over the internet.
    #[serde(default)]
    pub(super) from: Option<IpAddr>,
    /// Id and secret in the `Authorization` header.
    #[serde(default)]
    pub(super) basic: Option<(String, String)>,
    pub(super) expect: Box<Expect>,
    /// The name under which the answer is kept for later placeholders.
    #[serde(default)]
    pub(super) keep: Option<String>,
}

/// What the client insists on; see [`super::expectation`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) status: u16,
    /// Headers of the answer.
    #[serde(default)]
    pub(super) headers: Option<Value>,
    /// Parameters of the `Bearer` challenge.
    #[serde(default)]
    pub(super) challenge: Option<Value>,
    /// The body.
    #[serde(default)]
    pub(super) json: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    pub(super) what: String,
    pub(super) url: String,
    /// Without `state`, `code_challenge` and its method, which every client sends and which are
    /// made anew for each login.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) person: String,
    /// The names that the person must read before agreeing: of the client, and of where it returns.
    pub(super) shows: Vec<String>,
    /// The name under which the parameters of the redirect are kept.
    pub(super) keep: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    pub(super) what: String,
    pub(super) url: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) status: u16,
    pub(super) shows: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    pub(super) what: String,
    /// Where; the MCP endpoint unless told.
    #[serde(default)]
    pub(super) url: Option<String>,
    pub(super) token: String,
    /// From which of the client's addresses, where it comes over the internet.
    #[serde(default)]
    pub(super) from: Option<IpAddr>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// Whose token the MCP server must see.
    pub(super) person: String,
}
