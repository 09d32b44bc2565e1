use super::*;

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

fn plain_metadata(fake: &Fake, issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": fake.url("/authorize"),
        "token_endpoint": fake.url("/token"),
    })
}

#[tokio::test]
async fn a_provider_is_found_in_each_form_of_discovery() {
    for (issuer_path, place) in [
        ("", OPENID.to_owned()),
        ("", OAUTH.to_owned()),
        ("/realms/a", format!("/realms/a{OPENID}")),
        ("/realms/a", format!("{OAUTH}/realms/a")),
        ("/realms/a", format!("{OPENID}/realms/a")),
    ] {
        let fake = Fake::start().await;
        let issuer = format!("{}{issuer_path}", fake.issuer());
        fake.always(&place, Reply::json(&plain_metadata(&fake, &issuer)));
        for asked in [
            fake.url(issuer_path),
            fake.url(&format!("{issuer_path}/")),
            fake.url(&place),
        ] {
            let source = MetadataSource::Discovery(asked.clone());
            let provider = connect(settings(source, "global")).await.unwrap();
            assert_eq!(provider.issuer(), issuer, "{asked} {place}");
        }
    }
}

#[tokio::test]
async fn a_page_for_everything_does_not_hide_the_second_form() {
    let fake = Fake::start().await;
    fake.always(OPENID, Reply::status(200, "<html>welcome</html>"));
    let metadata = plain_metadata(&fake, fake.issuer());
    fake.always(OAUTH, Reply::json(&metadata));
    assert!(connect(discovered(&fake, "global")).await.is_ok());
}

#[tokio::test]
async fn passing_faults_are_tried_again() {
    let fake = Fake::start().await;
    fake.next(OPENID, Reply::status(503, ""));
    fake.next(OPENID, Reply::status(429, ""));
    fake.next(OPENID, Reply::status(404, ""));
    fake.next(OPENID, Reply::status(500, ""));
    let metadata = plain_metadata(&fake, fake.issuer());
    fake.always(OPENID, Reply::json(&metadata));
    assert!(connect(discovered(&fake, "global")).await.is_ok());
    assert_eq!(fake.seen(OPENID).len(), 5);
    // A fault at one place does not send us to the next.
    assert_eq!(fake.seen(OAUTH).len(), 1);
}

#[tokio::test]
async fn after_five_tries_the_failure_says_what_was_answered_where() {
    let fake = Fake::start().await;
    fake.always(OPENID, Reply::redirect(&fake.url("/elsewhere")));
    let error = connect(discovered(&fake, "global")).await.unwrap_err();
    assert!(matches!(error, MetadataError::Unreachable(_)));
    let text = error.to_string();
    for part in [
        OPENID,
        "redirects are not followed",
        OAUTH,
        "404",
        "IDENTITY_SERVER_URL",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(fake.seen(OPENID).len(), 5);
    assert_eq!(fake.seen("/elsewhere").len(), 0);
}

#[tokio::test]
async fn a_provider_that_hangs_or_is_not_there_is_given_up() {
    let fake = Fake::start().await;
    fake.always(OPENID, Reply::never());
    let quick = Pace {
        pauses: vec![Duration::from_millis(1)],
        request: Duration::from_millis(20),
        total: Duration::from_secs(20),
    };
    let limit = Duration::from_secs(1);
    let hung = discovered(&fake, "global");
    let error = UpstreamProvider::connect_at(hung, client(), ManualClock::new(), &quick, limit)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");

    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let absent = Url::parse(&format!("http://{address}")).unwrap();
    let error = connect(settings(MetadataSource::Discovery(absent), "global"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no connection"), "{error}");
}

#[tokio::test]
async fn another_issuer_stops_the_start_unless_the_operator_vouches_for_it() {
    let fake = Fake::start().await;
    let outside = "https://login.example";
    fake.always(OPENID, Reply::json(&plain_metadata(&fake, outside)));
    let error = connect(discovered(&fake, "global")).await.unwrap_err();
    let MetadataError::IssuerMismatch { expected, found } = error else {
        panic!("{error}");
    };
    assert_eq!(
        (expected.as_str(), found.as_str()),
        (fake.issuer(), outside)
    );

    let mut vouched = discovered(&fake, "global");
    vouched.issuer = Some(outside.to_owned());
    let provider = connect(vouched).await.unwrap();
    assert_eq!(provider.issuer(), outside);
    assert_eq!(provider.display_name(), "login.example");
}

#[tokio::test]
async fn a_metadata_file_needs_no_network() {
    let directory = tempfile::tempdir().unwrap();
    let source = write(
        directory.path(),
        &json!({
            "issuer": "https://id.heroku.com",
            "authorization_endpoint": "https://id.heroku.com/oauth/authorize",
            "token_endpoint": "https://id.heroku.com/oauth/token",
            "scopes_supported": ["global", "identity"],
        }),
    );
    let provider = connect(settings(source, "global")).await.unwrap();
    assert_eq!(provider.display_name(), "id.heroku.com");
    assert_eq!(
        provider.scopes_with(&ScopeSet::default()).to_string(),
        "global"
    );
}

#[tokio::test]
async fn a_file_that_is_absent_or_wrong_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.json");
    let absent = settings(MetadataSource::File(path), "global");
    let error = connect(absent).await.unwrap_err();
    assert!(error.to_string().contains("none.json"), "{error}");
    let empty = settings(write(directory.path(), &json!({})), "global");
    let error = connect(empty).await.unwrap_err();
    assert!(matches!(error, MetadataError::Invalid(_)), "{error}");
    let list = settings(write(directory.path(), &json!([])), "global");
    let error = connect(list).await.unwrap_err();
    assert!(matches!(error, MetadataError::File(_)), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let fake = Fake::start().await;
    let long = format!("{{\"issuer\":\"{}\"}}", "x".repeat(crate::http::MAX_BODY));
    fake.always(OPENID, Reply::status(200, &long));
    let error = connect(discovered(&fake, "global")).await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}
