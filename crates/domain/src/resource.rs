//! The protected resource: an MCP endpoint at our public URL (RFC 8707, RFC 9728).

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{base_url::BaseUrl, metadata};

/// The canonical identifier of a protected MCP server: our public URL with the MCP path, no
/// trailing slash.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resource(String);

impl Resource {
    /// The resource at a path (beginning with `/`) below the base URL.
    pub fn at(base: &BaseUrl, path: &str) -> Self {
        Self(base.join(path.trim_end_matches('/')))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its metadata document stands: the well-known path inserted before the resource's own
    /// (RFC 9728 §3.1).
    pub fn metadata_url(&self) -> String {
        let path_at = self
            .0
            .find("://")
            .and_then(|scheme| Some(scheme + 3 + self.0.get(scheme + 3..)?.find('/')?))
            .unwrap_or(self.0.len());
        let (origin, path) = self.0.split_at(path_at);
        format!("{origin}{}{path}", metadata::path::PROTECTED_RESOURCE)
    }

    /// Whether a `resource` parameter names this resource: the same URL or one below it (the
    /// metadata of such a path names just that path), with or without a trailing slash, with or
    /// without a query (some clients add one). A fragment is not allowed (RFC 8707 §2). The base
    /// URL alone is not a name of it.
    pub fn is_named_by(&self, indicator: &str) -> bool {
        let Ok(mut url) = Url::parse(indicator) else {
            return false;
        };
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        url.set_query(None);
        let below = url.as_str().strip_prefix(&self.0);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Resource({})", self.0)
    }
}
