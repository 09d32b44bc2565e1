//! `docs/reference/errors.md`, for developers of clients.

use std::fmt::Write as _;

use super::{ALL, Answer, Row, Section};

const INTRODUCTION: &str = "\
# Errors

<!-- Made from crates/testkit/src/bad_requests.rs and what is below it; after a change there:
     UPDATE_DOCS=1 cargo test -p testkit reference -->

What each bad request gets, for whoever writes or debugs a client. Tests send every request of this
page and compare status, code, text and headers.

- **Programs** get the error object of RFC 6749 §5.2: JSON with `error` and `error_description`, and
  `Cache-Control: no-store`. `error` is for code, the text for logs: it says what happened and why, it
  is printable ASCII, and it quotes nothing secret. It may be worded better in a later release; the
  code and the status stay.
- **People** get a page that says what happened and what to do, with a reference under which the
  operator finds the cause in the log. *Text* is then the page's heading.
- Authorization requests whose client and redirect URI fit are answered **at the redirect URI**.
- Each `401` has `WWW-Authenticate`; each `405` has `Allow`; each `429` and `503` has `Retry-After`.
- What was counted against a limit says how its asker stands, in `RateLimit` and `RateLimit-Policy`.
- `invalid_client` means: register anew. `invalid_grant` means: log in again. Nothing else is a reason
  to throw away a client id or a token.
- Endpoints for programs answer any `Origin`, errors included, so that browser clients can read them.

The paths are those without a prefix in `BASE_URL`; the metadata has them in full.
";

/// Longest line of prose.
const COLUMNS: usize = 100;

fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in ALL {
        write(&mut text, section);
    }
    text
}

fn write(text: &mut String, section: &Section) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "\n## {}\n", section.title);
    if !section.introduction.is_empty() {
        let _ = writeln!(text, "{}\n", wrapped(section.introduction));
    }
    text.push_str("| request | answer | text | what to do |\n| --- | --- | --- | --- |\n");
    for row in section.rows {
        let cells = [
            row.what.to_owned(),
            answer(row),
            told(row),
            row.cure.to_owned(),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn answer(row: &Row) -> String {
    match row.answer {
        Answer::Refused { status, error, .. } => format!("{status} `{error}`"),
        Answer::Asked(_) => "401 without a body".to_owned(),
        Answer::Page { status, .. } => format!("{status}, a page"),
        Answer::Redirected { error, .. } => format!("`{error}` at the redirect URI"),
    }
}

fn told(row: &Row) -> String {
    match row.answer {
        Answer::Refused { description, .. } | Answer::Redirected { description, .. } => {
            description.to_owned()
        }
        Answer::Asked(_) => String::new(),
        Answer::Page { heading, .. } => heading.replace("<bdi>", "").replace("</bdi>", ""),
    }
}

fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[test]
fn the_reference_is_that_of_the_rows() {
    if let Err(fault) = crate::document::hold("docs/reference/errors.md", &reference()) {
        panic!("{fault}");
    }
}

#[test]
fn every_row_says_what_to_do_and_stands_once() {
    let mut seen = std::collections::HashSet::new();
    for section in ALL {
        for row in section.rows {
            assert!(!row.cure.is_empty(), "{}: {}", section.title, row.what);
            assert!(
                seen.insert((section.title, row.what)),
                "{}: {}",
                section.title,
                row.what
            );
        }
    }
}
