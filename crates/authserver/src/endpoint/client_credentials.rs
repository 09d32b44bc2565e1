//! How a client names and proves itself in a request (RFC 6749 §2.3.1): the header, the form.

#[cfg(test)]
mod tests;

use axum::http::{HeaderMap, header};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use domain::{client::DocumentUrl, secret::SecretString};
use percent_encoding::percent_decode_str;

use super::parameters::Parameters;
use crate::flow::{
    client_assertion::{Secret, ShownAssertion},
    client_authentication::{BasicCredentials, ShownCredentials},
};

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who asked, as far as the log says it.
#[derive(Debug, Default)]
pub(crate) struct Asker {
    /// The client's id, if it is fit to be logged.
    pub(crate) client: Option<String>,
}

/// An `Authorization` header that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidAuthorization {
    /// Two programs could read two of them differently.
    #[error("there is more than one Authorization header")]
    Several,
    /// Not base64 of `id:secret`, each form-encoded.
    #[error("the Authorization header is not Basic with base64 of client_id:client_secret")]
    Malformed,
}

/// What a request shows of its client. A scheme other than Basic is no way to prove oneself here
/// and is passed over: some clients put a header of their own on every request.
pub(super) fn shown<'a>(
    headers: &HeaderMap,
    form: &'a Parameters,
) -> Result<ShownCredentials<'a>, InvalidAuthorization> {
    Ok(ShownCredentials {
        basic: basic(headers)?,
        client_id: form.get("client_id"),
        client_secret: form.get("client_secret"),
        assertion: form.get("client_assertion").map(|jwt| ShownAssertion {
            kind: form.get("client_assertion_type"),
            jwt: Secret(jwt),
        }),
    })
}

/// Who asks, for the log: ids are public, but what stands there may be something else.
pub(super) fn asker(shown: &ShownCredentials<'_>) -> Asker {
    const SECRETS: [&str; 6] = ["mpat1_", "mprt1_", "mpac1_", "mpdc1_", "mpcs1_", "mprg1_"];
    const MAX_CHARS: usize = 64;
    const MAX_URL_CHARS: usize = 256;
    let id = shown.basic.as_ref().map(|basic| basic.id.as_str());
    let fits = |id: &&str| {
        let longest = if DocumentUrl::is_meant_by(id) {
            MAX_URL_CHARS
        } else {
            MAX_CHARS
        };
        id.len() <= longest
            && id.bytes().all(|byte| byte.is_ascii_graphic())
            && !SECRETS.iter().any(|prefix| id.contains(prefix))
    };
    Asker {
        client: id.or(shown.client_id).filter(fits).map(str::to_owned),
    }
}

fn basic(headers: &HeaderMap) -> Result<Option<BasicCredentials>, InvalidAuthorization> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(InvalidAuthorization::Several);
    }
    let value = value.as_bytes();
    let Some(end) = value.iter().position(|byte| *byte == b' ') else {
        return Ok(None);
    };
    let (scheme, credentials) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Ok(None);
    }
    decode(credentials.trim_ascii())
        .map(Some)
        .ok_or(InvalidAuthorization::Malformed)
}

fn decode(credentials: &[u8]) -> Option<BasicCredentials> {
    let joined = String::from_utf8(BASE64.decode(credentials).ok()?).ok()?;
    let joined = SecretString::new(joined);
    let (id, secret) = joined.expose().split_once(':')?;
    Some(BasicCredentials {
        id: form_decode(id)?,
        secret: SecretString::new(form_decode(secret)?),
    })
}

/// Undoes `application/x-www-form-urlencoded` of one value.
fn form_decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}
