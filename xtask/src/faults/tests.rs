use super::*;

fn parse(words: &[&str]) -> Result<Size> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    Size::parse(&words)
}

#[test]
fn size_and_filters_are_read_in_any_order() {
    let size = parse(&["a_kill", "--seconds", "30", "--sessions", "50"]).unwrap();
    assert_eq!((size.sessions, size.seconds), (50, 30));
    assert_eq!(size.filters, ["faults::a_kill"]);
    let size = parse(&[]).unwrap();
    assert_eq!((size.sessions, size.seconds), (200, 60));
    assert_eq!(size.filters, ["faults::"]);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    for words in [&["--sessions"][..], &["--seconds", "0"], &["--fast"]] {
        assert!(parse(words).is_err(), "{words:?}");
    }
}
