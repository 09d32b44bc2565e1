//! Signing keys: exchanged while the proxy runs, without a token that nobody can verify.

use std::{collections::BTreeSet, process::Output};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jose::verifying::VerifyingKeys;
use serde_json::{Value, json};
use testkit::{client::Tokens, http::Reply, wait, witness::Witness};

use crate::{
    harness::{Proxy, SOON, Stage},
    redis::Twins,
};

#[tokio::test]
async fn a_rotation_is_taken_at_once_and_breaks_nothing_signed_before() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let before = id_token(&tokens)?;
    let list = keys(&stage.proxy, &["keys", "rotate", "--now", "--json"])?;
    assert_eq!(states(&list, "RS256"), ["signing", "retired"]);
    assert_eq!(states(&list, "ES256"), ["signing", "retired"]);

    let renewed = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    let after = id_token(&renewed)?;
    assert_eq!(kid(&before)?, list["keys"][1]["kid"]);
    assert_eq!(kid(&after)?, list["keys"][0]["kid"]);
    let published = published(&stage).await?;
    assert_verified(&published, &[&before, &after])?;

    stage.proxy.kill_and_restart().await?;
    assert_eq!(self::published(&stage).await?, published);
    assert_eq!(keys(&stage.proxy, &["keys", "list", "--json"])?, list);
    let again = client.log_in(&mut stage.browser()?, "bob").await?;
    assert_eq!(kid(&id_token(&again)?)?, kid(&after)?);

    log_out(&stage, &before).await?;
    let refused = client.refresh(&renewed.refresh).await?;
    assert_eq!(refused.error(), "invalid_grant");
    Tokens::of(&client.refresh(&again.refresh).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_announced_and_can_be_hastened_while_the_proxy_is_down() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let before = id_token(&tokens)?;
    let rotate = ["keys", "rotate", "--alg", "RS256"];
    let text = said(&stage.proxy.run(&rotate)?)?;
    assert!(text.contains("announced, signs in"), "{text}");
    let announced = published(&stage).await?;
    assert_eq!(announced["keys"].as_array().map(Vec::len), Some(4));
    let tokens = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_eq!(kid(&id_token(&tokens)?)?, kid(&before)?);
    let refused = stage.proxy.run(&rotate)?;
    assert!(refusal(&refused)?.contains("announced already"));

    stage.proxy.process()?.terminate()?;
    stage.proxy.process()?.exited(SOON).await?;
    let list = keys(
        &stage.proxy,
        &["keys", "rotate", "--alg", "RS256", "--now", "--json"],
    )?;
    assert_eq!(states(&list, "RS256"), ["signing", "retired"]);
    assert_eq!(keys(&stage.proxy, &["keys", "list", "--json"])?, list);
    stage.proxy.start_again()?;
    stage.proxy.answering().await?;

    // No key has changed its name on the way.
    let now = published(&stage).await?;
    assert_eq!(kids(&now), kids(&announced));
    let tokens = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    let after = id_token(&tokens)?;
    assert_ne!(kid(&after)?, kid(&before)?);
    assert_verified(&now, &[&before, &after])?;
    // Who fetched the keys when the new one was announced need not fetch them again.
    assert_verified(&announced, &[&before, &after])
}

#[tokio::test]
async fn keys_that_machines_share_are_exchanged_by_a_command_and_taken_up_by_all() -> Result<()> {
    let twins = Twins::open_with(3600, &[]).await?;
    let (client, tokens) = twins.first.logged_in("alice").await?;
    let before = id_token(&tokens)?;
    let old = keys(&twins.first.proxy, &["keys", "list", "--json"])?;
    assert_eq!(old["source"], "store");
    assert_eq!(states(&old, "RS256"), ["signing"]);

    let new = keys(&twins.second, &["keys", "rotate", "--now", "--json"])?;
    assert_eq!(states(&new, "RS256"), ["signing", "retired"]);
    assert_eq!(keys(&twins.first.proxy, &["keys", "list", "--json"])?, new);
    let expected: BTreeSet<&str> = kids(&new);
    for proxy in [&twins.first.proxy, &twins.second] {
        let jwks = proxy.http()?;
        let url = proxy.url("/jwks")?;
        wait::until("the proxy to take the new keys up", SOON, || async {
            let published = Reply::to(jwks.get(&url)).await?.json()?;
            Ok((kids(&published) == expected).then_some(()))
        })
        .await?;
    }
    let renewed = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    let after = id_token(&renewed)?;
    assert_eq!(kid(&after)?, new["keys"][0]["kid"]);
    assert_verified(&published(&twins.first).await?, &[&before, &after])?;
    Ok(())
}

#[tokio::test]
async fn shared_keys_are_left_alone_by_who_cannot_open_them() -> Result<()> {
    let twins = Twins::open_with(3600, &[]).await?;
    let before = keys(&twins.first.proxy, &["keys", "list", "--json"])?;
    let stranger = Proxy::builder(&twins.first.witness)?
        .serving(twins.first.proxy.url("")?.as_str().trim_end_matches('/'))?
        .redis(&twins.redis)
        .server(twins.first.recorder.url())
        .provider(&twins.first.provider)
        .env("IDENTITY_CLIENT_SECRET", "of-another-provider-altogether");
    for arguments in [["keys", "list"], ["keys", "rotate"]] {
        let said = refusal(&stranger.run(&arguments)?)?;
        assert!(said.contains("IDENTITY_CLIENT_SECRET"), "{said}");
    }
    assert_eq!(
        keys(&twins.first.proxy, &["keys", "list", "--json"])?,
        before
    );
    Ok(())
}

#[tokio::test]
async fn status_says_which_proxies_share_a_server() -> Result<()> {
    let mut twins = Twins::open_with(3600, &[]).await?;
    let listed = |twins: &Twins| -> Result<usize> {
        let status = keys(&twins.first.proxy, &["status", "--json"])?;
        let processes = status["processes"].as_array().context("a list")?;
        for process in processes {
            assert_eq!(process["version"], env!("CARGO_PKG_VERSION"));
        }
        Ok(processes.len())
    };
    wait::until("both to be heard of", SOON, || async {
        Ok((listed(&twins)? == 2).then_some(()))
    })
    .await?;
    let text = said(&twins.first.proxy.run(&["status"])?)?;
    assert!(text.contains("LAST HEARD OF"), "{text}");
    // Whoever ends says so.
    twins.second.process()?.terminate()?;
    twins.second.process()?.exited(SOON).await?;
    assert_eq!(listed(&twins)?, 1);
    Ok(())
}

#[tokio::test]
async fn generated_keys_are_a_configuration_and_exchanged_there() -> Result<()> {
    let plain = Proxy::builder(&Witness::default())?;
    let generate = |arguments: &[&str]| -> Result<Value> {
        let text = said(&plain.run(&[&["keys", "generate"], arguments].concat())?)?;
        Ok(serde_json::from_str(&text)?)
    };
    let new = generate(&["--in", "1h"])?;
    let old = generate(&[])?;
    let edwards = generate(&["--alg", "EdDSA"])?;
    let configured = json!([new, old, edwards]);
    let stage = Stage::builder()?
        .env("OIDC_PROVIDER_JWKS", &configured.to_string())
        .open()
        .await?;
    for key in [&new, &old, &edwards] {
        stage.witness.remember(key["d"].as_str().context("a key")?);
    }
    let (_, tokens) = stage.logged_in("alice").await?;
    let token = id_token(&tokens)?;
    assert_eq!(kid(&token)?, old["kid"]);
    let published = published(&stage).await?;
    assert_eq!(kids(&published), kids(&json!({ "keys": configured })));
    assert_verified(&published, &[&token])?;
    assert!(!stage.proxy.data().join("signing-keys.json").exists());

    let list = keys(&stage.proxy, &["keys", "list", "--json"])?;
    assert_eq!(list["source"], "configuration");
    assert_eq!(states(&list, "RS256"), ["announced", "signing"]);
    let told = refusal(&stage.proxy.run(&["keys", "rotate"])?)?;
    assert!(told.contains("OIDC_PROVIDER_JWKS") && told.contains("keys generate --in 1h"));
    Ok(())
}

#[tokio::test]
async fn where_there_are_no_keys_yet_there_is_nothing_to_rotate() -> Result<()> {
    let plain = Proxy::builder(&Witness::default())?;
    for arguments in [&["keys", "rotate", "--now"][..], &["keys", "list"]] {
        let told = refusal(&plain.run(arguments)?)?;
        assert!(told.contains("the first start makes them"), "{told}");
    }
    Ok(())
}

fn said(output: &Output) -> Result<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(String::from_utf8(output.stdout.clone())?)
}

fn refusal(output: &Output) -> Result<String> {
    ensure!(!output.status.success(), "it was not refused");
    Ok(String::from_utf8(output.stderr.clone())?)
}

/// What a command about keys says in JSON.
fn keys(proxy: &Proxy, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&said(&proxy.run(arguments)?)?)?)
}

fn states<'a>(list: &'a Value, algorithm: &str) -> Vec<&'a str> {
    let keys = list["keys"].as_array().into_iter().flatten();
    keys.filter(|key| key["alg"] == algorithm)
        .filter_map(|key| key["state"].as_str())
        .collect()
}

fn kids(jwks: &Value) -> BTreeSet<&str> {
    let keys = jwks["keys"].as_array().into_iter().flatten();
    keys.filter_map(|key| key["kid"].as_str()).collect()
}

fn id_token(tokens: &Tokens) -> Result<String> {
    let token = tokens.answer["id_token"].as_str().context("an ID token")?;
    Ok(token.to_owned())
}

fn kid(token: &str) -> Result<String> {
    let header = token.split('.').next().unwrap_or_default();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?;
    Ok(header["kid"].as_str().context("a kid")?.to_owned())
}

async fn published(stage: &Stage) -> Result<Value> {
    let reply = Reply::to(stage.http()?.get(&stage.proxy.url("/jwks")?)).await?;
    ensure!(reply.header("cache-control").contains("max-age="));
    reply.json()
}

fn assert_verified(jwks: &Value, tokens: &[&str]) -> Result<()> {
    let keys = VerifyingKeys::parse(jwks)?;
    for token in tokens {
        keys.verify(token)?;
    }
    Ok(())
}

/// A person agrees to the logout that a client asks for.
async fn log_out(stage: &Stage, hint: &str) -> Result<()> {
    let mut browser = stage.browser()?;
    let mut url = stage.proxy.url("/session/end")?;
    url.query_pairs_mut().append_pair("id_token_hint", hint);
    let page = browser.page(&url).await?;
    let form = page.form_with("id_token_hint")?;
    let done = browser.submit(&page, &form, &[], Some("Log out")).await?;
    let done = done.page()?;
    ensure!(done.reply.status == 200, "{}", done.text());
    Ok(())
}
