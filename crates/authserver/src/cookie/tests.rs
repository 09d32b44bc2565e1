use domain::random::Random;
use proptest::prelude::*;

use super::*;

#[derive(Debug)]
struct Sevens;

impl Random for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

fn base(url: &str) -> BaseUrl {
    BaseUrl::parse(url).unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

#[test]
fn on_https_the_cookie_is_bound_to_the_host() {
    let base = base("https://mcp.example.com/prefix");
    let cookie = issue(&BrowserId::random(&Sevens), &base).unwrap();
    let text = cookie.to_str().unwrap();
    assert!(text.starts_with("__Host-mcp-auth-browser=BwcH"), "{text}");
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(text.split("; ").any(|part| part == attribute), "{text}");
    }
    assert!(!text.contains("Domain") && !text.contains("Max-Age"));
    assert!(cookie.is_sensitive());
}

#[test]
fn proxies_on_two_loopback_ports_do_not_share_it() {
    let (one, two) = (base("http://localhost:3001"), base("http://localhost:3002"));
    assert_ne!(name(&one), name(&two));
    let text = issue(&BrowserId::random(&Sevens), &one).unwrap();
    assert!(!text.to_str().unwrap().contains("Secure"));
}

#[test]
fn it_is_read_back_and_junk_is_nobody() {
    let base = base("https://mcp.example.com");
    let browser = BrowserId::random(&Sevens);
    let value = browser.expose();
    let sent = format!("theme=dark; __Host-mcp-auth-browser={value}");
    assert_eq!(read(&headers(&[("cookie", &sent)]), &base), Some(browser));
    for junk in ["", "short", &"A".repeat(44), &"!".repeat(43)] {
        let sent = format!("__Host-mcp-auth-browser={junk}");
        assert_eq!(read(&headers(&[("cookie", &sent)]), &base), None);
    }
    assert_eq!(read(&HeaderMap::new(), &base), None);
}

#[test]
fn only_pages_of_ours_may_post() {
    let base = base("https://mcp.example.com");
    let sent_by_us = |pairs: &[(&'static str, &str)]| is_sent_by_us(&headers(pairs), &base);
    assert!(sent_by_us(&[("origin", "https://mcp.example.com")]));
    assert!(sent_by_us(&[("sec-fetch-site", "same-origin")]));
    assert!(!sent_by_us(&[]));
    assert!(!sent_by_us(&[("origin", "null")]));
    assert!(!sent_by_us(&[("origin", "https://evil.example")]));
    assert!(!sent_by_us(&[("origin", "http://mcp.example.com")]));
    assert!(!sent_by_us(&[("sec-fetch-site", "same-site")]));
    assert!(!sent_by_us(&[("sec-fetch-site", "none")]));
    assert!(!sent_by_us(&[
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "same-origin")
    ]));
}

proptest! {
    /// A browser is who it was given to be: one spelling, in a cookie of exactly our name.
    #[test]
    fn no_other_cookie_names_a_browser(
        name in "(__Host-)?mcp-auth-browser[a-z-]{0,3}|[a-z]{1,8}",
        value in "[A-Za-z0-9_-]{43}|[!#-+./:<-~-]{0,50}",
        others in "([a-z]{1,4}=[a-z]{0,4}; ){0,3}",
    ) {
        let base = base("https://mcp.example.com");
        let sent = format!("{others}{name}={value}");
        let expected = (name == "__Host-mcp-auth-browser").then(|| BrowserId::parse(&value)).flatten();
        prop_assert_eq!(read(&headers(&[("cookie", &sent)]), &base), expected);
    }

    #[test]
    fn no_other_origin_is_ours(origin in "https://mcp\\.example\\.com[ -~]{1,6}|[ -~]{0,30}") {
        let base = base("https://mcp.example.com");
        let is_ours = is_sent_by_us(&headers(&[("origin", &origin), ("sec-fetch-site", "same-origin")]), &base);
        prop_assert_eq!(is_ours, origin == "https://mcp.example.com");
    }
}
