//! A client registers itself (RFC 7591 §3).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    client::{Client, ClientMetadata, InvalidClientMetadata},
    id::{ClientId, InvalidId},
    random::Random,
    secret::SecretString,
};
use serde_json::{Map, Value};
use store::{StoreUnavailable, seal::sha256};

use super::{id_token, patience::Patience};
use crate::AuthServer;

/// Bound of what is kept of one registration, in bytes of JSON: real ones have a few hundred, and
/// whoever floods us multiplies it by the number of unused ones kept.
const MAX_METADATA_BYTES: usize = 8 << 10;

/// Marks our client secrets, so that scanners of leaked secrets find them.
const SECRET_PREFIX: &str = "mpcs1_";
/// The same for registration access tokens.
const TOKEN_PREFIX: &str = "mprg1_";

/// A new client, and its secret, which is shown this once.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) client: Client,
    /// Public clients have none.
    pub(crate) secret: Option<SecretString>,
    /// With which it may change its registration, where that is on; kept as a hash.
    pub(crate) management_token: Option<SecretString>,
}

/// Why a client is not registered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistrationError {
    /// A member is absent or wrong.
    #[error(transparent)]
    Metadata(#[from] InvalidClientMetadata),
    /// Each member is fine, but all together are too much.
    #[error("the metadata is larger than {MAX_METADATA_BYTES} bytes")]
    TooLarge,
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Checks what the client says of itself, gives it an id (and a secret, unless it is public) and
/// remembers it. Members that are not known are ignored.
///
/// # Errors
/// See [`RegistrationError`].
pub(crate) async fn register(
    server: &AuthServer,
    members: &Map<String, Value>,
) -> Result<Registered, RegistrationError> {
    let registered = accept(server, members)?;
    Patience::begin()
        .insist(
            |_: &StoreUnavailable| true,
            || {
                let token = registered.management_token.as_ref();
                let client = &registered.client;
                server.clients.register(client, token.map(hash))
            },
        )
        .await?;
    Ok(registered)
}

fn accept(
    server: &AuthServer,
    members: &Map<String, Value>,
) -> Result<Registered, RegistrationError> {
    let random = server.random.as_ref();
    let mut client = Client {
        id: new_id(random).map_err(|error| StoreUnavailable(error.to_string()))?,
        issued_at: server.clock.now(),
        secret_hash: None,
        metadata: metadata(server, members)?,
    };
    let secret = give_secret(&mut client, random);
    let manages = server.settings.registration.management;
    Ok(Registered {
        client,
        secret,
        management_token: manages.then(|| new_token(random, TOKEN_PREFIX)),
    })
}

/// Gives a client a secret if it needs one and has none.
pub(super) fn give_secret(client: &mut Client, random: &dyn Random) -> Option<SecretString> {
    if !client.metadata.token_endpoint_auth_method.has_secret() {
        client.secret_hash = None;
        return None;
    }
    if client.secret_hash.is_some() {
        return None;
    }
    let secret = new_token(random, SECRET_PREFIX);
    client.secret_hash = Some(hash(&secret));
    Some(secret)
}

/// Reads and checks what a client says of itself.
pub(super) fn metadata(
    server: &AuthServer,
    members: &Map<String, Value>,
) -> Result<ClientMetadata, RegistrationError> {
    let mut metadata = ClientMetadata::parse(members, &server.settings.allowed_redirect_hosts)?;
    if !server.settings.device_flow {
        metadata = metadata.without_device_flow()?;
    }
    // The answer says what will be done, which may differ from what was asked (RFC 7591 §3.2.1).
    if let Some(asked) = metadata.id_token_signed_response_alg.take() {
        metadata.id_token_signed_response_alg =
            id_token::algorithm_for(&server.keys.current().algorithms(), Some(&asked));
    }
    let size = serde_json::to_vec(&metadata).map_or(usize::MAX, |json| json.len());
    if size > MAX_METADATA_BYTES {
        return Err(RegistrationError::TooLarge);
    }
    Ok(metadata)
}

fn new_id(random: &dyn Random) -> Result<ClientId, InvalidId> {
    ClientId::parse(URL_SAFE_NO_PAD.encode(random.bytes::<16>()))
}

fn new_token(random: &dyn Random, prefix: &str) -> SecretString {
    let mut text = prefix.to_owned();
    URL_SAFE_NO_PAD.encode_string(random.secret::<32>().expose(), &mut text);
    SecretString::new(text)
}

/// What is kept of a secret of ours; it has 256 random bits, so that no slow hash is needed.
pub(super) fn hash(secret: &SecretString) -> [u8; 32] {
    sha256(secret.expose().as_bytes())
}
