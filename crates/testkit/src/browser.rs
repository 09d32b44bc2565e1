//! A person with a browser, without its engine: keeps cookies, follows redirects and hop pages,
//! fills in forms.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use http::HeaderMap;
use url::Url;

use crate::{
    html::{self, Form},
    http::{Http, Reply},
    witness::Witness,
};

/// A browser of one person.
#[derive(Clone, Debug)]
pub struct Browser {
    http: Http,
    /// Host → name → value. Cookies ignore ports (RFC 6265 §8.5).
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    /// Where the walk ends: a client waits there.
    client_redirect: String,
    witness: Witness,
    /// Every address that was asked, in order.
    pub visited: Vec<Url>,
    /// The `Set-Cookie` lines that came, in order.
    pub set_cookies: Vec<String>,
}

/// Where a step led.
#[derive(Clone, Debug)]
pub enum Landing {
    /// To a page that waits for the person.
    Page(Page),
    /// To the client's redirect URI (not asked: the story decides).
    Client(Url),
}

/// A page that waits for the person.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its address.
    pub url: Url,
    /// Its answer.
    pub reply: Reply,
}

const MOST_STEPS: usize = 20;

// === impl Browser ===

impl Browser {
    /// A fresh browser. `client_redirect` begins every address at which its client waits.
    pub fn new(http: Http, client_redirect: &str, witness: Witness) -> Self {
        Self {
            http,
            cookies: BTreeMap::new(),
            client_redirect: client_redirect.to_owned(),
            witness,
            visited: Vec::new(),
            set_cookies: Vec::new(),
        }
    }

    /// Opens an address and follows it.
    ///
    /// # Errors
    /// If a server does not answer, or leads in circles.
    pub async fn open(&mut self, url: &Url) -> Result<Landing> {
        let reply = self.get(url).await?;
        self.follow(url.clone(), reply).await
    }

    /// Opens an address that must be a page.
    ///
    /// # Errors
    /// If it is none.
    pub async fn page(&mut self, url: &Url) -> Result<Page> {
        self.open(url).await?.page()
    }

    /// The whole way of a person who agrees: consent page, provider's login as `user`, client.
    ///
    /// # Errors
    /// If the way is another.
    pub async fn log_in(&mut self, authorize: &Url, user: &str) -> Result<Url> {
        let consent = self.page(authorize).await?;
        let login = self.agree(&consent).await?.page()?;
        self.sign_in(&login, user, "any password").await?.client()
    }

    /// Ticks the box on a consent page and logs in.
    ///
    /// # Errors
    /// If the page has no such form.
    pub async fn agree(&mut self, consent: &Page) -> Result<Landing> {
        let form = consent.form_with("confirmed")?;
        self.submit(consent, &form, &[("confirmed", "true")], None)
            .await
    }

    /// Signs in on a login page: the first text field takes the name.
    ///
    /// # Errors
    /// If the page has no such form.
    pub async fn sign_in(&mut self, login: &Page, user: &str, password: &str) -> Result<Landing> {
        let form = login
            .forms()
            .into_iter()
            .find(|form| form.inputs.iter().any(|input| input.kind == "password"))
            .with_context(|| format!("no login form at {}: {}", login.url, login.text()))?;
        let name_of = |kinds: &[&str]| {
            form.inputs
                .iter()
                .find(|input| kinds.contains(&input.kind.as_str()))
                .map(|input| input.name.clone())
                .context("the login form has a name and a password")
        };
        let (name, secret) = (name_of(&["text", "email"])?, name_of(&["password"])?);
        let changes = [(name.as_str(), user), (secret.as_str(), password)];
        self.submit(login, &form, &changes, None).await
    }

    /// Sends a form as it stands on its page, with changes, by the button with that caption.
    ///
    /// # Errors
    /// If there is no such button, or a server does not answer.
    pub async fn submit(
        &mut self,
        page: &Page,
        form: &Form,
        changes: &[(&str, &str)],
        caption: Option<&str>,
    ) -> Result<Landing> {
        let mut fields: Vec<(String, String)> = form
            .inputs
            .iter()
            .filter(|input| !matches!(input.kind.as_str(), "checkbox" | "radio"))
            .filter(|input| !changes.iter().any(|(name, _)| *name == input.name))
            .map(|input| (input.name.clone(), input.value.clone()))
            .collect();
        fields.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let button = match caption {
            None => form.buttons.first(),
            Some(caption) => Some(
                form.buttons
                    .iter()
                    .find(|button| button.caption.contains(caption))
                    .with_context(|| format!("no button `{caption}` on {}", page.url))?,
            ),
        };
        let mut action = form.action.clone();
        if let Some(button) = button {
            if !button.name.is_empty() {
                fields.push((button.name.clone(), button.value.clone()));
            }
            if let Some(other) = &button.form_action {
                action.clone_from(other);
            }
        }
        let target = page.url.join(&action)?;
        if form.method == "get" {
            let mut target = target;
            target.query_pairs_mut().clear().extend_pairs(&fields);
            return self.open(&target).await;
        }
        let reply = self
            .post(&target, &page.url.origin().ascii_serialization(), &fields)
            .await?;
        self.follow(target, reply).await
    }

    /// One POST with this browser's cookies, as a form of a page at `origin` would send it.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn post(
        &mut self,
        url: &Url,
        origin: &str,
        fields: &[(String, String)],
    ) -> Result<Reply> {
        let request = self
            .http
            .post(url)
            .header("origin", origin)
            .header("accept", "text/html")
            .form(fields);
        self.send(url, request).await
    }

    /// One GET with this browser's cookies; nothing is followed.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn get(&mut self, url: &Url) -> Result<Reply> {
        let request = self.http.get(url).header("accept", "text/html,*/*;q=0.8");
        self.send(url, request).await
    }

    /// The cookies kept for a URL's host.
    pub fn cookies_for(&self, url: &Url) -> Vec<(String, String)> {
        self.cookies
            .get(url.host_str().unwrap_or_default())
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Goes on from an answer until a page waits or the client is reached.
    ///
    /// # Errors
    /// If a server does not answer, or leads in circles.
    pub async fn follow(&mut self, url: Url, reply: Reply) -> Result<Landing> {
        let (mut url, mut reply) = (url, reply);
        for _ in 0..MOST_STEPS {
            let next = if reply.status.is_redirection() {
                Some(reply.header("location").to_owned())
            } else {
                html::refresh_target(&reply.text())
            };
            let Some(next) = next else {
                return Ok(Landing::Page(Page { url, reply }));
            };
            let next = url
                .join(&next)
                .with_context(|| format!("{url} leads to `{next}`"))?;
            if next.as_str().starts_with(&self.client_redirect)
                || !matches!(next.scheme(), "http" | "https")
            {
                self.remember(&next);
                return Ok(Landing::Client(next));
            }
            reply = self.get(&next).await?;
            url = next;
        }
        bail!("{url} leads in circles")
    }

    async fn send(&mut self, url: &Url, request: reqwest::RequestBuilder) -> Result<Reply> {
        self.remember(url);
        self.visited.push(url.clone());
        let cookies: Vec<String> = self
            .cookies_for(url)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = if cookies.is_empty() {
            request
        } else {
            request.header("cookie", cookies.join("; "))
        };
        let reply = Reply::to(request)
            .await
            .with_context(|| format!("no answer from {}", url.origin().ascii_serialization()))?;
        self.keep_cookies(url, &reply.headers);
        Ok(reply)
    }

    fn keep_cookies(&mut self, url: &Url, headers: &HeaderMap) {
        let host = url.host_str().unwrap_or_default().to_owned();
        for line in headers.get_all("set-cookie") {
            let line = line.to_str().unwrap_or_default();
            self.set_cookies.push(line.to_owned());
            let pair = line.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let jar = self.cookies.entry(host.clone()).or_default();
            if value.is_empty() {
                jar.remove(name.trim());
            } else {
                self.witness.remember(value.trim());
                jar.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    fn remember(&self, url: &Url) {
        for (name, value) in url.query_pairs() {
            if matches!(name.as_ref(), "state" | "code") {
                self.witness.remember(&value);
            }
        }
    }
}

// === impl Landing ===

impl Landing {
    /// The page that waits.
    ///
    /// # Errors
    /// If the walk ended at the client.
    pub fn page(self) -> Result<Page> {
        match self {
            Self::Page(page) => Ok(page),
            Self::Client(url) => bail!("went on to the client instead of a page: {}", url.path()),
        }
    }

    /// The address at the client.
    ///
    /// # Errors
    /// If the walk ended at a page.
    pub fn client(self) -> Result<Url> {
        match self {
            Self::Client(url) => Ok(url),
            Self::Page(page) => bail!(
                "a page instead of the client: {} {}\n{}",
                page.reply.status,
                page.url.path(),
                page.text()
            ),
        }
    }
}

// === impl Page ===

impl Page {
    /// Its HTML.
    pub fn text(&self) -> String {
        self.reply.text()
    }

    /// Its forms.
    pub fn forms(&self) -> Vec<Form> {
        html::forms(&self.text())
    }

    /// The form with an input of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn form_with(&self, input: &str) -> Result<Form> {
        self.forms()
            .into_iter()
            .find(|form| form.has(input))
            .with_context(|| {
                format!(
                    "no form with `{input}` at {} ({}): {}",
                    self.url.path(),
                    self.reply.status,
                    self.text()
                )
            })
    }

    /// The target of the first link or form whose address contains this.
    ///
    /// # Errors
    /// If there is none.
    pub fn target_containing(&self, part: &str) -> Result<Url> {
        let target = html::tags(&self.text())
            .into_iter()
            .flat_map(|tag| {
                [
                    tag.value("href"),
                    tag.value("action"),
                    tag.value("formaction"),
                ]
            })
            .find(|target| target.contains(part))
            .with_context(|| format!("nothing leads to `{part}` on {}", self.url.path()))?;
        Ok(self.url.join(&target)?)
    }
}

/// A parameter of an address.
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
