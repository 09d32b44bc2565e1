use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::json;

use super::world::{
    Browser, LOOPBACK, Plan, REDIRECT, World, assert_error, callback, encode, parameter,
};

const CODE: &[(&str, &str)] = &[("code", "provider-code")];

#[tokio::test]
async fn a_first_connection_ends_at_the_client_with_a_code_that_works() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser
        .begin(&world, &[("redirect_uri", Some(LOOPBACK))])
        .await;
    let at_provider = browser.agree(&world, &page).await;
    let reply = browser.come_back(&world, &at_provider, CODE).await;
    reply.assert_page(StatusCode::OK, "You are logged in");
    let url = reply.refresh();
    assert!(url.as_str().starts_with(LOOPBACK), "{url}");
    assert_eq!(
        parameter(&url, "iss").as_deref(),
        Some("https://mcp.example.com")
    );
    assert_eq!(
        parameter(&url, "state").as_deref(),
        Some("client state &+=")
    );
    let code = parameter(&url, "code").unwrap();
    let (status, tokens) = world.redeem(&code, LOOPBACK).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!(tokens["scope"], "openid offline_access");
    let form = world.provider.lock().unwrap().forms.remove(0);
    assert!(form.contains(&("code".to_owned(), "provider-code".to_owned())));
}

#[tokio::test]
async fn a_second_callback_is_already_done() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let at_provider = browser.agree(&world, &page).await;
    browser
        .come_back(&world, &at_provider, CODE)
        .await
        .refresh();
    let reply = browser.come_back(&world, &at_provider, CODE).await;
    reply.assert_problem(StatusCode::CONFLICT, "already done");
    assert_eq!(world.provider.lock().unwrap().forms.len(), 1);
}

#[tokio::test]
async fn callbacks_at_once_open_one_grant() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let at_provider = browser.agree(&world, &page).await;
    let (mut one, mut two) = (browser.clone(), browser.clone());
    let (one, two) = tokio::join!(
        one.come_back(&world, &at_provider, CODE),
        two.come_back(&world, &at_provider, CODE)
    );
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(world.provider.lock().unwrap().forms.len(), 1);
}

#[tokio::test]
async fn a_callback_in_another_browser_uses_up_nothing() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let at_provider = browser.agree(&world, &page).await;
    let mut other = Browser::default();
    other.begin(&world, &[]).await;
    for mut stranger in [Browser::default(), other] {
        let reply = stranger.come_back(&world, &at_provider, CODE).await;
        reply.assert_problem(StatusCode::FORBIDDEN, "another browser");
    }
    assert!(world.provider.lock().unwrap().forms.is_empty());
    browser
        .come_back(&world, &at_provider, CODE)
        .await
        .refresh();
}

#[tokio::test]
async fn a_forged_state_is_refused() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let mut at_provider = browser.agree(&world, &page).await;
    for query in [
        "",
        "?code=c",
        "?code=c&state=",
        "?code=c&state=forged",
        "?state=a&state=b",
    ] {
        let path = format!("/interaction/identity/callback{query}");
        let reply = browser.get(&world, &path).await;
        reply.assert_problem(StatusCode::BAD_REQUEST, "no login of ours");
    }
    // Names the interaction rightly, but is not what was sent away.
    let state = parameter(&at_provider, "state").unwrap();
    let (named, _) = state.split_at(22);
    let forged = format!("{named}{}", "A".repeat(state.len() - 22));
    at_provider.set_query(Some(&encode(&[("state", &forged)])));
    let reply = browser.come_back(&world, &at_provider, CODE).await;
    assert!(reply.status.is_client_error(), "{}", reply.body);
    assert!(world.provider.lock().unwrap().forms.is_empty());
}

#[tokio::test]
async fn agreeing_again_voids_the_older_state() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let older = browser.agree(&world, &page).await;
    let newer = browser.agree(&world, &page).await;
    for name in ["state", "code_challenge"] {
        assert_ne!(parameter(&older, name), parameter(&newer, name), "{name}");
    }
    let reply = browser.come_back(&world, &older, CODE).await;
    reply.assert_problem(StatusCode::CONFLICT, "void");
    browser.come_back(&world, &newer, CODE).await.refresh();
}

#[tokio::test]
async fn a_state_lasts_ten_minutes_and_the_way_back_is_shown() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let at_provider = browser.agree(&world, &page).await;
    world.clock.forward(600);
    let reply = browser.come_back(&world, &at_provider, CODE).await;
    reply.assert_problem(StatusCode::GONE, "took too long");
    let link = format!("href=\"{}\"", page.replace('/', "&#x2f;"));
    assert!(reply.body.contains(&link), "{}", reply.body);
    let again = browser.agree(&world, &page).await;
    browser.come_back(&world, &again, CODE).await.refresh();
}

#[tokio::test]
async fn what_the_provider_says_no_to_reaches_the_client() {
    let world = World::new().await;
    for (error, told) in [
        ("access_denied", "access_denied"),
        ("login_required", "access_denied"),
        ("consent_required", "access_denied"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("invalid_scope", "server_error"),
        ("<script>", "server_error"),
    ] {
        let mut browser = Browser::default();
        let page = browser.begin(&world, &[]).await;
        let at_provider = browser.agree(&world, &page).await;
        let parameters = [("error", error), ("error_description", "ignored")];
        let reply = browser.come_back(&world, &at_provider, &parameters).await;
        reply.assert_page(StatusCode::OK, "Nothing was allowed");
        assert_error(&reply.way_back(), told);
        assert!(!reply.body.contains("<script>"));
        let reply = browser.come_back(&world, &at_provider, CODE).await;
        reply.assert_problem(StatusCode::CONFLICT, "already done");
    }
}

#[tokio::test]
async fn a_post_is_sent_once_more_and_judged_only_then() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let at_provider = browser.agree(&world, &page).await;
    let path = callback(&at_provider, CODE);
    let (path, form) = path.split_once('?').unwrap();
    // From the provider's site, so without our cookie.
    let request = Request::post(path)
        .header(header::ORIGIN, "https://identity.example.com")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let reply = Browser::default()
        .send_with(&world, request, Body::from(form.to_owned()))
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    browser.get(&world, &reply.location()).await.refresh();
}

#[tokio::test]
async fn a_failed_exchange_begins_again_at_consent() {
    let world = World::new().await;
    for (status, answer, shown) in [
        (
            400,
            json!({ "error": "invalid_grant" }),
            StatusCode::BAD_GATEWAY,
        ),
        (
            401,
            json!({ "error": "invalid_client" }),
            StatusCode::BAD_GATEWAY,
        ),
        (503, json!({}), StatusCode::SERVICE_UNAVAILABLE),
        (200, json!({ "nothing": "useful" }), StatusCode::BAD_GATEWAY),
    ] {
        world.provider_answers(status, answer);
        let mut browser = Browser::default();
        let page = browser.begin(&world, &[]).await;
        let at_provider = browser.agree(&world, &page).await;
        let reply = browser.come_back(&world, &at_provider, CODE).await;
        assert!(
            [shown, StatusCode::SERVICE_UNAVAILABLE].contains(&reply.status),
            "{}",
            reply.body
        );
        reply.assert_problem(reply.status, "did not succeed");
        assert!(reply.body.contains("Try again"));
        // Nothing of it can be replayed.
        world.provider_knows("alice");
        let reply = browser.come_back(&world, &at_provider, CODE).await;
        reply.assert_problem(StatusCode::CONFLICT, "void");
        browser
            .get(&world, &page)
            .await
            .assert_page(StatusCode::OK, "I trust this client");
        let again = browser.agree(&world, &page).await;
        browser.come_back(&world, &again, CODE).await.refresh();
    }
}

#[tokio::test]
async fn cancelled_while_the_provider_answers_no_code_comes_of_it() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let at_provider = browser.agree(&world, &page).await;
    let mut other_window = browser.clone();
    let held = world.hold_provider().await;
    let (returned, cancelled) =
        tokio::join!(browser.come_back(&world, &at_provider, CODE), async {
            world.provider_was_asked().await;
            let reply = other_window.get(&world, &format!("{page}/abort")).await;
            drop(held);
            reply
        });
    assert_error(&cancelled.way_back(), "access_denied");
    returned.assert_problem(StatusCode::CONFLICT, "already done");
}

#[tokio::test]
async fn a_failing_attempt_leaves_a_newer_one_alone() {
    let world = World::new().await;
    world.provider_answers(400, json!({ "error": "invalid_grant" }));
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let older = browser.agree(&world, &page).await;
    let mut other_window = browser.clone();
    let held = world.hold_provider().await;
    let (failed, newer) = tokio::join!(browser.come_back(&world, &older, CODE), async {
        world.provider_was_asked().await;
        let newer = other_window.agree(&world, &page).await;
        drop(held);
        newer
    });
    failed.assert_problem(StatusCode::BAD_GATEWAY, "did not succeed");
    world.provider_knows("alice");
    browser.come_back(&world, &newer, CODE).await.refresh();
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_thrown_away() {
    let world = World::of(Plan {
        sends_issuer: true,
        ..Plan::default()
    })
    .await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    for iss in [None, Some("https://other.example")] {
        let page = browser.begin(&world, &[]).await;
        let at_provider = browser.agree(&world, &page).await;
        let mut parameters = CODE.to_vec();
        parameters.extend(iss.map(|iss| ("iss", iss)));
        let reply = browser.come_back(&world, &at_provider, &parameters).await;
        reply.assert_problem(StatusCode::BAD_GATEWAY, "cannot be trusted");
    }
    assert!(world.provider.lock().unwrap().forms.is_empty());
}

#[tokio::test]
async fn neither_code_nor_error_is_no_login() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let at_provider = browser.agree(&world, &page).await;
    let reply = browser.come_back(&world, &at_provider, &[]).await;
    reply.assert_problem(StatusCode::BAD_GATEWAY, "neither");
}

#[tokio::test]
async fn windows_of_one_browser_do_not_disturb_each_other() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let one = browser.begin(&world, &[]).await;
    let two = browser.begin(&world, &[("state", Some("second"))]).await;
    let at_one = browser.agree(&world, &one).await;
    let at_two = browser.agree(&world, &two).await;
    let second = browser.come_back(&world, &at_two, CODE).await.refresh();
    let first = browser.come_back(&world, &at_one, CODE).await.refresh();
    assert_eq!(parameter(&second, "state").as_deref(), Some("second"));
    assert_eq!(
        parameter(&first, "state").as_deref(),
        Some("client state &+=")
    );
    for url in [first, second] {
        let code = parameter(&url, "code").unwrap();
        assert_eq!(world.redeem(&code, REDIRECT).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn going_round_with_made_up_codes_uses_up_the_budget() {
    let world = World::of(Plan {
        requests: Some(6),
        ..Plan::default()
    })
    .await;
    world.provider.lock().unwrap().answer = Some((400, json!({ "error": "invalid_grant" })));
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let mut rounds = 0;
    let last = loop {
        let at_provider = browser.agree(&world, &page).await;
        let reply = browser.come_back(&world, &at_provider, CODE).await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS || rounds == 10 {
            break reply;
        }
        rounds += 1;
    };
    last.assert_problem(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
    assert!(rounds <= 5, "{rounds}");
}

#[tokio::test]
async fn only_the_first_yes_is_free() {
    let world = World::of(Plan {
        requests: Some(4),
        ..Plan::default()
    })
    .await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let confirm = format!("{page}/confirm-login");
    let mut given = 0;
    while given < 10 {
        let reply = browser
            .post(&world, &confirm, &[("confirmed", "true")])
            .await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        given += 1;
    }
    assert!((1..=4).contains(&given), "{given}");
}
