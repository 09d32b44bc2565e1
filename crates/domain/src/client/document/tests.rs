use proptest::prelude::*;
use serde_json::json;

use super::*;

const URL: &str = "https://client.example/oauth/client.json";

fn document(change: impl FnOnce(&mut Value)) -> Result<ClientMetadata, InvalidClientMetadata> {
    let mut members = json!({
        "client_id": URL,
        "client_name": "Tool",
        "redirect_uris": ["http://127.0.0.1/callback"],
    });
    change(&mut members);
    let url = DocumentUrl::parse(URL, false).unwrap();
    ClientMetadata::parse_document(
        members.as_object().unwrap(),
        &url,
        &AllowedRedirectHosts::all(),
    )
}

#[test]
fn the_rules_of_the_draft_hold_for_urls() {
    use InvalidDocumentUrl as Invalid;
    for (text, expected) in [
        (URL, None),
        ("https://client.example/", None),
        ("https://client.example:8443/c", None),
        ("https://client.example:443/c", None),
        ("https://client.example/c?v=1", None),
        ("https://client.example/a/...", None),
        ("https://client.example", Some(Invalid::NoPath)),
        ("https://client.example?c", Some(Invalid::NoPath)),
        ("http://client.example/c", Some(Invalid::Scheme)),
        ("http://127.0.0.1/c", Some(Invalid::Scheme)),
        ("HTTPS://client.example/c", Some(Invalid::Scheme)),
        ("https:/client.example/c", Some(Invalid::Scheme)),
        ("https:///client.example/c", Some(Invalid::Syntax)),
        (
            "https://user@client.example/c",
            Some(Invalid::UserInformation),
        ),
        ("https://@client.example/c", Some(Invalid::UserInformation)),
        ("https://client.example/c#f", Some(Invalid::Fragment)),
        ("https://client.example/c#", Some(Invalid::Fragment)),
        ("https://client.example/a/../c", Some(Invalid::DotSegment)),
        ("https://client.example/./c", Some(Invalid::DotSegment)),
        (
            "https://client.example/a/%2E%2e/c",
            Some(Invalid::DotSegment),
        ),
        ("https://client.example/..", Some(Invalid::DotSegment)),
        ("https://client.example\\c/", Some(Invalid::Syntax)),
        ("https://client.example/ c", Some(Invalid::Syntax)),
        ("https://clïent.example/c", Some(Invalid::Syntax)),
    ] {
        assert_eq!(DocumentUrl::parse(text, false).err(), expected, "{text}");
    }
}

#[test]
fn development_may_use_this_machine_by_plain_http() {
    for text in [
        "http://localhost:4711/c",
        "http://127.0.0.1/c",
        "http://[::1]:1/c",
    ] {
        assert!(DocumentUrl::parse(text, true).is_ok(), "{text}");
    }
    assert!(DocumentUrl::parse("http://client.example/c", true).is_err());
}

#[test]
fn a_document_says_who_it_is_of_and_where_it_redirects() {
    let metadata = document(|_| ()).unwrap();
    assert_eq!(metadata.client_name.as_deref(), Some("Tool"));
    assert_eq!(
        metadata.token_endpoint_auth_method,
        super::super::TokenEndpointAuthMethod::None
    );
    for member in ["client_id", "client_name", "redirect_uris"] {
        let refused = document(|members| {
            members.as_object_mut().unwrap().remove(member);
        });
        let text = refused.unwrap_err().to_string();
        assert!(text.starts_with(member), "{text}");
    }
}

#[test]
fn a_document_of_another_url_is_refused() {
    for id in [
        "https://client.example/oauth/client.json/",
        "https://client.example:443/oauth/client.json",
        "https://CLIENT.example/oauth/client.json",
        "https://other.example/oauth/client.json",
    ] {
        let refused = document(|members| members["client_id"] = json!(id));
        assert!(refused.is_err(), "{id}");
    }
}

#[test]
fn a_document_shares_no_secret() {
    for method in [
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
    ] {
        let refused = document(|members| members["token_endpoint_auth_method"] = json!(method));
        assert!(refused.is_err(), "{method}");
    }
    for member in ["client_secret", "client_secret_expires_at"] {
        let refused = document(|members| members[member] = json!("0"));
        assert!(refused.is_err(), "{member}");
    }
}

#[test]
fn the_operator_says_whom_to_trust() {
    let url = |host: &str| DocumentUrl::parse(&format!("https://{host}/c"), false).unwrap();
    let list = |text| DomainList::parse(text).unwrap();
    let all = ClientDomains::default();
    assert!(all.permit(&url("client.example")));
    let some = ClientDomains {
        allowed: list("Claude.ai, *.example.com"),
        denied: list("bad.example.com"),
    };
    assert!(some.permit(&url("claude.ai")));
    assert!(some.permit(&url("claude.ai:8443")));
    assert!(some.permit(&url("CLAUDE.AI")));
    assert!(some.permit(&url("a.example.com")));
    assert!(!some.permit(&url("bad.example.com")));
    assert!(!some.permit(&url("bad.example.com.")));
    assert!(!some.permit(&url("example.com")));
    assert!(!some.permit(&url("notclaude.ai")));
    assert!(!some.permit(&url("claude.ai.evil.example")));
    assert!(DomainList::parse("https://claude.ai").is_err());
    assert!(DomainList::parse("*").is_err());
    assert!(DomainList::parse("*.").is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in ".{0,60}", local: bool) {
        let _ = DocumentUrl::parse(&text, local);
        let _ = DomainList::parse(&text);
    }

    /// What is read is fetched from where it says, and compared as it was written.
    #[test]
    fn a_url_that_is_read_is_unchanged(path in "(/[a-z0-9%._~-]{0,8}){1,4}") {
        let text = format!("https://client.example{path}");
        if let Ok(url) = DocumentUrl::parse(&text, false) {
            prop_assert_eq!(url.as_str(), &text);
            prop_assert_eq!(url.url().as_str(), &text);
        }
    }

    /// The draft's rules, written a second time from its text.
    #[test]
    fn what_is_read_obeys_the_draft(
        start in "https://|http://|HTTPS://|https:/|https:///",
        authority in "(user@)?(client\\.example|localhost|[a-z0-9.:@]{0,10})(:[0-9]{1,4})?",
        rest in "(/[a-z.]{0,4}|/\\.\\.?|/%2[eE]\\.?|\\?[a-z]{0,3}|#[a-z]{0,2}){0,4}",
    ) {
        let text = format!("{start}{authority}{rest}");
        let Ok(read) = DocumentUrl::parse(&text, false) else { return Ok(()) };
        let url = Url::parse(&text).unwrap();
        prop_assert_eq!(read.as_str(), &text);
        prop_assert!(text.starts_with("https://"));
        prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
        prop_assert!(!rest.is_empty() && rest.starts_with('/'));
        // The path that is asked for is the one that was written: nothing was resolved in it.
        let path = rest.split('?').next().unwrap();
        prop_assert_eq!(url.path(), path);
    }
}
