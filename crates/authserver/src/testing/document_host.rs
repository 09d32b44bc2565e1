//! A website on this machine that publishes what clients say of themselves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use domain::client::ClientDomains;
use fetch::{FetchSettings, Fetcher};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::ClientDocumentSettings;

type Shared = Arc<Mutex<Site>>;

/// Serves what a test puts there.
#[derive(Clone)]
pub(crate) struct DocumentHost {
    pub(crate) origin: String,
    site: Shared,
}

#[derive(Default)]
struct Site {
    pages: HashMap<String, (u16, String)>,
    asked: usize,
}

// === impl DocumentHost ===

impl DocumentHost {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let site = Shared::default();
        let router = Router::new().fallback(serve).with_state(Arc::clone(&site));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { origin, site }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Host and port, as people see them.
    pub(crate) fn host(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }

    pub(crate) fn serve(&self, path: &str, document: &Value) {
        self.answer(path, 200, &document.to_string());
    }

    pub(crate) fn answer(&self, path: &str, status: u16, body: &str) {
        let mut site = self.site.lock().unwrap();
        site.pages
            .insert(path.to_owned(), (status, body.to_owned()));
    }

    /// How many requests came so far.
    pub(crate) fn asked(&self) -> usize {
        self.site.lock().unwrap().asked
    }

    /// A document of a client at `path`, with some members changed.
    pub(crate) fn describe(&self, path: &str, changes: &Value) -> String {
        let url = self.url(path);
        let mut document = json!({
            "client_id": url,
            "client_name": "Described tool",
            "redirect_uris": ["http://127.0.0.1/callback"],
            "token_endpoint_auth_method": "none",
        });
        for (name, value) in changes.as_object().unwrap() {
            document[name] = value.clone();
        }
        self.serve(path, &document);
        url
    }

    /// Settings by which documents of this host are taken.
    pub(crate) fn settings(domains: ClientDomains) -> ClientDocumentSettings {
        let fetcher = Fetcher::new(&FetchSettings {
            allows_loopback: true,
            ca_certificates: Vec::new(),
        });
        ClientDocumentSettings {
            fetcher: Arc::new(fetcher.unwrap()),
            domains: Some(domains),
        }
    }
}

async fn serve(State(site): State<Shared>, uri: Uri) -> Response {
    let mut site = site.lock().unwrap();
    site.asked += 1;
    match site.pages.get(uri.path()).cloned() {
        Some((status, body)) => {
            let headers = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
