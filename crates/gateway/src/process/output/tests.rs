use proptest::prelude::*;

use super::{LONGEST_LINE, LineCutter};

fn lines_of<'chunk>(chunks: impl IntoIterator<Item = &'chunk [u8]>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut cutter = LineCutter::default();
    for chunk in chunks {
        cutter.push(chunk, &mut |line| lines.push(line.to_owned()));
    }
    cutter.finish(&mut |line| lines.push(line.to_owned()));
    lines
}

#[test]
fn a_line_may_come_in_pieces_and_several_lines_at_once() {
    let lines = lines_of([&b"fir"[..], b"st\r\nsecond\n\nthi", b"rd"]);
    assert_eq!(lines, ["first", "second", "third"]);
}

#[test]
fn what_is_not_utf_8_is_kept_as_far_as_possible() {
    assert_eq!(lines_of([&b"caf\xc3\xa9 \xff!\n"[..]]), ["café \u{fffd}!"]);
}

#[test]
fn a_long_line_is_cut_between_characters() {
    let text = "€".repeat(LONGEST_LINE);
    let lines = lines_of([text.as_bytes()]);
    assert!(lines.len() > 1);
    assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE));
    assert_eq!(lines.concat(), text);
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_how_the_bytes_arrive(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..400),
        size in 1_usize..200,
    ) {
        prop_assert_eq!(lines_of([bytes.as_slice()]), lines_of(bytes.chunks(size)));
    }

    #[test]
    fn no_event_is_longer_than_the_bound_and_text_is_whole(
        text in "[a-zé€😀]{0,40}",
        times in 1_usize..2_000,
        size in 1_usize..9_000,
    ) {
        let text = text.repeat(times);
        let lines = lines_of(text.as_bytes().chunks(size));
        prop_assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE));
        prop_assert_eq!(lines.concat(), text);
    }
}
