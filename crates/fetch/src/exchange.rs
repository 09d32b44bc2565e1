//! One request and its answer, bounded in everything.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request, response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;

use crate::{
    connect::{Stream, plain},
    error::FetchError,
    target::Target,
};

/// The longest document that is read.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 10;
/// The longest head of an answer that is read.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 100;

/// A document as it came, with what caching needs to know.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) request: request::Parts,
    pub(crate) response: response::Parts,
    pub(crate) body: Bytes,
}

/// Asks for the target's document over a connection, which is closed afterwards. Nothing is sent
/// but what the request needs: no cookies, no credentials, no referrer.
pub(crate) async fn ask(stream: Box<dyn Stream>, target: &Target) -> Result<Answer, FetchError> {
    let request = request(target)?;
    let (parts, ()) = request.clone().into_parts();
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| FetchError::Connection(plain(&error)))?;
    let exchange = async {
        let response = sender
            .send_request(request.map(|()| Empty::<Bytes>::new()))
            .await
            .map_err(|error| FetchError::Connection(plain(&error)))?;
        read(response).await
    };
    // The connection is driven by whoever waits for the answer, and ends with it.
    tokio::pin!(exchange, connection);
    let (response, body) = tokio::select! {
        answer = &mut exchange => answer,
        // It may end first, with the answer read into memory: what is left is told by that.
        _ = &mut connection => exchange.await,
    }?;
    Ok(Answer {
        request: parts,
        response,
        body,
    })
}

fn request(target: &Target) -> Result<Request<()>, FetchError> {
    let host = HeaderValue::from_str(&target.authority)
        .map_err(|_| FetchError::Url("its host has a character that no header can carry"))?;
    Request::get(target.path_and_query.as_str())
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json, application/*+json;q=0.9")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(
            header::USER_AGENT,
            concat!("mcp-auth-proxy/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONNECTION, "close")
        .body(())
        .map_err(|_| FetchError::Url("it has a character that must be percent-encoded"))
}

async fn read(response: Response<Incoming>) -> Result<(response::Parts, Bytes), FetchError> {
    let (head, mut body) = response.into_parts();
    check_head(head.status, &head.headers)?;
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| FetchError::Connection(plain(&error)))?;
        if let Some(data) = frame.data_ref() {
            if read.len() + data.len() > MAX_BODY_BYTES {
                return Err(FetchError::TooLarge);
            }
            read.extend_from_slice(data);
        }
    }
    Ok((head, read.freeze()))
}

fn check_head(status: StatusCode, headers: &HeaderMap) -> Result<(), FetchError> {
    if status.is_redirection() {
        return Err(FetchError::Redirect(status.as_u16()));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status.as_u16()));
    }
    if !headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(is_json)
    {
        return Err(FetchError::ContentType);
    }
    let is_encoded = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| value != "identity");
    if is_encoded {
        let reason = "it came compressed, which was not asked for";
        return Err(FetchError::Invalid(reason.to_owned()));
    }
    let is_long = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|length| length > MAX_BODY_BYTES as u64);
    if is_long {
        return Err(FetchError::TooLarge);
    }
    Ok(())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json"
        || essence
            .strip_prefix("application/")
            .is_some_and(|kind| kind.ends_with("+json") && kind.len() > "+json".len())
}
