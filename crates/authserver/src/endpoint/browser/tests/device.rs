//! Devices without a browser: a person enters the code, agrees and logs in.

use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::world::{BASE, Browser, PASSWORD, Plan, Reply, World, encode};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A device, with its client's id and its codes.
struct Device {
    client: String,
    code: String,
    user_code: String,
    complete: String,
}

async fn post_form(world: &World, path: &str, form: &[(&str, &str)]) -> Reply {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(encode(form).into());
    world.send(request.unwrap()).await
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap()
}

impl Device {
    async fn begin(world: &World) -> Self {
        let metadata = json!({
            "client_name": "Television <b>",
            "client_uri": "https://television.example",
            "token_endpoint_auth_method": "none",
            "grant_types": [DEVICE_CODE],
        });
        let request = Request::post("/reg").body(metadata.to_string().into());
        let registered = json_of(&world.send(request.unwrap()).await);
        let client = registered["client_id"].as_str().unwrap().to_owned();
        let codes = json_of(&post_form(world, "/device/auth", &[("client_id", &client)]).await);
        let text = |name: &str| codes[name].as_str().unwrap().to_owned();
        Self {
            client,
            code: text("device_code"),
            user_code: text("user_code"),
            complete: text("verification_uri_complete"),
        }
    }

    async fn poll(&self, world: &World) -> (StatusCode, Value) {
        let form = [
            ("grant_type", DEVICE_CODE),
            ("client_id", self.client.as_str()),
            ("device_code", self.code.as_str()),
        ];
        let reply = post_form(world, "/token", &form).await;
        (reply.status, json_of(&reply))
    }

    async fn error(&self, world: &World) -> String {
        let (status, body) = self.poll(world).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        body["error"].as_str().unwrap().to_owned()
    }

    /// Opens the page and types the code; the address of the consent page.
    async fn enter(&self, world: &World, browser: &mut Browser) -> String {
        browser.get(world, "/device").await;
        let form = [("user_code", self.user_code.as_str())];
        let reply = browser.post(world, "/device", &form).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        reply.location()
    }
}

#[tokio::test]
async fn a_device_is_connected_by_the_code_that_it_shows() {
    let world = World::new().await;
    world.provider_knows("alice");
    let device = Device::begin(&world).await;
    assert_eq!(device.error(&world).await, "authorization_pending");
    world.clock.forward(130);

    let mut browser = Browser::default();
    let form = browser.get(&world, "/device").await;
    form.assert_page(StatusCode::OK, "Connect a device");
    assert!(!form.body.contains("in front of me"));
    let typed = device.user_code.replace('-', " ").to_lowercase();
    let reply = browser
        .post(&world, "/device", &[("user_code", &typed)])
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    let page = reply.location();

    let consent = browser.get(&world, &page).await;
    consent.assert_page(StatusCode::OK, "Another device");
    for shown in [
        "Television &lt;b&gt;",
        "203.0.113.7",
        "3 minutes ago, at 08:00 UTC",
        "does not get the access",
        "says of itself",
        "read-protected",
    ] {
        assert!(
            consent.body.contains(shown),
            "no {shown:?} in {}",
            consent.body
        );
    }

    let unticked = browser
        .post(&world, &format!("{page}/confirm-login"), &[])
        .await;
    unticked.assert_page(StatusCode::UNPROCESSABLE_ENTITY, "Tick the box");
    assert!(unticked.body.contains("203.0.113.7"));
    let at_provider = browser.agree(&world, &page).await;
    let done = browser
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await;
    done.assert_page(StatusCode::OK, "Your device is connected");
    assert!(!done.body.contains("http-equiv"), "nothing leads on");
    assert!(!done.body.contains(&device.code));

    let (status, tokens) = device.poll(&world).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["scope"], "openid offline_access");
    assert!(tokens["id_token"].is_string());
    let (_, again) = device.poll(&world).await;
    assert_eq!(again["refresh_token"], tokens["refresh_token"]);
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", device.client.as_str()),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    let refreshed = post_form(&world, "/token", &form).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.body);
    assert_eq!(device.error(&world).await, "invalid_grant");
}

#[tokio::test]
async fn the_local_identity_connects_devices_too() {
    let world = World::of(Plan {
        local: true,
        ..Plan::default()
    })
    .await;
    let device = Device::begin(&world).await;
    let mut browser = Browser::default();
    let page = device.enter(&world, &mut browser).await;
    let form = [("confirmed", "true")];
    let confirmed = browser
        .post(&world, &format!("{page}/confirm-login"), &form)
        .await;
    assert_eq!(confirmed.location(), page);
    let form = [("username", "alice"), ("password", PASSWORD)];
    let done = browser.post(&world, &format!("{page}/login"), &form).await;
    done.assert_page(StatusCode::OK, "Your device is connected");
    assert_eq!(device.poll(&world).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_code_in_the_address_needs_the_word_that_the_device_is_here() {
    let world = World::new().await;
    let device = Device::begin(&world).await;
    let path = device.complete.strip_prefix(BASE).unwrap();
    let mut browser = Browser::default();
    let page = browser.get(&world, path).await;
    page.assert_page(
        StatusCode::OK,
        "This code stands on a device in front of me",
    );
    assert!(
        page.body
            .contains(&format!("value=\"{}\"", device.user_code))
    );
    let code = ("user_code", device.user_code.as_str());
    let prefilled = ("prefilled", "true");
    let reply = browser.post(&world, "/device", &[code, prefilled]).await;
    reply.assert_page(StatusCode::UNPROCESSABLE_ENTITY, "Tick the box");
    assert!(reply.body.contains("in front of me"));
    let form = [code, prefilled, ("present", "true")];
    let reply = browser.post(&world, "/device", &form).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_no_reaches_the_device() {
    let world = World::new().await;
    let device = Device::begin(&world).await;
    let mut browser = Browser::default();
    let page = device.enter(&world, &mut browser).await;
    let abort = format!("{page}/abort");
    let reply = browser.post(&world, &abort, &[]).await;
    reply.assert_page(StatusCode::OK, "Nothing was allowed");
    assert_eq!(device.error(&world).await, "access_denied");
    browser
        .post(&world, &abort, &[])
        .await
        .assert_problem(StatusCode::CONFLICT, "already done");
    // The code leads nowhere any more.
    let form = [("user_code", device.user_code.as_str())];
    let reply = browser.post(&world, "/device", &form).await;
    reply.assert_page(StatusCode::UNPROCESSABLE_ENTITY, "No device waits");
}

#[tokio::test]
async fn a_no_of_the_provider_reaches_it_too_and_a_fault_of_it_does_not() {
    let world = World::new().await;
    let device = Device::begin(&world).await;
    let mut browser = Browser::default();
    let page = device.enter(&world, &mut browser).await;
    let at_provider = browser.agree(&world, &page).await;
    let fault = [("error", "server_error")];
    let reply = browser.come_back(&world, &at_provider, &fault).await;
    reply.assert_page(StatusCode::BAD_GATEWAY, "still waits");
    assert_eq!(device.error(&world).await, "authorization_pending");
    let page = device.enter(&world, &mut browser).await;
    let at_provider = browser.agree(&world, &page).await;
    let refusal = [("error", "access_denied")];
    let reply = browser.come_back(&world, &at_provider, &refusal).await;
    reply.assert_page(StatusCode::OK, "Nothing was allowed");
    assert_eq!(device.error(&world).await, "access_denied");
}

#[tokio::test]
async fn of_two_who_enter_one_code_the_first_decides() {
    let world = World::new().await;
    world.provider_knows("alice");
    let device = Device::begin(&world).await;
    let (mut first, mut second) = (Browser::default(), Browser::default());
    let pages = (
        device.enter(&world, &mut first).await,
        device.enter(&world, &mut second).await,
    );
    let at_provider = first.agree(&world, &pages.0).await;
    let late = second.agree(&world, &pages.1).await;
    let code = [("code", "provider-code")];
    let done = first.come_back(&world, &at_provider, &code).await;
    done.assert_page(StatusCode::OK, "Your device is connected");
    let reply = second.come_back(&world, &late, &code).await;
    reply.assert_problem(StatusCode::CONFLICT, "does not wait any more");
    assert_eq!(device.poll(&world).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_no_after_the_yes_of_another_window_changes_nothing_and_says_so() {
    let world = World::new().await;
    world.provider_knows("alice");
    let device = Device::begin(&world).await;
    let (mut first, mut second) = (Browser::default(), Browser::default());
    let page = device.enter(&world, &mut second).await;
    let agreed = device.enter(&world, &mut first).await;
    let at_provider = first.agree(&world, &agreed).await;
    first
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await;
    let reply = second.post(&world, &format!("{page}/abort"), &[]).await;
    reply.assert_page(StatusCode::CONFLICT, "does not wait any more");
    assert_eq!(device.poll(&world).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_login_that_takes_too_long_connects_nothing() {
    let world = World::new().await;
    world.provider_knows("alice");
    let device = Device::begin(&world).await;
    let mut browser = Browser::default();
    world.clock.forward(14 * 60);
    let page = device.enter(&world, &mut browser).await;
    let at_provider = browser.agree(&world, &page).await;
    world.clock.forward(60);
    let reply = browser
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await;
    reply.assert_problem(StatusCode::CONFLICT, "does not wait any more");
    assert_eq!(device.error(&world).await, "expired_token");
}

#[tokio::test]
async fn the_consent_page_of_a_device_belongs_to_one_browser() {
    let world = World::new().await;
    let device = Device::begin(&world).await;
    let page = device.enter(&world, &mut Browser::default()).await;
    let mut other = Browser::default();
    other.get(&world, "/device").await;
    let reply = other.get(&world, &page).await;
    reply.assert_problem(StatusCode::FORBIDDEN, "another browser");
}

#[tokio::test]
async fn a_form_from_elsewhere_or_without_the_cookie_is_refused() {
    let world = World::new().await;
    let device = Device::begin(&world).await;
    let form = encode(&[("user_code", device.user_code.as_str())]);
    let mut browser = Browser::default();
    let reply = browser
        .post(&world, "/device", &[("user_code", &device.user_code)])
        .await;
    reply.assert_problem(StatusCode::FORBIDDEN, "Cookies are blocked");
    browser.get(&world, "/device").await;
    let foreign = Request::post("/device").header(header::ORIGIN, "https://evil.example");
    let reply = browser.send_with(&world, foreign, form.into()).await;
    reply.assert_problem(StatusCode::FORBIDDEN, "not sent from our page");
}

#[tokio::test]
async fn what_was_typed_wrong_is_shown_again_and_escaped() {
    let world = World::new().await;
    let mut browser = Browser::default();
    browser.get(&world, "/device").await;
    for (typed, told) in [
        ("", "not such a code"),
        ("\"><script>alert(1)</script>", "not such a code"),
        ("BCDF-GHJ0", "not such a code"),
        ("BCDF-GHJK", "No device waits"),
    ] {
        let reply = browser
            .post(&world, "/device", &[("user_code", typed)])
            .await;
        reply.assert_page(StatusCode::UNPROCESSABLE_ENTITY, told);
        assert!(!reply.body.contains("<script"));
    }
    let reply = browser.get(&world, "/device?user_code=%22%3E%3Cb%3E").await;
    assert!(!reply.body.contains("\"><b>"));
}

#[tokio::test]
async fn guesses_are_throttled_and_not_even_a_right_one_is_let_in() {
    let world = World::new().await;
    let device = Device::begin(&world).await;
    let mut browser = Browser::default();
    browser.get(&world, "/device").await;
    for _ in 0..10 {
        let reply = browser
            .post(&world, "/device", &[("user_code", "BCDFGHJK")])
            .await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let form = [("user_code", device.user_code.as_str())];
    let reply = browser.post(&world, "/device", &form).await;
    reply.assert_page(StatusCode::TOO_MANY_REQUESTS, "too many wrong codes");
    assert_eq!(reply.header("retry-after"), "30");
    world.clock.forward(30);
    let reply = browser.post(&world, "/device", &form).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn wrong_codes_use_up_the_budget_of_their_address() {
    let world = World::of(Plan {
        requests: Some(3),
        ..Plan::default()
    })
    .await;
    let mut browser = Browser::default();
    browser.get(&world, "/device").await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let reply = browser
            .post(&world, "/device", &[("user_code", "BCDFGHJK")])
            .await;
        statuses.push(reply.status.as_u16());
    }
    assert_eq!(statuses, [422, 422, 422, 429]);
}

/// Each one begins an interaction, of which a server keeps only so many.
#[tokio::test]
async fn right_codes_use_up_the_budget_of_their_address_too() {
    let world = World::of(Plan {
        requests: Some(5),
        ..Plan::default()
    })
    .await;
    // Two of them go for the registration and the code.
    let device = Device::begin(&world).await;
    let mut browser = Browser::default();
    browser.get(&world, "/device").await;
    let form = [("user_code", device.user_code.as_str())];
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let reply = browser.post(&world, "/device", &form).await;
        statuses.push(reply.status.as_u16());
    }
    assert_eq!(statuses, [303, 303, 303, 429]);
}

/// Between approval and collection everything is in the store, and none of it opens anything.
#[tokio::test]
async fn the_store_reveals_nothing_of_a_device_that_was_approved() {
    let world = World::new().await;
    world.provider_knows("alice");
    let device = Device::begin(&world).await;
    let mut browser = Browser::default();
    let page = device.enter(&world, &mut browser).await;
    let at_provider = browser.agree(&world, &page).await;
    browser
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await;
    let stored = world.stored_bytes();
    let letters = device.user_code.replace('-', "");
    for secret in [
        device.code.as_str(),
        device.user_code.as_str(),
        letters.as_str(),
        "203.0.113.7",
        "identity-token-of-alice",
        "identity-refresh-token",
    ] {
        let is_there = stored
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!is_there, "{secret}");
    }
    assert_eq!(device.poll(&world).await.0, StatusCode::OK);
}
