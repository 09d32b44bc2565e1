//! What the edge believes and refuses, before any answer is made.

use std::{convert::Infallible, io, net::IpAddr, time::Duration};

use bytes::Bytes;
use domain::{base_url::BaseUrl, random::Random};
use futures_util::stream;
use http::{HeaderMap, Request, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use proptest::prelude::*;

use super::{body::TimelyBody, context, scheme, strict};
use crate::config::TrustedProxies;

#[derive(Debug)]
struct Zeros;

impl Random for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                value.parse().expect("a header value"),
            )
        })
        .collect()
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn private_networks() -> TrustedProxies {
    TrustedProxies::Networks(
        ["127.0.0.0/8", "10.0.0.0/8", "::1/128"]
            .map(|network| network.parse().expect("a network"))
            .to_vec(),
    )
}

#[test]
fn forwarding_headers_of_a_stranger_are_not_believed() {
    let lines = headers(&[
        ("x-forwarded-for", "198.51.100.7"),
        ("x-forwarded-proto", "https"),
    ]);
    for trusted in [TrustedProxies::None, private_networks()] {
        let forwarded = context::Forwarded::read(&lines, address("203.0.113.9"), &trusted);
        assert_eq!(forwarded.address(), address("203.0.113.9"));
        assert!(!forwarded.is_https());
    }
}

#[test]
fn the_address_is_the_rightmost_that_no_trusted_proxy_has() {
    let cases = [
        ("198.51.100.7", "198.51.100.7"),
        // The leftmost is whatever the client wrote.
        ("192.0.2.66, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.0.0.3", "198.51.100.7"),
        ("198.51.100.7, nonsense, 10.0.0.3", "10.0.0.3"),
        ("[2001:db8::5]:443", "2001:db8::5"),
        ("nonsense", "10.0.0.1"),
    ];
    for (chain, expected) in cases {
        let lines = headers(&[("x-forwarded-for", chain)]);
        let forwarded = context::Forwarded::read(&lines, address("10.0.0.1"), &private_networks());
        assert_eq!(forwarded.address(), address(expected), "{chain}");
    }
}

#[test]
fn several_lines_of_a_chain_are_one_chain() {
    let mut lines = HeaderMap::new();
    lines.append("x-forwarded-for", "192.0.2.66".parse().expect("a value"));
    lines.append("x-forwarded-for", "198.51.100.7".parse().expect("a value"));
    let forwarded = context::Forwarded::read(&lines, address("127.0.0.1"), &private_networks());
    assert_eq!(forwarded.address(), address("198.51.100.7"));
}

#[test]
fn behind_a_router_the_last_hop_counts() {
    let lines = headers(&[
        ("x-forwarded-for", "192.0.2.66, 198.51.100.7"),
        ("x-forwarded-proto", "http, https"),
    ]);
    let forwarded =
        context::Forwarded::read(&lines, address("203.0.113.9"), &TrustedProxies::LastHop);
    assert_eq!(forwarded.address(), address("198.51.100.7"));
    assert!(forwarded.is_https());
}

#[test]
fn a_request_id_is_kept_only_from_a_trusted_router_and_if_harmless() {
    let kept = |id: &str, trusted: &TrustedProxies| {
        let lines = headers(&[("x-request-id", id)]);
        let forwarded = context::Forwarded::read(&lines, address("127.0.0.1"), trusted);
        context::request_id(&lines, &forwarded, &Zeros)
    };
    assert_eq!(&*kept("a-1_B", &private_networks()), "a-1_B");
    assert_eq!(&*kept("a-1_B", &TrustedProxies::None), "0000000000000000");
    assert_eq!(&*kept("a b", &private_networks()), "0000000000000000");
    assert_eq!(
        &*kept(&"a".repeat(65), &private_networks()),
        "0000000000000000"
    );
}

#[test]
fn ambiguous_requests_are_refused() {
    let check = |target: &str| strict::check(&Request::get(target).body(()).expect("a request"));
    for plain in [
        "/mcp",
        "/mcp/a%20b?x=..%2f",
        "/mcp/.well-known/x",
        "/a//b",
        "/...",
    ] {
        assert_eq!(check(plain), Ok(()), "{plain}");
    }
    for ambiguous in [
        "/a/../mcp",
        "/./mcp",
        "/mcp/%2e%2e/x",
        "/mcp%2Fx",
        "/mcp/%5Cx",
        "/a/..",
    ] {
        assert_eq!(
            check(ambiguous),
            Err(strict::Refusal::AmbiguousPath),
            "{ambiguous}"
        );
    }
    let long = format!("/mcp?{}", "a".repeat(17_000));
    assert_eq!(check(&long), Err(strict::Refusal::TargetTooLong));

    let twice = Request::get("/mcp")
        .header(header::AUTHORIZATION, "Bearer a")
        .header(header::AUTHORIZATION, "Bearer b")
        .body(())
        .expect("a request");
    assert_eq!(
        strict::check(&twice),
        Err(strict::Refusal::SeveralAuthorizations)
    );
}

#[test]
fn plain_http_is_redirected_unless_something_would_be_lost_or_leaked() {
    let base = BaseUrl::parse("https://proxy.example/prefix").expect("a base URL");
    let request = |method: &str, token: Option<&str>| {
        let mut builder = Request::builder().method(method).uri("/prefix/auth?a=b");
        if let Some(token) = token {
            builder = builder.header(header::AUTHORIZATION, token);
        }
        builder.body(()).expect("a request")
    };
    let redirected = scheme::to_https(&request("GET", None), &base);
    assert_eq!(redirected.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(
        redirected
            .headers()
            .get(header::LOCATION)
            .expect("a location"),
        "https://proxy.example/prefix/auth?a=b"
    );
    for refused in [request("POST", None), request("GET", Some("Bearer x"))] {
        let response = scheme::to_https(&refused, &base);
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.headers().get(header::LOCATION).is_none());
    }
}

/// Frames with a wait before each; without an end where `count` is none.
fn trickle(count: Option<usize>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
    let frames = stream::unfold(0, move |sent| async move {
        tokio::task::yield_now().await;
        let frame = Frame::data(Bytes::from_static(b"a"));
        (Some(sent) != count).then(|| (Ok(frame), sent + 1))
    });
    StreamBody::new(Box::pin(frames))
}

#[tokio::test]
async fn a_body_that_trickles_for_ever_is_cut() {
    let body = TimelyBody::new(trickle(None), Duration::from_millis(20));
    let cut = body.collect().await.expect_err("it is never complete");
    assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_body_in_time_is_whole() {
    let body = TimelyBody::new(trickle(Some(3)), Duration::from_secs(3600));
    let whole = body.collect().await.expect("it is in time").to_bytes();
    assert_eq!(whole, "aaa");
}

/// An address, as proxies write it.
fn any_hop() -> impl Strategy<Value = (IpAddr, String)> {
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 2]>().prop_map(|[a, b]| IpAddr::from([10, 0, a, b])),
        any::<[u16; 8]>().prop_map(|words| IpAddr::from(words).to_canonical()),
    ];
    (address, 0_u8..4).prop_map(|(address, form)| {
        let text = match (form, address) {
            (1, _) => std::net::SocketAddr::new(address, 443).to_string(),
            (2, IpAddr::V6(_)) => format!("[{address}]"),
            (3, _) => format!("\"{address}\""),
            _ => address.to_string(),
        };
        (address, text)
    })
}

proptest! {
    /// From the right, past everybody who is trusted, to the first who is not: nothing that stands
    /// further left is believed, however the chain is split into lines.
    #[test]
    fn no_made_up_hop_is_believed(
        hops in prop::collection::vec(any_hop(), 0..5),
        made_up in "[ -+--~]{0,20}",
        splits in prop::collection::vec(any::<bool>(), 5),
    ) {
        let peer = address("10.0.0.1");
        let is_ours = |hop: &IpAddr| {
            matches!(hop, IpAddr::V4(hop) if matches!(hop.octets(), [10 | 127, ..]))
                || *hop == address("::1")
        };
        let expected = hops
            .iter()
            .rev()
            .map(|(hop, _)| *hop)
            .find(|hop| !is_ours(hop));
        // What a client wrote stands in front.
        let mut lines = HeaderMap::new();
        let mut line = String::new();
        for (text, is_split) in hops.iter().map(|(_, text)| text).zip(&splits) {
            if !line.is_empty() && *is_split {
                lines.append("x-forwarded-for", line.parse().unwrap());
                line.clear();
            }
            line = if line.is_empty() { text.clone() } else { format!("{line}, {text}") };
        }
        if !line.is_empty() {
            lines.append("x-forwarded-for", line.parse().unwrap());
        }
        let read = |lines: &HeaderMap| {
            context::Forwarded::read(lines, peer, &private_networks()).address()
        };
        let leftmost = hops.first().map_or(peer, |(hop, _)| *hop);
        prop_assert_eq!(read(&lines), expected.unwrap_or(leftmost));
        if let Some(expected) = expected {
            let mut forged = HeaderMap::new();
            forged.append("x-forwarded-for", made_up.parse().unwrap());
            for line in lines.get_all("x-forwarded-for") {
                forged.append("x-forwarded-for", line.clone());
            }
            prop_assert_eq!(read(&forged), expected);
        }
    }

    #[test]
    fn an_id_is_kept_if_it_can_stand_anywhere(id in "[A-Za-z0-9_-]{0,70}|[ -~]{1,20}") {
        let lines = headers(&[("x-request-id", &id)]);
        let forwarded = context::Forwarded::read(&lines, address("127.0.0.1"), &private_networks());
        let kept = context::request_id(&lines, &forwarded, &Zeros);
        let is_harmless = (1..=64).contains(&id.len())
            && id.chars().all(|it| it.is_ascii_alphanumeric() || it == '-' || it == '_');
        prop_assert_eq!(&*kept, if is_harmless { id.as_str() } else { "0000000000000000" });
    }
}
