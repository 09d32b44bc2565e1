//! `/session/end`: a person logs a client out; `/session/reset`: this browser is forgotten.

use axum::{
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    authorize::{see_other, too_large, unreadable},
    browser::{Visit, path},
    never_stored,
    page::Trouble,
    parameters::Parameters,
};
use crate::{
    AuthServer, cookie,
    flow::logout::{self, Asked, Logout, NoLogout},
    pages::view::{Field, LogoutPage, Notice},
    server::Shared,
};

const SESSION_EXPIRED: &str = "session_expired";
const EXPIRED_TEXT: &str = "the session is over; log in again";

/// The parameters that the page carries on to its form.
const CARRIED: [&str; 4] = [
    "id_token_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
];

/// A client sends a person here (RP-Initiated Logout §2).
pub(super) async fn end(
    State(server): State<Shared>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Response {
    let judged = ask(&server, query.unwrap_or_default().as_bytes()).await;
    server.answer(&visit, judged).await
}

/// The same by POST. It comes from another site and is only asked: nothing ends by it.
pub(super) async fn end_by_form(
    State(server): State<Shared>,
    visit: Visit,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = match body {
        Ok(body) => ask(&server, &body).await,
        Err(rejection) => Err(too_large(&rejection)),
    };
    server.answer(&visit, answer).await
}

async fn ask(server: &AuthServer, parameters: &[u8]) -> Result<Response, Trouble> {
    let (parameters, logout) = read(server, parameters).await?;
    let fields = CARRIED
        .into_iter()
        .filter_map(|name| {
            let value = parameters.get(name)?.to_owned();
            Some(Field { name, value })
        })
        .collect();
    let page = LogoutPage {
        title: LogoutPage::TITLE,
        client_name: logout.client_name,
        client_id: logout.client.to_string(),
        confirm: below(server, path::SESSION_END_CONFIRM),
        fields,
    };
    Ok(server.show(StatusCode::OK, &page))
}

/// The person agrees.
pub(super) async fn confirm(
    State(server): State<Shared>,
    visit: Visit,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let judged = finish(&server, &visit, body).await;
    server.answer(&visit, judged).await
}

async fn finish(
    server: &AuthServer,
    visit: &Visit,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Trouble> {
    if !visit.is_sent_by_us {
        return Err(Trouble::foreign_form());
    }
    let body = body.map_err(|rejection| too_large(&rejection))?;
    let (_, logout) = read(server, &body).await?;
    logout
        .end(server)
        .await
        .map_err(|fault| Trouble::unavailable(&fault))?;
    tracing::info!(
        request.id = %visit.context.id, client.id = %logout.client, "a person logged a client out",
    );
    Ok(match (&logout.back, logout.address()) {
        (Some(back), Some(address)) => server.leave(
            "You are logged out",
            back,
            &logout.client_name,
            address.expose(),
        ),
        _ => see_other(&below(server, path::SESSION_END_SUCCESS)),
    })
}

pub(super) async fn success(State(server): State<Shared>) -> Response {
    let notice = Notice {
        title: "Logged out",
        heading: "You are logged out",
        paragraphs: vec![
            "The client's access has ended. When you connect it again, you will be asked again.",
            "At your identity provider you may still be logged in. You can close this page.",
        ],
    };
    server.show(StatusCode::OK, &notice)
}

/// Forgets this browser. No grant ends: those belong to clients.
pub(super) async fn reset(State(server): State<Shared>) -> Response {
    let mut response = see_other(&below(&server, path::SESSION_RESET_DONE));
    if let Some(cookie) = cookie::clear(&server.settings.base_url) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The end of it: who comes here must log in anew.
pub(super) async fn reset_done(State(server): State<Shared>, headers: HeaderMap) -> Response {
    let mut response = if wants_page(&headers) {
        let notice = Notice {
            title: "Session over",
            heading: "This browser is forgotten",
            paragraphs: vec![
                "Logins that were under way here are void. Connect once more from your client.",
                "Clients that are connected stay so. You can close this page.",
            ],
        };
        server.show(StatusCode::UNAUTHORIZED, &notice)
    } else {
        let body = json!({ "error": SESSION_EXPIRED, "error_description": EXPIRED_TEXT });
        (StatusCode::UNAUTHORIZED, never_stored(), axum::Json(body)).into_response()
    };
    let metadata = match server.settings.resources.as_slice() {
        [only] => format!(", resource_metadata=\"{}\"", only.resource.metadata_url()),
        _ => String::new(),
    };
    let challenge = format!(
        "Bearer error=\"{SESSION_EXPIRED}\", error_description=\"{EXPIRED_TEXT}\"{metadata}"
    );
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn read(server: &AuthServer, encoded: &[u8]) -> Result<(Parameters, Logout), Trouble> {
    let parameters = Parameters::parse(encoded).map_err(|error| unreadable(&error))?;
    if let Some(duplicate) = parameters.duplicate() {
        return Err(Trouble::new(
            StatusCode::BAD_REQUEST,
            "The request contradicts itself",
            &[
                "It gives something more than once, so that nobody can tell which is meant. Nothing was done.",
            ],
            duplicate.to_string(),
        ));
    }
    let asked = Asked {
        id_token_hint: parameters.get("id_token_hint"),
        client_id: parameters.get("client_id"),
        post_logout_redirect_uri: parameters.get("post_logout_redirect_uri"),
        state: parameters.get("state"),
    };
    let logout = logout::check(server, asked).await.map_err(trouble)?;
    Ok((parameters, logout))
}

fn trouble(error: NoLogout) -> Trouble {
    const LOG_OUT_THERE: &str = "To log a client out, do so in the client: it ends its access here. To have this browser log in anew elsewhere, log out at your identity provider.";
    let cause = error.to_string();
    let bad_request = |heading, paragraphs: &[&str]| {
        Trouble::new(StatusCode::BAD_REQUEST, heading, paragraphs, cause.as_str())
    };
    match error {
        NoLogout::HintMissing => bad_request(
            "Nobody is logged in here",
            &[
                "This server keeps no session of yours; clients have sessions, and the address that brought you here does not say which one to end (id_token_hint).",
                LOG_OUT_THERE,
            ],
        ),
        NoLogout::HintInvalid(_) => bad_request(
            "This session is not known",
            &[
                "The address that brought you here names a session that this server never began, or one from before its keys were changed. Nothing was ended.",
                LOG_OUT_THERE,
            ],
        ),
        NoLogout::OtherClient | NoLogout::StateTooLong => bad_request(
            "The request contradicts itself",
            &[
                "The client that brought you here made a mistake. Nothing was ended.",
                LOG_OUT_THERE,
            ],
        ),
        NoLogout::RedirectUriUnregistered => bad_request(
            "The return address is not the client's",
            &[
                "The client wants you to return to an address that it did not register for this (post_logout_redirect_uris). Nothing was ended and nothing was sent there.",
                LOG_OUT_THERE,
            ],
        ),
        NoLogout::Unavailable(fault) => Trouble::unavailable(&fault),
    }
}

fn below(server: &AuthServer, path: &str) -> String {
    format!("{}{path}", server.settings.base_url.prefix())
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"))
}
