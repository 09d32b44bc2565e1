//! `/interaction/{uid}`: consent, cancel, and the login page of the local identity.

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::Response,
};
use domain::{client::Client, secret::SecretString};
use idp::provider::IdentityProvider;

use super::{
    Segment,
    authorize::{see_other, too_large, unreadable},
    browser::{Visit, path},
    device,
    page::{Trouble, in_words},
    parameters::Parameters,
    retry_after,
};
use crate::{
    AuthServer,
    clients::FindError,
    flow::{
        interaction::{InteractionError, InteractionId, Redirect, Reply, Stage},
        login::{
            FinishError, Onward, Opened,
            local::{LocalLoginError, Typed},
        },
    },
    pages::view::{
        ClientView, Consent, Details, DeviceConsent, Login, Params, ProviderView, RedirectView,
        ScopeView, Urls, Website,
    },
    server::Shared,
};

const FORGOTTEN_TICK: &str =
    "Tick the box to say that you trust this client, or choose Cancel. Nothing was allowed yet.";
const WRONG_PASSWORD: &str = "Name or password is wrong.";

/// What a form says, after the rules that every form must obey.
struct Sent {
    id: InteractionId,
    parameters: Parameters,
}

pub(super) async fn show(
    State(server): State<Shared>,
    mut visit: Visit,
    Segment(uid): Segment,
) -> Response {
    if let Err(trouble) = server.charge(&mut visit).await {
        return server.tell(&visit, trouble).await;
    }
    let judged = render(&server, &visit, &uid).await;
    server.answer(&visit, judged).await
}

async fn render(server: &AuthServer, visit: &Visit, uid: &str) -> Result<Response, Trouble> {
    let opened = open(server, visit, read_id(uid)?).await?;
    let client = find_client(&opened, visit).await?;
    let request = &opened.interaction.request;
    // Only at first: whoever comes back from the provider without an answer can cancel here.
    if matches!(opened.interaction.stage, Stage::Consent) && request.skips_consent {
        tracing::info!(
            request.id = %visit.context.id, client.id = %request.client,
            resource = %request.resource, "consent skipped, as configured for this client",
        );
        let id = opened.id;
        return Ok(go_on(server, id, opened.agree(false).await?));
    }
    Ok(match opened.interaction.stage {
        Stage::AtLogin => server.show(StatusCode::OK, &login(&opened, &client)),
        // Back from the provider without an answer: consent is asked anew.
        Stage::Consent | Stage::AtProvider(_) | Stage::Done => {
            ask_consent(&opened, &client, StatusCode::OK, None)?
        }
    })
}

pub(super) async fn confirm(
    State(server): State<Shared>,
    visit: Visit,
    Segment(uid): Segment,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let judged = decide(&server, &visit, &uid, body).await;
    server.answer(&visit, judged).await
}

async fn decide(
    server: &AuthServer,
    visit: &Visit,
    uid: &str,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Trouble> {
    let sent = read_form(visit, uid, body)?;
    let opened = open(server, visit, sent.id).await?;
    if sent.parameters.get("confirmed") != Some("true") {
        let client = find_client(&opened, visit).await?;
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return ask_consent(&opened, &client, status, Some(FORGOTTEN_TICK));
    }
    // The first yes was paid for with the interaction; each further one writes anew.
    if !matches!(opened.interaction.stage, Stage::Consent) {
        server.limits.charge(&visit.context).await?;
    }
    tracing::info!(
        request.id = %visit.context.id, client.id = %opened.interaction.request.client,
        resource = %opened.interaction.request.resource, "consent given",
    );
    let another_account = sent.parameters.get("account") == Some("another");
    let onward = opened.agree(another_account).await?;
    Ok(go_on(server, sent.id, onward))
}

fn go_on(server: &AuthServer, id: InteractionId, onward: Onward) -> Response {
    match onward {
        Onward::Provider(onward) => server.go_to_provider(&onward),
        Onward::LoginPage => see_other(&path::of(server, path::INTERACTION, id)),
    }
}

pub(super) async fn log_in(
    State(server): State<Shared>,
    visit: Visit,
    Segment(uid): Segment,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let judged = check_password(&server, &visit, &uid, body).await;
    server.answer(&visit, judged).await
}

async fn check_password(
    server: &AuthServer,
    visit: &Visit,
    uid: &str,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Trouble> {
    let sent = read_form(visit, uid, body)?;
    let opened = open(server, visit, sent.id).await?;
    let client = find_client(&opened, visit).await?;
    let name = sent.parameters.get("username").unwrap_or_default();
    let password = SecretString::new(sent.parameters.get("password").unwrap_or_default());
    let form = Login {
        username: name.to_owned(),
        ..login(&opened, &client)
    };
    let typed = Typed {
        name,
        password: &password,
        network: visit.context.network(),
    };
    match opened.log_in(typed).await {
        Ok(ending) => Ok(server.conclude(&ending)),
        Err(LocalLoginError::Wrong) => {
            server.limits.charge(&visit.context).await?;
            let error = Some(WRONG_PASSWORD.to_owned());
            Ok(server.show(StatusCode::UNPROCESSABLE_ENTITY, &Login { error, ..form }))
        }
        Err(LocalLoginError::Throttled(wait)) => {
            let error = Some(format!(
                "There were too many wrong passwords. Try again in {}.",
                in_words(wait)
            ));
            let mut response = server.show(StatusCode::TOO_MANY_REQUESTS, &Login { error, ..form });
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, retry_after(wait));
            Ok(response)
        }
        Err(LocalLoginError::NotAgreed) => {
            Ok(see_other(&path::of(server, path::INTERACTION, sent.id)))
        }
        Err(LocalLoginError::Finish(error)) => Err(unfinished(server, sent.id, error)),
    }
}

pub(super) async fn abort(
    State(server): State<Shared>,
    visit: Visit,
    Segment(uid): Segment,
) -> Response {
    let cancelled = match read_id(&uid) {
        Ok(id) => cancel(&server, &visit, id).await,
        Err(trouble) => Err(trouble),
    };
    server.answer(&visit, cancelled).await
}

pub(super) async fn abort_by_form(
    State(server): State<Shared>,
    visit: Visit,
    Segment(uid): Segment,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let cancelled = match read_form(&visit, &uid, body) {
        Ok(sent) => cancel(&server, &visit, sent.id).await,
        Err(trouble) => Err(trouble),
    };
    server.answer(&visit, cancelled).await
}

async fn cancel(
    server: &AuthServer,
    visit: &Visit,
    id: InteractionId,
) -> Result<Response, Trouble> {
    let opened = open(server, visit, id).await?;
    tracing::info!(
        request.id = %visit.context.id, client.id = %opened.interaction.request.client,
        "consent refused",
    );
    let ending = opened.cancel().await?;
    Ok(server.conclude(&ending))
}

/// A login that succeeded and could not be finished.
pub(super) fn unfinished(server: &AuthServer, id: InteractionId, error: FinishError) -> Trouble {
    match error {
        FinishError::Interaction(InteractionError::Unavailable(fault)) => Trouble {
            paragraphs: vec![
                "You logged in, but the server could not store it. Wait a few seconds and try again; you will be asked once more.".to_owned(),
            ],
            ..Trouble::unavailable(&fault).with_way_back(server, id)
        },
        FinishError::Interaction(error) => error.into(),
        FinishError::ClientGone => client_gone(),
        FinishError::Device(error) => device::too_late(error.to_string()),
    }
}

fn client_gone() -> Trouble {
    Trouble::new(
        StatusCode::GONE,
        "The client is not registered any more",
        &[
            "Its registration was forgotten while you were logging in. Connect once more from your client.",
        ],
        "the client is not registered any more",
    )
}

fn read_id(uid: &str) -> Result<InteractionId, Trouble> {
    InteractionId::parse(uid).ok_or_else(|| InteractionError::Unknown.into())
}

fn read_form(
    visit: &Visit,
    uid: &str,
    body: Result<Bytes, BytesRejection>,
) -> Result<Sent, Trouble> {
    if !visit.is_sent_by_us {
        return Err(Trouble::foreign_form());
    }
    let body = body.map_err(|rejection| too_large(&rejection))?;
    Ok(Sent {
        id: read_id(uid)?,
        parameters: Parameters::parse(&body).map_err(|error| unreadable(&error))?,
    })
}

async fn open<'a>(
    server: &'a AuthServer,
    visit: &'a Visit,
    id: InteractionId,
) -> Result<Opened<'a>, Trouble> {
    Ok(Opened::open(server, id, visit.browser.as_ref()).await?)
}

async fn find_client(opened: &Opened<'_>, visit: &Visit) -> Result<Client, Trouble> {
    opened
        .server
        .clients
        .find(&opened.interaction.request.client, visit.context.network())
        .await
        .map_err(|error| match error {
            FindError::Unavailable(fault) => Trouble::unavailable(&fault),
            FindError::Document(fault) => Trouble::document(&fault),
        })?
        .ok_or_else(client_gone)
}

/// The page that asks, for a client at the end of a redirect or on another device.
fn ask_consent(
    opened: &Opened<'_>,
    client: &Client,
    status: StatusCode,
    error: Option<&'static str>,
) -> Result<Response, Trouble> {
    let server = opened.server;
    Ok(match &opened.interaction.request.reply {
        Reply::Redirect(redirect) => {
            let view = consent(opened, client, redirect)?;
            server.show(status, &Consent { error, ..view })
        }
        Reply::Device(device) => {
            let view = device::consent(opened, client, device)?;
            server.show(status, &DeviceConsent { error, ..view })
        }
    })
}

/// The identity provider, as people see it.
pub(super) fn provider_view(opened: &Opened<'_>) -> Result<ProviderView, Trouble> {
    let settings = &opened.server.settings;
    let scopes = &opened.interaction.request.scopes;
    Ok(match &opened.resource()?.provider {
        IdentityProvider::Upstream(provider) => ProviderView {
            name: provider.display_name(),
            scopes: ScopeView::list(
                &provider.scopes_with(&settings.identity_scopes(scopes)),
                |_| None,
            ),
            can_switch: true,
        },
        IdentityProvider::Local(_) => ProviderView {
            name: "this server".to_owned(),
            scopes: Vec::new(),
            can_switch: false,
        },
    })
}

fn consent(opened: &Opened<'_>, client: &Client, redirect: &Redirect) -> Result<Consent, Trouble> {
    let request = &opened.interaction.request;
    let resource = opened.resource()?;
    Ok(Consent {
        title: Consent::TITLE,
        uid: opened.id.to_string(),
        client: ClientView::new(client),
        params: Params {
            client_id: client.id.to_string(),
            response_type: "code",
            redirect_uri: redirect.uri.to_string(),
            scope: request.scopes.to_string(),
            resource: request.resource.to_string(),
        },
        details: Details {
            scopes: request
                .scopes
                .iter()
                .map(|scope| scope.as_str().to_owned())
                .collect(),
        },
        identity_server_url: resource.provider.issuer().to_owned(),
        resource: request.resource.to_string(),
        redirect: RedirectView::new(&redirect.uri),
        website: Website::new(client, &redirect.uri),
        provider: provider_view(opened)?,
        scopes: ScopeView::list(&request.scopes, |scope| {
            opened.server.settings.describe(scope)
        }),
        urls: urls(opened),
        error: None,
    })
}

fn login(opened: &Opened<'_>, client: &Client) -> Login {
    Login {
        title: "Log in",
        uid: opened.id.to_string(),
        client: ClientView::new(client),
        resource: opened.interaction.request.resource.to_string(),
        username: String::new(),
        urls: urls(opened),
        error: None,
    }
}

pub(super) fn urls(opened: &Opened<'_>) -> Urls {
    let url = |path| path::of(opened.server, path, opened.id);
    Urls {
        confirm: url(path::CONFIRM),
        abort: url(path::ABORT),
        login: url(path::LOGIN),
    }
}
