use serde_json::json;

use super::*;

fn subject(rule: IdentifierRule, found: &Value) -> Result<String, String> {
    rule.subject(found.as_object().unwrap())
        .map(|subject| subject.as_str().to_owned())
}

#[test]
fn each_rule_looks_at_its_own_members_in_order() {
    let all = json!({ "sub": "a", "id": "b", "user_id": "c" });
    assert_eq!(subject(IdentifierRule::IdToken, &all).unwrap(), "a");
    assert_eq!(subject(IdentifierRule::Userinfo, &all).unwrap(), "a");
    assert_eq!(subject(IdentifierRule::TokenAnswer, &all).unwrap(), "b");
    let heroku = json!({ "user_id": "c", "id": null });
    assert_eq!(subject(IdentifierRule::TokenAnswer, &heroku).unwrap(), "c");
    assert!(subject(IdentifierRule::IdToken, &json!({ "id": "b" })).is_err());
    assert!(subject(IdentifierRule::TokenAnswer, &json!({ "sub": "a" })).is_err());
}

#[test]
fn whole_numbers_are_identifiers_and_nothing_else_is() {
    let id = |value: Value| subject(IdentifierRule::Userinfo, &json!({ "id": value }));
    assert_eq!(
        id(json!(9_007_199_254_740_993_u64)).unwrap(),
        "9007199254740993"
    );
    for value in [
        json!(1.5),
        json!(true),
        json!(["a"]),
        json!(""),
        json!("a\nb"),
    ] {
        assert!(id(value).is_err());
    }
}
