use domain::random::Random;

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
