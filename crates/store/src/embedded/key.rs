//! The names of records.

use domain::id::{ClientId, GrantId};

/// The key of a record: a letter for its kind, then its name.
#[derive(Clone)]
pub(super) struct Key(Vec<u8>);

/// Kind of a registration.
pub(super) const CLIENT: u8 = b'c';
/// Kind of an interaction.
pub(super) const INTERACTION: u8 = b'n';

// === impl Key ===

impl Key {
    pub(super) fn client(client: &ClientId) -> Self {
        Self::new(CLIENT, &[client.as_str().as_bytes()])
    }

    pub(super) fn interaction(uid: &[u8; 16]) -> Self {
        Self::new(INTERACTION, &[uid])
    }

    pub(super) fn state(state: &[u8; 32]) -> Self {
        Self::new(b's', &[state])
    }

    pub(super) fn mark(mark: &[u8; 32]) -> Self {
        Self::new(b'o', &[mark])
    }

    pub(super) fn grant(grant: &GrantId) -> Self {
        Self::new(b'g', &[grant.as_bytes()])
    }

    pub(super) fn identity(grant: &GrantId) -> Self {
        Self::new(b'i', &[grant.as_bytes()])
    }

    pub(super) fn device(grant: &GrantId) -> Self {
        Self::new(b'd', &[grant.as_bytes()])
    }

    pub(super) fn user_code(user_code: &[u8; 16]) -> Self {
        Self::new(b'e', &[user_code])
    }

    /// What was taken over of another server, or the prefix of all of that.
    pub(super) fn imported(name: Option<&[u8; 32]>) -> Self {
        Self::new(b'm', &[name.map_or(&[][..], |name| name)])
    }

    /// The entry of a grant under its holder, or the prefix of all of them.
    pub(super) fn holder(holder: &[u8; 32], grant: Option<&GrantId>) -> Self {
        let grant = grant.map_or(&[][..], |grant| grant.as_bytes());
        Self::new(b'u', &[holder, grant])
    }

    /// The mark of a move, which has no end.
    pub(super) fn move_mark() -> Self {
        Self::new(b'!', &[])
    }

    /// What a record is of, for people.
    pub(super) fn kind_of(key: &[u8]) -> &'static str {
        match key.first() {
            Some(&CLIENT) => "registration of a client",
            Some(&INTERACTION) => "login under way",
            Some(b's') => "state of a login",
            Some(b'o') => "mark of what counts once",
            Some(b'g') => "grant",
            Some(b'i') => "identity session",
            Some(b'd') => "device that waits",
            Some(b'e') => "user code",
            Some(b'u') => "grant of a person",
            Some(b'm') => "token that was taken over",
            Some(b'!') => "mark of a move",
            _ => "unknown kind",
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn new(kind: u8, parts: &[&[u8]]) -> Self {
        let mut key = vec![kind];
        for part in parts {
            key.extend_from_slice(part);
        }
        Self(key)
    }
}
