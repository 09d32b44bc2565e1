//! The JSON of the records, as far as it is of use. Members that are not here are ignored.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use store::predecessor::OldRecord;

use super::Unfit;

/// An access or refresh token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OldToken {
    pub(super) jti: String,
    pub(super) kind: String,
    /// Unix seconds.
    pub(super) exp: u64,
    pub(super) client_id: String,
    #[serde(default)]
    pub(super) account_id: Option<Value>,
    #[serde(default)]
    pub(super) grant_id: Option<String>,
    #[serde(default)]
    pub(super) scope: Option<String>,
    #[serde(default)]
    pub(super) auth_time: Option<u64>,
    /// What an access token is for.
    #[serde(default)]
    pub(super) aud: Option<Value>,
    /// What a refresh token is for.
    #[serde(default)]
    pub(super) resource: Option<Value>,
    #[serde(default)]
    pub(super) expires_with_session: bool,
    #[serde(default)]
    pub(super) session_uid: Option<String>,
    #[serde(default)]
    pub(super) format: Option<String>,
    /// Proof of possession by `DPoP` (RFC 9449).
    #[serde(default)]
    pub(super) jkt: Option<Value>,
    /// Client certificates (RFC 8705).
    #[serde(default, rename = "x5t#S256")]
    pub(super) certificate: Option<Value>,
    #[serde(default)]
    pub(super) attestation_jkt: Option<Value>,
}

/// What a user granted to a client.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OldGrant {
    /// Unix seconds.
    pub(super) iat: u64,
    /// Unix seconds.
    pub(super) exp: u64,
    pub(super) client_id: String,
    pub(super) account_id: Value,
}

/// A login session of a browser.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OldBrowserSession {
    /// Unix seconds.
    #[serde(default)]
    pub(super) exp: Option<u64>,
    #[serde(default)]
    pub(super) account_id: Option<Value>,
    /// By client.
    #[serde(default)]
    pub(super) authorizations: Map<String, Value>,
}

/// Reads the JSON of a record. What is wrong with it is not said: it holds secrets.
pub(super) fn read<T: DeserializeOwned>(record: &OldRecord) -> Result<T, Unfit> {
    serde_json::from_str(record.text.expose()).map_err(|_| Unfit::Malformed)
}

/// A text, or a number as text: some providers number their users.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The texts of a member that may be one or several.
pub(super) fn texts_of(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
