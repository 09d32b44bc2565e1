//! The names of records. What stands in braces decides the slot in a cluster: all records of a
//! grant are neighbours.

use std::fmt::Write as _;

use domain::id::{ClientId, GrantId};

/// Makes the names under one prefix.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
}

/// Behind the configured prefix: the layout. A later one stands beside it.
const LAYOUT: &str = "v1:";

// === impl Keys ===

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: format!("{prefix}{LAYOUT}"),
        }
    }

    /// The configured prefix, under which others may have records too.
    pub(super) fn outer_prefix(&self) -> &str {
        self.prefix.strip_suffix(LAYOUT).unwrap_or(&self.prefix)
    }

    pub(super) fn grant(&self, grant: &GrantId) -> String {
        self.named("g", grant)
    }

    pub(super) fn identity(&self, grant: &GrantId) -> String {
        self.named("i", grant)
    }

    pub(super) fn lease(&self, grant: &GrantId) -> String {
        self.named("l", grant)
    }

    /// That a grant was ended which was absent: its record may have been lost.
    fn absent_end(&self, grant: &GrantId) -> String {
        self.named("e", grant)
    }

    /// What the end of a grant touches.
    pub(super) fn ending(&self, grant: &GrantId) -> [String; 4] {
        [
            self.grant(grant),
            self.identity(grant),
            self.lease(grant),
            self.absent_end(grant),
        ]
    }

    /// What is offered of a grant, and what forbids that.
    pub(super) fn offered(&self, grant: &GrantId) -> [String; 4] {
        [
            self.grant(grant),
            self.identity(grant),
            self.device(grant),
            self.absent_end(grant),
        ]
    }

    pub(super) fn device(&self, grant: &GrantId) -> String {
        self.named("d", grant)
    }

    pub(super) fn user_code(&self, user_code: &[u8; 16]) -> String {
        self.named("dc", hex(user_code))
    }

    pub(super) fn client(&self, client: &ClientId) -> String {
        format!("{}c:{client}", self.prefix)
    }

    /// Registrations that never led to a login, by when they were made.
    pub(super) fn unused_clients(&self) -> String {
        format!("{}unused", self.prefix)
    }

    pub(super) fn interaction(&self, uid: &[u8; 16]) -> String {
        self.named("n", hex(uid))
    }

    /// An interaction or state that was taken, for whoever took it and did not hear the answer.
    pub(super) fn taken(&self, name: &[u8]) -> String {
        self.named("t", hex(name))
    }

    /// Interactions, by their end.
    pub(super) fn interactions(&self) -> String {
        format!("{}interactions", self.prefix)
    }

    pub(super) fn state(&self, state: &[u8; 32]) -> String {
        self.named("s", hex(state))
    }

    pub(super) fn mark(&self, mark: &[u8; 32]) -> String {
        self.named("x", hex(mark))
    }

    /// What somebody has used up of a budget.
    pub(super) fn budget(&self, budget: &[u8; 16]) -> String {
        self.named("b", hex(budget))
    }

    /// What was taken over of another server.
    pub(super) fn imported(&self, name: &[u8; 32]) -> String {
        self.named("m", hex(name))
    }

    /// Says that something was taken over.
    pub(super) fn imports(&self) -> String {
        format!("{}imports", self.prefix)
    }

    /// The grants of a user, by their end.
    pub(super) fn holder(&self, holder: &[u8; 32]) -> String {
        self.named("u", hex(holder))
    }

    /// The sealed signing keys.
    pub(super) fn signing_keys(&self) -> String {
        format!("{}k", self.prefix)
    }

    /// The mark of a move.
    pub(super) fn move_mark(&self) -> String {
        format!("{}move", self.prefix)
    }

    /// What all of them begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Who runs.
    pub(super) fn process(&self, process: &[u8]) -> String {
        self.named("p", hex(process))
    }

    /// What the names of all processes begin with.
    pub(super) fn process_prefix(&self) -> String {
        format!("{}p:", self.prefix)
    }

    /// Where ended grants are announced.
    pub(super) fn channel(&self) -> String {
        format!("{}ended", self.prefix)
    }

    fn named(&self, kind: &str, name: impl std::fmt::Display) -> String {
        format!("{}{kind}:{{{name}}}", self.prefix)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of [`hex`], if there are so many.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    bytes?.try_into().ok()
}
