//! From the root of a grant to all its keys, and the credentials made with them.
//!
//! The root R is stored nowhere: a refresh token or a code carries it XOR a pad of the record. The
//! key K is derived from it; an access token carries K XOR a pad. Each derivation has the grant id
//! as salt and our issuer in its info.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use domain::{
    address::ClientNetwork,
    credential::{Credential, CredentialKind, MAC_BYTES},
    id::GrantId,
    secret::{SecretBytes, SecretString},
    time::Timestamp,
};
use store::seal::{MacKey, SealKey, derive};

/// Says, without revealing anything, whether a key is that of the grant.
pub(crate) type CheckValue = [u8; 16];

/// A network under a key of the grant: addresses can be guessed, so a plain hash would tell them.
pub(crate) type AddressHash = [u8; 16];

/// The root of a grant, for as long as a request carries it.
pub(crate) struct Root<'a> {
    secret: SecretBytes<32>,
    grant: GrantId,
    issuer: &'a str,
}

/// Everything derived from the key K of a grant.
#[derive(Debug)]
pub(crate) struct GrantKeys {
    key: SecretBytes<32>,
    access_mac: MacKey,
    /// Seals the identity session.
    pub(crate) seal: SealKey,
    address: MacKey,
    /// What the record must hold.
    pub(crate) check: CheckValue,
}

/// What a credential says beside the half it carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    pub(crate) pad_number: u16,
    pub(crate) generation: u32,
    /// End, for access tokens and codes; refresh tokens bear no time.
    pub(crate) expires_at: Option<Timestamp>,
}

// === impl Root ===

impl<'a> Root<'a> {
    pub(crate) const fn new(secret: SecretBytes<32>, grant: GrantId, issuer: &'a str) -> Self {
        Self {
            secret,
            grant,
            issuer,
        }
    }

    /// The root that a refresh token or code carries, if the pad is the right one: nothing is
    /// verified yet.
    pub(crate) fn from_half(
        credential: &Credential,
        pad: &SecretBytes<32>,
        issuer: &'a str,
    ) -> Self {
        Self::new(credential.half.xor(pad), credential.grant, issuer)
    }

    /// The key K.
    pub(crate) fn key(&self) -> SecretBytes<32> {
        derive(
            self.secret.expose(),
            self.grant.as_bytes(),
            "root K",
            self.issuer,
        )
    }

    /// All keys of the grant.
    pub(crate) fn grant_keys(&self) -> GrantKeys {
        GrantKeys::derive(self.key(), &self.grant, self.issuer)
    }

    /// The grant that it is the root of.
    pub(crate) const fn grant(&self) -> GrantId {
        self.grant
    }

    /// The root itself, to be sealed to a device or split with a token.
    pub(crate) const fn expose(&self) -> &SecretBytes<32> {
        &self.secret
    }

    /// The half that a credential under this pad carries.
    pub(crate) fn half(&self, pad: &SecretBytes<32>) -> SecretBytes<32> {
        self.secret.xor(pad)
    }

    /// A refresh token or code.
    pub(crate) fn sign(
        &self,
        kind: CredentialKind,
        claims: Claims,
        pad: &SecretBytes<32>,
    ) -> SecretString {
        sign(
            &self.mac_key(kind),
            kind,
            self.grant,
            claims,
            self.half(pad),
        )
    }

    /// Whether the credential was made with this root. To be asked only after the key was found to
    /// be the grant's: with the pads of a stolen store anybody can make up a root and a fitting
    /// MAC.
    pub(crate) fn verifies(&self, credential: &Credential) -> bool {
        verify(&self.mac_key(credential.kind), credential)
    }

    fn mac_key(&self, kind: CredentialKind) -> MacKey {
        let purpose = match kind {
            CredentialKind::Code => "code mac",
            // Access tokens are signed under K, device codes under their own secret; with a
            // purpose of its own a root signs none.
            CredentialKind::Refresh | CredentialKind::Access | CredentialKind::Device => {
                "refresh mac"
            }
        };
        MacKey::derive(
            self.secret.expose(),
            self.grant.as_bytes(),
            purpose,
            self.issuer,
        )
    }
}

// === impl GrantKeys ===

impl GrantKeys {
    pub(crate) fn derive(key: SecretBytes<32>, grant: &GrantId, issuer: &str) -> Self {
        let salt = grant.as_bytes();
        let check: SecretBytes<16> = derive(key.expose(), salt, "check", issuer);
        Self {
            access_mac: MacKey::derive(key.expose(), salt, "access mac", issuer),
            seal: SealKey::derive(key.expose(), salt, "seal", issuer),
            address: MacKey::derive(key.expose(), salt, "address", issuer),
            check: *check.expose(),
            key,
        }
    }

    /// Whether these are the keys that a record was made with. Constant time.
    pub(crate) fn fit(&self, check: &CheckValue) -> bool {
        verify_slices_are_equal(&self.check, check).is_ok()
    }

    /// Whether this is the key K. Constant time.
    pub(crate) fn is_key(&self, key: &SecretBytes<32>) -> bool {
        self.key == *key
    }

    /// An access token.
    pub(crate) fn sign_access(
        &self,
        grant: GrantId,
        claims: Claims,
        pad: &SecretBytes<32>,
    ) -> SecretString {
        let half = self.key.xor(pad);
        sign(
            &self.access_mac,
            CredentialKind::Access,
            grant,
            claims,
            half,
        )
    }

    /// Whether an access token is this grant's: first its key, then its MAC.
    pub(crate) fn verifies_access(&self, credential: &Credential, pad: &SecretBytes<32>) -> bool {
        self.is_key(&credential.half.xor(pad)) && verify(&self.access_mac, credential)
    }

    /// The name of a network in the record.
    pub(crate) fn address_hash(&self, network: ClientNetwork) -> AddressHash {
        self.address.mac(&network.to_bytes())
    }
}

/// A device code: its half is its own secret, under no pad.
pub(crate) fn sign_device(
    mac_key: &MacKey,
    grant: GrantId,
    expires_at: Timestamp,
    secret: &SecretBytes<32>,
) -> SecretString {
    let claims = Claims {
        pad_number: 0,
        generation: 0,
        expires_at: Some(expires_at),
    };
    let kind = CredentialKind::Device;
    sign(mac_key, kind, grant, claims, secret.clone())
}

/// Whether a device code was made with this key.
pub(crate) fn verify_device(mac_key: &MacKey, credential: &Credential) -> bool {
    verify(mac_key, credential)
}

fn sign(
    mac_key: &MacKey,
    kind: CredentialKind,
    grant: GrantId,
    claims: Claims,
    half: SecretBytes<32>,
) -> SecretString {
    let mut credential = Credential {
        kind,
        grant,
        pad_number: claims.pad_number,
        generation: claims.generation,
        // The field ends in 2106; what would end later ends then.
        expires_at: claims
            .expires_at
            .map_or(0, |end| u32::try_from(end.as_unix()).unwrap_or(u32::MAX)),
        half,
        mac: [0; MAC_BYTES],
    };
    credential.mac = mac_key.mac(&credential.authenticated_bytes());
    credential.encode()
}

fn verify(mac_key: &MacKey, credential: &Credential) -> bool {
    let expected = mac_key.mac(&credential.authenticated_bytes());
    verify_slices_are_equal(&expected, &credential.mac).is_ok()
}
