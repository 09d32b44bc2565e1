//! Configurations as operators write them. `meaning` is what they mean, `mercies` what is forgiven,
//! `wrong` what stops the start, `file` the TOML file, `told` what is printed and doubted, `child`
//! the MCP server's environment.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::env::table as variable;

mod child;
mod file;
mod meaning;
mod mercies;
mod told;
mod wrong;

/// A users file that can be used.
const USERS: &str = include_str!("../../../../docs/samples/users.toml");

/// What a start needs at least.
const LEAST: [(&str, &str); 6] = [
    ("BASE_URL", "https://mcp.example.com"),
    ("MCP_SERVER_URL", "http://localhost:3000/mcp"),
    ("IDENTITY_SERVER_URL", "https://login.example.com"),
    ("IDENTITY_CLIENT_ID", "proxy"),
    ("IDENTITY_CLIENT_SECRET", "hunter2"),
    ("HOME", "/home/me"),
];

/// That, with `more` over it.
fn environment(more: &[(&str, &str)]) -> Environment {
    more.iter()
        .fold(Environment::of(LEAST), |environment, (name, value)| {
            environment.with(*name, *value)
        })
}

/// That, without some of it.
fn environment_without(names: &[&str]) -> Environment {
    environment(&[]).without(|name| names.iter().any(|dropped| name == *dropped))
}

fn loaded_from(environment: &Environment) -> (Config, Vec<Warning>) {
    load(&Flags::default(), environment).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Loads what must be without faults and warnings.
fn config(more: &[(&str, &str)]) -> Config {
    let (config, warnings) = loaded_from(&environment(more));
    assert_eq!(warnings, []);
    config
}

/// Loads what must be without faults; the warnings as they are logged.
fn warned(more: &[(&str, &str)]) -> (Config, Vec<String>) {
    let (config, warnings) = loaded_from(&environment(more));
    (config, warnings.iter().map(ToString::to_string).collect())
}

fn refused_from(environment: &Environment) -> String {
    let faults = load(&Flags::default(), environment)
        .map(|_| ())
        .expect_err("it is to be refused");
    assert!(!faults.is_empty());
    let text = faults.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    text
}

/// The report on what must have faults.
fn refused(more: &[(&str, &str)]) -> String {
    refused_from(&environment(more))
}

/// The one fault of what must have just one, without its heading.
fn fault(more: &[(&str, &str)]) -> String {
    let text = refused(more);
    let (heading, fault) = text.split_once("\n\n").unwrap();
    assert_eq!(heading, "the configuration has one fault", "{text}");
    fault.to_owned()
}

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

/// The path of a file in it.
fn path_in(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}
