//! The pages by which a device is connected.

use serde::Serialize;

use super::{ClientView, ProviderView, ScopeView, Urls, View};

/// Asks for the code that a device shows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeviceCode {
    pub(crate) title: &'static str,
    /// Where the form is sent.
    pub(crate) action: String,
    /// What was typed before, or stood in the address.
    pub(crate) code: String,
    /// Whether it stood in the address: then the person must say that they see the device.
    pub(crate) prefilled: bool,
    pub(crate) error: Option<String>,
}

/// Asks for consent to what a device wants.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceConsent {
    pub(crate) title: &'static str,
    pub(crate) uid: String,
    pub(crate) client: ClientView,
    pub(crate) resource: String,
    pub(crate) provider: ProviderView,
    /// Our scopes.
    pub(crate) scopes: Vec<ScopeView>,
    /// Time of day at which the device asked.
    pub(crate) asked_at: String,
    /// How long ago that was.
    pub(crate) asked_before: String,
    /// From which address.
    pub(crate) asked_from: String,
    pub(crate) urls: Urls,
    /// What was forgotten.
    pub(crate) error: Option<&'static str>,
}

/// Says what became of a device.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeviceNotice {
    pub(crate) title: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) paragraphs: Vec<String>,
}

// === impl View ===

impl View for DeviceCode {
    const TEMPLATE: &'static str = "device.html";
    const HAS_FORM: bool = true;

    fn sample() -> Self {
        Self {
            title: Self::TITLE,
            action: "/device".to_owned(),
            code: "BCDF-GHJK".to_owned(),
            prefilled: true,
            error: None,
        }
    }
}

impl DeviceCode {
    pub(crate) const TITLE: &'static str = "Connect a device";
}

impl View for DeviceConsent {
    const TEMPLATE: &'static str = "confirm-device.html";
    const HAS_FORM: bool = true;

    fn sample() -> Self {
        Self {
            title: Self::TITLE,
            uid: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            client: ClientView::sample(),
            resource: "https://mcp.example.com/mcp".to_owned(),
            provider: ProviderView::default(),
            scopes: Vec::new(),
            asked_at: "12:00 UTC".to_owned(),
            asked_before: "2 minutes".to_owned(),
            asked_from: "192.0.2.1".to_owned(),
            urls: Urls::default(),
            error: None,
        }
    }
}

impl DeviceConsent {
    pub(crate) const TITLE: &'static str = "Confirm device";
}

impl View for DeviceNotice {
    const TEMPLATE: &'static str = "notice.html";

    fn sample() -> Self {
        Self {
            title: "Device",
            heading: "This is how it is",
            paragraphs: vec!["What happened.".to_owned()],
        }
    }
}
