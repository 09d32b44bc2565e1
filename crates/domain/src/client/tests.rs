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
fn of_keys_only_what_their_use_needs_is_kept() {
    let with = |keys: Value| {
        parse(&json!({
            "redirect_uris": ["https://a.example/cb"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": { "keys": keys, "more": [[], []] },
        }))
    };
    let metadata = with(json!([
        { "kty": "EC", "crv": "P-256", "x": "AQ", "y": "Ag", "kid": "1", "use": "sig" },
        { "kty": "RSA", "n": "Aw", "e": "AQAB", "alg": "RS256", "x5c": ["MII"], "more": { "a": 0 } },
        { "kty": "OKP", "x": 7, "key_ops": ["verify", "verify", "walk", {}] },
    ]));
    assert_eq!(
        metadata.unwrap().jwks,
        Some(json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "x": "AQ", "y": "Ag", "kid": "1", "use": "sig" },
            { "kty": "RSA", "n": "Aw", "e": "AQAB", "alg": "RS256" },
            { "kty": "OKP", "key_ops": ["verify"] },
        ] }))
    );
    // Each of these takes up many times its text in memory, and any client may publish it.
    for keys in [
        json!(vec![json!({ "a": 0 }); 33]),
        json!([0]),
        json!([[]]),
        json!([null]),
    ] {
        let wrong = with(keys.clone()).unwrap_err();
        assert!(
            matches!(wrong, InvalidClientMetadata::Member { member: "jwks", .. }),
            "{keys}"
        );
    }
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
        ("client_name", json!("\u{3164}")),
        ("client_name", json!("Claude\u{2800}")),
        ("client_uri", json!("https://claude.ai@evil.example/")),
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

    /// Whatever stands in a member, it is read, or refused by its name.
    #[test]
    fn a_wrong_member_is_named_and_a_right_one_is_kept(
        member in prop::sample::select(MEMBERS.to_vec()),
        value in any_json(),
    ) {
        let mut members = json!({ "redirect_uris": ["https://a.example/"] });
        members[member] = value;
        match parse(&members) {
            Err(InvalidClientMetadata::Member { member: named, .. }) => {
                prop_assert!(named == member || named == "jwks", "{}: {}", member, named);
            }
            Err(refused) => {
                prop_assert_eq!(member, "redirect_uris");
                prop_assert!(refused.to_string().starts_with("redirect_uris"));
            }
            Ok(metadata) => {
                prop_assert!(!metadata.redirect_uris.is_empty());
                prop_assert!(!metadata.grant_types.is_empty());
                // What was accepted is accepted once more, as a replacement sends it.
                let kept = serde_json::to_value(&metadata).unwrap();
                prop_assert_eq!(parse(&kept), Ok(metadata));
            }
        }
    }

    /// What a person is shown cannot hide or turn around anything.
    #[test]
    fn a_name_is_shown_as_it_is_or_refused(name in "\\PC{0,130}|.{0,20}") {
        let members = json!({ "redirect_uris": ["https://a.example/"], "client_name": name });
        match parse(&members) {
            Ok(metadata) => {
                let shown = metadata.client_name.unwrap_or_default();
                prop_assert_eq!(&shown, name.trim());
                prop_assert!(shown.chars().count() <= 120);
                let turns = |it: char| matches!(it, '\u{202a}'..='\u{202e}' | '\u{200b}'..='\u{200f}');
                let hides = shown.chars().any(|it| it.is_control() || turns(it));
                prop_assert!(!hides);
            }
            Err(refused) => prop_assert!(refused.to_string().starts_with("client_name: ")),
        }
    }

    /// Nothing that everybody can read holds half of a key that nobody else may have.
    #[test]
    fn no_private_member_passes(
        private in prop::sample::select(vec!["d", "p", "q", "dp", "dq", "qi", "oth", "k"]),
        value in any_json(),
        before in 0_usize..3,
    ) {
        let mut keys = vec![json!({ "kty": "EC", "x": "a", "y": "b" }); before];
        let mut key = json!({ "kty": "EC" });
        key[private] = value;
        keys.push(key);
        let members = json!({ "redirect_uris": ["https://a.example/"], "jwks": { "keys": keys } });
        let refused = parse(&members).unwrap_err().to_string();
        prop_assert_eq!(refused, "jwks: must hold public keys only");
    }
}

/// The members that are read.
const MEMBERS: [&str; 20] = [
    "redirect_uris",
    "grant_types",
    "response_types",
    "token_endpoint_auth_method",
    "application_type",
    "client_name",
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    "contacts",
    "scope",
    "software_id",
    "software_version",
    "id_token_signed_response_alg",
    "jwks",
    "jwks_uri",
    "token_endpoint_auth_signing_alg",
    "post_logout_redirect_uris",
    "require_pushed_authorization_requests",
];

/// JSON as clients send it, right and wrong.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".{0,30}",
        "(https?|cursor|javascript)://?[a-z.@:]{0,12}/?[a-z#?]{0,6}",
        "none|client_secret_(basic|post|jwt)|private_key_jwt|native|web|code|token|HS256|ES256",
        "authorization_code|refresh_token|urn:ietf:params:oauth:grant-type:device_code",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("keys|kty|[a-z]{1,3}", inner, 0..3)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}
