use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(members: &Value) -> Result<ClientMetadata, InvalidClientMetadata> {
    ClientMetadata::parse(members.as_object().unwrap(), &AllowedRedirectHosts::all())
}

#[test]
fn defaults_are_a_native_client_that_keeps_a_secret() {
    let metadata = parse(&json!({ "redirect_uris": ["http://127.0.0.1/cb"] })).unwrap();
    assert_eq!(metadata.application_type, ApplicationType::Native);
    assert_eq!(
        metadata.token_endpoint_auth_method,
        TokenEndpointAuthMethod::ClientSecretBasic
    );
    assert_eq!(metadata.client_name, None);
}

#[test]
fn unknown_members_are_neither_read_nor_kept() {
    let metadata = parse(&json!({
        "redirect_uris": ["https://a.example/cb"],
        "token_endpoint_auth_method": "none",
        "confirmed": true,
        "identityAuthAccessToken": "x",
        "client_id": "chosen-by-the-client",
        "secret_hash": [1, 2],
    }))
    .unwrap();
    let kept = serde_json::to_value(&metadata).unwrap();
    let names: Vec<_> = kept
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        [
            "application_type",
            "redirect_uris",
            "token_endpoint_auth_method"
        ]
    );
}

#[test]
fn each_wrong_member_is_named() {
    let long = "x".repeat(3000);
    for (member, value) in [
        ("client_uri", json!("javascript:alert(1)")),
        ("logo_uri", json!("data:image/png;base64,x")),
        ("tos_uri", json!("file:///etc/passwd")),
        ("policy_uri", json!("vbscript:x")),
        ("client_uri", json!(format!("https://a.example/{long}"))),
        ("client_name", json!(long)),
        ("client_name", json!("evil\u{202e}txt.exe")),
        ("client_name", json!(["a"])),
        ("scope", json!("a\"b")),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("application_type", json!("desktop")),
        ("grant_types", json!(["client_credentials"])),
        ("response_types", json!(["token"])),
        ("require_pushed_authorization_requests", json!("true")),
        ("post_logout_redirect_uris", json!(["javascript:alert(1)"])),
        (
            "post_logout_redirect_uris",
            json!(vec!["https://a.example/"; 33]),
        ),
        ("contacts", json!(vec!["a@example.com"; 9])),
        ("software_id", json!(long)),
        ("redirect_uris", json!("https://a.example/cb")),
        ("redirect_uris", json!(vec!["https://a.example/cb"; 33])),
    ] {
        let mut members = json!({ "redirect_uris": ["https://a.example/cb"] });
        members[member] = value;
        let error = parse(&members).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{member}: ")),
            "{member}: {error}"
        );
    }
}

#[test]
fn redirect_uris_are_needed_and_each_is_checked() {
    assert_eq!(parse(&json!({})), Err(InvalidClientMetadata::NoRedirectUri));
    assert_eq!(
        parse(&json!({ "redirect_uris": [] })),
        Err(InvalidClientMetadata::NoRedirectUri)
    );
    assert_eq!(
        parse(&json!({ "redirect_uris": ["https://a.example/", "javascript:alert(1)"] })),
        Err(InvalidClientMetadata::RedirectUri {
            index: 1,
            reason: InvalidRedirectUri::Scheme
        })
    );
    let hosts = AllowedRedirectHosts::parse("claude.ai").unwrap();
    let members = json!({ "redirect_uris": ["https://a.example/"] });
    assert_eq!(
        ClientMetadata::parse(members.as_object().unwrap(), &hosts),
        Err(InvalidClientMetadata::RedirectHost { index: 0 })
    );
}

#[test]
fn mixed_redirect_uris_of_one_client_are_accepted() {
    let metadata = parse(&json!({
        "client_name": "Visual Studio Code",
        "redirect_uris": [
            "https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
            "http://127.0.0.1/", "http://127.0.0.1:33418/",
        ],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }))
    .unwrap();
    assert_eq!(metadata.redirect_uris.len(), 4);
}

proptest! {
    #[test]
    fn what_is_stored_is_read_back(
        name in "[a-zA-Z ]{0,40}",
        method in prop::sample::select(vec!["none", "client_secret_basic", "client_secret_post"]),
    ) {
        let metadata = parse(&json!({
            "redirect_uris": ["cursor://a/b"], "client_name": name,
            "token_endpoint_auth_method": method,
        })).unwrap();
        let text = serde_json::to_string(&metadata).unwrap();
        prop_assert_eq!(serde_json::from_str::<ClientMetadata>(&text).unwrap(), metadata);
    }

    #[test]
    fn nothing_panics(member in "[a-z_]{1,20}", text in ".{0,40}", number in any::<i64>()) {
        let _ = parse(&json!({ "redirect_uris": [text], member.clone(): number }));
        let _ = parse(&json!({ "redirect_uris": ["https://a.example/"], member: [text] }));
    }
}
