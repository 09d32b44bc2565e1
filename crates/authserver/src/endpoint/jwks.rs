//! `/jwks`: the public halves of our signing keys (RFC 7517 §5).

use axum::{body::Bytes, handler::Handler};
use jose::signing::SigningKeys;

use super::discovery;
use crate::server::Shared;

/// The keys as they are for the life of the process.
pub(super) fn jwks(keys: &SigningKeys) -> impl Handler<((),), Shared> + use<> {
    let document = Bytes::from(keys.public_jwks().to_string());
    move || {
        let document = document.clone();
        async move { discovery::document(document) }
    }
}
