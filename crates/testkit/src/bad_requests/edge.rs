//! What holds at every path.

use super::{Place, Row, Section, Setting};

const PLAIN: &str = "Write the path plainly";
const NO_METHOD: &str = "this path is not served for that method; see Allow";
const SEE_ALLOW: &str = "See `Allow`";
const METADATA: &str = "Take paths from the metadata";

pub(super) const METHODS: Section = Section {
    title: "Paths and methods",
    introduction: "",
    place: Place::Machines,
    rows: &[
        Row::new("a path that is not served")
            .get("/nothing")
            .refused(404, "invalid_request", "nothing is served at this path")
            .cure(METADATA),
        Row::new("metadata of a path that is no MCP server")
            .get("/.well-known/oauth-protected-resource/other")
            .refused(
                404,
                "invalid_request",
                "no MCP server of this proxy has that path",
            )
            .cure("Ask for the path of the MCP endpoint"),
        Row::new("metadata without a path, where there are several MCP servers")
            .get("/.well-known/oauth-protected-resource")
            .on(Setting::TwoServers)
            .refused(
                404,
                "invalid_request",
                "no MCP server of this proxy has that path",
            )
            .cure("Ask for the path of the MCP endpoint"),
        Row::new("GET at `/token`")
            .get("/token?grant_type=refresh_token&refresh_token=x")
            .refused(405, "invalid_request", NO_METHOD)
            .cure("POST a form; tokens never stand in a URL"),
        Row::new("GET at `/token/revocation`")
            .get("/token/revocation?token=x")
            .refused(405, "invalid_request", NO_METHOD)
            .cure("POST a form"),
        Row::new("GET at `/token/introspection`")
            .get("/token/introspection?token=x")
            .refused(405, "invalid_request", NO_METHOD)
            .cure("POST a form"),
        Row::new("GET at `/request`")
            .get("/request")
            .refused(405, "invalid_request", NO_METHOD)
            .cure("POST a form"),
        Row::new("GET at `/device/auth`")
            .get("/device/auth")
            .refused(405, "invalid_request", NO_METHOD)
            .cure("POST a form"),
        Row::new("GET at `/reg`")
            .get("/reg")
            .refused(405, "invalid_request", NO_METHOD)
            .cure("POST JSON"),
        Row::new("POST at `/jwks`")
            .json("/jwks", "{}")
            .refused(405, "invalid_request", NO_METHOD)
            .cure(SEE_ALLOW),
        Row::new("POST at a metadata document")
            .json("/.well-known/oauth-authorization-server", "{}")
            .refused(405, "invalid_request", NO_METHOD)
            .cure(SEE_ALLOW),
        Row::new("DELETE at `/me`")
            .send("DELETE", "/me")
            .refused(405, "invalid_request", NO_METHOD)
            .cure(SEE_ALLOW),
    ],
};

pub(super) const EVERYWHERE: Section = Section {
    title: "Every request",
    introduction: "Two programs could read these differently, so they are refused before anybody \
        reads them.",
    place: Place::Edge,
    rows: &[
        Row::new("a path with dot segments")
            .send("POST", "/mcp/../token")
            .refused(
                400,
                "invalid_request",
                "the path holds dot segments, backslashes, or encoded dots, slashes or NUL; write it plainly",
            )
            .cure(PLAIN),
        Row::new("a path with encoded dots, slashes, backslashes or NUL")
            .send("GET", "/jwks%2f")
            .refused(
                400,
                "invalid_request",
                "the path holds dot segments, backslashes, or encoded dots, slashes or NUL; write it plainly",
            )
            .cure(PLAIN),
        Row::new("two `Authorization` headers")
            .send("POST", "/token")
            .with(&[("authorization", "Basic YTpi"), ("authorization", "Basic YTpi")])
            .refused(
                400,
                "invalid_request",
                "there is more than one Authorization header",
            )
            .cure("Send one"),
        Row::new("a path and query of more than 16 KiB")
            .get("/auth?state=<20000 letters>")
            .refused(
                414,
                "invalid_request",
                "the request target is longer than 16 KiB",
            )
            .cure("Push the request, or POST it"),
        Row::new("plain http where https is served, by another method than GET or HEAD, or with an `Authorization` header (else `308` to https)")
            .send("POST", "/token")
            .with(&[("x-forwarded-proto", "http")])
            .on(Setting::BehindRouter)
            .refused(
                400,
                "invalid_request",
                "this came by plain http; use https://mcp.example (a TLS-terminating router must send X-Forwarded-Proto: https, see MCP_AUTH_PROXY_TRUSTED_PROXIES)",
            )
            .cure("Use https; a token that was sent so is no secret any more"),
    ],
};

pub(super) const TROUBLE: Section = Section {
    title: "What passes by itself",
    introduction: "Never a reason to throw a token away. `Retry-After` says when to come again.",
    place: Place::Machines,
    rows: &[
        Row::new("the address has sent more than `MAX_REQUESTS` (requests that begin something, and refused ones)")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"]}"#)
            .on(Setting::Exhausted)
            .refused(
                429,
                "temporarily_unavailable",
                "too many requests from this address; try again in 60 s",
            )
            .cure("Wait as long as `Retry-After` says"),
        Row::new("the proxy cannot reach its store")
            .form("/token", "grant_type=refresh_token&refresh_token=x&client_id=nobody")
            .on(Setting::StoreAway)
            .refused(
                503,
                "temporarily_unavailable",
                "the server cannot reach its store right now; nothing is lost, try again shortly",
            )
            .cure("Try again with the same token"),
    ],
};
