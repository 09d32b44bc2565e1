//! What is derived from a device code, and from a user code.

use std::net::IpAddr;

use domain::{
    credential::{Credential, CredentialKind},
    id::GrantId,
    random::Random,
    secret::{SecretBytes, SecretString},
    time::Timestamp,
    user_code::UserCode,
};
use store::seal::{
    MacKey, SealKey,
    letter_box::{Binding, LetterBox, PublicKey, seal_to},
};

use crate::keys::{Root, sign_device, verify_device};

/// A keyed hash of a user code: a plain one could be guessed.
pub(super) type UserCodeHash = [u8; 16];

const ORIGIN_LABEL: &[u8] = b"device origin 1";
const ROOT_LABEL: &[u8] = b"device root 1";

/// The secret of a device code, for as long as a request carries it.
pub(super) struct DeviceKeys<'a> {
    grant: GrantId,
    issuer: &'a str,
    secret: SecretBytes<32>,
    letters: LetterBox,
}

/// What a user code is stored under, and what it opens.
pub(super) struct UserCodeKeys {
    pub(super) hash: UserCodeHash,
    origin: SealKey,
}

// === impl DeviceKeys ===

impl<'a> DeviceKeys<'a> {
    pub(super) fn new(secret: SecretBytes<32>, grant: GrantId, issuer: &'a str) -> Self {
        let salt = grant.as_bytes();
        let letters = LetterBox::derive(secret.expose(), salt, "device key", issuer);
        Self {
            grant,
            issuer,
            secret,
            letters,
        }
    }

    /// The keys of a device code; nothing is verified yet.
    pub(super) fn of(credential: &Credential, issuer: &'a str) -> Self {
        Self::new(credential.half.clone(), credential.grant, issuer)
    }

    /// The only half that is stored.
    pub(super) const fn public(&self) -> &PublicKey {
        self.letters.public()
    }

    /// The device code.
    pub(super) fn code(&self, expires_at: Timestamp) -> SecretString {
        sign_device(&self.mac_key(), self.grant, expires_at, &self.secret)
    }

    /// Whether a device code is the one that a record was made for: first its key, then its MAC,
    /// which also covers the expiry.
    pub(super) fn fit(&self, credential: &Credential, public: &PublicKey) -> bool {
        let is_key = SecretBytes::new(*self.public()) == SecretBytes::new(*public);
        is_key
            && credential.kind == CredentialKind::Device
            && verify_device(&self.mac_key(), credential)
    }

    /// The root of the grant, which an approval sealed for this device.
    pub(super) fn open_root(&self, letter: &[u8]) -> Option<Root<'a>> {
        let associated: [&[u8]; 1] = [ROOT_LABEL];
        let opened = self
            .letters
            .open(&binding(&self.grant, self.issuer, &associated), letter)?;
        let root = SecretBytes::new(*opened.first_chunk::<32>()?);
        Some(Root::new(root, self.grant, self.issuer))
    }

    fn mac_key(&self) -> MacKey {
        let salt = self.grant.as_bytes();
        MacKey::derive(self.secret.expose(), salt, "device mac", self.issuer)
    }
}

/// Seals the root of a grant to the device that waits for it.
pub(super) fn seal_root(
    public: &PublicKey,
    root: &Root<'_>,
    grant: &GrantId,
    issuer: &str,
    random: &dyn Random,
) -> Option<Vec<u8>> {
    let associated: [&[u8]; 1] = [ROOT_LABEL];
    let binding = binding(grant, issuer, &associated);
    seal_to(public, &binding, root.expose().expose(), random)
}

/// The grant's id is the salt, so that a letter fits no other grant.
fn binding<'a>(grant: &'a GrantId, issuer: &'a str, associated: &'a [&'a [u8]]) -> Binding<'a> {
    Binding {
        salt: grant.as_bytes(),
        issuer,
        associated,
    }
}

// === impl UserCodeKeys ===

impl UserCodeKeys {
    /// Both keys hang on a secret that is in no store: a user code has few bits, and addresses can
    /// be guessed.
    pub(super) fn derive(code: &UserCode, secret: &SecretBytes<32>, issuer: &str) -> Self {
        let hash = MacKey::derive(secret.expose(), &[], "user code", issuer).mac(code.expose());
        let origin = SealKey::derive(secret.expose(), code.expose(), "device origin", issuer);
        Self { hash, origin }
    }

    pub(super) fn seal_origin(
        &self,
        grant: &GrantId,
        address: IpAddr,
        random: &dyn Random,
    ) -> Vec<u8> {
        let associated: [&[u8]; 2] = [ORIGIN_LABEL, grant.as_bytes()];
        let text = address.to_canonical().to_string();
        self.origin.seal(&associated, text.as_bytes(), random)
    }

    pub(super) fn open_origin(&self, grant: &GrantId, sealed: &[u8]) -> Option<IpAddr> {
        let associated: [&[u8]; 2] = [ORIGIN_LABEL, grant.as_bytes()];
        let text = self.origin.open(&associated, sealed)?;
        std::str::from_utf8(&text).ok()?.parse().ok()
    }
}
