use proptest::prelude::*;

use super::*;

#[test]
fn durations_take_a_unit_or_are_seconds() {
    for (text, milliseconds) in [
        ("90s", 90_000),
        ("90", 90_000),
        ("15m", 900_000),
        ("2h", 7_200_000),
        ("14d", 1_209_600_000),
        ("250ms", 250),
        ("0", 0),
        ("5 m", 300_000),
    ] {
        assert_eq!(
            duration(text),
            Ok(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_duration_is_told_why() {
    for (text, reason) in [
        ("", "it does not begin with a whole number"),
        ("-1", "it does not begin with a whole number"),
        ("m", "it does not begin with a whole number"),
        ("1.5h", "`.5h` is no unit of time"),
        ("5 weeks", "`weeks` is no unit of time"),
        ("99999999999999999999", "the number is too large"),
        ("18446744073709551615d", "it is longer than 100 years"),
    ] {
        assert_eq!(duration(text), Err(reason.to_owned()), "{text}");
    }
}

#[test]
fn lives_are_neither_nothing_nor_too_long() {
    let day = Duration::from_secs(86_400);
    assert_eq!(life("1s", day), Ok(Duration::from_secs(1)));
    assert_eq!(life("1d", day), Ok(day));
    assert_eq!(life("0", day), Err("it is less than one second".to_owned()));
    assert_eq!(life("25h", day), Err("it is more than 1d".to_owned()));
}

#[test]
fn sizes_take_a_unit_or_are_bytes() {
    for (text, bytes) in [
        ("0", 0),
        ("512", 512),
        ("1 MiB", 1 << 20),
        ("512KiB", 512 << 10),
        ("64k", 64 << 10),
        ("2MB", 2_000_000),
        ("1gib", 1 << 30),
        ("7 B", 7),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in ["", "MiB", "1 mile", "2 GiB", "1.5M", "99999999999999999G"] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn networks_are_read_with_their_host_bits_cleared() {
    let read = |text| {
        let texts = networks(text)
            .map(|networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>());
        texts.map(|texts| texts.join(" "))
    };
    assert_eq!(
        read("10.1.2.3/8, 192.0.2.7"),
        Ok("10.0.0.0/8 192.0.2.7/32".to_owned())
    );
    assert_eq!(read("2001:db8::1/64"), Ok("2001:db8::/64".to_owned()));
    assert!(read("private").unwrap().contains("172.16.0.0/12"));
    assert_eq!(
        read("10/8"),
        Err("`10/8` is neither an address nor a network".to_owned())
    );
    assert_eq!(private_networks().len(), 8);
}

#[test]
fn origins_are_what_browsers_send() {
    for (text, expected) in [
        ("https://Example.com", "https://example.com"),
        ("https://example.com:443/", "https://example.com"),
        ("http://localhost:6274", "http://localhost:6274"),
        ("vscode-webview://abc", "vscode-webview://abc"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ] {
        assert_eq!(origin(text), Ok(expected.to_owned()), "{text}");
    }
    for text in [
        "*",
        "null",
        "example.com",
        "https://example.com/path",
        "https://u:p@example.com",
        "https://example.com?x",
        "data:text/html,x",
    ] {
        assert!(origin(text).is_err(), "{text}");
    }
}

#[test]
fn paths_have_one_spelling() {
    assert_eq!(path("/mcp/v1"), Ok("/mcp/v1".to_owned()));
    assert_eq!(path("/über"), Ok("/%C3%BCber".to_owned()));
    for text in [
        "",
        "mcp",
        "//mcp",
        "/a/../b",
        "/a/./b",
        "/%2e%2E/b",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a?b",
        "/a#b",
    ] {
        assert!(path(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn durations_are_read_back(milliseconds in 0..3_153_600_000_000_u64) {
        let meant = Duration::from_millis(milliseconds);
        prop_assert_eq!(duration(&show_duration(meant)), Ok(meant));
    }

    #[test]
    fn sizes_are_read_back(bytes in 0..=1_usize << 30) {
        prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        let _ = (duration(&text), size(&text), count(&text, 10), networks(&text));
        let _ = (origin(&text), path(&text), web_url(&text), scopes(&text), switch(&text));
    }

    #[test]
    fn numbers_with_any_unit_are_read_or_refused(text in "[0-9]{1,25} ?[a-zA-Z]{0,4}") {
        let _ = (duration(&text), size(&text));
    }
}
