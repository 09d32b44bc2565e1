//! Waiting for something to become true, with a deadline and no guesses.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

const STEP: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer.
///
/// # Errors
/// If there is none within `limit`; `what` says what was waited for.
pub async fn until<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        sleep(STEP).await;
    }
}

/// Waits until a condition holds.
///
/// # Errors
/// If it does not within `limit`.
pub async fn until_true(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<()> {
    until(what, limit, || {
        let answer = holds().then_some(());
        async move { Ok(answer) }
    })
    .await
}
