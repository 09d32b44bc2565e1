use serde_json::json;

use super::*;

#[test]
fn finds_what_it_was_told_and_what_counterparts_wrote_down() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secrets");
    let witness = Witness::default();
    witness.remember("a-long-enough-secret");
    witness.remember("short");
    witness.remember_members(&json!({
        "tokens": { "access_token": "token-of-the-story", "token_type": "Bearer-and-more-text" },
        "verifiers": ["verifier-of-the-story"],
    }));
    witness.remember_file(&file);
    std::fs::write(&file, "secret-of-the-provider\n").unwrap();

    for secret in [
        "a-long-enough-secret",
        "token-of-the-story",
        "verifier-of-the-story",
        "secret-of-the-provider",
    ] {
        let line = format!("level=info message=\"x {secret} y\"");
        assert_eq!(witness.found_in(line.as_bytes()).len(), 1, "{secret}");
    }
    assert!(witness.found_in(b"short Bearer-and-more-text").is_empty());
    assert_eq!(witness.count(), 4);
}
