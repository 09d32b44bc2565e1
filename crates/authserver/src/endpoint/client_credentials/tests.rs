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

/// A header as any client may write it: which characters are encoded, and in which case, is free.
fn encoded(text: &str, upper: &[bool]) -> String {
    let mut choices = upper.iter().copied().cycle();
    text.bytes()
        .map(|byte| match (byte, choices.next().unwrap_or_default()) {
            (b' ', true) => "+".to_owned(),
            (b'a'..=b'z' | b'0'..=b'9', true) => char::from(byte).to_string(),
            (byte, true) => format!("%{byte:02X}"),
            (byte, false) => format!("%{byte:02x}"),
        })
        .collect()
}

proptest! {
    /// RFC 6749 §2.3.1: every encoding of the same id and secret reads the same.
    #[test]
    fn id_and_secret_are_read_however_they_are_encoded(
        id in ".{1,20}",
        secret in ".{0,20}",
        upper in prop::collection::vec(any::<bool>(), 1..20),
        scheme in "[bB][aA][sS][iI][cC]",
        is_padded: bool,
    ) {
        let joined = format!("{}:{}", encoded(&id, &upper), encoded(&secret, &upper));
        let mut credentials = STANDARD.encode(joined);
        if !is_padded {
            credentials = credentials.trim_end_matches('=').to_owned();
        }
        let read = read(&format!("{scheme} {credentials}")).unwrap().unwrap();
        prop_assert_eq!(read.id, id);
        prop_assert_eq!(read.secret.expose(), secret);
    }

    #[test]
    fn what_is_not_base64_of_two_texts_is_malformed(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        at in any::<prop::sample::Index>(),
        odd in prop_oneof![Just(b'-'), Just(b'_'), Just(b'%'), 0x80_u8..],
    ) {
        let is_two = std::str::from_utf8(&bytes).is_ok_and(|text| text.contains(':'));
        let good = STANDARD.encode(&bytes);
        // Percent signs may stand for bytes that are no text.
        if !is_two {
            prop_assert_eq!(read(&format!("Basic {good}")).unwrap_err(), InvalidAuthorization::Malformed);
        }
        let mut spoiled = [b"Basic ", good.as_bytes()].concat();
        spoiled.insert(6 + at.index(good.len() + 1), odd);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(&spoiled).unwrap());
        prop_assert_eq!(basic(&headers).unwrap_err(), InvalidAuthorization::Malformed);
    }

    #[test]
    fn another_scheme_is_passed_over(scheme in "[!-~]{0,10}", rest in "[ -~]{0,30}") {
        prop_assume!(!scheme.eq_ignore_ascii_case("basic"));
        let header = format!("{scheme} {rest}");
        prop_assert!(read(&header).unwrap().is_none());
    }

    /// Whatever stands where an id should, no secret of ours gets into the log.
    #[test]
    fn no_secret_is_named_in_the_log(
        id in ".{0,70}|https://[a-z.]{1,20}/mp(at|rt|ac|dc|cs|rg)1_[a-z]{1,20}|.{0,9}mp(at|rt|ac|dc|cs|rg)1_.{0,20}",
    ) {
        let form = Parameters::parse(b"").unwrap();
        let mut shown = shown(&HeaderMap::new(), &form).unwrap();
        shown.client_id = Some(&id);
        if let Some(named) = asker(&shown).client {
            prop_assert!(named.bytes().all(|byte| byte.is_ascii_graphic()));
            for prefix in ["mpat1_", "mprt1_", "mpac1_", "mpdc1_", "mpcs1_", "mprg1_"] {
                prop_assert!(!named.contains(prefix));
            }
        }
    }
}
