//! Which protected resource a request means (RFC 8707).

use crate::server::ProtectedResource;

/// Why the `resource` parameters of a request cannot be followed (`invalid_target`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResourceError {
    /// None of ours.
    #[error(
        "resource names no MCP server here; use the resource of the protected resource metadata"
    )]
    Unknown,
    /// Several that are not the same.
    #[error("the resource parameters name different MCP servers; ask for one at a time")]
    Several,
}

/// The resource that all indicators name; `None` if there are none.
///
/// # Errors
/// See [`ResourceError`].
pub(crate) fn requested<'a, 'b>(
    resources: &'a [ProtectedResource],
    indicators: impl Iterator<Item = &'b str>,
) -> Result<Option<&'a ProtectedResource>, ResourceError> {
    let mut found: Option<&ProtectedResource> = None;
    for indicator in indicators {
        let named = named(resources, indicator).ok_or(ResourceError::Unknown)?;
        match found {
            Some(earlier) if earlier.resource != named.resource => {
                return Err(ResourceError::Several);
            }
            _ => found = Some(named),
        }
    }
    Ok(found)
}

/// The resource that an indicator names. Where one lies below another, the nearer one.
pub(crate) fn named<'a>(
    resources: &'a [ProtectedResource],
    indicator: &str,
) -> Option<&'a ProtectedResource> {
    resources
        .iter()
        .filter(|protected| protected.resource.is_named_by(indicator))
        .max_by_key(|protected| protected.path.len())
}
