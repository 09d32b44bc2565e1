//! The token endpoint.

use super::{Place, Row, Section, Setting};

const MEND_REQUEST: &str = "Mend the request; code and token are still good";
const REGISTER: &str = "Forget the client's id and register anew";
const LOG_IN: &str = "Log in again";
const RESOURCE: &str = "Send the `resource` of the protected resource metadata, or none";
const SIGN: &str = "Sign a new assertion";

pub(super) const CLIENTS: Section = Section {
    title: "`/token`: the form and the client",
    introduction: "RFC 6749 §5.2. These hold for every grant type, and (but for `grant_type`) for \
        `/request`, `/token/revocation`, `/token/introspection` and `/device/auth` too. The form is \
        looked at first, then `grant_type`, then the client. A refusal ends no session and spends \
        no code, unless the text says so.",
    place: Place::Machines,
    rows: &[
        Row::new("not a form")
            .json("/token", r#"{"grant_type":"refresh_token"}"#)
            .refused(
                400,
                "invalid_request",
                "the Content-Type must be application/x-www-form-urlencoded",
            )
            .cure("Send a form"),
        Row::new("no content type")
            .send("POST", "/token")
            .refused(
                400,
                "invalid_request",
                "the Content-Type must be application/x-www-form-urlencoded",
            )
            .cure("Send a form"),
        Row::new("a parameter twice")
            .form("/token", "grant_type=refresh_token&client_id=<public>&client_id=<public>")
            .refused(400, "invalid_request", "the parameter client_id is given more than once")
            .cure(MEND_REQUEST),
        Row::new("more than 64 parameters")
            .form("/token", "<65 parameters>")
            .refused(400, "invalid_request", "the request has more than 64 parameters")
            .cure(MEND_REQUEST),
        Row::new("a form of more than 64 KiB")
            .form("/token", "refresh_token=<70000 letters>")
            .refused(413, "invalid_request", "the request body is larger than 65536 bytes")
            .cure(MEND_REQUEST),
        Row::new("no `grant_type`, or an empty one")
            .form("/token", "grant_type=&client_id=<public>")
            .refused(400, "invalid_request", "grant_type is absent")
            .cure(MEND_REQUEST),
        Row::new("another `grant_type`")
            .form("/token", "grant_type=password&client_id=<public>&username=a&password=b")
            .refused(
                400,
                "unsupported_grant_type",
                "grant_type must be one that the metadata names: authorization_code, refresh_token, or, where it is offered, urn:ietf:params:oauth:grant-type:device_code",
            )
            .cure("Look at `grant_types_supported`"),
        Row::new("no `client_id` and no `Authorization` header")
            .form("/token", "grant_type=refresh_token&refresh_token=<refresh token>")
            .refused(400, "invalid_request", "client_id is absent")
            .cure(MEND_REQUEST),
        Row::new("a client that is not registered, or no longer")
            .form("/token", "grant_type=refresh_token&refresh_token=x&client_id=nobody")
            .refused(
                401,
                "invalid_client",
                "this client is not registered here, or no longer; register it anew",
            )
            .cure(REGISTER),
        Row::new("a confidential client without its secret")
            .form("/token", "grant_type=refresh_token&refresh_token=x&client_id=<confidential>")
            .refused(
                401,
                "invalid_client",
                "this client was registered with a secret, which is absent",
            )
            .cure("Show the secret, or register with `token_endpoint_auth_method` `none`"),
        Row::new("a wrong secret in the form")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&client_id=<confidential>&client_secret=wrong",
            )
            .refused(401, "invalid_client", "client_secret is wrong")
            .cure("Show the secret that came with this `client_id`"),
        Row::new("a wrong secret in the `Authorization` header")
            .form("/token", "grant_type=refresh_token&refresh_token=x")
            .with(&[("authorization", "Basic <basic with a wrong secret>")])
            .refused(401, "invalid_client", "client_secret is wrong")
            .cure("Form-encode id and secret before joining them (RFC 6749 §2.3.1)"),
        Row::new("a secret of a public client")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&client_id=<public>&client_secret=any",
            )
            .refused(
                401,
                "invalid_client",
                "this client was registered without a secret, but shows one",
            )
            .cure("Show none, or register with `client_secret_basic`"),
        Row::new("an `Authorization` header that is not base64 of `id:secret`")
            .form("/token", "grant_type=refresh_token&refresh_token=x")
            .with(&[("authorization", "Basic !!!!")])
            .refused(
                400,
                "invalid_request",
                "the Authorization header is not Basic with base64 of client_id:client_secret",
            )
            .cure(MEND_REQUEST),
        Row::new("secrets in header and form")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&client_secret=<secret>",
            )
            .with(&[("authorization", "Basic <basic>")])
            .refused(
                400,
                "invalid_request",
                "the client proves itself in more than one way; use one",
            )
            .cure(MEND_REQUEST),
        Row::new("different clients in header and form")
            .form("/token", "grant_type=refresh_token&refresh_token=x&client_id=<public>")
            .with(&[("authorization", "Basic <basic>")])
            .refused(
                400,
                "invalid_request",
                "the Authorization header and client_id name different clients",
            )
            .cure(MEND_REQUEST),
    ],
};

pub(super) const ASSERTIONS: Section = Section {
    title: "`/token`: client assertions",
    introduction: "Of clients that prove themselves by `private_key_jwt` (RFC 7523).",
    place: Place::Machines,
    rows: &[
        Row::new("no `client_assertion`, of a client that registered keys")
            .form("/token", "grant_type=refresh_token&refresh_token=x&client_id=<key client>")
            .refused(
                401,
                "invalid_client",
                "this client was registered for private_key_jwt; client_assertion is absent",
            )
            .cure(SIGN),
        Row::new("another `client_assertion_type`, or none")
            .form("/token", "grant_type=refresh_token&refresh_token=x&client_assertion=<assertion>")
            .refused(
                401,
                "invalid_client",
                "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .cure(MEND_REQUEST),
        Row::new("not a JWT")
            .form("/token", "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=a.b")
            .refused(
                401,
                "invalid_client",
                "client_assertion is refused: it is not a signed JWT",
            )
            .cure(SIGN),
        Row::new("an algorithm with a shared secret, or none")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=<unsigned assertion>",
            )
            .refused(
                401,
                "invalid_client",
                "client_assertion is refused: its algorithm is not accepted",
            )
            .cure("Look at `token_endpoint_auth_signing_alg_values_supported`"),
        Row::new("a signature of another key")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=<forged assertion>",
            )
            .refused(
                401,
                "invalid_client",
                "client_assertion is refused: its signature is wrong",
            )
            .cure("Sign with a key of the registered `jwks`"),
        Row::new("an assertion of a client without keys")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=<assertion of a public client>",
            )
            .refused(
                401,
                "invalid_client",
                "this client did not register for private_key_jwt",
            )
            .cure("Register with `private_key_jwt` and `jwks` or `jwks_uri`"),
        Row::new("another `client_id` than the assertion's `sub`")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&client_id=<public>&<kind>&client_assertion=<assertion>",
            )
            .refused(
                400,
                "invalid_request",
                "the Authorization header and client_id name different clients",
            )
            .cure("Leave `client_id` out"),
        Row::new("meant for somebody else")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=<assertion for others>",
            )
            .refused(
                401,
                "invalid_client",
                "client_assertion is refused: its aud must be the issuer or the token endpoint of this server",
            )
            .cure("Send the `issuer` of the metadata as `aud`"),
        Row::new("expired")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=<expired assertion>",
            )
            .refused(401, "invalid_client", "client_assertion is refused: it has expired")
            .cure(SIGN),
        Row::new("without `jti`")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=<assertion without jti>",
            )
            .refused(
                401,
                "invalid_client",
                "client_assertion is refused: it needs a jti of at most 512 bytes",
            )
            .cure(SIGN),
        Row::new("used before")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=<used assertion>",
            )
            .refused(
                401,
                "invalid_client",
                "client_assertion is refused: its jti was used before; sign a new one for each request",
            )
            .cure("A new one for each request, with another `jti`"),
        Row::new("beside a secret")
            .form(
                "/token",
                "grant_type=refresh_token&refresh_token=x&<kind>&client_assertion=<assertion>&client_secret=any",
            )
            .refused(
                400,
                "invalid_request",
                "the client proves itself in more than one way; use one",
            )
            .cure(MEND_REQUEST),
    ],
};

pub(super) const CODES: Section = Section {
    title: "`/token`: `authorization_code`",
    introduction: "",
    place: Place::Machines,
    rows: &[
        Row::new("no `code`")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code_verifier=<verifier>",
            )
            .refused(400, "invalid_request", "code is absent")
            .cure(MEND_REQUEST),
        Row::new("no `code_verifier`")
            .form("/token", "grant_type=authorization_code&client_id=<public>&code=<code>")
            .refused(400, "invalid_request", "code_verifier is absent")
            .cure("Send the PKCE verifier (RFC 7636)"),
        Row::new("a `code_verifier` that cannot be one")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code=<code>&code_verifier=short",
            )
            .refused(
                400,
                "invalid_request",
                "code_verifier must be 43 to 128 of the characters A-Z a-z 0-9 - . _ ~",
            )
            .cure(MEND_REQUEST),
        Row::new("another `code_verifier` than the challenge was made of")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code=<code>&code_verifier=another-verifier-of-43-characters-or-more-0123456789",
            )
            .refused(
                400,
                "invalid_grant",
                "code_verifier is absent or does not fit the code_challenge",
            )
            .cure("One verifier for each login; keep it until the code is redeemed"),
        Row::new("another `redirect_uri` than that of the login")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code=<code>&code_verifier=<verifier>&redirect_uri=http://127.0.0.1:1/callback",
            )
            .refused(
                400,
                "invalid_grant",
                "redirect_uri differs from the one of the authorization request",
            )
            .cure("Send the same, or none"),
        Row::new("a code that was never given out, is older than 60 seconds, or is no code at all")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code=<expired code>&code_verifier=<verifier>",
            )
            .refused(400, "invalid_grant", "it is not known here, or has expired")
            .cure(LOG_IN),
        Row::new("a code of another client")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code=<code of another client>&code_verifier=<verifier>",
            )
            .refused(400, "invalid_grant", "it was issued to another client")
            .cure("Redeem with the `client_id` of the login"),
        Row::new("a code that was used before (after 30 seconds this ends the session)")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code=<used code>&code_verifier=<verifier>",
            )
            .refused(400, "invalid_grant", "the code was used before")
            .cure("Redeem once; use the tokens that came"),
        Row::new("another `resource` than that of the login")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code=<code>&code_verifier=<verifier>&resource=https://proxy.example/b",
            )
            .on(Setting::TwoServers)
            .refused(400, "invalid_target", "the token is not for this resource")
            .cure(RESOURCE),
        Row::new("a `resource` that is no MCP server here")
            .form(
                "/token",
                "grant_type=authorization_code&client_id=<public>&code=<code>&code_verifier=<verifier>&resource=https://elsewhere.example",
            )
            .refused(
                400,
                "invalid_target",
                "resource names no MCP server here; use the resource of the protected resource metadata",
            )
            .cure(RESOURCE),
    ],
};

pub(super) const REFRESH: Section = Section {
    title: "`/token`: `refresh_token`",
    introduction: "`invalid_grant` is for good: throw the refresh token away. Anything else leaves \
        it as it is.",
    place: Place::Machines,
    rows: &[
        Row::new("no `refresh_token`")
            .form("/token", "grant_type=refresh_token&client_id=<public>")
            .refused(400, "invalid_request", "refresh_token is absent")
            .cure(MEND_REQUEST),
        Row::new("a text that is no refresh token of this server, or one of a session that is forgotten")
            .form("/token", "grant_type=refresh_token&client_id=<public>&refresh_token=junk")
            .refused(400, "invalid_grant", "it is not known here, or has expired")
            .cure(LOG_IN),
        Row::new("an access token")
            .form(
                "/token",
                "grant_type=refresh_token&client_id=<public>&refresh_token=<access token>",
            )
            .refused(400, "invalid_grant", "it is not known here, or has expired")
            .cure("Send the refresh token"),
        Row::new("a refresh token of another client")
            .form(
                "/token",
                "grant_type=refresh_token&client_id=<public>&refresh_token=<refresh token of another client>",
            )
            .refused(400, "invalid_grant", "it was issued to another client")
            .cure("Keep tokens with the `client_id` that they were issued to"),
        Row::new("a session that was ended")
            .form(
                "/token",
                "grant_type=refresh_token&client_id=<public>&refresh_token=<revoked refresh token>",
            )
            .refused(400, "invalid_grant", "the session was ended; log in again")
            .cure(LOG_IN),
        Row::new("a token that was replaced long ago, from elsewhere than its successors (this ends the session)")
            .form(
                "/token",
                "grant_type=refresh_token&client_id=<public>&refresh_token=<stolen refresh token>",
            )
            .refused(
                400,
                "invalid_grant",
                "the refresh token was replaced long ago and is shown from elsewhere: session ended",
            )
            .cure("Log in again; store each new refresh token before using it"),
        Row::new("a scope that was not granted")
            .form(
                "/token",
                "grant_type=refresh_token&client_id=<public>&refresh_token=<narrow refresh token>&scope=openid+offline_access",
            )
            .refused(
                400,
                "invalid_scope",
                "a scope was asked for that was not granted; log in again to get it",
            )
            .cure("Leave `scope` out; for more, log in again"),
        Row::new("a `scope` that is not made of scope tokens")
            .form(
                "/token",
                "grant_type=refresh_token&client_id=<public>&refresh_token=<refresh token>&scope=a%5Cb",
            )
            .refused(
                400,
                "invalid_scope",
                "scope must be scope tokens separated by spaces",
            )
            .cure(MEND_REQUEST),
        Row::new("another `resource` than that of the login")
            .form(
                "/token",
                "grant_type=refresh_token&client_id=<public>&refresh_token=<refresh token>&resource=https://proxy.example/b",
            )
            .on(Setting::TwoServers)
            .refused(400, "invalid_target", "the token is not for this resource")
            .cure("Log in once for each MCP server"),
    ],
};

pub(super) const DEVICES: Section = Section {
    title: "`/token`: `urn:ietf:params:oauth:grant-type:device_code`",
    introduction: "RFC 8628 §3.5. Waiting is no fault and is never counted against an address.",
    place: Place::Machines,
    rows: &[
        Row::new("a client that did not register for it")
            .form("/token", "<device grant>&client_id=<public>&device_code=x")
            .refused(
                400,
                "unauthorized_client",
                "this client did not register for this grant_type",
            )
            .cure("Register with it among the `grant_types`"),
        Row::new("no `device_code`")
            .form("/token", "<device grant>&client_id=<device client>")
            .refused(400, "invalid_request", "device_code is absent")
            .cure(MEND_REQUEST),
        Row::new("the device flow is off")
            .form("/token", "<device grant>&client_id=<public>&device_code=x")
            .on(Setting::NoDevices)
            .refused(
                400,
                "unsupported_grant_type",
                "grant_type must be one that the metadata names: authorization_code, refresh_token, or, where it is offered, urn:ietf:params:oauth:grant-type:device_code",
            )
            .cure("Look at `grant_types_supported`"),
        Row::new("nobody has decided yet")
            .form("/token", "<device grant>&client_id=<device client>&device_code=<device code>")
            .refused(
                400,
                "authorization_pending",
                "the user has not decided yet; ask again after the interval",
            )
            .cure("Ask again after `interval` seconds"),
        Row::new("asked again at once")
            .form("/token", "<device grant>&client_id=<device client>&device_code=<polled device code>")
            .refused(
                400,
                "slow_down",
                "the device asks too often; wait 5 seconds longer between polls from now on",
            )
            .cure("Add 5 seconds to the interval, for good"),
        Row::new("the person said no")
            .form("/token", "<device grant>&client_id=<device client>&device_code=<denied device code>")
            .refused(400, "access_denied", "the user did not agree")
            .cure("Stop asking"),
        Row::new("nobody decided within 15 minutes")
            .form("/token", "<device grant>&client_id=<device client>&device_code=<expired device code>")
            .refused(
                400,
                "expired_token",
                "the device code has expired; ask for a new one",
            )
            .cure("Begin anew at `/device/auth`"),
        Row::new("a code of another client")
            .form(
                "/token",
                "<device grant>&client_id=<another device client>&device_code=<device code>",
            )
            .refused(
                400,
                "invalid_grant",
                "the device code was issued to another client",
            )
            .cure("Poll with the `client_id` of `/device/auth`"),
        Row::new("a text that is no device code of this server")
            .form("/token", "<device grant>&client_id=<device client>&device_code=junk")
            .refused(400, "invalid_grant", "the device code is not known here")
            .cure("Begin anew at `/device/auth`"),
    ],
};
