//! Sealing (AES-256-GCM) under keys that are derived where they are needed (HKDF-SHA-256).

pub mod letter_box;

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    hmac,
};
use domain::{random::Random, secret::SecretBytes};
use zeroize::Zeroizing;

/// Names this software and the version of its derivations in every key.
const LABEL: &[u8] = b"mcp-auth-proxy 1 ";

/// Derives an independent secret for one purpose: HKDF-SHA-256, info = label, purpose, 0, issuer.
/// The issuer is ours, so that a store copied under another base URL opens nothing.
pub fn derive<const N: usize>(
    secret: &[u8],
    salt: &[u8],
    purpose: &str,
    issuer: &str,
) -> SecretBytes<N> {
    let mut derived = Zeroizing::new([0_u8; N]);
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    let info = [LABEL, purpose.as_bytes(), &[0], issuer.as_bytes()];
    // HKDF fails only for outputs beyond 255 hash lengths; N is a few bytes. Were it to fail, the
    // key would be all zero, so stop instead.
    let filled = extracted
        .expand(&info, OutputLength(N))
        .and_then(|output| output.fill(derived.as_mut_slice()));
    assert!(filled.is_ok(), "HKDF refused {N} bytes");
    SecretBytes::new(*derived)
}

/// SHA-256, for what is long and random and may stand in the store as a hash.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut hash = [0_u8; 32];
    for (slot, byte) in hash.iter_mut().zip(digest(&SHA256, data).as_ref()) {
        *slot = *byte;
    }
    hash
}

/// A key for message authentication codes and keyed hashes: HMAC-SHA-256, cut to 16 bytes.
pub struct MacKey(hmac::Key);

/// A key that seals: AES-256-GCM with random nonces.
pub struct SealKey(LessSafeKey);

struct OutputLength(usize);

impl KeyType for OutputLength {
    fn len(&self) -> usize {
        self.0
    }
}

// === impl MacKey ===

impl MacKey {
    /// Derives the key; see [`derive()`].
    pub fn derive(secret: &[u8], salt: &[u8], purpose: &str, issuer: &str) -> Self {
        let key = derive::<32>(secret, salt, purpose, issuer);
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    /// The code of some data.
    pub fn mac(&self, data: &[u8]) -> [u8; 16] {
        let tag = hmac::sign(&self.0, data);
        let mut mac = [0_u8; 16];
        for (slot, byte) in mac.iter_mut().zip(tag.as_ref()) {
            *slot = *byte;
        }
        mac
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MacKey([redacted])")
    }
}

// === impl SealKey ===

impl SealKey {
    /// Derives the key; see [`derive()`].
    pub fn derive(secret: &[u8], salt: &[u8], purpose: &str, issuer: &str) -> Self {
        let key = derive::<32>(secret, salt, purpose, issuer);
        let key = UnboundKey::new(&AES_256_GCM, key.expose());
        // An AES-256 key is any 32 bytes.
        #[expect(clippy::expect_used, reason = "the length is right by type")]
        Self(LessSafeKey::new(key.expect("32 bytes are an AES-256 key")))
    }

    /// Seals data, bound to the associated data: nonce, ciphertext, tag.
    pub fn seal(&self, associated: &[&[u8]], plain: &[u8], random: &dyn Random) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random.bytes();
        // The plain text is encrypted where it stands, so that no copy of it is left behind; the
        // capacity is final from the start for the same reason.
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        let mut body = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        body.extend_from_slice(plain);
        let done = self.0.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bind(associated)),
            &mut body,
        );
        // AES-GCM refuses only plain texts beyond 64 GiB.
        assert!(done.is_ok(), "AES-GCM refused {} bytes", plain.len());
        sealed.extend_from_slice(&body);
        sealed
    }

    /// Opens what [`SealKey::seal`] made with the same key and associated data; `None` for
    /// anything else.
    pub fn open(&self, associated: &[&[u8]], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .0
            .open_in_place(nonce, Aad::from(bind(associated)), &mut body)
            .ok()?;
        let length = plain.len();
        body.truncate(length);
        Some(body)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealKey([redacted])")
    }
}

/// Joins the parts with their lengths, so that no two lists of parts give the same bytes.
fn bind(parts: &[&[u8]]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

#[cfg(test)]
mod tests;
