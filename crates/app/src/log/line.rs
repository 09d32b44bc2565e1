//! An event as one line.

use std::fmt::Write as _;

use super::fields::{Fields, MESSAGE, REQUEST_ID, Value};
use crate::config::LogConfig;

/// What each line begins with.
pub(super) struct Head<'a> {
    pub(super) timestamp: String,
    pub(super) config: &'a LogConfig,
    pub(super) level: &'static str,
}

/// The line as `key=value` pairs, its end included.
pub(super) fn text(head: &Head<'_>, fields: &Fields) -> String {
    let mut line = head.timestamp.clone();
    let mut put = |name: &str, value: &str| {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        push_text(&mut line, value);
    };
    put("app", &head.config.app_name);
    put("environment", &head.config.environment);
    put("proxy", "true");
    put("level", head.level);
    for (name, value) in ordered(fields) {
        put(name, &value.to_string());
    }
    line.push('\n');
    line
}

/// The line as a JSON object, its end included.
pub(super) fn json(head: &Head<'_>, fields: &Fields) -> String {
    let mut line = String::from("{\"timestamp\":");
    push_json(&mut line, &head.timestamp);
    for (name, value) in [
        ("app", head.config.app_name.as_str()),
        ("environment", head.config.environment.as_str()),
    ] {
        push_name(&mut line, name);
        push_json(&mut line, value);
    }
    push_name(&mut line, "proxy");
    line.push_str("true");
    push_name(&mut line, "level");
    push_json(&mut line, head.level);
    for (name, value) in ordered(fields) {
        push_name(&mut line, name);
        match value {
            Value::Signed(_) | Value::Unsigned(_) | Value::Bool(_) => {
                line.push_str(&value.to_string());
            }
            Value::Float(number) if number.is_finite() => line.push_str(&number.to_string()),
            Value::Text(_) | Value::Float(_) => push_json(&mut line, &value.to_string()),
        }
    }
    line.push_str("}\n");
    line
}

/// Message and request first, where operators' eyes are.
fn ordered(fields: &Fields) -> impl Iterator<Item = (&'static str, &Value)> {
    let first = [MESSAGE, REQUEST_ID];
    let leading = first
        .into_iter()
        .filter_map(|name| Some((name, fields.value(name)?)));
    let others = fields.iter().filter(move |(name, _)| !first.contains(name));
    leading.chain(others)
}

fn push_text(line: &mut String, value: &str) {
    let is_plain = |character: char| {
        !character.is_whitespace() && !needs_escape(character) && !matches!(character, '"' | '=')
    };
    if !value.is_empty() && value.chars().all(is_plain) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' | '\n' | '\r' | '\t' => line.extend(character.escape_default()),
            _ if needs_escape(character) => line.extend(character.escape_unicode()),
            _ => line.push(character),
        }
    }
    line.push('"');
}

fn push_name(line: &mut String, name: &str) {
    line.push(',');
    push_json(line, name);
    line.push(':');
}

fn push_json(line: &mut String, value: &str) {
    line.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // All of these lie in the basic plane; writing to a text cannot fail.
            _ if needs_escape(character) => {
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            }
            _ => line.push(character),
        }
    }
    line.push('"');
}

/// What ends lines, moves cursors or turns the direction of writing, and so could make a line look
/// like another.
fn needs_escape(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}
