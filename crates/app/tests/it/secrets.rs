//! Whether the search for secrets at the end of each story would find one.

use anyhow::Result;

use crate::harness::Stage;

#[tokio::test]
async fn each_story_knows_its_secrets() -> Result<()> {
    let stage = Stage::open().await?;
    let before = stage.witness.count();
    stage.logged_in("alice").await?;
    // Ours: cookie, state, verifier, code, access, refresh and ID token; the provider's as many.
    let learned = stage.witness.count() - before;
    assert!(learned >= 12, "only {learned} secrets of a login are known");
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "secrets stand where none may")]
async fn a_secret_in_the_log_or_the_store_is_found() {
    let stage = Stage::open().await.unwrap();
    // What each start says, as if it were one.
    stage.witness.remember("redirect URI to register");
}
