//! The checks whose failure is the client's to know.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use domain::{
    client::{Client, GrantType},
    oauth_error::{OAuthError, OAuthErrorCode as Code},
    pkce::CodeChallenge,
    redirect_uri::RedirectUri,
    resource::Resource,
    scope::ScopeSet,
};

use super::{Asked, Way};
use crate::{
    flow::{
        interaction::{AuthorizationRequest, Redirect, Reply, display_name},
        resource,
    },
    server::Settings,
};

/// Bound of `state`, `nonce` and `login_hint` in bytes: all that a request line of the length
/// that OAuth 2.1 §1.7.1 asks for can hold.
const MAX_TEXT_BYTES: usize = 8000;

/// Checks all but client and redirect URI, which belong together by now.
pub(super) fn check(
    settings: &Settings,
    asked: &Asked<'_>,
    client: Client,
    redirect_uri: RedirectUri,
) -> Result<AuthorizationRequest, OAuthError> {
    if let Some(name) = &asked.duplicate {
        return Err(invalid(format!(
            "the parameter {name} is given more than once"
        )));
    }
    if !client.may_use(GrantType::AuthorizationCode) {
        return Err(OAuthError::new(
            Code::UnauthorizedClient,
            "this client did not register for the grant type authorization_code",
        ));
    }
    request_object(asked)?;
    pushed(settings, asked, &client)?;
    response(asked)?;
    let code_challenge = code_challenge(asked)?;
    let prompt = prompt(asked.prompt)?;
    let known = settings.preregistered(&client.id);
    let limit = known.and_then(|known| known.scopes.as_ref());
    let skips_consent = known.is_some_and(|known| known.skips_consent) && !asks_consent(asked);
    Ok(AuthorizationRequest {
        client_name: display_name(&client).to_owned(),
        client: client.id,
        reply: Reply::Redirect(Redirect {
            uri: redirect_uri,
            state: bounded("state", asked.state)?,
            nonce: bounded("nonce", asked.nonce)?,
            code_challenge,
        }),
        resource: target(settings, asked)?,
        scopes: scopes(settings, limit, asked.scope)?,
        prompt,
        max_age: max_age(asked.max_age)?,
        login_hint: bounded("login_hint", asked.login_hint)?,
        skips_consent,
    })
}

/// OpenID Connect Core §6: not supported, and said so in the metadata.
fn request_object(asked: &Asked<'_>) -> Result<(), OAuthError> {
    if asked.has_request {
        return Err(OAuthError::new(
            Code::RequestNotSupported,
            "request objects are not supported; send plain parameters",
        ));
    }
    if asked.has_request_uri {
        return Err(OAuthError::new(
            Code::RequestUriNotSupported,
            "request_uri is not supported; send plain parameters",
        ));
    }
    Ok(())
}

/// RFC 9126 §5 and §6: who must push may not come by the front door.
fn pushed(settings: &Settings, asked: &Asked<'_>, client: &Client) -> Result<(), OAuthError> {
    let required = if settings.require_pushed_requests {
        "this server"
    } else if client.metadata.require_pushed_authorization_requests {
        "this client's registration"
    } else {
        return Ok(());
    };
    if asked.way == Way::Pushed {
        return Ok(());
    }
    Err(invalid(format!(
        "{required} requires pushed authorization requests; send the parameters to the pushed_authorization_request_endpoint first"
    )))
}

fn response(asked: &Asked<'_>) -> Result<(), OAuthError> {
    match asked.response_type {
        Some("code") => {}
        Some(_) => {
            return Err(OAuthError::new(
                Code::UnsupportedResponseType,
                "response_type must be code",
            ));
        }
        None => return Err(invalid("response_type is missing; it must be code")),
    }
    match asked.response_mode {
        None | Some("query") => Ok(()),
        Some(_) => Err(invalid("response_mode must be query or absent")),
    }
}

/// RFC 7636: required, and S256 only. An absent method means `plain` (§4.3), which is refused.
fn code_challenge(asked: &Asked<'_>) -> Result<CodeChallenge, OAuthError> {
    let challenge = asked.code_challenge.ok_or_else(|| {
        invalid("code_challenge is missing; PKCE with code_challenge_method S256 is required")
    })?;
    if asked.code_challenge_method != Some("S256") {
        return Err(invalid("code_challenge_method must be S256"));
    }
    CodeChallenge::parse(challenge)
        .ok_or_else(|| invalid("code_challenge must be the base64url of a SHA-256 digest"))
}

/// What of `prompt` goes on to the provider. Consent is asked every time, so `none` can never be
/// fulfilled.
fn prompt(asked: Option<&str>) -> Result<Option<String>, OAuthError> {
    let values: Vec<_> = asked.unwrap_or_default().split_whitespace().collect();
    if values.contains(&"none") {
        return Err(if values.iter().all(|value| *value == "none") {
            OAuthError::new(
                Code::LoginRequired,
                "this server asks the user every time; prompt none cannot be fulfilled",
            )
        } else {
            invalid("prompt none must stand alone")
        });
    }
    let forwarded: Vec<_> = ["login", "select_account"]
        .into_iter()
        .filter(|value| values.contains(value))
        .collect();
    Ok((!forwarded.is_empty()).then(|| forwarded.join(" ")))
}

fn target(settings: &Settings, asked: &Asked<'_>) -> Result<Resource, OAuthError> {
    let named = resource::requested(&settings.resources, asked.resources.iter().copied())
        .map_err(|error| OAuthError::new(Code::InvalidTarget, error.to_string()))?;
    match (named, settings.resources.as_slice()) {
        (Some(named), _) => Ok(named.resource.clone()),
        (None, [only]) => Ok(only.resource.clone()),
        (None, _) => Err(OAuthError::new(
            Code::InvalidTarget,
            "resource is missing; there are several MCP servers here",
        )),
    }
}

/// Whether the client itself wants the person to be asked.
fn asks_consent(asked: &Asked<'_>) -> bool {
    let mut values = asked.prompt.unwrap_or_default().split_whitespace();
    values.any(|value| value == "consent")
}

/// No scope, or none that this client can have, means the usual ones: the page names them.
pub(in crate::flow) fn scopes(
    settings: &Settings,
    limit: Option<&ScopeSet>,
    asked: Option<&str>,
) -> Result<ScopeSet, OAuthError> {
    let asked = ScopeSet::parse(asked.unwrap_or_default())
        .map_err(|error| OAuthError::new(Code::InvalidScope, error.to_string()))?;
    let offered = settings.offered_scopes();
    let within = |scopes: &ScopeSet| match limit {
        Some(limit) => scopes.intersection(limit),
        None => scopes.clone(),
    };
    // A client that may have none of the usual ones gets those that it may.
    Ok([&asked.intersection(&offered), &settings.scopes, &offered]
        .into_iter()
        .map(within)
        .find(|scopes| !scopes.is_empty())
        .unwrap_or_default())
}

fn max_age(asked: Option<&str>) -> Result<Option<u64>, OAuthError> {
    asked
        .map(|text| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse()
                .ok()
                .filter(|_| digits)
                .ok_or_else(|| invalid("max_age must be a number of seconds"))
        })
        .transpose()
}

fn bounded(name: &str, text: Option<&str>) -> Result<Option<String>, OAuthError> {
    match text {
        Some(text) if text.len() > MAX_TEXT_BYTES => Err(invalid(format!(
            "{name} is longer than {MAX_TEXT_BYTES} bytes"
        ))),
        text => Ok(text.map(str::to_owned)),
    }
}

fn invalid(description: impl Into<Cow<'static, str>>) -> OAuthError {
    OAuthError::new(Code::InvalidRequest, description)
}
