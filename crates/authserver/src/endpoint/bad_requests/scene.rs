//! What a row of the table names in angle brackets, made by a running server.

use std::{collections::HashMap, time::Duration};

use axum::{body::Body, http::Request};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    client::{Client, ClientMetadata},
    id::ClientId,
    redirect_uri::AllowedRedirectHosts,
    time::Clock as _,
};
use jose::signing::{SigningAlgorithm, SigningKeys};
use serde_json::{Map, Value, json};
use store::seal::sha256;
use testkit::bad_requests::{ISSUER, REDIRECT_URI, STATE, placeholders};

use crate::testing::{
    Answer, TestServer, VERIFIER, basic, code_fields, form_request, refresh_fields, text,
};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// From where good requests come that a bad one must not be mistaken for.
const ELSEWHERE: &str = "198.51.100.9";
const SCOPES: &str = "openid offline_access";

/// The things of one row.
pub(super) struct Scene<'a> {
    server: &'a TestServer,
    made: HashMap<String, String>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(server: &'a TestServer) -> Self {
        Self {
            server,
            made: HashMap::new(),
        }
    }

    /// A text with everything in it that it names.
    pub(super) async fn fill(&mut self, text: &str) -> String {
        let mut filled = text.to_owned();
        for name in placeholders(text) {
            let value = self.the(name).await;
            filled = filled.replace(&format!("<{name}>"), &value);
        }
        filled
    }

    /// A thing, made where it was not made before.
    async fn the(&mut self, name: &str) -> String {
        if let Some(made) = self.made.get(name) {
            return made.clone();
        }
        let value = Box::pin(self.make(name)).await;
        self.made.insert(name.to_owned(), value.clone());
        value
    }

    async fn make(&mut self, name: &str) -> String {
        if let Some(fixed) = fixed(name) {
            return fixed;
        }
        if let Some(without) = name.strip_prefix("auth") {
            return self.authorization(without).await;
        }
        let is = |part| name.contains(part);
        let made = if is("assertion") {
            self.assertion(name).await
        } else if is("device code") {
            self.device_code(name).await
        } else if is("token") {
            self.token(name).await
        } else if is("code") {
            self.code(name).await
        } else if is("basic") {
            self.basic(name).await
        } else if is("request_uri") {
            self.request_uri(name).await
        } else if is("interaction") || is("cookie") {
            self.interaction(name).await
        } else {
            self.client(name).await
        };
        made.unwrap_or_else(|| panic!("nobody knows how to make <{name}>"))
    }

    /// The parameters of a good authorization request, without some.
    async fn authorization(&mut self, without: &str) -> String {
        let left_out: Vec<&str> = without.split(' ').collect();
        let challenge = URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
        let client = if left_out.contains(&"client_id") {
            String::new()
        } else {
            self.the("public").await
        };
        [
            ("response_type", "code"),
            ("client_id", &client),
            ("redirect_uri", REDIRECT_URI),
            ("state", STATE),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]
        .iter()
        .filter(|(name, _)| !left_out.contains(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&")
    }

    async fn client(&mut self, name: &str) -> Option<String> {
        let metadata = match name {
            "public" => json!({ "redirect_uris": [REDIRECT_URI] }),
            "several redirects" => {
                json!({ "redirect_uris": [REDIRECT_URI, "https://client.example/callback"] })
            }
            "pushing client" => json!({
                "redirect_uris": [REDIRECT_URI], "require_pushed_authorization_requests": true,
            }),
            "device client" | "another device client" => json!({ "grant_types": [DEVICE_GRANT] }),
            "device client with redirect" => {
                json!({ "grant_types": [DEVICE_GRANT], "redirect_uris": [REDIRECT_URI] })
            }
            "web client" => return Some(self.web_client().await),
            "key client" => {
                let _ = self.the("assertion").await;
                return self.made.get(name).cloned();
            }
            "confidential" | "secret" => {
                let client = self.server.register("client_secret_post").await;
                let id = text(&client, "client_id");
                let secret = text(&client, "client_secret");
                self.made.insert("confidential".to_owned(), id);
                self.made.insert("secret".to_owned(), secret);
                return self.made.get(name).cloned();
            }
            "managed client" => {
                let client = self.server.register("none").await;
                let token = text(&client, "registration_access_token");
                self.made.insert("management token".to_owned(), token);
                return Some(text(&client, "client_id"));
            }
            _ => return None,
        };
        Some(self.register(metadata).await)
    }

    async fn register(&self, mut metadata: Value) -> String {
        metadata["client_name"] = json!("Tool");
        let method = metadata
            .as_object_mut()
            .unwrap()
            .entry("token_endpoint_auth_method");
        method.or_insert(json!("none"));
        let answer = self.server.post_json("/reg", &metadata).await;
        text(&answer.json(), "client_id")
    }

    /// One that registered when its host was still allowed.
    async fn web_client(&self) -> String {
        let metadata = json!({
            "redirect_uris": ["https://client.example/callback"],
            "token_endpoint_auth_method": "none",
        });
        let members = metadata.as_object().unwrap();
        let client = Client {
            id: ClientId::parse("web-client").unwrap(),
            issued_at: self.server.clock.now(),
            secret_hash: None,
            metadata: ClientMetadata::parse(members, &AllowedRedirectHosts::all()).unwrap(),
        };
        let clients = &self.server.server.clients;
        clients.register(&client, None).await.unwrap();
        client.id.to_string()
    }

    async fn basic(&mut self, name: &str) -> Option<String> {
        let id = self.the("confidential").await;
        let secret = match name {
            "basic" => self.the("secret").await,
            "basic with a wrong secret" => "wrong".to_owned(),
            _ => return None,
        };
        basic(&id, &secret)
            .strip_prefix("Basic ")
            .map(str::to_owned)
    }

    async fn code(&mut self, name: &str) -> Option<String> {
        let client = match name {
            "code of another client" => self.server.public_client().await,
            _ => self.the("public").await,
        };
        let code = self.server.code(&client).await;
        match name {
            "code" | "code of another client" => {}
            "expired code" => self.server.clock.advance(Duration::from_secs(61)),
            "used code" => {
                assert_eq!(self.server.redeem(&client, &code).await.status, 200);
            }
            _ => return None,
        }
        Some(code)
    }

    async fn token(&mut self, name: &str) -> Option<String> {
        let (kind, client) = match name {
            "id token" => ("id_token", self.the("public").await),
            "refresh token of another client" => {
                ("refresh_token", self.server.public_client().await)
            }
            "management token" => {
                let _ = self.the("managed client").await;
                return self.made.get(name).cloned();
            }
            name if name.ends_with("refresh token") => ("refresh_token", self.the("public").await),
            name if name.ends_with("access token") => ("access_token", self.the("public").await),
            _ => return None,
        };
        let scopes = if name.starts_with("narrow") {
            "offline_access"
        } else {
            SCOPES
        };
        let code = self.server.code_for(&client, 0, scopes).await;
        let answer = self
            .post_from(ELSEWHERE, "/token", &code_fields(&client, &code))
            .await;
        let tokens = answer.json();
        let refresh_token = text(&tokens, "refresh_token");
        if name.starts_with("revoked") {
            let fields = [("client_id", client.as_str()), ("token", &refresh_token)];
            assert_eq!(
                self.server.post("/token/revocation", &fields).await.status,
                200
            );
        }
        if name.starts_with("expired") {
            self.server.clock.advance(Duration::from_secs(3700));
        }
        if name.starts_with("stolen") {
            self.replace_for_long(&client, &refresh_token).await;
        }
        Some(text(&tokens, kind))
    }

    /// Its successors are used, elsewhere, until no rule honours it any more.
    async fn replace_for_long(&self, client: &str, refresh_token: &str) {
        let mut token = refresh_token.to_owned();
        for _ in 0..3 {
            self.server.clock.advance(Duration::from_secs(2 * 3600));
            let answer = self
                .post_from(ELSEWHERE, "/token", &refresh_fields(client, &token))
                .await;
            token = text(&answer.json(), "refresh_token");
        }
    }

    async fn assertion(&mut self, name: &str) -> Option<String> {
        let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
        let (keys, _) = SigningKeys::parse(&format!("[{}]", key.expose())).unwrap();
        let client = if name == "assertion of a public client" {
            self.the("public").await
        } else {
            let metadata = json!({
                "redirect_uris": [REDIRECT_URI],
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks": keys.public_jwks(),
            });
            self.register(metadata).await
        };
        self.made.insert("key client".to_owned(), client.clone());
        let mut claims = self.claims(&client);
        match name {
            "assertion for others" => claims["aud"] = json!("https://elsewhere.example"),
            "expired assertion" => {
                claims["exp"] = json!(self.server.clock.now().as_unix() - 61);
            }
            "assertion without jti" => {
                claims.remove("jti");
            }
            _ => {}
        }
        let signed = keys.sign(None, "JWT", &claims).unwrap().expose().to_owned();
        match name {
            "used assertion" => {
                let fields = [
                    ("token", "any"),
                    ("client_assertion_type", ASSERTION_TYPE),
                    ("client_assertion", &signed),
                ];
                assert_eq!(
                    self.server.post("/token/revocation", &fields).await.status,
                    200
                );
            }
            "forged assertion" => {
                claims["jti"] = json!("another");
                let parts: Vec<&str> = signed.split('.').collect();
                return Some(format!("{}.{}.{}", parts[0], encoded(&claims), parts[2]));
            }
            "unsigned assertion" => {
                let header = json!({ "alg": "none" });
                let header = encoded(header.as_object().unwrap());
                return Some(format!("{header}.{}.", encoded(&claims)));
            }
            _ => {}
        }
        Some(signed)
    }

    fn claims(&self, client: &str) -> Map<String, Value> {
        let now = self.server.clock.now().as_unix();
        let claims = json!({
            "iss": client, "sub": client, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": "1",
        });
        claims.as_object().unwrap().clone()
    }

    async fn device_code(&mut self, name: &str) -> Option<String> {
        let client = self.the("device client").await;
        let fields = [("client_id", client.as_str())];
        let codes = self.server.post("/device/auth", &fields).await.json();
        let device_code = text(&codes, "device_code");
        match name {
            "device code" => {}
            "polled device code" => {
                let fields = [
                    ("grant_type", DEVICE_GRANT),
                    ("client_id", &client),
                    ("device_code", &device_code),
                ];
                self.server.post("/token", &fields).await;
            }
            "expired device code" => self.server.clock.advance(Duration::from_secs(901)),
            "denied device code" => {
                let page = self.server.get("/device").await;
                let cookie = cookie_of(&page);
                let user_code = text(&codes, "user_code");
                let entered = self
                    .post_as_page("/device", &cookie, &[("user_code", &user_code)])
                    .await;
                let page = entered.header("location").unwrap();
                let abort = format!("{page}/abort");
                assert_eq!(self.post_as_page(&abort, &cookie, &[]).await.status, 200);
            }
            _ => return None,
        }
        Some(device_code)
    }

    async fn request_uri(&mut self, name: &str) -> Option<String> {
        let form = self.the("auth").await;
        let request = form_request("/request", &[], &[]).map(|_| Body::from(form));
        let pushed = self.server.send(request).await.json();
        let request_uri = text(&pushed, "request_uri");
        if name == "used request_uri" {
            let client = self.the("public").await;
            let path = format!("/auth?client_id={client}&request_uri={request_uri}");
            assert_eq!(self.server.get(&path).await.status, 303);
        }
        Some(request_uri)
    }

    /// A page of a login, and the cookie of its browser.
    async fn interaction(&mut self, name: &str) -> Option<String> {
        let query = self.the("auth").await;
        let begun = self.server.get(&format!("/auth?{query}")).await;
        let page = begun.header("location").unwrap().to_owned();
        let cookie = cookie_of(&begun);
        self.made.insert("cookie".to_owned(), cookie.clone());
        match name {
            "cookie" => return Some(cookie),
            "interaction" => {}
            "finished interaction" => {
                let abort = format!("{page}/abort");
                assert_eq!(self.post_as_page(&abort, &cookie, &[]).await.status, 200);
            }
            _ => return None,
        }
        Some(page)
    }

    async fn post_from(&self, address: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = form_request(path, &[], fields);
        let answer = self.server.send_from(address, request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// A form as a page of ours sends it.
    async fn post_as_page(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let headers = [("origin", ISSUER), ("cookie", cookie)];
        let request: Request<Body> = form_request(path, &headers, fields);
        self.server.send(request).await
    }
}

fn fixed(name: &str) -> Option<String> {
    if let Some(count) = name.strip_suffix(" letters") {
        return Some("x".repeat(count.parse().unwrap()));
    }
    if let Some(count) = name.strip_suffix(" parameters") {
        let parameters = (0..count.parse().unwrap()).map(|number: u32| format!("p{number}=1"));
        return Some(parameters.collect::<Vec<_>>().join("&"));
    }
    Some(match name {
        "kind" => format!("client_assertion_type={ASSERTION_TYPE}"),
        "device grant" => format!("grant_type={DEVICE_GRANT}"),
        "verifier" => VERIFIER.to_owned(),
        // An interaction of zeros and a secret of zeros.
        "forgotten state" => URL_SAFE_NO_PAD.encode([0; 48]),
        "30 long redirect URIs" => {
            let uri = format!("\"https://a.example/{}\"", "x".repeat(300));
            vec![uri; 30].join(",")
        }
        _ => return None,
    })
}

fn encoded(members: &Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::from(members.clone()).to_string())
}

/// The cookie that an answer gives, as it is sent back.
fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap();
    cookie.split(';').next().unwrap().to_owned()
}
