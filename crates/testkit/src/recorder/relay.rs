//! A recorder that passes everything on to a real MCP server, and its answers back as they come.

use anyhow::Result;
use bytes::Bytes;
use http::HeaderName;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use url::Url;

use super::{Answer, AnswerBody, Recorded, Recorder};

/// Headers that belong to one connection, or that the sender makes itself.
const OF_THE_CONNECTION: [&str; 5] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "transfer-encoding",
];

// === impl Recorder ===

impl Recorder {
    /// From now on answers as the server at `target` does.
    ///
    /// # Errors
    /// If no HTTP client can be built.
    pub fn relay_to(&self, target: &Url) -> Result<()> {
        // Event streams have no end: there is no timeout.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let target = target.clone();
        self.react(move |request| {
            Box::pin(pass_on(client.clone(), target.clone(), request.clone()))
        });
        Ok(())
    }
}

async fn pass_on(client: reqwest::Client, mut target: Url, request: Recorded) -> Answer {
    target.set_path(request.uri.path());
    target.set_query(request.uri.query());
    let headers = request
        .headers
        .iter()
        .filter(|(name, _)| goes_on(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let response = client
        .request(request.method, target)
        .headers(headers)
        .body(request.body)
        .send()
        .await;
    let Ok(response) = response else {
        return Answer::status(502);
    };
    let mut answer = Answer::status(response.status().as_u16());
    for (name, value) in response.headers() {
        if goes_on(name) {
            answer.head.headers.append(name.clone(), value.clone());
        }
    }
    let (sender, receiver) = unbounded_channel();
    answer.body = AnswerBody::Stream(receiver);
    tokio::spawn(bring_back(response, sender));
    answer
}

/// Ends with the answer, or when nobody wants it any more.
async fn bring_back(mut response: reqwest::Response, sender: UnboundedSender<Bytes>) {
    loop {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk,
            () = sender.closed() => return,
        };
        let Ok(Some(chunk)) = chunk else { return };
        if sender.send(chunk).is_err() {
            return;
        }
    }
}

fn goes_on(name: &HeaderName) -> bool {
    !OF_THE_CONNECTION.contains(&name.as_str())
}
