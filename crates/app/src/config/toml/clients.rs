//! `[[clients]]`: clients that need not register.

mod proof;

use authserver::MCP_SERVER_CLIENT_ID;
use authserver::PreregisteredClient;
use domain::{
    client::{Client, ClientMetadata, InvalidClientMetadata},
    id::ClientId,
    redirect_uri::{AllowedRedirectHosts, RedirectTarget},
    scope::ScopeSet,
    time::Timestamp,
};
use serde_json::{Map, json};
use toml::{Table, Value};

use self::proof::Proof;
use super::Walk;
use crate::config::faults::Holds;

const KEYS: [&str; 12] = [
    "id",
    "name",
    "secret_hash",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "jwks",
    "jwks_uri",
    "redirect_uris",
    "post_logout_redirect_uris",
    "grant_types",
    "scope",
    "skip_consent",
];

/// What each is called at registration, where the same rules hold.
const MEMBERS: [(&str, &str); 4] = [
    ("name", "client_name"),
    ("redirect_uris", "redirect_uris"),
    ("post_logout_redirect_uris", "post_logout_redirect_uris"),
    ("grant_types", "grant_types"),
];

/// The clients of the list; what is wrong is noted and left out.
pub(super) fn read(walk: &mut Walk<'_>, value: Option<Value>) -> Vec<PreregisteredClient> {
    let mut clients: Vec<PreregisteredClient> = Vec::new();
    for (place, table) in walk.tables("clients", value, &KEYS) {
        let Some(known) = one(walk, &place, &table) else {
            continue;
        };
        if clients
            .iter()
            .any(|other| other.client.id == known.client.id)
        {
            let id = Value::String(known.client.id.to_string());
            walk.wrong(
                &format!("{place}.id"),
                &id,
                "another client has it",
                "an id of its own",
            );
        } else {
            clients.push(known);
        }
    }
    clients
}

fn one(walk: &mut Walk<'_>, place: &str, table: &Table) -> Option<PreregisteredClient> {
    let id = id(walk, place, table.get("id"));
    let proof = proof::read(walk, place, table);
    let scopes = match table.get("scope") {
        None => Ok(None),
        Some(value) => walk
            .scopes(&format!("{place}.scope"), value)
            .map(Some)
            .ok_or(()),
    };
    let metadata = metadata(walk, place, table, proof.as_ref());
    let skips_consent = skips_consent(walk, place, table.get("skip_consent"), metadata.as_ref());
    Some(PreregisteredClient {
        client: Client {
            id: id?,
            issued_at: Timestamp::from_unix(0),
            secret_hash: proof?.secret_hash,
            metadata: metadata?,
        },
        scopes: scopes.ok()?,
        skips_consent,
    })
}

fn id(walk: &mut Walk<'_>, place: &str, value: Option<&Value>) -> Option<ClientId> {
    const ALLOWED: &str = "visible ASCII characters; no URL";
    let place = format!("{place}.id");
    let Some(value) = value else {
        walk.missing(&place, ALLOWED);
        return None;
    };
    let reason = match value.as_str().map(|text| (ClientId::parse(text), text)) {
        // Such an id names a client metadata document.
        Some((_, text)) if text.contains("://") => "it is a URL".to_owned(),
        Some((_, MCP_SERVER_CLIENT_ID)) => {
            "MCP servers call themselves so when they ask about tokens".to_owned()
        }
        Some((Ok(id), _)) => return Some(id),
        Some((Err(error), _)) => error.to_string(),
        None => "it is no text".to_owned(),
    };
    walk.wrong(&place, value, &reason, ALLOWED);
    None
}

fn metadata(
    walk: &mut Walk<'_>,
    place: &str,
    table: &Table,
    proof: Option<&Proof>,
) -> Option<ClientMetadata> {
    let mut members = Map::new();
    for (key, member) in MEMBERS {
        if let Some(value) = table.get(key) {
            members.insert(member.to_owned(), serde_json::to_value(value).ok()?);
        }
    }
    let none = json!({ "token_endpoint_auth_method": "none" });
    // Where that is wrong, the rest is looked at all the same.
    let proof = proof.map_or_else(|| none.as_object(), |proof| Some(&proof.members));
    members.extend(
        proof
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    match ClientMetadata::parse(&members, &AllowedRedirectHosts::all()) {
        Ok(metadata) => Some(metadata),
        Err(InvalidClientMetadata::Member { member, reason })
            if proof::MEMBERS.contains(&member) =>
        {
            walk.fault(
                &format!("{place}.{member}"),
                Holds::Redacted,
                format!("it {reason}"),
                "what clients may register",
            );
            None
        }
        Err(error) => {
            let reason = error.to_string().replace("client_name: ", "name: ");
            let table = Value::Array(table.get("redirect_uris").cloned().into_iter().collect());
            walk.wrong(place, &table, &reason, "what clients may register");
            None
        }
    }
}

/// Where nobody is asked, nothing may stand between the provider and the client that another
/// program could pose as.
fn skips_consent(
    walk: &mut Walk<'_>,
    place: &str,
    value: Option<&Value>,
    metadata: Option<&ClientMetadata>,
) -> bool {
    const ALLOWED: &str =
        "`true` only for a client whose redirect_uris are all https and not on loopback";
    let place = format!("{place}.skip_consent");
    match value {
        None | Some(Value::Boolean(false)) => false,
        Some(Value::Boolean(true)) => {
            let is_web = metadata.is_none_or(|metadata| {
                metadata
                    .redirect_uris
                    .iter()
                    .all(|uri| matches!(uri.target(), RedirectTarget::Web(_)))
            });
            if !is_web {
                let reason = "any program on a person's computer could call itself this client";
                walk.wrong(&place, &Value::Boolean(true), reason, ALLOWED);
            }
            is_web
        }
        Some(other) => {
            walk.wrong(&place, other, "it is neither true nor false", ALLOWED);
            false
        }
    }
}

// === impl Walk ===

impl Walk<'_> {
    /// The tables of a list that has no variables, each with its place. Unknown keys are noted.
    pub(super) fn tables(
        &mut self,
        key: &str,
        value: Option<Value>,
        keys: &[&str],
    ) -> Vec<(String, Table)> {
        let items = match value {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong(key, &other, "it is no list", &format!("[[{key}]] tables"));
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("{key}[{index}]");
            let Value::Table(table) = item else {
                self.wrong(
                    &place,
                    &item,
                    "it is no table",
                    &format!("a [[{key}]] table"),
                );
                continue;
            };
            for unknown in table.keys().filter(|held| !keys.contains(&held.as_str())) {
                self.unknown(&format!("{place}.{unknown}"), unknown, keys.iter().copied());
            }
            tables.push((place, table));
        }
        tables
    }

    pub(super) fn missing(&mut self, place: &str, allowed: &str) {
        self.fault(place, Holds::Nothing, "it is needed".to_owned(), allowed);
    }

    /// Scopes as an array of texts or as one text.
    pub(super) fn scopes(&mut self, place: &str, value: &Value) -> Option<ScopeSet> {
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Array(items) => items
                .iter()
                .map(Value::as_str)
                .collect::<Option<Vec<_>>>()
                .map(|items| items.join(" ")),
            _ => None,
        };
        let scopes = text.and_then(|text| ScopeSet::parse_lenient(&text).ok());
        if scopes.is_none() {
            self.wrong(
                place,
                value,
                "these are no scopes",
                "an array of scope names",
            );
        }
        scopes
    }
}
