//! Where templates come from.

use std::{collections::BTreeSet, fmt, fs, path::Path};

use minijinja::{Environment, Error, Template, UndefinedBehavior};

pub(super) const LAYOUT: &str = "_layout.html";

const BUILT_IN: [(&str, &str); 12] = [
    (LAYOUT, include_str!("../../../../templates/_layout.html")),
    (
        "confirm-login.html",
        include_str!("../../../../templates/confirm-login.html"),
    ),
    (
        "confirm-device.html",
        include_str!("../../../../templates/confirm-device.html"),
    ),
    (
        "device.html",
        include_str!("../../../../templates/device.html"),
    ),
    (
        "login.html",
        include_str!("../../../../templates/login.html"),
    ),
    (
        "leave.html",
        include_str!("../../../../templates/leave.html"),
    ),
    (
        "error.html",
        include_str!("../../../../templates/error.html"),
    ),
    (
        "logout.html",
        include_str!("../../../../templates/logout.html"),
    ),
    (
        "notice.html",
        include_str!("../../../../templates/notice.html"),
    ),
    (
        "unknown-client.html",
        include_str!("../../../../templates/unknown-client.html"),
    ),
    (
        "connect.html",
        include_str!("../../../../templates/connect.html"),
    ),
    ("home.html", include_str!("../../../../templates/home.html")),
];

/// A template is a few kilobytes; a larger file is something else.
const MAX_BYTES: u64 = 1 << 20;

const GUIDE: &str = "docs/guides/page-templates.md";

/// The built-in templates, and the operator's.
pub(super) struct Templates {
    built_in: Environment<'static>,
    operator: Environment<'static>,
    replaced: BTreeSet<String>,
}

/// Why the operator's templates cannot be used; names the file and the cure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTemplates(pub String);

// === impl Templates ===

impl Templates {
    pub(super) fn load(views: Option<&Path>) -> Result<Self, InvalidTemplates> {
        let mut built_in = environment();
        for (name, source) in BUILT_IN {
            built_in
                .add_template(name, source)
                .map_err(|error| broken(&error))?;
        }
        let mut templates = Self {
            built_in,
            operator: environment(),
            replaced: BTreeSet::new(),
        };
        if let Some(views) = views {
            templates.read(views)?;
        }
        Ok(templates)
    }

    /// Whether the operator has a template of this name.
    pub(super) fn is_replaced(&self, name: &str) -> bool {
        self.replaced.contains(name)
    }

    pub(super) fn find(&self, name: &str, replaced: bool) -> Result<Template<'_, '_>, Error> {
        if replaced && self.is_replaced(name) {
            self.operator.get_template(name)
        } else {
            self.built_in.get_template(name)
        }
    }

    /// Reads all templates of a directory, so that they may include each other.
    fn read(&mut self, views: &Path) -> Result<(), InvalidTemplates> {
        let shown = views.display();
        let files = fs::read_dir(views).map_err(|error| {
            InvalidTemplates(format!(
                "the template directory {shown} cannot be read: {error}; make it, or leave \
                 OIDC_PROVIDER_VIEWS_PATH out for the built-in pages"
            ))
        })?;
        let mut of_predecessor = None;
        for file in files {
            let file = file.map_err(|error| unreadable(views, &error))?;
            let Ok(name) = file.file_name().into_string() else {
                continue;
            };
            let path = file.path();
            if has_extension(&path, "ejs") {
                of_predecessor.get_or_insert(name);
            } else if has_extension(&path, "html") {
                let source = read_file(&path)?;
                if source.contains("<%") {
                    of_predecessor.get_or_insert(name);
                    continue;
                }
                self.operator
                    .add_template_owned(name.clone(), source)
                    .map_err(|error| broken(&error))?;
                self.replaced.insert(name);
            }
        }
        self.judge(views, of_predecessor.as_deref())
    }

    fn judge(&self, views: &Path, of_predecessor: Option<&str>) -> Result<(), InvalidTemplates> {
        let shown = views.display();
        let ours = |name: &str| BUILT_IN.iter().any(|(known, _)| *known == name);
        if let Some(name) = of_predecessor
            && (self.replaced.is_empty() || ours(name))
        {
            return Err(InvalidTemplates(format!(
                "{shown}/{name} is an EJS template of the predecessor; templates are Jinja here: \
                 {GUIDE} shows old beside new. Until then leave OIDC_PROVIDER_VIEWS_PATH out for \
                 the built-in pages"
            )));
        }
        if !self.replaced.iter().any(|name| ours(name)) {
            let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            tracing::warn!(
                directory = %shown,
                "OIDC_PROVIDER_VIEWS_PATH replaces no page: none of its files is named {}",
                names.join(", ")
            );
        }
        Ok(())
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Templates")
            .field("replaced", &self.replaced)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a template, with file and line as the engine gives them.
pub(super) fn broken(error: &Error) -> InvalidTemplates {
    InvalidTemplates(format!(
        "a page template cannot be used: {error}; mend it, or take it out of the directory that \
         OIDC_PROVIDER_VIEWS_PATH names to get the built-in page"
    ))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    // A ported template may ask for a value that is not there on every page.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn read_file(path: &Path) -> Result<String, InvalidTemplates> {
    let size = fs::metadata(path)
        .map_err(|error| unreadable(path, &error))?
        .len();
    if size > MAX_BYTES {
        return Err(InvalidTemplates(format!(
            "the page template {} is larger than 1 MiB",
            path.display()
        )));
    }
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> InvalidTemplates {
    InvalidTemplates(format!(
        "the page template {} cannot be read: {error}",
        path.display()
    ))
}
