//! One call through the gateway.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{request::RequestContext, scope::ScopeSet};
use grants::{AuthenticateError, Grants, IdentityError, IdentityToken, Session};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, WWW_AUTHENTICATE},
    request, response,
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answer::{self, ChallengePlace, ENDPOINT_METHODS, Refusal},
    bearer::{InvalidCredentials, bearer},
    body::GatewayBody,
    call_log::{CallLog, Ending},
    challenge::{self, ChallengeError},
    headers::{self, IdentityHeaders, UnsendableToken, X_ACCEL_BUFFERING, X_REQUEST_ID},
    origin::{self, ForeignOrigin, Origins},
    request_body::Source,
    server::{Route, Server, Servers},
    settings::GatewaySettings,
    stream_watch::StreamWatch,
    upstream::{Connection, InvalidCertificates, Outgoing, Trust, UpstreamError},
};

const FRESH_REFUSED: &str = "the MCP server refuses a fresh identity token; the session lives and \
    a new login would get the same: whoever runs the MCP server must see why";
const SESSION_ENDED: &str = "the identity provider ended the session; log in again";
const RENEWED: &str = "The identity token was just renewed; send the request again";
const IDENTITY_AWAY: &str = "The identity token cannot be renewed at the moment; the session \
    lives, try again";
const STORE_AWAY: &str = "The session cannot be looked up at the moment; it lives, try again";

/// How often one request renews its identity token: once, but for tokens that end on their way.
const MOST_RENEWALS: u32 = 3;

/// The gateway of this process.
#[derive(Debug)]
pub struct Gateway {
    settings: GatewaySettings,
    servers: Servers,
    origins: Origins,
    grants: Arc<Grants>,
    closing: CancellationToken,
}

/// One request, taken apart.
struct Call<'a> {
    parts: request::Parts,
    incoming: Incoming,
    asked: &'a PathAndQuery,
    context: &'a RequestContext,
}

/// How a call is answered if it is not refused.
enum Answer {
    /// By the gateway itself.
    Own(Response<GatewayBody>),
    /// By the MCP server.
    Passing {
        head: response::Parts,
        incoming: Incoming,
        connection: Connection,
        watch: Option<StreamWatch>,
    },
}

// === impl Gateway ===

impl Gateway {
    /// A gateway before `settings.servers`. `closing` ends its event streams at a drain; tasks
    /// that outlive a request are of `tasks`.
    ///
    /// # Errors
    /// If the extra CA certificates cannot be read.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever starts the process hands the handles over; they are cheap to clone"
    )]
    pub fn new(
        mut settings: GatewaySettings,
        grants: Arc<Grants>,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Result<Self, InvalidCertificates> {
        let trust = Trust::new(&settings.ca_certificates)?;
        settings.challenge_scopes =
            challenge::union(&settings.challenge_scopes, &ScopeSet::default());
        let base_url = &settings.base_url;
        let servers = std::mem::take(&mut settings.servers)
            .into_iter()
            .map(|server| Server::new(server, base_url, &trust, &tasks, &closing))
            .collect();
        Ok(Self {
            servers: Servers::new(servers, base_url, settings.callback_path.clone()),
            origins: Origins::new(base_url, &settings.allowed_origins),
            grants,
            closing,
            settings,
        })
    }

    /// Whether a path (as it came, with our prefix) is the gateway's.
    pub fn serves(&self, path: &str) -> bool {
        self.servers.serves(path)
    }

    /// Answers one request whose path [`Gateway::serves`].
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        context: &RequestContext,
    ) -> Response<GatewayBody> {
        let (parts, incoming) = request.into_parts();
        let asked = headers::path_and_query(&parts.uri);
        let mut log = CallLog::new(context, &parts.method, asked.clone());
        let call = Call {
            parts,
            incoming,
            asked: &asked,
            context,
        };
        let (answer, origin) = self.route(call, &mut log).await;
        let mut response = match answer {
            Ok(Answer::Passing {
                head,
                incoming,
                connection,
                watch,
            }) => {
                log.set_status(head.status);
                let body = GatewayBody::passing(incoming, connection, watch, log);
                Response::from_parts(head, body)
            }
            Ok(Answer::Own(response)) => logged(response, log),
            Err(refusal) => logged(refusal.into_response(&context.id), log),
        };
        if let Ok(id) = HeaderValue::from_str(&context.id) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        if let Some(standing) = context.counted.standing() {
            headers::tell_standing(&standing, response.headers_mut());
        }
        if let Some(origin) = origin {
            origin::allow(origin, response.headers_mut());
        }
        response
    }

    /// The answer, and the origin whose page may read it.
    async fn route(
        &self,
        call: Call<'_>,
        log: &mut CallLog,
    ) -> (Result<Answer, Refusal>, Option<HeaderValue>) {
        let refused = |refusal| (Err(refusal), None);
        match self.servers.find(call.asked.path(), &call.parts.method) {
            Err(refusal) => refused(refusal),
            Ok(Route::Public(server)) => (self.pass_public(server, call, log).await, None),
            Ok(Route::Protected(server, below)) => {
                if matches!(call.parts.method, Method::TRACE | Method::CONNECT) {
                    return refused(Refusal::Method(ENDPOINT_METHODS));
                }
                match self.origins.check(&call.parts.headers) {
                    Err(ForeignOrigin) => refused(Refusal::ForeignOrigin),
                    Ok(origin) => (self.pass(server, below, call, log).await, origin),
                }
            }
        }
    }

    async fn pass(
        &self,
        server: &Server,
        below: &str,
        call: Call<'_>,
        log: &mut CallLog,
    ) -> Result<Answer, Refusal> {
        if origin::is_preflight(&call.parts.method, &call.parts.headers) {
            return Ok(Answer::Own(preflight(&call.parts.headers)));
        }
        let session = self.authenticate(server, below, &call).await?;
        if let Some(charged) = session.charge() {
            let standing = charged.unwrap_or_else(|refused| refused);
            call.context.counted.note(standing);
            charged.map_err(Refusal::TooMany)?;
        }
        log.set_session(session.clone());
        let place = || server.place(below, self.settings.challenge_scopes.clone());
        let mut identity = session
            .identity_token()
            .await
            .map_err(|error| identity_refusal(error, place(), log))?;

        let method = call.parts.method.clone();
        let mut outgoing = self.outgoing(server, below, call, &session)?;
        for renewals in 0.. {
            let (response, connection) = send(server, &mut outgoing, Some(&identity), log).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                outgoing.release();
                let session = Some(session);
                return Ok(self.passing(server, below, &method, response, connection, session));
            }
            // Whatever it still has to say, the connection is not worth waiting for.
            drop((response, connection));

            if renewals > 0 && !session.has_run_out(&identity) {
                note_fresh_refused(server, &session, &identity, log);
                return Err(Refusal::InvalidToken(place(), FRESH_REFUSED.into()));
            }
            if renewals == MOST_RENEWALS {
                log.set_cause("each renewed token ended before the MCP server had looked at it");
                break;
            }
            identity = session
                .identity_token_after_refusal(&identity)
                .await
                .map_err(|error| identity_refusal(error, place(), log))?;
            if !outgoing.can_repeat() {
                log.set_cause("the request was too large to be sent again with a renewed token");
                break;
            }
        }
        Err(Refusal::Later(RENEWED, Duration::from_secs(1)))
    }

    /// A proof of the domain and the like: no token, no identity, nothing of the asker.
    async fn pass_public(
        &self,
        server: &Server,
        call: Call<'_>,
        log: &mut CallLog,
    ) -> Result<Answer, Refusal> {
        let Call {
            mut parts,
            asked,
            context,
            ..
        } = call;
        parts.headers.remove(CONTENT_LENGTH);
        server.headers.prepare(&mut parts.headers, context, None);
        let method = parts.method;
        let mut outgoing = Outgoing::new(method.clone(), asked.clone().into(), parts.headers, None);
        let (mut response, connection) = send(server, &mut outgoing, None, log).await?;
        headers::confine(response.headers_mut());
        Ok(self.passing(server, "", &method, response, connection, None))
    }

    async fn authenticate(
        &self,
        server: &Server,
        below: &str,
        call: &Call<'_>,
    ) -> Result<Session, Refusal> {
        let place = || server.place(below, self.settings.challenge_scopes.clone());
        let invalid = |error: AuthenticateError| {
            Refusal::InvalidToken(place(), Cow::Owned(error.to_string()))
        };
        let request = &call.parts;
        let token = match bearer(&request.headers, call.asked.query()) {
            Ok(Some(token)) => token,
            Ok(None) if is_read(&request.method) && answer::is_browser(&request.headers) => {
                return Err(Refusal::Browser(place(), server.connect_page()));
            }
            Ok(None) => return Err(Refusal::NoToken(place())),
            Err(InvalidCredentials::Malformed) => {
                return Err(invalid(AuthenticateError::Malformed));
            }
            Err(InvalidCredentials::SeveralHeaders) => {
                return Err(Refusal::SeveralCredentials(
                    "there is more than one Authorization header",
                ));
            }
            Err(InvalidCredentials::QueryBesideHeader) => {
                return Err(Refusal::SeveralCredentials(
                    "access_token stands in the query beside an Authorization header; send the header only",
                ));
            }
        };
        let network = call.context.network();
        let found = self
            .grants
            .authenticate(token, &server.settings.resource, network)
            .await;
        found.map_err(|error| match error {
            AuthenticateError::Unavailable(_) => Refusal::Later(STORE_AWAY, Grants::RETRY_AFTER),
            AuthenticateError::Malformed
            | AuthenticateError::Unknown
            | AuthenticateError::Expired
            | AuthenticateError::Ended
            | AuthenticateError::WrongResource => invalid(error),
        })
    }

    fn outgoing(
        &self,
        server: &Server,
        below: &str,
        call: Call<'_>,
        session: &Session,
    ) -> Result<Outgoing, Refusal> {
        let Call {
            mut parts,
            incoming,
            asked,
            context,
        } = call;
        let uri = server
            .target
            .uri(asked, below)
            .map_err(|_| Refusal::AmbiguousPath)?;
        let client = Some(session.client());
        server.headers.prepare(&mut parts.headers, context, client);
        let body = Source::new(incoming, self.settings.max_body);
        Ok(Outgoing::new(parts.method, uri, parts.headers, body))
    }

    /// The MCP server's answer as the client gets it.
    fn passing(
        &self,
        server: &Server,
        below: &str,
        method: &Method,
        response: Response<Incoming>,
        connection: Connection,
        session: Option<Session>,
    ) -> Answer {
        let (mut head, incoming) = response.into_parts();
        head.version = Version::HTTP_11;
        head.extensions.clear();
        let lacking = (head.status == StatusCode::FORBIDDEN)
            .then(|| challenge::required_scopes(&head.headers))
            .flatten();
        headers::clean_response(&mut head.headers);
        if let (Some(required), Some(session)) = (lacking, &session) {
            let place = server.place(below, challenge::union(session.scopes(), &required));
            head.headers
                .insert(WWW_AUTHENTICATE, step_up_challenge(&place));
        }
        if head.status.is_redirection() {
            let base_url = &self.settings.base_url;
            let (url, target) = (&server.settings.url, &server.target);
            headers::rewrite_location(&mut head.headers, url, target, base_url);
        }
        let watch = self.watch(method, &mut head.headers, &incoming, session);
        Answer::Passing {
            head,
            incoming,
            connection,
            watch,
        }
    }

    fn watch(
        &self,
        method: &Method,
        headers: &mut HeaderMap,
        incoming: &Incoming,
        session: Option<Session>,
    ) -> Option<StreamWatch> {
        let has_length = incoming.size_hint().exact().is_some();
        if !headers::is_event_stream(headers) {
            // What has a length is on its way already.
            return session.filter(|_| !has_length).map(StreamWatch::plain);
        }
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        let is_plain_text = headers
            .get(CONTENT_ENCODING)
            .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let keepalive = Some(self.settings.sse_keepalive)
            .filter(|after| !after.is_zero() && is_plain_text && !has_length);
        // A stream that answers a POST is a request to be finished within the drain's bound.
        let closing = (method == Method::GET).then(|| self.closing.clone());
        Some(StreamWatch::events(session, keepalive, closing))
    }
}

async fn send(
    server: &Server,
    outgoing: &mut Outgoing,
    identity: Option<&IdentityToken>,
    log: &mut CallLog,
) -> Result<(Response<Incoming>, Connection), Refusal> {
    let identity = identity
        .map(IdentityHeaders::new)
        .transpose()
        .map_err(|UnsendableToken| Refusal::UnsendableToken)?;
    let sent = server.upstream.send(outgoing, identity.as_ref()).await;
    sent.map_err(|error: UpstreamError| {
        log.set_cause(format_args!("the MCP server {}: {error}", server.name()));
        Refusal::Upstream(error)
    })
}

fn note_fresh_refused(server: &Server, session: &Session, token: &IdentityToken, log: &CallLog) {
    session.note_fresh_refused(token);
    tracing::warn!(
        request.id = %log.request(),
        server.url = %server.name(),
        client.id = %session.client(),
        grant.id = %session.grant(),
        "the MCP server answered 401 to an identity token that was just renewed: see its log for what it expects of the token (audience, scope, issuer)"
    );
}

fn identity_refusal(error: IdentityError, place: ChallengePlace, log: &mut CallLog) -> Refusal {
    match error {
        // Why it ended is for the operator, and was said where it was found out.
        IdentityError::Ended(_) => Refusal::InvalidToken(place, SESSION_ENDED.into()),
        IdentityError::FreshRefused => Refusal::InvalidToken(place, FRESH_REFUSED.into()),
        IdentityError::Unavailable {
            reason,
            retry_after,
        } => {
            log.set_cause(reason);
            Refusal::Later(IDENTITY_AWAY, retry_after)
        }
    }
}

fn step_up_challenge(place: &ChallengePlace) -> HeaderValue {
    let error = ChallengeError {
        code: "insufficient_scope",
        description:
            "the MCP server needs more scopes for this; log in again with the scopes named here"
                .into(),
    };
    challenge::challenge(&place.resource_metadata, &place.scopes, Some(&error))
}

fn preflight(asked: &HeaderMap) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::own(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    origin::preflight_headers(asked, response.headers_mut());
    response
}

fn logged(response: Response<GatewayBody>, mut log: CallLog) -> Response<GatewayBody> {
    log.set_status(response.status());
    log.end(Ending::Complete);
    response
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}
