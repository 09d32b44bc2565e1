//! Values that must not be printed, and are compared in constant time.

use std::{fmt, sync::Arc};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Text that is never printed: a token, a code, a client secret. Cheap to clone: clones share the
/// text, which is wiped with the last of them.
#[derive(Clone)]
pub struct SecretString(Arc<Zeroizing<String>>);

/// Bytes that are never printed: a key, a root, a pad.
#[derive(Clone)]
pub struct SecretBytes<const N: usize>(Zeroizing<[u8; N]>);

// === impl SecretString ===

impl SecretString {
    /// Takes ownership of secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text itself. Each use is a place where the secret leaves its type.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Constant time in the content; the length may leak, which is public for everything held here.
impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretString {}

// === impl SecretBytes ===

impl<const N: usize> SecretBytes<N> {
    /// Takes ownership of secret bytes.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Each use is a place where the secret leaves its type.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Byte-wise exclusive or: joins a half with its pad, or makes a half from a whole.
    #[must_use]
    pub fn xor(&self, other: &Self) -> Self {
        let mut joined = Zeroizing::new([0_u8; N]);
        for ((out, left), right) in joined.iter_mut().zip(self.0.iter()).zip(other.0.iter()) {
            *out = left ^ right;
        }
        Self(joined)
    }
}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Constant time.
impl<const N: usize> PartialEq for SecretBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl<const N: usize> Eq for SecretBytes<N> {}
