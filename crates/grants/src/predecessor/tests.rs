use std::{sync::Arc, time::Duration};

use domain::secret::SecretString;
use serde_json::{Value, json};
use store::predecessor::{OldKind, OldRecord};

use super::*;
use crate::testing::{
    DAY, HOUR, MINUTE, PROVIDER,
    predecessor::{
        OLD_ACCESS, OLD_CLIENT, OLD_GRANT, OLD_REFRESH, OldRecords, WRITTEN, client_record,
    },
    resource, resource_at,
};

const SESSION_UID: &str = "uSessionOfThePredecessor-_0123456789abcdefg";

fn source(records: OldRecords) -> (Arc<OldRecords>, PredecessorSource) {
    let records = Arc::new(records);
    let source = PredecessorSource {
        records: records.clone(),
        resources: vec![(resource(), PROVIDER.to_owned())],
        scopes: ScopeSet::parse("openid offline_access profile").unwrap(),
        redirect_hosts: AllowedRedirectHosts::default(),
    };
    (records, source)
}

fn terms(now: u64) -> Terms {
    Terms {
        now: Timestamp::from_unix(now),
        refresh_window: Duration::from_secs(HOUR + 15 * MINUTE),
        grant_life: Duration::from_secs(90 * DAY),
    }
}

async fn look(
    source: &PredecessorSource,
    kind: TokenKind,
    now: u64,
) -> Result<OldSession, TakeOverError> {
    let token = match kind {
        TokenKind::Access => OLD_ACCESS,
        TokenKind::Refresh => OLD_REFRESH,
    };
    source.look(kind, token, terms(now)).await
}

/// Why neither token is taken over once the records were changed.
async fn refused(change: impl Fn(&OldRecords)) -> Unfit {
    let (records, source) = source(OldRecords::of_one_user());
    change(&records);
    let mut reasons = Vec::new();
    for kind in [TokenKind::Access, TokenKind::Refresh] {
        match look(&source, kind, WRITTEN).await {
            Err(TakeOverError::Unfit(reason)) => reasons.push(reason),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
    reasons.dedup();
    let [reason] = reasons.as_slice() else {
        panic!("{reasons:?}");
    };
    reason.clone()
}

/// Both tokens at once.
fn change_tokens(records: &OldRecords, members: &Value) {
    records.change(OldKind::AccessToken, OLD_ACCESS, members);
    records.change(OldKind::RefreshToken, OLD_REFRESH, members);
}

#[tokio::test]
async fn a_live_token_brings_its_user_client_scopes_and_identity_tokens() {
    let (_, source) = source(OldRecords::of_one_user());
    let access = look(&source, TokenKind::Access, WRITTEN + MINUTE)
        .await
        .unwrap();
    assert_eq!(access.ends_at.as_unix(), WRITTEN + HOUR);
    assert_eq!(access.opened.as_unix(), WRITTEN - 2 * DAY);
    let facts = &access.facts;
    assert_eq!(facts.client.as_str(), OLD_CLIENT);
    assert_eq!(facts.subject.as_str(), "user-1");
    assert_eq!(facts.issuer, PROVIDER);
    assert_eq!(facts.resource, resource());
    assert_eq!(facts.scopes.to_string(), "openid offline_access");
    let tokens = &access.tokens;
    assert_eq!(tokens.access_token.expose(), "identity-access-0");
    let refresh = tokens.refresh_token.as_ref().unwrap();
    assert_eq!(refresh.expose(), "identity-refresh-0");
    assert_eq!(tokens.scope, "profile email");
    assert_eq!(
        Value::Object(tokens.extra.clone()),
        json!({ "instance_url": "https://instance.example" })
    );
    // Its end is not known: it is renewed before it is used.
    assert_eq!(
        tokens.expires_at.map(Timestamp::as_unix),
        Some(WRITTEN + MINUTE)
    );
    let refresh = look(&source, TokenKind::Refresh, WRITTEN + MINUTE)
        .await
        .unwrap();
    assert_eq!(refresh.ends_at.as_unix(), WRITTEN + 14 * DAY);
    assert_eq!(refresh.facts, access.facts);
}

#[tokio::test]
async fn an_identity_token_that_cannot_be_renewed_is_used_until_it_is_refused() {
    let (records, source) = source(OldRecords::of_one_user());
    let without = json!({ "identityAuthRefreshToken": null });
    records.change(OldKind::Client, OLD_CLIENT, &without);
    let session = look(&source, TokenKind::Access, WRITTEN).await.unwrap();
    assert_eq!(session.tokens.expires_at, None);
}

#[tokio::test]
async fn what_has_ended_is_not_taken_over() {
    let (_, source) = source(OldRecords::of_one_user());
    for (kind, end) in [(TokenKind::Access, HOUR), (TokenKind::Refresh, 14 * DAY)] {
        let late = look(&source, kind, WRITTEN + end).await.unwrap_err();
        let is_over = matches!(late, TakeOverError::Unfit(Unfit::Expired | Unfit::NoGrant));
        assert!(is_over, "{kind:?}: {late}");
    }
    let expired = json!({ "exp": WRITTEN });
    assert_eq!(
        refused(|old| change_tokens(old, &expired)).await,
        Unfit::Expired
    );
    let gone = |old: &OldRecords| old.remove(OldKind::Grant, OLD_GRANT);
    assert_eq!(refused(gone).await, Unfit::NoGrant);
    let over = |old: &OldRecords| old.change(OldKind::Grant, OLD_GRANT, &json!({ "exp": WRITTEN }));
    assert_eq!(refused(over).await, Unfit::NoGrant);
    let old = |old: &OldRecords| {
        old.change(
            OldKind::Grant,
            OLD_GRANT,
            &json!({ "iat": WRITTEN - 90 * DAY }),
        );
    };
    assert_eq!(refused(old).await, Unfit::TooOld);
    let absent = |old: &OldRecords| {
        old.remove(OldKind::AccessToken, OLD_ACCESS);
        old.remove(OldKind::RefreshToken, OLD_REFRESH);
    };
    assert_eq!(refused(absent).await, Unfit::Absent);
}

#[tokio::test]
async fn a_consumed_token_is_honoured_for_the_window_from_its_replacement() {
    let (records, source) = source(OldRecords::of_one_user());
    records.consume(OLD_REFRESH, WRITTEN);
    let window = HOUR + 15 * MINUTE;
    let sibling = look(&source, TokenKind::Refresh, WRITTEN + window - 1)
        .await
        .unwrap();
    assert_eq!(sibling.ends_at.as_unix(), WRITTEN + window);
    let late = look(&source, TokenKind::Refresh, WRITTEN + window)
        .await
        .unwrap_err();
    assert!(
        matches!(late, TakeOverError::Unfit(Unfit::Replaced)),
        "{late}"
    );
    let strict = Terms {
        refresh_window: Duration::ZERO,
        ..terms(WRITTEN + 1)
    };
    let late = source.look(TokenKind::Refresh, OLD_REFRESH, strict).await;
    assert!(
        matches!(late, Err(TakeOverError::Unfit(Unfit::Replaced))),
        "{late:?}"
    );
}

#[tokio::test]
async fn nobody_gets_the_identity_tokens_of_another_user() {
    let client =
        |members: Value| move |old: &OldRecords| old.change(OldKind::Client, OLD_CLIENT, &members);
    let other = client(json!({ "identityAuthId": "user-2" }));
    assert_eq!(refused(other).await, Unfit::OtherUser);
    let unknown = client(json!({ "identityAuthId": null }));
    assert_eq!(refused(unknown).await, Unfit::OtherUser);
    let erased = client(json!({ "identityAuthAccessToken": null, "identityAuthId": null }));
    assert_eq!(refused(erased).await, Unfit::NoIdentity);
    // A grant that is another's than its token says.
    let stranger = json!({ "accountId": "user-2" });
    let mixed = |old: &OldRecords| old.change(OldKind::Grant, OLD_GRANT, &stranger);
    assert_eq!(refused(mixed).await, Unfit::Malformed);
    // Some providers number their users.
    let (records, source) = source(OldRecords::of_one_user());
    change_tokens(&records, &json!({ "accountId": 17 }));
    records.change(OldKind::Grant, OLD_GRANT, &json!({ "accountId": 17 }));
    records.change(
        OldKind::Client,
        OLD_CLIENT,
        &json!({ "identityAuthId": 17 }),
    );
    let session = look(&source, TokenKind::Access, WRITTEN).await.unwrap();
    assert_eq!(session.facts.subject.as_str(), "17");
}

#[tokio::test]
async fn records_that_are_no_records_are_named_as_such() {
    for junk in ["", "{", "[]", "null", "{\"jti\":1}"] {
        let tokens = |old: &OldRecords| {
            old.put_text(OldKind::AccessToken, OLD_ACCESS, junk);
            old.put_text(OldKind::RefreshToken, OLD_REFRESH, junk);
        };
        assert_eq!(refused(tokens).await, Unfit::Malformed, "{junk}");
        let grant = |old: &OldRecords| old.put_text(OldKind::Grant, OLD_GRANT, junk);
        assert_eq!(refused(grant).await, Unfit::Malformed, "{junk}");
        if junk != "{\"jti\":1}" {
            let client = |old: &OldRecords| old.put_text(OldKind::Client, OLD_CLIENT, junk);
            let unfit = Unfit::Client(UnfitClient::Malformed);
            assert_eq!(refused(client).await, unfit, "{junk}");
        }
    }
    for members in [
        json!({ "jti": "another" }),
        json!({ "kind": "DeviceCode" }),
        json!({ "format": "jwt" }),
        json!({ "accountId": null }),
        json!({ "scope": "a\"b" }),
    ] {
        let reason = refused(|old| change_tokens(old, &members)).await;
        assert_eq!(reason, Unfit::Malformed, "{members}");
    }
    let gone = |old: &OldRecords| old.remove(OldKind::Client, OLD_CLIENT);
    assert_eq!(refused(gone).await, Unfit::NoClient);
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_stays_behind() {
    for member in ["jkt", "x5t#S256", "attestationJkt"] {
        let bound = json!({ member: "thumbprint" });
        assert_eq!(
            refused(|old| change_tokens(old, &bound)).await,
            Unfit::KeyBound
        );
    }
}

#[tokio::test]
async fn a_token_without_offline_access_lives_only_with_its_browser_session() {
    let (records, source) = source(OldRecords::of_one_user());
    change_tokens(&records, &json!({ "expiresWithSession": true }));
    let over = async || {
        let looked = look(&source, TokenKind::Access, WRITTEN).await;
        matches!(looked, Err(TakeOverError::Unfit(Unfit::SessionOver)))
    };
    assert!(over().await);
    records.put_text(OldKind::SessionUid, SESSION_UID, "session-id");
    assert!(over().await);
    let session = json!({
        "exp": WRITTEN + DAY,
        "accountId": "user-1",
        "authorizations": { OLD_CLIENT: { "grantId": OLD_GRANT } },
    });
    records.put(OldKind::Session, "session-id", &session);
    assert!(!over().await);
    for members in [
        json!({ "exp": WRITTEN }),
        json!({ "accountId": "user-2" }),
        json!({ "authorizations": { OLD_CLIENT: { "grantId": "another" } } }),
        json!({ "authorizations": {} }),
    ] {
        records.put(OldKind::Session, "session-id", &session);
        records.change(OldKind::Session, "session-id", &members);
        assert!(over().await, "{members}");
    }
}

#[tokio::test]
async fn with_several_servers_a_token_must_name_its_own() {
    let (records, mut source) = source(OldRecords::of_one_user());
    let second = resource_at("/second");
    source.resources.push((second.clone(), PROVIDER.to_owned()));
    let looked = look(&source, TokenKind::Access, WRITTEN).await;
    assert!(matches!(
        looked,
        Err(TakeOverError::Unfit(Unfit::NoResource))
    ));
    let named = json!({ "aud": second.as_str() });
    records.change(OldKind::AccessToken, OLD_ACCESS, &named);
    let session = look(&source, TokenKind::Access, WRITTEN).await.unwrap();
    assert_eq!(session.facts.resource, second);
    let named = json!({ "resource": [second.as_str()] });
    records.change(OldKind::RefreshToken, OLD_REFRESH, &named);
    let session = look(&source, TokenKind::Refresh, WRITTEN).await.unwrap();
    assert_eq!(session.facts.resource, second);
}

#[tokio::test]
async fn scopes_that_are_not_offered_any_more_are_dropped() {
    let (records, source) = source(OldRecords::of_one_user());
    change_tokens(&records, &json!({ "scope": "openid old:scope profile" }));
    let session = look(&source, TokenKind::Access, WRITTEN).await.unwrap();
    assert_eq!(session.facts.scopes.to_string(), "openid profile");
}

fn taken(members: &Value) -> Result<TakenClient, UnfitClient> {
    let mut record = client_record();
    for (name, value) in members.as_object().unwrap() {
        record[name] = value.clone();
    }
    let record = OldRecord {
        text: SecretString::new(record.to_string()),
        consumed: None,
    };
    let id = ClientId::parse(OLD_CLIENT).unwrap();
    let hosts = AllowedRedirectHosts::default();
    client_of(&id, &record, &hosts, Timestamp::from_unix(WRITTEN))
}

#[test]
fn a_client_keeps_its_identifier_its_secret_and_where_it_is_redirected() {
    let client = taken(&json!({})).unwrap();
    assert_eq!(client.left_out, Vec::<String>::new());
    let client = client.client;
    assert_eq!(client.id.as_str(), OLD_CLIENT);
    assert_eq!(client.issued_at.as_unix(), WRITTEN - 3 * DAY);
    assert_eq!(client.secret_hash, None);
    assert_eq!(
        client.metadata.client_name.as_deref(),
        Some("An MCP client")
    );
    let redirects: Vec<_> = client.metadata.redirect_uris.iter().collect();
    assert_eq!(redirects[0].as_str(), "http://127.0.0.1:33418/");
    assert_eq!(
        redirects[1].as_str(),
        "cursor://anysphere.cursor-retrieval/oauth"
    );
    let confidential = taken(&json!({
        "token_endpoint_auth_method": "client_secret_post",
        "client_secret": "the secret",
        "client_secret_expires_at": 0,
    }));
    let hash = store::seal::sha256(b"the secret");
    assert_eq!(confidential.unwrap().client.secret_hash, Some(hash));
    // A public client's secret would be compared by nobody.
    let public = taken(&json!({ "client_secret": "the secret" })).unwrap();
    assert_eq!(public.client.secret_hash, None);
}

#[test]
fn what_a_client_can_do_without_is_left_out_and_said() {
    let client = taken(&json!({
        "redirect_uris": ["http://elsewhere.example/", "http://127.0.0.1:1/", "javascript:alert(1)"],
        "client_name": "x".repeat(200),
        "logo_uri": "data:image/png;base64,AA",
    }))
    .unwrap();
    assert_eq!(client.client.metadata.redirect_uris.len(), 1);
    assert_eq!(client.client.metadata.client_name, None);
    let left_out = client.left_out.join("\n");
    for member in ["redirect_uris", "client_name", "logo_uri"] {
        assert!(left_out.contains(member), "{left_out}");
    }
    assert_eq!(client.left_out.len(), 4);
}

#[test]
fn a_client_that_could_not_go_on_is_refused_with_the_reason() {
    let reason = |members: Value| taken(&members).unwrap_err();
    let nowhere = json!({ "redirect_uris": ["http://elsewhere.example/"] });
    assert!(reason(nowhere).to_string().contains("redirect_uris"));
    let unknown = json!({ "token_endpoint_auth_method": "tls_client_auth" });
    let text = reason(unknown).to_string();
    assert!(text.contains("token_endpoint_auth_method"), "{text}");
    let expired = json!({
        "token_endpoint_auth_method": "client_secret_basic",
        "client_secret": "the secret",
        "client_secret_expires_at": WRITTEN,
    });
    assert_eq!(reason(expired), UnfitClient::SecretExpired);
    let secretless = json!({ "token_endpoint_auth_method": "client_secret_basic" });
    assert_eq!(reason(secretless), UnfitClient::Malformed);
    let another = json!({ "client_id": "another" });
    assert_eq!(reason(another), UnfitClient::Malformed);
}
