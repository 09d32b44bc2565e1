//! The pages that people see: templates, built in or replaced by the operator's.
//!
//! No page holds a script, and none needs one. Every value is escaped by the engine; what is
//! marked as safe was escaped or made here.

mod branding;
mod connect;
pub(crate) mod cure;
mod templates;
#[cfg(test)]
mod tests;
pub(crate) mod view;

use std::{fmt, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use domain::resource::Resource;
use minijinja::{
    context,
    value::{Serde, Value},
};

pub use branding::{Branding, Theme};
pub use connect::ConnectLines;
pub use templates::InvalidTemplates;

use self::{
    templates::{LAYOUT, Templates},
    view::View,
};

/// What is shown where a built-in template cannot be rendered. Cannot be: tests render each.
const LAST_RESORT: &str = "<!doctype html><title>Error</title><p>This page cannot be shown.</p>";

/// The templates, read once.
pub struct Pages {
    templates: Templates,
    branding: Branding,
    style: Value,
    policies: Policies,
}

/// A rendered page and the headers that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) html: Bytes,
    /// `Content-Security-Policy`.
    pub(crate) policy: Arc<str>,
    /// `Referrer-Policy`.
    pub(crate) referrer: &'static str,
}

/// The policies of pages, by what they hold.
#[derive(Debug)]
struct Policies {
    plain: Policy,
    replaced: Policy,
}

#[derive(Debug)]
struct Policy {
    with_form: Arc<str>,
    without: Arc<str>,
}

// === impl Pages ===

impl Pages {
    /// The built-in pages, each replaced by a file of the same name in `views`
    /// (`OIDC_PROVIDER_VIEWS_PATH`) where there is one.
    ///
    /// # Errors
    /// If the directory is missing, holds only EJS files, or a template is broken.
    pub fn load(branding: Branding, views: Option<&Path>) -> Result<Self, InvalidTemplates> {
        let style = branding.style();
        let pages = Self {
            templates: Templates::load(views)?,
            policies: Policies::new(&style, branding.image_source().as_deref()),
            style: Value::from_safe_string(style),
            branding,
        };
        pages.try_replaced()?;
        Ok(pages)
    }

    /// What a person's browser gets at an MCP endpoint: how to connect each client to it. To be
    /// sent with [`Pages::content_security_policy`].
    pub fn connect(&self, resource: &Resource) -> Bytes {
        self.render(&connect::page(resource)).html
    }

    /// `Content-Security-Policy` of [`Pages::connect`]'s page.
    pub fn content_security_policy(&self) -> &str {
        self.policy_of::<view::Connect>().as_ref()
    }

    /// Address of the icon, for those who ask for `/favicon.ico`.
    pub(crate) fn icon(&self) -> Option<&str> {
        self.branding.icon()
    }

    /// Renders a page. Where the operator's template fails, the built-in one is shown: a person
    /// in the middle of a login can do nothing about it.
    pub(crate) fn render<V: View>(&self, view: &V) -> Page {
        let html = if self.is_replaced::<V>() {
            self.compose(view, &Source::of::<V>(self)).or_else(|error| {
                tracing::error!(template = V::TEMPLATE, cause = %error, "a replaced template fails; the built-in one is shown");
                self.compose(view, &Source::BUILT_IN)
            })
        } else {
            self.compose(view, &Source::BUILT_IN)
        };
        let html = html.unwrap_or_else(|error| {
            tracing::error!(template = V::TEMPLATE, cause = %error, "a page cannot be shown");
            LAST_RESORT.to_owned()
        });
        Page {
            html: Bytes::from(html),
            policy: Arc::clone(self.policy_of::<V>()),
            // A form's POST must bear its `Origin`, which `no-referrer` would turn into `null`.
            referrer: if V::HAS_FORM {
                "same-origin"
            } else {
                "no-referrer"
            },
        }
    }

    /// Renders each replaced template once with made-up values, so that a broken one stops the
    /// start and not a login.
    fn try_replaced(&self) -> Result<(), InvalidTemplates> {
        fn try_one<V: View>(pages: &Pages) -> Result<(), InvalidTemplates> {
            if pages.is_replaced::<V>() {
                pages
                    .compose(&V::sample(), &Source::of::<V>(pages))
                    .map_err(|error| templates::broken(&error))?;
            }
            Ok(())
        }
        try_one::<view::Consent>(self)?;
        try_one::<view::DeviceConsent>(self)?;
        try_one::<view::DeviceCode>(self)?;
        try_one::<view::DeviceNotice>(self)?;
        try_one::<view::Login>(self)?;
        try_one::<view::Problem>(self)?;
        try_one::<view::UnknownClient>(self)?;
        try_one::<view::Connect>(self)?;
        try_one::<view::Home>(self)?;
        try_one::<view::LogoutPage>(self)?;
        try_one::<view::Notice>(self)?;
        try_one::<view::Leave>(self)
    }

    fn compose<V: View>(&self, view: &V, source: &Source) -> Result<String, minijinja::Error> {
        let values = Value::from(Serde(view));
        let values = context! { branding => self.branding.values(), ..values };
        let body = self
            .templates
            .find(V::TEMPLATE, source.replaced_body)?
            .render(values.clone())?;
        self.templates
            .find(LAYOUT, source.replaced_layout)?
            .render(context! {
                body => Value::from_safe_string(body),
                style => self.style.clone(),
                ..values
            })
    }

    fn is_replaced<V: View>(&self) -> bool {
        let source = Source::of::<V>(self);
        source.replaced_body || source.replaced_layout
    }

    fn policy_of<V: View>(&self) -> &Arc<str> {
        let policy = if self.is_replaced::<V>() {
            &self.policies.replaced
        } else {
            &self.policies.plain
        };
        if V::HAS_FORM {
            &policy.with_form
        } else {
            &policy.without
        }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pages")
            .field("templates", &self.templates)
            .field("branding", &self.branding)
            .finish_non_exhaustive()
    }
}

/// Which of the two templates of a page are the operator's.
struct Source {
    replaced_body: bool,
    replaced_layout: bool,
}

// === impl Source ===

impl Source {
    const BUILT_IN: Self = Self {
        replaced_body: false,
        replaced_layout: false,
    };

    fn of<V: View>(pages: &Pages) -> Self {
        // A page that navigates on needs its `meta refresh` in the head, which a layout written
        // for the predecessor does not have.
        Self {
            replaced_body: !V::LEAVES && pages.templates.is_replaced(V::TEMPLATE),
            replaced_layout: !V::LEAVES && pages.templates.is_replaced(LAYOUT),
        }
    }
}

// === impl Policies ===

impl Policies {
    fn new(style: &str, images: Option<&str>) -> Self {
        let hash = STANDARD.encode(store::seal::sha256(style.as_bytes()));
        let plain = format!("'sha256-{hash}'");
        let images = images
            .map(|source| format!(" {source}"))
            .unwrap_or_default();
        let own = if images.is_empty() { " 'none'" } else { "" };
        Self {
            plain: Policy::new(&plain, &format!("{own}{images}")),
            // Replaced pages may hold inline style and pictures of their own.
            replaced: Policy::new("'unsafe-inline'", &format!(" 'self' data:{images}")),
        }
    }
}

// === impl Policy ===

impl Policy {
    fn new(style: &str, images: &str) -> Self {
        let policy = |form: &str| {
            Arc::from(format!(
                "default-src 'none'; style-src {style}; img-src{images}; form-action {form}; \
                 frame-ancestors 'none'; base-uri 'none'"
            ))
        };
        Self {
            with_form: policy("'self'"),
            without: policy("'none'"),
        }
    }
}
