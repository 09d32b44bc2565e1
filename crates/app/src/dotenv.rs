//! Reads `.env` files in the dialect of dotenvx: unquoted values with spaces, `#` comments, quotes
//! over lines, an `export` before the name, `${NAME}` and `${NAME:-default}`.
//!
//! An assignment stands on one line up to its value; dotenvx also takes `NAME` and `=value` on two.
//!
//! Two things that dotenvx does are refused instead of done: encrypted values are not decrypted,
//! and `$(command)` is not run. Passing either on as text would start the proxy with nonsense.

use std::{collections::BTreeMap, ops::Range};

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Names and values in order; of several with one name the last counts.
    pub(crate) variables: Vec<(String, String)>,
    /// What stops the start.
    pub(crate) faults: Vec<DotenvFault>,
    /// Lines (from 1) that are neither assignment, comment nor empty; dotenvx skips them.
    pub(crate) skipped: Vec<usize>,
}

/// A value that cannot be used. Never quotes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DotenvFault {
    /// The variable.
    pub(crate) name: String,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) kind: DotenvFaultKind,
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DotenvFaultKind {
    /// It is encrypted by dotenvx.
    Encrypted,
    /// It holds `$(command)`.
    Command,
    /// Its references never come to an end, or to one beyond reason.
    Endless,
}

/// Replacements in one value, and bytes it may grow to: references can name each other in a circle.
const MAX_REPLACEMENTS: usize = 1000;
const MAX_VALUE_BYTES: usize = 1 << 20;

/// Reads a file's text. `real` looks up the process's own variables, which win over the file's,
/// also inside `${…}`.
pub(crate) fn parse(text: &str, real: &dyn Fn(&str) -> Option<String>) -> Parsed {
    let text = text
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut reader = Reader {
        real,
        earlier: BTreeMap::new(),
        parsed: Parsed::default(),
    };
    let mut scanner = Scanner {
        text: &text,
        at: 0,
        line: 1,
    };
    while let Some(found) = scanner.next() {
        match found {
            Found::Assignment(assignment) => reader.take(&assignment),
            Found::Junk(line) => reader.parsed.skipped.push(line),
        }
    }
    reader.parsed
}

/// One assignment as written.
#[derive(Debug)]
struct Assignment<'a> {
    name: &'a str,
    /// Without quotes and surrounding space.
    raw: &'a str,
    /// The quote that it begins with, closed or not.
    quote: Option<char>,
    line: usize,
}

enum Found<'a> {
    Assignment(Assignment<'a>),
    Junk(usize),
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

struct Reader<'a> {
    real: &'a dyn Fn(&str) -> Option<String>,
    /// Values so far; the flag says that the value was in single quotes and names others, which
    /// then stay as they are wherever it is inserted.
    earlier: BTreeMap<String, (String, bool)>,
    parsed: Parsed,
}

/// A reference inside a value.
struct Reference {
    range: Range<usize>,
    expression: String,
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let line = rest.split('\n').next().unwrap_or_default();
            let number = self.line;
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                self.advance(line.len() + 1);
                continue;
            }
            let Some((name, value_at)) = split_name(line) else {
                self.advance(line.len() + 1);
                return Some(Found::Junk(number));
            };
            let value = rest.get(value_at..).unwrap_or_default();
            let (raw, quote, used) = read_value(value);
            self.advance(value_at + used);
            self.finish_line();
            return Some(Found::Assignment(Assignment {
                name,
                raw,
                quote,
                line: number,
            }));
        }
    }

    /// Goes on behind the end of the line, which holds but space and a comment.
    fn finish_line(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let tail = rest.split('\n').next().unwrap_or_default().len();
        self.advance(tail + 1);
    }

    fn advance(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        let passed = self.text.get(self.at..end).unwrap_or_default();
        self.line += passed.matches('\n').count();
        self.at = end;
    }
}

/// The name of an assignment, and where its value begins.
fn split_name(line: &str) -> Option<(&str, usize)> {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("export")
        && after.starts_with(char::is_whitespace)
        && !after.trim_start().starts_with('=')
    {
        rest = after.trim_start();
    }
    let fits = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
    let name = rest
        .split(|character| !fits(character))
        .next()
        .filter(|name| !name.is_empty())?;
    let after = rest.get(name.len()..)?;
    let value = if let Some(value) = after.trim_start().strip_prefix('=') {
        value
    } else {
        // `NAME: value`, as YAML has it: the space is needed.
        let value = after.strip_prefix(':')?;
        value.starts_with(char::is_whitespace).then_some(value)?
    };
    Some((name, line.len() - value.len()))
}

/// The value at the start of `text` (without quotes), its quote, and how many bytes it takes.
fn read_value(text: &str) -> (&str, Option<char>, usize) {
    let line = text.split('\n').next().unwrap_or_default();
    let indent = line.len() - line.trim_start().len();
    let quote = line
        .trim_start()
        .chars()
        .next()
        .filter(|first| "'\"`".contains(*first));
    if let Some(quote) = quote
        && let Some(inner) = text.get(indent + 1..).and_then(|rest| quoted(rest, quote))
    {
        return (inner, Some(quote), indent + 1 + inner.len() + 1);
    }
    // A `#` begins a comment also without a space before it, but not within closed quotes.
    let used = line.find('#').unwrap_or(line.len());
    let value = line.get(..used).unwrap_or_default().trim();
    let inner = quote
        .and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value);
    (inner, quote, used)
}

/// What stands before the closing quote, if one closes: behind it only space or a comment.
fn quoted(text: &str, quote: char) -> Option<&str> {
    let mut escaped = Vec::new();
    let mut before = None;
    let mut unescaped = None;
    for (at, character) in text.char_indices() {
        if character == quote {
            if before == Some('\\') {
                escaped.push(at);
            } else {
                unescaped = Some(at);
                break;
            }
        }
        before = Some(character);
    }
    // A backslash before a quote escapes it, unless the value would not close then.
    unescaped
        .into_iter()
        .chain(escaped.into_iter().rev())
        .filter_map(|at| Some((text.get(..at)?, text.get(at + 1..)?)))
        .find(|(_, after)| {
            let tail = after.split('\n').next().unwrap_or_default().trim();
            tail.is_empty() || tail.starts_with('#')
        })
        .map(|(inner, _)| inner)
}

// === impl Reader ===

impl Reader<'_> {
    fn take(&mut self, assignment: &Assignment<'_>) {
        let name = assignment.name.to_owned();
        let written = if assignment.quote == Some('"') {
            assignment
                .raw
                .replace("\\n", "\n")
                .replace("\\r", "\r")
                .replace("\\t", "\t")
        } else {
            assignment.raw.to_owned()
        };
        if (self.real)(&name).is_some() {
            return;
        }
        let is_literal = assignment.quote == Some('\'');
        let value = if written.starts_with("encrypted:") {
            Err(DotenvFaultKind::Encrypted)
        } else if is_literal {
            Ok(written)
        } else if holds_command(&written) {
            Err(DotenvFaultKind::Command)
        } else {
            self.expand(written)
                .map(|value| value.replace("\\$", "$"))
                .ok_or(DotenvFaultKind::Endless)
        };
        match value {
            Ok(value) => {
                let keeps_references = is_literal && find_reference(&value).is_some();
                self.earlier
                    .insert(name.clone(), (value.clone(), keeps_references));
                self.parsed.variables.push((name, value));
            }
            Err(kind) => self.parsed.faults.push(DotenvFault {
                name,
                line: assignment.line,
                kind,
            }),
        }
    }

    /// Puts values in place of references, innermost first, until none is left.
    fn expand(&self, mut value: String) -> Option<String> {
        for _ in 0..MAX_REPLACEMENTS {
            let Some(reference) = find_reference(&value) else {
                return Some(value);
            };
            let (name, replacement) = self.resolve(&reference.expression);
            value.replace_range(reference.range, &replacement);
            if value.len() > MAX_VALUE_BYTES {
                return None;
            }
            let held = self.lookup(name);
            let is_literal = self
                .earlier
                .get(name)
                .is_some_and(|(_, keeps_references)| *keeps_references);
            if is_literal || held.as_deref() == Some(value.as_str()) {
                return Some(value);
            }
        }
        None
    }

    /// The name in an expression, and what stands for the whole: `NAME`, `NAME:-default`,
    /// `NAME-default`, `NAME:+other`, `NAME+other`. An empty value is none, in all forms.
    fn resolve<'e>(&self, expression: &'e str) -> (&'e str, String) {
        let operator_at = expression.find([':', '+', '-']).and_then(|_| {
            expression.char_indices().find_map(|(at, _)| {
                let rest = expression.get(at..)?;
                [":+", "+", ":-", "-"]
                    .into_iter()
                    .find(|operator| rest.starts_with(operator))
                    .map(|operator| (at, operator))
            })
        });
        let Some((at, operator)) = operator_at else {
            let value = self.lookup(expression).unwrap_or_default();
            return (expression, value);
        };
        let name = expression.get(..at).unwrap_or_default();
        let other = expression
            .get(at + operator.len()..)
            .unwrap_or_default()
            .to_owned();
        let held = self.lookup(name).filter(|value| !value.is_empty());
        let value = match (operator.ends_with('+'), held) {
            (true, Some(_)) | (false, None) => other,
            (true, None) => String::new(),
            (false, Some(held)) => held,
        };
        (name, value)
    }

    fn lookup(&self, name: &str) -> Option<String> {
        (self.real)(name).or_else(|| self.earlier.get(name).map(|(value, _)| value.clone()))
    }
}

/// The first `${…}` without braces inside, or `$NAME`, that no backslash precedes.
fn find_reference(value: &str) -> Option<Reference> {
    let mut before = None;
    for (at, character) in value.char_indices() {
        if character == '$' && before != Some('\\') {
            let rest = value.get(at + 1..)?;
            if let Some(reference) = reference_at(rest, at) {
                return Some(reference);
            }
        }
        before = Some(character);
    }
    None
}

fn reference_at(rest: &str, at: usize) -> Option<Reference> {
    if let Some(inner) = rest.strip_prefix('{') {
        let end = inner.find(['{', '}'])?;
        let expression = inner.get(..end).filter(|inner| !inner.is_empty())?;
        let is_closed = inner.get(end..)?.starts_with('}');
        return is_closed.then(|| Reference {
            range: at..at + 2 + end + 1,
            expression: expression.to_owned(),
        });
    }
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let name = rest.split(|character| !is_name(character)).next()?;
    let begins_well = name.starts_with(|first: char| !first.is_ascii_digit());
    begins_well.then(|| Reference {
        range: at..at + 1 + name.len(),
        expression: name.to_owned(),
    })
}

/// Whether the value holds `$(command)`, which dotenvx would run.
fn holds_command(value: &str) -> bool {
    value
        .match_indices("$(")
        .any(|(at, _)| value.get(at + 3..).is_some_and(|rest| rest.contains(')')))
}

#[cfg(test)]
mod tests;
