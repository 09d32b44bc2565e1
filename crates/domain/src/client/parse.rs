//! Reading the metadata of a registration request, member by member.

mod keys;

use serde_json::{Map, Value};
use url::Url;

use super::{
    ApplicationType, ClientMetadata, DocumentUrl, GrantType, InvalidClientMetadata,
    TokenEndpointAuthMethod,
};
use crate::{
    redirect_uri::{AllowedRedirectHosts, RedirectUri},
    scope::ScopeSet,
};

type Members = Map<String, Value>;

/// At most this many redirect URIs.
const MAX_REDIRECT_URIS: usize = 32;
/// At most this many contacts.
const MAX_CONTACTS: usize = 8;
const MAX_NAME_CHARS: usize = 120;
const MAX_TEXT_BYTES: usize = 256;
const MAX_URI_BYTES: usize = 2048;
const MAX_SCOPE_BYTES: usize = 2048;

pub(super) fn metadata(
    members: &Members,
    hosts: &AllowedRedirectHosts,
) -> Result<ClientMetadata, InvalidClientMetadata> {
    with_method(members, hosts, auth_method(members)?)
}

/// What a client publishes at its own URL; more is required of it than of a registration.
pub(super) fn document(
    members: &Members,
    url: &DocumentUrl,
    hosts: &AllowedRedirectHosts,
) -> Result<ClientMetadata, InvalidClientMetadata> {
    if string(members, "client_id")? != Some(url.as_str()) {
        let reason = "must be exactly the URL that the document was asked for at";
        return Err(wrong("client_id", reason));
    }
    for member in ["client_secret", "client_secret_expires_at"] {
        if members.contains_key(member) {
            return Err(wrong(
                member,
                "must not be in a document that everybody can read",
            ));
        }
    }
    let metadata = with_method(members, hosts, document_auth_method(members)?)?;
    if metadata.client_name.is_none() {
        return Err(wrong("client_name", "is absent"));
    }
    Ok(metadata)
}

fn with_method(
    members: &Members,
    hosts: &AllowedRedirectHosts,
    token_endpoint_auth_method: TokenEndpointAuthMethod,
) -> Result<ClientMetadata, InvalidClientMetadata> {
    let grant_types = grant_types(members)?;
    let redirects = grant_types.contains(&GrantType::AuthorizationCode);
    let redirect_uris = redirect_uris(members, hosts, redirects)?;
    if redirects {
        response_types(members)?;
    }
    let keys = keys::read(members, token_endpoint_auth_method)?;
    Ok(ClientMetadata {
        redirect_uris,
        grant_types,
        token_endpoint_auth_method,
        application_type: application_type(members)?,
        client_name: name(members)?,
        client_uri: web_uri(members, "client_uri")?,
        logo_uri: web_uri(members, "logo_uri")?,
        tos_uri: web_uri(members, "tos_uri")?,
        policy_uri: web_uri(members, "policy_uri")?,
        contacts: contacts(members)?,
        scope: scope(members)?,
        software_id: text(members, "software_id")?,
        software_version: text(members, "software_version")?,
        id_token_signed_response_alg: text(members, "id_token_signed_response_alg")?,
        jwks: keys.jwks,
        jwks_uri: keys.jwks_uri,
        token_endpoint_auth_signing_alg: keys.algorithm,
        post_logout_redirect_uris: post_logout_redirect_uris(members, hosts)?,
        require_pushed_authorization_requests: flag(
            members,
            "require_pushed_authorization_requests",
        )?,
    })
}

/// RFC 7591 §2: clients of flows with redirects must register where to; others need not.
fn redirect_uris(
    members: &Members,
    hosts: &AllowedRedirectHosts,
    are_needed: bool,
) -> Result<Vec<RedirectUri>, InvalidClientMetadata> {
    let list = texts(members, "redirect_uris")?.unwrap_or_default();
    if list.is_empty() && are_needed {
        return Err(InvalidClientMetadata::NoRedirectUri);
    }
    if list.len() > MAX_REDIRECT_URIS {
        return Err(wrong("redirect_uris", "at most 32 are allowed"));
    }
    list.into_iter()
        .enumerate()
        .map(|(index, text)| {
            let uri = RedirectUri::parse(text)
                .map_err(|reason| InvalidClientMetadata::RedirectUri { index, reason })?;
            if hosts.permits(&uri) {
                Ok(uri)
            } else {
                Err(InvalidClientMetadata::RedirectHost { index })
            }
        })
        .collect()
}

fn post_logout_redirect_uris(
    members: &Members,
    hosts: &AllowedRedirectHosts,
) -> Result<Vec<RedirectUri>, InvalidClientMetadata> {
    const MEMBER: &str = "post_logout_redirect_uris";
    let list = texts(members, MEMBER)?.unwrap_or_default();
    if list.len() > MAX_REDIRECT_URIS {
        return Err(wrong(MEMBER, "at most 32 are allowed"));
    }
    list.into_iter()
        .map(|text| {
            RedirectUri::parse(text)
                .ok()
                .filter(|uri| hosts.permits(uri))
                .ok_or_else(|| {
                    wrong(
                        MEMBER,
                        "each must be what a redirect URI may be here: https, loopback http or a private-use scheme, without a fragment, to an allowed host",
                    )
                })
        })
        .collect()
}

/// Other grant types than ours are dropped (RFC 7591 §3.2.1 lets the server replace values), but
/// a client that can neither be redirected to nor is a device could never use its registration. A
/// refresh token is always given.
fn grant_types(members: &Members) -> Result<Vec<GrantType>, InvalidClientMetadata> {
    const MEMBER: &str = "grant_types";
    let Some(names) = texts(members, MEMBER)? else {
        return Ok(GrantType::defaults());
    };
    let begins = |grant_type: &GrantType| *grant_type != GrantType::RefreshToken;
    let asked = |grant_type: &GrantType| names.contains(&grant_type.as_str());
    if !GrantType::ALL
        .iter()
        .filter(|known| begins(known))
        .any(asked)
    {
        return Err(wrong(
            MEMBER,
            "authorization_code or urn:ietf:params:oauth:grant-type:device_code must be among them",
        ));
    }
    let kept = GrantType::ALL
        .into_iter()
        .filter(|known| !begins(known) || asked(known));
    Ok(kept.collect())
}

fn response_types(members: &Members) -> Result<(), InvalidClientMetadata> {
    match texts(members, "response_types")? {
        Some(types) if !types.contains(&"code") => {
            Err(wrong("response_types", "code must be among them"))
        }
        _ => Ok(()),
    }
}

/// RFC 7591 §2: absent means `client_secret_basic`.
fn auth_method(members: &Members) -> Result<TokenEndpointAuthMethod, InvalidClientMetadata> {
    const MEMBER: &str = "token_endpoint_auth_method";
    match text(members, MEMBER)? {
        None => Ok(TokenEndpointAuthMethod::ClientSecretBasic),
        Some(method) => TokenEndpointAuthMethod::parse(&method).ok_or_else(|| {
            wrong(
                MEMBER,
                "must be none, client_secret_basic, client_secret_post or private_key_jwt",
            )
        }),
    }
}

/// A document can share no secret, so that what is absent can only mean a public client.
fn document_auth_method(
    members: &Members,
) -> Result<TokenEndpointAuthMethod, InvalidClientMetadata> {
    const MEMBER: &str = "token_endpoint_auth_method";
    let method = text(members, MEMBER)?;
    match method.as_deref().map(TokenEndpointAuthMethod::parse) {
        None | Some(Some(TokenEndpointAuthMethod::None)) => Ok(TokenEndpointAuthMethod::None),
        Some(Some(TokenEndpointAuthMethod::PrivateKeyJwt)) => {
            Ok(TokenEndpointAuthMethod::PrivateKeyJwt)
        }
        Some(_) => Err(wrong(MEMBER, "must be none or private_key_jwt")),
    }
}

fn application_type(members: &Members) -> Result<ApplicationType, InvalidClientMetadata> {
    match text(members, "application_type")?.as_deref() {
        None | Some("native") => Ok(ApplicationType::Native),
        Some("web") => Ok(ApplicationType::Web),
        Some(_) => Err(wrong("application_type", "must be native or web")),
    }
}

/// A name is shown to people: characters that reorder or hide text are refused.
fn name(members: &Members) -> Result<Option<String>, InvalidClientMetadata> {
    const MEMBER: &str = "client_name";
    let Some(name) = string(members, MEMBER)? else {
        return Ok(None);
    };
    let name = name.trim();
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(wrong(MEMBER, "is longer than 120 characters"));
    }
    if name
        .chars()
        .any(|character| character.is_control() || is_invisible(character))
    {
        return Err(wrong(MEMBER, "contains control or invisible characters"));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// What shows nothing or turns the direction of writing: zero-width and bidirectional formatting
/// characters, and those that are letters or symbols by name and blank on the screen.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn web_uri(
    members: &Members,
    member: &'static str,
) -> Result<Option<String>, InvalidClientMetadata> {
    let Some(uri) = string(members, member)? else {
        return Ok(None);
    };
    if uri.is_empty() {
        return Ok(None);
    }
    if uri.len() > MAX_URI_BYTES {
        return Err(wrong(member, "is longer than 2048 bytes"));
    }
    // User information is there to make a host look like another; one of these is shown to people.
    let is_plain = |url: &Url| url.username().is_empty() && url.password().is_none();
    let web =
        Url::parse(uri).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && is_plain(&url));
    if web && uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Some(uri.to_owned()))
    } else {
        Err(wrong(
            member,
            "must be an absolute https or http URL without user information",
        ))
    }
}

fn contacts(members: &Members) -> Result<Vec<String>, InvalidClientMetadata> {
    let contacts = texts(members, "contacts")?.unwrap_or_default();
    if contacts.len() > MAX_CONTACTS {
        return Err(wrong("contacts", "at most 8 are allowed"));
    }
    contacts
        .into_iter()
        .map(|contact| bounded("contacts", contact))
        .collect()
}

fn scope(members: &Members) -> Result<Option<String>, InvalidClientMetadata> {
    let Some(scope) = string(members, "scope")? else {
        return Ok(None);
    };
    if scope.len() > MAX_SCOPE_BYTES {
        return Err(wrong("scope", "is longer than 2048 bytes"));
    }
    let scopes = ScopeSet::parse(scope)
        .map_err(|_| wrong("scope", "must be scope tokens separated by spaces"))?;
    Ok((!scopes.is_empty()).then(|| scopes.to_string()))
}

/// A short text; empty is absent.
fn text(members: &Members, member: &'static str) -> Result<Option<String>, InvalidClientMetadata> {
    match string(members, member)? {
        None | Some("") => Ok(None),
        Some(text) => bounded(member, text).map(Some),
    }
}

fn bounded(member: &'static str, text: &str) -> Result<String, InvalidClientMetadata> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(wrong(member, "is longer than 256 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(member, "contains control characters"));
    }
    Ok(text.to_owned())
}

/// A JSON boolean; absent is `false`.
fn flag(members: &Members, member: &'static str) -> Result<bool, InvalidClientMetadata> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(wrong(member, "must be true or false")),
    }
}

/// A JSON string; `null` is absent, since some clients write it so.
fn string<'a>(
    members: &'a Members,
    member: &'static str,
) -> Result<Option<&'a str>, InvalidClientMetadata> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(member, "must be a string")),
    }
}

fn texts<'a>(
    members: &'a Members,
    member: &'static str,
) -> Result<Option<Vec<&'a str>>, InvalidClientMetadata> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => list
            .iter()
            .map(Value::as_str)
            .collect::<Option<Vec<_>>>()
            .map(Some)
            .ok_or_else(|| wrong(member, "must be an array of strings")),
        Some(_) => Err(wrong(member, "must be an array of strings")),
    }
}

const fn wrong(member: &'static str, reason: &'static str) -> InvalidClientMetadata {
    InvalidClientMetadata::Member { member, reason }
}
