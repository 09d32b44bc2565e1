use super::*;
use crate::redis::{RedisAddress, RedisTls};
use testkit::redis::Redis;

async fn predecessor(redis: &Redis, prefix: &str) -> RedisPredecessor {
    let settings = RedisSettings {
        address: RedisAddress::parse(&redis.url()).unwrap(),
        tls: RedisTls::default(),
        prefix: prefix.to_owned(),
    };
    RedisPredecessor::connect(&settings).await.unwrap()
}

async fn named(predecessor: &RedisPredecessor) -> Vec<String> {
    let (mut from, mut all) = (Some(0), Vec::new());
    while let Some(place) = from {
        let names = predecessor.names(place).await.unwrap();
        let named = names.names.iter();
        all.extend(named.map(|(kind, id)| format!("{kind:?} {}", id.expose())));
        from = names.next;
    }
    all.sort();
    all.dedup();
    all
}

#[tokio::test]
async fn records_are_read_by_the_layout_of_the_predecessor() {
    let redis = Redis::start().await.unwrap();
    for words in [
        &["SET", "oidc:AccessToken:a", r#"{"jti":"a"}"#][..],
        &["HSET", "oidc:RefreshToken:r", "payload", r#"{"jti":"r"}"#],
        &[
            "HSET",
            "oidc:RefreshToken:s",
            "payload",
            "{}",
            "consumed",
            "1700000000",
        ],
        &["SET", "oidc:uid:u", "session"],
        &["SET", "oidc:Grant:ended", "{}", "PX", "1"],
    ] {
        redis.command(words).await.unwrap();
    }
    let old = predecessor(&redis, "oidc:").await;
    let find = async |kind, id| {
        let found = old.find(kind, id).await.unwrap();
        found.map(|record| (record.text.expose().to_owned(), record.consumed))
    };
    let text = |text: &str, consumed| Some((text.to_owned(), consumed));
    assert_eq!(
        find(OldKind::AccessToken, "a").await,
        text(r#"{"jti":"a"}"#, None)
    );
    assert_eq!(
        find(OldKind::RefreshToken, "r").await,
        text(r#"{"jti":"r"}"#, None)
    );
    let consumed = find(OldKind::RefreshToken, "s").await;
    assert_eq!(consumed, text("{}", Some(1_700_000_000)));
    assert_eq!(find(OldKind::SessionUid, "u").await, text("session", None));
    assert_eq!(find(OldKind::Client, "a").await, None);
    // Gone, and of another type than it should be: that one is there, and cannot be read.
    testkit::wait::until("the record to end", Duration::from_secs(20), || async {
        Ok(old
            .find(OldKind::Grant, "ended")
            .await?
            .is_none()
            .then_some(()))
    })
    .await
    .unwrap();
    redis
        .command(&["SET", "oidc:RefreshToken:t", "{}"])
        .await
        .unwrap();
    assert_eq!(find(OldKind::RefreshToken, "t").await, text("", None));
}

#[tokio::test]
async fn only_what_is_of_use_is_named_and_only_under_the_prefix() {
    let redis = Redis::start().await.unwrap();
    for key in [
        "o[i]dc*:Client:c",
        "o[i]dc*:Grant:g",
        "o[i]dc*:AccessToken:a",
        "o[i]dc*:RefreshToken:r",
        "o[i]dc*:RefreshToken:",
        "o[i]dc*:Session:s",
        "o[i]dc*:grant:g",
        "o[i]dc*:v1:c:client",
        "oidc*:Client:other",
        "oidcX:Client:other",
    ] {
        redis.command(&["SET", key, "{}"]).await.unwrap();
    }
    let old = predecessor(&redis, "o[i]dc*:").await;
    let names = ["AccessToken a", "Client c", "Grant g", "RefreshToken r"];
    assert_eq!(named(&old).await, names);
    assert_eq!(old.size().await.unwrap(), 10);
}

#[tokio::test]
async fn whether_anything_is_there_is_found_out_in_small_steps() {
    let redis = Redis::start().await.unwrap();
    let fill = "for index = 1, 5000 do redis.call('SET', 'oidc:v1:g:' .. index, '1') end";
    redis.command(&["EVAL", fill, "0"]).await.unwrap();
    let fresh = predecessor(&redis, "oidc:").await;
    let mut questions = 0;
    while fresh.may_be_there().await.unwrap() {
        questions += 1;
        assert!(questions < 100, "all keys have been seen by now");
    }
    assert!(questions > 1, "one question went through all keys");
    // Once known it is not asked again.
    redis
        .command(&["SET", "oidc:Client:c", "{}"])
        .await
        .unwrap();
    assert!(!fresh.may_be_there().await.unwrap());
    let later = predecessor(&redis, "oidc:").await;
    for _ in 0..100 {
        assert!(later.may_be_there().await.unwrap());
    }
}
