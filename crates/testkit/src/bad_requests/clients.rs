//! How clients register.

use super::{Challenge, Place, Row, Section, Setting};

const MEND: &str = "Mend the metadata";
const REALM: Challenge = Challenge::Bearer("registration", None);

pub(super) const REGISTRATION: Section = Section {
    title: "`/reg`: registration",
    introduction: "RFC 7591 §3.2.2. The text begins with the member that is wrong. Members that are \
        not known are ignored; grant types that are not served are dropped, and the answer says \
        what is left.",
    place: Place::Machines,
    rows: &[
        Row::new("a body that is not one JSON object")
            .json("/reg", "[]")
            .refused(
                400,
                "invalid_client_metadata",
                "the request body must be one JSON object",
            )
            .cure("Send one JSON object"),
        Row::new("a body of more than 64 KiB")
            .json("/reg", "<70000 letters>")
            .refused(413, "invalid_request", "the request body is larger than 65536 bytes")
            .cure(MEND),
        Row::new("no `redirect_uris`")
            .json("/reg", "{}")
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris: at least one is needed",
            )
            .cure("Name at least one, unless the client is a device only"),
        Row::new("a redirect URI that is not absolute")
            .json("/reg", r#"{"redirect_uris":["/callback"]}"#)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[0]: it is not an absolute URI",
            )
            .cure(MEND),
        Row::new("a redirect URI with plain http to another host than loopback")
            .json("/reg", r#"{"redirect_uris":["https://a.example/","http://a.example/"]}"#)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[1]: plain `http` is for loopback hosts only (RFC 8252 section 7.3)",
            )
            .cure("Use https"),
        Row::new("a redirect URI with a fragment")
            .json("/reg", r#"{"redirect_uris":["https://a.example/#here"]}"#)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[0]: it must not have a fragment",
            )
            .cure(MEND),
        Row::new("a redirect URI with user information")
            .json("/reg", r#"{"redirect_uris":["https://claude.ai@a.example/"]}"#)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[0]: it must not have user information",
            )
            .cure(MEND),
        Row::new("a redirect URI with spaces, backslashes or letters outside of ASCII")
            .json("/reg", r#"{"redirect_uris":["https://a.example/my callback"]}"#)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[0]: it contains a character that must be percent-encoded",
            )
            .cure("Percent-encode it"),
        Row::new("a redirect URI with a scheme that browsers or systems act on")
            .json("/reg", r#"{"redirect_uris":["javascript:alert(1)"]}"#)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[0]: its scheme is neither https, loopback http nor a private-use scheme",
            )
            .cure("Use https, loopback http or a private-use scheme"),
        Row::new("a redirect URI of a private-use scheme without a `/`")
            .json("/reg", r#"{"redirect_uris":["cursor:callback"]}"#)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[0]: a private-use scheme needs a `/` after the colon",
            )
            .cure("Write `cursor:/callback` or `cursor://callback`"),
        Row::new("a redirect URI of more than 2048 bytes")
            .json("/reg", r#"{"redirect_uris":["https://a.example/<5000 letters>"]}"#)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[0]: it is longer than 2048 bytes",
            )
            .cure(MEND),
        Row::new("a redirect URI to a host that the operator does not allow")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"]}"#)
            .on(Setting::FewHosts)
            .refused(
                400,
                "invalid_redirect_uri",
                "redirect_uris[0]: this server does not let clients redirect to that host; its operator can allow it with MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS",
            )
            .cure("Ask the operator"),
        Row::new("`redirect_uris` that is no array of texts")
            .json("/reg", r#"{"redirect_uris":"https://a.example/"}"#)
            .refused(
                400,
                "invalid_client_metadata",
                "redirect_uris: must be an array of strings",
            )
            .cure(MEND),
        Row::new("a member of another type")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"],"client_name":7}"#)
            .refused(400, "invalid_client_metadata", "client_name: must be a string")
            .cure(MEND),
        Row::new("a name with invisible characters")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"],"client_name":"a\u202eb"}"#)
            .refused(
                400,
                "invalid_client_metadata",
                "client_name: contains control or invisible characters",
            )
            .cure(MEND),
        Row::new("a website that is none")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"],"client_uri":"ftp://a.example"}"#)
            .refused(
                400,
                "invalid_client_metadata",
                "client_uri: must be an absolute https or http URL without user information",
            )
            .cure(MEND),
        Row::new("another `token_endpoint_auth_method`")
            .json(
                "/reg",
                r#"{"redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"client_secret_jwt"}"#,
            )
            .refused(
                400,
                "invalid_client_metadata",
                "token_endpoint_auth_method: must be none, client_secret_basic, client_secret_post or private_key_jwt",
            )
            .cure("Look at `token_endpoint_auth_methods_supported`"),
        Row::new("`grant_types` by which no login can begin")
            .json(
                "/reg",
                r#"{"redirect_uris":["https://a.example/"],"grant_types":["client_credentials"]}"#,
            )
            .refused(
                400,
                "invalid_client_metadata",
                "grant_types: authorization_code or urn:ietf:params:oauth:grant-type:device_code must be among them",
            )
            .cure("Look at `grant_types_supported`"),
        Row::new("only the device flow, where that is off")
            .json(
                "/reg",
                r#"{"grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}"#,
            )
            .on(Setting::NoDevices)
            .refused(
                400,
                "invalid_client_metadata",
                "grant_types: authorization_code must be among them; the device flow is turned off here",
            )
            .cure("Look at `grant_types_supported`"),
        Row::new("`response_types` without `code`")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"],"response_types":["token"]}"#)
            .refused(
                400,
                "invalid_client_metadata",
                "response_types: code must be among them",
            )
            .cure(MEND),
        Row::new("another `application_type`")
            .json(
                "/reg",
                r#"{"redirect_uris":["https://a.example/"],"application_type":"desktop"}"#,
            )
            .refused(
                400,
                "invalid_client_metadata",
                "application_type: must be native or web",
            )
            .cure(MEND),
        Row::new("a `scope` that is not made of scope tokens")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"],"scope":"a\"b"}"#)
            .refused(
                400,
                "invalid_client_metadata",
                "scope: must be scope tokens separated by spaces",
            )
            .cure(MEND),
        Row::new("`private_key_jwt` without keys")
            .json(
                "/reg",
                r#"{"redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"private_key_jwt"}"#,
            )
            .refused(
                400,
                "invalid_client_metadata",
                "jwks: (or jwks_uri) is needed for private_key_jwt",
            )
            .cure("Send `jwks` or `jwks_uri`"),
        Row::new("`jwks` beside `jwks_uri`")
            .json(
                "/reg",
                r#"{"redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]},"jwks_uri":"https://a.example/jwks"}"#,
            )
            .refused(
                400,
                "invalid_client_metadata",
                "jwks: must not stand beside jwks_uri",
            )
            .cure("Send one of them"),
        Row::new("`jwks` with a private key")
            .json(
                "/reg",
                r#"{"redirect_uris":["https://a.example/"],"jwks":{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}}"#,
            )
            .refused(
                400,
                "invalid_client_metadata",
                "jwks: must hold public keys only",
            )
            .cure("Replace that key: it was shown"),
        Row::new("metadata that is fine, but too much")
            .json("/reg", r#"{"redirect_uris":[<30 long redirect URIs>]}"#)
            .refused(
                400,
                "invalid_client_metadata",
                "the metadata is larger than 8192 bytes",
            )
            .cure("Say less"),
        Row::new("no token, where registering needs one")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"]}"#)
            .on(Setting::ClosedRegistration)
            .challenged(REALM)
            .cure("Ask the operator for the initial access token (RFC 7591 §3)"),
        Row::new("a wrong token, where registering needs one")
            .json("/reg", r#"{"redirect_uris":["https://a.example/"]}"#)
            .with(&[("authorization", "Bearer wrong")])
            .on(Setting::ClosedRegistration)
            .refused(
                401,
                "invalid_token",
                "this is not the initial access token that the operator of this server gives out",
            )
            .challenged(REALM)
            .cure("Ask the operator for the initial access token"),
    ],
};

pub(super) const MANAGEMENT: Section = Section {
    title: "`/reg/{client_id}`: registration management",
    introduction: "RFC 7592, where it is on (`MCP_AUTH_PROXY_REGISTRATION_MANAGEMENT`); else the path \
        does not exist. A replacement is judged as a registration, with the same errors.",
    place: Place::Machines,
    rows: &[
        Row::new("it is off")
            .get("/reg/<public>")
            .with(&[("authorization", "Bearer any")])
            .refused(404, "invalid_request", "nothing is served at this path")
            .cure("Use `registration_client_uri` only where the registration gave one"),
        Row::new("no token")
            .get("/reg/<public>")
            .on(Setting::Management)
            .challenged(REALM)
            .cure("Show the `registration_access_token`"),
        Row::new("an empty token")
            .get("/reg/<public>")
            .with(&[("authorization", "Bearer ")])
            .on(Setting::Management)
            .refused(400, "invalid_request", "the Authorization header must hold one bearer token of visible ASCII characters")
            .challenged(REALM)
            .cure("Show the `registration_access_token`"),
        Row::new("a wrong token, or a client that is not registered")
            .get("/reg/<public>")
            .with(&[("authorization", "Bearer wrong")])
            .on(Setting::Management)
            .refused(
                401,
                "invalid_token",
                "this is not the registration access token of a client that is registered here",
            )
            .challenged(REALM)
            .cure("Show the token that came with this client; if it is lost, register anew"),
        Row::new("an id that cannot be one")
            .get("/reg/%ff")
            .with(&[("authorization", "Bearer <management token>")])
            .on(Setting::Management)
            .refused(
                401,
                "invalid_token",
                "this is not the registration access token of a client that is registered here",
            )
            .challenged(REALM)
            .cure("Use the `registration_client_uri` as it came"),
        Row::new("a replacement without `client_id`, or with another")
            .send("PUT", "/reg/<managed client>")
            .body(super::Body::Json(r#"{"redirect_uris":["https://a.example/"]}"#))
            .with(&[("authorization", "Bearer <management token>")])
            .on(Setting::Management)
            .refused(
                400,
                "invalid_client_metadata",
                "client_id is absent or names another client than the path",
            )
            .cure("Send `client_id` along (RFC 7592 §2.2)"),
        Row::new("a replacement with what the server alone says")
            .send("PUT", "/reg/<managed client>")
            .body(super::Body::Json(
                r#"{"client_id":"<managed client>","redirect_uris":["https://a.example/"],"client_id_issued_at":1}"#,
            ))
            .with(&[("authorization", "Bearer <management token>")])
            .on(Setting::Management)
            .refused(
                400,
                "invalid_client_metadata",
                "client_id_issued_at must not be sent",
            )
            .cure("Leave it out (RFC 7592 §2.2)"),
        Row::new("a replacement with a secret of its own choice")
            .send("PUT", "/reg/<managed client>")
            .body(super::Body::Json(
                r#"{"client_id":"<managed client>","redirect_uris":["https://a.example/"],"client_secret":"mine"}"#,
            ))
            .with(&[("authorization", "Bearer <management token>")])
            .on(Setting::Management)
            .refused(
                400,
                "invalid_client_metadata",
                "client_secret is not the one that was issued",
            )
            .cure("Repeat the secret that was issued, or leave it out"),
    ],
};
