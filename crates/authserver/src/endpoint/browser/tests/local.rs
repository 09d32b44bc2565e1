use axum::http::StatusCode;

use super::world::{Browser, PASSWORD, Plan, REDIRECT, Reply, World, parameter};

async fn world() -> World {
    World::of(Plan {
        local: true,
        ..Plan::default()
    })
    .await
}

async fn agree(browser: &mut Browser, world: &World, page: &str) {
    let form = [("confirmed", "true")];
    let reply = browser
        .post(world, &format!("{page}/confirm-login"), &form)
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    assert_eq!(reply.location(), page);
}

async fn log_in(
    browser: &mut Browser,
    world: &World,
    page: &str,
    name: &str,
    password: &str,
) -> Reply {
    let form = [("username", name), ("password", password)];
    browser.post(world, &format!("{page}/login"), &form).await
}

#[tokio::test]
async fn name_and_password_lead_to_the_client() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let reply = browser.get(&world, &page).await;
    reply.assert_page(StatusCode::OK, "I trust this client");
    assert!(!reply.body.contains("Use another account"));
    agree(&mut browser, &world, &page).await;
    let reply = browser.get(&world, &page).await;
    reply.assert_page(StatusCode::OK, "type=\"password\"");
    let reply = log_in(&mut browser, &world, &page, "alice", PASSWORD).await;
    reply.assert_page(StatusCode::OK, "You are logged in");
    let code = parameter(&reply.refresh(), "code").unwrap();
    let (status, tokens) = world.redeem(&code, REDIRECT).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let reply = log_in(&mut browser, &world, &page, "alice", PASSWORD).await;
    reply.assert_problem(StatusCode::CONFLICT, "already done");
}

#[tokio::test]
async fn nobody_logs_in_before_consent() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let reply = log_in(&mut browser, &world, &page, "alice", PASSWORD).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let reply = browser.get(&world, &reply.location()).await;
    reply.assert_page(StatusCode::OK, "I trust this client");
}

#[tokio::test]
async fn a_wrong_password_reads_like_a_wrong_name_and_is_not_echoed() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    agree(&mut browser, &world, &page).await;
    let wrong = log_in(&mut browser, &world, &page, "alice", "hunter2-secret").await;
    let unknown = log_in(&mut browser, &world, &page, "mallory", "hunter2-secret").await;
    for reply in [&wrong, &unknown] {
        reply.assert_page(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Name or password is wrong.",
        );
        assert!(!reply.body.contains("hunter2-secret"));
    }
    assert_eq!(wrong.body.replace("alice", "mallory"), unknown.body);
    assert!(wrong.body.contains("value=\"alice\""));
}

#[tokio::test]
async fn guessing_is_held_back_and_says_until_when() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    agree(&mut browser, &world, &page).await;
    for _ in 0..5 {
        log_in(&mut browser, &world, &page, "alice", "wrong").await;
    }
    // Even the right one has to wait now.
    let reply = log_in(&mut browser, &world, &page, "alice", PASSWORD).await;
    reply.assert_page(StatusCode::TOO_MANY_REQUESTS, "Try again in 1 second.");
    assert_eq!(reply.header("retry-after"), "1");
    world.clock.forward(1);
    let reply = log_in(&mut browser, &world, &page, "alice", PASSWORD).await;
    reply.assert_page(StatusCode::OK, "You are logged in");
}

#[tokio::test]
async fn cancel_works_at_the_login_page_too() {
    let world = world().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    agree(&mut browser, &world, &page).await;
    let reply = browser.post(&world, &format!("{page}/abort"), &[]).await;
    let url = reply.way_back();
    assert_eq!(parameter(&url, "error").as_deref(), Some("access_denied"));
}
