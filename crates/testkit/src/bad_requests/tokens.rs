//! Endpoints about devices and tokens.

use super::{Challenge, Place, Row, Section, Setting};

const REALM: Challenge = Challenge::Bearer("userinfo", None);
const MEND_REQUEST: &str = "Mend the request";

pub(super) const DEVICE_AUTHORIZATION: Section = Section {
    title: "`/device/auth`: device authorization",
    introduction: "RFC 8628 §3.1. The client proves itself as at the token endpoint, with the same \
        errors.",
    place: Place::Machines,
    rows: &[
        Row::new("no `client_id`")
            .form("/device/auth", "scope=openid")
            .refused(400, "invalid_request", "client_id is absent")
            .cure(MEND_REQUEST),
        Row::new("a client that did not register for it")
            .form("/device/auth", "client_id=<public>")
            .refused(
                400,
                "unauthorized_client",
                "this client did not register for the grant type urn:ietf:params:oauth:grant-type:device_code",
            )
            .cure("Register with it among the `grant_types`"),
        Row::new("a `scope` that is not made of scope tokens")
            .form("/device/auth", "client_id=<device client>&scope=a%22b")
            .refused(
                400,
                "invalid_scope",
                "a scope is 1 to 256 visible ASCII characters, but no double quote and no backslash",
            )
            .cure(MEND_REQUEST),
        Row::new("a `resource` that is no MCP server here")
            .form("/device/auth", "client_id=<device client>&resource=https://elsewhere.example")
            .refused(
                400,
                "invalid_target",
                "resource names no MCP server here; use the resource of the protected resource metadata",
            )
            .cure("Send the `resource` of the protected resource metadata, unchanged"),
        Row::new("no `resource`, where there are several MCP servers")
            .form("/device/auth", "client_id=<device client>")
            .on(Setting::TwoServers)
            .refused(
                400,
                "invalid_target",
                "resource is missing; there are several MCP servers here",
            )
            .cure("Send the `resource` of the protected resource metadata, unchanged"),
        Row::new("the device flow is off")
            .form("/device/auth", "client_id=<public>")
            .on(Setting::NoDevices)
            .refused(404, "invalid_request", "nothing is served at this path")
            .cure("Look at `device_authorization_endpoint`"),
    ],
};

pub(super) const REVOCATION: Section = Section {
    title: "`/token/revocation`: revocation",
    introduction: "RFC 7009 §2.2: a token that is not known, was revoked before, or is another \
        client's is no error: `200`, and nothing happens. `token_type_hint` is not needed and not \
        looked at. The client proves itself as at the token endpoint, with the same errors.",
    place: Place::Machines,
    rows: &[
        Row::new("no `token`")
            .form("/token/revocation", "client_id=<public>")
            .refused(400, "invalid_request", "token is absent")
            .cure(MEND_REQUEST),
        Row::new("no `client_id`")
            .form("/token/revocation", "token=<refresh token>")
            .refused(400, "invalid_request", "client_id is absent")
            .cure(MEND_REQUEST),
        Row::new("a client that is not registered")
            .form(
                "/token/revocation",
                "client_id=nobody&token=<refresh token>",
            )
            .refused(
                401,
                "invalid_client",
                "this client is not registered here, or no longer; register it anew",
            )
            .cure("Throw the token away; it is of no use without its client"),
        Row::new("a parameter twice")
            .form("/token/revocation", "client_id=<public>&token=a&token=b")
            .refused(
                400,
                "invalid_request",
                "the parameter token is given more than once",
            )
            .cure("One token a request"),
    ],
};

pub(super) const INTROSPECTION: Section = Section {
    title: "`/token/introspection`: introspection",
    introduction: "RFC 7662 §2.3. Only confidential clients may ask, for their own tokens, and MCP \
        servers, for access tokens issued for them. Any token that is not theirs, or opens nothing, \
        is `200` with `{\"active\":false}`.",
    place: Place::Machines,
    rows: &[
        Row::new("nothing that says who asks")
            .form("/token/introspection", "token=<access token>")
            .refused(401, "invalid_client", "client_id is absent")
            .cure("Prove who you are"),
        Row::new("a public client")
            .form(
                "/token/introspection",
                "token=<access token>&client_id=<public>",
            )
            .refused(
                401,
                "invalid_client",
                "only clients that were registered with a secret, and MCP servers, may ask here",
            )
            .cure("Public clients learn of a token's end by `401` at the MCP endpoint"),
        Row::new("a wrong secret of an MCP server")
            .form(
                "/token/introspection",
                "token=<access token>&client_id=mcp-server&client_secret=wrong",
            )
            .refused(
                401,
                "invalid_client",
                "this is not the secret that was configured for an MCP server",
            )
            .cure("Use the value of `MCP_AUTH_PROXY_INTROSPECTION_SECRET`"),
        Row::new("no `token`")
            .form("/token/introspection", "")
            .with(&[("authorization", "Basic <basic>")])
            .refused(400, "invalid_request", "token is absent")
            .cure(MEND_REQUEST),
    ],
};

pub(super) const USERINFO: Section = Section {
    title: "`/me`: userinfo",
    introduction: "RFC 6750 §3.1, OpenID Connect Core §5.3.3. The access token counts in the \
        `Authorization` header only.",
    place: Place::Machines,
    rows: &[
        Row::new("no token, or another scheme than Bearer")
            .get("/me")
            .challenged(REALM)
            .cure("Show an access token"),
        Row::new("the token in the query")
            .get("/me?access_token=<access token>")
            .challenged(REALM)
            .cure("Send it in the `Authorization` header"),
        Row::new("an empty token, or one with spaces or commas")
            .get("/me")
            .with(&[("authorization", "Bearer a b")])
            .refused(
                400,
                "invalid_request",
                "the Authorization header must hold one bearer token of visible ASCII characters",
            )
            .challenged(REALM)
            .cure(MEND_REQUEST),
        Row::new("a token in the header and in the query")
            .get("/me?access_token=<access token>")
            .with(&[("authorization", "Bearer <access token>")])
            .refused(
                400,
                "invalid_request",
                "access_token stands beside an Authorization header; send the header only",
            )
            .challenged(REALM)
            .cure("Send the header only"),
        Row::new("a text that is no access token of this server")
            .get("/me")
            .with(&[("authorization", "Bearer junk")])
            .refused(401, "invalid_token", "the token is not known here")
            .challenged(REALM)
            .cure("Refresh; if that fails, log in again"),
        Row::new("an access token that has expired")
            .get("/me")
            .with(&[("authorization", "Bearer <expired access token>")])
            .refused(
                401,
                "invalid_token",
                "the token has expired; a refresh gives a new one",
            )
            .challenged(REALM)
            .cure("Refresh"),
        Row::new("a session that was ended")
            .get("/me")
            .with(&[("authorization", "Bearer <revoked access token>")])
            .refused(401, "invalid_token", "the session was ended; log in again")
            .challenged(REALM)
            .cure("Log in again"),
        Row::new("a refresh token")
            .get("/me")
            .with(&[("authorization", "Bearer <refresh token>")])
            .refused(
                401,
                "invalid_token",
                "this is a refresh token; show an access token",
            )
            .challenged(REALM)
            .cure("Show an access token"),
        Row::new("an access token without the scope `openid`")
            .get("/me")
            .with(&[("authorization", "Bearer <narrow access token>")])
            .refused(
                403,
                "insufficient_scope",
                "the access token lacks the scope openid; log in again with it",
            )
            .challenged(Challenge::Bearer("userinfo", Some("openid")))
            .cure("Log in again with the scope"),
    ],
};
