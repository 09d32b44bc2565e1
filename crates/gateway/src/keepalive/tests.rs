use proptest::prelude::*;

use super::*;

/// Follows every byte, without the short cut over long chunks.
fn follow_slowly(boundary: &mut EventBoundary, bytes: &[u8]) {
    for byte in bytes {
        boundary.step(*byte);
    }
}

fn is_between_after(chunks: &[&str]) -> bool {
    let mut boundary = EventBoundary::new();
    for chunk in chunks {
        boundary.follow(chunk.as_bytes());
    }
    boundary.is_between()
}

/// The events of a stream as a client sees them: data and type of each (HTML Standard §9.2.6).
fn events(stream: &str) -> Vec<(String, String)> {
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut data, mut kind) = (Vec::new(), String::new(), String::new());
    let mut lines: Vec<&str> = stream.split('\n').collect();
    // What follows the last line end is no line yet.
    lines.pop();
    for line in lines {
        if line.is_empty() {
            if !data.is_empty() {
                events.push((std::mem::take(&mut data), kind.clone()));
            }
            kind.clear();
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push_str(value);
            data.push('\n');
        } else if let Some(value) = line.strip_prefix("event:") {
            value.clone_into(&mut kind);
        }
    }
    events
}

#[test]
fn a_boundary_is_the_beginning_or_behind_an_empty_line() {
    assert!(is_between_after(&[]));
    for chunks in [
        &["data: 1\n\n"][..],
        &["data: 1\r\n\r\n"],
        &["data: 1\r\r"],
        &["data: 1\r\n\r", "\n"],
        &["data: 1\r", "\n\r", "\n"],
        &["data: 1", "\n", "\n"],
        &["\n"],
        &["data: 1\n\n", ": ping\n\n"],
    ] {
        assert!(is_between_after(chunks), "{chunks:?}");
    }
    for chunks in [
        &["data: 1\n"][..],
        &["data: 1\r\n"],
        &["data: 1\r", "\n"],
        &["data: 1\n\nd"],
        &["data: 1\n\n", "data: 2\n"],
        &["id: 7"],
    ] {
        assert!(!is_between_after(chunks), "{chunks:?}");
    }
}

proptest! {
    #[test]
    fn the_short_cut_over_long_chunks_sees_the_same(
        chunks in proptest::collection::vec("(a|\r|\n|\r\n){0,9}", 0..6),
    ) {
        let (mut fast, mut slow) = (EventBoundary::new(), EventBoundary::new());
        for chunk in &chunks {
            fast.follow(chunk.as_bytes());
            follow_slowly(&mut slow, chunk.as_bytes());
            prop_assert_eq!(fast, slow);
        }
    }

    #[test]
    fn comments_at_boundaries_change_no_event(
        chunks in proptest::collection::vec("(data:[ab]|event:[ab]|:c|[a:]|\r|\n|\r\n){0,5}", 0..8),
    ) {
        let comment = COMMENT;
        let comment = std::str::from_utf8(&comment).unwrap();
        let mut boundary = EventBoundary::new();
        let mut with_comments = String::from(comment);
        for chunk in &chunks {
            with_comments.push_str(chunk);
            boundary.follow(chunk.as_bytes());
            if boundary.is_between() {
                with_comments.push_str(comment);
            }
        }
        prop_assert_eq!(events(&with_comments), events(&chunks.concat()));
    }
}
