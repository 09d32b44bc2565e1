//! The ID token beside an access token (OpenID Connect Core §2, §3.1.3.6). Nothing here accepts
//! one as a credential.

#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{self, Algorithm};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{client::Client, secret::SecretString, time::Timestamp};
use grants::IssuedTokens;
use jose::signing::{InvalidKeys, SigningKeys};
use serde_json::{Map, Value};

/// Signs an ID token for `client`, with the algorithm it registered where there is a key for it.
///
/// # Errors
/// If the key refuses to sign.
pub(super) fn sign(
    keys: &SigningKeys,
    issuer: &str,
    client: &Client,
    tokens: &IssuedTokens,
    now: Timestamp,
) -> Result<SecretString, InvalidKeys> {
    let asked = client.metadata.id_token_signed_response_alg.as_deref();
    let algorithm = algorithm_for(&keys.algorithms(), asked);
    let hash = half_hash(algorithm.as_deref(), tokens.access_token.expose());
    let claims = claims(issuer, client, tokens, hash, now);
    keys.sign(algorithm.as_deref(), "JWT", &claims)
}

/// The algorithm that signs for a client: the asked one where there is a key, else the first.
/// Who registered none expects RS256 (OpenID Connect Registration §2).
pub(super) fn algorithm_for(algorithms: &[String], asked: Option<&str>) -> Option<String> {
    let asked = asked.unwrap_or("RS256");
    let fits = algorithms.iter().find(|algorithm| *algorithm == asked);
    fits.or_else(|| algorithms.first()).cloned()
}

fn claims(
    issuer: &str,
    client: &Client,
    tokens: &IssuedTokens,
    access_token_hash: String,
    now: Timestamp,
) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("iss", issuer.into());
    set("sub", tokens.subject.as_str().into());
    set("aud", client.id.as_str().into());
    set("exp", now.plus(tokens.expires_in).as_unix().into());
    set("iat", now.as_unix().into());
    set("auth_time", tokens.auth_time.as_unix().into());
    set("at_hash", access_token_hash.into());
    set("sid", tokens.grant.to_string().into());
    if let Some(nonce) = &tokens.nonce {
        set("nonce", nonce.as_str().into());
    }
    claims
}

/// The left half of the access token's hash, by the hash of the signature's algorithm.
fn half_hash(algorithm: Option<&str>, access_token: &str) -> String {
    let hash: &Algorithm = match algorithm {
        Some("ES384") => &digest::SHA384,
        // Ed25519 signs with SHA-512 inside; relying parties hash so.
        Some("Ed25519" | "EdDSA") => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let digest = digest::digest(hash, access_token.as_bytes());
    let half = digest.as_ref().len() / 2;
    URL_SAFE_NO_PAD.encode(digest.as_ref().get(..half).unwrap_or_default())
}
