//! Walks a recording.

use std::{collections::BTreeMap, fs, net::IpAddr, path::Path};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::{Map, Value, json};
use testkit::{
    client::{challenge, random_text},
    http::{Http, Reply},
    recorder::{Answer, Recorder},
};
use url::Url;

use super::{
    expectation::differences,
    names::Names,
    recording::{Call, Expect, Login, Page, Recording, Step, Tool},
};
use crate::harness::{Stage, tool_call};

const HEADERS: [&str; 3] = [
    "content-type",
    "cache-control",
    "access-control-allow-origin",
];
const CHALLENGE: [&str; 4] = ["resource_metadata", "scope", "error", "error_description"];

/// Replays a recording; whatever is not as its client insists is an error that names the step.
pub(super) async fn replay(file: &Path) -> Result<()> {
    let recording: Recording = serde_json::from_str(&fs::read_to_string(file)?)
        .with_context(|| format!("{} is no recording", file.display()))?;
    ensure!(!recording.sources.is_empty() && recording.read.len() == 7);
    let mut replay = Replay::begin(&recording).await?;
    for step in &recording.steps {
        replay.step(step).await.with_context(|| {
            let assumed = recording.assumed.as_deref().unwrap_or("nothing");
            format!("{}: {} (assumed: {assumed})", recording.client, what(step))
        })?;
    }
    if recording.ends_at_a_page {
        ensure!(matches!(recording.steps.last(), Some(Step::Page(_))));
        ensure!(replay.stage.recorder.requests().is_empty());
    } else {
        ensure!(matches!(recording.steps.last(), Some(Step::Tool(_))));
        ensure!(replay.refreshes > 0, "nothing was refreshed");
        ensure!(replay.tools > 1, "no tool before and after the refresh");
    }
    Ok(())
}

fn what(step: &Step) -> &str {
    match step {
        Step::Call(Call { what, .. })
        | Step::Login(Login { what, .. })
        | Step::Page(Page { what, .. })
        | Step::Tool(Tool { what, .. }) => what,
    }
}

struct Replay {
    stage: Stage,
    /// The host of the client's documents, as long as they are needed.
    _documents: Recorder,
    names: Names,
    refreshes: usize,
    tools: usize,
}

// === impl Replay ===

impl Replay {
    async fn begin(recording: &Recording) -> Result<Self> {
        let mut builder = Stage::builder()?;
        let moves = recording.steps.iter().any(|step| match step {
            Step::Call(Call { from, .. }) | Step::Tool(Tool { from, .. }) => from.is_some(),
            Step::Login(_) | Step::Page(_) => false,
        });
        ensure!(!moves || recording.cloud, "only the cloud has addresses");
        if recording.cloud {
            builder = builder.behind_router()?;
        }
        for (name, value) in &recording.environment {
            builder = builder.env(name, value);
        }
        let stage = builder.open().await?;
        let documents = Recorder::start().await?;
        let names = names(&stage, &documents, recording)?;
        let mut published = BTreeMap::new();
        for (path, document) in &recording.documents {
            published.insert(path.clone(), names.fill_value(document)?);
        }
        documents.answer(move |request| match published.get(request.uri.path()) {
            Some(document) => Answer::json(document),
            None => Answer::status(404),
        });
        Ok(Self {
            stage,
            _documents: documents,
            names,
            refreshes: 0,
            tools: 0,
        })
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Call(call) => self.call(call).await,
            Step::Login(login) => self.login(login).await,
            Step::Page(page) => self.page(page).await,
            Step::Tool(tool) => self.tool(tool).await,
        }
    }

    fn http(&self, from: Option<IpAddr>) -> Result<Http> {
        let http = self.stage.http()?;
        Ok(from.map_or_else(|| http.clone(), |address| http.from(address)))
    }

    async fn call(&mut self, call: &Call) -> Result<()> {
        let names = &self.names;
        let method = match (&call.method, &call.json, &call.form) {
            (Some(method), ..) => method.parse()?,
            (None, None, None) => Method::GET,
            (None, ..) => Method::POST,
        };
        let url = Url::parse(&names.fill(&call.url)?)?;
        let mut request = self.http(call.from)?.request(method, &url);
        for (name, value) in &call.headers {
            request = request.header(name, names.fill(value)?);
        }
        if let Some((id, secret)) = &call.basic {
            request = request.basic_auth(names.fill(id)?, Some(names.fill(secret)?));
        }
        if let Some(body) = &call.json {
            request = request.json(&names.fill_value(body)?);
        }
        if let Some(form) = &call.form {
            request = request.form(&names.fill_all(form)?);
        }
        let reply = Reply::to(request).await?;
        let answer = answer(&reply);
        self.stage.witness.remember_members(&answer);
        self.check(&call.expect, &answer)?;
        if grant_type(call) == Some("refresh_token") && reply.status == 200 {
            self.refreshes += 1;
        }
        if let Some(name) = &call.keep {
            self.names.keep(name, answer);
        }
        Ok(())
    }

    fn check(&self, expect: &Expect, answer: &Value) -> Result<()> {
        let mut expected = json!({ "status": expect.status });
        for (name, part) in [
            ("headers", &expect.headers),
            ("challenge", &expect.challenge),
            ("json", &expect.json),
        ] {
            if let Some(part) = part {
                expected[name] = self.names.fill_value(part)?;
            }
        }
        let found = differences(&expected, answer);
        ensure!(found.is_empty(), "{found:#?}\nin {answer:#}");
        Ok(())
    }

    async fn login(&mut self, login: &Login) -> Result<()> {
        let (verifier, state) = (random_text()?, random_text()?);
        self.stage.witness.remember(&verifier);
        self.stage.witness.remember(&state);
        let mut parameters = self.names.fill_all(&login.parameters)?;
        let redirect = parameters
            .iter()
            .find(|(name, _)| name == "redirect_uri")
            .map(|(_, value)| value.clone())
            .context("it names its redirect URI")?;
        for (name, value) in [
            ("state", state.as_str()),
            ("code_challenge", &challenge(&verifier)),
            ("code_challenge_method", "S256"),
        ] {
            parameters.push((name.to_owned(), value.to_owned()));
        }
        let mut url = Url::parse(&self.names.fill(&login.url)?)?;
        url.query_pairs_mut().extend_pairs(&parameters);
        let mut browser = self.stage.browser_for(&redirect)?;
        let consent = browser.page(&url).await?;
        // Names stand on the page so and nowhere else so.
        let names: Vec<_> = login
            .shows
            .iter()
            .map(|name| format!("<bdi>{name}</bdi>"))
            .collect();
        self.shows(&consent.text(), &names)?;
        let form = browser.agree(&consent).await?.page()?;
        let landing = browser.sign_in(&form, &login.person, "any").await?;
        let mut arrived = landing.client()?;
        let answer: Map<String, Value> = arrived
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
            .collect();
        arrived.set_query(None);
        ensure!(
            arrived == Url::parse(&redirect)?,
            "arrived at {arrived} and not at {redirect}"
        );
        // What a client of any revision compares, the issuer as a plain text (RFC 9207 §2.4).
        let expected = json!({
            "state": state, "iss": self.names.fill("{base}")?, "code": "<text>", "error": null,
        });
        let answer = Value::Object(answer);
        let found = differences(&expected, &answer);
        ensure!(found.is_empty(), "{found:#?}");
        self.names.keep(&login.keep, answer);
        self.names.keep("verifier", verifier.into());
        Ok(())
    }

    async fn page(&mut self, page: &Page) -> Result<()> {
        let mut url = Url::parse(&self.names.fill(&page.url)?)?;
        url.query_pairs_mut()
            .extend_pairs(&self.names.fill_all(&page.parameters)?);
        let shown = self.stage.browser()?.page(&url).await?;
        ensure!(shown.reply.status == page.status, "{}", shown.reply.status);
        self.shows(&shown.text(), &page.shows)
    }

    fn shows(&self, page: &str, texts: &[String]) -> Result<()> {
        ensure!(!texts.is_empty(), "a person must be shown something");
        for text in texts {
            let text = self.names.fill(text)?;
            ensure!(page.contains(&text), "`{text}` does not stand on {page}");
        }
        Ok(())
    }

    async fn tool(&mut self, tool: &Tool) -> Result<()> {
        let url = tool.url.as_deref().unwrap_or("{mcp}");
        let mut request = self
            .http(tool.from)?
            .post(&Url::parse(&self.names.fill(url)?)?)
            .bearer_auth(self.names.fill(&tool.token)?)
            .header("accept", "application/json, text/event-stream")
            .json(&tool_call("echo", &json!({ "message": "hello" })));
        for (name, value) in &tool.headers {
            request = request.header(name, self.names.fill(value)?);
        }
        let answer = answer(&Reply::to(request).await?);
        let expected = json!({
            "status": 200,
            "json": { "result": { "content": [{ "type": "text", "text": "Echo: hello" }] } },
        });
        let found = differences(&expected, &answer);
        ensure!(found.is_empty(), "{found:#?}\nin {answer:#}");
        let subject = self.stage.subject_at_server().await?;
        ensure!(
            subject.as_deref() == Some(&tool.person),
            "the MCP server saw {subject:?}"
        );
        self.tools += 1;
        Ok(())
    }
}

fn names(stage: &Stage, documents: &Recorder, recording: &Recording) -> Result<Names> {
    let mut names = Names::default();
    let base = stage.proxy.url("")?;
    names.keep("base", base.as_str().trim_end_matches('/').into());
    names.keep("mcp", stage.mcp()?.as_str().into());
    let documents = documents.url().origin().ascii_serialization();
    names.keep("documents", documents.into());
    if let Some(assertion) = &recording.assertion {
        names.sign(assertion)?;
    }
    Ok(names)
}

fn grant_type(call: &Call) -> Option<&str> {
    call.form.as_ref()?.get("grant_type").map(String::as_str)
}

/// An answer as one value: what expectations and placeholders look at.
fn answer(reply: &Reply) -> Value {
    let header = |name: &&str| {
        let value = reply.header(name);
        (!value.is_empty()).then(|| ((*name).to_owned(), value.into()))
    };
    let parameter = |name: &&str| {
        let value = testkit::client::quoted(reply.header("www-authenticate"), name)?;
        Some(((*name).to_owned(), value.into()))
    };
    let mut answer = json!({
        "status": reply.status.as_u16(),
        "headers": HEADERS.iter().filter_map(header).collect::<Map<_, _>>(),
        "challenge": CHALLENGE.iter().filter_map(parameter).collect::<Map<_, _>>(),
    });
    if let Ok(body) = reply.json() {
        answer["json"] = body;
    }
    answer
}
