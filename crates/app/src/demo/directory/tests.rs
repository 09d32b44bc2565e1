use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use rustix::process::geteuid;
use tempfile::TempDir;

use super::{DemoDirectory, PASSWORD_FILE};
use crate::system::SystemRandom;

fn open(temporary: &TempDir, fresh: bool) -> anyhow::Result<DemoDirectory> {
    DemoDirectory::open(temporary.path(), geteuid().as_raw(), fresh)
}

fn password(directory: &DemoDirectory) -> String {
    let password = directory.password(&SystemRandom, |_| Ok("$argon2id$hash".to_owned()));
    password.unwrap().expose().to_owned()
}

fn refusal(temporary: &TempDir) -> String {
    open(temporary, false).unwrap_err().to_string()
}

#[test]
fn the_next_start_finds_the_same_user() {
    let temporary = tempfile::tempdir().unwrap();
    let first = password(&open(&temporary, false).unwrap());
    let directory = open(&temporary, false).unwrap();
    assert_eq!(password(&directory), first);
    let users = fs::read_to_string(directory.users_file()).unwrap();
    assert!(
        users.contains("name = \"demo\"") && users.contains("$argon2id$hash"),
        "{users}"
    );
    assert!(!users.contains(&first));
}

#[test]
fn all_of_it_is_its_owners_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = open(&temporary, false).unwrap();
    password(&directory);
    let mode = |path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(directory.path().to_owned()), 0o700);
    for entry in fs::read_dir(directory.path()).unwrap() {
        assert_eq!(mode(entry.unwrap().path()), 0o600);
    }
}

#[test]
fn passwords_are_long_and_differ() {
    let temporary = tempfile::tempdir().unwrap();
    let first = password(&open(&temporary, false).unwrap());
    let second = password(&open(&temporary, true).unwrap());
    assert_ne!(first, second);
    for text in [first, second] {
        assert_eq!(text.len(), 19);
        assert!(text.split('-').all(|group| group.len() == 4), "{text}");
    }
}

#[test]
fn fresh_forgets_everything() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = open(&temporary, false).unwrap();
    password(&directory);
    fs::create_dir(directory.path().join("below")).unwrap();
    fs::write(directory.path().join("below/file"), "x").unwrap();
    let path = directory.path().to_owned();
    drop(directory);

    let _directory = open(&temporary, true).unwrap();
    let names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["demo.lock"]);
}

#[test]
fn a_running_demo_is_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let mut directory = open(&temporary, false).unwrap();
    let first = password(&directory);
    directory.say("http://localhost:3001/mcp").unwrap();
    for fresh in [false, true] {
        let error = open(&temporary, fresh).unwrap_err().to_string();
        assert!(error.contains("http://localhost:3001/mcp"), "{error}");
    }
    assert_eq!(password(&directory), first);
}

#[test]
fn half_a_start_is_made_whole() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = open(&temporary, false).unwrap();
    let first = password(&directory);
    fs::remove_file(directory.path().join(PASSWORD_FILE)).unwrap();
    assert_ne!(password(&directory), first);
}

#[test]
fn a_trap_under_its_name_is_refused_and_left_as_it_is() {
    let temporary = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let uid = geteuid().as_raw();
    let path = temporary.path().join(format!("mcp-auth-proxy-demo-{uid}"));
    symlink(elsewhere.path(), &path).unwrap();
    assert!(refusal(&temporary).contains("no directory"));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(refusal(&temporary).contains("open to other users"));

    // As if the directory were made by somebody else.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let other = temporary
        .path()
        .join(format!("mcp-auth-proxy-demo-{}", uid + 1));
    fs::rename(&path, other).unwrap();
    let error = DemoDirectory::open(temporary.path(), uid + 1, false).unwrap_err();
    assert!(error.to_string().contains("another user"), "{error}");
}
