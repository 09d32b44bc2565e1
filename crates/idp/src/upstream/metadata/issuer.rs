//! Which issuer a provider may call itself.

use super::super::MetadataError;

/// The place holder in the issuer of Entra's metadata for several tenants.
const TENANT: &str = "{tenantid}";

/// The issuer that tokens and callbacks of a provider must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct IssuerRule(String);

// === impl IssuerRule ===

impl IssuerRule {
    /// Decides on the issuer that the metadata names (`found`), given the one that was asked and
    /// the one that the operator vouches for, if any. One trailing slash more or less is no
    /// difference; the spelling of the metadata holds.
    pub(in super::super) fn judge(
        expected: Option<&str>,
        vouched: Option<&str>,
        found: &str,
    ) -> Result<Self, MetadataError> {
        let found_rule = Self(found.to_owned());
        let accepted = match (vouched, expected) {
            (Some(vouched), _) => {
                let vouched_rule = Self(vouched.to_owned());
                if found.contains(TENANT) && found_rule.accepts(vouched, None) {
                    // One tenant of many: the operator's word is the stricter one.
                    return Ok(vouched_rule);
                }
                same(vouched, found) || vouched_rule.accepts(found, None)
            }
            (None, Some(expected)) => same(expected, found),
            (None, None) => true,
        };
        if accepted {
            Ok(found_rule)
        } else {
            Err(MetadataError::IssuerMismatch {
                expected: vouched.or(expected).unwrap_or_default().to_owned(),
                found: crate::text::plain(found, 300),
            })
        }
    }

    pub(in super::super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `iss` is this issuer, letter by letter; where it holds `{tenantid}`, that is any
    /// one path segment, and the token's `tid` if it has one.
    pub(in super::super) fn accepts(&self, iss: &str, tenant: Option<&str>) -> bool {
        let Some((before, after)) = self.0.split_once(TENANT) else {
            return iss == self.0;
        };
        iss.strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|segment| {
                !segment.is_empty()
                    && !segment.contains(['/', '?', '#', '{'])
                    && tenant.is_none_or(|tenant| tenant == segment)
            })
    }
}

fn same(left: &str, right: &str) -> bool {
    left.strip_suffix('/').unwrap_or(left) == right.strip_suffix('/').unwrap_or(right)
}
