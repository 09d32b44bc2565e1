//! Clients that cannot run here: conversations written from what is published of them, replayed
//! against the real binary, a real provider and a person's browser.
//!
//! One file a client lies in `tests/recordings`: where it is known from, what the client publishes
//! of itself, and its steps in order, each with what that client insists on. Every conversation
//! that connects ends with tool calls, before and after a refresh, made for the right person.

mod expectation;
mod names;
mod recording;
mod replay;

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::Result;

/// A test for each recording, so that a failure names its client.
macro_rules! recordings {
    ($($test:ident => $file:literal,)*) => {
        $(
            #[tokio::test]
            async fn $test() -> Result<()> {
                replay::replay(&directory().join(concat!($file, ".json"))).await
            }
        )*

        const REPLAYED: &[&str] = &[$($file),*];
    };
}

recordings! {
    a_client_of_2025_03_26_connects => "specification-2025-03-26",
    chatgpt_connects_by_its_keys => "chatgpt",
    chatgpt_connects_without_proof => "chatgpt-none",
    claude_ai_connects_by_its_document => "claude-ai-document",
    claude_ai_connects_with_a_secret => "claude-ai-secret",
    claude_code_connects_by_its_document => "claude-code-document",
    claude_code_connects_by_registering => "claude-code-registration",
    claude_desktop_connects_at_the_root_paths => "claude-desktop",
    codex_connects_by_its_document => "codex-document",
    codex_connects_by_registering => "codex-registration",
    copilot_cli_connects => "copilot-cli",
    cursor_connects => "cursor",
    gemini_cli_connects => "gemini-cli",
    goose_connects => "goose",
    goose_is_told_that_documents_are_turned_off => "goose-documents-off",
    grok_build_connects => "grok-build",
    grok_connects => "grok",
    librechat_connects_several_people => "librechat",
    opencode_connects => "opencode",
    vs_code_connects_by_its_document => "vs-code-document",
    vs_code_connects_by_registering => "vs-code-registration",
    windsurf_connects => "windsurf",
    zed_connects_by_its_document => "zed-document",
    zed_connects_by_registering => "zed-registration",
}

#[test]
fn every_recording_is_replayed() -> Result<()> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(directory())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        files.insert(name.trim_end_matches(".json").to_owned());
    }
    let replayed: BTreeSet<_> = REPLAYED.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(files, replayed);
    Ok(())
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}
