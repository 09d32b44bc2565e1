//! The variables. Each doc comment is the entry in the reference. Longer than a file should be,
//! since it is the one list.

use super::{Group, Reach, Secrecy, Variable};

macro_rules! variables {
    ($($(#[doc = $doc:literal])+ $name:ident { $($field:ident: $value:expr),+ $(,)? })+) => {
        $(
            $(#[doc = $doc])+
            pub(crate) const $name: Variable = Variable {
                name: stringify!($name),
                doc: concat!($($doc, "\n"),+),
                $($field: $value,)+
                ..Variable::PLAIN
            };
        )+

        /// Every variable, in the order of the reference.
        pub(crate) const ALL: &[&Variable] = &[$(&$name),+];
    };
}

variables! {
    // --- where the proxy is reached ---

    /// The public URL of this proxy.
    ///
    /// Scheme, host, and where needed port and path. The issuer, the resource of each MCP server
    /// and the redirect URI to register at the identity provider are made from it, never from a
    /// request's `Host`. Plain `http` is for a loopback host and implies `LOCAL_INSECURE=true`.
    /// With a path, the router in front hands it on unstripped. It does not hold the MCP path: that of
    /// `MCP_SERVER_URL` is added to it.
    BASE_URL {
        group: Group::Address,
        needed: "always",
        allowed: "an https URL without query and fragment; http on a loopback host",
        example: "https://mcp.example.com",
        flag: Some("base-url"),
    }

    /// The port to listen on.
    ///
    /// Platforms such as Heroku set it. The MCP server's own `PORT` is made from
    /// `MCP_SERVER_URL`. 0 takes any free port.
    PORT {
        group: Group::Address,
        default: "3001",
        allowed: "a port number, 0 to 65535",
        example: "3001",
        flag: Some("port"),
    }

    /// The address to bind.
    ///
    /// Without it the proxy listens on all interfaces, or, with `LOCAL_INSECURE=true`, on both
    /// loopback addresses. Plain `HOST` belongs to the MCP server and is not read.
    MCP_AUTH_PROXY_HOST {
        group: Group::Address,
        default: "all interfaces; both loopbacks with `LOCAL_INSECURE=true`",
        allowed: "IP addresses separated by commas, or `localhost` for both loopbacks",
        example: "127.0.0.1",
        flag: Some("host"),
    }

    /// Whether plain HTTP on loopback is fine.
    ///
    /// `true`: no redirect to https, and `X-Forwarded-*` is ignored. Anything else: a router that
    /// terminates TLS stands in front; GET and HEAD that came by http are sent to `BASE_URL`,
    /// other methods are refused. A `BASE_URL` with `http` implies `true`.
    LOCAL_INSECURE {
        group: Group::Address,
        default: "false",
        allowed: "`true` or `false`",
        example: "true",
    }

    /// Whose `X-Forwarded-For` and `X-Forwarded-Proto` count.
    ///
    /// Networks or addresses of the proxies in front, `private` for loopback and the private
    /// ranges, `last-hop` where the platform's router always adds the last entry whoever the peer
    /// is (the default on a Heroku dyno), or `none`.
    MCP_AUTH_PROXY_TRUSTED_PROXIES {
        group: Group::Address,
        default: "`last-hop` on a dyno, else `private`",
        allowed: "addresses and networks separated by commas, with `private` among them if wanted; or `last-hop`; or `none`",
        example: "10.0.0.0/8,192.0.2.7",
    }

    // --- the MCP server ---

    /// Where the MCP server is reached.
    ///
    /// Its path is also the path at which the proxy serves it; its query is kept and the
    /// client's appended. `localhost` tries both address families.
    MCP_SERVER_URL {
        group: Group::Server,
        needed: "always",
        allowed: "an http or https URL",
        example: "http://localhost:3000/mcp",
        flag: Some("mcp-server-url"),
    }

    /// The command that starts the MCP server.
    ///
    /// By itself it is one string for `sh -c`, as in `cd /app && PORT=3000 npm start`; together
    /// with `MCP_SERVER_RUN_ARGS_JSON` it is a program. Absent: the server is already running.
    /// The proxy listens once the server accepts connections, and ends when the server ends.
    MCP_SERVER_RUN_COMMAND {
        group: Group::Server,
        allowed: "a shell command, or with MCP_SERVER_RUN_ARGS_JSON the name of a program",
        example: "npm",
    }

    /// The arguments of the program that `MCP_SERVER_RUN_COMMAND` names.
    ///
    /// Its presence, be it `[]`, says that the command is a program and not a line for a shell.
    MCP_SERVER_RUN_ARGS_JSON {
        group: Group::Server,
        allowed: "a JSON array of texts",
        example: "[\"start\"]",
    }

    /// The MCP server's working directory.
    MCP_SERVER_RUN_DIR {
        group: Group::Server,
        default: "the proxy's own",
        allowed: "the path of a directory",
        example: "/app",
    }

    /// Variables added to the MCP server's environment.
    ///
    /// It inherits the proxy's environment, with three differences: `PORT` is the port of
    /// `MCP_SERVER_URL`; the proxy's own secrets are withheld unless named here; and these are
    /// added last.
    MCP_SERVER_RUN_ENV_JSON {
        group: Group::Server,
        secrecy: Secrecy::Sensitive,
        default: "{}",
        allowed: "a JSON object of texts, numbers and booleans",
        example: "{\"PORT\":3000,\"API_URL\":\"https://api.example.com\"}",
    }

    /// Paths passed to the MCP server's origin without a token.
    ///
    /// GET and HEAD only, without identity headers: proofs that a domain is yours.
    MCP_AUTH_PROXY_PUBLIC_PATHS {
        group: Group::Server,
        default: "none",
        allowed: "paths that begin with `/`, separated by commas; none of the proxy's own and none below an MCP path",
        example: "/.well-known/openai-apps-challenge",
    }

    /// A secret with which the MCP server may ask what an access token is.
    ///
    /// At `/token/introspection` (RFC 7662), as the client `mcp-server` with this as its secret, for
    /// the access tokens that were issued for it. Without it no server may. The server's process
    /// inherits it.
    MCP_AUTH_PROXY_INTROSPECTION_SECRET {
        group: Group::Server,
        secrecy: Secrecy::Sensitive,
        allowed: "a text of at least 16 characters that nobody guesses, as `openssl rand -hex 16` makes one",
        example: "8f0c2a7de15b4b6f9d3e6a1c5b7f4e20",
    }

    // --- the identity provider ---

    /// The identity provider's issuer.
    ///
    /// Its metadata is discovered from here at the start. One trailing slash more or less is no
    /// difference.
    IDENTITY_SERVER_URL {
        group: Group::Identity,
        needed: "unless IDENTITY_SERVER_METADATA_FILE or MCP_AUTH_PROXY_USERS_FILE is set",
        allowed: "an https URL; http on a loopback host",
        example: "https://login.example.com",
        flag: Some("identity-server-url"),
    }

    /// The proxy's client id at the identity provider.
    IDENTITY_CLIENT_ID {
        group: Group::Identity,
        needed: "with an identity provider",
        allowed: "the client id that the provider gave",
        example: "mcp-auth-proxy",
        flag: Some("identity-client-id"),
    }

    /// The proxy's client secret at the identity provider.
    IDENTITY_CLIENT_SECRET {
        group: Group::Identity,
        needed: "with an identity provider",
        secrecy: Secrecy::Secret,
        allowed: "the client secret that the provider gave",
        example: "the-secret-from-the-provider",
    }

    /// The scopes asked at the identity provider.
    ///
    /// They decide what the token that the MCP server receives can do.
    IDENTITY_SCOPE {
        group: Group::Identity,
        default: "openid profile email",
        allowed: "scopes separated by spaces or commas",
        example: "openid profile email",
    }

    /// Parameters added to each authorization request at the identity provider.
    ///
    /// Written as a query: `name=value`, joined by `&`, special characters as `%20`. For what a
    /// provider wants beyond the standard, such as `access_type=offline&prompt=consent` at Google,
    /// without which it gives no refresh token. What the proxy itself sets cannot be set here; the
    /// words of a `prompt` are added to those of the login.
    MCP_AUTH_PROXY_AUTHORIZE_PARAMETERS {
        group: Group::Identity,
        allowed: "a query of parameters that the proxy does not set itself",
        example: "access_type=offline&prompt=consent",
    }

    /// A file with the identity provider's metadata.
    ///
    /// For providers without discovery. It needs `issuer`, `authorization_endpoint` and
    /// `token_endpoint`; `userinfo_endpoint`, `jwks_uri` and `scopes_supported` are used where
    /// present. It wins over `IDENTITY_SERVER_URL`.
    IDENTITY_SERVER_METADATA_FILE {
        group: Group::Identity,
        allowed: "the path of a JSON file",
        example: "/app/identity-metadata.json",
    }

    /// The issuer that the identity provider's tokens really name.
    ///
    /// Where the discovered issuer differs from `IDENTITY_SERVER_URL` the proxy does not start;
    /// this settles it. `{tenantid}` stands for any one path segment, as Microsoft Entra has it.
    MCP_AUTH_PROXY_IDENTITY_ISSUER {
        group: Group::Identity,
        default: "what discovery says",
        allowed: "the issuer as its tokens spell it",
        example: "https://login.microsoftonline.com/{tenantid}/v2.0",
    }

    /// The path of the redirect URI that is registered at the identity provider.
    IDENTITY_CALLBACK_PATH {
        group: Group::Identity,
        default: "/interaction/identity/callback",
        allowed: "a path that begins with `/`, below `BASE_URL`, used by no other endpoint",
        example: "/interaction/identity/callback",
    }

    /// The predecessor's inner hop of a login.
    ///
    /// Accepted and not needed: the callback finds its interaction by itself.
    IDENTITY_UNIQUE_CALLBACK_PATH {
        group: Group::Identity,
        allowed: "anything; it has no effect",
        example: "/interaction/:uid/identity/callback",
    }

    /// A file with users of the proxy's own, instead of an identity provider.
    ///
    /// TOML: `[[users]]` with `name`, `password_hash` (made by `mcp-auth-proxy hash-password`) and
    /// optionally `email`, `display_name`, `groups`. The MCP server then receives a JWT signed by
    /// the proxy.
    MCP_AUTH_PROXY_USERS_FILE {
        group: Group::Identity,
        allowed: "the path of a TOML file",
        example: "/etc/mcp-auth-proxy/users.toml",
        flag: Some("users-file"),
    }

    // --- what clients are given ---

    /// The scopes that this proxy offers to MCP clients.
    PROVIDER_SCOPE {
        group: Group::Issuing,
        default: "openid offline_access",
        allowed: "scopes separated by spaces or commas, at least one",
        example: "openid offline_access",
    }

    /// The private keys that sign ID tokens.
    ///
    /// RSA, EC P-256 and P-384, or OKP Ed25519; the first that fits an algorithm signs, all are
    /// published. `mcp-auth-proxy keys generate` prints one. Absent: keys are made once and kept
    /// beside the store.
    ///
    /// A key with `nbf` (Unix seconds) is published at once and signs from then on, in place of
    /// those before it for the same algorithm; with `exp` it is published until then. The
    /// [guide](../guides/operations.md#signing-keys) says how keys are exchanged.
    OIDC_PROVIDER_JWKS {
        group: Group::Issuing,
        secrecy: Secrecy::Secret,
        default: "made once and kept",
        allowed: "a JSON array of private JWKs, or an object with such an array as `keys`",
        example: "[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"…\",\"x\":\"…\"}]",
    }

    /// How long an access token lives.
    ///
    /// Clients are told this; a token is good for a few seconds more, so that none is refused to a
    /// client whose clock has not reached its end.
    MCP_AUTH_PROXY_ACCESS_TTL {
        group: Group::Issuing,
        default: "1h",
        allowed: "a duration with its unit (`90s`, `15m`, `2h`, `14d`), or seconds; more than 0, at most 7d",
        example: "1h",
    }

    /// How long a login lives that is not used.
    ///
    /// Counted from the last refresh.
    MCP_AUTH_PROXY_REFRESH_IDLE {
        group: Group::Issuing,
        default: "14d",
        allowed: "a duration with its unit (`90s`, `15m`, `2h`, `14d`), or seconds; more than 0",
        example: "14d",
    }

    /// How long a login lives at most.
    MCP_AUTH_PROXY_GRANT_LIFE {
        group: Group::Issuing,
        default: "90d",
        allowed: "a duration with its unit (`90s`, `15m`, `2h`, `14d`), or seconds; more than 0",
        example: "90d",
    }

    /// How long a replaced refresh token is honoured from anywhere.
    ///
    /// Several processes of one client share its tokens, and a lost answer makes a client try
    /// again; within the window that is no theft. 0 is strict: a replaced token ends the login.
    MCP_AUTH_PROXY_REFRESH_WINDOW {
        group: Group::Issuing,
        default: "the access token's life and 15m",
        allowed: "a duration with its unit (`90s`, `15m`, `2h`, `14d`), or seconds",
        example: "75m",
    }

    /// Whether a refresh token is given only where `offline_access` was granted.
    MCP_AUTH_PROXY_STRICT_OFFLINE_ACCESS {
        group: Group::Issuing,
        default: "false",
        allowed: "`true` or `false`",
        example: "true",
    }

    /// The hosts that clients may redirect to.
    ///
    /// Checked at registration and at each login. Loopback always may. `*.example.com` stands for
    /// every host below, `cursor:` for a private-use scheme.
    MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS {
        group: Group::Issuing,
        default: "all",
        allowed: "hosts, `*.` with a domain, or schemes with their colon, separated by commas",
        example: "claude.ai,*.example.com,cursor:",
    }

    /// Whether clients must push their authorization requests (RFC 9126).
    ///
    /// `true`: a login begins only with a request that the client sent to `/request` first, so that
    /// none of it stands in the browser's address. Few MCP clients can do that. A client that
    /// registered with `require_pushed_authorization_requests` is held to it in any case.
    MCP_AUTH_PROXY_REQUIRE_PUSHED_REQUESTS {
        group: Group::Issuing,
        default: "false",
        allowed: "`true` or `false`",
        example: "true",
    }

    /// Whether devices without a browser may ask for access (RFC 8628).
    ///
    /// The device shows a code that its user enters at `/device`. `off` takes all of it out: the
    /// page, `/device/auth`, the grant type and what the metadata says of them.
    MCP_AUTH_PROXY_DEVICE {
        group: Group::Issuing,
        default: "on",
        allowed: "`on` or `off`",
        example: "off",
    }

    /// Whether clients may name themselves by the URL of a document that describes them.
    ///
    /// They need not register then (client ID metadata documents). The proxy reads such a document
    /// from the public internet, by https, within narrow bounds. `off`: they have to register.
    MCP_AUTH_PROXY_CLIENT_DOCUMENTS {
        group: Group::Issuing,
        default: "on",
        allowed: "`on` or `off`",
        example: "off",
    }

    /// The hosts whose client metadata documents are taken.
    ///
    /// `*.example.com` stands for every host below. Says nothing of clients that register.
    MCP_AUTH_PROXY_CLIENT_DOMAINS_ALLOW {
        group: Group::Issuing,
        default: "all",
        allowed: "hosts, or `*.` with a domain, separated by commas",
        example: "claude.ai,chatgpt.com,*.example.com",
    }

    /// The hosts whose client metadata documents are not taken, even if they are allowed.
    MCP_AUTH_PROXY_CLIENT_DOMAINS_DENY {
        group: Group::Issuing,
        default: "none",
        allowed: "hosts, or `*.` with a domain, separated by commas",
        example: "*.example.net",
    }

    /// Whether client metadata documents may lie on this machine, served by plain http.
    ///
    /// For developing a client only: whoever may begin a login can then make the proxy ask any
    /// port of its own machine for a document.
    MCP_AUTH_PROXY_ALLOW_LOOPBACK_CLIENT_DOCUMENTS {
        group: Group::Issuing,
        default: "false",
        allowed: "`true` or `false`",
        example: "true",
    }

    /// Whether clients may change and take back their registration.
    ///
    /// With `true` a registration's answer holds a token and a URL for that (RFC 7592). No MCP
    /// client makes use of them, and each would keep one more secret that can change where its
    /// logins lead: hence off.
    MCP_AUTH_PROXY_REGISTRATION_MANAGEMENT {
        group: Group::Issuing,
        default: "false",
        allowed: "`true` or `false`",
        example: "true",
    }

    /// The initial access token that registering needs.
    ///
    /// With it `/reg` answers only requests that show it as their bearer (RFC 7591 §3). Most MCP
    /// clients cannot, and must then be told a client id; without it anybody may register, as MCP
    /// has it.
    MCP_AUTH_PROXY_REGISTRATION_TOKEN {
        group: Group::Issuing,
        secrecy: Secrecy::Secret,
        default: "none: registration is open",
        allowed: "a text of at least 16 characters that nobody guesses, as `openssl rand -hex 16` makes one",
        example: "5d1f7c0a9e3b48d2a6c4f8b07e921d63",
    }

    // --- what is remembered ---

    /// The directory of the embedded store.
    ///
    /// Made when absent, with mode 0700. On a Heroku dyno, which forgets its disk at each restart,
    /// it must be named.
    MCP_AUTH_PROXY_DATA_DIR {
        group: Group::Store,
        default: "`$XDG_STATE_HOME/mcp-auth-proxy`, else `~/.local/state/mcp-auth-proxy`; on macOS `~/Library/Application Support/mcp-auth-proxy`",
        allowed: "the path of a directory",
        example: "/var/lib/mcp-auth-proxy",
        flag: Some("data-dir"),
    }

    /// How much memory the cache of live sessions may take, in MiB.
    MCP_AUTH_PROXY_CACHE_MB {
        group: Group::Store,
        default: "64",
        allowed: "a whole number, 1 to 1048576",
        example: "64",
    }

    /// The Redis or Valkey server that remembers sessions, for one machine or several.
    ///
    /// `redis://[user]:[password]@host[:port][/database]`; `rediss` is TLS, `valkey` and `valkeys` are
    /// the same. Redis 7.0 or newer, Valkey 7.2 or newer.
    ///
    /// A master that sentinels watch over: `redis-sentinel://h1,h2,h3/0?master=NAME`, with hosts (and
    /// ports, unless it is 26379) of sentinels, and what they call the master; user and password are
    /// those of the master. A cluster: `redis-cluster://h1,h2`, with some of its hosts; it has no
    /// database number. Both also with `rediss-`, `valkey-` and `valkeys-`.
    ///
    /// Without it `REDIS_URL` counts, without both the embedded store.
    MCP_AUTH_PROXY_REDIS_URL {
        group: Group::Store,
        secrecy: Secrecy::Secret,
        allowed: "a URL with the scheme `redis`, `rediss`, `valkey` or `valkeys`, or one of them with `-sentinel` or `-cluster` behind; reserved characters in user and password are percent-encoded",
        example: "rediss://proxy:the-password@keys.example.com:6379/0",
    }

    /// The early generation's name for `MCP_AUTH_PROXY_REDIS_URL`.
    ///
    /// Read where that is not set. The MCP server gets it too.
    REDIS_URL {
        group: Group::Store,
        secrecy: Secrecy::Sensitive,
        reach: Reach::EnvironmentOnly,
        allowed: "as for `MCP_AUTH_PROXY_REDIS_URL`",
        example: "redis://localhost:6379",
    }

    /// What the names of all records in Redis begin with.
    MCP_AUTH_PROXY_REDIS_PREFIX {
        group: Group::Store,
        default: "oidc:",
        allowed: "a text",
        example: "oidc:",
    }

    /// Whether the certificate of the Redis server is verified.
    ///
    /// `insecure` takes any: whoever stands between us and the server can read and change everything.
    /// Heroku Key-Value Store has a self-signed certificate, so it is the default on a dyno.
    MCP_AUTH_PROXY_REDIS_TLS {
        group: Group::Store,
        default: "`verify`; `insecure` on a Heroku dyno",
        allowed: "`verify` or `insecure`",
        example: "verify",
    }

    /// A file of certificate authorities that the Redis server's certificate may be of.
    ///
    /// They count besides the system's and those of `MCP_AUTH_PROXY_CA_FILE`.
    MCP_AUTH_PROXY_REDIS_CA {
        group: Group::Store,
        allowed: "the path of a PEM file",
        example: "/etc/ssl/redis-ca.pem",
    }

    /// A file with the certificate that we prove ourselves with to the Redis server.
    MCP_AUTH_PROXY_REDIS_CERT {
        group: Group::Store,
        allowed: "the path of a PEM file; together with `MCP_AUTH_PROXY_REDIS_KEY`",
        example: "/etc/ssl/proxy.pem",
    }

    /// A file with the private key of that certificate.
    MCP_AUTH_PROXY_REDIS_KEY {
        group: Group::Store,
        allowed: "the path of a PEM file; together with `MCP_AUTH_PROXY_REDIS_CERT`",
        example: "/etc/ssl/proxy-key.pem",
    }

    /// The user that the sentinels know us by.
    ///
    /// User and password in a `redis-sentinel://` URL are those of the master.
    MCP_AUTH_PROXY_SENTINEL_USERNAME {
        group: Group::Store,
        allowed: "a text",
        example: "proxy",
    }

    /// The password that the sentinels ask for.
    MCP_AUTH_PROXY_SENTINEL_PASSWORD {
        group: Group::Store,
        secrecy: Secrecy::Secret,
        allowed: "a text",
        example: "the-password-of-the-sentinels",
    }

    /// Whether sessions of the Node.js predecessor are taken over at their first use.
    ///
    /// `auto` looks for its tokens and clients under the same prefix of the Redis that is configured,
    /// or at `MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL`. Its records are only read. Where there are none
    /// nothing is looked for. [The guide](../guides/predecessor.md) says who is taken over.
    MCP_AUTH_PROXY_PREDECESSOR {
        group: Group::Store,
        default: "auto",
        allowed: "`auto` or `off`",
        example: "off",
    }

    /// Where the Node.js predecessor kept its records, if not in the Redis that is configured.
    ///
    /// Prefix, certificates and `MCP_AUTH_PROXY_REDIS_TLS` are the same for both.
    MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL {
        group: Group::Store,
        secrecy: Secrecy::Secret,
        allowed: "as for `MCP_AUTH_PROXY_REDIS_URL`",
        example: "rediss://:the-password@old-keys.example.com:6379",
    }

    /// How long sessions in memory go on while Redis is away.
    ///
    /// Counted from its last sign of life. Logins and refreshes are answered 503 meanwhile. A session
    /// that is ended elsewhere in this time may live here until it is over.
    MCP_AUTH_PROXY_STORE_GRACE {
        group: Group::Store,
        default: "60s",
        allowed: "a duration: `90s`, `15m`, `2h`; a bare number is seconds",
        example: "60s",
    }

    // --- limits and the network ---

    /// How many requests one client address may make in a window.
    ///
    /// Counted are the beginnings of logins, registrations and refused requests; never token
    /// requests that succeed, discovery, or MCP traffic. IPv6 addresses count by /64, and all of a
    /// /48 together have 16 times as much. Machines that share a store count together. 0 refuses
    /// every counted request, as it did before; a text that is no number is no bound.
    MAX_REQUESTS {
        group: Group::Limits,
        default: "60",
        allowed: "a whole number, 1 or more",
        example: "60",
    }

    /// The window of `MAX_REQUESTS`, in milliseconds.
    MAX_REQUESTS_WINDOW {
        group: Group::Limits,
        default: "60000",
        allowed: "a number of milliseconds, 1 or more",
        example: "60000",
    }

    /// How many requests one session may make at the MCP endpoint in a minute.
    ///
    /// A session is one login of one client. Who has used that up gets 429 and is let in bit by bit,
    /// as `Retry-After` says. Machines that share a store count together, about: each lets a quarter of
    /// it be used before it tells the others.
    MCP_AUTH_PROXY_MCP_REQUESTS {
        group: Group::Limits,
        default: "no bound",
        allowed: "a whole number from 1 to 1000000",
        example: "600",
    }

    /// The size up to which a request body is kept for one retry.
    ///
    /// Larger bodies stream through and are not sent again when the identity token had to be
    /// renewed in between.
    MCP_AUTH_PROXY_MAX_BODY {
        group: Group::Limits,
        default: "1 MiB",
        allowed: "a size with its unit (`512 KiB`, `1 MiB`, `2 MB`), or bytes; at most 1 GiB",
        example: "1 MiB",
    }

    /// The silence of an event stream after which it gets a comment line.
    ///
    /// Routers cut streams that are silent for long: Heroku's after 55 s. 0 is never.
    MCP_AUTH_PROXY_SSE_KEEPALIVE {
        group: Group::Limits,
        default: "25s",
        allowed: "a duration with its unit (`90s`, `15m`, `2h`, `14d`), or seconds",
        example: "25s",
    }

    /// How long open requests and streams may take to end after SIGTERM.
    ///
    /// Heroku kills after 30 s.
    MCP_AUTH_PROXY_DRAIN {
        group: Group::Limits,
        default: "25s",
        allowed: "a duration with its unit (`90s`, `15m`, `2h`, `14d`), or seconds",
        example: "25s",
    }

    /// Browser origins let in at the MCP endpoint.
    ///
    /// `BASE_URL`'s and every loopback origin are let in anyway; requests without an `Origin` are
    /// not from a page.
    MCP_AUTH_PROXY_ALLOWED_ORIGINS {
        group: Group::Limits,
        default: "none",
        allowed: "origins (scheme, host, port) separated by commas",
        example: "https://inspector.example.com",
    }

    /// A file with certificates of authorities to trust besides the system's.
    ///
    /// For the identity provider and the MCP server.
    MCP_AUTH_PROXY_CA_FILE {
        group: Group::Limits,
        default: "none",
        allowed: "the path of a PEM file",
        example: "/etc/ssl/company-ca.pem",
    }

    // --- pages ---

    /// A directory with page templates that replace the built-in ones.
    ///
    /// `confirm-login.html`, `_layout.html` and so on, in Jinja's syntax. The predecessor's
    /// templates were EJS and must be ported.
    OIDC_PROVIDER_VIEWS_PATH {
        group: Group::Pages,
        default: "the built-in pages",
        allowed: "the absolute path of a directory with .html templates",
        example: "/app/support/auth-views",
    }

    /// The title of each page.
    BRANDING_TITLE {
        group: Group::Pages,
        default: "Login for Model Context Protocol",
        allowed: "a text",
        example: "Example Login",
    }

    /// The icon of each page.
    BRANDING_FAVICON {
        group: Group::Pages,
        default: "none",
        allowed: "an https URL",
        example: "https://example.com/favicon.ico",
    }

    // --- running and the log ---

    /// A TOML file for what variables cannot say.
    ///
    /// Several MCP servers, several identity providers, and every other setting under its key.
    MCP_AUTH_PROXY_CONFIG {
        group: Group::Operation,
        reach: Reach::EnvironmentOnly,
        default: "none",
        allowed: "the path of a TOML file",
        example: "/etc/mcp-auth-proxy/config.toml",
        flag: Some("config"),
    }

    /// Start everything, say so, and exit.
    ///
    /// `true`: MCP server, store, identity provider and listener are started, `Verified release
    /// launches. Exit status 0.` is logged, and nothing is changed in the store. A failure exits
    /// with its reason.
    MCP_AUTH_PROXY_VERIFY_RELEASE {
        group: Group::Operation,
        default: "false",
        allowed: "`true` or `false`",
        example: "true",
    }

    /// The most verbose level that is logged.
    ///
    /// Case is ignored; anything unknown counts as `info`.
    LOG_LEVEL {
        group: Group::Operation,
        default: "info",
        allowed: "error, warn, info, http, verbose, debug, silly or trace",
        example: "info",
        flag: Some("log-level"),
    }

    /// The form of the log's lines.
    MCP_AUTH_PROXY_LOG_FORMAT {
        group: Group::Operation,
        default: "text",
        allowed: "`text` (key=value) or `json`",
        example: "json",
        flag: Some("log-format"),
    }

    /// Raises parts of the log to debug level.
    ///
    /// The predecessor's words: `express-http-proxy` (the way to the MCP server),
    /// `oidc-provider:*` (logins and tokens), `express:*` (the listener), `ioredis:*` (the store),
    /// `*` (all). Others belong to the MCP server. Secrets stay out at every level.
    DEBUG {
        group: Group::Operation,
        reach: Reach::EnvironmentOnly,
        default: "none",
        allowed: "words separated by commas or spaces",
        example: "express-http-proxy",
    }

    /// `app=` of each line in the log.
    APP_NAME {
        group: Group::Operation,
        default: "mcp-auth-proxy",
        allowed: "a text",
        example: "mcp-auth-proxy",
    }

    /// `environment=` of each line in the log.
    NODE_ENV {
        group: Group::Operation,
        default: "development",
        allowed: "a text",
        example: "production",
    }

    /// The same, where `NODE_ENV` is not set.
    ENVIRONMENT {
        group: Group::Operation,
        default: "development",
        allowed: "a text",
        example: "production",
    }

    // --- read from the platform ---

    /// Set by Heroku on each dyno.
    ///
    /// Where it is set, the last entry of `X-Forwarded-For` counts, and the embedded store wants
    /// `MCP_AUTH_PROXY_DATA_DIR`.
    DYNO {
        group: Group::Platform,
        reach: Reach::EnvironmentOnly,
        allowed: "a text",
        example: "web.1",
    }

    /// Certificates of authorities to trust besides the system's, as OpenSSL names them.
    SSL_CERT_FILE {
        group: Group::Platform,
        reach: Reach::EnvironmentOnly,
        allowed: "the path of a PEM file",
        example: "/etc/ssl/certs/ca-certificates.crt",
    }

    /// Certificates of authorities to trust besides the system's, as Node.js names them.
    NODE_EXTRA_CA_CERTS {
        group: Group::Platform,
        reach: Reach::EnvironmentOnly,
        allowed: "the path of a PEM file",
        example: "/etc/ssl/company-ca.pem",
    }

    /// Where programs keep their state.
    XDG_STATE_HOME {
        group: Group::Platform,
        reach: Reach::EnvironmentOnly,
        allowed: "the absolute path of a directory",
        example: "/home/me/.local/state",
    }

    /// The home directory, for the default of `MCP_AUTH_PROXY_DATA_DIR`.
    HOME {
        group: Group::Platform,
        reach: Reach::EnvironmentOnly,
        allowed: "the absolute path of a directory",
        example: "/home/me",
    }
}
