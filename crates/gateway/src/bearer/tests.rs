use http::HeaderValue;

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
