//! The seam through which randomness enters.

use std::fmt;

use crate::secret::SecretBytes;

/// A source of cryptographically secure random bytes.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Random + '_ {
    /// An array of random bytes that may be seen, such as an identifier.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0_u8; N];
        self.fill(&mut bytes);
        bytes
    }

    /// An array of random bytes that may not be seen.
    pub fn secret<const N: usize>(&self) -> SecretBytes<N> {
        SecretBytes::new(self.bytes())
    }
}
