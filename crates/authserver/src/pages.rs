//! The pages that people see: templates, built in or replaced by the operator's.

use std::path::Path;

use bytes::Bytes;
use domain::resource::Resource;

/// How the pages look.
#[derive(Clone, Debug, Default)]
pub struct Branding {
    /// Title of each page (`BRANDING_TITLE`).
    pub title: String,
    /// Icon, an absolute URL (`BRANDING_FAVICON`).
    pub favicon: Option<String>,
}

/// The templates, read once.
#[derive(Debug)]
pub struct Pages {}

/// Why the operator's templates cannot be used; names the file and the cure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTemplates(pub String);

impl Pages {
    /// The built-in pages, each replaced by a file of the same name in `views`
    /// (`OIDC_PROVIDER_VIEWS_PATH`) where there is one.
    ///
    /// # Errors
    /// If the directory is missing, holds only EJS files, or a template is broken.
    pub fn load(_branding: Branding, _views: Option<&Path>) -> Result<Self, InvalidTemplates> {
        todo!()
    }

    /// What a person's browser gets at an MCP endpoint: how to connect each client to it.
    pub fn connect(&self, _resource: &Resource) -> Bytes {
        todo!()
    }
}
