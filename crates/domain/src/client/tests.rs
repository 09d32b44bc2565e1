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
            "grant_types",
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
        ("token_endpoint_auth_method", json!("client_secret_jwt")),
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

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

#[test]
fn a_refresh_token_goes_with_each_way_to_begin() {
    use GrantType::{AuthorizationCode, DeviceCode, RefreshToken};
    let of = |grant_types: Value| {
        let members =
            json!({ "redirect_uris": ["https://a.example/"], "grant_types": grant_types });
        parse(&members).map(|metadata| metadata.grant_types)
    };
    let both = vec![AuthorizationCode, RefreshToken];
    assert_eq!(of(Value::Null), Ok(both.clone()));
    assert_eq!(of(json!(["authorization_code"])), Ok(both.clone()));
    assert_eq!(of(json!(["authorization_code", "password"])), Ok(both));
    assert_eq!(of(json!([DEVICE])), Ok(vec![RefreshToken, DeviceCode]));
    let all = vec![AuthorizationCode, RefreshToken, DeviceCode];
    assert_eq!(of(json!([DEVICE, "authorization_code"])), Ok(all));
    for none in [json!([]), json!(["refresh_token"]), json!(["implicit"])] {
        assert!(of(none).is_err());
    }
}

#[test]
fn a_client_without_redirects_needs_no_redirect_uri() {
    let metadata = parse(&json!({ "grant_types": [DEVICE], "response_types": [] })).unwrap();
    assert!(metadata.redirect_uris.is_empty());
    let members = json!({ "grant_types": [DEVICE, "authorization_code"] });
    assert_eq!(parse(&members), Err(InvalidClientMetadata::NoRedirectUri));
    // One that is given is checked all the same.
    let members = json!({ "grant_types": [DEVICE], "redirect_uris": ["javascript:alert(1)"] });
    assert!(parse(&members).is_err());
}

#[test]
fn where_there_is_no_device_flow_a_client_needs_another() {
    let only = parse(&json!({ "grant_types": [DEVICE] })).unwrap();
    assert!(only.without_device_flow().is_err());
    let both = json!({
        "grant_types": [DEVICE, "authorization_code"], "redirect_uris": ["https://a.example/"],
    });
    let left = parse(&both).unwrap().without_device_flow().unwrap();
    assert_eq!(left.grant_types, GrantType::defaults());
}

#[test]
fn a_registration_of_an_earlier_release_is_read() {
    let metadata = parse(&json!({ "redirect_uris": ["https://a.example/"] })).unwrap();
    let mut stored = serde_json::to_value(&metadata).unwrap();
    stored.as_object_mut().unwrap().remove("grant_types");
    let read: ClientMetadata = serde_json::from_value(stored).unwrap();
    assert_eq!(read, metadata);
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
