//! What each page shows.
//!
//! Names are those that templates use; the ones of the consent page are the predecessor's.

mod connect;
mod device;
mod home;

use std::borrow::Cow;

use domain::{
    client::Client,
    redirect_uri::{RedirectTarget, RedirectUri},
    scope::ScopeSet,
};
use minijinja::value::Value;
use serde::Serialize;
use url::Url;

pub(crate) use self::{
    connect::{Connect, ConnectClient},
    device::{DeviceCode, DeviceConsent, DeviceNotice},
    home::{Home, HomeServer},
};
use super::cure::Cure;
use crate::flow::interaction::display_name;

/// The content of one page.
pub(crate) trait View: Serialize {
    /// File name of its template.
    const TEMPLATE: &'static str;
    /// Whether it holds a form.
    const HAS_FORM: bool = false;
    /// Whether it only navigates on.
    const LEAVES: bool = false;

    /// Made-up values to try a template with.
    fn sample() -> Self;
}

/// The consent page.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Consent {
    pub(crate) title: &'static str,
    pub(crate) uid: String,
    pub(crate) client: ClientView,
    pub(crate) params: Params,
    pub(crate) details: Details,
    /// The provider's issuer.
    pub(crate) identity_server_url: String,
    /// What is asked for access to.
    pub(crate) resource: String,
    pub(crate) redirect: RedirectView,
    pub(crate) website: Website,
    pub(crate) provider: ProviderView,
    /// Our scopes.
    pub(crate) scopes: Vec<ScopeView>,
    pub(crate) urls: Urls,
    /// What was forgotten.
    pub(crate) error: Option<&'static str>,
}

/// A client as templates see it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientView {
    pub(crate) client_id: String,
    /// Never empty.
    pub(crate) client_name: String,
    pub(crate) client_uri: Option<String>,
    pub(crate) redirect_uris: Vec<String>,
    /// Host of the metadata document that describes it, if it names itself so.
    pub(crate) host: Option<String>,
}

/// Parameters of the authorization request, without those that only the client may know.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Params {
    pub(crate) client_id: String,
    pub(crate) response_type: &'static str,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) resource: String,
}

/// The predecessor's name for what is to be decided.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Details {
    pub(crate) scopes: Vec<String>,
}

/// Where the browser goes afterwards, in what a person can judge.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RedirectView {
    /// `web`, `loopback` or `scheme`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) uri: String,
}

/// The client's website, as text.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Website {
    pub(crate) text: Option<String>,
    /// Whether its host is the one that is redirected to, or that the client is described at.
    pub(crate) verified: bool,
}

/// The identity provider.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ProviderView {
    pub(crate) name: String,
    /// Scopes asked there.
    pub(crate) scopes: Vec<ScopeView>,
    /// Whether it may hold a session of another account.
    pub(crate) can_switch: bool,
}

/// A scope and what it means to a person, where the operator says so or it is commonly known.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ScopeView {
    pub(crate) name: String,
    pub(crate) meaning: Option<Cow<'static, str>>,
}

/// Where forms are sent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Urls {
    pub(crate) confirm: String,
    pub(crate) abort: String,
    pub(crate) login: String,
}

/// The login page of the local identity.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Login {
    pub(crate) title: &'static str,
    pub(crate) uid: String,
    pub(crate) client: ClientView,
    pub(crate) resource: String,
    /// The name tried before. Never the password.
    pub(crate) username: String,
    pub(crate) urls: Urls,
    pub(crate) error: Option<String>,
}

/// A page that leads away from here.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Leave {
    pub(crate) title: &'static str,
    pub(crate) heading: String,
    pub(crate) message: String,
    /// Name of the place.
    pub(crate) destination: String,
    pub(crate) hint: &'static str,
    /// Escaped address of the place.
    pub(crate) address: Value,
    /// The same, where the page goes there by itself.
    pub(crate) refresh: Option<Value>,
}

/// Asks whether a client is to be logged out. Never printed: a field is an ID token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogoutPage {
    pub(crate) title: &'static str,
    pub(crate) client_name: String,
    pub(crate) client_id: String,
    /// Where the form is sent.
    pub(crate) confirm: String,
    pub(crate) fields: Vec<Field>,
}

/// A hidden field of a form.
#[derive(Serialize)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// Says how things are.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notice {
    pub(crate) title: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) paragraphs: Vec<&'static str>,
}

/// Says what went wrong and what to do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) title: &'static str,
    pub(crate) heading: String,
    pub(crate) paragraphs: Vec<String>,
    pub(crate) actions: Vec<Action>,
    /// The id of the request, for whoever looks into the log.
    pub(crate) reference: String,
}

/// A way on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Action {
    pub(crate) text: &'static str,
    pub(crate) url: String,
}

/// Says how to make a client register anew.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnknownClient {
    pub(crate) title: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) paragraphs: Vec<String>,
    pub(crate) cure: Option<Cure>,
    pub(crate) client_id: String,
    pub(crate) reference: String,
}

// === impl ClientView ===

impl ClientView {
    pub(crate) fn new(client: &Client) -> Self {
        let metadata = &client.metadata;
        Self {
            client_id: client.id.to_string(),
            client_name: display_name(client).to_owned(),
            client_uri: metadata.client_uri.clone(),
            redirect_uris: metadata
                .redirect_uris
                .iter()
                .map(ToString::to_string)
                .collect(),
            host: client.document().map(|document| document.host()),
        }
    }
}

// === impl RedirectView ===

impl RedirectView {
    pub(crate) fn new(uri: &RedirectUri) -> Self {
        let (kind, name) = match uri.target() {
            RedirectTarget::Web(host) => ("web", host),
            RedirectTarget::Loopback(host) => ("loopback", host),
            RedirectTarget::PrivateUse(scheme) => ("scheme", format!("{scheme}:")),
        };
        Self {
            kind,
            name,
            uri: uri.to_string(),
        }
    }
}

// === impl Website ===

impl Website {
    pub(crate) fn new(client: &Client, redirect: &RedirectUri) -> Self {
        let Some(text) = client.metadata.client_uri.clone() else {
            return Self::default();
        };
        let host = Url::parse(&text)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        let described_at = client
            .document()
            .and_then(|document| document.url().host_str().map(str::to_owned));
        let is_described_there = described_at.is_some() && described_at == host;
        let is_redirected_there = match redirect.target() {
            RedirectTarget::Web(redirected) => host == Some(redirected),
            RedirectTarget::Loopback(_) | RedirectTarget::PrivateUse(_) => false,
        };
        Self {
            text: Some(text),
            verified: is_described_there || is_redirected_there,
        }
    }
}

// === impl ScopeView ===

impl ScopeView {
    /// The scopes, with what `describe` says of them before what is commonly known.
    pub(crate) fn list<'a>(
        scopes: &ScopeSet,
        describe: impl Fn(&str) -> Option<&'a str>,
    ) -> Vec<Self> {
        scopes
            .iter()
            .map(|scope| Self {
                name: scope.as_str().to_owned(),
                meaning: describe(scope.as_str())
                    .map(|text| Cow::Owned(text.to_owned()))
                    .or_else(|| meaning(scope.as_str()).map(Cow::Borrowed)),
            })
            .collect()
    }
}

/// The scopes of OpenID Connect Core §5.4 and §11, and those of the same name elsewhere.
fn meaning(scope: &str) -> Option<&'static str> {
    match scope {
        "openid" => Some("know which account is yours"),
        "profile" => Some("see your name and profile"),
        "email" => Some("see your e-mail address"),
        "phone" => Some("see your telephone number"),
        "address" => Some("see your postal address"),
        "groups" => Some("see which groups you belong to"),
        "offline_access" | "refresh_token" => Some("stay connected while you are away"),
        "global" => Some("do everything that you can do"),
        _ => None,
    }
}

// === impl View ===

impl View for Consent {
    const TEMPLATE: &'static str = "confirm-login.html";
    const HAS_FORM: bool = true;

    fn sample() -> Self {
        Self {
            title: Self::TITLE,
            uid: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            client: ClientView::sample(),
            params: Params::default(),
            details: Details::default(),
            identity_server_url: "https://identity.example.com".to_owned(),
            resource: "https://mcp.example.com/mcp".to_owned(),
            redirect: RedirectView {
                kind: "web",
                name: "client.example.org".to_owned(),
                uri: "https://client.example.org/callback".to_owned(),
            },
            website: Website {
                text: Some("https://client.example.org".to_owned()),
                verified: true,
            },
            provider: ProviderView {
                name: "identity.example.com".to_owned(),
                scopes: vec![ScopeView {
                    name: "openid".to_owned(),
                    meaning: meaning("openid").map(Cow::Borrowed),
                }],
                can_switch: true,
            },
            scopes: Vec::new(),
            urls: Urls::default(),
            error: None,
        }
    }
}

impl Consent {
    pub(crate) const TITLE: &'static str = "Confirm Login";
}

impl ClientView {
    fn sample() -> Self {
        Self {
            client_id: "client".to_owned(),
            client_name: "Example client".to_owned(),
            client_uri: Some("https://client.example.org".to_owned()),
            redirect_uris: vec!["https://client.example.org/callback".to_owned()],
            host: None,
        }
    }
}

impl View for Login {
    const TEMPLATE: &'static str = "login.html";
    const HAS_FORM: bool = true;

    fn sample() -> Self {
        Self {
            title: "Log in",
            uid: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            client: ClientView::sample(),
            resource: "https://mcp.example.com/mcp".to_owned(),
            username: String::new(),
            urls: Urls::default(),
            error: None,
        }
    }
}

impl View for Leave {
    const TEMPLATE: &'static str = "leave.html";
    const LEAVES: bool = true;

    fn sample() -> Self {
        Self {
            title: "Going on",
            heading: "Going on".to_owned(),
            message: "You are taken on.".to_owned(),
            destination: "client.example.org".to_owned(),
            hint: "",
            address: Value::from("https://client.example.org"),
            refresh: Some(Value::from("https://client.example.org")),
        }
    }
}

impl View for LogoutPage {
    const TEMPLATE: &'static str = "logout.html";
    const HAS_FORM: bool = true;

    fn sample() -> Self {
        Self {
            title: Self::TITLE,
            client_name: "Example client".to_owned(),
            client_id: "client".to_owned(),
            confirm: "/session/end/confirm".to_owned(),
            fields: vec![Field {
                name: "id_token_hint",
                value: "token".to_owned(),
            }],
        }
    }
}

impl LogoutPage {
    pub(crate) const TITLE: &'static str = "Log out";
}

impl View for Notice {
    const TEMPLATE: &'static str = "notice.html";

    fn sample() -> Self {
        Self {
            title: "Notice",
            heading: "This is how it is",
            paragraphs: vec!["What happened."],
        }
    }
}

impl View for Problem {
    const TEMPLATE: &'static str = "error.html";

    fn sample() -> Self {
        Self {
            title: "Problem",
            heading: "Something is wrong".to_owned(),
            paragraphs: vec!["What happened.".to_owned()],
            actions: vec![Action {
                text: "Try again",
                url: "/".to_owned(),
            }],
            reference: "reference".to_owned(),
        }
    }
}

impl View for UnknownClient {
    const TEMPLATE: &'static str = "unknown-client.html";

    fn sample() -> Self {
        Self {
            title: "Unknown client",
            heading: "Unknown client",
            paragraphs: vec!["What happened.".to_owned()],
            cure: None,
            client_id: "client".to_owned(),
            reference: "reference".to_owned(),
        }
    }
}
