//! Documents that are written from code, and held to it.

use std::{fs, path::Path};

/// Compares a file of the repository with what it should be; writes it instead where
/// `UPDATE_DOCS` is set.
///
/// # Errors
/// If they differ, with what to do; or if the file cannot be written.
pub fn hold(path: &str, expected: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, expected).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let held = fs::read_to_string(&path).unwrap_or_default();
    if held == expected {
        Ok(())
    } else {
        Err(format!(
            "{} is stale: run this test once more with UPDATE_DOCS=1",
            path.display()
        ))
    }
}
