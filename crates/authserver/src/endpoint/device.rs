//! `/device`: a person enters the code that a device shows (RFC 8628 §3.3), and what they are told
//! before and after.

use axum::{
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::Response,
};
use domain::{client::Client, time::Timestamp};

use super::{
    authorize::{see_other, too_large, unreadable},
    browser::{Visit, path},
    interaction::{provider_view, urls},
    page::{Trouble, in_words},
    parameters::Parameters,
    retry_after,
};
use crate::{
    AuthServer, cookie,
    flow::{
        answer::DeviceOutcome,
        browser::BrowserId,
        device::{self, EnterError},
        interaction::Device,
        login::Opened,
    },
    pages::view::{ClientView, DeviceCode, DeviceConsent, DeviceNotice, ScopeView},
    server::Shared,
};

/// As much of a code as is shown again: an honest one is much shorter.
const MAX_SHOWN_CHARS: usize = 32;

const FORGOTTEN_TICK: &str =
    "Tick the box to say that the device is in front of you. If it is not, close this page.";
const MALFORMED: &str = "This is not such a code. A code has eight letters, such as BCDF-GHJK; there are no vowels and no digits in it.";
const UNKNOWN: &str = "No device waits for this code. Compare it with what the device shows; if it took more than 15 minutes, let the device make a new one.";

/// The form. A code in the address (`verification_uri_complete`) may have been sent by anybody, so
/// it is only filled in, not looked up.
pub(super) async fn show(
    State(server): State<Shared>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Response {
    let parameters = match Parameters::parse(query.unwrap_or_default().as_bytes()) {
        Ok(parameters) => parameters,
        Err(error) => return server.tell(&visit, unreadable(&error)).await,
    };
    let prefilled = parameters.get("user_code");
    let view = form(&server, prefilled.unwrap_or_default(), prefilled.is_some());
    let mut response = server.show(StatusCode::OK, &view);
    // Made at the first page, so that the very next one can ask for it.
    if visit.browser.is_none() {
        let browser = BrowserId::random(server.random.as_ref());
        if let Some(cookie) = cookie::issue(&browser, &server.settings.base_url) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
    }
    response
}

pub(super) async fn submit(
    State(server): State<Shared>,
    mut visit: Visit,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let judged = judge(&server, &mut visit, body).await;
    server.answer(&visit, judged).await
}

async fn judge(
    server: &AuthServer,
    visit: &mut Visit,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Trouble> {
    if !visit.is_sent_by_us {
        return Err(Trouble::foreign_form());
    }
    let body = body.map_err(|rejection| too_large(&rejection))?;
    let parameters = Parameters::parse(&body).map_err(|error| unreadable(&error))?;
    let browser = visit.browser.clone().ok_or_else(no_cookie)?;
    let typed = parameters.get("user_code").unwrap_or_default();
    let was_prefilled = parameters.get("prefilled") == Some("true");
    let again = |status, error: String| {
        let view = DeviceCode {
            error: Some(error),
            ..form(server, typed, was_prefilled)
        };
        server.show(status, &view)
    };
    if was_prefilled && parameters.get("present") != Some("true") {
        return Ok(again(
            StatusCode::UNPROCESSABLE_ENTITY,
            FORGOTTEN_TICK.to_owned(),
        ));
    }
    // Whatever comes of it: a wrong code is a guess, and each right one begins an interaction.
    server.charge(visit).await?;
    let network = visit.context.network();
    match device::enter(server, typed, &browser, network).await {
        Ok(id) => Ok(see_other(&path::of(server, path::INTERACTION, id))),
        Err(error @ (EnterError::Malformed | EnterError::Unknown)) => {
            tracing::info!(
                request.id = %visit.context.id, client.network = %network, cause = %error,
                "a user code was refused",
            );
            let text = match error {
                EnterError::Malformed => MALFORMED,
                _ => UNKNOWN,
            };
            Ok(again(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned()))
        }
        Err(EnterError::Throttled(wait)) => {
            tracing::warn!(
                request.id = %visit.context.id, client.network = %network,
                "too many wrong user codes",
            );
            let text = format!(
                "There were too many wrong codes. Try again in {}.",
                in_words(wait)
            );
            let mut response = again(StatusCode::TOO_MANY_REQUESTS, text);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, retry_after(wait));
            Ok(response)
        }
        Err(EnterError::Document(fault)) => Err(Trouble::document(&fault)),
        Err(EnterError::Unavailable(fault)) => Err(Trouble::unavailable(&fault)),
    }
}

fn form(server: &AuthServer, code: &str, prefilled: bool) -> DeviceCode {
    DeviceCode {
        title: DeviceCode::TITLE,
        action: format!("{}{}", server.settings.base_url.prefix(), path::DEVICE),
        code: code.chars().take(MAX_SHOWN_CHARS).collect(),
        prefilled,
        error: None,
    }
}

fn no_cookie() -> Trouble {
    Trouble::new(
        StatusCode::FORBIDDEN,
        "Cookies are blocked",
        &[
            "This page knows your browser by a cookie, which it did not bring along. Allow cookies for this site, open the page once more and enter the code again.",
        ],
        "the device page was sent without its cookie",
    )
}

/// The consent page of a device.
pub(super) fn consent(
    opened: &Opened<'_>,
    client: &Client,
    device: &Device,
) -> Result<DeviceConsent, Trouble> {
    let request = &opened.interaction.request;
    let now = opened.server.clock.now();
    Ok(DeviceConsent {
        title: DeviceConsent::TITLE,
        uid: opened.id.to_string(),
        client: ClientView::new(client),
        resource: request.resource.to_string(),
        provider: provider_view(opened)?,
        scopes: ScopeView::list(&request.scopes, |scope| {
            opened.server.settings.describe(scope)
        }),
        asked_at: clock_time(device.asked_at),
        asked_before: in_words(now.since(device.asked_at)),
        asked_from: device.asked_from.to_string(),
        urls: urls(opened),
        error: None,
    })
}

/// What the person is told at the end: nothing leads back to the device.
pub(super) fn ending(client_name: &str, outcome: DeviceOutcome) -> (StatusCode, DeviceNotice) {
    let (status, heading, paragraphs) = match outcome {
        DeviceOutcome::Allowed => (
            StatusCode::OK,
            "Your device is connected",
            vec![
                format!(
                    "{client_name} on your other device gets its access within a few seconds. Go back to it; you can close this page."
                ),
            ],
        ),
        DeviceOutcome::Refused => (
            StatusCode::OK,
            "Nothing was allowed",
            vec![
                "The device is told that you said no. You can close this page.".to_owned(),
            ],
        ),
        DeviceOutcome::StillWaits => (
            StatusCode::BAD_GATEWAY,
            "The login did not succeed",
            vec![
                "The identity provider did not let you in and gave another reason than your refusal. Nothing was allowed.".to_owned(),
                "The device still waits: open the page for device codes and enter its code once more.".to_owned(),
            ],
        ),
        DeviceOutcome::Void => void(),
    };
    let notice = DeviceNotice {
        title: heading,
        heading,
        paragraphs,
    };
    (status, notice)
}

fn void() -> (StatusCode, &'static str, Vec<String>) {
    (
        StatusCode::CONFLICT,
        "The device does not wait any more",
        vec![
            "Its code has expired, or you decided about it in another window. What was decided there holds.".to_owned(),
            "If the device is not connected, let it make a new code.".to_owned(),
        ],
    )
}

/// A login that came too late for its device.
pub(super) fn too_late(cause: String) -> Trouble {
    let (status, heading, paragraphs) = void();
    Trouble {
        paragraphs,
        ..Trouble::new(status, heading, &[], cause)
    }
}

/// The time of day; a device waits for minutes.
fn clock_time(at: Timestamp) -> String {
    let minutes = at.as_unix() / 60;
    format!("{:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}
