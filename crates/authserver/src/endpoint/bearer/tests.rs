use axum::{http::StatusCode, response::IntoResponse as _};
use proptest::prelude::*;

use super::*;

const REALM: BearerRealm = BearerRealm("tests");

fn headers(values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        let value = HeaderValue::from_bytes(value).unwrap();
        headers.append(header::AUTHORIZATION, value);
    }
    headers
}

/// Status, challenge, and whether there is a body.
fn refused(values: &[&[u8]], query: &str) -> (StatusCode, String, bool) {
    let query = Parameters::parse(query.as_bytes()).unwrap();
    let response = REALM
        .token(&headers(values), &[&query])
        .unwrap_err()
        .into_response();
    let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str();
    let has_body = response.headers().contains_key(header::CONTENT_TYPE);
    (response.status(), challenge.unwrap().to_owned(), has_body)
}

#[test]
fn the_token_is_taken_from_the_header_in_any_case_of_its_scheme() {
    let none = Parameters::parse(b"").unwrap();
    for header in ["Bearer a.b-c", "bearer a.b-c", "BEARER   a.b-c "] {
        let headers = headers(&[header.as_bytes()]);
        assert_eq!(REALM.token(&headers, &[&none]).unwrap(), "a.b-c");
    }
}

/// RFC 6750 §3.1: who shows nothing is told no error.
#[test]
fn who_shows_nothing_is_only_told_how() {
    for values in [
        &[][..],
        &[b"Basic YTpi".as_slice()],
        &[b"".as_slice()],
        &[b"Be\xffrer a"],
    ] {
        let expected = (
            StatusCode::UNAUTHORIZED,
            "Bearer realm=\"tests\"".to_owned(),
            false,
        );
        assert_eq!(refused(values, "access_token=a"), expected);
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for (values, query) in [
        (&[b"Bearer a".as_slice(), b"Bearer a"][..], ""),
        (&[b"Bearer a".as_slice()], "access_token=b"),
        (&[b"Bearer a".as_slice()], "access_token="),
        (&[b"Bearer".as_slice()], ""),
        (&[b"Bearer  ".as_slice()], ""),
    ] {
        let (status, challenge, has_body) = refused(values, query);
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let start = "Bearer realm=\"tests\", error=\"invalid_request\", error_description=\"";
        assert!(challenge.starts_with(start), "{challenge}");
        assert!(has_body);
    }
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused(value in "[ -~]{0,60}") {
        let none = Parameters::parse(b"").unwrap();
        let headers = headers(&[value.as_bytes()]);
        match REALM.token(&headers, &[&none]) {
            Ok(token) => prop_assert!(!token.is_empty() && value.contains(token)),
            Err(refusal) => {
                let response = refusal.into_response();
                prop_assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
            }
        }
    }
}
