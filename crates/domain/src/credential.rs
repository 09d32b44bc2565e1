//! The form of our tokens and codes (kinds, fields, checksum).
//!
//! 78 bytes in base64url behind a prefix that names kind and version, 110 characters in all:
//! grant id 16, pad number 2, generation 4, expiry 4, half 32, MAC 16, CRC-32 4 (big-endian).
//! The half is the grant's root (refresh, code) or key (access) XOR a pad of the record; only
//! together they open anything. A device code is older than its grant: its half is a secret of its
//! own, to which the root is sealed later. Keys and MACs are computed where the record is at hand.

#[cfg(test)]
mod tests;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    id::GrantId,
    secret::{SecretBytes, SecretString},
    time::Timestamp,
};

/// What a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// An access token: `mpat1_`.
    Access,
    /// A refresh token: `mprt1_`.
    Refresh,
    /// An authorization code: `mpac1_`.
    Code,
    /// A device code (RFC 8628): `mpdc1_`.
    Device,
}

/// A well-formed credential whose checksum is right; nothing else is known of it yet.
#[derive(Clone)]
pub struct Credential {
    /// What it is for.
    pub kind: CredentialKind,
    /// The grant it belongs to.
    pub grant: GrantId,
    /// Number of the pad that its half was made with.
    pub pad_number: u16,
    /// Generation of the refresh line.
    pub generation: u32,
    /// Expiry in Unix seconds; 0 on refresh tokens, which bear no time.
    pub expires_at: u32,
    /// Root or key, XOR the pad; of a device code, its secret.
    pub half: SecretBytes<32>,
    /// First 16 bytes of the HMAC over [`Credential::authenticated_bytes`].
    pub mac: [u8; MAC_BYTES],
}

/// Why a text is no credential. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this server")]
pub struct MalformedCredential;

/// Length of the MAC in bytes.
pub const MAC_BYTES: usize = 16;
const PREFIX_CHARS: usize = 6;
const FIELD_BYTES: usize = 58;
const BYTES: usize = 78;
/// Length of every credential's text in characters.
pub const CREDENTIAL_CHARS: usize = PREFIX_CHARS + BYTES * 4 / 3;

// === impl CredentialKind ===

impl CredentialKind {
    /// The text that every credential of this kind begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "mpat1_",
            Self::Refresh => "mprt1_",
            Self::Code => "mpac1_",
            Self::Device => "mpdc1_",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Access, Self::Refresh, Self::Code, Self::Device]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))
    }
}

// === impl Credential ===

impl Credential {
    /// Reads a credential of any kind; junk fails here, without a look-up.
    ///
    /// # Errors
    /// If prefix, length, alphabet or checksum is wrong.
    pub fn parse(text: &str) -> Result<Self, MalformedCredential> {
        if text.len() != CREDENTIAL_CHARS || !text.is_ascii() {
            return Err(MalformedCredential);
        }
        let kind = CredentialKind::of(text).ok_or(MalformedCredential)?;
        let (_, body) = text.split_at(PREFIX_CHARS);
        let mut bytes = [0_u8; BYTES];
        let read = URL_SAFE_NO_PAD
            .decode_slice(body, &mut bytes)
            .map_err(|_| MalformedCredential)?;
        if read != BYTES {
            return Err(MalformedCredential);
        }
        let mut reader = Reader(&bytes);
        let credential = Self {
            kind,
            grant: GrantId::from_bytes(reader.take()?),
            pad_number: u16::from_be_bytes(reader.take()?),
            generation: u32::from_be_bytes(reader.take()?),
            expires_at: u32::from_be_bytes(reader.take()?),
            half: SecretBytes::new(reader.take()?),
            mac: reader.take()?,
        };
        let checksum = u32::from_be_bytes(reader.take()?);
        if checksum == credential.checksum() {
            Ok(credential)
        } else {
            Err(MalformedCredential)
        }
    }

    /// Prefix and all fields before the MAC: what the MAC is computed over.
    pub fn authenticated_bytes(&self) -> [u8; PREFIX_CHARS + FIELD_BYTES] {
        let mut bytes = [0_u8; PREFIX_CHARS + FIELD_BYTES];
        let fields = self
            .kind
            .prefix()
            .bytes()
            .chain(*self.grant.as_bytes())
            .chain(self.pad_number.to_be_bytes())
            .chain(self.generation.to_be_bytes())
            .chain(self.expires_at.to_be_bytes())
            .chain(*self.half.expose());
        for (slot, byte) in bytes.iter_mut().zip(fields) {
            *slot = byte;
        }
        bytes
    }

    /// The token as it goes over the wire.
    pub fn encode(&self) -> SecretString {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(
            self.authenticated_bytes()
                .get(PREFIX_CHARS..)
                .unwrap_or_default(),
        );
        bytes.extend_from_slice(&self.mac);
        bytes.extend_from_slice(&self.checksum().to_be_bytes());
        let mut text = String::with_capacity(CREDENTIAL_CHARS);
        text.push_str(self.kind.prefix());
        URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
        SecretString::new(text)
    }

    /// Whether the expiry it carries (if any) lies in the past.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at != 0 && u64::from(self.expires_at) <= now.as_unix()
    }

    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.authenticated_bytes());
        hasher.update(&self.mac);
        hasher.finalize()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("kind", &self.kind)
            .field("grant", &self.grant)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Takes fixed-size fields off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], MalformedCredential> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(MalformedCredential)?;
        self.0 = rest;
        Ok(*head)
    }
}
