//! `[[scopes]]`: what scopes mean, here and at the identity provider.

use authserver::ScopeDetail;
use domain::scope::{Scope, ScopeSet};
use toml::{Table, Value};

use super::Walk;

const KEYS: [&str; 3] = ["name", "description", "identity_scopes"];
/// A line or two on a telephone.
const MAX_DESCRIPTION_CHARS: usize = 200;

/// The scopes of the list; what is wrong is noted and left out.
pub(super) fn read(walk: &mut Walk<'_>, value: Option<Value>) -> Vec<ScopeDetail> {
    let mut details: Vec<ScopeDetail> = Vec::new();
    for (place, table) in walk.tables("scopes", value, &KEYS) {
        let name = name(walk, &place, table.get("name"));
        let description = description(walk, &place, &table);
        let identity_scopes = match table.get("identity_scopes") {
            None => Some(ScopeSet::default()),
            Some(value) => walk.scopes(&format!("{place}.identity_scopes"), value),
        };
        let (Some(name), Ok(description), Some(identity_scopes)) =
            (name, description, identity_scopes)
        else {
            continue;
        };
        if details.iter().any(|other| other.name == name) {
            let name = Value::String(name.as_str().to_owned());
            walk.wrong(
                &format!("{place}.name"),
                &name,
                "it stands there twice",
                "each once",
            );
            continue;
        }
        details.push(ScopeDetail {
            name,
            description,
            identity_scopes,
        });
    }
    details
}

fn name(walk: &mut Walk<'_>, place: &str, value: Option<&Value>) -> Option<Scope> {
    const ALLOWED: &str = "a scope: visible ASCII characters without spaces, `\"` and `\\`";
    let place = format!("{place}.name");
    let Some(value) = value else {
        walk.missing(&place, ALLOWED);
        return None;
    };
    let name = value.as_str().and_then(|text| Scope::parse(text).ok());
    if name.is_none() {
        walk.wrong(&place, value, "it is no scope", ALLOWED);
    }
    name
}

fn description(walk: &mut Walk<'_>, place: &str, table: &Table) -> Result<Option<String>, ()> {
    let Some(value) = table.get("description") else {
        return Ok(None);
    };
    let fits = |text: &&str| {
        !text.trim().is_empty()
            && text.chars().count() <= MAX_DESCRIPTION_CHARS
            && !text.chars().any(char::is_control)
    };
    if let Some(text) = value.as_str().filter(fits) {
        return Ok(Some(text.trim().to_owned()));
    }
    walk.wrong(
        &format!("{place}.description"),
        value,
        "it cannot be shown",
        "a text of one line, 1 to 200 characters",
    );
    Err(())
}
