//! Answers for people: pages with their headers, problems with a reason and a way on, and the
//! pages by which a browser leaves.

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    oauth_error::OAuthError,
    redirect_uri::{RedirectTarget, RedirectUri},
};
use grants::Grants;
use minijinja::value::Value;
use store::StoreUnavailable;

use super::{
    browser::{Visit, path},
    device, retry_after,
};
use crate::{
    AuthServer,
    clients::documents::DocumentFault,
    flow::{
        answer::{Answer, Ending, Outcome},
        interaction::{InteractionError, InteractionId},
        login::ToProvider,
    },
    limits::TooMany,
    pages::view::{Action, Leave, Problem, View},
};

/// A problem on its way to a person.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) status: StatusCode,
    pub(super) heading: &'static str,
    pub(super) paragraphs: Vec<String>,
    pub(super) actions: Vec<Action>,
    pub(super) retry_after: Option<Duration>,
    /// For the log only.
    pub(super) cause: String,
}

// === impl Trouble ===

impl Trouble {
    pub(super) fn new(
        status: StatusCode,
        heading: &'static str,
        paragraphs: &[&str],
        cause: impl Into<String>,
    ) -> Self {
        Self {
            status,
            heading,
            paragraphs: paragraphs
                .iter()
                .map(|paragraph| (*paragraph).to_owned())
                .collect(),
            actions: Vec::new(),
            retry_after: None,
            cause: cause.into(),
        }
    }

    /// Offers to begin again at the consent page, or to go back to the client without.
    pub(super) fn with_way_back(self, server: &AuthServer, id: InteractionId) -> Self {
        let actions = vec![
            Action {
                text: "Try again",
                url: path::of(server, path::INTERACTION, id),
            },
            Action {
                text: "Cancel",
                url: path::of(server, path::ABORT, id),
            },
        ];
        Self { actions, ..self }
    }

    pub(super) fn unavailable(fault: &StoreUnavailable) -> Self {
        Self {
            retry_after: Some(Grants::RETRY_AFTER),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The server is not ready",
                &[
                    "It cannot reach its store right now. Nothing is lost. Reload this page in a few seconds.",
                ],
                fault.to_string(),
            )
        }
    }

    /// A client's metadata document does not make it known.
    pub(super) fn document(fault: &DocumentFault) -> Self {
        const NOTHING_SENT: &str = "Nothing was sent anywhere and nothing was allowed.";
        let cause = fault.to_string();
        if fault.is_passing() {
            return Self {
                retry_after: Some(Grants::RETRY_AFTER),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The client cannot be looked up right now",
                    &[
                        "Your client is described by a document on its maker's website, which this server could not read.",
                        &format!("What happened: {cause}."),
                        "Try again in a minute. If it stays like this, tell the makers of the client.",
                    ],
                    cause.as_str(),
                )
            };
        }
        match fault {
            DocumentFault::NotTrusted(host) => Self::new(
                StatusCode::FORBIDDEN,
                "This server does not take that client",
                &[
                    &format!(
                        "Your client is published by {host}, which the operator of this server has not allowed."
                    ),
                    "Its operator can allow it with MCP_AUTH_PROXY_CLIENT_DOMAINS_ALLOW and MCP_AUTH_PROXY_CLIENT_DOMAINS_DENY.",
                ],
                cause,
            ),
            DocumentFault::Url(_) | DocumentFault::Document(_) | DocumentFault::Keys(_) => {
                Self::new(
                    StatusCode::BAD_REQUEST,
                    "The client does not describe itself as it must",
                    &[
                        &format!("What is wrong: {cause}."),
                        "The makers of the client can mend that. If you typed or copied the client's address, a part of it may be missing.",
                        NOTHING_SENT,
                    ],
                    cause.as_str(),
                )
            }
        }
    }

    pub(super) fn already_done(cause: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "This is already done",
            &[
                "This login was finished, perhaps in another window. You can close this page.",
                "If your client still says that it is not connected, connect once more from there.",
            ],
            cause,
        )
    }

    pub(super) fn superseded(cause: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "This login is void",
            &[
                "You began once more since, or this attempt had failed. Go on in the newest window, or try again.",
            ],
            cause,
        )
    }

    pub(super) fn foreign_form() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This was not sent from our page",
            &[
                "The form came from another website, or the browser did not say where it came from. Nothing was done.",
                "If you did this yourself, open the page at its proper address and try again.",
            ],
            "a form was sent from elsewhere",
        )
    }
}

impl From<InteractionError> for Trouble {
    fn from(error: InteractionError) -> Self {
        let cause = error.to_string();
        match error {
            InteractionError::Unknown => Self::new(
                StatusCode::NOT_FOUND,
                "This page has expired",
                &[
                    "It was open for more than an hour, or its address is not right. Connect once more from your client.",
                ],
                cause,
            ),
            InteractionError::OtherBrowser => Self::new(
                StatusCode::FORBIDDEN,
                "This page belongs to another browser",
                &[
                    "A login must end in the browser in which it began, so that nobody can have you finish theirs.",
                    "Connect once more from your client, and let it open the page in this browser. If it did, cookies are blocked here: allow them for this site.",
                ],
                cause,
            ),
            InteractionError::Done => Self::already_done(cause),
            InteractionError::Superseded => Self::superseded(cause),
            InteractionError::Unavailable(fault) => Self::unavailable(&fault),
        }
    }
}

impl From<TooMany> for Trouble {
    fn from(too_many: TooMany) -> Self {
        let wait = format!(
            "Wait {} and reload this page.",
            in_words(too_many.retry_after)
        );
        Self {
            retry_after: Some(too_many.retry_after),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
                &["Your network address has sent very many requests.", &wait],
                too_many.to_string(),
            )
        }
    }
}

// === impl AuthServer ===

impl AuthServer {
    /// A page with its headers.
    pub(super) fn show<V: View>(&self, status: StatusCode, view: &V) -> Response {
        let page = self.pages.render(view);
        let mut response = (status, page.html).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        if let Ok(policy) = HeaderValue::from_str(&page.policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        guard(headers, page.referrer);
        response
    }

    /// The answer, or what went wrong.
    pub(super) async fn answer(
        &self,
        visit: &Visit,
        judged: Result<Response, Trouble>,
    ) -> Response {
        match judged {
            Ok(response) => response,
            Err(trouble) => self.tell(visit, trouble).await,
        }
    }

    /// Tells a person what went wrong, and the log why.
    pub(super) async fn tell(&self, visit: &Visit, trouble: Trouble) -> Response {
        let trouble = self.charge_for(visit, trouble).await;
        log(visit, trouble.status, trouble.heading, &trouble.cause);
        let view = Problem {
            title: trouble.heading,
            heading: trouble.heading.to_owned(),
            paragraphs: trouble.paragraphs,
            actions: trouble.actions,
            reference: visit.context.id.to_string(),
        };
        let mut response = self.show(trouble.status, &view);
        if let Some(wait) = trouble.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, retry_after(wait));
        }
        response
    }

    /// Ends an interaction.
    pub(super) fn conclude(&self, ending: &Ending) -> Response {
        match ending {
            Ending::Client(answer) => self.answer_client(answer),
            Ending::Device {
                client_name,
                outcome,
            } => {
                let (status, notice) = device::ending(client_name, *outcome);
                self.show(status, &notice)
            }
        }
    }

    /// Takes the browser to the client, by a page of our own: browsers apply `form-action` to
    /// every redirect that follows a form. An error goes by itself only where the place can be
    /// trusted: whoever says no to a client must not land on its website for it (RFC 9700
    /// §4.11.2).
    fn answer_client(&self, answer: &Answer) -> Response {
        let (heading, goes_on) = match answer.outcome {
            Outcome::Code(_) => ("You are logged in", true),
            Outcome::Error(_) => ("Nothing was allowed", self.trusts(&answer.redirect_uri)),
        };
        let url = answer.url(self.settings.base_url.issuer());
        if goes_on {
            let (uri, name) = (&answer.redirect_uri, &answer.client_name);
            return self.leave(heading, uri, name, url.expose());
        }
        let destination = destination(&answer.redirect_uri, &answer.client_name);
        self.show(
            StatusCode::OK,
            &Leave {
                title: heading,
                heading: heading.to_owned(),
                message: format!(
                    "You can close this page, or go back to {destination} to tell it so."
                ),
                destination,
                hint: "Go there only if you know it.",
                address: address(url.expose()),
                refresh: None,
            },
        )
    }

    /// Takes the browser to one of a client's redirect URIs, with the parameters that `url` has.
    pub(super) fn leave(
        &self,
        heading: &'static str,
        redirect_uri: &RedirectUri,
        client_name: &str,
        url: &str,
    ) -> Response {
        let destination = destination(redirect_uri, client_name);
        self.show(
            StatusCode::OK,
            &Leave {
                title: heading,
                heading: heading.to_owned(),
                message: format!("Taking you back to {destination}."),
                destination,
                hint: "If nothing happens, use the button. Afterwards you can close this page.",
                address: address(url),
                refresh: Some(address(url)),
            },
        )
    }

    /// A request that cannot be followed, of a client whose website nobody vouches for: anybody
    /// can register one and have a faulty address of ours lead there. The person decides.
    pub(super) fn tell_of_faulty_request(&self, answer: &Answer, error: &OAuthError) -> Response {
        const HEADING: &str = "The client asked for something wrong";
        let destination = destination(&answer.redirect_uri, &answer.client_name);
        self.show(
            StatusCode::BAD_REQUEST,
            &Leave {
                title: HEADING,
                heading: HEADING.to_owned(),
                message: format!("Nothing was allowed: {}.", error.error_description),
                destination,
                hint: "The makers of the client can mend that. The button tells it; go there only if you know that place.",
                address: address(answer.url(self.settings.base_url.issuer()).expose()),
                refresh: None,
            },
        )
    }

    /// Whether a browser may be taken there without its person's doing.
    pub(super) fn trusts(&self, redirect_uri: &RedirectUri) -> bool {
        self.settings.allowed_redirect_hosts.trusts(redirect_uri)
    }

    /// Takes the browser to the identity provider.
    pub(super) fn go_to_provider(&self, onward: &ToProvider) -> Response {
        let name = &onward.name;
        self.show(
            StatusCode::OK,
            &Leave {
                title: "Log in",
                heading: format!("Log in at {name}"),
                message: format!("Taking you to {name}, where you log in."),
                destination: name.clone(),
                hint: "If nothing happens, use the button.",
                address: address(onward.address.expose()),
                refresh: Some(address(onward.address.expose())),
            },
        )
    }

    /// Counts a request that begins something.
    ///
    /// # Errors
    /// If its address has used up its budget.
    pub(super) async fn charge(&self, visit: &mut Visit) -> Result<(), Trouble> {
        visit.is_charged = true;
        Ok(self.limits.charge(&visit.context).await?)
    }

    /// Counts a request that is the asker's fault; who has used up their budget is told that.
    async fn charge_for(&self, visit: &Visit, trouble: Trouble) -> Trouble {
        let is_fault_of_asker =
            trouble.status.is_client_error() && trouble.status != StatusCode::TOO_MANY_REQUESTS;
        if visit.is_charged || !is_fault_of_asker {
            return trouble;
        }
        match self.limits.charge(&visit.context).await {
            Ok(()) => trouble,
            Err(too_many) => too_many.into(),
        }
    }
}

/// Where an answer goes, in words that a person can judge.
fn destination(redirect_uri: &RedirectUri, client_name: &str) -> String {
    match redirect_uri.target() {
        RedirectTarget::Web(host) => host,
        RedirectTarget::Loopback(_) | RedirectTarget::PrivateUse(_) => client_name.to_owned(),
    }
}

/// Headers of everything that people see.
pub(super) fn guard(headers: &mut HeaderMap, referrer: &'static str) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, referrer),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// One line for the operator, with the reference that the page shows.
pub(super) fn log(visit: &Visit, status: StatusCode, heading: &str, cause: &str) {
    let (context, status) = (&visit.context, status.as_u16());
    if status >= 500 {
        tracing::error!(
            request.id = %context.id, client.network = %context.network(), status, cause,
            "page: {heading}",
        );
    } else {
        tracing::info!(
            request.id = %context.id, client.network = %context.network(), status, cause,
            "page: {heading}",
        );
    }
}

/// A time to wait, for people.
pub(super) fn in_words(time: Duration) -> String {
    match time.as_secs().max(1) {
        1 => "1 second".to_owned(),
        seconds @ 2..=90 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// An address as the value of an attribute in double quotes. Escaped here and not by the engine,
/// which would escape each slash too.
pub(super) fn address(url: &str) -> Value {
    let mut escaped = String::with_capacity(url.len() + 32);
    for character in url.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    Value::from_safe_string(escaped)
}
