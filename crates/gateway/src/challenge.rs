//! `WWW-Authenticate`: made for our 401 and 403, read from the MCP server's 403.

use std::{borrow::Cow, fmt::Write as _};

use domain::scope::{Scope, ScopeSet};
use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};

/// What a challenge says is wrong (RFC 6750 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChallengeError {
    /// `invalid_token` or `insufficient_scope`.
    pub(crate) code: &'static str,
    /// What happened and what to do, for whoever reads the client's log.
    pub(crate) description: Cow<'static, str>,
}

/// The challenge with which a client begins (RFC 9728 §5.1): where the metadata is, which scopes
/// to ask for, and what was wrong, if anything was shown.
pub(crate) fn challenge(
    resource_metadata: &str,
    scopes: &ScopeSet,
    error: Option<&ChallengeError>,
) -> HeaderValue {
    let mut text = format!("Bearer resource_metadata=\"{resource_metadata}\"");
    // Writing to a string does not fail.
    if !scopes.is_empty() {
        let _ = write!(text, ", scope=\"{scopes}\"");
    }
    if let Some(error) = error {
        let description = quotable(&error.description);
        let _ = write!(
            text,
            ", error=\"{}\", error_description=\"{description}\"",
            error.code
        );
    }
    // Only a metadata URL that is no URL could make it fail; the bare scheme still says what to do.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// The scopes that the MCP server says a call needs, if its answer is a challenge for scope
/// (RFC 6750 §3.1 `insufficient_scope`).
pub(crate) fn required_scopes(headers: &HeaderMap) -> Option<ScopeSet> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(scopes_of_challenge)
}

/// The scopes of both, without `offline_access`, which is a matter between client and
/// authorization server.
pub(crate) fn union(held: &ScopeSet, required: &ScopeSet) -> ScopeSet {
    held.iter()
        .chain(required.iter())
        .filter(|scope| scope.as_str() != "offline_access")
        .cloned()
        .collect()
}

fn scopes_of_challenge(text: &str) -> Option<ScopeSet> {
    let mut is_bearer = false;
    let mut is_insufficient = false;
    let mut scopes = ScopeSet::default();
    for item in list_items(text) {
        let (scheme, parameter) = split_scheme(item);
        if let Some(scheme) = scheme {
            if is_bearer && is_insufficient {
                break;
            }
            is_bearer = scheme.eq_ignore_ascii_case("bearer");
            scopes = ScopeSet::default();
        }
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        if !is_bearer {
            continue;
        }
        let (name, value) = (name.trim(), unquoted(value.trim()));
        if name.eq_ignore_ascii_case("error") {
            is_insufficient = value == "insufficient_scope";
        } else if name.eq_ignore_ascii_case("scope") {
            scopes = value
                .split(' ')
                .filter_map(|word| Scope::parse(word).ok())
                .collect();
        }
    }
    (is_bearer && is_insufficient).then_some(scopes)
}

/// Splits a header's list at its commas, but not inside quoted strings.
fn list_items(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    })
    .map(str::trim)
}

/// A scheme in front of an item's parameter, if there is one.
fn split_scheme(item: &str) -> (Option<&str>, &str) {
    match item.split_once(' ') {
        Some((scheme, rest)) if !scheme.contains('=') && !rest.trim_start().starts_with('=') => {
            (Some(scheme), rest.trim_start())
        }
        None if !item.is_empty() && !item.contains('=') => (Some(item), ""),
        _ => (None, item),
    }
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value
        .strip_prefix('"')
        .map(|rest| rest.strip_suffix('"').unwrap_or(rest))
    else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

/// Characters that RFC 6750 §3 does not allow in a description are replaced.
fn quotable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '"' | '\\' => '\'',
            '\x20'..='\x7e' => character,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests;
