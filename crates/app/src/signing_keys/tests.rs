use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use domain::{secret::SecretString, time::Timestamp};
use jose::signing::SigningKeys;

use super::{FILE, file_in, generate, keep, load_for_use, look};

const UNFINISHED: &str = "signing-keys.json.new";
const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// As a first start makes them.
fn made_in(directory: &Path) -> SecretString {
    let keys = generate().unwrap();
    keep(&file_in(directory), &keys).unwrap();
    keys
}

#[test]
fn keys_are_made_once_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    assert!(load_for_use(directory.path(), NOW).unwrap().is_none());
    let made = made_in(directory.path());
    let (keys, skipped) = SigningKeys::parse(made.expose()).unwrap();
    assert!(skipped.is_empty());
    assert_eq!(keys.algorithms().first().unwrap(), "RS256");
    for name in ["ES256", "Ed25519"] {
        assert!(
            keys.algorithms().iter().any(|known| known == name),
            "{name}"
        );
    }
    let mode = fs::metadata(directory.path().join(FILE)).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!directory.path().join(UNFINISHED).exists());

    assert!(load_for_use(directory.path(), NOW).unwrap() == Some(made));
}

#[test]
fn an_interrupted_start_leaves_no_half_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(UNFINISHED), "{\"keys\":[{\"k").unwrap();
    assert!(load_for_use(directory.path(), NOW).unwrap().is_none());
    let made = made_in(directory.path());
    assert!(SigningKeys::parse(made.expose()).is_ok());
    assert!(!directory.path().join(UNFINISHED).exists());
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, "{\"keys\":[]}").unwrap();
    let error = load_for_use(directory.path(), NOW).unwrap_err().to_string();
    assert!(error.contains(FILE) && error.contains("backup"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"keys\":[]}");
}

#[test]
fn a_file_that_was_open_to_others_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    made_in(directory.path());
    let mode = || fs::metadata(&path).unwrap().mode() & 0o777;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(look(directory.path()).unwrap().is_some());
    assert_eq!(mode(), 0o644, "a look changes nothing");
    load_for_use(directory.path(), NOW).unwrap();
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_with_a_cure() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere");
    let error = keep(&file_in(&nowhere), &generate().unwrap());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("OIDC_PROVIDER_JWKS"), "{error}");
}
