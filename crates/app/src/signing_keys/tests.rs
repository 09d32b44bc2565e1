use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

use domain::time::Timestamp;
use jose::signing::SigningKeys;

use super::{FILE, load_or_make};

const UNFINISHED: &str = "signing-keys.json.new";
const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

#[test]
fn keys_are_made_once_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let made = load_or_make(directory.path(), NOW).unwrap();
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

    assert!(load_or_make(directory.path(), NOW).unwrap() == made);
}

#[test]
fn an_interrupted_start_leaves_no_half_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(UNFINISHED), "{\"keys\":[{\"k").unwrap();
    let made = load_or_make(directory.path(), NOW).unwrap();
    assert!(SigningKeys::parse(made.expose()).is_ok());
    assert!(!directory.path().join(UNFINISHED).exists());
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, "{\"keys\":[]}").unwrap();
    let error = load_or_make(directory.path(), NOW).unwrap_err().to_string();
    assert!(error.contains(FILE) && error.contains("backup"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"keys\":[]}");
}

#[test]
fn a_file_that_was_open_to_others_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    load_or_make(directory.path(), NOW).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    load_or_make(directory.path(), NOW).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_with_a_cure() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere");
    let error = load_or_make(&nowhere, NOW).unwrap_err().to_string();
    assert!(error.contains("OIDC_PROVIDER_JWKS"), "{error}");
}
