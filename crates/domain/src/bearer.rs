//! The bearer in an `Authorization` header (RFC 6750 §2.1).

#[cfg(test)]
mod tests;

/// A header that names the scheme, but holds no single token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Authorization header must hold one bearer token of visible ASCII characters")]
pub struct MalformedBearer;

/// The token in a header's value, as it was shown; `None` if the scheme is another one. The scheme
/// is read in any case (RFC 9110 §11.1). What stands in the token is the business of whoever made
/// it, but a space or comma would make it two, and nothing outside of visible ASCII is ever one.
///
/// # Errors
/// If the scheme is `Bearer` and what follows is no single token.
pub fn token(value: &[u8]) -> Result<Option<&str>, MalformedBearer> {
    let value = value.trim_ascii();
    let end = value.iter().position(u8::is_ascii_whitespace);
    let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(None);
    }
    let token = rest.trim_ascii();
    let fits = |byte: &u8| byte.is_ascii_graphic() && *byte != b',';
    if token.is_empty() || !token.iter().all(fits) {
        return Err(MalformedBearer);
    }
    std::str::from_utf8(token)
        .map(Some)
        .map_err(|_| MalformedBearer)
}
