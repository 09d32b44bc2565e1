use proptest::prelude::*;
use serde_json::json;

use super::*;

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn minimal() -> Map<String, Value> {
    members(&json!({
        "issuer": "https://id.example",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://id.example/token",
    }))
}

fn read(members: &Map<String, Value>) -> Result<ProviderMetadata, MetadataError> {
    ProviderMetadata::read(members, None, None, "metadata.json")
}

#[test]
fn three_members_are_enough() {
    let metadata = read(&minimal()).unwrap();
    assert_eq!(metadata.issuer.as_str(), "https://id.example");
    assert_eq!(metadata.client_authentication, ClientAuthentication::Basic);
    assert!(metadata.userinfo_endpoint.is_none() && metadata.jwks_uri.is_none());
    assert!(!metadata.sends_issuer);
}

#[test]
fn another_account_is_chosen_unless_the_provider_cannot() {
    for (known, lacks) in [
        (Value::Null, false),
        (json!(["none", "login", "select_account"]), false),
        (json!(["none", "login", "consent"]), true),
    ] {
        let mut members = minimal();
        members.insert("prompt_values_supported".to_owned(), known);
        assert_eq!(read(&members).unwrap().lacks_account_choice, lacks);
    }
}

#[test]
fn what_is_absent_or_wrong_is_named_with_its_place() {
    for (name, value) in [
        ("issuer", Value::Null),
        ("issuer", json!("example")),
        ("authorization_endpoint", Value::Null),
        ("token_endpoint", json!("ftp://id.example/token")),
        ("token_endpoint", json!(7)),
        ("jwks_uri", json!("/keys")),
        ("userinfo_endpoint", json!("https://id.example/me#part")),
    ] {
        let mut wrong = minimal();
        wrong.insert(name.to_owned(), value);
        let text = read(&wrong).unwrap_err().to_string();
        assert!(text.contains(&format!("`{name}`")), "{text}");
        assert!(text.contains("metadata.json"), "{text}");
    }
}

#[test]
fn client_authentication_follows_the_list() {
    for (methods, chosen) in [
        (json!(["client_secret_basic"]), ClientAuthentication::Basic),
        (json!(["client_secret_post"]), ClientAuthentication::Post),
        (
            json!(["client_secret_post", "client_secret_basic"]),
            ClientAuthentication::Basic,
        ),
        (json!(["private_key_jwt"]), ClientAuthentication::Basic),
        (json!([]), ClientAuthentication::Basic),
        (json!("client_secret_post"), ClientAuthentication::Basic),
    ] {
        let mut listed = minimal();
        listed.insert("token_endpoint_auth_methods_supported".to_owned(), methods);
        assert_eq!(read(&listed).unwrap().client_authentication, chosen);
    }
}

#[test]
fn one_trailing_slash_is_no_difference_and_the_metadata_spells() {
    for (expected, found) in [
        ("https://id.example", "https://id.example/"),
        ("https://id.example/", "https://id.example"),
        ("https://id.example/a", "https://id.example/a/"),
    ] {
        let rule = IssuerRule::judge(Some(expected), None, found).unwrap();
        assert_eq!(rule.as_str(), found);
        assert!(rule.accepts(found, None));
        assert!(!rule.accepts(expected, None));
    }
}

#[test]
fn any_other_difference_is_a_mismatch_with_both_values() {
    for found in [
        "https://id.example//",
        "http://id.example",
        "https://id.example/a",
        "https://other.example",
        "https://ID.example",
    ] {
        let text = IssuerRule::judge(Some("https://id.example"), None, found)
            .unwrap_err()
            .to_string();
        assert!(text.contains("https://id.example was") || text.contains("https://id.example "));
        assert!(
            text.contains(&format!("MCP_AUTH_PROXY_IDENTITY_ISSUER={found}")),
            "{text}"
        );
    }
}

#[test]
fn the_operators_word_settles_it() {
    let inside = Some("http://keycloak:8080/realms/a");
    let outside = "https://login.example/realms/a";
    let rule = IssuerRule::judge(inside, Some(outside), outside).unwrap();
    assert_eq!(rule.as_str(), outside);
    assert!(IssuerRule::judge(inside, Some("https://third.example"), outside).is_err());
    // It also holds against a metadata file.
    assert!(IssuerRule::judge(None, Some("https://third.example"), outside).is_err());
}

#[test]
fn a_tenant_is_any_one_path_segment() {
    let many = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let one = "https://login.microsoftonline.com/9188040d/v2.0";
    let asked = Some("https://login.microsoftonline.com/common/v2.0");
    assert!(IssuerRule::judge(asked, None, many).is_err());

    let rule = IssuerRule::judge(asked, Some(many), many).unwrap();
    assert!(rule.accepts(one, None));
    assert!(rule.accepts(one, Some("9188040d")));
    assert!(!rule.accepts(one, Some("another")));
    for foreign in [
        "https://login.microsoftonline.com//v2.0",
        "https://login.microsoftonline.com/a/b/v2.0",
        "https://login.microsoftonline.com/a/v1.0",
        "https://evil.example/a/v2.0",
        many,
    ] {
        assert!(!rule.accepts(foreign, None), "{foreign}");
    }
    // One tenant of many.
    let rule = IssuerRule::judge(asked, Some(one), many).unwrap();
    assert_eq!(rule.as_str(), one);
    // A pattern for a provider that names one tenant.
    let rule = IssuerRule::judge(asked, Some(many), one).unwrap();
    assert_eq!(rule.as_str(), one);
}

proptest! {
    #[test]
    fn a_plain_issuer_accepts_nothing_but_itself(issuer in "https://[a-z./]{1,20}", other in ".{0,30}") {
        let rule = IssuerRule::judge(None, None, &issuer).unwrap();
        prop_assert_eq!(rule.accepts(&other, None), other == issuer);
        prop_assert!(rule.accepts(&issuer, Some("any")));
    }

    /// Every endpoint is judged alike, and a wrong one is named.
    #[test]
    fn each_endpoint_is_a_url_or_named(
        name in prop::sample::select(vec![
            "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri",
            "revocation_endpoint",
        ]),
        value in prop_oneof![
            "(https?|ftp|javascript)://?[a-z.@:]{0,10}/?[a-z#?]{0,6}|.{0,20}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::Null),
            Just(json!(["https://id.example"])),
        ],
    ) {
        let mut members = minimal();
        members.insert(name.to_owned(), value.clone());
        let is_needed = matches!(name, "authorization_endpoint" | "token_endpoint");
        let url = value.as_str().and_then(|text| Url::parse(text).ok());
        let is_fine = match &url {
            Some(url) => {
                matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none()
            }
            None => value.is_null() && !is_needed,
        };
        match read(&members) {
            Ok(metadata) => {
                prop_assert!(is_fine, "{}", value);
                let read = [
                    Some(metadata.authorization_endpoint),
                    Some(metadata.token_endpoint),
                    metadata.userinfo_endpoint,
                    metadata.jwks_uri,
                    metadata.revocation_endpoint.map(|(url, _)| url),
                ];
                prop_assert!(url.is_none() || read.contains(&url));
            }
            Err(refused) => {
                prop_assert!(!is_fine, "{}", value);
                prop_assert!(refused.to_string().contains(name), "{}", refused);
            }
        }
    }
}
