//! Where a login begins: the authorization endpoint, and requests pushed to it.

use super::{Place, Row, Section, Setting};

const MEND_REQUEST: &str = "Mend the request; nobody was asked anything";
const REGISTER: &str = "Forget the client's id and register anew";
const RESOURCE: &str = "Send the `resource` of the protected resource metadata, unchanged";

pub(super) const AUTHORIZATION: Section = Section {
    title: "`/auth`: authorization",
    introduction: "Until client and redirect URI are known to belong together, nothing is sent \
        there: the person gets a page (RFC 6749 §4.1.2.1). Everything else goes to the client, by \
        `303` to its redirect URI with `error`, `error_description`, `state` and `iss` (RFC 9207). \
        That is so for redirect URIs on loopback, for private-use schemes, and for hosts that the \
        operator has named; any other website gets its error from a page, by a button that the \
        person may press (RFC 9700 §4.11.2).",
    place: Place::Pages,
    rows: &[
        Row::new("no `client_id`")
            .get("/auth?<auth without client_id>")
            .page(400, "The client did not say who it is")
            .cure(MEND_REQUEST),
        Row::new("two `client_id`")
            .get("/auth?<auth>&client_id=other")
            .page(400, "The request contradicts itself")
            .cure(MEND_REQUEST),
        Row::new("two `redirect_uri`, even if they are the same")
            .get("/auth?<auth>&redirect_uri=http://127.0.0.1:4711/callback")
            .page(400, "The request contradicts itself")
            .cure(MEND_REQUEST),
        Row::new("a `client_id` that is not registered, or no longer")
            .get("/auth?<auth without client_id>&client_id=nobody")
            .page(400, "This server does not know your client (any more)")
            .cure(REGISTER),
        Row::new("a `client_id` that is a URL, where metadata documents are off")
            .get("/auth?<auth without client_id>&client_id=https://client.example/c.json")
            .page(400, "This server has client metadata documents turned off")
            .cure("Look at `client_id_metadata_document_supported`; register instead"),
        Row::new("a client that registered for devices only")
            .get("/auth?<auth without client_id>&client_id=<device client>")
            .page(400, "This client does not use this page")
            .cure("Register with `authorization_code` among the `grant_types`"),
        Row::new("no `redirect_uri`, of a client that registered several")
            .get("/auth?<auth without client_id redirect_uri>&client_id=<several redirects>")
            .page(400, "The client did not say where to return")
            .cure(MEND_REQUEST),
        Row::new("a `redirect_uri` that nobody may have")
            .get("/auth?<auth without redirect_uri>&redirect_uri=javascript:alert(1)")
            .page(400, "The client's return address is not valid")
            .cure("Use https, loopback http or a private-use scheme"),
        Row::new("a `redirect_uri` that the client did not register")
            .get("/auth?<auth without redirect_uri>&redirect_uri=http://127.0.0.1:4711/other")
            .page(400, "The return address is not the client's")
            .cure("Send exactly what was registered (the port of a loopback host is free), or register anew"),
        Row::new("a `redirect_uri` to a host that the operator no longer allows")
            .get("/auth?<auth without client_id redirect_uri>&client_id=<web client>&redirect_uri=https://client.example/callback")
            .on(Setting::FewHosts)
            .page(403, "This server does not send people there")
            .cure("Ask the operator"),
        Row::new("any of the following, of a client whose redirect URI is on a website that nobody vouches for")
            .get("/auth?<auth without client_id redirect_uri response_type>&client_id=<web client>&redirect_uri=https://client.example/callback")
            .page(400, "The client asked for something wrong")
            .cure(MEND_REQUEST),
        Row::new("a `request_uri` of ours that was used, has expired, or is another client's")
            .get("/auth?client_id=<public>&request_uri=<used request_uri>")
            .page(400, "This login link has expired")
            .cure("Push the request again; a `request_uri` works once, for 60 seconds"),
        Row::new("a `request_uri` of ours without `client_id`")
            .get("/auth?request_uri=<request_uri>")
            .page(400, "The client did not say who it is")
            .cure("Send `client_id` beside `request_uri` (RFC 9126 §4)"),
        Row::new("more than 64 parameters")
            .get("/auth?<auth>&<65 parameters>")
            .page(400, "This request cannot be read")
            .cure(MEND_REQUEST),
        Row::new("a form of more than 16 KiB")
            .form("/auth", "<auth>&state=<70000 letters>")
            .page(413, "This request cannot be read")
            .cure(MEND_REQUEST),
        Row::new("any other parameter twice")
            .get("/auth?<auth>&scope=openid&scope=openid")
            .redirected("invalid_request", "the parameter scope is given more than once")
            .cure(MEND_REQUEST),
        Row::new("a client that did not register for `authorization_code`")
            .get("/auth?<auth without client_id>&client_id=<device client with redirect>")
            .redirected(
                "unauthorized_client",
                "this client did not register for the grant type authorization_code",
            )
            .cure("Register with `authorization_code` among the `grant_types`"),
        Row::new("a `request` object")
            .get("/auth?<auth>&request=eyJhbGciOiJub25lIn0.e30.")
            .redirected(
                "request_not_supported",
                "request objects are not supported; send plain parameters",
            )
            .cure("Send plain parameters, or push them"),
        Row::new("a `request_uri` that is not ours")
            .get("/auth?<auth>&request_uri=https://client.example/request.jwt")
            .redirected(
                "request_uri_not_supported",
                "request_uri is not supported; send plain parameters",
            )
            .cure("Send plain parameters, or push them"),
        Row::new("not pushed, where that is required")
            .get("/auth?<auth>")
            .on(Setting::PushedOnly)
            .redirected(
                "invalid_request",
                "this server requires pushed authorization requests; send the parameters to the pushed_authorization_request_endpoint first",
            )
            .cure("Look at `require_pushed_authorization_requests`; push the request"),
        Row::new("not pushed, of a client that registered to push")
            .get("/auth?<auth without client_id>&client_id=<pushing client>")
            .redirected(
                "invalid_request",
                "this client's registration requires pushed authorization requests; send the parameters to the pushed_authorization_request_endpoint first",
            )
            .cure("Push the request"),
        Row::new("no `response_type`")
            .get("/auth?<auth without response_type>")
            .redirected("invalid_request", "response_type is missing; it must be code")
            .cure("Send `response_type=code`"),
        Row::new("another `response_type`")
            .get("/auth?<auth without response_type>&response_type=token")
            .redirected("unsupported_response_type", "response_type must be code")
            .cure("Send `response_type=code`"),
        Row::new("another `response_mode` than `query`")
            .get("/auth?<auth>&response_mode=fragment")
            .redirected("invalid_request", "response_mode must be query or absent")
            .cure("Leave it out"),
        Row::new("no `code_challenge`")
            .get("/auth?<auth without code_challenge>")
            .redirected(
                "invalid_request",
                "code_challenge is missing; PKCE with code_challenge_method S256 is required",
            )
            .cure("Use PKCE (RFC 7636)"),
        Row::new("no `code_challenge_method`, or `plain`")
            .get("/auth?<auth without code_challenge_method>&code_challenge_method=plain")
            .redirected("invalid_request", "code_challenge_method must be S256")
            .cure("Send `code_challenge_method=S256`"),
        Row::new("a `code_challenge` that is no digest")
            .get("/auth?<auth without code_challenge>&code_challenge=short")
            .redirected(
                "invalid_request",
                "code_challenge must be the base64url of a SHA-256 digest",
            )
            .cure("Send 43 characters of base64url, without padding"),
        Row::new("`prompt=none`")
            .get("/auth?<auth>&prompt=none")
            .redirected(
                "login_required",
                "this server asks the user every time; prompt none cannot be fulfilled",
            )
            .cure("Leave it out: a refresh token renews without a person"),
        Row::new("`prompt=none` beside another value")
            .get("/auth?<auth>&prompt=none+login")
            .redirected("invalid_request", "prompt none must stand alone")
            .cure("Leave `none` out"),
        Row::new("a `resource` that is no MCP server here")
            .get("/auth?<auth>&resource=https://elsewhere.example/mcp")
            .redirected(
                "invalid_target",
                "resource names no MCP server here; use the resource of the protected resource metadata",
            )
            .cure(RESOURCE),
        Row::new("several `resource` that are not the same")
            .get("/auth?<auth>&resource=https://proxy.example/a&resource=https://proxy.example/b")
            .on(Setting::TwoServers)
            .redirected(
                "invalid_target",
                "the resource parameters name different MCP servers; ask for one at a time",
            )
            .cure("Log in once for each"),
        Row::new("no `resource`, where there are several MCP servers")
            .get("/auth?<auth>")
            .on(Setting::TwoServers)
            .redirected(
                "invalid_target",
                "resource is missing; there are several MCP servers here",
            )
            .cure(RESOURCE),
        Row::new("a `scope` that is not made of scope tokens")
            .get("/auth?<auth>&scope=a%22b")
            .redirected(
                "invalid_scope",
                "a scope is 1 to 256 visible ASCII characters, but no double quote and no backslash",
            )
            .cure("Unknown scopes are no error, they are dropped; these are not well-formed"),
        Row::new("a `max_age` that is no number of seconds")
            .get("/auth?<auth>&max_age=-1")
            .redirected("invalid_request", "max_age must be a number of seconds")
            .cure(MEND_REQUEST),
        Row::new("a `nonce` (or `state`, `login_hint`) of more than 8000 bytes")
            .get("/auth?<auth>&nonce=<9000 letters>")
            .redirected("invalid_request", "nonce is longer than 8000 bytes")
            .cure("Keep what is long yourself, and send a key to it"),
    ],
};

pub(super) const PUSHED: Section = Section {
    title: "`/request`: pushed authorization requests",
    introduction: "RFC 9126 §2.3. The client proves itself as at the token endpoint, with the \
        same errors; then the request is judged as at `/auth`, with the same codes and texts. What \
        would be a page there is `invalid_request` here.",
    place: Place::Machines,
    rows: &[
        Row::new("not a form")
            .json("/request", "{}")
            .refused(
                400,
                "invalid_request",
                "the Content-Type must be application/x-www-form-urlencoded",
            )
            .cure(MEND_REQUEST),
        Row::new("no `client_id`")
            .form("/request", "<auth without client_id>")
            .refused(400, "invalid_request", "client_id is absent")
            .cure(MEND_REQUEST),
        Row::new("a client that is not registered")
            .form("/request", "<auth without client_id>&client_id=nobody")
            .refused(
                401,
                "invalid_client",
                "this client is not registered here, or no longer; register it anew",
            )
            .cure(REGISTER),
        Row::new("a `request_uri`")
            .form("/request", "<auth>&request_uri=<request_uri>")
            .refused(
                400,
                "invalid_request",
                "request_uri cannot be pushed; send the parameters themselves",
            )
            .cure(MEND_REQUEST),
        Row::new("a `request` object")
            .form("/request", "<auth>&request=eyJhbGciOiJub25lIn0.e30.")
            .refused(
                400,
                "request_not_supported",
                "request objects are not supported; send plain parameters",
            )
            .cure("Send plain parameters"),
        Row::new("a parameter twice")
            .form("/request", "<auth>&state=other")
            .refused(400, "invalid_request", "the parameter state is given more than once")
            .cure(MEND_REQUEST),
        Row::new("a `redirect_uri` that the client did not register")
            .form("/request", "<auth without redirect_uri>&redirect_uri=http://127.0.0.1/other")
            .refused(
                400,
                "invalid_request",
                "redirect_uri is not registered for this client",
            )
            .cure("Send exactly what was registered, or register anew"),
        Row::new("a `redirect_uri` that nobody may have")
            .form("/request", "<auth without redirect_uri>&redirect_uri=http://client.example/")
            .refused(
                400,
                "invalid_request",
                "redirect_uri is not valid: plain `http` is for loopback hosts only (RFC 8252 section 7.3)",
            )
            .cure("Use https, loopback http or a private-use scheme"),
        Row::new("no `redirect_uri`, of a client that registered several")
            .form("/request", "<auth without client_id redirect_uri>&client_id=<several redirects>")
            .refused(400, "invalid_request", "redirect_uri is missing")
            .cure(MEND_REQUEST),
        Row::new("no `code_challenge`")
            .form("/request", "<auth without code_challenge>")
            .refused(
                400,
                "invalid_request",
                "code_challenge is missing; PKCE with code_challenge_method S256 is required",
            )
            .cure("Use PKCE (RFC 7636)"),
        Row::new("another `response_type` than `code`")
            .form("/request", "<auth without response_type>&response_type=token")
            .refused(400, "unsupported_response_type", "response_type must be code")
            .cure("Send `response_type=code`"),
        Row::new("a `resource` that is no MCP server here")
            .form("/request", "<auth>&resource=https://elsewhere.example/mcp")
            .refused(
                400,
                "invalid_target",
                "resource names no MCP server here; use the resource of the protected resource metadata",
            )
            .cure(RESOURCE),
        Row::new("a `client_id` that is not the one that proves itself")
            .form("/request", "<auth>")
            .with(&[("authorization", "Basic <basic>")])
            .refused(
                400,
                "invalid_request",
                "the Authorization header and client_id name different clients",
            )
            .cure(MEND_REQUEST),
    ],
};
