//! The MCP endpoint.

use super::{Challenge, Place, Row, Section};

const CHALLENGE: Challenge = Challenge::Resource("/mcp");

pub(super) const ENDPOINT: Section = Section {
    title: "The MCP endpoint",
    introduction: "RFC 6750 §3.1, RFC 9728 §5.1. Each `401` names the metadata of exactly the path \
        that was asked, and the scopes to ask for. `Origin` is looked at before anything else. \
        Faults of the MCP server itself are `502` and `504` with a JSON-RPC error, and a passing \
        fault is `503` with `Retry-After`, a session that asks more than \
        `MCP_AUTH_PROXY_MCP_REQUESTS` gets `429` so: keep the tokens.",
    place: Place::Gateway,
    rows: &[
        Row::new("no token, or another scheme than Bearer")
            .json("/mcp", "{}")
            .refused(
                401,
                "unauthorized",
                "no access token was sent in the Authorization header; WWW-Authenticate says where to get one",
            )
            .challenged(CHALLENGE)
            .cure("Begin a login, with the `resource_metadata` of `WWW-Authenticate`"),
        Row::new("the token in the query")
            .json("/mcp?access_token=<access token>", "{}")
            .refused(
                401,
                "unauthorized",
                "no access token was sent in the Authorization header; WWW-Authenticate says where to get one",
            )
            .challenged(CHALLENGE)
            .cure("Send it in the `Authorization` header"),
        Row::new("no token, below the endpoint")
            .json("/mcp/a/b", "{}")
            .refused(
                401,
                "unauthorized",
                "no access token was sent in the Authorization header; WWW-Authenticate says where to get one",
            )
            .challenged(Challenge::Resource("/mcp/a/b"))
            .cure("Begin a login; a token for the endpoint is good for every path below it"),
        Row::new("an empty token, or one with spaces or commas")
            .json("/mcp", "{}")
            .with(&[("authorization", "Bearer a, Bearer b")])
            .refused(
                401,
                "invalid_token",
                "the access token is not one of this server's",
            )
            .challenged(CHALLENGE)
            .cure("Send `Authorization: Bearer` and one token"),
        Row::new("a text that is no access token of this server")
            .json("/mcp", "{}")
            .with(&[("authorization", "Bearer junk")])
            .refused(
                401,
                "invalid_token",
                "the access token is not one of this server's",
            )
            .challenged(CHALLENGE)
            .cure("Refresh; if that fails, log in again"),
        Row::new("an access token that was changed")
            .json("/mcp", "{}")
            .with(&[("authorization", "Bearer <changed access token>")])
            .refused(
                401,
                "invalid_token",
                "the access token is not one of this server's",
            )
            .challenged(CHALLENGE)
            .cure("Send it as it came"),
        Row::new("a refresh token")
            .json("/mcp", "{}")
            .with(&[("authorization", "Bearer <refresh token>")])
            .refused(
                401,
                "invalid_token",
                "the access token is not one of this server's",
            )
            .challenged(CHALLENGE)
            .cure("Show the access token"),
        Row::new("an access token for another MCP server of this proxy")
            .json("/mcp", "{}")
            .with(&[("authorization", "Bearer <access token for another server>")])
            .refused(
                401,
                "invalid_token",
                "the access token is for another resource",
            )
            .challenged(CHALLENGE)
            .cure("Log in once for each MCP server"),
        Row::new("a session that was ended")
            .json("/mcp", "{}")
            .with(&[("authorization", "Bearer <revoked access token>")])
            .refused(401, "invalid_token", "the session was ended; log in again")
            .challenged(CHALLENGE)
            .cure("Log in again"),
        Row::new("a token in the header and in the query")
            .json("/mcp?access_token=<access token>", "{}")
            .with(&[("authorization", "Bearer <access token>")])
            .refused(
                400,
                "invalid_request",
                "access_token stands in the query beside an Authorization header; send the header only",
            )
            .cure("Send the header only"),
        Row::new("two `Authorization` headers")
            .json("/mcp", "{}")
            .with(&[
                ("authorization", "Bearer <access token>"),
                ("authorization", "Bearer <access token>"),
            ])
            .refused(
                400,
                "invalid_request",
                "there is more than one Authorization header",
            )
            .cure("Send one"),
        Row::new("a web page of an origin that is not let in")
            .json("/mcp", "{}")
            .with(&[
                ("authorization", "Bearer <access token>"),
                ("origin", "https://evil.example"),
            ])
            .refused(
                403,
                "access_denied",
                "pages of this origin may not call this server; its operator can let them in with MCP_AUTH_PROXY_ALLOWED_ORIGINS",
            )
            .cure("Ask the operator; loopback origins are always let in"),
        Row::new("the origin `null`")
            .json("/mcp", "{}")
            .with(&[("origin", "null")])
            .refused(
                403,
                "access_denied",
                "pages of this origin may not call this server; its operator can let them in with MCP_AUTH_PROXY_ALLOWED_ORIGINS",
            )
            .cure("Serve the page from a place with an origin"),
        Row::new("two `Origin` headers")
            .json("/mcp", "{}")
            .with(&[("origin", "http://localhost"), ("origin", "http://localhost")])
            .refused(
                403,
                "access_denied",
                "pages of this origin may not call this server; its operator can let them in with MCP_AUTH_PROXY_ALLOWED_ORIGINS",
            )
            .cure("Send one, or none"),
        Row::new("a path with dot segments, or with encoded dots or slashes")
            .json("/mcp/%2e%2e/admin", "{}")
            .with(&[("authorization", "Bearer <access token>")])
            .refused(
                400,
                "invalid_request",
                "the path holds dot segments, backslashes, or encoded dots, slashes or NUL; write it plainly",
            )
            .cure("Write the path plainly"),
        Row::new("the methods TRACE and CONNECT")
            .send("TRACE", "/mcp")
            .with(&[("authorization", "Bearer <access token>")])
            .refused(405, "invalid_request", "this method is not served here")
            .cure("See `Allow`"),
        Row::new("another method than GET or HEAD at a path that the operator made public")
            .json("/.well-known/openai-apps-challenge", "{}")
            .refused(405, "invalid_request", "this method is not served here")
            .cure("See `Allow`"),
    ],
};
