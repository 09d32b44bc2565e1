use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Parameters {
    Parameters::parse(text.as_bytes()).unwrap()
}

#[test]
fn values_are_decoded_and_empty_ones_are_absent() {
    let parameters = parse("a=x+y%2Bz&b=&c&=d");
    assert_eq!(parameters.get("a"), Some("x y+z"));
    assert_eq!(parameters.get("b"), None);
    assert_eq!(parameters.get("c"), None);
    assert!(parameters.contains("c"));
    assert!(!parameters.contains("d"));
    assert_eq!(parameters.duplicate(), None);
}

#[test]
fn a_repeated_parameter_is_named_and_has_no_value() {
    for text in [
        "state=a&x=1&state=b",
        "state=a&state=a",
        "state=a&state",
        "st%61te=a&state=",
    ] {
        let parameters = parse(text);
        assert_eq!(
            parameters.duplicate(),
            Some(DuplicateParameter("state".into())),
            "{text}"
        );
        assert_eq!(parameters.get("state"), None, "{text}");
    }
}

#[test]
fn resource_alone_may_be_repeated() {
    let parameters = parse("resource=https://a.example/mcp&resource=&resource=https://b.example");
    assert_eq!(parameters.duplicate(), None);
    let resources: Vec<_> = parameters.resources().collect();
    assert_eq!(resources, ["https://a.example/mcp", "https://b.example"]);
}

#[test]
fn size_and_number_are_bounded() {
    let many = "a=1&".repeat(65);
    assert_eq!(
        Parameters::parse(many.as_bytes()).unwrap_err(),
        InvalidParameters::TooMany
    );
    let long = format!("a={}", "x".repeat(Parameters::MAX_BYTES));
    assert_eq!(
        Parameters::parse(long.as_bytes()).unwrap_err(),
        InvalidParameters::TooLong
    );
}

#[test]
fn neither_values_nor_odd_names_are_printed() {
    let parameters = parse("code=hidden&Secret1=x&Secret1=y");
    let printed = format!("{parameters:?} {}", parameters.duplicate().unwrap());
    assert!(printed.contains("code"));
    assert!(
        !printed.contains("hidden") && !printed.contains("Secret1"),
        "{printed}"
    );
}

/// The WHATWG rules, written a second time: bytes, `+`, `%XX`.
fn decoded(text: &[u8]) -> String {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let pair = digit(text.get(at + 1)).zip(digit(text.get(at + 2)));
        match (byte, pair) {
            (b'%', Some((high, low))) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_the_rules_say(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "([a-c&=+]|%[0-9a-fA-F]{2}|%[g-z]|%){0,60}".prop_map(String::into_bytes),
        ],
    ) {
        let expected: Vec<(String, String)> = bytes
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let mut halves = pair.splitn(2, |byte| *byte == b'=');
                (decoded(halves.next().unwrap()), decoded(halves.next().unwrap_or_default()))
            })
            .collect();
        if expected.len() > Parameters::MAX_COUNT {
            prop_assert_eq!(Parameters::parse(&bytes).unwrap_err(), InvalidParameters::TooMany);
            return Ok(());
        }
        let parameters = Parameters::parse(&bytes).unwrap();
        for (name, value) in &expected {
            let times = expected.iter().filter(|(other, _)| other == name).count();
            let is_there = times == 1 && !value.is_empty();
            prop_assert_eq!(parameters.get(name), is_there.then_some(value.as_str()));
            prop_assert_eq!(parameters.is_repeated(name), times > 1);
        }
        let has_twin = |(at, (name, _)): (usize, &(String, String))| {
            name != RESOURCE && expected[at + 1..].iter().any(|(other, _)| other == name)
        };
        prop_assert_eq!(parameters.duplicate().is_some(), expected.iter().enumerate().any(has_twin));
    }

    #[test]
    fn every_way_to_encode_a_value_reads_the_same(
        name in "[a-z_]{1,12}",
        value in ".{1,40}",
        choices in prop::collection::vec(0_u8..3, 1..30),
    ) {
        let mut choices = choices.iter().cycle();
        let encoded: String = value
            .bytes()
            .map(|byte| match (choices.next(), byte) {
                (Some(0), b' ') => "+".to_owned(),
                (Some(0), b'a'..=b'z' | b'0'..=b'9') => char::from(byte).to_string(),
                (Some(1), byte) => format!("%{byte:02x}"),
                (_, byte) => format!("%{byte:02X}"),
            })
            .collect();
        let parameters = parse(&format!("{name}={encoded}"));
        prop_assert_eq!(parameters.get(&name), Some(value.as_str()));
    }

    /// RFC 6749 §3.1: whichever parameter it is, and whatever its values are.
    #[test]
    fn whichever_parameter_stands_twice_it_is_named(
        name in "[a-z_]{1,12}",
        values in any::<(bool, bool)>(),
        others in prop::collection::hash_set("[A-Z]{1,3}", 0..6),
        at in any::<prop::sample::Index>(),
    ) {
        prop_assume!(name != RESOURCE);
        let value = |is_empty| if is_empty { "" } else { "v" };
        let mut pairs: Vec<String> = others.iter().map(|other| format!("{other}=1")).collect();
        pairs.insert(at.index(pairs.len() + 1), format!("{name}={}", value(values.0)));
        pairs.push(format!("{name}={}", value(values.1)));
        let parameters = parse(&pairs.join("&"));
        prop_assert_eq!(parameters.duplicate(), Some(DuplicateParameter(name.clone())));
        prop_assert_eq!(parameters.get(&name), None);
        let kept = parse(&parameters.encode_only(&[&name]));
        prop_assert_eq!(kept.duplicate(), Some(DuplicateParameter(name)));
    }

    #[test]
    fn what_is_kept_of_a_form_is_what_was_named(
        pairs in prop::collection::vec(("[a-c]", ".{1,10}"), 0..6),
        kept in "[a-c]",
    ) {
        let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let left = parse(&parse(&encoded).encode_only(&[&kept]));
        let expected: Vec<_> = pairs.iter().filter(|(name, _)| *name == kept).collect();
        prop_assert_eq!(left.0.len(), expected.len());
        for ((name, value), (left_name, left_value)) in expected.into_iter().zip(&left.0) {
            prop_assert_eq!((name, value.as_str()), (left_name, left_value.expose()));
        }
    }
}
