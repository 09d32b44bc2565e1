//! Finding the metadata of an issuer.

use std::time::Duration;

use reqwest::header::ACCEPT;
use serde_json::{Map, Value};
use url::Url;

use super::super::MetadataError;
use crate::http;

const WELL_KNOWN: &str = "/.well-known/";
const OPENID: &str = "openid-configuration";
const OAUTH: &str = "oauth-authorization-server";

/// How long and how often is tried.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Pauses between the tries, so there is one try more.
    pub(crate) pauses: Vec<Duration>,
    /// For one request.
    pub(crate) request: Duration,
    /// For everything.
    pub(crate) total: Duration,
}

/// Metadata that was found.
pub(super) struct Discovered {
    pub(super) members: Map<String, Value>,
    /// The issuer that was asked.
    pub(super) issuer: String,
    pub(super) url: Url,
}

// === impl Pace ===

impl Default for Pace {
    /// Five tries within 20 s: a provider that starts beside us gets time to, and a start that
    /// cannot succeed is not drawn out.
    fn default() -> Self {
        Self {
            pauses: [500, 1000, 2000, 4000].map(Duration::from_millis).to_vec(),
            request: Duration::from_secs(4),
            total: Duration::from_secs(20),
        }
    }
}

/// Asks for the metadata of the issuer at `url`; a URL of the metadata itself is taken too.
pub(super) async fn discover(
    url: &Url,
    http: &reqwest::Client,
    pace: &Pace,
) -> Result<Discovered, MetadataError> {
    let places = Places::of(url);
    let mut problem = "nothing was answered".to_owned();
    let tries = async {
        let mut pauses = pace.pauses.iter();
        loop {
            match look(&places.urls, http, pace.request).await {
                Ok(found) => return Some(found),
                Err(fault) => problem = fault,
            }
            tokio::time::sleep(*pauses.next()?).await;
        }
    };
    let found = tokio::time::timeout(pace.total, tries).await.ok().flatten();
    match found {
        Some((members, url)) => Ok(Discovered {
            members,
            issuer: places.issuer,
            url,
        }),
        None => Err(MetadataError::Unreachable(format!(
            "the identity provider {} did not give its metadata, in spite of several tries ({problem}); \
             check IDENTITY_SERVER_URL and that the provider can be reached from here, or name a \
             file with its metadata in IDENTITY_SERVER_METADATA_FILE",
            places.issuer
        ))),
    }
}

/// One try at all places. A place that answers "not here" is passed over for the next one; a
/// fault ends the try, since the next place's 404 would only hide it.
async fn look(
    urls: &[Url],
    http: &reqwest::Client,
    limit: Duration,
) -> Result<(Map<String, Value>, Url), String> {
    let mut problems = Vec::new();
    for url in urls {
        let request = http.get(url.clone()).header(ACCEPT, "application/json");
        let answer = match http::ask(request, limit).await {
            Ok(answer) => answer,
            Err(fault) => {
                problems.push(format!("{url}: {fault}"));
                break;
            }
        };
        if answer.status.is_success()
            && let Some(members) = answer.object()
        {
            return Ok((members, url.clone()));
        }
        problems.push(match answer.status {
            status if status.is_success() => format!("{url} answered no JSON object"),
            status if status.is_redirection() => {
                format!("{url} answered {status}, and redirects are not followed")
            }
            status => format!("{url} answered {status}"),
        });
        if answer.is_passing_fault() {
            break;
        }
    }
    Err(problems.join("; "))
}

/// Where an issuer's metadata may be.
struct Places {
    issuer: String,
    urls: Vec<Url>,
}

// === impl Places ===

impl Places {
    fn of(url: &Url) -> Self {
        let mut base = url.clone();
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/').to_owned();
        if let Some((before, after)) = path.split_once(WELL_KNOWN) {
            // `.well-known/NAME` behind the issuer's path, or `NAME/path` inserted before it.
            let inserted = after.split_once('/').map_or("", |(_, rest)| rest);
            let separator = if inserted.is_empty() { "" } else { "/" };
            let issuer = at(&base, &format!("{before}{separator}{inserted}"));
            return Self {
                issuer: bare(&issuer),
                urls: vec![url.clone()],
            };
        }
        let mut urls = vec![
            at(&base, &format!("{path}{WELL_KNOWN}{OPENID}")),
            at(&base, &format!("{WELL_KNOWN}{OAUTH}{path}")),
        ];
        if !path.is_empty() {
            urls.push(at(&base, &format!("{WELL_KNOWN}{OPENID}{path}")));
        }
        Self {
            issuer: bare(&at(&base, &path)),
            urls,
        }
    }
}

fn at(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url
}

fn bare(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}
