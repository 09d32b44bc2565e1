use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn headers(values: &[&str]) -> HeaderMap {
    values
        .iter()
        .map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap()))
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

fn read(values: &[&str], query: Option<&str>) -> Result<Option<String>, InvalidCredentials> {
    bearer(&headers(values), query).map(|token| token.map(str::to_owned))
}

#[test]
fn the_scheme_is_read_in_any_case() {
    for text in ["Bearer abc", "bearer abc", "BEARER  abc", " bEaReR abc "] {
        assert_eq!(read(&[text], None), Ok(Some("abc".to_owned())), "{text}");
    }
}

#[test]
fn without_a_bearer_there_is_no_token() {
    assert_eq!(read(&[], None), Ok(None));
    assert_eq!(read(&["Basic YTpi"], None), Ok(None));
    assert_eq!(read(&["mpat1_abc"], None), Ok(None));
    assert_eq!(read(&[], Some("access_token=abc")), Ok(None));
}

#[test]
fn what_is_no_single_token_is_refused() {
    for text in ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b"] {
        assert_eq!(
            read(&[text], None),
            Err(InvalidCredentials::Malformed),
            "{text}"
        );
    }
}

#[test]
fn credentials_in_two_places_are_refused() {
    let twice = read(&["Bearer a", "Bearer a"], None);
    assert_eq!(twice, Err(InvalidCredentials::SeveralHeaders));
    for query in ["access_token=b", "x=1&access%5Ftoken=b", "access_token"] {
        let both = read(&["Bearer a"], Some(query));
        assert_eq!(both, Err(InvalidCredentials::QueryBesideHeader), "{query}");
    }
    assert!(read(&["Bearer a"], Some("my_access_token=b")).is_ok());
}

proptest! {
    /// One header, one token, and nothing in the query: only then is it let through, unchanged.
    #[test]
    fn what_is_let_through_was_shown_once(
        headers in prop::collection::vec("(Bearer|bearer|Basic|[a-z]{0,4})( [ -~]{0,12}| [a-z]{1,12})?", 0..3),
        query in "(x=[a-z]&)?(access_token|access%5Ftoken|other)=[a-z]?|",
    ) {
        let values: Vec<&str> = headers.iter().map(String::as_str).collect();
        let has_token = query.contains("access");
        match read(&values, Some(&query)) {
            Ok(Some(token)) => {
                prop_assert_eq!(values.len(), 1);
                prop_assert!(!has_token);
                prop_assert!(values[0].trim_end().ends_with(&token));
            }
            Ok(None) => prop_assert!(values.is_empty() || (values.len() == 1 && !has_token)),
            Err(InvalidCredentials::SeveralHeaders) => prop_assert!(values.len() > 1),
            Err(InvalidCredentials::QueryBesideHeader) => prop_assert!(has_token && values.len() == 1),
            Err(InvalidCredentials::Malformed) => {
                prop_assert!(values[0].to_ascii_lowercase().starts_with("bearer"));
            }
        }
    }

    /// Another scheme is no bearer, whatever bytes it carries.
    #[test]
    fn bytes_beyond_ascii_spoil_a_bearer_only(byte in 0x80_u8.., scheme in "Basic|Bearer") {
        let mut headers = HeaderMap::new();
        let value = [scheme.as_bytes(), b" a", &[byte]].concat();
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(&value).unwrap());
        let expected = if scheme == "Bearer" { Err(InvalidCredentials::Malformed) } else { Ok(None) };
        prop_assert_eq!(bearer(&headers, None), expected);
    }
}
