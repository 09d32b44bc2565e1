//! Who asks too much: counted over all machines, told in headers, held back for a while.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use testkit::http::{Http, Reply};
use url::Url;

use crate::{
    harness::{Proxy, SOON, Stage, ping},
    redis::Twins,
};

/// Six in so long a time that nothing to speak of comes back while a story runs.
const SIX: [(&str, &str); 2] = [("MAX_REQUESTS", "6"), ("MAX_REQUESTS_WINDOW", "6000000")];

/// A registration, which is counted, from this machine.
async fn register(proxy: &Proxy) -> Result<Reply> {
    let url = Url::parse(&format!("http://127.0.0.1:{}/reg", proxy.port()))?;
    let body = json!({ "redirect_uris": ["https://client.example/cb"] });
    Reply::to(Http::direct()?.post(&url).json(&body)).await
}

#[tokio::test]
async fn machines_count_an_address_together_and_tell_how_it_stands() -> Result<()> {
    let twins = Twins::open_with(3600, &SIX).await?;
    let machines = [&twins.first.proxy, &twins.second];
    for left in (0..6).rev() {
        let reply = register(machines[left % 2]).await?;
        assert_eq!(reply.status, 201, "{}", reply.text());
        twins.first.witness.remember_members(&reply.json()?);
        assert_eq!(reply.header("ratelimit-policy"), r#""address";q=6;w=6000"#);
        let standing = reply.header("ratelimit").to_owned();
        assert!(
            standing.starts_with(&format!("\"address\";r={left};t=")),
            "{standing}"
        );
    }
    for machine in machines {
        let reply = register(machine).await?;
        assert_eq!(reply.status, 429, "{}", reply.text());
        assert_eq!(reply.error(), "temporarily_unavailable");
        let wait: u32 = reply.header("retry-after").parse()?;
        assert!((900..=1000).contains(&wait), "{wait}");
        let standing = format!("\"address\";r=0;t={wait}");
        assert_eq!(reply.header("ratelimit"), standing);
        // What costs nothing is not counted, and not told of.
        let discovery = machine.http()?.get(&machine.url("/jwks")?);
        let reply = Reply::to(discovery).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.header("ratelimit")),
            (200, "")
        );
    }
    Ok(())
}

#[tokio::test]
async fn without_the_store_a_machine_counts_for_itself_and_answers() -> Result<()> {
    let mut twins = Twins::open_with(3600, &SIX).await?;
    twins.redis.process().kill()?;
    let began = Instant::now();
    for machine in [&twins.first.proxy, &twins.second] {
        let url = Url::parse(&format!("http://127.0.0.1:{}/reg", machine.port()))?;
        let mut statuses = Vec::new();
        for _ in 0..7 {
            // Refused for what it says, without a look at the store, and counted.
            let reply = Reply::to(Http::direct()?.post(&url).json(&json!([]))).await?;
            assert!(reply.header("ratelimit").starts_with("\"address\";r="));
            statuses.push(reply.status.as_u16());
        }
        assert_eq!(statuses, [400, 400, 400, 400, 400, 400, 429]);
    }
    // Each machine waits for the count once, and then not for a while.
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_session_that_asks_too_much_waits_and_lives() -> Result<()> {
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_MCP_REQUESTS", "30")
        .open()
        .await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let reply = client.call(&tokens.access, &ping()).await?;
    assert_eq!(reply.header("ratelimit-policy"), r#""session";q=30;w=60"#);
    assert_eq!(reply.header("ratelimit"), r#""session";r=29;t=2"#);
    let mut let_in = 1;
    let refused = loop {
        let reply = client.call(&tokens.access, &ping()).await?;
        if reply.status != 200 {
            break reply;
        }
        let_in += 1;
    };
    assert!(let_in >= 30, "{let_in}");
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.json()?["error"]["code"], -32000);
    let wait: u64 = refused.header("retry-after").parse()?;
    assert!((1..=2).contains(&wait), "{wait}");
    assert!(refused.header("ratelimit").starts_with("\"session\";r=0;"));
    // Neither somebody else's session nor the tokens suffer for it.
    let (other, theirs) = stage.logged_in("bob").await?;
    assert_eq!(other.call(&theirs.access, &ping()).await?.status, 200);
    let reply = testkit::wait::until("the session to go on", SOON, || async {
        let reply = client.call(&tokens.access, &ping()).await?;
        Ok((reply.status == 200).then_some(reply))
    })
    .await?;
    assert_eq!(reply.header("retry-after"), "");
    Ok(())
}
