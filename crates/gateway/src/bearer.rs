//! Reading the bearer of a request (RFC 6750 §2.1).

use http::{HeaderMap, header::AUTHORIZATION};
use url::form_urlencoded;

/// Why the credentials of a request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidCredentials {
    /// More than one `Authorization` header: readers would differ in which one counts.
    SeveralHeaders,
    /// `access_token` in the query beside a header (RFC 6750 §2: one method only).
    QueryBesideHeader,
    /// A bearer that cannot be one of ours.
    Malformed,
}

/// The bearer, as it was shown; `None` where there is none. Another scheme is none; a token in
/// the query is none either, since URLs end up in logs.
pub(crate) fn bearer<'a>(
    headers: &'a HeaderMap,
    query: Option<&str>,
) -> Result<Option<&'a str>, InvalidCredentials> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(InvalidCredentials::SeveralHeaders);
    }
    if query.is_some_and(has_access_token) {
        return Err(InvalidCredentials::QueryBesideHeader);
    }
    domain::bearer::token(value.as_bytes())
        .map_err(|domain::bearer::MalformedBearer| InvalidCredentials::Malformed)
}

fn has_access_token(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
}

#[cfg(test)]
mod tests;
