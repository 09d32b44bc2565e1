//! `/auth`: where a client sends a person (RFC 6749 §3.1).

use axum::{
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{client::Client, redirect_uri::RedirectUri};
use url::form_urlencoded;

use super::{
    browser::{Visit, path},
    page::{self, Trouble},
    parameters::{InvalidParameters, Parameters},
};
use crate::{
    AuthServer, cookie,
    flow::{
        answer::{Answer, Outcome},
        authorize::{self, Asked, Refused, Unusable, Way},
        browser::BrowserId,
        interaction::display_name,
        pushed::{self, NotPushed},
    },
    pages::{
        cure::Cure,
        view::{RedirectView, UnknownClient},
    },
    server::Shared,
};

/// As much of a client id as is shown.
const SHOWN_CHARS: usize = 80;

pub(super) async fn begin(
    State(server): State<Shared>,
    mut visit: Visit,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(trouble) = server.charge(&mut visit).await {
        return server.tell(&visit, trouble).await;
    }
    let parameters = match Parameters::parse(query.unwrap_or_default().as_bytes()) {
        Ok(parameters) => parameters,
        Err(error) => return server.tell(&visit, unreadable(&error)).await,
    };
    let (parameters, way) = match pushed_parameters(&server, &parameters).await {
        Ok(Some(pushed)) => (pushed, Way::Pushed),
        Ok(None) => (parameters, Way::Direct),
        Err(trouble) => return server.tell(&visit, trouble).await,
    };
    let asked = Asked {
        way,
        ..asked(&parameters)
    };
    // Made at the first page, so that the very next one can ask for it.
    let (browser, is_new) = match &visit.browser {
        Some(browser) => (browser.clone(), false),
        None => (BrowserId::random(server.random.as_ref()), true),
    };
    let network = visit.context.network();
    match authorize::authorize(&server, &asked, &browser, network).await {
        Ok(id) => {
            let mut response = see_other(&path::of(&server, path::INTERACTION, id));
            let cookie = is_new.then(|| cookie::issue(&browser, &server.settings.base_url));
            if let Some(cookie) = cookie.flatten() {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
        Err(Refused::Answered(answer)) => redirect(&server, &visit, &answer),
        Err(Refused::Shown(unusable)) => {
            let shown = show(&server, &visit, unusable);
            server.answer(&visit, shown).await
        }
    }
}

/// A request by POST comes from another site, without our cookie: it is asked again by GET, as
/// which the browser shows what it has.
pub(super) async fn begin_by_form(
    State(server): State<Shared>,
    visit: Visit,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    repeat_by_get(&server, &visit, path::AUTHORIZATION, query.as_deref(), body).await
}

/// 303 to the same place, with the form's parameters as query.
pub(super) async fn repeat_by_get(
    server: &AuthServer,
    visit: &Visit,
    path: &str,
    query: Option<&str>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return server.tell(visit, too_large(&rejection)).await,
    };
    let mut joined = form_urlencoded::Serializer::new(String::new());
    joined.extend_pairs(form_urlencoded::parse(query.unwrap_or_default().as_bytes()));
    joined.extend_pairs(form_urlencoded::parse(&body));
    let prefix = server.settings.base_url.prefix();
    see_other(&format!("{prefix}{path}?{}", joined.finish()))
}

/// A body that could not be read.
pub(super) fn too_large(rejection: &BytesRejection) -> Trouble {
    Trouble::new(
        rejection.status(),
        "This request cannot be read",
        &["It is larger than any honest one, or broke off."],
        rejection.body_text(),
    )
}

/// 303 with headers that keep parameters from spreading.
pub(super) fn see_other(url: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(url) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    page::guard(response.headers_mut(), "no-referrer");
    response
}

pub(super) fn unreadable(error: &InvalidParameters) -> Trouble {
    Trouble::new(
        StatusCode::BAD_REQUEST,
        "This request cannot be read",
        &["It has more parameters than any honest one."],
        error.to_string(),
    )
}

/// What the client pushed, if the request refers to that. Nothing else of the request counts then
/// (RFC 9101 §6.3), but `client_id` must be the same.
async fn pushed_parameters(
    server: &AuthServer,
    parameters: &Parameters,
) -> Result<Option<Parameters>, Trouble> {
    let Some(request_uri) = parameters
        .get("request_uri")
        .filter(|uri| pushed::is_reference(uri))
    else {
        return Ok(None);
    };
    let pushed = pushed::take(server, parameters.get("client_id"), request_uri)
        .await
        .map_err(not_pushed)?;
    Parameters::parse(&pushed)
        .map(Some)
        .map_err(|error| unreadable(&error))
}

fn not_pushed(error: NotPushed) -> Trouble {
    let cause = error.to_string();
    match error {
        NotPushed::ClientIdMissing => Trouble::new(
            StatusCode::BAD_REQUEST,
            "The client did not say who it is",
            &[
                "The address that brought you here lacks client_id. Connect once more from your client; if you typed or copied the address, a part of it is missing.",
            ],
            cause,
        ),
        NotPushed::Unknown => Trouble::new(
            StatusCode::BAD_REQUEST,
            "This login link has expired",
            &[
                "The address that brought you here works once, for a minute, and for the client that asked for it. Connect once more from your client.",
            ],
            cause,
        ),
        NotPushed::Unavailable(fault) => Trouble::unavailable(&fault),
    }
}

pub(super) fn asked(parameters: &Parameters) -> Asked<'_> {
    let duplicate = parameters.duplicate().map(|duplicate| duplicate.0);
    Asked {
        client_id: parameters.get("client_id"),
        redirect_uri: parameters.get("redirect_uri"),
        response_type: parameters.get("response_type"),
        response_mode: parameters.get("response_mode"),
        scope: parameters.get("scope"),
        state: parameters.get("state"),
        nonce: parameters.get("nonce"),
        code_challenge: parameters.get("code_challenge"),
        code_challenge_method: parameters.get("code_challenge_method"),
        prompt: parameters.get("prompt"),
        max_age: parameters.get("max_age"),
        login_hint: parameters.get("login_hint"),
        resources: parameters.resources().collect(),
        has_request: parameters.get("request").is_some(),
        has_request_uri: parameters.get("request_uri").is_some(),
        way: Way::Direct,
        duplicate,
        is_target_ambiguous: parameters.is_repeated("client_id")
            || parameters.is_repeated("redirect_uri"),
    }
}

/// The client's fault, for the client; nobody has filled in a form yet, so a plain redirect does,
/// where the place can be trusted (RFC 9700 §4.11.2).
fn redirect(server: &AuthServer, visit: &Visit, answer: &Answer) -> Response {
    if let Outcome::Error(error) = &answer.outcome {
        let is_trusted = server.trusts(&answer.redirect_uri);
        let status = if is_trusted {
            StatusCode::SEE_OTHER
        } else {
            StatusCode::BAD_REQUEST
        };
        let cause = error.to_string();
        page::log(visit, status, "authorization request refused", &cause);
        if !is_trusted {
            return server.tell_of_faulty_request(answer, error);
        }
    }
    see_other(answer.url(server.settings.base_url.issuer()).expose())
}

/// What a person is told of a request that cannot be followed.
fn show(server: &AuthServer, visit: &Visit, unusable: Unusable) -> Result<Response, Trouble> {
    let cause = unusable.to_string();
    let bad_request = |heading, paragraphs: &[&str]| {
        Trouble::new(StatusCode::BAD_REQUEST, heading, paragraphs, cause.as_str())
    };
    Err(match unusable {
        Unusable::ClientIdMissing => bad_request(
            "The client did not say who it is",
            &[
                "The address that brought you here lacks client_id. Connect once more from your client; if you typed or copied the address, a part of it is missing.",
            ],
        ),
        Unusable::Ambiguous => bad_request(
            "The request contradicts itself",
            &[
                "It gives client_id or redirect_uri more than once, so that nobody can tell which is meant. Nothing was done.",
            ],
        ),
        Unusable::UnknownClient {
            client_id,
            redirect_uri,
        } => {
            let redirect_uri = redirect_uri.as_deref();
            return Ok(unknown_client(
                server,
                visit,
                &client_id,
                redirect_uri,
                &cause,
            ));
        }
        Unusable::MetadataDocument(client_id) => {
            return Ok(metadata_document(server, visit, &client_id, &cause));
        }
        Unusable::NoRedirectUri(client) => bad_request(
            "This client does not use this page",
            &[&format!(
                "{} registered for devices without a browser: it shows a code, which you enter at another page of this server.",
                display_name(&client)
            )],
        ),
        Unusable::Document(fault) => Trouble::document(&fault),
        Unusable::RedirectUriMissing(client) => bad_request(
            "The client did not say where to return",
            &[&format!(
                "{} registered several redirect URIs and named none in this request. Its makers can mend that: the request must have redirect_uri.",
                display_name(&client)
            )],
        ),
        Unusable::RedirectUriInvalid(client, reason) => bad_request(
            "The client's return address is not valid",
            &[&format!(
                "{} gave a redirect_uri that cannot be used: {reason}. Nothing was sent there.",
                display_name(&client)
            )],
        ),
        Unusable::RedirectUriUnregistered(client, asked) => unregistered(&client, &asked, &cause),
        Unusable::RedirectHostForbidden(client, asked) => Trouble::new(
            StatusCode::FORBIDDEN,
            "This server does not send people there",
            &[
                &format!(
                    "{} wants you to return to {}, which the operator of this server has not allowed.",
                    display_name(&client),
                    asked.target().name()
                ),
                "Its operator can allow it with MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS.",
            ],
            &cause,
        ),
        Unusable::Unavailable(fault) => Trouble::unavailable(&fault),
    })
}

fn unregistered(client: &Client, asked: &RedirectUri, cause: &str) -> Trouble {
    let known = client
        .metadata
        .redirect_uris
        .iter()
        .map(|uri| RedirectView::new(uri).name)
        .collect::<Vec<_>>()
        .join(", ");
    Trouble::new(
        StatusCode::BAD_REQUEST,
        "The return address is not the client's",
        &[
            &format!(
                "{} asked to return to {}, but registered other addresses (at {known}). Nothing was sent there.",
                display_name(client),
                RedirectView::new(asked).name
            ),
            "If the client was changed or updated since, log this server out in it, or remove the server and add it again: then it registers its new address. If a web page or a message brought you here, close this page.",
        ],
        cause,
    )
}

fn unknown_client(
    server: &AuthServer,
    visit: &Visit,
    client_id: &str,
    redirect_uri: Option<&str>,
    cause: &str,
) -> Response {
    let resource = server
        .settings
        .resources
        .first()
        .map_or(server.settings.base_url.issuer(), |first| {
            first.resource.as_str()
        });
    let view = UnknownClient {
        title: "Unknown client",
        heading: "This server does not know your client (any more)",
        paragraphs: vec![
            "It registered too long ago, or with another server, or this server has lost its memory. The client must forget its old registration; then it makes a new one by itself.".to_owned(),
        ],
        cure: Some(Cure::find(redirect_uri, &visit.user_agent, resource)),
        client_id: shown(client_id),
        reference: visit.context.id.to_string(),
    };
    refuse_client(server, visit, &view, cause)
}

fn metadata_document(server: &AuthServer, visit: &Visit, client_id: &str, cause: &str) -> Response {
    let view = UnknownClient {
        title: "Client not registered",
        heading: "This server has client metadata documents turned off",
        paragraphs: vec![
            "Your client names itself by the address of a document, instead of registering. This server's metadata says that it does not take that.".to_owned(),
            "Update the client, or have it register (dynamic client registration): most clients do so by themselves once the server is removed and added again.".to_owned(),
        ],
        cure: None,
        client_id: shown(client_id),
        reference: visit.context.id.to_string(),
    };
    refuse_client(server, visit, &view, cause)
}

fn refuse_client(
    server: &AuthServer,
    visit: &Visit,
    view: &UnknownClient,
    cause: &str,
) -> Response {
    page::log(
        visit,
        StatusCode::BAD_REQUEST,
        "authorization request refused",
        cause,
    );
    server.show(StatusCode::BAD_REQUEST, view)
}

/// A text of unknown origin, cut.
fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_CHARS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
