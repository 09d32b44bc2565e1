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
        (&[b"Bearer a b".as_slice()], ""),
        (&[b"Bearer a\xff".as_slice()], ""),
    ] {
        let (status, challenge, has_body) = refused(values, query);
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let start = "Bearer realm=\"tests\", error=\"invalid_request\", error_description=\"";
        assert!(challenge.starts_with(start), "{challenge}");
        assert!(has_body);
    }
}

proptest! {
    /// RFC 6750 §3.1: nothing shown is told no error, anything else is told its own.
    #[test]
    fn each_header_is_read_or_told_its_error(
        values in prop::collection::vec("(Bearer|bearer|Basic|[!-~]{0,6})( [ -~]{0,12}| [a-z]{1,9})?", 0..3),
        query in "(access_token=[a-z]?)?",
    ) {
        let bytes: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
        let parameters = Parameters::parse(query.as_bytes()).unwrap();
        let headers = headers(&bytes);
        let named = |value: &str| value.trim().to_ascii_lowercase().starts_with("bearer");
        if let Ok(token) = REALM.token(&headers, &[&parameters]) {
            prop_assert_eq!((values.len(), query.as_str()), (1, ""));
            prop_assert!(named(&values[0]) && values[0].trim_end().ends_with(token));
            return Ok(());
        }
        let (status, challenge, has_body) = refused(&bytes, &query);
        let is_first = status == StatusCode::UNAUTHORIZED;
        prop_assert_eq!(has_body, !is_first);
        prop_assert_eq!(challenge == "Bearer realm=\"tests\"", is_first);
        if is_first {
            prop_assert!(values.len() <= 1);
        } else {
            prop_assert_eq!(status, StatusCode::BAD_REQUEST);
            prop_assert!(values.len() > 1 || named(&values[0]));
        }
    }
}
