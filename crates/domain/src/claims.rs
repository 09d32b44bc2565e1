//! Which scope opens which claims about the user at the userinfo endpoint.

use crate::scope::ScopeSet;

/// By scope: those of OpenID Connect Core 1.0 §5.4, and `groups`, which has no standard but is
/// what providers and clients call it.
const BY_SCOPE: [(&str, &[&str]); 5] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
    ("groups", &["groups"]),
];

/// The claims that these scopes open, beside `sub`, which `openid` alone opens.
pub fn opened_by(scopes: &ScopeSet) -> impl Iterator<Item = &'static str> {
    BY_SCOPE
        .into_iter()
        .filter(|(scope, _)| scopes.contains(scope))
        .flat_map(|(_, claims)| claims.iter().copied())
}
