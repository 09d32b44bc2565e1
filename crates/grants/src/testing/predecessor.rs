//! What the predecessor left, by its published layout.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use domain::secret::SecretString;
use serde_json::{Value, json};
use store::{
    StoreUnavailable,
    predecessor::{OldKind, OldNames, OldRecord, Predecessor},
};

use super::{DAY, HOUR};

/// Records by key, without the prefix.
#[derive(Debug, Default)]
pub(crate) struct OldRecords {
    records: Mutex<HashMap<String, OldRecord>>,
    reads: AtomicUsize,
}

/// The moment at which the fixtures were written.
pub(crate) const WRITTEN: u64 = 1_800_000_000;
pub(crate) const OLD_CLIENT: &str = "dqAs3Yh0fJkQ2m8wXvR1e";
pub(crate) const OLD_ACCESS: &str = "aAccessTokenOfThePredecessor-_0123456789abc";
pub(crate) const OLD_REFRESH: &str = "rRefreshTokenOfThePredecessor-_0123456789ab";
pub(crate) const OLD_GRANT: &str = "gGrantOfThePredecessor-_0123456789abcdefghi";

// === impl OldRecords ===

impl OldRecords {
    /// A user with an access and a refresh token, as they were an hour before their end and fresh.
    pub(crate) fn of_one_user() -> Self {
        let records = Self::default();
        records.put(OldKind::Client, OLD_CLIENT, &client_record());
        records.put(OldKind::Grant, OLD_GRANT, &grant_record());
        records.put(OldKind::AccessToken, OLD_ACCESS, &token("AccessToken"));
        records.put(OldKind::RefreshToken, OLD_REFRESH, &token("RefreshToken"));
        records
    }

    pub(crate) fn put(&self, kind: OldKind, id: &str, record: &Value) {
        self.put_text(kind, id, &record.to_string());
    }

    pub(crate) fn put_text(&self, kind: OldKind, id: &str, text: &str) {
        let record = OldRecord {
            text: SecretString::new(text),
            consumed: None,
        };
        self.records().insert(key(kind, id), record);
    }

    /// Changes members of a record; `null` takes one out.
    pub(crate) fn change(&self, kind: OldKind, id: &str, members: &Value) {
        let mut records = self.records();
        let record = records.get_mut(&key(kind, id)).unwrap();
        let mut json: Value = serde_json::from_str(record.text.expose()).unwrap();
        for (name, value) in members.as_object().unwrap() {
            json[name] = value.clone();
            if value.is_null() {
                json.as_object_mut().unwrap().remove(name);
            }
        }
        record.text = SecretString::new(json.to_string());
    }

    pub(crate) fn consume(&self, id: &str, at: u64) {
        let mut records = self.records();
        let record = records.get_mut(&key(OldKind::RefreshToken, id)).unwrap();
        record.consumed = Some(at);
    }

    pub(crate) fn remove(&self, kind: OldKind, id: &str) {
        self.records().remove(&key(kind, id));
    }

    /// Another token of the same grant.
    pub(crate) fn another_token(&self, kind: OldKind, id: &str) {
        let mut another = token(kind.model());
        another["jti"] = json!(id);
        self.put(kind, id, &another);
    }

    /// How many records were asked for.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn records(&self) -> std::sync::MutexGuard<'_, HashMap<String, OldRecord>> {
        self.records.lock().unwrap()
    }
}

#[async_trait]
impl Predecessor for OldRecords {
    async fn may_be_there(&self) -> Result<bool, StoreUnavailable> {
        Ok(!self.records().is_empty())
    }

    async fn find(&self, kind: OldKind, id: &str) -> Result<Option<OldRecord>, StoreUnavailable> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(self.records().get(&key(kind, id)).cloned())
    }

    async fn names(&self, _: u64) -> Result<OldNames, StoreUnavailable> {
        unreachable!("grants go through no names")
    }

    async fn size(&self) -> Result<u64, StoreUnavailable> {
        unreachable!("grants go through no names")
    }
}

fn key(kind: OldKind, id: &str) -> String {
    format!("{}:{id}", kind.model())
}

/// As the early generation wrote it, with what a provider may leave out.
pub(crate) fn client_record() -> Value {
    json!({
        "application_type": "native",
        "client_id": OLD_CLIENT,
        "client_id_issued_at": WRITTEN - 3 * DAY,
        "client_name": "An MCP client",
        "grant_types": ["authorization_code", "refresh_token", "implicit"],
        "id_token_signed_response_alg": "Ed25519",
        "redirect_uris": ["http://127.0.0.1:33418/", "cursor://anysphere.cursor-retrieval/oauth"],
        "post_logout_redirect_uris": [],
        "require_auth_time": false,
        "require_pushed_authorization_requests": false,
        "dpop_bound_access_tokens": false,
        "response_types": ["code", "code token"],
        "subject_type": "public",
        "token_endpoint_auth_method": "none",
        "identityLoginConfirmed": true,
        "identityAuthCodeVerifier": "the-verifier-of-the-last-login",
        "identityAuthState": "the-state-of-the-last-login",
        "identityAuthAccessToken": "identity-access-0",
        "identityAuthRefreshToken": "identity-refresh-0",
        "identityAuthScope": "profile, email",
        "identityAuthId": "user-1",
        "identityAuthInstanceUrl": "https://instance.example",
        "identityAuthTokenType": "Bearer",
        "identityAuthIssuedAt": (WRITTEN * 1000).to_string(),
        "identityAuthSessionNonce": null,
    })
}

pub(crate) fn grant_record() -> Value {
    json!({
        "iat": WRITTEN - 2 * DAY,
        "exp": WRITTEN + 12 * DAY,
        "accountId": "user-1",
        "clientId": OLD_CLIENT,
        "openid": { "scope": "openid offline_access" },
        "jti": OLD_GRANT,
        "kind": "Grant",
    })
}

fn token(kind: &str) -> Value {
    let (jti, end) = match kind {
        "AccessToken" => (OLD_ACCESS, HOUR),
        _ => (OLD_REFRESH, 14 * DAY),
    };
    json!({
        "iat": WRITTEN,
        "exp": WRITTEN + end,
        "jti": jti,
        "kind": kind,
        "accountId": "user-1",
        "authTime": WRITTEN - 2 * DAY,
        "clientId": OLD_CLIENT,
        "expiresWithSession": false,
        "grantId": OLD_GRANT,
        "gty": "authorization_code",
        "scope": "openid offline_access",
        "sessionUid": "uSessionOfThePredecessor-_0123456789abcdefg",
    })
}
