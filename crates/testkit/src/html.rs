//! As much HTML as a story needs: tags, their attributes, forms.

/// A start tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name, in small letters.
    pub name: String,
    /// Its attributes, names in small letters, values with entities resolved.
    pub attributes: Vec<(String, String)>,
    /// The text up to the next tag.
    pub text: String,
}

/// A form with its controls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where it goes, as written.
    pub action: String,
    /// In small letters; `get` where none is named.
    pub method: String,
    /// Inputs that are sent: name, type, value.
    pub inputs: Vec<Input>,
    /// Buttons that submit it: name, value, caption.
    pub buttons: Vec<Button>,
}

/// An input of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type; `text` where none is named.
    pub kind: String,
    /// Its value.
    pub value: String,
}

/// A button of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// Its name, `""` where it has none.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where it sends the form instead, if it says so.
    pub form_action: Option<String>,
    /// What stands on it.
    pub caption: String,
}

/// All start tags (and `/form`, which ends one) in order.
pub fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let (inside, after) = split_at_end(after);
        let (text, _) = after.split_once('<').unwrap_or((after, ""));
        let tag = tag(inside, text);
        rest = after;
        // What stands in these is not markup.
        if matches!(tag.name.as_str(), "script" | "style") {
            let end = format!("</{}", tag.name);
            rest = rest.find(&end).and_then(|at| rest.get(at..)).unwrap_or("");
        }
        tags.push(tag);
    }
    tags
}

/// All forms in order.
pub fn forms(html: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut open = false;
    for tag in tags(html) {
        match tag.name.as_str() {
            "form" => {
                open = true;
                forms.push(Form {
                    action: tag.value("action"),
                    method: match tag.value("method").to_ascii_lowercase() {
                        none if none.is_empty() => "get".to_owned(),
                        method => method,
                    },
                    inputs: Vec::new(),
                    buttons: Vec::new(),
                });
            }
            "/form" => open = false,
            "input" | "button" if open => {
                if let Some(form) = forms.last_mut() {
                    form.add(&tag);
                }
            }
            _ => {}
        }
    }
    forms
}

/// Where a page navigates to by itself (`<meta http-equiv="refresh">`).
pub fn refresh_target(html: &str) -> Option<String> {
    tags(html).into_iter().find_map(|tag| {
        let refreshes =
            tag.name == "meta" && tag.value("http-equiv").eq_ignore_ascii_case("refresh");
        let content = tag.value("content");
        let (_, target) = content.split_once('=')?;
        refreshes.then(|| target.trim().trim_matches(['\'', '"']).to_owned())
    })
}

/// Resolves the entities that templates write.
pub fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let resolved = after
            .split_once(';')
            .and_then(|(entity, tail)| Some((resolve(entity)?, tail)));
        if let Some((character, tail)) = resolved {
            out.push(character);
            rest = tail;
        } else {
            out.push('&');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn resolve(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        other => {
            let number = other.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Splits behind the `>` that ends a tag; one inside of quotes does not.
fn split_at_end(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '>') => {
                return (
                    text.get(..at).unwrap_or(text),
                    text.get(at + 1..).unwrap_or(""),
                );
            }
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    (text, "")
}

fn tag(inside: &str, text: &str) -> Tag {
    let inside = inside.trim().trim_end_matches('/');
    let (name, mut rest) = inside
        .split_once(char::is_whitespace)
        .unwrap_or((inside, ""));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let end = rest
            .find(|character: char| character == '=' || character.is_whitespace())
            .unwrap_or(rest.len());
        let (attribute, after) = rest.split_at(end);
        let (value, after) = match after.trim_start().strip_prefix('=') {
            None => ("", after),
            Some(after) => value(after.trim_start()),
        };
        attributes.push((attribute.to_ascii_lowercase(), unescape(value)));
        rest = after;
    }
    Tag {
        name: name.to_ascii_lowercase(),
        attributes,
        text: unescape(text.trim()),
    }
}

fn value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    text.split_at(end)
}

// === impl Tag ===

impl Tag {
    /// An attribute's value, `""` where it has none.
    pub fn value(&self, attribute: &str) -> String {
        self.attribute(attribute).unwrap_or_default().to_owned()
    }

    /// An attribute's value.
    pub fn attribute(&self, attribute: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(name, _)| name == attribute)
            .map(|(_, value)| value.as_str())
    }
}

// === impl Form ===

impl Form {
    fn add(&mut self, tag: &Tag) {
        let kind = tag.value("type").to_ascii_lowercase();
        let submits = (tag.name == "button" && matches!(kind.as_str(), "" | "submit"))
            || (tag.name == "input" && kind == "submit");
        if submits {
            self.buttons.push(Button {
                name: tag.value("name"),
                value: tag.value("value"),
                form_action: tag.attribute("formaction").map(str::to_owned),
                caption: tag.text.clone(),
            });
        } else if tag.name == "input" {
            self.inputs.push(Input {
                name: tag.value("name"),
                kind: if kind.is_empty() {
                    "text".to_owned()
                } else {
                    kind
                },
                value: tag.value("value"),
            });
        }
    }

    /// Whether it has an input of this name.
    pub fn has(&self, name: &str) -> bool {
        self.inputs.iter().any(|input| input.name == name)
    }
}

#[cfg(test)]
mod tests;
