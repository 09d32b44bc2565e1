//! The one cookie: a random browser id, made at the first page, and what it says of a request.

#[cfg(test)]
mod tests;

use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use domain::base_url::BaseUrl;
use http::{HeaderMap, HeaderValue, header};

use crate::flow::browser::BrowserId;

/// Whether a request was sent by a page of ours: cookies alone do not say so.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The cookie's name. On https the prefix keeps other hosts and plain http from setting it (RFC
/// 6265bis §4.1.3.2). On loopback http the name tells proxies on other ports apart, since cookies
/// ignore ports.
fn name(base: &BaseUrl) -> String {
    if base.is_plain_http() {
        let hash = store::seal::sha256(base.issuer().as_bytes());
        let hash = hash
            .iter()
            .take(6)
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        format!("mcp-auth-browser-{hash}")
    } else {
        "__Host-mcp-auth-browser".to_owned()
    }
}

/// The browser that a request comes from, if it has been here before.
pub(crate) fn read(headers: &HeaderMap, base: &BaseUrl) -> Option<BrowserId> {
    let jar = CookieJar::from_headers(headers);
    BrowserId::parse(jar.get(&name(base))?.value())
}

/// Gives a browser its id, for as long as it stays open.
pub(crate) fn issue(browser: &BrowserId, base: &BaseUrl) -> Option<HeaderValue> {
    let cookie = Cookie::build((name(base), browser.expose()))
        .path("/")
        .http_only(true)
        // Not `Strict`: the person comes back from another site.
        .same_site(SameSite::Lax)
        .secure(!base.is_plain_http());
    let mut value = HeaderValue::from_str(&cookie.to_string()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes a browser's id away.
pub(crate) fn clear(base: &BaseUrl) -> Option<HeaderValue> {
    let cookie = Cookie::build((name(base), ""))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(!base.is_plain_http())
        .removal();
    HeaderValue::from_str(&cookie.to_string()).ok()
}

/// Whether the request was sent by a page of ours, as the browser says: `Origin` is ours, or it is
/// absent and `Sec-Fetch-Site` says `same-origin`.
pub(crate) fn is_sent_by_us(headers: &HeaderMap, base: &BaseUrl) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => origin.as_bytes() == base.origin().as_bytes(),
        (Some(_), Some(_)) => false,
        (None, _) => headers
            .get(SEC_FETCH_SITE)
            .is_some_and(|site| site.as_bytes() == b"same-origin"),
    }
}
