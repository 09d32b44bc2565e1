//! A provider that answers what a test tells it to, over real connections.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, header::HeaderMap, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

/// One answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    body: String,
    location: Option<String>,
    never: bool,
}

/// One request that came.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    always: Option<Reply>,
    seen: Vec<Recorded>,
}

/// The provider; it ends with the test's runtime.
pub(super) struct Fake {
    base: String,
    scripts: Arc<Mutex<HashMap<String, Script>>>,
}

// === impl Reply ===

impl Reply {
    pub(super) fn json(body: &Value) -> Self {
        Self::status(200, &body.to_string())
    }

    pub(super) fn status(status: u16, body: &str) -> Self {
        Self {
            status,
            body: body.to_owned(),
            location: None,
            never: false,
        }
    }

    pub(super) fn redirect(to: &Url) -> Self {
        Self {
            location: Some(to.to_string()),
            ..Self::status(302, "")
        }
    }

    /// The request is taken, and nothing ever answered.
    pub(super) fn never() -> Self {
        Self {
            never: true,
            ..Self::status(200, "")
        }
    }
}

// === impl Recorded ===

impl Recorded {
    pub(super) fn form(&self) -> HashMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .into_owned()
            .collect()
    }
}

// === impl Fake ===

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let scripts = Arc::new(Mutex::new(HashMap::new()));
        let served = Arc::clone(&scripts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let scripts = Arc::clone(&served);
                let service = service_fn(move |request| answer(Arc::clone(&scripts), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { base, scripts }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.base
    }

    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.base)).unwrap()
    }

    /// What is answered at a path whenever nothing else is told.
    pub(super) fn always(&self, path: &str, reply: Reply) {
        self.script(path, |script| script.always = Some(reply));
    }

    /// What is answered next at a path, once.
    pub(super) fn next(&self, path: &str, reply: Reply) {
        self.script(path, |script| script.next.push_back(reply));
    }

    pub(super) fn seen(&self, path: &str) -> Vec<Recorded> {
        self.script(path, |script| script.seen.clone())
    }

    fn script<T>(&self, path: &str, act: impl FnOnce(&mut Script) -> T) -> T {
        act(self
            .scripts
            .lock()
            .unwrap()
            .entry(path.to_owned())
            .or_default())
    }
}

async fn answer(
    scripts: Arc<Mutex<HashMap<String, Script>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let reply = {
        let mut scripts = scripts.lock().unwrap();
        let script = scripts.entry(parts.uri.path().to_owned()).or_default();
        script.seen.push(Recorded {
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        script.next.pop_front().or_else(|| script.always.clone())
    };
    let reply = reply.unwrap_or_else(|| Reply::status(404, "not here"));
    if reply.never {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(reply.status);
    if let Some(location) = &reply.location {
        response = response.header("location", location);
    }
    Ok(response.body(Full::from(reply.body)).unwrap())
}
