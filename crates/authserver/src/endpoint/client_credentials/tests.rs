use axum::http::HeaderValue;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

fn read(authorization: &str) -> Result<Option<BasicCredentials>, InvalidAuthorization> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(authorization).unwrap(),
    );
    basic(&headers)
}

fn basic_of(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

#[test]
fn id_and_secret_are_form_decoded() {
    let read = read(&basic_of("https%3A%2F%2Fa.example%2Fid:a+b%3Ac%25"))
        .unwrap()
        .unwrap();
    assert_eq!(read.id, "https://a.example/id");
    assert_eq!(read.secret.expose(), "a b:c%");
}

#[test]
fn the_scheme_has_no_case_and_padding_may_be_absent() {
    let padded = basic_of("abc:d");
    for header in [
        padded.replace("Basic", "bAsIc"),
        padded.trim_end_matches('=').to_owned(),
    ] {
        assert_eq!(read(&header).unwrap().unwrap().id, "abc", "{header}");
    }
}

#[test]
fn what_is_no_basic_is_passed_over_and_broken_basic_is_refused() {
    for header in ["Bearer abc", "Basic", "Digest username=a"] {
        assert!(read(header).unwrap().is_none(), "{header}");
    }
    for header in ["Basic !!!!", "Basic ", "Basic YWJj", "Basic /////w=="] {
        assert_eq!(
            read(header).unwrap_err(),
            InvalidAuthorization::Malformed,
            "{header}"
        );
    }
}

#[test]
fn two_headers_are_refused() {
    let mut headers = HeaderMap::new();
    headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
    headers.append(
        header::AUTHORIZATION,
        HeaderValue::from_static("Basic YTpi"),
    );
    assert_eq!(basic(&headers).unwrap_err(), InvalidAuthorization::Several);
}

#[test]
fn what_may_be_a_secret_is_not_named_in_the_log() {
    let long = "x".repeat(65);
    for (id, is_named) in [
        ("qHk2nZ8sT0aBcDeFgHiJkL", true),
        ("https://tool.example/client.json", true),
        ("mprt1_abc", false),
        ("mpcs1_abc", false),
        ("with space", false),
        (long.as_str(), false),
    ] {
        let form = Parameters::parse(b"").unwrap();
        let mut shown = shown(&HeaderMap::new(), &form).unwrap();
        shown.client_id = Some(id);
        assert_eq!(asker(&shown).client.is_some(), is_named, "{id}");
    }
}

proptest! {
    #[test]
    fn any_header_is_read_without_panic(text in "[ -~]{0,60}") {
        let _ = read(&text);
        let _ = read(&format!("Basic {text}"));
    }
}
