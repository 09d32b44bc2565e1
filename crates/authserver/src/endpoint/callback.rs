//! The redirect back from the identity provider.

use axum::{
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::StatusCode,
    response::Response,
};
use idp::upstream::LoginError;

use super::{
    authorize::{repeat_by_get, unreadable},
    browser::Visit,
    interaction::unfinished,
    page::Trouble,
    parameters::Parameters,
};
use crate::{
    AuthServer,
    flow::{
        interaction::InteractionId,
        login::callback::{self, CallbackError, Completed, Returned},
    },
    server::Shared,
};

pub(super) async fn arrive(
    State(server): State<Shared>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Response {
    let judged = judge(&server, &visit, &query.unwrap_or_default()).await;
    server.answer(&visit, judged).await
}

/// `response_mode=form_post`: a POST from the provider's site bears no cookie of ours. It is sent
/// once more as GET and judged only then.
pub(super) async fn arrive_by_form(
    State(server): State<Shared>,
    visit: Visit,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let path = server.settings.callback_path.clone();
    repeat_by_get(&server, &visit, &path, query.as_deref(), body).await
}

async fn judge(server: &AuthServer, visit: &Visit, query: &str) -> Result<Response, Trouble> {
    let parameters = Parameters::parse(query.as_bytes()).map_err(|error| unreadable(&error))?;
    if let Some(duplicate) = parameters.duplicate() {
        return Err(not_ours(&duplicate));
    }
    let returned = Returned {
        state: parameters.get("state"),
        code: parameters.get("code"),
        error: parameters.get("error"),
        iss: parameters.get("iss"),
    };
    match callback::complete(server, returned, visit.browser.as_ref()).await {
        Ok(Completed::Answered(ending)) => Ok(server.conclude(&ending)),
        Ok(Completed::SentAgain(onward)) => Ok(server.go_to_provider(&onward)),
        Err(error) => {
            // A made-up code costs the provider a request, and consent can be given anew for the
            // next one: who goes round so is counted, lest the provider hold us back for it.
            if let CallbackError::Login(..) | CallbackError::Empty(_) = error {
                server.limits.charge(&visit.context).await?;
            }
            Err(trouble(server, error))
        }
    }
}

fn trouble(server: &AuthServer, error: CallbackError) -> Trouble {
    let cause = error.to_string();
    match error {
        CallbackError::StateMissing => not_ours(&cause),
        CallbackError::AlreadyDone => Trouble::already_done(cause),
        CallbackError::Superseded(id) => Trouble::superseded(cause).with_way_back(server, id),
        CallbackError::StateExpired(id) => Trouble::new(
            StatusCode::GONE,
            "This login took too long",
            &["Between your consent and the return from the identity provider lay more than ten minutes."],
            cause,
        )
        .with_way_back(server, id),
        CallbackError::Empty(id) => failed(
            server,
            id,
            StatusCode::BAD_GATEWAY,
            "The identity provider sent neither a login nor an error.",
            cause,
        ),
        CallbackError::Login(id, error) => login_failed(server, id, &error, cause),
        CallbackError::Interaction(error) => error.into(),
        CallbackError::Finish(id, error) => unfinished(server, id, error),
    }
}

fn login_failed(
    server: &AuthServer,
    id: InteractionId,
    error: &LoginError,
    cause: String,
) -> Trouble {
    match error {
        LoginError::Refused(_) => failed(
            server,
            id,
            StatusCode::BAD_GATEWAY,
            "The identity provider did not accept its own answer any more. Trying again helps in most cases.",
            cause,
        ),
        LoginError::Unavailable(_) => failed(
            server,
            id,
            StatusCode::SERVICE_UNAVAILABLE,
            "The identity provider cannot be reached right now. Wait a little and try again; nothing is lost.",
            cause,
        ),
        LoginError::Misconfigured(_) => failed(
            server,
            id,
            StatusCode::BAD_GATEWAY,
            "The identity provider does not accept this server as its client. Only the operator of this server can mend that: tell them the reference below.",
            cause,
        ),
        LoginError::Invalid(_) => failed(
            server,
            id,
            StatusCode::BAD_GATEWAY,
            "The answer of the identity provider cannot be trusted, so it was thrown away. If this happens again, tell the operator of this server the reference below.",
            cause,
        ),
    }
}

fn failed(
    server: &AuthServer,
    id: InteractionId,
    status: StatusCode,
    paragraph: &str,
    cause: String,
) -> Trouble {
    Trouble::new(status, "The login did not succeed", &[paragraph], cause).with_way_back(server, id)
}

fn not_ours(cause: &impl ToString) -> Trouble {
    Trouble::new(
        StatusCode::BAD_REQUEST,
        "This is no login of ours",
        &[
            "The address lacks what this server gave along, or has it twice. Connect once more from your client.",
        ],
        cause.to_string(),
    )
}
