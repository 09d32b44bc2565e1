//! Words of others, made fit for our log and our error texts.

#[cfg(test)]
mod tests;

/// The longest description that is quoted, in characters.
const MAX_DESCRIPTION: usize = 240;
/// The longest error code that is quoted, in characters.
const MAX_CODE: usize = 64;
/// A run of token characters this long may be a secret that was echoed.
const OPAQUE: usize = 32;

const REDACTED: &str = "[redacted]";

/// A provider's `error` and `error_description`, sanitized, bounded, and without what may be a
/// secret: some providers echo the code or token that they refuse.
pub(crate) fn quote(code: &str, description: Option<&str>, secrets: &[&str]) -> String {
    let code = plain(&scrub(&without(code, secrets)), MAX_CODE);
    match description {
        Some(description) if !description.trim().is_empty() => {
            let description = plain(&scrub(&without(description, secrets)), MAX_DESCRIPTION);
            format!("{code} ({description})")
        }
        _ => code,
    }
}

/// Text in one line of at most `limit` characters: control characters become spaces.
pub(crate) fn plain(text: &str, limit: usize) -> String {
    let mut out: String = text
        .chars()
        .take(limit)
        .map(|character| match character {
            // Line and paragraph separators, and marks that reorder text on a terminal.
            '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
            character if character.is_control() => ' ',
            character => character,
        })
        .collect();
    if text.chars().nth(limit).is_some() {
        out.push('…');
    }
    out.trim().to_owned()
}

fn without(text: &str, secrets: &[&str]) -> String {
    secrets
        .iter()
        .filter(|secret| secret.len() >= 4)
        .fold(text.to_owned(), |text, secret| {
            text.replace(secret, REDACTED)
        })
}

/// Takes out long opaque words. Those in the form of a UUID stay: they are the trace ids by which
/// the provider's support finds the case.
fn scrub(text: &str) -> String {
    let is_opaque = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '~' | '+' | '=')
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|character| !is_opaque(character));
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        let is_secret = word.len() >= OPAQUE && !is_uuid(word.trim_end_matches('.'));
        out.push_str(if is_secret { REDACTED } else { word });
        let next = after.find(is_opaque).unwrap_or(after.len());
        let (between, following) = after.split_at(next);
        out.push_str(between);
        rest = following;
    }
    out
}

fn is_uuid(word: &str) -> bool {
    let groups: Vec<usize> = word.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12]
        && word
            .chars()
            .all(|character| character == '-' || character.is_ascii_hexdigit())
}
