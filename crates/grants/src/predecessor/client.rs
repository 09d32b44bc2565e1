//! From a client's record to a registration of ours, as far as our own rules allow.

use domain::{
    client::{Client, ClientMetadata, InvalidClientMetadata, TokenEndpointAuthMethod},
    id::ClientId,
    redirect_uri::AllowedRedirectHosts,
    time::Timestamp,
};
use serde_json::{Map, Value};
use store::{predecessor::OldRecord, seal::sha256};

/// A client that can be taken over.
#[derive(Clone, Debug)]
pub struct TakenClient {
    /// Its registration: the same identifier, the same secret.
    pub client: Client,
    /// What our rules do not allow, and so is left out of it; with the reason.
    pub left_out: Vec<String>,
}

/// Why a client cannot be taken over. It has to register anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum UnfitClient {
    /// Not what the predecessor wrote.
    #[error("its record cannot be read")]
    Malformed,
    /// RFC 7591 §3.2.1, `client_secret_expires_at`.
    #[error("its secret has expired")]
    SecretExpired,
    /// Something that it cannot do without is not allowed here.
    #[error("{0}")]
    Metadata(String),
}

/// Members that a client can do without.
const OPTIONAL: &[&str] = &[
    "client_name",
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "contacts",
    "scope",
    "software_id",
    "software_version",
    "id_token_signed_response_alg",
    "post_logout_redirect_uris",
    "require_pushed_authorization_requests",
    "token_endpoint_auth_signing_alg",
];

/// Bound of what is left out, one at a time; a record that needs more is no client's.
const MOST_LEFT_OUT: usize = 64;

/// The registration that a client's record becomes.
///
/// # Errors
/// See [`UnfitClient`].
pub fn client_of(
    id: &ClientId,
    record: &OldRecord,
    hosts: &AllowedRedirectHosts,
    now: Timestamp,
) -> Result<TakenClient, UnfitClient> {
    let members: Map<String, Value> =
        serde_json::from_str(record.text.expose()).map_err(|_| UnfitClient::Malformed)?;
    of_members(id, members, hosts, now)
}

pub(super) fn of_members(
    id: &ClientId,
    mut members: Map<String, Value>,
    hosts: &AllowedRedirectHosts,
    now: Timestamp,
) -> Result<TakenClient, UnfitClient> {
    if members.get("client_id").and_then(Value::as_str) != Some(id.as_str()) {
        return Err(UnfitClient::Malformed);
    }
    let number = |name: &str| members.get(name).and_then(Value::as_u64);
    let issued_at = number("client_id_issued_at").map_or(now, Timestamp::from_unix);
    let secret_end = number("client_secret_expires_at").unwrap_or_default();
    let secret_hash = members
        .get("client_secret")
        .and_then(Value::as_str)
        .map(|secret| sha256(secret.as_bytes()));
    let mut left_out = Vec::new();
    let metadata = loop {
        let fault = match ClientMetadata::parse(&members, hosts) {
            Ok(metadata) => break metadata,
            Err(fault) => fault,
        };
        if left_out.len() >= MOST_LEFT_OUT || !leave_out(&mut members, &fault) {
            return Err(UnfitClient::Metadata(fault.to_string()));
        }
        left_out.push(fault.to_string());
    };
    let has_secret = metadata.token_endpoint_auth_method.has_secret();
    if has_secret && secret_hash.is_none() {
        return Err(UnfitClient::Malformed);
    }
    if has_secret && secret_end != 0 && secret_end <= now.as_unix() {
        return Err(UnfitClient::SecretExpired);
    }
    let shares_none = metadata.token_endpoint_auth_method == TokenEndpointAuthMethod::None;
    Ok(TakenClient {
        client: Client {
            id: id.clone(),
            issued_at,
            secret_hash: secret_hash.filter(|_| has_secret && !shares_none),
            metadata,
        },
        left_out,
    })
}

/// Takes out what is at fault, if a client can do without.
fn leave_out(members: &mut Map<String, Value>, fault: &InvalidClientMetadata) -> bool {
    match fault {
        InvalidClientMetadata::RedirectUri { index, .. }
        | InvalidClientMetadata::RedirectHost { index } => {
            let uris = members
                .get_mut("redirect_uris")
                .and_then(Value::as_array_mut);
            match uris {
                Some(uris) if *index < uris.len() => {
                    uris.remove(*index);
                    true
                }
                _ => false,
            }
        }
        InvalidClientMetadata::Member { member, .. } => {
            OPTIONAL.contains(member) && members.remove(*member).is_some()
        }
        InvalidClientMetadata::NoRedirectUri => false,
    }
}
