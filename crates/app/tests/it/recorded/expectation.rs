//! What a client insists on, against what it got.

use serde_json::Value;

/// Everything in which an answer is other than expected, each with its place.
///
/// An object names the members that matter, `null` one that must be absent; `"<text>"`,
/// `"<number>"` and `"<list>"` are any that is not empty; `{"contains": […]}` is a list with these
/// among others. All else must be equal, lists in order.
pub(super) fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", expected, Some(actual), &mut found);
    found
}

fn compare(place: &str, expected: &Value, actual: Option<&Value>, found: &mut Vec<String>) {
    let fits = match (expected, actual) {
        (Value::Null, actual) => actual.is_none(),
        (_, None) => false,
        (Value::Object(members), Some(actual)) => {
            if let Some(Value::Array(wanted)) = members.get("contains") {
                let had = actual.as_array().map_or(&[][..], Vec::as_slice);
                wanted.iter().all(|one| had.contains(one))
            } else {
                for (name, member) in members {
                    compare(&format!("{place}/{name}"), member, actual.get(name), found);
                }
                actual.is_object()
            }
        }
        (Value::String(kind), Some(actual)) if kind == "<text>" => {
            actual.as_str().is_some_and(|text| !text.is_empty())
        }
        (Value::String(kind), Some(actual)) if kind == "<number>" => {
            actual.as_u64().is_some_and(|number| number > 0)
        }
        (Value::String(kind), Some(actual)) if kind == "<list>" => {
            actual.as_array().is_some_and(|list| !list.is_empty())
        }
        (expected, Some(actual)) => expected == actual,
    };
    if !fits {
        let had = actual.map_or_else(|| "nothing".to_owned(), Value::to_string);
        found.push(format!("{place} is {had}, expected {expected}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::differences;

    #[test]
    fn each_kind_of_expectation_can_be_disappointed() {
        let answer = json!({ "text": "x", "empty": "", "list": ["a", "b"], "number": 7 });
        let fitting = json!({
            "text": "x", "list": ["a", "b"], "number": "<number>", "absent": null,
        });
        assert!(differences(&fitting, &answer).is_empty());
        for unfitting in [
            json!({ "text": "y" }),
            json!({ "text": null }),
            json!({ "absent": "<text>" }),
            json!({ "empty": "<text>" }),
            json!({ "number": "<text>" }),
            json!({ "text": "<number>" }),
            json!({ "text": "<list>" }),
            json!({ "list": ["b", "a"] }),
            json!({ "list": { "contains": ["c"] } }),
            json!({ "text": { "contains": ["x"] } }),
            json!({ "text": { "inner": null } }),
        ] {
            assert_eq!(differences(&unfitting, &answer).len(), 1, "{unfitting}");
        }
    }
}
