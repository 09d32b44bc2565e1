//! What is made of the signing keys, made anew only when they change.

use std::sync::{Arc, Mutex, PoisonError};

use jose::signing::SigningKeys;

/// A value made of the keys that count.
#[derive(Debug)]
pub(crate) struct PerKeys<T>(Mutex<Option<(Arc<SigningKeys>, T)>>);

// === impl PerKeys ===

impl<T: Clone> PerKeys<T> {
    /// That of these keys.
    pub(crate) fn of(&self, keys: &Arc<SigningKeys>, make: impl FnOnce(&SigningKeys) -> T) -> T {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match made.as_ref() {
            Some((of, value)) if Arc::ptr_eq(of, keys) => value.clone(),
            _ => {
                let value = make(keys);
                *made = Some((Arc::clone(keys), value.clone()));
                value
            }
        }
    }
}

impl<T> Default for PerKeys<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}
